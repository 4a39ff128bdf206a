"""Benchmarks run at their smallest size, so that they never rot; their figures are not looked at here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize("script", sorted(path.name for path in FOLDER.glob("[a-z]*.py") if "--tiny" in path.read_text("utf-8")))
def test_a_benchmark_runs_tiny(script: str) -> None:
    """`python benchmarks/NAME.py --tiny` ends well and prints its figures."""
    done = subprocess.run([sys.executable, FOLDER / script, "--tiny"], capture_output=True, text=True, check=False)
    assert (0, True) == (done.returncode, bool(done.stdout.strip())), done.stdout + done.stderr
