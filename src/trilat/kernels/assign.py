"""Assignment, compiled: who gets which plot. The best choice, every choice's probability, and the best joint events.

`assign`: shortest augmenting paths with column potentials (Jonker and Volgenant, Computing 38, 1987) over the gated pairs
only: one track's path explores its own neighbourhood, so a frame of far-apart tracks costs no more than its pairs.
`marginals`: loopy belief propagation, messages between tracks and plots, proved to converge (Williams and Lau, Approximate
evaluation of marginal association probabilities with belief propagation, IEEE Transactions on Aerospace and Electronic Systems
50, 2014). `events`: the likeliest joint events of several hypotheses, by branch and bound.
"""

from __future__ import annotations

import numpy as np

from trilat.kernels.bank import HYPOTHESES
from trilat.kernels.jit import entry, kernel, leaf

TURNS_MAX = 200  # of belief propagation
NO_CHOICE = 6.0  # pairs this much worse than a miss are no choice at all
WIDTH = 7.0  # joint events e^7 times less likely than the best are left out
VISITS_MAX = 60_000  # choices looked at before the search for joint events ends with what it has


@leaf
def sort_places(values, order, spare):  # type: ignore[no-untyped-def]
    """Sort places by their values, equals staying as they are (merge sort); spare (as long as order) is scratch.

    numpy's own sorts would do, but take numba seconds to compile.
    """
    m, width = len(order), 1
    while width < m:
        for low in range(0, m, 2 * width):
            mid, high = min(low + width, m), min(low + 2 * width, m)
            a, b = low, mid
            for k in range(low, high):
                if a < mid and (b >= high or values[order[a]] <= values[order[b]]):
                    spare[k] = order[a]
                    a += 1
                else:
                    spare[k] = order[b]
                    b += 1
        for k in range(m):
            order[k] = spare[k]
        width *= 2


@leaf
def _push(heap_d, heap_j, size, d, j):  # type: ignore[no-untyped-def]
    """Add (d, j) to a binary heap; ties go to the lower column."""
    k = size
    while k > 0:
        up = (k - 1) >> 1
        if heap_d[up] < d or (heap_d[up] == d and heap_j[up] <= j):
            break
        heap_d[k], heap_j[k] = heap_d[up], heap_j[up]
        k = up
    heap_d[k], heap_j[k] = d, j
    return size + 1


@leaf
def _pop(heap_d, heap_j, size):  # type: ignore[no-untyped-def]
    """Remove the heap's top, which the caller has read; returns the new size."""
    size -= 1
    d, j = heap_d[size], heap_j[size]
    k = 0
    while True:
        c = 2 * k + 1
        if c >= size:
            break
        if c + 1 < size and (heap_d[c + 1] < heap_d[c] or (heap_d[c + 1] == heap_d[c] and heap_j[c + 1] < heap_j[c])):
            c += 1
        if d < heap_d[c] or (d == heap_d[c] and j <= heap_j[c]):
            break
        heap_d[k], heap_j[k] = heap_d[c], heap_j[c]
        k = c
    heap_d[k], heap_j[k] = d, j
    return size


@kernel
def assign(start, column, cost, columns, edge_of_row, row_of_column):  # type: ignore[no-untyped-def]
    """Choose for every row one of its edges or none (cost 0) at least total cost, each column at most once.

    start (rows + 1,), column (edges,), cost (edges,): the pairs by row. Writes the chosen edge of each row (-1: none) into
    edge_of_row (rows,) and the owner of each column (-1) into row_of_column (columns,).
    """
    rows = len(start) - 1
    edges = start[rows]
    v = np.zeros(columns)
    d = np.full(columns, np.inf)
    came = np.full(columns, -1, np.int64)
    done = np.zeros(columns, np.uint8)
    touched = np.empty(columns, np.int64)
    heap_d, heap_j = np.empty(edges + 1), np.empty(edges + 1, np.int64)
    edge_of_row[:rows] = -1
    row_of_column[:columns] = -1
    for r in range(rows):
        if start[r + 1] - start[r] == 0:
            continue
        size, seen, i, shift = 0, 0, r, 0.0
        end, end_row, end_column = np.inf, -1, -1
        while True:
            if shift < end:
                end, end_row, end_column = shift, i, -1
            for e in range(start[i], start[i + 1]):
                j = column[e]
                if done[j]:
                    continue
                way = cost[e] - v[j] + shift
                if way < d[j] and way < end:
                    if came[j] < 0:
                        touched[seen] = j
                        seen += 1
                    d[j] = way
                    came[j] = e
                    size = _push(heap_d, heap_j, size, way, j)
            j = -1
            while size > 0:
                top, j = heap_d[0], heap_j[0]
                size = _pop(heap_d, heap_j, size)
                if not done[j] and top == d[j]:
                    break
                j = -1
            if j < 0 or d[j] >= end:
                break
            if row_of_column[j] < 0:
                end, end_row, end_column = d[j], -1, j
                break
            done[j] = 1
            i = row_of_column[j]
            e = edge_of_row[i]
            shift = d[j] - (cost[e] - v[j])
        for k in range(seen):
            j = touched[k]
            if done[j]:
                v[j] += d[j] - end
        _augment(r, end_row, end_column, start, column, came, edge_of_row, row_of_column)
        for k in range(seen):
            j = touched[k]
            d[j], came[j], done[j] = np.inf, -1, 0


