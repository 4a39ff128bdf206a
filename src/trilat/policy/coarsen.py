"""Coarse places that resist averaging: a secret offset, a grid, hysteresis. Applied to an audience tracker's output only.

Fresh noise per update is worthless: a partner who fits a line through 2 h of it has the truth to a tenth of the noise, and a
grid of known origin betrays the place at each crossing. Here the place is first moved by a vector that only the originator
knows and that is the same for every track of a region for a whole epoch, so that neither time nor a convoy nor a track that
is begun anew averages it away. Then it is put on a grid, and leaves its cell only when it is well outside.

What remains: whoever knows one target's true place (its own ship, a broadcast) learns the vector of that region and epoch.
"""

import hashlib
import hmac
import math
from typing import NamedTuple

METERS_PER_DEGREE = 111_195.0  # of latitude, on the mean sphere (radius 6,371,009 m, IUGG 1980)
REGION_DEG = 10.0
EPOCH_NS = 7 * 86_400 * 1_000_000_000
OFFSET_MIN = 0.6  # of the cell's side: length of the secret vector
OFFSET_MAX = 1.0
HYSTERESIS = 0.25  # of the cell's side, beyond its edge
TIME_STEP_NS = 60 * 1_000_000_000  # the time of a coarse place, so that a crossing is not told to the second
CELL_DEFAULT_M = 20_000.0


class Cell(NamedTuple):
    """Where a track was put: its region and epoch (which stay while it lives), and its column and row there."""

    region: tuple[int, int]
    epoch: int
    column: int
    row: int


class Place(NamedTuple):
    """A coarse place: the truth is within radius_m of it."""

    lat_deg: float
    lon_deg: float
    radius_m: float


def offset(secret: bytes, audience: str, region: tuple[int, int], epoch: int, cell_m: float) -> tuple[float, float]:
    """Return the secret vector (east, north) in metres of a region and epoch for one audience (HMAC-SHA-256, RFC 2104)."""
    message = f"trilat.coarsen/1 {audience} {region[0]} {region[1]} {epoch} {cell_m!r}".encode()
    drawn = hmac.new(secret, message, hashlib.sha256).digest()
    angle = int.from_bytes(drawn[:8]) / 2**64 * 2.0 * math.pi
    # Uniform over the ring's area, so that no length is likelier than its share.
    share = int.from_bytes(drawn[8:16]) / 2**64
    length = cell_m * math.sqrt(OFFSET_MIN**2 + share * (OFFSET_MAX**2 - OFFSET_MIN**2))
    return length * math.cos(angle), length * math.sin(angle)


def _scale(region: tuple[int, int]) -> float:
    """Metres per degree of longitude, taken once per region so that a grid has no seams; not below that of 85 degrees."""
    return METERS_PER_DEGREE * math.cos(math.radians(min(85.0, abs((region[0] + 0.5) * REGION_DEG))))


def settle(lat_deg: float, lon_deg: float, t_ns: int, previous: Cell | None, secret: bytes, audience: str, cell_m: float) -> Cell:
    """Return the cell of a true place: the previous one unless the moved place is well outside it.

    Args:
        lat_deg: true latitude, degrees; lon_deg: true longitude, degrees.
        lon_deg: see lat_deg.
        t_ns: time, which chooses the epoch of a track's first cell.
        previous: the track's last cell, None for a new track.
        secret: the originator's secret for coarsening, at least 32 bytes.
        audience: for whom.
        cell_m: the side of a cell, m.
    """
    region = previous.region if previous else (math.floor(lat_deg / REGION_DEG), math.floor(lon_deg / REGION_DEG))
    epoch = previous.epoch if previous else t_ns // EPOCH_NS
    east, north = offset(secret, audience, region, epoch, cell_m)
    # Longitude relative to the region's edge, so that a track that crosses the date line goes on.
    turned = (lon_deg - region[1] * REGION_DEG + 180.0) % 360.0 - 180.0
    x = (turned * _scale(region) + east) / cell_m
    y = ((lat_deg - region[0] * REGION_DEG) * METERS_PER_DEGREE + north) / cell_m
    if previous is not None:
        limit = 0.5 + HYSTERESIS
        if abs(x - previous.column - 0.5) <= limit and abs(y - previous.row - 0.5) <= limit:
            return previous
    return Cell(region, epoch, math.floor(x), math.floor(y))


def place_of(cell: Cell, cell_m: float) -> Place:
    """Return the centre of a cell, as the partner is shown it (the secret vector stays in), and a radius that holds the truth."""
    lat_deg = cell.region[0] * REGION_DEG + (cell.row + 0.5) * cell_m / METERS_PER_DEGREE
    lon_deg = cell.region[1] * REGION_DEG + (cell.column + 0.5) * cell_m / _scale(cell.region)
    radius_m = cell_m * (OFFSET_MAX + (0.5 + HYSTERESIS) * math.sqrt(2.0))
    return Place(max(-90.0, min(90.0, lat_deg)), (lon_deg + 180.0) % 360.0 - 180.0, radius_m)


class Coarsener:
    """The cells of one audience's tracks: memory for hysteresis, of at most `tracks_max` tracks, the oldest forgotten."""

    tracks_max = 100_000

    def __init__(self, secret: bytes, audience: str) -> None:
        if len(secret) < 32:
            raise ValueError("the secret for coarsening has at least 32 bytes")
        self._secret = secret
        self._audience = audience
        self._cells: dict[tuple[str, int, float], Cell] = {}

    def place(self, stream: str, number: int, t_ns: int, lat_deg: float, lon_deg: float, cell_m: float) -> Place:
        """Return the coarse place of one track (stream, number) of this audience at its true place."""
        key = (stream, number, cell_m)
        cell = settle(lat_deg, lon_deg, t_ns, self._cells.pop(key, None), self._secret, self._audience, cell_m)
        self._cells[key] = cell
        if len(self._cells) > self.tracks_max:
            del self._cells[next(iter(self._cells))]
        return place_of(cell, cell_m)

    def forget(self, stream: str, number: int) -> None:
        """Forget a deleted track."""
        for key in [key for key in self._cells if key[:2] == (stream, number)]:
            del self._cells[key]
