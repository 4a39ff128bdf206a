"""Compile the ASTERIX kernels into numba's cache, on one toy block: a record of one octet and a six-bit text."""

import numpy as np

from trilat.kernels import asterix, asterix_plots

# CAT 0, LEN 12: FSPEC names both items; one octet; eight six-bit characters.
BLOCK = bytes((0, 0, 11, 0b1100_0000, 7, 0, 0, 0, 0, 0, 0))
NODES = ((asterix.COMPOUND, -1, 1, 0, 0, 2), (asterix.FIXED, 0, 1, 0, 0, 0), (asterix.FIXED, 1, 6, 0, 0, 0))


def warm() -> int:
    """Call every kernel with the types that the feeds use; returns how many records the toy block has, which is one."""
    data = np.frombuffer(BLOCK, np.uint8)
    blocks = np.empty((4, 4), np.int64)
    errors = np.empty((1, 3), np.int64)
    count, _ = asterix.split_blocks(data, np.array([[0, len(data)]], np.int64), blocks, errors)
    nodes, children = np.array(NODES, np.int32), np.array([1, 2], np.int32)
    rows, records = np.empty((4, 2), np.int32), np.empty((4, 4), np.int64)
    n, _ = asterix.walk_blocks(data, blocks[:count], 0, nodes, children, rows, records, errors)
    rows = rows[:n]
    asterix.gather_raw(data, rows, 0, 0, 8, np.empty(n, np.uint64))
    asterix.gather_six_bit(data, rows, 1, 0, True, np.empty((n, 8), np.uint8), np.empty(n, np.bool_))  # noqa: FBT003 - numba
    whole = np.zeros(1, np.int32)
    asterix.gather_values(data, rows, whole, whole, whole + 8, np.zeros(1, np.bool_), np.ones(1), np.empty((1, n)))
    asterix.expand_repeats(rows[:0], 0, 1, np.empty((0, 1), np.int32), np.empty(0, np.int64))
    values = np.full((asterix_plots.VALUES, n), np.nan)
    asterix_plots.convert_plots(values, np.zeros(6, np.int64), np.empty((4, n)), np.empty((7, n), np.int64))
    times = np.zeros(n, np.int64)
    asterix_plots.absolute_times(times, times, np.empty(n, np.int64), np.empty(n, np.int64))
    return n
