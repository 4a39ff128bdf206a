"""What came from partners in one step, sorted by what it is."""

from __future__ import annotations

from collections import Counter

import msgspec

from trilat.joint.core import PartnerReport
from trilat.node.inputs import ReceivedInput
from trilat.picture.inputs import PartnerRecord, WarningRecord
from trilat.records import codec
from trilat.records.label import Label
from trilat.records.report import Fix, Measurement, Plot
from trilat.records.track import Area, Track, Tracklet
from trilat.records.warning import Acknowledgement, Retraction, Warning


class PartnerInputs:
    """One step's records of partners, sorted by what they are. Records of types not known here are kept by the exchange."""

    def __init__(self) -> None:
        self.tracks: list[PartnerRecord] = []
        self.places: list[tuple[int, int]] = []
        self.warnings: list[WarningRecord] = []
        self.reports: dict[str, list[PartnerReport]] = {}
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
        elif isinstance(record, Plot | Fix | Measurement | Tracklet):
            self.reports.setdefault(given.exporter, []).append(record)
