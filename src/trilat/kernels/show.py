"""Tracks as others see them, compiled: numbers that last, and the bank's rows as columns, ordered by number."""

from __future__ import annotations

import numpy as np

from trilat.kernels.assign import sort_places
from trilat.kernels.bank import (
    CONFIRMED,
    FREE,
    ID_3A,
    ID_ADDRESS,
    ID_CALLSIGN,
    ID_MMSI,
    L_COAST_MAX_S,
    L_TENTATIVE_MAX_S,
    TENTATIVE,
)
from trilat.kernels.imm import mixture
from trilat.kernels.jit import entry, kernel, leaf
from trilat.kernels.life import beliefs

# As records.columns.TRACK_DTYPE, which kernels do not import; a test holds them equal.
TRACK_ROW = np.dtype(
    [
        ("number", "i8"),
        ("t_ns", "i8"),
        ("updated_t_ns", "i8"),
        ("born_t_ns", "i8"),
        ("status", "u1"),
        ("domain", "u1"),
        ("flags", "u4"),
        ("existence", "f8"),
        ("position_m", "f8", 3),
        ("velocity_m_s", "f8", 3),
        ("covariance", "f8", (6, 6)),
        ("sensors", "u8"),
        ("mode_3a", "i4"),
        ("address", "i8"),
        ("mmsi", "i8"),
        ("callsign", "S20"),
    ]
)
# What a tracker last showed, by row of the bank: the track's lasting name, its number, whether it has ever been confirmed.
HELD_ROW = np.dtype([("key", "i8"), ("number", "i8"), ("sure", "i8"), ("alive", "i8")])
NOBODY = -1
SHOWN_CONFIRMED = 1  # as the status stands in TRACK_ROW
STITCH_GATE = 4.0  # squared, in sigmas of all three axes together
STITCH_NOISE_M2_S3 = 1.0
PARTED_NS = 5_000_000_000  # a track this much older was there before the other
DOMAIN_SHARE = 0.6  # a domain less likely than this is shown as unknown
_FIBONACCI = 0x9E3779B97F4A7C15 >> 1


@leaf
def _slot(key, mask):  # type: ignore[no-untyped-def]
    """Return where a key's search in a hash table begins."""
    return ((key * _FIBONACCI) >> 20) & mask


@leaf
def _index(held, count, table):  # type: ignore[no-untyped-def]
    """Fill a hash table (a power of two) with the places of what was held."""
    mask = len(table) - 1
    for at in range(len(table)):
        table[at] = NOBODY
    for k in range(count):
        if held[k].key == NOBODY:
            continue
        at = _slot(held[k].key, mask)
        while table[at] != NOBODY:
            at = (at + 1) & mask
        table[at] = k


@leaf
def _find(held, key, table):  # type: ignore[no-untyped-def]
    """Return the place of a key in what was held, or NOBODY."""
    mask = len(table) - 1
    at = _slot(key, mask)
    while table[at] != NOBODY:
        if held[table[at]].key == key:
            return table[at]
        at = (at + 1) & mask
    return NOBODY


@leaf
def _live(model, bank, i, t_ns):  # type: ignore[no-untyped-def]
    """Tell whether row i is a track at a time: one that would be deleted for being unseen by then is none."""
    if bank[i].status == FREE:
        return False
    rule = model.life[bank[i].model_set]
    limit = rule[L_TENTATIVE_MAX_S] if bank[i].status == TENTATIVE else rule[L_COAST_MAX_S]
    return (t_ns - bank[i].updated_ns) * 1e-9 <= limit


