"""Tables of fixes: real trajectories with their presets, one's own column map, every JSON layout, bad rows counted."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from feedkit import NOON_NS, S_NS, columns, decoder, must_hold, reasons, sensor
from hypothesis import given, settings
from hypothesis import strategies as st

from trilat.feeds import fix_table
from trilat.feeds.fix_table import iso_t_ns
from trilat.feeds.source import NOT_KNOWN_T_NS, FixColumns
from trilat.records.columns import FLAG_BAROMETRIC, FLAG_SIMULATED

HEADER = b"time,lat_deg,lon_deg,alt_m,speed_m_s,course_rad,address,callsign,simulated\n"
ROW = b"2024-01-02T12:00:00Z,33.5,130.4,1000,100,1.5,86d123,TRI101,%s\n"
FOOT_M = 0.3048


def table(recordings: Path, name: str) -> bytes:
    path = recordings / "tracks-traffic" / name
    if not path.exists():
        pytest.skip(f"no {name}")
    return gzip.decompress(path.read_bytes())


def test_jal516_is_read_with_its_preset(recordings: Path) -> None:
    """The published flight JAL516: every row with a position of its own becomes a fix with its time, units and squawk."""
    raw = table(recordings, "JL516_Flightradar24_ADS-B_data_granular.csv.gz")

    decoded = decoder("fixes-csv", preset="flightradar24").decode(raw, NOT_KNOWN_T_NS)
    rows, counts = columns(decoded), reasons(decoded)

    must_hold(decoded)
    assert raw.count(b"\n") == 1 + len(rows) + sum(counts.values()) == 17_522 - (not raw.endswith(b"\n"))
    assert {0x8467D8} == set(rows["address"])
    first = rows[0]
    assert (iso_t_ns("2024-01-02T07:41:02.997Z"), b"JAL516", 0o416) == (first["t_ns"], first["callsign"], first["mode_3a"])
    assert (26_650 * FOOT_M, 401 * 1852 / 3600) == (pytest.approx(first["alt_m"]), pytest.approx(first["speed_m_s"]))
    assert (FLAG_BAROMETRIC, math.radians(192)) == (first["flags"], pytest.approx(first["course_rad"]))


@pytest.mark.parametrize(
    ("name", "fixes"),
    [
        ("border_control.json.gz", 1_464),
        ("inflight_refuelling.json.gz", 10_041),
        ("noisy_landing.json.gz", 681),
        ("noisy_spoofing.json.gz", 4_683),
    ],
)
def test_opensky_tables_are_read(recordings: Path, name: str, fixes: int) -> None:
    """Arrays of objects and objects of columns give their fixes at the positions' own times, filled-forward rows left out."""
    raw = table(recordings, name)
    pieces = decoder("fixes-json", preset="opensky")

    decoded = decoder("fixes-json", preset="opensky").decode(raw, NOT_KNOWN_T_NS)
    cut = [pieces.decode(raw[k : k + 100_003], NOT_KNOWN_T_NS) for k in range(0, len(raw), 100_003)]
    document = json.loads(raw)
    rows = len(document["timestamp"]) if isinstance(document, dict) else len(document)

    must_hold(decoded)
    assert (fixes, rows) == (len(columns(decoded)), len(columns(decoded)) + sum(reasons(decoded).values()))
    assert columns(decoded).tobytes() == columns(*cut).tobytes()


def test_our_own_columns_need_no_map() -> None:
    """A table in our names and units is read without a preset."""
    row = columns(decoder("fixes-csv").decode(HEADER + ROW % b"", NOON_NS))[0]

    assert (NOON_NS, 33.5, 130.4, 1000.0, 100.0, 1.5) == tuple(
        row[name].item() for name in ("t_ns", "lat_deg", "lon_deg", "alt_m", "speed_m_s", "course_rad")
    )
    assert (0x86D123, b"TRI101", 50.0, 0) == (row["address"], row["callsign"], row["sigma_horizontal_m"], row["flags"])


def test_ones_own_map_with_factors_header_and_needs() -> None:
    """A configured map renames, converts units, names the columns of a table without header, and refuses rows it says."""
    fix_columns = FixColumns(
        columns={"t": "T", "lat_deg": "LA", "lon_deg": "LO", "speed_m_s": "KT"},
        factors={"speed_m_s": 1852 / 3600},
        needs={"OK": "1"},
        header=("T", "LA", "LO", "KT", "OK"),
        time="epoch-s",
        domain="sea",
    )
    t = NOON_NS // S_NS

    decoded = decoder("fixes-csv", fix_columns=fix_columns).decode(b"%d.5,33,130,20,1\n%d,33,131,20,0\n" % (t, t), NOON_NS)

    (row,) = columns(decoded)
    assert (NOON_NS + S_NS // 2, 2, 20 * 1852 / 3600) == (row["t_ns"], row["domain"], pytest.approx(row["speed_m_s"]))
    assert {"position-missing": 1} == reasons(decoded)


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("2024-01-02T12:00:00Z", NOON_NS),
        ("2024-01-02 12:00:00", NOON_NS),
        ("2024-01-02T21:00:00.25+09:00", NOON_NS + S_NS // 4),
        ("2024-01-02 12:00:00Z.515", NOON_NS + 515_000_000),
        ("2024-01-02T12:00:00,000000001Z", NOON_NS + 1),
    ],
)
def test_times_are_read(text: str, expected_ns: int) -> None:
    """ISO 8601 with and without zone and fraction, and the form with the fraction behind the Z."""
    assert expected_ns == iso_t_ns(text)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2024-13-01T00:00:00Z", "2024-01-02T25:00:00Z", "1969-01-01T00:00:00Z", "99999-01-01"]
)
def test_no_times_are_errors(text: str) -> None:
    """What is no time raises ValueError, nothing else."""
    with pytest.raises(ValueError, match="time"):
        iso_t_ns(text)


