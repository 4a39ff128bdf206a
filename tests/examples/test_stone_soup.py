"""The adapter for Stone Soup: every kind of detection gives the tracks of the same numbers fed as arrays."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stonesoup", reason="the extra `compare` is not installed")
from soup_cases import (
    BODIES,
    DENSE,
    FLAT,
    FRAME,
    LAT,
    LON,
    MOVING,
    ORDER,
    PERIOD_S,
    RADARS,
    RANGE,
    SCANS,
    SETTINGS,
    SIGMA,
    SPREAD,
    START,
    START_NS,
    adapter,
    detection,
    direct,
    last_states,
    level_columns,
    model_of,
    place_columns,
    radar_columns,
    seen,
    where,
)
from stone_soup import StoneSoupTracker, tracks_of
from stone_soup_detections import LocalFrame
from stonesoup.models.measurement import nonlinear as polar  # noqa: TID251 - the peer that the adapter is for
from stonesoup.models.measurement.linear import LinearGaussian  # noqa: TID251 - same
from stonesoup.types.array import StateVector  # noqa: TID251 - same
from stonesoup.types.detection import Detection  # noqa: TID251 - same
from stonesoup.types.state import State  # noqa: TID251 - same

from trilat.records.columns import KIND_BEARING, KIND_TRACKLET
from trilat.track import Tracker, sensor_at
from trilat.track.library import batch


@pytest.mark.parametrize("name", RADARS)
def test_radar_detections_give_the_tracks_of_the_same_arrays(name: str) -> None:
    """Two aircraft, seen by each kind of radar model, end in the tracks that our own columns give, to a millimetre."""
    kind, names, ours = RADARS[name]
    level, rng, history = ours == "level", np.random.default_rng(5), []
    given, model = adapter(level=level), model_of(kind, names, level=level)
    tracks: set[Any] = set()
    for k in range(SCANS):
        plots = seen(where(FLAT if level else BODIES, k), rng)
        rows = np.array([plots[one] for one in names]).T
        tracks = given.step(START + dt.timedelta(seconds=PERIOD_S * k), [detection(row, model, k) for row in rows])
        make = level_columns if level else radar_columns
        history.append(make(plots, START_NS + k * PERIOD_S * 10**9, names))
    fields = {"elevation_min_rad": -np.pi / 2, "clutter_per_scan": 5.0 * DENSE, "births_per_scan": DENSE} if level else {}
    site = sensor_at(LAT, LON, kind="radar3d" if level else ours, **fields)
    wanted = direct(Tracker(SETTINGS, [site], "direct"), history)
    assert (2, 2) == (len(tracks), len(wanted))
    assert not given.tracker.refused
    found = last_states(tracks, level=level)
    assert np.abs(found - (wanted[:, [0, 1, 3, 4]] if level else wanted)).max() < 1e-3
    assert np.abs(found[:, :2] - where(BODIES, SCANS - 1)[::-1, :2]).max() < (9e3 if ours == "radar2d" else 300.0)


LINEAR: dict[str, tuple[tuple[int, ...], Any, Callable[[Any, int], Any]]] = {
    "x, y, z": ((0, 2, 4), SPREAD, place_columns),
    "z, x, y": ((4, 0, 2), SPREAD[np.ix_([2, 0, 1], [2, 0, 1])], place_columns),
    "x, y of a level world": ((0, 2), SPREAD[:2, :2], lambda local, t_ns: place_columns(local, t_ns, (90.0, 60.0, 100.0))),
}


@pytest.mark.parametrize("name", LINEAR)
def test_places_give_the_tracks_of_the_same_arrays(name: str) -> None:
    """Positions in any order, in a world of two or three axes, end in the tracks of our own measurements, to a metre."""
    mapping, noise, make = LINEAR[name]
    level, rng, history = len(mapping) == 2, np.random.default_rng(6), []
    given, model = adapter(level=level), LinearGaussian(4 if level else 6, mapping, noise)
    tracks: set[Any] = set()
    for k in range(SCANS):
        local = where(FLAT if level else BODIES, k)[:, :3] + rng.normal(0, 1, (2, 3)) * [60.0, 90.0, 0.0 if level else 80.0]
        rows = local[:, np.array(mapping) // 2]
        tracks = given.step(START + dt.timedelta(seconds=PERIOD_S * k), [detection(row, model, k) for row in rows])
        history.append(make(local, START_NS + k * PERIOD_S * 10**9))
    dense = DENSE if level else 1.0
    site = sensor_at(LAT, LON, kind="fixes", period_s=4.0, clutter_per_scan=5.0 * dense, births_per_scan=dense)
    wanted = direct(Tracker(SETTINGS, [site], "direct"), history)
    assert (2, 2) == (len(tracks), len(wanted))
    assert np.abs(last_states(tracks, level=level) - (wanted[:, [0, 1, 3, 4]] if level else wanted)).max() < 1.0


def test_places_with_velocities_give_the_tracks_of_the_same_information() -> None:
    """Positions and velocities with one covariance end in the tracks of the same information matrices, to a millimetre."""
    from trilat.track.wide import WIDE_COLUMNS

    rng, given, model = np.random.default_rng(7), adapter(), LinearGaussian(6, range(6), MOVING)
    made = Tracker(SETTINGS, [sensor_at(LAT, LON, kind="fixes")], "direct")
    turn, history = np.kron(np.eye(2), FRAME.basis), []
    information = turn.T @ np.linalg.inv(MOVING[np.ix_([0, 2, 4, 1, 3, 5], [0, 2, 4, 1, 3, 5])]) @ turn
    tracks: set[Any] = set()
    for k in range(SCANS):
        local = where(BODIES, k) + rng.normal(0, 1, (2, 6)) * np.sqrt(np.diag(MOVING))[[0, 2, 4, 1, 3, 5]]
        tracks = given.step(START + dt.timedelta(seconds=PERIOD_S * k), [detection(row[ORDER], model, k) for row in local])
        columns, wide = place_columns(local[:, :3], START_NS + k * PERIOD_S * 10**9), np.zeros((2, WIDE_COLUMNS))
        columns["kind"] = KIND_TRACKLET
        for name in ("azimuth_rad", "elevation_rad", "sigma_range_m", "sigma_horizontal_m", "sigma_vertical_m"):
            columns[name] = np.nan
        wide[:, :3], wide[:, 5], wide[:, 6:9] = FRAME.zero + local[:, :3] @ FRAME.basis, 90.0, local[:, 3:] @ FRAME.basis
        wide[:, 9:] = np.linalg.cholesky(information).T[np.triu_indices(6)]
        made.wide.put(columns, wide)
        history.append(columns)
    wanted = direct(made, history)
    assert (2, 2) == (len(tracks), len(wanted))
    assert np.abs(last_states(tracks, level=False) - wanted).max() < 1e-3
    assert np.abs(wanted[:, 3:] - BODIES[::-1, 3:]).max() < 12.0


@pytest.mark.parametrize("level", [False, True])
def test_bearings_update_the_tracks_that_others_began(*, level: bool) -> None:
    """Bearings after a radar's plots give the tracks of our own bearing columns, to a millimetre; alone they begin none."""
    kind, names, _ = RADARS["level bearing, range" if level else "elevation, bearing, range"]
    sight = polar.Cartesian2DToBearing if level else polar.CartesianToElevationBearing
    own = ("bearing",) if level else ("elevation", "bearing")
    radar, eye = model_of(kind, names, level=level), model_of(sight, own, level=level)
    given, alone, history, rng = adapter(level=level), adapter(level=level), [], np.random.default_rng(8)
    tracks: set[Any] = set()
    for k in range(SCANS):
        plots, time, t_ns = (
            seen(where(FLAT if level else BODIES, k), rng),
            START + dt.timedelta(seconds=PERIOD_S * k),
            START_NS + k * PERIOD_S * 10**9,
        )
        if k < 8:
            rows = np.array([plots[one] for one in names]).T
            tracks = given.step(time, [detection(row, radar, k) for row in rows])
            history.append((level_columns if level else radar_columns)(plots, t_ns, names))
        else:
            lines = [detection(row, eye, k) for row in np.array([plots[one] for one in own]).T]
            tracks = given.step(time, lines)
            assert set() == alone.step(time, lines)
            history.append(radar_columns(plots, t_ns, own, KIND_BEARING))
            history[-1]["sensor"] = 1
    fields = {"elevation_min_rad": -np.pi / 2, "clutter_per_scan": 5.0 * DENSE, "births_per_scan": DENSE} if level else {}
    sites = [sensor_at(LAT, LON, kind="radar3d", **fields), sensor_at(LAT, LON, name="eye", kind="bearing")]
    wanted = direct(Tracker(SETTINGS, sites, "direct"), history)
    assert (2, 2) == (len(tracks), len(wanted))
    assert np.abs(last_states(tracks, level=level) - (wanted[:, [0, 1, 3, 4]] if level else wanted)).max() < 1e-3


