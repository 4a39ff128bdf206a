"""Live nodes for tests: each a process of its own, over real NATS on loopback, fed by the world's own bytes on their sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from trilat.exercise import provision, scenario, simulate
from trilat.exercise.processes import NodeProcess
from trilat.exercise.world import World
from trilat.node import clock, record
from trilat.node.config import load, mode_of
from trilat.node.inputs import ReceivedInput
from trilat.node.settings import NodeConfig
from trilat.picture.client import PageClient
from trilat.records.approval import Role
from trilat.store.journal import Entry
from trilat.store.sqlite import open_store

NS = 1_000_000_000
# A loaded machine may take long over what a quiet one does at once; nothing here measures time.
PATIENCE_S = 60.0
START_S_MAX = 110.0  # a node compiles its kernels first where nobody has warmed them


class Running:
    """A node in a process of its own, its configuration and its page's address."""

    def __init__(self, prepared: provision.Prepared) -> None:
        self.config = load(prepared.config)
        self.process = NodeProcess(prepared)

    @property
    def page(self) -> str:
        """Where its page is."""
        return f"http://127.0.0.1:{self.process.ports['page']}"

    def client(self, role: Role = "watch-officer") -> PageClient:
        """Return a page that logs in as the exercise's officer of a role."""
        login = self.process.prepared.login(role)
        return PageClient(self.page, login.user, login.password)

    def feed_url(self, sensor: str) -> str:
        """Return the address of a sensor's feed."""
        scheme = "tcp" if sensor.endswith("/adsb") else "udp"
        return f"{scheme}://127.0.0.1:{self.process.ports['feeds'][provision.feed_of(sensor)]}"


@contextlib.asynccontextmanager
async def nodes_running(prepared: Iterable[provision.Prepared]) -> AsyncIterator[dict[str, Running]]:
    """Run several nodes while the block runs; they start side by side."""
    async with contextlib.AsyncExitStack() as stack:
        nodes = [Running(one) for one in prepared]
        for node in nodes:
            (node.process.prepared.directory / "ports.json").unlink(missing_ok=True)
            await node.process.start()
            stack.push_async_callback(node.process.stop)
        for node in nodes:
            await node.process.ready(START_S_MAX)
        yield {node.config.nation: node for node in nodes}


@contextlib.asynccontextmanager
async def lines_to(nodes: Iterable[Running], wanted: Callable[[str], bool] = lambda _: True) -> AsyncIterator[simulate.Lines]:
    """Open a line to every wanted sensor's feed of some nodes."""
    urls = {sensor.id: node.feed_url(sensor.id) for node in nodes for sensor in node.config.sensor if wanted(sensor.id)}
    lines = simulate.Lines(urls)
    await lines.open()
    try:
        yield lines
    finally:
        await lines.close()


def thin_world(start_ns: int) -> World:
    """Return the straits' world with at most three movers to a corridor: light enough for three nodes in one process."""
    plan = scenario.load("straits")
    corridors = [msgspec.structs.replace(corridor, count=min(corridor.count, 3)) for corridor in plan.corridor]
    return World(msgspec.structs.replace(plan, corridor=tuple(corridors)), start_ns)


@contextlib.asynccontextmanager
async def world_feeding(nodes: Iterable[Running]) -> AsyncIterator[World]:
    """Feed nodes from the thin world at the world's own pace while the block runs."""
    world, stop = thin_world(clock.now_ns()), asyncio.Event()
    async with lines_to(nodes) as lines:
        feeding = asyncio.create_task(simulate.run(world, lines, clock.now_ns, stop))
        try:
            yield world
        finally:
            stop.set()
            await feeding


@contextlib.asynccontextmanager
async def pages_of(nodes: Iterable[Running]) -> AsyncIterator[dict[str, PageClient]]:
    """Open every node's page as a browser would."""
    async with contextlib.AsyncExitStack() as stack:
        yield {node.config.nation: await stack.enter_async_context(node.client()) for node in nodes}


def link(page: PageClient, nation: str, lane: str) -> dict[str, Any]:
    """Return what a page says of one lane with one partner; nothing before its first status."""
    found = [one for one in page.status.get("links", ()) if (one["nation"], one["lane"]) == (nation, lane)]
    return found[0] if found else {}


def entries(config: NodeConfig, kinds: Iterable[str] | None = None) -> list[Entry]:
    """Read the journal of a node that has ended."""
    store = open_store(Path(config.directory) / "store", config.nation, mode_of(config))
    try:
        return list(store.journal.read(kinds=None if kinds is None else frozenset(kinds)))
    finally:
        store.close()


def steps(config: NodeConfig) -> list[record.Step]:
    """Read the recorded steps of a node that has ended."""
    store = open_store(Path(config.directory) / "store", config.nation, mode_of(config))
    try:
        return list(record.steps(store.journal))
    finally:
        store.close()


def received_by(config: NodeConfig, exporter: str) -> list[ReceivedInput]:
    """Return, in order, the partner's records that went into a node's pipeline, over all its runs."""
    given = [one for step in steps(config) for one in step.inputs]
    return [one for one in given if isinstance(one, ReceivedInput) and one.exporter == exporter]
