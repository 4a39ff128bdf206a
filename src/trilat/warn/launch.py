"""Where and when a flight was launched: launch flashes, and first plots smoothed backwards to the climb from rest before them.

What infrared observers see of a flight, and when they see it no more, tells of its burning too (`Looks`).

A vehicle that rises with a steady net acceleration from rest is at height h with climb w after 2h/w seconds; the way over the
ground meanwhile, while it turns over, is about a third of what the ground speed then would make. Both are stated with spread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import compress
from math import log
from operator import attrgetter
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trilat.kernels import geodesy
from trilat.records.assessment import PathPoint
from trilat.records.columns import KIND_BEARING
from trilat.records.sensor import Sensor
from trilat.warn.landing import Array, GroundEllipse, ellipses

if TYPE_CHECKING:
    from trilat.warn.flight import Machinery

SMOOTH_S = 25.0  # so long after the first plot the backward filter begins
TIME_SHARE = 0.18  # one sigma of the time since launch, of itself: the net acceleration is not steady
WAY_SHARE = 0.33
WAY_SPREAD = 0.15  # one sigma of the share
CLIMB_MIN_M_S = 50.0
AIR_BELOW_M = 100_000.0  # what comes down may be pushed by the air from here on
CUE_M = 30_000.0  # a line of sight that passes a place so near, beside its own accuracy, speaks of what is there
CUES_MAX = 1_000  # lines of sight kept
CUE_S = 180.0  # so long after a launch flash the flight may come into radars' sight
CUE_EARLY_S = 5.0  # a line of sight may be so much younger than what it is held against
MOVES_SIGMAS = 2.0  # of the two lines together: two of a hundred things that stand seem to move so far
ON_PATH_M = 20_000.0  # how far from a path that was told, beside both doubts, a track may be and still be that flight
# Of infrared observers' looks at a plume: the share of a burn that is a pause; that a look at what is out sees it all the same;
# that one does not see it any more (its sight), and none does (a line, a cloud); that what is out is hot and seen on.
PAUSED, GLOWS, LOST, BLIND, HOT = 0.02, 0.02, 0.01, 0.01, 0.01
MISS_FIRST = 0.4  # that a look sees no plume when none has missed it yet, at least: one look alone calls nothing
LOOKS_MIN = 3  # seen so often before not being seen tells anything: the time between looks is known then
LIKELY_LEAST = 1e-9
NEXT_PAUSE_S = 1.25  # after a pause of about so long a next stage is lit
LOOK_SLACK_S = 0.1  # a look may be so much later than those before it, and its report too
NS = 1_000_000_000
Times = NDArray[np.int64]


class Plot(NamedTuple):
    """One plot as the kernels take it."""

    t_ns: int
    sensor: int
    kind: int
    z: Array


class Launch(NamedTuple):
    """A launch: place, time and its sigma, 95 % ellipse."""

    lat_deg: float
    lon_deg: float
    t_ns: int
    sigma_s: float
    ellipse95: GroundEllipse
    place_m: Array


def smooth(machinery: Machinery, slot: int, plots: list[Plot], t_ns: int, mean: Array, covariance: Array) -> tuple[Array, Array]:
    """Return mean and covariance at the first plot's time, from the plots of the first seconds taken backwards.

    Begins at a state (t_ns, mean, covariance) whose covariance is widened, so that plots are not counted twice to any weight.
    `slot` is a row of the machinery that is free.
    """
    machinery.begin(slot, machinery.even, 0, t_ns, mean, covariance * 25.0)
    for plot in sorted((p for p in plots if p.t_ns <= t_ns), key=lambda p: -p.t_ns):
        machinery.feed(slot, machinery.even, plot, -1.0)
    return machinery.state(slot, 0)


def taken_back(machinery: Machinery, slot: int, plots: Sequence[Plot], gate: Array) -> list[Plot]:
    """Give a row plots backwards in time, till it could be anywhere; returns those taken, the latest first."""
    m, plots = machinery, sorted(plots, key=attrgetter("t_ns"), reverse=True)
    t_ns, who, kinds = np.array([(one.t_ns, one.sensor, one.kind) for one in plots], np.int64).reshape(-1, 3).T.copy()
    z, told = np.array([one.z for one in plots]).reshape(len(plots), m.b.PLOT_COLUMNS), np.empty(len(plots))
    kept = m.rows[slot : slot + 1].copy()
    m.arc.back(m.b.box(m.back), m.rows, slot, kept, m.table, who, z, kinds, t_ns, gate, told, m.works)
    return [plot for plot, nis in zip(plots, told.tolist(), strict=True) if nis >= 0.0]


def launch_of(first_ns: int, mean: Array, covariance: Array) -> Launch | None:
    """Return the launch that leads to a state early in the climb; None when it does not climb."""
    lat, lon, height = geodesy.ecef_to_geodetic(mean[:3]).tolist()
    basis = geodesy.enu_basis(lat, lon)
    east, north, climb = (basis @ mean[3:]).tolist()
    if not (climb >= CLIMB_MIN_M_S and height >= 0.0 and np.isfinite(mean).all() and np.isfinite(covariance).all()):
        return None
    seconds = min(2.0 * height / climb, 150.0)
    flat = np.array([east, north])
    back = -WAY_SHARE * seconds * flat
    place = mean[:3] + basis.T @ np.array([back[0], back[1], -height])
    lat, lon, _ = geodesy.ecef_to_geodetic(place).tolist()
    local = (basis @ covariance[:3, :3] @ basis.T)[:2, :2]
    speed = (basis @ covariance[3:, 3:] @ basis.T)[:2, :2]
    along = np.outer(flat, flat) * (WAY_SPREAD * seconds) ** 2
    spread = local + along + speed * (WAY_SHARE * seconds) ** 2 + np.eye(2) * 500.0**2
    sigma_s = float(np.hypot(TIME_SHARE * seconds, 1.0))
    _, ninety_five = ellipses(spread)
    return Launch(lat, lon, first_ns - round(seconds * NS), sigma_s, ninety_five, place)


class Cue(NamedTuple):
    """An infrared line of sight: when, a point of it (ECEF), its direction, and one sigma across it, in angle and in metres.

    `sensor` is the observer's where only the azimuth is known (`along` is then of no use). `plot`: as it came.
    """

    t_ns: int
    from_m: Array
    along: Array
    sigma_rad: float
    sigma_m: float
    plot: Plot
    sensor: Sensor | None = None


def cue_of(sensor: Sensor, plot: Plot) -> Cue:
    """Return the line of sight that a plot of a bearing sensor is: from where it stands, or in Earth-fixed terms."""
    z = plot.z
    if plot.kind == KIND_BEARING:
        place = geodesy.geodetic_to_ecef(sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
        flat = bool(np.isnan(z[2]))
        along = _direction(geodesy.enu_basis(sensor.lat_deg, sensor.lon_deg), float(z[1]), 0.0 if flat else float(z[2]))
        wide = float(z[6]) if flat else float(np.hypot(z[6], z[7]))
        return Cue(plot.t_ns, place, along, wide, 0.0, plot, sensor if flat else None)
    lat, lon = np.degrees(z[3:5]).tolist()
    along = _direction(geodesy.enu_basis(lat, lon), float(z[9]), float(z[10]))
    return Cue(plot.t_ns, z[:3].copy(), along, 0.0, float(max(z[6], z[8])), plot)


def _direction(basis: Array, azimuth_rad: float, elevation_rad: float) -> Array:
    """Return the direction (ECEF) of an azimuth and an elevation in local axes."""
    flat = np.cos(elevation_rad)
    return np.asarray(basis.T @ [flat * np.sin(azimuth_rad), flat * np.cos(azimuth_rad), np.sin(elevation_rad)])


class Look(NamedTuple):
    """One look, with or without a plume: its log likelihood if the flight burnt then, and for each arc.

    lit, out: its likelihood if a next stage burnt then, and if it was not lit yet.
    """

    t_ns: int
    burning: float
    arcs: Array
    lit: float
    out: float


class Pauses:
    """Of each hypothesis of a next stage: how likely it is lit by now. Each stands for pauses of nought to twice NEXT_PAUSE_S.

    When it is lit is one unknown for all looks: two in the same pause say no more than one.
    """

    def __init__(self, nexts: int) -> None:
        self._out, self._lit, self._till = np.ones(nexts), np.zeros(nexts), np.zeros(nexts)

    def begin(self, j: int) -> None:
        """Begin anew with next stage j."""
        self._out[j], self._lit[j], self._till[j] = 1.0, 0.0, 0.0

    def weigh(self, look: Look, lit_ns: Times) -> Array:
        """Return the log likelihood of a look for each next stage, lit at about its time."""
        till = np.clip(0.5 + (look.t_ns - lit_ns) * 1e-9 / (2.0 * NEXT_PAUSE_S), self._till, 1.0)
        share = np.where(till < 1.0, (till - self._till) / np.maximum(1.0 - self._till, 1e-9), 1.0)
        moved = self._out * share  # all of it in the end: what rounding left over would grow look by look
        out, lit = (self._out - moved) * look.out, (self._lit + moved) * look.lit
        whole = out + lit
        self._out, self._lit, self._till = out / whole, lit / whole, till
        return np.asarray(np.log(whole))


class Looks:
    """One infrared observer's looks at one flight, and what seeing a plume, or none, says of its burning.

    An observer that sees no more of a plume says that it is out, but for the chance that it missed it, that stages paused, or
    that it, or every observer, has ceased to see: what is not seen weighs no more than LOST, or BLIND. One that sees a plume says
    that it burns, but for the chance that a body is hot enough to be seen without: what it sees weighs no more than HOT.

    `arcs`: how many hypotheses of a burn-out there are. Since when each is out is given with each look.
    """

    def __init__(self, sensor: Sensor, arcs: int) -> None:
        self._sensor = sensor
        self._miss = 1.0 - max(sensor.detection_probability, 0.01) * (1.0 - PAUSED)
        self._seen_ns: list[int] = []
        self._every_ns = round(sensor.period_s * NS)
        self._gone: list[float] = []  # looks without a plume since the last with one: how likely each was, were it burning
        self._late_ns = 0  # how long a report takes at most
        self._fresh = False
        self._lost = LOST  # how likely it does not see the plume any more, if there is one
        self._hot, self._out = (
            np.zeros(arcs),
            np.zeros(arcs),
        )  # log likelihoods of an arc's looks, were it seen when out; were it not

    def fork(self, k: int) -> None:
        """Begin anew with arc k: nobody has looked at it."""
        self._hot[k], self._out[k] = 0.0, 0.0

    def relight(self, share: float) -> None:
        """Let a share of what burns be lit just now: nobody has looked for it."""
        self._lost += share * (LOST - self._lost)

    def seen(self, t_ns: int, since_ns: Times) -> Look:
        """Return what a plume seen at a time says, to arcs that are out since times of their own."""
        # A report that is later than any before it may be of a look that was counted as one without a plume.
        looks = round((t_ns - self._seen_ns[-1]) / self._every_ns) if self._seen_ns else 1
        sees = (1.0 - LOST) * (1.0 - self._miss)
        likely = sees * float(np.prod(self._gone[: max(0, looks - 1)]))
        burning = log(max(likely, LIKELY_LEAST)) - sum(log(one) for one in self._gone)
        self._seen_ns = sorted([*self._seen_ns, t_ns])
        self._gone, self._fresh, self._lost = [], True, LOST
        return Look(t_ns, burning, self._of_arcs(t_ns, since_ns, burning, log(GLOWS)), sees, HOT + GLOWS)

    def missed(self, now_ns: int, since_ns: Times, blind: float, first: bool) -> Look | None:  # noqa: FBT001 - a fact
        """Return the next look that ended without a plume till now.

        blind: how likely no observer sees plumes any more. first: whether none has missed it yet.
        """
        if self._fresh:
            self._late_ns, self._fresh = max(self._late_ns, now_ns - self._seen_ns[-1]), False
            if len(self._seen_ns) >= LOOKS_MIN:
                self._every_ns = max(round(self._sensor.period_s * NS), round(median(np.diff(self._seen_ns).tolist())))
        t_ns = self._seen_ns[-1] + (len(self._gone) + 1) * self._every_ns
        if len(self._seen_ns) < LOOKS_MIN or now_ns < t_ns + self._late_ns + round(LOOK_SLACK_S * NS):
            return None
        miss = max(self._miss, MISS_FIRST) if first else self._miss
        dark = self._lost + (1.0 - self._lost) * miss
        either, lit = blind + (1.0 - blind) * dark, BLIND + LOST + (1.0 - BLIND - LOST) * miss
        self._lost /= dark
        self._gone.append(either)
        return Look(t_ns, log(either), self._of_arcs(t_ns, since_ns, log(either), log(1.0 - GLOWS)), lit, 1.0)

    def _of_arcs(self, t_ns: int, since_ns: Times, burning: float, dark: float) -> Array:
        """Return the log likelihood of a look for each arc: it burnt till its time and is out since, hot or not."""
        out = since_ns < t_ns
        before = np.logaddexp(log(HOT) + self._hot, log(1.0 - HOT) + self._out)
        self._hot += np.where(out, burning, 0.0)
        self._out += np.where(out, dark, 0.0)
        after = np.logaddexp(log(HOT) + self._hot, log(1.0 - HOT) + self._out)
        return np.where(out, after - before, burning)


def passes(cue: Cue, place_m: Array, doubt_m: float = 0.0) -> bool:
    """Tell whether a line of sight passes a place within CUE_M, its own accuracy three times and a doubt of the place's own."""
    along = cue.along
    if cue.sensor is not None:
        s = cue.sensor
        elevation = float(geodesy.ecef_to_rae(place_m, s.lat_deg, s.lon_deg, s.alt_m)[2])
        basis = geodesy.enu_basis(s.lat_deg, s.lon_deg)
        east, north, _ = (basis @ along).tolist()
        along = _direction(basis, float(np.arctan2(east, north)), elevation)
    way = place_m - cue.from_m
    ahead = float(way @ along)
    across = float(np.linalg.norm(way - ahead * along))
    if cue.sigma_rad > 0.0 and ahead < 0.0:
        return False
    return across < CUE_M + doubt_m + 3.0 * (cue.sigma_m + cue.sigma_rad * abs(ahead))


