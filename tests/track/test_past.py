"""How much of the past is run again, counted, and that it is the same past whatever was run again."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from track_cases import FIXES, RADAR, RADAR_B, SMALL, T0_NS, Line, confirmed, feed, fixes, radar_plots, tracker

SECONDS = 60
AROUND = np.arange(12) / 12 * 6.283
LINES = [Line(50e3 * np.sin(a), 50e3 * np.cos(a), 9e3, 120.0, 50.0) for a in AROUND]  # a radar sees one or two in each slot


def said(rng: np.random.Generator) -> Any:
    """Two radars and ten fixes a second of a dozen aircraft."""
    parts = [radar_plots(LINES, SECONDS, rng), radar_plots(LINES, SECONDS, rng, sensor=1, site=RADAR_B)]
    for k, line in enumerate(LINES):
        times = [T0_NS + round((s + rng.uniform()) * 1e9) for s in range(SECONDS)]
        parts.append(fixes(line, times, rng, address=k))
    return np.concatenate(parts)


def count_runs(made: Any) -> list[int]:
    """Have a tracker count the reports that it runs, again or not."""
    counts, engine = [0], made._engine

    def run_frames(*given: Any) -> Any:
        counts[0] += len(given[6])  # z
        return engine.run_frames(*given)

    made._engine = SimpleNamespace(run_frames=run_frames, look_empty=engine.look_empty)
    return counts


def test_sensors_that_speak_in_any_order_within_a_slot_have_no_older_slot_run_again() -> None:
    """At ten steps a second of half-second slots a report is run some three times, not for the seconds since a snapshot."""
    made, columns = tracker(), said(np.random.default_rng(5))
    counts = count_runs(made)
    feed(made, columns, 0.1)
    assert len(columns) > 900
    assert len(columns) < counts[0] < 4.0 * len(columns)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_steps_of_any_length_with_sensors_in_any_order_give_the_same_bytes(seed: int) -> None:
    """Three sensors whose numbers stand in any order, stepped at 7 or 30 times a second or at once: the same tracks to the byte."""
    rng = np.random.default_rng(seed)
    columns = said(rng)
    order = rng.permutation(3)
    columns["sensor"] = order[columns["sensor"]]
    sensors = tuple((RADAR, RADAR_B, FIXES)[k] for k in np.argsort(order))
    ends = []
    for every_s in (SECONDS + 1.0, 1 / 7, 1 / 30):
        made = tracker(SMALL, sensors)
        last = feed(made, columns, every_s)
        ends.append(confirmed(made.step(T0_NS + 62 * 10**9, [])))
        assert last is not None
    names = ["position_m", "covariance", "existence", "address"]
    assert len(ends[0]) == len(LINES)
    assert [[one[name].tobytes() for name in names] for one in ends[1:]] == 2 * [[ends[0][name].tobytes() for name in names]]
