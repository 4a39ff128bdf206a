"""Key directories on disk: made, loaded, renewed; partners pinned. The only file of the exchange that makes secrets by chance.

A directory holds `identity.toml` (public), `node.key` and `ca.key` (private: mode 0600, or sealed with a passphrase by
argon2id and XSalsa20-Poly1305), and `partners/NATION.toml` (pins). The node needs no `ca.key`: it may be kept elsewhere and
brought back for rotations and invites. Every write is a whole new file, synced and renamed over the old one.
"""

from __future__ import annotations

import os
import secrets
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct, structs

from trilat.errors import ExchangeError
from trilat.identity import keys as k
from trilat.identity.keystore import Passphrase, Seal, private_path, read_private, read_toml, to_toml, write_file, write_private
from trilat.identity.sign import TIME_NS_MAX, KeyRing, KeyUse, SigningKey, VerifyKey, use_of
from trilat.records.fields import Trigraph
from trilat.records.label import Mode

IDENTITY, NODE_KEY, CA_KEY, PARTNERS = "identity.toml", "node.key", "ca.key", "partners"
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
PORTS_FROM = 10_000  # below stand the well-known servers
PORTS_TRIED = 256  # of which as many as were asked for are taken


class NodeKeys(NamedTuple):
    """A loaded key directory."""

    directory: Path
    identity: k.Identity
    secrets: k.Secrets

    def key_ring(self, mode: Mode, partners: Iterable[k.PartnerFile]) -> KeyRing:
        """Return the own signing keys and the pinned keys of the partners; what is revoked is left out.

        Raises ExchangeError key-use when the mode needs keys of the other use.
        """
        identity = self.identity
        own = [
            SigningKey(
                identity.nation,
                identity.use,
                self.secrets.signing[key.id],
                not_before_ns=key.not_before_ns,
                not_after_ns=key.not_after_ns or TIME_NS_MAX,
            )
            for key in identity.signing
            if key.id in self.secrets.signing and key.revoked_ns is None
        ]
        return KeyRing(identity.nation, mode, own, [key for pin in partners for key in verify_keys(pin)])

    def import_seeds(self, partner: str) -> tuple[str, ...]:
        """Return the NKey seeds with which this node calls a partner's server, newest first (two while rotating)."""
        newest = self.identity.nats_generation
        generations = range(newest, max(newest - 2, 0), -1)
        return tuple(k.nats_seed(self.secrets.nats, f"import/{partner}", number) for number in generations)

    def own_seed(self, role: str) -> str:
        """Return the NKey seed of a user of the node's own server: "export/JPN" or "system"."""
        return k.nats_seed(self.secrets.nats, role, 0)


