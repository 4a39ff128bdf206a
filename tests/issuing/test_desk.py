"""The warning desk: two people issue, each audience gets its own edition, everyone who got it is told of its end."""

from __future__ import annotations

from typing import Any

import msgspec
from desk_world import ANN, BEN, CEO, Node
from flight_records import LAND_NS, MODE, NS, T0_NS, area, assessment, label

from trilat.issuing import contents
from trilat.picture import acts
from trilat.picture.inputs import WarningRecord
from trilat.records.approval import Approved, Session
from trilat.records.label import Consent, Mode
from trilat.records.warning import Acknowledgement, Retraction, Warning


def theirs(second: float, name: str = "KOR", state: str = "assessed", **other: Any) -> tuple[str, Any]:
    areas = other.pop("areas", (area("JP-02", probability=0.3),))
    return name, assessment(second, state, areas, stream=f"JPN/{name}", label=label(rel_to=(name,)), **other)


def issue(*audiences: str, **other: Any) -> acts.IssueWarning:
    return acts.IssueWarning(act_id="i", warning_id="JPN-L1", version=1, audiences=audiences, **other)


def issued(*audiences: str) -> Node:
    node = Node()
    node.at(10, ("national", assessment(10, "detected")), theirs(10, state="detected"))
    node.at(50, ("national", assessment(50)), theirs(50))
    assert node.fault(55, ANN, issue(*audiences)) == ""
    assert node.approve(58, BEN) == ""
    return node


def last(node: Node, audience: str) -> Any:
    return node.gates[audience].sent[-1]


def test_each_audience_gets_the_edition_of_its_own_assessment() -> None:
    """KOR's edition has KOR's id, its own areas and probabilities; USA, whose pipeline sees nothing, gets nothing before issue."""
    node = Node()
    node.at(10, ("national", assessment(10, "detected")), theirs(10, state="detected"))
    node.at(20, ("national", assessment(20)), theirs(20))

    assert [(one.id, one.state, one.version) for one in node.gates["KOR"].sent] == [
        ("JPN-KOR-W1", "detected", 1),
        ("JPN-KOR-W1", "assessed", 2),
    ]
    assert [one.probability for one in last(node, "KOR").touched] == [0.3]
    assert node.gates["USA"].sent == []
    assert node.public == []


def test_an_audience_edition_does_not_depend_on_what_it_may_not_have() -> None:
    """KOR's bytes are equal whatever the national assessments say, until people act."""
    sent = []
    for national in ((), (("national", assessment(11)), ("national", assessment(30)))):
        node = Node()
        for second in (10, 20, 30):
            node.at(second, *[one for one in national if one[1].t_ns <= T0_NS + second * NS], theirs(second))
        sent.append(msgspec.msgpack.encode(node.gates["KOR"].sent))

    assert sent[0] == sent[1]


def test_two_people_issue_and_each_audience_gets_its_variant() -> None:
    """The proposal holds every audience's variant side by side; one yes of another person issues to all, PUBLIC among them."""
    node = Node()
    node.at(10, ("national", assessment(10, "detected")), theirs(10, state="detected"))
    node.at(20, ("national", assessment(20)), theirs(20))
    assert node.fault(22, ANN, issue("KOR", "USA", "PUBLIC")) == ""
    content = msgspec.json.decode(node.proposal().content, type=contents.Issue)
    assert [(one.audience, one.basis, [a.id for a in one.areas]) for one in content.variants] == [
        ("JPN", "own", ["JP-02", "JP-01"]),
        ("KOR", "own", ["JP-02"]),
        ("PUBLIC", "approved", ["JP-02", "JP-01"]),
        ("USA", "approved", ["JP-02", "JP-01"]),
    ]
    assert node.public == []
    assert node.approve(24, BEN) == ""

    assert [(one.id, one.state, one.issued) for one in node.public] == [("JPN-P1", "issued", True)]
    assert node.public[0].flight is not None
    assert (node.public[0].flight.landing, node.public[0].flight.launch, node.public[0].pedigree.sensors) == (None, None, ())
    assert (last(node, "KOR").id, last(node, "KOR").state) == ("JPN-KOR-W1", "issued")
    assert (last(node, "USA").id, last(node, "USA").state) == ("JPN-USA-W1", "issued")
    assert [one.state for one in node.shown if isinstance(one, Warning)] == ["detected", "assessed", "issued"]
    # What the public was told is, word for word, what was approved.
    assert next(one.words for one in content.variants if one.audience == "PUBLIC") == node.public[0].words


