"""What the exchange needs to know of NATS: a server's configuration (accounts, permissions, limits), subjects, faults, farewells.

One account per partner (`X_JPN`) with two kinds of user: the partner's, who may ask and hear its answers, and our exporter's,
who may hear its questions and answer. TLS 1.3 from the first byte, client certificates of pinned nations only, an NKey each,
no JetStream, no monitoring port. Subjects carry the mode, so that two exercises never meet.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import nats.errors
from msgspec import Struct
from nats.aio.client import Client

from trilat.errors import ExchangeError
from trilat.identity import keys as k
from trilat.identity.keyfiles import NodeKeys
from trilat.records.label import Mode

# The largest message; an envelope with its frame must fit (the exchange keeps batches below).
PAYLOAD_BYTES_MAX = 1 << 20
# How long a connection may take to close in order, before it is dropped.
FAREWELL_S = 0.5
# What the server keeps for one client that does not read, before it cuts it.
PENDING_BYTES_MAX = 8 << 20
WRITE_DEADLINE_S = 10
PING_S, PINGS_MAX = 2, 2
# Before a client has shown its key it has this long; floods of silent connections drain so. On a full line of 256 kbit/s,
# signing in may take more than 2 s: a flash lane that had to dial anew could not come back.
HANDSHAKE_S = 6
CONNECTIONS_MAX = 2048
ACCOUNT_CONNECTIONS_MAX = 16
SUBSCRIPTIONS_MAX = 32
CONTROL_LINE_BYTES_MAX = 1024
LOG_BYTES_MAX, LOGS_MAX = 1 << 20, 3


class Account(Struct, frozen=True, kw_only=True):
    """One partner's place on our server: the NKeys of our exporter and of the partner, and the partner's root."""

    audience: str
    exporter: str
    users: tuple[str, ...]
    ca_certificate: str


class Subjects:
    """The subjects of one exporter's exchange with one audience, in one mode."""

    def __init__(self, mode: Mode, audience: str) -> None:
        # "." separates tokens in NATS, and is allowed in an exercise's id.
        word = mode.kind if not mode.id else f"{mode.kind}-{mode.id.replace('.', '~')}"
        self.account = f"X_{audience}"
        self.pull = f"x.{word}.{audience.lower()}.pull"
        self.wake = f"x.{word}.{audience.lower()}.wake"
        self.inbox = f"_INBOX_{audience}"

    def pull_on(self, lane: str) -> str:
        """Return the subject on which the audience pulls one lane."""
        return f"{self.pull}.{lane}"


def accounts_for(held: NodeKeys, partners: Iterable[k.PartnerFile]) -> tuple[Account, ...]:
    """Return the accounts of our server: one per partner that is not revoked, ordered by nation."""
    return tuple(
        Account(
            audience=pin.nation,
            exporter=k.nats_public(held.own_seed(f"export/{pin.nation}")),
            users=pin.nats_users,
            ca_certificate=pin.ca_certificate,
        )
        for pin in sorted(partners, key=lambda pin: pin.nation)
        if pin.revoked_ns is None
    )


def accounts_config(mode: Mode, accounts: Sequence[Account], system: str) -> str:
    """Return the `accounts` block of a nats-server configuration: least permissions, a deny for everything else.

    For an existing cluster, this is what its operator includes.
    """
    blocks = [f"  SYS {{ users: [ {{ nkey: {system} }} ] }}"]
    for account in accounts:
        at = Subjects(mode, account.audience)
        rows = [_user(account.exporter, [f"{at.inbox}.>", at.wake], [f"{at.pull}.>"])]
        rows += [_user(user, [f"{at.pull}.>"], [f"{at.inbox}.>", at.wake]) for user in account.users]
        limits = f"limits {{ max_connections: {ACCOUNT_CONNECTIONS_MAX}, max_subscriptions: {SUBSCRIPTIONS_MAX} }}"
        blocks.append(f"  {at.account} {{\n    {limits}\n    users: [\n" + "\n".join(rows) + "\n    ]\n  }")
    return "accounts {\n" + "\n".join(blocks) + "\n}\nsystem_account: SYS\n"


def _user(nkey: str, publish: Sequence[str], subscribe: Sequence[str]) -> str:
    def listed(subjects: Sequence[str]) -> str:
        return "[" + ", ".join(f'"{subject}"' for subject in subjects) + "]"

    allowed = f"publish {{ allow: {listed(publish)} }}, subscribe {{ allow: {listed(subscribe)} }}"
    return f"      {{ nkey: {nkey}, permissions {{ {allowed} }} }}"


