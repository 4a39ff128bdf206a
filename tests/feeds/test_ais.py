"""AIS: real sentences equal gpsd's expected output, known faults of the decoder are repaired, bad input is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from feedkit import NOON_NS, S_NS, columns, decoder, must_hold, reasons
from hypothesis import given, settings
from hypothesis import strategies as st
from pyais.encode import encode_dict

from trilat.feeds import ais, nmea
from trilat.feeds.source import Refusals

SUPPORTED = set(ais.BITS_MIN)
KNOT_M_S = 1852 / 3600
# gpsd's own scaling of raw AIS integers (ITU-R M.1371-5 table 48, 3.1): 1/10000 minute, 1/10 knot, 1/10 degree; type 27 coarser.
GPSD = {"lon": 600_000, "lat": 600_000, "speed": 10, "course": 10}
GPSD_27 = {"lon": 600, "lat": 600, "speed": 1, "course": 1}
RENAMED = {"shiptype": "ship_type", "aid_type": "aid_type"}
COMPARED = (
    *("repeat", "mmsi", "status", "accuracy", "lon", "lat", "course", "heading", "second", "raim", "speed"),
    *(
        "imo",
        "callsign",
        "shipname",
        "shiptype",
        "to_bow",
        "to_stern",
        "to_port",
        "to_starboard",
        "draught",
        "destination",
        "dte",
    ),
    *("name", "aid_type", "epfd", "off_position", "virtual_aid", "assigned", "regional", "cs", "display", "dsc", "band", "msg22"),
)


def line(text: str, tag: str = "") -> bytes:
    """Return a sentence with its checksum, and with a tag block if there is one."""
    head = b"\\%s*%02X\\" % (tag.encode(), nmea.checksum(tag.encode())) if tag else b""
    return head + b"!%s*%02X\r\n" % (text.encode(), nmea.checksum(text.encode()))


def encoded(**fields: Any) -> bytes:
    """Return the lines of a message that pyais encodes."""
    return b"".join(each.encode() + b"\r\n" for each in encode_dict(fields, talker_id="AI", radio_channel="A"))


def ship(second: int = 60, **fields: Any) -> bytes:
    values = {
        "type": 1,
        "mmsi": 431_000_001,
        "lat": 33.5,
        "lon": 130.4,
        "speed": 10.0,
        "course": 90.0,
        "second": second,
        "accuracy": 1,
    }
    return encoded(**(values | fields))


@pytest.fixture(scope="module")
def gpsd(recordings: Path) -> tuple[bytes, list[dict[str, Any]]]:
    """Give gpsd's log of AIS sentences and the JSON it expects of them."""
    path = recordings / "ais-gpsd" / "ais-nmea-type6-fid55.log"
    if not path.exists():
        pytest.skip("no ais-gpsd recording")
    expected = path.with_name(path.name + ".chk").read_text("utf-8", "replace").splitlines()
    return path.read_bytes(), [json.loads(text) for text in expected if text.startswith("{")]


def messages(raw: bytes) -> list[dict[str, Any]]:
    """Return every complete message of a log, repaired, with the parts of type 24 joined as gpsd joins them."""
    refusals, assembler, halves = Refusals("x"), nmea.Assembler(), dict[int, dict[str, Any]]()
    found = []
    for number, text in enumerate(raw.splitlines()):
        sentence = nmea.read_sentence(number, text, refusals)
        parts = assembler.add(sentence, 0, refusals) if sentence else None
        fields = ais.read_message(parts) if parts else None
        if fields is None:
            continue
        if fields["msg_type"] == 24:
            first = halves.pop(fields["mmsi"], None)
            if fields["partno"] == 0:
                halves[fields["mmsi"]] = fields
            if fields["partno"] == 0 or first is None:
                continue
            fields = first | fields
        found.append(fields)
    assert refusals.take(0) == ()
    return found


