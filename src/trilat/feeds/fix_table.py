"""Rows of a table of fixes into fixes: column maps and presets, units, times, and what a row lacks."""

import re
from calendar import timegm
from collections import deque
from collections.abc import Mapping
from math import hypot, isfinite, pi
from typing import Any

from trilat.errors import FeedError
from trilat.feeds.accuracy import BAROMETRIC_AS_GEOMETRIC_SIGMA_M
from trilat.feeds.rows import FIELDS, NAN, FixRows, sensor_of
from trilat.feeds.source import FixColumns, Refusals, Source
from trilat.records.columns import DOMAINS, FLAG_BAROMETRIC, FLAG_SIMULATED

TARGETS_MAX = 20_000
# How many positions back a repeat is looked for: the same message comes through several receivers within seconds.
POSITIONS_KEPT = 16
# Above this speed the very same position twice is a filled-forward row, not a target that stands still.
STANDING_M_S_MAX = 5.0
# ISO 8601, and the form that has its fraction behind the Z.
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:Z?[.,](\d{1,9}))?\s*(?:Z|UTC|([+-])(\d\d):?(\d\d))?", re.ASCII
)
_FLOATS = (
    "lat_deg",
    "lon_deg",
    "alt_m",
    "alt_geometric_m",
    "speed_m_s",
    "course_rad",
    "vertical_rate_m_s",
    "sigma_horizontal_m",
    "sigma_vertical_m",
    "sigma_speed_m_s",
)
_OTHERS = ("t", "t_position", "mode_3a", "address", "mmsi", "callsign", "simulated")

# Tables that are met often. One's own map goes into the feed's options (docs/how-to/connect-a-feed.md).
_FOOT_M = 0.3048
_KNOT_M_S = 1852 / 3600
_DEGREE_RAD = pi / 180
_AVIATION = {
    "alt_m": _FOOT_M,
    "alt_geometric_m": _FOOT_M,
    "speed_m_s": _KNOT_M_S,
    "course_rad": _DEGREE_RAD,
    "vertical_rate_m_s": _FOOT_M / 60,
}

PRESETS = {
    # Our own names and units: what `trilat decode` writes and any table may use.
    "trilat": FixColumns(
        columns={name: name for name in (*(name for name in FIELDS if name not in ("t_ns", "flags", "domain")), "simulated")}
        | {"t": "time"},
        altitude="geometric",
    ),
    # OpenSky state vectors as the traffic library writes them (feet, knots, degrees, feet per minute, milliseconds).
    "opensky": FixColumns(
        columns={
            "t": "timestamp",
            "t_position": "last_position",
            "lat_deg": "latitude",
            "lon_deg": "longitude",
            "alt_m": "altitude",
            "alt_geometric_m": "geoaltitude",
            "speed_m_s": "groundspeed",
            "course_rad": "track",
            "vertical_rate_m_s": "vertical_rate",
            "address": "icao24",
            "callsign": "callsign",
            "mode_3a": "squawk",
        },
        factors=_AVIATION,
        time="epoch-ms",
        domain="air",
    ),
    # Granular ADS-B as Flightradar24 publishes it.
    "flightradar24": FixColumns(
        columns={
            "t": "receiver_time",
            "lat_deg": "latitude",
            "lon_deg": "longitude",
            "alt_m": "altitude",
            "speed_m_s": "speed",
            "course_rad": "track",
            "vertical_rate_m_s": "vspeed",
            "address": "hex",
            "callsign": "callsign",
            "mode_3a": "squawk",
        },
        factors=_AVIATION,
        needs={"no_position": "P"},
        domain="air",
        time_error_s=0.5,  # receivers' clocks disagree by about as much in the published recording of JAL516
    ),
}


