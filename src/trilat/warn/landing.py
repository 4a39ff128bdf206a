"""Where and when a flight comes down, and how sure that is: sigma points over state and ballistic coefficient.

The spread of a landing is taken by second-order central differences along the axes of the state's covariance and of the
coefficient's logarithm (the "DD2" rule: Norgaard, Poulsen, Ravn, Automatica 36, 2000): 13 or 15 flights, and a covariance
that is non-negative by construction. docs/explanation/warning.md has the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import asin, hypot, pi, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trilat.kernels import geodesy
from trilat.warn.state import FlightState

Array = NDArray[np.float64]
T_MAX_S = 10_800.0  # a flight that is not down after three hours is an orbit's
TOLERANCE_M = 0.001  # a step's error in place, of the mean flight
TOLERANCE_SPREAD_M = 3.0  # of the flights whose differences give the spread
STEP2 = 3.0  # the squared interval of the differences, in sigmas: 3 suits a Gaussian (same paper, section 3)
# Squared radii of 50 and 95 % of a two-dimensional Gaussian: -2 ln(1 - p).
RADIUS2_50, RADIUS2_95 = 1.3862943611198906, 5.991464547107979
Z_95 = 1.959963984540054
PATH_EVERY_S = 5.0
BACK_STEP_S = 20.0
EARTH_MEAN_M = 6_371_000.0
SPIN_RAD_S = 7.292115e-5
MU_M3_S2 = 3.986004418e14


class GroundEllipse(NamedTuple):
    """Semi-axes m, longer first, and the bearing of the longer one, degrees clockwise from north."""

    semi_m: tuple[float, float]
    bearing_deg: float

    def scaled(self, factor: float) -> GroundEllipse:
        """Return the ellipse with its axes multiplied."""
        return GroundEllipse((self.semi_m[0] * factor, self.semi_m[1] * factor), self.bearing_deg)


class Flight(NamedTuple):
    """One state flown to the ground: how it ended (kernels/ballistic.py), seconds, places (ECEF) and the sampled path."""

    landed: bool
    seconds: float
    place_m: Array
    velocity_m_s: Array
    apogee_m: float
    apogee_s: float
    reentry_s: float
    path: Array  # (n, 6), every PATH_EVERY_S from the state on


class Landing(NamedTuple):
    """The landing of a state with its spread. `lat_deg`, `lon_deg`: of the mean landing.

    covariance: over (east m, north m, time s) about it. outcomes: (n, 3) such offsets of the sigma flights, with `weights`.
    share_down: the share of the sigma flights' weight that comes down at all.
    """

    flight: Flight
    lat_deg: float
    lon_deg: float
    place_m: Array
    seconds: float
    covariance: Array
    ellipse50: GroundEllipse
    ellipse95: GroundEllipse
    paths: Array  # (points, n, 6) of the sigma flights
    results: Array
    share_down: float


@cache
def _earth() -> Any:
    from trilat.kernels.frames import earth  # noqa: PLC0415 - numba loads when something is flown

    return earth("wgs84")


def fly(state: FlightState, path_s: float = 0.0, t_max_s: float = T_MAX_S) -> Flight:
    """Return the mean flight of a state; its path is sampled over path_s seconds at most."""
    from trilat.kernels import ballistic as b  # noqa: PLC0415 - numba loads here

    path, out = np.empty((int(path_s / PATH_EVERY_S), 6)), np.empty(b.RESULT_COLUMNS)
    per = 1.0 / state.coefficient_kg_m2 if state.coefficient_kg_m2 > 0.0 else 0.0
    rows = b.fly_one(_earth(), state.mean, per, state.ground_m, t_max_s, TOLERANCE_M, PATH_EVERY_S, path, out)
    return _flight(out, path[:rows])


def _flight(out: Array, path: Array) -> Flight:
    return Flight(bool(out[0] == 0.0), float(out[1]), out[2:5], out[5:8], float(out[8]), float(out[9]), float(out[13]), path)


def predict(state: FlightState, path_s: float = 0.0) -> Landing | None:
    """Return the landing of a state with its spread; None when the mean flight does not come down."""
    from trilat.kernels import ballistic as b  # noqa: PLC0415 - numba loads here

    mean = fly(state, path_s)
    if not mean.landed:
        return None
    states, per = sigma_states(state)
    paths = np.empty((len(states), len(mean.path), 6))
    results = np.empty((len(states), b.RESULT_COLUMNS))
    b.fly_many(_earth(), states, per, state.ground_m, T_MAX_S, TOLERANCE_SPREAD_M, PATH_EVERY_S, paths, results)
    lat, lon, _ = geodesy.ecef_to_geodetic(mean.place_m).tolist()
    level = geodesy.enu_basis(lat, lon)[:2]
    offset = np.empty((len(states), 3))
    offset[:, :2] = (results[:, 2:5] - mean.place_m) @ level.T
    offset[:, 2] = results[:, 1] - mean.seconds
    down = results[:, 0] == 0.0
    shift, covariance = spread(offset, down)
    place = mean.place_m + level.T @ shift[:2]
    if shift[:2].any():
        lat, lon, _ = geodesy.ecef_to_geodetic(place).tolist()
    fifty, ninety_five = ellipses(covariance[:2, :2])
    share = 1.0 if not len(down) else (1.0 + float(down.sum())) / (1.0 + len(down))
    return Landing(mean, lat, lon, place, mean.seconds + float(shift[2]), covariance, fifty, ninety_five, paths, results, share)


def sigma_states(state: FlightState) -> tuple[Array, Array]:
    """Return the flights around a state: (2n, 6) states and (2n,) inverse coefficients, plus and minus along every axis."""
    root = square_root(state.covariance)
    axes = np.sqrt(STEP2) * root[:, root.any(axis=0)].T
    middle = 1.0 / state.coefficient_kg_m2 if state.coefficient_kg_m2 > 0.0 else 0.0
    drags = middle > 0.0 and state.log_sigma > 0.0
    states = np.tile(state.mean, (2 * len(axes) + 2 * drags, 1))
    per = np.full(len(states), middle)
    states[0 : 2 * len(axes) : 2] += axes
    states[1 : 2 * len(axes) : 2] -= axes
    if drags:
        per[-2:] *= np.exp(np.array([1.0, -1.0]) * np.sqrt(STEP2) * state.log_sigma)
    return states, per


def square_root(covariance: Array) -> Array:
    """Return a square root of a non-negative 6x6 covariance whose variances may span many decades."""
    scale = np.sqrt(np.diag(covariance))
    safe = np.where(scale > 0.0, scale, 1.0)
    values, vectors = np.linalg.eigh(covariance / np.outer(safe, safe))
    return np.asarray(safe[:, None] * vectors * np.sqrt(np.maximum(values, 0.0)))


def spread(offset: Array, down: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return shift of the mean (3,) and covariance (3, 3) of outcomes in plus-minus pairs (2n, 3), relative to the centre's.

    A flight that does not come down is taken as the mirror of its partner; a pair of which neither does says nothing.
    """
    plus, minus = offset[0::2].copy(), offset[1::2].copy()
    up, low = down[0::2], down[1::2]
    plus[~up], minus[~low] = -minus[~up], -plus[~low]
    plus[~up & ~low], minus[~up & ~low] = 0.0, 0.0
    odd, even = (plus - minus) / 2.0, (plus + minus) / 2.0
    covariance = odd.T @ odd / STEP2 + even.T @ even * ((STEP2 - 1.0) / STEP2**2)
    return even.sum(axis=0) / STEP2, covariance


