"""Gate, compiled: which plots of one sensor's frame each track may take, and what each pair costs.

Plots come sorted by one key (range for radars, the first coordinate for positions); a radar's are put into sectors besides. A
track looks only at the plots within its window of keys and its sectors, compares angles or coordinates, and only what passes is
weighed by the filter.
"""

from __future__ import annotations

import numpy as np

from trilat.kernels.assign import NO_CHOICE
from trilat.kernels.bank import (
    CONFIRMED,
    I_DOMAIN,
    I_ID,
    I_KIND,
    I_T,
    ID_ADDRESS,
    ID_MMSI,
    O_MOFN,
    S_ALT_MAX,
    S_ALT_MIN,
    S_PD,
    S_RANGE_MAX,
    S_RANGE_MIN,
    S_SINE_MAX,
    S_SINE_MIN,
    S_UP,
    SET_SEA,
    TENTATIVE,
    Z_AZIMUTH,
    Z_RANGE,
    Z_SIGMA_AZIMUTH,
    Z_SIGMA_ELEVATION,
    Z_SIGMA_H,
    Z_SIGMA_RANGE,
)
from trilat.kernels.frames import vertical
from trilat.kernels.imm import weigh
from trilat.kernels.jit import leaf
from trilat.kernels.measure import KIND_BEARING, KIND_FIX, TWO_PI, clutter_density

COARSE_SIGMAS = 4.8  # wider than the finest gate's root: the coarse window must never be the one that cuts
PD_UNEXPECTED = 0.3  # what a sensor is granted where its configuration says that it sees nothing
SECTORS_MAX, PLOTS_PER_SECTOR = 128, 8
BEARING_ERROR_RAD = 1.2e-5
FEW = 16  # plots in a frame up to which all ranges are looked at before any angle is taken


@leaf
def detection_probability(model, bank, i, sensor, t_ns):  # type: ignore[no-untyped-def]
    """Return the probability that a sensor sees row i at a time: 0 outside its range, elevation and height limits.

    The row may stand at an earlier time; it is moved along its velocity, for a track that has flown out of sight was not missed.
    """
    dt, mean = (t_ns - bank[i].t_ns) * 1e-9, bank[i].mean
    x, y, z = mean[0] + dt * mean[3], mean[1] + dt * mean[4], mean[2] + dt * mean[5]
    dx, dy, dz = x - sensor[0], y - sensor[1], z - sensor[2]
    r = np.sqrt(dx * dx + dy * dy + dz * dz)
    if r < sensor[S_RANGE_MIN] or r > sensor[S_RANGE_MAX]:
        return 0.0
    sine = (dx * sensor[S_UP] + dy * sensor[S_UP + 1] + dz * sensor[S_UP + 2]) / max(r, 1.0)
    if sine < sensor[S_SINE_MIN] or sine > sensor[S_SINE_MAX]:
        return 0.0
    _, _, _, height = vertical(model.earth, x, y, z)
    doubt = bank[i].spread[0]
    if height + doubt < sensor[S_ALT_MIN] or height - doubt > sensor[S_ALT_MAX]:
        return 0.0
    return sensor[S_PD]


@leaf
def same_claim(a, b):  # type: ignore[no-untyped-def]
    """Tell whether two rows hold one address or MMSI."""
    for c in (ID_ADDRESS, ID_MMSI):
        if a.identity[c] >= 0 and a.identity[c] == b.identity[c] and a.identity_count[c] > 0 and b.identity_count[c] > 0:
            return True
    return False


@leaf
def also_claimed(head, bank, i, since_ns):  # type: ignore[no-untyped-def]
    """Tell whether a confirmed track beside row i, heard since then, holds the same claim."""
    for k in range(head.rows):
        if k != i and bank[k].status >= CONFIRMED and bank[k].updated_ns > since_ns and same_claim(bank[i], bank[k]):
            return True
    return False