TURNED: dict[str, tuple[Any, tuple[str, ...], Any]] = {
    "elevation, bearing, range": (polar.CartesianToElevationBearingRange, ("elevation", "bearing", "range"), (0.2, -0.3, 0.9)),
    "and range rate of a moving sensor": (
        polar.CartesianToElevationBearingRangeRate,
        ("elevation", "bearing", "range", "rate"),
        (-0.1, 0.4, -2.0),
    ),
    "level bearing, range": (polar.CartesianToBearingRange, ("bearing", "range"), (0.0, 0.0, 2.5)),
    "level bearing, range, range rate": (polar.CartesianToBearingRangeRate2D, ("bearing", "range", "rate"), (0.0, 0.0, -1.1)),
}


@pytest.mark.parametrize("name", TURNED)
def test_offsets_rotations_and_mappings_are_the_models_own(name: str) -> None:
    """What a model of a turned and displaced sensor makes of a state, without noise, becomes a track within 30 m of it, in any order."""
    kind, names, turn = TURNED[name]
    level = name.startswith("level")
    n = 2 if level else 3
    mapping, rates = ((3, 1), (0, 2)) if level else ((2, 5, 0), (4, 1, 3))  # y before x; x, y and z in turn
    own, own_rates = ((1, 3), (2, 0)) if level else ((5, 2, 0), (1, 4, 3))  # the adapter's x is the model's y
    moving = {"velocity": StateVector([30.0, -20.0, 1.0][:n]), "velocity_mapping": rates} if "rate" in names else {}
    model = kind(
        ndim_state=2 * n,
        mapping=mapping,
        noise_covar=np.diag([SIGMA[one] ** 2 for one in names]) * 0.01,
        translation_offset=StateVector([9e3, -4e3, 300.0][:n]),
        rotation_offset=StateVector(turn),
        **moving,
    )
    given = StoneSoupTracker(LAT, LON, SETTINGS, own, own_rates, period_s=4.0)
    for k in range(SCANS):
        body = where(FLAT if level else BODIES, k)[0]
        vector = np.zeros((2 * n, 1))
        vector[list(own), 0], vector[list(own_rates), 0] = body[:n], body[3 : 3 + n]
        values = model.function(State(StateVector(vector)), noise=False)
        tracks = given.step(START + dt.timedelta(seconds=PERIOD_S * k), [detection(values, model, k)])
    assert 1 == len(tracks)
    off = np.asarray(next(iter(tracks)).state_vector, float) - vector
    assert np.abs(off[list(mapping)]).max() < 30.0
    assert np.abs(off[list(rates)]).max() < 5.0


