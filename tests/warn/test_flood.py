"""False plots and sights by the hundred: what a step weighs is bounded, and what waits is looked at in its turn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from trilat.flights.flight import Wanted, generic_flight
from trilat.flights.observe import EPOCH_NS, EXERCISE, SITES, Observation, sensor_of
from trilat.kernels import geodesy
from trilat.records.columns import KIND_MEASUREMENT, Reports, Tracks, empty_reports, empty_tracks
from trilat.records.report import Pedigree
from trilat.records.sensor import Sensor
from trilat.track import Tracker, TrackerSettings
from trilat.warn import assess
from trilat.warn.assess import Assessor, AssessorSettings
from trilat.warn.launch import passes

NS = 1_000_000_000
RADAR = sensor_of(SITES[0])
EYE = Sensor(id="IR", nation="USA", kind="bearing", label=EXERCISE, period_s=2.0)
SENSORS = (RADAR, EYE)
STEPS, ROWS = 12, 60


def sights(now_ns: int, rng: np.random.Generator, wide_m: float) -> Reports:
    """Return twenty lines of sight that look down at a place each, some hundred kilometres about one another."""
    columns = empty_reports(20)
    columns["kind"], columns["sensor"], columns["t_ns"] = KIND_MEASUREMENT, 1, now_ns
    columns["lat_deg"], columns["lon_deg"] = rng.uniform(38.0, 40.0, 20), rng.uniform(125.0, 127.0, 20)
    columns["alt_m"], columns["elevation_rad"], columns["sigma_range_m"] = 30_000.0, rng.uniform(-1.5, -0.3, 20), 60_000.0
    columns["azimuth_rad"] = rng.uniform(0.0, 6.28, 20)
    columns["sigma_horizontal_m"] = columns["sigma_vertical_m"] = wide_m
    pedigree = Pedigree(nation="USA", sensors=("IR",))
    return Reports(source="ir", label=EXERCISE, pedigree=pedigree, received_t_ns=now_ns, columns=columns)


def tracks(now_ns: int, rng: np.random.Generator) -> Tracks:
    """Return fast false tracks of one radar: none surely a launch's, each worth a look."""
    columns = empty_tracks(ROWS)
    lat, lon = rng.uniform(38.0, 40.0, ROWS), rng.uniform(125.0, 127.0, ROWS)
    columns["number"], columns["t_ns"], columns["sensors"] = np.arange(1, ROWS + 1), now_ns, 1
    columns["position_m"] = geodesy.geodetic_to_ecef(lat, lon, np.full(ROWS, 20_000.0))
    columns["velocity_m_s"] = columns["position_m"] / 6.4e6 * -900.0  # they sink: nothing but infrared could say they rose
    columns["covariance"], columns["existence"] = np.eye(6) * 1e6, 0.5
    return Tracks(t_ns=now_ns, stream="T", columns=columns)


def flooded(wide_m: float, monkeypatch: pytest.MonkeyPatch, most: int) -> tuple[Assessor, list[int], list[list[int]]]:
    """Return the assessor of a flood, what it weighed in each step, and the tracks looked at in each."""
    monkeypatch.setattr(assess, "WEIGHED_MAX", most)
    rng, looked = np.random.default_rng(5), list[list[int]]()
    assessor = Assessor(AssessorSettings("JPN", "JPN/national", EXERCISE, SENSORS, None))
    look = assessor._look
    monkeypatch.setattr(assessor, "_look", lambda now_ns, row: (looked[-1].append(int(row["number"])), look(now_ns, row)))
    weighed, before = [], 0
    for k in range(1, STEPS + 1):
        now_ns = EPOCH_NS + k * NS
        looked.append([])
        assessor.step(now_ns, tracks(now_ns, np.random.default_rng(7)), [sights(now_ns, rng, wide_m)])
        weighed.append(assessor.weighed() - before)
        before = assessor.weighed()
    return assessor, weighed, looked


def test_a_flood_is_weighed_within_bounds_and_every_track_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wide sights and fast tracks come, a step weighs at most its bound and one track more; all are looked at."""
    assessor, weighed, looked = flooded(100_000.0, monkeypatch, 2_000)
    one = 20 * STEPS * 3  # every sight there is: as flash, as what rises, and fed

    assert max(weighed) <= 2_000 + one
    assert assessor.put_off > 0
    full = [step for step in looked if len(step) < ROWS]
    assert len(full) > 2
    assert full[1][0] == full[0][-1] % ROWS + 1
    assert {number for step in full for number in step} == set(range(1, ROWS + 1))


def test_what_stays_within_the_bound_is_looked_at_in_the_old_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a flood every track worth a look is looked at in each step, in its order, and nothing is put off."""
    assessor, _, looked = flooded(100.0, monkeypatch, assess.WEIGHED_MAX)

    assert assessor.put_off == 0
    assert [step for step in looked if step] == [list(range(1, ROWS + 1))] * STEPS


