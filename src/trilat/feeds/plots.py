"""Plots as JSON lines: what a long-range radar or an infrared sensor says of ranges and heights beyond ASTERIX CAT048.

CAT048 reaches 256 NM (I040) and, at 25 ft a step, 62 km of height (I110). One line of this feed is one plot with range, azimuth
and elevation, or (without a range) one line of sight. Its fields are those of `PlotLine`; docs/how-to/connect-a-feed.md has a
sample.

An observer that moves gives lines of sight in Earth-fixed terms (`sights-jsonl`), one JSON line each:

    {"timestamp": 1795000000.25, "observer_ecef_m": [x, y, z], "direction_ecef": [x, y, z], "sigma_rad": 2e-5}

Seconds since 1970 (UTC); the observer's place and the direction it looks in are Earth-fixed; sigma_rad is one sigma across the
line. `"simulated": true` marks what a simulator made. A line becomes a plot in Earth-fixed terms: a place on it FLASH_HEIGHT_M
over the ellipsoid (or where it comes nearest to the Earth), known well across the line and hardly along it. So trackers, warning
and release take it as they take a partner's plot, and nobody need know where the observer was.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from trilat.errors import FeedError
from trilat.feeds.framing import LineSplitter
from trilat.feeds.rows import T_NS_MAX, sensor_of
from trilat.feeds.source import NOT_KNOWN_T_NS, Decoded, Decoder, Refusals, Source, refuse_simulated
from trilat.kernels import geodesy
from trilat.records.columns import FLAG_SIMULATED, FLAG_TEST, KIND_BEARING, KIND_MEASUREMENT, KIND_RADAR, Reports, empty_reports
from trilat.records.fields import Count, Name, RangeM, SigmaM, SigmaMS, TimeNs, VelocityMS
from trilat.records.report import Pedigree
from trilat.records.sensor import Sensor

LINE_BYTES_MAX = 4_096
AzimuthDeg = Annotated[float, Meta(ge=0.0, le=360.0)]
ElevationDeg = Annotated[float, Meta(ge=-90.0, le=90.0)]
SigmaDeg = Annotated[float, Meta(gt=0.0, le=90.0)]
SIGMA_RAD_MIN, SIGMA_RAD_MAX = 1e-8, 0.1
# One sigma of a plot: nothing measures better, and squares of much less are 0.
SIGMAS_MIN = {"sigma_range_m": 1e-3, "sigma_azimuth_deg": 1e-6, "sigma_elevation_deg": 1e-6, "sigma_doppler_m_s": 1e-4}
_LINES = ("range_m", "doppler_m_s", "sigma_range_m", "sigma_doppler_m_s")


class PlotLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line. `t_ns` is UTC since 1970; azimuth goes clockwise from true north, elevation up from the level at the sensor.

    sensor: its id in the node's configuration; may be left out where the feed has one. track: the sensor's own track number.
    Sigmas left out are those of the configuration. Fields that are not known here are passed over.
    """

    t_ns: TimeNs
    sensor: Name | None = None
    azimuth_deg: AzimuthDeg
    elevation_deg: ElevationDeg | None = None
    range_m: RangeM | None = None
    doppler_m_s: VelocityMS | None = None
    sigma_range_m: SigmaM | None = None
    sigma_azimuth_deg: SigmaDeg | None = None
    sigma_elevation_deg: SigmaDeg | None = None
    sigma_doppler_m_s: SigmaMS | None = None
    track: Count | None = None
    simulated: bool = False
    test: bool = False


_decoder = msgspec.json.Decoder(PlotLine)


