"""What a tracker says happened to its numbers: merges and splits."""

from __future__ import annotations

from typing import Any

import numpy as np
from track_cases import S_NS, T0_NS, Line, feed, radar_plots, tracker

from trilat.kernels import show
from trilat.records.columns import STATUSES, empty_tracks

CONFIRMED = STATUSES.index("confirmed")


def row(number: int, x_m: float, **fields: Any) -> Any:
    """A confirmed track at x_m that flies at 200 m/s along x, known to 50 m and 10 m/s."""
    out = empty_tracks(1)
    out["number"], out["status"], out["position_m"][0, 0], out["velocity_m_s"][0, 0] = number, CONFIRMED, x_m, 200.0
    out["covariance"][0] = np.diag([2_500.0] * 3 + [100.0] * 3)
    out["address"], out["mmsi"] = -1, -1
    for name, value in fields.items():
        out[name] = value
    return out


def merged(out: Any, last: Any) -> int:
    """Return the place in out of the track that an ended one went into, -1 where there is none."""
    show.merged_into(out, last, into := np.empty(1, np.int64))
    return int(into[0])


def origins(lost: Any, out: Any, *fresh: int) -> list[tuple[int, int]]:
    """Return, for places in out of new tracks, the place in lost of the one it may be and in out of that beside which it began."""
    old, beside = np.empty((2, len(fresh)), np.int64)
    show.came_from(lost, out, np.array(fresh), old, beside)
    return list(zip(old.tolist(), beside.tolist(), strict=True))


def test_confirmed_is_the_same_word_in_the_kernels() -> None:
    """The kernels' number for a confirmed track is the place of that word in the records."""
    assert CONFIRMED == show.SHOWN_CONFIRMED


def test_a_track_that_ended_where_another_flies_was_merged_into_it() -> None:
    """The nearest confirmed track that goes on within the doubt of both is named; one apart, or of another identity, is not."""
    last = row(2, 30.0, address=7)
    going = {"updated_t_ns": S_NS}
    assert 1 == merged(np.concatenate([row(3, 80.0, **going), row(1, 0.0, **going)]), last)
    assert -1 == merged(row(1, 3_000.0, **going), last)
    assert -1 == merged(row(1, 0.0, address=8, **going), last)
    assert -1 == merged(row(1, 0.0, **going), row(2, 30.0, updated_t_ns=2 * S_NS))
    assert -1 == merged(row(1, 0.0, status=0, **going), last)


def test_a_track_that_began_beside_an_older_one_parted_from_it() -> None:
    """Both are compared where they were when the younger began, however far apart they are by now."""
    now = {"t_ns": 20 * S_NS, "born_t_ns": 10 * S_NS, "velocity_m_s": np.array([200.0, 18.0, 0.0])}
    new = row(2, 4_000.0, **now)
    new["position_m"][0, 1] = 180.0
    older = row(1, 4_000.0, t_ns=20 * S_NS, born_t_ns=0)
    nobody = empty_tracks(0)
    assert [(-1, 0)] == origins(nobody, np.concatenate([older, new]), 1)
    assert [(-1, -1)] == origins(nobody, np.concatenate([row(1, 4_000.0, t_ns=20 * S_NS, born_t_ns=8 * S_NS), new]), 1)


def test_a_lost_track_comes_back_once() -> None:
    """A new track where a lost one would be by now is that one; a second beside it is not, nor is one of another identity or course."""
    lost = np.concatenate([row(4, 0.0, address=7), row(5, 90_000.0)])
    out = np.concatenate([row(8, 2_000.0, t_ns=10 * S_NS), row(9, 2_020.0, t_ns=10 * S_NS)])
    assert [(0, -1), (-1, -1)] == origins(lost, out, 0, 1)
    assert [(-1, -1)] == origins(lost, row(8, 2_000.0, t_ns=10 * S_NS, address=8), 0)
    assert [(-1, -1)] == origins(lost, row(8, 2_000.0, t_ns=10 * S_NS, velocity_m_s=np.array([-200.0, 0.0, 0.0])), 0)


def test_one_becomes_two_and_it_is_recorded() -> None:
    """A second aircraft that appears beside a first and draws away slowly is confirmed as split from it, once."""
    rng, line = np.random.default_rng(5), Line(60e3, 20e3, 9e3, 200.0, 50.0)
    started = T0_NS + 60 * S_NS
    beside = radar_plots([line], 120, rng)
    beside = beside[beside["t_ns"] > started]
    beside["azimuth_rad"] += 3e-3 + (beside["t_ns"] - started) / S_NS * 25.0 / 60e3
    made = tracker()
    feed(made, np.concatenate([radar_plots([line], 120, rng), beside]))
    assert [("split", 1)] == [(event.kind, event.number) for event in made.events if event.kind == "split"]


def test_the_last_track_of_all_ends() -> None:
    """A confirmed track that nothing is left beside is told as deleted, once, and a tracker without tracks goes on."""
    made = tracker()
    feed(made, radar_plots([Line(60e3, 20e3, 9e3, 200.0, 50.0)], 40, np.random.default_rng(5)))
    number = int(made.step(T0_NS + 40 * S_NS, []).columns["number"][0])
    assert (number,) == made.step(T0_NS + 400 * S_NS, []).deleted
    assert [("deleted", number)] == [(event.kind, event.number) for event in made.events if event.kind != "confirmed"]
    assert 0 == len(made.step(T0_NS + 401 * S_NS, []).columns)
