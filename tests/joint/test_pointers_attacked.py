"""What a partner may say to make much of its word - a label that joins with none, the old come again, the vast - makes little of it."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from pointer_world import a_warning, flight, korea, of

import warning_told as world
from trilat.flights.observe import EPOCH_NS, Observation
from trilat.issuing.books import Books
from trilat.joint.launches import JOINED_MAX, LaunchWatch, NationLaunches
from trilat.joint.pointers import Pointers
from trilat.kernels import geodesy
from trilat.node.audience import sensor_of as source_of
from trilat.picture.inputs import PartnerRecord, WarningRecord
from trilat.records.assessment import Assessment, Ellipse, LaunchEstimate, PathPoint
from trilat.records.label import Consent
from trilat.records.track import Track
from trilat.records.warning import Retraction, Warning
from trilat.track import TrackerSettings
from warning_told import JPN, ONLY, label

NS = 1_000_000_000


def telling(warning: Warning, **other: Any) -> WarningRecord:
    """Return a warning as heard, with other facts of its flight."""
    assert warning.flight is not None
    return of(warning, flight=msgspec.structs.replace(warning.flight, **other))


def a_track() -> Track:
    """Return a track of Korea's of something fast."""
    one = next(one.record for told in korea().tracks.values() for one in told)
    assert isinstance(one, Track)
    return msgspec.structs.replace(one, domain="missile")


def heard(now_ns: int, *warnings: WarningRecord, tracks: tuple[Track, ...] = ()) -> Pointers:
    """Return what is held of these, after a step."""
    pointers = Pointers(lambda _: "JPN")
    pointers.hear(now_ns, warnings, [PartnerRecord(origin="KOR", lane="state", record=one) for one in tracks])
    pointers.step(now_ns, {})
    return pointers


def place_of(seconds: float) -> Any:
    """Return where the flight is (ECEF)."""
    return flight().at(np.array([seconds]))[0, :3]


@pytest.mark.parametrize("other", [{"policy": "another"}, {"rel_to": ("USA",)}])
def test_a_label_that_does_not_join_hides_no_source(other: dict[str, Any]) -> None:
    """What rests on a partner's word under another policy, or not meant for here, names that partner: no public without consent."""
    strange = msgspec.structs.replace(label("KOR"), **other)
    told = {
        t_ns: [msgspec.structs.replace(one, record=msgspec.structs.replace(one.record, label=strange)) for one in records]
        for t_ns, records in korea().warnings.items()
    }
    made = world.japan(ONLY["warning"](korea())._replace(warnings=told), world.seen(JPN, flight(), 160.0, 9))[1]
    first = next(one for one in made if one.state == "detected")
    assert "cue-partner" in first.reasons
    assert {"JPN", "KOR"} == set(first.label.sources)
    assert () == first.label.rel_to == first.label.consents
    books = Books("JPN", world.MODE, "exercise", {}, lambda *_: True)
    assert not books.consented(first.t_ns, first.label, "PUBLIC")


def climber(t_s: Any) -> Any:
    """Return the states of what climbs slowly through 35 km: no plots of it would ever speak of a launch by themselves."""
    way = geodesy.enu_basis(37.6, 136.0).T @ np.array([350.0, 100.0, 150.0])
    t = np.atleast_1d(t_s)[:, None]
    return np.hstack([geodesy.geodetic_to_ecef(37.6, 136.0, 35_000.0) + way * t, np.broadcast_to(way, (len(t), 3))])


def over(now_ns: int, version: int) -> WarningRecord:
    """Return a warning of Korea's of a launch under the climber."""
    one = a_warning()
    assert one.flight is not None
    assert one.flight.launch is not None
    near = msgspec.structs.replace(one.flight.launch, lat_deg=37.6, lon_deg=136.0, t_ns=now_ns - 60 * NS)
    fields = {"t_ns": now_ns, "expires_ns": now_ns + 60 * NS, "version": version}
    return of(one, flight=msgspec.structs.replace(one.flight, launch=near, fan=None), **fields)


def test_what_spoke_by_a_partner_s_word_alone_is_silent_without_it() -> None:
    """After a retraction, what no plots would call a launch is unconfirmed: it is not said on without the word's label."""
    launches = NationLaunches("JPN", lambda what: f"JPN/{what}", (JPN,), None, TrackerSettings())
    said: list[Assessment] = []
    taken_ns = EPOCH_NS + 40 * NS
    for k, (now_ns, batches) in enumerate(Observation((JPN,), climber, 60.0, np.random.default_rng(2)).steps()):
        back = Retraction(
            warning_id="launch-1", warning_version=9_999, reason="issued-in-error", by="o", t_ns=now_ns, label=label("KOR")
        )
        told = over(now_ns, k + 1) if now_ns < taken_ns else WarningRecord(origin="KOR", record=back)
        launches.hear(now_ns, [told], [])
        said += launches.step(now_ns, batches, {}, source_of)[1]
    before = [one for one in said if one.t_ns < taken_ns]
    after = [one for one in said if one.t_ns > taken_ns + NS]
    assert {"detected", "assessed"} >= {one.state for one in before} > set()
    assert {("JPN", "KOR")} == {one.label.sources for one in before}
    assert after
    assert {"unconfirmed"} == {one.state for one in after}
    assert all(one.confidence <= 0.3 and "cue-partner" not in one.reasons for one in after)


