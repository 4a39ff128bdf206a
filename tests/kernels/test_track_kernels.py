"""The engine's mathematics against authorities: Stone Soup, scipy, enumeration, published coordinates."""

import datetime as dt
import itertools
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trilat.kernels import bank as b
from trilat.kernels import engine, gate, geodesy, jit, measure, show
from trilat.kernels.assign import NO_CHOICE, WIDTH, choose, events, marginals, show_first
from trilat.kernels.frames import earth
from trilat.records.columns import REPORT_DTYPE, TRACK_DTYPE
from trilat.track.smooth import constant_velocity, smooth

warnings.filterwarnings("ignore", module="stonesoup")
# Relative. Stone Soup differentiates by steps of 1e8 times the spacing of floats, 0.7 mm at 40 km: eight digits. Of a negative
# coordinate it takes numpy's spacing with its sign, and then the least step, 1e-8 m, which leaves four digits: see the octants.
EXACT, NUMERICAL = 1e-9, 1e-5
T0 = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
Q = 4.0


def one_track(mean: Any, covariance: Any, earth_kind: str = "flat", kind: int = b.CV) -> Any:
    """A bank of one confirmed track with a single mode, and its model."""
    model = b.record(b.MODEL_DTYPE)
    model["earth"], model["modes"], model["kind"] = earth(earth_kind), 1, kind
    model["noise"][:, :, :2], model["stay_s"], model["start"] = Q, 10.0, 1.0
    model["life"][:, b.L_COAST_MAX_S], model["life"][:, b.L_SURVIVE_S], model["life"][:, b.L_CAP] = 1e6, 1e9, 0.9999
    model["gate"], model["options"][b.O_DOMAINS] = 1e3, 1
    made = b.new_bank(8)
    row = made.rows[0]
    row["status"], row["existence"], row["hits"], row["mu"][0] = b.CONFIRMED, 0.9, 9, 1.0
    row["identity"], row["x"][0, :6], row["mean"] = -1, mean, mean
    for i, j in itertools.product(range(6), range(6)):
        row["P"][0, b.AT[i, j]] = covariance[i, j]
    row["spread"] = (np.sqrt(covariance.max()), np.sqrt(covariance.max()), 0.0)
    row["domain"][1] = 1.0
    made.head["rows"] = 1
    return made, model


def state(made: Any, n: int = 6) -> Any:
    row = made.rows[0]
    return row["x"][0, :n].copy(), row["P"][0][b.AT[:n, :n]]


def step(made: Any, model: Any, z: Any, t_s: float, kind: int, sensor: Any = None) -> None:
    table = np.zeros((1, b.SENSOR_COLUMNS)) if sensor is None else sensor
    table[0, b.S_RANGE_MAX], table[0, b.S_PD], table[0, b.S_CLUTTER], table[0, b.S_CLUTTER + 1] = 1e7, 0.9, 1.0, 1.0
    table[0, b.S_ALT_MAX], table[0, b.S_SINE_MAX], table[0, b.S_SINE_MIN], table[0, b.S_ALT_MIN] = 1e7, 1.0, -1.0, -1e7
    plots = np.full((1, b.PLOT_INTS), -1, np.int64)
    plots[0, b.I_T], plots[0, b.I_SENSOR], plots[0, b.I_KIND], plots[0, b.I_DOMAIN] = round(t_s * 1e9), 0, kind, 0
    engine.step_frame(model, *made, table, 0, z[None].copy(), plots, b.record(b.WORK_DTYPE))
    assert int(made.head["rows"]) == 1, "the plot began a track instead of updating the one there is"