@leaf
def identity_evidence(model, bank, i, plots, j):  # type: ignore[no-untyped-def]
    """Return the log likelihood ratio of the identities a plot claims: agreement speaks for, contradiction against; bounded."""
    total = 0.0
    for c in range(5):
        claim, own = plots[j, I_ID + c], bank[i].identity[c]
        if claim >= 0 and own >= 0 and bank[i].identity_count[c] > 0:
            total += model.evidence[c, 0] if claim == own else model.evidence[c, 1]
    domain = plots[j, I_DOMAIN]
    if domain == 2 and bank[i].model_set != SET_SEA:  # a vessel's report and a track that is known to fly
        total += np.log(max(bank[i].domain[2] + bank[i].domain[0], 0.01))
    elif domain == 1 and bank[i].model_set == SET_SEA:
        total += np.log(max(bank[i].domain[1] + bank[i].domain[0], 0.01))
    return total


@leaf
def _lower(key, value, low, high):  # type: ignore[no-untyped-def]
    """Return the first place from low up to high whose key is not below a value (keys sorted there)."""
    while low < high:
        mid = (low + high) >> 1
        if key[mid] < value:
            low = mid + 1
        else:
            high = mid
    return low


@leaf
def _sort_sectors(z, n, kind, first, member, key, u, v):  # type: ignore[no-untyped-def]
    """Put plots into sectors of azimuth, keeping their order within each (a grid over range and azimuth).

    first (sectors + 1,): where each sector begins; member (n,): the plot at each place; key, u, v (n,): its range, azimuth and
    elevation, or for positions its x, y, z, side by side for the search.
    """
    sectors = len(first) - 1
    for b in range(sectors + 1):
        first[b] = 0
    for j in range(n):
        first[_sector(z[j, Z_AZIMUTH], sectors) + 1] += 1
    for b in range(sectors):
        first[b + 1] += first[b]
    for j in range(n):
        b = _sector(z[j, Z_AZIMUTH], sectors)
        k = first[b]
        first[b] += 1
        member[k], u[k] = j, z[j, 1]
        key[k], v[k] = (0.0 if kind == KIND_BEARING else z[j, Z_RANGE]), z[j, 2]
    for b in range(sectors, 0, -1):
        first[b] = first[b - 1]
    first[0] = 0


@leaf
def _sector(azimuth, sectors):  # type: ignore[no-untyped-def]
    """Return the sector of an azimuth in radians, which may be any turn of it."""
    if sectors == 1:
        return 0
    turns = azimuth / TWO_PI
    return min(int((turns - np.floor(turns)) * sectors), sectors - 1)


@leaf
def _widest(z, n, kind, out):  # type: ignore[no-untyped-def]
    """Write the frame's largest sigmas (of range or horizontal position, azimuth, elevation), and its lowest and highest key."""
    out[0], out[1], out[2], out[3], out[4] = 0.0, 0.0, 0.0, z[0, Z_RANGE], z[n - 1, Z_RANGE]
    for j in range(n):
        if kind >= KIND_FIX:
            out[0] = max(out[0], z[j, Z_SIGMA_H])
        else:
            out[0] = max(out[0], z[j, Z_SIGMA_RANGE])
            out[1] = max(out[1], z[j, Z_SIGMA_AZIMUTH])
            if not np.isnan(z[j, Z_SIGMA_ELEVATION]):
                out[2] = max(out[2], z[j, Z_SIGMA_ELEVATION])


