"""Worlds with a standing duty to warn KOR: flights that it does not see, of which its duty lets one coarse product go.

In both runs of a pair the product is the same at every tick: which areas of KOR, between which whole minutes. So are the signed
event, KOR's own edition of one flight, and two officers' acts that end one. Everything else differs: where exactly, how sure, of
which class, seen by which sensors, at which level as far as the duty goes, in which order, when the nation knew it within a tick,
how many flights it takes them for, what officers issue, acknowledge and tell USA, and flights that the duty does not cover.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import ni_events
import ni_people as people
from ni_world import Ground, Journal, People
from node_worlds import MODE, T0_NS
from observe import Run

from trilat.node.inputs import AssessedInput, EventInput, Input
from trilat.node.people import signed
from trilat.node.pipeline import Pipeline
from trilat.outward.events import Wanted
from trilat.policy.labels import make
from trilat.records.assessment import Assessment, ClassProbability, Ellipse, LandingEstimate, LaunchEstimate, TouchedArea
from trilat.records.label import Label
from trilat.records.report import Pedigree
from trilat.records.warning import Warning
from trilat.warn.areas import shipped_layer

NS = 10**9
STEP_S, END_S, TICK_S = 5, 155, 10
LEVEL_MAX = 3  # of the duty
KOREAN = ("KR-11", "KR-26", "KR-42", "KR-46", "KR-49")
JAPANESE = ("JP-13", "JP-32", "JP-40")
MINUTE = 60


class Part(NamedTuple):
    """Told at a tick (its second): which areas of KOR a flight may come down in, between which minutes of the world's hour."""

    told_s: int
    areas: dict[str, tuple[int, int]]


class Flight(NamedTuple):
    """What the duty lets go of a flight, in its parts, and where it is (far from all others)."""

    number: int
    lat_deg: float
    parts: tuple[Part, ...]


# One that moves and is no threat any more; one of which KOR gets an edition of its own; one whose time is over; one that officers
# take back; two that are one to KOR.
SCRIPT = (
    Flight(1, -60.0, (Part(20, {"KR-11": (4, 8), "KR-42": (5, 8)}), Part(50, {"KR-42": (5, 9)}), Part(70, {}))),
    Flight(2, -30.0, (Part(30, {"KR-26": (3, 6)}),)),
    Flight(3, 0.0, (Part(40, {"KR-46": (1, 2)}),)),
    Flight(4, 30.0, (Part(100, {"KR-49": (6, 9)}),)),
    Flight(5, 60.0, (Part(130, {"KR-11": (4, 6)}),)),
)
# What KOR's own pipeline makes of two of them, and from when on; when officers take one back.
OWN = {55: Flight(2, -30.0, (Part(0, {"KR-26": (3, 6)}),)), 135: Flight(5, 60.0, (Part(0, {"KR-11": (4, 6)}),))}
RETRACTED_S = 110
FOR_KOR = (2, 4, 5)  # flights about which people act for KOR, or not at all
HOUR_NS = T0_NS - T0_NS % (60 * NS)  # where the world's minutes begin
_AREAS = {one.id: one for one in shipped_layer().areas}


def touched(name: str, start_s: float, end_s: float, probability: float, touch: str = "landing") -> TouchedArea:
    area = _AREAS[name]
    return msgspec.convert(
        {"id": name, "kind": area.kind, "nation": area.nation, "name_en": area.name_en, "name_ja": area.name_ja}
        | {"name_ko": area.name_ko, "touch": touch, "probability": probability}
        | {"t_from_ns": HOUR_NS + round(start_s * NS), "t_to_ns": HOUR_NS + round(end_s * NS)},
        TouchedArea,
    )


