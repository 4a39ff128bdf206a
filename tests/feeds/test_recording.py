"""Recordings: gzip and captures found by their first bytes, pieces with the times at which they were recorded."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from feedkit import NOON_NS, S_NS, columns, decoder, reasons, source
from hypothesis import given
from hypothesis import strategies as st
from test_ais import line, ship
from test_modes import as_beast, flight
from test_pcap import ethernet, ipv4, pcap, udp

from trilat.feeds.recording import Inflater, Piece, RecordingReader, asterix_blocks, guess_format, looks_like_asterix, table_rows
from trilat.feeds.replay import T_NS_MAX, frame
from trilat.feeds.source import NOT_KNOWN_T_NS, Refusals


def read(format_name: str, raw: bytes, *, start_t_ns: int = NOON_NS, step: int = 1 << 20, **values: object) -> list[Piece]:
    """Return the pieces of a recording fed in steps."""
    reader = RecordingReader(source(format_name, "replay", **values), start_t_ns)
    pieces = [piece for k in range(0, len(raw), step) for piece in reader.feed(raw[k : k + step])]
    return [*pieces, *reader.finish()]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"!AIVDM,1,1,,A,1,0*00\n", "ais"),
        (b"\\c:1*00\\!AIVDM,1,1,,A,1,0*00\n", "ais"),
        (b"# a log\n!AIVDM,1,1,,A,1,0*00\n", "ais"),
        (b'{"timestamp":1.5,"frame":"8d"}\n', "modes-jsonl"),
        (b'{"t_ns":1,"range_m":9,"azimuth_deg":1}\n', "plots-json"),
        (b'{"timestamp":1.5,"observer_ecef_m":[1,2,3],"direction_ecef":[1,2,3],"sigma_rad":1}\n', "sights-jsonl"),
        (b'[{"timestamp":1000,"icao24":"x"}]', "fixes-json"),
        (b"*8D86D12358C382D690C8AC286300;\n", "avr"),
        (b"@0123456789AB8D86D12358C382D690C8AC286300;\n", "avr"),
        (as_beast(flight(2)), "beast"),
        (b"time,lat_deg,lon_deg\n", "fixes-csv"),
        (b"\x30\x00\x10\xff\x01", "asterix"),
        (b"", "asterix"),
    ],
)
def test_formats_are_guessed(head: bytes, expected: str) -> None:
    """The first bytes tell the format; what looks like no other is ASTERIX."""
    assert expected == guess_format(head)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\x30\x00\x10\xff\x01", True),  # category 048, cut
        (b"\x13\x00\x05\xff\x01", True),  # 019, that we do not read, to its end
        (b"\x13\x00\x05\xff\x01" * 2 + b"\x13\x00", True),
        (pcap([ethernet(ipv4(17, udp(b"x")))]), True),
        (b"\x13\x00\x05\xff\x01\x13\x00\x02", False),
        (b"\x30\x00\x02\xff\x01", False),
        (b"0 what 048 would begin with, were it binary\n", False),
        (b"# \xe6\x97\xa5\n" * 3_000, False),
        (b"\x89PNG\r\n\x1a\n" + bytes(5_000), False),
        (b"PK\x03\x04" + bytes(25_000), False),
        (b"", False),
    ],
)
def test_what_is_no_asterix_is_not_taken_for_it(head: bytes, expected: bool) -> None:  # noqa: FBT001 - expected value
    """Text, pictures and archives are none; a category of ours is, also where a block is cut, and so are whole blocks of another."""
    assert expected == looks_like_asterix(head)


def test_every_real_recording_of_a_radar_looks_like_one(recordings: Path) -> None:
    """Captures and bare blocks of every category that we have recorded are taken for ASTERIX, however little of them is looked at."""
    found = [path for path in sorted(recordings.glob("asterix-*/*")) if path.suffix in (".raw", ".bin", ".pcap")]
    if not found:
        pytest.skip("no radar's recordings among those that are there")
    assert [] == [path.name for path in found for size in (60, 4_096) if not looks_like_asterix(path.read_bytes()[:size])]


def test_recordings_are_guessed(recordings: Path) -> None:
    """Every kind of real recording is recognised through its gzip layer."""
    names = {
        "modes-traffic/tutorial.jsonl.gz": "modes-jsonl",
        "ais-gpsd/ais-nmea-type6-fid55.log": "ais",
        "ais-pyais/nmea_data_sample.txt": "ais",
        "tracks-traffic/JL516_Flightradar24_ADS-B_data_granular.csv.gz": "fixes-csv",
        "tracks-traffic/noisy_spoofing.json.gz": "fixes-json",
        "asterix-croatiacontrol/cat048.raw": "asterix",
    }
    for name, expected in names.items():
        if (recordings / name).exists():
            head = b"".join(Inflater(Refusals("x")).feed((recordings / name).read_bytes()[:4096]))
            assert expected == guess_format(head), name


@given(data=st.binary(max_size=2_000), step=st.integers(1, 500))
def test_gzip_is_taken_off(data: bytes, step: int) -> None:
    """Two gzip members in pieces give the bytes of both; bytes that are not gzip pass."""
    packed = gzip.compress(data) + gzip.compress(b"more")
    plain = b"-" + data
    for raw, expected in ((packed, data + b"more"), (plain, plain)):
        inflater = Inflater(Refusals("x"))
        assert expected == b"".join(part for k in range(0, len(raw), step) for part in inflater.feed(raw[k : k + step]))


def test_damaged_gzip_is_counted() -> None:
    """A damaged gzip stream gives what came before the damage, and a count."""
    raw = bytearray(gzip.compress(bytes(range(256)) * 100))
    raw[40] ^= 0xFF
    refusals = Refusals("x")

    Inflater(refusals).feed(bytes(raw))

    assert ["syntax-bad"] == [each.reason for each in refusals.take(0)]


@pytest.mark.parametrize("cut", [5, 20, -1])
def test_gzip_that_is_cut_is_counted(cut: int) -> None:
    """A gzip file that ends before its stream does, at whatever place, says so; a whole one, or two in a row, do not."""
    whole = gzip.compress(b"1234567890" * 100)

    for data, expected in ((whole[:cut], ["truncated"]), (whole, []), (whole + whole, []), (whole + whole[:cut], ["truncated"])):
        refusals = Refusals("x")
        inflater = Inflater(refusals)
        inflater.feed(data)
        inflater.finish()
        assert expected == [each.reason for each in refusals.take(0)]


@pytest.mark.parametrize(
    ("format_name", "raw"),
    [
        ("plots-json", b'{"t_ns":%d,"range_m":9e5,"azimuth_deg":1}\n'),
        ("sights-jsonl", b'{"observer_ecef_m":[1,2,3],"direction_ecef":[1,2,3],"sigma_rad":1,"timestamp":%d.0}\n'),
        ("modes-jsonl", b'{"timestamp":%d,"frame":"8d"}\n'),
        ("ais", b"\\c:%d*00\\!AIVDM,1,1,,A,1,0*00\n"),
    ],
)
def test_lines_tell_their_times_whatever_they_say(format_name: str, raw: bytes) -> None:
    """Every format of timestamped lines is cut into pieces that can be sent: at their times, none beyond what a frame holds."""
    unit = 1 if format_name == "plots-json" else S_NS
    far = {"plots-json": 10**19 - 1, "ais": 10**13 - 1}.get(format_name, 10**12 - 1)
    for number, expected in ((1_795_000_000 * S_NS // unit, 1_795_000_000 * S_NS), (far, T_NS_MAX)):
        reader = RecordingReader(source(format_name))
        pieces = [*reader.feed(raw % number), *reader.finish()]
        assert [expected] == [piece.t_ns for piece in pieces]
        assert frame("R1", 0, pieces[0].t_ns, pieces[0].data)


def test_a_small_file_cannot_fill_the_memory() -> None:
    """What inflates by a thousand comes in bounded pieces."""
    pieces = Inflater(Refusals("x")).feed(gzip.compress(bytes(20_000_000)))

    assert 20_000_000 == sum(map(len, pieces))
    assert max(map(len, pieces)) <= 1 << 20


def test_timestamped_lines_are_pieces_at_their_times() -> None:
    """Lines within a tenth of a second travel together, at the time of the last; the decoder takes each as just received."""
    t = NOON_NS / 1e9
    lines = [b'{"timestamp":%.6f,"frame":"%s"}' % (t + t_ns / 1e9, frame.hex().encode()) for t_ns, frame in flight(6)]

    pieces = read("modes-jsonl", b"\n".join(lines), step=17)
    feed = decoder("modes-jsonl", "live")

    assert [NOON_NS + k * S_NS // 2 for k in range(6)] == pytest.approx([piece.t_ns for piece in pieces], abs=1000)
    assert b"\n".join(lines) + b"\n" == b"".join(piece.data for piece in pieces)
    assert 5 == sum(len(columns(feed.decode(piece.data, piece.t_ns))) for piece in pieces)


def test_sentences_tell_the_time_by_tag_block_or_utc_second() -> None:
    """A tag block's time is taken; without one, time follows the UTC seconds inside position reports."""
    sentence = ship().decode().strip().lstrip("!").split("*")[0]
    tagged = b"".join(line(sentence, f"c:{NOON_NS // S_NS + 30 * k}") for k in range(3))
    seconds = b"".join(ship(second=second) for second in (1, 1, 2, 5, 4, 63, 9))

    assert [NOON_NS + 30 * S_NS * k for k in range(3)] == [piece.t_ns for piece in read("ais", tagged)]
    assert [1, 2, 5, 9] == [(piece.t_ns - NOON_NS) // S_NS for piece in read("ais", seconds)]


def test_counters_of_receivers_tell_the_time() -> None:
    """Beast and AVR recordings follow their 12 MHz counters from the start."""
    frames = flight(6)
    avr = b"".join(b"@%012X%s;\n" % (12 * t_ns // 1000 + 1, frame.hex().encode()) for t_ns, frame in frames)

    for name, raw in (("beast", as_beast(frames)), ("avr", avr)):
        pieces = read(name, raw, step=31)
        times = sorted({round((each.t_ns - NOON_NS) / S_NS, 3) for each in pieces})
        assert [k / 2 for k in range(6)] == times, name
        assert raw == b"".join(piece.data for piece in pieces)


def test_captures_keep_their_times() -> None:
    """The pieces of a capture are its payloads at their times; a cut end is counted."""
    raw = pcap([ethernet(ipv4(17, udp(ship().strip()))), ethernet(ipv4(17, udp(ship().strip())))])
    reader = RecordingReader(source("ais", "replay"), 0)

    pieces = reader.feed(raw[:-3])

    assert ([Piece(NOON_NS, ship().strip() + b"\n")], []) == (pieces, reader.finish())
    assert {"truncated": 1} == {each.reason: each.count for each in reader.refused()}


def test_raw_asterix_is_cut_into_blocks_by_time_of_day(recordings: Path) -> None:
    """Blocks behind one another become one piece each, on the day the recording begins."""
    from trilat.feeds.asterix_layout import latest_editions

    path = recordings / "asterix-croatiacontrol" / "cat048.raw"
    if not path.exists():
        pytest.skip("no asterix-croatiacontrol recording")
    raw = path.read_bytes() * 3

    pieces = read("asterix", raw, step=5, editions=latest_editions())

    assert raw == b"".join(piece.data for piece in pieces)
    assert ([b"\x30\0\5ab"], b"\x30\0") == asterix_blocks(b"\x30\0\5ab\x30\0")
    assert ([b"\x30\0\2ab"], b"") == asterix_blocks(b"\x30\0\2ab")
    assert all(abs(piece.t_ns - NOON_NS) <= 43_200 * S_NS for piece in pieces)


@pytest.mark.parametrize(
    ("format_name", "raw"),
    [
        ("fixes-csv", b"time,lat_deg,lon_deg\n2024-01-02T12:00:02Z,2,0\nno time,9,9\n2024-01-02T12:00:01Z,1,0"),
        (
            "fixes-json",
            b'[{"time":"2024-01-02T12:00:02Z","lat_deg":2,"lon_deg":0},{"time":"2024-01-02T12:00:01Z","lat_deg":1,"lon_deg":0}]',
        ),
    ],
)
def test_tables_are_replayed_in_order_of_time(format_name: str, raw: bytes) -> None:
    """Each row of a table is a piece of its own that any decoder can begin with; rows without a time are left out."""
    pieces = table_rows(source(format_name, "replay"), read(format_name, raw))

    rows = [columns(decoder(format_name).decode(piece.data, piece.t_ns)) for piece in pieces]
    together = decoder(format_name)

    assert [1.0, 2.0] == [row["lat_deg"].item() for row in rows]
    assert [NOON_NS + S_NS, NOON_NS + 2 * S_NS] == [piece.t_ns for piece in pieces]
    assert {} == reasons(*(together.decode(piece.data, piece.t_ns) for piece in pieces))
    assert NOT_KNOWN_T_NS == read(format_name, raw)[0].t_ns
