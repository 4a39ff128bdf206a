"""The world's bytes: the same every time, and what they decode to is the truth within each sensor's own sigmas."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest

from trilat.exercise import provision, scenario
from trilat.exercise.links import GPS_SIGMA_M
from trilat.exercise.radar import FLIGHT_LEVEL_M, HORIZON_M_PER_ROOT_M
from trilat.exercise.traffic import AIR_ADDRESS_BASE, SEA_MMSI_BASE, Traffic
from trilat.exercise.world import Line, World
from trilat.feeds import registry
from trilat.kernels import geodesy
from trilat.records.columns import FLAG_SIMULATED
from trilat.records.label import Label, Mode
from trilat.records.sensor import Sensor, SensorSite

STRAITS = scenario.load("straits")
T0_NS = 1_795_000_000 * 10**9
NS = 1_000_000_000
SECONDS, SHORT = 24, 3
MODE = Mode(kind="exercise", id="t1")
RADARS = [sensor for sensor in STRAITS.sensor if not sensor.link]
# CAT048 writes range in 1/256 NM and azimuth in 360/65536 degrees; half a step is what rounding adds at most.
RANGE_STEP_M, AZIMUTH_STEP_RAD = 1852.0 / 256.0, 2.0 * np.pi / 65_536.0
# A share of one in 16,000 lies beyond four sigmas; of some hundred plots the mean of squares stays within a third of one.
FOUR_SIGMAS, A_THIRD = 4.5, 0.33


def said(seconds: int, step_ns: int = NS // 5, seed: int | None = None) -> list[Line]:
    plan = STRAITS if seed is None else msgspec.structs.replace(STRAITS, seed=seed)
    world = World(plan, T0_NS)
    return list(itertools.chain.from_iterable(world.step(T0_NS + k * step_ns) for k in range(1, seconds * NS // step_ns + 1)))


@cache
def lines() -> list[Line]:
    """Return what the tests look at, made once."""
    return said(SECONDS)


def decoded(sensor: scenario.ScenarioSensor) -> Any:
    """Return every report that a node's decoder makes of a sensor's line; nothing may be refused."""
    site = {name: getattr(sensor, name) for name in SensorSite.__struct_fields__}
    label = Label(policy="TRILAT", originator=sensor.nation, mode=MODE, level=1)
    mine = Sensor(nation=sensor.nation, label=label, **site)
    form = provision.FORMATS[sensor.link]
    editions = provision.EDITIONS if form == "asterix" else None
    options = {"reference": f"{sensor.lat_deg},{sensor.lon_deg}"}
    source = registry.source_of("line", form, MODE, (mine,), nation=sensor.nation, editions=editions, options=options)
    decoder = registry.open_decoder(source)
    parts = []
    for k, line in enumerate(line for line in lines() if line.sensor == sensor.id):
        given = decoder.decode(line.data, T0_NS + SECONDS * NS + k)
        assert [one.reason for one in given.refused if one.reason not in ("type-unsupported", "position-unresolved")] == []
        parts += [batch.columns for batch in given.batches]
    return np.concatenate(parts)


def test_same_seed_says_the_same_bytes_whatever_the_steps() -> None:
    """Two worlds of one scenario say the same bytes; another seed says others; a world stepped a second at once says the same."""
    first = said(SHORT)

    assert first == lines()[: len(first)]
    assert first == said(SHORT, step_ns=NS)
    assert first != said(SHORT, seed=7)


@pytest.mark.parametrize("sensor", RADARS, ids=lambda sensor: sensor.id)
def test_radar_bytes_decode_to_the_truth_within_its_sigmas(sensor: scenario.ScenarioSensor) -> None:
    """Plots with an address lie where their aircraft was at that very time: normalised errors are those of the stated sigmas."""
    plots = decoded(sensor)
    assert np.all(plots["flags"] & FLAG_SIMULATED)
    traffic = Traffic(STRAITS)
    mine = plots[plots["address"] >= 0]
    if sensor.surface:
        assert len(mine) == 0
        mine = plots
    errors = [error for error in (_error(sensor, traffic, plot) for plot in mine) if error is not None]
    assert len(errors) > (5 if sensor.surface else 20)
    z = np.array(errors)
    if not sensor.surface:
        assert np.abs(z[:, :2]).max() < FOUR_SIGMAS
        assert np.all(np.abs(np.mean(z[:, :2] ** 2, axis=0) - 1.0) < A_THIRD + 3.0 / np.sqrt(len(z)))
        assert np.abs(z[:, 2]).max() <= FLIGHT_LEVEL_M


def _error(sensor: scenario.ScenarioSensor, traffic: Traffic, plot: Any) -> tuple[float, float, float] | None:
    """Return the errors of range and azimuth in sigmas, and of height in metres; None for clutter near nothing."""
    movers = traffic.at((int(plot["t_ns"]) - T0_NS) / NS)
    rae = geodesy.ecef_to_rae(movers.position_m, sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
    sigmas = (np.hypot(sensor.sigma_range_m, RANGE_STEP_M / 3.46), np.hypot(sensor.sigma_azimuth_rad, AZIMUTH_STEP_RAD / 3.46))
    z_range = (plot["range_m"] - rae[:, 0]) / sigmas[0]
    z_azimuth = np.mod(plot["azimuth_rad"] - rae[:, 1] + np.pi, 2 * np.pi) - np.pi
    z_azimuth /= sigmas[1]
    if plot["address"] >= 0:
        [row] = np.flatnonzero(AIR_ADDRESS_BASE + movers.identity == plot["address"])
        return float(z_range[row]), float(z_azimuth[row]), float(plot["height_m"] - movers.geodetic[row, 2])
    row = int(np.argmin(np.hypot(z_range, z_azimuth)))
    near = np.hypot(z_range[row], z_azimuth[row]) < 2 * FOUR_SIGMAS and movers.sea[row] == sensor.surface
    return (float(z_range[row]), float(z_azimuth[row]), 0.0) if near else None


@pytest.mark.parametrize("sensor", [s for s in STRAITS.sensor if s.link in ("adsb", "ais")], ids=lambda sensor: sensor.id)
def test_self_reports_decode_to_the_truth_within_gps(sensor: scenario.ScenarioSensor) -> None:
    """ADS-B and AIS positions are of movers that say so, and lie within a few sigmas and one step's motion of the truth."""
    fixes = decoded(sensor)
    ids = fixes["mmsi"] - SEA_MMSI_BASE if sensor.link == "ais" else fixes["address"] - AIR_ADDRESS_BASE
    movers = Traffic(STRAITS).at(SECONDS / 2)
    rows = {int(identity): row for row, identity in enumerate(movers.identity)}
    here = np.array([rows[int(identity)] for identity in ids])

    assert len(fixes) > 3
    assert not np.any(movers.silent[here])
    assert np.all(movers.sea[here] == (sensor.link == "ais"))
    place = geodesy.geodetic_to_ecef(fixes["lat_deg"], fixes["lon_deg"], movers.geodetic[here, 2])
    moved_m = np.linalg.norm(movers.velocity_m_s[here], axis=1) * SECONDS / 2
    assert np.all(np.linalg.norm(place - movers.position_m[here], axis=1) < moved_m * 1.05 + 6 * GPS_SIGMA_M[sensor.link] + 20.0)


