"""Stone Soup users: run `Detection`s through Trilat's tracker, and get `Track`s back.

Stone Soup is no dependency of Trilat: `pip install 'trilat[compare]'` brings it. Detections are Cartesian (x, y, z in metres of a
local level frame, east, north, up) with their covariance, as a `LinearGaussian` model gives them, at a place on the Earth that is
given here; each is handed over as a measurement with the ellipsoid of its covariance.

    adapter = StoneSoupTracker(lat_deg=33.0, lon_deg=130.0)
    for time, detections in detector:
        tracks = adapter.step(time, detections)     # a set of stonesoup.types.track.Track
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import numpy as np
from stonesoup.types.detection import Detection
from stonesoup.types.state import GaussianState
from stonesoup.types.track import Track

from trilat.kernels import geodesy
from trilat.records.columns import KIND_MEASUREMENT, empty_reports
from trilat.track import Tracker, TrackerSettings, sensor_at
from trilat.track.library import batch

POSITION = (0, 2, 4)  # of Stone Soup's usual state x, vx, y, vy, z, vz
VELOCITY = (1, 3, 5)


class StoneSoupTracker:
    """Trilat's tracker with Stone Soup's types outside. `mapping` says which entries of a state vector are x, y, z."""

    def __init__(self, lat_deg: float, lon_deg: float, settings: TrackerSettings | None = None, clutter: float = 5.0) -> None:
        self.basis, self.zero = geodesy.enu_basis(lat_deg, lon_deg), geodesy.geodetic_to_ecef(lat_deg, lon_deg, 0.0)
        sensor = sensor_at(lat_deg, lon_deg, kind="fixes", clutter_per_scan=clutter, period_s=1.0)
        self.tracker = Tracker(settings or TrackerSettings(domains=("air",)), [sensor], "stone-soup")
        self.tracks: dict[int, Track] = {}

    def step(self, time: dt.datetime, detections: Iterable[Detection]) -> set[Track]:
        """Take one time's detections; return every confirmed track, each grown by its state at that time."""
        now_ns = _ns(time)
        rows = [self._report(one, time) for one in detections]
        columns = np.concatenate(rows) if rows else empty_reports(0)
        shown = self.tracker.step(now_ns, [batch(columns)]).columns
        alive = set()
        for row in shown[(shown["status"] == 1) | (shown["status"] == 2)]:
            track = self.tracks.setdefault(int(row["number"]), Track(id=str(int(row["number"]))))
            track.append(self._state(row, time))
            alive.add(track)
        return alive

    def _report(self, detection: Detection, time: dt.datetime) -> Any:
        """Return a detection as one report: its place, and the ellipsoid of its covariance along the widest level axis."""
        out = empty_reports(1)
        local = np.asarray(detection.state_vector, float).ravel()[:3]
        covariance = np.asarray(detection.measurement_model.covar(), float)[:3, :3]
        place = geodesy.ecef_to_geodetic(self.zero + local @ self.basis)
        values, vectors = np.linalg.eigh(covariance[:2, :2])
        out["t_ns"], out["kind"], out["sensor"] = _ns(detection.timestamp or time), KIND_MEASUREMENT, 0
        out["lat_deg"], out["lon_deg"], out["alt_m"] = place
        out["azimuth_rad"] = np.arctan2(vectors[0, 1], vectors[1, 1]) % (2 * np.pi)
        out["elevation_rad"] = 0.0
        out["sigma_range_m"], out["sigma_horizontal_m"] = np.sqrt(values[1]), np.sqrt(values[0])
        out["sigma_vertical_m"] = np.sqrt(covariance[2, 2])
        return out

    def _state(self, row: Any, time: dt.datetime) -> GaussianState:
        """Return a track's row as a state x, vx, y, vy, z, vz of the local frame."""
        turn = np.kron(np.eye(2), self.basis)
        mean = np.concatenate([self.basis @ (row["position_m"] - self.zero), self.basis @ row["velocity_m_s"]])
        covariance = turn @ row["covariance"] @ turn.T
        order = [0, 3, 1, 4, 2, 5]
        return GaussianState(mean[order].reshape(6, 1), covariance[np.ix_(order, order)], timestamp=time)


def _ns(time: dt.datetime) -> int:
    """Return a time as UTC nanoseconds; Stone Soup's naive times count as UTC."""
    aware = time if time.tzinfo else time.replace(tzinfo=dt.UTC)
    return round(aware.timestamp() * 1e6) * 1_000
