"""What partners signed for and our store does not hold, after it was put back to an older copy; and putting those rows back.

A partner's cursor proves all that came before it: the head it signed covers every record by hash. So rows from any copy are ours,
and are what the partner got, when their chain ends in that head and begins where our own books end. Nobody need be believed
for that; what stands beside rows and in no chain (why they left) is taken from our own copies alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
from msgspec import structs

from trilat.errors import StoreError
from trilat.identity.sign import Rejected, signature_holds
from trilat.ledger.holdings import receipt_in
from trilat.records.exchange import Begun, Cursor, SealedBatch
from trilat.store.audit import Judge
from trilat.store.rows import BATCH_COLUMNS, row_batch
from trilat.store.sqlite import Database, Store, read_meta
from trilat.transport import envelope as sealing
from trilat.transport.carried import partner_of, stream_name
from trilat.transport.messages import BatchHeader

BEYOND = "beyond"
# Why a record left stands beside it in our own copy alone; a partner's does not say.
RULE_UNKNOWN = "unknown"
REBUILT = "rebuilt"
# To the audit's judge: the batch is one of ours.
OURS = (True,)
_encode = msgspec.msgpack.Encoder().encode
_noted = msgspec.msgpack.Decoder(tuple[Cursor, bytes])
_about = msgspec.msgpack.Decoder(list[bytes])
_why = msgspec.msgpack.Decoder(tuple[str, str, str])
_begun = msgspec.msgpack.Decoder(Begun)
_header = msgspec.msgpack.Decoder(BatchHeader)


class Beyond(NamedTuple):
    """Records that a partner signed for and this store does not hold: those after one place, up to another, of one lane.

    partner: the stream's name ("KOR", or "KOR/USA" through USA). after: the last place that both held, as far as our books told.
    until: what the partner signed, at t_ns. signed: its signature holds under a key that stands in the log.
    """

    partner: str
    lane: str
    after: Cursor
    until: Cursor
    t_ns: int
    signed: bool

    @property
    def text(self) -> str:
        """The range as people read it: "KOR history 3.121 to 3.400"."""
        first = Cursor(self.after.epoch, self.after.sequence + 1) if self.after.epoch else Cursor(1, 1)
        return f"{self.partner} {self.lane} {first.epoch}.{first.sequence} to {self.until.epoch}.{self.until.sequence}"


class Rebuilt(NamedTuple):
    """What came of putting a range's rows back: how many records, or why it can not be done from this source."""

    beyond: Beyond
    records: int
    why_not: str = ""


class _Beside(NamedTuple):
    """What stands beside a sent row, in our own copies alone: why its records left, where they moved, what was recalled."""

    about: bytes
    moved_from: int
    recalled: list[int]


class _Not(Exception):  # noqa: N818 - no error of the program's: an answer, in words
    """These rows do not prove themselves."""


class _Side:
    """The rows of one stream in one store: ours as sent, or a partner's as received from us."""

    def __init__(self, database: Database, side: str, partner: str, lane: str) -> None:
        self._database = database
        self._partner, self._lane = partner, lane
        self.is_ours = side == "out"
        self._table = "sent" if self.is_ours else "received"
        row = database.row("SELECT stream FROM streams WHERE side=? AND partner=? AND lane=?", (side, partner, lane))
        self.stream = 0 if row is None else int(row[0])

    def batch_with(self, epoch: int, sequence: int) -> SealedBatch | None:
        """Return the batch that holds a number."""
        row = self._database.row(
            f"SELECT row, {BATCH_COLUMNS} FROM {self._table} WHERE stream=? AND epoch=? AND first<=?"  # noqa: S608 - constants
            " ORDER BY first DESC LIMIT 1",
            (self.stream, epoch, sequence),
        )
        if row is None:
            return None
        # SQLite keeps what it is given, of whatever type.
        batch = msgspec.convert(structs.asdict(row_batch(self._partner, self._lane, row)), SealedBatch)
        return batch if batch.final >= sequence else None

    def holds_any(self, epoch: int, first: int, final: int) -> bool:
        """Tell whether some number of a range is here."""
        query = f"SELECT 1 FROM {self._table} WHERE stream=? AND epoch=? AND first<=? AND first+count>?"  # noqa: S608 - constants
        return self._database.row(query, (self.stream, epoch, final, first)) is not None

    def holds(self, place: Cursor) -> bool:
        """Tell whether a place is on our chain: the head after that number is this one, also where retention removed it."""
        batch = self.batch_with(place.epoch, place.sequence)
        if batch is not None:
            return _head_at(batch, place.sequence) == place.head
        query = "SELECT 1 FROM heads WHERE stream=? AND epoch=? AND final=? AND head=?"
        values = (self.stream, place.epoch, place.sequence, place.head)
        return self._has("heads") and self._database.row(query, values) is not None

    def begun(self, epoch: int) -> Cursor | None:
        """Return the place on which an epoch goes on, None when that is not known here."""
        query = "SELECT begun FROM epochs WHERE stream=? AND epoch=?"
        row = self._database.row(query, (self.stream, epoch)) if self._has("epochs") else None
        return None if row is None else _begun.decode(row[0]).base

    def _has(self, table: str) -> bool:
        """Tell whether the store has a table; one of before schema 3 lacks two."""
        return self._database.row("SELECT 1 FROM sqlite_master WHERE name=?", (table,)) is not None

    def recalled(self, batch: SealedBatch) -> list[int]:
        """Return which numbers of a batch are recalled."""
        query = "SELECT sequence FROM recalled WHERE stream=? AND epoch=? AND sequence BETWEEN ? AND ?"
        return [row[0] for row in self._database.rows(query, (self.stream, batch.epoch, batch.first, batch.final))]


