"""Decisions put off, compiled: tracks in a cluster that is in doubt keep several hypotheses of who took what.

Track-oriented multiple hypotheses in the form of a Poisson multi-Bernoulli mixture (Williams, Marginal multi-Bernoulli filters,
IEEE Transactions on Aerospace and Electronic Systems 51, 2015): each global hypothesis of a group of tracks names one leaf, a row
of the bank, for each of them. One hypothesis is shown, its leaves are the tracks' own rows; other leaves are alternates, rows
at the bank's end which nothing else sees. A leaf knows the hypotheses it is of as bits of `held`; bit 0 is the one shown.
"""

from __future__ import annotations

import numpy as np

from trilat.kernels.assign import NO_CHOICE, children, events, show_first, sort_places
from trilat.kernels.bank import FREE, GROUPS, HYPOTHESES, I_DOMAIN, I_KIND, I_T, ID_ADDRESS, ID_MMSI
from trilat.kernels.gate import PD_UNEXPECTED, detection_probability, worth
from trilat.kernels.imm import absorb, linearise_row, predict
from trilat.kernels.jit import kernel, leaf
from trilat.kernels.life import age, classify, detected, learn, missed

TRACKS_MAX, PLOTS_MAX = 16, 60  # of one cluster: beyond them it is weighed softly
GROUPS_MAX = 6  # groups that one cluster may bring together
# The hypothesis shown stays until another is e^CHANGE times as likely, e^JUMP where numbers would change places.
CHANGE, JUMP = 0.0, 1.5
ALIKE, SWAPPED = 0.5, 1.0  # sigmas: leaves of one track nearer than this are one; of two tracks, they cannot be told apart


@leaf
def absorb_plot(model, bank, s, plots, j, i, log_ratio, n, pd, frame, work):  # type: ignore[no-untyped-def]
    """Update row i, which stands at plot j's time, by the plot's n components in work; returns the innovation square."""
    nis = absorb(model, bank, i, n, work)
    age(model, bank, i, plots[j, I_T])
    detected(model, bank, i, log_ratio, pd)
    learn(bank, i, s, plots, j, nis, frame)
    classify(model, bank, i, plots[j, I_DOMAIN])
    return nis


@kernel
def defer(model, head, bank, sensor, s, z, plots, who, near, frame, work, taken):  # type: ignore[no-untyped-def]
    """Carry the hypotheses of a cluster over one frame: rows who (n,), plots near (m,); False when it is too large.

    Adds to taken the probability that each plot is of one of these tracks.
    """
    groups = _groups(bank, who)
    place = groups[0] if len(groups) > 0 else _free_group(head)
    if place == 0 or len(groups) > GROUPS_MAX or len(who) > TRACKS_MAX or len(near) > PLOTS_MAX:
        for g in groups:
            collapse(head, bank, g)
        return False
    weight, picked = _parents(head, groups)
    track, row, owner = _leaves(head, bank, who, groups)
    at = _holders(bank, groups, picked, row, owner, len(track))
    cost, quiet = _prices(model, bank, sensor, z, plots, near, row, owner, len(who), work)
    price, parent, pick = events(at, weight, cost, quiet, len(who))
    goes_on = show_first(picked, price, parent, pick)
    kept = len(price)
    made, made_pick, made_owner, born = children(at, parent, pick, kept, len(who))
    while kept > 1 and head.alternates + len(made) > head.room:
        kept >>= 1
        made, made_pick, made_owner, born = children(at, parent, pick, kept, len(who))
    if head.alternates + len(made) > head.room:
        for g in groups:
            collapse(head, bank, g)
        return False
    share, total = np.empty(kept), 0.0
    best = price[:kept].min()
    for h in range(kept):
        share[h] = np.exp(best - price[h])
        total += share[h]
    for h in range(kept):
        share[h] /= total
        for d in range(len(who)):
            if pick[h, d] >= 0:
                taken[near[pick[h, d]]] += share[h]
    first = head.first + head.alternates
    for k in range(len(made)):
        bank[first + k] = bank[row[made[k]]]
        j = near[made_pick[k]] if made_pick[k] >= 0 else made_pick[k]
        _live_through(model, bank, sensor, s, z, plots, j, near[0], first + k, frame, work)
    alive = _join_alike(bank, first, made_owner, born, share)
    alive = _join_swapped(bank, first, born, share, alive)
    shown = _to_show(bank, first, born, share, alive) if goes_on else _likeliest(share, alive)
    _store(head, bank, groups, place, track, first, made_owner, born, share, alive, shown)
    return True


