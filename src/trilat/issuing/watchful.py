"""What the watch is told beside warnings: that nobody acknowledges, louder each time; what one sensor alone makes of nothing."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from trilat.records.assessment import Assessment
from trilat.records.warning import Warning

NS = 1_000_000_000
ESCALATE_NS = 30 * NS
AGAIN_NS = 60 * NS
WAITING_MAX = 1_000  # of one nation
ALONE = "others-do-not-see-it"


class _Waiting(NamedTuple):
    since_ns: int
    next_ns: int
    until_ns: int
    headline: str


class Doubtful:
    """Flights that one sensor alone reports while others that look there see nothing: they make no warning, and are said once."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, int], None] = {}

    def line(self, assessment: Assessment) -> str:
        """Return the watch log's line on a flight that is unconfirmed; empty when it is none, or was said before."""
        key = (assessment.stream, assessment.flight)
        if assessment.state != "unconfirmed" or ALONE not in assessment.reasons or key in self._said:
            return ""
        self._said[key] = None
        while len(self._said) > WAITING_MAX:
            del self._said[next(iter(self._said))]
        who, sure = " and ".join(assessment.pedigree.sensors), round(100 * assessment.confidence)
        words = f"UNCONFIRMED: what looks like a launch is seen by {who} alone, and not by others that look there"
        return f"{words} ({sure} %): no warning is made"


class Escalation:
    """Warnings that this nation's watch has not acknowledged. Time comes in; lines for the watch log come out."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], _Waiting] = {}
        self._count: Counter[str] = Counter()  # of them, by whose they are
        self._done: set[tuple[str, str]] = set()

    def shown(self, now_ns: int, origin: str, warning: Warning) -> None:
        """A warning came up (or was updated): it waits from its first version on, and anew when it is issued."""
        key = (origin, warning.id)
        if warning.state in ("stood-down", "retracted"):
            self._drop(key)
            return
        if key in self._waiting:
            self._waiting[key] = self._waiting[key]._replace(headline=warning.headline, until_ns=warning.expires_ns)
            return
        if (key in self._done and warning.state != "issued") or self._count[origin] >= WAITING_MAX:
            return
        self._count[origin] += 1
        self._waiting[key] = _Waiting(now_ns, now_ns + ESCALATE_NS, warning.expires_ns, warning.headline)

    def acknowledged(self, origin: str, warning_id: str) -> None:
        """Somebody here acknowledged it."""
        self._drop((origin, warning_id))
        self._done.add((origin, warning_id))

    def step(self, now_ns: int) -> list[str]:
        """Return what has waited too long, once in a while for each."""
        said = []
        for (origin, name), one in list(self._waiting.items()):
            if now_ns >= one.until_ns:
                self._drop((origin, name))
            elif now_ns >= one.next_ns:
                waited_s = (now_ns - one.since_ns) // NS
                said.append(f"NOT ACKNOWLEDGED for {waited_s} s: {origin} {name}: {one.headline}")
                self._waiting[origin, name] = one._replace(next_ns=now_ns + AGAIN_NS)
        return said

    def _drop(self, key: tuple[str, str]) -> None:
        if self._waiting.pop(key, None) is not None:
            self._count[key[0]] -= 1
