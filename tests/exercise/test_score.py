"""Scores equal those of Stone Soup and of the reference benchmark, and hold what their definitions say."""

from __future__ import annotations

import datetime as dt
import importlib
import importlib.util
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trilat.exercise.score import Association, Estimates, consistency, gospa, normalised_squares, ospa, score, siap, t_gospa

SIX_DIGITS = 1e-6
BENCH = Path(__file__).parents[3] / "shared" / "bench" / "metrics.py"
BEGIN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def scene(seed: int, truths: int = 8, scans: int = 12) -> tuple[Any, ...]:
    """Make truths in flight, some born late or gone early, and tracks of them with gaps, number changes and false ones."""
    g = np.random.default_rng(seed)
    t = np.arange(scans) * 2.0
    start, velocity = g.uniform(-5_000, 5_000, (truths, 3)), g.normal(0, 150, (truths, 3))
    position = start[:, None] + velocity[:, None] * t[None, :, None]
    speeds = np.broadcast_to(velocity[:, None], position.shape).copy()
    alive = np.ones((truths, scans), bool)
    alive[0, :4] = alive[1, -3:] = False
    found = []
    for k in range(scans):
        here = [i for i in range(truths) if alive[i, k] and g.random() < 0.85]
        ids = [100 + i if k < scans // 2 or i % 3 else 200 + i for i in here]
        spot = position[here, k] + g.normal(0, 120, (len(here), 3))
        false = g.uniform(-5_000, 5_000, (2, 3))
        found.append(
            Estimates(
                np.array([*ids, 900, 901]),
                np.concatenate([spot, false]),
                np.concatenate([speeds[here, k] + 5.0, np.zeros((2, 3))]),
            )
        )
    return t, position, speeds, alive, found


def stretches(alive: Any, found: list[Estimates], position: Any) -> list[Association]:
    """Associate a track with a truth while it is within 600 m of it."""
    near: dict[tuple[int, int], list[int]] = {}
    for k, e in enumerate(found):
        for row, track in enumerate(e.track_id.tolist()):
            for i in np.flatnonzero(alive[:, k]).tolist():
                if np.linalg.norm(e.position_m[row] - position[i, k]) < 600.0:
                    near.setdefault((i, track), []).append(k)
    out = []
    for (i, track), scans in near.items():
        for _, run in itertools.groupby(enumerate(scans), key=lambda x: x[1] - x[0]):
            held = [k for _, k in run]
            out.append(Association(i, track, held[0], held[-1]))
    return out


@pytest.fixture(scope="module")
def soup() -> Any:
    """Give Stone Soup's parts; the test is skipped where the extra is not installed."""
    pytest.importorskip("stonesoup", reason="the extra `compare` is not installed")
    places = {
        "measures": ["Euclidean"],
        "metricgenerator.manager": ["MultiManager"],
        "metricgenerator.ospametric": ["GOSPAMetric", "OSPAMetric"],
        "metricgenerator.tracktotruthmetrics": ["SIAPMetrics"],
        "types.association": ["AssociationSet", "TimeRangeAssociation"],
        "types.groundtruth": ["GroundTruthPath", "GroundTruthState"],
        "types.state": ["State"],
        "types.time": ["TimeRange"],
        "types.track": ["Track"],
    }
    return {
        name: getattr(importlib.import_module(f"stonesoup.{place}"), name) for place, names in places.items() for name in names
    }


def paths(soup: Any, scenery: tuple[Any, ...]) -> tuple[dict[int, Any], dict[int, Any], list[dt.datetime]]:
    """Give a scene as Stone Soup's ground truth paths and tracks (states x, vx, y, vy, z, vz)."""
    t, position, speeds, alive, found = scenery
    times = [BEGIN + dt.timedelta(seconds=float(s)) for s in t]
    truths = {
        i: soup["GroundTruthPath"](
            [
                soup["GroundTruthState"](np.stack([position[i, k], speeds[i, k]], axis=1).ravel(), timestamp=times[k])
                for k in np.flatnonzero(alive[i])
            ]
        )
        for i in range(len(alive))
    }
    states: dict[int, list[Any]] = {}
    for k, e in enumerate(found):
        for row, track in enumerate(e.track_id.tolist()):
            vector = np.stack([e.position_m[row], e.velocity_m_s[row]], axis=1).ravel()
            states.setdefault(track, []).append(soup["State"](vector, timestamp=times[k]))
    return truths, {track: soup["Track"](held) for track, held in states.items()}, times


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_gospa_and_ospa_equal_stone_soup(soup: Any, seed: int) -> None:
    """GOSPA with its parts and OSPA equal Stone Soup's, scan by scan, to six digits."""
    scenery = scene(seed)
    _, position, _, alive, found = scenery
    truths, tracks, _ = paths(soup, scenery)
    measure = soup["Euclidean"]((0, 2, 4))
    theirs = soup["GOSPAMetric"](p=2, c=800.0, measure=measure)
    others = soup["OSPAMetric"](p=2, c=800.0, measure=measure)
    manager = soup["MultiManager"]([theirs, others])
    manager.add_data({"groundtruth_paths": set(truths.values()), "tracks": set(tracks.values())})
    scored = {name: metric for one in manager.generate_metrics().values() for name, metric in one.items()}
    for k, metric in enumerate(next(v for n, v in scored.items() if "GOSPA" in n).value):
        ours = gospa(position[alive[:, k], k], found[k].position_m, 800.0)
        parts = metric.value
        expected = (parts["distance"], parts["localisation"], parts["missed"], parts["false"])
        got = (ours.distance_m, ours.localisation_m2, ours.missed * 800.0**2 / 2, ours.false * 800.0**2 / 2)
        assert expected == pytest.approx(got, rel=SIX_DIGITS, abs=1e-9)
    for k, metric in enumerate(next(v for n, v in scored.items() if n.startswith("OSPA")).value):
        assert metric.value == pytest.approx(ospa(position[alive[:, k], k], found[k].position_m, 800.0), rel=SIX_DIGITS)


@pytest.mark.parametrize("seed", range(8))
def test_ospa_and_gospa_are_the_least(seed: int) -> None:
    """In a crowd OSPA and GOSPA are those of scipy's exact assignment of squares; Stone Soup's OSPA is of another there."""
    from scipy.optimize import linear_sum_assignment

    g = np.random.default_rng(seed)
    n, m = g.integers(10, 30, 2).tolist()
    x, y = g.normal(0, 300, (n, 3)), g.normal(0, 300, (m, 3))
    squared = np.minimum(np.linalg.norm(x[:, None] - y[None], axis=2), 500.0) ** 2
    total = squared[linear_sum_assignment(squared)].sum()
    assert np.sqrt((total + 500.0**2 * abs(n - m)) / max(n, m)) == pytest.approx(ospa(x, y, 500.0), rel=1e-12)
    assert np.sqrt(total + 500.0**2 / 2 * abs(n - m)) == pytest.approx(gospa(x, y, 500.0).distance_m, rel=1e-12)


def test_siap_refuses_what_is_not_there() -> None:
    """An association beyond a life is refused, not scored with another track's places; no scans at all are no fault."""
    t, position, speeds, alive, found = scene(1)
    track = int(found[0].track_id[0])
    for wrong in (
        Association(2, 10**6, 0, 1),
        Association(0, track, 0, 1),
        Association(2, track, 0, 99),
        Association(99, track, 0, 1),
    ):
        with pytest.raises(ValueError, match="not there in every one of its scans"):
            siap(t, position, speeds, alive, found, [wrong])
    gap = [e._replace(track_id=e.track_id + 1000 * (k == 1)) for k, e in enumerate(found[:3])]
    with pytest.raises(ValueError, match=f"track={track}.*is not there"):
        siap(t[:3], position[:, :3], speeds[:, :3], alive[:, :3], gap, [Association(track % 100, track, 0, 2)])
    assert siap(t[:0], position[:, :0], speeds[:, :0], alive[:, :0], [], [])["C"] == 0.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_siap_equals_stone_soup(soup: Any, seed: int) -> None:
    """All seven SIAP figures equal Stone Soup's of the same associations, to six digits."""
    scenery = scene(seed)
    t, position, speeds, alive, found = scenery
    truths, tracks, times = paths(soup, scenery)
    held = [a for a in stretches(alive, found, position) if a.last > a.first]  # one scan is no time range there
    made = soup["SIAPMetrics"](position_measure=soup["Euclidean"]((0, 2, 4)), velocity_measure=soup["Euclidean"]((1, 3, 5)))
    manager = soup["MultiManager"]([made])
    manager.add_data({"groundtruth_paths": set(truths.values()), "tracks": set(tracks.values())})
    manager.association_set = soup["AssociationSet"](
        {
            soup["TimeRangeAssociation"]({truths[a.truth], tracks[a.track]}, soup["TimeRange"](times[a.first], times[a.last]))
            for a in held
        }
    )
    scored = next(iter(manager.generate_metrics().values()))
    names = {
        "C": "Completeness",
        "A": "Ambiguity",
        "S": "Spuriousness",
        "PA": "Position Accuracy",
        "VA": "Velocity Accuracy",
        "R": "Rate of Track Number Change",
        "LS": "Longest Track Segment",
    }
    expected = {key: scored[f"SIAP {name}"].value for key, name in names.items()}
    assert expected == pytest.approx(siap(t, position, speeds, alive, found, held), rel=SIX_DIGITS)


@pytest.mark.skipif(not BENCH.exists(), reason="the reference benchmark is not beside the repository")
def test_scores_equal_the_benchmarks() -> None:
    """GOSPA, its parts, SIAP and number changes equal the reference benchmark's own code."""
    spec = importlib.util.spec_from_file_location("bench_metrics", BENCH)
    assert spec is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)  # type: ignore[union-attr]
    t, position, speeds, alive, found = scene(4, 30, 20)
    arrays = {"scan_t": t, "truth_pos": position, "truth_vel": speeds, "truth_alive": alive}
    expected = bench.evaluate(arrays, [tuple(e) for e in found], 900.0, 5.0)
    ours = score(t, position, speeds, alive, found, 900.0, 5.0)
    assert [expected[k] for k in ("gospa", "gospa_norm", "loc_rmse", "missed", "false", "id_changes")] == pytest.approx(
        [ours[k] for k in ("gospa_m", "gospa_normalised_m", "localisation_rmse_m", "missed", "false", "id_changes")]
    )
    assert [expected[k] for k in ("C", "A", "S", "PA", "VA", "LS")] == pytest.approx(
        [ours["siap"][k] for k in ("C", "A", "S", "PA", "VA", "LS")]
    )


