"""A `Label` as ADatP-4774 XML and back, without loss; and the alternative label that says it in another policy."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from trilat.errors import PolicyError
from trilat.marking.canonical import check, mistyped
from trilat.marking.catalogue import Catalogue, shipped
from trilat.marking.xml4774 import NATION, Category, Confidentiality, TagKind, parse, write
from trilat.records.label import Consent, FieldOperation, Label, Mode

# Tag and type of each part of a label. Readers and purposes: one of them suffices. Everything else that limits: all of it.
TAGS: dict[str, tuple[str, TagKind]] = {
    "rel_to": ("Releasable To", "PERMISSIVE"),
    "mode": ("Mode", "RESTRICTIVE"),
    "communities": ("Community", "RESTRICTIVE"),
    "topics": ("Topic", "RESTRICTIVE"),
    "caveats": ("Caveat", "RESTRICTIVE"),
    "purposes": ("Purpose", "PERMISSIVE"),
    "not_before_ns": ("Not Before", "RESTRICTIVE"),
    "expires_ns": ("Expires", "RESTRICTIVE"),
    "operations": ("Operation", "RESTRICTIVE"),
    "sources": ("Source", "INFORMATIVE"),
    "consents": ("Consent", "INFORMATIVE"),
}
_FIELDS = {tag: (field, kind) for field, (tag, kind) in TAGS.items()}
_NUMBER = re.compile(r"(?:0|[1-9][0-9]{0,19})\Z")
_FLOAT = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?\Z")


def _values_of(label: Label) -> dict[str, Sequence[str]]:
    """Return the values of every category, by the label's field."""
    return {
        "rel_to": (label.originator, *label.rel_to),
        "mode": (label.mode.kind if label.mode.id == "" else f"{label.mode.kind}:{label.mode.id}",),
        "communities": label.communities,
        "topics": label.topics,
        "caveats": label.caveats,
        "purposes": label.purposes,
        "not_before_ns": () if label.not_before_ns is None else (str(label.not_before_ns),),
        "expires_ns": () if label.expires_ns is None else (str(label.expires_ns),),
        "operations": tuple(f"{one.field}:{one.operation}:{one.amount!r}" for one in label.operations),
        "sources": label.sources,
        "consents": tuple(f"{one.source}:{one.recipient}" for one in label.consents),
    }


def to_confidentiality(label: Label, catalogue: Catalogue | None = None, *, alternative: bool = False) -> Confidentiality:
    """Return a label as ADatP-4774 has it. Raises PolicyError (label-not-canonical, marking-unknown)."""
    known = catalogue or shipped()
    check(label)
    values = _values_of(label)
    return Confidentiality(
        policy=label.policy,
        policy_url=known.of(label.policy).url,
        classification=known.name_of(label.policy, label.level),
        categories=tuple(
            Category(tag=tag, kind=kind, values=tuple(values[field])) for field, (tag, kind) in TAGS.items() if values[field]
        ),
        originator=f"{NATION}{label.originator}",
        alternative=alternative,
    )


def to_xml(label: Label, catalogue: Catalogue | None = None, *, alternative: bool = False) -> bytes:
    """Return a label's XML. Raises PolicyError (label-not-canonical, marking-unknown)."""
    return write(to_confidentiality(label, catalogue, alternative=alternative))


def from_xml(raw: bytes, catalogue: Catalogue | None = None) -> Label:
    """Return the label in hostile XML bytes: canonical, of a known policy, with nothing in it that we do not know.

    Raises:
        PolicyError: label-unreadable, label-not-canonical, marking-unknown.
    """
    return from_confidentiality(parse(raw), catalogue)


def from_confidentiality(said: Confidentiality, catalogue: Catalogue | None = None) -> Label:
    """Return the label of ours that an ADatP-4774 label says. Raises PolicyError as `from_xml`."""
    known = catalogue or shipped()
    level = known.level_of(said.policy, said.classification)
    if said.policy_url != known.of(said.policy).url:
        raise _refuse(f"policy {said.policy!r} with the URL {said.policy_url!r}")
    if said.originator is None or not said.originator.startswith(NATION):
        raise _refuse(f"originator {said.originator!r}")
    if said.privacy_mark is not None:
        raise _refuse("a privacy mark, which no label of ours has")
    parts: dict[str, tuple[str, ...]] = {}
    for category in said.categories:
        field, kind = _FIELDS.get(category.tag, ("", category.kind))
        if not field or kind != category.kind:
            raise _refuse(f"category {category.tag!r} of type {category.kind}")
        parts[field] = category.values
    return _label(said.policy, level, said.originator.removeprefix(NATION), parts)


def _label(policy: str, level: int, originator: str, parts: dict[str, tuple[str, ...]]) -> Label:
    """Return the label of decoded parts, in the order of the document: what is not sorted there is not canonical."""
    readers = parts.get("rel_to", ())
    if readers[:1] != (originator,):
        raise _refuse("Releasable To does not begin with the originator")
    if slip := mistyped({**parts, "originator": originator}):
        raise PolicyError("label-not-canonical", slip)
    mode = _one(parts, "mode")
    if mode is None:
        raise _refuse("it names no mode")
    kind, _, mode_id = mode.partition(":")
    if (kind == "live") == (":" in mode):
        raise _refuse(f"mode {mode!r}")
    try:
        label = Label(
            policy=policy,
            originator=originator,
            mode=msgspec.convert({"kind": kind, "id": mode_id}, Mode),
            level=level,
            rel_to=readers[1:],
            communities=parts.get("communities", ()),
            topics=parts.get("topics", ()),
            caveats=parts.get("caveats", ()),
            purposes=parts.get("purposes", ()),
            not_before_ns=_number(_one(parts, "not_before_ns")),
            expires_ns=_number(_one(parts, "expires_ns")),
            sources=parts.get("sources", ()),
            consents=tuple(_consent(one) for one in parts.get("consents", ())),
            operations=tuple(_operation(one) for one in parts.get("operations", ())),
        )
        label = msgspec.convert(msgspec.to_builtins(label), Label)  # the ranges of every field, as from any other wire
    except (msgspec.ValidationError, ValueError) as fault:
        raise _refuse(str(fault)) from fault
    return check(label)


def _refuse(why: str) -> PolicyError:
    return PolicyError("label-unreadable", f"XML: {why}"[:300])


def _one(parts: dict[str, tuple[str, ...]], field: str) -> str | None:
    values = parts.get(field, ())
    if len(values) > 1:
        raise _refuse(f"{TAGS[field][0]} has {len(values)} values")
    return values[0] if values else None


def _number(text: str | None) -> int | None:
    if text is not None and not _NUMBER.match(text):
        raise _refuse(f"{text[:40]!r} is no time in nanoseconds")
    return None if text is None else int(text)


def _consent(text: str) -> Consent:
    source, _, recipient = text.partition(":")
    return Consent(source=source, recipient=recipient)


def _operation(text: str) -> FieldOperation:
    field, _, rest = text.partition(":")
    operation, _, amount = rest.partition(":")
    if not _FLOAT.match(amount):
        raise _refuse(f"operation {text[:80]!r}")
    made = msgspec.convert({"field": field, "operation": operation, "amount": float(amount)}, FieldOperation)
    if repr(made.amount) != amount:
        raise _refuse(f"amount {amount[:40]!r} is not written the one way")
    return made
