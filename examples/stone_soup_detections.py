"""Stone Soup's detections as Trilat's reports: each is read by its own measurement model (see stone_soup.py, which uses this).

`READERS` at the end names the models. What cannot be read raises `DetectionRefused`: one word of reason, and what to do instead.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from stonesoup.models.measurement import nonlinear as polar
from stonesoup.models.measurement.linear import LinearGaussian
from stonesoup.types.detection import CompositeDetection
from stonesoup.types.state import GaussianState

from trilat.kernels import geodesy
from trilat.records.columns import KIND_BEARING, KIND_MEASUREMENT, KIND_RADAR, KIND_TRACKLET, empty_reports
from trilat.track.wide import WIDE_COLUMNS

CORRELATION_MAX = 0.02  # of an ellipsoid's axes where none is level; what is more goes over as an information matrix
UPPER = np.triu_indices(6)
# Metadata of Stone Soup's readers and others: the column it goes into, how a text of it is read, and the most it may be.
IDENTITIES = {
    **dict.fromkeys(("icao24", "icao", "address"), ("address", 16, 0xFFFFFF)),
    "mmsi": ("mmsi", 10, 999_999_999),
    **dict.fromkeys(("squawk", "mode_3a"), ("mode_3a", 8, 0o7777)),
}


class DetectionRefused(ValueError):  # noqa: N818 - what happened to it
    """A detection that the tracker cannot take: `reason` is one word, the message says what to do instead."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason


class Site(NamedTuple):
    """Where a model's sensor stands in the local frame, and its axes there as rows; what the tracker takes it for."""

    kind: str
    place: tuple[float, ...] = (0.0, 0.0, 0.0)
    axes: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    level: bool = False  # it tells nothing of heights


class Plot(NamedTuple):
    """One detection, read: its site, its report, and its row of `track.wide` where it is an information matrix."""

    site: Site
    report: Any
    wide: Any = None


class LocalFrame:
    """A Cartesian frame (east, north, up) at a place on the Earth, and where a state vector holds its axes."""

    def __init__(
        self,
        lat_deg: float,
        lon_deg: float,
        mapping: Sequence[int] = (0, 2, 4),
        velocity_mapping: Sequence[int] = (1, 3, 5),
        height_m: float | None = None,
        sigma_height_m: float | None = None,
    ) -> None:
        self.basis, self.zero = geodesy.enu_basis(lat_deg, lon_deg), geodesy.geodetic_to_ecef(lat_deg, lon_deg, 0.0)
        self.mapping, self.velocity_mapping = tuple(map(int, mapping)), tuple(map(int, velocity_mapping))
        places, n = self.mapping + self.velocity_mapping, len(self.mapping)
        if n not in (2, 3) or len(self.velocity_mapping) not in (0, n) or sorted(places) != list(range(len(places))):
            msg = f"mapping {mapping} and velocity_mapping {velocity_mapping}: two or three places each, from 0 on, all unlike"
            raise ValueError(msg)
        level = n == 2
        # A level detection among others may be of anything that flies; in a level world all are on its plane.
        self.height_m = height_m if height_m is not None else (0.0 if level else 6_000.0)
        self.sigma_height_m = sigma_height_m if sigma_height_m is not None else (100.0 if level else 4_000.0)

    def state(self, row: Any, time: dt.datetime) -> GaussianState:
        """Return a track's row as a state of this frame, in the order of the mappings."""
        n, order = len(self.mapping), np.argsort(self.mapping + self.velocity_mapping)
        held = [*range(n), *(3 + k for k in range(len(self.velocity_mapping)))]
        turn = np.kron(np.eye(2), self.basis)
        mean = np.concatenate([self.basis @ (row["position_m"] - self.zero), self.basis @ row["velocity_m_s"]])
        covariance = turn @ row["covariance"] @ turn.T
        picked = np.array(held)[order]
        return GaussianState(mean[picked].reshape(-1, 1), covariance[np.ix_(picked, picked)], timestamp=time)

    def axes_of(self, model: Any, count: int) -> list[int]:
        """Return which axis of this frame each measured one is, by the model's mapping."""
        found = [self.mapping.index(int(at)) if at is not None and int(at) in self.mapping else -1 for at in model.mapping]
        if len(found) < count or -1 in found or len(set(found)) < len(found) or (count == 2 and set(found[:2]) != {0, 1}):
            message = f"{_name(model)} maps {tuple(model.mapping)}, this adapter's states hold x, y(, z) at {self.mapping}"
            raise DetectionRefused("mapping", f"{message}: give StoneSoupTracker the model's mapping and velocity_mapping")
        return found[:count]


