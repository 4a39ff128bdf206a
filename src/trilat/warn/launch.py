"""Where and when a flight was launched: its first plots smoothed backwards, then the climb from rest that leads to them.

A vehicle that rises with a steady net acceleration from rest is at height h with climb w after 2h/w seconds; the way over the
ground meanwhile, while it turns over, is about a third of what the ground speed then would make. Both are stated with spread.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trilat.kernels import geodesy
from trilat.warn.flight import Array, Machinery, Plot
from trilat.warn.landing import GroundEllipse, ellipses

SMOOTH_S = 15.0  # so long after the first plot the backward filter begins
TIME_SHARE = 0.18  # one sigma of the time since launch, of itself: the net acceleration is not steady
WAY_SHARE = 0.33
WAY_SPREAD = 0.15  # one sigma of the share
CLIMB_MIN_M_S = 50.0
NS = 1_000_000_000


class Launch(NamedTuple):
    """A launch: place, time and its sigma, 95 % ellipse."""

    lat_deg: float
    lon_deg: float
    t_ns: int
    sigma_s: float
    ellipse95: GroundEllipse
    place_m: Array


def smooth(machinery: Machinery, slot: int, plots: list[Plot], t_ns: int, mean: Array, covariance: Array) -> tuple[Array, Array]:
    """Return mean and covariance at the first plot's time, from the plots of the first seconds taken backwards.

    Begins at a state (t_ns, mean, covariance) whose covariance is widened, so that plots are not counted twice to any weight.
    `slot` is a row of the machinery that is free.
    """
    machinery.begin(slot, machinery.back, 0, t_ns, mean, covariance * 25.0)
    for plot in sorted((p for p in plots if p.t_ns <= t_ns), key=lambda p: -p.t_ns):
        machinery.feed(slot, machinery.back, plot, -1.0)
    return machinery.state(slot, 0)


def launch_of(first_ns: int, mean: Array, covariance: Array) -> Launch | None:
    """Return the launch that leads to a state early in the climb; None when it does not climb."""
    lat, lon, height = geodesy.ecef_to_geodetic(mean[:3]).tolist()
    basis = geodesy.enu_basis(lat, lon)
    east, north, climb = (basis @ mean[3:]).tolist()
    if climb < CLIMB_MIN_M_S or height < 0.0:
        return None
    seconds = min(2.0 * height / climb, 150.0)
    flat = np.array([east, north])
    back = -WAY_SHARE * seconds * flat
    place = mean[:3] + basis.T @ np.array([back[0], back[1], -height])
    lat, lon, _ = geodesy.ecef_to_geodetic(place).tolist()
    local = (basis @ covariance[:3, :3] @ basis.T)[:2, :2]
    speed = (basis @ covariance[3:, 3:] @ basis.T)[:2, :2]
    along = np.outer(flat, flat) * (WAY_SPREAD * seconds) ** 2
    spread = local + along + speed * (WAY_SHARE * seconds) ** 2 + np.eye(2) * 500.0**2
    sigma_s = float(np.hypot(TIME_SHARE * seconds, 1.0))
    _, ninety_five = ellipses(spread)
    return Launch(lat, lon, first_ns - round(seconds * NS), sigma_s, ninety_five, place)
