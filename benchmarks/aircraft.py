"""Aircraft apart, 200 and 1,000: the tracker alone, and beside Stone Soup's best set-up in the same job.

`python benchmarks/aircraft.py` prints what `trilat bench track` and, with the compare extra, `trilat bench compare` print for
each size; `--seed N` another draw; `--peer-s N` how long the peer may take (processor time); `--tiny` 20 aircraft alone.
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
    if not peer and not given.tiny:
        print("Stone Soup is not installed: pip install 'trilat[compare]'", file=sys.stderr)


if __name__ == "__main__":
    main()
