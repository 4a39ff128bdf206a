"""Stored tracks smoothed as each domain moves: exact where an exact answer exists, and nearer to the truth in every phase."""

from __future__ import annotations

import datetime as dt
import sys
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import track_cases as cases
from track_cases import RADAR, S_NS, SMALL, T0_NS, Line, radar_plots, reports, tracker

from trilat.kernels import arc, geodesy
from trilat.kernels import bank as b
from trilat.track import Tracker, TrackerSettings, smoothed, smoothed_columns, track_table
from trilat.track.settings import build_model
from trilat.track.smooth import MODES_DTYPE, constant_velocity, smooth_modes

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from scenarios import missiles
from smoothing import PHASES, errors_of, run, stretches

EXACT = 1e-9
NOISE, SIGMA_M = 0.7, 30.0


def one_mode(noise: float = NOISE) -> Any:
    """Return a model of one mode alone: nearly constant velocity, flat world."""
    model = build_model(TrackerSettings(domains=("air",), earth="flat"))
    model["modes"][0], model["kind"][0, 0], model["noise"][0, 0] = 1, b.CV, (noise, noise, 0.0, 0.0)
    return model


def rows_of(t_ns: Any, mean: Any, covariance: Any, key: int = 7) -> Any:
    """Return stored states of one mode."""
    out = np.zeros(len(t_ns), MODES_DTYPE)
    out["number"], out["key"], out["mu"][:, 0] = 1, key, 1.0
    out["t_ns"] = out["updated_t_ns"] = out["state_t_ns"] = t_ns
    out["x"][:, 0, :6] = mean
    for r in range(6):
        for c in range(r + 1):
            out["P"][:, 0, b.AT[r, c]] = covariance[:, r, c]
    return out


@cache
def linear(seed: int = 5) -> tuple[Any, Any, Any, Any, Any]:
    """Return times s, plots of place, and what a Kalman filter makes of them: times ns, means, covariances; uneven times."""
    rng = np.random.default_rng(seed)
    t_s = np.cumsum(rng.choice([0.5, 1.0, 4.0, 11.0], 25))
    truth = np.array([4e4, -2e4, 9e3]) + t_s[:, None] * [210.0, -40.0, 3.0]
    plots = truth + rng.normal(0, SIGMA_M, truth.shape)
    x, p = np.r_[plots[0], np.zeros(3)], np.diag([SIGMA_M**2] * 3 + [200.0**2] * 3)
    means, covariances = [x], [p]
    look = np.eye(3, 6)
    for k in range(1, len(t_s)):
        f, q = constant_velocity(float(t_s[k] - t_s[k - 1]), NOISE)
        x, p = f @ x, f @ p @ f.T + q
        gain = p @ look.T @ np.linalg.inv(look @ p @ look.T + np.eye(3) * SIGMA_M**2)
        x, p = x + gain @ (plots[k] - look @ x), (np.eye(6) - gain @ look) @ p
        means.append(x)
        covariances.append((p + p.T) / 2)
    return t_s, plots, np.round(t_s * 1e9).astype(np.int64), np.array(means), np.array(covariances)


def test_one_linear_mode_equals_the_batch_solution() -> None:
    """Smoothed states and covariances equal the joint least-squares solution over all times, in information form, to 1e-9."""
    t_s, plots, t_ns, mean, covariance = linear()
    n = len(t_s)
    information, vector = np.zeros((6 * n, 6 * n)), np.zeros(6 * n)
    information[:6, :6] = np.diag([SIGMA_M**-2] * 3 + [200.0**-2] * 3)
    vector[:3] = plots[0] / SIGMA_M**2
    for k in range(1, n):
        f, q = constant_velocity(float(t_s[k] - t_s[k - 1]), NOISE)
        both, inside = np.concatenate([-f, np.eye(6)], axis=1), np.linalg.inv(q)
        here = slice(6 * k - 6, 6 * k + 6)
        information[here, here] += both.T @ inside @ both
        information[6 * k : 6 * k + 3, 6 * k : 6 * k + 3] += np.eye(3) / SIGMA_M**2
        vector[6 * k : 6 * k + 3] += plots[k] / SIGMA_M**2
    scale = np.tile([SIGMA_M] * 3 + [1.0] * 3, n)
    wide = np.linalg.inv(information * scale[:, None] * scale[None]) * scale[:, None] * scale[None]
    wanted = (wide @ vector).reshape(n, 6)
    got, spread = smooth_modes(rows_of(t_ns, mean, covariance), one_mode())
    assert np.abs(got - wanted).max() < EXACT * np.abs(wanted).max()
    for k in range(n):
        assert np.abs(spread[k] - wide[6 * k : 6 * k + 6, 6 * k : 6 * k + 6]).max() < EXACT * np.abs(wide).max()


