"""Earth-fixed: plots and tracklets in terms that need no sensor's place, made by the originator and read by the receiver.

A radar plot becomes a place with an error ellipsoid along its line of sight (Longbin et al., Unbiased converted measurements for
tracking, IEEE TAES 34, 1998, shows that the bias of doing so is negligible while range times bearing error is well below range).
A tracklet becomes a report whose rows are U with U'U = Y, so that a tracker takes it as six scalar measurements of its state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trilat.kernels import geodesy
from trilat.records.columns import (
    DOMAINS,
    FLAG_SIMULATED,
    FLAG_TEST,
    KIND_MEASUREMENT,
    KIND_RADAR,
    KIND_TRACKLET,
    Reports,
    empty_reports,
)
from trilat.records.report import Measurement
from trilat.records.sensor import Sensor
from trilat.records.track import Tracklet

Floats = NDArray[np.float64]
HEIGHT_M, HEIGHT_SIGMA_M = 6_000.0, 4_000.0  # of an aircraft that a radar without height sees
SURFACE_ALT_MAX_M, SURFACE_SIGMA_M = 500.0, 50.0  # a radar that looks no higher sees ships
WIDE_COLUMNS, VELOCITY, ROOT, SIGMA = 30, 6, 9, 5  # as track.wide
DOUBT_M = 50_000.0  # what a direction without information counts as, for the width of a gate
_UPPER = np.triu_indices(6)
_INTEGERS = ("mode_3a", "address", "sensor_track")


def can_stand_alone(columns: Any) -> NDArray[np.bool_]:
    """Tell which reports (REPORT_DTYPE) are radar plots with range and azimuth, which have a place on the Earth."""
    return np.asarray((columns["kind"] == KIND_RADAR) & np.isfinite(columns["range_m"]) & np.isfinite(columns["azimuth_rad"]))


def measurements(batch: Reports, sensor: Sensor) -> list[Measurement]:
    """Return a batch's radar plots in Earth-fixed terms, in order; reports that have no place are not among them."""
    columns = batch.columns[can_stand_alone(batch.columns)]
    if not len(columns):
        return []
    place, along, across, up = ellipsoids(columns, sensor)
    site = geodesy.geodetic_to_ecef(sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
    spot = geodesy.ecef_to_geodetic(place)
    local = np.einsum("nij,nj->ni", geodesy.enu_basis(spot[:, 0], spot[:, 1]), place - site)
    azimuth = np.arctan2(local[:, 0], local[:, 1]) % (2 * math.pi)
    elevation = np.arctan2(local[:, 2], np.hypot(local[:, 0], local[:, 1]))
    made = []
    for k, row in enumerate(columns):
        values: dict[str, Any] = {name: int(row[name]) for name in _INTEGERS if row[name] >= 0}
        callsign = bytes(row["callsign"]).decode("ascii", "replace").strip()
        if callsign:
            values["callsign"] = callsign
        made.append(
            Measurement(
                t_ns=int(row["t_ns"]),
                sensor=sensor.id,
                label=batch.label,
                pedigree=batch.pedigree,
                domain=DOMAINS[row["domain"]],  # type: ignore[arg-type]  # the tuple holds the literal's words
                lat_deg=float(spot[k, 0]),
                lon_deg=float(spot[k, 1]),
                alt_m=float(spot[k, 2]),
                axis_azimuth_rad=float(azimuth[k]),
                axis_elevation_rad=float(elevation[k]),
                sigma_along_m=float(along[k]),
                sigma_across_m=float(across[k]),
                sigma_up_m=float(up[k]),
                simulated=bool(int(row["flags"]) & (FLAG_SIMULATED | FLAG_TEST)),
                **values,
            )
        )
    return made


def ellipsoids(columns: Any, sensor: Sensor) -> tuple[Floats, Floats, Floats, Floats]:
    """Return radar plots' places (n, 3) ECEF and sigmas along the line of sight, across it in the level, and upwards (n,).

    Where there is no elevation the height decides, a reported one or what targets of this radar usually have.
    """
    sigma_r, sigma_az, sigma_el, sigma_h = (
        np.where(columns[name] > 0.0, columns[name], getattr(sensor, name))
        for name in ("sigma_range_m", "sigma_azimuth_rad", "sigma_elevation_rad", "sigma_height_m")
    )
    surface = sensor.alt_max_m <= SURFACE_ALT_MAX_M
    usual, doubt = (0.0, SURFACE_SIGMA_M) if surface else (HEIGHT_M, HEIGHT_SIGMA_M)
    known, told = np.isfinite(columns["elevation_rad"]), np.isfinite(columns["height_m"])
    height = np.where(told, columns["height_m"], usual)
    r, azimuth = columns["range_m"], columns["azimuth_rad"]
    sine = np.where(known, np.sin(np.where(known, columns["elevation_rad"], 0.0)), 0.0)
    for _ in range(4):  # the elevation at which this slant range reaches that height: the drop of the Earth, by turns
        sine = np.clip(sine, -0.9, 0.98)
        place = geodesy.rae_to_ecef(r, azimuth, np.arcsin(sine), sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
        reached = geodesy.ecef_to_geodetic(place)[:, 2]
        sine = np.where(known, sine, sine + (height - reached) / np.maximum(r, 1.0))
    level = np.sqrt(1.0 - sine**2)
    up = np.where(known, r * sigma_el, np.where(told, sigma_h, doubt) / np.maximum(level, 0.1))
    return place, sigma_r, np.maximum(r * level * sigma_az, 0.1), np.maximum(up, 0.1)


def columns_of_measurements(records: Sequence[Measurement]) -> Any:
    """Return measurements as REPORT_DTYPE columns (KIND_MEASUREMENT), in order; the sensor index is left absent."""
    columns = empty_reports(len(records))
    for row, record in zip(columns, records, strict=True):
        row["t_ns"], row["kind"], row["domain"] = record.t_ns, KIND_MEASUREMENT, DOMAINS.index(record.domain)
        row["lat_deg"], row["lon_deg"], row["alt_m"] = record.lat_deg, record.lon_deg, record.alt_m
        row["azimuth_rad"], row["elevation_rad"] = record.axis_azimuth_rad, record.axis_elevation_rad
        row["sigma_range_m"], row["sigma_horizontal_m"] = record.sigma_along_m, record.sigma_across_m
        row["sigma_vertical_m"] = record.sigma_up_m
        row["flags"] = FLAG_SIMULATED if record.simulated else 0
        for name in _INTEGERS:
            value = getattr(record, name)
            row[name] = -1 if value is None else value
        row["callsign"] = (record.callsign or "").encode("ascii", "replace")
    return columns


def columns_of_tracklets(tracklets: Sequence[Tracklet]) -> tuple[Any, Floats]:
    """Return tracklets as REPORT_DTYPE columns (KIND_TRACKLET) and their rows (n, 30) as track.wide lays them out."""
    n = len(tracklets)
    columns, rows = empty_reports(n), np.zeros((n, WIDE_COLUMNS))
    info = np.zeros((n, 6, 6))
    info[:, _UPPER[0], _UPPER[1]] = np.array([one.information for one in tracklets]).reshape(n, 21)
    info = np.triu(info) + np.swapaxes(np.triu(info, 1), 1, 2)
    values, vectors = np.linalg.eigh(info)
    values = np.where(values > 1e-9 * values[:, -1:], values, 0.0)  # what rounding made of nothing
    y = np.array([one.information_state for one in tracklets]).reshape(n, 6)
    inverse = np.divide(1.0, values, out=np.zeros_like(values), where=values > 0.0)
    mean = np.einsum("nij,nj,nkj,nk->ni", vectors, inverse, vectors, y)
    root: Any = np.linalg.qr(np.sqrt(values)[:, :, None] * np.swapaxes(vectors, 1, 2), mode="r")
    rows[:, :3] = mean[:, :3] + np.array([one.origin_ecef_m for one in tracklets]).reshape(n, 3)
    rows[:, VELOCITY : VELOCITY + 3] = mean[:, 3:]
    rows[:, ROOT:] = root[:, _UPPER[0], _UPPER[1]]
    rows[:, SIGMA] = _place_sigma(info)
    spot = geodesy.ecef_to_geodetic(rows[:, :3])
    columns["kind"], columns["lat_deg"], columns["lon_deg"] = KIND_TRACKLET, spot[:, 0], spot[:, 1]
    columns["alt_m"] = spot[:, 2]
    for row, one in zip(columns, tracklets, strict=True):
        row["t_ns"], row["domain"], row["sensor_track"] = one.t_ns, DOMAINS.index(one.domain), one.number
        row["address"] = -1 if one.address is None else one.address
        row["mmsi"] = -1 if one.mmsi is None else one.mmsi
        row["callsign"] = (one.callsign or "").encode("ascii", "replace")
    return columns, rows


def _place_sigma(info: Floats) -> Floats:
    """Return the widest sigma of each tracklet's place, whatever its velocity; what is not known counts as DOUBT_M."""
    doubt = np.diag([DOUBT_M**-2.0] * 3 + [1e-8] * 3)
    covariance = np.linalg.inv(info + doubt)[:, :3, :3]
    return np.asarray(np.sqrt(np.linalg.eigvalsh(covariance)[:, -1]))
