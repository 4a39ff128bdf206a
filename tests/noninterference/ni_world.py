"""Worlds for the two-run test: one node's inputs, split into what KOR may have and what it may not, and changes of the latter.

JPN runs. KOR observes. Releasable to KOR are JPN's ridge and strait radars, its ADS-B receiver and its AIS stations. Everything
else is hidden from KOR: two radars, a second ADS-B receiver, warnings for USA or for nobody, what USA sent.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import ni_ally
import ni_desk
import ni_events
import ni_people
import probing
from node_worlds import MODE, SECRET, T0_NS

from trilat.exercise import provision, scenario
from trilat.exercise.world import World
from trilat.node import setup
from trilat.node.config import load
from trilat.node.inputs import ActInput, FeedInput, Input, ReceivedInput
from trilat.node.pipeline import Pipeline
from trilat.node.settings import NodeConfig
from trilat.picture.acts import OfficerAct, RaiseWarning, RetractWarning
from trilat.policy.agreement import Agreements
from trilat.policy.audience import DecisionLog
from trilat.records.approval import Session

VISIBLE = ("JPN/ridge", "JPN/strait", "JPN/adsb", "JPN/ais")
HIDDEN = ("JPN/isle", "JPN/deep", "JPN/quiet")
FROM_USA = ("USA/picket", "USA/adsb")
SECONDS = 5.5
# Every step of it lets tracks leave. Longer than a node's own: what a pair can show does not lie in how often it is stepped.
STEP_NS = 500_000_000
GUESSED = 6  # the step in which KOR names warnings by guess
TRAFFIC = 0.3  # of the scenario's: small worlds, many of them


# What people do in a step (its number), by what their page shows: it names things by the ids of that very run.
People = Callable[[int, Pipeline], list[Input]]


class Journal(NamedTuple):
    """What goes into one run: the node's configuration, its inputs, step by step, people who act by what they see, the ally."""

    config: NodeConfig
    steps: tuple[tuple[int, tuple[Input, ...]], ...]
    people: tuple[People, ...] = ()
    ally: ni_ally.Ally = ni_ally.steady


def plan(seed: int) -> scenario.Scenario:
    """Return a small world with three more hidden sensors: a second isle radar for nobody, and an ADS-B receiver for USA."""
    whole = scenario.load("straits")
    corridors = tuple(msgspec.structs.replace(one, count=max(1, round(one.count * TRAFFIC))) for one in whole.corridor)
    by_id = {one.id: one for one in whole.sensor}
    deep = msgspec.structs.replace(
        by_id["JPN/isle"], id="JPN/deep", sac=210, sic=9, lat_deg=31.0, lon_deg=130.6, rel_to=(), level=3
    )
    quiet = msgspec.structs.replace(by_id["JPN/adsb"], id="JPN/quiet", lat_deg=32.0, rel_to=("USA",), level=2)
    return msgspec.structs.replace(whole, seed=seed, corridor=corridors, sensor=(*whole.sensor, deep, quiet))


@cache
def said(seed: int, seconds: float = SECONDS) -> tuple[tuple[tuple[str, FeedInput], ...], ...]:
    """Return what every sensor says in a world, step by step: made once, for whoever looks at a part of it."""
    whole = plan(seed)
    speaking = tuple(one for one in whole.sensor if one.id in (*VISIBLE, *HIDDEN, *FROM_USA))
    world, steps = World(msgspec.structs.replace(whole, sensor=speaking), T0_NS), []
    for k in range(round(seconds * 1e9 / STEP_NS)):
        now_ns = T0_NS + (k + 1) * STEP_NS
        told = [(one.sensor, one.data) for one in world.step(now_ns)]
        steps.append(
            tuple((who, FeedInput(source=provision.feed_of(who), received_t_ns=now_ns, data=data)) for who, data in told)
        )
    return tuple(steps)


def lines(seed: int, sensors: tuple[str, ...], seconds: float = SECONDS) -> list[list[FeedInput]]:
    """Return what some sensors say in a world, step by step."""
    return [[given for who, given in step if who in sensors] for step in said(seed, seconds)]


def at_ns(k: int) -> int:
    """Return when a step is."""
    return T0_NS + (k + 1) * STEP_NS


