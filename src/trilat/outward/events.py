"""Declassification events: made of what two people approved, or of a change of agreements; signed by the node. Pure.

What is approved holds the very record that is to go, so that whoever approves reads it, and so that a restart or a replay needs
nothing else. An event has its proposal's id: it is made once, taken once, and found in the log beside who wanted it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from trilat.marking.canonical import Tier
from trilat.policy.agreement import Agreement, Agreements, Seen
from trilat.policy.audience import content_hash
from trilat.records import codec
from trilat.records.approval import Approved
from trilat.records.declassification import Declassification
from trilat.records.fields import Audience, ShortText
from trilat.records.label import Mode
from trilat.records.track import Track
from trilat.records.warning import Warning

DECLASSIFY, LIFE_SAFETY = "declassify", "pre-authorise"
MINUTE_NS = 60 * 1_000_000_000
EVENT_MINUTES = 60
STANDING_DAYS_MAX = 30


class RecordRelease(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Content of a proposal "declassify": one record of this nation, as it holds it, for one audience, no finer than `tier`."""

    audience: Audience
    record: Track | Warning
    tier: Tier = "area"
    reason: ShortText = ""


class StandingRelease(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Content of a proposal "pre-authorise": warnings of `topics` may go to an audience under an agreement's duty to warn."""

    audience: Audience
    agreement: str
    agreement_version: int
    topics: tuple[str, ...]
    level_max: int
    hours: int
    reason: ShortText = ""


class Wanted(NamedTuple):
    """An event that is to be signed, with the record it lets go (empty where it names none)."""

    event: Declassification
    record: bytes = b""


def wanted(approved: Approved, nation: str, mode: Mode) -> Wanted | None:
    """Return the event that an approved proposal asks for; None when it is of another kind."""
    proposal = approved.proposal
    if proposal.kind not in {DECLASSIFY, LIFE_SAFETY}:
        return None
    people = {one.by.user for one in approved.approvals} | ({proposal.by.user} if proposal.by else set())
    whose: dict[str, Any] = {
        "id": proposal.id,
        "nation": nation,
        "mode": mode,
        "t_ns": approved.t_ns,
        "approved_by": tuple(sorted(people)),
    }
    if proposal.kind == LIFE_SAFETY:
        standing = msgspec.json.decode(proposal.content, type=StandingRelease)
        hours = min(max(standing.hours, 1), STANDING_DAYS_MAX * 24)
        return Wanted(
            Declassification(
                kind="life-safety",
                audience=standing.audience,
                expires_ns=approved.t_ns + hours * 60 * MINUTE_NS,
                topics=standing.topics,
                level_max=standing.level_max,
                agreement=standing.agreement,
                agreement_version=standing.agreement_version,
                reason=standing.reason,
                **whose,
            )
        )
    one = msgspec.json.decode(proposal.content, type=RecordRelease)
    event = Declassification(
        kind="approved-release" if proposal.by is None else "officer-act",
        audience=one.audience,
        expires_ns=approved.t_ns + EVENT_MINUTES * MINUTE_NS,
        topics=one.record.label.topics,
        level_max=one.record.label.level,
        tier=one.tier,
        content_sha256=content_hash(one.record),
        reason=one.reason,
        **whose,
    )
    return Wanted(event, codec.encode(one.record))


class Before(NamedTuple):
    """What an earlier run of this store had: the highest version of each agreement, and which were suspended."""

    seen: Mapping[str, Seen]
    suspended: frozenset[str] = frozenset()


def _change(before: Before, now: Agreements, agreement: Agreement, now_ns: int) -> tuple[str, str]:
    """Return what became of an agreement, as a part of an id and in words; empty when nothing did."""
    was, stopped = before.seen.get(agreement.id), agreement.id in now.suspended
    if stopped != (agreement.id in before.suspended):
        # It may be stopped and go on any number of times, so the time is in the id.
        at = now_ns // 1_000_000_000
        short, word = ("off", "suspended") if stopped else ("on", "resumed")
        return f"{agreement.version}-{short}-{at}", f"{agreement.name} {word}"
    if was is not None and was.version == agreement.version:
        return "", ""
    return str(agreement.version), f"{agreement.name} after {'none' if was is None else was.version}"


def changed(
    before: Before, now: Agreements, nation: str, mode: Mode, now_ns: int, recalls: Mapping[str, tuple[int, int]]
) -> Iterable[Wanted]:
    """Yield an event for each audience of each agreement that is new, newer than the highest seen before, stopped, or goes on.

    recalls: audience -> (records released so far, those of them that would not be released today). None at a first start.
    """
    for agreement in now.agreements if before.seen else ():
        what, words = _change(before, now, agreement, now_ns)
        for audience in sorted({flow.to for flow in agreement.flow if flow.origin == nation}) if what else ():
            records, gone = recalls.get(audience, (0, 0))
            told = f"{words}: of {records} records released to {audience}"
            yield Wanted(
                Declassification(
                    id=f"A-{agreement.id}-{what}-{audience}",
                    nation=nation,
                    kind="agreement-change",
                    audience=audience,
                    mode=mode,
                    t_ns=now_ns,
                    expires_ns=now_ns + EVENT_MINUTES * MINUTE_NS,
                    agreement=agreement.id,
                    agreement_version=agreement.version,
                    reason=f"{told}, {gone} would have to be recalled"[:200],
                )
            )
