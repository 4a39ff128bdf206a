"""Beside the own tracks: how far what a partner says is from them, how that changes, and what own radars should see and do not.

A partner is judged against the nation's own tracks alone: they hold nothing of any partner, so that nobody is put in quarantine
by another partner's word, and nobody hides in a track that he helped to make.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trilat.fuse.between import VAGUE_M, points_of
from trilat.fuse.correlate import near_pairs
from trilat.kernels import geodesy
from trilat.records.columns import DOMAINS, KIND_MEASUREMENT, KIND_TRACKLET, STATUSES
from trilat.records.sensor import Sensor

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
RADARS = ("radar3d", "radar2d")
NS = 1_000_000_000
# An own radar is a witness once it has looked for this long without a pause: so long a track may take to be confirmed and shown.
WITNESS_NS = 45 * NS
PAUSE_NS, PAUSE_PERIODS = 15 * NS, 2.5  # longer without a report is a pause
SECTORS, BESIDE = 36, 1  # of ten degrees: a radar sees in one if it had a plot there or in one beside it, lately,
LOWER_RAD, HORIZON_NS = 0.02, 600 * NS  # and so low, or lower by so much, since so long: below may be a mountain
SIGHT_MAX = 64  # batches looked at together
GHOST_AGE_NS = 30 * NS
GHOSTS_MIN = 3  # fewer than this at a time may be what only one sensor is good enough to see
RIVAL_M, SPEED_M_S = 1_000.0, 400.0
FAST_M_S = 700.0  # no aircraft's: half a second of clock parts such a track by more than any fault of an aircraft's radar
NEAR_M, NEAR_SIGMAS = 5_000.0, 3.0  # what is so near another's track may be the same target, parted by biases not yet found
SNAPSHOT_NS, SNAPSHOTS = 5 * NS, 7  # of the own tracks, so that what comes late is compared with what was then
LATE_NS = 3 * NS  # a report farther from every snapshot is not compared
BIN_NS, BINS = 10 * NS, 13
RECENT, APART_NS = 2, 40 * NS  # bins of now; how long before them the earlier ones begin
TARGETS_MIN = 3
REPORTS_MAX = 300  # of one source compared in one second
BIAS_M = 250.0  # one sigma per axis of what honest sensors' biases part tracks by, until they are found: 0.2 degrees at 70 km
VOTE_NS = 5 * NS  # so long a vote holds
SETTLE_NS = 20 * NS  # for own tracks to follow when what is taken off own radars has changed
_CONFIRMED, _DELETED, _MISSILE = STATUSES.index("confirmed"), STATUSES.index("deleted"), DOMAINS.index("missile")


def close(mine_m: Floats, others_m: Floats, reach_m: Floats) -> tuple[Ints, Ints, Floats]:
    """Return pairs (mine, other) of places (n, 3), (m, 3) nearer than reach_m (n,), with their distances."""
    n = len(mine_m)
    mean = np.zeros((n + len(others_m), 6))
    mean[:n, :3], mean[n:, :3] = mine_m, others_m
    reach = np.r_[reach_m, np.zeros(len(others_m))]
    stream = np.r_[np.zeros(n, np.int64), np.ones(len(others_m), np.int64)]
    pairs = near_pairs(mean, reach, stream)
    pairs = pairs[np.lexsort([pairs[:, 1], pairs[:, 0]])]
    away = np.linalg.norm(mean[pairs[:, 0], :3] - mean[pairs[:, 1], :3], axis=1)
    return pairs[:, 0], pairs[:, 1] - n, away


def near_any(mine: Any, others: Any) -> NDArray[np.bool_]:
    """Tell which tracks (TRACK_DTYPE) have another's live track so near that both may be of one target."""
    out = np.zeros(len(mine), np.bool_)
    others = others[others["status"] < _DELETED]
    if len(mine) and len(others):
        reach = NEAR_M + NEAR_SIGMAS * np.sqrt(np.trace(mine["covariance"][:, :3, :3], axis1=1, axis2=2))
        rows, _, _ = close(mine["position_m"], others["position_m"], reach)
        out[rows] = True
    return out


