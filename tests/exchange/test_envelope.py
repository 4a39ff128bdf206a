"""Envelopes: Merkle trees against published vectors, inclusion proofs, and that every altered byte is found."""

import hashlib
from typing import Any

import msgspec
import pytest
from exchange_records import EXERCISE, LIVE, T0_NS, ring_of, signing_key, track_of
from hypothesis import given
from hypothesis import strategies as st

from trilat.identity.sign import KeyRing, Rejected
from trilat.records import codec
from trilat.records.envelope import Envelope
from trilat.records.exchange import Cursor
from trilat.transport import envelope as sealing
from trilat.transport.messages import BatchHeader, Pull

# The inputs and roots of the reference Merkle tree of RFC 6962's authors (certificate-transparency, merkletree tests);
# RFC 9162 keeps the same hashes.
INPUTS = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


@pytest.mark.parametrize("count", sorted(ROOTS))
def test_merkle_roots_are_the_published_ones(count: int) -> None:
    """The root over the first n inputs is the one that the certificate transparency reference gives."""
    leaves = [sealing.leaf_hash(entry) for entry in INPUTS[:count]]
    assert ROOTS[count] == sealing.merkle_root(leaves).hex()


def split_root(leaves: list[bytes]) -> bytes:
    """Return the root by the recursive definition of RFC 9162 section 2.1.1: split at the largest power of two below n."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + split_root(leaves[:k]) + split_root(leaves[k:])).digest()


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=70), st.data())
def test_proofs_hold_for_their_leaf_alone(entries: list[bytes], data: st.DataObject) -> None:
    """Every leaf's proof leads to the root of the recursive definition; with another entry, index or root it does not."""
    leaves = [sealing.leaf_hash(entry) for entry in entries]
    root = sealing.merkle_root(leaves)
    assert split_root(leaves) == root
    index = data.draw(st.integers(0, len(entries) - 1))
    proof = sealing.inclusion_proof(leaves, index)
    sealing.check_proof(entries[index], index, len(entries), proof, root)
    for wrong in (
        (entries[index] + b"x", index, len(entries), proof, root),
        (entries[index], index, len(entries), (*proof, bytes(32)), root),
        (entries[index], index, len(entries), proof, bytes(32)),
        (entries[index], len(entries), len(entries), proof, root),
    ):
        with pytest.raises(Rejected) as refused:
            sealing.check_proof(*wrong)
        assert "proof-wrong" == refused.value.name


def test_a_doubled_odd_leaf_is_another_batch() -> None:
    """Three leaves and the same three with the last one doubled have different roots, unlike in trees that double the odd one."""
    leaves = [sealing.leaf_hash(entry) for entry in INPUTS[:3]]
    assert sealing.merkle_root(leaves) != sealing.merkle_root([*leaves, leaves[-1]])


def test_node_and_leaf_hashes_are_apart() -> None:
    """Two leaves' concatenation, taken for one entry, does not give the root over the two (RFC 9162's domain separation)."""
    leaves = [sealing.leaf_hash(entry) for entry in INPUTS[:2]]
    assert sealing.merkle_root(leaves) != sealing.merkle_root([sealing.leaf_hash(b"".join(leaves))])


def batch(records: list[bytes], **changes: Any) -> Envelope:
    """Return a sealed batch of JPN to KOR."""
    key = changes.pop("key", signing_key("JPN"))
    salted = sealing.salts(key.salt_key, ("KOR", "state", 1, 1), len(records))
    entries = [salt + record for salt, record in zip(salted, records, strict=True)]
    leaves = [sealing.leaf_hash(entry) for entry in entries]
    start = sealing.epoch_head("JPN", "KOR", "state", 1, Cursor())
    fields: dict[str, Any] = {
        "minor": 1,
        "sender": "JPN",
        "audience": "KOR",
        "lane": "state",
        "mode": EXERCISE,
        "key_id": key.key_id,
        "number": 1,
        "epoch": 1,
        "base": Cursor(),
        "count": len(records),
        "root": sealing.merkle_root(leaves),
        "prev_head": start,
        "head": sealing.chain(start, leaves),
        "t_ns": T0_NS,
    }
    return sealing.seal(key, BatchHeader(**fields | changes), sealing.join_payload(entries))


RECORDS = [codec.encode(track_of(number)) for number in range(3)]