class _CaSecret(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `ca.key` holds."""

    ca: k.Key32


def verify_keys(pin: k.PartnerFile) -> list[VerifyKey]:
    """Return the signing keys of a pinned partner that are not revoked; none when the partner is."""
    return [
        VerifyKey(
            nation=pin.nation,
            use=pin.use,
            public=key.public,
            not_before_ns=key.not_before_ns,
            not_after_ns=key.not_after_ns or TIME_NS_MAX,
        )
        for key in pin.signing
        if key.revoked_ns is None and pin.revoked_ns is None
    ]


# --- making, loading ------------------------------------------------------------------------------------------------


def create(directory: Path, nation: str, use: KeyUse, now_ns: int, seal: Seal | None = None) -> NodeKeys:
    """Make a nation's keys for one use in an empty or new directory; sealed when a seal is given.

    Raises ExchangeError keys-exist, and msgspec.ValidationError for a bad nation or use.
    """
    if (directory / IDENTITY).exists() or (directory / NODE_KEY).exists():
        raise ExchangeError("keys-exist", f"{directory}.")
    msgspec.convert({"nation": nation, "use": use}, _Whose)
    ca, nats, sign = (secrets.token_bytes(32) for _ in range(3))
    root = k.ca_certificate(ca, nation, use, now_ns)
    public = k.signing_public(sign, now_ns)
    identity = k.Identity(nation=nation, use=use, created_ns=now_ns, ca_certificate=root, signing=(public,))
    private = k.Secrets(nats=nats, signing={public.id: sign}, **_tls(identity, ca, now_ns))
    (directory / PARTNERS).mkdir(parents=True, exist_ok=True, mode=0o700)
    directory.chmod(0o700)
    write_private(directory / CA_KEY, _CaSecret(ca=ca), seal)
    write_private(directory / NODE_KEY, private, seal)
    write_file(directory / IDENTITY, to_toml(identity).encode(), 0o644)
    return NodeKeys(directory, identity, private)


def load(directory: Path, now_ns: int, mode: Mode | None = None, passphrase: Passphrase | None = None) -> NodeKeys:
    """Load and check a key directory for a node of one mode (None: any, for showing and renewing).

    Raises ExchangeError keys-missing, keys-exposed, keys-damaged, passphrase-missing, passphrase-wrong, mode-mismatch,
    certificate-*; the last two only when a mode is given.
    """
    identity = read_toml(directory / IDENTITY, k.Identity)
    private, _ = read_private(directory / NODE_KEY, k.Secrets, passphrase)
    known = {key.id: key.public for key in identity.signing}
    for name, seed in private.signing.items():
        if known.get(name) != k.public_of(seed):
            raise ExchangeError("keys-damaged", f"{directory}: {name} has no public half in {IDENTITY}.")
    held = NodeKeys(directory, identity, private)
    if mode is not None:
        if use_of(mode) != identity.use:
            raise ExchangeError(
                "mode-mismatch", f"{directory} holds keys for {identity.use} use, the node's mode is {mode.kind}."
            )
        check_certificates(held, now_ns)
    return held


def check_certificates(held: NodeKeys, now_ns: int) -> float:
    """Check the own certificates and return the days that the first to end has left; raises certificate-*."""
    identity, private = held.identity, held.secrets
    root = identity.ca_certificate
    k.check_certificate(private.server_certificate, root, k.node_name(identity.nation, identity.use, "node"), now_ns)
    k.check_certificate(private.client_certificate, root, k.node_name(identity.nation, identity.use, "client"), now_ns)
    return min(k.days_left(pem, now_ns) for pem in (root, private.server_certificate, private.client_certificate))


# --- renewing -------------------------------------------------------------------------------------------------------


def rotate_signing(
    directory: Path, now_ns: int, starts_ns: int, overlap_ns: int, passphrase: Passphrase | None = None
) -> NodeKeys:
    """Add a signing key that signs from `starts_ns`; the old ones are believed until `overlap_ns` after that.

    Send a new invite to every partner before `starts_ns`.
    """
    held = load(directory, now_ns, None, passphrase)
    seed = secrets.token_bytes(32)
    public = k.signing_public(seed, starts_ns)
    last_ns = starts_ns + overlap_ns
    older = tuple(structs.replace(key, not_after_ns=min(key.not_after_ns or last_ns, last_ns)) for key in held.identity.signing)
    # What ended long ago is dropped from the private file, not from the public one: old records are still verified by it.
    alive = {key.id for key in older if key.revoked_ns is None and (key.not_after_ns or last_ns) >= now_ns}
    signing = {name: value for name, value in held.secrets.signing.items() if name in alive} | {public.id: seed}
    private = structs.replace(held.secrets, signing=signing)
    return _renew(directory, structs.replace(held.identity, signing=(*older, public)), private, passphrase)


def revoke_signing(directory: Path, name: str, now_ns: int, passphrase: Passphrase | None = None) -> NodeKeys:
    """End one signing key at once, and make a new one when no other is valid; raises signing-key-unknown.

    Send a new invite to every partner: until they accept it they still believe the old key.
    """
    held = load(directory, now_ns, None, passphrase)
    if all(key.id != name for key in held.identity.signing):
        raise ExchangeError("signing-key-unknown", f"{name} in {directory}.")
    ended = tuple(structs.replace(key, revoked_ns=now_ns) if key.id == name else key for key in held.identity.signing)
    private = structs.replace(held.secrets, signing={n: v for n, v in held.secrets.signing.items() if n != name})
    if not any(key.valid(now_ns) and key.id in private.signing for key in ended):
        seed = secrets.token_bytes(32)
        public = k.signing_public(seed, now_ns)
        ended, private = (*ended, public), structs.replace(private, signing={**private.signing, public.id: seed})
    return _renew(directory, structs.replace(held.identity, signing=ended), private, passphrase)


def rotate_certificates(directory: Path, now_ns: int, passphrase: Passphrase | None = None) -> NodeKeys:
    """Make new TLS keys with new certificates by the same root; partners need nothing. The node takes them at its next start."""
    held = load(directory, now_ns, None, passphrase)
    tls = _tls(held.identity, _ca_seed(directory, passphrase), now_ns)
    return _renew(directory, held.identity, structs.replace(held.secrets, **tls), passphrase)


def rotate_nats(directory: Path, now_ns: int, passphrase: Passphrase | None = None) -> NodeKeys:
    """Make new NKeys for calling partners; the last ones are used too until each partner has accepted a new invite."""
    held = load(directory, now_ns, None, passphrase)
    identity = structs.replace(held.identity, nats_generation=held.identity.nats_generation + 1)
    return _renew(directory, identity, held.secrets, passphrase)


# --- partners -------------------------------------------------------------------------------------------------------


def make_invite(
    directory: Path,
    audience: str,
    addresses: Sequence[str],
    now_ns: int,
    passphrase: Passphrase | None = None,
    server_name: str | None = None,
) -> bytes:
    """Return the signed invite of this nation for one partner; needs `ca.key`. Raises as `load` does."""
    held = load(directory, now_ns, None, passphrase)
    identity = held.identity
    invite = k.Invite(
        nation=identity.nation,
        use=identity.use,
        audience=audience,
        issued_ns=now_ns,
        ca_certificate=identity.ca_certificate,
        server_name=server_name or k.node_name(identity.nation, identity.use, "node"),
        addresses=tuple(addresses),
        signing=identity.signing,
        nats_users=tuple(k.nats_public(seed) for seed in held.import_seeds(audience)),
    )
    msgspec.convert(msgspec.to_builtins(invite), k.Invite)
    return k.seal_invite(invite, _ca_seed(directory, passphrase))


def accept_invite(directory: Path, raw: bytes, said: str | None, now_ns: int) -> tuple[Path, k.PartnerFile]:
    """Pin the partner of an invite in `partners/`; `said` is the fingerprint heard. Raises as `keys.accept`."""
    invite, own = k.open_invite(raw), read_toml(directory / IDENTITY, k.Identity)
    path = directory / PARTNERS / f"{invite.nation}.toml"
    pin = k.accept(invite, raw, own, load_partner(path) if path.exists() else None, said, now_ns)
    save_partner(path, pin)
    return path, pin


def load_partner(path: Path) -> k.PartnerFile:
    """Read one pinned partner; raises ExchangeError partner-unknown, keys-damaged."""
    if not path.exists():
        raise ExchangeError("partner-unknown", f"{path}.")
    return read_toml(path, k.PartnerFile)


def save_partner(path: Path, pin: k.PartnerFile) -> None:
    """Write one pinned partner."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_file(path, to_toml(pin).encode(), 0o644)


def revoke_partner(path: Path, now_ns: int) -> k.PartnerFile:
    """Mark a partner as revoked; the running node sees the file change and cuts the partner off. Only a new invite undoes it."""
    pin = structs.replace(load_partner(path), revoked_ns=now_ns)
    save_partner(path, pin)
    return pin


class PinWatch:
    """Tells when pins (or keys) on disk have changed, so that a command reaches the running node: ask twice a second.

    paths: pin files by nation. keys: the own key directory; when `renewed` is true after `changed`, load it again.
    """

    def __init__(self, paths: Mapping[str, Path], keys: Path | None = None) -> None:
        self.paths, self.renewed = dict(paths), False
        self._keys = () if keys is None else (keys / NODE_KEY, keys / IDENTITY)
        self._seen = self._stamp()

    def changed(self) -> dict[str, k.PartnerFile] | None:
        """Return every pin by nation when any file has changed since the last time, else None.

        A pin that is gone or cannot be read counts as revoked: it is left out.
        """
        stamp = self._stamp()
        if stamp == self._seen:
            return None
        self.renewed = stamp[len(self.paths) :] != self._seen[len(self.paths) :]
        self._seen = stamp
        pins: dict[str, k.PartnerFile] = {}
        for nation, path in self.paths.items():
            with suppress(ExchangeError):
                pins[nation] = load_partner(path)
        return pins

    def _stamp(self) -> list[tuple[int, int, int] | None]:
        return [
            (s.st_mtime_ns, s.st_ino, s.st_size) if (s := _status(path)) else None for path in (*self.paths.values(), *self._keys)
        ]


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


class Provisioned(NamedTuple):
    """One nation of `provision`: its key directory, where its server is to listen, and its pins of the others."""

    keys: Path
    host: str
    port: int
    partners: dict[str, Path]


def provision(
    directory: Path, nations: Sequence[str], mode: Mode, now_ns: int, host: str = "127.0.0.1"
) -> dict[str, Provisioned]:
    """Make keys for several nodes of one machine and let each accept each (demo and tests). Live mode is refused.

    Key directories are DIRECTORY/NATION/keys. The ports were free when asked; a node names its own as `listen_port`.
    """
    if mode.kind == "live":
        raise ExchangeError("mode-mismatch", "Live partners are invited by people, never provisioned together.")
    made: dict[str, Provisioned] = {}
    for nation, port in zip(nations, free_ports(len(nations), host), strict=True):
        create(directory / nation / "keys", nation, use_of(mode), now_ns)
        made[nation] = Provisioned(directory / nation / "keys", host, port, {})
    for nation, audience in ((a, b) for a in nations for b in nations if a != b):
        raw = make_invite(made[nation].keys, audience, [f"{host}:{made[nation].port}"], now_ns)
        path, _ = accept_invite(made[audience].keys, raw, k.fingerprint(raw), now_ns)
        made[audience].partners[nation] = path
    return made


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Return ports that were free a moment ago, each another, of those that no connection of this machine is given by itself.

    A port of the system's own range may go to any connection that is made before the server listens (seen: a node's server
    that found its port in use), and to one made while the server is being restarted.
    """
    chosen: list[int] = []
    with ExitStack() as stack:
        for port in secrets.SystemRandom().sample(_ports_for_servers(), k=PORTS_TRIED):
            if len(chosen) == count:
                break
            taken = stack.enter_context(socket.socket())
            with suppress(OSError):
                taken.bind((host, port))
                chosen.append(port)
        while len(chosen) < count:
            taken = stack.enter_context(socket.socket())
            taken.bind((host, 0))
            chosen.append(taken.getsockname()[1])
    return chosen


def _ports_for_servers() -> range:
    """Return the wider span of unprivileged ports beside the one from which the system takes the near end of connections."""
    first, last = 32_768, 60_999  # Linux's defaults
    with suppress(OSError, ValueError):
        first, last = map(int, EPHEMERAL.read_text().split())
    spans = (range(PORTS_FROM, first), range(last + 1, 65_536))
    widest = max(spans, key=len)
    return widest if len(widest) >= PORTS_TRIED else range(PORTS_FROM, 65_536)


# --- TLS ------------------------------------------------------------------------------------------------------------


def client_context(held: NodeKeys, partner_ca: str) -> ssl.SSLContext:
    """Return a TLS 1.3 context that shows the own client certificate and believes one nation's root only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=partner_ca)
    with private_path(k.private_pem(held.secrets.client) + held.secrets.client_certificate.encode()) as path:
        context.load_cert_chain(path)
    return context


