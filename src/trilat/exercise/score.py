"""Scores: how well tracks fit the ground truth. GOSPA with its parts and SIAP, sparse, for arrays of positions per scan.

GOSPA: Rahmathullah, Garcia-Fernandez and Svensson, Generalized optimal sub-pattern assignment metric, FUSION 2017, with
p = 2 and alpha = 2. SIAP: Single Integrated Air Picture metrics, as the field's usual completeness, ambiguity and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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
        "gospa_m": float(distances.mean()) if len(values) else 0.0,
        "gospa_normalised_m": float((distances / np.sqrt(counts)).mean()) if len(values) else 0.0,
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
