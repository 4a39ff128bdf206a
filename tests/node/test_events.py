"""Declassification events are the only door: signed, logged, shown; what nobody opened stays, what two people opened goes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import node_worlds as worlds
import pytest
from policy_records import warning as full_warning

from trilat.identity.sign import SigningKey
from trilat.node.inputs import ActInput, EventInput, Input, decode, encode
from trilat.node.people import signed
from trilat.node.pipeline import Output
from trilat.node.record import Recorder
from trilat.node.settings import NodeConfig
from trilat.outward import events
from trilat.outward.doors import coarse
from trilat.outward.events import Before
from trilat.picture.acts import Act, Approve, OfficerAct, Propose, ProposeRelease, RaiseWarning, RetractWarning
from trilat.policy.agreement import Agreements, Seen
from trilat.records import codec
from trilat.records.approval import Approved, Proposal, Session
from trilat.records.declassification import Declassification
from trilat.records.label import Mode
from trilat.records.report import Pedigree
from trilat.records.track import Area
from trilat.records.warning import Retraction, Warning
from trilat.store.sqlite import open_store

S = 10**9
KEY = SigningKey("JPN", "exercise", b"\x07" * 32)
WATCH = Session(user="watch-a", person="Watch officer A", station="st-1", session="s-1", roles=("watch-officer",))
RELEASE = Session(user="release-b", person="Release officer B", station="st-2", session="s-2", roles=("release-officer",))
RAISE = RaiseWarning(act_id="a", kind="missile", headline="CANARY headline", text="CANARY text", rel_to=(), level=3)
STANDING = events.StandingRelease(
    audience="KOR", agreement="trilateral", agreement_version=1, topics=("missile-warning",), level_max=4, hours=2
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> NodeConfig:
    return worlds.without_public(worlds.config_of(worlds.prepare(tmp_path_factory.mktemp("nodes"))["JPN"]))


class Node:
    """A node's pipeline with its clock: `does` is one step with one officer's act."""

    def __init__(self, config: NodeConfig) -> None:
        self.pipeline = worlds.pipeline_of(config)
        self.pipeline.trust({KEY.key_id: KEY.verify_key.public})
        self.now_ns = worlds.T0_NS

    def step(self, *inputs: Input) -> Output:
        """Step a second later."""
        self.now_ns += S
        return self.pipeline.step(self.now_ns, inputs)

    def does(self, session: Session, act: Act) -> Output:
        """Step with one officer's act."""
        return self.step(ActInput(act=OfficerAct(session=session, act=act)))

    def approved(self, act: Act, first: Session = WATCH) -> Approved:
        """Propose as one person, approve as another."""
        [made] = [one for one in self.does(first, act).approvals if isinstance(one, Proposal)]
        yes = Approve(act_id="y", proposal=made.id, content_sha256=made.content_sha256.hex())
        [done] = [one for one in self.does(RELEASE, yes).approvals if isinstance(one, Approved)]
        return done

    def event(self, approved: Approved) -> EventInput:
        """Return the signed event that an approved proposal asks for."""
        asked = events.wanted(approved, "JPN", worlds.MODE)
        assert asked is not None
        return signed(asked, KEY)


def national(out: Output) -> Warning:
    return next(one.record for one in out.warnings if isinstance(one.record, Warning))


def left(*outputs: Output) -> list[tuple[str, object]]:
    return [(one.audience, codec.decode(one.record)) for out in outputs for one in out.released]


def texts(out: Output) -> str:
    return "\n".join(one.text for one in out.notices)


def test_without_an_event_nothing_leaves_and_with_it_exactly_that_record(config: NodeConfig) -> None:
    """Of two withheld warnings the one that two people let go reaches KOR, alone, under KOR's own id; USA gets nothing."""
    node = Node(config)
    first, second = national(node.does(WATCH, RAISE)), national(node.does(WATCH, RAISE))
    approved = node.approved(ProposeRelease(act_id="p", audience="KOR", warning_id=first.id, reason="people are in it"))
    assert first.headline in approved.proposal.content
    before = [node.step() for _ in range(3)]
    assert left(*before) == []

    out = node.step(decode(encode(node.event(approved))))
    [(audience, warning)] = left(out)
    assert (audience, out.released[0].reason, out.released[0].decision) == ("KOR", "declassified", approved.proposal.id)
    assert isinstance(warning, Warning)
    assert (warning.id, warning.headline, warning.label.rel_to) == ("JPN-KOR-W1", first.headline, ("KOR",))
    assert approved.proposal.id in texts(out)
    assert "release-b, watch-a" in texts(out)
    assert left(*[node.step() for _ in range(3)]) == []

    took_back = node.does(WATCH, RetractWarning(act_id="r", warning_id=first.id, version=1, text="CANARY"))
    [(audience, retraction)] = left(took_back)
    assert isinstance(retraction, Retraction)
    assert (audience, retraction.warning_id, retraction.text) == ("KOR", "JPN-KOR-W1", "")
    assert left(node.does(WATCH, RetractWarning(act_id="r", warning_id=second.id, version=1))) == []


