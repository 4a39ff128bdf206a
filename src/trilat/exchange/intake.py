"""What an importer does with a batch: fit it to the chain, open it, check every record, keep it with its cursor. Sans-IO.

Each batch is verified whole before anything of it is taken; batch and cursor stand in one transaction. What does not fit is
refused and changes nothing.
"""

from collections.abc import Iterable, Sequence
from itertools import count, repeat
from typing import Any, NamedTuple

import msgspec
from msgspec import structs

from trilat.exchange.epochs import EPOCHS_AHEAD_MAX, EpochPace
from trilat.exchange.station import Station, unless_unreadable
from trilat.identity.sign import Rejected
from trilat.records.codec import RECORDS, Record
from trilat.records.envelope import Envelope
from trilat.records.exchange import Begun, Cursor, InboxState, SealedBatch
from trilat.records.fields import Lane
from trilat.records.glance import glance
from trilat.records.label import Label
from trilat.records.warning import Recall
from trilat.transport import envelope as sealing
from trilat.transport.carried import bears_letter, stream_name
from trilat.transport.messages import CHUNK_MARK, CHUNK_TYPE, LANES_OF_TYPE, BatchHeader, decode_chunk, made_whole

RECALL_TYPE = str(Recall.__struct_config__.tag)
# More can not be said of a stream.
LOST_MAX = 2**63 - 1
# Large records of which pieces may be held at once, of one exporter and lane.
PARTIAL_MAX = 8
# Records that are made known by their content in one step, before a new epoch begins: some 10 ms of a processor.
PIECE_RECORDS = 1_000
# Pairs of type and label remembered per inbox.
ADMITTED_MAX = 4_096
KNOWN_TYPES = frozenset(str(record.__struct_config__.tag) for record in RECORDS)
_record: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(Record)


class Seen(NamedTuple):
    """A record that may be here but needs a closer look: its bytes and type."""

    raw: bytes
    kind: str


class Received(NamedTuple):
    """A record that came from a partner, durably held: its verified origin, and its bytes as they were signed.

    known: its type is known here and every value of it was found in range. Otherwise it is kept as verified bytes, neither
    shown nor used nor released. row: the inbox row it stands in, rising in order of arrival over all partners; see
    `Exchange.handed`.
    """

    exporter: str
    lane: Lane
    epoch: int
    sequence: int
    known: bool
    raw: bytes
    row: int = 0

    @property
    def is_letter(self) -> bool:
        """Whether it is a letter through a hub, which the exchange deals with itself."""
        return self.known and bears_letter(self.raw)

    @property
    def record(self) -> Record | None:
        """The record itself, made from the bytes at each call; None when its type is not known here."""
        return _record.decode(self.raw) if self.known else None


