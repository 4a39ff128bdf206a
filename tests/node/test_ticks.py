"""When a node does what: fixed ticks that nothing moves, streams that begin anew with a run, a clock that never goes back."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import node_worlds as worlds

from trilat.exchange import importer
from trilat.feeds import sockets
from trilat.joint.tier import stream_name
from trilat.node import setup
from trilat.node.audience import ReplayClock, Tick
from trilat.node.clock import Steady
from trilat.node.inputs import ReceivedInput
from trilat.node.live import LiveNode
from trilat.node.partners import PartnerInputs, PartnerStreams
from trilat.node.pipeline import Pipeline
from trilat.picture.inputs import PartnerRecord
from trilat.policy.audience import DecisionLog
from trilat.records import codec
from trilat.records.label import Label, Mode
from trilat.records.report import Fix, Pedigree
from trilat.records.track import Track

MS = 1_000_000
SECONDS = 14.0


def test_a_tick_stands_on_the_clock_whatever_comes_between() -> None:
    """Stepped often or late, a tick passes once in each of its lengths, and at the same places."""
    often, seldom = Tick(100 * MS), Tick(100 * MS)
    passed = [ms for ms in range(1_000, 2_000, 7) if often.passed(ms * MS)]

    assert [ms // 100 for ms in passed] == list(range(10, 20))
    assert [seldom.passed(ms * MS) for ms in (1_000, 1_099, 1_350, 1_399, 1_401)] == [True, False, True, False, True]


def test_the_loops_clock_goes_on_while_the_wall_clock_is_set_back() -> None:
    """A wall clock that jumps a day back holds up nothing and turns nothing round."""
    wall, pace = [1_000 * MS], [5 * MS]
    clock = Steady(lambda: wall[0], lambda: pace[0])
    said = []
    for wall_ms, pace_ms in ((1_010, 15), (-86_400_000, 25), (-86_399_990, 35), (2_000, 45)):
        wall[0], pace[0] = wall_ms * MS, pace_ms * MS
        said.append(clock.now_ns() // MS)

    assert said == [1_010, 1_020, 1_030, 2_000]


def tracks_of_a_run(started_ns: int, directory) -> list[Track]:  # noqa: ANN001
    """Return what JPN sends KOR in one run of its node."""
    config = worlds.config_of(worlds.prepare(directory)["JPN"])
    policies = setup.policies(config, setup.read_agreements(config), worlds.SECRET, DecisionLog())
    pipeline = Pipeline(setup.pipeline_settings(config), policies, started_ns)
    released = [one for now_ns, inputs in worlds.inputs_of("JPN", SECONDS) for one in pipeline.step(now_ns, inputs).released]
    records = [codec.decode(one.record) for one in released if one.audience == "KOR" and one.lane == "state"]
    return [record for record in records if isinstance(record, Track)]


def test_a_run_begins_its_own_stream_and_so_its_own_track_numbers(tmp_path) -> None:  # noqa: ANN001
    """An exporter that starts again numbers from 1, in a stream of another name: no new track is taken for an old one."""
    first = tracks_of_a_run(worlds.T0_NS, tmp_path / "one")
    again = tracks_of_a_run(worlds.T0_NS + 7 * MS, tmp_path / "two")

    assert {track.stream for track in first} == {stream_name("JPN", "track", worlds.T0_NS)}
    assert {track.number for track in first} & {track.number for track in again}
    assert not {(track.stream, track.number) for track in first} & {(track.stream, track.number) for track in again}


def test_what_stood_in_the_stream_before_ends_with_the_first_track_of_the_next(tmp_path) -> None:  # noqa: ANN001
    """A receiver ends a partner's tracks of the run before at once; late ones of that run begin nothing again."""
    sample = tracks_of_a_run(worlds.T0_NS, tmp_path)[0]

    def given(started_ms: int, number: int, status: str = "confirmed") -> PartnerRecord:
        track = msgspec.structs.replace(sample, stream=f"JPN/track/{started_ms}", number=number, status=status)  # type: ignore[arg-type]
        return PartnerRecord(origin="JPN", lane="state", record=track)

    streams, now_ns = PartnerStreams(100), worlds.T0_NS + 99
    assert [] == streams.ended(now_ns, [given(1_000, 1), given(1_000, 2), given(1_000, 3), given(1_000, 3, "deleted")])
    ended = [one.record for one in streams.ended(now_ns, [given(2_000, 1)])]

    assert [(one.stream, one.number, one.status, one.t_ns) for one in ended if isinstance(one, Track)] == [
        ("JPN/track/1000", 1, "deleted", now_ns),
        ("JPN/track/1000", 2, "deleted", now_ns),
    ]
    assert [] == streams.ended(now_ns, [given(1_000, 9), given(2_000, 2)])
    assert [1, 2] == [one.record.number for one in streams.ended(now_ns, [given(3_000, 1)]) if isinstance(one.record, Track)]