def soup(mean: Any, covariance: Any, measurement_model: Any, vector: Any, t_s: float) -> Any:
    """Stone Soup's Kalman predict and update of the same track; states ordered position, velocity."""
    from stonesoup.models.transition.linear import CombinedLinearGaussianTransitionModel, ConstantVelocity  # noqa: TID251 - the oracle
    from stonesoup.predictor.kalman import ExtendedKalmanPredictor  # noqa: TID251 - the oracle
    from stonesoup.types.detection import Detection  # noqa: TID251 - the oracle
    from stonesoup.types.hypothesis import SingleHypothesis  # noqa: TID251 - the oracle
    from stonesoup.types.state import GaussianState  # noqa: TID251 - the oracle
    from stonesoup.updater.kalman import ExtendedKalmanUpdater  # noqa: TID251 - the oracle

    order = [0, 3, 1, 4, 2, 5]
    prior = GaussianState(mean[order].reshape(-1, 1), covariance[np.ix_(order, order)], timestamp=T0)
    when = T0 + dt.timedelta(seconds=t_s)
    transition = CombinedLinearGaussianTransitionModel([ConstantVelocity(Q)] * 3)
    predicted = ExtendedKalmanPredictor(transition).predict(prior, timestamp=when)
    made = ExtendedKalmanUpdater(measurement_model).update(
        SingleHypothesis(predicted, Detection(vector, timestamp=when, measurement_model=measurement_model))
    )
    back = np.argsort(order)
    return np.asarray(made.mean, float).ravel()[back], np.asarray(made.covar, float)[np.ix_(back, back)]


def a_covariance(rng: np.random.Generator) -> Any:
    a = rng.normal(0, 1, (6, 6)) * np.array([100.0, 100, 100, 10, 10, 10])[:, None]
    return a @ a.T + np.diag([100.0, 100, 100, 1, 1, 1])


def close(ours: Any, theirs: Any, tolerance: float) -> bool:
    return bool(np.linalg.norm(ours - theirs) < tolerance * np.linalg.norm(theirs))


@pytest.mark.parametrize("seed", range(4))
def test_linear_kalman_step_equals_stone_soup(seed: int) -> None:
    """Predict and update by a position with known axes give Stone Soup's mean and covariance to 1e-9."""
    from stonesoup.models.measurement.linear import LinearGaussian  # noqa: TID251 - the oracle

    rng = np.random.default_rng(seed)
    mean, covariance = rng.normal(0, 1, 6) * ([5e3] * 3 + [100.0] * 3), a_covariance(rng)
    made, model = one_track(mean, covariance)
    point = mean[:3] + 2.5 * mean[3:] + rng.normal(0, 30, 3)
    z = np.full(b.PLOT_COLUMNS, np.nan)
    z[:5] = (*point, 0.0, 0.0)  # at latitude and longitude zero: east is y, north is z, up is x
    z[b.Z_SIGMA_H], z[b.Z_SIGMA_V] = 30.0, 50.0
    step(made, model, z, 2.5, 2)
    noise = np.diag([50.0**2, 30.0**2, 30.0**2])
    theirs = soup(mean, covariance, LinearGaussian(6, (0, 2, 4), noise), point.reshape(-1, 1), 2.5)
    ours = state(made)
    assert close(ours[0], theirs[0], EXACT)
    assert close(ours[1], theirs[1], EXACT)


@pytest.mark.parametrize(
    ("injected", "octant"), [(False, (1, 1, 1)), (True, (1, 1, 1)), (True, (1, -1, 1)), (True, (-1, -1, -1))]
)
@pytest.mark.parametrize("seed", range(3))
def test_extended_kalman_step_equals_stone_soup(seed: int, octant: tuple[int, int, int], *, injected: bool) -> None:
    """The radar update equals Stone Soup's, mean and covariance: to 1e-5 with its numerical Jacobian, to 1e-9 with ours there."""
    from stonesoup.models.measurement.nonlinear import CartesianToElevationBearingRange  # noqa: TID251 - the oracle
    from stonesoup.types.angle import Bearing, Elevation  # noqa: TID251 - the oracle
    from stonesoup.types.array import StateVector  # noqa: TID251 - the oracle

    class Analytic(CartesianToElevationBearingRange):
        def jacobian(self, state: Any, **_: Any) -> Any:
            x, y, z = (float(state.state_vector[k, 0]) for k in (0, 2, 4))
            h2 = x * x + y * y
            r2, h = h2 + z * z, np.sqrt(h2)
            out = np.zeros((3, 6))
            out[:, ::2] = [
                [-x * z / (r2 * h), -y * z / (r2 * h), h / r2],
                [-y / h2, x / h2, 0.0],
                [x / np.sqrt(r2), y / np.sqrt(r2), z / np.sqrt(r2)],
            ]
            return out

    rng = np.random.default_rng(seed)
    mean = np.array([40e3, 30e3, 9e3, 200.0, 50.0, 3.0]) * rng.uniform(0.5, 1.5, 6) * [*octant, 1, 1, 1]
    covariance = a_covariance(rng)
    made, model = one_track(mean, covariance)
    truth = mean[:3] + 4.0 * mean[3:] + rng.normal(0, 50, 3)
    h, r = np.hypot(truth[0], truth[1]), np.linalg.norm(truth)
    el, az = np.arctan2(truth[2], h), np.arctan2(truth[1], truth[0])
    sigma = np.array([0.002, 0.0015, 60.0])
    table = np.zeros((1, b.SENSOR_COLUMNS))
    table[0, 3:12] = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]]).ravel()  # x stands for north, y for east
    z = np.full(b.PLOT_COLUMNS, np.nan)
    z[:3] = r, az, el
    z[b.Z_SIGMA_RANGE], z[b.Z_SIGMA_AZIMUTH], z[b.Z_SIGMA_ELEVATION] = sigma[2], sigma[1], sigma[0]
    step(made, model, z, 4.0, 0, table)
    kind = Analytic if injected else CartesianToElevationBearingRange
    measurement = kind(ndim_state=6, mapping=(0, 2, 4), noise_covar=np.diag(sigma**2))
    theirs = soup(mean, covariance, measurement, StateVector([Elevation(el), Bearing(az), r]), 4.0)
    ours = state(made)
    assert close(ours[0], theirs[0], EXACT if injected else NUMERICAL)
    assert close(ours[1], theirs[1], EXACT if injected else NUMERICAL)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.1, 30.0), min_size=1, max_size=5), st.integers(0, 2**31))
