"""The command line. Each command is a module of this folder that defines `command`; this table says which there are.

To add one: write `trilat/cli/NAME.py` with a click command called `command`, import numpy, numba, the web and every stage
inside functions, and add its line here (a test compares the table with the files that define `command`).
"""

from __future__ import annotations

import os

import click

import trilat
from trilat.cli.frame import Command, LazyGroup

# The order is the one in which a newcomer meets them; each line is written as in the list of `trilat --help`.
COMMANDS: dict[str, Command] = {
    "demo": Command("trilat.cli.demo:command", "Run three nodes on this machine, fed by an invented world."),
    "node": Command("trilat.cli.node:command", "Run one nation's node."),
    "keys": Command("trilat.cli.keys:command", "Make, show, rotate and revoke the keys of this node."),
    "users": Command("trilat.cli.users:command", "Make, list, change and disable the accounts of a node's page."),
    "partner": Command("trilat.cli.partner:command", "Invite partners, accept their invites, show and revoke them."),
    "agreement": Command("trilat.cli.agreement:command", "Write, sign, check, compare and explain agreements."),
    "release": Command("trilat.cli.release:command", "Explain what may be released to whom, and why."),
    "label": Command("trilat.cli.label:command", "Show a label in words, as JSON or as ADatP-4774 XML."),
    "ledger": Command("trilat.cli.ledger:command", "Say who holds what of ours, since when, and why."),
    "recall": Command("trilat.cli.recall:command", "Take back records that a partner got."),
    "links": Command("trilat.cli.links:command", "Show how a running node's links do, and what to do about them."),
    "audit": Command("trilat.cli.audit:command", "Check what a node has kept."),
    "backup": Command("trilat.cli.backup:command", "Copy a node's store while it runs."),
    "restore": Command("trilat.cli.restore:command", "Make a store of a backup; partners go on in a new epoch."),
    "doctor": Command("trilat.cli.doctor:command", "Look at this machine and a node's set-up; say how to mend it."),
    "decode": Command("trilat.cli.decode:command", "Print what a recording holds, one record a line."),
    "track": Command("trilat.cli.track:command", "Track what recordings hold, at full speed."),
    "replay": Command("trilat.cli.replay:command", "Send recordings to a node in mode Replay."),
    "warn": Command("trilat.cli.warn:command", "Say where a flight comes down, and who is under it."),
    "exercise": Command("trilat.cli.exercise:command", "Fly public flights again and tell what a node would have said."),
    "simulate": Command("trilat.cli.simulate:command", "Prove the exchange under seeded faults, or reproduce one failed seed."),
    "schema": Command("trilat.cli.schema:command", "Print the JSON Schema of the records."),
    "bench": Command("trilat.cli.bench:command", "Measure this build on this machine."),
}


@click.group(cls=LazyGroup, commands_table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(trilat.__version__, prog_name="trilat", message="%(prog)s %(version)s")
def main() -> None:
    """Trilat: the shared warning and awareness system of allies."""
    # Said before numpy is imported. A second thread of its linear algebra waits by turning: on a busy machine it made a matrix of
    # a hundred rows, one for each bias of each sensor, take 100 ms instead of half a one. And one thread rounds alike everywhere.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
