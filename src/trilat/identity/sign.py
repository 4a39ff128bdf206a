"""Signing and verifying with Ed25519 (RFC 8032) over DSSE's pre-authentication encoding, with pinned keys bound to a mode.

A key is made for live use or for exercise use and refuses the other. Rotation is an overlap of validity windows: the newest
own key that is valid signs, every pinned key that is valid verifies. Revoking removes the pin. Nothing here reads a clock.
"""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated, Literal

from msgspec import Meta, Struct
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey as NaclSigningKey
from nacl.signing import VerifyKey as NaclVerifyKey

from trilat.errors import ExchangeError
from trilat.records.fields import ShortText, TimeNs, Trigraph
from trilat.records.label import Mode

# What a key may be used for: replay is treated as exercise (DESIGN principle 6).
KeyUse = Literal["live", "exercise"]
PublicKey = Annotated[bytes, Meta(min_length=32, max_length=32)]
SEED_BYTES = 32
SIGNATURE_BYTES = 64
# Partners' clocks may differ by this much before a key counts as expired or not yet valid.
CLOCK_SKEW_NS = 60 * 1_000_000_000
TIME_NS_MAX = 7_258_118_400_000_000_000


class Rejected(ExchangeError):  # noqa: N818 - the word for what happens to an envelope
    """An envelope is refused; `name` is the reason of errors.toml. It changes nothing and is counted."""


def use_of(mode: Mode) -> KeyUse:
    """Return which keys a mode uses."""
    return "live" if mode.kind == "live" else "exercise"


def key_id_of(public: bytes) -> str:
    """Return the id of a public key: the first 128 bits of SHA-256 over a domain string and the key, in hex."""
    return hashlib.sha256(b"trilat.key/1\0" + public).hexdigest()[:32]


def pre_authentication(kind: str, body: bytes) -> bytes:
    """Return the bytes that are signed: DSSE v1 PAE of type string and body (secure-systems-lab DSSE 1.0.0, protocol.md)."""
    name = kind.encode()
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(body), body)


class VerifyKey(Struct, frozen=True, kw_only=True):
    """A nation's public key as pinned in the agreement: whose, for which use, valid from when until when (UTC ns)."""

    nation: Trigraph
    use: KeyUse
    public: PublicKey
    not_before_ns: TimeNs = 0
    not_after_ns: TimeNs = TIME_NS_MAX
    comment: ShortText = ""

    @property
    def key_id(self) -> str:
        """The id that stands in envelopes."""
        return key_id_of(self.public)


