"""Encode ADS-B: DF17 extended squitters and the Beast frames that carry them, so that exercises feed real bytes.

Layouts: RTCA DO-260B (2009) / ICAO Doc 9871 (2012), Mode S parity: ICAO Annex 10 vol. IV 3.1.2.3.3. Altitudes in feet as on air.
"""

from __future__ import annotations

import math

CPR_BITS = 17
_GENERATOR = 0x1FFF409  # 25-bit Mode S parity generator
_NZ = 15  # latitude zones between equator and pole
FT_M = 0.3048
KNOT_M_S = 1852.0 / 3600.0
_IDENT_CHARS = {c: i + 1 for i, c in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ")} | {str(i): 48 + i for i in range(10)} | {" ": 32}


def parity(message: int) -> int:
    """Return the 24-bit parity of an 88-bit message (without its parity field)."""
    remainder = message << 24
    for bit in range(111, 23, -1):
        if remainder >> bit & 1:
            remainder ^= _GENERATOR << (bit - 24)
    return remainder


def nl(lat_deg: float) -> int:
    """Return the number of CPR longitude zones at a latitude (DO-260B A.1.7.2 d)."""
    if abs(lat_deg) >= 87.0:
        return 2 if abs(lat_deg) == 87.0 else 1
    if lat_deg == 0.0:
        return 59
    a = 1.0 - math.cos(math.pi / (2.0 * _NZ))
    return math.floor(2.0 * math.pi / math.acos(1.0 - a / math.cos(math.radians(lat_deg)) ** 2))


def cpr(lat_deg: float, lon_deg: float, *, odd: bool) -> tuple[int, int]:
    """Return the 17-bit compact position (latitude, longitude) of an airborne position (DO-260B A.1.7.3)."""
    i = int(odd)
    scale = 1 << CPR_BITS
    dlat = 360.0 / (4 * _NZ - i)
    yz = math.floor(scale * math.fmod(math.fmod(lat_deg, dlat) + dlat, dlat) / dlat + 0.5)
    rlat = dlat * (yz / scale + math.floor(lat_deg / dlat))
    dlon = 360.0 / max(nl(rlat) - i, 1)
    xz = math.floor(scale * math.fmod(math.fmod(lon_deg, dlon) + dlon, dlon) / dlon + 0.5)
    return yz % scale, xz % scale


def _squitter(address: int, me: int) -> bytes:
    head = (17 << 83) | (5 << 80) | ((address & 0xFFFFFF) << 56) | me
    return ((head << 24) | parity(head)).to_bytes(14, "big")


def airborne_position(address: int, lat_deg: float, lon_deg: float, alt_m: float, *, odd: bool) -> bytes:
    """Return an airborne position squitter (type code 11: barometric, NIC 8), 25 ft steps, 112 bits."""
    steps = min(max(round((alt_m / FT_M + 1000.0) / 25.0), 0), 2047)
    altitude = ((steps & 0x7F0) << 1) | 0x10 | (steps & 0xF)
    yz, xz = cpr(lat_deg, lon_deg, odd=odd)
    return _squitter(address, (11 << 51) | (altitude << 36) | (int(odd) << 34) | (yz << 17) | xz)


def airborne_velocity(address: int, east_m_s: float, north_m_s: float, up_m_s: float) -> bytes:
    """Return a ground-speed squitter (type code 19, subtype 1), 1 kt and 64 ft/min steps, NACv 2, geometric difference 0."""
    east, north = round(east_m_s / KNOT_M_S), round(north_m_s / KNOT_M_S)
    climb = round(up_m_s / FT_M * 60.0 / 64.0)
    me = (19 << 51) | (1 << 48) | (2 << 43)
    me |= (int(east < 0) << 42) | (min(abs(east), 1021) + 1 << 32)
    me |= (int(north < 0) << 31) | (min(abs(north), 1021) + 1 << 21)
    me |= (1 << 20) | (int(climb < 0) << 19) | (min(abs(climb), 509) + 1 << 10)
    return _squitter(address, me | 1)


def identification(address: int, callsign: str) -> bytes:
    """Return an identification squitter (type code 4, category A3); up to eight capitals, digits and spaces."""
    text = callsign.upper().ljust(8)[:8]
    me = (4 << 51) | (3 << 48)
    for place, char in enumerate(text):
        me |= _IDENT_CHARS.get(char, 32) << (42 - 6 * place)
    return _squitter(address, me)


def operational_status(address: int, nac_p: int) -> bytes:
    """Return an airborne operational status squitter (type code 31, version 2) that states the position accuracy NACp."""
    return _squitter(address, (31 << 51) | (2 << 13) | ((nac_p & 0xF) << 8) | (2 << 6) | (2 << 4) | (1 << 3))


def beast(frame: bytes, ticks_12mhz: int, signal: int = 200) -> bytes:
    """Return a Beast frame of a 112-bit message: 0x1A '3', 6-byte 12 MHz time, signal, message, 0x1A doubled inside."""
    body = (ticks_12mhz & 0xFFFFFFFFFFFF).to_bytes(6, "big") + bytes([signal]) + frame
    return b"\x1a3" + body.replace(b"\x1a", b"\x1a\x1a")
