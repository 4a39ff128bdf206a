"""A node with a standing duty to warn: what is told of a flight goes by the signed event, by policy, and survives a restart."""

from __future__ import annotations

from typing import Any

import msgspec
import node_worlds as worlds
import pytest
from flight_records import area, assessment

from trilat.identity.sign import SigningKey
from trilat.node import setup, show
from trilat.node.inputs import AssessedInput, Input
from trilat.node.people import signed
from trilat.node.pipeline import Output, Pipeline
from trilat.node.record import by_people
from trilat.node.settings import NodeConfig
from trilat.outward.events import Wanted
from trilat.policy.agreement import Operation
from trilat.policy.audience import DecisionLog
from trilat.policy.labels import make
from trilat.records import codec
from trilat.records.assessment import TouchedArea
from trilat.records.declassification import Declassification
from trilat.records.label import FieldOperation
from trilat.records.warning import Warning

S = 10**9
KEY = SigningKey("JPN", "exercise", b"\x07" * 32)
MINE = area("KR-42", probability=0.3)
SLOW = FieldOperation(field="record", operation="delay", amount=2.0)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> NodeConfig:
    return worlds.config_of(worlds.prepare(tmp_path_factory.mktemp("nodes"))["JPN"])


def duty(hours: float = 1.0, **other: Any) -> Input:
    """Return KOR's standing event: missile warnings up to level 2, for some hours."""
    told: dict[str, Any] = {"level_max": 2, "agreement": "trilateral", "agreement_version": 1, "approved_by": ("ann", "ben")}
    event = Declassification(
        id="E1", nation="JPN", kind="life-safety", audience="KOR", mode=worlds.MODE, topics=("missile-warning",),
        t_ns=worlds.T0_NS, expires_ns=worlds.T0_NS + round(hours * 3600 * S), **{**told, **other},
    )  # fmt: skip
    return signed(Wanted(event), KEY)


def flight(second: float, *areas: TouchedArea, level: int = 2, number: int = 1, **label: Any) -> list[Input]:
    """Return what the nation makes of a flight that KOR may see nothing of."""
    mark = make(
        policy="TRILAT", originator="JPN", mode=worlds.MODE, level=level, rel_to=(), topics=("missile-warning",),
        sources=("JPN",), **label,
    )  # fmt: skip
    made = [assessment(second, areas=areas, stream=f"JPN/{one}", flight=number, label=mark) for one in ("own", "national")]
    return [AssessedInput(audience=one.stream.removeprefix("JPN/"), assessment=one) for one in made]


def node_of(config: NodeConfig) -> Pipeline:
    pipeline = worlds.pipeline_of(config)
    pipeline.trust({KEY.key_id: KEY.verify_key.public})
    return pipeline


def run(
    pipeline: Pipeline, script: dict[int, list[Input]], until_s: int, since_s: int = 1
) -> list[tuple[int, list[Input], Output]]:
    """Step a node second by second."""
    out = []
    for second in range(since_s, until_s):
        now_ns = worlds.T0_NS + second * S
        given = script.get(second, [])
        out.append((now_ns, given, pipeline.step(now_ns, given)))
    return out


def told(steps: list[tuple[int, list[Input], Output]]) -> list[tuple[str, Any]]:
    return [(one.audience, codec.decode(one.record)) for _, _, out in steps for one in out.released if one.lane == "flash"]


def test_a_flight_goes_by_the_event_alone_and_by_the_label_of_the_flight(config: NodeConfig) -> None:
    """Without an event nothing goes; with it what it covers, to KOR alone, with a plain label; a level above it takes no id."""
    assert told(run(node_of(config), {3: flight(3, MINE)}, 40)) == []
    script = {2: [duty()], 3: flight(3, MINE, level=3), 23: flight(23, MINE, number=2, caveats=("own-eyes",))}
    node = node_of(config)
    steps = run(node, script, 45)
    [(audience, one)] = told(steps)
    assert isinstance(one, Warning)
    assert (audience, one.id, one.version, one.label.level, one.label.rel_to) == ("KOR", "JPN-KOR-W1", 1, 0, ("KOR",))
    assert (one.label.caveats, one.label.sources, one.t_ns) == ((), ("JPN",), worlds.T0_NS + 30 * S)
    [gone] = [one for _, _, out in steps for one in out.released if one.lane == "flash"]
    assert (gone.reason, gone.decision) == ("declassified", "E1")
    assert any(
        "KOR is told areas of its own as JPN-KOR-W1 by event E1" in note.text for _, _, out in steps for note in out.notices
    )
    assert node.audiences["KOR"].national_id("JPN-KOR-W1") in {"JPN-L1", "JPN-L2"}


