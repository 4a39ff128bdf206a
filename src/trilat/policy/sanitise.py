"""Sanitise: what is done to a record's fields before it leaves, form by form. Pure; whether it leaves is not decided here."""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import msgspec
from msgspec import Struct

from trilat.errors import PolicyError
from trilat.records.assessment import Ellipse
from trilat.records.label import FieldOperation
from trilat.records.report import Fix, Measurement, Plot
from trilat.records.track import Area, Track, Tracklet
from trilat.records.warning import Acknowledgement, Recall, Retraction, Warning

# What each form holds of the fields that operations speak of. A field that is held and can not be operated on as asked
# stops the release; one that is not held needs nothing. A warning's areas are what it says, not a target's position; but of
# a flight it holds a way with heights and times, and ellipses.
HOLDS: dict[type[Struct], frozenset[str]] = {
    Plot: frozenset({"position", "altitude", "velocity", "identity", "address", "callsign", "mode_3a", "doppler", "sensors"}),
    Fix: frozenset({"position", "altitude", "velocity", "identity", "address", "mmsi", "callsign", "mode_3a", "sensors"}),
    Measurement: frozenset({"position", "altitude", "covariance", "identity", "address", "callsign", "mode_3a", "sensors"}),
    Track: frozenset(
        {
            "position",
            "altitude",
            "velocity",
            "covariance",
            "identity",
            "address",
            "mmsi",
            "callsign",
            "mode_3a",
            "sensors",
            "flags",
        }
    ),
    Tracklet: frozenset({"position", "altitude", "velocity", "covariance", "identity", "address", "mmsi", "callsign", "sensors"}),
    Area: frozenset({"position", "sensors"}),
    Warning: frozenset({"text", "sensors", "altitude", "velocity", "covariance"}),
    Acknowledgement: frozenset(),
    Retraction: frozenset({"text"}),
    Recall: frozenset({"text"}),
}
_IDENTITY = ("address", "mmsi", "callsign", "mode_3a", "sensor_track")
# What a drop takes away, where the form declares it optional. Elevation goes with altitude, because range and elevation give it.
DROPS: dict[str, tuple[str, ...]] = {
    "identity": _IDENTITY,
    "address": ("address",),
    "mmsi": ("mmsi",),
    "callsign": ("callsign",),
    "mode_3a": ("mode_3a",),
    "doppler": ("doppler_m_s", "sigma_doppler_m_s"),
    "flags": ("flags",),
    "text": ("text", "words"),
    "altitude": (
        "alt_m",
        "height_m",
        "elevation_rad",
        "sigma_vertical_m",
        "sigma_height_m",
        "sigma_elevation_rad",
        "vertical_rate_m_s",
    ),
    "velocity": (
        "speed_m_s",
        "course_rad",
        "vertical_rate_m_s",
        "sigma_speed_m_s",
        "doppler_m_s",
        "sigma_doppler_m_s",
    ),
}
_DROPPABLE_OF: dict[type[Struct], frozenset[str]] = {
    Plot: frozenset(DROPS) - {"flags", "text"},
    Fix: frozenset(DROPS) - {"flags", "text"},
    Measurement: frozenset({"identity", "address", "callsign", "mode_3a"}),
    Track: frozenset({"identity", "address", "mmsi", "callsign", "mode_3a", "flags"}),
    Tracklet: frozenset({"identity", "address", "mmsi", "callsign"}),
    Retraction: frozenset({"text"}),
}
# Places of the diagonal in the 21 of an upper triangle, row by row: e, n, u, then the three velocities.
_DIAGONAL = (0, 6, 11, 15, 18, 20)


def _drop(record: Any, field: str) -> Any:
    held = {name: default for name, default in _defaults(record.__class__).items() if name in DROPS[field]}
    return msgspec.structs.replace(record, **held)


def _dropping(field: str) -> Callable[[Any, float], Any]:
    return lambda record, _: _drop(record, field)


@cache
def _defaults(form: Any) -> dict[str, Any]:
    return {one.name: one.default for one in msgspec.structs.fields(form) if not one.required}


