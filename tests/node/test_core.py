"""The nodes' fusion: tiers mixed into one tracker, biases and misfits per audience, in a world where nobody is told who is who."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from trilat.cli.bench_fusion import PERFECT, Network
from trilat.cli.bench_fusion_world import T0_NS, Node, Real, Tally, label_of, make_real_world, measure_real
from trilat.joint.tier import TierTracker
from trilat.joint.watch import SensorWatch
from trilat.records.report import Pedigree, Plot
from trilat.track import Tracker, TrackerSettings
from trilat.track.library import batch

AIR = TrackerSettings(domains=("air",))
SMALL = {"nodes": 3, "exchange_s": 5, "targets": 12, "seconds": 150, "seed": 3}
DEG = np.pi / 180


@pytest.mark.parametrize(("tier", "most"), [("plot", 1.02), ("tracklet", 1.10), ("track", 1.25)])
def test_tiers_lose_little_with_real_association(tier: str, most: float) -> None:
    """Turns, false plots and nobody told who is who: plots and tracklets are near one tracker with every plot, tracks not far."""
    got = measure_real(tier, **SMALL, network=PERFECT, real=Real())
    assert got["ratio"] <= most, got
    assert got["nees"] <= 1.2, got
    assert got["missed"] + got["false"] <= 0.5, got


def test_late_and_repeated_items_lose_nothing() -> None:
    """Tracklets that come twice or three seconds late add no track and no false certainty; what is not there yet costs its share."""
    got = measure_real("tracklet", **SMALL, network=Network(late_s=3, duplicates=0.3, relay_loop=True), real=Real())
    assert got["ratio"] <= 1.35, got
    assert got["nees"] <= 1.2, got
    assert got["false"] <= 0.2, got


def test_mixed_tiers_are_honest() -> None:
    """A node with its own plots, one partner's plots and another's tracklets is as near as one tracker with all, and as honest."""
    world = make_real_world(3, 12, 150, 4, Real())
    me = Node(0, world.radars, "plot", AIR)
    others = [Node(1, world.radars, "plot", AIR), Node(2, world.radars, "tracklet", AIR)]
    central, best, tally = Tracker(AIR, world.radars, "central"), Tally(), Tally()
    for t, plots in enumerate(world.plots[1:], 1):
        now_ns = T0_NS + t * 10**9
        for k, columns in plots:
            columns["sensor"] = 0
            if k:
                others[k - 1].look(now_ns, [columns])
        mine = me.look(now_ns, [c for k, c in plots if k == 0])
        received = [(one.nation, one.message(now_ns)) for one in others] if t % 5 == 0 else []
        shown = me.step(now_ns, mine, received)
        parts = []
        for k, columns in plots:
            parts.append(columns.copy())
            parts[-1]["sensor"] = k
        all_of_them = central.step(now_ns, [batch(p) for p in parts]).columns
        if t > 60 and t % 5 == 0:
            tally.add(world.truth[t], shown)
            best.add(world.truth[t], all_of_them)
    assert tally.figures()["rmse_m"] <= 1.03 * best.figures()["rmse_m"], (tally.figures(), best.figures())
    assert 0.3 <= tally.figures()["nees"] <= 1.2, tally.figures()
    assert {} == dict(me.core.refused)


def test_a_partners_first_plots_part_no_track_of_the_picture() -> None:
    """When a partner begins to send plots, after any time, every target stays one symbol with its number, then and later."""
    world = make_real_world(2, 12, 90, 5, Real(turning=0.0))
    me, other = Node(0, world.radars, "plot", AIR), Node(1, world.radars, "plot", AIR)
    stood: set[int] = set()
    for t, plots in enumerate(world.plots[1:], 1):
        now_ns = T0_NS + t * 10**9
        other.look(now_ns, [c for k, c in plots if k == 1])
        own = me.look(now_ns, [c for k, c in plots if k == 0])
        sent = [one for _, one in other.message(now_ns)]
        core = me.core.step(now_ns, me.national.step(now_ns, own), own, {other.nation: sent} if t > 45 else {})
        shown = set(me.combiner.step(now_ns, core).tracks.columns["number"].tolist())
        assert stood <= shown, (t, sorted(stood - shown))
        assert len(shown) <= len(world.truth[t]) + 1, (t, len(shown))
        stood = shown if t == 40 else stood
    assert len(stood) >= 10


def test_what_is_not_a_partners_is_refused_by_name() -> None:
    """A bearing without a place, another nation's pedigree, an unknown model and a flat ellipsoid are counted; the rest is used."""
    world = make_real_world(2, 5, 5, 1, Real())
    me, other = Node(0, world.radars, "plot", AIR), Node(1, world.radars, "plot", AIR)
    for t, plots in enumerate(world.plots[1:], 1):
        other.look(T0_NS + t * 10**9, [c for k, c in plots if k == 1])
    (_, good), *_ = message = other.message(T0_NS + 5 * 10**9)
    bearing = Plot(t_ns=good.t_ns, sensor="R1", label=label_of("BBB"), pedigree=Pedigree(nation="BBB"), azimuth_rad=1.0)
    flat = msgspec.structs.replace(good, sigma_up_m=0.0)
    foreign = msgspec.structs.replace(good, pedigree=Pedigree(nation="CCC"))
    now_ns = T0_NS + 6 * 10**9
    me.core.step(now_ns, me.national.step(now_ns, []), [], {"BBB": [bearing, flat, foreign, *(one for _, one in message)]})
    assert {"place-unknown": 1, "sigma-not-positive": 1, "origin-not-partner": 1} == dict(me.core.refused)


