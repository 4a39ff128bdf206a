"""The algebra of labels: its laws, its canonical form, its hash and its JSON."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import EXERCISE, MODES, NOW_NS, labels

from trilat.errors import PolicyError
from trilat.marking.canonical import PURPOSE_NONE, check, fault_of, strictest
from trilat.marking.display import banner, in_words, portion_mark
from trilat.policy.labels import (
    LevelEquivalence,
    digest,
    from_json,
    join,
    join_for_own,
    make,
    meet_purposes,
    to_json,
)
from trilat.records import codec
from trilat.records.label import Consent, FieldOperation, Label

BASE = {"policy": "TRILAT", "originator": "JPN", "mode": EXERCISE, "level": 2, "rel_to": ("KOR",), "topics": ("air",)}


def jpn() -> st.SearchStrategy[Label]:
    return labels(originator="JPN")


@given(jpn(), jpn())
def test_join_is_commutative(a: Label, b: Label) -> None:
    """The order in which labels meet does not change what comes of them."""
    assert join([a, b]) == join([b, a])


@given(jpn(), jpn(), jpn())
def test_join_is_associative(a: Label, b: Label, c: Label) -> None:
    """Labels may be joined in any grouping, or all at once."""
    assert join([join([a, b]), c]) == join([a, join([b, c])]) == join([a, b, c])


@given(jpn())
def test_join_is_idempotent(a: Label) -> None:
    """A label joined with itself is itself."""
    assert join([a, a]) == a == join([a])


@given(jpn(), jpn())
def test_join_never_widens(a: Label, b: Label) -> None:
    """Each part of a joined label is at least as narrow as in either of its parts."""
    both = join([a, b])
    for part in (a, b):
        assert both.level >= part.level
        assert set(both.rel_to) <= set(part.rel_to)
        for field in ("communities", "sources", "caveats", "topics"):
            assert set(getattr(both, field)) >= set(getattr(part, field))
        # Empty purposes are all purposes; a joined label may never come to be empty when a part was not.
        assert not part.purposes or (both.purposes and set(both.purposes) - {PURPOSE_NONE} <= set(part.purposes))
        assert (both.not_before_ns or 0) >= (part.not_before_ns or 0)
        assert part.expires_ns is None or (both.expires_ns is not None and both.expires_ns <= part.expires_ns)
        for consent in both.consents:
            assert consent in part.consents or consent.source not in {part.originator, *part.sources}
        for operation in part.operations:
            assert any(
                one.field == operation.field
                and (one.operation == "drop" or (one.operation == operation.operation and one.amount >= operation.amount))
                for one in both.operations
            )


@given(jpn(), jpn())
def test_joined_labels_are_canonical(a: Label, b: Label) -> None:
    """What join makes is canonical, so that equal labels have equal bytes."""
    assert fault_of(join([a, b])) == ""


@given(labels(), labels(), st.sampled_from(("JPN", "KOR", "USA")))
def test_join_across_originators_never_adds_a_reader(a: Label, b: Label, whose: str) -> None:
    """Whoever reads a record joined of two nations' data may read both parts; else the join is refused by name."""
    readable = all(whose in {part.originator, *part.rel_to} for part in (a, b))
    if not readable:
        with pytest.raises(PolicyError, match="TRI-0305"):
            join([a, b], originator=whose)
        return
    both = join([a, b], originator=whose)
    for part in (a, b):
        assert {both.originator, *both.rel_to} <= {part.originator, *part.rel_to}
        assert part.originator == whose or part.originator in both.sources


def test_disjoint_purposes_leave_none_and_never_all() -> None:
    """Two labels whose purposes have nothing in common join to the purpose `none`, not to the empty list that means all."""
    assert meet_purposes(("warning",), ("exercise",)) == (PURPOSE_NONE,)
    assert meet_purposes((), ("exercise",)) == ("exercise",)
    assert meet_purposes((PURPOSE_NONE,), ()) == (PURPOSE_NONE,)
    assert meet_purposes((), ()) == ()


def test_different_modes_never_join() -> None:
    """Live and exercise, or two exercises, have no common label, with whatever else."""
    for mode in MODES[1:]:
        with pytest.raises(PolicyError) as refusal:
            join([make(**BASE), make(**{**BASE, "mode": mode})])
        assert refusal.value.name == "modes-do-not-join"


