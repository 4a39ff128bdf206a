"""What `decode`, `track` and `replay` share: reading recordings, and sensors for files that come without a configuration."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from trilat.errors import FeedError

if TYPE_CHECKING:
    from trilat.feeds.recording import Piece
    from trilat.feeds.source import Decoded, Decoder, Source
    from trilat.records.report import Refused
    from trilat.records.sensor import Sensor

FORMATS = ("asterix", "beast", "avr", "modes-jsonl", "ais", "fixes-csv", "fixes-json", "plots-json", "sights-jsonl")
format_option = click.option(
    "--format",
    "format_name",
    metavar="FORMAT",
    default="auto",
    show_default=True,
    type=click.Choice(("auto", *FORMATS)),
    help=f"auto, {', '.join(FORMATS[:-1])} or {FORMATS[-1]}.",
)
# Taken where a recording's first bytes are none that we know: they may be damaged.
ENDINGS = {".ast": "asterix", ".asterix": "asterix", ".beast": "beast", ".avr": "avr", ".nmea": "ais", ".ais": "ais"}
READ_BYTES = 1 << 18
HEAD_BYTES = 1 << 12
# Whose a recording is when nobody says: ISO 3166 keeps XAA to XZZ for users.
NATION = "XXX"


class FeedOptions(NamedTuple):
    """The options that say how a recording is to be understood."""

    nation: str
    sensors: tuple[str, ...]
    options: tuple[str, ...]
    editions: tuple[str, ...]
    date: str | None
    node: str | None


def feed_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of `FeedOptions` to a command."""
    for option in (
        click.option(
            "--node", type=click.Path(exists=True, dir_okay=False), help="Take sensors and editions from a node's TOML."
        ),
        click.option("--date", help="When a recording without dates begins: 2024-01-02 or 2024-01-02T07:41:03Z."),
        click.option("--edition", "editions", multiple=True, metavar="CAT=ED", help="ASTERIX edition of a category (048=1.31)."),
        click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="A feed option, such as preset=opensky."),
        click.option(
            "--sensor",
            "sensors",
            multiple=True,
            metavar="ID,NAME=VALUE,...",
            help="A sensor: radar-1,sac=25,sic=201,lat_deg=45.8,lon_deg=16.0,alt_m=900,kind=radar2d.",
        ),
        click.option("--nation", default=NATION, show_default=True, help="Whose recording it is."),
    ):
        command = option(command)
    return command


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """Return NAME=VALUE texts as a mapping; raises click.BadParameter for anything else."""
    found = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise click.BadParameter(f"{text!r} is no NAME=VALUE")
        found[name] = value
    return found


def read_sensor(text: str, nation: str, kind: str) -> Sensor:
    """Return the sensor of a `--sensor` option; raises click.BadParameter."""
    import msgspec

    from trilat.records.faults import fault_of
    from trilat.records.label import Label, Mode
    from trilat.records.sensor import Sensor

    name, _, rest = text.partition(",")
    values = pairs(rest.split(",")) if rest else {}
    label = Label(policy="TRILAT", originator=nation, mode=Mode(kind="replay", id="recording"), level=4, sources=(nation,))
    own = {"id": name, "nation": nation, "label": msgspec.to_builtins(label)}
    given = {"type": "trilat.sensor/1", "kind": kind, **values, **own}
    try:
        return msgspec.convert(given, Sensor, strict=False)
    except msgspec.ValidationError as error:
        raise click.BadParameter(f"--sensor {text!r}: {fault_of(error, given, Sensor)}") from error


def start_of(date: str | None, option: str = "--date") -> int:
    """Return a `--date` in nanoseconds since 1970, 0 without one; raises click.BadParameter."""
    from trilat.feeds.fix_table import iso_t_ns

    if date is None:
        return 0
    try:
        return iso_t_ns(date if len(date) > 10 else f"{date}T00:00:00Z")
    except ValueError as error:
        raise click.BadParameter(f"{option}: {error}") from error


def head_of(path: Path) -> bytes:
    """Return the first inflated bytes of a file; raises FeedError `feed-unreadable`."""
    from trilat.feeds.recording import Inflater
    from trilat.feeds.source import Refusals

    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            raise FeedError("feed-unreadable", f"{path} is no file, so its format must be named (and a table's preset).")
        with path.open("rb") as file:
            return b"".join(Inflater(Refusals("head")).feed(file.read(HEAD_BYTES)))
    except OSError as error:
        raise FeedError("feed-unreadable", f"{path}: {error.strerror}.") from error


def format_of(path: Path, name: str) -> str:
    """Return the format of a recording: as named, or when the name is "auto" by its first bytes, then by its ending.

    Raises FeedError: `feed-unreadable` for a file without content, `feed-format` for one that neither tells.
    """
    from trilat.feeds.recording import guess_format, looks_like_asterix

    if name != "auto":
        return name
    head = head_of(path)
    if not head:
        raise FeedError("feed-unreadable", f"{path}: there is nothing in it. Leave it out, or name its format.")
    guessed: str = guess_format(head)
    if guessed != "asterix" or looks_like_asterix(head):
        return guessed
    ending = ENDINGS.get(Path(path.name.lower().removesuffix(".gz")).suffix)
    if ending is not None:
        return ending
    npz = " It is a zip: a scenario file (.npz) is for `trilat bench track`." if head.startswith(b"PK") else ""
    known = ", ".join(FORMATS)
    raise FeedError("feed-format", f"{path} neither begins nor is named as one of them.{npz} Known are {known}.")


