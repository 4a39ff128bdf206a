"""What came from partners in one step, sorted by what it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from trilat.joint.core import PartnerReport
from trilat.node.inputs import ReceivedInput
from trilat.picture.inputs import PartnerRecord, WarningRecord
from trilat.records import codec
from trilat.records.label import Label, Mode
from trilat.records.report import Fix, Measurement, Plot
from trilat.records.track import Area, Track, Tracklet
from trilat.records.warning import Acknowledgement, Recall, Retraction, Warning


class PartnerInputs:
    """One step's records of partners, sorted by what they are. Records of types not known here are kept by the exchange."""

    def __init__(self, mode: Mode) -> None:
        self._mode = mode
        self.tracks: list[PartnerRecord] = []
        self.places: list[tuple[int, int]] = []
        self.warnings: list[WarningRecord] = []
        self.recalls: list[tuple[str, Recall]] = []
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
        elif label.mode != self._mode:
            # The exchange takes in none of another mode; this holds whatever way one came into the inbox.
            self.refused["mode-differs"] += 1
        elif isinstance(record, Track | Area):
            self.tracks.append(PartnerRecord(origin=given.exporter, lane=given.lane, record=record))
            self.places.append((given.epoch, given.sequence))
        elif isinstance(record, Warning | Acknowledgement | Retraction):
            self.warnings.append(WarningRecord(origin=given.exporter, record=record))
        elif isinstance(record, Recall):
            self.recalls.append((given.exporter, record))
        elif isinstance(record, Plot | Fix | Measurement | Tracklet):
            self.reports.setdefault(given.exporter, []).append(record)

    def times_ns(self) -> Iterator[int]:
        """Give the times of everything that is tracked or shown: of tracks, and of what partners sent as reports."""
        yield from (item.record.t_ns for item in self.tracks)
        yield from (record.t_ns for records in self.reports.values() for record in records)


class PartnerStreams:
    """Which stream of track numbers each partner is at. A partner that started again numbers anew in a new stream.

    What it held in the one before is over: it ends here at once, instead of standing beside the new tracks until it is stale.
    """

    def __init__(self, tracks_max: int) -> None:
        self._tracks_max = tracks_max
        self._started: dict[tuple[str, str], int] = {}
        self._held: dict[tuple[str, str], dict[int, Track]] = {}

    def ended(self, now_ns: int, tracks: Sequence[PartnerRecord]) -> list[PartnerRecord]:
        """Take a step's tracks, and return the last word on those of a stream that a newer one has replaced."""
        gone: list[PartnerRecord] = []
        for one in tracks:
            base, _, started = one.record.stream.rpartition("/") if isinstance(one.record, Track) else ("", "", "")
            if not isinstance(one.record, Track) or not started.isdecimal():
                continue
            key = (one.origin, base)
            held = self._held.setdefault(key, {})
            if int(started) > self._started.setdefault(key, int(started)):
                self._started[key] = int(started)
                gone += [_over(now_ns, track, one) for _, track in sorted(held.items())]
                held.clear()
            if int(started) == self._started[key]:
                self._keep(held, one.record)
        return gone

    def _keep(self, held: dict[int, Track], track: Track) -> None:
        if track.status == "deleted":
            held.pop(track.number, None)
        elif track.number in held or len(held) < self._tracks_max:
            held[track.number] = track


def _over(now_ns: int, track: Track, newer: PartnerRecord) -> PartnerRecord:
    return PartnerRecord(
        origin=newer.origin, lane=newer.lane, record=msgspec.structs.replace(track, t_ns=now_ns, status="deleted")
    )
