"""Seeded scenarios for the tracking benchmarks: missiles over a sphere or WGS-84, aircraft apart and in close formation.

Every scenario is a mapping of arrays, one Cartesian frame, SI units: sensor_pos (S, 3), sensor_sigma (S, 3: elevation, azimuth
rad, range m), sensor_period, sensor_pd, sensor_clutter (S,); scan_t, scan_sensor (K,), scan_start (K + 1,); det (M, 3:
elevation, azimuth counted from x to y, range), det_truth (M,; -1 false); truth_pos, truth_vel (N, K, 3), truth_alive (N, K);
domain, earth, origin. `python benchmarks/scenarios.py FOLDER` writes one of each as files for `trilat bench track`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trilat.kernels import geodesy

Arrays = dict[str, Any]
RADIUS_M, MU_M3_S2, SPIN_RAD_S, J2 = 6_371_000.0, 3.986004418e14, 7.2921159e-5, 1.082629821e-3
AIR_KG_M3, AIR_SCALE_M = 1.225, 7_200.0
ORIGIN = (38.0, 0.0, 0.0)  # latitude, longitude, height of the missile scenarios' frame: east, north, up axes
STEP_S, MISSILE_S = 0.1, 900.0
# Three long-range radars of the missile scenarios, as offsets on the tangent plane.
RADARS_M = ((650e3, -150e3), (250e3, -550e3), (-120e3, -420e3))
MASK_RAD, RADAR_RANGE_M, MISSILE_CLUTTER, MISSILE_PD = np.radians(2.0), 1_800e3, 5.0, 0.9


class Earth:
    """Gravity, air and ground of one model ("sphere" or "wgs84") in the axes of ORIGIN."""

    def __init__(self, kind: str) -> None:
        """Make the model; "wgs84" has J2 and an ellipsoid, "sphere" neither."""
        self.kind = kind
        lat = np.radians(ORIGIN[0])
        self.north_pole = np.array([0.0, np.cos(lat), np.sin(lat)])
        self.axes_m = np.full(2, RADIUS_M)
        self.centre = np.array([0.0, 0.0, -RADIUS_M])
        if kind == "wgs84":
            self.axes_m = np.array([geodesy.WGS84_A_M, geodesy.WGS84_B_M])
            self.centre = -geodesy.enu_basis(ORIGIN[0], ORIGIN[1]) @ geodesy.geodetic_to_ecef(*ORIGIN)
        self.spin = SPIN_RAD_S * self.north_pole

    def level(self, p: Any) -> Any:
        """Return a number that is 1 on the ground and grows with height, for points (n, 3)."""
        r = p - self.centre
        z = r @ self.north_pole
        return np.sqrt((np.einsum("ij,ij->i", r, r) - z * z) / self.axes_m[0] ** 2 + z * z / self.axes_m[1] ** 2)

    def ground(self, p: Any) -> Any:
        """Return the points (n, 3) moved to the ground along their line to the centre."""
        return self.centre + (p - self.centre) / self.level(p)[:, None]

    def pull(self, p: Any, v: Any, coefficient: Any) -> Any:
        """Return gravity, Coriolis, centrifugal and drag acceleration (n, 3); coefficient: mass over drag area, kg/m2, (n,)."""
        r = p - self.centre
        r2 = np.einsum("ij,ij->i", r, r)[:, None]
        k = MU_M3_S2 / (r2 * np.sqrt(r2))
        level = self.level(p)[:, None]
        a = -k * r - 2.0 * np.cross(self.spin, v) - np.cross(self.spin, np.cross(self.spin, r))
        if self.kind == "wgs84":
            z = (r @ self.north_pole)[:, None]
            f = 1.5 * J2 * self.axes_m[0] ** 2 / r2
            a -= k * f * ((1.0 - 5.0 * z * z / r2) * r + 2.0 * z * self.north_pole)
        height = np.sqrt(r2) * (1.0 - 1.0 / level)
        density = AIR_KG_M3 * np.exp(-np.maximum(height, 0.0) / AIR_SCALE_M)
        return a - 0.5 * density * np.linalg.norm(v, axis=1, keepdims=True) * v / np.asarray(coefficient)[:, None]

    def step(self, p: Any, v: Any, dt: Any, coefficient: Any, thrust: Any = 0.0) -> tuple[Any, Any]:
        """Return positions and velocities dt later, by one Runge-Kutta step of fourth order."""
        dt = np.asarray(dt).reshape(-1, 1)
        a1 = self.pull(p, v, coefficient) + thrust
        v2 = v + dt / 2 * a1
        a2 = self.pull(p + dt / 2 * v, v2, coefficient) + thrust
        v3 = v + dt / 2 * a2
        a3 = self.pull(p + dt / 2 * v2, v3, coefficient) + thrust
        v4 = v + dt * a3
        a4 = self.pull(p + dt * v3, v4, coefficient) + thrust
        return p + dt / 6 * (v + 2 * v2 + 2 * v3 + v4), v + dt / 6 * (a1 + 2 * a2 + 2 * a3 + a4)


def landing(earth: Earth, p: Any, v: Any, coefficient: float = 5_000.0, seconds_max: float = 2_000.0) -> tuple[Any, Any]:
    """Return where bodies (n, 3) that only fall come down, and in how many seconds (NaN beyond seconds_max)."""
    p, v = np.array(p, float), np.array(v, float)
    ends, left, t = np.full(p.shape, np.nan), np.full(len(p), np.nan), np.zeros(len(p))
    alive = np.arange(len(p))
    while len(alive):
        q = p[alive]
        high = (earth.level(q) - 1.0) * RADIUS_M > 130e3
        dt = np.where(high, 2.0, 0.5)
        n, w = earth.step(q, v[alive], dt, np.full(len(q), coefficient))
        before, after = earth.level(q) - 1.0, earth.level(n) - 1.0
        down = (after < 0.0) & (t[alive] > 0.0)
        f = before / np.where(before == after, 1.0, before - after)
        ends[alive[down]] = (q + f[:, None] * (n - q))[down]
        left[alive[down]] = (t[alive] + f * dt)[down]
        p[alive], v[alive] = n, w
        t[alive] += dt
        alive = alive[~down & (t[alive] < seconds_max)]
    return ends, left


def missiles(seeds: Sequence[int], count: int, kind: str) -> list[Arrays]:
    """Return one salvo of `count` missiles per seed over a "sphere" or "wgs84" Earth, seen by three long-range radars.

    Thrust of 18-24 m/s2 growing by 20-40 over 60-110 s with a pitch programme; 3,000-8,000 kg/m2; horizon at 2 degrees.
    """
    earth = Earth(kind)
    draws = [missile_draws(np.random.default_rng(seed), count) for seed in seeds]
    both = {name: np.concatenate([draw[name] for draw in draws]) for name in draws[0]}
    flown = _fly(earth, both)
    out = []
    for k, seed in enumerate(seeds):
        part = slice(k * count, (k + 1) * count)
        rng = np.random.default_rng([seed, 1])
        out.append(_watch(earth, {name: a[part] for name, a in (both | flown).items()}, rng))
    return out


def missile_draws(rng: Any, n: int) -> Arrays:
    """Return the random numbers of one salvo."""
    return {
        "east": rng.uniform(-250e3, 50e3, n),
        "north": rng.uniform(0.0, 250e3, n),
        "launch_t": np.sort(rng.uniform(0.0, 120.0, n)),
        "heading": np.radians(rng.uniform(-40.0, 10.0, n)),
        "pitch": np.radians(rng.uniform(45.0, 75.0, n)),
        "burn": rng.uniform(60.0, 110.0, n),
        "thrust": rng.uniform(18.0, 24.0, n),
        "growth": rng.uniform(20.0, 40.0, n),
        "beta": rng.uniform(3e3, 8e3, n),
    }


def _fly(earth: Earth, d: Arrays) -> Arrays:
    """Return paths (n, times, 3), whether each flies (n, times), and where and when each comes down."""
    n, times = len(d["beta"]), round(MISSILE_S / STEP_S)
    p = earth.ground(np.column_stack([d["east"], d["north"], np.zeros(n)]))
    v = np.zeros((n, 3))
    path, speed, flies = np.zeros((n, times, 3), np.float64), np.zeros((n, times, 3)), np.zeros((n, times), bool)
    ends, end_t, done = np.full((n, 3), np.nan), np.full(n, np.nan), np.zeros(n, bool)
    for i in range(times):
        t = i * STEP_S
        path[:, i], speed[:, i] = p, v
        up_now = (t >= d["launch_t"]) & ~done
        flies[:, i] = up_now
        if not up_now.any():
            if done.all():
                break
            continue
        new, fast = earth.step(p, v, STEP_S, d["beta"], thrust_of(earth, d, p, t))
        level = earth.level(new)
        hit = up_now & (t - d["launch_t"] > 10.0) & (level < 1.0)
        ends[hit], end_t[hit] = earth.ground(new)[hit], t + STEP_S
        p, v = np.where(up_now[:, None], new, p), np.where(up_now[:, None], fast, v)
        done |= hit
    return {"path": path, "speed": speed, "flies": flies, "impact_p": ends, "impact_t": end_t}


def thrust_of(earth: Earth, d: Arrays, p: Any, t: Any) -> Any:
    """Return the thrust acceleration (n, 3): upright for 8 s, then turning to the final pitch over half the burn."""
    tau = t - d["launch_t"]
    up = (p - earth.centre) / np.linalg.norm(p - earth.centre, axis=1, keepdims=True)
    east = np.cross(earth.north_pole, up)
    east /= np.linalg.norm(east, axis=1, keepdims=True)
    north = np.cross(up, east)
    turned = np.clip((tau - 8.0) / (d["burn"] * 0.5), 0.0, 1.0)
    angle = np.pi / 2 + (d["pitch"] - np.pi / 2) * turned
    ahead = np.cos(d["heading"])[:, None] * east + np.sin(d["heading"])[:, None] * north
    size = np.where((tau >= 0.0) & (tau < d["burn"]), d["thrust"] + d["growth"] * np.clip(tau / d["burn"], 0.0, 1.0), 0.0)
    return size[:, None] * (np.sin(angle)[:, None] * up + np.cos(angle)[:, None] * ahead)


def _scans(period_s: Sequence[float], phase_s: Sequence[float], end_s: float) -> tuple[Any, Any]:
    """Return times and sensors of all scans, in time order."""
    times = [np.arange(phase, end_s, period) for period, phase in zip(period_s, phase_s, strict=True)]
    sensor = np.concatenate([np.full(len(t), k) for k, t in enumerate(times)])
    order = np.argsort(np.concatenate(times), kind="stable")
    return np.concatenate(times)[order], sensor[order]


def _polar(site: Any, p: Any) -> Any:
    """Return elevation, azimuth, range (n, 3) of points seen from a site, in the frame's own axes."""
    d = p - site
    r = np.linalg.norm(d, axis=1)
    return np.column_stack([np.arcsin(d[:, 2] / r), np.arctan2(d[:, 1], d[:, 0]), r])