def test_a_national_track_leaves_as_an_area_of_the_audiences_own(config: NodeConfig) -> None:
    """A track that two people let go leaves once, as an area, with neither the national number nor the sensor."""
    node = Node(config)
    for now_ns, inputs in worlds.inputs_of("JPN", 6.0):
        node.pipeline.step(now_ns, inputs)
        node.now_ns = now_ns
    assert node.pipeline.tracks is not None
    shown = node.pipeline.tracks.columns
    number = int(shown["number"][shown["status"] > 0].max())
    event = node.event(node.approved(ProposeRelease(act_id="p", audience="KOR", track=number)))
    with_it = [record for audience, record in left(node.step(event)) if audience == "KOR" and isinstance(record, Area)]
    assert [(one.stream, one.number, one.pedigree.sensors) for one in with_it] == [("JPN/approved", 1, ())]
    assert with_it[0].radius_m >= 1_000.0
    assert [record for _, record in left(node.step()) if isinstance(record, Area)] == []


def altered(given: EventInput, **change: object) -> EventInput:
    """Return the event with something changed and signed again, as a fault of the node would."""
    return signed(events.Wanted(msgspec.structs.replace(given.event, **change), given.record), KEY)


def test_what_is_wrong_with_an_event_is_said_by_name_and_opens_nothing(config: NodeConfig) -> None:
    """Forged, for another, of another mode, too old, too early, of one person, with another record, twice: each has its name."""
    node = Node(config)
    first, second = (
        national(node.does(WATCH, RAISE)),
        national(node.does(WATCH, msgspec.structs.replace(RAISE, headline="other"))),
    )
    good = node.event(node.approved(ProposeRelease(act_id="p", audience="KOR", warning_id=first.id)))
    stranger = SigningKey("JPN", "exercise", b"\x08" * 32)
    bad = {
        "declassification-forged": [
            EventInput(event=msgspec.structs.replace(good.event, level_max=4), record=good.record),
            EventInput(event=msgspec.structs.replace(good.event, signature=b""), record=good.record),
            EventInput(event=msgspec.structs.replace(good.event, audience="USA"), record=good.record),
            signed(events.Wanted(good.event, good.record), stranger),
        ],
        "declassification-audience": [altered(good, audience="PUBLIC"), altered(good, nation="KOR")],
        "declassification-mode": [altered(good, mode=Mode(kind="exercise", id="t2")), altered(good, mode=Mode(kind="live"))],
        "declassification-expired": [altered(good, expires_ns=node.now_ns), altered(good, t_ns=node.now_ns + 60 * S)],
        "declassification-unapproved": [altered(good, approved_by=("a", "a")), altered(good, approved_by=())],
        "declassification-record": [
            EventInput(event=good.event, record=codec.encode(second)),
            EventInput(event=good.event, record=b""),
            EventInput(event=good.event, record=b"\xc1\x00"),
        ],
    }
    for name, several in bad.items():
        for one in several:
            out = node.step(one)
            assert left(out) == [], name
            assert name in texts(out)
        assert node.pipeline.rejected[name] == len(several), name
    assert len(left(node.step(good))) == 1
    again = node.step(good)
    assert left(again) == []
    assert "declassification-repeated" in texts(again)


def test_an_event_opens_no_other_rule(config: NodeConfig) -> None:
    """An approved warning for an audience without any agreement on it stays, and the officer is told by which rule."""
    node = Node(config)
    for name, audience in node.pipeline.audiences.items():
        assert name in {"KOR", "USA"}, audience
    first = national(node.does(WATCH, RAISE))
    expired = msgspec.structs.replace(first, label=msgspec.structs.replace(first.label, expires_ns=node.now_ns))
    node.pipeline.desk.hand._own[first.id] = expired
    out = node.step(node.event(node.approved(ProposeRelease(act_id="p", audience="KOR", warning_id=first.id))))
    assert left(out) == []
    assert "lets nothing go to KOR: label-expired" in texts(out)


