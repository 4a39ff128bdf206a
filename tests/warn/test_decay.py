"""Satellites that come down: told from missiles by how they flew when first seen, which the first plots alone do not say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trilat.flights.observe import SITES, Observation, sensor_of
from trilat.flights.watch import watch
from trilat.kernels import ballistic, geodesy
from trilat.kernels.frames import earth
from trilat.warn.classes import level
from trilat.warn.landing import fly
from trilat.warn.state import Coefficient, check

SENSORS = tuple(sensor_of(site) for site in SITES)
# Bearing, height m, path's angle, speed m/s, coefficient kg/m2, seed: the first was named with areas for two minutes by its first
# plots' climb, the next two by the speed that it seemed to gain on them.
FALLS = [
    (147.5, 98_742.0, -0.866, 7_551.0, 232.0, 83), (250.8, 106_645.0, -1.447, 8_099.0, 236.0, 1_150),
    (323.8, 111_122.0, -1.36, 7_969.0, 216.0, 1_244), (95.0, 102_000.0, -0.7, 7_400.0, 120.0, 3),
]  # fmt: skip


def state(bearing: float, height_m: float, angle: float, speed_m_s: float) -> Any:
    turn, climb = np.radians(bearing), np.radians(angle)
    local = speed_m_s * np.array([np.cos(climb) * np.sin(turn), np.cos(climb) * np.cos(turn), np.sin(climb)])
    return np.concatenate([geodesy.geodetic_to_ecef(38.0, 126.0, height_m), geodesy.enu_basis(38.0, 126.0).T @ local])


@pytest.mark.parametrize("one", FALLS)
def test_what_falls_out_of_an_orbit_has_no_landing_area(one: tuple[float, float, float, float, float, int]) -> None:
    """However its first plots lie it is dropped in the end, and no landing area is told on the way."""
    bearing, height_m, angle, speed_m_s, coefficient, seed = one
    begun, wgs84, per = state(bearing, height_m, angle, speed_m_s), earth("wgs84"), 1.0 / coefficient
    path, out = np.empty((9_000, 6)), np.empty(ballistic.RESULT_COLUMNS)
    rows = ballistic.fly_one(wgs84, begun, per, 0.0, 900.0, 0.1, 0.1, path, out)

    def at(t_s: Any) -> Any:
        x = np.clip(np.asarray(t_s) * 10.0, 0, rows - 2)
        k = x.astype(int)
        u = (x - k)[..., None]
        return path[k] * (1.0 - u) + path[k + 1] * u

    told = watch(Observation(SENSORS, at, min(rows / 10.0 - 0.5, 300.0), np.random.default_rng(seed)))
    assert told
    assert not [said for said in told if said.landing is not None]
    assert told[-1].state == "dropped"


@pytest.mark.parametrize(("angle", "flat"), [(-2.0, True), (0.0, True), (1.0, True), (10.0, False), (-15.0, False)])
def test_how_it_flew_before_follows_from_how_it_flies_now(angle: float, flat: bool) -> None:  # noqa: FBT001
    """A minute later the arc still says whether it flew level then."""
    then = state(80.0, 150_000.0, angle, 6_500.0)
    assert level(then) == flat
    flown = fly(check(then, None, drag=False, beta=Coefficient()), 70.0)
    assert level(flown.path[12], 60.0) == flat
