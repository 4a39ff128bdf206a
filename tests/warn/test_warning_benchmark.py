"""The benchmark of missile warning runs, tiny, and what it prints is what it claims."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


@pytest.mark.parametrize("part", ["areas", "ellipse", "flights", "space", "traffic"])
def test_a_part_runs(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each part prints its figures with their aims, and nothing that is no missile is warned of."""
    import warning

    warning.PARTS[part](tiny=True)
    told = capsys.readouterr().out
    assert told.startswith(f"{part}: ")
    if part == "traffic":
        assert "0 false `detected` (1 in 24 h), 0 false area lists" in told
    if part == "flights":
        assert re.search(r"error at \+60 s: [\d.]+ km median of [1-9]", told), told
    if part == "space":
        assert 2 == told.count(": 0 with an area list")


@pytest.mark.soak
@pytest.mark.parametrize("part", ["cue", "stages", "space", "traffic", "rockets", "flights", "class"])
def test_a_part_runs_whole(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same at full size."""
    import warning

    warning.PARTS[part](tiny=False)
    told = capsys.readouterr().out
    if part == "traffic":
        assert "0 false area lists" in told
    if part == "rockets":
        assert "0 with an area list" in told
