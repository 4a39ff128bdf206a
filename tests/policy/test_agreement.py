"""Agreements: signatures of all parties, versions that only rise, and what is refused by which name."""

from collections.abc import Callable

import pytest
from policy_cases import KEYS, PINNED, PLACES, signed

from trilat.errors import PolicyError
from trilat.policy import signing
from trilat.policy.agreement import Agreements, Document, Seen, contradictions, load, parse, verify


def refused(name: str, call: Callable[[], object]) -> str:
    """Run what must be refused under this name, and return what it says."""
    with pytest.raises(PolicyError) as refusal:
        call()
    assert refusal.value.name == name
    return str(refusal.value)


def test_the_samples_load_and_do_not_contradict(samples: Agreements) -> None:
    """The three sample agreements hold when filled and signed, and none contradicts another."""
    assert [one.name for one in samples.agreements] == ["trilateral/1", "usa-jpn/1", "usa-kor/1", "warn-public/1"]
    assert contradictions(samples) == []


def test_every_single_bit_of_a_signed_file_counts(sample_documents: list[Document]) -> None:
    """A file changed anywhere by one bit is forged, whatever the change means."""
    document = sample_documents[0]
    for place in range(0, len(document.body), 211):
        body = bytearray(document.body)
        body[place] ^= 1
        refused("agreement-forged", lambda body=bytes(body): verify(document._replace(body=body), PINNED))


def test_nothing_is_parsed_before_the_signatures_hold(sample_documents: list[Document]) -> None:
    """Bytes that nobody signed never reach the TOML parser: they are forged before they are malformed."""
    document = sample_documents[0]
    refused("agreement-forged", lambda: verify(document._replace(body=b"\xff = ["), PINNED))
    refused("agreement-unreadable", lambda: verify(signed_bytes(b"\xff = ["), PINNED))


def signed_bytes(body: bytes, by: tuple[str, ...] = ("JPN", "KOR", "USA")) -> Document:
    return Document("draft", body, signing.write_signatures({one: signing.sign(body, KEYS[one]) for one in by}))


def test_half_signed_and_unsigned(sample_documents: list[Document]) -> None:
    """An agreement without every party's signature is refused, and the message names who is missing."""
    body = sample_documents[0].body
    assert "KOR has not signed" in refused("agreement-half-signed", lambda: verify(signed_bytes(body, ("JPN", "USA")), PINNED))
    refused("agreement-unsigned", lambda: verify(signed_bytes(body, ()), PINNED))


def test_keys_that_are_not_pinned_here(sample_documents: list[Document]) -> None:
    """A signature by another key than the one pinned for that nation is refused, even when the file itself names that key."""
    other = signing.PolicyKey(nation="KOR", seed=b"\x09" * 32)
    body = sample_documents[0].body.replace(KEYS["KOR"].public.encode(), other.public.encode())
    signatures = {one: signing.sign(body, key) for one, key in {**KEYS, "KOR": other}.items()}
    refused("policy-key-unknown", lambda: verify(Document("draft", body, signing.write_signatures(signatures)), PINNED))
    refused("policy-key-unknown", lambda: verify(signed_bytes(body), PINNED))
    refused("policy-key-unknown", lambda: verify(sample_documents[0], {}))


def test_a_signature_over_one_kind_never_holds_for_another(sample_documents: list[Document]) -> None:
    """What a policy key signed as something else is no signature over an agreement."""
    body = sample_documents[0].body
    one = signing.sign(body + b" ", KEYS["JPN"])
    document = Document("draft", body, signing.write_signatures({"JPN": one}))
    refused("agreement-forged", lambda: verify(document, PINNED))


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"[]", b'{"signatures":[]}', b'{"signatures":[{"nation":"JPN"}]}', b"[" * 9_000, b"\xff"]
)
def test_bad_signature_files(sample_documents: list[Document], raw: bytes) -> None:
    """A signature file that is none is refused by name and never crashes."""
    name = "agreement-unsigned" if raw == b'{"signatures":[]}' else "agreement-unreadable"
    refused(name, lambda: verify(sample_documents[0]._replace(signatures=raw), PINNED))


def test_a_nation_signs_once(sample_documents: list[Document]) -> None:
    """A signature file in which a nation stands twice is refused."""
    raw = sample_documents[0].signatures
    start, end = raw.index(b"    {"), raw.index(b"    }") + 5
    refused("agreement-unreadable", lambda: signing.read_signatures(raw[:end] + b",\n" + raw[start:end] + raw[end:]))


def newer(document: Document, version: int, extra: bytes = b"") -> Document:
    return signed(document.name, document.body.replace(b"version = 1\n", b"version = %d\n" % version) + extra)


def test_versions_only_rise(sample_documents: list[Document]) -> None:
    """The highest version seen is remembered; an older one, or another content under the same number, is refused."""
    first = load(sample_documents, PINNED)
    rest = sample_documents[1:]
    risen = load([newer(sample_documents[0], 3), *rest], PINNED, first.seen)
    assert risen.seen["trilateral"].version == 3
    assert load([newer(sample_documents[0], 3), *rest], PINNED, risen.seen).seen == risen.seen
    refused("agreement-older", lambda: load(sample_documents, PINNED, risen.seen))
    forked = newer(sample_documents[0], 3, b"# another content\n")
    refused("agreement-forked", lambda: load([forked, *rest], PINNED, risen.seen))


def test_a_lost_file_never_widens(sample_documents: list[Document]) -> None:
    """An agreement that was in force and is not there stops the set: what it forbade would otherwise be allowed."""
    seen = load(sample_documents, PINNED).seen
    assert "usa-kor" in refused("agreement-missing", lambda: load(sample_documents[:2], PINNED, seen))
    refused("agreement-duplicate", lambda: load([*sample_documents, sample_documents[0]], PINNED))
    assert load([], PINNED).agreements == ()
    assert load([], PINNED, {}).seen == {}
    refused("agreement-missing", lambda: load([], PINNED, {"usa-jpn": Seen(1, "0" * 64)}))


