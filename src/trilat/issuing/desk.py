"""One node's warning desk: what assessments, partners and people bring, and what leaves because of it. Pure; the node steps it.

What an officer did wrongly, a partner's forged record, or an approval that came too late is refused by reason, said in the watch
log, and stops nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from trilat.accounts.approvals import Refused
from trilat.accounts.roles import may
from trilat.errors import PolicyError, sentence
from trilat.issuing import contents, prepare
from trilat.issuing.books import Key, Moved
from trilat.issuing.contents import Issue, PreAuthorise, RaisePublic, mode_word
from trilat.issuing.editions import NATIONAL, PUBLIC
from trilat.issuing.partners import acknowledge, receive
from trilat.issuing.state import Desk, Event
from trilat.outward.events import DECLASSIFY, RecordRelease
from trilat.picture.acts import (
    AcknowledgeWarning,
    Act,
    Approve,
    Decline,
    IssueWarning,
    OfficerAct,
    Propose,
    ProposeRelease,
    RaiseWarning,
    RelayWarning,
    RetractWarning,
    StandDown,
)
from trilat.picture.inputs import ActAnswer, Notice, WarningRecord
from trilat.records.approval import Approved, Session
from trilat.records.assessment import Assessment
from trilat.records.released import Released
from trilat.records.warning import Acknowledgement, Retraction, Warning
from trilat.warn import machine
from trilat.warn.lifecycle import Draft
from trilat.warn.machine import Envelope


class DeskStep:
    """One step's doings at the desk; what came of it stands in the fields."""

    def __init__(self, desk: Desk, now_ns: int) -> None:
        self._d = desk
        self._now_ns = now_ns
        self.released: list[Released] = []
        self.shown: list[WarningRecord] = []
        self.answers: list[ActAnswer] = []
        self.notices: list[Notice] = []
        self.approvals: list[Event] = []
        self.public: list[Warning] = []
        self.taken: list[tuple[str, Assessment]] = []
        for late in desk.approvals.step(now_ns):
            self._note("caution", f"{late.id} ({late.kind}) waited too long and is void")
        self._moved(desk.books.tick(now_ns))
        told, lines = desk.duties.step(now_ns, desk.books, desk.audiences, desk.label)
        self.released.extend(told)
        if desk.leave is not None and now_ns >= desk.leave.until_ns:
            desk.leave, lines = None, [*lines, "the standing leave to issue automatically has ended"]
        for line in lines:
            self._note("caution", line)
        for text in desk.escalation.step(now_ns):
            self._note("alarm", text)

    # Assessments ------------------------------------------------------------------------------------------------------

    def assess(self, audience: str, assessment: Assessment) -> None:
        """Take one audience's assessment ("national" and "own" are the nation's)."""
        taken, moved = self._d.books.take(self._now_ns, audience, assessment)
        if audience == NATIONAL and (doubt := self._d.doubtful.line(assessment)):
            self._note("caution", doubt)
        elif not taken:
            return
        self.taken.append((audience, assessment))
        self._moved(moved)
        key = (assessment.stream, assessment.flight)
        self._automatic(audience, key)
        if audience == NATIONAL:
            self._widen(key)

    def _moved(self, moved: Iterable[Moved]) -> None:
        moved = list(moved)
        shown, released, public = self._d.books.emit(self._now_ns, moved)
        for one in moved:
            if machine.empties(one.before, one.after):
                words = "names no area any more: give the all clear, or have what it touches now approved"
                self._note("alarm", f"{one.after.warning.id} {words}")
        for warning in shown:
            self._show(self._d.nation, warning)
            severity = "alarm" if warning.state in ("track-lost", "detected", "issued") else "caution"
            self._note(severity, f"{warning.id} v{warning.version} {warning.state} ({warning.reason}): {warning.headline}")
            if warning.reason == "no-launch" and warning.issued:
                self._note("alarm", f"{warning.id} is no launch any more: retract it, the retraction is prepared")
            self._d.escalation.shown(self._now_ns, self._d.nation, warning)
        self.released.extend(released)
        self._publish(public)

    def _publish(self, warnings: Iterable[Warning]) -> None:
        """Tell the public what PUBLIC's policy lets go; what it does not is said aloud to the watch."""
        for one in warnings:
            released = self._d.publish(self._now_ns, one)
            self.released.extend(released)
            if released:
                self.public.append(one)
            else:
                self._note("alarm", f"{one.id} v{one.version} is withheld from PUBLIC: no agreement lets it go")

    def _automatic(self, audience: str, key: Key) -> None:
        """Issue what a standing leave of two people lets the node issue; a partner's edition by what that one says itself."""
        d = self._d
        if d.leave is None:
            return
        by = " and ".join(d.leave_by)
        if audience != NATIONAL:
            moved = prepare.automatic_edition(self._now_ns, d.books, audience, key, d.leave, d.leave_by)
            for one in moved:
                self._note("alarm", f"{one.after.warning.id} issued automatically to {audience}, by leave of {by}")
            self._moved(moved)
            return
        content = prepare.automatic_content(self._now_ns, d.books, key, d.leave)
        if content is not None:
            self._note("alarm", f"{content.warning_id} issued automatically, by leave of {by}")
            self._issue(content, d.leave_by)

    def _widen(self, key: Key) -> None:
        """Ask two people when a flight touches areas beyond what was approved; once for each set of such areas."""
        d = self._d
        standing = d.books.standing(NATIONAL, key)
        new = () if standing is None else machine.beyond(standing)
        if standing is None or standing.envelope is None or not new:
            return
        told = ",".join(sorted({one.id for one in new}))
        if d.widening.get(key) == told:
            return
        d.widening[key] = told
        audiences = tuple(sorted(name for name, (_, one) in d.books.editions(key).items() if one.warning.issued))
        minutes = max(1, min(180, (standing.envelope.until_ns - self._now_ns) // (60 * 10**9)))
        areas = (*standing.envelope.areas, *(one.id for one in new))
        act = IssueWarning(
            act_id="widen", warning_id=standing.warning.id, version=standing.warning.version, audiences=audiences,
            areas=areas[:200], minutes=minutes,
        )  # fmt: skip
        content = prepare.issue_content(self._now_ns, d.books, act)
        fault = content if isinstance(content, str) else self._propose(None, contents.ISSUE, content)
        words = f"{standing.warning.id} touches areas beyond what was approved ({told}): two must approve to widen"
        self._note("alarm", f"{words}{f'; not proposed: {fault}' if fault else ''}")

    # People -----------------------------------------------------------------------------------------------------------

    def act(self, given: OfficerAct) -> None:
        """Do one officer's act, and answer it."""
        act = given.act
        name = str(act.__struct_config__.tag)
        fault = self._do(given, act) if may(given.session.roles, name) else "act-role"
        if fault and name in ("issue", "relay", "raise", "retract", "stand-down", "propose"):
            self._note("caution", f"{given.session.user}'s {name} was refused: {fault}")
        self.answer(act.act_id, fault)

    def answer(self, act_id: str, fault: str) -> None:
        """Answer an act: done, or refused with a reason of `errors.toml`."""
        self.answers.append(ActAnswer(act_id=act_id, ok=not fault, reason=fault, text=sentence(fault)[:200] if fault else ""))

    def _do(self, given: OfficerAct, act: Act) -> str:
        try:
            match act:
                case RaiseWarning():
                    fault = self._raise(given, act)
                case AcknowledgeWarning():
                    fault = self._acknowledge(given, act)
                case RetractWarning():
                    fault = self._retract(given, act)
                case IssueWarning() | RelayWarning():
                    fault = self._prepare(given, act)
                case ProposeRelease():
                    fault = self._propose_release(given, act)
                case StandDown():
                    fault = self._stand_down(given, act)
                case _:
                    fault = self._decide(given, act)
        except PolicyError as error:
            return error.name
        return fault

    def _prepare(self, given: OfficerAct, act: IssueWarning | RelayWarning) -> str:
        """Write what an officer wants issued, and put it before a second person."""
        books = self._d.books
        if isinstance(act, IssueWarning):
            content = prepare.issue_content(self._now_ns, books, act)
        else:
            content = prepare.relay_content(self._now_ns, books, self._d.hand.received(act.originator, act.warning_id), act)
        return content if isinstance(content, str) else self._propose(given.session, contents.ISSUE, content)

    def _propose_release(self, given: OfficerAct, act: ProposeRelease) -> str:
        """Put a record that the node holds before a second person: exactly that one may go."""
        record = self._d.record(act.warning_id, act.track)
        if record is None:
            return "warning-unknown" if act.warning_id else "track-unknown"
        asked = RecordRelease(audience=act.audience, record=record, tier=act.tier, reason=act.reason)
        return self._propose(given.session, DECLASSIFY, asked)

    def event(self, released: Iterable[Released], fault: str, notes: Iterable[tuple[str, str]]) -> None:
        """Take over what came of a declassification event."""
        self.released.extend(released)
        self._d.rejected.update([fault] if fault else [])
        for severity, text in notes:
            self._note(severity, text)

    def _propose(self, session: Session | None, kind: str, content: object) -> str:
        """Put what the node prepared before the approvers; returns why not."""
        made = self._d.approvals.propose(self._now_ns, session, kind, content)
        if isinstance(made, Refused):
            return made.reason
        self.approvals.append(made)
        who = "the node" if session is None else session.user
        self._note("caution", f"{who} proposed {made.id} ({kind})")
        return ""

    def _decide(self, given: OfficerAct, act: Propose | Approve | Decline) -> str:
        """Take an act at the approvals' desk, and act on what enough different people want."""
        if isinstance(act, Propose) and (act.kind in contents.PREPARED or act.kind == DECLASSIFY):
            return "proposal-prepared"
        leave = isinstance(act, Propose) and act.kind == contents.PRE_AUTHORISE
        if leave and (fault := contents.leave_fault(self._now_ns, self._d.mode, act.content)):  # type: ignore[union-attr]
            return fault
        if isinstance(act, Approve) and (gone := prepare.holds_no_more(self._now_ns, self._d, act.proposal)):
            words = f"{given.session.user}'s yes to {act.proposal} was refused: approval-outdated: nothing is said of {gone} now"
            self._note("alarm", words)
            return "approval-outdated"
        fault, events, notes = self._d.decide(self._now_ns, given.session, act)
        self.approvals.extend(events)
        for severity, text in notes:
            self._note(severity, text)
        for event in events:
            if isinstance(event, Approved):
                self._act_on(event)
        return fault

    def _act_on(self, approved: Approved) -> None:
        """Do what two people decided, when it is about warnings."""
        proposal = approved.proposal
        people = [one.by.user for one in approved.approvals]
        by = tuple([proposal.by.user, *people] if proposal.by is not None else people)
        if proposal.kind == contents.ISSUE:
            self._issue(msgspec.json.decode(proposal.content, type=Issue), by)
        elif proposal.kind == contents.BY_HAND and proposal.by is not None:
            raised = msgspec.json.decode(proposal.content, type=RaisePublic).act
            self._raise_now(proposal.by, raised, by)
        elif proposal.kind == contents.PRE_AUTHORISE:
            leave = msgspec.json.decode(proposal.content, type=PreAuthorise)
            self._d.leave, self._d.leave_by = (leave, by) if leave.audiences else (None, ())
            words = "given" if leave.audiences else "taken away"
            self._note("alarm", f"standing leave to issue automatically {words} by {' and '.join(by)}")

    def _issue(self, content: Issue, by: tuple[str, ...]) -> None:
        """Issue to every audience what was approved for it, each from its own assessment as that stands now."""
        d = self._d
        if content.relay is not None:
            told = d.public.relay(self._now_ns, d.hand.received(content.relay.originator, content.relay.warning_id), content, by)
            self._publish(told)
            if not told:
                self._note("alarm", f"{content.warning_id} was approved but is over: nothing is passed on")
            return
        found = d.books.national(content.warning_id)
        if found is None or found[1].warning.state in machine.CLOSED or content.until_ns <= self._now_ns:
            self._note("alarm", f"{content.warning_id} was approved but is over: nothing is issued")
            return
        gone = prepare.outdated(self._now_ns, d, content)
        for variant in content.variants:
            audience = NATIONAL if variant.audience == d.nation else variant.audience
            if variant.audience in gone:
                words = f"{content.warning_id} was not issued to {variant.audience}"
                self._note("alarm", f"{words}: it says nothing of {gone[variant.audience]} any more; propose anew")
                continue
            areas = tuple(dict.fromkeys(one.id for one in variant.areas))
            envelope = Envelope(areas=areas, until_ns=content.until_ns, approved_by=by)
            moved = d.books.issue(self._now_ns, found[0], audience, envelope)
            self._moved(moved)
            if not moved:
                self._note("alarm", f"{content.warning_id} was approved for {variant.audience} but nothing was issued to it")
        self._widen(found[0])

    def _raise(self, given: OfficerAct, act: RaiseWarning) -> str:
        if PUBLIC in act.rel_to:
            return self._propose(given.session, contents.BY_HAND, RaisePublic(mode=mode_word(self._d.mode), act=act))
        self._raise_now(given.session, act, (given.session.user,))
        return ""

    def _raise_now(self, session: Session, act: RaiseWarning, by: tuple[str, ...]) -> None:
        d = self._d
        fields = ("kind", "headline", "text", "areas", "minutes", "confidence")
        draft = Draft(**{name: getattr(act, name) for name in fields})
        label = d.label(act.rel_to, act.level)
        warning = d.hand.raise_by_hand(self._now_ns, draft, label, session.user)
        self._show(d.nation, warning)
        self._note("caution", f"{' and '.join(by)} raised {warning.id}: {warning.headline}")
        for name, audience in d.audiences.items():
            sent = audience.warn(self._now_ns, warning)
            self.released.extend(sent)
            if sent and sent[0].reason == "declassified":
                self._note("caution", f"{warning.id} goes to {name} by event {sent[0].decision}, in coarse form")
            if name in act.rel_to and not sent:
                decision = audience.policy.record_decision(warning, self._now_ns)
                severity, done = ("caution", "leaves later for") if decision.permit else ("alarm", "is withheld from")
                self._note(severity, f"{warning.id} {done} {name}: {decision.reason} ({decision.rule})")
        if PUBLIC in act.rel_to and len(by) > 1:
            self._publish([d.public.by_hand(warning, d.label((PUBLIC,), 0))])

    def _acknowledge(self, given: OfficerAct, act: AcknowledgeWarning) -> str:
        made, released = acknowledge(self._d, self._now_ns, given.session, act)
        if made is None:
            return "warning-unknown"
        self._show(self._d.nation, made)
        self._d.escalation.acknowledged(act.originator, act.warning_id)
        self.released.extend(released)
        return ""

    def _stand_down(self, given: OfficerAct, act: StandDown) -> str:
        d, user = self._d, given.session.user
        found = d.books.national(act.warning_id)
        if found is None or act.version > found[1].warning.version:
            return "warning-unknown"
        if found[1].warning.state in machine.CLOSED:
            return "warning-over"
        for audience, (key, standing) in {NATIONAL: found, **d.books.editions(found[0])}.items():
            after = machine.stand_down(d.books.own_ns(audience, self._now_ns), standing, user)
            if after is not None:
                self._moved([d.books.put(audience, key, after)])
        self._note("alarm", f"{user} stood {act.warning_id} down")
        return ""

    def _retract(self, given: OfficerAct, act: RetractWarning) -> str:
        d, user = self._d, given.session.user
        found = d.books.national(act.warning_id)
        if found is not None:
            return self._retract_flight(user, act, found[0])
        if act.reason == "reinstated" and d.hand.retracted_by(act.warning_id) == user:
            return "reinstate-second"
        made = d.hand.retract(self._now_ns, act.warning_id, act.version, act.reason, act.text, user)
        if made is None:
            return "warning-unknown"
        self._show(d.nation, made)
        self._told_of(user, act)
        for audience in d.audiences.values():
            self.released.extend(audience.retract(self._now_ns, made))
        self._publish(d.public.retract(self._now_ns, act.warning_id, act.reason))
        return ""

    def _retract_flight(self, user: str, act: RetractWarning, national: Key) -> str:
        """Take a flight's warning back from everyone who got it (or reinstate it, by somebody else)."""
        d, back = self._d, act.reason == "reinstated"
        standing = d.books.standing(NATIONAL, national)
        if standing is None or act.version > standing.warning.version:
            return "warning-unknown"
        if (standing.warning.state == "retracted") != back:
            return "warning-over"
        if back and standing.closed_by == user:
            return "reinstate-second"
        for audience, (key, one) in {NATIONAL: (national, standing), **d.books.editions(national)}.items():
            own_ns = d.books.own_ns(audience, self._now_ns)
            after = machine.reinstate(own_ns, one) if back else machine.retract(own_ns, one, act.reason, user)
            if after is None:
                continue
            moved = d.books.put(audience, key, after)
            made, released = d.books.take_back(self._now_ns, moved, act.reason, act.text, user)
            self.released.extend(released)
            if audience == NATIONAL:
                self._show(d.nation, made)
            elif audience == PUBLIC:
                self._publish([moved.after.warning])
        self._told_of(user, act)
        return ""

    def _told_of(self, user: str, act: RetractWarning) -> None:
        if act.reason == "reinstated":
            self._note("alarm", f"{user} reinstated {act.warning_id}")
        else:
            self._note("alarm", f"{user} retracted {act.warning_id}: {act.reason}. A second officer can reinstate it in one act")

    def receive(self, given: WarningRecord) -> None:
        """Take a partner's warning, acknowledgement or retraction; what answers a warning of ours gets our own id back."""
        got = receive(self._d, self._now_ns, given)
        self.shown.extend(got.shown)
        self._publish(got.public)
        for severity, text in got.notes:
            self._note(severity, text)

    def _show(self, origin: str, record: Warning | Acknowledgement | Retraction) -> None:
        self.shown.append(WarningRecord(origin=origin, record=record))

    def _note(self, severity: Any, text: str) -> None:
        self.notices.append(Notice(t_ns=self._now_ns, severity=severity, text=text[:200]))
