"""Intake, compiled: reports sifted, put in an order that depends on their content alone, and made into the engine's plots.

A batch of reports comes as `Views`: the records themselves, their floats side by side, the same as 64-bit words, and the
records' bytes, by which equals are told.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from trilat.kernels.assign import sort_places
from trilat.kernels.bank import (
    I_DOMAIN,
    I_ID,
    I_KEY,
    I_KIND,
    I_SENSOR,
    I_T,
    ID_3A,
    ID_ADDRESS,
    ID_CALLSIGN,
    ID_MMSI,
    ID_SENSOR_TRACK,
    PLOT_INTS,
)
from trilat.kernels.jit import entry, kernel, leaf
from trilat.kernels.measure import (
    AZIMUTH,
    KIND_BEARING,
    KIND_FIX,
    KIND_MEASUREMENT,
    KIND_RADAR,
    KIND_TRACKLET,
    LAT,
    LON,
    RANGE,
    REPORT_FLOATS,
    REPORT_ROW,
    SIGMA_RANGE,
    fill_fix,
    fill_measurement,
    fill_radar,
)

FLOATS = len(REPORT_FLOATS)
CALLSIGN_AT, CALLSIGN_BYTES = REPORT_ROW.itemsize - 20, 20
# Reasons of refusal, in the order in which they are looked for.
UNKNOWN, FUTURE, LATE, NOT_FINITE, SIGMA, RANGE_OUT, REASONS = 0, 1, 2, 3, 4, 5, 6
DEFAULTS = 9  # columns of the sigmas that stand in, see kernels/measure.py
SURFACE = 2  # the domain sea
DOMAIN_MAX = 4  # of records.columns.DOMAINS: rows of the bank have a probability for each, and room for no more
KEY_SPAN_MIN = 1e-6  # of the keys: closer together they are not spread
BIN_MAX = 64  # plots in one bin beyond which they are merged, not inserted


class Views(NamedTuple):
    """A batch of reports as the kernels read it."""

    columns: Any  # (n,) of REPORT_ROW
    values: Any  # (n, FLOATS)
    words: Any  # values as 64-bit words
    raw: Any  # (n, bytes of a report), the columns' own memory

    def pick(self, places: Any) -> Views:
        """Return some of the reports, in the order of their places."""
        out = _viewed(np.empty(len(places), self.columns.dtype), np.empty((len(places), FLOATS)))
        gather(self.raw, self.values, places, out.raw, out.values)
        return out

    def cut(self, first: int, end: int) -> Views:
        """Return the reports from first up to end, in the same memory."""
        return Views(*(view[first:end] for view in self))


def views(columns: Any) -> Views:
    """Return the views of report columns: contiguous, and writable so that numba knows them by one type."""
    if not columns.flags.c_contiguous or not columns.flags.writeable:
        columns = columns.copy()
    values = np.empty((len(columns), FLOATS))
    spread(columns, values)
    return _viewed(columns, values)


def _viewed(columns: Any, values: Any) -> Views:
    return Views(columns, values, values.view(np.uint64), columns.view(np.uint8).reshape(len(columns), REPORT_ROW.itemsize))


@entry
def gather(raw, values, places, raw_out, values_out):  # type: ignore[no-untyped-def]
    """Copy the bytes and the floats of the reports at some places."""
    for k in range(len(places)):
        i = places[k]
        for c in range(raw.shape[1]):
            raw_out[k, c] = raw[i, c]
        for c in range(FLOATS):
            values_out[k, c] = values[i, c]


@entry
def spread(columns, values):  # type: ignore[no-untyped-def]
    """Write the floats of reports, which stand unaligned in them, into values (n, FLOATS)."""
    for i in range(len(columns)):
        c, v = columns[i], values[i]
        v[0], v[1], v[2], v[3], v[4] = c.range_m, c.azimuth_rad, c.elevation_rad, c.height_m, c.doppler_m_s
        v[5], v[6], v[7], v[8], v[9], v[10] = c.lat_deg, c.lon_deg, c.alt_m, c.speed_m_s, c.course_rad, c.vertical_rate_m_s
        v[11], v[12], v[13] = c.sigma_range_m, c.sigma_azimuth_rad, c.sigma_elevation_rad
        v[14], v[15], v[16] = c.sigma_height_m, c.sigma_doppler_m_s, c.sigma_horizontal_m
        v[17], v[18] = c.sigma_vertical_m, c.sigma_speed_m_s


@leaf
def _reason(row, values, sensors, oldest_ns, newest_ns, low, high):  # type: ignore[no-untyped-def]
    """Return why a report is not used, or -1."""
    if row.sensor < 0 or row.sensor >= sensors or row.kind > KIND_TRACKLET:
        return UNKNOWN
    if row.t_ns > newest_ns or row.t_ns < oldest_ns:
        return FUTURE if row.t_ns > newest_ns else LATE
    if row.kind >= KIND_FIX:
        broken = np.isnan(values[LAT]) or np.isnan(values[LON])
    else:
        broken = np.isnan(values[AZIMUTH]) or (row.kind == KIND_RADAR and np.isnan(values[RANGE]))
    flat, wild = False, row.domain > DOMAIN_MAX
    for c in range(FLOATS):  # NaN compares false everywhere, so that absent values pass
        broken = broken or np.isinf(values[c])
        flat = flat or (c >= SIGMA_RANGE and values[c] <= 0.0)
        wild = wild or values[c] < low[c] or values[c] > high[c]
    if broken:
        return NOT_FINITE
    return SIGMA if flat else (RANGE_OUT if wild else -1)


@entry
def sift(columns, values, sensors, oldest_ns, newest_ns, low, high, keep, counts):  # type: ignore[no-untyped-def]
    """Write the places of the usable reports into keep and the refused by reason into counts (REASONS,).

    Returns (how many are kept, the newest time among them).
    """
    m, newest = 0, np.int64(-(2**62))
    for i in range(len(columns)):
        why = _reason(columns[i], values[i], sensors, oldest_ns, newest_ns, low, high)
        if why >= 0:
            counts[why] += 1
            continue
        keep[m] = i
        m += 1
        newest = max(newest, columns[i].t_ns)
    return m, newest


@leaf
def _before(columns, raw, slot, key, a, b):  # type: ignore[no-untyped-def]
    """Return -1, 0 or 1: report a comes before b, equals it byte for byte, or comes after it."""
    less, more = slot[a] < slot[b], slot[a] > slot[b]
    if not (less or more):
        less, more = columns[a].sensor < columns[b].sensor, columns[a].sensor > columns[b].sensor
    if not (less or more):
        less, more = columns[a].kind < columns[b].kind, columns[a].kind > columns[b].kind
    if not (less or more):
        less, more = key[a] < key[b], key[a] > key[b]
    if not (less or more):
        less, more = columns[a].t_ns < columns[b].t_ns, columns[a].t_ns > columns[b].t_ns
    c = 0
    while not (less or more) and c < raw.shape[1]:
        less, more = raw[a, c] < raw[b, c], raw[a, c] > raw[b, c]
        c += 1
    return -1 if less else (1 if more else 0)


@leaf
def _merge(columns, raw, slot, key, source, target, low, mid, high):  # type: ignore[no-untyped-def]
    """Merge two sorted runs of places."""
    a, b = low, mid
    for k in range(low, high):
        if a < mid and (b >= high or _before(columns, raw, slot, key, source[a], source[b]) <= 0):
            target[k] = source[a]
            a += 1
        else:
            target[k] = source[b]
            b += 1


@leaf
def _by_content(columns, raw, slot, key, order, spare):  # type: ignore[no-untyped-def]
    """Sort places by their reports' frame, key, time and bytes, from order into spare."""
    m, source, target, width = len(order), order, spare, 1
    while width < m:
        for low in range(0, m, 2 * width):
            _merge(columns, raw, slot, key, source, target, low, min(low + width, m), min(low + 2 * width, m))
        source, target = target, source
        width *= 2
    for k in range(m):
        spare[k] = source[k]


