"""`trilat replay FILE... --to NODE`: recordings to a node's feeds, at their own pace, shifted by one constant each."""

from __future__ import annotations

import contextlib
import heapq
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

from trilat.cli.frame import Between
from trilat.cli.recordings import FeedOptions, feed_options, format_of, format_option, read_pieces, source_for, start_of, summary
from trilat.errors import ConfigError, FeedError

if TYPE_CHECKING:
    from trilat.feeds.recording import Piece
    from trilat.feeds.source import Source
    from trilat.node.settings import FeedSettings
    from trilat.records.report import Refused


class Target(NamedTuple):
    """Where a recording goes: a feed's address, and the replay the node is in."""

    url: str
    replay_id: str
    format_name: str


@click.command()
@click.argument("files", metavar="[FEED=]FILE...", nargs=-1, required=True)
@click.option("--to", "node_or_url", required=True, metavar="NODE", help="A node's TOML or folder, or a feed's URL with --id.")
@click.option("--id", "replay_id", default="", help="The replay's id, when --to is a URL.")
@format_option
@click.option("--speed", default=1.0, show_default=True, type=Between(0.01, 1000), help="Times faster than life.")
@click.option("--start-at", default="now", show_default=True, help='"now", "original", or a time such as 2024-01-02T07:41:03Z.')
@feed_options
def command(files: tuple[str, ...], node_or_url: str, replay_id: str, format_name: str, **given: Any) -> None:
    """Send recordings to a node in mode Replay. Each keeps its own spacing in time and is shifted by one constant.

    Every piece travels marked as replayed, with the time it was recorded and the shift; a live or exercise node refuses it.
    With a node's TOML each file goes to the feed named before "=", or to the only feed of its format.
    """
    import asyncio

    from trilat.node import clock

    speed, start_at = given.pop("speed"), given.pop("start_at")
    options = FeedOptions(**given)
    refused: list[Refused] = []
    recordings = []
    for text in files:
        feed, path = split_feed(text)
        chosen = format_of(path, format_name)
        target = target_of(node_or_url, replay_id, feed, chosen)
        pieces = timed_pieces(path, source_for(path, target.format_name, options), start_of(options.date), refused)
        recordings.append((path, target, pieces))
    now_ns = clock.now_ns()
    start_ns = now_ns if start_at == "now" else None if start_at == "original" else start_of(start_at, "--start-at")
    plans = [plan(path, target, pieces, start_ns) for path, target, pieces in recordings]
    sent = asyncio.run(send(plans, speed))
    for each, count in zip(plans, sent, strict=True):
        click.echo(f"{each.name}: {count:,} pieces to {each.target.url}, shifted by {each.shift_ns / 1e9:+,.3f} s", err=True)
    for line in summary(refused):
        click.echo(line, err=True)


def split_feed(text: str) -> tuple[str, Path]:
    """Return the feed's name ("" for none) and the path of a FEED=FILE argument; a file of that very name comes first."""
    name, separator, rest = text.partition("=")
    if not separator or Path(text).exists():
        return "", Path(text)
    return name, Path(rest)


def target_of(node_or_url: str, replay_id: str, feed: str, format_name: str) -> Target:
    """Return where a recording goes. Raises ConfigError for a node that is not in mode Replay or has no such feed."""
    if "://" in node_or_url:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", replay_id):
            raise click.UsageError("--to URL needs --id, the ID of the node's mode replay:ID (letters, digits, dots, -, _)")
        return Target(node_or_url, replay_id, format_name)
    from trilat.node.config import load

    config = load(config_path(Path(node_or_url)))
    kind, _, name = config.mode.partition(":")
    if kind != "replay":
        raise ConfigError("config-value", f"{node_or_url}: mode is {config.mode!r}; recordings go to a node in mode replay:ID.")
    fitting = [each for each in config.feed if (each.name == feed if feed else each.format == format_name)]
    if len(fitting) != 1:
        named = f"named {feed!r}" if feed else f"of format {format_name!r}"
        raise ConfigError("config-value", f"{node_or_url}: {len(fitting)} feeds {named}; write FEED=FILE with one of the feeds.")
    return Target(_address(fitting[0], Path(config.directory)), name, fitting[0].format)


