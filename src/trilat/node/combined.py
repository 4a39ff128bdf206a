"""The combined picture of a node: its own tracks and its partners' as one, for its own page alone. Nothing of it ever leaves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from trilat.fuse.combine import Combiner, PartnerItem
from trilat.joint.core import CoreTracker
from trilat.joint.judge import Beside, TrackJudge, source_of
from trilat.picture.inputs import CombinedTracks, PartnerRecord
from trilat.policy.labels import join_for_own
from trilat.records.columns import Tracks
from trilat.records.label import Label
from trilat.records.track import Track

# Pictures are at least this far apart: no eye sees more, and each costs processor time.
GAP_NS = 40_000_000
JOINED_MAX = 4_000  # joined labels remembered: partners may name ever new ones


class CombinedPicture:
    """Correlates and fuses as soon as there is something new, GAP_NS apart at the least and a tick at the most."""

    def __init__(self, nation: str, partners: Iterable[str], core: CoreTracker, tick_ns: int) -> None:
        self._nation = nation
        self._core = core
        self._tick_ns = tick_ns
        self._last_ns: int | None = None
        self._waiting: list[PartnerItem] = []
        self._joined: dict[tuple[Label, ...], Label] = {}
        self.combiner = Combiner(nation, tuple(sorted(partners)))
        self.judge = TrackJudge(core.judge.witnesses, core.judge.votes, core.nations_of)

    def take(self, item: PartnerRecord, epoch: int, sequence: int) -> None:
        """Take a partner's track with its place in the lane."""
        if isinstance(item.record, Track):
            self._waiting.append(PartnerItem(item.origin, item.record, epoch, sequence))

    def usable(self, tracks: Sequence[PartnerRecord]) -> list[PartnerRecord]:
        """Return partners' tracks and areas without the tracks of those in quarantine, for whoever else reads them."""
        out = self.judge.health.quarantined
        return [one for one in tracks if not isinstance(one.record, Track) or source_of(one.origin) not in out]

    def next_ns(self, *, new: bool) -> int:
        """Return from when on a step makes a picture; new: there is something that the last one did not have."""
        if self._last_ns is None:
            return 0
        return self._last_ns + (min(GAP_NS, self._tick_ns) if new or self._waiting else self._tick_ns)

    def step(self, now_ns: int, core: Tracks) -> CombinedTracks:
        """Return the combined picture of the core's tracks and the partners'."""
        self._last_ns = now_ns
        waiting, self._waiting = self._waiting, []
        beside = Beside(core.columns, self._core.alone, self._core.own_bits, self._core.own_moved_ns)
        usable = self.judge.step(now_ns, waiting, beside)
        combined = self.combiner.step(now_ns, core, usable)
        own = combined.tracks.columns["sensors"] & np.uint64(self._core.own_bits)
        combined.tracks.columns["sensors"] = own  # partners' sensors have no place in the page's table of own ones
        masks = np.array([self._mask(one, combined.nation_names) for one in combined.evidence_sets], np.uint64)
        return CombinedTracks(
            tracks=combined.tracks,
            nations=masks[np.asarray(combined.evidence)] if len(masks) else combined.nations,
            labels=tuple(self._label(evidence) for evidence in combined.evidence_sets),
            label_index=np.asarray(combined.evidence),
        )

    def _mask(self, evidence: tuple[Label | int, ...], names: tuple[str, ...]) -> int:
        """Return the bit set of the nations whose sensors are behind a track."""
        nations: set[str] = set()
        for one in evidence:
            nations |= {one.originator} if isinstance(one, Label) else self._core.nations_of(one) or {self._nation}
        return sum(1 << names.index(nation) for nation in nations if nation in names)

    def _label(self, evidence: tuple[Label | int, ...]) -> Label:
        labels = tuple(label for one in evidence for label in ([one] if isinstance(one, Label) else self._core.labels_of(one)))
        known = self._joined.get(labels)
        if known is None:
            if len(self._joined) >= JOINED_MAX:
                self._joined.clear()
            known = self._joined[labels] = join_for_own(labels, self._nation)
        return known
