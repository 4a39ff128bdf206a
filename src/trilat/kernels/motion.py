"""Motion models, compiled: how one mode's state and covariance move by dt seconds, in place, in row i, mode m of the bank.

Constant velocity and coordinated turn follow Bar-Shalom, Li and Kirubarajan (Estimation with Applications to Tracking and
Navigation, 2001, ch. 6 and 11), with the noise given apart for the horizontal and the vertical; boost, coast and re-entry
integrate gravity, Coriolis, thrust and drag by Runge-Kutta and carry the covariance by a second-order transition matrix.
"""

from __future__ import annotations

import numpy as np

from trilat.kernels.bank import AT, BOOST, COAST, CV, REENTRY, TURN
from trilat.kernels.frames import AIR_SCALE_HEIGHT_M, DRAG_TOP_M, E_KIND, E_MU, FLAT, acceleration, air_density, vertical
from trilat.kernels.jit import leaf

LOG_COEFFICIENT = np.log(5_000.0)  # kg/m2, between the light and the heavy re-entry bodies of public literature
LOG_COEFFICIENT_MIN, LOG_COEFFICIENT_MAX = np.log(10.0), np.log(1e6)  # kg/m2, of any body: foam, and a rod as long as a man
STEP_MAX_S = 2.0  # longest Runge-Kutta step: below 0.1 m a step at missile accelerations
# Drag takes away no more than this share of a body's speed in one step, or Runge-Kutta swings from side to side and the speed
# grows without bound: a claim of 20 km/s at the ground made a track of 10,000 km/s.
DRAG_MAX = 1.0


@leaf
def move(earth, kind, noise, bank, i, m, dt, work):  # type: ignore[no-untyped-def]
    """Predict row i, mode m by dt seconds (a little negative is allowed). noise (4,); bank: rows; work: scratch memory."""
    if dt == 0.0:
        return
    if kind == CV:
        _straight(earth, noise, bank[i], m, dt)
    elif kind == TURN:
        _turn(earth, noise, bank[i], m, dt, work)
    else:
        steps = int(np.ceil(abs(dt) / STEP_MAX_S))
        for _ in range(steps):
            _ballistic(earth, kind, noise, bank, i, m, dt / steps, work)


@leaf
def _straight(earth, noise, row, m, dt):  # type: ignore[no-untyped-def]
    """Constant velocity: P becomes F P F' with F = [I, dt I; 0, I], in place, and noise is added."""
    x, P = row.x[m], row.P[m]
    ux, uy, uz, _ = vertical(earth, x[0], x[1], x[2])
    x[0] += dt * x[3]
    x[1] += dt * x[4]
    x[2] += dt * x[5]
    # The packed triangle's places: position 0..5; velocity by position 6..8, 10..12, 15..17; velocity 9, 13, 14, 18..20.
    P[0] += dt * (P[6] + P[6] + dt * P[9])
    P[1] += dt * (P[7] + P[10] + dt * P[13])
    P[2] += dt * (P[11] + P[11] + dt * P[14])
    P[3] += dt * (P[8] + P[15] + dt * P[18])
    P[4] += dt * (P[12] + P[16] + dt * P[19])
    P[5] += dt * (P[17] + P[17] + dt * P[20])
    P[6], P[7], P[8] = P[6] + dt * P[9], P[7] + dt * P[13], P[8] + dt * P[18]
    P[10], P[11], P[12] = P[10] + dt * P[13], P[11] + dt * P[14], P[12] + dt * P[19]
    P[15], P[16], P[17] = P[15] + dt * P[18], P[16] + dt * P[19], P[17] + dt * P[20]
    _add_noise(P, dt, noise[0], noise[1], ux, uy, uz)


@leaf
def _add_noise(P, dt, flat, steep, ux, uy, uz):  # type: ignore[no-untyped-def]
    """Add white acceleration noise: density `flat` m2/s3 across the vertical (ux, uy, uz), `steep` along it."""
    t, k = abs(dt), steep - flat
    a, b, c = flat + k * ux * ux, flat + k * uy * uy, flat + k * uz * uz
    d, e, f = k * ux * uy, k * ux * uz, k * uy * uz
    d2, d3 = dt * t / 2.0, t * t * t / 3.0
    P[0], P[1], P[2] = P[0] + a * d3, P[1] + d * d3, P[2] + b * d3
    P[3], P[4], P[5] = P[3] + e * d3, P[4] + f * d3, P[5] + c * d3
    P[6], P[7], P[8] = P[6] + a * d2, P[7] + d * d2, P[8] + e * d2
    P[10], P[11], P[12] = P[10] + d * d2, P[11] + b * d2, P[12] + f * d2
    P[15], P[16], P[17] = P[15] + e * d2, P[16] + f * d2, P[17] + c * d2
    P[9], P[13], P[14] = P[9] + a * t, P[13] + d * t, P[14] + b * t
    P[18], P[19], P[20] = P[18] + e * t, P[19] + f * t, P[20] + c * t


