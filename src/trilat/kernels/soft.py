"""What is in doubt, compiled: clusters of tracks that share plots and in which no choice is likely.

Their decision is put off (kernels/hypotheses.py), or each track takes each of its plots by its probability (joint PDA).
"""

from __future__ import annotations

import numpy as np

from trilat.kernels.assign import clusters, marginals
from trilat.kernels.bank import AT, I_DOMAIN, I_KIND, I_T, L_CAP, O_ASSOCIATION, PACKED, STATES, TENTATIVE
from trilat.kernels.gate import PD_UNEXPECTED, detection_probability
from trilat.kernels.hypotheses import defer
from trilat.kernels.imm import MODE_FLOOR, linearise_row, moments, predict, states_of
from trilat.kernels.jit import kernel, leaf
from trilat.kernels.life import age, classify, learn
from trilat.kernels.sweep import update_mode

SURE = 0.95  # a cluster in which every track's likeliest choice is this likely is settled firmly
SETTLED = 1e-5
DEFERRED = 2  # value of the O_ASSOCIATION option that puts decisions off
CLUSTER_MAX = 64  # tracks in a cluster beyond which the firm assignment stands (a crowd of new tracks, not a formation)


@kernel
def soften(model, head, bank, sensor, s, z, plots, rows, start, column, cost, n, frame, work, taken, soft):  # type: ignore[no-untyped-def]  # noqa: PLR0917 - arrays by name
    """Find ambiguous clusters and put them off, or update their tracks softly; marks those rows in soft.

    Adds to taken the probability that each plot is of one of them.
    """
    who, part, edge = _in_conflict(bank, rows, start, column, n)
    count, edges = len(who), len(edge)
    if count == 0:
        return
    weight, beta, plot = np.empty(edges), np.empty(edges), column[edge]
    for e in range(edges):
        weight[e] = np.exp(min(-cost[edge[e]], 200.0))
    marginals(part, plot, weight, n, SETTLED, beta)
    label, size, unsure = np.empty(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.uint8)
    clusters(part, plot, n, label)
    _join_groups(bank, rows, who, label)
    for c in range(count):
        size[label[c]] += 1
        best, rest = 0.0, 1.0
        for e in range(part[c], part[c + 1]):
            rest -= beta[e]
            best = max(best, beta[e])
        if max(best, rest) < SURE or bank[rows[who[c]]].group > 0:
            unsure[label[c]] = 1
    for c in range(count):  # a lone track has no neighbour to be taken for: it is weighed softly unless it is of a group
        if label[c] != c or not unsure[c] or model.options[O_ASSOCIATION] != DEFERRED:
            continue
        if size[c] > 1 or bank[rows[who[c]]].group > 0:
            members = np.flatnonzero(label == c)
            near = _plots_of(members, part, plot, n)
            if defer(model, head, bank, sensor, s, z, plots, rows[who[members]], near, frame, work, taken):
                unsure[c] = 0
                for k in members:
                    soft[who[k]] = 1
    for c in range(count):
        if unsure[label[c]] and size[label[c]] <= CLUSTER_MAX:
            soft[who[c]] = 1
            for e in range(part[c], part[c + 1]):
                taken[plot[e]] += beta[e]
            _take_softly(model, bank, sensor, s, z, plots, rows[who[c]], part[c], part[c + 1], plot, beta, frame, work)


@kernel
def _in_conflict(bank, rows, start, column, n):  # type: ignore[no-untyped-def]
    """Return the rows to be weighed, and their pairs: where each one's begin, and which they are of all.

    Most tracks have one plot that nobody else wants; what is not yet believed takes what is left, firmly.
    """
    count = len(start) - 1
    shared = np.zeros(n, np.int64)
    for c in range(count):
        for e in range(start[c], start[c + 1]):
            shared[column[e]] += bank[rows[c]].status != TENTATIVE
    part = np.zeros(count + 1, np.int64)
    who, edge = np.empty(count, np.int64), np.empty(start[count], np.int64)
    rows_in, edges_in = 0, 0
    for c in range(count):
        lone = start[c + 1] - start[c] == 1 and shared[column[start[c]]] == 1 and bank[rows[c]].group == 0
        if lone or bank[rows[c]].status == TENTATIVE:
            continue
        for e in range(start[c], start[c + 1]):
            edge[edges_in] = e
            edges_in += 1
        who[rows_in] = c
        rows_in += 1
        part[rows_in] = edges_in
    return who[:rows_in], part[: rows_in + 1], edge[:edges_in]


@leaf
def _join_groups(bank, rows, who, label):  # type: ignore[no-untyped-def]
    """Make one cluster of those whose tracks are of one group already."""
    for a in range(len(who)):
        for b in range(a):
            g = bank[rows[who[a]]].group
            if g > 0 and bank[rows[who[b]]].group == g and label[a] != label[b]:
                low, high = min(label[a], label[b]), max(label[a], label[b])
                for c in range(len(who)):
                    if label[c] == high:
                        label[c] = low


