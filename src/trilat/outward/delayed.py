"""What leaves only later: what an agreement delays, and coarse areas, which leave on the minute. For one audience alone. Pure."""

from __future__ import annotations

import heapq
from collections import Counter
from typing import Any, NamedTuple

from trilat.records.fields import Lane
from trilat.records.track import Track

HELD_MAX = 50_000
FLASH_PRIORITY = 0


class Held(NamedTuple):
    """A record that waits: when it is due, its place among those due at once, and what it is offered with."""

    due_ns: int
    order: int
    record: Any
    lane: Lane
    priority: int


class MinuteHold:
    """One audience's tracks that leave as areas: the newest state of each waits for the whole minute.

    A coarse place that left when its track was updated would tell by its hour what its content hides: a radar that turns sees a
    target when it looks there, so the hour is a bearing; a cell is crossed when the next one comes.
    """

    def __init__(self, step_ns: int, held_max: int = HELD_MAX) -> None:
        self.held_max = held_max
        self.shed = 0
        self._step_ns = step_ns
        self._minute: int | None = None
        self._newest: dict[tuple[str, int], Held] = {}

    def put(self, track: Track, lane: Lane, priority: int) -> None:
        """Hold a track's newest state."""
        key = (track.stream, track.number)
        if key not in self._newest and len(self._newest) >= self.held_max:
            self.shed += 1
            return
        self._newest[key] = Held(0, 0, track, lane, priority)

    def due(self, now_ns: int) -> list[Held]:
        """Take out all that waits when a minute has ended since the last call that gave any, by stream and number."""
        minute = now_ns // self._step_ns
        if self._minute is not None and minute <= self._minute:
            return []
        self._minute = minute
        newest, self._newest = self._newest, {}
        return [newest[key] for key in sorted(newest)]


class DelayQueue:
    """One audience's delayed records. Nothing in it is shared with another audience: neither bound, nor order, nor count.

    A track's states do not replace one another while they wait (a track that moves would then never leave); of those that are
    due together only the newest is offered. Beyond `held_max` the least important go first, and of these the oldest.
    """

    def __init__(self, held_max: int = HELD_MAX) -> None:
        self.held_max = held_max
        self.counts: Counter[str] = Counter()
        self._heaps: dict[int, list[Held]] = {}
        self._order = 0
        self._size = 0

    def __len__(self) -> int:
        """Return how many records wait."""
        return self._size

    def put(self, due_ns: int, record: Any, lane: Lane, priority: int) -> None:
        """Hold a record until due_ns; what that drives out is counted as shed."""
        self._order += 1
        heapq.heappush(self._heaps.setdefault(priority, []), Held(due_ns, self._order, record, lane, priority))
        self._size += 1
        self.counts["held"] += 1
        if self._size > self.held_max:
            self._shed()

    def _shed(self) -> None:
        worst = max(priority for priority, heap in self._heaps.items() if heap)
        heapq.heappop(self._heaps[worst])
        self._size -= 1
        self.counts["shed"] += 1

    def due(self, now_ns: int) -> list[Held]:
        """Take out what is due by now_ns, the important first, each kind in the order in which it fell due."""
        taken: list[Held] = []
        for priority in sorted(self._heaps):
            heap = self._heaps[priority]
            while heap and heap[0].due_ns <= now_ns:
                taken.append(heapq.heappop(heap))
        self._size -= len(taken)
        newest = {(one.record.stream, one.record.number): one.order for one in taken if isinstance(one.record, Track)}
        left = [
            one
            for one in taken
            if not isinstance(one.record, Track) or newest[(one.record.stream, one.record.number)] == one.order
        ]
        self.counts["superseded"] += len(taken) - len(left)
        self.counts["offered"] += len(left)
        return left

    def forget_due(self, until_ns: int) -> None:
        """Drop what was due by until_ns: an earlier run of the node offered it already."""
        self.counts["offered before"] += len(self.due(until_ns))
