"""Inboxes on disk: one per exporter and lane. The cursor commits in the same transaction as the batch it covers."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from trilat.errors import StoreError
from trilat.records.exchange import Begun, Cursor, Fork, InboxState, SealedBatch
from trilat.store.outbox import FORKS_MAX
from trilat.store.places import ALL, Places
from trilat.store.rows import AFTER, BATCH_COLUMNS, batch_row, row_batch

if TYPE_CHECKING:
    from trilat.store.sqlite import Database

_INSERT = f"INSERT INTO received ({BATCH_COLUMNS}) VALUES ({','.join('?' * 15)})"  # noqa: S608 - constants only
_SELECT = f"SELECT row, {BATCH_COLUMNS} FROM received"  # noqa: S608 - constants only
_AFTER = f"{_SELECT} {AFTER.format(table='received')} LIMIT 1"
_encode = msgspec.msgpack.Encoder().encode
_state = msgspec.msgpack.Decoder(InboxState)
_fork = msgspec.msgpack.Decoder(Fork)


class Inbox:
    """Every inbox of one store. A stream is named by exporter and lane."""

    def __init__(self, database: "Database") -> None:
        self._database = database
        self.places = Places(database)
        self._streams: dict[tuple[str, str], int] = {}
        self._dirty: dict[tuple[str, str], InboxState] = {}
        # The newest number of each stream that was recalled, as far as it was asked for: hardly a batch is not beyond it.
        self._recalled: dict[int, tuple[int, int]] = {}
        # No hash of what may come again is older than this, by stream, as far as that was looked for.
        self._orphans_ns: dict[int, int] = {}
        self._handed = 0
        self._handed_dirty = False
        database.before_commit.append(self._write)
        database.after_rollback.append(self._reload)
        self._reload()

    def _reload(self) -> None:
        self._dirty = {}
        self._handed_dirty = False
        found = self._database.rows("SELECT partner, lane, stream FROM streams WHERE side='in'")
        self._streams = {(partner, lane): stream for partner, lane, stream in found}
        self._recalled, self._orphans_ns = {}, {}
        row = self._database.row("SELECT value FROM meta WHERE name='handed'")
        self._handed = 0 if row is None else msgspec.msgpack.decode(row[0], type=int)

    def _write(self) -> None:
        for (exporter, lane), state in self._dirty.items():
            self._database.write("UPDATE streams SET state=? WHERE stream=?", (_encode(state), self._stream(exporter, lane)))
        self._dirty = {}
        if self._handed_dirty:
            self._database.write("INSERT OR REPLACE INTO meta VALUES ('handed',?)", (_encode(self._handed),))
            self._handed_dirty = False

    def _stream(self, exporter: str, lane: str) -> int:
        stream = self._streams.get((exporter, lane))
        if stream is None:
            insert = "INSERT INTO streams (side, partner, lane, state) VALUES ('in',?,?,?)"
            self._database.write(insert, (exporter, lane, _encode(InboxState())))
            found = self._database.row("SELECT stream FROM streams WHERE side='in' AND partner=? AND lane=?", (exporter, lane))
            stream = self._streams[(exporter, lane)] = int(found[0]) if found else 0
        return stream

    def streams(self) -> tuple[tuple[str, str], ...]:
        """Return exporter and lane of every inbox that was ever used, sorted."""
        return tuple(sorted(self._streams))

    def state(self, exporter: str, lane: str) -> InboxState:
        """Return an inbox's books; raises StoreError."""
        pending = self._dirty.get((exporter, lane))
        if pending is not None:
            return pending
        row = self._database.row("SELECT state FROM streams WHERE side='in' AND partner=? AND lane=?", (exporter, lane))
        try:
            return InboxState() if row is None else _state.decode(row[0])
        except msgspec.MsgspecError as error:
            raise StoreError("store-corrupt", f"the books of inbox {exporter} {lane}") from error

    def put_state(self, exporter: str, lane: str, state: InboxState) -> None:
        """Keep an inbox's books; on disk with the next commit, together with the batches put since the last."""
        self._stream(exporter, lane)
        self._dirty[(exporter, lane)] = state

    def put_batch(self, batch: SealedBatch) -> int:
        """Keep a verified batch; return its row number (rising over all streams in order of arrival)."""
        self._database.write(_INSERT, batch_row(self._stream(batch.partner, batch.lane), batch))
        row = self._database.row("SELECT last_insert_rowid()")
        return int(row[0]) if row else 0

    def batch_with(self, exporter: str, lane: str, epoch: int, sequence: int) -> SealedBatch | None:
        """Return the held batch with a number, or None."""
        row = self._database.row(
            _SELECT + " WHERE stream=? AND epoch=? AND first<=? ORDER BY first DESC LIMIT 1",
            (self._stream(exporter, lane), epoch, sequence),
        )
        batch = None if row is None else row_batch(exporter, lane, row)
        return batch if batch is not None and batch.final >= sequence else None

    def batches(self, exporter: str, lane: str, after: Cursor) -> Iterator[SealedBatch]:
        """Yield the held batches with a number after a place, in order of epoch and number."""
        stream, epoch, final = self._stream(exporter, lane), after.epoch, after.sequence
        while True:
            row = self._database.row(_AFTER, (stream, epoch, final))
            if row is None:
                return
            batch = row_batch(exporter, lane, row)
            yield batch
            epoch, final = batch.epoch, batch.final

    def unhanded(self) -> Iterator[SealedBatch]:
        """Yield the held batches that were not handed on before the last commit, in order of arrival."""
        names = {stream: place for place, stream in self._streams.items()}
        at = self._handed
        while True:
            row = self._database.row(_SELECT + " WHERE row>? ORDER BY row LIMIT 1", (at,))
            if row is None:
                return
            batch = row_batch(*names[row[1]], row)
            yield batch
            at = batch.row

    def handed(self, row: int) -> None:
        """Keep that every batch up to a row number was handed on; on disk with the next commit."""
        if row > self._handed:
            self._handed = row
            self._handed_dirty = True

    def recall(self, exporter: str, lane: str, epoch: int, sequences: Sequence[int]) -> int:
        """Keep that the originator recalled these numbers; return of how many that was not known."""
        stream = self._stream(exporter, lane)
        before = self._changes()
        self._database.write_many("INSERT OR IGNORE INTO recalled VALUES (?,?,?)", [(stream, epoch, s) for s in sequences])
        known = self._changes() - before
        self._recalled[stream] = max(self._newest_recalled(stream), (epoch, max(sequences)))
        return known

    def _newest_recalled(self, stream: int) -> tuple[int, int]:
        """Return the newest number of a stream that was recalled; asked for by stream, so that no other's page is read."""
        if stream not in self._recalled:
            query = "SELECT epoch, sequence FROM recalled WHERE stream=? ORDER BY epoch DESC, sequence DESC LIMIT 1"
            self._recalled[stream] = self._database.row(query, (stream,)) or (0, 0)
        return self._recalled[stream]

    def recalled(self, exporter: str, lane: str, epoch: int, first: int, final: int) -> frozenset[int]:
        """Return which numbers of a range their originator recalled before they came."""
        stream = self._streams.get((exporter, lane))
        if stream is None or self._newest_recalled(stream) < (epoch, first):
            return frozenset()
        query = "SELECT sequence FROM recalled WHERE stream=? AND epoch=? AND sequence BETWEEN ? AND ?"
        return frozenset(row[0] for row in self._database.rows(query, (stream, epoch, first, final)))

    def _changes(self) -> int:
        row = self._database.row("SELECT total_changes()")
        return int(row[0]) if row else 0

    def put_orphans(self, exporter: str, lane: str, hashes: Sequence[bytes], t_ns: int) -> None:
        """Keep hashes of records that may come again in a new epoch, from a time on."""
        stream = self._stream(exporter, lane)
        rows = [(stream, digest, t_ns) for digest in hashes]
        if stream in self._orphans_ns:
            self._orphans_ns[stream] = min(self._orphans_ns[stream], t_ns)
        self._database.write_many("INSERT OR REPLACE INTO orphans VALUES (?,?,?)", rows)

    def drop_orphan(self, exporter: str, lane: str, digest: bytes) -> None:
        """Forget one such hash: it came."""
        self._database.write("DELETE FROM orphans WHERE stream=? AND hash=?", (self._stream(exporter, lane), digest))

    def is_orphan(self, exporter: str, lane: str, digest: bytes) -> bool:
        """Tell whether a record may come again, by its hash."""
        query = "SELECT 1 FROM orphans WHERE stream=? AND hash=?"
        return self._database.row(query, (self._stream(exporter, lane), digest)) is not None

    def has_orphans(self, exporter: str, lane: str) -> bool:
        """Tell whether any record may come again."""
        return self._database.row("SELECT 1 FROM orphans WHERE stream=? LIMIT 1", (self._stream(exporter, lane),)) is not None

    def forget_orphans(self, exporter: str, lane: str, before_ns: int, most: int = ALL) -> int:
        """Forget the hashes that were put before a time, so many at most; return how many went."""
        where = "stream=? AND hash IN (SELECT hash FROM orphans WHERE stream=? AND t_ns<? LIMIT ?)"
        stream = self._stream(exporter, lane)
        if before_ns <= self._orphans_ns.get(stream, before_ns - 1):  # or every step of retention would go through them all
            return 0
        values = (stream, stream, before_ns, most)
        (gone,) = self._database.rows(f"SELECT count(*) FROM orphans WHERE {where}", values)  # noqa: S608 - constants only
        if gone[0]:
            self._database.write(f"DELETE FROM orphans WHERE {where}", values)  # noqa: S608 - constants only
        else:
            (oldest,) = self._database.rows("SELECT coalesce(min(t_ns), ?) FROM orphans WHERE stream=?", (before_ns, stream))
            self._orphans_ns[stream] = int(oldest[0])
        return int(gone[0])

    def put_chunk(self, exporter: str, lane: str, of: bytes, piece: int, total: int, data: bytes) -> None:
        """Keep a piece of a large record."""
        self._database.write(
            "INSERT OR REPLACE INTO chunks VALUES (?,?,?,?,?)", (self._stream(exporter, lane), of, piece, total, data)
        )

    def chunks(self, exporter: str, lane: str, of: bytes) -> list[bytes]:
        """Return the pieces held of a large record, in order."""
        query = "SELECT data FROM chunks WHERE stream=? AND of=? ORDER BY piece"
        return [row[0] for row in self._database.rows(query, (self._stream(exporter, lane), of))]

    def chunked(self, exporter: str, lane: str) -> list[tuple[bytes, int]]:
        """Return hash and number of pieces of each large record of which pieces are held."""
        query = "SELECT of, max(total) FROM chunks WHERE stream=? GROUP BY of ORDER BY of"
        return [(of, total) for of, total in self._database.rows(query, (self._stream(exporter, lane),))]

    def drop_chunks(self, exporter: str, lane: str, of: bytes) -> None:
        """Forget the pieces of a large record: it was handed on whole."""
        self._database.write("DELETE FROM chunks WHERE stream=? AND of=?", (self._stream(exporter, lane), of))

    def forget(self, exporter: str, lane: str, cursor: Cursor, before_ns: int, most: int = ALL) -> int:
        """Remove the oldest batches that were handed on and are older than a time, never the one the cursor stands on.

        Return how many went. Of each batch removed its head is kept (`Places`).
        """
        settled = ("row<=? AND NOT (epoch=? AND first+count-1>=?)", (self._handed, cursor.epoch, cursor.sequence))
        return self.places.forget("received", self._stream(exporter, lane), before_ns, most, *settled)

    def head_at(self, exporter: str, lane: str, epoch: int, sequence: int) -> bytes | None:
        """Return the head after the last number of a batch that retention removed; None when there is none such."""
        return self.places.head_at(self._stream(exporter, lane), epoch, sequence)

    def newest_forgotten(self, exporter: str, lane: str) -> tuple[int, int]:
        """Return epoch and last number of the newest batch that retention removed; (0, 0) when none was."""
        return self.places.newest(self._stream(exporter, lane))

    def put_epoch(self, exporter: str, lane: str, epoch: int, begun: Begun) -> None:
        """Keep how an epoch began."""
        self.places.put_epoch(self._stream(exporter, lane), epoch, begun)

    def epoch(self, exporter: str, lane: str, epoch: int) -> Begun | None:
        """Return how an epoch began, or None when that is not known."""
        return self.places.epoch(self._stream(exporter, lane), epoch)

    def put_fork(self, fork: Fork) -> None:
        """Keep the evidence of a fork, of the first FORKS_MAX of a stream: whoever signs more of them proves nothing new."""
        stream = self._stream(fork.partner, fork.lane)
        if self.fork_count(fork.partner, fork.lane) < FORKS_MAX:
            self._database.write("INSERT INTO forks (stream, fork) VALUES (?,?)", (stream, _encode(fork)))

    def fork_count(self, exporter: str, lane: str) -> int:
        """Return how many forks are kept of an inbox's stream."""
        row = self._database.row("SELECT count(*) FROM forks WHERE stream=?", (self._stream(exporter, lane),))
        return int(row[0]) if row else 0

    def forks(self, exporter: str, lane: str) -> tuple[Fork, ...]:
        """Return the forks seen in an inbox's stream, oldest first."""
        rows = self._database.rows("SELECT fork FROM forks WHERE stream=? ORDER BY id", (self._stream(exporter, lane),))
        return tuple(_fork.decode(row[0]) for row in rows)
