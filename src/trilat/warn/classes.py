"""What a flight is, with probabilities: by the range it flies, by the range its energy could have reached, by its orbit.

Bounds of the classes are those of public statements: short under 1,000 km, medium to 3,000, intermediate to 5,500,
intercontinental above. Lofted and depressed are by the angle at which the arc leaves the ground against that of least energy.
"""

from __future__ import annotations

from math import erf, exp, hypot, log, sqrt
from typing import Any, NamedTuple

import numpy as np

from trilat.kernels import geodesy
from trilat.records.assessment import ClassProbability, FlightClass, TrajectoryShape
from trilat.warn.landing import (
    MU_M3_S2,
    SPIN_RAD_S,
    STEP2,
    Array,
    Landing,
    arc_back,
    energy_range_m,
    ground_range_m,
    perigee_m,
    sigma_states,
)
from trilat.warn.state import FlightState

BOUNDS_M: tuple[float, ...] = (1_000e3, 3_000e3, 5_500e3)
BY_RANGE: tuple[FlightClass, ...] = ("SRBM", "MRBM", "IRBM", "ICBM")
# Higher than this over the mean sphere at its lowest, an orbit comes round again: the air takes hours over it.
ORBIT_M = 80_000.0
# Followed back, an orbit's arc never was at the ground; one whose lowest point is within the ground was, once.
RETURN_M = 0.0
NEARLY_ORBIT_M = 9_000e3
SMALL_M = 40e3  # no ballistic missile of the public lists flies so little; what has no more energy falls, or flies by other means
LEVEL = (-0.1, 0.03)  # sine of the path's angle of what flies nearly level
UNSEEN, DECAYS = 0.5, 0.4  # that what returns and was never seen to thrust is no missile; so much more, where it may decay
PERIGEE_SIGMA_MIN_M = 3_000.0
RANGE_SIGMA_SHARE = 0.01  # what drag in the climb and the unknown point of burn-out leave open of an energy's range
# Mean acceleration from rest to the end of a burn, as it is estimated here: mean and sigma of satellite launchers' and of
# missiles', and the least time that a launcher's burn takes.
LAUNCHERS_M_S2, MISSILES_M_S2, LONG_S = (15.3, 1.7), (27.0, 6.0), 100.0
SPACE_NAMED = 0.9  # a space launch is called one from this probability on: to call a missile so would be the worst of mistakes
LOFT_DEG = 12.0  # farther from the angle of least energy than this, an arc is named lofted or depressed

CLIMB_M_S, CLIMB_HEIGHT_M = 300.0, 8_000.0  # no aircraft in service climbs faster, sustained (open records: about 250 m/s)
FAST_M_S, FAST_HEIGHT_M = 1_000.0, 16_000.0  # nor does any fly so fast, higher than traffic flies
SIGMAS = 2.5
CUED_HEIGHT_M, CUED_SPEED_M_S = 16_000.0, 700.0  # higher than traffic flies, or faster
TOLD_HEIGHT_M, TOLD_SPEED_M_S = 30_000.0, 1_500.0  # higher than anything with wings, or faster than two bad plots of it make it


class Spread(NamedTuple):
    """A number with its sigma."""

    mean: float
    sigma: float


class Shape(NamedTuple):
    """The arc of a flight from the ground to the ground."""

    apogee_m: float
    range_m: float | None
    energy_range_m: Spread
    perigee_m: Spread
    shape: TrajectoryShape | None
    launch_m: Array | None  # where the unpowered arc, followed back, left the ground


def normal(x: float) -> float:
    """Return the probability that a standard normal number is below x."""
    return 0.5 * (1.0 + erf(x / sqrt(2.0)))


def log_above(bound: float, mean: float, sigma: float) -> float:
    """Return the log probability that a number of a mean and a sigma is above a bound, no less than that of one in 1e9."""
    return log(max(normal((mean - bound) / sigma), 1e-9))