@kernel
def _by_key(key, order, spare):  # type: ignore[no-untyped-def]
    """Sort the places of one frame's reports by their keys alone, into spare; False when two have the same key.

    Plots are spread over as many bins as there are of them; what a bin holds is put in order by insertion.
    """
    m = len(order)
    low, high = np.inf, -np.inf
    for k in range(m):
        low, high = min(low, key[order[k]]), max(high, key[order[k]])
    if not high - low > KEY_SPAN_MIN:
        return False
    scale, bins = (m - 1) / (high - low), np.zeros(m + 1, np.int64)
    for k in range(m):
        bins[int((key[order[k]] - low) * scale) + 1] += 1
    for k in range(m):
        if bins[k + 1] > BIN_MAX:
            return False
        bins[k + 1] += bins[k]
    for k in range(m):
        b = int((key[order[k]] - low) * scale)
        spare[bins[b]] = order[k]
        bins[b] += 1
    for k in range(1, m):
        i, at = spare[k], k
        while at > 0 and key[spare[at - 1]] > key[i]:
            spare[at] = spare[at - 1]
            at -= 1
        spare[at] = i
        if at > 0 and key[spare[at - 1]] == key[i]:
            return False
    return True


@entry
def arrange(columns, values, raw, frame_ns, order, spare, slot, key, cuts):  # type: ignore[no-untyped-def]
    """Put the places in `order` (m,) in frame order without exact duplicates; returns (how many are left, how many frames).

    A frame is a slot of a sensor's own length, a sensor and a kind; within it radar plots stand by range, bearings by azimuth,
    self-reports by time. frame_ns (sensors,); spare (m,), slot and key (n,) are scratch; the frames' first places go into
    cuts (m + 1,).
    """
    m, alike = len(order), True
    for k in range(m):
        i = order[k]
        width = frame_ns[columns[i].sensor]
        slot[i] = columns[i].t_ns // width * width
        kind = columns[i].kind
        key[i] = values[i, RANGE] if kind == KIND_RADAR else (values[i, AZIMUTH] if kind == KIND_BEARING else 0.0)
        alike = alike and kind < KIND_FIX and not _apart(columns, slot, order[0], i)
    if not (alike and _by_key(key, order, spare)):
        _by_content(columns, raw, slot, key, order, spare)
    left, frames = 0, 0
    for k in range(m):
        i = spare[k]
        if left > 0 and _before(columns, raw, slot, key, order[left - 1], i) == 0:
            continue
        if left == 0 or _apart(columns, slot, order[left - 1], i):
            cuts[frames] = left
            frames += 1
        order[left] = i
        left += 1
    cuts[frames] = left
    return left, frames


