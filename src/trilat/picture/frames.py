"""Track frames: the packed binary messages of the page's WebSocket (docs/reference/page-protocol.md), little-endian.

A frame is HEADER, then `changed` RECORDs, `gone` uint32 ids and `named` NAMEs. A snapshot replaces everything; a delta
holds what changed after sequence `base`. Each view has one `FrameStore`, fed only with what the view may see, so ids and
sequence numbers say nothing of the rest.
"""

from collections import deque
from typing import Any

import numpy as np
from msgspec import Struct

Array = np.ndarray[Any, Any]

MAGIC = b"TRLF"
VERSION = 1
SNAPSHOT, DELTA, TRAILS = 1, 2, 3

HEADER_DTYPE = np.dtype(
    [
        ("magic", "S4"),
        ("version", "u1"),
        ("kind", "u1"),
        ("header_bytes", "<u2"),
        ("sequence", "<u4"),
        ("base", "<u4"),
        ("t_ms", "<f8"),  # time of the picture, UTC ms since 1970
        ("origin_ms", "<f8"),  # what t_cs and updated_cs count from
        ("changed", "<u4"),
        ("gone", "<u4"),
        ("named", "<u4"),
        ("total", "<u4"),  # tracks held once the frame is applied
        ("check", "<u4"),  # sum of their ids, modulo 2**32
        ("reserved", "<u4"),
    ]
)
RECORD_DTYPE = np.dtype(
    [
        ("id", "<u4"),
        ("lat_e7", "<i4"),  # 1e-7 degree
        ("lon_e7", "<i4"),
        ("alt_m", "<f4"),
        ("t_cs", "<u4"),  # time of the state, 10 ms since origin_ms
        ("updated_cs", "<u4"),  # time of the last report in it
        ("speed", "<u2"),  # 0.25 m/s; 65535: not known
        ("course", "<u2"),  # 1/65536 turn, clockwise from true north
        ("climb", "<i2"),  # 0.5 m/s
        ("sigma_m", "<u2"),  # one sigma along the larger horizontal axis; 65535: that or more
        ("nations", "<u2"),  # bit set over the nations of the hello message
        ("domain", "u1"),
        ("status", "u1"),
        ("affiliation", "u1"),
        ("layer", "u1"),
        ("flags", "u1"),
        ("level", "u1"),
    ]
)
NAME_DTYPE = np.dtype([("id", "<u4"), ("name", "S12")])
POINT_DTYPE = np.dtype([("lat_e7", "<i4"), ("lon_e7", "<i4")])
TRAIL_DTYPE = np.dtype([("id", "<u4"), ("points", "<u4")])

LAYERS = ("own", "partner", "combined")
AFFILIATIONS = ("pending", "unknown", "assumed-friend", "friend", "neutral", "suspect", "hostile")
FLAG_INNOVATION, FLAG_ID_CONFLICT, FLAG_AREA, FLAG_EMERGENCY, FLAG_IDENTIFIED, FLAG_SIMULATED = 1, 2, 4, 8, 16, 32

CS_PER_S = 100
SPEED_UNIT_M_S = 0.25
CLIMB_UNIT_M_S = 0.5
UNKNOWN_U2 = 65_535
SEQUENCE_MAX = 2**32 - 1


class Block(Struct, frozen=True, kw_only=True):
    """One layer's tracks of one tick: their numbers (sorted, unique), records with id 0, and names (S12)."""

    key: str
    numbers: Array
    records: Array
    names: Array


class Frame(Struct, frozen=True, kw_only=True):
    """A decoded frame. `trails` is filled for the kind TRAILS only: id -> POINT_DTYPE array, oldest first."""

    kind: int
    sequence: int
    base: int
    t_ms: float
    origin_ms: float
    total: int
    check: int
    records: Array
    gone: Array
    names: Array
    trails: dict[int, Array] = {}


class _Ids:
    """Ids of one layer: a number keeps its id while it stays; one that comes back gets a new one."""

    def __init__(self) -> None:
        self.numbers = np.zeros(0, np.int64)
        self.ids = np.zeros(0, np.uint32)

    def assign(self, numbers: Array, next_id: int) -> tuple[Array, int]:
        ids = np.zeros(len(numbers), np.uint32)
        known = np.zeros(len(numbers), bool)
        if len(self.numbers):
            at = np.minimum(np.searchsorted(self.numbers, numbers), len(self.numbers) - 1)
            known = self.numbers[at] == numbers
            ids[known] = self.ids[at[known]]
        fresh = int((~known).sum())
        ids[~known] = np.arange(next_id, next_id + fresh, dtype=np.uint32)
        self.numbers, self.ids = np.array(numbers, np.int64), ids
        return ids, next_id + fresh


