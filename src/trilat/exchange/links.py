"""Link states: what operators, the page and the metrics see of every lane with every partner. Pure."""

from typing import Literal

from msgspec import Struct

from trilat.exchange.exporter import Exporter
from trilat.exchange.importer import Importer
from trilat.exchange.station import Station
from trilat.records.exchange import Cursor
from trilat.records.fields import Lane

MS = 1_000_000
LinkHealth = Literal["up", "late", "down", "never", "refused"]


class LinkState(Struct, frozen=True, kw_only=True):
    """One lane with one partner, one way. partner: "KOR", or "KOR/USA" for the stream with KOR through USA.

    age_ns: since the last verified message; None = never heard.

    Outbound: lag_records wait or are not receipted, the oldest for lag_ns; receipt is the partner's last signed one.
    Inbound: lag_ns since the lane was last known to be level; cursor is what we hold. rejected: by reason, both lanes' sum.
    trouble: the reason why the importer refuses what comes next, until it is recalled or mended.
    """

    partner: str
    lane: Lane
    direction: Literal["out", "in"]
    health: LinkHealth
    age_ns: int | None
    lag_records: int
    lag_ns: int
    cursor: Cursor
    receipt: Cursor
    receipt_t_ns: int
    rejected: dict[str, int]
    forks: int
    lost: int
    superseded: int = 0
    expired: int = 0
    shed: int = 0
    withdrawn: int = 0
    damaged: int = 0
    recalled: int = 0
    duplicates: int = 0
    kept_aside: int = 0
    trouble: str = ""
    credit_bytes: int = 0
    window: int = 0


def _health(now_ns: int, station: Station, heard_ns: int | None, trouble: str, via: str | None) -> LinkHealth:
    if heard_ns is None:
        return "never"
    settings, age_ms = station.settings, (now_ns - heard_ns) // MS
    if via is not None:  # heard as often as pulls through a hub end, and no oftener
        age_ms -= settings.hub_wait_ms
    if age_ms >= settings.down_ms:
        return "down"
    if trouble:
        return "refused"
    return "late" if age_ms >= settings.late_ms else "up"


def link_out(now_ns: int, exporter: Exporter, *, readable: bool) -> LinkState:
    """Return the state of one outbound lane; without a readable store the counts of what waits are 0."""
    station, state, outbox = exporter.station, exporter.state, exporter.station.store.outbox
    waiting, _ = outbox.queue_size(exporter.name, exporter.lane) if readable else (0, 0)
    receipted = state.receipt.sequence if state.receipt.epoch == state.last.epoch else 0
    unreceipted = state.last.sequence - receipted
    oldest_ns = outbox.queue_oldest_ns(exporter.name, exporter.lane) if waiting else None
    if unreceipted and readable:
        oldest_ns = outbox.sent_ns(exporter.name, exporter.lane, state.last.epoch, receipted + 1)
    return LinkState(
        partner=exporter.name,
        lane=exporter.lane,
        direction="out",
        health=_health(now_ns, station, exporter.heard_ns, exporter.trouble, exporter.via),
        age_ns=None if exporter.heard_ns is None else now_ns - exporter.heard_ns,
        lag_records=waiting + unreceipted,
        lag_ns=max(now_ns - oldest_ns, 0) if oldest_ns is not None else 0,
        cursor=state.last,
        receipt=state.receipt,
        receipt_t_ns=state.receipt_t_ns,
        rejected=station.tally.by_reason(exporter.name),
        forks=outbox.fork_count(exporter.name, exporter.lane) if readable else 0,
        lost=state.lost,
        superseded=state.superseded,
        expired=state.expired,
        shed=state.shed,
        withdrawn=state.withdrawn,
        damaged=state.damaged,
        recalled=state.recalled,
        trouble=exporter.trouble,
    )


def link_in(now_ns: int, importer: Importer, *, readable: bool) -> LinkState:
    """Return the state of one inbound lane."""
    station, state = importer.station, importer.state
    return LinkState(
        partner=importer.name,
        lane=importer.lane,
        direction="in",
        health=_health(now_ns, station, importer.heard_ns, importer.trouble, importer.via),
        age_ns=None if importer.heard_ns is None else now_ns - importer.heard_ns,
        lag_records=importer.early,
        lag_ns=0 if importer.level_ns is None else now_ns - importer.level_ns,
        cursor=state.cursor,
        receipt=state.cursor,
        receipt_t_ns=state.received_t_ns,
        rejected=station.tally.by_reason(importer.name),
        forks=station.store.inbox.fork_count(importer.name, importer.lane) if readable else 0,
        lost=state.lost,
        recalled=state.recalled,
        duplicates=state.duplicates,
        kept_aside=state.kept_aside,
        trouble=importer.trouble,
        credit_bytes=importer.pace.credit_bytes,
        window=importer.pace.window,
    )
