"""What a plot says of a state, compiled: each plot becomes up to six scalar measurements, linearised at one state.

All components of one plot are independent given the state, so an update takes them one by one with the linearisation
kept from before the first: the same numbers as the matrix form of the extended Kalman filter, and no inverse.
"""

from __future__ import annotations

import numpy as np

from trilat.kernels.bank import (
    S_ALT_MAX,
    S_ALT_MIN,
    S_CLUTTER,
    S_RANGE_MAX,
    Z_ACROSS,
    Z_ALONG,
    Z_AXIS_AZIMUTH,
    Z_AXIS_ELEVATION,
    Z_AZIMUTH,
    Z_DOPPLER,
    Z_ELEVATION,
    Z_HEIGHT,
    Z_LAT,
    Z_LON,
    Z_RANGE,
    Z_ROOT,
    Z_SIGMA_AZIMUTH,
    Z_SIGMA_DOPPLER,
    Z_SIGMA_ELEVATION,
    Z_SIGMA_H,
    Z_SIGMA_HEIGHT,
    Z_SIGMA_RANGE,
    Z_SIGMA_SPEED,
    Z_SIGMA_V,
    Z_TRACKLET_V,
    Z_UP,
    Z_V_EAST,
    Z_V_NORTH,
    Z_V_UP,
    Z_X,
)
from trilat.kernels.frames import ecef, vertical
from trilat.kernels.jit import leaf

# As records.columns, which kernels do not import.
KIND_RADAR, KIND_BEARING, KIND_FIX, KIND_TRACK, KIND_MEASUREMENT, KIND_TRACKLET = 0, 1, 2, 3, 4, 5
TWO_PI = 2.0 * np.pi
# A report, as records.columns.REPORT_DTYPE; a test holds them equal.
REPORT_FLOATS = tuple(
    "range_m azimuth_rad elevation_rad height_m doppler_m_s lat_deg lon_deg alt_m speed_m_s course_rad vertical_rate_m_s "  # noqa: SIM905 - short
    "sigma_range_m sigma_azimuth_rad sigma_elevation_rad sigma_height_m sigma_doppler_m_s "
    "sigma_horizontal_m sigma_vertical_m sigma_speed_m_s".split()
)
REPORT_ROW = np.dtype(
    [
        ("t_ns", "i8"),
        ("sensor", "i4"),
        ("kind", "u1"),
        ("domain", "u1"),
        ("flags", "u4"),
        *((name, "f8") for name in REPORT_FLOATS),
        ("mode_3a", "i4"),
        ("address", "i8"),
        ("mmsi", "i8"),
        ("sensor_track", "i8"),
        ("callsign", "S20"),
    ]
)
# Places in REPORT_FLOATS.
RANGE, AZIMUTH, ELEVATION, LAT, LON, ALT, SPEED, COURSE, CLIMB = 0, 1, 2, 5, 6, 7, 8, 9, 10
SIGMA_RANGE, SIGMA_HORIZONTAL, SIGMA_VERTICAL, SIGMA_SPEED = 11, 16, 17, 18
# Columns of the defaults of a sensor: the five sigmas of a radar, then of a fix: horizontal, vertical, speed; of a measurement.
D_HORIZONTAL, D_VERTICAL, D_SPEED, D_MEASUREMENT = 5, 6, 7, 8
HEIGHT_ASSUMED_M, SEA_SIGMA_M = 6_000.0, 10.0  # of a fix without height: in the air, on the surface
DOPPLER_SPAN_M_S = 1_000.0  # false plots' Doppler, heights and velocities are taken as uniform over these spans
VELOCITY_SPAN_M_S = 600.0
FIX_CLUTTER_PER_M2 = 1e-12  # a wrong self-reported position: one per million square kilometres and frame
HEIGHT_SPAN_MIN_M = 200.0
TRACKLET_CLUTTER_PER_M = 4.6e-6  # the cube root of a wrong fix' density in the volume
ROOT_MIN = 1e-9  # 1/m: a direction known to no better than this is not known
PLACE_SIGMA_MAX_M = 20_000.0  # a measurement vaguer than this begins no track


