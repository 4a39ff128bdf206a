"""A link between two nodes as a process of its own: delays, throttles and cuts TCP connections that are led through it.

Each direction is one pipe that all connections share, as on a real line: a byte rate, a queue of 0.4 s, and a delay on the way.
A cut holds every byte and every new connection; to heal it lets them on, as TCP's own repetition would.
"""

import argparse
import asyncio
import contextlib
import logging
import socket
import sys
import time
from collections import deque

CHUNK_BYTES = 1_400
QUEUE_S = 0.4
# Bytes on their way without a throttle: more than any window over 150 ms that is measured here.
FLIGHT_BYTES_MAX = 32 << 20


class Pipe:
    """One direction: what goes in comes out in order, not before the line had time for it and the way was travelled."""

    def __init__(self, delay_s: float, bytes_per_s: float, healthy: asyncio.Event) -> None:
        self._delay_s, self._rate, self._healthy = delay_s, bytes_per_s, healthy
        self._free_at = 0.0
        self._queue: deque[tuple[float, asyncio.StreamWriter, bytes]] = deque()
        self._held = 0
        self._room = asyncio.Condition()
        self._turn = asyncio.Lock()
        self._more = asyncio.Event()

    async def put(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Put bytes (none: the end) on the line; wait while its queue is full."""
        bound = QUEUE_S * self._rate if self._rate else FLIGHT_BYTES_MAX
        # In turn: a lock wakes whoever waits longest, so that no connection starves another.
        async with self._turn:
            async with self._room:
                await self._room.wait_for(lambda: self._held < bound)
            self._held += len(data)
            now = time.perf_counter()
            self._free_at = max(self._free_at, now) + (len(data) / self._rate if self._rate else 0.0)
            self._queue.append((self._free_at + self._delay_s, writer, data))
            self._more.set()

    async def run(self) -> None:
        """Let out what is due, for ever."""
        while True:
            await self._healthy.wait()
            if not self._queue:
                self._more.clear()
                await self._more.wait()
                continue
            due = self._queue[0][0] - time.perf_counter()
            if due > 0:
                await asyncio.sleep(due)
                continue
            _, writer, data = self._queue.popleft()
            self._held -= len(data)
            with contextlib.suppress(OSError):
                if data:
                    writer.write(data)
                else:
                    writer.close()
            async with self._room:
                self._room.notify_all()


async def serve(listen: int, target: int, one_way_ms: float, kbit_s: float) -> None:
    """Lead connections to a port through the link until standard input ends; lines "cut" and "heal" do just that."""
    healthy = asyncio.Event()
    healthy.set()
    rate = kbit_s * 125.0
    away, back = (Pipe(one_way_ms / 1e3, rate, healthy) for _ in range(2))
    tasks = [asyncio.create_task(pipe.run()) for pipe in (away, back)]
    size = CHUNK_BYTES if rate else 65_536

    async def carry(reader: asyncio.StreamReader, pipe: Pipe, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(size):
                await pipe.put(writer, data)
        await pipe.put(writer, b"")

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await healthy.wait()
        await asyncio.sleep(2 * one_way_ms / 1e3)
        try:
            there, out = await asyncio.open_connection("127.0.0.1", target, limit=size)
        except OSError:  # the server behind has ended: so has whoever called it
            writer.close()
            return
        for each in (writer, out):
            line: socket.socket = each.get_extra_info("socket")
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if rate:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
        await asyncio.gather(carry(reader, away, out), carry(there, back, writer))

    server = await asyncio.start_server(connect, "127.0.0.1", listen, limit=size)
    print("ready", flush=True)
    while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
        (healthy.set if line == "heal" else healthy.clear)()
    server.close()
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    # A link that is cut or ends leaves connections half written; asyncio's remarks on that are no figures.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    parser = argparse.ArgumentParser(description=__doc__)
    for name, kind in (("listen", int), ("target", int), ("one_way_ms", float), ("kbit_s", float)):
        parser.add_argument(name, type=kind)
    chosen = parser.parse_args()
    asyncio.run(serve(chosen.listen, chosen.target, chosen.one_way_ms, chosen.kbit_s))
