"""A body that turns or pulls out when it comes down: the landing area is said to be not reliable, and only then."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from trilat.flights.flight import Wanted, generic_flight
from trilat.flights.observe import EPOCH_NS, SITES, Observation, sensor_of
from trilat.flights.watch import watch
from trilat.kernels import geodesy
from trilat.products.phrases import SENTENCES
from trilat.products.texts import with_words
from trilat.records.assessment import Assessment
from trilat.warn import machine

SENSORS = tuple(sensor_of(site) for site in SITES)
FLIGHT = generic_flight(Wanted(39.2, 125.7, 85.0, 700e3, 180e3))
BEGIN_M, STEP_S = 45_000.0, 0.1


@cache
def begins_s() -> float:
    """Return when the flight comes down through the height at which the manoeuvres begin."""
    t = np.arange(FLIGHT.burnout_s, FLIGHT.landing_s, STEP_S)
    height = geodesy.ecef_to_geodetic(FLIGHT.at(t)[:, :3])[:, 2]
    low = (height < BEGIN_M) & (t > FLIGHT.burnout_s + 60.0)
    return float(t[int(np.argmax(low))])


@cache
def bent(push_m_s2: float, seconds: float, *, up: bool) -> Any:
    """Return the flight's path with a push across its velocity, up or sideways, from `begins_s` on."""
    start = begins_s()
    state, rows = FLIGHT.at(np.array([start]))[0].copy(), []
    for k in range(round(120.0 / STEP_S)):
        lat, lon, height = geodesy.ecef_to_geodetic(state[:3]).tolist()
        if height < 0.0:
            break
        rows.append(state.copy())
        basis = geodesy.enu_basis(lat, lon)
        along = state[3:] / np.linalg.norm(state[3:])
        side = np.cross(along, basis[2])
        side /= np.linalg.norm(side)
        across = np.cross(side, along) if up else side
        fall = -9.7 * basis[2] - state[3:] * np.linalg.norm(state[3:]) * 1.225 * np.exp(-height / 7_200.0) / (2.0 * 5_000.0)
        push = push_m_s2 * across if k * STEP_S < seconds else 0.0
        state[3:] += STEP_S * (fall + push)
        state[:3] += STEP_S * state[3:]
    path = np.array(rows)

    def at(t_s: Any) -> Any:
        t = np.asarray(t_s, np.float64)
        late = np.clip(((t - start) / STEP_S).astype(int), 0, len(path) - 1)
        return np.where((t < start)[..., None], FLIGHT.at(np.minimum(t, start)), path[late])

    return at, start + len(path) * STEP_S


def said(at: Any, end_s: float, seed: int) -> list[Assessment]:
    seen = Observation(SENSORS, at, end_s - 1.0, np.random.default_rng(seed))
    return [one for one in watch(seen) if one.t_ns >= EPOCH_NS + begins_s() * 1e9]


@pytest.mark.parametrize(("push_m_s2", "seconds", "up"), [(60.0, 12.0, True), (60.0, 12.0, False), (30.0, 25.0, True)])
def test_what_turns_on_its_way_down_has_no_reliable_landing_area(push_m_s2: float, seconds: float, up: bool) -> None:  # noqa: FBT001
    """Within ten seconds of turning it is flagged, with the reason, and the warning's text says so in every language."""
    at, end_s = bent(push_m_s2, seconds, up=up)
    told = said(at, end_s, 5)
    flagged = [one for one in told if "manoeuvring" in one.reasons and one.landing is not None]
    assert flagged
    assert all(not one.landing.reliable for one in flagged if one.landing is not None)
    assert (flagged[0].t_ns - EPOCH_NS) / 1e9 < begins_s() + 10.0
    standing = machine.begin(flagged[0].t_ns, flagged[0], "JPN-L1", flagged[0].label)
    assert standing is not None
    assert all(SENTENCES[one.language]["unreliable"] in one.text for one in with_words(standing.warning).words)


@pytest.mark.parametrize("seed", range(4))
def test_what_only_falls_is_not_flagged(seed: int) -> None:
    """The same flight without a turn keeps a reliable landing area through the air, whatever drag it has."""
    told = said(FLIGHT.at, FLIGHT.landing_s, 20 + seed)
    assert told
    assert not [one for one in told if "manoeuvring" in one.reasons]
    assert all(one.landing.reliable for one in told if one.landing is not None and one.state == "assessed")
