"""The tracker as a library: arrays and DataFrames in, arrays out, without a node or its records.

from trilat.track import sensor_at, track_table
tracks = track_table({"t_s": t, "range_m": r, "azimuth_rad": a, "elevation_rad": e}, sensor_at(33.0, 130.0))
"""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trilat.kernels import geodesy
from trilat.records.columns import (
    DOMAINS,
    KIND_BEARING,
    KIND_FIX,
    KIND_MEASUREMENT,
    KIND_RADAR,
    KIND_TRACK,
    TRACK_DTYPE,
    Reports,
    empty_reports,
)
from trilat.records.faults import fault_of
from trilat.records.label import Label, Mode
from trilat.records.report import Pedigree
from trilat.records.sensor import Sensor
from trilat.track.intake import sensors_given
from trilat.track.settings import SETS, TrackerSettings, build_model, checked
from trilat.track.tracker import Tracker

Floats = NDArray[np.float64]
# A library user has no policy and shares nothing: everything carries this label, releasable to nobody.
OWN = Label(policy="library", originator="ZZZ", mode=Mode(kind="exercise", id="library"), level=0)
EPOCH_NS = 1_700_000_000_000_000_000  # second zero of tables that count from zero
TIME_MAX_S = 7e9  # of t_s: two centuries on, beyond which nanoseconds do not fit
STEPS_MAX = 10_000_000  # of one table: more is no interval that anybody wants
_TIMES = ("t_s", "t_ns")
_MOST = {"kind": KIND_MEASUREMENT, "domain": len(DOMAINS) - 1}  # a tracklet is more than a report's columns


def batch(columns: Any, source: str = "table") -> Reports:
    """Return report columns as a batch of one's own."""
    newest = int(columns["t_ns"].max()) if len(columns) else 0
    return Reports(source=source, label=OWN, pedigree=Pedigree(nation="ZZZ"), received_t_ns=newest, columns=columns)


def sensor_at(lat_deg: float, lon_deg: float, alt_m: float = 0.0, name: str = "sensor", **fields: Any) -> Sensor:
    """Return a sensor of one's own; fields are those of records.sensor.Sensor (kind defaults to radar3d).

    Raises ValueError that names a field which is unknown or out of its range.
    """
    given = {"id": name, "nation": "ZZZ", "kind": "radar3d", "label": OWN, "lat_deg": lat_deg, "lon_deg": lon_deg, "alt_m": alt_m}
    plain = {key: value.item() if isinstance(value, np.generic) else value for key, value in (given | fields).items()}
    try:
        return msgspec.convert(plain, Sensor)
    except msgspec.ValidationError as error:
        msg = f"sensor {name!r}: {fault_of(error, plain, Sensor)}"
        raise ValueError(msg) from error


def reports_of(table: Any, sensor: int = 0) -> Any:
    """Return REPORT_DTYPE columns of a table: a mapping of arrays, or anything with columns such as a DataFrame.

    Column names are those of records.columns.REPORT_DTYPE, plus `t_s` (seconds) for `t_ns`, which may be dates and times of any
    unit (numpy or pandas, UTC) or zone, too. The kind follows from the columns there are: lat_deg makes fixes, range_m radar
    plots, azimuth alone bearings; a column `kind` says it row by row (KIND_ in that module). None and NaN are absent
    values, in columns of whole numbers and callsigns as well.

    Raises TypeError for what is no table, KeyError for an unknown or missing column, ValueError for one of another length than
    the times and for values that are none of the column's kind, by their row.
    """
    names = _names(table)
    if names is None:
        msg = f"table is a {type(table).__name__}: a dict of arrays or a DataFrame wanted, with a column t_s or t_ns"
        raise TypeError(msg)
    time = next((name for name in _TIMES if name in names), None)
    if time is None:
        msg = f"no time column: one of {_TIMES} wanted, got {names}"
        raise KeyError(msg)
    out = empty_reports(len(np.asarray(table[time])))
    for name in names:
        if np.shape(table[name]) != out.shape:
            msg = f"column {name!r} has shape {np.shape(table[name])}, {out.shape} wanted: as many values as {time!r} has"
            raise ValueError(msg)
        if name == "t_s":
            out["t_ns"] = _times_ns(_values(name, np.asarray(table[name]), out.dtype["range_m"]))
        elif name == "t_ns":
            out["t_ns"] = _whole_ns(np.asarray(table[name]))
        elif name in (out.dtype.names or ()):
            out[name] = _values(name, np.asarray(table[name]), out.dtype[name])
        else:
            msg = f"unknown column {name!r}: see REPORT_DTYPE in trilat.records.columns"
            raise KeyError(msg)
    if "kind" not in names:
        out["kind"] = KIND_FIX if "lat_deg" in names else (KIND_RADAR if "range_m" in names else KIND_BEARING)
    if "sensor" not in names:
        out["sensor"] = sensor
    return out


