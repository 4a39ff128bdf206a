"""The yardstick of `exchange.py`: a plain pipe, SQLite to a WebSocket to SQLite (WAL and FULL), nothing signed or chained."""

import asyncio
import sqlite3
import time
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

RECORD = bytes(528)
BATCH = 512
SINGLES_MAX = 300


def database(path: Path) -> sqlite3.Connection:
    """Open a table of numbered blobs, as durable as the exchange's."""
    found = sqlite3.connect(path, isolation_level=None)
    found.execute("PRAGMA journal_mode=WAL")
    found.execute("PRAGMA synchronous=FULL")
    found.execute("CREATE TABLE records (n INTEGER PRIMARY KEY, record BLOB)")
    return found


def commit(found: sqlite3.Connection, first: int, records: list[bytes]) -> None:
    """Insert some records in one transaction."""
    found.execute("BEGIN IMMEDIATE")
    found.executemany("INSERT INTO records VALUES (?,?)", enumerate(records, first))
    found.execute("COMMIT")


async def measure(directory: Path, count: int) -> dict[str, Any]:
    """Return records per second in batches, and the latencies of single records in milliseconds."""
    sender, receiver = database(directory / "sender.sqlite"), database(directory / "receiver.sqlite")
    held = 0

    async def take(socket: ServerConnection) -> None:
        nonlocal held
        async for message in socket:
            size = len(message) // len(RECORD)
            commit(receiver, held, [bytes(message[i * len(RECORD) : (i + 1) * len(RECORD)]) for i in range(size)])  # type: ignore[arg-type]
            held += size
            await socket.send(held.to_bytes(8, "big"))

    async with serve(take, "127.0.0.1", 0, max_size=None) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", max_size=None) as socket:
            start = time.perf_counter()
            for first in range(0, count, BATCH):
                records = [RECORD] * min(BATCH, count - first)
                commit(sender, first, records)
                await socket.send(b"".join(records))
            while int.from_bytes(await socket.recv(), "big") < count:  # type: ignore[arg-type]
                pass
            per_s = count / (time.perf_counter() - start)
            latencies = []
            for n in range(min(SINGLES_MAX, count)):
                start = time.perf_counter()
                commit(sender, count + n, [RECORD])
                await socket.send(RECORD)
                await socket.recv()
                latencies.append((time.perf_counter() - start) * 1e3)
                await asyncio.sleep(0.002)
    sender.close()
    receiver.close()
    return {"per_s": per_s, "latencies_ms": latencies}