class Witnesses:
    """The own radars that have looked long enough to say what is not there, and where they see."""

    def __init__(self, sensors: Sequence[Sensor]) -> None:
        self._sensors = tuple(sensors)
        self._since: dict[int, int] = {}
        self._last: dict[int, int] = {}
        self._sight: dict[int, _Sight] = {}

    def heard(self, k: int, now_ns: int, columns: Any) -> None:
        """Take note that sensor k's reports (REPORT_DTYPE) came and were used."""
        if self._sensors[k].kind in RADARS:
            if now_ns - self._last.get(k, -(1 << 62)) > self._pause_ns(k):
                self._since[k] = now_ns
            self._last[k] = now_ns
            self._sight.setdefault(k, _Sight()).take(now_ns, columns)

    def up(self, now_ns: int) -> list[int]:
        """Return the radars that have been looking without a pause."""
        long, pause = WITNESS_NS, self._pause_ns
        return [k for k, last in sorted(self._last.items()) if now_ns - last <= pause(k) and now_ns - self._since[k] >= long]

    def expect(self, now_ns: int, tracks: Any, but: int = -1) -> NDArray[np.bool_]:
        """Tell which tracks lie well inside the coverage of a witness other than sensor `but`."""
        out = np.zeros(len(tracks), np.bool_)
        for k in self.up(now_ns) if len(tracks) else ():
            if k != but:
                out |= self._covers(k, now_ns, tracks)
        return out

    def _pause_ns(self, k: int) -> int:
        return max(PAUSE_NS, round(PAUSE_PERIODS * self._sensors[k].period_s * 1e9))

    def _covers(self, k: int, now_ns: int, tracks: Any) -> NDArray[np.bool_]:
        one = self._sensors[k]
        rae = geodesy.ecef_to_rae(tracks["position_m"], one.lat_deg, one.lon_deg, one.alt_m).reshape(-1, 3)
        height = geodesy.ecef_to_geodetic(tracks["position_m"]).reshape(-1, 3)[:, 2]
        inside = (rae[:, 0] < 0.9 * one.range_max_m) & (rae[:, 0] > one.range_min_m)
        seen = (rae[:, 2] > max(one.elevation_min_rad, 0.0) + 0.005) & (rae[:, 2] < one.elevation_max_rad)
        level = (height > one.alt_min_m) & (height < one.alt_max_m)
        return np.asarray(inside & seen & level & self._sight[k].sees(now_ns - self._pause_ns(k), rae[:, 1], rae[:, 2]))