def _names(table: Any) -> list[str] | None:
    """Return the names of a table's columns: a mapping's, or a DataFrame's (pandas, polars); None of what is no table."""
    if hasattr(table, "keys"):
        return list(table.keys())
    names = list(getattr(table, "columns", ()))
    return names if names and all(isinstance(name, str) for name in names) else None


def _values(name: str, given: NDArray[Any], kind: np.dtype[Any]) -> NDArray[Any]:
    """Return a column's values in its own kind, absent ones as the reports have them; raises ValueError that names a row."""
    absent = None
    if given.dtype == object:  # pandas keeps what is absent as None, NaN, or a mark of its own
        absent = np.array([one is None or type(one).__name__ in ("NAType", "NaTType") for one in given], bool)
    if kind.kind == "S":
        texts = [b"" if one is None or one != one else one for one in _without(given, absent, None)]  # noqa: PLR0124 - NaN
        return np.array([_text(name, k, one, kind.itemsize) for k, one in enumerate(texts)], kind)
    try:
        numbers = _without(given, absent, np.nan).astype(np.float64 if given.dtype.kind not in "iub" else given.dtype)
    except (TypeError, ValueError) as error:
        msg = f"column {name!r} holds what is no number ({error}): give numbers, None or NaN where there is none"
        raise ValueError(msg) from error
    if kind.kind == "f":
        return numbers.astype(np.float64)
    least, most = np.iinfo(kind).min, _MOST.get(name, np.iinfo(kind).max)
    none = np.isnan(numbers) if numbers.dtype.kind == "f" else np.zeros(len(numbers), bool)
    wrong = np.flatnonzero(~none & ((numbers < least) | (numbers > most) | (numbers != np.trunc(numbers))))
    if len(wrong):
        msg = f"column {name!r}: {given[wrong[0]]} in row {wrong[0]} is no whole number between {least} and {most}"
        raise ValueError(msg)
    blank = empty_reports(1)[name][0]
    return np.where(none, blank, np.where(none, 0, numbers).astype(kind))


def _without(given: NDArray[Any], absent: NDArray[np.bool_] | None, blank: Any) -> NDArray[Any]:
    """Return values with a blank in place of the absent ones."""
    return given if absent is None or not absent.any() else np.where(absent, np.array(blank, object), given)


def _text(name: str, row: int, given: Any, bytes_max: int) -> bytes:
    """Return a text as the reports hold it; raises ValueError for one that does not fit."""
    text = given.decode("latin-1") if isinstance(given, bytes) else str(given)
    if not text.isascii() or len(text) > bytes_max:
        what = f"{text!r} in row {row} is no text of at most {bytes_max} ASCII characters"
        msg = f"column {name!r}: {what}: transcribe it, or give None"
        raise ValueError(msg)
    return text.encode("ascii")


def _times_ns(t_s: Floats) -> NDArray[np.int64]:
    """Return seconds since the library's epoch as nanoseconds."""
    wrong = np.flatnonzero(~(np.abs(t_s) <= TIME_MAX_S))
    if len(wrong):
        msg = f"column 't_s': {t_s[wrong[0]]} in row {wrong[0]} is no time in seconds; {len(wrong)} of {len(t_s)} rows are so"
        raise ValueError(msg)
    return EPOCH_NS + np.round(t_s * 1e9).astype(np.int64)


