"""Flights that stay within the air: flown generically, seen, and classed by the energy they had when they burnt out."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from trilat.flights.flight import FIT_M, Flight, Wanted, generic_flight
from trilat.flights.observe import SITES, Observation, sensor_of
from trilat.flights.watch import watch
from trilat.kernels import geodesy
from trilat.records.assessment import Assessment
from trilat.warn.classes import shape_of
from trilat.warn.landing import energy_lost_m, energy_range_m, fly
from trilat.warn.state import Coefficient, check

SENSORS = tuple(sensor_of(site) for site in SITES)
# Range and apogee km, and class by energy, of what is public of 2019-07-30, 2019-08-01, 2019-08-05 and 2023-03-19.
FLAT = [(250.0, 30.0, "SRBM"), (220.0, 25.0, "SRBM"), (450.0, 37.0, "MRBM"), (800.0, 50.0, "MRBM")]


@cache
def flown(range_km: float, apogee_km: float) -> Flight:
    """Return the generic flight of a range and an apogee."""
    return generic_flight(Wanted(39.2, 125.7, 55.0, range_km * 1e3, apogee_km * 1e3))


@cache
def last_said(range_km: float, apogee_km: float) -> Assessment:
    """Return what is said of it a minute after burn-out."""
    one = flown(range_km, apogee_km)
    return watch(Observation(SENSORS, one.at, min(one.burnout_s + 61.0, one.landing_s - 1.0), np.random.default_rng(8)))[-1]


@pytest.mark.parametrize(("range_km", "apogee_km", "name"), FLAT)
def test_a_flat_flight_is_flown_seen_and_classed(range_km: float, apogee_km: float, name: str) -> None:
    """A flight that no vacuum arc has is flown with its turn early; it is assessed, and its class is right by range and energy."""
    one, last = flown(range_km, apogee_km), last_said(range_km, apogee_km)
    assert max(abs(one.range_m - range_km * 1e3), abs(one.apogee_m - apogee_km * 1e3)) <= FIT_M
    assert ("assessed", "SRBM", name) == (last.state, last.classes_flown[0].name, last.classes[0].name)
    assert last.shape != "lofted"


def test_the_energy_is_that_of_burn_out() -> None:
    """What the air has taken since burn-out is given back: a class by energy does not fall while a flight slows down."""
    one = flown(450.0, 37.0)
    then, now = (energy_range_m(one.at(one.burnout_s + after_s)) for after_s in (1.0, 60.0))
    assert now < 1_000e3
    assert then > 1_300e3
    state = check(one.at(one.burnout_s + 60.0), None, beta=Coefficient(median=one.coefficient_kg_m2))
    lost_m = energy_lost_m(state, 59.0)
    assert abs(now + lost_m - then) < 0.02 * then
    without, given = shape_of(state, None), shape_of(state, None, lost_m=lost_m)
    assert given.energy_range_m.mean == without.energy_range_m.mean + lost_m
    assert given.energy_range_m.sigma > without.energy_range_m.sigma
    assert last_said(450.0, 37.0).energy_range_m == pytest.approx(then, rel=0.15)


def test_the_air_takes_nothing_above_it() -> None:
    """A coast above the air has the energy that it had."""
    state = check(
        np.concatenate(
            [geodesy.geodetic_to_ecef(39.0, 129.0, 300e3), geodesy.enu_basis(39.0, 129.0).T @ [2_000.0, 500.0, 900.0]]
        ),
        None,
    )
    assert fly(state).landed
    assert energy_lost_m(state, 80.0) < 200.0
