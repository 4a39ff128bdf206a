"""Feeds' sockets and files: UDP, TCP either way, and files that grow. The only file of this stage that does I/O.

A bounded queue of each source stands between it and the step loop: what does not fit is dropped and counted by source, nothing
here ever makes the loop wait, and however much one source says, no other loses anything or waits longer by it. The clock is
passed in. Nothing listens beyond loopback unless leave is given.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import stat
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from operator import itemgetter
from pathlib import Path
from random import Random
from typing import NamedTuple
from urllib.parse import urlsplit

from trilat.errors import FeedError
from trilat.feeds.replay import MAGIC
from trilat.feeds.source import DAY_NS, Refusals, whole_lines
from trilat.records.report import Refused

CHUNK_BYTES_MAX = 65_536
QUEUE_BYTES_MAX = 64 * 1024 * 1024  # of one source
BYTES_PER_DAY_MAX = 4 << 30  # of one source, into the journal
CHUNK_BYTES_MORE = 64  # what the journal keeps of a chunk beside its bytes
BACKOFF_S_MIN = 0.5
BACKOFF_S_MAX = 30.0
CONNECT_S_MAX = 10.0
# A connection that said nothing for this long makes room for a new one (a sender that restarted and left a dead one).
SILENT_NS_MAX = 60_000_000_000
FOLLOW_S = 0.2
IP_MULTICAST_ALL = 49  # Linux: at 0 a socket gets a group from where it joined it, not from where another program did


class FeedAddress(NamedTuple):
    """Where a feed's bytes come from; `kind` is udp, tcp, tcp-listen or file.

    A host that is a multicast group is joined, on the interface with the address `interface` ("": as the routing says).
    """

    kind: str
    host: str = ""
    port: int = 0
    path: str = ""
    interface: str = ""


class Received(NamedTuple):
    """Bytes of one source, with the time they came in."""

    source: str
    received_t_ns: int
    data: bytes


class FeedState:
    """What a feed light shows: whether it is connected, how much came, when last, what was dropped."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.connected = False
        self.chunks = 0
        self.bytes = 0
        self.dropped = 0
        self.last_t_ns = 0
        self.problem = ""


