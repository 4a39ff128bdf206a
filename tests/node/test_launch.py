"""A launch through three whole pipelines: seen by one, known to all, issued by two people, acknowledged, ended; replayed alike."""

from __future__ import annotations

import launch_nodes as nodes
import msgspec
import pytest
from flight_records import assessment, label
from node_worlds import T0_NS

from trilat.node.inputs import AssessedInput, Input, ReceivedInput
from trilat.node.record import by_people
from trilat.node.settings import NodeConfig
from trilat.picture import acts
from trilat.records import codec
from trilat.records.report import Measurement
from trilat.records.warning import Acknowledgement, Retraction, Warning

ANN, BEN, KIM, LEE = (nodes.officer(name) for name in ("ann", "ben", "kim", "lee"))
ASSESSED_S, LONG_S = 150.0, 180.0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, NodeConfig]:
    return nodes.configs(tmp_path_factory.mktemp("launch"))


@pytest.fixture(scope="module")
def flown(made: dict[str, NodeConfig]) -> nodes.Three:
    """Fly the demo's launch to its all clear, with everything people do in between."""
    three = nodes.Three(made)
    assert three.until(lambda: three.in_state("JPN", "JPN", "assessed") and three.newest("JPN", "JPN").touched, ASSESSED_S)  # type: ignore[union-attr]
    mine = three.newest("JPN", "JPN")
    assert mine is not None
    three.act(
        "JPN",
        ANN,
        acts.IssueWarning(act_id="1", warning_id=mine.id, version=mine.version, audiences=("KOR", "PUBLIC", "USA"), minutes=30),
    )
    three.step()
    [pending] = three.pipelines["JPN"].approvals.pending()
    three.act(
        "JPN", ANN, acts.Approve(act_id="2", proposal=pending.proposal.id, content_sha256=pending.proposal.content_sha256.hex())
    )
    three.act(
        "JPN", BEN, acts.Approve(act_id="3", proposal=pending.proposal.id, content_sha256=pending.proposal.content_sha256.hex())
    )
    assert three.until(lambda: three.in_state("USA", "JPN", "issued", "updated"), LONG_S)
    for nation, who in (("JPN", ANN), ("KOR", KIM), ("USA", LEE)):
        held = three.newest(nation, "JPN")
        assert held is not None
        three.act(nation, who, acts.AcknowledgeWarning(act_id="4", originator="JPN", warning_id=held.id, version=held.version))
    for _ in range(5):
        three.step()
    mine = three.newest("JPN", "JPN")
    assert mine is not None
    three.act("JPN", BEN, acts.StandDown(act_id="5", warning_id=mine.id, version=mine.version))
    for _ in range(5):
        three.step()
    return three


def states_of(three: nodes.Three, nation: str, origin: str) -> list[str]:
    shown = [one for _, _, out in three.journal[nation] for one in out.warnings if one.origin == origin]
    return list(dict.fromkeys(one.record.state for one in shown if isinstance(one.record, Warning)))


def test_a_launch_runs_from_detected_to_stood_down_on_all_three(flown: nodes.Three) -> None:
    """Every nation's page shows JPN's warning detected, assessed, issued by two, and stood down; and has a warning of its own."""
    for nation in ("JPN", "KOR", "USA"):
        states = states_of(flown, nation, "JPN")
        # A partner's edition rests on JPN's own radar alone, which may not have enough for an area when the others have.
        assert [one for one in states if one not in ("updated", "assessed")] == ["detected", "issued", "stood-down"], nation
        assert nation != "JPN" or "assessed" in states
        assert "detected" in states_of(flown, nation, nation)


def test_partners_plots_make_a_launch_known_before_the_own_radar_sees_it(flown: nodes.Three) -> None:
    """JPN and USA call the launch on KOR's plots alone, while their own radars still have nothing above the horizon."""
    for nation in ("JPN", "USA"):
        [first] = [
            (at, one.record)
            for at, _, out in flown.journal[nation]
            for one in out.warnings
            if one.origin == nation and isinstance(one.record, Warning) and one.record.version == 1
        ]
        plots = [
            codec.decode(one.record)
            for at, _, out in flown.journal[nation]
            for one in out.released
            if one.audience == "KOR" and at <= first[0]
        ]
        assert first[1].pedigree.sensors == ("KOR/early",)
        assert first[1].label.sources == ("KOR",)
        assert not [one for one in plots if isinstance(one, Measurement) and not one.alt_m < 1e6]
    last = flown.newest("JPN", "JPN")
    assert last is not None
    assert last.pedigree.sensors == ("JPN/early", "KOR/early", "USA/early")


