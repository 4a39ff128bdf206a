"""What does not fit is named, left out and taken back: own sensors and partners at every tier, and nobody else pays for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
from fault_world import FAULTS, T0_NS, Case, S, Told, first, plots_of, run, run_own

from trilat.cli.bench_fusion_world import label_of
from trilat.fuse.combine import PartnerItem
from trilat.joint.beside import BIN_NS, SNAPSHOT_NS, Offsets, OwnTracks, Votes, Witnesses
from trilat.joint.judge import PARTNERS, Beside, TrackJudge
from trilat.kernels import geodesy
from trilat.records.columns import DOMAINS, empty_reports, empty_tracks
from trilat.records.report import Pedigree
from trilat.records.track import Track

TIERS = ("plot", "tracklet", "track")
BEGIN_S, END_S = 60, 200
REASONS = {
    "drifting bias": "bias-drifts",
    "stuck clock": "clock-stuck",
    "ghost tracks": "ghosts",
    "replayed minutes": "replayed",
}
# Seconds from the beginning of a fault to the quarantine, and from its end to when the source is used again.
NAMED_S = {"drifting bias": 70, "stuck clock": 30, "ghost tracks": 90, "replayed minutes": 50}
BACK_S = {"drifting bias": 190, "stuck clock": 80, "ghost tracks": 130, "replayed minutes": 140}
# After the beginning of the quarantine, for what was spoilt before it; how much worse than without the source tracks are then.
# What a drifting source taught before it was found out goes more slowly.
SETTLED_S, WORSE = 40, 1.05
SETTLED_DRIFT_S, WORSE_DRIFT = 60, 1.25


def play(tier: str, **values: Any) -> Told:
    """Run a case of the matrix."""
    case = Case(tier, begin_s=BEGIN_S, end_s=END_S, **values)
    return run_own(case) if tier == "own" else run(case)


@cache
def silent(tier: str) -> Told:
    """Run the same world in which the source that goes wrong says nothing at all."""
    return play(tier, silent=True, seconds=END_S)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("tier", ["own", *TIERS])
def test_a_fault_is_named_left_out_and_taken_back(tier: str, fault: str) -> None:
    """A source that goes wrong is put in quarantine in time for the right reason, and comes back after it is mended.

    Meanwhile the others' tracks are as if it said nothing, and nobody else is ever put in quarantine.
    """
    told, without = play(tier, fault=fault, seconds=END_S + BACK_S[fault] + 5), silent(tier)
    settled_s, worse = (SETTLED_DRIFT_S, WORSE_DRIFT) if fault == "drifting bias" else (SETTLED_S, WORSE)
    bad, good = ("R1", ("R0", "R2")) if tier == "own" else ("BBB", ("CCC",))
    states = told.states(bad)
    at = first(states, "quarantined")
    assert BEGIN_S < at <= BEGIN_S + NAMED_S[fault], states
    verdict = told.of(bad)[at]
    assert verdict is not None
    assert REASONS[fault] == verdict.reason
    assert {"quarantined"} == set(states[at:END_S])
    got, want = (one.figures(at + settled_s, END_S) for one in (told, without))
    assert got["missed"] <= want["missed"] + 0.05, (got, want)
    assert got["false"] <= want["false"] + 0.05, (got, want)
    assert got["rmse_m"] <= worse * want["rmse_m"], (got, want)
    assert "fit" in states[END_S : END_S + BACK_S[fault]], states[END_S:]
    assert "fit" == states[-1]
    for name in good:
        assert "quarantined" not in told.states(name)


@pytest.mark.parametrize("tier", ["own", "plot"])
def test_ghosts_are_seen_while_they_are_left_out(tier: str) -> None:
    """A quarantine for ghosts lasts as long as they do, though nobody is shown them any more."""
    case = Case(tier, "ghost tracks", begin_s=60, end_s=330, seconds=330)
    states = (run_own(case) if tier == "own" else run(case)).states("R1" if tier == "own" else "BBB")
    assert {"quarantined"} == set(states[first(states, "quarantined") :])
    assert 0 < first(states, "quarantined") < 160


HONEST: Mapping[str, dict[str, Any]] = {
    "biased, and sees what we cannot": {"bias": (100.0, 0.2), "far": 9, "low": 6, "turning": 0.3},
    "cut off for 20 s": {"cut": True, "begin_s": 90, "end_s": 110},
    "up to 20 s late": {"late": lambda _t, g: int(g.integers(0, 21))},
    "half a minute behind, all at once": {"late": lambda t, _g: 40 if t >= 80 else 0},
    "our radar is jammed towards one half": {"own_blind_deg": (0.0, 180.0), "begin_s": 90, "targets": 20},
    "while our radar is off": {"own_off": True, "begin_s": 70, "end_s": 130, "bias": (-100.0, -0.2)},
}
WIDER: Mapping[str, dict[str, Any]] = {
    "plain": {"turning": 0.3},
    "all biased": {"all_bias": (100.0, 0.2), "turning": 0.3},
    "cut off for two minutes": {"cut": True, "begin_s": 90, "end_s": 210},
    "always 8 s late": {"late": lambda _t, _g: 8},
    "three targets": {"targets": 3, "turning": 0.5, "bias": (-100.0, -0.2)},
    "sixty targets": {"targets": 60, "turning": 0.3, "bias": (100.0, 0.2), "every_s": 5},
    "our own drift": {"own_drift_m_s": 15.0, "begin_s": 90, "end_s": 200},
}


def never_left_out(tier: str, values: Mapping[str, Any], seed: int = 3) -> None:
    """See that nobody is put in quarantine."""
    told = run(Case(tier, **({"begin_s": 0, "end_s": 0, "seconds": 200, "seed": seed, "ghosts": 0} | dict(values))))
    for nation in ("BBB", "CCC"):
        states = told.states(nation)
        assert {"fit", "unknown"} & set(states)  # of three targets too little may be said for a word
        at = first(states, "quarantined")
        assert at < 0, (nation, at, told.of(nation)[at])


@pytest.mark.parametrize("what", HONEST)
@pytest.mark.parametrize("tier", TIERS)
def test_an_honest_partner_is_never_left_out(tier: str, what: str) -> None:
    """Neither a constant bias, nor what our radars cannot see, nor a bad link, nor our own fault costs a partner its say."""
    never_left_out(tier, HONEST[what])


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(11, 19))
@pytest.mark.parametrize("what", [*HONEST, *WIDER])
@pytest.mark.parametrize("tier", TIERS)
def test_honest_partners_of_many_draws_are_never_left_out(tier: str, what: str, seed: int) -> None:
    """The same, of draws that nothing was chosen on."""
    never_left_out(tier, {"seconds": 300} | dict({**HONEST, **WIDER}[what]), seed)


@pytest.mark.parametrize("tier", ["plot", "track"])
def test_nobody_pays_for_our_own_drift(tier: str) -> None:
    """When our own radar drifts, all partners part from our tracks at once: that is no fault of theirs."""
    never_left_out(tier, WIDER["our own drift"])


@pytest.mark.parametrize("values", [{"bias": (100.0, 0.2)}, {"own_off": True, "begin_s": 0, "end_s": 120, "silent": True}])
def test_an_own_radar_with_a_constant_bias_or_beside_one_that_is_off_is_not_left_out(values: dict[str, Any]) -> None:
    """A bias is for registration to find, and what a radar that is off does not see is no ghost of the others."""
    told = run_own(Case("own", **({"begin_s": 0, "end_s": 0, "seconds": 200, "ghosts": 0} | values)))
    assert ["", "", ""] == [
        "".join(one.reason for one in told.of(name) if one is not None and one.state == "quarantined")
        for name in ("R0", "R1", "R2")
    ]


# Parts -----------------------------------------------------------------------------------------------------------------------


def tracks_at(place: Any, t_ns: int) -> Any:
    rows = empty_tracks(len(place))
    rows["number"], rows["t_ns"], rows["status"] = np.arange(len(place)) + 1, t_ns, 1
    rows["position_m"], rows["velocity_m_s"] = place, [200.0, 0.0, 0.0]
    rows["covariance"] = np.diag([50.0**2] * 3 + [9.0] * 3)
    return rows


def offsets_of(shift: Callable[[int], float], seconds: int) -> Offsets:
    """Give the offsets of a source whose places are shifted by so much at each second."""
    own, offsets = OwnTracks(), Offsets()
    zero = np.array([[k * 30_000.0 - 3_000_000.0, 4_000_000.0, 3_500_000.0] for k in range(5)])
    for t in range(seconds):
        place = zero + np.array([200.0 * t, 0.0, 0.0])
        own.take(T0_NS + t * S, tracks_at(place, T0_NS + t * S))
        times = np.full(5, T0_NS + t * S)
        offsets.take(
            T0_NS + t * S, own.pairs(times, place + np.array([0.0, shift(t), 0.0]), np.tile(np.eye(3) * 50.0**2, (5, 1, 1)))
        )
    return offsets


def test_a_bias_parts_and_a_drift_moves() -> None:
    """A constant offset counts as apart and not as drift; a growing one as both; nothing is compared across an own correction."""
    now_ns = T0_NS + 120 * S
    still, moving = offsets_of(lambda _: 400.0, 121), offsets_of(lambda t: 10.0 * t, 121)
    assert still.figures(now_ns).drift < 0.01
    assert still.figures(now_ns).apart > 0.5
    assert moving.figures(now_ns).drift > PARTNERS.drift_max
    assert moving.figures(now_ns, now_ns - 60 * S).drift < 0.5 * moving.figures(now_ns).drift
    assert 0.0 == moving.figures(now_ns, now_ns - 2 * BIN_NS).drift


def test_what_comes_late_is_compared_with_what_was_then() -> None:
    """A report of twenty seconds ago belongs to where the track was, and one of before all is kept is not compared."""
    own = OwnTracks()
    for t in range(0, 60, 5):
        own.take(T0_NS + t * S, tracks_at(np.array([[200.0 * t - 3_000_000.0, 4_000_000.0, 3_500_000.0]]), T0_NS + t * S))
    place, cov = np.array([[200.0 * 37 - 3_000_000.0, 4_000_000.0, 3_500_000.0]]), np.eye(3)[None]
    found = own.pairs(np.array([T0_NS + 37 * S]), place, cov)
    assert np.abs(found.offset_m).max() < 1e-6
    assert 0 == len(own.pairs(np.array([T0_NS + 10 * S]), place, cov).number)
    assert SNAPSHOT_NS == 5 * S


def test_own_tracks_have_one_vote() -> None:
    """One partner apart is the partner; two of two are ourselves; two of three are not enough."""
    votes = Votes(9.0, 4.0)
    far, near = Offsets().figures(0)._replace(apart=20.0, targets=5), Offsets().figures(0)._replace(targets=5)
    votes.put(T0_NS, "BBB", "BBB:R1", far)
    assert (False, False) == votes.outvoted(T0_NS)
    votes.put(T0_NS, "CCC", "CCC:R2", far)
    assert (True, False) == votes.outvoted(T0_NS)
    votes.put(T0_NS, "DDD", "DDD:R3", near)
    assert (False, False) == votes.outvoted(T0_NS)
    assert (False, False) == votes.outvoted(T0_NS + 60 * S)


def test_a_partner_that_stands_apart_for_good_does_not_hide_another_s_drift() -> None:
    """Two that drift are our own drift; one that drifts beside one with a constant bias is itself."""
    votes = Votes(9.0, 4.0)
    nothing = Offsets().figures(0)._replace(targets=5)
    votes.put(T0_NS, "BBB", "BBB:R1", nothing._replace(drift=20.0))
    votes.put(T0_NS, "CCC", "CCC:R2", nothing._replace(apart=5.0))
    assert (False, False) == votes.outvoted(T0_NS)
    votes.put(T0_NS, "CCC", "CCC:R2", nothing._replace(apart=5.0, drift=9.0))
    assert (False, True) == votes.outvoted(T0_NS)


def plots_towards(azimuth_deg: Any, elevation_deg: float) -> Any:
    """Give a plot in each of these directions."""
    rows = empty_reports(len(azimuth_deg))
    rows["azimuth_rad"], rows["elevation_rad"] = np.radians(azimuth_deg), np.radians(elevation_deg)
    return rows


def test_a_radar_bears_no_witness_where_it_has_no_plots_or_none_so_low() -> None:
    """In a jammed sector and below a mountain's edge nobody's track is expected; beside and above it is."""
    _, sensors, _ = plots_of(Case("own", seconds=1))
    witnesses, all_round = Witnesses(sensors), plots_towards(np.arange(36) * 10.0, 6.0)
    one = sensors[0]
    for t in range(0, 120, 4):
        witnesses.heard(0, T0_NS + t * S, all_round if t < 60 else all_round[9:])
    rae = np.array([[80_000.0, np.radians(az), np.radians(el)] for az, el in ((45.0, 7.0), (200.0, 7.0), (200.0, 3.0))])
    there = tracks_at(geodesy.rae_to_ecef(*rae.T, one.lat_deg, one.lon_deg, one.alt_m), T0_NS)
    assert [True, True, False] == witnesses.expect(T0_NS + 60 * S, there).tolist()
    assert [False, True, False] == witnesses.expect(T0_NS + 116 * S, there).tolist()


def test_a_witness_has_looked_without_a_pause() -> None:
    """A radar bears witness after it has looked for long, and anew after a pause."""
    _, sensors, _ = plots_of(Case("own", seconds=1))
    witnesses, all_round = Witnesses(sensors), plots_towards(np.arange(36) * 10.0, 1.0)
    for t in range(0, 60, 4):
        witnesses.heard(0, T0_NS + t * S, all_round)
    assert [] == witnesses.up(T0_NS + 40 * S)
    assert [0] == witnesses.up(T0_NS + 60 * S)
    above = tracks_at(geodesy.geodetic_to_ecef([33.5], [130.0], [9_000.0]).reshape(-1, 3), T0_NS)
    assert [True] == witnesses.expect(T0_NS + 60 * S, above).tolist()
    assert [False] == witnesses.expect(T0_NS + 60 * S, above, but=0).tolist()
    assert [] == witnesses.up(T0_NS + 90 * S)
    witnesses.heard(0, T0_NS + 120 * S, all_round)
    assert [] == witnesses.up(T0_NS + 121 * S)


# Tracks that no honest partner sends ---------------------------------------------------------------------------------------------


def track(number: int, t_ns: int, **values: Any) -> Track:
    """Give one of a partner's tracks."""
    upper = np.diag([50.0**2] * 3 + [9.0] * 3)[np.triu_indices(6)]
    given = {
        "stream": "BBB/track/0", "number": number, "t_ns": t_ns, "updated_t_ns": t_ns, "status": "confirmed",
        "label": label_of("BBB"), "pedigree": Pedigree(nation="BBB", sensors=("R1",)), "domain": "air",
        "lat_deg": 33.0 + 0.1 * number, "lon_deg": 130.0 + 0.00214 * (t_ns - T0_NS) / S, "alt_m": 9_000.0, "velocity_east_m_s": 200.0,
        "velocity_north_m_s": 0.0, "velocity_up_m_s": 0.0, "covariance": tuple(upper.tolist()),
    }  # fmt: skip
    return Track(**(given | values))