def _head_at(batch: SealedBatch, sequence: int) -> bytes:
    if sequence == batch.final:
        return batch.head
    return sealing.chain(batch.prev_head, sealing.leaves_of(batch)[: sequence - batch.first + 1])


def beyond(database: Database) -> list[Beyond]:
    """Return what partners signed for and this store does not hold, by partner and lane, the oldest first."""
    found: dict[tuple[str, str, Cursor], Beyond] = {}
    keys, ours = _keys(database), read_meta(database)["nation"]
    for t_ns, source, data in database.rows("SELECT t_ns, source, data FROM log WHERE kind=? ORDER BY n", (BEYOND,)):
        partner, _, lane = source.rpartition("/")
        try:
            after, evidence = _noted.decode(data)
            envelope = sealing.unpack(evidence, len(evidence))
        except (msgspec.MsgspecError, Rejected) as error:
            raise StoreError("store-corrupt", f"what {partner} signed for, in the log: {error}") from error
        until = receipt_in(evidence)
        public = keys.get((partner_of(partner), envelope.key_id))
        signed = public is not None and signature_holds(public, envelope.kind, envelope.body, envelope.signature)
        # A cursor at an epoch's beginning tells by its head on what the epoch goes on: perhaps there is nothing beyond.
        bases = (Cursor(), after) if not until.sequence else ()
        nothing = until.head in {sealing.epoch_head(ours, partner, lane, until.epoch, base) for base in bases}
        if not nothing and not _Side(database, "out", partner, lane).holds(until):
            found.setdefault((partner, lane, until), Beyond(partner, lane, after, until, t_ns, signed))
    return sorted(found.values(), key=lambda one: (one.partner, one.lane, one.t_ns))


def _keys(database: Database) -> dict[tuple[str, str], bytes]:
    rows = database.rows("SELECT data FROM log WHERE kind='keys'")
    return {(nation, key_id): public for (data,) in rows for nation, key_id, public in msgspec.msgpack.decode(data)}


def rebuild(store: Store, source: Database, judge: Judge, now_ns: int) -> Iterator[Rebuilt]:
    """Put back, from a copy of our own store or of a partner's, the rows that partners signed for; yield what came of each.

    judge: says what is wrong with a batch of ours, or "". A range goes back whole, with its log entries, or not at all: every row
    must be on the chain whose head the partner signed. The caller commits. Raises StoreError "ledger-source" when the source is
    neither ours nor a partner's, or of another mode.
    """
    database = store.database
    (ours, theirs), modes = zip(*[(meta["nation"], meta["mode"]) for meta in map(read_meta, (database, source))], strict=True)
    if modes[0] != modes[1]:
        raise StoreError("ledger-source", f"of mode {modes[1]}, ours is {modes[0]}")
    ranges = beyond(database)
    if ranges and theirs != ours and theirs not in {partner_of(one.partner) for one in ranges}:
        raise StoreError("ledger-source", f"{theirs} signed for nothing that is not here")
    for one in ranges:
        if theirs not in {ours, partner_of(one.partner)}:
            continue
        via = one.partner.partition("/")[2] or None
        there = _Side(source, *(("out", one.partner) if theirs == ours else ("in", stream_name(ours, via))), one.lane)
        here = _Side(database, "out", one.partner, one.lane)
        try:
            rows = list(_proven(ours, one, here, there, judge))
        except _Not as error:
            yield Rebuilt(one, 0, str(error))
            continue
        for batch, beside in reversed(rows):
            _put(store, one, batch, beside)
        facts = {"until": one.until, "from": theirs, "batches": len(rows)}
        store.note(REBUILT, f"{one.partner}/{one.lane}", now_ns, _encode(facts))
        yield Rebuilt(one, sum(min(batch.count, _covered(one, batch)) for batch, _ in rows))


