"""Another processor: without this one's instructions (no fused multiply-add, no wide vectors) the decisions are the same, states alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ALIKE = 1e-6  # of states: relative in the short proof, metres and m/s in the long one
# Chosen plots, their probabilities, and fused states, of random clusters and estimates.
KERNELS = """
import json
import numpy as np
from trilat.kernels import assign, fusion
g, chosen, told = np.random.default_rng(1), [], []
for _ in range(40):
    n, m = int(g.integers(1, 9)), int(g.integers(1, 9))
    start, column = np.arange(0, n * m + 1, m, dtype=np.int64), np.tile(np.arange(m), n).astype(np.int64)
    beta = np.empty(n * m)
    chosen.append(assign.choose(start, column, g.normal(-3.0, 4.0, n * m), m).tolist())
    assign.marginals(start, column, g.lognormal(0.5, 1.0, n * m), m, 1e-12, beta)
    told.append(beta.tolist())
    a = g.normal(0.0, 1.0, (2, 4, 6, 6)) * ([100.0] * 3 + [10.0] * 3)
    a, x = np.swapaxes(a, -1, -2) @ a + np.eye(6), g.normal(0.0, 100.0, (2, 4, 6))
    mean, covariance = np.empty((4, 6)), np.empty((4, 6, 6))
    fusion.fuse_pairs(x[0], a[0], x[1], a[1], 0, mean, covariance)
    told += mean.tolist() + covariance.reshape(-1, 6).tolist()
"""
# A minute of three aircraft before two radars, with fixes of one of them and false plots.
TRACKER = """
import json
import numpy as np
from track_cases import *
g, made, chosen, told = np.random.default_rng(1), tracker(), [], []
lines = [*LINES_OF_TWO, Line(40.6e3, 20e3, 9e3, 190.0, 60.0)]
false = radar_plots([Line(*g.uniform(-6e4, 6e4, 2), 9e3, 0.0, 0.0) for _ in range(8)], 60, g)
false["range_m"], false["azimuth_rad"] = g.uniform(2e4, 9e4, len(false)), g.uniform(0.0, 6.28, len(false))
parts = [radar_plots(lines, 60, g), radar_plots(lines, 60, g, 1, RADAR_B), false]
parts.append(fixes(lines[0], [T0_NS + k * S_NS for k in range(60)], g, address=7))
columns = np.concatenate(parts)
columns = columns[np.argsort(columns["t_ns"], kind="stable")]
for k in range(1, 64):
    part = columns[(columns["t_ns"] >= T0_NS + (k - 1) * S_NS) & (columns["t_ns"] < T0_NS + k * S_NS)]
    shown = made.step(T0_NS + k * S_NS, [reports(part)]).columns
    names = ("number", "status", "domain", "flags", "updated_t_ns", "sensors", "address")
    chosen += [shown[name].tolist() for name in names]
    told += shown["position_m"].tolist() + shown["velocity_m_s"].tolist()
chosen += [sorted(made.refused.items()), [list(event) for event in made.events]]
"""
END = "\nimport numba\nprint(json.dumps([numba.config.CPU_NAME, chosen, told]))\n"


def run(code: str, folder: Path | None) -> Any:
    """What a process prints: of this machine's processor, or with a folder of the plainest one, whose kernels it keeps there."""
    tests = Path(__file__).parents[1]
    environ = os.environ | {"PYTHONPATH": str(tests / "track")}
    if folder is not None:
        environ |= {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", code + END], capture_output=True, text=True, check=True, env=environ)
    assert folder is None or list(folder.rglob("*.nbc")), "nothing was compiled anew"
    return json.loads(done.stdout)


def test_kernels_decide_alike_on_the_plainest_processor(tmp_path: Path) -> None:
    """Assignment takes the same plots; probabilities and fused states agree to a millionth. They are compiled for it, in earnest."""
    own, plain = run(KERNELS, None), run(KERNELS, tmp_path)
    assert ("generic", True) == (plain[0], own[0] != "generic")
    assert own[1] == plain[1]
    for a, b in zip(own[2], plain[2], strict=True):
        assert np.abs(np.array(a) - np.array(b)).max() <= ALIKE * max(np.abs(a).max(), 1.0)


@pytest.mark.soak
@pytest.mark.timeout(1_200)
def test_tracks_are_alike_on_the_plainest_processor(tmp_path: Path) -> None:
    """A minute of aircraft, false plots and fixes: the same numbers, statuses, flags and events at each step, states to a micrometre."""
    own, plain = run(TRACKER, None), run(TRACKER, tmp_path)
    assert ("generic", True) == (plain[0], own[0] != "generic")
    assert own[1] == plain[1]
    assert len(own[2]) > 300
    assert np.abs(np.array(own[2]) - np.array(plain[2])).max() <= ALIKE