def parse_address(url: str, *, beyond_loopback: bool = False, interface: str = "") -> FeedAddress:
    """Return the address of a URL: udp://HOST:PORT, tcp://HOST:PORT, tcp-listen://HOST:PORT, file:PATH.

    Raises FeedError `feed-address` when it is none of these, or listens beyond loopback without leave (a multicast group does),
    or an interface is named for what is no group.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port if parts.scheme != "file" else None
        host.encode("idna")
    except ValueError as error:  # a name that no resolver takes is one, too
        raise FeedError("feed-address", f"{url!r}: {error}.") from error
    if parts.scheme == "file" and parts.path and "\0" not in url:
        return FeedAddress("file", path=parts.path if not parts.netloc else f"{parts.netloc}{parts.path}")
    if parts.scheme not in ("udp", "tcp", "tcp-listen") or not host or port is None or parts.path not in ("", "/"):
        raise FeedError("feed-address", f"{url!r}.")
    if parts.scheme != "tcp" and not beyond_loopback and not _is_loopback(host):
        raise FeedError("feed-address", f"{url!r} listens beyond loopback.")
    if is_group(host) and (parts.scheme != "udp" or ":" in host):
        raise FeedError("feed-address", f"{url!r}: a multicast group is IPv4 over udp.")
    if interface and not (is_group(host) and _is_host(interface)):
        raise FeedError("feed-address", f"interface {interface!r}: this takes an IPv4 address, for a group.")
    return FeedAddress(parts.scheme, host, port, interface=interface)


def is_group(host: str) -> bool:
    """Tell whether a host is a multicast group."""
    try:
        return ipaddress.ip_address(host).is_multicast
    except ValueError:
        return False


def _is_host(host: str) -> bool:
    try:
        return not ipaddress.IPv4Address(host).is_multicast
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class FeedSockets:
    """The feeds of a node. `open` each, then `receive` or `take`; `close` ends everything it opened.

    now_ns: the clock, UTC nanoseconds. random: a seeded generator for the jitter of reconnections. bytes_per_day_max: how much a
    source may bring in a day (a bucket that empties over one): all is kept on one disk, which no source may fill for the others.
    """

    def __init__(
        self, now_ns: Callable[[], int], random: Random, *, queue_max: int = 20_000, bytes_per_day_max: int = BYTES_PER_DAY_MAX
    ) -> None:
        self._now_ns = now_ns
        self._random = random
        self._queue_max, self._day_max = queue_max, bytes_per_day_max
        self._of_day: dict[str, tuple[int, int]] = {}  # by source: what is in its bucket, as of when
        # By source, each with its place among all that came: what one audience may have must not move with what another may not.
        self._queues: dict[str, deque[tuple[int, Received]]] = {}
        self._queued_bytes: dict[str, int] = {}
        self._came = 0
        self._ready = asyncio.Event()
        self._refusals: dict[str, Refusals] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closers: list[Callable[[], None]] = []
        self.states: dict[str, FeedState] = {}

    async def open(self, name: str, url: str, format_name: str, *, beyond_loopback: bool = False, interface: str = "") -> int:
        """Open one feed; return the port it listens at (0 where it does not listen).

        Raises FeedError `feed-address` for an address that is not understood, not allowed, or not free.
        """
        address = parse_address(url, beyond_loopback=beyond_loopback, interface=interface)
        self.states[name] = FeedState(name)
        self._refusals[name] = Refusals(name)
        try:
            if address.kind == "udp":
                return await self._bind(name, address, format_name)
            if address.kind == "tcp-listen":
                return await self._listen(name, address)
        except OSError as error:
            raise FeedError("feed-address", f"{url!r}: {error.strerror or error}.") from error
        self._start(self._connect(name, address) if address.kind == "tcp" else self._follow(name, Path(address.path)))
        return 0

    def take(self, chunks_max: int = 10_000, until_ns: int | None = None) -> list[Received]:
        """Return what waits (and came in by until_ns, where that is given), in the order it came, without waiting.

        chunks_max: of each source.
        """
        taken = [one for name in self._queues for one in self._taken(name, chunks_max, until_ns)]
        if not any(self._queues.values()):
            self._ready.clear()
        return [received for _, received in sorted(taken, key=itemgetter(0))]

    def _taken(self, name: str, chunks_max: int, until_ns: int | None) -> Iterator[tuple[int, Received]]:
        """Take out what waits of one source."""
        queue = self._queues[name]
        for _ in range(min(chunks_max, len(queue))):
            if until_ns is not None and queue[0][1].received_t_ns > until_ns:
                return
            self._queued_bytes[name] -= len(queue[0][1].data)
            yield queue.popleft()

    async def receive(self, chunks_max: int = 10_000) -> list[Received]:
        """Wait until something came, then as `take`."""
        await self._ready.wait()
        return self.take(chunks_max)

    def refused(self) -> tuple[Refused, ...]:
        """Return what was dropped or turned away since the last call, by source and reason."""
        now_ns = self._now_ns()
        return tuple(each for refusals in self._refusals.values() for each in refusals.take(now_ns))

    async def close(self) -> None:
        """Close every socket and end every task; what is queued stays to be taken."""
        for closer in self._closers:
            closer()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._closers.clear()
        for state in self.states.values():
            state.connected = False

    def put(self, name: str, data: bytes) -> None:
        """Queue bytes of a source as received now; drop and count them when its queue, or its share of the day, is full."""
        state = self.states[name]
        state.chunks, state.bytes, state.last_t_ns = state.chunks + 1, state.bytes + len(data), self._now_ns()
        queue = self._queues.setdefault(name, deque())
        bytes_waiting = self._queued_bytes.get(name, 0) + len(data)
        if len(queue) >= self._queue_max or bytes_waiting > QUEUE_BYTES_MAX or len(data) > CHUNK_BYTES_MAX:
            self._drop(name, "queue-full", data)
            return
        filled, at_ns = self._of_day.get(name, (0, state.last_t_ns))
        since_ns = max(state.last_t_ns - at_ns, 0)
        filled = max(filled - since_ns * self._day_max // DAY_NS, 0) + len(data) + CHUNK_BYTES_MORE
        if filled > self._day_max:
            self._drop(name, "day-full", data)
            return
        self._of_day[name] = (filled, state.last_t_ns)
        self._came += 1
        queue.append((self._came, Received(name, state.last_t_ns, data)))
        self._queued_bytes[name] = bytes_waiting
        self._ready.set()

    def _drop(self, name: str, reason: str, data: bytes) -> None:
        self.states[name].dropped += 1
        self._refusals[name].add(reason, length=len(data))

    def turned_away(self, name: str) -> None:
        """Count a connection that was refused."""
        self._refusals[name].add("connection-refused")

    def _start(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _bind(self, name: str, address: FeedAddress, format_name: str) -> int:
        """Receive datagrams; the lines of line formats end with the datagram."""
        loop = asyncio.get_running_loop()
        given = {"sock": _joined(address)} if is_group(address.host) else {"local_addr": (address.host, address.port)}
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self, name, format_name), **given)
        udp = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self._closers.append(transport.close)
        self.states[name].connected = True
        return int(udp.getsockname()[1])

    async def _listen(self, name: str, address: FeedAddress) -> int:
        """Accept one connection at a time, so that the bytes of two senders never mix in one decoder."""
        current: list[asyncio.StreamWriter] = []

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            state = self.states[name]
            if current and 0 <= self._now_ns() - state.last_t_ns <= SILENT_NS_MAX:  # a clock set back tells nothing of silence
                self.turned_away(name)
                writer.close()
                return
            for old in current:
                old.close()
            current[:] = [writer]
            state.last_t_ns = self._now_ns()
            task = asyncio.current_task()
            if task is not None:
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            try:
                await self._read(name, reader, writer)
            finally:
                if writer in current:
                    current.remove(writer)

        server = await asyncio.start_server(accept, address.host, address.port, limit=CHUNK_BYTES_MAX)
        self._closers.append(server.close)
        return int(server.sockets[0].getsockname()[1])

    async def _read(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Queue what a connection brings until it ends."""
        state = self.states[name]
        state.connected, state.problem = True, ""
        try:
            while data := await reader.read(CHUNK_BYTES_MAX):
                self.put(name, data)
        except OSError as error:
            state.problem = str(error.strerror or error)
        finally:
            state.connected = False
            writer.close()

    async def _connect(self, name: str, address: FeedAddress) -> None:
        """Keep a connection to a sender; wait longer after each failure, with jitter so that many do not come at once."""
        backoff_s = BACKOFF_S_MIN
        while True:
            try:
                opening = asyncio.open_connection(address.host, address.port, limit=CHUNK_BYTES_MAX)
                reader, writer = await asyncio.wait_for(opening, CONNECT_S_MAX)
            except (OSError, TimeoutError) as error:
                self.states[name].problem = str(error) or "no answer"
            else:
                backoff_s = BACKOFF_S_MIN
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                await self._read(name, reader, writer)
            await asyncio.sleep(backoff_s * (0.5 + self._random.random()))
            backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)

    async def _follow(self, name: str, path: Path) -> None:
        """Read a file from its beginning and go on as it grows; begin anew when it was replaced or cut."""
        state, place, identity = self.states[name], 0, -1
        while True:
            try:
                status = await asyncio.to_thread(_stat, path)
                if status.st_ino != identity or status.st_size < place:
                    place, identity = 0, status.st_ino
                data = await asyncio.to_thread(_read_at, path, place) if status.st_size > place else b""
                state.connected, state.problem = True, ""
            except OSError as error:
                state.connected, state.problem, data = False, str(error.strerror or error), b""
            if data:
                place += len(data)
                self.put(name, data)
            if len(data) < CHUNK_BYTES_MAX or len(self._queues.get(name, ())) >= self._queue_max // 2:
                await asyncio.sleep(FOLLOW_S)


