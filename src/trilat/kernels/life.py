"""The life of tracks, compiled: initiate, believe, miss, confirm, coast, delete; identity and domain as evidence.

Existence follows integrated probabilistic data association (Musicki, Evans and Stankovic, IEEE Transactions on Automatic
Control 39, 1994): each detection and each missed look multiplies the odds that there is a target.
"""

from __future__ import annotations

import numpy as np

from trilat.kernels.bank import (
    AT,
    COASTING,
    CONFIRMED,
    FREE,
    I_DOMAIN,
    I_ID,
    I_KEY,
    I_KIND,
    I_T,
    ID_ADDRESS,
    ID_MMSI,
    L_CAP,
    L_COAST,
    L_COAST_MAX_S,
    L_CONFIRM,
    L_DROP,
    L_HITS,
    L_SURVIVE_S,
    L_TENTATIVE_MAX_S,
    MODES,
    O_DOMAINS,
    O_MOFN,
    O_WHOLE_SCANS,
    PACKED,
    S_LOOKS,
    S_PERIOD,
    S_SET,
    SENSORS,
    SET_AIR,
    SET_MISSILE,
    SET_SEA,
    STATES,
    TENTATIVE,
)
from trilat.kernels.frames import vertical
from trilat.kernels.gate import also_claimed, detection_probability, same_claim
from trilat.kernels.imm import change_set, fill_modes, linearise_row, moments
from trilat.kernels.jit import kernel, leaf
from trilat.kernels.measure import KIND_FIX, KIND_MEASUREMENT, clutter_density, place
from trilat.kernels.sweep import begin

FLAG_INNOVATION, FLAG_ID_CONFLICT = 1, 2  # as records.columns, which kernels do not import
FLAG_HOLD_NS = 60_000_000_000  # a flag stands a minute after its last cause
NIS_MEMORY = 0.75  # weight of the past in the running innovation test
NIS_FLAG = 6.0  # per component; 1 is expected, and a sharp turn reaches 3 to 4
CLAIM_MAX = 8  # claims of an identity are counted to here, so that a wrong one can be unlearnt
LATE_LOOK = 1.3  # periods after which a rotating sensor ought to have come by again
ELSEWHERE_S = 5.0  # unseen so long, a claim that reports from an older track ends
EXISTENCE_START_FIX = 0.5  # a self-report stands for something, but not yet for what it says
BURIED_M = -500.0  # a falling track this deep has come down: its flight is over
DOUBT_M = 1e5  # sigma of a new track's position before its first plot: far wider than any plot
CLIMB_M_S = 15.0  # how fast an aircraft of unknown height is taken to climb: at the speed of birth it would be anywhere soon


@leaf
def age(model, bank, i, t_ns):  # type: ignore[no-untyped-def]
    """Let the probability of existence of row i decay to a time by the survival of its kind."""
    dt = (t_ns - bank[i].checked_ns) * 1e-9
    if dt > 0.0:
        bank[i].existence *= np.exp(-dt / model.life[bank[i].model_set, L_SURVIVE_S])
        bank[i].checked_ns = t_ns


@leaf
def detected(model, bank, i, log_ratio, pd):  # type: ignore[no-untyped-def]
    """Raise existence by a plot's likelihood ratio (the log of Pd L / clutter)."""
    r = bank[i].existence
    gain = 1.0 - pd + np.exp(min(log_ratio, 60.0))
    r = r * gain / max(1.0 - r + r * gain, 1e-300)
    bank[i].existence = min(r, model.life[bank[i].model_set, L_CAP])


@leaf
def missed(bank, i, pd):  # type: ignore[no-untyped-def]
    """Lower existence by a look that showed nothing."""
    r = bank[i].existence
    bank[i].existence = r * (1.0 - pd) / max(1.0 - r * pd, 1e-300)


@leaf
def misses(model, head, bank, sensor, s, t_ns, frame):  # type: ignore[no-untyped-def]
    """Count a miss for every track that this sensor ought to have seen by now and has not."""
    if sensor[S_LOOKS] < 1.0:
        return
    period_ns = np.int64(sensor[S_PERIOD] * 1e9)
    if head.looks_ns[s, 1] == 0 or t_ns - head.looks_ns[s, 1] > 2 * period_ns:
        head.looks_ns[s, 0] = t_ns
    head.looks_ns[s, 1] = max(head.looks_ns[s, 1], t_ns)
    whole = model.options[O_WHOLE_SCANS] == 1
    late_ns = np.int64(sensor[S_PERIOD] * 1e9 * LATE_LOOK)
    for k in range(head.rows + head.alternates):
        i = k if k < head.rows else head.first + k - head.rows
        if bank[i].status == FREE or bank[i].last_frame == frame:
            continue
        last = max(bank[i].chance_ns[s], bank[i].born_ns, head.looks_ns[s, 0])
        if not whole and t_ns - last < late_ns:
            continue
        pd = detection_probability(model, bank, i, sensor, t_ns)
        bank[i].chance_ns[s] = max(t_ns - (late_ns - period_ns), bank[i].chance_ns[s])
        if pd > 0.0:
            age(model, bank, i, t_ns)
            missed(bank, i, pd)