def ellipses(covariance: Array) -> tuple[GroundEllipse, GroundEllipse]:
    """Return the 50 and 95 % ellipses of a covariance over (east, north)."""
    values, vectors = np.linalg.eigh(covariance)
    sigma = np.sqrt(np.maximum(values[::-1], 0.0))
    east, north = vectors[:, 1]
    bearing = float(np.degrees(np.arctan2(east, north)) % 180.0)
    one = GroundEllipse((float(sigma[0]), float(sigma[1])), bearing)
    return one.scaled(float(np.sqrt(RADIUS2_50))), one.scaled(float(np.sqrt(RADIUS2_95)))


class Origin(NamedTuple):
    """Where an unpowered arc through a state would have left the ground: place (ECEF), seconds before it, and its apogee m.

    `place_m` is None when, followed back, it was never at the ground: what orbits was there before.
    """

    place_m: Array | None
    seconds: float
    apogee_m: float


def arc_back(state: FlightState) -> Origin:
    """Follow a state back without drag, to the ground or through its last apogee; see `Origin`."""
    from trilat.kernels import ballistic as b  # noqa: PLC0415 - numba loads here

    # Backward in time is forward with the velocity turned round on an Earth that turns the other way.
    earth = _earth().copy()
    earth[4:7] *= -1.0
    y = state.mean.copy()
    y[3:] *= -1.0
    out = np.empty(b.RESULT_COLUMNS)
    b.fly_one(earth, y, 0.0, state.ground_m, T_MAX_S, TOLERANCE_SPREAD_M, 1.0, np.empty((0, 6)), out)
    place = out[2:5].copy() if out[0] == b.LANDED else None
    return Origin(place, float(out[1]), float(out[8]))


