"""The approvals' desk: what counts as two people deciding on one thing, and every way round it that we know of."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trilat.accounts.approvals import ApprovalDesk, Refused, content_hash
from trilat.records.approval import AccountRoles, Approval, Approved, Proposal, Session
from trilat.records.label import Mode

NS = 1_000_000_000
T0 = 1_795_000_000 * NS
MODE = Mode(kind="exercise", id="desk")
CONTENT = AccountRoles(user="kim", person="Kim", roles=("watch-officer",), version=1)


def session(user: str, **other: Any) -> Session:
    """Return a watch officer's session, with a person, station and session of its own unless said."""
    fields = {"person": f"Person {user}", "station": f"st-{user}", "session": f"s-{user}", "roles": ("watch-officer",)}
    return Session(user=user, **{**fields, **other})


def proposed(desk: ApprovalDesk, by: Session | None = None, content: object = CONTENT) -> Proposal:
    """Return a proposal of officer a (or the given) at a desk."""
    made = desk.propose(T0, by or session("a1"), "account-roles", content)
    assert isinstance(made, Proposal)
    return made


def desk() -> ApprovalDesk:
    """Return an empty desk."""
    return ApprovalDesk("JPN", MODE)


def test_two_different_people_decide_and_it_comes_out_once() -> None:
    """A second person's yes to the very content decides, and no further act on that proposal does anything."""
    at = desk()
    one = proposed(at)
    done = at.approve(T0 + NS, session("b1"), one.id, one.content_sha256)
    assert isinstance(done, Approved)
    assert (done.proposal, [given.by.user for given in done.approvals]) == (one, ["b1"])
    for again in (at.approve, at.decline):
        assert again(T0 + 2 * NS, session("c1"), one.id, one.content_sha256) == Refused("proposal-settled", "approved")
    assert at.pending() == ()


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (session("a1"), "approval-own"),
        (session("a1", session="s-other", station="st-other"), "approval-own"),
        (session("b1", person="person  A1"), "approval-same-person"),
        (session("b1", person="\uff30erson\u00a0A1"), "approval-same-person"),
        (session("b1", session="s-a1"), "approval-same-session"),
        (session("b1", station="st-a1"), "approval-same-station"),
        (session("kim", person="Somebody"), "approval-subject"),
        (session("b1", person="KIM"), "approval-subject"),
        (session("b1", roles=("auditor",)), "act-role"),
        (session("b1", roles=()), "act-role"),
    ],
)
def test_who_is_no_second_person(second: Session, reason: str) -> None:
    """The proposer, their other account, session or station, whom it is about, and who lacks the role are refused by name."""
    at = desk()
    one = proposed(at)
    told = at.approve(T0, second, one.id, one.content_sha256)
    assert isinstance(told, Refused)
    assert told.reason == reason
    assert [waiting.missing for waiting in at.pending()] == [1]


def test_what_somebody_wanted_who_may_no_longer_is_void() -> None:
    """A proposal whose proposer was dismissed ends, and no second yes makes it count; of others only that person's yes goes."""
    at = desk()
    mine, other = proposed(at), proposed(at, session("b1"))
    nodes = at.propose(T0, None, "account-roles", CONTENT)
    assert isinstance(nodes, Proposal)
    assert isinstance(at.approve(T0, session("a1"), nodes.id, nodes.content_sha256), Approval)

    assert [mine.id, nodes.id] == [one.id for one in at.lapse(T0 + NS, "a1")]
    assert at.approve(T0 + NS, session("b1"), mine.id, mine.content_sha256) == Refused("proposal-settled", "void")
    assert [(other.id, 1, 0), (nodes.id, 2, 0)] == [(one.proposal.id, one.missing, len(one.approvals)) for one in at.pending()]
    assert isinstance(at.approve(T0 + NS, session("b1"), nodes.id, nodes.content_sha256), Approval)
    assert isinstance(at.approve(T0 + NS, session("c1"), nodes.id, nodes.content_sha256), Approved)
    version = at.version
    assert () == at.lapse(T0 + NS, "a1")
    assert version == at.version


def test_an_approval_of_one_version_is_none_of_another() -> None:
    """The hash of one version does not approve another, nor the same content in another mode, nation or kind."""
    at = desk()
    first, second = proposed(at), proposed(at, content=msgspec.structs.replace(CONTENT, roles=("release-officer",)))
    told = at.approve(T0, session("b1"), second.id, first.content_sha256)
    assert isinstance(told, Refused)
    assert told.reason == "proposal-content"
    live = Mode(kind="live")
    others = [("KOR", MODE, first.kind), ("JPN", live, first.kind), ("JPN", MODE, "declassify")]
    hashes = {content_hash(nation, mode, kind, first.content) for nation, mode, kind in others}
    assert first.content_sha256 not in hashes
    assert len(hashes) == len(others)


