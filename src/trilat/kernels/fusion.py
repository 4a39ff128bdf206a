"""Fusion of tracks, compiled: prediction, distances between tracks, covariance intersection and its inverse form.

States are (position, velocity) in ECEF, SI, six numbers; covariances are (6, 6). Two estimates are brought to axes in which
one covariance is the identity and the other diagonal (simultaneous diagonalisation), so that the weight is a search over six
numbers. Covariance intersection: Julier and Uhlmann, A non-divergent estimation algorithm in the presence of unknown
correlations, ACC 1997. Inverse covariance intersection: Noack, Sijs, Reinhardt and Hanebeck, Automatica 79, 2017.
"""

from __future__ import annotations

import numpy as np

from trilat.kernels.frames import acceleration, earth
from trilat.kernels.jit import entry, kernel

STATES = 6
RULE_CI, RULE_INVERSE, RULE_NAIVE = 0, 1, 2
_SWEEPS_MAX = 12  # of Jacobi's rotations; six by six converges in five or six
_GOLDEN = 0.6180339887498949
_GOLDEN_TURNS = 14  # the weight to 1e-3
_BISECTIONS = 14  # the weight to 1e-4


@kernel
def factor(A, L):  # type: ignore[no-untyped-def]
    """Write the lower Cholesky factor of A (n, n) into L; tells whether A is positive definite."""
    n = A.shape[0]
    for r in range(n):
        for c in range(r + 1):
            s = A[r, c]
            for k in range(c):
                s -= L[r, k] * L[c, k]
            if r == c:
                if not s > 0.0:
                    return False
                L[r, r] = np.sqrt(s)
            else:
                L[r, c] = s / L[c, c]
        for c in range(r + 1, n):
            L[r, c] = 0.0
    return True


@kernel
def solve_lower(L, b, out):  # type: ignore[no-untyped-def]
    """Write L^-1 b into out (n,)."""
    for r in range(len(b)):
        s = b[r]
        for k in range(r):
            s -= L[r, k] * out[k]
        out[r] = s / L[r, r]


@kernel
def diagonalise(M, U, values):  # type: ignore[no-untyped-def]
    """Write eigenvectors (columns of U) and eigenvalues of the symmetric M (n, n), which is overwritten (Jacobi's rotations)."""
    n = M.shape[0]
    for r in range(n):
        for c in range(n):
            U[r, c] = 1.0 if r == c else 0.0
    for _ in range(_SWEEPS_MAX):
        turned = False
        for p in range(n - 1):
            for q in range(p + 1, n):
                # Against its own two values: small ones are then as exact as large ones (Demmel and Veselic, 1992).
                if M[p, q] * M[p, q] <= 1e-22 * abs(M[p, p] * M[q, q]):
                    continue
                turned = True
                theta = (M[q, q] - M[p, p]) / (2.0 * M[p, q])
                t = 1.0 / (abs(theta) + np.sqrt(theta * theta + 1.0))
                if theta < 0.0:
                    t = -t
                c = 1.0 / np.sqrt(t * t + 1.0)
                s = t * c
                for k in range(n):
                    a, b = M[k, p], M[k, q]
                    M[k, p], M[k, q] = c * a - s * b, s * a + c * b
                for k in range(n):
                    a, b = M[p, k], M[q, k]
                    M[p, k], M[q, k] = c * a - s * b, s * a + c * b
                for k in range(n):
                    a, b = U[k, p], U[k, q]
                    U[k, p], U[k, q] = c * a - s * b, s * a + c * b
        if not turned:
            break
    for k in range(n):
        values[k] = M[k, k]


