"""Checkpoint of the combined picture: who takes it over goes on as if it had been there."""

from __future__ import annotations

import numpy as np
import pytest
from fuse_world import START_NS, World

from trilat.fuse.combine import Combined, Combiner, PartnerItem

PARTNERS = ("KOR", "USA")


def sends(world: World, seed: int) -> dict[int, list[PartnerItem]]:
    """Give both partners' items by the half second they come at: up to five seconds late, shuffled, a fifth of them twice."""
    g = np.random.default_rng(seed)
    out: dict[int, list[PartnerItem]] = {}
    for t in range(24):
        for nation in PARTNERS:
            for item in world.items(nation, float(t), t):
                for _ in range(1 + (g.random() < 0.2)):
                    out.setdefault(2 * t + int(g.integers(1, 11)), []).append(item)
    return {step: [items[k] for k in g.permutation(len(items))] for step, items in out.items()}


def step(combiner: Combiner, world: World, k: int, arrivals: dict[int, list[PartnerItem]]) -> Combined:
    return combiner.step(START_NS + k * 10**9 // 2, world.tracks("JPN", k / 2), arrivals.get(k, ()))


@pytest.mark.parametrize("seed", range(4))
def test_a_picture_goes_on_from_its_checkpoint(seed: int) -> None:
    """From a checkpoint on, the same items - late, repeated, in any order - give the same bytes and members at every step."""
    world, arrivals = World(10, seed), sends(World(10, seed), seed)
    one, other = Combiner("JPN", PARTNERS), Combiner("JPN", PARTNERS)
    for k in range(30):
        step(one, world, k, arrivals)
    other.restore(one.checkpoint())
    assert one.checkpoint() == other.checkpoint()
    for k in range(30, 60):
        a, b = step(one, world, k, arrivals), step(other, world, k, arrivals)
        assert a.tracks.columns.tobytes() == b.tracks.columns.tobytes(), (seed, k)
        assert (a.members, a.evidence_sets) == (b.members, b.evidence_sets)


@pytest.mark.parametrize("seed", range(3))
def test_what_came_before_the_checkpoint_may_come_again(seed: int) -> None:
    """Everything sent since the beginning, sent once more on top of a checkpoint, changes nothing."""
    world, arrivals = World(10, seed), sends(World(10, seed), seed)
    one, other = Combiner("JPN", PARTNERS), Combiner("JPN", PARTNERS)
    for k in range(30):
        step(one, world, k, arrivals)
    other.restore(one.checkpoint())
    again = dict(arrivals)
    again[31] = [*arrivals.get(31, ()), *(item for k in range(30) for item in arrivals.get(k, ()))]
    for k in range(30, 40):
        a, b = step(one, world, k, arrivals), step(other, world, k, again)
        assert a.tracks.columns.tobytes() == b.tracks.columns.tobytes(), (seed, k)


def test_another_nations_checkpoint_is_refused() -> None:
    """A checkpoint of another nation is refused by name, and nothing is taken over."""
    with pytest.raises(ValueError, match="KOR"):
        Combiner("JPN", PARTNERS).restore(Combiner("KOR", ("JPN", "USA")).checkpoint())
