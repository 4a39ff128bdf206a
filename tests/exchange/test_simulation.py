"""Seeded simulations over the real stores: bad networks, crashes, rollbacks, bad disks; afterwards everything is held exactly once."""

from collections import Counter
from pathlib import Path

import pytest
from fault_simulation import Simulation

from trilat.exchange.exporter import Exporter

# A few seeds in every test run, chosen so that together they reach every rare state below; many more by `make soak`.
SEEDS = (0, 3, 5, 7, 9, 65, 73)
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
        simulation = run(seed, directory, 4.0)
        assert [] == simulation.problems, f"seed {seed}"
        counts += simulation.counts
    assert [] == [state for state in RARE if not counts[state]], counts


def test_a_seed_reproduces_its_run(tmp_path: Path) -> None:
    """The same seed gives the same counts of everything twice, so that a failure can be looked at again."""
    seen = []
    for again in ("a", "b"):
        (tmp_path / again).mkdir()
        seen.append(run(9, tmp_path / again, 2.0).counts)
    assert seen[0] == seen[1]


def test_a_planted_fault_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exporter that forgets to mark what it moved into a new epoch sends it twice, and a seed finds it."""
    monkeypatch.setattr(Exporter, "_holds", lambda *_: True)
    monkeypatch.setattr("trilat.exchange.intake.Intake._known", lambda *_: False)
    problems: list[str] = []
    for seed in (7, 9, 11, 65, 3):
        (tmp_path / str(seed)).mkdir()
        problems += run(seed, tmp_path / str(seed), 6.0).problems
        if problems:
            break
    assert problems


@pytest.mark.soak
@pytest.mark.timeout(7_200)
def test_a_thousand_seeds(tmp_path: Path) -> None:
    """A thousand seeds hold every invariant."""
    for seed in range(1_000):
        directory = tmp_path / str(seed)
        directory.mkdir()
        assert [] == run(seed, directory).problems
