"""Leaks between audiences: what one partner is told shows in what another or the people are told ("separate calls")."""

from __future__ import annotations

from typing import Any

import msgspec
from planting import Patch, plant_of_launch
from plants_launch import restarted

from trilat.issuing import partners as partners_module
from trilat.issuing.desk import DeskStep
from trilat.issuing.public import PublicWarnings
from trilat.node.audience import AudiencePipeline
from trilat.policy import release as release_module
from trilat.records.warning import Acknowledgement, Warning
from trilat.warn import machine
from trilat.warn.lifecycle import AudienceWarnings

# Separate calls -----------------------------------------------------------------------------------------------------------


@plant_of_launch(first="separate_calls")
def roster(patch: Patch) -> None:
    """A partner sees for whom else a record is."""

    def around(view: Any) -> Any:
        def seen(label: Any, decision: Any) -> Any:
            return msgspec.structs.replace(view(label, decision), rel_to=label.rel_to)

        return seen

    patch.wrap(release_module, "view", around)


@plant_of_launch(late=True, first="separate_calls")
def told_to_all_who_have_it(patch: Patch) -> None:
    """A warning that is issued to one partner comes up as issued for every partner that has it."""

    def around(act_on: Any) -> Any:
        def made(self: DeskStep, content: Any, by: Any) -> None:
            act_on(self, content, by)
            found = self._d.books.national(content.warning_id)
            if found is None:
                return
            for name, (key, one) in self._d.books.editions(found[0]).items():
                if name in self._d.books.partners and not one.warning.issued:
                    envelope = machine.Envelope(areas=(), until_ns=content.until_ns)
                    self._moved([self._d.books.put(name, key, machine.issue(self._now_ns, one, envelope))])

        return made

    patch.wrap(DeskStep, "_issue", around)


@plant_of_launch(late=True, first="ally_speaks")
def who_acknowledged_what(patch: Patch) -> None:
    """An acknowledgement of one ally's warning is told to the other ally as well."""

    def around(acknowledge: Any) -> Any:
        def made(self: AudiencePipeline, now_ns: int, acknowledgement: Acknowledgement) -> Any:
            label = msgspec.structs.replace(acknowledgement.label, rel_to=(self.policy.recipient,))
            return acknowledge(self, now_ns, msgspec.structs.replace(acknowledgement, label=label))

        return made

    patch.wrap(AudiencePipeline, "acknowledge", around)


@plant_of_launch(first="separate_calls")
def an_oracle_for_ids(patch: Patch) -> None:
    """Who acknowledges a warning under an id that exists at home is answered; who guesses wrong is not."""

    def around(take: Any) -> Any:
        def taken(d: Any, origin: str, record: Acknowledgement) -> Any:
            if d.books.national(record.warning_id) is not None or d.hand.own(record.warning_id) is not None:
                d.__dict__.setdefault("to_answer", []).append((origin, record))
            return take(d, origin, record)

        return taken

    def answering(receive: Any) -> Any:
        def received(self: DeskStep, given: Any) -> None:
            receive(self, given)
            for origin, record in self._d.__dict__.pop("to_answer", []):
                label = self._d.label((origin,), 0)
                told = Acknowledgement(**{**msgspec.structs.asdict(record), "label": label, "nation": "JPN"})
                self.released.extend(self._d.audiences[origin].flash(self._now_ns, told))

        return received

    patch.wrap(partners_module, "_acknowledgement", around)
    patch.wrap(DeskStep, "receive", answering)


# PUBLIC -------------------------------------------------------------------------------------------------------------------


@plant_of_launch(first="separate_calls")
def public_id_of_the_nation(patch: Patch) -> None:
    """What the people are told bears the number of the warning at home."""

    def around(by_hand: Any) -> Any:
        def made(self: PublicWarnings, warning: Warning, label: Any) -> Warning:
            out = msgspec.structs.replace(by_hand(self, warning, label), id=f"P-{warning.id}")
            self._hand[warning.id] = out
            return out

        return made

    patch.wrap(PublicWarnings, "by_hand", around)


@plant_of_launch()
def edition_counter_of_all(patch: Patch) -> None:
    """Warnings by hand of all audiences are counted together with flights'."""
    count = [0]

    def new_id(self: AudienceWarnings) -> str:
        count[0] += 1
        return f"{self._nation}-{self._audience}-W{count[0]}"

    patch.put(AudienceWarnings, "new_id", new_id)
    restarted(patch, count)