def test_the_determinant_of_an_unseen_track_never_falls(steps: list[float], seed: int) -> None:
    """Under constant velocity, time alone never makes a track surer."""
    made, model = one_track(np.array([1e4, 0, 9e3, 100.0, 0, 0]), a_covariance(np.random.default_rng(seed)))
    out, held, zero, t_s = np.zeros(1, show.TRACK_ROW), np.zeros(1, show.HELD_ROW), np.zeros(1, np.int64), 0.0
    before = np.linalg.slogdet(state(made)[1])[1]
    for dt_s in steps:
        t_s += dt_s
        works = b.box(b.record(b.WORK_DTYPE))
        show.show(b.box(model), b.box(made.head), made.rows, round(t_s * 1e9), zero, held, out, np.empty(1, np.int64), works)
        after = np.linalg.slogdet(out["covariance"][0])[1]
        assert after >= before - 1e-9
        before = after


def test_the_kernels_rows_are_the_records_columns() -> None:
    """Kernels import no record, so they name the layouts of reports and tracks again: field for field the same."""
    assert measure.REPORT_ROW == REPORT_DTYPE
    assert show.TRACK_ROW == TRACK_DTYPE


@pytest.mark.parametrize("seed", range(30))
def test_assignment_equals_the_exact_solution_of_scipy(seed: int) -> None:
    """On random sparse clusters the total cost equals linear_sum_assignment's with a choice of nothing for every row."""
    from scipy.optimize import linear_sum_assignment  # takes longer to import than most tests to run

    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(1, 14)), int(rng.integers(1, 14))
    dense = np.where(rng.random((n, m)) < 0.5, rng.normal(-3, 4, (n, m)), np.inf)
    start = np.concatenate([[0], np.cumsum(np.isfinite(dense).sum(1))]).astype(np.int64)
    column, cost = np.nonzero(np.isfinite(dense))[1].astype(np.int64), dense[np.isfinite(dense)]
    chosen = choose(start, column, cost, m)
    taken = column[chosen[chosen >= 0]]
    assert len(np.unique(taken)) == len(taken)
    whole = np.concatenate([np.where(np.isfinite(dense), dense, 1e6), np.zeros((n, n))], axis=1)
    i, j = linear_sum_assignment(whole)
    assert cost[chosen[chosen >= 0]].sum() == pytest.approx(whole[i, j].sum(), abs=1e-9)


def joint_marginals(weight: Any) -> Any:
    """Marginals of every pair by enumerating all joint events; row choice -1 is a miss of weight one."""
    n, m = weight.shape
    out, total = np.zeros((n, m)), 0.0
    for event in itertools.product(range(-1, m), repeat=n):
        used = [j for j in event if j >= 0]
        if len(set(used)) < len(used):
            continue
        w = np.prod([weight[i, j] for i, j in enumerate(event) if j >= 0])
        total += w
        for i, j in enumerate(event):
            if j >= 0:
                out[i, j] += w
    return out / total


