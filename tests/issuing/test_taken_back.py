"""What was proposed and no longer holds when the second person says yes: nothing is issued that names no area unawares."""

from __future__ import annotations

import msgspec
from desk_world import ANN, BEN, CEO, Node
from flight_records import area, assessment
from test_desk import issue, issued, last, partner, relay, theirs

from trilat.picture import acts
from trilat.products.phrases import SENTENCES
from trilat.records.warning import Warning


def proposed(*audiences: str) -> Node:
    """Return a node whose flight was assessed and whose issuing waits for a second person."""
    node = Node()
    node.at(10, ("national", assessment(10, "detected")), theirs(10, state="detected"))
    node.at(50, ("national", assessment(50)), theirs(50))
    assert node.fault(55, ANN, issue(*audiences)) == ""
    return node


def says_again(warning: Warning) -> bool:
    return all(
        SENTENCES[one.language]["again"] in one.text and SENTENCES[one.language]["again"] in one.line for one in warning.words
    )


def test_what_burns_again_before_the_second_yes_is_not_issued() -> None:
    """The yes is refused by name and nobody is told anything; once burn-out is called anew the same content can be approved."""
    node = proposed("KOR", "USA", "PUBLIC")
    before = {name: list(gate.sent) for name, gate in node.gates.items()}
    node.at(57, ("national", assessment(57, "detected")))
    assert node.approve(58, BEN) == "approval-outdated"
    assert (node.public, {name: gate.sent for name, gate in node.gates.items()}) == ([], before)
    assert not node.desk.books.all_of("national")[0].warning.issued
    assert any("approval-outdated" in line and "JP-02" in line for line in node.log)
    node.at(63, ("national", assessment(63)))
    assert node.approve(64, BEN) == ""
    assert [(one.state, [a.id for a in one.touched]) for one in node.public] == [("issued", ["JP-02", "JP-01"])]


def test_what_has_moved_on_from_every_approved_area_is_not_issued() -> None:
    """Approved for Aomori and Hokkaido, and now it comes down in Akita alone: refused, and Akita can be proposed."""
    node = proposed("PUBLIC")
    node.at(57, ("national", assessment(57, areas=(area("JP-05"),))))
    assert node.approve(58, BEN) == "approval-outdated"
    assert node.fault(59, ANN, issue("PUBLIC")) == ""
    assert node.approve(60, BEN) == ""
    assert [[a.id for a in one.touched] for one in node.public] == [["JP-05"]]


def test_what_the_node_proposes_is_looked_at_at_every_yes() -> None:
    """A widening of which no area is left takes no yes at all, not even the first of the two that it needs."""
    node = issued("PUBLIC")
    node.at(62, ("national", assessment(62, areas=(area("JP-01"), area("JP-02"), area("JP-05")))))
    node.at(66, ("national", assessment(66, areas=(area("US-AK"),))))
    one = node.approvals.pending()[0].proposal
    assert "JP-05" in one.content
    yes = acts.Approve(act_id="a", proposal=one.id, content_sha256=one.content_sha256.hex())
    assert node.fault(67, ANN, yes) == "approval-outdated"


def test_a_partner_whose_own_edition_no_longer_holds_is_left_out_aloud() -> None:
    """KOR's own edition burns again and the nation's stands: PUBLIC is told, KOR is not issued to, and the watch knows."""
    node = proposed("KOR", "PUBLIC")
    node.at(57, theirs(57, state="detected", areas=()))
    assert node.approve(58, BEN) == ""
    assert [one.state for one in node.public] == ["issued"]
    assert not any(getattr(one, "issued", False) for one in node.gates["KOR"].sent)
    assert any("not issued to KOR" in line and "propose" in line for line in node.log)


