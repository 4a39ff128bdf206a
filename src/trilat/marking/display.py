"""Labels in words: portion mark, banner and sentence, in the languages of the catalogue; and markings of foreign labels."""

from __future__ import annotations

from collections.abc import Sequence

from trilat.errors import PolicyError
from trilat.marking.catalogue import ENGLISH, Catalogue, MarkingPolicy, Tag, say, shipped
from trilat.marking.xml4774 import Category, Confidentiality
from trilat.records.label import Label

# How a drill says so, first in every banner. A live marking has nothing there.
_MODES = {
    "live": {ENGLISH: ""},
    "exercise": {ENGLISH: "EXERCISE EXERCISE EXERCISE", "ja": "訓練 訓練 訓練", "ko": "훈련 훈련 훈련"},
    "replay": {ENGLISH: "REPLAY REPLAY REPLAY", "ja": "再生 再生 再生", "ko": "재생 재생 재생"},
}
_REL_TO = {ENGLISH: "REL TO {}", "ja": "{} に開示可", "ko": "{} 에 공개 가능"}
_ONLY = {ENGLISH: "{} ONLY", "ja": "{} 限り", "ko": "{} 한정"}


def level_name(level: int, policy: str = "TRILAT") -> str:
    """Return the name of a level in the shipped catalogue; no real marking is ever put on the data we ship."""
    return shipped().name_of(policy, level)


def readers(label: Label, language: str = ENGLISH) -> str:
    """Return who may read, the originator first: "REL TO JPN, KOR", or "JPN ONLY" where that is nobody else."""
    words = _REL_TO if label.rel_to else _ONLY
    return say(words, language, "{}").format(", ".join((label.originator, *label.rel_to)))


def portion_mark(label: Label, language: str = ENGLISH) -> str:
    """Return the short mark for one line or symbol, such as "(T2//REL TO JPN, KOR)"."""
    return f"({'//'.join((f'T{label.level}', *label.caveats, readers(label, language)))})"


def banner(label: Label, language: str = ENGLISH, catalogue: Catalogue | None = None) -> str:
    """Return the line for the top and bottom of a page: mode, level, communities, caveats, readers.

    Raises PolicyError (marking-unknown) for a policy or level without words: what has no name is not shown under another's.
    """
    known = catalogue or shipped()
    level = known.of(label.policy).numbered_level(label.level)
    if level is None:
        raise PolicyError("marking-unknown", f"Level {label.level} of policy {label.policy!r}.")
    drill = say(_MODES[label.mode.kind], language, "")
    return "//".join(
        part
        for part in (
            drill,
            say(level.says, language, level.name),
            *label.communities,
            *label.caveats,
            readers(label, language),
        )
        if part
    )


def in_words(label: Label) -> str:
    """Return a sentence that says what the label says, for the officer who reads it."""
    name = f"level {label.level}"
    for policy in shipped().policy:
        level = policy.numbered_level(label.level) if policy.id == label.policy else None
        name = name if level is None else level.name
    parts = [f"{name} of {label.originator} ({label.policy}, {label.mode.kind} {label.mode.id}".rstrip() + ")"]
    parts.append(f"for {', '.join(label.rel_to)}" if label.rel_to else "for nobody else")
    for word, values in (
        ("about", label.topics),
        ("only to members of", label.communities),
        ("caveats", label.caveats),
        ("to be used for", label.purposes),
        ("rests on data of", label.sources),
        ("with consent", tuple(f"{one.source} to {one.recipient}" for one in label.consents)),
        ("after", tuple(f"{one.operation} {one.field} {one.amount:g}" for one in label.operations)),
    ):
        if values:
            parts.append(f"{word} {', '.join(values)}")
    return "; ".join(parts) + "."


# Foreign labels ---------------------------------------------------------------------------------------------------------


def fault_of(label: Confidentiality, catalogue: Catalogue) -> str:
    """Return why a label does not fit its policy's words, "" when it does: unknown names, wrong types, excluded levels."""
    policy = catalogue.of(label.policy)
    if label.policy_url is not None and policy.url is not None and label.policy_url != policy.url:
        return f"the policy's URL is {label.policy_url[:80]!r}, not {policy.url!r}"
    if policy.named_level(label.classification) is None:
        return f"level {label.classification[:80]!r} is unknown"
    for category in label.categories:
        if fault := _fault_of_category(category, policy, label.classification):
            return fault
    return ""


def _fault_of_category(category: Category, policy: MarkingPolicy, level: str) -> str:
    tag = policy.named_tag(category.tag)
    if tag is None:
        return f"category {category.tag[:80]!r} is unknown"
    if tag.kind != category.kind:
        return f"category {category.tag!r} is {tag.kind}, not {category.kind}"
    listed = {value.name: value for value in tag.value}
    for name in category.values:
        value = listed.get(name)
        if value is None and not tag.any_value:
            return f"value {name[:80]!r} of {category.tag!r} is unknown"
        if value is not None and level in value.excluded:
            return f"value {name!r} of {category.tag!r} does not go with level {level!r}"
    return ""


def marking(label: Confidentiality, catalogue: Catalogue, language: str = ENGLISH) -> str:
    """Return the marking of a label of any policy in the catalogue, such as "NATO RESTRICTED Releasable to Japan".

    Raises PolicyError (marking-unknown) for what the catalogue does not know, or what does not go together.
    """
    if fault := fault_of(label, catalogue):
        raise PolicyError("marking-unknown", fault)
    policy = catalogue.of(label.policy)
    level = policy.named_level(label.classification)
    if level is None:  # fault_of has looked; said again for the type checker's and a reader's sake
        raise PolicyError("marking-unknown", label.classification)
    head = level.policy_says if level.policy_says is not None else say(policy.says, language, policy.id)
    after: list[str] = []
    for tag in policy.tag:
        for category in label.categories:
            words = _shown(tag, category.values, language) if category.tag == tag.name else []
            if words and tag.place == "policy":
                head = f"{head}/{tag.separator.join(words)}"
            elif words and tag.place == "after":
                said = tag.separator.join(words)
                after.append(f"{say(tag.before, language, '')}{said}{say(tag.behind, language, '')}")
    return " ".join(part for part in (head, say(level.says, language, level.name), *after) if part)


def _shown(tag: Tag, values: Sequence[str], language: str) -> list[str]:
    """Return the words of those values that a marking shows: the listed ones in the catalogue's order, then the others."""
    listed = [say(value.says, language, value.name) for value in tag.value if value.shown and value.name in values]
    names = {value.name for value in tag.value}
    return [*listed, *(name for name in values if name not in names)]
