"""Dates and suspension: an agreement begins, ends and is stopped while a node runs, and what leaves follows it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import node_worlds as worlds
import pytest

from trilat.errors import PolicyError
from trilat.node import setup
from trilat.node.inputs import Input
from trilat.node.pipeline import Output, Pipeline
from trilat.node.settings import LabelSettings, NodeConfig
from trilat.policy.agreement import Agreement, Agreements, Validity
from trilat.policy.audience import DecisionLog
from trilat.records import codec
from trilat.records.report import Fix, Measurement
from trilat.records.track import Track

SECONDS = 14.0
BEGINS_S, ENDS_S, STRICTER_S = 3.05, 12.05, 9.05  # between two steps
Steps = list[tuple[int, list[Input]]]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> NodeConfig:
    return worlds.config_of(worlds.prepare(tmp_path_factory.mktemp("nodes"))["JPN"])


@pytest.fixture(scope="module")
def steps() -> Steps:
    return worlds.inputs_of("JPN", SECONDS)


def at_ns(seconds: float) -> int:
    return worlds.T0_NS + round(seconds * 1e9)


def between(agreement: Agreement, begins_s: float, ends_s: float, **change: object) -> Agreement:
    """Return an agreement in force from and until some seconds of the world."""
    zero = datetime.fromtimestamp(worlds.T0_NS // 10**9, UTC)
    validity = Validity(not_before=zero + timedelta(seconds=begins_s), expires=zero + timedelta(seconds=ends_s))
    return msgspec.structs.replace(agreement, validity=validity, **change)


def dated(config: NodeConfig) -> Agreements:
    """Return JPN's agreements: the one with KOR begins and ends in the world."""
    held = setup.read_agreements(config)
    by_id = {one.id: one for one in held.agreements}
    return Agreements(agreements=(between(by_id["trilateral"], BEGINS_S, ENDS_S), by_id["usa-jpn"]), seen=held.seen)


def joined(config: NodeConfig) -> Agreements:
    """Return the same, where plots may leave until a stricter agreement joins it on the way."""
    mine, other = dated(config).agreements
    flows = {tier: tuple(msgspec.structs.replace(one, tier=tier, sensor=()) for one in mine.flow) for tier in ("plot", "track")}
    stricter = between(mine, STRICTER_S, 60.0, id="stricter", flow=flows["track"])
    return Agreements(agreements=(stricter, msgspec.structs.replace(mine, flow=flows["plot"]), other))


def run(config: NodeConfig, agreements: Agreements, steps: Steps) -> list[Output]:
    policies = setup.policies(config, agreements, worlds.SECRET, DecisionLog())
    node = Pipeline(setup.pipeline_settings(config), policies, worlds.T0_NS)
    return [node.step(now_ns, inputs) for now_ns, inputs in steps]


def to_kor(outputs: list[Output]) -> list[tuple[int, bytes]]:
    return [(out.t_ns, msgspec.msgpack.encode(one)) for out in outputs for one in out.released if one.audience == "KOR"]


def test_an_agreement_begins_and_ends_while_the_node_runs(config: NodeConfig, steps: Steps) -> None:
    """Nothing leaves before it begins; then tracks do, without a restart; nothing after it ended; USA's part is as ever."""
    outputs = run(config, dated(config), steps)
    kor = [(out.t_ns, one) for out in outputs for one in out.released if one.audience == "KOR"]
    assert min(t_ns for t_ns, _ in kor) >= at_ns(BEGINS_S)
    assert max(t_ns for t_ns, _ in kor) < at_ns(ENDS_S)
    tracks = [codec.decode(one.record) for _, one in kor if one.record_type == "trilat.track/1"]
    assert len(tracks) > 20
    # Its trackers began with it: they know nothing of what came before.
    assert min(one.t_ns for one in tracks) >= at_ns(BEGINS_S)
    always = run(config, setup.read_agreements(config), steps)
    assert [one for out in always for one in out.released if one.audience == "USA"] == [
        one for out in outputs for one in out.released if one.audience == "USA"
    ]


def test_a_coarser_tier_begins_while_the_node_runs(config: NodeConfig, steps: Steps) -> None:
    """Where a sensor's tier becomes coarser its plots stop, and the tracker of the coarser tier takes it up."""
    outputs = run(config, joined(config), steps)
    kor = [(out.t_ns, codec.decode(one.record)) for out in outputs for one in out.released if one.audience == "KOR"]
    finer = [t_ns for t_ns, one in kor if isinstance(one, Measurement | Fix)]
    assert finer
    assert max(finer) < at_ns(STRICTER_S)
    assert min(t_ns for t_ns, one in kor if isinstance(one, Track)) >= at_ns(STRICTER_S)


def test_dates_of_withheld_sensors_change_no_byte(config: NodeConfig, steps: Steps) -> None:
    """Labels of hidden sensors that begin or end on the way make no tracker of KOR's anew, and nobody's steps between ticks do."""
    sensors = tuple(msgspec.structs.replace(one, label=ending(one.label)) for one in config.sensor)
    hidden = msgspec.structs.replace(config, sensor=sensors)
    assert hidden != config
    more = sorted(
        [*steps, *((at_ns(s), []) for s in (BEGINS_S + 0.02, STRICTER_S + 0.02, ENDS_S + 0.02))], key=lambda one: one[0]
    )
    agreements = joined(config)
    assert to_kor(run(config, agreements, steps)) == to_kor(run(hidden, agreements, more))


def ending(label: LabelSettings) -> LabelSettings:
    """Return the settings of a sensor's label, ending on the way where KOR may not have it."""
    return label if "KOR" in label.rel_to else msgspec.structs.replace(label, expires_ns=at_ns(5.05))


def test_a_suspended_agreement_withholds_all_that_it_governs(config: NodeConfig, steps: Steps) -> None:
    """With `suspended` in the configuration nothing leaves for KOR, no other agreement takes its place; USA's part is as ever."""
    stopped = msgspec.structs.replace(config, suspended=("trilateral",))
    outputs = run(stopped, setup.read_agreements(stopped), steps[:40])
    always = run(config, setup.read_agreements(config), steps[:40])
    assert to_kor(always)
    assert [] == to_kor(outputs)
    assert [one for out in always for one in out.released if one.audience == "USA"] == [
        one for out in outputs for one in out.released if one.audience == "USA"
    ]
    policy = setup.policy_of(stopped, setup.read_agreements(stopped), "KOR")
    label = next(one.label for one in setup.sensors_of(config) if "KOR" in one.label.rel_to)
    assert "agreement-suspended" == policy.explain(label, worlds.T0_NS).decision.reason


def test_a_mistyped_suspension_is_refused(config: NodeConfig) -> None:
    """To suspend what is not there stops the start: the agreement that was meant would go on."""
    with pytest.raises(PolicyError) as refused:
        setup.read_agreements(msgspec.structs.replace(config, suspended=("trilatral",)))
    assert "suspended-unknown" == refused.value.name
    assert "trilatral" in refused.value.detail
