"""CAP 1.2 messages: valid by the standard's own schema, Exercise and Actual apart, signed; forged, unsigned and stale ones refused."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from flight_records import LAND_NS, MODE, NS, T0_NS, area, assessment, label
from lxml import etree
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey

from trilat.products import cap
from trilat.products.texts import with_words
from trilat.products.xmldsig import CapError
from trilat.records.label import Mode
from trilat.records.warning import Warning
from trilat.warn import machine

DS = "http://www.w3.org/2000/09/xmldsig#"
KEY = SigningKey(bytes(range(32)))
RINGS = {"JP-02": [[(40.2, 140.0), (41.5, 140.5), (41.0, 141.6), (40.2, 140.0)]]}
DRILLS = {"en": "EXERCISE", "ja": "訓練", "ko": "훈련"}


def warning(state: str = "issued", mode: Mode = MODE, **other: object) -> Warning:
    standing = machine.begin(T0_NS + 50 * NS, assessment(50), "JPN-P1", label(mode=mode))
    assert standing is not None
    ready = msgspec.structs.replace(standing.warning, state=state, issued=True, expires_ns=LAND_NS, **other)
    return with_words(ready)


def written(given: Warning, references: tuple[str, ...] = ()) -> bytes:
    return cap.write(given, references, RINGS, "k1", lambda body: KEY.sign(body).signature)


def holds(sender: str, name: str, body: bytes, signature: bytes) -> bool:
    try:
        KEY.verify_key.verify(body, signature)
    except (BadSignatureError, ValueError):
        return False
    return (sender, name) == ("trilat.jpn", "k1")


def read(data: bytes, mode: Mode = MODE, now_ns: int = T0_NS + 60 * NS) -> cap.CapRead:
    return cap.read(now_ns, data, mode, holds)


STATES = ("detected", "assessed", "issued", "updated", "track-lost", "landed", "passed", "stood-down", "retracted")


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_valid_by_the_schema(recordings: Path, state: str) -> None:
    """Messages of every state, in three languages, are valid against the OASIS schema of CAP 1.2."""
    schema = etree.XMLSchema(etree.parse(str(recordings / "cap" / "CAP-v1.2.xsd")))
    references = () if state == "issued" else (cap.triplet(warning()),)
    message = etree.fromstring(written(warning(state, reason="issued-in-error" if state == "retracted" else ""), references))
    schema.assertValid(message)


def test_alert_update_and_cancel_refer_to_what_was_before() -> None:
    """The first is an Alert, the next an Update with its triplet, a retraction a Cancel; areas keep their ids and polygons."""
    first = warning()
    second = msgspec.structs.replace(warning("updated"), version=2)
    third = msgspec.structs.replace(warning("retracted", reason="issued-in-error"), version=3)
    before = (cap.triplet(first), cap.triplet(second))
    got = [read(written(first)), read(written(second, before[:1])), read(written(third, before))]

    assert [one.message for one in got] == ["Alert", "Update", "Cancel"]
    assert [one.references for one in got] == [(), before[:1], before]
    assert got[0].areas == ("JP-02", "JP-01")
    assert b"40.2000,140.0000 41.5000,140.5000" in written(first)
    assert set(got[0].headlines) == {"en", "ja", "ko"}


def test_exercise_says_so_first_and_last_in_every_language() -> None:
    """Every description and spoken line of an exercise begins and ends with the drill's words; live ones hold none of them."""
    for words in warning().words:
        drill = DRILLS[words.language]
        for text in (words.text, words.line, words.headline):
            assert text.startswith(drill), (words.language, text)
            assert drill in text[-30:], (words.language, text)
    live = warning(mode=Mode(kind="live"))
    assert not any(drill in f"{one.text}{one.line}{one.headline}" for one in live.words for drill in DRILLS.values())
    assert b"<status>Actual</status>" in written(live)
    assert b"<status>Exercise</status>" in written(warning())