class Ground:
    """Configurations on disk once, and the worlds' lines once per seed."""

    def __init__(self, directory: Path, seconds: float = SECONDS) -> None:
        prepared = provision.prepare(plan(0), directory, MODE, T0_NS, random.Random(7).randbytes)
        self.configs = {nation: load(one.config) for nation, one in prepared.items()}
        self.visible = cache(lambda seed: lines(seed, VISIBLE, seconds))
        self.hidden = cache(lambda seed: lines(seed, HIDDEN, seconds))
        self.from_usa = cache(lambda seed: self._from_usa(seed, seconds))

    def _from_usa(self, seed: int, seconds: float) -> list[list[ReceivedInput]]:
        """Return what USA's node would send to JPN in a world: hidden from KOR, because nothing received is passed on."""
        pipeline = pipeline_of(self.configs["USA"])
        sequence, out = 0, []
        for k, said in enumerate(lines(seed, FROM_USA, seconds)):
            step: list[ReceivedInput] = []
            for one in pipeline.step(T0_NS + (k + 1) * STEP_NS, said).released:
                if one.audience == "JPN":
                    sequence += 1
                    step.append(ReceivedInput(exporter="USA", lane=one.lane, epoch=1, sequence=sequence, record=one.record))
            out.append(step)
        return out

    def base(self, seed: int) -> Journal:
        """Return a run whose hidden part is a world's own."""
        return self.joined(seed, self.hidden(seed), random.Random(seed))

    def joined(self, seed: int, hidden: list[list[Input]], rng: random.Random, config: NodeConfig | None = None) -> Journal:
        """Return a run of the visible inputs of a world, in their order, with hidden ones anywhere between them."""
        steps = []
        for k, (visible, more) in enumerate(zip(self.visible(seed), hidden, strict=True)):
            both: list[Input] = [*visible, *acts(k), *ni_events.for_kor(k)]
            if k == GUESSED:
                both += probing.guesses(T0_NS + (k + 1) * STEP_NS, 1)
            for one in more:
                both.insert(rng.randrange(len(both) + 1), one)
            steps.append((T0_NS + (k + 1) * STEP_NS, tuple(both)))
        return Journal(config or self.configs["JPN"], tuple(steps), (ni_people.BY_HAND,))

    def variants(self, seed: int) -> Iterator[tuple[str, Journal]]:
        """Yield runs that agree with `base(seed)` on what KOR may have, and differ in everything else, each in its way."""
        rng = random.Random(f"{seed}/sensors-gone")
        # First, because it is the cheapest and finds nearly every leak.
        yield "sensors-gone", self.joined(seed, silent(self, seed, rng), rng, without(self.configs["JPN"]))
        for name, change in CHANGES.items():
            rng = random.Random(f"{seed}/{name}")
            yield name, self.joined(seed, change(self, seed, rng), rng)
        rng = random.Random(f"{seed}/labels")
        yield "labels", self.joined(seed, self.hidden(seed), rng, relabelled(self.configs["JPN"], rng))
        rng = random.Random(f"{seed}/desk-and-ally")
        # One pair for both: what tells of either shows.
        yield (
            "desk-and-ally",
            self.joined(seed, self.hidden(seed), rng)._replace(
                people=(ni_desk.AT_THE_DESK, ni_people.BY_HAND, ni_ally.speaking(at_ns, 2, 6, 9)), ally=ni_ally.Wayward(rng)
            ),
        )


_read: dict[tuple[Path, ...], Agreements] = {}


def agreements_of(config: NodeConfig) -> Agreements:
    """Return a node's verified agreements, which no world changes: read once."""
    return _read.get(config.agreements) or _read.setdefault(config.agreements, setup.read_agreements(config))


def pipeline_of(config: NodeConfig) -> Pipeline:
    """Make a node's pipeline as it is at the start of the world."""
    policies = setup.policies(config, agreements_of(config), SECRET, DecisionLog())
    return Pipeline(setup.pipeline_settings(config), policies, T0_NS)


OFFICER = Session(user="watch-a", person="Watch officer A", station="st-1", session="s-1", roles=("watch-officer",))


def act(one: RaiseWarning | RetractWarning) -> ActInput:
    return ActInput(act=OfficerAct(session=OFFICER, act=one))


def acts(k: int) -> list[ActInput]:
    """Return the visible acts of a step: one warning for KOR and USA, raised in the third second."""
    if k != 5:
        return []
    return [act(RaiseWarning(act_id="seen", kind="test", headline="EXERCISE for both", rel_to=("KOR", "USA")))]


# Changes of the hidden part ----------------------------------------------------------------------------------------------

Steps = list[list[Input]]


def _fresh(steps: list[list[FeedInput]]) -> Steps:
    return [list(step) for step in steps]


def silent(ground: Ground, seed: int, rng: random.Random) -> Steps:
    """Hidden sensors say nothing."""
    del rng
    return [[] for _ in ground.visible(seed)]


def garbage(ground: Ground, seed: int, rng: random.Random) -> Steps:
    """Hidden feeds carry random bytes."""
    feeds = [provision.feed_of(one) for one in HIDDEN]
    return [
        [FeedInput(source=rng.choice(feeds), received_t_ns=0, data=rng.randbytes(rng.randrange(1, 400))) for _ in range(3)]
        for _ in ground.visible(seed)
    ]


def another_world(ground: Ground, seed: int, rng: random.Random) -> Steps:
    """Hidden sensors see another world."""
    return _fresh(ground.hidden(seed + 1 + rng.randrange(3)))


def flood(ground: Ground, seed: int, rng: random.Random) -> Steps:
    """Hidden sensors of several worlds speak at once, again and again."""
    worlds = [ground.hidden(seed + 1 + k) for k in range(2)]
    return [[one for world in worlds for one in world[k]] * rng.randrange(1, 3) for k in range(len(worlds[0]))]


