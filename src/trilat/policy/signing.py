"""Policy keys and detached signatures: who has agreed to what (Ed25519, RFC 8032; DSSE v1 pre-authentication encoding).

A policy key is kept off every node, by the person who may bind the nation. A node only pins the public halves. What is
signed is the agreement file byte for byte: nothing is parsed before every signature over it holds.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from trilat.errors import PolicyError
from trilat.records import codec
from trilat.records.declassification import Declassification
from trilat.records.fields import Trigraph

AGREEMENT_KIND = "trilat.agreement/1"
DECLASSIFICATION_KIND = "trilat.declassification/1"
KEY_PREFIX = "ed25519:"
PRIVATE_PREFIX = "trilat-policy-key-private-1 "
PUBLIC_PREFIX = "trilat-policy-key-public-1 "
document_bytes_max = 262_144
signatures_max = 16

_KEY = re.compile(r"ed25519:[0-9a-f]{64}\Z")
_PRIVATE = re.compile(r"trilat-policy-key-private-1 ([A-Z]{3}) ([0-9a-f]{64})\n?\Z")


class PartySignature(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, order=True):
    """One nation's signature over one file: `key` is the public key ("ed25519:" and 64 hex digits)."""

    nation: Trigraph
    key: Annotated[str, Meta(max_length=80)]
    signature: Annotated[str, Meta(min_length=128, max_length=128)]


class SignatureFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file beside an agreement (`usa-jpn.sig.json`): all the signatures over its bytes, sorted by nation."""

    signatures: Annotated[tuple[PartySignature, ...], Meta(max_length=signatures_max)]


class PolicyKey(Struct, frozen=True, kw_only=True):
    """A nation's private policy key; `seed` is 32 bytes, drawn by the caller from the system's generator."""

    nation: Trigraph
    seed: Annotated[bytes, Meta(min_length=32, max_length=32)]

    def __repr__(self) -> str:
        """Show whose it is and never the seed."""
        return f"PolicyKey(nation={self.nation!r}, {self.public})"

    @property
    def public(self) -> str:
        """Return the public key as text: "ed25519:" and 64 hex digits."""
        return KEY_PREFIX + bytes(SigningKey(self.seed).verify_key).hex()


def public_bytes(key: str) -> bytes:
    """Return the 32 bytes of a public key in text; raises PolicyError (policy-key-unreadable)."""
    if not _KEY.match(key):
        raise PolicyError("policy-key-unreadable", f"{key[:80]!r} is not {KEY_PREFIX} and 64 lower-case hex digits.")
    return bytes.fromhex(key.removeprefix(KEY_PREFIX))


def write_key(key: PolicyKey) -> bytes:
    """Return the bytes of a private key file: one line; whoever writes it gives it the mode 0600."""
    return f"{PRIVATE_PREFIX}{key.nation} {key.seed.hex()}\n".encode()


def read_key(raw: bytes) -> PolicyKey:
    """Return the key in a private key file; raises PolicyError (policy-key-unreadable) without ever showing its content."""
    found = _PRIVATE.match(raw[:256].decode("utf-8", "replace"))
    if found is None:
        raise PolicyError("policy-key-unreadable", "The file is not one line of a private policy key.")
    return PolicyKey(nation=found[1], seed=bytes.fromhex(found[2]))


def _to_sign(kind: str, body: bytes) -> bytes:
    # DSSE v1 PAE: the lengths make (kind, body) unambiguous, so that one kind's signature never holds for another.
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(body), body)


def sign(document: bytes, key: PolicyKey) -> PartySignature:
    """Return one nation's signature over an agreement file, byte for byte."""
    signature = SigningKey(key.seed).sign(_to_sign(AGREEMENT_KIND, document)).signature
    return PartySignature(nation=key.nation, key=key.public, signature=signature.hex())


def write_signatures(signatures: Mapping[str, PartySignature]) -> bytes:
    """Return the bytes of a signature file, sorted by nation."""
    body = msgspec.json.encode(SignatureFile(signatures=tuple(signatures[nation] for nation in sorted(signatures))))
    return msgspec.json.format(body, indent=2) + b"\n"


