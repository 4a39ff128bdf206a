"""Benchmarks run at their smallest size, so that they never rot; their figures are not looked at here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
PARSERS = ("ArgumentParser(", "command()")  # argparse, click
OTHERS = ("warning.py",)  # has a test of its own, part by part, with what must hold


def takes_tiny(path: Path) -> bool:
    """Tell whether a file is a command of its own that takes `--tiny`; others are parts of one."""
    text = path.read_text("utf-8")
    return "--tiny" in text and '__name__ == "__main__"' in text


@pytest.mark.parametrize(
    "script", sorted(path.name for path in FOLDER.glob("[a-z]*.py") if takes_tiny(path) and path.name not in OTHERS)
)
def test_a_benchmark_runs_tiny(script: str) -> None:
    """`python benchmarks/NAME.py --tiny` ends well and prints its figures."""
    done = subprocess.run([sys.executable, FOLDER / script, "--tiny"], capture_output=True, text=True, check=False)
    assert (0, True) == (done.returncode, bool(done.stdout.strip())), done.stdout + done.stderr


def test_make_bench_runs_what_runs_by_itself() -> None:
    """`make bench` runs the same files, and none that is a part of another or wants arguments: it would stop there."""
    command = ["make", "--silent", "--no-print-directory", "bench-scripts"]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # not as a part of `make test`
    told = subprocess.run(command, cwd=FOLDER.parent, env=alone, capture_output=True, text=True, check=True).stdout
    assert told.split() == [f"benchmarks/{path.name}" for path in sorted(FOLDER.glob("[a-z]*.py")) if takes_tiny(path)]


def test_a_benchmark_explains_itself() -> None:
    """What can be run answers `--help` and refuses what it does not know: a slip of the keyboard starts no hour of work."""
    commands = [path for path in sorted(FOLDER.glob("[a-z]*.py")) if '__name__ == "__main__"' in path.read_text("utf-8")]
    assert commands
    assert [path.name for path in commands if not any(word in path.read_text("utf-8") for word in PARSERS)] == []


def test_the_reference_prototype_runs_beside_ours_and_its_absence_is_told(tmp_path: Path) -> None:
    """`ballistic.py --reference` prints both on the same salvo; where the prototype is not, it says what is missing."""
    script = FOLDER / "ballistic.py"
    absent = subprocess.run([sys.executable, script, "--reference", tmp_path], capture_output=True, text=True, check=False)
    assert (1, True) == (absent.returncode, "no ball.py, gen.py, metrics.py there" in absent.stderr), absent.stderr
    reference = FOLDER.parents[1] / "shared" / "bench"
    if not reference.is_dir():
        pytest.skip("no ../shared/bench beside the repository: the prototype itself was not run")
    given = [sys.executable, script, "--reference", reference, "--seeds", "1"]
    done = subprocess.run(given, capture_output=True, text=True, check=False)
    assert (0, 2) == (done.returncode, done.stdout.count("at the same moments: +10 s")), done.stdout + done.stderr