@leaf
def _unpack(bank, i, m, n, full):  # type: ignore[no-untyped-def]
    """Write the first n states' covariance as a full matrix."""
    for a in range(n):
        for b in range(a + 1):
            full[a, b] = bank[i].P[m, AT[a, b]]
            full[b, a] = full[a, b]


@leaf
def _sandwich(bank, i, m, n, F, W, full):  # type: ignore[no-untyped-def]
    """P becomes F P F' for the first n states; W and full are scratch."""
    _unpack(bank, i, m, n, full)
    for a in range(n):
        for b in range(n):
            W[a, b] = 0.0
        for c in range(n):
            f = F[a, c]
            if f != 0.0:
                for b in range(n):
                    W[a, b] += f * full[c, b]
    for a in range(n):
        for b in range(a + 1):
            s = 0.0
            for c in range(n):
                s += W[a, c] * F[b, c]
            bank[i].P[m, AT[a, b]] = s


@leaf
def _carry_turn(P, A, B, f, g, work):  # type: ignore[no-untyped-def]
    """P becomes F P F' for F = [I, A, f; 0, B, g; 0, 0, 1], block by block. P: one mode's triangle."""
    C, V = work.scratch[2], work.scratch[3]  # velocity by position, velocity
    for r in range(3):
        at = ((r + 3) * (r + 4)) >> 1
        for q in range(3):
            C[r, q] = P[at + q]
    V[0, 0], V[1, 0], V[1, 1], V[2, 0], V[2, 1], V[2, 2] = P[9], P[13], P[14], P[18], P[19], P[20]
    V[0, 1], V[0, 2], V[1, 2] = P[13], P[18], P[19]
    T = P[27]
    for r in range(3):
        a0, a1, a2, b0, b1, b2, fr, gr = A[r, 0], A[r, 1], A[r, 2], B[r, 0], B[r, 1], B[r, 2], f[r], g[r]
        # rows r of the new position and velocity against the old states
        pv0 = C[0, r] + a0 * V[0, 0] + a1 * V[1, 0] + a2 * V[2, 0] + fr * P[24]
        pv1 = C[1, r] + a0 * V[0, 1] + a1 * V[1, 1] + a2 * V[2, 1] + fr * P[25]
        pv2 = C[2, r] + a0 * V[0, 2] + a1 * V[1, 2] + a2 * V[2, 2] + fr * P[26]
        vv0 = b0 * V[0, 0] + b1 * V[1, 0] + b2 * V[2, 0] + gr * P[24]
        vv1 = b0 * V[0, 1] + b1 * V[1, 1] + b2 * V[2, 1] + gr * P[25]
        vv2 = b0 * V[0, 2] + b1 * V[1, 2] + b2 * V[2, 2] + gr * P[26]
        pt = P[21 + r] + a0 * P[24] + a1 * P[25] + a2 * P[26] + fr * T
        vt = b0 * P[24] + b1 * P[25] + b2 * P[26] + gr * T
        for q in range(3):
            if q <= r:
                old = a0 * C[0, q] + a1 * C[1, q] + a2 * C[2, q] + fr * P[21 + q]
                P[((r * (r + 1)) >> 1) + q] += old + pv0 * A[q, 0] + pv1 * A[q, 1] + pv2 * A[q, 2] + pt * f[q]
                P[(((r + 3) * (r + 4)) >> 1) + q + 3] = vv0 * B[q, 0] + vv1 * B[q, 1] + vv2 * B[q, 2] + vt * g[q]
            P[(((q + 3) * (q + 4)) >> 1) + r] = pv0 * B[q, 0] + pv1 * B[q, 1] + pv2 * B[q, 2] + pt * g[q]
        work.point[r], work.gain[r] = pt, vt
    for r in range(3):
        P[21 + r], P[24 + r] = work.point[r], work.gain[r]


