"""Fusion between nations: what sharing tracklets or tracks loses against sharing every plot, and what a combined picture costs.

`python benchmarks/fusion.py` prints the full tables; `--tiny` runs everything at its smallest size.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fuse"))

from fuse_world import START_NS, World

from trilat.cli.bench_fusion import Network, measure
from trilat.fuse.combine import Combiner

_parser = argparse.ArgumentParser(description="Fusion between nations.")
_parser.add_argument("--tiny", action="store_true", help="everything at its smallest size")
TINY = __name__ == "__main__" and _parser.parse_args().tiny
TARGETS, SECONDS = (8, 120) if TINY else (100, 360)
CONDITIONS = {
    "as sent": Network(),
    "20 s late, 30 % twice": Network(late_s=20, duplicates=0.3),
    "relay loop": Network(relay_loop=True),
    "25 s partition": Network(partition_s=25),
    "20 % lost": Network(loss=0.2),
}


def federation() -> None:
    """Print RMSE relative to sharing all plots, and NEES per dimension, per tier and condition."""
    for exchange_s in (5,) if TINY else (1, 5, 10):
        for name, network in CONDITIONS.items():
            if name != "as sent" and exchange_s != 5:
                continue
            for tier in ("tracklet", "track", "naive"):
                r = measure(tier, exchange_s=exchange_s, targets=TARGETS, seconds=SECONDS, network=network)
                ratios = f"x central {r['ratio']:7.3f} (settled {r['settled_ratio']:7.3f})"
                print(f"exchange {exchange_s:2d} s, {name:22s} {tier:9s} {ratios}  NEES/dim {r['nees']:10.2f}")


def combined() -> None:
    """Print the CPU time of one step of the combined picture: three nations' tracks, 5 steps a second, partners once a second."""
    targets, seconds = (20, 3) if TINY else (300, 40)
    world, combiner = World(targets, 1), Combiner("JPN", ("KOR", "USA"))
    took = []
    for k in range(5 * seconds):
        t_s = k / 5
        national = world.tracks("JPN", t_s)
        items = [i for n in ("KOR", "USA") for i in world.items(n, t_s - 0.4, k)] if k % 5 == 2 else []
        begin = time.process_time()
        shown = combiner.step(START_NS + round(t_s * 1e9), national, items)
        took.append(time.process_time() - begin)
    ms = np.array(took[len(took) // 2 :]) * 1e3
    size = f"{targets} targets x 3 nations: {len(shown.members)} tracks"
    print(f"combined picture, {size}, step CPU mean {ms.mean():.2f} ms, most {ms.max():.2f} ms")


if __name__ == "__main__":
    combined()
    federation()
