"""The tracker as a node sees it: accuracy, determinism, late and doubled reports, identity, bounds, bad input."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs
from track_cases import (
    FIXES,
    RADAR,
    RADAR_B,
    S_NS,
    SMALL,
    T0_NS,
    Line,
    confirmed,
    error_m,
    feed,
    fixes,
    radar_plots,
    reports,
    tracker,
)

from trilat.records.codec import validate
from trilat.records.columns import KIND_BEARING, KIND_RADAR, TRACK_FLAG_ID_CONFLICT, TRACK_FLAG_INNOVATION, empty_reports
from trilat.track import TrackerSettings, reports_of, track_table
from trilat.track.library import OWN, sensor_at
from trilat.track.records import to_records

LINES = [Line(40e3, 20e3, 9e3, 200.0, 50.0), Line(-30e3, 60e3, 7e3, -180.0, 20.0), Line(10e3, -50e3, 10e3, 30.0, 240.0)]


def test_each_body_has_one_confirmed_track_near_it() -> None:
    """Three aircraft seen by one radar for a minute are three confirmed tracks, each within 400 m of its body."""
    last = feed(tracker(), radar_plots(LINES, 60, np.random.default_rng(1)))
    assert len(confirmed(last)) == 3
    assert [error_m(last, line) < 400.0 for line in LINES] == [True] * 3


def test_covariance_is_honest() -> None:
    """The normalised error squared over position, averaged over many bodies, is near its three dimensions."""
    rng = np.random.default_rng(2)
    lines = [Line(x, y, 8e3, *rng.normal(0, 150, 2)) for x in range(-80_000, 90_000, 20_000) for y in (-60e3, 60e3)]
    last = feed(tracker(), radar_plots(lines, 60, rng), every_s=2.0)
    squares = []
    for line in lines:
        sure = confirmed(last)
        k = int(np.linalg.norm(sure["position_m"] - line.at(last.t_ns), axis=1).argmin())
        off = sure["position_m"][k] - line.at(last.t_ns)
        squares.append(off @ np.linalg.solve(sure["covariance"][k][:3, :3], off))
    assert 0.8 < np.mean(squares) < 4.5


def test_two_dimensional_radar_makes_tracks_without_height() -> None:
    """A radar without elevation still confirms an aircraft, with a wide vertical."""
    columns = radar_plots([LINES[0]], 60, np.random.default_rng(3))
    columns["elevation_rad"] = np.nan
    last = feed(tracker(), columns)
    assert len(confirmed(last)) == 1
    assert error_m(last, LINES[0]) < 9_000.0


def test_a_height_narrows_a_two_dimensional_radar() -> None:
    """With Mode C heights the same radar's track is within a kilometre."""
    columns = radar_plots([LINES[0]], 60, np.random.default_rng(3))
    columns["elevation_rad"] = np.nan
    columns["height_m"] = 9_200.0
    columns["sigma_height_m"] = 300.0
    assert error_m(feed(tracker(), columns), LINES[0]) < 1_200.0


def test_bearings_update_but_never_begin_a_track() -> None:
    """A passive sensor's bearings alone make nothing; on a radar's track they count."""
    bearings = radar_plots([LINES[0]], 40, np.random.default_rng(4))
    bearings["kind"], bearings["range_m"] = KIND_BEARING, np.nan
    assert len(feed(tracker(), bearings).columns) == 0
    made = tracker()
    feed(made, radar_plots([LINES[0]], 40, np.random.default_rng(4)))
    later = radar_plots([LINES[0]], 60, np.random.default_rng(5))
    later = later[later["t_ns"] > T0_NS + 44 * S_NS]
    later["kind"], later["range_m"], later["sensor"] = KIND_BEARING, np.nan, 0
    tracks = made.step(T0_NS + 60 * S_NS, [reports(later)])
    assert int(confirmed(tracks)["updated_t_ns"].max()) == int(later["t_ns"].max())


