"""Close formations: decisions put off, against our own engine with nearest neighbours only, and against Stone Soup's.

`python benchmarks/formations.py` runs the 30 test seeds and prints the paired difference with its 95 % interval;
`--development` the seeds the method was chosen on; `--seeds N` the first N; `--tiny` one seed, without the peer. Stone Soup's
JPDA by loopy belief propagation (the compare extra) runs on the first four as well, with `--peer N` on the first N, with
`--peer 0` on none. T-GOSPA has p 2, c 500 m, gamma 100 m and counts from 20 s on. A swap is a truth whose track, by each scan's
best assignment within 500 m, is another than before. A pair of truths has coalesced in a scan when their two tracks are less
than half as far apart as they are. Beside the methods stands what the filter does where each plot is given to its own aircraft:
what any association leaves.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import t

sys.path.insert(0, str(Path(__file__).parent))

from scenarios import formations
from trilat.cli.bench_compare import run_peer
from trilat.cli.bench_track import run_scenario
from trilat.exercise.score import Estimates, t_gospa

DEVELOPMENT, TEST = range(1, 31), range(101, 131)
CUT_OFF_M, SWITCH_M, FROM_S = 500.0, 100.0, 20.0
NEAR_TRUTHS_M = 1_500.0
PEER_SEEDS, PEER_S = 4, 300.0  # a seed takes the peer some fifteen seconds and more; of processor time for each at most


def judge(arrays: Any, found: Any) -> dict[str, float]:
    """Return T-GOSPA and its parts, swaps and coalesced pairs of one run."""
    scans = [k for k in range(len(found)) if arrays["scan_t"][k] >= FROM_S]
    truth, alive = arrays["truth_pos"][:, scans], arrays["truth_alive"][:, scans]
    e = t_gospa(truth, alive, [found[k] for k in scans], CUT_OFF_M, SWITCH_M)
    held: dict[int, int] = {}
    swaps = merged = pairs = 0
    for at, k in enumerate(scans):
        d = np.linalg.norm(truth[:, at, None] - found[k].position_m[None], axis=2)
        rows, columns = linear_sum_assignment(np.minimum(d, CUT_OFF_M) ** 2)
        of = {i: j for i, j in zip(rows.tolist(), columns.tolist(), strict=True) if d[i, j] < CUT_OFF_M}
        for i, j in of.items():
            name = int(found[k].track_id[j])
            swaps += held.get(i, name) != name
            held[i] = name
        for i in of:
            for o in of:
                apart = float(np.linalg.norm(truth[i, at] - truth[o, at]))
                if o > i and apart < NEAR_TRUTHS_M:
                    pairs += 1
                    own = np.linalg.norm(found[k].position_m[of[i]] - found[k].position_m[of[o]])
                    merged += own < 0.5 * apart
    n = len(truth)
    per = 1.0 / np.sqrt(alive.sum())  # per truth and scan, so that seeds of many aircraft do not outweigh the others
    return {
        "t_gospa_m": e.distance_m * per,
        "localisation_m2": e.localisation_m2 * per**2,
        "missed_m2": e.missed_m2 * per**2,
        "false_m2": e.false_m2 * per**2,
        "switch_m2": e.switch_m2 * per**2,
        "swaps": swaps / n,
        "coalesced": merged / max(pairs, 1),
    }


def alone(arrays: Any) -> list[Estimates]:
    """Return estimates where each plot is given to its own aircraft: every one tracked as if it flew alone, without false plots.

    No association is better; what numbers still change is what the filter loses by itself.
    """
    parts = []
    for i in range(len(arrays["truth_pos"])):
        mine = arrays["det_truth"] == i
        count = np.concatenate([[0], np.cumsum(mine)])
        one = {**arrays, "det": arrays["det"][mine], "det_truth": arrays["det_truth"][mine]}
        one["scan_start"] = count[arrays["scan_start"]]
        parts.append(run_scenario(one, "air", 1)[1])
    out = []
    for scan in zip(*parts, strict=True):
        names = np.concatenate([e.track_id * len(parts) + i for i, e in enumerate(scan)])
        out.append(Estimates(names, np.concatenate([e.position_m for e in scan]), np.concatenate([e.velocity_m_s for e in scan])))
    return out


def paired(a: Any, b: Any) -> str:
    """Return the mean of a - b as a share of b's mean, with the 95 % interval of the paired difference."""
    if not any(b):
        return "none in either" if not any(a) else "none in the other"
    d = (np.array(a) - np.array(b)) / np.mean(b)
    if len(d) < 2:
        return f"{d.mean():+.1%} (one seed: no interval)"
    half = float(t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d)))
    return f"{d.mean():+.1%} +- {half:.1%}"


