"""One audience's sensors of one tier: the tracker fed with them alone, and what leaves of it (DESIGN section 5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from trilat.fuse.tracklet import MODEL_OF_DOMAIN, TrackletMaker, plots_of_tracks
from trilat.joint.watch import SensorWatch
from trilat.policy.labels import join
from trilat.records.columns import DOMAINS, STATUSES, Reports, Tracks, empty_tracks, picked
from trilat.records.label import Label
from trilat.records.sensor import Sensor
from trilat.records.track import Track, Tracklet
from trilat.track import Tracker, TrackerSettings
from trilat.track.records import to_records

TierName = Literal["tracklet", "track", "area"]
NS_PER_MS = 1_000_000
SHOWN = ("confirmed", "coasting")
_IS_SHOWN = np.array([word in SHOWN for word in STATUSES])


def label_joiner(sensors: Sequence[Sensor]) -> Callable[[int], Label]:
    """Return a cached function from a bit set over `sensors` to the join of their labels (of all of them for an empty set)."""
    known: dict[int, Label] = {}

    def label_of(bits: int) -> Label:
        label = known.get(bits)
        if label is None:
            chosen = [sensor for k, sensor in enumerate(sensors) if bits >> k & 1] or list(sensors)
            label = known[bits] = join([sensor.label for sensor in chosen])
        return label

    return label_of


def stream_name(nation: str, what: str, started_ns: int) -> str:
    """Return the name of a stream of track numbers: a node that starts again numbers anew, so it begins another stream.

    started_ns: the pipeline's start, which the journal's begin record holds, so that a replay gives the same name.
    """
    return f"{nation}/{what}/{started_ns // NS_PER_MS}"


class TierTracker:
    """What an audience gets at one tier. It knows of no sensor of another tier, nor of a withheld one.

    turn_ns: when in each second its sensors are judged (`watch.turn_of`).
    """

    def __init__(
        self,
        nation: str,
        tier: TierName,
        sensors: Sequence[Sensor],
        settings: TrackerSettings,
        started_ns: int = 0,
        turn_ns: int = 0,
    ) -> None:
        stream = stream_name(nation, tier, started_ns)
        self.nation, self.tier, self.sensors = nation, tier, tuple(sensors)
        self.index = {sensor.id: k for k, sensor in enumerate(self.sensors)}
        self.tracker = Tracker(settings, self.sensors, stream)
        self.watch = SensorWatch(self.sensors, turn_ns=turn_ns, tracker=settings)
        self.label_of = label_joiner(self.sensors)
        self.waiting: list[Reports] = []
        self._sent: dict[int, Track] = {}
        self._last: Any = empty_tracks(0)  # what was shown at the last step, by number
        self._maker = TrackletMaker(nation, stream) if tier == "tracklet" else None

    def step(self, now_ns: int) -> Sequence[Track | Tracklet]:
        """Take in what has waited and return what is to be offered to the audience now."""
        waiting, self.waiting = self.waiting, []
        usable = self.watch.take(now_ns, waiting)
        tracks = self.tracker.step(now_ns, usable)
        self.watch.learn(now_ns, tracks, self.tracker.fit())
        return self._tracks(now_ns, tracks) if self._maker is None else self._tracklets(self._maker, tracks, usable)

    def ended(self, now_ns: int) -> list[Track]:
        """Return the last word on every track that was offered: this tracker ends."""
        return [msgspec.structs.replace(self._sent[number], t_ns=now_ns, status="deleted") for number in sorted(self._sent)]

    def _tracklets(self, maker: TrackletMaker, tracks: Tracks, batches: Sequence[Reports]) -> list[Tracklet]:
        """Return the tracklets of the plots that belong to confirmed tracks; each plot is in one of them, once."""
        row_of = {int(number): k for k, number in enumerate(tracks.columns["number"].tolist())}
        for k, sensor in enumerate(self.sensors):
            parts = [batch.columns for batch in batches if int(batch.columns["sensor"][0]) == k]
            if not parts:
                continue
            for columns in _looks(np.unique(np.concatenate(parts)), sensor):
                found = plots_of_tracks(tracks.columns, columns, sensor)
                for at in np.argsort(found.t_ns, kind="stable").tolist():
                    number = int(found.number[at])
                    domain = DOMAINS[tracks.columns["domain"][row_of[number]]]
                    about, info, state = found.about_m[at], found.information[at], found.state[at]
                    maker.add(number, int(found.t_ns[at]), about, info, state, sensor.id, MODEL_OF_DOMAIN[domain])
        return maker.take(self._label_of_names, lambda number: _told(tracks.columns[row_of[number]]))

    def _label_of_names(self, names: tuple[str, ...]) -> Label:
        return self.label_of(sum(1 << self.index[name] for name in names))

    def _tracks(self, now_ns: int, tracks: Tracks) -> list[Track]:
        """Return every shown track that was updated since it was last offered, and the last word on those that ended."""
        shown = picked(tracks.columns, _IS_SHOWN[tracks.columns["status"]])
        fresh = msgspec.structs.replace(tracks, columns=picked(shown, self._is_new(shown)))
        out = to_records(fresh, self.sensors, self.label_of, self.nation, SHOWN)
        self._sent.update((track.number, track) for track in out)
        if len(self._sent) > len(shown):
            for number in sorted(set(self._sent) - set(shown["number"].tolist())):
                out.append(msgspec.structs.replace(self._sent.pop(number), t_ns=now_ns, status="deleted"))
        self._last = shown
        return out

    def _is_new(self, shown: Any) -> Any:
        """Return for each shown track whether it is another than when it was last offered (by its last report and status)."""
        last = self._last
        at = np.minimum(np.searchsorted(last["number"], shown["number"]), len(last) - 1)
        if not len(last):
            return np.ones(len(shown), bool)
        same = [last[name][at] == shown[name] for name in ("number", "updated_t_ns", "status")]
        return ~np.logical_and.reduce(same)


def _looks(columns: Any, sensor: Sensor) -> list[Any]:
    """Return a sensor's reports in order of time, parted so that a target is in a part once: by half its period."""
    columns = columns[np.argsort(columns["t_ns"], kind="stable")]
    slot = columns["t_ns"] // max(round(sensor.period_s * 5e8), 1)
    return np.split(columns, np.flatnonzero(slot[1:] != slot[:-1]) + 1)


def _told(row: Any) -> Mapping[str, Any]:
    """Return what a tracklet says of its track besides the measurement."""
    callsign = bytes(row["callsign"]).decode("ascii", "replace").strip()
    return {
        "domain": DOMAINS[row["domain"]],
        "address": int(row["address"]) if row["address"] >= 0 else None,
        "mmsi": int(row["mmsi"]) if row["mmsi"] >= 0 else None,
        "callsign": callsign or None,
    }