class Unlike:
    """Draws what differs between the runs of a pair."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def label(self, level_max: int = LEVEL_MAX) -> Label:
        """Return a label that lets KOR have nothing of itself, at a level that the duty covers."""
        rel_to = self._rng.choice(((), ("USA",)))
        return make(
            policy="TRILAT", originator="JPN", mode=MODE, level=self._rng.randrange(level_max + 1), rel_to=rel_to,
            topics=("missile-warning",), sources=("JPN",), caveats=self._rng.choice(((), ("own-eyes",))),
        )  # fmt: skip

    def areas(self, theirs: dict[str, tuple[int, int]]) -> tuple[TouchedArea, ...]:
        """Return areas with one product for KOR: times anywhere within the minutes, and more that is not told to it."""
        rng = self._rng
        out = [
            touched(name, start * MINUTE + rng.uniform(0.5, 59), end * MINUTE - rng.uniform(0.5, 59), rng.uniform(0.02, 1))
            for name, (start, end) in theirs.items()
        ]
        out += [
            touched(name, 200, 400 + rng.uniform(0, 99), rng.uniform(0, 1)) for name in rng.sample(JAPANESE, rng.randrange(3))
        ]
        out += [
            touched(name, 300, 400, rng.uniform(0, 0.009)) for name in rng.sample(KOREAN, rng.randrange(3)) if name not in theirs
        ]
        out += [touched(name, 250, 300, 0.5, "overflight") for name in rng.sample(KOREAN, rng.randrange(3))]
        rng.shuffle(out)
        return tuple(out)

    def assessment(self, at_s: float, flight: Flight, stream: str, areas: tuple[TouchedArea, ...], label: Label) -> Assessment:
        """Return what is made of a flight at a second."""
        rng, t_ns = self._rng, T0_NS + round(at_s * NS)
        size = Ellipse(semi_major_m=rng.uniform(9e3, 30e3), semi_minor_m=rng.uniform(3e3, 8e3), bearing_deg=rng.uniform(0, 359))
        place = {"lat_deg": flight.lat_deg + rng.uniform(-0.05, 0.05), "lon_deg": 130.0 + rng.uniform(-0.05, 0.05)}
        return Assessment(
            stream=stream, flight=flight.number, sequence=round(at_s * 100), t_ns=t_ns, label=label, state="assessed",
            pedigree=Pedigree(nation="JPN", sensors=tuple(sorted(rng.sample(("JPN/deep", "JPN/isle", "JPN/quiet"), 2)))),
            phase="coast", confidence=rng.uniform(0.3, 1), boosting=0.0, track=rng.randrange(99), updated_t_ns=t_ns,
            first_t_ns=T0_NS + round(rng.uniform(0, 2) * NS), alt_m=1e5, speed_m_s=rng.uniform(2e3, 4e3), heading_deg=80.0,
            classes=(ClassProbability(name=rng.choice(("SRBM", "MRBM", "IRBM")), probability=rng.uniform(0.4, 1)),),
            launch=LaunchEstimate(**place, t_ns=T0_NS, sigma_s=rng.uniform(1, 3), ellipse95=size),
            landing=LandingEstimate(
                **place, t_ns=T0_NS + 350 * NS, t_from_ns=T0_NS + 300 * NS, t_to_ns=T0_NS + 400 * NS, ellipse50=size,
                ellipse95=size, reliable=rng.random() < 0.7,
            ),
            areas=areas, **place,
        )  # fmt: skip


def standing() -> EventInput:
    """Return KOR's duty to warn, called upon by two people in advance."""
    duty = {"topics": ("missile-warning",), "level_max": LEVEL_MAX, "agreement": "trilateral", "agreement_version": 1}
    return signed(Wanted(ni_events.event("duty", "life-safety", "KOR", **duty)), ni_events.KEY)


def flown(unlike: Unlike, rng: random.Random) -> dict[int, list[Input]]:
    """Return what the nation makes of the flights, by the second: the product of every tick is the script's."""
    given: dict[int, list[Input]] = {}
    for flight in SCRIPT:
        last: dict[str, tuple[int, int]] = {}
        for part in flight.parts:
            # Known at any second that is told at the tick; several times, or once.
            seconds = rng.sample(range(part.told_s - STEP_S - TICK_S, part.told_s - STEP_S), rng.randrange(1, 4))
            for second in sorted(seconds):
                areas = unlike.areas(part.areas)
                for whose in ("own", "national"):
                    one = unlike.assessment(second + rng.random(), flight, f"JPN/{whose}", areas, unlike.label())
                    given.setdefault(second, []).append(AssessedInput(audience=whose, assessment=one))
            last = part.areas
        for second in rng.sample(range(part.told_s, END_S - STEP_S), 3):
            one = unlike.assessment(second, flight, "JPN/own", unlike.areas(last), unlike.label())
            given.setdefault(second, []).append(AssessedInput(audience="own", assessment=one))
    return given


def twin(unlike: Unlike, rng: random.Random) -> dict[int, list[Input]]:
    """Return, now and then, the third flight a second time: how many the nation takes it for is not told."""
    if rng.random() < 0.5:
        return {}
    flight, areas = Flight(13, 0.0, ()), {"KR-46": (1, 2)}
    one = unlike.assessment(30, flight, "JPN/own", unlike.areas(areas), unlike.label())
    return {30: [AssessedInput(audience="own", assessment=one)]}


