"""The ASTERIX decoder of a source: who, when, what; everything else refused by name and counted."""

import asterix_oracle as oracle
import numpy as np
import pytest
from asterix_recordings import datagrams, recording
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from trilat.errors import FeedError
from trilat.feeds import asterix_layout, registry
from trilat.feeds.asterix import AsterixDecoder, absolute_t_ns
from trilat.feeds.asterix_encode import encode_cat048
from trilat.feeds.source import DAY_NS, Decoded, Source
from trilat.records.columns import (
    FLAG_BAROMETRIC,
    FLAG_EMERGENCY,
    FLAG_SIMULATED,
    KIND_FIX,
    KIND_RADAR,
    KIND_TRACK,
    REPORT_DTYPE,
    empty_reports,
)
from trilat.records.label import Label, Mode
from trilat.records.sensor import Sensor

MIDNIGHT_NS = 1_750_032_000_000_000_000
NOON_NS = MIDNIGHT_NS + DAY_NS // 2
MODE = Mode(kind="exercise", id="asterix")
LABEL = Label(policy="TRILAT", originator="KOR", mode=MODE, level=1)
EDITIONS = {21: "2.1", 34: "1.27", 48: "1.27", 62: "1.18", 65: "1.4"}
NM_M = 1852.0
HALF_METER = 0.5


def sensor(sac: int, sic: int, kind: str = "radar2d", **more: object) -> Sensor:
    return Sensor(id=f"{kind}-{sac}-{sic}", nation="KOR", kind=kind, label=LABEL, sac=sac, sic=sic, **more)


def source(*sensors: Sensor, **more: object) -> Source:
    settings = {"mode": MODE, "editions": EDITIONS} | more
    return Source(name="feed", format="asterix", nation="KOR", sensors=sensors, **settings)


def reasons(decoded: Decoded) -> dict[str, int]:
    return {refused.reason: refused.count for refused in decoded.refused}


def plot(sac: int = 25, sic: int = 1, t_ns: int = NOON_NS, *, simulated: bool = False, **values: object) -> bytes:
    """Return a datagram with one CAT048 plot."""
    columns = empty_reports(1)
    for name, value in ({"t_ns": t_ns, "range_m": 100_000.0, "azimuth_rad": 1.0} | values).items():
        columns[name] = value
    (datagram,) = encode_cat048(columns, sac, sic, simulated=simulated, edition="1.27")
    return datagram


RADAR = sensor(25, 1)


def test_the_real_capture_becomes_plots_of_seven_radars() -> None:
    """The 128 CAT048 records give 126 plots, the oracle's positions in SI units, and two records without a detection."""
    capture = datagrams(recording("asterix-croatiacontrol", "cat_034_048.pcap"))
    radars = [sensor(25, sic) for sic in (11, 12, 13, 14, 201, 204, 205)]
    decoder = AsterixDecoder(source(*radars))
    results = [decoder.decode(payload, t_ns) for t_ns, payload in capture]
    expected = []
    for _, payload in capture:
        for block in oracle.blocks(payload):
            if block.get_category() == 48:
                flats = [oracle.flatten(record) for record in oracle.parse_block(block, "1.27") or []]
                expected += [(f["040/RHO"][1] * NM_M, np.radians(f["040/THETA"][1])) for f in flats if f["020/TYP"][0]]
    got = [(r["range_m"], r["azimuth_rad"]) for d in results for batch in d.batches for r in batch.columns]
    assert 126 == len(got)
    assert sorted(expected) == sorted(got)
    assert {"no-detection": 2} == {
        k: sum(reasons(d).get(k, 0) for d in results) for k in {k for d in results for k in reasons(d)}
    }
    assert 7 == len(decoder.service)
    assert 34 == sum(sum(state.messages.values()) for state in decoder.service.values())
    batch = AsterixDecoder(source(*radars)).decode(*reversed(capture[0])).batches[0]
    row = batch.columns[0]
    assert ("feed", ("radar2d-25-201",), LABEL) == (batch.source, batch.pedigree.sensors, batch.label)
    assert (KIND_RADAR, 0o1000, 0x3C660C, b"DLH65A", 3563, FLAG_BAROMETRIC) == (
        row["kind"], row["mode_3a"], row["address"], row["callsign"], row["sensor_track"], row["flags"],
    )  # fmt: skip
    assert 33_000 * 0.3048 == pytest.approx(row["height_m"])
    assert abs(int(row["t_ns"]) - capture[0][0]) < 3 * 10**9


