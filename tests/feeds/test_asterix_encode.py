"""The ASTERIX encoder: its bytes mean the same to the oracle and to our own decoder."""

import asterix_oracle as oracle
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trilat.errors import FeedError
from trilat.feeds.asterix import AsterixDecoder
from trilat.feeds.asterix_encode import DATAGRAM_OCTETS_MAX, encode_cat034_marks, encode_cat048
from trilat.feeds.asterix_items import decode_items
from trilat.feeds.source import Source
from trilat.records.columns import FLAG_BAROMETRIC, FLAG_EMERGENCY, FLAG_SIMULATED, FLAG_SPI, FLAG_TEST, KIND_RADAR, empty_reports
from trilat.records.label import Label, Mode
from trilat.records.sensor import Sensor

NOON_NS = 1_750_075_200_000_000_000
HALF_RANGE_STEP_M = 1852 / 256 / 2
HALF_ANGLE_STEP_RAD = np.pi / 65_536
HALF_TIME_STEP_NS = 7_812_500 // 2
HALF_HEIGHT_STEP_M = 25 * 0.3048 / 2
ROUNDING = 1.0 + 1e-9

MODE = Mode(kind="exercise", id="encode")
LABEL = Label(policy="TRILAT", originator="JPN", mode=MODE, level=0)
RADAR = Sensor(id="radar", nation="JPN", kind="radar3d", label=LABEL, sac=3, sic=7, range_max_m=500_000.0)
SOURCE = Source(
    name="feed",
    format="asterix",
    nation="JPN",
    mode=MODE,
    sensors=(RADAR,),
    editions={34: "1.29", 48: "1.32"},
    clock_error_s_max=600,
)

plots = st.fixed_dictionaries(
    {
        "t_ns": st.integers(NOON_NS, NOON_NS + 10**11),
        "range_m": st.floats(100.0, 474_000.0),
        "azimuth_rad": st.floats(0.0, 2 * np.pi, exclude_max=True),
        "height_m": st.floats(0.0, 30_000.0) | st.just(np.nan),
        "doppler_m_s": st.floats(-500.0, 500.0) | st.just(np.nan),
        "mode_3a": st.integers(0, 0o7777) | st.just(-1),
        "address": st.integers(1, 0xFFFFFE) | st.just(-1),
        "sensor_track": st.integers(0, 4095) | st.just(-1),
        "callsign": st.from_regex(r"[A-Z0-9]{1,8}", fullmatch=True).map(str.encode) | st.just(b""),
    }
)


def columns_of(rows: list[dict]) -> np.ndarray:
    """Return report columns with the given values."""
    columns = empty_reports(len(rows))
    columns["kind"] = KIND_RADAR
    for name in rows[0] if rows else ():
        columns[name] = [row[name] for row in rows]
    return columns


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(plots, min_size=1, max_size=40),
    flags=st.sampled_from([0, FLAG_SIMULATED, FLAG_TEST, FLAG_SIMULATED | FLAG_TEST]),
)
def test_plots_come_back_within_half_a_step_of_the_format(rows: list[dict], flags: int) -> None:
    """Encoded plots are decoded in order, each value within half of its item's least significant bit."""
    sent = columns_of(rows)
    datagrams = encode_cat048(sent, 3, 7, simulated=bool(flags & FLAG_SIMULATED), test=bool(flags & FLAG_TEST))
    assert all(len(datagram) <= DATAGRAM_OCTETS_MAX for datagram in datagrams)
    decoded = AsterixDecoder(SOURCE).decode_many(datagrams, [NOON_NS] * len(datagrams))
    assert () == decoded.refused
    got = np.concatenate([batch.columns for batch in decoded.batches])
    assert len(sent) == len(got)
    assert (np.abs(got["t_ns"] - sent["t_ns"]) <= HALF_TIME_STEP_NS).all()
    assert (np.abs(got["range_m"] - sent["range_m"]) <= HALF_RANGE_STEP_M * ROUNDING).all()
    turn = np.mod(got["azimuth_rad"] - sent["azimuth_rad"] + np.pi, 2 * np.pi) - np.pi
    assert (np.abs(turn) <= HALF_ANGLE_STEP_RAD * ROUNDING).all()
    assert ((0 <= got["azimuth_rad"]) & (got["azimuth_rad"] < 2 * np.pi)).all()
    for name, step in (("height_m", HALF_HEIGHT_STEP_M), ("doppler_m_s", 0.5)):
        assert (np.isnan(sent[name]) == np.isnan(got[name])).all(), name
        assert (np.abs(np.nan_to_num(got[name] - sent[name])) <= step * ROUNDING).all(), name
    for name in ("mode_3a", "address", "sensor_track", "callsign"):
        assert sent[name].tolist() == got[name].tolist(), name
    barometric = ~np.isnan(sent["height_m"]) & (sent["mode_3a"] >= 0)
    urgent = np.isin(sent["mode_3a"], [0o7500, 0o7600, 0o7700])
    assert (flags | barometric * FLAG_BAROMETRIC | urgent * FLAG_EMERGENCY).tolist() == got["flags"].tolist()


