"""The people of a node: its account book, the door to its pages, what the log has of both, roles that two officers approved."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import structlog

from trilat.accounts.approvals import ApprovalDesk
from trilat.accounts.book import FILE_NAME, Book
from trilat.accounts.door import Door, DoorSettings, NodeFace, Outside
from trilat.accounts.roles import acts_of, may
from trilat.identity.sign import SigningKey
from trilat.issuing.state import Desk
from trilat.ledger import explained, served
from trilat.ledger.recalling import RecallDesk
from trilat.ledger.recalls import Place
from trilat.node import approvals, clock, show
from trilat.node.config import mode_of
from trilat.node.health import Health
from trilat.node.inputs import EventInput, LapseInput, RecallInput
from trilat.node.settings import NodeConfig
from trilat.outward.events import DECLASSIFY, LIFE_SAFETY, Wanted, wanted
from trilat.picture.board import mode_words
from trilat.picture.guard import Gate
from trilat.picture.inputs import ActAnswer, Notice
from trilat.picture.web import Hub
from trilat.policy.agreement import Agreements, contradictions
from trilat.policy.audience import DecisionLog
from trilat.policy.signing import sign_declassification
from trilat.records.approval import Approved, Role, Session

MINUTE_NS = 60 * 1_000_000_000
# What was approved is acted upon when the step that decided it has had time to reach the disk.
SETTLE_NS = 1_000_000_000
NOTICES_MAX = 100
ALARMS_SAID_MAX = 5  # of those that came at once
log = structlog.get_logger()


class AccountNote(msgspec.Struct, frozen=True, kw_only=True):
    """What the node's log holds of accounts, logins and alarms of the policy: an entry of kind "account"."""

    severity: str
    text: str


class _Due(NamedTuple):
    due_ns: int
    approved: Approved


def signed(asked: Wanted, key: SigningKey) -> EventInput:
    """Return an event signed by the node, ready to go into a step."""
    return EventInput(event=sign_declassification(asked.event, key.key_id, key.seed), record=asked.record)


def open_book(config: NodeConfig) -> Book:
    """Open, or make, the account book of a node; raises AccountError."""
    return Book(Path(config.directory) / FILE_NAME, config.nation, mode_of(config))


