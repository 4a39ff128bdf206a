"""Three nations' pipelines and a launch between them, on a made-up clock. What each says reaches the others a step later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec

from trilat.exercise import provision, scenario
from trilat.exercise.world import Line, World
from trilat.node import setup
from trilat.node.inputs import ActInput, FeedInput, Input, ReceivedInput
from trilat.node.pipeline import Output, Pipeline
from trilat.node.settings import NodeConfig
from trilat.picture.acts import Act, OfficerAct
from trilat.policy.audience import DecisionLog
from trilat.records.approval import Session
from trilat.records.warning import Warning

STEP_NS = 200_000_000
NS = 1_000_000_000
AT_S = 3.0  # the launch, unless said otherwise


def officer(name: str) -> Session:
    """Return a watch officer at a station of their own."""
    return Session(user=name, person=f"Officer {name}", station=f"st-{name}", session=f"s-{name}", roles=("watch-officer",))


def early(at_s: float = AT_S) -> scenario.Scenario:
    """Return the demo's scenario with its early-warning radars and its launch alone."""
    whole = scenario.load("straits")
    launch = tuple(msgspec.structs.replace(one, at_s=at_s) for one in whole.launch)
    sensors = tuple(one for one in whole.sensor if one.link == "plots")
    return msgspec.structs.replace(whole, corridor=(), sensor=sensors, launch=launch)


class Three:
    """Pipelines by nation, everything that went in and came out, and the mail between them.

    `mute`: sensors that say nothing. `away`: nations that get nothing for now; it is kept for them, in its order.
    """

    def __init__(
        self, made: Mapping[str, NodeConfig], start_ns: int, secret: bytes, plan: scenario.Scenario | None = None
    ) -> None:
        self.pipelines = {nation: pipeline_of(config, start_ns, secret) for nation, config in made.items()}
        self.world = World(plan or early(), start_ns)
        self.start_ns = self.now_ns = start_ns
        self.step_ns = STEP_NS
        self.journal: dict[str, list[tuple[int, list[Input], Output]]] = {nation: [] for nation in made}
        self.acts: dict[str, list[Input]] = {nation: [] for nation in made}
        self.mute: set[str] = set()
        self.away: set[str] = set()
        self._mail: dict[str, list[Input]] = {nation: [] for nation in made}
        self._numbers: Counter[tuple[str, str, str]] = Counter()

    def skip(self, second: float) -> None:
        """Go on to a second of the world at once; what sensors said until then nobody hears."""
        self.world.step(self.start_ns + round(second * NS))
        self.now_ns = self.world.now_ns

    @property
    def second(self) -> float:
        """Seconds since the world began."""
        return (self.now_ns - self.start_ns) / NS

    def act(self, nation: str, who: Session, act: Act) -> None:
        """Let an officer act in the next step."""
        self.acts[nation].append(ActInput(act=OfficerAct(session=who, act=act)))

    def step(self) -> dict[str, Output]:
        """Step the world and every node once."""
        self.now_ns += self.step_ns
        said, sent = self.world.step(self.now_ns), {nation: list[Input]() for nation in self.pipelines}
        outputs = {}
        for nation, pipeline in self.pipelines.items():
            came = [] if nation in self.away else self._mail[nation]
            inputs = [*self.acts[nation], *came, *self._fed(nation, said)]
            self.acts[nation] = []
            if nation not in self.away:
                self._mail[nation] = []
            out = outputs[nation] = pipeline.step(self.now_ns, inputs)
            self.journal[nation].append((self.now_ns, inputs, out))
            self._send(nation, out, sent)
        for nation, mail in sent.items():
            self._mail[nation] += mail
        return outputs

    def until(self, what: Callable[[], object], seconds: float) -> bool:
        """Step until `what()` holds; tells whether it did by a second of the world."""
        while self.second < seconds:
            if what():
                return True
            self.step()
        return bool(what())

    def _send(self, nation: str, out: Output, sent: Mapping[str, list[Input]]) -> None:
        for one in out.released:
            if one.audience in sent:
                key = (nation, one.audience, one.lane)
                self._numbers[key] += 1
                given = ReceivedInput(exporter=nation, lane=one.lane, epoch=1, sequence=self._numbers[key], record=one.record)
                sent[one.audience].append(given)

    def _fed(self, nation: str, said: Sequence[Line]) -> list[Input]:
        mine = [one for one in said if one.sensor.startswith(nation) and one.sensor not in self.mute]
        return [FeedInput(source=provision.feed_of(one.sensor), received_t_ns=self.now_ns, data=one.data) for one in mine]

    def shown(self, nation: str, origin: str) -> list[tuple[int, Warning]]:
        """Return every version of an origin's warnings that a nation's page showed, with the time at which it did."""
        return [
            (at, one.record)
            for at, _, out in self.journal[nation]
            for one in out.warnings
            if one.origin == origin and isinstance(one.record, Warning)
        ]

    def newest(self, nation: str, origin: str) -> Warning | None:
        """Return the newest version of an origin's warning that a nation's page shows."""
        shown = self.shown(nation, origin)
        return shown[-1][1] if shown else None

    def in_state(self, nation: str, origin: str, *states: str) -> bool:
        """Tell whether a nation shows an origin's warning in one of these states."""
        held = self.newest(nation, origin)
        return held is not None and held.state in states


def pipeline_of(config: NodeConfig, start_ns: int, secret: bytes) -> Pipeline:
    """Make a node's pipeline as it is at the start of the world."""
    policies = setup.policies(config, setup.read_agreements(config), secret, DecisionLog())
    return Pipeline(setup.pipeline_settings(config), policies, start_ns)