@kernel
def settle(model, head, bank, sensors, t_ns):  # type: ignore[no-untyped-def]
    """Confirm, set coasting, and delete, by existence (or by M of N where that is chosen) and by time unseen."""
    mofn = model.options[O_MOFN] == 1
    top, existence = 0, beliefs(head, bank)
    for i in range(head.rows):
        if bank[i].status == FREE:
            continue
        rule = model.life[bank[i].model_set]
        unseen_s = (t_ns - bank[i].updated_ns) * 1e-9
        r = existence[i]
        if bank[i].status == TENTATIVE:
            if bank[i].hits >= rule[L_HITS] and (mofn or r >= rule[L_CONFIRM]):
                bank[i].status = CONFIRMED
            elif unseen_s > rule[L_TENTATIVE_MAX_S] or (r < rule[L_DROP] and not mofn and _hopeless(bank[i], sensors, rule)):
                bank[i].status = FREE
        elif unseen_s > rule[L_COAST_MAX_S] or (r < rule[L_DROP] and not mofn) or _elsewhere(head, bank, sensors, i, unseen_s):
            bank[i].status = FREE
        elif not mofn:
            bank[i].status = CONFIRMED if r >= rule[L_COAST] else COASTING
        if bank[i].model_set == SET_MISSILE and _height(model, bank, i, t_ns) < BURIED_M:
            bank[i].status = FREE
        for f in range(2):
            if bank[i].flags & (1 << f) and t_ns - bank[i].flagged_ns[f] > FLAG_HOLD_NS:
                if f == 1 and also_claimed(head, bank, i, t_ns - FLAG_HOLD_NS):
                    bank[i].flagged_ns[f] = t_ns
                else:
                    bank[i].flags &= ~(1 << f)
        if bank[i].status != FREE:
            top = i + 1
    head.rows = top


@kernel
def beliefs(head, bank):  # type: ignore[no-untyped-def]
    """Return the existence of each row (rows,): of one in a group over all its hypotheses, not in the one that is shown alone."""
    r = np.empty(head.rows)
    for k in range(head.rows + head.alternates):  # one pass: alternates stand two thousand bytes apart
        a = k if k < head.rows else head.first + k - head.rows
        i = k if k < head.rows else bank[a].of
        if k < head.rows:
            r[k] = bank[k].existence if bank[k].group == 0 else 0.0
        g = bank[a].group
        if g > 0 and g == bank[i].group:
            for h in range(head.many[g]):
                if (bank[a].held >> h) & 1:
                    r[i] += np.exp(head.weights[g, h]) * bank[a].existence
    return r


@leaf
def _hopeless(row, sensors, rule):  # type: ignore[no-untyped-def]
    """Tell whether a tentative row that is hardly believed may go: at once after its third plot, else when looked for in vain.

    A lone plot begins with little belief, so it is given others' looks, and at least one of a sensor that saw it: most are false,
    and each would be weighed against all that is near for as long as it stood. A second says little where a new track's gate
    holds false plots as a rule; the third's is hundreds of times smaller.
    """
    if row.hits > 2:
        return True
    if row.existence > rule[L_DROP] ** 2:
        return False
    for s in range(len(sensors)):
        if (row.sensors >> s) & 1 and sensors[s, S_LOOKS] >= 1.0 and row.chance_ns[s] > row.updated_ns:
            return True
    return False


@leaf
def _elsewhere(head, bank, sensors, i, unseen_s):  # type: ignore[no-untyped-def]
    """Tell whether the identity that row i rests on has been reporting from an older track since row i was last seen.

    So a place that a receiver repeated does not stand as long as a true track without reports does.
    """
    if unseen_s < ELSEWHERE_S or (head.frames + i) & 7 > 0:  # looked at in every eighth frame
        return False
    own = bank[i]
    for s in range(len(sensors)):
        if (own.sensors >> s) & 1 and sensors[s, S_LOOKS] >= 1.0:  # a radar has seen it: it is no mere claim
            return False
    for k in range(head.rows):
        other = bank[k]
        newer_s = (other.updated_ns - own.updated_ns) * 1e-9 if other.status >= CONFIRMED else 0.0
        if newer_s > ELSEWHERE_S and other.born_ns < own.born_ns and same_claim(own, other):
            return True
    return False


