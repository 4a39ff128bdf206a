"""What keeps values from being a record or a setting, in a sentence that names the value and what would have been taken."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Struct, inspect

SHOWN_MAX = 80  # characters of a value that is said again
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|(\[\.\.\.\])")


def fault_of(error: msgspec.ValidationError, given: Any, kind: type[Struct]) -> str:
    """Return the sentence of an error that converting `given` into `kind` raised, with the value and the valid words added.

    msgspec says "Invalid enum value 'x'" or "Expected `float` > 0.0" and no more: who meets it has to look for the source.
    """
    said, at, place = str(error).partition(" - at `$")
    known: Any = inspect.type_info(kind)
    value = given
    for name, index, somewhere in _STEP.findall(place):
        known, value = (None, None) if somewhere else (_part(known, name), _item(value, name, index))
    more = ""
    if said.startswith("Invalid enum value"):
        more = _one_of(word for one in _options(known) if isinstance(one, inspect.LiteralType) for word in one.values)
    elif said.startswith("Object contains unknown field"):
        more = _one_of(
            field.encode_name for one in _options(known) if isinstance(one, inspect.StructType) for field in one.fields
        )
    elif known is not None and ", got" not in said and isinstance(value, int | float | str):
        shown = repr(value)
        more = f", got {shown if len(shown) <= SHOWN_MAX else shown[:SHOWN_MAX] + '...'}"
    return f"{said}{more}{at}{place}"


def _item(value: Any, name: str, index: str) -> Any:
    """Return a named or numbered part of what was given, None where there is none."""
    with suppress(KeyError, IndexError, TypeError):
        return value[name or int(index)]
    return None


def _one_of(words: Any) -> str:
    """Return the words that would have been taken, nothing where none are known."""
    listed = ", ".join(map(str, words))
    return f", one of {listed} wanted" if listed else ""


def _options(known: Any) -> tuple[Any, ...]:
    """Return what a type may be: each member of a union."""
    return tuple(known.types) if isinstance(known, inspect.UnionType) else (known,)


def _part(known: Any, name: str) -> Any:
    """Return the type of a named field, or of an item where there is no name; None where the type does not tell."""
    for one in _options(known):
        if isinstance(one, inspect.StructType) and name:
            return next((field.type for field in one.fields if field.encode_name == name), None)
        if isinstance(one, inspect.ListType | inspect.VarTupleType) and not name:
            return one.item_type
    return None
