"""Aircraft apart, 200 and 1,000: the tracker alone, and beside Stone Soup's best set-up in the same job.

`python benchmarks/aircraft.py` prints what `trilat bench track` and, with the compare extra, `trilat bench compare` print for
each size; `--seed N` another draw; `--peer-s N` how long the peer may take (processor time); `--tiny` 20 aircraft alone. Then
5,000 aircraft alone, and the memory of ten minutes of 200 aircraft, minute by minute.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from scenarios import aircraft
from trilat.cli.bench_compare import command as compare
from trilat.cli.bench_track import command as track
from trilat.track.scenario import Scenario

AIMS = "  aims: 250,000 plots/s of one core; scan p99 10 ms; 500 times the peer (1,000 at best); GOSPA 4 % below the peer's"
MANY, LONG_S, MINUTE_S = 5_000, 600.0, 60.0


def memory(seed: int, count: int, seconds: float) -> None:
    """Print what a tracker holds after each minute of a long run."""
    scenario = Scenario(aircraft(seed, count, seconds), "air")
    tracker, held, plots = scenario.tracker(), [], 0
    scans = list(scenario.scans())
    for t_ns, sensor, batch in scans:
        if not len(batch.columns):
            tracker.look(t_ns, sensor)
        tracker.step(t_ns, [batch])
        plots += len(batch.columns)
        if (t_ns - scans[0][0]) * 1e-9 >= MINUTE_S * (len(held) + 1):
            held.append(tracker.memory_bytes() / 1e6)
    told = ", ".join(f"{mb:.1f}" for mb in held)
    print(f"{count} aircraft for {seconds:.0f} s, {plots:,} plots: the tracker holds {told} MB after each minute (aim: steady)")


def main() -> None:
    """Print the figures of each size."""
    parser = argparse.ArgumentParser(description="The tracker on aircraft apart.")
    parser.add_argument("--tiny", action="store_true", help="20 aircraft, the tracker alone")
    parser.add_argument("--seed", type=int, default=101, help="seed of everything drawn")
    parser.add_argument("--peer-s", type=float, default=75.0, help="processor seconds the peer may take")
    given = parser.parse_args()
    peer = not given.tiny and importlib.util.find_spec("stonesoup") is not None
    with tempfile.TemporaryDirectory() as folder:
        for count in (20,) if given.tiny else (200, 1_000):
            path = Path(folder) / f"aircraft{count}.npz"
            np.savez(path, **aircraft(given.seed, count))
            track.main([str(path)], standalone_mode=False)
            if peer:
                compare.main([str(path), "--max-s", str(given.peer_s)], standalone_mode=False)
            print(AIMS, flush=True)
        if not given.tiny:
            np.savez(path, **aircraft(given.seed, MANY))
            track.main([str(path), "--rounds", "1"], standalone_mode=False)
            print(f"  aim: {MANY:,} aircraft run", flush=True)
    memory(given.seed, 20 if given.tiny else 200, 2 * MINUTE_S if given.tiny else LONG_S)
    if not peer and not given.tiny:
        print("Stone Soup is not installed: pip install 'trilat[compare]'", file=sys.stderr)


if __name__ == "__main__":
    main()
