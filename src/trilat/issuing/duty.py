"""What a standing duty to warn tells a partner of flights that it does not see itself: areas of its own territory, coarse times.

One warning an audience, of all such flights together. What it tells is a function of the signed events, of that audience's own
editions, and of one coarse product: which of its areas may be hit, between which whole minutes, looked at on a tick of the clock.
No figure, class, sensor, source, order or number of flights goes in, no moment, and not what officers issued or acknowledged.
Whether a flight's part may go is decided on the nation's own label of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from trilat.issuing.books import Books, Gate, Key
from trilat.products.texts import LIKELY, with_words
from trilat.records.assessment import Assessment, TouchedArea
from trilat.records.label import Label
from trilat.records.released import Released
from trilat.records.report import Pedigree
from trilat.records.warning import Retraction, Warning
from trilat.warn import machine

NS = 1_000_000_000
TICK_NS = 10 * NS  # when it is looked at: the moment at which the nation knew is not told more exactly
TIME_STEP_NS = 60 * NS  # times are whole minutes, rounded outwards
SAID_AFTER_NS = 600 * NS  # how long after the last time the warning may be shown
AREAS_MAX = 500  # of a warning; the soonest stay
UNNAMED = "-"
SPEAKING = ("detected", "assessed", "track-lost", "landed")
Areas = tuple[TouchedArea, ...]


class Teller(Gate, Protocol):
    """One audience's way out, with its door for what a duty to warn lets go."""

    def covered(self, now_ns: int, basis: Assessment) -> str:
        """Return the id of the event by which what is made of a flight may be told; empty when there is none."""
        ...

    def tell(self, now_ns: int, warning: Warning, event: str, national_ids: Iterable[str]) -> tuple[str, list[Released]]:
        """Release a warning that was made for this audience, by an event that covers it; return its id, too."""
        ...


class _Now(NamedTuple):
    """What there is to tell one audience at a tick: areas, by which event, of which national warnings; how flights ended."""

    areas: Areas
    event: str
    national_ids: tuple[str, ...]
    superseded: bool
    retracted: str


class _Told:
    """What one audience was told: the open warning, and each flight's part as it was last let go."""

    def __init__(self) -> None:
        self.tick = -1  # the last one looked at
        self.warning: Warning | None = None
        self.parts: dict[Key, Areas] = {}


class Duties:
    """What audiences were told by duty, and are still to be told the end of."""

    def __init__(self) -> None:
        self._told: dict[str, _Told] = {}

    def step(
        self, now_ns: int, books: Books, gates: Mapping[str, Teller], label: Callable[[tuple[str, ...], int], Label]
    ) -> tuple[list[Released], list[str]]:
        """Let time pass; return what leaves, and a line for the watch log on each. label(audiences, level): a plain label."""
        released: list[Released] = []
        lines: list[str] = []
        for name, gate in gates.items():
            own_ns = books.own_ns(name, now_ns)
            told = self._told.setdefault(name, _Told())
            if own_ns // TICK_NS > told.tick:
                told.tick = own_ns // TICK_NS
                # As of the tick itself, whenever within it the step comes: a restart comes to the same.
                now = _now(own_ns, books, name, gate, told)
                sent, line = _move(own_ns, gate, told, now, label((name,), 0))
                released += sent
                lines += [f"{name} {line}"] if sent else []
        return released, lines


def product(now_ns: int, assessment: Assessment, nation: str) -> Areas:
    """Return the areas of a nation that a flight may still come down in, and when, in whole minutes.

    How likely is not told: each stands at 1.
    """
    if assessment.state not in SPEAKING or not machine.is_launch(assessment):
        return ()
    return _still(now_ns, (_coarse(one) for one in assessment.areas if one.nation == nation and one.probability >= LIKELY))


def _burns(assessment: Assessment) -> bool:
    """Tell whether a launch burns still, or again after its burn-out was called."""
    return assessment.phase == "boost" and assessment.state in SPEAKING and machine.is_launch(assessment)


def _coarse(area: TouchedArea) -> TouchedArea:
    start_ns, end_ns = area.t_from_ns // TIME_STEP_NS * TIME_STEP_NS, -(-area.t_to_ns // TIME_STEP_NS) * TIME_STEP_NS
    return msgspec.structs.replace(area, probability=1.0, t_from_ns=start_ns, t_to_ns=end_ns)


def _still(now_ns: int, areas: Iterable[TouchedArea]) -> Areas:
    return tuple(one for one in areas if one.touch == "landing" and one.t_to_ns > now_ns)


