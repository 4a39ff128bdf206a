"""A standing duty to warn: a partner is told what of its own territory a flight may come down in, once, coarsely, with an end."""

from __future__ import annotations

from typing import Any

import msgspec
from desk_world import ANN, BEN, Node
from flight_records import LAND_NS, NS, T0_NS, area, assessment, label

from trilat.picture import acts
from trilat.records.assessment import TouchedArea
from trilat.records.warning import Retraction, Warning

MINE = area("KR-42", probability=0.3)
START = 10  # T0 lies on a tick


def node_with_duty() -> Node:
    node = Node()
    node.gates["KOR"].event = "E1"
    return node


def flight(second: float, *areas: TouchedArea, **other: Any) -> tuple[tuple[str, Any], tuple[str, Any]]:
    """Return what the nation makes of a flight, by its own sensors and by all."""
    other.setdefault("label", label(rel_to=()))
    both = [assessment(second, areas=areas, stream=f"JPN/{whose}", **other) for whose in ("own", "national")]
    return ("own", both[0]), ("national", both[1])


def told(node: Node) -> list[Warning | Retraction]:
    return node.gates["KOR"].sent


def test_areas_of_its_own_are_told_on_the_tick_and_nothing_without_an_event() -> None:
    """KOR, with an event, is told its own area on the next tick, in whole minutes; USA, without one, nothing."""
    node = node_with_duty()
    node.at(53, *flight(53, area("JP-02"), MINE, area("US-AK")))
    node.at(59)
    assert told(node) == []
    node.at(61)
    [one] = told(node)
    assert isinstance(one, Warning)
    assert (one.id, one.version, one.state, one.reason, one.issued) == ("JPN-KOR-W1", 1, "assessed", "duty-to-warn", False)
    assert one.t_ns == T0_NS + 60 * NS
    assert [(a.id, a.probability) for a in one.touched] == [("KR-42", 1.0)]
    minute = 60 * NS
    assert (one.touched[0].t_from_ns, one.touched[0].t_to_ns) == (
        (LAND_NS - minute) // minute * minute,
        -(-(LAND_NS + minute) // minute) * minute,
    )
    assert (one.label.level, one.label.rel_to, one.label.sources, one.pedigree.sensors) == (0, ("KOR",), ("JPN",), ())
    assert (one.flight, one.confidence, one.event_t_ns, one.areas) == (None, None, None, ())
    assert "Gangwon" in one.headline
    assert node.gates["USA"].sent == []
    assert "KOR is told areas of its own as JPN-KOR-W1 by event E1: JPN-L1" in node.log


def test_the_same_is_told_once_and_a_change_as_the_next_version() -> None:
    """Newer figures with the same areas and minutes say nothing; a later landing does; officers who issue say nothing."""
    node = node_with_duty()
    node.at(53, *flight(53, MINE))
    node.at(60)
    node.at(64, *flight(64, MINE, confidence=0.5))
    node.at(66, (ANN, acts.IssueWarning(act_id="i", warning_id="JPN-L1", version=1)))
    node.approve(67, BEN)
    node.at(70)
    assert len(told(node)) == 1
    later = msgspec.structs.replace(MINE, t_to_ns=MINE.t_to_ns + 120 * NS)
    node.at(74, *flight(74, later))
    node.at(80)
    assert [(one.version, one.touched[0].t_to_ns - told(node)[0].touched[0].t_to_ns) for one in told(node)] == [
        (1, 0),
        (2, 120 * NS),
    ]


def test_what_is_not_covered_is_not_told_and_takes_no_id() -> None:
    """Above the duty's level, of another's data, for one purpose, unlikely, overflown, unconfirmed or no launch: nothing; the next gets the first id."""
    node = node_with_duty()
    high = msgspec.structs.replace(label(rel_to=()), level=3)
    foreign = msgspec.structs.replace(label(rel_to=()), sources=("JPN", "USA"))
    node.at(51, *flight(51, MINE, label=high, flight=1))
    purpose = msgspec.structs.replace(label(rel_to=()), purposes=("exercise",))
    node.at(52, *flight(52, MINE, label=foreign, flight=2), *flight(52, MINE, label=purpose, flight=7))
    node.at(53, *flight(53, area("KR-42", probability=0.001), area("KR-42", "overflight"), flight=3))
    node.at(54, *flight(54, MINE, state="unconfirmed", flight=4), *flight(54, MINE, state="dropped", flight=5))
    node.at(60)
    node.gates["KOR"].tells = False  # a delay, say
    node.at(65, *flight(65, MINE, flight=6))
    node.at(70)
    assert told(node) == []
    node.gates["KOR"].tells = True
    node.at(80)
    assert [one.id for one in told(node)] == ["JPN-KOR-W1"]


def test_an_edition_of_its_own_takes_its_place_without_an_orphan() -> None:
    """When KOR's own pipeline names the area, what the duty told is superseded, and does not come again."""
    node = node_with_duty()
    node.at(53, *flight(53, MINE))
    node.at(60)
    own = assessment(65, areas=(MINE,), stream="JPN/launches-KOR", label=label(rel_to=("KOR",)))
    node.at(65, ("KOR", own))
    node.at(70)
    node.at(80, *flight(80, MINE))
    node.at(90)
    ends = [(one.warning_id, one.warning_version, one.reason) for one in told(node) if isinstance(one, Retraction)]
    assert ends == [("JPN-KOR-W1", 1, "superseded")]
    by_duty = [one.id for one in told(node) if isinstance(one, Warning) and one.reason == "duty-to-warn"]
    assert by_duty == ["JPN-KOR-W1"]


def test_what_two_officers_issue_to_it_takes_its_place() -> None:
    """An edition that two officers issue to KOR, without one of its own, supersedes what the duty told; issuing at home does not."""
    node = node_with_duty()
    mine = label(rel_to=("KOR",))
    node.at(53, *flight(53, MINE, label=mine))
    node.at(60)
    node.at(61, (ANN, acts.IssueWarning(act_id="i", warning_id="JPN-L1", version=1)))
    node.approve(62, BEN)
    node.at(70)
    assert len(told(node)) == 1
    node.at(71, (ANN, acts.IssueWarning(act_id="i", warning_id="JPN-L1", version=2, audiences=("KOR",))))
    node.approve(72, BEN)
    node.at(80)
    kinds = [(type(one).__name__, one.reason) for one in told(node)]
    assert kinds == [("Warning", "duty-to-warn"), ("Warning", "issued"), ("Retraction", "superseded")]


def test_every_end_is_told_once_and_needs_no_event() -> None:
    """No threat any more, time over, all clear by an officer, taken back by an officer: each comes on the tick, by its word."""
    ends = {}
    clear = acts.StandDown(act_id="c", warning_id="JPN-L1", version=1)
    back = acts.RetractWarning(act_id="r", warning_id="JPN-L1", version=1, reason="issued-in-error")
    for name, given in {
        "elsewhere": flight(74, area("JP-02")),
        "nothing": (),
        "all clear": ((ANN, clear),),
        "back": ((ANN, back),),
    }.items():
        node = node_with_duty()
        node.at(53, *flight(53, MINE))
        node.at(60)
        node.gates["KOR"].event = ""
        node.at(75, *given)
        for second in (80, 90, 600, 690, 720, 730):
            node.at(second)
        [one] = told(node)[1:]
        ends[name] = (one.state if isinstance(one, Warning) else "retracted", one.reason, (one.t_ns - T0_NS) // NS)
    assert ends == {
        "elsewhere": ("stood-down", "threat-over", 80),
        "nothing": ("landed", "time-over", 690),
        "all clear": ("stood-down", "threat-over", 80),
        "back": ("retracted", "issued-in-error", 80),
    }


def test_what_burns_again_is_no_all_clear() -> None:
    """A burn-out taken back ends nothing: what was told stands till it is known better, then it is told; a dropped one ends it."""
    node = node_with_duty()
    node.at(53, *flight(53, MINE))
    node.at(60)
    node.at(65, *flight(65, state="detected"))
    node.at(70)
    node.at(80)
    assert len(told(node)) == 1
    later = msgspec.structs.replace(MINE, t_from_ns=MINE.t_from_ns + 300 * NS, t_to_ns=MINE.t_to_ns + 300 * NS)
    node.at(84, *flight(84, later))
    node.at(90)
    assert [(one.version, one.state) for one in told(node)] == [(1, "assessed"), (2, "assessed")]  # type: ignore[union-attr]
    node.at(95, *flight(95, state="dropped", phase="boost"))
    node.at(100)
    assert (told(node)[-1].state, len(told(node))) == ("stood-down", 3)  # type: ignore[union-attr]


def test_what_was_reinstated_is_told_anew() -> None:
    """A second officer puts the warning back: KOR is told again, under a new id."""
    node = node_with_duty()
    node.at(53, *flight(53, MINE))
    node.at(60)
    node.at(65, (ANN, acts.RetractWarning(act_id="r", warning_id="JPN-L1", version=1, reason="issued-in-error")))
    node.at(70)
    node.at(75, (BEN, acts.RetractWarning(act_id="r", warning_id="JPN-L1", version=2, reason="reinstated")))
    node.at(80)
    assert [(type(one).__name__, getattr(one, "id", "")) for one in told(node)] == [
        ("Warning", "JPN-KOR-W1"),
        ("Retraction", ""),
        ("Warning", "JPN-KOR-W2"),
    ]


def test_two_flights_to_one_area_are_one_warning() -> None:
    """How many flights there are is not told: their times are one where they overlap, and two where they do not."""
    node = node_with_duty()
    soon = msgspec.structs.replace(MINE, t_from_ns=MINE.t_from_ns + 60 * NS, t_to_ns=MINE.t_to_ns + 60 * NS)
    late = msgspec.structs.replace(MINE, t_from_ns=MINE.t_to_ns + 600 * NS, t_to_ns=MINE.t_to_ns + 700 * NS)
    node.at(53, *flight(53, MINE, flight=1), *flight(53, soon, flight=2))
    node.at(60)
    node.at(65, *flight(65, late, flight=3))
    node.at(70)
    assert [len(one.touched) for one in told(node) if isinstance(one, Warning)] == [1, 2]
    assert {one.id for one in told(node) if isinstance(one, Warning)} == {"JPN-KOR-W1"}


def test_flights_that_are_not_told_drive_none_out() -> None:
    """However many flights are followed, the one that was heard of last is still there at the tick."""
    node = node_with_duty()
    high = msgspec.structs.replace(label(rel_to=()), level=3)
    node.at(53, *flight(53, MINE)[:1])
    node.at(60)
    node.at(61, *(one for k in range(199) for one in flight(61, MINE, label=high, flight=10 + k)[:1]))
    node.at(65, *flight(65, msgspec.structs.replace(MINE, t_to_ns=MINE.t_to_ns + 120 * NS))[:1])
    node.at(66, *(one for k in range(50) for one in flight(66, MINE, label=high, flight=300 + k)[:1]))
    node.at(70)
    assert [1, 2] == [one.version for one in told(node)]


def test_what_an_event_no_longer_covers_stands_as_it_was_told() -> None:
    """When the event has ended, nothing newer is told, and what was told stays until its time is over."""
    node = node_with_duty()
    node.at(53, *flight(53, MINE))
    node.at(60)
    node.gates["KOR"].event = ""
    node.at(65, *flight(65, msgspec.structs.replace(MINE, t_to_ns=MINE.t_to_ns + 600 * NS)))
    node.at(70)
    node.at(90)
    assert len(told(node)) == 1
