"""The whole road of one node as a pure step: replayable, per audience, unharmed by bad input."""

from __future__ import annotations

import random
from collections.abc import Iterable

import msgspec
import node_worlds as worlds
import numpy as np
import pytest

from trilat.fuse.health import Verdict
from trilat.node import show
from trilat.node.health import Health
from trilat.node.inputs import ActInput, FeedInput, Input, ReceivedInput
from trilat.node.pipeline import Output, Pipeline
from trilat.node.settings import NodeConfig
from trilat.picture.acts import AcknowledgeWarning, OfficerAct, RaiseWarning, RetractWarning
from trilat.records import codec
from trilat.records.approval import Session
from trilat.records.columns import KIND_FIX, Reports, empty_reports
from trilat.records.released import Released
from trilat.records.report import Fix, Pedigree
from trilat.records.track import Track
from trilat.records.warning import Acknowledgement, Retraction, Warning
from trilat.warn.assess import Assessor, AssessorSettings

SECONDS = 16.0


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, NodeConfig]:
    prepared = worlds.prepare(tmp_path_factory.mktemp("nodes"))
    return {nation: worlds.config_of(one) for nation, one in prepared.items()}


@pytest.fixture(scope="module")
def jpn_inputs() -> list[tuple[int, list[Input]]]:
    return worlds.inputs_of("JPN", SECONDS)


def run(pipeline: Pipeline, steps: Iterable[tuple[int, list[Input]]]) -> list[Output]:
    return [pipeline.step(now_ns, inputs) for now_ns, inputs in steps]


OFFICER = Session(user="watch-a", person="Watch officer A", station="st-1", session="s-1", roles=("watch-officer",))


def sent_to(outputs: Iterable[Output], audience: str) -> list[bytes]:
    return [msgspec.msgpack.encode(one) for out in outputs for one in out.released if one.audience == audience]


def records_for(outputs: Iterable[Output], audience: str) -> list[object]:
    return [codec.decode(one.record) for out in outputs for one in out.released if one.audience == audience]


def act(given: RaiseWarning | AcknowledgeWarning | RetractWarning) -> ActInput:
    return ActInput(act=OfficerAct(session=OFFICER, act=given))


def received(exporter: str, released: Released, sequence: int) -> ReceivedInput:
    return ReceivedInput(exporter=exporter, lane=released.lane, epoch=1, sequence=sequence, record=released.record)


def test_recorded_bytes_become_tracks_that_both_partners_get(
    configs: dict[str, NodeConfig], jpn_inputs: list[tuple[int, list[Input]]]
) -> None:
    """Sixteen seconds of radar, ADS-B and AIS bytes give national tracks, and each partner gets tracks of its own stream."""
    pipeline = worlds.pipeline_of(configs["JPN"])
    outputs = run(pipeline, jpn_inputs)

    assert len(outputs[-1].national.columns) > 20
    for audience in ("KOR", "USA"):
        tracks = [record for record in records_for(outputs, audience) if isinstance(record, Track)]
        assert tracks, audience
        assert {track.label.originator for track in tracks} == {"JPN"}
        assert {track.stream for track in tracks} == {f"JPN/track/{worlds.T0_NS // 1_000_000}"}


def test_same_inputs_give_the_same_bytes(configs: dict[str, NodeConfig], jpn_inputs: list[tuple[int, list[Input]]]) -> None:
    """Two pipelines fed the same journal agree, step by step, on the hash of everything that comes out."""
    first, second = worlds.pipeline_of(configs["JPN"]), worlds.pipeline_of(configs["JPN"])
    steps = jpn_inputs[:40]

    assert [out.digest() for out in run(first, steps)] == [out.digest() for out in run(second, steps)]