def _whole_ns(given: NDArray[Any]) -> NDArray[np.int64]:
    """Return whole nanoseconds since 1970: numbers as they are, dates and times by their own unit."""
    if given.dtype == object and any(isinstance(one, dt.datetime) for one in given):  # pandas keeps times of a zone so
        given = np.array([_date(one) for one in given], "datetime64[ns]")
    if given.dtype.kind == "M":  # pandas keeps them in microseconds or seconds as well: the bare number would be another time
        wrong = np.isnat(given)
    else:
        numbers = _values("t_ns", given, np.dtype(np.float64))
        wrong = ~(np.abs(numbers) <= 9e18)  # nanoseconds of 64 bits
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        msg = f"column 't_ns': {given[first]} in row {first} is no time; {int(wrong.sum())} of {len(given)} rows are so"
        raise ValueError(msg)
    return np.asarray(given.astype("datetime64[ns]") if given.dtype.kind == "M" else given).astype(np.int64)


def _date(given: Any) -> np.datetime64:
    """Return a date and time, of any zone (none is UTC), as numpy's."""
    if not isinstance(given, dt.datetime) or type(given).__name__ == "NaTType":
        return np.datetime64("NaT", "ns")
    if hasattr(given, "value"):  # pandas' own, to the nanosecond
        return np.datetime64(int(given.value), "ns")
    return np.datetime64(given.astimezone(dt.UTC).replace(tzinfo=None) if given.tzinfo else given, "ns")


def track_table(
    table: Any,
    sensors: Sequence[Sensor] | Sensor | None = None,
    settings: TrackerSettings | None = None,
    every_s: float = 1.0,
    smooth: bool = False,  # noqa: FBT001, FBT002 - a word of its own where it is called
) -> dict[str, NDArray[Any]]:
    """Track a whole table of plots and return every track's states at a regular interval, as flat arrays.

    Returned arrays, one entry per track and time: number, t_ns, status (index into records.columns.STATUSES), lat_deg, lon_deg,
    alt_m, east_m_s, north_m_s, up_m_s, sigma_m (root of the position covariance's trace), existence. smooth: improve each
    state by the plots that came after it (see `smoothed_columns`), as nobody could have known then. Raises ValueError for an
    interval that is not above zero, or so short that the table would take more than STEPS_MAX steps. Plots that the tracker
    refuses, and what its bounds make it drop, are said in one UserWarning, by reason. Raises TypeError for sensors and settings
    that are none.
    """
    columns = reports_of(table)
    mixed = "kind" not in (_names(table) or ())
    span_s = float(np.ptp(columns["t_ns"].astype(np.float64))) * 1e-9 if len(columns) else 0.0
    if not isinstance(every_s, int | float | np.number):
        msg = f"every_s is {every_s!r}: a number of seconds wanted"  # type: ignore[unreachable]  # callers may be untyped
        raise TypeError(msg)
    if not every_s > 0.0 or span_s / every_s > STEPS_MAX:
        msg = f"every_s is {every_s} for a table of {span_s:.0f} s: above zero wanted, and at most {STEPS_MAX} steps"
        raise ValueError(msg)
    if sensors is None:
        if (columns["kind"] != KIND_FIX).any():
            msg = "radar plots and bearings say nothing without the place of their sensor: give one (see sensor_at)"
            raise ValueError(msg)
        sensors = [sensor_at(0.0, 0.0, kind="fixes")]
    elif isinstance(sensors, Sensor):
        sensors = [sensors]
    sensors = sensors_given(sensors)
    if mixed:
        columns["kind"] = _kinds(columns, sensors)
    tracker = Tracker(settings or TrackerSettings(), sensors, "library")
    columns = columns[np.argsort(columns["t_ns"], kind="stable")]
    shown: list[Any] = []
    modes: list[Any] = []
    step_ns = round(every_s * 1e9)
    now_ns = int(columns["t_ns"][0]) if len(columns) else 0
    at = 0
    while at < len(columns):
        now_ns += step_ns
        end = int(np.searchsorted(columns["t_ns"], now_ns))
        shown.append(tracker.step(now_ns, [batch(columns[at:end])]).columns)
        if smooth:
            modes.append(tracker.modes())
        at = end
    if lost := sorted((tracker.refused + tracker.shed).items()):
        said = ", ".join(f"{count} {reason}" for reason, count in lost)
        units = " (angles are radians, lengths metres; lat_deg and lon_deg degrees to 90 and 180)" * (
            "out-of-range" in tracker.refused
        )
        warnings.warn(f"of {len(columns)} plots not everything was used: {said}{units}", stacklevel=2)
    if smooth:
        shown = smoothed_columns(shown, modes, tracker.settings)
    return _flat(np.concatenate(shown) if shown else tracker.step(now_ns, []).columns)


