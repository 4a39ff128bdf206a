"""From tracks to assessments: a launch is seen, burns out, gets its ellipse and class; what is none never becomes one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from trilat.flights.flight import Flight, Wanted, generic_flight
from trilat.flights.observe import EPOCH_NS, EXERCISE, SITES, Observation, flashes, sensor_of
from trilat.kernels import geodesy
from trilat.records.assessment import Assessment
from trilat.records.codec import encode
from trilat.records.columns import KIND_BEARING, KIND_FIX, KIND_MEASUREMENT, Reports, empty_reports
from trilat.records.report import Pedigree
from trilat.records.sensor import Sensor
from trilat.track import Tracker, TrackerSettings
from trilat.warn.areas import shipped_layer
from trilat.warn.assess import Assessor, AssessorSettings
from trilat.warn.classes import launcher_odds
from trilat.warn.conclude import doubt_of
from trilat.warn.flight import GATE, Machinery
from trilat.warn.launch import launch_of, taken_back

SENSORS = tuple(sensor_of(site) for site in SITES)
PAD = 39.2, 125.7


@cache
def flight() -> Flight:
    """Return one generic medium flight."""
    return generic_flight(Wanted(39.2, 125.7, 80.0, 1_300e3, 400e3))


def run(steps: Iterable[tuple[int, list[Reports]]], sensors: tuple[Sensor, ...] = SENSORS) -> list[Assessment]:
    """Run tracker and assessor over steps of reports and return every assessment."""
    tracker = Tracker(TrackerSettings(), sensors, "T")
    assessor = Assessor(AssessorSettings("JPN", "JPN/national", EXERCISE, sensors, shipped_layer()))
    return [one for now_ns, batches in steps for one in assessor.step(now_ns, tracker.step(now_ns, batches), batches)]


@cache
def assessed() -> tuple[Assessment, ...]:
    """Return the assessments of that flight up to a minute after burn-out."""
    one = flight()
    seen = Observation(SENSORS, one.at, one.burnout_s + 62.0, np.random.default_rng(3))
    return tuple(run(seen.steps()))


def test_a_launch_is_detected_and_fans() -> None:
    """While it burns it is detected, unclassified, with a fan and no ellipse."""
    burning = [one for one in assessed() if one.phase == "boost"]
    assert {"detected"} == {one.state for one in burning[5:]}
    assert {"launch, unclassified"} == {one.classes[0].name for one in burning}
    assert all(one.fan is not None and one.landing is None and not one.areas for one in burning)


def test_burn_out_brings_ellipse_and_areas() -> None:
    """After burn-out there is an ellipse that holds the true landing, areas, and the class by both ranges."""
    last = assessed()[-1]
    assert (last.state, last.phase, last.classes[0].name, last.classes_flown[0].name) == ("assessed", "coast", "MRBM", "MRBM")
    assert last.landing is not None
    assert last.areas
    place = geodesy.geodetic_to_ecef(last.landing.lat_deg, last.landing.lon_deg, 0.0)
    assert np.linalg.norm(place - flight().landing_m) < 2.0 * last.landing.ellipse95.semi_major_m
    assert last.landing.t_from_ns < EPOCH_NS + flight().landing_s * 1e9 < last.landing.t_to_ns
    encode(last)


def test_the_launch_point_is_found() -> None:
    """Launch point and time come from the first plots, backwards, within what is claimed of them."""
    launch = assessed()[-1].launch
    assert launch is not None
    place = geodesy.geodetic_to_ecef(launch.lat_deg, launch.lon_deg, 0.0)
    assert np.linalg.norm(place - flight().states[0, :3]) < launch.ellipse95.semi_major_m
    assert abs(launch.t_ns - EPOCH_NS) / 1e9 < 3.0 * launch.sigma_s


def test_burn_out_is_called_once_and_after_it_happened() -> None:
    """A pause between stages is no burn-out: the call comes once, within 8 s after the last stage ends, its time within two."""
    called = {one.burnout_called_t_ns for one in assessed() if one.burnout_called_t_ns}
    assert len(called) == 1
    assert 0.0 < (called.pop() - EPOCH_NS) / 1e9 - flight().burnout_s < 8.0
    last = assessed()[-1].burnout_t_ns
    assert last is not None
    assert abs((last - EPOCH_NS) / 1e9 - flight().burnout_s) < 2.0


def test_a_burn_out_that_was_a_long_pause_is_taken_back() -> None:
    """A stage lit twelve seconds after the last one went out: the ellipse and its areas go, the fan is back, and it is said why."""
    one = generic_flight(Wanted(39.2, 125.7, 80.0, 2_500e3, 800e3), gap_s=12.0)
    out_s, lit_s = float(one.stages[0, 1]), float(one.stages[1, 0])
    told = run(Observation(SENSORS, one.at, lit_s + 15.0, np.random.default_rng(3)).steps())
    called = [a for a in told if a.burnout_called_t_ns is not None]
    assert called
    assert all(a.landing is not None and a.areas and a.fan is None for a in called)
    assert out_s < (called[0].t_ns - EPOCH_NS) / 1e9 < lit_s + 3.0
    last = told[-1]
    assert last.t_ns > called[-1].t_ns
    assert ("detected", "boost", None, ()) == (last.state, last.phase, last.landing, last.areas)
    assert last.fan is not None
    assert "burnt-again" in last.reasons
    assert "burnt-again" not in called[0].reasons


def test_a_launch_flash_makes_detection_sooner() -> None:
    """With the flash seen by a satellite, standing or moving, a launch is detected within 3 s of its first plot, and says why."""
    stands = Sensor(
        id="IR", nation="USA", kind="bearing", label=EXERCISE, lat_deg=0.0, lon_deg=120.0, alt_m=35_786e3, period_s=5.0,
        sigma_azimuth_rad=2e-5, sigma_elevation_rad=2e-5,
    )  # fmt: skip
    sensors = (*SENSORS, stands)
    for place_at in (None, lambda t_s: geodesy.geodetic_to_ecef(30.0 + 0.05 * t_s, np.full_like(t_s, 150.0), 1.5e6)):
        rng = np.random.default_rng(12)
        seen = Observation(SENSORS, flight().at, 120.0, rng)
        flash = flashes(stands, flight(), rng, place_at)
        flash["sensor"] = 3
        assert len(flash) > 5
        seen.columns = np.sort(np.concatenate([seen.columns, flash]), order="t_ns")
        first_ns = int(seen.columns["t_ns"][seen.columns["sensor"] < 3][0])
        seen.sensors = sensors
        told = run(seen.steps(), sensors)
        detected = next(one for one in told if one.state == "detected")
        assert (detected.t_ns - first_ns) / 1e9 <= 3.0
        assert "cue-infrared" in detected.reasons


def test_a_flash_elsewhere_cues_nothing() -> None:
    """A line of sight that passes a thousand kilometres off is no cue."""
    stands = Sensor(
        id="IR", nation="USA", kind="bearing", label=EXERCISE, lat_deg=0.0, lon_deg=120.0, alt_m=35_786e3, period_s=5.0,
        sigma_azimuth_rad=2e-5, sigma_elevation_rad=2e-5,
    )  # fmt: skip
    rng = np.random.default_rng(12)
    seen = Observation(SENSORS, flight().at, 110.0, rng)
    flash = flashes(stands, flight(), rng)
    flash["sensor"] = 3
    flash["azimuth_rad"] += 0.2
    seen.columns = np.sort(np.concatenate([seen.columns, flash]), order="t_ns")
    seen.sensors = (*SENSORS, stands)
    told = run(seen.steps(), (*SENSORS, stands))
    assert told
    assert not any("cue-infrared" in one.reasons for one in told)


def test_partners_plots_in_earth_fixed_terms_count() -> None:
    """Plots that a partner released in Earth-fixed terms feed a flight as its radar's own would, and shrink its ellipse."""
    one = flight()
    widths = []
    for share in (False, True):
        seen = Observation(SENSORS if share else SENSORS[:1], one.at, one.burnout_s + 40.0, np.random.default_rng(3))
        theirs = np.flatnonzero(seen.columns["sensor"] > 0)
        for k in theirs:
            _earth_fixed(seen.columns[k : k + 1], SENSORS[seen.columns["sensor"][k]])
        last = run(seen.steps(), seen.sensors)[-1]
        assert last.landing is not None
        widths.append(last.landing.ellipse95.semi_major_m)
    assert widths[1] < 0.5 * widths[0]


