"""Motion models, compiled: how one mode's state and covariance move by dt seconds, in place, in row i, mode m of the bank.

Constant velocity and coordinated turn follow Bar-Shalom, Li and Kirubarajan (Estimation with Applications to Tracking and
Navigation, 2001, ch. 6 and 11), with the noise given apart for the horizontal and the vertical; boost, coast and re-entry
integrate gravity, Coriolis, thrust and drag by Runge-Kutta and carry the covariance by a second-order transition matrix.
"""

from __future__ import annotations

import numpy as np

from trilat.kernels.bank import AT, BOOST, COAST, CV, REENTRY, TURN
from trilat.kernels.frames import AIR_SCALE_HEIGHT_M, DRAG_TOP_M, E_KIND, E_MU, FLAT, acceleration, air_density, vertical
from trilat.kernels.jit import kernel

LOG_COEFFICIENT = np.log(5_000.0)  # kg/m2, between the light and the heavy re-entry bodies of public literature
STEP_MAX_S = 2.0  # longest Runge-Kutta step: below 0.1 m a step at missile accelerations


@kernel
def move(earth, kind, noise, bank, i, m, dt, work):  # type: ignore[no-untyped-def]
    """Predict row i, mode m by dt seconds (a little negative is allowed). noise (4,); bank: rows; work: scratch memory."""
    if dt == 0.0:
        return
    if kind == CV:
        ux, uy, uz, _ = vertical(earth, bank[i].x[m, 0], bank[i].x[m, 1], bank[i].x[m, 2])
        for a in range(3):
            bank[i].x[m, a] += dt * bank[i].x[m, a + 3]
        _carry_cv(bank, i, m, dt)
        _add_noise(bank, i, m, abs(dt), np.sign(dt), noise[0], noise[1], ux, uy, uz)
    elif kind == TURN:
        _turn(earth, noise, bank, i, m, dt, work)
    else:
        steps = int(np.ceil(abs(dt) / STEP_MAX_S))
        for _ in range(steps):
            _ballistic(earth, kind, noise, bank, i, m, dt / steps, work)


@kernel
def _carry_cv(bank, i, m, dt):  # type: ignore[no-untyped-def]
    """Covariance of constant velocity: P becomes F P F' with F = [I, dt I; 0, I], in place."""
    P = bank[i].P
    for a in range(3):
        for b in range(a + 1):
            P[m, AT[a, b]] += dt * (P[m, AT[a, b + 3]] + P[m, AT[b, a + 3]] + dt * P[m, AT[a + 3, b + 3]])
    for a in range(3):
        for b in range(3):
            P[m, AT[a, b + 3]] += dt * P[m, AT[a + 3, b + 3]]


@kernel
def _add_noise(bank, i, m, dt, sign, flat, steep, ux, uy, uz):  # type: ignore[no-untyped-def]
    """Add white acceleration noise: density `flat` m2/s3 across the vertical (ux, uy, uz), `steep` along it."""
    P = bank[i].P
    up = (ux, uy, uz)
    d2, d3 = sign * dt * dt / 2.0, dt * dt * dt / 3.0
    for a in range(3):
        for b in range(3):
            q = (steep - flat) * up[a] * up[b]
            if a == b:
                q += flat
            P[m, AT[a, b + 3]] += q * d2
            if b <= a:
                P[m, AT[a, b]] += q * d3
                P[m, AT[a + 3, b + 3]] += q * dt


@kernel
def _unpack(bank, i, m, n, full):  # type: ignore[no-untyped-def]
    """Write the first n states' covariance as a full matrix."""
    for a in range(n):
        for b in range(a + 1):
            full[a, b] = bank[i].P[m, AT[a, b]]
            full[b, a] = full[a, b]


@kernel
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


@kernel
def _carry_turn(bank, i, m, F, X, full):  # type: ignore[no-untyped-def]
    """P becomes F P F' for F = [I, A, f; 0, B, g; 0, 0, 1], block by block; X and full are scratch."""
    P = bank[i].P
    _unpack(bank, i, m, 7, full)
    for r in range(3):
        for q in range(7):
            p, v = full[r, q] + F[r, 6] * full[6, q], F[r + 3, 6] * full[6, q]
            for c in range(3, 6):
                p += F[r, c] * full[c, q]
                v += F[r + 3, c] * full[c, q]
            X[r, q] = p
            X[r + 3, q] = v
    for r in range(6):
        for q in range(3):
            v = X[r, 6] * F[q + 3, 6]
            for c in range(3, 6):
                v += X[r, c] * F[q + 3, c]
            if r >= q + 3 or r < 3:
                P[m, AT[r, q + 3]] = v
            if q <= r < 3:
                p = X[r, q] + X[r, 6] * F[q, 6]
                for c in range(3, 6):
                    p += X[r, c] * F[q, c]
                P[m, AT[r, q]] = p
        P[m, AT[r, 6]] = X[r, 6]


