"""Settings of a node: what a `node.toml` may hold. Ranges and units are in the types; defaults are the sensible ones."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from trilat.records.fields import Finite, Name, TimeNs, Trigraph
from trilat.records.label import FieldOperation
from trilat.records.sensor import SensorSite

Path = Annotated[str, Meta(min_length=1, max_length=4096)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Host = Annotated[str, Meta(min_length=1, max_length=253)]
Milliseconds = Annotated[int, Meta(ge=1, le=60_000)]
ModeText = Annotated[str, Meta(pattern=r"^(live|(exercise|replay):[A-Za-z0-9._-]{1,64})$(?!\n)")]


class _Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all settings: an unknown key is an error, never ignored."""


class LabelSettings(_Settings, frozen=True, kw_only=True):
    """The label of what a sensor reports. Without one, it is for the own nation only."""

    level: Annotated[int, Meta(ge=0, le=4)] = 4  # 0..4, TRILAT-0 to TRILAT-4; the highest unless said
    rel_to: tuple[
        Annotated[str, Meta(pattern=r"^([A-Z]{3}|PUBLIC)$(?!\n)")], ...
    ] = ()  # nations (and PUBLIC) it may go to; empty = nobody else
    communities: tuple[Name, ...] = ()  # all of these must be held
    topics: tuple[Name, ...] = ()  # all of these must be agreed
    caveats: tuple[Name, ...] = ()  # all of these must be permitted
    purposes: tuple[Name, ...] = ()  # what it may be used for; empty = as agreed
    not_before_ns: TimeNs | None = None  # nobody else has it before
    expires_ns: TimeNs | None = None  # nobody else has it after
    operations: tuple[FieldOperation, ...] = ()  # what is done to single fields before they leave


class SensorSettings(SensorSite, frozen=True, kw_only=True):
    """One sensor of this nation: its site and figures, and the label of its reports."""

    label: LabelSettings = LabelSettings()  # who may have what it reports


class FeedSettings(_Settings, frozen=True, kw_only=True):
    """One feed: where its bytes come from, what they are, and which sensors speak in it.

    url: udp://HOST:PORT (bind; a multicast group is joined), tcp://HOST:PORT (connect), tcp-listen://HOST:PORT, file:PATH.
    `options` go to the decoder.
    """

    name: Name  # what pages and figures call it
    format: Name  # one of the formats of `trilat decode --help`
    url: Annotated[str, Meta(min_length=5, max_length=4096)]  # where its bytes come from
    sensors: Annotated[tuple[Name, ...], Meta(min_length=1)]  # ids of the sensors that speak in it
    editions: dict[str, str] = {}  # edition per ASTERIX category: { "048" = "1.31" }
    options: dict[str, str] = {}  # what the format's decoder can be told
    beyond_loopback: bool = False  # leave to listen (udp, tcp-listen) for senders on other machines
    interface: Annotated[str, Meta(max_length=15)] = ""  # IPv4 address at which a multicast group is joined; none: as routed


class PartnerSettings(_Settings, frozen=True, kw_only=True):
    """One partner: its pinned keys and address, as made by `trilat partner accept`."""

    nation: Trigraph  # the partner
    file: Path  # its partner file, with its pinned keys and address


class StepSettings(_Settings, frozen=True, kw_only=True):
    """The step loop: how often it runs and how much may wait for it."""

    tick_ms: Milliseconds = 100  # how often the loop steps and takes in what the feeds brought
    queue_max: Annotated[int, Meta(ge=16, le=1_000_000)] = 20_000  # of one feed, waiting for a step; more is dropped and counted
    tracks_max: Annotated[int, Meta(ge=16, le=1_000_000)] = 20_000  # tracks a tracker may hold
    state_tick_ms: Milliseconds = 100  # how often tracks leave for a partner; a whole number of the loop's steps


class PageSettings(_Settings, frozen=True, kw_only=True):
    """The page: where it is served and how often it moves. Loopback only unless configured."""

    host: Host = "127.0.0.1"  # where the page is served
    port: Port = 8080  # 0 = one that is free
    frame_ms: Milliseconds = 50  # how far apart two pictures are at the least; one is sent when there is something new
    places: Path | None = None  # a JSON file of places to draw on the map
    origins: tuple[str, ...] = ()  # other addresses under which the page may be opened


