"""Simulated self-reports: ADS-B squitters as Beast bytes and AIS messages as NMEA, as a receiver of a nation hears them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pyais import encode_dict

from trilat.exercise.radar import HORIZON_M_PER_ROOT_M, callsign_of
from trilat.exercise.scenario import ScenarioSensor
from trilat.exercise.traffic import AIR_ADDRESS_BASE, SEA_MMSI_BASE, Movers
from trilat.feeds import modes_encode
from trilat.kernels import geodesy

POSITION_PERIOD_S = 1.0
VELOCITY_PERIOD_S = 1.0
IDENT_PERIOD_S = 10.0
SHIP_PERIOD_S = 6.0
SHIP_STATIC_PERIOD_S = 60.0
# Period and shift of the phase of everything that an aircraft or a ship says.
AIRCRAFT_TIMES = ((POSITION_PERIOD_S, 0.0), (VELOCITY_PERIOD_S, 0.5), (IDENT_PERIOD_S, 0.0))
SHIP_TIMES = ((SHIP_PERIOD_S, 0.0), (SHIP_STATIC_PERIOD_S, 0.0))
NAC_P = 9  # 95 % horizontal bound 30 m (DO-260B table 2-14)
GPS_SIGMA_M = {"adsb": 12.0, "ais": 8.0}
ANTENNA_M = 15.0
KNOT_M_S = modes_encode.KNOT_M_S


def due(phase: float, period_s: float, from_s: float, to_s: float) -> list[float]:
    """Return the times in (from_s, to_s] at which something with this phase (0..1) and period happens."""
    first = int(np.floor(from_s / period_s - phase)) + 1
    last = int(np.floor(to_s / period_s - phase))
    return [(k + phase) * period_s for k in range(first, last + 1)]


class SimulatedReceiver:
    """One receiver of self-reports. `hear` gives the bytes of what was sent between two times and could be heard."""

    def __init__(self, sensor: ScenarioSensor, rng: np.random.Generator, n: int) -> None:
        self.sensor = sensor
        self._rng = rng
        self._phase = rng.random(n)

    def hear(self, movers: Movers, from_s: float, to_s: float) -> list[bytes]:
        """Return the messages heard in (from_s, to_s], in order of time, each a whole Beast frame or NMEA sentence."""
        s = self.sensor
        rae = geodesy.ecef_to_rae(movers.position_m, s.lat_deg, s.lon_deg, s.alt_m)
        height = np.maximum(movers.geodetic[:, 2], ANTENNA_M)
        horizon_m = HORIZON_M_PER_ROOT_M * (np.sqrt(max(s.alt_m, ANTENNA_M)) + np.sqrt(height))
        wanted = (movers.sea if s.link == "ais" else ~movers.sea) & ~movers.silent & self._speaks(from_s, to_s)
        heard = wanted & (rae[:, 0] <= np.minimum(s.range_max_m, horizon_m))
        say = self._ship if s.link == "ais" else self._aircraft
        messages: list[tuple[float, int, bytes]] = []
        for row in np.flatnonzero(heard):
            messages.extend((t, int(row), data) for t, data in say(movers, int(row), from_s, to_s))
        return [data for _, _, data in sorted(messages)]

    def _speaks(self, from_s: float, to_s: float) -> NDArray[np.bool_]:
        """Tell who says anything in (from_s, to_s]: in a short step most say nothing."""
        said = np.zeros(len(self._phase), bool)
        for period_s, shift in SHIP_TIMES if self.sensor.link == "ais" else AIRCRAFT_TIMES:
            phase = (self._phase + shift) % 1.0
            said |= np.floor(to_s / period_s - phase) > np.floor(from_s / period_s - phase)
        return said

    def _where(self, movers: Movers, row: int, back_s: float) -> tuple[float, float, float]:
        sigma_m = GPS_SIGMA_M[self.sensor.link]
        position = movers.position_m[row] - movers.velocity_m_s[row] * back_s + self._rng.standard_normal(3) * sigma_m
        lat_deg, lon_deg, alt_m = geodesy.ecef_to_geodetic(position)
        return float(lat_deg), float(lon_deg), float(alt_m)

    def _speed(self, movers: Movers, row: int) -> tuple[float, float, float]:
        basis = geodesy.enu_basis(*movers.geodetic[row, :2])
        east, north, up = basis @ movers.velocity_m_s[row]
        return float(east), float(north), float(up)

    def _aircraft(self, movers: Movers, row: int, from_s: float, to_s: float) -> list[tuple[float, bytes]]:
        identity = int(movers.identity[row])
        address = AIR_ADDRESS_BASE + identity
        out: list[tuple[float, bytes]] = []
        for t in due(self._phase[row], POSITION_PERIOD_S, from_s, to_s):
            lat_deg, lon_deg, alt_m = self._where(movers, row, to_s - t)
            odd = round(t / POSITION_PERIOD_S - self._phase[row]) % 2 == 1
            out.append((t, modes_encode.airborne_position(address, lat_deg, lon_deg, alt_m, odd=odd)))
        velocity = due((self._phase[row] + 0.5) % 1.0, VELOCITY_PERIOD_S, from_s, to_s)
        out.extend((t, modes_encode.airborne_velocity(address, *self._speed(movers, row))) for t in velocity)
        for t in due(self._phase[row], IDENT_PERIOD_S, from_s, to_s):
            out.append((t, modes_encode.identification(address, callsign_of(identity))))
            out.append((t, modes_encode.operational_status(address, NAC_P)))
        return [(t, modes_encode.beast(frame, int(t * 12e6))) for t, frame in out]

    def _ship(self, movers: Movers, row: int, from_s: float, to_s: float) -> list[tuple[float, bytes]]:
        mmsi = SEA_MMSI_BASE + int(movers.identity[row])
        out: list[tuple[float, bytes]] = []
        for t in due(self._phase[row], SHIP_PERIOD_S, from_s, to_s):
            lat_deg, lon_deg, _ = self._where(movers, row, to_s - t)
            east, north, _ = self._speed(movers, row)
            course_deg = float(np.degrees(np.arctan2(east, north)) % 360.0)
            fields = {"type": 1, "lat": lat_deg, "lon": lon_deg, "speed": np.hypot(east, north) / KNOT_M_S, "course": course_deg}
            out.append(
                (t, _nmea(fields | {"mmsi": mmsi, "heading": round(course_deg) % 360, "second": int(t) % 60, "accuracy": True}))
            )
        for t in due(self._phase[row], SHIP_STATIC_PERIOD_S, from_s, to_s):
            number = int(movers.identity[row]) % 10_000
            who = {"shipname": f"TRILAT {number:04d}", "callsign": f"T{number:04d}"}
            out.append((t, _nmea({"type": 5, "mmsi": mmsi, "ship_type": 70, **who})))
        return out


def _nmea(fields: dict[str, str | int | float | bytes | bool]) -> bytes:
    return "".join(f"{line}\r\n" for line in encode_dict(fields, talker_id="AI")).encode("ascii")