def test_a_page_cannot_make_up_the_record(config: NodeConfig) -> None:
    """A proposal to declassify whose content the page wrote is refused: the node puts in the record it holds; nobody approves alone."""
    node = Node(config)
    first = national(node.does(WATCH, RAISE))
    content = msgspec.json.encode(events.RecordRelease(audience="KOR", record=first)).decode()
    [answer] = node.does(WATCH, Propose(act_id="x", kind="declassify", content=content)).answers
    assert (answer.ok, answer.reason) == (False, "proposal-prepared")
    [answer] = node.does(WATCH, ProposeRelease(act_id="x", audience="KOR", warning_id="JPN-W99")).answers
    assert (answer.ok, answer.reason) == (False, "warning-unknown")
    [answer] = node.does(WATCH, ProposeRelease(act_id="x", audience="KOR", track=77)).answers
    assert (answer.ok, answer.reason) == (False, "track-unknown")
    [made] = node.does(RELEASE, ProposeRelease(act_id="x", audience="KOR", warning_id=first.id)).approvals
    assert isinstance(made, Proposal)
    yes = Approve(act_id="y", proposal=made.id, content_sha256=made.content_sha256.hex())
    assert [one.reason for one in node.does(RELEASE, yes).answers] == ["approval-own"]


def test_a_standing_duty_lets_warnings_go_in_coarse_form_while_it_stands(config: NodeConfig) -> None:
    """Pre-authorised by two, a withheld missile warning reaches KOR without words, on a grid; before, after and for USA nothing."""
    node = Node(config)
    area = msgspec.convert(
        {"name": "CANARY bay", "lat_deg": 34.5678, "lon_deg": 128.4321, "radius_m": 3_000.0},
        RaiseWarning.__annotations__["areas"].__args__[0].__args__[0],
    )
    raised = msgspec.structs.replace(RAISE, areas=(area,))
    assert left(node.does(WATCH, raised)) == []
    approved = node.approved(Propose(act_id="s", kind="pre-authorise", content=msgspec.json.encode(STANDING).decode()))
    assert left(node.step(node.event(approved))) == []
    out = node.does(WATCH, raised)
    [(audience, warning)] = left(out)
    assert isinstance(warning, Warning)
    assert (audience, warning.headline, warning.text, warning.id) == ("KOR", "Warning: missile", "", "JPN-KOR-W1")
    assert [(round(one.lat_deg, 6), round(one.lon_deg, 6), one.radius_m) for one in warning.areas] == [(34.6, 128.4, 20_000.0)]
    assert b"CANARY" not in out.released[0].record
    assert f"goes to KOR by event {approved.proposal.id}" in texts(out)
    node.now_ns += 3 * 3_600 * S
    assert left(node.does(WATCH, raised)) == []


def test_a_restart_knows_what_was_taken_and_what_stands(config: NodeConfig) -> None:
    """Acts and events of the log, done again, leave ids, standing permissions and refusals of repeats as they were."""
    node = Node(config)
    approved = node.approved(Propose(act_id="s", kind="pre-authorise", content=msgspec.json.encode(STANDING).decode()))
    event = node.event(approved)
    node.step(event)
    again = Node(config)
    again.pipeline.restore(node.now_ns, [event])
    again.now_ns = node.now_ns
    assert again.pipeline.events_taken() == {approved.proposal.id}
    assert "declassification-repeated" in texts(again.step(event))
    assert [audience for audience, _ in left(again.does(WATCH, RAISE))] == ["KOR"]


def test_a_change_of_agreements_is_an_event_with_the_number_to_recall(config: NodeConfig) -> None:
    """A newer version is told per audience with what it would recall; the same version, and a first start, tell nothing."""
    agreements: Agreements = worlds.setup.read_agreements(config)
    older = Before({name: Seen(one.version, one.sha256) for name, one in agreements.seen.items()} | {"trilateral": Seen(0, "x")})
    recalls = {"KOR": (40, 3)}
    assert list(events.changed(Before({}), agreements, "JPN", worlds.MODE, worlds.T0_NS, recalls)) == []
    assert list(events.changed(Before(agreements.seen), agreements, "JPN", worlds.MODE, worlds.T0_NS, recalls)) == []
    told = list(events.changed(older, agreements, "JPN", worlds.MODE, worlds.T0_NS, recalls))
    assert [one.event.audience for one in told] == ["KOR", "USA"]
    node = Node(config)
    out = node.step(*(signed(one, KEY) for one in told))
    assert "trilateral/1 after 0: of 40 records released to KOR, 3 would have to be recalled" in texts(out)
    assert left(out) == []
    assert isinstance(told[0].event, Declassification)


