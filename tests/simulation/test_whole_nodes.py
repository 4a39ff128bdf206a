"""Tier B: three whole nodes in one process, from a sensor's bytes to a partner's step, under the same faults."""

import pytest
from click.testing import CliRunner

from trilat.cli import main


def run(*arguments: str) -> str:
    """Run tier B and return the last line; it must have held."""
    done = CliRunner().invoke(main, ["simulate", "--tier", "b", *arguments])
    assert 0 == done.exit_code, done.output[-4_000:]
    return done.stdout.splitlines()[-1]


@pytest.mark.timeout(1_800)
def test_twenty_seeds_of_whole_nodes_hold() -> None:
    """Twenty seeds hold every invariant, and each rare state of whole nodes is reached."""
    last = run("--seeds", "20", "--reach")
    assert last.startswith("simulate ok: seeds 0 to 19, tier b: 20 of 20 runs held every invariant"), last


def test_a_seed_that_found_something_holds() -> None:
    """Seed 207: a recovery's commit took numbers along without their books, and the lane stood still for ever after one more failure."""
    run("--seed", "207")


@pytest.mark.soak
@pytest.mark.timeout(36_000)
def test_two_thousand_seeds_of_whole_nodes_hold() -> None:
    """Two thousand seeds hold every invariant."""
    run("--seeds", "2000", "--reach")