def test_listed_types_equal_gpsd(gpsd: tuple[bytes, list[dict[str, Any]]]) -> None:
    """Every message of types 1-3, 5, 17, 18, 19, 21, 24 and 27 has gpsd's values after gpsd's own scaling, in gpsd's order."""
    raw, expected = gpsd
    wanted = SUPPORTED | {17}
    theirs = [each for each in expected if each["type"] in wanted]
    ours = [each for each in messages(raw) if each["msg_type"] in wanted]
    pairs_24 = [each for each in ours if each["msg_type"] == 24]
    both = [[each for each in side if each[key] != 24] for side, key in ((ours, "msg_type"), (theirs, "type"))]

    assert len(both[0]) == len(both[1]) > 1_000
    for our, their in zip(*both, strict=True):
        same(our, their)
    for their in theirs:
        if their["type"] == 24:
            same(next(each for each in pairs_24 if each["mmsi"] == their["mmsi"]), their)


def same(our: dict[str, Any], their: dict[str, Any]) -> None:
    """Check one message field by field."""
    scale = GPSD_27 if their["type"] == 27 else GPSD if their["type"] != 17 else {"lon": 600, "lat": 600}
    for name in COMPARED:
        mine = our.get(RENAMED.get(name, name))
        if name not in their or (mine is None and name in ("regional", "assigned")):
            continue
        value = their[name] / scale[name] if name in scale else their[name] / 10 if name == "draught" else their[name]
        if isinstance(value, str):
            assert value.strip() == mine.strip(), (name, our, their)
        else:
            # 1e-6 degrees: pyais rounds positions to six decimals, a tenth of a metre.
            assert float(value) == pytest.approx(float(mine), abs=1e-6), (name, our, their)


def test_real_log_becomes_physical_fixes(gpsd: tuple[bytes, list[dict[str, Any]]]) -> None:
    """Each position of gpsd's list becomes a fix or a counted refusal, none is lost."""
    raw, expected = gpsd
    feed = decoder("ais")

    decoded = feed.decode(raw, NOON_NS)
    counts = reasons(decoded)

    must_hold(decoded)
    positions = [each for each in expected if each["type"] in SUPPORTED - {5, 24} and not each.get("virtual_aid")]
    assert len(positions) == len(columns(decoded)) + counts["position-missing"] + counts.get("value-implausible", 0)
    assert counts["type-unsupported"] == sum(1 for each in expected if each["type"] not in SUPPORTED or each.get("virtual_aid"))


def test_positions_come_in_our_units() -> None:
    """Knots and degrees become m/s and radians, the accuracy bit a sigma, the MMSI stays."""
    row = columns(decoder("ais").decode(ship(), NOON_NS))[0]

    assert (431_000_001, NOON_NS, 2) == (row["mmsi"], row["t_ns"], row["domain"])
    assert (33.5, 130.4) == (pytest.approx(row["lat_deg"], abs=2e-6), pytest.approx(row["lon_deg"], abs=2e-6))
    assert (10 * KNOT_M_S, np.pi / 2) == (pytest.approx(row["speed_m_s"]), pytest.approx(row["course_rad"]))
    assert 2 < row["sigma_horizontal_m"] < columns(decoder("ais").decode(ship(accuracy=0), NOON_NS))[0]["sigma_horizontal_m"]


def test_values_that_are_not_available_are_absent() -> None:
    """Speed 102.3, course 360 are absent; a position of 91 N 181 E is no position."""
    row = columns(decoder("ais").decode(ship(speed=102.3, course=360.0), NOON_NS))[0]

    assert np.isnan([row["speed_m_s"], row["course_rad"], row["sigma_speed_m_s"], row["alt_m"]]).all()
    assert {"position-missing": 1} == reasons(decoder("ais").decode(ship(lat=91.0, lon=181.0), NOON_NS))


def test_the_name_of_a_ship_goes_with_its_positions() -> None:
    """Static data of types 5 and 24 (its two parts apart) are attached to later positions of the same ship, by source."""
    five = encoded(type=5, mmsi=431_000_001, shipname="KAIYO MARU", callsign="JABC", ship_type=70)
    both = encoded(type=24, mmsi=431_000_002, partno=1, callsign="JXYZ") + encoded(
        type=24, mmsi=431_000_002, partno=0, shipname="UMI"
    )
    feed = decoder("ais")

    before = columns(feed.decode(ship(), NOON_NS))[0]["callsign"]
    after = columns(feed.decode(five + both + ship() + ship(mmsi=431_000_002), NOON_NS))

    assert (b"", [b"KAIYO MARU", b"UMI"]) == (before, after["callsign"].tolist())
    assert [b""] == columns(decoder("ais").decode(ship(), NOON_NS))["callsign"].tolist()