BAD = [
    (b"x,33.5,130.4\n", "syntax-bad"),
    (b"2024-01-02T12:00:00Z,abc,130.4\n", "syntax-bad"),
    (b"2024-01-02T12:00:00Z,inf,130.4\n", "syntax-bad"),
    (b"2024-01-02T12:00:00Z,nan,130.4\n", "position-missing"),
    (b"2024-01-02T12:00:00Z,,130.4\n", "position-missing"),
    (b"2024-01-02T12:00:00Z,95,130.4\n", "value-implausible"),
    (b"2024-01-02T12:00:00Z,33.5,1e9\n", "value-implausible"),
    (b"2024-01-02T12:00:00Z,33.5,130.4,1e12\n", "value-implausible"),
    (b"2024-01-02T12:00:00Z,33.5,130.4,0,-5\n", "value-implausible"),
    (b"2024-01-02T12:00:00Z,33.5,130.4,0,5,1,fffffff\n", "syntax-bad"),
    (b"2024-01-01T12:00:00Z,33.5,130.4\n", "time-implausible"),
    (b'"2024-01-02T12:00:00Z,33.5\n', "syntax-bad"),
]


@pytest.mark.parametrize(("row", "reason"), BAD)
def test_bad_rows_are_counted_by_reason(row: bytes, reason: str) -> None:
    """Each kind of bad row has its reason, and the good row behind it is read."""
    decoded = decoder("fixes-csv").decode(HEADER + row + ROW % b"", NOON_NS)

    assert ({reason: 1}, 1) == (reasons(decoded), len(columns(decoded)))


def test_simulated_rows_stay_off_live_feeds() -> None:
    """A row that says it is simulated is refused on a live source and flagged elsewhere."""
    raw = HEADER + ROW % b"true" + ROW.replace(b"33.5", b"34.5") % b"false"

    live, exercise = (decoder("fixes-csv", mode).decode(raw, NOON_NS) for mode in ("live", "exercise"))

    assert ({"simulated-on-live": 1}, [0]) == (reasons(live), columns(live)["flags"].tolist())
    assert ({}, [FLAG_SIMULATED, 0]) == (reasons(exercise), columns(exercise)["flags"].tolist())


def test_standing_targets_are_not_repeats() -> None:
    """The very same position twice is a repeat only of what moves."""
    slow = HEADER + ROW.replace(b",100,", b",0,") % b"" * 2
    fast = HEADER + ROW % b"" * 2

    assert (2, {"repeated": 1}) == (
        len(columns(decoder("fixes-csv").decode(slow, NOON_NS))),
        reasons(decoder("fixes-csv").decode(fast, NOON_NS)),
    )


