"""The approvals' desk in the node's step: which kinds there are, officers' acts at it, what pages are shown of it; recalls. Pure.

To let two people decide something new, add its kind to KINDS (its content's type, who may propose, who may approve, how long it
waits) and act on the `Approved` of that kind in `Output.approvals`. Each comes out once, in the step in which the last yes came;
a restart makes it again from the journal (`Pipeline.approvals.settled`), so whoever acts on it remembers its id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from trilat.accounts import approvals, roles
from trilat.accounts.approvals import ApprovalDesk, Pending, ProposalKind, Refused, Settled
from trilat.accounts.roles import may
from trilat.errors import PolicyError
from trilat.issuing import contents
from trilat.issuing.state import Desk as WarningsDesk
from trilat.ledger.recalls import ACT, numbers_text
from trilat.node.audience import AudiencePipeline
from trilat.node.inputs import EventInput, RecallInput
from trilat.outward.events import DECLASSIFY, LIFE_SAFETY, RecordRelease, StandingRelease
from trilat.picture.acts import Act, Approve, Decline, Propose
from trilat.records.approval import Approval, Approved, Proposal, Role, Session
from trilat.records.declassification import Declassification
from trilat.records.label import Label
from trilat.records.released import Released
from trilat.records.warning import Recall

DeskAct = Propose | Approve | Decline
Event = Proposal | Approval | Approved
RELEASE: frozenset[Role] = frozenset({"release-officer"})
KINDS: Mapping[str, ProposalKind] = {
    **approvals.KINDS,
    # One record, or a standing permission, for one audience: the release officer is always one of the two.
    DECLASSIFY: ProposalKind(RecordRelease, roles.OFFICERS, RELEASE, 3_600),
    LIFE_SAFETY: ProposalKind(StandingRelease, roles.OFFICERS, RELEASE, 86_400),
    **contents.KINDS,
}
SETTLED_SHOWN = 20
MS = 1_000_000


class Done(NamedTuple):
    """What came of an act: why it was refused (empty when it was not), what came out, lines for the watch log."""

    fault: str
    events: tuple[Event, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()


def name_of(act: Act) -> str:
    """Return an act's name in the table of roles."""
    return str(act.__struct_config__.tag)


def take(desk: ApprovalDesk, now_ns: int, session: Session, act: DeskAct) -> Done:
    """Do one officer's act at the desk."""
    match act:
        case Propose():
            made: Event | Refused = desk.propose(now_ns, session, act.kind, act.content, act.reason)
        case Approve():
            made = desk.approve(now_ns, session, act.proposal, bytes.fromhex(act.content_sha256))
        case Decline():
            made = desk.decline(now_ns, session, act.proposal, bytes.fromhex(act.content_sha256), act.reason)
    if isinstance(made, Refused):
        # Somebody who tries to be two people is worth a line; a slip of the page is not.
        note = f"{session.user}'s {name_of(act)} was refused: {made.reason}"[:200]
        return Done(made.reason, notes=(("alarm", note),) if made.reason.startswith("approval-") else ())
    return Done("", (made,), (("caution", _said(session, made)),))


def lapse(desk: ApprovalDesk, now_ns: int, user: str) -> tuple[tuple[str, str], ...]:
    """Make void what somebody wanted who may no longer decide; return the lines for the watch log."""
    gone = desk.lapse(now_ns, user)
    return tuple(("alarm", f"{user} may no longer decide: {user}'s part in {one.id} ({one.kind}) is void"[:200]) for one in gone)


def deciders(proposal: Proposal, given: Iterable[Approval]) -> list[tuple[Session, frozenset[Role]]]:
    """Return who stands behind a proposal, each with the roles one of which that takes."""
    row = KINDS[proposal.kind]
    return [*([(proposal.by, row.propose)] if proposal.by else []), *((one.by, row.approve) for one in given)]


class Taken(NamedTuple):
    """What came of a declassification event: what leaves by it, why it was refused, lines for the watch log."""

    released: tuple[Released, ...] = ()
    fault: str = ""
    notes: tuple[tuple[str, str], ...] = ()


def take_event(audience: AudiencePipeline | None, now_ns: int, given: EventInput) -> Taken:
    """Give an event to the audience's pipeline that it is for; one that is not to be used is refused by name, aloud."""
    event = given.event
    if audience is None:
        return _refused(event, "declassification-audience")
    try:
        sent, decision = audience.declassify(now_ns, event, given.record)
    except PolicyError as error:
        return _refused(event, error.name)
    by = f" by {', '.join(event.approved_by)}" if event.approved_by else ""
    notes = [("caution", f"event {event.id} ({event.kind}) for {event.audience}{by}: {event.reason}"[:200])]
    if decision is not None and not sent:
        why = f"{decision.reason} ({decision.rule})"
        notes.append(("alarm", f"event {event.id} lets nothing go to {event.audience}: {why}"[:200]))
    return Taken(tuple(sent), notes=tuple(notes))