@kernel
def _groups(bank, who):  # type: ignore[no-untyped-def]
    """Return the groups that rows are of, each once."""
    found, n = np.empty(len(who), np.int64), 0
    for i in who:
        g = bank[i].group
        if g > 0 and _place(found, n, g) == n:
            found[n] = g
            n += 1
    return found[:n]


@leaf
def _place(values, n, value):  # type: ignore[no-untyped-def]
    """Return where a value stands among the first n, or n."""
    for k in range(n):
        if values[k] == value:
            return k
    return n


@leaf
def _free_group(head):  # type: ignore[no-untyped-def]
    """Return the lowest group that nobody is of, 0 when there is none."""
    for g in range(1, GROUPS):
        if head.many[g] == 0:
            return g
    return 0


@leaf
def collapse(head, bank, g):  # type: ignore[no-untyped-def]
    """Settle a group on the hypothesis that is shown."""
    head.many[g] = 0
    kept = head.first
    for a in range(head.first, head.first + head.alternates):
        if bank[a].group == g:
            bank[bank[a].of].group = 0
            continue
        if kept < a:
            bank[kept] = bank[a]
        kept += 1
    head.alternates = kept - head.first


@leaf
def weed(head, bank):  # type: ignore[no-untyped-def]
    """Drop the alternates of tracks that are no more."""
    if head.alternates == 0:
        return
    kept, still = head.first, 0
    for a in range(head.first, head.first + head.alternates):
        i = bank[a].of
        if bank[i].status == FREE or bank[i].key != bank[a].key:
            continue
        if kept < a:
            bank[kept] = bank[a]
        still |= 1 << bank[kept].group
        kept += 1
    head.alternates = kept - head.first
    for g in range(1, GROUPS):
        if head.many[g] > 0 and not (still >> g) & 1:
            head.many[g] = 0


@kernel
def _parents(head, groups):  # type: ignore[no-untyped-def]
    """Return log weights (p,) and the hypothesis of each group (p, groups) of the joint hypotheses, likeliest first."""
    weight, picked = np.zeros(1), np.zeros((1, len(groups)), np.int64)
    for k in range(len(groups)):
        many = head.many[groups[k]]
        value, order = np.empty(len(weight) * many), np.arange(len(weight) * many)
        for p in range(len(weight)):
            for h in range(many):
                value[p * many + h] = -weight[p] - head.weights[groups[k], h]
        sort_places(value, order, np.empty(len(order), np.int64))
        n = min(len(order), HYPOTHESES)
        new, rows = np.empty(n), np.zeros((n, len(groups)), np.int64)
        for c in range(n):
            new[c] = -value[order[c]]
            rows[c] = picked[order[c] // many]
            rows[c, k] = order[c] % many
        weight, picked = new, rows
    return weight, picked


@kernel
def _leaves(head, bank, who, groups):  # type: ignore[no-untyped-def]
    """Return the tracks of the cluster and of its groups (those of `who` first), and of every leaf its row and its track."""
    n, size = len(who), len(who) + 2 * head.alternates
    track, row, owner = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64)
    for t in range(n):
        track[t], row[t], owner[t] = who[t], who[t], t
    tracks, leaves = n, n
    for a in range(head.first, head.first + head.alternates):
        if _place(groups, len(groups), bank[a].group) == len(groups):
            continue
        t = _place(track, tracks, bank[a].of)
        if t == tracks:
            track[t], row[leaves], owner[leaves] = bank[a].of, bank[a].of, t
            tracks += 1
            leaves += 1
        row[leaves], owner[leaves] = a, t
        leaves += 1
    return track[:tracks], row[:leaves], owner[:leaves]


