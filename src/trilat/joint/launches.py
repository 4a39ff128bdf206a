"""Launches: who watches for them in one picture - the sensors that look high, their tracker, the assessor fed with both.

Radars that measure an elevation and lines of sight see a launch; an air traffic radar does not, and its traffic is none of this
tracker's load. One watch belongs to one audience (or to the nation) and is fed with what that audience may have alone. What
leaves of an assessment is for the warning desk and policy to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from trilat.fuse.earth_fixed import columns_of_measurements
from trilat.joint.core import PartnerReport, batch_of
from trilat.joint.labels import SourceLabels
from trilat.joint.pointers import Pointers
from trilat.picture.inputs import PartnerRecord, WarningRecord
from trilat.policy.labels import join_for_own
from trilat.records.assessment import Assessment
from trilat.records.columns import Reports
from trilat.records.label import Label
from trilat.records.report import Measurement, Pedigree
from trilat.records.sensor import Sensor
from trilat.track import Tracker, TrackerSettings
from trilat.warn.areas import Layer
from trilat.warn.assess import Assessor, AssessorSettings

LOOK_HIGH = ("radar3d", "bearing")
TRACKS_MAX = 2_000  # in the sight of the sensors that look high
SLOTS = 63  # the tracker's bit set names so many sensors
SPARE_MAX = 24  # of them for partners' sources
JOINED_MAX = 1_000  # joined labels remembered: partners may name ever new ones


def looks_high(sensor: Sensor) -> bool:
    """Tell whether a sensor is one that may see a launch."""
    return sensor.kind in LOOK_HIGH


class LaunchWatch:
    """One picture's watch for launches. Deterministic: the same reports at the same steps give the same assessments.

    stream: its name, of the pipeline's start as every stream's. spare: places for partners' sources, which come as
    `Measurement` (Earth-fixed, no place of a sensor in them). `refused` counts partners' reports that found no use.
    """

    def __init__(
        self,
        nation: str,
        stream: str,
        sensors: Sequence[Sensor],
        layer: Layer | None,
        settings: TrackerSettings,
        spare: int = 0,
    ) -> None:
        self.nation = nation
        own = tuple(one for one in sensors if looks_high(one))[: SLOTS - spare]
        self.index = {one.id: k for k, one in enumerate(own)}
        self._own, self._spare = own, spare
        self._labels = SourceLabels(nation, {k: one.label for k, one in enumerate(own)})
        self._ids: dict[int, str] = {k: one.id for k, one in enumerate(own)}
        self._slots: dict[tuple[str, str], int] = {}
        self._nations: dict[int, str] = {}  # of partners' places; all others are one's own
        # Only where partners' reports come in at all: what is for others rests on own sensors alone.
        self.pointers = Pointers(lambda k: self._nations.get(k, nation)) if spare else None
        self._waiting: list[Reports] = []
        self._joined: dict[tuple[Label, ...], Label] = {}
        self._make: Callable[[Label], None] = lambda label: self._begin(stream, layer, settings, label)
        self._earlier: list[Assessment] = []  # what an earlier run told, for an assessor that is not made yet
        self._tracker: Tracker | None = None
        self._assessor: Assessor | None = None
        self.refused: dict[str, int] = {}
        if own:
            self._make(own[0].label)

    def _begin(self, stream: str, layer: Layer | None, settings: TrackerSettings, label: Label) -> None:
        """Make tracker and assessor; partners' places are fixes to the one, radars to the other: nobody says where they stand."""
        place = Sensor(id="partner", kind="fixes", nation=self.nation, label=label, period_s=1.0, range_max_m=1e7, alt_max_m=5e7)
        spare = [msgspec.structs.replace(place, id=f"partner-{k}") for k in range(self._spare)]
        tracks_max = min(settings.tracks_max, TRACKS_MAX)
        narrow = msgspec.structs.replace(settings, tracks_max=tracks_max, domains=("air", "sea", "missile"))
        self._tracker = Tracker(narrow, (*self._own, *spare), f"{stream}/launch")
        # The assessor asks who ought to have seen a flight: these never, as far as is known here.
        seen = (*self._own, *(msgspec.structs.replace(one, kind="radar3d", range_max_m=1.0) for one in spare))
        self._assessor = Assessor(AssessorSettings(self.nation, stream, label, seen, layer), self.pointers)
        for one in self._earlier:
            self._assessor.resume(one)

    def resume(self, told: Assessment) -> None:
        """Take what an earlier run told, after a restart: a flight under way goes on under its name, and so does its warning."""
        if self._assessor is None:
            self._earlier = [one for one in self._earlier if (one.stream, one.flight) != (told.stream, told.flight)] + [told]
        else:
            self._assessor.resume(told)

    def resumed(self) -> set[tuple[str, int]]:
        """Return the flights (stream, number) of an earlier run that may go on here."""
        return self._assessor.earlier() if self._assessor is not None else {(one.stream, one.flight) for one in self._earlier}

    def take(self, batches: Sequence[Reports], sensor_of: Callable[[Reports], str]) -> None:
        """Take own batches, each of one sensor; those of sensors that do not look high are left."""
        for batch in batches:
            k = self.index.get(sensor_of(batch))
            if k is not None and len(batch.columns):
                self._waiting.append(batch_of(batch, k))

    def take_partners(self, now_ns: int, partners: Mapping[str, Sequence[PartnerReport]]) -> None:
        """Take partners' released plots, and where their tracklets point. What says it is an aircraft is none of a launch's."""
        if self.pointers is not None:
            self.pointers.step(now_ns, partners)
        for nation, records in sorted(partners.items()):
            groups: dict[str, list[Measurement]] = {}
            for one in records:
                if isinstance(one, Measurement) and one.pedigree.nation == nation and _unnamed(one):
                    groups.setdefault(one.sensor, []).append(one)
            for source, held in sorted(groups.items()):
                self._take_source(now_ns, nation, source, held)

    def _take_source(self, now_ns: int, nation: str, source: str, held: list[Measurement]) -> None:
        slot = self._slots.get((nation, source))
        if slot is None:
            if len(self._slots) >= self._spare:
                self.refused["sensors-full"] = self.refused.get("sensors-full", 0) + len(held)
                return
            slot = self._slots[nation, source] = len(self._own) + len(self._slots)
            self._ids[slot], self._nations[slot] = source, nation
        self._labels.take(now_ns, slot, (one.label for one in held))
        if self._tracker is None:
            self._make(held[-1].label)
        columns = columns_of_measurements(held)
        columns["sensor"] = slot
        pedigree = Pedigree(nation=nation, sensors=(source,))
        self._waiting.append(
            Reports(source=source, label=held[-1].label, pedigree=pedigree, received_t_ns=now_ns, columns=columns)
        )

    def left_out(self) -> dict[str, int]:
        """Return how much was not looked at: flights without room, tracks put off to a later step, plots of other times."""
        one = self._assessor
        pointers = 0 if self.pointers is None else self.pointers.left_out.total()
        assessor = {} if one is None else {"full": one.shed, "put-off": one.put_off, "out-of-time": one.out_of_time}
        return assessor | ({"pointers-full": pointers} if pointers else {})

    def step(self, now_ns: int) -> list[Assessment]:
        """Return what is new of every flight, each with the label and the sensors of what it rests on."""
        if self._tracker is None or self._assessor is None:
            return []
        waiting, self._waiting = self._waiting, []
        tracks = self._tracker.step(now_ns, waiting)
        return [self._said(one) for one in self._assessor.step(now_ns, tracks, waiting)]

    def _said(self, one: Assessment) -> Assessment:
        """Put the true names and labels in the place of those of the table; what pointed at it adds its label alone."""
        slots = [k for k in range(len(self._own) + self._spare) if self._name(k) in one.pedigree.sensors]
        pointed = () if self.pointers is None else [self.pointers.label(key) for key in one.pedigree.sensors]
        labels = tuple(label for k in slots for label in self._labels.of(k)) or self._labels.every()
        labels += tuple(dict.fromkeys(label for label in pointed if label is not None))
        names = tuple(sorted({self._ids[k] for k in slots}))
        pedigree = msgspec.structs.replace(one.pedigree, sensors=names)
        return msgspec.structs.replace(one, pedigree=pedigree, label=self._label(labels))

    def _name(self, k: int) -> str:
        """Return the name that the assessor knows a place by."""
        return self._own[k].id if k < len(self._own) else f"partner-{k - len(self._own)}"

    def _label(self, labels: tuple[Label, ...]) -> Label:
        known = self._joined.get(labels)
        if known is None:
            if len(self._joined) >= JOINED_MAX:
                self._joined.clear()
            known = self._joined[labels] = join_for_own(labels, self.nation)
        return known


