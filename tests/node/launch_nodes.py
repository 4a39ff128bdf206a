"""Three nations' pipelines and a launch between them (trilat.lessons.three), at the pipeline tests' time: what the launch tests share."""

from __future__ import annotations

import random
from pathlib import Path

from node_worlds import MODE, SECRET, T0_NS

from trilat.exercise import provision, scenario
from trilat.lessons import three
from trilat.lessons.three import early, officer
from trilat.node.config import load
from trilat.node.pipeline import Pipeline
from trilat.node.settings import NodeConfig

__all__ = ["Three", "configs", "early", "officer", "pipeline_of"]


def configs(directory: Path, made: scenario.Scenario | None = None) -> dict[str, NodeConfig]:
    """Make keys, agreements and configurations of the three nations."""
    prepared = provision.prepare(made or early(), directory, MODE, T0_NS, random.Random(7).randbytes)
    return {nation: load(one.config) for nation, one in prepared.items()}


def pipeline_of(config: NodeConfig) -> Pipeline:
    """Make a node's pipeline as it is at the start of the world."""
    return three.pipeline_of(config, T0_NS, SECRET)


class Three(three.Three):
    """The three, from the tests' time on."""

    def __init__(self, made: dict[str, NodeConfig], *, plan: scenario.Scenario | None = None) -> None:
        super().__init__(made, T0_NS, SECRET, plan)