class SigningKey:
    """A nation's private signing key. The seed is never shown by repr and leaves only by `seed`."""

    def __init__(
        self, nation: str, use: KeyUse, seed: bytes, *, not_before_ns: int = 0, not_after_ns: int = TIME_NS_MAX, comment: str = ""
    ) -> None:
        if len(seed) != SEED_BYTES:
            raise ExchangeError("key-malformed", f"a seed has {SEED_BYTES} bytes, this one {len(seed)}")
        self._key = NaclSigningKey(seed)
        self.seed = seed
        self.verify_key = VerifyKey(
            nation=nation,
            use=use,
            public=bytes(self._key.verify_key),
            not_before_ns=not_before_ns,
            not_after_ns=not_after_ns,
            comment=comment,
        )
        self.key_id = self.verify_key.key_id
        # Salts of leaves come from this secret, so that no generator of chance is needed and a replay gives the same bytes.
        self.salt_key = hashlib.blake2b(b"leaf salts", key=seed, digest_size=32, person=b"trilat.salt/1").digest()

    def __repr__(self) -> str:
        key = self.verify_key
        return f"SigningKey({key.nation}, {key.use}, {self.key_id})"

    def sign(self, kind: str, body: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature over type string and body."""
        return self._key.sign(pre_authentication(kind, body)).signature


@lru_cache(maxsize=256)
def _nacl(public: bytes) -> NaclVerifyKey:
    return NaclVerifyKey(public)


def signature_holds(public: bytes, kind: str, body: bytes, signature: bytes) -> bool:
    """Tell whether a signature is this key's over type string and body."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    try:
        _nacl(public).verify(pre_authentication(kind, body), signature)
    except BadSignatureError:
        return False
    return True


class KeyRing:
    """Own signing keys and the partners' pinned keys of one node, for one use.

    Raises ExchangeError "key-use" when a key is for the other use: a live node never even holds an exercise key.
    """

    def __init__(self, nation: str, mode: Mode, own: Iterable[SigningKey], pinned: Iterable[VerifyKey]) -> None:
        self.nation = nation
        self.use = use_of(mode)
        self._own: tuple[SigningKey, ...] = ()
        self._pinned: dict[tuple[str, str], VerifyKey] = {}
        self.replace(own, pinned)

    def replace(self, own: Iterable[SigningKey], pinned: Iterable[VerifyKey]) -> None:
        """Take other keys, at once and whole (rotation, a new agreement)."""
        own, keys = tuple(own), tuple(pinned)
        for key in (*(mine.verify_key for mine in own), *keys):
            if key.use != self.use:
                raise ExchangeError("key-use", f"{key.nation} {key.key_id} is for {key.use}, this node is {self.use}")
        for mine in own:
            if mine.verify_key.nation != self.nation:
                raise ExchangeError("key-nation", f"{mine!r} on a node of {self.nation}")
        self._own = own
        self._pinned = {(key.nation, key.key_id): key for key in keys}

    def pin(self, key: VerifyKey) -> None:
        """Trust one more key of a partner, beside those already pinned (the overlap of a rotation)."""
        self.replace(self._own, (*self._pinned.values(), key))

    def revoke(self, nation: str, key_id: str | None = None) -> int:
        """Remove a partner's pins, all or one; return how many were removed. From now on its envelopes are refused."""
        kept = {at: key for at, key in self._pinned.items() if at[0] != nation or (key_id is not None and at[1] != key_id)}
        removed = len(self._pinned) - len(kept)
        self._pinned = kept
        return removed

    def pinned(self, nation: str | None = None) -> tuple[VerifyKey, ...]:
        """Return the pinned keys, all or one nation's, ordered by key id."""
        return tuple(key for at, key in sorted(self._pinned.items()) if nation in {None, at[0]})

    def own(self) -> tuple[VerifyKey, ...]:
        """Return the public halves of the own keys, ordered by key id."""
        return tuple(sorted((mine.verify_key for mine in self._own), key=lambda key: key.key_id))

    def own_key(self, key_id: str) -> SigningKey | None:
        """Return one of our own keys by its id, valid or not: what was sealed for it before a rotation can still be opened."""
        return next((key for key in self._own if key.key_id == key_id), None)

    def current(self, now_ns: int) -> SigningKey:
        """Return the own key to sign with: the valid one whose validity began last. Raises ExchangeError "key-none-valid"."""
        valid = [key for key in self._own if key.verify_key.not_before_ns <= now_ns <= key.verify_key.not_after_ns]
        if not valid:
            raise ExchangeError("key-none-valid", f"{self.nation} at {now_ns} of {len(self._own)} keys")
        return max(valid, key=lambda key: (key.verify_key.not_before_ns, key.key_id))

    def verify(self, now_ns: int, sender: str, key_id: str, kind: str, body: bytes, signature: bytes) -> VerifyKey:
        """Return the pinned key of `sender` that signed; raises Rejected with the reason.

        Reasons: "signature-missing", "sender-unknown", "key-unknown", "key-not-yet-valid", "key-expired", "signature-wrong".
        """
        if not signature:
            raise Rejected("signature-missing", f"from {sender}")
        key = self._pinned.get((sender, key_id))
        if key is None:
            known = any(nation == sender for nation, _ in self._pinned)
            raise Rejected("key-unknown" if known else "sender-unknown", f"{sender} {key_id}")
        if now_ns < key.not_before_ns - CLOCK_SKEW_NS:
            raise Rejected("key-not-yet-valid", f"{sender} {key_id}")
        if now_ns > key.not_after_ns + CLOCK_SKEW_NS:
            raise Rejected("key-expired", f"{sender} {key_id}")
        if not self._holds(key.public, kind, body, signature):
            raise Rejected("signature-wrong", f"{sender} {key_id} {kind}")
        return key

    def _holds(self, public: bytes, kind: str, body: bytes, signature: bytes) -> bool:
        """Tell whether a signature is a pinned key's; a simulation, which has made most of them itself, knows some answers."""
        return signature_holds(public, kind, body, signature)
