"""Files that are none of what a command reads: one sentence that names file and cause, with a remedy, and never a traceback."""

from __future__ import annotations

import importlib.util
import io
import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from test_bench_track import crossing

from trilat.cli import main
from trilat.cli.bench_track import load_scenario
from trilat.errors import ExerciseError

COMMANDS = {
    "track": ("track", "{file}", "--out", "{folder}/out.csv"),
    "bench track": ("bench", "track", "{file}"),
    "bench compare": ("bench", "compare", "{file}"),
    "exercise review": ("exercise", "review", "{file}", "--out", "{folder}/out.csv"),
}


def scenario_bytes() -> bytes:
    """A whole scenario file."""
    with io.BytesIO() as file:
        np.savez_compressed(file, **crossing())
        return file.getvalue()


def wrong_files() -> dict[str, bytes | None]:
    """Files by what is wrong with them; None is not there at all."""
    whole = scenario_bytes()
    keys, one = io.BytesIO(), io.BytesIO()
    np.savez(keys, a=np.zeros(3))
    np.save(one, np.zeros(3))
    return {
        "empty": b"",
        "missing": None,
        "cut": whole[: len(whole) // 2],
        "keys": keys.getvalue(),
        "one": one.getvalue(),
        "prose": b"# What this is\nNothing that a radar said.\n" * 500,
    }


WRONG = wrong_files()
# What is said of a scenario file; the other commands read other things.
SAID = {
    "empty": "there is nothing in it",
    "folder": "Is a directory",
    "missing": "No such file or directory",
    "cut": "cut short or damaged (File is not a zip file)",
    "keys": "key sensor_pos is missing",
    "one": "one array (.npy), not a file of several (.npz)",
    "prose": "no file of plain numpy arrays (.npz)",
}


@pytest.mark.parametrize("kind", sorted(SAID))
@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_wrong_file_is_one_sentence_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    """Whatever the file is, the command ends with 1, one coded sentence that names it, and what to do; nothing on stdout."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: SimpleNamespace())
    file = tmp_path / f"{kind}.npz"
    if kind == "folder":
        file.mkdir()
    elif (held := WRONG[kind]) is not None:
        file.write_bytes(held)
    given = [word.replace("{file}", str(file)).replace("{folder}", str(tmp_path)) for word in COMMANDS[name]]
    done = CliRunner().invoke(main, given, catch_exceptions=False)
    assert (1, "") == (done.exit_code, done.stdout), done.output
    assert (1, 1) == (done.stderr.count("trilat: TRI-"), done.stderr.count("What to do: ")), done.stderr
    assert str(file) in done.stderr
    if name.startswith("bench"):
        assert SAID[kind] in done.stderr


def test_however_a_scenario_file_is_damaged_it_is_said(tmp_path: Path) -> None:
    """Octets changed at random, anywhere in the archive: the file is read, or refused by name; nothing else is raised."""
    rng, whole, file = random.Random(4), scenario_bytes(), tmp_path / "s.npz"
    said = set()
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(rng.choice((1, 3, 40))):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        file.write_bytes(damaged)
        try:
            load_scenario(file)
        except ExerciseError as error:
            said.add(error.name)
    assert {"scenario-arrays"} == said


def test_a_configuration_that_is_no_text_says_so(tmp_path: Path) -> None:
    """A review of a picture, or of nothing: no word of a codec, and where a node's configuration is wanted."""
    for held, says in ((WRONG["one"], "it is no text"), (b" \n", "there is nothing in it")):
        (tmp_path / "x").write_bytes(held or b"")
        done = CliRunner().invoke(main, ["exercise", "review", str(tmp_path / "x"), "--out", str(tmp_path / "o.csv")])
        assert (1, True) == (done.exit_code, f"{tmp_path / 'x'}: {says}" in done.stderr), done.stderr
        assert "codec" not in done.stderr
