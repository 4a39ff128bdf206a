"""Formats by name: `open_decoder(source)` is the way in for a node, `open_format(source)` for recordings read off line."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from trilat.errors import FeedError
from trilat.feeds.source import Decoder, Source
from trilat.records.faults import fault_of
from trilat.records.label import Mode
from trilat.records.sensor import Sensor


def _asterix(source: Source) -> Decoder:
    from trilat.feeds.asterix import AsterixDecoder  # noqa: PLC0415 - each format is loaded when a feed of it is opened

    return AsterixDecoder(source)


def _beast(source: Source) -> Decoder:
    from trilat.feeds.modes import BeastDecoder  # noqa: PLC0415 - as above

    return BeastDecoder(source)


def _avr(source: Source) -> Decoder:
    from trilat.feeds.modes import AvrDecoder  # noqa: PLC0415 - as above

    return AvrDecoder(source)


def _modes_jsonl(source: Source) -> Decoder:
    from trilat.feeds.modes import ModesJsonlDecoder  # noqa: PLC0415 - as above

    return ModesJsonlDecoder(source)


def _ais(source: Source) -> Decoder:
    from trilat.feeds.ais import AisDecoder  # noqa: PLC0415 - as above

    return AisDecoder(source)


def _fixes_csv(source: Source) -> Decoder:
    from trilat.feeds.fixes import FixesCsvDecoder  # noqa: PLC0415 - as above

    return FixesCsvDecoder(source)


def _fixes_json(source: Source) -> Decoder:
    from trilat.feeds.fixes import FixesJsonDecoder  # noqa: PLC0415 - as above

    return FixesJsonDecoder(source)


def _plots_json(source: Source) -> Decoder:
    from trilat.feeds.plots import PlotsJsonDecoder  # noqa: PLC0415 - as above

    return PlotsJsonDecoder(source)


def _sights(source: Source) -> Decoder:
    from trilat.feeds.plots import SightsDecoder  # noqa: PLC0415 - as above

    return SightsDecoder(source)


FORMATS = {
    "asterix": _asterix,
    "beast": _beast,
    "avr": _avr,
    "modes-jsonl": _modes_jsonl,
    "ais": _ais,
    "fixes-csv": _fixes_csv,
    "fixes-json": _fixes_json,
    "plots-json": _plots_json,
    "sights-jsonl": _sights,
}


def open_format(source: Source) -> Decoder:
    """Return the decoder of a source's format, and of its container if it has one.

    Raises FeedError: `feed-format` for a format that is not known, `feed-setting` for settings that do not fit it.
    """
    opener = FORMATS.get(source.format)
    if opener is None:
        raise FeedError("feed-format", f"{source.format!r}; known are {', '.join(sorted(FORMATS))}.")
    decoder = opener(source)
    if source.container == "pcap":
        from trilat.feeds.payloads import CaptureDecoder  # noqa: PLC0415 - as above

        return CaptureDecoder(source, decoder)
    return decoder


def open_decoder(source: Source) -> Decoder:
    """Return a node's decoder of a source: replayed input reaches a source in mode Replay only, and live input never does.

    Raises FeedError as `open_format`.
    """
    from trilat.feeds.replay import ReplayGate  # noqa: PLC0415 - as above

    return ReplayGate(source, lambda: open_format(source))


# Options of a feed that describe a table of fixes; "a=b,c=d" becomes a map.
_TABLE_MAPS = ("columns", "factors", "needs")
_TABLE = (*_TABLE_MAPS, "header", "time", "time_error_s", "domain", "altitude")
_OPTIONS = ("container", "reference", "receiver_clock", "clock_error_s_max", "preset", *_TABLE)


def source_of(
    name: str,
    format_name: str,
    mode: Mode,
    sensors: Sequence[Sensor],
    *,
    nation: str,
    editions: Mapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
) -> Source:
    """Return the source of a feed's settings as they stand in a node's configuration: editions and options are text.

    Options: container, reference ("LAT,LON"), receiver_clock, clock_error_s_max, preset; and for a table of fixes columns,
    factors, needs ("a=b,c=d"), header ("a,b,c"), time, time_error_s, domain, altitude.
    Raises FeedError `feed-format` or `feed-setting`.
    """
    if format_name not in FORMATS:
        raise FeedError("feed-format", f"{format_name!r} of feed {name!r}; known are {', '.join(sorted(FORMATS))}.")
    given = dict(options or {})
    # "048" is the standard's own way to write a category, and no number to msgspec.
    numbered = {category.lstrip("0") or category: edition for category, edition in (editions or {}).items()}
    unknown = sorted(set(given) - set(_OPTIONS))
    if unknown:
        raise FeedError("feed-setting", f"feed {name!r}: no option {unknown[0]!r}; known are {', '.join(_OPTIONS)}.")
    table: dict[str, Any] = {key: given.pop(key) for key in _TABLE if key in given}
    values: dict[str, Any] = {"name": name, "format": format_name, "nation": nation, "editions": numbered, **given}
    if "reference" in values:
        values["reference"] = values["reference"].split(",")
    if table:
        table |= {key: _pairs(name, table[key]) for key in _TABLE_MAPS if key in table}
        if "header" in table:
            table["header"] = table["header"].split(",")
        values["fix_columns"] = table
    values["mode"] = msgspec.to_builtins(mode)
    try:
        source = msgspec.convert(values, Source, strict=False)
    except msgspec.ValidationError as error:
        raise FeedError("feed-setting", f"feed {name!r}: {fault_of(error, values, Source)}.") from error
    return msgspec.structs.replace(source, sensors=tuple(sensors))


def _pairs(name: str, text: str) -> dict[str, str]:
    """Return "a=b,c=d" as a mapping."""
    pairs = [each.partition("=") for each in text.split(",")]
    if any(not separator for _, separator, _ in pairs):
        raise FeedError("feed-setting", f"feed {name!r}: {text!r} is no list of NAME=VALUE.")
    return {key.strip(): value.strip() for key, _, value in pairs}
