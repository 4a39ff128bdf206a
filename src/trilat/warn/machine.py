"""The life of one audience's warning of one flight, as a state machine of pure functions (DESIGN principle 7).

detected -> assessed -> issued -> updated -> landed or passed -> stood-down; track-lost from any of them and back; retracted at
any time, and reinstated by somebody else. Every function takes the time and a `Standing` and returns the next one, or None when
nothing changes. Two people issue; what they approved is an `Envelope`, and updates inside it need nobody.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from trilat.records.assessment import Assessment, PathPoint, TouchedArea
from trilat.records.label import Label
from trilat.records.warning import FlightFacts, Warning, WarningState

NS = 1_000_000_000
OPEN: tuple[WarningState, ...] = ("detected", "assessed", "issued", "updated", "track-lost")
OVER: tuple[WarningState, ...] = ("landed", "passed")
CLOSED: tuple[WarningState, ...] = ("stood-down", "retracted")
HEARD_EVERY_NS = 4 * NS  # an assessment is taken at least so often
UPDATE_EVERY_NS = 20 * NS  # a new version with nothing but newer figures
SILENT_NS = 15 * NS  # no assessment for so long: the track is lost, whatever was said before
MARGIN_NS = 60 * NS  # after the latest predicted landing
UNISSUED_NS = 300 * NS  # what was never issued and is over leaves by itself
LIFE_NS = 3 * 3_600 * NS
MOVED_NS = 30 * NS
BEYOND_PROBABILITY_MIN = 0.01
BURNS_AGAIN = "burns-again"  # why a version is made while it does: its words say so, in every one
NONE_NOW = "none-now"  # why a version of an issued warning is made that names no area any more: its words say that
UNCONFIRMED = "unconfirmed"  # why a version is made of a flight that is not confirmed any more: its words say that
PATH_POINTS = 24  # of the predicted way, in a warning


class Envelope(Struct, frozen=True, kw_only=True):
    """What two people approved: these areas (ids), until then. Inside it updates are automatic; beyond it nothing is."""

    areas: tuple[str, ...]
    until_ns: int
    approved_by: tuple[str, ...] = ()


class Standing(Struct, frozen=True, kw_only=True):
    """One audience's warning as it stands, with the assessment that it was last made of.

    basis: own = of the audience's own assessments; approved = of the national one, as far as two people approved. again: burn-out
    was called and it burns all the same, so what was said of its landing holds no more.
    """

    warning: Warning
    assessment: Assessment
    taken_ns: int
    basis: Literal["own", "approved"] = "own"
    envelope: Envelope | None = None
    before: WarningState = "detected"
    closed_by: str = ""
    again: bool = False


def is_launch(assessment: Assessment) -> bool:
    """Tell whether an assessment speaks of a launch at all."""
    top = assessment.classes[0].name if assessment.classes else "launch, unclassified"
    return top != "not a missile"


def facts(assessment: Assessment) -> FlightFacts:
    """Return what a warning says of the flight."""
    top = assessment.classes[0] if assessment.classes else None
    return FlightFacts(
        name="launch, unclassified" if top is None else top.name,
        probability=0.0 if top is None else top.probability,
        shape=assessment.shape,
        launch=assessment.launch,
        landing=assessment.landing,
        fan=assessment.fan,
        lost_since_ns=assessment.lost_since_ns,
        path=_few(assessment.path),
    )


def _few(path: tuple[PathPoint, ...]) -> tuple[PathPoint, ...]:
    """Return at most PATH_POINTS of a path, its ends among them."""
    if len(path) <= PATH_POINTS:
        return path
    return tuple(path[round(k * (len(path) - 1) / (PATH_POINTS - 1))] for k in range(PATH_POINTS))


def begin(now_ns: int, assessment: Assessment, warning_id: str, label: Label) -> Standing | None:
    """Return the warning that a first assessment makes; None while it is unconfirmed, over, or no launch."""
    if assessment.state not in ("detected", "assessed") or not is_launch(assessment):
        return None
    warning = Warning(
        id=warning_id,
        version=1,
        state=assessment.state,
        t_ns=now_ns,
        label=label,
        pedigree=assessment.pedigree,
        kind="launch",
        headline="Launch",
        event_t_ns=_launched_ns(assessment),
        expires_ns=now_ns + LIFE_NS,
        confidence=assessment.confidence,
        raised_by="node",
        reason=assessment.state,
        flight=facts(assessment),
        touched=assessment.areas,
    )
    return Standing(warning=warning, assessment=assessment, taken_ns=now_ns)


def wants(standing: Standing, assessment: Assessment) -> bool:
    """Tell whether an assessment is to be taken: it says something new, or some time has gone by. What is not leaves no trace."""
    held = standing.assessment
    if standing.warning.state in CLOSED or assessment.t_ns <= held.t_ns:
        return False
    return assessment.t_ns - held.t_ns >= HEARD_EVERY_NS or bool(_news(held, assessment))


def take(now_ns: int, standing: Standing, assessment: Assessment) -> Standing | None:
    """Take an assessment that is wanted. The result has a new version when there is something to tell."""
    if not wants(standing, assessment):
        return None
    again = assessment.phase == "boost" and (standing.again or standing.assessment.phase != "boost")
    state, reason = _next(now_ns, standing, assessment, again=again)
    heard = msgspec.structs.replace(standing, assessment=assessment, taken_ns=now_ns, again=again)
    return heard if not reason else _version(now_ns, heard, state, reason)


def _next(now_ns: int, standing: Standing, assessment: Assessment, *, again: bool) -> tuple[WarningState, str]:
    """Return the state that an assessment leads to and why a new version is made; an empty reason: none is."""
    warning = standing.warning
    if assessment.state == "dropped" or not is_launch(assessment):
        # What was issued is taken back by a person: the retraction waits, prepared.
        if warning.issued:
            return warning.state, "" if warning.reason == "no-launch" else "no-launch"
        return "stood-down", "no-launch"
    if warning.state in OVER or assessment.state == "unconfirmed":
        return _doubted(now_ns, standing)
    if assessment.state in ("landed", "passed", "track-lost"):
        same = assessment.state == warning.state and now_ns - warning.t_ns < UPDATE_EVERY_NS
        return assessment.state, "" if same else str(assessment.state)
    if standing.envelope is not None and now_ns >= standing.envelope.until_ns:
        return warning.state, ""
    if warning.issued:
        state: WarningState = "updated"
    else:
        state = "assessed" if "assessed" in (warning.state, assessment.state) and not again else "detected"
    back = warning.state == "track-lost"
    reason = "track-found" if back else _news(standing.assessment, assessment)
    if not reason and now_ns - warning.t_ns >= UPDATE_EVERY_NS:
        reason = "newer-figures"
    untold = warning.reason != BURNS_AGAIN
    return state, BURNS_AGAIN if again and (reason or untold) else reason


def _doubted(now_ns: int, standing: Standing) -> tuple[WarningState, str]:
    """Return what becomes of a warning whose flight is not confirmed any more: it says so, at once and with newer figures."""
    warning, envelope = standing.warning, standing.envelope
    said = warning.reason == UNCONFIRMED and now_ns - warning.t_ns < UPDATE_EVERY_NS
    late = envelope is not None and now_ns >= envelope.until_ns
    if said or late or warning.state in (*OVER, "track-lost"):
        return warning.state, ""
    return "updated" if warning.issued else warning.state, UNCONFIRMED


def issued_reason(standing: Standing) -> str:
    """Return the reason of the version that is issued now: what is open about a flight is not unsaid by two people's yes."""
    doubted = UNCONFIRMED if standing.assessment.state == "unconfirmed" else "approved"
    return BURNS_AGAIN if standing.again else doubted


