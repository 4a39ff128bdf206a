"""What the docs and the remedies of errors tell a person to type exists: commands, and their options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from tree import ROOT, listed

from trilat import errors
from trilat.cli import main

PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
REMEDIES = Path(errors.__file__).with_name("errors.toml")
IN_LINE = re.compile(r"`(?:\.venv/bin/)?(trilat [a-z][^`\n]*)`")
IN_BLOCK = re.compile(r"^ *(?:\$ )?(?:\.venv/bin/)?(trilat [a-z](?:[^\n\\]|\\\n|\\.)*)$", re.MULTILINE)
ENDS = frozenset({"|", ">", "2>", "<", "&&", ";", "&"})


def printed(text: str) -> Iterator[str]:
    """Yield every command of ours that a text prints."""
    yield from IN_LINE.findall(text)
    yield from IN_BLOCK.findall(text)


def wrong(line: str) -> str:
    """Return what of a printed command does not exist, "" when all of it does."""
    command: click.Command = main
    words = shlex.split(line.replace("\\\n", " "), comments=True)[1:]
    path = ["trilat"]
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        if found is None:
            return f"no command {' '.join([*path, words[0]])}"
        command = found
        path.append(words.pop(0))
    options = {"--help", *(option for one in command.params for option in one.opts + one.secondary_opts)}
    given = [word.partition("=")[0] for word in words[: next((k for k, word in enumerate(words) if word in ENDS), None)]]
    return ", ".join(f"no option {one} of {' '.join(path)}" for one in given if one.startswith("--") and one not in options)


@pytest.mark.parametrize("path", [*PAGES, REMEDIES], ids=lambda path: path.name)
def test_what_is_printed_to_be_typed_exists(path: Path) -> None:
    """Every `trilat ...` in a page or a remedy names a command that is there, with options that it has."""
    bad = [f"{line[:80]}: {said}" for line in printed(path.read_text("utf-8")) if (said := wrong(line))]
    assert [] == bad, listed(bad)


def test_a_wrong_command_is_seen() -> None:
    """The check sees a command, an option and a command of a group that are not there."""
    lines = (
        "trilat colours",
        "trilat keys paint DIR",
        "trilat keys new DIR --mode x",
        "trilat doctor --config x | sort --numeric",
    )
    assert [True, True, True, False] == [bool(wrong(line)) for line in lines]
