"""One frame through the bank, compiled: gate, assign, update, miss, initiate, settle."""

from __future__ import annotations

from typing import Any

import numpy as np

from trilat.kernels.assign import NO_CHOICE, assign
from trilat.kernels.bank import (
    CONFIRMED,
    FREE,
    I_ID,
    I_KIND,
    I_T,
    ID_ADDRESS,
    ID_MMSI,
    O_ASSOCIATION,
    Z_X,
    Z_Y,
    Z_Z,
    box,
)
from trilat.kernels.gate import (
    PD_UNEXPECTED,
    detection_probability,
    if_it_is,
    in_question,
    near_plots,
    same_claim,
    sectors_of,
    sort_frame,
    worth,
)
from trilat.kernels.hypotheses import absorb_plot, weed
from trilat.kernels.imm import linearise_row, predict
from trilat.kernels.jit import entry, kernel, leaf
from trilat.kernels.life import age, flag, initiate, missed, misses, settle
from trilat.kernels.measure import KIND_MEASUREMENT
from trilat.kernels.soft import soften

PAIRS_PER_PLOT = 24  # room for gated pairs, per plot, plus PAIRS_MIN; beyond it pairs are dropped and counted
PAIRS_MIN = 4096
JUMP_NS = 120_000_000_000  # a claimed identity seen elsewhere within this time is a jump or a double
SAME_SIGMAS = 2.0  # of two tracks together: nearer than this they are one
BESIDE_MAX = 16  # looks in a row that showed one of two: among 10,000 pairs, each seen in 7 looks of 10, one in 100 looks
TAKEN = 0.5  # a plot that soft association gave away by more than this is no tentative track's
CLAIMED = 0.2  # and by more than this it begins no track: a second one beside the first is the likelier error
BESIDE_M = 2_500.0  # a partner's plot this near a track (along each axis) tells that its sensor looked there
PD_BESIDE = 0.9  # what such a sensor, of which no more is known, is granted: as one of ours that says nothing
ONE_LOOK_NS = 1_500_000_000  # what a sensor shows within this time is of one look


@leaf
def take(model, head, bank, sensor, s, z, plots, j, i, log_ratio, frame, work):  # type: ignore[no-untyped-def]
    """Update row i by plot j, firmly."""
    predict(model, bank, i, plots[j, I_T], work)
    n = linearise_row(model.earth, bank, i, sensor, z[j], plots[j, I_KIND], 0.0, work)
    pd = max(detection_probability(model, bank, i, sensor, plots[j, I_T]), PD_UNEXPECTED)
    _take(model, head, bank, s, plots, j, i, log_ratio, n, pd, frame, work)


@leaf
def _take(model, head, bank, s, plots, j, i, log_ratio, n, pd, frame, work):  # type: ignore[no-untyped-def]
    """Update row i, which stands at plot j's time, by the plot's n components in work."""
    _fit(head, s, work, absorb_plot(model, bank, s, plots, j, i, log_ratio, n, pd, frame, work))


@leaf
def _fit(head, s, work, nis):  # type: ignore[no-untyped-def]
    """Add one update's innovations to the sensor's sums: whoever watches the sensor's health reads their growth."""
    fit = head.fit[s]
    n = 0
    for r in range(6):
        if work.D[r] != 0.0:
            n = r + 1
    fit[0] += 1.0
    fit[1] += max(n, 1)
    fit[2] += nis * max(n, 1)
    for r in range(3):
        fit[3 + r] += work.D[r]


def step_frame(model: Any, head: Any, bank: Any, sensors: Any, s: int, z: Any, plots: Any, work: Any) -> None:
    """Take in one frame of sensor s; see `run_frames`."""
    run_frames(box(model), box(head), bank, sensors, np.array([s]), np.array([0, len(z)]), z, plots, box(work))


@entry
def run_frames(models, heads, bank, sensors, who, starts, z, plots, works):  # type: ignore[no-untyped-def]
    """Take in frames, one after the other: frame k is of sensor who[k] and holds the plots starts[k] to starts[k + 1].

    sensors (n, SENSOR_COLUMNS); z (plots, PLOT_COLUMNS), sorted by the gate's key within each frame; plots (plots, PLOT_INTS).
    The records of rules, of the bank's head and of scratch come in arrays of one, which cost Python less to hand over.
    """
    for k in range(len(who)):
        a, b = starts[k], starts[k + 1]
        _frame(models[0], heads[0], bank, sensors, who[k], z[a:b], plots[a:b], works[0])


