"""The ledger: who holds what of ours, since when, under which rule; read from the store's own log and outboxes, never kept apart.

A second book could disagree with the first. So an answer is made of what was sealed (`sent`), why (`about`, written with it), and
the partners' own signed receipts in the hash-chained log; `trilat audit verify` checks those three against one another.
"""

from __future__ import annotations

import hashlib
import heapq
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType

from trilat.errors import StoreError
from trilat.identity.sign import Rejected
from trilat.records import codec
from trilat.records.carried import Carried
from trilat.records.exchange import Cursor, OutboxState, SealedBatch
from trilat.store.rows import BATCH_COLUMNS, row_batch
from trilat.store.sqlite import Database
from trilat.transport import envelope as sealing
from trilat.transport.carried import partner_of
from trilat.transport.messages import Pull, decode_message

BATCH_ROWS = 200
# A track as a partner names it: "KOR:123", "KOR T0123", "KOR's T0123".
_SEEN = re.compile(r"([A-Z]{3}|PUBLIC)(?:'s|:)? ?[T#]?0*([0-9]{1,12})")
_DIGEST = re.compile("[0-9a-f]{64}")
_about = msgspec.msgpack.Decoder(list[bytes])
_why = msgspec.msgpack.Decoder(tuple[str, str, str])
_books = msgspec.msgpack.Decoder(OutboxState)

Held = Literal["receipted", "sent", "recalled"]


class _Named(Struct):
    """What of a sealed record says what it is about: read of all, before the few that are asked for are read whole."""

    type: str
    stream: str | UnsetType = UNSET
    number: int | UnsetType = UNSET
    sender: str | UnsetType = UNSET
    addressee: str | UnsetType = UNSET
    warning_id: str | UnsetType = UNSET
    sensor: str | UnsetType = UNSET
    lane: str | UnsetType = UNSET
    epoch: int | UnsetType = UNSET
    sequences: msgspec.Raw | UnsetType = UNSET
    id: str | UnsetType = UNSET
    address: int | None = None
    mmsi: int | None = None


_named = msgspec.msgpack.Decoder(_Named)


