"""Labels as ADatP-4774 XML: the published shapes, no loss, hostile documents refused, markings in words."""

import random

import msgspec
import nato_vectors
import pytest
from hypothesis import given, settings
from policy_cases import EXERCISE, NOW_NS, labels, random_label

from trilat.errors import PolicyError
from trilat.marking import catalogue, display, label_xml, xml4774
from trilat.marking.canonical import fault_of
from trilat.policy.labels import from_json, make, to_json
from trilat.records.label import FieldOperation, Label

NATO = catalogue.read(nato_vectors.CATALOGUE)
LABEL = make(
    policy="TRILAT",
    originator="JPN",
    mode=EXERCISE,
    level=2,
    rel_to=("KOR", "PUBLIC"),
    topics=("air", "missile"),
    communities=("cell",),
    caveats=("own-eyes",),
    purposes=("exercise",),
    not_before_ns=NOW_NS,
    expires_ns=NOW_NS + 1,
    sources=("USA",),
    consents=[("USA", "KOR")],
    operations=[FieldOperation(field="position", operation="coarsen", amount=20_000.5)],
)
GOOD = label_xml.to_xml(LABEL)


@pytest.mark.parametrize("number", sorted(nato_vectors.VECTORS))
def test_published_shapes_say_what_they_say(number: int) -> None:
    """Each shape of ADatP-4774 Table 17 parses to its policy, level and categories, in the document's order."""
    url, level, categories, _ = nato_vectors.VECTORS[number]
    parsed = xml4774.parse(nato_vectors.document(number))

    assert ("NATO", level) == (parsed.policy, parsed.classification)
    assert [(tag, kind, values) for tag, kind, values in categories] == [(c.tag, c.kind, c.values) for c in parsed.categories]
    assert (nato_vectors.URL[6:-1] if url else None) == parsed.policy_url
    assert parsed == xml4774.parse(xml4774.write(parsed))


@pytest.mark.parametrize("number", sorted(nato_vectors.VECTORS))
def test_published_shapes_are_marked_as_published(number: int) -> None:
    """Each valid shape gets the marking that the peer's test list expects; the invalid one is refused by its policy."""
    parsed, expected = xml4774.parse(nato_vectors.document(number)), nato_vectors.VECTORS[number][3]
    if expected is None:
        with pytest.raises(PolicyError) as refused:
            display.marking(parsed, NATO)
        assert "marking-unknown" == refused.value.name
    else:
        assert expected == display.marking(parsed, NATO)


def test_marking_speaks_the_reader_s_language() -> None:
    """A marking is in French where the catalogue has French, whatever the region, and keeps what has no French."""
    parsed = xml4774.parse(nato_vectors.document(1))
    expected = "NATO SANS CLASSIFICATION Communicable a ISAF, KFOR, RESOLUTE SUPPORT"
    assert [expected, expected] == [display.marking(parsed, NATO, language) for language in ("fr", "fr-CA")]


def test_foreign_label_is_never_read_as_ours() -> None:
    """A label of a policy without words here, or with categories that no label of ours has, is refused."""
    for known in (None, NATO):
        with pytest.raises(PolicyError):
            label_xml.from_xml(nato_vectors.document(1), known)


@given(labels(originator=None, mode=None, policy=None))
@settings(max_examples=100, deadline=None)
def test_label_survives_xml_json_xml(label: Label) -> None:
    """A label to XML, to JSON and to XML again is the same label, and the same bytes."""
    xml = label_xml.to_xml(label)
    again = from_json(to_json(label_xml.from_xml(xml)))
    assert label == again
    assert xml == label_xml.to_xml(again)


