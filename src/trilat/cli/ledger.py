"""`trilat ledger`: who holds what of ours, since when, under which rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trilat.cli.frame import Group

if TYPE_CHECKING:
    from trilat.ledger.holdings import Holding, Ledger

STORE = click.Path(path_type=Path, file_okay=False)
NS = 1_000_000_000
DAY_NS = 86_400 * NS


@click.group(cls=Group)
def command() -> None:
    """Say who holds what of ours, since when, and under which rule it left.

    DIRECTORY is the node's store (`directory`/store of its configuration); the node may be running.
    """


class Time(click.ParamType[int]):
    """UTC nanoseconds, or an ISO 8601 time with its offset."""

    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return nanoseconds since 1970."""
        if isinstance(value, int):
            return value
        text = str(value)
        if text.isdigit():
            return int(text)
        try:
            told = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r} is no time: write 2026-11-28T01:00:00Z, or nanoseconds since 1970", param, ctx)
        if told.tzinfo is None:
            self.fail(f"{text!r} has no offset from UTC: write {text}Z for UTC", param, ctx)
        since = told - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * NS + since.microseconds * 1_000


class Audience(click.ParamType[str]):
    """A nation's three letters, or PUBLIC: of a mistyped one it is not said that it holds nothing."""

    name = "AUDIENCE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name as it stands."""
        from trilat.marking.canonical import is_audience

        if not is_audience(str(value)):
            self.fail(f"{value!r} is no audience: three upper-case letters, or PUBLIC", param, ctx)
        return str(value)


JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
AT = click.option("--at", "at_ns", type=Time(), help="As things stood then; now when left out.")


@contextmanager
def _opened(directory: Path) -> Iterator[Ledger]:
    from trilat.ledger.holdings import Ledger
    from trilat.store.sqlite import open_reader

    database = open_reader(directory)
    try:
        yield Ledger(database)
    finally:
        database.close()


