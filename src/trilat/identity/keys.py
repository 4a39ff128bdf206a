"""Keys of a nation: a small CA, certificates with node names, signing keys bound to one use, NKeys, fingerprints.

Everything here is a pure function of seeds and times: no file, no chance, no clock (`keyfiles.py` does those). Certificates are
Ed25519 (RFC 8410) X.509 (RFC 5280), so that the same seed, name and time give the same bytes. One key set belongs to one nation
and one use (live, or exercise and replay), and every name in it says so: the two can never be taken for one another.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Meta, Struct

from trilat.errors import ExchangeError
from trilat.identity.sign import KeyUse, key_id_of
from trilat.records.fields import Count, TimeNs, Trigraph

DAY_NS = 86_400 * 1_000_000_000
CA_DAYS = 3_650
LEAF_DAYS = 397
# Certificates begin this much before they are made, so that a partner whose clock is a little slow still takes them.
CLOCK_SLACK_NS = 10 * 60 * 1_000_000_000
INVITE_BYTES_MAX = 64 * 1024
# RFC 8375-like private use: ".internal" is reserved by ICANN (2024) and never resolves on the public network.
DOMAIN = "trilat.internal"

Role = Literal["node", "client"]
Key32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Pem = Annotated[str, Meta(min_length=1, max_length=8192)]
NKeyPublic = Annotated[str, Meta(pattern=r"^U[A-Z2-7]{55}$(?!\n)")]
Address = Annotated[str, Meta(pattern=r"^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]{1,253}):[0-9]{1,5}$(?!\n)")]
KeyId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$(?!\n)")]

_SEED_PREFIX = 18 << 3  # NATS NKey version byte of a seed: base32 begins with "S"
_USER_PREFIX = 20 << 3  # of a user: "U"


class SigningPublic(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The public half of a signing key and when it may be believed; `revoked_ns` ends it at once."""

    id: KeyId
    public: Key32
    not_before_ns: TimeNs
    not_after_ns: TimeNs | None = None
    revoked_ns: TimeNs | None = None

    def valid(self, now_ns: int) -> bool:
        """Tell whether a signature by this key may be believed at a time."""
        ended = self.revoked_ns is not None or (self.not_after_ns is not None and now_ns > self.not_after_ns)
        return self.not_before_ns <= now_ns and not ended


