"""What an exchange does with letters: it sends its own through a hub, takes those for itself, and as a hub gives others' on.

Between originator and addressee runs the whole pull protocol, as between any two: numbers, chain, receipts, resync. Only the
carriage is another: each envelope is a sealed letter, a record in the outbox of whoever stands in between. The hub keeps and
gives on in one transaction with what it received, and learns nothing of what is inside. Sans-IO.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from trilat.exchange.exporter import Exporter
from trilat.exchange.importer import Importer, Received, Request
from trilat.exchange.keeping import Keeping, about
from trilat.exchange.station import At, rows_of
from trilat.identity.sign import Rejected
from trilat.records import codec
from trilat.records.carried import Carried, Letter
from trilat.records.envelope import Envelope
from trilat.records.exchange import Queued
from trilat.records.fields import Lane
from trilat.transport import carried as letters
from trilat.transport.messages import PullId

CARRIED_ABOUT = "carried"


class _Asked(NamedTuple):
    """A pull that came by letter: whose stream it is for, through whom, and its counter."""

    via: str
    counter: int


class Carrying(Keeping):
    """The part of an exchange that knows of hubs."""

    def _sort(self, now_ns: int, envelope: Envelope, ticket: int, pull: PullId | None, via: str | None = None) -> bool:
        raise NotImplementedError

    # --- ours, outbound -----------------------------------------------------------------------------------------------

    def _asked_by_letter(self, via: str, counter: int) -> int:
        """Return a ticket for a pull that came by letter: a negative number, so that no transport answers it."""
        self._letter_ticket -= 1
        self._by_letter[self._letter_ticket] = _Asked(via, counter)
        return self._letter_ticket

    def _send_letters(self, now_ns: int, requests: Sequence[Request]) -> list[Request]:
        """Put what goes through hubs into the hubs' outboxes; return the requests that go directly."""
        answers, self._answers = self._answers, []
        for answer in answers:
            asked = self._by_letter.pop(answer.ticket, None)
            if asked is None:
                self._answers.append(answer)
            elif answer.envelope is not None:
                self._send_letter(now_ns, asked.via, answer.envelope, asked.counter)
        direct: list[Request] = []
        for request in requests:
            via = self._importers[(request.pull.partner, request.pull.lane)].via
            if via is None:
                direct.append(request)
            else:
                self._send_letter(now_ns, via, request.envelope, 0)
        return direct

    def _send_letter(self, now_ns: int, hub: str, envelope: Envelope, answers: int) -> None:
        try:
            carried = letters.write(self.station.ring, now_ns, self.station.mode, hub, envelope, answers)
        except Rejected as rejected:  # a partner without a valid pin: what waits for it goes on waiting
            self.station.tally.count(now_ns, envelope.audience, rejected.name, rejected.detail)
            return
        self._queue_letter(now_ns, hub, envelope.lane, codec.encode(carried), now_ns + letters.LETTER_NS, envelope.audience)

    def _queue_letter(self, now_ns: int, to: str, lane: Lane, raw: bytes, expires_ns: int, why: str) -> None:
        exporter = self._exporters.get((to, lane))
        if exporter is None:  # the hub is no partner any more, or that lane is stopped
            return
        kept_about = about(letters.CARRIED_TYPE, CARRIED_ABOUT, why)
        with rows_of("out", to, lane):
            exporter.offer([Queued(record=raw, t_ns=now_ns, expires_ns=expires_ns, about=kept_about)])
            if not self.station.settings.lane(lane).tick_budget_bytes:
                self._answers += exporter.serve(now_ns)

    # --- received -----------------------------------------------------------------------------------------------------

    def _take_letters(self, now_ns: int, importer: Importer) -> None:
        """Take the letters out of what just came: give others' on, open ours. Each refusal is counted and changes nothing."""
        if importer.via is not None or not any(item.is_letter for item in importer.taken):
            return
        taken, importer.taken = importer.taken, []
        importer.taken += [item for item in taken if not item.is_letter]
        for item in taken:
            if item.is_letter:
                self._row_of_letters = max(self._row_of_letters, item.row)
                try:
                    self._take_letter(now_ns, item)
                except Rejected as rejected:
                    self.station.tally.count(now_ns, importer.name, rejected.name, rejected.detail)

    def _take_letter(self, now_ns: int, item: Received) -> None:
        station = self.station
        try:
            carried = codec.decode(item.raw)
        except msgspec.MsgspecError as error:
            raise Rejected("letter-wrong", str(error)) from None
        if not isinstance(carried, Carried):
            raise Rejected("letter-wrong", type(carried).__name__)
        letter = letters.read_outside(station.ring, now_ns, station.mode, carried, item.lane)
        if letter.addressee == station.nation:
            self._open_letter(now_ns, item.exporter, letter, carried)
        else:
            self._give_on(now_ns, item.exporter, letter, carried)

    def _route(self, now_ns: int, letter: Letter) -> str:
        """Return the name of an agreement with a flow between the two through the hub, either way; raises "letter-route".

        Either way, because receipts and questions travel against the flow.
        """
        pair = {letter.sender, letter.addressee}
        for route in self.routes:
            if route.via == letter.hub and {route.origin, route.to} == pair and route.not_before_ns <= now_ns < route.expires_ns:
                return route.agreement
        raise Rejected("letter-route", f"{letter.sender} to {letter.addressee} through {letter.hub}")

    def _give_on(self, now_ns: int, exporter: str, letter: Letter, carried: Carried) -> None:
        """Be the hub: put a letter, unchanged, into the addressee's outbox; raises Rejected."""
        station = self.station
        if (exporter, letter.hub) != (letter.sender, station.nation) or letter.addressee not in self.partners:
            raise Rejected("letter-route", f"{letter.sender} to {letter.addressee} through {letter.hub}, from {exporter}")
        agreement = self._route(now_ns, letter)
        if letter.expires_ns <= now_ns or letter.expires_ns - letter.t_ns > letters.LETTER_NS:
            raise Rejected("letter-late", f"{letter.sender} to {letter.addressee}, until {letter.expires_ns}")
        if not station.ring.pinned(letter.addressee):
            raise Rejected("sender-unknown", f"{letter.addressee} is revoked")
        raw = letters.given_on(carried, station.nation, station.mode)
        self._queue_letter(now_ns, letter.addressee, letter.lane, raw, letter.expires_ns, agreement)

    def _open_letter(self, now_ns: int, exporter: str, letter: Letter, carried: Carried) -> None:
        """Be the addressee: open the box and take what is inside as from its sender; raises Rejected."""
        if exporter != letter.hub or letter.sender not in self.partners:
            raise Rejected("letter-route", f"of {letter.sender} through {letter.hub}, from {exporter}")
        self._route(now_ns, letter)
        answers, envelope = letters.open_inside(self.station.ring, letter, carried, self.station.settings.envelope_bytes_max)
        if answers:
            pull = PullId(letters.stream_name(letter.sender, letter.hub), letter.lane, answers)
            self._sort(now_ns, envelope, 0, pull, letter.hub)
            return
        ticket = self._asked_by_letter(letter.hub, envelope.sequence)
        if not self._sort(now_ns, envelope, ticket, None, letter.hub):
            self._by_letter.pop(ticket, None)

    # --- keeping ------------------------------------------------------------------------------------------------------

    def _note_letters(self) -> None:
        """Count rows that held nothing but letters as handed over when nothing before them waits for the node."""
        waiting = self._received or any(importer.taken for importer in self._importers.values())
        if self._row_of_letters > self._row_handed and not waiting and self._row_given <= self._row_handed:
            self._row_handed = self._row_of_letters
            self.station.store.inbox.handed(self._row_of_letters)

    def _go_on(self, now_ns: int, at: At) -> None:
        super()._go_on(now_ns, at)
        ends = {nation for route in self.routes for nation in (route.origin, route.to)} - {self.station.nation}
        revoked = {nation for nation in ends if not self.station.ring.pinned(nation)}
        exporter = self._exporters.get(at[1:]) if at[0] == "out" else None
        if exporter is not None:  # theirs could not be taken back while the lane stood still
            with rows_of("out", at[1], at[2]):
                for partner in sorted(revoked):
                    self._drop_letters(now_ns, partner, (exporter,))

    def _drop_letters(self, now_ns: int, partner: str, ways: Sequence[Exporter]) -> None:
        """Take back every unsent letter to a partner, out of outboxes: its own and the hubs'."""
        for exporter in ways:
            if exporter.via is None:
                rows = self.station.store.outbox.queued(exporter.name, exporter.lane, 1 << 62, 1 << 30)
                exporter.drop([row for row in rows if _is_to(row.record, partner)], "withdrawn", now_ns)


def _is_to(raw: bytes, partner: str) -> bool:
    if not letters.bears_letter(raw):
        return False
    record = codec.decode(raw)
    return isinstance(record, Carried) and record.addressee == partner