def damaged(ground: Ground, seed: int, rng: random.Random) -> Steps:
    """Bytes of hidden feeds are cut, flipped and doubled."""

    def harm(one: FeedInput) -> FeedInput:
        raw = bytearray(one.data)
        for _ in range(rng.randrange(1, 4)):
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        return msgspec.structs.replace(one, data=bytes(raw[: rng.randrange(1, len(raw) + 1)]))

    return [[harm(one) for one in step if one.data] for step in ground.hidden(seed)]


def shuffled(ground: Ground, seed: int, rng: random.Random) -> Steps:
    """Hidden inputs come in another order, and some a step later."""
    steps: Steps = [[] for _ in ground.visible(seed)]
    for k, step in enumerate(ground.hidden(seed)):
        for one in step:
            steps[min(k + rng.randrange(2), len(steps) - 1)].append(one)
    for step in steps:
        rng.shuffle(step)
    return steps


def doubled_receiver(ground: Ground, seed: int, rng: random.Random) -> Steps:
    """The hidden ADS-B receiver hears half of the position messages that the visible one hears, of the same aircraft."""
    quiet = provision.feed_of("JPN/quiet")
    heard = provision.feed_of("JPN/adsb")
    return [
        [msgspec.structs.replace(one, source=quiet) for one in step if one.source == heard and rng.random() < 0.5]
        for step in ground.visible(seed)
    ]


def warnings(ground: Ground, seed: int, rng: random.Random) -> Steps:
    """People raise warnings for USA or for nobody, and take some back."""
    steps = _fresh(ground.hidden(seed))
    raised = 0
    for k, step in enumerate(steps):
        if rng.random() < 0.4:
            raised += 1
            to = rng.choice([("USA",), ()])
            step.append(act(RaiseWarning(act_id=f"h{k}", kind="test", headline=f"EXERCISE hidden {k}", rel_to=to)))
        elif raised and rng.random() < 0.3:
            name = f"JPN-W{rng.randrange(1, raised + 2)}"
            step.append(act(RetractWarning(act_id=f"r{k}", warning_id=name, version=9)))
    return steps


def events_for_usa(ground: Ground, seed: int, rng: random.Random) -> Steps:
    """People let records go to USA by signed events, and a duty to warn it stands."""
    return ni_events.for_usa(warnings(ground, seed, rng), rng)


def received(ground: Ground, seed: int, rng: random.Random) -> Steps:
    """USA sends what it releases to JPN, of this world or of another."""
    usa = ground.from_usa(seed if rng.random() < 0.5 else seed + 1)
    return [[*mine, *more] for mine, more in zip(ground.hidden(seed), usa, strict=True)]


def played_again(ground: Ground, seed: int, rng: random.Random) -> Steps:
    """Hidden feeds carry their first two seconds again and again, as a recording would: their sensors end in quarantine."""
    del rng
    begun = ground.hidden(seed)[: round(2e9 / STEP_NS)]
    return [
        [msgspec.structs.replace(one, received_t_ns=T0_NS + (k + 1) * STEP_NS) for one in begun[k % len(begun)]]
        for k in range(len(ground.visible(seed)))
    ]


def everything(ground: Ground, seed: int, rng: random.Random) -> Steps:
    """All of it together."""
    parts = [change(ground, seed, rng) for change in (flood, damaged, doubled_receiver, warnings, received)]
    return [[one for part in parts for one in part[k]] for k in range(len(parts[0]))]


CHANGES: dict[str, Callable[[Ground, int, random.Random], Steps]] = {
    one.__name__: one
    for one in (
        *(everything, warnings, flood, doubled_receiver, silent, garbage),
        *(another_world, damaged, shuffled, received, played_again, events_for_usa),
    )
}


def relabelled(config: NodeConfig, rng: random.Random, hidden: tuple[str, ...] = HIDDEN) -> NodeConfig:
    """Return a configuration whose hidden sensors have other labels, none of which lets KOR in."""

    def other(sensor: msgspec.Struct) -> msgspec.Struct:
        if sensor.id not in hidden:
            return sensor
        rel_to = rng.choice([(), ("USA",)])
        caveats = rng.choice([(), ("own-eyes",)])
        return msgspec.structs.replace(
            sensor, label=msgspec.structs.replace(sensor.label, level=rng.randrange(5), rel_to=rel_to, caveats=caveats)
        )

    return msgspec.structs.replace(config, sensor=tuple(other(one) for one in config.sensor))


def without(config: NodeConfig, hidden: tuple[str, ...] = HIDDEN) -> NodeConfig:
    """Return a configuration that has no hidden sensor and no feed of one."""
    feeds = {provision.feed_of(one) for one in hidden}
    return msgspec.structs.replace(
        config,
        sensor=tuple(one for one in config.sensor if one.id not in hidden),
        feed=tuple(one for one in config.feed if one.name not in feeds),
    )
