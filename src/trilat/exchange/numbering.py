"""Numbers, chain and epochs of one outbox: what is queued gets its number, salt, chain link and signature here, once.

A record gets its number when it is put into the answer to a pull, never before; so what was superseded, expired or withdrawn
until then never had one. What was sent is sent again unchanged until it is receipted or recalled; only the cut into batches
may change with the link. Sans-IO, deterministic.
"""

from collections.abc import Sequence

import msgspec
from msgspec import structs

from trilat.exchange.station import Station
from trilat.records import codec
from trilat.records.envelope import Envelope
from trilat.records.exchange import Cursor, OutboxState, Queued, SealedBatch
from trilat.records.fields import Lane
from trilat.transport import envelope as sealing
from trilat.transport.carried import stream_name
from trilat.transport.messages import CHUNK_MARK, BatchHeader, Chunk

# Pieces of a large record leave before what waits, so that they stay together and in the record's place. What is moved into a
# new epoch leaves before all of that, a later epoch's first; in steps of two, so that pieces of it fit in between.
CHUNK_PRIORITY = -1
MOVED_PRIORITY = -2
# What a batch's header and frame take of the credit.
HEADER_BYTES = 800
# What one batch of a published outbox holds at most.
PUBLISHED_BYTES_MAX = 1 << 20
_encode = msgspec.msgpack.Encoder().encode
_about = msgspec.msgpack.Decoder(list[bytes])


