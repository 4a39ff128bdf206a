"""A linearised plot against one mode of a track, compiled: how far it is, and what it changes.

The innermost arithmetic of the tracker: written out, element by element of the packed triangle, where a plot looks at positions
alone, which is the common case; general loops for the rest.
"""

from __future__ import annotations

import numpy as np

from trilat.kernels.bank import AT
from trilat.kernels.jit import leaf

THREE = 3  # components of a radar plot, or of a fix without velocity
# What one component may leave of a variance, at least. A covariance holds sixteen digits: P - K H P with less than this left is
# rounding alone, of either sign, as where an azimuth good to 1e-6 rad at ten metres met a prior of 100 km.
LEFT_MIN = 1e-12


@leaf
def looks_at_places(n, work):  # type: ignore[no-untyped-def]
    """Tell whether none of the n linearised components looks at the velocity."""
    H, still = work.H, True
    for r in range(n):
        still = still and H[r, 3] == 0.0 and H[r, 4] == 0.0 and H[r, 5] == 0.0
    return still


@leaf
def distance(row, m, n, still, dt, work):  # type: ignore[no-untyped-def]
    """Return (Mahalanobis square, determinant of S) of the n linearised components in mode m of a row.

    still: `looks_at_places`. dt: how far behind the plot's time the row stands.
    """
    if still and n == THREE:
        return _distance_of_place(row, m, dt, work)
    return _distance(row, m, n, dt, work)


@leaf
def _distance_of_place(row, m, dt, work):  # type: ignore[no-untyped-def]
    """The same for three components of position: S written out, and its LDL factors."""
    x, x0, H, nu, R, P = row.x[m], work.x0, work.H, work.nu, work.R, row.P[m]
    dx, dy, dz = x[0] + dt * x[3] - x0[0], x[1] + dt * x[4] - x0[1], x[2] + dt * x[5] - x0[2]
    p00, p10, p11, p20, p21, p22 = P[0], P[1], P[2], P[3], P[4], P[5]
    a0, a1, a2 = H[0, 0], H[0, 1], H[0, 2]
    b0, b1, b2 = H[1, 0], H[1, 1], H[1, 2]
    c0, c1, c2 = H[2, 0], H[2, 1], H[2, 2]
    t0, t1, t2 = p00 * a0 + p10 * a1 + p20 * a2, p10 * a0 + p11 * a1 + p21 * a2, p20 * a0 + p21 * a1 + p22 * a2
    s00 = a0 * t0 + a1 * t1 + a2 * t2 + R[0]
    s10, s20 = b0 * t0 + b1 * t1 + b2 * t2, c0 * t0 + c1 * t1 + c2 * t2
    t0, t1, t2 = p00 * b0 + p10 * b1 + p20 * b2, p10 * b0 + p11 * b1 + p21 * b2, p20 * b0 + p21 * b1 + p22 * b2
    s11, s21 = b0 * t0 + b1 * t1 + b2 * t2 + R[1], c0 * t0 + c1 * t1 + c2 * t2
    t0, t1, t2 = p00 * c0 + p10 * c1 + p20 * c2, p10 * c0 + p11 * c1 + p21 * c2, p20 * c0 + p21 * c1 + p22 * c2
    s22 = c0 * t0 + c1 * t1 + c2 * t2 + R[2]
    d0 = max(s00, 1e-300)
    l10, l20 = s10 / d0, s20 / d0
    d1 = max(s11 - l10 * s10, 1e-300)
    e21 = s21 - l20 * s10
    l21 = e21 / d1
    d2 = max(s22 - l20 * s20 - l21 * e21, 1e-300)
    y0 = nu[0] - (a0 * dx + a1 * dy + a2 * dz)
    y1 = nu[1] - (b0 * dx + b1 * dy + b2 * dz) - l10 * y0
    y2 = nu[2] - (c0 * dx + c1 * dy + c2 * dz) - l20 * y0 - l21 * y1
    return y0 * y0 / d0 + y1 * y1 / d1 + y2 * y2 / d2, d0 * d1 * d2


@leaf
def _distance(row, m, n, dt, work):  # type: ignore[no-untyped-def]
    """The same for any components, by an LDL factorisation of S."""
    x, P, H, S, D, y, t, x0 = row.x, row.P, work.H, work.S, work.D, work.y, work.gain, work.x0
    d2, det = 0.0, 1.0
    for r in range(n):
        v = work.nu[r]
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
    return d2, det


