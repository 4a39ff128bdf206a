"""`trilat demo`: three nations' nodes on this machine, fed by an invented world."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trilat.cli.frame import Between

if TYPE_CHECKING:
    from trilat.exercise.demo import Demo, Watched

WHAT_TO_LOOK_FOR = """\
What to look for:
  - Log in with a name and password from above; they were drawn for this run and are gone with it.
  - Symbols move on all three pages; the colour and mark of each say whose sensors see it.
  - The pages differ: each nation withholds one radar from one partner (JPN/isle and USA/picket from KOR, KOR/isle from JPN).
  - Select a symbol: who, where, how fast, how sure, which sensors, its label, who may see it, and by which rule.
  - About 40 s in something is launched. A minute later the pages say so: a fan, then an ellipse that shrinks as all three
    see it, and the areas under it. Propose to issue it on one page (watch-a), approve it as watch-b in another browser or a
    private window, acknowledge it on the others, and give the all clear when it has come down (some seven minutes in).
  - Raise a warning by hand on one page (it says EXERCISE by itself) and acknowledge it on the others.
Ctrl-C ends all of it."""


@click.command()
@click.option("--scenario", default="straits", show_default=True, help="A shipped scenario's name, or a scenario file.")
@click.option("--seconds", type=Between(1, 86_400), help="End by itself after this long.")
@click.option("--headless", is_flag=True, help="Watch the pages without a person; exit 0 only if all three showed all nations.")
@click.option(
    "--directory", type=click.Path(path_type=Path, file_okay=False), help="Keep everything here, not in a temporary place."
)
@click.option("--port", type=click.IntRange(0, 65_533), default=0, help="The first page's port; the others follow. 0: any free.")
def command(scenario: str, seconds: float | None, *, headless: bool, directory: Path | None, port: int) -> None:
    """Run three nodes (JPN, KOR, USA) with keys, servers and stores of their own, fed by an invented world, in mode Exercise."""
    import asyncio

    from trilat.exercise.demo import run

    ports = tuple(port + k for k in range(3)) if port else ()
    span = seconds if seconds is not None or not headless else 40.0
    seen = asyncio.run(
        run(
            scenario,
            directory,
            ports,
            span,
            headless=headless,
            say=_say,
            show=_show,
        )
    )
    if headless:
        _judge(seen, span or 0.0)


def _say(text: str) -> None:
    # A terminal that hung up takes no more words; what is left to do is to end.
    with contextlib.suppress(OSError):
        click.echo(text)


def _show(demo: Demo) -> None:
    click.echo("")
    for nation in sorted(demo.nodes):
        click.echo(f"  {nation}  {demo.page(nation)}")
        for login in demo.nodes[nation].prepared.logins:
            click.echo(f"         {login.user:<9} {login.password}   {login.role}")
    click.echo("")
    click.echo(WHAT_TO_LOOK_FOR)


def _judge(watched: Watched, seconds: float) -> None:
    seen, story = watched.pages, watched.story
    nations = [one.nation for one in seen]
    complete = [one for one in seen if one.complete_s is not None]
    told = "; ".join(f"{one.nation} page: " + " ".join(f"{n} {one.tracks.get(n, 0)}" for n in nations) for one in seen)
    word = "ok" if seen and len(complete) == len(seen) else "FAILED"
    last = max((one.complete_s or 0.0 for one in seen), default=0.0)
    when = f", all nations on all pages after {last:.1f} s" if word == "ok" else ""
    if story is not None:
        click.echo(story.line())
        if seconds < watched.story_s and story.missing:
            click.echo(f"        (the whole story, from the launch to the all clear, takes --seconds {watched.story_s:.0f})")
        if seconds >= watched.story_s and story.missing:
            word, when = "FAILED", f", the launch was not {', '.join(story.missing)}"
    click.echo(f"demo {word}: {told}{when}")
    if word != "ok":
        raise SystemExit(1)
