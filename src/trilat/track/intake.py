"""Intake: reports of every kind into the engine's plots and frames; what cannot be believed is refused by name and counted.

A frame is what one sensor saw in one slot of absolute time. Frames depend on the set of reports alone, never on how they
were batched or in which order they came; that is what makes late reports, duplicates and replays harmless.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trilat.kernels import geodesy
from trilat.records.columns import KIND_TRACKLET, REPORT_DTYPE
from trilat.records.sensor import Sensor
from trilat.track.settings import SETS, SIGMA_DEFAULT_M, TrackerSettings
from trilat.track.wide import WideRows

SPEED_MAX_M_S = 20_000.0  # above every Earth-bound flight, as records.fields
RANGE_MAX_M = 1e8
# Sigmas below these are instrument fantasies, and would make the filter's numbers ill-conditioned.
SIGMA_FLOOR_M, SIGMA_FLOOR_RAD, SIGMA_FLOOR_M_S = 0.01, 1e-6, 0.01
# A vessel at anchor and a car in a tunnel repeat themselves: a self-report's error is not white. Two to one is a round figure
# between the three of raw GNSS wander and the one of white noise; it keeps covariances honest without dulling the track.
SELF_REPORT_INFLATION = 1.5
TRACK_INFLATION = 2.0  # a foreign tracker's accuracy is of a filtered state, whose error lasts
SIGMA_VERTICAL_DEFAULT_M = 60.0
SIGMA_MEASUREMENT_DEFAULT_M = 1_000.0
SIGMA_SPEED_DEFAULT_M_S = 5.0

FrameKey = tuple[int, int, int]  # (start of the slot in ns, sensor index, kind of report)


class Frame(NamedTuple):
    """One sensor's reports of one kind in one slot, and the engine's plots made of them.

    z (n, PLOT_COLUMNS) and plots (n, PLOT_INTS) in the gate's order; starts: the parts' first rows, and n. A part holds at most
    one report of one identity: a feed of self-reports may tell of a target more than once a slot.
    """

    reports: NDArray[Any]  # REPORT_DTYPE; their views are made anew where more come into the frame, which is seldom
    z: NDArray[np.float64]
    plots: NDArray[np.int64]
    starts: NDArray[np.int64]


TIME_NS_MAX = 9_000_000_000_000_000_000  # of a time, either way: nanoseconds of 64 bits, and room to reckon


def sensors_given(sensors: Any) -> tuple[Sensor, ...]:
    """Return a tracker's sensors; raises TypeError that says what was given instead, and what to do."""
    wanted = "a list of records.sensor.Sensor (trilat.track.sensor_at makes one)"
    try:
        found = tuple(sensors)
    except TypeError as error:
        msg = f"sensors is a {type(sensors).__name__}, {wanted} wanted" + (": put it in brackets" * isinstance(sensors, Sensor))
        raise TypeError(msg) from error
    for k, one in enumerate(found):
        if not isinstance(one, Sensor):
            msg = f"sensors[{k}] is a {type(one).__name__}, {wanted} wanted"
            raise TypeError(msg)
    return found


def time_given(name: str, t_ns: Any) -> int:
    """Return a time as a plain integer; raises TypeError for what is no whole number, ValueError for one out of 64 bits.

    A float is refused, not rounded: nanoseconds of today do not fit into one, the last two hundred of them are lost.
    """
    if type(t_ns) is not int and (isinstance(t_ns, bool) or not isinstance(t_ns, int | np.integer)):
        remedy = "whole nanoseconds since 1970 wanted (UTC): an integer, as round(seconds) * 1_000_000_000"
        msg = f"{name} is {t_ns!r}, a {type(t_ns).__name__}: {remedy}"
        raise TypeError(msg)
    whole = int(t_ns)
    if not -TIME_NS_MAX <= whole <= TIME_NS_MAX:
        msg = f"{name} is {t_ns}: nanoseconds since 1970 lie between -{TIME_NS_MAX} and {TIME_NS_MAX}"
        raise ValueError(msg)
    return whole


def columns_given(batches: Any) -> list[Any]:
    """Return the columns of the batches that hold any; raises TypeError that says what is no batch, and what to do."""
    try:
        parts = [batch.columns for batch in batches if len(batch.columns)]
        foreign = [part.dtype for part in parts if part.dtype is not REPORT_DTYPE and part.dtype != REPORT_DTYPE]
    except (AttributeError, TypeError) as error:
        wrong = next((one for one in batches if not hasattr(one, "columns")), None) if isinstance(batches, list | tuple) else None
        what = f"a batch is a {type(wrong).__name__}" if wrong is not None else f"batches is a {type(batches).__name__}"
        remedy = "a list of records.columns.Reports wanted, as [batch(reports_of(table))] (trilat.track.library)"
        msg = f"{what}, or its columns are no array ({error}): {remedy}"
        raise TypeError(msg) from error
    if foreign:
        msg = f"columns of {foreign[0]} given, REPORT_DTYPE wanted: make them with records.columns.empty_reports"
        raise TypeError(msg)
    return parts


