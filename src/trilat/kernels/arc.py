"""One flight's own filters over rows of a bank, compiled: gate and update, and free arcs forked off a burning row.

Records of rules and of scratch come in arrays of one (kernels/bank.py box), which cost Python less to hand over.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trilat.kernels import bank as banks
from trilat.kernels.bank import AT, BOOST, CONFIRMED, PACKED, REENTRY, STATES, TURN, Z_SIGMA_H
from trilat.kernels.frames import earth, vertical
from trilat.kernels.imm import LOG_TWO_PI, absorb, linearise_row, mixture, moments, predict, states_of, update, weigh
from trilat.kernels.jit import entry, kernel, leaf
from trilat.kernels.measure import KIND_MEASUREMENT, place
from trilat.kernels.motion import LOG_COEFFICIENT, STEP_MAX_S, move

FAR, LATE, OUTSIDE = -1.0, -2.0, -3.0  # why a plot was not taken
LATE_S = 3.0
ANYWHERE_M, FASTEST_M_S = 6.4e6, 40_000.0  # sigma of a place, and a speed, beyond which a state says nothing
NEVER = -1e300  # the log weight of an arc that is not followed


def three() -> Any:
    """Return a flight's model: set 0 falls, burns steadily, unsteadily; set 1 the free arc; set 2 the arc in the air."""
    model = banks.record(banks.MODEL_DTYPE)
    model["earth"] = earth("wgs84")
    model["modes"] = (3, 1, 1)
    model["kind"][0], model["kind"][1:, 0] = (REENTRY, BOOST, BOOST), REENTRY
    model["noise"][0, 0, :3], model["noise"][0, 1, :2], model["noise"][0, 2, :2] = (0.02, 0.0, 1e-5), (6.0, 0.0), (400.0, 0.0)
    model["noise"][2, 0, :3] = (0.3, 0.0, 1e-3)
    model["stay_s"] = 60.0
    model["stay_s"][0] = (300.0, 40.0, 4.0)
    model["share"][0] = ((0.0, 0.0, 1.0), (0.5, 0.0, 0.5), (0.4, 0.6, 0.0))
    model["start"][0], model["start"][1:, 0] = (0.3, 0.3, 0.4), 1.0
    model["birth"] = (2_000.0, 40.0, 0.0, 0.5)
    return model


def burning(noise_m2_s5: float) -> Any:
    """Return a model whose sets burn and nothing else, their thrust wandering by so much."""
    model = three()
    model["modes"][0], model["kind"][0, 0], model["start"][0, 0] = 1, BOOST, 1.0
    model["noise"][0, 0] = (noise_m2_s5, 0.0, 0.0, 0.0)
    model["kind"][1:, 0], model["noise"][1:, 0] = BOOST, model["noise"][0, 0]
    return model


def burning_pair(steady_m2_s5: float, unsteady_m2_s5: float, stay_s: float) -> Any:
    """Return a model whose set 0 burns steadily, for so long, or unsteadily, and does nothing else."""
    model = three()
    model["modes"][0] = 2
    model["kind"][0, :2] = BOOST
    model["noise"][0, :2] = ((steady_m2_s5, 0.0, 0.0, 0.0), (unsteady_m2_s5, 0.0, 0.0, 0.0))
    model["stay_s"][0, :2], model["start"][0, :2] = (stay_s, 4.0), (0.5, 0.5)
    model["share"][0, :2, :2] = ((0.0, 1.0), (1.0, 0.0))
    return model


@entry
def settle_row(models, bank, i):  # type: ignore[no-untyped-def]
    """Renew the mixture's mean and spread of a row whose states were written from outside."""
    moments(models[0], bank, i)


@entry
def feed(models, bank, i, sensor, z, kind, t_ns, gate, sign, works):  # type: ignore[no-untyped-def]
    """Update row i by one plot when it lies in its gate; returns the normalised innovation squared per component, or why not.

    sign: 1 forwards in time, -1 backwards. gate (7,): chi-square bound by number of components.
    """
    model, work = models[0], works[0]
    dt = (t_ns - bank[i].t_ns) * 1e-9
    if dt * sign < -LATE_S:
        return LATE
    if kind in (0, KIND_MEASUREMENT):  # look first whether it is anywhere near: what is not must not move the row in time
        place(model.earth, sensor, z, kind, work.point)
        slack = 0.01 * z[0] if kind == 0 else 4.0 * z[Z_SIGMA_H]
        reach = 5_000.0 + slack + 4.0 * bank[i].spread[0] + abs(dt) * (500.0 + bank[i].spread[1]) + 50.0 * dt * dt
        d2 = 0.0
        for a in range(3):
            d2 += (bank[i].mean[a] + dt * bank[i].mean[a + 3] - work.point[a]) ** 2
        if d2 > reach * reach:
            return FAR
    predict(model, bank, i, t_ns, work)
    moments(model, bank, i)
    best, _, n = weigh(model, bank, i, sensor, z, kind, t_ns, work)
    if n == 0 or not best <= gate[n]:  # what is no number lies in no gate
        return OUTSIDE
    return update(model, bank, i, sensor, z, kind, work)