def _refused(event: Declassification, fault: str) -> Taken:
    return Taken(fault=fault, notes=(("alarm", f"event {event.id} for {event.audience} was refused: {fault}"[:200]),))


def take_recall(audience: AudiencePipeline | None, policy: str, now_ns: int, given: RecallInput) -> Taken:
    """Make the recall that a release officer wants, for the audience that its numbers went to; refused by name, aloud.

    policy: the security policy of the node's labels.
    """
    what = f"{given.stream} {given.lane} {numbers_text(given.epoch, given.sequences)}"
    user, _, via = given.session.user, *given.stream.partition("/")[1:]
    if not may(given.session.roles, ACT):
        return Taken(fault="act-role", notes=(("alarm", f"{user}'s recall was refused: act-role"[:200]),))
    if audience is None or audience.policy.public:
        return Taken(fault="recall-partner", notes=(("alarm", f"{user}'s recall of {what} was refused: recall-partner"[:200]),))
    try:
        sent = audience.recall(now_ns, policy, via or None, _recall_of(now_ns, given))
    except PolicyError as error:
        return Taken(fault=error.name, notes=(("alarm", f"{user}'s recall of {what} was refused: {error.name}"[:200]),))
    when = "" if sent else ", which leaves later"
    told = f"{user} recalled {len(given.sequences)} records: {what}{when}: {given.reason}"
    return Taken(tuple(sent), notes=(("caution", told[:200]),))


def _recall_of(now_ns: int, given: RecallInput) -> Callable[[Label], Recall]:
    def made(label: Label) -> Recall:
        return Recall(
            lane=given.lane,
            epoch=given.epoch,
            sequences=given.sequences,
            reason=given.reason,
            by=given.session.user,
            t_ns=now_ns,
            label=label,
        )

    return made


def recall_words(partner: str, recall: Recall) -> str:
    """Return the watch log's line on a partner's recall."""
    numbers = numbers_text(recall.epoch, recall.sequences)
    return f"{partner} recalled {len(recall.sequences)} records that it sent: {recall.lane} {numbers}: {recall.reason}"[:200]


def _said(session: Session, made: Event) -> str:
    match made:
        case Proposal():
            text = f"{session.user} proposed {made.id} ({made.kind})"
        case Approved():
            text = f"{session.user} approved {made.proposal.id} ({made.proposal.kind}): decided"
        case Approval():
            text = f"{session.user} {made.verdict}d {made.proposal_id}"
    return text[:200]


def leave_told(desk: WarningsDesk) -> dict[str, Any] | None:
    """Return the standing leave to issue automatically as pages show it; None while there is none."""
    if desk.leave is None:
        return None
    one = desk.leave
    sure = {"probability_min": one.probability_min, "confidence_min": one.confidence_min, "minutes": one.minutes}
    return {"audiences": list(one.audiences), **sure, "until_ms": one.until_ns // MS, "by": list(desk.leave_by)}


def told(desk: ApprovalDesk, leave: dict[str, Any] | None = None) -> bytes:
    """Return the message that shows pages what waits, with content and hash, how the last ones ended, and what leave stands."""
    settled = list(desk.settled.values())[-SETTLED_SHOWN:]
    message = {
        "type": "approvals",
        "pending": [_pending(one) for one in desk.pending()],
        "settled": [_settled(one) for one in reversed(settled)],
        "leave": leave,
    }
    return msgspec.json.encode(message)


def _pending(one: Pending) -> dict[str, Any]:
    approvals_ = [{"by": given.by.user, "person": given.by.person, "t_ms": given.t_ns // MS} for given in one.approvals]
    return {**_proposal(one.proposal), "approvals": approvals_, "missing": one.missing}


def _settled(one: Settled) -> dict[str, Any]:
    return {**_proposal(one.proposal), "outcome": one.outcome, "settled_ms": one.t_ns // MS, "settled_by": one.by}


def _proposal(one: Proposal) -> dict[str, Any]:
    by = None if one.by is None else {"user": one.by.user, "person": one.by.person, "station": one.by.station}
    return {
        "id": one.id,
        "nation": one.nation,
        "mode": f"{one.mode.kind}:{one.mode.id}",
        "kind": one.kind,
        "content": one.content,
        "content_sha256": one.content_sha256.hex(),
        "t_ms": one.t_ns // MS,
        "expires_ms": one.expires_ns // MS,
        "by": by,
        "reason": one.reason,
    }