def test_a_recording_at_once_gives_what_its_datagrams_give() -> None:
    """`decode_many` gives the same reports and counts as one call a datagram."""
    capture = datagrams(recording("asterix-croatiacontrol", "cat_034_048.pcap"))
    configured = source(unknown_sensor=sensor(0, 0))
    one = AsterixDecoder(configured)
    single = np.concatenate([b.columns for t_ns, data in capture for b in one.decode(data, t_ns).batches])
    many = AsterixDecoder(configured)
    (batch,) = many.decode_many([data for _, data in capture], [t_ns for t_ns, _ in capture]).batches
    assert single.tobytes() == batch.columns.tobytes()
    assert one.service == many.service


def test_adsb_reports_become_fixes() -> None:
    """The CAT021 edition 2.1 record becomes a fix at its position, time, altitude and NUCp accuracy."""
    data = recording("asterix-jasterix", "cat021ed2.1.bin").read_bytes()
    received = MIDNIGHT_NS + 33_503 * 10**9
    (batch,) = AsterixDecoder(source(sensor(0, 3, "fixes"))).decode(data, received).batches
    (row,) = batch.columns
    assert (KIND_FIX, 0x1A4B65, b"EZS14ZH", 0o7106, 1375, 0) == (
        row["kind"], row["address"], row["callsign"], row["mode_3a"], row["sensor_track"], row["flags"],
    )  # fmt: skip
    assert (46.84420108795166, 12.298529148101807) == (row["lat_deg"], row["lon_deg"])
    assert MIDNIGHT_NS + 33_502_882_812_500 == row["t_ns"]
    assert 34_750 * 0.3048 == pytest.approx(row["alt_m"])
    assert 0.05 * NM_M / 2.4477 == pytest.approx(row["sigma_horizontal_m"])


def test_system_tracks_become_track_reports() -> None:
    """The CAT062 edition 1.12 record becomes a foreign track with position, velocity, accuracy and identity."""
    data = recording("asterix-jasterix", "cat062ed1.12.bin").read_bytes()
    configured = source(sensor(0, 4, "tracks"), editions={62: "1.12"})
    (batch,) = AsterixDecoder(configured).decode(data, MIDNIGHT_NS + 33_503 * 10**9).batches
    (row,) = batch.columns
    assert (KIND_TRACK, 0x663CA6, b"DLH9CK", 0o7621, 5086, FLAG_BAROMETRIC) == (
        row["kind"], row["address"], row["callsign"], row["mode_3a"], row["sensor_track"], row["flags"],
    )  # fmt: skip
    assert np.hypot(207.5, -120.5) == pytest.approx(row["speed_m_s"])
    assert np.arctan2(207.5, -120.5) == pytest.approx(row["course_rad"])
    assert np.hypot(40.0, 63.0) / np.sqrt(2) == pytest.approx(row["sigma_horizontal_m"])
    assert 349.75 * 30.48 == pytest.approx(row["alt_m"])


def test_a_tracker_s_service_messages_are_its_last_state() -> None:
    """CAT065 goes to `service` under the tracker's sensor, not to reports."""
    data = recording("asterix-jasterix", "cat065ed1.3.bin").read_bytes()
    decoder = AsterixDecoder(source(sensor(0, 5, "tracks"), editions={65: "1.3"}))
    assert ((), ()) == decoder.decode(data, MIDNIGHT_NS + 33_503 * 10**9)
    state = decoder.service["tracks-0-5"]
    assert ({2: 1}, MIDNIGHT_NS + 33_502_296_875_000) == (state.messages, state.t_ns)


def test_each_radar_of_a_datagram_gets_its_own_batch() -> None:
    """Plots of two radars in one call come as two batches with their own labels and accuracies."""
    other = replace(sensor(25, 2), label=replace(LABEL, level=3), sigma_range_m=9.0)
    data = plot(25, 1) + plot(25, 2) + plot(25, 1)
    batches = AsterixDecoder(source(RADAR, other)).decode(data, NOON_NS).batches
    assert [(RADAR.id, 1, 2, 75.0), (other.id, 3, 1, 9.0)] == [
        (b.pedigree.sensors[0], b.label.level, len(b.columns), b.columns["sigma_range_m"][0]) for b in batches
    ]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (plot(9, 9), "sensor-unknown"),
        (plot(t_ns=NOON_NS - 61 * 10**9), "time-implausible"),
        (plot(t_ns=NOON_NS + 61 * 10**9), "time-implausible"),
        (plot(t_ns=NOON_NS + DAY_NS // 2 - 10**9), "time-implausible"),
        (plot(range_m=460_000.0), "value-implausible"),
        (plot(range_m=1.0), "value-implausible"),
        (bytes.fromhex("3000 0B F0 1901 5460 00 20 00".replace(" ", "")), "layout-mismatch"),
        (bytes.fromhex("300008 A0 1901 20 00".replace(" ", "")), "layout-mismatch"),
        (bytes.fromhex("3F0003"), "category-unknown"),
        (plot()[:-2] + b"\x00", "truncated"),
    ],
)
def test_what_cannot_be_believed_is_refused_by_name(data: bytes, reason: str) -> None:
    """Unknown stations, impossible times and values, wrong editions: no report, one counted refusal, and what follows is read."""
    radar = replace(RADAR, range_max_m=300_000.0)
    decoder = AsterixDecoder(source(radar, clock_error_s_max=60.0))
    found = decoder.decode(data, NOON_NS)
    after = decoder.decode(plot(), NOON_NS)
    assert (0, 1) == (sum(len(b.columns) for b in found.batches), sum(len(b.columns) for b in after.batches))
    assert {reason: 1} == reasons(found) | reasons(after)


