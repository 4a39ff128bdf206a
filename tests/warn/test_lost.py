"""A flight that is lost stays lost until it is seen again: other bodies' plots are none of its own, however wide its doubt grows."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trilat.flights.flight import Flight
from trilat.flights.observe import EPOCH_NS, Observation
from trilat.kernels import geodesy
from trilat.records.assessment import Assessment

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from warning_false import RADARS, SENSORS, Watch, batch, day, drawn

NS = 1_000_000_000


@cache
def flown(seed: int) -> Flight:
    """Return a generic short flight."""
    return next(drawn(np.random.default_rng(31 + seed), 1, (600e3, 900e3)))


def told(seed: int, gap_s: tuple[float, float], end_s: float) -> list[Assessment]:
    """Return what is said over a day's traffic of a flight that no radar sees in a gap (seconds before burn-out, after it)."""
    flight, watch = flown(seed), Watch(SENSORS)
    columns = Observation(RADARS, flight.at, end_s, np.random.default_rng(seed)).columns
    since_s = (columns["t_ns"] - EPOCH_NS) / NS - flight.burnout_s
    columns = columns[(since_s < -gap_s[0]) | (since_s > gap_s[1])]
    for now_ns, batches in day(end_s, 70 + seed):
        part = columns[(columns["t_ns"] <= now_ns) & (columns["t_ns"] > now_ns - 2 * NS)]
        watch.step(now_ns, [*batches, *(batch(SENSORS[s], part[part["sensor"] == s], now_ns) for s in np.unique(part["sensor"]))])
    return watch.told


@pytest.mark.parametrize("seed", [0, 1])
def test_a_flight_lost_while_it_burns_takes_no_traffic_s_plots(seed: int) -> None:
    """Lost twenty seconds before its burn-out, over sixty aircraft and false plots: it is lost for five minutes, and nothing else."""
    lost_s = flown(seed).burnout_s - 20.0
    said = told(seed, (20.0, 1e9), lost_s + 300.0)
    assert "detected" in {one.state for one in said}
    after = [one for one in said if one.t_ns > EPOCH_NS + (lost_s + 12.0) * NS]
    assert after
    assert {one.state for one in after} <= {"track-lost", "landed"}
    assert all(one.updated_t_ns <= EPOCH_NS + (lost_s + 2.0) * NS for one in after)
    assert 1 == len({one.flight for one in said})


def test_a_flight_that_is_seen_again_goes_on() -> None:
    """Unseen from twenty seconds before its burn-out until twenty after it, and then seen again: the same flight, with its launch."""
    said = told(0, (20.0, 20.0), flown(0).burnout_s + 90.0)
    assert 1 == len({one.flight for one in said})
    states = [one.state for one in said]
    assert ["detected", "track-lost", "detected", "assessed"] == [
        one for k, one in enumerate(states[: states.index("assessed") + 1]) if k == 0 or one != states[k - 1]
    ]
    assert said[-1].launch is not None
    assert abs(said[-1].launch.t_ns - EPOCH_NS) < 5 * NS


def test_what_flies_faster_than_anything_that_comes_down_is_no_launch() -> None:
    """What seems to gain speed without end, as chance or a meteor's plots may make it, is dropped at 12 km/s, and nothing is left."""
    start = geodesy.geodetic_to_ecef(38.0, 132.0, 90e3)
    along = geodesy.enu_basis(38.0, 132.0).T @ np.array([0.9, 0.2, 0.3])

    def at(t_s: Any) -> Any:
        t = np.atleast_1d(t_s)[:, None]
        return np.hstack([start + along * (1_500.0 * t + 75.0 * t**2), along * (1_500.0 + 150.0 * t)])

    watch = Watch(RADARS)
    for now_ns, batches in Observation(RADARS, at, 100.0, np.random.default_rng(1)).steps():
        watch.step(now_ns, batches)
    assert "detected" in {one.state for one in watch.told}
    assert "dropped" in {one.state for one in watch.told}
    assert {"dropped"} == {one.state for one in watch.told if one.speed_m_s > 13_000.0}
    assert not any(one.areas for one in watch.told)