def test_long_names_of_aids_are_joined() -> None:
    """The name extension of type 21 follows the name; a virtual aid is counted, not placed."""
    refusals = Refusals("x")
    raw = encoded(type=21, mmsi=994_310_001, name="CHINA ROSE MURPHY EX", name_ext="PRESS ALERT", lat=33.0, lon=130.0)
    parts = nmea.Assembler()
    sentences = [nmea.read_sentence(0, text, refusals) for text in raw.splitlines()]
    whole = [found for each in sentences if each and (found := parts.add(each, 0, refusals))]

    fields = ais.read_message(whole[0])

    assert fields is not None
    assert fields["name"] == "CHINA ROSE MURPHY EXPRESS ALERT"
    virtual = encoded(type=21, mmsi=994_310_001, name="X", lat=33.0, lon=130.0, virtual_aid=1)
    assert {"type-unsupported": 1} == reasons(decoder("ais").decode(virtual, NOON_NS))


@pytest.mark.parametrize(
    ("heard_s", "second", "expected_s"), [(30, 28, 28), (1, 58, -2), (59, 3, 63), (30, 5, 30), (30, 60, 30), (30, 63, 30)]
)
def test_the_utc_second_refines_the_time(heard_s: int, second: int, expected_s: int) -> None:
    """The nearest instant with the report's second is its time, over minute ends too; an odd second is not believed."""
    assert NOON_NS + expected_s * S_NS == ais.report_time(NOON_NS + heard_s * S_NS, second)


def test_tag_blocks_give_the_time() -> None:
    """The `c:` of a tag block, in seconds or milliseconds, is when the sentence was heard; a bad tag checksum refuses the line."""
    sentence = ship().decode().strip().lstrip("!").split("*")[0]
    t = NOON_NS // S_NS
    feed = decoder("ais", clock_error_s_max=3600.0)

    decoded = feed.decode(line(sentence, f"s:r1,c:{t - 60}") + line(sentence, f"c:{t - 30}500"), NOON_NS)
    bad = feed.decode(line(sentence, f"c:{t}").replace(b"c:", b"d:"), NOON_NS)

    assert [NOON_NS - 60 * S_NS, NOON_NS - 29_500_000_000] == columns(decoded)["t_ns"].tolist()
    assert {"checksum-bad": 1} == reasons(bad)


def test_a_tag_clock_wrong_by_a_day_is_refused() -> None:
    """A receiver whose clock is a day off gives counted refusals, not fixes of yesterday."""
    sentence = ship().decode().strip().lstrip("!").split("*")[0]

    decoded = decoder("ais", "live").decode(line(sentence, f"c:{NOON_NS // S_NS - 86_400}"), NOON_NS)

    assert (0, {"time-implausible": 1}) == (len(columns(decoded)), reasons(decoded))


FIVE = encoded(type=5, mmsi=431_000_001, shipname="KAIYO MARU").splitlines(keepends=True)


def test_parts_come_in_any_order_and_late_ones_are_missed() -> None:
    """Two parts make a message in either order; a part whose other never comes is counted after its time, by message time."""
    assert {} == reasons(decoder("ais").decode(FIVE[1] + FIVE[0], NOON_NS))
    feed = decoder("ais")

    first = feed.decode(FIVE[0], NOON_NS)
    later = feed.decode(FIVE[1], NOON_NS + nmea.PARTS_NS_MAX + S_NS)

    assert ({}, {"parts-missing": 1}) == (reasons(first), reasons(later))