@pytest.mark.parametrize(("name", "category", "edition"), [("cat021ed2.1.bin", 21, "0.26"), ("cat062ed1.12.bin", 62, "1.12")])
def test_a_wrong_edition_or_station_gives_no_report(name: str, category: int, edition: str) -> None:
    """Real bytes read with the wrong edition, or from a station that is not configured, are counted and give nothing."""
    data = recording("asterix-jasterix", name).read_bytes()
    configured = source(sensor(77, 77, "fixes"), sensor(77, 77, "tracks"), editions={category: edition})
    found = AsterixDecoder(configured).decode(data, MIDNIGHT_NS + 33_503 * 10**9)
    assert () == found.batches
    assert found.refused


def test_a_record_without_a_time_or_position_says_so() -> None:
    """CAT048 records without I140 or I040 are refused as time-missing and position-missing."""
    without_time = bytes.fromhex("30000BB01901A00100 0100".replace(" ", ""))
    without_position = bytes.fromhex("30000AE0190154600020")
    decoder = AsterixDecoder(source(RADAR))
    assert {"time-missing": 1} == reasons(decoder.decode(without_time, NOON_NS))
    assert {"position-missing": 1} == reasons(decoder.decode(without_position, NOON_NS))


def test_extrapolated_tracks_and_field_monitors_are_no_plots() -> None:
    """TYP 0 (no detection) and RAB 1 (fixed transponder) are counted under their own names."""
    good = bytearray(plot(address=77))
    at = good.index(b"\xa0", 6)
    for value, reason in ((0x00, "no-detection"), (0xA2, "fixed-transponder")):
        good[at] = value
        assert {reason: 1} == reasons(AsterixDecoder(source(RADAR)).decode(bytes(good), NOON_NS))


def test_a_live_source_takes_no_simulated_plots() -> None:
    """A plot with the SIM bit reaches a source in exercise mode, and is counted and dropped in a live one."""
    live = source(RADAR, mode=Mode(kind="live"))
    assert {"simulated-on-live": 1} == reasons(AsterixDecoder(live).decode(plot(simulated=True), NOON_NS))
    (batch,) = AsterixDecoder(source(RADAR)).decode(plot(simulated=True), NOON_NS).batches
    assert [FLAG_SIMULATED] == batch.columns["flags"].tolist()


def test_emergency_codes_are_flagged() -> None:
    """Mode 3/A 7700 sets the emergency flag."""
    (batch,) = AsterixDecoder(source(RADAR)).decode(plot(mode_3a=0o7700), NOON_NS).batches
    assert [FLAG_EMERGENCY] == batch.columns["flags"].tolist()


@pytest.mark.parametrize("editions", [{48: "0.1"}, {99: "1.0"}, {48: "1.27", 21: "1.27"}])
def test_a_wrong_edition_is_an_error_before_the_first_byte(editions: dict[int, str]) -> None:
    """Opening a source with an edition that is in no table raises `edition-unknown`, through the registry too."""
    for opener in (AsterixDecoder, registry.open_decoder):
        with pytest.raises(FeedError) as caught:
            opener(source(RADAR, editions=editions))
        assert "edition-unknown" == caught.value.name


@pytest.mark.parametrize("offset_s", [-50, -1, 0, 1, 50])
@pytest.mark.parametrize("received_s", [0.0, 0.5, 30.0, 43_200.0, 86_370.0, 86_399.9])
def test_midnight_is_crossed_in_both_directions(received_s: float, offset_s: int) -> None:
    """A time of day just before or after midnight lands on the day that is nearest to its receipt."""
    received = MIDNIGHT_NS + round(received_s * 1e9)
    true_t_ns = (received + offset_s * 10**9) // 7_812_500 * 7_812_500
    (batch,) = AsterixDecoder(source(RADAR)).decode(plot(t_ns=true_t_ns), received).batches
    assert [true_t_ns] == batch.columns["t_ns"].tolist()


