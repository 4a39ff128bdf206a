"""Lines of sight of observers that move, through the library."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from track_cases import LINES_OF_TWO, RADAR, S_NS, T0_NS, confirmed, radar_plots

from trilat.kernels import geodesy
from trilat.records.columns import KIND_MEASUREMENT
from trilat.track import Tracker, TrackerSettings, sensor_at, sights_of
from trilat.track.library import batch

SIGMA_RAD = 2e-5
TIMES_NS = [T0_NS + 2 * k * S_NS for k in range(40)]
FLAT = sensor_at(RADAR.lat_deg, RADAR.lon_deg, RADAR.alt_m, "flat", kind="radar2d", clutter_per_scan=2.0)
WATCHERS = tuple(
    sensor_at(0.0, 0.0, 0.0, name, kind="bearing", period_s=2.0, range_max_m=5e7, alt_max_m=1e7) for name in ("east", "west")
)


def orbit(which: int, t_ns: int) -> Any:
    """Return where an observer 900 km high is (ECEF m): it moves at some 7 km/s, the other one on another path."""
    s = (t_ns - T0_NS) * 1e-9
    lat, lon = (28.0 + 0.06 * s, 122.0) if which == 0 else (38.0, 142.0 - 0.06 * s)
    return geodesy.geodetic_to_ecef(lat, lon, 9e5)


def seen(which: int, rng: Any, **more: Any) -> Any:
    """Return one observer's lines of sight to one aircraft, with their errors, as reports."""
    here = np.array([orbit(which, t) for t in TIMES_NS])
    way = np.array([LINES_OF_TWO[0].at(t) for t in TIMES_NS]) - here
    way += rng.normal(0.0, SIGMA_RAD, way.shape) * np.linalg.norm(way, axis=1)[:, None]
    given = {"t_ns": np.array(TIMES_NS), "observer_ecef_m": here, "direction_ecef": way, "sigma_rad": SIGMA_RAD}
    return sights_of({**given, **more}, which)


def last_track(columns: Any) -> tuple[Any, Tracker]:
    """Return the one confirmed track of the last step, and the tracker."""
    made = Tracker(TrackerSettings(domains=("air",)), (*WATCHERS, FLAT), "test")
    edges = np.searchsorted(columns["t_ns"], [0, *TIMES_NS, TIMES_NS[-1] + 1])
    for t_ns, first, end in zip([*TIMES_NS, TIMES_NS[-1] + 1], edges[:-1], edges[1:], strict=True):
        shown = made.step(t_ns, [batch(columns[first:end])])
    (track,) = confirmed(shown)
    return track, made


def test_observers_that_move_tell_a_flat_radar_how_high_its_aircraft_is() -> None:
    """Lines of sight from two orbits narrow the track of a radar without height to their own sigmas, and rightly."""
    rng = np.random.default_rng(7)
    plots = radar_plots([LINES_OF_TWO[0]], 80.0, rng, 2, FLAT)
    plots["elevation_rad"] = np.nan
    both = np.concatenate([plots, *(seen(which, rng) for which in range(2))])
    found = {}
    for name, columns in (("alone", plots), ("with", both)):
        track, made = last_track(columns[np.argsort(columns["t_ns"], kind="stable")])
        error = track["position_m"] - LINES_OF_TWO[0].at(int(track["t_ns"]))
        found[name] = float(np.linalg.norm(error))
        assert made.refused == {}
    square = float(error @ np.linalg.solve(track["covariance"][:3, :3], error))

    assert found["with"] < 100.0 < found["alone"], found
    assert square < 16.3  # chi-square, three dimensions, 99.9 %


def test_what_is_no_line_of_sight_is_refused_by_name_and_nothing_else() -> None:
    """An observer inside the Earth, no direction, a look into space: counted as `not-finite`, and the line beside them is not."""
    here = np.repeat([orbit(0, T0_NS)], 5, axis=0)
    way = np.repeat([-orbit(0, T0_NS)], 5, axis=0)
    here[1], way[2], way[3], way[4] = 1e6, 0.0, -way[3], np.nan
    table = {"t_ns": np.full(5, T0_NS), "observer_ecef_m": here, "direction_ecef": way, "sigma_rad": np.full(5, 1e-4)}
    columns = sights_of(table | {"callsign": ["A"] * 5}, 1)
    made = Tracker(TrackerSettings(domains=("air",)), WATCHERS, "test")
    shown = made.step(T0_NS + S_NS, [batch(columns)])

    assert {KIND_MEASUREMENT} == set(columns["kind"].tolist())
    assert ({1}, {b"A"}) == (set(columns["sensor"].tolist()), set(columns["callsign"].tolist()))
    assert ({"not-finite": 4}, 0) == (dict(made.refused), len(shown.columns))  # and none begins a track


@pytest.mark.parametrize(
    ("changed", "error", "says"),
    [
        ({"direction_ecef": None}, KeyError, "there is no direction_ecef"),
        ({"direction_ecef": np.zeros((1, 3))}, ValueError, r"observer_ecef_m \(2, 3\) and direction_ecef \(1, 3\)"),
        ({"observer_ecef_m": np.zeros(3), "direction_ecef": np.zeros(3)}, ValueError, r"to be \(n, 3\)"),
        ({"sigma_rad": np.zeros(3)}, ValueError, r"sigma_rad \(3,\) is to be one number or \(2,\)"),
        ({"colour": np.zeros(2)}, KeyError, "colour"),
        ({"t_s": np.zeros(3)}, ValueError, "3"),
    ],
)
def test_wrong_tables_of_sights_are_named(changed: dict[str, Any], error: type[Exception], says: str) -> None:
    """A column that is missing, unknown or of another shape is an error that names it."""
    given = {"t_s": np.zeros(2), "observer_ecef_m": np.ones((2, 3)), "direction_ecef": np.ones((2, 3)), "sigma_rad": 1e-4}
    table = {name: value for name, value in (given | changed).items() if value is not None}
    with pytest.raises(error, match=says):
        sights_of(table)
