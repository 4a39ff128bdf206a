"""What a tracker says happened to its numbers: merges and splits."""

from __future__ import annotations

from typing import Any

import numpy as np
from track_cases import S_NS, T0_NS, Line, feed, radar_plots, tracker

from trilat.records.columns import STATUSES, empty_tracks
from trilat.track.events import Places

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


def test_a_track_that_ended_where_another_flies_was_merged_into_it() -> None:
    """The nearest confirmed track that goes on within the doubt of both is named; one apart, or of another identity, is not."""
    last = row(2, 30.0, address=7)[0]
    going = {"updated_t_ns": S_NS}
    assert 1 == Places(np.concatenate([row(3, 80.0, **going), row(1, 0.0, **going)])).merged_into(last)
    assert None is Places(row(1, 3_000.0, **going)).merged_into(last)
    assert None is Places(row(1, 0.0, address=8, **going)).merged_into(last)
    assert None is Places(row(1, 0.0, **going)).merged_into(row(2, 30.0, updated_t_ns=2 * S_NS)[0])


def test_a_track_that_began_beside_an_older_one_parted_from_it() -> None:
    """Both are compared where they were when the younger began, however far apart they are by now."""
    now = {"t_ns": 20 * S_NS, "born_t_ns": 10 * S_NS, "velocity_m_s": np.array([200.0, 18.0, 0.0])}
    new = row(2, 4_000.0, **now)
    new["position_m"][0, 1] = 180.0
    older = row(1, 4_000.0, t_ns=20 * S_NS, born_t_ns=0)
    assert 1 == Places(np.concatenate([older, new])).parted_from(new[0])
    assert None is Places(np.concatenate([row(1, 4_000.0, t_ns=20 * S_NS, born_t_ns=8 * S_NS), new])).parted_from(new[0])


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
