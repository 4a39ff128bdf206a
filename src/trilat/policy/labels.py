"""The algebra of labels: canonical form, join, hash and JSON (DESIGN section 4).

A label only ever narrows. Three empty lists mean three things, and each is chosen so that a join can not widen:
`rel_to` empty is *nobody*; `purposes` empty is *no limit beyond the agreement's* (so the intersection of two disjoint
lists is the reserved purpose `none`, which no agreement may grant, and never the empty list); `topics` empty is *falls
under no agreement*, so a label that names a recipient must name a topic.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec
from msgspec import Struct

from trilat.errors import PolicyError
from trilat.marking.canonical import PURPOSE_NONE, check, mistyped, strictest
from trilat.records import codec
from trilat.records.fields import Name
from trilat.records.label import Consent, FieldOperation, Label, Mode

label_bytes_max = 16_384


class LevelEquivalence(Struct, frozen=True, kw_only=True, order=True):
    """Level `level` of policy `policy` is protected like level `level_here` of policy `policy_here` (an agreement's data)."""

    policy: Name
    level: int
    policy_here: Name
    level_here: int


def make(
    *,
    policy: str,
    originator: str,
    mode: Mode,
    level: int,
    rel_to: Iterable[str] = (),
    communities: Iterable[str] = (),
    topics: Iterable[str] = (),
    caveats: Iterable[str] = (),
    purposes: Iterable[str] = (),
    not_before_ns: int | None = None,
    expires_ns: int | None = None,
    sources: Iterable[str] = (),
    consents: Iterable[tuple[str, str]] = (),
    operations: Iterable[FieldOperation] = (),
) -> Label:
    """Return the canonical label of these values: lists are sorted, doubles removed, the strictest operations kept.

    Nothing is repaired beyond order and doubles: a lower-case or padded trigraph, a Unicode twin or an unknown operation is
    refused, because a label that someone mistyped does not say what they meant.

    Raises:
        PolicyError: label-not-canonical.
    """
    return check(
        Label(
            policy=policy,
            originator=originator,
            mode=mode,
            level=level,
            rel_to=tuple(sorted(set(rel_to))),
            communities=tuple(sorted(set(communities))),
            topics=tuple(sorted(set(topics))),
            caveats=tuple(sorted(set(caveats))),
            purposes=tuple(sorted(set(purposes))),
            not_before_ns=not_before_ns,
            expires_ns=expires_ns,
            sources=tuple(sorted(set(sources))),
            consents=tuple(sorted({Consent(source=source, recipient=recipient) for source, recipient in consents})),
            operations=strictest(operations),
        )
    )


def meet_purposes(left: Sequence[str], right: Sequence[str]) -> tuple[str, ...]:
    """Return the purposes that both lists allow: empty = no limit, `("none",)` = nothing is left."""
    if not left or not right:
        return tuple(left) or tuple(right)
    return tuple(sorted(set(left) & set(right))) or (PURPOSE_NONE,)


def translate(label: Label, policy: str, equivalences: Iterable[LevelEquivalence]) -> Label | None:
    """Return the label with its level said in another policy, or None where no equivalence covers it.

    Several equivalences for one level contradict each other; the highest level wins.
    """
    if label.policy == policy:
        return label
    levels = [
        one.level_here for one in equivalences if (one.policy, one.level, one.policy_here) == (label.policy, label.level, policy)
    ]
    return msgspec.structs.replace(label, policy=policy, level=max(levels)) if levels else None


def _rests_on(label: Label) -> set[str]:
    return {label.originator, *label.sources}


def _join_consents(labels: Sequence[Label]) -> tuple[Consent, ...]:
    """Per source: a consent survives when every label that rests on that source carries it."""
    every = {consent for label in labels for consent in label.consents}
    return tuple(sorted(one for one in every if all(one in label.consents for label in labels if one.source in _rests_on(label))))


def _joined_originator(labels: Sequence[Label], originator: str | None) -> str:
    originators = {label.originator for label in labels}
    if originator is None:
        if len(originators) > 1:
            raise PolicyError("originators-do-not-join", f"{sorted(originators)}: say who originates the joined record.")
        return originators.pop()
    for label in labels:
        # The originator of a label always reads it; one who may not read a part may not come to read it by joining.
        if originator != label.originator and originator not in label.rel_to:
            raise PolicyError("originators-do-not-join", f"{originator} may not read what {label.originator} labelled.")
    return originator


def _latest(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _earliest(values: Iterable[int | None]) -> int | None:
    return min((value for value in values if value is not None), default=None)


def _union(labels: Sequence[Label], field: str) -> tuple[str, ...]:
    return tuple(sorted({value for label in labels for value in getattr(label, field)}))


def join(
    labels: Iterable[Label],
    *,
    originator: str | None = None,
    policy: str | None = None,
    equivalences: Sequence[LevelEquivalence] = (),
) -> Label:
    """Return the label of what rests on all of these: never wider than any of them.

    Level the highest; readers, purposes and consents the intersection (consents per source); communities, sources, caveats and
    topics the union; not_before the latest, expires the earliest; operations the strictest. Commutative, associative,
    idempotent (DESIGN section 4).

    Args:
        labels: at least one canonical label.
        originator: who originates the joined record; needed where the labels have different originators, who then become
            sources. Must be able to read every label.
        policy: the policy to join in, where the labels have different ones.
        equivalences: the levels that agreements hold to be equivalent between policies.

    Raises:
        PolicyError: label-not-canonical, policies-do-not-join, modes-do-not-join, originators-do-not-join.
    """
    parts = [check(label) for label in labels]
    if not parts:
        raise PolicyError("label-not-canonical", "There is no label to join.")
    if len({label.mode for label in parts}) > 1:
        raise PolicyError("modes-do-not-join", f"{sorted({f'{one.mode.kind}:{one.mode.id}' for one in parts})}")
    parts = _in_one_policy(parts, policy, equivalences)
    whose = _joined_originator(parts, originator)
    readers = set.intersection(*({label.originator, *label.rel_to} for label in parts))
    purposes: tuple[str, ...] = ()
    for label in parts:
        purposes = meet_purposes(purposes, label.purposes)
    others = {label.originator for label in parts} - {whose}
    return check(
        Label(
            policy=parts[0].policy,
            originator=whose,
            mode=parts[0].mode,
            level=max(label.level for label in parts),
            rel_to=tuple(sorted(readers - {whose})),
            communities=_union(parts, "communities"),
            topics=_union(parts, "topics"),
            caveats=_union(parts, "caveats"),
            purposes=purposes,
            not_before_ns=_latest(label.not_before_ns for label in parts),
            expires_ns=_earliest(label.expires_ns for label in parts),
            sources=tuple(sorted({*_union(parts, "sources"), *others})),
            consents=_join_consents(parts),
            operations=strictest(one for label in parts for one in label.operations),
        )
    )


def join_for_own(labels: Sequence[Label], nation: str) -> Label:
    """Return the label of what this nation makes of all of these, for itself: where they do not join, for nobody else.

    That is at the highest level and for no purpose; it names everybody behind it all the same: consent is asked of whom a label
    names.
    """
    try:
        return join(labels, originator=nation)
    except PolicyError:
        sources = {source for label in labels for source in _rests_on(label)}
        first = labels[0]
        return Label(
            policy=first.policy,
            originator=nation,
            mode=first.mode,
            level=4,
            purposes=(PURPOSE_NONE,),
            sources=tuple(sorted(sources)),
        )


def _in_one_policy(labels: list[Label], policy: str | None, equivalences: Sequence[LevelEquivalence]) -> list[Label]:
    wanted = policy if policy is not None else labels[0].policy
    said = [translate(label, wanted, equivalences) for label in labels]
    if any(label is None for label in said):
        policies = sorted({f"{label.policy}:{label.level}" for label in labels})
        raise PolicyError("policies-do-not-join", f"{policies} in {wanted!r} without an equivalence.")
    return [label for label in said if label is not None]


@lru_cache(maxsize=4096)
def digest(label: Label) -> bytes:
    """Return the SHA-256 (32 bytes) of the label's canonical MessagePack, with a domain in front."""
    return hashlib.sha256(b"trilat.label/1\x00" + codec.encode(label)).digest()


def to_json(label: Label) -> bytes:
    """Return the JSON form of a label: one line, fields in the order of the declaration, absent what is at its default."""
    return msgspec.json.encode(label)


def _no_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def from_json(raw: bytes) -> Label:
    """Return the label in JSON bytes, strictly: no double or unknown key, canonical, at most `label_bytes_max` bytes.

    Raises:
        PolicyError: label-unreadable (not JSON, too long, unknown keys, values out of range) or label-not-canonical.
    """
    if len(raw) > label_bytes_max:
        raise PolicyError("label-unreadable", f"{len(raw)} bytes, more than {label_bytes_max}.")
    try:
        found = json.loads(raw.decode("utf-8"), object_pairs_hook=_no_doubles)
        _refuse_unknown(found)
        if fault := mistyped(found):
            raise PolicyError("label-not-canonical", fault)
        label = msgspec.convert(found, Label, strict=True)
    except (ValueError, RecursionError, msgspec.MsgspecError) as fault:
        raise PolicyError("label-unreadable", str(fault)[:200]) from fault
    return check(label)


_KEYS = {
    "": set(Label.__struct_fields__),
    "mode": set(Mode.__struct_fields__),
    "consents": set(Consent.__struct_fields__),
    "operations": set(FieldOperation.__struct_fields__),
}


def _refuse_unknown(found: object) -> None:
    """Raise ValueError for a key that no label has: an unknown restriction must withhold, not vanish."""
    if not isinstance(found, dict):
        raise ValueError("not an object")  # noqa: TRY004 - joined with the decoder's own errors
    parts = [("", found), ("mode", found.get("mode"))]
    parts += [(name, one) for name in ("consents", "operations") for one in found.get(name, ())]
    for name, part in parts:
        if isinstance(part, dict) and (unknown := set(part) - _KEYS[name]):
            raise ValueError(f"unknown keys {sorted(unknown)!r}")
