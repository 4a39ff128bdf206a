"""Sealed boxes: bytes that only the holder of one signing key can open, for what passes through a hub that is no audience.

The form is libsodium's `crypto_box_seal` (an X25519 key of this box alone, XSalsa20-Poly1305, nonce = BLAKE2b-192 over both
public keys). The addressee's X25519 key is the one that belongs to its pinned Ed25519 key (RFC 7748 section 4.1, the birational
map), so there is no second key to pin, rotate and revoke. The box's own key is drawn from the sender's secret and everything that
goes into the box, not from chance: the same inputs give the same bytes, and no two contents ever share a key.
"""

import hashlib

from nacl.exceptions import CryptoError
from nacl.public import Box, PrivateKey, PublicKey, SealedBox
from nacl.signing import SigningKey as NaclSigningKey
from nacl.signing import VerifyKey as NaclVerifyKey

from trilat.identity.sign import Rejected, SigningKey

# A box's size tells no more than this about what is inside.
PADDED_BYTES = 256
_END = b"\x80"  # ISO/IEC 7816-4 padding: one bit, then zeros
_NONCE_BYTES = 24


def _padded(plain: bytes) -> bytes:
    whole = plain + _END
    return whole + bytes(-len(whole) % PADDED_BYTES)


def seal_box(plain: bytes, key: SigningKey, to_public: bytes, context: bytes) -> bytes:
    """Return a box for the holder of an Ed25519 public key.

    context: everything that is signed about the box beside it; it goes into the box's own key.
    """
    padded = _padded(plain)
    told = hashlib.sha256(len(context).to_bytes(8, "big") + context + to_public + padded).digest()
    seed = hashlib.blake2b(told, key=key.salt_key, digest_size=32, person=b"trilat.box/1").digest()
    own, theirs = PrivateKey(seed), NaclVerifyKey(to_public).to_curve25519_public_key()
    nonce = hashlib.blake2b(bytes(own.public_key) + bytes(theirs), digest_size=_NONCE_BYTES).digest()
    return bytes(own.public_key) + Box(own, PublicKey(bytes(theirs))).encrypt(padded, nonce).ciphertext


def open_box(box: bytes, key: SigningKey) -> bytes:
    """Return what is in a box for one of our keys; raises Rejected "box-unreadable"."""
    try:
        padded = SealedBox(NaclSigningKey(key.seed).to_curve25519_private_key()).decrypt(box)
    except (CryptoError, ValueError) as error:
        raise Rejected("box-unreadable", f"{len(box)} bytes for key {key.key_id}") from error
    plain, end, zeros = padded.rpartition(_END)
    if not end or zeros.strip(b"\0"):
        raise Rejected("box-unreadable", "its padding is wrong")
    return plain