def test_partner_bytes_do_not_depend_on_a_withheld_sensor(
    configs: dict[str, NodeConfig], jpn_inputs: list[tuple[int, list[Input]]]
) -> None:
    """KOR's bytes are equal whether JPN's withheld radar speaks, is silent or sends garbage; USA, which gets it, sees the change."""
    withheld = worlds.provision.feed_of("JPN/isle")

    def with_isle(change: str) -> list[tuple[int, list[Input]]]:
        rng = random.Random(3)
        steps = []
        for now_ns, inputs in jpn_inputs:
            kept = [one for one in inputs if not (isinstance(one, FeedInput) and one.source == withheld)]
            if change == "garbage":
                kept.append(FeedInput(source=withheld, received_t_ns=now_ns, data=rng.randbytes(300)))
            steps.append((now_ns, kept))
        return steps

    said = run(worlds.pipeline_of(configs["JPN"]), jpn_inputs)
    silent = run(worlds.pipeline_of(configs["JPN"]), with_isle("silent"))
    garbage = run(worlds.pipeline_of(configs["JPN"]), with_isle("garbage"))

    assert sent_to(said, "KOR") == sent_to(silent, "KOR") == sent_to(garbage, "KOR")
    assert sent_to(said, "USA") != sent_to(silent, "USA")
    assert any(out.refused for out in garbage)


def test_garbage_on_one_feed_loses_nothing_of_the_others(
    configs: dict[str, NodeConfig], jpn_inputs: list[tuple[int, list[Input]]]
) -> None:
    """Random bytes on every feed beside the real ones are refused by reason and no step fails."""
    rng = random.Random(5)
    noisy = [
        (now_ns, [*inputs, *(worlds.feed_input(sensor, now_ns, rng.randbytes(200)) for sensor in ("JPN/ridge", "JPN/adsb"))])
        for now_ns, inputs in jpn_inputs[:40]
    ]
    outputs = run(worlds.pipeline_of(configs["JPN"]), noisy)

    assert sum(one.count for out in outputs for one in out.refused) > 40
    assert len(outputs[-1].national.columns) > 5


def test_hand_raised_warning_goes_round(configs: dict[str, NodeConfig]) -> None:
    """JPN raises a warning for KOR, KOR holds and acknowledges it under its own id, JPN sees that on its own warning, and takes it back."""
    jpn, kor = worlds.pipeline_of(configs["JPN"]), worlds.pipeline_of(configs["KOR"])
    now_ns = worlds.T0_NS + 1
    raised = jpn.step(now_ns, [act(RaiseWarning(act_id="a", kind="test", headline="EXERCISE test", rel_to=("KOR",)))])
    national = next(one.record for one in raised.warnings if isinstance(one.record, Warning))
    [warning] = [one for one in raised.released if one.lane == "flash"]

    assert [answer.ok for answer in raised.answers] == [True]
    assert warning.audience == "KOR"
    edition = codec.decode(warning.record)
    assert isinstance(edition, Warning)
    assert edition.id != national.id

    held = kor.step(now_ns + 1, [received("JPN", warning, 1)])
    assert [one.origin for one in held.warnings] == ["JPN"]
    answer = AcknowledgeWarning(act_id="b", originator="JPN", warning_id=edition.id, version=1)
    [acknowledged] = [one for one in kor.step(now_ns + 2, [act(answer)]).released if one.lane == "flash"]
    assert acknowledged.audience == "JPN"

    seen = jpn.step(now_ns + 3, [received("KOR", acknowledged, 1)]).warnings
    assert [(one.origin, one.record.warning_id) for one in seen if isinstance(one.record, Acknowledgement)] == [
        ("KOR", national.id)
    ]

    took = RetractWarning(act_id="c", warning_id=national.id, version=1)
    [retraction] = [one for one in jpn.step(now_ns + 4, [act(took)]).released if one.lane == "flash"]
    assert retraction.audience == "KOR"
    shown = kor.step(now_ns + 5, [received("JPN", retraction, 2)]).warnings
    assert [one.record.warning_id for one in shown if isinstance(one.record, Retraction)] == [edition.id]


