"""The ASTERIX benchmark still runs."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "decode_asterix.py"


def test_the_benchmark_runs_tiny(capsys: pytest.CaptureFixture[str]) -> None:
    """The benchmark measures every side and prints a rate for each."""
    spec = importlib.util.spec_from_file_location("decode_asterix", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(["--tiny"])
    lines = capsys.readouterr().out.splitlines()
    assert 6 == len(lines)
    assert ["libasterix"] == [line.split()[0] for line in lines if "times as fast" in line]
