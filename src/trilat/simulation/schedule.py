"""Schedules: what happens in one simulated run, drawn from a seed or read from a file that a person can shorten.

A schedule holds everything that is not drawn while running: who takes part, how bad the network is, each clock, how much is
offered, and the events. Runs of one schedule and seed are equal; leaving out an event changes nothing of the others' dice.
"""

from __future__ import annotations

from random import Random
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from trilat.errors import ExerciseError
from trilat.records.fields import Trigraph
from trilat.simulation.nations import PREVIOUS_MINOR
from trilat.simulation.network import Faults
from trilat.transport.messages import MINOR

What = Literal[
    "crash",
    "power-cut",
    "copy",
    "rollback",
    "restore",
    "rebuild",
    "stall",
    "slow",
    "clock-jump",
    "cut",
    "cut-one-way",
    "flap",
    "disk-full",
    "disk-write",
    "disk-sync",
    "disk-readonly",
    "retain",
    "recall",
    "warn-all",
    "letter",
]
Seconds = Annotated[float, Meta(ge=0.0, le=86_400.0)]
SCHEDULE_BYTES_MAX = 1 << 20
TIERS = ("a", "b")


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One thing that happens to a node: at_s after the start, for for_s.

    with_: the other end of a cut; "" = everyone. amount: power-cut: writes and syncs until it strikes, 0 = at once; clock-jump:
    seconds; disk-full: bytes that still fit; slow: messages a second; retain: seconds of what is settled that are kept; restore:
    how many copies before the newest; recall: of what is not receipted, 1 receipted, 2 moved into a later epoch;
    warn-all: how many warnings of the people; letter: how many records through the hub.
    """

    at_s: Seconds
    what: What
    node: Trigraph
    for_s: Seconds = 0.0
    with_: str = msgspec.field(default="", name="with")
    amount: float = 0.0


class Clock(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How wrong a node's clock is: at the start, and how it drifts."""

    skew_s: Annotated[float, Meta(ge=-86_400.0, le=86_400.0)] = 0.0
    drift_ppm: Annotated[float, Meta(ge=-1_000.0, le=1_000.0)] = 0.0