def _news(held: Assessment, new: Assessment) -> str:
    """Return in a word what a newer assessment says that the held one did not; empty when nothing."""
    if held.state != new.state:
        return str(new.state)
    mine, theirs = ({(one.id, one.touch) for one in given.areas} for given in (held, new))
    if mine != theirs:
        return "areas"
    if facts(held).name != facts(new).name:
        return "class"
    if held.landing is None or new.landing is None:
        return "" if held.landing is new.landing else "landing-area"
    if held.landing.reliable != new.landing.reliable:
        return "reliability"
    return "landing-time" if abs(held.landing.t_ns - new.landing.t_ns) > MOVED_NS else ""


def tick(now_ns: int, standing: Standing) -> Standing | None:
    """Let time pass: silence loses the track, the latest landing time ends the flight, what was never issued leaves."""
    warning, held = standing.warning, standing.assessment
    if warning.state in CLOSED:
        return None
    if warning.state in OVER:
        quiet = not warning.issued and now_ns - warning.t_ns >= UNISSUED_NS
        return _version(now_ns, standing, "stood-down", "never-issued") if quiet else None
    if held.landing is not None and now_ns >= held.landing.t_to_ns + MARGIN_NS:
        lost = warning.state == "track-lost"
        state: WarningState = "landed" if any(one.touch == "landing" for one in held.areas) and not lost else "passed"
        return _version(now_ns, standing, state, "time-over-unseen" if lost else "time-over")
    if warning.state != "track-lost" and now_ns - standing.taken_ns >= SILENT_NS:
        return _version(now_ns, standing, "track-lost", "silence")
    if warning.state == "track-lost" and held.landing is None and now_ns - standing.taken_ns >= UNISSUED_NS:
        return _version(now_ns, standing, "passed", "time-over-unseen")
    return None


