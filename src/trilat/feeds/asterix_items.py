"""Every item of every ASTERIX record: `decode_items` gives columns, `iter_records` gives one dictionary a record."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from trilat.feeds.asterix_layout import Field, Layout, latest_editions, layout, spec_arrays
from trilat.kernels import asterix as kernel

Array = np.ndarray[Any, Any]

OCTETS_PER_RECORD_GUESS = 16
NAMES_OF_ERRORS = {
    kernel.CUT: "an item needs octets beyond the end of the block",
    kernel.FSPEC_LONG: "FSPEC is longer than the profile of this edition",
    kernel.SPARE: "FSPEC names an item that this edition does not have",
    kernel.FX_SET: "an extended item goes on beyond this edition",
    kernel.LEN_ZERO: "an explicit item has LEN 0",
    kernel.NOTHING: "a record or block holds nothing",
}


class Refusal(NamedTuple):
    """A piece of input that gave no record: reason is a name of `errors.toml`, offset and length are octets of the input."""

    reason: str
    detail: str
    offset: int
    length: int


class DecodedItems(NamedTuple):
    """What `decode_items` gives: items by category (rising), and what was refused, in input order."""

    items: "dict[int, Items]"
    refused: tuple[Refusal, ...]


class Items:
    """All records of one category in one input, as columns that are read out when asked for.

    Names are those of the standard: "040" (the item), "040/RHO" (a subfield), "130/SAM" (a subitem), "380/COM/STAT".
    A field of a repetitive item has one value an element; `owner` tells the records these belong to.
    """

    def __init__(self, table: Layout, data: Array, rows: Array, records: Array) -> None:
        self.layout = table
        self.data = data
        self.rows = rows  # int32 (records, slots): octet where each slot begins, -1 absent
        self.records = records  # int64 (records, 4): block, first octet, end, frame

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def frame(self) -> Array:
        """Which frame (datagram) each record came in."""
        return self.records[:, 3]

    def present(self, name: str) -> Array:
        """Tell, bool (records,), which records hold an item, subitem or subfield."""
        field = self.layout.fields.get(name)
        slot = self.layout.presence[name] if field is None else field.slot
        return self.rows[:, slot] >= 0

    def raw(self, name: str) -> Array:
        """Return the bits of a field as uint64, one a record (0 where absent), or one an element."""
        field = self.layout.fields[name]
        # Two-dimensional on purpose: a slice of one record would be contiguous, another type to numba, and compiled anew.
        rows, slot = (self.rows, field.slot) if field.repeated < 0 else (self._elements(field)[0], 0)
        out = np.empty(len(rows), np.uint64)
        kernel.gather_raw(self.data, rows, slot, field.bit, field.bits, out)
        return out

    def value(self, name: str) -> Array:
        """Return a field in its unit as float64 (NaN where absent), one a record, or one an element."""
        field = self.layout.fields[name]
        if field.repeated < 0:
            return self._with_alternative(field, self.values([name])[0])
        raw = self.raw(name)
        if field.kind != "s":
            return raw * field.scale
        return (
            raw.astype(np.int64) - ((raw >> np.uint64(field.bits - 1)) << np.uint64(field.bits)).astype(np.int64)
        ) * field.scale

    def values(self, names: Sequence[str] | None = None) -> Array:
        """Return many once-a-record fields at once: float64 (names, records), NaN where absent; all `layout.dense` by default.

        Faster than one by one. Fields with an alternative reading get their first one here; `value` gives the right one.
        """
        spec = self.layout.dense_spec if names is None else _spec(self.layout, tuple(names))
        out = np.empty((len(spec[0]), len(self.rows)))
        kernel.gather_values(self.data, self.rows, *spec, out)
        return out

    def text(self, name: str, *, clean: bool = False) -> tuple[Array, Array]:
        """Return an "ia5" or "ascii" field as bytes (S1..S8) and, bool, where it is there and every character is valid.

        clean (ia5 only): without the spaces at the end, and empty where a character is not valid.
        """
        field = self.layout.fields[name]
        characters = field.bits // (6 if field.kind == "ia5" else 8)
        out = np.empty((len(self), characters), np.uint8)
        good = np.empty(len(self), np.bool_)
        if field.kind == "ia5":
            kernel.gather_six_bit(self.data, self.rows, field.slot, field.bit, clean, out, good)
        else:
            shifts = np.arange(8 * (characters - 1), -1, -8, dtype=np.uint64)
            out[:] = self.raw(name)[:, None] >> shifts[None, :] & np.uint64(0xFF)
            good[:] = ((out >= 0x20) & (out < 0x7F)).all(axis=1)
        return out.view(f"S{characters}").ravel(), good

    def owner(self, name: str) -> Array:
        """Return the record, int64 (elements,), that each element of a repetitive item belongs to, by a field's name."""
        return self._elements(self.layout.fields[name])[1]

    def explicit(self, name: str, record: int) -> bytes:
        """Return the contents of an explicit item ("RE", "SP") of one record, without its LEN; empty when absent."""
        offset = int(self.rows[record, self.layout.presence[name]])
        return b"" if offset < 0 else self.data[offset + 1 : offset + int(self.data[offset])].tobytes()

    def _elements(self, field: Field) -> tuple[Array, Array]:
        """Return offsets and owners of every element of a field's repetition."""
        repetition = self.layout.repetitions[field.repeated]
        none = np.empty((0, 1), np.int32)
        count = kernel.expand_repeats(self.rows, repetition.slot, repetition.size, none, np.empty(0, np.int64))
        offsets = np.empty((count, 1), np.int32)
        owner = np.empty(count, np.int64)
        if count:
            kernel.expand_repeats(self.rows, repetition.slot, repetition.size, offsets, owner)
        return offsets, owner

    def _with_alternative(self, field: Field, value: Array) -> Array:
        """Apply the second reading of a field where its selector says so."""
        if field.alternative is None:
            return value
        selector, scale, _ = field.alternative
        return np.where(self.raw(selector) == 1, value * (scale / field.scale), value)