def server_config(name: str, host: str, port: int, directory: Path, key_path: str, accounts: str) -> str:
    """Return the whole configuration of our own server; `port` 0 lets the system choose one."""
    return f"""server_name: "{name}"
listen: "{host}:{port or -1}"
ports_file_dir: "{directory}"
log_file: "{directory / "nats-server.log"}"
logfile_size_limit: {LOG_BYTES_MAX}
logfile_max_num: {LOGS_MAX}
max_payload: {PAYLOAD_BYTES_MAX}
max_pending: {PENDING_BYTES_MAX}
max_connections: {CONNECTIONS_MAX}
max_subscriptions: {SUBSCRIPTIONS_MAX}
max_control_line: {CONTROL_LINE_BYTES_MAX}
write_deadline: "{WRITE_DEADLINE_S}s"
ping_interval: "{PING_S}s"
ping_max: {PINGS_MAX}
authorization {{ timeout: {HANDSHAKE_S} }}
tls {{
  cert_file: "{directory / "server.crt"}"
  key_file: "{key_path}"
  ca_file: "{directory / "roots.crt"}"
  verify: true
  handshake_first: true
  min_version: "1.3"
  timeout: {HANDSHAKE_S}
}}
{accounts}"""


def explain(error: BaseException, partner: str, url: str) -> ExchangeError:
    """Return what a failed dial means, as a named error with a sentence and a remedy."""
    where = f"{partner} at {url.removeprefix('tls://')}"
    if isinstance(error, ssl.SSLCertVerificationError):
        name = _VERIFY.get(error.verify_code, "certificate-untrusted")
        return ExchangeError(name, f"{where}: {error.verify_message}.")
    text = f"{error}" or type(error).__name__
    signs = ("authorization", "alert", "empty response", "certificate required", "unexpected eof")
    if isinstance(error, nats.errors.AuthorizationError | ssl.SSLError | nats.errors.UnexpectedEOF) or any(
        sign in text.lower() for sign in signs
    ):
        return ExchangeError("link-refused", f"{where}: {text}.")
    if isinstance(error, TimeoutError):
        return ExchangeError("link-timeout", f"{where}.")
    return ExchangeError("link-down", f"{where}: {text}.")


# OpenSSL's X509_V_ERR_* numbers (x509_vfy.h).
_VERIFY = {9: "certificate-not-yet-valid", 10: "certificate-expired", 62: "certificate-name"}


# What the server writes in its log when it refuses something (nats-server 2.15), and our name for it.
_LOG_SIGNS: tuple[tuple[bytes, str], ...] = (
    (b"Publish Violation", "nats-permission"),
    (b"Subscription Violation", "nats-permission"),
    (b"authentication error", "nats-authentication"),
    (b"authorization violation", "nats-authentication"),
    (b"uthentication Timeout", "nats-authentication"),
    (b"TLS handshake error", "nats-tls"),
    (b"aximum Payload", "nats-oversize"),
    (b"aximum payload", "nats-oversize"),
    (b"Slow Consumer", "nats-slow-consumer"),
    (b"aximum account active connections", "nats-limit"),
    (b"aximum connections", "nats-limit"),
    (b"aximum subscriptions", "nats-limit"),
)


def refusals_in(lines: Iterable[bytes]) -> list[str]:
    """Return the names of `errors.toml` for the refusals in lines of the server's log, one for each."""
    found = (next((name for sign, name in _LOG_SIGNS if sign in line), None) for line in lines)
    return [name for name in found if name is not None]


async def hang_up(client: Client) -> None:
    """Close a client in bounded time: a TLS farewell to a peer that hangs would take asyncio half a minute."""
    # nats-py asserts that a client which is closed was once connected; libuv's loop calls a handle that is gone a RuntimeError.
    try:
        with suppress(nats.errors.Error, OSError, AssertionError, TimeoutError, RuntimeError):
            async with asyncio.timeout(FAREWELL_S):
                await client.close()
    finally:  # also when the task that hangs up is itself called off in the middle
        for name in ("_io_writer", "_bare_io_writer"):  # the second is what TLS went over, and all there is before the handshake
            writer = getattr(client._transport, name, None)  # noqa: SLF001 - nats-py has no way to drop a connection
            if writer is not None:
                writer.transport.abort()


def quiet_tls() -> None:
    """Drop asyncio's remark on every closed TLS stream that nats-py opened without saying that it is one."""
    logging.getLogger("asyncio").addFilter(_no_eof_note)


def _no_eof_note(record: logging.LogRecord) -> bool:
    return "returning true from eof_received()" not in record.getMessage()
