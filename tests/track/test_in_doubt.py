"""Decisions put off: what is in doubt is kept as hypotheses, in snapshots and checkpoints too, and is decided by what comes after."""

from typing import Any

import numpy as np
import pytest
from msgspec import structs
from track_cases import RADAR, S_NS, SMALL, T0_NS, Line, confirmed, feed, radar_plots, reports, tracker

from trilat.track import Tracker, TrackerSettings

ABREAST = [Line(40e3, 20e3 + 400.0 * k, 9e3, 200.0, 0.0) for k in range(5)]
ONE = (structs.replace(RADAR, detection_probability=0.7, clutter_per_scan=2.0),)
GNN = structs.replace(SMALL, association="gnn")


def seen(seed: int, seconds: float = 100.0) -> Any:
    """Five aircraft 400 m abreast, a third of their plots missing after the first 20 s."""
    rng = np.random.default_rng(seed)
    columns = radar_plots(ABREAST, seconds, rng)
    return columns[(columns["t_ns"] < T0_NS + 20 * S_NS) | (rng.random(len(columns)) < 0.7)]


def kept(made: Tracker) -> int:
    """How many leaves are kept beside those shown."""
    return int(made._bank.head["alternates"])


def run(settings: TrackerSettings, columns: Any, most: list[int] | None = None) -> Any:
    """Step a tracker every second; returns what it showed, and notes how many alternates it kept."""
    made, shown = tracker(settings, ONE), []
    for second in range(1, 101):
        now = T0_NS + second * S_NS
        part = columns[(columns["t_ns"] < now) & (columns["t_ns"] >= now - S_NS)]
        shown.append(made.step(now, [reports(part)]))
        if most is not None:
            most.append(kept(made))
    return shown


def errors_m(shown: Any) -> float:
    """Mean distance of bodies from their nearest track, at most 1 km each, over the second half."""
    off = []
    for tracks in shown[50:]:
        sure = confirmed(tracks)["position_m"]
        off += [min([1e3, *np.linalg.norm(sure - line.at(tracks.t_ns), axis=1).tolist()]) for line in ABREAST]
    return float(np.mean(off))


def test_what_is_in_doubt_is_kept_open_and_then_decided() -> None:
    """Hypotheses are kept while aircraft fly close and are missed now and then, within their bound, and none once they are gone."""
    most: list[int] = []
    run(SMALL, seen(1), most)
    assert 0 < max(most) <= 512
    assert min(most) == 0


def test_nearest_neighbours_keep_nothing_open() -> None:
    """Without hypotheses none is kept."""
    most: list[int] = []
    run(GNN, seen(1), most)
    assert max(most) == 0


def test_aircraft_abreast_are_followed_better_than_by_nearest_neighbours() -> None:
    """Over several draws the tracks are nearer to the aircraft than those that always take the likeliest plot."""
    draws = [seen(seed) for seed in range(6)]
    put_off, at_once = (np.mean([errors_m(run(s, c)) for c in draws]) for s in (SMALL, GNN))
    assert put_off < at_once


@pytest.mark.parametrize("seed", [1, 2])
def test_late_reports_give_the_same_tracks_while_hypotheses_are_kept(seed: int) -> None:
    """Every second report 15 s late ends in the states of an in-order arrival, from snapshots that hold alternates."""
    columns = seen(seed)
    due = columns["t_ns"] + np.where(np.arange(len(columns)) % 2, 15 * S_NS, 0)
    late, most = tracker(SMALL, ONE), 0
    for second in range(1, 117):
        now = T0_NS + second * S_NS
        late.step(now, [reports(columns[(due < now) & (due >= now - S_NS)])])
        most = max(most, kept(late))
    in_order = tracker(SMALL, ONE)
    feed(in_order, columns)
    assert most > 0
    key = ["position_m", "velocity_m_s", "covariance", "existence", "updated_t_ns"]
    a, b = (confirmed(one.step(T0_NS + 116 * S_NS, [])) for one in (in_order, late))
    a, b = a[np.argsort(a["position_m"][:, 0])], b[np.argsort(b["position_m"][:, 0])]
    assert len(a) > 0
    assert [a[name].tobytes() for name in key] == [b[name].tobytes() for name in key]


def test_a_checkpoint_goes_on_with_its_hypotheses() -> None:
    """Restored while hypotheses are kept, a tracker goes on byte for byte as the one that was never stopped."""
    columns = seen(1)
    going, restored, between = tracker(SMALL, ONE), tracker(SMALL, ONE), 0
    for second in range(1, 101):
        now = T0_NS + second * S_NS
        part = reports(columns[(columns["t_ns"] < now) & (columns["t_ns"] >= now - S_NS)])
        own = going.step(now, [part])
        if between:
            assert restored.step(now, [part]).columns.tobytes() == own.columns.tobytes()
        elif second > 40 and kept(going):
            restored.restore(going.checkpoint())
            between = second
    assert 0 < between < 90
