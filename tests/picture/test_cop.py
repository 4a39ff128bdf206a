"""The picture: what it shows of own and partners' tracks, warnings and lights, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import feeder
import msgspec
import numpy as np
import pytest
from feeder import NS, START_NS

from trilat.picture import frames
from trilat.picture.board import ACKNOWLEDGEMENTS_MAX
from trilat.picture.inputs import (
    CombinedTracks,
    CopInput,
    CopSettings,
    FeedLight,
    PartnerRecord,
    SensorLight,
    View,
    WarningRecord,
)
from trilat.picture.layers import name_of
from trilat.records.columns import Tracks
from trilat.records.label import Mode
from trilat.records.report import Pedigree
from trilat.records.track import Area
from trilat.records.warning import Retraction

EVERY_TICK = CopSettings(frame_ms=0)


def shown(cop: Any, view: str = "watch") -> np.ndarray:
    return frames.decode(cop.frames(view, None)).records


def world(tracks: int = 60) -> feeder.World:
    return feeder.World(tracks)


def test_own_and_partner_rows_agree_on_the_same_track() -> None:
    """A track shown from columns and the same track as a partner's record stand at the same place with the same motion."""
    cop = feeder.make_cop("JPN", EVERY_TICK)
    cop.step(START_NS, CopInput(own=world().own("JPN", START_NS)))
    mine = shown(cop)
    other = feeder.make_cop("KOR", EVERY_TICK)
    other.step(START_NS, CopInput(partners=world().partner("JPN", START_NS)))
    theirs = shown(other)
    released = np.flatnonzero((world().own("JPN", START_NS).columns["sensors"] & 4) == 0)
    for field in ("lat_e7", "lon_e7", "course", "speed"):
        assert np.abs(mine[field][released].astype(int) - theirs[field].astype(int)).max() <= 1, field
    assert mine["domain"][released].tolist() == theirs["domain"].tolist()
    assert mine["affiliation"][released].tolist() == theirs["affiliation"].tolist()
    assert (set(mine["layer"]), set(theirs["layer"])) == ({0}, {1})


def test_places_and_motion_are_those_of_the_world() -> None:
    """Latitude, longitude, height, speed and course come back as they were put in, to the wire's step."""
    cop, w = feeder.make_cop("JPN", EVERY_TICK), world()
    cop.step(START_NS, CopInput(own=w.own("JPN", START_NS)))
    rows, mine = shown(cop), np.arange(0, 60, 3)
    assert np.abs(rows["lat_e7"] / 1e7 - w.lat[mine]).max() < 1e-6
    assert np.abs(rows["lon_e7"] / 1e7 - w.lon[mine]).max() < 1e-6
    assert np.abs(rows["alt_m"] - w.alt[mine]).max() < 0.01
    assert np.abs(rows["speed"] * frames.SPEED_UNIT_M_S - w.speed[mine]).max() <= frames.SPEED_UNIT_M_S
    turned = (rows["course"] / 65_536 * 360 - np.degrees(w.course[mine]) + 180) % 360 - 180
    assert np.abs(turned).max() < 0.01
    age = (rows["t_cs"].astype(int) - rows["updated_cs"].astype(int)) / frames.CS_PER_S
    assert sorted(set(age.tolist())) == [2.0, 40.0]


def test_a_view_says_nothing_of_what_is_above_it() -> None:
    """A view bounded to level 1 gives the same bytes whether or not tracks above that level exist, move and come and go."""
    views = (View(), View(name="guest", level_max=1))
    with_hidden, without = (feeder.make_cop("JPN", EVERY_TICK, views=views) for _ in range(2))
    for tick in range(5):
        now_ns = START_NS + tick * NS
        own = world().own("JPN", now_ns)
        secret = (own.columns["sensors"] & 4) != 0
        plain = Tracks(stream=own.stream, t_ns=now_ns, columns=own.columns[~secret])
        with_hidden.step(now_ns, CopInput(own=own if tick % 2 else plain))
        without.step(now_ns, CopInput(own=plain))
        assert with_hidden.frames("guest", None) == without.frames("guest", None)
        assert with_hidden.frames("guest", 1) == without.frames("guest", 1)
        assert with_hidden.trails("guest") == without.trails("guest")
        assert with_hidden.status("guest") == without.status("guest")
    assert len(shown(with_hidden)) >= len(shown(without))


