"""ASTERIX item by item: the tables against the oracle's, real bytes and random records against the oracle, damage refused."""

import gzip
import re

import asterix_oracle as oracle
import numpy as np
import pytest
from asterix_recordings import datagrams, recording
from hypothesis import given, settings
from hypothesis import strategies as st

from trilat.errors import FeedError
from trilat.feeds import asterix_layout
from trilat.feeds.asterix_items import Items, decode_items, iter_records

SEED = 20261122
# What the oracle knows of ours; written down, since to ask it takes seconds of every worker that only collects tests.
EDITIONS = {
    21: ("0.23", "0.24", "0.25", "0.26", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "2.7"),
    34: ("1.27", "1.28", "1.29"),
    48: ("1.27", "1.28", "1.29", "1.30", "1.31", "1.32"),
    62: ("1.16", "1.17", "1.18", "1.19", "1.20", "1.21"),
    65: ("1.4", "1.5", "1.6"),
}
CATEGORIES = tuple(EDITIONS)
SHARED_EDITIONS = [(category, edition) for category, editions in EDITIONS.items() for edition in editions]
CAPTURE_EDITIONS = {34: "1.27", 48: "1.27"}


def assert_agrees(items: Items, flats: list[oracle.Flat]) -> None:
    """Compare every item and subfield of every record with the oracle's reading: presence, raw bits and value."""
    layout = items.layout
    assert len(flats) == len(items)
    known = {name for name, field in layout.fields.items() if field.repeated < 0}
    known |= {repetition.name for repetition in layout.repetitions} | set(layout.explicit)
    assert set() == {name for flat in flats for name in flat} - known
    for name, field in layout.fields.items():
        if field.repeated < 0:
            present = [name in flat for flat in flats]
            assert present == items.present(name).tolist(), name
            assert_column(items, name, [flat.get(name) for flat in flats], present)
    for number, repetition in enumerate(layout.repetitions):
        elements = [element for flat in flats for element in flat.get(repetition.name, [])]
        owners = [k for k, flat in enumerate(flats) for _ in flat.get(repetition.name, [])]
        for name in [name for name, field in layout.fields.items() if field.repeated == number]:
            assert owners == items.owner(name).tolist(), name
            assert_column(items, name, [element[name] for element in elements], [True] * len(elements))
    for name in layout.explicit:
        for k, flat in enumerate(flats):
            assert flat.get(name, b"") == items.explicit(name, k), name


def assert_column(items: Items, name: str, expected: list, present: list[bool]) -> None:
    """Compare one column: raw bits everywhere, then the physical value or the text."""
    field = items.layout.fields[name]
    raws = [pair[0] if pair else 0 for pair in expected]
    assert raws == items.raw(name).tolist(), name
    if field.kind in {"ia5", "ascii"}:
        texts = [t.replace(b"\0", b"").decode("latin-1") for t in items.text(name)[0].tolist()]
        if field.kind == "ia5":
            assert [pair[1] if pair else "" for pair in expected] == texts, name
        return
    if field.kind in {"octal", "hex"}:
        return
    values = items.value(name)
    assert [pair[1] for pair in expected if pair] == values[np.array(present, bool)].tolist(), name
    assert np.isnan(values[~np.array(present, bool)]).all(), name


def test_every_edition_of_the_oracle_is_compared() -> None:
    """The editions that are compared below are all that the oracle has of our categories."""
    assert {category: tuple(oracle.oracle_editions(category)) for category in CATEGORIES} == EDITIONS


@pytest.mark.parametrize(("category", "edition"), SHARED_EDITIONS)
def test_random_records_of_every_edition_agree_with_the_oracle(category: int, edition: str) -> None:
    """What the oracle encodes from random bits is read with the same items, bits and values in every edition we share."""
    rng = np.random.default_rng(SEED)
    assert_random_records_agree(category, edition, rng, 12)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("category", CATEGORIES)