class _Sight:
    """In which directions a radar sees: where it is jammed, or a mountain stands, it has no plots and bears no witness."""

    def __init__(self) -> None:
        self._last = np.full(SECTORS, -(1 << 62), np.int64)  # when the last plot came
        self._lowest = np.full((2, SECTORS), np.inf)  # of this stretch of time, and of the one before
        self._stretch = 0
        self._waiting: list[tuple[int, Floats, Floats]] = []  # when plots came, their azimuths and elevations

    def take(self, now_ns: int, columns: Any) -> None:
        """Take a radar's plots. One without an elevation says nothing of a horizon."""
        self._waiting.append((now_ns, columns["azimuth_rad"], columns["elevation_rad"]))
        if len(self._waiting) >= SIGHT_MAX:
            self._look()

    def sees(self, since_ns: int, azimuth_rad: Floats, elevation_rad: Floats) -> NDArray[np.bool_]:
        """Tell in which directions (n,) there were plots since a time, and as low ones before."""
        self._look()
        near = (_sector(azimuth_rad)[:, None] + np.arange(-BESIDE, BESIDE + 1)) % SECTORS
        lately = self._last[near].max(axis=1) >= since_ns
        lowest = self._lowest.min(axis=0)[near].min(axis=1)
        return np.asarray(lately & (elevation_rad > lowest - LOWER_RAD))

    def _look(self) -> None:
        """Put what waits where it belongs: many looks at once."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        stretch = waiting[-1][0] // HORIZON_NS
        if stretch != self._stretch:
            before = self._lowest[0] if stretch == self._stretch + 1 else np.full(SECTORS, np.inf)
            self._lowest, self._stretch = np.stack([np.full(SECTORS, np.inf), before]), stretch
        came = np.repeat([one[0] for one in waiting], [len(one[1]) for one in waiting])
        azimuth, elevation = (np.concatenate([one[k] for one in waiting]) for k in (1, 2))
        known = np.isfinite(azimuth)
        at = _sector(azimuth[known])
        np.maximum.at(self._last, at, came[known])
        np.minimum.at(self._lowest[0], at, np.nan_to_num(elevation[known], nan=-np.inf))


def _sector(azimuth_rad: Floats) -> Ints:
    """Return the sectors of azimuths."""
    return np.asarray(np.floor(azimuth_rad * (SECTORS / (2.0 * np.pi))).astype(np.int64) % SECTORS)


def comparable(tracks: Any) -> Any:
    """Return the confirmed tracks of what is no missile: how one of those moves between two looks nobody can tell so well."""
    slow = (np.linalg.norm(tracks["velocity_m_s"], axis=1) < FAST_M_S) & (tracks["domain"] != _MISSILE)
    return tracks[(tracks["status"] == _CONFIRMED) & slow]


def moved_to(now_ns: int, tracks: Any) -> Any:
    """Return tracks where they are at a time, straight on."""
    out = tracks.copy()
    out["position_m"] += ((now_ns - tracks["t_ns"]) * 1e-9)[:, None] * tracks["velocity_m_s"]
    return out


def grown(now_ns: int, tracks: Any) -> Any:
    """Return the confirmed tracks that have stood long enough for others to have seen their targets."""
    return tracks[(tracks["status"] == _CONFIRMED) & (now_ns - tracks["born_t_ns"] > GHOST_AGE_NS)]


def seen_by_others(expected: NDArray[np.bool_], alone: NDArray[np.bool_], mine: Any, others: Sequence[Any]) -> tuple[int, int]:
    """Return how many tracks others should see, and how many they do: what `Health.confirmations` takes.

    alone: which of mine (n,) rest on nobody else; what is near another's track is seen by others all the same.
    """
    lonely = mine[expected & alone]
    for tracks in others:
        lonely = lonely[~near_any(lonely, tracks)]
    ghosts = len(lonely)
    total = int(expected.sum())
    return total, total - (ghosts if ghosts >= GHOSTS_MIN else 0)


class Pairs(NamedTuple):
    """Places that belong to own tracks: the tracks' numbers (n,), offsets (n, 3) m, what both may be off by (n, 3, 3)."""

    number: Ints
    offset_m: Floats
    spread: Floats


class _Snapshot(NamedTuple):
    t_ns: int
    number: Ints
    position_m: Floats
    velocity_m_s: Floats
    covariance: Floats


class OwnTracks:
    """The nation's own tracks of the last half minute."""

    def __init__(self) -> None:
        self._held: deque[_Snapshot] = deque(maxlen=SNAPSHOTS)

    def take(self, now_ns: int, tracks: Any) -> None:
        """Keep the tracks (TRACK_DTYPE) of now that may be compared, every few seconds."""
        if self._held and now_ns - self._held[-1].t_ns < SNAPSHOT_NS:
            return
        rows = comparable(tracks)
        number, position, velocity = (rows[name].copy() for name in ("number", "position_m", "velocity_m_s"))
        self._held.append(_Snapshot(now_ns, number, position, velocity, rows["covariance"][:, :3, :3].copy()))

    def pairs(self, t_ns: Ints, place_m: Floats, covariance: Floats) -> Pairs:
        """Return what of places (n, 3) with covariances (n, 3, 3) belongs to own tracks: for each track the nearest of a look."""
        made = []
        times = np.array([one.t_ns for one in self._held], np.int64)
        if len(times) and len(t_ns):
            which = np.abs(t_ns[:, None] - times[None]).argmin(axis=1)
            inside = np.abs(t_ns - times[which]) <= LATE_NS
            for k in np.unique(which[inside]).tolist():
                at = np.flatnonzero(inside & (which == k))
                made.append(_paired(self._held[k], t_ns[at], place_m[at], covariance[at]))
        if not made:
            return Pairs(np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3, 3)))
        return Pairs(*(np.concatenate(column) for column in zip(*made, strict=True)))


