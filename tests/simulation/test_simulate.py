"""`trilat simulate`: a thousand seeds hold every invariant and reach every rare state; a seed and a file reproduce a run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from trilat.cli import main
from trilat.errors import ExerciseError
from trilat.simulation.run import Simulation
from trilat.simulation.schedule import decode, draw, encode

SEEDS = 1_000
# How long a thousand seeds may take on a slow machine; two quiet cores need about a tenth of it.
SECONDS_MAX = 1_800


def simulate(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, ["simulate", *arguments])


@pytest.mark.timeout(SECONDS_MAX)
def test_a_thousand_seeds_hold_and_reach_every_rare_state() -> None:
    """The command ends with 0 and its summary: all runs held, every injected message was rejected, every rare state was reached."""
    command = [sys.executable, "-c", "from trilat.cli import main; main()", "simulate", "--seeds", str(SEEDS), "--reach"]
    if "PYTEST_XDIST_WORKER" in os.environ:  # the other cores have other tests to run
        command += ["--jobs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False, env=dict(os.environ))
    last = done.stdout.splitlines()[-1] if done.stdout else done.stderr
    assert 0 == done.returncode, done.stdout[-4_000:] + done.stderr[-2_000:]
    assert last.startswith(f"simulate ok: seeds 0 to {SEEDS - 1}, tier a: {SEEDS} of {SEEDS} runs held every invariant"), last
    found = re.search(r"([\d,]+) injected, ([\d,]+) rejected", last)
    assert found is not None
    assert found.group(1) == found.group(2)
    assert "never" not in done.stdout


def test_a_seed_reproduces_its_run() -> None:
    """The same seed gives the same counts of everything twice, so that a failure can be looked at again."""
    one, two = (Simulation(draw(9)).run() for _ in range(2))
    assert one == two
    assert one != Simulation(draw(10)).run()


@pytest.mark.parametrize(
    ("seed", "what"),
    [
        (371, "an exporter rolled back beyond an epoch, silent since: the importer did not know what it lacked"),
        (747, "the same in another lane"),
        (900, "a record sent whole, moved and cut into pieces, came behind what followed it"),
        (656, "a letter in a batch that filled a gap, before one that was refused, came to the node itself"),
        (984, "as 371, from the other side"),
    ],
)
def test_seeds_that_found_something_hold(seed: int, what: str) -> None:
    """Each seed that once failed holds now."""
    assert [] == Simulation(draw(seed)).run().problems, what


def test_a_schedule_survives_its_file() -> None:
    """A schedule written and read again is the same schedule, for every kind of event."""
    for seed in range(200):
        assert draw(seed) == decode(encode(draw(seed)), "again")


def test_a_schedule_file_reproduces_the_seed(tmp_path: Path) -> None:
    """`--schedule` writes the seed's schedule when there is no file, runs the file when there is, and both runs say the same."""
    file = tmp_path / "s.toml"
    runs = [simulate("--seed", "5"), simulate("--seed", "5", "--schedule", str(file)), simulate("--schedule", str(file))]
    lasts = [run.stdout.splitlines()[-1].rsplit(",", 1)[0] for run in runs]
    assert [0, 0, 0] == [run.exit_code for run in runs]
    assert {lasts[0]} == set(lasts)
    assert lasts[0].startswith("simulate ok: seed 5, tier a: 1 of 1 runs held every invariant")


def test_leaving_out_an_event_leaves_the_rest(tmp_path: Path) -> None:
    """A file has an event a line and can be shortened by hand: without them a run still holds, and nothing of them is counted."""
    file = tmp_path / "s.toml"
    lines = [line for line in encode(draw(5)).decode().splitlines() if "at_s" not in line]
    file.write_text("\n".join(lines), "utf-8")
    run = simulate("--schedule", str(file))
    assert 0 == run.exit_code, run.output
    assert re.search(r"store rolled back to an older copy +0  never", run.stdout)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"seed = 5": "seed = -5"}, "seed"),
        ({'"JPN"': '"JAPAN"'}, "nations"),
        ({'node = "': 'node = "Z'}, "node"),
        ({"what = ": 'why = "x", what = '}, "why"),
        ({"seconds = ": "seconds = -"}, "seconds"),
        ({"seed": "\x00"}, "s.toml"),
    ],
)
def test_a_wrong_schedule_is_refused(tmp_path: Path, change: dict[str, str], what: str) -> None:
    """A file that says what no schedule can is refused by name, with the place; nothing is run."""
    text = encode(draw(5)).decode()
    for old, new in change.items():
        text = text.replace(old, new)
    file = tmp_path / "s.toml"
    file.write_text(text, "utf-8")
    run = simulate("--schedule", str(file))
    assert 1 == run.exit_code
    assert "TRI-0751" in run.output
    assert what in run.output
    assert "simulate" not in run.stdout


def test_events_name_who_takes_part() -> None:
    """An event of a nation that does not take part is refused."""
    raw = encode(draw(5)).replace(b'node = "JPN"', b'node = "FRA"')
    with pytest.raises(ExerciseError, match="FRA"):
        decode(raw, "s.toml")


def test_a_broken_invariant_ends_with_one_and_says_how_to_see_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a run does not hold, the command names seed and finding, says how to run it again, and ends with 1."""
    monkeypatch.setattr("trilat.simulation.judge.judge", lambda *_: ["JPN->KOR flash: 1 held twice"])
    run = simulate("--seed", "3", "--seeds", "2", "--jobs", "1")
    assert 1 == run.exit_code
    assert "seed 4: JPN->KOR flash: 1 held twice" in run.stdout
    assert "seed 4: again with: trilat simulate --seed 4" in run.stdout
    assert run.stdout.splitlines()[-1].startswith("simulate FAILED: seeds 3 to 4, tier a: 0 of 2 runs held every invariant")
