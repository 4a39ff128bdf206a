"""Interacting multiple model filter over the bank's rows, compiled: mix, move, weigh, update, and the mixture's moments.

Blom and Bar-Shalom (IEEE Transactions on Automatic Control 33, 1988). Modes may have different states: position and velocity
are shared; a mode's extra states (turn rate, thrust, ballistic coefficient) mix only among modes that have them, and where
the weight comes from modes that do not, the prior of a new track stands in for them.
"""

from __future__ import annotations

import numpy as np

from trilat.kernels.bank import AT, BOOST, COAST, REENTRY, TURN
from trilat.kernels.frames import air_density, vertical
from trilat.kernels.jit import kernel
from trilat.kernels.measure import linearise
from trilat.kernels.motion import LOG_COEFFICIENT, move

LOG_TWO_PI = np.log(2.0 * np.pi)
MODE_FLOOR = 1e-6  # a mode never dies: it must be able to come back


@kernel
def states_of(kind):  # type: ignore[no-untyped-def]
    """Return how many states a motion model has."""
    if kind == BOOST:
        return 9
    if kind == TURN:
        return 7
    return 7 if kind == REENTRY else 6


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
    centre(model, bank, i)


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
        for r in range(n * (n + 1) // 2):
            bank[i].P[b, r] = work.P[b, r]


@kernel
def _blend(model, bank, i, k, modes, b, work):  # type: ignore[no-untyped-def]
    """Write the mixed mean and covariance that mode b starts from into work.x[b], work.P[b]."""
    x, P, w, ox, oP, d = bank[i].x, bank[i].P, work.weights, work.x, work.P, work.y
    for r in range(6):
        s = 0.0
        for a in range(modes):
            s += w[a, b] * x[a, r]
        ox[b, r] = s
    for r in range(21):
        oP[b, r] = 0.0
    for a in range(modes):
        c = w[a, b]
        if c < 1e-12:
            continue
        for r in range(6):
            d[r] = x[a, r] - ox[b, r]
        for r in range(6):
            for q in range(r + 1):
                oP[b, AT[r, q]] += c * (P[a, AT[r, q]] + d[r] * d[q])
    if states_of(model.kind[k, b]) > 6:
        _blend_extra(model, bank, i, k, modes, b, work)


@kernel
def _blend_extra(model, bank, i, k, modes, b, work):  # type: ignore[no-untyped-def]
    """Mix mode b's states beyond position and velocity, which only modes of its own kind have."""
    x, P, w, ox, oP = bank[i].x, bank[i].P, work.weights, work.x, work.P
    n = states_of(model.kind[k, b])
    mean0, var0 = extra_prior(model.kind[k, b], model.birth[k])
    for r in range(6, n):
        s = 0.0
        for a in range(modes):
            s += w[a, b] * (x[a, r] if model.kind[k, a] == model.kind[k, b] else mean0)
        ox[b, r] = s
        for q in range(r + 1):
            oP[b, AT[r, q]] = 0.0
    for a in range(modes):
        same = model.kind[k, a] == model.kind[k, b]
        for r in range(6, n):
            dr = (x[a, r] if same else mean0) - ox[b, r]
            for q in range(r + 1):
                dq = (x[a, q] if q < 6 or same else mean0) - ox[b, q]
                p = 0.0
                if same:
                    p = P[a, AT[r, q]]
                elif r == q:
                    p = var0
                oP[b, AT[r, q]] += w[a, b] * (p + dr * dq)


@kernel
def centre(model, bank, i):  # type: ignore[no-untyped-def]
    """Renew the mixture's mean (6,)."""
    modes = model.modes[bank[i].model_set]
    for a in range(6):
        s = 0.0
        for m in range(modes):
            s += bank[i].mu[m] * bank[i].x[m, a]
        bank[i].mean[a] = s


@kernel
def moments(model, bank, i):  # type: ignore[no-untyped-def]
    """Renew the mixture's mean (6,) and the sigmas of position, velocity and acceleration that gates use."""
    centre(model, bank, i)
    k = bank[i].model_set
    modes = model.modes[k]
    pos, vel, acc = 0.0, 0.0, 0.0
    for m in range(modes):
        if bank[i].mu[m] < 1e-3:
            continue
        dp, dv, p, v, kind = 0.0, 0.0, 0.0, 0.0, model.kind[k, m]
        for a in range(3):
            dp += (bank[i].x[m, a] - bank[i].mean[a]) ** 2
            dv += (bank[i].x[m, a + 3] - bank[i].mean[a + 3]) ** 2
            p = max(p, bank[i].P[m, AT[a, a]])
            v = max(v, bank[i].P[m, AT[a + 3, a + 3]])
        pos = max(pos, np.sqrt(p) * 1.2 + np.sqrt(dp))
        vel = max(vel, np.sqrt(v) * 1.2 + np.sqrt(dv))
        if kind == BOOST:
            thrust = np.sqrt(bank[i].x[m, 6] ** 2 + bank[i].x[m, 7] ** 2 + bank[i].x[m, 8] ** 2)
            acc = max(acc, 10.0 + thrust + np.sqrt(max(bank[i].P[m, AT[6, 6]], bank[i].P[m, AT[7, 7]], bank[i].P[m, AT[8, 8]])))
        elif kind >= COAST:
            acc = max(acc, 10.0 + _drag(model, bank, i))
        elif kind == TURN:
            turn = abs(bank[i].x[m, 6]) + np.sqrt(bank[i].P[m, AT[6, 6]])
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

    The row stands at its own time; a plot a little apart from it in time is met by moving along the velocity. The plot is
    linearised once, at the mixture's mean.
    """
    k = bank[i].model_set
    dt = (t_ns - bank[i].t_ns) * 1e-9
    n = linearise_row(model.earth, bank, i, sensor, z, kind, dt, work)
    still = True
    for r in range(n):
        still = still and work.H[r, 3] == 0.0 and work.H[r, 4] == 0.0 and work.H[r, 5] == 0.0
    best, top = 1e300, -1e300
    for m in range(model.modes[k]):
        work.logs[m] = -1e300
        if bank[i].mu[m] < 0.01:
            continue
        d2, log_det = _distance(bank, i, m, n, still, dt, work)
        best = min(best, d2)
        work.logs[m] = np.log(bank[i].mu[m]) - 0.5 * (d2 + log_det + n * LOG_TWO_PI)
        top = max(top, work.logs[m])
    total = 0.0
    for m in range(model.modes[k]):
        if work.logs[m] > -1e299:
            total += np.exp(work.logs[m] - top)
    return best, top + np.log(max(total, 1e-300)), n


@kernel
def linearise_row(earth, bank, i, sensor, z, kind, dt, work):  # type: ignore[no-untyped-def]
    """Linearise a plot at row i's mean moved along its velocity by dt seconds, which is kept in work.x0; returns components."""
    x0, mean = work.x0, bank[i].mean
    for a in range(3):
        x0[a] = mean[a] + dt * mean[a + 3]
        x0[a + 3] = mean[a + 3]
    return linearise(earth, sensor, z, kind, x0[0], x0[1], x0[2], x0[3], x0[4], x0[5], work.H, work.nu, work.R)


@kernel
def _distance(bank, i, m, n, still, dt, work):  # type: ignore[no-untyped-def]
    """Return (Mahalanobis square, log determinant) of the linearised plot in mode m, by an LDL factorisation of S.

    still: no component looks at the velocity, so that the position's block of P is all there is to read.
    """
    x, P, H, S, D, y, t, x0 = bank[i].x, bank[i].P, work.H, work.S, work.D, work.y, work.gain, work.x0
    d2, det = 0.0, 1.0
    for r in range(n):
        v = work.nu[r]
        if still:
            for a in range(3):
                t[a] = P[m, AT[a, 0]] * H[r, 0] + P[m, AT[a, 1]] * H[r, 1] + P[m, AT[a, 2]] * H[r, 2]
                v -= H[r, a] * (x[m, a] + dt * x[m, a + 3] - x0[a])
            for q in range(r + 1):
                S[r, q] = H[q, 0] * t[0] + H[q, 1] * t[1] + H[q, 2] * t[2]
        else:
            for a in range(6):
                s = 0.0
                for b in range(6):
                    s += P[m, AT[a, b]] * H[r, b]
                t[a] = s
                v -= H[r, a] * (x[m, a] - x0[a] + (dt * x[m, a + 3] if a < 3 else 0.0))
            for q in range(r + 1):
                s = 0.0
                for a in range(6):
                    s += H[q, a] * t[a]
                S[r, q] = s
        S[r, r] += work.R[r]
        for q in range(r):  # S = L D L', forward substitution on the way
            s = S[r, q]
            for c in range(q):
                s -= S[r, c] * S[q, c] * D[c]
            S[r, q] = s / D[q]
            v -= S[r, q] * y[q]
        d = S[r, r]
        for c in range(r):
            d -= S[r, c] * S[r, c] * D[c]
        d = max(d, 1e-300)
        D[r], y[r] = d, v
        d2 += v * v / d
        det *= d
    return d2, np.log(det)


@kernel
def update_mode(bank, i, m, states, n, work):  # type: ignore[no-untyped-def]
    """Update mode m (of so many states) by the n linearised components; returns (log likelihood, Mahalanobis square)."""
    x, P, H, gain, x0 = bank[i].x, bank[i].P, work.H, work.gain, work.x0
    log, d2 = 0.0, 0.0
    for r in range(n):
        v = work.nu[r]
        S = work.R[r]
        for b in range(6):
            v -= H[r, b] * (x[m, b] - x0[b])
        for a in range(states):
            g = 0.0
            for b in range(6):
                g += P[m, AT[a, b]] * H[r, b]
            gain[a] = g
        for b in range(6):
            S += H[r, b] * gain[b]
        inverse = 1.0 / S
        for a in range(states):
            g = gain[a] * inverse
            x[m, a] += g * v
            for b in range(a + 1):
                P[m, AT[a, b]] -= g * gain[b]
        work.y[r] = v / np.sqrt(S)
        d2 += v * v / S
        log -= 0.5 * (v * v / S + np.log(S) + LOG_TWO_PI)
    return log, d2


@kernel
def update(model, bank, i, sensor, z, kind, work):  # type: ignore[no-untyped-def]
    """Update every mode of row i by one plot at the row's own time; returns the normalised innovation squared per component."""
    k = bank[i].model_set
    modes = model.modes[k]
    n = linearise_row(model.earth, bank, i, sensor, z, kind, 0.0, work)
    top, nis, heavy = -1e300, 0.0, 0
    for m in range(modes):
        if bank[i].mu[m] > bank[i].mu[heavy]:
            heavy = m
    for r in range(n, 6):
        work.D[r] = 0.0
    for m in range(modes):
        log, d2 = update_mode(bank, i, m, states_of(model.kind[k, m]), n, work)
        if m == heavy:  # the innovations of the likeliest mode in units of their sigma, for whoever watches the sensor
            for r in range(n):
                work.D[r] = work.y[r]
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
    k, spare = bank[i].model_set, len(bank) - 1 if dt != 0.0 else i
    modes = model.modes[k] if dt != 0.0 else 0
    for m in range(modes):
        n = states_of(model.kind[k, m])
        for r in range(n):
            bank[spare].x[m, r] = bank[i].x[m, r]
        for r in range(n * (n + 1) // 2):
            bank[spare].P[m, r] = bank[i].P[m, r]
        move(model.earth, model.kind[k, m], model.noise[k, m], bank, spare, m, dt, work)
    modes, mu, x, P = model.modes[k], bank[i].mu, bank[spare].x, bank[spare].P
    for r in range(6):
        s = 0.0
        for m in range(modes):
            s += mu[m] * x[m, r]
        mean[r] = s
    for r in range(6):
        for q in range(r + 1):
            s = 0.0
            for m in range(modes):
                s += mu[m] * (P[m, AT[r, q]] + (x[m, r] - mean[r]) * (x[m, q] - mean[q]))
            covariance[r, q] = s
            covariance[q, r] = s