def judged(made: Callable[[int, int], Track], seconds: int = 60) -> tuple[TrackJudge, list[int]]:
    """Let five tracks a second be judged beside own tracks of the same places; give how many items went on each second."""
    judge, passed = TrackJudge(Witnesses(()), Votes(9.0, 4.0), lambda _: {"AAA"}), []
    for t in range(seconds):
        now_ns = T0_NS + t * S
        items = [PartnerItem("BBB", made(k, now_ns), 1, t * 5 + k + 1) for k in range(5)]
        place = geodesy.geodetic_to_ecef(33.0 + 0.1 * np.arange(5), np.full(5, 130.0 + 0.00214 * t), np.full(5, 9_000.0))
        own = tracks_at(place, now_ns)
        own["sensors"] = 1
        passed.append(len(judge.step(now_ns, items, Beside(own, own, 1, 0))))
    return judge, passed


@pytest.mark.parametrize(
    "values",
    [
        {"covariance": (1e300,) + (0.0,) * 20},
        {"covariance": (0.0,) * 21},
        {"covariance": tuple((np.diag([1e15] * 3 + [1e-9] * 3)[np.triu_indices(6)]).tolist())},
        {"velocity_east_m_s": 99_999.0},
        {"lat_deg": 90.0},
    ],
)
def test_whatever_a_partner_says_of_itself_stops_nobody(values: dict[str, Any]) -> None:
    """Covariances without an end or without a width, speeds beyond reason and the pole are judged or passed over."""
    judge, passed = judged(lambda k, now_ns: track(k, now_ns, **values))
    assert passed[0] == 5
    assert all(np.isfinite(one.nis_per_dimension) for one in judge.verdicts.values())


