"""ADS-B out of Mode S frames: rs1090 reads the fields, our memory per source makes positions of them.

rs1090's own position state lives for one call only and knows no sources, so CPR, velocities, callsigns and accuracies are kept
here. A fix is given for every position message; what came in other messages shortly before is attached to it.
"""

from collections.abc import Callable, Sequence
from math import radians
from typing import Any, cast

from trilat.errors import FeedError
from trilat.feeds.accuracy import (
    ALTIMETER_SIGMA_M,
    BAROMETRIC_AS_GEOMETRIC_SIGMA_M,
    sigma_of_nac,
    sigma_of_nac_v,
    sigma_of_nuc,
)
from trilat.feeds.aircraft import SECOND_NS, Aircraft, AircraftMemory
from trilat.feeds.rows import AIR, NAN, FixRows, sensor_of
from trilat.feeds.source import Refusals, Source
from trilat.records.columns import FLAG_BAROMETRIC, FLAG_EMERGENCY

FOOT_M = 0.3048
KNOT_M_S = 1852 / 3600
FOOT_MIN_M_S = 0.3048 / 60
AIRCRAFT_MAX = 8_192
# How long what other messages said is attached to a position.
MOTION_NS = 5 * SECOND_NS
ACCURACY_NS = 60 * SECOND_NS
GEOMETRY_NS = 120 * SECOND_NS
# DF18 control fields whose messages are laid out as DF17: ADS-B of non-transponder devices, and ADS-B relayed (Doc 9871 B.3).
RELAYED = ("ADSB_ES_NT", "ADSB_ES_NT_ALT", "TISB_ADSB_RELAY")
# Addresses that are not ICAO's get a key beyond 24 bits and are not reported as `address`.
ANONYMOUS_KEY = 1 << 24

_PARITY = [0] * 256
for _byte in range(256):
    _crc = _byte << 16
    for _ in range(8):
        _crc = (_crc << 1) ^ (0xFFF409 if _crc & 0x800000 else 0)
    _PARITY[_byte] = _crc & 0xFFFFFF


def parity(message: bytes) -> int:
    """Return the Mode S parity of a message without its last three bytes (ICAO Annex 10 vol. IV, 3.1.2.3.3)."""
    crc = 0
    for byte in message[:-3]:
        crc = ((crc << 8) & 0xFFFFFF) ^ _PARITY[(crc >> 16) ^ byte]
    return crc


def squawk_of(identity: int) -> int:
    """Return the Mode 3/A code of an identity field: C1 A1 C2 A2 C4 A4 X B1 D1 B2 D2 B4 D4 (Annex 10 vol. IV 3.1.2.6.7.1)."""
    bit = [identity >> (12 - place) & 1 for place in range(13)]
    a = bit[5] << 2 | bit[3] << 1 | bit[1]
    b = bit[11] << 2 | bit[9] << 1 | bit[7]
    c = bit[4] << 2 | bit[2] << 1 | bit[0]
    d = bit[12] << 2 | bit[10] << 1 | bit[8]
    return a << 9 | b << 6 | c << 3 | d


# So many frames are read one by one: rs1090 reads a list on threads of its own, and waking them takes longer.
FEW_FRAMES = 100


def is_squitter(frame: bytes) -> bool:
    """Tell whether a frame is an extended squitter: downlink format 17 or 18, 112 bits."""
    return len(frame) == 14 and frame[0] >> 3 in (17, 18)


def read_frames(frames: list[str]) -> list[dict[str, Any] | None]:
    """Return rs1090's reading of each hexadecimal frame, None where it refuses one.

    A panic inside rs1090 (it is not an `Exception`) is caught, and then frame by frame, so that one frame costs itself only.
    """
    import rs1090  # noqa: PLC0415 - loaded when a Mode S feed is read, not with the stage

    try:
        if len(frames) <= FEW_FRAMES:
            return [cast("dict[str, Any] | None", rs1090.decode(frame)) for frame in frames]
        read: list[Any] = rs1090.decode(frames)
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        return [None] if len(frames) == 1 else [read_frames([frame])[0] for frame in frames]
    return read


