"""The library's face says by name what is wrong with a table, a sensor or a setting, and refuses it at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from trilat.track import Tracker, TrackerSettings, reports_of, sensor_at, track_table

RADAR = sensor_at(33.0, 130.0)
PLOT = {"t_s": [0.0, 4.0], "range_m": [5e4, 5e4], "azimuth_rad": [1.0, 1.0], "elevation_rad": [0.1, 0.1]}
FAULTS: dict[str, tuple[Callable[[], object], str]] = {
    "times that are none": (
        lambda: track_table({**PLOT, "t_s": [0.0, np.nan]}, RADAR),
        "nan in row 1 is no time in seconds; 1 of 2",
    ),
    "times in milliseconds": (lambda: track_table({**PLOT, "t_s": [0.0, 1.7e12]}, RADAR), "row 1 is no time in seconds"),
    "columns of unlike lengths": (
        lambda: track_table({**PLOT, "range_m": [5e4]}, RADAR),
        r"'range_m' has shape \(1,\), \(2,\) wanted",
    ),
    "one number for all": (lambda: track_table({**PLOT, "range_m": 5e4}, RADAR), r"'range_m' has shape \(\), \(2,\) wanted"),
    "no interval": (lambda: track_table(PLOT, RADAR, every_s=0.0), "every_s is 0.0"),
    "an interval without end": (lambda: track_table(PLOT, RADAR, every_s=1e-9), "at most 10000000 steps"),
    "plots of nobody's": (lambda: track_table(PLOT), "without the place of their sensor"),
    "a place off the Earth": (lambda: sensor_at(99.0, 130.0, name="north"), "sensor 'north'.*lat_deg"),
    "a place that is none": (lambda: sensor_at(np.nan, 130.0), "lat_deg"),
    "a field nobody knows": (lambda: sensor_at(33.0, 130.0, sigma_m=5.0), "sigma_m"),
    "a sigma below zero": (lambda: sensor_at(33.0, 130.0, sigma_range_m=-5.0), "sigma_range_m"),
    "a sure detection": (lambda: sensor_at(33.0, 130.0, detection_probability=2.0), "detection_probability"),
    "a lag below zero": (lambda: Tracker(TrackerSettings(lag_s=-1.0), [RADAR], "x"), "lag_s"),
    "no room for tracks": (lambda: Tracker(TrackerSettings(tracks_max=0), [RADAR], "x"), "tracks_max"),
    "an unknown association": (lambda: Tracker(TrackerSettings(association="ehm"), [RADAR], "x"), "association"),  # type: ignore[arg-type]  # on purpose
}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_what_is_wrong_is_named(name: str) -> None:
    """Each fault is a ValueError that names what is wrong, and none makes the library run on or guess."""
    wrong, words = FAULTS[name]
    with pytest.raises(ValueError, match=words):
        wrong()


def test_an_empty_table_has_no_tracks() -> None:
    """No plots are no fault."""
    assert 0 == len(track_table({"t_s": [], "range_m": [], "azimuth_rad": []}, RADAR)["number"])


def test_dates_of_any_unit_are_the_times_they_name() -> None:
    """Times as dates, in whatever unit a table keeps them, are nanoseconds; one that is no date is refused by its row."""
    named = np.array(["2026-01-01T00:00:00", "2026-01-01T00:00:04"], "datetime64[s]")
    plots = {name: values for name, values in PLOT.items() if name != "t_s"}
    for unit in ("s", "ms", "us", "ns"):
        columns = reports_of({**plots, "t_ns": named.astype(f"datetime64[{unit}]")})
        assert [1_767_225_600_000_000_000, 1_767_225_604_000_000_000] == columns["t_ns"].tolist()
    for wrong in (np.array([named[0], np.datetime64("NaT")]), [1.7e18, np.nan], [1.7e18, 1e30]):
        with pytest.raises(ValueError, match=r"row 1 is no time; 1 of 2"):
            reports_of({**plots, "t_ns": wrong})


def test_plots_that_are_not_used_are_said_by_reason() -> None:
    """A table of which every plot is refused gives no tracks, and a warning that says why, and how many."""
    with pytest.warns(UserWarning, match=r"of 2 plots not everything was used: 2 \w"):
        tracks = track_table({**PLOT, "range_m": [np.nan, np.nan]}, RADAR)
    assert 0 == len(tracks["number"])