class People:
    """Made once per node. `journal(t_ns, data)` appends to the node's log."""

    def __init__(
        self, config: NodeConfig, book: Book, random_bytes: Callable[[int], bytes], journal: Callable[[int, bytes], None]
    ) -> None:
        self._config, self._book = config, book
        self._store = Path(config.directory) / "store"
        self._journal = journal
        self._notices: list[Notice] = []
        self._due: list[_Due] = []
        self._shown: tuple[int, Any] = (-1, None)
        self._decisions: DecisionLog | None = None
        self._alarms_told = 0
        # What waits for the node's next step: signed events, recalls, lapses; `key` gives the key to sign with.
        self.events: list[EventInput | RecallInput | LapseInput] = []
        self.key: Callable[[int], SigningKey] | None = None
        self._nation, self._mode = config.nation, mode_of(config)
        self.hub: Hub | None = None
        self._asked: explained.Explainer | None = None
        self._recalls = RecallDesk(self._store, [partner.nation for partner in config.partner], self._recall)
        mode = mode_of(config)
        face = NodeFace(config.nation, config.name, {"kind": mode.kind, "id": mode.id, "words": mode_words(mode)})
        settings = DoorSettings(
            idle_ns=config.accounts.idle_minutes * MINUTE_NS,
            session_ns=config.accounts.session_hours * 60 * MINUTE_NS,
            address_is_station=config.accounts.station == "address",
        )
        self.door = Door(book, face, Outside(clock.now_ns, random_bytes, self._note, self._ended), settings)

    def gate(self) -> Gate:
        """Return what the pages know of accounts, and what the same door keeps: the ledger, and why what goes where."""
        behind = [*served.routes(self.door, may, self._store), *explained.routes(self.door, may, self._explainer)]
        behind += self._recalls.routes(self.door, may)
        return Gate(self.door, self.door.renew, acts_of, [*self.door.routes(), *behind])

    def _explainer(self) -> explained.Explainer | None:
        """Return what says why, made when somebody first asks; None before the node shows anything."""
        if self._asked is None and self.hub is not None and isinstance(self.hub.cop, show.NodeCop):
            self._asked = show.explainer_of(self._config, self.hub.cop, clock.now_ns)
        return self._asked

    def restored(
        self, now_ns: int, desk: ApprovalDesk, taken: frozenset[str], agreements: Agreements, decisions: DecisionLog
    ) -> None:
        """Take over what was approved before a restart and may not have been acted upon; the book knows what was.

        taken: ids of the events that the audiences' pipelines took; what is too old by now is left out by them, aloud.
        agreements: where they contradict each other is said, in the node's own output and in the watch log of every page.
        decisions: where two judges disagree is said there, too.
        """
        self._decisions = decisions
        for said in contradictions(agreements):
            log.warning("agreements contradict each other; the stricter term holds", says=said)
            self._notices.append(Notice(t_ns=now_ns, severity="caution", text=f"agreements differ: {said}"[:200]))
        undone = [one for key, one in desk.settled.items() if key not in taken]
        self.take(now_ns, [one.approved for one in undone if one.approved is not None])

    def _recall(self, session: Session, act_id: str, place: Place, reason: str) -> None:
        what = {"stream": place.partner, "lane": place.lane, "epoch": place.epoch, "sequences": place.sequences}
        told = {"session": session, "act_id": act_id, "reason": reason, **what}
        self.events.append(msgspec.convert(told, RecallInput))

    def take(self, now_ns: int, events: Iterable[approvals.Event], answers: Iterable[ActAnswer] = ()) -> None:
        """Take what two officers decided about accounts, done once its step is on disk; and a step's answers to acts."""
        self._recalls.answered(answers)
        for event in events:
            if isinstance(event, Approved) and event.proposal.kind in ("account-roles", DECLASSIFY, LIFE_SAFETY):
                self._due.append(_Due(now_ns + SETTLE_NS, event))

    def tick(self, now_ns: int, desk: ApprovalDesk, health: Health, *, sound: bool) -> None:
        """Act on what is due while the store is sound, put changes of accounts into the log, fill the metrics."""
        if sound:
            due, self._due = [d for d in self._due if now_ns >= d.due_ns], [d for d in self._due if now_ns < d.due_ns]
            for one in due:
                self._act_on(now_ns, one.approved)
        changes = self._book.changes()
        if changes:
            waiting = [part for one in desk.pending() for part in approvals.deciders(one.proposal, one.approvals)]
            self.events += [LapseInput(user=user) for user in self._gone(waiting)]
        for change in changes:
            self._note(change.t_ns, change.severity, change.text)
        if changes:
            self._book.told(changes[-1].n)
        self._tell_alarms(now_ns)
        for outcome, count in self.door.counts.items():
            health.put("trilat_logins_total", count, outcome)
        health.put("trilat_proposals_pending", len(desk.pending()))

    def _act_on(self, now_ns: int, approved: Approved) -> None:
        """Change an account, or sign the event that two people want: it goes into the node's next step, as any input."""
        asked, made = wanted(approved, self._nation, self._mode), approved.proposal
        if self._book.done(made.id):
            return
        if gone := self._gone(approvals.deciders(made, approved.approvals)):
            self._book.drop(now_ns, made.id, f"{made.id} ({made.kind}) is not acted upon: {', '.join(gone)} may no longer decide")
        elif asked is None:
            self._book.apply(now_ns, approved)
        elif self.key is not None:
            self.events.append(signed(asked, self.key(now_ns)))

    def _gone(self, deciders: Iterable[tuple[Session, frozenset[Role]]]) -> list[str]:
        """Return those of whom the book says that they may no longer decide."""
        return sorted({session.user for session, roles in deciders if not self._book.holds(session, roles)})

    def _tell_alarms(self, now_ns: int) -> None:
        """Raise an alarm for every record on which the two judges of the policy disagreed; of very many the last."""
        new = 0 if self._decisions is None else self._decisions.alarms_total - self._alarms_told
        if self._decisions is None or not new:
            return
        self._alarms_told += new
        for one in list(self._decisions.alarms)[-min(new, ALARMS_SAID_MAX) :]:
            rules, cedar = ("permit" if said else "withhold" for said in (one.first.permit, one.second))
            text = (
                f"judges disagree on a record for {one.audience}: rules {rules} ({one.first.rule}), Cedar {cedar}; it is withheld"
            )
            log.error("judges disagree", audience=one.audience, rules=rules, rule=one.first.rule, cedar=cedar)
            self._note(now_ns, "alarm", text if new <= ALARMS_SAID_MAX else f"{text} (of {new})")

    def show(self, desk: Desk) -> None:
        """Show the pages what waits for a second person, and what leave stands, when it has changed."""
        now = desk.approvals.version, approvals.leave_told(desk)
        if self.hub is not None and now != self._shown:
            self._shown = now
            self.hub.show_approvals(approvals.told(desk.approvals, now[1]))

    def notices(self) -> list[Notice]:
        """Return the lines for the watch log since the last call."""
        taken, self._notices = self._notices, []
        return taken

    def _note(self, t_ns: int, severity: str, text: str) -> None:
        note = AccountNote(severity=severity, text=text[:200])
        self._journal(t_ns, msgspec.msgpack.encode(note))
        if len(self._notices) < NOTICES_MAX:
            self._notices.append(msgspec.convert({"t_ns": t_ns, "severity": severity, "text": note.text}, Notice))

    def _ended(self, session: str) -> None:
        if self.hub is not None:
            self.hub.end(session)
