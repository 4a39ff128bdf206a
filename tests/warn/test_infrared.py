"""What infrared observers see of a flight: a source that moves with a track is a launch, a plume that goes out is a burn-out."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from trilat.flights.flight import Flight, Wanted, generic_flight
from trilat.flights.observe import EPOCH_NS, EXERCISE, SITES, Observation, flashes, sensor_of
from trilat.kernels import geodesy
from trilat.records.assessment import Assessment
from trilat.records.columns import KIND_BEARING, empty_reports
from trilat.records.sensor import Sensor
from trilat.track import Tracker, TrackerSettings
from trilat.warn.assess import Assessor, AssessorSettings
from trilat.warn.flight import FlightFilter, Machinery
from trilat.warn.launch import BLIND, HOT, LOOKS_MIN, LOST, Look, Looks, Pauses, cue_of, moves

NS = 1_000_000_000
RADARS = tuple(sensor_of(site) for site in SITES)
STANDS = Sensor(
    id="IR", nation="USA", kind="bearing", label=EXERCISE, lat_deg=0.0, lon_deg=120.0, alt_m=35_786e3, period_s=2.0,
    detection_probability=0.95, sigma_azimuth_rad=2e-5, sigma_elevation_rad=2e-5,
)  # fmt: skip
SENSORS = (*RADARS, STANDS)


@cache
def flight(gap_s: float = 2.4) -> Flight:
    """Return a generic flight of two stages."""
    return generic_flight(Wanted(39.2, 125.7, 80.0, 900e3, 350e3), gap_s=gap_s)


def told_of(states: Any, end_s: float, sights: NDArray[Any], seed: int, late_s: float = 0.0) -> list[Assessment]:
    """Return what is said of something that three radars see, and of lines of sight that come so many seconds late."""
    seen = Observation(RADARS, states, end_s, np.random.default_rng(seed))
    seen.sensors = SENSORS
    sights["sensor"] = len(RADARS)
    tracker = Tracker(TrackerSettings(), SENSORS, "T")
    assessor = Assessor(AssessorSettings("JPN", "JPN/national", EXERCISE, SENSORS, None))
    out: list[Assessment] = []
    for now_ns, batches in seen.steps():
        due = sights[(sights["t_ns"] <= now_ns - late_s * NS) & (sights["t_ns"] > now_ns - late_s * NS - NS // 2)]
        every = [*batches, seen._batch(due, len(RADARS), now_ns)] if len(due) else batches
        out += assessor.step(now_ns, tracker.step(now_ns, every), every)
    return out


def calls(told: list[Assessment], one: Flight) -> list[float]:
    """Return when burn-out was called, seconds after the burn-out."""
    return sorted({(a.burnout_called_t_ns - EPOCH_NS) / NS - one.burnout_s for a in told if a.burnout_called_t_ns})


def test_a_plume_that_goes_out_calls_burn_out_sooner_and_never_in_a_pause() -> None:
    """With infrared burn-out is called once, never later than by radars alone, and a second sooner in the mean."""
    one, sooner = flight(), list[float]()
    for seed in (21, 22, 23, 24):
        plume = flashes(STANDS, one, np.random.default_rng(seed))
        alone = calls(told_of(one.at, one.burnout_s + 14.0, empty_reports(0), seed), one)
        seen = calls(told_of(one.at, one.burnout_s + 14.0, plume, seed), one)
        assert len(seen) == 1
        assert 2.5 < seen[0] < 6.0
        sooner.append(alone[-1] - seen[0])
    assert min(sooner) >= 0.0
    assert float(np.mean(sooner)) > 1.0


def test_reports_that_come_late_call_nothing_too_soon() -> None:
    """What infrared reports two and a half seconds late is no plume that went out: burn-out is called once, after it came."""
    one = flight()
    for seed in (21, 23):
        plume = flashes(STANDS, one, np.random.default_rng(seed))
        (seen,) = calls(told_of(one.at, one.burnout_s + 14.0, plume, seed, 2.5), one)
        assert 2.5 < seen < 12.0


def test_an_observer_that_falls_silent_while_it_burns_calls_nothing() -> None:
    """Reports that end in the middle of a burn are no burn-out: radars see it push, and they are believed."""
    one = flight()
    for seed in (31, 32):
        plume = flashes(STANDS, one, np.random.default_rng(seed))
        early = plume[plume["t_ns"] < EPOCH_NS + round(0.75 * one.burnout_s * NS)]
        assert all(after > 0.0 for after in calls(told_of(one.at, one.burnout_s + 14.0, early, seed), one))


def test_a_body_that_is_still_seen_after_burn_out_is_called_all_the_same() -> None:
    """An observer that sees the hot body on does not keep burn-out from being called by what radars see."""
    one, first = flight(), list[float]()
    longer = one._replace(stages=one.stages + np.array([0.0, 60.0, 0.0, 0.0]), burnout_s=one.burnout_s + 60.0)
    for seed in (41, 42, 43):
        found = calls(told_of(one.at, one.burnout_s + 25.0, flashes(STANDS, longer, np.random.default_rng(seed)), seed), one)
        assert found
        assert 0.0 < found[-1] < 16.0  # 18.5 in one of them, were every look believed
        first.append(found[0])
    # Its pause glows, too: by radars that see no plume's end one in some such worlds is called, and taken back.
    assert sum(one > 0.0 for one in first) >= 2


def zoom(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return states (n, 6) of an aircraft that climbs at 240 m/s from 11 km where the line to a fire passes it."""

    def place(t: NDArray[np.float64]) -> NDArray[np.float64]:
        return geodesy.geodetic_to_ecef(np.full(len(t), 37.885), 129.6 + (t - 10.0) * 3e-3, 11_000.0 + 240.0 * t)

    return np.hstack([place(t_s), (place(t_s + 0.01) - place(t_s)) / 0.01])