def read(frame: LocalFrame, one: Any, time: dt.datetime) -> Plot:
    """Return a detection as a plot, by its model; raises DetectionRefused."""
    if isinstance(one, CompositeDetection):
        raise DetectionRefused("composite", "a CompositeDetection is several: give its sub_states one by one")
    model = getattr(one, "measurement_model", None)
    if model is None:
        raise DetectionRefused(
            "no-model", "a detection without a measurement_model is bare numbers: set the one it was made with"
        )
    reader = next((READERS[kind] for kind in READERS if isinstance(model, kind) and _same_function(model, kind)), None)
    if reader is None:
        names = ", ".join(kind.__name__ for kind in READERS)
        raise DetectionRefused("unknown-model", f"{_name(model)} is none of {names}: convert the detection to one of these")
    vector = np.asarray(one.state_vector)
    if vector.shape[:1] != (model.ndim_meas,):
        message = f"state_vector holds {len(vector)} values, {_name(model)} measures {model.ndim_meas}"
        raise DetectionRefused("shape", f"{message}: give the detection the model that it was made with")
    if vector.shape != (model.ndim_meas, 1):
        message = f"state_vector of shape {vector.shape}, ({model.ndim_meas}, 1) wanted"
        raise DetectionRefused("not-one-vector", f"{message}: of samples or particles give the mean, their spread as noise_covar")
    values, noise = vector.astype(float).ravel(), _noise(model)
    report = empty_reports(1)
    report["t_ns"] = ns_of(one.timestamp if one.timestamp is not None else time)
    _identify(report, one.metadata or {})
    return reader(frame, model, values, noise, report)


def _same_function(model: Any, kind: Any) -> bool:
    """Tell whether a model measures what the class that we know does: a subclass may derive otherwise, not measure so."""
    names = ("function", "_function", "matrix", "logpdf")
    return all(getattr(type(model), name, None) is getattr(kind, name, None) for name in names)


def _noise(model: Any) -> Any:
    """Return a model's noise covariance; raises DetectionRefused where it is none."""
    covariance = model.covar()
    if covariance is None or None in np.asarray(covariance):
        raise DetectionRefused("not-gaussian", f"{_name(model)} has no noise covariance: give it a Gaussian noise_covar")
    matrix, n = np.asarray(covariance, float), model.ndim_meas
    good = matrix.shape == (n, n) and np.isfinite(matrix).all() and np.allclose(matrix, matrix.T, rtol=1e-9, atol=0.0)
    if not good or np.linalg.eigvalsh(matrix)[0] <= 0.0:
        message = f"noise_covar of {_name(model)} must be {n} by {n}, symmetric and positive definite"
        raise DetectionRefused("covariance", f"{message}, not {matrix.tolist()}: give every measured axis a variance above zero")
    return matrix


def _linear(frame: LocalFrame, model: Any, values: Any, noise: Any, report: Any) -> Plot:
    """Read positions, and velocities where the mapping names them, in any order and with any covariance."""
    n, places = len(frame.mapping), frame.mapping + frame.velocity_mapping
    at = [places.index(int(k)) if k is not None and int(k) in places else -1 for k in model.mapping]
    axes = [k if k < n else 3 + k - n for k in at]  # of x, y, z, and their rates
    if -1 in at or len(set(at)) < len(at) or not {0, 1} <= set(axes):
        held = f"states hold x, y(, z) at {frame.mapping}, their rates at {frame.velocity_mapping}"
        remedy = "measure two or three positions, and give StoneSoupTracker the same mappings"
        raise DetectionRefused("mapping", f"LinearGaussian maps {tuple(model.mapping)}, {held}: {remedy}")
    level = 2 not in axes
    rows, mean = np.zeros((len(axes), 6)), np.zeros(6)
    rows[np.arange(len(axes)), axes], mean[axes] = 1.0, values
    if level:  # the height is that of the plane
        rows, mean[2] = np.vstack([rows, np.eye(6)[2]]), frame.height_m
        noise = np.block([[noise, np.zeros((len(noise), 1))], [np.zeros((1, len(noise))), np.array([[frame.sigma_height_m**2]])]])
        axes = [*axes, 2]
    own = np.argsort(axes)[:3]
    return _placed(frame, Site("fixes", level=level), report, mean, rows, noise, noise[np.ix_(own, own)])


