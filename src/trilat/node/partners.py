"""What came from partners: their tracks as they sent them, and tracks made of the plots and fixes they released."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from trilat.node.inputs import ReceivedInput
from trilat.picture.inputs import PartnerRecord, WarningRecord
from trilat.records import codec
from trilat.records.columns import Reports
from trilat.records.convert import to_columns
from trilat.records.label import Label
from trilat.records.report import Fix, Pedigree, Plot
from trilat.records.sensor import Sensor
from trilat.records.track import Area, Track
from trilat.records.warning import Acknowledgement, Retraction, Warning
from trilat.track import Tracker, TrackerSettings
from trilat.track.records import to_records

PARTNER_SENSORS_MAX = 32
SHOWN = ("confirmed", "coasting")


class PartnerInputs:
    """One step's records of partners, sorted by what they are. Records of types not known here are kept by the exchange."""

    def __init__(self) -> None:
        self.tracks: list[PartnerRecord] = []
        self.places: list[tuple[int, int]] = []
        self.warnings: list[WarningRecord] = []
        self.reports: dict[str, list[Plot | Fix]] = {}
        self.refused: Counter[str] = Counter()

    def take(self, given: ReceivedInput) -> None:
        """Sort one record. Its origin is the exporter that the exchange verified; a label of another origin is refused."""
        try:
            record = codec.decode(given.record)
        except msgspec.DecodeError:
            self.refused["record-unknown"] += 1
            return
        label: Label | None = getattr(record, "label", None)
        if label is None or label.originator != given.exporter:
            self.refused["origin-mismatch"] += 1
        elif isinstance(record, Track | Area):
            self.tracks.append(PartnerRecord(origin=given.exporter, lane=given.lane, record=record))
            self.places.append((given.epoch, given.sequence))
        elif isinstance(record, Warning | Acknowledgement | Retraction):
            self.warnings.append(WarningRecord(origin=given.exporter, record=record))
        elif isinstance(record, Plot | Fix):
            self.reports.setdefault(given.exporter, []).append(record)


class PartnerTracker:
    """Tracks of one partner's released fixes. Its plots need the radar's place, which an agreement may not give: counted."""

    def __init__(self, exporter: str, settings: TrackerSettings) -> None:
        self.exporter = exporter
        self.unplaced = 0
        self._settings = settings
        self._sensors: tuple[Sensor, ...] = ()
        self._tracker: Tracker | None = None
        self._labels: dict[str, Label] = {}
        self._shown: dict[tuple[str, int], Track] = {}

    def step(self, now_ns: int, records: Sequence[Plot | Fix]) -> list[PartnerRecord]:
        """Take what the partner released, and return its confirmed tracks (all of them, each step that brought something)."""
        fixes = [record for record in records if isinstance(record, Fix)]
        self.unplaced += len(records) - len(fixes)
        by_sensor: dict[str, list[Plot | Fix]] = {}
        for fix in fixes:
            by_sensor.setdefault(fix.sensor, []).append(fix)
            self._labels[fix.sensor] = fix.label
        self._know(sorted(by_sensor))
        if self._tracker is None:
            return []
        index = {sensor.id: k for k, sensor in enumerate(self._sensors)}
        batches = [self._batch(now_ns, name, index[name], held) for name, held in sorted(by_sensor.items()) if name in index]
        tracks = self._tracker.step(now_ns, batches)
        made = to_records(tracks, self._sensors, self._label_of, self.exporter, SHOWN)
        return [PartnerRecord(origin=self.exporter, lane="state", record=track) for track in (*made, *self._ended(now_ns, made))]

    def _ended(self, now_ns: int, made: Sequence[Track]) -> list[Track]:
        """Return the last word on the tracks that were shown and are no more."""
        now_shown = {(track.stream, track.number): track for track in made}
        ended = [track for key, track in self._shown.items() if key not in now_shown]
        self._shown = now_shown
        return [msgspec.structs.replace(track, t_ns=now_ns, status="deleted") for track in ended]

    def _know(self, names: Sequence[str]) -> None:
        """Make the tracker anew when a sensor is met for the first time; that happens once or twice in a node's life."""
        known = {sensor.id for sensor in self._sensors}
        new = [name for name in names if name not in known][: PARTNER_SENSORS_MAX - len(known)]
        if not new:
            return
        made = [Sensor(id=name, nation=self.exporter, kind="fixes", label=self._labels[name]) for name in new]
        self._sensors = (*self._sensors, *made)
        self._tracker = Tracker(self._settings, self._sensors, f"{self.exporter}/fixes-{len(self._sensors)}")

    def _batch(self, now_ns: int, name: str, index: int, records: Sequence[Plot | Fix]) -> Reports:
        columns = to_columns(records)
        columns["sensor"] = index
        pedigree = Pedigree(nation=self.exporter, sensors=(name,))
        return Reports(source=name, label=self._labels[name], pedigree=pedigree, received_t_ns=now_ns, columns=columns)

    def _label_of(self, bits: int) -> Label:
        chosen = [sensor.id for k, sensor in enumerate(self._sensors) if bits >> k & 1]
        return self._labels[chosen[0] if chosen else self._sensors[0].id]
