"""What a tracker is set to, and given: M of N instead of existence, Doppler, system tracks of foreign trackers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from msgspec import structs
from track_cases import RADAR, S_NS, SMALL, T0_NS, Line, confirmed, error_m, feed, fixes, radar_plots, reports

from trilat.kernels import geodesy
from trilat.records.columns import KIND_FIX, KIND_TRACK
from trilat.track import Tracker
from trilat.track.library import sensor_at

LINE = Line(40e3, 20e3, 9e3, 200.0, 50.0)
CONFIRMED = 1


BESIDE = Line(-60e3, -50e3, 9e3, 100.0, 150.0)  # seen at each turn, so that the radar is known to have looked


def statuses(confirm: str, turns: list[int], seconds: int, clutter: float = 2.0) -> list[int]:
    """The status of an aircraft's track each second, -1 without one: seen at some turns of a radar that misses one in a hundred."""
    made = Tracker(
        structs.replace(SMALL, confirm=confirm),
        [structs.replace(RADAR, detection_probability=0.99, clutter_per_scan=clutter)],
        "choice",
    )
    own, other = (radar_plots([line], seconds, np.random.default_rng(1)) for line in (LINE, BESIDE))
    columns, out = np.concatenate([own[turns], other]), []
    for k in range(1, seconds + 1):
        part = columns[(columns["t_ns"] >= T0_NS + (k - 1) * S_NS) & (columns["t_ns"] < T0_NS + k * S_NS)]
        shown = made.step(T0_NS + k * S_NS, [reports(part)]).columns
        off = np.linalg.norm(shown["position_m"] - LINE.at(T0_NS + k * S_NS), axis=1)
        near = shown["status"][off < 5_000.0].tolist()
        out.append(int(near[0]) if near else -1)
    return out