class Cues:
    """The newest lines of sight, in the order in which they came. `weighed`: how many were tried against a place so far.

    What surely passes a place or surely does not is found of all at once; only what lies between is tried one by one.
    """

    def __init__(self) -> None:
        self._held: deque[Cue] = deque(maxlen=CUES_MAX)
        self._lines: tuple[Times, Array, Array, Array, NDArray[np.bool_]] | None = None
        self.weighed = 0

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Cue]:
        return iter(self._held)

    def add(self, cue: Cue) -> None:
        """Take one more."""
        self._held.append(cue)
        self._lines = None

    def through(self, place_m: Array, since_ns: int) -> list[Cue]:
        """Return those seen after a time that pass a place."""
        if not self._held:
            return []
        within = self._drawn()[0] > since_ns
        return [one for one, sure in self._near(place_m[None, :], np.zeros(1), within) if sure or passes(one, place_m)]

    def shows(self, t_ns: int, position_m: Array, velocity_m_s: Array, first_ns: int, last_ns: int) -> bool:
        """Tell whether one, seen between two times, passes where something at a state was then, however it gained its speed."""
        if not self._held:
            return False
        seen_ns = self._drawn()[0]
        age_s = (t_ns - seen_ns) / NS
        ways = velocity_m_s * (0.5 * age_s)[:, None]
        within = (age_s > -CUE_EARLY_S) & (age_s < CUE_S) & (first_ns <= seen_ns) & (seen_ns <= last_ns)
        near = self._near(position_m - ways, np.linalg.norm(ways, axis=1), within)
        return any(sure or comes_from(one, t_ns, position_m, velocity_m_s) for one, sure in near)

    def passed(self, place_m: Array, first_ns: int, last_ns: int) -> bool:
        """Tell whether one, seen between two times, passes a place."""
        if not self._held:
            return False
        seen_ns = self._drawn()[0]
        near = self._near(place_m[None, :], np.zeros(1), (first_ns <= seen_ns) & (seen_ns <= last_ns))
        return any(sure or passes(one, place_m) for one, sure in near)

    def _near(self, places_m: Array, doubts_m: Array, within: NDArray[np.bool_]) -> Iterator[tuple[Cue, bool]]:
        """Return of these each that may pass its place, and whether it surely does: what lies at the edge is for `passes`."""
        _, from_m, along, sigmas, flat = self._drawn()
        way = places_m - from_m
        ahead = np.einsum("ka,ka->k", way, along)
        across = np.linalg.norm(way - ahead[:, None] * along, axis=1)
        reach = CUE_M + doubts_m + 3.0 * (sigmas[:, 1] + sigmas[:, 0] * np.abs(ahead))
        may = within & ((across < 1.001 * reach) | flat)
        sure = (across < 0.999 * reach) & ~flat & ((ahead > 1.0) | (sigmas[:, 0] <= 0.0))
        for one, surely in zip(compress(self._held, may.tolist()), sure[may].tolist(), strict=True):
            self.weighed += 1
            yield one, surely

    def _drawn(self) -> tuple[Times, Array, Array, Array, NDArray[np.bool_]]:
        """Return times, points, directions, sigmas (of angle, of length), and which are without a height, as columns."""
        if self._lines is None:
            held = list(self._held)
            self._lines = (
                np.array([one.t_ns for one in held]),
                np.array([one.from_m for one in held]),
                np.array([one.along for one in held]),
                np.array([(one.sigma_rad, one.sigma_m) for one in held]),
                np.array([one.sensor is not None for one in held]),
            )
        return self._lines