@settings(max_examples=10, deadline=None)
@given(rows=st.lists(plots, min_size=1, max_size=8))
def test_the_oracle_reads_the_encoded_bytes(rows: list[dict]) -> None:
    """Every record that we encode is one that libasterix parses, with the same items as our own reading."""
    (datagram,) = encode_cat048(columns_of(rows), 3, 7, simulated=True)
    (block,) = oracle.blocks(datagram)
    records = oracle.parse_block(block, "1.32")
    assert records is not None
    items = decode_items(datagram, {48: "1.32"}).items[48]
    flats = [oracle.flatten(record) for record in records]
    assert [flat["040/RHO"][1] for flat in flats] == items.value("040/RHO").tolist()
    assert [(3, 7, 1)] * len(rows) == [(flat["010/SAC"][0], flat["010/SIC"][0], flat["020/SIM"][0]) for flat in flats]
    assert [flat.get("240", (0, ""))[1].strip() for flat in flats] == [row["callsign"].decode() for row in rows]
    assert [flat.get("070/MODE3A", (-1,))[0] for flat in flats] == [row["mode_3a"] for row in rows]


def test_flags_that_an_officer_must_see_survive() -> None:
    """SPI and military emergency bits are written and read back; a Mode S report without them is one octet of I020."""
    rows = columns_of([{"t_ns": NOON_NS, "range_m": 1e5, "azimuth_rad": 1.0, "mode_3a": 1, "address": 5}] * 2)
    rows["flags"][1] = FLAG_SPI
    (datagram,) = encode_cat048(rows, 3, 7, simulated=False)
    (batch,) = AsterixDecoder(SOURCE).decode(datagram, NOON_NS).batches
    assert [0, FLAG_SPI] == batch.columns["flags"].tolist()
    assert [5, 5] == decode_items(datagram, {48: "1.32"}).items[48].raw("020/TYP").tolist()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("range_m", 474_200.0),
        ("range_m", np.nan),
        ("range_m", -10.0),
        ("azimuth_rad", np.nan),
        ("height_m", 70_000.0),
        ("range_m", np.inf),
    ],
)
def test_what_the_format_cannot_say_is_an_error(name: str, value: float) -> None:
    """A value beyond its item raises by name instead of wrapping around."""
    rows = columns_of([{"t_ns": NOON_NS, "range_m": 1e5, "azimuth_rad": 1.0}])
    rows[name] = value
    with pytest.raises(FeedError) as caught:
        encode_cat048(rows, 3, 7, simulated=True)
    assert "value-unencodable" == caught.value.name


def test_nothing_gives_nothing() -> None:
    """No plots and no marks give no datagram."""
    assert [] == encode_cat048(empty_reports(0), 3, 7, simulated=True)
    assert [] == encode_cat034_marks([], [], 3, 7)


def test_the_last_moment_of_a_day_rounds_into_the_next() -> None:
    """A time within half a step of midnight is written as 0 and read as the next day's first moment."""
    midnight_ns = NOON_NS + 43_200 * 10**9
    rows = columns_of([{"t_ns": midnight_ns - 1, "range_m": 1e5, "azimuth_rad": 6.283185307}])
    (datagram,) = encode_cat048(rows, 3, 7, simulated=True)
    (batch,) = AsterixDecoder(SOURCE).decode(datagram, midnight_ns - 1).batches
    assert (midnight_ns, 0.0) == (batch.columns["t_ns"][0], batch.columns["azimuth_rad"][0])


def test_marks_tell_where_the_antenna_is() -> None:
    """A north marker and sector crossings are read by the oracle and kept as the sensor's last state by the decoder."""
    marks = np.arange(8) * np.pi / 4
    times = NOON_NS + np.arange(8) * 500_000_000
    (datagram,) = encode_cat034_marks(times, marks, 3, 7, period_s=4.0)
    (block,) = oracle.blocks(datagram)
    flats = [oracle.flatten(record) for record in oracle.parse_block(block, "1.29") or []]
    assert [1, *[2] * 7] == [flat["000"][0] for flat in flats]
    assert [None, *range(32, 256, 32)] == [flat.get("020", (None,))[0] for flat in flats]
    assert (512, 4.0) == flats[0]["041"]
    decoder = AsterixDecoder(SOURCE)
    assert ((), ()) == decoder.decode(datagram, NOON_NS)
    state = decoder.service["radar"]
    assert ({1: 1, 2: 7}, NOON_NS, 4.0) == (state.messages, state.north_t_ns, state.period_s)
    assert 7 * np.pi / 4 == pytest.approx(state.sector_rad)
