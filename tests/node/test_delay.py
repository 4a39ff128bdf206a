"""A field operation `delay`: an audience gets what it may have that much later, and nothing else changes."""

from __future__ import annotations

import random

import msgspec
import node_worlds as worlds
import pytest

from trilat.node import setup
from trilat.node.inputs import ActInput, FeedInput, Input
from trilat.node.pipeline import Output, Pipeline
from trilat.node.settings import NodeConfig
from trilat.picture.acts import OfficerAct, RaiseWarning
from trilat.policy.agreement import Operation
from trilat.policy.audience import AudiencePolicy, DecisionLog
from trilat.records import codec
from trilat.records.approval import Session
from trilat.records.label import FieldOperation
from trilat.records.track import Track
from trilat.records.warning import Warning

DELAY_S = 3
SLOW = FieldOperation(field="record", operation="delay", amount=float(DELAY_S))
OFFICER = Session(user="watch-a", person="Watch officer A", station="st-1", session="s-1", roles=("watch-officer",))
Steps = list[tuple[int, list[Input]]]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> NodeConfig:
    return worlds.config_of(worlds.prepare(tmp_path_factory.mktemp("nodes"))["JPN"])


@pytest.fixture(scope="module")
def steps() -> Steps:
    return worlds.inputs_of("JPN", 9.0)


def slow(config: NodeConfig) -> NodeConfig:
    """Return a configuration in which every sensor's label delays what rests on it."""
    labels = [msgspec.structs.replace(one.label, operations=(*one.label.operations, SLOW)) for one in config.sensor]
    sensors = tuple(msgspec.structs.replace(one, label=label) for one, label in zip(config.sensor, labels, strict=True))
    return msgspec.structs.replace(config, sensor=sensors)


def run(config: NodeConfig, steps: Steps) -> list[Output]:
    pipeline = worlds.pipeline_of(config)
    return [pipeline.step(now_ns, inputs) for now_ns, inputs in steps]


def tracks_for(outputs: list[Output], audience: str) -> list[tuple[int, Track]]:
    told = [(out.t_ns, codec.decode(one.record)) for out in outputs for one in out.released if one.audience == audience]
    return [(at_ns, record) for at_ns, record in told if isinstance(record, Track)]


@pytest.fixture(scope="module")
def delayed(config: NodeConfig, steps: Steps) -> list[Output]:
    return run(slow(config), steps)


def test_what_is_delayed_leaves_later_and_whole(config: NodeConfig, steps: Steps, delayed: list[Output]) -> None:
    """Every track state leaves at the first tick at which it is old enough, and each is one that would have left at once."""
    at_once, later = tracks_for(run(config, steps), "KOR"), tracks_for(delayed, "KOR")
    assert len(later) > 5
    assert min(at_ns - record.t_ns for at_ns, record in later) >= DELAY_S * 10**9
    assert max(at_ns - record.t_ns for at_ns, record in later) < (DELAY_S + 1.2) * 10**9
    undelayed = {(one.number, one.t_ns, one.lat_deg, one.lon_deg) for _, one in at_once}
    assert {(one.number, one.t_ns, one.lat_deg, one.lon_deg) for _, one in later} <= undelayed
    due = {one.number for at_ns, one in at_once if at_ns <= steps[-1][0] - (DELAY_S + 1) * 10**9}
    assert due <= {one.number for _, one in later}


def test_each_record_is_judged_once(config: NodeConfig, steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is offered to an audience at a step is decided once: every decision is kept and counted, and one must not stand for two."""
    judged: list[tuple[int, int]] = []
    held: list[object] = []  # so that no two have one identity
    decide = AudiencePolicy.record_decision

    def counting(self: AudiencePolicy, record: object, now_ns: int, *rest: object) -> object:
        held.append(record)
        judged.append((id(record), now_ns))
        return decide(self, record, now_ns, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(AudiencePolicy, "record_decision", counting)
    assert tracks_for(run(config, steps), "KOR")
    assert len(judged) == len(set(judged))


def test_delay_tells_nothing_of_a_withheld_sensor(config: NodeConfig, steps: Steps, delayed: list[Output]) -> None:
    """KOR's bytes and their steps are equal whether the radar withheld from it speaks, is silent or floods."""
    withheld = worlds.provision.feed_of("JPN/isle")
    rng = random.Random(11)

    def changed(extra: int) -> Steps:
        kept = [
            (at, [one for one in inputs if not (isinstance(one, FeedInput) and one.source == withheld)]) for at, inputs in steps
        ]
        return [
            (at, [*inputs, *(FeedInput(source=withheld, received_t_ns=at, data=rng.randbytes(60)) for _ in range(extra))])
            for at, inputs in kept
        ]

    def seen(outputs: list[Output]) -> list[tuple[int, bytes]]:
        return [(out.t_ns, msgspec.msgpack.encode(one)) for out in outputs for one in out.released if one.audience == "KOR"]

    said = seen(delayed)
    assert said == seen(run(slow(config), changed(0))) == seen(run(slow(config), changed(20)))
    assert len(said) > 5


def test_an_agreement_that_ends_while_a_record_waits_withholds_it(config: NodeConfig, steps: Steps) -> None:
    """What waits is decided anew when it is due: a label that ended meanwhile lets nothing go."""
    ends_ns = worlds.T0_NS + 7 * 10**9 + 10**8
    labels = [msgspec.structs.replace(one.label, operations=(SLOW,), expires_ns=ends_ns) for one in config.sensor]
    sensors = tuple(msgspec.structs.replace(one, label=label) for one, label in zip(config.sensor, labels, strict=True))
    outputs = run(msgspec.structs.replace(config, sensor=sensors), steps)
    assert 0 < len(tracks_for(outputs, "KOR"))
    assert max(at_ns for at_ns, _ in tracks_for(outputs, "KOR")) < ends_ns


def test_a_delayed_warning_leaves_once_also_after_a_restart(config: NodeConfig) -> None:
    """A warning under an agreement with a delay is not lost: it leaves when due, and a node that starts again sends it once."""
    agreements = setup.read_agreements(config)
    flows = [
        msgspec.structs.replace(
            one,
            flow=tuple(
                msgspec.structs.replace(
                    flow,
                    operation=(Operation(field="record", operation="delay", amount=6.0),),
                )
                for flow in one.flow
            ),
        )
        for one in agreements.agreements
    ]
    slowed = msgspec.structs.replace(agreements, agreements=tuple(flows))

    def pipeline() -> Pipeline:
        return Pipeline(
            setup.pipeline_settings(config), setup.policies(config, slowed, worlds.SECRET, DecisionLog()), worlds.T0_NS
        )

    raise_it = ActInput(act=OfficerAct(session=OFFICER, act=RaiseWarning(act_id="a", kind="test", headline="h", rel_to=("KOR",))))
    at_ns = worlds.T0_NS + 10**9
    first = pipeline()
    out = first.step(at_ns, [raise_it])
    assert out.released == ()
    assert any("leaves later for KOR" in notice.text for notice in out.notices)

    def later(node: Pipeline, seconds: range) -> list[Warning]:
        outs = [node.step(worlds.T0_NS + s * 10**9, []) for s in seconds]
        return [record for one in outs for sent in one.released if isinstance(record := codec.decode(sent.record), Warning)]

    early, late = pipeline(), pipeline()
    for node, last_s in ((early, 3), (late, 9)):
        node.restore(at_ns, [raise_it])
        node.resumed(worlds.T0_NS + last_s * 10**9)
    assert len(later(first, range(2, 12))) == 1
    assert len(later(early, range(4, 12))) == 1
    assert later(late, range(10, 12)) == []