def _earth_fixed(row: Any, sensor: Sensor) -> None:
    """Turn one radar plot, in place, into what its owner would release of it."""
    rng, azimuth, elevation = (float(row[name][0]) for name in ("range_m", "azimuth_rad", "elevation_rad"))
    flat = rng * np.cos(elevation)
    local = np.array([flat * np.sin(azimuth), flat * np.cos(azimuth), rng * np.sin(elevation)])
    site = geodesy.geodetic_to_ecef(sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
    way = geodesy.enu_basis(sensor.lat_deg, sensor.lon_deg).T @ local
    lat, lon, alt = geodesy.ecef_to_geodetic(site + way).tolist()
    east, north, up = (geodesy.enu_basis(lat, lon) @ (way / rng)).tolist()
    row["kind"], row["range_m"] = KIND_MEASUREMENT, np.nan
    row["lat_deg"], row["lon_deg"], row["alt_m"] = lat, lon, alt
    row["azimuth_rad"], row["elevation_rad"] = np.arctan2(east, north) % (2 * np.pi), np.arcsin(up)
    row["sigma_range_m"] = sensor.sigma_range_m
    row["sigma_horizontal_m"] = row["sigma_vertical_m"] = sensor.sigma_azimuth_rad * rng


def test_a_lost_track_says_so() -> None:
    """When plots stop, the state is track-lost, the confidence falls, and the landing area is not to be relied on."""
    one = flight()
    seen = Observation(SENSORS, one.at, one.burnout_s + 30.0, np.random.default_rng(3))
    told = run(seen.steps(until_s=one.burnout_s + 75.0))
    lost = [a for a in told if a.state == "track-lost"]
    assert len(lost) > 20
    assert lost[-1].confidence < 0.75 * lost[0].confidence
    assert lost[-1].landing is not None
    assert not lost[-1].landing.reliable


def test_a_ghost_of_one_sensor_stays_unconfirmed() -> None:
    """A plot train of one radar made to look like a launch, that others in sight of the place do not see, stays unconfirmed."""
    one = flight()
    ghost = Observation(SENSORS[2:], one.at, one.burnout_s + 20.0, np.random.default_rng(5))
    ghost.columns["sensor"] = 2
    ghost.sensors = SENSORS
    told = [a for a in run(ghost.steps()) if a.t_ns - EPOCH_NS > 120e9]
    assert told
    assert {"unconfirmed"} == {a.state for a in told}
    assert max(a.confidence for a in told) <= 0.35
    assert not any(a.areas for a in told)


def test_spoofed_fixes_never_become_a_launch() -> None:
    """ADS-B that claims to climb like a missile makes no assessment at all."""
    sensors = (*SENSORS, SENSORS[0].__class__(id="ADSB", nation="JPN", kind="fixes", label=EXERCISE, period_s=1.0))
    place = geodesy.ecef_to_geodetic(flight().at(np.arange(120.0))[:, :3])
    steps = []
    for k in range(1, 120):
        fix = empty_reports(1)
        fix["t_ns"], fix["sensor"], fix["kind"], fix["address"] = EPOCH_NS + k * 10**9, 3, KIND_FIX, 0xF00001
        fix["lat_deg"], fix["lon_deg"], fix["alt_m"], fix["sigma_horizontal_m"] = *place[k], 30.0
        batch = Reports(
            source="ADSB", label=EXERCISE, pedigree=Pedigree(nation="JPN", sensors=("ADSB",)), received_t_ns=0, columns=fix
        )
        steps.append((EPOCH_NS + k * 10**9, [batch]))
    assert [] == run(steps, sensors)


def test_a_track_with_a_wrong_velocity_at_a_flight_is_that_flight() -> None:
    """A track where a flight was just seen begins no second flight, however far off its velocity; one far away does not match."""
    one, tracker = flight(), Tracker(TrackerSettings(), SENSORS, "T")
    assessor = Assessor(AssessorSettings("JPN", "JPN/national", EXERCISE, SENSORS, None))
    seen = Observation(SENSORS, one.at, 90.0, np.random.default_rng(5))
    tracks = None
    for now_ns, batches in seen.steps():
        tracks = tracker.step(now_ns, batches)
        assessor.step(now_ns, tracks, batches)
    assert tracks is not None
    columns = tracks.columns.copy()
    columns["velocity_m_s"] += 350.0
    columns["covariance"] *= 9.0  # a tracker that is surprised says so
    now_ns = int(columns["t_ns"][0])
    said = assessor.step(now_ns + 1_000_000_000, msgspec.structs.replace(tracks, columns=columns), [])
    assert {1} == {one.flight for one in said}


def test_a_launcher_is_told_by_how_slowly_it_gains_speed() -> None:
    """The odds of a launcher fall with the mean acceleration, are open where the launch's time is, and nil for a short burn."""
    slow, between, quick = (launcher_odds(mean * 150.0, 150.0, 8.0) for mean in (14.0, 19.0, 24.0))
    assert slow > 0.95
    assert 0.1 < between < 0.9
    assert quick < 0.05
    assert launcher_odds(24.0 * 150.0, 150.0, 30.0) > quick
    assert launcher_odds(14.0 * 70.0, 70.0, 8.0) < 0.05


def let_go_in_the_air(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return states (n, 6) of what climbs from 12 km at 100 m/s as an aircraft does, and after 45 s burns upwards at 30 m/s²."""

    def places(t: NDArray[np.float64]) -> NDArray[np.float64]:
        up_m = 12_000.0 + 100.0 * t + 15.0 * np.maximum(t - 45.0, 0.0) ** 2
        return geodesy.geodetic_to_ecef(np.full(len(t), 38.0), 129.5 + 2e-3 * t, up_m)

    return np.hstack([places(t_s), (places(t_s + 0.01) - places(t_s)) / 0.01])


def test_what_was_high_already_when_first_seen_has_no_launch_point() -> None:
    """What climbed from 12 km when first seen, and burnt long after, came from no ground that is known: no launch is told of it."""
    said = run(Observation(SENSORS, let_go_in_the_air, 75.0, np.random.default_rng(4)).steps())
    assert said
    assert {None} == {one.launch for one in said}


def slow_launcher(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return states (n, 6) of a launcher that gains 3 m/s² when it lifts off and pitches over eastwards, as launchers do."""
    grid = np.arange(0.0, 400.0, 0.25)
    speed = np.cumsum(3.0 + 0.02 * grid) * 0.25
    pitch = np.radians(np.clip(90.0 - (grid - 20.0) * 0.35, 25.0, 90.0))
    rates = speed * np.cos(pitch), speed * np.sin(pitch)
    here = [np.interp(np.maximum(t_s, 0.0), grid, np.cumsum(rate) * 0.25) for rate in rates]
    soon = [np.interp(np.maximum(t_s, 0.0) + 0.01, grid, np.cumsum(rate) * 0.25) for rate in rates]
    lat = np.full(len(t_s), PAD[0])
    places = [
        geodesy.geodetic_to_ecef(lat, PAD[1] + np.degrees(east / (6_378_137.0 * np.cos(np.radians(PAD[0])))), up)
        for east, up in (here, soon)
    ]
    return np.hstack([places[0], (places[1] - places[0]) / 0.01])


def test_a_launcher_that_is_a_track_for_long_before_it_is_a_flight_has_a_launch_point() -> None:
    """First seen a minute and a half after it lifted off, and slow: its pad and its time are found within what is said of them."""
    seen = Observation(SENSORS, slow_launcher, 150.0, np.random.default_rng(4))
    said = run(seen.steps())
    first_s = (said[0].first_t_ns - EPOCH_NS) / 1e9
    assert first_s > 60.0
    launches = [one.launch for one in said if one.t_ns - said[0].t_ns > 20 * 10**9]
    assert launches
    for launch in launches:
        assert launch is not None
        apart = geodesy.geodetic_to_ecef(*PAD, 0.0) - geodesy.geodetic_to_ecef(launch.lat_deg, launch.lon_deg, 0.0)
        assert float(np.linalg.norm(apart)) < launch.ellipse95.semi_major_m
        assert abs(launch.t_ns - EPOCH_NS) / 1e9 < 3.0 * launch.sigma_s
        assert launch.sigma_s < 30.0


def restarted(stop_s: float, again_s: float, end_s: float) -> tuple[list[Assessment], list[Assessment]]:
    """Return what was said of the flight before a stop, and after a start (s after burn-out) that knows what was said."""
    one, runs = flight(), []
    seen = Observation(SENSORS, one.at, one.burnout_s + end_s, np.random.default_rng(11))
    for k, (begin_s, until_s) in enumerate(((-1e3, stop_s), (again_s, end_s))):
        tracker = Tracker(TrackerSettings(), SENSORS, "T")
        assessor = Assessor(AssessorSettings("JPN", f"JPN/national/{k}", EXERCISE, SENSORS, shipped_layer()))
        for told in runs[0][::4] if k else []:  # the desk takes one in four seconds
            assessor.resume(told)
        said: list[Assessment] = []
        for now_ns, batches in seen.steps():
            if begin_s < (now_ns - EPOCH_NS) / 1e9 - one.burnout_s <= until_s:
                said += assessor.step(now_ns, tracker.step(now_ns, batches), batches)
        runs.append(said)
    return runs[0], runs[1]


@pytest.mark.parametrize(("stop_s", "again_s"), [(25.0, 40.0), (-20.0, -10.0)])
def test_a_restart_goes_on_with_the_same_flight(stop_s: float, again_s: float) -> None:
    """A node that starts again in mid-flight, coasting or burning, goes on under the flight's name with its launch and class."""
    before, after = restarted(stop_s, again_s, again_s + 50.0)
    assert {(before[-1].stream, before[-1].flight)} == {(one.stream, one.flight) for one in after}
    assert all(one.sequence > before[-1].sequence for one in after[4:])
    assert before[-1].launch is not None
    assert after[0].first_t_ns == before[-1].first_t_ns
    assert after[0].detected_t_ns == before[-1].detected_t_ns
    last = after[-1]
    assert last.launch is not None
    assert abs(last.launch.t_ns - before[-1].launch.t_ns) < 1_000_000
    assert ("MRBM", "assessed") == (last.classes[0].name, last.state)
    assert last.areas
    if stop_s > 0.0:
        assert all(one.areas for one in after)


def test_another_launch_after_a_restart_is_another_flight() -> None:
    """A flight that is not where the one before the restart must be by now gets a name of its own."""
    before, _ = restarted(25.0, 40.0, 41.0)
    other = generic_flight(Wanted(39.2, 125.7, 80.0, 600e3, 200e3))
    tracker = Tracker(TrackerSettings(), SENSORS, "T")
    assessor = Assessor(AssessorSettings("JPN", "JPN/national/1", EXERCISE, SENSORS, None))
    assessor.resume(before[-1])
    said: list[Assessment] = []
    for now_ns, batches in Observation(SENSORS, other.at, 80.0, np.random.default_rng(12)).steps():
        late_ns = 200_000_000_000  # it flies later than the first one
        moved = [shifted(one, late_ns) for one in batches]
        said += assessor.step(now_ns + late_ns, tracker.step(now_ns + late_ns, moved), moved)
    assert {"JPN/national/1"} == {one.stream for one in said}


def shifted(batch: Reports, by_ns: int) -> Reports:
    """Return a batch some time later."""
    columns = batch.columns.copy()
    columns["t_ns"] += by_ns
    return msgspec.structs.replace(batch, columns=columns, received_t_ns=batch.received_t_ns + by_ns)


@pytest.mark.parametrize("where", [0, 4])
def test_what_is_no_number_is_no_launch(where: int) -> None:
    """A state or covariance that is not finite leads back to no launch; it ended the node."""
    mean = np.array([6_378_137.0 + 50_000.0, 0.0, 0.0, 1_500.0, 100.0, 0.0])
    assert launch_of(0, mean, np.eye(6)) is not None

    broken, spread = mean.copy(), np.eye(6)
    broken[where] = np.nan
    spread[where, where] = np.inf

    assert launch_of(0, broken, np.eye(6)) is None
    assert launch_of(0, mean, spread) is None


def test_a_place_whose_covariance_rounded_below_zero_has_no_doubt_and_no_error() -> None:
    """What lies at the edge of what a feed may say is held against flights like anything else."""
    assert doubt_of(np.diag([-1e-3, 0.0, 0.0, 1.0, 1.0, 1.0])) == 0.0
    assert doubt_of(np.diag([1.0, 4.0, 4.0, 1.0, 1.0, 1.0])) == 12.0


def test_a_vague_bearing_of_half_a_minute_ago_takes_no_flight_out_of_this_world() -> None:
    """Followed back through thick air for thirty seconds a state is anywhere, so that any bearing fits it: it is left where it was."""
    machinery = Machinery(SENSORS, 1)
    place = np.array([-3_074_779.0, 4_078_969.0, 3_824_421.0])  # 1,500 m up
    mean = np.concatenate([place, [-477.0, 20.0, 812.0]])
    lat, lon, height = geodesy.ecef_to_geodetic(place - 1.2 * mean[3:]).tolist()
    columns = empty_reports(2)
    columns["t_ns"], columns["kind"] = (EPOCH_NS - 31 * 10**9, EPOCH_NS - 1_200_000_000), (KIND_BEARING, KIND_MEASUREMENT)
    columns["sensor"], columns["azimuth_rad"], columns["elevation_rad"] = 0, (0.02, 0.0), (1.42, 0.0)
    columns["lat_deg"][1], columns["lon_deg"][1], columns["alt_m"][1] = lat, lon, height
    for name in ("sigma_range_m", "sigma_horizontal_m", "sigma_vertical_m"):
        columns[name][1] = 300.0
    machinery.begin(0, machinery.back, 0, EPOCH_NS, mean, np.diag([150.0**2] * 3 + [120.0**2] * 3) * 9.0)
    bearing, plot = machinery.plots(columns)
    taken = taken_back(machinery, 0, [bearing, plot], GATE)
    assert [plot.t_ns] == [one.t_ns for one in taken]
    assert machinery.rows["t_ns"][0] == plot.t_ns
    assert machinery.rows["spread"][0, 0] < 10e3
    assert np.linalg.norm(machinery.rows["mean"][0, 3:]) < 2_000.0