@entry
def back(models, bank, i, kept, sensors, who, z, kinds, t_ns, gate, told, works):  # type: ignore[no-untyped-def]
    """Give row i plots backwards in time, until it could be anywhere; writes what `feed` returns of each into told (n,).

    Followed back through air for long, any speed grows, and any place is as good as another. kept (1,): a row of scratch.
    """
    kept[0] = bank[i]
    for k in range(len(told)):
        told[k] = FAR
    for k in range(len(told)):
        told[k] = feed(models, bank, i, sensors[who[k]], z[k], kinds[k], t_ns[k], gate, -1.0, works)
        if told[k] == FAR:
            continue
        row, most = bank[i], 0.0
        for a in range(3, 6):
            most = max(most, abs(row.mean[a])) if not np.isnan(row.mean[a]) else np.inf
        if not (row.spread[0] < ANYWHERE_M and most < FASTEST_M_S):
            bank[i] = kept[0]
            told[k] = OUTSIDE
            return
        kept[0] = bank[i]


@entry
def move_row(models, bank, i, t_ns, works):  # type: ignore[no-untyped-def]
    """Bring a row to a time."""
    predict(models[0], bank, i, t_ns, works[0])
    moments(models[0], bank, i)


@kernel
def _told(model, bank, i, sensor, z, kind, t_ns, work):  # type: ignore[no-untyped-def]
    """Update row i by a plot and return (log likelihood of the plot, normalised innovation squared)."""
    predict(model, bank, i, t_ns, work)
    moments(model, bank, i)
    modes, before = model.modes[bank[i].model_set], bank[i].mu.copy()
    n = linearise_row(model.earth, bank, i, sensor, z, kind, 0.0, work)
    nis = absorb(model, bank, i, n, work)
    best, total = 1e300, 0.0
    for m in range(modes):
        best = min(best, work.fresh[m])
    for m in range(modes):  # absorb leaves each mode's Mahalanobis square in fresh, the determinant of its S in logs
        total += before[m] * np.exp(0.5 * (best - work.fresh[m])) / np.sqrt(work.logs[m])
    return np.log(max(total, 1e-300)) - 0.5 * (best + n * LOG_TWO_PI), nis


@entry
def burn(models, bank, i, sensor, z, kind, t_ns, works):  # type: ignore[no-untyped-def]
    """Update row i by a plot, whatever a gate would say; returns the plot's log likelihood."""
    log, _ = _told(models[0], bank, i, sensor, z, kind, t_ns, works[0])
    return log


@entry
def fork(models, bank, i, j, since_s, wider, works):  # type: ignore[no-untyped-def]
    """Begin at row j the free arc of a body that burnt till now as row i has it, or stopped at some time in the last since_s.

    Covariance times wider squared; thrust times a time uniform over since_s is added to the velocity's.
    """
    model, work = models[0], works[0]
    mean, P = np.empty(6), np.empty((6, 6))
    mixture(model, bank, i, 0.0, mean, P, work)
    row = bank[j]
    row.status, row.model_set, row.t_ns = CONFIRMED, 1, bank[i].t_ns
    row.mu[0] = 1.0
    for a in range(row.P.shape[1]):
        row.P[0, a] = 0.0
    for a in range(row.x.shape[1]):
        row.x[0, a] = 0.0
    modes = model.modes[bank[i].model_set]
    for a in range(6):
        row.x[0, a] = mean[a]
        for b in range(a + 1):
            p = P[a, b] * wider * wider
            if b >= 3:
                s, q = 0.0, 0.0
                for m in range(modes):
                    s += bank[i].mu[m] * bank[i].x[m, a + 3]
                    q += bank[i].mu[m] * bank[i].x[m, b + 3]
                p += s * q * since_s * since_s / 12.0
            row.P[0, AT[a, b]] = p
    row.x[0, 6] = LOG_COEFFICIENT
    row.P[0, AT[6, 6]] = model.birth[1, 3] * model.birth[1, 3]


