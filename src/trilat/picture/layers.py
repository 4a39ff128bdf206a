"""Layers: tracks of each kind turned into blocks of frame records. Vectorised for columns, one by one for partners' records.

Affiliation follows APP-6(D)'s standard identities, set by one plain rule until officers assign them: tentative tracks are
pending, tracks that identify themselves and are not in conflict with it are neutral, all others unknown.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from trilat.kernels.geodesy import ecef_to_geodetic, enu_basis
from trilat.picture import frames
from trilat.picture.frames import AFFILIATIONS, CS_PER_S, RECORD_DTYPE, Array, Block
from trilat.picture.inputs import PartnerRecord
from trilat.records.columns import (
    DOMAINS,
    STATUSES,
    TRACK_FLAG_ID_CONFLICT,
    TRACK_FLAG_INNOVATION,
)
from trilat.records.label import Label
from trilat.records.track import Area, Track

NS_PER_MS = 1_000_000
NS_PER_CS = 10_000_000
U4_MAX = 2**32 - 1
# Squawks of distress (ICAO Annex 10): hijack, radio failure, emergency.
EMERGENCY_CODES = (0o7500, 0o7600, 0o7700)

PENDING, UNKNOWN, NEUTRAL = (AFFILIATIONS.index(word) for word in ("pending", "unknown", "neutral"))
OWN, PARTNER, COMBINED = range(3)
# A coarse area is said once a minute: it is not too old before two are missed.
AREA_DROP_NS = 150_000 * NS_PER_MS


def fill_kinematics(records: Array, velocity_enu_m_s: Array, horizontal: Array) -> None:
    """Write course, speed, climb from velocities (n, 3) and the larger sigma from horizontal covariances (n, 2, 2)."""
    east, north, up = velocity_enu_m_s.T
    speed = np.hypot(east, north)
    records["speed"] = np.where(np.isfinite(speed), np.clip(speed / frames.SPEED_UNIT_M_S, 0, 65_534), frames.UNKNOWN_U2)
    records["course"] = np.nan_to_num(np.rint(np.degrees(np.arctan2(east, north)) % 360 / 360 * 65_536)).astype(np.int64) % 65_536
    records["climb"] = np.clip(np.nan_to_num(np.rint(up / frames.CLIMB_UNIT_M_S)), -32_767, 32_767)
    mean = (horizontal[:, 0, 0] + horizontal[:, 1, 1]) / 2
    half = (horizontal[:, 0, 0] - horizontal[:, 1, 1]) / 2
    larger = np.sqrt(np.maximum(mean + np.hypot(half, horizontal[:, 0, 1]), 0.0))
    records["sigma_m"] = np.clip(np.nan_to_num(np.ceil(larger), nan=frames.UNKNOWN_U2), 0, frames.UNKNOWN_U2)


def fill_place(records: Array, place: Array) -> None:
    """Write places (n, 3): latitude and longitude in degrees, height in metres."""
    records["lat_e7"] = np.rint(place[:, 0] * 1e7)
    records["lon_e7"] = np.rint(place[:, 1] * 1e7)
    records["alt_m"] = place[:, 2]


def centiseconds(t_ns: Any, origin_ms: int) -> Any:
    """Return times as 10 ms steps since the origin; what is before it counts as at it."""
    return np.clip(np.asarray(t_ns) // NS_PER_CS - origin_ms * CS_PER_S // 1000, 0, U4_MAX)


def affiliations(status: Array, identified: Array, conflict: Array) -> Array:
    """Return the affiliation codes by the rule in the head of this module."""
    believed = np.where(identified & ~conflict, NEUTRAL, UNKNOWN)
    return np.where(status == STATUSES.index("tentative"), PENDING, believed)


class Names:
    """What a track is called on the map: see `name_of`. Kept, because the same tracks come each tick."""

    def __init__(self, nation: str) -> None:
        self.nation = nation
        self._kept: dict[tuple[int, int, int], bytes] = {}

    def of(self, columns: Array) -> Array:
        """Return the S12 names of tracker columns."""
        names = columns["callsign"].astype("S12")
        bare = np.flatnonzero(names == b"")
        if len(self._kept) > 4 * len(columns) + 1000:
            self._kept.clear()
        keys = zip(
            columns["number"][bare].tolist(), columns["address"][bare].tolist(), columns["mmsi"][bare].tolist(), strict=True
        )
        for at, key in zip(bare, keys, strict=True):
            name = self._kept.get(key)
            if name is None:
                name = self._kept[key] = name_of(self.nation, key[0], None, key[1], key[2])
            names[at] = name
        return names


def name_of(nation: str, number: int, callsign: str | None, address: int | None, mmsi: int | None) -> bytes:
    """Return what a track is called: its callsign, else MMSI, else ICAO address, else its nation and number. 12 bytes at most."""
    if callsign and callsign.strip():
        return callsign.strip().encode("ascii", "replace")[:12]
    if mmsi is not None and mmsi >= 0:
        return b"%09d" % mmsi
    if address is not None and address >= 0:
        return b"%06X" % address
    return f"{nation} {number % 100_000:04d}".encode("ascii")


def own_block(key: str, columns: Array, names: Names, nations: Array | int, layer: int, origin_ms: int) -> Block:
    """Return the block of one tracker's columns, deleted ones left out before. Level 0: the caller knows the labels."""
    place = ecef_to_geodetic(np.ascontiguousarray(columns["position_m"]))
    axes = enu_basis(place[:, 0], place[:, 1])
    records = np.zeros(len(columns), RECORD_DTYPE)
    fill_place(records, place)
    velocity = np.einsum("nij,nj->ni", axes, columns["velocity_m_s"])
    level = axes[:, :2]
    horizontal = np.einsum("nij,njk,nlk->nil", level, columns["covariance"][:, :3, :3], level, optimize=True)
    fill_kinematics(records, velocity, horizontal)
    records["t_cs"] = centiseconds(columns["t_ns"], origin_ms)
    records["updated_cs"] = centiseconds(columns["updated_t_ns"], origin_ms)
    records["domain"], records["status"], records["layer"] = columns["domain"], columns["status"], layer
    records["nations"] = nations
    _fill_flags(records, columns)
    return Block(key=key, numbers=columns["number"].copy(), records=records, names=names.of(columns))


