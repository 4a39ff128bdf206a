"""Missile warning, its trade-off: how soon burn-out is called, against how often a pause between stages is.

Part of benchmarks/warning.py. Flights of seeds of their own, on which nothing is scored: each call's bound is chosen with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import warning_false
from trilat.flights.observe import EPOCH_NS
from trilat.records.sensor import Sensor
from trilat.warn import flight as filters
from warning_false import MOVING, STANDING, say

BOUNDS = (0.5, 0.7, 0.8, 0.9, 0.94, 0.97, 0.99, 0.997, 0.999)
SINGLE_SEED, STAGED_SEED, PLOTS_SEED = 1_313, 1_414, 2_600
NS, SEEN_S = 10**9, 14.0  # a flight is looked at so long after its burn-out


def ended(flown: Any, satellites: tuple[Sensor, ...], seed: int) -> list[tuple[float, float]]:
    """Return, at each plot of a flight, when (s after its last burn-out) and with what probability it has burnt out.

    Nothing is ever called: up to the first crossing of any bound that is what a filter with that bound does, too.
    """
    noted: dict[int, list[tuple[float, float]]] = {}

    def note(self: Any, t_ns: int) -> None:
        shares = self._shares()
        out = float(shares[self._since_ns <= t_ns - round(filters.HOLD_S * NS)].sum())
        settled = t_ns - self.plots[0].t_ns > filters.SETTLE_S * NS and len(self.plots) >= filters.PLOTS_CALL
        if settled:
            noted.setdefault(id(self), []).append(((t_ns - EPOCH_NS) / NS - flown.burnout_s, out))

    kept: Any = filters.FlightFilter
    watched, kept._watch = kept._watch, note  # noqa: SLF001 - only to look
    try:
        warning_false.seen_burning(flown, satellites, seed)
    finally:
        kept._watch = watched  # noqa: SLF001 - as it was
    return max(noted.values(), key=len, default=[])


def crossings(bound: float, told: list[list[tuple[float, float]]]) -> Iterator[float]:
    """Yield when each flight is first called with a bound; those that never are, are left out."""
    for one in told:
        if (first := next((t_s for t_s, out in one if out > bound), None)) is not None:
            yield first


def curve(*, tiny: bool) -> None:
    """Call after burn-out and false calls in pauses, for every bound, by radars alone and where two satellites see the plume."""
    counts = (1, 1) if tiny else (40, 100)
    single = list(warning_false.drawn(np.random.default_rng(SINGLE_SEED), counts[0], (200e3, 1_000e3)))
    staged = list(warning_false.drawn(np.random.default_rng(STAGED_SEED), counts[1], (1_800e3, 5_000e3)))
    bound_s = np.nanmedian([warning_false.stop_bound_s(one, PLOTS_SEED + k) for k, one in enumerate(single)])
    say(f"curve: {len(single)} flights of 200-1,000 km, {len(staged)} in stages with pauses of 0-2.5 s, other seeds")
    for name, satellites in (("radars alone", ()), ("with two satellites", (STANDING, MOVING))):
        told = [ended(one, satellites, PLOTS_SEED + k) for k, one in enumerate(single)]
        paused = [ended(one, satellites, PLOTS_SEED + 500 + k) for k, one in enumerate(staged)]
        for bound in BOUNDS:
            late = [t_s for t_s in crossings(bound, told) if t_s >= 0.0]
            early = sum(t_s < 0.0 for t_s in crossings(bound, paused))
            middle = float(np.median([*late, *[np.inf] * (len(told) - len(late))]))  # what is not called by then is called later
            after = f"{middle:.1f} s (median)" if np.isfinite(middle) else f"more than {SEEN_S:.0f} s (median)"
            now = " (in force)" if bound == (filters.CALL if satellites else filters.CALL_ALONE) else ""
            say(
                f"curve: {name}, called at a probability of {bound:g}{now}: {after} after burn-out (5 s; bound by radars alone "
                f"{bound_s:.1f} s); {early} of {len(staged)} in a pause ({early / len(staged):.1%}; aim 1 %)"
            )


PARTS = {"curve": curve}