def test_lines_are_found_as_one_by_one() -> None:
    """Which lines of sight pass a place is what `passes` says of each, near the edge and with flat lines among them."""
    rng = np.random.default_rng(11)
    assessor = Assessor(AssessorSettings("JPN", "JPN/national", EXERCISE, (RADAR, replace(EYE, sigma_azimuth_rad=0.01)), None))
    for _ in range(10):
        assessor.step(EPOCH_NS + NS, tracks(EPOCH_NS, rng), [sights(EPOCH_NS + NS, rng, 3_000.0)])
    places = tracks(EPOCH_NS, rng).columns["position_m"]
    counted = 0
    for place in places:
        expected = [one for one in assessor._cues if passes(one, place)]
        found = assessor._cues.through(place, EPOCH_NS)
        assert [id(one) for one in found] == [id(one) for one in expected]
        counted += len(found)
    assert 100 < counted < 200 * ROWS


@pytest.mark.parametrize("t_ns", [0, EPOCH_NS - 10 * 365 * 86_400 * NS, EPOCH_NS + 300 * NS, 4_102_444_800 * NS])
def test_a_plot_of_another_time_is_left_aside(t_ns: int) -> None:
    """A partner's plot years off is counted and not kept: a filter that went there, step by step, held up the node for minutes."""
    assessor = Assessor(AssessorSettings("JPN", "JPN/national", EXERCISE, SENSORS, None))
    batch, now_ns = sights(EPOCH_NS, np.random.default_rng(1), 100.0), EPOCH_NS + NS
    batch.columns["t_ns"][:5] = t_ns
    batch.columns["sensor"] = 0

    assessor.step(now_ns, tracks(now_ns, np.random.default_rng(7)), [batch])

    assert (assessor.out_of_time, len(assessor._recent)) == (5, 15)


class Pointing:
    """Partners that say much of where launches are: here and there, or nowhere."""

    def __init__(self, count: int, *, here: bool) -> None:
        self._keys = frozenset({f"KOR:track:{k}" for k in range(count)})
        self._at = self._keys if here else frozenset[str]()
        self.asked = 0

    def __len__(self) -> int:
        return len(self._keys)

    def at(self, t_ns: int, place_m: Any, doubt_m: float) -> frozenset[str]:
        """Return those that point at a place, and count that it was asked."""
        del t_ns, place_m, doubt_m
        self.asked += len(self)
        return self._at

    def held(self, keys: frozenset[str]) -> frozenset[str]:
        """Return them all."""
        return keys

    def backs(self, keys: frozenset[str], sensors: set[int]) -> bool:
        """Tell that none is a second witness."""
        del keys, sensors
        return False


def test_what_many_partners_say_is_weighed_within_the_bound() -> None:
    """Hundreds of pointers against many tracks that climb are tried no more than the bound and one track allow, and in turn."""
    pointing = Pointing(384, here=False)
    assessor = Assessor(AssessorSettings("JPN", "JPN/national", EXERCISE, SENSORS, None), pointing)
    rows = tracks(EPOCH_NS, np.random.default_rng(7))
    rows.columns["position_m"] *= 1.004  # above 30 km
    rows.columns["velocity_m_s"] *= -0.35  # they climb, slower than is surely a launch's
    rows.columns["covariance"] *= 1e-4
    asked = []
    for k in range(1, STEPS + 1):
        before = pointing.asked
        assessor.step(EPOCH_NS + k * NS, replace(rows, t_ns=EPOCH_NS + k * NS), [])
        asked.append(pointing.asked - before)
    assert assess.WEIGHED_MAX <= max(asked) <= assess.WEIGHED_MAX + len(pointing)
    assert assessor.put_off > 0


def test_what_begins_by_its_own_plots_leans_on_nobody() -> None:
    """A flight whose plots speak for themselves when it begins rests on no partner's word, however many point there."""
    pointing, began = Pointing(3, here=True), []
    assessor = Assessor(AssessorSettings("JPN", "JPN/national", EXERCISE, (RADAR,), None), pointing)
    tracker, point = Tracker(TrackerSettings(), (RADAR,), "t"), assessor._point
    assessor._point = lambda flight: (began.append((flight.pointed, flight.leans)), point(flight))  # type: ignore[method-assign]
    flight = generic_flight(Wanted(39.2, 125.7, 80.0, 1_300e3, 400e3))
    seen = Observation((RADAR,), flight.at, 160.0, np.random.default_rng(9))
    enough_ns = int(seen.columns["t_ns"][0]) + 12 * NS
    for now_ns, batches in seen.steps():
        found = tracker.step(now_ns, batches)
        if now_ns < enough_ns:
            found = replace(found, columns=found.columns[:0])
        assessor.step(now_ns, found, batches)
    assert began
    assert (frozenset(), False) == began[0]
