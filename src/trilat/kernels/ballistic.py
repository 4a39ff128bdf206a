"""Unpowered flight to the ground, compiled: adaptive Dormand-Prince 5(4) in the Earth-fixed frame with dense output.

Gravity with J2, Coriolis and centrifugal acceleration (frames.acceleration), drag in the rotating US Standard Atmosphere 1976
by a ballistic coefficient m/(Cd A). Coefficients: Dormand and Prince, J. Comp. Appl. Math. 6, 1980; the continuous extension:
Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I, 1993, section II.6. Landing and apogee are roots of the
continuous extension, each then met by a step of exactly that length, so that neither is read off at steps.
"""

from __future__ import annotations

import numpy as np

from trilat.kernels.atmosphere import TOP_M, density
from trilat.kernels.frames import acceleration, vertical
from trilat.kernels.jit import entry, kernel

TOP, LEVEL = 0, 1  # what a root within a step is sought of: the end of a climb, a height
LANDED, FLYING, ESCAPED, INSIDE, STUCK = 0, 1, 2, 3, 4
# Columns of a flight's result: how it ended, when (s), where and how fast (ECEF), apogee (height m, time s, place), and the
# times it went down through REENTRY_M and climbed through it (NaN when it did not).
R_STATUS, R_T, R_P, R_V, R_APOGEE, R_APOGEE_T, R_APOGEE_P, R_REENTRY_T, R_STEPS = 0, 1, 2, 5, 8, 9, 10, 13, 14
RESULT_COLUMNS = 15
REENTRY_M = 100_000.0  # where drag begins to matter to anything that falls
ESCAPE_M = 6.0e7  # no ballistic flight that comes back within hours goes higher
STEP_MAX_S = 120.0
# No step leaps into the air from above, nor over what the air does there: its error would go unseen.
STEP_AIR_S, AIR_M = 4.0, 130_000.0
STEPS_MAX = 20_000
ROOT_TURNS = 60
# A generic powered climb, for exercises: acceleration levels of the open tracking literature, no vehicle's.
STEP_S = 0.1
CLIMB_S = 8.0  # it rises straight up for so long
# Columns of a stage: from and to (s), acceleration at its start and end (m/s2).
B_FROM, B_TO, B_FIRST, B_LAST = 0, 1, 2, 3

_A = np.zeros((7, 6))
_A[1, 0] = 1 / 5
_A[2, :2] = 3 / 40, 9 / 40
_A[3, :3] = 44 / 45, -56 / 15, 32 / 9
_A[4, :4] = 19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729
_A[5, :5] = 9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656
_A[6] = 35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84
_E = np.array([71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40])
_D = np.array(
    [
        -12715105075 / 11282082432, 0.0, 87487479700 / 32700410799, -10690763975 / 1880347072,
        701980252875 / 199316789632, -1453857185 / 822651844, 69997945 / 29380423,
    ]
)  # fmt: skip


@kernel
def rates(earth, y, per_coefficient, out):  # type: ignore[no-untyped-def]
    """Write the rates of y (position m, velocity m/s; ECEF). per_coefficient: 1 / ballistic coefficient, m2/kg; 0 is no drag."""
    out[0], out[1], out[2] = y[3], y[4], y[5]
    acceleration(earth, y[:3], y[3:], out[3:])
    if per_coefficient > 0.0:
        _, _, _, height = vertical(earth, y[0], y[1], y[2])
        if height < TOP_M:
            speed = np.sqrt(y[3] * y[3] + y[4] * y[4] + y[5] * y[5])
            k = -0.5 * density(height) * speed * per_coefficient
            out[3] += k * y[3]
            out[4] += k * y[4]
            out[5] += k * y[5]


@kernel
def stages(earth, per_coefficient, h, y, K, end):  # type: ignore[no-untyped-def]
    """Fill K[1:7] from K[0] for a step h and write its end; returns nothing. K (7, 6)."""
    for s in range(1, 7):
        for a in range(6):
            d = 0.0
            for r in range(s):
                d += _A[s, r] * K[r, a]
            end[a] = y[a] + h * d
        rates(earth, end, per_coefficient, K[s])