def comes_from(cue: Cue, t_ns: int, position_m: Array, velocity_m_s: Array) -> bool:
    """Tell whether a line of sight passes where something at a state was when it was seen, however it gained its speed."""
    age_s = (t_ns - cue.t_ns) / NS
    if not -CUE_EARLY_S < age_s < CUE_S:
        return False
    way = velocity_m_s * (0.5 * age_s)
    return passes(cue, position_m - way, float(np.linalg.norm(way)))


def moves(cues: Sequence[Cue], place_m: Array) -> bool:
    """Tell whether what an observer's lines of sight to a place show moved from the first to the last: no fire does."""
    last = cues[-1]
    first = next(one for one in cues if one.plot.sensor == last.plot.sensor)
    if first.sensor is not None or last.sensor is not None:
        return False
    seen_m = last.from_m + ((place_m - last.from_m) @ last.along) * last.along
    way = seen_m - first.from_m
    apart = float(np.linalg.norm(way - (way @ first.along) * first.along))
    wide = [one.sigma_m + one.sigma_rad * float(np.linalg.norm(place_m - one.from_m)) for one in (first, last)]
    return apart > MOVES_SIGMAS * float(np.hypot(wide[0], wide[1]))


def on_path(path: tuple[Array, Array], wide_m: float, t_ns: int, position_m: Array, doubt_m: float) -> bool:
    """Tell whether a place (ECEF) at a time is on a path (`way_of`), within ON_PATH_M, its width and a doubt of the place."""
    times, places = path
    if not times[0] - NS <= t_ns <= times[-1]:
        return False
    place = np.array([np.interp(t_ns, times, places[:, axis]) for axis in range(3)])
    return bool(np.linalg.norm(position_m - place) < ON_PATH_M + wide_m + doubt_m)


def way_of(path: Sequence[PathPoint]) -> tuple[Array, Array] | None:
    """Return times (ns) and places (ECEF) of a path; None of one that is none: its times do not rise."""
    times = np.array([point.t_ns for point in path], dtype=np.float64)
    if not len(times) or not (np.diff(times) > 0.0).all():
        return None
    return times, geodesy.geodetic_to_ecef(*np.array([(point.lat_deg, point.lon_deg, point.alt_m) for point in path]).T)


def descends(mean: Array) -> bool:
    """Tell whether a state (6,), ECEF, is in the air or just above it, and comes down."""
    return float(mean[:3] @ mean[3:]) < 0.0 and float(geodesy.ecef_to_geodetic(mean[:3])[2]) < AIR_BELOW_M