def test_a_clock_ahead_is_told_and_the_way_back_is_open() -> None:
    """Tracks of hours from now are a clock that is off; when it is right again, what was said of later is not in the way."""
    judge, passed = judged(lambda k, now_ns: track(k, now_ns + (9_000 * S if now_ns < T0_NS + 40 * S else 0)), 200)
    states = judge.verdicts["BBB:tracks"]
    assert "fit" == states.state, states
    assert 0 == passed[30]
    assert 5 == passed[-1]


def test_missiles_that_come_late_are_neither_ghosts_nor_misfits() -> None:
    """What flies a few kilometres while its track is on the way is still the same target, and curves as no aircraft does."""
    _, sensors, _ = plots_of(Case("own", seconds=1))
    witnesses = Witnesses(sensors[:1])
    judge, late_s, step = TrackJudge(witnesses, Votes(9.0, 4.0), lambda _: {"AAA"}), 6, 0.0214
    for t in range(90):
        now_ns = T0_NS + t * S
        values = {"alt_m": 20_000.0, "velocity_east_m_s": 2_000.0, "domain": "missile"}
        lon = 129.3 + step * max(t - late_s, 0)
        items = [
            PartnerItem("BBB", track(k, now_ns - late_s * S, lon_deg=lon, **values), 1, t * 5 + k + 1)
            for k in range(5)
            if t >= late_s
        ]
        place = geodesy.geodetic_to_ecef(33.0 + 0.1 * np.arange(5), np.full(5, 129.3 + step * t), np.full(5, 20_000.0))
        own = tracks_at(place, now_ns)
        own["sensors"], own["domain"] = 1, DOMAINS.index("missile")
        own["velocity_m_s"] = (geodesy.enu_basis(33.0, 129.3 + step * t).T @ [2_000.0, 0.0, 300.0])[None]  # sure, and wrong
        witnesses.heard(0, now_ns, plots_towards(np.arange(36) * 10.0, 0.5))
        judge.step(now_ns, items, Beside(own, own, 1, 0))
        one = judge.verdicts["BBB:tracks"] if t >= late_s else None
        assert one is None or not one.reason, (t, one)
    assert one is not None
    assert 0.0 == one.ghosts