class PlotsJsonDecoder(Decoder):
    """Lines of one source, cut anywhere, into one batch a sensor (contract `Decoder`)."""

    def __init__(self, source: Source) -> None:
        if not source.sensors:
            raise FeedError("feed-setting", f"feed {source.name!r} ({source.format}) names no sensor")
        self._source = source
        self._sensors = {sensor.id: sensor for sensor in source.sensors}
        self._only = source.sensors[0].id if len(source.sensors) == 1 else None
        self._lines = LineSplitter(LINE_BYTES_MAX)
        self._refusals = Refusals(source.name)

    def decode(self, data: bytes, received_t_ns: int) -> Decoded:
        """Return the plots in the bytes."""
        found: dict[str, list[PlotLine]] = {}
        for offset, text in self._lines.feed(data, self._refusals):
            line = self._line(offset, text, received_t_ns)
            if line is not None:
                found.setdefault(line.sensor or self._only or "", []).append(line)
        batches = tuple(self._batch(self._sensors[name], lines, received_t_ns) for name, lines in found.items())
        batches = refuse_simulated(self._source, batches, self._refusals)
        return Decoded(batches, self._refusals.take(received_t_ns))

    def _line(self, offset: int, text: bytes, received_t_ns: int) -> PlotLine | None:
        """Return a line that can be used; count the others by reason."""
        try:
            line = _decoder.decode(text)
        except msgspec.ValidationError as error:
            reason, detail = "value-implausible", str(error)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            reason, detail = "syntax-bad", str(error)
        else:
            off_ns = 0 if received_t_ns == NOT_KNOWN_T_NS else line.t_ns - received_t_ns
            small = [name for name, least in SIGMAS_MIN.items() if (value := getattr(line, name)) is not None and value < least]
            if small:
                reason, detail = "value-implausible", f"{small[0]} {getattr(line, small[0])}"
            elif (line.sensor or self._only) not in self._sensors:
                reason, detail = "sensor-unknown", f"sensor {line.sensor!r}"
            elif abs(off_ns) > self._source.clock_error_s_max * 1e9:
                reason, detail = "time-implausible", f"time inside the data minus receipt: {off_ns / 1e9:+.1f} s"
            else:
                return line
        self._refusals.add(reason, offset, len(text), detail)
        return None

    def _batch(self, sensor: Sensor, lines: list[PlotLine], received_t_ns: int) -> Reports:
        columns = empty_reports(len(lines))
        for row, line in zip(columns, lines, strict=True):
            row["t_ns"], row["azimuth_rad"] = line.t_ns, np.radians(line.azimuth_deg) % (2 * np.pi)
            row["kind"] = KIND_BEARING if line.range_m is None else KIND_RADAR
            for name in _LINES:
                value = getattr(line, name)
                row[name] = np.nan if value is None else value
            for name in ("elevation", "sigma_azimuth", "sigma_elevation"):
                value = getattr(line, f"{name}_deg")
                row[f"{name}_rad"] = np.nan if value is None else np.radians(value)
            row["sensor_track"] = -1 if line.track is None else line.track
            row["flags"] = (FLAG_SIMULATED if line.simulated else 0) | (FLAG_TEST if line.test else 0)
        return Reports(
            source=self._source.name,
            label=sensor.label,
            pedigree=Pedigree(nation=sensor.nation, sensors=(sensor.id,), feed=self._source.name),
            received_t_ns=received_t_ns if received_t_ns != NOT_KNOWN_T_NS else int(columns["t_ns"].max()),
            columns=columns,
        )


def encode_plots_json(columns: NDArray[Any], sensor: str) -> bytes:
    """Return radar plots and lines of sight (REPORT_DTYPE) of one sensor as lines of this feed, in their order."""
    return b"".join(msgspec.json.encode(_line_of(row, sensor)) + b"\n" for row in columns)


def _line_of(row: Any, sensor: str) -> PlotLine:
    given: dict[str, Any] = {name: _told(row[name]) for name in _LINES}
    given |= {f"{name}_deg": _in_deg(row[f"{name}_rad"]) for name in ("elevation", "sigma_azimuth", "sigma_elevation")}
    return PlotLine(
        t_ns=int(row["t_ns"]),
        sensor=sensor,
        azimuth_deg=float(np.degrees(row["azimuth_rad"])),
        track=int(row["sensor_track"]) if row["sensor_track"] >= 0 else None,
        simulated=bool(int(row["flags"]) & FLAG_SIMULATED),
        test=bool(int(row["flags"]) & FLAG_TEST),
        **given,
    )


