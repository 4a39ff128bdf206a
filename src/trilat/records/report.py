"""Report: what a sensor said. `Plot` is one radar's plot; `Fix` a self-reported position (ADS-B, AIS, CoT-like)."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from trilat.records.fields import (
    AltM,
    AzimuthRad,
    Count,
    ElevationRad,
    LatDeg,
    LonDeg,
    Name,
    RangeM,
    SigmaM,
    SigmaMS,
    SigmaRad,
    SpeedMS,
    TimeNs,
    Trigraph,
    VelocityMS,
)
from trilat.records.label import Label

Mode3A = Annotated[int, Meta(ge=0, le=0o7777)]
IcaoAddress = Annotated[int, Meta(ge=0, le=0xFFFFFF)]
Mmsi = Annotated[int, Meta(ge=0, le=999_999_999)]
Callsign = Annotated[str, Meta(max_length=20)]
Domain = Literal["unknown", "air", "sea", "missile", "space"]


class Pedigree(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a record comes from: its nation, the sensors behind it, and the original time of a replayed recording."""

    nation: Trigraph
    sensors: tuple[Name, ...] = ()
    feed: Name | None = None
    original_t_ns: TimeNs | None = None


class Plot(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="trilat.plot/1"):
    """One sensor's report of a target, no history. Azimuth clockwise from true north, range slant, height ellipsoidal."""

    t_ns: TimeNs
    sensor: Name
    label: Label
    pedigree: Pedigree
    range_m: RangeM | None = None
    azimuth_rad: AzimuthRad | None = None
    elevation_rad: ElevationRad | None = None
    height_m: AltM | None = None
    doppler_m_s: VelocityMS | None = None
    sigma_range_m: SigmaM | None = None
    sigma_azimuth_rad: SigmaRad | None = None
    sigma_elevation_rad: SigmaRad | None = None
    sigma_height_m: SigmaM | None = None
    sigma_doppler_m_s: SigmaMS | None = None
    mode_3a: Mode3A | None = None
    address: IcaoAddress | None = None
    callsign: Callsign | None = None
    simulated: bool = False
    sensor_track: Count | None = None


class Fix(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="trilat.fix/1"):
    """A self-reported position with its accuracy (one sigma). Course clockwise from true north.

    `barometric`: alt_m is a pressure altitude (ISA, 1013.25 hPa), as no geometric one was known.
    """

    t_ns: TimeNs
    sensor: Name
    label: Label
    pedigree: Pedigree
    domain: Domain = "unknown"
    lat_deg: LatDeg
    lon_deg: LonDeg
    alt_m: AltM | None = None
    barometric: bool = False
    sigma_horizontal_m: SigmaM
    sigma_vertical_m: SigmaM | None = None
    speed_m_s: SpeedMS | None = None
    course_rad: AzimuthRad | None = None
    vertical_rate_m_s: VelocityMS | None = None
    sigma_speed_m_s: SigmaMS | None = None
    address: IcaoAddress | None = None
    mmsi: Mmsi | None = None
    callsign: Callsign | None = None
    mode_3a: Mode3A | None = None
    simulated: bool = False


class Measurement(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="trilat.measurement/1"):
    """A radar's plot in Earth-fixed terms, so that who gets it need not know where the radar stands.

    The error is an ellipsoid: `axis` is the direction of its first axis at the place (the line of sight), azimuth clockwise from
    true north; one sigma along it, across it in the level, and across it upwards.
    """

    t_ns: TimeNs
    sensor: Name
    label: Label
    pedigree: Pedigree
    domain: Domain = "unknown"
    lat_deg: LatDeg
    lon_deg: LonDeg
    alt_m: AltM
    axis_azimuth_rad: AzimuthRad = 0.0
    axis_elevation_rad: ElevationRad = 0.0
    sigma_along_m: SigmaM
    sigma_across_m: SigmaM
    sigma_up_m: SigmaM
    mode_3a: Mode3A | None = None
    address: IcaoAddress | None = None
    callsign: Callsign | None = None
    simulated: bool = False
    sensor_track: Count | None = None


class Refused(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="trilat.refused/1"):
    """Input that was refused: where, why (a reason code of the errors file), and how much of it."""

    t_ns: TimeNs
    source: Name
    reason: Name
    detail: Annotated[str, Meta(max_length=300)] = ""
    offset: Count = 0
    length: Count = 0
    count: Count = 1
