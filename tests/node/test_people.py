"""The people of a node: what those wanted who may no longer decide comes to nothing, live, after a restart and in a replay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import node_worlds as worlds
import pytest

from trilat.accounts.book import Book
from trilat.identity.sign import SigningKey
from trilat.node.health import Health
from trilat.node.inputs import ActInput, Input, LapseInput, decode, encode
from trilat.node.people import SETTLE_NS, People, open_book
from trilat.node.pipeline import Output, Pipeline
from trilat.node.record import by_people
from trilat.node.settings import NodeConfig
from trilat.picture.acts import Act, Approve, OfficerAct, ProposeRelease, RaiseWarning
from trilat.policy.agreement import Agreements
from trilat.policy.audience import Alarm, DecisionLog
from trilat.policy.rules import Decision
from trilat.records.approval import Approved, Proposal, Session

S = 10**9
KEY = SigningKey("JPN", "exercise", b"\x07" * 32)
WATCH = Session(user="watch-a", person="Watch A", station="st-1", session="s-1", roles=("watch-officer",))
RELEASE = Session(user="release-b", person="Release B", station="st-2", session="s-2", roles=("release-officer",))


class Desk(NamedTuple):
    """A node's people with its pipeline and account book."""

    people: People
    pipeline: Pipeline
    book: Book

    def step(self, second: int, *inputs: Input) -> Output:
        """Step, with what waits for the step, and give what came of it to the people."""
        given, self.people.events[:] = [*inputs, *self.people.events], []
        out = self.pipeline.step(worlds.T0_NS + second * S, given)
        self.people.take(worlds.T0_NS + second * S, out.approvals)
        return out

    def does(self, second: int, session: Session, act: Act) -> Output:
        """Step with one officer's act."""
        return self.step(second, ActInput(act=OfficerAct(session=session, act=act)))

    def tick(self, second: int) -> None:
        """Let the people do what is due."""
        now_ns = worlds.T0_NS + second * S + SETTLE_NS
        self.people.tick(now_ns, self.pipeline.approvals, Health(), sound=True)

    def proposed(self) -> Proposal:
        """Raise a warning for nobody, and put its release to KOR before a second person."""
        self.does(1, WATCH, RaiseWarning(act_id="a", kind="missile", headline="EXERCISE", rel_to=(), level=3))
        out = self.does(2, WATCH, ProposeRelease(act_id="b", audience="KOR", warning_id="JPN-W1"))
        return next(one for one in out.approvals if isinstance(one, Proposal))


def yes(made: Proposal) -> Approve:
    return Approve(act_id="y", proposal=made.id, content_sha256=made.content_sha256.hex())


def people_of(config: NodeConfig, book: Book) -> People:
    made = People(config, book, bytes, lambda *_: None)
    made.key = lambda _: KEY
    return made


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    return msgspec.structs.replace(worlds.config_of(worlds.prepare(tmp_path)["JPN"]), directory=str(tmp_path))


@pytest.fixture
def desk(config: NodeConfig) -> Iterator[Desk]:
    with open_book(config) as book:
        for one in (WATCH, RELEASE):
            book.add(worlds.T0_NS, one.user, one.person, "kept", one.roles)
        pipeline = worlds.pipeline_of(config)
        pipeline.trust({KEY.key_id: KEY.verify_key.public})
        made = Desk(people_of(config, book), pipeline, book)
        made.tick(0)
        yield made


def left(out: Output) -> list[str]:
    return [one.audience for one in out.released]


def test_what_two_officers_want_is_done(desk: Desk) -> None:
    """While both hold their roles the event is signed, and the record leaves: what the other tests take away."""
    made = desk.proposed()
    desk.does(3, RELEASE, yes(made))
    desk.tick(3)
    assert ["KOR"] == left(desk.step(5))


def test_a_proposal_of_a_dismissed_officer_is_void(desk: Desk) -> None:
    """When the role is taken before the second yes, the proposal ends with the next step, aloud, and the yes is refused."""
    made = desk.proposed()
    desk.book.set_roles(worlds.T0_NS, "watch-a", ("auditor",))
    desk.tick(2)
    assert [LapseInput(user="watch-a")] == desk.people.events
    out = desk.step(4)
    assert [f"watch-a may no longer decide: watch-a's part in {made.id} (declassify) is void"] == [
        one.text for one in out.notices
    ]
    out = desk.does(5, RELEASE, yes(made))
    assert ["proposal-settled"] == [one.reason for one in out.answers]
    desk.tick(5)
    assert [] == left(desk.step(7))


