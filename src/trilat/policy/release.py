"""Release: the only maker of `Released`. Sanitises a record for one audience, encodes it, and checks what it made.

The audience gets its own view of the label: whom else the record went to, who else consented, and what was done to which
field are not in it, so that a "separate call" with one partner does not even exist for another.
"""

from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from trilat.errors import PolicyError
from trilat.marking.canonical import TIERS, check
from trilat.policy.coarsen import CELL_DEFAULT_M, TIME_STEP_NS, Coarsener
from trilat.policy.labels import digest
from trilat.policy.rules import Decision
from trilat.policy.sanitise import HOLDS, sanitise
from trilat.records import codec
from trilat.records.label import Label
from trilat.records.released import Lane, Released
from trilat.records.report import Fix, Measurement, Pedigree, Plot
from trilat.records.track import Area, Track, Tracklet
from trilat.records.warning import Acknowledgement, Recall, Retraction, Warning

# The finest tier at which a form may leave; what people say to one another has none.
FINEST: dict[type[Struct], int] = {Plot: 0, Fix: 0, Measurement: 0, Tracklet: 1, Track: 2, Area: 3}
FLASH: tuple[type[Struct], ...] = (Warning, Acknowledgement, Retraction, Recall)


def view(label: Label, decision: Decision) -> Label:
    """Return the audience's own view of a label: what it must obey, and nothing about anybody else.

    rel_to names this audience alone; consents and operations are empty; purposes are those that label and agreements allow.
    Policy, originator, mode, level, communities, topics, caveats, dates and sources stay: the recipient must obey them.
    """
    return _view(label, decision.audience, decision.purposes)


@lru_cache(maxsize=4096)
def _view(label: Label, audience: str, purposes: tuple[str, ...]) -> Label:
    return check(msgspec.structs.replace(label, rel_to=(audience,), purposes=purposes, consents=(), operations=()))


