"""The combined picture of a node: its own tracks and its partners' as one, for its own page alone. Nothing of it ever leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from trilat.errors import PolicyError
from trilat.fuse.combine import Combiner, PartnerItem
from trilat.picture.inputs import CombinedTracks, PartnerRecord
from trilat.policy.labels import join
from trilat.records.columns import Tracks
from trilat.records.label import Label
from trilat.records.track import Track


class CombinedPicture:
    """Correlates and fuses on a fixed tick, with the labels of what joined."""

    def __init__(self, nation: str, partners: Iterable[str], label_of: Callable[[int], Label], tick_ns: int) -> None:
        self._nation = nation
        self._label_of = label_of
        self._tick_ns = tick_ns
        self._next_ns = 0
        self._waiting: list[PartnerItem] = []
        self._joined: dict[tuple[Label | int, ...], Label] = {}
        self.combiner = Combiner(nation, tuple(sorted(partners)))

    def take(self, item: PartnerRecord, epoch: int, sequence: int) -> None:
        """Take a partner's track with its place in the lane (0, 0 for one that was made here of its plots)."""
        if isinstance(item.record, Track):
            self._waiting.append(PartnerItem(item.origin, item.record, epoch, sequence))

    def due(self, now_ns: int) -> bool:
        """Tell whether the next step makes a picture."""
        return now_ns >= self._next_ns

    def step(self, now_ns: int, national: Tracks) -> CombinedTracks | None:
        """Return the combined picture when its tick has come, else None."""
        if not self.due(now_ns):
            return None
        self._next_ns = now_ns + self._tick_ns
        waiting, self._waiting = self._waiting, []
        combined = self.combiner.step(now_ns, national, waiting)
        return CombinedTracks(
            tracks=combined.tracks,
            nations=combined.nations,
            labels=tuple(self._label(evidence) for evidence in combined.evidence_sets),
            label_index=np.asarray(combined.evidence),
        )

    def _label(self, evidence: tuple[Label | int, ...]) -> Label:
        known = self._joined.get(evidence)
        if known is None:
            labels = [one if isinstance(one, Label) else self._label_of(one) for one in evidence]
            known = self._joined[evidence] = self._join(labels)
        return known

    def _join(self, labels: list[Label]) -> Label:
        """Join the labels of what a track rests on; what does not join is for this nation alone, at the highest level."""
        try:
            return join(labels, originator=self._nation)
        except PolicyError:
            first = labels[0]
            return Label(policy=first.policy, originator=self._nation, mode=first.mode, level=4)