def first_covariance(given: Any, one: Any) -> Any:
    """The covariance of the place of the track that one detection begins."""
    given.step(START, [one])
    row = given.tracker.step(START_NS, []).columns[0]
    return FRAME.basis @ row["covariance"][:3, :3] @ FRAME.basis.T


@pytest.mark.parametrize("seed", range(3))
def test_any_covariance_of_a_place_is_taken_whole(seed: int) -> None:
    """The track that a place begins has the place's covariance, to 1 %, whichever way its ellipsoid lies."""
    a = np.random.default_rng(seed).normal(0, 1, (3, 3)) * 100.0
    noise = a @ a.T + np.eye(3) * 400.0
    found = first_covariance(adapter(), detection([20e3, 30e3, 8e3], LinearGaussian(6, (0, 2, 4), noise)))
    assert np.abs(found - noise).max() < 0.01 * np.abs(noise).max()


def test_correlated_errors_of_a_radar_are_taken_whole() -> None:
    """A radar plot whose errors go together begins a track with the covariance that its model's own derivative gives, to 1 %."""
    sigma, together = np.array([0.004, 0.003, 200.0]), np.array([[1.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 1.0]])
    model = polar.CartesianToElevationBearingRange(ndim_state=6, mapping=(0, 2, 4), noise_covar=together * np.outer(sigma, sigma))
    state = State(StateVector([20e3, 0.0, 30e3, 0.0, 8e3, 0.0]))
    back = np.linalg.inv(np.asarray(model.jacobian(state), float)[:, [0, 2, 4]])
    wanted = back @ (together * np.outer(sigma, sigma)) @ back.T
    found = first_covariance(adapter(), detection(model.function(state), model))
    assert np.abs(found - wanted).max() < 0.01 * np.abs(wanted).max()


