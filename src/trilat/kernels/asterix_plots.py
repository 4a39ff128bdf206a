"""CAT048 values to plots, and times of day to absolute time: the arithmetic of a live radar feed in one pass over a datagram.

A feed hands over a few records at a time, some thousand times a second; here numpy's cost per operation would be most of it.
"""

from typing import Any

import numpy as np
from numba import njit

from trilat.kernels import asterix

Array = np.ndarray[Any, Any]

# Rows of `values`, in the order that the caller gathers them in.
(
    SAC,
    SIC,
    TIME_S,
    TYP,
    SIM,
    TST,
    SPI,
    ME,
    RAB,
    GHOST,
    RHO_NM,
    THETA_DEG,
    CODE_V,
    CODE_G,
    CODE,
    LEVEL_V,
    LEVEL_G,
    LEVEL,
    HEIGHT_FT,
    DOPPLER_D,
    DOPPLER_M_S,
    TRACK,
    ADDRESS,
) = range(23)
VALUES = 23
# Rows of `floats` and of `ints`.
RANGE_M, AZIMUTH_RAD, HEIGHT_M, SPEED_M_S = range(4)
FLAGS, MODE_3A, ICAO, SENSOR_TRACK, STATION, TODS, VERDICT = range(7)
# Verdicts; the first that holds, from the end.
OK, NO_DETECTION, FIXED_TRANSPONDER, NO_POSITION, NOT_PHYSICAL = range(5)

NAUTICAL_MILE_M = 1852.0
FOOT_M = 0.3048
FLIGHT_LEVEL_M = 30.48
# 14-bit flight levels are two's complement, which tables before CAT048 edition 1.32 do not say.
LEVEL_HALF = 2048.0
# Mode C ends at 126,750 ft (Gillham code, ICAO Annex 10 vol. IV, appendix to chapter 3) and begins at -1,200 ft.
HEIGHT_M_MIN = -500.0
BAROMETRIC_M_MAX = 40_000.0
# I048/110 itself ends at 204,775 ft; such a height is kept even where nothing flies: missiles do.
HEIGHT_M_MAX = 63_000.0
TODS_PER_S = 128
NS_PER_TOD = 7_812_500
DAY_NS = 86_400_000_000_000


@njit(cache=True)
def convert_plots(v: Array, bits: Array, floats: Array, ints: Array) -> int:
    """Turn gathered CAT048 values (VALUES, n), NaN where absent, into plots in SI units.

    bits int64 (6,): the flags for simulated, test, SPI, military emergency, barometric, emergency. Fills floats float64 (4, n):
    range, azimuth, height, Doppler, NaN where absent; ints int64 (7, n): flags, Mode 3/A, address, sensor track, SAC * 256 + SIC,
    time of day in 1/128 s, verdict; -1 where absent. Returns how many heights were not physical and left out.
    Heights: 3-D first, else valid and ungarbled Mode C. Codes and Doppler speeds that are marked doubtful are absent.
    """
    dropped = 0
    for k in range(v.shape[1]):
        flags = 0
        for row in range(4):
            if v[SIM + row, k] == 1.0:
                flags |= bits[row]
        floats[RANGE_M, k] = v[RHO_NM, k] * NAUTICAL_MILE_M
        floats[AZIMUTH_RAD, k] = np.radians(v[THETA_DEG, k])
        floats[SPEED_M_S, k] = np.nan if v[DOPPLER_D, k] == 1.0 else v[DOPPLER_M_S, k]

        height = v[HEIGHT_FT, k] * FOOT_M
        if height < HEIGHT_M_MIN or height > HEIGHT_M_MAX:
            height = np.nan
            dropped += 1
        if np.isnan(height) and not np.isnan(v[LEVEL, k]) and v[LEVEL_V, k] != 1.0 and v[LEVEL_G, k] != 1.0:
            level = v[LEVEL, k]
            if level >= LEVEL_HALF:
                level -= 2 * LEVEL_HALF
            height = level * FLIGHT_LEVEL_M
            flags |= bits[4]
            if height < HEIGHT_M_MIN or height > BAROMETRIC_M_MAX:
                height = np.nan
                flags &= ~bits[4]
                dropped += 1
        floats[HEIGHT_M, k] = height

        ints[MODE_3A, k] = -1
        if not np.isnan(v[CODE, k]) and v[CODE_V, k] != 1.0 and v[CODE_G, k] != 1.0:
            code = int(v[CODE, k])
            ints[MODE_3A, k] = code
            if code in (0o7500, 0o7600, 0o7700):
                flags |= bits[5]
        address = v[ADDRESS, k]
        ints[ICAO, k] = int(address) if 0.0 < address < 0xFFFFFF else -1
        ints[SENSOR_TRACK, k] = -1 if np.isnan(v[TRACK, k]) else int(v[TRACK, k])
        ints[STATION, k] = -1 if np.isnan(v[SAC, k]) else int(v[SAC, k]) * 256 + int(v[SIC, k])
        ints[TODS, k] = -1 if np.isnan(v[TIME_S, k]) else int(v[TIME_S, k] * TODS_PER_S)
        ints[FLAGS, k] = flags

        verdict = OK if v[RHO_NM, k] > 0.0 else NOT_PHYSICAL
        if np.isnan(v[RHO_NM, k]):
            verdict = NO_POSITION
        if v[RAB, k] == 1.0:
            verdict = FIXED_TRANSPONDER
        if v[TYP, k] == 0.0 or v[GHOST, k] == 1.0:
            verdict = NO_DETECTION
        ints[VERDICT, k] = verdict
    return dropped