@leaf
def _height(model, bank, i, t_ns):  # type: ignore[no-untyped-def]
    """Return the height m of row i at a time, moved along its velocity."""
    dt, mean = (t_ns - bank[i].t_ns) * 1e-9, bank[i].mean
    _, _, _, height = vertical(model.earth, mean[0] + dt * mean[3], mean[1] + dt * mean[4], mean[2] + dt * mean[5])
    return height


@leaf
def flag(bank, i, bit, t_ns):  # type: ignore[no-untyped-def]
    """Raise flag 1 << bit on row i."""
    bank[i].flags |= 1 << bit
    bank[i].flagged_ns[bit] = t_ns


@leaf
def learn(bank, i, s, plots, j, nis, frame):  # type: ignore[no-untyped-def]
    """Enter a plot that updated row i into its record: times, sensors, identity, innovation test."""
    t_ns = plots[j, I_T]
    bank[i].updated_ns = max(bank[i].updated_ns, t_ns)
    bank[i].hits += 1
    bank[i].last_frame, bank[i].took_frame = frame, frame
    bank[i].chance_ns[s] = t_ns
    if s < 63:
        bank[i].sensors |= 1 << s
    bank[i].nis = NIS_MEMORY * bank[i].nis + (1.0 - NIS_MEMORY) * nis
    if bank[i].nis > NIS_FLAG:
        flag(bank, i, 0, t_ns)
    for c in range(5):
        claim = plots[j, I_ID + c]
        if claim < 0:
            continue
        if bank[i].identity[c] == claim:
            bank[i].identity_count[c] = min(bank[i].identity_count[c] + 1, CLAIM_MAX)
        elif bank[i].identity_count[c] <= 0:
            bank[i].identity[c] = claim
            bank[i].identity_count[c] = 1
        else:
            bank[i].identity_count[c] -= 1
            if c in (ID_ADDRESS, ID_MMSI):
                flag(bank, i, 1, t_ns)


@leaf
def classify(model, bank, i, domain):  # type: ignore[no-untyped-def]
    """Move the domain probabilities of row i by its height and speed, and by what the plot claims; change its model set.

    domain (of the plot): index into records.columns.DOMAINS, 0 when it says nothing. A tracker of one domain has no choice,
    and an old track is looked at every fourth time.
    """
    allowed, now = model.options[O_DOMAINS], bank[i].model_set
    if allowed & (allowed - 1) == 0 or (bank[i].hits > 8 and bank[i].hits & 3):
        return
    _, _, _, height = vertical(model.earth, bank[i].mean[0], bank[i].mean[1], bank[i].mean[2])
    v2 = bank[i].mean[3] ** 2 + bank[i].mean[4] ** 2 + bank[i].mean[5] ** 2
    speed, doubt = np.sqrt(v2), bank[i].spread[1]
    low, fast = height - bank[i].spread[0], speed - 2.0 * doubt
    air = _below(speed, 700.0 + doubt, 100.0) * _below(low, 22_000.0, 1_500.0)
    sea = _below(fast, 30.0, 8.0) * _below(low, 200.0, 100.0)
    missile = 0.05 + 0.95 * max(_below(-fast, -600.0, 100.0), _below(-low, -25_000.0, 2_000.0))
    space = max(_below(-fast, -7_000.0, 200.0) * _below(-low, -120_000.0, 10_000.0), 1e-3)
    likelihood = (0.05, max(air, 1e-3), max(sea, 1e-3), missile, space)
    total = 0.0
    for d in range(5):
        p = likelihood[d] * (8.0 if domain == d and d > 0 else 1.0)
        # a little of the start comes back at every look, so that no domain is ever lost
        bank[i].domain[d] = (0.98 * bank[i].domain[d] + 0.004) * p
        total += bank[i].domain[d]
    for d in range(5):
        bank[i].domain[d] /= total
    for target, d in ((SET_AIR, 1), (SET_SEA, 2), (SET_MISSILE, 3)):
        p = bank[i].domain[d] + (bank[i].domain[4] if target == SET_MISSILE else 0.0)
        if target != now and allowed & (1 << target) and p > 0.95:
            change_set(model, bank, i, target)
            return


@leaf
def _below(value, limit, width):  # type: ignore[no-untyped-def]
    """Return a soft step: near 1 below the limit, near 0 above it."""
    return 1.0 / (1.0 + np.exp(min(max((value - limit) / width, -40.0), 40.0)))


@leaf
def _free_row(bank, first, end):  # type: ignore[no-untyped-def]
    """Return the lowest free row from `first` up to `end`, or -1 when the bank is full."""
    for i in range(first, end):
        if bank[i].status == FREE:
            return i
    return -1


