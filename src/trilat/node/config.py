"""Read a node's configuration: TOML with `TRILAT_*` overrides; every error names file, line and remedy."""

from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from trilat.errors import ConfigError
from trilat.node.settings import NodeConfig, SensorSettings
from trilat.records.faults import fault_of
from trilat.records.label import Label, Mode
from trilat.records.sensor import Sensor

CONFIG_BYTES_MAX = 4 * 1024 * 1024
_PREFIX = "TRILAT_"
# Variables of the same prefix that are no settings: the build's, and those that name files before any is read.
OUTPUT_PATHS = frozenset({"directory", "authorization_file"})  # options of outputs that are paths
_NOT_SETTINGS = frozenset(
    {"TRILAT_SKIP_WEB", "TRILAT_DIE_WITH_PARENT", "TRILAT_CONFIG", "TRILAT_PASSPHRASE", "TRILAT_PASSPHRASE_FILE"}
)


def load(path: str | Path, environ: Mapping[str, str] | None = None) -> NodeConfig:
    """Read, override, check and return a configuration.

    `environ` overrides settings: TRILAT_PAGE__PORT=8443 sets [page] port; values are TOML, or else plain text.
    Raises ConfigError (config-unreadable, config-syntax, config-value, mode-missing).
    """
    file = Path(path)
    text = _read(file)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError("config-syntax", f"{file}: {error}.") from error
    except RecursionError as error:
        raise ConfigError("config-syntax", f"{file}: nested too deeply.") from error
    set_by = _override(data, environ or {})
    if "mode" not in data:
        raise ConfigError("mode-missing", f"{file}." if text.strip() else f"{file}: there is nothing in it.")
    try:
        config = msgspec.convert(data, NodeConfig)
    except msgspec.ValidationError as error:
        names, index = _path(str(error))
        variable = set_by.get(tuple(names))
        where = f"{file}:{_find(text.splitlines(), names, index)}" if variable is None else f"the environment's {variable}"
        raise ConfigError("config-value", f"{where}: {fault_of(error, data, NodeConfig)}.") from error
    _cross_check(config, file, text)
    return _absolute(config, file.resolve().parent)


def _read(file: Path) -> str:
    """Return a configuration's text. Only a file is read: a pipe may never end, and a device never does."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise ConfigError("config-unreadable", f"{file} is no file.")
        with file.open("rb") as opened:
            raw = opened.read(CONFIG_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError("config-unreadable", f"{file}: {error.strerror}.") from error
    if len(raw) > CONFIG_BYTES_MAX:
        raise ConfigError("config-unreadable", f"{file}: it has more than {CONFIG_BYTES_MAX} bytes.")
    try:
        return raw.decode("utf-8-sig")  # some editors put a mark before the first line
    except UnicodeDecodeError as error:
        raise ConfigError("config-syntax", f"{file}: it is no text (UTF-8) from octet {error.start} on.") from error


def mode_of(config: NodeConfig) -> Mode:
    """Return the configured mode as a record."""
    kind, _, name = config.mode.partition(":")
    return msgspec.convert({"kind": kind, "id": name}, Mode)


def sensors_of(config: NodeConfig) -> tuple[Sensor, ...]:
    """Return the node's sensors as records, each with its full label."""
    return tuple(_sensor(config, settings) for settings in config.sensor)


def _sensor(config: NodeConfig, settings: SensorSettings) -> Sensor:
    label = settings.label
    site = {f: getattr(settings, f) for f in settings.__struct_fields__ if f != "label"}
    return Sensor(
        nation=config.nation,
        label=Label(
            policy=config.policy,
            originator=config.nation,
            mode=mode_of(config),
            level=label.level,
            rel_to=tuple(sorted(set(label.rel_to))),
            communities=tuple(sorted(set(label.communities))),
            topics=tuple(sorted(set(label.topics))),
            caveats=tuple(sorted(set(label.caveats))),
            purposes=tuple(sorted(set(label.purposes))),
            not_before_ns=label.not_before_ns,
            expires_ns=label.expires_ns,
            sources=(config.nation,),
            operations=tuple(sorted(set(label.operations))),
        ),
        **site,
    )