def _covered(one: Beyond, batch: SealedBatch) -> int:
    """Return how many of a batch's first records the partner signed for."""
    return one.until.sequence - batch.first + 1 if batch.epoch == one.until.epoch else batch.count


def _proven(ours: str, one: Beyond, here: _Side, there: _Side, judge: Judge) -> Iterator[tuple[SealedBatch, _Beside]]:
    """Yield the rows that the partner signed for, newest first, from the head it signed back to a place that we hold."""
    at = one.until
    if not one.signed:
        raise _Not("the partner's key that signed for it is not in the log")
    while at.epoch and not here.holds(at):
        if not at.sequence:
            with _of_source():
                begun = there.begun(at.epoch)
            at = _base(ours, one, at, begun)
            continue
        batch, header, head = _read(there, at)
        if head != at.head:
            raise _Not(f"{at.epoch}.{at.sequence} is another record there than the one signed for")
        if header.withheld:
            raise _Not(f"a recalled record before {at.epoch}.{at.sequence} is there as its hash alone")
        if here.holds_any(batch.epoch, batch.first, batch.final):
            raise _Not(f"our store holds other records as {batch.epoch}.{batch.first} to {batch.final}")
        row = structs.replace(batch, partner=one.partner, t_ns=header.t_ns, skip=(), row=0)
        if wrong := judge(row, *OURS):
            raise _Not(wrong)
        yield row, _beside(there, row)
        at = Cursor(batch.epoch, batch.first - 1, batch.prev_head)
        if batch.first == 1:
            at = _base(ours, one, at, header.base)


@contextmanager
def _of_source() -> Iterator[None]:
    """Read of a source, which may be damaged or made to look like what it is not; raises _Not."""
    try:
        yield
    except (StoreError, Rejected) as error:
        raise _Not(f"this source cannot be read: {error.detail}") from error
    except msgspec.MsgspecError as error:
        raise _Not(f"this source cannot be read: {error}") from error


def _read(there: _Side, at: Cursor) -> tuple[SealedBatch, BatchHeader, bytes]:
    """Return the source's row with a number, its header, and the head after that number; raises _Not."""
    with _of_source():
        batch = there.batch_with(at.epoch, at.sequence)
        if batch is None:
            raise _Not(f"{at.epoch}.{at.sequence} is not in this source")
        return batch, _header.decode(batch.body), _head_at(batch, at.sequence)


def _beside(there: _Side, batch: SealedBatch) -> _Beside:
    """Return what our own copy keeps beside a row, which no head proves: it must be readable, or it would end who reads it.

    A partner's copy has none of it: what it says there is of its own making. Raises _Not.
    """
    if not there.is_ours:
        return _Beside(b"", 0, [])
    with _of_source():
        recalled, why = there.recalled(batch), _about.decode(batch.about)
        for one in why:
            _why.decode(one)
    places = range(batch.first, batch.final + 1)
    if len(why) != batch.count or batch.moved_from not in {0, *places} or not set(recalled) <= set(places):
        raise _Not(f"what is kept beside {batch.epoch}.{batch.first} does not belong to it")
    return _Beside(batch.about, batch.moved_from, recalled)


def _base(ours: str, one: Beyond, start: Cursor, base: Cursor | None) -> Cursor:
    """Return the place on which an epoch goes on: the head of its beginning covers that place, too."""
    if base is None or sealing.epoch_head(ours, one.partner, one.lane, start.epoch, base) != start.head:
        raise _Not(f"on what epoch {start.epoch} goes on is not in this source")
    return base


def _put(store: Store, one: Beyond, batch: SealedBatch, beside: _Beside) -> None:
    """Put one row back, with its entry in the log; records behind what was signed for count as sent and not receipted."""
    covered = _covered(one, batch)
    unsigned = batch.first + covered if covered < batch.count else 0
    moved = min(filter(None, (beside.moved_from, unsigned)), default=0)
    entries = sealing.split_payload(batch.payload)
    about = beside.about or _encode([_encode((_type(entry), RULE_UNKNOWN, REBUILT)) for entry in entries])
    store.outbox.put_batch(structs.replace(batch, about=about, moved_from=moved))
    if beside.recalled:
        store.outbox.recall(one.partner, one.lane, batch.epoch, beside.recalled)
    facts = (batch.epoch, batch.first, batch.count, batch.head, sealing.leaf_hash(batch.body))
    store.note("sent", f"{one.partner}/{one.lane}", batch.t_ns, _encode(facts))


def _type(entry: bytes) -> str:
    plain: Any = sealing.parse_plain(entry[sealing.SALT_BYTES :])
    return str(plain["type"]) if isinstance(plain, dict) and "type" in plain else ""
