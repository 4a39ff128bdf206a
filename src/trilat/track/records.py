"""Columns to records: a tracker's `Tracks` as `Track` records, one at a time, for the wire, files and people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

from trilat.kernels import geodesy
from trilat.records.columns import DOMAINS, STATUSES, TRACK_DTYPE, TRACK_FLAG_ID_CONFLICT, TRACK_FLAG_INNOVATION, Tracks
from trilat.records.label import Label
from trilat.records.report import Pedigree
from trilat.records.sensor import Sensor
from trilat.records.track import Track

FLAG_WORDS = ((TRACK_FLAG_INNOVATION, "innovation"), (TRACK_FLAG_ID_CONFLICT, "id-conflict"))
SPEED_LIMIT_M_S = 20_000.0  # the records' range; a wild tentative velocity is shown as this much at most
ALT_RANGE_M = (-12_000.0, 100_000_000.0)
_UPPER = np.triu_indices(6)


def to_records(
    tracks: Tracks,
    sensors: Sequence[Sensor],
    label_of: Callable[[int], Label],
    nation: str,
    statuses: Iterable[str] = STATUSES,
) -> list[Track]:
    """Return the tracks whose status is in `statuses` as records, in the same order.

    label_of gives the label of a track from the bit set of the sensors behind it (bit k is sensors[k]); nation owns them.
    Positions become WGS-84 latitude, longitude and ellipsoidal height; velocity and covariance turn into the local east,
    north, up axes there, the covariance as the upper triangle row by row (21 numbers).
    """
    wanted = frozenset(statuses)
    columns = tracks.columns[np.array([word in wanted for word in STATUSES])[tracks.columns["status"]]]
    if not len(columns):
        return []
    place = geodesy.ecef_to_geodetic(columns["position_m"])
    basis = geodesy.enu_basis(place[:, 0], place[:, 1])
    velocity = np.clip(np.einsum("nij,nj->ni", basis, columns["velocity_m_s"]), -SPEED_LIMIT_M_S, SPEED_LIMIT_M_S)
    covariance = geodesy.rotate_covariance(columns["covariance"], basis)[:, _UPPER[0], _UPPER[1]]
    place[:, 2] = np.clip(place[:, 2], *ALT_RANGE_M)
    plain = zip(columns[_PLAIN].tolist(), place.tolist(), velocity.tolist(), covariance.tolist(), strict=True)
    return [_record(tracks.stream, *one, sensors, label_of, nation) for one in plain]


def track_record(
    tracks: Tracks, number: int, sensors: Sequence[Sensor], label_of: Callable[[int], Label], nation: str
) -> Track | None:
    """Return one track as a record, by its number; None when there is none."""
    one = msgspec.structs.replace(tracks, columns=tracks.columns[tracks.columns["number"] == number])
    return next(iter(to_records(one, sensors, label_of, nation)), None)


_PLAIN = [name for name in TRACK_DTYPE.names or () if not TRACK_DTYPE[name].shape]
_PLACE = {name: k for k, name in enumerate(_PLAIN)}


def _record(
    stream: str,
    row: tuple[Any, ...],
    place: list[float],
    velocity: list[float],
    covariance: list[float],
    sensors: Sequence[Sensor],
    label_of: Callable[[int], Label],
    nation: str,
) -> Track:
    """Return one track's record; row holds what of its columns is one value each."""
    bits, flags = row[_PLACE["sensors"]], row[_PLACE["flags"]]
    callsign = row[_PLACE["callsign"]].decode("ascii", "replace").strip()
    return Track(
        stream=stream,
        number=row[_PLACE["number"]],
        t_ns=row[_PLACE["t_ns"]],
        status=STATUSES[row[_PLACE["status"]]],  # type: ignore[arg-type]  # the tuple holds the literal's words
        label=label_of(bits),
        pedigree=Pedigree(nation=nation, sensors=tuple(sorted(s.id for k, s in enumerate(sensors) if bits >> k & 1))),
        domain=DOMAINS[row[_PLACE["domain"]]],  # type: ignore[arg-type]  # same
        lat_deg=place[0],
        lon_deg=place[1],
        alt_m=place[2],
        velocity_east_m_s=velocity[0],
        velocity_north_m_s=velocity[1],
        velocity_up_m_s=velocity[2],
        covariance=tuple(covariance),
        existence=min(max(row[_PLACE["existence"]], 0.0), 1.0),
        updated_t_ns=row[_PLACE["updated_t_ns"]],
        address=_known(row[_PLACE["address"]]),
        mmsi=_known(row[_PLACE["mmsi"]]),
        callsign=callsign or None,
        mode_3a=_known(row[_PLACE["mode_3a"]]),
        flags=tuple(word for bit, word in FLAG_WORDS if flags & bit),
    )


def _known(value: int) -> int | None:
    """Return an identity, or None where it is absent (-1)."""
    return value if value >= 0 else None
