"""One audience's pipeline: fed only with what that audience may have (DESIGN principle 3).

It knows of no withheld sensor: not its place, not its coverage, not that it exists. It is stepped at the same times whether
or not anything came, so that hidden load moves nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from trilat.errors import PolicyError
from trilat.fuse.earth_fixed import can_stand_alone, measurements
from trilat.issuing.duty import UNNAMED
from trilat.joint.core import batch_of
from trilat.joint.launches import LaunchWatch
from trilat.joint.tier import TierName, TierTracker, stream_name
from trilat.joint.watch import turn_of
from trilat.marking.canonical import Tier
from trilat.outward.delayed import FLASH_PRIORITY, DelayQueue, Held, MinuteHold
from trilat.outward.doors import Doors, Opened
from trilat.policy.audience import AudiencePolicy
from trilat.policy.coarsen import TIME_STEP_NS
from trilat.policy.labels import make
from trilat.policy.release import delay_ns, leaves_as_area
from trilat.policy.rules import TIME_MAX_NS, Decision
from trilat.records.assessment import Assessment
from trilat.records.columns import Reports
from trilat.records.convert import to_records as reports_to_records
from trilat.records.declassification import Declassification
from trilat.records.label import Label, Mode
from trilat.records.released import Lane, Released
from trilat.records.sensor import Sensor
from trilat.records.track import Track
from trilat.records.warning import Acknowledgement, Recall, Retraction, Warning
from trilat.track import TrackerSettings
from trilat.warn.areas import Layer
from trilat.warn.lifecycle import AudienceWarnings

TIERS_TRACKED: tuple[TierName, ...] = ("tracklet", "track", "area")
PRIORITY_TRACK = 2
PRIORITY_PLOT = 3


def sensor_of(batch: Reports) -> str:
    """Return the id of the one sensor whose reports a batch holds."""
    return batch.pedigree.sensors[0] if batch.pedigree.sensors else batch.source


class Tick:
    """A fixed tick on the clock itself (whole multiples of its length), whatever came between.

    Whether anything else was stepped late or early moves it not: what leaves on it tells nothing of other load.
    """

    def __init__(self, length_ns: int) -> None:
        self._length_ns = max(length_ns, 1)
        self._last: int | None = None

    def passed(self, now_ns: int) -> bool:
        """Tell whether a tick has come since the last call that said so (the first call always does)."""
        number = now_ns // self._length_ns
        if self._last is not None and number <= self._last:
            return False
        self._last = number
        return True


class ReplayClock:
    """The time of a step. In mode Replay a recording may run faster than life: then it is that of the newest report.

    Each audience has a clock of its own, moved by nothing but the reports that it may have.
    """

    def __init__(self, mode: Mode) -> None:
        self._replay = mode.kind == "replay"
        self._newest_ns = 0
        self._at_ns: int | None = None

    def at(self, now_ns: int, batches: Iterable[Reports], others_ns: Iterable[int] = ()) -> int:
        """Return the step's time: now_ns, or in a replay the newest of it and of the reports and other times ever given."""
        if not self._replay:
            return now_ns
        newest = (int(batch.columns["t_ns"].max()) for batch in batches if len(batch.columns))
        self._newest_ns = max((self._newest_ns, *newest, *others_ns))
        self._at_ns = max(now_ns, self._newest_ns)
        return self._at_ns

    def own(self, now_ns: int) -> int:
        """Return the time by this clock in a step in which another, that sees more, shows now_ns."""
        return now_ns if self._at_ns is None else min(now_ns, self._at_ns)


