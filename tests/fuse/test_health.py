"""Health: sources that do not fit are named and quarantined, the others are left alone, and what mends comes back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fuse_world import START_NS, World

from trilat.fuse.combine import Combiner
from trilat.fuse.health import Health, HealthSettings, Verdict, whitened
from trilat.records.columns import KIND_FIX, KIND_RADAR, KIND_TRACKLET, empty_reports

S_NS = 10**9


def plots(g: np.random.Generator, t_s: float, count: int = 10) -> Any:
    rows = empty_reports(count)
    rows["kind"], rows["t_ns"] = KIND_RADAR, START_NS + round(t_s * 1e9)
    rows["range_m"], rows["azimuth_rad"] = g.uniform(1e4, 2e5, count), g.uniform(0, 6, count)
    return rows


def watch(seconds: int, bad: Any, settings: HealthSettings | None = None) -> list[dict[str, Verdict]]:
    """Feed an honest source and a bad one side by side; bad(g, t) gives the bad one's reports and innovations."""
    g, health, out = np.random.default_rng(1), Health(settings), []
    for t in range(seconds):
        now = START_NS + t * S_NS
        health.reports("honest", now, plots(g, t - 0.3))
        health.innovations("honest", now, g.normal(size=(10, 3)))
        reports, innovations = bad(g, t)
        health.reports("bad", now, reports)
        health.innovations("bad", now, innovations)
        out.append(health.step(now))
    return out


def drifting(g: np.random.Generator, t: int) -> tuple[Any, Any]:
    return plots(g, t - 0.3), g.normal(size=(10, 3)) + np.array([0.02 * t, 0.0, 0.0])


def stuck(g: np.random.Generator, t: int) -> tuple[Any, Any]:
    return plots(g, min(t, 20) - 0.3), g.normal(size=(10, 3))


def jumped(g: np.random.Generator, t: int) -> tuple[Any, Any]:
    return plots(g, t - 0.3 - (60.0 if t > 40 else 0.0)), g.normal(size=(10, 3))


def noisy(g: np.random.Generator, t: int) -> tuple[Any, Any]:
    return plots(g, t - 0.3), g.normal(size=(10, 3)) * (1.0 if t < 30 else 3.0)


def replayed(g: np.random.Generator, t: int) -> tuple[Any, Any]:
    again = np.random.default_rng(1000 + t % 60)
    return plots(again, t - 0.3), g.normal(size=(10, 3))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [(drifting, "bias-drifts"), (stuck, "clock-stuck"), (jumped, "clock-off"), (noisy, "does-not-fit"), (replayed, "replayed")],
    ids=["drifting bias", "stuck clock", "clock jump", "too large errors", "replayed minutes"],
)
def test_a_bad_source_is_quarantined_and_others_are_not(bad: Any, reason: str) -> None:
    """Each kind of fault is named and quarantined; the honest source beside it stays fit throughout."""
    told = watch(180, bad)
    assert ("quarantined", reason) == (told[-1]["bad"].state, told[-1]["bad"].reason)
    assert {"fit"} == {one["honest"].state for one in told[40:]}
    states = [one["bad"].state for one in told]
    assert states.index("suspect") < states.index("quarantined")


def test_a_source_that_mends_comes_back() -> None:
    """A source fits again after its fault has left the window and it has fitted for the time of release."""
    told = watch(400, lambda g, t: (plots(g, t - 0.3), g.normal(size=(10, 3)) * (4.0 if 50 <= t < 100 else 1.0)))
    states = [one["bad"].state for one in told]
    assert ("quarantined", "fit") == (states[100], states[-1])
    assert states.index("quarantined") + 60 < len(states) - states[::-1].index("quarantined")


def test_ghosts_are_told_from_lone_sight() -> None:
    """Tracks that others should see and do not are ghosts; those that nobody else could see say nothing."""
    health = Health()
    for t in range(60):
        now = START_NS + t * S_NS
        health.confirmations("ghostly", now, 10, 2)
        health.confirmations("far away", now, 0, 0)
        health.confirmations("good", now, 10, 9)
        told = health.step(now)
    assert {"ghostly": "ghosts", "good": ""} == {name: one.reason for name, one in told.items()}
    assert frozenset({"ghostly"}) == health.quarantined


def test_a_ship_at_anchor_is_no_replay() -> None:
    """What lies still repeats itself rightly."""
    health, row = Health(), empty_reports(5)
    row["kind"], row["lat_deg"], row["lon_deg"], row["speed_m_s"] = KIND_FIX, 33.0, 130.0, 0.0
    for t in range(60):
        row["t_ns"] = START_NS + t * S_NS
        health.reports("ais", START_NS + t * S_NS, row)
        told = health.step(START_NS + t * S_NS)
    assert "" == told["ais"].reason


def test_health_is_per_audience() -> None:
    """Two audiences' monitors share nothing: what one learns of a withheld source does not show in the other."""
    one, two = Health(), Health()
    g = np.random.default_rng(2)
    for t in range(60):
        now = START_NS + t * S_NS
        one.innovations("withheld", now, g.normal(size=(10, 3)) * 9.0)
        for health in (one, two):
            health.innovations("shared", now, np.full((10, 3), 0.5))
        told = [one.step(now), two.step(now)]
    assert told[0]["shared"] == told[1]["shared"]
    assert ({"withheld"}, set()) == (one.quarantined, two.quarantined)


