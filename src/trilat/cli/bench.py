"""`trilat bench`: benchmarks by name, each a module `trilat/cli/bench_NAME.py` that defines `command`.

Every benchmark prints its figures with the sizes they were measured at, and takes `--tiny` so that a test can run it.
"""

from __future__ import annotations

import click

from trilat.cli.frame import Command, LazyGroup

BENCHMARKS: dict[str, Command] = {
    "track": Command("trilat.cli.bench_track:command", "The tracking engine on a scenario file: rate, GOSPA, SIAP."),
    "fusion": Command("trilat.cli.bench_fusion:command", "What sharing tracklets or tracks loses against all plots."),
    "sharing": Command("trilat.cli.bench_sharing:command", "Landing ellipse against time with one, two and three nations."),
    "compare": Command("trilat.cli.bench_compare:command", "Stone Soup beside it on the same file."),
}


@click.group(cls=LazyGroup, commands_table=BENCHMARKS)
def command() -> None:
    """Measure this build on this machine; `make bench` runs them all."""
