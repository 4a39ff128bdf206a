"""Standing leave, and acknowledgements of flights: what partners get of them is made of their own editions alone."""

from __future__ import annotations

import msgspec
from desk_world import ANN, BEN, Node
from flight_records import NS, T0_NS, area, assessment, label

from trilat.issuing import contents
from trilat.picture import acts


def test_leave_given_by_two_issues_for_the_own_territory_alone() -> None:
    """With a standing leave the node issues as soon as it is sure enough, to areas of its own nation, and the leave ends."""
    node = Node()
    leave = contents.PreAuthorise(
        mode="exercise:t1", audiences=("PUBLIC",), probability_min=0.1, confidence_min=0.5, minutes=20, until_ns=T0_NS + 300 * NS
    )
    asked = acts.Propose(act_id="p", kind="pre-authorise-warning", content=msgspec.json.encode(leave).decode())
    assert node.fault(1, ANN, asked) == ""
    assert node.approve(2, BEN) == ""
    both = (area("JP-02"), area("KR-42"))
    node.at(10, ("national", assessment(10, "detected")))
    assert node.public == []
    node.at(50, ("national", assessment(50, areas=both)))
    assert [(one.state, [a.id for a in one.touched]) for one in node.public] == [("issued", ["JP-02"])]
    assert any("automatically, by leave of ann and ben" in line for line in node.log)
    node.at(301)
    assert node.desk.leave is None


def leave_of_two(node: Node, *audiences: str) -> None:
    """Let Ann and Ben give a standing leave for these audiences."""
    leave = contents.PreAuthorise(
        mode="exercise:t1", audiences=audiences, probability_min=0.1, confidence_min=0.5, minutes=20, until_ns=T0_NS + 300 * NS
    )
    asked = acts.Propose(act_id="p", kind="pre-authorise-warning", content=msgspec.json.encode(leave).decode())
    assert node.fault(1, ANN, asked) == ""
    assert node.approve(2, BEN) == ""


def test_leave_issues_to_a_partner_by_what_its_own_edition_says() -> None:
    """That the nation is sure enough issues nothing to KOR; that KOR's own edition is, issues that one, for its own areas."""
    node = Node()
    leave_of_two(node, "KOR")
    for_kor = {"stream": "JPN/KOR", "label": label(rel_to=("KOR",))}
    node.at(9, ("KOR", assessment(9, "detected", **for_kor)))
    node.at(10, ("national", assessment(10, areas=(area("JP-01"), area("JP-02")))))
    assert node.desk.books.all_of("national")[0].warning.state == "issued"
    assert [one.state for one in node.gates["KOR"].sent] == ["detected"]
    node.at(20, ("KOR", assessment(20, areas=(area("JP-02"), area("KR-42")), **for_kor)))
    assert ["detected", "assessed", "issued"] == [one.state for one in node.gates["KOR"].sent]
    assert ["JP-02"] == [one.id for one in node.gates["KOR"].sent[-1].touched]
    assert any("issued automatically to KOR, by leave of ann and ben" in line for line in node.log)


def test_leave_issues_to_the_public_by_what_may_bear_on_it() -> None:
    """How sure the nation is by a partner's data issues nothing to the public without consent: the own sensors must be as sure."""
    node = Node()
    leave_of_two(node, "PUBLIC")
    ours, theirs = {"stream": "JPN/own"}, {"label": msgspec.structs.replace(label(), sources=("JPN", "KOR"))}
    node.at(9, ("own", assessment(9, areas=(area("JP-02", probability=0.05),), **ours)))
    node.at(10, ("national", assessment(10, areas=(area("JP-02", probability=0.9),), **theirs)))
    node.at(15, ("own", assessment(15, areas=(area("JP-02", probability=0.3),), confidence=0.2, **ours)))
    node.at(16, ("national", assessment(16, areas=(area("JP-02", probability=0.9),), **theirs)))
    assert [] == node.public
    node.at(20, ("own", assessment(20, areas=(area("JP-02", probability=0.3), area("JP-05", probability=0.3)), **ours)))
    node.at(21, ("national", assessment(21, areas=(area("JP-02", probability=0.9),), **theirs)))
    assert [("issued", ["JP-02"])] == [(one.state, [a.id for a in one.touched]) for one in node.public]


def test_leave_makes_no_edition_for_a_partner_that_has_none() -> None:
    """A partner whose own data shows no flight gets none by leave, however sure the nation is."""
    node = Node()
    leave_of_two(node, "KOR", "PUBLIC")
    node.at(10, ("national", assessment(10)))
    assert [] == node.gates["KOR"].sent
    assert ["issued"] == [one.state for one in node.public]


def test_a_partner_is_told_of_an_acknowledgement_by_its_own_edition() -> None:
    """KOR gets the acknowledgement under its own id and version although the national label lets nobody in; USA, untold, gets none."""
    node = Node()
    node.at(9, ("KOR", assessment(9, "detected", stream="JPN/KOR", label=label(rel_to=("KOR",)))))
    node.at(10, ("national", assessment(10, "detected", label=label(rel_to=()))))
    node.at(20, ("national", assessment(20, label=label(rel_to=()))))
    assert node.fault(21, ANN, acts.AcknowledgeWarning(act_id="k", originator="JPN", warning_id="JPN-L1", version=2)) == ""
    told = node.gates["KOR"].sent[-1]
    assert ("JPN-KOR-W1", 1, ("KOR",)) == (told.warning_id, told.warning_version, told.label.rel_to)
    assert [] == node.gates["USA"].sent