def test_one_person_cannot_issue() -> None:
    """The proposer's own yes, a colleague at the same station, and a content made by the page are refused; nothing leaves."""
    node = Node()
    node.at(50, ("national", assessment(50)))
    assert node.fault(55, ANN, issue("PUBLIC")) == ""
    assert node.approve(56, ANN) == "approval-own"
    twin = Session(user="ben", person="B", station=ANN.station, session="s-9", roles=("watch-officer",))
    assert node.approve(57, twin) == "approval-same-station"
    made = node.proposal().content
    assert node.fault(58, BEN, acts.Propose(act_id="p", kind="issue-warning", content=made)) == "proposal-prepared"
    raised = acts.RaiseWarning(act_id="r", kind="other", headline="x", rel_to=("PUBLIC",))
    assert node.fault(59, ANN, raised) == ""
    assert node.proposal().kind == "raise-public"
    assert node.public == []
    assert any("refused: proposal-prepared" in line for line in node.log)


def test_what_two_raise_by_hand_reaches_the_public_and_its_end_too() -> None:
    """A warning raised by hand to PUBLIC leaves with the second yes, and its retraction goes the same way."""
    node = Node()
    node.at(50, (ANN, acts.RaiseWarning(act_id="r", kind="other", headline="x", rel_to=("KOR", "PUBLIC"))))
    assert node.gates["KOR"].sent == []
    assert node.approve(51, BEN) == ""
    warning = last(node, "KOR")
    assert [one.state for one in node.public] == ["issued"]
    retract = acts.RetractWarning(act_id="t", warning_id="JPN-W1", version=warning.version)
    assert node.fault(52, BEN, retract) == ""
    assert [one.state for one in node.public] == ["issued", "retracted"]


def test_an_exercise_never_issues_live() -> None:
    """A leave whose content names another mode is refused, and so is an assessment of another mode."""
    node = Node()
    leave = {"mode": "live", "audiences": ["PUBLIC"], "probability_min": 0.1, "confidence_min": 0.5, "minutes": 10}
    content = msgspec.json.encode({**leave, "until_ns": T0_NS + 10**12}).decode()
    assert node.fault(10, ANN, acts.Propose(act_id="p", kind="pre-authorise-warning", content=content)) == "act-mode"
    live = assessment(50, label=label(mode=Mode(kind="live")))
    assert node.at(50, ("national", live)).taken == []


def test_updates_are_automatic_inside_and_two_are_asked_beyond() -> None:
    """A new area beyond what was approved is told to nobody; the node proposes it and two others must approve."""
    node = issued("PUBLIC")
    public = len(node.public)
    wider = (area("JP-02", probability=0.5), area("JP-05"))
    node.at(62, ("national", assessment(62, areas=wider)))
    assert [[one.id for one in told.touched] for told in node.public[public:]] == [["JP-02"]]
    proposal = node.proposal()
    assert proposal.by is None
    assert node.approve(64, ANN) == ""
    assert node.public[-1].touched == tuple(one for one in node.public[public].touched)
    assert node.approve(65, BEN) == ""
    assert {one.id for one in node.public[-1].touched} == {"JP-02", "JP-05"}
    assert node.public[-1].state == "updated"