def config_path(named: Path) -> Path:
    """Return a node's configuration: the file itself, or `node.toml` in the folder or beside it (a node's own directory)."""
    if not named.is_dir():
        return named
    beside = (named / "node.toml", named.resolve().parent / "node.toml")
    return next((path for path in beside if path.is_file()), beside[0])


def _address(feed: FeedSettings, directory: Path) -> str:
    """Return a feed's URL with the port the running node listens at; refused where nothing can be sent to it."""
    if feed.url.startswith("file:"):
        raise FeedError("feed-address", f"feed {feed.name!r} reads a file; recordings go to udp, tcp-listen or tcp feeds.")
    if not feed.url.endswith(":0"):
        return feed.url
    try:
        ports = msgspec.json.decode((directory / "ports.json").read_bytes(), type=dict[str, Any])
        return f"{feed.url[:-1]}{int(ports['feeds'][feed.name])}"
    except (OSError, msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        told = f"feed {feed.name!r} has port 0 and {directory / 'ports.json'} does not say which it got: is the node running?"
        raise FeedError("feed-address", told) from error


def timed_pieces(path: Path, source: Source, start_t_ns: int, refused: list[Refused]) -> Iterator[Piece]:
    """Give the pieces of a recording with their times; a table is read whole and put in order of time."""
    from trilat.feeds.recording import table_rows
    from trilat.feeds.replay import PIECE_BYTES_MAX
    from trilat.feeds.source import Refusals

    refusals = Refusals(source.name)
    lists = read_pieces(path, source, start_t_ns, refused)
    pieces = (piece for each in lists for piece in each)
    for piece in table_rows(source, list(pieces)) if source.format.startswith("fixes-") else pieces:
        if len(piece.data) <= PIECE_BYTES_MAX:
            yield piece
        else:
            refusals.add("packet-bad", length=len(piece.data), detail=f"a piece of {len(piece.data)} bytes")
    refused.extend(refusals.take(start_t_ns))


class Plan(NamedTuple):
    """One recording on its way: its pieces from the first on, and how far it is shifted."""

    name: str
    target: Target
    first: Piece
    rest: Iterator[Piece]
    shift_ns: int


def plan(path: Path, target: Target, pieces: Iterator[Piece], start_ns: int | None) -> Plan:
    """Look at the first piece, and say by how much the recording is shifted; raises FeedError for one without pieces."""
    first = next(pieces, None)
    if first is None:
        raise FeedError("feed-unreadable", f"{path} holds nothing that can be replayed.")
    return Plan(path.name, target, first, pieces, 0 if start_ns is None else start_ns - first.t_ns)


def frames(plans: list[Plan]) -> Iterator[tuple[int, int, bytes]]:
    """Give (time since its recording's first piece, index of the plan, frame) over all recordings, in order of that time."""
    from trilat.feeds.replay import frame

    def of(index: int, each: Plan) -> Iterator[tuple[int, int, bytes]]:
        latest = 0
        for piece in chain((each.first,), each.rest):
            latest = max(latest, piece.t_ns - each.first.t_ns)
            yield latest, index, frame(each.target.replay_id, each.shift_ns, piece.t_ns, piece.data)

    return heapq.merge(*(of(index, each) for index, each in enumerate(plans)), key=lambda entry: entry[0])


async def send(plans: list[Plan], speed: float) -> list[int]:
    """Send every recording at its pace; return how many pieces each had."""
    import asyncio

    from trilat.cli.replay_senders import open_sender
    from trilat.node import clock

    senders = [await open_sender(each.target.url) for each in plans]
    sent = [0] * len(plans)
    begun_ns = clock.monotonic_ns()
    try:
        for since_ns, index, data in frames(plans):
            ahead_s = (since_ns / speed - (clock.monotonic_ns() - begun_ns)) / 1e9
            if ahead_s > 0.001:
                await asyncio.sleep(ahead_s)
            await senders[index].send(data)
            sent[index] += 1
    except OSError as error:
        told = f"{plans[index].target.url}, after {sent[index]:,} pieces of {plans[index].name}: {error.strerror or error}."
        raise FeedError("feed-lost", told) from error
    finally:
        for sender in senders:
            with contextlib.suppress(OSError):
                await sender.close()
    return sent
