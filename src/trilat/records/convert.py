"""Columns to records and back: the same reports one at a time, for files, people and the plot tier of the wire."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from trilat.records.columns import (
    DOMAINS,
    FLAG_BAROMETRIC,
    FLAG_SIMULATED,
    FLAG_TEST,
    KIND_BEARING,
    KIND_FIX,
    KIND_RADAR,
    Reports,
    empty_reports,
)
from trilat.records.report import Fix, Plot

# Names that a record and the columns share: floats absent as NaN, integers absent as -1.
_PLOT_FLOATS = (
    "range_m",
    "azimuth_rad",
    "elevation_rad",
    "height_m",
    "doppler_m_s",
    "sigma_range_m",
    "sigma_azimuth_rad",
    "sigma_elevation_rad",
    "sigma_height_m",
    "sigma_doppler_m_s",
)
_FIX_FLOATS = (
    "lat_deg",
    "lon_deg",
    "alt_m",
    "sigma_horizontal_m",
    "sigma_vertical_m",
    "speed_m_s",
    "course_rad",
    "vertical_rate_m_s",
    "sigma_speed_m_s",
)
_PLOT_INTS = ("mode_3a", "address", "sensor_track")
_FIX_INTS = ("mode_3a", "address", "mmsi")
SIGMA_UNKNOWN_M = 1_000.0


def to_records(batch: Reports) -> list[Plot | Fix]:
    """Return a batch's reports as records, in the same order; values outside a record's ranges raise ValidationError."""
    return [_record(row, batch) for row in batch.columns]


def _record(row: Any, batch: Reports) -> Plot | Fix:
    radar = int(row["kind"]) in (KIND_RADAR, KIND_BEARING)
    floats, ints = (_PLOT_FLOATS, _PLOT_INTS) if radar else (_FIX_FLOATS, _FIX_INTS)
    values: dict[str, Any] = {name: float(row[name]) for name in floats if not math.isnan(row[name])}
    values |= {name: int(row[name]) for name in ints if row[name] >= 0}
    callsign = bytes(row["callsign"]).decode("ascii", "replace").strip()
    if callsign:
        values["callsign"] = callsign
    values |= {"t_ns": int(row["t_ns"]), "sensor": batch.pedigree.sensors[0] if batch.pedigree.sensors else batch.source}
    values["simulated"] = bool(int(row["flags"]) & (FLAG_SIMULATED | FLAG_TEST))
    if radar:
        made: Plot | Fix = Plot(label=batch.label, pedigree=batch.pedigree, **values)
    else:
        values.setdefault("sigma_horizontal_m", SIGMA_UNKNOWN_M)
        values["barometric"] = bool(int(row["flags"]) & FLAG_BAROMETRIC)
        made = Fix(label=batch.label, pedigree=batch.pedigree, domain=DOMAINS[row["domain"]], **values)  # type: ignore[arg-type]
    msgspec.convert(msgspec.to_builtins(made), type(made))
    return made


def to_columns(records: Sequence[Plot | Fix]) -> Any:
    """Return records as columns, in the same order; the sensor index is left absent."""
    columns = empty_reports(len(records))
    for row, record in zip(columns, records, strict=True):
        row["kind"] = _kind(record)
        for name in (*_PLOT_FLOATS, *_PLOT_INTS) if isinstance(record, Plot) else (*_FIX_FLOATS, *_FIX_INTS):
            value = getattr(record, name)
            if value is not None:
                row[name] = value
        row["t_ns"] = record.t_ns
        row["flags"] = FLAG_SIMULATED if record.simulated else 0
        row["callsign"] = (record.callsign or "").encode("ascii", "replace")
        if isinstance(record, Fix):
            row["domain"] = DOMAINS.index(record.domain)
            row["flags"] |= FLAG_BAROMETRIC if record.barometric else 0
    return columns


def _kind(record: Plot | Fix) -> int:
    if isinstance(record, Fix):
        return KIND_FIX
    return KIND_BEARING if record.range_m is None else KIND_RADAR