def _drop_sensors(record: Any) -> Any:
    return msgspec.structs.replace(record, pedigree=msgspec.structs.replace(record.pedigree, sensors=()))


def _with_variance(covariance: Sequence[float], added: dict[int, float]) -> tuple[float, ...]:
    wider = list(covariance)
    for axis, variance in added.items():
        wider[_DIAGONAL[axis]] += variance
    return tuple(wider)


def _round_altitude(record: Any, step_m: float) -> Any:
    if record.alt_m is None:
        return record
    rounded = msgspec.structs.replace(record, alt_m=_to_step(record.alt_m, step_m))
    if isinstance(record, Track):  # rounding is doubt: the variance of a uniform error over one step
        return msgspec.structs.replace(rounded, covariance=_with_variance(record.covariance, {2: step_m**2 / 12.0}))
    sigma_m = math.hypot(record.sigma_vertical_m or 0.0, step_m / math.sqrt(12.0))
    return msgspec.structs.replace(rounded, sigma_vertical_m=sigma_m)


def _round_velocity(record: Track, step_m_s: float) -> Track:
    variance = step_m_s**2 / 12.0
    return msgspec.structs.replace(
        record,
        velocity_east_m_s=_to_step(record.velocity_east_m_s, step_m_s),
        velocity_north_m_s=_to_step(record.velocity_north_m_s, step_m_s),
        velocity_up_m_s=_to_step(record.velocity_up_m_s, step_m_s),
        covariance=_with_variance(record.covariance, {3: variance, 4: variance, 5: variance}),
    )


def _to_step(value: float, step: float) -> float:
    return round(value / step) * step


def _round_covariance(record: Track, step_m: float) -> Track:
    """Replace a covariance, whose ellipse points at the sensor, by a round one that is nowhere smaller.

    P is below twice the block diagonal of its position and velocity blocks, and each block below its trace times I.
    """
    diagonal = [record.covariance[i] for i in _DIAGONAL]
    sigma_m = math.ceil(math.sqrt(2.0 * sum(diagonal[:3])) / step_m) * step_m
    sigma_m_s = 2.0 ** math.ceil(math.log2(math.sqrt(2.0 * sum(diagonal[3:])) or 1.0))
    covariance = [0.0] * 21
    for axis, place in enumerate(_DIAGONAL):
        covariance[place] = (sigma_m if axis < 3 else sigma_m_s) ** 2
    return msgspec.structs.replace(record, covariance=tuple(covariance))


def _ball(record: Any, _: float) -> Any:
    """An ellipsoid's axes point at the radar, and two of them at its very place; a ball as wide as the widest tells neither."""
    widest = max(record.sigma_along_m, record.sigma_across_m, record.sigma_up_m)
    changed = {"sigma_along_m": widest, "sigma_across_m": widest, "sigma_up_m": widest}
    return msgspec.structs.replace(record, axis_azimuth_rad=0.0, axis_elevation_rad=0.0, **changed)


def _inflate(record: Any, factor: float) -> Any:
    if isinstance(record, Measurement):
        names = ("sigma_along_m", "sigma_across_m", "sigma_up_m")
        return msgspec.structs.replace(record, **{name: getattr(record, name) * factor for name in names})
    if isinstance(record, Tracklet):  # information is the inverse of covariance
        less = 1.0 / factor**2
        return msgspec.structs.replace(
            record,
            information=tuple(value * less for value in record.information),
            information_state=tuple(value * less for value in record.information_state),
        )
    return msgspec.structs.replace(record, covariance=tuple(value * factor**2 for value in record.covariance))


def _plain_words(record: Warning, _: float) -> Warning:
    """Leave what a warning must say, its kind and areas, in words that nobody chose."""
    areas = tuple(msgspec.structs.replace(one, name=f"area {k}") for k, one in enumerate(record.areas, 1))
    return msgspec.structs.replace(record, headline=f"Warning: {record.kind}", text="", words=(), areas=areas)


def _without_way(record: Warning, _: float) -> Warning:
    """Take away the predicted way, whose points give heights and, by their times, speeds; and the word for how high it flies."""
    if record.flight is None:
        return record
    return msgspec.structs.replace(record, flight=msgspec.structs.replace(record.flight, path=(), shape=None))


