"""Track: a state with its covariance. National ids and released ids are never the same (DESIGN principle 3)."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from trilat.records.fields import (
    AltM,
    Count,
    Finite,
    LatDeg,
    LonDeg,
    Name,
    Probability,
    SigmaM,
    TimeNs,
    VelocityMS,
)
from trilat.records.label import Label
from trilat.records.report import Callsign, Domain, IcaoAddress, Mmsi, Mode3A, Pedigree

# tentative: initiated; confirmed; coasting: confirmed but lately unseen; deleted: last word on it.
TrackStatus = Literal["tentative", "confirmed", "coasting", "deleted"]
# Upper triangle, row by row, of the 6x6 covariance over (east, north, up, v_east, v_north, v_up), SI.
Covariance21 = Annotated[tuple[Finite, ...], Meta(min_length=21, max_length=21)]


class Track(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="trilat.track/1"):
    """One track at one time. `stream` and `number` name it: a stream is one tracker of one nation for one audience.

    Velocity and covariance are in the local east, north, up frame at (lat_deg, lon_deg, alt_m).
    `flags` holds words such as "innovation" (reports jump), "id-conflict" (a claimed address was not believed).
    """

    stream: Name
    number: Count
    t_ns: TimeNs
    status: TrackStatus
    label: Label
    pedigree: Pedigree
    domain: Domain = "unknown"
    lat_deg: LatDeg
    lon_deg: LonDeg
    alt_m: AltM
    velocity_east_m_s: VelocityMS
    velocity_north_m_s: VelocityMS
    velocity_up_m_s: VelocityMS
    covariance: Covariance21
    existence: Probability = 1.0
    updated_t_ns: TimeNs
    address: IcaoAddress | None = None
    mmsi: Mmsi | None = None
    callsign: Callsign | None = None
    mode_3a: Mode3A | None = None
    flags: tuple[Name, ...] = ()


class Tracklet(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="trilat.tracklet/1"):
    """An equivalent measurement: what a filter begun without prior made of the plots since the last one (DESIGN 5).

    `information` (upper triangle, 21) and `information_state` (6) are in ECEF axes about `origin_ecef_m`, at t_ns, on the
    declared motion `model`; rank-deficient is allowed. (stream, number, sequence) is its pedigree id: unique for ever.
    """

    stream: Name
    number: Count
    sequence: Count
    t_from_ns: TimeNs
    t_ns: TimeNs
    label: Label
    pedigree: Pedigree
    model: Name
    domain: Domain = "unknown"
    origin_ecef_m: tuple[Finite, Finite, Finite]
    information_state: Annotated[tuple[Finite, ...], Meta(min_length=6, max_length=6)]
    information: Covariance21
    plots: Count = 0
    address: IcaoAddress | None = None
    mmsi: Mmsi | None = None
    callsign: Callsign | None = None


class Area(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="trilat.area/1"):
    """The coarsest tier: something of this domain is within radius_m of a place."""

    stream: Name
    number: Count
    t_ns: TimeNs
    label: Label
    pedigree: Pedigree
    domain: Domain = "unknown"
    lat_deg: LatDeg
    lon_deg: LonDeg
    radius_m: SigmaM
