"""AIS: pyais reads the payloads, we check what goes in, repair what it gets wrong, and make fixes. ITU-R M.1371-5 (2014).

Repaired (measured against gpsd's expected output): type 17 positions are minutes, not degrees; the name extension of type 21 is
not joined; the two parts of type 24 are left apart; texts go on behind their end; codes it does not know become 0; empty and
short payloads raise or give messages without values.
AIS has no bit that marks simulated traffic: the mode of the source stands for all of it.
"""

from math import hypot, radians
from typing import Any

from trilat.feeds.accuracy import RADIUS_95_PER_SIGMA
from trilat.feeds.framing import LineSplitter
from trilat.feeds.nmea import LINE_BYTES_MAX, Assembler, Parts, read_sentence
from trilat.feeds.rows import NAN, SEA, FixRows
from trilat.feeds.source import Decoded, Refusals, Source

KNOT_M_S = 1852 / 3600
VESSELS_MAX = 20_000
# Types that give a position, static data, or both, and the shortest payload in bits (ITU-R M.1371-5 annex 8; type 5 is
# sent with its last bits missing by real equipment, type 24 part A with 160).
BITS_MIN = {1: 168, 2: 168, 3: 168, 5: 420, 18: 168, 19: 312, 21: 272, 24: 160, 27: 96}
# Codes that pyais makes 0 when it does not know them: first bit and width (ITU-R M.1371-5, tables 52, 67, 74, 78).
CODES = {
    5: (("ship_type", 232, 8), ("epfd", 270, 4)),
    19: (("ship_type", 263, 8), ("epfd", 301, 4)),
    21: (("aid_type", 38, 5), ("epfd", 249, 4)),
    24: (("ship_type", 40, 8),),
}
# 95 % radius of a position said to be better than 10 m, and of one said to be worse: an autonomous GNSS receiver (IMO
# resolution A.1046(27) asks for 100 m at sea; receivers since 2000 keep within 30 m).
ACCURATE_95_M = 10.0
COARSE_95_M = 30.0
# Half the step of type 27's position (1/10 minute), as a standard deviation.
LONG_RANGE_STEP_SIGMA_M = 185.2 / 12**0.5
SPEED_SIGMA_M_S = 0.5
# The UTC second inside a report is believed when it lies this close to the receipt or tag time.
SECOND_NS = 1_000_000_000
SECOND_AGE_NS_MAX = 10 * SECOND_NS
MINUTE_NS = 60 * SECOND_NS


def read_message(parts: Parts, names: tuple[str, ...] = ()) -> dict[str, Any] | None:
    """Return the fields of a complete message, repaired; None when it is shorter than its type or cannot be read.

    Names and units are pyais's (degrees, knots), with the enums as integers. With `names`, only those fields, unrepaired:
    quicker, for position reports, which need no repair.
    """
    import pyais  # noqa: PLC0415 - loaded when an AIS feed is read, not with the stage

    # A message is as bad as pyais may find it: its own errors, and what foreign payloads make of its converters.
    try:
        message = pyais.decode(*[each.text for each in parts.sentences])
        if names:
            return {name: getattr(message, name, None) for name in names} if parts.bits >= BITS_MIN[message.msg_type] else None
        fields: dict[str, Any] = message.asdict(enum_as_int=True)
    except (pyais.exceptions.AISBaseException, ValueError, KeyError, IndexError, TypeError, OverflowError, AttributeError):
        return None
    kind = fields["msg_type"]
    if parts.bits < BITS_MIN.get(kind, 0) or fields.get("mmsi") is None:
        return None
    for name, value in fields.items():
        if isinstance(value, str) and "@" in value:
            # "@" ends a text (ITU-R M.1371-5, table 47); pyais keeps what follows.
            fields[name] = value.partition("@")[0].rstrip()
    for name, first, width in CODES.get(kind, ()):
        if name in fields:
            fields[name] = _bits(parts, first, width)
    if kind == 17:
        fields["lon"], fields["lat"] = fields["lon"] / 60, fields["lat"] / 60
    elif kind == 21:
        # The extension goes on only where the name is full: a name's last character is "@" (0) when it ends before.
        extension = fields.pop("name_ext", None) or ""
        fields["name"] = (fields.get("name") or "") + (extension if _bits(parts, 157, 6) else "")
    return fields