def test_ten_thousand_random_records_agree_with_the_oracle(category: int) -> None:
    """Ten thousand records of random bits, in the newest edition of each category, agree item by item."""
    rng = np.random.default_rng(SEED + category)
    for _ in range(20):
        assert_random_records_agree(category, oracle.oracle_editions(category)[-1], rng, 500)


def assert_random_records_agree(category: int, edition: str, rng: np.random.Generator, count: int) -> None:
    """Encode random records in blocks of up to three, decode them in one call, compare."""
    print(f"seed {SEED}, category {category}, edition {edition}, records {count}")  # noqa: T201 - the seed, for whoever has to reproduce it
    specification = oracle.specification(category, edition)
    records = [oracle.random_record(category, edition, rng, share=rng.random()) for _ in range(count)]
    data = b"".join(specification.create(records[k : k + 3]).unparse().to_bytes() for k in range(0, count, 3))
    decoded = decode_items(data, {category: edition})
    assert () == decoded.refused
    assert_agrees(decoded.items[category], [oracle.flatten(record) for record in records])


@pytest.mark.parametrize(("category", "edition"), SHARED_EDITIONS)
def test_every_field_of_every_edition_stands_where_the_oracle_has_it(category: int, edition: str) -> None:
    """Names, widths, scales and the number of fields of our tables are those of the oracle's specification."""
    layout = asterix_layout.layout(category, edition)
    ours = {name: (field.bits, field.scale if field.unit else None) for name, field in layout.fields.items()}
    theirs: dict = {}
    for item in oracle.specification(category, edition).cv_uap.cv_record.cv_items_list:
        if issubclass(item, oracle.base.UapItem):
            theirs.update(specified_fields(item.cv_non_spare.cv_name, item.cv_non_spare.cv_rule.cv_variation))
    assert theirs == ours


def specified_fields(name: str, kind: type) -> dict:
    """Return name -> (bits, scale) of what the oracle's specification says of an item."""
    base = oracle.base
    if issubclass(kind, base.Element):
        rule = kind.cv_rule
        dependent = issubclass(rule, base.RuleContentDependent)
        content = rule.cv_cases[0][1] if dependent else rule.cv_content
        quantity = issubclass(content, base.ContentQuantity) and content.cv_unit
        return {name: (kind.cv_bit_size, content.cv_lsb if quantity else None)}
    if issubclass(kind, base.Repetitive):
        return specified_fields(name, kind.cv_variation)
    if issubclass(kind, base.Explicit):
        return {}
    found: dict = {}
    if issubclass(kind, base.Compound):
        for sub in kind.cv_items_list:
            if sub is not None:
                found.update(specified_fields(f"{name}/{sub.cv_name}", sub.cv_rule.cv_variation))
        return found
    parts = [kind.cv_items_list] if issubclass(kind, base.Group) else kind.cv_items_list
    for entry in [entry for part in parts for entry in part if entry is not None]:
        if issubclass(entry[0], base.Item):
            sub = entry[0].cv_non_spare
            found.update(specified_fields(f"{name}/{sub.cv_name}", sub.cv_rule.cv_variation))
    return found


def test_the_real_capture_agrees_with_the_oracle() -> None:
    """All 162 records of the Croatian capture (CAT034 and CAT048) have the oracle's items, bits and values."""
    capture = recording("asterix-croatiacontrol", "cat_034_048.pcap")
    payloads = [payload for _, payload in datagrams(capture)]
    edges = np.cumsum([0, *map(len, payloads)])
    decoded = decode_items(b"".join(payloads), CAPTURE_EDITIONS, np.column_stack([edges[:-1], edges[1:]]))
    flats: dict[int, list] = {34: [], 48: []}
    for payload in payloads:
        for block in oracle.blocks(payload):
            category = block.get_category()
            flats[category] += [oracle.flatten(r) for r in oracle.parse_block(block, CAPTURE_EDITIONS[category]) or []]
    assert 162 == len(flats[34]) + len(flats[48])
    assert () == decoded.refused
    for category, items in decoded.items.items():
        assert_agrees(items, flats[category])


