"""Soft updates, compiled: tracks whose plot is in doubt take each of their plots by its probability (joint PDA)."""

from __future__ import annotations

import numpy as np

from trilat.kernels.bank import I_DOMAIN, I_KIND, I_T, L_CAP
from trilat.kernels.belief import clusters, marginals
from trilat.kernels.gate import PD_UNEXPECTED, detection_probability
from trilat.kernels.imm import MODE_FLOOR, moments, predict, states_of, update_mode
from trilat.kernels.jit import kernel
from trilat.kernels.life import age, classify, learn

SURE = 0.95  # a cluster in which every track's likeliest choice is this likely is settled firmly
CLUSTER_MAX = 64  # tracks in a cluster beyond which the firm assignment stands (a crowd of new tracks, not a formation)


@kernel
def soften(model, head, bank, sensor, s, z, plots, rows, start, column, cost, ratio, chosen, n, frame, work, taken, soft):  # type: ignore[no-untyped-def]
    """Find ambiguous clusters and update their tracks softly; marks those rows in soft and adds plots' shares to taken."""
    count = len(start) - 1
    if count == 0:
        return
    weight, beta = np.empty(start[count]), np.empty(start[count])
    for e in range(start[count]):
        weight[e] = np.exp(min(-cost[e], 200.0))
    marginals(start, column, weight, n, beta)
    label, size, unsure = np.empty(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.uint8)
    clusters(start, column, n, label)
    for c in range(count):
        size[label[c]] += 1
        best, rest = 0.0, 1.0
        for e in range(start[c], start[c + 1]):
            rest -= beta[e]
            best = max(best, beta[e])
        if max(best, rest) < SURE:
            unsure[label[c]] = 1
    for c in range(count):
        if unsure[label[c]] and size[label[c]] <= CLUSTER_MAX:
            soft[c] = 1
            for e in range(start[c], start[c + 1]):
                taken[column[e]] += beta[e]
            _take_softly(model, head, bank, sensor, s, z, plots, rows[c], start[c], start[c + 1], column, beta, frame, work)


@kernel
def _take_softly(model, head, bank, sensor, s, z, plots, i, first, last, column, beta, frame, work):  # type: ignore[no-untyped-def]
    """Update row i by the plots of edges first..last, each by its probability, mode by mode, keeping two moments."""
    best, all_ = first, 0.0
    for e in range(first, last):
        all_ += beta[e]
        if beta[e] > beta[best]:
            best = e
    j = column[best]
    t_ns = plots[j, I_T]
    predict(model, bank, i, t_ns, work)
    pd = max(detection_probability(model, bank, i, sensor), PD_UNEXPECTED)
    k = bank[i].model_set
    modes = model.modes[k]
    for m in range(modes):
        n = states_of(model.kind[k, m])
        work.fresh[m] = (1.0 - all_) * bank[i].mu[m]
        for a in range(n):
            work.x[m, a] = 0.0
            for b in range(n):
                work.P[m, a, b] = work.fresh[m] * bank[i].P[m, a, b]
    nis = 0.0
    for e in range(first, last):
        if beta[e] > 1e-4:
            nis += _hypothesis(model, bank, sensor, z[column[e]], plots[column[e], I_KIND], i, k, modes, beta[e], work)
    _close(model, bank, i, k, modes, work)
    age(model, bank, i, t_ns)
    r = bank[i].existence
    quiet = r * (1.0 - pd) / max(1.0 - r * pd, 1e-300)
    bank[i].existence = min(all_ + max(1.0 - all_, 0.0) * quiet, model.life[k, L_CAP])
    moments(model, bank, i)
    if all_ > 0.5:
        learn(bank, i, s, plots, j, nis / all_, frame)
        classify(model, bank, i, plots[j, I_DOMAIN])


@kernel
def _hypothesis(model, bank, sensor, z, kind, i, k, modes, share, work):  # type: ignore[no-untyped-def]
    """Add one plot's posterior of every mode, by its share, to the sums; returns its share of the innovation square."""
    spare = len(bank) - 2
    top, nis = -1e300, 0.0
    for m in range(modes):
        n = states_of(model.kind[k, m])
        for a in range(n):
            bank[spare].x[m, a] = bank[i].x[m, a]
            for b in range(n):
                bank[spare].P[m, a, b] = bank[i].P[m, a, b]
        log, c, d2 = update_mode(model.earth, bank, spare, m, n, sensor, z, kind, work)
        work.logs[m] = log + np.log(max(bank[i].mu[m], 1e-300))
        top = max(top, work.logs[m])
        nis += bank[i].mu[m] * d2 / max(c, 1)
    total = 0.0
    for m in range(modes):
        total += np.exp(work.logs[m] - top)
    for m in range(modes):
        w = share * np.exp(work.logs[m] - top) / total
        n = states_of(model.kind[k, m])
        work.fresh[m] += w
        for a in range(n):
            da = bank[spare].x[m, a] - bank[i].x[m, a]
            work.x[m, a] += w * da
            for b in range(n):
                work.P[m, a, b] += w * (bank[spare].P[m, a, b] + da * (bank[spare].x[m, b] - bank[i].x[m, b]))
    return share * nis


@kernel
def _close(model, bank, i, k, modes, work):  # type: ignore[no-untyped-def]
    """Make means and covariances of the sums, and write them and the mode probabilities into row i."""
    total = 0.0
    for m in range(modes):
        w = max(work.fresh[m], 1e-300)
        n = states_of(model.kind[k, m])
        for a in range(n):
            work.x[m, a] /= w
        for a in range(n):
            for b in range(n):
                bank[i].P[m, a, b] = work.P[m, a, b] / w - work.x[m, a] * work.x[m, b]
        for a in range(n):
            bank[i].x[m, a] += work.x[m, a]
        bank[i].mu[m] = max(work.fresh[m], MODE_FLOOR)
        total += bank[i].mu[m]
    for m in range(modes):
        bank[i].mu[m] /= total
