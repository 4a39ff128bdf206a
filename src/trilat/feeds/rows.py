"""Rows of fixes on their way into columns: the one place where a self-reported value is held against what is physical."""

from typing import Any

import numpy as np

from trilat.errors import FeedError
from trilat.feeds.source import NOT_KNOWN_T_NS, Refusals, Source
from trilat.records.columns import (
    DOMAINS,
    KIND_FIX,
    Reports,
    empty_reports,
)
from trilat.records.report import Pedigree
from trilat.records.sensor import Sensor

AIR = DOMAINS.index("air")
SEA = DOMAINS.index("sea")

# The order of a row; absent floats are NaN, absent ints -1.
FIELDS = (
    "t_ns",
    "lat_deg",
    "lon_deg",
    "alt_m",
    "speed_m_s",
    "course_rad",
    "vertical_rate_m_s",
    "sigma_horizontal_m",
    "sigma_vertical_m",
    "sigma_speed_m_s",
    "mode_3a",
    "address",
    "mmsi",
    "callsign",
    "flags",
    "domain",
)
Row = tuple[Any, ...]

T_NS_MAX = 7_258_118_400_000_000_000  # as `fields.TimeNs`
# Physical bounds by domain (unknown, air, sea, missile, space). Air: above the X-15 (2,021 m/s, 1967) and its 108 km; sea: above
# what AIS can say (102.2 kt = 52.6 m/s, ITU-R M.1371-5) and a hydroplane (143 m/s, 1978); missile and space: `fields.SpeedMS`.
SPEED_M_S_MAX = np.array([20_000.0, 2_200.0, 150.0, 20_000.0, 20_000.0])
ALT_M_MIN = np.array([-12_000.0, -1_500.0, -1_500.0, -12_000.0, -12_000.0])
ALT_M_MAX = np.array([100_000_000.0, 110_000.0, 10_000.0, 100_000_000.0, 100_000_000.0])
VERTICAL_RATE_M_S_MAX = np.array([20_000.0, 600.0, 150.0, 20_000.0, 20_000.0])

# One sigma: nothing measures better, and squares of much less are 0.
SIGMA_M_MIN, SIGMA_M_MAX = 1e-3, 1e7
SIGMA_SPEED_M_S_MIN, SIGMA_SPEED_M_S_MAX = 1e-4, 2e4

NAN = float("nan")


def sensor_of(source: Source) -> Sensor:
    """Return the sensor whose fixes a source carries; raises FeedError `feed-setting` when none is configured."""
    if source.sensors:
        return source.sensors[0]
    if source.unknown_sensor is not None:
        return source.unknown_sensor
    raise FeedError("feed-setting", f"feed {source.name!r} ({source.format}) names no sensor")


class FixRows:
    """Gathers the fixes of one call and makes one batch of them. Values that are not physical are refused and counted."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._sensor = sensor_of(source)
        self._pedigree = Pedigree(nation=self._sensor.nation, sensors=(self._sensor.id,), feed=source.name)
        self._rows: list[Row] = []

    def append(self, row: Row) -> None:
        """Add one fix, its values in the order of `FIELDS`."""
        self._rows.append(row)

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, received_t_ns: int, refusals: Refusals) -> tuple[Reports, ...]:
        """Return the rows as one batch (or none), and begin anew."""
        if not self._rows:
            return ()
        rows, self._rows = self._rows, []
        columns = empty_reports(len(rows))
        for name, values in zip(FIELDS, zip(*rows, strict=True), strict=True):
            # A time beyond 64 bits (milliseconds taken for seconds, say) is as far off as one just beyond the bound.
            columns[name] = [min(max(t_ns, -1), T_NS_MAX + 1) for t_ns in values] if name == "t_ns" else values
        columns["kind"] = KIND_FIX
        columns["course_rad"] %= 2 * np.pi
        columns = self._plausible(columns, received_t_ns, refusals)
        if not len(columns):
            return ()
        return (
            Reports(
                source=self._source.name,
                label=self._sensor.label,
                pedigree=self._pedigree,
                received_t_ns=received_t_ns if received_t_ns != NOT_KNOWN_T_NS else int(columns["t_ns"].max()),
                columns=columns,
            ),
        )

    def _plausible(self, columns: np.ndarray[Any, Any], received_t_ns: int, refusals: Refusals) -> np.ndarray[Any, Any]:
        """Return the reports that can be true; count the others."""
        off = np.zeros(len(columns), bool)
        if received_t_ns != NOT_KNOWN_T_NS:
            off = np.abs(columns["t_ns"] - received_t_ns) > self._source.clock_error_s_max * 1e9
        bad = not_physical(columns)
        if off.any():
            refusals.add("time-implausible", count=int(off.sum()), detail=_worst(columns["t_ns"][off], received_t_ns))
        if (bad & ~off).any():
            refusals.add("value-implausible", count=int((bad & ~off).sum()))
        keep = ~(off | bad)
        kept: np.ndarray[Any, Any] = columns if keep.all() else columns[keep]
        return kept


def _worst(t_ns: np.ndarray[Any, Any], received_t_ns: int) -> str:
    """Return how far the first refused time was off, in seconds."""
    return f"time inside the data minus receipt: {(int(t_ns[0]) - received_t_ns) / 1e9:+.1f} s"


def not_physical(columns: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Tell for each fix whether a value is beyond what can be; NaN means absent, but never for the position or its sigma."""
    domain = columns["domain"]
    with np.errstate(invalid="ignore"):
        position = (np.abs(columns["lat_deg"]) <= 90.0) & (np.abs(columns["lon_deg"]) <= 180.0)
        sigma = (columns["sigma_horizontal_m"] >= SIGMA_M_MIN) & (columns["sigma_horizontal_m"] <= SIGMA_M_MAX)
        time = (columns["t_ns"] >= 0) & (columns["t_ns"] <= T_NS_MAX)
        alt, speed, climb = columns["alt_m"], columns["speed_m_s"], columns["vertical_rate_m_s"]
        beyond = (alt < ALT_M_MIN[domain]) | (alt > ALT_M_MAX[domain])
        beyond |= (speed < 0) | (speed > SPEED_M_S_MAX[domain]) | (np.abs(climb) > VERTICAL_RATE_M_S_MAX[domain])
        beyond |= np.isinf(columns["course_rad"])
        high, fast = columns["sigma_vertical_m"], columns["sigma_speed_m_s"]
        beyond |= (high < SIGMA_M_MIN) | (high > SIGMA_M_MAX) | (fast < SIGMA_SPEED_M_S_MIN) | (fast > SIGMA_SPEED_M_S_MAX)
    result: np.ndarray[Any, Any] = ~(position & sigma & time) | beyond
    return result


_PLOT = (
    *("range_m", "azimuth_rad", "elevation_rad", "height_m", "doppler_m_s"),
    *("sigma_range_m", "sigma_azimuth_rad", "sigma_elevation_rad", "sigma_height_m", "sigma_doppler_m_s"),
)
_FIX = (
    *("lat_deg", "lon_deg", "alt_m", "speed_m_s", "course_rad", "vertical_rate_m_s"),
    *("sigma_horizontal_m", "sigma_vertical_m", "sigma_speed_m_s"),
)