@leaf
def _augment(r, end_row, end_column, start, column, came, edge_of_row, row_of_column):  # type: ignore[no-untyped-def]
    """Walk an alternating path back to row r, giving each row on it its new edge."""
    j = end_column
    if j < 0:  # the path ends in end_row taking nothing, and giving up the column it had
        if end_row == r:
            edge_of_row[r] = -1
            return
        e = edge_of_row[end_row]
        edge_of_row[end_row] = -1
        j = column[e]
    while True:
        e = came[j]
        i = _row_of_edge(start, e)
        before = edge_of_row[i]
        edge_of_row[i] = e
        row_of_column[j] = i
        if i == r:
            return
        j = column[before]


@leaf
def _row_of_edge(start, e):  # type: ignore[no-untyped-def]
    """Return the row that owns edge e, by bisection."""
    low, high = 0, len(start) - 1
    while high - low > 1:
        mid = (low + high) >> 1
        if start[mid] <= e:
            low = mid
        else:
            high = mid
    return low


@entry
def choose(start, column, cost, columns):  # type: ignore[no-untyped-def]
    """Return the chosen edge of every row (-1: none); see `assign` for the arguments."""
    edge_of_row, row_of_column = np.empty(len(start) - 1, np.int64), np.empty(columns, np.int64)
    assign(start, column, cost, columns, edge_of_row, row_of_column)
    return edge_of_row


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
def events(at, weight, cost, quiet, n):  # type: ignore[no-untyped-def]
    """Return the likeliest joint events of all hypotheses, best first: their prices, parents, and plot of each track (-1: none).

    at (hypotheses, tracks): the leaf of each of the first n tracks; weight (hypotheses,): logs, best first. cost (leaves, plots):
    log odds of each plot against a miss, negated; quiet (leaves,): log probability of that miss. At most HYPOTHESES events, by
    branch and bound, depth first, over the plots of each track from the best to none.
    """
    leaves, m = cost.shape
    choice, degree = np.empty((leaves, m), np.int64), np.zeros(leaves, np.int64)
    for k in range(leaves):
        order = np.arange(m)
        sort_places(cost[k], order, np.empty(m, np.int64))
        for j in order:
            if cost[k, j] <= NO_CHOICE:
                choice[k, degree[k]] = j
                degree[k] += 1
    price, parent = np.full(HYPOTHESES, 1e300), np.zeros(HYPOTHESES, np.int64)
    pick, now = np.full((HYPOTHESES, n), -1, np.int64), np.full(n, -1, np.int64)
    left, spent, used = np.zeros(n + 1), np.zeros(n + 1), np.zeros(n + 1, np.int64)
    ahead = np.zeros(n + 1, np.int64)
    kept, worst, visits, bound = 0, 0, 0, 1e300
    for p in range(len(weight)):
        for d in range(n - 1, -1, -1):
            k = at[p, d]
            left[d] = left[d + 1] - quiet[k] + (min(cost[k, choice[k, 0]], 0.0) if degree[k] > 0 else 0.0)
        depth = 0
        spent[0], ahead[0] = -weight[p], 0
        while depth >= 0 and visits < VISITS_MAX:
            k, e = at[p, depth], ahead[depth]
            if e > degree[k]:
                depth -= 1
                continue
            ahead[depth] += 1
            visits += 1
            total, bits, j = spent[depth] - quiet[k], used[depth], -1
            if e < degree[k]:
                j = choice[k, e]
                if (bits >> j) & 1:
                    continue
                bits |= np.int64(1) << j
                total += cost[k, j]
            if total + left[depth + 1] > bound:
                continue
            now[depth] = j
            if depth + 1 < n:
                depth += 1
                used[depth], spent[depth], ahead[depth] = bits, total, 0
                continue
            c = kept if kept < HYPOTHESES else worst
            price[c], parent[c], pick[c] = total, p, now
            kept = min(kept + 1, HYPOTHESES)
            if kept == HYPOTHESES:
                worst = int(np.argmax(price))
                bound = min(bound, price[worst])
            bound = min(bound, total + WIDTH)
    order = np.arange(HYPOTHESES)
    sort_places(price, order, np.empty(HYPOTHESES, np.int64))
    while kept > 1 and price[order[kept - 1]] > price[order[0]] + WIDTH:
        kept -= 1
    return price[order[:kept]], parent[order[:kept]], pick[order[:kept]]


@leaf
def show_first(picked, price, parent, pick):  # type: ignore[no-untyped-def]
    """Put first the likeliest event that goes on from what was shown; tells whether there is one."""
    shown = -1
    for h in range(len(price)):
        same = True
        for g in range(picked.shape[1]):
            same = same and picked[parent[h], g] == 0
        if same:
            shown = h
            break
    if shown < 0:
        return False
    for h in range(shown, 0, -1):
        price[h], price[h - 1] = price[h - 1], price[h]
        parent[h], parent[h - 1] = parent[h - 1], parent[h]
        for d in range(pick.shape[1]):
            pick[h, d], pick[h - 1, d] = pick[h - 1, d], pick[h, d]
    return True


@kernel
def children(at, parent, pick, kept, n):  # type: ignore[no-untyped-def]
    """Return the leaves that the first `kept` events need, each once: its parent, plot and track, and which each event has.

    A plot of -1 is a miss, -2 no look at all (tracks from n on).
    """
    tracks = at.shape[1]
    made, made_pick = np.empty(kept * tracks, np.int64), np.empty(kept * tracks, np.int64)
    made_owner, born = np.empty(kept * tracks, np.int64), np.empty((kept, tracks), np.int64)
    count = 0
    for t in range(tracks):
        since = count
        for h in range(kept):
            k, j = at[parent[h], t], pick[h, t] if t < n else -2
            c = since
            while c < count and (made[c] != k or made_pick[c] != j):
                c += 1
            if c == count:
                made[c], made_pick[c], made_owner[c] = k, j, t
                count += 1
            born[h, t] = c
    return made[:count], made_pick[:count], made_owner[:count], born