def _watch(earth: Earth, w: Arrays, rng: Any) -> Arrays:
    """Return the scenario of one flown salvo: what three radars see of it, with noise, misses and false plots."""
    sites = earth.ground(np.array([[x, y, 0.0] for x, y in RADARS_M])) + np.array([0.0, 0.0, 300.0])
    period = np.array([1.0, 2.0, 2.0])
    sigma = np.tile([np.radians(0.05), np.radians(0.05), 30.0], (3, 1))
    last = np.nanmax(w["impact_t"]) if np.isfinite(w["impact_t"]).any() else MISSILE_S
    scan_t, scan_sensor = _scans(period, (0.0, 0.3, 1.1), min(MISSILE_S, last + 2.0))
    at = np.minimum(np.round(scan_t / STEP_S).astype(int), w["path"].shape[1] - 1)
    pos, vel, flies = w["path"][:, at], w["speed"][:, at], w["flies"][:, at]
    seen = np.zeros(flies.shape, bool)
    plots, owner = [], []
    for k, s in enumerate(scan_sensor):
        d = pos[:, k] - sites[s]
        r = np.linalg.norm(d, axis=1)
        up = (sites[s] - earth.centre) / np.linalg.norm(sites[s] - earth.centre)
        seen[:, k] = flies[:, k] & (d @ up > np.sin(MASK_RAD) * r) & (r < RADAR_RANGE_M)
        who = np.flatnonzero(seen[:, k] & (rng.random(len(r)) < MISSILE_PD))
        true = _polar(sites[s], pos[who, k]) + rng.normal(0, 1, (len(who), 3)) * sigma[s]
        m = rng.poisson(MISSILE_CLUTTER)
        box = np.column_stack([rng.uniform(-400e3, 1000e3, m), rng.uniform(-600e3, 400e3, m), rng.uniform(10e3, 400e3, m)])
        plots.append(np.concatenate([true, _polar(sites[s], box)]))
        owner.append(np.concatenate([who, np.full(m, -1)]))
    first = np.array([scan_t[row.argmax()] if row.any() else np.nan for row in seen])
    return {
        "sensor_pos": sites,
        "sensor_sigma": sigma,
        "sensor_period": period,
        "sensor_pd": np.full(3, MISSILE_PD),
        "sensor_clutter": np.full(3, MISSILE_CLUTTER),
        **_stack(scan_t, scan_sensor, plots, owner),
        "truth_pos": pos,
        "truth_vel": vel,
        "truth_alive": flies & (scan_t[None] >= first[:, None]),
        "impact_p": w["impact_p"],
        "impact_t": w["impact_t"],
        "launch_t": w["launch_t"],
        "burnout_t": w["launch_t"] + w["burn"],
        "first_visible_t": first,
        "domain": np.array("missile"),
        "earth": np.array(earth.kind),
        "origin": np.array(ORIGIN),
    }


