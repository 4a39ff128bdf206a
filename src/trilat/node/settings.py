"""Settings of a node: what a `node.toml` may hold. Ranges and units are in the types; defaults are the sensible ones."""

from typing import Annotated

from msgspec import Meta, Struct

from trilat.records.fields import Finite, Name, TimeNs, Trigraph
from trilat.records.label import FieldOperation
from trilat.records.sensor import SensorSite

Path = Annotated[str, Meta(min_length=1, max_length=4096)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Host = Annotated[str, Meta(min_length=1, max_length=253)]
Milliseconds = Annotated[int, Meta(ge=1, le=60_000)]
ModeText = Annotated[str, Meta(pattern="^(live|(exercise|replay):[A-Za-z0-9._-]{1,64})$")]


class _Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all settings: an unknown key is an error, never ignored."""


class LabelSettings(_Settings, frozen=True, kw_only=True):
    """The label of what a sensor reports. Without one, it is for the own nation only."""

    level: Annotated[int, Meta(ge=0, le=4)] = 4
    rel_to: tuple[Annotated[str, Meta(pattern="^([A-Z]{3}|PUBLIC)$")], ...] = ()
    communities: tuple[Name, ...] = ()
    topics: tuple[Name, ...] = ()
    caveats: tuple[Name, ...] = ()
    purposes: tuple[Name, ...] = ()
    not_before_ns: TimeNs | None = None
    expires_ns: TimeNs | None = None
    operations: tuple[FieldOperation, ...] = ()


class SensorSettings(SensorSite, frozen=True, kw_only=True):
    """One sensor of this nation: its site and figures, and the label of its reports."""

    label: LabelSettings = LabelSettings()


class FeedSettings(_Settings, frozen=True, kw_only=True):
    """One feed: where its bytes come from, what they are, and which sensors speak in it.

    url: udp://HOST:PORT (bind), tcp://HOST:PORT (connect), tcp-listen://HOST:PORT, file:PATH. `options` go to the decoder.
    """

    name: Name
    format: Name
    url: Annotated[str, Meta(min_length=5, max_length=4096)]
    sensors: Annotated[tuple[Name, ...], Meta(min_length=1)]
    editions: dict[str, str] = {}
    options: dict[str, str] = {}


class PartnerSettings(_Settings, frozen=True, kw_only=True):
    """One partner: its pinned keys and address, as made by `trilat partner accept`."""

    nation: Trigraph
    file: Path


class StepSettings(_Settings, frozen=True, kw_only=True):
    """The step loop: how often it runs and how much may wait for it."""

    tick_ms: Milliseconds = 50
    queue_max: Annotated[int, Meta(ge=16, le=1_000_000)] = 20_000
    tracks_max: Annotated[int, Meta(ge=16, le=1_000_000)] = 20_000
    state_tick_ms: Milliseconds = 200


class PageSettings(_Settings, frozen=True, kw_only=True):
    """The page: where it is served and how often it moves. Loopback only unless configured."""

    host: Host = "127.0.0.1"
    port: Port = 8080
    frame_ms: Milliseconds = 200
    places: Path | None = None
    origins: tuple[str, ...] = ()


class ExchangeSettings(_Settings, frozen=True, kw_only=True):
    """The exchange: the own server (or an existing cluster) and where it listens. Loopback only unless configured."""

    listen_host: Host = "127.0.0.1"
    listen_port: Port = 0
    nats_server_path: Path | None = None
    nats_urls: tuple[str, ...] = ()


class StoreSettings(_Settings, frozen=True, kw_only=True):
    """The store: what is kept, and for how long."""

    retention_days: Annotated[int, Meta(ge=1, le=36_500)] = 30
    journal_inputs: bool = True


class PlaceSettings(_Settings, frozen=True, kw_only=True):
    """Where the page opens: the middle of the picture."""

    lat_deg: Finite = 33.5
    lon_deg: Finite = 129.5
    zoom: Annotated[float, Meta(ge=0, le=20)] = 5.5


class NodeConfig(_Settings, frozen=True, kw_only=True):
    """The configuration of one node. `nation` and `mode` have no default; paths are relative to the file."""

    nation: Trigraph
    mode: ModeText
    name: Name
    directory: Path
    keys: Path
    policy: Name = "TRILAT"
    agreements: tuple[Path, ...] = ()
    partner: tuple[PartnerSettings, ...] = ()
    sensor: tuple[SensorSettings, ...] = ()
    feed: tuple[FeedSettings, ...] = ()
    step: StepSettings = StepSettings()
    page: PageSettings = PageSettings()
    exchange: ExchangeSettings = ExchangeSettings()
    store: StoreSettings = StoreSettings()
    view: PlaceSettings = PlaceSettings()
