"""A table may hold what sensors of every kind measured; positions without an identity are told apart by where they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from track_cases import FIXES, LINES_OF_TWO, RADAR, S_NS, T0_NS, Line, confirmed, error_m, feed, fixes, radar_plots, tracker

from trilat.kernels import geodesy
from trilat.records.columns import KIND_BEARING, KIND_FIX, KIND_RADAR, KIND_TRACK
from trilat.records.sensor import Sensor
from trilat.track import TrackerSettings, reports_of, sensor_at, track_table

TIMES_NS = [T0_NS + 4 * k * S_NS for k in range(20)]
ORBIT = sensor_at(0.0, 110.0, 3.58e7, "orbit", kind="bearing", sigma_azimuth_rad=2e-5, sigma_elevation_rad=2e-5)
FOREIGN = sensor_at(0.0, 0.0, 0.0, "foreign", kind="tracks", sigma_horizontal_m=100.0)
FLAT = sensor_at(RADAR.lat_deg, RADAR.lon_deg, RADAR.alt_m, "flat", kind="radar2d", clutter_per_scan=2.0)
NEEDED = ("t_ns", "sensor", "range_m", "azimuth_rad", "elevation_rad", "height_m", "lat_deg", "lon_deg", "alt_m")


def flown(kind: str) -> dict[str, Any]:
    """Return the table of one flight as a sensor of some kind measures it, with no word of the kind."""
    rng, line = np.random.default_rng(5), LINES_OF_TWO[0]
    place = geodesy.ecef_to_geodetic(np.array([line.at(t) for t in TIMES_NS]))
    found = dict.fromkeys(NEEDED, np.full(len(TIMES_NS), np.nan))
    if kind in ("fixes", "tracks"):
        found |= {"lat_deg": place[:, 0], "lon_deg": place[:, 1], "alt_m": place[:, 2]}
    else:
        site = ORBIT if kind == "bearing" else FLAT
        rae = np.array([geodesy.ecef_to_rae(line.at(t), site.lat_deg, site.lon_deg, site.alt_m) for t in TIMES_NS])
        noise = rng.normal(0, 1, rae.shape) * (75.0, site.sigma_azimuth_rad, site.sigma_elevation_rad)
        found |= {"azimuth_rad": (rae + noise)[:, 1] % geodesy.TWO_PI}
        if kind == "bearing":
            found |= {"elevation_rad": (rae + noise)[:, 2]}
        else:
            found |= {"range_m": (rae + noise)[:, 0]}
        if kind == "height":
            found |= {"height_m": place[:, 2] + rng.normal(0, 30.0, len(place))}
    return {**found, "t_ns": np.array(TIMES_NS), "sensor": np.zeros(len(TIMES_NS), np.int64)}


def together(*parts: dict[str, Any]) -> dict[str, Any]:
    """Return one table of several sensors' reports, in the order of the sensors."""
    numbered = [{**part, "sensor": part["sensor"] + k} for k, part in enumerate(parts)]
    return {name: np.concatenate([one[name] for one in numbered]) for name in NEEDED}


def away_m(tracks: dict[str, Any]) -> float:
    """Return how far the last state of the one track of a table is from the flight."""
    assert 1 == len(np.unique(tracks["number"]))
    place = [tracks[name][-1] for name in ("lat_deg", "lon_deg", "alt_m")]
    return float(np.linalg.norm(geodesy.geodetic_to_ecef(*place) - LINES_OF_TWO[0].at(int(tracks["t_ns"][-1]))))


@pytest.mark.parametrize(("kind", "site", "most_m"), [("height", FLAT, 200.0), ("fixes", FIXES, 50.0), ("tracks", FOREIGN, 50.0)])
def test_a_sensor_of_every_kind_makes_a_track(kind: str, site: Sensor, most_m: float) -> None:
    """A radar with heights, self-reports and a foreign tracker's tracks each make one track where the aircraft is."""
    assert most_m > away_m(track_table(flown(kind), site))


def test_a_radar_without_height_says_that_it_does_not_know_it() -> None:
    """Aircraft in level flight end no farther from their height than assumed at first, and the doubt told says so.

    A new track's vertical speed was as unknown as its speed over ground: heights were 8 km wrong, and told to 3 km.
    """
    wrong_m, told_m = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        east_m, north_m, alt_m, speed_m_s = rng.uniform((60e3, -90e3, 4e3, 150.0), (110e3, 90e3, 11e3, 260.0))
        line, times_ns = Line(east_m, north_m, alt_m, 0.0, speed_m_s), [T0_NS + 4 * k * S_NS for k in range(50)]
        rae = np.array([geodesy.ecef_to_rae(line.at(t), FLAT.lat_deg, FLAT.lon_deg, FLAT.alt_m) for t in times_ns])
        rae += rng.normal(0, 1, rae.shape) * (75.0, 0.0015, 0.0)
        tracks = track_table({"t_ns": times_ns, "range_m": rae[:, 0], "azimuth_rad": rae[:, 1]}, FLAT)
        true_m = geodesy.ecef_to_geodetic(line.at(int(tracks["t_ns"][-1])))[2]
        wrong_m.append(tracks["alt_m"][-1] - true_m)
        told_m.append(tracks["sigma_m"][-1])
    assert 4_500.0 > np.sqrt(np.mean(np.square(wrong_m)))
    assert 1.6 > np.sqrt(np.mean(np.square(np.array(wrong_m) / told_m)))


