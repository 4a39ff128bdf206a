"""The clock: the only place where the wall clock and the monotonic clock are read."""

import time
from collections.abc import Callable


def now_ns() -> int:
    """Return UTC in nanoseconds since 1970."""
    return time.time_ns()  # noqa: TID251 - this file is the clock


def monotonic_ns() -> int:
    """Return a clock that never steps, for durations only."""
    return time.monotonic_ns()


class Steady:
    """UTC for a loop: it follows the wall clock forward, and goes on at its own pace while the wall clock was set back."""

    def __init__(self, wall_ns: Callable[[], int] = now_ns, pace_ns: Callable[[], int] = monotonic_ns) -> None:
        self._wall_ns = wall_ns
        self._pace_ns = pace_ns
        self._said_ns = wall_ns()
        self._at_ns = pace_ns()

    def now_ns(self) -> int:
        """Return UTC in nanoseconds since 1970, never less than what was returned before plus the time passed since."""
        at_ns = self._pace_ns()
        self._said_ns = max(self._wall_ns(), self._said_ns + at_ns - self._at_ns)
        self._at_ns = at_ns
        return self._said_ns