def another_verifies(data: bytes) -> bool:
    """Verify an enveloped signature with nothing that wrote it: expat's canonical XML, hashlib, OpenSSL's Ed25519.

    Canonical XML 2.0 of the standard library is exclusive; of messages without comments and QNames in values it is what 1.0 is.
    """
    text = data.decode()
    [signature] = re.findall(r"<ds:Signature .*?</ds:Signature>", text, re.DOTALL)
    told = {name: re.sub(r"\s", "", re.findall(f"<ds:{name}>(.*?)</ds:{name}>", signature, re.DOTALL)[0]) for name in
            ("DigestValue", "SignatureValue")}  # fmt: skip
    whole = ET.canonicalize(text.replace(signature, "")).encode()
    info = re.findall(r"<ds:SignedInfo>.*</ds:SignedInfo>", signature, re.DOTALL)[0]
    said = ET.canonicalize(info.replace("<ds:SignedInfo>", f'<ds:SignedInfo xmlns:ds="{DS}">', 1)).encode()
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes(KEY.verify_key))
        key.verify(base64.b64decode(told["SignatureValue"]), said)
    except InvalidSignature:
        return False
    return base64.b64decode(told["DigestValue"]) == hashlib.sha256(whole).digest()


@pytest.mark.parametrize("state", STATES)
def test_the_signature_holds_for_another_implementation(state: str) -> None:
    """Other code for canonical XML and Ed25519 finds what we sign, in every state, and finds a changed message out."""
    message = written(warning(state), () if state == "issued" else (cap.triplet(warning()),))
    assert another_verifies(message)
    assert not another_verifies(message.replace(b"JP-02", b"JP-47"))
    assert not another_verifies(message.replace(b"trilat.jpn", b"trilat.kor"))
    value = re.findall(rb"<ds:SignatureValue>(.)", message)[0]
    assert not another_verifies(
        message.replace(b"<ds:SignatureValue>" + value, b"<ds:SignatureValue>" + (b"B" if value == b"A" else b"A"))
    )


def test_modes_never_mix() -> None:
    """A live node refuses an exercise's message, and an exercise node a live one, by the same reason."""
    for message, mode in ((warning(), Mode(kind="live")), (warning(mode=Mode(kind="live")), MODE)):
        with pytest.raises(CapError) as caught:
            read(written(message), mode)
        assert caught.value.name == "cap-mode"


def refused(data: bytes, **other: int) -> str:
    with pytest.raises(CapError) as caught:
        read(data, **other)
    return caught.value.name


def test_unsigned_forged_and_stale_messages_are_refused() -> None:
    """No signature, a changed area, another sender, another key, a signature round something else, a past end: each by its reason."""
    good = written(warning())
    root = etree.fromstring(good)
    root.remove(root[-1])
    bare = etree.tostring(root)
    assert refused(bare) == "cap-unsigned"
    assert refused(good.replace(b"JP-02", b"JP-47")) == "cap-forged"
    assert refused(good.replace(b"trilat.jpn", b"trilat.kor")) == "cap-forged"
    other = cap.write(warning(), (), RINGS, "k1", lambda body: SigningKey(bytes(32)).sign(body).signature)
    assert refused(other) == "cap-forged"
    wrapped = b"<x>" + good[good.index(b"<alert") :] + bare + b"</x>"
    assert refused(wrapped) == "cap-unsigned"
    assert refused(good, now_ns=LAND_NS + 1) == "cap-stale"


def test_what_is_no_cap_is_unreadable() -> None:
    """Broken XML, entities, and too many bytes are refused before anything is used."""
    assert refused(b"<alert") == "cap-unreadable"
    assert refused(b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>') == "cap-unreadable"
    assert refused(b" " * 2_000_001) == "cap-unreadable"


def test_every_byte_counts() -> None:
    """Changing any one byte of a signed message never gives a message that is taken and says something else."""
    good = written(warning())
    told = read(good)
    for at in range(0, len(good), 37):
        changed = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        try:
            got = read(changed)
        except CapError:
            continue
        assert got == told, at


def test_same_warning_gives_the_same_bytes() -> None:
    """A message is a function of the warning, its references and the key."""
    assert written(warning()) == written(warning())


def test_words_never_claim_what_is_not_known() -> None:
    """A lost track names no overflight and no shelter order as certain; in error is not threat over, in any language."""
    over = (area("JP-02", "overflight"), area("JP-02"))
    lost = warning("track-lost", touched=over)
    assert "pass over" not in lost.words[0].text
    assert "not confirmed" in lost.words[0].text
    error, threat = (warning("retracted", reason=reason) for reason in ("issued-in-error", "threat-over"))
    for one, other in zip(error.words, threat.words, strict=True):
        assert one.headline != other.headline
        assert one.line != other.line
