"""What a partner's node says of one launch, as the tests of pointers hear it."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from trilat.flights.flight import Flight, Wanted, generic_flight
from trilat.picture.inputs import WarningRecord
from trilat.records.warning import Warning

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import warning_told as world


@cache
def flight() -> Flight:
    """Return one generic medium flight."""
    return generic_flight(Wanted(39.2, 125.7, 80.0, 1_300e3, 400e3))


@cache
def korea() -> world.Heard:
    """Return what Korea's node says of it."""
    return world.korea(flight(), 160.0, 5)


def a_warning() -> Warning:
    """Return the first warning that Korea's node made."""
    one = next(iter(korea().warnings.values()))[0].record
    assert isinstance(one, Warning)
    return one


def of(warning: Warning, **other: Any) -> WarningRecord:
    """Return a warning as heard, with changes."""
    return WarningRecord(origin="KOR", record=msgspec.structs.replace(warning, **other))
