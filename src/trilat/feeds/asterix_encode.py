"""Real ASTERIX bytes from columns: CAT048 plots and CAT034 north marks and sector crossings, by the decoder's own tables."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from trilat.errors import FeedError
from trilat.feeds.asterix_layout import Field, Layout, layout
from trilat.records.columns import FLAG_BAROMETRIC, FLAG_MILITARY_EMERGENCY, FLAG_SPI

Array = np.ndarray[Any, Any]

NAUTICAL_MILE_M = 1852.0
FOOT_M = 0.3048
FLIGHT_LEVEL_M = 100 * FOOT_M
DAY_NS = 86_400_000_000_000
TODS_PER_S = 128
TODS_PER_DAY = 86_400 * TODS_PER_S
# A data block stays within one Ethernet frame's UDP payload, so that no datagram is cut on the way.
DATAGRAM_OCTETS_MAX = 1400
# I048/120 CAL has ten bits; faster targets have no item for their Doppler speed, and it is left out.
DOPPLER_M_S_MAX = 511.0
PSR, SSR, ROLL_CALL = 1, 2, 5  # I048/020 TYP
NORTH_MARKER, SECTOR_CROSSING = 1, 2  # I034/000


class _Piece(NamedTuple):
    """The octets of one item for every record (n, k), and which records have it."""

    item: str
    here: Array
    octets: Array


def encode_cat048(
    columns: Array, sac: int, sic: int, *, simulated: bool, test: bool = False, edition: str = "1.32"
) -> list[bytes]:
    """Return datagrams, a data block each of at most DATAGRAM_OCTETS_MAX octets, with a CAT048 record for every row.

    columns: REPORT_DTYPE rows of kind radar, in any number. Written: I010, I140 (from `t_ns`), I020 (TYP from what is known; SIM,
    TST, SPI, ME), I040 (1/256 NM, 360/65536 degrees), I070 (mode_3a), I220 (address), I240 (callsign), I161 and I170
    (sensor_track, lowest twelve bits), I200 (speed, course), I120 (Doppler, range rate, up to DOPPLER_M_S_MAX).
    `height_m` goes to I090 (flight level) when the row has FLAG_BAROMETRIC or a Mode 3/A code, else to I110 (3-D height, 25 ft).
    Raises FeedError: "value-unencodable" for a range beyond 255.99 NM, a height beyond an item, or a missing position.
    Source: EUROCONTROL-SPEC-0149-4.
    """
    table = layout(48, edition)
    n = len(columns)
    if n == 0:
        return []
    flags = columns["flags"]
    everyone = np.ones(n, np.bool_)
    squawks = columns["mode_3a"] >= 0
    level = np.isfinite(columns["height_m"]) & (squawks | (flags & FLAG_BAROMETRIC != 0))
    height = np.isfinite(columns["height_m"]) & ~level
    addressed = columns["address"] >= 0
    tracked = columns["sensor_track"] >= 0
    moving = np.isfinite(columns["speed_m_s"]) & np.isfinite(columns["course_rad"])
    typ = np.where(addressed, ROLL_CALL, np.where(squawks, SSR, PSR))
    spi = (flags & FLAG_SPI) != 0
    range_nm = columns["range_m"] / NAUTICAL_MILE_M
    speed_nm_s = columns["speed_m_s"] / NAUTICAL_MILE_M
    pieces = [
        _item(table, "010", everyone, SAC=sac, SIC=sic),
        _item(table, "140", everyone, **{"": _time_of_day(columns["t_ns"])}),
        _descriptor(table, typ, spi, (flags & FLAG_MILITARY_EMERGENCY) != 0, simulated=simulated, test=test),
        _item(table, "040", everyone, RHO=range_nm, THETA=_turn_deg(columns["azimuth_rad"])),
        _item(table, "070", squawks, MODE3A=columns["mode_3a"]),
        _item(table, "090", level, FL=columns["height_m"] / FLIGHT_LEVEL_M),
        _item(table, "220", addressed, **{"": columns["address"]}),
        _item(table, "240", columns["callsign"] != b"", **{"": _six_bit(columns["callsign"])}),
        _item(table, "161", tracked, TRN=columns["sensor_track"] & 0xFFF),
        _item(table, "200", moving, GSP=speed_nm_s, HDG=_turn_deg(columns["course_rad"])),
        _Piece("170", tracked, np.zeros((n, 1), np.uint8)),
        _item(table, "110", height, **{"3DH": columns["height_m"] / FOOT_M}),
        _doppler(table, columns["doppler_m_s"]),
    ]
    return _blocks(table, pieces, n)


def encode_cat034_marks(
    t_ns: Sequence[int] | Array,
    azimuth_rad: Sequence[float] | Array,
    sac: int,
    sic: int,
    *,
    period_s: float | None = None,
    edition: str = "1.29",
) -> list[bytes]:
    """Return datagrams with a CAT034 record for every sector mark: t_ns (UTC, ns) and azimuth (n,), 1/256 turn exact.

    A mark at azimuth 0 is a north marker, the others are sector crossings. period_s: the antenna's turn, written to north
    markers (I034/041). Written besides: I010, I000, I030, I020 (sector crossings). Raises FeedError "value-unencodable".
    Source: EUROCONTROL-SPEC-0149-2b.
    """
    table = layout(34, edition)
    if not len(t_ns):
        return []
    times = np.asarray(t_ns, np.int64)
    sector = np.round(np.asarray(azimuth_rad, np.float64) / (2 * np.pi) * 256).astype(np.int64) & 0xFF
    north = sector == 0
    everyone = np.ones(len(times), np.bool_)
    rotation = north & (period_s is not None)
    pieces = [
        _item(table, "010", everyone, SAC=sac, SIC=sic),
        _item(table, "000", everyone, **{"": np.where(north, NORTH_MARKER, SECTOR_CROSSING)}),
        _item(table, "030", everyone, **{"": _time_of_day(times)}),
        _item(table, "020", ~north, **{"": sector * (360 / 256)}),
        _item(table, "041", rotation, **{"": period_s or 0.0}),
    ]
    return _blocks(table, pieces, len(times))


def _time_of_day(t_ns: Array) -> Array:
    """Return seconds since midnight UTC, rounded to 1/128 s; what rounds up to midnight is the next day's 0."""
    tods = (t_ns % DAY_NS * TODS_PER_S + 500_000_000) // 1_000_000_000
    result: Array = tods % TODS_PER_DAY / TODS_PER_S
    return result


