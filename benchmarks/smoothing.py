"""Smoothed tracks beside live ones, at the same times: aircraft straight, turning, climbing; vessels with gaps; missiles.

`python benchmarks/smoothing.py` runs the test seeds, 20 draws of each kind and 8 salvos of 10 missiles; `--tiny` one of each.
Printed are root mean square errors of place and velocity, live and smoothed, what is left of each, and NEES per dimension (1 is
honest, less is wider than need be). A track counts where it is the nearest to its truth as it was shown live; both are judged
there, so that smoothing gains nothing by other pairs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from scenarios import RADIUS_M, Earth, _polar, _stack, missiles
from trilat.exercise.score import normalised_squares
from trilat.track import smoothed, smoothed_columns
from trilat.track.scenario import Scenario

KINDS = ("straight", "turning", "climbing", "sea")
PHASES = ("boost", "coast", "re-entry")
NEAR_M = {"air": 2_000.0, "sea": 2_000.0, "missile": 10_000.0}
FROM_S = {"air": 20.0, "sea": 60.0, "missile": 0.0}
AIR_TOP_M = 100_000.0  # below it, after the motor has stopped, a missile counts as in re-entry
# One radar: sigmas of elevation, azimuth (rad) and range (m); period s; chance to see it.
AIR_RADAR = ((2e-3, 1.5e-3, 60.0), 4.0, 0.9)
SEA_RADAR = ((2e-3, 2e-3, 40.0), 10.0, 0.8)
AIR_S, SEA_S, STEP_S = 240.0, 3_600.0, 0.1
GAPS_S = ((900.0, 1_260.0), (2_200.0, 2_500.0))  # when the sea radar is off
CLUTTER = 5.0


class Figures(NamedTuple):
    """Root mean square errors, NEES per dimension, of how many states, and the shares of these less sure than they were live."""

    place_m: float
    speed_m_s: float
    nees: float
    states: int
    place_wider: float
    speed_wider: float


class Run(NamedTuple):
    """Errors of one draw: (n, 6) and their covariances, live and smoothed, and the phase of each (empty: all alike)."""

    live: Any
    live_covariance: Any
    smooth: Any
    smooth_covariance: Any
    phase: Any


def path_of(kind: str, rng: Any, seconds: float) -> tuple[Any, Any]:
    """Return places and velocities (times, 3) of one body every STEP_S."""
    t = np.arange(0.0, seconds + STEP_S, STEP_S)
    heading, still = rng.uniform(-np.pi, np.pi), np.zeros(len(t))
    start = np.array([*(rng.uniform(25e3, 60e3) * np.array([np.cos(a := rng.uniform(-np.pi, np.pi)), np.sin(a)])), 0.0])
    if kind == "sea":
        start[2] = 10.0
        speed, rate, climb = rng.uniform(3.0, 12.0), np.radians(rng.choice([-1.0, 1.0]) * 0.2), still
        turning = ((t > 1_500.0) & (t < 1_800.0)) | ((t > 2_900.0) & (t < 3_000.0))
    else:
        start[2] = rng.uniform(3e3, 6e3)
        speed, rate = rng.uniform(150.0, 280.0), np.radians(rng.choice([-1.0, 1.0]) * rng.uniform(1.5, 3.5))
        turning = np.zeros(len(t), bool)
        if kind == "turning":
            turning = ((t > 80.0) & (t < 110.0)) | ((t > 150.0) & (t < 170.0))
        climb = still
        if kind == "climbing":  # up, level, down: a second or two between
            ramp = [0.0, 60.0, 64.0, 130.0, 134.0, 170.0, 174.0, 400.0]
            climb = np.interp(t, ramp, np.array([0.0, 0.0, 1.0, 1.0, 0.0, 0.0, -0.8, -0.8]) * rng.uniform(10.0, 25.0))
    course = heading + np.cumsum(turning * rate) * STEP_S
    velocity = np.column_stack([speed * np.cos(course), speed * np.sin(course), climb])
    place = start + np.concatenate([np.zeros((1, 3)), np.cumsum(0.5 * (velocity[1:] + velocity[:-1]) * STEP_S, axis=0)])
    return place, velocity


def scene(kind: str, seed: int) -> dict[str, Any]:
    """Return the scenario of one body before one radar, with misses and false plots."""
    rng = np.random.default_rng([seed, KINDS.index(kind), 9])
    sea = kind == "sea"
    sigma, period, pd = SEA_RADAR if sea else AIR_RADAR
    scan_t = np.arange(0.0, SEA_S if sea else AIR_S, period)
    if sea:
        scan_t = scan_t[~np.any([(scan_t > a) & (scan_t < z) for a, z in GAPS_S], axis=0)]
    place, velocity = path_of(kind, rng, float(scan_t[-1]))
    at = np.round(scan_t / STEP_S).astype(int)
    place, velocity = place[at], velocity[at]
    site, plots, owner = np.array([0.0, 0.0, 50.0]), [], []
    for where in place:
        true = _polar(site, where[None]) + rng.normal(0, 1, 3) * sigma
        box = (1e5, 1e5, 200.0 if sea else 12e3)
        false = _polar(site, rng.uniform((-box[0], -box[1], 0.0), box, (rng.poisson(CLUTTER), 3)))
        seen = rng.random() < pd
        plots.append(np.concatenate([true[:seen], false]))
        owner.append(np.r_[np.zeros(int(seen), int), np.full(len(false), -1)])
    return {
        "sensor_pos": site[None],
        "sensor_sigma": np.array([sigma]),
        "sensor_period": np.array([period]),
        "sensor_pd": np.array([pd]),
        "sensor_clutter": np.array([CLUTTER]),
        **_stack(scan_t, np.zeros(len(scan_t), np.int64), plots, owner),
        "truth_pos": place[None],
        "truth_vel": velocity[None],
        "truth_alive": np.ones((1, len(scan_t)), bool),
        "domain": np.array("sea" if sea else "air"),
        "earth": np.array("flat"),
    }


def phases(arrays: Any) -> Any:
    """Return the phase (N, K) of each missile at each scan, as an index into PHASES."""
    earth = Earth(str(arrays["earth"]))
    place = arrays["truth_pos"]
    height = np.array([RADIUS_M * (earth.level(one) - 1.0) for one in place])
    burns = arrays["scan_t"][None] < arrays["burnout_t"][:, None]
    return np.where(burns, 0, np.where(height > AIR_TOP_M, 1, 2))


def run(arrays: Any, simple: bool = False, **settings: Any) -> Run:  # noqa: FBT001, FBT002 - a word where it is called
    """Track a scenario, smooth it, and return the errors of both where a track is a truth's; simple: constant velocity alone."""
    scenario = Scenario(arrays, **settings)
    tracker, shown, modes = scenario.tracker(), [], []
    for t_ns, sensor, plots in scenario.scans():
        if not len(plots.columns):
            tracker.look(t_ns, sensor)
        shown.append(tracker.step(t_ns, [plots]).columns)
        modes.append(tracker.modes())
    late = _simple(shown) if simple else smoothed_columns(shown, modes, scenario.settings)
    axes = scenario.to_file_frame(np.zeros((3, 3)), np.eye(3))[1].T
    turn = np.kron(np.eye(2), axes)
    phase = phases(arrays) if "burnout_t" in arrays else np.zeros(arrays["truth_alive"].shape, int)
    cells: list[tuple[Any, ...]] = []
    for k, pair in enumerate(zip(shown, late, strict=True)):
        if arrays["scan_t"][k] < FROM_S[scenario.domain]:
            continue
        was, now = (one[pair[0]["status"] > 0] for one in pair)
        for i in np.flatnonzero(arrays["truth_alive"][:, k]) if len(was) else ():
            true = np.r_[arrays["truth_pos"][i, k], arrays["truth_vel"][i, k]]
            both = [np.concatenate(scenario.to_file_frame(one["position_m"], one["velocity_m_s"]), axis=1) for one in (was, now)]
            away = np.linalg.norm(both[0][:, :3] - true[:3], axis=1)
            at = int(away.argmin())
            if away[at] < NEAR_M[scenario.domain]:
                wide = (turn @ one["covariance"][at] @ turn.T for one in (was, now))
                cells.append((both[0][at] - true, both[1][at] - true, *wide, phase[i, k]))
    live, smooth, live_covariance, smooth_covariance, of = (np.array(part) for part in zip(*cells, strict=True))
    return Run(live, live_covariance, smooth, smooth_covariance, of)