@kernel
def wrong(h, K, tolerance_m):  # type: ignore[no-untyped-def]
    """Return the step's error over what is allowed: tolerance_m of place, a hundredth of it per second of speed."""
    worst = 0.0
    for a in range(6):
        d = 0.0
        for s in range(7):
            d += _E[s] * K[s, a]
        worst = max(worst, abs(h * d) / (tolerance_m if a < 3 else 0.01 * tolerance_m))
    return worst


@kernel
def within(y, end, h, K, share, out):  # type: ignore[no-untyped-def]
    """Write the state at a share (0..1) of the step from y to end: the fourth-order continuous extension."""
    back = 1.0 - share
    for a in range(6):
        rise = end[a] - y[a]
        b = h * K[0, a] - rise
        c = rise - h * K[6, a] - b
        d = 0.0
        for s in range(7):
            d += _D[s] * K[s, a]
        out[a] = y[a] + share * (rise + back * (b + share * (c + back * h * d)))


@kernel
def height_of(earth, y):  # type: ignore[no-untyped-def]
    """Return the ellipsoidal height m of a state."""
    return vertical(earth, y[0], y[1], y[2])[3]


@kernel
def climb_of(earth, y):  # type: ignore[no-untyped-def]
    """Return the rate of climb m/s of a state."""
    ux, uy, uz, _ = vertical(earth, y[0], y[1], y[2])
    return ux * y[3] + uy * y[4] + uz * y[5]


@kernel
def aim(earth, y, level_m, what):  # type: ignore[no-untyped-def]
    """Return what a root is sought of: the rate of climb, or the height over a level."""
    return climb_of(earth, y) if what == TOP else height_of(earth, y) - level_m


@kernel
def root(earth, y, end, h, K, level_m, what, out):  # type: ignore[no-untyped-def]
    """Return the share of the step where the height falls to level_m (or, TOP, where climbing ends); leaves the state in out.

    Regula falsi with the Illinois rule (Dowell and Jarratt, BIT 11, 1971).
    """
    low, high, side = 0.0, 1.0, 0
    at_low, at_high = aim(earth, y, level_m, what), aim(earth, end, level_m, what)
    share = 1.0
    for _ in range(ROOT_TURNS):
        if at_low <= at_high:
            break
        share = (at_low * high - at_high * low) / (at_low - at_high)
        within(y, end, h, K, share, out)
        value = aim(earth, out, level_m, what)
        if abs(value) < 1e-2 or high - low < 1e-12:
            break
        if value > 0.0:
            low, at_low = share, value
            at_high *= 0.5 if side == 1 else 1.0
            side = 1
        else:
            high, at_high = share, value
            at_low *= 0.5 if side == -1 else 1.0
            side = -1
    return share


@kernel
def meet(earth, per_coefficient, y, h, K, level_m, what, out):  # type: ignore[no-untyped-def]
    """Step from y by about h and then by what is missing (Newton), so that the level is met to a millimetre; returns the time."""
    for _ in range(3):
        stages(earth, per_coefficient, h, y, K, out)
        if what == TOP:
            rate = -9.0
            miss = climb_of(earth, out)
        else:
            rate = climb_of(earth, out)
            miss = height_of(earth, out) - level_m
        if abs(miss) < 1e-3 or abs(rate) < 1e-3:
            break
        h -= miss / rate
    return h


@kernel
def mark(earth, per_coefficient, y, end, h, K, t, climbing, result, L, at, near):  # type: ignore[no-untyped-def]
    """Keep the apogee and the re-entry that a step from y to end holds. L, at, near: scratch."""
    height = height_of(earth, end)
    if climbing and climb_of(earth, end) <= 0.0:
        share = root(earth, y, end, h, K, 0.0, TOP, at)
        L[0] = K[0]
        up = meet(earth, per_coefficient, y, share * h, L, 0.0, TOP, near)
        top = height_of(earth, near)
        if top > result[R_APOGEE]:
            result[R_APOGEE], result[R_APOGEE_T], result[R_APOGEE_P : R_APOGEE_P + 3] = top, t + up, near[:3]
    if height > result[R_APOGEE]:
        result[R_APOGEE], result[R_APOGEE_T], result[R_APOGEE_P : R_APOGEE_P + 3] = height, t + h, end[:3]
    if height_of(earth, y) >= REENTRY_M > height:
        result[R_REENTRY_T] = t + h * root(earth, y, end, h, K, REENTRY_M, LEVEL, at)