def _override(data: dict[str, Any], environ: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Lay TRILAT_SECTION__KEY=value over the file's data; return which variable set what."""
    set_by: dict[tuple[str, ...], str] = {}
    for key in sorted(environ):
        if not key.startswith(_PREFIX) or key in _NOT_SETTINGS:
            continue
        *sections, name = key[len(_PREFIX) :].lower().split("__")
        target = data
        for at, section in enumerate(sections):
            if section not in target:
                set_by[(*sections[: at + 1],)] = key
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                raise ConfigError("config-value", f"{key}: {section!r} is no section that a variable can reach.")
        target[name] = _toml_value(environ[key])
        set_by[(*sections, name)] = key
    return set_by


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _path(message: str) -> tuple[list[str], int]:
    """Return the names that a msgspec message with its `$.path` speaks of, outermost first, and the index in the list."""
    path = re.search(r"at `\$\.?([^`]*)`", message)
    parts = re.findall(r"[A-Za-z_][\w-]*|\[\d+\]", path.group(1)) if path else []
    named = re.search(r"unknown field `([^`]*)`", message)
    if named:
        parts.append(named.group(1))
    indexes = [int(p[1:-1]) for p in parts if p.startswith("[")]
    return [p for p in parts if not p.startswith("[")], indexes[0] if indexes else 0


def _find(lines: list[str], names: list[str], index: int) -> int:
    """Find the line of the key names[-1] below the index-th [[names[0]]] or [names[0]] header."""
    if not names:
        return 1
    start, seen = 0, -1
    for number, line in enumerate(lines):
        if re.match(rf"\s*\[\[?\s*{re.escape(names[0])}\s*\]?\]", line):
            seen += 1
            start = number
            if seen == index:
                break
    for number in range(start, len(lines)):
        if re.search(rf"(^|[\s{{,.]){re.escape(names[-1])}\s*=", lines[number]):
            return number + 1
    return start + 1


def _cross_check(config: NodeConfig, file: Path, text: str) -> None:
    """Check what no single value can tell: names used once, feeds naming known sensors, partners that are others."""
    ids = [sensor.id for sensor in config.sensor]
    for what, names in (
        ("sensor", ids),
        ("feed", [feed.name for feed in config.feed]),
        ("partner", [partner.nation for partner in config.partner]),
        ("output", [output.name for output in config.output]),
    ):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError("config-value", f"{file}:{_find(text.splitlines(), [what], 1)}: {what} {twice[0]!r} stands twice.")
    for number, feed in enumerate(config.feed):
        unknown = sorted(set(feed.sensors) - set(ids))
        if unknown:
            line = _find(text.splitlines(), ["feed", "sensors"], number)
            raise ConfigError(
                "config-value", f"{file}:{line}: feed {feed.name!r} names sensor {unknown[0]!r}, which no [[sensor]] describes."
            )
    if config.step.state_tick_ms % config.step.tick_ms:
        line = _find(text.splitlines(), ["step", "state_tick_ms"], 0)
        raise ConfigError(
            "config-value",
            f"{file}:{line}: [step] state_tick_ms = {config.step.state_tick_ms} is no whole number of steps of"
            f" tick_ms = {config.step.tick_ms}: tracks would leave at uneven times.",
        )
    for number, partner in enumerate(config.partner):
        if partner.nation == config.nation:
            line = _find(text.splitlines(), ["partner", "nation"], number)
            raise ConfigError("config-value", f"{file}:{line}: partner {partner.nation!r} is the node's own nation.")


def _absolute_url(url: str, absolute: Callable[[str], str]) -> str:
    """Make the path of a feed's file absolute; other addresses stay as they are."""
    path = url.removeprefix("file:").removeprefix("//")
    return f"file:{absolute(path)}" if url.startswith("file:") and path and "\0" not in path else url


def _absolute_options(options: Mapping[str, str], absolute: Callable[[str], str]) -> dict[str, str]:
    """Make those options of an output absolute that are paths."""
    return {name: absolute(value) if name in OUTPUT_PATHS else value for name, value in options.items()}


def _absolute(config: NodeConfig, base: Path) -> NodeConfig:
    """Make the paths of a configuration absolute, relative to its file."""

    def absolute(path: str) -> str:
        return str((base / path).resolve())

    server = config.exchange.nats_server_path
    return msgspec.structs.replace(
        config,
        directory=absolute(config.directory),
        keys=absolute(config.keys),
        agreements=tuple(absolute(path) for path in config.agreements),
        partner=tuple(msgspec.structs.replace(p, file=absolute(p.file)) for p in config.partner),
        exchange=msgspec.structs.replace(config.exchange, nats_server_path=None if server is None else absolute(server)),
        feed=tuple(msgspec.structs.replace(one, url=_absolute_url(one.url, absolute)) for one in config.feed),
        warning=msgspec.structs.replace(
            config.warning, areas=None if config.warning.areas is None else absolute(config.warning.areas)
        ),
        output=tuple(msgspec.structs.replace(one, options=_absolute_options(one.options, absolute)) for one in config.output),
        page=msgspec.structs.replace(config.page, places=None if config.page.places is None else absolute(config.page.places)),
    )
