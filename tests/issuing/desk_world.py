"""A warning desk with made-up audiences, driven second by second."""
# ruff: noqa: D102, ARG002 - a stand-in for an audience, with the real one's signature

from __future__ import annotations

from typing import Any

import msgspec
from flight_records import MODE, NS, T0_NS

from trilat.accounts.approvals import ApprovalDesk, Refused
from trilat.issuing import contents
from trilat.issuing.desk import DeskStep
from trilat.issuing.state import Desk
from trilat.picture import acts
from trilat.picture.inputs import WarningRecord
from trilat.records.approval import Proposal, Session
from trilat.records.label import Mode
from trilat.records.warning import Acknowledgement, Retraction, Warning
from trilat.warn.lifecycle import AudienceWarnings


def officer(name: str, **other: Any) -> Session:
    return Session(
        user=name, person=f"Officer {name}", station=f"st-{name}", session=f"s-{name}", roles=("watch-officer",), **other
    )


ANN, BEN, CEO = officer("ann"), officer("ben"), officer("ceo")


class Gate:
    """An audience's way out that lets everything go that its label allows, and keeps what went."""

    def __init__(self, name: str) -> None:
        self.name, self.sent = name, []
        self.event, self.tells = "", True
        self.ids = AudienceWarnings("JPN", name)

    def new_warning_id(self) -> str:
        return self.ids.new_id()

    def link(self, audience_id: str, national_id: str) -> None:
        self.ids.link(audience_id, national_id)

    def flash(self, now_ns: int, record: Any) -> list[Any]:
        if self.name in record.label.rel_to:
            self.sent.append(record)
            return [record]
        return []

    def warn(self, now_ns: int, warning: Warning) -> list[Any]:
        return self.flash(now_ns, self.ids.warning(warning))

    def retract(self, now_ns: int, retraction: Retraction) -> list[Any]:
        made = self.ids.retraction(retraction)
        return [] if made is None else self.flash(now_ns, made)

    def acknowledge(self, now_ns: int, acknowledgement: Acknowledgement) -> list[Any]:
        return []

    def covered(self, now_ns: int, basis: Any) -> str:
        return self.event if basis.label.level <= 2 else ""

    def tell(self, now_ns: int, warning: Warning, event: str, national_ids: Any) -> tuple[str, list[Any]]:
        if not self.tells:
            return "", []
        name = self.ids.new_id() if warning.id == "-" else warning.id
        for national_id in national_ids:
            self.link(name, national_id)
        made = msgspec.structs.replace(warning, id=name)
        self.sent.append(made)
        return name, [made]

    def national_id(self, audience_id: str) -> str | None:
        return self.ids.national_id(audience_id)


class Node:
    """A desk with its approvals, driven second by second."""

    def __init__(self, mode: Mode = MODE) -> None:
        self.gates = {name: Gate(name) for name in ("KOR", "USA")}
        self.approvals = ApprovalDesk("JPN", mode, contents.KINDS)
        self.desk = Desk("JPN", mode, "TRILAT", self.gates, self.approvals, self._decide)  # type: ignore[arg-type]
        self.desk.publish = lambda _, warning: [warning]  # type: ignore[list-item]  # a policy that lets everything go
        self.public: list[Warning] = []
        self.shown: list[Any] = []
        self.log: list[str] = []

    def _decide(self, now_ns: int, session: Session, act: Any) -> Any:
        if isinstance(act, acts.Propose):
            made: Any = self.approvals.propose(now_ns, session, act.kind, act.content)
        else:
            made = self.approvals.approve(now_ns, session, act.proposal, bytes.fromhex(act.content_sha256))
        return (made.reason, (), ()) if isinstance(made, Refused) else ("", (made,), ())

    def at(self, second: float, *given: Any) -> DeskStep:
        """One step: assessments as (audience, assessment), officers' acts as (session, act), partners' records as they are."""
        step = DeskStep(self.desk, T0_NS + round(second * NS))
        for one in given:
            if isinstance(one, WarningRecord):
                step.receive(one)
            elif isinstance(one[0], Session):
                step.act(acts.OfficerAct(session=one[0], act=one[1]))
            else:
                step.assess(*one)
        self.public += step.public
        self.shown += [one.record for one in step.shown]
        self.log += [one.text for one in step.notices]
        return step

    def fault(self, second: float, session: Session, act: Any) -> str:
        return self.at(second, (session, act)).answers[-1].reason

    def proposal(self) -> Proposal:
        return self.approvals.pending()[-1].proposal

    def approve(self, second: float, session: Session) -> str:
        one = self.proposal()
        return self.fault(second, session, acts.Approve(act_id="a", proposal=one.id, content_sha256=one.content_sha256.hex()))
