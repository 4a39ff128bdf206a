"""A node of JPN that is given, beside the world's ordinary traffic, whatever is drawn; and what must hold of every step."""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import node_worlds as worlds
import numpy as np
from valid_feeds import Said, sources
from valid_records import Sent, Way

from trilat.node import inputs, setup, show
from trilat.node.inputs import FeedInput, Input, ReceivedInput
from trilat.node.pipeline import Output, Pipeline
from trilat.node.settings import NodeConfig
from trilat.picture.inputs import CopInput
from trilat.policy.audience import DecisionLog
from trilat.records import codec
from trilat.records.columns import STATUSES, TRACK_DTYPE
from trilat.records.released import Released
from trilat.records.report import Measurement
from trilat.records.track import Area
from trilat.transport.messages import ExchangeSettings

WARM_S, RUN_S = 8.0, 4.0
# Two of a partner's radars see a missile climb: what is drawn meets the watch for launches with a flight under way.
LAUNCH = tuple(Sent(Measurement, {}, Way((37.0, 127.0), 9_000.0, 1.0, 900.0, 1_500.0), 0, radar) for radar in (1, 2))
# Python functions called in one step: 14,000 in the busiest of ordinary traffic, 140,000 where a launch is first met, most of them
# to load its kernels. Twelve messages a step ask for some thousand more; work that grows with anything else goes far beyond.
CALLS_MAX = 400_000
STEPS = round(RUN_S * 1e9) // worlds.STEP_NS
FLOATS = tuple(name for name, (kind, *_) in TRACK_DTYPE.fields.items() if kind.base == np.float64)  # type: ignore[union-attr]
RECORD_BYTES_MAX = ExchangeSettings().record_bytes_max
TENTATIVE, CONFIRMED = (STATUSES.index(word) for word in ("tentative", "confirmed"))


@cache
def configs() -> dict[str, NodeConfig]:
    """Return the nations' configurations, made once."""
    kept = tempfile.TemporaryDirectory()
    configs.kept = kept  # type: ignore[attr-defined]  # it lives as long as what was made in it
    return {nation: worlds.config_of(made) for nation, made in worlds.prepare(Path(kept.name)).items()}


@cache
def ordinary() -> tuple[tuple[int, tuple[Input, ...]], ...]:
    """Return what JPN gets step by step without anything drawn: its feeds, and what KOR's pipeline released to it."""
    partner = worlds.pipeline_of(configs()["KOR"])
    sequences = dict.fromkeys(("flash", "state", "history"), 0)
    steps = []
    for (now_ns, own), (_, theirs) in zip(
        worlds.inputs_of("JPN", WARM_S + RUN_S), worlds.inputs_of("KOR", WARM_S + RUN_S), strict=True
    ):
        came = []
        for one in partner.step(now_ns, theirs).released:
            if one.audience == "JPN":
                sequences[one.lane] += 1
                came.append(_received(one, sequences[one.lane]))
        steps.append((now_ns, (*own, *came)))
    return tuple(steps)


def _received(one: Released, sequence: int) -> ReceivedInput:
    return ReceivedInput(exporter="KOR", lane=one.lane, epoch=1, sequence=sequence, record=one.record)