def test_partner_data_bears_on_a_public_warning_only_with_consent() -> None:
    """Resting on KOR's data without consent or purpose nothing is public; own sensors alone, or consent and purpose, allow it."""
    mixed = msgspec.structs.replace(label(), sources=("JPN", "KOR"))
    node = Node()
    node.at(50, ("national", assessment(50, label=mixed)))
    assert node.fault(51, ANN, issue("PUBLIC")) == "public-consent"
    node.at(52, ("own", assessment(52, stream="JPN/own", areas=(area("JP-01"),))))
    assert node.fault(53, ANN, issue("PUBLIC")) == ""
    content = msgspec.json.decode(node.proposal().content, type=contents.Issue)
    assert [a.id for a in content.variants[1].areas] == ["JP-01"]

    agreed = msgspec.structs.replace(mixed, consents=(Consent(source="KOR", recipient="PUBLIC"),), purposes=("public-warning",))
    other = Node()
    other.at(50, ("national", assessment(50, label=agreed)))
    assert other.fault(51, ANN, issue("PUBLIC")) == ""


def test_a_standing_consent_of_an_agreement_is_as_good_as_one_in_the_label() -> None:
    """Where an agreement holds KOR's consent for PUBLIC, KOR's data bears on it with the purpose, and still not without."""
    mixed = msgspec.structs.replace(label(), sources=("JPN", "KOR"), purposes=("public-warning", "warning"))
    node = Node()
    node.desk.books._standing = lambda _, source, audience: (source, audience) == ("KOR", "PUBLIC")
    node.at(50, ("national", assessment(50, label=mixed)))
    assert node.fault(51, ANN, issue("PUBLIC")) == ""
    without = Node()
    without.desk.books._standing = lambda *_: True
    without.at(50, ("national", assessment(50, label=msgspec.structs.replace(mixed, purposes=("warning",)))))
    assert without.fault(51, ANN, issue("PUBLIC")) == "public-consent"


def test_what_publics_policy_holds_back_is_said_aloud_and_goes_nowhere() -> None:
    """Two people issue to PUBLIC, no agreement lets it go: nothing is public, and the watch is told by an alarm."""
    node = Node()
    node.desk.publish = lambda *_: []
    node.at(50, ("national", assessment(50)))
    assert node.fault(51, ANN, issue("PUBLIC")) == ""
    assert node.approve(52, BEN) == ""
    assert node.public == []
    assert any("withheld from PUBLIC" in line for line in node.log)


def test_the_public_is_not_told_every_second_of_what_only_becomes_more_exact() -> None:
    """Figures that change and areas that fall away wait for the next version of the public's edition; a new area does not."""
    node = issued("PUBLIC")
    told = len(node.public)
    for second in range(60, 76):
        areas = (area("JP-01"), area("JP-02")) if second % 2 else (area("JP-02"),)
        node.at(second, ("national", assessment(second, areas=areas)))
    few = len(node.public) - told
    assert 1 <= few <= 3, [one.reason for one in node.public]


def test_that_it_burns_again_and_that_it_does_no_more_is_told_to_everyone_at_once() -> None:
    """A burn-out taken back seconds after an update, and called anew: nobody waits for either, and the areas stand meanwhile."""
    node = issued("KOR", "PUBLIC")
    node.at(60, ("national", assessment(60)), theirs(60))
    node.at(65, ("national", assessment(65, "detected")), theirs(65, state="detected"))
    for version in (node.public[-1], last(node, "KOR")):
        assert (version.state, version.reason) == ("updated", "burns-again")
        assert version.touched
        assert "burns again" in version.text
    node.at(69, ("national", assessment(69)), theirs(69))
    for version in (node.public[-1], last(node, "KOR")):
        assert (version.state, version.reason) == ("updated", "assessed")
        assert "burns again" not in version.text


def test_each_version_is_labelled_as_what_it_rests_on_now() -> None:
    """A warning that began on one sensor of level 1 and goes on with one of level 2 is of level 2 from then on, for KOR as well."""
    node = Node()
    stricter = msgspec.structs.replace(label(rel_to=("KOR",)), level=2, communities=("watch-floor",))
    node.at(50, ("KOR", assessment(50, stream="JPN/KOR", label=label(rel_to=("KOR",)))))
    node.at(60, ("KOR", assessment(60, "detected", stream="JPN/KOR", label=stricter)))
    node.at(90, ("KOR", assessment(90, stream="JPN/KOR", label=stricter)))
    sent = [(one.label.level, one.label.communities) for one in node.gates["KOR"].sent]
    assert sent[0] == (1, ())
    assert sent[-1] == (2, ("watch-floor",))


