"""Envelopes: sealing, opening, Merkle roots and inclusion proofs (RFC 9162 section 2.1), and the chain of heads.

A batch is signed once: the signature covers the type string and the header's exact bytes (DSSE), the header holds the Merkle
root and the count of its leaves, and each leaf is a salt and a record. So one record can be shown to a third party with a
proof that tells nothing of its neighbours. Received bytes are verified as they came; nothing is ever re-encoded to be checked
against a signature.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from trilat.identity.sign import KeyRing, Rejected, SigningKey
from trilat.records import codec
from trilat.records.envelope import Envelope
from trilat.records.exchange import Cursor, SealedBatch
from trilat.records.label import Mode
from trilat.transport.messages import KINDS, BatchHeader, Header, Message, decode_message

SALT_BYTES = 16
HASH_BYTES = 32
# Containers inside containers, the outermost counted: twice what any record of this version has.
DEPTH_MAX = 8
# What an envelope's frame adds to body and payload at most: field names, ids, signature.
FRAME_BYTES_MAX = 512

_sha256 = hashlib.sha256
_encoder = msgspec.msgpack.Encoder()
_frame = msgspec.msgpack.Decoder(Envelope)
_entries = msgspec.msgpack.Decoder(list[bytes])
_plain: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder()


def _shallow() -> Any:
    """Return the type of a value with string keys, without byte strings, and at most DEPTH_MAX nested containers."""
    value: Any = bool | int | float | str | None
    for _ in range(DEPTH_MAX):
        value = bool | int | float | str | list[value] | dict[str, value] | None
    return value


# Decoding into the bounded type checks the depth at C speed; what has byte strings is measured the slow way.
_bounded: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(_shallow())


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEPTH_MAX):
        inside = [child for part in level for child in (part.values() if type(part) is dict else part)]
        level = [child for child in inside if type(child) is dict or type(child) is list]
        if not level:
            return False
    return True


def parse_plain(raw: bytes) -> Any:
    """Return canonical MessagePack as plain objects; raises Rejected "envelope-depth" or "envelope-malformed"."""
    try:
        return _canonical(_bounded.decode(raw), raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        value = _canonical(_plain.decode(raw), raw)
    except RecursionError:
        raise Rejected("envelope-depth", f"{len(raw)} bytes") from None
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, TypeError) as error:
        raise Rejected("envelope-malformed", str(error)) from None
    if (type(value) is dict or type(value) is list) and _too_deep(value):
        raise Rejected("envelope-depth", f"more than {DEPTH_MAX}")
    return value


def _canonical(value: Any, raw: bytes) -> Any:
    if _encoder.encode(value) != raw:
        raise Rejected("envelope-malformed", "not canonical")
    return value


def leaf_hash(entry: bytes) -> bytes:
    """Return RFC 9162's leaf hash: SHA-256 of 0x00 and the entry (here: salt and record)."""
    return _sha256(b"\x00" + entry).digest()


