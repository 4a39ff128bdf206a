"""Interacting multiple model filter over the bank's rows, compiled: mix, move, weigh, update, and the mixture's moments.

Blom and Bar-Shalom (IEEE Transactions on Automatic Control 33, 1988). Modes may have different states: position and velocity
are shared; a mode's extra states (turn rate, thrust, ballistic coefficient) mix only among modes that have them, and where
the weight comes from modes that do not, the prior of a new track stands in for them.
"""

from __future__ import annotations

import numpy as np

from trilat.kernels.bank import AT, BOOST, COAST, REENTRY, STATES, TURN
from trilat.kernels.frames import air_density, vertical
from trilat.kernels.jit import leaf
from trilat.kernels.measure import linearise
from trilat.kernels.motion import LOG_COEFFICIENT, move
from trilat.kernels.sweep import distance, looks_at_places, update_mode

LOG_TWO_PI = np.log(2.0 * np.pi)
UNLIKELY = 0.01  # a mode less likely than this has no say in what a plot is worth
MODE_FLOOR = 1e-6  # a mode never dies: it must be able to come back


@leaf
def states_of(kind):  # type: ignore[no-untyped-def]
    """Return how many states a motion model has."""
    if kind == BOOST:
        return 9
    if kind == TURN:
        return 7
    return 7 if kind == REENTRY else 6


@leaf
def extra_prior(kind, birth):  # type: ignore[no-untyped-def]
    """Return mean and variance of a motion model's extra states when nothing is known of them."""
    if kind == BOOST:
        return 0.0, birth[1] * birth[1]
    if kind == TURN:
        return 0.0, birth[2] * birth[2]
    return LOG_COEFFICIENT, birth[3] * birth[3]


@leaf
def predict(model, bank, i, t_ns, work):  # type: ignore[no-untyped-def]
    """Bring row i to a time: mix the modes, move each, renew the moments."""
    dt = (t_ns - bank[i].t_ns) * 1e-9
    if dt == 0.0:
        return
    k = bank[i].model_set
    modes = model.modes[k]
    if modes == 2 and states_of(model.kind[k, 0]) == 6 and states_of(model.kind[k, 1]) < 8:
        _mix_two(model, bank[i], k, abs(dt))
    elif modes > 1:
        _mix(model, bank, i, k, modes, abs(dt), work)
    for m in range(modes):
        move(model.earth, model.kind[k, m], model.noise[k, m], bank, i, m, dt, work)
    bank[i].t_ns = t_ns
    centre(model, bank, i)


@leaf
def _mix_two(model, row, k, dt):  # type: ignore[no-untyped-def]
    """What `_mix` does for two modes of which the second alone may have a seventh state: element by element, in place.

    With two sources, of shares w and 1 - w, the spread of the means is w (1 - w) times the square of their difference.
    """
    mu, x, y, P, Q = row.mu, row.x[0], row.x[1], row.P[0], row.P[1]
    stay0, stay1 = np.exp(-dt / model.stay_s[k, 0]), np.exp(-dt / model.stay_s[k, 1])
    a, b = mu[0] * stay0, mu[1] * (1.0 - stay1) * model.share[k, 1, 0]
    c, d = mu[0] * (1.0 - stay0) * model.share[k, 0, 1], mu[1] * stay1
    first, second = max(a + b, 1e-300), max(c + d, 1e-300)
    mu[0], mu[1] = first, second
    w, v = a / first, c / second  # of mode 0 in the new mode 0, in the new mode 1
    ww, vv = w * (1.0 - w), v * (1.0 - v)
    if states_of(model.kind[k, 1]) > 6:
        mean0, var0 = extra_prior(model.kind[k, 1], model.birth[k])
        gap = mean0 - y[6]
        for q in range(6):
            Q[21 + q] = (1.0 - v) * Q[21 + q] + vv * gap * (x[q] - y[q])
        Q[27] = v * var0 + (1.0 - v) * Q[27] + vv * gap * gap
        y[6] += v * gap
    e = 0
    for r in range(6):
        dr = x[r] - y[r]
        for q in range(r + 1):
            dd, p = dr * (x[q] - y[q]), P[e] - Q[e]
            P[e] = Q[e] + w * p + ww * dd
            Q[e] += v * p + vv * dd
            e += 1
    for r in range(6):
        dr = x[r] - y[r]
        x[r] = y[r] + w * dr
        y[r] += v * dr


@leaf
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


@leaf
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


@leaf
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


