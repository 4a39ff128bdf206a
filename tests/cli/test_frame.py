"""The frame: the table is the files, help is cheap, errors are sentences."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from trilat import cli
from trilat.cli import COMMANDS, bench
from trilat.cli.frame import EXIT_ERROR, Command, LazyGroup, load
from trilat.errors import ConfigError

FOLDER = Path(cli.__file__).parent
# What a command may not load before it runs: each costs more than help may take.
HEAVY = ("numpy", "numba", "scipy", "nats", "starlette", "uvicorn", "websockets", "cryptography", "nacl", "rs1090", "pyais")


def defines_command(path: Path) -> bool:
    """Tell whether a module defines `command` at its top."""
    functions = [node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.FunctionDef)]
    return any(function.name == "command" for function in functions)


def test_the_table_is_the_files() -> None:
    """Every module of the command line that defines a command is in a table, and every entry's module is there."""
    entries = [*COMMANDS.values(), *bench.BENCHMARKS.values()]
    files = {f"trilat.cli.{path.stem}:command" for path in FOLDER.glob("*.py") if defines_command(path)}
    assert files == {entry.target for entry in entries}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_what_the_table_says(name: str) -> None:
    """Every entry loads a click command with a help text of its own."""
    command = load(COMMANDS[name])
    assert (True, True) == (isinstance(command, click.Command), bool(command.help))


def test_help_of_the_whole_imports_no_command() -> None:
    """`trilat --help` loads the frame alone: no command, no msgspec, nothing heavy."""
    assert [] == imported(["--help"], ["trilat.cli.", "msgspec", *HEAVY], keep={"trilat.cli.frame"})


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_is_cheap(name: str) -> None:
    """`trilat NAME --help` loads none of the heavy libraries."""
    assert [] == imported([name, "--help"], HEAVY, keep=set())


def imported(arguments: list[str], prefixes: list[str] | tuple[str, ...], keep: set[str]) -> list[str]:
    """Run a command in a process of its own; return the modules with one of these prefixes that it has loaded."""
    code = (
        "import sys; from trilat.cli import main\n"
        f"try: main({arguments!r}, prog_name='trilat')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stderr.split("\n")
    return [
        name for name in loaded if name not in keep and any(name == p or name.startswith(f"{p.rstrip('.')}.") for p in prefixes)
    ]


@pytest.mark.parametrize(("given", "threads"), [({}, 1), ({"OPENBLAS_NUM_THREADS": "2"}, min(2, os.cpu_count() or 1))])
def test_a_commands_linear_algebra_has_one_thread(given: dict[str, str], threads: int) -> None:
    """A process of ours solves in the thread that asks, unless whoever starts it says otherwise; a second would turn while it waits."""
    code = (
        "import os\n"
        "from trilat.cli import main\n"
        "try: main(['schema', '--help'], prog_name='trilat')\n"
        "except SystemExit: pass\n"
        "import numpy\n"
        "numpy.linalg.inv(numpy.eye(300))\n"
        "print(len(os.listdir('/proc/self/task')))"
    )
    alone = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=alone | given)
    assert str(threads) == done.stdout.split()[-1]


def test_an_error_is_its_sentence() -> None:
    """An error of ours ends a command with 1, its code, its sentence and its remedy, and no traceback."""

    @click.command()
    def wrong() -> None:
        raise ConfigError("mode-missing", "node.toml.")

    class Group(LazyGroup):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            del ctx, cmd_name
            return wrong

    result = CliRunner().invoke(Group(name="trilat"), ["wrong"])
    assert (EXIT_ERROR, True, True) == (
        result.exit_code,
        result.stderr.startswith("trilat: TRI-0004 The configuration names no mode"),
        "What to do:" in result.stderr,
    )


def test_an_unknown_command_is_named() -> None:
    """A command that does not exist is a wrong usage, named."""
    result = CliRunner().invoke(cli.main, ["nonsense"])
    assert (2, True) == (result.exit_code, "nonsense" in result.stderr)


def test_a_target_that_is_no_command_is_refused() -> None:
    """An entry that names something else is an error of ours, said at once."""
    with pytest.raises(TypeError, match="is not a click command"):
        load(Command("trilat.errors:codes", ""))


def groups() -> list[tuple[str, click.Group]]:
    """Return every group below `trilat`, with its name."""
    found = {name: load(entry) for name, entry in COMMANDS.items()}
    return [(name, command) for name, command in found.items() if isinstance(command, click.Group)]


@pytest.mark.parametrize(("name", "group"), groups())
def test_a_group_says_whole_sentences_on_a_narrow_terminal(name: str, group: click.Group) -> None:
    """The list of a group's commands is not cut off, however narrow the terminal: every line fits and every sentence ends."""
    told = CliRunner().invoke(cli.main, [name, "--help"], terminal_width=60).output

    assert [] == [line for line in told.splitlines() if "..." in line.partition("Commands:")[2] or len(line) > 60]
    assert "..." not in told.partition("Commands:")[2]
    assert len(group.list_commands(click.Context(group))) > 0
