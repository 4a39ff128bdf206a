"""Sets of motion models for aircraft: what each costs, and how near its tracks are, straight, turning and climbing.

`python benchmarks/models.py` runs 20 draws of each kind of flight with each set (`TrackerSettings.air_modes`), and 200 aircraft
for the rate: the sets take turns in one process, and what is printed is the median of each one's processor time over the
default's in the same turn. Then 60 level flights before a radar that measures no height, nearer and farther: error of height and
NEES of place, at the end of 200 s. `--tiny` one draw and two turns. The numbers of AIR_MODES were chosen on the development
seeds, 201 and on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from scenarios import aircraft
from smoothing import errors_of, stretches
from trilat.cli.bench_track import run_scenario, score_scenario
from trilat.kernels import geodesy
from trilat.track import Tracker, TrackerSettings, reports_of, sensor_at
from trilat.track.library import batch

DEFAULT = ("cv-low", "turn")
SETS = (DEFAULT, ("cv-low", "climb", "turn"), ("cv-low", "cv-high", "turn"), ("cv-low", "climb"), ("cv-low",))
KINDS = ("straight", "turning", "climbing")
FLAT = sensor_at(33.0, 130.0, 100.0, kind="radar2d", clutter_per_scan=2.0)
BANDS_KM = ((20, 60), (60, 150), (150, 300))
LEVEL_S = np.arange(0.0, 200.0, FLAT.period_s)


def rates(arrays: Any, turns: int) -> dict[tuple[str, ...], tuple[float, float, float]]:
    """Return plots/s, processor time over the default's in the same turn (median), and GOSPA m of each set."""
    took = np.zeros((turns, len(SETS)))
    gospa = np.zeros(len(SETS))
    for turn in range(turns):
        for k in np.roll(np.arange(len(SETS)), turn):  # none is always first
            result, found = run_scenario(arrays, "air", 1, air_modes=SETS[k])
            took[turn, k] = result["cpu_s"]
            gospa[k] = score_scenario(arrays, "air", found, None)["gospa_m"]
    plots = int(arrays["scan_start"][-1])
    times = np.median(took / took[:, :1], axis=0)
    return {one: (plots / took[:, k].min(), float(times[k]), float(gospa[k])) for k, one in enumerate(SETS)}


def level(seed: int, near_m: float, far_m: float) -> tuple[float, float] | None:
    """Return the error of height m and the NEES of place per dimension of one level flight at its end; None without a track."""
    g = np.random.default_rng(seed)
    away_m, bearing, alt_m, heading, speed = (
        g.uniform(*of) for of in ((near_m, far_m), (0, 6.28), (3e3, 11e3), (0, 6.28), (150, 280))
    )
    east = away_m * np.sin(bearing) + speed * np.sin(heading) * LEVEL_S
    north = away_m * np.cos(bearing) + speed * np.cos(heading) * LEVEL_S
    up = alt_m - FLAT.alt_m - (east**2 + north**2) / 2.0 / 6.371e6
    place = geodesy.enu_to_ecef(np.column_stack([east, north, up]), FLAT.lat_deg, FLAT.lon_deg, FLAT.alt_m)
    r, azimuth, _ = geodesy.ecef_to_rae(place, FLAT.lat_deg, FLAT.lon_deg, FLAT.alt_m).T
    r, azimuth = r + g.normal(0, FLAT.sigma_range_m, len(r)), azimuth + g.normal(0, FLAT.sigma_azimuth_rad, len(r))
    columns = reports_of({"t_s": LEVEL_S, "range_m": r, "azimuth_rad": azimuth % geodesy.TWO_PI})
    tracker = Tracker(TrackerSettings(tracks_max=50), [FLAT], "bench")
    for k in range(len(columns)):
        shown = tracker.step(int(columns["t_ns"][k]) + 1, [batch(columns[k : k + 1])]).columns
    if not len(shown):
        return None
    error, doubt = shown[0]["position_m"] - place[-1], shown[0]["covariance"][:3, :3]
    height = geodesy.ecef_to_geodetic(np.array([shown[0]["position_m"], place[-1]]))[:, 2]
    return float(height[0] - height[1]), float(error @ np.linalg.solve(doubt, error)) / 3.0


def heights(draws: range) -> None:
    """Print how well heights are known that nothing measures."""
    for near, far in BANDS_KM:
        found = np.array([one for seed in draws if (one := level(seed, near * 1e3, far * 1e3)) is not None])
        error_m, nees = float(np.sqrt(np.mean(found[:, 0] ** 2))), found[:, 1]
        print(
            f"radar without height, {len(found)} level flights at {near} to {far} km: error of height {error_m:.0f} m; "
            f"NEES of place per dimension mean {nees.mean():.2f}, median {np.median(nees):.2f}, most {nees.max():.1f}",
            flush=True,
        )


def main() -> None:
    """Print one line a set."""
    parser = argparse.ArgumentParser(description="Sets of motion models for aircraft.")
    parser.add_argument("--tiny", action="store_true", help="one draw of each flight, two turns")
    parser.add_argument("--seed", type=int, default=101, help="the first seed; 101 and on are the test seeds")
    given = parser.parse_args()
    draws = range(given.seed, given.seed + (1 if given.tiny else 20))
    cost = rates(aircraft(given.seed, 20 if given.tiny else 200), 2 if given.tiny else 15)
    print("root mean square error of place m, of velocity m/s, NEES per dimension, live")
    for one in SETS:
        told = []
        for kind in KINDS:
            live = errors_of(stretches(kind, draws, air_modes=one))["live"]
            told.append(f"{kind} {live.place_m:5.1f} {live.speed_m_s:5.2f} {live.nees:5.2f}")
        rate, times, gospa = cost[one]
        print(
            f"{', '.join(one):24s} {'; '.join(told)}; 200 aircraft: GOSPA {gospa:.0f} m, {rate:,.0f} plots/s, "
            f"{times:.2f} times the default's processor time",
            flush=True,
        )
    heights(range(given.seed, given.seed + (1 if given.tiny else 60)))


if __name__ == "__main__":
    main()