def test_the_real_capture_agrees_with_a_second_witness() -> None:
    """Times, ranges and azimuths are, record by record, those that another decoder's printed output of the capture has."""
    printed = gzip.decompress(recording("asterix-croatiacontrol", "cat_034_048.txt.gz").read_bytes()).decode("latin-1")
    capture = recording("asterix-croatiacontrol", "cat_034_048.pcap")
    records = [r for _, data in datagrams(capture) for r in iter_records(data, editions=CAPTURE_EDITIONS)]
    times = [record["140 [s]"] for record in records if record["category"] == 48]
    assert [int(raw) / 128 for raw in re.findall(r"\tTime Of Day: (\d+) ", printed)] == times
    plots = [record for record in records if "040/RHO [NM]" in record]
    assert [int(raw) / 256 for raw in re.findall(r"\tRHO: (\d+) ", printed)] == [r["040/RHO [NM]"] for r in plots]
    assert [int(raw) * 360 / 65_536 for raw in re.findall(r"\tTHETA: (\d+) ", printed)] == [r["040/THETA [deg]"] for r in plots]


def test_cat021_edition_2_1_agrees_with_the_oracle() -> None:
    """The one record of cat021ed2.1.bin has the oracle's items, bits and values."""
    data = recording("asterix-jasterix", "cat021ed2.1.bin").read_bytes()
    flats = [oracle.flatten(r) for block in oracle.blocks(data) for r in oracle.parse_block(block, "2.1") or []]
    assert_agrees(decode_items(data, {21: "2.1"}).items[21], flats)


# For records of editions that the oracle lacks: the values that the test program of the recordings' own project (jASTERIX)
# expects of them, read as facts and written down here. They are a peer's, not the published documents'.
TRANSCRIBED = [
    ("cat048ed1.15.bin", 48, "1.15", {
        "010/SAC": 0, "010/SIC": 1, "140 [s]": 33499.8359375, "020/TYP": 5, "020/SIM": 0, "020/RDP": 1,
        "040/RHO [NM]": 18924 / 256, "040/THETA [deg]": 16324 * 360 / 65536, "070/V": 0, "070/L": 1, "070/MODE3A": "0470",
        "090/FL [FL]": 370.0, "130/SAM [dBm]": -63.0, "220": "ab4cbd", "240": "RYR5XW  ", "161/TRN": 919,
        "200/GSP [NM/s]": 2108 / 2**14, "200/HDG [deg]": 5936 * 360 / 65536, "170/RAD": 2, "170/CNF": 0,
        "230/COM": 1, "230/STAT": 0, "230/MSSC": 1, "230/ARC": 1, "230/AIC": 1, "230/B1A": 1, "230/B1B": 13,
        "250": [
            {"MBDATA": "8bd9eb2fbfe400", "BDS1": 6, "BDS2": 0},
            {"MBDATA": "80919f39a004dd", "BDS1": 5, "BDS2": 0},
            {"MBDATA": "c8480030a80000", "BDS1": 4, "BDS2": 0},
        ],
    }),
    ("cat062ed1.12.bin", 62, "1.12", {
        "010/SAC": 0, "010/SIC": 4, "015": 225, "070 [s]": 33502.5, "105/LAT [deg]": 0x8152C4 * 180 / 2**25,
        "105/LON [deg]": 0x314D24 * 180 / 2**25, "100/X [m]": 260661.0, "100/Y [m]": -220711.5,
        "185/VX [m/s]": 207.5, "185/VY [m/s]": -120.5, "210/AX [m/s2]": 0.0, "060/CH": 0, "060/MODE3A": "7621",
        "380/ADR": "663ca6", "380/ID": "DLH9CK  ", "380/MHG [deg]": 0x5540 * 360 / 65536, "380/FSS/ALT [ft]": 35000.0,
        "380/BVR [ft/min]": -31.25, "380/IAR [kt]": 266.0, "380/MAC [Mach]": 98 * 0.008, "040": 5086,
        "080/SRC": 3, "080/FPC": 1, "080/KOS": 1, "080/PSR": 1, "080/ADS": 1, "080/AAC": 0, "290/PSR [s]": 63.75,
        "290/SSR [s]": 2.0, "290/MLT [s]": 63.75, "295/MFL [s]": 2.0, "295/MAC [s]": 2.0, "136 [FL]": 349.75,
        "135/QNH": 0, "135/CTB [FL]": 349.75, "220 [ft/min]": 0.0, "390/CS": "DLH9CK ", "390/IFI/NBR": 63256965,
        "390/TAC": "A320", "390/WTC": "M", "390/DEP": "EDDF", "390/DST": "LBSF", "390/CFL [FL]": 350.0,
        "500/APC/X [m]": 40.0, "500/APC/Y [m]": 63.0, "500/ATV/X [m/s]": 2.75, "340/SID/SIC": 1,
        "340/POS/RHO [NM]": 126.45703125, "340/POS/THETA [deg]": 0x5B07 * 360 / 65536, "340/MDC/LMC [FL]": 349.75,
        "340/MDA/MODE3A": "7621", "340/TYP/TYP": 5,
    }),
    ("cat034ed1.26.bin", 34, "1.26", {
        "010/SAC": 0, "010/SIC": 2, "000": 2, "030 [s]": 33499.84375, "020 [deg]": 90.0, "050/COM/RDPC": 1,
        "050/COM/NOGO": 0, "050/PSR/CHAB": 3, "050/MDS/CHAB": 2, "050/MDS/SCF": 1, "060/COM/REDRDP": 0, "060/MDS/CLU": 1,
    }),
    ("cat065ed1.3.bin", 65, "1.3", {"010/SAC": 0, "010/SIC": 5, "000": 2, "015": 193, "030 [s]": 33502.296875, "020": 0}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "category", "edition", "values"), TRANSCRIBED, ids=[entry[0] for entry in TRANSCRIBED])