def test_records_that_claim_another_nation_or_mode_are_refused() -> None:
    """A partner's record whose label names another originator, an unknown nation or another mode is counted, not shown."""
    cop = feeder.make_cop("JPN", EVERY_TICK)
    good = world().partner("KOR", START_NS)[0]
    forged = PartnerRecord(origin="USA", lane="state", record=good.record)
    foreign = PartnerRecord(origin="PRK", lane="state", record=good.record)
    replayed = feeder.make_cop("JPN", EVERY_TICK, identity=feeder.identity("JPN", Mode(kind="replay", id="R1")))
    cop.step(START_NS, CopInput(partners=[good, forged, foreign]))
    replayed.step(START_NS, CopInput(partners=[good]))
    assert (len(shown(cop)), dict(cop.refused)) == (1, {"origin-mismatch": 2})
    assert (len(shown(replayed)), dict(replayed.refused)) == (0, {"mode-mismatch": 1})


def test_a_partner_that_falls_silent_leaves_the_map() -> None:
    """A partner's air track not updated for six times the stale age is taken off; a ship, stale later, stays."""
    cop = feeder.make_cop("JPN", EVERY_TICK)
    cop.step(START_NS, CopInput(partners=world().partner("KOR", START_NS)))
    before = shown(cop)
    cop.step(START_NS + 121 * NS, CopInput())
    assert set(before["domain"]) == {feeder.AIR, feeder.SEA}
    assert set(shown(cop)["domain"]) == {feeder.SEA}


def test_a_track_is_called_by_the_best_name_there_is() -> None:
    """Callsign, else MMSI, else ICAO address, else nation and number; own and partner's tracks alike."""
    own = world(12).own("JPN", START_NS)
    own.columns["callsign"] = [b"JAL516", b"", b"", b""]
    own.columns["mmsi"], own.columns["address"] = [-1, 431000123, -1, -1], [0x86D624, -1, 0x86D624, -1]
    cop = feeder.make_cop("JPN", EVERY_TICK)
    cop.step(START_NS, CopInput(own=own))
    names = frames.decode(cop.frames("watch", None)).names["name"].tolist()
    assert names == [b"JAL516", b"431000123", b"86D624", b"JPN 0010"]
    assert [name_of("JPN", 10, None, a, m) for a, m in ((None, 431000123), (0x86D624, None), (None, None))] == names[1:]


def test_areas_are_shown_as_circles_without_motion() -> None:
    """A record of the area tier has its radius as sigma, the area flag and no speed; said once a minute, it stays for two."""
    area = Area(
        stream="a",
        number=1,
        t_ns=START_NS,
        label=feeder.label("USA"),
        pedigree=Pedigree(nation="USA"),
        domain="missile",
        lat_deg=33.0,
        lon_deg=130.0,
        radius_m=25_000.0,
    )
    cop = feeder.make_cop("JPN", EVERY_TICK)
    cop.step(START_NS, CopInput(partners=[PartnerRecord(origin="USA", lane="state", record=area)]))
    row = shown(cop)[0]
    assert (int(row["sigma_m"]), int(row["flags"]), int(row["speed"])) == (25_000, frames.FLAG_AREA, frames.UNKNOWN_U2)
    assert cop.details("watch", int(row["id"]))["ellipse"]["major_m"] == 25_000.0
    counts = []
    for seconds in (149, 151):
        cop.step(START_NS + seconds * NS, CopInput())
        counts.append(len(shown(cop)))
    assert counts == [1, 0]


def test_combined_tracks_name_all_their_nations() -> None:
    """A combined track carries the bits of every nation behind it and the level of its own label."""
    own = world(9).own("JPN", START_NS)
    labels = (feeder.label("JPN", 1), feeder.label("JPN", 2))
    combined = CombinedTracks(
        tracks=own, nations=np.array([0b011, 0b101, 0b111], np.uint16), labels=labels, label_index=np.array([0, 1, 1])
    )
    cop = feeder.make_cop("JPN", EVERY_TICK)
    cop.step(START_NS, CopInput(combined=combined))
    rows = shown(cop)
    assert [(int(r["nations"]), int(r["level"]), int(r["layer"])) for r in rows] == [(3, 1, 2), (5, 2, 2), (7, 2, 2)]
    assert cop.details("watch", int(rows["id"][1]))["label"].startswith("EXERCISE // TRILAT-2")


def test_the_banner_is_the_highest_label_on_the_screen() -> None:
    """The banner names the highest level shown and only those nations that may have all of it."""
    cop = feeder.make_cop("JPN", EVERY_TICK)
    own = world().own("JPN", START_NS)
    secret = (own.columns["sensors"] & 4) != 0
    cop.step(START_NS, CopInput(own=Tracks(stream="s", t_ns=START_NS, columns=own.columns[~secret])))
    assert cop.status("watch")["banner"] == "EXERCISE // TRILAT-1 // REL TO JPN, KOR, USA"
    cop.step(START_NS + NS, CopInput(own=own))
    assert (cop.status("watch")["banner"], cop.status("watch")["level"]) == ("EXERCISE // TRILAT-3 // JPN ONLY", 3)


