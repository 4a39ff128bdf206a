"""An oracle for free flight that shares no code with the product's: numpy equations of motion, scipy's DOP853."""

from __future__ import annotations

import numpy as np

from trilat.kernels import atmosphere, geodesy

MU, J2, A, SPIN = 3.986004418e14, 1.082629821e-3, 6_378_137.0, 7.292115e-5


def acceleration(y: np.ndarray, per: float) -> np.ndarray:
    """Return the acceleration in the rotating frame: Newton, J2, Coriolis, centrifugal, drag."""
    p, v = y[:3], y[3:]
    r = np.linalg.norm(p)
    s = 5 * p[2] ** 2 / r**2
    a = -MU / r**3 * p * (1 + 1.5 * J2 * A**2 / r**2 * np.array([1 - s, 1 - s, 3 - s]))
    spin = np.array([0.0, 0.0, SPIN])
    a = a - 2 * np.cross(spin, v) - np.cross(spin, np.cross(spin, p))
    if per > 0:
        out = np.empty(1)
        atmosphere.density_many(np.array([geodesy.ecef_to_geodetic(p)[2]]), out)
        a = a - 0.5 * out[0] * np.linalg.norm(v) * per * v
    return a


def land(y0: np.ndarray, per: float) -> tuple[float, np.ndarray]:
    """Return time and place (ECEF) of landing."""
    from scipy.integrate import solve_ivp  # takes a second: workers that only collect tests need not wait for it

    def height(_: float, y: np.ndarray) -> float:
        return float(geodesy.ecef_to_geodetic(y[:3])[2])

    height.terminal, height.direction = True, -1  # type: ignore[attr-defined]
    found = solve_ivp(
        lambda _, y: np.concatenate([y[3:], acceleration(y, per)]),
        (0, 12_000),
        y0,
        "DOP853",
        rtol=1e-11,
        atol=1e-6,
        events=height,
    )
    return float(found.t_events[0][0]), found.y_events[0][0][:3]


def arcs(n: int, seed: int) -> list[tuple[np.ndarray, float]]:
    """Return n random arcs, of all latitudes, angles and energies: state (6,) and 1 / ballistic coefficient (a third is 0)."""
    rng = np.random.default_rng(seed)
    out = []
    for k in range(n):
        lat, lon, height = rng.uniform(-70, 70), rng.uniform(-180, 180), rng.uniform(4e4, 2.5e5)
        speed, angle, turn = rng.uniform(1_000, 6_900), np.radians(rng.uniform(5, 88)), rng.uniform(0, 2 * np.pi)
        local = speed * np.array([np.cos(angle) * np.sin(turn), np.cos(angle) * np.cos(turn), np.sin(angle)])
        state = np.concatenate([geodesy.geodetic_to_ecef(lat, lon, height), geodesy.enu_basis(lat, lon).T @ local])
        out.append((state, (0.0, 1 / 5_000, 1 / 1_000)[k % 3]))
    return out
