"""The node's log: append-only, hash-chained. What is replayed is what stands here.

Entries are the inputs of a node (raw feed bytes with source and time, received records, officers' acts, ticks), the hashes of
its outputs, and the exchange's doings (batches sent and received, receipts, epochs, refusals). Each entry's head is the hash
of the head before, the entry's place and the hash of its data; so what is pruned behind a signed checkpoint stays provable.
"""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from trilat.errors import StoreError

if TYPE_CHECKING:
    from trilat.store.sqlite import Database

NO_HEAD = bytes(32)
# Entries are read this many at a time, so that a replay of any length needs little memory.
# One checkpoint is kept of those within this time.
CHECKPOINT_NS = 3_600 * 10**9
READ_ROWS = 1_000
_DOMAIN = b"trilat.log/1\0"
_encode = msgspec.msgpack.Encoder().encode
_sha256 = hashlib.sha256


class Entry(NamedTuple):
    """One entry of the log: its number from 1, when (UTC ns), what kind, from where, and its bytes."""

    n: int
    t_ns: int
    kind: str
    source: str
    data: bytes
    head: bytes


def entry_head(head: bytes, n: int, t_ns: int, kind: str, source: str, data: bytes) -> bytes:
    """Return the chain's head after an entry: SHA-256 over a domain string, the head before, and the entry's place and digest."""
    return _sha256(_DOMAIN + head + _encode((n, t_ns, kind, source, _sha256(data).digest()))).digest()


class Journal:
    """The log of one store. `append` is durable with the store's next commit."""

    def __init__(self, database: "Database") -> None:
        self._database = database
        self._pending: list[Entry] = []
        self.length = 0
        self.head = NO_HEAD
        database.before_commit.append(self._write)
        database.after_rollback.append(self._reload)
        self._reload()

    def _reload(self) -> None:
        self._pending = []
        end = self._database.row("SELECT n, t_ns, kind, source, data, head FROM log ORDER BY n DESC LIMIT 1")
        if end is None:
            end = self._database.row("SELECT n, head FROM checkpoints ORDER BY n DESC LIMIT 1") or (0, NO_HEAD)
            self.length, self.head = end
            return
        last = Entry(*end)
        before = self._database.row("SELECT head FROM log WHERE n=?", (last.n - 1,))
        if before is None:
            before = self._database.row("SELECT head FROM checkpoints WHERE n=?", (last.n - 1,))
        if before is None and last.n == 1:
            before = (NO_HEAD,)
        if before is None or entry_head(before[0], last.n, last.t_ns, last.kind, last.source, last.data) != last.head:
            raise StoreError("store-corrupt", f"the log's last entry {last.n} does not fit the chain")
        self.length, self.head = last.n, last.head

    def append(self, kind: str, source: str, t_ns: int, data: bytes) -> int:
        """Append an entry and return its number. It is on disk when the store's next `commit` returns."""
        self.length += 1
        self.head = entry_head(self.head, self.length, t_ns, kind, source, data)
        self._pending.append(Entry(self.length, t_ns, kind, source, data, self.head))
        return self.length

    def _write(self) -> None:
        if self._pending:
            self._database.write_many("INSERT INTO log VALUES (?,?,?,?,?,?)", self._pending)
            self._pending = []

    def read(self, start: int = 1, kinds: frozenset[str] | None = None) -> Iterator[Entry]:
        """Yield the entries from number `start` on, those of `kinds` only when given; raises StoreError.

        What is not yet committed is included. Entries that retention removed are not there: see `oldest`.
        """
        self._write()
        while True:
            rows = self._database.rows(
                "SELECT n, t_ns, kind, source, data, head FROM log WHERE n>=? ORDER BY n LIMIT ?", (start, READ_ROWS)
            )
            if not rows:
                return
            for row in rows:
                if kinds is None or row[2] in kinds:
                    yield Entry(*row)
            start = rows[-1][0] + 1

    def oldest(self) -> int:
        """Return the number of the oldest entry that is still there (one above the newest when there is none)."""
        row = self._database.row("SELECT min(n) FROM log")
        return self.length + 1 if row is None or row[0] is None else int(row[0])

    def number_before(self, t_ns: int) -> int:
        """Return the number of the last entry of the unbroken run of entries older than t_ns; 0 when there is none."""
        row = self._database.row("SELECT min(n) FROM log WHERE t_ns>=?", (t_ns,))
        return self.length if row is None or row[0] is None else int(row[0]) - 1

    def head_at(self, n: int) -> bytes:
        """Return the chain's head after entry n; raises StoreError when it is neither in the log nor a checkpoint."""
        self._write()
        row = self._database.row("SELECT head FROM log WHERE n=?", (n,))
        if row is None:
            row = self._database.row("SELECT head FROM checkpoints WHERE n=?", (n,))
        if row is None and n == 0:
            row = (NO_HEAD,)
        if row is None:
            raise StoreError("store-missing", f"entry {n}")
        return bytes(row[0])

    def prune(self, n: int, t_ns: int, body: bytes, key_id: str, signature: bytes) -> int:
        """Remove the entries up to n behind a signed checkpoint whose signed bytes are `body`; return how many went."""
        head = self.head_at(n)
        first = self.oldest()
        if n < first:
            return 0
        self._database.write("INSERT OR REPLACE INTO checkpoints VALUES (?,?,?,?,?,?)", (n, t_ns, head, body, key_id, signature))
        self._database.write("DELETE FROM log WHERE n<=?", (n,))
        # Of what is removed a little at a time one checkpoint stays.
        self._database.write("DELETE FROM checkpoints WHERE n<? AND t_ns>?", (n, t_ns - CHECKPOINT_NS))
        return n - first + 1
