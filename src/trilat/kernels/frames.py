"""The Earth under the engine: local vertical, height and acceleration in one Cartesian frame, for single points, compiled.

An Earth is a vector of numbers (see `earth`), so that one compiled engine serves ECEF over WGS-84, a rotating sphere whose
frame stands on its surface (benchmark files), and a flat world.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trilat.kernels.geodesy import WGS84_A_M, WGS84_B_M, WGS84_E2, WGS84_EP2
from trilat.kernels.jit import leaf

FLAT, SPHERE, WGS84 = 0, 1, 2
MU_M3_S2 = 3.986004418e14  # Earth's gravity constant, NIMA TR8350.2 (WGS-84), 2000
J2 = 1.082629821e-3  # from the WGS-84 second zonal coefficient, same source
SPIN_RAD_S = 7.292115e-5  # same source
STANDARD_GRAVITY_M_S2 = 9.80665  # ISO 80000-3; the flat world's constant pull
AIR_DENSITY_KG_M3 = 1.225  # ISO 2533 (ICAO standard atmosphere) at sea level
AIR_SCALE_HEIGHT_M = 7_200.0  # exponential fit of the same over 0-80 km
DRAG_TOP_M = 120_000.0  # above it drag is below 1e-6 m/s2 for anything we track
# Layout of an Earth vector.
E_KIND, E_CENTRE, E_SPIN, E_RADIUS, E_MU, E_J2 = 0, 1, 4, 7, 8, 9


def earth(
    kind: str,
    centre_m: tuple[float, float, float] = (0.0, 0.0, 0.0),
    spin_rad_s: tuple[float, float, float] = (0.0, 0.0, SPIN_RAD_S),
    radius_m: float = 6_371_000.0,
) -> NDArray[np.float64]:
    """Return the Earth vector of "flat", "sphere" (with its centre, spin vector and radius) or "wgs84"; KeyError otherwise."""
    out = np.zeros(10)
    out[E_KIND] = {"flat": FLAT, "sphere": SPHERE, "wgs84": WGS84}[kind]
    out[E_CENTRE : E_CENTRE + 3] = centre_m
    out[E_SPIN : E_SPIN + 3] = spin_rad_s
    out[E_RADIUS] = WGS84_A_M if kind == "wgs84" else radius_m
    out[E_MU] = 0.0 if kind == "flat" else MU_M3_S2
    out[E_J2] = J2 if kind == "wgs84" else 0.0
    return out


@leaf
def ecef(lat, lon, alt):  # type: ignore[no-untyped-def]
    """Return x, y, z m of a place on WGS-84 given in radians and metres above the ellipsoid."""
    sine = np.sin(lat)
    n = WGS84_A_M / np.sqrt(1.0 - WGS84_E2 * sine * sine)
    flat = (n + alt) * np.cos(lat)
    return flat * np.cos(lon), flat * np.sin(lon), (n * (1.0 - WGS84_E2) + alt) * sine


@leaf
def vertical(e, x, y, z):  # type: ignore[no-untyped-def]
    """Return (up x, up y, up z, height m) of a point: ellipsoidal height over WGS-84 (Bowring 1976, one turn, sub-millimetre)."""
    if e[E_KIND] == FLAT:
        return 0.0, 0.0, 1.0, z
    dx, dy, dz = x - e[1], y - e[2], z - e[3]
    if e[E_KIND] == SPHERE:
        r = max(np.sqrt(dx * dx + dy * dy + dz * dz), 1.0)
        return dx / r, dy / r, dz / r, r - e[E_RADIUS]
    p = np.sqrt(dx * dx + dy * dy)
    a, b = dz * WGS84_A_M, p * WGS84_B_M
    n = max(np.sqrt(a * a + b * b), 1.0)
    a, b = a / n, b / n
    s, c = dz + WGS84_EP2 * WGS84_B_M * a * a * a, p - WGS84_E2 * WGS84_A_M * b * b * b
    n = max(np.sqrt(s * s + c * c), 1.0)
    s, c = s / n, c / n
    height = p * c + dz * s - WGS84_A_M * np.sqrt(1.0 - WGS84_E2 * s * s)
    if p < 1.0:
        return 0.0, 0.0, 1.0 if dz >= 0.0 else -1.0, height
    return c * dx / p, c * dy / p, s, height


@leaf
def acceleration(e, p, v, a):  # type: ignore[no-untyped-def]
    """Write gravity (with J2), Coriolis and centrifugal acceleration m/s2 at position p, velocity v (3,) into a (3,)."""
    if e[E_KIND] == FLAT:
        a[0], a[1], a[2] = 0.0, 0.0, -STANDARD_GRAVITY_M_S2
        return
    x, y, z = p[0] - e[1], p[1] - e[2], p[2] - e[3]
    wx, wy, wz = e[4], e[5], e[6]
    r2 = x * x + y * y + z * z
    g = -e[E_MU] / (r2 * np.sqrt(r2))
    a[0], a[1], a[2] = g * x, g * y, g * z
    if e[E_J2] > 0.0:  # the J2 term, spin axis along z (Vallado, Fundamentals of Astrodynamics, 4th ed. 2013, eq. 8-30)
        k = 1.5 * e[E_J2] * e[E_RADIUS] * e[E_RADIUS] / r2
        f = 5.0 * z * z / r2
        a[0] += g * x * k * (1.0 - f)
        a[1] += g * y * k * (1.0 - f)
        a[2] += g * z * k * (3.0 - f)
    cx, cy, cz = wy * z - wz * y, wz * x - wx * z, wx * y - wy * x
    a[0] -= 2.0 * (wy * v[2] - wz * v[1]) + wy * cz - wz * cy
    a[1] -= 2.0 * (wz * v[0] - wx * v[2]) + wz * cx - wx * cz
    a[2] -= 2.0 * (wx * v[1] - wy * v[0]) + wx * cy - wy * cx


@leaf
def air_density(height_m):  # type: ignore[no-untyped-def]
    """Return air density kg/m3 at a height: exponential, zero above DRAG_TOP_M."""
    if height_m > DRAG_TOP_M:
        return 0.0
    return AIR_DENSITY_KG_M3 * np.exp(-max(height_m, 0.0) / AIR_SCALE_HEIGHT_M)