def beside(scenes: list[Any]) -> None:
    """Print how Stone Soup's JPDA by loopy belief propagation does on some scenes, and ours on the scans that it got through."""
    theirs, own, cpu_s = [], [], 0.0
    for arrays in scenes:
        found, took_s, _ = run_peer(arrays, PEER_S, soft=True)
        theirs.append(judge(arrays, found))
        own.append(judge(arrays, run_scenario(arrays, "air", 1, association="mht")[1][: len(found)]))
        cpu_s += took_s
        if len(found) < (whole := len(arrays["scan_t"])):
            print(f"  Stone Soup's {PEER_S:.0f} s were up after {len(found)} of {whole} scans: ours is judged on these")
    show(f"Stone Soup, {len(scenes)} seeds", theirs)
    show(f"hypotheses (ours), {len(scenes)} seeds", own)
    for key, aim in (("t_gospa_m", " (aim: not above)"), ("swaps", "")):
        print(f"  hypotheses against Stone Soup, {key}: {paired(*([r[key] for r in x] for x in (own, theirs)))}{aim}")
    print(f"  Stone Soup took {cpu_s:.0f} s of processor time")


def show(name: str, results: list[dict[str, float]]) -> None:
    """Print the means of one method."""
    m = {key: float(np.mean([r[key] for r in results])) for key in results[0]}
    parts = ", ".join(f"{k[:-3]} {m[k]:,.0f}" for k in m if k.endswith("_m2"))
    print(
        f"{name:24s} T-GOSPA {m['t_gospa_m']:6.1f} m per truth and scan (squares: {parts}), "
        f"swaps per truth {m['swaps']:.3f}, coalesced {m['coalesced']:.2%}",
        flush=True,
    )


def main() -> None:
    """Print every method's means, and the paired differences from nearest neighbours."""
    parser = argparse.ArgumentParser(description="Close formations.")
    parser.add_argument("--tiny", action="store_true", help="one seed")
    parser.add_argument("--development", action="store_true", help="the seeds the method was chosen on")
    parser.add_argument("--seeds", type=int, choices=range(1, 31), metavar="N", help="only the first N seeds")
    parser.add_argument(
        "--peer",
        type=int,
        choices=range(31),
        metavar="N",
        default=PEER_SEEDS,
        help="Stone Soup's JPDA on the first N seeds as well",
    )
    given = parser.parse_args()
    seeds = list(DEVELOPMENT if given.development else TEST)[: 1 if given.tiny else given.seeds]
    scenes = [formations(seed) for seed in seeds]
    names = ("gnn", "lbp", "mht")
    methods = {name: [judge(a, run_scenario(a, "air", 1, association=name)[1]) for a in scenes] for name in names}
    show("nearest neighbours (ours)", methods["gnn"])
    show("belief propagation (ours)", methods["lbp"])
    show("hypotheses (ours)", methods["mht"])
    show("each plot given rightly", [judge(a, alone(a)) for a in scenes])
    for key, aim in (("t_gospa_m", "-10 %"), ("swaps", "-50 %")):
        told = paired(*([r[key] for r in methods[m]] for m in ("mht", "gnn")))
        print(f"  hypotheses against nearest neighbours, {key}: {told} (aim {aim})")
    if given.peer > 0 and not given.tiny:
        if importlib.util.find_spec("stonesoup") is None:
            print("Stone Soup is not installed: pip install 'trilat[compare]'", file=sys.stderr)
        else:
            beside(scenes[: given.peer])


if __name__ == "__main__":
    main()