def beyond(standing: Standing) -> tuple[TouchedArea, ...]:
    """Return the areas that the newest assessment touches and the approved envelope does not hold."""
    envelope = standing.envelope
    if envelope is None or standing.warning.state in (*OVER, *CLOSED, "track-lost"):
        return ()
    new = [one for one in standing.assessment.areas if one.id not in envelope.areas]
    return tuple(one for one in new if one.probability >= BEYOND_PROBABILITY_MIN)


def issue(now_ns: int, standing: Standing, envelope: Envelope) -> Standing:
    """Issue (or widen) what two people approved. A flight that was lost meanwhile is issued as lost, and says so."""
    was = standing.warning.state
    ready = msgspec.structs.replace(
        standing, envelope=envelope, warning=msgspec.structs.replace(standing.warning, issued=True, expires_ns=envelope.until_ns)
    )
    if was == "track-lost" or was in OVER:
        return _version(now_ns, ready, was, "issued")
    return _version(now_ns, ready, "updated" if standing.warning.issued else "issued", issued_reason(standing))


def empties(before: Standing | None, after: Standing) -> bool:
    """Tell whether a version of an issued warning is the first that names no area after one that did."""
    return after.warning.reason == NONE_NOW and (before is None or before.warning.reason != NONE_NOW)


def stand_down(now_ns: int, standing: Standing, by: str) -> Standing | None:
    """Give the all clear: one person's act."""
    if standing.warning.state in CLOSED:
        return None
    closed = msgspec.structs.replace(standing, before=standing.warning.state, closed_by=by)
    return _version(now_ns, closed, "stood-down", "threat-over")


def retract(now_ns: int, standing: Standing, reason: str, by: str) -> Standing | None:
    """Take it back: one person's act."""
    if standing.warning.state == "retracted":
        return None
    closed = msgspec.structs.replace(standing, before=standing.warning.state, closed_by=by)
    return _version(now_ns, closed, "retracted", reason)


def reinstate(now_ns: int, standing: Standing) -> Standing | None:
    """Put back what was retracted, in the state that it had."""
    if standing.warning.state != "retracted":
        return None
    return _version(now_ns, standing, standing.before, "reinstated")


def _version(now_ns: int, standing: Standing, state: WarningState, reason: str) -> Standing:
    """Return the next version, made of the newest assessment as far as the envelope goes."""
    held, assessment = standing.warning, standing.assessment
    lost = state == "track-lost" or (state in OVER and held.state == "track-lost")
    told = facts(assessment)
    if lost and told.landing is not None:
        told = msgspec.structs.replace(told, landing=msgspec.structs.replace(told.landing, reliable=False), path=())
    confidence = assessment.confidence
    if lost and assessment.state != "track-lost":
        confidence *= 0.5  # silence: nobody has aged it for us
    touched = _areas(standing, state, lost=lost)
    emptied = held.issued and not touched and state in ("issued", "updated") and (held.touched or held.reason == NONE_NOW)
    if emptied and reason not in ("no-launch", "reinstated", BURNS_AGAIN, UNCONFIRMED):  # these say more
        reason = NONE_NOW
    warning = msgspec.structs.replace(
        held,
        version=held.version + 1,
        state=state,
        t_ns=now_ns,
        confidence=confidence,
        event_t_ns=_launched_ns(assessment),
        reason=reason,
        pedigree=assessment.pedigree,
        flight=told,
        touched=touched,
        words=(),
    )
    return msgspec.structs.replace(standing, warning=warning)


def _areas(standing: Standing, state: WarningState, *, lost: bool) -> tuple[TouchedArea, ...]:
    """Return the areas that a version names: inside the envelope, and of a lost flight never one that it would fly over."""
    done = state in CLOSED or state in OVER
    # To whom it was issued an area is not unsaid because it burns again, or is doubted: that would read as an all clear.
    open_again = standing.assessment.phase == "boost" or standing.assessment.state == "unconfirmed"
    stays = done or (standing.warning.issued and open_again)
    told = standing.warning.touched if stays else standing.assessment.areas
    if standing.envelope is not None:
        told = tuple(one for one in told if one.id in standing.envelope.areas)
    return tuple(one for one in told if one.touch == "landing") if lost and not done else told


def _launched_ns(assessment: Assessment) -> int:
    return assessment.first_t_ns if assessment.launch is None else assessment.launch.t_ns