def _kinds(columns: Any, sensors: Sequence[Sensor]) -> Any:
    """Return the kinds of a table's rows whose columns are of several kinds of sensor: by each row's own, where the row has it.

    A row that lacks what its sensor measures keeps the table's kind, and is refused for what it lacks: a radar's plot without
    range is no bearing.
    """
    kinds = columns["kind"].copy()
    place, reach = np.isfinite(columns["lat_deg"]), np.isfinite(columns["range_m"])
    for k, sensor in enumerate(sensors):
        own = columns["sensor"] == k
        if sensor.kind in ("fixes", "tracks"):
            kinds[own & place] = KIND_TRACK if sensor.kind == "tracks" else KIND_FIX
        elif sensor.kind == "bearing":
            kinds[own & ~place & ~reach] = KIND_BEARING
        else:
            kinds[own & reach & ~place] = KIND_RADAR
    return kinds


Path = tuple[NDArray[np.int64], Floats, Floats]


def smoothed(history: Sequence[Any], noise_m2_s3: float = 5.0, settings: TrackerSettings | None = None) -> dict[int, Path]:
    """Return every stored track's smoothed path: number -> times ns (n,), means (n, 6), covariances (n, 6, 6).

    history: what `Tracker.modes` gave after each step, in time order, and settings: the tracker's. Each state is improved by the
    reports that came after it, as its own domain moves (see track/smooth.py). Or TRACK_DTYPE columns as `Tracker.step` gave them,
    where no more was stored: nearly constant velocity then, with noise_m2_s3 (5 for aircraft), and no missiles. A path ends with
    the last report that touched its track; a number that was given back to a new track is smoothed on either side of the gap.
    Raises ValueError when times do not rise from item to item, for states that are not finite, and for missiles without modes,
    TypeError for a history of anything else.
    """
    from trilat.track.smooth import MODES_DTYPE, kept, smooth  # noqa: PLC0415 - only who smooths needs it

    if not isinstance(noise_m2_s3, int | float | np.number):
        msg = f"noise_m2_s3 is a {type(noise_m2_s3).__name__}, a number wanted; settings go by name: settings=..."  # type: ignore[unreachable]  # callers may be untyped
        raise TypeError(msg)
    if not 0.0 <= noise_m2_s3 < np.inf:
        msg = f"noise_m2_s3 is {noise_m2_s3}: zero or above wanted; 5 for aircraft"
        raise ValueError(msg)
    settings = checked(TrackerSettings() if settings is None else settings)
    parts = _stored("history", history, MODES_DTYPE, TRACK_DTYPE)
    if not parts:
        return {}
    columns, step = np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(one) for one in parts])
    if columns.dtype == MODES_DTYPE:
        at, mean, covariance = _smoothed_modes(columns, step, settings)
        order = np.lexsort((columns["t_ns"][at], columns["number"][at]))
        at, mean, covariance = at[order], mean[order], covariance[order]
    else:
        if (columns["domain"] == DOMAINS.index("missile")).any():
            msg = "a missile's path cannot be smoothed from its states alone: give what Tracker.modes returned after each step"
            raise ValueError(msg)
        at = kept(columns["number"], columns, step)
        mean = np.concatenate([columns["position_m"][at], columns["velocity_m_s"][at]], axis=1)
        covariance = columns["covariance"][at]
        _must_be_finite(columns["number"][at], mean, covariance)
        for part in _runs(columns["number"][at]):
            mean[part], covariance[part] = smooth(columns["t_ns"][at][part], mean[part], covariance[part], noise_m2_s3)
    paths = _runs(columns["number"][at])
    return {int(columns["number"][at[p][0]]): (columns["t_ns"][at[p]], mean[p], covariance[p]) for p in paths}


