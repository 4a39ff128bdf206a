"""Time: what is done for KOR is the same work whatever is hidden (counted, exact); when it leaves is the same (measured, statistical).

Counted work is exact and says nothing of the processor. Measured time is a statement about this machine, made by a two-sample
test: `pytest -m soak -s tests/noninterference/test_timing.py` prints it.
"""

from __future__ import annotations

import gc
import random
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from time import thread_time_ns
from types import FrameType

import numpy as np
import pytest
from ni_world import CHANGES, Ground, Journal, pipeline_of
from planting import Patch, every_track
from scipy import stats

from trilat.node import setup
from trilat.node.settings import ExchangeSettings

# What looks at a batch to see that it is not KOR's: a few comparisons a batch, counted apart.
SIEVE = {"_may_have", "sensor_of", "batch_decision", "get", "keep", "append", "<listcomp>", "<genexpr>"}
LANE = setup.LEAVE_MS, ExchangeSettings().tick_ms  # what a step releases leaves first then, and each so much later
# A difference of means below this part of the lane's tick, with a p-value above 0.01, counts as none (reliability notes, N8).
EFFECT_MAX = 0.05
P_MIN = 0.01
WORLDS_SOAK = 140  # about 2,000 times of leaving on each side
# Counting every call takes several times as long as making it.
STEPS_COUNTED = 20


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    ground = Ground(tmp_path_factory.mktemp("timing"))
    work_for_kor(ground.base(3))  # loads compiled kernels, fills what is remembered once
    return ground


@contextmanager
def counting(counts: Counter[str]) -> Iterator[None]:
    """Count every call, of Python and of C, by the name of what is called.

    The collector of garbage waits meanwhile: when it runs depends on all that the process did before, and who listens to it
    (hypothesis does) would be counted.
    """

    def seen(frame: FrameType, event: str, arg: object) -> None:
        if event == "call":
            counts[frame.f_code.co_name] += 1
        elif event == "c_call":
            counts[getattr(arg, "__name__", "?")] += 1

    gc.disable()
    sys.setprofile(seen)
    try:
        yield
    finally:
        sys.setprofile(None)
        gc.enable()


def work_for_kor(journal: Journal) -> list[Counter[str]]:
    """Return for each step of a run which calls KOR's own pipeline made."""
    pipeline, steps = pipeline_of(journal.config), []
    kor, counts = pipeline.audiences["KOR"], Counter[str]()
    step = kor.step

    def counted(*args: object) -> object:
        with counting(counts):
            return step(*args)

    kor.step = counted
    for now_ns, inputs in journal.steps[:STEPS_COUNTED]:
        counts.clear()
        pipeline.step(now_ns, inputs)
        steps.append(Counter({name: n for name, n in counts.items() if name not in SIEVE}))
    return steps


def pair(ground: Ground, seed: int, change: str) -> tuple[Journal, Journal]:
    """Return two runs that differ in what is hidden alone: nothing, and a change's."""
    rng = random.Random(seed)
    quiet = CHANGES["silent"](ground, seed, rng)
    return ground.joined(seed, quiet, rng), ground.joined(seed, CHANGES[change](ground, seed, rng), rng)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("change", ["flood", "doubled_receiver"])
def test_the_work_done_for_kor_is_the_same(ground: Ground, change: str) -> None:
    """Step by step KOR's pipeline makes the very same calls, equally often, whether hidden sensors are silent or flood."""
    without, given = (work_for_kor(one) for one in pair(ground, 3, change))
    assert sum(one.total() for one in without) > 1_000
    differing = [k for k, (a, b) in enumerate(zip(without, given, strict=True)) if a != b]
    assert [] == differing, (without[differing[0]] - given[differing[0]], given[differing[0]] - without[differing[0]])


@pytest.mark.timeout(600)
def test_more_work_for_hidden_load_is_found(ground: Ground) -> None:
    """A pipeline that does a little more for each batch of the node, hidden ones too, is found out by the count."""
    patch = Patch()
    every_track(patch, lambda _, batches, track: ([len(one.columns) for one in batches], track)[1])
    try:
        without, given = (work_for_kor(one) for one in pair(ground, 3, "flood"))
    finally:
        patch.undo()
    assert without != given


def leaving_ms(journal: Journal) -> list[float]:
    """Return when each step's records leave on the lane's tick, counted from the step's beginning.

    By the processor's time, so that what else the machine runs meanwhile does not count.
    """
    pipeline, left = pipeline_of(journal.config), []
    for now_ns, inputs in journal.steps:
        begun = thread_time_ns()
        out = pipeline.step(now_ns, inputs)
        took_ms = (thread_time_ns() - begun) / 1e6
        if any(one.audience == "KOR" for one in out.released):
            first_ms, tick_ms = LANE
            left.append(first_ms + max(-(-(took_ms - first_ms) // tick_ms), 0) * tick_ms)
    return left


@pytest.mark.soak
@pytest.mark.timeout(7_200)
def test_when_records_leave_does_not_show_hidden_load(ground: Ground) -> None:
    """Statistical: over thousands of steps, times of leaving with and without hidden load are one distribution (Kolmogorov-Smirnov)."""
    samples: dict[str, list[float]] = {"silent": [], "hidden": []}
    for seed in range(WORLDS_SOAK):
        runs = list(zip(samples, pair(ground, seed, "another_world"), strict=True))
        for name, journal in runs if seed % 2 else runs[::-1]:  # so that what else the machine does hits both alike
            samples[name] += leaving_ms(journal)
    without, given = (np.array(samples[name]) for name in ("silent", "hidden"))
    found = stats.ks_2samp(without, given)
    effect_ms = float(given.mean() - without.mean())
    late = [float((one > LANE[0]).mean()) * 100 for one in (without, given)]
    print(  # noqa: T201 - the figure
        f"{len(without)} and {len(given)} times of leaving: means differ by {effect_ms:+.3f} ms of a {LANE[1]} ms tick, "
        f"later than the first tick {late[0]:.2f} % and {late[1]:.2f} %, KS p = {found.pvalue:.3f}"
    )
    assert abs(effect_ms) < EFFECT_MAX * LANE[1]
    assert found.pvalue > P_MIN
