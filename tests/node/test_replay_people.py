"""A journal that holds people's acts, approvals and signed events gives the same bytes again, and a changed one does not."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
import node_worlds as worlds
import pytest
from test_events import KEY, RAISE, RELEASE, STANDING, WATCH, Node

from trilat.node import record
from trilat.node.config import mode_of
from trilat.node.inputs import ActInput, EventInput, Input, RecallInput
from trilat.node.pipeline import Output
from trilat.node.settings import NodeConfig
from trilat.picture.acts import Approve, Decline, OfficerAct, Propose, ProposeRelease
from trilat.records.approval import Approved, Proposal, Session
from trilat.store.sqlite import open_store

SECONDS = 5.0
RECALL = RecallInput(session=RELEASE, act_id="r", stream="KOR", lane="state", epoch=1, sequences=(2, 3), reason="wrong")
AGAIN = Session(user="watch-a", person="Watch officer A", station="st-1", session="s-1", roles=("watch-officer",))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> NodeConfig:
    made = worlds.without_public(worlds.config_of(worlds.prepare(tmp_path_factory.mktemp("nodes"))["JPN"]))
    return msgspec.structs.replace(made, store=msgspec.structs.replace(made.store, journal_inputs=True))


def lived(config: NodeConfig, recorder: record.Recorder) -> list[Output]:
    """Let a node track, two people raise, propose, refuse and approve, and two signed events go in; every step is recorded."""
    node, outs = Node(config), []
    plain = node.pipeline.step

    def recorded(now_ns: int, inputs: tuple[Input, ...]) -> Output:
        out = plain(now_ns, inputs)
        recorder.append(now_ns, recorder.entry(inputs, out))
        outs.append(out)
        return out

    node.pipeline.step = recorded  # type: ignore[method-assign, assignment]
    for now_ns, inputs in worlds.inputs_of("JPN", SECONDS):
        node.now_ns = now_ns
        recorded(now_ns, tuple(inputs))
    first = next(one.record for one in node.does(WATCH, RAISE).warnings)
    node.step(node.event(node.approved(ProposeRelease(act_id="p", audience="KOR", warning_id=first.id, reason="they are in it"))))  # type: ignore[union-attr]
    node.step(
        node.event(node.approved(Propose(act_id="s", kind="pre-authorise", content=msgspec.json.encode(STANDING).decode())))
    )
    [made] = [
        one
        for one in node.does(WATCH, ProposeRelease(act_id="q", audience="USA", warning_id=first.id)).approvals  # type: ignore[union-attr]
        if isinstance(one, Proposal)
    ]
    node.does(AGAIN, Approve(act_id="own", proposal=made.id, content_sha256=made.content_sha256.hex()))
    node.does(RELEASE, Decline(act_id="no", proposal=made.id, content_sha256=made.content_sha256.hex(), reason="not needed"))
    node.does(WATCH, RAISE)
    node.step(RECALL)
    return outs


def again(config: NodeConfig, steps: list[record.Step]) -> list[bool]:
    """Replay steps through a new pipeline; tell for each whether it gave the recorded digest."""
    node = Node(config)
    return [step.digest == out.digest() for step, out in record.replay(node.pipeline, iter(steps))]


def test_a_journal_with_approvals_is_replayed_to_the_byte(config: NodeConfig, tmp_path: Path) -> None:
    """Every step's digest (what leaves, proposals, approvals, answers, log lines) comes again; without one yes it does not."""
    with contextlib.closing(open_store(tmp_path, "JPN", mode_of(config))) as store:
        recorder = record.Recorder(store, config)
        outs = lived(config, recorder)
        store.commit()
        steps = list(record.steps(store.journal))
    assert len(outs) == len(steps)
    assert [True] * len(steps) == again(config, steps)
    happened = [one for out in outs for one in out.approvals]
    assert {"Approved", "Approval", "Proposal"} == {type(one).__name__ for one in happened}
    assert sum(isinstance(one, Approved) for one in happened) == 2
    assert {"KOR"} <= {one.audience for out in outs for one in out.released if one.lane == "flash"}

    def without(wanted: type) -> list[bool]:
        at = next(n for n, step in enumerate(steps) if any(_is(one, wanted) for one in step.inputs))
        return again(config, [*steps[:at], steps[at]._replace(inputs=()), *steps[at + 1 :]])

    assert not all(without(Approve))
    assert not all(without(EventInput))
    assert not all(without(RecallInput))
    other = msgspec.structs.replace(RELEASE, user="somebody-else")
    swapped = [step._replace(inputs=tuple(_by(one, other) for one in step.inputs)) for step in steps]
    assert not all(again(config, swapped))


def _is(one: Input, wanted: type) -> bool:
    return isinstance(one, wanted) or (isinstance(one, ActInput) and isinstance(one.act.act, wanted))


def _by(one: Input, who: Session) -> Input:
    """Return an input as if another release officer had said yes."""
    if isinstance(one, ActInput) and isinstance(one.act.act, Approve) and one.act.session == RELEASE:
        return ActInput(act=OfficerAct(session=who, act=one.act.act))
    return one


def test_events_are_signed_with_the_key_that_the_replay_trusts(config: NodeConfig) -> None:
    """A pipeline that trusts another key takes no event of the journal: the door is the signature's, not the journal's."""
    node = Node(config)
    event = node.event(node.approved(Propose(act_id="s", kind="pre-authorise", content=msgspec.json.encode(STANDING).decode())))
    stranger = Node(config)
    stranger.pipeline.trust({KEY.key_id: bytes(32)})
    assert stranger.pipeline.events_taken() == frozenset()
    stranger.step(event)
    assert stranger.pipeline.events_taken() == frozenset()