@kernel
def fly(earth, y0, per_coefficient, level_m, t_max, tolerance_m, every_s, path, result):  # type: ignore[no-untyped-def]
    """Fly y0 (6,) until it falls through level_m, or for t_max s; write result (RESULT_COLUMNS,), and path (n, 6) every_s.

    Rows of path after the end hold NaN. Returns how many rows were written.
    """
    y, end, at, near = y0.copy(), np.empty(6), np.empty(6), np.empty(6)
    K, L = np.empty((7, 6)), np.empty((7, 6))
    result[:] = np.nan
    before = height_of(earth, y)
    climbing = climb_of(earth, y) > 0.0
    result[R_APOGEE], result[R_APOGEE_T], result[R_APOGEE_P : R_APOGEE_P + 3] = before, 0.0, y[:3]
    result[R_STATUS], result[R_T], result[R_STEPS] = FLYING, 0.0, 0.0
    if before < level_m:
        result[R_STATUS] = INSIDE
        return 0
    t, h, rows, status = 0.0, 1.0, 0, FLYING
    rates(earth, y, per_coefficient, K[0])
    for step in range(STEPS_MAX):
        h = min(h, STEP_MAX_S, t_max - t)
        if per_coefficient > 0.0:
            speed = np.sqrt(y[3] * y[3] + y[4] * y[4] + y[5] * y[5])
            h = min(h, max(STEP_AIR_S, (before - AIR_M) / max(speed, 1.0)))
        stages(earth, per_coefficient, h, y, K, end)
        bad = wrong(h, K, tolerance_m)
        if bad > 1.0:
            h *= max(0.2, 0.9 * bad**-0.2)
            if h < 1e-7:
                status = STUCK
                break
            continue
        height, climb = height_of(earth, end), climb_of(earth, end)
        mark(earth, per_coefficient, y, end, h, K, t, climbing, result, L, at, near)
        climbing = climb > 0.0
        last = 1.0
        if height <= level_m:
            last = root(earth, y, end, h, K, level_m, LEVEL, at)
            status = LANDED
        while rows < len(path) and rows * every_s <= t + last * h:
            within(y, end, h, K, (rows * every_s - t) / h, path[rows])
            rows += 1
        if status == LANDED:
            L[0] = K[0]
            h = meet(earth, per_coefficient, y, last * h, L, level_m, LEVEL, end)
            y[:] = end
            t += h
            break
        y[:] = end
        K[0] = K[6]
        before = height
        t += h
        result[R_STEPS] = step
        if height > ESCAPE_M:
            status = ESCAPED
            break
        if t >= t_max:
            break
        h *= min(5.0, 0.9 * max(bad, 1e-8) ** -0.2)
    result[R_STATUS], result[R_T] = status, t
    result[R_P : R_P + 3], result[R_V : R_V + 3] = y[:3], y[3:]
    for r in range(rows, len(path)):
        path[r] = np.nan
    return rows


@entry
def fly_one(earth, state, per_coefficient, level_m, t_max, tolerance_m, every_s, path, result):  # type: ignore[no-untyped-def]
    """Fly one state (6,); see `fly`."""
    return fly(earth, state, per_coefficient, level_m, t_max, tolerance_m, every_s, path, result)


@entry
def fly_many(earth, states, per_coefficient, level_m, t_max, tolerance_m, every_s, paths, results):  # type: ignore[no-untyped-def]
    """Fly many states (n, 6), each with its own 1 / ballistic coefficient (n,); paths (n, m, 6), results (n, RESULT_COLUMNS)."""
    for i in range(len(states)):
        fly(earth, states[i], per_coefficient[i], level_m, t_max, tolerance_m, every_s, paths[i], results[i])


