"""A generic flight from a place: its powered climb chosen so that apogee and range are those wanted, then free flight.

Vehicles and thrust are generic (the acceleration levels of the open tracking literature); what is public of a flight is its
place, direction, apogee and range, and that is all that goes in. Used by tests, benchmarks and the demo.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trilat.errors import ExerciseError
from trilat.kernels import geodesy

Array = NDArray[np.float64]
MEAN_PUSH_M_S2 = 33.0  # mean gain of speed per second of burning
PUSH_RATIO = 2.2  # last over first acceleration of a stage
BURN_S = (25.0, 330.0)
# How quickly it burns and over what share of the burn it turns over: low arcs need a quicker burn; what flies flat within the air
# has turned over when much of the burn is still to come.
CLIMBS, FLAT = ((1.0, 1.0), (2.0, 1.0)), ((2.0, 0.4),)
STAGE_MAX_S = 110.0  # a longer burn is of more than one stage
COEFFICIENTS_KG_M2 = (5_000.0, 20_000.0, 0.0)  # tried in turn: low, fast arcs need a slender body, or none at all (0)
TURNS = 25
FIT_M = 2_000.0
T_MAX_S = 10_800.0


class Wanted(NamedTuple):
    """What is public of a flight."""

    lat_deg: float
    lon_deg: float
    bearing_deg: float
    range_m: float
    apogee_m: float


class Flight(NamedTuple):
    """A flown flight: states (ECEF, (n, 6)) every `step_s` from the launch on, and what it came to."""

    states: Array
    step_s: float
    burnout_s: float
    landing_s: float
    landing_m: Array
    apogee_m: float
    range_m: float
    coefficient_kg_m2: float
    stages: Array

    def at(self, t_s: Any) -> Array:
        """Return states at times (s after launch), by cubic Hermite between the steps; held at the ends."""
        t = np.clip(np.asarray(t_s, np.float64) / self.step_s, 0.0, len(self.states) - 1.000001)
        k = t.astype(np.int64)
        u = (t - k)[..., None]
        a, b, h = self.states[k], self.states[k + 1], self.step_s
        p, v = _hermite(a[..., :3], b[..., :3], a[..., 3:], b[..., 3:], u, h)
        return np.concatenate([p, v], axis=-1)


def _hermite(p0: Array, p1: Array, v0: Array, v1: Array, u: Array, h: float) -> tuple[Array, Array]:
    rise = p1 - p0
    place = p0 + u * (h * v0) + u**2 * (3 * rise - h * (2 * v0 + v1)) + u**3 * (h * (v0 + v1) - 2 * rise)
    speed = v0 + 2 * u * (3 * rise / h - (2 * v0 + v1)) + 3 * u**2 * ((v0 + v1) - 2 * rise / h)
    return place, speed


def generic_flight(wanted: Wanted, gap_s: float = 1.5, coefficient_kg_m2: float | None = None) -> Flight:
    """Return a flight whose range and apogee are those wanted, within FIT_M; ExerciseError when none is found."""
    tried = COEFFICIENTS_KG_M2 if coefficient_kg_m2 is None else (coefficient_kg_m2,)
    for climbs in (CLIMBS, FLAT):
        for coefficient in tried:
            for haste, turn in climbs:
                found = _fit(wanted, gap_s, coefficient, haste, turn)
                if found is not None:
                    return found
    raise ExerciseError("flight-unsolved", f"{wanted}.")


def _fit(wanted: Wanted, gap_s: float, coefficient: float, haste: float, turn: float) -> Flight | None:
    """Return the flight by Newton's method on speed gained and last angle; None when it does not settle."""
    x = _first_guess(wanted)
    burn_s = float(np.clip(x[0] / MEAN_PUSH_M_S2 / haste, *BURN_S))
    goal = np.array([wanted.range_m, wanted.apogee_m])
    for _ in range(TURNS):
        flown = _fly(wanted, x, (burn_s, gap_s, turn), coefficient)
        if flown is None:
            return None
        miss = np.array([flown.range_m, flown.apogee_m]) - goal
        if np.abs(miss).max() < FIT_M:
            return flown
        slope = np.empty((2, 2))
        for k, step in enumerate((x[0] * 1e-3, 2e-3)):
            other = x.copy()
            other[k] += step
            near = _fly(wanted, other, (burn_s, gap_s, turn), coefficient)
            if near is None:
                return None
            slope[:, k] = (np.array([near.range_m, near.apogee_m]) - goal - miss) / step
        if abs(np.linalg.det(slope)) < 1e-9:
            return None
        move = np.linalg.solve(slope, -miss)
        share = min(1.0, 0.1 * x[0] / max(abs(move[0]), 1e-9), 0.12 / max(abs(move[1]), 1e-9))
        x = x + share * move
        x[1] = float(np.clip(x[1], -1.2, 1.55))
    return None