def test_waiting_parts_are_bounded() -> None:
    """No more than the bound waits; what has to go is counted, and the splitter's memory stays small."""
    refusals, assembler = Refusals("x"), nmea.Assembler()
    for number in range(nmea.PENDING_MAX + 40):
        talker = bytes([65 + number // 26 % 26, 65 + number % 26])
        sentence = nmea.Sentence(talker, 2, 1, str(number % 10).encode(), b"A", b"5", 0, b"x", None, b"")
        assembler.add(sentence, NOON_NS, refusals)

    assert len(assembler._pending) <= nmea.PENDING_MAX
    assert {"parts-missing"} == {each.reason for each in refusals.take(0)}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (ship().replace(b"*", b"*F"), "syntax-bad"),
        (ship().replace(b",1,1,,A,1", b",1,1,,B,1"), "checksum-bad"),
        (line("AIVDM,1,1,,A,,0"), "syntax-bad"),
        (line("AIVDM,1,2,,A,15,0"), "syntax-bad"),
        (line("AIVDM,1,1,,A,13nUgB,0"), "truncated"),
        (line("AIVDM,1,1,,A,\x7f\x7f,0"), "syntax-bad"),
        (b"$GPZDA,120000,02,01,2024,00,00*4F\r\n", "type-unsupported"),
        (b"hello\r\n", "syntax-bad"),
        (ship(mmsi=0), "identity-missing"),
        (encoded(type=4, mmsi=4_310_001), "type-unsupported"),
    ],
)
def test_bad_lines_are_counted_by_reason(raw: bytes, reason: str) -> None:
    """Each kind of bad line has its reason, and the good line behind it is read."""
    decoded = decoder("ais").decode(raw + ship(), NOON_NS)

    assert ({reason: 1}, 1) == (reasons(decoded), len(columns(decoded)))


def test_an_endless_line_costs_its_bytes_only() -> None:
    """Megabytes without a line end are one counted refusal and no memory; the next line is read."""
    feed = decoder("ais")
    results = [feed.decode(b"!AIVDM,1,1,,A," + b"1" * 65_000, NOON_NS) for _ in range(20)]

    after = feed.decode(b"\r\n" + ship(), NOON_NS)

    assert {"line-too-long": 1} == reasons(*results)
    assert sum(each.length for result in results for each in result.refused) == 20 * 65_014
    assert len(columns(after)) == 1


def test_static_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """More ships than the bound push out the ones not heard for longest, counted."""
    monkeypatch.setattr(ais, "VESSELS_MAX", 5)
    raw = b"".join(encoded(type=24, mmsi=431_000_000 + k, partno=0, shipname=f"S{k}") for k in range(1, 9))

    assert {"memory-full": 3} == reasons(decoder("ais").decode(raw, NOON_NS))


@settings(deadline=None)
@given(
    payload=st.text(st.sampled_from([chr(c) for c in (*range(48, 88), *range(96, 120))]), min_size=1, max_size=80),
    fill=st.integers(0, 5),
)
def test_any_payload_gives_physical_values_or_a_reason(payload: str, fill: int) -> None:
    """Whatever a sentence with a right checksum carries, the result is physical fixes or counted refusals."""
    decoded = decoder("ais").decode(line(f"AIVDM,1,1,,A,{payload},{fill}"), NOON_NS)

    must_hold(decoded)
    assert len(columns(decoded)) + sum(reasons(decoded).values()) <= 1
    kind = ord(payload[0]) - 48 if ord(payload[0]) < 88 else ord(payload[0]) - 56
    assert kind in (5, 24) or len(columns(decoded)) + sum(reasons(decoded).values()) == 1


@settings(deadline=None, max_examples=30)
@given(places=st.lists(st.integers(0, 1_000), max_size=12))
def test_lines_cut_anywhere_are_the_same(places: list[int]) -> None:
    """Sentences in uneven pieces give what they give at once."""
    raw = b"".join(FIVE) + ship() + ship(lat=34.0) + b"junk\r\n" + ship(lat=35.0)
    edges = [0, *sorted(place % len(raw) for place in places), len(raw)]
    cut = decoder("ais")

    whole = decoder("ais").decode(raw, NOON_NS)
    pieces = [cut.decode(raw[a:b], NOON_NS) for a, b in zip(edges, edges[1:], strict=False)]  # noqa: RUF007 - edges may repeat

    assert columns(whole).tobytes() == columns(*pieces).tobytes()
    assert reasons(whole) == reasons(*pieces)