def _simple(shown: list[Any]) -> list[Any]:
    """Return columns smoothed from their states alone, by nearly constant velocity."""
    out = [one.copy() for one in shown]
    for number, (t_ns, mean, covariance) in smoothed(shown).items():
        at = {int(t): k for k, t in enumerate(t_ns)}
        for columns in out:
            here = np.flatnonzero(columns["number"] == number)
            if len(here) and (k := at.get(int(columns["t_ns"][here[0]]))) is not None:
                columns["position_m"][here[0]], columns["velocity_m_s"][here[0]] = mean[k, :3], mean[k, 3:]
                columns["covariance"][here[0]] = covariance[k]
    return out


def stretches(kind: str, seeds: Iterable[int], simple: bool = False, **settings: Any) -> list[Run]:  # noqa: FBT001, FBT002 - as run
    """Return the runs of one kind."""
    return [run(scene(kind, seed), simple, **settings) for seed in seeds]


def figures(errors: Any, covariance: Any, live: Any) -> Figures:
    """Return the figures of errors (n, 6); covariances (n, 6, 6), theirs and those of the live states."""
    squares = normalised_squares(errors, covariance) / 6.0
    place, speed = (float(np.sqrt((part**2).sum(axis=1).mean())) for part in (errors[:, :3], errors[:, 3:]))
    wider = [float((_trace(covariance, part) > (1 + 1e-9) * _trace(live, part)).mean()) for part in (slice(0, 3), slice(3, 6))]
    return Figures(place, speed, float(squares.mean()), len(errors), *wider)


