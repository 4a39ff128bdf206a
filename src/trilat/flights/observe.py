"""Radars and an infrared line of sight that observe a flight: reports as columns, as a node's sensors would give them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trilat.feeds.plots import sights
from trilat.flights.flight import Flight
from trilat.kernels import geodesy
from trilat.records.columns import FLAG_SIMULATED, KIND_BEARING, KIND_RADAR, Reports, empty_reports
from trilat.records.label import Label, Mode
from trilat.records.report import Pedigree
from trilat.records.sensor import Sensor

Array = NDArray[np.float64]
EXERCISE = Label(policy="exercise", originator="ZZZ", mode=Mode(kind="exercise", id="flights"), level=0)
NS = 1_000_000_000
EPOCH_NS = 1_700_000_000 * NS
CLOUDS_M = 10_000.0  # infrared sees a burning vehicle from there on up


class Site(NamedTuple):
    """A fictional radar: whose, where, how exact."""

    id: str
    nation: str
    lat_deg: float
    lon_deg: float
    range_max_m: float = 3.0e6
    sigma_range_m: float = 30.0
    sigma_angle_rad: float = 1e-3
    period_s: float = 1.0


# Generic places on coasts, none of them a real station's.
SITES: tuple[Site, ...] = (
    Site("JPN-R1", "JPN", 40.8, 139.9),
    Site("USA-R1", "USA", 36.5, 136.0),
    Site("KOR-R1", "KOR", 37.6, 129.0),
)


def sensor_of(site: Site) -> Sensor:
    """Return a site as a sensor's record."""
    return Sensor(
        id=site.id, nation=site.nation, kind="radar3d", label=EXERCISE, lat_deg=site.lat_deg, lon_deg=site.lon_deg, alt_m=100.0,
        period_s=site.period_s, range_max_m=site.range_max_m, alt_max_m=5e7, elevation_min_rad=0.017,
        detection_probability=0.95, clutter_per_scan=1.0, sigma_range_m=site.sigma_range_m,
        sigma_azimuth_rad=site.sigma_angle_rad, sigma_elevation_rad=site.sigma_angle_rad,
    )  # fmt: skip


class Observation:
    """Sensors that look at one moving thing. `state_at(seconds)` gives its states (n, 6) ECEF; seconds count from EPOCH_NS."""

    def __init__(
        self, sensors: Sequence[Sensor], state_at: Callable[[Array], Array], end_s: float, rng: np.random.Generator
    ) -> None:
        self.sensors, self.end_s = tuple(sensors), end_s
        parts = [self._look(k, state_at, rng) for k in range(len(sensors))]
        columns = np.concatenate(parts)
        self.columns = columns[np.argsort(columns["t_ns"], kind="stable")]

    def _look(self, k: int, state_at: Callable[[Array], Array], rng: np.random.Generator) -> NDArray[Any]:
        sensor = self.sensors[k]
        t_s = np.arange(rng.uniform(0.0, sensor.period_s), self.end_s, sensor.period_s)
        place = state_at(t_s)[:, :3]
        rae = geodesy.ecef_to_rae(place, sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
        seen = (rae[:, 0] <= sensor.range_max_m) & (rae[:, 2] >= sensor.elevation_min_rad)
        seen &= rng.random(len(t_s)) < sensor.detection_probability
        rae, t_s = rae[seen], t_s[seen]
        n = len(t_s)
        out = empty_reports(n)
        out["t_ns"] = EPOCH_NS + np.round(t_s * NS).astype(np.int64)
        out["sensor"], out["flags"] = k, FLAG_SIMULATED
        out["azimuth_rad"] = np.mod(rae[:, 1] + rng.standard_normal(n) * sensor.sigma_azimuth_rad, 2 * np.pi)
        out["elevation_rad"] = rae[:, 2] + rng.standard_normal(n) * sensor.sigma_elevation_rad
        out["kind"] = KIND_BEARING if sensor.kind == "bearing" else KIND_RADAR
        if sensor.kind != "bearing":
            out["range_m"] = rae[:, 0] + rng.standard_normal(n) * sensor.sigma_range_m
        return out

    def steps(self, every_s: float = 0.5, until_s: float | None = None) -> Iterator[tuple[int, list[Reports]]]:
        """Yield (now_ns, one batch a sensor) at a steady interval."""
        end = self.end_s if until_s is None else until_s
        at = 0
        for k in range(1, int(end / every_s) + 1):
            now_ns = EPOCH_NS + round(k * every_s * NS)
            to = int(np.searchsorted(self.columns["t_ns"], now_ns))
            part = self.columns[at:to]
            at = to
            yield now_ns, [self._batch(part[part["sensor"] == s], s, now_ns) for s in np.unique(part["sensor"])]

    def _batch(self, columns: NDArray[Any], s: int, now_ns: int) -> Reports:
        sensor = self.sensors[s]
        pedigree = Pedigree(nation=sensor.nation, sensors=(sensor.id,))
        return Reports(source=sensor.id, label=sensor.label, pedigree=pedigree, received_t_ns=now_ns, columns=columns)


def flashes(
    sensor: Sensor, flight: Flight, rng: np.random.Generator, place_at: Callable[[Array], Array] | None = None
) -> NDArray[Any]:
    """Return the lines of sight of an infrared observer to a vehicle while a stage burns above the clouds, as report columns.

    An observer that moves gives `place_at` (seconds -> places (n, 3) ECEF), and its reports are plots in Earth-fixed terms.
    """
    t_s = np.arange(rng.uniform(0.0, sensor.period_s), flight.burnout_s, sensor.period_s)
    there = flight.at(t_s)[:, :3]
    high = geodesy.ecef_to_geodetic(there)[:, 2] > CLOUDS_M
    high &= [bool(((flight.stages[:, 0] <= t) & (t < flight.stages[:, 1])).any()) for t in t_s]
    high &= rng.random(len(t_s)) < sensor.detection_probability
    t_s, there = t_s[high], there[high]
    t_ns, sigma = EPOCH_NS + np.round(t_s * NS).astype(np.int64), sensor.sigma_azimuth_rad
    if place_at is None:
        rae = geodesy.ecef_to_rae(there, sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
        out = empty_reports(len(t_s))
        out["azimuth_rad"] = np.mod(rae[:, 1] + rng.standard_normal(len(t_s)) * sigma / np.cos(rae[:, 2]), 2 * np.pi)
        out["elevation_rad"] = rae[:, 2] + rng.standard_normal(len(t_s)) * sensor.sigma_elevation_rad
        out["t_ns"], out["kind"] = t_ns, KIND_BEARING
    else:
        from_m = place_at(t_s)
        way = there - from_m
        way = way + rng.standard_normal(way.shape) * sigma * np.linalg.norm(way, axis=1)[:, None]
        out, good = sights(t_ns, from_m, way, np.full(len(way), sigma))
        out = out[good]
    out["flags"] = FLAG_SIMULATED
    return out