def exhaustive(truth: Any, alive: Any, found: list[Estimates], c: float, gamma: float) -> float:
    """Give T-GOSPA by trying every sequence of assignments (dynamic programme over them): small cases only."""
    ids = sorted({t for e in found for t in e.track_id.tolist()})
    n = len(alive)
    options = [
        o
        for o in itertools.product([None, *range(len(ids))], repeat=n)
        if len({x for x in o if x is not None}) == sum(x is not None for x in o)
    ]
    best = dict.fromkeys(options, 0.0)
    for k, e in enumerate(found):
        place = dict(zip(e.track_id.tolist(), e.position_m, strict=True))

        def cost(option: Any, k: int = k, place: Any = place) -> float:
            total, used = 0.0, set()
            for i, j in enumerate(option):
                there = j is not None and ids[j] in place
                if alive[i, k] and there:
                    total += min(float(np.linalg.norm(truth[i, k] - place[ids[j]])), c) ** 2
                    used.add(j)
                elif there:
                    total += c**2 / 2
                    used.add(j)
                elif alive[i, k]:
                    total += c**2 / 2
            return total + c**2 / 2 * sum(j not in used for j, t in enumerate(ids) if t in place)

        def turn(a: Any, b: Any) -> float:
            return sum(gamma**2 / 2 * ((x is not None) + (y is not None)) for x, y in zip(a, b, strict=True) if x != y)

        before = best if k else dict.fromkeys(options, 0.0)
        best = {o: cost(o) + (min(before[a] + turn(a, o) for a in options) if k else 0.0) for o in options}
    return float(np.sqrt(min(best.values())))


