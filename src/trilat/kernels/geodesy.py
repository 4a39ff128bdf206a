"""WGS-84 for arrays of positions: geodetic, ECEF, local east-north-up, and range-azimuth-elevation. Plain numpy, no numba.

Scalars and arrays broadcast: every function takes scalars or arrays of shape (n,) and returns (n, 3) (or (3,) for scalars).
Constants: NIMA TR8350.2, third edition, 2000 (WGS-84).
"""

from __future__ import annotations

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


def geodetic_to_ecef(lat_deg: ArrayLike, lon_deg: ArrayLike, alt_m: ArrayLike) -> Array:
    """Return ECEF metres, shape (..., 3), of geodetic latitude, longitude (degrees) and ellipsoidal height (metres)."""
    lat, lon, alt = np.broadcast_arrays(np.radians(lat_deg), np.radians(lon_deg), np.asarray(alt_m, np.float64))
    normal_m = WGS84_A_M / np.sqrt(1.0 - WGS84_E2 * np.sin(lat) ** 2)
    horizontal_m = (normal_m + alt) * np.cos(lat)
    z = (normal_m * (1.0 - WGS84_E2) + alt) * np.sin(lat)
    return np.stack([horizontal_m * np.cos(lon), horizontal_m * np.sin(lon), z], axis=-1)


def ecef_to_geodetic(position_m: ArrayLike) -> Array:
    """Return (latitude deg, longitude deg, ellipsoidal height m), shape (..., 3), of ECEF positions of shape (..., 3).

    Bowring's method (Survey Review 23, 1976), iterated; exact at the poles and on the date line (longitude in [-180, 180]).
    """
    p = np.asarray(position_m, np.float64)
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
    return np.stack([np.degrees(lat), np.degrees(lon), alt], axis=-1)


def _unit(y: Array, x: Array) -> tuple[Array, Array]:
    """Return sine and cosine of atan2(y, x); (0, 1) at the origin."""
    length = np.hypot(y, x)
    safe = np.where(length > 0.0, length, 1.0)
    return y / safe, np.where(length > 0.0, x / safe, 1.0)


def enu_basis(lat_deg: ArrayLike, lon_deg: ArrayLike) -> Array:
    """Return the local axes as rows east, north, up in ECEF, shape (..., 3, 3): `basis @ vector_ecef` is (e, n, u)."""
    lat, lon = np.broadcast_arrays(np.radians(lat_deg), np.radians(lon_deg))
    sin_lat, cos_lat, sin_lon, cos_lon = np.sin(lat), np.cos(lat), np.sin(lon), np.cos(lon)
    zero = np.zeros_like(lat)
    east = np.stack([-sin_lon, cos_lon, zero], axis=-1)
    north = np.stack([-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat], axis=-1)
    up = np.stack([cos_lat * cos_lon, cos_lat * sin_lon, sin_lat], axis=-1)
    return np.stack([east, north, up], axis=-2)


def ecef_to_enu(position_m: ArrayLike, lat_deg: float, lon_deg: float, alt_m: float) -> Array:
    """Return east, north, up metres, shape (..., 3), of ECEF positions seen from one geodetic place."""
    offset = np.asarray(position_m, np.float64) - geodetic_to_ecef(lat_deg, lon_deg, alt_m)
    out: Array = offset @ enu_basis(lat_deg, lon_deg).T
    return out


def enu_to_ecef(enu_m: ArrayLike, lat_deg: float, lon_deg: float, alt_m: float) -> Array:
    """Return ECEF metres, shape (..., 3), of local east, north, up offsets (..., 3) at one geodetic place."""
    out: Array = np.asarray(enu_m, np.float64) @ enu_basis(lat_deg, lon_deg) + geodetic_to_ecef(lat_deg, lon_deg, alt_m)
    return out


def ecef_to_rae(position_m: ArrayLike, lat_deg: float, lon_deg: float, alt_m: float) -> Array:
    """Return slant range m, azimuth rad [0, 2 pi) clockwise from true north, elevation rad, shape (..., 3), from one place."""
    enu = ecef_to_enu(position_m, lat_deg, lon_deg, alt_m)
    range_m = np.sqrt((enu**2).sum(axis=-1))
    azimuth = np.arctan2(enu[..., 0], enu[..., 1]) % TWO_PI
    azimuth = np.where(azimuth >= TWO_PI, 0.0, azimuth)  # a tiny negative angle rounds up to 2 pi itself
    elevation = np.arctan2(enu[..., 2], np.hypot(enu[..., 0], enu[..., 1]))
    return np.stack([range_m, azimuth, elevation], axis=-1)


def rae_to_ecef(
    range_m: ArrayLike, azimuth_rad: ArrayLike, elevation_rad: ArrayLike, lat_deg: float, lon_deg: float, alt_m: float
) -> Array:
    """Return ECEF metres, shape (..., 3), of slant range, azimuth and elevation measured at one geodetic place."""
    rng, az, el = np.broadcast_arrays(
        np.asarray(range_m, np.float64), np.asarray(azimuth_rad, np.float64), np.asarray(elevation_rad, np.float64)
    )
    flat_m = rng * np.cos(el)
    enu = np.stack([flat_m * np.sin(az), flat_m * np.cos(az), rng * np.sin(el)], axis=-1)
    return enu_to_ecef(enu, lat_deg, lon_deg, alt_m)


def rotate_covariance(covariance: NDArray[Any], basis: Array) -> Array:
    """Return the 6x6 covariances (..., 6, 6) over position and velocity turned into the axes of `basis` rows (..., 3, 3)."""
    turn = np.zeros((*basis.shape[:-2], 6, 6))
    turn[..., :3, :3] = basis
    turn[..., 3:, 3:] = basis
    out: Array = turn @ covariance @ np.swapaxes(turn, -1, -2)
    return out