@leaf
def _window(bank, i, sensor, kind, dt, slack_s, wide, key, at):  # type: ignore[no-untyped-def]
    """Write where row i is looked for into at (8,): low and high key, then middle and half width of the other coordinates.

    Returns whether any plot's key (all of them in key) is within; the others' columns are then written too.
    """
    half = abs(dt)
    sd = bank[i].spread[0] + half * bank[i].spread[1] + 0.5 * half * half * bank[i].spread[2]
    vx, vy, vz = bank[i].mean[3], bank[i].mean[4], bank[i].mean[5]
    slip = slack_s * (np.sqrt(vx * vx + vy * vy + vz * vz) + bank[i].spread[1])
    x, y, z = bank[i].mean[0] + dt * vx, bank[i].mean[1] + dt * vy, bank[i].mean[2] + dt * vz
    reach = COARSE_SIGMAS * np.sqrt(sd * sd + wide[0] * wide[0]) + slip
    if kind >= KIND_FIX:
        if np.isnan(reach):
            reach = 0.0
        at[0], at[1], at[2], at[3], at[4], at[5] = x - reach, x + reach, y, reach, z, reach
        return at[1] >= wide[3] and at[0] <= wide[4]
    dx, dy, dz = x - sensor[0], y - sensor[1], z - sensor[2]
    r = np.sqrt(dx * dx + dy * dy + dz * dz)
    at[0], at[1] = r - reach, r + reach
    if kind == KIND_BEARING:
        at[0], at[1] = -1e300, 1e300
    elif at[1] < wide[3] or at[0] > wide[4]:
        return False
    elif len(key) <= FEW:  # most tracks are near none of a few plots: no angle need be taken
        k = _lower(key, at[0], 0, len(key))
        if k == len(key) or key[k] > at[1]:
            return False
    _angles(sensor, dx, dy, dz, r, sd, slip, reach, wide, at)
    return True


@leaf
def _angles(sensor, dx, dy, dz, r, sd, slip, reach, wide, at):  # type: ignore[no-untyped-def]
    """Write azimuth, half width, elevation, half width of a place seen from a sensor into at[2:6]."""
    e = sensor[3] * dx + sensor[4] * dy + sensor[5] * dz
    n = sensor[6] * dx + sensor[7] * dy + sensor[8] * dz
    u = sensor[9] * dx + sensor[10] * dy + sensor[11] * dz
    h = max(np.sqrt(e * e + n * n), 1.0)
    r = max(r, 1.0)
    at[2] = _bearing(e, n)
    at[3] = COARSE_SIGMAS * np.sqrt((sd / h) ** 2 + wide[1] * wide[1]) + slip / h + BEARING_ERROR_RAD
    if at[3] > 1.0 or h < reach:
        at[3] = 10.0  # close by, azimuth says nothing
    at[4] = _bearing(u, h)
    at[5] = COARSE_SIGMAS * np.sqrt((sd / r) ** 2 + wide[2] * wide[2]) + slip / r + BEARING_ERROR_RAD


@leaf
def _bearing(y, x):  # type: ignore[no-untyped-def]
    """Return the angle of (x, y) to BEARING_ERROR_RAD, several times as quickly as arctan2: a window need know no more.

    The polynomial is that of Abramowitz and Stegun, Handbook of Mathematical Functions, 4.4.47.
    """
    long, short = max(abs(x), abs(y)), min(abs(x), abs(y))
    a = short / long if long > 0.0 else 0.0
    s = a * a
    a *= 0.9998660 + s * (-0.3302995 + s * (0.1801410 + s * (-0.0851330 + s * 0.0208351)))
    if abs(y) > abs(x):
        a = 0.5 * np.pi - a
    if x < 0.0:
        a = np.pi - a
    return -a if y < 0.0 else a


@leaf
def _near(u, v, kind, at):  # type: ignore[no-untyped-def]
    """Tell whether a plot within the key window is near in its other coordinates too."""
    away = abs(u - at[2])
    if kind < KIND_FIX and away > np.pi:
        away = abs(away - TWO_PI * np.round(away / TWO_PI))
    return away <= at[3] and (np.isnan(v) or abs(v - at[4]) <= at[5])


