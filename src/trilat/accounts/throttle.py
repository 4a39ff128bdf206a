"""How often somebody may try to log in: per account and per address, twice as long a wait after each failure. Pure.

An attempt counts as a failure from its start, so that a hundred at once are a hundred; success takes its own back.
"""

from __future__ import annotations

from typing import NamedTuple

NS = 1_000_000_000
KEYS_MAX = 10_000
FORGET_NS = 15 * 60 * NS


class Rate(NamedTuple):
    """How many tries are free, and the longest wait: the first wait is one second, each further one twice the last."""

    free: int
    wait_s_max: int


# An account's wait is bounded low, so that nobody can keep an officer out for long by failing in that officer's name.
ACCOUNT = Rate(5, 60)
# Behind one address (a proxy, one desk) there may be many people.
ADDRESS = Rate(20, 300)


class _Tries(NamedTuple):
    failed: int
    next_ns: int
    last_ns: int


class Throttle:
    """Counts tries by key. `refused` is how many were turned away."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._tries: dict[str, _Tries] = {}
        self.refused = 0

    def wait_ns(self, now_ns: int, key: str) -> int:
        """Return how long this key must wait before its next try; 0 when it may try now."""
        held = self._tries.get(key)
        if held is None or now_ns - held.last_ns >= FORGET_NS:
            return 0
        return max(held.next_ns - now_ns, 0)

    def begin(self, now_ns: int, key: str) -> None:
        """Count a try as failed until `good` says otherwise."""
        held = self._tries.get(key)
        failed = 1 if held is None or now_ns - held.last_ns >= FORGET_NS else held.failed + 1
        over = failed - self._rate.free
        wait_s = 0 if over < 0 else min(2 ** min(over, 30), self._rate.wait_s_max)
        if key not in self._tries and len(self._tries) >= KEYS_MAX:
            self._forget(now_ns)
        self._tries[key] = _Tries(failed, now_ns + wait_s * NS, now_ns)

    def good(self, now_ns: int, key: str, *, clear: bool) -> None:
        """Take the try back that succeeded; `clear` forgets the earlier failures too."""
        held = self._tries.pop(key, None)
        if held is not None and not clear and held.failed > 1:
            self._tries[key] = _Tries(held.failed - 1, min(held.next_ns, now_ns), held.last_ns)

    def _forget(self, now_ns: int) -> None:
        """Make room: what is over goes; if nothing is, the key that failed least and longest ago."""
        for key in [key for key, held in self._tries.items() if now_ns - held.last_ns >= FORGET_NS]:
            del self._tries[key]
        if len(self._tries) >= KEYS_MAX:
            del self._tries[min(self._tries, key=lambda key: (self._tries[key].failed, self._tries[key].last_ns))]
