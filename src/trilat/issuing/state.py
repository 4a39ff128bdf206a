"""What a node's warning desk holds from step to step, and what it needs of others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from trilat.accounts.approvals import ApprovalDesk
from trilat.issuing.books import Books, Key
from trilat.issuing.contents import PreAuthorise
from trilat.issuing.duty import Duties, Teller
from trilat.issuing.editions import TOPIC
from trilat.issuing.public import PublicWarnings
from trilat.issuing.watchful import Doubtful, Escalation
from trilat.picture.acts import Approve, Decline, Propose
from trilat.policy.audience import AudiencePolicy
from trilat.policy.labels import make
from trilat.records.approval import Approval, Approved, Proposal, Session
from trilat.records.label import Label, Mode
from trilat.records.released import Released
from trilat.records.track import Track
from trilat.records.warning import Acknowledgement, Retraction, Warning
from trilat.warn.lifecycle import WarningDesk

Event = Proposal | Approval | Approved
# What a step at the approvals' desk gives: why it was refused, what came out, lines for the watch log.
Decide = Callable[[int, Session, Propose | Approve | Decline], tuple[str, tuple[Event, ...], tuple[tuple[str, str], ...]]]


class Audience(Teller, Protocol):
    """One audience's pipeline, as far as warnings go."""

    policy: AudiencePolicy

    def warn(self, now_ns: int, warning: Warning) -> list[Released]:
        """Release a national warning raised by hand."""
        ...

    def retract(self, now_ns: int, retraction: Retraction) -> list[Released]:
        """Release the retraction of such a warning."""
        ...

    def acknowledge(self, now_ns: int, acknowledgement: Acknowledgement) -> list[Released]:
        """Release this nation's acknowledgement."""
        ...

    def national_id(self, audience_id: str) -> str | None:
        """Return the national id behind the audience's own."""
        ...


class Desk:
    """The state: warnings raised by hand, received ones, flights' books, standing leave, who has acknowledged."""

    def __init__(
        self,
        nation: str,
        mode: Mode,
        policy: str,
        audiences: Mapping[str, Audience],
        approvals: ApprovalDesk,
        decide: Decide,
        standing: Callable[[int, str, str], bool] = lambda *_: False,
    ) -> None:
        self.nation, self.mode, self.policy = nation, mode, policy
        self.audiences, self.approvals, self.decide = audiences, approvals, decide
        self.hand = WarningDesk(nation)
        self.books = Books(nation, mode, policy, audiences, standing)
        self.public = PublicWarnings(nation)
        self.duties = Duties()
        self.escalation = Escalation()
        self.doubtful = Doubtful()
        self.leave: PreAuthorise | None = None
        self.leave_by: tuple[str, ...] = ()
        self.widening: dict[Key, str] = {}
        # A national track as a record, by its number; the node sets it.
        # PUBLIC's pipeline: what of a message to the public leaves. Without one, nothing does.
        self.publish: Callable[[int, Warning], list[Released]] = lambda *_: []
        self.track: Callable[[int], Track | None] = lambda _: None
        self.rejected: Counter[str] = Counter()

    def record(self, warning_id: str, track: int) -> Warning | Track | None:
        """Return an own warning as it stands, or where none is named a national track; None where there is no such."""
        if not warning_id:
            return self.track(track)
        flight = self.books.national(warning_id)
        return self.hand.own(warning_id) if flight is None else flight[1].warning

    def label(self, rel_to: Sequence[str], level: int) -> Label:
        """Return the label of what this nation itself says of a missile: for these audiences, at this level."""
        return make(
            policy=self.policy,
            originator=self.nation,
            mode=self.mode,
            level=level,
            rel_to=tuple(sorted(set(rel_to) - {self.nation})),
            topics=(TOPIC,),
            sources=(self.nation,),
        )
