"""The ledger: who holds what of ours, since when, under which rule; read from the store's own log and outboxes, never kept apart.

A second book could disagree with the first. So an answer is made of what was sealed (`sent`), why (`about`, written with it), and
the partners' own signed receipts in the hash-chained log; `trilat audit verify` checks those three against one another.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

import msgspec

from trilat.errors import StoreError
from trilat.identity.sign import Rejected
from trilat.records import codec
from trilat.records.carried import Carried
from trilat.records.exchange import Cursor, OutboxState, SealedBatch
from trilat.store.outbox import BATCH_COLUMNS, row_batch
from trilat.store.sqlite import Database
from trilat.transport import envelope as sealing
from trilat.transport.carried import partner_of
from trilat.transport.messages import Pull, decode_message

BATCH_ROWS = 200
# A track as a partner names it: "KOR:123", "KOR T0123", "KOR's T0123".
_SEEN = re.compile(r"([A-Z]{3}|PUBLIC)(?:'s|:)? ?[T#]?0*([0-9]{1,12})")
_about = msgspec.msgpack.Decoder(list[bytes])
_why = msgspec.msgpack.Decoder(tuple[str, str, str])
_books = msgspec.msgpack.Decoder(OutboxState)

Held = Literal["receipted", "sent", "recalled"]


class Holding(NamedTuple):
    """One record that was let go to one audience.

    held: `receipted` = the audience signed for it; `sent` = it left and no receipt covers it yet; `recalled` = taken back.
    subject: what it is about ("JPN/track/17", a warning's id, a sensor). target: who that says it is, where it does
    ("address:86d620", "mmsi:431000123"): the one thing that several audiences' tracks have in common. rule, reason: why it went.
    record_sha256: of the bytes the audience got. via: the hub through which it went as a sealed letter; empty = directly. A hub
    holds the letters themselves (`trilat.carried/1`), which it can not open; so it stands there as their holder, too.
    """

    audience: str
    lane: str
    epoch: int
    sequence: int
    sealed_t_ns: int
    t_ns: int
    record_type: str
    subject: str
    rule: str
    reason: str
    record_sha256: str
    held: Held
    via: str = ""
    target: str = ""


class ReleaseCount(NamedTuple):
    """How many records of one type left for one audience under one rule."""

    audience: str
    record_type: str
    rule: str
    reason: str
    records: int


class Fault(NamedTuple):
    """A record in an outbox that should not be there: where, and what is wrong."""

    where: str
    what: str


def subject_of(record: Any) -> str:
    """Return what a record is about, in the words in which people ask for it."""
    if hasattr(record, "stream"):
        return f"{record.stream}/{record.number}"
    if isinstance(record, Carried):
        return f"{record.sender} to {record.addressee}"
    for name in ("warning_id", "sensor"):
        if hasattr(record, name):
            return str(getattr(record, name))
    if hasattr(record, "sequences"):
        return f"{record.lane} {record.epoch}"
    return str(getattr(record, "id", type(record).__name__))


def target_of(record: Any) -> str:
    """Return the identity that a record gives its target, "" when it gives none: its 24-bit address, else its MMSI."""
    address, mmsi = (getattr(record, name, None) for name in ("address", "mmsi"))
    return f"address:{address:06x}" if address is not None else f"mmsi:{mmsi}" if mmsi is not None else ""


def _newest(held: Iterable[Holding], number: str) -> set[str]:
    """Return the subjects with a number, of each kind of stream the one that was sealed last: a start begins new streams."""
    latest: dict[str, Holding] = {}
    for one in held:
        stream, _, last = one.subject.rpartition("/")
        if stream and last == number:
            kind = stream.rstrip("0123456789")
            if kind not in latest or one.sealed_t_ns > latest[kind].sealed_t_ns:
                latest[kind] = one
    return {one.subject for one in latest.values()}


class Ledger:
    """Questions to one store, asked while its node runs or not: it only reads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def audiences(self) -> tuple[str, ...]:
        """Return every audience that was ever sent anything, sorted."""
        rows = self._database.rows("SELECT DISTINCT partner FROM streams WHERE side='out' ORDER BY partner")
        return tuple(sorted({partner_of(row[0]) for row in rows}))

    def holdings(
        self, audience: str | None = None, since_ns: int = 0, until_ns: int | None = None, at_ns: int | None = None
    ) -> Iterator[Holding]:
        """Yield what left for an audience (or all) and was sealed in [since_ns, until_ns), in order of stream and number.

        at_ns: as things stood then: nothing sealed later, and only receipts that had come. Otherwise as they stand now.
        """
        until = min(one for one in (until_ns, None if at_ns is None else at_ns + 1, 2**63 - 1) if one is not None)
        streams = self._database.rows("SELECT stream, partner, lane, state FROM streams WHERE side='out' ORDER BY partner, lane")
        for stream, partner, lane, state in streams:
            if audience in (None, partner_of(partner)):
                receipt = self._receipt(partner, lane, state, at_ns)
                recalled = self._recalled(stream)
                for batch in self._batches(stream, partner, lane):
                    if since_ns <= batch.t_ns < until:
                        yield from _of_batch(batch, receipt, recalled)

    def held_by(self, audience: str, at_ns: int | None = None) -> list[Holding]:
        """Return what an audience holds: each record once, also when an epoch change made it travel twice; recalls left out."""
        found: dict[str, Holding] = {}
        for one in self.holdings(audience, at_ns=at_ns):
            known = found.get(one.record_sha256)
            if known is None or (known.held, one.held) == ("sent", "receipted"):
                found[one.record_sha256] = one
        return [one for one in found.values() if one.held != "recalled"]

    def holders(self, subject: str, at_ns: int | None = None) -> list[Holding]:
        """Return every record on a subject, of every audience: a track, warning, sensor, target, or a record's SHA-256.

        A track may be named as a partner names it, by its own number ("KOR:123"): then it is that partner's newest track of that
        number, and every audience's records on the same target, as far as they say who it is. No number joins audiences' tracks.
        """
        held = [one for name in self.audiences() for one in self.held_by(name, at_ns)]
        if seen := _SEEN.fullmatch(subject):
            audience, number = seen.groups()
            wanted = _newest((one for one in held if one.audience == audience), number)
            targets = {one.target for one in held if one.audience == audience and one.subject in wanted} - {""}
            return [one for one in held if (one.audience == audience and one.subject in wanted) or one.target in targets]
        return [one for one in held if subject in (one.subject, one.record_sha256, one.target)]

    def released(self, since_ns: int = 0, until_ns: int | None = None, audience: str | None = None) -> list[ReleaseCount]:
        """Return how much was released in a time, by audience, type and rule."""
        counted = Counter(
            (one.audience, one.record_type, one.rule, one.reason) for one in self.holdings(audience, since_ns, until_ns)
        )
        return [ReleaseCount(*key, n) for key, n in sorted(counted.items())]

    def faults(self, nation: str, mode: Any) -> Iterator[Fault]:
        """Yield every record in an outbox whose own label does not name its audience, or is of another nation or mode."""
        for batch in self.batches():
            for sequence, record in _records(batch):
                label = getattr(record, "label", None)
                where = f"{batch.partner} {batch.lane} {batch.epoch}.{sequence}"
                if label is None:
                    yield Fault(where, "it has no label")
                elif label.rel_to != (partner_of(batch.partner),):
                    yield Fault(where, f"its label names {', '.join(label.rel_to) or 'nobody'}")
                elif (label.originator, label.mode) != (nation, mode):
                    yield Fault(where, f"its label is of {label.originator} {label.mode.kind}:{label.mode.id}")

    # --- reading ------------------------------------------------------------------------------------------------------

    def batches(self) -> Iterator[SealedBatch]:
        """Yield every batch of every outbox."""
        for stream, partner, lane in self._database.rows("SELECT stream, partner, lane FROM streams WHERE side='out'"):
            yield from self._batches(stream, partner, lane)

    def _batches(self, stream: int, partner: str, lane: str) -> Iterator[SealedBatch]:
        query = (
            f"SELECT row, {BATCH_COLUMNS} FROM sent WHERE stream=? AND (epoch>? OR (epoch=? AND first>?)) "  # noqa: S608 - constants
            "ORDER BY epoch, first LIMIT ?"
        )
        epoch, first = 0, 0
        while rows := self._database.rows(query, (stream, epoch, epoch, first, BATCH_ROWS)):
            for row in rows:
                yield row_batch(partner, lane, row)
            epoch, first = rows[-1][2], rows[-1][3]

    def _recalled(self, stream: int) -> frozenset[tuple[int, int]]:
        return frozenset(self._database.rows("SELECT epoch, sequence FROM recalled WHERE stream=?", (stream,)))

    def _receipt(self, partner: str, lane: str, state: bytes, at_ns: int | None) -> Cursor:
        """Return the partner's last signed receipt: of the books, or the last in the log that had come by a time."""
        try:
            books = _books.decode(state)
        except msgspec.MsgspecError as error:
            raise StoreError("store-corrupt", f"the books of outbox {partner} {lane}") from error
        if at_ns is None or books.receipt_t_ns <= at_ns:
            return books.receipt
        row = self._database.row(
            "SELECT data FROM log WHERE kind='receipt' AND source=? AND t_ns<=? ORDER BY n DESC LIMIT 1",
            (f"{partner}/{lane}", at_ns),
        )
        return Cursor() if row is None else receipt_in(row[0])


def receipt_in(evidence: bytes) -> Cursor:
    """Return the cursor that a partner signed, from the envelope kept as evidence; raises StoreError "store-corrupt"."""
    try:
        message = decode_message(sealing.unpack(evidence, len(evidence)).body)
    except (msgspec.MsgspecError, Rejected) as error:
        raise StoreError("store-corrupt", f"a receipt in the log: {error}") from error
    if not isinstance(message, Pull):
        raise StoreError("store-corrupt", "a receipt in the log is no pull")
    return message.cursor


def _records(batch: SealedBatch) -> Iterator[tuple[int, Any]]:
    for offset, entry in enumerate(sealing.split_payload(batch.payload)):
        yield batch.first + offset, codec.decode(entry[sealing.SALT_BYTES :])


def _of_batch(batch: SealedBatch, receipt: Cursor, recalled: Iterable[tuple[int, int]]) -> Iterator[Holding]:
    why = _about.decode(batch.about)
    for offset, entry in enumerate(sealing.split_payload(batch.payload)):
        raw, sequence = entry[sealing.SALT_BYTES :], batch.first + offset
        record: Any = codec.decode(raw)
        record_type, rule, reason = _why.decode(why[offset])
        # What moved into a later epoch was not receipted in this one; what stayed behind a later epoch's beginning was.
        moved = 0 < batch.moved_from <= sequence
        covered = batch.epoch < receipt.epoch or (batch.epoch == receipt.epoch and sequence <= receipt.sequence)
        held: Held = "recalled" if (batch.epoch, sequence) in recalled else "receipted" if covered and not moved else "sent"
        yield Holding(
            audience=partner_of(batch.partner),
            lane=batch.lane,
            epoch=batch.epoch,
            sequence=sequence,
            sealed_t_ns=batch.t_ns,
            t_ns=record.t_ns,
            record_type=record_type,
            subject=subject_of(record),
            rule=rule,
            reason=reason,
            record_sha256=hashlib.sha256(raw).hexdigest(),
            held=held,
            via=batch.partner.partition("/")[2],
            target=target_of(record),
        )
