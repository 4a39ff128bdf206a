"""Sensor: what a node knows of one of its sensors. Comes from the configuration, used by feeds, trackers, worlds."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from trilat.records.fields import (
    AltM,
    ElevationRad,
    LatDeg,
    LonDeg,
    Name,
    Probability,
    RangeM,
    SigmaM,
    SigmaMS,
    SigmaRad,
    Trigraph,
)
from trilat.records.label import Label

# radar3d: range, azimuth, elevation (Doppler). radar2d: range, azimuth, perhaps a height (Mode C).
# bearing: azimuth and elevation only (infrared line of sight). fixes: self-reported positions (ADS-B, AIS).
# tracks: a foreign tracker's system tracks.
SensorKind = Literal["radar3d", "radar2d", "bearing", "fixes", "tracks"]


class SensorSite(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where a sensor stands and what it sees how well: all of a sensor but whose it is and who may have its reports."""

    id: Name  # its name, unique in the node
    kind: SensorKind  # what it measures
    lat_deg: LatDeg = 0.0  # where it stands
    lon_deg: LonDeg = 0.0  # where it stands
    alt_m: AltM = 0.0  # where it stands, above the ellipsoid
    sac: Annotated[int, Meta(ge=0, le=255)] | None = None  # ASTERIX system area code
    sic: Annotated[int, Meta(ge=0, le=255)] | None = None  # ASTERIX system identification code
    period_s: Annotated[float, Meta(gt=0, le=3600)] = 4.0  # time of one scan, or between reports
    range_min_m: RangeM = 0.0  # nearer than this it sees nothing
    range_max_m: RangeM = 400_000.0  # farther than this it sees nothing
    elevation_min_rad: ElevationRad = -0.05  # lower than this it sees nothing
    elevation_max_rad: ElevationRad = 1.5707963267948966  # higher than this it sees nothing
    alt_min_m: AltM = -1_000.0  # targets below are not its business
    alt_max_m: AltM = 40_000.0  # targets above are not its business
    detection_probability: Probability = 0.9  # of a target in coverage, each scan
    clutter_per_scan: Annotated[float, Meta(ge=0, le=1e6)] = 5.0  # false plots expected each scan
    births_per_scan: Annotated[float, Meta(gt=0, le=1e6)] = 1.0  # new targets expected each scan: how readily a plot is believed
    sigma_range_m: SigmaM = 75.0  # one sigma of range
    sigma_azimuth_rad: SigmaRad = 0.0015  # one sigma of azimuth
    sigma_elevation_rad: SigmaRad = 0.002  # one sigma of elevation
    sigma_height_m: SigmaM = 50.0  # one sigma of a reported height
    sigma_doppler_m_s: SigmaMS = 5.0  # one sigma of Doppler
    sigma_horizontal_m: SigmaM = 50.0  # one sigma of a reported position
    sigma_vertical_m: SigmaM = 50.0  # one sigma of its height


class Sensor(SensorSite, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="trilat.sensor/1"):
    """One sensor of one nation, with the label of what it reports."""

    nation: Trigraph
    label: Label