def columns_of(source: Source) -> FixColumns:
    """Return the column map of a source: its own, or its preset's. Raises FeedError `feed-setting`."""
    found = source.fix_columns or PRESETS.get(source.preset or "trilat")
    if found is None:
        raise FeedError(
            "feed-setting", f"feed {source.name!r}: preset {source.preset!r}; known are {', '.join(sorted(PRESETS))}."
        )
    unknown = sorted((set(found.columns) | set(found.factors)) - set(_FLOATS) - set(_OTHERS))
    missing = sorted({"t", "lat_deg", "lon_deg"} - set(found.columns))
    if unknown or missing:
        raise FeedError("feed-setting", f"feed {source.name!r}: column map with unknown {unknown} and without {missing}.")
    return found


def iso_t_ns(text: str) -> int:
    """Return an ISO 8601 time in nanoseconds since 1970; without a zone it is UTC. Raises ValueError."""
    match = _ISO.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not an ISO 8601 time: {text[:40]!r}")
    year, month, day, hour, minute, second = (int(each) for each in match.groups()[:6])
    if not (1970 <= year <= 2200 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60):
        raise ValueError(f"no such time: {text[:40]!r}")
    seconds = timegm((year, month, day, hour, minute, second))
    if match[8]:
        seconds -= (1 if match[8] == "+" else -1) * (int(match[9]) * 3600 + int(match[10]) * 60)
    return seconds * 1_000_000_000 + int((match[7] or "0").ljust(9, "0"))


def _number(value: object) -> float:
    """Return a number of a cell, NaN for an empty one. Raises ValueError for anything else and for infinities."""
    if value is None or value == "" or isinstance(value, bool):
        return NAN
    if not isinstance(value, (str, int, float)):
        raise ValueError("not a number")  # noqa: TRY004 - one error for every cell that cannot be read
    number = float(value)
    if not isfinite(number) and number == number:  # noqa: PLR0124 - NaN is an empty cell in many tables
        raise ValueError("infinite")
    return number


def _whole(value: object, base: int) -> int:
    """Return a whole number in text of a base (or as it is), -1 for an empty cell. Raises ValueError."""
    if value is None or value == "" or value != value:  # noqa: PLR0124 - NaN is an empty cell in many tables
        return -1
    if isinstance(value, float):
        value = int(value)
    return int(str(value), base)