def test_a_partner_s_warning_points_in_the_nation_s_own_watch_alone(made: dict[str, NodeConfig], flown: nodes.Three) -> None:
    """KOR's warning, as JPN's node received it, is a pointer in JPN's own combined watch; no watch for a partner has any."""
    fresh = nodes.pipeline_of(made["JPN"])
    now_ns, given = next(
        (at, one)
        for at, inputs, _ in flown.journal["JPN"]
        for one in inputs
        if isinstance(one, ReceivedInput) and one.exporter == "KOR" and isinstance(codec.decode(one.record), Warning)
    )
    fresh.step(now_ns, [given])
    assert fresh.launches.combined.pointers is not None
    assert len(fresh.launches.combined.pointers) == 1
    assert [None] * 3 == [
        watch.pointers for watch in (fresh.launches.own, *(fresh.audiences[a].launches for a in ("KOR", "USA")))
    ]


def test_one_flight_is_one_warning_for_everybody(flown: nodes.Three) -> None:
    """Nobody is told of a second launch: one id per nation and audience."""
    for nation in flown.pipelines:
        ids = {
            (one.origin, one.record.id)
            for _, _, out in flown.journal[nation]
            for one in out.warnings
            if isinstance(one.record, Warning)
        }
        assert len(ids) == 3, ids


def test_three_nations_acknowledge(flown: nodes.Three) -> None:
    """JPN sees its own, KOR's and USA's acknowledgement of the warning that it issued, under its own id."""
    acks = [one.record for _, _, out in flown.journal["JPN"] for one in out.warnings if isinstance(one.record, Acknowledgement)]
    assert sorted({one.nation for one in acks}) == ["JPN", "KOR", "USA"]
    assert {one.warning_id for one in acks} == {"JPN-L1"}


def test_one_person_twice_issues_nothing(flown: nodes.Three) -> None:
    """Ann proposes and approves her own proposal: refused; Ben's yes issues it."""
    answers = {one.act_id: one for _, _, out in flown.journal["JPN"] for one in out.answers}
    assert (False, True) == (answers["2"].ok, answers["3"].ok)


def test_the_public_gets_what_its_policy_lets_go_and_no_exact_place(flown: nodes.Three) -> None:
    """What goes to PUBLIC is in PUBLIC's outbox: areas of Japan and the sea, times, a class; no place, nobody's sensors."""
    public = [
        codec.decode(one.record)
        for _, _, out in flown.journal["JPN"]
        for one in out.released
        if (one.audience, one.lane) == ("PUBLIC", "flash")
    ]
    told = [one for one in public if isinstance(one, Warning)]
    assert told[0].state == "issued"
    assert told[-1].state == "stood-down"
    assert {one.label.rel_to for one in told} == {("PUBLIC",)}
    for one in told:
        assert one.flight is not None
        assert (one.flight.landing, one.flight.launch, one.flight.fan) == (None, None, None)
        assert one.pedigree.sensors == ()
        assert all(area.nation in ("JPN", "") or area.kind in ("sea", "fir") for area in one.touched)
        assert all("EXERCISE" in words.headline or "訓練" in words.headline or "훈련" in words.headline for words in one.words)


def test_a_run_again_gives_the_same_bytes(made: dict[str, NodeConfig], flown: nodes.Three) -> None:
    """JPN's inputs through a new pipeline give, step by step, the digest of the first run, launch and people included."""
    again = nodes.pipeline_of(made["JPN"])
    for now_ns, inputs, out in flown.journal["JPN"]:
        assert out.digest() == again.step(now_ns, inputs).digest(), (now_ns - T0_NS) / 1e9