def _paired(then: _Snapshot, t_ns: Ints, place_m: Floats, covariance: Floats) -> Pairs:
    """Return the pairs of one snapshot."""
    elapsed: Floats = np.asarray((t_ns - then.t_ns) * 1e-9, np.float64)
    row, track, offset = belonging(elapsed, place_m, then.position_m, then.velocity_m_s)
    return Pairs(then.number[track], offset, covariance[row] + then.covariance[track])


def belonging(elapsed_s: Floats, place_m: Floats, position_m: Floats, velocity_m_s: Floats) -> tuple[Ints, Ints, Floats]:
    """Return which places (n, 3) belong to which tracks (m, 3), and how far off they are: for each track the nearest.

    elapsed_s (n,): how much later than the tracks the places are. A place with a second track hardly farther is left out.
    """
    widest = float(np.abs(elapsed_s).max(initial=0.0)) * SPEED_M_S
    row, track, _ = close(place_m, position_m, np.full(len(place_m), NEAR_M + widest))
    offset = place_m[row] - position_m[track] - elapsed_s[row, None] * velocity_m_s[track]
    away = np.linalg.norm(offset, axis=1)
    order = np.lexsort([away, row])
    row, track, offset, away = row[order], track[order], offset[order], away[order]
    first = np.r_[np.ones(min(len(row), 1), np.bool_), row[1:] != row[:-1]]
    rival = np.r_[np.where(first[1:], np.inf, away[1:]), np.full(min(len(row), 1), np.inf)]
    kept = np.flatnonzero(first & (away <= NEAR_M) & (rival > 2.0 * away + RIVAL_M))
    kept = kept[np.lexsort([away[kept], track[kept]])]
    kept = kept[np.unique(track[kept], return_index=True)[1]]
    return row[kept], track[kept], offset[kept]


class Votes:
    """Who stands apart from the own tracks, nation by nation: when most do at once, it is one's own radars that are off.

    One's own tracks have one vote, as every nation has.
    """

    def __init__(self, apart_max: float, drift_max: float) -> None:
        self._most = apart_max, drift_max
        self._told: dict[str, dict[str, tuple[int, bool, bool]]] = {}

    def put(self, now_ns: int, nation: str, source: str, figures: Figures) -> None:
        """Take a source's figures: what stands off half as far as would count against it counts as a vote."""
        if figures.targets:
            apart, drift = figures.apart > 0.5 * self._most[0], figures.drift > 0.5 * self._most[1]
            self._told.setdefault(nation, {})[source] = (now_ns, apart, drift)

    def outvoted(self, now_ns: int) -> tuple[bool, bool]:
        """Tell whether more nations stand apart from the own tracks than with them, and whether more drift from them.

        One that stands apart for good says nothing of another's drift.
        """
        votes = []
        for told in self._told.values():
            lately = [one for one in told.values() if now_ns - one[0] <= VOTE_NS]
            votes += [(any(one[1] for one in lately), any(one[2] for one in lately))] if lately else []
        apart, drift = (sum(one[k] for one in votes) for k in (0, 1))
        return 1 < apart > 1 + len(votes) - apart, 1 < drift > 1 + len(votes) - drift


class _Bin(NamedTuple):
    """Means over one stretch of time, by own track, of so many places each."""

    at: int
    number: Ints
    places: Floats
    offset: Floats
    spread: Floats


class Figures(NamedTuple):
    """How one source stands beside the own tracks: medians over targets (0 of them: too few to say), per dimension.

    apart: how far off it is beyond what biases may part; drift: how much that has changed beyond chance.
    """

    apart: float
    drift: float
    targets: int


