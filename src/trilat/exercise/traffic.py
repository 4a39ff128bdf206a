"""Traffic: where every invented aircraft and ship of a scenario is at a time. A pure function of scenario and time."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trilat.exercise.scenario import Corridor, Scenario
from trilat.kernels import geodesy

Array = NDArray[np.float64]

STEP_M = 400.0
# How wide a corner is rounded: an airliner turns within some kilometres, a ship within some hundred metres.
CORNER_M = {"air": 30_000.0, "sea": 2_400.0}
LATERAL_M = {"air": 6_000.0, "sea": 1_800.0}
# Nobody keeps farther from a corridor's middle than this part of its tightest bend: speed there changes by as much.
BEND_SHARE = 0.25
_DIFFERENCE_S = 0.5
# Each passage along a corridor is another aircraft or ship; identities repeat after this many.
PASSAGES = 64
AIR_ADDRESS_BASE = 0xF0_0000  # a block that no state uses for registered aircraft
SEA_MMSI_BASE = 431_900_000


class Movers(NamedTuple):
    """Everything that moves at one time, in a fixed order. Arrays of length n; position and velocity are ECEF (n, 3)."""

    position_m: Array
    velocity_m_s: Array
    geodetic: Array
    sea: NDArray[np.bool_]
    silent: NDArray[np.bool_]
    identity: NDArray[np.int64]


class _Path(NamedTuple):
    along_m: Array
    place: Array  # (k, 3) on the ellipsoid
    left: Array  # (k, 3) unit vectors to the left of the way


class Traffic:
    """All movers of a scenario. `at(t_s)` gives them t_s seconds after the start, for any t_s >= 0."""

    def __init__(self, scenario: Scenario) -> None:
        rng = np.random.default_rng(scenario.seed)
        paths = [_path(corridor) for corridor in scenario.corridor]
        self._line = _Line(paths)
        counts = np.array([corridor.count for corridor in scenario.corridor], np.int64)  # there may be none
        total = int(counts.sum())
        self._path_of = np.repeat(np.arange(len(counts)), counts)
        low, high = (np.repeat([c.speed_m_s[i] for c in scenario.corridor], counts) for i in (0, 1))
        self._speed_m_s = rng.uniform(low, high)
        floor, ceiling = (np.repeat([c.alt_m[i] for c in scenario.corridor], counts) for i in (0, 1))
        self._alt_m = np.round(rng.uniform(floor, ceiling) / 304.8) * 304.8  # thousands of feet, as flown
        self.sea = np.repeat(np.array([c.domain == "sea" for c in scenario.corridor], bool), counts)
        self._alt_m[self.sea] = 0.0
        self.silent = np.repeat(np.array([c.silent for c in scenario.corridor], bool), counts)
        spread_m = np.where(self.sea, LATERAL_M["sea"], LATERAL_M["air"])
        widest_m = np.repeat(BEND_SHARE * np.array([_tightest_m(one) for one in paths]), counts)
        self._offset_m = rng.uniform(-1.0, 1.0, total) * np.minimum(spread_m, widest_m)
        # Evenly spread with some chance, so that a page is neither empty nor bunched at the start.
        within = np.concatenate([np.arange(n) / n for n in counts]) if total else np.zeros(0)
        self._phase = within + rng.uniform(-0.2, 0.2, total) / np.repeat(counts, counts)
        self._backwards = rng.random(total) < 0.5

    def at(self, t_s: float) -> Movers:
        """Return every mover at t_s seconds after the start."""
        places, identities = self._place(t_s + np.array([-_DIFFERENCE_S, 0.0, _DIFFERENCE_S]))
        velocity = (places[2] - places[0]) / (2.0 * _DIFFERENCE_S)
        # Where one passage ends and the next begins the difference is no velocity: stand still for that second.
        velocity[identities[2] != identities[0]] = 0.0
        return Movers(places[1], velocity, geodesy.ecef_to_geodetic(places[1]), self.sea, self.silent, identities[1])

    def _place(self, t_s: Array) -> tuple[Array, NDArray[np.int64]]:
        """Return places (m, n, 3) and identities (m, n) at m times: of all movers at once, each on its own path."""
        length_m = self._line.length_m[self._path_of]
        run_m = self._phase * length_m + self._speed_m_s * t_s[:, None]
        passage = np.floor(run_m / length_m).astype(np.int64)
        along_m = run_m - passage * length_m
        along_m = np.where(self._backwards, length_m - along_m, along_m)
        place, left = self._line.at(along_m, self._path_of)
        up = place / np.sqrt((place * place).sum(-1, keepdims=True))
        position = place + left * self._offset_m[:, None] + up * self._alt_m[:, None]
        return position, np.arange(len(length_m)) * PASSAGES + passage % PASSAGES


class _Line:
    """All paths laid end to end, so that one search and one interpolation serve every mover of every path."""

    # Farther apart than any path is long, and near enough for the search to be exact to a micrometre.
    _APART_M = 1e8

    def __init__(self, paths: list[_Path]) -> None:
        counts = np.array([len(one.along_m) for one in paths], np.int64)
        self.length_m = np.array([one.along_m[-1] for one in paths])
        self._first = np.concatenate([[0], np.cumsum(counts)])[:-1]
        self._last = self._first + counts - 2  # where the last segment begins
        self._along_m = np.concatenate([one.along_m for one in paths]) if paths else np.zeros(0)
        self._search_m = self._along_m + np.repeat(np.arange(len(paths)) * self._APART_M, counts)
        self._values = np.concatenate([np.hstack([one.place, one.left]) for one in paths]) if paths else np.zeros((0, 6))

    def at(self, along_m: Array, path: NDArray[np.int64]) -> tuple[Array, Array]:
        """Return place and left of points (m, n) along the paths (n): linear between the fine points."""
        segment = np.searchsorted(self._search_m, along_m + path * self._APART_M, side="right") - 1
        segment = np.clip(segment, self._first[path], self._last[path])
        start_m = self._along_m[segment]
        share = (along_m - start_m) / (self._along_m[segment + 1] - start_m)
        values = self._values[segment] + (self._values[segment + 1] - self._values[segment]) * np.clip(share, 0.0, 1.0)[..., None]
        return values[..., :3], values[..., 3:]


def _path(corridor: Corridor) -> _Path:
    """Return a corridor as a fine line on the ellipsoid with rounded corners, and the direction to its left."""
    waypoints = np.asarray(corridor.waypoints, np.float64)
    corners = geodesy.geodetic_to_ecef(waypoints[:, 0], waypoints[:, 1], 0.0)
    legs = [_leg(a, b) for a, b in itertools.pairwise(corners)]
    line = np.concatenate([*legs, corners[-1:]])
    window = max(3, int(CORNER_M[corridor.domain] / STEP_M) | 1)
    padded = np.concatenate([np.repeat(line[:1], window // 2, 0), line, np.repeat(line[-1:], window // 2, 0)])
    kernel = np.full(window, 1.0 / window)
    smooth = np.stack([np.convolve(padded[:, i], kernel, "valid") for i in range(3)], axis=1)
    ground = geodesy.ecef_to_geodetic(smooth)
    smooth = geodesy.geodetic_to_ecef(ground[:, 0], ground[:, 1], 0.0)
    along_m = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(smooth, axis=0), axis=1))])
    keep = np.concatenate([[True], np.diff(along_m) > 1.0])
    smooth, along_m = smooth[keep], along_m[keep]
    heading = np.gradient(smooth, axis=0)
    left = np.cross(smooth / np.linalg.norm(smooth, axis=1, keepdims=True), heading)
    return _Path(along_m, smooth, left / np.linalg.norm(left, axis=1, keepdims=True))


def _tightest_m(path: _Path) -> float:
    """Return the radius of a path's tightest bend."""
    turned = np.linalg.norm(np.diff(path.left, axis=0), axis=1) / np.diff(path.along_m)
    return 1.0 / max(float(turned.max(initial=0.0)), 1e-9)


def _leg(start: Array, end: Array) -> Array:
    """Return points on the great circle from start (included) to end (left out), about STEP_M apart."""
    n = max(2, int(np.linalg.norm(end - start) / STEP_M))
    share = np.arange(n)[:, None] / n
    chord = start + (end - start) * share
    radius = np.linalg.norm(start) + (np.linalg.norm(end) - np.linalg.norm(start)) * share
    return np.asarray(chord / np.linalg.norm(chord, axis=1, keepdims=True) * radius, np.float64)
