"""What a node reads before it starts: keys, pins, agreements. Reads files; everything it finds wrong is a named error."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import structlog

from trilat import errors
from trilat.errors import ConfigError, PolicyError
from trilat.feeds.registry import open_decoder
from trilat.feeds.sockets import parse_address
from trilat.identity import keyfiles
from trilat.identity.keys import PartnerFile
from trilat.identity.keystore import Passphrase
from trilat.identity.sign import KeyRing
from trilat.ledger import redecide
from trilat.node.config import mode_of, sensors_of
from trilat.node.inputs import EventInput
from trilat.node.pipeline import PipelineSettings
from trilat.node.settings import NodeConfig
from trilat.node.sources import sources_of
from trilat.outward import events
from trilat.policy import agreement
from trilat.policy.agreement import Agreements, Document, Seen
from trilat.policy.audience import AudiencePolicy, DecisionLog, hubs_to, routes_of
from trilat.policy.cedar import CedarJudge
from trilat.policy.signing import sign_declassification
from trilat.store import wal
from trilat.store.sqlite import Store, StoreSettings, open_store
from trilat.track import TrackerSettings
from trilat.transport.messages import ExchangeSettings
from trilat.warn.areas import Layer, decode_layer, shipped_layer

log = structlog.get_logger()
AGREEMENT_BYTES_MAX = 1 << 20
MS = 1_000_000
# What a step releases leaves so long after the step's own tick, on one of the lanes': made and on disk by then, as a rule, so
# that how long that took does not show. At most a third of that tick: lanes must have their turn before the next.
LEAVE_MS = 30
# What a node tracks: every domain has its models.
TRACKED: tuple[Literal["air", "sea", "missile"], ...] = ("air", "sea", "missile")


class Identity(NamedTuple):
    """Who the node is to its partners: its keys, the partners' pins, and the ring of both."""

    keys: keyfiles.NodeKeys
    pins: dict[str, PartnerFile]
    ring: KeyRing


def read_identity(config: NodeConfig, now_ns: int, passphrase: Passphrase | None) -> Identity:
    """Return the node's keys and pins.

    Raises ExchangeError: keys missing, exposed, damaged or of another mode, certificates out of their time, pins missing.
    """
    mode = mode_of(config)
    held = keyfiles.load(Path(config.keys), now_ns, mode, passphrase)
    if held.identity.nation != config.nation:
        raise ConfigError("config-value", f"keys of {held.identity.nation} in {config.keys}, but the node is {config.nation}.")
    pins = {partner.nation: keyfiles.load_partner(Path(partner.file)) for partner in config.partner}
    for nation, pin in pins.items():
        if pin.nation != nation:
            raise ConfigError("config-value", f"partner {nation!r} names a pin of {pin.nation!r}.")
    return Identity(held, pins, held.key_ring(mode, pins.values()))


def check(config: NodeConfig, now_ns: int, passphrase: Passphrase | None) -> None:
    """Read what a start would read, and open nothing: keys, pins, agreements, areas, feeds with their addresses and editions.

    Raises the TrilatError that the start would raise.
    """
    read_identity(config, now_ns, passphrase)
    read_agreements(config)
    check_feeds(config)


def check_feeds(config: NodeConfig) -> None:
    """Raise the FeedError that opening a feed would raise: address, format, edition or option."""
    for feed in config.feed:
        parse_address(feed.url, beyond_loopback=feed.beyond_loopback, interface=feed.interface)
    for source in pipeline_settings(config).sources:
        open_decoder(source)


def open_node_store(config: NodeConfig, now_ns: int) -> Store:
    """Open the node's store; raises StoreError.

    One whose write-ahead log is damaged is gone on with from where it is sound: that is said, and every outbox opens a new epoch
    at its next pull, as after a restore, so that no number is given twice.
    """
    directory = Path(config.directory) / "store"
    lost = wal.lost_in(directory)
    store = open_store(directory, config.nation, mode_of(config), StoreSettings(retention_days=config.store.retention_days))
    if lost:
        outboxes = store.outbox.mark_restored()
        store.note("damaged", config.nation, now_ns, msgspec.msgpack.encode({"commits": lost, "outboxes": outboxes}))
        store.commit()
        told = errors.codes()[errors.code_of("audit-wal")]
        log.error("store damaged", commits_lost=lost, why=told["says"], remedy=told["remedy"])
    return store


