"""The same where KOR gets areas and late records, where the node is started anew, and whichever audience comes first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from ni_forms import FORM_PLANTS, Formed, FormsGround, Restarted, Turned, shorter_minutes
from observe import apart, difference
from planting import Patch

SEEDS_SOAK = range(2_000, 2_040)
TURNED = ("sensors-gone", "everything", "labels")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> FormsGround:
    return FormsGround(tmp_path_factory.mktemp("forms"))


@pytest.fixture(autouse=True)
def _minutes() -> Iterator[None]:
    patch = Patch()
    shorter_minutes(patch)
    yield
    patch.undo()


def check(ground: FormsGround, seed: int, run: type[Formed]) -> int:
    """Compare every change of a world with the world itself; return how many pairs that were."""
    base = run(ground.base(seed))
    expected = base.run()
    assert base.types["trilat.area/1"] > 3
    assert base.types["trilat.warning/1"] > 3
    assert base.late > 3
    pairs = 0
    for pairs, (name, journal) in enumerate(ground.variants(seed), 1):  # noqa: B007 - counted
        assert "" == difference(expected, run(journal).run()), f"seed {seed}, change {name}"
    return pairs


@pytest.mark.timeout(600)
@pytest.mark.parametrize("run", [Formed, Restarted])
def test_hidden_data_changes_no_byte_of_areas_and_late_records(ground: FormsGround, run: type[Formed]) -> None:
    """Areas on the minute and tracks after their delay are the same to the byte and the tick; a restart on the way shows nothing."""
    assert 15 == check(ground, 0, run)


@pytest.mark.timeout(600)
def test_the_order_of_the_audiences_changes_no_byte(ground: FormsGround) -> None:
    """KOR's bytes are the same whether its pipeline is stepped before USA's or after it, and then whatever is hidden."""
    expected = Formed(ground.base(0)).run()
    variants = dict(ground.variants(0))
    for name, journal in {"": ground.base(0), **{name: variants[name] for name in TURNED}}.items():
        assert "" == difference(expected, Turned(journal).run()), f"change {name}"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("sentence", sorted(FORM_PLANTS))
def test_leak_planted_there_is_found(ground: FormsGround, sentence: str) -> None:
    """A leak in areas, in late records, by order or by a restart shows in the change that is made for it, in the first pair."""
    plant, run, change = FORM_PLANTS[sentence]
    patch = Patch()
    plant(patch)
    try:
        with closing(run(ground.base(0))) as base:
            assert apart(base, run(dict(ground.variants(0))[change])), sentence
    finally:
        patch.undo()


@pytest.mark.soak
@pytest.mark.timeout(36_000)
@pytest.mark.parametrize("run", [Formed, Restarted, Turned])
def test_many_such_pairs(ground: FormsGround, run: type[Formed]) -> None:
    """The same over hundreds of pairs of other worlds."""
    assert 15 * len(SEEDS_SOAK) == sum(check(ground, seed, run) for seed in SEEDS_SOAK)
