"""Numbers and chain of one outbox: what is queued gets its number, salt, chain link and signature here, once.

A record gets its number when it is put into the answer to a pull, never before; so what was superseded, expired or withdrawn
until then never had one. What was sent is sent again unchanged until it is receipted or recalled; only the cut into batches
may change with the link. Sans-IO, deterministic.
"""

from collections.abc import Sequence

import msgspec

from trilat.exchange.epochs import MOVED_PRIORITY, Epochs, priority_of
from trilat.records import codec
from trilat.records.envelope import Envelope
from trilat.records.exchange import Cursor, Queued, SealedBatch
from trilat.transport import envelope as sealing
from trilat.transport.messages import CHUNK_MARK, BatchHeader, Chunk

# Pieces of a large record leave before what waits, so that they stay together and in the record's place.
CHUNK_PRIORITY = -1
# What a batch's header and frame take of the credit.
HEADER_BYTES = 800
# What one batch of a published outbox holds at most.
PUBLISHED_BYTES_MAX = 1 << 20
_encode = msgspec.msgpack.Encoder().encode


class Numbering(Epochs):
    """One outbox: its queue, its numbers, its epochs."""

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

    def turn_away(self, now_ns: int, records: int) -> None:
        """Count what is offered while the lane is stopped: it is not taken."""
        self._put(shed=self.state.shed + records)
        self.station.note("shed", self.name, self.lane, now_ns, {"records": records})

    def recall(self, epoch: int, sequences: Sequence[int], now_ns: int, *, moved: bool = True) -> None:
        """Never send these numbers' records again, nor what became of them in later epochs; a resend carries leaf hashes.

        moved: False leaves what became of them until something is sent again: the lane's rows cannot be read.
        """
        self._outbox.recall(self.name, self.lane, epoch, sequences)
        due = () if moved else ((epoch, tuple(sequences)),)
        self._put(recalled=self.state.recalled + len(sequences), recalls_due=(*self.state.recalls_due, *due))
        if moved:
            self._recall_moved(epoch, sequences)
        self.station.note("recall", self.name, self.lane, now_ns, {"epoch": epoch, "sequences": list(sequences)})

    def _recall_due(self) -> None:
        """Recall what became of those numbers that were recalled while the lane was stopped, before anything leaves."""
        for epoch, sequences in self.state.recalls_due:
            self._recall_moved(epoch, sequences)
        if self.state.recalls_due:
            self._put(recalls_due=())

    def _recall_moved(self, epoch: int, sequences: Sequence[int]) -> None:
        """Do the same to these numbers' records where they went when they were moved: they wait again, or have new numbers."""
        records: set[bytes] = set()
        batch: SealedBatch | None = None
        for sequence in sorted(sequences):
            if batch is None or sequence > batch.final:
                batch = self._outbox.batch_with(self.name, self.lane, epoch, sequence)
            if batch is not None and 0 < batch.moved_from <= sequence:
                records.add(sealing.split_payload(batch.payload)[sequence - batch.first][sealing.SALT_BYTES :])
        if not records:
            return
        moved = self._outbox.waiting_first(self.name, self.lane, MOVED_PRIORITY)
        if waiting := [row for row in moved if row.record in records]:
            self._outbox.dequeue(self.name, self.lane, waiting)
        for later in self._outbox.batches(self.name, self.lane, Cursor(epoch + 1)):
            entries = sealing.split_payload(later.payload)
            if found := [later.first + at for at, entry in enumerate(entries) if entry[sealing.SALT_BYTES :] in records]:
                self._outbox.recall(self.name, self.lane, later.epoch, found)

    # --- batches ------------------------------------------------------------------------------------------------------

    def again(self, now_ns: int, batch: SealedBatch, first: int, credit_bytes: int, minor: int) -> tuple[Envelope, int]:
        """Return a sent batch from a number on: its own bytes when they fit, else the same records cut and signed anew.

        Numbers, salts, records and chain stay as they were; the cut may be smaller (a slower link), a signature by the
        present key, and a recalled record replaced by its leaf hash.
        """
        self._recall_due()
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
            room, most = credit_bytes - HEADER_BYTES, self._settings.batch_records_max
            rows = self._outbox.queued(self.name, self.lane, room, most)
            if self._refill(rows, max(room, 1), most):
                rows = self._outbox.queued(self.name, self.lane, room, most)
            if self.state.moves:  # what waits comes after all that is to be moved
                rows = [row for row in rows if row.priority <= priority_of(self.state.moves[0])]
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
        self._recall_due()
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

    @property
    def is_settled(self) -> bool:
        """Whether earlier epochs are of no more use: nobody receipts what is published."""
        return not self.state.moves

    def forget(self, before_ns: int, most: int) -> int:
        """Remove what is older than a time, so many batches at most; return how many went."""
        return self._outbox.forget(self.name, self.lane, self.state.last, before_ns, most) if self.is_settled else 0

    def publish(self, now_ns: int) -> int:
        """Number and seal everything that waits; return how many batches that made."""
        batches = 0
        if self.state.last.epoch == 0 or self.state.epoch_due:
            why = "restored" if self.state.epoch_due else "first"
            self.open_epoch(now_ns, self.state.last, self.state.last if self.state.last.epoch else Cursor(), why)
        while self.number(now_ns, PUBLISHED_BYTES_MAX, self.station.settings.minor) is not None:
            batches += 1
        return batches