def speed_of(mean: Array, covariance: Array) -> tuple[float, float]:
    """Return the speed of a state (6,) and its sigma, m/s."""
    speed = float(np.linalg.norm(mean[3:]))
    along = mean[3:] / max(speed, 1.0)
    return speed, sqrt(max(float(along @ covariance[3:6, 3:6] @ along), 0.0))


def of_range(range_m: Spread) -> tuple[float, ...]:
    """Return the probabilities of the four classes by range."""
    sigma = max(range_m.sigma, 1.0)
    below = [normal((bound - range_m.mean) / sigma) for bound in BOUNDS_M]
    return (below[0], below[1] - below[0], below[2] - below[1], 1.0 - below[2])


def spread_of(state: FlightState, values: list[float], middle: float) -> Spread:
    """Return mean and sigma of a number over a state's sigma states (pairs), as in landing.spread."""
    del state
    if not values:
        return Spread(middle, 0.0)
    both = np.array(values).reshape(-1, 2) - middle
    odd, even = (both[:, 0] - both[:, 1]) / 2.0, both.sum(axis=1) / 2.0
    variance = float(odd @ odd / STEP2 + even @ even * ((STEP2 - 1.0) / STEP2**2))
    return Spread(middle, sqrt(variance))


def shape_of(state: FlightState, landing: Landing | None, launch_m: Array | None = None, lost_m: float = 0.0) -> Shape:
    """Return the arc of a state: its apogee (also when passed), its range from launch (or where the arc left the ground).

    lost_m: the energy-equivalent range that the air took since burn-out; what drag was is known no better than its coefficient.
    """
    states = list(sigma_states(state._replace(log_sigma=0.0))[0])
    energy = spread_of(state, [energy_range_m(one) for one in states], energy_range_m(state.mean))
    unsure = sqrt((RANGE_SIGMA_SHARE * energy.mean) ** 2 + (state.log_sigma * lost_m) ** 2)
    energy = Spread(energy.mean + lost_m, sqrt(energy.sigma**2 + unsure**2))
    perigee = spread_of(state, [perigee_m(one) for one in states], perigee_m(state.mean))
    perigee = Spread(perigee.mean, max(perigee.sigma, PERIGEE_SIGMA_MIN_M))
    back = arc_back(state)
    start = back.place_m if launch_m is None else launch_m
    apogee = back.apogee_m if landing is None else max(back.apogee_m, landing.flight.apogee_m)
    if landing is None or start is None:
        return Shape(apogee, None, energy, perigee, None, start)
    flown = ground_range_m(start, landing.place_m)
    return Shape(apogee, flown, energy, perigee, loft(apogee, flown), start)


def loft(apogee_m: float, range_m: float) -> TrajectoryShape:
    """Return how an arc of this apogee and range stands to the arc of least energy to the same range.

    The angle at which an ellipse through the ground leaves it follows from both (Bate, Mueller, White 1971, section 6.2, on the
    mean sphere); that of least energy is (180 degrees - range angle) / 4.
    """
    angle = range_m / 6_371_000.0
    ratio = (6_371_000.0 + apogee_m) / 6_371_000.0
    half = angle / 2.0
    if ratio <= np.cos(half):  # neither up nor away: it has no arc
        return "normal"
    # Apogee radius a(1+e), ground radius a(1-e2)/(1+e cos f), f = pi - half angle: solve for e, then for the angle.
    e = (ratio - 1.0) / (ratio - np.cos(half))
    cos_f, sin_f = -np.cos(half), np.sin(half)
    climb = float(np.degrees(np.arctan2(e * sin_f, 1.0 + e * cos_f)))
    least = (180.0 - float(np.degrees(angle))) / 4.0
    return "lofted" if climb > least + LOFT_DEG else "depressed" if climb < least - LOFT_DEG else "normal"


