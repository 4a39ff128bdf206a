"""Columns to records and back: the same reports one at a time, for files, people and the plot tier of the wire."""

from __future__ import annotations

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
    REPORT_DTYPE,
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


_PLACE = {name: k for k, name in enumerate(REPORT_DTYPE.names or ())}


def to_records(batch: Reports, *, checked: bool = True) -> list[Plot | Fix]:
    """Return a batch's reports as records, in the same order.

    checked: values outside a record's ranges raise msgspec.ValidationError. Without it whoever takes the records checks them.
    """
    made = [_record(row, batch) for row in batch.columns.tolist()]  # a row as plain values: a tenth of the time of its fields
    if checked:
        for one in made:
            msgspec.convert(msgspec.to_builtins(one), type(one))
    return made


def _record(row: tuple[Any, ...], batch: Reports) -> Plot | Fix:
    radar = row[_PLACE["kind"]] in (KIND_RADAR, KIND_BEARING)
    floats, ints = (_PLOT_PLACES, _PLOT_INT_PLACES) if radar else (_FIX_PLACES, _FIX_INT_PLACES)
    values: dict[str, Any] = {name: value for name, k in floats if (value := row[k]) == value}  # NaN is not itself
    values |= {name: value for name, k in ints if (value := row[k]) >= 0}
    callsign = row[_PLACE["callsign"]].decode("ascii", "replace").strip()
    if callsign:
        values["callsign"] = callsign
    values |= {"t_ns": row[_PLACE["t_ns"]], "sensor": batch.pedigree.sensors[0] if batch.pedigree.sensors else batch.source}
    flags = row[_PLACE["flags"]]
    values["simulated"] = bool(flags & (FLAG_SIMULATED | FLAG_TEST))
    if radar:
        return Plot(label=batch.label, pedigree=batch.pedigree, **values)
    values.setdefault("sigma_horizontal_m", SIGMA_UNKNOWN_M)
    values["barometric"] = bool(flags & FLAG_BAROMETRIC)
    domain = DOMAINS[row[_PLACE["domain"]]]
    return Fix(label=batch.label, pedigree=batch.pedigree, domain=domain, **values)  # type: ignore[arg-type]  # the literal's words


def _places(names: Sequence[str]) -> tuple[tuple[str, int], ...]:
    return tuple((name, _PLACE[name]) for name in names)


_PLOT_PLACES, _FIX_PLACES = _places(_PLOT_FLOATS), _places(_FIX_FLOATS)
_PLOT_INT_PLACES, _FIX_INT_PLACES = _places(_PLOT_INTS), _places(_FIX_INTS)


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
