"""Mode S feeds: positions agree with rs1090 used directly, streams may be cut anywhere, sources keep apart."""

from __future__ import annotations

import gzip
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rs1090
from feedkit import NOON_NS, S_NS, columns, decoder, must_hold, reasons, sensor
from hypothesis import given, settings
from hypothesis import strategies as st

from trilat.feeds import accuracy, adsb, modes_encode
from trilat.feeds.framing import FRAME_BYTES_MAX, BeastSplitter, ReceiverClock, beast_frames, beast_ticks
from trilat.feeds.source import NOT_KNOWN_T_NS, Refusals
from trilat.records.columns import FLAG_BAROMETRIC

POSITION_DEG = 1e-9  # a tenth of a millimetre
CELL_DEG = 360 / 59 / 2**17
ADDRESS = 0x86D123
LAT, LON, ALT_M = 33.5, 130.4, 10_000.0


@pytest.fixture(scope="module")
def traffic(recordings: Path) -> tuple[bytes, list[dict[str, Any]]]:
    """Give the recording's lines, and what rs1090 reads in its extended squitters when used directly."""
    path = recordings / "modes-traffic" / "tutorial.jsonl.gz"
    if not path.exists():
        pytest.skip("no modes-traffic recording")
    raw = gzip.decompress(path.read_bytes())
    lines = [json.loads(line) for line in raw.splitlines()]
    squitters = [line for line in lines if int(line["frame"][:2], 16) >> 3 in (17, 18)]
    direct = rs1090.decode([line["frame"] for line in squitters], [line["timestamp"] for line in squitters])
    return raw, direct