def test_a_suspension_and_its_end_are_events_with_the_number_to_recall(config: NodeConfig) -> None:
    """An agreement that is stopped is told per audience with what that would recall, and when it goes on, as often as it happens."""
    agreements: Agreements = worlds.setup.read_agreements(config)
    stopped = msgspec.structs.replace(agreements, suspended=frozenset({"trilateral"}))
    node, recalls = Node(config), {"KOR": (40, 40)}
    told = []
    for was, now in ((agreements, stopped), (stopped, stopped), (stopped, agreements), (agreements, stopped)):
        node.now_ns += 2 * 10**9
        before = Before(agreements.seen, was.suspended)
        made = list(events.changed(before, now, "JPN", worlds.MODE, node.now_ns, recalls))
        out = node.step(*(signed(one, KEY) for one in made))
        assert left(out) == []
        told.append([text for text in texts(out).splitlines() if "KOR" in text])
    suspended = "trilateral/1 suspended: of 40 records released to KOR, 40 would have to be recalled"
    resumed = suspended.replace("suspended", "resumed")
    assert [len(one) for one in told] == [1, 0, 1, 1]
    assert [suspended in told[0][0], resumed in told[2][0], suspended in told[3][0]] == [True] * 3


def test_the_longest_name_has_an_event_for_each_audience(config: NodeConfig) -> None:
    """Of an agreement with the longest id and version there may be, stopped, each audience's event has a valid id of its own."""
    held = worlds.setup.read_agreements(config)
    long = msgspec.structs.replace(held.agreements[0], id="a" * 32, version=1_000_000)
    flows = tuple(msgspec.structs.replace(one, to=to) for one, to in zip(long.flow[:1] * 2, ("KOR", "PUBLIC"), strict=True))
    now = msgspec.structs.replace(held, agreements=(msgspec.structs.replace(long, flow=flows),), suspended=frozenset({long.id}))
    made = events.changed(Before(held.seen), now, flows[0].origin, worlds.MODE, worlds.T0_NS, {})
    ids = [msgspec.convert(msgspec.to_builtins(one.event), Declassification).id for one in made]
    assert [True, True] == [one.endswith(to) for one, to in zip(ids, ("KOR", "PUBLIC"), strict=True)]


def test_the_log_knows_what_the_last_run_had_stopped_and_where_agreements_differ(
    config: NodeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several runs the highest versions of all and the suspensions of the last are read; a contradiction is an entry."""
    store = open_store(tmp_path / "store", "JPN", worlds.MODE)
    agreements: Agreements = worlds.setup.read_agreements(config)
    assert Before({}) == Recorder(store, config).agreements_before()
    for suspended in (("usa-jpn",), ("trilateral",)):
        Recorder(store, msgspec.structs.replace(config, suspended=suspended)).begin(worlds.T0_NS, agreements)
    assert Before(agreements.seen, frozenset({"trilateral"})) == Recorder(store, config).agreements_before()

    first = agreements.agreements[0]
    other = msgspec.structs.replace(first, id="another", purposes=("exercise",), yields_to=())
    both = msgspec.structs.replace(agreements, agreements=(other, msgspec.structs.replace(first, yields_to=())))
    monkeypatch.setattr(worlds.setup, "read_agreements", lambda *_: both)
    assert both == Recorder(store, config).read_agreements(worlds.T0_NS, {})
    store.commit()
    said = [msgspec.msgpack.decode(one.data)["says"] for one in store.journal.read(kinds=frozenset({"contradiction"}))]
    store.close()
    assert said
    assert "different purposes; only what both allow holds" in said[0]


def test_the_coarse_form_holds_nothing_that_somebody_wrote_or_measured() -> None:
    """Of a warning with words, a flight and touched areas, the coarse form keeps kind, times and circles on the grid, and no more."""
    made = coarse(full_warning())
    kept = {name for name in made.__struct_fields__ if getattr(made, name) not in (None, (), "")}
    assert {"id", "version", "state", "t_ns", "label", "pedigree", "kind", "headline", "areas", "expires_ns", "raised_by"} | {
        "issued"
    } == kept
    assert b"CANARY" not in codec.encode(made)
    assert Pedigree(nation="JPN") == made.pedigree
