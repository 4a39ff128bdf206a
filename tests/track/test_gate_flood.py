"""A flood of plots within one gate costs bounded work."""

from __future__ import annotations

from time import process_time

import numpy as np
from track_cases import LINES_OF_TWO, S_NS, T0_NS, error_m, feed, radar_plots, reports, tracker

from trilat.records.columns import KIND_RADAR, empty_reports
from trilat.track import TrackerSettings


def test_a_flood_within_one_gate_costs_no_more_than_one_all_over_the_sky() -> None:
    """Where all plots of a scan are near all tracks, what finds no room is counted and costs no more work; what was there stays."""
    rng, took, line = np.random.default_rng(21), dict[str, float](), LINES_OF_TWO[0]
    n, wide = 3_000, {"over the sky": (100e3, 3.0, 0.19), "within a gate": (75.0, 1.5e-3, 2e-3)}
    for name, (range_m, azimuth_rad, elevation_rad) in wide.items():
        made = tracker(TrackerSettings(tracks_max=3_000))
        feed(made, radar_plots([line], 40, np.random.default_rng(19)))
        for k in range(3):
            flood = empty_reports(n)
            flood["t_ns"], flood["sensor"], flood["kind"] = T0_NS + (41 + 4 * k) * S_NS, 0, KIND_RADAR
            flood["range_m"] = 225e3 + rng.uniform(-range_m, range_m, n)
            flood["azimuth_rad"] = 3.1 + rng.uniform(-azimuth_rad, azimuth_rad, n)
            flood["elevation_rad"] = 0.2 + rng.uniform(-elevation_rad, elevation_rad, n)
            begun = process_time()
            tracks = made.step(T0_NS + (42 + 4 * k) * S_NS, [reports(flood)])
            took[name] = process_time() - begun  # of the last scan: all tracks of the flood are there
        assert error_m(tracks, line) < 1_500.0, name
    assert made.shed["pairs-full"] > 1_000_000
    assert took["within a gate"] < 4.0 * took["over the sky"], took