def ground_range_m(one_m: Array, other_m: Array) -> float:
    """Return the distance over the ground between two places (ECEF): the arc between their verticals on the local sphere."""
    a, b = one_m / np.linalg.norm(one_m), other_m / np.linalg.norm(other_m)
    angle = 2.0 * np.arcsin(min(1.0, float(np.linalg.norm(a - b)) / 2.0))
    radius = (_ground_radius_m(a.tolist()) + _ground_radius_m(b.tolist())) / 2.0
    return float(angle * radius)


def _ground_radius_m(unit: Sequence[float]) -> float:
    """Return the ellipsoid's radius m in a direction from the centre."""
    x, y, z = unit
    return float(1.0 / sqrt((x * x + y * y) / geodesy.WGS84_A_M**2 + z * z / geodesy.WGS84_B_M**2))


def energy_range_m(mean: Array) -> float:
    """Return the energy-equivalent range m of a state (6,): the farthest an unpowered arc of its energy reaches from the ground.

    The energy is that in the rotating frame (Jacobi's), brought down to the ground; the farthest range of a speed at the
    ground is that of the least-energy ellipse, sin(range/2) = q/(2-q) with q = v2 r/mu (Bate, Mueller, White, Fundamentals of
    Astrodynamics, 1971, section 6.2). Half the Earth's girth where the energy reaches any place.
    """
    x, y, z, *velocity = mean.tolist()
    r = hypot(x, y, z)
    potential = MU_M3_S2 / r + 0.5 * SPIN_RAD_S**2 * (x * x + y * y)
    ground = _ground_radius_m((x / r, y / r, z / r))
    share = ground / r
    at_ground = MU_M3_S2 / ground + 0.5 * SPIN_RAD_S**2 * (x * x + y * y) * share**2
    speed2 = sum(one * one for one in velocity) + 2.0 * (at_ground - potential)
    q = max(speed2, 0.0) * ground / MU_M3_S2
    if q >= 1.0:
        return pi * ground
    return 2.0 * asin(q / (2.0 - q)) * ground


def energy_lost_m(state: FlightState, seconds: float) -> float:
    """Return how much energy-equivalent range m the air took from a free flight in the last so many seconds."""
    from trilat.kernels import ballistic as b  # noqa: PLC0415 - numba loads here

    per = 1.0 / state.coefficient_kg_m2 if state.coefficient_kg_m2 > 0.0 else 0.0
    before = np.empty((1, 6))
    b.move_many(_earth(), state.mean[None, :], np.full(1, per), -seconds, TOLERANCE_SPREAD_M, before)
    return max(0.0, energy_range_m(before[0]) - energy_range_m(state.mean)) if np.isfinite(before).all() else 0.0


def perigee_m(mean: Array) -> float:
    """Return the height m above the mean sphere of the osculating ellipse's lowest point; below zero for what comes down."""
    x, y, z, v, w, u = mean.tolist()
    v, w = v - SPIN_RAD_S * y, w + SPIN_RAD_S * x
    r = hypot(x, y, z)
    energy = (v * v + w * w + u * u) / 2.0 - MU_M3_S2 / r
    h2 = (y * u - z * w) ** 2 + (z * v - x * u) ** 2 + (x * w - y * v) ** 2
    eccentricity = sqrt(max(0.0, 1.0 + 2.0 * energy * h2 / MU_M3_S2**2))
    return float(h2 / MU_M3_S2 / (1.0 + eccentricity) - EARTH_MEAN_M)
