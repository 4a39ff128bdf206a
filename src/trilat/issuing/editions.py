"""What an edition says and leaves unsaid, and which assessments are of one flight. Pure functions of the books."""

from __future__ import annotations

import msgspec

from trilat.kernels.geodesy import geodetic_to_ecef
from trilat.records.assessment import Assessment, TouchedArea
from trilat.records.label import Label
from trilat.records.report import Pedigree
from trilat.records.warning import Warning
from trilat.warn import machine
from trilat.warn.machine import Standing

NATIONAL, OWN, PUBLIC = "national", "own", "PUBLIC"
TOPIC = "missile-warning"
NEAR_M, FAST_M_S, TOGETHER_NS = 100_000.0, 8_000.0, 60 * 10**9


def calmly(now_ns: int, before: Standing, after: Standing) -> Standing:
    """Leave out a version that only says the same more exactly, soon after the last one: a siren is not to sound every second.

    A new state, an area that was not named, and that it burns again or is not confirmed (or no more) are told at once; what is
    left out comes with the next version.
    """
    was, now = before.warning, after.warning
    named = {(one.id, one.touch) for one in was.touched}
    turns = (machine.BURNS_AGAIN, machine.UNCONFIRMED)
    turn = now.reason == "track-found" or any((was.reason == one) != (now.reason == one) for one in turns)
    calm = was.state == now.state == "updated" and not turn and now_ns - was.t_ns < machine.UPDATE_EVERY_NS
    if calm and {(one.id, one.touch) for one in now.touched} <= named:
        return msgspec.structs.replace(after, warning=was)
    return after


def label_of(audience: str, assessment: Assessment) -> Label:
    """Return the label of a warning made of an assessment: of its sources and level, for this audience and topic."""
    if audience == NATIONAL:
        return msgspec.structs.replace(assessment.label, topics=(TOPIC,))
    rel_to = tuple(one for one in assessment.label.rel_to if one == audience)
    return msgspec.structs.replace(assessment.label, topics=(TOPIC,), rel_to=rel_to)


def plain(assessment: Assessment, nation: str) -> Assessment:
    """Return an assessment without exact places and without who saw what: areas, times, class."""
    landing = assessment.landing
    if landing is not None:
        # The time stays for the life cycle; the warning itself is made without it.
        landing = msgspec.structs.replace(landing, lat_deg=0.0, lon_deg=0.0)
    return msgspec.structs.replace(assessment, pedigree=Pedigree(nation=nation), path=(), launch=None, fan=None, landing=landing)


def shown(standing: Standing) -> Warning:
    """Return the warning as its audience gets it: one that rests on an approval holds no exact place."""
    warning = standing.warning
    if standing.basis == "own" or warning.flight is None:
        return warning
    return msgspec.structs.replace(
        warning, flight=msgspec.structs.replace(warning.flight, launch=None, landing=None, fan=None, path=())
    )


def same_flight(one: Assessment, other: Assessment) -> bool:
    """Tell whether two assessments are of one flight: near in place for their difference in time."""
    apart_ns = abs(one.updated_t_ns - other.updated_t_ns)
    if apart_ns > TOGETHER_NS or abs(one.first_t_ns - other.first_t_ns) > 2 * TOGETHER_NS:
        return False
    return apart_m(one, other) <= NEAR_M + FAST_M_S * apart_ns / 1e9


def apart_m(one: Assessment, other: Assessment) -> float:
    """Return how far apart the places of two assessments are."""
    places = [geodetic_to_ecef(here.lat_deg, here.lon_deg, here.alt_m) for here in (one, other)]
    return float(((places[0] - places[1]) ** 2).sum() ** 0.5)


def areas_of(assessment: Assessment, nation: str, audience: str) -> tuple[TouchedArea, ...]:
    """Return the areas that an audience is warned of: the public those of its own nation and the sea, others all."""
    if audience != PUBLIC:
        return assessment.areas
    return tuple(one for one in assessment.areas if one.nation == nation or one.kind in ("sea", "fir"))
