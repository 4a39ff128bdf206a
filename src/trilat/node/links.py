"""What a node says of its links: a report for `trilat links`, figures, and a line of the log when one changes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

from msgspec import Struct, structs

from trilat.errors import codes
from trilat.exchange.exchange import LinkState
from trilat.exchange.station import LANE_UNREADABLE
from trilat.node.health import Health

NS = 1_000_000_000
HEAD_DIGITS = 16
# How much a lane may lag before somebody should look, although the partner is heard: about a minute of a watch.
LAG_LOOK_S = 60.0
# What each state asks for when no error of the reference says it better.
TO_DO = {
    "up": "",
    "late": "Wait: a slow or lossy line is the usual cause.",
    "down": "It is called again by itself; check the address, the route, the firewall, and call the partner.",
    "never": "Never heard since this node started: is the partner's node up, and has it accepted your newest invite?",
    "refused": "It refuses what comes after {}.{}: see the reason, and recall the record at fault (`trilat recall`).",
}


class Line(Protocol):
    """One connection of the transport: to whom, which lane and way, and what keeps it down."""

    @property
    def partner(self) -> str: ...  # noqa: D102
    @property
    def lane(self) -> str: ...  # noqa: D102
    @property
    def direction(self) -> str: ...  # noqa: D102
    @property
    def fault(self) -> str: ...  # noqa: D102


class LinkReport(Struct, frozen=True, kw_only=True):
    """One lane with one partner, one way, as operators read it. Ages in seconds; None = never.

    lag_records / lag_s: what waits for the partner's receipt and for how long (out), or since when we are not level (in).
    dropped: what policy dropped before it had a number, by reason (superseded, expired, shed, withdrawn), or because its bits had
    rotted (damaged). rejected: by reason, of
    the partner on all its lanes. why / do: what is wrong, and what to do about it; both empty when nothing is.
    """

    partner: str
    lane: str
    direction: str
    state: str
    age_s: float | None
    lag_records: int
    lag_s: float
    receipt_age_s: float | None
    epoch: int
    sequence: int
    head: str
    receipt_sequence: int
    rejected: dict[str, int]
    dropped: dict[str, int]
    forks: int
    lost: int
    recalled: int
    duplicates: int
    kept_aside: int
    unchecked: int = 0
    why: str = ""
    do: str = ""


def _reason(name: str) -> tuple[str, str]:
    """Return sentence and remedy of an error's name."""
    for code, entry in codes().items():
        if entry["name"] == name:
            return f"{code} {name}: {entry['says']}", entry["remedy"]
    return name, ""


def _advice(link: LinkState, state: str, fault: str) -> tuple[str, str]:
    """Return what is wrong with a lane, and what to do."""
    unreadable = link.trouble == LANE_UNREADABLE  # our own disk: whatever the line does
    if fault and state != "up" and not unreadable:
        why, _, remedy = fault.partition("\n  What to do: ")
        return why, remedy
    if link.trouble:
        why, remedy = _reason(link.trouble)
        theirs = link.direction == "out" and not unreadable
        return why, TO_DO["refused"].format(link.receipt.epoch, link.receipt.sequence) if theirs else remedy
    if link.forks or link.damaged:
        return _reason("fork-seen" if link.forks else "record-damaged")
    if state != "up":
        return f"state {state}", TO_DO[state]
    if link.direction == "out" and link.lag_ns > LAG_LOOK_S * NS:
        return f"{link.lag_records} records wait, the oldest for {link.lag_ns / NS:.0f} s", TO_DO["late"]
    return "", ""


