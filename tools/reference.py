"""Write `docs/reference/` from the code: commands, settings, records, metrics, errors. Run by `make reference`.

Nothing there is written by hand: a house test compares each page with what this makes, so that a page cannot lag.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import click
import msgspec
from msgspec import Struct

from trilat import errors
from trilat.cli import COMMANDS, main
from trilat.cli.frame import LazyGroup, load
from trilat.node import health, settings
from trilat.records import codec

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
MADE = "<!-- Made from the code by `make reference`; do not edit. -->\n"
# A field of a struct begins so; the comment behind it, perhaps on a later line, says what it is.
FIELD = re.compile(r"    (\w+): ")
COMMENT = re.compile(r"  # (.*)$")
PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$(?!\n)": "name",
    r"^[A-Z]{3}$(?!\n)": "nation",
    r"^([A-Z]{3}|PUBLIC)$(?!\n)": "nation or `PUBLIC`",
}


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    cells = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells) + "\n"


def commands() -> str:
    """Return the page of every command with its arguments and options."""
    parts = [MADE, "# Commands\n", "`trilat COMMAND --help` says the same at the terminal.\n"]
    parts += [
        table(("command", "what it does"), [(f"[`{name}`](#trilat-{name})", entry.help) for name, entry in COMMANDS.items()])
    ]
    parts += [command_text(command, path) for path, command in walk(main, "trilat") if path != "trilat"]
    return "\n".join(parts)


def walk(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Yield a command and everything below it with its path ("trilat bench track")."""
    yield path, command
    if isinstance(command, LazyGroup):
        for name, entry in command.commands_table.items():
            yield from walk(load(entry), f"{path} {name}")
    elif isinstance(command, click.Group):
        for name, below in sorted(command.commands.items()):
            yield from walk(below, f"{path} {name}")


def command_text(command: click.Command, path: str) -> str:
    """Return the section of one command, as its `--help` says it."""
    command._help_option = None  # noqa: SLF001 - click keeps the option as whoever asked first was given it
    names = ["-h", "--help"]  # as `trilat` gives them to all its commands
    context = click.Context(command, info_name=path, terminal_width=100, max_content_width=100, help_option_names=names)
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    return f"## {path}\n\n```text\n{text}\n```\n"


def settings_page() -> str:
    """Return the page of every setting with its section, range and default."""
    parts = [
        MADE,
        "# Settings of a node\n",
        "A node is started with `trilat node CONFIG.toml`. Paths are relative to that file. Any setting can be overridden by a",
        'variable of the environment: `TRILAT_PAGE__PORT=8443` sets `port` of `[page]`; a section in double brackets ("a list")',
        "cannot. A setting without a default must be given. An unknown one is an error.\n",
    ]
    parts += [section_text(path, kind) for path, kind in sections(settings.NodeConfig, "")]
    return "\n".join(parts)


def sections(kind: type[Struct], path: str) -> Iterator[tuple[str, type[Struct]]]:
    """Yield every section of the configuration with its header: "[page]", "[[sensor]]"."""
    yield path, kind
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if inspect.isclass(hint) and issubclass(hint, Struct):
            yield from sections(hint, f"{path}.{name}".lstrip("."))
        elif get_origin(hint) is tuple or get_args(hint):
            for below in structs_in(hint):
                yield from sections(below, f"{path}.{name}[]".lstrip("."))


def structs_in(hint: Any) -> Iterator[type[Struct]]:
    """Yield the settings structs inside a list's type."""
    for argument in get_args(hint):
        if inspect.isclass(argument) and issubclass(argument, Struct) and argument.__name__.endswith("Settings"):
            yield argument
        else:
            yield from structs_in(argument)


def section_text(path: str, kind: type[Struct]) -> str:
    """Return one section's heading, what it is, and its settings."""
    name = path.replace("[]", "")
    title = "Top of the file" if not path else f"`[[{name}]]` (a list)" if path.endswith("[]") else f"`[{name}]`"
    says = says_of(kind)
    hints = get_type_hints(kind, include_extras=True)
    rows = [
        (f"`{field.name}`", says.get(field.name, ""), range_of(hints[field.name]), default_of(field))
        for field in msgspec.structs.fields(kind)
    ]
    return f"## {title}\n\n{first_line(kind)}\n\n{table(('setting', 'what it is', 'type and range', 'default'), rows)}"


def says_of(kind: type[Struct]) -> dict[str, str]:
    """Return what each field of a struct is, from the comment behind it, those of its bases too."""
    says: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        name = ""
        for line in inspect.getsource(each).splitlines() if each.__module__.startswith("trilat.") else ():
            if begun := FIELD.match(line):
                name = begun.group(1)
            if name and (comment := COMMENT.search(line)):
                says[name] = comment.group(1)
                name = ""
    return says


