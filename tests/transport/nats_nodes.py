"""Two or three nodes with real servers on loopback, for the tests of the NATS transport."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from trilat.identity import keyfiles, keys
from trilat.node.clock import now_ns
from trilat.records.envelope import Envelope
from trilat.records.label import Mode
from trilat.transport.base import LinkDown
from trilat.transport.nats import NatsTransport
from trilat.transport.natsconf import Subjects, hang_up
from trilat.transport.server import NatsServer

MODE = Mode(kind="exercise", id="TEST.1")
PATIENCE_S = 20.0


class TestNode:
    """One nation's keys, pins, server and transport."""

    __test__ = False

    def __init__(self, made: keyfiles.Provisioned, directory: Path) -> None:
        self.made = made
        self.held = keyfiles.load(made.keys, now_ns(), MODE)
        self.pins = {nation: keyfiles.load_partner(path) for nation, path in made.partners.items()}
        self.server = NatsServer(self.held, MODE, directory / "nats", made.host, made.port)
        self.transport = NatsTransport(self.held, MODE, now_ns, self.server, rng=random.Random(1))
        self.asked: list[Envelope] = []
        self.woken: list[Envelope] = []

    async def start(self) -> None:
        """Start the server and serve an echo."""
        await self.server.start(self.pins.values())
        await self.transport.serve(self.echo)
        await self.transport.listen(self.woken.append)
        await self.transport.set_partners(self.pins.values())

    async def echo(self, envelope: Envelope) -> Envelope:
        """Answer with the question's own payload."""
        self.asked.append(envelope)
        return question(envelope.audience, envelope.sender, envelope.lane, envelope.sequence, envelope.payload)

    async def ask(self, envelope: Envelope) -> Envelope:
        """Ask until there is an answer, as the exchange does: a link may fall once while a server takes over a configuration."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    return await self.transport.request(envelope, 5)
                except LinkDown:
                    await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Stop the transport, then the server."""
        await self.transport.close()
        await self.server.stop()


@asynccontextmanager
async def running(directory: Path, nations: Sequence[str] = ("JPN", "USA")) -> AsyncIterator[dict[str, TestNode]]:
    """Run a node for each nation, each pinned by each."""
    made = keyfiles.provision(directory, nations, MODE, now_ns())
    nodes = {nation: TestNode(made[nation], directory / nation) for nation in nations}
    try:
        await asyncio.gather(*(node.start() for node in nodes.values()))
        yield nodes
    finally:
        await asyncio.gather(*(node.stop() for node in nodes.values()))


def question(sender: str, audience: str, lane: Any = "flash", sequence: int = 1, payload: bytes = b"") -> Envelope:
    """Return an envelope that no exchange would believe, but that a transport must carry."""
    return Envelope(
        kind="trilat.pull/1",
        sender=sender,
        audience=audience,
        lane=lane,
        sequence=sequence,
        body=b"body",
        key_id="0" * 32,
        signature=b"s" * 64,
        payload=payload,
    )


async def until(condition: Callable[[], Any] | Callable[[], Awaitable[Any]], what: str | Callable[[], str]) -> None:
    """Wait until a condition holds, with patience for a slow machine; fail with `what` otherwise."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                holds = condition()
                if await holds if asyncio.iscoroutine(holds) else holds:
                    return
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"never: {what if isinstance(what, str) else what()}") from None


@asynccontextmanager
async def raw_client(node: TestNode, at: TestNode, errors: list[str], seed: str | None = None) -> AsyncIterator[Client]:
    """Connect to another node's server as a partner gone bad would: with its own certificate and key, and any subject."""
    client = Client()

    async def note(error: Exception) -> None:
        errors.append(str(error))

    pin = node.pins[at.held.identity.nation]
    try:
        await client.connect(
            at.server.url,
            nkeys_seed_str=seed or node.held.import_seeds(pin.nation)[0],
            tls=keyfiles.client_context(node.held, pin.ca_certificate),
            tls_hostname=pin.server_name,
            tls_handshake_first=True,
            inbox_prefix=Subjects(MODE, node.held.identity.nation).inbox,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            error_cb=note,
        )
        yield client
    finally:  # also of one that was refused, whose line would else be closed by whoever collects garbage
        await hang_up(client)


__all__ = ["MODE", "TestNode", "keys", "question", "raw_client", "running", "until"]
