"""Columns and records say the same thing, one report at a time or many."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trilat.records import codec
from trilat.records.columns import FLAG_BAROMETRIC, FLAG_SIMULATED, KIND_FIX, KIND_RADAR, Reports, empty_reports
from trilat.records.convert import to_columns, to_records
from trilat.records.label import Label, Mode
from trilat.records.report import Pedigree

LABEL = Label(policy="TRILAT", originator="JPN", mode=Mode(kind="exercise", id="t"), level=1)
PEDIGREE = Pedigree(nation="JPN", sensors=("JPN/ridge",))


def batch(columns: np.ndarray) -> Reports:
    return Reports(source="feed", label=LABEL, pedigree=PEDIGREE, received_t_ns=1, columns=columns)


@given(
    range_m=st.floats(0, 4e5),
    azimuth=st.floats(0, 6.28),
    height=st.none() | st.floats(-100, 2e4),
    squawk=st.none() | st.integers(0, 0o7777),
    flags=st.sampled_from([0, FLAG_SIMULATED]),
)
def test_plots_go_there_and_back(range_m: float, azimuth: float, height: float | None, squawk: int | None, flags: int) -> None:
    """A plot's columns become a record that encodes, and the record becomes the same columns again."""
    columns = empty_reports(1)
    columns["t_ns"], columns["kind"], columns["range_m"], columns["azimuth_rad"], columns["flags"] = (
        5,
        KIND_RADAR,
        range_m,
        azimuth,
        flags,
    )
    columns["callsign"] = b"TRI1"
    if height is not None:
        columns["height_m"] = height
    if squawk is not None:
        columns["mode_3a"] = squawk
    [record] = to_records(batch(columns))

    assert codec.decode(codec.encode(record)) == record
    assert to_columns([record]).tobytes() == columns.tobytes()


@given(
    lat=st.floats(-90, 90),
    lon=st.floats(-180, 180),
    alt=st.none() | st.floats(-100, 2e4),
    mmsi=st.none() | st.integers(0, 999_999_999),
    flags=st.sampled_from([0, FLAG_SIMULATED, FLAG_BAROMETRIC, FLAG_SIMULATED | FLAG_BAROMETRIC]),
)
def test_fixes_go_there_and_back(lat: float, lon: float, alt: float | None, mmsi: int | None, flags: int) -> None:
    """A fix's columns become a record that encodes, and the record becomes the same columns again."""
    columns = empty_reports(1)
    columns["t_ns"], columns["kind"], columns["lat_deg"], columns["lon_deg"], columns["flags"] = 5, KIND_FIX, lat, lon, flags
    columns["sigma_horizontal_m"], columns["domain"] = 30.0, 2
    if alt is not None:
        columns["alt_m"] = alt
    if mmsi is not None:
        columns["mmsi"] = mmsi
    [record] = to_records(batch(columns))

    assert codec.decode(codec.encode(record)) == record
    assert to_columns([record]).tobytes() == columns.tobytes()