def _now(now_ns: int, books: Books, audience: str, gate: Teller, told: _Told) -> _Now:
    """Return what there is to tell; a part that no event covers any more stands as it was told until its time is over."""
    event, retracted, ids, at_ns = "", "", [], told.tick * TICK_NS
    parts: dict[Key, Areas] = {}
    for key, assessment in books.own_flights().items():
        national = books.nearest_national(assessment)
        if national is not None and national.warning.state in machine.CLOSED and national.closed_by:
            reason = national.warning.reason if national.warning.state == "retracted" else ""
            retracted = reason if key in told.parts and reason else retracted
            continue
        if _burns(assessment):  # where it comes down is open: what was told stands, to leave it out would be an all clear
            parts[key] = _still(at_ns, told.parts.get(key, ()))
            continue
        mine = product(at_ns, assessment, audience)
        basis = msgspec.structs.replace(assessment, t_ns=now_ns, label=books.national_label(assessment))
        by = gate.covered(now_ns, basis) if mine and _is_ours(basis.label, books.nation) else ""
        if mine and by:
            event = event or by
            ids += [] if national is None else [national.warning.id]
        parts[key] = mine if by or not mine else _still(at_ns, told.parts.get(key, ()))
    gone = {key: _still(at_ns, areas) for key, areas in told.parts.items() if key not in books.own_flights()}
    told.parts = {key: areas for key, areas in {**gone, **parts}.items() if areas}
    areas = _merged(one for part in told.parts.values() for one in part)
    held = [area for one in books.all_of(audience) if one.warning.state not in machine.CLOSED for area in one.warning.touched]
    left = tuple(one for one in areas if not _is_held(one, held))
    superseded = told.warning is not None and any(_is_held(one, held) for one in told.warning.touched)
    return _Now(left, event, tuple(ids), superseded, retracted)


def _is_ours(label: Label, nation: str) -> bool:
    """Tell whether a plain label can stand for this one: nobody else had a part in it, and it is for no purpose in particular."""
    return set(label.sources) <= {nation} and not label.purposes


def _merged(areas: Iterable[TouchedArea]) -> Areas:
    """Return areas in the order of their ids and times, those of overlapping times as one: no number of flights is told."""
    out: list[TouchedArea] = []
    for one in sorted(areas, key=lambda area: (area.id, area.t_from_ns, area.t_to_ns)):
        if out and out[-1].id == one.id and one.t_from_ns <= out[-1].t_to_ns:
            out[-1] = msgspec.structs.replace(out[-1], t_to_ns=max(out[-1].t_to_ns, one.t_to_ns))
        else:
            out.append(one)
    soonest = sorted(out, key=lambda area: (area.t_from_ns, area.id))[:AREAS_MAX]
    return tuple(one for one in out if one in soonest) if len(out) > AREAS_MAX else tuple(out)


def _is_held(area: TouchedArea, held: Iterable[TouchedArea]) -> bool:
    """Tell whether an audience's own editions name an area for some of the same time."""
    return any(
        one.id == area.id and one.touch == "landing" and one.t_from_ns <= area.t_to_ns and area.t_from_ns <= one.t_to_ns
        for one in held
    )


def _move(now_ns: int, gate: Teller, told: _Told, now: _Now, label: Label) -> tuple[list[Released], str]:
    """Bring what one audience was told up to date; return what leaves, and a word on it."""
    before = told.warning
    if before is not None and not now.areas:
        told.warning = None
        return gate.flash(now_ns, _end(now_ns, before, now)), f"is told the end of {before.id}"
    # An end and what shrinks by itself needs no event; what is new does.
    if not now.areas or not now.event or (before is not None and now.areas == before.touched):
        return [], ""
    ends_ns = max(one.t_to_ns for one in now.areas) + SAID_AFTER_NS
    made = _version(now_ns, before or _first(label), touched=now.areas, expires_ns=ends_ns)
    name, sent = gate.tell(now_ns, made, now.event, now.national_ids)
    if sent:
        told.warning = msgspec.structs.replace(made, id=name)
    return sent, f"is told areas of its own as {name} by event {now.event}: {', '.join(now.national_ids)}"


def _first(label: Label) -> Warning:
    return Warning(
        id=UNNAMED,
        version=0,
        state="assessed",
        t_ns=0,
        label=label,
        pedigree=Pedigree(nation=label.originator),
        kind="launch",
        headline="Launch",
        expires_ns=0,
        raised_by="node",
        reason="duty-to-warn",
    )


def _version(now_ns: int, before: Warning, **changes: Any) -> Warning:
    """Return the next version; its time is that of the tick."""
    return with_words(msgspec.structs.replace(before, version=before.version + 1, t_ns=now_ns // TICK_NS * TICK_NS, **changes))


def _end(now_ns: int, before: Warning, now: _Now) -> Warning | Retraction:
    """Return how the warning ends: its time is over, one of the audience's own takes its place, taken back, or no threat."""
    if before.expires_ns - SAID_AFTER_NS <= now_ns // TICK_NS * TICK_NS:
        return _version(now_ns, before, state="landed", reason="time-over")
    if not now.superseded and not now.retracted:
        return _version(now_ns, before, state="stood-down", reason="threat-over")
    return msgspec.convert(
        {"type": "trilat.retraction/1", "warning_id": before.id, "warning_version": before.version}
        | {"reason": "superseded" if now.superseded else now.retracted, "by": before.label.originator}
        | {"t_ns": now_ns // TICK_NS * TICK_NS, "label": msgspec.to_builtins(before.label)},
        Retraction,
    )
