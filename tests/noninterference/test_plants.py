"""The two-run test has teeth: every leak planted into the product is found, and it is said after how many pairs."""

from __future__ import annotations

from contextlib import closing

import plants_ally  # noqa: F401 - importing them plants them into the tables
import plants_calls  # noqa: F401
import plants_desk  # noqa: F401
import plants_duty  # noqa: F401
import plants_launch  # noqa: F401
import plants_made  # noqa: F401
import plants_said  # noqa: F401
import plants_wire  # noqa: F401
import pytest
from ni_duty import DutyGround, DutyRun
from ni_launch import END_S, LaunchGround
from ni_world import Ground
from observe import Run, apart, difference
from planting import DUTY_PLANTS, FIRST, LAUNCH_PLANTS, PLANTS, Patch, Plant

PLANTS_MIN, LAUNCH_PLANTS_MIN, DUTY_PLANTS_MIN = 44, 34, 17
EARLY_END_S = 52.0
SEEDS_MAX = 2


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(tmp_path_factory.mktemp("plants"))


@pytest.fixture(scope="module")
def launches(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, LaunchGround]:
    """Give worlds that end before burn-out, which most leaks need not wait for, and whole ones."""
    directory = tmp_path_factory.mktemp("plants-launches")
    return {late: LaunchGround(directory / str(late), end_s=END_S if late else EARLY_END_S) for late in (False, True)}


def pairs_until_found(
    ground: Ground | LaunchGround | DutyGround, plant: Plant, world: int = 0, first: str = "", run: type[Run] = Run
) -> tuple[int, str]:
    """Return after how many pairs a planted leak showed, and by which change; 0 when it never did.

    first: the change to begin with. run: what a run is made by.
    """
    pairs = 0
    for seed in range(world, world + SEEDS_MAX):
        patch = Patch()
        plant(patch)
        try:
            with closing(run(ground.base(seed))) as base:
                for name, journal in (
                    sorted(ground.variants(seed), key=lambda one: one[0] != first) if first else ground.variants(seed)
                ):
                    pairs += 1
                    if apart(base, run(journal)):
                        return pairs, name
        finally:
            patch.undo()
    return 0, ""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("sentence", sorted(PLANTS))
def test_planted_leak_is_found(ground: Ground, sentence: str, record_property: pytest.RecordProperty) -> None:
    """A leak that somebody could build in shows as a difference in what KOR gets, within two worlds."""
    pairs, change = pairs_until_found(ground, PLANTS[sentence], first=FIRST.get(sentence, ""))
    record_property("pairs", pairs)
    print(f"{pairs:3d} pairs ({change}): {sentence}")  # noqa: T201 - shown with -s, and when the test fails
    assert pairs > 0, sentence


@pytest.mark.timeout(600)
@pytest.mark.parametrize("sentence", sorted(LAUNCH_PLANTS))
def test_leak_planted_about_a_launch_is_found(
    launches: dict[bool, LaunchGround], sentence: str, record_property: pytest.RecordProperty
) -> None:
    """A leak in what is told of a launch, beside the records, or to the people shows as well, within two worlds."""
    plant, world, late, first = LAUNCH_PLANTS[sentence]
    pairs, change = pairs_until_found(launches[late], plant, world, first)
    record_property("pairs", pairs)
    print(f"{pairs:3d} pairs ({change}) with a launch: {sentence}")  # noqa: T201 - as above
    assert pairs > 0, sentence


@pytest.mark.timeout(600)
@pytest.mark.parametrize("sentence", sorted(DUTY_PLANTS))
def test_leak_planted_into_the_duty_to_warn_is_found(
    ground: Ground, sentence: str, record_property: pytest.RecordProperty
) -> None:
    """A leak in what a partner is told of flights that it does not see shows as well, within two worlds."""
    pairs, change = pairs_until_found(DutyGround(ground), DUTY_PLANTS[sentence], first="and-officers-act", run=DutyRun)
    record_property("pairs", pairs)
    print(f"{pairs:3d} pairs ({change}) with a duty to warn: {sentence}")  # noqa: T201 - as above
    assert pairs > 0, sentence


def test_step_by_step_two_runs_differ_as_whole_ones_do(ground: Ground) -> None:
    """Taken side by side a pair differs nowhere without a plant, and with one where the whole runs do."""
    journals = ground.base(0), dict(ground.variants(0))["warnings"]
    said = []
    for plant in (lambda _: None, PLANTS["A warning goes out under its national id"]):
        patch = Patch()
        plant(patch)
        try:
            said.append(difference(*(Run(journal).run() for journal in journals)))
            with closing(Run(journals[0])) as one:
                assert said[-1] == apart(one, Run(journals[1]))
                assert (len(one.ends) < one.steps) == bool(said[-1])
        finally:
            patch.undo()
    assert [False, True] == [bool(one) for one in said]


def test_there_are_enough_plants() -> None:
    """At least 25 leaks are asked for; these many are planted, each another mistake."""
    assert len(PLANTS) >= PLANTS_MIN
    assert len(LAUNCH_PLANTS) >= LAUNCH_PLANTS_MIN
    assert len(DUTY_PLANTS) >= DUTY_PLANTS_MIN
