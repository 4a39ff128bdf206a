"""Generic flights: they reach what is public of a flight, and what observes them sees it."""

from __future__ import annotations

import numpy as np
import pytest

from trilat.errors import ExerciseError
from trilat.flights.flight import FIT_M, Wanted, generic_flight
from trilat.flights.observe import SITES, Observation, sensor_of
from trilat.kernels import geodesy

# Public flights (date, range km, apogee km, published minutes): shared notes' table, from ministries' statements.
PUBLIC = [("2017-07-04", 930, 2_800, 37), ("2017-09-15", 3_700, 800, 19), ("2022-03-24", 1_080, 6_200, 71)]


@pytest.mark.parametrize(("date", "range_km", "apogee_km", "minutes"), PUBLIC)
def test_a_flight_reaches_its_apogee_and_range(date: str, range_km: float, apogee_km: float, minutes: float) -> None:
    """Apogee and range are those wanted, and the time of flight, which was not put in, is near the published one."""
    flight = generic_flight(Wanted(39.2, 125.7, 75.0, range_km * 1e3, apogee_km * 1e3))
    assert max(abs(flight.range_m - range_km * 1e3), abs(flight.apogee_m - apogee_km * 1e3)) <= FIT_M, date
    assert abs(flight.landing_s / 60 - minutes) <= 2.5, date


def test_a_flight_that_cannot_be_is_refused() -> None:
    """An apogee that no such range can have is refused by name."""
    with pytest.raises(ExerciseError) as caught:
        generic_flight(Wanted(39.2, 125.7, 75.0, 4_000e3, 5e3))
    assert caught.value.name == "flight-unsolved"


def test_radars_see_it_within_their_accuracy() -> None:
    """Plots lie where the flight was, within the noise that the sensor states."""
    flight = generic_flight(Wanted(39.2, 125.7, 75.0, 1_000e3, 260e3))
    sensors = [sensor_of(site) for site in SITES]
    seen = Observation(sensors, flight.at, 200.0, np.random.default_rng(4)).columns
    part = seen[seen["sensor"] == 0]
    truth = geodesy.ecef_to_rae(flight.at((part["t_ns"] - 1_700_000_000 * 10**9) / 1e9)[:, :3], *_place(sensors[0]))
    wrong = (part["range_m"] - truth[:, 0]) / 30.0
    assert len(part) > 30
    assert abs(float(wrong.std()) - 1.0) < 0.35


def _place(sensor: object) -> tuple[float, float, float]:
    return sensor.lat_deg, sensor.lon_deg, sensor.alt_m  # type: ignore[attr-defined]