@entry
def number(models, heads, bank, t_ns, next_number, held, held_count, now, row, before, fresh, gone, lost):  # type: ignore[no-untyped-def]  # noqa: PLR0917 - arrays by name
    """Give every live track its number; returns (live tracks, next number, newly confirmed, gone, and gone after confirmation).

    held (HELD_ROW): what was shown last, by row as far as nothing was run again; `now` takes the same of this time. row: live
    rows in order of their numbers; its first `before` places are those shown last. fresh: places in `row` of tracks confirmed
    for the first time. gone: the numbers that are no more; lost: those of them that had been confirmed. A new number is given
    in order of birth, then of the lasting name.
    """
    model, head = models[0], heads[0]
    rows, n, news = head.rows, 0, 0
    size = 16
    while size < 2 * held_count:
        size *= 2
    table, indexed = np.empty(size, np.int64), False
    born = np.empty(rows, np.int64)
    for k in range(held_count):
        held[k].alive = 0
    for i in range(rows):
        now[i].key = NOBODY
        if not _live(model, bank, i, t_ns):
            continue
        key, at = bank[i].key, NOBODY
        if i < held_count and held[i].key == key:
            at = i
        else:
            if not indexed:
                _index(held, held_count, table)
                indexed = True
            at = _find(held, key, table)
        now[i].key, now[i].sure = key, 0
        if at == NOBODY:
            born[news] = i
            news += 1
        else:
            now[i].number, now[i].sure = held[at].number, held[at].sure
            held[at].alive = 1
        n += 1
    next_number = _name_new(bank, born[:news], now, next_number)
    _in_order(held, held_count, now, rows, row, before, born[:news], n)
    confirmed = 0
    for k in range(n):
        i = row[k]
        if bank[i].status == CONFIRMED and now[i].sure == 0:
            now[i].sure = 1
            fresh[confirmed] = k
            confirmed += 1
    ended, sure = 0, 0
    for k in range(held_count):
        if held[k].key != NOBODY and held[k].alive == 0:
            gone[ended] = held[k].number
            ended += 1
            if held[k].sure > 0:
                lost[sure] = held[k].number
                sure += 1
    return n, next_number, confirmed, ended, sure


@kernel
def _name_new(bank, rows, now, next_number):  # type: ignore[no-untyped-def]
    """Number new tracks in order of birth, then of their lasting names, and put rows in that order; returns the next number."""
    n = len(rows)
    values, order, spare, before = np.empty(n, np.int64), np.arange(n), np.empty(n, np.int64), np.empty(n, np.int64)
    for k in range(n):
        values[k], before[k] = bank[rows[k]].key, rows[k]
    sort_places(values, order, spare)
    for k in range(n):
        values[k] = bank[rows[k]].born_ns
    sort_places(values, order, spare)
    for k in range(n):
        rows[k] = before[order[k]]
        now[rows[k]].number = next_number + k
    return next_number + n


@kernel
def _in_order(held, held_count, now, rows, row, before, born, n):  # type: ignore[no-untyped-def]
    """Write the n live rows into row in order of their numbers.

    Mostly these are those shown last, without the ended, and then the new ones; where rows have moved since, or a lost number
    was given back, they are sorted.
    """
    kept = 0
    for k in range(before):
        i = row[k]
        if i < rows and now[i].key != NOBODY and i < held_count and held[i].key == now[i].key:
            row[kept] = i
            kept += 1
    if kept == n - len(born):
        row[kept:n] = born
    else:
        kept = 0
        for i in range(rows):
            if now[i].key != NOBODY:
                row[kept] = i
                kept += 1
    values, given, ready = np.empty(n, np.int64), np.empty(n, np.int64), True
    for k in range(n):
        values[k], given[k] = now[row[k]].number, row[k]
        ready = ready and (k == 0 or values[k - 1] < values[k])
    if not ready:
        order = np.arange(n)
        sort_places(values, order, np.empty(n, np.int64))
        for k in range(n):
            row[k] = given[order[k]]


@leaf
def _domain(row):  # type: ignore[no-untyped-def]
    """Return the likeliest domain of a bank's row, 0 (unknown) where none reaches DOMAIN_SHARE."""
    best, total = 0, 0.0
    for d in range(5):
        total += row.domain[d]
        if row.domain[d] > row.domain[best]:
            best = d
    return best if row.domain[best] >= DOMAIN_SHARE * max(total, 1e-300) else 0


@entry
def show(models, heads, bank, t_ns, row, now, out, callsign, works):  # type: ignore[no-untyped-def]
    """Write the tracks of `row` (n,), moved to a time, into out (n,) of TRACK_ROW; the bank is left as it is.

    callsign (n,) takes the hash of each track's callsign, -1 where it has none; the texts are not known here.
    """
    model, head, work = models[0], heads[0], works[0]
    mean, existence = np.empty(6), beliefs(head, bank)
    for k in range(len(row)):
        i, o = row[k], out[k]
        b = bank[i]
        o.number, o.t_ns, o.updated_t_ns, o.born_t_ns = now[i].number, t_ns, b.updated_ns, b.born_ns
        o.status, o.domain, o.flags = b.status - 1, _domain(b), b.flags
        o.existence, o.sensors = existence[i], b.sensors
        o.mode_3a = b.identity[ID_3A] if b.identity_count[ID_3A] > 0 else -1
        o.address = b.identity[ID_ADDRESS] if b.identity_count[ID_ADDRESS] > 0 else -1
        o.mmsi = b.identity[ID_MMSI] if b.identity_count[ID_MMSI] > 0 else -1
        callsign[k] = b.identity[ID_CALLSIGN] if b.identity_count[ID_CALLSIGN] > 0 else -1
        mixture(model, bank, i, (t_ns - b.t_ns) * 1e-9, mean, o.covariance, work)
        for a in range(3):
            o.position_m[a] = mean[a]
            o.velocity_m_s[a] = mean[a + 3]


