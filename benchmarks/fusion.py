"""Fusion between nations: what sharing tracklets or tracks loses against sharing every plot, and what a combined picture costs.

`python benchmarks/fusion.py` prints the full tables, each figure beside its aim: the picture's cost, the plain experiment
(known association), the nodes' own parts (real association, turns, false plots; then biases and no reference; then loss and
lateness as well), and registration. `--tiny` runs everything at its smallest size.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fuse"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "joint"))

from fuse_world import START_NS, World
from watch_world import HONEST, TRUTH, watched

from trilat.cli.bench_fusion import Network, measure
from trilat.cli.bench_fusion_world import Real, Tally, central_tally, make_real_world, measure_real
from trilat.fuse.combine import Combiner
from trilat.fuse.registration import PLACE, RegistrationSettings
from trilat.track import TrackerSettings

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
AIMS = {"plot": "aim 1.01", "tracklet": "aim 1.01", "track": "aim 1.20", "naive": "to fail"}
PLACE_M = (300.0, 200.0, 0.0)
BIASED = Real(bias_deg=0.2, bias_m=100.0)
REAL = {
    "no bias": (Network(), Real()),
    "0.2 deg, 100 m": (Network(), BIASED),
    "0.2 deg, 100 m, 10 % lost, 5 s late": (Network(loss=0.1, late_s=5, duplicates=0.2), BIASED),
}


def federation() -> None:
    """Print RMSE relative to sharing all plots, and NEES per dimension, per tier and condition."""
    for exchange_s in (5,) if TINY else (1, 5, 10):
        for name, network in CONDITIONS.items():
            if name != "as sent" and exchange_s != 5:
                continue
            for tier, aim in AIMS.items():
                r = measure(tier, exchange_s=exchange_s, targets=TARGETS, seconds=SECONDS, network=network)
                ratios = f"x central {r['ratio']:7.3f} (settled {r['settled_ratio']:7.3f}; {aim})"
                print(
                    f"exchange {exchange_s:2d} s, {name:22s} {tier:9s} {ratios}  NEES/dim {r['nees']:10.2f} (aim 0.8-1.2)",
                    flush=True,
                )


def real() -> None:
    """Print the figures of the nodes' own parts, beside one tracker with every plot."""
    for name, (network, world) in REAL.items():
        for seed in (5,) if TINY else (5, 6):
            for tier in ("plot", "tracklet", "track"):
                r = measure_real(
                    tier, nodes=3, exchange_s=5, targets=TARGETS, seconds=SECONDS, seed=seed, network=network, real=world
                )
                print(
                    f"real, seed {seed}, {name:36s} {tier:9s} x central {r['ratio']:6.3f} (aim 1.10)  NEES/dim {r['nees']:5.2f} "
                    f"(aim 0.8-1.2; central {r['central_nees']:4.2f})  missed {r['missed']:.2f}, false {r['false']:.2f} "
                    f"(central {r['central_false']:.2f}) of {TARGETS}",
                    flush=True,
                )


def alone() -> None:
    """Print the NEES of targets tracked one by one without false plots or biases: what is left is the motion models' own."""
    settings = TrackerSettings(domains=("air",))
    for turning, name in ((0.0, "in straight flight"), (1.0, "that turn once")):
        tally = Tally()
        for seed in range(3 if TINY else 20):
            world = make_real_world(3, 1, 120 if TINY else 240, 100 + seed, Real(turning=turning, clutter=0.0))
            one = central_tally(world, settings)
            tally.nees, tally.pairs = tally.nees + one.nees, tally.pairs + one.pairs
        print(f"real, each target alone, {name}: NEES/dim {tally.figures()['nees']:.2f} (aim 0.8-1.2)", flush=True)


def registration() -> None:
    """Print what is found of 0.2 degrees, 100 m and 0.5 s of one of two radars in five minutes, and how many tracks there are."""
    worst, doubt, tracks, targets, seeds = [], [], 0, 25, (11,) if TINY else (11, 12, 13, 14)
    for seed in seeds:
        watch, shown, *_ = watched(targets, SECONDS if TINY else 300, seed)
        bias = watch.registration.bias(0)
        worst.append(np.abs(bias.value[:4] / list(TRUTH.values()) - 1.0))
        doubt.append(bias.sigma()[:4] / list(TRUTH.values()))
        tracks += int((shown["status"] == 1).sum())
    for k, name in enumerate(TRUTH):
        off, sigma = max(one[k] for one in worst), max(one[k] for one in doubt)
        print(
            f"registration, 5 min: {name:9s} within {off:5.1%} at worst of {len(seeds)} draws (aim 10 %), one sigma {sigma:.1%}"
        )
    print(f"registration: {tracks} tracks of {targets * len(seeds)} aircraft (aim one each)", flush=True)
    place(targets, seeds)


def place(targets: int, seeds: tuple[int, ...]) -> None:
    """Print what is found of a radar's wrong place, and the tracks' error with that, without, and where the place is right."""
    for name, truth in (("alone", HONEST), ("and the biases above", TRUTH)):
        said = {
            "taken off": (PLACE_M, None),
            "not looked for": (PLACE_M, RegistrationSettings(place_wrong_sigma_m=1.0)),
            "right": ((0.0, 0.0, 0.0), None),
        }
        off, sigma, told = [], [], []
        for how, (stands, settings) in said.items():
            got = [
                watched(targets, SECONDS if TINY else 300, seed, truth, stands, settings, silent=targets // 2) for seed in seeds
            ]
            if how == "taken off":
                bias = [one.watch.registration.bias(0) for one in got]
                off, sigma = [one.value[PLACE:] - PLACE_M for one in bias], [one.sigma()[PLACE:] for one in bias]
            rmse_m, false = np.sqrt(np.mean([one.rmse_m**2 for one in got])), np.mean([one.false for one in got])
            told.append(f"{how} {rmse_m:.0f} m, {false:.1f} tracks too many")
        away, wide = np.abs(off).max(axis=0), np.max(sigma, axis=0)
        print(
            f"registration, place 300 m east, 200 m north, {name}: found within {away[0]:.0f}, {away[1]:.0f}, {away[2]:.0f} m "
            f"(east, north, up; one sigma {wide[0]:.0f}, {wide[1]:.0f}, {wide[2]:.0f}) at worst of {len(seeds)} draws; "
            f"error of the tracks, half of the aircraft silent: {'; '.join(told)}",
            flush=True,
        )


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
    registration()
    alone()
    real()
    federation()
