"""ASTERIX layouts: the tables in `asterix_tables/`, item by item as the standard has them, compiled for the walking kernel.

Notation of a table. `uap` names the items by field reference number ("-" is a spare bit). An item is one of: `fixed` (bit
fields, most significant first), `extended` (a list of parts; an FX bit ends each part whose fields leave one bit free),
`repeated` (an octet REP, then as many elements), `repeated_fx` (elements that each end with FX), `compound` (a list of
subitems behind their own FSPEC; `{}` is a spare bit) or `explicit` (an octet LEN that counts itself, then free bytes).
An entry with `since` replaces the one before it from that edition on.

A field is `NAME:BITS KIND SCALE UNIT`: one bit when BITS is missing, `-` for spare bits, no name when the item is the field.
KIND: none = number without unit, `u` unsigned, `s` two's complement, `octal`, `ia5` (6-bit characters), `ascii`, `hex`.
`| IM u 0.001 Mach` gives the reading that holds when field IM of the same item is 1.
"""

import tomllib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

from trilat.errors import FeedError

# Kinds of nodes, as `kernels/asterix.py` knows them.
FIXED, EXTENDED, REPEATED, REPEATED_FX, COMPOUND, EXPLICIT = range(6)

TABLES = ("cat021_0", "cat021_2", "cat034", "cat048", "cat062", "cat065")
TEXT_KINDS = ("ia5", "ascii", "octal", "hex")
Array = np.ndarray[Any, Any]


class Field(NamedTuple):
    """One subfield: where its bits are and what they mean.

    name: "040/RHO", "130/SAM", "140". slot: which offset of a record (or element) it counts from; bit: first bit there.
    kind: "" | "u" | "s" | "octal" | "ia5" | "ascii" | "hex". alternative: (selector field, scale, unit) when that is 1.
    repeated: index into `Layout.repetitions`, -1 for a field that occurs once.
    """

    name: str
    slot: int
    bit: int
    bits: int
    kind: str
    scale: float
    unit: str
    alternative: tuple[str, float, str] | None
    repeated: int


class Repetition(NamedTuple):
    """A repetitive item: offsets of first elements are in `slot`, counts in `slot + 1`, each element `size` octets long."""

    name: str
    slot: int
    size: int


class Layout(NamedTuple):
    """One category in one edition, compiled.

    items: name -> title, in order of the profile; subitems as "130/SRL". presence: name -> slot that is >= 0 when it is there.
    explicit: names of explicit items. fields: name -> Field. nodes: int32 (n, 6) rows of kind, slot, size, flag, first child,
    children; row 0 is the record. children: int32, node numbers (-1 spare) or part sizes. slots: offsets a record has.
    """

    category: int
    edition: str
    items: dict[str, str]
    presence: dict[str, int]
    explicit: tuple[str, ...]
    fields: dict[str, Field]
    repetitions: tuple[Repetition, ...]
    nodes: Array
    children: Array
    slots: int
    dense: tuple[str, ...]
    dense_spec: tuple[Array, Array, Array, Array, Array]


@cache
def _tables() -> dict[int, list[dict[str, Any]]]:
    """Return every table by category."""
    found: dict[int, list[dict[str, Any]]] = {}
    folder = files("trilat.feeds") / "asterix_tables"
    for name in TABLES:
        table = tomllib.loads((folder / f"{name}.toml").read_text("utf-8"))
        found.setdefault(table["category"], []).append(table)
    return found


def categories() -> tuple[int, ...]:
    """Return the categories that can be decoded, rising."""
    return tuple(sorted(_tables()))


def editions(category: int) -> tuple[str, ...]:
    """Return the editions known of a category, oldest first; empty for an unknown category."""
    known = [edition for table in _tables().get(category, ()) for edition in table["editions"]]
    return tuple(sorted(known, key=_order))


def latest_editions() -> dict[int, str]:
    """Return the newest known edition of every category: what `trilat decode` takes when nothing is configured."""
    return {category: editions(category)[-1] for category in categories()}


def _order(edition: str) -> tuple[int, ...]:
    """Return what editions are sorted by: 1.9 comes before 1.15."""
    return tuple(int(part) for part in edition.split("."))


@cache
def layout(category: int, edition: str) -> Layout:
    """Return the compiled layout of a category in an edition ("1.31").

    Raises FeedError("edition-unknown") when the category or the edition is in no table.
    """
    for table in _tables().get(category, ()):
        if edition in table["editions"]:
            return _Compiler(table, edition).compile()
    known = editions(category)
    says = f"known editions: {', '.join(known)}" if known else f"known categories: {', '.join(map(str, categories()))}"
    raise FeedError("edition-unknown", f"Category {category:03d}, edition {edition!r}; {says}.")