def test_a_table_holds_reports_of_several_kinds() -> None:
    """Sights from orbit in the table of a radar without heights find the height; they were refused, as plots without range."""
    tracks = track_table(together(flown("radar2d"), flown("bearing")), [FLAT, ORBIT])
    assert 300.0 > away_m(tracks)
    assert 500.0 > tracks["sigma_m"][-1]
    assert 300.0 > away_m(track_table(together(flown("radar2d"), flown("fixes")), [FLAT, FIXES]))


def test_a_plot_that_lacks_its_range_is_no_bearing() -> None:
    """A radar's row without range is refused, not taken for another kind."""
    broken = flown("height")
    broken["range_m"] = np.where(np.arange(len(TIMES_NS)) == 7, np.nan, broken["range_m"])
    with pytest.warns(UserWarning, match="of 20 plots not everything was used: 1 not-finite"):
        track_table(broken, FLAT)


def test_foreign_tracks_are_believed_less_than_self_reports() -> None:
    """A foreign tracker's errors last: with equal accuracy its tracks give the wider doubt; a column `kind` says the same."""
    sites = [sensor_at(0.0, 0.0, kind=kind, sigma_horizontal_m=100.0) for kind in ("fixes", "tracks")]
    fix, foreign = (track_table(flown("fixes"), site) for site in sites)
    assert 1.2 * fix["sigma_m"][-1] < foreign["sigma_m"][-1]
    said = track_table({**flown("fixes"), "kind": np.full(len(TIMES_NS), KIND_TRACK)}, sites[0])
    assert foreign["sigma_m"].tolist() == said["sigma_m"].tolist()


def test_the_words_of_a_refusal_name_the_units() -> None:
    """Azimuths in degrees are refused, and the warning says what was expected."""
    degrees = flown("height")
    with pytest.warns(UserWarning, match=r"20 out-of-range \(angles are radians"):
        track_table({**degrees, "azimuth_rad": np.degrees(degrees["azimuth_rad"]) + 90.0}, FLAT)


@pytest.mark.parametrize("kind", [KIND_FIX, KIND_TRACK])
def test_nameless_positions_of_one_time_are_of_as_many_targets(kind: int) -> None:
    """Four aircraft 250 m apart whose positions name nobody are four tracks; they were taken one after another, and made two."""
    rng = np.random.default_rng(2)
    lines = [Line(40e3, 20e3 + 250.0 * k, 9e3, 200.0, 0.0) for k in range(4)]
    columns = np.concatenate([fixes(line, TIMES_NS, rng) for line in lines])
    columns["kind"] = kind
    made = tracker(sensors=(RADAR, RADAR, FIXES))
    last = feed(made, columns)
    assert 4 == len(confirmed(last)) == len(last.columns)
    assert 4 == made._next_number - 1
    assert all(120.0 > error_m(last, line) for line in lines)


def test_nameless_positions_of_several_times_may_be_of_one_target() -> None:
    """One aircraft that reports every quarter of a second without a name is one track."""
    often = [T0_NS + k * S_NS // 4 for k in range(80)]
    made = tracker(sensors=(RADAR, RADAR, FIXES))
    assert 1 == len(feed(made, fixes(LINES_OF_TWO[0], often, np.random.default_rng(2))).columns)
    assert 1 == made._next_number - 1


def test_a_domain_there_is_not_is_refused_and_nothing_else_disturbed() -> None:
    """A claim of a domain beyond the last wrote past its track into others: it is counted as out of range, and leaves no trace."""
    settings = TrackerSettings(tracks_max=400, domains=("air", "sea", "missile"))
    plots = radar_plots(LINES_OF_TWO, 40.0, np.random.default_rng(3))
    wild = plots[::3].copy()
    wild["domain"], wild["range_m"] = 255, wild["range_m"] + 10.0
    alone, beside = tracker(settings), tracker(settings)
    feed(alone, plots)
    feed(beside, np.concatenate([plots, wild]))
    assert {"out-of-range": len(wild)} == dict(beside.refused)
    assert alone._bank.rows.tobytes() == beside._bank.rows.tobytes()


def test_the_kind_of_a_column_is_kept() -> None:
    """Who names the kinds is believed: a column `kind` is not guessed over."""
    kinds = [KIND_RADAR, KIND_BEARING]
    table = {"t_s": [0.0, 1.0], "range_m": [5e4, 5e4], "azimuth_rad": [1.0, 1.0], "kind": kinds}
    assert kinds == reports_of(table)["kind"].tolist()
    assert 0 == len(track_table({**table, "kind": [KIND_BEARING] * 2}, FLAT)["number"])
