"""Smoothing and sets of motions say what was wrong of what they cannot take: cause and remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from track_cases import RADAR, S_NS, SMALL, T0_NS, Line, radar_plots, reports

from trilat.track import Tracker, TrackerSettings, smoothed, smoothed_columns

THREE = TrackerSettings(tracks_max=40, air_modes=("cv-low", "climb", "turn"))


def kept(settings: TrackerSettings) -> tuple[list[Any], list[Any]]:
    """Tracks, step by step, and their modes, of one aircraft."""
    columns = radar_plots([Line(40e3, 20e3, 9e3, 200.0, 50.0)], 40, np.random.default_rng(1))
    made, shown, modes = Tracker(settings, (RADAR,), "test"), list[Any](), list[Any]()
    for t in range(4, 41, 4):
        part = columns[(columns["t_ns"] >= T0_NS + (t - 4) * S_NS) & (columns["t_ns"] < T0_NS + t * S_NS)]
        shown.append(made.step(T0_NS + t * S_NS, [reports(part)]))
        modes.append(made.modes())
    return shown, modes


SHOWN, MODES = kept(SMALL)
Call = Callable[..., object]


def untyped(call: Call, *given: Any, **named: Any) -> Callable[[], object]:
    """As a notebook calls it: no type is checked before."""
    return lambda: call(*given, **named)


WRONG: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "one step alone": (untyped(smoothed, MODES[-1], settings=SMALL), TypeError, "history is one array, .* in a list"),
    "no settings": (untyped(smoothed, MODES, settings=3), TypeError, "settings is a int, a TrackerSettings wanted"),
    "settings for the noise": (untyped(smoothed, MODES, SMALL), TypeError, "noise_m2_s3 is a TrackerSettings, .*settings="),
    "a noise below zero": (untyped(smoothed, SHOWN, -1.0), ValueError, "noise_m2_s3 is -1.0: "),
    "a noise that is none": (untyped(smoothed, SHOWN, float("nan")), ValueError, "noise_m2_s3 is nan: "),
    "another tracker's settings": (untyped(smoothed, kept(THREE)[1]), ValueError, r"other modes than .*: give the tracker's"),
    "no settings for columns": (untyped(smoothed_columns, SHOWN, MODES, None), TypeError, "settings is a NoneType, "),
    "columns for modes": (untyped(smoothed_columns, SHOWN, SHOWN, SMALL), TypeError, r"modes holds .*Tracker\.modes"),
    "modes for columns": (untyped(smoothed_columns, MODES, MODES, SMALL), TypeError, r"shown holds .*Tracker\.step"),
    "a word for a set": (untyped(TrackerSettings, air_modes="turn"), TypeError, r"air_modes is 'turn', .*\('turn',\)"),
    "nothing for a set": (untyped(TrackerSettings, air_modes=None), TypeError, "air_modes is None, "),
    "a number in a set": (untyped(TrackerSettings, air_modes=("turn", 1)), TypeError, r"air_modes is \('turn', 1\), "),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_smoothed_with_is_told(name: str) -> None:
    """The message names the argument, what it was, and what to give."""
    call, kind, words = WRONG[name]
    with pytest.raises(kind, match=words):
        call()


def test_tracks_as_a_step_gave_them_are_taken_as_their_columns_are() -> None:
    """Of what `Tracker.step` returned, and of its columns, the same comes back."""
    whole, columns = (smoothed_columns(one, MODES, SMALL) for one in (SHOWN, [tracks.columns for tracks in SHOWN]))
    assert [one.tobytes() for one in columns] == [one.tobytes() for one in whole]