def read_agreements(config: NodeConfig, seen: Mapping[str, Seen] | None = None) -> Agreements:
    """Return the verified agreements; none configured = nothing leaves. Raises PolicyError, ConfigError (config-unreadable)."""
    documents = []
    for name in config.agreements:
        path = Path(name)
        signatures = path.with_suffix(".sig.json")
        if path.exists() and not signatures.exists():
            raise PolicyError("agreement-unsigned", f"{path.name}: there is no {signatures}.")
        documents.append(Document(path.name, _read(path), _read(signatures)))
    return agreement.load(documents, config.policy_keys, seen, config.suspended)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(AGREEMENT_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError("config-unreadable", f"{path}: {error.strerror}.") from error


def pipeline_settings(config: NodeConfig) -> PipelineSettings:
    """Return what the node's pipeline is made of."""
    mode, sensors = mode_of(config), sensors_of(config)
    return PipelineSettings(
        nation=config.nation,
        mode=mode,
        policy=config.policy,
        sensors=sensors,
        sources=sources_of(config, sensors, mode),
        tracker=TrackerSettings(tracks_max=config.step.tracks_max, domains=TRACKED),
        state_tick_ns=config.step.state_tick_ms * MS,
        layer=areas_layer(config.warning.areas),
    )


@cache
def areas_layer(path: str | None) -> Layer:
    """Return the layer of areas that warnings name: the operator's own, or the one that ships.

    Raises ConfigError (config-unreadable), AreasError (areas-unreadable).
    """
    if path is None:
        return shipped_layer()
    try:
        return decode_layer(Path(path).read_bytes())
    except OSError as error:
        raise ConfigError("config-unreadable", f"{path}: {error.strerror}.") from error


def policies(config: NodeConfig, agreements: Agreements, secret: bytes, log: DecisionLog) -> list[AudiencePolicy]:
    """Return one policy per partner, and one for PUBLIC where an agreement has a flow to it.

    `secret` keys the offsets of coarsened places; it never leaves the node.
    """
    settings = pipeline_settings(config)
    judge = CedarJudge()
    partners = recipients = sorted(partner.nation for partner in config.partner)
    routes = routes_of(agreements, settings.mode)
    recipients = [*partners, "PUBLIC"] if agreements.of_parties(config.nation, "PUBLIC") else partners
    return [
        AudiencePolicy(
            recipient,
            agreements,
            settings.mode,
            config.nation,
            sensors=settings.sensors,
            hubs=hubs_to(routes, config.nation, recipient, partners),
            log=log,
            secret=secret,
            judge=judge,
        )
        for recipient in recipients
    ]


def policy_of(config: NodeConfig, agreements: Agreements, recipient: str) -> AudiencePolicy:
    """Return one audience's policy to ask why, with tables and a log of its own: no pipeline learns what was asked."""
    mode = mode_of(config)
    partners = sorted(partner.nation for partner in config.partner)
    hubs = hubs_to(routes_of(agreements, mode), config.nation, recipient, partners)
    return AudiencePolicy(recipient, agreements, mode, config.nation, sensors=sensors_of(config), hubs=hubs)


def leave_ms(config: NodeConfig) -> int:
    """Return how long after a step's tick what it releases leaves, in ms."""
    return min(LEAVE_MS, config.step.tick_ms // 3)


def exchange_settings(config: NodeConfig) -> ExchangeSettings:
    """Return the exchange's settings: those that the configuration names, and the protocol's own for the rest."""
    tick_ms = config.exchange.tick_ms
    return ExchangeSettings(
        tick_ms=tick_ms, phase_ms=leave_ms(config) % tick_ms, outbox_bytes_max=config.exchange.outbox_bytes_max
    )


def coarsening_secret(ring: KeyRing, now_ns: int) -> bytes:
    """Return the node's own secret for coarsening, drawn from its signing key so that a restart keeps the offsets."""
    salt = ring.current(now_ns).salt_key
    return hashlib.blake2b(b"coarsening", key=salt, digest_size=32, person=b"trilat.coarse/1").digest()


def event_keys(ring: KeyRing) -> dict[str, bytes]:
    """Return the public keys with which this node signs declassification events."""
    return {key.key_id: key.public for key in ring.own()}


def change_events(
    config: NodeConfig, store: Store, ring: KeyRing, agreements: Agreements, before: events.Before, now_ns: int
) -> list[EventInput]:
    """Return a signed event for each audience of each agreement that changed, or was stopped, since this store's last run.

    Everything that was sent is decided anew under the agreements of today; each event says how much would have to be recalled.
    """
    mode, key = mode_of(config), ring.current(now_ns)
    if not any(True for _ in events.changed(before, agreements, config.nation, mode, now_ns, {})):
        return []
    found = redecide.redecide(
        redecide.sent(store.database),
        agreements,
        config.nation,
        mode,
        now_ns,
        sensors_of(config),
        redecide.recalled_in(store.database),
    )
    told = events.changed(before, agreements, config.nation, mode, now_ns, found.by_audience())
    return [EventInput(event=sign_declassification(one.event, key.key_id, key.seed), record=one.record) for one in told]


def fingerprint(config: NodeConfig, agreements: Agreements) -> bytes:
    """Return the journal's note of what a run was made of: configuration and agreement hashes, for whoever replays it."""
    told = {name: (one.version, one.sha256) for name, one in sorted(agreements.seen.items())}
    return msgspec.msgpack.encode({"config": msgspec.to_builtins(config), "agreements": told})


def make_directory(directory: Path) -> None:
    """Make the node's own directory, for its owner only; raises ConfigError (directory-unusable)."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError("directory-unusable", f"{directory}: {error.strerror}.") from error


def forget_ports(directory: Path) -> None:
    """Take `ports.json` away: a node that does not run listens nowhere."""
    (directory / "ports.json").unlink(missing_ok=True)


def write_ports(directory: Path, ports: Mapping[str, object]) -> None:
    """Say in `ports.json` where the node listens, for those who start it with port 0; whole or not at all."""
    unfinished = directory / "ports.json.new"
    unfinished.write_bytes(msgspec.json.encode(ports))
    unfinished.replace(directory / "ports.json")