def fire(rng: np.random.Generator, every_s: float, from_s: float) -> NDArray[Any]:
    """Return lines of sight to a fire that burns for long."""
    times = np.arange(from_s, 20.0, every_s)
    where = geodesy.ecef_to_rae(geodesy.geodetic_to_ecef(38.0, 129.6, 500.0), STANDS.lat_deg, STANDS.lon_deg, STANDS.alt_m)
    rows = empty_reports(len(times))
    rows["t_ns"], rows["kind"] = EPOCH_NS + np.round(times * NS).astype(np.int64), KIND_BEARING
    rows["azimuth_rad"], rows["elevation_rad"] = where[1:, None] + 2e-5 * rng.standard_normal((2, len(times)))
    return rows


@pytest.mark.parametrize("every_s", [2.0, 5.0])
def test_an_aircraft_that_climbs_over_a_fire_is_no_launch(every_s: float) -> None:
    """A fire does not rise: a fast aircraft that radars first see as it climbs in the line to it is never taken for a launch."""
    told = told_of(zoom, 14.0, fire(np.random.default_rng(5), every_s, -15.0), 51)
    assert [] == [one for one in told if one.state in ("detected", "assessed")]


def test_what_stands_does_not_move_and_a_launch_does() -> None:
    """Two of a hundred fires seem to move over ten seconds; a climb seen three times in ten seconds does."""
    machinery, rng = Machinery(SENSORS, 1), np.random.default_rng(6)
    place = geodesy.geodetic_to_ecef(38.0, 129.6, 12_000.0)

    def moved(sights: NDArray[Any]) -> bool:
        sights["sensor"] = len(RADARS)
        return moves([cue_of(STANDS, one) for one in machinery.plots(sights)], place)

    assert 0 < sum(moved(fire(rng, 5.0, 9.0)) for _ in range(400)) < 20
    plume = flashes(STANDS, flight(), rng)
    assert moved(plume[:6])


def test_a_next_stage_must_push() -> None:
    """Of a next stage it is asked, as of the first, that it pushes: one that hardly does is no rival of a free fall."""
    machinery = Machinery(RADARS, 1)
    climb = np.concatenate(
        [geodesy.geodetic_to_ecef(38.0, 129.0, 60e3), geodesy.enu_basis(38.0, 129.0).T @ [1_500.0, 0.0, 900.0]]
    )
    machinery.begin(0, machinery.model, 1, EPOCH_NS, climb, np.diag([1e4] * 3 + [1e2] * 3))
    machinery.light(0, 1)
    machinery.light(0, 2)
    assert machinery.pushes_log(1)[:2] == pytest.approx(0.0, abs=1e-3)  # just lit, nothing is known yet
    row, along = machinery.rows[2], climb[3:] / np.linalg.norm(climb[3:])
    row["x"][0, 6:9], row["P"][0] = 2.0 * along, row["P"][0] / 25.0
    just_lit, hardly = machinery.pushes_log(1)[:2].tolist()
    assert hardly < just_lit - 3.0
    row["x"][0, 6:9] = 20.0 * along
    assert 0.0 < machinery.pushes_log(1)[1] < 0.1


def missed(one: Looks, till_s: float, since_s: float = 1e9) -> list[Look]:
    """Return every look without a plume till a time, at arcs that are out since a time."""
    since = np.array([round(since_s * NS)])
    found: list[Look] = []
    while (look := one.missed(round(till_s * NS), since, 0.0, not found)) is not None:
        found.append(look)
    return found


def looks(seen_s: list[float]) -> Looks:
    """Return an observer's looks that saw a plume at these times."""
    one = Looks(STANDS, 1)
    for t_s in seen_s:
        one.seen(round(t_s * NS), np.array([10**18]))
        missed(one, t_s)
    return one