@pytest.mark.parametrize("seed", range(12))
def test_belief_propagation_is_near_the_joint_marginals(seed: int) -> None:
    """On small clusters the marginals are within 0.08 of the enumerated ones, and exact where the pairs form a tree."""
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    weight = rng.lognormal(0.5, 1.0, (n, m))
    start, column = np.arange(0, n * m + 1, m, dtype=np.int64), np.tile(np.arange(m), n).astype(np.int64)
    beta = np.empty(n * m)
    marginals(start, column, weight.ravel(), m, 1e-12, beta)
    exact = joint_marginals(weight)
    assert np.abs(beta.reshape(n, m) - exact).max() < (1e-9 if min(n, m) == 1 else 0.08)


def test_smoothing_equals_stone_soup() -> None:
    """The backward pass over a filtered constant-velocity track equals Stone Soup's smoother to 1e-9."""
    from stonesoup.models.transition.linear import CombinedLinearGaussianTransitionModel, ConstantVelocity  # noqa: TID251 - the oracle
    from stonesoup.predictor.kalman import KalmanPredictor  # noqa: TID251 - the oracle
    from stonesoup.smoother.kalman import KalmanSmoother  # noqa: TID251 - the oracle
    from stonesoup.types.hypothesis import SingleHypothesis  # noqa: TID251 - the oracle
    from stonesoup.types.track import Track  # noqa: TID251 - the oracle
    from stonesoup.types.update import GaussianStateUpdate  # noqa: TID251 - the oracle

    rng = np.random.default_rng(3)
    t_ns = np.array([0, 4, 9, 11, 15], np.int64) * 1_000_000_000
    mean, covariance = rng.normal(0, 100, (5, 6)), np.array([a_covariance(rng) for _ in range(5)])
    ours = smooth(t_ns, mean, covariance, Q)
    order = [0, 3, 1, 4, 2, 5]
    transition = CombinedLinearGaussianTransitionModel([ConstantVelocity(Q)] * 3)
    states = []
    for k, t in enumerate(t_ns):
        when = T0 + dt.timedelta(seconds=int(t) // 10**9)
        ahead = KalmanPredictor(transition).predict(states[-1], timestamp=when) if states else None
        values = mean[k][order].reshape(-1, 1), covariance[k][np.ix_(order, order)]
        states.append(GaussianStateUpdate(*values, timestamp=when, hypothesis=SingleHypothesis(ahead, None)))
    path = Track(states)
    theirs = KalmanSmoother(transition).smooth(path)
    assert close(ours[0][0][order], np.asarray(theirs[0].mean, float).ravel(), EXACT)
    assert constant_velocity(2.0, 1.0)[0][0, 3] == 2.0


def test_a_published_point_converts_both_ways() -> None:
    """The example point of the EPSG guidance note 7-2 (2021, 4.1.1) converts to and from ECEF to a centimetre."""
    lat, lon = 53 + 48 / 60 + 33.82 / 3600, 2 + 7 / 60 + 46.38 / 3600
    ecef = geodesy.geodetic_to_ecef(lat, lon, 73.0)
    assert np.abs(ecef - [3771793.968, 140253.342, 5124304.349]).max() < 0.2
    assert np.abs(geodesy.ecef_to_geodetic(ecef) - [lat, lon, 73.0]).max() < 1e-8


@settings(max_examples=200, deadline=None)
@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(-12_000, 4e7))
def test_geodetic_conversion_is_its_own_inverse(lat: float, lon: float, alt: float) -> None:
    """Any place converts to ECEF and back to within a micrometre, poles and date line included."""
    ecef = geodesy.geodetic_to_ecef(lat, lon, alt)
    assert np.abs(geodesy.geodetic_to_ecef(*geodesy.ecef_to_geodetic(ecef)) - ecef).max() < 1e-6


def test_cached_kernels_carry_the_stamp_of_what_they_call() -> None:
    """A kernel module's stamp covers the modules below it, and is the one its cache files are checked against."""
    assert jit.sources_stamp("engine")[1] > jit.sources_stamp("motion")[1] > jit.sources_stamp("geodesy")[1]
    assert engine.run_frames._cache._cache_file._source_stamp == jit.sources_stamp("engine")


