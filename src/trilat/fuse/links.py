"""Points of one source that follow one another, and which of them speak of a target that another source sees, too. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
EFFECTS = 4  # of a radar: range m, azimuth and elevation in its own sigmas, clock (s too late)
LINK_NS = 15_000_000_000  # two plots of one target by one source are at most this far apart
LOOK_NS = 1_000_000_000  # what a source shows within this time is of one look
SPEED_M_S, SLACK_M, SAME_SPEED_M_S = 350.0, 500.0, 100.0  # of targets, and how unlike two sources may find them
NEAR_M, ALONE_M = 2_500.0, 7_500.0  # how far biases may part a target's plots; a second one nearer than that makes a pair unsure


class Points(NamedTuple):
    """Plots of one source: times (n,), places (n, 3) ECEF, covariances (n, 3, 3), how its biases move them (n, 3, EFFECTS).

    address (n,): what they claim to be, -1 for nothing. The clock's effect is left to whoever knows the velocities.
    """

    t_ns: NDArray[np.int64]
    place_m: Floats
    covariance: Floats
    effect: Floats
    address: NDArray[np.int64]

    def rows(self, keep: Any) -> Points:
        """Return some of the points."""
        return Points(*(column[keep] for column in self))


class Links(NamedTuple):
    """Pairs of one source's points that follow one another: first and last of each, and velocities (m, 3)."""

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    velocity: Floats


def linked(points: Points) -> Links:
    """Return which points of a source (in order of time) follow one another beyond doubt: by address, or alone."""
    n, x = len(points.t_ns), points.place_m[:, 0]
    i, j = np.nonzero(np.triu(np.abs(x[None] - x[:, None]) < SPEED_M_S * LINK_NS * 1e-9 + SLACK_M, 1))
    dt = (points.t_ns[j] - points.t_ns[i]) * 1e-9
    same = (points.address[i] == points.address[j]) & (points.address[i] >= 0)
    could = (dt > 0.0) & (dt <= LINK_NS * 1e-9) & (same | (points.address[i] < 0) | (points.address[j] < 0))
    could &= np.linalg.norm(points.place_m[j] - points.place_m[i], axis=1) < SPEED_M_S * dt + SLACK_M
    i, j, dt, same = i[could], j[could], dt[could], same[could]
    # Only the next look counts: for each point the soonest, and for that one the latest before it.
    soonest, latest, slack = np.full(n, np.inf), np.full(n, np.inf), LOOK_NS * 1e-9 / 2
    np.minimum.at(soonest, i, dt)
    np.minimum.at(latest, j, dt)
    forth, back = dt < soonest[i] + slack, dt < latest[j] + slack
    alone = (np.bincount(i[forth], minlength=n)[i] == 1) & (np.bincount(j[back], minlength=n)[j] == 1)
    first, last, dt = (one[forth & back & (same | alone)] for one in (i, j, dt))
    return Links(first, last, (points.place_m[last] - points.place_m[first]) / dt[:, None])


def pairs_of(mine: Points, own: Links, theirs: Points, links: Links, from_ns: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (point, link) pairs of one target, each once: points that go on, another's links that end after from_ns."""
    point, at = np.unique(own.last, return_index=True)
    t, begin, end = mine.t_ns[point], theirs.t_ns[links.first], theirs.t_ns[links.last]
    near = (
        np.abs(mine.place_m[point, 0][:, None] - theirs.place_m[links.first, 0]) < ALONE_M + SPEED_M_S * LINK_NS * 1e-9 + SLACK_M
    )
    row, link = np.nonzero(near & (begin <= t[:, None]) & (t[:, None] < end))
    place = theirs.place_m[links.first[link]] + links.velocity[link] * ((t[row] - begin[link]) * 1e-9)[:, None]
    far = np.linalg.norm(mine.place_m[point[row]] - place, axis=1)
    one, other = mine.address[point[row]], theirs.address[links.first[link]]
    named = (one >= 0) & (other >= 0)
    alone = np.bincount(row[far < ALONE_M], minlength=len(point))[row] == 1
    alike = np.linalg.norm(own.velocity[at[row]] - links.velocity[link], axis=1) < SAME_SPEED_M_S
    found = (far < NEAR_M) & alike & ((named & (one == other)) | (alone & ~named)) & (end[link] > from_ns)
    return point[row[found]], link[found]
