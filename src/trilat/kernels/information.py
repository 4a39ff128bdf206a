"""Information filters, compiled: what measurements say of a state without any prior, as (Y, y) with Y = P^-1 and y = Y x.

Y may be singular: what was not measured is simply not known. Every step keeps it non-negative by construction. Maybeck,
Stochastic Models, Estimation, and Control, vol. 1, 1979, sec. 5.7; states are (position, velocity), six numbers, SI.
"""

from __future__ import annotations

import numpy as np

from trilat.kernels.fusion import factor, solve_lower
from trilat.kernels.jit import entry, kernel

STATES = 6


@kernel
def forward(Y, y, dt, noise):  # type: ignore[no-untyped-def]
    """Move (Y, y) by dt seconds, in place: constant velocity with acceleration noise m2/s3 (dt not negative).

    Y' = (I + M Q)^-1 M and y' = (I + M Q)^-1 F^-T y with M = F^-T Y F^-1: no inverse of Y or of Q is needed.
    """
    if dt <= 0.0:
        return
    for r in range(3):  # M = F^-T Y F^-1, F^-1 = [[I, -dt I], [0, I]]
        for c in range(6):
            Y[r + 3, c] -= dt * Y[r, c]
        y[r + 3] -= dt * y[r]
    for r in range(6):
        for c in range(3):
            Y[r, c + 3] -= dt * Y[r, c]
    if noise <= 0.0:
        return
    a, b, d = noise * dt * dt * dt / 3.0, noise * dt * dt / 2.0, noise * dt
    A = np.empty((STATES, STATES))
    for r in range(STATES):
        for c in range(3):
            A[r, c] = Y[r, c] * a + Y[r, c + 3] * b
            A[r, c + 3] = Y[r, c] * b + Y[r, c + 3] * d
        A[r, r] += 1.0
    for k in range(STATES):  # Gauss with partial pivoting; A is similar to a matrix with eigenvalues of one or more
        p = k
        for r in range(k + 1, STATES):
            if abs(A[r, k]) > abs(A[p, k]):
                p = r
        if p != k:
            for c in range(STATES):
                A[k, c], A[p, c] = A[p, c], A[k, c]
                Y[k, c], Y[p, c] = Y[p, c], Y[k, c]
            y[k], y[p] = y[p], y[k]
        for r in range(k + 1, STATES):
            f = A[r, k] / A[k, k]
            for c in range(k, STATES):
                A[r, c] -= f * A[k, c]
            for c in range(STATES):
                Y[r, c] -= f * Y[k, c]
            y[r] -= f * y[k]
    for k in range(STATES - 1, -1, -1):
        for c in range(STATES):
            s = Y[k, c]
            for q in range(k + 1, STATES):
                s -= A[k, q] * Y[q, c]
            Y[k, c] = s / A[k, k]
        s = y[k]
        for q in range(k + 1, STATES):
            s -= A[k, q] * y[q]
        y[k] = s / A[k, k]
    for r in range(STATES):
        for c in range(r):
            Y[r, c] = Y[c, r] = 0.5 * (Y[r, c] + Y[c, r])


@entry
def run(start, base_ns, base_Y, base_y, t_ns, item_Y, item_y, noise, to_ns, out_Y, out_y):  # type: ignore[no-untyped-def]
    """Filter the items of each of n tracks, in their order, from its base, and move the result to one time.

    start (n + 1,): items of track k are rows start[k] to start[k + 1], in order of time; base_ns (n,), base_Y (n, 6, 6), base_y
    (n, 6): where each begins (zero: knowing nothing); noise (n,): acceleration noise. Writes (n, 6, 6) and (n, 6). An item
    older than its base counts at the base's time.
    """
    for k in range(len(start) - 1):
        Y, y, now = out_Y[k], out_y[k], base_ns[k]
        Y[:], y[:] = base_Y[k], base_y[k]
        for i in range(start[k], start[k + 1]):
            if t_ns[i] > now:
                forward(Y, y, (t_ns[i] - now) * 1e-9, noise[k])
                now = t_ns[i]
            Y += item_Y[i]
            y += item_y[i]
        if to_ns > now:
            forward(Y, y, (to_ns - now) * 1e-9, noise[k])


@entry
def states(Y, y, mean, covariance):  # type: ignore[no-untyped-def]
    """Write the means (n, 6) and covariances (n, 6, 6) of n information states; tells how many were of full rank.

    One that is not of full rank gets NaN. Rank is judged after scaling to a unit diagonal.
    """
    L, scale, e, f = np.empty((STATES, STATES)), np.empty(STATES), np.empty(STATES), np.empty(STATES)
    S = np.empty((STATES, STATES))
    good = 0
    for k in range(len(y)):
        mean[k], covariance[k] = np.nan, np.nan
        full = True
        for r in range(STATES):
            full = full and Y[k, r, r] > 0.0
        if not full:
            continue
        for r in range(STATES):
            scale[r] = 1.0 / np.sqrt(Y[k, r, r])
        for r in range(STATES):
            for c in range(STATES):
                S[r, c] = Y[k, r, c] * scale[r] * scale[c]
        if not factor(S, L):
            continue
        for r in range(STATES):
            full = full and L[r, r] > 1e-6
        if not full:
            continue
        for c in range(STATES):
            e[:] = 0.0
            e[c] = 1.0
            solve_lower(L, e, f)
            for r in range(STATES - 1, -1, -1):
                s = f[r]
                for q in range(r + 1, STATES):
                    s -= L[q, r] * e[q]
                e[r] = s / L[r, r]
            for r in range(STATES):
                covariance[k, r, c] = e[r] * scale[r] * scale[c]
        for r in range(STATES):
            s = 0.0
            for c in range(STATES):
                s += covariance[k, r, c] * y[k, c]
            mean[k, r] = s
        good += 1
    return good


def warm() -> None:
    """Compile every kernel here for the types the product uses."""
    Y, y, t = np.zeros((1, STATES, STATES)), np.zeros((1, STATES)), np.zeros(1, np.int64)
    run(np.array([0, 1]), t, Y, y, t + 1, Y, y, np.ones(1), 2, Y.copy(), y.copy())
    states(Y, y, y.copy(), Y.copy())
