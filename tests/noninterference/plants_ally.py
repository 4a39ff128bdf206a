"""Leaks from one partner to another at the exchange: how USA pulls, answers, loses and takes back shows in what KOR gets."""

from __future__ import annotations

from typing import Any

import msgspec
from planting import Patch, plant_in
from plants_launch import restarted
from plants_wire import books_of_all

from trilat.exchange.epochs import Epochs
from trilat.exchange.exchange import Exchange
from trilat.exchange.exporter import Exporter
from trilat.exchange.importer import Importer
from trilat.exchange.numbering import Numbering
from trilat.issuing.desk import DeskStep
from trilat.node.inputs import ReceivedInput
from trilat.node.pipeline import Pipeline
from trilat.records import codec
from trilat.records.warning import Acknowledgement, Recall

CHANGE = "desk-and-ally"


@plant_in(CHANGE)
def acknowledgement_passed_on(patch: Patch) -> None:
    """What one ally acknowledges is told to the other."""

    def around(receive: Any) -> Any:
        def received(self: DeskStep, given: Any) -> None:
            receive(self, given)
            if isinstance(given.record, Acknowledgement) and given.origin == "USA":
                told = msgspec.structs.replace(given.record, label=self._d.label(("KOR",), 0), nation="JPN")
                self.released.extend(self._d.audiences["KOR"].flash(self._now_ns, told))

        return received

    patch.wrap(DeskStep, "receive", around)


@plant_in(CHANGE)
def recall_passed_on(patch: Patch) -> None:
    """What one ally takes back is taken back from the other, too."""

    def around(step: Any) -> Any:
        def stepped(self: Pipeline, now_ns: int, inputs: Any) -> Any:
            out = step(self, now_ns, inputs)
            given = [codec.decode(one.record) for one in inputs if isinstance(one, ReceivedInput) and one.lane == "flash"]
            told = [one for one in given if isinstance(one, Recall)]
            label = self.desk.label(("KOR",), 0)
            sent = [
                released
                for one in told
                for released in self.audiences["KOR"].flash(now_ns, msgspec.structs.replace(one, label=label))  # type: ignore[arg-type]
            ]
            return out._replace(released=(*out.released, *sent))

        return stepped

    patch.wrap(Pipeline, "step", around)


@plant_in(CHANGE)
def new_epoch_for_all(patch: Patch) -> None:
    """When one partner's cursor makes a new epoch necessary, every partner's stream goes on in one."""
    books_of_all(patch)

    def around(open_epoch: Any) -> Any:
        def opened(self: Epochs, *args: Any) -> None:
            again = self.state.last.epoch > 0
            open_epoch(self, *args)
            for other in self.station.all_exporters if again else ():
                if other is not self and other.lane == self.lane:
                    other._put(epoch_due=True)

        return opened

    patch.wrap(Epochs, "open_epoch", around)


@plant_in(CHANGE)
def waits_for_the_slowest(patch: Patch) -> None:
    """Nothing new is numbered for anybody while some partner lags behind."""
    books_of_all(patch)

    def around(number: Any) -> Any:
        def numbered(self: Numbering, *args: Any) -> Any:
            others = [one.state for one in self.station.all_exporters if one is not self and one.lane == self.lane]
            return None if any(one.last.sequence - one.receipt.sequence > 3 for one in others) else number(self, *args)

        return numbered

    patch.wrap(Numbering, "number", around)


@plant_in(CHANGE)
def trouble_with_another(patch: Patch) -> None:
    """The node's pulls say how much it has refused, of whomever."""

    def around(request: Any) -> Any:
        def made(self: Importer, now_ns: int) -> Any:
            kept, total = self.trouble, sum(one.times for one in self.station.tally.refused.values())
            self.trouble = f"{kept}{total}"
            try:
                return request(self, now_ns)
            finally:
                self.trouble = kept

        return made

    patch.wrap(Importer, "_request", around)


@plant_in(CHANGE)
def one_pace_for_all(patch: Patch) -> None:
    """What one partner's answers take sets how the node pulls from every partner."""

    def around(init: Any) -> Any:
        def made(self: Importer, station: Any, exporter: str, lane: Any, *more: Any) -> None:
            init(self, station, exporter, lane, *more)
            self.pace = station.__dict__.setdefault("one_pace", {}).setdefault(lane, self.pace)

        return made

    patch.wrap(Importer, "__init__", around)


@plant_in(CHANGE)
def busy_with_a_forger(patch: Patch) -> None:
    """A forged request of one partner has the next answer to anybody left out."""
    busy = [0]

    def handled(handle: Any) -> Any:
        def made(self: Exchange, *args: Any, **more: Any) -> Any:
            before = sum(one.times for one in self.station.tally.refused.values())
            handle(self, *args, **more)
            busy[0] += sum(one.times for one in self.station.tally.refused.values()) > before
            return None

        return made

    def around(serve: Any) -> Any:
        def served(self: Exporter, *args: Any, **more: Any) -> Any:
            if busy[0] and self._parked:
                busy[0] -= 1
                return []
            return serve(self, *args, **more)

        return served

    patch.wrap(Exchange, "handle", handled)
    patch.wrap(Exporter, "serve", around)
    restarted(patch, busy)