class Offsets:
    """What parts one source from the own tracks, over two minutes. A constant bias parts much and drifts little."""

    def __init__(self) -> None:
        self._bins: deque[_Bin] = deque(maxlen=BINS)

    def take(self, now_ns: int, pairs: Pairs) -> None:
        """Take what came now."""
        if not len(pairs.number):
            return
        at = now_ns // BIN_NS
        parts = [(pairs.number, np.ones(len(pairs.number)), pairs.offset_m, pairs.spread)]
        if self._bins and self._bins[-1].at == at:
            held = self._bins.pop()
            parts.append((held.number, held.places, held.offset, held.spread))
        number, count, offset, spread = (np.concatenate(column) for column in zip(*parts, strict=True))
        self._bins.append(_gathered(at, number, count, offset, spread))

    def figures(self, now_ns: int, comparable_ns: int = 0) -> Figures:
        """Return the figures at a time; from before comparable_ns nothing is compared with now."""
        at = now_ns // BIN_NS
        recent = _merged([one for one in self._bins if one.at > at - RECENT])
        if recent is None or len(recent.number) < TARGETS_MIN:
            return Figures(0.0, 0.0, 0)
        wide = recent.spread + BIAS_M**2 * np.eye(3)
        apart = float(np.median(_squared(recent.offset, wide)))
        oldest = max(at - BINS + 1, -(-comparable_ns // BIN_NS))
        latest = at - APART_NS // BIN_NS
        earlier = [one for one in self._bins if oldest <= one.at <= latest]
        before = _merged(earlier[:RECENT])
        if before is None:
            return Figures(apart, 0.0, len(recent.number))
        _, now_rows, then_rows = np.intersect1d(recent.number, before.number, assume_unique=True, return_indices=True)
        if len(now_rows) < TARGETS_MIN:
            return Figures(apart, 0.0, len(recent.number))
        moved = recent.offset[now_rows] - before.offset[then_rows]
        drift = float(np.median(_squared(moved, recent.spread[now_rows] + before.spread[then_rows])))
        return Figures(apart, drift, len(recent.number))


def _gathered(at: int, number: Ints, count: Floats, offset: Floats, spread: Floats) -> _Bin:
    """Return means by number, weighted by counts."""
    names, group = np.unique(number, return_inverse=True)
    total: Floats = np.bincount(group, count).astype(np.float64)
    means = np.zeros((len(names), 3)), np.zeros((len(names), 3, 3))
    np.add.at(means[0], group, count[:, None] * offset)
    np.add.at(means[1], group, count[:, None, None] * spread)
    return _Bin(at, names, total, means[0] / total[:, None], means[1] / total[:, None, None])


def _merged(bins: Sequence[_Bin]) -> _Bin | None:
    """Return several bins as one."""
    if not bins:
        return None
    return _gathered(bins[-1].at, *(np.concatenate(column) for column in list(zip(*bins, strict=True))[1:]))


def _squared(offset: Floats, spread: Floats) -> Floats:
    """Return squared statistical distances per dimension (n,)."""
    return np.asarray(np.einsum("ni,ni->n", offset, np.linalg.solve(spread, offset[..., None])[..., 0]) / 3.0)


def places_of(columns: Any, rows: Floats | None, spare: Sensor) -> tuple[Ints, Floats, Floats]:
    """Return times (n,), places (n, 3) and covariances (n, 3, 3) of a partner's reports (REPORT_DTYPE, of one kind).

    spare: a sensor whose sigmas stand in where self-reported positions have none.
    """
    columns, rows = columns[-REPORTS_MAX:], None if rows is None else rows[-REPORTS_MAX:]
    made = points_of(columns, rows, spare)
    covariance = made.covariance
    kind = int(columns["kind"][0])
    vague = np.trace(covariance, axis1=1, axis2=2) > VAGUE_M**2  # whose axes say nothing; how wide they are does
    if vague.any() and kind == KIND_MEASUREMENT:
        covariance[vague] = columns["sigma_vertical_m"][vague, None, None] ** 2 * np.eye(3)
    elif vague.any() and kind == KIND_TRACKLET and rows is not None:
        covariance[vague] = np.minimum(rows[vague, 5], VAGUE_M)[:, None, None] ** 2 * np.eye(3)
    return made.t_ns, made.place_m, covariance