@given(tods=st.integers(0, 86_400 * 128 - 1), received=st.integers(DAY_NS, 7 * 10**18))
def test_an_absolute_time_is_within_half_a_day_and_keeps_its_time_of_day(tods: int, received: int) -> None:
    """Whatever the receipt, the time found has the given time of day and lies within twelve hours."""
    (t_ns,), (offset,) = absolute_t_ns(np.array([tods]), np.array([received]))
    assert tods * 7_812_500 == t_ns % DAY_NS
    assert abs(offset) <= DAY_NS // 2
    assert t_ns - received == offset


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_a_stream_cut_anywhere_gives_the_same_plots(data: st.DataObject) -> None:
    """A file or stream handed over in pieces gives the plots of the whole, whatever the cuts."""
    stream = b"".join(plot(sensor_track=k, callsign=b"CUT") for k in range(6))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    decoder = AsterixDecoder(source(RADAR))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    results = [decoder.decode(piece, NOON_NS) for piece in pieces]
    assert list(range(6)) == [n for r in results for b in r.batches for n in b.columns["sensor_track"].tolist()]
    assert () == sum((r.refused for r in results), ()) + decoder.finish(NOON_NS).refused


def test_the_end_of_a_stream_inside_a_block_is_counted() -> None:
    """What is still waiting for its rest when the stream ends is one truncated piece."""
    decoder = AsterixDecoder(source(RADAR))
    assert ((), ()) == decoder.decode(plot()[:-1], NOON_NS)
    assert {"truncated": 1} == reasons(decoder.finish(NOON_NS))
    assert {} == reasons(decoder.finish(NOON_NS))


def assert_physical(decoded: Decoded) -> None:
    """Check that every value of every report is absent or possible."""
    for batch in decoded.batches:
        c = batch.columns
        assert REPORT_DTYPE == c.dtype
        assert (np.abs(c["t_ns"] - batch.received_t_ns) <= 60 * 10**9).all()
        radar = c["kind"] == KIND_RADAR
        assert ((c["range_m"][radar] > 0) & (c["range_m"][radar] <= 500_000)).all()
        assert ((c["azimuth_rad"][radar] >= 0) & (c["azimuth_rad"][radar] < 2 * np.pi)).all()
        assert ((np.abs(c["lat_deg"][~radar]) <= 90) & (np.abs(c["lon_deg"][~radar]) <= 180)).all()
        assert (c["sigma_horizontal_m"][~radar] > 0).all()
        for name, low, high in (
            ("height_m", -500, 63_000), ("alt_m", -500, 63_000), ("doppler_m_s", -512, 512), ("speed_m_s", 0, 12_000),
            ("course_rad", 0, 2 * np.pi), ("vertical_rate_m_s", -1_100, 1_100), ("sigma_vertical_m", 0, 1e5), ("sigma_speed_m_s", 0, 1e3),
        ):  # fmt: skip
            values = c[name][~np.isnan(c[name])]
            assert ((values >= low) & (values <= high)).all(), name
        assert ((c["mode_3a"] >= -1) & (c["mode_3a"] <= 0o7777)).all()
        assert ((c["address"] >= -1) & (c["address"] <= 0xFFFFFF)).all()


@settings(deadline=None, max_examples=100)
@given(pieces=st.lists(st.binary(max_size=200), max_size=4), received=st.integers(0, 7_000_000_000_000_000_000))
def test_random_bytes_raise_nothing_and_let_nothing_impossible_through(pieces: list[bytes], received: int) -> None:
    """Any bytes, in any pieces, at any time: no exception, no impossible value."""
    decoder = AsterixDecoder(source(unknown_sensor=RADAR, editions=asterix_layout.latest_editions()))
    for piece in pieces:
        assert_physical(decoder.decode(piece, received))
    decoder.finish(received)
    assert_physical(decoder.decode_many(pieces, [received] * len(pieces)))


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), category=st.sampled_from([21, 34, 48, 62, 65]))
def test_random_records_let_nothing_impossible_through(seed: int, category: int) -> None:
    """Records that are well formed and full of random bits give possible reports or counted refusals, record by record."""
    rng = np.random.default_rng(seed)
    edition = asterix_layout.editions(category)[-1]
    records = [oracle.random_record(category, edition, rng, share=0.8) for _ in range(3)]
    data = oracle.specification(category, edition).create(records).unparse().to_bytes()
    decoder = AsterixDecoder(source(unknown_sensor=RADAR, editions={category: edition}, clock_error_s_max=43_200))
    decoded = decoder.decode(data, NOON_NS)
    for batch in decoded.batches:
        batch.columns["t_ns"] = NOON_NS
    assert_physical(decoded)
    reports = sum(len(batch.columns) for batch in decoded.batches)
    messages = sum(sum(state.messages.values()) for state in decoder.service.values())
    refused = sum(r.count for r in decoded.refused if r.reason != "height-implausible")
    assert 3 <= reports + messages + refused
