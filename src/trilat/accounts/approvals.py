"""Two persons: proposals and approvals as a pure state machine. Time comes in; what was decided comes out.

    desk = ApprovalDesk("JPN", mode, KINDS)
    made = desk.propose(now_ns, session, "account-roles", content)            # Proposal | Refused
    told = desk.approve(now_ns, other, made.id, made.content_sha256)          # Approved | Approval | Refused

The proposer is the first person and can never be the second. What the node itself proposes (session None) takes two approvals.
Different people means: another user, another person's name, another session, another station. To add a kind, add a row to the
table that the desk is made with: who may propose, who may approve, what the content must be, how long it waits.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from trilat.accounts.kept import same_person
from trilat.accounts.roles import OFFICERS
from trilat.records.approval import AccountRoles, Approval, Approved, Proposal, Role, Session
from trilat.records.label import Mode

NS = 1_000_000_000
PENDING_MAX = 200
PENDING_OF_ONE_MAX = 20
SETTLED_MAX = 1_000
CONTENT_CHARS_MAX = 32_768
PERSONS = 2
_DOMAIN = b"trilat.proposal/1"


class ProposalKind(NamedTuple):
    """One row: what its content is, who may propose and approve it, how long it waits, which field names whom it is about."""

    content: Any
    propose: frozenset[Role]
    approve: frozenset[Role]
    lifetime_s: int
    about: str = ""


# Kinds that are the accounts' own; node adds those of other stages.
KINDS: Mapping[str, ProposalKind] = {"account-roles": ProposalKind(AccountRoles, OFFICERS, OFFICERS, 86_400, about="user")}


class Refused(NamedTuple):
    """An act at the desk that was not taken: `reason` stands in errors.toml."""

    reason: str
    detail: str = ""


class Pending(NamedTuple):
    """A proposal that waits, with the approvals it has and how many more different people it needs."""

    proposal: Proposal
    approvals: tuple[Approval, ...]
    missing: int


class Settled(NamedTuple):
    """How a proposal ended: approved, declined, expired or void (`lapse`); `by` is who had the last word."""

    proposal: Proposal
    outcome: str
    t_ns: int
    by: str
    approved: Approved | None


def canonical(content: object) -> str:
    """Return content as canonical JSON: keys sorted, no spaces, records as their fields."""
    return msgspec.json.encode(msgspec.to_builtins(content), order="sorted").decode()


def content_hash(nation: str, mode: Mode, kind: str, content: str) -> bytes:
    """Return SHA-256 over domain, nation, mode, kind and content, a line each: nothing of another mode or kind has this hash."""
    told = (nation, f"{mode.kind}:{mode.id}", kind, content)
    return hashlib.sha256(b"\n".join((_DOMAIN, *(one.encode() for one in told)))).digest()


class ApprovalDesk:
    """The proposals of one node. `version` rises with every change."""

    def __init__(self, nation: str, mode: Mode, kinds: Mapping[str, ProposalKind] = KINDS) -> None:
        self._nation = nation
        self._mode = mode
        self.kinds = kinds
        self._pending: dict[str, Pending] = {}
        self.settled: OrderedDict[str, Settled] = OrderedDict()
        self._count = 0
        self.version = 0

    # Asking -----------------------------------------------------------------------------------------------------------

    def pending(self) -> tuple[Pending, ...]:
        """Return what waits, oldest first."""
        return tuple(self._pending.values())

    # Acting -----------------------------------------------------------------------------------------------------------

    def step(self, now_ns: int) -> tuple[Proposal, ...]:
        """Let go of what waited too long; return it."""
        late = [one.proposal for one in self._pending.values() if now_ns >= one.proposal.expires_ns]
        for proposal in late:
            self._settle(proposal, "expired", now_ns, "", None)
        return tuple(late)

    def propose(self, now_ns: int, session: Session | None, kind: str, content: object, reason: str = "") -> Proposal | Refused:
        """Put something before a second person; session None: the node itself proposes, and two must approve.

        Refused: proposal-kind (unknown kind, or content that is not of it), act-role, approval-subject, proposals-full.
        """
        self.step(now_ns)
        row = self.kinds.get(kind)
        if row is None:
            return Refused("proposal-kind", kind)
        if session is not None and row.propose.isdisjoint(session.roles):
            return Refused("act-role", f"{kind} is proposed by: {', '.join(sorted(row.propose))}")
        try:
            text = canonical(_of_kind(row, content))
        except (msgspec.MsgspecError, TypeError, RecursionError) as error:
            return Refused("proposal-kind", f"{kind}: {error}"[:150])
        fault = self._unfit(session, row, text)
        return fault or self._put(now_ns, session, kind, text, reason)

    def _unfit(self, session: Session | None, row: ProposalKind, text: str) -> Refused | None:
        if len(text) > CONTENT_CHARS_MAX:
            return Refused("proposal-kind", f"{len(text)} characters, at most {CONTENT_CHARS_MAX}")
        if session is not None and row.about and _is_about(session, row, text):
            return Refused("approval-subject")
        return Refused("proposals-full") if self._is_full(session) else None

    def _put(self, now_ns: int, session: Session | None, kind: str, text: str, reason: str) -> Proposal:
        self._count += 1
        digest = content_hash(self._nation, self._mode, kind, text)
        # From time and content: a node whose log was pruned does not begin again with ids that were used.
        place = b"%d %d " % (now_ns, self._count)
        proposal = Proposal(
            id="P-" + hashlib.sha256(place + digest).hexdigest()[:12],
            nation=self._nation,
            mode=self._mode,
            kind=kind,
            content=text,
            content_sha256=digest,
            t_ns=now_ns,
            expires_ns=now_ns + self.kinds[kind].lifetime_s * NS,
            by=session,
            reason=reason[:200],
        )
        self._pending[proposal.id] = Pending(proposal, (), PERSONS - (session is not None))
        self.version += 1
        return proposal

    def _is_full(self, session: Session | None) -> bool:
        mine = sum(
            one.proposal.by is not None and session is not None and one.proposal.by.user == session.user
            for one in self._pending.values()
        )
        return len(self._pending) >= PENDING_MAX or mine >= PENDING_OF_ONE_MAX

    def approve(self, now_ns: int, session: Session, proposal_id: str, content_sha256: bytes) -> Approved | Approval | Refused:
        """Say yes to exactly this content. Approved when it was the last yes needed; Approval when another is still missing.

        Refused: proposal-unknown, proposal-settled, proposal-expired, proposal-content (another hash than the proposal's),
        act-role, approval-own, approval-twice, approval-same-person, approval-same-session, approval-same-station,
        approval-subject.
        """
        found = self._find(now_ns, proposal_id, content_sha256)
        if isinstance(found, Refused):
            return found
        if fault := self._barred(found, session):
            return fault
        proposal, approvals, missing = found
        given = Approval(
            proposal_id=proposal.id, content_sha256=proposal.content_sha256, verdict="approve", by=session, t_ns=now_ns
        )
        if missing > 1:
            self._pending[proposal.id] = Pending(proposal, (*approvals, given), missing - 1)
            self.version += 1
            return given
        approved = Approved(proposal=proposal, approvals=(*approvals, given), t_ns=now_ns)
        self._settle(proposal, "approved", now_ns, session.user, approved)
        return approved

    def _barred(self, found: Pending, session: Session) -> Refused | None:
        """Return why this session's yes does not count; None when it does."""
        proposal, row = found.proposal, self.kinds[found.proposal.kind]
        if row.approve.isdisjoint(session.roles):
            return Refused("act-role", f"{proposal.kind} is approved by: {', '.join(sorted(row.approve))}")
        if row.about and _is_about(session, row, proposal.content):
            return Refused("approval-subject")
        others = [(proposal.by, "approval-own")] if proposal.by is not None else []
        others += [(earlier.by, "approval-twice") for earlier in found.approvals]
        return next((Refused(same) for other, own in others if (same := _same(other, session, own))), None)

    def decline(
        self, now_ns: int, session: Session, proposal_id: str, content_sha256: bytes, reason: str = ""
    ) -> Approval | Refused:
        """Say no, which ends the proposal; whoever proposed it withdraws it so."""
        found = self._find(now_ns, proposal_id, content_sha256)
        if isinstance(found, Refused):
            return found
        proposal = found.proposal
        own = proposal.by is not None and proposal.by.user == session.user
        if not own and self.kinds[proposal.kind].approve.isdisjoint(session.roles):
            return Refused("act-role", f"{proposal.kind} is declined by those who may approve it")
        self._settle(proposal, "declined", now_ns, session.user, None)
        return Approval(
            proposal_id=proposal.id,
            content_sha256=proposal.content_sha256,
            verdict="decline",
            by=session,
            t_ns=now_ns,
            reason=reason[:200],
        )

    def lapse(self, now_ns: int, user: str) -> tuple[Proposal, ...]:
        """Let go of what waits and somebody proposed who may no longer, and of that person's yeses; return what it touched."""
        self.step(now_ns)
        touched: list[Proposal] = []
        for one in list(self._pending.values()):
            left = tuple(given for given in one.approvals if given.by.user != user)
            if one.proposal.by is not None and one.proposal.by.user == user:
                self._settle(one.proposal, "void", now_ns, user, None)
            elif left != one.approvals:
                missing = one.missing + len(one.approvals) - len(left)
                self._pending[one.proposal.id] = Pending(one.proposal, left, missing)
                self.version += 1
            else:
                continue
            touched.append(one.proposal)
        return tuple(touched)

    def _find(self, now_ns: int, proposal_id: str, content_sha256: bytes) -> Pending | Refused:
        self.step(now_ns)
        found = self._pending.get(proposal_id)
        if found is None:
            ended = self.settled.get(proposal_id)
            if ended is None:
                return Refused("proposal-unknown", proposal_id[:64])
            return Refused("proposal-expired" if ended.outcome == "expired" else "proposal-settled", ended.outcome)
        if content_sha256 != found.proposal.content_sha256:
            return Refused("proposal-content", f"{content_sha256.hex()[:16]} is not {found.proposal.content_sha256.hex()[:16]}")
        return found

    def _settle(self, proposal: Proposal, outcome: str, now_ns: int, by: str, approved: Approved | None) -> None:
        del self._pending[proposal.id]
        self.settled[proposal.id] = Settled(proposal, outcome, now_ns, by, approved)
        while len(self.settled) > SETTLED_MAX:
            self.settled.popitem(last=False)
        self.version += 1


def _of_kind(row: ProposalKind, content: object) -> Any:
    """Return content (JSON text, or a record) as its kind's type."""
    if isinstance(content, str):
        return msgspec.json.decode(content, type=row.content)
    return msgspec.convert(msgspec.to_builtins(content), row.content, strict=True)


def _person(session: Session) -> str:
    return same_person(session.person)


def _same(first: Session, second: Session, own: str) -> str:
    """Return why two sessions are not two people; empty when they are."""
    if first.user == second.user:
        return own
    if _person(first) == _person(second):
        return "approval-same-person"
    if first.session == second.session:
        return "approval-same-session"
    return "approval-same-station" if first.station == second.station else ""


def _is_about(session: Session, row: ProposalKind, content: str) -> bool:
    told = msgspec.json.decode(content)
    person = told.get("person", "")
    mine = same_person(str(person)) == _person(session)
    return told.get(row.about) == session.user or bool(person and mine)