@leaf
def fill_radar(z, values, defaults, floors, bearing):  # type: ignore[no-untyped-def]
    """Fill the columns of a radar plot or bearing; absent sigmas are the sensor's."""
    for c in range(5):
        sigma = values[SIGMA_RANGE + c]
        z[c] = values[c]
        z[5 + c] = max(defaults[c] if np.isnan(sigma) else sigma, floors[c])
    z[10] = np.nan
    if bearing:
        z[0] = np.nan


@leaf
def fill_fix(z, values, defaults, floors, surface, wide):  # type: ignore[no-untyped-def]
    """Fill the columns of a self-reported position or system track; absent sigmas are the sensor's, all times `wide`."""
    lat, lon, alt = np.radians(values[LAT]), np.radians(values[LON]), values[ALT]
    has_alt = not np.isnan(alt)
    if not has_alt:
        alt = 0.0 if surface else HEIGHT_ASSUMED_M
    z[0], z[1], z[2] = ecef(lat, lon, alt)
    z[Z_LAT], z[Z_LON] = lat, lon
    sigma = defaults[D_HORIZONTAL] if np.isnan(values[SIGMA_HORIZONTAL]) else values[SIGMA_HORIZONTAL]
    z[Z_SIGMA_H] = max(sigma * wide, floors[0])
    if has_alt:
        sigma = defaults[D_VERTICAL] if np.isnan(values[SIGMA_VERTICAL]) else values[SIGMA_VERTICAL]
        z[Z_SIGMA_V] = max(sigma * wide, floors[0])
    else:
        z[Z_SIGMA_V] = SEA_SIGMA_M if surface else np.nan
    moving = not (np.isnan(values[SPEED]) or np.isnan(values[COURSE]))
    z[Z_V_EAST] = values[SPEED] * np.sin(values[COURSE]) if moving else np.nan
    z[Z_V_NORTH] = values[SPEED] * np.cos(values[COURSE]) if moving else np.nan
    z[Z_V_UP] = values[CLIMB]
    sigma = defaults[D_SPEED] if np.isnan(values[SIGMA_SPEED]) else values[SIGMA_SPEED]
    z[Z_SIGMA_SPEED] = max(sigma * wide, floors[4])


@leaf
def fill_measurement(z, values, defaults, floors):  # type: ignore[no-untyped-def]
    """Fill the columns of a radar plot that came in Earth-fixed terms: its place, and the ellipsoid about it."""
    lat, lon, alt = np.radians(values[LAT]), np.radians(values[LON]), values[ALT]
    z[0], z[1], z[2] = ecef(lat, lon, 0.0 if np.isnan(alt) else alt)
    z[Z_LAT], z[Z_LON] = lat, lon
    widest = 0.0
    for column, given in ((Z_ALONG, SIGMA_RANGE), (Z_ACROSS, SIGMA_HORIZONTAL), (Z_UP, SIGMA_VERTICAL)):
        z[column] = max(defaults[D_MEASUREMENT] if np.isnan(values[given]) else values[given], floors[0])
        widest = max(widest, z[column])
    z[Z_SIGMA_H] = widest
    z[Z_AXIS_AZIMUTH] = 0.0 if np.isnan(values[AZIMUTH]) else values[AZIMUTH]
    z[Z_AXIS_ELEVATION] = 0.0 if np.isnan(values[ELEVATION]) else values[ELEVATION]


@leaf
def linearise(earth, sensor, z, kind, px, py, pz, vx, vy, vz, H, nu, R):  # type: ignore[no-untyped-def]  # noqa: PLR0917 - arrays by name
    """Write rows H (6, 6), innovations nu (6,) and variances R (6,) of one plot at a state; return how many components."""
    if kind == KIND_MEASUREMENT:
        return _measurement(z, px, py, pz, H, nu, R)
    if kind == KIND_TRACKLET:
        return _tracklet(z, px, py, pz, vx, vy, vz, H, nu, R)
    if kind >= KIND_FIX:
        return _fix(z, px, py, pz, vx, vy, vz, H, nu, R)
    return _polar(earth, sensor, z, px, py, pz, vx, vy, vz, H, nu, R)