class Numbering:
    """One outbox: its queue, its numbers, its epochs."""

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

    # --- what the node offers -----------------------------------------------------------------------------------------

    def offer(self, rows: Sequence[Queued]) -> None:
        """Queue records, unnumbered; one with the key of an unsent one takes its place."""
        replaced = self._outbox.enqueue(self.name, self.lane, rows)
        self.station.must = True
        if replaced:
            self._put(superseded=self.state.superseded + replaced)

    def drop(self, rows: Sequence[Queued], why: str, now_ns: int) -> None:
        """Take unsent records out: why is "expired", "withdrawn", "shed" or "damaged"; counted and audited as a sum."""
        if rows:
            self._outbox.dequeue(self.name, self.lane, rows)
            self._put(**{why: getattr(self.state, why) + len(rows)})
            self.station.note(why, self.name, self.lane, now_ns, {"records": len(rows)})

    def recall(self, epoch: int, sequences: Sequence[int], now_ns: int) -> None:
        """Never send these numbers' records again; a resend carries their leaf hashes instead."""
        self._outbox.recall(self.name, self.lane, epoch, sequences)
        self._put(recalled=self.state.recalled + len(sequences))
        self.station.note("recall", self.name, self.lane, now_ns, {"epoch": epoch, "sequences": list(sequences)})

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

    # --- places and epochs --------------------------------------------------------------------------------------------

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
            return None
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

    def common(self, cursor: Cursor) -> Cursor:
        """Return the last place that surely is on our present branch and on the importer's, for a cursor that is not level.

        A place of an earlier epoch may lie on a branch that a rollback took from us, or that a later epoch left aside, even
        if its head is known: then only nothing is common, and what comes twice is known by its content.
        """
        last, base = self.state.last, self.state.base
        if cursor.epoch == last.epoch:
            return cursor
        if base.epoch != cursor.epoch:
            return Cursor()
        if cursor.sequence >= base.sequence:
            return base
        return cursor if self.head_at(cursor.epoch, cursor.sequence) == cursor.head else Cursor()

    def _holds(self, epoch: int, sequence: int) -> bool:
        if sequence > self.state.last.sequence:
            return True
        return self._outbox.batch_with(self.name, self.lane, epoch, sequence) is not None

    def open_epoch(self, now_ns: int, cursor: Cursor, base: Cursor, why: str) -> None:
        """Open a new epoch on a base: everything kept that was numbered after it gets new numbers, in the old order."""
        epoch = max(self.state.last.epoch, cursor.epoch) + 1
        moved, lost, at, expected = 0, 0, base.epoch, base.sequence + 1
        for batch in self._outbox.batches(self.name, self.lane, base):
            if batch.epoch != at:
                at, expected = batch.epoch, 1
            lost += max(batch.first - expected, 0)
            expected = batch.final + 1
            after = base.sequence if batch.epoch == base.epoch else 0
            moved += self._requeue(batch, max(after + 1, batch.first), epoch)
        if at <= self.state.last.epoch:  # of the epochs between, of which nothing is kept, nobody knows how long they were
            lost += max(self.state.last.sequence + 1 - (expected if at == self.state.last.epoch else 1), 0)
        start = Cursor(epoch, 0, self.start_head(epoch, base))
        self._put(last=start, base=base, lost=lost, receipt=start, epoch_due=False)
        facts = {"epoch": epoch, "base": base, "cursor": cursor, "why": why, "moved": moved, "lost": lost}
        self.station.note("epoch", self.name, self.lane, now_ns, facts)

    def _requeue(self, batch: SealedBatch, first: int, epoch: int) -> int:
        """Queue a batch's records from a number on before everything that waits; return how many."""
        final = batch.final if not batch.moved_from else min(batch.final, batch.moved_from - 1)
        if first > final:
            return 0
        entries = sealing.split_payload(batch.payload)
        about = _about.decode(batch.about)
        recalled = frozenset(self._outbox.recalled(self.name, self.lane, batch.epoch, first, final))
        rows = [
            Queued(
                record=entries[at][sealing.SALT_BYTES :], t_ns=batch.t_ns, priority=MOVED_PRIORITY * (1 + epoch), about=about[at]
            )
            for at in range(first - batch.first, final - batch.first + 1)
            if batch.first + at not in recalled
        ]
        self._outbox.enqueue(self.name, self.lane, rows)
        self._outbox.move(batch, first)
        return len(rows)

    # --- batches ------------------------------------------------------------------------------------------------------

    def again(self, now_ns: int, batch: SealedBatch, first: int, credit_bytes: int, minor: int) -> tuple[Envelope, int]:
        """Return a sent batch from a number on: its own bytes when they fit, else the same records cut and signed anew.

        Numbers, salts, records and chain stay as they were; the cut may be smaller (a slower link), a signature by the
        present key, and a recalled record replaced by its leaf hash.
        """
        key = self.station.ring.current(now_ns)
        recalled = self._outbox.recalled(self.name, self.lane, batch.epoch, first, batch.final)
        fits = len(batch.payload) + HEADER_BYTES <= credit_bytes or batch.count == 1
        if fits and first == batch.first and batch.key_id == key.key_id and not recalled:
            stored = Envelope(
                kind=batch.kind,
                sender=self.station.nation,
                audience=self.audience,
                lane=self.lane,
                sequence=batch.first,
                body=batch.body,
                key_id=batch.key_id,
                signature=batch.signature,
                payload=batch.payload,
            )
            return stored, batch.final
        entries, offset = sealing.split_payload(batch.payload), first - batch.first
        prev_head = sealing.chain(batch.prev_head, [sealing.leaf_hash(entry) for entry in entries[:offset]])
        taken: list[bytes] = []
        room = credit_bytes - HEADER_BYTES
        for entry in entries[offset:]:
            room -= len(entry)
            if taken and room < 0:
                break
            taken.append(entry)
        withheld = tuple(s - first for s in recalled if s < first + len(taken))
        header = self._header(now_ns, first, prev_head, taken, minor, t_ns=batch.t_ns, withheld=withheld)
        payload = [sealing.leaf_hash(entry) if i in withheld else entry for i, entry in enumerate(taken)]
        return sealing.seal(key, header, sealing.join_payload(payload)), first + len(taken) - 1

    def _header(
        self,
        now_ns: int,
        first: int,
        prev_head: bytes,
        entries: Sequence[bytes],
        minor: int,
        *,
        t_ns: int,
        withheld: tuple[int, ...] = (),
    ) -> BatchHeader:
        leaves = sealing.leaf_hashes(entries)
        return BatchHeader(
            minor=minor,
            sender=self.station.nation,
            audience=self.audience,
            lane=self.lane,
            mode=self.station.mode,
            key_id=self.station.ring.current(now_ns).key_id,
            number=first,
            epoch=self.state.last.epoch,
            base=self.state.base,
            lost=self.state.lost,
            count=len(entries),
            root=sealing.merkle_root(leaves),
            prev_head=prev_head,
            head=sealing.chain(prev_head, leaves),
            t_ns=t_ns,
            withheld=withheld,
        )

    def _take(self, now_ns: int, credit_bytes: int) -> list[Queued]:
        """Return what leaves next, after expired and damaged ones were dropped and one too large was cut into pieces."""
        while True:
            rows = self._outbox.queued(self.name, self.lane, credit_bytes - HEADER_BYTES, self._settings.batch_records_max)
            if broken := [row for row in rows if row.damaged]:
                self.drop(broken, "damaged", now_ns)
                self.station.tally.count(now_ns, self.name, "record-damaged", f"{len(broken)} waiting in {self.lane}")
                continue
            late = [row for row in rows if row.expires_ns is not None and row.expires_ns <= now_ns]
            self.drop(late, "expired", now_ns)
            chunk_bytes = self.station.settings.chunk_bytes
            whole_max = max(credit_bytes, chunk_bytes + HEADER_BYTES)
            # A piece is never cut again: a receiver makes a record of pieces, not a piece.
            if not late and rows and len(rows[0].record) > whole_max and CHUNK_MARK not in rows[0].record[:64]:
                self._cut(rows[0], chunk_bytes)
            elif not late:
                return rows

    def _cut(self, row: Queued, piece_bytes: int) -> None:
        raw = row.record
        pieces = [raw[at : at + piece_bytes] for at in range(0, len(raw), piece_bytes)]
        of = sealing.leaf_hash(raw)
        chunks = [
            Queued(
                record=codec.encode(Chunk(of=of, index=i, total=len(pieces), data=piece)),
                t_ns=row.t_ns,
                priority=min(row.priority - 1, CHUNK_PRIORITY),
                about=row.about,
            )
            for i, piece in enumerate(pieces)
        ]
        self._outbox.dequeue(self.name, self.lane, [row])
        self._outbox.enqueue(self.name, self.lane, chunks)

    def number(self, now_ns: int, credit_bytes: int, minor: int) -> tuple[Envelope, int] | None:
        """Give numbers to what leaves next, seal it and keep it; the caller sends it after the commit."""
        rows = self._take(now_ns, credit_bytes)
        if not rows:
            return None
        key, last = self.station.ring.current(now_ns), self.state.last
        first = last.sequence + 1
        salted = sealing.salts(key.salt_key, (self.name, self.lane, last.epoch, first), len(rows))
        entries = [salt + row.record for salt, row in zip(salted, rows, strict=True)]
        header = self._header(now_ns, first, last.head, entries, minor, t_ns=now_ns)
        sealed = sealing.seal(key, header, sealing.join_payload(entries))
        self._outbox.put_batch(
            SealedBatch(
                partner=self.name,
                lane=self.lane,
                epoch=last.epoch,
                first=first,
                count=len(rows),
                prev_head=last.head,
                head=header.head,
                t_ns=now_ns,
                kind=sealed.kind,
                body=sealed.body,
                key_id=sealed.key_id,
                signature=sealed.signature,
                payload=sealed.payload,
                about=_encode([row.about for row in rows]),
            )
        )
        self._outbox.dequeue_next(self.name, self.lane, rows)
        final = last.sequence + len(rows)
        self._put(last=Cursor(last.epoch, final, header.head))
        facts = (last.epoch, first, len(rows), header.head, sealing.leaf_hash(sealed.body))
        self.station.note("sent", self.name, self.lane, now_ns, facts)
        return sealed, final


class Publisher(Numbering):
    """The outbox of an audience that pulls nothing and holds no key: PUBLIC. What it may have is sealed, signed and kept at once.

    So what was made public, when and under which rule stands in the same chain of batches as what partners got: for the ledger,
    for audits, and for whoever serves it on. Nobody receipts it.
    """

    def publish(self, now_ns: int) -> int:
        """Number and seal everything that waits; return how many batches that made."""
        batches = 0
        if self.state.last.epoch == 0 or self.state.epoch_due:
            why = "restored" if self.state.epoch_due else "first"
            self.open_epoch(now_ns, self.state.last, self.state.last if self.state.last.epoch else Cursor(), why)
        while self.number(now_ns, PUBLISHED_BYTES_MAX, self.station.settings.minor) is not None:
            batches += 1
        return batches
