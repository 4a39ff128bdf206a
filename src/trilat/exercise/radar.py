"""A simulated radar: which plots it gives while its antenna turns, as columns that an encoder makes bytes of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trilat.exercise.scenario import ScenarioSensor
from trilat.exercise.traffic import AIR_ADDRESS_BASE, Movers
from trilat.kernels import geodesy
from trilat.records.columns import FLAG_SIMULATED, KIND_RADAR, empty_reports

# Radio horizon on a 4/3 Earth: 4,120 m for each root metre of height (Skolnik, Radar Handbook, 2008, section 26).
HORIZON_M_PER_ROOT_M = 4_120.0
CLUTTER_PER_SCAN = 3.0
SECTORS = 32
FLIGHT_LEVEL_M = 30.48 / 4.0  # Mode C is encoded in quarters of a flight level
TWO_PI = 2.0 * np.pi
NS = 1_000_000_000


def callsign_of(identity: int) -> str:
    """Return the invented callsign of a mover."""
    return f"TRI{identity % 10_000:04d}"


def squawk_of(identity: int) -> int:
    """Return the invented Mode 3/A code of a mover, never one of the emergency codes 7500, 7600, 7700."""
    return 0o1000 + identity % 0o5000


class SimulatedRadar:
    """One turning antenna. `sweep` gives the plots of the sector it passed between two times."""

    def __init__(self, sensor: ScenarioSensor, rng: np.random.Generator) -> None:
        self.sensor = sensor
        self._rng = rng
        self._phase = rng.uniform(0.0, TWO_PI)

    def azimuth_rad(self, t_s: float) -> float:
        """Return where the beam points, unwrapped, at t_s seconds after the start."""
        return self._phase + TWO_PI * t_s / self.sensor.period_s

    def marks(self, from_s: float, to_s: float) -> tuple[list[float], list[float]]:
        """Return times (s) and azimuths (rad) of the sector borders that the beam crossed in (from_s, to_s]; north is one."""
        sector = TWO_PI / SECTORS
        first = int(np.floor(self.azimuth_rad(from_s) / sector)) + 1
        last = int(np.floor(self.azimuth_rad(to_s) / sector))
        crossed = range(first, last + 1)
        times = [(k * sector - self._phase) / TWO_PI * self.sensor.period_s for k in crossed]
        return times, [k % SECTORS * sector for k in crossed]

    def sweep(self, movers: Movers, from_s: float, to_s: float, start_ns: int) -> NDArray[Any]:
        """Return the plots (REPORT_DTYPE) of targets and clutter that the beam passed in (from_s, to_s]."""
        plots = [self._targets(movers, from_s, to_s, start_ns), self._clutter(from_s, to_s, start_ns)]
        columns = np.concatenate(plots)
        return columns[np.argsort(columns["t_ns"], kind="stable")]

    def _targets(self, movers: Movers, from_s: float, to_s: float, start_ns: int) -> NDArray[Any]:
        s = self.sensor
        wanted = movers.sea if s.surface else ~movers.sea
        rae = geodesy.ecef_to_rae(movers.position_m, s.lat_deg, s.lon_deg, s.alt_m)
        begin = self.azimuth_rad(from_s)
        turned = np.mod(rae[:, 1] - begin, TWO_PI)
        passed = turned <= self.azimuth_rad(to_s) - begin
        horizon_m = HORIZON_M_PER_ROOT_M * (np.sqrt(max(s.alt_m, 0.0)) + np.sqrt(np.maximum(movers.geodetic[:, 2], 8.0)))
        seen = wanted & passed & (rae[:, 0] <= np.minimum(s.range_max_m, horizon_m))
        seen &= self._rng.random(len(seen)) < s.detection_probability
        rows = np.flatnonzero(seen)
        t_s = from_s + turned[rows] / TWO_PI * s.period_s
        position = movers.position_m[rows] - movers.velocity_m_s[rows] * (to_s - t_s)[:, None]
        return self._report(movers, rows, position, start_ns + np.round(t_s * NS).astype(np.int64))

    def _report(self, movers: Movers, rows: NDArray[np.int64], position: NDArray[Any], t_ns: NDArray[np.int64]) -> NDArray[Any]:
        s, n, noise = self.sensor, len(rows), self._rng.standard_normal
        rae = geodesy.ecef_to_rae(position, s.lat_deg, s.lon_deg, s.alt_m).reshape(n, 3)
        out = self._blank(n, t_ns)
        out["range_m"] = rae[:, 0] + noise(n) * s.sigma_range_m
        out["azimuth_rad"] = np.mod(rae[:, 1] + noise(n) * s.sigma_azimuth_rad, TWO_PI)
        height = movers.geodetic[rows, 2]
        measured = height + noise(n) * s.sigma_height_m
        if s.three_d:
            out["height_m"] = np.maximum(measured, 0.0)
        answers = ~movers.silent[rows] & ~movers.sea[rows]
        out["height_m"][answers] = np.round(height[answers] / FLIGHT_LEVEL_M) * FLIGHT_LEVEL_M
        identity = movers.identity[rows]
        out["mode_3a"][answers] = [squawk_of(int(i)) for i in identity[answers]]
        out["address"][answers] = AIR_ADDRESS_BASE + identity[answers]
        out["callsign"][answers] = [callsign_of(int(i)).encode() for i in identity[answers]]
        return out

    def _clutter(self, from_s: float, to_s: float, start_ns: int) -> NDArray[Any]:
        s = self.sensor
        n = self._rng.poisson(CLUTTER_PER_SCAN * (to_s - from_s) / s.period_s)
        t_s = self._rng.uniform(from_s, to_s, n)
        out = self._blank(n, start_ns + np.round(t_s * NS).astype(np.int64))
        out["range_m"] = s.range_max_m * np.sqrt(self._rng.uniform(0.02, 1.0, n))
        out["azimuth_rad"] = np.mod(self._phase + TWO_PI * t_s / s.period_s, TWO_PI)
        if s.three_d:
            out["height_m"] = self._rng.uniform(200.0, 12_000.0, n)
        return out

    def _blank(self, n: int, t_ns: NDArray[np.int64]) -> NDArray[Any]:
        out = empty_reports(n)
        out["t_ns"] = t_ns
        out["kind"] = KIND_RADAR
        out["flags"] = FLAG_SIMULATED
        return out
