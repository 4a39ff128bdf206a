"""The canonical form of a label: what is refused before anything is believed, and why (DESIGN section 4)."""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal

from trilat.errors import PolicyError
from trilat.records.label import FieldOperation, Label

Tier = Literal["plot", "tracklet", "track", "area"]
TIERS: tuple[Tier, ...] = ("plot", "tracklet", "track", "area")  # finest first
PURPOSE_NONE = "none"  # the bottom of the purposes: what is left when two lists have nothing in common
LEVEL_MAX = 4
names_max = 64  # per list of a label
consents_max = 256
amount_max = 1e7

# What may be done to which field. Amounts: coarsen = cell side in m; round of altitude and covariance = step in m, of
# velocity = step in m/s; inflate = factor on the sigmas, at least 1; delay of the whole record = s.
OPERATIONS: dict[str, frozenset[str]] = {
    "position": frozenset({"coarsen"}),
    "altitude": frozenset({"drop", "round"}),
    "velocity": frozenset({"drop", "round"}),
    "covariance": frozenset({"round", "inflate"}),
    "identity": frozenset({"drop"}),
    "address": frozenset({"drop"}),
    "mmsi": frozenset({"drop"}),
    "callsign": frozenset({"drop"}),
    "mode_3a": frozenset({"drop"}),
    "doppler": frozenset({"drop"}),
    "sensors": frozenset({"drop"}),
    "flags": frozenset({"drop"}),
    "text": frozenset({"drop"}),
    "record": frozenset({"delay"}),
}

_NATION = re.compile(r"[A-Z]{3}\Z")
_AUDIENCE = re.compile(r"(?:[A-Z]{3}|PUBLIC)\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}\Z")
_MODE_ID = re.compile(r"[A-Za-z0-9._-]{0,64}\Z")


def coarsest(*tiers: Tier) -> Tier:
    """Return the coarsest of some tiers: plot is the finest, area the coarsest."""
    return TIERS[max(TIERS.index(tier) for tier in tiers)]


def strictest(operations: Iterable[FieldOperation]) -> tuple[FieldOperation, ...]:
    """Return the strictest operations per field, sorted: a drop ends everything else on it; of one kind the greatest amount."""
    kept: dict[tuple[str, str], FieldOperation] = {}
    for operation in operations:
        key = (operation.field, operation.operation)
        if key not in kept or kept[key].amount < operation.amount:
            kept[key] = operation
    dropped = {field for field, kind in kept if kind == "drop"}
    return tuple(sorted(one for (field, kind), one in kept.items() if kind == "drop" or field not in dropped))


def _fault_of_text(what: str, value: Any, pattern: re.Pattern[str]) -> str:
    """Say why a text is no canonical name: a twin in Unicode, lower case, padding, or simply malformed; "" when it is one."""
    if isinstance(value, str) and pattern.match(value):
        return ""
    if not isinstance(value, str):
        return f"{what} {value!r} is not text"
    shown = f"{what} {value[:80]!r}"
    if pattern.match(value.strip()):
        return f"{shown} is padded"
    if pattern.match(unicodedata.normalize("NFKC", value).strip()):
        return f"{shown} is a Unicode twin of {unicodedata.normalize('NFKC', value).strip()!r}"
    if pattern.match(value.strip().upper()):
        return f"{shown} is not in upper case"
    foreign = [f": it holds {c!r} ({unicodedata.name(c, 'no name')})" for c in value if c.isalpha() and not c.isascii()]
    return f"{shown} is malformed{''.join(foreign[:1])}"


_PATTERNS = {
    "policy": _NAME,
    "originator": _NATION,
    "rel_to": _AUDIENCE,
    "sources": _NATION,
    "communities": _NAME,
    "topics": _NAME,
    "caveats": _NAME,
    "purposes": _NAME,
}


def mistyped(said: Mapping[str, object]) -> str:
    """Return why a name in a label's parts, not yet read as a label, is none; "" when all are names, or no text at all.

    So that who mistyped one is told how, and not which pattern it breaks.
    """
    for what, pattern in _PATTERNS.items():
        held = said.get(what, ())
        for value in held if isinstance(held, list | tuple) else (held,):
            if isinstance(value, str) and (fault := _fault_of_text(what, value, pattern)):
                return fault
    return ""