@leaf
def centre(model, bank, i):  # type: ignore[no-untyped-def]
    """Renew the mixture's mean (6,)."""
    row = bank[i]
    mean, x, mu = row.mean, row.x, row.mu
    for a in range(6):
        mean[a] = mu[0] * x[0, a]
    for m in range(1, model.modes[row.model_set]):
        for a in range(6):
            mean[a] += mu[m] * x[m, a]


@leaf
def moments(model, bank, i):  # type: ignore[no-untyped-def]
    """Renew the mixture's mean (6,) and the sigmas of position, velocity and acceleration that gates use."""
    centre(model, bank, i)
    row = bank[i]
    k, mean = row.model_set, row.mean
    pos, vel, acc = 0.0, 0.0, 0.0
    for m in range(model.modes[k]):
        if row.mu[m] < 1e-3:
            continue
        x, P, kind = row.x[m], row.P[m], model.kind[k, m]
        dp = (x[0] - mean[0]) ** 2 + (x[1] - mean[1]) ** 2 + (x[2] - mean[2]) ** 2
        dv = (x[3] - mean[3]) ** 2 + (x[4] - mean[4]) ** 2 + (x[5] - mean[5]) ** 2
        pos = max(pos, np.sqrt(max(P[0], P[2], P[5])) * 1.2 + np.sqrt(dp))
        vel = max(vel, np.sqrt(max(P[9], P[14], P[20])) * 1.2 + np.sqrt(dv))
        if kind == BOOST:
            acc = max(acc, 10.0 + np.sqrt(x[6] ** 2 + x[7] ** 2 + x[8] ** 2) + np.sqrt(max(P[27], P[35], P[44])))
        elif kind >= COAST:
            acc = max(acc, 10.0 + _drag(model, bank, i))
        elif kind == TURN:
            speed = np.sqrt(mean[3] ** 2 + mean[4] ** 2 + mean[5] ** 2)
            acc = max(acc, (abs(x[6]) + np.sqrt(P[27])) * speed)
        else:
            acc = max(acc, np.sqrt(model.noise[k, m, 0]))
    row.spread[0], row.spread[1], row.spread[2] = pos, vel, acc


@leaf
def _drag(model, bank, i):  # type: ignore[no-untyped-def]
    """Return a generous drag deceleration m/s2 for row i (a body of 1,000 kg/m2)."""
    _, _, _, height = vertical(model.earth, bank[i].mean[0], bank[i].mean[1], bank[i].mean[2])
    v2 = bank[i].mean[3] ** 2 + bank[i].mean[4] ** 2 + bank[i].mean[5] ** 2
    return 0.5 * air_density(height) * v2 / 1_000.0


@leaf
def change_set(model, bank, i, target):  # type: ignore[no-untyped-def]
    """Give row i another model set: every new mode starts from the mixture's likeliest mode."""
    old = bank[i].model_set
    best = 0
    for m in range(model.modes[old]):
        if bank[i].mu[m] > bank[i].mu[best]:
            best = m
    for a in range(6):
        bank[i].x[0, a] = bank[i].x[best, a]
    for a in range(21):
        bank[i].P[0, a] = bank[i].P[best, a]
    bank[i].model_set = target
    fill_modes(model, bank, i, target)
    moments(model, bank, i)


@leaf
def fill_modes(model, bank, i, k):  # type: ignore[no-untyped-def]
    """Start every mode of row i from mode 0's position and velocity and its own extra states' prior."""
    for m in range(model.modes[k]):
        kind = model.kind[k, m]
        bank[i].mu[m] = model.start[k, m]
        mean0, var0 = 0.0, 0.0
        if states_of(kind) > 6:
            mean0, var0 = extra_prior(kind, model.birth[k])
        for a in range(STATES):
            bank[i].x[m, a] = bank[i].x[0, a] if a < 6 else mean0
            for b in range(a + 1):
                if a < 6:
                    bank[i].P[m, AT[a, b]] = bank[i].P[0, AT[a, b]]
                else:
                    bank[i].P[m, AT[a, b]] = var0 if a == b else 0.0