def test_memory_of_positions_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than the bound of targets is remembered."""
    monkeypatch.setattr(fix_table, "TARGETS_MAX", 10)
    feed = decoder("fixes-csv")

    feed.decode(HEADER + b"".join(b"2024-01-02T12:00:00Z,33,130,,,,%06x\n" % k for k in range(1, 50)), NOON_NS)

    assert len(feed._table._last) == 10  # type: ignore[attr-defined] - white-box look at a bound


GOOD = '{"time":"2024-01-02T12:00:00Z","lat_deg":%s,"lon_deg":130.4,"callsign":"日本{"}'


def test_json_layouts_are_the_same() -> None:
    """Lines, an array and an object of columns of the same rows give the same fixes."""
    rows = [json.loads(GOOD % lat) for lat in (33, 34, 35)]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n"  # noqa: TID251 - the layout others write
    array = json.dumps(rows, indent=1)  # noqa: TID251 - as above
    pandas = json.dumps({name: {str(k): row[name] for k, row in enumerate(rows)} for name in rows[0]})  # noqa: TID251 - as above

    results = [columns(decoder("fixes-json").decode(text.encode(), NOON_NS)).tobytes() for text in (lines, array, pandas)]

    assert len(results[0]) > 0
    assert results[0] == results[1] == results[2]


@settings(deadline=None, max_examples=40)
@given(places=st.lists(st.integers(0, 400), max_size=12))
def test_json_cut_anywhere_is_the_same(places: list[int]) -> None:
    """Rows in uneven pieces, cut inside characters of several bytes too, give what they give at once."""
    raw = "\n".join(GOOD % lat for lat in (33, 34, 35)).encode() + b"\n"
    edges = [0, *sorted(place % len(raw) for place in places), len(raw)]
    cut = decoder("fixes-json")

    pieces = [cut.decode(raw[a:b], NOON_NS) for a, b in zip(edges, edges[1:], strict=False)]  # noqa: RUF007 - edges may repeat

    assert columns(decoder("fixes-json").decode(raw, NOON_NS)).tobytes() == columns(*pieces).tobytes()
    assert {} == reasons(*pieces)


@pytest.mark.parametrize(
    "bad", ['{"time": broken}\n', "garbage\n", '{"time":"2024', '{"a":{"b":\n', "[[[[\n", '{"time":1}\n', '[{"x" 1},']
)
def test_bad_json_costs_itself_only(bad: str) -> None:
    """A row that cannot be read is counted, and the rows behind it are read."""
    raw = (bad + "\n" + GOOD % 33 + "\n" + GOOD % 34 + "\n").encode()

    decoded = decoder("fixes-json").decode(raw, NOON_NS)

    assert [33.0, 34.0] == columns(decoded)["lat_deg"].tolist()
    assert set(reasons(decoded)) <= {"syntax-bad"}


def test_endless_json_is_bounded() -> None:
    """A row without an end is refused at its bound, and reading goes on at the next object."""
    feed = decoder("fixes-json")
    results = [feed.decode(b'{"time":"' + b"x" * 50_000, NOON_NS), *(feed.decode(b"x" * 50_000, NOON_NS) for _ in range(20))]

    after = feed.decode(b'"}\n' + (GOOD % 33).encode() + b"\n", NOON_NS)

    assert "syntax-bad" in reasons(*results)
    assert len(feed._text) < 200_000  # type: ignore[attr-defined] - white-box look at a bound
    assert len(columns(after)) == 1


@settings(deadline=None)
@given(
    lat=st.floats(-90, 90),
    lon=st.floats(-180, 180),
    alt=st.floats(-1000, 40_000),
    speed=st.floats(0, 2_000),
    t=st.integers(1, 10**9),
)
def test_any_physical_row_comes_through(lat: float, lon: float, alt: float, speed: float, t: int) -> None:
    """Every row with physical values becomes exactly that fix."""
    fix_columns = FixColumns(
        columns={"t": "t", "lat_deg": "a", "lon_deg": "o", "alt_m": "h", "speed_m_s": "v"}, time="epoch-ms", altitude="geometric"
    )
    raw = f"t,a,o,h,v\n{t},{lat!r},{lon!r},{alt!r},{speed!r}\n".encode()

    decoded = decoder("fixes-csv", fix_columns=fix_columns, sensors=(sensor(sigma_horizontal_m=12.0),)).decode(raw, t * 10**6)

    (row,) = columns(decoded)
    assert (t * 10**6, lat, lon, alt, speed, 12.0) == tuple(
        row[name].item() for name in ("t_ns", "lat_deg", "lon_deg", "alt_m", "speed_m_s", "sigma_horizontal_m")
    )
    assert np.isnan(row["course_rad"])


def test_an_unfinished_document_costs_no_more_than_a_few_times_itself() -> None:
    """What a feed sends of an object that never ends is not looked at anew with every chunk, and is bounded."""
    feed = decoder("fixes-json")
    looked_at = 0

    class Counting(json.JSONDecoder):
        def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
            nonlocal looked_at
            looked_at += len(s) - idx
            return super().raw_decode(s, idx)

    feed._json = Counting()  # type: ignore[attr-defined]
    chunks = [b'{"time":{"0":"', *[b"x" * 8_000 + b'","%d":"}' % k for k in range(1_000)]]
    results = [feed.decode(chunk, NOON_NS) for chunk in chunks]

    size = sum(len(chunk) for chunk in chunks)
    assert looked_at < 8 * size
    assert 1 <= reasons(*results)["syntax-bad"]


@pytest.mark.parametrize("name", ["sigma_horizontal_m", "sigma_vertical_m", "sigma_speed_m_s"])
@pytest.mark.parametrize("value", ["1e-300", "-1", "1e300"])
def test_a_sigma_that_nothing_measures_is_refused(name: str, value: str) -> None:
    """A sigma of a table that is negative, beyond all bounds, or has a square as good as 0 refuses its row."""
    raw = f"time,lat_deg,lon_deg,{name}\n2024-01-02T12:00:00Z,33.5,130.4,{value}\n2024-01-02T12:00:00Z,33.6,130.4,7.5\n"

    decoded = decoder("fixes-csv").decode(raw.encode(), NOON_NS)

    assert ({"value-implausible": 1}, [7.5]) == (reasons(decoded), columns(decoded)[name].tolist())