def test_older_editions_have_the_peers_values(name: str, category: int, edition: str, values: dict) -> None:
    """Records of editions that the oracle lacks have the values that the project they come from expects of them."""
    data = recording("asterix-jasterix", name).read_bytes()
    (record,) = iter_records(data, editions={category: edition})
    assert values == {key: record.get(key) for key in values}


def small_block(category: int, body: bytes) -> bytes:
    return bytes([category]) + (len(body) + 3).to_bytes(2, "big") + body


GOOD = small_block(48, bytes.fromhex("C0 1901 356D4D".replace(" ", "")))

DAMAGED = [
    ("LEN below three", b"\x30\x00\x02" + GOOD, ["truncated"], 0),
    ("LEN zero", b"\x30\x00\x00", ["truncated"], 0),
    ("LEN beyond the end", GOOD[:-1], ["truncated"], 0),
    ("header cut", GOOD + b"\x30\x00", ["truncated"], 1),
    ("unknown category", small_block(7, b"\x80\x01") + GOOD, ["category-unknown"], 1),
    ("FSPEC without an end", small_block(48, b"\xff" * 9) + GOOD, ["layout-mismatch"], 1),
    ("FSPEC at the end of the block", small_block(48, b"\x01") + GOOD, ["layout-mismatch"], 1),
    ("FSPEC names nothing", small_block(48, b"\x00") + GOOD, ["layout-mismatch"], 1),
    ("no record at all", small_block(48, b"") + GOOD, ["layout-mismatch"], 1),
    ("item cut", small_block(48, b"\xc0\x19\x01\x35") + GOOD, ["layout-mismatch"], 1),
    ("REP far beyond the end", small_block(48, b"\x01\x20\xff\x00\x00") + GOOD, ["layout-mismatch"], 1),
    ("explicit LEN zero", small_block(48, b"\x01\x01\x01\x04\x00") + GOOD, ["layout-mismatch"], 1),
    ("extended goes on", small_block(48, b"\x20\x01\x01\x01\x00") + GOOD, ["layout-mismatch"], 1),
    ("spare bit of a compound", small_block(34, b"\x01\x40\x40\x00") + GOOD, ["layout-mismatch"], 1),
    ("good one before the bad one", GOOD + small_block(48, b"\xc0\x19") + GOOD, ["layout-mismatch"], 2),
]


