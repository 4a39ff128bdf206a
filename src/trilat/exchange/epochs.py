"""Epochs of one outbox: how a partner's cursor stands to our books, the last place both hold, what goes into a new epoch.

A new epoch goes on from the last common place. What was numbered behind it gets new numbers in the old order, a little at a
time as it leaves, so that neither a large backlog nor a partner that asks for it makes a step long. Sans-IO, deterministic.
"""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import structs

from trilat.exchange.station import Station
from trilat.records.exchange import Begun, Cursor, Move, OutboxState, Queued, SealedBatch
from trilat.records.fields import Lane
from trilat.transport import envelope as sealing
from trilat.transport.carried import stream_name
from trilat.transport.messages import BatchHeader

# What is moved into a new epoch leaves before everything else, a later epoch's first; in steps of two, so that pieces of a
# large record of it fit in between.
MOVED_PRIORITY = -2
# A partner may be this many epochs beyond us: more than any rollback takes back.
EPOCHS_AHEAD_MAX = 1_000_000
MS = 1_000_000
_about = msgspec.msgpack.Decoder(list[bytes])
_header = msgspec.msgpack.Decoder(BatchHeader)


def priority_of(move: Move) -> int:
    """Return the priority of what a move puts into the queue."""
    return MOVED_PRIORITY * (1 + move.epoch)


def place_of(cursor: Cursor) -> tuple[int, int]:
    """Return a cursor's place without its head, to be compared."""
    return cursor.epoch, cursor.sequence


