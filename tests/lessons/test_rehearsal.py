"""Lessons of public warnings that take people: each scenario of scenarios/watch holds, and one that cannot hold fails."""

from __future__ import annotations

from pathlib import Path

import launch_nodes as nodes
import pytest
from node_worlds import SECRET, T0_NS

from trilat.errors import ExerciseError
from trilat.lessons.rehearsal import Rehearsal, decode_rehearsal, rehearse
from trilat.node.settings import NodeConfig
from trilat.warn.areas import shipped_layer

WATCH = sorted((Path(__file__).parents[2] / "scenarios" / "watch").glob("*.toml"))
WARNING = sorted((Path(__file__).parents[2] / "scenarios" / "warning").glob("*.toml"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, NodeConfig]:
    return nodes.configs(tmp_path_factory.mktemp("lessons"))


def play(lesson: Rehearsal, made: dict[str, NodeConfig]) -> list[str]:
    """Rehearse; return what did not hold."""
    findings = rehearse(lesson, made, T0_NS, SECRET, shipped_layer())
    assert findings
    return [f"{one.name}: {one.figure}" for one in findings if not one.held]


# Each takes some 15 s of a processor: three in CI, all of them in the soak.
IN_CI = ("first-warning-in-time", "one-person-issues-nothing", "who-was-away")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=() if path.stem in IN_CI else (pytest.mark.soak,), id=path.stem) for path in WATCH],
)
def test_a_lesson_holds(path: Path, made: dict[str, NodeConfig]) -> None:
    """Every assertion of the scenario holds."""
    assert [] == play(decode_rehearsal(path.read_bytes()), made)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_lesson_that_is_not_kept_fails(made: dict[str, NodeConfig]) -> None:
    """A warning that nobody ends does not end on every channel, and a deed that nobody refuses is not refused: both are said."""
    text = (WATCH[0].parent / "end-on-every-channel.toml").read_text("utf-8")
    without = text.replace('act = "stand-down"', 'act = "acknowledge"').replace("run_s = 165", "run_s = 157")
    wrong = play(decode_rehearsal(without.encode()), made)
    assert any("channels of the end" in one for one in wrong)
    assert any("at the end" in one for one in wrong)


def test_there_are_ten_and_a_misspelt_one_is_refused() -> None:
    """The record's lessons are ten scenarios or more; an assertion that is misspelt is refused, not passed over."""
    assert len(WATCH) + len(WARNING) >= 10
    with pytest.raises(ExerciseError):
        decode_rehearsal(WATCH[0].read_bytes().replace(b"[must]", b"[must]\nhold = true"))
