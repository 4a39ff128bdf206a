"""One audience's doors: which signed events it has taken, what stands open, and what goes through. Pure.

The events are input records of the audience's own pipeline, and the only way in which what its labels withhold bears on what it
gets. An event is taken once; anything that is wrong with it is refused by name and opens nothing.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from trilat.errors import PolicyError
from trilat.marking.canonical import coarsest
from trilat.policy import signing
from trilat.policy.audience import AudiencePolicy, content_hash
from trilat.policy.release import delay_ns
from trilat.policy.rules import APPROVERS_MIN, Decision
from trilat.records import codec
from trilat.records.assessment import Assessment
from trilat.records.declassification import Declassification
from trilat.records.report import Pedigree
from trilat.records.track import Track
from trilat.records.warning import Retraction, Warning, WarningArea

EVENTS_MAX = 10_000
STANDING_MAX = 64
GRID_DEG = 0.1
RADIUS_STEP_M = 10_000.0
# How far a place may be moved by rounding to the grid: half its diagonal at the equator.
GRID_DOUBT_M = 7_900.0


class Opened(NamedTuple):
    """What an event let go: the decision, and the record in the form in which it is to be released; None = it stays."""

    decision: Decision | None
    record: Any = None


class Gone(NamedTuple):
    """What went through a door: by which event and decision."""

    event: Declassification
    decision: Decision


class Doors:
    """The events of one audience."""

    def __init__(self, policy: AudiencePolicy) -> None:
        self._policy = policy
        self._keys: dict[str, bytes] = {}
        self._taken: OrderedDict[str, None] = OrderedDict()
        self._standing: dict[str, Declassification] = {}
        self._gone: OrderedDict[str, Gone] = OrderedDict()
        self._numbers = 0

    def trust(self, keys: Mapping[str, bytes]) -> None:
        """Take the public keys (id -> 32 bytes) with which this nation's node signs its events."""
        self._keys = dict(keys)

    def taken(self) -> frozenset[str]:
        """Return the ids of the events taken so far."""
        return frozenset(self._taken)

    def take(self, now_ns: int, event: Declassification, record: bytes) -> Opened:
        """Take an event; return what it lets go now. Raises PolicyError by name for one that is not to be used."""
        signing.check_declassification(event, self._keys)
        self._check(now_ns, event)
        held = self._held(event, record)
        self._taken[event.id] = None
        while len(self._taken) > EVENTS_MAX:
            self._taken.popitem(last=False)
        if event.kind == "life-safety":
            self._standing[event.id] = event
        return Opened(None) if held is None else self._open(now_ns, event, held)

    def _check(self, now_ns: int, event: Declassification) -> None:
        policy = self._policy
        if event.nation != policy.nation or event.audience != policy.recipient:
            raise PolicyError("declassification-audience", f"{event.id}: {event.nation} to {event.audience}.")
        if event.mode != policy.mode:
            raise PolicyError("declassification-mode", f"{event.id}: {event.mode.kind} {event.mode.id}.")
        if not event.t_ns <= now_ns < event.expires_ns:
            raise PolicyError("declassification-expired", f"{event.id}: {event.t_ns} until {event.expires_ns}, now {now_ns}.")
        if event.id in self._taken:
            raise PolicyError("declassification-repeated", f"{event.id}.")
        if event.kind != "agreement-change" and len(set(event.approved_by)) < APPROVERS_MIN:
            raise PolicyError("declassification-unapproved", f"{event.id}: by {', '.join(event.approved_by) or 'nobody'}.")
        self._standing = {one.id: one for one in self._standing.values() if now_ns < one.expires_ns}
        if event.kind == "life-safety" and len(self._standing) >= STANDING_MAX:
            raise PolicyError("declassification-full", f"{event.id}: {STANDING_MAX} stand.")

    def _held(self, event: Declassification, record: bytes) -> Track | Warning | None:
        """Return the record that came with an event and is the one approved; None where an event names none."""
        if event.content_sha256 is None:
            return None
        try:
            held = codec.decode(record)
        except msgspec.MsgspecError as fault:
            raise PolicyError("declassification-record", f"{event.id}: {fault}"[:200]) from fault
        if not isinstance(held, Track | Warning) or content_hash(held) != event.content_sha256:
            raise PolicyError("declassification-record", f"{event.id}: not the record that was approved.")
        return held

    def _open(self, now_ns: int, event: Declassification, held: Track | Warning) -> Opened:
        decision = self._policy.record_decision(held, now_ns, event)
        if not decision.permit:
            return Opened(decision)
        # What a label lets go anyway still leaves no finer than was approved.
        decision = msgspec.structs.replace(decision, tier=coarsest(decision.tier, event.tier))
        if held.t_ns + delay_ns(decision) > now_ns:
            raise PolicyError("declassification-delayed", f"{event.id}: {held.t_ns + delay_ns(decision) - now_ns} ns to go.")
        if isinstance(held, Warning):
            self._went(held.id, Gone(event, decision))
            return Opened(decision, held)
        self._went(f"{held.stream}/{held.number}", Gone(event, decision))
        # A stream and number of the audience's own: the national track's would say how many there are.
        self._numbers += 1
        pedigree = msgspec.structs.replace(held.pedigree, sensors=())
        stream = f"{self._policy.nation}/approved"
        return Opened(decision, msgspec.structs.replace(held, stream=stream, number=self._numbers, pedigree=pedigree))

    def went(self, subject: str) -> Gone | None:
        """Return by what a warning (its national id) or a track (stream/number) went through a door last; None = it did not."""
        return self._gone.get(subject)

    def _went(self, subject: str, gone: Gone) -> None:
        self._gone[subject] = gone
        self._gone.move_to_end(subject)
        while len(self._gone) > EVENTS_MAX:
            self._gone.popitem(last=False)

    def standing(self, now_ns: int, warning: Warning) -> Opened:
        """Return a withheld warning in its coarse form when a life-safety event stands open for it."""
        found = self.covering(now_ns, warning)
        if found is None:
            return Opened(None)
        self._went(warning.id, found)
        return Opened(found.decision, coarse(warning))

    def covering(self, now_ns: int, record: Warning | Assessment) -> Gone | None:
        """Return the life-safety event that stands open for a record, and the decision by it; None when there is none."""
        for event in sorted(self._standing.values(), key=lambda one: one.id):
            decision = self._policy.record_decision(record, now_ns, event)
            # What would leave only later stays: a place and an id are not taken for it.
            if decision.permit and record.t_ns + delay_ns(decision) <= now_ns:
                return Gone(event, decision)
        return None

    def told(self, event_id: str, decision: Decision, national_ids: Iterable[str]) -> None:
        """Take note that a warning made for this audience went by an event, of which national warnings."""
        event = self._standing.get(event_id)
        if event is not None:
            for name in national_ids:
                self._went(name, Gone(event, decision))

    def follows(self, now_ns: int, retraction: Retraction) -> Opened:
        """Return the retraction of a warning that went through a door: whoever got the one gets the other, without its text."""
        gone = self._gone.get(retraction.warning_id)
        if gone is None or not gone.decision.not_before_ns <= now_ns < gone.decision.expires_ns:
            return Opened(None)
        return Opened(gone.decision, msgspec.structs.replace(retraction, text=""))


def coarse(warning: Warning) -> Warning:
    """Return a warning as nobody need have read it before it goes: kind, times, and areas on a grid; no words, no flight."""
    return msgspec.structs.replace(
        warning,
        headline=f"Warning: {warning.kind}",
        text="",
        areas=tuple(_coarse_area(one, k) for k, one in enumerate(warning.areas, 1)),
        pedigree=Pedigree(nation=warning.pedigree.nation),
        confidence=None,
        flight=None,
        touched=(),
        words=(),
    )


def _coarse_area(area: WarningArea, number: int) -> WarningArea:
    """Return the circle about the nearest point of the grid that holds the whole area."""
    radius_m = math.ceil((area.radius_m + GRID_DOUBT_M) / RADIUS_STEP_M) * RADIUS_STEP_M
    return WarningArea(
        name=f"area {number}",
        lat_deg=round(area.lat_deg / GRID_DEG) * GRID_DEG,
        lon_deg=min(max(round(area.lon_deg / GRID_DEG) * GRID_DEG, -180.0), 180.0),
        radius_m=radius_m,
    )