def test_retraction_reaches_everyone_who_got_it_and_another_reinstates() -> None:
    """One person's one act: KOR, USA and PUBLIC are told with the reason; who retracted does not reinstate, another does."""
    node = issued("KOR", "USA", "PUBLIC")
    retract = acts.RetractWarning(act_id="t", warning_id="JPN-L1", version=3, reason="issued-in-error")
    assert node.fault(60, ANN, retract) == ""
    for name in ("KOR", "USA"):
        made = last(node, name)
        assert isinstance(made, Retraction)
        assert (made.warning_id, made.reason) == (f"JPN-{name}-W1", "issued-in-error")
    assert (node.public[-1].state, node.public[-1].reason) == ("retracted", "issued-in-error")
    assert "issued in error" in node.public[-1].headline
    back = acts.RetractWarning(act_id="b", warning_id="JPN-L1", version=3, reason="reinstated")
    assert node.fault(61, ANN, back) == "reinstate-second"
    assert node.fault(62, BEN, back) == ""
    assert last(node, "KOR").reason == "reinstated"
    assert (node.public[-1].state, node.public[-1].reason) == ("issued", "reinstated")


def test_all_clear_goes_where_the_warning_went() -> None:
    """Stand down is one act and reaches partners and the public as a state of the same warning."""
    node = issued("KOR", "PUBLIC")
    assert node.fault(90, BEN, acts.StandDown(act_id="s", warning_id="JPN-L1", version=1)) == ""
    assert (last(node, "KOR").state, node.public[-1].state) == ("stood-down", "stood-down")
    assert node.fault(91, BEN, acts.StandDown(act_id="s", warning_id="JPN-L1", version=1)) == "warning-over"
    assert node.fault(92, ANN, issue("PUBLIC")) == "warning-over"


def test_lost_and_over_are_told_to_everyone() -> None:
    """Silence of the sensors is told as a lost track; the end of the predicted time as unseen, on every channel."""
    node = issued("PUBLIC")
    node.at(80)
    assert (node.public[-1].state, node.public[-1].reason) == ("track-lost", "silence")
    assert "LOST" in node.public[-1].headline
    node.at((LAND_NS - T0_NS) / NS + 100)
    assert (node.public[-1].state, node.public[-1].reason) == ("passed", "time-over-unseen")


def test_nobody_acknowledges() -> None:
    """Half a minute without an acknowledgement raises an alarm, again a minute later, and never after somebody acknowledged."""
    node = issued()
    before = len(node.log)
    for second in range(60, 200):
        node.at(second, ("national", assessment(second)))
    waiting = [line for line in node.log[before:] if "NOT ACKNOWLEDGED" in line]
    assert len(waiting) == 2
    told = acts.AcknowledgeWarning(act_id="k", originator="JPN", warning_id="JPN-L1", version=3)
    assert node.fault(201, ANN, told) == ""
    before = len(node.log)
    for second in range(202, 300):
        node.at(second, ("national", assessment(second)))
    assert not [line for line in node.log[before:] if "NOT ACKNOWLEDGED" in line]


def partner(version: int = 3, state: str = "issued", mode: Mode = MODE, **other: Any) -> WarningRecord:
    made = Warning(
        id="KOR-JPN-W1", version=version, state=state, t_ns=T0_NS, kind="launch", headline="x", raised_by="node", expires_ns=LAND_NS,  # type: ignore[arg-type]
        label=label("KOR", ("JPN",), mode, topics=("missile-warning",), purposes=other.pop("purposes", ("public-warning",))), pedigree=assessment(1).pedigree,
        touched=(area("JP-02"), area("JP-01")), issued=True, **other,
    )  # fmt: skip
    return WarningRecord(origin="KOR", record=made)


def relay(*areas: str, version: int = 3) -> acts.RelayWarning:
    return acts.RelayWarning(act_id="r", originator="KOR", warning_id="KOR-JPN-W1", version=version, areas=areas)