def test_a_restart_knows_the_warning_and_its_ids(made: dict[str, NodeConfig], flown: nodes.Three) -> None:
    """What the journal keeps of people, flash and taken assessments brings a new pipeline to the same books; nothing is told anew."""
    fresh = nodes.pipeline_of(made["JPN"])
    for now_ns, inputs, out in flown.journal["JPN"]:
        kept: list[Input] = [one for one in inputs if by_people(one) and not isinstance(one, AssessedInput)]
        if kept or out.assessed or out.warnings or out.public:
            fresh.restore(now_ns, [*kept, *out.assessed])
    ran = flown.pipelines["JPN"].desk.books
    for audience in ("national", "KOR", "USA", "PUBLIC"):
        before = [(one.warning.id, one.warning.version, one.warning.state) for one in ran.all_of(audience)]
        after = [(one.warning.id, one.warning.version, one.warning.state) for one in fresh.desk.books.all_of(audience)]
        assert before == after, audience


def test_a_restart_tells_every_watch_its_own_flights(made: dict[str, NodeConfig]) -> None:
    """After a restart each watch for launches knows what it told itself, and nothing that another told; what is over is forgotten."""
    fresh = nodes.pipeline_of(made["JPN"])
    mode = fresh.settings.mode

    def tell(audience: str, second: float, state: str, flight: int) -> None:
        one = assessment(second, state, stream=f"JPN/{audience}", flight=flight, label=label(mode=mode))
        fresh.restore(one.t_ns, [AssessedInput(audience=audience, assessment=one, derived=True)])

    for audience in ("national", "own", "KOR"):
        tell(audience, 100.0, "assessed", 1)
        tell(audience, 100.0, "assessed", 2)
        tell(audience, 110.0, "landed", 2)
    watches = (fresh.launches.combined, fresh.launches.own, fresh.audiences["KOR"].launches, fresh.audiences["USA"].launches)
    known = [{("JPN/national", 1)}, {("JPN/own", 1)}, {("JPN/KOR", 1)}, set()]
    assert known == [watch.resumed() for watch in watches]


def test_what_kor_gets_of_a_launch_rests_on_what_kor_may_have(made: dict[str, NodeConfig]) -> None:
    """JPN's own radar released to nobody: KOR gets no word of the launch from JPN, and the same bytes as if the radar were not there."""
    hidden = tuple(
        msgspec.structs.replace(one, label=msgspec.structs.replace(one.label, rel_to=("USA",))) for one in made["JPN"].sensor
    )
    config = msgspec.structs.replace(made["JPN"], sensor=hidden)
    runs = []
    for mute in (set(), {"JPN/early"}):
        three = nodes.Three({**made, "JPN": config})
        three.mute = mute
        three.until(lambda: False, 118.0)
        sent = {
            name: [
                msgspec.msgpack.encode(one) for _, _, out in three.journal["JPN"] for one in out.released if one.audience == name
            ]
            for name in ("KOR", "USA")
        }
        runs.append(sent)
        national = three.newest("JPN", "JPN")
        assert national is not None, "KOR's plots alone tell JPN"
    assert runs[0]["KOR"] == runs[1]["KOR"]
    assert runs[0]["USA"] != runs[1]["USA"]


def test_a_retraction_reaches_everybody_who_got_it(made: dict[str, NodeConfig]) -> None:
    """A warning assessed by itself and taken back by one person: every partner that has it gets the retraction of its own edition."""
    three = nodes.Three(made)
    assert three.until(lambda: three.newest("USA", "KOR") is not None and three.newest("JPN", "KOR") is not None, 100.0)
    mine = three.newest("KOR", "KOR")
    assert mine is not None
    three.act("KOR", KIM, acts.RetractWarning(act_id="1", warning_id=mine.id, version=mine.version, reason="issued-in-error"))
    three.step()
    three.step()
    for nation in ("JPN", "USA"):
        held = three.newest(nation, "KOR")
        assert held is not None
        got = [one.record for _, _, out in three.journal[nation] for one in out.warnings if isinstance(one.record, Retraction)]
        assert [(held.id, "issued-in-error")] == [(one.warning_id, one.reason) for one in got]