@leaf
def _turn(earth, noise, row, m, dt, work):  # type: ignore[no-untyped-def]
    """Turn at the state's own rate (7th element, rad/s) about the local vertical; the vertical speed stays."""
    x, A, B, f, g = row.x[m], work.scratch[0], work.scratch[1], work.scratch[4, 0], work.scratch[4, 1]
    ux, uy, uz, _ = vertical(earth, x[0], x[1], x[2])
    w = x[6]
    a = w * dt
    sin_a, cos_a = np.sin(a), np.cos(a)
    if abs(a) > 1e-3:
        s, c = sin_a / w, (1.0 - cos_a) / w
        k1, k2 = (cos_a - 1.0) / (w * w) + dt * sin_a / w, sin_a / (w * w) - dt * cos_a / w
    else:
        s, c = dt * (1.0 - a * a / 6.0), dt * a * (0.5 - a * a / 24.0)
        k1, k2 = dt * dt * (0.5 - a * a / 8.0), dt * dt * a * (1.0 / 3.0 - a * a / 30.0)
    up = (ux, uy, uz)
    cross = ((0.0, -uz, uy), (uz, 0.0, -ux), (-uy, ux, 0.0))  # u x
    vx, vy, vz = x[3], x[4], x[5]
    climb = ux * vx + uy * vy + uz * vz
    for r in range(3):
        for q in range(3):
            uu = up[r] * up[q]
            flat = (1.0 if r == q else 0.0) - uu
            A[r, q] = s * flat + c * cross[r][q] + dt * uu
            B[r, q] = cos_a * flat + sin_a * cross[r][q] + uu
        side = cross[r][0] * vx + cross[r][1] * vy + cross[r][2] * vz
        ahead = x[r + 3] - up[r] * climb
        f[r] = k1 * side - k2 * ahead
        g[r] = dt * (cos_a * side - sin_a * ahead)
    for r in range(3):
        x[r] += A[r, 0] * vx + A[r, 1] * vy + A[r, 2] * vz
        x[r + 3] = B[r, 0] * vx + B[r, 1] * vy + B[r, 2] * vz
    P = row.P[m]
    _carry_turn(P, A, B, f, g, work)
    _add_noise(P, dt, noise[0], noise[1], ux, uy, uz)
    P[27] += noise[2] * abs(dt)


@leaf
def _drag_rate(kind, height, speed, extra, dt):  # type: ignore[no-untyped-def]
    """Return what drag takes of the velocity in a second, 1/s, in a step of dt seconds."""
    coefficient = min(max(extra[0], LOG_COEFFICIENT_MIN), LOG_COEFFICIENT_MAX) if kind == REENTRY else LOG_COEFFICIENT
    return min(0.5 * air_density(height) * speed * np.exp(-coefficient), DRAG_MAX / abs(dt))


@leaf
def _pull(earth, kind, p, v, extra, dt, out):  # type: ignore[no-untyped-def]
    """Write the acceleration of a thrusting, coasting or falling body into out (3,); extra (3,): thrust, or log coefficient."""
    acceleration(earth, p, v, out)
    if kind == BOOST:
        for a in range(3):
            out[a] += extra[a]
    _, _, _, height = vertical(earth, p[0], p[1], p[2])
    if height < DRAG_TOP_M:
        rate = _drag_rate(kind, height, np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]), extra, dt)
        for a in range(3):
            out[a] -= rate * v[a]


@leaf
def runge_kutta(earth, kind, p, v, extra, dt, work):  # type: ignore[no-untyped-def]
    """Advance position and velocity (3,) by dt seconds, fourth order, in place; work (>= 10, >= 3)."""
    for stage in range(4):
        h = 0.0 if stage == 0 else (dt if stage == 3 else 0.5 * dt)
        for a in range(3):
            work[8, a] = p[a] + (h * work[stage - 1, a] if stage > 0 else 0.0)
            work[9, a] = v[a] + (h * work[stage + 3, a] if stage > 0 else 0.0)
        for a in range(3):
            work[stage, a] = work[9, a]
        _pull(earth, kind, work[8], work[9], extra, dt, work[stage + 4])
    for a in range(3):
        p[a] += dt / 6.0 * (work[0, a] + 2.0 * work[1, a] + 2.0 * work[2, a] + work[3, a])
        v[a] += dt / 6.0 * (work[4, a] + 2.0 * work[5, a] + 2.0 * work[6, a] + work[7, a])


