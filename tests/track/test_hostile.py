"""Plots at the edge of what a report may say: whatever they claim, every track's numbers stay numbers, and its covariance one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from track_cases import S_NS, T0_NS, reports

from trilat.kernels.bank import BOOST, PACKED, REENTRY, STATES, TURN
from trilat.records.columns import KIND_BEARING, KIND_FIX, KIND_MEASUREMENT, KIND_RADAR, KIND_TRACK, STATUSES, empty_reports
from trilat.track import Tracker, TrackerSettings
from trilat.track.library import sensor_at
from trilat.track.settings import Domain

WIDE = {"range_max_m": 5e7, "alt_max_m": 5e7, "period_s": 1.0}
SENSORS = (
    sensor_at(33.0, 130.0, 0.0, "radar", **WIDE),
    sensor_at(33.1, 130.2, 0.0, "flat", kind="radar2d", **WIDE),
    sensor_at(33.2, 130.1, 0.0, "coast", kind="radar2d", range_max_m=1e5, alt_max_m=100.0),
    sensor_at(33.0, 130.0, 0.0, "fixes", kind="fixes", **WIDE),
    sensor_at(33.2, 130.0, 0.0, "bearings", kind="bearing", **WIDE),
)
WAYS = (
    (KIND_RADAR, 0),
    (KIND_RADAR, 1),
    (KIND_RADAR, 2),
    (KIND_FIX, 3),
    (KIND_TRACK, 3),
    (KIND_MEASUREMENT, 3),
    (KIND_BEARING, 4),
)
RADIANS = (1e-9, 1e-6, 1e-4, 1e-2, 0.5, 3.0)
VALUES = {
    "range_m": (0.0, 1e-3, 1.0, 30.0, 1e4, 4e5, 2e7),
    "azimuth_rad": (0.0, 0.7, 3.1, 6.28),
    "elevation_rad": (0.0, 0.01, 0.5, 1.57, -1.5),
    "height_m": (-11_000.0, 0.0, 9e3, 1e6, 4e7),
    "doppler_m_s": (0.0, -2.0, 300.0, 19_999.0),
    "lat_deg": (33.0, 33.00001, 33.4, 90.0, -90.0),
    "lon_deg": (130.0, 130.00001, 130.3, 180.0, -180.0),
    "alt_m": (-11_000.0, 0.0, 5.0, 9e3, 1e5, 4e7),
    "speed_m_s": (0.0, 10.0, 250.0, 7e3, 20e3),
    "course_rad": (0.0, 1.9, 6.28),
    "vertical_rate_m_s": (0.0, -50.0, 2e3, -20e3),
    **{f"sigma_{name}_m": (1e-3, 0.1, 30.0, 1e4, 1e6) for name in ("range", "height", "horizontal", "vertical")},
    **{f"sigma_{name}_m_s": (1e-3, 0.1, 30.0, 1e4) for name in ("doppler", "speed")},
    **{f"sigma_{name}_rad": RADIANS for name in ("azimuth", "elevation")},
}
NEEDED = {KIND_RADAR: ("range_m", "azimuth_rad"), KIND_BEARING: ("azimuth_rad",)}
WITHOUT = {KIND_BEARING: ("range_m",)}
GAPS_S = (0.0, 0.001, 0.2, 1.0, 4.0, 10.0, 30.0, 200.0, -0.4, -3.0)
AWAY_MAX_M, SPEED_MAX_M_S = 1.2e8, 5e4  # reports are of places up to 1e8 m high, and of 20 km/s
LEAST = 1e-9
STATES_OF = {BOOST: 9, TURN: 7, REENTRY: 7}
TRIANGLE = np.tril_indices(STATES)


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """One source of reports: what each says, how many times at once, and how its place and range go on."""
    kind, sensor = draw(st.sampled_from(WAYS))
    needed = NEEDED.get(kind, ("lat_deg", "lon_deg"))
    values = {}
    for name, few in VALUES.items():
        if name not in WITHOUT.get(kind, ()) and (name in needed or draw(st.booleans())):
            values[name] = draw(st.sampled_from(few))
    return {
        "kind": kind,
        "sensor": sensor,
        "values": values,
        "domain": draw(st.integers(0, 4)),
        "address": draw(st.sampled_from((-1, -1, 77))),
        "times": draw(st.integers(1, 3)),
        "rate_m_s": draw(st.sampled_from((0.0, 1.0, -250.0, 3e3, 20e3))),
        "apart": draw(st.sampled_from((0.0, 0.0, 1e-7, 1e-3))),
    }


@st.composite
def scenes(draw: st.DrawFn) -> tuple[TrackerSettings, Any]:
    """Settings, and the reports of one to three bodies over the same times."""
    few = draw(st.sampled_from((("air",), ("sea",), ("missile",), ("air", "sea", "missile"))))
    chosen = TrackerSettings(tracks_max=200, domains=few, association=draw(st.sampled_from(("mht", "lbp", "gnn"))))
    t_s = np.cumsum([0.0, *draw(st.lists(st.sampled_from(GAPS_S), min_size=2, max_size=20))])
    return chosen, np.concatenate([said(one, t_s) for one in draw(st.lists(bodies(), min_size=1, max_size=3))])


def said(body: dict[str, Any], t_s: Any) -> Any:
    """Return a body's reports: `times` of them at each time, a little apart from one another."""
    columns = empty_reports(len(t_s) * body["times"])
    when, copy = np.repeat(t_s, body["times"]), np.tile(np.arange(body["times"]), len(t_s))
    columns["t_ns"] = T0_NS + np.round(when * S_NS).astype(np.int64)
    for name in ("kind", "sensor", "domain", "address"):
        columns[name] = body[name]
    for name, value in body["values"].items():
        columns[name] = value
    columns["range_m"] = np.clip(columns["range_m"] * (1.0 + body["apart"] * copy) + body["rate_m_s"] * when, 0.0, 1e8)
    columns["lat_deg"] = np.clip(columns["lat_deg"] + body["apart"] * copy + body["rate_m_s"] * when / 111e3, -90.0, 90.0)
    return columns


