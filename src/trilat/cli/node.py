"""`trilat node`: run one nation's node."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--check", is_flag=True, help="Read everything, start nothing, say what is wrong.")
@click.option("--json-logs", is_flag=True, help="Write the log as JSON lines.")
def command(config: Path, *, check: bool, json_logs: bool) -> None:
    """Run one nation's node from its CONFIG file (TOML) until it is told to stop (Ctrl-C or SIGTERM).

    The page's address is written to the log and, with every other port, to ports.json in the node's directory.
    Settings can be overridden by variables: TRILAT_PAGE__PORT=8443 sets [page] port.
    """
    import os

    from trilat.cli.keys import ask_passphrase
    from trilat.node import clock, setup, show
    from trilat.node.config import load

    settings = load(config, os.environ)
    if check:
        setup.check(settings, clock.now_ns(), ask_passphrase())
        show.places(settings.page.places)
        click.echo(f"{config}: nothing is wrong with it.")
        return
    from trilat.node.live import LiveNode
    from trilat.node.logs import set_up
    from trilat.node.process import die_with_parent, run, run_until_told

    set_up(json_lines=json_logs)
    if parent := os.environ.get("TRILAT_DIE_WITH_PARENT"):
        die_with_parent(int(parent))
    run(run_until_told(LiveNode(settings, ask_passphrase())))
