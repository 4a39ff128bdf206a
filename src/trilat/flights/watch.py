"""A flight watched: radars' plots through the product's own tracker and assessor, and the bound that no estimator passes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trilat.flights.flight import Flight, ground_range_m
from trilat.flights.observe import EPOCH_NS, EXERCISE, Observation
from trilat.kernels import ballistic, geodesy
from trilat.kernels.frames import earth
from trilat.records.assessment import Assessment
from trilat.records.sensor import Sensor
from trilat.track import Tracker, TrackerSettings
from trilat.warn.areas import Layer
from trilat.warn.assess import Assessor, AssessorSettings
from trilat.warn.landing import predict
from trilat.warn.state import Coefficient, StateError, check

Array = NDArray[np.float64]
NS = 1_000_000_000
NEAR_S = 0.6  # assessments come once a second


def watch(
    seen: Observation, layer: Layer | None = None, nation: str = "JPN", until_s: float | None = None
) -> tuple[Assessment, ...]:
    """Return all that a node of `nation`, given every plot, says of what its sensors observe. Deterministic.

    Plots go through a tracker as a node runs it, tracks and plots through an assessor; a layer of areas makes the lists of areas.
    It goes on until `until_s` after the launch, also when plots end before.
    """
    tracker = Tracker(TrackerSettings(), seen.sensors, "watch")
    assessor = Assessor(AssessorSettings(nation, f"{nation}/combined", EXERCISE, seen.sensors, layer))
    out: list[Assessment] = []
    for now_ns, batches in seen.steps(until_s=until_s):
        out += assessor.step(now_ns, tracker.step(now_ns, batches), batches)
    return tuple(out)


def since_launch_s(t_ns: int) -> float:
    """Return seconds since the launch of an observed flight."""
    return (t_ns - EPOCH_NS) / NS


def said_at(told: Sequence[Assessment], at_s: float) -> Assessment | None:
    """Return what was said at a time since launch, to within half a second; None when nothing was."""
    near = [one for one in told if abs(since_launch_s(one.t_ns) - at_s) <= NEAR_S]
    return min(near, key=lambda one: abs(since_launch_s(one.t_ns) - at_s), default=None)


def error_m(one: Assessment | None, flight: Flight) -> float | None:
    """Return the distance m of a stated landing from where the flight came down; None where none is stated."""
    if one is None or one.landing is None:
        return None
    return ground_range_m(geodesy.geodetic_to_ecef(one.landing.lat_deg, one.landing.lon_deg, 0.0), flight.landing_m)


def bounds_m(flight: Flight, seen: Observation, after_s: Sequence[float]) -> list[tuple[float, float] | None]:
    """Return the 95 % landing ellipse's semi-axes m that the information since burn-out allows, at seconds after it (rising).

    The Cramer-Rao bound of the plots that were there, at their stated accuracy, along the true arc without process noise,
    carried to the ground with the drag and the prior of the estimator itself (Taylor 1979, IEEE TAC 24-2: exact for arcs
    without noise). None where the plots do not yet determine a state.
    """
    wgs84, begin = earth("wgs84"), flight.burnout_s
    per = 1.0 / flight.coefficient_kg_m2 if flight.coefficient_kg_m2 > 0.0 else 0.0
    base, step = flight.at(begin), np.array([50.0] * 3 + [0.5] * 3)
    starts = np.concatenate([base + np.diag(step), base - np.diag(step)])
    columns, information, out = seen.columns, np.zeros((6, 6)), []
    ends = [EPOCH_NS + round((begin + s) * NS) for s in after_s]
    rows = np.searchsorted(columns["t_ns"], [EPOCH_NS + round(begin * NS), *ends])
    moved = np.empty((12, 6))
    for k in range(len(ends)):
        for row in columns[rows[k] : rows[k + 1]]:
            sensor = seen.sensors[row["sensor"]]
            ballistic.move_many(wgs84, starts, np.full(12, per), since_launch_s(int(row["t_ns"])) - begin, 0.1, moved)
            information += _told_by(sensor, moved[:, :3], step)
        out.append(_to_ground(base, information))
    return out


def _told_by(sensor: Sensor, place_m: Array, step: Array) -> Array:
    """Return the information (6, 6) on the state at burn-out in one plot; places of the states moved plus and minus a step."""
    rae = geodesy.ecef_to_rae(place_m, sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
    change = rae[:6] - rae[6:]
    change[:, 1] = np.mod(change[:, 1] + np.pi, 2 * np.pi) - np.pi
    slope = (change / (2 * step[:, None])).T
    # A radar's accuracy in azimuth is stated for the azimuth itself (observe.py adds it there).
    sigma = np.array([sensor.sigma_range_m, sensor.sigma_azimuth_rad, sensor.sigma_elevation_rad])
    scaled = slope / sigma[:, None]
    return np.asarray(scaled.T @ scaled)


def _to_ground(base: Array, information: Array) -> tuple[float, float] | None:
    """Return the ellipse's semi-axes m of an information matrix on the state at burn-out."""
    scale = np.array([1e3] * 3 + [10.0] * 3)
    scaled = information * np.outer(scale, scale)
    if not np.isfinite(scaled).all() or np.linalg.cond(scaled) > 1e14:
        return None
    covariance = np.linalg.inv(scaled) * np.outer(scale, scale)
    try:
        found = predict(check(base, (covariance + covariance.T) / 2, beta=Coefficient()))
    except StateError:
        return None
    return None if found is None else found.ellipse95.semi_m
