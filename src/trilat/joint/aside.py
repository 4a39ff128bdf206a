"""Aside: what a source in quarantine would show alone, so that its ghosts are still seen as such while nobody is shown them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from trilat.records.columns import Reports, empty_tracks
from trilat.records.sensor import Sensor
from trilat.track import Tracker, TrackerSettings

TRACKS_MAX = 1_000
ASIDE_MAX = 8  # sources in quarantine at once that are watched so; of others nothing is known but what their reports say


class Aside:
    """A tracker of its own for every source in quarantine. Its tracks go nowhere."""

    def __init__(self, settings: TrackerSettings, sensors: Sequence[Sensor]) -> None:
        self._settings = msgspec.structs.replace(settings, tracks_max=min(TRACKS_MAX, settings.tracks_max))
        self._sensors = tuple(sensors)
        self._trackers: dict[str, Tracker] = {}
        self._waiting: dict[str, list[Reports]] = {}

    def take(self, name: str, batch: Reports, rows: Any = None) -> None:
        """Take reports of a source in quarantine, and their rows when they are tracklets."""
        if name not in self._trackers:
            if len(self._trackers) >= ASIDE_MAX:
                return
            self._trackers[name] = Tracker(self._settings, self._sensors, f"aside/{name}")
        if rows is not None:
            self._trackers[name].wide.put(batch.columns, rows)
        self._waiting.setdefault(name, []).append(batch)

    def step(self, now_ns: int, quarantined: frozenset[str]) -> dict[str, Any]:
        """Return the tracks (TRACK_DTYPE) of every source in quarantine; those that are so no more are forgotten."""
        for name in [name for name in self._trackers if name not in quarantined]:
            del self._trackers[name]
        waiting, self._waiting = self._waiting, {}
        made = {name: one.step(now_ns, waiting.get(name, [])).columns for name, one in sorted(self._trackers.items())}
        return {name: made.get(name, empty_tracks(0)) for name in sorted(quarantined)}