@kernel
def _holders(bank, groups, picked, row, owner, tracks):  # type: ignore[no-untyped-def]
    """Return the leaf of every track in every joint hypothesis: (p, tracks)."""
    at = np.zeros((len(picked), tracks), np.int64)
    for k in range(len(row)):
        g = _place(groups, len(groups), bank[row[k]].group)
        for p in range(len(picked)):
            if g == len(groups) or (bank[row[k]].held >> picked[p, g]) & 1:
                at[p, owner[k]] = k
    return at


@kernel
def _prices(model, bank, sensor, z, plots, near, row, owner, n, work):  # type: ignore[no-untyped-def]
    """Return what each plot costs each leaf of the first n tracks against a miss, and the log probability of that miss."""
    cost, quiet = np.full((len(row), len(near)), 2.0 * NO_CHOICE), np.zeros(len(row))
    t_ns = plots[near[0], I_T]
    for k in range(len(row)):
        if owner[k] >= n:
            continue
        predict(model, bank, row[k], t_ns, work)
        pd = detection_probability(model, bank, row[k], sensor, t_ns)
        quiet[k] = np.log(max(1.0 - bank[row[k]].existence * max(pd, PD_UNEXPECTED), 1e-9))
        for j in range(len(near)):
            cost[k, j], _, _ = worth(model, bank, row[k], sensor, z, plots, near[j], pd, work)
    return cost, quiet


@leaf
def _live_through(model, bank, sensor, s, z, plots, j, first, i, frame, work):  # type: ignore[no-untyped-def]
    """Let leaf i take plot j, or miss its look (-1), or not be looked at (-2)."""
    if j >= 0:
        pd = detection_probability(model, bank, i, sensor, plots[j, I_T])
        _, log_ratio, _ = worth(model, bank, i, sensor, z, plots, j, pd, work)
        predict(model, bank, i, plots[j, I_T], work)
        n = linearise_row(model.earth, bank, i, sensor, z[j], plots[j, I_KIND], 0.0, work)
        absorb_plot(model, bank, s, plots, j, i, log_ratio, n, max(pd, PD_UNEXPECTED), frame, work)
    elif j == -1:
        t_ns = plots[first, I_T]
        pd = max(detection_probability(model, bank, i, sensor, t_ns), PD_UNEXPECTED)
        age(model, bank, i, t_ns)
        missed(bank, i, pd)
        bank[i].last_frame = frame
        bank[i].chance_ns[s] = t_ns


@leaf
def _alike(a, b, sigmas):  # type: ignore[no-untyped-def]
    """Tell whether two leaves are the same within a share of their own doubt."""
    dt, far, fast = (a.t_ns - b.t_ns) * 1e-9, 0.0, 0.0
    for c in range(3):
        far += (a.mean[c] - b.mean[c] - dt * b.mean[c + 3]) ** 2
        fast += (a.mean[c + 3] - b.mean[c + 3]) ** 2
    place, speed = min(a.spread[0], b.spread[0]), min(a.spread[1], b.spread[1])
    return far < (sigmas * place) ** 2 and fast < (sigmas * speed) ** 2 and abs(a.existence - b.existence) < 0.2


@kernel
def _join_alike(bank, first, made_owner, born, share):  # type: ignore[no-untyped-def]
    """Make one of a track's leaves that came together, and of hypotheses that then differ in nothing; returns those left."""
    kept, tracks = born.shape
    mass = np.zeros(len(made_owner))
    for h in range(kept):
        for t in range(tracks):
            mass[born[h, t]] += share[h]
    into = np.arange(len(made_owner))
    for a in range(len(made_owner)):
        for b in range(a):
            if into[b] == b and made_owner[a] == made_owner[b] and _alike(bank[first + a], bank[first + b], ALIKE):
                into[a] = b
                if mass[a] > mass[b]:
                    bank[first + b] = bank[first + a]
                mass[b] += mass[a]
                break
    alive = np.ones(kept, np.uint8)
    for h in range(kept):
        for t in range(tracks):
            born[h, t] = into[born[h, t]]
        for o in range(h):
            same = alive[o] == 1
            for t in range(tracks):
                same = same and born[o, t] == born[h, t]
            if same:
                share[o] += share[h]
                alive[h] = 0
                break
    return alive


