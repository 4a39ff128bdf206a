"""Places of the streams that outlive their batches: the heads of batches that retention removed, and how each epoch began.

Without them a node that goes back to an older copy could not find the last place that both sides hold, once its partner's
retention is shorter than the way back: everything kept would come again.
"""

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from trilat.errors import StoreError
from trilat.records.exchange import Begun

if TYPE_CHECKING:
    from trilat.store.sqlite import Database

# Heads kept of a stream's removed batches; the oldest go first. Some 60 bytes each on disk.
HEADS_MAX = 1_000_000
# Beginnings of epochs kept of a stream, the newest.
EPOCHS_MAX = 1_024
# More rows than any table has.
ALL = 1 << 40
_encode = msgspec.msgpack.Encoder().encode
_begun = msgspec.msgpack.Decoder(Begun)


class Places:
    """The places of every stream of one side of a store."""

    def __init__(self, database: "Database") -> None:
        self._database = database

    def forget(
        self,
        table: Literal["sent", "received"],
        stream: int,
        before_ns: int,
        most: int,
        settled: str,
        values: tuple[Any, ...],
    ) -> int:
        """Remove a stream's oldest batches up to the first that is not settled or not old, and keep their heads; count them.

        most: of how many at most. settled: a condition of SQL over a batch's row, with its values.
        """
        oldest = self._database.rows(
            f"SELECT epoch, first, t_ns<? AND ({settled}) FROM {table} WHERE stream=?"  # noqa: S608 - constants only
            " ORDER BY epoch, first LIMIT ?",
            (before_ns, *values, stream, most + 1),
        )
        kept = [place for *place, goes in oldest[:most] if not goes] or [place for *place, _ in oldest[most:]]
        first_kept = kept[0] if kept else None
        where, place = "stream=?", (stream,)
        if first_kept is not None:
            where, place = "stream=? AND (epoch, first)<(?,?)", (stream, *first_kept)
        row = self._database.row(f"SELECT count(*) FROM {table} WHERE {where}", place)  # noqa: S608 - constants only
        if row is None or not row[0]:
            return 0
        self._database.write(
            f"INSERT OR REPLACE INTO heads SELECT stream, epoch, first+count-1, head FROM {table} WHERE {where}",  # noqa: S608
            place,
        )
        self._database.write(f"DELETE FROM {table} WHERE {where}", place)  # noqa: S608 - constants only
        if first_kept is not None:  # nothing recalled before that is ever sent, or comes, again
            self._database.write("DELETE FROM recalled WHERE stream=? AND (epoch, sequence)<(?,?)", (stream, *first_kept))
        self._database.write(
            "DELETE FROM heads WHERE stream=? AND (epoch, final)<=(SELECT epoch, final FROM heads WHERE stream=?"
            " ORDER BY epoch DESC, final DESC LIMIT 1 OFFSET ?)",
            (stream, stream, HEADS_MAX),
        )
        return int(row[0])

    def head_at(self, stream: int, epoch: int, sequence: int) -> bytes | None:
        """Return the head after a number that was the last of a batch removed; None when it is not known."""
        row = self._database.row("SELECT head FROM heads WHERE stream=? AND epoch=? AND final=?", (stream, epoch, sequence))
        return None if row is None else bytes(row[0])

    def newest(self, stream: int) -> tuple[int, int]:
        """Return epoch and last number of the newest batch removed; (0, 0) when none was."""
        row = self._database.row(
            "SELECT epoch, final FROM heads WHERE stream=? ORDER BY epoch DESC, final DESC LIMIT 1", (stream,)
        )
        return (0, 0) if row is None else (int(row[0]), int(row[1]))

    def put_epoch(self, stream: int, epoch: int, begun: Begun) -> None:
        """Keep how an epoch began."""
        self._database.write("INSERT OR REPLACE INTO epochs VALUES (?,?,?)", (stream, epoch, _encode(begun)))
        self._database.write(
            "DELETE FROM epochs WHERE stream=? AND epoch<=(SELECT epoch FROM epochs WHERE stream=?"
            " ORDER BY epoch DESC LIMIT 1 OFFSET ?)",
            (stream, stream, EPOCHS_MAX),
        )

    def epoch(self, stream: int, epoch: int) -> Begun | None:
        """Return how an epoch began, or None when that is not known; raises StoreError."""
        row = self._database.row("SELECT begun FROM epochs WHERE stream=? AND epoch=?", (stream, epoch))
        try:
            return None if row is None else _begun.decode(row[0])
        except msgspec.MsgspecError as error:
            raise StoreError("store-corrupt", f"how epoch {epoch} of stream {stream} began") from error