def sensor_table(sensors: Sequence[Sensor], settings: TrackerSettings) -> NDArray[np.float64]:
    """Return the kernels' sensor table (n, SENSOR_COLUMNS), positions in ECEF."""
    from trilat.kernels import bank as b  # noqa: PLC0415 - same lightness as in settings

    out = np.zeros((max(len(sensors), 1), b.SENSOR_COLUMNS))
    for i, sensor in enumerate(sensors):
        basis = geodesy.enu_basis(sensor.lat_deg, sensor.lon_deg)
        surface = sensor.alt_max_m <= 500.0
        asks = sensor.kind in ("radar3d", "radar2d")
        row = out[i]
        row[b.S_POSITION : b.S_POSITION + 3] = geodesy.geodetic_to_ecef(sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
        row[b.S_BASIS : b.S_BASIS + 9] = basis.ravel()
        row[b.S_UP : b.S_UP + 3] = basis[2]
        row[b.S_PERIOD] = sensor.period_s
        row[b.S_RANGE_MIN], row[b.S_RANGE_MAX] = sensor.range_min_m, sensor.range_max_m
        row[b.S_SINE_MIN], row[b.S_SINE_MAX] = np.sin(sensor.elevation_min_rad), np.sin(sensor.elevation_max_rad)
        row[b.S_ALT_MIN], row[b.S_ALT_MAX] = sensor.alt_min_m, sensor.alt_max_m
        row[b.S_PD] = min(max(sensor.detection_probability, 0.05), 0.99)
        row[b.S_CLUTTER] = max(sensor.clutter_per_scan, 1e-3)
        row[b.S_BIRTH] = sensor.births_per_scan
        row[b.S_LOOKS] = float(asks)
        row[b.S_SET] = SETS.index("sea" if surface and "sea" in settings.domains else settings.domains[0])
        row[b.S_PRIOR_ALT] = 0.0 if surface else 6_000.0
        row[b.S_PRIOR_SIGMA] = 50.0 if surface else 4_000.0
    return out


_LIMITS = {
    "range_m": (0.0, RANGE_MAX_M),
    "azimuth_rad": (-2 * np.pi, 2 * np.pi),
    "elevation_rad": (-np.pi / 2, np.pi / 2),
    "height_m": (-12_000.0, RANGE_MAX_M),
    "doppler_m_s": (-SPEED_MAX_M_S, SPEED_MAX_M_S),
    "lat_deg": (-90.0, 90.0),
    "lon_deg": (-180.0, 180.0),
    "alt_m": (-12_000.0, RANGE_MAX_M),
    "speed_m_s": (0.0, SPEED_MAX_M_S),
    "course_rad": (-2 * np.pi, 2 * np.pi),
    "vertical_rate_m_s": (-SPEED_MAX_M_S, SPEED_MAX_M_S),
    # A sigma wider than what it is of can be says nothing, and its square is soon no number. That it is above zero is seen apart.
    **{f"sigma_{name}_m": (-np.inf, RANGE_MAX_M) for name in ("range", "height", "horizontal", "vertical")},
    **{f"sigma_{name}_rad": (-np.inf, 2 * np.pi) for name in ("azimuth", "elevation")},
    **{f"sigma_{name}_m_s": (-np.inf, SPEED_MAX_M_S) for name in ("doppler", "speed")},
}
REPORT_FLOATS = tuple(name for name, (kind, *_) in (REPORT_DTYPE.fields or {}).items() if kind == np.float64)
LOW = np.array([_LIMITS.get(name, (-np.inf, np.inf))[0] for name in REPORT_FLOATS])
HIGH = np.array([_LIMITS.get(name, (-np.inf, np.inf))[1] for name in REPORT_FLOATS])


FLOORS = np.array([SIGMA_FLOOR_M, SIGMA_FLOOR_RAD, SIGMA_FLOOR_RAD, SIGMA_FLOOR_M, SIGMA_FLOOR_M_S])
WIDE = np.array([1.0, 1.0, SELF_REPORT_INFLATION, TRACK_INFLATION, 1.0, 1.0])  # by kind
_NONE: Counter[str] = Counter()  # nothing was refused: made once, for making one takes as long as sifting a small batch
REASONS = ("sensor-unknown", "time-future", "report-late", "not-finite", "sigma-not-positive", "out-of-range")


def default_sigmas(sensors: Sequence[Sensor]) -> NDArray[np.float64]:
    """Return what stands in for sigmas that reports do not give, by sensor (n, 9); kernels/intake.py names the columns."""
    rows = [
        (
            s.sigma_range_m,
            s.sigma_azimuth_rad,
            s.sigma_elevation_rad,
            s.sigma_height_m,
            s.sigma_doppler_m_s,
            s.sigma_horizontal_m or SIGMA_DEFAULT_M,
            s.sigma_vertical_m or SIGMA_VERTICAL_DEFAULT_M,
            SIGMA_SPEED_DEFAULT_M_S,
            SIGMA_MEASUREMENT_DEFAULT_M,
        )
        for s in sensors
    ]
    return np.array(rows, np.float64).reshape(-1, 9)


class Intake:
    """What one tracker needs to make frames of reports: its sensors' slots and sigmas."""

    def __init__(self, sensors: Sequence[Sensor], settings: TrackerSettings) -> None:
        from trilat.kernels import bank, intake  # noqa: PLC0415 - numba loads here, when a tracker is made

        self._b, self._k, self._sensors, self._settings = bank, intake, len(sensors), settings
        self.views = intake.views
        self.frame_ns = np.array([_slot_ns(s, settings) for s in sensors] or [1], np.int64)
        self.frame_ns_max = int(self.frame_ns.max())
        self._sigmas = default_sigmas(sensors)
        self.wide = WideRows()

    def sift(self, columns: NDArray[Any], now_ns: int, oldest_ns: int) -> tuple[Any, int, Counter[str]]:
        """Return (the usable reports as Views, the newest time among them, counts of the refused by reason).

        A report is counted once, by the first of REASONS that fits; they stand in errors.toml.
        """
        reports = self._k.views(columns)
        keep, counts = np.empty(len(columns), np.int64), np.zeros(len(REASONS), np.int64)
        newest_ns = now_ns + round(self._settings.future_s * 1e9)
        given = (self._sensors, oldest_ns, newest_ns, LOW, HIGH, keep, counts)
        kept, newest = self._k.sift(reports.columns, reports.values, *given)
        if kept == len(columns):
            return reports, int(newest), _NONE
        refused = Counter({reason: int(n) for reason, n in zip(REASONS, counts, strict=True) if n})
        return reports.pick(keep[:kept]), int(newest), refused

    def frames(self, reports: Any) -> tuple[Any, NDArray[np.int64]]:
        """Return reports in frame order without exact duplicates, and the frames' first places, then how many there are."""
        n = len(reports.columns)
        order, spare, slot, cuts = np.arange(n), np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n + 1, np.int64)
        given = (self.frame_ns, order, spare, slot, np.empty(n), cuts)
        left, frames = self._k.arrange(reports.columns, reports.values, reports.raw, *given)
        return reports.pick(order[:left]), cuts[: frames + 1]

    def frame(self, reports: Any) -> Frame:
        """Return one frame's reports, as `frames` left them, with the engine's plots."""
        n = len(reports.columns)
        tracklets = reports.columns[0]["kind"] == KIND_TRACKLET
        known = self.wide.rows(reports.columns) if tracklets else np.empty((n, self._b.PLOT_COLUMNS))
        z, plots = np.empty(known.shape), np.empty((n, self._b.PLOT_INTS), np.int64)
        starts, sigmas = np.empty(n + 1, np.int64), self._sigmas[reports.columns[0]["sensor"]]
        given = (reports.columns, reports.values, reports.words, reports.raw, sigmas, FLOORS, WIDE)
        parts = self._k.plots_of(*given, known, z, plots, starts)
        return Frame(reports.columns, z, plots, starts[: parts + 1])

    def key(self, reports: Any) -> FrameKey:
        """Return the key of the frame that the first of these reports is in."""
        first = reports.columns[0]
        sensor, t_ns = int(first["sensor"]), int(first["t_ns"])
        width = int(self.frame_ns[sensor])
        return t_ns // width * width, sensor, int(first["kind"])

    def callsigns(self, frame: Frame) -> dict[int, bytes]:
        """Return the text behind each callsign's hash in a frame."""
        hashes = frame.plots[:, self._b.I_ID + self._b.ID_CALLSIGN]
        if not len(hashes) or hashes.max() < 0:
            return {}
        raw = frame.reports.view(np.uint8).reshape(len(frame.reports), frame.reports.itemsize)
        return dict(zip(self._k.callsigns(raw).tolist(), frame.reports["callsign"].tolist(), strict=True))


def _slot_ns(sensor: Sensor, settings: TrackerSettings) -> int:
    """Return how long a frame of a sensor lasts: never more than half its period, so that it sees a target once in it."""
    longest = settings.frame_s if settings.whole_scans else min(settings.frame_s, sensor.period_s / 2)
    return max(round(longest * 1e9), 1_000_000)