@leaf
def _slopes(earth, kind, p, v, extra, dt, G, C, D):  # type: ignore[no-untyped-def]
    """Write the acceleration's Jacobians by position G, velocity C and extra states D (3, 3 each)."""
    wx, wy, wz = earth[4], earth[5], earth[6]
    r = (p[0] - earth[1], p[1] - earth[2], p[2] - earth[3])
    r2 = max(r[0] * r[0] + r[1] * r[1] + r[2] * r[2], 1.0)
    g = earth[E_MU] / (r2 * np.sqrt(r2)) if earth[E_KIND] != FLAT else 0.0
    w = (wx, wy, wz)
    w2 = wx * wx + wy * wy + wz * wz
    spin = 0.0 if earth[E_KIND] == FLAT else 1.0
    for a in range(3):
        for b in range(3):
            G[a, b] = 3.0 * g * r[a] * r[b] / r2 - spin * w[a] * w[b]
            C[a, b] = 0.0
            D[a, b] = 0.0
        G[a, a] += spin * w2 - g
    C[0, 1], C[0, 2], C[1, 0] = 2.0 * spin * wz, -2.0 * spin * wy, -2.0 * spin * wz
    C[1, 2], C[2, 0], C[2, 1] = 2.0 * spin * wx, 2.0 * spin * wy, -2.0 * spin * wx
    if kind == BOOST:
        D[0, 0], D[1, 1], D[2, 2] = 1.0, 1.0, 1.0
    ux, uy, uz, height = vertical(earth, p[0], p[1], p[2])
    if height < DRAG_TOP_M:
        speed = max(np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]), 1e-3)
        rate = _drag_rate(kind, height, speed, extra, dt)
        up = (ux, uy, uz)
        for a in range(3):
            for b in range(3):
                C[a, b] -= rate * v[a] * v[b] / (speed * speed)
                G[a, b] += rate * v[a] * up[b] / AIR_SCALE_HEIGHT_M
            C[a, a] -= rate
            if kind == REENTRY:
                D[a, 0] = rate * v[a]


@leaf
def _ballistic(earth, kind, noise, bank, i, m, dt, work):  # type: ignore[no-untyped-def]
    """One step of a boost (9 states), coast (6) or re-entry (7) mode."""
    F, W, J, K = work.scratch[0], work.scratch[1], work.scratch[2], work.scratch[3]
    G, C, D = J[:3, :3], J[3:6, :3], J[6:9, :3]
    p, v, extra = K[0], K[1], K[2]
    for a in range(3):
        p[a], v[a], extra[a] = bank[i].x[m, a], bank[i].x[m, a + 3], bank[i].x[m, a + 6]
    n = 6 if kind == COAST else (9 if kind == BOOST else 7)
    _slopes(earth, kind, p, v, extra, dt, G, C, D)
    for r in range(n):
        for q in range(n):
            F[r, q] = 1.0 if r == q else 0.0
    half = 0.5 * dt * dt
    for r in range(3):
        F[r, r + 3] += dt
        for q in range(3):
            cg, cc, cd = 0.0, 0.0, 0.0
            for k in range(3):
                cg += C[r, k] * G[k, q]
                cc += C[r, k] * C[k, q]
                cd += C[r, k] * D[k, q]
            F[r, q] += half * G[r, q]
            F[r, q + 3] += half * C[r, q]
            F[r + 3, q] += dt * G[r, q] + half * cg
            F[r + 3, q + 3] += dt * C[r, q] + half * (cc + G[r, q])
            if q + 6 < n:
                F[r, q + 6] = half * D[r, q]
                F[r + 3, q + 6] = dt * D[r, q] + half * cd
    _sandwich(bank, i, m, n, F, W, work.scratch[5])
    runge_kutta(earth, kind, p, v, extra, dt, work.scratch[4])
    for a in range(3):
        bank[i].x[m, a], bank[i].x[m, a + 3] = p[a], v[a]
    _ballistic_noise(kind, noise, bank, i, m, dt)


@leaf
def _ballistic_noise(kind, noise, bank, i, m, dt):  # type: ignore[no-untyped-def]
    """Thrust wanders (boost), or the acceleration is noisy (coast, re-entry) and the log ballistic coefficient wanders."""
    t, s = abs(dt), np.sign(dt)
    P, q = bank[i].P, noise[0]
    q1 = noise[1] if kind == BOOST else q
    for a in range(3):
        b, c = a + 3, a + 6
        if kind == BOOST:
            P[m, AT[a, a]] += q * t**5 / 20.0
            P[m, AT[b, b]] += q * t**3 / 3.0
            P[m, AT[c, c]] += q * t
            P[m, AT[a, b]] += s * q * t**4 / 8.0
            P[m, AT[a, c]] += q * t**3 / 6.0
            P[m, AT[b, c]] += s * q * t * t / 2.0
        P[m, AT[a, a]] += q1 * t**3 / 3.0
        P[m, AT[a, b]] += s * q1 * t * t / 2.0
        P[m, AT[b, b]] += q1 * t
    if kind == REENTRY:
        P[m, AT[6, 6]] += noise[2] * t
