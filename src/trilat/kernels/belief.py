"""Soft association, compiled: marginal probabilities of the joint events of a cluster, by loopy belief propagation.

Williams and Lau, Approximate evaluation of marginal association probabilities with belief propagation, IEEE Transactions on
Aerospace and Electronic Systems 50, 2014: messages between tracks and plots over the gated pairs, proved to converge.
"""

from __future__ import annotations

import numpy as np

from trilat.kernels.jit import entry, kernel

TURNS_MAX = 200
# Bounds of the exact marginals without permutations; clusters beyond them keep loopy belief propagation's.
DISTINCT_ROWS_MAX, DISTINCT_PLOTS_MAX = 12, 48  # together below the 63 bits of one number
DISTINCT_SLOTS, DISTINCT_VISITS = 4096, 100_000
DISTINCT_WIDTH = 8.0  # joint events e^8 times less likely than the best are left out


@entry
def marginals(start, column, weight, columns, settled, beta):  # type: ignore[no-untyped-def]
    """Write the marginal probability of every pair into beta (edges,); a row's rest is its missed detection.

    start (rows + 1,), column (edges,), weight (edges,): likelihood ratio of each pair against a miss (>= 0).
    settled: stop when no message moves by more.
    """
    rows = len(start) - 1
    edges = start[rows]
    to_track = np.ones(edges)
    # "All but this one" as a difference would cancel when one weight is huge; so the largest is kept apart from the rest.
    largest, rest, owner = np.empty(columns), np.empty(columns), np.empty(columns, np.int64)
    for _ in range(TURNS_MAX):
        largest[:] = 0.0
        rest[:] = 0.0
        owner[:] = -1
        for r in range(rows):
            top, others, first = 0.0, 0.0, -1
            for e in range(start[r], start[r + 1]):
                w = weight[e] * to_track[e]
                if w > top:
                    others += top
                    top, first = w, e
                else:
                    others += w
            for e in range(start[r], start[r + 1]):
                w = weight[e] * to_track[e]
                without = 1.0 + (others if e == first else top + max(others - w, 0.0))
                beta[e] = weight[e] / without
                c = column[e]
                if beta[e] > largest[c]:
                    rest[c] += largest[c]
                    largest[c], owner[c] = beta[e], e
                else:
                    rest[c] += beta[e]
        change = 0.0
        for e in range(edges):
            c = column[e]
            new = 1.0 / (1.0 + (rest[c] if owner[c] == e else largest[c] + max(rest[c] - beta[e], 0.0)))
            change = max(change, abs(new - to_track[e]))
            to_track[e] = new
        if change < settled:
            break
    for r in range(rows):
        s = 1.0
        for e in range(start[r], start[r + 1]):
            s += weight[e] * to_track[e]
        for e in range(start[r], start[r + 1]):
            beta[e] = weight[e] * to_track[e] / s


@kernel
def _root(parent, a):  # type: ignore[no-untyped-def]
    """Return the root of a in a union-find forest, halving the path."""
    while parent[a] != a:
        parent[a] = parent[parent[a]]
        a = parent[a]
    return a


@kernel
def clusters(start, column, columns, label):  # type: ignore[no-untyped-def]
    """Label rows (label, (rows,)) by connected component of the pairs: the lowest row of the component."""
    rows = len(start) - 1
    parent = np.arange(rows)
    owner = np.full(columns, -1, np.int64)
    for r in range(rows):
        for e in range(start[r], start[r + 1]):
            j = column[e]
            if owner[j] < 0:
                owner[j] = r
                continue
            a, b = _root(parent, r), _root(parent, owner[j])
            if a != b:
                parent[max(a, b)] = min(a, b)
    for r in range(rows):
        label[r] = _root(parent, r)