def _fill_flags(records: Array, columns: Array) -> None:
    identified = (columns["address"] >= 0) | (columns["mmsi"] >= 0)
    conflict = (columns["flags"] & TRACK_FLAG_ID_CONFLICT) != 0
    records["affiliation"] = affiliations(columns["status"], identified, conflict)
    records["flags"] = (
        np.where(columns["flags"] & TRACK_FLAG_INNOVATION, frames.FLAG_INNOVATION, 0)
        | np.where(conflict, frames.FLAG_ID_CONFLICT, 0)
        | np.where(np.isin(columns["mode_3a"], EMERGENCY_CODES), frames.FLAG_EMERGENCY, 0)
        | np.where(identified, frames.FLAG_IDENTIFIED, 0)
    )


class PartnerLayer:
    """What one partner's tracker of one stream says: the last record of each number, dropped when it is too old."""

    def __init__(self, origin: str, nation_bit: int, origin_ms: int, tracks_max: int) -> None:
        self.origin = origin
        self.nation_bit = nation_bit
        self.origin_ms = origin_ms
        self.tracks_max = tracks_max
        self.latest: dict[int, tuple[Track | Area, str]] = {}
        self._rows: dict[int, tuple[Array, bytes]] = {}

    def take(self, item: PartnerRecord) -> bool:
        """Take one record; False when the layer is full. An older one than held changes nothing."""
        record = item.record
        held = self.latest.get(record.number)
        if held is not None and held[0].t_ns > record.t_ns:
            return True
        if isinstance(record, Track) and record.status == "deleted":
            self._drop(record.number)
            return True
        if held is None and len(self.latest) >= self.tracks_max:
            return False
        self.latest[record.number] = (record, item.lane)
        self._rows[record.number] = self._row(record)
        return True

    def _drop(self, number: int) -> None:
        self.latest.pop(number, None)
        self._rows.pop(number, None)

    def expire(self, now_ns: int, drop_ns_of: Callable[[str], int]) -> None:
        """Take off what was last updated longer ago than its domain allows: a stale claim is no picture."""
        old = [n for n, (r, _) in self.latest.items() if now_ns - _updated_ns(r) > max(drop_ns_of(r.domain), _least_ns(r))]
        for number in old:
            self._drop(number)

    def labels(self) -> list[Label]:
        """Return the distinct labels held (labels repeat from record to record)."""
        return list({record.label: None for record, _ in self.latest.values()})

    def block(self, key: str) -> Block:
        """Return the layer's block, numbers sorted."""
        numbers = sorted(self._rows)
        records = np.array([self._rows[n][0] for n in numbers], RECORD_DTYPE)
        names = np.array([self._rows[n][1] for n in numbers], "S12")
        return Block(key=key, numbers=np.array(numbers, np.int64), records=records, names=names)

    def _row(self, record: Track | Area) -> tuple[Array, bytes]:
        row = np.zeros(1, RECORD_DTYPE)
        fill_place(row, np.array([[record.lat_deg, record.lon_deg, 0.0]]))
        row["t_cs"] = centiseconds(record.t_ns, self.origin_ms)
        row["updated_cs"] = centiseconds(_updated_ns(record), self.origin_ms)
        row["domain"], row["nations"], row["layer"] = DOMAINS.index(record.domain), self.nation_bit, PARTNER
        row["level"] = record.label.level
        if isinstance(record, Area):
            row["speed"], row["affiliation"], row["flags"] = frames.UNKNOWN_U2, UNKNOWN, frames.FLAG_AREA
            row["sigma_m"] = min(round(record.radius_m), frames.UNKNOWN_U2)
            return row[0], f"{self.origin} AREA".encode("ascii")
        _fill_track(row, record)
        return row[0], name_of(self.origin, record.number, record.callsign, record.address, record.mmsi)