class Odds(NamedTuple):
    """What speaks for and against a missile beside its arc: probabilities."""

    launch: float = 1.0  # it was launched: seen to thrust or to come up from the ground
    more_thrust: float = 0.0  # it burns, or will burn again
    launcher: float = 0.0  # its burn is that of a space launcher's stage
    next_stage: float = 1.0  # were it a launcher's, it would be lit again yet: falls when it is not
    level: bool = False  # when first seen it flew level or nearly so


def classes(shape: Shape, odds: Odds = Odds()) -> tuple[tuple[ClassProbability, ...], tuple[ClassProbability, ...]]:  # noqa: B008 - a constant
    """Return the classes by energy-equivalent range and by flown range, each summing to one, likeliest first.

    A space launch is named from SPACE_NAMED on; what speaks for it before is with "launch, unclassified".
    """
    orbits = normal((shape.perigee_m.mean - ORBIT_M) / shape.perigee_m.sigma)
    returns = normal((RETURN_M - shape.perigee_m.mean) / shape.perigee_m.sigma)
    # A launcher's slow burn that has come to this much is on its way to an orbit, though it is not in it yet.
    nearly = odds.launcher * normal((shape.energy_range_m.mean - NEARLY_ORBIT_M) / max(shape.energy_range_m.sigma, 1.0))
    orbits, returns = 1.0 - (1.0 - orbits) * (1.0 - nearly), returns * (1.0 - nearly)
    # What neither orbits nor was at the ground within one arc falls out of an orbit.
    falls = max(0.0, 1.0 - orbits - returns)
    launched = odds.launch
    waits = odds.launcher * odds.next_stage / (odds.launcher * odds.next_stage + 1.0 - odds.launcher + 1e-12)
    open_still = 1.0 - (1.0 - odds.more_thrust) * (1.0 - waits)
    unclassified = launched * (1.0 - orbits * (1.0 - odds.more_thrust)) * open_still
    space = launched * orbits * (1.0 - odds.more_thrust)
    # Never seen to thrust, at nearly the speed of an orbit and level when first seen: what decays from one looks just so.
    decays = odds.level * normal((shape.energy_range_m.mean - NEARLY_ORBIT_M) / max(shape.energy_range_m.sigma, 1.0))
    nothing = (1.0 - launched) * (orbits + falls + (UNSEEN + DECAYS * decays) * returns)
    rest = max(0.0, 1.0 - unclassified - space - nothing)
    small = rest * normal((SMALL_M - shape.energy_range_m.mean) / max(shape.energy_range_m.sigma, 1.0))
    nothing, rest = nothing + small, rest - small
    sets = []
    flown = shape.energy_range_m if shape.range_m is None else Spread(shape.range_m, RANGE_SIGMA_SHARE * shape.range_m)
    for ranges in (of_range(shape.energy_range_m), of_range(flown)):
        chances = dict(zip(BY_RANGE, (p * rest for p in ranges), strict=True))
        chances |= {"space launch": space, "not a missile": nothing, "launch, unclassified": unclassified}
        total = sum(chances.values())
        if space < SPACE_NAMED * total:  # not sure yet: a launch that has no class
            chances |= {"space launch": 0.0, "launch, unclassified": unclassified + space}
        order = sorted(chances, key=lambda name: (-chances[name], name))
        sets.append(tuple(ClassProbability(name=name, probability=min(1.0, chances[name] / total)) for name in order))
    return sets[0], sets[1]