class Identity(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The public part of a key directory (`identity.toml`): whose it is, its root certificate and signing keys."""

    nation: Trigraph
    use: KeyUse
    created_ns: TimeNs
    ca_certificate: Pem
    signing: Annotated[tuple[SigningPublic, ...], Meta(min_length=1, max_length=64)]
    nats_generation: Count = 1

    def in_agreements(self, now_ns: int) -> dict[str, str]:
        """Return the words by which an agreement names these keys; none for a signing key where none is valid now."""
        valid = sorted((one for one in self.signing if one.valid(now_ns)), key=lambda one: one.not_before_ns)
        keys = {f"{self.nation}.exchange-key": f"ed25519:{one.public.hex()}" for one in valid[-1:]}
        return keys | {f"{self.nation}.ca-sha256": hashlib.sha256(self.ca_certificate.encode()).hexdigest()}


class Secrets(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The private part (`node.key`), without the CA's key, which stands apart so that it can be carried away.

    The TLS certificates stand beside their keys, so that both are renewed in one write.
    """

    server: Key32
    server_certificate: Pem
    client: Key32
    client_certificate: Pem
    nats: Key32
    signing: dict[str, Key32]


class Invite(
    Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="type", tag="trilat.invite/1"
):
    """What one nation tells one partner: its CA, signing keys, NATS addresses, and the NKeys with which it will call."""

    nation: Trigraph
    use: KeyUse
    audience: Trigraph
    issued_ns: TimeNs
    ca_certificate: Pem
    server_name: Annotated[str, Meta(max_length=253)]
    addresses: Annotated[tuple[Address, ...], Meta(max_length=16)]
    signing: Annotated[tuple[SigningPublic, ...], Meta(min_length=1, max_length=64)]
    nats_users: Annotated[tuple[NKeyPublic, ...], Meta(min_length=1, max_length=4)]


class PartnerFile(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One pinned partner (`partners/JPN.toml`): an accepted invite. `revoked_ns` stops everything to and from it."""

    nation: Trigraph
    use: KeyUse
    accepted_ns: TimeNs
    issued_ns: TimeNs
    fingerprint: Annotated[str, Meta(max_length=64)]
    ca_certificate: Pem
    server_name: Annotated[str, Meta(max_length=253)]
    addresses: Annotated[tuple[Address, ...], Meta(max_length=16)]
    signing: Annotated[tuple[SigningPublic, ...], Meta(min_length=1, max_length=64)]
    nats_users: Annotated[tuple[NKeyPublic, ...], Meta(min_length=1, max_length=4)]
    revoked_ns: TimeNs | None = None


def fingerprint(data: bytes) -> str:
    """Return the first 128 bits of SHA-256 as eight groups of four hex digits: what is compared over the phone."""
    digits = hashlib.sha256(data).hexdigest()[:32]
    return " ".join(digits[i : i + 4] for i in range(0, 32, 4))


def spoken(text: str) -> str:
    """Return a fingerprint in words of the ICAO spelling alphabet (Annex 10, volume II, 5.2.1.3), a line per group."""
    words = dict(zip("0123456789abcdef", _ICAO, strict=True))
    return "\n".join(" ".join(words[digit] for digit in group) for group in text.split())


_ICAO = "zero one two three four five six seven eight niner Alfa Bravo Charlie Delta Echo Foxtrot".split()  # noqa: SIM905 - read as it is said


def same_fingerprint(first: str, second: str) -> bool:
    """Tell whether two fingerprints are the same whatever their spaces, hyphens and case."""
    plain = [text.translate(str.maketrans("", "", " -:\n\t")).lower() for text in (first, second)]
    return len(plain[0]) == 32 and plain[0] == plain[1]


def public_of(seed: bytes) -> bytes:
    """Return the 32-byte Ed25519 public key (RFC 8032) of a seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def signing_public(seed: bytes, not_before_ns: int) -> SigningPublic:
    """Return the public half of a signing key seed."""
    public = public_of(seed)
    return SigningPublic(id=key_id_of(public), public=public, not_before_ns=not_before_ns)


def private_pem(seed: bytes) -> bytes:
    """Return an Ed25519 seed as unencrypted PKCS #8 PEM, as TLS libraries want it."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


# --- certificates ---------------------------------------------------------------------------------------------------


def node_name(nation: str, use: str, role: Role) -> str:
    """Return the DNS name in a certificate: `node.exercise.jpn.trilat.internal`."""
    return f"{role}.{use}.{nation.lower()}.{DOMAIN}"


def ca_certificate(seed: bytes, nation: str, use: str, now_ns: int) -> str:
    """Return the PEM of a nation's root: it can vouch for names of this nation and use only (name constraints)."""
    name = _name(nation, f"Trilat {nation} {use} root")
    key = Ed25519PrivateKey.from_private_bytes(seed)
    zone = node_name(nation, use, "node").partition(".")[2]
    builder = _builder(name, name, key.public_key(), now_ns, CA_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(x509.NameConstraints([x509.DNSName(zone)], None), critical=True)
    builder = builder.add_extension(_usage(sign_certificates=True), critical=True)
    return _pem(builder.sign(key, None))


def leaf_certificate(ca_pem: str, ca_seed: bytes, public: bytes, name: str, role: Role, now_ns: int) -> str:
    """Return the PEM of a server ("node") or client certificate for one DNS name, signed by the nation's root."""
    ca = read_certificate(ca_pem)
    key = Ed25519PrivateKey.from_private_bytes(ca_seed)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if role == "node" else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = _builder(subject, ca.subject, Ed25519PublicKey.from_public_bytes(public), now_ns, LEAF_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    builder = builder.add_extension(_usage(sign_certificates=False), critical=True)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return _pem(builder.add_extension(identifier, critical=False).sign(key, None))


def check_certificate(pem: str, ca_pem: str, name: str, now_ns: int) -> None:
    """Check a leaf against its root, its name and the time.

    Raises ExchangeError: certificate-damaged, certificate-untrusted, certificate-name, certificate-expired,
    certificate-not-yet-valid.
    """
    leaf, ca = read_certificate(pem), read_certificate(ca_pem)
    try:
        leaf.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise ExchangeError("certificate-untrusted", f"{name}: not signed by {_common_name(ca)!r}.") from error
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    if name not in names:
        raise ExchangeError("certificate-name", f"It says {', '.join(names)}, expected {name}.")
    for certificate in (leaf, ca):
        check_dates(certificate, now_ns)


def read_certificate(pem: str) -> x509.Certificate:
    """Return the certificate in PEM; raises ExchangeError certificate-damaged, whatever is wrong with it."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        # These are read lazily by the library; what cannot be read is found here, not later.
        _ = certificate.subject, certificate.extensions, certificate.public_key()
    except (
        ValueError,
        UnsupportedAlgorithm,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise ExchangeError("certificate-damaged", f"{error}.") from error
    return certificate


def check_dates(certificate: x509.Certificate, now_ns: int) -> None:
    """Check that a certificate is valid at a time; raises certificate-expired or certificate-not-yet-valid."""
    now = _utc(now_ns)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    who = _common_name(certificate)
    if now > ends:
        raise ExchangeError(
            "certificate-expired", f"{who} ended on {ends:%Y-%m-%d %H:%M} UTC; this clock says {now:%Y-%m-%d %H:%M}."
        )
    if now < begins:
        raise ExchangeError(
            "certificate-not-yet-valid", f"{who} begins on {begins:%Y-%m-%d %H:%M} UTC; this clock says {now:%Y-%m-%d %H:%M}."
        )


def days_left(pem: str, now_ns: int) -> float:
    """Return for how many days a certificate is still valid (negative: since when it is not)."""
    return (read_certificate(pem).not_valid_after_utc - _utc(now_ns)) / timedelta(days=1)


def _builder(subject: x509.Name, issuer: x509.Name, public: Ed25519PublicKey, now_ns: int, days: int) -> x509.CertificateBuilder:
    begins = _utc(now_ns - CLOCK_SLACK_NS)
    serial = hashlib.sha256(public.public_bytes_raw() + str(now_ns).encode()).digest()[:19]
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=public)
        .serial_number(int.from_bytes(serial, "big") | 1)
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=days))
        .add_extension(identifier, critical=False)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(nation: str, common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, nation), x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else "a certificate without a name"


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _utc(t_ns: int) -> datetime:
    return datetime.fromtimestamp(t_ns // 1_000_000_000, UTC)


# --- NKeys (NATS ADR-14): base32 of prefix, key and CRC-16/XMODEM ----------------------------------------------------


def nats_seed(master: bytes, role: str, generation: int) -> str:
    """Return the NKey seed of one NATS user, derived from the node's master: "import/JPN", "export/JPN", "system"."""
    person = hashlib.blake2b(f"trilat.nkey/1 {generation} {role}".encode(), key=master, digest_size=32).digest()
    return _base32(bytes([_SEED_PREFIX | _USER_PREFIX >> 5, (_USER_PREFIX & 31) << 3]) + person)


def nats_public(seed: str) -> str:
    """Return the public NKey ("U...") of a seed ("SU...")."""
    raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
    return _base32(bytes([_USER_PREFIX]) + public_of(raw[2:34]))


def _base32(raw: bytes) -> str:
    crc = 0
    for byte in raw:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return base64.b32encode(raw + crc.to_bytes(2, "little")).decode().rstrip("=")


# --- invites --------------------------------------------------------------------------------------------------------

_BEGIN, _END = "-----BEGIN TRILAT INVITE-----", "-----END TRILAT INVITE-----"
_CONTEXT = b"trilat.invite/1\0"


def seal_invite(invite: Invite, ca_seed: bytes) -> bytes:
    """Return the signed bytes of an invite: the CA's signature (64 bytes), then the body it covers."""
    body = msgspec.msgpack.encode(invite)
    return Ed25519PrivateKey.from_private_bytes(ca_seed).sign(_CONTEXT + body) + body


def open_invite(raw: bytes) -> Invite:
    """Return the invite in signed bytes, checked against the CA certificate that it holds.

    That proves only that it is whole; whose it is, the fingerprint or the CA pinned before must tell (`accept`).
    Raises ExchangeError invite-damaged.
    """
    try:
        invite = msgspec.msgpack.decode(raw[64:], type=Invite)
        ca = read_certificate(invite.ca_certificate)
        public = ca.public_key()
        if not isinstance(public, Ed25519PublicKey):
            raise TypeError(f"a key of type {type(public).__name__}")  # noqa: TRY301 - joins the library's own refusals
        public.verify(raw[:64], _CONTEXT + raw[64:])
        ca.verify_directly_issued_by(ca)
    except (msgspec.DecodeError, ValueError, TypeError, InvalidSignature, ExchangeError) as error:
        why = getattr(error, "detail", str(error)) or "Its signature does not fit."
        raise ExchangeError("invite-damaged", why) from error
    if [each.value for each in ca.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] != [invite.nation]:
        raise ExchangeError("invite-damaged", f"The root belongs to another nation than {invite.nation}.")
    return invite


def accept(invite: Invite, raw: bytes, own: Identity, pinned: PartnerFile | None, said: str | None, now_ns: int) -> PartnerFile:
    """Return the pin of an invite that is for us, of our use, and vouched for.

    `said` is the fingerprint heard from the partner; without one the invite must be newer than the pin and by the
    pinned root (a rotation). Raises ExchangeError invite-for-another, mode-mismatch, invite-fingerprint, invite-old,
    certificate-expired, certificate-not-yet-valid.
    """
    if (invite.audience, invite.nation) != (own.nation, invite.nation) or invite.nation == own.nation:
        raise ExchangeError("invite-for-another", f"It is from {invite.nation} for {invite.audience}; this node is {own.nation}.")
    if invite.use != own.use:
        raise ExchangeError("mode-mismatch", f"The invite is for {invite.use} use, these keys for {own.use} use.")
    check_dates(read_certificate(invite.ca_certificate), now_ns)
    if said is not None and not same_fingerprint(said, fingerprint(raw)):
        raise ExchangeError("invite-fingerprint", f"Heard {said!r}, the file has {fingerprint(raw)!r}.")
    if said is None and (pinned is None or pinned.revoked_ns is not None or pinned.ca_certificate != invite.ca_certificate):
        raise ExchangeError(
            "invite-fingerprint", f"The root of {invite.nation} is not pinned here, so the fingerprint must be given."
        )
    if pinned is not None and invite.issued_ns <= pinned.issued_ns:
        raise ExchangeError("invite-old", f"The pin of {invite.nation} is as new or newer.")
    shared = {name: getattr(invite, name) for name in PartnerFile.__struct_fields__ if hasattr(invite, name)}
    return PartnerFile(accepted_ns=now_ns, fingerprint=fingerprint(raw), **shared)


def armour(raw: bytes, comment: str) -> str:
    """Return an invite as text that survives mail: lines of base64 between a begin and an end line."""
    text = base64.b64encode(raw).decode()
    lines = [text[i : i + 76] for i in range(0, len(text), 76)]
    return "\n".join([comment.strip(), _BEGIN, *lines, _END, ""])


def unarmour(text: str) -> bytes:
    """Return the bytes between the begin and the end line; raises ExchangeError invite-damaged."""
    begin, end = text.find(_BEGIN), text.find(_END)
    if not 0 <= begin < end or end > INVITE_BYTES_MAX:
        raise ExchangeError("invite-damaged", "It has no begin and end line, or is too long.")
    try:
        return base64.b64decode("".join(text[begin + len(_BEGIN) : end].split()), validate=True)
    except ValueError as error:
        raise ExchangeError("invite-damaged", f"{error}.") from error
