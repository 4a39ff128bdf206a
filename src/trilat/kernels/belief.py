"""Soft association, compiled: marginal probabilities of the joint events of a cluster, by loopy belief propagation.

Williams and Lau, Approximate evaluation of marginal association probabilities with belief propagation, IEEE Transactions on
Aerospace and Electronic Systems 50, 2014: messages between tracks and plots over the gated pairs, proved to converge.
"""

from __future__ import annotations

import numpy as np

from trilat.kernels.jit import entry, kernel

TURNS_MAX = 200


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