@kernel
def _turn(earth, noise, bank, i, m, dt, work):  # type: ignore[no-untyped-def]
    """Turn at the state's own rate (7th element, rad/s) about the local vertical; the vertical speed stays."""
    F, W = work.scratch[0], work.scratch[1]
    ux, uy, uz, _ = vertical(earth, bank[i].x[m, 0], bank[i].x[m, 1], bank[i].x[m, 2])
    w = bank[i].x[m, 6]
    a = w * dt
    if abs(a) > 1e-3:
        s, c = np.sin(a) / w, (1.0 - np.cos(a)) / w
        k1 = (np.cos(a) - 1.0) / (w * w) + dt * np.sin(a) / w
        k2 = np.sin(a) / (w * w) - dt * np.cos(a) / w
    else:
        s, c = dt * (1.0 - a * a / 6.0), dt * a * (0.5 - a * a / 24.0)
        k1, k2 = dt * dt * (0.5 - a * a / 8.0), dt * dt * a * (1.0 / 3.0 - a * a / 30.0)
    sin_a, cos_a = np.sin(a), np.cos(a)
    up = (ux, uy, uz)
    cross = ((0.0, -uz, uy), (uz, 0.0, -ux), (-uy, ux, 0.0))  # u x
    for r in range(7):
        for q in range(7):
            F[r, q] = 1.0 if r == q else 0.0
    climb = ux * bank[i].x[m, 3] + uy * bank[i].x[m, 4] + uz * bank[i].x[m, 5]
    for r in range(3):
        side = 0.0
        for q in range(3):
            uu = up[r] * up[q]
            flat = (1.0 if r == q else 0.0) - uu
            F[r, q + 3] = s * flat + c * cross[r][q] + dt * uu
            F[r + 3, q + 3] = cos_a * flat + sin_a * cross[r][q] + uu
            side += cross[r][q] * bank[i].x[m, q + 3]
        ahead = bank[i].x[m, r + 3] - up[r] * climb
        F[r, 6] = k1 * side - k2 * ahead
        F[r + 3, 6] = dt * (cos_a * side - sin_a * ahead)
    for r in range(3):
        p, v = bank[i].x[m, r], 0.0
        for q in range(3):
            p += F[r, q + 3] * bank[i].x[m, q + 3]
            v += F[r + 3, q + 3] * bank[i].x[m, q + 3]
        W[0, r] = p
        W[1, r] = v
    for r in range(3):
        bank[i].x[m, r] = W[0, r]
        bank[i].x[m, r + 3] = W[1, r]
    _carry_turn(bank, i, m, F, W, work.scratch[5])
    _add_noise(bank, i, m, abs(dt), np.sign(dt), noise[0], noise[1], ux, uy, uz)
    bank[i].P[m, AT[6, 6]] += noise[2] * abs(dt)


@kernel
def _pull(earth, kind, p, v, extra, out):  # type: ignore[no-untyped-def]
    """Write the acceleration of a thrusting, coasting or falling body into out (3,); extra (3,): thrust, or log coefficient."""
    acceleration(earth, p, v, out)
    if kind == BOOST:
        for a in range(3):
            out[a] += extra[a]
    _, _, _, height = vertical(earth, p[0], p[1], p[2])
    if height < DRAG_TOP_M:
        speed = np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
        k = 0.5 * air_density(height) * speed * np.exp(-(extra[0] if kind == REENTRY else LOG_COEFFICIENT))
        for a in range(3):
            out[a] -= k * v[a]


@kernel
def runge_kutta(earth, kind, p, v, extra, dt, work):  # type: ignore[no-untyped-def]
    """Advance position and velocity (3,) by dt seconds, fourth order, in place; work (>= 10, >= 3)."""
    for stage in range(4):
        h = 0.0 if stage == 0 else (dt if stage == 3 else 0.5 * dt)
        for a in range(3):
            work[8, a] = p[a] + (h * work[stage - 1, a] if stage > 0 else 0.0)
            work[9, a] = v[a] + (h * work[stage + 3, a] if stage > 0 else 0.0)
        for a in range(3):
            work[stage, a] = work[9, a]
        _pull(earth, kind, work[8], work[9], extra, work[stage + 4])
    for a in range(3):
        p[a] += dt / 6.0 * (work[0, a] + 2.0 * work[1, a] + 2.0 * work[2, a] + work[3, a])
        v[a] += dt / 6.0 * (work[4, a] + 2.0 * work[5, a] + 2.0 * work[6, a] + work[7, a])


@kernel
def _slopes(earth, kind, p, v, extra, G, C, D):  # type: ignore[no-untyped-def]
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
        k = 0.5 * air_density(height) * np.exp(-(extra[0] if kind == REENTRY else LOG_COEFFICIENT))
        up = (ux, uy, uz)
        for a in range(3):
            for b in range(3):
                C[a, b] -= k * v[a] * v[b] / speed
                G[a, b] += k * speed * v[a] * up[b] / AIR_SCALE_HEIGHT_M
            C[a, a] -= k * speed
            if kind == REENTRY:
                D[a, 0] = k * speed * v[a]


@kernel
def _ballistic(earth, kind, noise, bank, i, m, dt, work):  # type: ignore[no-untyped-def]
    """One step of a boost (9 states), coast (6) or re-entry (7) mode."""
    F, W, J, K = work.scratch[0], work.scratch[1], work.scratch[2], work.scratch[3]
    G, C, D = J[:3, :3], J[3:6, :3], J[6:9, :3]
    p, v, extra = K[0], K[1], K[2]
    for a in range(3):
        p[a], v[a], extra[a] = bank[i].x[m, a], bank[i].x[m, a + 3], bank[i].x[m, a + 6]
    n = 6 if kind == COAST else (9 if kind == BOOST else 7)
    _slopes(earth, kind, p, v, extra, G, C, D)
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


@kernel
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
