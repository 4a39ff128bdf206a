"""Interacting multiple model filter over the bank's rows, compiled: mix, move, weigh, update, and the mixture's moments.

Blom and Bar-Shalom (IEEE Transactions on Automatic Control 33, 1988). Modes may have different states: position and velocity
are shared; a mode's extra states (turn rate, thrust, ballistic coefficient) mix only among modes that have them, and where
the weight comes from modes that do not, the prior of a new track stands in for them.
"""

from __future__ import annotations

import numpy as np

from trilat.kernels.bank import BOOST, COAST, REENTRY, TURN
from trilat.kernels.frames import air_density, vertical
from trilat.kernels.jit import kernel
from trilat.kernels.measure import linearise
from trilat.kernels.motion import move

LOG_TWO_PI = np.log(2.0 * np.pi)
MODE_FLOOR = 1e-6  # a mode never dies: it must be able to come back
LOG_COEFFICIENT = np.log(5_000.0)  # kg/m2, between the light and the heavy re-entry bodies of public literature


@kernel
def states_of(kind):  # type: ignore[no-untyped-def]
    """Return how many states a motion model has."""
    if kind == BOOST:
        return 9
    return 7 if kind in (TURN, REENTRY) else 6


@kernel
def extra_prior(kind, birth):  # type: ignore[no-untyped-def]
    """Return mean and variance of a motion model's extra states when nothing is known of them."""
    if kind == BOOST:
        return 0.0, birth[1] * birth[1]
    if kind == TURN:
        return 0.0, birth[2] * birth[2]
    return LOG_COEFFICIENT, birth[3] * birth[3]


@kernel
def predict(model, bank, i, t_ns, work):  # type: ignore[no-untyped-def]
    """Bring row i to a time: mix the modes, move each, renew the moments."""
    dt = (t_ns - bank[i].t_ns) * 1e-9
    if dt == 0.0:
        return
    k = bank[i].model_set
    modes = model.modes[k]
    if modes > 1:
        _mix(model, bank, i, k, modes, abs(dt), work)
    for m in range(modes):
        move(model.earth, model.kind[k, m], model.noise[k, m], bank, i, m, dt, work)
    bank[i].t_ns = t_ns
    moments(model, bank, i)


@kernel
def _mix(model, bank, i, k, modes, dt, work):  # type: ignore[no-untyped-def]
    """Mix modes by a transition matrix made for dt: a mode is left after `stay_s` on average, to where `share` says."""
    w = work.weights
    for a in range(modes):
        stay = np.exp(-dt / model.stay_s[k, a])
        for b in range(modes):
            w[a, b] = bank[i].mu[a] * (stay if a == b else (1.0 - stay) * model.share[k, a, b])
    for b in range(modes):
        total = 0.0
        for a in range(modes):
            total += w[a, b]
        total = max(total, 1e-300)
        for a in range(modes):
            w[a, b] /= total
        work.fresh[b] = total
        _blend(model, bank, i, k, modes, b, work)
    for b in range(modes):
        bank[i].mu[b] = work.fresh[b]
        n = states_of(model.kind[k, b])
        for r in range(n):
            bank[i].x[b, r] = work.x[b, r]
            for q in range(n):
                bank[i].P[b, r, q] = work.P[b, r, q]


@kernel
def _blend(model, bank, i, k, modes, b, work):  # type: ignore[no-untyped-def]
    """Write the mixed mean and covariance that mode b starts from into work.x[b], work.P[b]."""
    w, ox, oP = work.weights, work.x, work.P
    n = states_of(model.kind[k, b])
    for r in range(n):
        ox[b, r] = 0.0
        for q in range(n):
            oP[b, r, q] = 0.0
    mean0, var0 = extra_prior(model.kind[k, b], model.birth[k])
    for a in range(modes):
        same = model.kind[k, a] == model.kind[k, b]
        for r in range(n):
            ox[b, r] += w[a, b] * (bank[i].x[a, r] if r < 6 or same else mean0)
    for a in range(modes):
        c = w[a, b]
        if c < 1e-12:
            continue
        same = model.kind[k, a] == model.kind[k, b]
        for r in range(n):
            dr = (bank[i].x[a, r] if r < 6 or same else mean0) - ox[b, r]
            for q in range(r, n):
                dq = (bank[i].x[a, q] if q < 6 or same else mean0) - ox[b, q]
                if q < 6 or same:
                    p = bank[i].P[a, r, q]
                else:
                    p = var0 if r == q else 0.0
                oP[b, r, q] += c * (p + dr * dq)
    for r in range(n):
        for q in range(r):
            oP[b, r, q] = oP[b, q, r]


