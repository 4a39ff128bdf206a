"""Lessons of the public record of warnings, each a scenario with assertions."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from trilat.cli.exercise import command
from trilat.errors import ExerciseError
from trilat.flights.lesson import decode_lesson, play
from trilat.warn.areas import shipped_layer

LESSONS = sorted((Path(__file__).parents[2] / "scenarios" / "warning").glob("*.toml"))


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_holds(path: Path) -> None:
    """Every assertion of the scenario holds."""
    findings = play(decode_lesson(path.read_bytes()), shipped_layer())
    assert findings
    assert [] == [one for one in findings if not one.held]


def test_a_lesson_that_fails_ends_with_one(tmp_path: Path) -> None:
    """What cannot hold is printed as failed, with its figure, and the command ends with 1."""
    text = LESSONS[0].read_text("utf-8")
    before, _, _ = text.partition("[expect]")
    file = tmp_path / "impossible.toml"
    file.write_text(before + "[expect]\nareas_after_first_plot_s_max = 1\n", "utf-8")
    done = CliRunner().invoke(command, ["lesson", str(file)])
    assert (1, True) == (done.exit_code, "FAILED" in done.output), done.output


def test_an_unreadable_lesson_is_refused() -> None:
    """A misspelt assertion is refused, not passed over."""
    with pytest.raises(ExerciseError) as caught:
        decode_lesson(LESSONS[0].read_bytes().replace(b"update_gap_s_max", b"update_gap_max"))
    assert "scenario-unreadable" == caught.value.name


def test_of_several_files_the_one_that_cannot_be_played_is_named(tmp_path: Path) -> None:
    """What is misspelt, and in which file, stands in the message; the same of a flight that no vehicle flies."""
    text = LESSONS[0].read_text("utf-8")
    for fault, given in (
        ("update_gap_max", ("update_gap_s_max", "update_gap_max")),
        ("15000000", ("range_km = 500", "range_km = 15000")),
    ):
        file = tmp_path / f"{fault}.toml"
        file.write_text(text.replace(*given), "utf-8")
        done = CliRunner().invoke(command, ["lesson", str(file)])
        assert (1, True) == (done.exit_code, isinstance(done.exception, ExerciseError))
        assert str(file) in str(done.exception)
        assert fault in str(done.exception)
