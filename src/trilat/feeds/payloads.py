"""UDP and TCP payloads out of captured packets: Ethernet (VLAN), Linux cooked, loopback and raw IP; IPv4 and IPv6.

`CaptureDecoder` makes of a capture a container of any format: each payload is decoded as received at its capture time.
TCP segments are put in order per flow, in bounded memory. IP fragments are counted and left out (feeds keep below an MTU).
"""

import struct
from typing import NamedTuple

from trilat.feeds.pcap import CaptureReader, Packet
from trilat.feeds.source import Decoded, Decoder, Refusals, Source, merge_refused, whole_lines
from trilat.records.columns import Reports
from trilat.records.report import Refused

FLOWS_MAX = 64
# Segments that wait for an earlier one, per flow; beyond it the earlier one counts as lost.
SEGMENTS_WAITING_MAX = 64
_IPV4, _IPV6 = 0x0800, 0x86DD
_VLAN = (0x8100, 0x88A8, 0x9100)
_UDP, _TCP = 17, 6
_EXTENSIONS = (0, 43, 60)  # IPv6 hop-by-hop, routing, destination options


class Payload(NamedTuple):
    """What one packet carried: its time, the bytes, whether they are a datagram of their own."""

    t_ns: int
    data: bytes
    datagram: bool


def _network_layer(packet: Packet) -> bytes | None:
    """Return the bytes from the IP header on; None when there is no IP in the packet."""
    data = packet.data
    if packet.link in (101, 228, 229, 12, 14):
        return data
    if packet.link in (0, 108):
        return data[4:]
    if packet.link == 1:
        kind, place = struct.unpack_from(">H", data, 12)[0], 14
        while kind in _VLAN:
            kind, place = struct.unpack_from(">H", data, place + 2)[0], place + 4
    elif packet.link == 113:
        kind, place = struct.unpack_from(">H", data, 14)[0], 16
    elif packet.link == 276:
        kind, place = struct.unpack_from(">H", data, 0)[0], 20
    else:
        return None
    return data[place:] if kind in (_IPV4, _IPV6) else None


def _transport_layer(ip: bytes) -> tuple[int, bytes, bytes] | None:
    """Return protocol, addresses and the transport layer's bytes; None for a fragment. Raises on cut headers."""
    if ip[0] >> 4 == 4:
        header, total = (ip[0] & 15) * 4, struct.unpack_from(">H", ip, 2)[0]
        if struct.unpack_from(">H", ip, 6)[0] & 0x3FFF or header < 20:
            return None
        return ip[9], ip[12:20], ip[header:total] if total else ip[header:]
    if ip[0] >> 4 != 6:
        return None
    kind, place, total = ip[6], 40, 40 + struct.unpack_from(">H", ip, 4)[0]
    while kind in _EXTENSIONS:
        kind, place = ip[place], place + (ip[place + 1] + 1) * 8
    return kind, ip[8:40], ip[place:total]


class PayloadReader:
    """Finds the payloads of a capture's packets, in order. Memory: `FLOWS_MAX` TCP flows."""

    def __init__(self) -> None:
        self._flows: dict[bytes, _Flow] = {}

    def read(self, packet: Packet, refusals: Refusals) -> list[Payload]:
        """Return what a packet carries; several when it closes a gap, none for pure acknowledgements."""
        try:
            ip = _network_layer(packet)
            if ip is None:
                refusals.add(
                    "type-unsupported", packet.offset, len(packet.data), f"a packet without IP (link type {packet.link})"
                )
                return []
            found = _transport_layer(ip)
            if found is None:
                refusals.add("packet-bad", packet.offset, len(packet.data), "an IP fragment, or not IP")
                return []
            kind, addresses, segment = found
            return self._payloads(packet, kind, addresses, segment, refusals)
        except (struct.error, IndexError):
            refusals.add("packet-bad", packet.offset, len(packet.data), "a packet with a cut header")
            return []

    def _payloads(self, packet: Packet, kind: int, addresses: bytes, segment: bytes, refusals: Refusals) -> list[Payload]:
        if kind == _UDP:
            size = struct.unpack_from(">H", segment, 4)[0]
            data = segment[8:size] if size >= 8 else segment[8:]
            if size > len(segment):
                refusals.add("truncated", packet.offset, len(packet.data), "a datagram longer than its capture")
                return []
            return [Payload(packet.t_ns, data, datagram=True)] if data else []
        if kind != _TCP:
            refusals.add("type-unsupported", packet.offset, len(packet.data), f"IP protocol {kind}")
            return []
        sequence, flags, header = struct.unpack_from(">I", segment, 4)[0], segment[13], (segment[12] >> 4) * 4
        key = addresses + segment[:4]
        if flags & 0x02 or key not in self._flows:
            self._flows.pop(key, None)
            if len(self._flows) >= FLOWS_MAX:
                del self._flows[next(iter(self._flows))]
            self._flows[key] = _Flow((sequence + 1) & 0xFFFFFFFF if flags & 0x02 else sequence)
        pieces = self._flows[key].add(sequence, segment[header:], refusals) if flags & 0x02 == 0 else []
        return [Payload(packet.t_ns, data, datagram=False) for data in pieces]


class _Flow:
    """One direction of one TCP connection: what comes next, and what came too early."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._waiting: dict[int, bytes] = {}

    def add(self, sequence: int, data: bytes, refusals: Refusals) -> list[bytes]:
        """Take one segment; return the bytes that are now in order, repeats left out (RFC 9293, 3.4)."""
        if not data:
            return []
        ahead = (sequence - self._expected + 0x80000000) % 0x100000000 - 0x80000000
        if ahead <= 0:
            if -ahead >= len(data):
                return []
            return [self._advance(data[-ahead:]), *self._follow()]
        self._waiting[sequence] = data
        if len(self._waiting) <= SEGMENTS_WAITING_MAX:
            return []
        self._expected = min(self._waiting, key=lambda each: (each - self._expected) % 0x100000000)
        refusals.add("truncated", length=ahead, detail="TCP segments missing in the capture")
        return self._follow()

    def _advance(self, data: bytes) -> bytes:
        self._expected = (self._expected + len(data)) & 0xFFFFFFFF
        return data

    def _follow(self) -> list[bytes]:
        pieces: list[bytes] = []
        while self._expected in self._waiting:
            pieces.append(self._advance(self._waiting.pop(self._expected)))
        return pieces


class CaptureDecoder(Decoder):
    """Decodes the payloads of a pcap or pcapng stream with the decoder of its format (contract `Decoder`)."""

    def __init__(self, source: Source, inner: Decoder) -> None:
        self._format = source.format
        self._inner = inner
        self._capture = CaptureReader()
        self._payloads = PayloadReader()
        self._refusals = Refusals(source.name)

    def decode(self, data: bytes, received_t_ns: int) -> Decoded:
        """Return the reports of the packets that became complete. `received_t_ns` is of the file, not of its packets."""
        batches: list[Reports] = []
        refused: list[Refused] = []
        for packet in self._capture.feed(data, self._refusals):
            for payload in self._payloads.read(packet, self._refusals):
                content = whole_lines(self._format, payload.data) if payload.datagram else payload.data
                decoded = self._inner.decode(content, payload.t_ns)
                batches.extend(decoded.batches)
                refused.extend(decoded.refused)
        refused.extend(self._refusals.take(received_t_ns))
        return Decoded(tuple(batches), merge_refused(refused))

    def finish(self, t_ns: int) -> Decoded:
        """Say that the file is at its end; a packet that is cut there is counted."""
        self._capture.finish(self._refusals)
        return Decoded((), self._refusals.take(t_ns))
