"""The library's face takes what tables hold, and says what was wrong of what it cannot take: cause and remedy, never a traceback."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from track_cases import RADAR, SMALL, T0_NS, Line, feed, radar_plots, reports, tracker

from trilat.track import Tracker, TrackerSettings, reports_of, sensor_at, smoothed, track_table
from trilat.track.library import EPOCH_NS, batch

PLOT: dict[str, Any] = {"t_s": [0.0, 4.0], "range_m": [5e4, 5e4], "azimuth_rad": [1.0, 1.0], "elevation_rad": [0.1, 0.1]}
COLUMNS = reports_of(PLOT)


def untyped(call: Callable[..., object], *given: Any, **named: Any) -> Callable[[], object]:
    """As a notebook calls it: no type is checked before."""
    return lambda: call(*given, **named)


TYPES: dict[str, tuple[Callable[[], object], str]] = {
    "one sensor alone": (untyped(Tracker, SMALL, RADAR, "x"), r"sensors is a Sensor, a list of .*: put it in brackets"),
    "no sensor": (untyped(Tracker, SMALL, [RADAR, {"lat_deg": 33.0}], "x"), r"sensors\[1\] is a dict, .*sensor_at makes one"),
    "a place for a sensor": (untyped(track_table, PLOT, (33.0, 130.0)), r"sensors\[0\] is a float"),
    "settings for a sensor": (untyped(track_table, PLOT, SMALL), "sensors is a TrackerSettings"),
    "a dict of settings": (untyped(Tracker, {"lag_s": 5.0}, [RADAR], "x"), r"settings is a dict, a TrackerSettings wanted: "),
    "no stream": (untyped(Tracker, SMALL, [RADAR], 5), "stream is a int, the name"),
    "a time with a fraction": (
        untyped(tracker().step, 1.7e18, []),
        r"now_ns is 1.7e\+18, a float: whole nanoseconds .*: an integer",
    ),
    "a date": (untyped(tracker().step, dt.datetime(2026, 1, 1, tzinfo=dt.UTC), []), "now_ns is datetime.*, a datetime: whole"),
    "a truth for a time": (untyped(tracker().step, now_ns=True, batches=[]), "now_ns is True, a bool"),
    "one batch alone": (
        untyped(tracker().step, T0_NS, batch(COLUMNS)),
        r"batches is a Reports.*\[batch\(reports_of\(table\)\)\]",
    ),
    "columns alone": (untyped(tracker().step, T0_NS, COLUMNS), r"batches is a ndarray.*: a list of records.columns.Reports"),
    "a table for a batch": (untyped(tracker().step, T0_NS, [PLOT]), "a batch is a dict"),
    "lists for columns": (untyped(tracker().step, T0_NS, [SimpleNamespace(columns=[1, 2])]), "its columns are no array"),
    "other columns": (
        untyped(tracker().step, T0_NS, [SimpleNamespace(columns=np.zeros(3))]),
        "columns of float64 given, REPORT_DTYPE",
    ),
    "rows for a table": (untyped(reports_of, [1.0, 2.0]), "table is a list: a dict of arrays or a DataFrame wanted"),
    "an interval in words": (untyped(track_table, PLOT, RADAR, every_s="1"), "every_s is '1': a number of seconds wanted"),
    "a history of numbers": (
        untyped(smoothed, [np.zeros(3)]),
        "history holds a ndarray: what Tracker.modes, or Tracker.step, gave",
    ),
}
VALUES: dict[str, tuple[Callable[[], object], str]] = {
    "a tracklet without its information": (untyped(reports_of, {**PLOT, "kind": [0, 5]}), "'kind': 5 in row 1 .* between 0 and 4"),
    "a domain there is not": (untyped(reports_of, {**PLOT, "domain": [99, 1]}), "'domain': 99 in row 0 .* between 0 and 4"),
    "a kind of sensor": (untyped(sensor_at, 33.0, 130.0, kind="sonar"), "'sonar', one of bearing, fixes, radar2d, radar3d, tracks"),
    "a field of sensors": (untyped(sensor_at, 33.0, 130.0, colour=1), "field `colour`, one of id, kind, lat_deg, .*, sigma_ver"),
    "a sigma of nothing": (untyped(sensor_at, 33.0, 130.0, sigma_range_m=0.0), r"> 0.0, got 0.0 - at `\$.sigma_range_m`"),
    "an association": (untyped(Tracker, TrackerSettings(association="foo"), [RADAR], "x"), "'foo', one of gnn, lbp, mht wanted"),  # type: ignore[arg-type]
    "a domain": (untyped(Tracker, TrackerSettings(domains=("lake",)), [RADAR], "x"), "'lake', one of air, missile, sea wanted"),  # type: ignore[arg-type]
    "a time beyond 64 bits": (untyped(tracker().step, 10**30, []), "now_ns is 1000000000000000000000000000000: nanoseconds"),
    "a look of nobody's": (untyped(tracker().look, T0_NS, 7), "sensor is 7, an index into the 3 sensors"),
    "a callsign in another script": (untyped(reports_of, {**PLOT, "callsign": ["JAL516", "日航"]}), r"'callsign': '日航' in row 1 is no text of at most 20 ASCII"),
    "a callsign too long": (untyped(reports_of, {**PLOT, "callsign": ["A" * 21, ""]}), "row 0 is no text of at most 20"),
    "a range in words": (untyped(reports_of, {**PLOT, "range_m": ["far", "5"]}), r"'range_m' holds what is no number .*: give numbers"),
    "a time in words": (untyped(reports_of, {**PLOT, "t_s": ["noon", "1"]}), "'t_s' holds what is no number"),
    "half an address": (untyped(reports_of, {**PLOT, "address": [0.5, 1]}), "'address': 0.5 in row 0 is no whole number"),
    "a sensor that cannot be": (untyped(reports_of, {**PLOT, "sensor": [0, 2**40]}), "'sensor': 1099511627776 in row 1 is no whole"),
    "a kind below zero": (untyped(reports_of, {**PLOT, "kind": [0, -1]}), "'kind': -1 in row 1 is no whole number between 0 and 4"),
}  # fmt: skip


@pytest.mark.parametrize("name", TYPES)
def test_a_wrong_type_is_said_with_its_remedy(name: str) -> None:
    """What is of another type than wanted is a TypeError that names the argument, what it was, and what to give."""
    wrong, words = TYPES[name]
    with pytest.raises(TypeError, match=words):
        wrong()


@pytest.mark.parametrize("name", VALUES)
def test_a_wrong_value_is_said_with_its_place(name: str) -> None:
    """What cannot be a time, a sensor or a value of its column is a ValueError that names it and its row."""
    wrong, words = VALUES[name]
    with pytest.raises(ValueError, match=words):
        wrong()


def test_a_refused_step_takes_nothing_in() -> None:
    """A step that is refused for one of its batches or its time leaves the tracker as it was."""
    made = tracker()
    feed(made, radar_plots([Line(40e3, 20e3, 9e3, 200.0, 50.0)], 20, np.random.default_rng(1)))
    before, more = (
        made.checkpoint(),
        reports(radar_plots([Line(40e3, 20e3, 9e3, 200.0, 50.0)], 24, np.random.default_rng(1))[-1:]),
    )
    for call in (untyped(made.step, T0_NS + 24_000_000_000, [more, PLOT]), untyped(made.step, float(T0_NS), [more])):
        with pytest.raises(TypeError):
            call()
    assert before == made.checkpoint()


def test_numbers_of_numpy_are_numbers() -> None:
    """A step takes numpy's integers as its time, a sensor numpy's numbers as its fields."""
    assert 0 == len(tracker().step(np.int64(T0_NS), []).columns)
    assert 33.5 == sensor_at(np.float32(33.5), np.float64(130.0), period_s=np.float64(2.0)).lat_deg


def test_what_is_absent_in_a_table_is_absent() -> None:
    """None and NaN in columns of whole numbers and texts are what reports have where nothing is known, not some number."""
    columns = reports_of({**PLOT, "address": [np.nan, 0xABCDEF], "mmsi": [None, 431000001], "callsign": [None, "JAL516"]})
    assert [-1, 0xABCDEF] == columns["address"].tolist()
    assert [-1, 431000001] == columns["mmsi"].tolist()
    assert [b"", b"JAL516"] == columns["callsign"].tolist()
    assert np.isnan(reports_of({**PLOT, "elevation_rad": [None, 0.1]})["elevation_rad"]).tolist() == [True, False]


def test_dates_of_a_zone_are_the_times_they_name() -> None:
    """Python's own dates, of any zone, are their UTC times; without a zone they are UTC."""
    noon = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    east = noon.astimezone(dt.timezone(dt.timedelta(hours=9)))
    columns = reports_of(
        {**{k: v for k, v in PLOT.items() if k != "t_s"}, "t_ns": np.array([east, noon.replace(tzinfo=None)], object)}
    )
    assert [1_767_225_600_000_000_000] * 2 == columns["t_ns"].tolist()