def _unnamed(one: Measurement) -> bool:
    """Tell whether a plot names no aircraft and has a size that a filter can use."""
    if one.address is not None or one.mode_3a is not None or one.callsign is not None:
        return False
    sizes = (one.sigma_along_m, one.sigma_across_m, one.sigma_up_m)
    return all(size > 0.0 for size in sizes)


class NationLaunches:
    """The nation's two watches: of its own sensors alone, and of these together with partners' released plots."""

    def __init__(
        self, nation: str, stream: Callable[[str], str], sensors: Sequence[Sensor], layer: Layer | None, settings: TrackerSettings
    ) -> None:
        self.own = LaunchWatch(nation, stream("own"), sensors, layer, settings)
        self.combined = LaunchWatch(nation, stream("combined"), sensors, layer, settings, SPARE_MAX)

    def resume(self, told: Assessment, *, by_all: bool) -> None:
        """Take what an earlier run told by all sensors, or by the own ones alone."""
        (self.combined if by_all else self.own).resume(told)

    def hear(self, now_ns: int, warnings: Sequence[WarningRecord], tracks: Sequence[PartnerRecord]) -> None:
        """Take partners' warnings and tracks: they point at launches, in what is the nation's own alone."""
        if self.combined.pointers is not None:
            self.combined.pointers.hear(now_ns, warnings, tracks)

    def step(
        self,
        now_ns: int,
        batches: Sequence[Reports],
        partners: Mapping[str, Sequence[PartnerReport]],
        sensor_of: Callable[[Reports], str],
    ) -> tuple[list[Assessment], list[Assessment]]:
        """Take own batches and partners' reports; return what is new by the own sensors alone, and by all."""
        self.own.take(batches, sensor_of)
        self.combined.take(batches, sensor_of)
        self.combined.take_partners(now_ns, partners)
        return self.own.step(now_ns), self.combined.step(now_ns)