def leaf_hashes(entries: Sequence[bytes]) -> list[bytes]:
    """Return the leaf hashes of entries."""
    sha256 = _sha256
    return [sha256(b"\x00" + entry).digest() for entry in entries]


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Return the Merkle tree hash over leaf hashes (RFC 9162 section 2.1.1); an odd last node moves up, it is not doubled."""
    if not leaves:
        return _sha256(b"").digest()
    level, sha256 = leaves, _sha256
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        above = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0]


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the proof that leaf `index` is under the root (RFC 9162 section 2.1.3.1), nearest sibling first."""
    proof: list[bytes] = []
    level = list(leaves)
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            proof.append(level[sibling])
        above = [_sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            above.append(level[-1])
        level, index = above, index // 2
    return tuple(proof)


def check_proof(entry: bytes, index: int, count: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check an inclusion proof by the algorithm of RFC 9162 section 2.1.3.2; raises Rejected "proof-wrong"."""
    if not 0 <= index < count:
        raise Rejected("proof-wrong", f"leaf {index} of {count}")
    node, last, value = index, count - 1, leaf_hash(entry)
    for sibling in proof:
        if last == 0:
            raise Rejected("proof-wrong", "longer than the tree is high")
        if node & 1 or node == last:
            value = _sha256(b"\x01" + sibling + value).digest()
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            value = _sha256(b"\x01" + value + sibling).digest()
        node, last = node >> 1, last >> 1
    if last != 0 or value != root:
        raise Rejected("proof-wrong", f"leaf {index} of {count}")


def chain(head: bytes, leaves: Sequence[bytes]) -> bytes:
    """Return the head after these leaves: each link is SHA-256 of 0x02, the head before, and the leaf hash."""
    sha256 = _sha256
    for leaf in leaves:
        head = sha256(b"\x02" + head + leaf).digest()
    return head


def epoch_head(sender: str, audience: str, lane: str, epoch: int, base: Cursor) -> bytes:
    """Return the head before the first number of an epoch: binds stream, epoch and the place it goes on from."""
    place = _encoder.encode([sender, audience, lane, epoch, base.epoch, base.sequence, base.head])
    return _sha256(b"\x03" + place).digest()


def salts(salt_key: bytes, context: Sequence[object], count: int) -> list[bytes]:
    """Return `count` salts of 16 bytes: SHAKE-256 keyed by a secret over the place of a batch, so no chance is needed."""
    stream = hashlib.shake_256(salt_key + _encoder.encode(list(context))).digest(SALT_BYTES * count)
    return [stream[i : i + SALT_BYTES] for i in range(0, len(stream), SALT_BYTES)]


def seal(key: SigningKey, header: Header, payload: bytes = b"") -> Envelope:
    """Return the signed envelope of a message; `header.key_id` must be the key's."""
    body = codec.encode(header)
    kind = str(header.__struct_config__.tag)
    return Envelope(
        kind=kind,
        sender=header.sender,
        audience=header.audience,
        lane=header.lane,
        sequence=header.number,
        body=body,
        key_id=key.key_id,
        signature=key.sign(kind, body),
        payload=payload,
    )


def pack(envelope: Envelope) -> bytes:
    """Return an envelope's bytes for the wire: a MessagePack map of its fields in their order."""
    return _encoder.encode(envelope)


def unpack(raw: bytes, bytes_max: int) -> Envelope:
    """Return the envelope in received bytes; raises Rejected "envelope-size" or "envelope-malformed"."""
    if len(raw) > bytes_max:
        raise Rejected("envelope-size", f"{len(raw)} bytes, at most {bytes_max}")
    try:
        envelope = _frame.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Rejected("envelope-malformed", str(error)) from None
    if _encoder.encode(envelope) != raw:
        raise Rejected("envelope-malformed", "not canonical")
    return envelope


def verify(ring: KeyRing, now_ns: int, nation: str, mode: Mode, envelope: Envelope) -> Message:
    """Return an envelope's message after signature, sender, audience and mode were found right; raises Rejected.

    The signature is checked over the received bytes before anything inside them is read.
    """
    if envelope.kind not in KINDS:
        raise Rejected("version-unknown", envelope.kind[:64])
    if envelope.audience != nation:
        raise Rejected("audience-wrong", f"{envelope.sender} to {envelope.audience}")
    ring.verify(now_ns, envelope.sender, envelope.key_id, envelope.kind, envelope.body, envelope.signature)
    plain = parse_plain(envelope.body)
    if not isinstance(plain, dict) or plain.get("type") != envelope.kind:
        raise Rejected("envelope-mismatch", f"{envelope.kind} from {envelope.sender}")
    try:
        header = decode_message(envelope.body)
    except msgspec.ValidationError as error:
        raise Rejected("envelope-malformed", str(error)) from None
    outside = (envelope.sender, envelope.audience, envelope.lane, envelope.sequence, envelope.key_id)
    if outside != (header.sender, header.audience, header.lane, header.number, header.key_id):
        raise Rejected("envelope-mismatch", f"{envelope.kind} from {envelope.sender}")
    if header.mode != mode:
        raise Rejected("mode-wrong", f"{header.mode.kind}:{header.mode.id}, here {mode.kind}:{mode.id}")
    if envelope.payload and not isinstance(header, BatchHeader):
        raise Rejected("envelope-malformed", "payload without a batch")
    return header


class Opened(NamedTuple):
    """A batch's payload, found to fit its header: leaf hashes, and entries (None where withheld)."""

    leaves: list[bytes]
    entries: list[bytes | None]


def split_payload(payload: bytes) -> list[bytes]:
    """Return a payload's entries; raises Rejected "envelope-malformed"."""
    try:
        return _entries.decode(payload)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Rejected("envelope-malformed", str(error)) from None


def join_payload(entries: Sequence[bytes]) -> bytes:
    """Return the payload of entries: a MessagePack array of byte strings."""
    return _encoder.encode(entries)


def open_batch(header: BatchHeader, payload: bytes) -> Opened:
    """Return a verified header's records; raises Rejected "root-wrong", "head-wrong" or "envelope-malformed"."""
    entries = split_payload(payload)
    if len(entries) != header.count or any(offset >= header.count for offset in header.withheld):
        raise Rejected("root-wrong", f"{len(entries)} entries, the header says {header.count}")
    withheld = frozenset(header.withheld)
    leaves = leaf_hashes(entries)
    for i in withheld:
        leaves[i] = entries[i]
        if len(entries[i]) != HASH_BYTES:
            raise Rejected("root-wrong", "a withheld entry is not a leaf hash")
    if merkle_root(leaves) != header.root:
        raise Rejected("root-wrong", f"batch at {header.number}")
    if chain(header.prev_head, leaves) != header.head:
        raise Rejected("head-wrong", f"batch at {header.number}")
    if min(map(len, entries)) <= SALT_BYTES:
        raise Rejected("envelope-malformed", "an entry without a record")
    if not withheld:
        return Opened(leaves, list(entries))
    return Opened(leaves, [None if i in withheld else entry for i, entry in enumerate(entries)])


def leaves_of(batch: SealedBatch) -> list[bytes]:
    """Return the leaf hashes of a stored batch (a withheld entry is its own leaf hash)."""
    header = msgspec.msgpack.decode(batch.body, type=BatchHeader)
    entries = split_payload(batch.payload)
    return [entry if i in header.withheld else leaf_hash(entry) for i, entry in enumerate(entries)]
