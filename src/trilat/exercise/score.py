"""Scores: how well tracks fit the ground truth. GOSPA, T-GOSPA, OSPA, SIAP and consistency, sparse, for arrays per scan.

GOSPA: Rahmathullah, Garcia-Fernandez and Svensson, Generalized optimal sub-pattern assignment metric, FUSION 2017, with
p = 2 and alpha = 2. T-GOSPA: Garcia-Fernandez, Rahmathullah and Svensson, A metric on the space of finite sets of
trajectories, IEEE TSP 68, 2020 (its linear programme). OSPA: Schuhmacher, Vo and Vo, IEEE TSP 56, 2008. SIAP: Single
Integrated Air Picture metrics, as the field's usual completeness, ambiguity and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trilat.errors import ExerciseError

Floats = NDArray[np.float64]


class Gospa(NamedTuple):
    """GOSPA of one scan in metres, and its parts: sum of squared localisation errors, missed truths, false tracks, pairs."""

    distance_m: float
    localisation_m2: float
    missed: int
    false: int
    assigned: int


class Estimates(NamedTuple):
    """Confirmed tracks of one scan: track_id (n,), position_m (n, 3), velocity_m_s (n, 3)."""

    track_id: NDArray[np.int64]
    position_m: Floats
    velocity_m_s: Floats


def gospa(truth_m: Floats, estimate_m: Floats, c_m: float) -> Gospa:
    """Return GOSPA (p 2, alpha 2) between truth (n, 3) and estimates (m, 3) with cut-off c_m; exact and sparse."""
    from scipy.spatial import cKDTree  # noqa: PLC0415 - scipy is not needed to import the metrics

    from trilat.kernels.assign import choose  # noqa: PLC0415 - numba loads with the first score

    n, m = len(truth_m), len(estimate_m)
    if n == 0 or m == 0:
        return Gospa(float(np.sqrt(c_m**2 / 2 * (n + m))), 0.0, n, m, 0)
    near = cKDTree(truth_m).sparse_distance_matrix(cKDTree(estimate_m), c_m, output_type="coo_matrix").tocsr()
    near.sort_indices()
    squared = near.data**2
    # Taking a pair saves c^2 (one missed, one false) and costs its squared distance; taking none costs nothing.
    chosen = choose(near.indptr.astype(np.int64), near.indices.astype(np.int64), squared - c_m**2, m)
    taken = squared[chosen[chosen >= 0]]
    taken = taken[taken < c_m**2]
    k, total = len(taken), float(taken.sum())
    return Gospa(float(np.sqrt(total + c_m**2 / 2 * (n + m - 2 * k))), total, n - k, m - k, k)


def score(
    scan_t_s: Floats,
    truth_m: Floats,
    truth_m_s: Floats,
    alive: NDArray[np.bool_],
    estimates: Sequence[Estimates],
    c_m: float,
    from_s: float = 20.0,
) -> dict[str, Any]:
    """Return GOSPA, SIAP and number changes over the scans after from_s.

    scan_t_s (K,), truth_m and truth_m_s (N, K, 3), alive (N, K), estimates one per scan. A track belongs to the truth it is
    nearest to, within c_m. SIAP: C completeness, A ambiguity, S spuriousness, PA and VA root mean square position and velocity
    error of assigned tracks, LS longest track segment as a share of life, R number changes per truth and minute.
    """
    values: list[Gospa] = []
    tally = _Tally(c_m)
    for k, found in enumerate(estimates):
        if scan_t_s[k] < from_s:
            continue
        here = np.flatnonzero(alive[:, k])
        values.append(gospa(truth_m[here, k], found.position_m, c_m))
        tally.add(here, truth_m[here, k], truth_m_s[here, k], found)
    distances = np.array([v.distance_m for v in values])
    counts = np.array([max(1, v.missed + v.assigned) for v in values])
    minutes = float(scan_t_s[-1] - max(from_s, float(scan_t_s[0]))) / 60.0 if len(scan_t_s) else 0.0
    return {
        "gospa_m": float(distances.mean()) if values else 0.0,
        "gospa_normalised_m": float((distances / np.sqrt(counts)).mean()) if values else 0.0,
        "localisation_rmse_m": float(np.sqrt(sum(v.localisation_m2 for v in values) / max(1, sum(v.assigned for v in values)))),
        "missed": float(np.mean([v.missed for v in values])) if values else 0.0,
        "false": float(np.mean([v.false for v in values])) if values else 0.0,
        "siap": tally.siap(minutes),
        "id_changes": tally.changes,
        "scans": len(values),
    }


class _Tally:
    """Running sums of the SIAP figures."""

    def __init__(self, threshold_m: float) -> None:
        self.threshold_m = threshold_m
        self.truths = self.tracked = self.assigned = self.tracks = self.changes = 0
        self.position_m2 = self.velocity_m2 = 0.0
        self.life: dict[int, int] = {}
        self.last: dict[int, int] = {}
        self.segments: dict[tuple[int, int], int] = {}

    def add(self, here: NDArray[np.int64], truth_m: Floats, truth_m_s: Floats, found: Estimates) -> None:
        """Add one scan: indices of living truths, their positions and velocities, and the tracks."""
        from scipy.spatial import cKDTree  # noqa: PLC0415 - see gospa

        self.truths += len(here)
        self.tracks += len(found.track_id)
        for i in here.tolist():
            self.life[i] = self.life.get(i, 0) + 1
        if not len(here) or not len(found.track_id):
            return
        distance, nearest = cKDTree(truth_m).query(found.position_m)
        near = distance < self.threshold_m
        which = nearest[near]
        self.assigned += int(near.sum())
        self.tracked += len(np.unique(which))
        self.position_m2 += float((distance[near] ** 2).sum())
        self.velocity_m2 += float(((found.velocity_m_s[near] - truth_m_s[which]) ** 2).sum())
        best: dict[int, tuple[int, float]] = {}
        for track, truth, d in zip(found.track_id[near].tolist(), here[which].tolist(), distance[near].tolist(), strict=True):
            if truth not in best or d < best[truth][1]:
                best[truth] = (track, d)
        for truth, (track, _) in best.items():
            self.changes += truth in self.last and self.last[truth] != track
            self.last[truth] = track
            self.segments[truth, track] = self.segments.get((truth, track), 0) + 1

    def siap(self, minutes: float) -> dict[str, float]:
        """Return the figures so far."""
        longest: dict[int, int] = {}
        for (truth, _), n in self.segments.items():
            longest[truth] = max(longest.get(truth, 0), n)
        return {
            "C": self.tracked / max(self.truths, 1),
            "A": self.assigned / max(self.tracked, 1),
            "S": (self.tracks - self.assigned) / max(self.tracks, 1),
            "PA": float(np.sqrt(self.position_m2 / max(self.assigned, 1))),
            "VA": float(np.sqrt(self.velocity_m2 / max(self.assigned, 1))),
            "LS": sum(longest.values()) / max(sum(self.life.values()), 1),
            "R": self.changes / max(len(self.life), 1) / max(minutes, 1e-9),
        }


def ospa(truth_m: Floats, estimate_m: Floats, c_m: float) -> float:
    """Return OSPA (p 2) in metres between truth (n, 3) and estimates (m, 3) with cut-off c_m; 0 when both are empty."""
    most = max(len(truth_m), len(estimate_m))
    if most == 0:
        return 0.0
    # Stone Soup 1.9 pairs by distance instead of its square: in a crowd its value is higher, and not the least.
    # GOSPA's best pairs are OSPA's too: both minimise the sum of min(d, c)^2, which saves c^2 - d^2 for each pair within c.
    found = gospa(truth_m, estimate_m, c_m)
    return float(np.sqrt((found.localisation_m2 + c_m**2 * (most - found.assigned)) / most))


class Association(NamedTuple):
    """One stretch of scans, first to last, in which a track is said to be of a truth (indices and track ids)."""

    truth: int
    track: int
    first: int
    last: int


def siap(
    scan_t_s: Floats,
    truth_m: Floats,
    truth_m_s: Floats,
    alive: NDArray[np.bool_],
    estimates: Sequence[Estimates],
    associations: Sequence[Association],
) -> dict[str, float]:
    """Return the SIAP figures of given associations, as Stone Soup defines them (mean errors, times in seconds).

    C completeness, A ambiguity, S spuriousness, PA and VA mean position and velocity error over associations, R rate of track
    number changes (1/s), LS longest track segment as a share of life. Arrays as for `score`. Raises ValueError for an association
    that does not lie within the life of its truth and of its track.
    """
    place, velocity, scans = 0.0, 0.0, len(scan_t_s)
    of_truth: dict[int, list[Association]] = {}
    truths, tracks = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    start = np.concatenate([[0], np.cumsum([len(found.track_id) for found in estimates])])
    none = Estimates(np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3)))
    _, position, speed = (np.concatenate(part) for part in zip(none, *estimates, strict=True))
    rows = _rows_of_tracks(estimates, start)
    for one in associations:
        of_truth.setdefault(one.truth, []).append(one)
        scan = np.arange(one.first, one.last + 1)
        if not _alive(one, alive, rows):
            msg = f"{one}: its truth or its track is not there in every one of its scans"
            raise ValueError(msg)
        row = rows[one.track][scan]
        truths.append(scan * len(alive) + one.truth)
        tracks.append(row)
        place += float(np.linalg.norm(position[row] - truth_m[one.truth, scan], axis=1).sum())
        velocity += float(np.linalg.norm(speed[row] - truth_m_s[one.truth, scan], axis=1).sum())
    n_truths, n_tracks = (len(np.unique(np.concatenate(part))) for part in (truths, tracks))
    lives = [np.flatnonzero(alive[i]) for i in range(len(alive))]
    life_s = sum(float(scan_t_s[held[-1]] - scan_t_s[held[0]]) for held in lives if len(held))
    longest_s = sum(_longest_s(held, scan_t_s) for held in of_truth.values())
    needed = sum(_tracks_needed(held) - 1 for held in of_truth.values())
    tracked_s = sum(_tracked_s(held, scan_t_s) for held in of_truth.values())
    shown, there = sum(len(found.track_id) for found in estimates), int(alive[:, :scans].sum())
    return {
        "C": n_truths / there if there else 0.0,
        "A": n_tracks / n_truths if n_truths else 1.0,
        "S": (shown - n_tracks) / shown if shown else 0.0,
        "PA": place / n_tracks if n_tracks else 0.0,
        "VA": velocity / n_tracks if n_tracks else 0.0,
        "R": needed / tracked_s if tracked_s else 0.0,
        "LS": longest_s / life_s if life_s else 0.0,
    }


def _alive(one: Association, alive: NDArray[np.bool_], rows: dict[int, NDArray[np.int64]]) -> bool:
    """Tell whether an association lies within the life of its truth and of its track."""
    known = one.track in rows and 0 <= one.truth < len(alive) and 0 <= one.first <= one.last < len(rows[one.track])
    within = slice(one.first, one.last + 1)
    return known and bool(alive[one.truth, within].all() and (rows[one.track][within] >= 0).all())


def _rows_of_tracks(estimates: Sequence[Estimates], start: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    """Return, by track, the row of each scan among all estimates (-1 where it has none)."""
    rows: dict[int, NDArray[np.int64]] = {}
    for k, found in enumerate(estimates):
        for at, track in enumerate(found.track_id.tolist()):
            if track not in rows:
                rows[track] = np.full(len(estimates), -1, np.int64)
            rows[track][k] = start[k] + at
    return rows


def _tracks_needed(held: Sequence[Association]) -> int:
    """Return the least number of tracks that cover all scans in which a truth is tracked (greedy, exact for intervals)."""
    covered, needed = -1, 0
    for one in sorted(held, key=lambda a: a.first):
        if one.last <= covered:
            continue
        reach = max(a.last for a in held if a.first <= max(one.first, covered + 1) <= a.last or a is one)
        covered, needed = reach, needed + 1
    return needed


def _longest_s(held: Sequence[Association], scan_t_s: Floats) -> float:
    """Return the longest time that one track, its stretches added up, is on a truth."""
    on_s: dict[int, float] = {}
    for one in held:
        on_s[one.track] = on_s.get(one.track, 0.0) + float(scan_t_s[one.last] - scan_t_s[one.first])
    return max(on_s.values())


def _tracked_s(held: Sequence[Association], scan_t_s: Floats) -> float:
    """Return for how long a truth is tracked by any track."""
    gaps = {k for one in held for k in range(one.first, one.last)}
    return float(sum(scan_t_s[k + 1] - scan_t_s[k] for k in gaps))


class TGospa(NamedTuple):
    """T-GOSPA of a run: its parts are squares (p 2) that add up to distance_m squared."""

    distance_m: float
    localisation_m2: float
    missed_m2: float
    false_m2: float
    switch_m2: float
    switches: float


def t_gospa(truth_m: Floats, alive: NDArray[np.bool_], estimates: Sequence[Estimates], c_m: float, switch_m: float) -> TGospa:
    """Return T-GOSPA (p 2) over all scans: truth_m (N, K, 3), alive (N, K), estimates one per scan, c_m cut-off, switch_m gamma.

    Exact value of the metric's linear programme. Truths and tracks that never come within c_m of each other do not meet in it,
    so it falls into many small ones; only those where several compete are solved.
    """
    scan, truth, track, saving = _near(truth_m, alive, estimates, c_m)
    base = c_m**2 / 2
    n_truth, n_track = int(alive[:, : len(estimates)].sum()), sum(len(found.track_id) for found in estimates)
    held = np.ones(len(scan))
    switched = 0.0
    for rows in _components(truth, track):
        pairs = np.unique(np.stack([truth[rows], track[rows]]), axis=1).shape[1]
        if pairs > 1:
            held[rows], cost = _compete(scan[rows], truth[rows], track[rows], saving[rows], switch_m**2 / 2)
            switched += cost
    assigned = float(held.sum())
    local = float((held * (c_m**2 - saving)).sum())
    missed, false = base * (n_truth - assigned), base * (n_track - assigned)
    switch = switched * switch_m**2 / 2
    return TGospa(float(np.sqrt(max(local + missed + false + switch, 0.0))), local, missed, false, switch, switched / 2)


def _near(truth_m: Floats, alive: NDArray[np.bool_], estimates: Sequence[Estimates], c_m: float) -> tuple[Any, Any, Any, Any]:
    """Return every pair within c_m: scan, truth, track (numbered from 0), and what pairing them saves (c^2 - d^2)."""
    from scipy.spatial import cKDTree  # noqa: PLC0415 - see gospa

    _, number = np.unique(np.concatenate([e.track_id for e in estimates] or [np.zeros(0, np.int64)]), return_inverse=True)
    parts, at = [], 0
    for k, found in enumerate(estimates):
        ids = number[at : at + len(found.track_id)]
        at += len(found.track_id)
        here = np.flatnonzero(alive[:, k])
        if len(here) and len(ids):
            near = cKDTree(truth_m[here, k]).sparse_distance_matrix(cKDTree(found.position_m), c_m, output_type="ndarray")
            near = near[near["v"] < c_m]
            parts.append((np.full(len(near), k), here[near["i"]], ids[near["j"]], c_m**2 - near["v"] ** 2))
    if not parts:
        empty = np.zeros(0, np.int64)
        return empty, empty, empty, np.zeros(0)
    scan, truth, track, saving = (np.concatenate(part) for part in zip(*parts, strict=True))
    return scan, truth, track, saving


def _components(truth: Any, track: Any) -> list[NDArray[np.int64]]:
    """Return the rows of each group of truths and tracks that hang together."""
    from scipy.sparse import coo_matrix  # noqa: PLC0415 - see gospa
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415 - same

    if not len(truth):
        return []
    n = int(truth.max()) + 1
    size = n + int(track.max()) + 1
    _, label = connected_components(coo_matrix((np.ones(len(truth)), (truth, track + n)), (size, size)), directed=False)
    order = np.argsort(label[truth], kind="stable")
    return np.split(order, np.flatnonzero(np.diff(label[truth][order])) + 1)


def _compete(scan: Any, truth: Any, track: Any, saving: Any, half_switch: float) -> tuple[Floats, float]:
    """Solve one linear programme: return how far each row's pair is held (0 to 1), and the sum of changes of holding.

    Scans in which the same pairs are near, each alone with its partner, are one step: there is nothing to choose in them.
    """
    from scipy.optimize import linprog  # noqa: PLC0415 - see gospa
    from scipy.sparse import coo_matrix, vstack  # noqa: PLC0415 - same

    pairs, pair = np.unique(np.stack([truth, track]), axis=1, return_inverse=True)
    times, moment = np.unique(scan, return_inverse=True)
    near = np.zeros((len(times), pairs.shape[1]), bool)
    near[moment, pair] = True
    crowd = np.zeros(len(times), bool)
    for side in pairs:
        _, of = np.unique(side, return_inverse=True)
        crowd |= (near.astype(np.int64) @ np.eye(of.max() + 1, dtype=np.int64)[of] > 1).any(axis=1)
    new = np.r_[True, (near[1:] != near[:-1]).any(axis=1) | crowd[1:]]
    step = (np.cumsum(new) - 1)[moment]
    p, steps = pairs.shape[1], int(new.sum())
    cost = np.zeros((steps, p))
    np.add.at(cost, (step, pair), -saving)
    w, change = steps * p, (steps - 1) * p
    index = np.arange(w).reshape(steps, p)
    rows = []
    for side in pairs:
        _, of = np.unique(side, return_inverse=True)
        row = np.arange(steps)[:, None] * (of.max() + 1) + of[None]
        rows.append(coo_matrix((np.ones(w), (row.ravel(), index.ravel())), (steps * (of.max() + 1), w + change)))
    k = np.arange(change)
    for sign in (1.0, -1.0):  # plus and minus the change of holding stay below the variable that pays for it
        values = np.concatenate([np.full(change, sign), np.full(change, -sign), np.full(change, -1.0)])
        rows.append(coo_matrix((values, (np.tile(k, 3), np.concatenate([k + p, k, w + k]))), (change, w + change)))
    bound = np.concatenate([np.ones(rows[0].shape[0] + rows[1].shape[0]), np.zeros(2 * change)])
    prices = np.concatenate([cost.ravel(), np.full(change, half_switch)])
    found = linprog(prices, A_ub=vstack(rows).tocsr(), b_ub=bound, bounds=(0.0, 1.0), method="highs")
    if found.x is None:
        raise ExerciseError("score-unsolved", f"{p} pairs over {steps} steps: {found.message}")
    return found.x[:w].reshape(steps, p)[step, pair], float(found.x[w:].sum())


class Consistency(NamedTuple):
    """Whether errors are as large as their covariances say: the mean per dimension (1 is honest, more is over-confident).

    low and high bound the mean for an honest filter of independent errors, at the confidence asked for.
    """

    per_dimension: float
    low: float
    high: float
    honest: bool


def normalised_squares(error: Floats, covariance: Floats) -> Floats:
    """Return e' P^-1 e of errors (n, d) and covariances (n, d, d): NEES of state errors, NIS of innovations."""
    solved = np.linalg.solve(covariance, error[..., None])[..., 0]
    return np.asarray(np.einsum("ni,ni->n", error, solved))


def consistency(squares: Floats, dimension: int, confidence: float = 0.95) -> Consistency:
    """Return the mean of normalised squares (n,) per dimension with its two-sided chi-square bounds (Bar-Shalom et al., 2001)."""
    from scipy.stats import chi2  # noqa: PLC0415 - see gospa

    n = max(len(squares), 1) * dimension
    low, high = (float(chi2.ppf(q, n)) / n for q in ((1 - confidence) / 2, (1 + confidence) / 2))
    mean = float(np.mean(squares)) / dimension if len(squares) else 0.0
    return Consistency(mean, low, high, low <= mean <= high)
