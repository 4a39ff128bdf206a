"""What partners say of launches lets fewer plots speak of one, and is no plot: it carries its label, and never confirms itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from pointer_world import a_warning, flight, korea, of

import warning_told as world
from trilat.flights.observe import EPOCH_NS, Observation
from trilat.joint.launches import LaunchWatch, NationLaunches
from trilat.joint.pointers import KEPT_MAX, Pointers
from trilat.kernels import geodesy
from trilat.node.audience import sensor_of as source_of
from trilat.picture.inputs import PartnerRecord, WarningRecord
from trilat.records.assessment import Assessment
from trilat.records.codec import encode
from trilat.records.sensor import Sensor
from trilat.records.track import Track, Tracklet
from trilat.records.warning import Retraction
from trilat.track import TrackerSettings
from warning_told import JPN, NOTHING, ONLY, Heard, label

NS = 1_000_000_000


def japan(heard: Heard, end_s: float = 160.0, sensors: Sequence[Sensor] = (JPN,)) -> tuple[list[Assessment], list[Assessment]]:
    """Return what Japan's watches say that hear this: the one of own sensors, the one of all."""
    return world.japan(heard, world.seen(JPN, flight(), end_s, 9), sensors)


def detected_ns(told: Sequence[Assessment]) -> int:
    """Return when a flight was first called detected."""
    at_ns = world.detected_ns(told)
    assert at_ns is not None
    return at_ns


@pytest.mark.parametrize("kind", ["warning", "track", "tracklet"])
def test_what_a_partner_says_makes_detection_sooner(kind: str) -> None:
    """A warning, a track or tracklets of a partner's let a radar's first plots speak of a launch, and it is said why."""
    first_ns = int(world.seen(JPN, flight(), 160.0, 9).columns["t_ns"][0])
    _, without = japan(NOTHING)
    _, with_it = japan(ONLY[kind](korea()))
    assert detected_ns(with_it) <= first_ns + 3 * NS
    assert detected_ns(with_it) < detected_ns(without)
    first = next(one for one in with_it if one.state == "detected")
    assert "cue-partner" in first.reasons
    assert {"JPN", "KOR"} == set(first.label.sources)
    assert ("JPN-R1",) == first.pedigree.sensors
    encode(first)


def test_what_partners_say_changes_nothing_of_the_own_watch() -> None:
    """What the own sensors alone say, which other audiences may get, is the same to the byte whatever partners say."""
    assert [encode(one) for one in japan(NOTHING)[0]] == [encode(one) for one in japan(korea())[0]]
    assert LaunchWatch("JPN", "JPN/launches-KOR", (JPN,), None, TrackerSettings()).pointers is None


def test_what_rests_on_plots_alone_again_carries_no_partner_s_label() -> None:
    """Once the plots would have spoken by themselves nothing rests on the partner's word: neither label nor reason stays."""
    _, told = japan(korea())
    assert ("JPN",) == told[-1].label.sources
    assert "cue-partner" not in told[-1].reasons
    assert len({(one.stream, one.flight) for one in told}) == 1


def ghost(told: Heard) -> list[Assessment]:
    """Return what is said of a flight that one of two own radars that look there reports."""
    other = msgspec.structs.replace(JPN, id="JPN-R2")
    return japan(told, 150.0, sensors=(JPN, other))[1]


def test_a_partner_s_own_sensors_are_a_second_witness() -> None:
    """What one radar reports where another should see it is unconfirmed; with a partner's warning of its own sensors it is not."""
    without, with_it = ghost(NOTHING), ghost(ONLY["warning"](korea()))
    assert "unconfirmed" == without[-1].state
    assert "unconfirmed" not in {one.state for one in with_it}
    assert "cue-partner" in with_it[-1].reasons


def resting_on(heard: Heard, *sources: str) -> Heard:
    """Return the same warnings as resting on data of these nations."""
    changed = {
        t_ns: [
            msgspec.structs.replace(one, record=msgspec.structs.replace(one.record, label=label("KOR", sources))) for one in told
        ]
        for t_ns, told in heard.warnings.items()
    }
    return heard._replace(warnings=changed)


def test_a_plot_told_twice_does_not_confirm_itself() -> None:
    """A partner's warning that rests on this nation's own data is no second witness of what this nation's radar says."""
    without, told = ghost(NOTHING), ghost(resting_on(ONLY["warning"](korea()), "JPN", "KOR"))
    assert detected_ns(told) == detected_ns(without)
    assert "unconfirmed" == told[-1].state
    assert told[-1].confidence <= 0.3


def test_a_warning_taken_back_backs_nothing() -> None:
    """After a partner's retraction what it alone confirmed is unconfirmed again."""
    heard = ONLY["warning"](korea())
    at_ns = EPOCH_NS + 146 * NS
    taken = Retraction(warning_id="launch-1", warning_version=9, reason="issued-in-error", by="o", t_ns=at_ns, label=label("KOR"))
    until = {t_ns: told for t_ns, told in heard.warnings.items() if t_ns < at_ns}
    told = ghost(heard._replace(warnings={**until, at_ns: [WarningRecord(origin="KOR", record=taken)]}))
    assert "unconfirmed" not in {one.state for one in told if one.t_ns < at_ns}
    assert {"unconfirmed"} == {one.state for one in told if one.t_ns > at_ns + NS}


def place_of(seconds: float) -> Any:
    """Return where the flight is (ECEF)."""
    return flight().at(np.array([seconds]))[0, :3]


