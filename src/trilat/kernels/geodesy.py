"""WGS-84 for arrays of positions: geodetic, ECEF, local east-north-up, and range-azimuth-elevation. Plain numpy, no numba.

Scalars and arrays broadcast: every function takes scalars or arrays of shape (n,) and returns (n, 3) (or (3,) for scalars).
Constants: NIMA TR8350.2, third edition, 2000 (WGS-84).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

WGS84_A_M = 6_378_137.0
WGS84_F = 1.0 / 298.257223563
WGS84_B_M = WGS84_A_M * (1.0 - WGS84_F)
WGS84_E2 = WGS84_F * (2.0 - WGS84_F)
WGS84_EP2 = WGS84_E2 / (1.0 - WGS84_E2)
TWO_PI = 2.0 * np.pi
# Bowring's iteration gains about four digits a turn near the surface; three reach 1e-9 m from the trenches to far orbits.
_BOWRING_TURNS = 3
# A line of sight as a place: where it meets FLASH_HEIGHT_M, half way, in time, of a climb that infrared sees from above the
# clouds on, SPAN_M being one sigma of that height; a line that passes the Earth higher than LIMB_M speaks of no launch.
FLASH_HEIGHT_M, SPAN_M, LIMB_M = 30_000.0, 60_000.0, 600_000.0
OBSERVER_LOW_M, OBSERVER_HIGH_M = 6_200_000.0, 1e8  # distance from the Earth's centre
DIRECTION_MAX = 1e12  # length of a direction, in whatever unit
SLANT_MIN = 0.15  # the sine of the lowest elevation a line is taken to come in at
# Places whose axes are remembered: all sensors of a nation, many times over.
PLACES_MAX = 4_096


def geodetic_to_ecef(lat_deg: ArrayLike, lon_deg: ArrayLike, alt_m: ArrayLike) -> Array:
    """Return ECEF metres, shape (..., 3), of geodetic latitude, longitude (degrees) and ellipsoidal height (metres)."""
    place: Any = (lat_deg, lon_deg, alt_m)
    if all(isinstance(value, float) for value in place) and math.isfinite(sum(place)):
        return np.array(_one_to_ecef(*place))
    lat, lon, alt = np.broadcast_arrays(np.radians(lat_deg), np.radians(lon_deg), np.asarray(alt_m, np.float64))
    normal_m = WGS84_A_M / np.sqrt(1.0 - WGS84_E2 * np.sin(lat) ** 2)
    horizontal_m = (normal_m + alt) * np.cos(lat)
    z = (normal_m * (1.0 - WGS84_E2) + alt) * np.sin(lat)
    return _joined(horizontal_m * np.cos(lon), horizontal_m * np.sin(lon), z)


def _one_to_ecef(lat_deg: float, lon_deg: float, alt_m: float) -> tuple[float, float, float]:
    """Do `geodetic_to_ecef` for one place in plain floats: many times as fast as numpy with arrays of one."""
    lat, lon = math.radians(lat_deg), math.radians(lon_deg)
    sine, cosine = math.sin(lat), math.cos(lat)
    normal_m = WGS84_A_M / math.sqrt(1.0 - WGS84_E2 * sine**2)
    horizontal_m = (normal_m + alt_m) * cosine
    return horizontal_m * math.cos(lon), horizontal_m * math.sin(lon), (normal_m * (1.0 - WGS84_E2) + alt_m) * sine


def _joined(x: Array, y: Array, z: Array) -> Array:
    """Return three arrays of one shape as one of shape (..., 3); numpy's own stack takes five times as long for a few."""
    out = np.empty((*np.shape(x), 3))
    out[..., 0], out[..., 1], out[..., 2] = x, y, z
    return out


def ecef_to_geodetic(position_m: ArrayLike) -> Array:
    """Return (latitude deg, longitude deg, ellipsoidal height m), shape (..., 3), of ECEF positions of shape (..., 3).

    Bowring's method (Survey Review 23, 1976), iterated; exact at the poles and on the date line (longitude in [-180, 180]).
    """
    p = np.asarray(position_m, np.float64)
    if p.ndim == 1:
        return np.array(_one_to_geodetic(*p.tolist()))
    horizontal_m = np.hypot(p[..., 0], p[..., 1])
    z = p[..., 2]
    sin_b, cos_b = _unit(z * WGS84_A_M, horizontal_m * WGS84_B_M)
    for _ in range(_BOWRING_TURNS):
        sin_l, cos_l = _unit(z + WGS84_EP2 * WGS84_B_M * sin_b**3, horizontal_m - WGS84_E2 * WGS84_A_M * cos_b**3)
        sin_b, cos_b = _unit((1.0 - WGS84_F) * sin_l, cos_l)
    lat = np.arctan2(sin_l, cos_l)
    lon = np.arctan2(p[..., 1], p[..., 0])
    # The projection on the normal stays exact at the poles, where dividing by cos(lat) would not.
    alt = horizontal_m * cos_l + z * sin_l - WGS84_A_M * np.sqrt(1.0 - WGS84_E2 * sin_l**2)
    return _joined(np.degrees(lat), np.degrees(lon), alt)


