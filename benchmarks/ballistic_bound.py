"""How near a missile's landing can be told at all: bounds from the very plots that a run of benchmarks/ballistic.py tracked.

Three figures a delay after burn-out, each a median over the missiles as the scorer counts. None can be beaten, each by a tracker
that knows more than any does: *free* knows when the motor stops and nothing of its thrust (an acceleration that wanders as much
as in the tracker's own model); *programme* knows the generator's whole thrust programme and draws, but for its nine numbers;
*fall* knows the true state, and errs only by the coefficient of 5,000 kg/m2 that the scorer falls on with. The first two are
posterior Cramer-Rao bounds (Tichavsky, Muravchik and Nehorai, IEEE Transactions on Signal Processing 46, 1998): covariances along
the true path, moved to the ground by the landing's derivatives. Which plot is of which missile is known.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scenarios import RADIUS_M, Earth, landing, thrust_of

THRUST_NOISE, THRUST_M_S2, SPEED_M_S = 2.0, 30.0, 2_000.0  # as MODELS of track/settings.py has them
MOVED = (100.0, 0.1)  # m and m/s, for the landing's derivatives
DRAWS = np.random.default_rng(0).normal(size=(2_000, 2))
TAU_S = 0.25
# The generator's numbers: one sigma of what it draws them from, and by how much each is moved for a derivative.
NUMBERS = {
    "east": (90e3, 50.0),
    "north": (75e3, 50.0),
    "launch_t": (35.0, 0.05),
    "heading": (np.radians(14.5), 1e-4),
    "pitch": (np.radians(8.7), 1e-4),
    "burn": (14.5, 0.05),
    "thrust": (1.75, 0.01),
    "growth": (5.8, 0.02),
    "beta": (1_440.0, 20.0),
}


def plots_of(arrays: Any, missile: int, until_s: float) -> list[tuple[float, Any, Any]]:
    """Return a missile's own plots up to a time: when, how they look at its place (3, 3), and their sigmas."""
    out = []
    for row in np.flatnonzero(arrays["det_truth"] == missile):
        k = int(np.searchsorted(arrays["scan_start"], row, side="right")) - 1
        if arrays["scan_t"][k] > until_s:
            break
        s = arrays["scan_sensor"][k]
        d = arrays["truth_pos"][missile, k] - arrays["sensor_pos"][s]
        flat2, r = d[0] ** 2 + d[1] ** 2, np.linalg.norm(d)
        flat = np.sqrt(flat2)
        look = np.array([[-d[0] * d[2] / flat, -d[1] * d[2] / flat, flat], [-d[1], d[0], 0.0], d / r])
        look[0] /= r * r
        look[1] /= flat2
        out.append((float(arrays["scan_t"][k]), look, arrays["sensor_sigma"][s]))
    return out


def _moved(covariance: Any, dt: float, noise: float) -> Any:
    """Return a covariance of place, velocity and thrust (9, 9) moved on by dt with wandering thrust."""
    one = np.eye(3)
    step = np.kron([[1.0, dt, dt * dt / 2], [0.0, 1.0, dt], [0.0, 0.0, 1.0]], one)
    wander = np.kron([[dt**5 / 20, dt**4 / 8, dt**3 / 6], [dt**4 / 8, dt**3 / 3, dt**2 / 2], [dt**3 / 6, dt**2 / 2, dt]], one)
    return step @ covariance @ step.T + noise * wander


def free(arrays: Any, missile: int, at_s: float) -> Any:
    """Return the least covariance of place and velocity (6, 6) at a time, the thrust free till burn-out and nil after."""
    burnout, plots = float(arrays["burnout_t"][missile]), plots_of(arrays, missile, at_s)
    if not plots:
        return None
    P = np.diag(np.repeat([1e12, SPEED_M_S**2, THRUST_M_S2**2], 3))  # noqa: N806 - the field's letter
    t, off = plots[0][0], False
    for when, look, sigma in [*plots, (at_s, None, None)]:
        if not off and when >= burnout:
            P = _moved(P, max(burnout - t, 0.0), THRUST_NOISE)  # noqa: N806 - same
            P[6:], P[:, 6:] = 0.0, 0.0
            t, off = max(t, burnout), True
        P = _moved(P, when - t, 0.0 if off else THRUST_NOISE)  # noqa: N806 - same
        t = when
        if look is not None:
            H = np.hstack([look, np.zeros((3, 6))])  # noqa: N806 - same
            P -= P @ H.T @ np.linalg.solve(H @ P @ H.T + np.diag(sigma**2), H @ P)  # noqa: N806 - same
    return P[:6, :6]


def flown(earth: Earth, draws: dict[str, Any], seconds: float) -> Any:
    """Return places and velocities (n, times, 6) every TAU_S after each one's own launch."""
    n, d = len(draws["beta"]), draws | {"launch_t": np.zeros(len(draws["beta"]))}
    p, v = earth.ground(np.column_stack([d["east"], d["north"], np.zeros(n)])), np.zeros((n, 3))
    out = np.empty((n, round(seconds / TAU_S) + 1, 6))
    for k in range(out.shape[1]):
        out[:, k] = np.hstack([p, v])
        # Thrust as at the step's middle; the step in which the motor stops has its share of it.
        share = np.clip((d["burn"] - k * TAU_S) / TAU_S, 0.0, 1.0)[:, None]
        thrust = share * thrust_of(earth, d, p, np.minimum((k + 0.5) * TAU_S, d["burn"] - 1e-6))
        p, v = earth.step(p, v, TAU_S, d["beta"], thrust)
    return out