class Schedule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run. load: records offered a second by each node, in bursts; large: share of flash too large for one reply.

    minor: who speaks an earlier minor version of the exchange's protocol than the newest, and which. hub: who carries letters
    between the other two, of three.
    """

    seed: Annotated[int, Meta(ge=0)]
    tier: Literal["a", "b"] = "a"
    nations: Annotated[tuple[Trigraph, ...], Meta(min_length=2, max_length=5)]
    seconds: Annotated[float, Meta(gt=0.0, le=86_400.0)]
    load: Annotated[float, Meta(ge=0.0, le=10_000.0)] = 30.0
    large: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.1
    network: Faults = Faults()
    clock: dict[Trigraph, Clock] = {}
    minor: dict[Trigraph, Annotated[int, Meta(ge=PREVIOUS_MINOR, le=MINOR)]] = {}
    hub: str = ""
    event: tuple[Event, ...] = ()


# How often each kind is drawn. A rollback brings its copy along.
WEIGHTS: dict[What, int] = {
    "crash": 4,
    "power-cut": 6,
    "rollback": 6,
    "rebuild": 1,
    "stall": 2,
    "slow": 2,
    "clock-jump": 1,
    "cut": 3,
    "cut-one-way": 3,
    "flap": 2,
    "disk-full": 2,
    "disk-write": 1,
    "disk-sync": 2,
    "disk-readonly": 1,
}
# This share of the seeds is also given what leads to a state that chance alone hardly ever reaches.
RARE_SHARE = {"a": 0.2, "b": 0.4}
# In this share of tier a's seeds nodes remove what is settled and old, each after its own time.
RETAIN_SHARE = 0.5
# In this share operators put backups in the place of one store or two.
RESTORE_SHARE = {"a": 0.15, "b": 0.2}
# In this share of tier a's seeds release officers take something back.
RECALL_SHARE = 0.3
# In this share of tier a's seeds the people are warned.
PEOPLE_SHARE = 0.3
# In this share of tier a's seeds of three nations one carries letters between the other two; nothing is recalled then.
HUB_SHARE = 0.4
# In this share one node still speaks the minor version before.
PREVIOUS_SHARE = 0.15
PAIRS = (("JPN", "KOR"), ("JPN", "USA"))
ALL = ("JPN", "KOR", "USA")


def draw(seed: int, tier: Literal["a", "b"] = "a", seconds: float | None = None) -> Schedule:
    """Return the schedule of a seed."""
    dice = Random(f"{seed}/schedule")
    span_s = seconds if seconds is not None else (1.5 if tier == "a" else 6.0)
    nations = ALL if tier == "b" or dice.random() < 0.2 else dice.choice(PAIRS)
    events: list[Event] = []
    for _ in range(dice.randrange(1, 6) if tier == "a" else dice.randrange(2, 5)):
        events += _events(dice, span_s, nations)
    load, large, network = dice.choice([10.0, 30.0, 30.0, 80.0]), dice.choice([0.0, 0.1, 0.3]), _network(dice)
    more = Random(f"{seed}/rare")
    if more.random() < RARE_SHARE[tier]:
        what = more.choice([_fork, _tangle] if tier == "a" else [_full])
        events += what(more, span_s, nations)
        if what is _fork:
            load, network = 80.0, msgspec.structs.replace(network, replay=0.2, bytes_per_s=0.0)
    if tier == "a":
        events += _retention(Random(f"{seed}/retain"), span_s, nations)
        recalls = Random(f"{seed}/recalls")
        if recalls.random() < RECALL_SHARE:
            how = recalls.choice([_recalls, _recalls, _moved, _overtaken])
            events += how(recalls, span_s, nations)
            if how is _overtaken:
                network = msgspec.structs.replace(network, delay_ms=(0.1, 20.0), reorder=0.3, bytes_per_s=0.0)
        events += _people(Random(f"{seed}/warned"), span_s, nations)
    backups = Random(f"{seed}/restored")
    if backups.random() < RESTORE_SHARE[tier]:
        events += _restored(backups, tier, span_s, nations)
    previous, minor = Random(f"{seed}/version"), {}
    if previous.random() < PREVIOUS_SHARE:
        minor = {previous.choice(nations): PREVIOUS_MINOR}
        if tier == "a":
            events += previous.choice([_apart, _apart, _beginning])(previous, span_s, nations)
    letters, hub = Random(f"{seed}/hub"), ""
    if tier == "a" and nations == ALL and letters.random() < HUB_SHARE:
        hub = letters.choice(nations)
        events = [one for one in events if one.what != "recall"] + _letters(letters, span_s, nations, hub)
    return Schedule(
        seed=seed,
        tier=tier,
        nations=nations,
        seconds=span_s,
        load=load,
        large=large,
        network=network,
        clock={n: Clock(skew_s=round(dice.uniform(-5, 5), 3), drift_ppm=round(dice.uniform(-200, 200), 1)) for n in nations},
        minor=minor,
        hub=hub,
        event=tuple(sorted(events, key=lambda one: (one.at_s, one.node, one.what))),
    )


def _network(dice: Random) -> Faults:
    return Faults(
        delay_ms=(0.1, dice.choice([1.0, 20.0, 150.0])),
        loss=dice.choice([0.0, 0.0, 0.02, 0.2]),
        duplicate=dice.choice([0.0, 0.05, 0.2]),
        reorder=dice.choice([0.0, 0.05, 0.3]),
        corrupt=dice.choice([0.0, 0.0, 0.02]),
        replay=dice.choice([0.0, 0.0, 0.05]),
        misdirect=dice.choice([0.0, 0.0, 0.05]),
        forge=dice.choice([0.0, 0.0, 0.05]),
        bytes_per_s=dice.choice([0.0, 0.0, 32_000.0]),
    )


def _events(dice: Random, span_s: float, nations: tuple[str, ...]) -> list[Event]:
    what = dice.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    node, at_s = dice.choice(nations), round(dice.uniform(0.05, span_s), 3)
    for_s = round(dice.uniform(0.0, 1.2) if what != "flap" else dice.uniform(0.4, 1.5), 3)
    amount = {
        "power-cut": float(dice.choice([0, dice.randrange(1, 400)])),
        "clock-jump": round(dice.uniform(-40, 40), 3),
        "disk-full": float(dice.choice([0, 20_000])),
        "slow": float(dice.choice([5, 20])),
    }.get(what, 0.0)
    others = [one for one in nations if one != node]
    with_ = dice.choice(["", *others]) if what in {"cut", "cut-one-way", "flap"} else ""
    made = [Event(at_s=at_s, what=what, node=node, for_s=for_s, with_=with_, amount=amount)]
    if what == "rollback":
        # Often to a copy that is hardly older, sometimes twice to the same: both ends then hold parts of several branches.
        copy_s = round(max(at_s - dice.choice([0.1, 0.4, dice.uniform(0, span_s)]), 0.0), 3)
        made.append(Event(at_s=copy_s, what="copy", node=node))
        again_s = round(at_s + for_s + dice.uniform(0.1, 0.8), 3)
        if dice.random() < 0.7 and again_s < span_s:
            made.append(Event(at_s=again_s, what=dice.choice(["rollback", "rebuild"]), node=dice.choice(nations), for_s=0.1))
    return made


def _retention(dice: Random, span_s: float, nations: tuple[str, ...]) -> list[Event]:
    """Let each node keep what is settled for a time of its own, short or long, and remove it a few times."""
    if dice.random() >= RETAIN_SHARE:
        return []
    made = []
    for node in nations:
        keep_s = round(dice.choice([0.02, 0.2, 1.0]) * span_s, 3)
        times = dice.randrange(0, 4)
        made += [
            Event(at_s=round(dice.uniform(0.1, 1.0) * span_s, 3), what="retain", node=node, amount=keep_s) for _ in range(times)
        ]
    return made


def _fork(dice: Random, span_s: float, nations: tuple[str, ...]) -> list[Event]:
    """Let an exporter number twice: what it said into a cut is taken back with its store, and replayed later."""
    node, other = dice.sample(nations, 2)
    at_s = round(dice.uniform(0.2, 0.4) * span_s, 3)
    return [
        Event(at_s=at_s, what="copy", node=node),
        Event(at_s=at_s, what="cut-one-way", node=node, for_s=0.3, with_=other),
        Event(at_s=round(at_s + 0.25, 3), what="rollback", node=node, for_s=0.0),
    ]


def _tangle(dice: Random, span_s: float, nations: tuple[str, ...]) -> list[Event]:
    """Let an exporter and an importer go back and lose their stores in turn, so that several epochs hold the same records."""
    node, other = dice.sample(nations, 2)
    at_s, events = 0.2 * span_s, []
    for _ in range(2):
        copy_s = at_s + dice.uniform(0.0, 0.1) * span_s
        back_s = copy_s + dice.uniform(0.05, 0.15) * span_s
        at_s = back_s + dice.uniform(0.1, 0.2) * span_s
        lost: What = dice.choice(("rebuild", "rebuild", "rollback"))
        events += [
            Event(at_s=round(copy_s, 3), what="copy", node=node),
            Event(at_s=round(copy_s, 3), what="copy", node=other),
            Event(at_s=round(back_s, 3), what="rollback", node=node),
            Event(at_s=round(at_s, 3), what=lost, node=other),
        ]
    return events


def _restored(dice: Random, tier: str, span_s: float, nations: tuple[str, ...]) -> list[Event]:
    """Let an operator restore a backup, or two of them theirs, of before what the partner's retention has removed meanwhile."""
    node, other = dice.sample(nations, 2)

    def at(low: float, high: float) -> float:
        return round(dice.uniform(low, high) * span_s, 3)

    events = [Event(at_s=at(*when), what="copy", node=one) for one in (node, other) for when in ((0.1, 0.3), (0.35, 0.5))]
    if tier == "a":
        events += [Event(at_s=at(*when), what="warn-all", node=node, amount=1.0) for when in ((0.0, 0.1), (0.9, 1.0))]
        events += [
            Event(at_s=at(0.5, 0.6), what="retain", node=one, amount=0.02) for one in dice.choice([(other,), (node, other)])
        ]
    for one in dice.choice([(node,), (node, other), (node, other)]):
        back = float(dice.randrange(2))
        events.append(Event(at_s=at(0.6, 0.85), what="restore", node=one, for_s=round(dice.uniform(0.0, 0.3), 3), amount=back))
    return events