class Vessels:
    """Static data of one source by MMSI, at most `vessels_max`; the one not heard for longest makes room."""

    def __init__(self, vessels_max: int) -> None:
        self._max = vessels_max
        self._by_mmsi: dict[int, dict[str, Any]] = {}
        self.evicted = 0

    def join(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Add what a message says to what is known of its vessel (so the parts of type 24 come together); return it all."""
        known = self._by_mmsi.pop(fields["mmsi"], None)
        if known is None:
            known = {}
            if len(self._by_mmsi) >= self._max:
                del self._by_mmsi[next(iter(self._by_mmsi))]
                self.evicted += 1
        known.update((name, value) for name, value in fields.items() if value not in (None, ""))
        self._by_mmsi[fields["mmsi"]] = known
        return known

    def label(self, mmsi: int) -> bytes:
        """Return what a vessel calls itself: its name, else its call sign, else nothing."""
        known = self._by_mmsi.get(mmsi, {})
        text = known.get("shipname") or known.get("name") or known.get("callsign") or ""
        return str(text).strip().encode("ascii", "replace")[:20]


POSITION = ("msg_type", "mmsi", "lat", "lon", "speed", "course", "accuracy", "second")
STATIC = ("mmsi", "shipname", "name", "callsign", "ship_type", "imo", "to_bow", "to_stern", "to_port", "to_starboard")


class AisDecoder:
    """NMEA lines to fixes (contract `Decoder`). Memory: vessels' static data and unfinished messages, both bounded."""

    def __init__(self, source: Source) -> None:
        self._refusals = Refusals(source.name)
        self._rows = FixRows(source)
        self._lines = LineSplitter(LINE_BYTES_MAX)
        self._assembler = Assembler()
        self._vessels = Vessels(VESSELS_MAX)

    def decode(self, data: bytes, received_t_ns: int) -> Decoded:
        """Return the fixes in the bytes; a datagram may end without a line end."""
        for offset, text in self._lines.feed(data, self._refusals):
            sentence = read_sentence(offset, text, self._refusals)
            if sentence is None:
                continue
            heard_t_ns = received_t_ns if sentence.t_ns is None else sentence.t_ns
            parts = self._assembler.add(sentence, heard_t_ns, self._refusals)
            if parts is not None:
                self._message(parts, received_t_ns if parts.t_ns is None else parts.t_ns)
        if self._vessels.evicted:
            self._refusals.add("memory-full", count=self._vessels.evicted)
            self._vessels.evicted = 0
        return Decoded(self._rows.take(received_t_ns, self._refusals), self._refusals.take(received_t_ns))

    def finish(self, t_ns: int) -> Decoded:
        """Say that the recording is at its end; messages that lack parts are counted."""
        self._assembler.finish(self._refusals)
        return Decoded((), self._refusals.take(t_ns))

    def _message(self, parts: Parts, heard_t_ns: int) -> None:
        """Take one message: static data into the memory, a position into the rows."""
        length = sum(len(each.text) for each in parts.sentences)
        kind = _six_bits(parts.sentences[0].payload[0])
        if kind not in BITS_MIN:
            self._refusals.add("type-unsupported", length=length, detail=f"AIS type {kind}")
            return
        fields = read_message(parts, POSITION if kind in (1, 2, 3, 18, 27) else ())
        if fields is None:
            self._refusals.add(
                "truncated" if parts.bits < BITS_MIN[kind] else "syntax-bad", length=length, detail=f"AIS type {kind}"
            )
            return
        mmsi = fields["mmsi"] or 0
        if not 0 < mmsi <= 999_999_999:
            self._refusals.add("identity-missing", length=length, detail="MMSI")
            return
        if kind in (5, 19, 21, 24):
            self._vessels.join({name: fields.get(name) for name in STATIC})
        if kind in (5, 24):
            return
        if kind == 21 and fields.get("virtual_aid"):
            self._refusals.add("type-unsupported", length=length, detail="AIS type 21: a virtual aid is at no place")
            return
        self._position(fields, heard_t_ns, length)

    def _position(self, fields: dict[str, Any], heard_t_ns: int, length: int) -> None:
        """Make a row of a position report; values that say "not available" are absent."""
        lat, lon = fields["lat"], fields["lon"]
        if lat is None or lon is None or lat == 91 or lon == 181:
            self._refusals.add("position-missing", length=length)
            return
        kind, speed, course = fields["msg_type"], fields.get("speed"), fields.get("course")
        speed_m_s = NAN if speed is None or speed >= (63 if kind == 27 else 102.3) else speed * KNOT_M_S
        course_rad = NAN if course is None or course >= 360 else radians(course)
        moves = speed_m_s == speed_m_s  # noqa: PLR0124 - NaN is no speed
        sigma_m = (ACCURATE_95_M if fields.get("accuracy") else COARSE_95_M) / RADIUS_95_PER_SIGMA
        row = (
            report_time(heard_t_ns, fields.get("second")),
            lat,
            lon,
            NAN,
            speed_m_s,
            course_rad if moves else NAN,
            NAN,
            hypot(sigma_m, LONG_RANGE_STEP_SIGMA_M) if kind == 27 else sigma_m,
            NAN,
            SPEED_SIGMA_M_S if moves else NAN,
            -1,
            -1,
            fields["mmsi"],
            self._vessels.label(fields["mmsi"]),
            0,
            SEA,
        )
        self._rows.append(row)


def report_time(heard_t_ns: int, second: int | None) -> int:
    """Return the time of a position: the nearest instant with the report's UTC second, else when it was heard.

    60 to 63 mean that the second is not known (ITU-R M.1371-5, 3.1); a second far from the time heard is not believed.
    """
    if second is None or second > 59:
        return heard_t_ns
    offset_ns = (second * SECOND_NS - heard_t_ns % MINUTE_NS + MINUTE_NS // 2) % MINUTE_NS - MINUTE_NS // 2
    return heard_t_ns + offset_ns if abs(offset_ns) <= SECOND_AGE_NS_MAX else heard_t_ns


def _bits(parts: Parts, first: int, width: int) -> int:
    """Return some bits of a message's payload as an unsigned number; bits beyond its end are 0."""
    payload = b"".join(each.payload for each in parts.sentences)
    value = 0
    for character in payload[first // 6 : (first + width + 5) // 6]:
        value = value << 6 | _six_bits(character)
    return value >> (-(first + width) % 6) & ((1 << width) - 1)


def _six_bits(character: int) -> int:
    """Return the value of one payload character (IEC 61162-1)."""
    return character - 48 if character < 88 else character - 56
