"""Worlds with a launch for the two-run test: what KOR may see of it, what it may not, and changes of the latter.

JPN runs. KOR may have one high-looking radar and one infrared sensor; two radars and an infrared sensor are hidden from it, and
so is what USA sends. In both runs of a pair the open sensors see the same launch; what is hidden sees it too, or another, or
nothing. People act in both runs alike, by what their page shows: they issue to KOR, acknowledge, stand down.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import ni_ally
import ni_desk
import ni_people as people
import probing
from ni_world import Journal, People, Steps, pipeline_of, relabelled, without
from node_worlds import MODE, T0_NS

from trilat.exercise import provision, scenario
from trilat.exercise.world import World
from trilat.flights.launches import Launched, ScenarioLaunch
from trilat.node.config import load
from trilat.node.inputs import FeedInput, Input, ReceivedInput
from trilat.node.pipeline import Pipeline
from trilat.node.settings import NodeConfig
from trilat.picture.acts import AcknowledgeWarning

OPEN = ("JPN/early", "JPN/glint")
CLOSED = ("JPN/watch", "JPN/vault", "JPN/ember")
FROM_USA = ("USA/early",)
NS = 10**9
BEGIN_S, END_S = 28.0, 78.0  # of the world; the launch is at its beginning
AFTER_S = 700.0  # what comes last of all, when every proposal that waits has lapsed
# How long a step is: two looks of every sensor. What a pair can show does not lie in it; the long proof takes every look alone.
STEP_S, STEP_SOAK_S = 2.0, 1.0

# Into the sea, from the sea, near enough that the open radar sees the climb; a bearing, a range and an apogee a seed.
FLIGHTS = ((140.0, 200.0, 50.0), (125.0, 250.0, 60.0), (155.0, 220.0, 55.0))
# What hidden sensors alone see in some changes: elsewhere, another way.
ELSEWHERE = ScenarioLaunch(name="other", at_s=0.0, lat_deg=38.6, lon_deg=134.2, bearing_deg=60.0, range_km=600.0, apogee_km=150.0)
# One whose burn-out, and so its areas, come while hidden people act on it.
NEAR = ScenarioLaunch(name="near", at_s=0.0, lat_deg=38.6, lon_deg=134.2, bearing_deg=165.0, range_km=220.0, apogee_km=55.0)
# One onto KOR's coast, which its duty to warn lets it hear of.
ONTO_KOR = ScenarioLaunch(name="west", at_s=0.0, lat_deg=37.4, lon_deg=131.6, bearing_deg=262.0, range_km=235.0, apogee_km=55.0)


def launch(seed: int) -> ScenarioLaunch:
    """Return the launch that KOR may see part of, in a world."""
    bearing, range_km, apogee_km = FLIGHTS[seed % len(FLIGHTS)]
    return ScenarioLaunch(
        name="seen", at_s=0.0, lat_deg=36.9, lon_deg=131.7, bearing_deg=bearing, range_km=range_km, apogee_km=apogee_km
    )


def plan(seed: int, launches: tuple[ScenarioLaunch, ...]) -> scenario.Scenario:
    """Return a world of high-looking sensors alone: two that KOR may have, three hidden ones, USA's and KOR's."""
    whole = scenario.load("straits")
    by_id = {one.id: one for one in whole.sensor}
    radar, new = by_id["JPN/early"], msgspec.structs.replace
    cue = {"kind": "bearing", "sigma_azimuth_rad": 3e-4, "sigma_elevation_rad": 3e-4, "clutter_per_scan": 0.0}
    mine = (
        radar,
        new(radar, id="JPN/glint", lat_deg=34.6, lon_deg=131.6, **cue),
        new(radar, id="JPN/watch", lat_deg=36.1, lon_deg=133.2, rel_to=("USA",), level=2),
        new(radar, id="JPN/vault", lat_deg=37.5, lon_deg=136.7, rel_to=(), level=3),
        new(radar, id="JPN/ember", lat_deg=35.6, lon_deg=133.1, rel_to=(), level=3, **cue),
    )
    partners = tuple(by_id[name] for name in (*FROM_USA, "KOR/early"))
    return new(whole, seed=seed, corridor=(), sensor=(*mine, *partners), launch=launches)


@cache
def _flown(one: ScenarioLaunch) -> Launched:
    return Launched(one)


class Clock(NamedTuple):
    """When the steps of a world are: every `step_s` from BEGIN_S until `end_s` (seconds of the world)."""

    step_s: float
    end_s: float

    @property
    def count(self) -> int:
        """How many there are."""
        return round((self.end_s - BEGIN_S) / self.step_s)

    def at_ns(self, k: int) -> int:
        """Return when a step is."""
        return T0_NS + round((BEGIN_S + (k + 1) * self.step_s) * NS)

    def step(self, second: float) -> int:
        """Return the step that ends at a second of the world; it may lie beyond the last one."""
        return self.count if second == AFTER_S else round((second - BEGIN_S) / self.step_s) - 1


@cache
def said(clock: Clock, seed: int, launches: tuple[ScenarioLaunch, ...]) -> tuple[tuple[tuple[str, FeedInput], ...], ...]:
    """Return what every sensor says of some launches, step by step: made once, for whoever looks at a part of it."""
    world = World(plan(seed, launches), T0_NS)
    world.launched = tuple(_flown(one) for one in launches)
    world.step(T0_NS + round(BEGIN_S * NS))
    steps = []
    for k in range(clock.count):
        now_ns = clock.at_ns(k)
        told = [(one.sensor, one.data) for one in world.step(now_ns)]
        steps.append(
            tuple((who, FeedInput(source=provision.feed_of(who), received_t_ns=now_ns, data=data)) for who, data in told)
        )
    return tuple(steps)


LEAVE_UNTIL_NS = T0_NS + 3_600 * NS
GUESSED_S = 46.0  # when KOR names warnings by guess


def acting(clock: Clock, seed: int, *others: str) -> People:
    """Return what people do in both runs of a world: KOR's edition issued, acknowledged, taken back, put back, stood down.

    It is issued by two people, and in every other world by itself, by a leave that two people gave for KOR before. others:
    whom they tell the same in the same acts, which is hidden from KOR.
    """
    ann, ben, on_flight = people.ANN, people.BEN, people.on_flight
    before = {30.0: people.leave(ann, LEAVE_UNTIL_NS, "KOR", *others), 32.0: people.approve(ben, ann)}
    by_two = {66.0: on_flight(ann, people.issue("KOR", *others)), 68.0: people.approve(ben, ann)}
    always = {
        38.0: people.raised(ann, people.TO_PEOPLE, tuple(sorted(("KOR", "PUBLIC", *others)))),
        40.0: people.approve(ben, ann),
        48.0: on_flight(ann, people.seen),
        50.0: people.retracted(ben, people.TO_PEOPLE),
        64.0: people.raised(ben, people.AT_LAST, tuple(sorted(("KOR", *others)))),
        70.0: on_flight(ann, people.seen),
        72.0: on_flight(ann, people.take_back),
        74.0: on_flight(ben, people.reinstate),
        76.0: on_flight(ben, people.all_clear),
    }
    return at_seconds(clock, always | (before if by_leave(seed) else by_two))


def at_seconds(clock: Clock, doings: Mapping[float, people.Doing]) -> People:
    """Return people who do each thing in the step that ends at its second."""
    return people.at({clock.step(second): doing for second, doing in doings.items()})


def by_leave(seed: int) -> bool:
    """Tell whether KOR's edition is issued by a standing leave in a world."""
    return seed % 2 == 1


