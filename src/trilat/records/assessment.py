"""Assessment: what one node makes of one flight for one audience at one time. Warnings, pages and products are built on it."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from trilat.records.fields import AltM, Count, Finite, LatDeg, LonDeg, Name, Probability, RangeM, ShortText, TimeNs
from trilat.records.label import Label
from trilat.records.report import Pedigree

# unconfirmed: looks like a launch, but one sensor alone says so; track-lost: no plot explains it any more; landed and passed:
# over, by the prediction; dropped: it was no launch (the classes say what it was).
AssessmentState = Literal["unconfirmed", "detected", "assessed", "track-lost", "landed", "passed", "dropped"]
FlightPhase = Literal["boost", "coast", "reentry"]
FlightClass = Literal["SRBM", "MRBM", "IRBM", "ICBM", "space launch", "not a missile", "launch, unclassified"]
TrajectoryShape = Literal["normal", "lofted", "depressed"]
AreaKind = Literal["prefecture", "province", "state", "territory", "sea", "fir", "other"]
BearingDeg = Annotated[float, Meta(ge=0.0, lt=360.0)]
Seconds = Annotated[float, Meta(ge=-1e7, le=1e7)]


class Ellipse(Struct, frozen=True, kw_only=True):
    """An ellipse on the ground: semi-axes, longer first, and the bearing of the longer one clockwise from true north."""

    semi_major_m: RangeM
    semi_minor_m: RangeM
    bearing_deg: BearingDeg


class LaunchEstimate(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where and when it was launched, by smoothing backwards: place, 95 % ellipse, time and its one sigma."""

    lat_deg: LatDeg
    lon_deg: LonDeg
    t_ns: TimeNs
    sigma_s: Seconds
    ellipse95: Ellipse


class LandingEstimate(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where and when it comes down: place, 50 and 95 % ellipses, time and its 95 % interval.

    `reliable` is False when the landing area is not to be relied on: the body manoeuvres or glides, or was lost.
    """

    lat_deg: LatDeg
    lon_deg: LonDeg
    t_ns: TimeNs
    t_from_ns: TimeNs
    t_to_ns: TimeNs
    ellipse50: Ellipse
    ellipse95: Ellipse
    reliable: bool = True


class Fan(Struct, frozen=True, kw_only=True):
    """While it burns: the sector it may come down in. Bearings go clockwise from `bearing_from_deg` to `bearing_to_deg`."""

    lat_deg: LatDeg
    lon_deg: LonDeg
    bearing_from_deg: BearingDeg
    bearing_to_deg: BearingDeg
    range_from_m: RangeM
    range_to_m: RangeM


class ClassProbability(Struct, frozen=True, kw_only=True):
    """One flight class and its probability."""

    name: FlightClass
    probability: Probability


class TouchedArea(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One area that the flight touches: by its landing ellipse (`landing`) or by passing over it (`overflight`).

    `t_from_ns` and `t_to_ns`: the earliest and latest time it may be there.
    """

    id: Name
    kind: AreaKind
    nation: ShortText
    name_en: ShortText
    name_ja: ShortText = ""
    name_ko: ShortText = ""
    touch: Literal["landing", "overflight"]
    probability: Probability
    t_from_ns: TimeNs
    t_to_ns: TimeNs


class PathPoint(Struct, frozen=True, kw_only=True, array_like=True):
    """One point of the predicted path."""

    t_ns: TimeNs
    lat_deg: LatDeg
    lon_deg: LonDeg
    alt_m: AltM


class Assessment(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="trilat.assessment/1"):
    """One version of what is made of one flight. `stream` and `flight` name it; `sequence` rises with each version.

    `classes` is by energy-equivalent range (what the flight could have reached), `classes_flown` by the range it flies; each
    sums to one, likeliest first. `lost_since_ns` is set while no plot explains the track: the confidence falls with its age.
    `reasons` are words such as "one-sensor", "manoeuvring", "cue-infrared", "cue-partner", "burn-out".
    """

    stream: Name
    flight: Count
    sequence: Count
    t_ns: TimeNs
    label: Label
    pedigree: Pedigree
    state: AssessmentState
    phase: FlightPhase
    confidence: Probability
    boosting: Probability
    track: Count
    first_t_ns: TimeNs
    updated_t_ns: TimeNs
    detected_t_ns: TimeNs | None = None
    burnout_t_ns: TimeNs | None = None
    burnout_called_t_ns: TimeNs | None = None
    lost_since_ns: TimeNs | None = None
    lat_deg: LatDeg
    lon_deg: LonDeg
    alt_m: AltM
    speed_m_s: Finite
    heading_deg: BearingDeg
    classes: tuple[ClassProbability, ...] = ()
    classes_flown: tuple[ClassProbability, ...] = ()
    shape: TrajectoryShape | None = None
    apogee_m: AltM | None = None
    range_m: RangeM | None = None
    energy_range_m: RangeM | None = None
    launch: LaunchEstimate | None = None
    landing: LandingEstimate | None = None
    fan: Fan | None = None
    areas: tuple[TouchedArea, ...] = ()
    path: tuple[PathPoint, ...] = ()
    reasons: tuple[Name, ...] = ()
