"""A lesson of the public record of warnings as a scenario with assertions: a flight, what sees it, what must be said of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta, Struct

from trilat.errors import ExerciseError
from trilat.flights.flight import Flight, Wanted, generic_flight
from trilat.flights.observe import SITES, Observation, sensor_of
from trilat.flights.watch import since_launch_s, watch
from trilat.records.assessment import Assessment
from trilat.records.fields import LatDeg, LonDeg, Name, ShortText, Trigraph
from trilat.warn.areas import Layer

Seconds = Annotated[float, Meta(ge=0.0, le=10_800.0)]
Km = Annotated[float, Meta(gt=0.0, le=20_000.0)]
LIKELY = 0.05  # an area with less is named as possible, no more


class LessonFlight(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is public of the flight."""

    lat_deg: LatDeg
    lon_deg: LonDeg
    bearing_deg: Annotated[float, Meta(ge=0.0, lt=360.0)]
    range_km: Km
    apogee_km: Km


class Expect(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must hold; what is left out is not looked at. Land areas are prefectures, provinces, states and territories."""

    detected_after_first_plot_s_max: Seconds | None = None
    areas_after_first_plot_s_max: Seconds | None = None
    areas_after_burnout_s_max: Seconds | None = None
    no_area_before_burnout: bool = False
    land_areas: tuple[Name, ...] | None = None
    update_gap_s_max: Seconds | None = None
    overflight_told_ahead_s_min: Seconds | None = None
    lost_said_after_s_max: Seconds | None = None
    lost_confidence_share_max: Annotated[float, Meta(ge=0.0, le=1.0)] | None = None


class Lesson(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One scenario. Plots end `plots_after_burnout_s` after burn-out; what is said is looked at until `run_after_burnout_s`."""

    title: ShortText
    record: ShortText
    flight: LessonFlight
    nations: Annotated[tuple[Trigraph, ...], Meta(min_length=1)] = ("JPN", "USA", "KOR")
    plots_after_burnout_s: Seconds
    run_after_burnout_s: Seconds
    seed: Annotated[int, Meta(ge=0, lt=2**31)] = 0
    expect: Expect


class Finding(NamedTuple):
    """One assertion: its name, whether it held, and the figure."""

    name: str
    held: bool
    figure: str


class _Run(NamedTuple):
    flight: Flight
    told: Sequence[Assessment]
    first_s: float
    last_s: float


def decode_lesson(data: bytes) -> Lesson:
    """Return the lesson a TOML text holds; ExerciseError (scenario-unreadable) names what is wrong."""
    try:
        return msgspec.toml.decode(data, type=Lesson)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ExerciseError("scenario-unreadable", f"{error}.") from error


def play(lesson: Lesson, layer: Layer) -> list[Finding]:
    """Fly a lesson past the fictional radars of its nations and return its assertions, each held or not."""
    f, expect = lesson.flight, lesson.expect
    flight = generic_flight(Wanted(f.lat_deg, f.lon_deg, f.bearing_deg, f.range_km * 1e3, f.apogee_km * 1e3))
    sensors = [sensor_of(site) for site in SITES if site.nation in lesson.nations]
    plots_s = flight.burnout_s + min(lesson.plots_after_burnout_s, lesson.run_after_burnout_s)
    seen = Observation(sensors, flight.at, min(plots_s, flight.landing_s), np.random.default_rng(lesson.seed))
    if not len(seen.columns):
        return [Finding("seen", held=False, figure="no radar sees it")]
    told = watch(seen, layer, lesson.nations[0], until_s=flight.burnout_s + lesson.run_after_burnout_s)
    first, last = (since_launch_s(int(seen.columns["t_ns"][k])) for k in (0, -1))
    run = _Run(flight, [one for one in told if since_launch_s(one.t_ns) >= first], first, last)
    return [*_times(run, expect), *_areas(run, expect), *_lost(run, expect)]


def _at_most(name: str, value: float | None, most: float | None) -> Iterator[Finding]:
    if most is not None:
        yield Finding(name, value is not None and value <= most, "never" if value is None else f"{value:.1f} s of {most:g} s")


def _times(run: _Run, expect: Expect) -> Iterator[Finding]:
    """Yield what is asserted of times."""
    detected = next((since_launch_s(one.t_ns) for one in run.told if one.state in ("detected", "assessed")), None)
    listed = next((since_launch_s(one.t_ns) for one in run.told if one.areas), None)
    burnout = run.flight.burnout_s
    after = [None if t is None else t - run.first_s for t in (detected, listed)]
    yield from _at_most("detected after the first plot", after[0], expect.detected_after_first_plot_s_max)
    yield from _at_most("areas after the first plot", after[1], expect.areas_after_first_plot_s_max)
    yield from _at_most(
        "areas after burn-out", None if listed is None else max(0.0, listed - burnout), expect.areas_after_burnout_s_max
    )
    if expect.no_area_before_burnout:
        yield Finding("no area before burn-out", listed is None or listed >= burnout, f"first at {listed} s of {burnout:.0f} s")
    times = [since_launch_s(one.t_ns) for one in run.told]
    gap = max((b - a for a, b in pairwise(times)), default=None)
    yield from _at_most("longest wait between updates", gap, expect.update_gap_s_max)


def land(one: Assessment) -> tuple[str, ...]:
    """Return the land areas that an assessment names with some likelihood, by id."""
    return tuple(sorted({a.id for a in one.areas if a.kind not in ("sea", "fir") and a.probability >= LIKELY}))


def _areas(run: _Run, expect: Expect) -> Iterator[Finding]:
    """Yield what is asserted of areas."""
    with_plots = [one for one in run.told if since_launch_s(one.t_ns) <= run.last_s + 1.0]
    if expect.land_areas is not None:
        named = land(with_plots[-1]) if with_plots else ()
        yield Finding("land areas at the last plot", named == tuple(sorted(expect.land_areas)), ", ".join(named) or "none")
    if expect.overflight_told_ahead_s_min is not None:
        ahead: dict[str, float] = {}
        for one in with_plots:
            for area in one.areas:
                if area.id in land(one) and area.touch == "overflight":
                    ahead.setdefault(area.id, (area.t_from_ns - one.t_ns) / 1e9)
        least = min(ahead.values(), default=None)
        held = least is not None and least >= expect.overflight_told_ahead_s_min
        yield Finding("overflight told ahead", held, f"{'never' if least is None else f'{least:.0f} s'} at the least")


def _lost(run: _Run, expect: Expect) -> Iterator[Finding]:
    """Yield what is asserted of a flight that is not seen any more: said so, less and less sure, its area not relied on."""
    lost = [one for one in run.told if one.state == "track-lost"]
    said = since_launch_s(lost[0].t_ns) - run.last_s if lost else None
    yield from _at_most("loss said after the last plot", said, expect.lost_said_after_s_max)
    if expect.lost_said_after_s_max is not None and lost:
        stale = [one for one in run.told if one.t_ns >= lost[0].t_ns and (one.state == "assessed" or _relied(one))]
        yield Finding("no claim to rely on after the loss", not stale, f"{len(stale)} of {len(lost)}")
    if expect.lost_confidence_share_max is not None:
        share = lost[-1].confidence / max(one.confidence for one in run.told) if lost else 1.0
        yield Finding("confidence at the end, of its best", share <= expect.lost_confidence_share_max, f"{share:.2f}")


def _relied(one: Assessment) -> bool:
    return one.landing is not None and one.landing.reliable