def _fault_of_list(what: str, values: Any, pattern: re.Pattern[str]) -> str:
    if not isinstance(values, tuple):
        return f"{what} is not a tuple"
    if len(values) > names_max:
        return f"{what} holds {len(values)} names, more than {names_max}"
    for value in values:
        if fault := _fault_of_text(what, value, pattern):
            return fault
    if list(values) != sorted(set(values)):
        return f"{what} is not sorted and unique: {values!r}"
    if len({value.casefold() for value in values}) != len(values):
        return f"{what} holds twins that differ in case only: {values!r}"
    return ""


def _fault_of_operations(operations: tuple[FieldOperation, ...]) -> str:
    if operations != strictest(operations):
        return "operations are not sorted, one per field and kind, with nothing beside a drop"
    for operation in operations:
        if operation.operation not in OPERATIONS.get(operation.field, ()):
            return f"operation {operation.operation!r} on field {operation.field!r} is not known"
        amount = operation.amount
        if not math.isfinite(amount) or not 0.0 <= amount <= amount_max:
            return f"operation on {operation.field!r} has amount {amount!r}"
        if (operation.operation == "drop") != (amount == 0.0):
            return f"operation {operation.operation!r} on {operation.field!r} with amount {amount!r}: only a drop has none"
        if operation.operation == "inflate" and amount < 1.0:
            return f"inflate on {operation.field!r} by {amount!r} would sharpen; it is at least 1"
    return ""


def _fault_of_consents(label: Label) -> str:
    if len(label.consents) > consents_max:
        return f"consents hold {len(label.consents)} entries, more than {consents_max}"
    for consent in label.consents:
        fault = _fault_of_text("consents", consent.source, _NATION) or _fault_of_text("consents", consent.recipient, _AUDIENCE)
        if fault:
            return fault
        if consent.source not in label.sources and consent.source != label.originator:
            return f"consent of {consent.source}, which is no source of this label"
    if list(label.consents) != sorted(set(label.consents)):
        return "consents are not sorted and unique"
    return ""


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _fault_of_scalars(label: Label) -> str:
    if not _is_integer(label.level) or not 0 <= label.level <= LEVEL_MAX:
        return f"level {label.level!r} is not 0 to {LEVEL_MAX}"
    for name in ("not_before_ns", "expires_ns"):
        value = getattr(label, name)
        if value is not None and (not _is_integer(value) or value < 0):
            return f"{name} {value!r} is no time"
    if not _MODE_ID.match(label.mode.id):
        return f"mode {label.mode!r} is malformed"
    return ""


def fault_of(label: Label) -> str:
    """Return why a label is not in canonical form, or "" when it is. Never raises on a `Label`, whatever it holds.

    Canonical: every list sorted and unique; nations as three upper-case ASCII letters; names ASCII, no twins in Unicode or
    case; a consent only of a source; one operation per field and kind; a topic wherever a recipient is named.
    """
    try:
        return _fault_of(label)
    except TypeError:
        return "a list of the label holds what can not stand in a label"


@lru_cache(maxsize=32_768)
def _fault_of(label: Label) -> str:
    fault = (
        _fault_of_scalars(label)
        or _fault_of_text("policy", label.policy, _NAME)
        or _fault_of_text("originator", label.originator, _NATION)
        or _fault_of_list("rel_to", label.rel_to, _AUDIENCE)
        or _fault_of_list("sources", label.sources, _NATION)
    )
    for name in ("communities", "topics", "caveats", "purposes"):
        fault = fault or _fault_of_list(name, getattr(label, name), _NAME)
    fault = fault or _fault_of_consents(label) or _fault_of_operations(label.operations)
    if fault:
        return fault
    if label.originator in label.rel_to:
        return f"rel_to names the originator {label.originator}, who always reads"
    if PURPOSE_NONE in label.purposes and len(label.purposes) > 1:
        return f"purpose {PURPOSE_NONE!r} stands beside others: {label.purposes!r}"
    if label.rel_to and not label.topics:
        return "rel_to names a recipient but topics is empty: it would fall under no agreement"
    return ""


def is_audience(text: str) -> bool:
    """Tell whether a text names an audience: three upper-case ASCII letters, or PUBLIC."""
    return _AUDIENCE.match(text) is not None


def check(label: Label) -> Label:
    """Return the label when it is canonical.

    Raises:
        PolicyError: label-not-canonical, with what is wrong and the offending value.
    """
    if fault := fault_of(label):
        raise PolicyError("label-not-canonical", fault)
    return label