def test_ten_thousand_labels_survive() -> None:
    """Ten thousand random labels come back identical from XML by way of JSON; those that are not canonical are refused."""
    seed, written = 4774, 0
    rng = random.Random(seed)
    for k in range(11_000):
        label = random_label(rng)
        if fault_of(label):
            with pytest.raises(PolicyError):
                label_xml.to_xml(label)
            continue
        written += 1
        xml = label_xml.to_xml(label)
        assert xml == label_xml.to_xml(from_json(to_json(label_xml.from_xml(xml)))), f"seed {seed}, label {k}"
    assert written >= 10_000


def test_empty_list_of_readers_is_nobody_in_xml_too() -> None:
    """A label for nobody still names its originator as the only reader: without the category a foreign reader would see no limit."""
    only = make(policy="TRILAT", originator="JPN", mode=EXERCISE, level=1)
    [category] = [one for one in label_xml.to_confidentiality(only).categories if one.tag == "Releasable To"]
    assert ("JPN",) == category.values
    assert only == label_xml.from_xml(label_xml.to_xml(only))
    without = GOOD.replace(
        b'<Category TagName="Releasable To" Type="PERMISSIVE">', b'<Category TagName="Reader" Type="PERMISSIVE">'
    )
    with pytest.raises(PolicyError):
        label_xml.from_xml(without)


def put(old: bytes, new: bytes) -> bytes:
    assert old in GOOD, old
    return GOOD.replace(old, new, 1)


HOSTILE = {
    "doctype": put(b"?>", b'?><!DOCTYPE x [<!ENTITY a "b">]>'),
    "billion laughs": b'<!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><x>&b;</x>',
    "external entity": b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>',
    "doctype in utf-16": put(b"?>", b'?><!DOCTYPE x [<!ENTITY a "b">]>').decode().encode("utf-16"),
    "comment inside a value": put(b"<GenericValue>KOR<", b"<GenericValue>K<!-- -->OR<"),
    "processing instruction": put(b"<Classification>", b"<?x y?><Classification>"),
    "CDATA": put(b"<GenericValue>KOR<", b"<GenericValue><![CDATA[KOR]]><"),
    "unknown entity": put(b"<GenericValue>KOR<", b"<GenericValue>&kor;<"),
    "foreign namespace": put(b'xmlns="urn:nato', b'xmlns="urn:nata'),
    "foreign element": put(b"</ConfidentialityInformation>", b'<x xmlns="urn:x"/></ConfidentialityInformation>'),
    "text beside elements": put(b"<Classification>", b"open<Classification>"),
    "padded reader": put(b"<GenericValue>KOR<", b"<GenericValue> KOR<"),
    "lower-case reader": put(b"<GenericValue>KOR<", b"<GenericValue>kor<"),
    "Unicode twin": put(b"<GenericValue>KOR<", "<GenericValue>KO\uff32<".encode()),
    "reader as a character reference twin": put(b"<GenericValue>KOR<", b"<GenericValue>K&#x39f;R<"),
    "category twice": put(
        b'<Category TagName="Topic"',
        b'<Category TagName="Topic" Type="RESTRICTIVE"><GenericValue>a</GenericValue></Category><Category TagName="Topic"',
    ),
    "unknown category": put(b'TagName="Topic"', b'TagName="Topics"'),
    "category of another type": put(b'TagName="Caveat" Type="RESTRICTIVE"', b'TagName="Caveat" Type="INFORMATIVE"'),
    "value twice": put(b"<GenericValue>KOR<", b"<GenericValue>PUBLIC<"),
    "unsorted": put(b"<GenericValue>air<", b"<GenericValue>zair<"),
    "originator not first reader": put(b"urn:trilat:nation:JPN", b"urn:trilat:nation:KOR"),
    "no originator": GOOD[: GOOD.index(b" <OriginatorID")] + b"</originatorConfidentialityLabel>",
    "unknown level": put(b">TRILAT-2<", b">TRILAT-9<"),
    "level of another policy": put(b">TRILAT-2<", b">TRILAT-JPN-2<"),
    "wrong policy URL": put(b"urn:trilat:policy:trilat", b"urn:trilat:policy:other"),
    "unknown attribute": put(b"<Classification>", b'<Classification x="1">'),
    "two classifications": put(b"<Classification>", b"<Classification>TRILAT-0</Classification><Classification>"),
    "time with a sign": put(str(NOW_NS).encode(), b"+1"),
    "amount written otherwise": put(b"20000.5<", b"20000.50<"),
    "amount beyond all": put(b"20000.5<", b"1e999<"),
    "mode live with an id": put(b">exercise:T1<", b">live:T1<"),
    "mode live with a colon": put(b">exercise:T1<", b">live:<"),
    "empty value": put(b"<GenericValue>KOR<", b"<GenericValue><"),
    "too long": GOOD + b" " * xml4774.xml_bytes_max,
    "too deep": b"<a>" * 5000,
    "truncated": GOOD[:-20],
    "nothing": b"",
    "random": bytes(range(256)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_document_is_refused_by_name(name: str) -> None:
    """Nothing but a plain, whole, known document becomes a label, and the refusal has a name."""
    with pytest.raises(PolicyError) as refused:
        label_xml.from_xml(HOSTILE[name])
    assert refused.value.name in {"label-unreadable", "label-not-canonical", "marking-unknown"}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("padded reader", "rel_to ' KOR' is padded"),
        ("lower-case reader", "is not in upper case"),
        ("Unicode twin", "is a Unicode twin of 'KOR'"),
        ("reader as a character reference twin", "GREEK CAPITAL LETTER OMICRON"),
    ],
)
def test_a_mistyped_reader_is_told_how(name: str, says: str) -> None:
    """What is wrong with a name in a document is said, not which pattern it breaks."""
    with pytest.raises(PolicyError) as refused:
        label_xml.from_xml(HOSTILE[name])
    assert ("label-not-canonical", True) == (refused.value.name, says in refused.value.detail)


