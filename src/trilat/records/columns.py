"""Columns: many reports or tracks as one numpy structured array, for the hot path. Absent floats are NaN, absent ints -1.

A `Reports` batch comes from one sensor or feed and so carries one label; the trackers, kernels and pictures read columns, while
`Plot`, `Fix` and `Track` are the same things one at a time, for people, files and the wire.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from trilat.records.label import Label
from trilat.records.report import Pedigree

KIND_RADAR = 0  # range, azimuth and perhaps elevation, height, Doppler
KIND_BEARING = 1  # azimuth and elevation, no range
KIND_FIX = 2  # a position with accuracy, perhaps a velocity
KIND_TRACK = 3  # a foreign tracker's system track: position, velocity, accuracy
# A radar plot in Earth-fixed terms: lat_deg, lon_deg, alt_m; azimuth_rad and elevation_rad are the direction, there, of its error
# ellipsoid's axis; sigma_range_m along it, sigma_horizontal_m across (level), sigma_vertical_m across (up).
KIND_MEASUREMENT = 4
KIND_TRACKLET = 5  # an equivalent measurement: time and place here, the rest in the tracker's `wide` rows

DOMAINS = ("unknown", "air", "sea", "missile", "space")
STATUSES = ("tentative", "confirmed", "coasting", "deleted")

FLAG_SIMULATED = 1
FLAG_TEST = 2
FLAG_SPI = 4
FLAG_EMERGENCY = 8
FLAG_MILITARY_EMERGENCY = 16
FLAG_BAROMETRIC = 32  # alt_m is a pressure altitude (ISA, 1013.25 hPa): no geometric one was known

REPORT_DTYPE = np.dtype(
    [
        ("t_ns", "i8"),
        ("sensor", "i4"),  # index into the sensor table of whoever reads it; -1 before it is known
        ("kind", "u1"),
        ("domain", "u1"),  # index into DOMAINS
        ("flags", "u4"),
        ("range_m", "f8"),
        ("azimuth_rad", "f8"),
        ("elevation_rad", "f8"),
        ("height_m", "f8"),
        ("doppler_m_s", "f8"),
        ("lat_deg", "f8"),
        ("lon_deg", "f8"),
        ("alt_m", "f8"),
        ("speed_m_s", "f8"),
        ("course_rad", "f8"),
        ("vertical_rate_m_s", "f8"),
        ("sigma_range_m", "f8"),
        ("sigma_azimuth_rad", "f8"),
        ("sigma_elevation_rad", "f8"),
        ("sigma_height_m", "f8"),
        ("sigma_doppler_m_s", "f8"),
        ("sigma_horizontal_m", "f8"),
        ("sigma_vertical_m", "f8"),
        ("sigma_speed_m_s", "f8"),
        ("mode_3a", "i4"),
        ("address", "i8"),  # ICAO 24-bit
        ("mmsi", "i8"),
        ("sensor_track", "i8"),  # the sensor's own track number
        ("callsign", "S20"),
    ]
)

TRACK_DTYPE = np.dtype(
    [
        ("number", "i8"),
        ("t_ns", "i8"),  # the time of the state
        ("updated_t_ns", "i8"),  # the time of the last report that updated it
        ("born_t_ns", "i8"),
        ("status", "u1"),  # index into STATUSES
        ("domain", "u1"),  # index into DOMAINS
        ("flags", "u4"),
        ("existence", "f8"),
        ("position_m", "f8", 3),  # ECEF
        ("velocity_m_s", "f8", 3),  # ECEF
        ("covariance", "f8", (6, 6)),  # over position and velocity, ECEF
        ("sensors", "u8"),  # bit set over the tracker's sensor table (first 64)
        ("mode_3a", "i4"),
        ("address", "i8"),
        ("mmsi", "i8"),
        ("callsign", "S20"),
    ]
)
TRACK_FLAG_INNOVATION = 1  # reports jump: the innovation test failed
TRACK_FLAG_ID_CONFLICT = 2  # a claimed identity was not believed


class Reports(Struct, frozen=True, kw_only=True):
    """One batch of reports from one source: the columns, their label and pedigree. `received_t_ns` is when the bytes came in."""

    source: str
    label: Label
    pedigree: Pedigree
    received_t_ns: int
    columns: np.ndarray[Any, Any]


class Tracks(Struct, frozen=True, kw_only=True):
    """What one tracker says at one time: every live track, and the numbers of those deleted since the last step."""

    stream: str
    t_ns: int
    columns: np.ndarray[Any, Any]
    deleted: tuple[int, ...] = ()


def _empty_report() -> np.ndarray[Any, Any]:
    columns = np.zeros(1, REPORT_DTYPE)
    for name, (kind, *_) in REPORT_DTYPE.fields.items():  # type: ignore[union-attr]
        if kind == np.float64:
            columns[name] = np.nan
    for name in ("sensor", "mode_3a", "address", "mmsi", "sensor_track"):
        columns[name] = -1
    return columns


# Copied row by row: a live feed asks for a few reports some thousand times a second.
_EMPTY_REPORT = _empty_report()


def empty_reports(n: int) -> np.ndarray[Any, Any]:
    """Return n reports with every value absent."""
    return np.repeat(_EMPTY_REPORT, n)


def picked(rows: np.ndarray[Any, Any], index: Any) -> np.ndarray[Any, Any]:
    """Return chosen rows of a structured array as a new one. index: numbers, or whether for each.

    As bytes: numpy takes structured rows field by field, eight times as slowly.
    """
    chosen: np.ndarray[Any, Any] = as_bytes(rows)[index].view(rows.dtype)
    return chosen


def as_bytes(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return a view of a structured array whose rows are copied whole."""
    if not rows.flags.c_contiguous:
        rows = np.ascontiguousarray(rows)
    return rows.view(np.dtype(("V", rows.dtype.itemsize)))


def joined(parts: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Return the rows of several arrays of one structured type as one array, a new one where there are several.

    As bytes: numpy joins structured arrays field by field, which takes as long as a kernel that works on them.
    """
    if len(parts) == 1:
        return parts[0]
    return np.frombuffer(bytearray(b"".join([part.tobytes() for part in parts])), parts[0].dtype)


def empty_tracks(n: int) -> np.ndarray[Any, Any]:
    """Return n tracks with identities absent."""
    columns = np.zeros(n, TRACK_DTYPE)
    for name in ("mode_3a", "address", "mmsi"):
        columns[name] = -1
    return columns
