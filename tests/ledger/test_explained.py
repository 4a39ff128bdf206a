"""Why a track may go to whom, over HTTP: it is the decision's own path, for one's own officers, and no pipeline learns of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from click.testing import CliRunner
from explained_node import Held
from flight_records import assessment, label
from starlette.applications import Starlette

from trilat.accounts.roles import may
from trilat.cli import release
from trilat.issuing.editions import NATIONAL
from trilat.ledger import explained
from trilat.marking.display import in_words
from trilat.node import setup, show
from trilat.node.config import sensors_of
from trilat.node.health import Health
from trilat.node.inputs import ActInput, AssessedInput
from trilat.picture.acts import OfficerAct, RaiseWarning
from trilat.policy.decide import step_words
from trilat.policy.rules import Step
from trilat.records import codec
from trilat.records.approval import Session

SECONDS = 6.0
OFFICER = Session(user="ann", person="Ann", roles=("auditor",), station="s", session="x")
AUDIENCES = ("KOR", "USA", "PUBLIC")


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Held:
    return Held(tmp_path_factory.mktemp("nodes"))


def warned(directory: Path) -> Held:
    """Return a node whose watch officer raised a warning for KOR alone."""
    held = Held(directory, seconds=1.0)
    who = Session(user="bo", person="Bo", roles=("watch-officer",), station="s", session="y")
    one = RaiseWarning(act_id="a", kind="test", headline="EXERCISE for one", rel_to=("KOR",))
    held.act(ActInput(act=OfficerAct(session=who, act=one)))
    return held


@pytest.fixture(scope="module")
def raised(tmp_path_factory: pytest.TempPathFactory) -> Held:
    return warned(tmp_path_factory.mktemp("raised"))


def printed(held: Held, track_id: int, audience: str, tmp_path: Path) -> list[str]:
    """Return what the command line prints for the same track, audience and time."""
    told = held.cop.details("watch", track_id)
    assert told is not None
    record = held.pipeline._track(told["number"])
    path = tmp_path / "record.msgpack"
    path.write_bytes(codec.encode(record))
    given = ["explain", str(path), "--to", audience, "--config", str(held.prepared.config), "--at-ns", str(held.cop.now_ns)]
    done = CliRunner().invoke(release.command, given, catch_exceptions=False)
    assert done.exit_code == 0
    told = done.output.splitlines()
    # The command has the record itself, and says at the end in which form that would leave; the page asks about a track.
    form = told.pop() if told[-1].startswith("It ") else ""
    assert bool(form) == told[-1].startswith("PERMITTED")
    return told


def lines(told: dict[str, Any]) -> list[str]:
    return [told["label"], *(step_words(Step(**step)) for step in told["steps"]), told["verdict"]]


@pytest.mark.parametrize("audience", AUDIENCES)
async def test_it_says_what_the_command_line_prints(held: Held, audience: str, tmp_path: Path) -> None:
    """Label, every rule and the verdict are letter for letter those of `trilat release explain` on the same record."""
    for track_id in held.ids[:4]:
        [answer] = await held.asked("release-officer", f"explain?track={track_id}&to={audience}")
        assert answer.status_code == 200
        assert len(answer.content) < 65_536
        assert printed(held, track_id, audience, tmp_path) == lines(answer.json())


async def test_sensors_are_told_as_the_audiences_pipeline_takes_them(held: Held) -> None:
    """For each sensor of a track the answer is the very decision by which the audience's trackers get its plots, or do not."""
    by_id = {sensor.id: sensor for sensor in sensors_of(held.config)}
    seen: set[bool] = set()
    for audience in AUDIENCES:
        policy = setup.policy_of(held.config, held.explainer.agreements, audience)
        for answer in await held.asked("auditor", *(f"explain?track={n}&to={audience}" for n in held.ids[:20])):
            for one in answer.json()["sensors"]:
                made = policy.sensor_decision(by_id[one["id"]], held.cop.now_ns)
                assert (one["permit"], one["reason"], one["rule"]) == (made.permit, made.reason, made.rule)
                seen.add(one["permit"])
    assert {True, False} == seen


async def test_a_combined_track_is_answered_for_by_its_national_one(held: Held) -> None:
    """What the page shows is the combined picture: each answer on it is of the national track that stands behind it."""
    numbers = set(held.pipeline.tracks.columns["number"].tolist()) if held.pipeline.tracks else set()
    answers = await held.asked("auditor", *(f"explain?track={n}&to=KOR" for n in held.of_layer("combined")))
    told = [one.json() for one in answers]
    assert {one["national"] for one in told} <= numbers
    assert len({one["national"] for one in told}) == len(told) > 3


async def test_what_is_not_ones_own_is_said_to_go_nowhere(held: Held) -> None:
    """A track that rests on no sensor of this nation has no path: nothing received is given on, and the answer says so."""
    foreign = held.explainer._replace(subject=lambda _view, _id: (sensors_of(held.config)[0].label, ("kor/radar",), 0))
    app = Starlette(routes=explained.routes(lambda _: OFFICER, may, lambda: foreign))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as http:
        answer = await http.get("/api/release/explain?track=1&to=KOR")
    assert (answer.status_code, answer.json()["reason"]) == (409, "foreign-originator")