def _turn_deg(angle_rad: Array) -> Array:
    """Return degrees in 1/65536 turns, what rounds up to a full turn being 0."""
    result: Array = np.round(angle_rad / (2 * np.pi) * 65_536) % 65_536 * (360 / 65_536)
    return result


def _six_bit(callsign: Array) -> Array:
    """Return eight 6-bit characters (ICAO Annex 10 vol. IV, 3.1.2.9.1.2) as a number; what has no code becomes a space."""
    padded = np.char.ljust(callsign.astype("S8"), 8).astype("S8")
    letters = padded.view(np.uint8).reshape(-1, 8).astype(np.int64)
    letters = np.where((letters >= 97) & (letters <= 122), letters - 32, letters)
    is_letter = (letters >= 65) & (letters <= 90)
    is_digit = (letters >= 48) & (letters <= 57)
    codes = np.where(is_letter, letters - 64, np.where(is_digit, letters, 32))
    result: Array = (codes << np.arange(42, -1, -6)).sum(axis=1)
    return result


def _descriptor(table: Layout, typ: Array, spi: Array, emergency: Array, *, simulated: bool, test: bool) -> _Piece:
    """Return I048/020: one octet, or two where TST or ME has to be said."""
    everyone = np.ones(len(typ), np.bool_)
    fields = {name: table.fields[f"020/{name}"] for name in ("TYP", "SIM", "SPI", "TST", "ME")}
    first = _pack([(fields["TYP"], typ), (fields["SIM"], int(simulated)), (fields["SPI"], spi)], everyone, 1)
    second = _pack([(fields["TST"], int(test)), (fields["ME"], emergency)], everyone, 1)
    if not (second != 0).any():
        return _Piece("020", everyone, first)
    return _Piece("020", everyone, np.hstack([first | 1, second]))


