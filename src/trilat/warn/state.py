"""A flight's state as a person or another program gives it: checked, and brought into Earth-fixed axes."""

from __future__ import annotations

import re
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from trilat.errors import TrilatError
from trilat.kernels import geodesy
from trilat.records.fields import AltM, LatDeg, LonDeg

Array = NDArray[np.float64]
NOT_A_NUMBER = re.compile(rb"[\[:,]\s*-?(NaN|nan|Infinity|inf)\b")
Number = Annotated[float, Meta(ge=-1e9, le=1e9)]
Vector = tuple[Number, Number, Number]
Row = tuple[Annotated[float, Meta(ge=-1e18, le=1e18)], ...]

SURFACE_BELOW_M = -500.0  # lower than any dry land: a state below it is inside the Earth
ROUNDED_M = 1.0  # a state that was brought to other axes and back may lie so far under the ground that it lies on
SPEED_MAX_M_S = 20_000.0
COEFFICIENT_MIN_KG_M2, COEFFICIENT_MAX_KG_M2 = 10.0, 1e6  # a sheet of foil; more than any solid body can have
LOG_SIGMA_MAX = 2.0
# What is assumed of a re-entering body when nothing is said: median and spread of the open literature's range (see
# docs/explanation/warning.md).
COEFFICIENT_KG_M2, COEFFICIENT_LOG_SIGMA = 5_000.0, 0.5


class StateError(TrilatError):
    """A given state cannot be that of a flight."""


class Coefficient(Struct, frozen=True, forbid_unknown_fields=True):
    """The ballistic coefficient m/(Cd A): its median and the sigma of its logarithm."""

    median: float = COEFFICIENT_KG_M2
    log_sigma: float = COEFFICIENT_LOG_SIGMA


class _Common(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    covariance: tuple[Row, ...] | None = None
    drag: bool = True
    ballistic_coefficient_kg_m2: Coefficient | None = None
    ground_height_m: Annotated[float, Meta(ge=-500.0, le=9_000.0)] = 0.0


class EcefState(_Common, frozen=True, kw_only=True, tag_field="frame", tag="ecef"):
    """A state in the Earth-fixed, rotating frame; the covariance is over (position, velocity) in the same axes."""

    position_m: Vector
    velocity_m_s: Vector


class GeodeticState(_Common, frozen=True, kw_only=True, tag_field="frame", tag="geodetic"):
    """A state over WGS-84; velocity and covariance in local east, north, up, relative to the rotating Earth."""

    lat_deg: LatDeg
    lon_deg: LonDeg
    alt_m: AltM
    velocity_enu_m_s: Vector


class FlightState(NamedTuple):
    """A checked state: ECEF mean (6,), covariance (6, 6) or zeros, drag's coefficient (0 kg/m2 is no drag), its log sigma."""

    mean: Array
    covariance: Array
    known: bool  # whether a covariance was given
    coefficient_kg_m2: float
    log_sigma: float
    ground_m: float = 0.0


def decode_state(data: bytes) -> FlightState:
    """Return the state a JSON text holds; StateError names what is wrong with it."""
    try:
        given: EcefState | GeodeticState = msgspec.json.decode(data, type=EcefState | GeodeticState)
    except (msgspec.DecodeError, RecursionError) as error:
        if NOT_A_NUMBER.search(data):  # JSON has no word for it, but many programs write one
            raise StateError("state-not-finite", "It holds NaN or Infinity.") from error
        raise StateError("state-unreadable", f"{error}.") from error
    if isinstance(given, EcefState):
        mean, basis = np.array([*given.position_m, *given.velocity_m_s], np.float64), np.eye(3)
    else:
        basis = geodesy.enu_basis(given.lat_deg, given.lon_deg)
        place = geodesy.geodetic_to_ecef(given.lat_deg, given.lon_deg, given.alt_m)
        mean = np.concatenate([place, basis.T @ np.asarray(given.velocity_enu_m_s)])
    covariance = None if given.covariance is None else geodesy.rotate_covariance(_matrix(given.covariance), basis.T)
    beta = given.ballistic_coefficient_kg_m2 or Coefficient()
    found = check(mean, covariance, drag=given.drag, beta=beta, ground_m=given.ground_height_m)
    height_m = float(geodesy.ecef_to_geodetic(mean[:3])[2])
    if height_m < given.ground_height_m - ROUNDED_M:
        told = f"It is {height_m:,.0f} m above the ellipsoid, under its ground at {given.ground_height_m:,.0f} m."
        raise StateError("state-inside-earth", told)
    return found._replace(ground_m=min(given.ground_height_m, height_m))


def check(
    mean: Array, covariance: Array | None, *, drag: bool = True, beta: Coefficient | None = None, ground_m: float = 0.0
) -> FlightState:
    """Return a state that can be flown. Raises StateError for one that is not finite, inside the Earth or never comes back."""
    beta = beta or Coefficient()
    if not np.isfinite(mean).all():
        raise StateError("state-not-finite", f"Mean {mean.tolist()}.")
    radius_m, speed_m_s = float(np.linalg.norm(mean[:3])), float(np.linalg.norm(mean[3:]))
    height_m = float(geodesy.ecef_to_geodetic(mean[:3])[2]) if radius_m > 1.0 else -geodesy.WGS84_A_M
    if radius_m < 6.2e6 or height_m < min(SURFACE_BELOW_M, ground_m):
        raise StateError("state-inside-earth", f"It is {height_m:,.0f} m above the ellipsoid.")
    inertial = mean[3:] + np.cross([0.0, 0.0, 7.292115e-5], mean[:3])
    if radius_m > 6.0e7 or speed_m_s > SPEED_MAX_M_S or float(inertial @ inertial) >= 2 * 3.986004418e14 / radius_m:
        raise StateError("state-hyperbolic", f"{speed_m_s:,.0f} m/s at {height_m:,.0f} m.")
    if not (COEFFICIENT_MIN_KG_M2 <= beta.median <= COEFFICIENT_MAX_KG_M2 and 0.0 <= beta.log_sigma <= LOG_SIGMA_MAX):
        raise StateError("coefficient-absurd", f"Median {beta.median:g} kg/m2, log sigma {beta.log_sigma:g}.")
    spread = np.zeros((6, 6)) if covariance is None else _positive(covariance)
    median = beta.median if drag else 0.0
    return FlightState(mean, spread, covariance is not None, median, beta.log_sigma if drag else 0.0, ground_m)


def _matrix(rows: tuple[Row, ...]) -> Array:
    """Return a 6x6 matrix of rows."""
    if len(rows) != 6 or any(len(row) != 6 for row in rows):
        raise StateError("covariance-not-positive", f"It has rows of {[len(row) for row in rows]} numbers; 6 of 6 are wanted.")
    return np.array(rows, np.float64)


def _positive(covariance: Array) -> Array:
    """Return a covariance made exactly symmetric; StateError when it is none."""
    scale = np.sqrt(np.abs(np.diag(covariance)))
    if not np.isfinite(covariance).all() or (np.diag(covariance) <= 0.0).any():
        raise StateError("covariance-not-positive", f"Its diagonal is {np.diag(covariance).tolist()}.")
    unit: Any = covariance / np.outer(scale, scale)
    if np.abs(unit - unit.T).max() > 1e-6:
        raise StateError("covariance-not-positive", "It is not symmetric.")
    lowest = float(np.linalg.eigvalsh((unit + unit.T) / 2)[0])
    if lowest < -1e-9:
        raise StateError("covariance-not-positive", f"Its smallest eigenvalue, scaled to unit variances, is {lowest:.3g}.")
    return np.asarray((covariance + covariance.T) / 2)
