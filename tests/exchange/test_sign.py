"""Signing keys: published vectors, validity windows, revocation, and live and exercise kept apart."""

import pytest
from exchange_records import EXERCISE, LIVE, T0_NS, ring_of, signing_key
from nacl.signing import SigningKey as NaclSigningKey

from trilat.errors import ExchangeError
from trilat.identity.sign import (
    CLOCK_SKEW_NS,
    KeyRing,
    Rejected,
    SigningKey,
    key_id_of,
    pre_authentication,
    signature_holds,
)

# RFC 8032 section 7.1, tests 1 to 3: secret key, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_ed25519_is_that_of_the_rfc(seed: str, public: str, message: str, signature: str) -> None:
    """Public keys and signatures equal RFC 8032's test vectors."""
    key = SigningKey("JPN", "exercise", bytes.fromhex(seed))
    assert public == key.verify_key.public.hex()
    assert signature == NaclSigningKey(key.seed).sign(bytes.fromhex(message)).signature.hex()


def test_the_signed_bytes_are_those_of_dsse() -> None:
    """The pre-authentication encoding equals the example of the DSSE protocol document."""
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert expected == pre_authentication("http://example.com/HelloWorld", b"hello world")


def test_a_signature_binds_kind_and_body() -> None:
    """The same bytes under another type string do not verify: a pull can never pass for a batch."""
    key = signing_key("JPN")
    signature = key.sign("trilat.pull/1", b"body")
    assert signature_holds(key.verify_key.public, "trilat.pull/1", b"body", signature)
    assert not signature_holds(key.verify_key.public, "trilat.batch/1", b"body", signature)
    assert not signature_holds(key.verify_key.public, "trilat.pull/1", b"bodi", signature)


def refused_name(ring: KeyRing, now_ns: int, key: SigningKey, sender: str = "JPN") -> str:
    """Return the reason why a ring refuses what a key signed now, or ""."""
    try:
        ring.verify(now_ns, sender, key.key_id, "k", b"b", key.sign("k", b"b"))
    except Rejected as refused:
        return refused.name
    return ""


def test_rotation_overlaps() -> None:
    """While two keys of a nation are valid both verify, and the newer one signs; outside its window each is refused by name."""
    old = signing_key("JPN", generation=1, not_after_ns=T0_NS + 1_000)
    new = signing_key("JPN", generation=2, not_before_ns=T0_NS)
    own = KeyRing("JPN", EXERCISE, [old, new], [])
    other = KeyRing("KOR", EXERCISE, [], [old.verify_key, new.verify_key])
    assert [old, new, new] == [own.current(T0_NS - 1), own.current(T0_NS), own.current(T0_NS + 2_000)]
    assert ["", ""] == [refused_name(other, T0_NS + 500, key) for key in (old, new)]
    assert "key-expired" == refused_name(other, T0_NS + 1_001 + CLOCK_SKEW_NS, old)
    assert "key-not-yet-valid" == refused_name(other, T0_NS - 1 - CLOCK_SKEW_NS, new)
    assert "" == refused_name(other, T0_NS + 1_000 + CLOCK_SKEW_NS, old)


def test_no_valid_key_is_said_aloud() -> None:
    """Signing without a key that is valid now is an error with a name."""
    ring = KeyRing("JPN", EXERCISE, [signing_key("JPN", not_after_ns=T0_NS)], [])
    with pytest.raises(ExchangeError) as refused:
        ring.current(T0_NS + 1)
    assert "key-none-valid" == refused.value.name


def test_revoking_removes_one_or_all_pins() -> None:
    """After a revocation nothing the partner signed is accepted; revoking one key leaves the others."""
    first, second = signing_key("JPN", generation=1), signing_key("JPN", generation=2)
    ring = KeyRing("KOR", EXERCISE, [], [first.verify_key, second.verify_key])
    assert 1 == ring.revoke("JPN", first.key_id)
    assert ["key-unknown", ""] == [refused_name(ring, T0_NS, key) for key in (first, second)]
    assert 1 == ring.revoke("JPN")
    assert "sender-unknown" == refused_name(ring, T0_NS, second)


@pytest.mark.parametrize(("mode", "key_mode"), [(LIVE, EXERCISE), (EXERCISE, LIVE)])
def test_live_and_exercise_keys_never_meet(mode: object, key_mode: object) -> None:
    """A ring of one use takes no key of the other, neither own nor pinned."""
    for own, pinned in (([signing_key("JPN", key_mode)], []), ([], [signing_key("KOR", key_mode).verify_key])):
        with pytest.raises(ExchangeError) as refused:
            KeyRing("JPN", mode, own, pinned)
        assert "key-use" == refused.value.name


def test_a_key_of_another_nation_signs_nothing_here() -> None:
    """A ring takes no own key of another nation, and no seed of a wrong length."""
    with pytest.raises(ExchangeError) as refused:
        KeyRing("JPN", EXERCISE, [signing_key("KOR")], [])
    assert "key-nation" == refused.value.name
    with pytest.raises(ExchangeError) as refused:
        SigningKey("JPN", "exercise", b"short")
    assert "key-malformed" == refused.value.name


def test_seeds_are_not_shown() -> None:
    """Neither repr of a key nor of its ring shows the seed."""
    key = signing_key("JPN")
    assert key.seed.hex() not in repr(key)
    assert str(key.seed) not in repr(key)
    assert key_id_of(key.verify_key.public) in repr(key)
    assert 2 == len(ring_of("KOR").pinned())
