"""Captures: pcap and pcapng in both byte orders, UDP and TCP, cut and damaged files."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from feedkit import NOON_NS, columns, decoder, must_hold, reasons, sensor
from hypothesis import given, settings
from hypothesis import strategies as st
from test_ais import ship

from trilat.feeds.payloads import SEGMENTS_WAITING_MAX, Payload, PayloadReader
from trilat.feeds.pcap import PACKET_BYTES_MAX, CaptureReader, Packet, is_capture
from trilat.feeds.source import Refusals

T_S = NOON_NS // 1_000_000_000


def ipv4(kind: int, body: bytes, *, fragment: int = 0) -> bytes:
    return struct.pack(">BBHHHBBH8s", 0x45, 0, 20 + len(body), 1, fragment, 64, kind, 0, b"\x7f\0\0\1\x7f\0\0\1") + body


def ipv6(kind: int, body: bytes) -> bytes:
    return struct.pack(">IHBB32s", 0x60000000, len(body), kind, 64, bytes(32)) + body


def udp(data: bytes) -> bytes:
    return struct.pack(">HHHH", 1000, 2000, 8 + len(data), 0) + data


def tcp(sequence: int, data: bytes, flags: int = 0x18) -> bytes:
    return struct.pack(">HHIIBBHHH", 1000, 2000, sequence & 0xFFFFFFFF, 0, 0x50, flags, 0, 0, 0) + data


def ethernet(ip: bytes, *, vlan: bool = False) -> bytes:
    kind = b"\x86\xdd" if ip[0] >> 4 == 6 else b"\x08\x00"
    return bytes(12) + (b"\x81\x00\x00\x05" if vlan else b"") + kind + ip


def pcap(packets: list[bytes], *, order: str = "<", nanos: bool = False, link: int = 1) -> bytes:
    head = struct.pack(order + "IHHiIII", 0xA1B23C4D if nanos else 0xA1B2C3D4, 2, 4, 0, 0, 65_535, link)
    return head + b"".join(struct.pack(order + "IIII", T_S, k, len(each), len(each)) + each for k, each in enumerate(packets))


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    return struct.pack(order + "II", kind, 12 + len(body)) + body + struct.pack(order + "I", 12 + len(body))


def pcapng(packets: list[bytes], *, order: str = "<", link: int = 1) -> bytes:
    resolution = struct.pack(order + "HHB3xHH", 9, 1, 9, 0, 0)
    out = block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    out += block(order, 1, struct.pack(order + "HHI", link, 0, 0) + resolution) + block(order, 0xBAD, b"what else there is")
    for k, each in enumerate(packets):
        t = NOON_NS + k
        out += block(order, 6, struct.pack(order + "IIIII", 0, t >> 32, t & 0xFFFFFFFF, len(each), len(each)) + each)
    return out


def read(raw: bytes, step: int = 1 << 20) -> tuple[list[Payload], dict[str, int]]:
    """Return the payloads of a capture fed in steps, and what was refused."""
    capture, payloads, refusals = CaptureReader(), PayloadReader(), Refusals("x")
    found = [
        payload
        for k in range(0, len(raw), step)
        for packet in capture.feed(raw[k : k + step], refusals)
        for payload in payloads.read(packet, refusals)
    ]
    capture.finish(refusals)
    return found, {each.reason: each.count for each in refusals.take(0)}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_captures_of_either_order_in_any_pieces(order: str, step: int) -> None:
    """Pcap in micro- and nanoseconds and pcapng, little- and big-endian, give their datagrams and times, fed in any pieces."""
    packets = [ethernet(ipv4(17, udp(b"one"))), ethernet(ipv6(17, udp(b"two")), vlan=True)]

    for raw, unit in (
        (pcap(packets, order=order), 1000),
        (pcap(packets, order=order, nanos=True), 1),
        (pcapng(packets, order=order), 1),
    ):
        assert is_capture(raw)
        assert ([Payload(NOON_NS, b"one", datagram=True), Payload(NOON_NS + unit, b"two", datagram=True)], {}) == read(raw, step)


@pytest.mark.parametrize(
    ("link", "head"), [(101, b""), (0, b"\2\0\0\0"), (113, bytes(14) + b"\x08\0"), (276, b"\x08\0" + bytes(18)), (228, b"")]
)
def test_other_link_layers(link: int, head: bytes) -> None:
    """Raw IP, loopback and both Linux cooked captures are read as Ethernet is."""
    found, refused = read(pcap([head + ipv4(17, udp(b"one"))], link=link))

    assert ([b"one"], {}) == ([each.data for each in found], refused)


def test_tcp_is_put_in_order() -> None:
    """Segments out of order, repeated and overlapping give the stream once, over the turn of the sequence number too."""
    start = 0xFFFFFFFA
    segments = [(0, b"abcd"), (8, b"ijkl"), (0, b"abcd"), (4, b"efgh"), (10, b"klmn"), (12, b"")]
    packets = [
        ethernet(ipv4(6, tcp(start - 1, b"", flags=2))),
        *(ethernet(ipv4(6, tcp(start + at, data))) for at, data in segments),
    ]

    found, refused = read(pcap(packets))

    assert (b"abcdefghijklmn", {}) == (b"".join(each.data for each in found), refused)
    assert not any(each.datagram for each in found)


def test_a_hole_in_tcp_is_counted_and_passed() -> None:
    """A segment that never comes is counted once enough wait behind it; the stream goes on behind the hole."""
    packets = [ethernet(ipv4(6, tcp(1, b"a"))), *(ethernet(ipv4(6, tcp(100 + k, b"b"))) for k in range(SEGMENTS_WAITING_MAX + 1))]

    found, refused = read(pcap(packets))

    assert (b"a" + b"b" * (SEGMENTS_WAITING_MAX + 1), {"truncated": 1}) == (b"".join(each.data for each in found), refused)


def test_a_truncated_capture_gives_what_is_whole() -> None:
    """Cut at every byte of its last packet, a capture gives all the packets before, and counts the cut one."""
    packets = [ethernet(ipv4(17, udp(b"one"))), ethernet(ipv4(17, udp(b"two")))]
    for raw in (pcap(packets), pcapng(packets)):
        last = len(raw) - len(raw.split(b"two")[0]) + 40
        for cut in range(1, last):
            found, refused = read(raw[:-cut])
            if [b"one"] == [each.data for each in found]:
                assert refused in ({"truncated": 1}, {})
        assert ([b"one"], {"truncated": 1}) == ([each.data for each in read(raw[:-5])[0]], read(raw[:-5])[1])


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (ethernet(ipv4(17, udp(b"x"), fragment=0x2000)), "packet-bad"),
        (ethernet(ipv4(1, b"ping")), "type-unsupported"),
        (bytes(12) + b"\x08\x06" + bytes(28), "type-unsupported"),
        (ethernet(ipv4(17, b"\0\1")), "packet-bad"),
        (b"\1\2\3", "packet-bad"),
        (ethernet(ipv4(17, struct.pack(">HHHH", 1, 2, 500, 0) + b"cut")), "truncated"),
    ],
)
def test_other_packets_are_counted(packet: bytes, reason: str) -> None:
    """Fragments, other protocols and cut headers are counted by reason, and the packet behind them is read."""
    found, refused = read(pcap([packet, ethernet(ipv4(17, udp(b"next")))]))

    assert ([b"next"], {reason: 1}) == ([each.data for each in found], refused)


def test_sizes_are_capped() -> None:
    """A packet or block that claims to be huge ends the reading, counted, with no memory taken for it."""
    huge = pcap([]) + struct.pack("<IIII", T_S, 0, PACKET_BYTES_MAX + 1, 1)
    block_huge = pcapng([]) + struct.pack("<II", 6, 0xFFFFFFFC) + bytes(8)
    capture, refusals = CaptureReader(), Refusals("x")

    assert ([], {"packet-bad": 1}) == read(huge + bytes(100))
    assert ([], {"packet-bad": 1}) == read(block_huge)
    assert ([], {"packet-bad": 1}) == read(b"no capture at all")
    capture.feed(huge, refusals)
    assert all(capture.feed(bytes(100_000), refusals) == [] for _ in range(5))
    assert b"" == capture._rest


@settings(deadline=None)
@given(data=st.binary(max_size=300), magic=st.sampled_from([b"", pcap([]), pcapng([]), pcapng([], order=">")]))
def test_random_bytes_never_raise(data: bytes, magic: bytes) -> None:
    """Whatever follows a capture's head, and whatever an IP packet holds, nothing is raised."""
    read(magic + data)
    PayloadReader().read(Packet(NOON_NS, 101, data, 0), Refusals("x"))


