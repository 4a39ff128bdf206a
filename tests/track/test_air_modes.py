"""Which motions aircraft are taken for is a setting: the default as it was, other sets by name."""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from track_cases import LINES_OF_TWO, RADAR, S_NS, T0_NS, radar_plots, reports

from trilat.kernels import bank
from trilat.track import Tracker, TrackerSettings, smoothed
from trilat.track.settings import AIR_MODES, AIR_MODES_MAX, MODELS, build_model

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from smoothing import errors_of, stretches

CLIMBS = ("cv-low", "climb", "turn")
EVERY = [names for n in range(1, AIR_MODES_MAX + 1) for names in combinations(AIR_MODES, n)]


def tracked(names: tuple[Any, ...], seconds: int = 40) -> tuple[Tracker, bytes, list[Any]]:
    """Return a tracker of two aircraft with a set of modes, all that it showed, and its modes step by step."""
    made = Tracker(TrackerSettings(tracks_max=400, air_modes=names), (RADAR,), "test")
    columns, shown, modes = radar_plots(LINES_OF_TWO, seconds, np.random.default_rng(1)), [], []
    for t in range(1, seconds + 1):
        part = columns[(columns["t_ns"] >= T0_NS + (t - 1) * S_NS) & (columns["t_ns"] < T0_NS + t * S_NS)]
        shown.append(made.step(T0_NS + t * S_NS, [reports(part)]).columns)
        modes.append(made.modes())
    return made, b"".join(one.tobytes() for one in shown), modes


def test_the_default_is_straight_and_turn_with_the_numbers_of_before() -> None:
    """Nothing named: two modes, their noise, stay, start and exchange to the bit; a set's order says nothing."""
    model = build_model(TrackerSettings())
    assert (model["modes"][0], model["kind"][0, :2].tolist()) == (2, [bank.CV, bank.TURN])
    assert model["noise"][0, :2].tolist() == [[0.1, 0.2, 0.0, 0.0], [12.0, 3.0, 1e-4, 0.0]]
    assert (model["stay_s"][0, :2].tolist(), model["start"][0, :2].tolist()) == ([80.0, 30.0], [0.7, 0.3])
    assert model["share"][0, :2, :2].tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert MODELS["air"][1][1].model == "turn"
    turned = build_model(TrackerSettings(air_modes=("turn", "cv-low")))
    assert model.tobytes() == turned.tobytes()
    assert tracked(("cv-low", "turn"))[1] == tracked(("turn", "cv-low"))[1]


def test_as_many_modes_as_a_row_has_room_for() -> None:
    """The bound in the settings is the kernels'."""
    assert bank.MODES == AIR_MODES_MAX


@pytest.mark.parametrize("names", EVERY, ids="+".join)
def test_every_set_tracks(names: tuple[Any, ...]) -> None:
    """Any one to three modes make two confirmed tracks of two aircraft near where they are, go on from a checkpoint, and smooth."""
    model = build_model(TrackerSettings(air_modes=names))
    n = int(model["modes"][0])
    assert n == len(names)
    assert model["start"][0, :n].sum() == pytest.approx(1.0)
    assert model["share"][0, :n, :n].sum(axis=1) == pytest.approx(np.full(n, float(n > 1)))
    made, _, modes = tracked(names)
    now_ns = T0_NS + 40 * S_NS
    sure = made.step(now_ns, []).columns
    sure = sure[sure["status"] == 1]
    away = [np.linalg.norm(sure["position_m"] - line.at(now_ns), axis=1).min() for line in LINES_OF_TWO]
    assert (len(sure), max(away) < 500.0) == (2, True)
    again = Tracker(made.settings, (RADAR,), "test")
    again.restore(made.checkpoint())
    assert again.step(now_ns + S_NS, []).columns.tobytes() == made.step(now_ns + S_NS, []).columns.tobytes()
    paths = smoothed(modes, settings=made.settings)
    assert all(np.isfinite(part).all() for path in paths.values() for part in path)


def test_a_set_with_climb_follows_climbs_and_loses_nothing_else() -> None:
    """Climbing and levelling off, errors fall by a fifth and are as large as they say; straight and turning they stay."""
    seeds = range(30, 36)
    before, after = (
        {kind: errors_of(stretches(kind, seeds, air_modes=one))["live"] for kind in ("straight", "turning", "climbing")}
        for one in (("cv-low", "turn"), CLIMBS)
    )
    assert after["climbing"].place_m < 0.85 * before["climbing"].place_m
    assert after["climbing"].speed_m_s < 0.9 * before["climbing"].speed_m_s
    assert before["climbing"].nees > 1.4 > after["climbing"].nees > 0.6
    for kind in ("straight", "turning"):
        assert after[kind].place_m < 1.05 * before[kind].place_m
        assert after[kind].speed_m_s < 1.05 * before[kind].speed_m_s


@pytest.mark.parametrize("names", [(), ("turn", "turn"), tuple(AIR_MODES), ("cv-low", "swim")])
def test_a_set_that_cannot_be_is_refused_by_name(names: Any) -> None:
    """No mode, one twice, four, or one that there is not: a sentence that names what there is, also from a file."""
    with pytest.raises(ValueError, match=r"air_modes is .*: name one to 3, each once, of cv-low, cv-high, climb, turn"):
        TrackerSettings(air_modes=names)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"air_modes": list(names)}, TrackerSettings)
