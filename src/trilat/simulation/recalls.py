"""Recalls in a simulation: which numbers a nation takes back, and books of what must not leave, nor be taken, after that.

Outside of the node, as all books of the judge. Numbers are chosen as a release officer does: out of what the store says was sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import Any, Literal, NamedTuple

from trilat.exchange.importer import Received
from trilat.records import codec
from trilat.records.envelope import Envelope
from trilat.records.exchange import Cursor, SealedBatch
from trilat.records.warning import Recall
from trilat.store.sqlite import Store
from trilat.transport import envelope as sealing
from trilat.transport.messages import CHUNK_MARK, BatchHeader, decode_chunk, decode_message

RECALL_MARK = str(Recall.__struct_config__.tag).encode()
# What was taken back when: not receipted yet, receipted, moved into a later epoch.
Stage = Literal["unreceipted", "receipted", "moved"]
STAGES: tuple[Stage, ...] = ("unreceipted", "receipted", "moved")
NUMBERS_MAX = 3


class Numbers(NamedTuple):
    """Numbers of one stream and what they bear: hashes of the entries' records or pieces, and of the records they are of."""

    audience: str
    lane: str
    epoch: int
    sequences: tuple[int, ...]
    entries: frozenset[bytes]
    records: frozenset[bytes]


class RecallBooks:
    """One node's recalls: those that it made, by their records, and those that partners had it take."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self._made: dict[bytes, Numbers] = {}
        self._void: dict[tuple[str, str], set[bytes]] = {}
        # Exporter, lane, epoch and number -> the inbox's row of the recall that named it.
        self.taken: dict[tuple[str, str, int, int], int] = {}
        self.counts: Counter[str] = Counter()

    # --- what it takes back -------------------------------------------------------------------------------------------

    def choose(self, store: Store, audiences: Sequence[str], stage: Stage) -> Numbers | None:
        """Return some numbers of one batch that is as far as `stage`; None when there is none.

        Of what is not receipted the newest batch of a stream: it may still be under way.
        """
        places = [place for place in store.outbox.streams() if place[0] in audiences]
        found = [batches for place in places if (batches := list(_at_stage(store, *place, stage)))]
        if not found:
            return None
        batches = self._dice.choice(found)
        batch = batches[-1] if stage == "unreceipted" else self._dice.choice(batches)
        entries = dict(enumerate(sealing.split_payload(batch.payload), batch.first))
        void = store.outbox.recalled(batch.partner, batch.lane, batch.epoch, batch.first, batch.final)
        free = [n for n, entry in entries.items() if n not in void and RECALL_MARK not in entry]
        if not free:
            return None
        numbers = sorted(self._dice.sample(free, min(len(free), self._dice.randrange(1, NUMBERS_MAX + 1))))
        raws = [entries[n][sealing.SALT_BYTES :] for n in numbers]
        borne = frozenset(decode_chunk(raw).of if CHUNK_MARK in raw[:64] else sealing.leaf_hash(raw) for raw in raws)
        leaves = frozenset(sealing.leaf_hash(raw) for raw in raws)
        return Numbers(batch.partner, batch.lane, batch.epoch, tuple(numbers), leaves, borne)

    def make(self, record: bytes, numbers: Numbers) -> None:
        """Keep which numbers a recall names."""
        self._made[record] = numbers

    def void(self, audience: str, lane: str) -> frozenset[bytes]:
        """Return the hashes of all records of one stream that were ever taken back: these need not arrive."""
        made = [numbers.records for numbers in self._made.values() if (numbers.audience, numbers.lane) == (audience, lane)]
        return frozenset().union(*made)

    def settle(self, said: Iterable[Any]) -> None:
        """Take note of what is on disk: the recalls among it hold from now on."""
        for one in said:
            if (numbers := self._made.get(one.record)) is not None:
                self._void.setdefault((numbers.audience, numbers.lane), set()).update(numbers.entries)

    def went_back(self, said: Iterable[Any]) -> None:
        """Forget what an older copy of the store does not know."""
        self._void, self.taken = {}, {}
        self.settle(said)

    def watch(self, envelope: Envelope) -> None:
        """Look at a batch that leaves: what was taken back before never does, but as the hash of its leaf."""
        void, header = self._void.get((envelope.audience, envelope.lane)), decode_message(envelope.body)
        if not void or not isinstance(header, BatchHeader):
            return
        self.counts["sent as a leaf hash"] += len(header.withheld)
        for entry in sealing.open_batch(header, envelope.payload).entries:
            raw = b"" if entry is None else entry[sealing.SALT_BYTES :]
            of = decode_chunk(raw).of if CHUNK_MARK in raw[:64] else b""
            self.counts["recalled and sent again"] += bool(void & {sealing.leaf_hash(raw), of})

    # --- what it takes from partners ----------------------------------------------------------------------------------

    def take(self, received: Iterable[Received]) -> None:
        """Look at what is handed over: never a number of which a recall was taken before."""
        for item in received:
            row = self.taken.get((item.exporter, item.lane, item.epoch, item.sequence))
            self.counts["recalled and taken"] += row is not None and row < item.row
            if RECALL_MARK in item.raw and isinstance(recall := codec.decode(item.raw), Recall):
                for sequence in recall.sequences:
                    self.taken.setdefault((item.exporter, recall.lane, recall.epoch, sequence), item.row)

    def late(self, store: Store, exporter: str, lane: str) -> Iterator[SealedBatch]:
        """Yield the batch of each number of one stream that came whole after the recall that named it."""
        for (of, on, epoch, sequence), row in self.taken.items():
            batch = store.inbox.batch_with(exporter, lane, epoch, sequence) if (of, on) == (exporter, lane) else None
            if batch is not None and batch.row > row:
                header = decode_message(batch.body)
                if isinstance(header, BatchHeader) and sequence - batch.first not in header.withheld:
                    yield batch


def _at_stage(store: Store, audience: str, lane: str, stage: Stage) -> Iterator[SealedBatch]:
    books = store.outbox.state(audience, lane)
    last, receipt = books.last, books.receipt
    for batch in store.outbox.batches(audience, lane, Cursor()):
        if batch.epoch < last.epoch:
            at: Stage = "moved" if batch.moved_from else "receipted"
        else:
            at = "receipted" if (receipt.epoch, receipt.sequence) >= (batch.epoch, batch.final) else "unreceipted"
        if at == stage:
            yield batch