def _placed(frame: LocalFrame, site: Site, report: Any, mean: Any, rows: Any, noise: Any, spread: Any) -> Plot:
    """Return a Cartesian plot: a place with its ellipsoid, or an information matrix where that says more.

    rows (n, 6) of what was measured of the local state `mean`, with covariance `noise`; spread (3, 3) of its place.
    """
    if not np.isfinite(mean).all():  # for the tracker to refuse and count, as it does a radar's
        report["kind"] = KIND_MEASUREMENT
        return Plot(site, report)
    ecef = frame.zero + mean[:3] @ frame.basis
    place = geodesy.ecef_to_geodetic(ecef)
    report["lat_deg"], report["lon_deg"], report["alt_m"] = place
    turn = geodesy.enu_basis(place[0], place[1]) @ frame.basis.T
    azimuth, elevation, sigmas, correlation = _ellipsoid(turn @ spread @ turn.T)
    if len(rows) == 3 and correlation <= CORRELATION_MAX:
        report["kind"], report["azimuth_rad"], report["elevation_rad"] = KIND_MEASUREMENT, azimuth, elevation
        report["sigma_range_m"], report["sigma_horizontal_m"], report["sigma_vertical_m"] = sigmas
        return Plot(site, report)
    report["kind"], wide, root = KIND_TRACKLET, np.zeros((1, WIDE_COLUMNS)), np.zeros((6, 6))
    half = np.linalg.qr(np.linalg.solve(np.linalg.cholesky(noise), rows @ np.kron(np.eye(2), frame.basis)), mode="r")
    root[: len(half)] = half
    wide[0, :3], wide[0, 5], wide[0, 6:9] = ecef, np.sqrt(np.linalg.eigvalsh(spread)[-1]), mean[3:] @ frame.basis
    wide[0, 9:] = root[UPPER]
    return Plot(site, report, wide)


def _ellipsoid(spread: Any) -> tuple[float, float, Any, float]:
    """Return azimuth and elevation of an ellipsoid's axis, the sigmas along, across (level) and up, and what that leaves out.

    The tracker's ellipsoids have a level axis; what is left out is the greatest correlation of the three.
    """
    best: tuple[float, float, Any, float] = (0.0, 0.0, np.sqrt(np.diag(spread)), np.inf)
    for axis in np.linalg.eigh(spread)[1].T:
        azimuth, elevation = np.arctan2(axis[0], axis[1]), np.arcsin(np.clip(axis[2], -1.0, 1.0))
        sa, ca, se, ce = np.sin(azimuth), np.cos(azimuth), np.sin(elevation), np.cos(elevation)
        own = np.array([[ce * sa, ce * ca, se], [ca, -sa, 0.0], [-se * sa, -se * ca, ce]])
        inside = own @ spread @ own.T
        sigmas = np.sqrt(np.diag(inside))
        left = float(np.abs(inside / np.outer(sigmas, sigmas) - np.eye(3)).max())
        if left < best[3] - 1e-12:
            best = float(azimuth % (2 * np.pi)), float(elevation), sigmas, left
    return best


def _polar(frame: LocalFrame, model: Any, values: Any, noise: Any, report: Any) -> Plot:
    """Read what a radar or a passive sensor measures, in its own axes."""
    told = dict(zip(MEASURED[next(kind for kind in MEASURED if isinstance(model, kind))], range(9), strict=False))
    level = isinstance(model, LEVEL)
    radar = "radar3d" if level or "elevation" in told else "radar2d"
    site = _site(frame, model, level=level, kind=radar if "range" in told else "bearing")
    angle = {name: values[told[name]] for name in told}
    if level:
        angle["elevation"] = 0.0
    along_ground = level and "range" in told and len(frame.mapping) == 3
    spread = np.sqrt(np.diag(noise))
    if along_ground or np.abs(noise / np.outer(spread, spread) - np.eye(len(noise))).max() > 1e-9:
        return _converted(frame, model, site, report, (angle, told), noise)
    report["kind"] = KIND_RADAR if "range" in told else KIND_BEARING
    sigma = {name: spread[k] for name, k in told.items()}
    if level and "range" in told:
        sigma["elevation"] = np.arctan2(frame.sigma_height_m, max(abs(angle["range"]), 1.0))
    report["azimuth_rad"], report["sigma_azimuth_rad"] = angle["bearing"] % (2 * np.pi), sigma["bearing"]
    for name, column in (("range", "range_m"), ("elevation", "elevation_rad"), ("rate", "doppler_m_s")):
        if name in sigma:
            report[column], report[f"sigma_{column}"] = angle[name], sigma[name]
    if "rate" in told and np.any(carried := np.asarray(model.velocity, float).ravel()):
        report["doppler_m_s"] += _carried(frame, model, site, angle, carried)
    return Plot(site, report)


def _site(frame: LocalFrame, model: Any, *, level: bool, kind: str) -> Site:
    """Return where a model's sensor stands, and its axes."""
    found = frame.axes_of(model, 2 if level else 3)
    offset, place = np.asarray(model.translation_offset, float).ravel(), np.zeros(3)
    axes = np.eye(3)[found if len(found) == 3 else [*found, 2]]
    place[found] = offset[: len(found)]
    if level:
        if np.any(np.asarray(model.rotation_offset, float).ravel()[:2]):
            raise DetectionRefused(
                "rotation", f"{_name(model)} measures in the plane: its rotation_offset may turn about z alone"
            )
        place[2] = frame.height_m
    turned = np.asarray(model.rotation_matrix, float) @ axes
    return Site(kind, tuple(place.tolist()), tuple(turned.ravel().tolist()), level)