BROKEN = [
    ('caveats = ["no-onward-release"]', 'caveats = ["no-onward-release"]\nno_release_on_sundays = true', "unknown field"),
    ("[[flow]]", "[[flow]]\nonly_on_sundays = true", "unknown field"),
    ("version = 1", "version = 0", "version"),
    ("version = 1", "version = 1\nversion = 2", ""),
    ('format = "trilat-agreement/1"', 'format = "trilat-agreement/2"', "format"),
    ("ceiling = 2", "ceiling = 5", "ceiling"),
    ('nation = "KOR"', 'nation = "kor"', "nation"),
    ('nation = "KOR"', 'nation = "JPN"', "stands twice"),
    ('to = "KOR"', 'to = "FRA"', "not between parties"),
    ('to = "KOR"', 'to = "PUBLIC"', "no [public]"),
    ('from = "JPN"\nto = "KOR"', 'from = "KOR"\nto = "KOR"', "to itself"),
    ('via = "USA"', 'via = "JPN"', "no third party"),
    ('topics = ["missile", "nuclear-test"]', 'topics = ["missile", "weather"]', "not among"),
    ('topics = ["missile", "nuclear-test"]', 'topics = ["air"]', "two flows"),
    ('tier = "track"', 'tier = "everything"', "tier"),
    ('tier = "track"', 'tier = "track"\n[[flow.operation]]\nfield = "soul"\noperation = "drop"', "not an operation we know"),
    (
        'tier = "track"',
        'tier = "track"\n[[flow.operation]]\nfield = "covariance"\noperation = "inflate"\namount = 0.5',
        "sharpen",
    ),
    ('tier = "track"', 'tier = "track"\n[[flow.operation]]\nfield = "altitude"\noperation = "round"', "only a drop has none"),
    ('tier = "track"', 'tier = "track"\n[[flow.sensor]]\ntier = "plot"', "either an id or a kind"),
    ("2036-01-01T00:00:00Z", "2019-01-01T00:00:00Z", "ends before"),
    ("2036-01-01T00:00:00Z", "2036-01-01T00:00:00", "expires"),
    ('"situational-awareness"', '"none"', "reserved"),
    ('source = "USA"', 'source = "FRA"', "no party"),
    ('yields_to = ["usa-jpn", "usa-kor"]', 'yields_to = ["trilateral"]', "yields to itself"),
    ('[duty_to_warn]\ntopics = ["missile-warning"]', '[duty_to_warn]\ntopics = ["space"]', "duty to warn"),
]


@pytest.mark.parametrize(("old", "new", "says"), BROKEN)
def test_agreements_that_make_no_sense(sample_documents: list[Document], old: str, new: str, says: str) -> None:
    """Even signed by all, an agreement with an unknown key or a senseless term is refused, with the place."""
    text = sample_documents[0].body.decode()
    assert old in text
    body = text.replace(old, new, 1).encode()
    with pytest.raises(PolicyError) as refusal:
        load([signed_bytes(body)], PINNED)
    assert refusal.value.name in {"agreement-value", "agreement-unreadable"}
    assert says in str(refusal.value)


def test_size_is_capped(sample_documents: list[Document]) -> None:
    """A file beyond the cap is refused before anything else is done with it."""
    body = sample_documents[0].body + b"#" * signing.document_bytes_max
    refused("agreement-unreadable", lambda: verify(signed_bytes(body), PINNED))
    refused("agreement-unreadable", lambda: parse("draft", body))


def test_contradictions_are_said_aloud(sample_documents: list[Document]) -> None:
    """Two agreements that govern one flow on different terms are named with which term holds."""
    texts = [document.body.decode().replace('yields_to = ["usa-jpn", "usa-kor"]', "") for document in sample_documents]
    said = contradictions(load([signed_bytes(text.encode(), NAMES[i]) for i, text in enumerate(texts)], PINNED))
    assert "trilateral/1 and usa-jpn/1, USA to JPN, missile-warning: ceilings 2 and 3; the lower holds" in said
    assert any("different communities of KOR" in one for one in said)


NAMES = (("JPN", "KOR", "USA"), ("JPN", "USA"), ("KOR", "USA"), ("JPN", "KOR", "USA"))


def test_filling_a_template() -> None:
    """Every place must be filled, and no value can break out of its string."""
    assert signing.fill(b'key = "@JPN.policy-key@"', PLACES) == f'key = "{KEYS["JPN"].public}"'.encode()
    refused("agreement-value", lambda: signing.fill(b"@FRA.policy-key@", PLACES))
    refused("agreement-value", lambda: signing.fill(b"@X@", {"X": '"\nceiling = 4'}))


def test_private_keys_stay_private() -> None:
    """A private key file reads back; whatever else is refused without showing what stood in it; repr never shows the seed."""
    key = KEYS["JPN"]
    assert signing.read_key(signing.write_key(key)) == key
    assert key.seed.hex() not in repr(key)
    for raw in (b"", b"\xff" * 100, signing.write_key(key)[:-9], signing.write_key(key) * 2, b"x" + signing.write_key(key)):
        said = refused("policy-key-unreadable", lambda raw=raw: signing.read_key(raw))
        assert key.seed.hex() not in said
    for text in ("", "ed25519:", "ed25519:" + "G" * 64, key.public + "\n", key.public.upper()):
        refused("policy-key-unreadable", lambda text=text: signing.public_bytes(text))
