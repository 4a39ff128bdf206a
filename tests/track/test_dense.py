"""Where false plots are dense: a track begins all the same, and one that is in doubt does not end for a doubt."""

from typing import Any

import numpy as np
import pytest
from msgspec import structs
from track_cases import RADAR, RADAR_B, S_NS, SMALL, T0_NS, Line, confirmed, radar_plots, reports, tracker

from trilat.kernels import geodesy
from trilat.records.columns import KIND_RADAR, empty_reports
from trilat.track import TrackerSettings

AWAY_M = 300.0
ONE = Line(40e3, 20e3, 9e3, 200.0, 50.0)
BESIDE = Line(40e3, 20.4e3, 9e3, 200.0, 50.0)
BOX_M, SECONDS = 3_000.0, 200


def crowd(seed: int, per_turn: float) -> Any:
    """An aircraft's plots, and false ones in a box of 6 km around it; they come at the aircraft's own time."""
    rng = np.random.default_rng(seed)
    own = radar_plots([ONE], SECONDS, rng)
    false = np.repeat(own, rng.poisson(per_turn, len(own)))
    places = np.array([ONE.at(int(t_ns)) for t_ns in false["t_ns"]]) + rng.uniform(-BOX_M, BOX_M, (len(false), 3))
    made = empty_reports(len(false))
    made[:] = false
    for k, place in enumerate(places):
        made["range_m"][k], made["azimuth_rad"][k], made["elevation_rad"][k] = geodesy.ecef_to_rae(
            place, RADAR.lat_deg, RADAR.lon_deg, RADAR.alt_m
        )
    made["azimuth_rad"] %= geodesy.TWO_PI
    columns = np.concatenate([own, made])
    return columns[np.argsort(columns["t_ns"], kind="stable")]


def density(per_turn: float) -> float:
    """The false plots in all of the radar's cover that make so many of the box."""
    height_m = min(RADAR.alt_max_m, 20_000.0) - max(RADAR.alt_min_m, 0.0)
    return float(per_turn * np.pi * RADAR.range_max_m**2 * height_m / (2 * BOX_M) ** 3)


def seconds_held(columns: Any, sensor: Any, bodies: list[Line]) -> tuple[float, float]:
    """Return for how much of the second half each body has a track near it, and how many confirmed tracks are of none."""
    made, held, false = tracker(SMALL, (sensor,)), [], []
    for second in range(1, SECONDS + 1):
        now = T0_NS + second * S_NS
        part = columns[(columns["t_ns"] < now) & (columns["t_ns"] >= now - S_NS)]
        sure = confirmed(made.step(now, [reports(part)]))["position_m"]
        if second > SECONDS // 2:
            off = np.array([np.linalg.norm(sure - body.at(now), axis=1) for body in bodies]).reshape(len(bodies), -1)
            held.append(float((off.min(axis=1, initial=np.inf) < AWAY_M).mean()))
            false.append(int((off.min(axis=0, initial=np.inf) > BOX_M / 2).sum()))
    return float(np.mean(held)), float(np.mean(false))


@pytest.mark.parametrize("per_turn", [10.0, 30.0])
def test_a_track_begins_where_a_new_ones_gate_holds_several_false_plots(per_turn: float) -> None:
    """A new aircraft among false plots, several to the gate of a track of one plot, has a track; few are of false plots."""
    sensor = structs.replace(RADAR, clutter_per_scan=density(per_turn), births_per_scan=density(1.0))
    found = [seconds_held(crowd(seed, per_turn), sensor, [ONE]) for seed in range(8)]
    held, false = np.mean(found, axis=0)
    assert held > 0.9
    assert false < 0.1


def test_one_of_two_in_doubt_does_not_end_for_a_hypothesis_that_is_shown() -> None:
    """Of two aircraft 400 m apart, each seen in seven looks of ten by two radars, both are tracked in 98.5 % of all seconds."""
    fewer = []
    for seed in range(31, 55):
        rng = np.random.default_rng(seed)
        both = [ONE, BESIDE]
        columns = np.concatenate([radar_plots(both, 400.0, rng), radar_plots(both, 400.0, rng, 1, RADAR_B)])
        columns = columns[rng.random(len(columns)) < 0.7]
        columns = columns[np.argsort(columns["t_ns"], kind="stable")]
        made = tracker()
        for second in range(1, 400):
            now = T0_NS + second * S_NS
            part = columns[(columns["t_ns"] < now) & (columns["t_ns"] >= now - S_NS)]
            tracks = made.step(now, [reports(part)])
            if second > 60:
                fewer.append((tracks.columns["status"] > 0).sum() < 2)
    assert np.mean(fewer) < 0.015


def test_m_of_n_does_not_count_what_is_hardly_a_tracks_own() -> None:
    """Of 1,000 false plots a turn over all of a radar's cover any number lie in lines of three: none is a track by hits alone."""
    rng, many = np.random.default_rng(3), 1_000
    sensor = structs.replace(RADAR, clutter_per_scan=float(many))
    made, begun, sure = tracker(TrackerSettings(confirm="m-of-n"), (sensor,)), 0, set[int]()
    for turn in range(30):
        plots = empty_reports(many)
        plots["kind"], plots["sensor"] = KIND_RADAR, 0
        plots["azimuth_rad"] = np.sort(rng.uniform(0, geodesy.TWO_PI, many))
        plots["t_ns"] = T0_NS + np.int64((turn + plots["azimuth_rad"] / geodesy.TWO_PI) * sensor.period_s * 1e9)
        plots["range_m"] = sensor.range_max_m * np.sqrt(rng.uniform(0.01, 1.0, many))
        plots["elevation_rad"] = np.arcsin(np.minimum(rng.uniform(0.0, 20e3, many) / plots["range_m"], 0.9))
        tracks = made.step(T0_NS + round((turn + 1) * sensor.period_s * 1e9), [reports(plots)])
        begun = max(begun, len(tracks.columns))
        sure |= set(confirmed(tracks)["number"].tolist())
    assert begun > many
    assert not sure
