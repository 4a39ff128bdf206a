"""One whole node in a simulation: an invented world's bytes go in, and everything behind them is the node's own code.

Feeds, trackers, labels, policy, the step's journal, exchange and store are those of a live node, stepped on simulated time; only
sockets, threads and the page are missing. What it releases is put into the judge's books as it leaves the pipeline.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec

from trilat.exchange.exchange import Exchange
from trilat.exchange.importer import Received
from trilat.exercise import provision, scenario
from trilat.exercise.world import World
from trilat.node import setup
from trilat.node.clock import Steady
from trilat.node.config import load
from trilat.node.inputs import ActInput, FeedInput, Input, ReceivedInput
from trilat.node.pipeline import Pipeline
from trilat.node.record import Recorder, steps
from trilat.node.settings import NodeConfig
from trilat.picture.acts import OfficerAct, RaiseWarning
from trilat.policy.agreement import Agreements
from trilat.policy.audience import DecisionLog
from trilat.records.approval import Session
from trilat.simulation.nations import MODE, T0_NS
from trilat.simulation.node import SimulatedNode
from trilat.simulation.schedule import Schedule
from trilat.store.sqlite import Store

# A step of a live node is 50 ms; longer ones make a run cheaper, and change nothing of what is proved.
STEP_NS = 200_000_000
# A small world: this share of the straits' traffic, and never a corridor without any.
TRAFFIC_SHARE = 0.12
WARNING_SHARE = 0.5
OFFICER = Session(user="simulated", person="Simulated Officer", station="watch", session="watch-1", roles=("watch-officer",))


class Plan(NamedTuple):
    """What is the same in every run: the scenario, and each nation's configuration and agreements."""

    scenario: scenario.Scenario
    configs: dict[str, NodeConfig]
    agreements: dict[str, Agreements]


@cache
def plan() -> Plan:
    """Make the keys, agreements and configurations once a process, as the demo does, and read them."""
    full = scenario.load("straits")
    few = tuple(msgspec.structs.replace(one, count=max(1, round(one.count * TRAFFIC_SHARE))) for one in full.corridor)
    small = msgspec.structs.replace(full, corridor=few)
    with tempfile.TemporaryDirectory(prefix="trilat-simulation-") as name:
        prepared = provision.prepare(small, Path(name), MODE, T0_NS, Random(1).randbytes)
        configs = {nation: load(one.config) for nation, one in prepared.items()}
        return Plan(small, configs, {nation: setup.read_agreements(config) for nation, config in configs.items()})