async def test_no_pipeline_learns_of_a_question(held: Held) -> None:
    """Asking changes neither the tables nor the log nor the cache of any audience's own policy."""
    policies = [one.policy for one in held.pipeline.audiences.values()]

    def state() -> list[Any]:
        return [(dict(p.rulebook._bits), dict(p.rulebook._interned), dict(p._cache), p.log.totals()) for p in policies]

    before = state()
    await held.asked("watch-officer", *(f"explain?track={n}&to={a}" for n in held.ids for a in AUDIENCES))
    assert before == state()


async def test_a_warning_is_told_as_each_audience_has_it(raised: Held) -> None:
    """Every rule and verdict are the policy's own on the warning's label; the id is the audience's, none where it never got it."""
    record = raised.pipeline.desk.hand.own("JPN-W1")
    assert record is not None
    for audience, has in (("KOR", "JPN-KOR-W1"), ("USA", None), ("PUBLIC", None)):
        [answer] = await raised.asked("release-officer", f"explain?warning=JPN-W1&to={audience}")
        policy = setup.policy_of(raised.config, raised.explainer.agreements, audience)
        path = policy.explain(record.label, raised.cop.now_ns, ())
        told = answer.json()
        assert [step.rule for step in path.steps] == [step["rule"] for step in told["steps"]]
        assert (path.decision.permit, path.decision.reason) == (told["permit"], told["reason"])
        assert has == (told["edition"] and told["edition"]["id"])
        assert told["permit"] is (has is not None)


async def test_a_flights_warning_is_told_by_the_audiences_own_edition(raised: Held) -> None:
    """Asked of is the warning that was made for that audience, under its label, version and id, not the national one."""
    raised.act(
        AssessedInput(audience=NATIONAL, assessment=assessment(20.0)),
        AssessedInput(audience="KOR", assessment=assessment(20.0, stream="JPN/kor", label=label(rel_to=("KOR",)))),
        AssessedInput(audience=NATIONAL, assessment=assessment(30.0)),
    )
    books = raised.pipeline.desk.books
    [national] = [one.warning for one in books.all_of(NATIONAL)]
    [edition] = [one.warning for one in books.all_of("KOR")]
    assert (national.id, national.label) != (edition.id, edition.label)
    for audience, record, held in (("KOR", edition, edition.id), ("USA", national, None)):
        [answer] = await raised.asked("auditor", f"explain?warning={national.id}&to={audience}")
        told = answer.json()
        assert in_words(record.label) == told["label"]
        assert list(record.pedigree.sensors) == [one["id"] for one in told["sensors"]]
        assert held == (told["edition"] and told["edition"]["id"])
        if held:
            assert (edition.version, edition.state) == (told["edition"]["version"], told["edition"]["state"])


async def test_what_a_signed_event_let_go_is_told_with_the_event(tmp_path: Path) -> None:
    """Beside a verdict that withholds stand the edition and the event: which, by whom, why, until when; others have neither."""
    raised = warned(tmp_path)
    raised.let_go("JPN-W1", "USA", "people are in it")
    [usa], [kor] = [await raised.asked("release-officer", f"explain?warning=JPN-W1&to={to}") for to in ("USA", "KOR")]
    assert usa.json()["permit"] is False
    assert usa.json()["edition"]["id"] == "JPN-USA-W1"
    told = usa.json()["event"]
    assert ("JPN-A7", "approved-release", ["ann", "otto"], "people are in it") == tuple(
        told[name] for name in ("id", "kind", "approved_by", "reason")
    )
    assert told["until_ms"] - told["t_ms"] == 3_600_000
    assert (kor.json()["permit"], kor.json()["event"]) == (True, None)
    raised.let_go("JPN-W1", "KOR", "its label lets it go anyway", name="JPN-A8")
    [kor] = await raised.asked("release-officer", "explain?warning=JPN-W1&to=KOR")
    assert (kor.json()["permit"], kor.json()["event"]) == (True, None)