def test_a_level_range_among_heights_is_taken_along_the_ground() -> None:
    """Where states have heights, a level bearing and range of an aircraft at 8 km makes a track where it is, of no certain height."""
    given, model = adapter(), model_of(polar.CartesianToBearingRange, ("bearing", "range"), level=True)
    for k in range(SCANS):
        x, y = where(BODIES, k)[0, :2]
        tracks = given.step(START + dt.timedelta(seconds=PERIOD_S * k), [detection([np.arctan2(y, x), np.hypot(x, y)], model, k)])
    assert 1 == len(tracks)
    track = next(iter(tracks))
    assert np.abs(np.asarray(track.state_vector, float).ravel()[[0, 2]] - [x, y]).max() < 60.0
    assert np.sqrt(float(track.covar[4, 4])) > 1_000.0


@pytest.mark.parametrize("kind", ["bearing, range", "x, y"])
def test_false_plots_of_a_level_world_make_no_tracks(kind: str) -> None:
    """Of two aircraft, seen at nine of ten looks among sixty false plots each, two tracks are made, within four looks, and no other."""
    given, rng, counts = adapter(level=True, clutter_per_scan=60.0, range_max_m=120e3), np.random.default_rng(3), []
    radar = model_of(*RADARS["level bearing, range"][:2], level=True)
    model = radar if kind == "bearing, range" else LinearGaussian(4, (0, 2), np.eye(2) * RANGE**2)
    for k in range(40):
        far, around = 120e3 * np.sqrt(rng.random(60)), rng.uniform(0.0, 2.0 * np.pi, 60)
        false = np.column_stack([far * np.cos(around), far * np.sin(around), np.zeros((60, 4))])
        there = np.concatenate([where(FLAT, k)[rng.random(2) < 0.9], false])
        plots = seen(there, rng)
        rows = (
            np.array([plots["bearing"], plots["range"]]).T
            if model is radar
            else there[:, :2] + rng.normal(0, RANGE, (len(there), 2))
        )
        counts.append(len(given.step(START + dt.timedelta(seconds=PERIOD_S * k), [detection(row, model, k) for row in rows])))
    assert [2] * 36 == counts[4:]


