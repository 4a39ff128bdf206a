"""Put a simulated world on real sockets: UDP datagrams for ASTERIX and NMEA, TCP streams for Beast. Does I/O."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from trilat.exercise.world import Line, World

NS = 1_000_000_000
STEP_S = 0.2
# What may wait for a node that does not read; more is dropped and counted, as a real line would.
BUFFER_BYTES_MAX = 1 << 20
CONNECT_TIMEOUT_S = 5.0


class Lines:
    """The open lines to the nodes' feed sockets, one per sensor."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = dict(urls)
        self._datagram: dict[str, asyncio.DatagramTransport] = {}
        self._stream: dict[str, asyncio.StreamWriter] = {}
        self.dropped: Counter[str] = Counter()
        self.sent_bytes: Counter[str] = Counter()

    async def open(self) -> None:
        """Open every line; raises OSError when a node's socket is not there."""
        await self.move(self._urls)

    async def move(self, urls: Mapping[str, str]) -> None:
        """Open some sensors' lines to where their node listens now, in the place of those they had; raises as `open`."""
        loop = asyncio.get_running_loop()
        for sensor, url in urls.items():
            self._urls[sensor] = url
            parts = urlsplit(url)
            address = (parts.hostname or "127.0.0.1", parts.port or 0)
            if parts.scheme == "udp":
                transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=address)
                if (old := self._datagram.get(sensor)) is not None:
                    old.close()
                self._datagram[sensor] = transport
            else:
                _, stream = await asyncio.wait_for(asyncio.open_connection(*address), CONNECT_TIMEOUT_S)
                if (old_stream := self._stream.get(sensor)) is not None:
                    old_stream.close()
                self._stream[sensor] = stream

    async def _reopen(self, sensor: str) -> None:
        parts = urlsplit(self._urls[sensor])
        try:
            connection = asyncio.open_connection(parts.hostname or "127.0.0.1", parts.port or 0)
            _, self._stream[sensor] = await asyncio.wait_for(connection, CONNECT_TIMEOUT_S)
        except OSError:
            self.dropped[sensor] += 1

    async def send(self, line: Line) -> None:
        """Put a sensor's bytes on its line; sensors without a line say it to nobody."""
        if (datagram := self._datagram.get(line.sensor)) is not None:
            datagram.sendto(line.data)
        elif (stream := self._stream.get(line.sensor)) is not None:
            if stream.is_closing():
                await self._reopen(line.sensor)
            elif stream.transport.get_write_buffer_size() > BUFFER_BYTES_MAX:
                self.dropped[line.sensor] += 1
            else:
                stream.write(line.data)
        else:
            return
        self.sent_bytes[line.sensor] += len(line.data)

    async def close(self) -> None:
        """Close every line."""
        for datagram in self._datagram.values():
            datagram.close()
        for stream in self._stream.values():
            stream.close()


async def run(world: World, lines: Lines, now_ns: Callable[[], int], stop: asyncio.Event, speed: float = 1.0) -> None:
    """Step the world with the clock (`speed` times as fast) until told to stop.

    The world was made at its own time by the same clock; what passed since (it takes a while to prepare) is stepped first, so
    that its reports carry the clock's time. At a speed other than 1 they carry the world's time, which then leaves the wall
    clock: only for load tests.
    """
    start_ns = world.now_ns
    while not stop.is_set():
        for line in world.step(start_ns + int((now_ns() - start_ns) * speed)):
            await lines.send(line)
        try:
            await asyncio.wait_for(stop.wait(), STEP_S)
        except TimeoutError:
            continue