def test_details_say_who_where_how_sure_and_who_may_see_it() -> None:
    """The details of an own track name its sensors, its 95 % ellipse, its label in words and every audience's decision."""
    cop = feeder.make_cop("JPN", EVERY_TICK)
    own = world().own("JPN", START_NS)
    own.columns["covariance"][0] = np.diag([100.0**2] * 3 + [1.0] * 3)
    cop.step(START_NS, CopInput(own=own))
    told = cop.details("watch", int(shown(cop)["id"][0]))
    assert told["ellipse"]["major_m"] == pytest.approx(244.77, abs=0.01)
    assert told["lat_deg"] == pytest.approx(world().lat[0], abs=1e-6)
    assert {s["id"] for s in told["sensors"]} <= {"jpn-radar-1", "jpn-fixes-1", "jpn-radar-9"}
    assert told["label"].startswith("EXERCISE // TRILAT-")
    assert [view.audience for view in told["audiences"]] == ["KOR", "USA"]
    assert cop.details("watch", 10_000) is None


def state(cop: Any) -> dict[str, Any]:
    return {w["key"]: w for w in json.loads(cop.state("watch"))["warnings"]}


def test_a_warning_lives_from_issue_to_retraction() -> None:
    """Versions only rise, acknowledgements are kept per nation, a retraction closes, a reinstatement opens again."""
    cop = feeder.make_cop("JPN", EVERY_TICK)
    cop.step(START_NS, CopInput(warnings=[feeder.warning("KOR", "w-1", START_NS, version=2)]))
    cop.step(START_NS, CopInput(warnings=[feeder.warning("KOR", "w-1", START_NS, version=1, headline="old")]))
    cop.step(START_NS, CopInput(warnings=[feeder.acknowledgement(n, "KOR", "w-1", START_NS + NS) for n in ("JPN", "USA")]))
    held = state(cop)["KOR/w-1"]
    assert (held["version"], held["open"], held["headline"][:8]) == (2, True, "EXERCISE")
    assert [ack["nation"] for ack in held["acknowledgements"]] == ["JPN", "USA"]
    for reason, is_open in (("issued-in-error", False), ("reinstated", True)):
        taken = Retraction(
            warning_id="w-1", warning_version=2, reason=reason, by="o", t_ns=cop.now_ns + 1, label=feeder.label("KOR")
        )
        cop.step(cop.now_ns + 1, CopInput(warnings=[WarningRecord(origin="KOR", record=taken)]))
        assert state(cop)["KOR/w-1"]["open"] is is_open


def test_the_newest_version_acknowledged_is_the_one_shown() -> None:
    """A handled old version is followed by an acknowledged new one; "seen" never takes back "acknowledged"."""
    cop = feeder.make_cop("JPN", EVERY_TICK)
    cop.step(START_NS, CopInput(warnings=[feeder.warning("KOR", "w-1", START_NS)]))
    for version, kind in ((1, "handled"), (1, "seen"), (2, "acknowledged"), (2, "seen")):
        given = feeder.acknowledgement("JPN", "KOR", "w-1", START_NS, warning_version=version, kind=kind)
        cop.step(START_NS, CopInput(warnings=[given]))
    acks = state(cop)["KOR/w-1"]["acknowledgements"]
    assert [(ack["version"], ack["kind"]) for ack in acks] == [(2, "acknowledged")]


def test_a_flood_of_acknowledgements_is_bounded() -> None:
    """One nation's acknowledgements of one warning under ever new names stop counting at a bound."""
    cop = feeder.make_cop("JPN", EVERY_TICK)
    acks = [feeder.acknowledgement("USA", "KOR", "w-1", START_NS, by=f"o-{n}") for n in range(300)]
    cop.step(START_NS, CopInput(warnings=[feeder.warning("KOR", "w-1", START_NS), *acks]))
    assert len(state(cop)["KOR/w-1"]["acknowledgements"]) == ACKNOWLEDGEMENTS_MAX


def test_a_warning_past_its_end_is_not_open() -> None:
    """When a warning expires the page is told, by an event, that it is no longer open."""
    cop = feeder.make_cop("JPN", EVERY_TICK)
    cop.step(START_NS, CopInput(warnings=[feeder.warning("KOR", "w-1", START_NS, expires_ns=START_NS + 10 * NS)]))
    seen = json.loads(cop.state("watch"))["event"]
    cop.step(START_NS + 10 * NS, CopInput())
    events = [json.loads(raw) for _, raw in cop.events("watch", seen)]
    assert [(e["warning"]["open"], e["warning"]["expired"]) for e in events if e["kind"] == "warning"] == [(False, True)]


