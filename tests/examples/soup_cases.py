"""What the tests of the adapter for Stone Soup share: two aircraft, what sensors see of them, and the same as our own columns."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trilat.kernels import geodesy
from trilat.records.columns import KIND_MEASUREMENT, KIND_RADAR, empty_reports
from trilat.track import Tracker, TrackerSettings
from trilat.track.library import batch

pytest.importorskip("stonesoup", reason="the extra `compare` is not installed")
sys.path.append(str(Path(__file__).parents[2] / "examples"))
from stone_soup import StoneSoupTracker
from stone_soup_detections import LocalFrame
from stonesoup.models.measurement import nonlinear as polar  # noqa: TID251 - the peer that the adapter is for
from stonesoup.types.array import StateVector  # noqa: TID251 - same
from stonesoup.types.detection import Detection  # noqa: TID251 - same

LAT, LON, PERIOD_S, SCANS = 33.0, 130.0, 4, 12
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
START_NS = 1_767_225_600_000_000_000
SETTINGS = TrackerSettings(domains=("air",), tracks_max=100)
BODIES = np.array([[20e3, 30e3, 8e3, 200.0, 50.0, 0.0], [-25e3, 40e3, 9e3, -150.0, 120.0, 0.0]])
FLAT = BODIES * [1.0, 1.0, 0.0, 1.0, 1.0, 0.0]
ORDER = [0, 3, 1, 4, 2, 5]  # of a state x, vx, y, vy, z, vz among positions and velocities
ANGLE, RANGE, RATE = 0.0015, 75.0, 3.0
FRAME = LocalFrame(LAT, LON)
SPREAD = np.diag([60.0**2, 90.0**2, 80.0**2])
MOVING = np.diag([60.0, 4.0, 90.0, 5.0, 80.0, 6.0]) ** 2
DENSE = 20_000.0 / np.sqrt(2.0 * np.pi * (2.0 * 100.0**2 + 800.0**2))  # false plots of a level world lie in its plane


def where(bodies: Any, scan: int) -> Any:
    return np.concatenate([bodies[:, :3] + PERIOD_S * scan * bodies[:, 3:], bodies[:, 3:]], axis=1)


def seen(local: Any, rng: np.random.Generator) -> dict[str, Any]:
    """Range, bearing from x towards y, elevation and range rate of local states, with noise."""
    r = np.linalg.norm(local[:, :3], axis=1)
    noise = rng.normal(0.0, 1.0, (4, len(local)))
    return {
        "range": r + RANGE * noise[0],
        "bearing": np.arctan2(local[:, 1], local[:, 0]) + ANGLE * noise[1],
        "elevation": np.arcsin(local[:, 2] / r) + ANGLE * noise[2],
        "rate": np.einsum("ij,ij->i", local[:, :3], local[:, 3:]) / r + RATE * noise[3],
    }


def radar_columns(seen: dict[str, Any], t_ns: int, names: tuple[str, ...], kind: int = KIND_RADAR) -> Any:
    """The same numbers as our own report columns: azimuth clockwise from north."""
    out = empty_reports(len(seen["bearing"]))
    out["t_ns"], out["kind"], out["sensor"] = t_ns, kind, 0
    out["azimuth_rad"], out["sigma_azimuth_rad"] = (np.pi / 2 - seen["bearing"]) % (2 * np.pi), ANGLE
    for name, column, sigma in (
        ("range", "range_m", RANGE),
        ("elevation", "elevation_rad", ANGLE),
        ("rate", "doppler_m_s", RATE),
    ):
        if name in names:
            out[column], out[f"sigma_{column}"] = seen[name], sigma
    return out


def level_columns(seen: dict[str, Any], t_ns: int, names: tuple[str, ...]) -> Any:
    out = radar_columns(seen, t_ns, names)
    out["elevation_rad"], out["sigma_elevation_rad"] = 0.0, np.arctan2(100.0, seen["range"])
    return out


def place_columns(local: Any, t_ns: int, sigmas: tuple[float, float, float] = (90.0, 60.0, 80.0)) -> Any:
    """Places as measurements: north, east and up sigmas."""
    out = empty_reports(len(local))
    out["t_ns"], out["kind"], out["sensor"] = t_ns, KIND_MEASUREMENT, 0
    out["lat_deg"], out["lon_deg"], out["alt_m"] = geodesy.ecef_to_geodetic(FRAME.zero + local @ FRAME.basis).T
    out["azimuth_rad"], out["elevation_rad"] = 0.0, 0.0
    out["sigma_range_m"], out["sigma_horizontal_m"], out["sigma_vertical_m"] = sigmas
    return out


RADARS: dict[str, tuple[Any, tuple[str, ...], str]] = {
    "elevation, bearing, range": (polar.CartesianToElevationBearingRange, ("elevation", "bearing", "range"), "radar3d"),
    "and range rate": (polar.CartesianToElevationBearingRangeRate, ("elevation", "bearing", "range", "rate"), "radar3d"),
    "bearing, range, range rate": (polar.CartesianToBearingRangeRate, ("bearing", "range", "rate"), "radar2d"),
    "level bearing, range": (polar.CartesianToBearingRange, ("bearing", "range"), "level"),
    "level bearing, range, range rate": (polar.CartesianToBearingRangeRate2D, ("bearing", "range", "rate"), "level"),
}
SIGMA = {"elevation": ANGLE, "bearing": ANGLE, "range": RANGE, "rate": RATE}


def model_of(kind: Any, names: tuple[str, ...], *, level: bool) -> Any:
    mapping = (0, 2) if level else (0, 2, 4)
    return kind(ndim_state=2 * len(mapping), mapping=mapping, noise_covar=np.diag([SIGMA[name] ** 2 for name in names]))


def adapter(*, level: bool = False, **fields: Any) -> Any:
    places = {"mapping": (0, 2), "velocity_mapping": (1, 3)} if level else {}
    return StoneSoupTracker(LAT, LON, SETTINGS, **places, **({"period_s": 4.0} | fields))


def detection(values: Any, model: Any, scan: int = 0, **fields: Any) -> Any:
    return Detection(
        StateVector(values), timestamp=START + dt.timedelta(seconds=PERIOD_S * scan), measurement_model=model, **fields
    )


def last_states(tracks: Any, *, level: bool) -> Any:
    """Position and velocity of each track, in order of x."""
    n = 2 if level else 3
    states = np.array([np.asarray(track.state_vector, float).ravel() for track in tracks]).reshape(-1, 2 * n)
    return states[np.argsort(states[:, 0])][:, [*range(0, 2 * n, 2), *range(1, 2 * n, 2)]]


def direct(made: Tracker, history: list[Any]) -> Any:
    """Confirmed tracks in local axes, in order of x, of our own tracker fed with columns, a scan a step."""
    for k, columns in enumerate(history):
        shown = made.step(START_NS + k * PERIOD_S * 10**9, [batch(columns)]).columns
    sure = shown[shown["status"] >= 1]
    local = np.concatenate([(sure["position_m"] - FRAME.zero) @ FRAME.basis.T, sure["velocity_m_s"] @ FRAME.basis.T], axis=1)
    return local[np.argsort(local[:, 0])]