def test_different_policies_join_by_an_equivalence_only() -> None:
    """Without an equivalence two policies do not join; with several for one level the highest holds."""
    other = make(**{**BASE, "policy": "TRILAT-KOR", "level": 1})
    with pytest.raises(PolicyError) as refusal:
        join([make(**BASE), other])
    assert refusal.value.name == "policies-do-not-join"
    table = [LevelEquivalence(policy="TRILAT-KOR", level=1, policy_here="TRILAT", level_here=n) for n in (2, 3)]
    assert join([make(**BASE), other], equivalences=table).level == 3


def test_nothing_does_not_join() -> None:
    """The join of no labels would be the widest label of all, so it is refused."""
    with pytest.raises(PolicyError) as refusal:
        join([])
    assert refusal.value.name == "label-not-canonical"


def test_consents_hold_per_source() -> None:
    """A consent survives where every part that rests on that source carries it, and only there."""
    one = make(**BASE, sources=("USA",), consents=[("USA", "KOR")])
    two = make(**BASE, sources=("USA",))
    other = make(**BASE, sources=("KOR",), consents=[("KOR", "USA")])
    assert join([one, two]).consents == ()
    assert join([one, other]).consents == (Consent(source="KOR", recipient="USA"), Consent(source="USA", recipient="KOR"))


def test_the_strictest_operation_wins() -> None:
    """A drop ends everything else on its field; of one kind the greatest amount holds; different kinds both hold."""
    some = [
        FieldOperation(field="altitude", operation="round", amount=100.0),
        FieldOperation(field="altitude", operation="round", amount=300.0),
        FieldOperation(field="covariance", operation="inflate", amount=2.0),
        FieldOperation(field="covariance", operation="round", amount=2.0),
        FieldOperation(field="velocity", operation="round", amount=1.0),
        FieldOperation(field="velocity", operation="drop"),
    ]
    assert [(one.field, one.operation, one.amount) for one in strictest(some)] == [
        ("altitude", "round", 300.0),
        ("covariance", "inflate", 2.0),
        ("covariance", "round", 2.0),
        ("velocity", "drop", 0.0),
    ]


HOSTILE = [
    ({"rel_to": ("kor",)}, "upper case"),
    ({"rel_to": (" KOR",)}, "padded"),
    ({"rel_to": ("KOR\n",)}, "padded"),
    ({"rel_to": ("\uff2b\uff2f\uff32",)}, "Unicode twin of 'KOR'"),
    ({"rel_to": ("\u041a\u041e\u0420",)}, "malformed"),
    ({"rel_to": ("USA", "KOR")}, "not sorted"),
    ({"rel_to": ("KOR", "KOR")}, "not sorted and unique"),
    ({"rel_to": ("JPN",)}, "originator"),
    ({"rel_to": ("ALL",) * 65}, "more than"),
    ({"rel_to": (7,)}, "not text"),
    ({"rel_to": [["KOR"]]}, "can not stand"),
    ({"originator": "PUBLIC"}, "malformed"),
    ({"topics": ()}, "no agreement"),
    ({"topics": ("Air", "air")}, "differ in case"),
    ({"topics": ("\ufb01x",)}, "Unicode twin"),
    ({"topics": ("",)}, "malformed"),
    ({"purposes": (PURPOSE_NONE, "warning")}, "beside others"),
    ({"level": 5}, "level"),
    ({"level": 2.5}, "level"),
    ({"not_before_ns": -1}, "not_before_ns"),
    ({"expires_ns": 1.5}, "expires_ns"),
    ({"consents": (Consent(source="USA", recipient="KOR"),)}, "no source"),
    ({"consents": (Consent(source="JPN", recipient="kor"),)}, "upper case"),
    ({"operations": (FieldOperation(field="soul", operation="drop"),)}, "not known"),
    ({"operations": (FieldOperation(field="altitude", operation="round", amount=float("nan")),)}, ""),
    ({"operations": (FieldOperation(field="covariance", operation="inflate", amount=0.5),)}, "sharpen"),
    ({"operations": (FieldOperation(field="altitude", operation="drop", amount=3.0),)}, "only a drop has none"),
    ({"operations": (FieldOperation(field="altitude", operation="round"),)}, "only a drop has none"),
]