@leaf
def sort_frame(z, plots, grid, wide):  # type: ignore[no-untyped-def]
    """Make a frame ready for the search; returns (sectors, middle of its times ns, half their span s). See `near_plots`."""
    first, member, key, u, v = grid
    n, kind = len(z), plots[0, I_KIND]
    _widest(z, n, kind, wide)
    sectors = sectors_of(n, kind)
    _sort_sectors(z, n, kind, first[: sectors + 1], member, key, u, v)
    begin, end = plots[0, I_T], plots[0, I_T]
    for j in range(n):
        begin, end = min(begin, plots[j, I_T]), max(end, plots[j, I_T])
    return sectors, begin + (end - begin) // 2, (end - begin) * 0.5e-9


@leaf
def sectors_of(n, kind):  # type: ignore[no-untyped-def]
    """Return into how many sectors of azimuth n plots are sorted."""
    return max(min(n // PLOTS_PER_SECTOR, SECTORS_MAX), 1) if kind < KIND_BEARING else 1


@leaf
def near_plots(bank, i, sensor, kind, grid, sectors, middle_ns, slack_s, wide, at, hits):  # type: ignore[no-untyped-def]
    """Write the plots in row i's window, by the coarse test alone, into hits (n,); returns how many."""
    first, member, key, u, v = grid
    if not _window(bank, i, sensor, kind, (middle_ns - bank[i].t_ns) * 1e-9, slack_s, wide, key, at):
        return 0
    low, many, count = 0, 1, 0
    if sectors > 1:
        scale = sectors / TWO_PI
        low = int(np.floor((at[2] - at[3]) * scale))
        many = min(int(np.floor((at[2] + at[3]) * scale)) - low + 1, sectors)
        low %= sectors
    for s in range(low, low + many):
        b = s if s < sectors else s - sectors
        k = _lower(key, at[0], first[b], first[b + 1])
        while k < first[b + 1] and key[k] <= at[1]:
            if _near(u[k], v[k], kind, at):
                hits[count] = member[k]
                count += 1
            k += 1
    return count


@leaf
def worth(model, bank, i, sensor, z, plots, j, pd, work):  # type: ignore[no-untyped-def]
    """Weigh a pair; returns (cost, log of the likelihood ratio, components): NO_CHOICE and more is no choice.

    The cost is minus the log odds of taking the plot against a miss, identity included. The plot's linearisation is in work.
    """
    kind = plots[j, I_KIND]
    d2, log, n = weigh(model, bank, i, sensor, z[j], kind, plots[j, I_T], work)
    if d2 > model.gate[n]:
        return 2.0 * NO_CHOICE, 0.0, n
    pd = max(pd, PD_UNEXPECTED)
    false, new = clutter_density(sensor, z[j], kind)
    r = bank[i].existence
    log_ratio = log + np.log(pd / (false + new))
    cost = np.log(max(1.0 - r * pd, 1e-9) / max(r, 1e-12)) - log_ratio - identity_evidence(model, bank, i, plots, j)
    return cost, log_ratio, n


@leaf
def in_question(model, bank, i):  # type: ignore[no-untyped-def]
    """Tell whether row i takes plots by `if_it_is`: a tentative track where belief confirms.

    M of N confirms by hits alone, whatever they are worth. There a plot counts as one only where it is likelier than none: else
    any three false plots in a row would be a track.
    """
    return bank[i].status == TENTATIVE and model.options[O_MOFN] == 0


@leaf
def if_it_is(r, pd, cost):  # type: ignore[no-untyped-def]
    """Return what a plot at a cost (`worth`) costs a tentative track of existence r: below 0 where it is its own if it exists.

    Whether there is one is for its existence, which weighs its plots against false ones. If want of belief were a reason not to
    take a plot, it would count as a miss, and where false plots are dense no track could begin. Against others the track claims
    the plot by its odds, and 1 - exp(cost) is the probability that the plot is its own.
    """
    pd = max(pd, PD_UNEXPECTED)
    sure = cost + np.log(max(1.0 - pd, 1e-9) * max(r, 1e-12) / max(1.0 - r * pd, 1e-9))
    return -np.log1p(np.exp(min(-cost, 200.0))) if sure < 0.0 else cost