def test_a_warm_cache_starts_quickly() -> None:
    """A new process tracks, confirms and loses with kernels from the cache alone: what was warmed is what is called."""
    code = (
        "import numpy as np\n"
        "from track_cases import LINES_OF_TWO, T0_NS, S_NS, feed, radar_plots, tracker\n"
        "from trilat.kernels import engine, intake, show\n"
        "made = tracker()\n"
        "feed(made, radar_plots(LINES_OF_TWO, 60, np.random.default_rng(1)))\n"
        "made.step(T0_NS + 300 * S_NS, [])\n"
        "print(sorted({event.kind for event in made.events}))\n"
        "for module in (engine, intake, show):\n"
        "    for name, one in sorted(vars(module).items()):\n"
        "        if getattr(getattr(one, 'stats', None), 'cache_misses', None):\n"
        "            print(name)\n"
    )
    subprocess.run([sys.executable, "-m", "trilat.kernels.warm"], check=True)
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1] / "track")}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ).stdout
    assert said.splitlines() == ["['confirmed', 'deleted']"]


def joint_events(at: Any, weight: Any, cost: Any, quiet: Any) -> list[tuple[float, int, tuple[int, ...]]]:
    """Every joint event of every hypothesis by enumeration, best first: its price, its parent, the plot of each track."""
    found = []
    for p, leaves in enumerate(at):
        choices = [[-1, *np.flatnonzero(cost[k] <= NO_CHOICE).tolist()] for k in leaves]
        for pick in itertools.product(*choices):
            used = [j for j in pick if j >= 0]
            if len(set(used)) == len(used):
                price = -weight[p] + sum((cost[k, j] if j >= 0 else 0.0) - quiet[k] for k, j in zip(leaves, pick, strict=True))
                found.append((float(price), p, pick))
    return sorted(found)


@pytest.mark.parametrize("seed", range(12))
def test_the_likeliest_joint_events_equal_their_enumeration(seed: int) -> None:
    """Of three hypotheses of four tracks the best events are found, in order, with their prices, and none that is likelier is left."""
    rng = np.random.default_rng(seed)
    at, weight = 2 * np.arange(4) + rng.integers(0, 2, (3, 4)), np.sort(rng.normal(0.0, 2.0, 3))[::-1].copy()
    cost, quiet = rng.normal(-1.0, 4.0, (8, 4)), np.log(rng.uniform(0.05, 0.9, 8))
    price, parent, pick = events(at, weight, cost, quiet, 4)
    wanted = joint_events(at, weight, cost, quiet)[: b.HYPOTHESES]
    wanted = [one for one in wanted if one[0] <= wanted[0][0] + WIDTH]
    assert price == pytest.approx([one[0] for one in wanted], abs=1e-9)
    assert [(int(p), tuple(x.tolist())) for p, x in zip(parent, pick, strict=True)] == [one[1:] for one in wanted]


def test_what_was_shown_goes_on_being_shown_first() -> None:
    """The likeliest event that goes on from the hypothesis shown is put first, the others keep their order."""
    picked, price = np.array([[1], [0]]), np.array([1.0, 2.0, 3.0, 4.0])
    parent, pick = np.array([0, 0, 1, 1]), np.arange(4)[:, None].copy()
    first: Any = show_first.py_func  # type: ignore[attr-defined]  # compiled for other kernels alone
    assert first(picked, price, parent, pick)
    assert pick.ravel().tolist() == [2, 0, 1, 3]
    assert price.tolist() == [3.0, 1.0, 2.0, 4.0]
    assert not first(picked[:1], price, np.zeros(4, np.int64), pick)


def test_the_gates_own_bearing_is_as_good_as_it_says() -> None:
    """The quick arctangent differs from the true one by no more than the bound that the gate's windows allow for it."""
    quick, error = gate._bearing.py_func, 0.0
    for true in np.linspace(-np.pi, np.pi, 20_001):
        off = quick(3.0 * np.sin(true), 3.0 * np.cos(true)) - true
        error = max(error, abs(off - 2.0 * np.pi * np.round(off / (2.0 * np.pi))))
    assert 1e-6 < error <= gate.BEARING_ERROR_RAD
    assert quick(0.0, 0.0) == 0.0