def test_tracks_of_what_a_partner_also_sends_as_plots_are_no_ghosts() -> None:
    """Where a partner's plots are in the core's tracks, it is the national ones that say that we see the target, too."""
    _, sensors, _ = plots_of(Case("own", seconds=1))
    witnesses = Witnesses(sensors[:1])
    judge = TrackJudge(witnesses, Votes(9.0, 4.0), lambda bits: {"AAA", "BBB"} if bits & 2 else {"AAA"})
    for t in range(90):
        now_ns = T0_NS + t * S
        items = [PartnerItem("BBB", track(k, now_ns), 1, t * 5 + k + 1) for k in range(5)]
        place = geodesy.geodetic_to_ecef(33.0 + 0.1 * np.arange(5), np.full(5, 130.0 + 0.00214 * t), np.full(5, 9_000.0))
        national, core = tracks_at(place, now_ns), tracks_at(place, now_ns)
        national["sensors"], core["sensors"] = 1, 3
        witnesses.heard(0, now_ns, plots_towards(np.arange(36) * 10.0, 0.5))
        judge.step(now_ns, items, Beside(core, national, 1, 0))
    assert "fit" == judge.verdicts["BBB:tracks"].state, judge.verdicts
    assert 0.0 == judge.verdicts["BBB:tracks"].ghosts


def test_a_quarantine_begins_with_the_last_word_on_every_track() -> None:
    """What a partner held is ended when it is put in quarantine, later than all it said, and nothing more of it goes on."""
    said: list[PartnerItem] = []
    judge = TrackJudge(Witnesses(()), Votes(9.0, 4.0), lambda _: {"AAA"})
    for t in range(60):
        now_ns = T0_NS + t * S
        items = [PartnerItem("BBB", track(k, T0_NS + min(t, 5) * S), 1, t * 5 + k + 1) for k in range(5)]
        said += judge.step(now_ns, items, Beside(empty_tracks(0), empty_tracks(0), 1, 0))
    assert {"BBB:tracks"} == judge.health.quarantined
    assert ["deleted"] * 5 == [one.record.status for one in said[-5:]]
    assert {0, 1, 2, 3, 4} == {one.record.number for one in said[-5:]}
    assert min(one.record.t_ns for one in said[-5:]) > max(one.record.t_ns for one in said[:-5])
