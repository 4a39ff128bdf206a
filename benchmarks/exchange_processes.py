"""Two nodes' exchanges as two processes over NATS with TLS, each with its own server and store; a link may stand between them.

Only the exchange runs: no feeds, no tracker, no page. Latency is from `offer` at one node to the record being durably held at
the other.
"""

import asyncio
import contextlib
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from exchange_nodes import EXERCISE, released_track, released_warning
from trilat.exchange.drive import Drive
from trilat.exchange.exchange import Exchange
from trilat.exchange.importer import Received
from trilat.identity import keyfiles
from trilat.node import clock, process
from trilat.store.sqlite import StoreSettings, open_database
from trilat.transport.messages import ExchangeSettings
from trilat.transport.nats import NatsTransport
from trilat.transport.server import NatsServer

EXPORTER, IMPORTER = "JPN", "KOR"
PATIENCE_S = 240.0


class Spec(NamedTuple):
    """One node of the pair: keys, folder of its store, ports, and how many records wait before it starts."""

    nation: str
    partner: str
    keys: Path
    directory: Path
    listen: int
    partner_port: int
    backlog: int


class Node:
    """One exchange in a process of its own, told what to do over a pipe."""

    def __init__(self, spec: Spec, pipe: Connection) -> None:
        self.spec, self.pipe = spec, pipe
        self.flash_ms: list[float] = []
        self.flash_at: list[float] = []
        self.bulk = 0
        self.first_bulk_s = self.last_bulk_s = 0.0

    def arrive(self, received: list[Received]) -> None:
        """Take note of what is durably held."""
        now_ns = clock.now_ns()
        flashes = [item for item in received if item.lane == "flash"]
        self.flash_ms += [(now_ns - getattr(item.record, "t_ns", now_ns)) / 1e6 for item in flashes]
        self.flash_at += [now_ns / 1e9] * len(flashes)
        if len(flashes) < len(received):
            self.first_bulk_s = self.first_bulk_s or now_ns / 1e9
            self.last_bulk_s = now_ns / 1e9
            self.bulk += len(received) - len(flashes)

    async def run(self) -> None:
        """Start, obey, stop."""
        spec = self.spec
        held = keyfiles.load(spec.keys, clock.now_ns(), EXERCISE)
        pin = keyfiles.load_partner(spec.keys / "partners" / f"{spec.partner}.toml")
        pin = msgspec.structs.replace(pin, addresses=(f"127.0.0.1:{spec.partner_port}",))
        store = open_database(spec.directory / f"{spec.nation}.sqlite", spec.nation, EXERCISE, StoreSettings(reserve_bytes=0))
        ring = held.key_ring(EXERCISE, [pin])
        exchange = Exchange(ExchangeSettings(), spec.nation, EXERCISE, ring, store, (spec.partner,))
        for at in range(0, spec.backlog, 2_000):
            exchange.offer(
                clock.now_ns(), [released_track(n, spec.partner, "history") for n in range(at, min(at + 2_000, spec.backlog))]
            )
            exchange.flush(clock.now_ns())
        server = NatsServer(held, EXERCISE, spec.directory / f"nats-{spec.nation}", "127.0.0.1", spec.listen)
        await server.start([pin])
        transport = NatsTransport(held, EXERCISE, clock.now_ns, server)
        drive = Drive(exchange, transport, clock.now_ns, self.arrive)
        transport.on_served = lambda _: drive.post(lambda _: exchange.wake_partners(), flash=True)
        process.settle()
        self.pipe.send("ready")
        await asyncio.to_thread(self.pipe.recv)
        task = asyncio.create_task(drive.run())
        await transport.set_partners([pin])
        try:
            while (order := await asyncio.to_thread(self.pipe.recv)) != "stop":
                self.pipe.send(await self.obey(drive, *order))
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await transport.close()
            await server.stop()
            store.close()

    async def obey(self, drive: Drive, order: str, *given: Any) -> Any:
        """Do one thing and return what came of it."""
        if order == "flash":
            await self.flash(drive, *given)
            return None
        if order == "await":
            flashes, bulk = given
            async with asyncio.timeout(PATIENCE_S):
                while len(self.flash_ms) < flashes or self.bulk < bulk:  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(0.002)
        told = (self.flash_ms, self.bulk, self.first_bulk_s, self.last_bulk_s, self.flash_at)
        if order == "forget":
            self.flash_ms, self.flash_at, self.bulk, self.first_bulk_s = [], [], 0, 0.0
        return told

    async def flash(self, drive: Drive, count: int, per_s: float) -> None:
        """Offer warnings at a rate."""
        begin = time.perf_counter()
        for n in range(count):
            delay = begin + n / per_s - time.perf_counter()
            if delay > 0:
                await asyncio.sleep(delay)
            drive.offer([released_warning(n, self.spec.partner, t_ns=clock.now_ns())])