class AccountsSettings(_Settings, frozen=True, kw_only=True):
    """Accounts at the page: how long a login lasts, and what counts as one station."""

    idle_minutes: Annotated[int, Meta(ge=1, le=1_440)] = 30  # a session without an open page ends after this
    session_hours: Annotated[int, Meta(ge=1, le=48)] = 12  # every session ends after this: a watch's length
    station: Literal["browser", "address"] = "browser"  # what one station is; address where each desk has its own


class ExchangeSettings(_Settings, frozen=True, kw_only=True):
    """The exchange: the own server (or an existing cluster) and where it listens. Loopback only unless configured."""

    listen_host: Host = "127.0.0.1"  # where partners reach the own server
    listen_port: Port = 0  # 0 = one that is free
    nats_server_path: Path | None = None  # the nats-server to start; without it the one that was installed along
    tick_ms: Annotated[int, Meta(ge=5, le=1_000)] = 25  # what was released leaves on this tick, however long its step took
    nats_urls: tuple[str, ...] = ()  # an existing cluster to use instead of an own server
    outbox_bytes_max: Annotated[int, Meta(ge=65_536)] = (
        1 << 30
    )  # what may wait unsent for one partner; then history, then state is dropped
    group_records_max: Annotated[int, Meta(ge=1, le=65_536)] = 512  # records and requests that one commit takes together
    group_wait_ms: Annotated[float, Meta(ge=0, le=1_000)] = 0.0  # how long a commit waits for more to share it; flash never waits


class StoreSettings(_Settings, frozen=True, kw_only=True):
    """The store: what is kept, and for how long."""

    retention_days: Annotated[int, Meta(ge=1, le=36_500)] = 30  # how long records and the journal are kept
    feed_bytes_per_day_max: Annotated[int, Meta(ge=1 << 20)] = 4 << 30  # what one feed may bring; more is dropped and counted
    journal_inputs: bool = True  # keep every input, so that the day can be replayed


class WarningSettings(_Settings, frozen=True, kw_only=True):
    """Warnings of launches: the areas that they name."""

    areas: Path | None = None  # a GeoJSON file of areas in place of the one that ships (docs/how-to/warn-of-a-launch.md)


class OutputSettings(_Settings, frozen=True, kw_only=True):
    """One output: where what the public is told goes, in which forms. Options are the kind's own."""

    name: Name  # its name in the log, the metrics and its file of receipts
    kind: Name  # "file", "http-post", or a plug-in's (entry point group trilat.outputs)
    forms: Annotated[tuple[Literal["cap", "geojson", "kml", "text"], ...], Meta(min_length=1)] = ("cap",)  # what it gets
    options: dict[str, str] = {}  # file: directory; http-post: url, timeout_s, authorization_file


class PlaceSettings(_Settings, frozen=True, kw_only=True):
    """Where the page opens: the middle of the picture."""

    lat_deg: Finite = 33.5  # the middle
    lon_deg: Finite = 129.5  # the middle
    zoom: Annotated[float, Meta(ge=0, le=20)] = 5.5  # Web Mercator zoom; 5.5 shows a sea and its coasts


class NodeConfig(_Settings, frozen=True, kw_only=True):
    """The configuration of one node. `nation` and `mode` have no default; paths are relative to the file."""

    nation: Trigraph  # whose node this is
    mode: ModeText  # "live", "exercise:ID" or "replay:ID"; a process has one
    name: Name  # what pages and logs call the node
    directory: Path  # where the store lives
    keys: Path  # the key directory that `trilat keys` made
    policy: Name = "TRILAT"  # the security policy its labels are of
    agreements: tuple[Path, ...] = ()  # agreement files, each signed by its parties (in FILE.sig.json, for FILE.toml)
    suspended: tuple[Name, ...] = ()  # ids of agreements that this nation has stopped: all that they govern is withheld
    policy_keys: dict[Trigraph, str] = {}  # each party's public policy key ("ed25519:..."), pinned
    partner: tuple[PartnerSettings, ...] = ()  # the partners
    sensor: tuple[SensorSettings, ...] = ()  # the nation's sensors
    feed: tuple[FeedSettings, ...] = ()  # where reports come in
    step: StepSettings = StepSettings()  # the loop
    page: PageSettings = PageSettings()  # the page
    accounts: AccountsSettings = AccountsSettings()  # who may come in at the page
    exchange: ExchangeSettings = ExchangeSettings()  # the link to partners
    store: StoreSettings = StoreSettings()  # what is kept
    output: tuple[OutputSettings, ...] = ()  # where public warnings go
    warning: WarningSettings = WarningSettings()  # warnings of launches
    view: PlaceSettings = PlaceSettings()  # where the page opens