@leaf
def _row(H, k, sensor, e, n, u):  # type: ignore[no-untyped-def]
    """Put a row given in the sensor's east, north, up axes into H as a position row."""
    for a in range(3):
        H[k, a] = e * sensor[3 + a] + n * sensor[6 + a] + u * sensor[9 + a]
        H[k, a + 3] = 0.0


@leaf
def _polar(earth, sensor, z, px, py, pz, vx, vy, vz, H, nu, R):  # type: ignore[no-untyped-def]
    """Range, azimuth (clockwise from north), elevation, height and range rate, whichever are present."""
    dx, dy, dz = px - sensor[0], py - sensor[1], pz - sensor[2]
    e = sensor[3] * dx + sensor[4] * dy + sensor[5] * dz
    n = sensor[6] * dx + sensor[7] * dy + sensor[8] * dz
    u = sensor[9] * dx + sensor[10] * dy + sensor[11] * dz
    h2 = max(e * e + n * n, 1.0)
    h = np.sqrt(h2)
    r2 = h2 + u * u
    r = np.sqrt(r2)
    k = 0
    if not np.isnan(z[Z_RANGE]):
        _row(H, k, sensor, e / r, n / r, u / r)
        nu[k] = z[Z_RANGE] - r
        R[k] = z[Z_SIGMA_RANGE] * z[Z_SIGMA_RANGE]
        k += 1
    _row(H, k, sensor, n / h2, -e / h2, 0.0)
    turn = z[Z_AZIMUTH] - np.arctan2(e, n)
    nu[k] = turn - TWO_PI * np.round(turn / TWO_PI)
    R[k] = z[Z_SIGMA_AZIMUTH] * z[Z_SIGMA_AZIMUTH]
    k += 1
    if not np.isnan(z[Z_ELEVATION]):
        _row(H, k, sensor, -e * u / (r2 * h), -n * u / (r2 * h), h / r2)
        nu[k] = z[Z_ELEVATION] - np.arctan2(u, h)
        R[k] = z[Z_SIGMA_ELEVATION] * z[Z_SIGMA_ELEVATION]
        k += 1
    if not np.isnan(z[Z_HEIGHT]):
        ux, uy, uz, height = vertical(earth, px, py, pz)
        H[k, 0], H[k, 1], H[k, 2] = ux, uy, uz
        H[k, 3], H[k, 4], H[k, 5] = 0.0, 0.0, 0.0
        nu[k] = z[Z_HEIGHT] - height
        R[k] = z[Z_SIGMA_HEIGHT] * z[Z_SIGMA_HEIGHT]
        k += 1
    if not np.isnan(z[Z_DOPPLER]) and e * e + n * n + u * u > 1.0:  # within a metre it is along no known direction
        rate = (dx * vx + dy * vy + dz * vz) / r
        H[k, 0], H[k, 1], H[k, 2] = (vx - rate * dx / r) / r, (vy - rate * dy / r) / r, (vz - rate * dz / r) / r
        H[k, 3], H[k, 4], H[k, 5] = dx / r, dy / r, dz / r
        nu[k] = z[Z_DOPPLER] - rate
        R[k] = z[Z_SIGMA_DOPPLER] * z[Z_SIGMA_DOPPLER]
        k += 1
    return k