def test_a_warning_above_a_views_level_is_not_there(raised: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    """A view that may not show a warning is answered as if there were none."""
    assert raised.cop.edition_of("watch", "JPN-W1", "KOR") is not None
    monkeypatch.setattr(raised.cop, "level_max", lambda _: 0)
    assert raised.cop.edition_of("watch", "JPN-W1", "KOR") is None


@pytest.mark.parametrize("question", ["explain?track=1&to=KOR", "terms"])
@pytest.mark.parametrize(("role", "status"), [(None, 401), ("engineer", 403), ("exercise-director", 403)])
async def test_nobody_else_may_ask(held: Held, question: str, role: str | None, status: int) -> None:
    """Without a session the answer is 401, with a role that releases and watches nothing 403; neither says anything."""
    [answer] = await held.asked(role, question)
    assert (answer.status_code, set(answer.json())) == (status, {"code", "reason", "text"})


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("explain?track=1", "recipient-unknown"),
        ("explain?track=1&to=kor", "recipient-unknown"),
        ("explain?track=1&to=FRA", "recipient-unknown"),
        ("explain?track=1&to=JPN", "recipient-unknown"),
        ("explain?to=KOR", "request-bad"),
        ("explain?track=-1&to=KOR", "request-bad"),
        ("explain?track=\u0661&to=KOR", "request-bad"),
        ("explain?track=99999999999&to=KOR", "request-bad"),
        ("explain?track=4000000000&to=KOR", "track-unknown"),
        ("explain?warning=JPN-W77&to=KOR", "warning-unknown"),
        ("explain?warning=KOR-W1&to=USA", "warning-unknown"),
        ("explain?warning=&to=USA", "request-bad"),
        ("explain?warning=%EF%BC%AA&to=USA", "request-bad"),
        ("explain?warning=JPN-W1&to=JPN", "recipient-unknown"),
    ],
)
async def test_a_question_without_sense_is_refused_by_name(held: Held, question: str, reason: str) -> None:
    """An audience that is none of this node's, an id that is none, a track that is not held: named refusals."""
    [answer] = await held.asked("auditor", question)
    assert answer.json()["reason"] == reason
    assert answer.status_code in {400, 404}


async def test_one_account_asks_so_many_a_minute(held: Held) -> None:
    """Beyond the bound the answer is 429 by name; another account is answered, and so is this one a minute later."""
    answers = await held.asked("auditor", *["terms"] * (explained.PER_MINUTE_MAX + 1))
    assert [200] * explained.PER_MINUTE_MAX + [429] == [one.status_code for one in answers]
    pace = explained.Pace(2)
    assert [True, True, False] == [pace.takes(n, "ann") for n in range(3)]
    assert pace.takes(3, "bob")
    assert pace.takes(explained.MINUTE_NS, "ann")


async def test_terms_are_the_agreements_own(held: Held) -> None:
    """What forms offer stands in the agreements in force: this nation's flows, ceilings and duties to warn, nobody else's."""
    [answer] = await held.asked("release-officer", "terms")
    told = answer.json()
    assert set(told["audiences"]) == set(AUDIENCES)
    by_id = {one.id: one for one in held.explainer.agreements.agreements}
    for one in told["agreements"]:
        agreement = by_id[one["id"]]
        mine = [flow for flow in agreement.flow if flow.origin == "JPN"]
        assert [flow.to for flow in mine] == [flow["to"] for flow in one["flows"]]
        assert list(agreement.duty_to_warn.topics if agreement.duty_to_warn else ()) == one["duty"]
    assert {True} == {one["in_force"] for one in told["agreements"]}


async def test_decisions_are_shown_with_their_rules(held: Held) -> None:
    """The last decisions come newest first, with rule and reason, and all of them are counted; of one audience or of all."""
    log = held.explainer.log
    [every, kor, nobody] = await held.asked("auditor", "decisions?last=7", "decisions?to=KOR&last=5000", "decisions?to=XXX")
    told = every.json()
    assert [one.decision.rule for one in log.last(7)] == [one["rule"] for one in told["last"]]
    assert [one.decision.label_hash.hex() for one in log.last(7)] == [one["label_sha256"] for one in told["last"]]
    assert sum(log.totals().values()) == sum(one["decisions"] for one in told["totals"]) > 100
    assert {"KOR"} == {one["audience"] for one in (*kor.json()["last"], *kor.json()["totals"])}
    assert {True, False} == {one["permit"] for one in kor.json()["totals"]}
    assert (0, []) == (told["disagreements"], told["disagreed"])
    assert (404, "recipient-unknown") == (nobody.status_code, nobody.json()["reason"])
    for role, status in ((None, 401), ("engineer", 403)):
        [answer] = await held.asked(role, "decisions")
        assert status == answer.status_code


async def test_a_disagreement_of_the_judges_is_shown(tmp_path: Path) -> None:
    """Where the second judge says otherwise, what both said stands in the answer and in the counters, and the record stayed."""
    held = Held(tmp_path, seconds=0.2)
    policy = held.pipeline.audiences["KOR"].policy
    sensor = next(one for one in sensors_of(held.config) if policy.sensor_decision(one, held.cop.now_ns).permit)

    class Contrary:
        def permits(self, *_: object) -> bool:
            return False

    policy._judge = Contrary()
    label_of = msgspec.structs.replace(sensor.label, level=0)
    made = policy.batch_decision(label_of, held.cop.now_ns, (sensor.id,))
    assert (False, "judges-disagree") == (made.permit, made.reason)
    [answer] = await held.asked("release-officer", "decisions?to=KOR")
    [one] = answer.json()["disagreed"]
    assert (1, "KOR", True, False) == (answer.json()["disagreements"], one["audience"], one["rules"], one["second_judge"])
    health = Health()
    assert 1 == show.counters(held.pipeline, health)["judges disagree"]
    assert {(): 1.0} == health.values["trilat_judges_disagree_total"]
    assert health.values["trilat_decisions_total"]["KOR", "withhold"] > 0