@kernel
def _plots_of(members, part, plot, n):  # type: ignore[no-untyped-def]
    """Return the plots that any of the members could take, in order."""
    seen = np.zeros(n, np.uint8)
    for c in members:
        for e in range(part[c], part[c + 1]):
            seen[plot[e]] = 1
    return np.flatnonzero(seen)


@leaf
def _take_softly(model, bank, sensor, s, z, plots, i, first, last, column, beta, frame, work):  # type: ignore[no-untyped-def]  # noqa: PLR0917 - arrays by name
    """Update row i by the plots of edges first..last, each by its probability, mode by mode, keeping two moments."""
    best, all_ = first, 0.0
    for e in range(first, last):
        all_ += beta[e]
        if beta[e] > beta[best]:
            best = e
    j = column[best]
    t_ns = plots[j, I_T]
    predict(model, bank, i, t_ns, work)
    pd = max(detection_probability(model, bank, i, sensor, t_ns), PD_UNEXPECTED)
    k = bank[i].model_set
    modes = model.modes[k]
    for m in range(modes):
        work.fresh[m] = (1.0 - all_) * bank[i].mu[m]
        for a in range(STATES):
            work.x[m, a] = 0.0
        for a in range(PACKED):
            work.P[m, a] = work.fresh[m] * bank[i].P[m, a]
    nis = 0.0
    for e in range(first, last):
        if beta[e] > 1e-4:
            nis += _hypothesis(model, bank, sensor, z[column[e]], plots[column[e], I_KIND], i, k, modes, beta[e], work)
    _close(bank, i, modes, work)
    age(model, bank, i, t_ns)
    r = bank[i].existence
    quiet = r * (1.0 - pd) / max(1.0 - r * pd, 1e-300)
    bank[i].existence = min(all_ + max(1.0 - all_, 0.0) * quiet, model.life[k, L_CAP])
    moments(model, bank, i)
    bank[i].last_frame = frame  # this look has been weighed, miss included: it must not count as a miss once more
    bank[i].chance_ns[s] = t_ns
    if all_ > 0.5:
        learn(bank, i, s, plots, j, nis / all_, frame)
        classify(model, bank, i, plots[j, I_DOMAIN])


@leaf
def _hypothesis(model, bank, sensor, z, kind, i, k, modes, share, work):  # type: ignore[no-untyped-def]
    """Add one plot's posterior of every mode, by its share, to the sums; returns its share of the innovation square."""
    row, spare = bank[i], len(bank) - 2
    x, P, mu, nx, nP = row.x, row.P, row.mu, bank[spare].x, bank[spare].P
    best, nis, total = 1e300, 0.0, 0.0
    n = linearise_row(model.earth, bank, i, sensor, z, kind, 0.0, work)
    for m in range(modes):
        states = states_of(model.kind[k, m])
        for a in range(states):
            nx[m, a] = x[m, a]
        for a in range((states * (states + 1)) >> 1):
            nP[m, a] = P[m, a]
        work.logs[m], work.S[0, m] = update_mode(bank, spare, m, states, n, work)
        best = min(best, work.logs[m])
        nis += mu[m] * work.logs[m] / max(n, 1)
    for m in range(modes):
        work.logs[m] = mu[m] * np.exp(0.5 * (best - work.logs[m])) / np.sqrt(work.S[0, m])
        total += work.logs[m]
    for m in range(modes):
        w, e = share * work.logs[m] / total, 0
        work.fresh[m] += w
        for a in range(states_of(model.kind[k, m])):
            da = nx[m, a] - x[m, a]
            work.x[m, a] += w * da
            for b in range(a + 1):
                work.P[m, e] += w * (nP[m, e] + da * (nx[m, b] - x[m, b]))
                e += 1
    return share * nis


@leaf
def _close(bank, i, modes, work):  # type: ignore[no-untyped-def]
    """Make means and covariances of the sums, and write them and the mode probabilities into row i."""
    total = 0.0
    for m in range(modes):
        w = work.fresh[m]
        bank[i].mu[m] = max(w, MODE_FLOOR)
        total += bank[i].mu[m]
        if w < MODE_FLOOR:  # a mode without weight keeps its prediction: its sums are all rounding
            continue
        for a in range(STATES):
            work.x[m, a] /= w
        for a in range(STATES):
            for b in range(a + 1):
                bank[i].P[m, AT[a, b]] = work.P[m, AT[a, b]] / w - work.x[m, a] * work.x[m, b]
        for a in range(STATES):
            bank[i].x[m, a] += work.x[m, a]
    for m in range(modes):
        bank[i].mu[m] /= total
