"""A tracker's watch finds what its radars add to their measurements, takes it off, and says how sure it is."""

from __future__ import annotations

import numpy as np
import pytest
from watch_world import DEG, HONEST, TRUTH, watched

from trilat.fuse.registration import PLACE, RegistrationSettings


def test_biases_against_self_reports_are_found_and_make_no_second_track() -> None:
    """100 m, 0.2 and 0.1 degrees and 0.5 s of one radar are found within 10 % in five minutes, and each aircraft has one track."""
    watch, tracks, *_ = watched(25, 300, 11)
    state = watch.states()[watch.sensors[0].id]
    found, sigma = state.bias.value[:4], state.bias.sigma()[:4]
    assert found == pytest.approx(list(TRUTH.values()), rel=0.1), (found, sigma)
    assert (np.abs(found - list(TRUTH.values())) < 4.0 * sigma).all(), (found, sigma)
    assert state.applied
    assert state.bias.surveyed
    assert 25 == int((tracks["status"] == 1).sum())
    healthy = watch.states()[watch.sensors[1].id].bias
    assert (np.abs(healthy.value[:4]) < 4.0 * healthy.sigma()[:4] + [10.0, 0.02 * DEG, 0.02 * DEG, 0.05]).all(), healthy


PLACE_M = (300.0, 200.0, 0.0)
AS_SURVEYED = RegistrationSettings(place_wrong_sigma_m=1.0)  # what a watch that never doubts a place makes of it


@pytest.mark.parametrize("truth", [HONEST, TRUTH], ids=["place", "place-and-biases"])
def test_a_radar_that_stands_elsewhere_is_found_and_its_plots_are_moved(truth: dict[str, float]) -> None:
    """300 m east and 200 m north of its surveyed place: found, one track each, and nearer to the aircraft."""
    found, held = (watched(25, 240, 12, truth, PLACE_M, registration, silent=15) for registration in (None, AS_SURVEYED))
    bias = found.watch.states()[found.watch.sensors[0].id].bias
    away = np.abs(bias.value[PLACE:] - PLACE_M)
    assert not bias.surveyed
    assert found.watch.moved_m() == {found.watch.sensors[0].id: pytest.approx(360.0, abs=40.0)}
    assert {} == held.watch.moved_m()
    assert (away < [30.0, 20.0, 50.0]).all(), (bias.value, bias.sigma())
    assert found.watch.states()[found.watch.sensors[1].id].bias.surveyed
    assert 25 == int((found.tracks["status"] == 1).sum())
    assert found.rmse_m < 0.6 * held.rmse_m, (found.rmse_m, held.rmse_m)
    assert found.false <= 0.1 < held.false, (found.false, held.false)


def test_where_every_place_is_right_doubt_changes_nothing() -> None:
    """With places as surveyed, biased or not, errors are those of a watch that never doubts a place, within 2 %."""
    for truth in (HONEST, TRUTH):
        free, held = (watched(15, 120, 13, truth, registration=registration) for registration in (None, AS_SURVEYED))
        assert all(state.bias.surveyed for state in free.watch.states().values())
        assert free.rmse_m == pytest.approx(held.rmse_m, rel=0.02)
