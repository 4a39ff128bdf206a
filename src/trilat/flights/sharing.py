"""What sharing is worth: the landing ellipse of a flight against time, with the radars of one, two and three nations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trilat.flights.flight import Flight, Wanted, generic_flight
from trilat.flights.observe import SITES, Observation, Site, sensor_of
from trilat.flights.watch import bounds_m, error_m, said_at, since_launch_s, watch
from trilat.records.assessment import Assessment

Axes = tuple[float, float]
WITHIN_M = (50_000.0, 10_000.0)


class Arc(NamedTuple):
    """A reference arc by name."""

    name: str
    wanted: Wanted


# The arcs of the published kinds of flight: over Japan, lofted, medium; all from one generic place.
ARCS: tuple[Arc, ...] = (
    Arc("overflight", Wanted(39.2, 125.7, 80.0, 4_500e3, 1_000e3)),
    Arc("lofted", Wanted(39.2, 125.7, 75.0, 1_000e3, 6_000e3)),
    Arc("medium", Wanted(39.2, 125.7, 80.0, 1_300e3, 400e3)),
)


class Run(NamedTuple):
    """One flight with one seed: as in `Curve`."""

    axes_m: list[Axes | None]
    bound_m: list[Axes | None]
    error_m: list[float | None]
    within_s: list[float | None]


class Curve(NamedTuple):
    """One arc with the radars of some nations: medians over the seeds; None where there is no ellipse.

    axes_m and bound_m: semi-axes of the 95 % ellipse, for each time of `after_s` (seconds after burn-out). within_s: for each
    of WITHIN_M, seconds after burn-out from which on the long semi-axis stays below it; lead_s: seconds then left to landing.
    """

    arc: str
    nations: tuple[str, ...]
    after_s: tuple[float, ...]
    axes_m: tuple[Axes | None, ...]
    bound_m: tuple[Axes | None, ...]
    error_m: tuple[float | None, ...]
    within_s: tuple[float | None, ...]
    lead_s: tuple[float | None, ...]


def curves(arc: Arc, counts: Sequence[int], after_s: Sequence[float], seeds: Sequence[int]) -> list[Curve]:
    """Return the curves of one arc for the first so many nations of the fictional sites each."""
    flight = generic_flight(arc.wanted)
    nations = list(dict.fromkeys(site.nation for site in SITES))
    return [_curve(arc, flight, tuple(nations[:count]), tuple(after_s), seeds) for count in counts]


def _curve(arc: Arc, flight: Flight, nations: tuple[str, ...], after_s: tuple[float, ...], seeds: Sequence[int]) -> Curve:
    sites = [site for site in SITES if site.nation in nations]
    runs = [_run(flight, sites, after_s, seed) for seed in seeds]
    within = tuple(_median([run.within_s[k] for run in runs]) for k in range(len(WITHIN_M)))
    n = range(len(after_s))
    return Curve(
        arc.name,
        nations,
        after_s,
        tuple(_median_axes([run.axes_m[k] for run in runs]) for k in n),
        tuple(_median_axes([run.bound_m[k] for run in runs]) for k in n),
        tuple(_median([run.error_m[k] for run in runs]) for k in n),
        within,
        tuple(None if s is None else flight.landing_s - flight.burnout_s - s for s in within),
    )


def _run(flight: Flight, sites: Sequence[Site], after_s: tuple[float, ...], seed: int) -> Run:
    """Return axes, bounds, errors and times within, of one flight with one seed."""
    end_s = min(flight.burnout_s + after_s[-1] + 1.0, flight.landing_s - 1.0)
    seen = Observation([sensor_of(site) for site in sites], flight.at, end_s, np.random.default_rng(seed))
    told = watch(seen, nation=sites[0].nation)
    bounds = bounds_m(flight, seen, after_s)
    spoken = [said_at(told, flight.burnout_s + s) for s in after_s]
    within = [_within(told, flight, bound) for bound in WITHIN_M]
    return Run([_axes(one) for one in spoken], bounds, [error_m(one, flight) for one in spoken], within)


def _axes(one: Assessment | None) -> Axes | None:
    if one is None or one.landing is None:
        return None
    return one.landing.ellipse95.semi_major_m, one.landing.ellipse95.semi_minor_m


def _within(told: Sequence[Assessment], flight: Flight, bound_m: float) -> float | None:
    """Return the seconds after burn-out from which on every ellipse stays within a bound; None if the last does not."""
    found = None
    for one in reversed(told):
        axes = _axes(one)
        if axes is None or axes[0] > bound_m:
            break
        found = since_launch_s(one.t_ns) - flight.burnout_s
    return found


def _median(values: Sequence[float | None]) -> float | None:
    """Return the median; None as soon as one is missing, which would flatter the others."""
    there = [value for value in values if value is not None]
    return float(np.median(there)) if there and len(there) == len(values) else None


def _median_axes(values: Sequence[Axes | None]) -> Axes | None:
    there = [value for value in values if value is not None]
    if not there or len(there) < len(values):
        return None
    long, short = np.median(np.array(there), axis=0).tolist()
    return long, short