def test_what_leans_on_a_partner_s_word_takes_its_next_word() -> None:
    """Where a partner's track ends and its next takes over, what rests on its word goes on resting on it."""
    launches = NationLaunches("JPN", lambda what: f"JPN/{what}", (JPN,), None, TrackerSettings())
    said: list[Assessment] = []
    for now_ns, batches in Observation((JPN,), climber, 70.0, np.random.default_rng(2)).steps():
        seconds = (now_ns - EPOCH_NS) / NS
        place = geodesy.ecef_to_geodetic(climber(seconds)[0, :3]).tolist()
        facts = {"t_ns": now_ns, "lat_deg": place[0], "lon_deg": place[1], "alt_m": place[2], "number": 1 + (seconds > 30.0)}
        track = msgspec.structs.replace(a_track(), **facts)
        launches.hear(now_ns, [], [PartnerRecord(origin="KOR", lane="state", record=track)])
        said += launches.step(now_ns, batches, {}, source_of)[1]
    assert said[-1].t_ns > EPOCH_NS + 60 * NS
    assert {"detected", "assessed"} >= {one.state for one in said} > set()
    assert {("JPN", "KOR")} == {one.label.sources for one in said}


def test_an_originator_s_own_sensors_count_among_what_it_rests_on() -> None:
    """A joined label names other nations alone: a partner's plot is not confirmed by a warning that the same nation made of it."""
    one = a_warning()
    pointers = heard(one.t_ns, of(one, label=label("KOR", ("USA",))))
    keys = pointers.at(one.t_ns, place_of((one.t_ns - EPOCH_NS) / NS), 0.0)
    assert len(keys) == 1
    assert pointers.backs(keys, {0})
    pointers._nation_of = lambda _: "KOR"
    assert not pointers.backs(keys, {0})


def test_a_version_that_went_before_points_nowhere_again() -> None:
    """What was taken back, or is older than what was heard, says nothing when it comes once more; a later version does."""
    one = a_warning()
    back = WarningRecord(
        origin="KOR",
        record=Retraction(
            warning_id=one.id, warning_version=5, reason="issued-in-error", by="o", t_ns=one.t_ns, label=label("KOR")
        ),
    )
    over = of(one, state="stood-down", version=5)
    for first in (back, over):
        assert [0, 0, 1] == [len(heard(one.t_ns, first, of(one, version=version))) for version in (4, 5, 7)]
    stranger = msgspec.structs.replace(back, origin="USA")
    assert 1 == len(heard(one.t_ns, of(one, version=4), stranger))


def test_a_track_that_ended_points_nowhere() -> None:
    """A partner's last word on a track takes away where it pointed."""
    track = a_track()
    gone = msgspec.structs.replace(track, status="deleted")
    assert [1, 0, 0] == [len(heard(track.t_ns, tracks=held)) for held in ((track,), (gone,), (track, gone))]


def test_however_little_is_known_one_record_does_not_point_everywhere() -> None:
    """Ellipses, times and sigmas of any size point no farther than a launch's reach and as wide as an area again."""
    one, vast = a_warning(), Ellipse(semi_major_m=1e8, semi_minor_m=1e8, bearing_deg=0.0)
    now_ns = one.t_ns
    launch = LaunchEstimate(lat_deg=39.2, lon_deg=125.7, t_ns=now_ns - 60 * NS, sigma_s=1e7, ellipse95=vast)
    path = tuple(PathPoint(t_ns=now_ns + k * NS, lat_deg=39.2, lon_deg=125.7, alt_m=50e3) for k in (0, 60))
    assert one.flight is not None
    track = msgspec.structs.replace(a_track(), t_ns=now_ns, covariance=(1e18,) * 21)
    far = geodesy.geodetic_to_ecef(30.0, 150.0, 40e3)
    for pointers in (
        heard(now_ns, telling(one, launch=launch, fan=None)),
        heard(now_ns, telling(one, path=path)),
        heard(now_ns, tracks=(track,)),
    ):
        assert 1 == len(pointers)
        assert not pointers.at(now_ns, far, 0.0)
    late = msgspec.structs.replace(launch, t_ns=now_ns - 3_600 * NS)
    assert not heard(now_ns, telling(one, launch=late, fan=None)).at(now_ns, place_of(60.0), 0.0)


def test_a_way_whose_times_do_not_rise_is_none() -> None:
    """A path with times out of order, or twice the same, points nowhere; one point alone points at its moment."""
    one = a_warning()
    place = geodesy.ecef_to_geodetic(place_of(60.0)).tolist()

    def path(*seconds: int) -> tuple[PathPoint, ...]:
        return tuple(PathPoint(t_ns=one.t_ns + s * NS, lat_deg=place[0], lon_deg=place[1], alt_m=place[2]) for s in seconds)

    for seconds, expected in (((0, 60, 30, 90), 0), ((0, 0), 0), ((0, 60), 1), ((0,), 1)):
        pointers = heard(one.t_ns, telling(one, launch=None, path=path(*seconds)))
        assert expected == len(pointers.at(one.t_ns, place_of(60.0), 0.0)), seconds


def test_labels_that_are_ever_new_fill_no_memory() -> None:
    """A partner that gives each record a label of its own makes the watch keep no more of them than it may."""
    watch = LaunchWatch("JPN", "JPN/combined", (JPN,), None, TrackerSettings(), 4)
    for k in range(2 * JOINED_MAX):
        consents = (Consent(source="KOR", recipient="PUBLIC"),)
        watch._label((JPN.label, msgspec.structs.replace(label("KOR"), expires_ns=EPOCH_NS + k, consents=consents)))
    assert len(watch._joined) <= JOINED_MAX