def _round_way(record: Warning, step_m: float) -> Warning:
    if record.flight is None:
        return record
    path = tuple(msgspec.structs.replace(one, alt_m=_to_step(one.alt_m, step_m)) for one in record.flight.path)
    return msgspec.structs.replace(record, flight=msgspec.structs.replace(record.flight, path=path))


def _ellipses(record: Warning, change: Callable[[Ellipse], Ellipse], factor: float) -> Warning:
    """Change the ellipses of a warning's flight, and widen the spans of time beside them by a factor."""
    flight = record.flight
    if flight is None:
        return record
    launch, landing = flight.launch, flight.landing
    if launch is not None:
        launch = msgspec.structs.replace(launch, ellipse95=change(launch.ellipse95), sigma_s=launch.sigma_s * factor)
    if landing is not None:
        before_ns, after_ns = ((one - landing.t_ns) * factor for one in (landing.t_from_ns, landing.t_to_ns))
        times = {"t_from_ns": landing.t_ns + math.floor(before_ns), "t_to_ns": landing.t_ns + math.ceil(after_ns)}
        both = {"ellipse50": change(landing.ellipse50), "ellipse95": change(landing.ellipse95)}
        landing = msgspec.structs.replace(landing, **both, **times)
    return msgspec.structs.replace(record, flight=msgspec.structs.replace(flight, launch=launch, landing=landing))


def _inflate_flight(record: Warning, factor: float) -> Warning:
    def wider(one: Ellipse) -> Ellipse:
        axes = {"semi_major_m": one.semi_major_m * factor, "semi_minor_m": one.semi_minor_m * factor}
        return msgspec.structs.replace(one, **axes)

    return _ellipses(record, wider, factor)


def _round_flight(record: Warning, step_m: float) -> Warning:
    def circle(one: Ellipse) -> Ellipse:
        radius_m = math.ceil(one.semi_major_m / step_m) * step_m
        return Ellipse(semi_major_m=radius_m, semi_minor_m=radius_m, bearing_deg=0.0)

    return _ellipses(record, circle, 1.0)


# (form, field, operation) -> what does it; position is coarsened by `to_area`, the record's delay by `release` itself.
_DOES: dict[tuple[type[Struct], str, str], Callable[[Any, float], Any]] = {
    (Fix, "altitude", "round"): _round_altitude,
    (Track, "altitude", "round"): _round_altitude,
    (Track, "velocity", "round"): _round_velocity,
    (Track, "covariance", "round"): _round_covariance,
    (Track, "covariance", "inflate"): _inflate,
    (Tracklet, "covariance", "inflate"): _inflate,
    (Measurement, "covariance", "inflate"): _inflate,
    (Measurement, "covariance", "round"): _ball,
    (Warning, "text", "drop"): _plain_words,
    (Warning, "altitude", "drop"): _without_way,
    (Warning, "altitude", "round"): _round_way,
    (Warning, "velocity", "drop"): _without_way,
    (Warning, "velocity", "round"): _without_way,
    (Warning, "covariance", "inflate"): _inflate_flight,
    (Warning, "covariance", "round"): _round_flight,
    (Recall, "text", "drop"): lambda record, _: msgspec.structs.replace(record, reason="recalled"),
    **{(form, field, "drop"): _dropping(field) for form, fields in _DROPPABLE_OF.items() for field in fields},
    **{(form, "sensors", "drop"): (lambda record, _: _drop_sensors(record)) for form in (Track, Tracklet, Area, Warning)},
}


def sanitise(record: Any, operations: Sequence[FieldOperation]) -> Any:
    """Return the record with the operations done that speak of a field it holds; raises PolicyError (release-operation)."""
    form = type(record)
    for one in operations:
        if one.operation in {"coarsen", "delay"} or one.field not in HOLDS[form]:
            continue
        does = _DOES.get((form, one.field, one.operation))
        if does is None:
            raise PolicyError("release-operation", f"{one.operation} of {one.field} on {form.__name__}.")
        record = does(record, one.amount)
    return record
