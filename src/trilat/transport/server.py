"""The node's own nats-server: its configuration, its process, who is connected, and cutting a partner off.

It listens on loopback unless configured. What it may do is in `natsconf.py`; its TLS key reaches it through memory, not a file.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import nats.errors
from msgspec import Struct
from nats.aio.client import Client

from trilat.errors import ExchangeError
from trilat.identity import keys as k
from trilat.identity.keyfiles import NodeKeys, client_context
from trilat.identity.keystore import write_file
from trilat.records.label import Mode
from trilat.transport.natsconf import (
    CONNECTIONS_MAX,
    Account,
    accounts_config,
    accounts_for,
    hang_up,
    quiet_tls,
    refusals_in,
    server_config,
)

VERSION_MIN = (2, 14, 0)
READY_S = 15.0
REQUEST_S = 2.0
# After a reload: how often and how fast it is looked whether those cut off are gone (2 s in all).
CHECKS_MAX, CHECK_S = 40, 0.05
BACKOFF_S, BACKOFF_S_MAX = 0.1, 5.0

# Asks the kernel to kill the server when the node dies, however it dies, then becomes the server (Linux prctl(2)).
_SHIM = """import ctypes, os, sys
prctl = getattr(ctypes.CDLL(None), "prctl", None)
if prctl is not None:
    prctl(1, 9)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class Program(NamedTuple):
    """The nats-server program: where, which version, and the SHA-256 of its bytes."""

    path: Path
    version: str
    sha256: str


class Connection(Struct, frozen=True, kw_only=True):
    """One client connected to our server, as CONNZ tells it."""

    cid: int
    account: str = ""
    authorized_user: str = ""
    ip: str = ""
    pending_bytes: int = 0
    in_msgs: int = 0
    out_msgs: int = 0


# --- configuration --------------------------------------------------------------------------------------------------


def find_program(path: str | Path | None = None) -> Program:
    """Return the nats-server to run: the named one, the wheel's beside this Python, or the one on PATH.

    Raises ExchangeError server-missing, server-old.
    """
    named = [Path(path)] if path else [Path(sysconfig.get_path("scripts")) / "nats-server"]
    on_path = shutil.which("nats-server")
    candidates = named if path or not on_path else [*named, Path(on_path)]
    program = next((each for each in candidates if each.is_file() and os.access(each, os.X_OK)), None)
    if program is None:
        raise ExchangeError("server-missing", f"Looked at {', '.join(str(each) for each in candidates)}.")
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout  # noqa: S603 - the operator's own choice
    except (OSError, subprocess.SubprocessError) as error:
        raise ExchangeError("server-missing", f"{program}: {error}.") from error
    numbers = re.search(r"v?(\d+)\.(\d+)\.(\d+)", said)
    if numbers is None or tuple(int(n) for n in numbers.groups()) < VERSION_MIN:
        raise ExchangeError(
            "server-old", f"{program} says {said.strip()!r}, at least {'.'.join(map(str, VERSION_MIN))} is needed."
        )
    return Program(program, ".".join(numbers.groups()), hashlib.sha256(program.read_bytes()).hexdigest())


# --- the process ----------------------------------------------------------------------------------------------------


