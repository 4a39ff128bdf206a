"""Metrics: what scoring a long run costs - GOSPA with SIAP figures, T-GOSPA, OSPA and SIAP of given associations.

`python benchmarks/metrics.py` scores 1,000 targets over 1,000 scans; `--tiny` 10 over 10.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from trilat.exercise.score import Association, Estimates, gospa, ospa, score, siap, t_gospa

_parser = argparse.ArgumentParser(description="The processor time of every metric.")
_parser.add_argument("--tiny", action="store_true", help="10 targets over 10 scans")
TINY = __name__ == "__main__" and _parser.parse_args().tiny
TARGETS, SCANS = (10, 10) if TINY else (1_000, 1_000)
CUT_M, SWITCH_M = 2_000.0, 100.0


def run() -> tuple[Any, Any, Any, Any, list[Estimates]]:
    """Draw targets on straight lines and tracks of them: 3 % missed, 80 m off, a tenth of the numbers change half way."""
    g = np.random.default_rng(1)
    t = np.arange(SCANS) * 1.0
    start, speed = g.uniform(-3e5, 3e5, (TARGETS, 3)), g.normal(0, 200, (TARGETS, 3))
    place = start[:, None] + speed[:, None] * t[None, :, None]
    velocity = np.broadcast_to(speed[:, None], place.shape)
    found = []
    for k in range(SCANS):
        seen = np.flatnonzero(g.random(TARGETS) < 0.97)
        changed = (seen % 10 == 0) & (k > SCANS // 2)
        near = place[seen, k] + g.normal(0, 80, (len(seen), 3))
        found.append(Estimates(seen + TARGETS * changed, near, velocity[seen, k]))
    return t, place, velocity, np.ones((TARGETS, SCANS), bool), found


def stretches(found: list[Estimates]) -> list[Association]:
    """Associate every track with its target while it is there without a gap."""
    scans: dict[int, list[int]] = {}
    for k, e in enumerate(found):
        for track in e.track_id.tolist():
            scans.setdefault(track, []).append(k)
    out = []
    for track, held in sorted(scans.items()):
        cuts = np.flatnonzero(np.diff(held) > 1)
        for a, b in zip([0, *(cuts + 1)], [*cuts, len(held) - 1], strict=True):
            out.append(Association(track % TARGETS, track, held[a], held[b]))
    return out


def main() -> None:
    """Print the CPU time of every metric."""
    t, place, velocity, alive, found = run()
    held = stretches(found)
    gospa(place[:, 0], found[0].position_m, CUT_M)  # compiled before the clock runs
    metrics: dict[str, Callable[[], Any]] = {
        "GOSPA and SIAP figures": lambda: score(t, place, velocity, alive, found, CUT_M, from_s=0.0),
        "T-GOSPA": lambda: t_gospa(place, alive, found, 500.0, SWITCH_M),
        "OSPA": lambda: [ospa(place[:, k], found[k].position_m, CUT_M) for k in range(SCANS)],
        f"SIAP of {len(held)} associations": lambda: siap(t, place, velocity, alive, found, held),
    }
    print(f"{TARGETS} targets x {SCANS} scans, CPU seconds (aim: seconds)")
    for name, measure in metrics.items():
        begin = time.process_time()
        measure()
        print(f"{name:34s} {time.process_time() - begin:6.2f} s")


if __name__ == "__main__":
    main()