def test_a_relay_never_widens() -> None:
    """Passing a partner's warning on takes two people, its areas or fewer, its newest version, its consent, and its time."""
    node = Node()
    assert node.fault(1, ANN, relay("JP-02")) == "warning-unknown"
    node.at(2, partner())
    assert node.fault(3, ANN, relay("JP-02", "JP-05")) == "relay-widens"
    assert node.fault(4, ANN, relay(version=2)) == "warning-stale"
    assert node.fault(5, ANN, relay("JP-02")) == ""
    assert node.approve(6, ANN) == "approval-own"
    assert node.approve(7, BEN) == ""
    assert [(one.id, [a.id for a in one.touched]) for one in node.public] == [("JPN-R1", ["JP-02"])]
    node.at(8, partner(4, "updated"))
    assert [a.id for a in node.public[-1].touched] == ["JP-02"]
    gone = Retraction(
        warning_id="KOR-JPN-W1",
        warning_version=4,
        reason="issued-in-error",
        by="KOR",
        t_ns=T0_NS + 9 * NS,
        label=label("KOR", ("JPN",)),
    )
    node.at(9, WarningRecord(origin="KOR", record=gone))
    assert node.public[-1].state == "retracted"
    unwilling = Node()
    unwilling.at(2, partner(purposes=("situational-awareness",)))
    assert unwilling.fault(3, ANN, relay("JP-02")) == "public-consent"


def test_a_stale_warning_of_a_partner_is_never_passed_on() -> None:
    """What is past its end is counted as stale, and neither relayed nor followed; an older version changes nothing."""
    node = Node()
    node.at((LAND_NS - T0_NS) / NS + 1, partner())
    assert node.desk.rejected["warning-stale"] == 1
    assert node.fault((LAND_NS - T0_NS) / NS + 2, ANN, relay("JP-02")) == "warning-stale"
    other = Node()
    other.at(1, partner(5))
    assert other.at(2, partner(3)).shown == []


def test_a_forged_retraction_takes_nothing_back() -> None:
    """A partner's retraction of a warning that it did not send is counted and changes nothing; so is an answer for another."""
    node = issued("KOR")
    forged = Retraction(
        warning_id="JPN-KOR-W1",
        warning_version=3,
        reason="threat-over",
        by="x",
        t_ns=T0_NS + 60 * NS,
        label=label("KOR", ("JPN",)),
    )
    assert node.at(60, WarningRecord(origin="KOR", record=forged)).shown == []
    assert node.desk.rejected["warning-unknown"] == 1
    lie = Acknowledgement(
        warning_originator="JPN",
        warning_id="JPN-KOR-W1",
        warning_version=1,
        kind="seen",
        nation="USA",
        station="x",
        by="x",
        t_ns=1,
        label=label("KOR", ("JPN",)),
    )
    node.at(61, WarningRecord(origin="KOR", record=lie))
    assert node.desk.rejected["origin-mismatch"] == 1


def test_a_partner_answers_its_own_edition_and_the_nation_sees_its_own() -> None:
    """KOR acknowledges JPN-KOR-W1; it is shown on JPN-L1, with station and channel."""
    node = issued("KOR")
    told = Acknowledgement(
        warning_originator="JPN",
        warning_id="JPN-KOR-W1",
        warning_version=3,
        kind="acknowledged",
        nation="KOR",
        station="seoul-1",
        by="kim",
        t_ns=T0_NS + 60 * NS,
        label=label("KOR", ("JPN",)),
        channel="siren",
    )
    node.at(60, WarningRecord(origin="KOR", record=told))
    assert (node.shown[-1].warning_id, node.shown[-1].station, node.shown[-1].channel) == ("JPN-L1", "seoul-1", "siren")


def test_an_approval_that_comes_too_late_issues_nothing() -> None:
    """Approved after it was stood down: nothing leaves, and the log says so."""
    node = Node()
    node.at(50, ("national", assessment(50)))
    assert node.fault(55, ANN, issue("PUBLIC")) == ""
    node.at(56, (CEO, acts.StandDown(act_id="s", warning_id="JPN-L1", version=1)))
    assert node.approve(57, BEN) == ""
    assert node.public == []
    assert any("is over: nothing is issued" in line for line in node.log)
    assert any(isinstance(one.approved, Approved) for one in node.approvals.settled.values())