def _trace(covariance: Any, part: slice) -> Any:
    return np.einsum("nii->n", covariance[:, part, part])


def errors_of(runs: list[Run], phase: int | None = None) -> dict[str, Figures]:
    """Return the figures of runs, live and smoothed; of one phase alone, where one is named."""
    parts = [np.concatenate(part) for part in zip(*runs, strict=True)]
    keep = np.ones(len(parts[4]), bool) if phase is None else parts[4] == phase
    live, smooth = parts[1][keep], parts[3][keep]
    return {"live": figures(parts[0][keep], live, live), "smooth": figures(parts[2][keep], smooth, live)}


def line(name: str, found: dict[str, Figures]) -> str:
    """Return figures as one line."""
    a, z = found["live"], found["smooth"]
    return (
        f"{name:32s} place {a.place_m:7.1f} -> {z.place_m:6.1f} m ({z.place_m / a.place_m:.0%})   "
        f"velocity {a.speed_m_s:6.2f} -> {z.speed_m_s:5.2f} m/s ({z.speed_m_s / a.speed_m_s:.0%})   "
        f"NEES {a.nees:.2f} -> {z.nees:.2f}   {a.states} states, "
        f"less sure than live: place {z.place_wider:.1%}, velocity {z.speed_wider:.1%}"
    )


def main() -> None:
    """Print one line a kind and phase."""
    parser = argparse.ArgumentParser(description="Smoothed tracks beside live ones.")
    parser.add_argument("--tiny", action="store_true", help="one draw of each")
    parser.add_argument("--seed", type=int, default=101, help="the first seed; 101 and on are the test seeds")
    given = parser.parse_args()
    begun, draws = time.process_time(), range(given.seed, given.seed + (1 if given.tiny else 20))
    for kind in KINDS:
        print(line(kind, errors_of(stretches(kind, draws))), flush=True)
        print(line("  by constant velocity alone", errors_of(stretches(kind, draws, simple=True))), flush=True)
    salvos = missiles(list(range(given.seed, given.seed + (1 if given.tiny else 8))), 2 if given.tiny else 10, "wgs84")
    runs = [run(one) for one in salvos]
    for k, phase in enumerate(PHASES):
        print(line(f"missile, {phase}", errors_of(runs, k)), flush=True)
    print(f"{time.process_time() - begun:.0f} s of processor time")


if __name__ == "__main__":
    main()
