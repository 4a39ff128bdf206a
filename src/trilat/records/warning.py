"""Warning and what answers it: acknowledgement, retraction, receipt, recall. All travel on the flash lane."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from trilat.records.assessment import Fan, FlightClass, LandingEstimate, LaunchEstimate, PathPoint, TouchedArea, TrajectoryShape
from trilat.records.fields import (
    Count,
    LatDeg,
    LonDeg,
    Name,
    Probability,
    Sha256,
    ShortText,
    SigmaM,
    Text,
    TimeNs,
    Trigraph,
)
from trilat.records.label import Label
from trilat.records.report import Pedigree

# landed: the prediction's latest landing time is over; passed: the same for a flight that only passes over; track-lost: no plot
# explains the flight any more, so what was said of its way is not to be relied on.
WarningState = Literal["detected", "assessed", "issued", "updated", "track-lost", "landed", "passed", "stood-down", "retracted"]
Language = Literal["en", "ja", "ko"]


class WarningArea(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a warning holds: a circle and a name; polygons come with the warning stage."""

    name: ShortText
    lat_deg: LatDeg
    lon_deg: LonDeg
    radius_m: SigmaM
    probability: Probability = 1.0


class FlightFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a warning says of the flight it is about: class with its probability, where from, where to, or the fan it is in.

    path: the predicted way from here to the ground, as a few points.
    """

    name: FlightClass = "launch, unclassified"
    probability: Probability = 0.0
    shape: TrajectoryShape | None = None
    launch: LaunchEstimate | None = None
    landing: LandingEstimate | None = None
    fan: Fan | None = None
    lost_since_ns: TimeNs | None = None
    path: Annotated[tuple[PathPoint, ...], Meta(max_length=64)] = ()


class Words(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One language's words of a warning. `line` is the one plain sentence for loudspeakers and short messages."""

    language: Language
    headline: ShortText
    text: Text
    line: Annotated[str, Meta(max_length=500)]


class Warning(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="trilat.warning/1"):  # noqa: A001 - the field's word
    """One state of one warning for one audience. (originator of the label, id) names it; `version` rises with each state.

    flight, touched: what it says of a flight and of the areas under it, computed from what this audience may have. issued: two
    people have issued it to this audience. reason: why this version was made, a word.
    """

    id: Name
    version: Count
    state: WarningState
    t_ns: TimeNs
    label: Label
    pedigree: Pedigree
    kind: Name
    headline: ShortText
    text: Text = ""
    areas: tuple[WarningArea, ...] = ()
    event_t_ns: TimeNs | None = None
    expires_ns: TimeNs
    confidence: Probability | None = None
    raised_by: Name
    issued: bool = False
    reason: Name = ""
    flight: FlightFacts | None = None
    touched: Annotated[tuple[TouchedArea, ...], Meta(max_length=500)] = ()
    words: Annotated[tuple[Words, ...], Meta(max_length=8)] = ()


class Acknowledgement(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="trilat.acknowledgement/1"):
    """A named person at a named station of a nation has seen (or handled) a warning."""

    warning_originator: Trigraph
    warning_id: Name
    warning_version: Count
    kind: Literal["seen", "acknowledged", "handled"]
    nation: Trigraph
    station: Name
    by: Name
    t_ns: TimeNs
    label: Label
    channel: Name = "page"


class Retraction(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="trilat.retraction/1"):
    """A warning of one's own node is taken back. "issued-in-error" is not "threat-over"."""

    warning_id: Name
    warning_version: Count
    reason: Literal["issued-in-error", "threat-over", "superseded", "reinstated"]
    text: Text = ""
    by: Name
    t_ns: TimeNs
    label: Label


class Receipt(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="trilat.receipt/1"):
    """What a partner has durably: everything of a lane and epoch up to a sequence number and its head hash."""

    nation: Trigraph
    exporter: Trigraph
    lane: Literal["flash", "state", "history"]
    epoch: Count
    sequence: Count
    head: Sha256
    t_ns: TimeNs


class Recall(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="trilat.recall/1"):
    """The originator withdraws records it released: named by lane, epoch and sequence numbers."""

    lane: Literal["flash", "state", "history"]
    epoch: Count
    sequences: Annotated[tuple[Count, ...], Meta(min_length=1, max_length=1000)]
    reason: ShortText
    by: Name
    t_ns: TimeNs
    label: Label