def _told(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _in_deg(value: float) -> float | None:
    return float(np.degrees(value)) if np.isfinite(value) else None


class _SightLine(Struct):
    """The fields of a line; what else a sender adds is left aside."""

    timestamp: float
    observer_ecef_m: tuple[float, float, float]
    direction_ecef: tuple[float, float, float]
    sigma_rad: float
    simulated: bool = False


class SightsDecoder:
    """JSON lines of lines of sight into one batch a call (contract `Decoder`)."""

    def __init__(self, source: Source) -> None:
        self._source, self._sensor = source, sensor_of(source)
        self._refusals = Refusals(source.name)
        self._lines = LineSplitter(LINE_BYTES_MAX)
        self._json = msgspec.json.Decoder(_SightLine)

    def decode(self, data: bytes, received_t_ns: int) -> Decoded:
        """Return the lines of sight in the bytes as Earth-fixed plots."""
        given = [one for line in self._lines.feed(data, self._refusals) if (one := self._line(*line, received_t_ns)) is not None]
        columns = self._columns(given) if given else empty_reports(0)
        batches = refuse_simulated(self._source, self._batches(columns, received_t_ns), self._refusals) if len(columns) else ()
        return Decoded(batches, self._refusals.take(received_t_ns))

    def _line(self, offset: int, text: bytes, received_t_ns: int) -> tuple[int, int, _SightLine] | None:
        """Return one line with its offset and length, or None with its refusal counted."""
        try:
            line = self._json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            self._refusals.add("syntax-bad", offset, len(text))
            return None
        if not 0.0 <= line.timestamp * 1e9 <= T_NS_MAX or not SIGMA_RAD_MIN <= line.sigma_rad <= SIGMA_RAD_MAX:
            self._refusals.add("value-implausible", offset, len(text))
            return None
        away_ns = abs(round(line.timestamp * 1e9) - received_t_ns)
        if received_t_ns != NOT_KNOWN_T_NS and away_ns > self._source.clock_error_s_max * 1e9:
            self._refusals.add("time-implausible", offset, len(text))
            return None
        return offset, len(text), line

    def _columns(self, given: list[tuple[int, int, _SightLine]]) -> Any:
        """Return lines as columns, in order; what can be no line of sight is counted."""
        lines = [line for _, _, line in given]
        t_ns = [round(line.timestamp * 1e9) for line in lines]
        observers, ways = ([getattr(line, name) for line in lines] for name in ("observer_ecef_m", "direction_ecef"))
        columns, good = sights(t_ns, observers, ways, [line.sigma_rad for line in lines])
        columns["flags"] = [FLAG_SIMULATED if line.simulated else 0 for line in lines]
        for k in np.flatnonzero(~good).tolist():
            self._refusals.add("value-implausible", *given[k][:2])
        return columns[good]

    def _batches(self, columns: Any, received_t_ns: int) -> tuple[Reports, ...]:
        pedigree = Pedigree(nation=self._sensor.nation, sensors=(self._sensor.id,), feed=self._source.name)
        at = received_t_ns if received_t_ns != NOT_KNOWN_T_NS else int(columns["t_ns"].max())
        return (
            Reports(source=self._source.name, label=self._sensor.label, pedigree=pedigree, received_t_ns=at, columns=columns),
        )


def sights(t_ns: Any, observer_m: Any, direction: Any, sigma_rad: Any) -> tuple[Any, Any]:
    """Return lines of sight (n, 3) of observers (n, 3), ECEF, as reports in Earth-fixed terms, and which of them can be one."""
    places = geodesy.sight_places(observer_m, direction, sigma_rad)
    columns = empty_reports(len(places))
    columns["t_ns"], columns["kind"] = t_ns, KIND_MEASUREMENT
    for k, name in enumerate(
        ("lat_deg", "lon_deg", "alt_m", "azimuth_rad", "elevation_rad", "sigma_range_m", "sigma_horizontal_m")
    ):
        columns[name] = places[:, k]
    columns["sigma_vertical_m"] = places[:, 6]
    return columns, ~np.isnan(places).any(axis=1)