@kernel
def moments(model, bank, i):  # type: ignore[no-untyped-def]
    """Renew the mixture's mean (6,) and the sigmas of position, velocity and acceleration that gates use."""
    k = bank[i].model_set
    modes = model.modes[k]
    for a in range(6):
        s = 0.0
        for m in range(modes):
            s += bank[i].mu[m] * bank[i].x[m, a]
        bank[i].mean[a] = s
    pos, vel, acc = 0.0, 0.0, 0.0
    for m in range(modes):
        if bank[i].mu[m] < 1e-3:
            continue
        dp, dv, p, v, kind = 0.0, 0.0, 0.0, 0.0, model.kind[k, m]
        for a in range(3):
            dp += (bank[i].x[m, a] - bank[i].mean[a]) ** 2
            dv += (bank[i].x[m, a + 3] - bank[i].mean[a + 3]) ** 2
            p = max(p, bank[i].P[m, a, a])
            v = max(v, bank[i].P[m, a + 3, a + 3])
        pos = max(pos, np.sqrt(p) * 1.2 + np.sqrt(dp))
        vel = max(vel, np.sqrt(v) * 1.2 + np.sqrt(dv))
        if kind == BOOST:
            thrust = np.sqrt(bank[i].x[m, 6] ** 2 + bank[i].x[m, 7] ** 2 + bank[i].x[m, 8] ** 2)
            acc = max(acc, 10.0 + thrust + np.sqrt(max(bank[i].P[m, 6, 6], bank[i].P[m, 7, 7], bank[i].P[m, 8, 8])))
        elif kind in (COAST, REENTRY):
            acc = max(acc, 10.0 + _drag(model, bank, i))
        elif kind == TURN:
            turn = abs(bank[i].x[m, 6]) + np.sqrt(bank[i].P[m, 6, 6])
            speed = np.sqrt(bank[i].mean[3] ** 2 + bank[i].mean[4] ** 2 + bank[i].mean[5] ** 2)
            acc = max(acc, turn * speed)
        else:
            acc = max(acc, np.sqrt(model.noise[k, m, 0]))
    bank[i].spread[0], bank[i].spread[1], bank[i].spread[2] = pos, vel, acc


@kernel
def _drag(model, bank, i):  # type: ignore[no-untyped-def]
    """Return a generous drag deceleration m/s2 for row i (a body of 1,000 kg/m2)."""
    _, _, _, height = vertical(model.earth, bank[i].mean[0], bank[i].mean[1], bank[i].mean[2])
    v2 = bank[i].mean[3] ** 2 + bank[i].mean[4] ** 2 + bank[i].mean[5] ** 2
    return 0.5 * air_density(height) * v2 / 1_000.0


@kernel
def weigh(model, bank, i, sensor, z, kind, t_ns, work):  # type: ignore[no-untyped-def]
    """Return (smallest Mahalanobis square over likely modes, log of the mixture likelihood, components) of a plot for row i.

    The row stands at its own time; a plot a little apart from it in time is met by moving along the velocity.
    """
    k = bank[i].model_set
    dt = (t_ns - bank[i].t_ns) * 1e-9
    best, top, n = 1e300, -1e300, 0
    for m in range(model.modes[k]):
        if bank[i].mu[m] < 0.01:
            work.logs[m] = -1e300
            continue
        n, d2, log_det = _distance(model.earth, bank, i, m, sensor, z, kind, dt, work)
        best = min(best, d2)
        work.logs[m] = np.log(bank[i].mu[m]) - 0.5 * (d2 + log_det + n * LOG_TWO_PI)
        top = max(top, work.logs[m])
    total = 0.0
    for m in range(model.modes[k]):
        if work.logs[m] > -1e299:
            total += np.exp(work.logs[m] - top)
    return best, top + np.log(max(total, 1e-300)), n