@pytest.mark.parametrize("seed", range(6))
def test_t_gospa_is_the_least_over_all_assignments(seed: int) -> None:
    """T-GOSPA equals the least cost over every sequence of assignments, where crossing targets make numbers swap."""
    g = np.random.default_rng(seed)
    t = np.arange(6.0)
    position = np.stack(
        [np.stack([t * 100, g.normal(0, 60) + 0 * t, 0 * t], axis=1), np.stack([t * 100, 300 - t * 110, 0 * t], axis=1)]
    )
    alive = np.ones((2, 6), bool)
    alive[1, 0] = False
    found = []
    for k in range(6):
        order = [0, 1] if k < 3 or seed % 2 else [1, 0]
        keep = [i for i in order if g.random() < 0.9]
        found.append(
            Estimates(
                np.array([7, 9][: len(keep)]), position[keep, k] + g.normal(0, 40, (len(keep), 3)), np.zeros((len(keep), 3))
            )
        )
    for gamma in (50.0, 200.0, 500.0):
        got = t_gospa(position, alive, found, 400.0, gamma)
        assert exhaustive(position, alive, found, 400.0, gamma) == pytest.approx(got.distance_m, rel=1e-6), (seed, gamma)
        assert got.distance_m**2 == pytest.approx(got.localisation_m2 + got.missed_m2 + got.false_m2 + got.switch_m2, rel=1e-9)


