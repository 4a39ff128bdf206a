"""The core tracker: own reports and what partners released as plots, fixes and tracklets, together in one tracker.

Its tracks are what the combined picture is made of, so that a partner's plot counts as much as an own one. They never leave.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from trilat.fuse.between import OWN_PRIOR, PARTNER_PRIOR, Between
from trilat.fuse.earth_fixed import columns_of_measurements, columns_of_tracklets
from trilat.fuse.health import Health, Verdict
from trilat.fuse.tracklet import MODELS
from trilat.joint.beside import RADARS
from trilat.joint.judge import JUDGE_NS, SourceJudge
from trilat.joint.labels import KEPT_NS, SourceLabels
from trilat.records.columns import Reports, Tracks, empty_tracks
from trilat.records.convert import to_columns
from trilat.records.label import Label
from trilat.records.report import Fix, Measurement, Pedigree, Plot
from trilat.records.sensor import Sensor
from trilat.records.track import Tracklet
from trilat.track import Tracker, TrackerSettings

PartnerReport = Plot | Fix | Measurement | Tracklet
SLOTS = 64
LIST_MAX = 63  # the tracker's bit set of sensors names so many
NATION_MAX = 24  # of one partner: names are what he says they are, and others are to find room as well
_NEGATIVE_MAX = -1e-9  # of the largest eigenvalue: rounding on the wire
_UPPER = np.triu_indices(6)


class CoreTracker:
    """The tracker behind the combined picture. Until a partner sends reports there is none: the national tracks are all there is.

    Then it begins as a copy of the national tracker, under its name: every track goes on in the picture with its number.

    `refused` counts partners' reports that were not used, by reason; `judge` watches each partner's sources. `own_moved_ns` is
    when the biases that the nation's watch takes off last changed by much.
    """

    def __init__(self, nation: str, sensors: Sequence[Sensor], settings: TrackerSettings, national: Tracker) -> None:
        self.nation, self.own, self._national = nation, tuple(sensors), national
        self.refused: Counter[str] = Counter()
        self.between = Between(self.refused)
        self.own_moved_ns = 0
        self.alone: Any = empty_tracks(0)  # the national tracks of the last step: they hold nothing of any partner
        self._settings = settings
        self._tracker: Tracker | None = None
        self._slots: dict[tuple[str, str], int] = {}
        self._last_ns: dict[int, int] = {}  # when a place's source was heard last
        self._labels = SourceLabels(nation, {k: sensor.label for k, sensor in enumerate(sensors)})
        self._nations: dict[int, str] = dict.fromkeys(range(len(sensors)), nation)
        self._fit = np.zeros((0, 6))
        self._judge_ns = 0
        self.judge = SourceJudge(settings, self.own, self._table())

    @property
    def health(self) -> Health:
        """The monitors of partners' sources."""
        return self.judge.health

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """What is thought of every partner's source."""
        return self.judge.verdicts

    @property
    def own_bits(self) -> int:
        """The bit set of the own sensors."""
        return (1 << len(self.own)) - 1

    def step(
        self, now_ns: int, national: Tracks, own: Sequence[Reports], partners: Mapping[str, Sequence[PartnerReport]]
    ) -> Tracks:
        """Take own batches (as the national tracker had them) and partners' reports; return the combined picture's tracks.

        national: what the national tracker made of the own batches in this step.
        """
        self.alone = national.columns
        self.judge.heard(now_ns, own)
        batches = [made for nation, records in sorted(partners.items()) for made in self._batches(now_ns, nation, records)]
        if self._tracker is None:
            if not batches:
                return national
            self._tracker = Tracker(self._settings, self._table(), self._national.stream)
            self._tracker.restore(self._national.checkpoint())
        self.between.learn(now_ns)
        usable = [self._own(batch) for batch in own if len(batch.columns)]
        for batch, rows in batches:
            columns, moved = self._between_nations(batch, rows)
            used = msgspec.structs.replace(batch, columns=columns)
            if self.judge.said(now_ns, used, (batch.columns, rows), moved):
                if moved is not None:
                    self._tracker.wide.put(columns, moved)
                usable.append(used)
        tracks = self._tracker.step(now_ns, usable)
        self._judge(now_ns, national, tracks)
        return tracks

    def usable(self, partners: Mapping[str, Sequence[PartnerReport]]) -> dict[str, list[PartnerReport]]:
        """Return partners' reports without those of sources in quarantine, for whoever else reads them."""
        out = self.health.quarantined
        return {
            nation: [one for one in records if f"{nation}:{_source_of(one)}" not in out] for nation, records in partners.items()
        }

    def labels_of(self, bits: int) -> list[Label]:
        """Return the labels of the sensors of a bit set, own and partners'; of all own ones for an empty set."""
        places = [k for k in self._nations if bits >> k & 1]
        return [label for k in places for label in self._labels.of(k)] or [one.label for one in self.own]

    def nations_of(self, bits: int) -> set[str]:
        """Return the nations whose sensors are in a bit set."""
        return {nation for k, nation in self._nations.items() if bits >> k & 1}

    def _table(self) -> tuple[Sensor, ...]:
        """Return the tracker's sensors: one's own, then a place for every source that partners may yet name."""
        label = self.own[0].label if self.own else self._labels.every()[0]
        spare = [Sensor(id=f"partner-{k}", nation=self.nation, kind="fixes", label=label) for k in range(len(self.own), SLOTS)]
        return (*self.own, *spare)

    def _slot(self, now_ns: int, nation: str, source: str, labels: Iterable[Label]) -> int | None:
        """Return the place of a partner's sensor or stream, a new one when it is met first; None when there is no more room."""
        slot = self._slots.get((nation, source))
        if slot is None:
            slot = self._room(now_ns, nation)
            if slot is None:
                return None
            self._slots[nation, source] = slot
            self._nations[slot] = nation
        self._last_ns[slot] = now_ns
        self._labels.take(now_ns, slot, labels)
        return slot

    def _room(self, now_ns: int, nation: str) -> int | None:
        """Return a place for a new source of a nation: a free one, or that of one which has been silent so long that it is over.

        Only its own nation's: as what it said an hour ago no longer counts for labels, see `labels`, its place may speak anew.
        """
        mine = [key for key in self._slots if key[0] == nation]
        if len(self.own) + len(self._slots) < LIST_MAX and len(mine) < NATION_MAX:
            return len(self._nations)
        over = [key for key in mine if self._last_ns[self._slots[key]] < now_ns - KEPT_NS]
        if not over:
            return None
        oldest = min(over, key=lambda key: (self._last_ns[self._slots[key]], key))
        self.judge.forget(f"{nation}:{oldest[1]}")
        return self._slots.pop(oldest)

    def _batches(
        self, now_ns: int, nation: str, records: Sequence[PartnerReport]
    ) -> list[tuple[Reports, np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None]]:
        """Return a partner's usable reports as batches, one per source and form, with the rows of those that are tracklets."""
        groups: dict[tuple[str, type, tuple[str, ...]], list[PartnerReport]] = {}
        for record in records:
            reason = self._refusal(nation, record)
            if reason:
                self.refused[reason] += 1
            else:
                sensors = record.pedigree.sensors if isinstance(record, Tracklet) else ()
                groups.setdefault((_source_of(record), type(record), sensors), []).append(record)
        made = []
        for (source, form, sensors), held in sorted(groups.items(), key=lambda one: (one[0][0], one[0][1].__name__, one[0][2])):
            slot = self._slot(now_ns, nation, source, (one.label for one in held))
            if slot is None:
                self.refused["sensors-full"] += len(held)
                continue
            rows = None
            if form is Tracklet:
                columns, rows = columns_of_tracklets(held)  # type: ignore[arg-type]  # all of one form
            else:
                columns = columns_of_measurements(held) if form is Measurement else to_columns(held)  # type: ignore[arg-type]  # same
            columns["sensor"] = slot
            name = f"{nation}:{source}"
            pedigree = Pedigree(nation=nation, sensors=sensors if form is Tracklet else (source,))
            batch = Reports(source=name, label=held[-1].label, pedigree=pedigree, received_t_ns=now_ns, columns=columns)
            made.append((batch, rows))
        return made

    def _refusal(self, nation: str, record: PartnerReport) -> str:
        """Return why a partner's report is not used, empty when it is."""
        if record.pedigree.nation != nation:
            return "origin-not-partner"
        if isinstance(record, Plot):
            return "place-unknown"  # a bearing, or a plot of a node of an earlier version: the radar's place is not ours to know
        if isinstance(record, Tracklet):
            if record.model not in MODELS:
                return "model-unknown"
            info = np.zeros((6, 6))
            info[_UPPER] = record.information
            values = np.linalg.eigvalsh(info + np.triu(info, 1).T)
            if values[0] < _NEGATIVE_MAX * max(values[-1], 1e-300) or values[-1] <= 0.0:
                return "covariance-invalid"
        elif isinstance(record, Measurement) and min(record.sigma_along_m, record.sigma_across_m, record.sigma_up_m) <= 0.0:
            return "sigma-not-positive"
        return ""

    def _own(self, batch: Reports) -> Reports:
        """Return own reports without what parts them from partners': in the combined picture alone."""
        sensor = self.own[int(batch.columns["sensor"][0])]
        prior = OWN_PRIOR if sensor.kind in RADARS else None
        columns, _ = self.between.take(f"{self.nation}:{sensor.id}", batch.columns, None, sensor, prior)
        return msgspec.structs.replace(batch, columns=columns)

    def _between_nations(self, batch: Reports, rows: Any) -> tuple[Any, Any]:
        """Return a partner's reports, and their rows when they are tracklets, without what parts them from others'."""
        if len(batch.pedigree.sensors) != 1:  # tracklets of several radars, whose nation has made them agree
            return batch.columns, rows
        source = f"{batch.pedigree.nation}:{batch.pedigree.sensors[0]}"
        learn = batch.source not in self.health.quarantined
        return self.between.take(source, batch.columns, rows, None, PARTNER_PRIOR, learn=learn)

    def _judge(self, now_ns: int, national: Tracks, tracks: Tracks) -> None:
        """Let partners' sources be judged, once a second."""
        if self._tracker is None or now_ns < self._judge_ns:
            return
        self._judge_ns = now_ns + JUDGE_NS
        fit = self._tracker.fit()
        grown = fit - self._fit if len(self._fit) else fit
        self._fit = fit
        sums = {f"{nation}:{source}": grown[k] for (nation, source), k in self._slots.items()}
        whose: dict[str, int] = {}
        for (nation, _), k in self._slots.items():
            whose[nation] = whose.get(nation, 0) | 1 << k
        bits = {f"{nation}:{source}": (1 << k, whose[nation]) for (nation, source), k in self._slots.items()}
        self.judge.step(now_ns, national.columns, tracks.columns, sums, bits, self.own_moved_ns)


def _source_of(record: PartnerReport) -> str:
    """Return the name of the source of a partner's report, within its nation."""
    return record.stream if isinstance(record, Tracklet) else record.sensor


def batch_of(batch: Reports, index: int) -> Reports:
    """Return a batch with the sensor index of the tracker that is to read it."""
    columns = batch.columns.copy()
    columns["sensor"] = index
    return msgspec.structs.replace(batch, columns=columns)
