"""Keys: certificates that name nation and use, NKeys, fingerprints, invites; each refusal has its name."""

import ssl

import pytest
from cryptography import x509
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from trilat.errors import ExchangeError
from trilat.identity import keys as k

NOW_NS = 1_800_000_000 * 1_000_000_000
SEED, OTHER = b"\x01" * 32, b"\x02" * 32
ROOT = k.ca_certificate(SEED, "JPN", "exercise", NOW_NS)
NODE = k.node_name("JPN", "exercise", "node")
LEAF = k.leaf_certificate(ROOT, SEED, k.public_of(OTHER), NODE, "node", NOW_NS)


def identity(nation: str = "USA", use: k.KeyUse = "exercise") -> k.Identity:
    root = k.ca_certificate(SEED, nation, use, NOW_NS)
    return k.Identity(nation=nation, use=use, created_ns=NOW_NS, ca_certificate=root, signing=(k.signing_public(SEED, NOW_NS),))


def invite(**changes: object) -> k.Invite:
    plain = k.Invite(
        nation="JPN",
        use="exercise",
        audience="USA",
        issued_ns=NOW_NS,
        ca_certificate=ROOT,
        server_name=NODE,
        addresses=("127.0.0.1:4222",),
        signing=(k.signing_public(OTHER, NOW_NS),),
        nats_users=(k.nats_public(k.nats_seed(SEED, "import/USA", 1)),),
    )
    return structs.replace(plain, **changes)


def refused(raw: bytes, said: str | None, own: k.Identity, pinned: k.PartnerFile | None = None, now_ns: int = NOW_NS) -> str:
    with pytest.raises(ExchangeError) as caught:
        k.accept(k.open_invite(raw), raw, own, pinned, said, now_ns)
    return caught.value.name


def test_certificates_are_a_function_of_seed_name_and_time() -> None:
    """The same seed, name and time give the same certificate, byte for byte."""
    assert k.ca_certificate(SEED, "JPN", "exercise", NOW_NS) == ROOT
    assert k.leaf_certificate(ROOT, SEED, k.public_of(OTHER), NODE, "node", NOW_NS) == LEAF


def test_openssl_takes_root_and_leaf() -> None:
    """OpenSSL loads the root as one that may sign, with the name constraint of this nation and use."""
    context = ssl.create_default_context(cadata=ROOT)
    assert context.cert_store_stats()["x509_ca"] >= 1
    constraint = x509.load_pem_x509_certificate(ROOT.encode()).extensions.get_extension_for_class(x509.NameConstraints)
    assert constraint.critical
    assert [name.value for name in constraint.value.permitted_subtrees or []] == ["exercise.jpn.trilat.internal"]


@pytest.mark.parametrize(
    ("days", "name"),
    [(-1, "certificate-not-yet-valid"), (k.LEAF_DAYS + 1, "certificate-expired"), (k.CA_DAYS + 1, "certificate-expired")],
)
def test_dates_are_refused_by_name(days: int, name: str) -> None:
    """A certificate outside its dates is refused with both dates in the sentence."""
    with pytest.raises(ExchangeError) as caught:
        k.check_certificate(LEAF, ROOT, NODE, NOW_NS + days * k.DAY_NS)
    assert caught.value.name == name
    assert "this clock says" in caught.value.detail


def test_slow_partner_clock_is_forgiven() -> None:
    """A clock that is up to ten minutes behind the maker's takes a certificate made just now; beyond, it does not."""
    k.check_certificate(LEAF, ROOT, NODE, NOW_NS - k.CLOCK_SLACK_NS + 1_000_000_000)
    with pytest.raises(ExchangeError):
        k.check_certificate(LEAF, ROOT, NODE, NOW_NS - k.CLOCK_SLACK_NS - 2_000_000_000)


def test_wrong_name_and_wrong_root_are_refused() -> None:
    """A leaf with another node's name, a root of another seed, and no certificate at all are refused by name."""
    other_root = k.ca_certificate(OTHER, "JPN", "exercise", NOW_NS)
    for root, pem, name, expected in (
        (ROOT, LEAF, k.node_name("JPN", "live", "node"), "certificate-name"),
        (other_root, LEAF, NODE, "certificate-untrusted"),
        (ROOT, "no certificate", NODE, "certificate-damaged"),
    ):
        with pytest.raises(ExchangeError) as caught:
            k.check_certificate(pem, root, name, NOW_NS)
        assert caught.value.name == expected


def test_nkeys_are_what_the_field_makes_of_the_seed() -> None:
    """Seed and public NKey agree with the nkeys library, and each role and generation has its own."""
    import nkeys

    seeds = {k.nats_seed(SEED, role, generation) for role in ("import/USA", "import/KOR", "system") for generation in (1, 2)}
    assert len(seeds) == 6
    for seed in seeds:
        assert k.nats_public(seed) == nkeys.from_seed(bytearray(seed.encode())).public_key.decode()