def test_a_yes_to_one_proposal_is_none_to_its_twin() -> None:
    """Two proposals of equal content have names of their own: approving one leaves the other waiting."""
    at = desk()
    first, twin = proposed(at), proposed(at)
    assert first.content_sha256 == twin.content_sha256
    assert isinstance(at.approve(T0, session("b1"), first.id, first.content_sha256), Approved)
    assert [waiting.proposal.id for waiting in at.pending()] == [twin.id]


def test_what_waits_too_long_is_void() -> None:
    """A proposal is approved just before its end, not at it, and says that it expired."""
    at = desk()
    early, late = proposed(at), proposed(at)
    assert isinstance(at.approve(early.expires_ns - 1, session("b1"), early.id, early.content_sha256), Approved)
    assert at.approve(late.expires_ns, session("b1"), late.id, late.content_sha256) == Refused("proposal-expired", "expired")
    assert at.step(late.expires_ns) == ()


def test_what_the_node_proposes_takes_two_others() -> None:
    """Without a proposer two approvals are needed, by two people: the same one twice, or their second account, is refused."""
    at = desk()
    one = at.propose(T0, None, "account-roles", CONTENT)
    assert isinstance(one, Proposal)
    first = at.approve(T0, session("a1"), one.id, one.content_sha256)
    assert isinstance(first, Approval)
    assert at.approve(T0, session("a1"), one.id, one.content_sha256) == Refused("approval-twice")
    assert at.approve(T0, session("a2", person="Person A1"), one.id, one.content_sha256) == Refused("approval-same-person")
    assert isinstance(at.approve(T0, session("b1"), one.id, one.content_sha256), Approved)


def test_content_is_checked_and_made_canonical() -> None:
    """Content that is not of its kind is refused; the same content in any order and spacing has one hash."""
    at = desk()
    text = msgspec.json.encode(CONTENT).decode()
    assert proposed(at, content=text.replace(",", " , ")).content_sha256 == proposed(at).content_sha256
    bad = ['{"user":"kim"}', text.replace('"version"', '"x":1,"version"'), "[" * 3_000, "null", '{"user":1}', "no json"]
    told = [at.propose(T0, session("a1"), "account-roles", one) for one in bad]
    assert [one.reason for one in told if isinstance(one, Refused)] == ["proposal-kind"] * len(bad)
    assert at.propose(T0, session("a1"), "fire", CONTENT) == Refused("proposal-kind", "fire")


def test_nobody_decides_on_their_own_account() -> None:
    """An officer cannot propose a change of the account that is theirs, by name or by person."""
    at = desk()
    for who in (session("kim"), session("b1", person="kim")):
        assert at.propose(T0, who, "account-roles", CONTENT) == Refused("approval-subject")


def test_the_desk_is_bounded_and_one_officer_cannot_fill_it() -> None:
    """One officer has at most twenty proposals waiting; others can still propose; a decline makes room."""
    at = desk()
    made = [proposed(at) for _ in range(20)]
    assert at.propose(T0, session("a1"), "account-roles", CONTENT) == Refused("proposals-full")
    assert isinstance(at.propose(T0, session("b1"), "account-roles", CONTENT), Proposal)
    assert isinstance(at.decline(T0, session("a1"), made[0].id, made[0].content_sha256), Approval)
    assert isinstance(at.propose(T0, session("a1"), "account-roles", CONTENT), Proposal)


PEOPLE = st.builds(
    session,
    st.sampled_from(["a1", "b1", "c1"]),
    person=st.sampled_from(["A", "B"]),
    station=st.sampled_from(["st-1", "st-2"]),
    session=st.sampled_from(["s-1", "s-2", "s-3"]),
    roles=st.sampled_from([(), ("watch-officer",), ("auditor",), ("release-officer",)]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["propose", "approve", "decline", "late"]), PEOPLE, st.booleans()), max_size=30))
def test_whatever_is_done_only_two_people_decide(acts: list[tuple[str, Session, bool]]) -> None:
    """Over random acts, every decision has a proposer and an approver who differ in all four, both with a role, on one hash."""
    at, now_ns, known = desk(), T0, []
    for what, who, right in acts:
        now_ns += 90_000 * NS if what == "late" else NS
        if what == "propose" and isinstance(made := at.propose(now_ns, who, "account-roles", CONTENT), Proposal):
            known.append(made)
        for one in known:
            digest = one.content_sha256 if right else bytes(32)
            act = {"approve": at.approve, "decline": at.decline}.get(what)
            done = act(now_ns, who, one.id, digest) if act else None
            if isinstance(done, Approved):
                first, second = one.by, done.approvals[0].by
                assert first is not None
                for name in ("user", "person", "session", "station"):
                    assert getattr(first, name) != getattr(second, name)
                assert not {"watch-officer", "release-officer"}.isdisjoint(second.roles)
                assert (right, done.approvals[0].content_sha256) == (True, one.content_sha256)
                assert now_ns < one.expires_ns
