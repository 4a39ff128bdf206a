"""Free flight against an oracle, the standard atmosphere against its own table, apogee between steps."""

from __future__ import annotations

import numpy as np
import pytest
from ballistic_oracle import arcs, land

from trilat.kernels import atmosphere, ballistic, geodesy
from trilat.kernels.frames import earth

FIVE_METERS, FIVE_MS = 5.0, 5e-3
# Density kg/m3 of the U.S. Standard Atmosphere 1976, table I.
TABLE = {
    0: 1.2250,
    11_000: 3.6480e-1,
    20_000: 8.8910e-2,
    32_000: 1.3555e-2,
    50_000: 1.0269e-3,
    80_000: 1.8458e-5,
    120_000: 2.222e-8,
}


def fly(state: np.ndarray, per: float) -> np.ndarray:
    """Fly one state and return its result."""
    out = np.empty(ballistic.RESULT_COLUMNS)
    ballistic.fly_one(earth("wgs84"), state, per, 0.0, 12_000.0, 0.001, 1.0, np.empty((0, 6)), out)
    return out


def test_density_is_the_standards() -> None:
    """Densities agree with the printed table to its own rounding."""
    out = np.empty(len(TABLE))
    atmosphere.density_many(np.array([*TABLE], np.float64), out)
    assert np.allclose(out, [*TABLE.values()], rtol=2e-4)


@pytest.mark.parametrize("n", [5, pytest.param(200, marks=pytest.mark.soak)])
def test_landing_agrees_with_dop853(n: int) -> None:
    """Random arcs land where and when scipy's DOP853 says: within 5 m and 5 ms."""
    seed = 20
    for state, per in arcs(n, seed):
        mine, (t_s, place) = fly(state, per), land(state, per)
        assert mine[0] == ballistic.LANDED, seed
        assert np.linalg.norm(mine[2:5] - place) <= FIVE_METERS, (seed, state, per)
        assert abs(mine[1] - t_s) <= FIVE_MS, (seed, state, per)


def test_apogee_is_no_step() -> None:
    """The apogee is the highest point of the path, to a metre, though steps are minutes long."""
    state = np.concatenate([geodesy.geodetic_to_ecef(40, 130, 150e3), geodesy.enu_basis(40, 130).T @ [500.0, 200.0, 4_000.0]])
    out, path = np.empty(ballistic.RESULT_COLUMNS), np.empty((20_000, 6))
    rows = ballistic.fly_one(earth("wgs84"), state, 0.0, 0.0, 12_000.0, 0.1, 0.1, path, out)
    assert abs(out[ballistic.R_APOGEE] - geodesy.ecef_to_geodetic(path[:rows, :3])[:, 2].max()) < 1.0