def test_a_missed_body_coasts_and_then_goes() -> None:
    """Seen no more, a track leaves the confirmed ones within seconds and its number is reported as deleted."""
    made = tracker()
    number = int(confirmed(feed(made, radar_plots([LINES[0], LINES[1]], 40, np.random.default_rng(6))))["number"].max())
    only_one = radar_plots([LINES[0]], 120, np.random.default_rng(7))
    only_one = only_one[only_one["t_ns"] > T0_NS + 42 * S_NS]
    gone: set[int] = set()
    for t in range(43, 120):
        part = only_one[(only_one["t_ns"] >= T0_NS + (t - 1) * S_NS) & (only_one["t_ns"] < T0_NS + t * S_NS)]
        gone |= set(made.step(T0_NS + t * S_NS, [reports(part)]).deleted)
    assert number in gone or 1 in gone
    assert error_m(made.step(T0_NS + 120 * S_NS, []), LINES[0]) < 600.0


def same(a: Any, b: Any) -> bool:
    return a.columns.tobytes() == b.columns.tobytes()


def test_order_within_a_step_changes_nothing() -> None:
    """Permuting the plots of every step gives the same bytes."""
    columns = radar_plots(LINES, 40, np.random.default_rng(8))
    a, b, rng = tracker(), tracker(), np.random.default_rng(9)
    for t in range(1, 41):
        part = columns[(columns["t_ns"] >= T0_NS + (t - 1) * S_NS) & (columns["t_ns"] < T0_NS + t * S_NS)]
        assert same(a.step(T0_NS + t * S_NS, [reports(part)]), b.step(T0_NS + t * S_NS, [reports(rng.permutation(part))]))


def test_duplicates_change_nothing() -> None:
    """Reports given twice, at once and again later, give the same tracks."""
    columns = radar_plots(LINES, 40, np.random.default_rng(10))
    once, twice = tracker(), tracker()
    last = feed(once, columns)
    feed(twice, np.concatenate([columns, columns]))
    assert same(last, twice.step(last.t_ns, [reports(columns[-20:])]))


