"""What happens to tracks' numbers: confirmed, deleted, stitched after a gap, merged, split; and when two tracks could be one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

STITCH_GATE = 4.0  # squared, in sigmas of all three axes together
STITCH_NOISE_M2_S3 = 1.0
CONFIRMED = 1  # place of the word in records.columns.STATUSES
PARTED_NS = 5_000_000_000  # a track this much older was there before the other


class Event(NamedTuple):
    """Something that happened to a track's number; `other` is -1 where none is meant.

    "confirmed": it was confirmed. "deleted": it is no more. "stitched": it came back, having been `other` till now. "merged":
    `other` is no more and was where this one is. "split": `other` was confirmed, having begun where this one was.
    """

    t_ns: int
    kind: str
    number: int
    other: int = -1


def reaches(lost: Any, new: Any) -> bool:
    """Tell whether a track, going on as it was, could be another one: same identity or none, and close enough.

    lost, new: rows of TRACK_DTYPE; the first is moved to the second's time.
    """
    for name in ("address", "mmsi"):
        if lost[name] >= 0 and new[name] >= 0 and lost[name] != new[name]:
            return False
    dt = (int(new["t_ns"]) - int(lost["t_ns"])) * 1e-9
    drift = STITCH_NOISE_M2_S3 * abs(dt)
    old, now = lost["covariance"].diagonal().tolist(), new["covariance"].diagonal().tolist()
    places = zip(lost["position_m"].tolist(), lost["velocity_m_s"].tolist(), new["position_m"].tolist(), strict=True)
    ahead_m2 = sum((x + dt * v - y) ** 2 for x, v, y in places)
    if ahead_m2 >= STITCH_GATE * (sum(old[:3]) + dt * dt * sum(old[3:]) + sum(now[:3]) + drift * dt * dt / 3.0):
        return False
    turn_m2_s2 = sum((v - w) ** 2 for v, w in zip(lost["velocity_m_s"].tolist(), new["velocity_m_s"].tolist(), strict=True))
    return bool(turn_m2_s2 < STITCH_GATE * (sum(old[3:]) + sum(now[3:]) + drift))


class Places:
    """Where the confirmed tracks of one step are: a table to look the neighbours of one up in."""

    def __init__(self, tracks: Any) -> None:
        self.rows = tracks
        self.at = np.flatnonzero(tracks["status"] == CONFIRMED)
        self.position_m, self.velocity_m_s = tracks["position_m"][self.at], tracks["velocity_m_s"][self.at]
        self.born_ns, self.updated_ns = tracks["born_t_ns"][self.at], tracks["updated_t_ns"][self.at]
        self.t_ns = int(tracks["t_ns"][0]) if len(tracks) else 0

    def merged_into(self, last: Any) -> int | None:
        """Return the number of the track that an ended one, as it was last shown, can no longer be told from, or None."""
        return self._nearest(last, self.updated_ns >= last["updated_t_ns"], int(last["t_ns"]))

    def parted_from(self, new: Any) -> int | None:
        """Return the number of the older track beside which a new one began, or None."""
        return self._nearest(new, self.born_ns < new["born_t_ns"] - PARTED_NS, int(new["born_t_ns"]))

    def _nearest(self, one: Any, among: Any, t_ns: int) -> int | None:
        """Return the number of the nearest track among some that was where `one` was at a time, moving as it did."""
        if not among.any():
            return None
        dt = (self.t_ns - t_ns) * 1e-9
        place = one["position_m"] - (int(one["t_ns"]) - t_ns) * 1e-9 * one["velocity_m_s"]
        gap = self.position_m - dt * self.velocity_m_s - place
        away = np.where(among, np.einsum("ni,ni->n", gap, gap), np.inf)
        k = int(away.argmin())
        other, there = self.rows[self.at[k]].copy(), one.copy()
        other["position_m"] -= dt * self.velocity_m_s[k]
        there["position_m"], there["t_ns"], other["t_ns"] = place, t_ns, t_ns
        return int(other["number"]) if other["number"] != one["number"] and reaches(other, there) else None
