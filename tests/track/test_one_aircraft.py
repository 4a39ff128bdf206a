"""One aircraft is one track: doubles of self-reports end, and a false claim still captures nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from track_cases import RADAR_B, S_NS, T0_NS, Line, confirmed, feed, fixes, radar_plots, reports, tracker

from trilat.records.columns import TRACK_FLAG_ID_CONFLICT

LINE = Line(40e3, 20e3, 9e3, 200.0, 50.0)
ADDRESS = 0xABCDEF
SECONDS = 90


def times(first: int, last: int, every: int = 1) -> list[int]:
    return [T0_NS + t * S_NS for t in range(first, last, every)]


def behind(metres: float) -> Line:
    """The same flight, so far behind."""
    out = Line(40e3, 20e3, 9e3, 200.0, 50.0)
    out.start = LINE.start - metres * LINE.velocity / np.linalg.norm(LINE.velocity)
    return out


def flight(rng: np.random.Generator, every: int = 2) -> Any:
    return fixes(LINE, times(0, SECONDS, every), rng, address=ADDRESS)


def test_a_double_that_comes_back_to_its_flight_ends() -> None:
    """A receiver half a kilometre behind for a while draws a second track; once both are one place the older goes on alone."""
    rng = np.random.default_rng(21)
    late = fixes(behind(600.0), times(21, 41, 2), rng, address=ADDRESS)
    right = fixes(LINE, times(41, SECONDS, 2), rng, address=ADDRESS)
    made = tracker()
    last = feed(made, np.concatenate([flight(rng), late, right]))
    assert [1] == confirmed(last)["number"].tolist()


def test_a_place_that_is_repeated_does_not_stand_for_long() -> None:
    """A receiver that repeats an old place makes a track that ends seconds after its last repetition, not half a minute."""
    rng = np.random.default_rng(22)
    stale = fixes(Line(38e3, 19e3, 9e3, 0.0, 0.0), times(41, 50, 2), rng, address=ADDRESS)
    columns = np.concatenate([flight(rng, every=1), stale])
    # Silent for 5 s from 49 s on, and looked at in every eighth frame; without the rule it would stand until 79 s.
    last = feed(tracker(), columns[columns["t_ns"] <= T0_NS + 66 * S_NS])
    assert [1] == confirmed(last)["number"].tolist()


def test_a_claim_from_elsewhere_is_neither_merged_nor_believed() -> None:
    """Who claims the address of a flight from 30 km away keeps a track of its own, and the flight its number and place."""
    rng = np.random.default_rng(23)
    liar = Line(70e3, 20e3, 9e3, 200.0, 50.0)
    made = tracker()
    last = feed(made, np.concatenate([flight(rng), fixes(liar, times(31, SECONDS, 2), rng, address=ADDRESS)]))
    held = confirmed(last)
    away = [np.linalg.norm(held["position_m"] - body.at(last.t_ns), axis=1) for body in (LINE, liar)]
    assert (2, 1) == (len(held), int(held["number"][away[0].argmin()]))
    assert max(away[0].min(), away[1].min()) < 200.0


def test_the_last_word_of_a_flight_is_not_taken_by_who_claims_its_address() -> None:
    """A flight that falls silent coasts its full time although a younger track reports under its address."""
    rng = np.random.default_rng(24)
    liar = Line(70e3, 20e3, 9e3, 200.0, 50.0)
    honest = fixes(LINE, times(0, 40, 2), rng, address=ADDRESS)
    last = feed(tracker(), np.concatenate([honest, fixes(liar, times(31, 60, 2), rng, address=ADDRESS)]))
    assert 1 in confirmed(last)["number"].tolist()


@pytest.mark.parametrize("seed", range(1, 5))
def test_two_that_fly_side_by_side_stay_two(seed: int) -> None:
    """Aircraft 400 m apart, hardly told apart by these radars, each seen in seven looks of ten, are two tracks for minutes."""
    rng = np.random.default_rng(30 + seed)
    beside = Line(40e3, 20.4e3, 9e3, 200.0, 50.0)
    both = [LINE, beside]
    columns = np.concatenate([radar_plots(both, 400.0, rng), radar_plots(both, 400.0, rng, 1, RADAR_B)])
    made, held = tracker(), []
    columns = columns[rng.random(len(columns)) < 0.7]
    columns = columns[np.argsort(columns["t_ns"], kind="stable")]
    for t in range(1, 400):
        now = T0_NS + t * S_NS
        part = columns[(columns["t_ns"] >= now - S_NS) & (columns["t_ns"] < now)]
        held.append(len(confirmed(made.step(now, [reports(part)]))))
    assert 2 == min(held[60:])


def test_a_claim_is_flagged_for_as_long_as_it_contradicts() -> None:
    """A false claim that goes on is not believed after a minute either; nor flagged for ever once nobody contradicts it."""
    rng, false = np.random.default_rng(6), behind(20e3)
    columns = np.concatenate(
        [fixes(LINE, times(0, 200), rng, address=ADDRESS), fixes(false, times(20, 400, 1), rng, address=ADDRESS)]
    )
    for until, flagged in ((199, True), (399, False)):
        last = feed(tracker(), columns[columns["t_ns"] < T0_NS + until * S_NS])
        claimed = min(confirmed(last), key=lambda row: np.linalg.norm(row["position_m"] - false.at(last.t_ns)))
        assert 50.0 > np.linalg.norm(claimed["position_m"] - false.at(last.t_ns))
        assert flagged == bool(claimed["flags"] & TRACK_FLAG_ID_CONFLICT)
        assert (2 if flagged else 1) == len(confirmed(last))