def report(
    now_ns: int,
    links: Sequence[LinkState],
    lines: Sequence[Line] = (),
    refused: Mapping[tuple[str, str], int] = MappingProxyType({}),
) -> list[LinkReport]:
    """Return the report of every lane, both ways; a connection's fault is the why of a lane that is down.

    refused: what the transport refused, by partner and reason, beside what the exchange did.
    """
    faults = {(line.partner, line.lane, line.direction): line.fault for line in lines}
    made = []
    for link in links:
        fault = faults.get((link.partner, link.lane, "export" if link.direction == "out" else "import"), "")
        why, remedy = _advice(link, link.health, fault)
        if link.shed and why:  # what is wrong is why they wait; this is what it has cost
            full, more = _reason("outbox-full")
            why, remedy = f"{why} {full}", f"{remedy} {more}".strip()
        dropped = {why: n for why in ("superseded", "expired", "shed", "withdrawn", "damaged") if (n := getattr(link, why))}
        made.append(
            LinkReport(
                partner=link.partner,
                lane=link.lane,
                direction=link.direction,
                state=link.health,
                age_s=None if link.age_ns is None else max(link.age_ns, 0) / NS,
                lag_records=link.lag_records,
                lag_s=max(link.lag_ns, 0) / NS,
                receipt_age_s=(now_ns - link.receipt_t_ns) / NS if link.receipt_t_ns else None,
                epoch=link.cursor.epoch,
                sequence=link.cursor.sequence,
                head=link.cursor.head.hex()[:HEAD_DIGITS],
                receipt_sequence=link.receipt.sequence,
                rejected=link.rejected | {name: n for (partner, name), n in sorted(refused.items()) if partner == link.partner},
                dropped=dropped,
                forks=link.forks,
                lost=link.lost,
                recalled=link.recalled,
                duplicates=link.duplicates,
                kept_aside=link.kept_aside,
                unchecked=link.unchecked,
                why=why,
                do=remedy,
            )
        )
    return made


def measure(health: Health, links: Sequence[LinkReport]) -> None:
    """Set the figures of every lane."""
    for link in links:
        at = (link.partner, link.lane, link.direction)
        health.put("trilat_link_state", float(link.state == "up"), *at)
        if link.age_s is not None:
            health.put("trilat_link_age_seconds", link.age_s, *at)
        if link.receipt_age_s is not None:
            health.put("trilat_link_receipt_age_seconds", link.receipt_age_s, *at)
        health.put("trilat_link_lag_seconds", link.lag_s, *at)
        health.put("trilat_link_epoch", link.epoch, *at)
        health.put("trilat_link_sequence", link.sequence, *at)
        health.put("trilat_link_forks", link.forks, *at)
        health.put("trilat_link_lost_total", link.lost, *at)
        health.put("trilat_link_recalled_total", link.recalled, *at)
        if link.direction == "in":
            health.put("trilat_link_up", float(link.state == "up"), link.partner, link.lane)
            health.put("trilat_link_duplicates_total", link.duplicates, link.partner, link.lane)
            health.put("trilat_link_unchecked_total", link.unchecked, link.partner, link.lane)
            health.put("trilat_link_kept_aside_total", link.kept_aside, link.partner, link.lane)
        else:
            health.put("trilat_link_lag_records", link.lag_records, link.partner, link.lane)
            for why, n in link.dropped.items():
                health.put("trilat_link_dropped_total", n, link.partner, link.lane, why)
        for reason, n in link.rejected.items():
            health.put("trilat_rejected_total", n, link.partner, reason)


class Change(NamedTuple):
    """A lane whose state is another than it was, or whose records began to be shed: one line of the log."""

    link: LinkReport
    before: str


class Watch:
    """Remembers how each lane was, so that the log says what changed once, and what to do."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, str, str], tuple[str, str]] = {}
        # How many of a lane were shed by the last look, and whether more than by the one before.
        self._shed: dict[tuple[str, str, str], tuple[int, bool]] = {}

    def changes(self, links: Sequence[LinkReport]) -> Iterator[Change]:
        """Yield the lanes whose state or reason is another than the last time; a lane that starts out well is not news."""
        for link in links:
            at, now = (link.partner, link.lane, link.direction), (link.state, link.why.partition(":")[0])
            before = self._before.get(at, ("never", ""))
            self._before[at] = now
            began = self._began_to_shed(link)
            if began or before[0] != now[0] or (now[1] and before[1] != now[1] and link.state == "refused"):
                full, more = _reason("outbox-full")
                yield Change(structs.replace(link, why=full, do=more) if began and not link.why else link, before[0])

    def _began_to_shed(self, link: LinkReport) -> bool:
        """Tell whether records of a lane are shed now that were not at the last look: news once, not with every record."""
        at, shed = (link.partner, link.lane, link.direction), link.dropped.get("shed", 0)
        before, was = self._shed.get(at, (0 if self._shed else shed, False))
        self._shed[at] = (shed, shed > before)
        return shed > before and not was