def test_nobody_is_seen_beyond_the_horizon() -> None:
    """No radar gives a plot with an address beyond its range or the radio horizon of the aircraft's height."""
    for sensor in RADARS:
        plots = decoded(sensor)
        mine = plots[plots["address"] >= 0]
        horizon_m = HORIZON_M_PER_ROOT_M * (np.sqrt(max(sensor.alt_m, 0.0)) + np.sqrt(np.maximum(mine["height_m"], 8.0)))
        assert np.all(mine["range_m"] <= np.minimum(sensor.range_max_m, horizon_m) + 2_000.0)


@pytest.mark.parametrize("sensor", [s for s in STRAITS.sensor if s.link == "plots"], ids=lambda sensor: sensor.id)
def test_early_warning_radars_see_the_launch_as_it_flies(sensor: scenario.ScenarioSensor) -> None:
    """Each early-warning radar's lines decode to plots of the launch within four sigmas of the truth, from its horizon on."""
    world = World(msgspec.structs.replace(STRAITS, corridor=(), sensor=(sensor,)), T0_NS)
    start_s = STRAITS.launch[0].at_s + 120.0
    world.now_ns = T0_NS + round(start_s * NS)
    lines = world.step(world.now_ns + 20 * NS)
    label = Label(policy="TRILAT", originator=sensor.nation, mode=MODE, level=1)
    site = {name: getattr(sensor, name) for name in SensorSite.__struct_fields__}
    mine = Sensor(nation=sensor.nation, label=label, **site)
    decoder = registry.open_decoder(registry.source_of("line", "plots-json", MODE, (mine,), nation=sensor.nation))
    given = [decoder.decode(line.data, T0_NS + round((start_s + 20) * NS)) for line in lines]
    plots = np.concatenate([batch.columns for one in given for batch in one.batches])
    flight = world.launched[0].flight
    truth = flight.at((plots["t_ns"] - T0_NS) / NS - STRAITS.launch[0].at_s)[:, :3]
    rae = geodesy.ecef_to_rae(truth, sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
    z = np.abs(plots["range_m"] - rae[:, 0]) / sensor.sigma_range_m
    near = z < FOUR_SIGMAS
    assert near.sum() >= 15
    assert (np.abs(plots["elevation_rad"] - rae[:, 2])[near] < FOUR_SIGMAS * sensor.sigma_elevation_rad).all()
    assert ((plots["flags"] & FLAG_SIMULATED) != 0).all()