def to_area(track: Track, cell_m: float, coarsener: Coarsener, now_ns: int) -> Area | None:
    """Return the coarse form of an audience tracker's track: a place, a radius, a whole minute; None for a deleted one.

    The minute is the one that ends next after the track's time, or, where that is still to come, the one that ended last.
    """
    if track.status == "deleted":
        coarsener.forget(track.stream, track.number)
        return None
    place = coarsener.place(track.stream, track.number, track.t_ns, track.lat_deg, track.lon_deg, cell_m)
    ends_ns = -(-track.t_ns // TIME_STEP_NS) * TIME_STEP_NS
    return Area(
        stream=track.stream,
        number=track.number,
        t_ns=ends_ns if ends_ns <= now_ns else track.t_ns // TIME_STEP_NS * TIME_STEP_NS,
        label=track.label,
        pedigree=Pedigree(nation=track.pedigree.nation),
        domain=track.domain,
        lat_deg=place.lat_deg,
        lon_deg=place.lon_deg,
        radius_m=place.radius_m,
    )


def _cell_m(decision: Decision) -> float:
    """Return the side of the cell that a decision coarsens positions to; 0 where it does not."""
    return max((one.amount for one in decision.operations if one.operation == "coarsen"), default=0.0)


def leaves_as_area(record: Any, decision: Decision) -> bool:
    """Tell whether a record is a track that this decision lets go as an area only."""
    return isinstance(record, Track) and decision.permit and (decision.tier == "area" or _cell_m(decision) > 0.0)


def _shaped(record: Any, decision: Decision, coarsener: Coarsener | None, now_ns: int) -> Any:
    """Return the record in a form that the tier and the coarsening of positions allow; None when nothing is to leave."""
    cell_m = _cell_m(decision)
    if leaves_as_area(record, decision):
        if coarsener is None:
            raise PolicyError("release-tier", "A track goes out as an area only, and there is no secret to coarsen it with.")
        return to_area(record, cell_m or CELL_DEFAULT_M, coarsener, now_ns)
    if isinstance(record, Warning) and record.flight is not None and (cell_m or decision.tier == "area"):
        # Areas and times are what a warning says; exact places of launch and landing are positions of a track.
        flight = msgspec.structs.replace(record.flight, launch=None, landing=None, fan=None, path=())
        return msgspec.structs.replace(record, flight=flight)
    if FINEST.get(type(record), len(TIERS)) < TIERS.index(decision.tier):
        raise PolicyError("release-tier", f"{type(record).__name__} at tier {decision.tier}.")
    if cell_m and "position" in HOLDS[type(record)] and not (isinstance(record, Area) and record.radius_m >= cell_m):
        raise PolicyError("release-operation", f"coarsen of position on {type(record).__name__}.")
    return record


def _refuse(record: Any, lane: Lane, decision: Decision, recipient: str, now_ns: int) -> None:
    """Raise what makes this release a fault of the program; nothing has left by then."""
    if type(record) not in HOLDS:
        raise PolicyError("release-record", f"{type(record).__name__} is no form that is released.")
    if (lane == "flash") != isinstance(record, FLASH):
        raise PolicyError("release-record", f"{type(record).__name__} on lane {lane}.")
    if not decision.permit or decision.audience != recipient or recipient == record.label.originator:
        raise PolicyError("release-denied", f"For {recipient}: {decision.reason} ({decision.rule}) for {decision.audience}.")
    if not decision.not_before_ns <= now_ns < decision.expires_ns:
        raise PolicyError("release-denied", f"For {recipient}: the decision no longer holds at {now_ns}.")
    if digest(record.label) != decision.label_hash:
        raise PolicyError("release-denied", f"For {recipient}: the decision was made on another label.")


def delay_ns(decision: Decision) -> int:
    """Return how old a record must be before it leaves."""
    return max((int(one.amount * 1e9) for one in decision.operations if one.operation == "delay"), default=0)


def _clean_pedigree(record: Any) -> Any:
    """The name of a feed is the nation's own wiring."""
    pedigree = getattr(record, "pedigree", None)
    if pedigree is None or pedigree.feed is None:
        return record
    return msgspec.structs.replace(record, pedigree=msgspec.structs.replace(pedigree, feed=None))


def release(
    record: Any,
    lane: Lane,
    decision: Decision,
    recipient: str,
    now_ns: int,
    *,
    priority: int = 0,
    coarsener: Coarsener | None = None,
) -> Released | None:
    """Return the record as one audience gets it, sealed in a `Released`; None when nothing leaves now.

    Nothing leaves while a delay runs (offer the record again later), nor for a deleted track at tier `area`.

    Args:
        record: a labelled record that the audience's own pipeline made: Plot, Fix, Tracklet, Track, Area, Warning,
            Acknowledgement, Retraction or Recall.
        lane: "flash" for what people say to one another, "state" or "history" for the rest.
        decision: the permit for this very label, audience and time.
        recipient: the audience.
        now_ns: the time, UTC ns.
        priority: lower leaves first within the lane.
        coarsener: the audience's, needed for positions that leave as areas.

    Raises:
        PolicyError: release-denied, release-tier, release-operation, release-record. Nothing has left then.
    """
    _refuse(record, lane, decision, recipient, now_ns)
    if now_ns - record.t_ns < delay_ns(decision):
        return None
    shaped = _shaped(record, decision, coarsener, now_ns)
    if shaped is None:
        return None
    seen = view(record.label, decision)
    ready = msgspec.structs.replace(_clean_pedigree(sanitise(shaped, decision.operations)), label=seen)
    try:
        raw, inside = codec.encode_and_read(ready)
    except msgspec.MsgspecError as fault:
        raise PolicyError("release-record", f"{type(ready).__name__}: {fault}"[:300]) from fault
    if getattr(inside, "label", None) != seen or inside != ready:
        raise PolicyError("release-record", f"{type(ready).__name__}: what was encoded is not what was decided.")
    ends = [at for at in (seen.expires_ns, getattr(ready, "expires_ns", None)) if at is not None]
    state = isinstance(ready, Track | Area)
    return Released(
        audience=recipient,
        lane=lane,
        mode=seen.mode,
        t_ns=ready.t_ns,
        record=raw,
        record_type=str(ready.__struct_config__.tag),
        label_hash=digest(seen),
        supersede_key=f"{ready.stream}/{ready.number}" if state else None,
        expires_ns=min(ends, default=None),
        priority=priority,
        via=decision.via,
        decision=decision.rule,
        reason=decision.reason,
    )