@kernel
def _frame(model, head, bank, sensors, s, z, plots, work):  # type: ignore[no-untyped-def]
    """Take in one sensor's frame: within it a track takes at most one plot and a plot belongs to at most one track."""
    n = len(z)
    sensor = sensors[s]
    head.frames += 1
    frame = head.frames
    taken, latest = np.zeros(n), plots[0, I_T]
    for j in range(n):
        latest = max(latest, plots[j, I_T])
    rows, start = np.empty(head.rows + 1, np.int64), np.zeros(head.rows + 2, np.int64)
    room = PAIRS_MIN + PAIRS_PER_PLOT * n
    column, cost, ratio = np.empty(room, np.int64), np.empty(room), np.empty(room)
    count = _pairs(model, head, bank, sensor, s, z, plots, taken, frame, rows, start, column, cost, ratio, work)
    if count > 0:
        _share(model, head, bank, sensor, s, z, plots, taken, frame, rows, start[: count + 1], column, cost, ratio, work)
    misses(model, head, bank, sensor, s, latest, frame)
    if plots[0, I_KIND] >= KIND_MEASUREMENT:
        _overlooked(model, head, bank, s, z, plots, frame)
    settle(model, head, bank, sensors, latest)
    weed(head, bank)
    _births(model, head, bank, sensor, s, z, plots, taken, frame, work)


@leaf
def _overlooked(model, head, bank, s, z, plots, frame):  # type: ignore[no-untyped-def]
    """Count a miss for every track beside which a partner's source showed something else.

    Where a partner's sensor stands and how far it sees is not ours to know; that it looked here is, by what it shows close by.
    Without that nothing would speak against a second track that a biased sensor begins beside the first.
    """
    for k in range(head.rows + head.alternates):
        i = k if k < head.rows else head.first + k - head.rows
        if bank[i].status == FREE or bank[i].last_frame == frame:
            continue
        x, y, up = bank[i].mean[0], bank[i].mean[1], bank[i].mean[2]
        j = _first_from(z, x - BESIDE_M)
        while j < len(z) and z[j, Z_X] < x + BESIDE_M:
            if abs(z[j, Z_Y] - y) < BESIDE_M and abs(z[j, Z_Z] - up) < BESIDE_M:
                t_ns = plots[j, I_T]
                if t_ns - max(bank[i].chance_ns[s], bank[i].born_ns) > ONE_LOOK_NS:
                    bank[i].chance_ns[s] = t_ns
                    age(model, bank, i, t_ns)
                    missed(bank, i, PD_BESIDE)
                break
            j += 1


@leaf
def _first_from(z, x):  # type: ignore[no-untyped-def]
    """Return the first of a frame's plots whose x (they are in its order) is not below a value."""
    low, high = 0, len(z)
    while low < high:
        mid = (low + high) >> 1
        if z[mid, Z_X] < x:
            low = mid + 1
        else:
            high = mid
    return low


@kernel
def _pairs(model, head, bank, sensor, s, z, plots, taken, frame, rows, start, column, cost, ratio, work):  # type: ignore[no-untyped-def]  # noqa: PLR0917 - arrays by name
    """Gate every track against one frame. A track and a plot that nothing else comes near are settled at once.

    Writes the other tracks that have pairs into rows, their pairs as start / column, and for each its cost and its log
    likelihood ratio; returns how many tracks these are.
    """
    n, kind = len(z), plots[0, I_KIND]
    wide, at, hits = np.empty(5), np.empty(8), np.empty(n, np.int64)
    first, member = np.empty(sectors_of(n, kind) + 1, np.int64), np.empty(n, np.int64)
    grid = (first, member, np.empty(n), np.empty(n), np.empty(n))
    sectors, middle_ns, slack_s = sort_frame(z, plots, grid, wide)
    many, lone, wanted = np.zeros(head.rows, np.int64), np.empty(head.rows, np.int64), np.zeros(n, np.int64)
    more, seen, others = np.empty(n, np.int64), np.zeros(n, np.uint8), _alternates_of(head, bank)
    for i in range(head.rows):
        if bank[i].status != FREE:
            many[i] = near_plots(bank, i, sensor, kind, grid, sectors, middle_ns, slack_s, wide, at, hits)
            if bank[i].group > 0:
                many[i] = _near_alternates(
                    others, bank, i, sensor, kind, grid, (sectors, middle_ns, slack_s), wide, at, hits, many[i], more, seen
                )
            lone[i] = hits[0]
            for k in range(many[i]):
                wanted[hits[k]] += 1
    edges, count = 0, 0
    for i in range(head.rows):
        if many[i] == 0:
            continue
        if many[i] == 1 and wanted[lone[i]] == 1 and bank[i].group == 0:
            _alone(model, head, bank, sensor, s, z, plots, lone[i], i, taken, frame, work)
            continue
        if edges == len(column):  # no room: nor is any work done for what would find none
            head.pairs += many[i]
            continue
        near = near_plots(bank, i, sensor, kind, grid, sectors, middle_ns, slack_s, wide, at, hits)
        if bank[i].group > 0:
            near = _near_alternates(
                others, bank, i, sensor, kind, grid, (sectors, middle_ns, slack_s), wide, at, hits, near, more, seen
            )
        t_ns = plots[hits[0], I_T]
        predict(model, bank, i, t_ns, work)
        pd = detection_probability(model, bank, i, sensor, t_ns)
        for k in range(near):
            c, log_ratio, _ = worth(model, bank, i, sensor, z, plots, hits[k], pd, work)
            if in_question(model, bank, i):
                c = if_it_is(bank[i].existence, pd, c)
            if c > NO_CHOICE and bank[i].group == 0:  # what is none for the leaf shown may be one for an alternate
                continue
            if edges == len(column):
                head.pairs += 1
                continue
            column[edges], cost[edges], ratio[edges] = hits[k], c, log_ratio
            edges += 1
        if edges > start[count]:
            rows[count] = i
            count += 1
            start[count] = edges
    return count


