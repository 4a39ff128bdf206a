"""Planted bugs are found: the simulation's judgement is awake."""

import pytest
from planted import PLANTS, PROTOCOL, SQLITE, found

# Each planted bug is found within this many seeds; `python tests/simulation/planted.py` prints how many each takes.
SEEDS_MAX = 300
# Found by the first seeds, so that every test run sees it.
QUICK = (
    "sent although the commit failed",
    "commit without what the log holds",
    "replaced record not written",
    "synchronous NORMAL: no fsync of the WAL",
    "hand-over never kept",
    "epoch forgotten after a rollback",
    "replay accepted",
    "gap taken for the next",
    "number before pull",
    "wrong audience accepted",
    "payload not compared with its header",
    "plots superseded",
    "moved behind what waits",
    "counted as handed on when taken",
    "retention takes what no partner has receipted",
    "loss not told",
    "newest place taken for common unseen",
    "restored store not marked",
    "recall marked and not told",
    "recall told twice",
    "warning of the people waits for a pull",
)
QUICK_SEEDS_MAX = 12


@pytest.mark.parametrize("plant", QUICK)
def test_a_planted_bug_is_found_at_once(plant: str) -> None:
    """A few seeds find the bug."""
    assert found(plant, range(QUICK_SEEDS_MAX)) is not None


def test_enough_is_planted() -> None:
    """At least twelve bugs are planted, five of them in the SQLite code."""
    assert (True, True) == (len(PLANTS) >= 12, len(SQLITE) >= 5)
    assert len(PLANTS) == len(SQLITE) + len(PROTOCOL)


@pytest.mark.soak
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("plant", sorted(PLANTS))
def test_every_planted_bug_is_found(plant: str) -> None:
    """Each planted bug is found within SEEDS_MAX seeds."""
    assert found(plant, range(SEEDS_MAX)) is not None
