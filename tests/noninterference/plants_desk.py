"""Leaks in what officers put before one another: proposals, yeses and noes about others show in what KOR is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from planting import Patch, pipelines, plant_in, plant_of_launch

from trilat.accounts.approvals import ApprovalDesk
from trilat.issuing import prepare
from trilat.issuing.books import Books
from trilat.issuing.desk import DeskStep
from trilat.node import approvals as approvals_module
from trilat.node.audience import AudiencePipeline
from trilat.picture.acts import Decline
from trilat.records.warning import Retraction, Warning

CHANGE = "desk-and-ally"


@plant_in(CHANGE)
def one_thing_at_a_time(patch: Patch) -> None:
    """Nothing new is put before a second person while something waits, whomever it is about."""
    patch.wrap(ApprovalDesk, "_is_full", lambda full: lambda self, session: full(self, session) or len(self._pending) > 0)


def says_of_the_desk(patch: Patch, change: Callable[[ApprovalDesk, int, Warning], Warning]) -> None:
    """Have every warning raised by hand be changed by what is at the desk. change: desk, now, warning -> the warning that goes."""
    found = pipelines(patch)

    def around(warn: Any) -> Any:
        return lambda self, now_ns, warning: warn(self, now_ns, change(found[id(self)].approvals, now_ns, warning))

    patch.wrap(AudiencePipeline, "warn", around)


@plant_in(CHANGE)
def proposals_in_a_warning(patch: Patch) -> None:
    """A warning raised by hand says as which of all proposals it was approved."""

    def change(desk: ApprovalDesk, _: int, warning: Warning) -> Warning:
        return msgspec.structs.replace(warning, raised_by=f"{warning.raised_by}.{desk._count}")

    says_of_the_desk(patch, change)


@plant_in(CHANGE)
def noes_counted(patch: Patch) -> None:
    """A warning's time is that of the last thing that was settled at the desk."""

    def change(desk: ApprovalDesk, now_ns: int, warning: Warning) -> Warning:
        settled = [one.t_ns for one in desk.settled.values()]
        return msgspec.structs.replace(warning, event_t_ns=max(settled, default=now_ns))

    says_of_the_desk(patch, change)


@plant_in(CHANGE)
def recalled_from_all(patch: Patch) -> None:
    """What is recalled from one partner is recalled from every partner."""
    found = pipelines(patch)

    def around(take_recall: Any) -> Any:
        def made(audience: Any, policy: str, now_ns: int, given: Any) -> Any:
            done = take_recall(audience, policy, now_ns, given)
            if done.fault:
                return done
            others = [one for one in found[id(audience)].desk.audiences.values() if one is not audience]
            told = [sent for one in others for sent in take_recall(one, policy, now_ns, given).released]
            return done._replace(released=(*done.released, *told))

        return made

    patch.wrap(approvals_module, "take_recall", around)


@plant_of_launch(late=True, first=CHANGE)
def id_taken_when_proposed(patch: Patch) -> None:
    """An edition has its id from when it is first proposed, also when nobody says yes to it."""

    def around(variant: Any) -> Any:
        def made(now_ns: int, books: Books, audience: str, *more: Any) -> Any:
            if audience in books.partners and audience not in books.editions(more[0]):
                books._gates[audience].new_warning_id()
            return variant(now_ns, books, audience, *more)

        return made

    patch.wrap(prepare, "_variant", around)


@plant_of_launch(late=True, first=CHANGE)
def retraction_to_whoever_has_one(patch: Patch) -> None:
    """A flight's warning is taken back from every partner that has a warning of any flight."""

    def around(take_back: Any) -> Any:
        def made(self: DeskStep, user: str, act: Any, national: Any) -> str:
            fault = str(take_back(self, user, act, national))
            books = self._d.books
            for other in sorted(books.partners - set(books.editions(national))):
                for one in books.all_of(other):
                    told = Retraction(
                        warning_id=one.warning.id, warning_version=one.warning.version, reason=act.reason,
                        by="JPN", t_ns=self._now_ns, label=one.warning.label,
                    )  # fmt: skip
                    self.released.extend(self._d.audiences[other].flash(self._now_ns, told))
            return fault

        return made

    patch.wrap(DeskStep, "_retract_flight", around)


@plant_of_launch(world=1, late=True, first=CHANGE)
def leave_ended_by_any_no(patch: Patch) -> None:
    """Whoever says no to anything ends the standing leave."""

    def around(decide: Any) -> Any:
        def made(self: DeskStep, given: Any, act: Any) -> str:
            fault = str(decide(self, given, act))
            if isinstance(act, Decline) and not fault:
                self._d.leave = None
            return fault

        return made

    patch.wrap(DeskStep, "_decide", around)
