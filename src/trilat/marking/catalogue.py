"""The marking catalogue: which words a labelling policy has, per language, and which values go with which level.

One TOML file, replaceable by the operator. What it does not hold is unknown, and what is unknown is never shown as if it were
known and never read into a label: `level_of` and `values_of` refuse it. Modelled on what an XML SPIF (xmlspif.org, 2.1) says of a
policy: levels with phrases, tags with their type, values with phrases, excluded classes, qualifiers round a marking.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from trilat.errors import PolicyError

FORMAT = "trilat-marking/1"
catalogue_bytes_max = 1_048_576
ENGLISH = "en"

Words = dict[str, str]  # language -> text; English always
TagKind = Literal["PERMISSIVE", "RESTRICTIVE", "INFORMATIVE"]
Text = Annotated[str, Meta(min_length=1, max_length=200)]


class _Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key that we do not know could be a restriction, so it is refused."""


class Level(_Part, frozen=True, kw_only=True):
    """One level of a policy. `policy_says` replaces the policy's own name in a marking."""

    level: Annotated[int, Meta(ge=0, le=9)]
    name: Text
    says: Words = {}
    policy_says: str | None = None


class Value(_Part, frozen=True, kw_only=True):
    """One value of a tag: its phrases, whether a marking shows it, and the levels (by name) that it never goes with."""

    name: Text
    says: Words = {}
    shown: bool = True
    excluded: tuple[str, ...] = ()


class Tag(_Part, frozen=True, kw_only=True):
    """One category of a policy: where its values stand in a marking, and what stands round them.

    place: `policy` = behind the policy's name with a stroke; `after` = behind the level; `none` = not shown. any_value: values
    that are not listed are allowed, and stand as they are. `before`, `behind`: qualifiers. Words stand in the catalogue's order.
    """

    name: Text
    kind: TagKind
    place: Literal["policy", "after", "none"] = "after"
    before: Words = {}
    behind: Words = {}
    separator: str = ", "
    any_value: bool = False
    value: tuple[Value, ...] = ()


class MarkingPolicy(_Part, frozen=True, kw_only=True):
    """The words of one labelling policy."""

    id: Text
    url: str | None = None
    says: Words = {}
    level: Annotated[tuple[Level, ...], Meta(min_length=1)]
    tag: tuple[Tag, ...] = ()

    def named_level(self, name: str) -> Level | None:
        """Return the level of a name, to the letter."""
        return next((one for one in self.level if one.name == name), None)

    def numbered_level(self, number: int) -> Level | None:
        """Return the level of a number."""
        return next((one for one in self.level if one.level == number), None)

    def named_tag(self, name: str) -> Tag | None:
        """Return the tag of a name, to the letter."""
        return next((one for one in self.tag if one.name == name), None)


class Catalogue(_Part, frozen=True, kw_only=True):
    """Every policy a node has words for."""

    format: Literal["trilat-marking/1"]
    policy: tuple[MarkingPolicy, ...]

    def of(self, policy: str) -> MarkingPolicy:
        """Return a policy's words. Raises PolicyError (marking-unknown)."""
        found = next((one for one in self.policy if one.id == policy), None)
        if found is None:
            raise PolicyError("marking-unknown", f"Policy {policy[:80]!r}.")
        return found

    def level_of(self, policy: str, name: str) -> int:
        """Return the number of a level's name. Raises PolicyError (marking-unknown)."""
        found = self.of(policy).named_level(name)
        if found is None:
            raise PolicyError("marking-unknown", f"Level {name[:80]!r} of policy {policy!r}.")
        return found.level

    def name_of(self, policy: str, level: int) -> str:
        """Return the name of a level's number. Raises PolicyError (marking-unknown)."""
        found = self.of(policy).numbered_level(level)
        if found is None:
            raise PolicyError("marking-unknown", f"Level {level} of policy {policy!r}.")
        return found.name


def say(words: Words, language: str, otherwise: str) -> str:
    """Return a text in a language, in English where there is none, or what stands for both."""
    return words.get(language) or words.get(language.split("-", maxsplit=1)[0]) or words.get(ENGLISH) or otherwise


def read(raw: bytes) -> Catalogue:
    """Return the catalogue in TOML bytes. Raises PolicyError (marking-unreadable)."""
    if len(raw) > catalogue_bytes_max:
        raise PolicyError("marking-unreadable", f"{len(raw)} bytes, more than {catalogue_bytes_max}.")
    try:
        made = msgspec.convert(tomllib.loads(raw.decode("utf-8")), Catalogue)
    except (ValueError, RecursionError, msgspec.MsgspecError) as fault:
        raise PolicyError("marking-unreadable", str(fault)[:300]) from fault
    if double := _double(made):
        raise PolicyError("marking-unreadable", double)
    return made


def _double(catalogue: Catalogue) -> str:
    """Return what stands twice and would be ambiguous, "" when nothing does."""
    ids = [one.id for one in catalogue.policy]
    if len(set(ids)) != len(ids):
        return f"a policy stands twice among {ids}"
    for policy in catalogue.policy:
        groups = [[one.name for one in policy.level], [str(one.level) for one in policy.level], [tag.name for tag in policy.tag]]
        groups += [[value.name for value in tag.value] for tag in policy.tag]
        for group in groups:
            if len(set(group)) != len(group):
                return f"policy {policy.id!r}: something stands twice among {group[:20]!r}"
    return ""


@cache
def shipped() -> Catalogue:
    """Return the catalogue that ships with Trilat: fictional policies with the fictional levels TRILAT-0 to TRILAT-4."""
    return read(Path(__file__).with_name("catalogue.toml").read_bytes())
