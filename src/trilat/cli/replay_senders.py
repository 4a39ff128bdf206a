"""Where `trilat replay` sends: UDP, TCP to a node that listens, TCP for a node that connects."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from trilat.errors import FeedError

CONNECT_TRIES_MAX = 20
CONNECT_WAIT_S = 0.5
ACCEPT_S_MAX = 60.0


class Sender(Protocol):
    """One way to a feed."""

    async def send(self, data: bytes) -> None:
        """Send one frame."""

    async def close(self) -> None:
        """End it, with everything sent."""


class UdpSender:
    """Datagrams, one frame each."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    async def send(self, data: bytes) -> None:
        """Send one frame; the loop gets its turn, so that a burst does not fill the receiver's buffer unseen."""
        self._transport.sendto(data)
        await asyncio.sleep(0)

    async def close(self) -> None:
        """Close the socket."""
        self._transport.close()


class StreamSender:
    """A TCP connection."""

    def __init__(self, writer: asyncio.StreamWriter, server: asyncio.Server | None = None) -> None:
        self._writer = writer
        self._server = server

    async def send(self, data: bytes) -> None:
        """Send one frame, and wait while the node is behind."""
        self._writer.write(data)
        await self._writer.drain()

    async def close(self) -> None:
        """Close the connection when all is sent."""
        self._writer.close()
        await self._writer.wait_closed()
        if self._server is not None:
            self._server.close()


async def open_sender(url: str) -> Sender:
    """Return a sender to a feed's URL, as the node has it: it binds udp, listens at tcp-listen, connects to tcp.

    Raises FeedError `feed-address` for an address that is none of these or does not answer.
    """
    from trilat.feeds.sockets import parse_address

    address = parse_address(url, beyond_loopback=True)
    if address.kind == "udp":
        try:
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=(address.host, address.port)
            )
        except OSError as error:
            raise FeedError("feed-address", f"{url!r}: {error.strerror or error}.") from error
        return UdpSender(transport)
    if address.kind == "tcp":
        return await _accept(url, address.host, address.port)
    if address.kind != "tcp-listen":
        raise FeedError("feed-address", f"{url!r}: recordings go to udp, tcp-listen or tcp feeds.")
    for _ in range(CONNECT_TRIES_MAX):
        try:
            _, writer = await asyncio.open_connection(address.host, address.port)
        except OSError:
            await asyncio.sleep(CONNECT_WAIT_S)
        else:
            return StreamSender(writer)
    raise FeedError("feed-address", f"{url!r} does not answer.")


async def _accept(url: str, host: str, port: int) -> Sender:
    """Listen where the node connects to, and wait for it."""
    came: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    try:
        server = await asyncio.start_server(lambda _reader, writer: came.put_nowait(writer), host, port)
    except OSError as error:
        raise FeedError("feed-address", f"{url!r}: {error.strerror or error}.") from error
    try:
        return StreamSender(await asyncio.wait_for(came.get(), ACCEPT_S_MAX), server)
    except TimeoutError as error:
        server.close()
        raise FeedError("feed-address", f"{url!r}: the node did not connect.") from error