def _child(spec: Spec, pipe: Connection) -> None:
    process.run(Node(spec, pipe).run())


class Pair:
    """Both nodes, and the link between them if there is one."""

    def __init__(self, pipes: dict[str, Connection], link: "subprocess.Popen[str] | None") -> None:
        self._pipes, self._link = pipes, link

    def ask(self, nation: str, *order: Any) -> Any:
        """Have a node do something and wait for what comes of it."""
        self._pipes[nation].send(order)
        return self._pipes[nation].recv()

    def begin(self, nation: str, *order: Any) -> None:
        """Have a node do something; `end` waits for it."""
        self._pipes[nation].send(order)

    def end(self, nation: str) -> Any:
        """Wait for what `begin` began."""
        return self._pipes[nation].recv()

    def line(self, order: str) -> None:
        """Cut or heal the link."""
        if self._link is not None and self._link.stdin is not None:
            self._link.stdin.write(order + "\n")
            self._link.stdin.flush()

    def flash(self, count: int, per_s: float) -> list[float]:
        """Return the latencies of warnings offered at a rate, in milliseconds."""
        self.ask(IMPORTER, "forget")
        self.ask(EXPORTER, "flash", count, per_s)
        return list(self.ask(IMPORTER, "await", count, 0)[0])


@contextmanager
def running(directory: Path, *, backlog: int = 0, one_way_ms: float = 0.0, kbit_s: float = 0.0) -> Iterator[Pair]:
    """Run the pair; they begin to speak when the block begins."""
    made = keyfiles.provision(directory, (EXPORTER, IMPORTER), EXERCISE, clock.now_ns())
    context = multiprocessing.get_context("spawn")
    through = keyfiles.free_ports(1)[0] if one_way_ms or kbit_s else made[EXPORTER].port
    link = None
    if through != made[EXPORTER].port:
        arguments = [str(Path(__file__).with_name("exchange_link.py")), through, made[EXPORTER].port, one_way_ms, kbit_s]
        command = [sys.executable, *map(str, arguments)]
        link = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert link.stdout is not None  # noqa: S101 - it was asked for
        link.stdout.readline()
    pipes, children = {}, []
    for nation, partner, port in ((EXPORTER, IMPORTER, made[IMPORTER].port), (IMPORTER, EXPORTER, through)):
        pipes[nation], theirs = context.Pipe()
        kept = backlog if nation == EXPORTER else 0
        spec = Spec(nation, partner, made[nation].keys, directory, made[nation].port, port, kept)
        children.append(context.Process(target=_child, args=(spec, theirs), daemon=True))
        children[-1].start()
    try:
        for pipe in pipes.values():
            pipe.recv()
        for pipe in pipes.values():
            pipe.send("go")
        yield Pair(pipes, link)
    finally:
        for pipe in pipes.values():
            with contextlib.suppress(OSError):
                pipe.send("stop")
        for child in children:
            child.join(20)
            child.kill()
        if link is not None:
            link.communicate("")
