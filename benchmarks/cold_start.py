"""Cold start: from the start of a process to its first plot tracked, with numba's cache warm (`make setup` fills it).

`python benchmarks/cold_start.py` starts ten processes one after the other and prints the median and the worst of wall time and
of CPU time; `--tiny` starts one. The interpreter's own start counts. The target is 2 s.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from time import perf_counter

PROCESSES = 10
CHILD = """
import time
from trilat.track import Tracker, TrackerSettings, reports_of, sensor_at
from trilat.track.library import batch
tracker = Tracker(TrackerSettings(), [sensor_at(33.0, 130.0)], "cold")
plot = reports_of({"t_s": [0.0], "range_m": [5e4], "azimuth_rad": [1.0], "elevation_rad": [0.1]})
tracks = tracker.step(int(plot["t_ns"][0]), [batch(plot)]).columns
print(len(tracks), time.process_time())
"""


def start() -> tuple[float, float]:
    """Return wall and CPU seconds from the start of a process to its first plot tracked."""
    begin = perf_counter()
    said = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True).stdout.split()
    wall_s = perf_counter() - begin
    if said[0] != "1":
        raise SystemExit(f"one plot made {said[0]} tracks, not one")
    return wall_s, float(said[1])


def main() -> None:
    """Print how long the first plot takes."""
    parser = argparse.ArgumentParser(description="From the start of a process to its first plot tracked.")
    parser.add_argument("--tiny", action="store_true", help="one process")
    tiny = parser.parse_args().tiny
    start()  # fills the cache where `make setup` has not, and the file system's
    measured = [start() for _ in range(1 if tiny else PROCESSES)]
    for name, values in (("wall", [wall for wall, _ in measured]), ("CPU", [cpu for _, cpu in measured])):
        told = f"(aim 2; worst {max(values):.2f} s, {len(values)} processes)"
        print(f"first plot after {statistics.median(values):.2f} s {name} {told}")


if __name__ == "__main__":
    main()