@leaf
def _apart(columns, slot, a, b):  # type: ignore[no-untyped-def]
    """Tell whether two reports are of different frames."""
    return slot[a] != slot[b] or columns[a].sensor != columns[b].sensor or columns[a].kind != columns[b].kind


@leaf
def _stir(h, v):  # type: ignore[no-untyped-def]
    """Fold a 64-bit word into a running hash (the finaliser of SplitMix64; Steele, Lea and Flood, 2014)."""
    h = (h ^ v) + np.uint64(0x9E3779B97F4A7C15)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


@leaf
def _callsign(raw):  # type: ignore[no-untyped-def]
    """Return a non-negative hash of a report's callsign, -1 where there is none."""
    if raw[CALLSIGN_AT] == 0:
        return np.int64(-1)
    h = np.uint64(0)
    for first in range(0, 24, 8):
        word = np.uint64(0)
        for k in range(8):
            if first + k < CALLSIGN_BYTES:
                word |= np.uint64(raw[CALLSIGN_AT + first + k]) << np.uint64(8 * k)
        h = _stir(h, word)
    return np.int64(h >> np.uint64(1))


@entry
def callsigns(raw):  # type: ignore[no-untyped-def]
    """Return the hash of every report's callsign (n,), -1 where there is none."""
    out = np.empty(len(raw), np.int64)
    for i in range(len(raw)):
        out[i] = _callsign(raw[i])
    return out


@leaf
def _name(row, words):  # type: ignore[no-untyped-def]
    """Return a hash of a report's content: the lasting name of a track that begins with it."""
    h = _stir(np.uint64(0), np.uint64(row.t_ns))
    if row.kind < KIND_FIX:
        h = _stir(_stir(h, words[RANGE]), words[AZIMUTH])
    else:
        h = _stir(_stir(h, words[LAT]), words[LON])
        h = _stir(_stir(h, np.uint64(row.address)), np.uint64(row.mmsi))
    return np.int64(h >> np.uint64(1))