def test_a_swap_costs_one_switch_each() -> None:
    """Two far targets whose numbers are swapped once cost two switches, and nothing else."""
    position = np.zeros((2, 4, 3))
    position[1, :, 0] = 50_000.0
    found = [Estimates(np.array([1, 2] if k < 2 else [2, 1]), position[:, k], np.zeros((2, 3))) for k in range(4)]
    got = t_gospa(position, np.ones((2, 4), bool), found, 500.0, 100.0)
    assert (2.0, np.sqrt(2 * 100.0**2)) == pytest.approx((got.switches, got.distance_m))


def test_without_switches_t_gospa_is_the_sum_of_gospa() -> None:
    """With a switch that costs nothing T-GOSPA squared is the sum of GOSPA squared over the scans."""
    _, position, _, alive, found = scene(7)
    each = [gospa(position[alive[:, k], k], found[k].position_m, 800.0).distance_m ** 2 for k in range(len(found))]
    assert sum(each) == pytest.approx(t_gospa(position, alive, found, 800.0, 0.0).distance_m ** 2)


def test_empty_sets_score() -> None:
    """No truth, no track or neither is scored without a special case."""
    none, one = np.zeros((0, 3)), np.zeros((1, 3))
    assert (0.0, 100.0, 100.0) == (ospa(none, none, 100.0), ospa(one, none, 100.0), ospa(none, one, 100.0))
    empty = [Estimates(np.zeros(0, np.int64), none, none)]
    got = t_gospa(np.zeros((1, 1, 3)), np.ones((1, 1), bool), empty, 100.0, 10.0)
    assert (got.missed_m2, got.distance_m) == pytest.approx((5_000.0, np.sqrt(5_000.0)))
    assert 0.0 == t_gospa(np.zeros((0, 1, 3)), np.ones((0, 1), bool), empty, 100.0, 10.0).distance_m


def test_consistency_tells_honest_from_over_confident() -> None:
    """Errors drawn from their covariance are called honest; the same with a quarter of the covariance are not."""
    g = np.random.default_rng(3)
    a = g.normal(size=(6, 6))
    covariance = np.broadcast_to(a @ a.T + np.eye(6), (4_000, 6, 6))
    error = g.multivariate_normal(np.zeros(6), covariance[0], 4_000)
    honest = consistency(normalised_squares(error, covariance), 6, 0.999)
    proud = consistency(normalised_squares(error, covariance / 4), 6, 0.999)
    assert (True, False) == (honest.honest, proud.honest)
    assert 4.0 == pytest.approx(proud.per_dimension / honest.per_dimension)
    assert honest.low < 1.0 < honest.high