@pytest.mark.parametrize(("data", "reasons", "records"), [case[1:] for case in DAMAGED], ids=[case[0] for case in DAMAGED])
def test_damage_is_refused_with_its_place_and_the_rest_goes_on(data: bytes, reasons: list[str], records: int) -> None:
    """A damaged block is refused by name, inside the input; blocks around it are read."""
    decoded = decode_items(data, {48: "1.27", 34: "1.27"})
    assert reasons == [refusal.reason for refusal in decoded.refused]
    assert all(0 <= r.offset and 0 < r.length and r.offset + r.length <= len(data) for r in decoded.refused)
    assert records == sum(map(len, decoded.items.values()))


def test_a_damaged_datagram_does_not_reach_into_the_next() -> None:
    """A LEN beyond the end of its datagram loses that datagram only."""
    data = GOOD[:-2] + GOOD
    decoded = decode_items(data, {48: "1.27"}, [(0, len(GOOD) - 2), (len(GOOD) - 2, len(data))])
    assert [("truncated", 0, len(GOOD) - 2)] == [(r.reason, r.offset, r.length) for r in decoded.refused]
    assert [1] == decoded.items[48].frame.tolist()


@pytest.mark.parametrize(("category", "edition"), [(48, "9.9"), (48, ""), (7, "1.0"), (21, "1.31")])
def test_an_unknown_edition_is_a_named_error(category: int, edition: str) -> None:
    """An edition or category without a table raises and says what is known."""
    with pytest.raises(FeedError) as caught:
        asterix_layout.layout(category, edition)
    assert "edition-unknown" == caught.value.name


def assert_same_verdict(data: bytes, edition: str, category: int) -> None:
    """Compare what is accepted, block by block, and its contents, with the oracle (which lets empty records pass)."""
    decoded = decode_items(data, {category: edition})
    flats: list = []
    for block in oracle.blocks(data):
        if block.get_category() == category:
            records = oracle.parse_block(block, edition) or []
            if records and not any(record.is_empty() for record in records):
                flats += [oracle.flatten(record) for record in records]
    assert_agrees(decoded.items[category], flats)


@settings(max_examples=60, deadline=None)
@given(body=st.binary(min_size=1, max_size=80), category=st.sampled_from(CATEGORIES))
def test_random_bytes_get_the_oracle_s_verdict(body: bytes, category: int) -> None:
    """Any block body is accepted exactly when the oracle accepts it, and then read the same."""
    assert_same_verdict(small_block(category, body), asterix_layout.editions(category)[-1], category)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=400))
def test_any_bytes_are_decoded_or_refused_without_exception(data: bytes) -> None:
    """Whatever the bytes are, every octet is in a record's block or in a refusal, and nothing is raised."""
    decoded = decode_items(data, asterix_layout.latest_editions())
    list(iter_records(data))
    blocks = {category: {tuple(r) for r in items.records[:, 1:3].tolist()} for category, items in decoded.items.items()}
    read = sum(end - begin for spans in blocks.values() for begin, end in spans)
    assert read + sum(refusal.length for refusal in decoded.refused) <= len(data)
    assert not data or read or decoded.refused


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_mutated_real_records_get_the_oracle_s_verdict(seed: int) -> None:
    """Real CAT048 blocks with bits flipped are accepted exactly when the oracle accepts them."""
    capture = recording("asterix-croatiacontrol", "cat_034_048.pcap")
    rng = np.random.default_rng(seed)
    payloads = [payload for _, payload in datagrams(capture) if payload[0] == 48]
    body = bytearray(payloads[rng.integers(len(payloads))][3:])
    for _ in range(rng.integers(1, 6)):
        body[rng.integers(len(body))] ^= 1 << rng.integers(8)
    assert_same_verdict(small_block(48, bytes(body)), "1.27", 48)