@leaf
def update_mode(bank, i, m, states, n, work):  # type: ignore[no-untyped-def]
    """Update mode m (of so many states) by the n linearised components, one by one; returns (Mahalanobis square, determinant).

    The innovations in units of their sigmas are left in work.y.
    """
    row, H, x0 = bank[i], work.H, work.x0
    x = row.x[m]
    d2, det = 0.0, 1.0
    for r in range(n):
        h0, h1, h2, h3, h4, h5 = H[r, 0], H[r, 1], H[r, 2], H[r, 3], H[r, 4], H[r, 5]
        v = work.nu[r] - (h0 * (x[0] - x0[0]) + h1 * (x[1] - x0[1]) + h2 * (x[2] - x0[2]))
        if h3 == 0.0 and h4 == 0.0 and h5 == 0.0:
            S = _by_place(row, m, states, h0, h1, h2, v, work.R[r], work)
        else:
            v -= h3 * (x[3] - x0[3]) + h4 * (x[4] - x0[4]) + h5 * (x[5] - x0[5])
            S = _by_all(row, m, states, r, v, work)
        work.y[r] = v / np.sqrt(S)
        d2 += v * v / S
        det *= S
    return d2, det


@leaf
def begin(bank, i, n, work):  # type: ignore[no-untyped-def]
    """Update the first mode of a new row by the n components of its own plot; returns how far that moved it from work.point."""
    update_mode(bank, i, 0, 6, n, work)
    x, point = bank[i].x[0], work.point
    return np.sqrt((x[0] - point[0]) ** 2 + (x[1] - point[1]) ** 2 + (x[2] - point[2]) ** 2)


@leaf
def _by_place(row, m, states, h0, h1, h2, v, variance, work):  # type: ignore[no-untyped-def]
    """Take one component that looks at the position along (h0, h1, h2), of innovation v; returns the innovation's variance."""
    x, P = row.x[m], row.P[m]
    g0, g1, g2 = P[0] * h0 + P[1] * h1 + P[3] * h2, P[1] * h0 + P[2] * h1 + P[4] * h2, P[3] * h0 + P[4] * h1 + P[5] * h2
    g3, g4 = P[6] * h0 + P[7] * h1 + P[8] * h2, P[10] * h0 + P[11] * h1 + P[12] * h2
    g5 = P[15] * h0 + P[16] * h1 + P[17] * h2
    spread = h0 * h0 * P[0] + h1 * h1 * P[2] + h2 * h2 * P[5]
    S = max(variance, LEFT_MIN * spread) + h0 * g0 + h1 * g1 + h2 * g2
    inverse = 1.0 / S
    k0, k1, k2, k3, k4, k5 = g0 * inverse, g1 * inverse, g2 * inverse, g3 * inverse, g4 * inverse, g5 * inverse
    if states > 6:
        gain = work.gain
        gain[0], gain[1], gain[2], gain[3], gain[4], gain[5] = g0, g1, g2, g3, g4, g5
        for a in range(6, states):
            at = (a * (a + 1)) >> 1
            gain[a] = P[at] * h0 + P[at + 1] * h1 + P[at + 2] * h2
            k = gain[a] * inverse
            x[a] += k * v
            for b in range(a + 1):
                P[at + b] -= k * gain[b]
    x[0] += k0 * v
    x[1] += k1 * v
    x[2] += k2 * v
    x[3] += k3 * v
    x[4] += k4 * v
    x[5] += k5 * v
    P[0] -= k0 * g0
    P[1], P[2] = P[1] - k1 * g0, P[2] - k1 * g1
    P[3], P[4], P[5] = P[3] - k2 * g0, P[4] - k2 * g1, P[5] - k2 * g2
    P[6], P[7], P[8], P[9] = P[6] - k3 * g0, P[7] - k3 * g1, P[8] - k3 * g2, P[9] - k3 * g3
    P[10], P[11], P[12], P[13] = P[10] - k4 * g0, P[11] - k4 * g1, P[12] - k4 * g2, P[13] - k4 * g3
    P[14] -= k4 * g4
    P[15], P[16], P[17], P[18] = P[15] - k5 * g0, P[16] - k5 * g1, P[17] - k5 * g2, P[18] - k5 * g3
    P[19], P[20] = P[19] - k5 * g4, P[20] - k5 * g5
    return S


@leaf
def _by_all(row, m, states, r, v, work):  # type: ignore[no-untyped-def]
    """Take component r, which looks at position and velocity, of innovation v; returns the innovation's variance."""
    x, P, H, gain = row.x, row.P, work.H, work.gain
    spread = 0.0
    for a in range(states):
        g = 0.0
        for b in range(6):
            g += P[m, AT[a, b]] * H[r, b]
        gain[a] = g
    for b in range(6):
        spread += H[r, b] * H[r, b] * P[m, AT[b, b]]
    S = max(work.R[r], LEFT_MIN * spread)
    for b in range(6):
        S += H[r, b] * gain[b]
    inverse = 1.0 / S
    for a in range(states):
        g = gain[a] * inverse
        x[m, a] += g * v
        for b in range(a + 1):
            P[m, AT[a, b]] -= g * gain[b]
    return S