class _Whose(Struct, frozen=True, kw_only=True):
    """Checks a nation and a use before anything is written."""

    nation: Trigraph
    use: KeyUse


def _tls(identity: k.Identity, ca: bytes, now_ns: int) -> dict[str, Any]:
    """Return new TLS keys and certificates, as fields of Secrets."""
    made: dict[str, Any] = {}
    for field, role in (("server", "node"), ("client", "client")):
        seed = secrets.token_bytes(32)
        name = k.node_name(identity.nation, identity.use, role)  # type: ignore[arg-type]
        made[field] = seed
        made[f"{field}_certificate"] = k.leaf_certificate(identity.ca_certificate, ca, k.public_of(seed), name, role, now_ns)  # type: ignore[arg-type]
    return made


def _ca_seed(directory: Path, passphrase: Passphrase | None) -> bytes:
    return read_private(directory / CA_KEY, _CaSecret, passphrase)[0].ca


def _renew(directory: Path, identity: k.Identity, private: k.Secrets, passphrase: Passphrase | None) -> NodeKeys:
    """Write both files; the private one first and with both keys, so that a crash between leaves a loadable directory."""
    used = read_private(directory / NODE_KEY, k.Secrets, passphrase)[1]
    write_file(directory / IDENTITY, to_toml(identity).encode(), 0o644)
    write_private(directory / NODE_KEY, private, used)
    return NodeKeys(directory, identity, private)
