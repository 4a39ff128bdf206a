"""A tracker's watch finds what its radars add to their measurements, takes it off, and says how sure it is."""

from __future__ import annotations

import numpy as np
import pytest
from watch_world import DEG, TRUTH, watched


def test_biases_against_self_reports_are_found_and_make_no_second_track() -> None:
    """100 m, 0.2 and 0.1 degrees and 0.5 s of one radar are found within 10 % in five minutes, and each aircraft has one track."""
    watch, tracks = watched(25, 300, 11)
    state = watch.states()[watch.sensors[0].id]
    found, sigma = state.bias.value[:4], state.bias.sigma()[:4]
    assert found == pytest.approx(list(TRUTH.values()), rel=0.1), (found, sigma)
    assert (np.abs(found - list(TRUTH.values())) < 4.0 * sigma).all(), (found, sigma)
    assert state.applied
    assert 25 == int((tracks["status"] == 1).sum())
    healthy = watch.states()[watch.sensors[1].id].bias
    assert (np.abs(healthy.value[:4]) < 4.0 * healthy.sigma()[:4] + [10.0, 0.02 * DEG, 0.02 * DEG, 0.05]).all(), healthy