def read_signatures(raw: bytes) -> dict[str, PartySignature]:
    """Return the signatures in a signature file by nation.

    Raises:
        PolicyError: agreement-unreadable when it is no such file or a nation stands in it twice.
    """
    try:
        found = msgspec.json.decode(raw[:document_bytes_max], type=SignatureFile).signatures
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
        raise PolicyError("agreement-unreadable", f"Signatures: {fault}"[:200]) from fault
    by_nation = {one.nation: one for one in found}
    if len(by_nation) != len(found):
        raise PolicyError("agreement-unreadable", "Signatures: a nation stands in the file twice.")
    return by_nation


def _holds(kind: str, body: bytes, key: bytes, signature: bytes) -> bool:
    try:
        VerifyKey(key).verify(_to_sign(kind, body), signature)
    except (BadSignatureError, ValueError):
        return False
    return True


def verified_signers(name: str, document: bytes, signatures: bytes, pinned: Mapping[str, str]) -> frozenset[str]:
    """Return the nations whose pinned policy keys have signed a file; every signature present must hold.

    Args:
        name: the file's name, for the refusal.
        document: the agreement file, byte for byte.
        signatures: the signature file.
        pinned: the public policy key of each nation, as this node has them from a safe channel.

    Raises:
        PolicyError: agreement-unreadable, agreement-unsigned (none), agreement-forged (one does not hold),
            policy-key-unknown (a nation or key that is not pinned here).
    """
    if len(document) > document_bytes_max:
        raise PolicyError("agreement-unreadable", f"{name}: {len(document)} bytes, more than {document_bytes_max}.")
    found = read_signatures(signatures)
    if not found:
        raise PolicyError("agreement-unsigned", f"{name}.")
    for nation, one in found.items():
        if nation not in pinned or one.key != pinned[nation]:
            raise PolicyError("policy-key-unknown", f"{name}: {nation} with {one.key[:24]}...")
        try:
            signature = bytes.fromhex(one.signature)
        except ValueError:
            signature = b""
        if not _holds(AGREEMENT_KIND, document, public_bytes(one.key), signature):
            raise PolicyError("agreement-forged", f"{name}: the signature of {nation}.")
    return frozenset(found)


def document_hash(document: bytes) -> str:
    """Return the SHA-256 of an agreement file in hex: what two officers compare on the telephone."""
    return hashlib.sha256(document).hexdigest()


def fill(template: bytes, values: Mapping[str, str]) -> bytes:
    """Return a template with its `@NAME@` places filled, such as `@JPN.policy-key@`, `@JPN.exchange-key@`, `@JPN.ca-sha256@`.

    Raises:
        PolicyError: agreement-value for a place without a value, or a value that would break out of its string.
    """
    text = template.decode("utf-8")
    for name, value in values.items():
        if not re.fullmatch(r"[A-Za-z0-9:._/+-]*", value):
            raise PolicyError("agreement-value", f"@{name}@ = {value!r} may not stand in an agreement.")
        text = text.replace(f"@{name}@", value)
    if unset := sorted(set(re.findall(r"@[A-Za-z0-9.-]+@", text))):
        raise PolicyError("agreement-value", f"Nothing was given for {', '.join(unset)}.")
    return text.encode()


def sign_declassification(event: Declassification, key_id: str, seed: bytes) -> Declassification:
    """Return the event signed by one key of its nation's node (32-byte seed)."""
    unsigned = msgspec.structs.replace(event, key_id=key_id, signature=b"")
    signature = SigningKey(seed).sign(_to_sign(DECLASSIFICATION_KIND, codec.encode(unsigned))).signature
    return msgspec.structs.replace(unsigned, signature=signature)


def check_declassification(event: Declassification, keys: Mapping[str, bytes]) -> Declassification:
    """Return the event when a known key (id -> 32 bytes) of this node signed it; raises PolicyError (declassification-forged)."""
    unsigned = msgspec.structs.replace(event, signature=b"")
    if event.key_id not in keys or not _holds(DECLASSIFICATION_KIND, codec.encode(unsigned), keys[event.key_id], event.signature):
        raise PolicyError("declassification-forged", f"{event.id} with key {event.key_id!r}.")
    return event
