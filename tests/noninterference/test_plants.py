"""The two-run test has teeth: every leak planted into the product is found, and it is said after how many pairs."""

from __future__ import annotations

import plants_made  # noqa: F401 - importing them plants them into the table
import plants_said  # noqa: F401
import pytest
from ni_world import Ground
from observe import Run, difference
from planting import PLANTS, Patch

PLANTS_MIN = 25
SEEDS_MAX = 2


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(tmp_path_factory.mktemp("plants"))


def pairs_until_found(ground: Ground, sentence: str) -> tuple[int, str]:
    """Return after how many pairs a planted leak showed, and by which change; 0 when it never did."""
    pairs = 0
    for seed in range(SEEDS_MAX):
        patch = Patch()
        PLANTS[sentence](patch)
        try:
            expected = Run(ground.base(seed)).run()
            for name, journal in ground.variants(seed):
                pairs += 1
                if difference(expected, Run(journal).run()):
                    return pairs, name
        finally:
            patch.undo()
    return 0, ""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("sentence", sorted(PLANTS))
def test_planted_leak_is_found(ground: Ground, sentence: str, record_property: pytest.RecordProperty) -> None:
    """A leak that somebody could build in shows as a difference in what KOR gets, within two worlds."""
    pairs, change = pairs_until_found(ground, sentence)
    record_property("pairs", pairs)
    print(f"{pairs:3d} pairs ({change}): {sentence}")  # noqa: T201 - shown with -s, and when the test fails
    assert pairs > 0, sentence


def test_there_are_enough_plants() -> None:
    """At least 25 leaks are planted, each another mistake."""
    assert len(PLANTS) >= PLANTS_MIN
