"""The memory of a node over an hour of the demo's world: two whole nodes in one process, in the world's own time, no sockets.

python benchmarks/memory.py [--tiny] [--minutes N]

JPN and KOR decode, track, release, journal, seal, exchange over a simulated network, take in, fuse and render for a page; USA
does not exist, so that both outboxes grow as in an outage of an hour. How memory goes from quarter to quarter is the figure.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from pathlib import Path
from typing import Any

from node import as_read, resident_mb
from trilat.exchange.exchange import Exchange
from trilat.exercise import provision, scenario
from trilat.exercise.world import World
from trilat.node import clock, setup, show
from trilat.node.config import load, mode_of
from trilat.node.inputs import ReceivedInput
from trilat.node.pipeline import Pipeline
from trilat.node.record import Recorder
from trilat.picture.inputs import CopInput
from trilat.policy.audience import DecisionLog
from trilat.records.label import Mode
from trilat.simulation.network import SimulatedNetwork, deliver
from trilat.store.sqlite import open_store
from trilat.transport.messages import ExchangeSettings

NS = 1_000_000_000
STEP_NS = NS // 5
NATIONS = ("JPN", "KOR")
# A minute of the world passes before memory is first looked at: caches, pools and compiled code come in it.
SETTLED_S = 60.0
# What an hour may add beside what the outboxes of an absent partner hold in SQLite's cache: an allocator's noise.
FLAT_MB = 25.0


class Node:
    """One node without its sockets."""

    def __init__(self, prepared: provision.Prepared, home: Path, now_ns: int) -> None:
        config = load(prepared.config)
        identity = setup.read_identity(config, now_ns, None)
        policies = setup.policies(config, setup.read_agreements(config), bytes(32), DecisionLog())
        self.nation = config.nation
        self.pipeline = Pipeline(setup.pipeline_settings(config), policies, now_ns)
        self.cop = show.make_cop(config, self.pipeline, now_ns)
        self.store = open_store(home / config.nation, config.nation, mode_of(config))
        self.exchange = Exchange(
            ExchangeSettings(), config.nation, mode_of(config), identity.ring, self.store, tuple(identity.pins)
        )
        self.recorder = Recorder(self.store, config)
        self.taken = 0

    def step(self, now_ns: int, feeds: list[Any]) -> None:
        """Take what feeds and partners brought, journal it, offer what may leave, make a frame."""
        received = self.exchange.take_received()
        given = [
            ReceivedInput(exporter=one.exporter, lane=one.lane, epoch=one.epoch, sequence=one.sequence, record=one.raw)
            for one in received
        ]
        out = self.pipeline.step(now_ns, [*given, *feeds])
        self.recorder.append(now_ns, self.recorder.entry([*given, *feeds], out))
        if received:
            self.exchange.handed(received[-1].row)
            self.taken += len(received)
        self.exchange.station.soon(now_ns)
        self.exchange.offer(now_ns, out.released)
        self.exchange.tick(now_ns)
        self.cop.step(out.t_ns, CopInput(combined=None if out.combined is None else show.confirmed_only(out.combined)))
        self.cop.frames("watch", self.cop.sequence("watch") - 1)


def run(home: Path, minutes: float) -> None:
    """Run the world and print what the process holds after each quarter."""
    plan, start_ns = scenario.load("straits"), clock.now_ns()
    made = provision.prepare(plan, home, Mode(kind="exercise", id="m"), start_ns, random.Random(5).randbytes)
    nodes = {nation: Node(made[nation], home, start_ns) for nation in NATIONS}
    speakers = {sensor.id: sensor.nation for sensor in plan.sensor if sensor.nation in NATIONS}
    network, world, begun_ns = SimulatedNetwork(1), World(plan, start_ns), clock.monotonic_ns()
    steps = int(minutes * 60 * NS / STEP_NS)
    marks = sorted({min(int(SETTLED_S * NS / STEP_NS), steps // 4), *(steps * k // 4 for k in range(1, 5))})
    held: list[float] = []
    for k in range(1, steps + 1):
        now_ns = start_ns + k * STEP_NS
        said = world.step(now_ns)
        for nation, node in nodes.items():
            node.step(now_ns, as_read([line for line in said if speakers.get(line.sensor) == nation], now_ns))
        exchange_until(nodes, network, now_ns)
        if k in marks:
            held.append(resident_mb(os.getpid()))
            print(f"  memory    {held[-1]:.0f} MB after {k * STEP_NS / NS / 60:.1f} min", flush=True)
    factor = minutes * 60 / ((clock.monotonic_ns() - begun_ns) / 1e9)
    grown = held[-1] - held[0]
    word = "flat" if grown <= FLAT_MB else "NOT FLAT"
    print(f"  memory    {grown:+.0f} MB from the first mark to the last ({word}), two nodes, run at {factor:.1f}x life")
    print(f"            {sum(node.taken for node in nodes.values()):,} records taken in from one another")


def exchange_until(nodes: dict[str, Node], network: SimulatedNetwork, now_ns: int) -> None:
    """Let the exchanges talk until nothing more is to arrive by the next step."""
    at_ns = now_ns
    while at_ns < now_ns + STEP_NS:
        for delivery in list(network.arrivals(at_ns)):
            if delivery.to in nodes:
                deliver(at_ns, nodes[delivery.to].exchange, delivery, 1 << 20)
        for nation, node in nodes.items():
            network.carry(at_ns, nation, node.exchange.flush(at_ns))
        due_ns = network.next_ns()
        if due_ns is None:
            return
        at_ns = max(due_ns, at_ns + 1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The memory of two nodes over time.")
    parser.add_argument("--tiny", action="store_true", help="the smallest run that still goes through everything")
    parser.add_argument("--minutes", type=float, default=60.0, help="of the world's time")
    given = parser.parse_args()
    minutes = 0.05 if given.tiny else given.minutes
    print(f"memory: {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {minutes:g} minutes of the demo's world")
    with tempfile.TemporaryDirectory() as home:
        run(Path(home), minutes)


if __name__ == "__main__":
    main()