def accepted(raw: bytes, ring: KeyRing | None = None) -> bool:
    """Tell whether KOR takes these bytes for a sound batch."""
    envelope = sealing.unpack(raw, 1 << 20)
    header = sealing.verify(ring or ring_of("KOR"), T0_NS, "KOR", EXERCISE, envelope)
    assert isinstance(header, BatchHeader)
    return len(sealing.open_batch(header, envelope.payload).entries) == header.count


def test_a_sound_batch_is_accepted() -> None:
    """What JPN sealed for KOR opens at KOR, with its records unchanged."""
    envelope = batch(RECORDS)
    assert accepted(sealing.pack(envelope))
    header = sealing.verify(ring_of("KOR"), T0_NS, "KOR", EXERCISE, envelope)
    assert RECORDS == [entry[16:] for entry in sealing.open_batch(header, envelope.payload).entries]


def test_every_altered_byte_is_found() -> None:
    """Whichever single byte of a packed batch is altered, in whichever bit, the batch is refused with a reason."""
    raw, ring = sealing.pack(batch(RECORDS)), ring_of("KOR")
    reasons = set()
    for at in range(len(raw)):
        for bit in (at % 8, (at + 3) % 8):
            altered = raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]
            with pytest.raises(Rejected) as refused:
                accepted(altered, ring)
            reasons.add(refused.value.name)
    assert {"envelope-malformed", "signature-wrong", "root-wrong", "key-unknown", "version-unknown", "audience-wrong"} <= reasons


def test_every_cut_is_found() -> None:
    """A batch cut at any place is refused."""
    raw, ring = sealing.pack(batch(RECORDS)), ring_of("KOR")
    for end in range(0, len(raw), 3):
        with pytest.raises(Rejected):
            accepted(raw[:end], ring)


@given(st.binary(max_size=400))
def test_random_bytes_are_refused(raw: bytes) -> None:
    """Random bytes are never an envelope, and nothing but Rejected comes out."""
    with pytest.raises(Rejected):
        accepted(raw)


def resealed(envelope: Envelope, body: bytes) -> Envelope:
    """Return an envelope with another body, rightly signed."""
    return msgspec.structs.replace(envelope, body=body, signature=signing_key("JPN").sign(envelope.kind, body))


TABLE = [
    ("unsigned", lambda: msgspec.structs.replace(batch(RECORDS), signature=b""), "signature-missing"),
    ("signature cut", lambda: msgspec.structs.replace(batch(RECORDS), signature=bytes(63)), "signature-wrong"),
    ("a key that is not pinned", lambda: batch(RECORDS, key=signing_key("JPN", generation=9)), "key-unknown"),
    ("another nation's key", lambda: batch(RECORDS, key=signing_key("USA")), "key-unknown"),
    ("a nation that is no partner", lambda: msgspec.structs.replace(batch(RECORDS), sender="PRK"), "sender-unknown"),
    ("to another audience", lambda: batch(RECORDS, audience="USA"), "audience-wrong"),
    ("another exercise", lambda: batch(RECORDS, mode=msgspec.structs.replace(EXERCISE, id="OTHER")), "mode-wrong"),
    ("live data under an exercise key", lambda: batch(RECORDS, mode=LIVE), "mode-wrong"),
    ("another lane outside than inside", lambda: msgspec.structs.replace(batch(RECORDS), lane="flash"), "envelope-mismatch"),
    ("another number outside", lambda: msgspec.structs.replace(batch(RECORDS), sequence=2), "envelope-mismatch"),
    ("another sender inside", lambda: batch(RECORDS, sender="KOR", key_id=signing_key("JPN").key_id), "sender-unknown"),
    ("a newer major version", lambda: msgspec.structs.replace(batch(RECORDS), kind="trilat.batch/2"), "version-unknown"),
    ("a body of another kind", lambda: resealed(batch(RECORDS), codec.encode(track_of(1))), "envelope-mismatch"),
    ("one record less", lambda: msgspec.structs.replace(batch(RECORDS), payload=batch(RECORDS[:2]).payload), "root-wrong"),
    ("records swapped", lambda: msgspec.structs.replace(batch(RECORDS), payload=batch(RECORDS[::-1]).payload), "root-wrong"),
    (
        "an odd leaf doubled",
        lambda: msgspec.structs.replace(batch(RECORDS), payload=batch([*RECORDS, RECORDS[2]]).payload),
        "root-wrong",
    ),
    ("a head that does not follow", lambda: batch(RECORDS, head=bytes(32)), "head-wrong"),
    ("nested too deep", lambda: resealed(batch(RECORDS), deep_body()), "envelope-depth"),
    ("a value out of range", lambda: resealed(batch(RECORDS), odd_body()), "envelope-malformed"),
    ("bytes behind the end", lambda: resealed(batch(RECORDS), batch(RECORDS).body + b"\xc0"), "envelope-malformed"),
]


