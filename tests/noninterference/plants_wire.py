"""Leaks beside the records: in refusals, in the node's own pulls and wakes, in the people's messages."""

from __future__ import annotations

from typing import Any

import msgspec
from planting import Patch, plant_of_launch
from plants_launch import restarted

from trilat.exchange.exchange import Exchange
from trilat.exchange.exporter import Exporter
from trilat.exchange.importer import Importer
from trilat.outputs.message import Messages
from trilat.products import cap

# Refusals and the node's own questions ------------------------------------------------------------------------------------


def books_of_all(patch: Patch) -> None:
    """Let every exporter find those of the other partners."""

    def listed(init: Any) -> Any:
        def made(self: Exporter, station: Any, *args: Any) -> None:
            init(self, station, *args)
            station.__dict__.setdefault("all_exporters", []).append(self)

        return made

    patch.wrap(Exporter, "__init__", listed)


@plant_of_launch()
def refusal_with_a_shared_receipt(patch: Patch) -> None:
    """A refusal names the last receipt of any partner."""
    books_of_all(patch)

    def around(refuse: Any) -> Any:
        def refused(self: Exporter, now_ns: int, ticket: int, pull: Any, reason: str) -> Any:
            kept = self.state
            others = [one.state.receipt for one in self.station.all_exporters if one.lane == self.lane]
            furthest = max(others, key=lambda one: one.sequence)
            self.state = msgspec.structs.replace(kept, receipt=furthest)
            try:
                return refuse(self, now_ns, ticket, pull, reason)
            finally:
                self.state = kept

        return refused

    patch.wrap(Exporter, "_refuse", around)


@plant_of_launch()
def empty_answer_says_how_far_others_are(patch: Patch) -> None:
    """An answer that says "nothing new" gives the number of the newest record that went to anybody."""
    books_of_all(patch)

    def around(empty: Any) -> Any:
        def made(self: Exporter, now_ns: int, parked: Any) -> Any:
            kept = self.state
            newest = max(one.state.last.sequence for one in self.station.all_exporters if one.lane == self.lane)
            self.state = msgspec.structs.replace(kept, last=msgspec.structs.replace(kept.last, sequence=newest))
            try:
                return empty(self, now_ns, parked)
            finally:
                self.state = kept

        return made

    patch.wrap(Exporter, "_empty", around)


@plant_of_launch()
def pulls_counted_together(patch: Patch) -> None:
    """The node's own pulls of all partners are counted together."""
    count = [0]

    def around(request: Any) -> Any:
        def made(self: Importer, now_ns: int) -> Any:
            count[0] += 1
            self._counter = max(self._counter, count[0])
            return request(self, now_ns)

        return made

    patch.wrap(Importer, "_request", around)
    restarted(patch, count)


@plant_of_launch()
def wakes_for_all(patch: Patch) -> None:
    """Every partner is woken when something urgent leaves for one."""

    def around(offer: Any) -> Any:
        def offered(self: Exchange, now_ns: int, released: Any) -> None:
            self._wakes_due |= any(one.lane == "flash" for one in released)
            offer(self, now_ns, released)

        return offered

    patch.wrap(Exchange, "offer", around)


# What the people get ------------------------------------------------------------------------------------------------------


@plant_of_launch()
def message_numbered_over_all(patch: Patch) -> None:
    """A message to the people says how many warnings the nation holds."""

    def around(make: Any) -> Any:
        def made(self: Messages, warning: Any) -> Any:
            return make(self, msgspec.structs.replace(warning, text=f"{warning.text} [{held[0]}]"))

        return made

    held = [0]

    def counting(write: Any) -> Any:
        def offered(self: Exchange, now_ns: int, released: Any) -> None:
            held[0] += sum(one.record_type == "trilat.warning/1" for one in released)
            write(self, now_ns, released)

        return offered

    patch.wrap(Messages, "make", around)
    patch.wrap(Exchange, "offer", counting)
    restarted(patch, held)


@plant_of_launch()
def references_to_what_was_withheld(patch: Patch) -> None:
    """A public alert's identifier counts the warnings that went to partners before it."""
    count = [0]

    def around(identifier_of: Any) -> Any:
        return lambda warning: f"{identifier_of(warning)}.{count[0]}"

    def counting(offer: Any) -> Any:
        def offered(self: Exchange, now_ns: int, released: Any) -> None:
            count[0] += sum(one.lane == "flash" for one in released)
            offer(self, now_ns, released)

        return offered

    patch.wrap(cap, "identifier_of", around)
    patch.wrap(Exchange, "offer", counting)
    restarted(patch, count)