@kernel
def _distance(earth, bank, i, m, sensor, z, kind, dt, work):  # type: ignore[no-untyped-def]
    """Return (components, Mahalanobis square, log determinant) of a plot in mode m, by an LDL factorisation of S."""
    x, P, H, S = bank[i].x, bank[i].P, work.H, work.S
    vx, vy, vz = x[m, 3], x[m, 4], x[m, 5]
    n = linearise(
        earth, sensor, z, kind, x[m, 0] + dt * vx, x[m, 1] + dt * vy, x[m, 2] + dt * vz, vx, vy, vz, H, work.nu, work.R
    )
    for r in range(n):
        for a in range(6):
            s = 0.0
            for b in range(6):
                s += P[m, a, b] * H[r, b]
            work.PH[r, a] = s
        for q in range(r + 1):
            s = work.R[r] if r == q else 0.0
            for a in range(6):
                s += H[q, a] * work.PH[r, a]
            S[r, q] = s
    d2, log_det = 0.0, 0.0
    for r in range(n):  # S = L D L', forward substitution on the way
        v = work.nu[r]
        for q in range(r):
            s = S[r, q]
            for c in range(q):
                s -= S[r, c] * S[q, c] * work.D[c]
            S[r, q] = s / work.D[q]
            v -= S[r, q] * work.y[q]
        d = S[r, r]
        for c in range(r):
            d -= S[r, c] * S[r, c] * work.D[c]
        d = max(d, 1e-300)
        work.D[r] = d
        work.y[r] = v
        d2 += v * v / d
        log_det += np.log(d)
    return n, d2, log_det


@kernel
def update_mode(earth, bank, i, m, states, sensor, z, kind, work):  # type: ignore[no-untyped-def]
    """Extended Kalman update of one mode by one plot; returns (log likelihood, components, Mahalanobis square)."""
    x, P, H = bank[i].x, bank[i].P, work.H
    n = linearise(
        earth, sensor, z, kind, x[m, 0], x[m, 1], x[m, 2], x[m, 3], x[m, 4], x[m, 5], H, work.nu, work.R
    )
    for a in range(6):
        work.x0[a] = x[m, a]
    log, d2 = 0.0, 0.0
    for r in range(n):
        v = work.nu[r]
        for b in range(6):
            v -= H[r, b] * (x[m, b] - work.x0[b])
        for a in range(states):
            s = 0.0
            for b in range(6):
                s += P[m, a, b] * H[r, b]
            work.gain[a] = s
        S = work.R[r]
        for b in range(6):
            S += H[r, b] * work.gain[b]
        for a in range(states):
            g = work.gain[a] / S
            x[m, a] += g * v
            for b in range(a, states):
                P[m, a, b] -= g * work.gain[b]
                P[m, b, a] = P[m, a, b]
        d2 += v * v / S
        log -= 0.5 * (v * v / S + np.log(S) + LOG_TWO_PI)
    return log, n, d2


@kernel
def update(model, bank, i, sensor, z, kind, work):  # type: ignore[no-untyped-def]
    """Update every mode of row i by one plot at the row's own time; returns the normalised innovation squared per component."""
    k = bank[i].model_set
    modes = model.modes[k]
    top, nis = -1e300, 0.0
    for m in range(modes):
        states = states_of(model.kind[k, m])
        log, n, d2 = update_mode(model.earth, bank, i, m, states, sensor, z, kind, work)
        work.logs[m] = log + np.log(max(bank[i].mu[m], 1e-300))
        top = max(top, work.logs[m])
        nis += bank[i].mu[m] * d2 / max(n, 1)
    total = 0.0
    for m in range(modes):
        bank[i].mu[m] = max(np.exp(work.logs[m] - top), MODE_FLOOR)
        total += bank[i].mu[m]
    for m in range(modes):
        bank[i].mu[m] /= total
    moments(model, bank, i)
    return nis


@kernel
def mixture(model, bank, i, dt, mean, covariance, work):  # type: ignore[no-untyped-def]
    """Write row i's mean (6,) and covariance (6, 6) moved by dt seconds, leaving the row as it is (the last row is scratch)."""
    k, spare = bank[i].model_set, len(bank) - 1
    modes = model.modes[k]
    for m in range(modes):
        n = states_of(model.kind[k, m])
        for r in range(n):
            bank[spare].x[m, r] = bank[i].x[m, r]
            for q in range(n):
                bank[spare].P[m, r, q] = bank[i].P[m, r, q]
        move(model.earth, model.kind[k, m], model.noise[k, m], bank, spare, m, dt, work)
    for r in range(6):
        s = 0.0
        for m in range(modes):
            s += bank[i].mu[m] * bank[spare].x[m, r]
        mean[r] = s
    for r in range(6):
        for q in range(6):
            s = 0.0
            for m in range(modes):
                s += bank[i].mu[m] * (bank[spare].P[m, r, q] + (bank[spare].x[m, r] - mean[r]) * (bank[spare].x[m, q] - mean[q]))
            covariance[r, q] = s


