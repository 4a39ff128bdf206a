"""Recalls: what a recall would take back, looked up in the store before anything is promised; and what was recalled so far.

It only reads. Numbers are named as `trilat ledger` and `trilat links` print them: EPOCH.N.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from trilat.errors import PolicyError, StoreError
from trilat.records import codec
from trilat.records.exchange import OutboxState, SealedBatch
from trilat.records.warning import Recall
from trilat.store.rows import BATCH_COLUMNS, row_batch
from trilat.store.sqlite import Database
from trilat.transport import envelope as sealing
from trilat.transport.messages import LANES

# The act, in the table of roles.
ACT = "recall"
# As many as one `Recall` may name.
NUMBERS_MAX = 1_000
NUMBER_MAX = 2**63 - 1
RECALL_TYPE = str(Recall.__struct_config__.tag)
# What is told of a number whose batch retention has removed: that it was given, and nothing else.
NOT_KEPT = "no longer kept"
_NUMBERS = re.compile(r"([0-9]{1,19})\.([0-9]{1,19}(?:-[0-9]{1,19})?(?:,[0-9]{1,19}(?:-[0-9]{1,19})?)*)")
_about = msgspec.msgpack.Decoder(list[bytes])
_why = msgspec.msgpack.Decoder(tuple[str, str, str])
_books = msgspec.msgpack.Decoder(OutboxState)


Way = Literal["out", "in"]


class Place(NamedTuple):
    """Which records: of the stream with a partner ("KOR", or "KOR/USA" through a hub), a lane, an epoch; numbers sorted."""

    partner: str
    lane: str
    epoch: int
    sequences: tuple[int, ...]


class Named(NamedTuple):
    """One record that a recall names: its number, its type, whether the partner had receipted it.

    moved: it was put into a later epoch. There it leaves no more; under the number it had there, if it had one, the partner may
    hold it, and this recall does not name that number.
    """

    sequence: int
    record_type: str
    receipted: bool
    moved: bool


class Recalled(NamedTuple):
    """Numbers of one stream and epoch that were recalled: by us (`way` "out") or by the partner ("in").

    t_ns, by, reason: of the recall; None and empty where the record that says so is kept no more.
    """

    way: Way
    partner: str
    lane: str
    epoch: int
    sequences: tuple[int, ...]
    t_ns: int | None = None
    by: str = ""
    reason: str = ""


def parse_numbers(text: str) -> tuple[int, tuple[int, ...]]:
    """Return epoch and numbers of "EPOCH.N[,N|N-M...]", sorted, each once; raises PolicyError recall-numbers, recall-many."""
    found = _NUMBERS.fullmatch(text)
    if found is None:
        raise PolicyError("recall-numbers", f"{text[:80]!r}.")
    numbers: set[int] = set()
    for part in found.group(2).split(","):
        first, _, final = part.partition("-")
        low, high = int(first), int(final or first)
        if not 1 <= low <= high <= NUMBER_MAX:
            raise PolicyError("recall-numbers", f"{part!r}.")
        if high - low >= NUMBERS_MAX or len(numbers) > NUMBERS_MAX:
            raise PolicyError("recall-many", f"{text[:80]!r}, at most {NUMBERS_MAX}.")
        numbers.update(range(low, high + 1))
    if len(numbers) > NUMBERS_MAX:
        raise PolicyError("recall-many", f"{len(numbers)} numbers, at most {NUMBERS_MAX}.")
    epoch = int(found.group(1))
    if epoch > NUMBER_MAX:
        raise PolicyError("recall-epoch", f"{epoch}.")
    return epoch, tuple(sorted(numbers))


def numbers_text(epoch: int, sequences: Iterable[int]) -> str:
    """Return numbers as people write them: "1.5,7-9"."""
    runs: list[list[int]] = []
    for one in sorted(sequences):
        if runs and one == runs[-1][1] + 1:
            runs[-1][1] = one
        else:
            runs.append([one, one])
    return f"{epoch}." + ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def look(database: Database, known: Collection[str], place: Place) -> list[Named]:
    """Return what a recall would take back, number by number.

    known: the streams that this node has by its configuration; those that the store has are known, too. PUBLIC pulls nothing and
    is told by a retraction. Raises PolicyError: recall-partner, recall-lane, recall-epoch, recall-number, recall-again.
    """
    names = {row[0] for row in database.rows("SELECT DISTINCT partner FROM streams WHERE side='out'")} | set(known)
    if place.partner not in names - {"PUBLIC"}:
        raise PolicyError(
            "recall-partner", f"{place.partner[:32]!r}; there are {', '.join(sorted(names - {'PUBLIC'})) or 'none'}."
        )
    if place.lane not in LANES:
        raise PolicyError("recall-lane", f"{place.lane[:32]!r}; there are {', '.join(LANES)}.")
    row = database.row("SELECT stream, state FROM streams WHERE side='out' AND partner=? AND lane=?", place[:2])
    stream, state = (0, OutboxState()) if row is None else (row[0], _state(row[1], place))
    _check_epoch(database, stream, state, place)
    # Marked, but not named by any recall: what a recall by an older number reached, and the partner may hold under this one.
    if (again := sorted(set(place.sequences) & marked(database, place))) and (
        again := sorted(_told_of(database, place).intersection(again))
    ):
        raise PolicyError("recall-again", f"{numbers_text(place.epoch, again)}.")
    return list(_named(database, stream, state, place))


def _told_of(database: Database, place: Place) -> set[int]:
    """Return which numbers of a stream of ours and an epoch a recall names that was sent, or waits to be."""
    streams = "queued JOIN streams USING (stream)"
    query = f"SELECT record FROM {streams} WHERE side='out' AND lane='flash' AND partner=? AND instr(record, ?)"  # noqa: S608
    waiting = (_recall(raw) for (raw,) in database.rows(query, (place.partner, RECALL_TYPE.encode())))
    sent = (one for partner, one in _records(database, "out") if partner == place.partner)
    return {
        sequence
        for one in (*waiting, *sent)
        if one is not None and (one.lane, one.epoch) == (place.lane, place.epoch)
        for sequence in one.sequences
    }


def marked(database: Database, place: Place) -> set[int]:
    """Return which numbers of a stream of ours and an epoch are recalled on disk."""
    query = "SELECT sequence FROM recalled JOIN streams USING (stream) WHERE side='out' AND partner=? AND lane=? AND epoch=?"
    return {row[0] for row in database.rows(query, place[:3])}


def told(found: Sequence[Named]) -> dict[str, Any]:
    """Return how many records a recall takes back, how many were receipted or (which) only sent, which types, and which moved."""
    receipted = sum(one.receipted for one in found)
    types = dict(sorted(Counter(one.record_type for one in found).items()))
    moved = [one.sequence for one in found if one.moved]
    sent = [one.sequence for one in found if not one.receipted]
    return {"records": len(found), "receipted": receipted, "sent": len(sent), "unreceipted": sent, "types": types, "moved": moved}


def recalled(database: Database) -> list[Recalled]:
    """Return everything that was recalled, by us and by partners, with when, by whom and why as far as the records are kept."""
    marks: defaultdict[tuple[str, str, str, int], set[int]] = defaultdict(set)
    query = "SELECT side, partner, lane, epoch, sequence FROM recalled JOIN streams USING (stream)"
    for side, partner, lane, epoch, sequence in database.rows(query):
        marks[(side, partner, lane, epoch)].add(sequence)
    found: list[Recalled] = []
    ways: tuple[Way, ...] = ("out", "in")
    for way in ways:
        for partner, one in _records(database, way) if marks else ():
            left = marks.get((way, partner, one.lane, one.epoch), set())
            if named := left.intersection(one.sequences):
                left -= named
                numbers = tuple(sorted(named))
                found.append(Recalled(way, partner, one.lane, one.epoch, numbers, one.t_ns, one.by, one.reason))
    rest = [Recalled(key[0], *key[1:], tuple(sorted(left))) for key, left in marks.items() if left]  # type: ignore[arg-type]
    return sorted([*found, *rest], key=lambda one: (one.t_ns or 0, one))


def _state(raw: bytes, place: Place) -> OutboxState:
    try:
        return _books.decode(raw)
    except msgspec.MsgspecError as error:
        raise StoreError("store-corrupt", f"the books of outbox {place.partner} {place.lane}") from error


def _check_epoch(database: Database, stream: int, state: OutboxState, place: Place) -> None:
    """Raise when an epoch was never opened, or a number in it never given (or is not kept, of an epoch that is over)."""
    row = database.row("SELECT max(first+count-1) FROM sent WHERE stream=? AND epoch=?", (stream, place.epoch))
    final = row[0] if row is not None and row[0] is not None else None
    if place.epoch == state.last.epoch and place.epoch > 0:
        final = max(state.last.sequence, final or 0)
    if final is None:
        raise PolicyError("recall-epoch", f"{place.epoch}; {place.partner} {place.lane} is in epoch {state.last.epoch}.")
    if place.sequences[-1] > final:
        given = numbers_text(place.epoch, [one for one in place.sequences if one > final])
        raise PolicyError("recall-number", f"{given}; the last is {place.epoch}.{final}.")


def _named(database: Database, stream: int, state: OutboxState, place: Place) -> Iterator[Named]:
    query = f"SELECT row, {BATCH_COLUMNS} FROM sent WHERE stream=? AND epoch=? AND first<=? ORDER BY first DESC LIMIT 1"  # noqa: S608
    batch: SealedBatch | None = None
    why: list[bytes] = []
    for sequence in place.sequences:
        if batch is None or sequence > batch.final:
            row = database.row(query, (stream, place.epoch, sequence))
            batch = None if row is None else row_batch(place.partner, place.lane, row)
            why = [] if batch is None else _about.decode(batch.about)
        kept = batch is not None and batch.first <= sequence <= batch.final
        receipt = state.receipt
        moved = batch is not None and kept and 0 < batch.moved_from <= sequence
        covered = place.epoch < receipt.epoch or (place.epoch == receipt.epoch and sequence <= receipt.sequence)
        record_type = _why.decode(why[sequence - batch.first])[0] if batch is not None and kept else NOT_KEPT
        if record_type == RECALL_TYPE:
            raise PolicyError("recall-number", f"{place.epoch}.{sequence} is itself a recall, which stands.")
        waits = any(
            epoch == place.epoch and after < sequence <= final for move in state.moves for epoch, after, final in move.ranges
        )
        yield Named(sequence, record_type, covered and not moved and not waits, moved)


def _records(database: Database, way: str) -> Iterator[tuple[str, Recall]]:
    """Yield each recall that was sent or received, once, oldest first, with the stream's partner."""
    table, seen = {"out": "sent", "in": "received"}[way], set()
    for stream, partner in database.rows("SELECT stream, partner FROM streams WHERE side=? AND lane='flash'", (way,)):
        query = f"SELECT payload FROM {table} WHERE stream=? AND instr(payload, ?) ORDER BY epoch, first"  # noqa: S608 - constants
        for (payload,) in database.rows(query, (stream, RECALL_TYPE.encode())):
            for entry in sealing.split_payload(payload):
                raw = entry[sealing.SALT_BYTES :]
                one = _recall(raw)
                if one is not None and (partner, raw) not in seen:
                    seen.add((partner, raw))
                    yield partner, one


def _recall(raw: bytes) -> Recall | None:
    try:
        record = codec.decode(raw)
    except msgspec.MsgspecError:
        return None
    return record if isinstance(record, Recall) else None