class EpochPace:
    """How often a partner may bring about a new epoch of one stream: a few at once, then one every while.

    Each costs an entry in the log and a place that is kept: whoever asks for them for ever must not fill the disk.
    """

    AT_ONCE = 16
    EVERY_NS = 5_000 * MS

    def __init__(self) -> None:
        self._left = float(self.AT_ONCE)
        self._last_ns: int | None = None

    def take(self, now_ns: int) -> bool:
        """Tell whether a new epoch may begin now, and count it."""
        since_ns = max(now_ns - self._last_ns, 0) if self._last_ns is not None else 0
        self._left = min(self._left + since_ns / self.EVERY_NS, float(self.AT_ONCE))
        self._last_ns = now_ns
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Epochs:
    """One outbox's books: where it stands, its epochs, and what is still to be moved into the present one."""

    def __init__(self, station: Station, audience: str, lane: Lane, via: str | None = None) -> None:
        self.station = station
        self.audience = audience
        self.via = via
        # The stream's own name: what goes to one audience directly and through a hub are two streams.
        self.name = stream_name(audience, via)
        self.lane: Lane = lane
        self._settings = station.settings.lane(lane, through_hub=via is not None)
        self._outbox = station.store.outbox
        self.state: OutboxState = self._outbox.state(self.name, lane)
        self._receipt_evidence: bytes | None = None
        self._changed = False

    def persist(self, now_ns: int) -> None:
        """Put what changed lazily (receipts, counters) into the step's transaction."""
        if self._changed:
            if self._receipt_evidence is not None:
                source = f"{self.name}/{self.lane}"
                self.station.store.note("receipt", source, now_ns, self._receipt_evidence)
                self._receipt_evidence = None
            self._outbox.put_state(self.name, self.lane, self.state)
            self._changed = False

    def _put(self, **changes: object) -> None:
        self.state = structs.replace(self.state, **changes)
        self._changed = True

    def probe(self) -> None:
        """Read what leaves next and what was sent last; raises StoreError while that cannot be read."""
        self._outbox.queue_oldest_ns(self.name, self.lane)
        for place in (self.state.receipt, self.state.last):
            self._outbox.batch_with(self.name, self.lane, place.epoch, place.sequence)

    # --- places -------------------------------------------------------------------------------------------------------

    def head_at(self, epoch: int, sequence: int) -> bytes | None:
        """Return our chain's head after a number; None when it is not kept (or never was)."""
        last, receipt = self.state.last, self.state.receipt
        for known in (last, receipt):
            if (known.epoch, known.sequence) == (epoch, sequence):
                return known.head
        if sequence == 0:
            return self.start_head(epoch, self.state.base) if epoch == last.epoch else None
        batch = self._outbox.batch_with(self.name, self.lane, epoch, sequence)
        if batch is None:
            return self._outbox.head_at(self.name, self.lane, epoch, sequence)
        if batch.final == sequence:
            return batch.head
        leaves = [sealing.leaf_hash(entry) for entry in sealing.split_payload(batch.payload)[: sequence - batch.first + 1]]
        return sealing.chain(batch.prev_head, leaves)

    def start_head(self, epoch: int, base: Cursor) -> bytes:
        """Return the head before the first number of an epoch."""
        return sealing.epoch_head(self.station.nation, self.name, self.lane, epoch, base)

    def place(self, cursor: Cursor) -> str:
        """Return where a cursor stands to our books: "level", "ahead", "fork" or "elsewhere" (needs a new epoch)."""
        last, base = self.state.last, self.state.base
        if cursor.epoch > last.epoch or last.epoch == 0:
            return "ahead"
        if cursor.epoch == last.epoch:
            if cursor.sequence > last.sequence:
                return "ahead"
            head = self.head_at(cursor.epoch, cursor.sequence)
            if head is not None and head != cursor.head:
                return "fork"
            return "level" if head is not None and self._holds(last.epoch, cursor.sequence + 1) else "elsewhere"
        head = self.head_at(cursor.epoch, cursor.sequence)
        if cursor.epoch > 0 and head is not None and head != cursor.head:
            return "fork"
        goes_on = base.epoch == 0 or (base.epoch == cursor.epoch and base.sequence <= cursor.sequence)
        return "level" if goes_on and self._holds(last.epoch, 1) else "elsewhere"

    def _holds(self, epoch: int, sequence: int) -> bool:
        if sequence > self.state.last.sequence:
            return True
        return self._outbox.batch_with(self.name, self.lane, epoch, sequence) is not None

    def _begun(self, epoch: int) -> Begun:
        """Return how an epoch began; "from nothing" when nobody knows any more."""
        if epoch == self.state.last.epoch:
            return Begun(self.state.base, self.state.lost)
        begun = self._outbox.epoch(self.name, self.lane, epoch)
        if begun is None:  # a store of before schema 3: a batch that is kept says so
            batch = next(self._outbox.batches(self.name, self.lane, Cursor(epoch)), None)
            if batch is None or batch.epoch != epoch:
                return Begun()
            header = _header.decode(batch.body)
            begun = Begun(header.base, header.lost)
        return begun

    def _walk(self) -> Iterator[tuple[Cursor, Begun]]:
        """Yield where our present branch left each of its epochs, and how that epoch began, newest first."""
        place = self.state.last
        while place.epoch:
            begun = self._begun(place.epoch)
            yield place, begun
            if begun.base.epoch >= place.epoch:
                return
            place = begun.base

    def common(self, cursor: Cursor, branch: Sequence[Cursor] = (), below: Cursor | None = None) -> Cursor:
        """Return the newest place of our present branch that the importer holds, for a cursor that is not level with it.

        branch: the places on which the importer's epochs went on, newest first, when it has said so. Equal heads prove that all
        before is equal. Of a place that it has passed by its own account only the importer can tell whether it holds it: if not
        it asks again, and then only places `below` that one come into question.
        """
        for ours, _ in self._walk():
            for theirs in (cursor, *branch):
                if theirs.epoch == ours.epoch:
                    place, sure = (ours, False) if theirs.sequence > ours.sequence else (theirs, True)
                elif theirs.epoch > ours.epoch and not branch:
                    place, sure = ours, False
                else:
                    continue
                if not place.sequence or (below is not None and place_of(place) >= place_of(below)):
                    continue
                if not sure or self.head_at(place.epoch, place.sequence) == place.head:
                    return place
        return Cursor()

    # --- a new epoch --------------------------------------------------------------------------------------------------

    def open_epoch(self, now_ns: int, cursor: Cursor, base: Cursor, why: str) -> None:
        """Open a new epoch on a base: what was numbered after it is to get new numbers, in the old order."""
        epoch = max(self.state.last.epoch, cursor.epoch) + 1
        while base.epoch and not base.sequence:  # the beginning of an epoch is the place it goes on from
            base = self._begun(base.epoch).base
        found = self._after(base)
        if found is None:
            base = Cursor()
            found = self._after(base) or ((), 0)
        ranges, lost = found
        if self.state.last.epoch:  # a store of before schema 3 has not kept it
            self._outbox.put_epoch(self.name, self.lane, self.state.last.epoch, Begun(self.state.base, self.state.lost))
        start = Cursor(epoch, 0, self.start_head(epoch, base))
        self._outbox.put_epoch(self.name, self.lane, epoch, Begun(base, lost))
        moves = (Move(epoch, ranges), *self.state.moves) if ranges else self.state.moves
        self._put(last=start, base=base, lost=lost, receipt=start, epoch_due=False, moves=moves)
        facts = {"epoch": epoch, "base": base, "cursor": cursor, "why": why, "moved": self.unmoved, "lost": lost}
        self.station.note("epoch", self.name, self.lane, now_ns, facts)

    def _after(self, base: Cursor) -> tuple[tuple[tuple[int, int, int], ...], int] | None:
        """Return what stands behind a place on our present branch, oldest first, and how much of it is not kept.

        None when the place is not on it.
        """
        ranges: list[tuple[int, int, int]] = []
        lost = 0
        for place, begun in self._walk():
            inside = place.epoch == base.epoch and base.sequence <= place.sequence
            after = base.sequence if inside else 0
            if place.sequence > after:
                ranges.append((place.epoch, after, place.sequence))
                lost += self._missing(place.epoch, after, place.sequence)
            if inside:
                return tuple(reversed(ranges)), lost
            lost += begun.lost
        return None if base.epoch else (tuple(reversed(ranges)), lost)

    def _missing(self, epoch: int, after: int, final: int) -> int:
        """Return how many numbers of a range are no longer kept: always its first ones."""
        batch = next(self._outbox.batches(self.name, self.lane, Cursor(epoch, after)), None)
        first = batch.first if batch is not None and batch.epoch == epoch else final + 1
        return max(min(first - 1, final) - after, 0)

    @property
    def unmoved(self) -> int:
        """How many numbers of earlier epochs are still to be moved into the present one."""
        return sum(final - after for move in self.state.moves for _, after, final in move.ranges)

    @property
    def is_settled(self) -> bool:
        """Whether earlier epochs are of no more use: all is moved, and the partner has said that it holds the base."""
        return not self.state.moves and (not self.state.base.epoch or self.state.receipt.sequence > 0)

    def _refill(self, rows: Sequence[Queued], bytes_min: int, count_min: int) -> bool:
        """Move so much that what leaves next is there, of the queue's first rows; tell whether anything was moved."""
        if not self.state.moves:
            return False
        ready = [len(row.record) for row in rows if row.priority <= priority_of(self.state.moves[0])]
        size, count, moved = sum(ready), len(ready), False
        while self.state.moves and size < bytes_min and count < count_min:
            queued = self._move_next()
            size, count, moved = size + sum(len(row.record) for row in queued), count + len(queued), True
        return moved

    def _move_next(self) -> list[Queued]:
        """Move what is kept of the next batch; return the rows that it became."""
        move = self.state.moves[0]
        (epoch, after, final), *later = move.ranges
        batch = next(self._outbox.batches(self.name, self.lane, Cursor(epoch, after)), None)
        rows: list[Queued] = []
        if batch is not None and batch.epoch == epoch and batch.first <= final:
            rows = self._requeue(batch, after + 1, final, priority_of(move))
            if batch.final < final:
                later = [(epoch, batch.final, final), *later]
        rest = (Move(move.epoch, tuple(later)),) if later else ()
        self._put(moves=(*rest, *self.state.moves[1:]))
        self.station.must = True
        return rows

    def _requeue(self, batch: SealedBatch, first: int, final: int, priority: int) -> list[Queued]:
        """Queue a batch's records from one number to another before everything that waits; return them."""
        first = max(first, batch.first)
        final = min(final, batch.final, batch.moved_from - 1 if batch.moved_from else batch.final)
        if first > final:
            return []
        entries = sealing.split_payload(batch.payload)
        about = _about.decode(batch.about)
        recalled = frozenset(self._outbox.recalled(self.name, self.lane, batch.epoch, first, final))
        rows = [
            Queued(record=entries[at][sealing.SALT_BYTES :], t_ns=batch.t_ns, priority=priority, about=about[at])
            for at in range(first - batch.first, final - batch.first + 1)
            if batch.first + at not in recalled
        ]
        self._outbox.enqueue(self.name, self.lane, rows)
        self._outbox.move(batch, first)
        return rows
