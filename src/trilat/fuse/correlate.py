"""Correlation: which tracks of different streams are one target, decided at fixed times (epochs) from a window of evidence.

A stream is one tracker's tracks, so one target has at most one track in it. Streams are taken in order; each one's tracks are
given to the groups so far by optimal assignment on the mean cost over the last epochs. Joining needs several close epochs in a
row, leaving several far ones, and no decision rests on anything older than the window: whoever has the same tracks over one
window decides alike, however it came by them.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, NamedTuple

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from trilat.records.columns import (
    DOMAINS,
    STATUSES,
    TRACK_DTYPE,
    TRACK_FLAG_ID_CONFLICT,
    TRACK_FLAG_INNOVATION,
    as_bytes,
    picked,
)
from trilat.records.track import Track

Ints = NDArray[np.int64]
Key = tuple[str, str, int]  # nation, stream, number

# Evidence of claimed identity, on the scale of a squared distance (minus twice a log likelihood ratio): agrees, differs. Never
# enough to bring together what is far apart: agreement does not widen the gate. Two addresses that differ are not joined, though
# tracks that were one before stay so while they are close.
EVIDENCE = {"address": (-12.0, 17.0), "mmsi": (-12.0, 17.0), "callsign": (-6.0, 6.0), "mode_3a": (-4.0, 3.0)}
DOMAIN_PENALTY = 6.0  # two domains that one track may pass between, or be taken for
SEA_PENALTY = 15.0  # a ship is not an aircraft
REACH_MAX_M = 60_000.0  # no track's uncertainty is searched farther than this
NUMBER_MIN, NUMBER_COUNT = 1_000_000, 9_000_000  # seven digits, so that nobody takes them for national numbers
_SEA = DOMAINS.index("sea")
# An item: a track at one time, with the slot of its key, its place in the lane, and an index of its label (-1: own).
ITEM_DTYPE = np.dtype([*TRACK_DTYPE.descr, ("slot", "i4"), ("epoch", "i8"), ("sequence", "i8"), ("label", "i4")])
_FLAGS = {"innovation": TRACK_FLAG_INNOVATION, "id-conflict": TRACK_FLAG_ID_CONFLICT}
_UPPER = np.triu_indices(6)


class CorrelationSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When tracks are one. Gates are squared statistical distances with six degrees of freedom (99 % and 99.9 % of true pairs).

    bias_sigma_m, bias_sigma_m_s: what two sensors' registration may differ by, per axis. density: unrelated tracks per cubic
    metre and cubic metre per second. window, join, leave: epochs of evidence, of closeness before joining, of distance before
    leaving.
    """

    gate_join: Annotated[float, Meta(gt=0)] = 16.8
    gate_stay: Annotated[float, Meta(gt=0)] = 22.5
    bias_sigma_m: Annotated[float, Meta(ge=0)] = 220.0
    bias_sigma_m_s: Annotated[float, Meta(ge=0)] = 3.0
    density: Annotated[float, Meta(gt=0)] = 4e-21
    window: Annotated[int, Meta(ge=2, le=60)] = 16
    join: Annotated[int, Meta(ge=1, le=60)] = 2
    leave: Annotated[int, Meta(ge=1, le=60)] = 5


class Group(NamedTuple):
    """Tracks that are one target: a number that lasts, the epoch it was given, slots of the members in the keys' order."""

    number: int
    born_ns: int
    members: tuple[int, ...]


class Correlated(NamedTuple):
    """All that correlation knows after one epoch: pairs of slots with their windows of cost and closeness, and the groups."""

    pairs: Ints  # (P, 2)
    cost: NDArray[np.float64]  # (P, window), newest last; infinite when apart
    close: NDArray[np.bool_]  # (P, window)
    joined: NDArray[np.bool_]  # (P,)
    groups: tuple[Group, ...]


def nothing(settings: CorrelationSettings) -> Correlated:
    """Return what correlation knows before the first epoch."""
    w = settings.window
    return Correlated(np.empty((0, 2), np.int64), np.empty((0, w)), np.empty((0, w), bool), np.empty(0, bool), ())


