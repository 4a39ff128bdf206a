"""The real ASTERIX recordings beside the repository, and a reader for their two capture files (tests and benchmarks)."""

import struct
from pathlib import Path

import pytest

DATA = Path(__file__).parents[3] / "shared" / "data"
ETHERNET_IPV4_UDP = 14 + 20 + 8


def recording(folder: str, name: str) -> Path:
    """Return a recording's path; skips the test where the recordings are not there."""
    path = DATA / folder / name
    if not path.is_file():
        pytest.skip(f"recording {folder}/{name} is not beside the repository")
    return path


def datagrams(path: Path) -> list[tuple[int, bytes]]:
    """Return (time of capture in ns, UDP payload) of a classic little-endian pcap file with Ethernet, IPv4 and UDP."""
    raw = path.read_bytes()
    magic, *_, link = struct.unpack_from("<IHHiIII", raw)
    assert (magic, link) == (0xA1B2C3D4, 1), (hex(magic), link)
    found = []
    at = 24
    while at < len(raw):
        seconds, micros, stored, original = struct.unpack_from("<IIII", raw, at)
        assert stored == original, "the capture was cut"
        packet = raw[at + 16 : at + 16 + stored]
        header = (packet[14] & 15) * 4
        assert packet[12:14] == b"\x08\x00", "not IPv4"
        assert packet[14 + 9] == 17, "not UDP"
        (length,) = struct.unpack_from(">H", packet, 14 + header + 4)
        found.append(((seconds * 1_000_000 + micros) * 1000, packet[14 + header + 8 : 14 + header + length]))
        at += 16 + stored
    return found