class WholeNode(SimulatedNode):
    """A nation at tier B."""

    def __init__(self, nation: str, schedule: Schedule) -> None:
        super().__init__(nation, schedule)
        made = plan()
        self.config, self.agreements = made.configs[nation], made.agreements[nation]
        mine = tuple(sensor for sensor in made.scenario.sensor if sensor.nation == nation)
        self.world = World(msgspec.structs.replace(made.scenario, seed=schedule.seed, sensor=mine), T0_NS)
        self.pipeline: Pipeline | None = None
        self.recorder: Recorder | None = None
        self._said: list[FeedInput] = []
        self._received: list[Received] = []
        self._acts = self._raised = 0
        self._true_ns = T0_NS
        self._steady = self._clock()
        self.decisions = DecisionLog()

    def _clock(self) -> Steady:
        """Return the clock of a node that starts now: a process's own, which goes on where the machine's is set back."""
        return Steady(lambda: super(WholeNode, self).now_ns(self._true_ns), lambda: self._true_ns)

    def now_ns(self, true_ns: int) -> int:
        """Return what this node goes by."""
        self._true_ns = true_ns
        return self._steady.now_ns()

    def start(self, true_ns: int) -> bool:
        """Open the store, make the pipeline anew, and bring it to the warnings it knew."""
        self._true_ns = true_ns
        self._steady = self._clock()
        if not super().start(true_ns) or self.store is None:
            return False
        now_ns = self.now_ns(true_ns)
        policies = setup.policies(self.config, self.agreements, self.nation.encode().ljust(32, b"."), self.decisions)
        self.pipeline = Pipeline(setup.pipeline_settings(self.config), policies, now_ns)
        self.recorder = Recorder(self.store, self.config)
        self.recorder.begin(now_ns, self.agreements)
        self.recorder.restore_warnings(self.pipeline)
        return True

    def kill(self) -> None:
        """End without a word."""
        super().kill()
        self.pipeline = self.recorder = None
        self._said, self._received = [], []

    def offer(self, true_ns: int, count: int) -> None:
        """Let the world go on: what the nation's sensors say waits for the step; sometimes an officer raises a warning."""
        self._acts += count > 0 and self.exchange is not None and self.dice.random() < WARNING_SHARE
        if (true_ns - T0_NS) % STEP_NS:
            return
        lines = self.world.step(true_ns)
        if self.exchange is None:
            return
        at_ns = self.now_ns(true_ns)
        self._said += [FeedInput(source=provision.feed_of(line.sensor), received_t_ns=at_ns, data=line.data) for line in lines]

    def tick(self, true_ns: int) -> None:
        """Step the pipeline, journal the step and offer what it released; then let the exchange's time pass."""
        if self.exchange is None or self.pipeline is None or self.recorder is None or true_ns < self.stalled_until_ns:
            return
        if (true_ns - T0_NS) % STEP_NS:
            super().tick(true_ns)
            return
        now_ns = self.now_ns(true_ns)
        inputs, row = self._inputs()
        out = self.pipeline.step(now_ns, inputs)
        self.counts["reports"] += sum(out.reports.values())
        self.counts["tracks"] = max(self.counts["tracks"], len(out.national.columns))
        self.recorder.append(now_ns, self.recorder.entry(inputs, out))
        if row:
            self.exchange.handed(row)
        self.exchange.station.soon(now_ns)
        self._offer(now_ns, list(out.released))
        super().tick(true_ns)

    def _inputs(self) -> tuple[list[Input], int]:
        inputs: list[Input] = [self._act() for _ in range(self._acts)]
        received = self._received
        inputs += [
            ReceivedInput(exporter=one.exporter, lane=one.lane, epoch=one.epoch, sequence=one.sequence, record=one.raw)
            for one in received
        ]
        inputs += self._said
        self._said, self._received, self._acts = [], [], 0
        return inputs, max((one.row for one in received), default=0)

    def _act(self) -> ActInput:
        """Let the watch officer raise a warning, for one partner or all."""
        self._raised += 1
        partners = tuple(other for other in self.nations if other != self.nation)
        rel_to = partners if self.dice.random() < 0.7 else partners[:1]
        act = RaiseWarning(act_id=f"a{self._raised}", kind="missile", headline="Exercise: take shelter", rel_to=rel_to)
        return ActInput(act=OfficerAct(session=OFFICER, act=act))

    def _hand_over(self, now_ns: int, exchange: Exchange, store: Store, received: list[Received]) -> None:
        """Let partners' records wait for the step; what is given once more after a failed commit takes the first one's place."""
        del now_ns, exchange, store
        self._received = [one for one in self._received if one.row < received[0].row] + received

    @property
    def waiting(self) -> int:
        """How many records came from partners and wait for the next step."""
        return len(self._received)

    @property
    def withheld(self) -> int:
        """How often its policy said no."""
        return sum(times for total, times in self.decisions.totals().items() if not total.permit)

    def held(self, exporter: str, lane: str) -> list[bytes]:
        """Return what went into the node's steps of a partner's lane, by its own log, in order."""
        if self.store is None:
            return []
        return [
            one.record
            for step in steps(self.store.journal)
            for one in step.inputs
            if isinstance(one, ReceivedInput) and (one.exporter, one.lane) == (exporter, lane)
        ]
