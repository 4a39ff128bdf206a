"""The past of one tracker: reports by frame and snapshots of the bank between them, as far back as a late report may reach."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Any

import numpy as np

from trilat.records.columns import REPORT_DTYPE, joined
from trilat.track.intake import Frame, FrameKey, Intake
from trilat.track.settings import TrackerSettings

SNAPSHOT_DENSE_NS = 4_000_000_000  # snapshots this young are all kept; older ones one in SNAPSHOT_SPARSE_NS
SNAPSHOT_SPARSE_NS = 10_000_000_000
# While nothing comes late, snapshots are as far apart as old ones are kept: each copies the whole bank.
SNAPSHOT_CALM_NS = SNAPSHOT_SPARSE_NS
BEFORE_ALL: FrameKey = (-(2**62), 0, 0)


class Past:
    """Frames in order of their keys, snapshots taken before some of them, and how far the bank has come (`done`)."""

    def __init__(self, settings: TrackerSettings, intake: Intake, bank: Any) -> None:
        from trilat.kernels import bank as kernels  # noqa: PLC0415 - numba loads here, when a tracker is made

        self._settings, self._intake, self._k = settings, intake, kernels
        self._pool = kernels.Pool()
        self.frames: dict[FrameKey, Frame] = {}
        self.keys: list[FrameKey] = []
        self.done: FrameKey | None = None
        self._late_ns = BEFORE_ALL[0]  # how far the bank had come when something last came late
        self.snapshots: list[tuple[FrameKey, Any]] = [(BEFORE_ALL, self._pool.take(bank))]
        self._open: tuple[FrameKey, Any] | None = None  # before the frames that more reports may still come into
        self.texts: dict[int, bytes] = {}  # callsigns by hash

    def store(self, reports: Any) -> tuple[FrameKey | None, int]:
        """Put reports into their frames; returns (the first frame that changed or None, how many came too late).

        Without a lag there is nothing to go back to: what belongs into a frame that has been run is late.
        """
        reports, cuts = self._intake.frames(reports)
        dirty: FrameKey | None = None
        late = 0
        for first, end in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
            part = reports.cut(first, end)
            key = self._intake.key(part)
            if self._settings.lag_s == 0.0 and self.done is not None and key <= self.done:
                late += end - first
            elif self._merge(key, part) and (dirty is None or key < dirty):
                dirty = key
        return dirty, late

    def _merge(self, key: FrameKey, part: Any) -> bool:
        """Add reports to one frame; tells whether it changed."""
        kept = self.frames.get(key)
        if kept is None:
            insort(self.keys, key)
        else:
            held = kept.reports
            part, _ = self._intake.frames(self._intake.views(joined([held, part.columns])))
            if len(part.columns) == len(held):
                return False
        self.frames[key] = made = self._intake.frame(part)
        self.texts.update(self._intake.callsigns(made))
        return True

    def rewind(self, bank: Any, dirty: FrameKey) -> int:
        """Put the bank back to before a frame, when it has gone beyond; returns the place in keys to go on from."""
        if self.done is None or dirty > self.done:
            return bisect_left(self.keys, dirty)
        if dirty[0] + int(self._intake.frame_ns[dirty[1]]) <= self.done[0]:  # not of a slot that is still open
            self._late_ns = self.done[0]
        if self._open is not None and self._open[0] > dirty:
            self._close()
        at = bisect_left(self.snapshots, dirty, key=lambda item: item[0])
        at -= 0 if at < len(self.snapshots) and self.snapshots[at][0] == dirty else 1
        for _, old in self.snapshots[at + 1 :]:
            self._pool.give(old)
        del self.snapshots[at + 1 :]
        key, snapshot = self.snapshots[at]
        if self._open is not None and self._open[0] > key:
            key, snapshot = self._open
        self._k.restore_rows(bank, snapshot)
        return bisect_left(self.keys, key)

    def _close(self) -> None:
        """Forget the snapshot before the open frames."""
        if self._open is not None:
            self._pool.give(self._open[1])
            self._open = None

    def runs(self, bank: Any, begin: int, newest_ns: int) -> Any:
        """Yield the frames from a place in keys on, in runs between which snapshots are taken; each must be run."""
        calm = newest_ns - self._late_ns > round(self._settings.lag_s * 1e9)
        every_ns = max(round(self._settings.snapshot_s * 1e9), SNAPSHOT_CALM_NS if calm else 0)
        run: list[tuple[FrameKey, Frame]] = []
        for key in self.keys[begin:] if begin else self.keys:
            due = self._settings.lag_s > 0.0 and key[0] - self.snapshots[-1][0][0] >= every_ns
            opens = not due and self._opens(key, newest_ns)
            if (due or opens) and run:
                yield run
                run = []
            if due:
                self.snapshots.append((self._from(key), self._pool.take(bank)))
            elif opens:
                self._close()
                self._open = (self._from(key), self._pool.take(bank))
            run.append((key, self.frames[key]))
            self.done = key
        if run:
            yield run

    def _from(self, key: FrameKey) -> FrameKey:
        """Return from which key on frames may come in behind a snapshot that is taken before a frame.

        At a slot's first that is from the slot's beginning on: another sensor's frame in it may come later, and go before it.
        """
        begins = (key[0], 0, -1)
        return begins if self.done is None or self.done < begins else key

    def _opens(self, key: FrameKey, newest_ns: int) -> bool:
        """Tell whether a frame is the first that may still grow, and no snapshot stands near before it.

        In a live feed a slot's reports come over many steps: without this each step would run seconds of frames again.
        """
        if self._settings.whole_scans or self._settings.lag_s == 0.0:
            return False
        if key[0] + int(self._intake.frame_ns[key[1]]) <= newest_ns:
            return False
        near = [self.snapshots[-1][0]] + ([self._open[0]] if self._open is not None else [])
        return all(start + int(self._intake.frame_ns[sensor]) <= newest_ns for start, sensor, _ in near)

    def forget(self, newest_ns: int) -> None:
        """Drop frames and snapshots older than the lag, and thin the snapshots that are not young."""
        # A frame begins up to its own length before the oldest report that may still come into it.
        oldest = newest_ns - round(self._settings.lag_s * 1e9) - self._intake.frame_ns_max
        young = newest_ns - SNAPSHOT_DENSE_NS
        kept: list[tuple[FrameKey, Any]] = []
        for item in self.snapshots:
            if item[0][0] < young and kept and item[0][0] - kept[-1][0][0] < SNAPSHOT_SPARSE_NS:
                self._pool.give(item[1])
            else:
                kept.append(item)
        while len(kept) > 1 and kept[1][0][0] <= oldest:
            self._pool.give(kept.pop(0)[1])
        self.snapshots = kept
        first = kept[0][0] if self._settings.lag_s > 0.0 else (oldest, 0, 0)
        cut = bisect_left(self.keys, first)
        for key in self.keys[:cut]:
            del self.frames[key]
        del self.keys[:cut]
        self._intake.wide.forget(min(oldest, self.keys[0][0]) if self.keys else oldest)

    def forget_texts(self, bank: Any) -> None:
        """Drop the callsigns that no track bears, once there are many."""
        if len(self.texts) > 4 * self._settings.tracks_max:
            live = set(bank.rows["identity"][: int(bank.head["rows"]), self._k.ID_CALLSIGN].tolist())
            self.texts = {h: text for h, text in self.texts.items() if h in live}

    def memory_bytes(self) -> int:
        """Return what frames and snapshots hold in arrays, spare memory included."""
        frames = sum(sum(one.nbytes for one in (f.reports, f.z, f.plots)) for f in self.frames.values())
        taken = [bank for _, bank in self.snapshots] + ([self._open[1]] if self._open is not None else [])
        held = sum(int((b.rows if b.rows.base is None else b.rows.base).nbytes) for b in taken)
        return int(frames + self._pool.memory_bytes() + held)

    def pack(self) -> dict[str, Any]:
        """Return everything as plain values, for a checkpoint."""
        return {
            "snapshots": [(key, pack_bank(bank)) for key, bank in self.snapshots],
            "open": (self._open[0], pack_bank(self._open[1])) if self._open is not None else None,
            "frames": [(key, self.frames[key].reports.tobytes()) for key in self.keys],
            "done": self.done,
            "late_ns": self._late_ns,
            "callsigns": sorted(self.texts.items()),
            "wide": self._intake.wide.checkpoint(),
        }

    def unpack(self, state: dict[str, Any]) -> None:
        """Take over what `pack` made."""
        self.snapshots = [(tuple(key), self.unpack_bank(packed)) for key, packed in state["snapshots"]]
        self._open = (tuple(state["open"][0]), self.unpack_bank(state["open"][1])) if state["open"] is not None else None
        self._intake.wide.restore(state["wide"])
        columns = ((tuple(key), np.frombuffer(raw, REPORT_DTYPE)) for key, raw in state["frames"])
        self.frames = {key: self._intake.frame(self._intake.views(part)) for key, part in columns}
        self.keys = list(self.frames)
        self.done = tuple(state["done"]) if state["done"] is not None else None
        self._late_ns = state["late_ns"]
        self.texts = dict(map(tuple, state["callsigns"]))

    def unpack_bank(self, packed: tuple[bytes, bytes]) -> Any:
        """Return the bank behind `pack_bank`'s bytes; ValueError when it was made by another build's rows."""
        head = np.frombuffer(packed[0], self._k.HEAD_DTYPE).copy()[0]
        return self._k.Bank(head, np.frombuffer(packed[1], self._k.ROW_DTYPE).copy())


def pack_bank(snapshot: Any) -> tuple[bytes, bytes]:
    """Return the bytes of a snapshot's head and rows."""
    return snapshot.head.tobytes(), snapshot.rows.tobytes()