def _recalls(dice: Random, span_s: float, nations: tuple[str, ...]) -> list[Event]:
    """Let officers take back what waits for its receipt, what was receipted, and what has moved into a later epoch."""
    times = [round(dice.uniform(0.2, 1.0) * span_s, 3) for _ in range(dice.randrange(2, 7))]
    return [Event(at_s=at_s, what="recall", node=dice.choice(nations), amount=float(dice.randrange(3))) for at_s in times]


def _people(dice: Random, span_s: float, nations: tuple[str, ...]) -> list[Event]:
    """Let one nation warn everyone, a few times."""
    if dice.random() >= PEOPLE_SHARE:
        return []
    node, times = dice.choice(nations), [round(dice.uniform(0.05, 1.0) * span_s, 3) for _ in range(dice.randrange(2, 6))]
    return [Event(at_s=at_s, what="warn-all", node=node, amount=float(dice.randrange(1, 4))) for at_s in times]


def _letters(dice: Random, span_s: float, nations: tuple[str, ...], hub: str) -> list[Event]:
    """Let the other two write to one another through a hub."""
    writers = [one for one in nations if one != hub]
    times = [round(dice.uniform(0.05, 1.0) * span_s, 3) for _ in range(6)]
    return [Event(at_s=at_s, what="letter", node=dice.choice(writers), amount=float(dice.randrange(1, 5))) for at_s in times]


