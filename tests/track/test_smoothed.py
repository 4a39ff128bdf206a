"""Stored tracks smoothed for replay and scoring, and lines of sight from far above."""

from typing import Any

import numpy as np
import pytest
from track_cases import RADAR, S_NS, SMALL, T0_NS, Line, confirmed, radar_plots, reports

from trilat.kernels import geodesy
from trilat.records.columns import KIND_BEARING, empty_reports
from trilat.track import Tracker
from trilat.track.library import sensor_at, smoothed
from trilat.track.smooth import smooth

LINES = [Line(40e3, 20e3, 9e3, 200.0, 50.0), Line(-30e3, 60e3, 7e3, -180.0, 20.0)]


def history(seed: int) -> list[Any]:
    """Confirmed tracks of two aircraft, step by step."""
    columns, made, out = radar_plots(LINES, 80, np.random.default_rng(seed)), Tracker(SMALL, (RADAR,), "test"), []
    for t in range(1, 81):
        part = columns[(columns["t_ns"] >= T0_NS + (t - 1) * S_NS) & (columns["t_ns"] < T0_NS + t * S_NS)]
        out.append(confirmed(made.step(T0_NS + t * S_NS, [reports(part)])))
    return out


def errors(path: Any, line: Line) -> Any:
    """Distances of a path from a body."""
    return np.linalg.norm(path[1][:, :3] - np.array([line.at(int(t)) for t in path[0]]), axis=1)


def test_smoothed_paths_are_nearer_than_what_was_shown_live() -> None:
    """Over the first half of each track the smoothed path's root mean square error is below 70 % of the live one's."""
    stored = history(1)
    paths = smoothed(stored)
    assert len(paths) == 2
    for number, path in paths.items():
        live = np.array([row for columns in stored for row in columns if row["number"] == number])
        line = min(LINES, key=lambda one: float(np.linalg.norm(one.at(int(live["t_ns"][-1])) - live["position_m"][-1])))
        half = len(path[0]) // 2
        shown = (live["t_ns"][:half], np.concatenate([live["position_m"], live["velocity_m_s"]], axis=1)[:half])
        own = np.sqrt(np.mean(errors(path, line)[:half] ** 2))
        assert own < 0.7 * np.sqrt(np.mean(errors(shown, line) ** 2)), number


def test_smoothing_never_widens_and_ends_where_the_track_did() -> None:
    """The last state stays as it was; every path equals the kernel's on the same states."""
    stored = history(2)
    for number, (t_ns, mean, covariance) in smoothed(stored).items():
        live = np.array([row for columns in stored for row in columns if row["number"] == number])[: len(t_ns)]
        states = np.concatenate([live["position_m"], live["velocity_m_s"]], axis=1)
        again = smooth(live["t_ns"], states, live["covariance"], 5.0)
        assert (mean.tobytes(), covariance.tobytes()) == (again[0].tobytes(), again[1].tobytes())
        assert mean[-1].tobytes() == states[-1].tobytes()
        assert np.linalg.eigvalsh(covariance).min() > 0.0


def test_a_history_out_of_order_is_refused() -> None:
    """Times that do not rise give a ValueError that names the track."""
    with pytest.raises(ValueError, match="times of the history must rise"):
        smoothed(history(3)[::-1])


def test_a_line_of_sight_from_orbit_narrows_a_track() -> None:
    """An infrared sensor 35,786 km up, azimuth and elevation alone, updates a radar's track and narrows it across its sight."""
    eye = sensor_at(
        0.0,
        135.0,
        35_786_000.0,
        "eye",
        kind="bearing",
        range_max_m=5e7,
        elevation_min_rad=-1.57,
        alt_max_m=1e6,
        sigma_azimuth_rad=2e-6,
        sigma_elevation_rad=2e-6,
    )
    plots = radar_plots([LINES[0]], 60, np.random.default_rng(4))
    seen = empty_reports(20)
    times = T0_NS + np.arange(40, 60) * S_NS
    place = np.array([LINES[0].at(int(t)) for t in times])
    looks = np.array([geodesy.ecef_to_rae(p, eye.lat_deg, eye.lon_deg, eye.alt_m) for p in place])
    seen["t_ns"], seen["sensor"], seen["kind"] = times, 1, KIND_BEARING
    seen["azimuth_rad"], seen["elevation_rad"] = looks[:, 1] % geodesy.TWO_PI, looks[:, 2]
    alone, both = (Tracker(SMALL, (RADAR, eye), "test") for _ in range(2))
    for t in range(1, 61):
        inside = [(c["t_ns"] >= T0_NS + (t - 1) * S_NS) & (c["t_ns"] < T0_NS + t * S_NS) for c in (plots, seen)]
        a = alone.step(T0_NS + t * S_NS, [reports(plots[inside[0]])])
        b = both.step(T0_NS + t * S_NS, [reports(plots[inside[0]]), reports(seen[inside[1]])])
    wide, narrow = (np.linalg.eigvalsh(confirmed(x)["covariance"][0][:3, :3])[1] for x in (a, b))
    assert both.refused.total() == 0
    assert narrow < 0.5 * wide