@kernel
def _join_swapped(bank, first, born, share, alive):  # type: ignore[no-untyped-def]
    """Drop hypotheses that differ only in who is who among tracks that cannot be told apart any more; returns those left."""
    kept, tracks = born.shape
    used = np.empty(tracks, np.uint8)
    for h in range(kept):
        for o in range(h):
            if not (alive[h] and alive[o]):
                continue
            used[:] = 0
            matched = 0
            for t in range(tracks):
                for u in range(tracks):
                    a, b = born[h, t], born[o, u]
                    if not used[u] and (
                        a == b or (_nameless(bank[first + a]) and _alike(bank[first + a], bank[first + b], SWAPPED))
                    ):
                        used[u] = 1
                        matched += 1
                        break
                if matched <= t:
                    break
            if matched == tracks:
                share[o] += share[h]
                alive[h] = 0
    return alive


@leaf
def _nameless(row):  # type: ignore[no-untyped-def]
    """Tell whether a row has no claim to an identity by which it could be told from others."""
    return row.identity_count[ID_ADDRESS] <= 0 and row.identity_count[ID_MMSI] <= 0


@leaf
def _likeliest(share, alive):  # type: ignore[no-untyped-def]
    """Return the likeliest hypothesis left."""
    best = 0
    for h in range(len(share)):
        if alive[h] and (not alive[best] or share[h] > share[best]):
            best = h
    return best


@leaf
def _to_show(bank, first, born, share, alive):  # type: ignore[no-untyped-def]
    """Return the hypothesis to show: the first goes on until another is much likelier, by more where numbers would jump."""
    best = 0
    for h in range(1, len(share)):
        if not alive[h] or share[h] <= share[best]:
            continue
        if np.log(share[h] / max(share[0], 1e-300)) > (JUMP if _jumps(bank, first, born, h) else CHANGE):
            best = h
    return best


@leaf
def _jumps(bank, first, born, h):  # type: ignore[no-untyped-def]
    """Tell whether showing hypothesis h after the first would take a track's number to where another's was."""
    for t in range(born.shape[1]):
        if born[h, t] == born[0, t]:
            continue
        new, own = bank[first + born[h, t]].mean, bank[first + born[0, t]].mean
        far = (new[0] - own[0]) ** 2 + (new[1] - own[1]) ** 2 + (new[2] - own[2]) ** 2
        for u in range(born.shape[1]):
            old = bank[first + born[0, u]].mean
            if (new[0] - old[0]) ** 2 + (new[1] - old[1]) ** 2 + (new[2] - old[2]) ** 2 < far:
                return True
    return False


@kernel
def _store(head, bank, groups, place, track, first, made_owner, born, share, alive, shown):  # type: ignore[no-untyped-def]
    """Write what is left: the shown leaves into the tracks' own rows, the others as alternates of group `place`."""
    kept, tracks = born.shape
    held, many = np.zeros(len(made_owner), np.int64), 0
    for turn in range(kept + 1):
        h = shown if turn == 0 else turn - 1
        if alive[h] and (turn == 0 or h != shown):
            head.weights[place, many] = np.log(max(share[h], 1e-300))
            for t in range(tracks):
                held[born[h, t]] |= np.int64(1) << many
            many += 1
    leaves = np.zeros(tracks, np.int64)
    for k in range(len(made_owner)):
        leaves[made_owner[k]] += held[k] != 0
    for g in groups:
        head.many[g] = 0
    head.many[place] = many if many > 1 else 0
    for t in range(tracks):
        i, a, status = track[t], first + born[shown, t], bank[track[t]].status
        bank[i] = bank[a]
        bank[i].status, bank[i].held = status, held[born[shown, t]]
        bank[i].group = place if leaves[t] > 1 else 0
    kept_at = head.first
    for a in range(head.first, first + len(made_owner)):
        k = a - first
        if k < 0 and _place(groups, len(groups), bank[a].group) < len(groups):
            continue
        if k >= 0 and (held[k] == 0 or held[k] & 1):
            continue
        if kept_at < a:
            bank[kept_at] = bank[a]
        if k >= 0:
            bank[kept_at].of, bank[kept_at].held, bank[kept_at].group = track[made_owner[k]], held[k], place
        kept_at += 1
    head.alternates = kept_at - head.first