@kernel
def _intersection_weight(values):  # type: ignore[no-untyped-def]
    """Return the first estimate's weight that makes the determinant least: information is w + (1 - w) / value per axis."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        w = 0.5 * (low + high)
        slope = 0.0
        for v in values:
            slope += (1.0 - 1.0 / v) / (w + (1.0 - w) / v)
        if slope > 0.0:
            low = w
        else:
            high = w
    return 0.5 * (low + high)


@kernel
def _inverse_gain(values, w):  # type: ignore[no-untyped-def]
    """Return the determinant of the information that inverse intersection gives at weight w."""
    total = 1.0
    for v in values:
        total *= 1.0 + 1.0 / v - 1.0 / (w + (1.0 - w) * v)
    return total


@kernel
def _inverse_weight(values):  # type: ignore[no-untyped-def]
    """Return the weight of inverse intersection that makes the determinant least (golden section)."""
    low, high = 0.0, 1.0
    a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    fa, fb = _inverse_gain(values, a), _inverse_gain(values, b)
    for _ in range(_GOLDEN_TURNS):
        if fa > fb:
            high, b, fb = b, a, fa
            a = high - _GOLDEN * (high - low)
            fa = _inverse_gain(values, a)
        else:
            low, a, fa = a, b, fb
            b = low + _GOLDEN * (high - low)
            fb = _inverse_gain(values, b)
    return 0.5 * (low + high)


@kernel
def fuse_two(mean, A, other, B, rule, w, work):  # type: ignore[no-untyped-def]
    """Fuse (other, B) into (mean, A), in place, by RULE_CI, RULE_INVERSE or RULE_NAIVE; tells whether both were valid.

    mean, other (6,); A, B (6, 6). w outside [0, 1] has the weight sought. work: (4, 6, 6) and so no allocation here.
    """
    L, M, U, T = work[0], work[1], work[2], work[3]
    if not factor(A, L):
        return False
    for c in range(STATES):  # M = L^-1 B L^-T
        solve_lower(L, B[:, c], T[:, c])
    for r in range(STATES):
        solve_lower(L, T[r, :], M[r, :])
    for r in range(STATES):
        for c in range(r):
            M[r, c] = M[c, r] = 0.5 * (M[r, c] + M[c, r])
    values, d, y = np.empty(STATES), np.empty(STATES), np.empty(STATES)
    diagonalise(M, U, values)
    for v in values:
        if not v > 0.0:
            return False
    solve_lower(L, other - mean, y)
    for k in range(STATES):
        s = 0.0
        for r in range(STATES):
            s += U[r, k] * y[r]
        d[k] = s
    if not 0.0 <= w <= 1.0:
        w = 0.5 if rule == RULE_NAIVE else (_intersection_weight(values) if rule == RULE_CI else _inverse_weight(values))
    for r in range(STATES):
        for c in range(STATES):
            s = 0.0
            for k in range(r + 1):
                s += L[r, k] * U[k, c]
            T[r, c] = s
    for k in range(STATES):
        v = values[k]
        if rule == RULE_CI:
            information, share = w + (1.0 - w) / v, (1.0 - w) / v
        elif rule == RULE_INVERSE:
            common = 1.0 / (w + (1.0 - w) * v)
            information, share = 1.0 + 1.0 / v - common, 1.0 / v - (1.0 - w) * common
        else:
            information, share = 1.0 + 1.0 / v, 1.0 / v
        values[k] = 1.0 / information
        y[k] = share * d[k] / information
    for r in range(STATES):
        s = 0.0
        for k in range(STATES):
            s += T[r, k] * y[k]
        mean[r] += s
        for c in range(r + 1):
            s = 0.0
            for k in range(STATES):
                s += T[r, k] * values[k] * T[c, k]
            A[r, c] = A[c, r] = s
    return True


@entry
def fuse_groups(start, mean, covariance, rule, out_mean, out_covariance):  # type: ignore[no-untyped-def]
    """Fuse the members of each group in their order; members of group g are rows start[g] to start[g + 1].

    start (G + 1,), mean (n, 6), covariance (n, 6, 6), rule (n,): how a member joins those before it (RULE_). Writes (G, 6)
    and (G, 6, 6). A member whose covariance is not positive definite is left out.
    """
    work = np.empty((4, STATES, STATES))
    for g in range(len(start) - 1):
        first = start[g]
        out_mean[g] = mean[first]
        out_covariance[g] = covariance[first]
        for k in range(first + 1, start[g + 1]):
            fuse_two(out_mean[g], out_covariance[g], mean[k], covariance[k], rule[k], -1.0, work)


@entry
def fuse_pairs(mean_a, A, mean_b, B, rule, out_mean, out_covariance):  # type: ignore[no-untyped-def]
    """Fuse n pairs of estimates (n, 6), (n, 6, 6) by one rule; writes (n, 6) and (n, 6, 6)."""
    work = np.empty((4, STATES, STATES))
    for k in range(len(mean_a)):
        out_mean[k], out_covariance[k] = mean_a[k], A[k]
        fuse_two(out_mean[k], out_covariance[k], mean_b[k], B[k], rule, -1.0, work)


@entry
def predict_all(world, falling, noise, t_ns, to_ns, mean, covariance):  # type: ignore[no-untyped-def]
    """Move n states to one time, in place: constant velocity, with gravity where `falling` (n,) is set.

    noise (n,): acceleration noise m2/s3. A time before the state's own moves it back, with the same growth of covariance.
    """
    a = np.empty(3)
    for i in range(len(t_ns)):
        dt = (to_ns - t_ns[i]) * 1e-9
        if dt == 0.0:
            continue
        P, x, age = covariance[i], mean[i], abs(dt)
        a[:] = 0.0
        if falling[i]:
            acceleration(world, x[:3], x[3:], a)
        for k in range(3):
            x[k] += dt * x[k + 3] + 0.5 * dt * dt * a[k]
            x[k + 3] += dt * a[k]
        for r in range(3):
            for c in range(3):
                P[r, c] += dt * (P[r, c + 3] + P[r + 3, c]) + dt * dt * P[r + 3, c + 3]
        for r in range(3):
            for c in range(3):
                P[r, c + 3] += dt * P[r + 3, c + 3]
                P[c + 3, r] = P[r, c + 3]
        for k in range(3):
            P[k, k] += noise[i] * age * age * age / 3.0
            P[k, k + 3] += noise[i] * age * dt / 2.0
            P[k + 3, k] = P[k, k + 3]
            P[k + 3, k + 3] += noise[i] * age


@entry
def positive(covariance, out):  # type: ignore[no-untyped-def]
    """Write into out (n,) whether each covariance (n, 6, 6) is positive definite."""
    L = np.empty((STATES, STATES))
    for i in range(len(covariance)):
        out[i] = factor(covariance[i], L)


@entry
def near_pairs(mean, reach_m, stream, order, out):  # type: ignore[no-untyped-def]
    """Write index pairs (i, j) of different streams, stream[i] < stream[j], that are within the sum of their reaches.

    mean (n, 6), reach_m (n,), stream (n,), order (n,): indices sorted by x. out (m, 2); returns how many pairs there are,
    which may exceed m (call again with more room).
    """
    n, found = len(order), 0
    widest = 0.0
    for i in range(n):
        widest = max(widest, reach_m[i])
    for a in range(n):
        i = order[a]
        for b in range(a + 1, n):
            j = order[b]
            dx = mean[j, 0] - mean[i, 0]
            if dx > reach_m[i] + widest:
                break
            if stream[i] == stream[j]:
                continue
            reach = reach_m[i] + reach_m[j]
            dy, dz = mean[j, 1] - mean[i, 1], mean[j, 2] - mean[i, 2]
            if dx * dx + dy * dy + dz * dz <= reach * reach:
                if found < len(out):
                    first = stream[i] < stream[j]
                    out[found, 0], out[found, 1] = (i, j) if first else (j, i)
                found += 1
    return found


@entry
def pair_distances(mean, covariance, bias_m2, bias_m2_s2, pairs, squared, log_volume):  # type: ignore[no-untyped-def]
    """Write the squared statistical distance of n pairs of tracks, and the log determinant of its covariance.

    pairs (n, 2) of rows of mean and covariance; bias_m2 and bias_m2_s2: variances per axis allowed to both as bias. A pair
    whose covariance is not positive definite gets an infinite distance.
    """
    S, L, e, y = np.empty((STATES, STATES)), np.empty((STATES, STATES)), np.empty(STATES), np.empty(STATES)
    for k in range(len(pairs)):
        i, j = pairs[k, 0], pairs[k, 1]
        for r in range(STATES):
            e[r] = mean[i, r] - mean[j, r]
            for c in range(STATES):
                S[r, c] = covariance[i, r, c] + covariance[j, r, c]
            S[r, r] += bias_m2 if r < 3 else bias_m2_s2
        if not factor(S, L):
            squared[k], log_volume[k] = np.inf, np.inf
            continue
        solve_lower(L, e, y)
        d, v = 0.0, 0.0
        for r in range(STATES):
            d += y[r] * y[r]
            v += 2.0 * np.log(L[r, r])
        squared[k], log_volume[k] = d, v


def warm() -> None:
    """Compile every kernel here for the types the product uses."""
    mean, covariance = np.zeros((2, STATES)), np.stack([np.eye(STATES)] * 2)
    pairs = np.zeros((4, 2), np.int64)
    two = np.zeros(2, np.int64)
    predict_all(earth("wgs84"), np.zeros(2, bool), np.ones(2), two, 1, mean, covariance)
    near_pairs(mean, np.ones(2), np.arange(2), np.arange(2), pairs)
    pair_distances(mean, covariance, 1.0, 1.0, pairs[:1], np.empty(1), np.empty(1))
    fuse_groups(np.array([0, 2]), mean, covariance, two, np.empty((1, STATES)), np.empty((1, STATES, STATES)))
    fuse_pairs(mean, covariance, mean, covariance, 0, mean.copy(), covariance.copy())
    positive(covariance, np.empty(2, bool))