@leaf
def _integers(row, raw, words, out):  # type: ignore[no-untyped-def]
    """Fill a plot's integer columns."""
    out[I_T], out[I_SENSOR], out[I_KIND], out[I_DOMAIN] = row.t_ns, row.sensor, row.kind, row.domain
    out[I_ID + ID_3A], out[I_ID + ID_ADDRESS], out[I_ID + ID_MMSI] = row.mode_3a, row.address, row.mmsi
    out[I_ID + ID_SENSOR_TRACK], out[I_ID + ID_CALLSIGN] = row.sensor_track, _callsign(raw)
    out[I_KEY] = _name(row, words)


@entry
def plots_of(columns, values, words, raw, defaults, floors, wide, known, z, plots, starts):  # type: ignore[no-untyped-def]
    """Make one frame's reports, as `arrange` left them, into z (n, PLOT_COLUMNS) and plots (n, PLOT_INTS), sorted for the gate.

    wide (kinds,): what reported sigmas are multiplied by. known (n, columns of z): tracklets as they are, else scratch.
    Self-reports of one target follow one another in parts of their own: the parts' first rows go into starts (n + 1,).
    Returns how many parts there are.
    """
    n, kind = len(columns), columns[0].kind
    if kind < KIND_FIX:
        for i in range(n):
            fill_radar(z[i], values[i], defaults, floors, kind == KIND_BEARING)
            _integers(columns[i], raw[i], words[i], plots[i])
        starts[0], starts[1] = 0, n
        return 1
    whole, part = np.empty((n, PLOT_INTS), np.int64), np.zeros(n, np.int64)
    for i in range(n):
        if kind == KIND_MEASUREMENT:
            fill_measurement(known[i], values[i], defaults, floors)
        elif kind != KIND_TRACKLET:
            fill_fix(known[i], values[i], defaults, floors, columns[i].domain == SURFACE, wide[kind])
        _integers(columns[i], raw[i], words[i], whole[i])
    parts = _parts(whole, part) if kind != KIND_MEASUREMENT else 1
    order, spare, x = np.arange(n), np.empty(n, np.int64), np.empty(n)
    starts[: parts + 1] = 0
    for i in range(n):
        x[i] = known[i, 0]
        starts[part[i] + 1] += 1
    sort_places(x, order, spare)
    for p in range(parts):
        starts[p + 1] += starts[p]
    free = starts[:parts].copy()
    for q in range(n):
        i = order[q]
        k, free[part[i]] = free[part[i]], free[part[i]] + 1
        for c in range(z.shape[1]):
            z[k, c] = known[i, c]
        for c in range(PLOT_INTS):
            plots[k, c] = whole[i, c]
    return parts


@kernel
def _parts(plots, part):  # type: ignore[no-untyped-def]
    """Number each report among those of one identity, in their order; returns how many parts that makes.

    Reports without any identity are of as many targets where they are of one time, and may be of one target where they are not:
    each of their times is a part.
    """
    n, parts, last, hashes = len(plots), 1, -1, np.empty(len(plots), np.int64)
    for i in range(n):  # by time
        h, named = np.uint64(0), plots[i, I_ID : I_ID + 5].max() >= 0
        for c in range(5):
            h = _stir(h, np.uint64(plots[i, I_ID + c]))
        hashes[i] = np.int64(h >> np.uint64(1)) if named else np.int64(-1)
        if not named:
            part[i] = part[last] + (plots[i, I_T] != plots[last, I_T]) if last >= 0 else 0
            parts, last = max(parts, part[i] + 1), i
    order = np.arange(n)
    sort_places(hashes, order, np.empty(n, np.int64))
    for k in range(1, n):
        if hashes[order[k]] >= 0 and hashes[order[k]] == hashes[order[k - 1]]:
            part[order[k]] = part[order[k - 1]] + 1
            parts = max(parts, part[order[k]] + 1)
    return parts
