"""Capture files: pcap and pcapng, cut anywhere, into packets with their times. Sans-IO, every size capped.

pcap: draft-ietf-opsawg-pcap (2024); pcapng: draft-ietf-opsawg-pcapng (2024). Payloads are found in `payloads.py`.
"""

import struct
from typing import NamedTuple

from trilat.feeds.source import Refusals

PACKET_BYTES_MAX = 262_144  # tcpdump's own largest snapshot length
BLOCK_BYTES_MAX = 16 * 1024 * 1024
INTERFACES_MAX = 256
_PCAP = {
    b"\xd4\xc3\xb2\xa1": ("<", 1_000),
    b"\xa1\xb2\xc3\xd4": (">", 1_000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
_SECTION = b"\x0a\x0d\x0d\x0a"
_INTERFACE, _SIMPLE, _ENHANCED = 1, 3, 6
T_NS_MAX = 7_258_118_400_000_000_000


class Packet(NamedTuple):
    """One captured packet: UTC nanoseconds, link type (LINKTYPE_*), bytes from the link layer on, and its place in the file."""

    t_ns: int
    link: int
    data: bytes
    offset: int


def is_capture(head: bytes) -> bool:
    """Tell whether a file begins as pcap or pcapng."""
    return head[:4] in _PCAP or head[:4] == _SECTION


class CaptureReader:
    """Reads a capture file fed in pieces. What cannot be read is counted as `packet-bad`; `finish` counts a cut end."""

    def __init__(self) -> None:
        self._rest = b""
        self._offset = 0
        self._kind = ""
        self._order = "<"
        self._unit_ns = 1_000
        self._link = 0
        self._interfaces: list[tuple[int, int, int]] = []  # link, numerator, denominator of one tick in ns
        self._last_t_ns = 0

    def feed(self, data: bytes, refusals: Refusals) -> list[Packet]:
        """Return the packets that became complete."""
        self._rest += data
        packets: list[Packet] = []
        place = 0
        while self._kind != "bad":
            used = self._next(place, packets, refusals)
            if not used:
                break
            place += used
        if self._kind == "bad":
            place = len(self._rest)
        self._rest, self._offset = self._rest[place:], self._offset + place
        return packets

    def finish(self, refusals: Refusals) -> None:
        """Say that no more bytes come: an unfinished packet is counted as `truncated`."""
        if self._rest:
            refusals.add("truncated", self._offset, len(self._rest), "the capture ends in the middle of a packet")
            self._rest = b""

    def _next(self, place: int, packets: list[Packet], refusals: Refusals) -> int:
        """Read one header, record or block; return the bytes used, 0 when more are needed."""
        if self._kind == "":
            return self._begin(place, refusals)
        return self._record(place, packets, refusals) if self._kind == "pcap" else self._block(place, packets, refusals)

    def _give_up(self, place: int, refusals: Refusals, why: str) -> int:
        refusals.add("packet-bad", self._offset + place, len(self._rest) - place, why)
        self._kind = "bad"
        return 0

    def _begin(self, place: int, refusals: Refusals) -> int:
        head = self._rest[place : place + 24]
        if len(head) < 4:
            return 0
        if head[:4] == _SECTION:
            self._kind = "pcapng"
            return self._block(place, [], refusals)
        if head[:4] not in _PCAP:
            return self._give_up(place, refusals, "neither pcap nor pcapng")
        if len(head) < 24:
            return 0
        self._order, self._unit_ns = _PCAP[head[:4]]
        self._link = struct.unpack_from(self._order + "I", head, 20)[0] & 0xFFFF
        self._kind = "pcap"
        return 24

    def _record(self, place: int, packets: list[Packet], refusals: Refusals) -> int:
        """Read one pcap record."""
        if len(self._rest) - place < 16:
            return 0
        seconds, fraction, size, _ = struct.unpack_from(self._order + "IIII", self._rest, place)
        if size > PACKET_BYTES_MAX:
            return self._give_up(place, refusals, f"a packet of {size} bytes")
        end = place + 16 + size
        if end > len(self._rest):
            return 0
        t_ns = min(seconds * 1_000_000_000 + fraction * self._unit_ns, T_NS_MAX)
        packets.append(Packet(t_ns, self._link, self._rest[place + 16 : end], self._offset + place))
        return 16 + int(size)

    def _block(self, place: int, packets: list[Packet], refusals: Refusals) -> int:
        """Read one pcapng block."""
        if len(self._rest) - place < 12:
            return 0
        if self._rest[place : place + 4] == _SECTION:
            magic = self._rest[place + 8 : place + 12]
            self._order = "<" if magic == b"\x4d\x3c\x2b\x1a" else ">"
            self._interfaces = []
        kind, size = struct.unpack_from(self._order + "II", self._rest, place)
        if size > BLOCK_BYTES_MAX or size < 12 or size % 4:
            return self._give_up(place, refusals, f"a block of {size} bytes")
        if place + size > len(self._rest):
            return 0
        body = self._rest[place + 8 : place + size - 4]
        try:
            self._body(kind, body, place, packets, refusals)
        except (struct.error, IndexError):
            refusals.add("packet-bad", self._offset + place, size, "a block that contradicts itself")
        return int(size)

    def _body(self, kind: int, body: bytes, place: int, packets: list[Packet], refusals: Refusals) -> None:
        """Take an interface description or a packet; other blocks hold nothing for us."""
        if kind == _INTERFACE and len(self._interfaces) < INTERFACES_MAX:
            link = struct.unpack_from(self._order + "H", body)[0]
            self._interfaces.append((link, *self._resolution(body[8:])))
        elif kind == _ENHANCED:
            index, high, low, size = struct.unpack_from(self._order + "IIII", body)
            link, numerator, denominator = self._interfaces[index]
            if size > min(PACKET_BYTES_MAX, len(body) - 20):
                refusals.add("packet-bad", self._offset + place, len(body), f"a packet of {size} bytes")
                return
            self._last_t_ns = min((high << 32 | low) * numerator // denominator, T_NS_MAX)
            packets.append(Packet(self._last_t_ns, link, body[20 : 20 + size], self._offset + place))
        elif kind == _SIMPLE:
            size = min(struct.unpack_from(self._order + "I", body)[0], len(body) - 4)
            packets.append(Packet(self._last_t_ns, self._interfaces[0][0], body[4 : 4 + size], self._offset + place))

    def _resolution(self, options: bytes) -> tuple[int, int]:
        """Return one tick in nanoseconds as a fraction, from `if_tsresol` (option 9); without it, microseconds."""
        while len(options) >= 4:
            code, size = struct.unpack_from(self._order + "HH", options)
            if code == 9 and size >= 1:
                exponent = options[4] & 0x7F
                return 1_000_000_000, (2**exponent if options[4] & 0x80 else 10**exponent)
            if code == 0:
                break
            options = options[4 + (size + 3) // 4 * 4 :]
        return 1_000_000_000, 1_000_000