def test_one_linear_mode_equals_stone_soups_smoother() -> None:
    """The same states through Stone Soup's Rauch-Tung-Striebel smoother, to 1e-9."""
    linear_models = pytest.importorskip("stonesoup.models.transition.linear")
    from stonesoup.predictor.kalman import KalmanPredictor  # noqa: TID251 - the oracle
    from stonesoup.smoother.kalman import KalmanSmoother  # noqa: TID251 - the oracle
    from stonesoup.types.hypothesis import SingleHypothesis  # noqa: TID251 - the oracle
    from stonesoup.types.track import Track  # noqa: TID251 - the oracle
    from stonesoup.types.update import GaussianStateUpdate  # noqa: TID251 - the oracle

    t_s, _, t_ns, mean, covariance = linear()
    order = [0, 3, 1, 4, 2, 5]
    transition = linear_models.CombinedLinearGaussianTransitionModel([linear_models.ConstantVelocity(NOISE)] * 3)
    states: list[Any] = []
    for k, t in enumerate(t_s):
        when = dt.datetime(2025, 1, 1) + dt.timedelta(seconds=float(t))  # noqa: DTZ001 - the peer's times bear no zone
        foreseen = KalmanPredictor(transition).predict(states[-1], timestamp=when) if states else None
        given = mean[k][order].reshape(-1, 1), covariance[k][np.ix_(order, order)]
        states.append(GaussianStateUpdate(*given, timestamp=when, hypothesis=SingleHypothesis(foreseen, None)))
    theirs = KalmanSmoother(transition).smooth(Track(states))
    got, spread = smooth_modes(rows_of(t_ns, mean, covariance), one_mode())
    for k, state in enumerate(theirs):
        there = np.asarray(state.mean, float).ravel()
        assert np.abs(got[k][order] - there).max() < EXACT * np.abs(there).max()
        assert np.abs(spread[k][np.ix_(order, order)] - state.covar).max() < EXACT * np.abs(state.covar).max()


def test_one_mode_is_never_left_wider_and_its_end_stays() -> None:
    """No direction's variance grows, and the last state is the filter's."""
    _, _, t_ns, mean, covariance = linear(6)
    got, spread = smooth_modes(rows_of(t_ns, mean, covariance), one_mode())
    scale = np.array([SIGMA_M] * 3 + [1.0] * 3)
    narrower = (covariance - spread) / scale[:, None] / scale[None]
    assert np.linalg.eigvalsh(narrower).min() > -EXACT
    assert np.linalg.eigvalsh(spread / scale[:, None] / scale[None]).min() > 0.0
    assert np.linalg.eigvalsh(narrower[:-1]).max(axis=1).min() > 0.01
    assert np.abs(got[-1] - mean[-1]).max() < EXACT * np.abs(mean[-1]).max()


@pytest.mark.parametrize(("which", "mode"), [(0, 0), (0, 1), (1, 1), (2, 0), (2, 1), (2, 2)])
def test_the_jacobian_is_that_of_the_motion(which: int, mode: int) -> None:
    """What the kernel gives as a mode's slope is how its moved state answers to a little more of each state, over one step and many."""
    model, flow = build_model(TrackerSettings()), (b.new_bank(0).rows, b.box(b.record(b.WORK_DTYPE)))
    place = geodesy.geodetic_to_ecef(36.0, 130.0, 35_000.0)
    kind = int(model["kind"][which, mode])
    extra = {b.TURN: [0.03, 0, 0], b.BOOST: [12.0, -9.0, 20.0], b.REENTRY: [8.2, 0, 0]}.get(kind, [0, 0, 0])
    steps = np.array([10.0] * 3 + [0.1] * 3 + ([0.1] * 3 if kind == b.BOOST else [1e-4] * 3))
    n = b.STATES_OF_MODEL[kind]
    base = np.concatenate([place, [900.0, -700.0, 1_100.0] if which == 2 else [150.0, 90.0, -60.0], extra])
    states = np.concatenate([base[None], base + np.diag(steps), base - np.diag(steps)])
    for seconds in (0.8, 5.0):
        x, p, f = states.copy(), np.zeros((19, b.PACKED)), np.empty((19, 9, 9))
        given = (np.full(19, which), np.full(19, mode), np.full(19, seconds))
        arc.ahead(b.box(model), *given, x, p, f, *flow)
        slope = ((x[1:10] - x[10:]) / (2 * steps[:, None])).T
        scale = steps[None, :n] / steps[:n, None]
        assert np.abs((f[0] - slope)[:n, :n] * scale).max() < 0.02 * np.abs(slope[:n, :n] * scale).max()
        assert (f[0][n:, n:] == np.eye(9 - n)).all()


