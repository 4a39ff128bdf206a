"""Missiles on fresh seeds: how soon they are confirmed, how well they are tracked, and how near their landing is told.

`python benchmarks/ballistic.py` runs the test seeds over both Earths with 10 and 30 missiles; `--development` the seeds the
parameters were chosen on; `--seeds N` only the first N of them; `--tiny` one small salvo; `--reference FOLDER` the prototype
that the aims are of, beside ours on the sphere's salvoes of 10 (ballistic_reference.py). The landing is told from each
confirmed estimate by falling on from it with 5,000 kg/m2; its error is the median within 3 s of 10, 20 and 60 s after the later
of burn-out and confirmation, as the reference scorer counts it (every scan for a track's first 60, then every fourth). Below each
line stand the aims, and bounds of the landing error that the same plots allow (ballistic_bound.py; salvoes of 10).
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import ballistic_reference
from ballistic_bound import bounds_km
from scenarios import RADIUS_M, Earth, landing, missile_draws, missiles
from trilat.cli.bench_track import run_scenario, score_scenario

DEVELOPMENT, TEST = range(1, 21), range(101, 121)  # apart on purpose: nothing was chosen on the test seeds
AFTER_S = (10.0, 20.0, 30.0, 60.0)
NEAR_M = 5_000.0
DENSE_SCANS, WINDOW_S = 60, 3.0
CONFIRM_S = 8.0  # the aim, from first sight
AIM_KM = (6.8, 2.9, None, 0.6)  # median landing error at AFTER_S
BOUND_MAX = 10  # missiles in a salvo of which bounds are told
BOUNDS = {
    "free": "told of burn-out, of thrust nothing",
    "programme": "told the generator's programme but its numbers",
    "fall": "told the true state, falling with 5,000 kg/m2",
}


def examine(arrays: Any, found: Any) -> tuple[Any, list[list[tuple[int, int, int]]]]:
    """Return confirmation times (n,) and, per missile and delay, the (missile, scan, row) of the estimates to judge."""
    scan_t, truth, alive = arrays["scan_t"], arrays["truth_pos"], arrays["truth_alive"]
    confirmed = np.full(len(truth), np.nan)
    held: list[list[tuple[int, int]]] = [[] for _ in truth]
    for k, e in enumerate(found):
        for i in np.flatnonzero(alive[:, k]) if len(e.track_id) else ():
            d = np.linalg.norm(e.position_m - truth[i, k], axis=1)
            row = int(d.argmin())
            if d[row] > NEAR_M:
                continue
            if np.isnan(confirmed[i]):
                confirmed[i] = scan_t[k]
            if k % 4 == 0 or len(held[i]) < DENSE_SCANS:
                held[i].append((k, row))
    wanted = []
    for i, of in enumerate(held):
        start = max(arrays["burnout_t"][i], confirmed[i])
        wanted += [[(i, k, row) for k, row in of if abs(scan_t[k] - start - after) < WINDOW_S] for after in AFTER_S]
    return confirmed, wanted


def landing_errors(earth: Earth, runs: list[tuple[Any, Any]]) -> tuple[Any, Any]:
    """Return delays from first sight to confirmation (all missiles) and landing errors in metres (missiles, delays)."""
    delays, cells, p, v, true = [], [], [], [], []
    for arrays, found in runs:
        confirmed, wanted = examine(arrays, found)
        delays.append(confirmed - arrays["first_visible_t"])
        for cell in wanted:
            cells.append(len(cell))
            for i, k, row in cell:
                p.append(found[k].position_m[row])
                v.append(found[k].velocity_m_s[row])
                true.append(arrays["impact_p"][i])
    ends, _ = landing(earth, np.array(p).reshape(-1, 3), np.array(v).reshape(-1, 3))
    a, b = ends - earth.centre, np.array(true).reshape(-1, 3) - earth.centre
    across = np.linalg.norm(np.cross(a, b), axis=1)
    error = RADIUS_M * np.arctan2(across, np.einsum("ij,ij->i", a, b))
    error = np.where(np.isfinite(error), error, 9e6)
    edges = np.concatenate([[0], np.cumsum(cells)])
    medians = [np.median(error[x:y]) if y > x else np.nan for x, y in pairwise(edges)]
    return np.concatenate(delays), np.array(medians).reshape(-1, len(AFTER_S))


def confirmed_told(delays: Any) -> str:
    """Return how soon after first sight missiles are confirmed (s), in words; one that never is counts as late."""
    early, never = np.nan_to_num(delays, nan=np.inf) <= CONFIRM_S + 1e-6, int(np.isnan(delays).sum())
    return (
        f"confirmed after {np.nanmedian(delays):.1f} s, {early.mean():.1%} within {CONFIRM_S:.0f} s "
        f"(most {np.nanmax(delays):.1f}, never {never})"
    )


def third_plots(salvos: list[Any]) -> tuple[float, float, int]:
    """Return how long after first sight a missile's third own plot comes, median and most, and how many have no three.

    Nothing is confirmed of fewer.
    """
    after = []
    for arrays in salvos:
        when = np.repeat(arrays["scan_t"], np.diff(arrays["scan_start"]))
        for i, first in enumerate(arrays["first_visible_t"]):
            mine = when[arrays["det_truth"] == i]
            after.append(mine[2] - first if len(mine) > 2 else np.nan)
    return float(np.nanmedian(after)), float(np.nanmax(after)), int(np.isnan(after).sum())


def measure(kind: str, count: int, seeds: list[int]) -> dict[str, Any]:
    """Return the figures of one Earth and salvo size over seeds."""
    salvos = missiles(seeds, count, kind)
    runs, scores, cpu = [], [], time.process_time()
    for arrays in salvos:
        result, found = run_scenario(arrays, "missile", 1)
        scores.append(score_scenario(arrays, "missile", found, None) | result)
        runs.append((arrays, found))
    delays, errors = landing_errors(Earth(kind), runs)
    bounds = {}
    if count <= BOUND_MAX:
        confirmed = [(arrays, examine(arrays, found)[0]) for arrays, found in runs]
        draws = [missile_draws(np.random.default_rng(seed), count) for seed in seeds]
        bounds = bounds_km(Earth(kind), confirmed, draws, AFTER_S)
    return {
        "bounds_km": bounds,
        "third_s": third_plots(salvos),
        "gospa_m": float(np.mean([s["gospa_m"] for s in scores])),
        "id_changes": int(sum(s["id_changes"] for s in scores)),
        "false": float(np.mean([s["false"] for s in scores])),
        "velocity_m_s": float(np.mean([s["siap"]["VA"] for s in scores])),
        "confirmed": confirmed_told(delays),
        "landing_km": np.nanmedian(errors, axis=0) / 1e3,
        "landing_90_km": np.nanpercentile(errors, 90, axis=0) / 1e3,
        "missiles": count * len(seeds),
        "plots_per_s": sum(s["detections"] for s in scores) / sum(s["cpu_s"] for s in scores),
        "cpu_s": time.process_time() - cpu,
    }


def row(kind: str, count: int, r: dict[str, Any]) -> str:
    """Return the figures as one line."""
    told = "  ".join(
        f"+{a:.0f} s {m:5.2f} ({n:5.2f})" for a, m, n in zip(AFTER_S, r["landing_km"], r["landing_90_km"], strict=True)
    )
    return (
        f"{kind:6s} {count:2d} a salvo, {r['missiles']:3d} in all: GOSPA {r['gospa_m']:6.0f} m, "
        f"number changes {r['id_changes']} ({10 * r['id_changes'] / r['missiles']:.2f} in ten missiles), false {r['false']:.3f}, "
        f"velocity {r['velocity_m_s']:.0f} m/s, {r['confirmed']}; landing error km, median (90 %): {told}; "
        f"{r['plots_per_s']:,.0f} plots/s"
    )


def beside(count: int, r: dict[str, Any]) -> str:
    """Return the aims, and the bounds where there are some, as lines below that."""
    aims = "  ".join(f"+{a:.0f} s {aim}" for a, aim in zip(AFTER_S, AIM_KM, strict=True) if aim)
    out = f"  aims: confirmed after at most {CONFIRM_S:.0f} s; number changes at most 1 in ten missiles; "
    out += f"landing error median km: {aims}"
    out += "; GOSPA 952 m (10 on the sphere)" if count == BOUND_MAX else ""
    middle, most, none = r["third_s"]
    out += f"\n  the third plot of a missile comes after {middle:.1f} s (most {most:.1f}, never {none})"
    for name, what in BOUNDS.items():
        if name in r["bounds_km"]:
            told = "  ".join(f"+{a:.0f} s {b:5.2f}" for a, b in zip(AFTER_S, r["bounds_km"][name], strict=True))
            out += f"\n  no tracker is nearer, {what}: {told}"
    return out


def compare(folder: Path, seeds: list[int]) -> None:
    """Print the landing errors of the reference prototype and ours, each after its own confirmation, then at the same moments."""
    module, earth = ballistic_reference.load(folder), Earth("sphere")
    salvos = missiles(seeds, BOUND_MAX, "sphere")
    runs = {
        "reference": [(arrays, ballistic_reference.run(module, arrays)) for arrays in salvos],
        "ours": [(arrays, run_scenario(arrays, "missile", 1)[1]) for arrays in salvos],
    }
    times = [[examine(*one)[0] for one in of] for of in runs.values()]
    both = [np.array(salvo) for salvo in zip(*times, strict=True)]
    for name, of in runs.items():
        delays, own = landing_errors(earth, of)
        _, same = landing_errors(earth, ballistic_reference.at_the_same_moments(of, both))
        print(
            f"{name:9s} sphere {BOUND_MAX} a salvo, {len(own)} in all: {confirmed_told(delays)}; "
            f"landing error km, median: {_told(own)}; at the same moments: {_told(same)}",
            flush=True,
        )


def _told(errors: Any) -> str:
    """Return medians of landing errors as words."""
    return "  ".join(f"+{a:.0f} s {m / 1e3:5.2f}" for a, m in zip(AFTER_S, np.nanmedian(errors, axis=0), strict=True))


def main() -> None:
    """Print one line per Earth and salvo size."""
    parser = argparse.ArgumentParser(description="Missiles on fresh seeds.")
    parser.add_argument("--tiny", action="store_true", help="one small salvo")
    parser.add_argument("--development", action="store_true", help="the seeds the parameters were chosen on")
    parser.add_argument("--seeds", type=int, choices=range(1, 21), metavar="N", help="only the first so many seeds")
    parser.add_argument("--reference", type=Path, metavar="FOLDER", help="where ball.py is: it beside ours, and nothing else")
    given = parser.parse_args()
    tiny, seeds = given.tiny, list(DEVELOPMENT if given.development else TEST)[: given.seeds]
    if given.reference:
        compare(given.reference, seeds)
        return
    for kind in ("sphere",) if tiny else ("sphere", "wgs84"):
        for count in (3,) if tiny else (10, 30):
            figures = measure(kind, count, seeds[:1] if tiny else seeds)
            print(row(kind, count, figures), flush=True)
            print(beside(count, figures), flush=True)


if __name__ == "__main__":
    main()
