"""Where and when a flight was launched: launch flashes, and first plots smoothed backwards to the climb from rest before them.

A vehicle that rises with a steady net acceleration from rest is at height h with climb w after 2h/w seconds; the way over the
ground meanwhile, while it turns over, is about a third of what the ground speed then would make. Both are stated with spread.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trilat.kernels import geodesy
from trilat.records.assessment import Assessment, LaunchEstimate
from trilat.records.columns import KIND_BEARING
from trilat.records.sensor import Sensor
from trilat.warn.flight import Array, Machinery, Plot
from trilat.warn.landing import GroundEllipse, ellipses

SMOOTH_S = 25.0  # so long after the first plot the backward filter begins
TIME_SHARE = 0.18  # one sigma of the time since launch, of itself: the net acceleration is not steady
WAY_SHARE = 0.33
WAY_SPREAD = 0.15  # one sigma of the share
CLIMB_MIN_M_S = 50.0
CUE_M = 30_000.0  # a line of sight that passes a place so near, beside its own accuracy, speaks of what is there
# After a restart: how far from a path that was told, beside both doubts, a track may be and still be that flight; and for how
# long, and with what acceleration, one of which no path was told is sought within its reach.
ON_PATH_M, REACH_S, REACH_M_S2 = 20_000.0, 60.0, 50.0
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
    machinery.begin(slot, machinery.even, 0, t_ns, mean, covariance * 25.0)
    for plot in sorted((p for p in plots if p.t_ns <= t_ns), key=lambda p: -p.t_ns):
        machinery.feed(slot, machinery.even, plot, -1.0)
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


class Cue(NamedTuple):
    """An infrared line of sight: when, a point of it (ECEF), its direction, and one sigma across it, in angle and in metres.

    `sensor` is the observer's where only the azimuth is known (`along` is then of no use).
    """

    t_ns: int
    from_m: Array
    along: Array
    sigma_rad: float
    sigma_m: float
    sensor: Sensor | None = None


def cue_of(sensor: Sensor, plot: Plot) -> Cue:
    """Return the line of sight that a plot of a bearing sensor is: from where it stands, or in Earth-fixed terms."""
    z = plot.z
    if plot.kind == KIND_BEARING:
        place = geodesy.geodetic_to_ecef(sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
        flat = bool(np.isnan(z[2]))
        along = _direction(geodesy.enu_basis(sensor.lat_deg, sensor.lon_deg), float(z[1]), 0.0 if flat else float(z[2]))
        wide = float(z[6]) if flat else float(np.hypot(z[6], z[7]))
        return Cue(plot.t_ns, place, along, wide, 0.0, sensor if flat else None)
    lat, lon = np.degrees(z[3:5]).tolist()
    along = _direction(geodesy.enu_basis(lat, lon), float(z[9]), float(z[10]))
    return Cue(plot.t_ns, z[:3].copy(), along, 0.0, float(max(z[6], z[8])))


def _direction(basis: Array, azimuth_rad: float, elevation_rad: float) -> Array:
    """Return the direction (ECEF) of an azimuth and an elevation in local axes."""
    flat = np.cos(elevation_rad)
    return np.asarray(basis.T @ [flat * np.sin(azimuth_rad), flat * np.cos(azimuth_rad), np.sin(elevation_rad)])


def passes(cue: Cue, place_m: Array, doubt_m: float = 0.0) -> bool:
    """Tell whether a line of sight passes a place within CUE_M, its own accuracy three times and a doubt of the place's own."""
    along = cue.along
    if cue.sensor is not None:
        s = cue.sensor
        elevation = float(geodesy.ecef_to_rae(place_m, s.lat_deg, s.lon_deg, s.alt_m)[2])
        basis = geodesy.enu_basis(s.lat_deg, s.lon_deg)
        east, north, _ = (basis @ along).tolist()
        along = _direction(basis, float(np.arctan2(east, north)), elevation)
    way = place_m - cue.from_m
    ahead = float(way @ along)
    across = float(np.linalg.norm(way - ahead * along))
    if cue.sigma_rad > 0.0 and ahead < 0.0:
        return False
    return across < CUE_M + doubt_m + 3.0 * (cue.sigma_m + cue.sigma_rad * abs(ahead))


def launch_told(told: LaunchEstimate) -> Launch:
    """Return the launch that an earlier run told."""
    semi_m = (told.ellipse95.semi_major_m, told.ellipse95.semi_minor_m)
    place = geodesy.geodetic_to_ecef(told.lat_deg, told.lon_deg, 0.0)
    ellipse = GroundEllipse(semi_m, told.ellipse95.bearing_deg)
    return Launch(told.lat_deg, told.lon_deg, told.t_ns, told.sigma_s, ellipse, place)


def goes_on(told: Assessment, t_ns: int, position_m: Array, doubt_m: float) -> bool:
    """Tell whether a flight of which an earlier run told may be at a place (ECEF) now: on its path, or within its reach."""
    seconds = (t_ns - told.t_ns) / NS
    if seconds < -1.0:
        return False
    if told.path:
        times = np.array([point.t_ns for point in told.path])
        if not times[0] - NS <= t_ns <= times[-1]:
            return False
        lat, lon, alt = np.array([(point.lat_deg, point.lon_deg, point.alt_m) for point in told.path]).T
        places = geodesy.geodetic_to_ecef(lat, lon, alt)
        place = np.array([np.interp(t_ns, times, places[:, axis]) for axis in range(3)])
        wide = ON_PATH_M if told.landing is None else ON_PATH_M + told.landing.ellipse95.semi_major_m
        return bool(np.linalg.norm(position_m - place) < wide + doubt_m)
    reach = ON_PATH_M + seconds * (told.speed_m_s + 0.5 * REACH_M_S2 * seconds)
    place = geodesy.geodetic_to_ecef(told.lat_deg, told.lon_deg, told.alt_m)
    return seconds < REACH_S and bool(np.linalg.norm(position_m - place) < reach + doubt_m)