@cache
def told(seed: int = 1, seconds: int = 60) -> tuple[Any, Any]:
    """Return what a tracker shows of two aircraft, step by step, and the modes behind it."""
    made, columns = Tracker(SMALL, (RADAR,), "test"), radar_plots(cases.LINES_OF_TWO, seconds, np.random.default_rng(seed))
    shown, modes = [], []
    for t in range(1, seconds + 1):
        part = columns[(columns["t_ns"] >= T0_NS + (t - 1) * S_NS) & (columns["t_ns"] < T0_NS + t * S_NS)]
        shown.append(made.step(T0_NS + t * S_NS, [reports(part)]).columns)
        modes.append(made.modes())
    return shown, modes


def alike(a: Any, c: Any) -> bool:
    """Tell whether two sets of paths are the same, byte for byte."""
    return list(a) == list(c) and all(x.tobytes() == y.tobytes() for k in a for x, y in zip(a[k], c[k], strict=True))


def test_what_is_stored_is_what_was_shown() -> None:
    """The modes' mixture at the time shown is the state shown; a path's last state is what the tracker said of it then."""
    shown, modes = told()
    rows, columns = np.concatenate(modes), np.concatenate(shown)
    assert (rows["number"].tolist(), rows["t_ns"].tolist()) == (columns["number"].tolist(), columns["t_ns"].tolist())
    paths = smoothed(modes, settings=SMALL)
    for number, (t_ns, mean, covariance) in paths.items():
        then = columns[(columns["number"] == number) & (columns["t_ns"] == t_ns[-1])][0]
        assert np.abs(mean[-1] - np.r_[then["position_m"], then["velocity_m_s"]]).max() < 1e-6
        assert np.abs(covariance[-1] - then["covariance"]).max() < 1e-6 * np.abs(then["covariance"]).max()
        assert then["updated_t_ns"] == columns["updated_t_ns"][columns["number"] == number].max()


def test_rows_in_any_order_give_the_same_paths() -> None:
    """Permuting the rows of a step, or of a whole history given at once, changes no byte; a state given twice changes none."""
    _, modes = told()
    rng, wanted = np.random.default_rng(3), smoothed(modes, settings=SMALL)
    assert alike(wanted, smoothed([rng.permutation(one) for one in modes], settings=SMALL))
    assert alike(wanted, smoothed([rng.permutation(np.concatenate(modes))], settings=SMALL))
    assert alike(wanted, smoothed([one for one in modes for _ in range(2)], settings=SMALL))
    shown, _ = told()
    assert alike(smoothed(shown), smoothed([rng.permutation(one) for one in shown]))


def test_of_two_states_of_one_time_the_later_given_counts() -> None:
    """A step made twice at one time leaves what the second said, which may know a report more."""
    _, modes = told()
    poorer = modes[30].copy()
    poorer["x"][:, :, 0] += 1e4
    again = [*modes[:30], poorer, *modes[30:]]
    assert alike(smoothed(modes, settings=SMALL), smoothed(again, settings=SMALL))


def test_paths_do_not_hang_on_one_another() -> None:
    """Each path alone is what it is among the others."""
    _, modes = told()
    together = smoothed(modes, settings=SMALL)
    for number in together:
        alone = smoothed([one[one["number"] == number] for one in modes], settings=SMALL)
        assert alike({number: together[number]}, alone)