@leaf
def _could_be(old, place, dt, new, there):  # type: ignore[no-untyped-def]
    """Tell whether a track, going on as it was, could be another one: same identity or none, and close enough.

    place (3,): where the first was dt seconds before; there (3,): where the second is.
    """
    if old.address >= 0 and new.address >= 0 and old.address != new.address:
        return False
    if old.mmsi >= 0 and new.mmsi >= 0 and old.mmsi != new.mmsi:
        return False
    drift = STITCH_NOISE_M2_S3 * abs(dt)
    away, turn, doubt, unsteady = 0.0, 0.0, drift * dt * dt / 3.0, drift
    for a in range(3):
        away += (place[a] + dt * old.velocity_m_s[a] - there[a]) ** 2
        turn += (old.velocity_m_s[a] - new.velocity_m_s[a]) ** 2
        doubt += old.covariance[a, a] + dt * dt * old.covariance[a + 3, a + 3] + new.covariance[a, a]
        unsteady += old.covariance[a + 3, a + 3] + new.covariance[a + 3, a + 3]
    return away < STITCH_GATE * doubt and turn < STITCH_GATE * unsteady


@leaf
def _beside(out, one, t_ns, born_before_ns, seen_since_ns, place, there):  # type: ignore[no-untyped-def]
    """Return the place in out of the nearest confirmed track to where `one` was at a time, or NOBODY where they differ then.

    Of those born before a time and seen since another. place, there (3,): scratch.
    """
    back, least, at = (one.t_ns - t_ns) * 1e-9, np.inf, NOBODY
    for a in range(3):
        there[a] = one.position_m[a] - back * one.velocity_m_s[a]
    for k in range(len(out)):
        o = out[k]
        if o.status != SHOWN_CONFIRMED or o.born_t_ns >= born_before_ns or o.updated_t_ns < seen_since_ns:
            continue
        dt, away = (o.t_ns - t_ns) * 1e-9, 0.0
        for a in range(3):
            away += (o.position_m[a] - dt * o.velocity_m_s[a] - there[a]) ** 2
        if away < least:
            least, at = away, k
    if at == NOBODY or out[at].number == one.number:
        return NOBODY
    dt = (out[at].t_ns - t_ns) * 1e-9
    for a in range(3):
        place[a] = out[at].position_m[a] - dt * out[at].velocity_m_s[a]
    return at if _could_be(out[at], place, 0.0, one, there) else NOBODY


@entry
def merged_into(out, ended, into):  # type: ignore[no-untyped-def]
    """Find the track in out that each ended one, as it was last shown, can no longer be told from: its place, or NOBODY.

    out, ended: TRACK_ROW; into (ended,).
    """
    place, there = np.empty(3), np.empty(3)
    for k in range(len(ended)):
        into[k] = _beside(out, ended[k], ended[k].t_ns, np.iinfo(np.int64).max, ended[k].updated_t_ns, place, there)


@entry
def came_from(lost, out, fresh, old, beside):  # type: ignore[no-untyped-def]
    """Find for each newly confirmed track the lost one that it may be, and the older one beside which it began.

    lost: TRACK_ROW in order of numbers, each to be found once. fresh: places in out; old, beside: as long, take places in lost
    and in out, or NOBODY.
    """
    place, there, taken = np.empty(3), np.empty(3), np.zeros(len(lost), np.uint8)
    for k in range(len(fresh)):
        new = out[fresh[k]]
        old[k] = NOBODY
        for a in range(3):
            there[a] = new.position_m[a]
        for j in range(len(lost)):
            for a in range(3):
                place[a] = lost[j].position_m[a]
            if not taken[j] and _could_be(lost[j], place, (new.t_ns - lost[j].t_ns) * 1e-9, new, there):
                old[k], taken[j] = j, 1
                break
        beside[k] = _beside(out, new, new.born_t_ns, new.born_t_ns - PARTED_NS, np.iinfo(np.int64).min, place, there)