def test_widening_while_it_burns_again_goes_on_saying_so() -> None:
    """Two approve a wider area after burn-out was taken back: the areas told stand, and every text says that it burns again."""
    node = issued("PUBLIC")
    node.at(62, ("national", assessment(62, areas=(area("JP-01"), area("JP-02"), area("JP-05")))))
    node.at(65, ("national", assessment(65, "detected")))
    assert says_again(node.public[-1])
    assert node.approve(66, CEO) == ""
    assert node.approve(67, BEN) == ""
    assert node.public[-1].touched
    assert says_again(node.public[-1])
    node.at(90, ("national", assessment(90, "detected")))
    assert says_again(node.public[-1])
    node.at(95, ("national", assessment(95, areas=(area("JP-05"),))))
    assert [a.id for a in node.public[-1].touched] == ["JP-05"]
    assert not says_again(node.public[-1])


def test_what_is_proposed_while_it_burns_again_says_so_word_for_word() -> None:
    """Without areas it can go to partners: the content that two read and what is issued say that it burns again."""
    node = proposed("USA")
    node.at(57, ("national", assessment(57, "detected")))
    assert node.fault(58, ANN, issue("PUBLIC")) == "issue-no-areas"
    assert node.fault(59, ANN, issue("USA")) == ""
    content = msgspec.json.decode(node.proposal().content)
    assert node.approve(60, BEN) == ""
    sent = last(node, "USA")
    assert says_again(sent)
    assert [one["line"] for one in next(v for v in content["variants"] if v["audience"] == "USA")["words"]] == [
        one.line for one in sent.words
    ]


def test_what_is_reinstated_while_it_burns_again_says_so_with_the_next_word() -> None:
    """Retracted and put back while it burns again: the next assessment says so at once, not after a while."""
    node = issued("PUBLIC")
    node.at(65, ("national", assessment(65, "detected")))
    assert node.fault(66, ANN, acts.RetractWarning(act_id="t", warning_id="JPN-L1", version=3, reason="issued-in-error")) == ""
    assert node.fault(67, BEN, acts.RetractWarning(act_id="b", warning_id="JPN-L1", version=3, reason="reinstated")) == ""
    node.at(70, ("national", assessment(70, "detected")))
    assert says_again(node.public[-1])


def test_a_partners_warning_that_moved_on_is_not_passed_on_without_areas() -> None:
    """Two pass KOR's warning on for Aomori; before the second yes KOR names Hokkaido alone: refused, and nothing is public."""
    node = Node()
    node.at(2, partner())
    assert node.fault(5, ANN, relay("JP-02")) == ""
    moved = partner(4, "updated")
    node.at(6, msgspec.structs.replace(moved, record=msgspec.structs.replace(moved.record, touched=(area("JP-01"),))))
    assert node.approve(7, BEN) == "approval-outdated"
    assert node.public == []


def test_what_one_sensor_alone_makes_is_shown_as_unconfirmed_once_and_kept() -> None:
    """One radar's ghost makes no warning; the watch log says whose it is and that it is unconfirmed, once, and the journal has it."""
    node = Node()
    ghost = assessment(10, "unconfirmed", reasons=("one-sensor", "others-do-not-see-it"), confidence=0.3)
    step = node.at(10, ("national", ghost), ("KOR", assessment(10, "unconfirmed", stream="JPN/KOR")))
    assert step.taken == [("national", ghost)]
    assert node.at(20, ("national", assessment(20, "unconfirmed"))).taken == []
    assert [line for line in node.log if "UNCONFIRMED" in line] == [
        "UNCONFIRMED: what looks like a launch is seen by JPN/ridge alone, and not by others that look there (30 %): no warning is made"
    ]
    assert node.shown == []
    assert all(gate.sent == [] for gate in node.gates.values())
    node.at(30, ("national", assessment(30, "detected")))
    assert [one.state for one in node.shown] == ["detected"]


def test_an_issued_warning_that_names_no_area_any_more_says_that_and_the_watch_is_told() -> None:
    """It moves on to where nobody approved a warning: the public's text does not say that no area is named *yet*."""
    node = issued("PUBLIC")
    node.at(80, ("national", assessment(80, areas=(area("KR-42"),))))
    told = node.public[-1]
    assert (told.state, told.touched) == ("updated", ())
    for one in told.words:
        assert SENTENCES[one.language]["no-areas"] not in one.text
        assert SENTENCES[one.language]["none-now"] in one.text
        assert SENTENCES[one.language]["none-now"] in one.line
    assert any("names no area any more" in line for line in node.log)