class LaunchGround:
    """Configurations on disk once, and the launches' lines once per seed: the same face as `Ground`."""

    def __init__(self, directory: Path, step_s: float = STEP_S, end_s: float = END_S) -> None:
        self.clock = Clock(step_s, end_s)
        prepared = provision.prepare(plan(0, (launch(0),)), directory, MODE, T0_NS, random.Random(7).randbytes)
        self.configs = {nation: load(one.config) for nation, one in prepared.items()}
        self.from_usa = cache(self._from_usa)

    def open(self, seed: int) -> Steps:
        """Return what sensors that KOR may have say, and what KOR says."""
        steps, guessed = self.lines(seed, (launch(seed),), OPEN), self.clock.step(GUESSED_S)
        steps[guessed] = [*steps[guessed], *probing.guesses(self.clock.at_ns(guessed), 1)]
        return steps

    def lines(self, seed: int, launches: tuple[ScenarioLaunch, ...], sensors: tuple[str, ...]) -> Steps:
        """Return what some sensors say of some launches, step by step."""
        return [[given for who, given in step if who in sensors] for step in said(self.clock, seed, launches)]

    def nothing(self) -> Steps:
        """Return that nobody says anything."""
        return [[] for _ in range(self.clock.count)]

    def hidden(self, seed: int, launches: tuple[ScenarioLaunch, ...]) -> Steps:
        """Return what hidden sensors say of some launches."""
        return self.lines(seed, launches, CLOSED)

    def _from_usa(self, seed: int) -> Steps:
        """Return what USA's node would send to JPN of the launch: plots, its own warning and its versions."""
        pipeline = pipeline_of(self.configs["USA"])
        sequence, out = 0, []
        for k, told in enumerate(self.lines(seed, (launch(seed),), FROM_USA)):
            step: list[Input] = []
            for one in pipeline.step(self.clock.at_ns(k), told).released:
                if one.audience == "JPN":
                    sequence += 1
                    step.append(ReceivedInput(exporter="USA", lane=one.lane, epoch=1, sequence=sequence, record=one.record))
            out.append(step)
        return out

    def base(self, seed: int) -> Journal:
        """Return a run in which hidden sensors see the launch that open ones see."""
        return self.joined(seed, self.hidden(seed, (launch(seed),)), random.Random(seed))

    def joined(
        self,
        seed: int,
        hidden: Steps,
        rng: random.Random,
        config: NodeConfig | None = None,
        people_: tuple[People, ...] = (),
        open_: Steps | None = None,
    ) -> Journal:
        """Return a run of the open inputs of a world (or of others), in their order, with hidden ones anywhere between them."""
        steps = []
        for k, (mine, more) in enumerate(zip(open_ or self.open(seed), hidden, strict=True)):
            both: list[Input] = list(mine)
            for one in more:
                both.insert(rng.randrange(len(both) + 1), one)
            steps.append((self.clock.at_ns(k), tuple(both)))
        steps.append((T0_NS + round(AFTER_S * NS), ()))
        return Journal(config or self.configs["JPN"], tuple(steps), people_ or (acting(self.clock, seed),))

    def variants(self, seed: int) -> Iterator[tuple[str, Journal]]:
        """Yield runs that agree with `base(seed)` on what KOR may have, and differ in everything else, each in its way."""
        rng = random.Random(f"{seed}/sensors-gone")
        yield "sensors-gone", self.joined(seed, self.nothing(), rng, without(self.configs["JPN"], CLOSED))
        for name, change in CHANGES.items():
            rng = random.Random(f"{seed}/{name}")
            hidden, who = change(self, seed, rng)
            yield name, self.joined(seed, hidden, rng, people_=who)
        rng = random.Random(f"{seed}/labels")
        yield "labels", self.joined(seed, self.hidden(seed, (launch(seed),)), rng, relabelled(self.configs["JPN"], rng, CLOSED))
        rng = random.Random(f"{seed}/desk-and-ally")
        # One pair for both: what tells of either shows. Of the other launch USA has no edition, or one of its own.
        sensors = rng.choice((CLOSED, CLOSED[1:]))
        speaks = ni_ally.speaking(self.clock.at_ns, *(self.clock.step(second) for second in (40.0, 60.0, 76.0)))
        yield (
            "desk-and-ally",
            self.joined(seed, self.lines(seed, (NEAR, launch(seed)), sensors), rng)._replace(
                people=(at_seconds(self.clock, ni_desk.about_a_flight(AFTER_S)), acting(self.clock, seed), speaks),
                ally=ni_ally.Wayward(rng),
            ),
        )


