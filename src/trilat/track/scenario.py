"""Benchmark scenario files as the tracker sees them: what may be wrong with one, its sensors, its scans, and its frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trilat.kernels import geodesy
from trilat.records.columns import KIND_RADAR, Reports, empty_reports
from trilat.records.sensor import Sensor
from trilat.track.library import EPOCH_NS, TIME_MAX_S, batch, sensor_at
from trilat.track.settings import SETS, Domain, TrackerSettings
from trilat.track.tracker import Tracker

Floats = NDArray[np.float64]
EARTHS = ("flat", "sphere", "wgs84")
# Keys and their shapes: S sensors, K scans, M plots, N truths; a number is that number, K+1 one more than K.
SHAPES: dict[str, tuple[Any, ...]] = {
    "sensor_pos": ("S", 3),
    "sensor_sigma": ("S", 3),
    "sensor_period": ("S",),
    "sensor_pd": ("S",),
    "sensor_clutter": ("S",),
    "scan_t": ("K",),
    "scan_sensor": ("K",),
    "scan_start": ("K+1",),
    "det": ("M", 3),
    "truth_pos": ("N", "K", 3),
    "truth_vel": ("N", "K", 3),
    "truth_alive": ("N", "K"),
}
FINITE = ("sensor_pos", "sensor_sigma", "sensor_period", "sensor_pd", "sensor_clutter", "scan_t")
# The least and the most that a value may be.
WITHIN = {
    "sensor_sigma": (1e-9, 1e6),
    "sensor_period": (1e-3, 3_600.0),
    "sensor_pd": (0.0, 1.0),
    "sensor_clutter": (0.0, 1e6),
    "sensor_births": (1e-9, 1e6),
    "scan_t": (-TIME_MAX_S, TIME_MAX_S),
}
SENSORS_MAX = 64
HIGH_M = 30_000.0
RANGE_MAX_M = 1e8  # of a plot that says how far a sensor sees; one beyond it is refused like any that cannot be


def fault_of(scenario: Mapping[str, Any]) -> str:
    """Return what keeps a scenario file's arrays from being used, naming the key; empty when nothing does.

    Plots that cannot be believed are no fault: the tracker refuses and counts them.
    """
    return next(_faults(scenario), "")


def _faults(s: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong, the arrays' shapes first: what comes after rests on them."""
    sizes: dict[str, int] = {}
    for key, shape in SHAPES.items():
        fault = _shape_fault(key, np.shape(s[key]), shape, sizes) if key in s else f"key {key} is missing"
        if fault:
            yield fault
        if np.asarray(s[key]).dtype.kind not in "iufb":
            yield f"{key} holds no numbers"
    yield from _value_faults(s)
    starts, sensors = np.asarray(s["scan_start"]), np.asarray(s["scan_sensor"])
    if not sizes["K"]:
        yield "there is no scan"
    if starts[0] != 0 or starts[-1] != sizes["M"] or (np.diff(starts) < 0).any():
        yield f"scan_start must rise from 0 to the {sizes['M']} rows of det"
    if not 0 < sizes["S"] <= SENSORS_MAX or sensors.min() < 0 or sensors.max() >= sizes["S"]:
        yield f"scan_sensor must name sensors from 0 to {sizes['S'] - 1}, of at most {SENSORS_MAX}"
    if (np.diff(s["scan_t"]) < 0.0).any():
        yield "scan_t must not fall"
    for key, words in (("domain", SETS), ("earth", EARTHS)):
        if key in s and str(s[key]) not in words:
            yield f"{key} is {str(s[key])!r}, one of {', '.join(words)} wanted"
    if "origin" in s and (np.shape(s["origin"]) != (3,) or not np.isfinite(s["origin"]).all()):
        yield "origin must be latitude and longitude in degrees and height in metres"


def _value_faults(s: Mapping[str, Any]) -> Iterator[str]:
    """Yield which numbers are none, or none that a sensor or a time may have."""
    for key in FINITE:
        if not np.isfinite(s[key]).all():
            yield f"{key} holds numbers that are not finite"
    for key, (least, most) in WITHIN.items():
        if key in s and not ((np.asarray(s[key]) >= least) & (np.asarray(s[key]) <= most)).all():
            yield f"{key} must lie between {least:g} and {most:g}"


def _shape_fault(key: str, given: tuple[int, ...], wanted: tuple[Any, ...], sizes: dict[str, int]) -> str:
    """Return what is wrong with an array's shape; enters sizes that are met first."""
    for have, want in zip(given, wanted, strict=False):
        if isinstance(want, str) and not want.endswith("+1"):
            sizes.setdefault(want, have)
    sized = tuple(sizes.get(w[0], 0) + w.endswith("+1") if isinstance(w, str) else w for w in wanted)
    return "" if given == sized else f"{key} has shape {given}, {sized} wanted"


def domain_of(scenario: Mapping[str, Any], domain: Domain | None = None) -> Domain:
    """Return whose parameter set a file is tracked with: the file's own word, else the one given, else air."""
    return str(scenario["domain"]) if "domain" in scenario else (domain or "air")  # type: ignore[return-value]  # checked by the settings


def high_share(scenario: Mapping[str, Any]) -> float:
    """Return the share of a file's plots that lie above HIGH_M of its frame, where no aircraft flies; 0 for no plots."""
    det = np.asarray(scenario["det"], float)
    sensor = np.repeat(np.asarray(scenario["scan_sensor"]), np.diff(scenario["scan_start"]))
    height_m = np.asarray(scenario["sensor_pos"], float)[sensor, 2] + det[:, 2] * np.sin(det[:, 0])
    return float(np.mean(height_m > HIGH_M)) if len(det) else 0.0