def test_how_a_slot_is_batched_changes_nothing() -> None:
    """A feed that tells of an aircraft four times in half a second gives the same tracks in one step or in eight."""
    times = [T0_NS + k * S_NS // 8 for k in range(8 * 12)]
    columns = np.concatenate([fixes(line, times, np.random.default_rng(24), address=k) for k, line in enumerate(LINES)])
    whole, piecemeal = tracker(), tracker()
    last = feed(whole, columns)
    feed(piecemeal, columns, 1 / 16)
    names = ["position_m", "covariance", "existence", "address"]
    a, b = confirmed(last), confirmed(piecemeal.step(last.t_ns, []))
    assert len(a) == len(LINES)
    assert [a[name].tobytes() for name in names] == [b[name].tobytes() for name in names]


def test_a_long_run_holds_no_more_memory_than_a_short_one() -> None:
    """Ten minutes of three aircraft and false plots: frames, snapshots and texts stay as many as after two."""
    rng, made, held = np.random.default_rng(25), tracker(), []
    columns = radar_plots(LINES, 600, rng)
    for t in range(4, 604, 4):
        part = columns[(columns["t_ns"] >= T0_NS + (t - 4) * S_NS) & (columns["t_ns"] < T0_NS + t * S_NS)]
        false = empty_reports(20)
        false["t_ns"], false["sensor"], false["kind"] = T0_NS + t * S_NS - 1, 0, KIND_RADAR
        false["range_m"], false["azimuth_rad"] = rng.uniform(50e3, 350e3, 20), rng.uniform(0, 6.28, 20)
        false["elevation_rad"] = rng.uniform(0.01, 0.1, 20)
        made.step(T0_NS + t * S_NS, [reports(np.concatenate([part, false]))])
        held.append(made.memory_bytes())
    assert max(held[-30:]) <= max(held[20:50]) * 1.05


def test_snapshots_are_dense_only_once_something_came_late() -> None:
    """In whole scans that come in order the bank is copied every ten seconds; after a late report, at each scan."""
    columns = radar_plots(LINES, 160, np.random.default_rng(4))
    columns["t_ns"] = T0_NS + (columns["t_ns"] - T0_NS) // (4 * S_NS) * 4 * S_NS  # whole scans, every four seconds
    made, late, apart = tracker(structs.replace(SMALL, whole_scans=True)), columns[20:21].copy(), {}
    late["t_ns"] = T0_NS + 70 * S_NS
    for t in range(4, 160, 4):
        given = columns[columns["t_ns"] == T0_NS + t * S_NS]
        made.step(T0_NS + t * S_NS, [reports(np.concatenate([given, late]) if t == 80 else given)])
        starts = [key[0] for key, _ in made._past.snapshots]
        apart[t] = (starts[-1] - starts[-2]) / S_NS if len(starts) > 1 else 0.0
    assert (12.0, 4.0) == (apart[76], apart[100])


def test_reports_of_a_slot_that_is_still_open_are_not_late() -> None:
    """A live feed in order, five steps a second, leaves snapshots ten seconds apart, though each slot is run more than once."""
    made = tracker()
    feed(made, radar_plots([Line(3e3 * k, 20e3, 9e3, 200.0, 50.0) for k in range(20)], 120, np.random.default_rng(4)), 0.2)
    starts = [key[0] for key, _ in made._past.snapshots]
    assert (starts[-1] - starts[-2]) / S_NS >= 10.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_late_reports_give_the_tracks_of_an_in_order_arrival(seed: int) -> None:
    """Reports shuffled over up to 20 s of lateness end in states equal to those of in-order arrival."""
    rng = np.random.default_rng(seed)
    columns = np.concatenate([radar_plots(LINES, 50, rng), radar_plots(LINES, 50, rng, 1, RADAR_B)])
    in_order = feed(tracker(), columns)
    late = tracker()
    arrival = columns["t_ns"] + rng.integers(0, 20 * S_NS, len(columns))
    for t in range(1, 75):
        late.step(T0_NS + t * S_NS, [reports(columns[(arrival >= T0_NS + (t - 1) * S_NS) & (arrival < T0_NS + t * S_NS)])])
    end = late.step(in_order.t_ns, [])
    assert late.refused.total() == 0
    key = ["position_m", "velocity_m_s", "covariance", "existence", "updated_t_ns"]
    a, b = confirmed(in_order), confirmed(end)
    a, b = a[np.argsort(a["position_m"][:, 0])], b[np.argsort(b["position_m"][:, 0])]
    assert [a[name].tobytes() for name in key] == [b[name].tobytes() for name in key]


def test_reports_older_than_the_lag_are_refused_and_counted() -> None:
    """What comes after the lag is counted as late and disturbs nothing."""
    made = tracker(TrackerSettings(tracks_max=100, lag_s=5.0))
    columns = radar_plots(LINES, 40, np.random.default_rng(11))
    before = feed(made, columns)
    after = made.step(before.t_ns, [reports(columns[:4])])
    assert made.refused == {"report-late": 4}
    assert same(before, after)


def test_checkpoint_goes_on_as_if_it_were_the_same() -> None:
    """A tracker restored from a checkpoint gives the same bytes as the one that went on, and the same checkpoint."""
    columns = radar_plots(LINES, 60, np.random.default_rng(12))
    half = columns["t_ns"] < T0_NS + 30 * S_NS
    a, b = tracker(), tracker()
    feed(a, columns[half])
    b.restore(a.checkpoint())
    assert b.checkpoint() == a.checkpoint()
    now = T0_NS + 61 * S_NS
    assert same(a.step(now, [reports(columns[~half])]), b.step(now, [reports(columns[~half])]))
    other = type(a)(SMALL, (RADAR,), "other")
    with pytest.raises(ValueError, match="stream"):
        other.restore(a.checkpoint())


def test_the_same_bytes_under_another_hash_seed() -> None:
    """Two processes with different hash seeds give the same checkpoint."""
    code = (
        "import hashlib, numpy as np\n"
        "from track_cases import *\n"
        "made = tracker()\n"
        "feed(made, radar_plots([Line(4e4, 2e4, 9e3, 200., 50.)], 30, np.random.default_rng(1)))\n"
        "print(hashlib.sha256(made.checkpoint()).hexdigest())\n"
    )
    here = str(Path(__file__).parent)
    said = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": here},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]
    assert len(said[0]) > 60


def test_a_spoofed_address_captures_no_track() -> None:
    """A false fix with an aircraft's address, 30 km off it, begins a track of its own that is marked; the aircraft's stays."""
    rng = np.random.default_rng(13)
    made, line = tracker(), LINES[0]
    columns = radar_plots([line], 40, rng)
    times = [T0_NS + t * S_NS for t in range(5, 40, 2)]
    feed(made, np.concatenate([columns, fixes(line, times, rng, address=0xABCDEF)]))
    liar = Line(70e3, 20e3, 9e3, 0.0, 0.0)
    later = [T0_NS + t * S_NS for t in range(41, 56, 2)]
    true = radar_plots([line], 56, rng)
    last = feed(made, np.concatenate([true[true["t_ns"] > T0_NS + 40 * S_NS], fixes(liar, later, rng, address=0xABCDEF)]))
    assert error_m(last, line) < 400.0
    near = np.linalg.norm(last.columns["position_m"] - liar.at(last.t_ns), axis=1) < 1_000.0
    assert near.sum() == 1
    assert last.columns["flags"][near][0] & TRACK_FLAG_ID_CONFLICT


def test_a_jumping_fix_stream_is_seen_not_smoothed() -> None:
    """Positions that jump by 20 km flag the innovation test, and no track goes half way."""
    rng = np.random.default_rng(14)
    line = LINES[0]
    jumped = Line(60e3, 20e3, 9e3, 200.0, 50.0)
    good = fixes(line, [T0_NS + t * S_NS for t in range(30)], rng, address=7)
    bad = fixes(jumped, [T0_NS + t * S_NS for t in range(30, 40)], rng, address=7)
    last = feed(tracker(), np.concatenate([good, bad]))
    assert (last.columns["flags"] & TRACK_FLAG_INNOVATION).any()
    half = (line.at(last.t_ns) + jumped.at(last.t_ns)) / 2
    assert np.linalg.norm(last.columns["position_m"] - half, axis=1).min() > 7_000.0


def test_a_lost_track_gets_its_number_back() -> None:
    """An aircraft unseen for 40 s comes back under its number, and the stitch is recorded."""
    first = radar_plots([LINES[0]], 140, np.random.default_rng(16))
    hidden = (first["t_ns"] > T0_NS + 50 * S_NS) & (first["t_ns"] < T0_NS + 90 * S_NS)
    other = radar_plots([LINES[1]], 140, np.random.default_rng(17))
    made = tracker()
    last = feed(made, np.concatenate([first[~hidden], other]))
    assert sorted(last.columns["number"][last.columns["status"] == 1].tolist()) == [1, 2]
    assert [event.kind for event in made.events if event.kind == "stitched"] == ["stitched"]


BAD = {
    "time-future": {"t_ns": T0_NS + 900 * S_NS},
    "sensor-unknown": {"sensor": 9},
    "not-finite": {"azimuth_rad": np.nan},
    "sigma-not-positive": {"sigma_range_m": 0.0},
    "out-of-range": {"range_m": -5.0},
}


@pytest.mark.parametrize("reason", BAD)
def test_bad_reports_are_refused_by_name(reason: str) -> None:
    """Each kind of bad report is counted under its name and leaves the tracks as they are."""
    made = tracker()
    columns = radar_plots(LINES, 20, np.random.default_rng(18))
    before = feed(made, columns)
    bad = columns[-3:].copy()
    for name, value in BAD[reason].items():
        bad[name] = value
    assert same(before, made.step(before.t_ns, [reports(bad)]))
    assert made.refused == {reason: 3}


def test_infinities_are_refused() -> None:
    """An infinite value is refused as not finite."""
    made = tracker()
    columns = radar_plots(LINES, 4, np.random.default_rng(18))
    columns["doppler_m_s"] = -np.inf
    made.step(T0_NS + 5 * S_NS, [reports(columns)])
    assert made.refused == {"not-finite": 3}


def test_ten_thousand_plots_in_one_scan_stay_within_bounds() -> None:
    """A flood is taken in up to the bound and counted; the confirmed track in it survives."""
    made = tracker(TrackerSettings(tracks_max=300))
    line = LINES[0]
    feed(made, radar_plots([line], 40, np.random.default_rng(19)))
    rng = np.random.default_rng(20)
    flood = empty_reports(10_000)
    flood["t_ns"], flood["sensor"], flood["kind"] = T0_NS + 41 * S_NS, 0, KIND_RADAR
    flood["range_m"] = rng.uniform(100e3, 350e3, 10_000)
    flood["azimuth_rad"], flood["elevation_rad"] = rng.uniform(0, 6.28, 10_000), rng.uniform(0.01, 0.4, 10_000)
    tracks = made.step(T0_NS + 42 * S_NS, [reports(flood)])
    assert len(tracks.columns) <= 300
    assert made.shed["tracks-full"] >= 9_000
    assert error_m(tracks, line) < 600.0


@pytest.mark.parametrize(("lat", "lon"), [(90.0, 0.0), (-90.0, 0.0), (10.0, 180.0), (10.0, -180.0), (0.0, 0.0)])
def test_sensors_at_the_pole_and_on_the_date_line_track(lat: float, lon: float) -> None:
    """A radar anywhere on Earth confirms what flies past it."""
    site = sensor_at(lat, lon, 10.0, clutter_per_scan=1.0)
    made = type(tracker())(SMALL, (site,), "edge")
    columns = empty_reports(12)
    t = np.arange(12) * 4.0
    east, north, up = 20e3 + 200 * t, 30e3 - 50 * t, np.full(12, 9e3)
    columns["t_ns"], columns["sensor"], columns["kind"] = T0_NS + (t * 1e9).astype(int), 0, KIND_RADAR
    columns["range_m"] = np.sqrt(east**2 + north**2 + up**2)
    columns["azimuth_rad"], columns["elevation_rad"] = np.arctan2(east, north), np.arctan2(up, np.hypot(east, north))
    last = feed(made, columns)
    assert len(confirmed(last)) == 1
    assert np.isfinite(last.columns["position_m"]).all()


def test_records_hold_what_the_columns_say() -> None:
    """Every track becomes a valid record: place, local velocity, 21 covariances, sensors by name, flags as words."""
    made = tracker()
    rng = np.random.default_rng(21)
    times = [T0_NS + t * S_NS for t in range(2, 30, 2)]
    last = feed(made, np.concatenate([radar_plots([LINES[0]], 30, rng), fixes(LINES[0], times, rng, address=0x86D624)]))
    found = to_records(last, made.sensors, lambda _: OWN, "ZZZ", ("confirmed",))
    assert len(found) == 1
    record = found[0]
    validate(record)
    assert record.address == 0x86D624
    assert record.pedigree.sensors == ("adsb", "radar")
    assert record.domain == "air"
    assert abs(record.velocity_east_m_s - 200.0) < 15.0
    assert abs(record.velocity_north_m_s - 50.0) < 15.0
    assert len(record.covariance) == 21
    assert min(record.covariance[k] for k in (0, 6, 11, 15, 18, 20)) > 0.0


def test_records_of_no_tracks_are_none() -> None:
    """No tracks give no records."""
    made = tracker()
    assert to_records(made.step(T0_NS, []), made.sensors, lambda _: OWN, "ZZZ") == []


def test_five_lines_from_arrays() -> None:
    """The library face tracks a plain table and gives flat arrays back."""
    columns = radar_plots([LINES[0]], 40, np.random.default_rng(22))
    table = {
        "t_s": (columns["t_ns"] - T0_NS) * 1e-9,
        "range_m": columns["range_m"],
        "azimuth_rad": columns["azimuth_rad"],
        "elevation_rad": columns["elevation_rad"],
    }
    tracks = track_table(table, RADAR)
    last = tracks["t_ns"] == tracks["t_ns"].max()
    assert abs(float(tracks["east_m_s"][last][0]) - 200.0) < 30.0
    with pytest.raises(KeyError, match="unknown column"):
        reports_of({"t_s": [0.0], "rangee": [1.0]})
    with pytest.raises(KeyError, match="no time column"):
        reports_of({"range_m": [1.0]})


def test_importing_the_tracker_does_not_import_numba() -> None:
    """`from trilat.track import Tracker` stays light; numba loads with the first tracker."""
    code = "import sys; from trilat.track import Tracker, TrackerSettings; print('numba' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert said.strip() == "False"


def test_too_many_sensors_are_refused() -> None:
    """A tracker takes at most 64 sensors and says so."""
    with pytest.raises(ValueError, match="at most 64"):
        tracker(sensors=tuple([FIXES] * 65))
