"""Public flights of missiles, as facts: when, from where, how far, how high, which way (public.toml names the sources)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from trilat.flights.flight import Flight, Wanted, generic_flight
from trilat.records.fields import LatDeg, LonDeg, ShortText

_SHIPPED = Path(__file__).with_name("public.toml")


class PublicFlight(NamedTuple):
    """One public flight. `date` as its source has it (statements: UTC+9); `minutes` of flight as published, where stated."""

    source: str
    date: str
    time_utc: str
    site: str
    lat_deg: float
    lon_deg: float
    range_km: float
    apogee_km: float
    bearing_deg: float
    minutes: float | None = None
    launcher: bool = False


class _Statements(Struct, frozen=True, forbid_unknown_fields=True):
    rows: list[tuple[str, str, float, float, float, float]]


_Row = tuple[str, str, str, float, float, float]


class _Table(Struct, frozen=True, forbid_unknown_fields=True):
    rows: list[_Row]
    launchers: list[_Row]


class _File(Struct, frozen=True, forbid_unknown_fields=True, rename={"table": "nk-missile-tests"}):
    sites: dict[ShortText, tuple[LatDeg, LonDeg]]
    statements: _Statements
    table: _Table


@cache
def public_flights() -> tuple[PublicFlight, ...]:
    """Return every public flight that is shipped: the statements first, then the table of tests, each in its order."""
    given: _File = msgspec.toml.decode(_SHIPPED.read_bytes(), type=_File)
    out = [
        PublicFlight("statements", date, "", site, *given.sites[site], reach, apogee, bearing, minutes)
        for date, site, reach, apogee, bearing, minutes in given.statements.rows
    ]
    for rows, launcher in ((given.table.rows, False), (given.table.launchers, True)):
        out += [
            PublicFlight("nk-missile-tests", date, time, site, *given.sites[site], reach, apogee, bearing, None, launcher)
            for date, time, site, reach, apogee, bearing in rows
        ]
    return tuple(out)


def fly(public: PublicFlight) -> Flight:
    """Return a generic flight of its apogee and range; ExerciseError (flight-unsolved) when none is found."""
    return generic_flight(
        Wanted(public.lat_deg, public.lon_deg, public.bearing_deg, public.range_km * 1e3, public.apogee_km * 1e3)
    )


def as_facts(public: PublicFlight) -> dict[str, Any]:
    """Return the facts for JSON, without what is unknown."""
    return {key: value for key, value in public._asdict().items() if value not in (None, "")}
