"""`trilat decode FORMAT FILE`: a recording as records, one JSON object a line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trilat.cli.recordings import (
    FORMATS,
    FeedOptions,
    decode_file,
    feed_options,
    format_of,
    read_pieces,
    source_for,
    start_of,
    summary,
)

if TYPE_CHECKING:
    from trilat.records.report import Refused


@click.command()
@click.argument("format_name", metavar="FORMAT", type=click.Choice(("auto", *FORMATS)))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--items", is_flag=True, help="ASTERIX: every item of every record, instead of plots and fixes.")
@feed_options
def command(format_name: str, file: Path, *, items: bool, **given: Any) -> None:
    """Print what FILE holds: plots and fixes as JSON lines on stdout, what was refused and why on stderr.

    FORMAT is one of the formats, or "auto". gzip, pcap and pcapng are recognised. Without --sensor any sensor is taken.
    Ends with 0 when anything was read, with 1 when the file gave nothing at all.
    """
    options = FeedOptions(**given)
    chosen = format_of(file, format_name)
    if items and chosen != "asterix":
        raise click.UsageError("--items is for ASTERIX")
    count, refused = _items(file, options) if items else _records(file, chosen, options)
    click.echo(f"{file.name}: {chosen}, {count:,} records", err=True)
    for line in summary(refused):
        click.echo(line, err=True)
    if not count:
        sys.exit(1)


def _records(file: Path, chosen: str, options: FeedOptions) -> tuple[int, list[Refused]]:
    """Print plots and fixes; return how many, and what was refused."""
    import msgspec

    from trilat.records.convert import to_records

    source, encoder, count = source_for(file, chosen, options), msgspec.json.Encoder(), 0
    refused: list[Refused] = []
    for decoded in decode_file(file, source, start_of(options.date), refused):
        for batch in decoded.batches:
            records = to_records(batch)
            count += len(records)
            click.echo(encoder.encode_lines(records), nl=False)
    return count, refused


def _items(file: Path, options: FeedOptions) -> tuple[int, list[Refused]]:
    """Print every item of every ASTERIX record; return how many records, and what was refused."""
    import msgspec

    from trilat.feeds.asterix_items import iter_records
    from trilat.feeds.source import Refusals

    source = source_for(file, "asterix", options)
    encoder, refusals, count = msgspec.json.Encoder(), Refusals(source.name), 0
    refused: list[Refused] = []
    for pieces in read_pieces(file, source, start_of(options.date), refused):
        for piece in pieces:
            for record in iter_records(piece.data, piece.t_ns, source.editions):
                if "refused" in record:
                    refusals.add(record["refused"], record["offset"], record["length"], record["detail"])
                    continue
                count += 1
                click.echo(encoder.encode(record) + b"\n", nl=False)
    return count, [*refused, *refusals.take(0)]
