"""The frame of the command line: groups whose commands are imported only when they are called.

`trilat --help` must answer at once, so a group knows of each command no more than a `Command`: where it stands and one line
of help. The module behind it is imported when that command is run or its own `--help` is asked for.
"""

from __future__ import annotations

import errno
import importlib
import math
import re
from typing import Any, NamedTuple

import click

from trilat.errors import TrilatError

# What a command ends with: 0 done, 1 an error of ours with its code on stderr, 2 wrong usage (click's own).
EXIT_ERROR = 1
# What a full or failing disk says without naming a file.
DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})


class Command(NamedTuple):
    """One command of a group: `target` is "module:attribute", `help` the line that `--help` of the group shows."""

    target: str
    help: str


class Group(click.Group):
    """A click group whose list of commands says whole sentences; click cuts them off with three dots."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command with the first sentence of its help, on as many lines as that takes."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, first_sentence(command.help or "")) for name, command in found if command is not None])


def first_sentence(text: str) -> str:
    """Return the first sentence of a help text, its line breaks taken out."""
    words = " ".join(text.split("\n\n", maxsplit=1)[0].split())
    return re.split(r"(?<=\.) ", words, maxsplit=1)[0]


class LazyGroup(click.Group):
    """A click group over a table of commands, each imported when it is called."""

    def __init__(self, *args: Any, commands_table: dict[str, Command] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.commands_table = commands_table if commands_table is not None else {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the table's own order, which is the order in which a newcomer meets them."""
        del ctx
        return list(self.commands_table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command; None when the table does not hold it."""
        del ctx
        entry = self.commands_table.get(cmd_name)
        return None if entry is None else load(entry)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table alone, importing none of them."""
        del ctx
        if not self.commands_table:
            return
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self.commands_table.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error of ours becomes its code, its sentence and its remedy on stderr, without a traceback."""
        try:
            return super().invoke(ctx)
        except TrilatError as error:
            click.echo(f"trilat: {error}", err=True)
            ctx.exit(EXIT_ERROR)
        except OSError as error:
            if error.filename is None and error.errno not in DISK_ERRORS:
                raise
            named = "" if error.filename is None else f"{error.filename}: "
            click.echo(f"trilat: {TrilatError('file-failed', f'{named}{error.strerror}.')}", err=True)
            ctx.exit(EXIT_ERROR)


class Between(click.FloatRange):
    """A number within bounds; what is not a number is without."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number; refuse it by name where it lies without."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


def load(entry: Command) -> click.Command:
    """Import the command an entry names; raises TypeError when the attribute is no click command."""
    module, _, attribute = entry.target.partition(":")
    command = getattr(importlib.import_module(module), attribute)
    if not isinstance(command, click.Command):
        raise TypeError(f"{entry.target} is not a click command")
    return command
