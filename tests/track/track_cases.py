"""Worlds for the tracker's tests: a radar, aircraft on straight lines, and their plots with times of their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from trilat.kernels import geodesy
from trilat.records.columns import KIND_FIX, KIND_RADAR, Reports, empty_reports
from trilat.track import Tracker, TrackerSettings
from trilat.track.library import batch, sensor_at

T0_NS = 1_700_000_000_000_000_000
S_NS = 1_000_000_000
RADAR = sensor_at(33.0, 130.0, 100.0, "radar", clutter_per_scan=2.0)
RADAR_B = sensor_at(33.5, 131.0, 50.0, "radar-b", period_s=5.0, clutter_per_scan=2.0)
FIXES = sensor_at(0.0, 0.0, 0.0, "adsb", kind="fixes", sigma_horizontal_m=20.0)
SMALL = TrackerSettings(tracks_max=400)


def tracker(settings: TrackerSettings = SMALL, sensors: tuple[Any, ...] = (RADAR, RADAR_B, FIXES)) -> Tracker:
    return Tracker(settings, sensors, "test")


class Line:
    """A body on a straight line in ECEF."""

    def __init__(self, east_m: float, north_m: float, alt_m: float, east_m_s: float, north_m_s: float) -> None:
        self.start = geodesy.enu_to_ecef([east_m, north_m, alt_m], RADAR.lat_deg, RADAR.lon_deg, 0.0)
        basis = geodesy.enu_basis(RADAR.lat_deg, RADAR.lon_deg)
        self.velocity = basis.T @ np.array([east_m_s, north_m_s, 0.0])

    def at(self, t_ns: int) -> np.ndarray[Any, Any]:
        """Return the ECEF position at a time."""
        return self.start + self.velocity * ((t_ns - T0_NS) * 1e-9)


LINES_OF_TWO = [Line(40e3, 20e3, 9e3, 200.0, 50.0), Line(-30e3, 60e3, 7e3, -180.0, 20.0)]


def radar_plots(lines: list[Line], seconds: float, rng: np.random.Generator, sensor: int = 0, site: Any = RADAR) -> Any:
    """Every body once a turn, when the beam passes it; all turns in one array, in time order."""
    rows = []
    for turn in range(int(seconds / site.period_s)):
        for line in lines:
            t_ns = T0_NS + round(turn * site.period_s * 1e9)
            azimuth = geodesy.ecef_to_rae(line.at(t_ns), site.lat_deg, site.lon_deg, site.alt_m)[1]
            t_ns += round(azimuth / geodesy.TWO_PI * site.period_s * 1e9)
            rows.append((t_ns, *geodesy.ecef_to_rae(line.at(t_ns), site.lat_deg, site.lon_deg, site.alt_m)))
    rows.sort()
    table = np.array([row[1:] for row in rows]) + rng.normal(0, 1, (len(rows), 3)) * (75.0, 0.0015, 0.002)
    columns = empty_reports(len(rows))
    columns["t_ns"] = [row[0] for row in rows]
    columns["sensor"], columns["kind"] = sensor, KIND_RADAR
    columns["range_m"], columns["azimuth_rad"], columns["elevation_rad"] = table[:, 0], table[:, 1] % geodesy.TWO_PI, table[:, 2]
    return columns


def fixes(line: Line, times_ns: list[int], rng: np.random.Generator, address: int = -1, sensor: int = 2) -> Any:
    place = geodesy.ecef_to_geodetic(np.array([line.at(t) for t in times_ns]))
    columns = empty_reports(len(times_ns))
    columns["t_ns"], columns["sensor"], columns["kind"] = times_ns, sensor, KIND_FIX
    columns["lat_deg"] = place[:, 0] + rng.normal(0, 20 / 111e3, len(times_ns))
    columns["lon_deg"] = place[:, 1] + rng.normal(0, 20 / 93e3, len(times_ns))
    columns["alt_m"] = place[:, 2] + rng.normal(0, 20, len(times_ns))
    columns["sigma_horizontal_m"], columns["sigma_vertical_m"] = 20.0, 20.0
    columns["address"] = address
    return columns


def reports(columns: Any) -> Reports:
    return batch(columns)


def feed(made: Tracker, columns: Any, every_s: float = 1.0) -> Any:
    """Step a tracker through reports in time order; returns the last tracks."""
    columns = columns[np.argsort(columns["t_ns"], kind="stable")]
    now, at, tracks = T0_NS, 0, None
    while at < len(columns):
        now += round(every_s * S_NS)
        end = int(np.searchsorted(columns["t_ns"], now))
        tracks = made.step(now, [batch(columns[at:end])])
        at = end
    return tracks


def confirmed(tracks: Any) -> Any:
    return tracks.columns[tracks.columns["status"] >= 1]


def error_m(tracks: Any, line: Line) -> float:
    """Distance of the nearest confirmed track from a body."""
    sure = confirmed(tracks)
    if not len(sure):
        return float("inf")
    return float(np.linalg.norm(sure["position_m"] - line.at(tracks.t_ns), axis=1).min())
