"""Whatever way the same reports come, the tracks are the same: drawn orders, doubles and delays, and lateness near the lag."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from track_cases import RADAR_B, S_NS, SMALL, T0_NS, Line, feed, fixes, radar_plots, reports, tracker

from trilat.records.columns import KIND_RADAR, empty_reports
from trilat.track import TrackerSettings

SECONDS = 16


def world(bodies: int, seed: int, *, alone: bool = False) -> list[Any]:
    """What two radars and a feed of fixes tell of some aircraft, with false plots of few ranges, so that many tie: by seconds.

    alone: one radar's whole looks of a moment each, which are sorted in another way than what many sensors say.
    """
    rng = np.random.default_rng(seed)
    lines = [Line(*rng.uniform(-5e4, 5e4, 2), rng.uniform(5e3, 1e4), *rng.uniform(-200, 200, 2)) for _ in range(bodies)]
    false = empty_reports(3 * SECONDS)
    false["t_ns"], false["sensor"], false["kind"] = T0_NS + np.repeat(np.arange(SECONDS), 3) * S_NS, 0, KIND_RADAR
    false["range_m"], false["azimuth_rad"] = 1e4 * rng.integers(2, 5, len(false)), rng.uniform(0, 6.28, len(false))
    parts = [radar_plots(lines, SECONDS, rng), radar_plots(lines, SECONDS, rng, 1, RADAR_B), false]
    parts.append(fixes(lines[0], [T0_NS + k * S_NS // 2 for k in range(2 * SECONDS)], rng, address=7))
    columns = np.concatenate(parts)
    if alone:
        columns = columns[columns["sensor"] == 0]
        columns["t_ns"] = T0_NS + (columns["t_ns"] - T0_NS) // S_NS * S_NS
    second = (columns["t_ns"] - T0_NS) // S_NS
    return [columns[second == k] for k in range(SECONDS)]


def ends(steps: list[Any], now_s: int | None = None) -> bytes:
    """Everything that a tracker tells in the end of reports given in steps of a second."""
    made = tracker()
    for k, part in enumerate(steps):
        shown = made.step(T0_NS + (k + 1) * S_NS, [reports(part)])
    assert not made.refused
    if now_s is not None:
        shown = made.step(T0_NS + now_s * S_NS, [])
    return bytes(shown.columns.tobytes())


@settings(max_examples=40)
@given(st.integers(1, 5), st.integers(0, 2**31), st.booleans(), st.data())
def test_the_order_of_reports_within_a_scan_changes_nothing(bodies: int, seed: int, alone: bool, data: Any) -> None:  # noqa: FBT001 - drawn
    """Any order, drawn, of the reports of each second, in any cut into batches, gives the same bytes."""
    steps = world(bodies, seed, alone=alone)
    mixed = [part[data.draw(st.permutations(range(len(part))))] for part in steps]
    made, cut = tracker(), data.draw(st.integers(0, 6))
    for k, part in enumerate(mixed):
        shown = made.step(T0_NS + (k + 1) * S_NS, [reports(part[:cut]), reports(part[cut:])])
    assert ends(steps) == shown.columns.tobytes()


@settings(max_examples=40)
@given(st.integers(1, 5), st.integers(0, 2**31), st.data())
def test_reports_that_come_again_change_nothing(bodies: int, seed: int, data: Any) -> None:
    """Reports doubled in their own second, and others given again in any later one, drawn, give the same bytes."""
    steps = world(bodies, seed)
    more: list[list[Any]] = [[part] for part in steps]
    for k, part in enumerate(steps):
        for i in data.draw(st.lists(st.integers(0, len(part) - 1), max_size=4)):
            more[data.draw(st.integers(k, SECONDS - 1))].append(part[i : i + 1])
    assert ends(steps) == ends([np.concatenate(parts) for parts in more])


@pytest.mark.parametrize(("lag_s", "late_s"), [(60.0, 57), (120.0, 117)])
def test_what_is_late_by_nearly_the_lag_changes_nothing(lag_s: float, late_s: int) -> None:
    """Reports late by up to three seconds less than the lag, a third of them by just that, end in the bytes of in-order arrival."""
    rng = np.random.default_rng(7)
    lines = [Line(40e3, 20e3, 9e3, 200.0, 50.0), Line(-30e3, 60e3, 7e3, -180.0, 20.0), Line(10e3, -50e3, 10e3, 30.0, 240.0)]
    seconds, chosen = late_s + 30, TrackerSettings(tracks_max=SMALL.tracks_max, lag_s=lag_s)
    columns = np.concatenate([radar_plots(lines, seconds, rng), radar_plots(lines, seconds, rng, 1, RADAR_B)])
    in_order, late = tracker(chosen), tracker(chosen)
    feed(in_order, columns)
    delay = np.where(rng.random(len(columns)) < 1 / 3, late_s * S_NS, rng.integers(0, late_s * S_NS, len(columns)))
    arrival = (columns["t_ns"] + delay - T0_NS) // S_NS
    for k in range(int(arrival.max()) + 1):
        late.step(T0_NS + (k + 1) * S_NS, [reports(columns[arrival == k])])
    now_ns = T0_NS + (seconds + late_s + 2) * S_NS
    a, b = (one.step(T0_NS + (seconds + 1) * S_NS, []).columns.copy() for one in (in_order, late))
    assert (0, 3) == (late.refused.total(), int((a["status"] == 1).sum()))
    a, b = (one[np.argsort(one["position_m"][:, 0])] for one in (a, b))
    named = [name for name in a.dtype.names if name != "number"]  # what came late was shown late, and so numbered
    assert [a[name].tobytes() for name in named] == [b[name].tobytes() for name in named]
    too_late = columns[:1].copy()
    too_late["t_ns"] = columns["t_ns"].max() - round(lag_s * 1e9) - 1
    late.step(now_ns, [reports(too_late)])
    assert {"report-late": 1} == late.refused
