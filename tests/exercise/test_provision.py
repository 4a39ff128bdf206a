"""What an exercise's nodes are given to start with."""

from __future__ import annotations

from pathlib import Path

import pytest

from trilat.exercise import provision, scenario
from trilat.identity import keyfiles
from trilat.node.config import load
from trilat.records.label import Mode

NOW_NS = 1_767_225_600_000_000_000
MODE = Mode(kind="exercise", id="demo")


def test_nodes_prepared_below_a_relative_path_find_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`trilat demo --directory here`: keys, partners' files and agreements are where each node's configuration says."""
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir(mode=0o700)
    made = provision.prepare(scenario.load("straits"), Path("here"), MODE, NOW_NS, bytes)
    for nation, one in made.items():
        config = load(one.config)
        assert keyfiles.load(Path(config.keys), NOW_NS, MODE).identity.nation == nation
        assert all(Path(file).is_file() for file in (*config.agreements, *(partner.file for partner in config.partner)))