def test_m_of_n_confirms_by_hits_alone() -> None:
    """Seen at every second turn of a radar that hardly misses, the third plot confirms by M of N; existence does not believe it."""
    by_hits, by_belief = (statuses(confirm, [0, 2, 4], 20, 25.0) for confirm in ("m-of-n", "existence"))
    third = int((radar_plots([LINE], 20, np.random.default_rng(1))["t_ns"][4] - T0_NS) // S_NS)
    assert by_hits.index(CONFIRMED) == third
    assert CONFIRMED not in by_belief


def test_m_of_n_deletes_by_time_alone() -> None:
    """Seen no more where it ought to be, a track goes by M of N when its time is up, and never coasts; by existence it goes sooner."""
    by_hits, by_belief = (statuses(confirm, list(range(10)), 90) for confirm in ("m-of-n", "existence"))
    last = int((radar_plots([LINE], 40, np.random.default_rng(1))["t_ns"][9] - T0_NS) // S_NS)
    gone = [next(k for k, status in enumerate(of) if status < 0 and k > last) - last for of in (by_hits, by_belief)]
    assert 2 not in by_hits
    assert 30 <= gone[0] <= 36  # coast_max_s, and the look after it
    assert gone[1] < 20


def with_doppler(columns: Any, lines: list[Line], sigma_m_s: float, rng: np.random.Generator) -> Any:
    """The same plots with the range rate of the nearest body."""
    out = columns.copy()
    site = geodesy.geodetic_to_ecef(RADAR.lat_deg, RADAR.lon_deg, RADAR.alt_m)
    for row in out:
        place = geodesy.rae_to_ecef(
            row["range_m"], row["azimuth_rad"], row["elevation_rad"], RADAR.lat_deg, RADAR.lon_deg, RADAR.alt_m
        )
        line = min(lines, key=lambda one: float(np.linalg.norm(one.at(int(row["t_ns"])) - place)))
        towards = line.at(int(row["t_ns"])) - site
        row["doppler_m_s"] = line.velocity @ towards / np.linalg.norm(towards) + rng.normal(0.0, sigma_m_s)
        row["sigma_doppler_m_s"] = sigma_m_s
    return out


def errors(tracks: Any, lines: list[Line]) -> Any:
    """Position and velocity errors (bodies, 2) of the nearest confirmed tracks."""
    sure, out = confirmed(tracks), []
    for line in lines:
        k = int(np.linalg.norm(sure["position_m"] - line.at(tracks.t_ns), axis=1).argmin())
        out.append(
            (
                np.linalg.norm(sure["position_m"][k] - line.at(tracks.t_ns)),
                np.linalg.norm(sure["velocity_m_s"][k] - line.velocity),
            )
        )
    return np.array(out)


def test_doppler_makes_tracks_better() -> None:
    """With Doppler of 1 m/s the same plots give tracks of fewer errors: velocity by a fifth at least, position no worse, six draws."""
    with_it, without = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        lines = [Line(*(40e3 * np.array([np.sin(a), np.cos(a)])), 8e3, *rng.normal(0, 150, 2)) for a in np.arange(6) * 1.05]
        plots = radar_plots(lines, 24, rng)
        for told, columns in ((without, plots), (with_it, with_doppler(plots, lines, 1.0, rng))):
            told.append(errors(feed(Tracker(SMALL, [RADAR], "doppler"), columns), lines))
    better, plain = (np.sqrt((np.concatenate(one) ** 2).mean(axis=0)) for one in (with_it, without))
    assert better[1] < 0.8 * plain[1]
    assert better[0] < 1.02 * plain[0]


FOREIGN = sensor_at(0.0, 0.0, 0.0, "foreign", kind="tracks")


def system_tracks(line: Line, times_ns: list[int], rng: np.random.Generator, number: int, sigma_m: float = 40.0) -> Any:
    """A foreign tracker's states of a body: places and velocities whose errors last, as a filter's do."""
    columns = fixes(line, times_ns, rng)
    basis = geodesy.enu_basis(RADAR.lat_deg, RADAR.lon_deg)
    error = np.zeros((len(times_ns), 3))
    for k in range(len(times_ns)):
        error[k] = (0.8 * error[k - 1] if k else 0.0) + 0.6 * rng.normal(0, sigma_m, 3)
    place = geodesy.ecef_to_geodetic(np.array([line.at(t) for t in times_ns]) + error)
    columns["lat_deg"], columns["lon_deg"], columns["alt_m"] = place.T
    east, north, up = basis @ line.velocity
    columns["kind"], columns["sensor"], columns["sensor_track"] = KIND_TRACK, 1, number
    columns["speed_m_s"], columns["course_rad"], columns["vertical_rate_m_s"] = (
        np.hypot(east, north),
        np.arctan2(east, north) % 6.283185307179586,
        up,
    )
    columns["sigma_speed_m_s"], columns["sigma_horizontal_m"], columns["sigma_vertical_m"] = 3.0, sigma_m, sigma_m
    return columns


def test_system_tracks_become_tracks() -> None:
    """States of two aircraft from a foreign tracker, each every 4 s, become two tracks with their velocities, under their numbers."""
    other, rng = Line(-30e3, 60e3, 7e3, -180.0, 20.0), np.random.default_rng(4)
    times = [T0_NS + 4 * k * S_NS for k in range(12)]
    last = feed(
        Tracker(SMALL, [RADAR, FOREIGN], "system"),
        np.concatenate([system_tracks(LINE, times, rng, 11), system_tracks(other, times, rng, 12)]),
    )
    assert 2 == len(confirmed(last))
    for line in (LINE, other):
        assert error_m(last, line) < 120.0
        k = int(np.linalg.norm(last.columns["position_m"] - line.at(last.t_ns), axis=1).argmin())
        assert np.linalg.norm(last.columns["velocity_m_s"][k] - line.velocity) < 10.0
    assert [2, 2] == last.columns["sensors"].tolist()


def test_a_system_track_s_accuracy_is_widened_since_its_error_lasts() -> None:
    """The same place is taken at twice its stated sigma from a foreign tracker, at one and a half from a target itself."""
    sigmas = []
    for kind in (KIND_TRACK, KIND_FIX):
        one = system_tracks(LINE, [T0_NS], np.random.default_rng(5), 11, 100.0)
        one["kind"] = kind
        covariance = Tracker(SMALL, [RADAR, FOREIGN], "system").step(T0_NS, [reports(one)]).columns["covariance"][0][:3, :3]
        sigmas.append(float(np.sqrt(np.trace(covariance) / 3)))
    assert sigmas == pytest.approx([200.0, 150.0], rel=0.01)


def test_system_tracks_of_what_a_radar_sees_make_no_second_track() -> None:
    """A foreign tracker's states of an aircraft join the track that the own radar's plots made, and its covariance stays honest."""
    squares = []
    for seed in range(20):
        rng, made = np.random.default_rng(seed), Tracker(SMALL, [RADAR, FOREIGN], "system")
        times = [T0_NS + 2 * k * S_NS for k in range(20)]
        last = feed(made, np.concatenate([radar_plots([LINE], 40, rng), system_tracks(LINE, times, rng, 11)]))
        assert (1, 3) == (len(confirmed(last)), int(last.columns["sensors"][0]))
        off = last.columns["position_m"][0] - LINE.at(last.t_ns)
        squares.append(off @ np.linalg.solve(last.columns["covariance"][0][:3, :3], off) / 3)
    assert 0.3 < np.mean(squares) < 1.6  # 1 is honest


def test_two_system_tracks_of_one_moment_are_two() -> None:
    """States of two aircraft 600 m apart, told at the same moments, stay two tracks."""
    beside, rng = Line(40e3, 20.6e3, 9e3, 200.0, 50.0), np.random.default_rng(6)
    times = [T0_NS + 4 * k * S_NS for k in range(15)]
    last = feed(
        Tracker(SMALL, [RADAR, FOREIGN], "system"),
        np.concatenate([system_tracks(LINE, times, rng, 11), system_tracks(beside, times, rng, 12)]),
    )
    assert 2 == len(confirmed(last))
    assert [True, True] == [error_m(last, line) < 150.0 for line in (LINE, beside)]