def _unit(y: Array, x: Array) -> tuple[Array, Array]:
    """Return sine and cosine of atan2(y, x); (0, 1) at the origin."""
    length = np.hypot(y, x)
    nowhere = length == 0.0
    safe = length + nowhere
    return y / safe, (x + nowhere) / safe


def _one_to_geodetic(x: float, y: float, z: float) -> tuple[float, float, float]:
    """Do `ecef_to_geodetic` for one position in plain floats: fifty times as fast as numpy with arrays of one."""
    horizontal_m = math.hypot(x, y)
    sin_b, cos_b = _one_unit(z * WGS84_A_M, horizontal_m * WGS84_B_M)
    for _ in range(_BOWRING_TURNS):
        sin_l, cos_l = _one_unit(z + WGS84_EP2 * WGS84_B_M * sin_b**3, horizontal_m - WGS84_E2 * WGS84_A_M * cos_b**3)
        sin_b, cos_b = _one_unit((1.0 - WGS84_F) * sin_l, cos_l)
    alt_m = horizontal_m * cos_l + z * sin_l - WGS84_A_M * math.sqrt(1.0 - WGS84_E2 * sin_l**2)
    return math.degrees(math.atan2(sin_l, cos_l)), math.degrees(math.atan2(y, x)), alt_m


def _one_unit(y: float, x: float) -> tuple[float, float]:
    length = math.hypot(y, x)
    return (y / length, x / length) if length else (0.0, 1.0)


def enu_basis(lat_deg: ArrayLike, lon_deg: ArrayLike) -> Array:
    """Return the local axes as rows east, north, up in ECEF, shape (..., 3, 3): `basis @ vector_ecef` is (e, n, u)."""
    lat, lon = np.broadcast_arrays(np.radians(lat_deg), np.radians(lon_deg))
    sin_lat, cos_lat, sin_lon, cos_lon = np.sin(lat), np.cos(lat), np.sin(lon), np.cos(lon)
    out = np.zeros((*lat.shape, 3, 3))
    out[..., 0, 0], out[..., 0, 1] = -sin_lon, cos_lon
    out[..., 1, 0], out[..., 1, 1], out[..., 1, 2] = -sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat
    out[..., 2, 0], out[..., 2, 1], out[..., 2, 2] = cos_lat * cos_lon, cos_lat * sin_lon, sin_lat
    return out


@lru_cache(maxsize=PLACES_MAX)
def _site(lat_deg: float, lon_deg: float, alt_m: float) -> tuple[Array, Array]:
    """Return ECEF metres and local axes of a place; sensors' places come again with every batch."""
    made = geodetic_to_ecef(lat_deg, lon_deg, alt_m), enu_basis(lat_deg, lon_deg)
    for each in made:
        each.setflags(write=False)
    return made


def ecef_to_enu(position_m: ArrayLike, lat_deg: float, lon_deg: float, alt_m: float) -> Array:
    """Return east, north, up metres, shape (..., 3), of ECEF positions seen from one geodetic place."""
    origin, basis = _site(float(lat_deg), float(lon_deg), float(alt_m))
    out: Array = (np.asarray(position_m, np.float64) - origin) @ basis.T
    return out


def enu_to_ecef(enu_m: ArrayLike, lat_deg: float, lon_deg: float, alt_m: float) -> Array:
    """Return ECEF metres, shape (..., 3), of local east, north, up offsets (..., 3) at one geodetic place."""
    origin, basis = _site(float(lat_deg), float(lon_deg), float(alt_m))
    out: Array = np.asarray(enu_m, np.float64) @ basis + origin
    return out


