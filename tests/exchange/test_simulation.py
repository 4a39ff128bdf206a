"""Seeded simulations over the real stores: bad networks, crashes, rollbacks, bad disks; afterwards everything is held exactly once."""

from collections import Counter
from pathlib import Path

import pytest
from fault_simulation import Simulation
from planted import PLANTS, found_after

# A few seeds in every test run, chosen so that together they reach every rare state below; many more by `make soak`.
SEEDS = (23, 32, 34, 47, 49)
RARE = (
    "crash",
    "rolled back",
    "resync",
    "second epoch",
    "duplicates by content",
    "superseded",
    "health down",
    "refused replayed",
)


def run(seed: int, directory: Path, seconds: float = 6.0) -> Simulation:
    """Run one seed; every fifth has three nations."""
    return Simulation(seed, directory, seconds=seconds, nations=("JPN", "KOR") if seed % 5 else ("JPN", "KOR", "USA")).run()


def test_after_healing_everything_is_held_exactly_once(tmp_path: Path) -> None:
    """For each seed nothing is lost, doubled, forged or out of order, heads are equal, logs are whole; and rare states were reached."""
    counts: Counter[str] = Counter()
    for seed in SEEDS:
        directory = tmp_path / str(seed)
        directory.mkdir()
        simulation = run(seed, directory, 3.0)
        assert [] == simulation.problems, f"seed {seed}"
        counts += simulation.counts
    assert [] == [state for state in RARE if not counts[state]], counts


def test_a_seed_reproduces_its_run(tmp_path: Path) -> None:
    """The same seed gives the same counts of everything twice, so that a failure can be looked at again."""
    seen = []
    for again in ("a", "b"):
        (tmp_path / again).mkdir()
        seen.append(run(9, tmp_path / again, 1.5).counts)
    assert seen[0] == seen[1]


# A planted bug and the seed that finds it at once.
QUICK_PLANTS = {
    "take a gap for the next batch": 0,
    "move it behind what waits": 1,
    "lose the queue's place of a replaced record": 1,
}


@pytest.mark.parametrize("plant", sorted(QUICK_PLANTS))
def test_a_planted_bug_is_found(tmp_path: Path, plant: str) -> None:
    """The simulation finds a planted bug with the seed that is known to find it: its judgement is awake."""
    assert 1 == found_after(plant, [QUICK_PLANTS[plant]], tmp_path, 5.0)


@pytest.mark.soak
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("plant", sorted(PLANTS))
def test_every_planted_bug_is_found(tmp_path: Path, plant: str) -> None:
    """Each planted bug is found within two hundred seeds."""
    assert None is not found_after(plant, range(200), tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(7_200)
def test_a_thousand_seeds(tmp_path: Path) -> None:
    """A thousand seeds hold every invariant."""
    for seed in range(1_000):
        directory = tmp_path / str(seed)
        directory.mkdir()
        assert [] == run(seed, directory).problems
