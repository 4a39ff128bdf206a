"""Checking a store offline: the log's chain, and outbox, inbox and cursors against the log. Read-only.

What stands inside a batch (signature, Merkle root, chain of records) is judged by a function that the caller passes in, since
the store does not know how batches are sealed.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Struct

from trilat.records.exchange import Begun, Cursor, InboxState, OutboxState, SealedBatch
from trilat.store.journal import NO_HEAD, entry_head
from trilat.store.rows import BATCH_COLUMNS, QUEUE_COLUMNS, is_sound, row_batch

if TYPE_CHECKING:
    from trilat.store.sqlite import Database

READ_ROWS = 5_000
BATCH_ROWS = 50
# What it costs to judge a record of a full batch, in links of the log's chain.
RECORD_PER_ENTRY = 0.5
# Judges one stored batch: ours or a partner's; returns what is wrong, or "".
Judge = Callable[[SealedBatch, bool], str]
# Checks a checkpoint's signature: body, key id, signature.
CheckpointJudge = Callable[[bytes, str, bytes], bool]
_NAMES = {"out": "audit-outbox", "in": "audit-inbox"}
_decode = msgspec.msgpack.decode
_outbox = msgspec.msgpack.Decoder(OutboxState)
_begun = msgspec.msgpack.Decoder(Begun)
_inbox = msgspec.msgpack.Decoder(InboxState)


class Opened(Struct):
    """What the log says of a new epoch, as far as it is needed here. why: said by an exporter, not by an importer."""

    epoch: int
    base: Cursor
    why: str = ""


class Finding(NamedTuple):
    """Something wrong: a name of errors.toml, which record, and what."""

    name: str
    where: str
    detail: str


_opened = msgspec.msgpack.Decoder(Opened)


class Place(NamedTuple):
    """What the log says of one batch."""

    t_ns: int
    records: int
    head: bytes
    digest: bytes


class Links(NamedTuple):
    """What came of checking a part of the log's chain: how many entries hold, and the first that does not."""

    entries: int
    broken: Finding | None


class Rest(NamedTuple):
    """The part of the log's chain that is checked elsewhere meanwhile: the entries after this one, and what came of it."""

    after: int
    links: Callable[[], Links]


