"""When a coarse area leaves says no more than the area does: on the whole minute, whenever the track behind it was updated."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import msgspec
import node_worlds as worlds
import pytest
from policy_records import track

from trilat.node import setup
from trilat.node.audience import AudiencePipeline
from trilat.node.pipeline import Pipeline
from trilat.outward.delayed import MinuteHold
from trilat.policy.agreement import Agreement, Agreements
from trilat.policy.audience import DecisionLog
from trilat.policy.coarsen import TIME_STEP_NS
from trilat.records import codec
from trilat.records.track import Area, Track

RADAR = "JPN/ridge"
SECONDS = 81.0  # two whole minutes end in it
GUESSED_DEG = 90.0  # the mean error of somebody who knows nothing


class Left(NamedTuple):
    """An area that left: when, and on which true bearing from the radar its track was."""

    t_ns: int
    area: Area
    bearing_rad: float


def as_areas(agreement: Agreement) -> Agreement:
    """Return an agreement under which everything leaves as areas."""
    return msgspec.structs.replace(
        agreement, flow=tuple(msgspec.structs.replace(one, tier="area", sensor=()) for one in agreement.flow)
    )


def bearing_rad(radar: object, held: Track) -> float:
    east = (held.lon_deg - radar.lon_deg) * math.cos(math.radians(radar.lat_deg))  # type: ignore[attr-defined]
    return math.atan2(east, held.lat_deg - radar.lat_deg)  # type: ignore[attr-defined]


def run(directory: Path) -> list[Left]:
    """Return what leaves for KOR of one radar that turns, under agreements that let areas go and nothing finer."""
    config = worlds.config_of(worlds.prepare(directory)["JPN"])
    radar = next(one for one in config.sensor if one.id == RADAR)
    # Nobody else sees anything: one radar's hours are looked at.
    config = msgspec.structs.replace(config, sensor=(radar,), feed=tuple(one for one in config.feed if one.sensors == (RADAR,)))
    held = setup.read_agreements(config)
    coarse = Agreements(agreements=tuple(as_areas(one) for one in held.agreements), seen=held.seen)
    policies = setup.policies(config, coarse, worlds.SECRET, DecisionLog())
    mine = [one for one in policies if one.recipient == "KOR"]
    node = Pipeline(setup.pipeline_settings(config), mine, worlds.T0_NS)
    feed, kor, left = worlds.provision.feed_of(RADAR), node.audiences["KOR"], []
    for now_ns, inputs in worlds.inputs_of("JPN", SECONDS):
        out = node.step(now_ns, [one for one in inputs if one.source == feed])  # type: ignore[union-attr]
        sent = {(one.stream, one.number): one for tier in kor.tiers for one in tier._sent.values()}
        areas = [codec.decode(one.record) for one in out.released if one.audience == "KOR"]
        left += [Left(now_ns, one, bearing_rad(radar, sent[(one.stream, one.number)])) for one in areas]
    return left


def bearing_error_deg(left: list[Left], period_s: float) -> float:
    """Take each area's hour within a turn of the antenna for its bearing, the antenna's start fitted; return the mean error."""
    apart = [one.t_ns / 1e9 % period_s / period_s * 2.0 * math.pi - one.bearing_rad for one in left]
    start = math.atan2(sum(map(math.sin, apart)), sum(map(math.cos, apart)))
    errors = [abs(math.remainder(one - start, 2.0 * math.pi)) for one in apart]
    return math.degrees(sum(errors) / len(errors))


def test_areas_leave_on_the_minute_and_tell_no_bearing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Areas of a turning radar leave when a minute ends, each track once; their hours, which gave bearings, give none."""
    left = run(tmp_path / "now")
    print(f"{len(left)} areas: bearing from the hour wrong by {bearing_error_deg(left, 6.0):.1f} degrees")  # noqa: T201 - the figure
    assert len(left) > 15
    assert {0} == {one.t_ns % TIME_STEP_NS for one in left}
    assert 2 == len({one.t_ns for one in left})
    assert len(left) == len({(one.t_ns, one.area.stream, one.area.number) for one in left})
    assert {one.t_ns for one in left} == {one.area.t_ns for one in left}

    # The same attack on a node that does not wait for the minute: what it gives without, so that the figure means something.
    monkeypatch.setattr(AudiencePipeline, "_offer", lambda self, held, now_ns: self._release(held.record, now_ns))
    at_once = run(tmp_path / "at once")
    known_deg = bearing_error_deg(at_once, 6.0)
    print(f"without the wait {len(at_once)} areas: {known_deg:.1f} degrees")  # noqa: T201 - the figure
    assert known_deg < 5.0
    assert bearing_error_deg(left, 6.0) > 5.0 * known_deg


def test_the_newest_state_of_a_track_waits_for_the_minute() -> None:
    """Of each track one state leaves, the newest, by stream and number; the last word on one goes in its place."""
    hold, begun_ns = MinuteHold(TIME_STEP_NS), 100 * TIME_STEP_NS + 1
    assert [] == hold.due(begun_ns)
    for at_ns, number, status in ((1, 7, "confirmed"), (2, 3, "confirmed"), (3, 7, "coasting"), (4, 3, "deleted")):
        hold.put(track(stream="JPN/track/1", number=number, t_ns=begun_ns + at_ns, status=status), "state", 2)
    assert [] == hold.due(101 * TIME_STEP_NS - 1)
    told = [(one.record.number, one.record.status, one.lane, one.priority) for one in hold.due(101 * TIME_STEP_NS)]

    assert [(3, "deleted", "state", 2), (7, "coasting", "state", 2)] == told
    assert [] == hold.due(103 * TIME_STEP_NS)


def test_what_waits_for_the_minute_is_bounded() -> None:
    """Beyond the bound no further track is held, and that is counted; those held go on being renewed."""
    hold = MinuteHold(TIME_STEP_NS, held_max=2)
    for number in (1, 2, 3, 1):
        hold.put(track(stream="JPN/track/1", number=number, t_ns=1), "state", 2)

    assert ([1, 2], 1) == ([one.record.number for one in hold.due(0)], hold.shed)
