"""Pairing: what registration compares a radar's plots with - self-reported positions, and other radars' plots of the same target.

Nothing here rests on what the tracker decided: pairs are taken from the reports, by a claimed address or by being the only one
near, so that a bias that parts two tracks does not hide itself. The registration's own gate tells a false pair.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trilat.fuse.earth_fixed import can_stand_alone, ellipsoids
from trilat.fuse.registration import look
from trilat.kernels import geodesy
from trilat.records.columns import FLAG_BAROMETRIC, KIND_FIX
from trilat.records.sensor import Sensor

Floats = NDArray[np.float64]
FIX_AGE_S = 12.0  # a fix is moved no farther than this to a plot's time
PLOT_AGE_S = 12.0
NEAR_M, NEAR_RAD = 2_500.0, 0.02  # how far a biased plot may be from where its target is
FOOT_M, LEVEL_LEAST = 100.0, 0.05  # range and cosine of elevation of plots whose direction says something
ALONE = 3.0  # a second one nearer than this many times that makes the pair unsure
TURN_M_S2 = 1.0  # how hard targets may turn between the two times
REFERENCES_MAX = 20_000
BAROMETRIC_SIGMA_M, HEIGHT_SIGMA_M = 150.0, 4_000.0
# Between nations, whose radars' places are not known:
# Of a radar: range m, azimuth and elevation in its own sigmas, clock (s too late), and how far beside where it is thought to
# stand it does, m along the Earth-fixed axes.
EFFECTS, SITE = 7, 4
LINK_NS = 15_000_000_000  # two plots of one target by one source are at most this far apart
LOOK_NS = 1_000_000_000  # what a source shows within this time is of one look
SPEED_M_S, SLACK_M, SAME_SPEED_M_S = 350.0, 500.0, 100.0  # of targets, and how unlike two sources may find them
PARTED_M, ALONE_M = 2_500.0, 7_500.0  # biases part a target's plots by less; a second one nearer than that makes a pair unsure


class Points(NamedTuple):
    """Where targets were: times (n,), places (n, 3) ECEF, covariances (n, 3, 3), and addresses (n,), -1 for none claimed.

    velocity_m_s (n, 3): NaN where it is not known. effect (n, 3, EFFECTS): how the biases of who saw them move the places; the
    clock's is left to whoever knows the velocities.
    """

    t_ns: NDArray[np.int64]
    place_m: Floats
    velocity_m_s: Floats
    covariance: Floats
    effect: Floats
    address: NDArray[np.int64]

    def rows(self, keep: Any) -> Points:
        """Return some of the points."""
        return Points(*(column[keep] for column in self))


def points(
    columns: Any, place: Floats, covariance: Floats, *, velocity: Floats | None = None, effect: Floats | None = None
) -> Points:
    """Return reports (REPORT_DTYPE) as points: of no velocity, and of none whose biases matter, unless given."""
    n = len(columns)
    moved = np.zeros((n, 3, EFFECTS)) if effect is None else effect
    speed = np.full((n, 3), np.nan) if velocity is None else velocity
    return Points(columns["t_ns"].copy(), place.reshape(-1, 3), speed, covariance, moved, columns["address"].copy())


def fixes(columns: Any, sensor: Sensor) -> Points:
    """Return the moving aircraft of self-reported positions that say where, how fast, and who."""
    usable = (columns["kind"] == KIND_FIX) & (columns["address"] >= 0) & np.isfinite(columns["speed_m_s"])
    columns = columns[usable & np.isfinite(columns["course_rad"])]
    known = np.isfinite(columns["alt_m"])
    barometric = (columns["flags"] & FLAG_BAROMETRIC) != 0
    place = geodesy.geodetic_to_ecef(columns["lat_deg"], columns["lon_deg"], np.where(known, columns["alt_m"], 6_000.0))
    basis = geodesy.enu_basis(columns["lat_deg"], columns["lon_deg"]).reshape(-1, 3, 3)
    course, climb = columns["course_rad"], np.nan_to_num(columns["vertical_rate_m_s"])
    local = np.stack([columns["speed_m_s"] * np.sin(course), columns["speed_m_s"] * np.cos(course), climb], axis=1)
    level = np.where(columns["sigma_horizontal_m"] > 0.0, columns["sigma_horizontal_m"], sensor.sigma_horizontal_m)
    steep = np.where(columns["sigma_vertical_m"] > 0.0, columns["sigma_vertical_m"], sensor.sigma_vertical_m)
    steep = np.where(known, np.where(barometric, BAROMETRIC_SIGMA_M, steep), HEIGHT_SIGMA_M)
    spread = np.stack([level, level, steep], axis=1) ** 2
    covariance = np.swapaxes(basis, 1, 2) @ (spread[:, :, None] * basis)
    velocity = np.einsum("nji,nj->ni", basis, local)
    return points(columns, place, covariance, velocity=velocity)


def plots(columns: Any, sensor: Sensor, tracks: Any) -> Points:
    """Return where a radar with elevation has its targets, with the velocity of the nearest track (TRACK_DTYPE)."""
    columns = columns[can_stand_alone(columns) & np.isfinite(columns["elevation_rad"])]
    level = np.cos(columns["elevation_rad"])
    away = (columns["range_m"] >= FOOT_M) & (level >= LEVEL_LEAST)
    columns, level = columns[away], level[away]
    tracks = tracks[tracks["status"] == 1]
    place, along, across, up = ellipsoids(columns, sensor)
    place = np.atleast_2d(place).reshape(-1, 3)
    velocity = np.full_like(place, np.nan)
    if len(tracks) and len(place):
        away = np.linalg.norm(place[:, None] - tracks["position_m"][None], axis=2)
        near = away.argmin(axis=1)
        velocity = np.where((away.min(axis=1) < 2 * NEAR_M)[:, None], tracks["velocity_m_s"][near], np.nan)
    good = np.isfinite(velocity[:, 0])
    site = geodesy.geodetic_to_ecef(sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
    _, jacobian, _ = look(site, geodesy.enu_basis(sensor.lat_deg, sensor.lon_deg), place, np.nan_to_num(velocity))
    r = columns["range_m"]
    sigma = np.stack([along, across / (r * level), up / r], axis=1)
    inverse = np.linalg.inv(jacobian) * sigma[:, None, :]
    covariance = inverse @ np.swapaxes(inverse, 1, 2)
    return points(columns, place, covariance, velocity=velocity).rows(good)


class References:
    """The newest point of every address (or, without one, of the last seconds), from one kind of source."""

    def __init__(self, age_s: float) -> None:
        self._age_ns = round(age_s * 1e9)
        self._held: Points | None = None

    def take(self, seen: Points) -> None:
        """Take points in; what is older than the newest by more than the age is dropped."""
        both = seen if self._held is None else together([self._held, seen])
        if not len(both.t_ns):
            return
        both = both.rows(both.t_ns > both.t_ns.max() - 2 * self._age_ns)
        order = np.argsort(both.t_ns, kind="stable")
        both = both.rows(order)
        _, newest = np.unique(both.address[::-1], return_index=True)
        keep = both.address < 0
        keep[len(keep) - 1 - newest] = True
        self._held = both.rows(np.flatnonzero(keep)[-REFERENCES_MAX:])

    def pair(self, columns: Any, sensor: Sensor) -> tuple[NDArray[np.int64], Points]:
        """Return rows of a radar's plots and the points they are of, moved to the plots' stamped times."""
        usable = np.flatnonzero(can_stand_alone(columns))
        if self._held is None or not len(usable):
            return np.zeros(0, np.int64), together([])
        row, at = self._alone(columns[usable], sensor, self._held)
        row = usable[row]
        held = self._held.rows(at)
        dt = (columns["t_ns"][row] - held.t_ns) * 1e-9
        drift = (0.5 * TURN_M_S2 * dt**2) ** 2 + (3.0 * dt) ** 2
        moved = held.place_m + dt[:, None] * held.velocity_m_s
        covariance = held.covariance + drift[:, None, None] * np.eye(3)
        return row, held._replace(t_ns=columns["t_ns"][row], place_m=moved, covariance=covariance)

    def _alone(self, columns: Any, sensor: Sensor, held: Points) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (plot, point) pairs: of one address, or of none and with no second one near."""
        dt = (columns["t_ns"][:, None] - held.t_ns[None]) * 1e-9
        young = np.abs(dt) <= self._age_ns * 1e-9
        spot = geodesy.ecef_to_rae(held.place_m, sensor.lat_deg, sensor.lon_deg, sensor.alt_m).reshape(-1, 3)
        ahead = geodesy.ecef_to_rae(held.place_m + held.velocity_m_s, sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
        rate = ahead.reshape(-1, 3) - spot
        turn = _turned(rate[:, 1])[None] * dt + spot[None, :, 1]
        away = np.abs(columns["range_m"][:, None] - (spot[None, :, 0] + rate[None, :, 0] * dt)) / NEAR_M
        side = np.abs(_turned(columns["azimuth_rad"][:, None] - turn)) / NEAR_RAD
        far = np.where(young, np.maximum(away, side), np.inf)
        same = (columns["address"][:, None] == held.address[None]) & (held.address[None] >= 0)
        other = (columns["address"][:, None] >= 0) & (held.address[None] >= 0) & ~same
        crowd = (far < ALONE).sum(axis=1), (far < ALONE).sum(axis=0)
        lone = (far < 1.0) & (crowd[0] == 1)[:, None] & (crowd[1] <= 1)[None] & ~other
        found = np.argwhere((same & (far < 2.0 * ALONE)) | (lone & ~same))
        _, first = np.unique(found[:, 0], return_index=True)
        return found[first, 0], found[first, 1]


def _turned(angle: Floats) -> Floats:
    """Return angles between -pi and pi."""
    return np.asarray((angle + math.pi) % (2 * math.pi) - math.pi)


def together(parts: list[Points]) -> Points:
    """Return points one after the other."""
    none, flat = np.zeros(0, np.int64), np.zeros((0, 3))
    parts = parts or [Points(none, flat, flat, np.zeros((0, 3, 3)), np.zeros((0, 3, EFFECTS)), none)]
    return Points(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class Links(NamedTuple):
    """Pairs of one source's points that follow one another: first and last of each, and velocities (m, 3)."""

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    velocity: Floats


def linked(seen: Points) -> Links:
    """Return which points of a source (in order of time) follow one another beyond doubt: by address, or alone."""
    n, x = len(seen.t_ns), seen.place_m[:, 0]
    i, j = np.nonzero(np.triu(np.abs(x[None] - x[:, None]) < SPEED_M_S * LINK_NS * 1e-9 + SLACK_M, 1))
    dt = (seen.t_ns[j] - seen.t_ns[i]) * 1e-9
    same = (seen.address[i] == seen.address[j]) & (seen.address[i] >= 0)
    could = (dt > 0.0) & (dt <= LINK_NS * 1e-9) & (same | (seen.address[i] < 0) | (seen.address[j] < 0))
    could &= np.linalg.norm(seen.place_m[j] - seen.place_m[i], axis=1) < SPEED_M_S * dt + SLACK_M
    i, j, dt, same = i[could], j[could], dt[could], same[could]
    # Only the next look counts: for each point the soonest, and for that one the latest before it.
    soonest, latest, slack = np.full(n, np.inf), np.full(n, np.inf), LOOK_NS * 1e-9 / 2
    np.minimum.at(soonest, i, dt)
    np.minimum.at(latest, j, dt)
    forth, back = dt < soonest[i] + slack, dt < latest[j] + slack
    alone = (np.bincount(i[forth], minlength=n)[i] == 1) & (np.bincount(j[back], minlength=n)[j] == 1)
    first, last, dt = (one[forth & back & (same | alone)] for one in (i, j, dt))
    return Links(first, last, (seen.place_m[last] - seen.place_m[first]) / dt[:, None])


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
    found = (far < PARTED_M) & alike & ((named & (one == other)) | (alone & ~named)) & (end[link] > from_ns)
    return point[row[found]], link[found]
