"""A release officer's recall in the node's step: to exactly the audience that had the records, by policy, journalled."""

from __future__ import annotations

import msgspec
import node_worlds as worlds
import pytest
from test_events import RELEASE, WATCH, Node, left, texts

from trilat.node.inputs import RecallInput, ReceivedInput, decode, encode
from trilat.node.pipeline import Pipeline
from trilat.node.record import by_people
from trilat.node.settings import NodeConfig
from trilat.policy.audience import AudiencePolicy
from trilat.policy.release import view
from trilat.records import codec
from trilat.records.warning import Recall

GIVEN = RecallInput(
    session=RELEASE, act_id="recall-1", stream="KOR", lane="state", epoch=2, sequences=(5, 7, 8), reason="a sensor was wrong"
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> NodeConfig:
    return worlds.config_of(worlds.prepare(tmp_path_factory.mktemp("nodes"))["JPN"])


def test_a_recall_leaves_for_its_audience_alone(config: NodeConfig) -> None:
    """One record leaves, on flash, to KOR only, labelled for KOR at the lowest level; it is answered and told to the watch."""
    node = Node(config)
    out = node.step(decode(encode(GIVEN)))
    [(audience, recall)] = left(out)
    assert isinstance(recall, Recall)
    assert (audience, out.released[0].lane, out.released[0].via, out.released[0].reason) == ("KOR", "flash", None, "permitted")
    assert (recall.lane, recall.epoch, recall.sequences, recall.reason) == ("state", 2, (5, 7, 8), "a sensor was wrong")
    assert (recall.by, recall.t_ns) == ("release-b", node.now_ns)
    assert (recall.label.rel_to, recall.label.level, recall.label.originator, recall.label.sources) == (
        ("KOR",),
        0,
        "JPN",
        ("JPN",),
    )
    assert [(one.act_id, one.ok) for one in out.answers] == [("recall-1", True)]
    assert "release-b recalled 3 records: KOR state 2.5,7-8: a sensor was wrong" in texts(out)
    assert left(*[node.step() for _ in range(3)]) == []


def test_policy_decides_on_a_recall_as_on_everything(config: NodeConfig) -> None:
    """The decision is in the log under an agreement's rule; with the agreements suspended nothing leaves and it is said why."""
    node = Node(config)
    policy = node.pipeline.audiences["KOR"].policy
    out = node.step(GIVEN)
    [released] = out.released
    recall = codec.decode(released.record)
    decision = policy.record_decision(recall, node.now_ns)
    assert isinstance(recall, Recall)
    assert (decision.permit, released.decision) == (True, decision.rule)
    assert view(recall.label, decision) == recall.label
    assert any(kept.decision.permit for kept in policy.log.last(20))

    held = _without_agreements(config)
    out = held.step(GIVEN)
    assert (left(out), [(one.ok, one.reason) for one in out.answers]) == ([], [(False, "recall-withheld")])
    assert "recall-withheld" in texts(out)
    assert held.pipeline.rejected["recall-withheld"] == 1


def _without_agreements(config: NodeConfig) -> Node:
    node = Node(config)
    bare = msgspec.structs.replace(config, agreements=())
    node.pipeline = worlds.pipeline_of(bare)
    return node


def test_a_recall_goes_the_way_that_its_records_went(config: NodeConfig) -> None:
    """Numbers of the stream through a hub are recalled through that hub, by a topic that the agreement sends that way."""
    [released] = Node(config).step(msgspec.structs.replace(GIVEN, stream="KOR/USA")).released
    recall = codec.decode(released.record)
    assert isinstance(recall, Recall)
    assert (released.audience, released.via, recall.label.rel_to) == ("KOR", "USA", ("KOR",))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"session": WATCH}, "act-role"),
        ({"stream": "XXX"}, "recall-partner"),
        ({"stream": "PUBLIC"}, "recall-partner"),
        ({"stream": "KOR/PRK"}, "recall-withheld"),
    ],
)
def test_a_recall_that_may_not_be_is_refused_aloud(config: NodeConfig, changes: dict[str, object], reason: str) -> None:
    """Another role, no partner, the public, a way that no agreement has: nothing leaves, the answer and the watch log say why."""
    node = Node(config)
    out = node.step(msgspec.structs.replace(GIVEN, **changes))
    assert (left(out), [(one.ok, one.reason) for one in out.answers]) == ([], [(False, reason)])
    assert reason in texts(out)


def test_a_recall_is_delayed_where_everything_is(config: NodeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agreement that delays all that leaves delays the recall, too, and the watch is told that it leaves later."""
    node = Node(config)
    plain = AudiencePolicy.record_decision
    delay = msgspec.convert({"field": "record", "operation": "delay", "amount": 30.0}, type=_operation())

    def delayed(policy: AudiencePolicy, record: object, now_ns: int, event: object = None) -> object:
        made = plain(policy, record, now_ns, event)
        return msgspec.structs.replace(made, operations=(delay,)) if isinstance(record, Recall) else made

    monkeypatch.setattr(AudiencePolicy, "record_decision", delayed)
    out = node.step(GIVEN)
    assert left(out) == []
    assert "which leaves later" in texts(out)
    after = [node.step() for _ in range(40)]
    assert [(n, type(record)) for n, out in enumerate(after, 1) for _, record in left(out)] == [(30, Recall)]


def _operation() -> type:
    from trilat.records.label import FieldOperation

    return FieldOperation


def test_a_partners_recall_is_told_to_the_watch(config: NodeConfig) -> None:
    """What KOR recalls is said in words; nothing of ours leaves by it."""
    node = Node(config)
    theirs = _of_kor(node.pipeline)
    given = ReceivedInput(exporter="KOR", lane="flash", epoch=1, sequence=4, record=codec.encode(theirs))
    out = node.step(given)
    assert "KOR recalled 2 records that it sent: history 1.3-4: of another sensor" in texts(out)
    assert left(out) == []


def _of_kor(pipeline: Pipeline) -> Recall:
    label = msgspec.structs.replace(
        pipeline.audiences["KOR"]._plain_label("TRILAT", "air"), originator="KOR", rel_to=("JPN",), sources=("KOR",)
    )
    return Recall(lane="history", epoch=1, sequences=(3, 4), reason="of another sensor", by="kim", t_ns=worlds.T0_NS, label=label)


def test_a_restart_and_a_replay_know_a_recall(config: NodeConfig) -> None:
    """It is kept as a person's act; the same inputs give the same bytes again; a restart lets nothing of it leave twice."""
    assert by_people(GIVEN)
    first, second = Node(config), Node(config)
    a, b = first.step(GIVEN), second.step(decode(encode(GIVEN)))
    other = Node(config).step(msgspec.structs.replace(GIVEN, reason="another"))
    assert (a.digest() == b.digest(), a.digest() == other.digest()) == (True, False)
    assert worlds.pipeline_of(config).restore(first.now_ns, [GIVEN]) == []
