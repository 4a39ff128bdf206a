"""Replayed input: every piece of a recording travels in a frame that says when it was recorded and how far it is shifted.

Raw bytes carry times of their own (ASTERIX time of day, AIS tag blocks, timestamps), so the node must decode them as of then and
shift the reports, not the bytes. The frame carries both numbers with every piece, so that a lost datagram or a restarted node
harms nothing, a journal replays alike, and no replayed byte can pass for a live one.

Frame: "TRPL", version 1 (u8), length of the replay id (u8), two zero bytes, shift (i64, ns), recorded at (i64, ns since 1970),
length of the piece (u32), the replay id (ASCII), the piece. Big-endian.
"""

import struct
from collections.abc import Callable

import numpy as np
from msgspec.structs import replace

from trilat.feeds.source import Decoded, Decoder, Refusals, Source, merge_refused
from trilat.records.columns import Reports
from trilat.records.report import Refused

MAGIC = b"TRPL"
_HEADER = struct.Struct(">4sBBHqqI")
# Below the largest UDP datagram with room for header and id.
PIECE_BYTES_MAX = 65_000
T_NS_MAX = 7_258_118_400_000_000_000


def frame(replay_id: str, shift_ns: int, recorded_t_ns: int, piece: bytes) -> bytes:
    """Return one frame. Raises ValueError for a piece beyond `PIECE_BYTES_MAX` or an id beyond 64 ASCII characters."""
    name = replay_id.encode("ascii")
    if len(piece) > PIECE_BYTES_MAX or not 0 < len(name) <= 64:
        raise ValueError(f"a piece of {len(piece)} bytes, an id of {len(name)}")
    return _HEADER.pack(MAGIC, 1, len(name), 0, shift_ns, recorded_t_ns, len(piece)) + name + piece


class ReplayGate(Decoder):
    """Stands before a node's decoder: in mode Replay it takes frames of this replay only, in any other mode none at all."""

    def __init__(self, source: Source, reopen: Callable[[], Decoder]) -> None:
        self._source = source
        self._reopen = reopen
        self._inner = reopen()
        self._refusals = Refusals(source.name)
        self._rest = b""
        self._skip = 0  # bytes still to come of a frame that is not ours to decode
        # The latest time of a replayed piece, shifted: the clock of a node that is fed faster or slower than life; 0 before.
        self.replay_t_ns = 0

    def decode(self, data: bytes, received_t_ns: int) -> Decoded:
        """Return the reports in the bytes (contract `Decoder`); a replay's are shifted, their own time in the pedigree."""
        if self._source.mode.kind != "replay":
            return self._unreplayed(data, received_t_ns)
        batches: list[Reports] = []
        refused: list[Refused] = []
        self._rest += data
        while len(self._rest) >= _HEADER.size:
            taken = self._frame(received_t_ns)
            if taken is None:
                break
            batches.extend(taken.batches)
            refused.extend(taken.refused)
        if self._rest[:4] != MAGIC[: len(self._rest)]:
            self._resynchronise()
        refused.extend(self._refusals.take(received_t_ns))
        return Decoded(tuple(batches), merge_refused(refused))

    def _unreplayed(self, data: bytes, received_t_ns: int) -> Decoded:
        """Decode for a live or exercise node; frames of a replay are counted and skipped over to their end."""
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        while data[skipped : skipped + 4] == MAGIC and len(data) - skipped >= _HEADER.size:
            _, _, id_size, _, _, _, size = _HEADER.unpack_from(data, skipped)
            whole = _HEADER.size + id_size + min(size, PIECE_BYTES_MAX)
            self._refusals.add("replay-on-other-mode", length=whole)
            here = min(whole, len(data) - skipped)
            self._skip = whole - here
            skipped += here
        if skipped == len(data):
            return Decoded((), self._refusals.take(received_t_ns))
        decoded = self._decoded(data[skipped:], received_t_ns)
        return Decoded(decoded.batches, merge_refused((*decoded.refused, *self._refusals.take(received_t_ns))))

    def _decoded(self, data: bytes, t_ns: int) -> Decoded:
        """Decode; should a decoder fail on its input, that input and its memory are lost, counted, and nothing else is."""
        try:
            return self._inner.decode(data, t_ns)
        except Exception as error:  # noqa: BLE001 - a fault of ours in one feed must not take every other feed with it
            self._refusals.add("decoder-failed", length=len(data), detail=f"{type(error).__name__}: {error}")
            self._inner = self._reopen()
            return Decoded()

    def _frame(self, received_t_ns: int) -> Decoded | None:
        """Take the next frame off the rest; None when it is not whole yet."""
        magic, version, id_size, _, shift_ns, recorded_t_ns, size = _HEADER.unpack_from(self._rest)
        sane = magic == MAGIC and version == 1 and 0 < id_size <= 64 and size <= PIECE_BYTES_MAX
        if not (sane and 0 <= recorded_t_ns <= T_NS_MAX and 0 <= recorded_t_ns + shift_ns <= T_NS_MAX):
            return self._resynchronise()
        end = _HEADER.size + id_size + size
        if len(self._rest) < end:
            return None
        name, piece = self._rest[_HEADER.size : _HEADER.size + id_size], self._rest[_HEADER.size + id_size : end]
        self._rest = self._rest[end:]
        if name != self._source.mode.id.encode("ascii"):
            self._refusals.add("replay-on-other-mode", length=end, detail=f"replay {name.decode('ascii', 'replace')!r}")
            return Decoded()
        self.replay_t_ns = max(self.replay_t_ns, recorded_t_ns + shift_ns)
        decoded = self._decoded(piece, recorded_t_ns)
        return Decoded(tuple(shifted(each, shift_ns, received_t_ns) for each in decoded.batches), decoded.refused)

    def _resynchronise(self) -> Decoded:
        """Throw away, counted, what is no frame, up to the next one's beginning."""
        place = self._rest.find(MAGIC, 1)
        if place < 0:
            tail = next((n for n in (3, 2, 1) if self._rest[1:].endswith(MAGIC[:n])), 0)
            place = len(self._rest) - tail
        self._refusals.add("replay-unmarked", length=place)
        self._rest = self._rest[place:]
        return Decoded()


def shifted(batch: Reports, shift_ns: int, received_t_ns: int) -> Reports:
    """Return a batch moved in time; the original time of its first report goes into the pedigree.

    The original time of any report is its time less the difference of these two.
    """
    columns = batch.columns.copy()
    original_t_ns = int(columns["t_ns"][0])
    columns["t_ns"] += np.int64(shift_ns)
    pedigree = replace(batch.pedigree, original_t_ns=max(original_t_ns, 0))
    return replace(batch, columns=columns, pedigree=pedigree, received_t_ns=received_t_ns)