def smoothed_columns(shown: Sequence[Any], modes: Sequence[Any], settings: TrackerSettings) -> list[Any]:
    """Return the columns that a tracker showed step by step with smoothed positions, velocities and covariances.

    modes: what `Tracker.modes` gave after each of the steps. What came after a track's last report stays as it was shown. Raises
    ValueError for modes of other steps or tracks, and as `smoothed` does.
    """
    from trilat.track.smooth import MODES_DTYPE  # noqa: PLC0415 - only who smooths needs it

    settings = checked(settings)
    pictures, stored = _stored("shown", shown, TRACK_DTYPE), _stored("modes", modes, MODES_DTYPE)
    if not pictures:
        return []
    out, lengths, rows = np.concatenate(pictures), [len(one) for one in pictures], np.concatenate(stored)
    if lengths != [len(one) for one in stored] or (rows["number"] != out["number"]).any():
        msg = "the modes are not those of the columns: give what Tracker.modes returned after each of the same steps"
        raise ValueError(msg)
    at, mean, covariance = _smoothed_modes(rows, np.repeat(np.arange(len(stored)), lengths), settings)
    out["position_m"][at], out["velocity_m_s"][at], out["covariance"][at] = mean[:, :3], mean[:, 3:], covariance
    return np.split(out, np.cumsum(lengths)[:-1])


def _stored(name: str, given: Any, *kinds: np.dtype[Any]) -> list[Any]:
    """Return what was stored step by step as arrays, all of one of the kinds; raises TypeError that says what was given."""
    if isinstance(given, np.ndarray):
        msg = f"{name} is one array, what each step gave wanted in a list"
        raise TypeError(msg)
    given = list(given)
    parts = [getattr(one, "columns", one) for one in given]
    if parts and not any({getattr(one, "dtype", None) for one in parts} == {kind} for kind in kinds):
        wanted = ", or ".join("Tracker.step" if kind == TRACK_DTYPE else "Tracker.modes" for kind in kinds)
        msg = f"{name} holds a {type(given[0]).__name__}: what {wanted}{',' * (len(kinds) > 1)} gave wanted in a list"
        raise TypeError(msg)
    return parts


def _smoothed_modes(rows: Any, step: NDArray[np.int64], settings: TrackerSettings) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Return which rows are of paths, and their smoothed means and covariances."""
    from trilat.track.smooth import kept, smooth_modes  # noqa: PLC0415 - only who smooths needs it

    model = build_model(settings)
    for which, count in enumerate(model["modes"]):
        if (rows["mu"][rows["model_set"] == which, count:] > 0.0).any():
            msg = f"the history holds other modes than the settings have ({SETS[which]}): give the tracker's, `tracker.settings`"
            raise ValueError(msg)
    at = kept(rows["key"], rows, step)
    of = rows[at]
    _must_be_finite(of["number"], of["mu"], of["x"], of["P"])
    return (at, *smooth_modes(of, model))


def _must_be_finite(numbers: NDArray[np.int64], *values: Floats) -> None:
    """Raise ValueError for the first track of which a value is none."""
    for value in values:
        wrong = ~np.isfinite(value).all(axis=tuple(range(1, value.ndim)))
        if wrong.any():
            msg = f"track {numbers[wrong][0]}: its history holds numbers that are not finite"
            raise ValueError(msg)


def _runs(numbers: NDArray[np.int64]) -> list[slice]:
    """Return where each run of equal numbers stands."""
    edges = np.r_[0, np.flatnonzero(np.diff(numbers)) + 1, len(numbers)]
    return [slice(a, z) for a, z in pairwise(edges.tolist()) if a < z]


def _flat(tracks: Any) -> dict[str, NDArray[Any]]:
    """Return track columns as plain arrays in geodetic and local axes."""
    place = geodesy.ecef_to_geodetic(tracks["position_m"])
    velocity = np.einsum("nij,nj->ni", geodesy.enu_basis(place[:, 0], place[:, 1]), tracks["velocity_m_s"])
    spread = np.sqrt(np.einsum("nii->n", tracks["covariance"][:, :3, :3]))
    names = ("number", "t_ns", "status", "existence")
    return {
        **{name: tracks[name].copy() for name in names},
        **{name: place[:, k] for k, name in enumerate(("lat_deg", "lon_deg", "alt_m"))},
        **{name: velocity[:, k] for k, name in enumerate(("east_m_s", "north_m_s", "up_m_s"))},
        "sigma_m": spread,
    }