def cluster_files(held: NodeKeys, mode: Mode, partners: Iterable[k.PartnerFile], directory: Path) -> None:
    """Write what the operator of an existing cluster needs of us: accounts, the node's certificate and key, client roots.

    With `nats_urls`, revoking a partner also needs the operator to take over new `accounts.conf` and reload.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    accounts = accounts_for(held, partners)
    text = accounts_config(mode, accounts, k.nats_public(held.own_seed("system")))
    roots = [held.identity.ca_certificate, *(account.ca_certificate for account in accounts)]
    write_file(directory / "accounts.conf", text.encode(), 0o600)
    write_file(directory / "roots.crt", "".join(roots).encode(), 0o600)
    write_file(directory / "server.crt", held.secrets.server_certificate.encode(), 0o600)
    write_file(directory / "server.key", k.private_pem(held.secrets.server), 0o600)


class NatsServer:
    """One nats-server run as a child of this process; restarted when it dies, gone when we are gone.

    `directory` is a run directory of its own (made 0700). Raises ExchangeError server-missing, server-old, server-start.
    """

    def __init__(self, held: NodeKeys, mode: Mode, directory: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        self.held, self.mode, self.directory = held, mode, directory
        self.host, self.port = host, port
        self.restarts = 0
        self.program: Program | None = None
        self._accounts: tuple[Account, ...] = ()
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._key = -1
        self._answers = False
        self._log = _LogCounter(directory / "nats-server.log")
        quiet_tls()

    @property
    def url(self) -> str:
        """Where the server listens, for our own connections."""
        return f"tls://{self.host}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process id of the running server, None while it is down."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else None

    async def start(self, partners: Iterable[k.PartnerFile], program: str | Path | None = None) -> None:
        """Start the server with an account for each partner, and return when it answers."""
        self.program = await asyncio.to_thread(find_program, program)
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.directory.chmod(0o700)
        self._key = _memory_file(k.private_pem(self.held.secrets.server))
        self._accounts = accounts_for(self.held, partners)
        self._write()
        try:
            await self._spawn()
        except BaseException:
            await self.stop()
            raise
        self._watch = asyncio.create_task(self._supervise())

    async def stop(self) -> None:
        """Stop the server; it is gone when this returns."""
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
        await self._end()
        if self._key >= 0:
            os.close(self._key)
            self._key = -1

    async def set_partners(self, partners: Iterable[k.PartnerFile]) -> None:
        """Take over the partners' pins: new ones may connect, revoked and missing ones are cut off, and that is verified.

        Raises ExchangeError server-reload when the server did not, or a connection that must be gone is still there.
        """
        self._accounts = accounts_for(self.held, partners)
        self._write()
        try:
            await self._reload()
        except ExchangeError:
            # Cut off by all means: a server that does not obey is killed, and comes back with the new configuration.
            await self._replace()

    async def _reload(self) -> None:
        async with self._system() as ask:
            server = (await ask("PING", b""))["server"]["id"]
            answer = await ask(f"{server}.RELOAD", b"")
            if answer.get("error"):
                raise ExchangeError("server-reload", f"{answer['error']}.")
            for _ in range(CHECKS_MAX):
                strangers = [each for each in await _connections(ask, server) if not self._allowed(each)]
                if not strangers:
                    return
                for each in strangers:
                    await ask(f"{server}.KICK", msgspec.json.encode({"cid": each.cid}))
                await asyncio.sleep(CHECK_S)
        raise ExchangeError("server-reload", f"Still connected: {strangers}.")

    async def _replace(self) -> None:
        process, restarts = self._process, self.restarts
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        try:
            async with asyncio.timeout(READY_S):
                while self.restarts == restarts or not self._answers:  # noqa: ASYNC110 - of a process, not of a task
                    await asyncio.sleep(CHECK_S)
        except TimeoutError as error:
            raise ExchangeError("server-reload", f"It is down: {self._tail()}") from error

    def renew(self, held: NodeKeys) -> None:
        """Take renewed TLS keys; the server shows them after the next `set_partners`."""
        self.held = held
        data = k.private_pem(held.secrets.server)
        os.pwrite(self._key, data, 0)
        os.ftruncate(self._key, len(data))

    async def connections(self) -> list[Connection]:
        """Return who is connected, our own connections too. Raises ExchangeError server-start when the server is down."""
        async with self._system() as ask:
            server = (await ask("PING", b""))["server"]["id"]
            return await _connections(ask, server)

    def refusals(self) -> dict[str, int]:
        """Return how often the server refused something since the start, by the name of `errors.toml`."""
        return self._log.read()

    def _allowed(self, connection: Connection) -> bool:
        if connection.account in {"SYS", "$G", ""}:
            return True
        users = {user for account in self._accounts for user in (account.exporter, *account.users)}
        return connection.authorized_user in users

    def _write(self) -> None:
        identity = self.held.identity
        system = k.nats_public(self.held.own_seed("system"))
        accounts = accounts_config(self.mode, self._accounts, system)
        name = f"{identity.nation}-{identity.use}"
        text = server_config(name, self.host, self.port, self.directory, f"/proc/self/fd/{self._key}", accounts)
        roots = [identity.ca_certificate, *(account.ca_certificate for account in self._accounts)]
        write_file(self.directory / "roots.crt", "".join(roots).encode(), 0o600)
        write_file(self.directory / "server.crt", self.held.secrets.server_certificate.encode(), 0o600)
        write_file(self.directory / "nats.conf", text.encode(), 0o600)

    async def _spawn(self) -> None:
        if self.program is None:
            raise ExchangeError("server-missing", "It was never started.")
        for stale in self.directory.glob("*.ports"):
            stale.unlink()
        arguments = [str(os.getpid()), str(self.program.path), "-c", str(self.directory / "nats.conf")]
        with (self.directory / "nats-server.err").open("wb") as errors:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-I", "-S", "-c", _SHIM),
                *arguments,
                pass_fds=(self._key,),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,  # a Ctrl-C at the terminal is for the node, which stops the server in order
            )
        try:
            async with asyncio.timeout(READY_S):
                await self._ready(self._process)
        except TimeoutError as error:
            raise ExchangeError("server-start", f"It did not answer in {READY_S:.0f} s. {self._tail()}") from error

    async def _ready(self, process: asyncio.subprocess.Process) -> None:
        """Wait until the server answers a signed-in request on its port."""
        while True:
            if process.returncode is not None:
                raise ExchangeError("server-start", f"It ended with {process.returncode}. {self._tail()}")
            with suppress(OSError, ValueError, IndexError, ExchangeError):
                if not self.port:
                    ports = msgspec.json.decode(min(self.directory.glob("*.ports")).read_bytes())
                    self.port = int(ports["nats"][0].rpartition(":")[2])
                async with self._system() as ask:
                    await ask("PING", b"")
                    self._answers = True
                    self._write()  # with the port that the system chose, so that a restart keeps it
                    return
            await asyncio.sleep(0.02)

    async def _supervise(self) -> None:
        """Start the server again whenever it dies, ever more slowly while it keeps dying."""
        wait_s = BACKOFF_S
        while self._process is not None:
            await self._process.wait()
            self._answers = False
            self.restarts += 1
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, BACKOFF_S_MAX)
            with suppress(ExchangeError, OSError):
                await self._spawn()
                wait_s = BACKOFF_S

    async def _end(self) -> None:
        process = self._process
        if process is None:
            return
        for order in (process.terminate, process.kill):
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    order()
                with suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), 3)

    def _tail(self) -> str:
        lines: list[str] = []
        for name in ("nats-server.err", "nats-server.log"):
            with suppress(OSError):
                lines += (self.directory / name).read_text(errors="replace").splitlines()[-5:]
        return " | ".join(lines)

    @asynccontextmanager
    async def _system(self) -> AsyncIterator[Any]:
        """Sign in to the system account for a few requests."""
        client = Client()

        async def quiet(_: Exception) -> None:
            """Failures come back from `connect` itself."""

        identity = self.held.identity
        try:
            await client.connect(
                self.url,
                nkeys_seed_str=self.held.own_seed("system"),
                tls=client_context(self.held, identity.ca_certificate),
                tls_hostname=k.node_name(identity.nation, identity.use, "node"),
                tls_handshake_first=True,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=2,
                error_cb=quiet,
            )

            async def ask(what: str, data: bytes) -> Any:
                reply = await client.request(f"$SYS.REQ.SERVER.{what}", data, timeout=REQUEST_S)
                return msgspec.json.decode(reply.data)

            yield ask
        except (nats.errors.Error, OSError, TimeoutError) as error:
            raise ExchangeError("server-start", f"It does not answer: {error!r}.") from error
        finally:
            await hang_up(client)


async def _connections(ask: Any, server: str) -> list[Connection]:
    answer = await ask(f"{server}.CONNZ", msgspec.json.encode({"auth": True, "limit": CONNECTIONS_MAX}))
    return msgspec.convert(answer["data"]["connections"], list[Connection])


def _memory_file(data: bytes) -> int:
    """Return a descriptor of an anonymous file in memory: the private key is never written to a disk."""
    descriptor = os.memfd_create("trilat-tls", 0)
    os.write(descriptor, data)
    return descriptor


class _LogCounter:
    """Counts refusals in the server's log, reading only what is new."""

    READ_BYTES_MAX = 4 << 20

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        self._offset = 0

    def read(self) -> dict[str, int]:
        with suppress(FileNotFoundError), self.path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < self._offset:
                self._offset = 0  # the server began a new file
            file.seek(self._offset)
            lines = file.read(self.READ_BYTES_MAX).split(b"\n")
            self._offset += sum(len(line) + 1 for line in lines[:-1])
            self.counts.update(refusals_in(lines[:-1]))
        return dict(self.counts)