def test_warning_that_policy_withholds_goes_to_nobody(configs: dict[str, NodeConfig]) -> None:
    """A warning above the agreement's ceiling leaves for nobody, and the officer is told why."""
    jpn = worlds.pipeline_of(configs["JPN"])
    raised = jpn.step(
        worlds.T0_NS + 1, [act(RaiseWarning(act_id="a", kind="test", headline="EXERCISE x", rel_to=("KOR", "USA"), level=4))]
    )

    assert [one for one in raised.released if one.lane == "flash"] == []
    assert sum("withheld from" in notice.text for notice in raised.notices) == 2


def test_partner_cannot_speak_for_another(configs: dict[str, NodeConfig], jpn_inputs: list[tuple[int, list[Input]]]) -> None:
    """A record whose label names another originator than its verified exporter is refused and counted."""
    outputs = run(worlds.pipeline_of(configs["JPN"]), jpn_inputs[:40])
    one = next(one for out in outputs for one in out.released if one.audience == "KOR")
    kor = worlds.pipeline_of(configs["KOR"])

    out = kor.step(worlds.T0_NS + 1, [received("USA", one, 1)])
    assert out.partners == ()
    assert kor.rejected["origin-mismatch"] == 1


def test_restart_knows_its_warnings_and_goes_on_with_its_ids(configs: dict[str, NodeConfig]) -> None:
    """After a restart from the journal the next warning gets the next id, nationally and for the audience."""
    before, after = worlds.pipeline_of(configs["JPN"]), worlds.pipeline_of(configs["JPN"])
    raise_ = act(RaiseWarning(act_id="a", kind="test", headline="EXERCISE one", rel_to=("KOR",)))
    before.step(worlds.T0_NS + 1, [raise_])
    shown = after.restore(worlds.T0_NS + 1, [raise_])

    expected = before.step(worlds.T0_NS + 2, [raise_])
    actual = after.step(worlds.T0_NS + 2, [raise_])
    assert [one.record.id for one in shown if isinstance(one.record, Warning)] == ["JPN-W1"]
    assert [one.record for one in expected.released] == [one.record for one in actual.released]


def test_live_node_refuses_what_a_simulator_marks(
    configs: dict[str, NodeConfig], jpn_inputs: list[tuple[int, list[Input]]]
) -> None:
    """A node in mode live takes no radar plot that carries the SIM bit, counts each, and says so by name."""
    live = msgspec.structs.replace(configs["JPN"], mode="live", agreements=(), partner=())
    outputs = run(worlds.pipeline_of(live), jpn_inputs[:40])

    refused = [one for out in outputs for one in out.refused if one.reason == "simulated-on-live"]
    radars = {worlds.provision.feed_of(sensor) for sensor in ("JPN/ridge", "JPN/isle", "JPN/strait", "JPN/early")}
    assert radars == {one.source for one in refused}
    assert not any(out.reports.get(radar) for out in outputs for radar in radars)


def test_a_value_that_no_record_may_hold_is_withheld_and_ends_no_step(configs: dict[str, NodeConfig]) -> None:
    """Of two self-reported positions of one batch the one beyond the pole stays here, counted by name; the other one leaves."""
    pipeline = worlds.pipeline_of(configs["JPN"])
    audience = pipeline.audiences["USA"]
    held = audience._tier
    sensor = next(one for one in pipeline.settings.sensors if one.kind == "fixes" and held.get(one.id) == "plot")
    columns = empty_reports(2)
    columns["t_ns"], columns["kind"], columns["domain"] = worlds.T0_NS, KIND_FIX, 1
    columns["lat_deg"], columns["lon_deg"] = (95.0, 33.0), 130.0
    pedigree = Pedigree(nation="JPN", sensors=(sensor.id,))
    batch = Reports(source=sensor.id, label=sensor.label, pedigree=pedigree, received_t_ns=worlds.T0_NS, columns=columns)
    left = [codec.decode(one.record) for one in audience.step(worlds.T0_NS, [batch])]
    assert [one.lat_deg for one in left if isinstance(one, Fix)] == [33.0]
    assert dict(audience.withheld) == {"release-record": 1}