def steps(made: Tracker, columns: Any) -> Any:
    """Step a tracker through reports, second by second while there are some; yields what each step shows."""
    columns = columns[np.argsort(columns["t_ns"], kind="stable")]
    at, now_ns = 0, int(columns["t_ns"][0])
    while at < len(columns):
        now_ns = max(now_ns, int(columns["t_ns"][at])) + S_NS
        end = int(np.searchsorted(columns["t_ns"], now_ns))
        yield made.step(now_ns, [reports(columns[at:end])]).columns
        at = end


def is_covariance(covariance: Any) -> bool:
    """Tell whether matrices (n, k, k) are covariances, as they are and with every state in units of its own sigma."""
    if not np.isfinite(covariance).all() or (covariance != np.swapaxes(covariance, 1, 2)).any():
        return False
    variances = np.diagonal(covariance, axis1=1, axis2=2)
    if (variances < 0.0).any():
        return False
    sigmas = np.sqrt(np.where(variances > 0.0, variances, 1.0))
    scaled = covariance / sigmas[:, :, None] / sigmas[:, None, :]
    return all(
        (values[:, 0] >= -LEAST * values[:, -1]).all() for values in (np.linalg.eigvalsh(covariance), np.linalg.eigvalsh(scaled))
    )


def modes_of(made: Tracker) -> Any:
    """Return the covariances of every mode of every track (n, 9, 9); states that a mode has not are left out as zeros."""
    model, rows = made._models[0], made.modes()
    out = [np.zeros((0, STATES, STATES))]
    for which, many in enumerate(model["modes"]):
        of = rows[rows["model_set"] == which]
        for m in range(many):
            covariance = np.zeros((len(of), STATES, STATES))
            covariance[:, TRIANGLE[0], TRIANGLE[1]] = of["P"][:, m].reshape(-1, PACKED)
            covariance += np.swapaxes(np.tril(covariance, -1), 1, 2)
            n = STATES_OF.get(int(model["kind"][which, m]), 6)
            covariance[:, n:], covariance[:, :, n:] = 0.0, 0.0
            out.append(covariance)
    return np.concatenate(out)


def check(made: Tracker, shown: Any) -> None:
    """Check every track, tentative ones too; what is believed stands where a report may be, and goes no faster than one may say.

    A tentative track of what says next to nothing (an azimuth good to three radians) may be anywhere until it is dropped.
    """
    for name in ("position_m", "velocity_m_s"):
        assert np.isfinite(shown[name]).all()
    assert is_covariance(shown["covariance"])
    assert is_covariance(modes_of(made))
    believed = shown[shown["status"] != STATUSES.index("tentative")]
    assert (np.linalg.norm(believed["position_m"], axis=1) < AWAY_MAX_M).all()
    assert (np.linalg.norm(believed["velocity_m_s"], axis=1) < SPEED_MAX_M_S).all()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(scene=scenes())