class Node:
    """JPN's pipeline and picture, with sensors for some more formats."""

    def __init__(self, formats: Sequence[str] = ()) -> None:
        config = configs()["JPN"]
        given = setup.pipeline_settings(config)
        label = next(one.label for one in given.sensors)
        sensors, more = sources(formats, "JPN", given.mode, label)
        given = given._replace(sensors=(*given.sensors, *sensors), sources=(*given.sources, *more))
        policies = setup.policies(config, setup.read_agreements(config), worlds.SECRET, DecisionLog())
        self.pipeline = Pipeline(given, policies, worlds.T0_NS)
        self.cop = show.make_cop(config, self.pipeline, worlds.T0_NS)
        self.mode = given.mode
        self.reports: dict[str, int] = {}
        self.refused: dict[str, int] = {}
        self.outputs: list[Output] = []

    def run(self, sent: Sequence[Sent] = (), said: Sequence[Said] = ()) -> Node:
        """Step through the ordinary traffic, from the end of the warm-up on with a launch and what is drawn in every step."""
        sequence = 1_000_000  # beyond those of the ordinary records
        for k, (now_ns, usual) in enumerate(ordinary()):
            step = k - round(WARM_S * 1e9) // worlds.STEP_NS
            drawn: list[Input] = []
            if step >= 0:
                for one in (*LAUNCH, *sent):
                    sequence += 1
                    drawn.append(one.at(now_ns, step, sequence, "KOR", self.mode))
                drawn += [FeedInput(source=f"x-{one.format}", received_t_ns=now_ns, data=one.at(now_ns, step)) for one in said]
            self.step(now_ns, [*usual, *drawn], show_all=step in (0, STEPS - 1))
        return self

    def named(self, picture: str) -> dict[tuple[int, int], Any]:
        """Return the confirmed tracks that name themselves as a picture last had them: by address and MMSI."""
        tracks = next(made for out in reversed(self.outputs) if (made := getattr(out, picture)) is not None)
        columns = tracks.columns if picture == "national" else tracks.tracks.columns
        good = (columns["status"] == CONFIRMED) & ((columns["address"] >= 0) | (columns["mmsi"] >= 0))
        return {(int(row["address"]), int(row["mmsi"])): row for row in columns[good]}

    def step(self, now_ns: int, given: list[Input], *, show_all: bool) -> None:
        """Make one step of pipeline and picture, and check everything that comes out."""
        assert [inputs.decode(inputs.encode(one)) for one in given] == given
        out = bounded(lambda: self.pipeline.step(now_ns, given))
        self.outputs.append(out)
        for name, count in out.reports.items():
            self.reports[name] = self.reports.get(name, 0) + count
        for refused in out.refused:
            self.refused[refused.reason] = self.refused.get(refused.reason, 0) + refused.count
        sound(out)
        self.cop.step(
            out.t_ns,
            CopInput(
                combined=None if out.combined is None else show.confirmed_only(out.combined),
                partners=[one for one in out.partners if isinstance(one.record, Area)],
                warnings=out.warnings,
                answers=out.answers,
                notices=out.notices,
            ),
        )
        pictured(self.cop, show_all=show_all)


def bounded(work: Callable[[], Output]) -> Output:
    """Return what some work gives; fails in the middle of it when it calls more functions than a step may."""
    calls = 0

    def count(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal calls
        calls += event == "call"
        if calls == CALLS_MAX:
            raise AssertionError(f"a step of more than {CALLS_MAX} calls")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        return work()
    finally:
        sys.setprofile(before)


def sound(out: Output) -> None:
    """Check that all of an output is finite and can be written: tracks, what leaves, warnings, refusals, the digest."""
    for tracks in (out.national, *(() if out.combined is None else (out.combined.tracks,))):
        for name in FLOATS:
            assert np.isfinite(tracks.columns[name]).all(), (tracks.stream, name)
        assert (np.diagonal(tracks.columns["covariance"], axis1=1, axis2=2) >= 0.0).all(), tracks.stream
        # What one sensor alone says without knowing (a sigma of a thousand kilometres) may be anywhere while it is tentative: nobody
        # is shown it, nor gets it.
        believed = tracks.columns[tracks.columns["status"] != TENTATIVE]
        distance_m = np.linalg.norm(believed["position_m"], axis=1)
        assert ((distance_m > 6.0e6) & (distance_m < 1.2e8)).all(), (tracks.stream, distance_m)
    for one in out.released:
        assert len(one.record) <= RECORD_BYTES_MAX
        codec.decode(one.record)
    for shown in (*out.warnings, *out.partners):
        codec.validate(shown.record)
    for told in out.assessed:
        codec.validate(told.assessment)
    for told_public in out.public:
        codec.validate(told_public)
    assert len(out.digest()) == 32


def pictured(cop: Any, *, show_all: bool) -> None:
    """Check that a page can be told everything: frames, trails, state, status, and every track's details."""
    view = "watch"
    assert cop.frames(view, None)
    finite(msgspec.to_builtins(cop.status(view)))
    if show_all:
        assert cop.trails(view)
        assert cop.state(view)
        for track in cop._shown[view].store.records["id"].tolist():
            finite(msgspec.to_builtins(cop.details(view, track)))


def finite(told: Any) -> None:
    """Check that every number in what a page is told is one: JSON would say "null" for the others."""
    if isinstance(told, float):
        assert math.isfinite(told)
    elif isinstance(told, dict):
        finite(list(told.values()))
    elif isinstance(told, list | tuple):
        for one in told:
            finite(one)


@cache
def undisturbed() -> Node:
    """Return the node after the ordinary traffic, and a launch, alone."""
    node = Node().run()
    assert {"detected"} <= {told.assessment.state for out in node.outputs for told in out.assessed}
    return node