class AudiencePipeline:
    """What one audience gets, computed from what it may have and nothing else."""

    def __init__(
        self,
        policy: AudiencePolicy,
        sensors: Iterable[Sensor],
        settings: TrackerSettings,
        state_tick_ns: int,
        now_ns: int,
        layer: Layer | None = None,
    ) -> None:
        self.policy = policy
        self.nation = policy.nation
        self._tick_ns = state_tick_ns
        self._state_tick = Tick(state_tick_ns)
        self._clock = ReplayClock(policy.mode)
        self._all, self._settings, self._layer = tuple(sensors), settings, layer
        self._tier: dict[str, Tier] = {}
        self.tiers: tuple[TierTracker, ...] = ()
        self._watched: list[str] | None = None
        self._arrange(now_ns)
        self.assessed: list[Assessment] = []  # what the last step made of launches
        self.withheld: Counter[str] = Counter()
        self.delayed = DelayQueue()
        self.coarse = MinuteHold(TIME_STEP_NS)
        self.doors = Doors(policy)
        self._warnings = AudienceWarnings(self.nation, policy.recipient)

    def _arrange(self, now_ns: int) -> list[Track]:
        """Make trackers of what the audience may have now; return the last word on the tracks of those that end.

        Decided anew when a date of an agreement or label is crossed. What withheld sensors' dates are changes nothing: a tracker
        whose sensors stay goes on.
        """
        decisions = [(sensor, self.policy.sensor_decision(sensor, now_ns)) for sensor in self._all]
        self._until_ns = min((decision.expires_ns for _, decision in decisions), default=TIME_MAX_NS)
        permitted = [(sensor, decision.tier) for sensor, decision in decisions if decision.permit]
        self._tier = {sensor.id: tier for sensor, tier in permitted}
        self._sensors = {sensor.id: sensor for sensor, _ in permitted}
        before = {(one.tier, one.sensors): one for one in self.tiers}
        turn_ns = turn_of(self.policy.recipient)
        self.tiers = tuple(
            before.pop((name, held))
            if (name, held) in before
            else TierTracker(self.nation, name, held, self._settings, now_ns, turn_ns)
            for name in TIERS_TRACKED
            if (held := tuple(sensor for sensor, tier in permitted if tier == name))
        )
        # Launches are looked for in all that the audience gets no coarser than tracks, at any tier: one flight, one warning.
        watched = [sensor for sensor, tier in permitted if tier != "area"] if not self.policy.public else []
        if [one.id for one in watched] != self._watched:
            self._watched = [one.id for one in watched]
            stream = stream_name(self.nation, f"launches-{self.policy.recipient}", now_ns)
            self.launches = LaunchWatch(self.nation, stream, watched, self._layer, self._settings)
        return [track for tier in before.values() for track in tier.ended(now_ns)]

    def step(self, now_ns: int, batches: Sequence[Reports]) -> list[Released]:
        """Take every batch of the node, look only at the permitted ones, and return what leaves now."""
        # On a tick, not in a step between that somebody else's doing brings about.
        tick_ns = self._tick_at(now_ns)
        ended = self._arrange(tick_ns) if tick_ns >= self._until_ns else []
        mine = [batch for batch in batches if self._may_have(batch, now_ns)]
        now_ns = self._clock.at(now_ns, mine)
        released = [one for track in ended for one in self._release(track, now_ns)]
        released += [one for batch in mine if self._tier[sensor_of(batch)] == "plot" for one in self._plots(now_ns, batch)]
        for tier in self.tiers:
            held = [(batch, tier.index.get(sensor_of(batch))) for batch in mine]
            tier.waiting += [batch_of(batch, index) for batch, index in held if index is not None]
        self.launches.take(mine, sensor_of)
        self.assessed = []
        # Tracks leave on this tick alone, and how reports were batched changes none: between ticks there is nothing to do.
        if self._state_tick.passed(now_ns):
            waited = self.delayed.due(self._tick_at(now_ns))
            released.extend(one for held in waited for one in self._offer(held, now_ns))
            offered = [record for tier in self.tiers for record in tier.step(now_ns)]
            tracked = [Held(now_ns, 0, record, "state", PRIORITY_TRACK) for record in offered]
            released.extend(one for held in tracked for one in self._offer(held, now_ns))
            due = self.coarse.due(self._tick_at(now_ns))
            released.extend(one for held in due for one in self._release(held.record, now_ns, held.priority, held.lane))
            self.assessed = self.launches.step(now_ns)
        return released

    def resumed(self, last_ns: int) -> None:
        """Take note that an earlier run of this node stepped until last_ns: what was due on a tick by then has left."""
        self.delayed.forget_due(self._tick_at(last_ns))

    def _tick_at(self, now_ns: int) -> int:
        """Return the last tick by now_ns: what is due then, and no more, whenever within the tick the step comes."""
        return now_ns - now_ns % max(self._tick_ns, 1)

    def _may_have(self, batch: Reports, now_ns: int) -> bool:
        return sensor_of(batch) in self._tier and self.policy.batch_decision(batch.label, now_ns, (sensor_of(batch),)).permit

    def _plots(self, now_ns: int, batch: Reports) -> Iterable[Released]:
        """Release plots as they are in Earth-fixed terms, so that no radar's place goes with them; fixes as they came."""
        for made in measurements(batch, self._sensors[sensor_of(batch)]):
            yield from self._release(made, now_ns, PRIORITY_PLOT)
        rest = msgspec.structs.replace(batch, columns=batch.columns[~can_stand_alone(batch.columns)])
        for record in reports_to_records(rest, checked=False):  # the release checks what it encoded
            yield from self._release(record, now_ns, PRIORITY_PLOT)

    def _offer(self, held: Held, now_ns: int) -> Iterable[Released]:
        """Yield a record as it leaves; a track that leaves as an area waits for the minute, so that its hour tells nothing."""
        decision = self.policy.record_decision(held.record, now_ns)
        if leaves_as_area(held.record, decision):
            self.coarse.put(held.record, held.lane, held.priority)
            return
        yield from self._release(held.record, now_ns, held.priority, held.lane, decision)

    def _release(
        self,
        record: Any,
        now_ns: int,
        priority: int = PRIORITY_TRACK,
        lane: Lane = "state",
        decision: Decision | None = None,
    ) -> Iterable[Released]:
        """Yield the record as it leaves; one that policy refuses is withheld and counted, and stops no other.

        decision: from `record_decision`, when it was made already: each is kept and counted.
        """
        try:
            one = self._now_or_later(record, lane, now_ns, priority, decision)
        except PolicyError as error:
            self.withheld[error.name] += 1
            return
        if one is not None:
            yield one

    def _now_or_later(
        self, record: Any, lane: Lane, now_ns: int, priority: int, decision: Decision | None = None
    ) -> Released | None:
        """Return the record as it leaves now; one whose delay still runs is held, and decided anew when it is due."""
        decision = decision or self.policy.record_decision(record, now_ns)
        one = self.policy.release(record, lane, now_ns, decision=decision, priority=priority)
        if one is None and decision.permit and (due_ns := record.t_ns + delay_ns(decision)) > now_ns:
            self.delayed.put(due_ns, record, lane, priority)
        return one

    # Warnings -------------------------------------------------------------------------------------------------------

    def own_ns(self, now_ns: int) -> int:
        """Return this audience's time in a step of the nation's: in a replay its own clock's, which nothing withheld moves on."""
        return self._clock.own(now_ns)

    def _in_own_time(self, now_ns: int, record: Any) -> tuple[int, Any]:
        """Return the audience's time, and a record that the nation made now with its times moved by as much."""
        ahead_ns = now_ns - (own_ns := self.own_ns(now_ns))
        if not ahead_ns:
            return now_ns, record
        ends = {"expires_ns": record.expires_ns - ahead_ns} if isinstance(record, Warning) else {}
        return own_ns, msgspec.structs.replace(record, t_ns=record.t_ns - ahead_ns, **ends)

    def warn(self, now_ns: int, warning: Warning) -> list[Released]:
        """Return a national warning as this audience gets it; nothing when it may not have it and no event stands open for it."""
        now_ns, warning = self._in_own_time(now_ns, warning)
        sent = self._flash(now_ns, warning, self._warnings.warning)
        if sent or self.policy.record_decision(warning, now_ns).permit:
            return sent
        return self._through(now_ns, self.doors.standing(now_ns, warning))

    def retract(self, now_ns: int, retraction: Retraction) -> list[Released]:
        """Return a retraction for an audience that got the warning, by its label or through a door."""
        now_ns, retraction = self._in_own_time(now_ns, retraction)
        sent = self._flash(now_ns, retraction, self._warnings.retraction)
        if sent or self.policy.record_decision(retraction, now_ns).permit:
            return sent
        return self._through(now_ns, self.doors.follows(now_ns, retraction))

    def declassify(self, now_ns: int, event: Declassification, record: bytes) -> tuple[list[Released], Decision | None]:
        """Take a signed event: return what it lets go, and the decision on it (None where an event names no record).

        Raises PolicyError for an event that is not to be used; then nothing has changed.
        """
        now_ns = self.own_ns(now_ns)
        opened = self.doors.take(now_ns, event, record)
        return self._through(now_ns, opened), opened.decision

    def _through(self, now_ns: int, opened: Opened) -> list[Released]:
        """Release what a door let through. It gets its id only here: what stays leaves no gap."""
        record, decision = opened.record, opened.decision
        lane: Lane = "state" if isinstance(record, Track) else "flash"
        if isinstance(record, Warning):
            record = self._warnings.warning(record)
        elif isinstance(record, Retraction):
            record = self._warnings.retraction(record)
        if record is None or decision is None:
            return []
        one = self.policy.release(record, lane, now_ns, decision=decision)
        return [] if one is None else [one]

    def acknowledge(self, now_ns: int, acknowledgement: Acknowledgement) -> list[Released]:
        """Return this nation's acknowledgement: of the audience's own warning, or of an own warning that it got."""
        now_ns, acknowledgement = self._in_own_time(now_ns, acknowledgement)
        own = acknowledgement.warning_originator == self.nation
        edition = self._warnings.acknowledgement if own else (lambda one: one)
        return self._flash(now_ns, acknowledgement, edition)

    def recall(self, now_ns: int, policy: str, via: str | None, recall: Callable[[Label], Recall]) -> list[Released]:
        """Return a recall for this audience, on the way that its records took; nothing while an agreement delays it.

        A recall says nothing of any target: its label is of the lowest level, for this audience alone, about the first topic on
        which an agreement lets it go without delay, else about one that delays it.

        Args:
            now_ns: the time, UTC ns.
            policy: the security policy of the node's labels.
            via: the hub of the stream that the numbers are of; None = direct.
            recall: makes the record of its label.

        Raises PolicyError (recall-withheld) where no agreement lets one go; then nothing has left.
        """
        made = [recall(self._plain_label(policy, topic)) for topic in self.policy.topics()]
        decided = [(self.policy.record_decision(one, now_ns), one) for one in made]
        permitted = [(delay_ns(decision), one) for decision, one in decided if decision.permit and decision.via == via]
        if not permitted:
            raise PolicyError("recall-withheld", f"{self.policy.recipient}.")
        record = min(permitted, key=lambda held: held[0])[1]
        one = self._now_or_later(record, "flash", now_ns, FLASH_PRIORITY)
        return [] if one is None else [one]

    def _plain_label(self, policy: str, topic: str) -> Label:
        """Return the lowest label of this nation for this audience alone."""
        return make(
            policy=policy,
            originator=self.nation,
            mode=self.policy.mode,
            level=0,
            rel_to=(self.policy.recipient,),
            topics=(topic,),
            sources=(self.nation,),
        )

    def new_warning_id(self) -> str:
        """Return this audience's next warning id."""
        return self._warnings.new_id()

    def link(self, audience_id: str, national_id: str) -> None:
        """Remember which national warning an edition of this audience is of."""
        self._warnings.link(audience_id, national_id)

    def flash(self, now_ns: int, record: Warning | Retraction) -> list[Released]:
        """Return a record that was made for this audience; one that policy refuses is withheld and counted."""
        try:
            return self._flash(now_ns, record, lambda one: one)
        except PolicyError as error:
            self.withheld[error.name] += 1
            return []

    def covered(self, now_ns: int, basis: Assessment) -> str:
        """Return the id of the standing event by which what is made of a flight may be told; empty when there is none."""
        found = self.doors.covering(now_ns, basis)
        return "" if found is None else found.event.id

    def tell(self, now_ns: int, warning: Warning, event: str, national_ids: Iterable[str]) -> tuple[str, list[Released]]:
        """Return a warning that was made for this audience of what an event covers, as it leaves, and its id.

        It has a plain label of its own, on which policy decides as well: what could not be taken back is not said. It gets its
        id only when it leaves; what would leave only later stays.
        """
        decision = self.policy.record_decision(warning, now_ns)
        if not decision.permit or delay_ns(decision):
            return "", []
        by_event = msgspec.structs.replace(decision, tier="area", reason="declassified", rule=event)
        name = self._warnings.next_id() if warning.id == UNNAMED else warning.id
        try:
            one = self.policy.release(msgspec.structs.replace(warning, id=name), "flash", now_ns, decision=by_event)
        except PolicyError as error:
            self.withheld[error.name] += 1
            return "", []
        if one is None:
            return "", []
        if warning.id == UNNAMED:
            self.new_warning_id()
        for national_id in national_ids:
            self.link(name, national_id)
        self.doors.told(event, by_event, national_ids)
        return name, [one]

    def edition_of(self, national_id: str) -> str:
        """Return the id under which this audience has a national warning; empty when it never got it."""
        return self._warnings.id_of(national_id)

    def national_id(self, audience_id: str) -> str | None:
        """Return the national id of a warning that this audience knows under another."""
        return self._warnings.national_id(audience_id)

    def _flash(self, now_ns: int, record: Any, edition: Callable[[Any], Any]) -> list[Released]:
        # Decide before an id is given: a warning that is withheld must leave no gap in this audience's ids.
        if not self.policy.record_decision(record, now_ns).permit:
            return []
        made = edition(record)
        one = None if made is None else self._now_or_later(made, "flash", now_ns, FLASH_PRIORITY)
        return [] if one is None else [one]