def test_what_a_watch_for_launches_leaves_out_is_counted_and_shown(configs: dict[str, NodeConfig]) -> None:
    """Looks put off and plots of other times stand among the page's counters and in the metrics, by whose watch it was."""
    pipeline, health = worlds.pipeline_of(configs["JPN"]), Health()
    watches = {"own": pipeline.launches.own, "combined": pipeline.launches.combined, "KOR": pipeline.audiences["KOR"].launches}
    for k, watch in enumerate(watches.values(), start=1):
        watch._assessor = Assessor(AssessorSettings("JPN", "JPN/national", worlds.MODE, (), None))
        watch._assessor.put_off, watch._assessor.out_of_time = k, 10 * k
    told = show.counters(pipeline, health)

    assert [(k, 10 * k) for k in (1, 2, 3)] == [
        (told[f"launches {name}:put-off"], told[f"launches {name}:out-of-time"]) for name in watches
    ]
    assert health.values["trilat_launches_left_out_total"]["KOR", "put-off"] == 3


def test_what_is_thought_of_every_source_is_shown(configs: dict[str, NodeConfig]) -> None:
    """State, NIS and reason of own sensors and of partners' sources and tracks are among the page's lights and in the metrics."""
    pipeline, health = worlds.pipeline_of(configs["JPN"]), Health()
    own = pipeline.settings.sensors[0].id
    told = {
        ("national", own): pipeline.watch,
        ("core", "KOR:R1"): pipeline.core.judge,
        ("combined", "KOR:tracks"): pipeline.combined.judge,
    }
    for k, ((_, name), judge) in enumerate(told.items()):
        for t in range(40):
            judge.health.innovations(name, t * 10**9, np.full((10, 3), 1.0))
            judge.health.confirmations(name, t * 10**9, 10, 10 - 5 * k)
            judge.verdicts = judge.health.step(t * 10**9)
    lights = {f"{one.nation}:{one.name}": (one.state, one.judged, one.reason, one.nis) for one in show.sensors(health, pipeline)}

    assert ("up", "fit", "", 1.0) == lights[f"JPN:{own}"]
    assert ("down", "quarantined", "ghosts", 1.0) == lights["KOR:R1"] == lights["KOR:tracks"]
    assert [(0.0, 1.0), (1.0, 1.0), (1.0, 1.0)] == [
        (health.values["trilat_sensor_quarantined"][labels], health.values["trilat_sensor_nis"][labels]) for labels in told
    ]
    assert {("core", "KOR:R1", "ghosts"): 1.0, ("combined", "KOR:tracks", "ghosts"): 1.0} == health.values["trilat_sensor_fault"]
    assert {"quarantined KOR:R1:ghosts", "quarantined KOR:tracks:ghosts"} <= show.counters(pipeline, health).keys()


def test_biases_taken_off_are_shown_with_one_sigma(configs: dict[str, NodeConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a sensor's biases the page gets those that are taken off, and none while none is."""
    pipeline, own = worlds.pipeline_of(configs["JPN"]), worlds.pipeline_of(configs["JPN"]).settings.sensors[0].id
    state = pipeline.watch.states()[own]
    fit = Verdict("fit", "", 0, 1.0, 0.0, 0.0, 0.0, 0.0, 100)
    off = np.array([0.0, 0.0035, 0.0, 0.5, 0.0, 0.0, 0.0])
    doubt = np.diag(np.array([5.0, 2e-4, 1e-3, 0.02, 1.0, 1.0, 1.0]) ** 2)
    for applied in (False, True):
        told = state._replace(verdict=fit, bias=state.bias._replace(taken=off, covariance=doubt), applied=applied)
        monkeypatch.setattr(pipeline.watch, "states", lambda told=told: {own: told})
        (light,) = show.sensors(Health(), pipeline)
        shown = [(one.kind, one.value, pytest.approx(one.sigma)) for one in light.biases]
        assert shown == ([("azimuth_rad", 0.0035, 2e-4), ("time_s", 0.5, 0.02)] if applied else [])