def test_what_was_approved_is_not_acted_upon_when_one_was_dismissed_since(config: NodeConfig, desk: Desk) -> None:
    """Between the second yes and the act an account is disabled: nothing is signed, an alarm says so, and a restart does not either."""
    made = desk.proposed()
    out = desk.does(3, RELEASE, yes(made))
    assert any(isinstance(one, Approved) for one in out.approvals)
    desk.book.set_disabled(worlds.T0_NS, "release-b", disabled=True)
    desk.tick(3)
    assert [] == desk.people.events
    told = [one.text for one in desk.people.notices() if one.severity == "alarm"]
    assert [f"{made.id} (declassify) is not acted upon: release-b may no longer decide"] == told

    desk.book.set_disabled(worlds.T0_NS, "release-b", disabled=False, emergency="a test")
    again = people_of(config, desk.book)
    again.restored(worlds.T0_NS, desk.pipeline.approvals, frozenset(), Agreements(), DecisionLog())
    again.tick(worlds.T0_NS + 10 * S, desk.pipeline.approvals, Health(), sound=True)
    assert [] == again.events


def test_a_restart_knows_what_lapsed(config: NodeConfig, desk: Desk) -> None:
    """A lapse is an input like any other: it is in the journal among what people did, and a restart makes it again."""
    made = desk.proposed()
    lapse = LapseInput(user="watch-a")
    assert lapse == decode(encode(lapse))
    assert by_people(lapse)
    fresh = worlds.pipeline_of(config)
    desk.step(3, lapse)
    for second, given in (
        (1, ActInput(act=OfficerAct(session=WATCH, act=RaiseWarning(act_id="a", kind="missile", headline="EXERCISE", rel_to=(), level=3)))),
        (2, ActInput(act=OfficerAct(session=WATCH, act=ProposeRelease(act_id="b", audience="KOR", warning_id="JPN-W1")))),
        (3, lapse),
    ):  # fmt: skip
        fresh.restore(worlds.T0_NS + second * S, [given])
    assert "void" == fresh.approvals.settled[made.id].outcome == desk.pipeline.approvals.settled[made.id].outcome


def test_contradictions_of_agreements_are_said_on_the_page(config: NodeConfig, desk: Desk) -> None:
    """Where two agreements govern one flow on different terms, the watch log says at the start which term holds."""
    held = worlds.setup.read_agreements(config)
    first = msgspec.structs.replace(held.agreements[0], yields_to=())
    other = msgspec.structs.replace(first, id="another", purposes=("exercise",))
    desk.people.restored(worlds.T0_NS, desk.pipeline.approvals, frozenset(), Agreements(agreements=(other, first)), DecisionLog())
    told = [one.text for one in desk.people.notices() if one.text.startswith("agreements differ: ")]
    assert told
    assert "only what both allow holds" in told[0]


def test_a_disagreement_of_the_judges_is_an_alarm(desk: Desk) -> None:
    """Records on which the two judges disagreed are said in the watch log and put into the log, each once, of very many the last."""
    decision = Decision(permit=True, audience="KOR", reason="permitted", rule="trilateral/1")
    noted: list[bytes] = []
    desk.people._journal = lambda _, data: noted.append(data)
    desk.people.restored(worlds.T0_NS, desk.pipeline.approvals, frozenset(), Agreements(), log := DecisionLog())
    told = []
    for n in (0, 2, 0, 20):
        for _ in range(n):
            log.alarm(Alarm(t_ns=worlds.T0_NS, audience="KOR", label_hash=b"", first=decision, second=False))
        desk.tick(1)
        told.append([one.text for one in desk.people.notices() if one.severity == "alarm"])
    said = "judges disagree on a record for KOR: rules permit (trilateral/1), Cedar withhold; it is withheld"
    assert [[], [said] * 2, [], [f"{said} (of 20)"] * 5] == told
    assert 7 == sum(b"judges disagree" in one for one in noted)