class AdsbReader:
    """Turns timed Mode S frames of one source into rows of fixes. Memory: `AIRCRAFT_MAX` aircraft."""

    def __init__(self, source: Source) -> None:
        if sensor_of(source).kind != "fixes":
            raise FeedError("feed-setting", f"feed {source.name!r}: a Mode S feed needs a sensor of kind 'fixes'")
        self._receiver = source.reference
        self._range_m_max = sensor_of(source).range_max_m
        self._aircraft = AircraftMemory(AIRCRAFT_MAX)
        self._readers: dict[str, Callable[..., None]] = {
            "05": self._airborne,
            "06": self._surface,
            "08": self._callsign,
            "09": self._velocity,
            "61": self._emergency,
            "62": self._accuracy,
            "65": self._accuracy,
        }

    def read(self, timed: Sequence[tuple[int, bytes]], rows: FixRows, refusals: Refusals) -> None:
        """Read (t_ns, frame) pairs in order; the fixes go to `rows`, what gives none is counted."""
        squitters = [frame.hex() for _, frame in timed if is_squitter(frame)]
        fields = iter(read_frames(squitters) if squitters else ())
        for t_ns, frame in timed:
            if is_squitter(frame):
                self._squitter(t_ns, frame, next(fields), rows, refusals)
                continue
            kind = frame[0] >> 3 if frame else -1
            if kind in (5, 21) and len(frame) == (7 if kind == 5 else 14):
                self._identity(frame, refusals)
            elif kind in (0, 4, 11, 16, 20, 24) or kind > 24:
                refusals.add("type-unsupported", length=len(frame), detail=f"Mode S downlink format {kind}")
            else:
                refusals.add("syntax-bad", length=len(frame), detail=f"Mode S downlink format {kind} of {len(frame)} bytes")
        if self._aircraft.evicted:
            refusals.add("memory-full", count=self._aircraft.evicted)
            self._aircraft.evicted = 0

    def _squitter(self, t_ns: int, frame: bytes, fields: dict[str, Any] | None, rows: FixRows, refusals: Refusals) -> None:
        """Take one extended squitter into the memory, and give a fix when it holds a position."""
        if fields is None:
            reason = "syntax-bad" if parity(frame) == int.from_bytes(frame[-3:], "big") else "checksum-bad"
            refusals.add(reason, length=len(frame))
            return
        key = int(fields["icao24"], 16)
        if fields["df"] == "18":
            if fields["tisb"] not in RELAYED:
                refusals.add("type-unsupported", length=len(frame), detail=f"DF18 {fields['tisb']}")
                return
            if fields["tisb"] == "ADSB_ES_NT_ALT":
                key |= ANONYMOUS_KEY
        reader = self._readers.get(fields["bds"])
        if reader is None:
            refusals.add("type-unsupported", length=len(frame), detail=f"extended squitter {fields['bds']}")
            return
        if fields["bds"] == "09" and frame[10] & 0x7F == 1:
            fields["geo_minus_baro"] = 0  # rs1090 0.7 reads "no difference" (1) as "not known" (0), DO-260B 2.2.3.2.6.1.15
        reader(t_ns, key, self._aircraft.hear(key), fields, rows, refusals)

    def _airborne(
        self, t_ns: int, key: int, aircraft: Aircraft, fields: dict[str, Any], rows: FixRows, refusals: Refusals
    ) -> None:
        """BDS 0,5: airborne position (DO-260B 2.2.3.2.3)."""
        place = self._locate(t_ns, aircraft, fields, refusals, surface=False)
        if place is None:
            return
        alt_m, sigma_m, flags = _altitude(t_ns, aircraft, fields)
        motion, sigma_speed = (NAN, NAN, NAN), NAN
        if aircraft.motion is not None and 0 <= t_ns - aircraft.motion_t_ns <= MOTION_NS:
            motion, sigma_speed = aircraft.motion, sigma_of_nac_v(aircraft.nac_v)
        rows.append(
            _row(t_ns, place, alt_m, motion, (_sigma(t_ns, aircraft, fields), sigma_m, sigma_speed), key, aircraft, flags)
        )

    def _surface(
        self, t_ns: int, key: int, aircraft: Aircraft, fields: dict[str, Any], rows: FixRows, refusals: Refusals
    ) -> None:
        """BDS 0,6: surface position with movement (DO-260B 2.2.3.2.4); the altitude is not sent."""
        place = self._locate(t_ns, aircraft, fields, refusals, surface=True)
        if place is None:
            return
        speed, track = fields.get("groundspeed"), fields.get("track")
        motion = (
            NAN if speed is None else speed * KNOT_M_S,
            NAN if track is None else radians(track),
            0.0,
        )
        rows.append(_row(t_ns, place, NAN, motion, (_sigma(t_ns, aircraft, fields), NAN, NAN), key, aircraft, 0))

    def _locate(
        self, t_ns: int, aircraft: Aircraft, fields: dict[str, Any], refusals: Refusals, *, surface: bool
    ) -> tuple[float, float] | None:
        place = aircraft.locate(
            t_ns,
            (fields["lat_cpr"], fields["lon_cpr"]),
            odd=fields["parity"] == "odd",
            surface=surface,
            receiver=self._receiver,
            range_m_max=self._range_m_max,
        )
        if place is None:
            refusals.add("position-unresolved", length=14)
        return place

    def _callsign(self, _t_ns: int, _key: int, aircraft: Aircraft, fields: dict[str, Any], *_: object) -> None:
        """BDS 0,8: identification. A callsign with characters that are not letters, digits or spaces is not kept."""
        text = (fields.get("callsign") or "").strip()
        if text.replace(" ", "").isalnum() and text.isascii():
            aircraft.callsign = text.encode("ascii")

    def _velocity(self, t_ns: int, _key: int, aircraft: Aircraft, fields: dict[str, Any], *_: object) -> None:
        """BDS 0,9: velocity. Ground speed and track only; airspeed and heading are not motion over ground."""
        aircraft.nac_v = fields.get("NACv") or 0
        rate = fields.get("vertical_rate")
        speed, track = fields.get("groundspeed"), fields.get("track")
        aircraft.motion = (
            NAN if speed is None or track is None else speed * KNOT_M_S,
            NAN if speed is None or track is None else radians(track),
            NAN if rate is None else rate * FOOT_MIN_M_S,
        )
        aircraft.motion_t_ns = t_ns
        difference = fields.get("geo_minus_baro")
        if difference is not None:
            aircraft.geo_minus_baro_m = (t_ns, difference * FOOT_M)

    def _emergency(self, _t_ns: int, _key: int, aircraft: Aircraft, fields: dict[str, Any], *_: object) -> None:
        """BDS 6,1: the Mode 3/A code of subtype 1."""
        if fields.get("subtype") == "emergency_priority" and (fields.get("squawk") or "").isdigit():
            aircraft.squawk = int(fields["squawk"], 8)

    def _accuracy(self, t_ns: int, _key: int, aircraft: Aircraft, fields: dict[str, Any], *_: object) -> None:
        """BDS 6,2 (target state) and 6,5 (operational status): NACp."""
        nac_p = fields.get("NACp")
        if nac_p is not None:
            aircraft.nac_p = (t_ns, nac_p)

    def _identity(self, frame: bytes, refusals: Refusals) -> None:
        """DF5, DF21: the squawk, if the aircraft's squitters were heard (the address is overlaid on the parity)."""
        address = parity(frame) ^ int.from_bytes(frame[-3:], "big")
        aircraft = self._aircraft.get(address)
        if aircraft is None:
            refusals.add("type-unsupported", length=len(frame), detail="Mode S reply (DF5, DF21) of an aircraft not heard")
        else:
            aircraft.squawk = squawk_of(int.from_bytes(frame[2:4], "big") & 0x1FFF)