class Scenario:
    """A benchmark scenario file as the tracker sees it: its sensors, its scans, and the frame its positions are in.

    scenario: the arrays of the layout in benchmarks/scenarios.py (sensor_pos, sensor_sigma, scan_t, det, ...), with the optional
    keys sensor_births, domain, earth (flat | sphere | wgs84) and origin (lat deg, lon deg, height m of the frame's zero).
    """

    def __init__(self, scenario: Mapping[str, Any], domain: Domain | None = None, **settings: Any) -> None:
        self.arrays = scenario
        self.domain = domain_of(scenario, domain)
        earth = str(scenario["earth"]) if "earth" in scenario else ("sphere" if self.domain == "missile" else "flat")
        origin = np.asarray(scenario["origin"], float) if "origin" in scenario else np.array([38.0, 0.0, 0.0])
        self._turn, self._zero = np.eye(3), np.zeros(3)
        centre, spin, radius = (0.0, 0.0, 0.0), (0.0, 0.0, 7.292115e-5), 6_371_000.0
        if earth == "wgs84":
            self._turn, self._zero = geodesy.enu_basis(origin[0], origin[1]), geodesy.geodetic_to_ecef(*origin)
        elif earth == "sphere":
            lat = np.radians(origin[0])
            centre, spin = (0.0, 0.0, -radius), (0.0, float(7.2921159e-5 * np.cos(lat)), float(7.2921159e-5 * np.sin(lat)))
        base: dict[str, Any] = {"domains": (self.domain,), "earth": earth, "whole_scans": True, "frame_s": 0.01, "future_s": 0.1}
        base |= {"earth_centre_m": centre, "earth_spin_rad_s": spin, "earth_radius_m": radius, **settings}
        self.settings = TrackerSettings(**base)
        self.sensors = [self._sensor(k) for k in range(len(scenario["sensor_pos"]))]

    def _sensor(self, k: int) -> Sensor:
        """Return sensor k; where it stands goes into the table, the rest here."""
        s = self.arrays
        sigma = s["sensor_sigma"][k]
        missile = self.domain == "missile"
        ranges = s["det"][:, 2]
        ranges = ranges[(ranges > 0.0) & (ranges < RANGE_MAX_M)]  # others are for the tracker to refuse
        reach = float(ranges.max()) * 1.05 if len(ranges) else 4e5
        return sensor_at(
            0.0,
            0.0,
            name=f"sensor{k}",
            period_s=float(s["sensor_period"][k]),
            range_max_m=reach,
            elevation_min_rad=0.035 if missile else -0.1,
            alt_max_m=1e7 if missile else 40_000.0,
            detection_probability=float(s["sensor_pd"][k]),
            clutter_per_scan=float(s["sensor_clutter"][k]),
            births_per_scan=float(s["sensor_births"][k]) if "sensor_births" in s else 1.0,
            sigma_elevation_rad=float(sigma[0]),
            sigma_azimuth_rad=float(sigma[1]),
            sigma_range_m=float(sigma[2]),
        )

    def tracker(self) -> Tracker:
        """Return a tracker for this file."""
        from trilat.kernels import bank as b  # noqa: PLC0415 - numba loads when a tracker is made
        from trilat.track.intake import sensor_table  # noqa: PLC0415 - same

        table = sensor_table(self.sensors, self.settings)
        # The file measures bearings from its x axis towards y: x takes the place of north, y that of east.
        axes = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]) @ self._turn
        place = np.asarray(self.arrays["sensor_pos"], float) @ self._turn + self._zero
        centre = np.array(self.settings.earth_centre_m)
        for k, row in enumerate(table):
            row[b.S_POSITION : b.S_POSITION + 3] = place[k]
            row[b.S_BASIS : b.S_BASIS + 9] = axes.ravel()
            out = place[k] - centre
            row[b.S_UP : b.S_UP + 3] = axes[2] if self.settings.earth == "flat" else out / np.linalg.norm(out)
        return Tracker(self.settings, self.sensors, "scenario", table)

    def scans(self) -> Iterator[tuple[int, int, Reports]]:
        """Yield (time ns, sensor, plots) of every scan, in time order."""
        s = self.arrays
        for k, t_s in enumerate(s["scan_t"]):
            part = s["det"][s["scan_start"][k] : s["scan_start"][k + 1]]
            t_ns, sensor = EPOCH_NS + round(float(t_s) * 1e9), int(s["scan_sensor"][k])
            columns = empty_reports(len(part))
            columns["t_ns"], columns["sensor"], columns["kind"] = t_ns, sensor, KIND_RADAR
            columns["elevation_rad"], columns["azimuth_rad"], columns["range_m"] = part.T if len(part) else (0.0, 0.0, 0.0)
            yield t_ns, sensor, batch(columns)

    def tracked(self) -> tuple[list[Any], list[Any]]:
        """Track every scan; return what was shown after each (TRACK_DTYPE) and the modes, as `smoothed_columns` takes them."""
        tracker, shown, modes = self.tracker(), list[Any](), list[Any]()
        for t_ns, sensor, plots in self.scans():
            if not len(plots.columns):
                tracker.look(t_ns, sensor)
            shown.append(tracker.step(t_ns, [plots]).columns)
            modes.append(tracker.modes())
        return shown, modes

    def to_file_frame(self, position_m: Floats, velocity_m_s: Floats) -> tuple[Floats, Floats]:
        """Return positions and velocities (n, 3) of the engine's frame in the file's."""
        return (position_m - self._zero) @ self._turn.T, velocity_m_s @ self._turn.T
