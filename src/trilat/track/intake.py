"""Intake: reports of every kind into the engine's plots and frames; what cannot be believed is refused by name and counted.

A frame is what one sensor saw in one slot of absolute time. Frames depend on the set of reports alone, never on how they
were batched or in which order they came; that is what makes late reports, duplicates and replays harmless.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trilat.kernels import geodesy
from trilat.records.columns import (
    KIND_BEARING,
    KIND_FIX,
    KIND_MEASUREMENT,
    KIND_RADAR,
    KIND_TRACK,
    KIND_TRACKLET,
    REPORT_DTYPE,
)
from trilat.records.sensor import Sensor
from trilat.track.settings import SETS, SIGMA_DEFAULT_M, TrackerSettings
from trilat.track.wide import WideRows

SPEED_MAX_M_S = 20_000.0  # above every Earth-bound flight, as records.fields
RANGE_MAX_M = 1e8
# Sigmas below these are instrument fantasies, and would make the filter's numbers ill-conditioned.
SIGMA_FLOOR_M, SIGMA_FLOOR_RAD, SIGMA_FLOOR_M_S = 0.01, 1e-6, 0.01
# A vessel at anchor and a car in a tunnel repeat themselves: a self-report's error is not white. Two to one is a round figure
# between the three of raw GNSS wander and the one of white noise; it keeps covariances honest without dulling the track.
SELF_REPORT_INFLATION = 1.5
SIGMA_VERTICAL_DEFAULT_M = 60.0
SIGMA_MEASUREMENT_DEFAULT_M = 1_000.0
SIGMA_SPEED_DEFAULT_M_S = 5.0
KEYS = ("mode_3a", "address", "mmsi", "callsign", "sensor_track")

KINDS = 8
FrameKey = tuple[int, int, int]  # (start of the slot in ns, sensor index, part within the slot)


class Frame(NamedTuple):
    """One sensor's plots of one slot: floats (n, PLOT_COLUMNS) and integers (n, PLOT_INTS), in the engine's order."""

    z: NDArray[np.float64]
    plots: NDArray[np.int64]


def sensor_table(sensors: Sequence[Sensor], settings: TrackerSettings) -> NDArray[np.float64]:
    """Return the kernels' sensor table (n, SENSOR_COLUMNS), positions in ECEF."""
    from trilat.kernels import bank as b  # noqa: PLC0415 - same lightness as in settings

    out = np.zeros((max(len(sensors), 1), b.SENSOR_COLUMNS))
    for i, sensor in enumerate(sensors):
        basis = geodesy.enu_basis(sensor.lat_deg, sensor.lon_deg)
        surface = sensor.alt_max_m <= 500.0
        asks = sensor.kind in ("radar3d", "radar2d")
        row = out[i]
        row[b.S_POSITION : b.S_POSITION + 3] = geodesy.geodetic_to_ecef(sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
        row[b.S_BASIS : b.S_BASIS + 9] = basis.ravel()
        row[b.S_UP : b.S_UP + 3] = basis[2]
        row[b.S_PERIOD] = sensor.period_s
        row[b.S_RANGE_MIN], row[b.S_RANGE_MAX] = sensor.range_min_m, sensor.range_max_m
        row[b.S_SINE_MIN], row[b.S_SINE_MAX] = np.sin(sensor.elevation_min_rad), np.sin(sensor.elevation_max_rad)
        row[b.S_ALT_MIN], row[b.S_ALT_MAX] = sensor.alt_min_m, sensor.alt_max_m
        row[b.S_PD] = min(max(sensor.detection_probability, 0.05), 0.99)
        row[b.S_CLUTTER] = max(sensor.clutter_per_scan, 1e-3)
        row[b.S_BIRTH] = sensor.births_per_scan
        row[b.S_LOOKS] = float(asks)
        row[b.S_SET] = SETS.index("sea" if surface and "sea" in settings.domains else settings.domains[0])
        row[b.S_PRIOR_ALT] = 0.0 if surface else 6_000.0
        row[b.S_PRIOR_SIGMA] = 50.0 if surface else 4_000.0
    return out


def refuse(
    columns: NDArray[Any], now_ns: int, oldest_ns: int, sensors: int, settings: TrackerSettings
) -> tuple[Any, Counter[str]]:
    """Return (mask of reports to use, counts by reason of those refused). A report is counted once, by the first reason.

    Reasons stand in errors.toml: sensor-unknown, time-future, report-late, not-finite, sigma-not-positive, out-of-range.
    """
    counts: Counter[str] = Counter()
    values = floats(columns)
    newest_ns = now_ns + round(settings.future_s * 1e9)
    sensor, t_ns = columns["sensor"], columns["t_ns"]
    use = np.ones(len(columns), bool)
    rules = (
        ("sensor-unknown", (sensor < 0) | (sensor >= sensors) | (columns["kind"] > KIND_TRACKLET)),
        ("time-future", t_ns > newest_ns),
        ("report-late", t_ns < oldest_ns),
        ("not-finite", np.isinf(values).any(axis=1) | _incomplete(columns["kind"], values)),
        ("sigma-not-positive", (values[:, FIRST_SIGMA:] <= 0.0).any(axis=1)),
        # NaN compares false everywhere, so that absent values pass.
        ("out-of-range", ((values < LOW) | (values > HIGH)).any(axis=1)),
    )
    for reason, bad in rules:
        n = int(np.count_nonzero(bad & use))
        if n:
            counts[reason] = n
            use &= ~bad
    return use, counts


FLOATS = tuple(name for name, (kind, *_) in (REPORT_DTYPE.fields or {}).items() if kind == np.float64)
_FIRST_FLOAT = next(offset for kind, offset, *_ in (REPORT_DTYPE.fields or {}).values() if kind == np.float64)
FIRST_SIGMA = FLOATS.index("sigma_range_m")
_LIMITS = {
    "range_m": (0.0, RANGE_MAX_M),
    "azimuth_rad": (-2 * np.pi, 2 * np.pi),
    "elevation_rad": (-np.pi / 2, np.pi / 2),
    "height_m": (-12_000.0, RANGE_MAX_M),
    "doppler_m_s": (-SPEED_MAX_M_S, SPEED_MAX_M_S),
    "lat_deg": (-90.0, 90.0),
    "lon_deg": (-180.0, 180.0),
    "alt_m": (-12_000.0, RANGE_MAX_M),
    "speed_m_s": (0.0, SPEED_MAX_M_S),
    "course_rad": (-2 * np.pi, 2 * np.pi),
    "vertical_rate_m_s": (-SPEED_MAX_M_S, SPEED_MAX_M_S),
}
LOW = np.array([_LIMITS.get(name, (-np.inf, np.inf))[0] for name in FLOATS])
HIGH = np.array([_LIMITS.get(name, (-np.inf, np.inf))[1] for name in FLOATS])


def floats(columns: NDArray[Any]) -> NDArray[np.float64]:
    """Return every float field of reports as one matrix (n, FLOATS); they stand side by side in REPORT_DTYPE."""
    raw = np.ascontiguousarray(columns).view(np.uint8).reshape(len(columns), REPORT_DTYPE.itemsize)
    out: NDArray[np.float64] = np.ascontiguousarray(raw[:, _FIRST_FLOAT : _FIRST_FLOAT + 8 * len(FLOATS)]).view(np.float64)
    return out


def _incomplete(kind: NDArray[Any], values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which reports lack what their kind must have."""
    absent = np.isnan(values)
    radar, bearing, place = kind == KIND_RADAR, kind == KIND_BEARING, kind >= KIND_FIX
    bad = (radar | bearing) & absent[:, FLOATS.index("azimuth_rad")]
    bad |= radar & absent[:, FLOATS.index("range_m")]
    bad |= place & (absent[:, FLOATS.index("lat_deg")] | absent[:, FLOATS.index("lon_deg")])
    return np.asarray(bad)


def frame_keys(columns: NDArray[Any], frame_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the frame of each report as rows (slot start ns, sensor, part), shape (n, 3).

    A frame holds one kind of report. A rotating radar sees a target once a slot; a feed of self-reports may hold several of
    one target, which the part (kind, and occurrence counted by identity in time order) puts into frames of their own.
    Columns must be in canonical order.
    """
    width = frame_ns[columns["sensor"]]
    out = np.zeros((len(columns), 3), np.int64)
    out[:, 0] = columns["t_ns"] // width * width
    out[:, 1] = columns["sensor"]
    out[:, 2] = columns["kind"]
    many = np.flatnonzero((columns["kind"] >= KIND_FIX) & (columns["kind"] != KIND_MEASUREMENT))
    if len(many):
        seen: Counter[tuple[Any, ...]] = Counter()
        part = columns[many]
        who = zip(out[many, 0].tolist(), part["sensor"].tolist(), *(part[name].tolist() for name in KEYS), strict=True)
        for i, key in zip(many.tolist(), who, strict=True):
            out[i, 2] += KINDS * seen[key]
            seen[key] += 1
    return out


def canonical(columns: NDArray[Any]) -> NDArray[Any]:
    """Return the reports in an order that depends on their content alone, without exact duplicates."""
    if len(columns) < 2:
        return columns
    ranges = columns["range_m"]
    if (columns["t_ns"] == columns["t_ns"][0]).all() and (columns["sensor"] == columns["sensor"][0]).all():
        quick = np.argsort(ranges, kind="stable")  # one scan of a radar: range alone decides, unless two are equal or absent
        if (np.diff(ranges[quick]) > 0.0).all():
            return np.ascontiguousarray(columns[quick])
    order = np.lexsort(
        (columns["azimuth_rad"], columns["lon_deg"], columns["lat_deg"], columns["range_m"], columns["sensor"], columns["t_ns"])
    )
    out = columns[order]
    same = (out["t_ns"][1:] == out["t_ns"][:-1]) & (out["sensor"][1:] == out["sensor"][:-1])
    same &= _equal(out["range_m"]) & _equal(out["azimuth_rad"]) & _equal(out["lat_deg"]) & _equal(out["lon_deg"])
    if not same.any():
        return np.ascontiguousarray(out)
    # Twins in every sorting column: let the bytes decide, among all reports, and drop equals.
    raw = np.ascontiguousarray(out).view(np.dtype((np.void, out.dtype.itemsize))).ravel()
    _, keep = np.unique(raw, return_index=True)
    kept = out[keep]
    again = np.lexsort(
        (
            np.arange(len(kept)),
            kept["azimuth_rad"],
            kept["lon_deg"],
            kept["lat_deg"],
            kept["range_m"],
            kept["sensor"],
            kept["t_ns"],
        )
    )
    return np.ascontiguousarray(kept[again])


def _equal(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell where neighbours are equal, NaN counting as equal to NaN."""
    a, b = values[1:], values[:-1]
    return np.asarray((a == b) | (np.isnan(a) & np.isnan(b)))


def to_frame(columns: NDArray[Any], sensor: Sensor, wide: WideRows | None = None) -> Frame:
    """Return one frame's reports (canonical order, one sensor) as the engine's plots, sorted by the gate's key."""
    from trilat.kernels import bank as b  # noqa: PLC0415 - see settings

    n = len(columns)
    z = np.full((n, b.PLOT_COLUMNS), np.nan)
    kind = int(columns["kind"][0])
    if kind == KIND_TRACKLET:
        z = (wide or WideRows()).rows(columns)
    elif kind == KIND_MEASUREMENT:
        _fill_measurements(z, columns)
    elif kind >= KIND_FIX:
        _fill_fixes(z, columns, sensor)
    else:
        _fill_radar(z, columns, sensor)
    plots = np.empty((n, b.PLOT_INTS), np.int64)
    plots[:, b.I_T], plots[:, b.I_SENSOR] = columns["t_ns"], columns["sensor"]
    plots[:, b.I_KIND], plots[:, b.I_DOMAIN] = columns["kind"], columns["domain"]
    plots[:, b.I_ID + b.ID_3A], plots[:, b.I_ID + b.ID_ADDRESS] = columns["mode_3a"], columns["address"]
    plots[:, b.I_ID + b.ID_MMSI], plots[:, b.I_ID + b.ID_SENSOR_TRACK] = columns["mmsi"], columns["sensor_track"]
    plots[:, b.I_ID + b.ID_CALLSIGN] = callsign_hash(columns["callsign"])
    plots[:, b.I_KEY] = plot_hash(columns)
    order = np.argsort(z[:, 1 if kind == KIND_BEARING else 0], kind="stable")
    return Frame(np.ascontiguousarray(z[order]), np.ascontiguousarray(plots[order]))


def _fill_radar(z: NDArray[np.float64], c: NDArray[Any], sensor: Sensor) -> None:
    """Fill the columns of radar and bearing plots; absent sigmas are the sensor's."""
    for k, name in enumerate(("range_m", "azimuth_rad", "elevation_rad", "height_m", "doppler_m_s")):
        z[:, k] = c[name]
    defaults = (
        sensor.sigma_range_m,
        sensor.sigma_azimuth_rad,
        sensor.sigma_elevation_rad,
        sensor.sigma_height_m,
        sensor.sigma_doppler_m_s,
    )
    floors = (SIGMA_FLOOR_M, SIGMA_FLOOR_RAD, SIGMA_FLOOR_RAD, SIGMA_FLOOR_M, SIGMA_FLOOR_M_S)
    names = ("sigma_range_m", "sigma_azimuth_rad", "sigma_elevation_rad", "sigma_height_m", "sigma_doppler_m_s")
    for k, (name, default, floor) in enumerate(zip(names, defaults, floors, strict=True)):
        sigma = c[name]
        z[:, 5 + k] = np.maximum(np.where(np.isnan(sigma), default, sigma), floor)
    z[c["kind"] == KIND_BEARING, 0] = np.nan


def _fill_measurements(z: NDArray[np.float64], c: NDArray[Any]) -> None:
    """Fill the columns of radar plots that came in Earth-fixed terms."""
    from trilat.kernels import bank as b  # noqa: PLC0415 - see settings

    z[:, :3] = geodesy.geodetic_to_ecef(c["lat_deg"], c["lon_deg"], np.where(np.isnan(c["alt_m"]), 0.0, c["alt_m"]))
    z[:, b.Z_LAT], z[:, b.Z_LON] = np.radians(c["lat_deg"]), np.radians(c["lon_deg"])
    names = ((b.Z_ALONG, "sigma_range_m"), (b.Z_ACROSS, "sigma_horizontal_m"), (b.Z_UP, "sigma_vertical_m"))
    for column, name in names:
        z[:, column] = np.maximum(np.where(np.isnan(c[name]), SIGMA_MEASUREMENT_DEFAULT_M, c[name]), SIGMA_FLOOR_M)
    z[:, b.Z_SIGMA_H] = z[:, [column for column, _ in names]].max(axis=1)
    z[:, b.Z_AXIS_AZIMUTH] = np.nan_to_num(c["azimuth_rad"])
    z[:, b.Z_AXIS_ELEVATION] = np.nan_to_num(c["elevation_rad"])


def _fill_fixes(z: NDArray[np.float64], c: NDArray[Any], sensor: Sensor) -> None:
    """Fill the columns of self-reported positions and system tracks; absent sigmas are the sensor's."""
    from trilat.kernels import bank as b  # noqa: PLC0415 - see settings

    has_alt = ~np.isnan(c["alt_m"])
    surface = c["domain"] == 2
    alt = np.where(has_alt, c["alt_m"], np.where(surface, 0.0, 6_000.0))
    z[:, :3] = geodesy.geodetic_to_ecef(c["lat_deg"], c["lon_deg"], alt)
    z[:, b.Z_LAT], z[:, b.Z_LON] = np.radians(c["lat_deg"]), np.radians(c["lon_deg"])
    wide = np.where(c["kind"] == KIND_TRACK, 2.0, SELF_REPORT_INFLATION)
    horizontal = np.where(
        np.isnan(c["sigma_horizontal_m"]), sensor.sigma_horizontal_m or SIGMA_DEFAULT_M, c["sigma_horizontal_m"]
    )
    vertical = np.where(
        np.isnan(c["sigma_vertical_m"]), sensor.sigma_vertical_m or SIGMA_VERTICAL_DEFAULT_M, c["sigma_vertical_m"]
    )
    z[:, b.Z_SIGMA_H] = np.maximum(horizontal * wide, SIGMA_FLOOR_M)
    z[:, b.Z_SIGMA_V] = np.where(has_alt, np.maximum(vertical * wide, SIGMA_FLOOR_M), np.where(surface, 10.0, np.nan))
    moving = ~np.isnan(c["speed_m_s"]) & ~np.isnan(c["course_rad"])
    course = np.where(moving, c["course_rad"], 0.0)
    z[:, b.Z_V_EAST] = np.where(moving, c["speed_m_s"] * np.sin(course), np.nan)
    z[:, b.Z_V_NORTH] = np.where(moving, c["speed_m_s"] * np.cos(course), np.nan)
    z[:, b.Z_V_UP] = c["vertical_rate_m_s"]
    speed = np.where(np.isnan(c["sigma_speed_m_s"]), SIGMA_SPEED_DEFAULT_M_S, c["sigma_speed_m_s"])
    z[:, b.Z_SIGMA_SPEED] = np.maximum(speed * wide, SIGMA_FLOOR_M_S)


_MIX = np.uint64(0x9E3779B97F4A7C15)


def _stir(h: NDArray[np.uint64], v: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Fold 64-bit words into a running hash (the finaliser of SplitMix64; Steele, Lea and Flood, 2014)."""
    h = (h ^ v) + _MIX
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


def callsign_hash(callsign: NDArray[Any]) -> NDArray[np.int64]:
    """Return a non-negative hash of each callsign, -1 where there is none."""
    if (callsign == b"").all():
        return np.full(len(callsign), -1, np.int64)
    padded = np.zeros(len(callsign), "S24")
    padded[:] = callsign
    words = padded.view(np.uint64).reshape(len(callsign), 3)
    h = np.zeros(len(callsign), np.uint64)
    for k in range(3):
        h = _stir(h, words[:, k])
    out = (h >> np.uint64(1)).astype(np.int64)
    return np.where(callsign == b"", -1, out)


def plot_hash(c: NDArray[Any]) -> NDArray[np.int64]:
    """Return a hash of each report's content: the lasting name of a track that begins with it."""
    h = np.zeros(len(c), np.uint64)
    place = ("range_m", "azimuth_rad") if int(c["kind"][0]) < KIND_FIX else ("lat_deg", "lon_deg", "address", "mmsi")
    for name in ("t_ns", *place):
        values = np.ascontiguousarray(c[name])
        h = _stir(h, values.view(np.uint64))
    return (h >> np.uint64(1)).astype(np.int64)