def correlate(
    before: Correlated, t_ns: int, rows: Any, keys: Sequence[Key], stream: Ints, settings: CorrelationSettings
) -> Correlated:
    """Return what is known after one more epoch.

    rows (n,): TRACK_DTYPE columns with `slot`, all at t_ns, in the order of their keys (n); stream (n,): rising with the
    stream's place in that order. A slot is a track's lasting index; slots of tracks that are gone are forgotten.
    """
    from trilat.kernels import fusion  # noqa: PLC0415 - numba loads with the first epoch

    slot = rows["slot"].astype(np.int64)
    row_of = np.full(max(int(slot.max(initial=-1)), int(before.pairs.max(initial=-1))) + 1, -1, np.int64)
    row_of[slot] = np.arange(len(slot))
    mean = np.concatenate([rows["position_m"], rows["velocity_m_s"]], axis=1)
    covariance = np.ascontiguousarray(rows["covariance"])
    pairs = _pairs(before, row_of, mean, covariance, stream, settings)
    squared, volume = np.empty(len(pairs)), np.empty(len(pairs))
    fusion.pair_distances(mean, covariance, settings.bias_sigma_m**2, settings.bias_sigma_m_s**2, pairs, squared, volume)
    evidence = _evidence(rows, pairs)
    gated = squared + np.maximum(evidence, 0.0)
    unrelated = -2.0 * math.log(settings.density) - 6.0 * math.log(2.0 * math.pi)
    cost = np.where(gated < settings.gate_stay, squared + evidence + volume - unrelated, np.inf)
    made = _window(before, slot[pairs], cost, gated < settings.gate_join, settings)
    clusters = _clusters(row_of[made.pairs], made.cost, made.joined, stream)
    members = [tuple(slot[cluster].tolist()) for cluster in clusters]
    named = [keys[cluster[0]] for cluster in clusters]
    return made._replace(groups=_numbered(before.groups, t_ns, members, named))


def near_pairs(mean: Any, reach_m: Any, stream: Ints) -> Ints:
    """Return the pairs (p, 2) of rows of unlike streams whose places (columns 0 to 2 of mean) are within reach of either."""
    from trilat.kernels import fusion  # noqa: PLC0415 - see correlate

    order = np.argsort(mean[:, 0], kind="stable")
    near = np.empty((4 * len(mean) + 16, 2), np.int64)
    found = fusion.near_pairs(mean, reach_m, stream, order, near)
    if found > len(near):
        near = np.empty((found, 2), np.int64)
        fusion.near_pairs(mean, reach_m, stream, order, near)
    return near[:found]


