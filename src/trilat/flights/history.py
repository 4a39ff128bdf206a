"""What a node of three allies would have said of a public flight, and when: flown generically past fictional radars."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from msgspec import Struct

from trilat.errors import ExerciseError
from trilat.flights.flight import Flight, ground_range_m
from trilat.flights.observe import SITES, Observation, sensor_of
from trilat.flights.public import PublicFlight, fly
from trilat.flights.watch import error_m, said_at, since_launch_s, watch
from trilat.kernels import geodesy
from trilat.records.assessment import Assessment, ClassProbability
from trilat.warn.areas import Layer
from trilat.warn.classes import BOUNDS_M, BY_RANGE, loft
from trilat.warn.landing import energy_range_m

JUDGED_S = 60.0  # after burn-out
ROUNDED = 0.01  # published ranges are rounded: one so near a bound of the classes belongs to both
NS = 1_000_000_000


class AreaSaid(Struct, frozen=True, kw_only=True):
    """One area of a list: landing in it or passing over it."""

    id: str
    name: str
    touch: str
    probability: float


class Judged(Struct, frozen=True, kw_only=True):
    """What was said at one time, beside what is so. Classes are by energy and by the range flown; `true_` is of the flight.

    `true_by_range` holds two classes where the range is within 1 % of the bound between them.
    """

    at_s: float
    state: str
    class_by_energy: str
    probability_by_energy: float
    class_by_range: str
    probability_by_range: float
    shape: str | None
    true_by_energy: str
    true_by_range: tuple[str, ...]
    true_shape: str
    brier: float
    landing_error_m: float | None = None
    ellipse95_semi_axes_m: tuple[float, float] | None = None
    time_to_landing_s: float | None = None
    landing_time_error_s: float | None = None
    apogee_error_m: float | None = None
    areas: tuple[AreaSaid, ...] = ()

    @property
    def right(self) -> bool:
        """Tell whether both classes and, of a lofted flight, its name are right."""
        named = self.true_shape != "lofted" or self.shape == "lofted"
        return named and self.class_by_energy == self.true_by_energy and self.class_by_range in self.true_by_range


class Told(Struct, frozen=True, kw_only=True):
    """A whole flight as it was told. Times in seconds after the launch; None: it did not come to that within the run.

    burnout_called_s: of the call that stands at the end. taken_back_s: when an earlier one was: it burnt again.
    """

    flight_s: float
    burnout_s: float
    first_plot_s: float | None = None
    first_sensor: str = ""
    detected_s: float | None = None
    burnout_called_s: float | None = None
    taken_back_s: float | None = None
    areas_s: float | None = None
    areas: tuple[AreaSaid, ...] = ()
    launch_error_m: float | None = None
    judged: Judged | None = None
    why_not: str = ""


def tell(public: PublicFlight, layer: Layer | None = None, seed: int = 0) -> Told:
    """Return what three nations' fictional radars, tracker and assessment make of a public flight, flown generically.

    `why_not` says why it was not flown: a launcher of satellites, or no generic flight of that apogee and range.
    """
    if public.launcher:
        return Told(flight_s=0.0, burnout_s=0.0, why_not="it launched a satellite: no one arc has this apogee and range")
    try:
        flight = fly(public)
    except ExerciseError as error:
        return Told(flight_s=0.0, burnout_s=0.0, why_not=str(error))
    return of_flight(flight, layer, seed)


def of_flight(flight: Flight, layer: Layer | None, seed: int) -> Told:
    """Return what is said of one flight until JUDGED_S after burn-out, or a second before it lands."""
    judged_s = min(flight.burnout_s + JUDGED_S, flight.landing_s - 1.0)
    seen = Observation([sensor_of(site) for site in SITES], flight.at, judged_s + 0.5, np.random.default_rng(seed))
    told = [one for one in watch(seen, layer) if len(seen.columns) and one.t_ns >= seen.columns["t_ns"][0]]
    first = seen.columns[0] if len(seen.columns) else None
    listed = next((one for one in told if one.areas), None)
    last = said_at(told, judged_s)
    return Told(
        flight_s=flight.landing_s,
        burnout_s=flight.burnout_s,
        first_plot_s=None if first is None else since_launch_s(int(first["t_ns"])),
        first_sensor="" if first is None else seen.sensors[first["sensor"]].id,
        detected_s=_first(told, lambda one: one.state in ("detected", "assessed")),
        burnout_called_s=_called(told),
        taken_back_s=_first(told, lambda one: "burnt-again" in one.reasons),
        areas_s=None if listed is None else since_launch_s(listed.t_ns),
        areas=() if listed is None else areas_of(listed),
        launch_error_m=_launch_error_m(last, flight),
        judged=None if last is None or not last.classes else _judge(last, flight),
    )


def areas_of(one: Assessment) -> tuple[AreaSaid, ...]:
    """Return an assessment's areas: land before sea and flight information regions, then the likeliest first."""
    rows = sorted(one.areas, key=lambda a: (a.kind in ("sea", "fir"), a.touch != "landing", -a.probability, a.id))
    return tuple(AreaSaid(id=a.id, name=a.name_en, touch=a.touch, probability=round(a.probability, 4)) for a in rows)


