"""How a leak is planted into the product's own code, one at a time, so that the two-run test is seen to have teeth.

Each is a mistake that somebody could make, at the place where they would make it. `PLANTS` and `LAUNCH_PLANTS` map what is wrong to a function that
changes the product through a `Patch` and is undone with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from trilat.node.audience import AudiencePipeline
from trilat.node.pipeline import Pipeline
from trilat.records import codec
from trilat.records.released import Released
from trilat.records.track import Track


class Patch:
    """Attributes of the product that are changed until `undo`."""

    def __init__(self) -> None:
        self._undo: list[tuple[Any, str, Any]] = []

    def put(self, owner: Any, name: str, value: Any) -> None:
        """Replace one attribute."""
        self._undo.append((owner, name, owner.__dict__[name]))
        setattr(owner, name, value)

    def wrap(self, owner: Any, name: str, made: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """Replace a function by one made around it."""
        self.put(owner, name, made(getattr(owner, name)))

    def undo(self) -> None:
        """Give everything back, the last change first."""
        while self._undo:
            setattr(*self._undo.pop())


Plant = Callable[[Patch], None]


class LaunchPlant(NamedTuple):
    """A leak that shows in worlds with a launch: from which world on it is looked for, and whether after burn-out alone.

    first: the change that is tried before the others.
    """

    plant: Plant
    world: int
    late: bool
    first: str


# Those that show in worlds of traffic, and those that show in worlds with a launch.
PLANTS: dict[str, Plant] = {}
# Those that show in worlds with a duty to warn.
DUTY_PLANTS: dict[str, Plant] = {}
# Leaks in worlds of traffic of which one change is tried before the others.
FIRST: dict[str, str] = {}
LAUNCH_PLANTS: dict[str, LaunchPlant] = {}


def plant(plants: Plant) -> Plant:
    """Put a plant into the table under its own sentence."""
    PLANTS[(plants.__doc__ or "").split(".")[0]] = plants
    return plants


def plant_in(change: str) -> Callable[[Plant], Plant]:
    """Do the same for one that is looked for in a certain change before the others."""

    def planted(plants: Plant) -> Plant:
        FIRST[(plants.__doc__ or "").split(".")[0]] = change
        return plant(plants)

    return planted


def plant_of_launch(*, world: int = 0, late: bool = False, first: str = "") -> Callable[[Plant], Plant]:
    """Do the same for one that is looked for in worlds with a launch."""

    def planted(plants: Plant) -> Plant:
        LAUNCH_PLANTS[(plants.__doc__ or "").split(".")[0]] = LaunchPlant(plants, world, late, first)
        return plants

    return planted


def altered(one: Released, change: Callable[[Any], Any]) -> Released:
    return msgspec.structs.replace(one, record=codec.encode(change(codec.decode(one.record))))


def tracks_of(out: list[Released], change: Callable[[Track], Track]) -> list[Released]:
    return [altered(one, change) if one.record_type == "trilat.track/1" else one for one in out]


def every_track(patch: Patch, change: Callable[[AudiencePipeline, Any, Track], Track]) -> None:
    """Let `change(audience pipeline, all the node's batches, track)` alter every released track."""

    def around(step: Any) -> Any:
        def stepped(self: AudiencePipeline, now_ns: int, batches: Any) -> list[Released]:
            return tracks_of(step(self, now_ns, batches), lambda track: change(self, batches, track))

        return stepped

    patch.wrap(AudiencePipeline, "step", around)


def as_of(batch: Any, sensor: Any) -> Any:
    pedigree = msgspec.structs.replace(batch.pedigree, sensors=(sensor.id,))
    return msgspec.structs.replace(batch, pedigree=pedigree, label=sensor.label)


def pipelines(patch: Patch) -> dict[int, Pipeline]:
    """Let audience pipelines find the node's pipeline they belong to: the way to everything national."""
    found: dict[int, Pipeline] = {}

    def around(init: Any) -> Any:
        def made(self: Pipeline, *args: Any) -> None:
            init(self, *args)
            found.update((id(audience), self) for audience in self.audiences.values())
            found.update((id(tier), self) for audience in self.audiences.values() for tier in audience.tiers)

        return made

    patch.wrap(Pipeline, "__init__", around)
    return found