class FrameStore:
    """The tracks of one view, and what of them changed when. `update` once a tick, `frame` as often as asked."""

    def __init__(self, origin_ms: int, gone_max: int = 100_000) -> None:
        self.origin_ms = origin_ms
        self.gone_max = gone_max
        self.sequence = 0
        self.t_ms = 0
        self.records = np.zeros(0, RECORD_DTYPE)
        self.names = np.zeros(0, "S12")
        self._changed = np.zeros(0, np.uint32)
        self._named = np.zeros(0, np.uint32)
        self._gone: deque[tuple[int, Array]] = deque()
        self._gone_count = 0
        self._floor = 0  # deltas from before this sequence cannot be made any more
        self._next_id = 1
        self._ids: dict[str, _Ids] = {}
        self._where: dict[int, tuple[str, int]] | None = None

    def update(self, t_ms: int, blocks: list[Block]) -> None:
        """Take one tick's blocks (each layer key once) as the whole picture and number the changes."""
        self.sequence += 1
        self.t_ms = t_ms
        for key in self._ids.keys() - {block.key for block in blocks}:
            del self._ids[key]
        pieces = [self._identify(block) for block in blocks]
        records = np.concatenate([np.zeros(0, RECORD_DTYPE), *pieces])
        names = np.concatenate([np.zeros(0, "S12"), *(block.names for block in blocks)])
        order = np.argsort(records["id"], kind="stable")
        self._compare(records[order], names[order])
        self._where = None

    def _identify(self, block: Block) -> Array:
        table = self._ids.setdefault(block.key, _Ids())
        ids, self._next_id = table.assign(block.numbers, self._next_id)
        records = block.records.copy()
        records["id"] = ids
        return records

    def _compare(self, records: Array, names: Array) -> None:
        old = self.records["id"]
        changed = np.full(len(records), self.sequence, np.uint32)
        named = changed.copy()
        if len(old) and len(records):
            at = np.minimum(np.searchsorted(old, records["id"]), len(old) - 1)
            known = old[at] == records["id"]
            same = known & ~(_words(records) != _words(self.records)[at]).any(axis=1)
            changed[same] = self._changed[at[same]]
            same = known & (names == self.names[at])
            named[same] = self._named[at[same]]
        self._note_gone(np.setdiff1d(old, records["id"], assume_unique=True))
        self.records, self.names, self._changed, self._named = records, names, changed, named

    def _note_gone(self, gone: Array) -> None:
        if len(gone):
            self._gone.append((self.sequence, gone))
            self._gone_count += len(gone)
        while self._gone_count > self.gone_max:
            sequence, dropped = self._gone.popleft()
            self._gone_count -= len(dropped)
            self._floor = sequence

    def frame(self, since: int | None) -> bytes:
        """Return the frame that brings a page from sequence `since` (None: from nothing) to now."""
        if since is None or not self._floor <= since <= self.sequence or since == 0:
            return self._pack(SNAPSHOT, 0, np.ones(len(self.records), bool), np.ones(len(self.records), bool), [])
        gone = [ids for sequence, ids in self._gone if sequence > since]
        return self._pack(DELTA, since, self._changed > since, self._named > since, gone)

    def _pack(self, kind: int, base: int, changed: Array, named: Array, gone: list[Array]) -> bytes:
        ids = np.concatenate([np.zeros(0, "<u4"), *gone]).astype("<u4")
        names = np.zeros(int(named.sum()), NAME_DTYPE)
        names["id"], names["name"] = self.records["id"][named], self.names[named]
        header = self._header(kind, base)
        header["changed"], header["gone"], header["named"] = int(changed.sum()), len(ids), len(names)
        return b"".join((header.tobytes(), self.records[changed].tobytes(), ids.tobytes(), names.tobytes()))

    def _header(self, kind: int, base: int) -> Array:
        header = np.zeros(1, HEADER_DTYPE)
        header["magic"], header["version"], header["kind"] = MAGIC, VERSION, kind
        header["header_bytes"] = HEADER_DTYPE.itemsize
        header["sequence"], header["base"] = self.sequence, base
        header["t_ms"], header["origin_ms"] = self.t_ms, self.origin_ms
        header["total"] = len(self.records)
        header["check"] = int(self.records["id"].sum(dtype=np.uint64)) & SEQUENCE_MAX
        return header

    def trails(self, ids: Array, lat_e7: Array, lon_e7: Array, lengths: Array) -> bytes:
        """Return a TRAILS frame: per id its last places, oldest first; row i holds `lengths[i]` valid points at its end."""
        keep = np.isin(ids, self.records["id"]) & (lengths > 0)
        heads = np.zeros(int(keep.sum()), TRAIL_DTYPE)
        heads["id"], heads["points"] = ids[keep], lengths[keep]
        valid = np.arange(lat_e7.shape[1])[None, :] >= (lat_e7.shape[1] - lengths[keep])[:, None]
        points = np.zeros(int(valid.sum()), POINT_DTYPE)
        points["lat_e7"], points["lon_e7"] = lat_e7[keep][valid], lon_e7[keep][valid]
        header = self._header(TRAILS, 0)
        header["changed"] = len(heads)
        return b"".join((header.tobytes(), heads.tobytes(), points.tobytes()))

    def where(self, track_id: int) -> tuple[str, int] | None:
        """Return the layer key and number behind an id of this view, or None when it holds no such track."""
        if self._where is None:
            self._where = {
                int(i): (key, int(n)) for key, table in self._ids.items() for i, n in zip(table.ids, table.numbers, strict=True)
            }
        return self._where.get(track_id)


