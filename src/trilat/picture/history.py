"""Past places of the tracks on one view, sampled slowly, so that a page that has just opened shows trails too."""

import numpy as np

from trilat.picture.frames import Array


class Trails:
    """The last `points_max` places of every track, one each `period_ms`; rows sorted by id, newest place last."""

    def __init__(self, period_ms: int, points_max: int) -> None:
        self.period_ms = period_ms
        self.points_max = points_max
        self.ids = np.zeros(0, np.uint32)
        self.lat_e7 = np.zeros((0, points_max), np.int32)
        self.lon_e7 = np.zeros((0, points_max), np.int32)
        self.lengths = np.zeros(0, np.int64)
        self._next_ms = 0

    def sample(self, t_ms: int, records: Array) -> None:
        """Take the places of `records` (sorted by id) when the period is over; tracks that are gone are forgotten."""
        if t_ms < self._next_ms:
            return
        self._next_ms = t_ms + self.period_ms
        ids = records["id"]
        lat = np.zeros((len(ids), self.points_max), np.int32)
        lon = np.zeros((len(ids), self.points_max), np.int32)
        lengths = np.zeros(len(ids), np.int64)
        if len(self.ids) and len(ids):
            at = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
            known = self.ids[at] == ids
            lat[known, :-1] = self.lat_e7[at[known], 1:]
            lon[known, :-1] = self.lon_e7[at[known], 1:]
            lengths[known] = self.lengths[at[known]]
        lat[:, -1], lon[:, -1] = records["lat_e7"], records["lon_e7"]
        self.ids, self.lat_e7, self.lon_e7 = ids.copy(), lat, lon
        self.lengths = np.minimum(lengths + 1, self.points_max)
