"""A recorded exercise gone through again for its debrief: the nation's own tracks as they were known, or as they are afterwards.

What a node recorded of its feeds and partners goes through its pipeline once more, without any audience, so that nothing leaves:
tracks, numbers and the times of pictures are those of the watch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec.structs import replace

from trilat.node import record
from trilat.node.inputs import FeedInput, ReceivedInput
from trilat.node.pipeline import Pipeline, PipelineSettings
from trilat.records.columns import Tracks
from trilat.store.journal import Entry
from trilat.track import smoothed_columns


class _Run:
    """One run of a node, from its start to its end."""

    def __init__(self, settings: PipelineSettings, start_ns: int, tick_ns: int, *, smooth: bool) -> None:
        self._pipeline, self._settings = Pipeline(settings, (), start_ns), settings
        self._tick_ns, self._smooth = tick_ns, smooth
        self._last: Tracks | None = None
        self._due_ns = 0
        self._shown: list[Tracks] = []
        self._modes: list[Any] = []

    def take(self, step: record.Step) -> Iterator[Tracks]:
        """Take what went into a step; give the picture where it made one and a tick is over."""
        given = [one for one in step.inputs if isinstance(one, FeedInput | ReceivedInput)]
        tracks = self._pipeline.step(step.now_ns, given).national
        if tracks is self._last or tracks.t_ns < self._due_ns:
            return
        self._last, self._due_ns = tracks, (tracks.t_ns // self._tick_ns + 1) * self._tick_ns
        if self._smooth:
            self._shown.append(tracks)
            self._modes.append(self._pipeline.national.modes())
        else:
            yield tracks

    def end(self) -> Iterator[Tracks]:
        """Give what was kept, smoothed."""
        late = smoothed_columns([one.columns for one in self._shown], self._modes, self._settings.tracker)
        yield from (replace(tracks, columns=columns) for tracks, columns in zip(self._shown, late, strict=True))


def review(entries: Iterable[Entry], settings: PipelineSettings, tick_ns: int, *, smooth: bool) -> Iterator[Tracks]:
    """Yield the national tracks of a node's journal, one picture a tick: entries of its starts and steps, in their order.

    A node that was started anew tracks anew, with numbers from one. smooth: each state improved by what came after it in its run.
    """
    run: _Run | None = None
    for entry in entries:
        if entry.kind == record.START or run is None:  # retention may have taken the start away
            if run is not None:
                yield from run.end()
            run = _Run(settings, entry.t_ns, tick_ns, smooth=smooth)
        if entry.kind != record.START:
            yield from run.take(record.read_step(entry))
    if run is not None:
        yield from run.end()