def flight(count: int = 20, address: int = ADDRESS, east_m_s: float = 200.0) -> list[tuple[int, bytes]]:
    """Return (ns since the start, frame) of an aircraft that flies east: identification, velocity, positions."""
    frames = [
        (0, modes_encode.identification(address, "TRI101")),
        (0, modes_encode.airborne_velocity(address, east_m_s, 0.0, 5.0)),
    ]
    for step in range(count):
        lon = LON + east_m_s * step / 2 / (111_320 * math.cos(math.radians(LAT)))
        frames.append((step * S_NS // 2, modes_encode.airborne_position(address, LAT, lon, ALT_M, odd=step % 2 == 1)))
    return frames


def as_beast(frames: list[tuple[int, bytes]]) -> bytes:
    return b"".join(modes_encode.beast(frame, 12 * t_ns // 1000 + 1) for t_ns, frame in frames)


def test_recording_agrees_with_rs1090(traffic: tuple[bytes, list[dict[str, Any]]]) -> None:
    """Of 71,939 real frames, every position that rs1090 gives is given here too, equal, with its speed and altitude."""
    raw, direct = traffic
    theirs = {
        (round(each["timestamp"] * 1e9), int(each["icao24"], 16)): each for each in direct if each.get("latitude") is not None
    }

    decoded = decoder("modes-jsonl").decode(raw, NOT_KNOWN_T_NS)
    rows = columns(decoded)
    ours = {(int(row["t_ns"]), int(row["address"])): row for row in rows}

    must_hold(decoded)
    assert len(theirs) > 11_900
    assert set(theirs) <= set(ours)
    assert len(ours) - len(theirs) <= 10
    for key, each in theirs.items():
        row = ours[key]
        assert abs(row["lat_deg"] - each["latitude"]) <= POSITION_DEG
        assert abs(row["lon_deg"] - each["longitude"]) <= POSITION_DEG
        if each["bds"] == "06" and each.get("groundspeed") is not None:
            assert row["speed_m_s"] == pytest.approx(each["groundspeed"] * 1852 / 3600)


def test_recording_cut_anywhere_gives_the_same(traffic: tuple[bytes, list[dict[str, Any]]]) -> None:
    """The lines in uneven pieces give the same reports as all at once."""
    raw = traffic[0][:2_000_000]
    whole = decoder("modes-jsonl").decode(raw, NOT_KNOWN_T_NS)
    cut = decoder("modes-jsonl")
    generator = np.random.default_rng(1)
    places = [0, *sorted(generator.integers(0, len(raw), 60).tolist()), len(raw)]

    pieces = [cut.decode(raw[a:b], NOT_KNOWN_T_NS) for a, b in itertools.pairwise(places)]

    assert columns(whole).tobytes() == columns(*pieces).tobytes()
    assert reasons(whole) == reasons(*pieces)


@settings(max_examples=30, deadline=None)
@given(places=st.lists(st.integers(0, 2_000), max_size=30))
def test_beast_escapes_cut_in_half_lose_nothing(places: list[int]) -> None:
    """A Beast stream full of doubled escapes, cut at any byte, gives what the whole stream gives."""
    frames = [
        (t_ns, modes_encode.airborne_position(0x1A1A1A, LAT, LON, ALT_M, odd=odd)) for t_ns, odd in ((0, False), (S_NS, True))
    ]
    raw = b"".join(modes_encode.beast(frame, 0x1A1A1A1A1A1A, signal=0x1A) for _, frame in frames * 10)
    edges = [0, *sorted(place % len(raw) for place in places), len(raw)]
    cut = decoder("beast")

    whole = decoder("beast").decode(raw, NOON_NS)
    pieces = [cut.decode(raw[a:b], NOON_NS) for a, b in itertools.pairwise(edges)]

    assert len(columns(whole)) == 19
    assert columns(whole).tobytes() == columns(*pieces).tobytes()
    assert reasons(*pieces) == reasons(whole)


def test_exercise_frames_become_full_fixes() -> None:
    """Position, altitude, speed, course, climb, callsign, address and accuracy of encoded squitters are read back."""
    feed = decoder("beast")
    feed.decode(modes_encode.beast(modes_encode.operational_status(ADDRESS, 9), 1), NOON_NS)

    last = columns(feed.decode(as_beast(flight(6)), NOON_NS))[-1]

    assert (ADDRESS, b"TRI101", 0) == (last["address"], last["callsign"], last["flags"])
    assert abs(last["lat_deg"] - LAT) <= CELL_DEG
    assert last["alt_m"] == pytest.approx(ALT_M, abs=4.0)
    assert last["speed_m_s"] == pytest.approx(200.0, abs=0.3)
    assert last["course_rad"] == pytest.approx(math.pi / 2, abs=0.01)
    assert last["vertical_rate_m_s"] == pytest.approx(5.0, abs=0.2)
    assert last["sigma_horizontal_m"] == pytest.approx(30.0 / accuracy.RADIUS_95_PER_SIGMA)


def test_a_pressure_altitude_says_so() -> None:
    """Without a geometric difference the altitude is flagged as barometric, with the doubt that goes with it."""
    frames = [each for each in flight(3) if each[1][4] >> 3 != 19]

    last = columns(decoder("beast").decode(as_beast(frames), NOON_NS))[-1]

    assert FLAG_BAROMETRIC == last["flags"]
    assert accuracy.BAROMETRIC_AS_GEOMETRIC_SIGMA_M == last["sigma_vertical_m"]
    assert np.isnan(last["speed_m_s"])


def test_sources_do_not_share_memory() -> None:
    """An even half heard by one source and an odd half heard by another give no position anywhere."""
    first, second = decoder("beast", name="feed-1"), decoder("beast", name="feed-2")
    even, odd = (as_beast([each]) for each in flight(2)[2:])

    results = first.decode(even, NOON_NS), second.decode(odd, NOON_NS)

    assert [0, 0] == [len(columns(each)) for each in results]
    assert {"position-unresolved": 2} == reasons(*results)
    assert len(columns(first.decode(odd, NOON_NS))) == 1


def test_avr_and_beast_say_the_same() -> None:
    """The same frames as AVR text, with and without counters, give the same fixes as Beast."""
    frames = flight()
    plain = b"".join(b"*%s;\r\n" % frame.hex().encode() for _, frame in frames)
    timed = b"".join(b"@%012X%s;\n" % (12 * t_ns // 1000 + 1, frame.hex().encode()) for t_ns, frame in frames)

    results = [
        columns(decoder(name).decode(raw, NOON_NS)) for name, raw in (("beast", as_beast(frames)), ("avr", plain), ("avr", timed))
    ]

    assert len(results[0]) == 19
    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()


def test_a_jump_is_given_once_two_halves_agree() -> None:
    """A spoofed jump of 100 km is not hidden: the second half at the new place gives it, for the tracker to judge."""
    feed = decoder("beast")
    feed.decode(as_beast(flight(4)), NOON_NS)
    there = [modes_encode.airborne_position(ADDRESS, LAT + 1.0, LON, ALT_M, odd=odd) for odd in (False, True)]

    first = feed.decode(as_beast([(0, there[0])]), NOON_NS + S_NS)
    second = feed.decode(as_beast([(0, there[1])]), NOON_NS + S_NS)

    assert len(columns(first)) == 0
    assert abs(columns(second)[0]["lat_deg"] - LAT - 1.0) <= CELL_DEG


def test_positions_beyond_the_receiver_are_not_believed() -> None:
    """With a configured receiver, a position out of its range is refused and counted."""
    near = decoder("beast", reference=(LAT, LON)).decode(as_beast(flight(4)), NOON_NS)
    far = decoder("beast", reference=(-LAT, LON)).decode(as_beast(flight(4)), NOON_NS)

    assert (3, 0) == (len(columns(near)), len(columns(far)))
    assert {"position-unresolved": 4} == reasons(far)


def test_wrong_parity_is_counted() -> None:
    """A squitter with one bit turned gives nothing but a counted refusal."""
    frame = bytearray(flight(1)[-1][1])
    frame[6] ^= 1

    assert {"checksum-bad": 1} == reasons(decoder("beast").decode(modes_encode.beast(bytes(frame), 1), NOON_NS))


def test_squawk_of_a_reply_reaches_the_aircraft() -> None:
    """A DF5 reply gives its squawk to the aircraft whose address is on its parity."""
    feed = decoder("beast")
    feed.decode(as_beast(flight(4)), NOON_NS)
    identity = 0b0101010101010  # A, C, B and D pulses as Annex 10 vol. IV 3.1.2.6.7.1 interleaves them
    head = bytes([5 << 3, 0, identity >> 8, identity & 0xFF])
    reply = head + (adsb.parity(head + b"\0\0\0") ^ ADDRESS).to_bytes(3, "big")

    feed.decode(b"\x1a2" + bytes(7).replace(b"\x1a", b"\x1a\x1a") + reply.replace(b"\x1a", b"\x1a\x1a"), NOON_NS)
    last = columns(feed.decode(as_beast(flight(5)[-1:]), NOON_NS + 2 * S_NS))[-1]

    assert adsb.squawk_of(identity) == last["mode_3a"]
    assert [0o7700, 0o1200, 0o7777] == [adsb.squawk_of(field(code)) for code in ("7700", "1200", "7777")]


def field(squawk: str) -> int:
    """Return the 13-bit identity field of a squawk: C1 A1 C2 A2 C4 A4 X B1 D1 B2 D2 B4 D4."""
    a, b, c, d = (int(digit) for digit in squawk)
    order = [(c, 1), (a, 1), (c, 2), (a, 2), (c, 4), (a, 4), (0, 1), (b, 1), (d, 1), (b, 2), (d, 2), (b, 4), (d, 4)]
    return int("".join("1" if value & bit else "0" for value, bit in order), 2)


def test_a_clock_wrong_by_a_day_is_refused() -> None:
    """On a live source, lines whose time is a day off are refused and counted; none is moved or believed."""
    t = NOON_NS / 1e9
    lines = b"".join(b'{"timestamp":%.3f,"frame":"%s"}\n' % (t - 86_400, frame.hex().encode()) for _, frame in flight(10))

    decoded = decoder("modes-jsonl", "live").decode(lines, NOON_NS)

    assert len(columns(decoded)) == 0
    assert {"position-unresolved": 1, "time-implausible": 9} == reasons(decoded)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """More aircraft than the bound push out the ones not heard for longest, counted."""
    monkeypatch.setattr(adsb, "AIRCRAFT_MAX", 50)
    frames = [(0, modes_encode.identification(address, "X")) for address in range(1, 101)]

    assert {"memory-full": 50} == reasons(decoder("beast").decode(as_beast(frames), NOON_NS))


def test_a_feed_of_fixes_needs_a_sensor_of_fixes() -> None:
    """A radar cannot be the sensor of a Mode S feed."""
    with pytest.raises(adsb.FeedError):
        decoder("beast", sensors=(sensor(kind="radar2d"),))


def test_unsupported_squitters_are_counted() -> None:
    """TIS-B (DF18) and unknown downlink formats give no report and are counted by name."""
    head = bytes([(18 << 3) | 2]) + flight(1)[-1][1][1:11]
    tisb = head + adsb.parity(head + b"\0\0\0").to_bytes(3, "big")

    decoded = decoder("beast").decode(modes_encode.beast(tisb, 1) + modes_encode.beast(bytes([16 << 3]) + bytes(13), 1), NOON_NS)

    assert {"type-unsupported": 2} == reasons(decoded)


@settings(deadline=None)
@given(garbage=st.binary(max_size=400))
def test_garbage_between_beast_frames_costs_itself_only(garbage: bytes) -> None:
    """Frames behind any garbage are found again, at most one is lost to an escape that the garbage ends with."""
    splitter = BeastSplitter()
    frame = modes_encode.beast(flight(1)[-1][1], 7)

    found = splitter.feed(garbage + frame * 3, Refusals("feed-1"))

    assert [7, 7] == [each.ticks for each in found[-2:]]
    assert len(splitter._rest) <= FRAME_BYTES_MAX


def test_counters_become_times() -> None:
    """A 12 MHz counter keeps the spacing of frames however late they come; a restarted counter begins anew."""
    clock = ReceiverClock("12mhz")
    ticks = [12_000_000 * second for second in range(1, 6)]
    delays = [50, 10, 90, 10, 400]
    times = [
        clock.t_ns(tick, NOON_NS + 1_000_000_000 * k + 1_000_000 * delay)
        for k, (tick, delay) in enumerate(zip(ticks, delays, strict=True))
    ]

    assert [1000, 1000, 1000] == pytest.approx([(b - a) / 1e6 for a, b in itertools.pairwise(times[1:])], abs=0.5)
    assert NOON_NS + 60 * S_NS == clock.t_ns(12, NOON_NS + 60 * S_NS)


def test_gps_counters_are_the_time_of_day() -> None:
    """A GPS time of day is the instant nearest to the receipt, also across midnight."""
    clock = ReceiverClock("gps")
    midnight = NOON_NS + 12 * 3600 * S_NS

    assert midnight - S_NS == clock.t_ns(86_399 << 30, midnight + S_NS)
    assert midnight + 5 == clock.t_ns(5, midnight - S_NS)
    assert NOON_NS == clock.t_ns((1 << 48) - 1, NOON_NS)


def test_beast_recordings_are_cut_into_their_frames() -> None:
    """A recording cut into frames is, put together, the recording; every frame tells its counter."""
    raw = as_beast(flight(5))

    frames, rest = beast_frames(b"garbage" + raw + b"\x1a3half")

    assert b"garbage" + raw == b"".join(frames)
    assert rest == b"\x1a3half"
    assert [1, 1, 1, 6_000_001] == [beast_ticks(each) for each in frames[:4]]


def test_accuracy_categories_become_metres() -> None:
    """Known categories shrink as they rise; unknown ones and nonsense are the worst, never the best."""
    nacs = [accuracy.sigma_of_nac(value) for value in range(12)]
    nucs = [accuracy.sigma_of_nuc(value) for value in range(10)]

    assert nacs[1:] == sorted(nacs[1:], reverse=True)
    assert nucs[1:] == sorted(nucs[1:], reverse=True)
    assert {max(nacs)} == {nacs[0], accuracy.sigma_of_nac(15), accuracy.sigma_of_nac(-1), accuracy.sigma_of_nuc(77), nucs[0]}
    assert accuracy.sigma_of_nac_v(0) == accuracy.sigma_of_nac_v(9) > accuracy.sigma_of_nac_v(4)
