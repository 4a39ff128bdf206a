"""Missile warning, its physics alone: flights to the ground, other fields of gravity, the ellipse's coverage and its speed.

Parts of benchmarks/warning.py.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from trilat.kernels import ballistic, geodesy
from trilat.kernels.frames import earth
from trilat.warn.landing import RADIUS2_95, predict
from trilat.warn.state import Coefficient, check
from warning_false import say

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "kernels"))
WGS84 = earth("wgs84")


def fly(state: np.ndarray, per: float, tolerance: float = 0.001) -> np.ndarray:
    """Return one flight's result."""
    out = np.empty(ballistic.RESULT_COLUMNS)
    ballistic.fly_one(WGS84, state, per, 0.0, 12_000.0, tolerance, 1.0, np.empty((0, 6)), out)
    return out


def physics(*, tiny: bool) -> None:
    """Landing against scipy DOP853 over random arcs."""
    from ballistic_oracle import arcs, land  # noqa: PLC0415 - a test's oracle, only here

    n = 6 if tiny else 200
    miss, late, spent = [], [], 0.0
    for state, per in arcs(n, 7):
        t0 = time.process_time()
        mine = fly(state, per)
        spent += time.process_time() - t0
        t_s, place = land(state, per)
        miss.append(float(np.linalg.norm(mine[2:5] - place)))
        late.append(abs(float(mine[1]) - t_s))
    say(f"physics: {n} random arcs against DOP853: landing max {max(miss):.3f} m, time max {max(late) * 1e3:.3f} ms (5 m, 5 ms)")
    say(f"physics: {spent / n * 1e6:.0f} us a flight")


def gravity(*, tiny: bool) -> None:
    """Drag-free arcs' landings against EGM2008 of degree and order 20 in heyoka, flown by DOP853."""
    try:
        import heyoka as hy  # noqa: PLC0415 - an oracle that need not be there
    except ImportError:
        say("gravity: heyoka is not installed (pip install heyoka): left out")
        return
    from scipy.integrate import solve_ivp  # noqa: PLC0415 - an oracle, only here

    names, spin = hy.make_vars("x", "y", "z"), 7.292115e-5
    # As a function, compiled in seconds; heyoka's own Taylor integrator of this field was not in five minutes.
    pull = hy.cfunc(hy.model.egm2008_acc(list(names), n=20, m=20), vars=list(names), compact_mode=True)

    def rate(_: float, s: np.ndarray) -> np.ndarray:
        turning = np.array([2 * spin * s[4] + spin**2 * s[0], -2 * spin * s[3] + spin**2 * s[1], 0.0])
        return np.concatenate([s[3:], pull(s[:3]) + turning])

    def down(_: float, s: np.ndarray) -> float:
        return float(geodesy.ecef_to_geodetic(s[:3])[2])

    down.terminal, down.direction = True, -1.0  # type: ignore[attr-defined] - scipy's way to say it
    rng, miss = np.random.default_rng(3), list[float]()
    for _ in range(4 if tiny else 40):
        lat, lon, speed = rng.uniform(30, 45), rng.uniform(120, 150), rng.uniform(2_000, 6_900)
        angle, turn = np.radians(rng.uniform(20, 85)), rng.uniform(0, 2 * np.pi)
        local = speed * np.array([np.cos(angle) * np.sin(turn), np.cos(angle) * np.cos(turn), np.sin(angle)])
        state = np.concatenate([geodesy.geodetic_to_ecef(lat, lon, 1e5), geodesy.enu_basis(lat, lon).T @ local])
        mine = fly(state, 0.0)
        end = solve_ivp(rate, (0.0, float(mine[1]) + 30.0), state, method="DOP853", rtol=1e-11, atol=1e-6, events=down)
        miss.append(float(np.linalg.norm(end.y_events[0][0][:3] - mine[2:5])))
    say(
        f"gravity: {len(miss)} arcs' landings against EGM2008 20x20: median {np.median(miss):.0f} m, max {max(miss):.0f} m "
        "(200 m)"
    )


def ellipse(*, tiny: bool) -> None:
    """Coverage of the 95 % ellipse over true landings, with the stated prior and with a wrong one; and its speed."""
    rng, n = np.random.default_rng(29), 500 if tiny else 10_000
    per_azimuth = n // 20
    for label, shift, wider in (("stated prior", 1.0, 1.0), ("wrong prior: median twice, spread half again", 2.0, 1.5)):
        inside = 0
        for azimuth in np.linspace(7.0, 349.0, 20):
            turn = np.radians(azimuth)
            local = [2_900 * np.sin(turn), 2_900 * np.cos(turn), 2_400.0]
            mean = np.concatenate([geodesy.geodetic_to_ecef(39.0, 129.0, 130e3), geodesy.enu_basis(39.0, 129.0).T @ local])
            one = check(mean, np.diag([250.0**2] * 3 + [5.0**2] * 3), beta=Coefficient())
            found = predict(one)
            assert found is not None  # noqa: S101 - a benchmark says so by stopping
            states = mean + rng.standard_normal((per_azimuth, 6)) @ np.linalg.cholesky(one.covariance).T
            per = 1 / (one.coefficient_kg_m2 * shift * np.exp(one.log_sigma * wider * rng.standard_normal(per_azimuth)))
            out = np.empty((per_azimuth, ballistic.RESULT_COLUMNS))
            ballistic.fly_many(WGS84, states, per, 0.0, 9e3, 1.0, 1.0, np.empty((per_azimuth, 0, 6)), out)
            offset = ((out[:, 2:5] - found.place_m) @ geodesy.enu_basis(found.lat_deg, found.lon_deg).T)[:, :2]
            inside += int(((offset @ np.linalg.inv(found.covariance[:2, :2]) * offset).sum(axis=1) <= RADIUS2_95).sum())
        say(
            f"ellipse: {label}: {inside / (per_azimuth * 20):.1%} of {per_azimuth * 20:,} landings inside the 95 % ellipse (93-97 %)"  # noqa: E501 - one printed line
        )
    t0, turns = time.process_time(), 20 if tiny else 300
    for _ in range(turns):
        predict(one)
    say(f"ellipse: {(time.process_time() - t0) / turns * 1e3:.2f} ms CPU an update (2 ms)")


PARTS = {"physics": physics, "gravity": gravity, "ellipse": ellipse}