def _time(t_ns: int) -> str:
    return datetime.fromtimestamp(t_ns // NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _print(found: Iterable[Holding], as_json: bool) -> int:  # noqa: FBT001 - click's
    import msgspec

    n = 0
    for n, one in enumerate(found, 1):  # noqa: B007 - counted
        if as_json:
            click.echo(msgspec.json.encode(one._asdict()))
        else:
            place = f"{one.audience} {one.lane} {one.epoch}.{one.sequence}"
            via = f"  through {one.via}" if one.via else ""
            click.echo(f"{_time(one.sealed_t_ns)}  {place:<24} {one.held:<9} {one.subject}  {one.record_type}  {one.rule}{via}")
    return n


@command.command()
@click.argument("directory", type=STORE)
@click.option("--by", "audience", type=Audience(), required=True, help="The audience: a nation's three letters, or PUBLIC.")
@AT
@JSON
def held(directory: Path, audience: str, at_ns: int | None, as_json: bool) -> None:  # noqa: FBT001 - click's
    """Print what an audience holds of ours, each record once; and what else it signed for that this store does not hold."""
    from trilat.ledger.beyond import beyond
    from trilat.transport.carried import partner_of

    with _opened(directory) as ledger:
        n = _print(ledger.held_by(audience, at_ns), as_json)
        more = [one for one in beyond(ledger.database) if partner_of(one.partner) == audience]
    click.echo(f"{audience} holds {n} records", err=True)
    for one in more:
        click.echo(f"and signed for {one.text}, which this store does not hold (trilat ledger missing)", err=True)


@command.command()
@click.argument("directory", type=STORE)
@click.argument("subject")
@AT
@JSON
def holders(directory: Path, subject: str, at_ns: int | None, as_json: bool) -> None:  # noqa: FBT001 - click's
    """Print who holds SUBJECT: a track (STREAM/NUMBER), a warning's id, a sensor, a target, or the SHA-256 of a record.

    A track goes by a partner's own number, too: KOR:123 is what KOR sees as number 123; with it comes what others hold on the
    same target, where the records say who it is (address:86d620, mmsi:431000123).
    """
    with _opened(directory) as ledger:
        n = _print(ledger.holders(subject, at_ns), as_json)
    click.echo(f"{n} records on {subject} are held", err=True)


@command.command()
@click.argument("directory", type=STORE)
@click.option("--since", "since_ns", type=Time(), default=0, help="From when, included.")
@click.option("--until", "until_ns", type=Time(), help="Until when, excluded; now when left out.")
@click.option("--to", "audience", type=Audience(), help="One audience; all when left out.")
@JSON
def released(directory: Path, since_ns: int, until_ns: int | None, audience: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Print how much was released in a time, by audience, type and rule."""
    import msgspec

    with _opened(directory) as ledger:
        found = ledger.released(since_ns, until_ns, audience)
    for one in found:
        if as_json:
            click.echo(msgspec.json.encode(one._asdict()))
        else:
            click.echo(f"{one.records:>9}  {one.audience:<6} {one.record_type:<22} {one.rule}  ({one.reason})")
    click.echo(f"{sum(one.records for one in found)} records released", err=True)


@command.command()
@click.argument("directory", type=STORE)
@JSON
def recalled(directory: Path, as_json: bool) -> None:  # noqa: FBT001 - click's
    """Print what was recalled: by this nation (out) and by partners of what this node holds (in); when, by whom and why."""
    import msgspec

    from trilat.ledger import recalls
    from trilat.store.sqlite import open_reader

    database = open_reader(directory)
    try:
        found = recalls.recalled(database)
    finally:
        database.close()
    for one in found:
        if as_json:
            click.echo(msgspec.json.encode(one._asdict()))
        else:
            when = "no longer kept when" if one.t_ns is None else _time(one.t_ns)
            place = f"{one.partner} {one.lane} {recalls.numbers_text(one.epoch, one.sequences)}"
            click.echo(f"{when}  {one.way:<3} {place}  {one.by}  {one.reason}".rstrip())
    click.echo(f"{sum(len(one.sequences) for one in found)} records are recalled", err=True)


@command.command()
@click.argument("directory", type=STORE)
@JSON
def missing(directory: Path, as_json: bool) -> None:  # noqa: FBT001 - click's
    """Print which records partners signed for that this store does not hold, because it was put back to an older copy.

    Ends with 1 when there are any. `trilat ledger rebuild` puts them back from a copy that has them.
    """
    import msgspec

    from trilat.ledger.beyond import beyond
    from trilat.store.sqlite import open_reader

    database = open_reader(directory)
    try:
        found = beyond(database)
    finally:
        database.close()
    for one in found:
        if as_json:
            heads = {"after": one.after, "until": one.until}
            told = {name: [at.epoch, at.sequence, at.head.hex()] for name, at in heads.items()}
            click.echo(msgspec.json.encode(one._asdict() | told))
        else:
            click.echo(f"{_time(one.t_ns)}  {one.text}  {'signed' if one.signed else 'its key is not in the log'}")
    click.echo(f"{len(found)} ranges were signed for that are not here", err=True)
    if found:
        click.get_current_context().exit(1)


@command.command()
@click.argument("directory", type=STORE)
@click.option("--from", "source", type=STORE, required=True, help="A later copy of this node's store, or of the partner's.")
def rebuild(directory: Path, source: Path) -> None:
    """Put back the rows that partners signed for, from SOURCE: each range whole, when its chain ends in the head that was signed.

    The node must be stopped; SOURCE is only read. Ends with 1 when a range is still missing.
    """
    import msgspec

    from trilat.cli.audit import BatchChecks
    from trilat.ledger.beyond import beyond
    from trilat.ledger.beyond import rebuild as put_back
    from trilat.node import clock
    from trilat.records.label import Mode
    from trilat.store.sqlite import open_reader, open_store, read_meta

    there = open_reader(source)
    try:
        reader = open_reader(directory)
        try:
            meta = read_meta(reader)
        finally:
            reader.close()
        store = open_store(directory, meta["nation"], msgspec.convert(meta["mode"], Mode))
        try:
            judge = BatchChecks(store.database, meta["nation"]).batch
            for one in put_back(store, there, judge, clock.now_ns()):
                click.echo(f"{one.beyond.text}: " + (f"not put back: {one.why_not}" if one.why_not else f"{one.records} records"))
            store.commit()
            left = len(beyond(store.database))
        finally:
            store.close()
    finally:
        there.close()
    click.echo(f"{left} ranges are still missing", err=True)
    if left:
        click.get_current_context().exit(1)


@command.command()
@click.argument("directory", type=STORE)
def check(directory: Path) -> None:
    """Look into every record in every outbox: its own label must name its audience, this nation and this mode; 1 when not."""
    import msgspec

    from trilat.records.label import Mode
    from trilat.store.sqlite import open_reader, read_meta

    database = open_reader(directory)
    try:
        from trilat.ledger.holdings import Ledger

        meta = read_meta(database)
        faults = list(Ledger(database).faults(meta["nation"], msgspec.convert(meta["mode"], Mode)))
    finally:
        database.close()
    for fault in faults[:20]:
        click.echo(f"{fault.where}: {fault.what}", err=True)
    if faults:
        click.echo(f"not sound: {len(faults)} records that should not have left; the first: {faults[0].where}")
        click.get_current_context().exit(1)
    click.echo("sound: every record in every outbox names its audience in its own label")