def _stack(scan_t: Any, scan_sensor: Any, plots: list[Any], owner: list[Any]) -> Arrays:
    """Return the scan columns of per-scan plots."""
    return {
        "scan_t": scan_t,
        "scan_sensor": scan_sensor,
        "scan_start": np.concatenate([[0], np.cumsum([len(p) for p in plots])]),
        "det": np.concatenate(plots),
        "det_truth": np.concatenate(owner),
    }


# Formations: what fixes their difficulty stands here.
FORMATION_SIZES, FORMATION_SPACING_M = (2, 8), (300.0, 1_000.0)
FORMATION_PD = (0.7, 0.8, 0.9)  # drawn once per seed
GATE_CLUTTER = 0.05  # false plots expected in one track's 99.9 % gate, taken as GATE_VOLUME_M3
GATE_VOLUME_M3 = 4.0e8  # three axes of about 110 m sigma at 40 km, prediction included, times 4.03 sigma
BIRTH_SHARE = 0.1  # new aircraft per false plot, which a tracker is told as it is told the clutter
CLUTTER_BOX_M = (3_000.0, 3_000.0, 1_500.0)  # false plots are drawn around each formation, at that density
FORMATION_SIGMA = (np.radians(0.12), np.radians(0.10), 50.0)
FORMATION_PERIOD_S, FORMATION_S = 4.0, 172.0
CROSSING_HEIGHT_M, BOW_M = 200.0, 150.0  # who crosses or changes places keeps clear: above, or ahead and behind
QUIET_S, QUIET_PD = 12.0, 0.95  # till then a scan a second without false plots: the tracks stand before the test begins
HEIGHT_SPAN_M = 20_000.0  # the tracker takes false plots as uniform over the sensor's cover up to this height