def ecef_to_rae(position_m: ArrayLike, lat_deg: float, lon_deg: float, alt_m: float) -> Array:
    """Return slant range m, azimuth rad [0, 2 pi) clockwise from true north, elevation rad, shape (..., 3), from one place."""
    enu = ecef_to_enu(position_m, lat_deg, lon_deg, alt_m)
    range_m = np.sqrt((enu**2).sum(axis=-1))
    azimuth = np.arctan2(enu[..., 0], enu[..., 1]) % TWO_PI
    azimuth = np.where(azimuth >= TWO_PI, 0.0, azimuth)  # a tiny negative angle rounds up to 2 pi itself
    elevation = np.arctan2(enu[..., 2], np.hypot(enu[..., 0], enu[..., 1]))
    return _joined(range_m, azimuth, elevation)


def rae_to_ecef(
    range_m: ArrayLike, azimuth_rad: ArrayLike, elevation_rad: ArrayLike, lat_deg: float, lon_deg: float, alt_m: float
) -> Array:
    """Return ECEF metres, shape (..., 3), of slant range, azimuth and elevation measured at one geodetic place."""
    rng, az, el = np.broadcast_arrays(
        np.asarray(range_m, np.float64), np.asarray(azimuth_rad, np.float64), np.asarray(elevation_rad, np.float64)
    )
    flat_m = rng * np.cos(el)
    return enu_to_ecef(_joined(flat_m * np.sin(az), flat_m * np.cos(az), rng * np.sin(el)), lat_deg, lon_deg, alt_m)


def rotate_covariance(covariance: NDArray[Any], basis: Array) -> Array:
    """Return the 6x6 covariances (..., 6, 6) over position and velocity turned into the axes of `basis` rows (..., 3, 3)."""
    turn = np.zeros((*basis.shape[:-2], 6, 6))
    turn[..., :3, :3] = basis
    turn[..., 3:, 3:] = basis
    out: Array = turn @ covariance @ np.swapaxes(turn, -1, -2)
    return out


def sight_places(observer_m: ArrayLike, direction: ArrayLike, sigma_rad: ArrayLike) -> Array:
    """Return lines of sight (n, 3) from observers (n, 3), ECEF, with one sigma of angle (n,), as places (n, 7).

    Columns: latitude, longitude (degrees), height (m) of where the line first meets FLASH_HEIGHT_M, or else comes nearest to the
    Earth; azimuth and elevation (rad) of the line there; one sigma along it and across it (m). NaN where there can be none: an
    observer inside the Earth or too far, no direction, or a line that passes the Earth too high.
    """
    observer, way = np.asarray(observer_m, np.float64), np.asarray(direction, np.float64)
    with np.errstate(all="ignore"):  # what is no number, or too large for one, is NaN in the end
        distance, length = np.linalg.norm(observer, axis=1), np.linalg.norm(way, axis=1)
        good = (distance >= OBSERVER_LOW_M) & (distance <= OBSERVER_HIGH_M)
        good &= (np.abs(way) <= DIRECTION_MAX).all(axis=1) & (length > 1.0 / DIRECTION_MAX)
        along = np.where(good, 1.0 / length, np.nan)[:, None] * way
        ahead = _meeting(np.where(good[:, None], observer, np.nan), along)
        spot = ecef_to_geodetic(observer + ahead[:, None] * along)
        spot = np.where((spot[:, 2] <= LIMB_M)[:, None], spot, np.nan)
        east, north, up = np.einsum("nij,nj->in", enu_basis(spot[:, 0], spot[:, 1]), along)
        azimuth, elevation = np.arctan2(east, north) % TWO_PI, np.arcsin(np.clip(up, -1.0, 1.0))
        span = SPAN_M / np.maximum(np.abs(up), SLANT_MIN)
        across = np.asarray(sigma_rad, np.float64) * np.where(np.isnan(up), np.nan, ahead)
    out: Array = np.column_stack([spot, azimuth, elevation, span, across])
    return out


def _meeting(observer_m: Array, along: Array) -> Array:
    """Return how far ahead (n,) lines first meet the ellipsoid FLASH_HEIGHT_M higher, or else come nearest to the Earth."""
    scale = 1.0 / (np.array([WGS84_A_M, WGS84_A_M, WGS84_B_M]) + FLASH_HEIGHT_M)
    p, d = observer_m * scale, along * scale
    a, b, c = (d * d).sum(axis=1), (p * d).sum(axis=1), (p * p).sum(axis=1) - 1.0
    under = b * b - a * c
    root = np.sqrt(np.maximum(under, 0.0))
    first, last = (-b - root) / a, (-b + root) / a
    met = np.where(first > 0.0, first, np.where(last > 0.0, last, np.nan))
    return np.where(under >= 0.0, met, np.where(b < 0.0, -b / a, np.nan))
