"""Plots as JSON lines: what a long-range radar or an infrared sensor says of ranges and heights beyond ASTERIX CAT048.

CAT048 reaches 256 NM (I040) and, at 25 ft a step, 62 km of height (I110). One line of this feed is one plot with range, azimuth
and elevation, or (without a range) one line of sight. Its fields are those of `PlotLine`; docs/how-to/connect-a-feed.md has a
sample.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from trilat.errors import FeedError
from trilat.feeds.framing import LineSplitter
from trilat.feeds.source import NOT_KNOWN_T_NS, Decoded, Decoder, Refusals, Source, refuse_simulated
from trilat.records.columns import FLAG_SIMULATED, FLAG_TEST, KIND_BEARING, KIND_RADAR, Reports, empty_reports
from trilat.records.fields import Count, Name, RangeM, SigmaM, SigmaMS, TimeNs, VelocityMS
from trilat.records.report import Pedigree
from trilat.records.sensor import Sensor

LINE_BYTES_MAX = 4_096
AzimuthDeg = Annotated[float, Meta(ge=0.0, le=360.0)]
ElevationDeg = Annotated[float, Meta(ge=-90.0, le=90.0)]
SigmaDeg = Annotated[float, Meta(gt=0.0, le=90.0)]
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
        except (msgspec.DecodeError, RecursionError) as error:
            reason, detail = "syntax-bad", str(error)
        else:
            off_ns = 0 if received_t_ns == NOT_KNOWN_T_NS else line.t_ns - received_t_ns
            if (line.sensor or self._only) not in self._sensors:
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