class Trails:
    """The last `points_max` places of every track, one each `period_ms`; rows sorted by id, newest place last."""

    def __init__(self, period_ms: int, points_max: int) -> None:
        self.period_ms = period_ms
        self.points_max = points_max
        self.ids = np.zeros(0, np.uint32)
        self.lat_e7 = np.zeros((0, points_max), np.int32)
        self.lon_e7 = np.zeros((0, points_max), np.int32)
        self.lengths = np.zeros(0, np.int64)
        self._next_ms = 0

    def sample(self, t_ms: int, records: Array) -> None:
        """Take the places of `records` (sorted by id) when the period is over; tracks that are gone are forgotten."""
        if t_ms < self._next_ms:
            return
        self._next_ms = t_ms + self.period_ms
        ids = records["id"]
        lat = np.zeros((len(ids), self.points_max), np.int32)
        lon = np.zeros((len(ids), self.points_max), np.int32)
        lengths = np.zeros(len(ids), np.int64)
        if len(self.ids) and len(ids):
            at = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
            known = self.ids[at] == ids
            lat[known, :-1] = self.lat_e7[at[known], 1:]
            lon[known, :-1] = self.lon_e7[at[known], 1:]
            lengths[known] = self.lengths[at[known]]
        lat[:, -1], lon[:, -1] = records["lat_e7"], records["lon_e7"]
        self.ids, self.lat_e7, self.lon_e7 = ids.copy(), lat, lon
        self.lengths = np.minimum(lengths + 1, self.points_max)


def _words(records: Array) -> Array:
    """Return the records as rows of 8-byte words, for comparing them whole."""
    return np.ascontiguousarray(records).view(np.uint64).reshape(len(records), -1)


def decode(raw: bytes) -> Frame:
    """Decode one frame; raises ValueError when it is cut, padded or of another version."""
    if len(raw) < HEADER_DTYPE.itemsize:
        raise ValueError(f"frame of {len(raw)} bytes is shorter than its header")
    header = np.frombuffer(raw, HEADER_DTYPE, 1)[0]
    if header["magic"] != MAGIC or header["version"] != VERSION or header["kind"] not in (SNAPSHOT, DELTA, TRAILS):
        raise ValueError("not a track frame of a version known here")
    body = memoryview(raw)[int(header["header_bytes"]) :]
    if header["kind"] == TRAILS:
        return _decode_trails(header, body)
    counts = int(header["changed"]), int(header["gone"]), int(header["named"])
    sizes = counts[0] * RECORD_DTYPE.itemsize, counts[1] * 4, counts[2] * NAME_DTYPE.itemsize
    if len(body) != sum(sizes):
        raise ValueError(f"frame body of {len(body)} bytes where its header says {sum(sizes)}")
    records = np.frombuffer(body, RECORD_DTYPE, counts[0])
    gone = np.frombuffer(body[sizes[0] :], "<u4", counts[1])
    names = np.frombuffer(body[sizes[0] + sizes[1] :], NAME_DTYPE, counts[2])
    return _frame(header, records=records, gone=gone, names=names)


def _decode_trails(header: Any, body: memoryview) -> Frame:
    count = int(header["changed"])
    if len(body) < count * TRAIL_DTYPE.itemsize:
        raise ValueError("trails frame is cut")
    heads = np.frombuffer(body, TRAIL_DTYPE, count)
    body = body[count * TRAIL_DTYPE.itemsize :]
    total = int(heads["points"].sum(dtype=np.int64))
    if len(body) != total * POINT_DTYPE.itemsize:
        raise ValueError("trails frame is cut")
    points = np.split(np.frombuffer(body, POINT_DTYPE, total), np.cumsum(heads["points"].astype(np.int64))[:-1])
    trails = {int(head["id"]): part for head, part in zip(heads, points, strict=False)} if count else {}
    none = np.zeros(0, RECORD_DTYPE)
    return _frame(header, records=none, gone=np.zeros(0, "<u4"), names=np.zeros(0, NAME_DTYPE), trails=trails)


def _frame(header: Any, **parts: Any) -> Frame:
    return Frame(
        kind=int(header["kind"]),
        sequence=int(header["sequence"]),
        base=int(header["base"]),
        t_ms=float(header["t_ms"]),
        origin_ms=float(header["origin_ms"]),
        total=int(header["total"]),
        check=int(header["check"]),
        **parts,
    )