class Intake:
    """One inbox: what it holds, and what it takes."""

    def __init__(self, station: Station, exporter: str, lane: Lane, via: str | None = None) -> None:
        self.station = station
        self.exporter = exporter
        self.via = via
        # The stream's own name: what comes from one exporter directly and through a hub are two streams.
        self.name = stream_name(exporter, via)
        self.lane: Lane = lane
        self._inbox = station.store.inbox
        self.state: InboxState = self._inbox.state(self.name, lane)
        # Whether what we hold from before this epoch may come again. Which epoch is to begin on which base, up to which place
        # what we hold beyond that base is known by its content, whether there is more, and what is left of a step's piece of it.
        self.may_repeat = unless_unreadable(lambda: self._inbox.has_orphans(self.name, lane), otherwise=True)
        self._going: tuple[int, Cursor] | None = None
        self._reached = Cursor()
        self.prepares = False
        self._piece_ns, self._left = -1, 0
        # Asks, with a resync of this reason, for another base than the one offered.
        self._resync = ""
        self._refused_base = Cursor()
        self.trouble = ""
        self.taken: list[Received] = []
        # How many records of which lane were recalled by what was taken: counted by that lane's own inbox.
        self.recalls: list[tuple[Lane, int]] = []
        # Large records made whole in the batch at hand, and those whose pieces still wait for the hand-over.
        self._whole: list[bytes] = []
        self._assembled: list[tuple[int, bytes]] = []
        # Large records of which pieces are held, the oldest first, and of how many pieces each is.
        self._partial: dict[bytes, int] = unless_unreadable(lambda: dict(self._inbox.chunked(self.name, lane)), {})
        self._pace_epochs = EpochPace()
        # Labels and types that were found to belong in this lane from this exporter: few, and shared by many records.
        self._admitted: set[tuple[str, Label]] = set()

    def _put(self, **changes: object) -> None:
        self.state = structs.replace(self.state, **changes)
        self._inbox.put_state(self.name, self.lane, self.state)

    # --- what is held -------------------------------------------------------------------------------------------------

    def _head_at(self, epoch: int, sequence: int) -> bytes | None:
        """Return the head we hold after a number; None when it is not kept."""
        if (self.state.cursor.epoch, self.state.cursor.sequence) == (epoch, sequence):
            return self.state.cursor.head
        if sequence == 0:
            begun = self._inbox.epoch(self.name, self.lane, epoch)
            return None if begun is None else self._start_head(epoch, begun.base)
        batch = self._inbox.batch_with(self.name, self.lane, epoch, sequence)
        if batch is None:
            following = self._inbox.batch_with(self.name, self.lane, epoch, sequence + 1)
            if following is not None and following.first == sequence + 1:
                return following.prev_head
            return self._inbox.head_at(self.name, self.lane, epoch, sequence)
        if batch.final == sequence:
            return batch.head
        return sealing.chain(batch.prev_head, sealing.leaves_of(batch)[: sequence - batch.first + 1])

    # --- taking a batch -----------------------------------------------------------------------------------------------

    def _take(self, now_ns: int, header: BatchHeader, envelope: Envelope) -> bool:
        """Take a batch; False = it begins an epoch for which we are not ready, and has to come again. Raises Rejected."""
        cursor = self.state.cursor
        begins = header.epoch > cursor.epoch
        if begins:
            self._check_base(header)
        elif header.prev_head != cursor.head:
            raise Rejected("head-wrong", f"{header.epoch}.{header.number}")
        entries = enumerate(sealing.open_batch(header, envelope.payload).entries, header.number)
        # What a recall named that was faster than this batch is void, as if its leaf's hash had come.
        void = self._inbox.recalled(self.name, self.lane, header.epoch, header.number, header.number + header.count - 1)
        seen = [None if entry is None or n in void else self._look(entry[sealing.SALT_BYTES :]) for n, entry in entries]
        if begins and not self._is_ready(now_ns, header.epoch, header.base):
            return False
        # From here on nothing is refused any more.
        if begins:
            self._begin_epoch(now_ns, header.epoch, Begun(header.base, header.lost))
        self._resync, self.trouble = "", ""
        received, skip = self._sort_out(now_ns, header, seen)
        row = self._inbox.put_batch(
            SealedBatch(
                partner=self.name,
                lane=self.lane,
                epoch=header.epoch,
                first=header.number,
                count=header.count,
                prev_head=header.prev_head,
                head=header.head,
                t_ns=now_ns,
                kind=envelope.kind,
                body=envelope.body,
                key_id=envelope.key_id,
                signature=envelope.signature,
                payload=envelope.payload,
                skip=tuple(skip),
            )
        )
        self._put(cursor=Cursor(header.epoch, header.number + header.count - 1, header.head), received_t_ns=now_ns)
        digest = sealing.leaf_hash(envelope.body)
        self.station.note("inbox", self.name, self.lane, now_ns, (header.epoch, header.number, header.count, header.head, digest))
        exporter, lane, epoch = self.exporter, self.lane, header.epoch
        self.taken += [Received(exporter, lane, epoch, sequence, known, raw, row) for sequence, known, raw in received]
        self._note_whole(row)
        return True

    def _check_base(self, header: BatchHeader) -> None:
        """Check that a new epoch begins on a place that we hold; raises Rejected and asks for another base."""
        base = header.base
        if header.prev_head != self._start_head(header.epoch, base):
            raise Rejected("head-wrong", f"epoch {header.epoch} does not begin at its base")
        if not self.holds(base):
            self._resync, self._refused_base = "base-unknown", base
            raise Rejected("head-wrong", f"epoch {header.epoch} goes on from {base.epoch}.{base.sequence}, which is not ours")

    def holds(self, base: Cursor) -> bool:
        """Tell whether we hold everything up to a place on which an epoch goes on (epoch 0: it begins with nothing)."""
        if base.epoch == 0:
            return True
        cursor = self.state.cursor
        beyond = (base.epoch, base.sequence) > (cursor.epoch, cursor.sequence)
        return not beyond and self._head_at(base.epoch, base.sequence) == base.head

    def _start_head(self, epoch: int, base: Cursor) -> bytes:
        """Return the head before the first number of an epoch."""
        return sealing.epoch_head(self.exporter, stream_name(self.station.nation, self.via), self.lane, epoch, base)

    # --- a new epoch --------------------------------------------------------------------------------------------------

    def _is_ready(self, now_ns: int, epoch: int, base: Cursor) -> bool:
        """Tell whether a new epoch may begin: all that we hold beyond its base is known by its content; raises Rejected.

        If not, that goes on in pieces, with `prepare`: however much it is, no step does more than a piece of it. The epoch is
        only begun after the last. What a stop finds half done is done anew, and changes nothing.
        """
        if self._going != (epoch, base):
            if epoch - self.state.cursor.epoch > EPOCHS_AHEAD_MAX:
                raise Rejected("epoch-wrong", f"{epoch}, we are in {self.state.cursor.epoch}")
            if not self._pace_epochs.take(now_ns):
                raise Rejected("epoch-too-soon", f"{epoch} after {self.state.cursor.epoch}")
            self._going, self._reached = (epoch, base), base
        self.prepare(now_ns)
        return not self.prepares

    def prepare(self, now_ns: int) -> None:
        """Make known by its content some of what may come again in the epoch that is to begin: once a step as much as a piece."""
        if now_ns != self._piece_ns:
            self._piece_ns, self._left = now_ns, PIECE_RECORDS
        self.prepares = False
        for batch in self._inbox.batches(self.name, self.lane, self._reached):
            done = max(self._reached.sequence + 1 - batch.first, 0) if batch.epoch == self._reached.epoch else 0
            entries = sealing.split_payload(batch.payload)[done : done + self._left]
            records = [entry[sealing.SALT_BYTES :] for entry in entries]
            # A record in pieces is known as a whole: which of its pieces come again depends on the cut.
            digests = [made_whole(raw) if CHUNK_MARK in raw[:64] else sealing.leaf_hash(raw) for raw in records]
            self._inbox.put_orphans(self.name, self.lane, [digest for digest in digests if digest is not None], now_ns)
            self._reached, self._left = Cursor(batch.epoch, batch.first + done + len(records) - 1), self._left - len(records)
            self.may_repeat = True
            self.station.soon(now_ns)
            self.prepares = self._reached.sequence < batch.final
            if self.prepares:
                return

    def _begin_epoch(self, now_ns: int, epoch: int, begun: Begun) -> None:
        """Go over to a new epoch: what we hold beyond its base may come again and is known by its content."""
        # What retention removed since the base can not be compared with what comes now.
        unchecked = self._inbox.newest_forgotten(self.name, self.lane) > (begun.base.epoch, begun.base.sequence)
        self._going = None
        self._inbox.put_epoch(self.name, self.lane, epoch, begun)
        self._put(lost=min(self.state.lost + begun.lost, LOST_MAX), unchecked=self.state.unchecked + unchecked)
        facts = {"epoch": epoch, "base": begun.base, "cursor": self.state.cursor, "lost": begun.lost, "unchecked": unchecked}
        self.station.note("epoch", self.name, self.lane, now_ns, facts)

    def _look(self, raw: bytes) -> bytes | Seen:
        """Return a record when it may be here at all; raises Rejected for the whole batch.

        Bytes alone say that there is nothing more to look at: a known type, in range. No object is made for such a record.
        """
        seen = glance(raw)
        if seen is None:
            return self._parse(raw)
        if seen not in self._admitted:
            label = seen.label
            self._check(seen.kind, label.originator, (label.mode.kind, label.mode.id), label.rel_to)
            if len(self._admitted) >= ADMITTED_MAX:
                self._admitted.clear()
            self._admitted.add(seen)
        return raw if seen.kind != RECALL_TYPE else Seen(raw, RECALL_TYPE)

    def _parse(self, raw: bytes) -> Seen:
        """Do the same for what a glance cannot vouch for: types and fields of later versions, values out of range, pieces."""
        plain = sealing.parse_plain(raw)
        kind = plain.get("type") if isinstance(plain, dict) else None
        if kind == CHUNK_TYPE:
            return Seen(raw, CHUNK_TYPE)
        label = plain.get("label") if isinstance(plain, dict) else None
        if not isinstance(kind, str) or not isinstance(label, dict):
            raise Rejected("audience-mixed", "a record without type or label is its originator's alone")
        mode, rel_to = label.get("mode"), label.get("rel_to")
        place = (mode.get("kind"), mode.get("id", "")) if isinstance(mode, dict) else (mode, "")
        self._check(kind, label.get("originator"), place, rel_to if isinstance(rel_to, list) else ())
        return Seen(raw, kind)

    def _check(self, kind: str, originator: object, mode: tuple[object, object], rel_to: Sequence[object]) -> None:
        """Check that a record belongs in this lane, comes from its originator, in our mode, and is for us; raises Rejected."""
        if self.lane not in LANES_OF_TYPE.get(kind, {self.lane}):
            raise Rejected("lane-mixed", f"{kind} in {self.lane}")
        if originator != self.exporter:
            raise Rejected("originator-wrong", f"{str(originator)[:8]} from {self.exporter}")
        if mode != (self.station.mode.kind, self.station.mode.id):
            raise Rejected("mode-wrong", f"a record of {str(mode)[:64]}")
        if self.station.nation not in rel_to and "PUBLIC" not in rel_to:
            raise Rejected("audience-mixed", f"{kind} is not releasable to {self.station.nation}")

    def _sort_out(
        self, now_ns: int, header: BatchHeader, seen: Sequence[bytes | Seen | None]
    ) -> tuple[Iterable[tuple[int, bool, bytes]], list[int]]:
        """Return what is handed on (number, known, bytes), and the offsets of what is not: withheld, held already, kept aside."""
        if not self.may_repeat and all(type(item) is bytes for item in seen):
            return zip(count(header.number), repeat(object=True), seen, strict=False), []  # type: ignore[arg-type]
        received: list[tuple[int, bool, bytes]] = []
        skip: list[int] = []
        for sequence, item in enumerate(seen, header.number):
            if item is None:
                self.recalls.append((self.lane, self._inbox.recall(self.name, self.lane, header.epoch, (sequence,))))
                skip.append(sequence - header.number)
            elif self.may_repeat and not is_piece(item) and self._known(sealing.leaf_hash(raw_of(item))):
                skip.append(sequence - header.number)
            elif isinstance(item, bytes):
                received.append((sequence, True, item))
            else:
                self._sort_slowly(now_ns, (header.epoch, sequence, sequence - header.number), item, received, skip)
        return received, skip

    def _sort_slowly(
        self, now_ns: int, place: tuple[int, int, int], item: Seen, received: list[tuple[int, bool, bytes]], skip: list[int]
    ) -> None:
        """Sort out what needs a closer look: place is epoch, number and offset."""
        epoch, sequence, offset = place
        try:
            if is_piece(item) and self.may_repeat and self._ends_known(item.raw):
                # Its record was held whole before this epoch; marked, for after a stop nothing else would tell.
                skip.append(offset)
                return
            whole = self._made_of(item)
            record = _record.decode(whole.raw) if isinstance(whole, Seen) and whole.kind in KNOWN_TYPES else None
        except (msgspec.MsgspecError, Rejected) as error:
            self._put(kept_aside=self.state.kept_aside + 1)
            self.station.tally.count(now_ns, self.name, "record-invalid", f"{epoch}.{sequence}: {error}")
            skip.append(offset)
            return
        if isinstance(whole, bytes):
            received.append((sequence, True, whole))
        elif whole is not None:
            received.append((sequence, record is not None, whole.raw))
            if isinstance(record, Recall):
                self.recalls.append((record.lane, self._inbox.recall(self.name, record.lane, record.epoch, record.sequences)))

    def _ends_known(self, raw: bytes) -> bool:
        """Tell whether a piece is the last of a record that came before; then forget its other pieces."""
        of = made_whole(raw)
        if of is None or not self._known(of):
            return False
        self._inbox.drop_chunks(self.name, self.lane, of)
        self._partial.pop(of, None)
        return True

    def _known(self, digest: bytes) -> bool:
        """Tell whether a record came before this epoch: once, for the next of its kind is another."""
        if not self._inbox.is_orphan(self.name, self.lane, digest):
            return False
        self._inbox.drop_orphan(self.name, self.lane, digest)
        self._put(duplicates=self.state.duplicates + 1)
        return True

    def _made_of(self, item: bytes | Seen) -> bytes | Seen | None:
        """Return a record to be handed on; None for a piece of one that is not whole yet.

        Raises Rejected for pieces that do not make a record that may be here.
        """
        if isinstance(item, bytes) or item.kind != CHUNK_TYPE:
            return item
        assembled = self._assemble(item.raw)
        return None if assembled is None else self._look(assembled)

    def _assemble(self, raw: bytes) -> bytes | None:
        chunk = decode_chunk(raw)
        if chunk.index >= chunk.total or chunk.total * len(chunk.data) > 2 * self.station.settings.record_bytes_max:
            raise Rejected("record-invalid", f"piece {chunk.index} of {chunk.total}")
        if chunk.index == 0 or chunk.of not in self._partial:  # pieces of an earlier, different cut are worthless
            self._inbox.drop_chunks(self.name, self.lane, chunk.of)
            self._bound_partial(chunk.of, chunk.total)
        elif chunk.total != self._partial[chunk.of]:
            raise Rejected("record-invalid", f"a piece of {chunk.total} of a record in {self._partial[chunk.of]}")
        self._inbox.put_chunk(self.name, self.lane, chunk.of, chunk.index, chunk.total, chunk.data)
        if chunk.index < chunk.total - 1:
            return None
        pieces = self._inbox.chunks(self.name, self.lane, chunk.of)
        whole = b"".join(pieces)
        if sealing.leaf_hash(whole) != chunk.of:
            raise Rejected("record-invalid", "pieces do not make the record they name")
        self._whole.append(chunk.of)
        return whole

    def _bound_partial(self, of: bytes, total: int) -> None:
        """Keep pieces of a few records only: what an exporter leaves unfinished must not fill the disk."""
        self._partial.pop(of, None)
        self._partial[of] = total
        whole = {done for _, done in self._assembled}.union(self._whole)
        for left in [known for known in self._partial if known not in whole][:-PARTIAL_MAX]:
            self._inbox.drop_chunks(self.name, self.lane, left)
            del self._partial[left]

    def _note_whole(self, row: int) -> None:
        self._assembled += [(row, of) for of in self._whole]
        self._whole.clear()


def is_piece(item: bytes | Seen) -> bool:
    """Tell whether something is a piece of a larger record."""
    return not isinstance(item, bytes) and item.kind == CHUNK_TYPE


def raw_of(item: bytes | Seen) -> bytes:
    """Return a record's bytes."""
    return item if isinstance(item, bytes) else item.raw
