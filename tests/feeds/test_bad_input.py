"""Bad input on every format: never an exception, never a hang, never a value that cannot be; everything counted by reason."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

import pytest
from feedkit import NOON_NS, columns, decoder, must_hold, reasons
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_ais import FIVE, encoded, ship
from test_fixes import GOOD, HEADER, ROW
from test_modes import as_beast, flight
from test_sights import line

from trilat.feeds.asterix_layout import latest_editions
from trilat.feeds.registry import FORMATS, open_decoder
from trilat.feeds.source import NOT_KNOWN_T_NS, Decoded, FixColumns
from trilat.records.columns import FLAG_SIMULATED

PLOT = b'{"t_ns":%d,"range_m":900000.5,"azimuth_deg":%.3f,"elevation_deg":3.5,"doppler_m_s":-1500.0,"track":7}\n'
EDITIONS = latest_editions()
CALLS = st.lists(st.binary(max_size=300), max_size=5)


@cache
def sample(format_name: str) -> bytes:
    """Return a few good messages of a format."""
    from trilat.feeds.asterix_encode import encode_cat048
    from trilat.records.columns import empty_reports

    if format_name == "asterix":
        rows = empty_reports(20)
        rows["t_ns"], rows["range_m"], rows["azimuth_rad"], rows["mode_3a"] = NOON_NS, 50_000.0, 1.0, 0o1234
        rows["address"], rows["height_m"], rows["sensor_track"] = 0x86D123, 9_000.0, 77
        return b"".join(encode_cat048(rows, 25, 201, simulated=False))
    return {
        "beast": as_beast(flight(8)),
        "avr": b"".join(b"*%s;\n" % frame.hex().encode() for _, frame in flight(8)),
        "modes-jsonl": b"".join(b'{"timestamp":%.3f,"frame":"%s"}\n' % (NOON_NS / 1e9, f.hex().encode()) for _, f in flight(8)),
        "ais": b"".join(FIVE) + ship() + encoded(type=18, mmsi=431_000_003, lat=1.0, lon=2.0) + ship(type=3),
        "fixes-csv": HEADER + ROW % b"" + ROW % b"true",
        "fixes-json": "\n".join(GOOD % lat for lat in (33, 34)).encode() + b"\n",
        "plots-json": b"".join(PLOT % (NOON_NS + k, 30.0 + k) for k in range(8)),
        "sights-jsonl": 2 * line(),
    }[format_name]


@pytest.mark.parametrize("container", ["", "pcap"])
@pytest.mark.parametrize("format_name", sorted(FORMATS))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(calls=CALLS)
def test_random_bytes(format_name: str, container: str, calls: list[bytes]) -> None:
    """Random bytes on every format and in captures give counted refusals or physical values."""
    feed = decoder(format_name, editions=EDITIONS, container=container)

    for data in calls:
        must_hold(feed.decode(data, NOON_NS))


@pytest.mark.parametrize("format_name", sorted(FORMATS))
@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=12),
    cut=st.integers(0, 10_000),
    again=st.booleans(),
)
def test_damaged_messages(format_name: str, changes: list[tuple[int, int]], cut: int, *, again: bool) -> None:
    """Good messages with bytes overwritten and the stream cut, doubled or both: physical values or counted refusals."""
    raw = bytearray(sample(format_name))
    for place, value in changes:
        raw[place % len(raw)] = value
    feed = decoder(format_name, editions=EDITIONS)
    place = cut % len(raw)

    for data in (bytes(raw[:place]), bytes(raw[place:]), bytes(raw[place:] if again else b"")):
        must_hold(feed.decode(data, NOON_NS))


@pytest.mark.parametrize("format_name", sorted(FORMATS))
@settings(deadline=None, max_examples=30)
@given(received=st.one_of(st.integers(0, 7_258_118_400_000_000_000), st.sampled_from([0, 1, 10**18])))
def test_any_time_of_receipt(format_name: str, received: int) -> None:
    """Whatever the node's clock says, times given are within the records' range; live feeds refuse what is far from it."""
    for mode in ("live", "exercise"):
        decoded = decoder(format_name, mode, editions=EDITIONS).decode(sample(format_name), received)
        must_hold(decoded)
        times = columns(decoded)["t_ns"]
        assert (abs(times - received) <= 61 * 10**9).all()


@pytest.mark.parametrize("format_name", sorted(FORMATS))
def test_endless_input_without_a_message_keeps_no_memory(format_name: str) -> None:
    """Four megabytes of one byte, in pieces, leave no more behind than a message, and end."""
    for byte in (b"\x1a", b"!", b"{", b"0", b"\xff", b","):
        feed = decoder(format_name, editions=EDITIONS)
        results = [feed.decode(byte * 65_536, NOON_NS) for _ in range(64 if byte in b"{0" else 8)]
        for decoded in results:
            must_hold(decoded)
            assert not decoded.batches
        between_rows = format_name == "fixes-json" and byte == b","
        assert between_rows or sum(reasons(*results).values()) >= 1


def test_a_live_node_refuses_simulated_radar_plots() -> None:
    """CAT048 with its SIM bit set is refused, counted, by a live source, and kept with its flag by an exercise source."""
    from trilat.feeds.asterix_encode import encode_cat048
    from trilat.records.columns import empty_reports

    rows = empty_reports(3)
    rows["t_ns"], rows["range_m"], rows["azimuth_rad"], rows["mode_3a"] = NOON_NS, 50_000.0, 1.0, 0o1234
    raw = b"".join(encode_cat048(rows, 25, 201, simulated=True))

    live, exercise = (decoder("asterix", mode, editions=EDITIONS).decode(raw, NOON_NS) for mode in ("live", "exercise"))

    assert ({"simulated-on-live": 3}, 0) == (reasons(live), len(columns(live)))
    assert ({}, [FLAG_SIMULATED] * 3) == (reasons(exercise), (columns(exercise)["flags"] & FLAG_SIMULATED).tolist())


@pytest.mark.parametrize(
    ("folder", "name", "format_name", "preset"),
    [
        ("ais-gpsd", "ais-nmea-type6-fid55.log", "ais", ""),
        ("ais-pyais", "nmea_data_sample.txt", "ais", ""),
        ("modes-traffic", "tutorial.jsonl.gz", "modes-jsonl", ""),
        ("asterix-croatiacontrol", "cat_034_048.pcap", "asterix", ""),
        ("tracks-traffic", "noisy_landing.json.gz", "fixes-json", "opensky"),
        ("tracks-traffic", "JL516_Flightradar24_ADS-B_data_granular.csv.gz", "fixes-csv", "flightradar24"),
    ],
)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    begin=st.integers(0, 10**6),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=40),
    drop=st.tuples(st.integers(0, 10**6), st.integers(0, 300)),
)
def test_damaged_recordings(
    recordings: Path,
    folder: str,
    name: str,
    format_name: str,
    preset: str,
    begin: int,
    changes: list[tuple[int, int]],
    drop: tuple[int, int],
) -> None:
    """Stretches of real recordings, damaged and with a piece missing, give physical values or counted refusals."""
    raw = bytearray(stretch(recordings / folder / name, begin))
    for place, value in changes:
        raw[place % len(raw)] = value
    at = drop[0] % len(raw)
    del raw[at : at + drop[1]]
    container = "pcap" if name.endswith(".pcap") else ""
    feed = decoder(format_name, editions=EDITIONS, container=container, preset=preset)

    must_hold(feed.decode(bytes(raw), NOT_KNOWN_T_NS if format_name.startswith(("fixes", "modes")) else NOON_NS))


@cache
def whole(path: Path) -> bytes:
    if not path.exists():
        pytest.skip(f"no recording {path.name}")
    raw = path.read_bytes()
    return gzip.decompress(raw) if path.suffix == ".gz" else raw


def stretch(path: Path, begin: int) -> bytes:
    """Return up to 20 kB of a recording from somewhere, a capture from its head on."""
    raw = whole(path)
    if path.suffix in (".pcap", ".csv") or raw[:1] == b"n":
        return raw[:20_000]
    begin %= max(len(raw) - 20_000, 1)
    return raw[begin : begin + 20_000]


def test_a_node_s_decoder_survives_anything() -> None:
    """The decoder that a node opens, with its gate, takes every sample in every mode without an exception."""
    from feedkit import source

    for format_name in FORMATS:
        for mode in ("live", "exercise", "replay"):
            gate = open_decoder(source(format_name, mode, editions=EDITIONS))
            decoded = gate.decode(sample(format_name), NOON_NS)
            must_hold(decoded)
            assert (mode == "replay") == (reasons(decoded).keys() == {"replay-unmarked"})


DIGITS = b"1" * 5_000
FAR = 10**11  # seconds: the year 5138
MAP = FixColumns(columns={"t": "t", "lat_deg": "lat", "lon_deg": "lon", "alt_m": "alt"}, time="epoch-s")


@pytest.mark.parametrize(
    ("format_name", "raw", "reason"),
    [
        ("fixes-json", b'{"t":1704196800,"lat":33,"lon":130,"alt":%s}\n' % DIGITS, "syntax-bad"),
        (
            "fixes-json",
            b'{"t":1704196800000,"lat":33,"lon":130}\n',
            "time-implausible",
        ),  # milliseconds where seconds are configured
        ("fixes-csv", b"t,lat,lon,alt\n1704196800000,33,130,0\n", "time-implausible"),
        ("fixes-csv", b"t,lat,lon,alt\n-1e200,33,130,0\n", "time-implausible"),
        ("fixes-csv", b"t,lat,lon,alt\n%s,33,130,0\n" % DIGITS, "syntax-bad"),
        (
            "modes-jsonl",
            b"".join(b'{"timestamp":%d,"frame":"%s"}\n' % (FAR, f.hex().encode()) for _, f in flight(8)),
            "time-implausible",
        ),
        ("ais", b"\\c:9999999999999*60\\" + ship(), "time-implausible"),
    ],
)
def test_numbers_beyond_all_bounds_are_refused_and_the_next_message_is_read(format_name: str, raw: bytes, reason: str) -> None:
    """Times beyond 64 bits and numbers of thousands of digits are counted refusals; what follows on the feed is read."""
    feed = decoder(format_name, fix_columns=MAP) if format_name.startswith("fixes") else decoder(format_name)
    good = {"fixes-json": b'{"t":1704196800,"lat":33,"lon":130}\n', "fixes-csv": b"1704196800,33,130,0\n"}.get(
        format_name, sample(format_name)
    )

    refused, read = feed.decode(raw, NOON_NS), feed.decode(good, NOON_NS)

    must_hold(refused)
    must_hold(read)
    assert reason in reasons(refused, read)
    assert (0, True) == (len(columns(refused)), len(columns(read)) > 0)


def test_a_decoder_that_fails_loses_its_input_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of a decoder is a counted refusal with what it was, and a new decoder reads on: the node and its other feeds live."""
    from feedkit import source

    class Faulty:
        def decode(self, data: bytes, received_t_ns: int) -> Decoded:
            if b"poison" in data:
                raise ZeroDivisionError("by a fault of ours")
            return good.decode(data, received_t_ns)

    good = decoder("ais")
    monkeypatch.setitem(FORMATS, "ais", lambda _: Faulty())
    gate = open_decoder(source("ais"))

    failed, read = gate.decode(b"poison", NOON_NS), gate.decode(ship(), NOON_NS)

    assert [("decoder-failed", 6, "ZeroDivisionError: by a fault of ours")] == [
        (r.reason, r.length, r.detail) for r in failed.refused
    ]
    assert 1 == len(columns(read))