def test_every_cut_and_every_flipped_byte_is_refused_or_reads_as_what_it_says() -> None:
    """No damaged document raises anything undocumented; one that still reads differs from the original or is equal to it in words."""
    rng = random.Random(5)
    for k in range(3_000):
        raw = bytearray(GOOD)
        raw[rng.randrange(len(raw))] = rng.randrange(256)
        try:
            label = label_xml.from_xml(bytes(raw))
        except PolicyError:
            continue
        assert label == from_json(to_json(label)), f"seed 5, change {k}"


def test_banner_in_three_languages_says_that_it_is_a_drill_first() -> None:
    """The banner of an exercise begins with the drill's words in each language, and a live one has none."""
    words = {"en": "EXERCISE EXERCISE EXERCISE//", "ja": "訓練 訓練 訓練//", "ko": "훈련 훈련 훈련//"}
    for language, first in words.items():
        assert display.banner(LABEL, language).startswith(first)
    live = msgspec.structs.replace(LABEL, mode=msgspec.convert({"kind": "live"}, type(LABEL.mode)))
    assert display.banner(live).startswith("TRILAT-2//")


@pytest.mark.parametrize(
    "raw",
    [
        b"format = 'x'",
        b"\xff",
        nato_vectors.CATALOGUE + b"\n[[policy]]\nid = 'NATO'\n[[policy.level]]\nlevel = 0\nname = 'A'\n",
        nato_vectors.CATALOGUE.replace(b'name = "ISAF"', b'name = "KFOR"'),
        nato_vectors.CATALOGUE.replace(b"level = 1", b"level = 0"),
        nato_vectors.CATALOGUE + b"\nunknown = 1\n",
        b" " * (catalogue.catalogue_bytes_max + 1),
    ],
)
def test_ambiguous_catalogue_is_refused(raw: bytes) -> None:
    """A catalogue with a double, an unknown key, another format or too many bytes is no catalogue."""
    with pytest.raises(PolicyError) as refused:
        catalogue.read(raw)
    assert "marking-unreadable" == refused.value.name