def _joined(address: FeedAddress) -> socket.socket:
    """Return a socket that is bound to a multicast group, so that it gets nothing else, and has joined it.

    Others on this machine may listen to the group too. Closing it leaves the group.
    """
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        udp.settimeout(0.0)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            udp.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
        udp.bind((address.host, address.port))
        member = socket.inet_aton(address.host) + socket.inet_aton(address.interface or "0.0.0.0")  # noqa: S104 - as routed
        udp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    except OSError:
        udp.close()
        raise
    return udp


class _Datagrams(asyncio.DatagramProtocol):
    """Datagrams of one source into the queue."""

    def __init__(self, sockets: FeedSockets, name: str, format_name: str) -> None:
        self._sockets = sockets
        self._name = name
        self._format = format_name

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Queue one datagram."""
        del addr
        if data:
            self._sockets.put(self._name, data if data.startswith(MAGIC) else whole_lines(self._format, data))

    def error_received(self, exc: Exception) -> None:
        """Show what the network said; the socket stays open."""
        self._sockets.states[self._name].problem = str(exc)


def _stat(path: Path) -> os.stat_result:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "no file, so nothing can be followed")
    return status


def _read_at(path: Path, place: int) -> bytes:
    """Return up to a chunk of a file from a place on."""
    with path.open("rb") as file:
        file.seek(place)
        return file.read(CHUNK_BYTES_MAX)