def test_a_partner_with_a_drifting_bias_is_found_in_the_combined_picture() -> None:
    """A partner whose tracks drift away is quarantined by its distance from the others' fused tracks; the other partner is not."""
    world, health = World(30, 4), Health(HealthSettings(bias_max=1.5))
    combiner = Combiner("JPN", ("KOR",))
    for t in range(120):
        now = START_NS + t * S_NS
        shift = np.array([0.0, 0.0, 6.0]) * max(t - 30, 0)
        fused = combiner.step(now, world.tracks("JPN", float(t)), world.items("KOR", float(t), t))
        mine = fused.tracks.columns[(fused.nations & 1).astype(bool)]
        order = np.argsort([key[2] for keys in fused.members for key in keys if key[0] == "JPN"])
        for name, offset in (("USA", shift), ("KOR", 0.0)):
            state = world.states(name, float(t))[np.argsort(world.numbers["JPN"])] + np.r_[offset * np.ones(3), np.zeros(3)]
            covariance = np.broadcast_to(world.covariance[name], (30, 6, 6))
            health.innovations(name, now, whitened(state[:, :3], state[:, 3:], covariance, mine[order]))
        told = health.step(now)
    assert ("quarantined", "fit") == (told["USA"].state, told["KOR"].state)


def test_a_link_that_falls_behind_is_no_clock_that_stands() -> None:
    """After a pause of forty seconds stamps go on where they were, second by second: the pause is no time in which they stood."""
    g, health = np.random.default_rng(1), Health(HealthSettings(late_s_max=1e9, usual_s=0.0))
    for t in [*range(60), *range(100, 160)]:
        now = START_NS + t * S_NS
        health.reports("partner", now, plots(g, t - 0.3 - (40.0 if t >= 100 else 0.0)))
        assert "" == health.step(now)["partner"].reason, t


def test_one_stamp_of_times_to_come_stops_no_clock() -> None:
    """A single report of tomorrow is that report's fault: the clock is seen to go on by all others."""
    g, health = np.random.default_rng(1), Health()
    for t in range(90):
        rows = plots(g, t - 0.3)
        if t == 30:
            rows["t_ns"][3] += 86_400 * S_NS
        health.reports("radar", START_NS + t * S_NS, rows)
        told = health.step(START_NS + t * S_NS)
        assert "" == told["radar"].reason, (t, told)


def test_a_false_plot_or_two_among_few_is_no_misfit() -> None:
    """A harbour radar with two ships in sight may join a false plot to one of them: that is no noise and no drift of the radar."""
    g, health = np.random.default_rng(1), Health()
    for t in range(240):
        whitened = g.normal(size=(1, 2))
        if t in (151, 153, 171):
            whitened = whitened + np.array([8.0, -17.0])
        z = whitened if t % 2 else whitened[:0]
        health.sums("harbour", START_NS + t * S_NS, len(z), 2 * len(z), float((z**2).sum()), np.r_[z.sum(axis=0), 0.0])
        told = health.step(START_NS + t * S_NS)
        assert not told or not told["harbour"].reason, (t, told)


@pytest.mark.parametrize("seconds", [2, 7, 60])
def test_a_recording_played_round_and_round_is_a_replay(seconds: int) -> None:
    """However short what is played again, under the times of now."""
    health = Health()
    for t in range(3 * seconds + 30):
        health.reports("recorder", START_NS + t * S_NS, plots(np.random.default_rng(t % seconds), t - 0.3))
        told = health.step(START_NS + t * S_NS)
    assert "replayed" == told["recorder"].reason


def test_echoes_that_stand_still_are_no_replay() -> None:
    """A harbour radar that tells range and azimuth in ASTERIX's steps says the same of anchored ships again and again, rightly."""
    g, health, ships, turn_s = np.random.default_rng(1), Health(), 20, 2.5
    range_m, azimuth_rad = g.uniform(2e3, 4e4, ships), g.uniform(0, 2 * np.pi, ships)
    when = azimuth_rad / (2 * np.pi) * turn_s
    for t in range(400):
        now = START_NS + t * S_NS
        seen = np.floor((t - when) / turn_s) != np.floor((t - 1 - when) / turn_s)
        rows = plots(g, t, int(seen.sum()))
        for name, true, sigma, step in (("range_m", range_m, 8.0, 1852 / 256), ("azimuth_rad", azimuth_rad, 3e-4, np.pi / 2**15)):
            rows[name] = np.round((true[seen] + g.normal(0, sigma, seen.sum())) / step) * step
        health.reports("harbour", now, rows)
        told = health.step(now)
        assert not told or not told["harbour"].reason, (t, told)


def test_what_lies_still_in_tracklets_is_no_replay_and_what_moves_is() -> None:
    """Tracklets tell no speed: those of a number that stays where it is repeat themselves rightly, one that moved has to be new."""
    for still in (True, False):
        health, row = Health(), empty_reports(5)
        row["kind"], row["sensor_track"], row["lat_deg"] = KIND_TRACKLET, np.arange(5), 33.0 + np.arange(5)
        for t in range(120):
            row["lon_deg"] = 130.0 if still else 130.0 + 0.002 * (t % 60)
            row["t_ns"] = START_NS + t * S_NS
            health.reports("partner", START_NS + t * S_NS, row)
            told = health.step(START_NS + t * S_NS)
        assert told["partner"].reason == ("" if still else "replayed")


def test_sums_that_shrink_or_are_no_numbers_are_taken_for_what_they_are() -> None:
    """What a late report changed is taken off the sums as it is, and what is infinite is left out: the figures stay real."""
    health = Health()
    for k in range(1, 31):
        health.sums("late", START_NS + k * S_NS, 4, 12.0, 12.0, np.zeros(3))
    health.sums("late", START_NS + 31 * S_NS, 2, -3.0, 40.0, np.ones(3))
    health.sums("late", START_NS + 31 * S_NS, 2, 6.0, np.inf, np.full(3, np.nan))
    told = health.step(START_NS + 31 * S_NS)["late"]

    assert told.state == "fit"
    assert 1.0 < told.nis_per_dimension < 1.5
    assert 0.0 < told.bias < 0.1
