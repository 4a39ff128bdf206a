"""The tracker: reports in, tracks out, a pure function of the set of reports inside its lag (DESIGN section 5).

Reports are kept by frame for `lag_s`, with snapshots of the bank between them. What comes late goes into its frame, and the
frames from there on are run again from the snapshot before: the tracks are those of an in-order arrival, whatever the order.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
import numpy as np

from trilat.records.columns import REPORT_DTYPE, TRACK_DTYPE, Reports, Tracks, empty_tracks
from trilat.records.sensor import Sensor
from trilat.track.intake import FrameKey, canonical, frame_keys, refuse, sensor_table, to_frame
from trilat.track.settings import TrackerSettings, build_model
from trilat.track.wide import WideRows

SNAPSHOT_DENSE_NS = 4_000_000_000  # snapshots this young are all kept; older ones one in SNAPSHOT_SPARSE_NS
SNAPSHOT_SPARSE_NS = 10_000_000_000
CHECKPOINT_FORMAT = 2
STITCH_NS = 90_000_000_000  # how long a lost track's number waits for it to come back
STITCH_GATE = 4.0  # squared, in sigmas of all three axes together
STITCH_NOISE_M2_S3 = 1.0
BEFORE_ALL: FrameKey = (-(2**62), 0, 0)
_SHOWN_STATUS = np.array([0, 0, 1, 2], np.uint8)  # the bank's states to records.columns.STATUSES


class Event(NamedTuple):
    """Something that happened to a track's number: "confirmed", "deleted", or "stitched" (`other` was its number till now)."""

    t_ns: int
    kind: str
    number: int
    other: int = -1