def _moved(dice: Random, span_s: float, nations: tuple[str, ...]) -> list[Event]:
    """Let both ends go back to backups of which the exporter's knows more, and take back what has moved on into the new epoch."""
    node, other = dice.sample(nations, 2)

    def at(low: float, high: float) -> float:
        return round(dice.uniform(low, high) * span_s, 3)

    events = [Event(at_s=at(0.15, 0.3), what="copy", node=other), Event(at_s=at(0.4, 0.5), what="copy", node=node)]
    events += [Event(at_s=at(0.5, 0.55), what="restore", node=one) for one in (node, other)]
    return events + [Event(at_s=at(0.6, 1.0), what="recall", node=node, amount=2.0) for _ in range(4)]


def _apart(dice: Random, span_s: float, nations: tuple[str, ...]) -> list[Event]:
    """Let an exporter go back twice to one copy, and its importer before that in between: their epochs part, one by one."""
    node, other = dice.sample(nations, 2)

    def at(low: float, high: float) -> float:
        return round(dice.uniform(low, high) * span_s, 3)

    goes: What = dice.choice(("restore", "rollback"))
    return [
        Event(at_s=at(0.2, 0.3), what="copy", node=other),
        Event(at_s=at(0.4, 0.5), what="copy", node=node),
        Event(at_s=at(0.5, 0.55), what="restore", node=node),
        Event(at_s=at(0.5, 0.55), what="rollback", node=other),
        Event(at_s=at(0.75, 0.9), what=goes, node=node),
    ]


def _beginning(dice: Random, span_s: float, nations: tuple[str, ...]) -> list[Event]:
    """Let an importer lose its store when its exporter has removed what was settled, and says little more."""
    node, other = dice.sample(nations, 2)
    at_s = round(dice.uniform(0.8, 0.9) * span_s, 3)
    return [Event(at_s=at_s, what="retain", node=node), Event(at_s=round(0.98 * span_s, 3), what="rebuild", node=other)]


def _overtaken(dice: Random, span_s: float, nations: tuple[str, ...]) -> list[Event]:
    """Take back so often what has just left, on a network that holds messages back, that a recall comes before what it names."""
    times = [round(dice.uniform(0.2, 1.0) * span_s, 3) for _ in range(8)]
    return [Event(at_s=at_s, what="recall", node=dice.choice(nations)) for at_s in times]


def _full(dice: Random, span_s: float, nations: tuple[str, ...]) -> list[Event]:
    """Fill a disk to the last byte for a while."""
    at_s = round(dice.uniform(0.2, 0.5) * span_s, 3)
    return [Event(at_s=at_s, what="disk-full", node=dice.choice(nations), for_s=round(0.4 * span_s, 3))]


def encode(schedule: Schedule) -> bytes:
    """Return a schedule as TOML, for a file."""
    return msgspec.toml.encode(schedule)


def decode(raw: bytes, name: str) -> Schedule:
    """Return the schedule in a file; raises ExerciseError (schedule-unreadable)."""
    if len(raw) > SCHEDULE_BYTES_MAX:
        raise ExerciseError("schedule-unreadable", f"{name}: more than {SCHEDULE_BYTES_MAX} bytes.")
    try:
        made = msgspec.toml.decode(raw, type=Schedule)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ExerciseError("schedule-unreadable", f"{name}: {error}.") from error
    if made.hub and (made.hub not in made.nations or len(made.nations) != len(ALL)):
        raise ExerciseError("schedule-unreadable", f"{name}: a hub {made.hub!r} of {made.nations}.")
    unknown = sorted({one.node for one in made.event} - set(made.nations))
    if unknown or len(set(made.nations)) != len(made.nations):
        raise ExerciseError("schedule-unreadable", f"{name}: events of {unknown or made.nations}, who do not take part once.")
    return made