@leaf
def initiate(model, head, bank, sensor, s, z, plots, j, weight, first, frame, work):  # type: ignore[no-untyped-def]
    """Begin a track from a plot no track took; returns its row, or -1 (no room, or a plot without a place).

    The row starts with a wide prior at the plot's own place, which the plot then narrows: one rule for every kind of sensor.
    """
    kind = plots[j, I_KIND]
    assumed = place(model.earth, sensor, z[j], kind, work.point)
    if assumed < 0.0:
        return -1
    i = _free_row(bank, first, head.first)
    if i < 0:
        head.full += 1
        return -1
    k = _first_set(model, sensor, plots[j, I_DOMAIN], work.point, assumed)
    _empty_row(bank, i)
    bank[i].model_set = k
    sigma_v = model.birth[k, 0]
    for a in range(STATES):
        bank[i].x[0, a] = 0.0
    for a in range(PACKED):
        bank[i].P[0, a] = 0.0
    for a in range(6):
        bank[i].P[0, AT[a, a]] = DOUBT_M * DOUBT_M if a < 3 else sigma_v * sigma_v
        bank[i].x[0, a] = work.point[a] if a < 3 else 0.0
        bank[i].mean[a] = bank[i].x[0, a]
    if assumed > 0.0:
        _squeeze_height(model, bank, i, assumed, sigma_v)
    n = linearise_row(model.earth, bank, i, sensor, z[j], kind, 0.0, work)
    if not begin(bank, i, n, work) < 3.0 * DOUBT_M:  # what it says of range, elevation and height contradicts itself
        return -1
    fill_modes(model, bank, i, k)
    t_ns = plots[j, I_T]
    bank[i].t_ns, bank[i].updated_ns, bank[i].born_ns, bank[i].checked_ns = t_ns, t_ns, t_ns, t_ns
    bank[i].key, bank[i].status, bank[i].nis = plots[j, I_KEY], TENTATIVE, 1.0
    false, new = clutter_density(sensor, z[j], kind)
    fix = kind >= KIND_FIX and kind != KIND_MEASUREMENT
    bank[i].existence = EXISTENCE_START_FIX if fix else weight * new / (false + new)
    start = (
        (0.2, 0.4, 0.3, 0.09, 0.01)
        if k == SET_AIR
        else ((0.1, 0.05, 0.84, 0.005, 0.005) if k == SET_SEA else (0.1, 0.1, 0.0, 0.7, 0.1))
    )
    lone = model.options[O_DOMAINS] & (model.options[O_DOMAINS] - 1) == 0
    for d in range(5):
        bank[i].domain[d] = start[d] if not lone else (1.0 if d == k + 1 else 0.0)
    moments(model, bank, i)
    learn(bank, i, s, plots, j, 1.0, frame)
    head.rows = max(head.rows, i + 1)
    if plots[j, I_DOMAIN] > 0:
        bank[i].domain[plots[j, I_DOMAIN]] += 1.0
    return i


@leaf
def _first_set(model, sensor, domain, point, assumed):  # type: ignore[no-untyped-def]
    """Return the model set of a new track: what the plot claims, else by height, else the sensor's own."""
    allowed = model.options[O_DOMAINS]
    wish = int(sensor[S_SET])
    if domain == 1:
        wish = SET_AIR
    elif domain == 2:
        wish = SET_SEA
    elif domain in (3, 4):
        wish = SET_MISSILE
    elif assumed == 0.0:
        _, _, _, height = vertical(model.earth, point[0], point[1], point[2])
        if height > 22_000.0:
            wish = SET_MISSILE
    if allowed & (1 << wish):
        return wish
    for k in range(3):
        if allowed & (1 << k):
            return k
    return SET_AIR


@leaf
def _empty_row(bank, i):  # type: ignore[no-untyped-def]
    """Clear the record of a row that is taken into use."""
    bank[i].hits, bank[i].flags, bank[i].sensors, bank[i].group, bank[i].of, bank[i].beside = 0, 0, 0, 0, 0, 0
    bank[i].flagged_ns[0], bank[i].flagged_ns[1] = 0, 0
    for c in range(5):
        bank[i].identity[c] = -1
        bank[i].identity_count[c] = 0
    for c in range(SENSORS):
        bank[i].chance_ns[c] = 0
    for m in range(MODES):
        bank[i].mu[m] = 0.0


@leaf
def _squeeze_height(model, bank, i, sigma_m, sigma_v):  # type: ignore[no-untyped-def]
    """Narrow a new row's position along the vertical to the assumed height's sigma, and an aircraft's speed along it."""
    up = vertical(model.earth, bank[i].x[0, 0], bank[i].x[0, 1], bank[i].x[0, 2])
    for a in range(3):
        for b in range(a + 1):
            bank[i].P[0, AT[a, b]] -= (DOUBT_M * DOUBT_M - sigma_m * sigma_m) * up[a] * up[b]
            if bank[i].model_set == SET_AIR:
                bank[i].P[0, AT[a + 3, b + 3]] -= (sigma_v * sigma_v - CLIMB_M_S * CLIMB_M_S) * up[a] * up[b]
