"""One audience's pipeline: fed only with what that audience may have (DESIGN principle 3).

It knows of no withheld sensor: not its place, not its coverage, not that it exists. It is stepped at the same times whether
or not anything came, so that hidden load moves nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

from trilat.errors import PolicyError
from trilat.policy.audience import AudiencePolicy
from trilat.policy.labels import join
from trilat.records.columns import STATUSES, Reports, Tracks
from trilat.records.convert import to_records as reports_to_records
from trilat.records.label import Label, Mode
from trilat.records.released import Released
from trilat.records.report import Fix, Plot
from trilat.records.sensor import Sensor
from trilat.records.track import Track
from trilat.records.warning import Acknowledgement, Retraction, Warning
from trilat.track import Tracker, TrackerSettings
from trilat.track.records import to_records
from trilat.warn.lifecycle import AudienceWarnings

SHOWN = ("confirmed", "coasting")
PRIORITY_TRACK = 2
PRIORITY_PLOT = 3
_SHOWN_CODES = [STATUSES.index(word) for word in SHOWN]


def sensor_of(batch: Reports) -> str:
    """Return the id of the one sensor whose reports a batch holds."""
    return batch.pedigree.sensors[0] if batch.pedigree.sensors else batch.source


def with_sensor(batch: Reports, index: int) -> Any:
    """Return a copy of a batch's columns with the sensor index of the tracker that is to read it."""
    columns = batch.columns.copy()
    columns["sensor"] = index
    return columns


def label_joiner(sensors: Sequence[Sensor]) -> Callable[[int], Label]:
    """Return a cached function from a bit set over `sensors` to the join of their labels (of all of them for an empty set)."""
    known: dict[int, Label] = {}

    def label_of(bits: int) -> Label:
        label = known.get(bits)
        if label is None:
            chosen = [sensor for k, sensor in enumerate(sensors) if bits >> k & 1] or list(sensors)
            label = known[bits] = join([sensor.label for sensor in chosen])
        return label

    return label_of


class ReplayClock:
    """The time of a step. In mode Replay a recording may run faster than life: then it is that of the newest report.

    Each audience has a clock of its own, moved by nothing but the reports that it may have.
    """

    def __init__(self, mode: Mode) -> None:
        self._replay = mode.kind == "replay"
        self._newest_ns = 0

    def at(self, now_ns: int, batches: Iterable[Reports], others_ns: Iterable[int] = ()) -> int:
        """Return the step's time: now_ns, or in a replay the newest of it and of the reports and other times ever given."""
        if not self._replay:
            return now_ns
        newest = (int(batch.columns["t_ns"].max()) for batch in batches if len(batch.columns))
        self._newest_ns = max((self._newest_ns, *newest, *others_ns))
        return max(now_ns, self._newest_ns)