# Changes of the hidden part ----------------------------------------------------------------------------------------------

Hidden = tuple[Steps, tuple[People, ...]]  # what hidden sources say, and who acts (nobody named: as in the base)
Change = Callable[[LaunchGround, int, random.Random], Hidden]


def unseen(ground: LaunchGround, seed: int, rng: random.Random) -> Hidden:
    """Hidden sensors say nothing: the launch is seen by open ones alone."""
    del seed, rng
    return ground.nothing(), ()


def another(ground: LaunchGround, seed: int, rng: random.Random) -> Hidden:
    """Hidden sensors alone see another launch; of the one that KOR sees they say nothing."""
    del rng
    return ground.hidden(seed, (ELSEWHERE,)), ()


def both(ground: LaunchGround, seed: int, rng: random.Random) -> Hidden:
    """Hidden sensors see both launches."""
    del rng
    return ground.hidden(seed, (ELSEWHERE, launch(seed))), ()


def later(ground: LaunchGround, seed: int, rng: random.Random) -> Hidden:
    """Plots of hidden sensors join a flight that KOR has been told of: they begin to speak when it is under way."""
    since = ground.clock.step(rng.choice((42.0, 54.0, 66.0)))
    return [step if k >= since else [] for k, step in enumerate(ground.hidden(seed, (launch(seed),)))], ()


