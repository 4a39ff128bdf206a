"""A duty to warn KOR of flights that it does not see: it is told one coarse product, and nothing else moves a byte or a tick of it."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest
from ni_duty import LEVEL_MAX, DutyGround, DutyRun, standing
from ni_launch import CLOSED, ONTO_KOR, LaunchGround
from ni_world import Ground, Journal
from observe import difference

from trilat.node.pipeline import Output
from trilat.records import codec
from trilat.records.warning import Acknowledgement, Retraction, Warning

SEEDS, SEEDS_SOAK = 2, 500


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> DutyGround:
    return DutyGround(Ground(tmp_path_factory.mktemp("duty")))


class Told(DutyRun):
    """A run that keeps what KOR was told by flash, and the nation's own warnings."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self.told: list[msgspec.Struct] = []
        self.by_event: list[bool] = []
        self.national: list[Warning] = []

    def taken_in(self, out: Output) -> None:
        """Keep the step's flash."""
        flash = [one for one in out.released if (one.audience, one.lane) == ("KOR", "flash")]
        self.told += [codec.decode(one.record) for one in flash]
        self.by_event += [one.reason == "declassified" for one in flash]
        self.national += [one.record for one in out.warnings if one.origin == "JPN" and isinstance(one.record, Warning)]


def holds_what_it_is_about(run: Told) -> None:
    """Check that KOR is told of flights by its duty alone, coarsely, and the end of each: passed by time, taken back, superseded."""
    told = [one for one in run.told if isinstance(one, Warning) and one.reason in ("duty-to-warn", "time-over")]
    assert ["assessed"] * 6 + ["landed"] + ["assessed"] * 2 == [one.state for one in told]
    assert ["JPN-KOR-W1"] * 7 + ["JPN-KOR-W3", "JPN-KOR-W4"] == [one.id for one in told]
    assert [*range(1, 8), 1, 1] == [one.version for one in told]
    assert {"KOR"} == {area.nation for one in told for area in one.touched}
    assert {0} == {area.t_to_ns % (60 * 10**9) for one in told for area in one.touched}
    assert {(0, ("JPN",), ())} == {(one.label.level, one.label.sources, one.pedigree.sensors) for one in told}
    assert {(None, None, None)} == {(one.flight, one.confidence, one.event_t_ns) for one in told}
    ended = [(one.warning_id, one.reason) for one in run.told if isinstance(one, Retraction)]
    assert [("JPN-KOR-W3", "issued-in-error"), ("JPN-KOR-W4", "superseded")] == ended
    assert not any(isinstance(one, Acknowledgement) for one in run.told)
    assert sum(run.by_event) == 8  # ends need no event
    assert max(one.label.level for one in run.national) == LEVEL_MAX


def check(ground: DutyGround, seed: int) -> int:
    """Compare the variants of a world with the world itself; return how many pairs that were."""
    base, pairs = Told(ground.base(seed)), 0
    expected = base.run()
    for pairs, (name, journal) in enumerate(ground.variants(seed), 1):  # noqa: B007 - counted
        other = Told(journal)
        assert "" == difference(expected, other.run()), f"seed {seed}, {name}"
        assert base.national != other.national, name
    return pairs


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_a_duty_tells_is_the_coarse_product_and_nothing_else(ground: DutyGround, seed: int) -> None:
    """Figures, sensors, levels, moments, order and number of flights, and officers' acts move nothing of what KOR is told."""
    assert check(ground, seed) == 2


def test_the_worlds_tell_kor_of_flights_from_their_beginning_to_their_end(ground: DutyGround) -> None:
    """In the base of a pair KOR is told what it is to be told, by the signed event, and of each warning that it is over."""
    run = Told(ground.base(0))
    run.run()
    holds_what_it_is_about(run)


def test_a_launch_that_only_hidden_sensors_see_is_told_where_it_may_land_in_kor(tmp_path: Path) -> None:
    """From the radars' plots to KOR: its province, one warning with an end, and none of the nation's own areas or words."""
    ground = LaunchGround(tmp_path, end_s=92.0)  # a tick after burn-out was called
    hidden = ground.lines(0, (ONTO_KOR,), CLOSED)
    hidden[0] = [*hidden[0], standing()]
    journal = ground.joined(0, hidden, random.Random(0), open_=ground.nothing())._replace(people=())
    run = Told(journal)
    run.run()
    told = [(one.id, one.version, one.state, [area.id for area in one.touched]) for one in run.told if isinstance(one, Warning)]
    # Burn-out is called (with infrared, at 94 %) after one tick of the duty and before the next, by when the ellipse is narrow.
    assert [("JPN-KOR-W1", 1, "assessed", ["KR-42"]), ("JPN-KOR-W1", 2, "landed", ["KR-42"])] == told
    assert {"JPN-L1"} == {one.id for one in run.national}
    assert any(area.nation == "" for one in run.national for area in one.touched)


@pytest.mark.soak
@pytest.mark.timeout(7_200)
def test_hundreds_of_pairs_with_a_duty(tmp_path: Path) -> None:
    """The same over hundreds of other worlds."""
    ground = DutyGround(Ground(tmp_path))
    pairs = sum(check(ground, seed) for seed in range(1_000, 1_000 + SEEDS_SOAK))
    print(f"{pairs} pairs with a duty to warn, no difference")  # noqa: T201 - the figure
    assert pairs >= SEEDS_SOAK