class AudiencePipeline:
    """What one audience gets, computed from what it may have and nothing else."""

    def __init__(
        self,
        policy: AudiencePolicy,
        sensors: Iterable[Sensor],
        settings: TrackerSettings,
        state_tick_ns: int,
        now_ns: int,
    ) -> None:
        self.policy = policy
        self.nation = policy.nation
        self._state_tick_ns = state_tick_ns
        self._next_state_ns = 0
        self._waiting: list[Reports] = []
        self._clock = ReplayClock(policy.mode)
        decisions = [(sensor, policy.sensor_decision(sensor, now_ns)) for sensor in sensors]
        permitted = [(sensor, decision.tier) for sensor, decision in decisions if decision.permit]
        self._tier = {sensor.id: tier for sensor, tier in permitted}
        self._sensors = tuple(sensor for sensor, tier in permitted if tier != "plot")
        self._index = {sensor.id: k for k, sensor in enumerate(self._sensors)}
        self._tracker = Tracker(settings, self._sensors, f"{self.nation}/track") if self._sensors else None
        self._label_of = label_joiner(self._sensors)
        self._sent: dict[int, Track] = {}
        self.withheld: Counter[str] = Counter()
        self._warnings = AudienceWarnings(self.nation, policy.recipient)

    def step(self, now_ns: int, batches: Sequence[Reports]) -> list[Released]:
        """Take every batch of the node, look only at the permitted ones, and return what leaves now."""
        mine = [batch for batch in batches if self._may_have(batch, now_ns)]
        now_ns = self._clock.at(now_ns, mine)
        released = [one for batch in mine if self._tier[sensor_of(batch)] == "plot" for one in self._plots(now_ns, batch)]
        if self._tracker is not None:
            self._waiting += [self._indexed(batch) for batch in mine if sensor_of(batch) in self._index]
            # Tracks leave on this tick alone, and how reports were batched changes none: between ticks there is nothing to do.
            if now_ns >= self._next_state_ns:
                self._next_state_ns = now_ns + self._state_tick_ns
                waiting, self._waiting = self._waiting, []
                released.extend(self._tracks(now_ns, self._tracker.step(now_ns, waiting)))
        return released

    def _may_have(self, batch: Reports, now_ns: int) -> bool:
        return sensor_of(batch) in self._tier and self.policy.batch_decision(batch.label, now_ns, (sensor_of(batch),)).permit

    def _indexed(self, batch: Reports) -> Reports:
        return msgspec.structs.replace(batch, columns=with_sensor(batch, self._index[sensor_of(batch)]))

    def _plots(self, now_ns: int, batch: Reports) -> Iterable[Released]:
        for record in reports_to_records(batch):
            yield from self._release(record, now_ns, PRIORITY_PLOT)

    def _tracks(self, now_ns: int, tracks: Tracks) -> Iterable[Released]:
        """Release every shown track that was updated since it was last sent, and the last word on those that ended."""
        columns = tracks.columns
        shown = columns[np.isin(columns["status"], _SHOWN_CODES)]
        due = [
            (held := self._sent.get(int(row["number"]))) is None
            or held.updated_t_ns != row["updated_t_ns"]
            or held.status != STATUSES[row["status"]]
            for row in shown
        ]
        fresh = msgspec.structs.replace(tracks, columns=shown[np.array(due, bool)])
        for track in to_records(fresh, self._sensors, self._label_of, self.nation, SHOWN):
            self._sent[track.number] = track
            yield from self._release(track, now_ns)
        alive = set(shown["number"].tolist())
        for number in sorted(set(self._sent) - alive):
            last = self._sent.pop(number)
            yield from self._release(msgspec.structs.replace(last, t_ns=now_ns, status="deleted"), now_ns)

    def _release(self, record: Track | Plot | Fix, now_ns: int, priority: int = PRIORITY_TRACK) -> Iterable[Released]:
        """Yield the record as it leaves; one that policy refuses is withheld and counted, and stops no other."""
        try:
            one = self.policy.release(record, "state", now_ns, priority=priority)
        except PolicyError as error:
            self.withheld[error.name] += 1
            return
        if one is not None:
            yield one

    # Warnings -------------------------------------------------------------------------------------------------------

    def warn(self, now_ns: int, warning: Warning) -> list[Released]:
        """Return a national warning as this audience gets it; nothing when it may not have it."""
        return self._flash(now_ns, warning, self._warnings.warning)

    def retract(self, now_ns: int, retraction: Retraction) -> list[Released]:
        """Return a retraction for an audience that got the warning."""
        return self._flash(now_ns, retraction, self._warnings.retraction)

    def acknowledge(self, now_ns: int, acknowledgement: Acknowledgement) -> list[Released]:
        """Return this nation's acknowledgement: of the audience's own warning, or of an own warning that it got."""
        own = acknowledgement.warning_originator == self.nation
        edition = self._warnings.acknowledgement if own else (lambda one: one)
        return self._flash(now_ns, acknowledgement, edition)

    def national_id(self, audience_id: str) -> str | None:
        """Return the national id of a warning that this audience knows under another."""
        return self._warnings.national_id(audience_id)

    def _flash(self, now_ns: int, record: Any, edition: Callable[[Any], Any]) -> list[Released]:
        # Decide before an id is given: a warning that is withheld must leave no gap in this audience's ids.
        if not self.policy.record_decision(record, now_ns).permit:
            return []
        made = edition(record)
        one = None if made is None else self.policy.release(made, "flash", now_ns)
        return [] if one is None else [one]
