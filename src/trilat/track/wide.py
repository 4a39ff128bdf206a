"""What a tracklet holds beyond a report's columns, kept beside the reports for as long as they may be run again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# x, y, z m (ECEF); two unused; sigma of the place m; velocity m/s; U row by row with U'U = information (21): kernels/bank.py Z_.
WIDE_COLUMNS = 30
_KEYS = ("t_ns", "sensor", "sensor_track", "lat_deg", "lon_deg")


class WideRows:
    """Rows (n, WIDE_COLUMNS) of tracklets, found by their report: time, sensor, number and place."""

    def __init__(self) -> None:
        self._rows: dict[tuple[Any, ...], NDArray[np.float64]] = {}

    def put(self, columns: Any, rows: NDArray[np.float64]) -> None:
        """Keep the rows of tracklets whose reports (REPORT_DTYPE, KIND_TRACKLET) go to the tracker next."""
        for key, row in zip(_keys(columns), rows, strict=True):
            self._rows.setdefault(key, row.copy())

    def rows(self, columns: Any) -> NDArray[np.float64]:
        """Return the rows of reports; one that nothing is known of says nothing."""
        empty = np.zeros(WIDE_COLUMNS)
        return np.array([self._rows.get(key, empty) for key in _keys(columns)]).reshape(-1, WIDE_COLUMNS)

    def forget(self, oldest_ns: int) -> None:
        """Drop what is older than any report that is kept."""
        for key in [key for key in self._rows if key[0] < oldest_ns]:
            del self._rows[key]

    def checkpoint(self) -> list[tuple[Any, ...]]:
        """Return everything as plain values."""
        return [(*key, row.tobytes()) for key, row in sorted(self._rows.items())]

    def restore(self, rows: list[tuple[Any, ...]]) -> None:
        """Take over a checkpoint."""
        self._rows = {tuple(row[:-1]): np.frombuffer(row[-1]).copy() for row in rows}


def _keys(columns: Any) -> list[tuple[Any, ...]]:
    """Return what names each report."""
    return list(zip(*(columns[name].tolist() for name in _KEYS), strict=True))