def test_a_replay_runs_at_the_time_of_what_partners_send_as_reports() -> None:
    """A partner's plot of a minute ahead moves a replaying node's clock there, so that the plot is not refused as of the future."""
    ahead_ns = worlds.T0_NS + 60_000 * MS
    mode = Mode(kind="replay", id="r")
    label = Label(policy="TRILAT", originator="JPN", mode=mode, level=1, rel_to=("KOR",))
    place = {"lat_deg": 33.0, "lon_deg": 130.0, "sigma_horizontal_m": 30.0}
    fix = Fix(t_ns=ahead_ns, sensor="JPN/a", label=label, pedigree=Pedigree(nation="JPN"), **place)
    received = PartnerInputs(mode)
    received.take(ReceivedInput(exporter="JPN", lane="state", epoch=1, sequence=1, record=codec.encode(fix)))

    assert ReplayClock(mode).at(worlds.T0_NS, (), received.times_ns()) == ahead_ns
    assert ReplayClock(worlds.MODE).at(worlds.T0_NS, (), received.times_ns()) == worlds.T0_NS


def test_a_step_for_feeds_leaves_partners_records_to_the_next(tmp_path) -> None:  # noqa: ANN001
    """What a step for the feeds releases waits for no partner's record, unless there was no time for a step between."""
    config = worlds.config_of(worlds.prepare(tmp_path)["JPN"])
    node, given = LiveNode(config), sockets.Received("jpn-south", worlds.T0_NS, b"\x30")
    node.people = SimpleNamespace(events=[])  # type: ignore[assignment]  # nobody is logged in
    node.feeds = SimpleNamespace(take=lambda *_: [given])  # type: ignore[assignment]  # bytes as sockets give them

    def kinds(until_ns: int | None) -> list[str]:
        return [type(one).__name__ for one in node._gather(until_ns)[0]]

    held = importer.Received("KOR", "state", 1, 1, known=True, raw=b"\x80", row=1)
    node._received.append(held)
    assert ["FeedInput"] == kinds(worlds.T0_NS)
    node._fed = True  # as after that step, with no other since
    assert ["ReceivedInput", "FeedInput"] == kinds(worlds.T0_NS + 100 * MS)
    node._received.append(held)
    assert ["ReceivedInput"] == kinds(None)


def test_lanes_have_their_turn_between_steps_of_any_length(tmp_path) -> None:  # noqa: ANN001
    """However short a node's steps, most of each is left in which its lanes are not held; at 100 ms records leave after 30."""
    config = worlds.config_of(worlds.prepare(tmp_path)["JPN"])
    for tick_ms in (1, 5, 20, 30, 31, 90, 100, 1_000):
        step = msgspec.structs.replace(config.step, tick_ms=tick_ms, state_tick_ms=tick_ms)
        given = msgspec.structs.replace(config, step=step)
        assert 3 * setup.leave_ms(given) <= tick_ms
        assert setup.exchange_settings(given).phase_ms < given.exchange.tick_ms
    assert 30 == setup.leave_ms(config)
