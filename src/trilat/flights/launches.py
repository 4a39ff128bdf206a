"""Launches in a scenario: generic flights at their times, and what the scenario's high-looking radars say of them, as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from trilat.feeds.plots import encode_plots_json
from trilat.flights.flight import Flight, Wanted, generic_flight
from trilat.kernels import geodesy
from trilat.records.columns import FLAG_SIMULATED, KIND_BEARING, KIND_RADAR, empty_reports
from trilat.records.fields import LatDeg, LonDeg, Name, ShortText
from trilat.records.sensor import SensorSite

NS = 1_000_000_000
CLUTTER_HEIGHT_M = 3.0e5
CLUTTER_SHARE = 0.5  # of the range: false plots lie where noise is looked at


class ScenarioLaunch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One launch of a scenario: when (seconds after the start), from where, which way, how far and how high. Invented."""

    name: Name
    at_s: Annotated[float, Meta(ge=0.0, le=86_400.0)]
    lat_deg: LatDeg
    lon_deg: LonDeg
    bearing_deg: Annotated[float, Meta(ge=0.0, lt=360.0)]
    range_km: Annotated[float, Meta(gt=0.0, le=20_000.0)]
    apogee_km: Annotated[float, Meta(gt=0.0, le=20_000.0)]
    says: ShortText = ""


class Launched:
    """A launch of a scenario as it flies; the flight is worked out when it is first asked for."""

    def __init__(self, plan: ScenarioLaunch) -> None:
        self.plan = plan

    @cached_property
    def flight(self) -> Flight:
        """The generic flight that has the wanted range and apogee; raises ExerciseError (flight-unsolved)."""
        p = self.plan
        return generic_flight(Wanted(p.lat_deg, p.lon_deg, p.bearing_deg, p.range_km * 1e3, p.apogee_km * 1e3))

    def state(self, t_s: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return states (n, 6) ECEF at seconds after the scenario's start, and whether it flies then."""
        since = np.asarray(t_s, np.float64) - self.plan.at_s
        if not len(since) or since.max() < 0.0:
            return np.zeros((len(since), 6)), np.zeros(len(since), bool)
        return self.flight.at(since), (since >= 0.0) & (since < self.flight.landing_s)


class SimulatedHighRadar:
    """A radar or infrared sensor of a scenario that looks once a period at everything that flies high. Sensors are fictional."""

    def __init__(self, sensor: SensorSite, rng: np.random.Generator) -> None:
        self.sensor = sensor
        self._rng = rng
        self._phase_s = rng.uniform(0.0, sensor.period_s)

    def look(self, launched: Sequence[Launched], from_s: float, to_s: float, start_ns: int) -> bytes:
        """Return its lines for looks in (from_s, to_s], plots of launches and false ones, in order of time."""
        period = self.sensor.period_s
        first = int(np.floor((from_s - self._phase_s) / period)) + 1
        last = int(np.floor((to_s - self._phase_s) / period))
        t_s = np.array([self._phase_s + k * period for k in range(first, last + 1)])
        if not len(t_s):
            return b""
        parts = [self._plots(one, t_s, start_ns) for one in launched]
        columns = np.concatenate([*parts, self._clutter(t_s, start_ns)])
        return encode_plots_json(columns[np.argsort(columns["t_ns"], kind="stable")], self.sensor.id)

    def _plots(self, one: Launched, t_s: NDArray[np.float64], start_ns: int) -> NDArray[Any]:
        s, draw = self.sensor, self._rng.standard_normal
        states, flies = one.state(t_s)
        if not flies.any():
            return empty_reports(0)
        rae = geodesy.ecef_to_rae(states[:, :3], s.lat_deg, s.lon_deg, s.alt_m).reshape(-1, 3)
        seen = flies & (s.range_min_m <= rae[:, 0]) & (rae[:, 0] <= s.range_max_m)
        seen &= (s.elevation_min_rad <= rae[:, 2]) & (rae[:, 2] <= s.elevation_max_rad)
        seen &= self._rng.random(len(t_s)) < s.detection_probability
        rae, t_s = rae[seen], t_s[seen]
        n = len(t_s)
        noise = np.stack([draw(n) * s.sigma_range_m, draw(n) * s.sigma_azimuth_rad, draw(n) * s.sigma_elevation_rad], axis=1)
        return self._rows(rae + noise, t_s, start_ns)

    def _clutter(self, t_s: NDArray[np.float64], start_ns: int) -> NDArray[Any]:
        s, rng = self.sensor, self._rng
        counts = rng.poisson(s.clutter_per_scan, len(t_s))
        n = int(counts.sum())
        rng_m = s.range_max_m * CLUTTER_SHARE * np.sqrt(rng.uniform(0.01, 1.0, n))
        elevation = rng.uniform(s.elevation_min_rad, np.maximum(s.elevation_min_rad, np.arctan2(CLUTTER_HEIGHT_M, rng_m)))
        rae = np.stack([rng_m, rng.uniform(0.0, 2 * np.pi, n), elevation], axis=1)
        return self._rows(rae, np.repeat(t_s, counts), start_ns)

    def _rows(self, rae: NDArray[np.float64], t_s: NDArray[np.float64], start_ns: int) -> NDArray[Any]:
        out = empty_reports(len(t_s))
        out["t_ns"] = start_ns + np.round(t_s * NS).astype(np.int64)
        out["flags"] = FLAG_SIMULATED
        out["azimuth_rad"], out["elevation_rad"] = np.mod(rae[:, 1], 2 * np.pi), rae[:, 2]
        out["kind"] = KIND_BEARING if self.sensor.kind == "bearing" else KIND_RADAR
        if self.sensor.kind != "bearing":
            out["range_m"] = rae[:, 0]
        return out