@entry
def follow(models, bank, first, score, nis, sensor, z, kind, t_ns, thin_m, works):  # type: ignore[no-untyped-def]
    """Update the arcs at rows first + k whose score (n,) is not NEVER by a plot, add its log likelihood to their scores.

    Above thin_m (height m) an arc is of model set 1, below of set 2. nis (n,): their normalised innovations squared.
    """
    model = models[0]
    for k in range(len(score)):
        if score[k] <= NEVER:
            continue
        i = first + k
        _, _, _, height = vertical(model.earth, bank[i].x[0, 0], bank[i].x[0, 1], bank[i].x[0, 2])
        bank[i].model_set = 1 if height > thin_m else 2
        log, nis[k] = _told(model, bank, i, sensor, z, kind, t_ns, works[0])
        score[k] += log


@leaf
def _slope(kind, dt, work, J):  # type: ignore[no-untyped-def]
    """Write the Jacobian (STATES, STATES) of the one step that `move` has just made into J: it leaves its parts in scratch."""
    A, B = work.scratch[0], work.scratch[1]
    for r in range(STATES):
        for q in range(STATES):
            J[r, q] = 1.0 if r == q else 0.0
    if kind >= BOOST:
        n = states_of(kind)
        for r in range(n):
            for q in range(n):
                J[r, q] = A[r, q]
        return
    for r in range(3):
        J[r, r + 3] = dt
        if kind == TURN:
            for q in range(3):
                J[r, q + 3], J[r + 3, q + 3] = A[r, q], B[r, q]
            J[r, 6], J[r + 3, 6] = work.scratch[4, 0, r], work.scratch[4, 1, r]


@entry
def ahead(models, which, mode, dt, x, P, F, bank, works):  # type: ignore[no-untyped-def]
    """Move n single modes by dt seconds (n,), as the filters do, for whoever smooths them backwards (track/smooth.py).

    which, mode (n,): model set and mode; x (n, STATES), P (n, PACKED), in place; F (n, STATES, STATES) takes the Jacobians.
    bank: one row of scratch.
    """
    model, work = models[0], works[0]
    J, whole = np.empty((STATES, STATES)), np.empty((STATES, STATES))
    for n in range(len(dt)):
        kind, noise = model.kind[which[n], mode[n]], model.noise[which[n], mode[n]]
        for a in range(STATES):
            bank[0].x[0, a] = x[n, a]
            for b in range(STATES):
                F[n, a, b] = 1.0 if a == b else 0.0
        for a in range(PACKED):
            bank[0].P[0, a] = P[n, a]
        steps = max(int(np.ceil(abs(dt[n]) / STEP_MAX_S)), 1) if kind >= BOOST else 1
        for _ in range(steps if dt[n] != 0.0 else 0):
            move(model.earth, kind, noise, bank, 0, 0, dt[n] / steps, work)
            _slope(kind, dt[n] / steps, work, J)
            for a in range(STATES):
                for b in range(STATES):
                    s = 0.0
                    for c in range(STATES):
                        s += J[a, c] * F[n, c, b]
                    whole[a, b] = s
            for a in range(STATES):
                for b in range(STATES):
                    F[n, a, b] = whole[a, b]
        for a in range(STATES):
            x[n, a] = bank[0].x[0, a]
        for a in range(PACKED):
            P[n, a] = bank[0].P[0, a]


def warm() -> None:
    """Compile what the product calls."""
    b = banks
    model, work, rows = b.record(b.MODEL_DTYPE), b.record(b.WORK_DTYPE), b.new_bank(1).rows
    model["earth"], model["modes"], model["kind"], model["stay_s"] = earth("wgs84"), 1, REENTRY, 1.0
    rows["x"][:, :, 0], rows["P"][:], rows["mu"][:] = 6_500_000.0, 1.0, 1.0
    models, works, sensor, z = b.box(model), b.box(work), np.ones(b.SENSOR_COLUMNS), np.ones(b.PLOT_COLUMNS)
    settle_row(models, rows, 0)
    feed(models, rows, 0, sensor, z, 0, 1, np.ones(7), 1.0, works)
    one, still = np.zeros(1, np.int64), np.zeros(1)
    back(
        models, rows, 0, rows[:1].copy(), sensor.reshape(1, -1), one, z.reshape(1, -1), one, one, np.ones(7), still.copy(), works
    )
    move_row(models, rows, 0, 2, works)
    burn(models, rows, 0, sensor, z, 0, 3, works)
    fork(models, rows, 0, 1, 0.5, 1.0, works)
    follow(models, rows, 1, np.zeros(1), np.zeros(1), sensor, z, 0, 4, 1e5, works)
    ahead(models, one, one, still, np.ones((1, b.STATES)), np.ones((1, b.PACKED)), np.empty((1, b.STATES, b.STATES)), rows, works)