def test_forged_warnings_and_acknowledgements_are_not_shown() -> None:
    """A warning, acknowledgement or retraction in another nation's name, or of another mode, changes nothing and is counted."""
    cop = feeder.make_cop("JPN", EVERY_TICK)
    good = feeder.warning("KOR", "w-1", START_NS)
    live = feeder.warning(
        "KOR", "w-2", START_NS, label=feeder.Label(policy="TRILAT", originator="KOR", mode=Mode(kind="live"), level=1)
    )
    forged = [WarningRecord(origin="USA", record=feeder.warning("KOR", "w-3", START_NS).record), live]
    ack = WarningRecord(origin="USA", record=feeder.acknowledgement("JPN", "KOR", "w-1", START_NS).record)
    cop.step(START_NS, CopInput(warnings=[good, *forged, ack]))
    assert list(state(cop)) == ["KOR/w-1"]
    assert state(cop)["KOR/w-1"]["acknowledgements"] == []
    refused = cop.status("watch")["refused"]
    assert refused == {"warning:origin-mismatch": 2, "warning:mode-mismatch": 1}


def test_events_resume_where_a_page_left_off() -> None:
    """Events after any number a page names come back once each and in order; numbers that are not kept give None."""
    cop = feeder.make_cop("JPN", CopSettings(frame_ms=0, events_max=6))
    for n in range(5):
        cop.step(START_NS + n, CopInput(warnings=[feeder.warning("KOR", f"w-{n}", START_NS)]))
    newest = cop.event("watch")
    assert [number for number, _ in cop.events("watch", newest - 3)] == [newest - 2, newest - 1, newest]
    assert cop.events("watch", newest) == []
    assert (cop.events("watch", newest + 1), cop.events("watch", 0)) == (None, None)


def test_lights_that_change_are_logged_and_rates_come_from_counts() -> None:
    """A feed that goes from up to late leaves a line in the log; without a rate of its own its rate is that of its count."""
    cop = feeder.make_cop("JPN", EVERY_TICK)
    for tick, (light, reports) in enumerate((("up", 0), ("up", 500), ("late", 1000))):
        feed = FeedLight(name="radar-1", format="asterix", state=light, last_report_ns=START_NS, reports=reports)
        cop.step(START_NS + tick * 5 * NS, CopInput(feeds=[feed]))
    told = cop.status("watch")["feeds"][0]
    assert (told["reports_per_s"], told["last_report_age_s"]) == (100.0, 10.0)
    assert json.loads(cop.state("watch"))["log"][-1]["text"] == "Feed radar-1: up -> late"


def test_too_many_tracks_are_cut_and_counted() -> None:
    """What is above tracks_max is not shown and is counted as refused, per layer."""
    cop = feeder.make_cop("JPN", CopSettings(frame_ms=0, tracks_max=5))
    cop.step(START_NS, CopInput(own=world().own("JPN", START_NS), partners=world().partner("KOR", START_NS)))
    assert len(shown(cop)) == 10
    assert cop.refused["tracks-full"] > 0


def test_the_same_inputs_give_the_same_bytes() -> None:
    """Two pictures stepped alike give equal frames, trails, state and events."""
    made = []
    for _ in range(2):
        cop = feeder.make_cop("JPN", EVERY_TICK)
        for tick in range(4):
            now_ns = START_NS + tick * NS
            given = CopInput(
                own=world().own("JPN", now_ns),
                partners=world().partner("KOR", now_ns),
                warnings=[feeder.warning("KOR", f"w-{tick}", now_ns)],
                links=feeder.links(now_ns),
            )
            cop.step(now_ns, given)
        made.append((cop.frames("watch", None), cop.frames("watch", 2), cop.trails("watch"), cop.state("watch")))
    assert made[0] == made[1]


def test_what_is_thought_of_sensors_is_in_the_status() -> None:
    """State, reason and NIS of own sensors and partners' sources reach the page, and stay until they are told anew."""
    cop = feeder.make_cop("JPN", EVERY_TICK)
    bad = SensorLight(nation="KOR", name="R1", state="down", judged="quarantined", reason="clock-stuck", nis=1.5)
    cop.step(START_NS, CopInput(sensors=[bad]))
    cop.step(START_NS + NS, CopInput())
    assert [msgspec.to_builtins(bad)] == cop.status("watch")["sensors"]