class _Sealed(NamedTuple):
    """A batch with what tells how its records stand."""

    batch: SealedBatch
    receipt: Cursor
    recalled: frozenset[tuple[int, int]]


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

    @property
    def database(self) -> Database:
        """The store that is asked."""
        return self._database

    def audiences(self) -> tuple[str, ...]:
        """Return every audience that was ever sent anything, sorted."""
        rows = self._database.rows("SELECT DISTINCT partner FROM streams WHERE side='out' ORDER BY partner")
        return tuple(sorted({partner_of(row[0]) for row in rows}))

    def holdings(
        self,
        audience: str | None = None,
        since_ns: int = 0,
        until_ns: int | None = None,
        at_ns: int | None = None,
        about: Callable[[bytes], bool] | None = None,
    ) -> Iterator[Holding]:
        """Yield what left for an audience (or all) and was sealed in [since_ns, until_ns), in order of stream and number.

        at_ns: as things stood then: nothing sealed later, and only receipts that had come. Otherwise as they stand now.
        about: tells of a record's bytes whether it is wanted; None = every record.
        """
        until = min(one for one in (until_ns, None if at_ns is None else at_ns + 1, 2**63 - 1) if one is not None)
        for stream, partner, lane, state in self._streams(audience):
            receipt = self._receipt(partner, lane, state, at_ns)
            recalled = self._recalled(stream, partner, lane, at_ns)
            for batch in self._batches(stream, partner, lane):
                if since_ns <= batch.t_ns < until:
                    yield from _of_batch(batch, receipt, recalled, about)

    def held_by(self, audience: str, at_ns: int | None = None, about: Callable[[bytes], bool] | None = None) -> list[Holding]:
        """Return what an audience holds: each record once, also when an epoch change made it travel twice; recalls left out.

        about: tells of a record's bytes whether it is asked for; None = every record.
        """
        found: dict[str, Holding] = {}
        for one in self.holdings(audience, at_ns=at_ns, about=about):
            known = found.get(one.record_sha256)
            if known is None or one.sealed_t_ns >= known.sealed_t_ns:  # the last copy tells how it stands
                found[one.record_sha256] = one
        return [one for one in found.values() if one.held != "recalled"]

    def newest(self, audience: str, at_ns: int | None = None) -> Iterator[Holding]:
        """Yield the same, what was sealed last first: who wants a page of it need not wait for the rest to be read."""
        until = 2**63 - 1 if at_ns is None else at_ns + 1
        found: set[str] = set()

        def backwards(stream: tuple[int, str, str, bytes]) -> Iterator[_Sealed]:
            number, partner, lane, state = stream
            receipt, recalled = self._receipt(partner, lane, state, at_ns), self._recalled(number, partner, lane, at_ns)
            for batch in self._batches(number, partner, lane, newest_first=True):
                if batch.t_ns < until:
                    yield _Sealed(batch, receipt, recalled)

        # Of streams that sealed at the same time the last comes first, as the last copy tells in `held_by`.
        streams = [backwards(one) for one in reversed(list(self._streams(audience)))]
        for sealed in heapq.merge(*streams, key=lambda one: -one.batch.t_ns):
            for one in reversed(list(_of_batch(*sealed))):
                if one.record_sha256 not in found:
                    found.add(one.record_sha256)
                    if one.held != "recalled":
                        yield one

    def holders(self, subject: str, at_ns: int | None = None) -> list[Holding]:
        """Return every record on a subject, of every audience: a track, warning, sensor, target, or a record's SHA-256.

        A track may be named as a partner names it, by its own number ("KOR:123"): then it is that partner's newest track of that
        number, and every audience's records on the same target, as far as they say who it is. No number joins audiences' tracks.
        """
        if seen := _SEEN.fullmatch(subject):
            audience, number = seen.groups()
            mine = self.held_by(audience, at_ns, lambda raw: _name(raw)[0].endswith(f"/{number}"))
            wanted = _newest(mine, number)
            targets = {one.target for one in mine if one.subject in wanted} - {""}
            held = [
                one
                for name in (self.audiences() if targets else ())
                for one in self.held_by(name, at_ns, lambda raw: _name(raw)[1] in targets)
            ]
            known = {(one.audience, one.record_sha256) for one in held}
            more = [one for one in mine if one.subject in wanted and (audience, one.record_sha256) not in known]
            return sorted((*held, *more), key=lambda one: one.audience)
        digest = bytes.fromhex(subject) if _DIGEST.fullmatch(subject) else b""

        def about(raw: bytes) -> bool:
            return subject in _name(raw) or (digest != b"" and hashlib.sha256(raw).digest() == digest)

        return [one for name in self.audiences() for one in self.held_by(name, at_ns, about)]

    def released(self, since_ns: int = 0, until_ns: int | None = None, audience: str | None = None) -> list[ReleaseCount]:
        """Return how much was released in a time, by audience, type and rule."""
        until = 2**63 - 1 if until_ns is None else until_ns
        counted: Counter[tuple[str, bytes]] = Counter()
        for stream, partner, lane, _ in self._streams(audience):
            for batch in self._batches(stream, partner, lane):
                if since_ns <= batch.t_ns < until:  # why each record went is written beside the batch: no record is read for it
                    counted.update((partner_of(partner), why) for why in _about.decode(batch.about))
        told = sorted(((name, *_why.decode(why)), n) for (name, why), n in counted.items())
        return [ReleaseCount(*key, n) for key, n in told]

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

    def _streams(self, audience: str | None) -> Iterator[tuple[int, str, str, bytes]]:
        """Yield number, partner, lane and books of the outboxes of an audience (None = of all)."""
        query = "SELECT stream, partner, lane, state FROM streams WHERE side='out' ORDER BY partner, lane"
        return ((*row,) for row in self._database.rows(query) if audience in (None, partner_of(row[1])))

    def _batches(self, stream: int, partner: str, lane: str, *, newest_first: bool = False) -> Iterator[SealedBatch]:
        beyond, order, epoch, first = ("<", "DESC", 2**63 - 1, 2**63 - 1) if newest_first else (">", "ASC", 0, 0)
        query = (
            f"SELECT row, {BATCH_COLUMNS} FROM sent WHERE stream=? AND (epoch, first){beyond}(?,?) "  # noqa: S608 - constants
            f"ORDER BY epoch {order}, first {order} LIMIT ?"
        )
        while rows := self._database.rows(query, (stream, epoch, first, BATCH_ROWS)):
            for row in rows:
                yield row_batch(partner, lane, row)
            epoch, first = rows[-1][2], rows[-1][3]

    def _recalled(self, stream: int, partner: str, lane: str, at_ns: int | None) -> frozenset[tuple[int, int]]:
        """Return the numbers that are recalled; as of a time: without those that the log says were recalled later."""
        now = frozenset(self._database.rows("SELECT epoch, sequence FROM recalled WHERE stream=?", (stream,)))
        if at_ns is None or not now:
            return now
        later = self._database.rows(
            "SELECT data FROM log WHERE kind='recall' AND source=? AND t_ns>?", (f"{partner}/{lane}", at_ns)
        )
        facts = [msgspec.msgpack.decode(row[0]) for row in later]
        return now - {(one["epoch"], sequence) for one in facts for sequence in one["sequences"]}

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


def _name(raw: bytes) -> tuple[str, str]:
    """Return what a sealed record is about and its target, as `subject_of` and `target_of` say it, without reading it whole."""
    one = _named.decode(raw)
    if one.stream is not UNSET:
        return f"{one.stream}/{one.number}", target_of(one)
    if one.sender is not UNSET and one.addressee is not UNSET:
        return f"{one.sender} to {one.addressee}", ""
    for name in (one.warning_id, one.sensor):
        if name is not UNSET:
            return name, target_of(one)
    return (f"{one.lane} {one.epoch}" if one.sequences is not UNSET else str(one.id)), target_of(one)


def _of_batch(
    batch: SealedBatch, receipt: Cursor, recalled: Iterable[tuple[int, int]], about: Callable[[bytes], bool] | None = None
) -> Iterator[Holding]:
    why = _about.decode(batch.about)
    for offset, entry in enumerate(sealing.split_payload(batch.payload)):
        raw, sequence = entry[sealing.SALT_BYTES :], batch.first + offset
        if about is not None and not about(raw):
            continue
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