@leaf
def weigh(model, bank, i, sensor, z, kind, t_ns, work):  # type: ignore[no-untyped-def]
    """Return (smallest Mahalanobis square over likely modes, log of the mixture likelihood, components) of a plot for row i.

    The row stands at its own time; a plot a little apart from it in time is met by moving along the velocity. The plot is
    linearised once, at the mixture's mean.
    """
    row = bank[i]
    k, mu = row.model_set, row.mu
    dt = (t_ns - row.t_ns) * 1e-9
    n = linearise_row(model.earth, bank, i, sensor, z, kind, dt, work)
    still, best, modes = looks_at_places(n, work), 1e300, model.modes[k]
    for m in range(modes):
        work.fresh[m] = 1e300
        if mu[m] >= UNLIKELY:
            work.fresh[m], work.logs[m] = distance(row, m, n, still, dt, work)
            best = min(best, work.fresh[m])
    total = 0.0
    for m in range(modes):
        if mu[m] >= UNLIKELY:
            total += mu[m] * np.exp(0.5 * (best - work.fresh[m])) / np.sqrt(work.logs[m])
    return best, np.log(max(total, 1e-300)) - 0.5 * (best + n * LOG_TWO_PI), n


@leaf
def linearise_row(earth, bank, i, sensor, z, kind, dt, work):  # type: ignore[no-untyped-def]
    """Linearise a plot at row i's mean moved along its velocity by dt seconds, which is kept in work.x0; returns components."""
    x0, mean = work.x0, bank[i].mean
    for a in range(3):
        x0[a] = mean[a] + dt * mean[a + 3]
        x0[a + 3] = mean[a + 3]
    return linearise(earth, sensor, z, kind, x0[0], x0[1], x0[2], x0[3], x0[4], x0[5], work.H, work.nu, work.R)


@leaf
def update(model, bank, i, sensor, z, kind, work):  # type: ignore[no-untyped-def]
    """Update every mode of row i by one plot at the row's own time; returns the normalised innovation squared per component."""
    return absorb(model, bank, i, linearise_row(model.earth, bank, i, sensor, z, kind, 0.0, work), work)


@leaf
def absorb(model, bank, i, n, work):  # type: ignore[no-untyped-def]
    """Update every mode of row i by the n components that `linearise_row` left in work; returns what `update` returns."""
    row = bank[i]
    k, mu = row.model_set, row.mu
    modes, heavy, nis, best = model.modes[k], 0, 0.0, 1e300
    for m in range(1, modes):
        if mu[m] > mu[heavy]:
            heavy = m
    for r in range(n, 6):
        work.D[r] = 0.0
    for m in range(modes):
        d2, work.logs[m] = update_mode(bank, i, m, states_of(model.kind[k, m]), n, work)
        if m == heavy:  # the innovations of the likeliest mode in units of their sigma, for whoever watches the sensor
            for r in range(n):
                work.D[r] = work.y[r]
        work.fresh[m] = d2
        best = min(best, d2)
        nis += mu[m] * d2
    top, total = 0.0, 0.0
    for m in range(modes):
        mu[m] *= np.exp(0.5 * (best - work.fresh[m])) / np.sqrt(work.logs[m])
        top = max(top, mu[m])
    for m in range(modes):
        mu[m] = max(mu[m] / top, MODE_FLOOR)
        total += mu[m]
    for m in range(modes):
        mu[m] /= total
    moments(model, bank, i)
    return nis / max(n, 1)


@leaf
def mixture(model, bank, i, dt, mean, covariance, work):  # type: ignore[no-untyped-def]
    """Write row i's mean (6,) and covariance (6, 6) moved by dt seconds, leaving the row as it is (the last row is scratch)."""
    row, spare = bank[i], len(bank) - 1 if dt != 0.0 else i
    k, ahead, mu = row.model_set, bank[spare], row.mu
    modes = model.modes[k]
    if dt != 0.0:
        for m in range(modes):
            n = states_of(model.kind[k, m])
            for r in range(n):
                ahead.x[m, r] = row.x[m, r]
            for r in range((n * (n + 1)) >> 1):
                ahead.P[m, r] = row.P[m, r]
            move(model.earth, model.kind[k, m], model.noise[k, m], bank, spare, m, dt, work)
    sums, d = work.P[0], work.y
    for r in range(6):
        mean[r] = mu[0] * ahead.x[0, r]
    for m in range(1, modes):
        for r in range(6):
            mean[r] += mu[m] * ahead.x[m, r]
    for e in range(21):
        sums[e] = 0.0
    for m in range(modes):
        w, P, e = mu[m], ahead.P[m], 0
        for r in range(6):
            d[r] = ahead.x[m, r] - mean[r]
            for q in range(r + 1):
                sums[e] += w * (P[e] + d[r] * d[q])
                e += 1
    e = 0
    for r in range(6):
        for q in range(r + 1):
            covariance[r, q], covariance[q, r] = sums[e], sums[e]
            e += 1
