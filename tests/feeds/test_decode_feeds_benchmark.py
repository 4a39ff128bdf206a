"""The decode benchmark runs, tiny, so that it never rots."""

import subprocess
import sys
from pathlib import Path


def test_the_benchmark_runs() -> None:
    """A tiny run prints a line for each decoder."""
    script = Path(__file__).parents[2] / "benchmarks" / "decode_feeds.py"

    done = subprocess.run([sys.executable, script, "--tiny"], capture_output=True, text=True, check=True, timeout=100)

    assert 5 == len(done.stdout.splitlines())