_SPECS: dict[tuple[int, str, tuple[str, ...]], tuple[Array, Array, Array, Array, Array]] = {}


def _spec(table: Layout, names: tuple[str, ...]) -> tuple[Array, Array, Array, Array, Array]:
    """Return the gathering arrays of some fields, remembered: the same few selections are asked for with every datagram."""
    key = (table.category, table.edition, names)
    found = _SPECS.get(key)
    if found is None:
        found = _SPECS[key] = spec_arrays([table.fields[name] for name in names])
    return found


def decode_items(
    data: bytes, editions: Mapping[int, str], frames: Sequence[tuple[int, int]] | Array | None = None
) -> DecodedItems:
    """Find every item of every record in bytes.

    editions: category -> edition; other categories are refused (`category-unknown`). frames: (begin, end) of each datagram in
    `data`; the whole is one frame by default. Refused, with offset and length: what follows a block whose LEN is impossible, in
    its frame (`truncated`), and blocks that do not fit their layout (`layout-mismatch`); the rest goes on.
    Raises FeedError("edition-unknown") for an edition that is in no table. Source: EUROCONTROL-SPEC-0149, part 1.
    """
    octets = np.frombuffer(data, np.uint8)
    octets.flags.writeable = False  # whatever kind of buffer it is: numba compiles for read-only octets, once
    edges = np.array([(0, len(data))] if frames is None else frames, np.int64).reshape(-1, 2)
    blocks = np.empty((len(data) // 3 + 1, 4), np.int64)
    errors = np.empty((len(edges), 3), np.int64)
    count, wrong = kernel.split_blocks(octets, edges, blocks, errors)
    blocks = blocks[:count]
    refused = [
        Refusal("truncated", f"block at octet {at}: LEN below 3 or beyond the end", at, length)
        for at, length, _ in errors[:wrong].tolist()
    ]
    items: dict[int, Items] = {}
    for category in sorted(set(blocks[:, 0].tolist())):
        if category not in editions:
            refused += [
                Refusal("category-unknown", f"category {category:03d}", at - 3, end - at + 3)
                for _, at, end, _ in blocks[blocks[:, 0] == category].tolist()
            ]
            continue
        found, bad = _walk(octets, blocks, layout(category, editions[category]))
        items[category] = found
        refused += bad
    return DecodedItems(items, tuple(sorted(refused, key=lambda r: r.offset)))


def _walk(octets: Array, blocks: Array, table: Layout) -> tuple[Items, list[Refusal]]:
    """Return the records of one category, and its blocks that do not fit."""
    capacity = len(octets) // OCTETS_PER_RECORD_GUESS + 8
    errors = np.empty((len(blocks), 3), np.int64)
    while True:
        rows = np.empty((capacity, table.slots), np.int32)
        records = np.empty((capacity, 4), np.int64)
        n, wrong = kernel.walk_blocks(octets, blocks, table.category, table.nodes, table.children, rows, records, errors)
        if n != kernel.FULL:
            break
        capacity *= 2
    refused = []
    for block, error, at in errors[:wrong].tolist():
        _, begin, end, _ = blocks[block].tolist()
        detail = f"category {table.category:03d} edition {table.edition}, record at octet {at}: {NAMES_OF_ERRORS[error]}"
        refused.append(Refusal("layout-mismatch", detail, begin - 3, end - begin + 3))
    return Items(table, octets, rows[:n], records[:n]), refused


def iter_records(
    data: bytes, received_t_ns: int | None = None, editions: Mapping[int, str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield one dictionary a record, in input order: item names as keys, values in the units of the standard.

    Keys: "category", "edition", "offset", "received_t_ns" when it is given, then "010/SAC", "040/RHO [NM]", ...; texts for octal,
    hex and character fields; a list of dictionaries for a repetitive item; absent items have no key. A refused piece of input
    yields {"refused": reason, "detail": ..., "offset": ..., "length": ...}. `editions` defaults to the newest of each category.
    Raises FeedError("edition-unknown").
    """
    decoded = decode_items(data, latest_editions() if editions is None else editions)
    records: list[tuple[int, dict[str, Any]]] = []
    for items in decoded.items.values():
        found = _dictionaries(items)
        if received_t_ns is not None:
            found = [{**record, "received_t_ns": received_t_ns} for record in found]
        records += [(record["offset"], record) for record in found]
    for reason, detail, offset, length in decoded.refused:
        records.append((offset, {"refused": reason, "detail": detail, "offset": offset, "length": length}))
    records.sort(key=lambda entry: entry[0])
    for _, record in records:
        yield record


def _dictionaries(items: Items) -> list[dict[str, Any]]:
    """Return every record of one category as a dictionary, filled column by column."""
    head = {"category": items.layout.category, "edition": items.layout.edition}
    records: list[dict[str, Any]] = [{**head, "offset": at} for at in items.records[:, 1].tolist()]
    for name, field in items.layout.fields.items():
        here = items.present(name).nonzero()[0].tolist() if field.repeated < 0 else []
        if here:
            column = read_out(items, name)
            keys = _keys(items, field)
            for k in here:
                records[k][keys[k]] = column[k]
    for number, repetition in enumerate(items.layout.repetitions):
        for k in items.present(repetition.name).nonzero()[0].tolist():
            records[k][repetition.name] = []
        names = [name for name, field in items.layout.fields.items() if field.repeated == number]
        short = [name[len(repetition.name) + 1 :] or "value" for name in names]
        for k, *element in zip(items.owner(names[0]).tolist(), *(read_out(items, name) for name in names), strict=True):
            records[k][repetition.name].append(dict(zip(short, element, strict=True)))
    for name in items.layout.explicit:
        for k in items.present(name).nonzero()[0].tolist():
            records[k][name] = items.explicit(name, k).hex()
    return records


def _keys(items: Items, field: Field) -> list[str]:
    """Return the key of a field in each record: its name, and its unit when it has one."""
    key = f"{field.name} [{field.unit}]" if field.unit else field.name
    if field.alternative is None:
        return [key] * len(items)
    selector, _, unit = field.alternative
    return [f"{field.name} [{unit}]" if one else key for one in items.raw(selector).tolist()]


def read_out(items: Items, name: str) -> list[Any]:
    """Return a field of every record (or element) as Python values: float in its unit, int without one, or text."""
    field = items.layout.fields[name]
    raw = items.raw(name).tolist()
    if field.kind == "octal":
        return [f"{value:0{-(-field.bits // 3)}o}" for value in raw]
    if field.kind == "hex":
        return [f"{value:0{-(-field.bits // 4)}x}" for value in raw]
    if field.kind in {"ia5", "ascii"}:
        return [text.replace(b"\0", b"").decode("latin-1") for text in items.text(name)[0].tolist()]
    plain = not field.unit and field.kind != "s"
    return list(raw if plain else items.value(name).tolist())
