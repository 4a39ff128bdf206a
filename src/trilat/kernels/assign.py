"""Assignment, compiled: who gets which plot. Exact, sparse, with the choice of nothing for every track.

Shortest augmenting paths with column potentials (Jonker and Volgenant, Computing 38, 1987) over the gated pairs only: one
track's path explores its own neighbourhood, so a frame of far-apart tracks costs no more than its pairs.
"""

from __future__ import annotations

import numpy as np

from trilat.kernels.jit import entry, kernel, leaf


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
