"""A yardstick of `exchange.py`: JetStream's file storage with `sync always`, published to one consumer; nothing is signed.

Publishes are acknowledged one by one, up to 256 in flight; the consumer acknowledges as it goes on.
"""

import asyncio
import time
from pathlib import Path
from typing import Any

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy

from trilat.identity.keyfiles import free_ports
from trilat.transport.server import find_program

RECORD = bytes(528)
IN_FLIGHT = 256
SINGLES_MAX = 300
CONFIG = """
listen: "127.0.0.1:{port}"
jetstream {{ store_dir: "{directory}", sync_interval: always }}
"""


async def _quiet(_: Exception) -> None:
    """Take notice of nothing: the server is not up yet."""


async def _connect(port: int) -> Any:
    for _ in range(100):
        try:
            return await nats.connect(f"nats://127.0.0.1:{port}", allow_reconnect=False, connect_timeout=2, error_cb=_quiet)
        except (OSError, nats.errors.Error):
            await asyncio.sleep(0.05)
    raise TimeoutError


async def _measured(port: int, count: int) -> dict[str, Any]:
    publisher, consumer = await _connect(port), await _connect(port)
    stream = publisher.jetstream()
    await stream.add_stream(name="BULK", subjects=["bulk"])
    config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL, max_ack_pending=10_000)
    pull = await consumer.jetstream().pull_subscribe("bulk", durable="one", config=config)
    begin = time.perf_counter()

    async def publish() -> None:
        slots = asyncio.Semaphore(IN_FLIGHT)

        async def one() -> None:
            async with slots:
                await stream.publish("bulk", RECORD, timeout=30)

        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(one())

    async def take(most: int) -> None:
        held = 0
        while held < most:
            for message in await pull.fetch(min(256, most - held), timeout=30):
                await message.ack()
                held += 1

    await asyncio.gather(publish(), take(count))
    per_s = count / (time.perf_counter() - begin)
    latencies = []
    for _ in range(min(SINGLES_MAX, count)):
        begin = time.perf_counter()
        await stream.publish("bulk", RECORD)
        await take(1)
        latencies.append((time.perf_counter() - begin) * 1e3)
    await publisher.close()
    await consumer.close()
    return {"per_s": per_s, "latencies_ms": latencies}


async def measure(directory: Path, count: int) -> dict[str, Any]:
    """Return records per second from publish to acknowledged by the consumer, and latencies of single ones in milliseconds."""
    port = free_ports(1)[0]
    config = directory / "jetstream.conf"
    config.write_text(CONFIG.format(port=port, directory=directory / "jetstream"))
    quiet = asyncio.subprocess.DEVNULL
    server = await asyncio.create_subprocess_exec(find_program().path, "-c", str(config), stdout=quiet, stderr=quiet)
    try:
        return await _measured(port, count)
    finally:
        server.terminate()
        await server.wait()