class Tracker:
    """One tracker: one stream of track numbers, one bank, one table of sensors (at most 64).

    `refused` counts reports by the reason they were not used, `shed` what the bounds made it drop, `events` keeps the last
    confirmations, deletions and stitches. Deterministic: the same reports give the same bytes in any order,
    batching or hash seed.
    """

    def __init__(self, settings: TrackerSettings, sensors: Sequence[Sensor], stream: str, table: Any = None) -> None:
        """Make a tracker. `table` replaces the sensor table (kernels/bank.py S_ columns) for frames other than the Earth's."""
        from trilat.kernels import bank, engine  # noqa: PLC0415 - numba loads here, when a tracker is made

        if len(sensors) > bank.SENSORS:
            msg = f"{len(sensors)} sensors given, one tracker takes at most {bank.SENSORS}: split them over several trackers"
            raise ValueError(msg)
        self.settings, self.sensors, self.stream = settings, tuple(sensors), stream
        self._k, self._engine = bank, engine
        self._model = build_model(settings)
        self._table = sensor_table(sensors, settings) if table is None else np.ascontiguousarray(table, np.float64)
        self._bank = bank.new_bank(settings.tracks_max)
        self._work = bank.record(bank.WORK_DTYPE)
        self._frame_ns = np.array([self._slot_ns(s) for s in sensors] or [1], np.int64)
        self.refused: Counter[str] = Counter()
        self.shed: Counter[str] = Counter()
        self.events: list[Event] = []
        self._frames: dict[FrameKey, Any] = {}
        self._ready: dict[FrameKey, Any] = {}
        self._keys: list[FrameKey] = []
        self._done: FrameKey | None = None
        self._snapshots: list[tuple[FrameKey, Any]] = [(BEFORE_ALL, bank.copy_rows(self._bank))]
        self._newest_ns = 0
        self._numbers: dict[int, int] = {}
        self._next_number = 1
        self._callsigns: dict[int, bytes] = {}
        self._sure: set[int] = set()  # numbers of live tracks that have been confirmed
        self._lost: dict[int, Any] = {}  # number -> last columns of each such track deleted within STITCH_NS
        self._shown = empty_tracks(0)
        self.wide = WideRows()

    def _slot_ns(self, sensor: Sensor) -> int:
        """Return how long a frame of a sensor lasts: never more than half its period, so that it sees a target once in it."""
        longest = self.settings.frame_s if self.settings.whole_scans else min(self.settings.frame_s, sensor.period_s / 2)
        return max(round(longest * 1e9), 1_000_000)

    def step(self, now_ns: int, batches: Sequence[Reports]) -> Tracks:
        """Take in reports and return every live track at now_ns, ordered by number.

        A report of another time than its neighbours is welcome in any order within `lag_s`; what is refused is counted in
        `refused` by name. Batches hold REPORT_DTYPE columns whose `sensor` is an index into this tracker's sensors.
        """
        new = self._accept(now_ns, batches)
        if new is not None:
            dirty = self._store(new)
            if dirty is not None:
                self._run(dirty)
            self._forget()
            self.shed["tracks-full"], self.shed["pairs-full"] = int(self._bank.head["full"]), int(self._bank.head["pairs"])
            self.shed = +self.shed
        return self._show(now_ns)

    def look(self, t_ns: int, sensor: int) -> None:
        """Say that a sensor looked at t_ns and saw nothing: tracks in its sight were missed. For whole-scan sensors only.

        In time order only: a look is not a report, is not stored, and a late one is ignored.
        """
        if self._done is None or t_ns >= self._done[0]:
            self._engine.look_empty(self._model, *self._bank, self._table, sensor, t_ns)

    def fit(self) -> Any:
        """Return, by sensor, sums since the start over every plot that updated a track alone: (sensors, 6).

        Columns: plots, components, sum of normalised innovation squares, sums of the first three innovations in units of their
        sigma. What a late report changed is changed here too: like the tracks, a function of the set of reports.
        """
        return self._bank.head["fit"][: len(self.sensors)].copy()

    def checkpoint(self) -> bytes:
        """Return everything a tracker made of the same settings and sensors needs to go on as if it were this one."""
        state = {
            "format": CHECKPOINT_FORMAT,
            "stream": self.stream,
            "bank": _pack_bank(self._k.copy_rows(self._bank)),
            "snapshots": [(key, _pack_bank(bank)) for key, bank in self._snapshots],
            "frames": [(key, self._frames[key].tobytes()) for key in self._keys],
            "done": self._done,
            "newest_ns": self._newest_ns,
            "next_number": self._next_number,
            "numbers": sorted(self._numbers.items()),
            "callsigns": sorted(self._callsigns.items()),
            "refused": sorted(self.refused.items()),
            "shed": sorted(self.shed.items()),
            "events": [tuple(event) for event in self.events],
            "sure": sorted(self._sure),
            "shown": self._shown.tobytes(),
            "wide": self.wide.checkpoint(),
            "lost": [c.tobytes() for _, c in sorted(self._lost.items())],
        }
        return msgspec.msgpack.encode(state)

    def restore(self, checkpoint: bytes) -> None:
        """Take over a checkpoint. Raises ValueError when it is of another stream or format."""
        state = msgspec.msgpack.decode(checkpoint)
        if state["format"] != CHECKPOINT_FORMAT or state["stream"] != self.stream:
            msg = (
                f"checkpoint of stream {state['stream']!r}, format {state['format']}: not of {self.stream!r}, {CHECKPOINT_FORMAT}"
            )
            raise ValueError(msg)
        self._k.restore_rows(self._bank, self._unpack_bank(state["bank"]))
        self._snapshots = [(tuple(key), self._unpack_bank(packed)) for key, packed in state["snapshots"]]
        self._frames = {tuple(key): np.frombuffer(raw, REPORT_DTYPE).copy() for key, raw in state["frames"]}
        self._keys, self._ready = list(self._frames), {}
        self._done = tuple(state["done"]) if state["done"] is not None else None
        self._newest_ns, self._next_number = state["newest_ns"], state["next_number"]
        self._numbers = dict(map(tuple, state["numbers"]))
        self._callsigns = dict(map(tuple, state["callsigns"]))
        self.refused, self.shed = Counter(dict(state["refused"])), Counter(dict(state["shed"]))
        self.events = [Event(*event) for event in state["events"]]
        self._sure, self._lost = set(state["sure"]), _by_number(state["lost"])
        self._shown = np.frombuffer(state["shown"], TRACK_DTYPE).copy()
        self.wide.restore(state["wide"])

    def _unpack_bank(self, packed: tuple[bytes, bytes]) -> Any:
        """Return the bank behind `_pack_bank`'s bytes; ValueError when it was made by another build's rows."""
        head = np.frombuffer(packed[0], self._k.HEAD_DTYPE).copy()[0]
        return self._k.Bank(head, np.frombuffer(packed[1], self._k.ROW_DTYPE).copy())

    def _accept(self, now_ns: int, batches: Sequence[Reports]) -> Any:
        """Return the usable reports of the batches in canonical order, or None; count the others."""
        parts = [batch.columns for batch in batches if len(batch.columns)]
        if not parts:
            return None
        columns = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if columns.dtype != REPORT_DTYPE:
            msg = f"columns of {columns.dtype} given, REPORT_DTYPE wanted: make them with records.columns.empty_reports"
            raise TypeError(msg)
        oldest_ns = self._newest_ns - round(self.settings.lag_s * 1e9)
        use, counts = refuse(columns, now_ns, oldest_ns, len(self.sensors), self.settings)
        self.refused.update(counts)
        if counts:
            columns = columns[use]
        if len(columns) > self.settings.reports_max:
            self.shed["reports-full"] += len(columns) - self.settings.reports_max
            columns = canonical(columns)[: self.settings.reports_max]
        if not len(columns):
            return None
        self._newest_ns = max(self._newest_ns, int(columns["t_ns"].max()))
        return canonical(columns)

    def _store(self, columns: Any) -> FrameKey | None:
        """Put reports into their frames; return the first frame that changed, or None when all were known already."""
        keys = frame_keys(columns, self._frame_ns)
        if len(keys) == 1 or not (keys[1:] != keys[:-1]).any():
            groups = [(tuple(keys[0].tolist()), columns)]
        else:
            order = np.lexsort((keys[:, 2], keys[:, 1], keys[:, 0]))
            keys, columns = keys[order], columns[order]
            cuts = np.flatnonzero((keys[1:] != keys[:-1]).any(axis=1)) + 1
            edges = [0, *cuts.tolist(), len(keys)]
            groups = [(tuple(keys[a].tolist()), columns[a:b]) for a, b in pairwise(edges)]
        dirty: FrameKey | None = None
        for key, part in groups:
            if self.settings.lag_s == 0.0 and self._done is not None and key <= self._done:
                self.refused["report-late"] += len(part)  # without a lag there is nothing to go back to
            elif self._merge(key, part) and (dirty is None or key < dirty):
                dirty = key
        return dirty

    def _merge(self, key: FrameKey, part: Any) -> bool:
        """Add reports to one frame; tells whether it changed."""
        kept = self._frames.get(key)
        if kept is None:
            self._frames[key] = part
            insort(self._keys, key)
        else:
            both = canonical(np.concatenate([kept, part]))
            if len(both) == len(kept):
                return False
            self._frames[key] = both
        self._ready.pop(key, None)
        return True

    def _run(self, dirty: FrameKey) -> None:
        """Run every frame from `dirty` on, from the last snapshot before it when frames beyond it have been run already."""
        begin = bisect_left(self._keys, dirty)
        if self._done is not None and dirty <= self._done:
            at = bisect_left(self._snapshots, dirty, key=lambda item: item[0])
            at -= 0 if at < len(self._snapshots) and self._snapshots[at][0] == dirty else 1
            key, snapshot = self._snapshots[at]
            self._k.restore_rows(self._bank, snapshot)
            del self._snapshots[at + 1 :]
            begin = bisect_left(self._keys, key)
        snapshot_ns = round(self.settings.snapshot_s * 1e9)
        keep = self.settings.lag_s > 0.0
        for key in self._keys[begin:]:
            if keep and key[0] - self._snapshots[-1][0][0] >= snapshot_ns:
                self._snapshots.append((key, self._k.copy_rows(self._bank)))
            frame = self._ready.get(key)
            if frame is None:
                frame = self._ready[key] = to_frame(self._frames[key], self.sensors[key[1]], self.wide)
                self._note_callsigns(self._frames[key], frame)
            self._engine.step_frame(self._model, *self._bank, self._table, key[1], frame.z, frame.plots, self._work)
            self._done = key

    def _note_callsigns(self, columns: Any, frame: Any) -> None:
        """Remember the text behind each callsign hash of a frame."""
        hashes = frame.plots[:, self._k.I_ID + self._k.ID_CALLSIGN]
        if (hashes >= 0).any():
            from trilat.track.intake import callsign_hash  # noqa: PLC0415 - a rare path

            own = callsign_hash(columns["callsign"])
            self._callsigns.update(zip(own.tolist(), columns["callsign"].tolist(), strict=True))

    def _forget(self) -> None:
        """Drop frames and snapshots older than the lag, and thin the snapshots that are not young."""
        # A frame begins up to its own length before the oldest report that may still come into it.
        oldest = self._newest_ns - round(self.settings.lag_s * 1e9) - int(self._frame_ns.max())
        young = self._newest_ns - SNAPSHOT_DENSE_NS
        kept: list[tuple[FrameKey, Any]] = []
        for item in self._snapshots:
            sparse = item[0][0] < young and kept and item[0][0] - kept[-1][0][0] < SNAPSHOT_SPARSE_NS
            if not sparse:
                kept.append(item)
        while len(kept) > 1 and kept[1][0][0] <= oldest:
            kept.pop(0)
        self._snapshots = kept
        first = kept[0][0] if self.settings.lag_s > 0.0 else (oldest, 0, 0)
        cut = bisect_left(self._keys, first)
        for key in self._keys[:cut]:
            self._frames.pop(key, None)
            self._ready.pop(key, None)
        del self._keys[:cut]
        self.wide.forget(oldest)
        if len(self._callsigns) > 4 * self.settings.tracks_max:
            live = set(self._bank.rows["identity"][: int(self._bank.head["rows"]), self._k.ID_CALLSIGN].tolist())
            self._callsigns = {h: text for h, text in self._callsigns.items() if h in live}

    def _show(self, now_ns: int) -> Tracks:
        """Return the live tracks moved to now_ns, and the numbers of those that went."""
        rows = int(self._bank.head["rows"])
        row, mean, covariance = np.empty(rows, np.int64), np.empty((rows, 6)), np.empty((rows, 6, 6))
        n = self._engine.show(self._model, *self._bank, now_ns, row, mean, covariance, self._work)
        b, row = self._bank.rows, row[:n]
        number = self._number(b["key"][row].tolist(), b["born_ns"][row].tolist())
        order = np.argsort(number, kind="stable")
        row, out = row[order], empty_tracks(n)
        out["number"], out["t_ns"] = number[order], now_ns
        out["updated_t_ns"], out["born_t_ns"] = b["updated_ns"][row], b["born_ns"][row]
        out["status"], out["domain"] = _SHOWN_STATUS[b["status"][row]], _domains(b["domain"][row])
        for name in ("flags", "existence", "sensors"):
            out[name] = b[name][row]
        mean, out["covariance"] = mean[order], covariance[order]
        out["position_m"], out["velocity_m_s"] = mean[:, :3], mean[:, 3:]
        known = np.where(b["identity_count"][row] > 0, b["identity"][row], -1)
        out["mode_3a"], out["address"], out["mmsi"] = known[:, 0], known[:, 1], known[:, 2]
        for k in np.flatnonzero(known[:, 3] >= 0).tolist():
            out["callsign"][k] = self._callsigns.get(int(known[k, 3]), b"")
        if self._stitch(now_ns, out, b["key"][row].tolist()):
            out = out[np.argsort(out["number"], kind="stable")]
        return Tracks(stream=self.stream, t_ns=now_ns, columns=out, deleted=self._gone(now_ns, out))

    def _number(self, keys: list[int], born: list[int]) -> Any:
        """Return the numbers of tracks by their lasting names, giving new ones in order of birth."""
        known = self._numbers
        fresh = sorted((b, k) for b, k in zip(born, keys, strict=True) if k not in known)
        for _, key in fresh:
            known[key] = self._next_number
            self._next_number += 1
        return np.array([known[key] for key in keys], np.int64)

    def _stitch(self, now_ns: int, out: Any, keys: list[int]) -> bool:
        """Give a newly confirmed track the number of one lost shortly before, where that one could have come here."""
        new = set(out["number"][out["status"] == 1].tolist()) - self._sure
        self._sure |= new
        if not new:
            return False
        self._lost = {n: c for n, c in self._lost.items() if now_ns - int(c["updated_t_ns"]) < STITCH_NS}
        changed = False
        for k in np.flatnonzero(np.isin(out["number"], list(new))).tolist():
            old = min((n for n, c in self._lost.items() if _reaches(c, out[k])), default=None)
            number = int(out["number"][k])
            if old is None:
                self._note(Event(now_ns, "confirmed", number))
                continue
            self._note(Event(now_ns, "stitched", old, number))
            self._sure ^= {number, old}
            self._numbers[keys[k]] = old
            out["number"][k] = old
            out["born_t_ns"][k] = self._lost.pop(old)["born_t_ns"]
            changed = True
        return changed

    def _gone(self, now_ns: int, out: Any) -> tuple[int, ...]:
        """Return the numbers that were live at the last step and are not now; remember the confirmed ones for a while."""
        before, self._shown = self._shown, out
        gone = tuple(sorted(set(before["number"].tolist()) - set(out["number"].tolist())))
        if gone:
            dead = set(gone)
            self._numbers = {key: number for key, number in self._numbers.items() if number not in dead}
            for row in before[np.isin(before["number"], sorted(dead & self._sure))]:
                self._lost[int(row["number"])] = row.copy()
                self._note(Event(now_ns, "deleted", int(row["number"])))
            self._sure -= dead
        return gone

    def _note(self, event: Event) -> None:
        """Keep an event, the oldest making room."""
        self.events.append(event)
        if len(self.events) > self.settings.events_max:
            del self.events[: -self.settings.events_max]


