"""Scenario: what an exercise's world holds, read from TOML and checked. Sensors and traffic are fictional."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from trilat.errors import ExerciseError
from trilat.flights.launches import ScenarioLaunch
from trilat.records.fields import AltM, Audience, LatDeg, LonDeg, Name, ShortText, SpeedMS, Trigraph
from trilat.records.sensor import SensorSite

SCENARIO_BYTES_MAX = 4 * 1024 * 1024
_Span = Annotated[tuple[float, float], Meta()]


class ScenarioSensor(SensorSite, frozen=True, kw_only=True):
    """One fictional sensor: whose it is, who may have its reports, and how the world speaks for it."""

    nation: Trigraph
    says: ShortText = ""
    rel_to: tuple[Audience, ...] = ()
    level: Annotated[int, Meta(ge=0, le=4)] = 4
    three_d: bool = False
    surface: bool = False
    link: Literal["", "adsb", "ais", "plots"] = ""


class Corridor(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A path that several aircraft or ships follow one after another; the ends are where they appear and leave."""

    name: Name
    domain: Literal["air", "sea"]
    count: Annotated[int, Meta(ge=1, le=10_000)]
    speed_m_s: tuple[SpeedMS, SpeedMS]
    waypoints: Annotated[tuple[tuple[LatDeg, LonDeg], ...], Meta(min_length=2)]
    alt_m: tuple[AltM, AltM] = (0.0, 0.0)
    silent: bool = False


class Scenario(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a world is made of; the seed makes it the same every time."""

    id: Name
    title: ShortText
    seed: Annotated[int, Meta(ge=0)]
    sensor: Annotated[tuple[ScenarioSensor, ...], Meta(min_length=1)]
    corridor: tuple[Corridor, ...] = ()
    launch: tuple[ScenarioLaunch, ...] = ()


def load(name_or_path: str) -> Scenario:
    """Return a scenario that is shipped (by name) or stands in a file; raises ExerciseError (scenario-unreadable)."""
    shipped = resources.files("trilat.exercise").joinpath("scenarios", f"{name_or_path}.toml")
    try:
        raw = shipped.read_bytes() if shipped.is_file() else Path(name_or_path).read_bytes()
        if len(raw) > SCENARIO_BYTES_MAX:
            raise ExerciseError("scenario-unreadable", f"{name_or_path}: more than {SCENARIO_BYTES_MAX} bytes.")
        return msgspec.toml.decode(raw, type=Scenario)
    except (OSError, msgspec.DecodeError) as error:
        raise ExerciseError("scenario-unreadable", f"{name_or_path}: {error}.") from error


def nations(scenario: Scenario) -> tuple[str, ...]:
    """Return the nations that have sensors, sorted."""
    return tuple(sorted({sensor.nation for sensor in scenario.sensor}))
