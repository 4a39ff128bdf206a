"""What the node hands to the picture each tick: tracks, partners' records, warnings, lights. No behaviour."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct

from trilat.records.columns import Tracks
from trilat.records.fields import Audience, Count, LatDeg, LonDeg, Name, ShortText, TimeNs, Trigraph
from trilat.records.label import Label, Mode
from trilat.records.track import Area, Track
from trilat.records.warning import Acknowledgement, Retraction, Warning

# An AIS class A ship at anchor speaks every three minutes (ITU-R M.1371-5); radars turn within ten seconds or so.
STALE_S = {"unknown": 20, "air": 20, "sea": 200, "missile": 10, "space": 600}

LightState = Literal["up", "late", "down", "off"]
Lane = Literal["flash", "state", "history"]


class Place(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One name on the map. Names are political: they come from the node's settings; `rank` 1 shows first."""

    lat_deg: LatDeg
    lon_deg: LonDeg
    name: ShortText
    names: dict[str, ShortText] = {}
    rank: Annotated[int, Meta(ge=1, le=9)] = 2


class NodeIdentity(Struct, frozen=True, kw_only=True):
    """Whose page this is. `started_ns` is the epoch of every sequence number that the page sees.

    level_names: names of the label levels 0..4. lat_deg, lon_deg, zoom: where the map opens.
    """

    nation: Trigraph
    node: Name
    mode: Mode
    started_ns: TimeNs
    partners: tuple[Trigraph, ...] = ()
    policy: Name = "TRILAT"
    level_names: tuple[str, ...] = ("TRILAT-0", "TRILAT-1", "TRILAT-2", "TRILAT-3", "TRILAT-4")
    lat_deg: LatDeg = 33.5
    lon_deg: LonDeg = 129.5
    zoom: Annotated[float, Meta(ge=0, le=20)] = 5.5
    places: tuple[Place, ...] = ()

    @property
    def nations(self) -> tuple[str, ...]:
        """Every nation of the picture, sorted, so that all partners' pages number and colour them alike."""
        return tuple(sorted({self.nation, *self.partners}))


class View(Struct, frozen=True, kw_only=True):
    """What a group of sessions may see: nothing above `level_max`. Each view has its own ids and sequence numbers."""

    name: Name = "watch"
    level_max: Annotated[int, Meta(ge=0, le=4)] = 4


class FeedLight(Struct, frozen=True, kw_only=True):
    """One feed's light: how long since it spoke, how much it says, what was refused and why (reason -> count)."""

    name: Name
    format: Name
    state: LightState
    last_report_ns: TimeNs | None = None
    reports: Count = 0
    reports_per_s: float = 0.0
    refused: Mapping[str, int] = {}
    note: ShortText = ""


class LinkLight(Struct, frozen=True, kw_only=True):
    """One lane to or from one partner: its state, when it was last heard, what waits, what the partner has durably.

    nation: "KOR", or "KOR/USA" for the stream with KOR through USA. lag, lag_s: records not yet receipted by the partner, and for
    how long the oldest waits. received / sent: sequences. head: of what was sent, its first 16 hex digits. rejected: reason ->
    count. lost, forks, kept_aside: records known to be missing, two heads for one number, records with a value out of range.
    """

    nation: Name
    lane: Lane
    state: LightState
    last_heard_ns: TimeNs | None = None
    last_receipt_ns: TimeNs | None = None
    lag: Count = 0
    epoch: Count = 0
    received: Count = 0
    sent: Count = 0
    rejected: Mapping[str, int] = {}
    note: ShortText = ""
    lag_s: float = 0.0
    head: str = ""
    lost: Count = 0
    forks: Count = 0
    kept_aside: Count = 0


class SensorBias(Struct, frozen=True, kw_only=True):
    """A bias that is taken off a source's reports: metres, radians or seconds as its name says, with one sigma."""

    kind: Name
    value: float
    sigma: float


class SensorLight(Struct, frozen=True, kw_only=True):
    """What is thought of the data of an own sensor or of a partner: fit (up), suspect (late), quarantined (down), or neither.

    name: the sensor's own, or "tracks" for a partner's tracks. tracker: which of the trackers for others it is about (as
    "KOR/track"); empty for what the nation itself sees. reason: why it does not fit. nis: normalised innovation squared per
    dimension (NEES of tracks); 1 is honest, None not known yet. biases: what is known of them and taken off.
    """

    nation: Trigraph
    name: ShortText
    state: LightState
    judged: Name
    tracker: ShortText = ""
    reason: str = ""
    nis: float | None = None
    biases: tuple[SensorBias, ...] = ()


class PartnerRecord(Struct, frozen=True, kw_only=True):
    """A partner's track or area, with the origin that exchange verified (never the one the record claims)."""

    origin: Trigraph
    lane: Lane
    record: Track | Area


class WarningRecord(Struct, frozen=True, kw_only=True):
    """A warning, acknowledgement or retraction, own or received, with its verified origin."""

    origin: Trigraph
    record: Warning | Acknowledgement | Retraction


class CombinedTracks(Struct, frozen=True, kw_only=True):
    """Tracks of several nations' reports: per row the nations (bit set over the sorted nations) and an index into `labels`."""

    tracks: Tracks
    nations: np.ndarray[Any, Any]
    labels: tuple[Label, ...]
    label_index: np.ndarray[Any, Any]


class ActAnswer(Struct, frozen=True, kw_only=True):
    """What became of an officer's act: done, or refused with a reason of `errors.toml`."""

    act_id: str
    ok: bool
    reason: str = ""
    text: ShortText = ""


class Notice(Struct, frozen=True, kw_only=True):
    """One line for the watch log."""

    t_ns: TimeNs
    severity: Literal["info", "caution", "alarm"] = "info"
    text: ShortText


class AudienceView(Struct, frozen=True, kw_only=True):
    """Whether one audience may have what carries a label, at which tier, and by which reason."""

    audience: Audience
    permit: bool
    tier: str = ""
    reason: str = ""


class CopInput(Struct, frozen=True, kw_only=True):
    """One tick's input. None means unchanged since the last tick; an empty sequence means that nothing new came."""

    own: Tracks | None = None
    combined: CombinedTracks | None = None
    partners: Sequence[PartnerRecord] = ()
    warnings: Sequence[WarningRecord] = ()
    feeds: Sequence[FeedLight] | None = None
    links: Sequence[LinkLight] | None = None
    sensors: Sequence[SensorLight] | None = None
    counters: Mapping[str, int] | None = None
    answers: Sequence[ActAnswer] = ()
    notices: Sequence[Notice] = ()


class CopSettings(Struct, frozen=True, kw_only=True):
    """Bounds and rates of the picture.

    stale_s: age after which a symbol fades, per domain; at twice that it shows "?", at `drop_factor` times a partner's is
    taken off the map. trail_*: how often and how many past places are kept per track.
    """

    frame_ms: int = 50
    tracks_max: int = 20_000
    gone_max: int = 100_000
    events_max: int = 5_000
    warnings_max: int = 10_000
    trail_period_ms: int = 5_000
    trail_points_max: int = 60
    drop_factor: int = 6
    stale_s: Mapping[str, int] = msgspec.field(default_factory=lambda: dict(STALE_S))