@settings(deadline=None, max_examples=150)
@given(places=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8))
def test_damaged_captures_never_raise(places: list[tuple[int, int]]) -> None:
    """A capture with bytes overwritten at random still gives payloads or counted refusals only."""
    raw = bytearray(pcapng([ethernet(ipv4(6, tcp(1, b"stream"))), ethernet(ipv4(17, udp(b"datagram")))]))
    for place, value in places:
        raw[place % len(raw)] = value

    read(bytes(raw))


def test_a_capture_wraps_any_format() -> None:
    """AIS in UDP datagrams without line ends, and over TCP cut in lines, is decoded at the packets' times."""
    sentences = [ship().strip(), ship(lat=34.0).strip()]
    stream = b"\r\n".join(sentences) + b"\r\n"
    by_udp = pcap([ethernet(ipv4(17, udp(each))) for each in sentences])
    by_tcp = pcap([ethernet(ipv4(6, tcp(1, stream[:30]))), ethernet(ipv4(6, tcp(31, stream[30:])))])

    for raw in (by_udp, by_tcp):
        decoded = decoder("ais", container="pcap").decode(raw, NOON_NS)
        assert ([33.5, 34.0], {}) == (columns(decoded)["lat_deg"].tolist(), reasons(decoded))
        assert {batch.received_t_ns for batch in decoded.batches} <= {NOON_NS, NOON_NS + 1000}


def test_the_real_radar_capture_is_read(recordings: Path) -> None:
    """The recorded radar capture gives its plots at their times of day, and nothing is left over."""
    path = recordings / "asterix-croatiacontrol" / "cat_034_048.pcap"
    if not path.exists():
        pytest.skip("no asterix-croatiacontrol recording")
    from trilat.feeds.asterix_layout import latest_editions

    raw = path.read_bytes()
    feed = decoder("asterix", container="pcap", editions=latest_editions(), unknown_sensor=sensor(kind="radar2d", id="any"))
    payloads, refused = read(raw)

    decoded = feed.decode(raw, NOON_NS)

    must_hold(decoded)
    assert (100, {}) == (len(payloads), refused)
    assert sum(reasons(decoded).values()) + len(columns(decoded)) == 128
    assert len({batch.received_t_ns for batch in decoded.batches}) > 1
