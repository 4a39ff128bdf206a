"""`trilat doctor`: looks at what a node needs and says how to mend what it finds."""

from __future__ import annotations

from pathlib import Path

import click

MARKS = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "bad": ("BAD ", "red")}


@click.command()
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="Look at the node of this configuration, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per finding and line.")
def command(config: Path | None, *, as_json: bool) -> None:
    """Look at ports, keys, clock, disk, nats-server, kernels and page; say how to mend what is wrong.

    Ends with 1 when a node would not work here (a finding that is BAD), else with 0.
    """
    import msgspec

    from trilat.cli.checks import examine

    bad = 0
    for finding in examine(config):
        bad += finding.state == "bad"
        if as_json:
            click.echo(msgspec.json.encode(finding))
            continue
        mark, colour = MARKS[finding.state]
        code = f"{finding.code} " if finding.code else ""
        click.echo(f"{click.style(mark, fg=colour)} {finding.check:<8} {code}{finding.says}")
        if finding.remedy:
            click.echo(f"              {finding.remedy}")
    if bad:
        click.get_current_context().exit(1)