def _sigma(t_ns: int, aircraft: Aircraft, fields: dict[str, Any]) -> float:
    """Return the horizontal sigma: of a recent NACp, else of the NUCp that the type code implies (DO-260B N.3)."""
    if aircraft.nac_p is not None and 0 <= t_ns - aircraft.nac_p[0] <= ACCURACY_NS and aircraft.nac_p[1] > 0:
        return sigma_of_nac(aircraft.nac_p[1])
    return sigma_of_nuc(fields.get("NUCp") or 0)


def _altitude(t_ns: int, aircraft: Aircraft, fields: dict[str, Any]) -> tuple[float, float, int]:
    """Return ellipsoidal altitude, sigma and flags; a pressure altitude is flagged unless the difference is known."""
    feet = fields.get("altitude")
    if feet is None:
        return NAN, NAN, 0
    alt_m = feet * FOOT_M
    if fields.get("source") == "GNSS":
        return alt_m, ALTIMETER_SIGMA_M, 0
    difference = aircraft.geo_minus_baro_m
    if difference is not None and 0 <= t_ns - difference[0] <= GEOMETRY_NS:
        return alt_m + difference[1], ALTIMETER_SIGMA_M, 0
    return alt_m, BAROMETRIC_AS_GEOMETRIC_SIGMA_M, FLAG_BAROMETRIC


def _row(
    t_ns: int,
    place: tuple[float, float],
    alt_m: float,
    motion: tuple[float, float, float],
    sigmas: tuple[float, float, float],
    key: int,
    aircraft: Aircraft,
    flags: int,
) -> tuple[Any, ...]:
    """Return one row of `rows.FIELDS`. The emergency codes are 7500, 7600 and 7700 (ICAO Annex 10 vol. IV)."""
    if aircraft.squawk in (0o7500, 0o7600, 0o7700):
        flags |= FLAG_EMERGENCY
    address = key if key < ANONYMOUS_KEY else -1
    return (t_ns, *place, alt_m, *motion, *sigmas, aircraft.squawk, address, -1, aircraft.callsign, flags, AIR)