def _first_guess(wanted: Wanted) -> Array:
    """Return speed to gain m/s and last angle over the horizon rad, from the arc in vacuum over a flat Earth, and losses."""
    up = np.sqrt(2 * 9.81 * wanted.apogee_m / (1 + wanted.apogee_m / 6.37e6))
    flight_s = 2 * up / 9.81 * (1 + wanted.apogee_m / 6.37e6)
    along = wanted.range_m / max(flight_s, 60.0) * 1.05
    speed = float(np.hypot(up, along))
    return np.array([speed * 1.12 + 350.0, float(np.arctan2(up, along)) * 0.9])


def _stages(speed_m_s: float, burn_s: float, gap_s: float) -> Array:
    """Return the table of stages (kernels/ballistic.py) that gains a speed in a time of burning, with pauses between stages."""
    count = max(1, int(np.ceil(burn_s / STAGE_MAX_S)))
    each = burn_s / count
    # The mean of first/(1 - u(1-1/r)) over u in 0..1 is first ln(r)/(1-1/r).
    mean = np.log(PUSH_RATIO) / (1 - 1 / PUSH_RATIO)
    first = speed_m_s / burn_s / mean
    starts = [k * (each + gap_s) for k in range(count)]
    return np.array([(s, s + each, first, first * PUSH_RATIO) for s in starts])


def _fly(wanted: Wanted, x: Array, burn: tuple[float, float, float], coefficient: float) -> Flight | None:
    """Return the flight of a speed gained and a last angle; None when it does not leave the ground or come back.

    burn: how long, the pauses between its stages (s), and the share of it over which it turns.
    """
    from trilat.kernels import ballistic  # noqa: PLC0415 - numba loads here
    from trilat.kernels.frames import earth  # noqa: PLC0415 - same

    wgs84, per = earth("wgs84"), 1.0 / coefficient if coefficient > 0.0 else 0.0
    stages = _stages(x[0], burn[0], burn[1])
    place = geodesy.geodetic_to_ecef(wanted.lat_deg, wanted.lon_deg, 1.0)
    basis, turn = geodesy.enu_basis(wanted.lat_deg, wanted.lon_deg), np.radians(wanted.bearing_deg)
    along = basis[0] * np.sin(turn) + basis[1] * np.cos(turn)
    end_s = float(stages[-1, ballistic.B_TO])
    steps = int(np.ceil(end_s / ballistic.STEP_S)) + 2
    path = np.empty((steps, 6))
    ballistic.climb(wgs84, np.concatenate([place, np.zeros(3)]), stages, np.array([*along, x[1], end_s * burn[2]]), per, path)
    if geodesy.ecef_to_geodetic(path[:, :3])[1:, 2].min() < 0.5:
        return None
    out, free = np.empty(ballistic.RESULT_COLUMNS), np.empty((int(T_MAX_S / ballistic.STEP_S), 6))
    rows = ballistic.fly_one(wgs84, path[-1], per, 0.0, T_MAX_S, 0.1, ballistic.STEP_S, free, out)
    if out[ballistic.R_STATUS] != ballistic.LANDED:
        return None
    states = np.concatenate([path[:-1], free[:rows]])
    down = out[2:5].copy()
    down_s = (steps - 1) * ballistic.STEP_S + float(out[1])
    over_m = float(geodesy.ecef_to_geodetic(path[:, :3])[:, 2].max())
    flown = ground_range_m(place, down)
    return Flight(states, ballistic.STEP_S, end_s, down_s, down, max(over_m, float(out[8])), flown, coefficient, stages)


def ground_range_m(one_m: Array, other_m: Array) -> float:
    """Return the distance over the ground between two places (ECEF) by their angle at the centre and a mean radius."""
    a, b = one_m / np.linalg.norm(one_m), other_m / np.linalg.norm(other_m)
    return float(2 * np.arcsin(min(1.0, float(np.linalg.norm(a - b)) / 2)) * 6_371_000.0)