def _fill_track(row: Array, record: Track) -> None:
    velocity = np.array([[record.velocity_east_m_s, record.velocity_north_m_s, record.velocity_up_m_s]])
    c = record.covariance
    fill_kinematics(row, velocity, np.array([[[c[0], c[1]], [c[1], c[6]]]]))
    row["alt_m"], row["status"] = record.alt_m, STATUSES.index(record.status)
    identified, conflict = record.address is not None or record.mmsi is not None, "id-conflict" in record.flags
    row["affiliation"] = affiliations(row["status"], np.array([identified]), np.array([conflict]))
    row["flags"] = (
        (frames.FLAG_INNOVATION if "innovation" in record.flags else 0)
        | (frames.FLAG_ID_CONFLICT if conflict else 0)
        | (frames.FLAG_EMERGENCY if record.mode_3a in EMERGENCY_CODES else 0)
        | (frames.FLAG_IDENTIFIED if identified else 0)
    )


def _updated_ns(record: Track | Area) -> int:
    return record.updated_t_ns if isinstance(record, Track) else record.t_ns


def _least_ns(record: Track | Area) -> int:
    """Return how old a record may be whatever its domain allows."""
    return AREA_DROP_NS if isinstance(record, Area) else 0


def levels_of(sensor_sets: Array, level_of: Callable[[int], int]) -> Array:
    """Return the label level per row from its sensor bit set, asking once per distinct set."""
    distinct, at = np.unique(sensor_sets, return_inverse=True)
    levels: Sequence[int] = [level_of(int(bits)) for bits in distinct]
    return np.array(levels, np.uint8)[at] if len(distinct) else np.zeros(len(sensor_sets), np.uint8)