def test_silence_says_no_more_than_that_an_observer_may_have_gone_blind() -> None:
    """A first look without a plume may be in a pause; each after the second says less; all together never more than LOST."""
    found = missed(looks([0.0, 2.0, 4.0, 6.0]), 60.0, since_s=5.0)
    burning = [one.burning for one in found]
    assert [8.0, 10.0, 12.0] == [one.t_ns / NS for one in found[:3]]
    assert burning[0] > burning[1]
    assert burning[1:6] == sorted(burning[1:6])
    assert np.log(LOST) - 1e-9 < sum(burning) < np.log(LOST) + 0.1
    assert all(abs(float(one.arcs[0])) < 0.1 for one in found)  # what was out before is not seen, as was to be expected


def test_many_observers_that_see_nothing_say_no_more_than_one_cloud() -> None:
    """Three observers silent for a minute in the middle of a burn weigh BLIND in all: one line may be cut, one cloud be over all."""
    one, sensors = flight(), (*RADARS, *(replace(STANDS, id=f"IR{k}") for k in range(3)))
    seen = Observation(RADARS, one.at, 95.0, np.random.default_rng(9))
    parts = [seen.columns]
    for k in range(3):
        sights = flashes(STANDS, one, np.random.default_rng(60 + k))
        sights["sensor"] = len(RADARS) + k
        parts.append(sights)
    columns = np.sort(np.concatenate(parts), order="t_ns")
    machinery = Machinery(sensors, 1)
    plots = [plot for plot in machinery.plots(columns) if plot.t_ns < EPOCH_NS + 95 * NS]
    begin = one.at(np.array([(plots[0].t_ns - EPOCH_NS) / NS]))[0]
    of = FlightFilter(machinery, 0, plots[0].t_ns, begin, np.diag([1e6] * 3 + [1e4] * 3))
    taken = [plot.sensor for plot in plots if of.take(plot)]
    assert all(taken.count(len(RADARS) + k) >= LOOKS_MIN for k in range(3))
    before = of._burn_log
    for second in range(96, 155):
        of.look(EPOCH_NS + second * NS)
    said = of._burn_log - before
    assert np.log(BLIND) - 0.01 < said < np.log(BLIND) + 1.0


def test_who_has_not_looked_often_enough_says_nothing_by_silence() -> None:
    """The time between looks is known from the third on."""
    assert [] == missed(looks([0.0, 2.0]), 60.0)


def test_a_report_that_comes_late_takes_back_what_its_absence_said() -> None:
    """A look counted as one without a plume, whose report comes after all, weighs as if it had come in time."""
    none, in_time, late = np.array([10**18]), looks([0.0, 2.0, 4.0, 6.0]), looks([0.0, 2.0, 4.0, 6.0])
    said = sum(one.burning for one in missed(late, 9.0))
    assert said < -0.8
    said += late.seen(8 * NS, none).burning
    assert abs(said - in_time.seen(8 * NS, none).burning) < 1e-9
    assert [] == missed(late, 12.0)  # it knows now how late reports come


def test_a_hot_body_is_believed_after_a_while() -> None:
    """What an observer goes on seeing of a body that is out says at most HOT in all."""
    one, since = looks([0.0, 2.0, 4.0]), np.array([5 * NS])
    said = sum(float(one.seen(round(t_s * NS), since).arcs[0]) for t_s in (6.0, 8.0, 10.0, 12.0, 14.0))
    assert np.log(HOT) - 0.6 < said < np.log(HOT) + 0.6


def test_two_looks_in_one_pause_say_no_more_than_one() -> None:
    """Of a next stage that may be lit in a quarter of the time yet, two looks at once say what one says; later ones say more."""
    dark, lit_ns = (
        [Look(round(t_s * NS), 0.0, np.zeros(1), 0.07, 1.0) for t_s in (1.875, 1.875, 4.0)],
        np.array([round(1.25 * NS)]),
    )
    one = Pauses(1)
    first, again, later = (float(one.weigh(look, lit_ns)[0]) for look in dark)
    assert first == np.log(0.25 + 0.75 * 0.07)
    assert first + again > np.log(0.25)
    assert later < np.log(0.1)


def test_a_next_stage_is_lit_for_good_when_its_time_is_over() -> None:
    """However many looks miss it after that, nothing of "not lit yet" comes back."""
    one, lit_ns = Pauses(1), np.array([round(1.25 * NS)])
    said = [float(one.weigh(Look(round(t_s * NS), 0.0, np.zeros(1), 0.07, 1.0), lit_ns)[0]) for t_s in np.arange(0.1, 60.0, 0.77)]
    assert np.isfinite(said).all()
    assert np.allclose(said[10:], np.log(0.07))
