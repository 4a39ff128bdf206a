"""PUBLIC is an audience like any other: its own pipeline, fed with what it may have and with nothing else."""

from __future__ import annotations

import random

import msgspec
import node_worlds as worlds

from trilat.node import setup, show
from trilat.node.inputs import FeedInput, Input
from trilat.node.pipeline import Output, Pipeline
from trilat.node.settings import NodeConfig
from trilat.policy.agreement import Agreements, Flow, Public
from trilat.policy.audience import DecisionLog
from trilat.records import codec
from trilat.records.track import Area


def public_node(config: NodeConfig) -> Pipeline:
    """Make JPN's pipeline under a statement that its sea tracks of level 0 may go to PUBLIC, as areas."""
    agreements = setup.read_agreements(config)
    [trilateral] = [one for one in agreements.agreements if one.id == "trilateral"]
    flow = Flow(origin="JPN", to="PUBLIC", topics=("air", "sea"), tier="area")
    statement = msgspec.structs.replace(trilateral, id="jpn-public", flow=(flow,), public=Public(ceiling=0), yields_to=())
    wider = Agreements(agreements=(*agreements.agreements, statement), seen=agreements.seen)
    return Pipeline(setup.pipeline_settings(config), setup.policies(config, wider, worlds.SECRET, DecisionLog()), worlds.T0_NS)


def opened(config: NodeConfig, sensor: str) -> NodeConfig:
    """Return the configuration with one sensor's label open to PUBLIC at level 0."""
    sensors = tuple(
        msgspec.structs.replace(one, label=msgspec.structs.replace(one.label, level=0, rel_to=(*one.label.rel_to, "PUBLIC")))
        if one.id == sensor
        else one
        for one in config.sensor
    )
    return msgspec.structs.replace(config, sensor=sensors)


def test_public_gets_coarse_areas_of_the_one_open_sensor(tmp_path_factory) -> None:  # noqa: ANN001
    """PUBLIC gets areas from its own tracker; what other sensors say, shout or leave unsaid moves none of its bytes."""
    config = opened(worlds.config_of(worlds.prepare(tmp_path_factory.mktemp("nodes"))["JPN"]), "JPN/adsb")
    steps, rng = worlds.inputs_of("JPN", 21.0), random.Random(5)
    mine = worlds.provision.feed_of("JPN/adsb")

    def with_others(change: str) -> list[tuple[int, list[Input]]]:
        kept = [(at, [one for one in inputs if isinstance(one, FeedInput) and one.source == mine]) for at, inputs in steps]
        if change == "silent":
            return kept
        return [(at, [*inputs, worlds.feed_input("JPN/ridge", at, rng.randbytes(200))]) for at, inputs in kept]

    def public(outputs: list[Output]) -> list[tuple[int, bytes]]:
        return [(out.t_ns, msgspec.msgpack.encode(one)) for out in outputs for one in out.released if one.audience == "PUBLIC"]

    def run(given: list[tuple[int, list[Input]]]) -> list[Output]:
        node = public_node(config)
        assert sorted(node.audiences) == ["KOR", "PUBLIC", "USA"]
        assert node.published == ("PUBLIC",)
        return [node.step(at, inputs) for at, inputs in given]

    said = run(steps)
    areas = [codec.decode(one.record) for out in said for one in out.released if one.audience == "PUBLIC"]
    assert len(areas) > 3
    assert {type(one) for one in areas} == {Area}
    assert {one.label.rel_to for one in areas} == {("PUBLIC",)}
    assert public(said) == public(run(with_others("silent"))) == public(run(with_others("garbage")))


def test_without_an_agreement_there_is_no_public(tmp_path_factory) -> None:  # noqa: ANN001
    """Without the agreement on warning the public there is no pipeline for PUBLIC, whatever labels say."""
    config = opened(worlds.config_of(worlds.prepare(tmp_path_factory.mktemp("nodes"))["JPN"]), "JPN/adsb")
    assert sorted(worlds.pipeline_of(worlds.without_public(config)).audiences) == ["KOR", "USA"]


def test_public_has_no_place_among_the_nations_of_a_picture(tmp_path_factory) -> None:  # noqa: ANN001
    """The bits that say whose sensors are behind a track number the page's own list of nations, in which PUBLIC is not."""
    config = worlds.config_of(worlds.prepare(tmp_path_factory.mktemp("nodes"))["USA"])
    node = worlds.pipeline_of(config)
    said = [node.step(at, inputs) for at, inputs in worlds.inputs_of("USA", 9.0)]
    seen = {bits for out in said if out.combined is not None for bits in out.combined.nations.tolist()}
    nations = show.make_cop(config, node, worlds.T0_NS).identity.nations

    assert "PUBLIC" in node.audiences
    assert {1 << nations.index("USA")} == seen
