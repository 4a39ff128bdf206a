"""Under which labels each source's reports came: what rests on them is under all of these, not under the last one's alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from trilat.policy.labels import join_for_own
from trilat.records.label import Label

KEPT_NS = 3_600 * 10**9  # a label counts so long after its last report: longer than any flight, and a track's memory
LABELS_MAX = 16  # of one source; more are joined into one, which is no looser than any of them


class SourceLabels:
    """The labels of a table's places: own sensors' stay as configured, partners' sources' are those of their reports of late."""

    def __init__(self, nation: str, own: Mapping[int, Label]) -> None:
        self._nation = nation
        self._held: dict[int, tuple[Label, ...]] = {k: (label,) for k, label in own.items()}
        self._last_ns: dict[int, dict[Label, int]] = {}

    def take(self, now_ns: int, k: int, labels: Iterable[Label]) -> None:
        """Take the labels of reports that came for place k."""
        last = self._last_ns.setdefault(k, {})
        known = len(last)
        for label in labels:
            last[label] = now_ns
        old = [label for label, at_ns in last.items() if at_ns < now_ns - KEPT_NS]
        for label in old:
            del last[label]
        if len(last) > LABELS_MAX:
            every = join_for_own(sorted(last, key=repr), self._nation)
            last.clear()
            last[every] = now_ns
        if old or len(last) != known:
            self._held[k] = tuple(last)

    def of(self, k: int) -> tuple[Label, ...]:
        """Return the labels of place k."""
        return self._held[k]

    def every(self) -> tuple[Label, ...]:
        """Return the labels of all places."""
        return tuple(label for held in self._held.values() for label in held)