def deep_body() -> bytes:
    plain = msgspec.msgpack.decode(batch(RECORDS).body)
    value: Any = 1
    for _ in range(12):
        value = [value]
    return msgspec.msgpack.encode(plain | {"zz": value})


def odd_body() -> bytes:
    return msgspec.msgpack.encode(msgspec.msgpack.decode(batch(RECORDS).body) | {"count": 0})


@pytest.mark.parametrize(("what", "make", "reason"), TABLE, ids=[row[0] for row in TABLE])
def test_what_is_wrong_is_refused_by_name(what: str, make: Any, reason: str) -> None:
    """Each way in which an envelope can be wrong is refused under its own name."""
    del what
    with pytest.raises(Rejected) as refused:
        accepted(sealing.pack(make()))
    assert reason == refused.value.name


def test_duplicate_keys_are_refused_in_headers_and_records() -> None:
    """A map with a key given twice is refused, although its signature holds: two readers could read it differently."""
    body = batch(RECORDS).body
    count = body[2] if body[0] == 0xDE else body[0] & 15
    start = 3 if body[0] == 0xDE else 1
    twice = b"\xde\x00" + bytes([count + 1]) + body[start:] + msgspec.msgpack.encode("minor") + b"\x01"
    assert {"minor": 1}.items() <= msgspec.msgpack.decode(twice).items()
    with pytest.raises(Rejected) as refused:
        accepted(sealing.pack(resealed(batch(RECORDS), twice)))
    assert "envelope-malformed" == refused.value.name
    with pytest.raises(Rejected) as refused:
        sealing.parse_plain(b"\x82\xa1a\x01\xa1a\x02")
    assert "envelope-malformed" == refused.value.name


def test_size_is_bounded_before_anything_is_read() -> None:
    """An envelope above the bound is refused for its size alone."""
    with pytest.raises(Rejected) as refused:
        sealing.unpack(bytes(1_001), 1_000)
    assert "envelope-size" == refused.value.name


def test_unknown_fields_of_a_later_minor_version_are_kept_and_stay_signed() -> None:
    """A header with a field we do not know opens, and its bytes are what was signed."""
    later = msgspec.msgpack.encode(msgspec.msgpack.decode(batch(RECORDS).body) | {"later": [1, 2]})
    envelope = resealed(batch(RECORDS), later)
    assert accepted(sealing.pack(envelope))
    assert later == sealing.unpack(sealing.pack(envelope), 1 << 20).body


def test_a_live_node_refuses_what_an_exercise_key_signed() -> None:
    """An exercise key is not even known to a live node, whatever mode the message claims."""
    with pytest.raises(Rejected) as refused:
        sealing.verify(ring_of("KOR", LIVE), T0_NS, "KOR", LIVE, batch(RECORDS, mode=LIVE))
    assert "key-unknown" == refused.value.name


def test_salts_hide_equal_records() -> None:
    """Two equal records in a batch have different leaves, and the same place gives the same salts again."""
    first, second = sealing.salts(b"k" * 32, ("KOR", "state", 1, 1), 2)
    assert first != second
    assert [first, second] == sealing.salts(b"k" * 32, ("KOR", "state", 1, 1), 2)
    assert [first, second] != sealing.salts(b"k" * 32, ("USA", "state", 1, 1), 2)


def test_a_pull_opens_at_its_exporter_alone() -> None:
    """A pull sealed for JPN opens there and nowhere else."""
    key = signing_key("KOR")
    pull = Pull(
        minor=1,
        sender="KOR",
        audience="JPN",
        lane="state",
        mode=EXERCISE,
        key_id=key.key_id,
        number=5,
        cursor=Cursor(),
        session=5,
        credit_bytes=4096,
        wait_ms=1000,
    )
    envelope = sealing.seal(key, pull)
    assert pull == sealing.verify(ring_of("JPN"), T0_NS, "JPN", EXERCISE, envelope)
    with pytest.raises(Rejected):
        sealing.verify(ring_of("USA"), T0_NS, "USA", EXERCISE, envelope)