@kernel
def _alternates_of(head, bank):  # type: ignore[no-untyped-def]
    """Return each row's first alternate, each alternate's next of the same row (0: none), and the place of the first of all.

    Alternates stand two thousand bytes apart: one pass over them, not one for every row that may have some.
    """
    count = head.alternates
    first, following = np.zeros(head.rows if count > 0 else 0, np.int64), np.zeros(count, np.int64)
    for a in range(count - 1, -1, -1):
        i = bank[head.first + a].of
        following[a], first[i] = first[i], head.first + a
    return first, following, head.first


@leaf
def _near_alternates(others, bank, i, sensor, kind, grid, frame, wide, at, hits, near, more, seen):  # type: ignore[no-untyped-def]  # noqa: PLR0917 - arrays by name
    """Add the plots near row i's alternates to its own in hits; returns how many. more, seen (n,): scratch, seen all zero."""
    first, following, begin = others
    for k in range(near):
        seen[hits[k]] = 1
    a = first[i] if len(following) > 0 else 0
    while a > 0:
        for k in range(near_plots(bank, a, sensor, kind, grid, frame[0], frame[1], frame[2], wide, at, more)):
            if not seen[more[k]]:
                seen[more[k]] = 1
                hits[near] = more[k]
                near += 1
        a = following[a - begin]
    for k in range(near):
        seen[hits[k]] = 0
    return near


@leaf
def _alone(model, head, bank, sensor, s, z, plots, j, i, taken, frame, work):  # type: ignore[no-untyped-def]
    """Update row i by plot j, its only one, where that is likelier than a miss: what the assignment would choose."""
    t_ns = plots[j, I_T]
    predict(model, bank, i, t_ns, work)
    pd = detection_probability(model, bank, i, sensor, t_ns)
    cost, log_ratio, n = worth(model, bank, i, sensor, z, plots, j, pd, work)
    asked = in_question(model, bank, i)
    if asked:
        cost = if_it_is(bank[i].existence, pd, cost)
    if cost < 0.0:
        _take(model, head, bank, s, plots, j, i, log_ratio, n, max(pd, PD_UNEXPECTED), frame, work)
        taken[j] = 1.0 - np.exp(cost) if asked else 1.0


@kernel
def _share(model, head, bank, sensor, s, z, plots, taken, frame, rows, start, column, cost, ratio, work):  # type: ignore[no-untyped-def]  # noqa: PLR0917 - arrays by name
    """Assign plots to the tracks that could take more than one, or that others could take; soften what is in doubt."""
    n, count = len(z), len(start) - 1
    chosen, owner = np.empty(count, np.int64), np.empty(n, np.int64)
    assign(start, column, cost, n, chosen, owner)
    soft = np.zeros(count, np.uint8)
    if model.options[O_ASSOCIATION] > 0:
        soften(model, head, bank, sensor, s, z, plots, rows, start, column, cost, n, frame, work, taken, soft)
    for c in range(count):
        if chosen[c] >= 0 and not soft[c]:
            j = column[chosen[c]]
            if taken[j] > TAKEN:  # a soft cluster has it
                continue
            asked = in_question(model, bank, rows[c])
            take(model, head, bank, sensor, s, z, plots, j, rows[c], ratio[chosen[c]], frame, work)
            taken[j] = 1.0 - np.exp(cost[chosen[c]]) if asked else 1.0
    _doubles(bank, rows, start, column, owner, frame, plots[0, I_KIND] >= KIND_MEASUREMENT)


