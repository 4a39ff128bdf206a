"""What the node tests share: prepared nodes on disk, pipelines made of them, and the inputs a world gives them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec

from trilat.exercise import provision, scenario
from trilat.exercise.world import World
from trilat.feeds.source import Source
from trilat.node import clock, setup
from trilat.node.config import load
from trilat.node.inputs import FeedInput, Input
from trilat.node.pipeline import Pipeline
from trilat.node.settings import NodeConfig
from trilat.policy.audience import DecisionLog
from trilat.records.label import Mode
from trilat.records.sensor import Sensor

T0_NS = 1_795_000_000 * 10**9
STEP_NS = 200_000_000
MODE = Mode(kind="exercise", id="t1")
SECRET = bytes(range(32))


def prepare(directory: Path, *, now: bool = False, mode: Mode = MODE) -> dict[str, provision.Prepared]:
    """Make keys, agreements and configurations of the three nations; the policy keys come from a seeded generator.

    now: certificates that hold today, for nodes that are to run; else those of the pipeline tests' own time.
    """
    at_ns = clock.now_ns() if now else T0_NS
    return provision.prepare(scenario.load("straits"), directory, mode, at_ns, random.Random(7).randbytes)


def pipeline_of(config: NodeConfig) -> Pipeline:
    """Make a node's pipeline as it is at the start of the world."""
    agreements = setup.read_agreements(config)
    policies = setup.policies(config, agreements, SECRET, DecisionLog())
    return Pipeline(setup.pipeline_settings(config), policies, T0_NS)


def pipeline_with(config: NodeConfig, feed: str, *sensors: Sensor, tracks_max: int | None = None) -> Pipeline:
    """Make a node's pipeline that has a feed more: of radar plots as JSON lines (`plots-json`), of some sensors."""
    given = setup.pipeline_settings(config)
    source = Source(name=feed, format="plots-json", nation=config.nation, mode=given.mode, sensors=sensors)
    tracker = given.tracker if tracks_max is None else msgspec.structs.replace(given.tracker, tracks_max=tracks_max)
    given = given._replace(sensors=(*given.sensors, *sensors), sources=(*given.sources, source), tracker=tracker)
    policies = setup.policies(config, setup.read_agreements(config), SECRET, DecisionLog())
    return Pipeline(given, policies, T0_NS)


def radar_of(config: NodeConfig, name: str, **changed: Any) -> Sensor:
    """Return a radar of a node's own as another one: its label, and what is changed."""
    own = next(one for one in setup.pipeline_settings(config).sensors if one.kind == "radar3d")
    return msgspec.structs.replace(own, id=name, range_max_m=4e5, alt_max_m=3e5, sac=None, sic=None, **changed)


def config_of(prepared: provision.Prepared) -> NodeConfig:
    """Read a prepared node's configuration."""
    return load(prepared.config)


def inputs_of(nation: str, seconds: float) -> list[tuple[int, list[Input]]]:
    """Return what one nation's feeds say in the first seconds of the world, step by step: (now_ns, inputs)."""
    plan = scenario.load("straits")
    mine = {sensor.id for sensor in plan.sensor if sensor.nation == nation}
    world = World(plan, T0_NS)
    steps: list[tuple[int, list[Input]]] = []
    for k in range(int(seconds * 1e9 / STEP_NS)):
        now_ns = T0_NS + (k + 1) * STEP_NS
        said = world.step(now_ns)
        steps.append((now_ns, [feed_input(line.sensor, now_ns, line.data) for line in said if line.sensor in mine]))
    return steps


def without_public(config: NodeConfig) -> NodeConfig:
    """Return a configuration without the agreement on warning the public."""
    kept = tuple(one for one in config.agreements if "warn-public" not in one)
    if len(kept) == len(config.agreements):
        raise ValueError("there was no such agreement")
    return msgspec.structs.replace(config, agreements=kept)


def feed_input(sensor: str, now_ns: int, data: bytes) -> FeedInput:
    """Return bytes of a sensor's feed as an input."""
    return FeedInput(source=provision.feed_of(sensor), received_t_ns=now_ns, data=data)