@entry
def distinct(rows, start, column, cost, beta):  # type: ignore[no-untyped-def]
    """Write marginals of one cluster's pairs into beta, without permutations, after JPDA*.

    Joint events that detect the same tracks by the same plots differ only in who is who. The likeliest of them stands for all, so
    that tracks close together are not drawn into one another (Blom and Bloem, IEEE Transactions on Automatic Control 45, 2000).
    They drop the others; here it takes over their probability: what was detected keeps its own. rows: those of the cluster
    in start, column, cost (log odds of each pair against a miss, negated). False, and beta left alone, when there are too many.
    """
    m = len(rows)
    plots = np.empty(DISTINCT_PLOTS_MAX, np.int64)
    seen = 0
    for r in rows:
        for e in range(start[r], start[r + 1]):
            k = _local(plots, seen, column[e])
            if k == seen:
                if seen == DISTINCT_PLOTS_MAX:
                    return False
                plots[seen] = column[e]
                seen += 1
    left = np.zeros(m + 1)  # the least that the rows from here on can cost
    for d in range(m - 1, -1, -1):
        least = 0.0
        for e in range(start[rows[d]], start[rows[d] + 1]):
            least = min(least, cost[e])
        left[d] = left[d + 1] + least
    keys, costs, sums = np.full(DISTINCT_SLOTS, -1, np.int64), np.empty(DISTINCT_SLOTS), np.empty(DISTINCT_SLOTS)
    picks = np.empty((DISTINCT_SLOTS, m), np.int64)
    best = _walk(rows, start, column, cost, plots, seen, left, keys, costs, sums, picks)
    if best > 1e299:
        return False
    total = 0.0
    for r in rows:
        for e in range(start[r], start[r + 1]):
            beta[e] = 0.0
    for k in range(DISTINCT_SLOTS):
        if keys[k] < 0 or costs[k] - best > DISTINCT_WIDTH:
            continue
        total += sums[k]
        for d in range(m):
            if picks[k, d] >= 0:
                beta[picks[k, d]] += sums[k]
    for r in rows:
        for e in range(start[r], start[r + 1]):
            beta[e] /= total
    return True


@kernel
def _local(plots, seen, j):  # type: ignore[no-untyped-def]
    """Return where plot j stands among the first `seen` of plots, or `seen`."""
    for k in range(seen):
        if plots[k] == j:
            return k
    return seen


@kernel
def _walk(rows, start, column, cost, plots, seen, left, keys, costs, sums, picks):  # type: ignore[no-untyped-def]
    """Go through the joint events depth first, the best of each kind into a table; returns the least cost, 1e300 if too many.

    An event's kind is the set of rows it detects and the set of plots it uses, as bits of one number.
    """
    m = len(rows)
    pick, spent, used = np.full(m, -1, np.int64), np.zeros(m + 1), np.zeros(m + 1, np.int64)
    at = np.empty(m + 1, np.int64)  # next choice of each row: its edges, then nothing (one past the last), then done
    at[0] = start[rows[0]]
    depth, visits, best, kept = 0, 0, 1e300, 0
    while depth >= 0:
        e, end = at[depth], start[rows[depth] + 1]
        if e > end:
            depth -= 1
            continue
        at[depth] += 1
        visits += 1
        if visits > DISTINCT_VISITS:
            return 1e300
        bits, price = used[depth], spent[depth]
        if e < end:
            bit = np.int64(1) << (DISTINCT_ROWS_MAX + _local(plots, seen, column[e]))
            if bits & bit:
                continue
            bits |= bit | (np.int64(1) << depth)
            price += cost[e]
        if price + left[depth + 1] > best + DISTINCT_WIDTH:
            continue
        pick[depth] = e if e < end else -1
        if depth + 1 < m:
            depth += 1
            used[depth], spent[depth], at[depth] = bits, price, start[rows[depth]]
            continue
        best = min(best, price)
        k = (bits * 2654435761 >> 7) & (DISTINCT_SLOTS - 1)
        while keys[k] >= 0 and keys[k] != bits:
            k = (k + 1) & (DISTINCT_SLOTS - 1)
        if keys[k] < 0:
            kept += 1
            if 2 * kept > DISTINCT_SLOTS:
                return 1e300
            costs[k], sums[k] = 1e300, 0.0
        keys[k] = bits
        sums[k] += np.exp(left[0] - price)
        if price < costs[k]:
            costs[k] = price
            picks[k, :] = pick
    return best