def not_covered(unlike: Unlike, rng: random.Random) -> dict[int, list[Input]]:
    """Return flights that the duty lets nothing go of: too high, no launch, one sensor's word, somewhere else."""
    given: dict[int, list[Input]] = {}
    for k in range(rng.randrange(1, 5)):
        flight, second = Flight(20 + k, 80.0, ()), rng.randrange(14, 110)
        theirs = {"KR-41": (4, 9)} if k % 2 == 0 else {}
        label = msgspec.structs.replace(unlike.label(), level=4) if theirs else unlike.label()
        one = unlike.assessment(second, flight, "JPN/own", unlike.areas(theirs), label)
        given.setdefault(second, []).append(AssessedInput(audience="own", assessment=one))
        odd = msgspec.structs.replace(
            one, flight=40 + k, state=rng.choice(("unconfirmed", "dropped")), areas=unlike.areas({"KR-31": (4, 9)})
        )
        given[second].append(AssessedInput(audience="own", assessment=msgspec.structs.replace(odd, label=unlike.label())))
    return given


def kors_own(flight: Flight, second: int) -> Input:
    """Return KOR's own pipeline's word on a flight: the same in both runs, as all that it may have is."""
    label = make(
        policy="TRILAT", originator="JPN", mode=MODE, level=1, rel_to=("KOR",), topics=("missile-warning",), sources=("JPN",)
    )
    areas = tuple(touched(name, start * MINUTE, end * MINUTE, 0.4) for name, (start, end) in flight.parts[0].areas.items())
    one = Unlike(random.Random(second)).assessment(second, flight, "JPN/launches-KOR", areas, label)
    pedigree = Pedigree(nation="JPN", sensors=("JPN/ridge",))
    return AssessedInput(audience="KOR", assessment=msgspec.structs.replace(one, pedigree=pedigree))


def of_flight(number: int):  # noqa: ANN201
    """Return what finds the national warning of a flight."""

    def found(pipeline: Pipeline, _: str) -> Warning | None:
        one = pipeline.desk.books.standing("national", ("JPN/national", number))
        return None if one is None else one.warning

    return found


def officers(rng: random.Random, *, act: bool) -> tuple[People, ...]:
    """Return people who take the fourth flight back in both runs; act: and in one do this and that about others."""
    who = [people.at({RETRACTED_S // STEP_S: people.on_flight(people.ANN, people.take_back, which=of_flight(4))})]
    for number in (one.number for one in SCRIPT if act and one.number not in FOR_KOR):
        at, which = rng.randrange(5, 26), of_flight(number)
        doings = {
            at: people.on_flight(people.HIDDEN_ONE, people.issue("USA"), which=which),
            at + 1: people.approve(people.HIDDEN_TWO, people.HIDDEN_ONE),
            at + 2: people.on_flight(people.HIDDEN_ONE, people.seen, which=which),
        }
        who.append(people.at(doings))
    return tuple(who)


class DutyRun(Run):
    """A run whose exchange ticks once a step: what the duty tells leaves on a tick of its own."""

    ticks = 1


class DutyGround:
    """The same face as `Ground`."""

    def __init__(self, ground: Ground) -> None:
        self._config = ground.configs["JPN"]

    def journal(self, seed: str, *, act: bool) -> Journal:
        """Return a run whose hidden part is drawn from a seed."""
        rng = random.Random(seed)
        unlike, hidden = Unlike(rng), {}
        for more in (flown(unlike, rng), twin(unlike, rng), not_covered(unlike, rng) if act else {}):
            for second, inputs in more.items():
                hidden.setdefault(second, []).extend(inputs)
        steps: list[tuple[int, tuple[Input, ...]]] = []
        for second in range(STEP_S, END_S, STEP_S):
            given = [one for at in range(second - STEP_S, second) for one in hidden.get(at, ())]
            given += [standing()] if second == STEP_S else []
            given += [kors_own(one, second) for since, one in OWN.items() if since <= second <= since + TICK_S]
            steps.append((T0_NS + second * NS, tuple(given)))
        return Journal(self._config, tuple(steps), officers(rng, act=act))

    def base(self, seed: int) -> Journal:
        """Return a run in which nobody acts on the flights but to take one back."""
        return self.journal(f"{seed}/base", act=False)

    def variants(self, seed: int) -> Iterator[tuple[str, Journal]]:
        """Yield runs with the same coarse product in which everything else differs."""
        yield "otherwise", self.journal(f"{seed}/otherwise", act=False)
        yield "and-officers-act", self.journal(f"{seed}/acts", act=True)
