"""In a replay each audience has a clock of its own: how far a withheld recording runs ahead shows in no time that it gets."""

from __future__ import annotations

import random

import msgspec
import pytest
from flight_records import assessment, label
from launch_nodes import early, officer
from node_worlds import SECRET, T0_NS

from trilat.exercise import provision
from trilat.feeds.replay import frame
from trilat.lessons import three
from trilat.node.config import load
from trilat.node.inputs import ActInput, AssessedInput, FeedInput, Input
from trilat.node.settings import NodeConfig
from trilat.picture import acts
from trilat.records import codec
from trilat.records.label import Mode

MODE = Mode(kind="replay", id="r1")
NS = 10**9
AHEAD_S = 45


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> NodeConfig:
    """Give JPN's configuration in a replay, its one radar released to nobody."""
    prepared = provision.prepare(early(), tmp_path_factory.mktemp("replay"), MODE, T0_NS, random.Random(7).randbytes)
    config = load(prepared["JPN"].config)
    hidden = tuple(msgspec.structs.replace(one, label=msgspec.structs.replace(one.label, rel_to=())) for one in config.sensor)
    return msgspec.structs.replace(config, sensor=hidden)


def told(config: NodeConfig, ahead_s: int | None) -> tuple[list[bytes], list[int]]:
    """Return what KOR is told of a flight and by hand, and the nation's times; the radar's recording runs ahead, or is silent."""
    pipeline, out, times = three.pipeline_of(config, T0_NS, SECRET), [], []
    flight = {"stream": "JPN/KOR", "label": label(rel_to=("KOR",), mode=MODE)}
    ann, ben = officer("ann"), officer("ben")
    for second in range(10, 70, 2):
        now_ns = T0_NS + second * NS
        given: list[Input] = [AssessedInput(audience="KOR", assessment=assessment(second, **flight))] if second < 30 else []
        if ahead_s is not None:
            at_ns = now_ns + ahead_s * NS
            line = b'{"t_ns":%d,"sensor":"JPN/early","range_m":90000,"azimuth_deg":9,"elevation_deg":5}\n' % at_ns
            given.append(FeedInput(source="jpn-early", received_t_ns=now_ns, data=frame("r1", 0, at_ns, line)))
        given += [ActInput(act=acts.OfficerAct(session=who, act=one)) for who, one in people(second, ann, ben)]
        made = pipeline.step(now_ns, given)
        out += [one.record for one in made.released if one.audience == "KOR"]
        times.append(made.t_ns - now_ns)
    return out, times


def people(second: int, ann: object, ben: object) -> list[tuple[object, acts.Act]]:
    """Return who does what: a warning by hand, acknowledged and taken back."""
    by_hand = acts.RaiseWarning(act_id="r", kind="test", headline="REPLAY by hand", rel_to=("KOR",))
    seen = acts.AcknowledgeWarning(act_id="a", originator="JPN", warning_id="JPN-W1", version=1)
    back = acts.RetractWarning(act_id="b", warning_id="JPN-W1", version=1)
    return {20: [(ann, by_hand)], 24: [(ann, seen)], 28: [(ben, back)]}.get(second, [])


def test_a_withheld_recording_that_runs_ahead_moves_no_time_of_a_partner(config: NodeConfig) -> None:
    """The nation's clock is ahead by what its radar's recording is; all that KOR is told, and when it falls silent, stays the same."""
    (quiet, none), (ahead, by) = (told(config, one) for one in (None, AHEAD_S))
    assert ([0], [AHEAD_S * NS]) == (sorted(set(none)), sorted(set(by)))
    kinds = [type(codec.decode(one)).__name__ for one in quiet]
    assert ["Acknowledgement", "Retraction", "Warning"] == sorted(set(kinds))
    states = [getattr(codec.decode(one), "state", "") for one in quiet]
    assert {"assessed", "issued", "track-lost"} <= set(states)
    assert [codec.decode(one) for one in quiet] == [codec.decode(one) for one in ahead]
    assert quiet == ahead
