"""The reference prototype (`ball.py`, handed out apart from this tree) on the same missiles, judged at the same moments as ours.

Run by `python benchmarks/ballistic.py --reference FOLDER`, where FOLDER holds `ball.py`, `gen.py` and `metrics.py`. Who confirms
sooner is asked sooner, with fewer plots, where a missile is first seen after its motor stopped; so both are also asked at the
same moments, after the later of burn-out and both confirmations.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

NEEDS = ("ball.py", "gen.py", "metrics.py")
THRUST_NOISE, COAST_NOISE = 30.0, 1e-3  # as the prototype's own command runs it


class Confirmed(NamedTuple):
    """What the prototype held confirmed at a scan."""

    track_id: Any
    position_m: Any
    velocity_m_s: Any


def load(folder: Path) -> Any:
    """Return the prototype's module; raises SystemExit with what is missing."""
    missing = [name for name in NEEDS if not (folder / name).is_file()]
    if missing:
        msg = f"--reference {folder}: no {', '.join(missing)} there; give the folder of the reference benchmark"
        raise SystemExit(msg)
    sys.path.insert(0, str(folder))
    return importlib.import_module("ball")


def run(module: Any, arrays: Any) -> list[Confirmed]:
    """Return what the prototype shows of a salvo, scan by scan."""
    return [Confirmed(*one[:3]) for one in module.proto(dict(arrays), THRUST_NOISE, COAST_NOISE)]


def at_the_same_moments(runs: list[tuple[Any, Any]], confirmed: list[Any]) -> list[tuple[Any, Any]]:
    """Return runs whose missiles count as burnt out no sooner than they were confirmed by all.

    confirmed: per salvo the confirmation times (trackers, n); a missile that one never confirmed is asked of none.
    """
    out = []
    for (arrays, found), times in zip(runs, confirmed, strict=True):
        out.append(({**arrays, "burnout_t": np.maximum(arrays["burnout_t"], np.max(times, axis=0))}, found))
    return out