class _Compiler:
    """Turns one table in one edition into a Layout."""

    def __init__(self, table: dict[str, Any], edition: str) -> None:
        self._table = table
        self._edition = edition
        self._nodes: list[list[int]] = []
        self._children: list[int] = []
        self._slots = 0
        self._fields: dict[str, Field] = {}
        self._presence: dict[str, int] = {}
        self._titles: dict[str, str] = {}
        self._explicit: list[str] = []
        self._repetitions: list[Repetition] = []

    def compile(self) -> Layout:
        """Compile the record and everything in it."""
        profile = self._valid(self._table["uap"])[-1]["items"]
        items = {item["number"]: item for item in self._valid(self._table["item"])}
        self._nodes.append([COMPOUND, -1, -(-len(profile) // 7), 0, 0, len(profile)])
        children = [-1 if number == "-" else self._item(items[number], number) for number in profile]
        self._nodes[0][4] = len(self._children)
        self._children += children
        dense = [field for field in self._fields.values() if field.repeated < 0]
        return Layout(
            category=self._table["category"],
            edition=self._edition,
            items=self._titles,
            presence=self._presence,
            explicit=tuple(self._explicit),
            fields=self._fields,
            repetitions=tuple(self._repetitions),
            nodes=np.array(self._nodes, np.int32),
            children=np.array(self._children, np.int32),
            slots=self._slots,
            dense=tuple(field.name for field in dense),
            dense_spec=spec_arrays(dense),
        )

    def _valid(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the entries that hold in this edition, in order: of two with one number the later replaces the earlier."""
        return [entry for entry in entries if _order(entry.get("since", "0")) <= _order(self._edition)]

    def _slot(self, count: int = 1) -> int:
        self._slots += count
        return self._slots - count

    def _item(self, entry: dict[str, Any], name: str) -> int:
        """Compile one item or subitem; returns its node number."""
        self._titles[name] = entry.get("title", "")
        build: dict[str, Callable[[Any, str], list[int]]] = {
            "fixed": self._fixed,
            "extended": self._extended,
            "repeated": self._repeated,
            "repeated_fx": self._repeated_fx,
            "compound": self._compound,
            "explicit": self._explicit_item,
        }
        kind = next(kind for kind in build if kind in entry)
        node = len(self._nodes)
        self._nodes.append([])
        self._nodes[node] = build[kind](entry[kind], name)
        self._presence[name] = self._nodes[node][1]
        return node

    def _fixed(self, text: str, name: str) -> list[int]:
        slot = self._slot()
        bits = self._bit_fields(text, name, slot)
        return [FIXED, slot, bits // 8, 0, 0, 0]

    def _extended(self, parts: list[str], name: str) -> list[int]:
        slot = self._slot(len(parts))
        bits = [self._bit_fields(part, name, slot + k) for k, part in enumerate(parts)]
        ends_with_fx = bits[-1] % 8 == 7
        first = len(self._children)
        self._children += [-(-count // 8) for count in bits]
        return [EXTENDED, slot, 0, int(ends_with_fx), first, len(parts)]

    def _repeated_fx(self, text: str, name: str) -> list[int]:
        return [REPEATED_FX, *self._repeated(text, name)[1:]]

    def _repeated(self, text: str, name: str) -> list[int]:
        slot = self._slot(2)
        number = len(self._repetitions)
        bits = self._bit_fields(text, name, slot, number)
        size = -(-bits // 8)
        self._repetitions.append(Repetition(name, slot, size))
        return [REPEATED, slot, size, 0, 0, 0]

    def _compound(self, subitems: list[dict[str, Any]], name: str) -> list[int]:
        slot = self._slot()
        children = [self._item(sub, f"{name}/{sub['name']}") if sub else -1 for sub in subitems]
        first = len(self._children)
        self._children += children
        return [COMPOUND, slot, -(-len(subitems) // 7), 0, first, len(subitems)]

    def _explicit_item(self, _: object, name: str) -> list[int]:
        self._explicit.append(name)
        return [EXPLICIT, self._slot(), 0, 0, 0, 0]

    def _bit_fields(self, text: str, name: str, slot: int, repeated: int = -1) -> int:
        """Compile a list of bit fields; returns how many bits it has, FX not counted."""
        bit = 0
        for part in text.split(","):
            field = _field(part.strip(), name, slot, bit, repeated)
            if field.name != f"{name}/-":
                self._fields[field.name] = field
            bit += field.bits
        return bit


def _field(text: str, item: str, slot: int, bit: int, repeated: int) -> Field:
    """Read one field of the notation."""
    main, _, other = text.partition("|")
    head, *rest = main.split()
    label, colon, size = head.partition(":")
    if not colon and label.isdigit():  # an item that is one number
        label, size = "", label
    name = f"{item}/{label}" if label else item
    kind = rest[0] if rest else ""
    scale = _number(rest[1]) if len(rest) > 1 else 1.0
    unit = rest[2] if len(rest) > 2 else ""
    alternative = None
    if other:
        selector, _, factor, other_unit = other.split()
        alternative = (f"{item}/{selector}", _number(factor), other_unit)
    return Field(name, slot, bit, int(size or 1), kind, scale, unit, alternative, repeated)


def _number(text: str) -> float:
    """Return the value of "25", "0.1", "1/128" or "180/2^25"."""
    above, _, below = text.partition("/")
    if not below:
        return float(above)
    base, _, power = below.partition("^")
    return float(above) / float(base) ** int(power or 1)


def spec_arrays(fields: list[Field]) -> tuple[Array, Array, Array, Array, Array]:
    """Return slot, bit, bits (int32), signed (bool) and scale (float64) of fields, for the gathering kernels."""
    return (
        np.array([f.slot for f in fields], np.int32),
        np.array([f.bit for f in fields], np.int32),
        np.array([f.bits for f in fields], np.int32),
        np.array([f.kind == "s" for f in fields], np.bool_),
        np.array([f.scale for f in fields], np.float64),
    )