def _reaches(lost: Any, new: Any) -> bool:
    """Tell whether a lost track, going on as it was, could have become a new one: same identity or none, and close enough."""
    for name in ("address", "mmsi"):
        if lost[name] >= 0 and new[name] >= 0 and lost[name] != new[name]:
            return False
    dt = (int(new["t_ns"]) - int(lost["t_ns"])) * 1e-9
    ahead = lost["position_m"] + dt * lost["velocity_m_s"] - new["position_m"]
    turn = lost["velocity_m_s"] - new["velocity_m_s"]
    reach_m2 = (
        np.trace(lost["covariance"][:3, :3])
        + dt * dt * np.trace(lost["covariance"][3:, 3:])
        + np.trace(new["covariance"][:3, :3])
    )
    speed_m2_s2 = np.trace(lost["covariance"][3:, 3:]) + np.trace(new["covariance"][3:, 3:])
    drift = STITCH_NOISE_M2_S3 * abs(dt)
    near = float(ahead @ ahead) < STITCH_GATE * (reach_m2 + drift * dt * dt / 3.0)
    return bool(near and float(turn @ turn) < STITCH_GATE * (speed_m2_s2 + drift))


def _domains(probability: Any) -> Any:
    """Return the likeliest domain (index into records.columns.DOMAINS), unknown where none reaches six in ten."""
    best = probability.argmax(axis=1) if len(probability) else np.zeros(0, np.int64)
    share = probability.max(axis=1) / np.maximum(probability.sum(axis=1), 1e-300) if len(probability) else np.zeros(0)
    return np.where(share >= 0.6, best, 0)


def _by_number(rows: list[bytes]) -> dict[int, Any]:
    """Return track columns by their number."""
    made = [np.frombuffer(raw, TRACK_DTYPE).copy()[0] for raw in rows]
    return {int(c["number"]): c for c in made}


def _pack_bank(bank: Any) -> tuple[bytes, bytes]:
    """Return a bank's head and rows as bytes."""
    return bank.head.tobytes(), bank.rows.tobytes()