def test_fingerprint_is_read_aloud_group_by_group() -> None:
    """Eight groups of four; the words spell them; spaces, hyphens and case do not matter, digits do."""
    text = k.fingerprint(b"trilat")
    assert [len(group) for group in text.split()] == [4] * 8
    assert len(k.spoken(text).split()) == 32
    assert k.spoken("09af").split() == ["zero", "niner", "Alfa", "Foxtrot"]
    assert k.same_fingerprint(text, text.upper().replace(" ", "-"))
    assert not k.same_fingerprint(text, text[:-1] + ("0" if text[-1] != "0" else "1"))
    assert not k.same_fingerprint("", "")


def test_invite_survives_mail() -> None:
    """An invite comes out of its armour as it went in, whatever stands around it and however lines are broken."""
    raw = k.seal_invite(invite(), SEED)
    text = "> hello\n" + k.armour(raw, "a comment").replace("\n", "\r\n") + "bye"
    assert k.unarmour(text) == raw
    assert k.open_invite(raw) == invite()


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
@example(place=4320, bit=1)
def test_any_flipped_bit_of_an_invite_is_noticed(place: int, bit: int) -> None:
    """No bit of an invite can be changed: it is damaged, or its fingerprint is another."""
    raw = bytearray(k.seal_invite(invite(), SEED))
    raw[place % len(raw)] ^= 1 << bit
    with pytest.raises(ExchangeError) as caught:
        k.open_invite(bytes(raw))
    assert caught.value.name == "invite-damaged"


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(raw: bytes) -> None:
    """Random bytes are a damaged invite, never another error."""
    for read in (lambda: k.open_invite(raw), lambda: k.unarmour(raw.decode("latin-1"))):
        with pytest.raises(ExchangeError) as caught:
            read()
        assert caught.value.name == "invite-damaged"


def test_invite_is_taken_with_its_fingerprint_and_only_then() -> None:
    """A first invite needs the fingerprint that was heard; the pin holds what the invite said."""
    raw = k.seal_invite(invite(), SEED)
    assert refused(raw, None, identity()) == "invite-fingerprint"
    assert refused(raw, "0000 " * 8, identity()) == "invite-fingerprint"
    pin = k.accept(k.open_invite(raw), raw, identity(), None, k.fingerprint(raw), NOW_NS)
    assert (pin.nation, pin.signing, pin.nats_users) == ("JPN", invite().signing, invite().nats_users)


def test_rotation_is_taken_by_the_pinned_root_and_never_backwards() -> None:
    """A newer invite by the pinned root needs no call; an older one, another root or a revoked pin does not pass so."""
    raw = k.seal_invite(invite(), SEED)
    pin = k.accept(k.open_invite(raw), raw, identity(), None, k.fingerprint(raw), NOW_NS)
    newer = k.seal_invite(invite(issued_ns=NOW_NS + 1), SEED)
    assert k.accept(k.open_invite(newer), newer, identity(), pin, None, NOW_NS).issued_ns == NOW_NS + 1
    assert refused(raw, k.fingerprint(raw), identity(), pin) == "invite-old"
    assert refused(newer, None, identity(), structs.replace(pin, revoked_ns=NOW_NS)) == "invite-fingerprint"
    root = k.ca_certificate(OTHER, "JPN", "exercise", NOW_NS)
    usurped = k.seal_invite(invite(issued_ns=NOW_NS + 1, ca_certificate=root), OTHER)
    assert refused(usurped, None, identity(), pin) == "invite-fingerprint"


def test_invites_for_others_or_other_uses_are_refused() -> None:
    """An invite for another nation, from oneself, for the other use, or with an expired root is refused by name."""
    raw = k.seal_invite(invite(), SEED)
    said = k.fingerprint(raw)
    assert refused(raw, said, identity("KOR")) == "invite-for-another"
    assert refused(raw, said, identity("USA", "live")) == "mode-mismatch"
    assert refused(raw, said, identity(), now_ns=NOW_NS + (k.CA_DAYS + 1) * k.DAY_NS) == "certificate-expired"
    own = k.seal_invite(invite(audience="JPN"), SEED)
    assert refused(own, k.fingerprint(own), identity("JPN")) == "invite-for-another"


def test_root_of_another_nation_is_no_invite() -> None:
    """A root made for one nation cannot vouch for an invite in another's name."""
    with pytest.raises(ExchangeError) as caught:
        k.open_invite(k.seal_invite(invite(nation="KOR"), SEED))
    assert caught.value.name == "invite-damaged"