def range_of(hint: Any) -> str:
    """Return a field's type and range in words: "integer, 0 to 65535"."""
    return words_of(msgspec.json.schema(hint))


def words_of(schema: dict[str, Any]) -> str:
    """Return a JSON Schema of a plain value in words."""
    if "anyOf" in schema:
        return " or ".join(words_of(each) for each in schema["anyOf"] if each.get("type") != "null")
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "$ref" in schema:
        kind = str(schema["$ref"]).rsplit("/", 1)[-1]
        return "section" if kind.endswith("Settings") else kind
    if "prefixItems" in schema:
        return f"{len(schema['prefixItems'])} of {words_of(schema['prefixItems'][0])}"
    if schema.get("pattern") in PATTERNS:
        return PATTERNS[schema["pattern"]]
    kind = str(schema.get("type", "any"))
    words = [{"array": f"list of {words_of(schema['items'])}" if schema.get("items") else "list"}.get(kind, kind)]
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is not None or high is not None:
        words.append(f"{number(low)} to {number(high)}" if high is not None else f"from {number(low)}")
    if "pattern" in schema:
        words.append(f"`{schema['pattern']}`")
    return ", ".join(words)


def number(value: float | None) -> str:
    """Return a bound as people write it."""
    return "" if value is None else f"{value:g}" if abs(value) < 1e6 else f"{value:.4g}"


def default_of(field: msgspec.structs.FieldInfo) -> str:
    """Return a field's default as TOML has it, or that it must be given."""
    if field.required:
        return "must be given"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if value is None:
        return "none"
    return "see its section" if isinstance(value, Struct) else f"`{msgspec.json.encode(value).decode()}`"


def first_line(kind: type) -> str:
    """Return the first sentence of a class's docstring."""
    return (inspect.getdoc(kind) or "").split("\n")[0]


def records() -> str:
    """Return the page of every record with its fields and ranges."""
    parts = [
        MADE,
        "# Records\n",
        "What stages hand to one another and nodes to their partners: MessagePack, the version in `type`. `trilat schema` prints",
        "the JSON Schema. Times are integers, UTC nanoseconds since 1970; every quantity's name ends with its unit.\n",
    ]
    parts += [record_text(kind) for kind in (*codec.RECORDS, *parts_of_records())]
    return "\n".join(parts)


def parts_of_records() -> list[type[Struct]]:
    """Return the structs that records are made of, by name."""
    found: dict[str, type[Struct]] = {}

    def look(hint: Any) -> None:
        if inspect.isclass(hint) and issubclass(hint, Struct) and hint.__name__ not in found:
            found[hint.__name__] = hint
            for below in get_type_hints(hint, include_extras=True).values():
                look(below)
        for argument in get_args(hint):
            look(argument)

    for kind in codec.RECORDS:
        look(kind)
    return [found[name] for name in sorted(found) if found[name] not in codec.RECORDS]


def record_text(kind: type[Struct]) -> str:
    """Return one record's section: its type string, its docstring, its fields."""
    tag = kind.__struct_config__.tag
    hints = get_type_hints(kind, include_extras=True)
    rows = [(f"`{field.name}`", range_of(hints[field.name]), default_of(field)) for field in msgspec.structs.fields(kind)]
    head = f"## {kind.__name__}\n\n" + (f"`{tag}`\n\n" if tag else "")
    return f"{head}{inspect.getdoc(kind)}\n\n{table(('field', 'type and range', 'default'), rows)}"


def metrics() -> str:
    """Return the page of every metric."""
    rows = [(f"`{name}`", m.kind, ", ".join(f"`{x}`" for x in m.labels), m.says) for name, m in health.METRICS.items()]
    return "\n".join([MADE, "# Metrics\n", "At `/metrics` of a node.\n", table(("metric", "kind", "labels", "what it is"), rows)])


def errors_page() -> str:
    """Return the page of every error and refusal code."""
    rows = [(code, f"`{e['name']}`", e["kind"], e["says"], e["remedy"]) for code, e in sorted(errors.codes().items())]
    return "\n".join(
        [
            MADE,
            "# Errors and refusals\n",
            "An *error* stops what was asked; a *refusal* is counted and shown, and everything else goes on.\n",
            table(("code", "name", "kind", "what it says", "what to do"), rows),
        ]
    )


PAGES = {
    "commands.md": commands,
    "settings.md": settings_page,
    "records.md": records,
    "metrics.md": metrics,
    "errors.md": errors_page,
}


def write() -> None:
    """Write every page."""
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name, make in PAGES.items():
        (REFERENCE / name).write_text(make(), "utf-8")
        print(f"docs/reference/{name}")


if __name__ == "__main__":
    write()