@leaf
def _fix(z, px, py, pz, vx, vy, vz, H, nu, R):  # type: ignore[no-untyped-def]
    """Position in the fix's own east, north, up axes, and velocity where it is given."""
    sl, cl, so, co = np.sin(z[Z_LAT]), np.cos(z[Z_LAT]), np.sin(z[Z_LON]), np.cos(z[Z_LON])
    axes = ((-so, co, 0.0), (-sl * co, -sl * so, cl), (cl * co, cl * so, sl))
    dx, dy, dz = z[Z_X] - px, z[Z_X + 1] - py, z[Z_X + 2] - pz
    k = 0
    for axis in range(3):
        sigma = z[Z_SIGMA_V] if axis == 2 else z[Z_SIGMA_H]
        if np.isnan(sigma):
            continue
        for a in range(3):
            H[k, a] = axes[axis][a]
            H[k, a + 3] = 0.0
        nu[k] = axes[axis][0] * dx + axes[axis][1] * dy + axes[axis][2] * dz
        R[k] = sigma * sigma
        k += 1
    for axis in range(3):
        v = z[Z_V_EAST + axis]
        if np.isnan(v):
            continue
        for a in range(3):
            H[k, a] = 0.0
            H[k, a + 3] = axes[axis][a]
        nu[k] = v - (axes[axis][0] * vx + axes[axis][1] * vy + axes[axis][2] * vz)
        R[k] = z[Z_SIGMA_SPEED] * z[Z_SIGMA_SPEED]
        k += 1
    return k


@leaf
def _measurement(z, px, py, pz, H, nu, R):  # type: ignore[no-untyped-def]
    """Position along, across and above the axis of the plot's own ellipsoid, which stands in the Earth's frame."""
    sl, cl, so, co = np.sin(z[Z_LAT]), np.cos(z[Z_LAT]), np.sin(z[Z_LON]), np.cos(z[Z_LON])
    sa, ca = np.sin(z[Z_AXIS_AZIMUTH]), np.cos(z[Z_AXIS_AZIMUTH])
    se, ce = np.sin(z[Z_AXIS_ELEVATION]), np.cos(z[Z_AXIS_ELEVATION])
    local = ((ce * sa, ce * ca, se), (ca, -sa, 0.0), (-se * sa, -se * ca, ce))
    sigma = (z[Z_ALONG], z[Z_ACROSS], z[Z_UP])
    d = (z[Z_X] - px, z[Z_X + 1] - py, z[Z_X + 2] - pz)
    for k in range(3):
        e, n, u = local[k]
        H[k, 0] = -so * e - sl * co * n + cl * co * u
        H[k, 1] = co * e - sl * so * n + cl * so * u
        H[k, 2] = cl * n + sl * u
        H[k, 3], H[k, 4], H[k, 5] = 0.0, 0.0, 0.0
        nu[k] = H[k, 0] * d[0] + H[k, 1] * d[1] + H[k, 2] * d[2]
        R[k] = sigma[k] * sigma[k]
    return 3


@leaf
def _tracklet(z, px, py, pz, vx, vy, vz, H, nu, R):  # type: ignore[no-untyped-def]
    """Whitened components U (x - state) of an equivalent measurement: unit variance each; rows that say nothing are left out."""
    d = (z[0] - px, z[1] - py, z[2] - pz, z[Z_TRACKLET_V] - vx, z[Z_TRACKLET_V + 1] - vy, z[Z_TRACKLET_V + 2] - vz)
    k, at = 0, Z_ROOT
    for r in range(6):
        most, s = 0.0, 0.0
        for c in range(6):
            value = 0.0
            if c >= r:
                value = z[at]
                at += 1
            H[k, c] = value
            most = max(most, abs(value))
            s += value * d[c]
        if most > ROOT_MIN:
            nu[k], R[k] = s, 1.0
            k += 1
    return k