def class_of(range_m: float) -> str:
    """Return the class of a range."""
    return BY_RANGE[sum(range_m >= bound for bound in BOUNDS_M)]


def _judge(last: Assessment, flight: Flight) -> Judged:
    energy = class_of(energy_range_m(flight.at(flight.burnout_s + 1.0)))
    by_energy, by_range = last.classes[0], last.classes_flown[0]
    landing = last.landing
    return Judged(
        at_s=since_launch_s(last.t_ns),
        state=last.state,
        class_by_energy=by_energy.name,
        probability_by_energy=round(by_energy.probability, 4),
        class_by_range=by_range.name,
        probability_by_range=round(by_range.probability, 4),
        shape=last.shape,
        true_by_energy=energy,
        true_by_range=tuple(dict.fromkeys(class_of(flight.range_m * (1 + share)) for share in (-ROUNDED, ROUNDED))),
        true_shape=loft(flight.apogee_m, flight.range_m),
        brier=round(brier(last.classes, energy), 4),
        landing_error_m=error_m(last, flight),
        ellipse95_semi_axes_m=None if landing is None else (landing.ellipse95.semi_major_m, landing.ellipse95.semi_minor_m),
        time_to_landing_s=None if landing is None else (landing.t_ns - last.t_ns) / NS,
        landing_time_error_s=None if landing is None else since_launch_s(landing.t_ns) - flight.landing_s,
        apogee_error_m=None if last.apogee_m is None else last.apogee_m - flight.apogee_m,
        areas=areas_of(last),
    )


def brier(classes: Sequence[ClassProbability], truth: str) -> float:
    """Return the Brier score of probabilities of classes: 0 is best, 2 is worst (Brier 1950)."""
    return float(sum((one.probability - (one.name == truth)) ** 2 for one in classes))


def _first(told: Sequence[Assessment], is_so: Callable[[Assessment], bool]) -> float | None:
    """Return when something was first so, seconds since the launch."""
    return next((since_launch_s(one.t_ns) for one in told if is_so(one)), None)


def _called(told: Sequence[Assessment]) -> float | None:
    """Return when the burn-out that still stands at the end was called."""
    called = told[-1].burnout_called_t_ns if told else None
    return None if called is None else since_launch_s(called)


def _launch_error_m(last: Assessment | None, flight: Flight) -> float | None:
    """Return how far the estimated launch point lies from the true one."""
    if last is None or last.launch is None:
        return None
    place = geodesy.geodetic_to_ecef(last.launch.lat_deg, last.launch.lon_deg, 0.0)
    return ground_range_m(place, flight.states[0, :3])