def _pairs(before: Correlated, row_of: Ints, mean: Any, covariance: Any, stream: Ints, settings: CorrelationSettings) -> Ints:
    """Return the pairs of rows to look at: near now, or looked at before; in the keys' order."""
    spread = np.trace(covariance[:, :3, :3], axis1=1, axis2=2) + settings.bias_sigma_m**2
    reach = np.minimum(math.sqrt(settings.gate_stay) * np.sqrt(spread), REACH_MAX_M)
    near = near_pairs(mean, reach, stream)
    known = row_of[before.pairs]
    known = known[(known >= 0).all(axis=1)]
    code = np.unique(np.concatenate([near, known]) @ np.array([len(mean), 1]))
    return np.stack([code // max(len(mean), 1), code % max(len(mean), 1)], axis=1)


def _evidence(rows: Any, pairs: Ints) -> NDArray[np.float64]:
    """Return what the claimed identities and the domains of each pair say, on the scale of a squared distance."""
    a, b = pairs[:, 0], pairs[:, 1]
    total = np.zeros(len(pairs))
    flags = rows["flags"]
    believed = ((flags[a] | flags[b]) & TRACK_FLAG_ID_CONFLICT) == 0
    for name, (agrees, differs) in EVIDENCE.items():
        claimed = rows[name]
        absent: Any = b"" if name == "callsign" else -1
        there = claimed != absent
        known = believed & there[a] & there[b]
        total += np.where(known, np.where(claimed[a] == claimed[b], agrees, differs), 0.0)
    total = np.clip(total, -12.0, 17.0)
    domain_a, domain_b = rows["domain"][a], rows["domain"][b]
    other = (domain_a != domain_b) & (domain_a > 0) & (domain_b > 0)
    sea = (domain_a == _SEA) | (domain_b == _SEA)
    return total + np.where(other, np.where(sea, SEA_PENALTY, DOMAIN_PENALTY), 0.0)


def _window(before: Correlated, pairs: Ints, cost: Any, close: Any, settings: CorrelationSettings) -> Correlated:
    """Return the pairs with this epoch added to their windows; those with nothing left in the window are forgotten."""
    window = settings.window
    costs, closes = np.full((len(pairs), window), np.inf), np.zeros((len(pairs), window), bool)
    was = np.zeros(len(pairs), bool)
    if len(before.pairs) and len(pairs):
        base = int(max(before.pairs.max(), pairs.max())) + 1
        old, new = before.pairs @ np.array([base, 1]), pairs @ np.array([base, 1])
        order = np.argsort(old)
        at = np.minimum(np.searchsorted(old[order], new), len(old) - 1)
        same = old[order][at] == new
        source = order[at[same]]
        costs[same, :-1], closes[same, :-1] = before.cost[source, 1:], before.close[source, 1:]
        was[same] = before.joined[source]
    costs[:, -1], closes[:, -1] = cost, close
    stay = np.isfinite(costs[:, -settings.leave :]).any(axis=1) & closes.any(axis=1)
    joined = (was & stay) | closes[:, -settings.join :].all(axis=1)
    keep = np.isfinite(costs).any(axis=1)
    return Correlated(pairs[keep], costs[keep], closes[keep], joined[keep], ())


def _clusters(pairs: Ints, cost: Any, joined: Any, stream: Ints) -> list[list[int]]:
    """Return the rows of each group, in order: every stream's tracks in turn are assigned to the groups so far.

    A track may go to a group when it is joined with a member and apart from none.
    """
    from trilat.kernels.assign import choose  # noqa: PLC0415 - see correlate

    finite = np.isfinite(cost)
    mean = np.where(finite, cost, 0.0).sum(axis=1) / np.maximum(finite.sum(axis=1), 1)
    clusters: list[list[int]] = []
    cluster_of = np.full(len(stream), -1, np.int64)
    edges = [0, *(np.flatnonzero(stream[1:] != stream[:-1]) + 1).tolist(), len(stream)]
    for begin, end in pairwise(edges):
        mine = (pairs[:, 1] >= begin) & (pairs[:, 1] < end)
        taken = np.full(end - begin, -1, np.int64)
        if mine.any() and clusters:
            sizes = np.array([len(c) for c in clusters])
            code, back = np.unique(cluster_of[pairs[mine, 0]] * (end - begin) + pairs[mine, 1] - begin, return_inverse=True)
            count = np.bincount(back)
            edge_cost = np.bincount(back, mean[mine]) / count
            whole = (count == sizes[code // (end - begin)]) & (np.bincount(back, joined[mine]) > 0) & (edge_cost < 0.0)
            code, edge_cost = code[whole], edge_cost[whole]
            start = np.searchsorted(code // (end - begin), np.arange(len(clusters) + 1))
            column = code % (end - begin)
            chosen = choose(start.astype(np.int64), column, edge_cost, end - begin)
            owners = np.flatnonzero(chosen >= 0)
            taken[column[chosen[owners]]] = owners
        for row, owner in enumerate(taken.tolist(), begin):
            if owner < 0:
                cluster_of[row] = len(clusters)
                clusters.append([row])
            else:
                cluster_of[row] = owner
                clusters[owner].append(row)
    return clusters


def _numbered(before: Sequence[Group], t_ns: int, members: list[tuple[int, ...]], named: list[Key]) -> tuple[Group, ...]:
    """Give every group the number of the group it goes on from, or one made of its first member's name."""
    same = {group.members: group for group in before}
    stay = [same.get(slots) for slots in members]  # nobody else can claim the number of a group that is as it was
    kept = {group.number for group in stay if group is not None}
    group_of = {slot: group for group in before if group.number not in kept for slot in group.members}
    claims: list[tuple[int, int, int, int]] = []
    for k, slots in enumerate(members):
        if stay[k] is None:
            shared = Counter(group_of[slot] for slot in slots if slot in group_of)
            claims.extend((-n, group.born_ns, group.number, k) for group, n in shared.items())
    given: dict[int, Group] = {}
    for _, born_ns, number, k in sorted(claims):
        if k not in given and number not in kept:
            given[k] = Group(number, born_ns, members[k])
            kept.add(number)
    taken = {group.number for group in before}
    made = []
    for k, slots in enumerate(members):
        group = stay[k] or given.get(k) or Group(_free_number(named[k], taken), t_ns, slots)
        taken.add(group.number)
        made.append(group)
    return tuple(sorted(made))


def _free_number(key: Key, taken: set[int]) -> int:
    """Return a number made of a track's name, the next free one where it is taken."""
    digest = hashlib.blake2b("\0".join(map(str, key)).encode(), digest_size=8).digest()
    number = int.from_bytes(digest) % NUMBER_COUNT
    while NUMBER_MIN + number in taken:
        number = (number + 1) % NUMBER_COUNT
    return NUMBER_MIN + number


def rows_of(records: Sequence[Track]) -> tuple[Any, NDArray[np.bool_]]:
    """Return partners' tracks as items (ECEF), and which of them have no usable covariance. Slot and label are left 0."""
    from trilat.kernels import fusion, geodesy  # noqa: PLC0415 - see correlate

    rows = np.zeros(len(records), ITEM_DTYPE)
    place = np.array([(r.lat_deg, r.lon_deg, r.alt_m) for r in records]).reshape(-1, 3)
    velocity = np.array([(r.velocity_east_m_s, r.velocity_north_m_s, r.velocity_up_m_s) for r in records]).reshape(-1, 3)
    local = np.zeros((len(records), 6, 6))
    local[:, _UPPER[0], _UPPER[1]] = local[:, _UPPER[1], _UPPER[0]] = np.array([r.covariance for r in records]).reshape(-1, 21)
    basis = np.swapaxes(geodesy.enu_basis(place[:, 0], place[:, 1]), -1, -2)
    covariance = geodesy.rotate_covariance(local, basis)
    good = np.empty(len(records), bool)
    fusion.positive(covariance, good)
    rows["position_m"] = geodesy.geodetic_to_ecef(place[:, 0], place[:, 1], place[:, 2])
    rows["velocity_m_s"] = np.einsum("nij,nj->ni", basis, velocity)
    rows["covariance"] = covariance
    for name in ("number", "t_ns", "updated_t_ns", "existence"):
        rows[name] = [getattr(r, name) for r in records]
    for name in ("mode_3a", "address", "mmsi"):
        rows[name] = [-1 if (value := getattr(r, name)) is None else value for r in records]
    rows["callsign"] = [(r.callsign or "").encode("ascii", "replace") for r in records]
    rows["status"] = [STATUSES.index(r.status) for r in records]
    rows["domain"] = [DOMAINS.index(r.domain) for r in records]
    rows["flags"] = [sum(_FLAGS.get(word, 0) for word in set(r.flags)) for r in records]
    rows["born_t_ns"] = rows["t_ns"]
    return rows, ~good


def keep_newest(table: Any, rows: Any) -> bool:
    """Write items into a table by slot where they are newer (time, epoch, sequence) than what stands; tells whether any was."""
    if not len(rows):
        return False
    if len(rows) > 1:
        rows = newest(rows)
    slot, t_ns, epoch = rows["slot"], rows["t_ns"], rows["epoch"]
    held_ns, held_epoch = table["t_ns"][slot], table["epoch"][slot]
    newer = t_ns > held_ns
    tie = t_ns == held_ns
    if tie.any():
        newer |= tie & (epoch > held_epoch)
        newer |= tie & (epoch == held_epoch) & (rows["sequence"] > table["sequence"][slot])
    as_bytes(table)[slot[newer]] = as_bytes(rows)[newer]
    return bool(newer.any())


def newest(rows: Any) -> Any:
    """Return the newest item (time, epoch, sequence) of each slot, in the slots' order."""
    slot = rows["slot"]
    if (slot[1:] > slot[:-1]).all():  # one of each, in order: what a tracker shows
        return rows
    order = np.lexsort((rows["sequence"], rows["epoch"], rows["t_ns"], slot))
    slot = slot[order]
    return picked(rows, order[np.r_[slot[1:] != slot[:-1], True]])


class Layout(NamedTuple):
    """How the live members of the groups lie in one picture: group g's are rows start[g] to start[g + 1].

    intersect (n,): whether a member joins those before it by covariance intersection, as its errors may hold anything.
    """

    groups: tuple[Group, ...]
    live: NDArray[np.bool_]
    start: Ints
    intersect: NDArray[np.bool_]
    numbers: Ints
    born_ns: Ints
    nations: NDArray[np.uint64]
    members: tuple[tuple[Key, ...], ...]


def lay_out(
    groups: tuple[Group, ...], live: Any, members: list[Key], nations: Sequence[str], intersected: frozenset[str]
) -> Layout:
    """Return how the live members lie. live (all members,), members: the keys of the live ones, group by group.

    Two streams of one nation rest on the same sensors, so they are joined by covariance intersection too.
    """
    group_of = np.repeat(np.arange(len(groups)), [len(group.members) for group in groups])[live]
    kept, first = np.unique(group_of, return_index=True)
    start = np.r_[first, len(group_of)].astype(np.int64)
    held = [groups[k] for k in kept.tolist()]
    place = {name: k for k, name in enumerate(nations)}
    nation = np.array([place[key[0]] for key in members], np.int64)
    same = np.zeros(len(nation), bool)
    same[1:] = nation[1:] == nation[:-1]
    bits = np.uint64(1) << nation.astype(np.uint64)
    return Layout(
        groups=groups,
        live=live,
        start=start,
        intersect=same | np.isin(nation, [place[name] for name in intersected if name in place]),
        numbers=np.array([group.number for group in held], np.int64),
        born_ns=np.array([group.born_ns for group in held], np.int64),
        nations=np.bitwise_or.reduceat(bits, start[:-1]) if len(bits) else np.zeros(0, np.uint64),
        members=tuple(tuple(members[a:b]) for a, b in pairwise(start.tolist())),
    )


def describe(out: Any, rows: Any, start: Any) -> None:
    """Write what of a group is not fused: status, times, flags, domain, own sensors, and its first known identity.

    out (G,): TRACK_DTYPE columns; rows (n,): items, those of group g from start[g] to start[g + 1].
    """
    if not len(out):
        return
    first = start[:-1]
    out["status"] = np.minimum.reduceat(rows["status"], first)  # confirmed (1) is before coasting (2)
    out["updated_t_ns"] = np.maximum.reduceat(rows["updated_t_ns"], first)
    out["existence"] = np.maximum.reduceat(rows["existence"], first)
    out["domain"] = np.maximum.reduceat(rows["domain"], first)
    out["flags"] = np.bitwise_or.reduceat(rows["flags"], first)
    out["sensors"] = np.bitwise_or.reduceat(np.where(rows["label"] < 0, rows["sensors"], 0).astype(np.uint64), first)
    for name in ("mode_3a", "address", "mmsi", "callsign"):
        absent: Any = b"" if name == "callsign" else -1
        known = np.flatnonzero(rows[name] != absent)[::-1]
        out[name][np.searchsorted(start, known, "right") - 1] = rows[name][known]  # the first known is written last