def _converted(frame: LocalFrame, model: Any, site: Site, report: Any, measured: Any, noise: Any) -> Plot:
    """Return a plot whose errors go together, or whose range is along the ground, as a place with its ellipsoid."""
    angle, told = measured
    if "rate" in told or not {"range", "elevation"} <= set(angle):
        what = "along the ground" if site.level and "rate" in told else "with correlated errors"
        remedy = "give a diagonal noise_covar, or CartesianToBearingRangeRate for a level range rate in a world of three axes"
        raise DetectionRefused("covariance", f"{_name(model)} {what} cannot be taken: {remedy}")
    r, az, el = angle["range"], angle["bearing"], angle["elevation"]
    ca, sa, ce, se = np.cos(az), np.sin(az), np.cos(el), np.sin(el)
    towards, axes = np.array([ce * ca, ce * sa, se]), np.reshape(site.axes, (3, 3))
    slopes = {"range": towards, "bearing": r * ce * np.array([-sa, ca, 0.0]), "elevation": r * np.array([-se * ca, -se * sa, ce])}
    jacobian = axes.T @ np.array([slopes[name] for name in told]).T
    spread = jacobian @ noise @ jacobian.T
    if site.level:
        spread[2, 2] += frame.sigma_height_m**2
    mean = np.concatenate([np.array(site.place) + r * towards @ axes, np.zeros(3)])
    return _placed(frame, site, report, mean, np.eye(3, 6), spread, spread)


def _carried(frame: LocalFrame, model: Any, site: Site, angle: Any, velocity: Any) -> float:
    """Return what a moving sensor's own velocity takes from its range rates; the tracker's sensors stand still."""
    if "elevation" not in angle:
        raise DetectionRefused(
            "velocity", f"{_name(model)} of a moving sensor has no elevation to take its velocity off: set it to zero"
        )
    found = frame.axes_of(model, 2 if site.level else 3)
    az, el = angle["bearing"], angle["elevation"]
    towards = np.array([np.cos(el) * np.cos(az), np.cos(el) * np.sin(az), np.sin(el)]) @ np.reshape(site.axes, (3, 3))
    return float(towards[found] @ velocity[: len(found)])


def _identify(report: Any, metadata: Any) -> None:
    """Put identities that metadata names into a report; raises DetectionRefused for one that is none."""
    for key, value in metadata.items():
        name = str(key).lower()
        if value is None or value != value or (isinstance(value, str) and not value.strip()):  # noqa: PLR0124 - NaN
            continue
        if name == "callsign":
            if not str(value).isascii():
                raise DetectionRefused("metadata", f"callsign {value!r} is not ASCII: leave it out")
            report["callsign"] = str(value).strip().encode("ascii")
        elif name in IDENTITIES:
            column, base, most = IDENTITIES[name]
            try:
                number = int(value.strip(), base) if isinstance(value, str) else int(value)
            except (TypeError, ValueError):
                number = -1
            if not 0 <= number <= most:
                message = f"{key} {value!r} is none (whole, a text to base {base}, at most {most:,})"
                raise DetectionRefused("metadata", f"{message}: leave it out")
            report[column] = number


def _name(model: Any) -> str:
    return type(model).__name__


def ns_of(time: Any) -> int:
    """Return a time as UTC nanoseconds; Stone Soup's naive times count as UTC."""
    if not isinstance(time, dt.datetime):
        raise DetectionRefused("timestamp", f"{time!r} is no datetime: give one, naive (taken as UTC) or aware")
    aware = time if time.tzinfo else time.replace(tzinfo=dt.UTC)
    return (aware - dt.datetime.fromtimestamp(0, dt.UTC)) // dt.timedelta(microseconds=1) * 1_000


LEVEL = (polar.CartesianToBearingRange, polar.CartesianToBearingRangeRate2D, polar.Cartesian2DToBearing)
MEASURED = {  # in the order of the state vector
    polar.CartesianToElevationBearingRange: ("elevation", "bearing", "range"),
    polar.CartesianToElevationBearingRangeRate: ("elevation", "bearing", "range", "rate"),
    polar.CartesianToBearingRange: ("bearing", "range"),
    polar.CartesianToBearingRangeRate: ("bearing", "range", "rate"),
    polar.CartesianToBearingRangeRate2D: ("bearing", "range", "rate"),
    polar.CartesianToElevationBearing: ("elevation", "bearing"),
    polar.Cartesian2DToBearing: ("bearing",),
}
READERS = {LinearGaussian: _linear, **dict.fromkeys(MEASURED, _polar)}