def test_steps_left_out_are_bridged() -> None:
    """With two steps in three missing a path is still nearer to its aircraft than what was shown."""
    shown, modes = told()
    for number, (t_ns, mean, _) in smoothed(modes[::3], settings=SMALL).items():
        columns = np.concatenate(shown[::3])
        live = columns[columns["number"] == number][: len(t_ns)]
        if len(t_ns) < 10:  # a false plot's
            continue
        line = min(cases.LINES_OF_TWO, key=lambda one: float(np.linalg.norm(one.at(int(t_ns[-1])) - mean[-1, :3])))
        true = np.array([line.at(int(t)) for t in t_ns])
        own, was = (np.linalg.norm(place - true, axis=1) for place in (mean[:, :3], live["position_m"]))
        assert np.sqrt(np.mean(own**2)) < 0.6 * np.sqrt(np.mean(was**2))


def unseen(lines: list[Line]) -> tuple[Tracker, list[Any]]:
    """Return a tracker, and its modes step by step, that saw the first of some bodies not between 70 and 130 s."""
    rng = np.random.default_rng(2)
    first, *rest = (radar_plots([one], 200, rng) for one in lines)
    columns = np.concatenate([first[(first["t_ns"] < T0_NS + 70 * S_NS) | (first["t_ns"] > T0_NS + 130 * S_NS)], *rest])
    made, modes = tracker(), []
    for t in range(1, 201):
        part = columns[(columns["t_ns"] >= T0_NS + (t - 1) * S_NS) & (columns["t_ns"] < T0_NS + t * S_NS)]
        made.step(T0_NS + t * S_NS, [reports(part)])
        modes.append(made.modes())
    return made, modes


def test_a_number_given_back_is_smoothed_on_either_side_of_the_gap() -> None:
    """A flight lost for 60 s gets its number back: both parts are of one path, smoothed, and neither pulls at the other."""
    made, modes = unseen(cases.LINES_OF_TWO)
    stitched = [event.number for event in made.events if event.kind == "stitched"]
    assert len(stitched) == 1
    t_ns, mean, _ = smoothed(modes, settings=SMALL)[stitched[0]]
    assert (t_ns[0] < T0_NS + 70 * S_NS, t_ns[-1] > T0_NS + 190 * S_NS, (np.diff(t_ns) > 50 * S_NS).sum()) == (True, True, 1)
    first = smoothed([one for one in modes if len(one) and one["t_ns"][0] < T0_NS + 110 * S_NS], settings=SMALL)
    assert mean[: len(first[stitched[0]][0])].tobytes() == first[stitched[0]][1].tobytes()


def test_a_gap_that_the_filter_went_over_is_bridged() -> None:
    """Where nothing at all was heard for 60 s and the track itself took the next plot, its coasted states are made near as well."""
    line = cases.LINES_OF_TWO[0]
    _, modes = unseen([line])
    ((t_ns, mean, _),) = smoothed(modes, settings=SMALL).values()
    coasted = (t_ns > T0_NS + 75 * S_NS) & (t_ns < T0_NS + 130 * S_NS)
    live = np.concatenate(modes)
    live = live[(live["t_ns"] > T0_NS + 75 * S_NS) & (live["t_ns"] < T0_NS + 130 * S_NS)]
    seconds = (live["t_ns"] - live["state_t_ns"])[:, None] * 1e-9
    shown = ((live["x"][:, :, :3] + seconds[:, None] * live["x"][:, :, 3:6]) * live["mu"][:, :, None]).sum(axis=1)
    true = np.array([line.at(int(t)) for t in t_ns[coasted]])
    own, was = (np.sqrt(np.mean(np.sum((place - true) ** 2, axis=1))) for place in (mean[coasted, :3], shown))
    assert len(shown) == coasted.sum() > 10
    assert own < 0.4 * was


def test_singular_covariances_give_finite_paths() -> None:
    """States said to be exact, or exact in one direction, are smoothed to finite numbers and to covariances that are some."""
    _, _, t_ns, mean, covariance = linear()
    flat = covariance.copy()
    flat[:, 2] = flat[:, :, 2] = 0.0
    line = np.broadcast_to(np.outer([1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0]) * 100.0, flat.shape)
    for singular, noise in product((np.zeros_like(covariance), flat, line), (NOISE, 0.0)):
        got, spread = smooth_modes(rows_of(t_ns, mean, singular), one_mode(noise))
        assert np.isfinite(got).all()
        assert np.isfinite(spread).all()
        assert np.linalg.eigvalsh(spread).min() > -1e-6 * max(np.abs(spread).max(), 1.0)
        assert np.abs(got - mean).max() < 2e3


