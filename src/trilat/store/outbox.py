"""Outboxes on disk: one per audience and lane. Records wait unnumbered in `queued`; batches stand in `sent` as they left."""

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec
from msgspec import structs

from trilat.errors import StoreError
from trilat.records.exchange import Begun, Cursor, Fork, OutboxState, Queued, SealedBatch
from trilat.store.places import ALL, Places
from trilat.store.rows import AFTER, BATCH_COLUMNS, QUEUE_COLUMNS, batch_row, is_sound, queue_crc, row_batch

if TYPE_CHECKING:
    from trilat.store.sqlite import Database

FORKS_MAX = 64
_INSERT_SENT = f"INSERT INTO sent ({BATCH_COLUMNS}) VALUES ({','.join('?' * 15)})"  # noqa: S608 - constants only
_SELECT_SENT = f"SELECT row, {BATCH_COLUMNS} FROM sent"  # noqa: S608 - constants only
_AFTER = f"{_SELECT_SENT} {AFTER.format(table='sent')} LIMIT 1"
_encode = msgspec.msgpack.Encoder().encode
_state = msgspec.msgpack.Decoder(OutboxState)
_fork = msgspec.msgpack.Decoder(Fork)
_PRIORITY = attrgetter("priority")


class Outbox:
    """Every outbox of one store. A stream is named by audience and lane."""

    def __init__(self, database: "Database") -> None:
        self._database = database
        self.places = Places(database)
        self._streams: dict[tuple[str, str], int] = {}
        self._dirty: dict[tuple[str, str], OutboxState] = {}
        # Records and bytes queued per stream, kept here so that a bound costs no query.
        self._sizes: dict[int, list[int]] = {}
        # What was queued in this step and is not in the table yet: what gets its number in the same step never has to be.
        self._fresh: dict[int, list[Queued]] = {}
        database.before_commit.append(self._write)
        database.after_rollback.append(self._reload)
        self._reload()

    def _reload(self) -> None:
        self._dirty, self._fresh = {}, {}
        found = self._database.rows("SELECT partner, lane, stream FROM streams WHERE side='out'")
        self._streams = {(partner, lane): stream for partner, lane, stream in found}
        self._sizes = {stream: [0, 0] for stream in self._streams.values()}
        for stream in self._sizes:
            self._sizes[stream] = self._count(stream)

    def _count(self, stream: int) -> list[int]:
        """Return how many records and bytes of a stream wait; where a page of them cannot be read, bytes are not known: 0."""
        where = "FROM queued WHERE stream=?"
        try:
            (sums,) = self._database.rows(f"SELECT count(*), coalesce(sum(length(record)), 0) {where}", (stream,))
        except StoreError:
            # The index of what leaves next tells the number; its lane stops where it reads the page.
            (sums,) = self._database.rows(f"SELECT count(*), 0 {where}", (stream,))
        return list(sums)

    def _write(self) -> None:
        self._settle()
        for (audience, lane), state in self._dirty.items():
            self._database.write("UPDATE streams SET state=? WHERE stream=?", (_encode(state), self._stream(audience, lane)))
        self._dirty = {}

    def _stream(self, audience: str, lane: str) -> int:
        stream = self._streams.get((audience, lane))
        if stream is None:
            insert = "INSERT INTO streams (side, partner, lane, state) VALUES ('out',?,?,?)"
            self._database.write(insert, (audience, lane, _encode(OutboxState())))
            found = self._database.row("SELECT stream FROM streams WHERE side='out' AND partner=? AND lane=?", (audience, lane))
            stream = self._streams[(audience, lane)] = int(found[0]) if found else 0
            self._sizes.setdefault(stream, [0, 0])
        return stream

    def streams(self) -> tuple[tuple[str, str], ...]:
        """Return audience and lane of every outbox that was ever used, sorted."""
        return tuple(sorted(self._streams))

    def state(self, audience: str, lane: str) -> OutboxState:
        """Return an outbox's books; raises StoreError."""
        pending = self._dirty.get((audience, lane))
        if pending is not None:
            return pending
        row = self._database.row("SELECT state FROM streams WHERE side='out' AND partner=? AND lane=?", (audience, lane))
        try:
            return OutboxState() if row is None else _state.decode(row[0])
        except msgspec.MsgspecError as error:
            raise StoreError("store-corrupt", f"the books of outbox {audience} {lane}") from error

    def put_state(self, audience: str, lane: str, state: OutboxState) -> None:
        """Keep an outbox's books; on disk with the next commit."""
        self._stream(audience, lane)
        self._dirty[(audience, lane)] = state

    def enqueue(self, audience: str, lane: str, rows: Sequence[Queued]) -> int:
        """Let records wait for their numbers; return how many unsent ones were replaced by one of the same key.

        A replaced record's successor keeps its place, so that what changes often still leaves.
        """
        stream, replaced = self._stream(audience, lane), 0
        size, fresh = self._sizes[stream], self._fresh.setdefault(stream, [])
        places: dict[str | None, int] = {row.key: at for at, row in enumerate(fresh) if row.key is not None}
        for row in rows:
            at = places.get(row.key)
            if at is not None:
                old = fresh[at]
                fresh[at] = row if row.priority <= old.priority else structs.replace(row, priority=old.priority)
                size[1] += len(row.record) - len(old.record)
                replaced += 1
            elif row.key is not None and size[0] > len(fresh) and self._replace(stream, row, size):
                replaced += 1
            else:
                size[0] += 1
                size[1] += len(row.record)
                if row.key is not None:
                    places[row.key] = len(fresh)
                fresh.append(row)
        return replaced

    def _settle(self) -> None:
        """Write what was queued in this step and has no number yet."""
        for stream, rows in self._fresh.items():
            if rows:
                self._insert(stream, rows)

    def _insert(self, stream: int, rows: list[Queued]) -> None:
        values = [(r.priority, r.key, r.t_ns, r.expires_ns, r.record, r.about) for r in rows]
        try:
            self._database.write_many(
                "INSERT INTO queued (stream, priority, key, t_ns, expires_ns, record, about, crc) VALUES (?,?,?,?,?,?,?,?)",
                [(stream, *row, queue_crc(*row)) for row in values],
            )
        except StoreError as error:
            if error.name == "store-corrupt":  # written by whoever reads or commits next: say whose it is
                error.stream = next((("out", *place) for place, at in self._streams.items() if at == stream), None)
            raise
        rows.clear()

    def _replace(self, stream: int, row: Queued, size: list[int]) -> bool:
        """Put a record in the place of the one of its key in the table, if there is one."""
        old = self._database.row("SELECT id, length(record), priority FROM queued WHERE stream=? AND key=?", (stream, row.key))
        if old is None:
            return False
        priority = min(old[2], row.priority)
        crc = queue_crc(priority, row.key, row.t_ns, row.expires_ns, row.record, row.about)
        self._database.write(
            "UPDATE queued SET t_ns=?, expires_ns=?, record=?, about=?, priority=?, crc=? WHERE id=?",
            (row.t_ns, row.expires_ns, row.record, row.about, priority, crc, old[0]),
        )
        size[1] += len(row.record) - old[1]
        return True

    def queued(self, audience: str, lane: str, bytes_max: int, count_max: int) -> list[Queued]:
        """Return what leaves next: by priority, then age; at least one record, then as many as fit into both bounds.

        One that is not as it was queued is marked as damaged.
        """
        stream = self._stream(audience, lane)
        if not self._sizes[stream][0]:
            return []
        fresh = self._fresh.get(stream, [])
        if len(fresh) == self._sizes[stream][0]:
            return self._next_fresh(fresh, bytes_max, count_max)
        self._settle()
        rows = self._database.each(
            f"SELECT {QUEUE_COLUMNS} FROM queued WHERE stream=? ORDER BY priority, id LIMIT ?",  # noqa: S608 - constants only
            (stream, count_max),
        )
        found: list[Queued] = []
        total = 0
        for stands in rows:
            priority, key, t_ns, expires_ns, record, about, _, at = stands
            total += len(record)
            if found and total > bytes_max:
                break
            row = Queued(record=record, t_ns=t_ns, priority=priority, key=key, expires_ns=expires_ns, about=about, id=at)
            found.append(row if is_sound(stands) else structs.replace(row, damaged=True))
        return found

    @staticmethod
    def _next_fresh(fresh: list[Queued], bytes_max: int, count_max: int) -> list[Queued]:
        """Return the same of what is not in the table, nor needs to be if it gets its number now."""
        fresh.sort(key=_PRIORITY)
        found, total = fresh[:1], len(fresh[0].record)
        for row in fresh[1:count_max]:
            total += len(row.record)
            if total > bytes_max:
                break
            found.append(row)
        return found

    def dequeue(self, audience: str, lane: str, rows: Sequence[Queued]) -> None:
        """Take records out of the queue, because they got numbers or are dropped."""
        stream = self._stream(audience, lane)
        size = self._sizes[stream]
        size[0] -= len(rows)
        size[1] -= sum(len(row.record) for row in rows)
        if gone := {id(row) for row in rows if not row.id}:
            self._fresh[stream] = [row for row in self._fresh[stream] if id(row) not in gone]
        if stored := [(row.id,) for row in rows if row.id]:
            self._database.write_many("DELETE FROM queued WHERE id=?", stored)

    def dequeue_next(self, audience: str, lane: str, rows: Sequence[Queued]) -> None:
        """Take out what leaves next: `rows` must be the beginning of what `queued` returned in this step, nothing left out.

        Such rows are runs in the queue's order, so that a statement per priority removes them.
        """
        stream = self._stream(audience, lane)
        size = self._sizes[stream]
        size[0] -= len(rows)
        size[1] -= sum([len(row.record) for row in rows])
        if not rows[0].id:
            del self._fresh[stream][: len(rows)]
            return
        for priority, final in {row.priority: row.id for row in rows}.items():
            self._database.write("DELETE FROM queued WHERE stream=? AND priority=? AND id<=?", (stream, priority, final))

    def queue_size(self, audience: str, lane: str) -> tuple[int, int]:
        """Return how many records and bytes wait."""
        records, size = self._sizes.get(self._streams.get((audience, lane), 0), (0, 0))
        return records, size

    def least(self, audience: str, lane: str, bytes_min: int, count_max: int) -> list[Queued]:
        """Return what is shed first (highest priority number, then oldest), until bytes_min is reached or count_max."""
        self._settle()
        # "+stream": of the two indexes that of the times, or every second's sweep would go through the whole queue.
        found = self._database.rows(
            "SELECT id, priority, key, t_ns, expires_ns, record FROM queued WHERE stream=? ORDER BY priority DESC, id LIMIT ?",
            (self._stream(audience, lane), count_max),
        )
        rows: list[Queued] = []
        total = 0
        for at, priority, key, t_ns, expires_ns, record in found:
            if total >= bytes_min:
                break
            total += len(record)
            rows.append(Queued(id=at, priority=priority, key=key, t_ns=t_ns, expires_ns=expires_ns, record=record))
        return rows

    def queue_oldest_ns(self, audience: str, lane: str) -> int | None:
        """Return the time of the record that leaves next, or None when none waits."""
        rows = self.queued(audience, lane, 0, 1)
        return rows[0].t_ns if rows else None

    def waiting_first(self, audience: str, lane: str, priority_max: int) -> list[Queued]:
        """Return what waits with a priority number up to a bound, without the reason why it was released."""
        self._settle()
        found = self._database.rows(
            "SELECT id, priority, t_ns, record FROM queued WHERE stream=? AND priority<=?",
            (self._stream(audience, lane), priority_max),
        )
        return [Queued(id=at, priority=priority, t_ns=t_ns, record=record) for at, priority, t_ns, record in found]

    def find_queued(self, audience: str, lane: str, key: str) -> list[Queued]:
        """Return the waiting record of a key, if there is one."""
        self._settle()
        found = self._database.rows(
            "SELECT id, priority, t_ns, expires_ns, record, about FROM queued WHERE stream=? AND key=?",
            (self._stream(audience, lane), key),
        )
        return [
            Queued(id=at, priority=priority, key=key, t_ns=t_ns, expires_ns=expires_ns, record=record, about=about)
            for at, priority, t_ns, expires_ns, record, about in found
        ]

    def put_batch(self, batch: SealedBatch) -> None:
        """Keep a batch as it is about to leave."""
        self._database.write(_INSERT_SENT, batch_row(self._stream(batch.partner, batch.lane), batch))

    def batch_with(self, audience: str, lane: str, epoch: int, sequence: int) -> SealedBatch | None:
        """Return the batch that holds a number, or None when it was never given or is no longer kept."""
        row = self._database.row(
            _SELECT_SENT + " WHERE stream=? AND epoch=? AND first<=? ORDER BY first DESC LIMIT 1",
            (self._stream(audience, lane), epoch, sequence),
        )
        batch = None if row is None else row_batch(audience, lane, row)
        return batch if batch is not None and batch.final >= sequence else None

    def sent_ns(self, audience: str, lane: str, epoch: int, sequence: int) -> int | None:
        """Return when the batch that holds a number was sealed, or None when it is not kept."""
        row = self._database.row(
            "SELECT t_ns, first+count-1 FROM sent WHERE stream=? AND epoch=? AND first<=? ORDER BY first DESC LIMIT 1",
            (self._stream(audience, lane), epoch, sequence),
        )
        return row[0] if row is not None and row[1] >= sequence else None

    def batches(self, audience: str, lane: str, after: Cursor) -> Iterator[SealedBatch]:
        """Yield the batches that hold a number after a place, in order of epoch and number."""
        stream, epoch, first = self._stream(audience, lane), after.epoch, after.sequence
        while True:
            row = self._database.row(_AFTER, (stream, epoch, first))
            if row is None:
                return
            batch = row_batch(audience, lane, row)
            yield batch
            epoch, first = batch.epoch, batch.final

    def move(self, batch: SealedBatch, moved_from: int) -> None:
        """Mark a batch's records from a number on as put into a later epoch."""
        self._database.write("UPDATE sent SET moved_from=? WHERE row=?", (moved_from, batch.row))

    def recall(self, audience: str, lane: str, epoch: int, sequences: Sequence[int]) -> None:
        """Mark numbers as recalled: they are never sent again."""
        stream = self._stream(audience, lane)
        self._database.write_many("INSERT OR IGNORE INTO recalled VALUES (?,?,?)", [(stream, epoch, s) for s in sequences])

    def recalled(self, audience: str, lane: str, epoch: int, first: int, final: int) -> tuple[int, ...]:
        """Return which numbers of a range were recalled, sorted."""
        found = self._database.rows(
            "SELECT sequence FROM recalled WHERE stream=? AND epoch=? AND sequence BETWEEN ? AND ? ORDER BY sequence",
            (self._stream(audience, lane), epoch, first, final),
        )
        return tuple(row[0] for row in found)

    def expired(self, audience: str, lane: str, now_ns: int, count_max: int) -> list[Queued]:
        """Return up to count_max of an outbox's waiting records whose time has passed."""
        stream = self._stream(audience, lane)
        if not self._sizes[stream][0]:
            return []
        self._settle()
        found = self._database.rows(
            "SELECT id, priority, key, t_ns, expires_ns, record FROM queued WHERE +stream=? AND expires_ns<=? LIMIT ?",
            (stream, now_ns, count_max),
        )
        return [
            Queued(id=at, priority=priority, key=key, t_ns=t_ns, expires_ns=expires_ns, record=record)
            for at, priority, key, t_ns, expires_ns, record in found
        ]

    def forget(self, audience: str, lane: str, receipt: Cursor, before_ns: int, most: int = ALL) -> int:
        """Remove the oldest batches that are receipted (or moved to a later epoch) and older than a time; return how many went.

        Only ever a beginning of the stream goes; of each batch removed its head is kept (`Places`).
        """
        settled = ("epoch<? OR (epoch=? AND first+count-1<=?)", (receipt.epoch, receipt.epoch, receipt.sequence))
        return self.places.forget("sent", self._stream(audience, lane), before_ns, most, *settled)

    def head_at(self, audience: str, lane: str, epoch: int, sequence: int) -> bytes | None:
        """Return the head after the last number of a batch that retention removed; None when there is none such."""
        return self.places.head_at(self._stream(audience, lane), epoch, sequence)

    def put_epoch(self, audience: str, lane: str, epoch: int, begun: Begun) -> None:
        """Keep how an epoch began."""
        self.places.put_epoch(self._stream(audience, lane), epoch, begun)

    def epoch(self, audience: str, lane: str, epoch: int) -> Begun | None:
        """Return how an epoch began, or None when that is not known."""
        return self.places.epoch(self._stream(audience, lane), epoch)

    def mark_restored(self) -> int:
        """Have every outbox open a new epoch at its next pull, because this store is an older copy; return how many there are."""
        for audience, lane in self._streams:
            self.put_state(audience, lane, structs.replace(self.state(audience, lane), epoch_due=True))
        return len(self._streams)

    def put_fork(self, fork: Fork) -> None:
        """Keep the evidence of a fork, of the first FORKS_MAX of a stream: whoever signs more of them proves nothing new."""
        stream = self._stream(fork.partner, fork.lane)
        if self.fork_count(fork.partner, fork.lane) < FORKS_MAX:
            self._database.write("INSERT INTO forks (stream, fork) VALUES (?,?)", (stream, _encode(fork)))

    def fork_count(self, audience: str, lane: str) -> int:
        """Return how many forks are kept of an outbox's stream."""
        row = self._database.row("SELECT count(*) FROM forks WHERE stream=?", (self._stream(audience, lane),))
        return int(row[0]) if row else 0

    def forks(self, audience: str, lane: str) -> tuple[Fork, ...]:
        """Return the forks seen in an outbox's stream, oldest first."""
        rows = self._database.rows("SELECT fork FROM forks WHERE stream=? ORDER BY id", (self._stream(audience, lane),))
        return tuple(_fork.decode(row[0]) for row in rows)
