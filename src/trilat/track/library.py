"""The tracker as a library: arrays and DataFrames in, arrays out, without a node or its records.

from trilat.track import track_table
tracks = track_table({"t_s": t, "range_m": r, "azimuth_rad": a, "elevation_rad": e}, lat_deg=33, lon_deg=130)
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trilat.kernels import geodesy
from trilat.records.columns import DOMAINS, KIND_BEARING, KIND_FIX, KIND_RADAR, Reports, empty_reports
from trilat.records.label import Label, Mode
from trilat.records.report import Pedigree
from trilat.records.sensor import Sensor
from trilat.track.settings import TrackerSettings, build_model
from trilat.track.tracker import Tracker

Floats = NDArray[np.float64]
# A library user has no policy and shares nothing: everything carries this label, releasable to nobody.
OWN = Label(policy="library", originator="ZZZ", mode=Mode(kind="exercise", id="library"), level=0)
EPOCH_NS = 1_700_000_000_000_000_000  # second zero of tables that count from zero
TIME_MAX_S = 7e9  # of t_s: two centuries on, beyond which nanoseconds do not fit
STEPS_MAX = 10_000_000  # of one table: more is no interval that anybody wants
_TIMES = ("t_s", "t_ns")


def batch(columns: Any, source: str = "table") -> Reports:
    """Return report columns as a batch of one's own."""
    newest = int(columns["t_ns"].max()) if len(columns) else 0
    return Reports(source=source, label=OWN, pedigree=Pedigree(nation="ZZZ"), received_t_ns=newest, columns=columns)


def sensor_at(lat_deg: float, lon_deg: float, alt_m: float = 0.0, name: str = "sensor", **fields: Any) -> Sensor:
    """Return a sensor of one's own; fields are those of records.sensor.Sensor (kind defaults to radar3d).

    Raises ValueError that names a field which is unknown or out of its range.
    """
    given = {"id": name, "nation": "ZZZ", "kind": "radar3d", "label": OWN, "lat_deg": lat_deg, "lon_deg": lon_deg, "alt_m": alt_m}
    try:
        return msgspec.convert(given | fields, Sensor)
    except msgspec.ValidationError as error:
        msg = f"sensor {name!r}: {error}"
        raise ValueError(msg) from error


def reports_of(table: Any, sensor: int = 0) -> Any:
    """Return REPORT_DTYPE columns of a table: a mapping of arrays, or anything with columns such as a DataFrame.

    Column names are those of records.columns.REPORT_DTYPE, plus `t_s` (seconds) for `t_ns`, which may be dates and times of any
    unit (numpy or pandas, UTC), too. The kind follows from what is
    there: lat_deg makes fixes, range_m radar plots, azimuth alone bearings. Raises KeyError for an unknown or missing column,
    ValueError for one of another length than the times, and for times that are none.
    """
    names = list(table.keys())
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
            out["t_ns"] = _times_ns(np.asarray(table[name], np.float64))
        elif name == "t_ns":
            out["t_ns"] = _whole_ns(np.asarray(table[name]))
        elif name in (out.dtype.names or ()):
            out[name] = np.asarray(table[name])
        else:
            msg = f"unknown column {name!r}: see REPORT_DTYPE in trilat.records.columns"
            raise KeyError(msg)
    if "kind" not in names:
        out["kind"] = KIND_FIX if "lat_deg" in names else (KIND_RADAR if "range_m" in names else KIND_BEARING)
    if "sensor" not in names:
        out["sensor"] = sensor
    return out


def _times_ns(t_s: Floats) -> NDArray[np.int64]:
    """Return seconds since the library's epoch as nanoseconds."""
    wrong = np.flatnonzero(~(np.abs(t_s) <= TIME_MAX_S))
    if len(wrong):
        msg = f"column 't_s': {t_s[wrong[0]]} in row {wrong[0]} is no time in seconds; {len(wrong)} of {len(t_s)} rows are so"
        raise ValueError(msg)
    return EPOCH_NS + np.round(t_s * 1e9).astype(np.int64)


def _whole_ns(given: NDArray[Any]) -> NDArray[np.int64]:
    """Return whole nanoseconds since 1970: numbers as they are, dates and times by their own unit."""
    if given.dtype.kind == "M":  # pandas keeps them in microseconds or seconds as well: the bare number would be another time
        wrong = np.isnat(given)
    else:
        numbers = given.astype(np.float64)
        wrong = ~(np.abs(numbers) <= 9e18)  # nanoseconds of 64 bits
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        msg = f"column 't_ns': {given[first]} in row {first} is no time; {int(wrong.sum())} of {len(given)} rows are so"
        raise ValueError(msg)
    return np.asarray(given.astype("datetime64[ns]") if given.dtype.kind == "M" else given).astype(np.int64)


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
    refuses, and what its bounds make it drop, are said in one UserWarning, by reason.
    """
    columns = reports_of(table)
    span_s = float(np.ptp(columns["t_ns"].astype(np.float64))) * 1e-9 if len(columns) else 0.0
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
        warnings.warn(f"of {len(columns)} plots not everything was used: {said}", stacklevel=2)
    if smooth:
        shown = smoothed_columns(shown, modes, tracker.settings)
    return _flat(np.concatenate(shown) if shown else tracker.step(now_ns, []).columns)


Path = tuple[NDArray[np.int64], Floats, Floats]


def smoothed(history: Sequence[Any], noise_m2_s3: float = 5.0, settings: TrackerSettings | None = None) -> dict[int, Path]:
    """Return every stored track's smoothed path: number -> times ns (n,), means (n, 6), covariances (n, 6, 6).

    history: what `Tracker.modes` gave after each step, in time order, and settings: the tracker's. Each state is improved by the
    reports that came after it, as its own domain moves (see track/smooth.py). Or TRACK_DTYPE columns as `Tracker.step` gave them,
    where no more was stored: nearly constant velocity then, with noise_m2_s3 (5 for aircraft), and no missiles. A path ends with
    the last report that touched its track; a number that was given back to a new track is smoothed on either side of the gap.
    Raises ValueError when times do not rise from item to item, for states that are not finite, and for missiles without modes.
    """
    from trilat.track.smooth import MODES_DTYPE, kept, smooth  # noqa: PLC0415 - only who smooths needs it

    if not history:
        return {}
    columns, step = np.concatenate(history), np.repeat(np.arange(len(history)), [len(one) for one in history])
    if columns.dtype == MODES_DTYPE:
        at, mean, covariance = _smoothed_modes(columns, step, settings or TrackerSettings())
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
    if not shown:
        return []
    out, lengths, rows = np.concatenate(shown), [len(one) for one in shown], np.concatenate(modes)
    if lengths != [len(one) for one in modes] or (rows["number"] != out["number"]).any():
        msg = "the modes are not those of the columns: give what Tracker.modes returned after each of the same steps"
        raise ValueError(msg)
    at, mean, covariance = _smoothed_modes(rows, np.repeat(np.arange(len(modes)), lengths), settings)
    out["position_m"][at], out["velocity_m_s"][at], out["covariance"][at] = mean[:, :3], mean[:, 3:], covariance
    return np.split(out, np.cumsum(lengths)[:-1])


def _smoothed_modes(rows: Any, step: NDArray[np.int64], settings: TrackerSettings) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Return which rows are of paths, and their smoothed means and covariances."""
    from trilat.track.smooth import kept, smooth_modes  # noqa: PLC0415 - only who smooths needs it

    at = kept(rows["key"], rows, step)
    of = rows[at]
    _must_be_finite(of["number"], of["mu"], of["x"], of["P"])
    return (at, *smooth_modes(of, build_model(settings)))


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
