"""The exporter's half of the pull protocol for one audience and lane: sans-IO, deterministic.

A record gets its number, chain link and signature when it is put into the answer to a pull, never before; so what was
superseded, expired or withdrawn until then never had one. What was sent is sent again unchanged until it is receipted or
recalled. A pull's cursor is the partner's signed receipt; a cursor that does not fit our own books opens a new epoch.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec import structs

from trilat.exchange import envelope as sealing
from trilat.exchange.messages import BatchHeader, Chunk, Empty, Pull, Refusal, Resync
from trilat.exchange.station import Station
from trilat.records import codec
from trilat.records.envelope import Envelope
from trilat.records.exchange import Cursor, Fork, OutboxState, Queued, SealedBatch
from trilat.records.released import Lane

# Pull counters may arrive out of order within this many (the window of RFC 4303's anti-replay, section 3.4.3).
REPLAY_WINDOW = 64
_WINDOW_MASK = (1 << REPLAY_WINDOW) - 1
# Pieces of a large record leave before what waits, so that they stay together.
CHUNK_PRIORITY = -1
# What a batch's header and frame take of the credit.
HEADER_BYTES = 800
_encode = msgspec.msgpack.Encoder().encode
_about = msgspec.msgpack.Decoder(list[bytes])
_header = msgspec.msgpack.Decoder(BatchHeader)


class Answer(NamedTuple):
    """What a waiting request gets: an envelope, or None when it gets none (superseded by a newer session)."""

    ticket: int
    envelope: Envelope | None


class Parked(NamedTuple):
    """A pull that waits for something to send."""

    ticket: int
    counter: int
    credit_bytes: int
    deadline_ns: int
    minor: int


class Exporter:
    """One outbox as a partner pulls it."""

    def __init__(self, station: Station, audience: str, lane: Lane) -> None:
        self.station = station
        self.audience = audience
        self.lane: Lane = lane
        self._settings = station.settings.lane(lane)
        self._outbox = station.store.outbox
        self.state: OutboxState = self._outbox.state(audience, lane)
        # Counters up to the last durable one count as seen: a recorded pull is refused also after a restart.
        self._seen = _WINDOW_MASK
        self._session = 0
        self._sent = 0
        self._parked: deque[Parked] = deque()
        self._receipt_evidence: bytes | None = None
        self._changed = False
        self.heard_ns: int | None = None
        self.trouble = ""

    # --- what the node offers -----------------------------------------------------------------------------------------

    def offer(self, rows: Sequence[Queued]) -> None:
        """Queue records, unnumbered; one with the key of an unsent one takes its place."""
        replaced = self._outbox.enqueue(self.audience, self.lane, rows)
        self.station.must = True
        if replaced:
            self._put(superseded=self.state.superseded + replaced)

    def drop(self, rows: Sequence[Queued], why: str, now_ns: int) -> None:
        """Take unsent records out: why is "expired", "withdrawn" or "shed"; counted and audited as a sum."""
        if rows:
            self._outbox.dequeue(self.audience, self.lane, rows)
            self._put(**{why: getattr(self.state, why) + len(rows)})
            self.station.note(why, self.audience, self.lane, now_ns, {"records": len(rows)})

    def recall(self, epoch: int, sequences: Sequence[int], now_ns: int) -> None:
        """Never send these numbers' records again; a resend carries their leaf hashes instead."""
        self._outbox.recall(self.audience, self.lane, epoch, sequences)
        self._put(recalled=self.state.recalled + len(sequences))
        self.station.note("recall", self.audience, self.lane, now_ns, {"epoch": epoch, "sequences": list(sequences)})

    # --- pulls --------------------------------------------------------------------------------------------------------

    def pull(self, now_ns: int, ticket: int, pull: Pull, evidence: Envelope) -> list[Answer]:
        """Take a verified pull or resync; return the answers that are due now (of this and of older pulls)."""
        if not self._is_fresh(pull.number):
            self.station.tally.count(now_ns, self.audience, "replayed", f"pull {pull.number}")
            return [self._refuse(now_ns, ticket, pull, "replayed")]
        self.heard_ns, self.trouble = now_ns, pull.trouble
        if pull.session < self._session:
            return [Answer(ticket, None)]
        answers: list[Answer] = []
        if pull.session > self._session or not self._receipt(now_ns, pull.cursor, evidence):
            answers = [Answer(parked.ticket, None) for parked in self._parked]
            self._parked.clear()
            reason = self._begin(now_ns, pull, evidence)
            if reason:
                return [*answers, self._refuse(now_ns, ticket, pull, reason)]
            self._session = pull.session
        deadline_ns = now_ns + min(pull.wait_ms, 60_000) * 1_000_000
        credit = min(pull.credit_bytes, self.station.settings.credit_bytes_max)
        minor = min(pull.minor, self.station.settings.minor)
        self._parked.append(Parked(ticket, pull.number, credit, deadline_ns, minor))
        surplus = len(self._parked) - self._settings.window_pulls_max
        answers += [self._empty(now_ns, self._parked.popleft()) for _ in range(surplus)]
        if not self._settings.tick_budget_bytes:
            answers += self.serve(now_ns)
        return answers

    def serve(self, now_ns: int, budget_bytes: int | None = None) -> list[Answer]:
        """Answer parked pulls with what there is to send, oldest pull first, within the budget when one is given."""
        answers: list[Answer] = []
        left = budget_bytes
        while self._parked and (left is None or left > 0):
            credit = self._parked[0].credit_bytes if left is None else min(self._parked[0].credit_bytes, left)
            sealed = self._next(now_ns, credit, self._parked[0].minor)
            if sealed is None:
                break
            answers.append(Answer(self._parked.popleft().ticket, sealed))
            left = None if left is None else left - len(sealed.payload) - HEADER_BYTES
        return answers

    def expire(self, now_ns: int) -> list[Answer]:
        """Answer the pulls whose wait is over with our last number."""
        answers: list[Answer] = []
        while self._parked and self._parked[0].deadline_ns <= now_ns:
            answers.append(self._empty(now_ns, self._parked.popleft()))
        return answers

    def release_all(self) -> list[Answer]:
        """Let every parked pull go without an answer (stopping, or a partner that was revoked)."""
        answers = [Answer(parked.ticket, None) for parked in self._parked]
        self._parked.clear()
        self._session = 0
        return answers

    def persist(self, now_ns: int) -> None:
        """Put what changed lazily (receipts, counters) into the step's transaction."""
        if self._changed:
            if self._receipt_evidence is not None:
                source = f"{self.audience}/{self.lane}"
                self.station.store.note("receipt", source, now_ns, self._receipt_evidence)
                self._receipt_evidence = None
            self._outbox.put_state(self.audience, self.lane, self.state)
            self._changed = False

    @property
    def parked(self) -> int:
        """How many pulls wait."""
        return len(self._parked)

    # --- cursors ------------------------------------------------------------------------------------------------------

    def _is_fresh(self, counter: int) -> bool:
        ahead = counter - self.state.counter
        if ahead > 0:
            self._seen = ((self._seen << ahead) | 1) & _WINDOW_MASK if ahead < REPLAY_WINDOW else 1
            self._put(counter=counter)
            return True
        bit = 1 << -ahead
        if -ahead >= REPLAY_WINDOW or self._seen & bit:
            return False
        self._seen |= bit
        return True

    def _put(self, **changes: object) -> None:
        self.state = structs.replace(self.state, **changes)
        self._changed = True

    def _receipt(self, now_ns: int, cursor: Cursor, evidence: Envelope) -> bool:
        """Take the cursor of a pull within a session as receipt; False = it contradicts our books, so begin anew."""
        last, receipt = self.state.last, self.state.receipt
        if cursor.epoch != last.epoch:
            return cursor.epoch < last.epoch
        if cursor.sequence <= receipt.sequence:
            return True
        if cursor.sequence > last.sequence or self._head_at(cursor.epoch, cursor.sequence) != cursor.head:
            return False
        self._put(receipt=cursor, receipt_t_ns=now_ns)
        self._receipt_evidence = sealing.pack(evidence)
        self.station.soon(now_ns)
        return True

    def _head_at(self, epoch: int, sequence: int) -> bytes | None:
        """Return our chain's head after a number; None when it is not kept (or never was)."""
        last, receipt = self.state.last, self.state.receipt
        for known in (last, receipt):
            if (known.epoch, known.sequence) == (epoch, sequence):
                return known.head
        if sequence == 0:
            return self._start_head(epoch, self.state.base) if epoch == last.epoch else None
        batch = self._outbox.batch_with(self.audience, self.lane, epoch, sequence)
        if batch is None:
            return None
        if batch.final == sequence:
            return batch.head
        leaves = [sealing.leaf_hash(entry) for entry in sealing.split_payload(batch.payload)[: sequence - batch.first + 1]]
        return sealing.chain(batch.prev_head, leaves)

    def _start_head(self, epoch: int, base: Cursor) -> bytes:
        return sealing.epoch_head(self.station.nation, self.audience, self.lane, epoch, base)

    def _begin(self, now_ns: int, pull: Pull, evidence: Envelope) -> str:
        """Begin a session at a pull's cursor, in a new epoch when it does not fit; return why not, or ""."""
        cursor, last, receipt = pull.cursor, self.state.last, self.state.receipt
        resync = isinstance(pull, Resync)
        if isinstance(pull, Resync) and pull.reason == "base-unknown":
            self._open_epoch(now_ns, cursor, Cursor(), pull.reason)
            return ""
        place = self._place(cursor)
        behind = (cursor.epoch, cursor.sequence) < (receipt.epoch, receipt.sequence) and receipt.sequence > 0
        if behind and not resync and place != "fork":
            return "cursor-behind"
        if place == "fork":
            self._keep_fork(now_ns, cursor, evidence)
            common = receipt.epoch == cursor.epoch and receipt.sequence < cursor.sequence
            self._open_epoch(now_ns, cursor, receipt if common else Cursor(), "fork-seen")
        elif place == "ahead":
            if last.epoch > 0:
                self.station.tally.count(now_ns, self.audience, "rollback-seen", f"{self.lane} {cursor.epoch}.{cursor.sequence}")
            self._open_epoch(now_ns, cursor, last if last.epoch else Cursor(), "rollback-seen" if last.epoch else "first")
        elif place == "elsewhere" or self.state.epoch_due:
            self._open_epoch(now_ns, cursor, cursor, "restored" if self.state.epoch_due else "resync")
        if behind and resync and self.state.last.epoch == last.epoch:
            self.station.note("resync", self.audience, self.lane, now_ns, {"from": receipt, "to": cursor})
            start = Cursor(last.epoch, 0, self._start_head(last.epoch, self.state.base))
            self._put(receipt=start if cursor.epoch < last.epoch else cursor, receipt_t_ns=now_ns)
        if cursor.epoch == self.state.last.epoch:
            self._sent = cursor.sequence
            self._receipt(now_ns, cursor, evidence)
        else:
            self._sent = 0
        return ""

    def _place(self, cursor: Cursor) -> str:
        """Return where a cursor stands to our books: "level", "ahead", "fork" or "elsewhere" (needs a new epoch)."""
        last, base = self.state.last, self.state.base
        if cursor.epoch > last.epoch or last.epoch == 0:
            return "ahead"
        if cursor.epoch == last.epoch:
            if cursor.sequence > last.sequence:
                return "ahead"
            head = self._head_at(cursor.epoch, cursor.sequence)
            if head is not None and head != cursor.head:
                return "fork"
            return "level" if head is not None and self._holds(last.epoch, cursor.sequence + 1) else "elsewhere"
        head = self._head_at(cursor.epoch, cursor.sequence)
        if cursor.epoch > 0 and head is not None and head != cursor.head:
            return "fork"
        goes_on = base.epoch == cursor.epoch and base.sequence <= cursor.sequence
        return "level" if goes_on and self._holds(last.epoch, 1) else "elsewhere"

    def _holds(self, epoch: int, sequence: int) -> bool:
        if sequence > self.state.last.sequence:
            return True
        return self._outbox.batch_with(self.audience, self.lane, epoch, sequence) is not None

    def _keep_fork(self, now_ns: int, cursor: Cursor, evidence: Envelope) -> None:
        ours = self._head_at(cursor.epoch, cursor.sequence) or bytes(32)
        self._outbox.put_fork(
            Fork(
                partner=self.audience,
                lane=self.lane,
                epoch=cursor.epoch,
                sequence=cursor.sequence,
                t_ns=now_ns,
                ours=ours,
                theirs=cursor.head,
                evidence=sealing.pack(evidence),
            )
        )
        self.station.tally.count(now_ns, self.audience, "fork-seen", f"{self.lane} {cursor.epoch}.{cursor.sequence}")

    def _open_epoch(self, now_ns: int, cursor: Cursor, base: Cursor, why: str) -> None:
        """Open a new epoch on a base: everything kept that was numbered after it gets new numbers, in the old order."""
        epoch = max(self.state.last.epoch, cursor.epoch) + 1
        moved, lost, expected = 0, 0, base.sequence + 1
        for batch in self._outbox.batches(self.audience, self.lane, base):
            if batch.epoch == base.epoch and batch.first > expected:
                lost += batch.first - expected
            expected = batch.final + 1
            after = base.sequence if batch.epoch == base.epoch else 0
            moved += self._requeue(batch, max(after + 1, batch.first), epoch)
        start = Cursor(epoch, 0, self._start_head(epoch, base))
        self._put(last=start, base=base, lost=lost, receipt=start, epoch_due=False)
        facts = {"epoch": epoch, "base": base, "cursor": cursor, "why": why, "moved": moved, "lost": lost}
        self.station.note("epoch", self.audience, self.lane, now_ns, facts)

    def _requeue(self, batch: SealedBatch, first: int, epoch: int) -> int:
        """Queue a batch's records from a number on before everything that waits; return how many."""
        final = batch.final if not batch.moved_from else min(batch.final, batch.moved_from - 1)
        if first > final:
            return 0
        entries = sealing.split_payload(batch.payload)
        about = _about.decode(batch.about)
        recalled = frozenset(self._outbox.recalled(self.audience, self.lane, batch.epoch, first, final))
        rows = [
            Queued(record=entries[at][sealing.SALT_BYTES :], t_ns=batch.t_ns, priority=-1 - epoch, about=about[at])
            for at in range(first - batch.first, final - batch.first + 1)
            if batch.first + at not in recalled
        ]
        self._outbox.enqueue(self.audience, self.lane, rows)
        self._outbox.move(batch, first)
        return len(rows)

    # --- answers ------------------------------------------------------------------------------------------------------

    def _next(self, now_ns: int, credit_bytes: int, minor: int) -> Envelope | None:
        """Return the batch after the last one sent in this session: an old one as it was, or the next new one."""
        if self._sent < self.state.last.sequence:
            batch = self._outbox.batch_with(self.audience, self.lane, self.state.last.epoch, self._sent + 1)
            if batch is None:
                return None
            sealed, final = self._again(now_ns, batch, self._sent + 1, credit_bytes, minor)
        else:
            new = self._number(now_ns, credit_bytes, minor)
            if new is None:
                return None
            sealed, final = new
        self._sent = final
        return sealed

    def _again(self, now_ns: int, batch: SealedBatch, first: int, credit_bytes: int, minor: int) -> tuple[Envelope, int]:
        """Return a sent batch from a number on: its own bytes when they fit, else the same records cut and signed anew.

        Numbers, salts, records and chain stay as they were; the cut may be smaller (a slower link), a signature by the
        present key, and a recalled record replaced by its leaf hash.
        """
        key = self.station.ring.current(now_ns)
        recalled = self._outbox.recalled(self.audience, self.lane, batch.epoch, first, batch.final)
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
        leaves = [sealing.leaf_hash(entry) for entry in entries]
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
        """Return what leaves next, after expired ones were dropped and one too large was cut into pieces."""
        while True:
            rows = self._outbox.queued(self.audience, self.lane, credit_bytes - HEADER_BYTES, self._settings.batch_records_max)
            late = [row for row in rows if row.expires_ns is not None and row.expires_ns <= now_ns]
            self.drop(late, "expired", now_ns)
            piece_bytes = max(credit_bytes - HEADER_BYTES, self.station.settings.chunk_bytes)
            if not late and rows and len(rows[0].record) > piece_bytes + HEADER_BYTES:
                self._cut(rows[0], piece_bytes)
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
                priority=min(row.priority, CHUNK_PRIORITY),
                about=row.about,
            )
            for i, piece in enumerate(pieces)
        ]
        self._outbox.dequeue(self.audience, self.lane, [row])
        self._outbox.enqueue(self.audience, self.lane, chunks)

    def _number(self, now_ns: int, credit_bytes: int, minor: int) -> tuple[Envelope, int] | None:
        """Give numbers to what leaves next, seal it and keep it; the caller sends it after the commit."""
        rows = self._take(now_ns, credit_bytes)
        if not rows:
            return None
        key, last = self.station.ring.current(now_ns), self.state.last
        first = last.sequence + 1
        salted = sealing.salts(key.salt_key, (self.audience, self.lane, last.epoch, first), len(rows))
        entries = [salt + row.record for salt, row in zip(salted, rows, strict=True)]
        header = self._header(now_ns, first, last.head, entries, minor, t_ns=now_ns)
        sealed = sealing.seal(key, header, sealing.join_payload(entries))
        self._outbox.put_batch(
            SealedBatch(
                partner=self.audience,
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
        self._outbox.dequeue(self.audience, self.lane, rows)
        final = last.sequence + len(rows)
        self._put(last=Cursor(last.epoch, final, header.head))
        facts = (last.epoch, first, len(rows), header.head, sealing.leaf_hash(sealed.body))
        self.station.note("sent", self.audience, self.lane, now_ns, facts)
        return sealed, final

    def _empty(self, now_ns: int, parked: Parked) -> Answer:
        key = self.station.ring.current(now_ns)
        header = Empty(
            minor=parked.minor,
            sender=self.station.nation,
            audience=self.audience,
            lane=self.lane,
            mode=self.station.mode,
            key_id=key.key_id,
            number=parked.counter,
            last=self.state.last,
            t_ns=now_ns,
        )
        return Answer(parked.ticket, sealing.seal(key, header))

    def _refuse(self, now_ns: int, ticket: int, pull: Pull, reason: str) -> Answer:
        key = self.station.ring.current(now_ns)
        header = Refusal(
            minor=min(pull.minor, self.station.settings.minor),
            sender=self.station.nation,
            audience=self.audience,
            lane=self.lane,
            mode=self.station.mode,
            key_id=key.key_id,
            number=pull.number,
            reason=reason,
            counter=self.state.counter,
            receipt=self.state.receipt,
            speaks=self.station.settings.minor,
            t_ns=now_ns,
        )
        return Answer(ticket, sealing.seal(key, header))