def beside(ground: LaunchGround, seed: int, rng: random.Random) -> Hidden:
    """Hidden sensors see the launch a few kilometres beside where it is."""
    moved = msgspec.structs.replace(launch(seed), lat_deg=launch(seed).lat_deg + rng.choice((-0.06, 0.06)))
    return ground.hidden(seed, (moved,)), ()


def crowd(ground: LaunchGround, seed: int, rng: random.Random) -> Hidden:
    """Hidden sensors say everything several times, damaged now and then, and what other worlds' sensors say beside it."""
    worlds = [ground.hidden(seed, (launch(seed),)), ground.hidden(seed + 1, (launch(seed), ELSEWHERE))]
    steps: Steps = []
    for k in range(ground.clock.count):
        step = [one for world in worlds for one in world[k] for _ in range(rng.randrange(1, 3))]
        steps.append([_harmed(one, rng) if rng.random() < 0.2 else one for one in step])
    return steps, ()


def _harmed(one: Input, rng: random.Random) -> Input:
    raw = bytearray(one.data) if isinstance(one, FeedInput) else bytearray()
    if not raw:
        return one
    raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    return msgspec.structs.replace(one, data=bytes(raw[: rng.randrange(1, len(raw) + 1)]))


def ally_speaks(ground: LaunchGround, seed: int, rng: random.Random) -> Hidden:
    """USA sends its plots of the launch and its own warning of it; an officer of JPN acknowledges that one to USA."""
    del rng
    usa, mine = ground.from_usa(seed), ground.hidden(seed, (launch(seed),))
    return [[*a, *b] for a, b in zip(mine, usa, strict=True)], (
        acting(ground.clock, seed),
        at_seconds(ground.clock, {66.0: _answers_usa}),
    )


def _answers_usa(pipeline: Pipeline) -> list[Input]:
    held = [one for (origin, _), one in pipeline.desk.hand._received.items() if origin == "USA"]
    acts = [AcknowledgeWarning(act_id=one.id, originator="USA", warning_id=one.id, version=one.version) for one in held]
    return [people.act(people.HIDDEN_ONE, one) for one in acts]


def separate_calls(ground: LaunchGround, seed: int, rng: random.Random) -> Hidden:
    """What USA and JPN tell one another: a flight issued to USA alone, by two and by standing leave; warnings for USA or nobody.

    And what KOR is told, USA is told as well, in the very same acts.
    """
    one, two = people.HIDDEN_ONE, people.HIDDEN_TWO
    whom = ("KOR", "USA") if by_leave(seed) else ("USA",)  # there is one leave; what it says for KOR stays
    late_s = rng.choice((46.0, 64.0, 70.0))
    doings = {
        34.0: people.leave(one, LEAVE_UNTIL_NS, *whom),
        36.0: people.approve(two, one),
        30.0: people.raised(one, "EXERCISE hidden from KOR", ("USA",)),
        32.0: people.raised(one, "EXERCISE hidden from all", ()),
        late_s: people.on_flight(one, people.issue("USA"), which=people.newest),
        late_s + 2.0: people.approve(two, one),
        62.0: people.retracted(one, "EXERCISE hidden from KOR"),
    }
    return ground.hidden(seed, (ELSEWHERE, launch(seed))), (acting(ground.clock, seed, "USA"), at_seconds(ground.clock, doings))


def all_at_once(ground: LaunchGround, seed: int, rng: random.Random) -> Hidden:
    """All of it together."""
    parts = [change(ground, seed, rng) for change in (crowd, ally_speaks, separate_calls)]
    # Those who act for KOR do it once, as in the last part.
    who = (*parts[1][1][1:], *parts[2][1])
    return [[one for part, _ in parts for one in part[k]] for k in range(ground.clock.count)], who


CHANGES: dict[str, Change] = {
    one.__name__: one for one in (all_at_once, later, both, another, unseen, separate_calls, ally_speaks, beside, crowd)
}