def test_a_real_data_frame_is_tracked_as_its_arrays_are() -> None:
    """A pandas DataFrame with dates of a zone, missing identities and texts gives the bytes of the same arrays."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed; nothing here needs it")
    columns = radar_plots([Line(40e3, 20e3, 9e3, 200.0, 50.0)], 40, np.random.default_rng(3))
    n = len(columns)
    arrays = {name: columns[name].copy() for name in ("t_ns", "range_m", "azimuth_rad", "elevation_rad")}
    address, callsign = np.where(np.arange(n) % 2, 0xABCDEF, -1), np.where(np.arange(n) % 3, b"", b"JAL516")
    wanted = track_table({**arrays, "address": address, "callsign": callsign}, RADAR)
    texts = [None if not one else one.decode() for one in callsign.tolist()]
    for dates in (pandas.to_datetime(columns["t_ns"], utc=True).tz_convert("Asia/Tokyo"), pandas.to_datetime(columns["t_ns"])):
        for known in (
            pandas.Series(address, dtype="Int64").mask(address < 0),
            pandas.Series(address, dtype=float).mask(address < 0),
        ):
            frame = pandas.DataFrame({**arrays, "t_ns": dates, "address": known, "callsign": texts})
            found = track_table(frame, RADAR)
            assert {name: values.tobytes() for name, values in wanted.items()} == {
                name: values.tobytes() for name, values in found.items()
            }
    assert len(pandas.DataFrame(found)) == len(wanted["number"]) > 20
    seconds = pandas.DataFrame({**arrays, "t_ns": None}).drop(columns="t_ns").assign(t_s=(columns["t_ns"] - EPOCH_NS) * 1e-9)
    assert track_table(seconds, RADAR)["number"].tolist() == wanted["number"].tolist()


def test_a_history_is_smoothed_as_it_was_given() -> None:
    """What step gave is smoothed as its columns are."""
    made, columns = tracker(), radar_plots([Line(40e3, 20e3, 9e3, 200.0, 50.0)], 40, np.random.default_rng(3))
    history = [
        made.step(T0_NS + k * 4_000_000_000, [reports(part)]) for k, part in enumerate(np.array_split(columns, len(columns)), 1)
    ]
    a, b = smoothed(history), smoothed([one.columns for one in history])
    assert {k: v[1].tobytes() for k, v in a.items()} == {k: v[1].tobytes() for k, v in b.items()}
    assert len(a) == 1


class Frame:
    """A DataFrame without keys, as polars has it: names in `columns`, each column by its name."""

    def __init__(self, **columns: Any) -> None:
        self._held, self.columns = columns, list(columns)

    def __getitem__(self, name: str) -> Any:
        return self._held[name]


def test_a_frame_without_keys_is_a_table() -> None:
    """What names its columns and gives them by name is a table, whatever else it is."""
    assert COLUMNS.tobytes() == reports_of(Frame(**PLOT)).tobytes()
    assert track_table(PLOT, RADAR)["number"].tolist() == track_table(Frame(**PLOT), RADAR)["number"].tolist()
    with pytest.raises(KeyError, match="unknown column 'heigth_m'"):
        reports_of(Frame(**PLOT, heigth_m=[1.0, 1.0]))


def test_the_settings_docstring_names_every_one() -> None:
    """The how-to says so."""
    assert [] == [name for name in TrackerSettings.__struct_fields__ if name not in (TrackerSettings.__doc__ or "")]
