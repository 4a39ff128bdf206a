"""The tracker: reports in, tracks out, a pure function of the set of reports inside its lag (DESIGN section 5).

Reports are kept by frame for `lag_s`, with snapshots of the bank between them. What comes late goes into its frame, and the
frames from there on are run again from the snapshot before: the tracks are those of an in-order arrival, whatever the order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import msgspec
import numpy as np

from trilat.records.columns import TRACK_DTYPE, Reports, Tracks, empty_tracks, joined
from trilat.records.sensor import Sensor
from trilat.track.intake import Frame, FrameKey, Intake, columns_given, sensor_table, sensors_given, time_given
from trilat.track.past import Past, pack_bank
from trilat.track.settings import TrackerSettings, build_model, checked

CHECKPOINT_FORMAT = 6
STITCH_NS = 90_000_000_000  # how long a lost track's number waits for it to come back


_WHOLE = np.dtype(("V", TRACK_DTYPE.itemsize))


class Event(NamedTuple):
    """Something that happened to a track's number; `other` is -1 where none is meant.

    "confirmed": it was confirmed. "deleted": it is no more. "stitched": it came back, having been `other` till now. "merged":
    `other` is no more and was where this one is. "split": `other` was confirmed, having begun where this one was.
    """

    t_ns: int
    kind: str
    number: int
    other: int = -1


class Tracker:
    """One tracker: one stream of track numbers, one bank, one table of sensors (at most 64).

    `refused` counts reports by the reason they were not used, `shed` what the bounds made it drop, `events` keeps the last
    confirmations, deletions, stitches, merges and splits. Deterministic: the same reports give the same bytes in any order,
    batching or hash seed.
    """

    def __init__(self, settings: TrackerSettings, sensors: Sequence[Sensor], stream: str, table: Any = None) -> None:
        """Make a tracker. `table` replaces the sensor table (kernels/bank.py S_ columns) for frames other than the Earth's."""
        from trilat.kernels import bank, engine, show  # noqa: PLC0415 - numba loads here, when a tracker is made

        sensors = sensors_given(sensors)
        if not isinstance(stream, str):
            msg = f"stream is a {type(stream).__name__}, the name of this stream of tracks wanted"  # type: ignore[unreachable]  # callers may be untyped
            raise TypeError(msg)
        if len(sensors) > bank.SENSORS:
            msg = f"{len(sensors)} sensors given, one tracker takes at most {bank.SENSORS}: split them over several trackers"
            raise ValueError(msg)
        self.settings, self.sensors, self.stream = checked(settings), sensors, stream
        self._k, self._engine, self._view = bank, engine, show
        self._table = sensor_table(sensors, settings) if table is None else np.ascontiguousarray(table, np.float64)
        self._bank = bank.new_bank(settings.tracks_max, bank.ALTERNATES if settings.association == "mht" else 0)
        # The engine's records go over in arrays of one: see kernels/bank.py box.
        self._models, self._heads = bank.box(build_model(settings)), bank.box(self._bank.head)
        self._works = bank.box(bank.record(bank.WORK_DTYPE))
        self.refused: Counter[str] = Counter()
        self.shed: Counter[str] = Counter()
        self.events: list[Event] = []
        self._intake = Intake(sensors, settings)
        self.wide = self._intake.wide
        self._past = Past(settings, self._intake, self._bank)
        self._newest_ns = 0
        self._next_number = 1
        # What was shown last (kernels/show.py HELD_ROW), the same of the show before, and scratch for the kernel's answers.
        self._held, self._next_held = (np.zeros(settings.tracks_max, show.HELD_ROW) for _ in range(2))
        self._held_count, self._ordered = 0, 0  # rows in _held; places of _lists[0] that hold those shown last, by number
        self._lists = np.empty((4, settings.tracks_max), np.int64)
        self._alone = np.arange(max(len(sensors), 1)).reshape(-1, 1)  # by sensor, whose one frame a run is of
        self._lost = empty_tracks(0)  # confirmed tracks deleted within STITCH_NS as last shown, in order of their numbers
        self._shown = empty_tracks(0)

    def step(self, now_ns: int, batches: Sequence[Reports]) -> Tracks:
        """Take in reports and return every live track at now_ns, ordered by number.

        A report of another time than its neighbours is welcome in any order within `lag_s`; what is refused is counted in
        `refused` by name. Batches hold REPORT_DTYPE columns whose `sensor` is an index into this tracker's sensors. Raises
        TypeError for a time that is no whole number and for batches that are none; nothing is taken in then.
        """
        now_ns = time_given("now_ns", now_ns)
        new = self._accept(now_ns, batches)
        if new is not None:
            dirty, late = self._past.store(new)
            if late:
                self.refused["report-late"] += late
            if dirty is not None:
                self._run(dirty)
            self._past.forget(self._newest_ns)
            self._past.forget_texts(self._bank)
            for reason, name in (("tracks-full", "full"), ("pairs-full", "pairs")):
                if (count := int(self._bank.head[name])) or reason in self.shed:
                    self.shed[reason] = count
            if self.shed:
                self.shed = +self.shed
        return self._show(now_ns)

    def look(self, t_ns: int, sensor: int) -> None:
        """Say that a sensor looked at t_ns and saw nothing: tracks in its sight were missed. For whole-scan sensors only.

        In time order only: a look is not a report, is not stored, and a late one is ignored. Raises ValueError for a sensor that
        there is not.
        """
        t_ns = time_given("t_ns", t_ns)
        if sensor not in range(len(self.sensors)):
            msg = f"sensor is {sensor!r}, an index into the {len(self.sensors)} sensors of this tracker wanted"
            raise ValueError(msg)
        if self._past.done is None or t_ns >= self._past.done[0]:
            self._engine.look_empty(self._models, self._heads, self._bank.rows, self._table, sensor, t_ns)

    def modes(self) -> Any:
        """Return what each track of the last step is in each of its modes, ordered by number: what `smoothed` makes paths of.

        MODES_DTYPE of track/smooth.py. Not of a restored tracker before its first step, which has shown nothing yet.
        """
        from trilat.track.smooth import stored  # noqa: PLC0415 - only who smooths needs it

        row = self._lists[0][: self._ordered]
        return stored(self._bank.rows, row, self._held[row], self._shown)

    def fit(self) -> Any:
        """Return, by sensor, sums since the start over every plot that updated a track alone: (sensors, 6).

        Columns: plots, components, sum of normalised innovation squares, sums of the first three innovations in units of their
        sigma. What a late report changed is changed here too: like the tracks, a function of the set of reports.
        """
        return self._bank.head["fit"][: len(self.sensors)].copy()

    def checkpoint(self) -> bytes:
        """Return everything a tracker made of the same settings and sensors needs to go on as if it were this one."""
        held = self._held[: self._held_count]
        held = np.sort(held[held["key"] >= 0], order="number")
        state = {
            "format": CHECKPOINT_FORMAT,
            "stream": self.stream,
            "bank": pack_bank(self._k.Bank(self._bank.head, self._k.in_use(self._bank)[1])),
            "past": self._past.pack(),
            "newest_ns": self._newest_ns,
            "next_number": self._next_number,
            "held": [held[name].tolist() for name in ("key", "number", "sure")],
            "refused": sorted(self.refused.items()),
            "shed": sorted(self.shed.items()),
            "events": [tuple(event) for event in self.events],
            "shown": self._shown.tobytes(),
            "lost": [one.tobytes() for one in self._lost],
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
        self._k.restore_rows(self._bank, self._past.unpack_bank(state["bank"]))
        self._past.unpack(state["past"])
        self._newest_ns, self._next_number = state["newest_ns"], state["next_number"]
        self._held_count, self._ordered = len(state["held"][0]), 0  # in any rows: they are found by their names
        for name, values in zip(("key", "number", "sure"), state["held"], strict=True):
            self._held[name][: self._held_count] = values
        self.refused, self.shed = Counter(dict(state["refused"])), Counter(dict(state["shed"]))
        self.events = [Event(*event) for event in state["events"]]
        self._lost = np.frombuffer(b"".join(state["lost"]), TRACK_DTYPE).copy()
        self._shown = np.frombuffer(state["shown"], TRACK_DTYPE).copy()

    def memory_bytes(self) -> int:
        """Return what the tracker holds in arrays: its bank, and as much of the past as the lag needs. Steady over time."""
        own = (self._bank.rows, self._held, self._next_held, self._lists, self._shown)
        return sum(one.nbytes for one in own) + self._past.memory_bytes()

    def _accept(self, now_ns: int, batches: Sequence[Reports]) -> Any:
        """Return the usable reports of the batches in canonical order, or None; count the others."""
        parts = columns_given(batches)
        if not parts:
            return None
        columns = joined(parts)
        oldest_ns = self._newest_ns - round(self.settings.lag_s * 1e9)
        reports, newest_ns, refused = self._intake.sift(columns, now_ns, oldest_ns)
        if refused:
            self.refused.update(refused)
        if len(reports.columns) > self.settings.reports_max:
            self.shed["reports-full"] += len(reports.columns) - self.settings.reports_max
            reports = self._intake.frames(reports)[0].cut(0, self.settings.reports_max)
            newest_ns = int(reports.columns["t_ns"].max())
        if not len(reports.columns):
            return None
        self._newest_ns = max(self._newest_ns, newest_ns)
        return reports

    def _run(self, dirty: FrameKey) -> None:
        """Run every frame from `dirty` on, from the last snapshot before it when frames beyond it have been run already."""
        begin = self._past.rewind(self._bank, dirty)
        for run in self._past.runs(self._bank, begin, self._newest_ns):
            for _, same in groupby(run, lambda item: item[1].z.shape[1]):  # tracklets have wider rows than plots
                self._run_alike(list(same))

    def _run_alike(self, run: list[tuple[FrameKey, Frame]]) -> None:
        """Run frames whose plots have rows of one width, in one call."""
        given = (self._models, self._heads, self._bank.rows, self._table)
        if len(run) == 1:
            key, frame = run[0]
            parts = len(frame.starts) - 1
            who = self._alone[key[1]] if parts == 1 else np.full(parts, key[1], np.int64)
            self._engine.run_frames(*given, who, frame.starts, frame.z, frame.plots, self._works)
            return
        frames = [frame for _, frame in run]
        who = np.repeat([key[1] for key, _ in run], [len(frame.starts) - 1 for frame in frames])
        ends = np.cumsum([0, *(len(frame.z) for frame in frames)])
        starts = np.concatenate([*(frame.starts[:-1] + end for frame, end in zip(frames, ends, strict=False)), ends[-1:]])
        z, plots = np.concatenate([frame.z for frame in frames]), np.concatenate([frame.plots for frame in frames])
        self._engine.run_frames(*given, who, starts, z, plots, self._works)

    def _show(self, now_ns: int) -> Tracks:
        """Return the live tracks moved to now_ns, and the numbers of those that went."""
        row, fresh, gone, missing = self._lists
        given = (self._models, self._heads, self._bank.rows, now_ns, self._next_number, self._held, self._held_count)
        first = self._next_number
        lists = (row, self._ordered, fresh, gone, missing)
        n, self._next_number, sure, away, lost = self._view.number(*given, self._next_held, *lists)
        self._ordered = n
        out, callsign = np.empty(n, TRACK_DTYPE), np.empty(n, np.int64)
        out["callsign"] = b""  # the kernel leaves them alone
        self._view.show(self._models, self._heads, self._bank.rows, now_ns, row[:n], self._next_held, out, callsign, self._works)
        if self._past.texts:
            for k in np.flatnonzero(callsign >= 0).tolist():
                out["callsign"][k] = self._past.texts.get(int(callsign[k]), b"")
        ended: list[int] = gone[:away].tolist()
        if lost:
            self._end(now_ns, out, np.sort(missing[:lost]))
        if sure:
            given_up = self._stitch(now_ns, out, row, fresh[:sure])
            if given_up:  # for numbers that came back
                ended += [number for number in given_up if number < first]
                out = _by_number(out)
        self._held, self._next_held = self._next_held, self._held
        self._held_count = int(self._bank.head["rows"])
        self._shown = out
        return Tracks(stream=self.stream, t_ns=now_ns, columns=out, deleted=tuple(sorted(ended)))

    def _end(self, now_ns: int, out: Any, ended: Any) -> None:
        """Tell of the confirmed tracks that are no more, by number, and remember them for a while; of others nothing is told."""
        last = _some(self._shown, np.searchsorted(self._shown["number"], ended))
        into = np.empty(len(last), np.int64)
        self._view.merged_into(out, last, into)
        for number, at in zip(ended.tolist(), into.tolist(), strict=True):
            self._note(Event(now_ns, "deleted", number) if at < 0 else Event(now_ns, "merged", int(out["number"][at]), number))
        self._lost = _by_number(joined([self._still_lost(now_ns), last]))

    def _still_lost(self, now_ns: int) -> Any:
        """Return the lost tracks that may still come back."""
        lost = self._lost
        if not len(lost):
            return lost
        young = now_ns - lost["updated_t_ns"] < STITCH_NS
        return lost if young.all() else _some(lost, young)

    def _stitch(self, now_ns: int, out: Any, row: Any, fresh: Any) -> list[int]:
        """Give newly confirmed tracks the numbers of those lost shortly before, where these could have come here.

        Returns the numbers that they had until then, and give up.
        """
        lost = self._still_lost(now_ns)
        old, beside = np.empty((2, len(fresh)), np.int64)
        self._view.came_from(lost, out, fresh, old, beside)
        numbers, ended = out["number"], []
        for k, was, by in zip(fresh.tolist(), old.tolist(), beside.tolist(), strict=True):
            number = int(numbers[k])
            if was < 0:
                self._note(Event(now_ns, "confirmed", number) if by < 0 else Event(now_ns, "split", int(numbers[by]), number))
                continue
            self._note(Event(now_ns, "stitched", int(lost["number"][was]), number))
            self._next_held["number"][row[k]] = numbers[k] = lost["number"][was]
            out["born_t_ns"][k] = lost["born_t_ns"][was]
            ended.append(number)
        self._lost = np.delete(lost, old[old >= 0]) if ended else lost
        return ended

    def _note(self, event: Event) -> None:
        """Keep an event, the oldest making room."""
        self.events.append(event)
        if len(self.events) > self.settings.events_max:
            del self.events[: -self.settings.events_max]


def _some(tracks: Any, places: Any) -> Any:
    """Return some tracks of columns. As bytes: eight times as quick as field by field."""
    return tracks.view(_WHOLE)[places].view(TRACK_DTYPE)


def _by_number(tracks: Any) -> Any:
    """Return track columns in order of their numbers."""
    return _some(tracks, np.argsort(tracks["number"], kind="stable"))
