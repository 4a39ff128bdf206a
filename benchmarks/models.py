"""Sets of motion models for aircraft: what each costs, and how near its tracks are, straight, turning and climbing.

`python benchmarks/models.py` runs 20 draws of each kind of flight with each set (`TrackerSettings.air_modes`), and 200 aircraft
for the rate: the sets take turns in one process, and what is printed is the median of each one's processor time over the
default's in the same turn. `--tiny` one draw and two turns. The numbers of AIR_MODES were chosen on the development seeds, 201
and on.
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

DEFAULT = ("cv-low", "turn")
SETS = (DEFAULT, ("cv-low", "climb", "turn"), ("cv-low", "cv-high", "turn"), ("cv-low", "climb"), ("cv-low",))
KINDS = ("straight", "turning", "climbing")


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


if __name__ == "__main__":
    main()
