"""Ten thousand plots in one scan through a whole node: shed by name, the steps after it bounded, everybody else's tracks unharmed."""

from __future__ import annotations

import statistics
import sys
from collections import Counter
from time import process_time
from typing import Any, NamedTuple

import msgspec
import node_worlds as worlds
import numpy as np
import pytest

from trilat.node import show
from trilat.node.health import Health
from trilat.node.inputs import FeedInput, Input
from trilat.node.pipeline import Output, Pipeline
from trilat.node.settings import NodeConfig
from trilat.records.columns import STATUSES

SECONDS, FLOODS, AFTER = 10.0, (30, 35), 38  # the steps with a flood, and the first of those that are judged as after it
PLOTS, TRACKS_MAX = 10_000, 600
FEED, SENSOR = "flood", "JPN/flood"
# Range, azimuth and elevation: middle and half width. All over the traffic, and all within one gate beside it.
WHERE = {
    "over the sky": ((160e3, 140e3), (180.0, 180.0), (12.0, 10.0)),
    "within a gate": ((225e3, 75.0), (180.0, 0.08), (12.0, 0.1)),
}
NEAR_M, SIGMAS = 100.0, 5.0
Steps = list[tuple[int, list[Input]]]


class Ran(NamedTuple):
    """A pipeline after a run, its outputs, and per step the calls of Python functions and the processor seconds."""

    pipeline: Pipeline
    outputs: list[Output]
    calls: list[int]
    took_s: list[float]

    def named(self) -> dict[tuple[int, int], Any]:
        """Return the confirmed national tracks that say who they are, as last shown."""
        columns = self.outputs[-1].national.columns
        good = (columns["status"] == STATUSES.index("confirmed")) & ((columns["address"] >= 0) | (columns["mmsi"] >= 0))
        return {(int(row["address"]), int(row["mmsi"])): row for row in columns[good]}


def plots(now_ns: int, where: str, rng: np.random.Generator) -> bytes:
    """Return a scan of false plots as the lines of a feed."""
    (r, r_half), (a, a_half), (e, e_half) = WHERE[where]
    draws = rng.uniform(-1.0, 1.0, (PLOTS, 3)) * (r_half, a_half, e_half) + (r, a, e)
    rows = [{"t_ns": now_ns, "range_m": x, "azimuth_deg": y, "elevation_deg": z, "simulated": True} for x, y, z in draws.tolist()]
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def run(config: NodeConfig, steps: Steps) -> Ran:
    """Run a node's pipeline that has one radar more, and room for few tracks."""
    pipeline = worlds.pipeline_with(config, FEED, worlds.radar_of(config, SENSOR), tracks_max=TRACKS_MAX)
    outputs, calls, took_s = [], [], []
    for now_ns, inputs in steps:
        count = [0]

        def called(_frame: Any, event: str, _arg: Any, count: list[int] = count) -> None:
            count[0] += event == "call"

        begun, before = process_time(), sys.getprofile()
        sys.setprofile(called)
        try:
            outputs.append(pipeline.step(now_ns, inputs))
        finally:
            sys.setprofile(before)
        calls.append(count[0])
        took_s.append(process_time() - begun)
    return Ran(pipeline, outputs, calls, took_s)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> NodeConfig:
    return worlds.config_of(worlds.prepare(tmp_path_factory.mktemp("nodes"))["JPN"])


@pytest.fixture(scope="module")
def usual(config: NodeConfig) -> tuple[Steps, Ran]:
    steps = worlds.inputs_of("JPN", SECONDS)
    return steps, run(config, steps)


@pytest.mark.parametrize("where", WHERE)
def test_a_flood_of_plots_is_shed_by_name_and_harms_nobody(config: NodeConfig, usual: tuple[Steps, Ran], where: str) -> None:
    """Two scans of 10,000 plots: what finds no room is counted and shown, later steps do bounded work, others' tracks stand."""
    steps, quiet = usual
    rng = np.random.default_rng(4)
    flooded = [
        (now_ns, [*given, FeedInput(source=FEED, received_t_ns=now_ns, data=plots(now_ns, where, rng))] if k in FLOODS else given)
        for k, (now_ns, given) in enumerate(steps)
    ]
    ran = run(config, flooded)

    reports: Counter[str] = Counter()
    for out in ran.outputs:
        reports.update(out.reports)
    assert PLOTS * len(FLOODS) == reports[FEED]
    shed, shown = ran.pipeline.national.shed, show.counters(ran.pipeline, Health())
    assert shed["tracks-full"] >= PLOTS * len(FLOODS) - 4 * TRACKS_MAX
    assert where == "over the sky" or shed["pairs-full"] > PLOTS
    assert {f"tracker:{reason}": n for reason, n in shed.items()}.items() <= shown.items()
    assert max(len(out.national.columns) for out in ran.outputs) <= TRACKS_MAX

    # The plots of a flood are remembered for launches yet to be seen: they cost each later step little, and no more as time goes on.
    after = ran.calls[AFTER:]
    assert max(after) <= 10 * max(quiet.calls[AFTER:])
    assert statistics.median(ran.took_s[AFTER:]) < min(ran.took_s[k] for k in FLOODS)

    stood, now = quiet.named(), ran.named()
    assert len(stood) > 10
    assert set(stood) <= set(now), set(stood) - set(now)
    for name, row in stood.items():
        apart_m = float(np.linalg.norm(row["position_m"] - now[name]["position_m"]))
        assert apart_m <= NEAR_M + SIGMAS * float(np.sqrt(np.trace(row["covariance"][:3, :3]))), (name, apart_m)