def preset_of(head: bytes) -> str:
    """Return the preset whose time column stands in a table's head, "" for none (an object of columns shows no more)."""
    from trilat.feeds.fix_table import PRESETS

    for name, table in PRESETS.items():
        if re.search(rb"(?:^|[\",;{])\s*%s\s*(?:[\",;\r\n]|$)" % re.escape(table.columns["t"].encode()), head):
            return name
    return ""


def source_for(path: Path, format_name: str, options: FeedOptions) -> Source:
    """Return the source of a recording: with the sensors given, or with one that is good enough to look at it."""
    from msgspec.structs import replace

    from trilat.feeds.registry import source_of
    from trilat.records.label import Mode

    name = "".join(each if each.isalnum() or each in "._-" else "-" for each in path.name)[:60]
    radars = format_name == "asterix"
    sensors = tuple(read_sensor(text, options.nation, "radar2d" if radars else "fixes") for text in options.sensors)
    twice = sorted({one.id for one in sensors if [other.id for other in sensors].count(one.id) > 1})
    if twice:
        raise click.BadParameter(f"--sensor: {twice[0]!r} stands twice")
    settings, editions = pairs(options.options), pairs(options.editions)
    if options.node is not None:
        sensors, editions = _of_node(options.node, editions)
        sensors = sensors if radars else tuple(each for each in sensors if each.kind == "fixes")[:1]
    if radars:
        from trilat.feeds.asterix_layout import latest_editions

        editions = {str(category): edition for category, edition in latest_editions().items()} | editions
    if format_name.startswith("fixes-") and not {"preset", "columns"} & set(settings):
        settings["preset"] = preset_of(head_of(path))
    mode = Mode(kind="replay", id="recording")
    source = source_of(f"file-{name}", format_name, mode, sensors, nation=options.nation, editions=editions, options=settings)
    if sensors:
        return source
    # Ships keep to the surface: that tells the tracker which motion to expect.
    stand_in = read_sensor(
        "recording,alt_max_m=100" if format_name == "ais" else "recording", options.nation, "radar2d" if radars else "fixes"
    )
    return replace(source, unknown_sensor=stand_in)


def _of_node(path: str, editions: dict[str, str]) -> tuple[tuple[Sensor, ...], dict[str, str]]:
    """Return a node's sensors and the editions of its feeds."""
    from trilat.node.config import load, sensors_of

    config = load(path)
    known = {category: edition for feed in config.feed for category, edition in feed.editions.items()}
    return sensors_of(config), known | editions


def read_pieces(
    path: Path, source: Source, start_t_ns: int, refused: list[Refused], progress: Callable[[int], None] = lambda _: None
) -> Iterator[list[Piece]]:
    """Give a recording's pieces as its file is read; the last list is what the end left.

    What is wrong with the file itself (a cut capture, damaged gzip) goes to `refused`. Raises FeedError `feed-unreadable`.
    """
    from trilat.feeds.recording import RecordingReader

    reader = RecordingReader(source, start_t_ns)
    try:
        with path.open("rb") as file:
            while data := file.read(READ_BYTES):
                yield reader.feed(data)
                progress(len(data))
    except OSError as error:
        raise FeedError("feed-unreadable", f"{path}: {error.strerror}.") from error
    yield reader.finish()
    refused.extend(reader.refused())


def decode_pieces(decoder: Decoder, pieces: list[Piece]) -> Iterator[Decoded]:
    """Decode pieces in order; many at once where the decoder can."""
    many = getattr(decoder, "decode_many", None)
    if many is not None and len(pieces) > 1:
        yield many([piece.data for piece in pieces], [piece.t_ns for piece in pieces])
        return
    for piece in pieces:
        yield decoder.decode(piece.data, piece.t_ns)


def decode_file(
    path: Path, source: Source, start_t_ns: int, refused: list[Refused], progress: Callable[[int], None] = lambda _: None
) -> Iterator[Decoded]:
    """Decode a recording to its end, with what its last bytes lack; what is refused goes to `refused`. Raises FeedError."""
    from trilat.feeds.registry import open_format

    decoder = open_format(source)
    finish = getattr(decoder, "finish", None)
    for pieces in read_pieces(path, source, start_t_ns, refused, progress):
        for decoded in decode_pieces(decoder, pieces):
            refused.extend(decoded.refused)
            yield decoded
    if finish is not None:
        decoded = finish(start_t_ns)
        refused.extend(decoded.refused)
        yield decoded


def summary(refused: Sequence[Refused]) -> list[str]:
    """Return the lines that tell what was refused, by reason, the most frequent first."""
    from trilat.errors import code_of, codes
    from trilat.feeds.source import merge_refused

    merged = sorted(merge_refused(refused), key=lambda each: (-each.count, each.reason))
    if not merged:
        return ["refused: nothing"]
    lines = ["refused:"]
    for each in merged:
        code = code_of(each.reason)
        detail = f" (first: {each.detail})" if each.detail else ""
        lines.append(f"  {each.count:>9,}  {each.reason}  {code} {codes()[code]['says']}{detail}")
    return lines
