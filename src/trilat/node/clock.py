"""The clock: the only place where the wall clock and the monotonic clock are read."""

import time


def now_ns() -> int:
    """Return UTC in nanoseconds since 1970."""
    return time.time_ns()  # noqa: TID251 - this file is the clock


def monotonic_ns() -> int:
    """Return a clock that never steps, for durations only."""
    return time.monotonic_ns()