def test_whatever_plots_claim_a_tracks_covariance_is_one(scene: tuple[TrackerSettings, Any]) -> None:
    """Any plots within bounds leave every track with finite numbers, of this world, and every mode with a true covariance."""
    made = Tracker(scene[0], SENSORS, "test")
    for shown in steps(made, scene[1]):
        check(made, shown)


@pytest.mark.parametrize("name", [name for name in VALUES if name.startswith("sigma")])
@pytest.mark.parametrize(
    ("sigma", "reason"),
    [(1e200, "out-of-range"), (0.0, "sigma-not-positive"), (-1.0, "sigma-not-positive"), (np.inf, "not-finite")],
)
def test_a_sigma_that_can_be_none_is_refused_by_its_name(name: str, sigma: float, reason: str) -> None:
    """A sigma whose square is no number would leave no track's numbers ones, nor would none or less: refused, nothing else changes."""
    kind, sensor = (KIND_FIX, 3) if name.split("_")[1] in ("horizontal", "vertical", "speed") else (KIND_RADAR, 0)
    values = (
        {"lat_deg": 33.4, "lon_deg": 130.3} if kind == KIND_FIX else {"range_m": 4e4, "azimuth_rad": 0.7, "elevation_rad": 0.2}
    )
    body = {"kind": kind, "sensor": sensor, "domain": 0, "address": -1, "times": 1, "rate_m_s": 0.0, "apart": 0.0}
    body["values"] = values | {"alt_m": 9e3}
    made, columns = Tracker(TrackerSettings(), SENSORS, "test"), said(body, np.arange(6) * 1.0)
    for shown in steps(made, columns):
        check(made, shown)
    columns = columns[-3:].copy()
    columns[name] = sigma
    after = made.step(int(shown["t_ns"][0]), [reports(columns)]).columns
    assert len(shown) == 1
    assert after.tobytes() == shown.tobytes()
    assert made.refused == {reason: 3}


@pytest.mark.parametrize("range_m", [1.0, 10.0, 100.0, 1_000.0])
@pytest.mark.parametrize("domain", ["air", "missile"])
def test_an_angle_finer_than_its_place_can_be_leaves_no_variance_below_zero(range_m: float, domain: Domain) -> None:
    """A sigma of a millionth of a radian close by narrows a new track as far as a number's digits go, and no further."""
    body = {"kind": KIND_RADAR, "sensor": 0, "domain": 0, "address": -1, "times": 1, "rate_m_s": 0.0, "apart": 0.0}
    fine = {"sigma_range_m": 1e-3, "sigma_azimuth_rad": 1e-9, "sigma_elevation_rad": 1e-9}
    body["values"] = {"range_m": range_m, "azimuth_rad": 0.7, "elevation_rad": 0.5, **fine}
    made = Tracker(TrackerSettings(domains=(domain,)), SENSORS, "test")
    for shown in steps(made, said(body, np.array([0.0]))):
        assert len(shown) == 1
        check(made, shown)


def test_a_claim_of_twenty_kilometres_a_second_at_the_ground_stays_bounded() -> None:
    """Drag at such a speed stops a body within a step: the track slows down, where it once went on to 10,000 km/s."""
    body = {"kind": KIND_FIX, "sensor": 3, "domain": 3, "address": 77, "times": 1, "rate_m_s": 0.0, "apart": 0.0}
    body["values"] = {
        "lat_deg": 33.0,
        "lon_deg": 130.0,
        "alt_m": 5.0,
        "speed_m_s": 20e3,
        "course_rad": 1.9,
        "sigma_speed_m_s": 1.0,
    }
    made = Tracker(TrackerSettings(domains=("missile",)), SENSORS, "test")
    for shown in steps(made, said(body, np.arange(5) * 1.0)):
        assert len(shown)
        check(made, shown)
    shown = made.step(T0_NS + 9 * S_NS, []).columns
    assert len(shown)
    assert (np.linalg.norm(shown["velocity_m_s"], axis=1) < 20e3).all()


def test_a_plot_that_contradicts_itself_begins_no_track() -> None:
    """Ten kilometres away and forty thousand high is nowhere: a track of it would stand where neither component says."""
    body = {"kind": KIND_RADAR, "sensor": 1, "domain": 0, "address": -1, "times": 1, "rate_m_s": 0.0, "apart": 0.0}
    body["values"] = {"range_m": 1e4, "azimuth_rad": 0.7, "height_m": 4e7, "sigma_range_m": 0.01, "sigma_height_m": 0.01}
    made = Tracker(TrackerSettings(), SENSORS, "test")
    assert [len(shown) for shown in steps(made, said(body, np.arange(3) * 1.0))] == [0, 0, 0]