def _doppler(table: Layout, speed_m_s: Array) -> _Piece:
    """Return I048/120 with its first subfield, the calculated Doppler speed."""
    here = np.abs(np.nan_to_num(speed_m_s, nan=np.inf)) <= DOPPLER_M_S_MAX
    calculated = _pack([(table.fields["120/CAL/CAL"], speed_m_s)], here, 2)
    return _Piece("120", here, np.hstack([np.full((len(here), 1), 0x80, np.uint8), calculated]))


def _item(table: Layout, item: str, here: Array, **values: Any) -> _Piece:
    """Return one fixed item from the values of its fields, in their units."""
    fields = [(table.fields[f"{item}/{name}" if name else item], value) for name, value in values.items()]
    slot = fields[0][0].slot
    octets = next(int(node[2]) for node in table.nodes if node[1] == slot)
    return _Piece(item, here, _pack(fields, here, octets))


def _pack(fields: list[tuple[Field, Any]], here: Array, octets: int) -> Array:
    """Return uint8 (n, octets) with every field's value, divided by its scale, in its bits. Rows not `here` are 0."""
    word = np.zeros(len(here), np.int64)
    for field, value in fields:
        scaled = np.round(np.where(here, np.asarray(value, np.float64), 0.0) / field.scale)
        low, high = (-(1 << field.bits - 1), (1 << field.bits - 1) - 1) if field.kind == "s" else (0, (1 << field.bits) - 1)
        bad = ~((scaled >= low) & (scaled <= high))
        if bad.any():
            worst = np.broadcast_to(np.asarray(value, np.float64), here.shape)[bad][0]
            raise FeedError("value-unencodable", f"I{field.name}: {worst} {field.unit}")
        raw = scaled.astype(np.int64) & ((1 << field.bits) - 1)
        word |= raw << (octets * 8 - field.bit - field.bits)
    big = word.astype(">u8").view(np.uint8).reshape(-1, 8)
    result: Array = big[:, 8 - octets :]
    return result


def _blocks(table: Layout, pieces: list[_Piece], n: int) -> list[bytes]:
    """Put FSPEC and items of every record together, and cut the records into data blocks."""
    order = list(table.items)
    numbers = {item: k for k, item in enumerate(name for name in order if "/" not in name)}
    fspec = np.zeros((n, 4), np.uint8)
    for piece in pieces:
        octet, bit = divmod(numbers[piece.item], 7)
        fspec[:, octet] |= piece.here.astype(np.uint8) << np.uint8(7 - bit)
    used = np.cumsum(fspec[:, ::-1] != 0, axis=1)[:, ::-1] > 0
    fspec[:, :-1] |= used[:, 1:].astype(np.uint8)
    parts = [(used[:, k], fspec[:, k : k + 1]) for k in range(4)] + [(p.here, p.octets) for p in pieces]
    sizes = np.array([here * octets.shape[1] for here, octets in parts]).sum(axis=0)
    ends = np.cumsum(sizes)
    at = ends - sizes
    out = np.empty(int(ends[-1]), np.uint8)
    for here, octets in parts:
        width = octets.shape[1]
        out[at[here][:, None] + np.arange(width)] = octets[here]
        at[here] += width
    return _cut(out.tobytes(), ends.tolist(), table.category)


def _cut(records: bytes, ends: list[int], category: int) -> list[bytes]:
    """Cut records into data blocks of at most DATAGRAM_OCTETS_MAX octets."""
    blocks: list[bytes] = []
    begin = last = 0
    for end in [*ends, -1]:
        if end < 0 or end - begin > DATAGRAM_OCTETS_MAX - 3:
            if last > begin:
                blocks.append(bytes([category]) + (last - begin + 3).to_bytes(2, "big") + records[begin:last])
            begin = last
        last = end
    return blocks
