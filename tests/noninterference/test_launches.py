"""A launch that KOR sees part of: whatever hidden sensors, USA and people do about it, KOR gets the same bytes at the same ticks."""

from __future__ import annotations

import configparser
import random
from collections import Counter
from pathlib import Path

import msgspec
import pytest
import surfaces
from ni_launch import CHANGES, STEP_SOAK_S, LaunchGround
from ni_world import Journal
from observe import Run, difference
from tree import ROOT

from trilat.node.pipeline import Output
from trilat.records import codec
from trilat.records.exchange import LinkState
from trilat.records.warning import Acknowledgement, Retraction, Warning

SEEDS = 2  # worlds in CI, twelve changes each; people issue to KOR, and in every other world a standing leave does
SEEDS_SOAK = 90  # in some of them people issue before the burn-out is called, or an act comes to nothing: those do not count
TELLING = ("unseen", "another", "both", "separate_calls")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> LaunchGround:
    return LaunchGround(tmp_path_factory.mktemp("launches"))


class Told(Run):
    """A run that keeps what each audience was told by flash, and what the nation's own page showed."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self.told: dict[str, list[msgspec.Struct]] = {}
        self.national: list[Warning] = []
        self.log: list[str] = []
        self.links: list[LinkState] = []

    def taken_in(self, out: Output) -> None:
        """Keep the step's flash."""
        for one in out.released:
            if one.lane == "flash":
                self.told.setdefault(one.audience, []).append(codec.decode(one.record))
        self.log += [one.text for one in out.notices]
        self.national += [one.record for one in out.warnings if one.origin == "JPN" and isinstance(one.record, Warning)]

    def ending(self) -> None:
        """Keep how JPN's links stand at the end."""
        self.links = list(self._net.exchanges["JPN"].links(self._net.now_ns))

    def flights(self, audience: str) -> list[Warning]:
        """Return an audience's versions of flights' warnings."""
        return [one for one in self.told.get(audience, []) if isinstance(one, Warning) and one.kind == "launch"]


def check(ground: LaunchGround, seed: int) -> int:
    """Compare every change of a world with the world itself; return how many pairs that were; 0 count of one that says too little."""
    base = Told(ground.base(seed))
    expected, pairs = base.run(), 0
    lacks = lacking(base)
    for pairs, (name, journal) in enumerate(ground.variants(seed), 1):  # noqa: B007 - counted
        other = Told(journal)
        assert "" == difference(expected, other.run()), f"seed {seed}, change {name}"
        if name in TELLING:
            # The pair says something: what is hidden from KOR did move what the nation and USA are told.
            assert base.national != other.national, name
            assert base.flights("USA") != other.flights("USA"), name
        if name == "both":
            assert {"JPN-L1", "JPN-L2"} == {one.id for one in other.national if one.kind == "launch"}
        if name == "desk-and-ally":
            lacks += undone(other)
    print(f"seed {seed} lacks {lacks}")  # noqa: T201 - shown when the test fails
    return 0 if lacks else pairs


def lacking(base: Told) -> list[str]:
    """Return what KOR was not told: the launch from its detection to its end, and people's acts. Nobody else is ever named."""
    seen = base.flights("KOR")
    assert {one.label.rel_to for one in seen} <= {("KOR",)}
    flights = [one.flight for one in seen if one.flight is not None]
    others = Counter(type(one) for one in base.told["KOR"] if not isinstance(one, Warning))
    holds = {
        "its states": {"detected", "assessed", "issued", "stood-down"} <= {one.state for one in seen},
        "its launch, each time": all(one.launch is not None for one in flights),
        "its landing": any(one.landing is not None for one in flights),
        "areas": any(one.touched for one in seen),
        "acts": Counter({Acknowledgement: 2, Retraction: 3}) == others,
    }
    return [what for what, told in holds.items() if not told]


def undone(other: Told) -> list[str]:
    """Return which hidden acts did not come about: a no, a yes to another content, a lapse, a widening, both ways back; a recall; a new epoch."""
    said = "\n".join(other.log)
    words = (
        "hod declined",
        "waited too long",
        "JPN-L2 touches areas beyond",
        "hod reinstated JPN-L2",
        "rel recalled 1",
        "USA recalled",
    )
    states = {one.state for one in other.flights("USA")}
    usa = [one for one in other.links if one.partner == "USA"]
    # Its epoch is 3: one for the cursor that never was, one because another of its lanes saw the same.
    epochs = {one.cursor.epoch for one in usa if (one.lane, one.direction) == ("flash", "out")}
    return [
        *(one for one in words if one not in said),
        *sorted({"issued", "updated", "stood-down"} - states),
        *(["a refused cursor"] if not any(one.rejected for one in usa) else []),
        *(["a new epoch"] if epochs != {3} else []),
    ]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_is_hidden_of_a_launch_changes_no_byte_that_kor_sees(ground: LaunchGround, seed: int) -> None:
    """Hidden plots, hidden launches, another ally's warnings and what people tell others move no byte and no tick of KOR's."""
    assert check(ground, seed) == len(CHANGES) + 3


def test_a_launch_that_only_hidden_sensors_see_is_nothing_to_kor(ground: LaunchGround) -> None:
    """The nation has a warning of it; KOR gets what it gets when nothing flies at all, of either launch."""
    quiet = [[one for one in step if not hasattr(one, "source")] for step in ground.open(0)]
    runs = []
    for change in ("unseen", "both"):
        run = Told(ground.joined(0, CHANGES[change](ground, 0, random.Random(0))[0], random.Random(0), open_=quiet))
        runs.append((run, run.run()))
    assert "" == difference(runs[0][1], runs[1][1])
    assert [0, 0] == [len(run.flights("KOR")) for run, _ in runs]
    assert [False, True] == [any(one.kind == "launch" for one in run.national) for run, _ in runs]


def test_every_way_out_is_compared_or_named() -> None:
    """Each module that may touch the outside stands in the table of surfaces, once, with what is seen of it or why nothing is."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter", encoding="utf-8")
    lines = parser["importlinter:contract:edges"]["ignore_imports"].split("\n")
    modules = {line.split("->")[0].strip() for line in lines if "->" in line} - {"trilat.cli", "trilat.cli.*"}
    named = [*surfaces.COMPARED, *surfaces.OWN_NATION, *surfaces.NOT_COMPARED, *surfaces.NO_NODE]
    assert sorted(modules) == sorted(named)


@pytest.mark.soak
@pytest.mark.timeout(36_000)
def test_hundreds_of_pairs_with_a_launch(tmp_path: Path) -> None:
    """The same over hundreds of pairs of other worlds, step by step as often as the sensors look."""
    ground = LaunchGround(tmp_path, STEP_SOAK_S)
    pairs = sum(check(ground, seed) for seed in range(1_000, 1_000 + SEEDS_SOAK))
    print(f"{pairs} pairs with a launch, no difference")  # noqa: T201 - the figure
    assert pairs >= 600
