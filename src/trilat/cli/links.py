"""`trilat links CONFIG`: how a running node's links do, lane by lane, and what to do about those that do not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from trilat.node.links import LinkReport

TIMEOUT_S = 5.0
BYTES_MAX = 4 << 20
COLOURS = {"up": "green", "late": "yellow", "down": "red", "refused": "red", "never": "yellow"}
NARROW_COLUMNS = 96
NS = 1_000_000_000


@click.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="One JSON object per lane and way, one a line.")
def command(config: Path, *, as_json: bool) -> None:
    """Show each partner's lanes, both ways, as the running node of this configuration sees them.

    State, when last heard, what waits and for how long, the last receipt, epoch and number, the chain's head, what was rejected
    and why, and what to do. Ends with 1 when a lane is down or refused, or the node does not answer.
    """
    import shutil

    import msgspec

    links = fetch(config)
    if as_json:
        for link in links:
            click.echo(msgspec.json.encode(link))
    else:
        narrow = shutil.get_terminal_size((NARROW_COLUMNS, 24)).columns < NARROW_COLUMNS
        for line in shown(links, narrow=narrow):
            click.echo(line)
    if any(link.state in {"down", "refused"} for link in links):
        click.get_current_context().exit(1)


def fetch(config: Path) -> list[LinkReport]:
    """Return what the node of a configuration says; raises ConfigError node-silent when it does not answer."""
    import http.client
    import urllib.error
    import urllib.request

    import msgspec

    from trilat.errors import ConfigError
    from trilat.node.links import LinkReport

    host, port = address_of(config)
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/links"
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=TIMEOUT_S) as reply:
            return msgspec.json.decode(reply.read(BYTES_MAX), type=dict[str, list[LinkReport]])["links"]
    except (KeyError, OSError, urllib.error.URLError, http.client.HTTPException, msgspec.MsgspecError) as error:
        raise ConfigError("node-silent", f"{url}: {error}.") from error


def address_of(config: Path) -> tuple[str, int]:
    """Return where the page of a configuration's running node answers: host and port."""
    import msgspec

    from trilat.node.config import load

    settings = load(config)
    path = Path(settings.directory) / "ports.json"
    try:
        port = msgspec.convert(msgspec.json.decode(path.read_bytes(), type=dict[str, object])["page"], int)
    except (OSError, KeyError, msgspec.MsgspecError):
        port = settings.page.port
    return settings.page.host if settings.page.host not in {"0.0.0.0", "::"} else "127.0.0.1", port  # noqa: S104 - what was bound


def shown(links: list[LinkReport], *, narrow: bool) -> list[str]:
    """Return the lines that are printed: a table, or on a narrow terminal a few lines for each lane."""
    if not links:
        return ["This node has no partners."]
    lines = [] if narrow else [HEAD]
    for link in links:
        lines += _narrow(link) if narrow else [_wide(link)]
        if link.why:
            lines.append(f"    {link.why}")
            lines += [f"    do: {link.do}"] if link.do else []
    for partner in dict.fromkeys(link.partner for link in links):
        reasons = next(link.rejected for link in links if link.partner == partner)
        if reasons:
            lines.append(f"{partner} rejected: {_counts(reasons)}")
    return lines


HEAD = "partner lane    way state     heard      lag    for  receipt epoch    number  head"


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s" if seconds >= 10 else f"{seconds:.1f}s"


def _ago(what: str, seconds: float | None) -> str:
    return f"{what}: not yet" if seconds is None else f"{what} {_age(seconds)} ago"


def _counts(numbers: dict[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in sorted(numbers.items()))


def _marks(link: LinkReport) -> str:
    told = {"forks": link.forks, "lost": link.lost, "recalled": link.recalled, "doubles": link.duplicates}
    told |= {"kept aside": link.kept_aside, "epochs unchecked": link.unchecked}
    return _counts({name: n for name, n in (told | link.dropped).items() if n})


def _state(link: LinkReport, width: int = 0) -> str:
    return click.style(f"{link.state:<{width}}", fg=COLOURS.get(link.state))


def _wide(link: LinkReport) -> str:
    marks = _marks(link)
    return (
        f"{link.partner:<8}{link.lane:<8}{link.direction:<4}{_state(link, 8)}{_age(link.age_s):>7}{link.lag_records:>9,}"
        f"{_age(link.lag_s):>7}{_age(link.receipt_age_s):>9}{link.epoch:>6}{link.sequence:>10,}  {link.head[:8]}"
        f"{'  ' + marks if marks else ''}"
    )


def _narrow(link: LinkReport) -> list[str]:
    marks = _marks(link)
    return [
        f"{link.partner} {link.lane} {link.direction}: {_state(link)}, {_ago('heard', link.age_s)}",
        f"    {link.lag_records:,} wait {_age(link.lag_s)}; {_ago('receipt', link.receipt_age_s)}",
        f"    {link.epoch}.{link.sequence} head {link.head[:8]}" + (f"; {marks}" if marks else ""),
    ]
