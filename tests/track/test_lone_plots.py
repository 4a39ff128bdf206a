"""Tracks of a single plot: most are false, and go once they were looked for in vain; what nobody has looked for stays."""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec import structs
from track_cases import FIXES, RADAR, RADAR_B, S_NS, T0_NS, Line, fixes, radar_plots, reports, tracker

FLIGHT, FALSE = Line(40e3, 20e3, 9e3, 200.0, 50.0), Line(-30e3, 60e3, 7e3, 0.0, 0.0)
CROWDED = structs.replace(RADAR, clutter_per_scan=50.0)
BESIDE = structs.replace(RADAR_B, clutter_per_scan=50.0)
QUICK, SLOW = structs.replace(BESIDE, period_s=2.0), structs.replace(CROWDED, period_s=10.0)


def stands(sensors: tuple[Any, ...], lone: Any, seconds: float) -> bool:
    """Whether a track stands at the false plot's place some time after it, while both radars see another aircraft."""
    made, rng = tracker(sensors=(*sensors, FIXES)), np.random.default_rng(5)
    seen = [radar_plots([FLIGHT], 24.0, rng, k, site) for k, site in enumerate(sensors)]
    columns = np.concatenate([*seen, lone])
    last: Any = None
    for k in range(1, int(seconds) + 1):
        now = T0_NS + k * S_NS
        part = columns[(columns["t_ns"] <= now) & (columns["t_ns"] > now - S_NS)]
        last = made.step(now, [reports(part)])
    return bool((np.linalg.norm(last.columns["position_m"] - FALSE.at(T0_NS), axis=1) < 2e3).any())


def false_plot(site: Any, sensor: int = 0) -> Any:
    return radar_plots([FALSE], site.period_s, np.random.default_rng(6), sensor, site)


def test_a_lone_plot_goes_once_its_radar_and_another_found_nothing_there() -> None:
    """It stands at first, and is gone when both radars have passed: before the time after which any tentative track ends."""
    lone = false_plot(CROWDED)
    assert lone["t_ns"][0] < T0_NS + 4 * S_NS
    assert stands((CROWDED, BESIDE), lone, 5)
    assert not stands((CROWDED, BESIDE), lone, 14)


def test_a_lone_plot_waits_for_its_own_radar() -> None:
    """Another radar that sees nothing there, however often, does not end it: terrain may hide from one what the other sees."""
    lone = false_plot(SLOW)
    lone["t_ns"] = T0_NS + S_NS
    assert stands((SLOW, QUICK), lone, 10)


def test_a_lone_self_report_is_not_ended_by_radars() -> None:
    """What reports itself stands its time, though radars do not see it: what flies low or floats is often not seen."""
    lone = fixes(FALSE, [T0_NS + S_NS], np.random.default_rng(7))
    assert stands((structs.replace(CROWDED, period_s=2.0), QUICK), lone, 12)