def test_the_page_says_by_which_event_it_went(config: NodeConfig) -> None:
    """*Why* of the national warning names KOR's edition and the event beside a verdict that withholds."""
    node = node_of(config)
    run(node, {2: [duty()], 3: flight(3, MINE)}, 15)
    cop = show.make_cop(config, node, worlds.T0_NS)
    edition, event = cop.edition_of("watch", "JPN-L1", "KOR"), cop.event_of("KOR", "JPN-L1")
    assert edition is not None
    assert event is not None
    assert (edition.id, event.id) == ("JPN-KOR-W1", "E1")


def test_what_would_leave_only_later_stays_and_takes_no_id(config: NodeConfig) -> None:
    """With a delay on the flight's label or in the agreement nothing goes by duty; the next warning has the first id."""
    script = {2: [duty()], 3: flight(3, MINE, operations=[SLOW]), 33: flight(33, MINE, number=2)}
    assert ["JPN-KOR-W1"] == [one.id for _, one in told(run(node_of(config), script, 60))]
    agreements = setup.read_agreements(config)
    slow = (Operation(field="record", operation="delay", amount=2.0),)
    flows = [
        msgspec.structs.replace(one, flow=tuple(msgspec.structs.replace(flow, operation=slow) for flow in one.flow))
        for one in agreements.agreements
    ]
    slowed = msgspec.structs.replace(agreements, agreements=tuple(flows))
    policies = setup.policies(config, slowed, worlds.SECRET, DecisionLog())
    node = Pipeline(setup.pipeline_settings(config), policies, worlds.T0_NS)
    node.trust({KEY.key_id: KEY.verify_key.public})
    assert told(run(node, {2: [duty()], 3: flight(3, MINE)}, 60)) == []
    assert node.audiences["KOR"].new_warning_id() == "JPN-KOR-W1"


def test_a_restart_goes_on_with_id_and_version(config: NodeConfig) -> None:
    """A node that stopped after each step and read its journal goes on as one that never stopped: ids, versions, the end."""
    later = msgspec.structs.replace(MINE, t_to_ns=MINE.t_to_ns + 120 * S)
    script = {2: [duty()], 3: flight(3, MINE), 14: flight(14, later), 37: flight(37, area("JP-02"))}
    whole = run(node_of(config), script, 60)
    assert ["assessed", "assessed", "stood-down"] == [one.state for _, one in told(whole)]
    for stop in (5, 10, 13, 20, 25, 39, 41):
        again = node_of(config)
        for now_ns, given, out in whole[: stop - 1]:
            kept = [one for one in (*given, *out.assessed) if by_people(one)]
            if kept or out.released or out.warnings:
                again.restore(now_ns, kept)
        rest = run(again, script, 60, stop)
        assert told(rest) == told(whole[stop - 1 :]), stop


def test_an_event_that_has_ended_opens_nothing_new(config: NodeConfig) -> None:
    """What was told stays until its time is over; nothing newer is told."""
    later = msgspec.structs.replace(MINE, t_to_ns=MINE.t_to_ns + 120 * S)
    script = {2: [duty(hours=20 / 3600)], 3: flight(3, MINE), 24: flight(24, later), 33: flight(33, MINE, number=2)}
    assert [1] == [one.version for _, one in told(run(node_of(config), script, 60))]


def test_no_event_of_another_topic_level_or_agreement_opens_it(config: NodeConfig) -> None:
    """A duty that names another topic, a lower level or an agreement that does not govern opens nothing."""
    for wrong in ({"topics": ("air",)}, {"level_max": 1}, {"agreement": "usa-kor"}, {"agreement_version": 2}):
        changed = {**wrong}
        topics = changed.pop("topics", None)
        event = duty(**changed)
        if topics is not None:
            event = signed(Wanted(msgspec.structs.replace(event.event, topics=topics)), KEY)  # type: ignore[union-attr]
        assert told(run(node_of(config), {2: [event], 3: flight(3, MINE)}, 40)) == [], wrong