class Audit:
    """One run over one store. `findings` is empty when all is well; `counts` says what was looked at."""

    def __init__(self, database: "Database") -> None:
        self._database = database
        self.findings: list[Finding] = []
        self.counts = {"entries": 0, "batches sent": 0, "batches received": 0, "records": 0, "waiting": 0}
        self._logged: dict[tuple[str, str, int, int], Place] = {}
        self._bases: dict[tuple[str, str, int], Cursor] = {}
        self._pruned = 0
        self._retained_ns = 0  # batches older than this may be gone

    def run(self, judge: Judge, checkpoint: CheckpointJudge, rest: Rest | None = None) -> None:
        """Check everything; findings are in order of the store, the log first. rest: a part of the chain somebody else checks."""
        self._structure()
        self._log(checkpoint, rest)
        known = set()
        for side, table, stream, partner, lane, state in self._streams():
            known.add((side, f"{partner}/{lane}"))
            self._stream(side, table, stream, partner, lane, state, judge)
            if side == "out":
                self._queue(stream, f"{partner}/{lane}")
        for side, source in sorted({place[:2] for place in self._logged} - known):
            self._missing(_NAMES[side], source, side, set())

    def _structure(self) -> None:
        """Every page must have its place and every index its rows: else a look through an index may pass over rows in silence."""
        for (said,) in self._database.rows("PRAGMA integrity_check(5)"):
            if said != "ok":
                self._found("audit-structure", "database file", str(said)[:200])

    def _streams(self) -> Iterator[tuple[str, str, int, str, str, bytes]]:
        for side, table in (("out", "sent"), ("in", "received")):
            rows = self._database.rows("SELECT stream, partner, lane, state FROM streams WHERE side=? ORDER BY stream", (side,))
            for stream, partner, lane, state in rows:
                yield side, table, stream, partner, lane, state

    def all_batches(self) -> Iterator[tuple[SealedBatch, bool]]:
        """Yield every stored batch, and whether it is ours."""
        for side, table, stream, partner, lane, _ in self._streams():
            for batch in self._batches(table, stream, partner, lane):
                yield batch, side == "out"

    def behind_damage(self, commits: int) -> None:
        """Take note of how many commits stand behind a damaged place of the write-ahead log (`trilat.store.wal`)."""
        if commits:
            self._found("audit-wal", "write-ahead log", f"{commits} commits stand behind the damage")

    def _found(self, name: str, where: str, detail: str) -> None:
        self.findings.append(Finding(name, where, detail))

    def _log(self, checkpoint: CheckpointJudge, rest: Rest | None) -> None:
        """Check the chain from the newest checkpoint (or the beginning) to the end, and remember what it says of batches."""
        for at, t_ns, marked, body, key_id, signature in self._database.rows(
            "SELECT n, t_ns, head, body, key_id, signature FROM checkpoints ORDER BY n"
        ):
            del t_ns
            if not checkpoint(body, key_id, signature) or marked not in body:
                self._found("audit-checkpoint", f"checkpoint at entry {at}", "signature or head")
            self._pruned = at
        parts = [self.links(self._pruned, None if rest is None else rest.after)]
        if rest is not None and parts[0].broken is None:
            parts.append(rest.links())
        self.counts["entries"] += sum(part.entries for part in parts)
        self.findings += [part.broken for part in parts if part.broken is not None]
        last = self._pruned + self.counts["entries"]
        for t_ns, source, kind, data in self._database.rows(
            "SELECT t_ns, source, kind, data FROM log WHERE kind IN ('sent', 'inbox', 'retained', 'epoch') AND n<=? ORDER BY n",
            (last,),
        ):
            if kind == "retained":
                self._retained_ns = max(self._retained_ns, _decode(data)["before_ns"])
                continue
            if kind == "epoch":
                began = _opened.decode(data)
                self._bases[("out" if began.why else "in", source, began.epoch)] = began.base
                continue
            epoch, first, count, after, digest = _decode(data)
            self._logged[("out" if kind == "sent" else "in", source, epoch, first)] = Place(t_ns, count, after, digest)

    def links(self, after: int, last: int | None) -> Links:
        """Check the chain's links behind an entry, from that entry's own head, up to `last` (None: to the end).

        Every entry is kept with its head, so a chain holds when its parts do: parts can be checked side by side.
        """
        start, head = after, self._head(after)
        query = "SELECT n, t_ns, kind, source, data, head FROM log WHERE n>? AND n<=? ORDER BY n LIMIT ?"
        bound = (1 << 62) if last is None else last
        n = start
        while rows := self._database.rows(query, (n, bound, READ_ROWS)):
            for row in rows:
                n += 1
                at, t_ns, kind, source, data, stored = row
                if at != n:
                    return Links(n - 1 - start, Finding("audit-chain", f"log entry {n}", f"missing; the next is {at}"))
                head = entry_head(head, n, t_ns, kind, source, data)
                if head != stored:
                    return Links(
                        n - 1 - start, Finding("audit-chain", f"log entry {n}", f"{kind} {source}: the chain breaks here")
                    )
        return Links(n - start, None)

    def _head(self, n: int) -> bytes:
        """Return the head after an entry as it is kept: the entry's, or the checkpoint's that stands for it."""
        if not n:
            return NO_HEAD
        for table in ("checkpoints", "log"):
            row = self._database.row(f"SELECT head FROM {table} WHERE n=?", (n,))  # noqa: S608 - two names
            if row is not None:
                return bytes(row[0])
        return NO_HEAD

    def halves(self) -> int:
        """Return up to which entry one of two should check the chain, when the other checks the batches and what comes after."""
        (oldest, last), *_ = self._database.rows("SELECT coalesce(min(n), 1), coalesce(max(n), 0) FROM log")
        counts = "SELECT coalesce(sum(count), 0) FROM sent UNION ALL SELECT coalesce(sum(count), 0) FROM received"
        records = sum(count for (count,) in self._database.rows(counts))
        entries = last - oldest + 1
        return int(oldest - 1 + min(entries, (entries + int(records * RECORD_PER_ENTRY)) // 2))

    def _stream(self, side: str, table: str, stream: int, partner: str, lane: str, state: bytes, judge: Judge) -> None:
        name = _NAMES[side]
        source, last = f"{partner}/{lane}", Cursor()
        kept: set[tuple[int, int]] = set()
        for batch in self._batches(table, stream, partner, lane):
            where = f"{source} {table} {batch.epoch}.{batch.first}"
            kept.add((batch.epoch, batch.first))
            self.counts["batches sent" if side == "out" else "batches received"] += 1
            self.counts["records"] += batch.count
            if batch.epoch == last.epoch and (batch.first != last.sequence + 1 or batch.prev_head != last.head):
                self._found(name, where, f"does not follow {last.epoch}.{last.sequence}")
            wrong = judge(batch, side == "out")
            if wrong:
                self._found("audit-signature", where, wrong)
            self._against_log(name, where, (side, source, batch.epoch, batch.first), batch)
            last = Cursor(batch.epoch, batch.final, batch.head)
        self._missing(name, source, side, kept)
        self._places(name, source, side, stream)
        self._cursor(source, side, state, last)

    def _places(self, name: str, source: str, side: str, stream: int) -> None:
        """Heads of removed batches must be those of the log, as far as it goes back, and every epoch's beginning readable."""
        if self._database.row("SELECT 1 FROM sqlite_master WHERE name='heads'") is None:  # a store of before schema 3
            return
        logged = {
            (place[2], place[3] + said.records - 1): said.head
            for place, said in self._logged.items()
            if place[:2] == (side, source)
        }
        for epoch, final, head in self._database.rows("SELECT epoch, final, head FROM heads WHERE stream=?", (stream,)):
            if len(head) != len(NO_HEAD) or logged.get((epoch, final), head) != head:
                self._found(name, f"{source} head after {epoch}.{final}", "the log has another head")
        for epoch, begun in self._database.rows("SELECT epoch, begun FROM epochs WHERE stream=?", (stream,)):
            try:
                base = _begun.decode(begun).base
            except msgspec.MsgspecError as error:
                self._found("audit-cursor", f"{source} epoch {epoch}", f"unreadable beginning: {error}")
                continue
            if self._bases.get((side, source, epoch), base) != base:
                self._found("audit-cursor", f"{source} epoch {epoch}", "the log has it begin elsewhere")

    def _queue(self, stream: int, source: str) -> None:
        """What waits must be as it was queued (stores before schema 2 do not tell)."""
        if self._database.row("SELECT 1 FROM pragma_table_info('queued') WHERE name='crc'") is None:
            return
        query = f"SELECT {QUEUE_COLUMNS} FROM queued WHERE stream=? AND id>? ORDER BY id LIMIT ?"  # noqa: S608 - constants only
        start = 0
        while rows := self._database.rows(query, (stream, start, BATCH_ROWS)):
            for row in rows:
                self.counts["waiting"] += 1
                if not is_sound(row):
                    self._found("audit-queue", f"{source} waiting {row[7]}", "not as it was queued")
            start = rows[-1][7]

    def _batches(self, table: str, stream: int, partner: str, lane: str) -> Iterator[SealedBatch]:
        columns = f"SELECT row, {BATCH_COLUMNS} FROM {table}"  # noqa: S608 - constants only
        query = columns + " WHERE stream=? AND (epoch, first)>(?,?) ORDER BY epoch, first LIMIT ?"
        epoch, first = 0, 0
        while rows := self._database.rows(query, (stream, epoch, first, BATCH_ROWS)):
            for row in rows:
                yield row_batch(partner, lane, row)
            epoch, first = rows[-1][2], rows[-1][3]

    def _against_log(self, name: str, where: str, place: tuple[str, str, int, int], batch: SealedBatch) -> None:
        logged = self._logged.get(place)
        if logged is None:
            if not self._pruned:
                self._found(name, where, "the log does not know it")
        elif (logged.records, logged.head) != (batch.count, batch.head):
            self._found(name, where, "the log has another count or head")
        elif logged.digest != hashlib.sha256(b"\x00" + batch.body).digest():
            self._found(name, where, "the log has another header")

    def _missing(self, name: str, source: str, side: str, kept: set[tuple[int, int]]) -> None:
        """Every batch of the log must be there, but for those that retention has removed: old ones, before all that are kept."""
        oldest = min(kept, default=None)
        for place in sorted(self._logged):
            at_side, at_source, *number = place
            if (at_side, at_source) != (side, source) or tuple(number) in kept:
                continue
            behind = oldest is not None and tuple(number) > oldest
            if behind or self._logged[place].t_ns >= self._retained_ns:
                self._found(name, f"{source} {number[0]}.{number[1]}", "stands in the log but is not kept")
                return

    def _cursor(self, source: str, side: str, state: bytes, last: Cursor) -> None:
        try:
            books: OutboxState | InboxState = _outbox.decode(state) if side == "out" else _inbox.decode(state)
        except msgspec.MsgspecError as error:
            self._found("audit-cursor", source, f"unreadable books: {error}")
            return
        stands = books.last if isinstance(books, OutboxState) else books.cursor
        if last.epoch and stands != last and not (stands.epoch > last.epoch and stands.sequence == 0):
            what = f"books say {stands.epoch}.{stands.sequence}, the last batch is {last.epoch}.{last.sequence}"
            self._found("audit-cursor", source, what)
        if isinstance(books, OutboxState) and books.receipt.epoch == stands.epoch and books.receipt.sequence > stands.sequence:
            self._found("audit-cursor", source, f"receipted up to {books.receipt.sequence}, sent up to {stands.sequence}")
