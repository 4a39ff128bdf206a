"""Any value that a record's declared ranges allow, the ends of each range first: strategies made of the types themselves."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any

from hypothesis import strategies as st
from msgspec import inspect

MAX_FLOAT = 1e300  # where a type names no bound
TEXTS = (
    *("A", "JPN", "KOR", "USA", "PUBLIC", "Z" * 64, "x/y.z_-1", "KOR/track/1", "9" * 20, "0", "", " ", "\x00", "a\r\nb"),
    *("\u202e\u0301漢字", "\U0001f680" * 8, "<b>&'\"]]>", "\ud7ff\uffff"),
)
MANY = 40  # items of a list that names no bound


def value(kind: Any) -> st.SearchStrategy[Any]:
    """Return what draws any valid value of a type, as plain data."""
    return _value(_Key(kind))


@cache
def fields(struct: type) -> dict[str, st.SearchStrategy[Any]]:
    """Return what draws each field of a record, by the name that it has on the wire."""
    return {field.encode_name: value(field.type) for field in inspect.type_info(struct).fields}  # type: ignore[attr-defined]


@cache
def needed(struct: type) -> set[str]:
    """Return the names of the fields that a record cannot be without."""
    return {field.encode_name for field in inspect.type_info(struct).fields if field.required}  # type: ignore[attr-defined]


class _Key:
    """A type as a key: what inspect gives can be compared, and not hashed."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind

    def __hash__(self) -> int:
        return hash(repr(self.kind))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.kind == self.kind


@cache
def _value(key: _Key) -> st.SearchStrategy[Any]:
    return _DRAWN[type(key.kind)](key.kind)


def _number(kind: Any) -> st.SearchStrategy[Any]:
    whole = isinstance(kind, inspect.IntType)
    step = (lambda x, to: x + (1 if to > x else -1)) if whole else math.nextafter
    low = kind.ge if kind.ge is not None else None if kind.gt is None else step(kind.gt, math.inf)
    high = kind.le if kind.le is not None else None if kind.lt is None else step(kind.lt, -math.inf)
    low = (-(2**63) if whole else -MAX_FLOAT) if low is None else low
    high = (2**63 - 1 if whole else MAX_FLOAT) if high is None else high
    if whole:
        ends = [one for one in (low, high, 0, 1, low + 1, high - 1) if low <= one <= high]
        return st.sampled_from(ends) | st.integers(low, high)
    tiny = math.nextafter(0.0, 1.0)
    ends = [float(one) for one in (low, high, 0.0, -0.0, 1.0, -1.0, tiny, 1e-9, 1e3) if low <= one <= high]
    return st.sampled_from(ends) | st.floats(float(low), float(high), allow_nan=False)


def _text(kind: Any) -> st.SearchStrategy[str]:
    longest = kind.max_length if kind.max_length is not None else 64
    every = [*TEXTS, "漢" * longest, "W" * longest]
    good = [
        one
        for one in every
        if (kind.min_length or 0) <= len(one) <= longest and (kind.pattern is None or re.search(kind.pattern, one))
    ]
    return st.sampled_from(sorted(set(good)))


@st.composite
def _list(draw: st.DrawFn, kind: Any) -> list[Any]:
    """Return a list whose items are few, repeated: one of a thousand would be all that an example is drawn from."""
    least, most = kind.min_length or 0, kind.max_length if kind.max_length is not None else MANY
    size = draw(st.sampled_from(sorted({least, *(size for size in (1, 3, most) if least <= size <= most)})))
    if least == most:
        return [draw(value(kind.item_type)) for _ in range(size)]
    items = [draw(value(kind.item_type)) for _ in range(min(size, 2))]
    return [items[k % len(items)] for k in range(size)]


@st.composite
def _struct(draw: st.DrawFn, kind: Any) -> Any:
    if kind.array_like:
        return [draw(value(field.type)) for field in kind.fields]
    made = {} if kind.tag_field is None else {kind.tag_field: kind.tag}
    for field in kind.fields:
        if field.required or draw(st.booleans()):
            made[field.encode_name] = draw(value(field.type))
    return made


def _octets(kind: Any) -> st.SearchStrategy[bytes]:
    sizes = {kind.min_length or 0, kind.max_length if kind.max_length is not None else 64}
    return st.sampled_from([bytes([octet]) * size for size in sorted(sizes) for octet in (0, 255)])


_DRAWN: dict[type, Callable[[Any], st.SearchStrategy[Any]]] = {
    inspect.Metadata: lambda kind: value(kind.type),
    inspect.FloatType: _number,
    inspect.IntType: _number,
    inspect.BoolType: lambda _: st.booleans(),
    inspect.NoneType: lambda _: st.none(),
    inspect.UnionType: lambda kind: st.one_of([value(one) for one in kind.types]),
    inspect.LiteralType: lambda kind: st.sampled_from(kind.values),
    inspect.StrType: _text,
    inspect.BytesType: _octets,
    inspect.VarTupleType: _list,
    inspect.TupleType: lambda kind: st.tuples(*[value(one) for one in kind.item_types]),
    inspect.StructType: _struct,
}