def test_what_cannot_be_smoothed_is_named() -> None:
    """Numbers that are not finite, times that fall, and missiles whose modes were not stored are refused by a sentence."""
    shown, modes = told()
    bad = [one.copy() for one in modes]
    bad[40]["x"][0, 0, 1] = np.nan
    with pytest.raises(ValueError, match=r"track \d+: its history holds numbers that are not finite"):
        smoothed(bad, settings=SMALL)
    with pytest.raises(ValueError, match="times of the history must rise"):
        smoothed(modes[::-1], settings=SMALL)
    missile = [one.copy() for one in shown]
    missile[-1]["domain"][:] = 3
    with pytest.raises(ValueError, match=r"give what Tracker\.modes returned"):
        smoothed(missile)
    for other in (modes[1:], [one[::-1] for one in modes]):
        with pytest.raises(ValueError, match="the modes are not those of the columns"):
            smoothed_columns(shown, other, SMALL)
    assert (smoothed([]), smoothed([modes[0][:0]]), smoothed_columns([], [], SMALL)) == ({}, {}, [])


def test_a_table_smoothed_has_the_rows_of_the_live_one() -> None:
    """`track_table(..., smooth=True)` gives the same tracks at the same times, nearer to where they were."""
    line = cases.LINES_OF_TWO[0]
    plots = radar_plots([line], 80, np.random.default_rng(7))
    table = {name: plots[name] for name in ("t_ns", "range_m", "azimuth_rad", "elevation_rad")}
    live, late = (track_table(table, RADAR, SMALL, smooth=smooth) for smooth in (False, True))
    assert (live["number"].tolist(), live["t_ns"].tolist()) == (late["number"].tolist(), late["t_ns"].tolist())
    true = geodesy.ecef_to_geodetic(np.array([line.at(int(t)) for t in live["t_ns"]]))
    off = [np.sqrt(np.mean((one["lat_deg"] - true[:, 0]) ** 2)) for one in (live, late)]
    assert off[1] < 0.6 * off[0]


def widening(runs: list[Any]) -> Any:
    """Return by how much the variance of the direction that grew most grew, for each state."""
    live, smooth = (np.concatenate([getattr(one, name) for one in runs]) for name in ("live_covariance", "smooth_covariance"))
    inverse = np.linalg.inv(np.linalg.cholesky(live))
    return np.linalg.eigvalsh(inverse @ smooth @ inverse.transpose(0, 2, 1))[:, -1]


@pytest.mark.parametrize("kind", ["straight", "turning", "climbing", "sea"])
def test_a_path_is_nearer_than_what_was_shown(kind: str) -> None:
    """Over fresh draws, place and velocity of aircraft and of a vessel with gaps are nearer to the truth, and honestly so."""
    runs = stretches(kind, range(20, 23))
    found = errors_of(runs)
    assert found["smooth"].place_wider < 0.01
    assert widening(runs).max() < (1.0001 if kind == "straight" else 100.0)
    assert found["smooth"].place_m < 0.8 * found["live"].place_m
    assert found["smooth"].speed_m_s < 0.7 * found["live"].speed_m_s
    assert found["smooth"].nees < max(1.0, found["live"].nees)


def test_missiles_are_nearer_in_every_phase() -> None:
    """Boost, coast and re-entry of a salvo: place and velocity, each smaller than live, and errors as large as they say."""
    runs = [run(one) for one in missiles([401], 8, "wgs84")]
    assert errors_of(runs)["smooth"].place_wider < 0.02
    assert widening(runs).max() < 100.0
    for k, phase in enumerate(PHASES):
        live, late = errors_of(runs, k).values()
        assert late.place_m < 0.8 * live.place_m, phase
        assert late.speed_m_s < 0.6 * live.speed_m_s, phase
        # In boost the last states before the motor stops may be taken for falling already, with the narrow errors of that.
        assert late.nees < (4.0 if phase == "boost" else 2.0), phase