@pytest.mark.parametrize(("change", "says"), HOSTILE)
def test_hostile_labels_are_refused_by_name(change: dict[str, object], says: str) -> None:
    """A label that someone mistyped or forged is refused with what is wrong, and never repaired into something else."""
    label = msgspec.structs.replace(make(**BASE), **change)
    assert says in fault_of(label)
    assert fault_of(label) != ""
    with pytest.raises(PolicyError) as refusal:
        check(label)
    assert refusal.value.name == "label-not-canonical"


@given(labels(mode=None, policy=None))
def test_json_round_trip_is_exact(label: Label) -> None:
    """A label survives its JSON form, and has one hash in either form."""
    assert from_json(to_json(label)) == label
    assert digest(from_json(to_json(label))) == digest(label)
    assert codec.encode(from_json(to_json(label))) == codec.encode(label)


@given(labels(), labels())
def test_equal_hashes_mean_equal_labels(a: Label, b: Label) -> None:
    """Two labels have the same hash when and only when they are the same label."""
    assert (digest(a) == digest(b)) == (a == b)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 20_000,
        b"{" + b" " * 20_000 + b"}",
        to_json(make(**BASE)).replace(b'"level":2', b'"level":2,"level":0'),
        to_json(make(**BASE)).replace(b'"level":2', b'"level":2,"no_foreign":true'),
        to_json(make(**BASE)).replace(b'"kind":', b'"strict":1,"kind":'),
        to_json(make(**BASE)).replace(b'"level":2', b'"level":"2"'),
        to_json(make(**BASE)).replace(b'"level":2', b'"level":NaN'),
    ],
)
def test_unreadable_labels_are_refused(raw: bytes) -> None:
    """Double or unknown keys, wrong types, depth and size are refused before anything is believed."""
    with pytest.raises(PolicyError) as refusal:
        from_json(raw)
    assert refusal.value.name == "label-unreadable"


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (" KOR", "rel_to ' KOR' is padded"),
        ("kor", "rel_to 'kor' is not in upper case"),
        ("\uff2bOR", "is a Unicode twin of 'KOR'"),
        ("K\u0415R", "is malformed: it holds '\u0415' (CYRILLIC CAPITAL LETTER IE)"),
        ("KORR", "is malformed"),
    ],
)
def test_a_mistyped_reader_is_told_how(said: str, says: str) -> None:
    """In JSON, too, a padded, lower-case or twin trigraph is refused with what is wrong with it, not with a pattern."""
    with pytest.raises(PolicyError) as refusal:
        from_json(to_json(make(**BASE)).replace(b'"KOR"', f'"{said}"'.encode()))
    assert refusal.value.name == "label-not-canonical"
    assert says in refusal.value.detail


def test_marking_in_words() -> None:
    """The portion mark, the banner and the sentence say level, readers and caveats with fictional level names."""
    label = make(**BASE, caveats=("no-onward-release",), communities=("watch-floor",), expires_ns=NOW_NS)
    assert portion_mark(label) == "(T2//no-onward-release//REL TO JPN, KOR)"
    assert banner(label) == "EXERCISE EXERCISE EXERCISE//TRILAT-2//watch-floor//no-onward-release//REL TO JPN, KOR"
    assert in_words(label).startswith("TRILAT-2 of JPN (TRILAT, exercise T1); for KOR; about air")
    assert banner(make(**{**BASE, "rel_to": ()})).endswith("JPN ONLY")


@pytest.mark.parametrize("other", [{"policy": "ANOTHER"}, {"rel_to": ("USA",)}])
def test_what_does_not_join_is_for_nobody_and_hides_nobody(other: dict[str, str]) -> None:
    """A nation's own label of data that does not join lets nobody in, serves no purpose, and names all who are behind it."""
    theirs = make(**{**BASE, "originator": "KOR", "rel_to": ("JPN",), "sources": ("USA",), **other})
    found = join_for_own([make(**BASE), theirs], "JPN")
    assert (4, (), (PURPOSE_NONE,), ()) == (found.level, found.rel_to, found.purposes, found.consents)
    assert {"JPN", "KOR", "USA"} == set(found.sources)
    assert fault_of(found) == ""
    whole = [make(**BASE), make(**{**BASE, "originator": "KOR", "rel_to": ("JPN",)})]
    assert join_for_own(whole, "JPN") == join(whole, originator="JPN")