def test_names_go_in_as_evidence_and_come_back() -> None:
    """Metadata of a detection names the track that it makes; absent values are passed over."""
    given, model = adapter(), LinearGaussian(6, (0, 2, 4), SPREAD)
    told = {"icao24": "86d624", "callsign": " JAL516 ", "squawk": "7500", "MMSI": None, "origin": "Japan"}
    for k in range(SCANS):
        tracks = given.step(
            START + dt.timedelta(seconds=PERIOD_S * k), [detection(where(BODIES, k)[0, :3], model, k, metadata=told)]
        )
    assert [{"icao24": "86d624", "callsign": "JAL516", "squawk": "7500"}] == [track.metadata for track in tracks]


def test_times_without_a_zone_are_utc_and_come_back_as_they_were() -> None:
    """Naive and aware times give the same states; each track bears the time that it was asked for."""
    model, ends = LinearGaussian(6, (0, 2, 4), SPREAD), []
    for zone in (None, dt.UTC, dt.timezone(dt.timedelta(hours=9))):
        given = adapter()
        for k in range(SCANS):
            time = START + dt.timedelta(seconds=PERIOD_S * k)
            time = time.astimezone(zone) if zone else time.replace(tzinfo=None)
            one = Detection(StateVector(where(BODIES, k)[0, :3]), timestamp=None if k % 2 else time, measurement_model=model)
            tracks = given.step(time, [one])
        assert [time] == [track.timestamp for track in tracks]
        ends.append(last_states(tracks, level=False).tobytes())
    assert ends[0] == ends[1] == ends[2]


def test_our_tracks_become_its_tracks() -> None:
    """What a tracker of ours gave, step by step, becomes tracks of Gaussian states in the order that the frame names."""
    made, rng, history = Tracker(SETTINGS, [sensor_at(LAT, LON)], "ours"), np.random.default_rng(9), []
    for k in range(SCANS):
        t_ns = START_NS + k * PERIOD_S * 10**9
        history.append(made.step(t_ns, [batch(radar_columns(seen(where(BODIES, k), rng), t_ns, ("range", "elevation")))]))
    plain, other = (tracks_of(history, frame) for frame in (FRAME, LocalFrame(LAT, LON, (4, 0, 2), (1, 3, 5))))
    assert ["1", "2"] == [track.id for track in plain]
    last = START + dt.timedelta(seconds=PERIOD_S * (SCANS - 1))
    assert [last, last] == [track.timestamp for track in plain]
    x, y, z, vx, vy, vz = (np.asarray(plain[0].state_vector, float).ravel()[k] for k in (0, 2, 4, 1, 3, 5))
    assert [y, vx, z, vy, x, vz] == np.asarray(other[0].state_vector, float).ravel().tolist()
    assert float(plain[0].covar[2, 2]) == float(other[0].covar[0, 0])
    assert np.abs(last_states(plain, level=False) - where(BODIES, SCANS - 1)[::-1]).max() < 300.0


def test_places_with_velocities_of_one_time_are_told_apart() -> None:
    """Four aircraft 250 m apart, given with their velocities and without names, are four tracks; they made two."""
    rng, sigmas = np.random.default_rng(1), np.array([60.0, 5.0] * 3)
    model, made, names = LinearGaussian(6, tuple(range(6)), np.diag(sigmas**2)), StoneSoupTracker(LAT, LON, period_s=2.0), set()
    for k in range(40):
        time = START + dt.timedelta(seconds=2 * k)
        places = [np.array([20e3 + 400.0 * k, 200.0, 30e3 + 250.0 * i, 0.0, 8_000.0, 0.0]) for i in range(4)]
        given = {Detection(StateVector(p + rng.normal(0, sigmas)), timestamp=time, measurement_model=model) for p in places}
        names |= {track.id for track in made.step(time, given)}
    north_m = sorted(float(track.state_vector[2]) - 30e3 for track in made.step(time, set()))
    assert 4 == len(names)
    assert [0.0, 250.0, 500.0, 750.0] == pytest.approx(north_m, abs=110.0)