def test_what_is_old_over_or_ahead_of_time_points_nowhere() -> None:
    """A warning past its end, of long ago, of the future, closed, or without a launch, is no pointer."""
    one = a_warning()
    now_ns, place = one.t_ns, place_of((one.t_ns - EPOCH_NS) / NS)
    assert one.flight is not None
    bad = [
        of(one, expires_ns=now_ns - 1), of(one, t_ns=now_ns - 300 * NS), of(one, t_ns=now_ns + 60 * NS), of(one, state="retracted"),
        of(one, state="track-lost"), of(one, flight=None), of(one, flight=msgspec.structs.replace(one.flight, launch=None)),
    ]  # fmt: skip
    for given, expected in ((of(one), 1), *((each, 0) for each in bad)):
        pointers = Pointers(lambda _: "JPN")
        pointers.hear(now_ns, [given], [])
        pointers.step(now_ns, {})
        assert expected == len(pointers.at(now_ns, place, 0.0)), given


def test_a_pointer_says_nothing_of_what_is_elsewhere() -> None:
    """A launch that was told points at what is within its reach and in its fan's direction, and nowhere else."""
    one = a_warning()
    pointers, now_ns = Pointers(lambda _: "JPN"), one.t_ns
    assert one.flight is not None
    assert one.flight.fan is not None
    pointers.hear(now_ns, [of(one)], [])
    launch, seconds = one.flight.launch, (now_ns - EPOCH_NS) / NS
    assert launch is not None
    far = geodesy.geodetic_to_ecef(34.0, 136.0, 30e3)
    wide = msgspec.structs.replace(one.flight.fan, bearing_from_deg=60.0, bearing_to_deg=100.0)
    for t_ns, place, expected in ((now_ns, place_of(seconds), 1), (now_ns, far, 0), (now_ns + 400 * NS, place_of(seconds), 0)):
        assert expected == len(pointers.at(t_ns, place, 0.0))
    moved = launch.lat_deg, launch.lon_deg
    pointers.hear(now_ns, [of(one, flight=msgspec.structs.replace(one.flight, fan=wide))], [])
    east = geodesy.enu_basis(*moved).T @ np.array([60e3, 10e3, 20e3]) + geodesy.geodetic_to_ecef(*moved, 0.0)
    west = geodesy.enu_basis(*moved).T @ np.array([-60e3, 10e3, 20e3]) + geodesy.geodetic_to_ecef(*moved, 0.0)
    later_ns = launch.t_ns + 70 * NS
    assert [1, 0] == [len(pointers.at(later_ns, one_place, 0.0)) for one_place in (east, west)]


def test_a_flood_of_one_nation_s_tracks_drives_out_nothing_else() -> None:
    """A thousand fast tracks of one nation leave its warnings and another's tracks in place, and what made room is counted."""
    pointers, one = Pointers(lambda _: "JPN"), a_warning()
    track = next(one.record for told in korea().tracks.values() for one in told)
    assert isinstance(track, Track)
    fast = msgspec.structs.replace(track, domain="missile", t_ns=one.t_ns)
    other = PartnerRecord(origin="USA", lane="state", record=fast)
    flood = [PartnerRecord(origin="KOR", lane="state", record=msgspec.structs.replace(fast, number=k)) for k in range(1_000)]
    pointers.hear(one.t_ns, [of(one)], [other, *flood])
    pointers.step(one.t_ns, {})
    assert len(pointers) == KEPT_MAX + 2
    assert pointers.left_out == {"KOR": 1_000 - KEPT_MAX}
    pointers.step(one.t_ns + 300 * NS, {})
    assert 0 == len(pointers)


def test_an_empty_tracklet_points_only_as_far_as_it_knows() -> None:
    """A tracklet without information, or with extremes, is taken without a fault, and its doubt is that of not knowing."""
    some = next(one for told in korea().tracklets.values() for one in told)
    assert isinstance(some, Tracklet)
    for size in (0.0, 1e-300, 1e12):
        empty = msgspec.structs.replace(some, domain="missile", information=(size,) * 21, information_state=(size,) * 6)
        pointers = Pointers(lambda _: "JPN")
        pointers.step(empty.t_ns, {"KOR": [empty]})
        pointers.at(empty.t_ns, place_of(60.0), 0.0)
        assert len(pointers) <= 1


def test_aircraft_where_a_partner_warns_are_no_launch() -> None:
    """A partner's warning over ordinary traffic, true or false, makes none of it a launch."""
    one = a_warning()
    launches = NationLaunches("JPN", lambda what: f"JPN/{what}", (JPN,), None, TrackerSettings())
    start = geodesy.geodetic_to_ecef(40.0, 137.0, 11_000.0)
    way = geodesy.enu_basis(40.0, 137.0).T @ np.array([250.0, 60.0, 15.0])

    def at(t_s: Any) -> Any:
        t = np.atleast_1d(t_s)[:, None]
        return np.hstack([start + way * t, np.broadcast_to(way, (len(t), 3))])

    said: list[Assessment] = []
    for k, (now_ns, batches) in enumerate(Observation((JPN,), at, 90.0, np.random.default_rng(2)).steps()):
        assert one.flight is not None
        assert one.flight.launch is not None
        near = msgspec.structs.replace(one.flight.launch, lat_deg=40.0, lon_deg=137.0, t_ns=EPOCH_NS)
        facts = msgspec.structs.replace(one.flight, launch=near, fan=None)
        told = of(one, version=k, t_ns=now_ns, expires_ns=now_ns + 60 * NS, flight=facts)
        launches.hear(now_ns, [told], [])
        assert launches.combined.pointers is not None
        assert launches.combined.pointers.at(now_ns, at((now_ns - EPOCH_NS) / NS)[0, :3], 0.0)
        said += launches.step(now_ns, batches, {}, source_of)[1]
    assert not said