@njit(cache=True)
def absolute_times(tods: Array, received_t_ns: Array, t_ns: Array, offset_ns: Array) -> None:
    """Put times of day (1/128 s, int64) on the day that brings them nearest to receipt, before and after midnight alike.

    received_t_ns int64 (n,) or (1,). Fills t_ns and offset_ns (time less receipt), int64 (n,), all UTC nanoseconds.
    """
    for k in range(len(tods)):
        received = received_t_ns[k] if len(received_t_ns) > 1 else received_t_ns[0]
        t = received - received % DAY_NS + tods[k] * NS_PER_TOD
        if received - t > DAY_NS // 2:
            t += DAY_NS
        elif t - received > DAY_NS // 2:
            t -= DAY_NS
        t_ns[k] = t
        offset_ns[k] = t - received


# CAT 0, LEN 12: FSPEC names both items; one octet; eight six-bit characters.
WARM_BLOCK = bytes((0, 0, 11, 0b1100_0000, 7, 0, 0, 0, 0, 0, 0))
WARM_NODES = ((asterix.COMPOUND, -1, 1, 0, 0, 2), (asterix.FIXED, 0, 1, 0, 0, 0), (asterix.FIXED, 1, 6, 0, 0, 0))


def warm() -> int:
    """Call every kernel with the types that the feeds use; returns how many records the toy block has, which is one."""
    data = np.frombuffer(WARM_BLOCK, np.uint8)
    blocks = np.empty((4, 4), np.int64)
    errors = np.empty((1, 3), np.int64)
    count, _ = asterix.split_blocks(data, np.array([[0, len(data)]], np.int64), blocks, errors)
    nodes, children = np.array(WARM_NODES, np.int32), np.array([1, 2], np.int32)
    rows, records = np.empty((4, 2), np.int32), np.empty((4, 4), np.int64)
    n, _ = asterix.walk_blocks(data, blocks[:count], 0, nodes, children, rows, records, errors)
    rows = rows[:n]
    asterix.gather_raw(data, rows, 0, 0, 8, np.empty(n, np.uint64))
    asterix.gather_six_bit(data, rows, 1, 0, True, np.empty((n, 8), np.uint8), np.empty(n, np.bool_))  # noqa: FBT003 - numba
    whole = np.zeros(1, np.int32)
    asterix.gather_values(data, rows, whole, whole, whole + 8, np.zeros(1, np.bool_), np.ones(1), np.empty((1, n)))
    asterix.expand_repeats(rows[:0], 0, 1, np.empty((0, 1), np.int32), np.empty(0, np.int64))
    values = np.full((VALUES, n), np.nan)
    convert_plots(values, np.zeros(6, np.int64), np.empty((4, n)), np.empty((7, n), np.int64))
    times = np.zeros(n, np.int64)
    absolute_times(times, times, np.empty(n, np.int64), np.empty(n, np.int64))
    return n