class FixTable:
    """Turns mappings (their column -> value) of one source into rows. Memory: the last position of `TARGETS_MAX` targets."""

    def __init__(self, source: Source) -> None:
        self._map = columns_of(source)
        self._sensor = sensor_of(source)
        self._domain = DOMAINS.index(self._map.domain)
        self._floats = [
            (name, self._map.columns[name], self._map.factors.get(name, 1.0)) for name in _FLOATS if name in self._map.columns
        ]
        self._last: dict[tuple[int, int, bytes], deque[tuple[float, float]]] = {}

    def add(self, row: Mapping[str, Any], offset: int, rows: FixRows, refusals: Refusals) -> None:
        """Add one row of the table, or count why it gives no fix."""
        try:
            floats = {ours: _number(row.get(theirs)) * factor for ours, theirs, factor in self._floats}
            t_ns = self._time(row)
            identity = self._identity(row)
        except (ValueError, OverflowError):
            refusals.add("syntax-bad", offset, detail=str(row)[:200])
            return
        lat, lon = floats["lat_deg"], floats["lon_deg"]
        lacks = any(str(row.get(column)) != value for column, value in self._map.needs.items())
        if lacks or lat != lat or lon != lon:  # noqa: PLR0124 - NaN
            refusals.add("position-missing", offset)
        elif self._repeats(identity, lat, lon, floats.get("speed_m_s", NAN)):
            refusals.add("repeated", offset)
        else:
            rows.append(self._row(t_ns, floats, identity, simulated=self._simulated(row)))

    def time_of(self, row: Mapping[str, Any]) -> int | None:
        """Return the time of a row in nanoseconds since 1970, None when it has none that can be read."""
        try:
            return self._time(row)
        except (ValueError, OverflowError):
            return None

    def _cell(self, row: Mapping[str, Any], name: str) -> Any:
        column = self._map.columns.get(name)
        return None if column is None else row.get(column)

    def _time(self, row: Mapping[str, Any]) -> int:
        """Return when the position was so: the position's own time where the table has one."""
        value = self._cell(row, "t_position")
        if value is None or value == "":
            value = self._cell(row, "t")
        if self._map.time == "iso":
            t_ns = iso_t_ns(str(value))
        else:
            t_ns = round(_number(value) * (1e9 if self._map.time == "epoch-s" else 1e6))
        if t_ns == 0:
            raise ValueError("the very start of 1970 is how tables say that they know no time")
        return t_ns

    def _identity(self, row: Mapping[str, Any]) -> tuple[int, int, int, bytes]:
        """Return address, MMSI, Mode 3/A and callsign; what is beyond their ranges is no identity."""
        address = _whole(self._cell(row, "address"), 16)
        mmsi = _whole(self._cell(row, "mmsi"), 10)
        squawk = _whole(self._cell(row, "mode_3a"), 8)
        callsign = str(self._cell(row, "callsign") or "").strip().encode("ascii", "replace")[:20]
        if address > 0xFFFFFF or mmsi > 999_999_999 or squawk > 0o7777 or min(address, mmsi, squawk) < -1:
            raise ValueError("identity out of range")
        return address, mmsi, squawk, callsign

    def _simulated(self, row: Mapping[str, Any]) -> bool:
        return str(self._cell(row, "simulated")).lower() in ("true", "1", "yes")

    def _repeats(self, identity: tuple[int, int, int, bytes], lat: float, lon: float, speed_m_s: float) -> bool:
        """Tell whether a moving target stands exactly where it stood in a row shortly before, and remember where it stands.

        Such a row is filled forward, or the same message through another receiver: it holds nothing new.
        """
        key = (identity[0], identity[1], identity[3])
        before = self._last.get(key)
        if before is None:
            if len(self._last) >= TARGETS_MAX:
                del self._last[next(iter(self._last))]
            before = self._last[key] = deque(maxlen=POSITIONS_KEPT)
        repeats = speed_m_s > STANDING_M_S_MAX and (lat, lon) in before
        if not repeats:
            before.append((lat, lon))
        return repeats

    def _row(
        self, t_ns: int, floats: dict[str, float], identity: tuple[int, int, int, bytes], *, simulated: bool
    ) -> tuple[Any, ...]:
        """Return one row of `rows.FIELDS`; accuracies that the table does not give are the sensor's."""
        alt_m, flags = floats.get("alt_geometric_m", NAN), FLAG_SIMULATED if simulated else 0
        if alt_m != alt_m:  # noqa: PLR0124 - NaN
            alt_m = floats.get("alt_m", NAN)
            if alt_m == alt_m and self._map.altitude == "barometric":  # noqa: PLR0124 - NaN
                flags |= FLAG_BAROMETRIC
        horizontal, vertical = floats.get("sigma_horizontal_m", NAN), floats.get("sigma_vertical_m", NAN)
        if horizontal != horizontal:  # noqa: PLR0124 - NaN
            horizontal = self._sensor.sigma_horizontal_m
        speed_m_s = floats.get("speed_m_s", NAN)
        if self._map.time_error_s and speed_m_s == speed_m_s:  # noqa: PLR0124 - NaN
            horizontal = hypot(horizontal, speed_m_s * self._map.time_error_s)
        if vertical != vertical:  # noqa: PLR0124 - NaN
            vertical = self._sensor.sigma_vertical_m
        if flags & FLAG_BAROMETRIC:
            vertical = max(vertical, BAROMETRIC_AS_GEOMETRIC_SIGMA_M)
        motion = (speed_m_s, floats.get("course_rad", NAN), floats.get("vertical_rate_m_s", NAN))
        address, mmsi, squawk, callsign = identity
        return (
            t_ns,
            floats["lat_deg"],
            floats["lon_deg"],
            alt_m,
            *motion,
            horizontal,
            vertical,
            floats.get("sigma_speed_m_s", NAN),
            squawk,
            address,
            mmsi,
            callsign,
            flags,
            self._domain,
        )