def formations(seed: int) -> Arrays:
    """Return three formations of 2-8 aircraft before one radar: two cross each other half way, one turns.

    Members stand 300-1,000 m apart and two of each formation change places on the way. Detection probability 0.7-0.9.
    """
    rng = np.random.default_rng([seed, 2])
    t = np.arange(0.0, FORMATION_S, 1.0)
    middle, heading = rng.uniform(-3e3, 3e3, 3) + np.array([0.0, 40e3, 8e3]), rng.uniform(-np.pi, np.pi)
    cross = rng.choice([-1.0, 1.0]) * np.radians(rng.uniform(10.0, 40.0))
    paths, leaders = [], []
    for k in range(3):
        speed, turn = rng.uniform(180.0, 240.0), 0.0
        if k == 2:
            middle = np.array([25e3, 20e3, 6e3])
            turn = rng.choice([-1.0, 1.0]) * np.radians(rng.uniform(0.8, 2.0))
        course = heading + (cross if k == 1 else 0.0) + turn * np.clip(t - 60.0, 0.0, 40.0)
        rate = speed * np.column_stack([np.cos(course), np.sin(course), np.zeros(len(t))])
        leader = np.concatenate([np.zeros((1, 3)), np.cumsum(rate[:-1], axis=0)])
        leader += middle - leader[len(t) // 2] + np.array([0.0, 0.0, CROSSING_HEIGHT_M * (k == 1)])
        leaders.append(leader)
        paths.append(_members(rng, t, leader, course))
    path = np.concatenate(paths)
    rows = np.concatenate([np.arange(round(QUIET_S)), np.arange(round(QUIET_S), len(t), round(FORMATION_PERIOD_S))])
    velocity = np.gradient(path, t, axis=1)
    return _radar_scene(rng, path[:, rows], velocity[:, rows], np.array(leaders)[:, rows], t[rows])


def _members(rng: Any, t: Any, leader: Any, course: Any) -> Any:
    """Return the paths (n, times, 3) of one formation: places in a line or echelon behind the leader, two of them exchanged."""
    n = int(rng.integers(FORMATION_SIZES[0], FORMATION_SIZES[1] + 1))
    spacing, slant = rng.uniform(*FORMATION_SPACING_M), rng.uniform(0.0, 1.0)
    place = np.arange(n) - (n - 1) / 2
    offset = np.column_stack([-slant * np.abs(place), place, np.zeros(n)])
    offset *= spacing / np.sqrt(1.0 + slant**2)
    offset[:, 2] = rng.uniform(-50.0, 50.0, n)
    offsets = np.repeat(offset[:, None], len(t), axis=1)
    a = int(rng.integers(0, n - 1))
    share = np.clip((t - rng.uniform(50.0, 90.0)) / 30.0, 0.0, 1.0)
    bow = (BOW_M * np.sin(np.pi * share) ** 2)[:, None] * np.array([1.0, 0.0, 0.0])
    share = (share * share * (3.0 - 2.0 * share))[:, None]
    offsets[a] += share * (offset[a + 1] - offset[a]) + bow
    offsets[a + 1] += share * (offset[a] - offset[a + 1]) - bow
    ahead = np.column_stack([np.cos(course), np.sin(course)])
    out = np.repeat(leader[None], n, axis=0)
    out[:, :, :2] += offsets[:, :, :1] * ahead + offsets[:, :, 1:2] * np.column_stack([-ahead[:, 1], ahead[:, 0]])
    out[:, :, 2] += offsets[:, :, 2]
    return out


def _radar_scene(rng: Any, path: Any, velocity: Any, leaders: Any, scan_t: Any) -> Arrays:
    """Return the scenario of aircraft (n, scans, 3) before one radar at the zero, with false plots around the leaders."""
    pd, sigma, site = float(rng.choice(FORMATION_PD)), np.array(FORMATION_SIGMA), np.zeros(3)
    density = GATE_CLUTTER / GATE_VOLUME_M3
    box = np.array(CLUTTER_BOX_M)
    plots, owner = [], []
    for k in range(len(scan_t)):
        quiet = scan_t[k] < QUIET_S
        who = np.flatnonzero(rng.random(len(path)) < (QUIET_PD if quiet else pd))
        true = _polar(site, path[who, k]) + rng.normal(0, 1, (len(who), 3)) * sigma
        many = 0.0 if quiet else density * 8.0 * box.prod()
        false = [lead[k] + rng.uniform(-box, box, (rng.poisson(many), 3)) for lead in leaders]
        places = np.concatenate(false)
        plots.append(np.concatenate([true, _polar(site, places)]))
        owner.append(np.concatenate([who, np.full(len(places), -1)]))
    scenes = _stack(scan_t, np.zeros(len(scan_t), np.int64), plots, owner)
    reach = float(scenes["det"][:, 2].max()) * 1.05  # as the library takes it from the file
    return {
        "sensor_pos": site[None],
        "sensor_sigma": sigma[None],
        "sensor_period": np.array([FORMATION_PERIOD_S]),
        "sensor_pd": np.array([pd]),
        "sensor_clutter": np.array([density * np.pi * reach**2 * HEIGHT_SPAN_M]),
        "sensor_births": np.array([BIRTH_SHARE * density * np.pi * reach**2 * HEIGHT_SPAN_M]),
        **scenes,
        "truth_pos": path,
        "truth_vel": velocity,
        "truth_alive": np.ones(path.shape[:2], bool),
        "domain": np.array("air"),
        "earth": np.array("flat"),
        "false_density_per_m3": np.array(density),
    }


# Aircraft apart: radars as (place m, sigmas of elevation and azimuth in degrees and of range in m, period s, phase s).
AIR_RADARS = (
    ((0.0, 0.0, 100.0), (0.15, 0.10, 60.0), 4.0, 0.0),
    ((-90e3, -80e3, 300.0), (0.15, 0.12, 75.0), 5.0, 0.7),
    ((100e3, -60e3, 50.0), (0.10, 0.08, 50.0), 10.0, 1.9),
)
AIR_S, AIR_HALF_M, AIR_PD, AIR_CLUTTER = 120.0, 150e3, 0.9, 50.0


def aircraft(seed: int, count: int, seconds: float = AIR_S) -> Arrays:
    """Return aircraft over 300 x 300 km before three radars: a third turn once, a fifth come late, a tenth leave early."""
    rng = np.random.default_rng([seed, 3])
    looks = sorted((t, k) for k, (_, _, period, phase) in enumerate(AIR_RADARS) for t in np.arange(phase, seconds, period))
    scan_t, sensor = np.array([t for t, _ in looks]), np.array([k for _, k in looks])
    start = np.column_stack([rng.uniform(-AIR_HALF_M, AIR_HALF_M, (count, 2)), rng.uniform(3e3, 12e3, count)])
    heading, speed, climb = rng.uniform(-np.pi, np.pi, count), rng.uniform(150.0, 300.0, count), rng.normal(0.0, 4.0, count)
    rate = np.radians(rng.uniform(1.0, 3.0, count)) * rng.choice([-1.0, 1.0], count) * (rng.random(count) < 1 / 3)
    begin, lasts = rng.uniform(20.0, 90.0, count), rng.uniform(10.0, 30.0, count)
    born = np.where(rng.random(count) < 0.2, rng.uniform(5.0, 60.0, count), -1.0)
    ends = np.where(rng.random(count) < 0.1, rng.uniform(70.0, AIR_S, count), np.inf)
    t = np.arange(0.0, seconds + STEP_S, STEP_S)
    course = heading[:, None] + rate[:, None] * np.clip(t - begin[:, None], 0.0, lasts[:, None])
    velocity = np.stack([speed[:, None] * np.cos(course), speed[:, None] * np.sin(course), climb[:, None] + 0.0 * course], axis=2)
    between = 0.5 * (velocity[:, 1:] + velocity[:, :-1]) * STEP_S
    path = start[:, None] + np.concatenate([np.zeros((count, 1, 3)), np.cumsum(between, axis=1)], axis=1)
    at = np.round(scan_t / STEP_S).astype(int)
    path, velocity = path[:, at], velocity[:, at]
    alive = (scan_t >= born[:, None]) & (scan_t < ends[:, None])
    plots, owner, sites = [], [], np.array([place for place, *_ in AIR_RADARS])
    sigma = np.array([(np.radians(e), np.radians(a), r) for _, (e, a, r), *_ in AIR_RADARS])
    for k, s in enumerate(sensor):
        who = np.flatnonzero(alive[:, k] & (rng.random(count) < AIR_PD))
        false = rng.uniform((-AIR_HALF_M, -AIR_HALF_M, 500.0), (AIR_HALF_M, AIR_HALF_M, 14e3), (rng.poisson(AIR_CLUTTER), 3))
        true = _polar(sites[s], path[who, k]) + rng.normal(size=(len(who), 3)) * sigma[s]
        plots.append(np.concatenate([true, _polar(sites[s], false)]))
        owner.append(np.concatenate([who, np.full(len(false), -1)]))
    return {
        "sensor_pos": sites,
        "sensor_sigma": sigma,
        "sensor_period": np.array([period for *_, period, _ in AIR_RADARS]),
        "sensor_pd": np.full(3, AIR_PD),
        "sensor_clutter": np.full(3, AIR_CLUTTER),
        **_stack(scan_t, sensor, plots, owner),
        "truth_pos": path,
        "truth_vel": velocity,
        "truth_alive": alive,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes scenarios; the other benchmarks make their own in memory.")
    parser.add_argument("folder", type=Path, help="where to write them to")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for kind in ("sphere", "wgs84"):
        np.savez_compressed(folder / f"missiles10-{kind}.npz", **missiles([101], 10, kind)[0])
    np.savez_compressed(folder / "formations.npz", **formations(101))
    for count in (200, 1_000):
        np.savez_compressed(folder / f"aircraft{count}.npz", **aircraft(101, count))