@leaf
def clutter_density(sensor, z, kind):  # type: ignore[no-untyped-def]
    """Return the density of false and of new plots in one plot's own measurement space: (false, new).

    False radar plots are uniform in the volume (with elevation) or the area (without) that the sensor covers.
    """
    if kind == KIND_MEASUREMENT:
        span = max(min(sensor[S_ALT_MAX], 20_000.0) - max(sensor[S_ALT_MIN], 0.0), HEIGHT_SPAN_MIN_M)
        share = 1.0 / (np.pi * sensor[S_RANGE_MAX] * sensor[S_RANGE_MAX] * span)
        return max(share * sensor[S_CLUTTER], 1e-30), max(share * sensor[S_CLUTTER + 1], 1e-30)
    if kind == KIND_TRACKLET:  # the density of a wrong fix, in the whitened components
        density, at = 1.0, Z_ROOT
        for r in range(6):
            if abs(z[at]) > ROOT_MIN:
                density *= (TRACKLET_CLUTTER_PER_M if r < 3 else 1.0 / VELOCITY_SPAN_M_S) / abs(z[at])
            at += 6 - r
        return density, density
    if kind >= KIND_FIX:
        density = FIX_CLUTTER_PER_M2
        if not np.isnan(z[Z_SIGMA_V]):
            density /= 10_000.0
        for axis in range(3):
            if not np.isnan(z[Z_V_EAST + axis]):
                density /= VELOCITY_SPAN_M_S
        return density, density
    span = max(min(sensor[S_ALT_MAX], 20_000.0) - max(sensor[S_ALT_MIN], 0.0), HEIGHT_SPAN_MIN_M)
    if np.isnan(z[Z_RANGE]):
        share = 1.0 / (TWO_PI * 1.6)
    elif np.isnan(z[Z_ELEVATION]):
        share = z[Z_RANGE] / (np.pi * sensor[S_RANGE_MAX] * sensor[S_RANGE_MAX])
    else:
        flat = np.cos(z[Z_ELEVATION])
        share = z[Z_RANGE] * z[Z_RANGE] * flat / (np.pi * sensor[S_RANGE_MAX] * sensor[S_RANGE_MAX] * span)
    if not np.isnan(z[Z_HEIGHT]):
        share /= span
    if not np.isnan(z[Z_DOPPLER]):
        share /= DOPPLER_SPAN_M_S
    return max(share * sensor[S_CLUTTER], 1e-30), max(share * sensor[S_CLUTTER + 1], 1e-30)


@leaf
def place(earth, sensor, z, kind, out):  # type: ignore[no-untyped-def]
    """Write a plot's own position into out (3,), with the sensor's height prior where it has neither elevation nor height.

    Returns the sigma of the height that was assumed (0 when none was), or -1 when the plot gives no position.
    """
    if kind >= KIND_FIX:
        out[0], out[1], out[2] = z[Z_X], z[Z_X + 1], z[Z_X + 2]
        if kind >= KIND_MEASUREMENT:
            return 0.0 if z[Z_SIGMA_H] < PLACE_SIGMA_MAX_M else -1.0
        return 0.0 if not np.isnan(z[Z_SIGMA_V]) else 1_000.0
    if np.isnan(z[Z_RANGE]):
        return -1.0
    r, az = z[Z_RANGE], z[Z_AZIMUTH]
    assumed = 0.0
    el = z[Z_ELEVATION]
    if np.isnan(el):
        target = z[Z_HEIGHT]
        if np.isnan(target):
            target, assumed = sensor[27], sensor[28]
        sine = 0.0
        for _ in range(3):  # the elevation at which this slant range reaches that height: the drop of the Earth, by turns
            sine = min(max(sine, -0.5), 0.98)
            flat = r * np.sqrt(1.0 - sine * sine)
            _radar_point(sensor, flat * np.sin(az), flat * np.cos(az), r * sine, out)
            _, _, _, height = vertical(earth, out[0], out[1], out[2])
            sine += (target - height) / max(r, 1.0)
        el = np.arcsin(min(max(sine, -0.5), 0.98))
    flat = r * np.cos(el)
    _radar_point(sensor, flat * np.sin(az), flat * np.cos(az), r * np.sin(el), out)
    return assumed


@leaf
def _radar_point(sensor, e, n, u, out):  # type: ignore[no-untyped-def]
    """Write a sensor's east, north, up offset as a point of the engine's frame."""
    for a in range(3):
        out[a] = sensor[a] + e * sensor[3 + a] + n * sensor[6 + a] + u * sensor[9 + a]
