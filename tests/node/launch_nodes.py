"""Three nations' pipelines and a launch between them, stepped on a made-up clock: what the launch tests share."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
from node_worlds import MODE, SECRET, T0_NS

from trilat.exercise import provision, scenario
from trilat.exercise.world import Line, World
from trilat.node import setup
from trilat.node.config import load
from trilat.node.inputs import ActInput, FeedInput, Input, ReceivedInput
from trilat.node.pipeline import Output, Pipeline
from trilat.node.settings import NodeConfig
from trilat.picture.acts import Act, OfficerAct
from trilat.policy.audience import DecisionLog
from trilat.records.approval import Session
from trilat.records.warning import Warning

STEP_NS = 200_000_000
NS = 1_000_000_000
AT_S = 3.0  # the launch


def officer(name: str) -> Session:
    """Return a watch officer at a station of their own."""
    return Session(user=name, person=f"Officer {name}", station=f"st-{name}", session=f"s-{name}", roles=("watch-officer",))


def plan(at_s: float = AT_S) -> scenario.Scenario:
    """Return the demo's scenario with its early-warning radars and its launch alone."""
    whole = scenario.load("straits")
    launch = tuple(msgspec.structs.replace(one, at_s=at_s) for one in whole.launch)
    sensors = tuple(one for one in whole.sensor if one.link == "plots")
    return msgspec.structs.replace(whole, corridor=(), sensor=sensors, launch=launch)


def configs(directory: Path, made: scenario.Scenario | None = None) -> dict[str, NodeConfig]:
    """Make keys, agreements and configurations of the three nations."""
    prepared = provision.prepare(made or plan(), directory, MODE, T0_NS, random.Random(7).randbytes)
    return {nation: load(one.config) for nation, one in prepared.items()}


def pipeline_of(config: NodeConfig, agreements: Any = None) -> Pipeline:
    """Make a node's pipeline as it is at the start of the world."""
    agreements = agreements or setup.read_agreements(config)
    return Pipeline(setup.pipeline_settings(config), setup.policies(config, agreements, SECRET, DecisionLog()), T0_NS)


class Three:
    """Three pipelines that hand one another what they release, one step later, and everything that came of it."""

    def __init__(self, made: dict[str, NodeConfig], links: bool = True) -> None:  # noqa: FBT001, FBT002 - a plain fact
        self.pipelines = {nation: pipeline_of(config) for nation, config in made.items()}
        self.links = links
        self.world = World(plan(), T0_NS)
        self.now_ns = T0_NS
        self.journal: dict[str, list[tuple[int, list[Input], Output]]] = {nation: [] for nation in made}
        self.acts: dict[str, list[Input]] = {nation: [] for nation in made}
        self.mute: set[str] = set()  # sensors that say nothing
        self._mail: dict[str, list[Input]] = {nation: [] for nation in made}
        self._numbers: Counter[tuple[str, str, str]] = Counter()

    @property
    def second(self) -> float:
        """Seconds since the world began."""
        return (self.now_ns - T0_NS) / NS

    def act(self, nation: str, who: Session, act: Act) -> None:
        """Let an officer act in the next step."""
        self.acts[nation].append(ActInput(act=OfficerAct(session=who, act=act)))

    def step(self) -> dict[str, Output]:
        """Step the world and every node once."""
        self.now_ns += STEP_NS
        said, mail = self.world.step(self.now_ns), {nation: list[Input]() for nation in self.pipelines}
        outputs = {}
        for nation, pipeline in self.pipelines.items():
            inputs = [*self.acts[nation], *self._mail[nation], *self._fed(nation, said)]
            self.acts[nation] = []
            out = outputs[nation] = pipeline.step(self.now_ns, inputs)
            self.journal[nation].append((self.now_ns, inputs, out))
            for one in out.released:
                if one.audience in mail and self.links:
                    key = (nation, one.audience, one.lane)
                    self._numbers[key] += 1
                    mail[one.audience].append(
                        ReceivedInput(exporter=nation, lane=one.lane, epoch=1, sequence=self._numbers[key], record=one.record)
                    )
        self._mail = mail
        return outputs

    def _fed(self, nation: str, said: list[Line]) -> list[Input]:
        mine = [one for one in said if one.sensor.startswith(nation) and one.sensor not in self.mute]
        return [FeedInput(source=provision.feed_of(one.sensor), received_t_ns=self.now_ns, data=one.data) for one in mine]

    def until(self, what: Any, seconds: float) -> bool:
        """Step until `what()` holds; tells whether it did within so many seconds of the world."""
        while self.second < seconds:
            if what():
                return True
            self.step()
        return bool(what())

    def newest(self, nation: str, origin: str) -> Warning | None:
        """Return the newest version of the one warning of an origin that a nation's page shows."""
        shown = [
            one.record
            for _, _, out in self.journal[nation]
            for one in out.warnings
            if one.origin == origin and isinstance(one.record, Warning)
        ]
        return shown[-1] if shown else None

    def in_state(self, nation: str, origin: str, *states: str) -> bool:
        """Tell whether a nation shows an origin's warning in one of these states."""
        held = self.newest(nation, origin)
        return held is not None and held.state in states