@entry
def move_many(earth, states, per_coefficient, seconds, tolerance_m, out):  # type: ignore[no-untyped-def]
    """Write states (n, 6) moved by so many seconds (negative goes back), by the same steps, whatever the ground does."""
    K, y, end = np.empty((7, 6)), np.empty(6), np.empty(6)
    for i in range(len(states)):
        y[:] = states[i]
        t, h = 0.0, np.sign(seconds)
        for _ in range(STEPS_MAX):
            if abs(seconds - t) < 1e-9:
                break
            h = np.sign(seconds) * min(abs(h), STEP_MAX_S, abs(seconds - t))
            rates(earth, y, per_coefficient[i], K[0])
            stages(earth, per_coefficient[i], h, y, K, end)
            bad = wrong(h, K, tolerance_m)
            if bad <= 1.0 or abs(h) < 1e-6:
                y[:] = end
                t += h
            h *= min(5.0, max(0.2, 0.9 * max(bad, 1e-8) ** -0.2))
        out[i] = y


@kernel
def push(stages, t):  # type: ignore[no-untyped-def]
    """Return the acceleration m/s2 of thrust at t: as from a steady thrust and a mass that falls evenly."""
    for k in range(len(stages)):
        if stages[k, B_FROM] <= t < stages[k, B_TO]:
            share = (t - stages[k, B_FROM]) / (stages[k, B_TO] - stages[k, B_FROM])
            return stages[k, B_FIRST] / (1.0 - share * (1.0 - stages[k, B_FIRST] / stages[k, B_LAST]))
    return 0.0


@kernel
def powered(earth, y, t, stages, heading, per_coefficient, out):  # type: ignore[no-untyped-def]
    """Write the rates of y (6,) at t. heading: (ECEF direction over the ground (3,), last angle over the horizon rad, end s)."""
    rates(earth, y, per_coefficient, out)
    a = push(stages, t)
    if a <= 0.0:
        return
    ux, uy, uz, _ = vertical(earth, y[0], y[1], y[2])
    dot = ux * heading[0] + uy * heading[1] + uz * heading[2]
    hx, hy, hz = heading[0] - dot * ux, heading[1] - dot * uy, heading[2] - dot * uz
    n = np.sqrt(hx * hx + hy * hy + hz * hz)
    share = min(1.0, max(0.0, (t - CLIMB_S) / (heading[4] - CLIMB_S)))
    angle = 0.5 * np.pi + (heading[3] - 0.5 * np.pi) * share**0.7
    c, s = a * np.cos(angle) / n, a * np.sin(angle)
    out[3] += c * hx + s * ux
    out[4] += c * hy + s * uy
    out[5] += c * hz + s * uz


@entry
def climb(earth, y0, stages, heading, per_coefficient, path):  # type: ignore[no-untyped-def]
    """Fly y0 (6,) under power by Runge-Kutta; write the state every STEP_S, from the start on, into path (n, 6)."""
    y, end = y0.copy(), np.empty(6)
    k1, k2, k3, k4 = np.empty(6), np.empty(6), np.empty(6), np.empty(6)
    for i in range(len(path)):
        path[i] = y
        t = i * STEP_S
        powered(earth, y, t, stages, heading, per_coefficient, k1)
        end[:] = y + 0.5 * STEP_S * k1
        powered(earth, end, t + 0.5 * STEP_S, stages, heading, per_coefficient, k2)
        end[:] = y + 0.5 * STEP_S * k2
        powered(earth, end, t + 0.5 * STEP_S, stages, heading, per_coefficient, k3)
        end[:] = y + STEP_S * k3
        powered(earth, end, t + STEP_S - 1e-6, stages, heading, per_coefficient, k4)
        y += STEP_S / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)


def warm() -> None:
    """Compile what the product calls."""
    from trilat.kernels.frames import earth  # noqa: PLC0415 - only here

    wgs84, states = earth("wgs84"), np.array([[6_478_137.0, 0.0, 0.0, 100.0, 1_000.0, 0.0]])
    drag = np.array([1e-3])
    fly_one(wgs84, states[0], 1e-3, 0.0, 60.0, 1.0, 1.0, np.empty((0, 6)), np.empty(RESULT_COLUMNS))
    fly_many(wgs84, states, drag, 0.0, 60.0, 1.0, 1.0, np.empty((1, 2, 6)), np.empty((1, RESULT_COLUMNS)))
    move_many(wgs84, states, drag, 1.0, 1.0, np.empty((1, 6)))