def launcher_odds(speed_m_s: float, burn_s: float, sigma_s: float) -> float:
    """Return how likely a burn is a space launcher's: it gains speed slowly, for long.

    Mean acceleration from rest: public webcast telemetry of launchers' first stages lies at 11 to 17 m/s2 over 140 to 185 s (a
    launcher leaves its pad slowly, so that its launch is held to be some seconds late and its mean a little high), flights of
    ballistic missiles in the open literature above 20 m/s2 (docs/explanation/warning.md). The odds are those of the two
    populations at the estimate, each widened by the estimate's own sigma.
    """
    mean = speed_m_s / max(burn_s, 1.0)
    sigma = mean * sigma_s / max(burn_s, 1.0)
    # Beyond its own population's middle a value speaks no more for the other: what is slower still is a launcher all the more.
    slow, quick = (
        log_density(max(mean, LAUNCHERS_M_S2[0]), *LAUNCHERS_M_S2, sigma),
        log_density(min(mean, MISSILES_M_S2[0]), *MISSILES_M_S2, sigma),
    )
    odds = 1.0 / (1.0 + exp(min(quick - slow, 60.0)))
    long = 1.0 / (1.0 + exp(min((LONG_S - burn_s) / 5.0, 60.0)))
    return odds * long


def level(mean: Array, before_s: float = 0.0) -> bool:
    """Tell whether a state (6,), ECEF, flies level or nearly so, or did so long before, had it fallen freely since."""
    x, y, z, v, w, u = mean.tolist()
    r, speed = hypot(x, y, z), max(hypot(v, w, u), 1.0)
    climb = (x * v + y * w + z * u) / r
    across2 = (v - SPIN_RAD_S * y) ** 2 + (w + SPIN_RAD_S * x) ** 2 + u * u - climb * climb
    slope = (climb - (across2 / r - MU_M3_S2 / (r * r)) * before_s) / speed
    return bool(LEVEL[0] < slope < LEVEL[1])


def log_density(x: float, mean: float, spread: float, sigma: float) -> float:
    """Return the logarithm (but for a constant) of a normal density of a spread, at a value known to a sigma."""
    wide = spread**2 + sigma**2
    return -0.5 * ((x - mean) ** 2 / wide + log(wide))


def height_m(mean: Array) -> float:
    """Return the ellipsoidal height m of a state."""
    return float(geodesy.ecef_to_geodetic(mean[:3])[2])


def launch_like(row: Any) -> bool:
    """Tell whether a track's state is surely that of a launch or of something as fast and as high, and of no aircraft."""
    p, v, spread = row["position_m"], row["velocity_m_s"], row["covariance"]
    speed = float(np.linalg.norm(v))
    if not np.isfinite(speed) or speed < CLIMB_M_S:
        return False
    lat, lon, height = geodesy.ecef_to_geodetic(p).tolist()
    up = geodesy.enu_basis(lat, lon)[2]
    climb = float(up @ v) - SIGMAS * float(np.sqrt(max(up @ spread[3:, 3:] @ up, 0.0)))
    high = height - SIGMAS * float(np.sqrt(max(up @ spread[:3, :3] @ up, 0.0)))
    fast = speed - SIGMAS * float(np.sqrt(max(np.trace(spread[3:, 3:]), 0.0)))
    return (climb > CLIMB_M_S and high > CLIMB_HEIGHT_M) or (fast > FAST_M_S and high > FAST_HEIGHT_M)


def climbs(row: Any, height_m: float = CUED_HEIGHT_M, speed_m_s: float = CUED_SPEED_M_S) -> bool:
    """Tell whether a track may be a launch's that has been seen a few times: above a height or faster, and not sinking."""
    p, v, spread = row["position_m"], row["velocity_m_s"], row["covariance"]
    lat, lon, height = geodesy.ecef_to_geodetic(p).tolist()
    up = geodesy.enu_basis(lat, lon)[2]
    climb = float(up @ v) - 0.5 * float(np.sqrt(max(up @ spread[3:, 3:] @ up, 0.0)))
    high = height - float(np.sqrt(max(up @ spread[:3, :3] @ up, 0.0)))
    fast = float(np.linalg.norm(v)) - float(np.sqrt(max(np.trace(spread[3:, 3:]), 0.0)))
    return climb > 0.0 and (high > height_m or fast > speed_m_s)