# Biases and misfits ----------------------------------------------------------------------------------------------------------


def watched(seconds: int, spoil: Callable[[int, int, Any], Any], targets: int = 20) -> tuple[SensorWatch, Tracker, Any, Any]:
    """Run two radars of one nation through a watch and a tracker; spoil(sensor, second, plots) gives what the tracker gets."""
    world = make_real_world(3, targets, seconds, 7, Real(turning=0.0))
    sensors = [msgspec.structs.replace(one, nation="AAA", label=label_of("AAA")) for one in world.radars]
    watch, tracker = SensorWatch(sensors), Tracker(AIR, sensors, "AAA/national")
    tracks = tracker.step(T0_NS, [])
    for t, plots in enumerate(world.plots[1:], 1):
        now_ns = T0_NS + t * 10**9
        parts = []
        for k, columns in plots:
            columns["sensor"] = k
            parts.append(batch(spoil(k, t, columns), sensors[k].id))
        tracks = tracker.step(now_ns + 10**9, watch.take(now_ns, parts))
        watch.learn(now_ns, tracks, tracker.fit())
    return watch, tracker, tracks, world


def test_a_biased_radar_is_corrected_and_makes_no_second_tracks() -> None:
    """0.2 degrees and 100 m on one of three radars: what parts it from the others is found, taken off, and no track is double."""

    def spoil(k: int, _: int, columns: Any) -> Any:
        if k == 1:
            columns["azimuth_rad"] += 0.2 * DEG
            columns["range_m"] += 100.0
        return columns

    watch, _, tracks, world = watched(300, spoil)
    found = watch.registration.bias(1).value - watch.registration.bias(0).value
    assert found[1] == pytest.approx(0.2 * DEG, rel=0.25), found
    assert watch.states()["R1"].applied
    shown = tracks.columns[tracks.columns["status"] == 1]
    assert len(world.truth[0]) == len(shown)


def drift(k: int, t: int, columns: Any) -> Any:
    if k == 1:
        columns["range_m"] += 15.0 * max(t - 60, 0)
    return columns


def stuck(k: int, t: int, columns: Any) -> Any:
    if k == 1 and t > 60:
        columns["t_ns"] = T0_NS + 60 * 10**9
    return columns


def replays() -> Callable[[int, int, Any], Any]:
    kept: dict[int, Any] = {}

    def spoil(k: int, t: int, columns: Any) -> Any:
        if k != 1:
            return columns
        kept[t] = columns.copy()
        if t <= 100:
            return columns
        again = kept[t - 60].copy()
        again["t_ns"] = columns["t_ns"][0]
        return again

    return spoil


@pytest.mark.parametrize(
    ("spoil", "reasons"),
    [
        (drift, {"bias-drifts", "does-not-fit", "ghosts"}),
        (stuck, {"clock-stuck"}),
        (replays(), {"replayed", "ghosts", "does-not-fit"}),
    ],
    ids=["drifting bias", "stuck clock", "replayed minutes"],
)
def test_a_misfit_is_quarantined_and_harms_no_one(spoil: Callable[[int, int, Any], Any], reasons: set[str]) -> None:
    """A radar that drifts, stands still or replays is named and left out; the other radars stay fit and their tracks stand."""
    watch, _, tracks, world = watched(220, spoil, targets=12)
    verdict = watch.verdicts["R1"]
    assert "quarantined" == verdict.state, watch.verdicts
    assert verdict.reason in reasons
    assert {"fit"} == {watch.verdicts[name].state for name in ("R0", "R2")}, watch.verdicts
    assert watch.left_out["R1"] > 0
    tally = Tally()
    tally.add(world.truth[-1] + np.concatenate([world.truth[-1][:, 3:], 0 * world.truth[-1][:, 3:]], axis=1), tracks.columns)
    assert tally.missed == 0, tally.figures()


def test_an_audience_learns_from_its_own_sensors_alone() -> None:
    """What a tier's tracker gives is the same bytes whether a sensor of another tier was healthy, biased, silent or left out."""
    world = make_real_world(2, 8, 60, 9, Real())

    def run(other: str) -> list[bytes]:
        tiers = [TierTracker("AAA", "track", world.radars[:1], AIR), TierTracker("AAA", "tracklet", world.radars[1:], AIR)]
        out = []
        for t, plots in enumerate(world.plots[1:], 1):
            for k, columns in plots:
                mine = columns.copy()
                if k == 1 and other == "silent":
                    continue
                if k == 1 and other == "biased":
                    mine["azimuth_rad"] += 0.01
                if k == 1 and other == "stuck" and t > 15:
                    mine["t_ns"] = T0_NS + 15 * 10**9
                tiers[k].waiting.append(batch(mine, world.radars[k].id))
            now_ns = T0_NS + t * 10**9
            out.append(msgspec.msgpack.encode(tiers[0].step(now_ns)))
            tiers[1].step(now_ns)
        assert (frozenset({"R1"}) if other == "stuck" else frozenset()) == tiers[1].watch.health.quarantined
        return out

    assert run("healthy") == run("biased") == run("silent") == run("stuck")