def _at(path: Any, tau: Any) -> Any:
    """Return states (m, 6) of one path at times after launch, between its steps by cubics through places and velocities."""
    k = np.clip((tau / TAU_S).astype(int), 0, len(path) - 2)
    u = (tau / TAU_S - k)[:, None]
    a, b, h = path[k], path[k + 1], TAU_S
    place = (1 + 2 * u) * (1 - u) ** 2 * a[:, :3] + u * (1 - u) ** 2 * h * a[:, 3:]
    place += u * u * (3 - 2 * u) * b[:, :3] - u * u * (1 - u) * h * b[:, 3:]
    return np.hstack([place, (1 - u) * a[:, 3:] + u * b[:, 3:]])


class Programme:
    """What is known by who knows the generator's thrust programme, but not its nine numbers."""

    def __init__(self, earth: Earth, draws: dict[str, Any], after_s: float) -> None:
        self._n, self._launch = len(draws["beta"]), draws["launch_t"]
        moved = [draws | {name: draws[name] + sign * by} for name, (_, by) in NUMBERS.items() for sign in (1.0, -1.0)]
        together = {name: np.concatenate([one[name] for one in moved]) for name in draws}
        self._paths = flown(earth, together, float(draws["burn"].max()) + after_s)

    def _derivatives(self, missile: int, times: Any) -> Any:
        """Return derivatives (m, 6, 9) of the state at times by the nine numbers."""
        out = []
        for j, (name, (_, by)) in enumerate(NUMBERS.items()):
            ends = []
            for side, sign in enumerate((1.0, -1.0)):
                launch = self._launch[missile] + (sign * by if name == "launch_t" else 0.0)
                ends.append(_at(self._paths[(2 * j + side) * self._n + missile], times - launch))
            out.append((ends[0] - ends[1]) / (2 * by))
        return np.stack(out, axis=2)

    def covariance(self, arrays: Any, missile: int, at_s: float) -> Any:
        """Return the least covariance of place and velocity (6, 6) at a time."""
        plots = plots_of(arrays, missile, at_s)
        by = self._derivatives(missile, np.array([*(t for t, _, _ in plots), at_s]))
        information = np.diag([sigma**-2.0 for sigma, _ in NUMBERS.values()])
        for (_, look, sigma), row in zip(plots, by, strict=False):
            white = (look @ row[:3]) / sigma[:, None]
            information += white.T @ white
        scale = 1.0 / np.sqrt(np.diag(information))
        inverse = np.linalg.inv(information * scale[:, None] * scale) * scale[:, None] * scale
        return by[-1] @ inverse @ by[-1].T


def on_the_ground(earth: Earth, states: Any) -> tuple[Any, Any]:
    """Return where states (n, 6) land and the derivatives of that by them (n, 3, 6)."""
    rows = [states]
    for c in range(6):
        for sign in (1.0, -1.0):
            one = states.copy()
            one[:, c] += sign * MOVED[c // 3]
            rows.append(one)
    both = np.concatenate(rows)
    ends = landing(earth, both[:, :3], both[:, 3:])[0].reshape(13, len(states), 3)
    slopes = [(ends[1 + 2 * c] - ends[2 + 2 * c]) / (2 * MOVED[c // 3]) for c in range(6)]
    return ends[0], np.stack(slopes, axis=2)


def median_m(covariance: Any) -> float:
    """Return the median distance of what has this covariance (3, 3) on the ground."""
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(covariance)[-2:], 0.0))
    return float(np.median(np.hypot(*(DRAWS * values).T)))


def bounds_km(
    earth: Earth, runs: list[tuple[Any, Any]], draws: list[dict[str, Any]], afters_s: tuple[float, ...]
) -> dict[str, list[float]]:
    """Return the three bounds in km per delay after the later of burn-out and confirmation; runs: (arrays, confirmed (n,))."""
    out: dict[str, list[float]] = {"free": [], "programme": [], "fall": []}
    known = [Programme(earth, one, max(afters_s) + 30.0) for one in draws]
    for after in afters_s:
        states, covariances, truths = [], [], []
        for (arrays, confirmed), programme in zip(runs, known, strict=True):
            for i in np.flatnonzero(np.isfinite(confirmed)).tolist():
                at_s = max(float(arrays["burnout_t"][i]), confirmed[i]) + after
                if at_s > arrays["impact_t"][i] - 5.0 or at_s > arrays["burnout_t"][i] + max(afters_s) + 29.0:
                    continue
                k = int(np.abs(arrays["scan_t"] - at_s).argmin())
                states.append(np.concatenate([arrays["truth_pos"][i, k], arrays["truth_vel"][i, k]]))
                covariances.append((free(arrays, i, at_s), programme.covariance(arrays, i, at_s)))
                truths.append(arrays["impact_p"][i])
        ends, slopes = on_the_ground(earth, np.array(states))
        for place, name in enumerate(("free", "programme")):
            P = np.array([one[place] for one in covariances])  # noqa: N806 - the field's letter
            ground = slopes @ P @ np.swapaxes(slopes, 1, 2)
            out[name].append(float(np.nanmedian([median_m(one) for one in ground if np.isfinite(one).all()])) / 1e3)
        a, b = ends - earth.centre, np.array(truths) - earth.centre
        apart = RADIUS_M * np.arctan2(np.linalg.norm(np.cross(a, b), axis=1), np.einsum("ij,ij->i", a, b))
        out["fall"].append(float(np.nanmedian(apart)) / 1e3)
    return out