@leaf
def _doubles(bank, rows, start, column, owner, frame, partners):  # type: ignore[no-untyped-def]
    """End the younger of two tracks that want one plot, cannot be told apart, and claim one identity or never took two plots.

    Without a claim they are one when for long no look has shown both: tracks that a bias between nations parted while it lasted,
    and that live on, each fed by another partner. What claims an identity from elsewhere is another matter, and stays.
    owner (plots,) is scratch.
    """
    for j in range(len(owner)):
        owner[j] = -1
    for c in range(len(start) - 1):
        for e in range(start[c], start[c + 1]):
            j = column[e]
            if owner[j] < 0:
                owner[j] = rows[c]
                continue
            a, b = bank[owner[j]], bank[rows[c]]
            if min(a.status, b.status) == FREE:
                continue
            never = _never_two(a, b, frame, partners)
            if not ((never or same_claim(a, b)) and _one_body(a, b)):
                continue
            if a.born_ns < b.born_ns or (a.born_ns == b.born_ns and a.key <= b.key):
                b.status = FREE
            else:
                a.status, owner[j] = FREE, rows[c]


@leaf
def _never_two(a, b, frame, partners):  # type: ignore[no-untyped-def]
    """Count, for two tracks that want one plot, the partners' looks that showed one since the last look that showed both.

    Only partners': how far apart two are that one's own radars show as one is for the hypotheses.
    """
    if min(a.status, b.status) < CONFIRMED:
        return False
    one, other = a.took_frame == frame, b.took_frame == frame
    if one and other:
        a.beside, b.beside = 0, 0
    elif partners and (one or other) and _one_body(a, b):
        younger = b if a.born_ns <= b.born_ns else a
        younger.beside += 1
        return younger.beside > BESIDE_MAX
    return False


@leaf
def _one_body(a, b):  # type: ignore[no-untyped-def]
    """Tell whether two rows lie within their doubt of one another, in place and in velocity."""
    dt = (a.t_ns - b.t_ns) * 1e-9
    far, fast = 0.0, 0.0
    for c in range(3):
        far += (a.mean[c] - b.mean[c] - dt * b.mean[c + 3]) ** 2
        fast += (a.mean[c + 3] - b.mean[c + 3]) ** 2
    place = a.spread[0] ** 2 + b.spread[0] ** 2 + (dt * b.spread[1]) ** 2
    return far < SAME_SIGMAS**2 * place and fast < SAME_SIGMAS**2 * (a.spread[1] ** 2 + b.spread[1] ** 2)


@leaf
def _births(model, head, bank, sensor, s, z, plots, taken, frame, work):  # type: ignore[no-untyped-def]
    """Begin a track from every plot that no track took."""
    first = 0
    for j in range(len(z)):
        if taken[j] > CLAIMED:
            continue
        i = initiate(model, head, bank, sensor, s, z, plots, j, 1.0 - taken[j], first, frame, work)
        if i >= 0:
            first = i + 1
        if plots[j, I_ID + ID_ADDRESS] >= 0 or plots[j, I_ID + ID_MMSI] >= 0:
            contested(head, bank, plots, j, i)


@leaf
def contested(head, bank, plots, j, born):  # type: ignore[no-untyped-def]
    """A plot that no track took claims an identity: flag the track that holds it elsewhere (it jumped), and the new one."""
    t_ns = plots[j, I_T]
    for i in range(head.rows):
        if bank[i].status == FREE or i == born:
            continue
        for c in (ID_ADDRESS, ID_MMSI):
            claim = plots[j, I_ID + c]
            if (
                claim >= 0
                and bank[i].identity[c] == claim
                and bank[i].identity_count[c] > 0
                and t_ns - bank[i].updated_ns < JUMP_NS
            ):
                flag(bank, i, 0, t_ns)
                if born >= 0:
                    flag(bank, born, 0, t_ns)
                    flag(bank, born, 1, t_ns)


@entry
def look_empty(models, heads, bank, sensors, s, t_ns):  # type: ignore[no-untyped-def]
    """Take in one sensor's frame that held no plot at all: only misses and ageing."""
    model, head = models[0], heads[0]
    head.frames += 1
    misses(model, head, bank, sensors[s], s, t_ns, head.frames)
    settle(model, head, bank, sensors, t_ns)
    weed(head, bank)
