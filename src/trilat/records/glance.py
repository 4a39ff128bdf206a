"""What a record's bytes say at a glance: that they are canonical, of a known type and in range, and which label they carry.

An importer looks at tens of thousands of records a second and makes none of them: who shows them decodes them. So each record
type has a twin here whose label and pedigree stay bytes. A label that many records share is read once and found again by its
bytes. A glance only ever says yes: what it cannot vouch for (an unknown type or field, a default written out, a value out of
range, bytes that are not canonical) is for `codec` to judge, slowly.
"""

import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Struct, structs

from trilat.records import codec
from trilat.records.label import Label
from trilat.records.report import Pedigree

# Labels and pedigrees remembered, each.
REMEMBERED_MAX = 4_096
# MessagePack: a map of up to 15 fields has a header of one byte; msgspec gives a Struct that may have more one of three.
_FIXMAP_FIELDS_MAX = 15
_MAP16 = 0xDE
_S = TypeVar("_S", bound=Struct)


class Glance(NamedTuple):
    """What was seen: the record's type string and its label, sound both."""

    kind: str
    label: Label


def _twin(record: type[Struct]) -> type[Struct]:
    """Return a record type's twin: the same fields and ranges, but label and pedigree stay bytes."""
    fields: list[Any] = []
    for field in structs.fields(record):
        kind = msgspec.Raw if field.name in {"label", "pedigree"} else field.type
        if field.default is not msgspec.NODEFAULT:
            fields.append((field.name, kind, field.default))
        elif field.default_factory is not msgspec.NODEFAULT:
            fields.append((field.name, kind, msgspec.field(default_factory=field.default_factory)))
        else:
            fields.append((field.name, kind))
    tag = str(record.__struct_config__.tag)
    return msgspec.defstruct(
        record.__name__, fields, tag_field="type", tag=tag, omit_defaults=True, kw_only=True, frozen=True, gc=False
    )


def _labelled(record: type[Struct]) -> bool:
    types = {field.name: field.type for field in structs.fields(record)}
    return types.get("label") is Label and types.get("pedigree", Pedigree) is Pedigree


_TWINS = tuple(_twin(record) for record in codec.RECORDS if _labelled(record))
_KIND = {twin: str(twin.__struct_config__.tag) for twin in _TWINS}
_HAS_PEDIGREE = {twin: any(field.name == "pedigree" for field in structs.fields(twin)) for twin in _TWINS}
_decode = msgspec.msgpack.Decoder(functools.reduce(operator.or_, _TWINS)).decode
_encode = msgspec.msgpack.Encoder().encode


def _sound(kind: type[_S]) -> Callable[[bytes], _S | None]:
    """Return a function that reads bytes as one struct, remembered by the bytes: None when they are not canonical or sound."""
    decode = msgspec.msgpack.Decoder(kind).decode

    @functools.lru_cache(maxsize=REMEMBERED_MAX)
    def read(raw: bytes) -> _S | None:
        try:
            found = decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        # Through plain values: unknown fields, defaults written out and doubled keys all give other bytes.
        return found if _encode(msgspec.to_builtins(found, builtin_types=(bytes,))) == raw else None

    return read


_label = _sound(Label)
_pedigree = _sound(Pedigree)


@functools.lru_cache(maxsize=REMEMBERED_MAX)
def _seen(kind: str, label: bytes) -> Glance | None:
    found = _label(label)
    return None if found is None else Glance(kind, found)


def glance(raw: bytes) -> Glance | None:
    """Return type and label of a record whose bytes are sound in every respect; None says nothing (see the module)."""
    try:
        twin: Any = _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    written = _encode(twin)
    if written[0] == _MAP16 and written[1] == 0 and written[2] <= _FIXMAP_FIELDS_MAX:
        if raw[0] != 0x80 | written[2] or raw[1:] != written[3:]:
            return None
    elif raw != written:
        return None
    kind = type(twin)
    if _HAS_PEDIGREE[kind] and _pedigree(bytes(twin.pedigree)) is None:
        return None
    return _seen(_KIND[kind], bytes(twin.label))
