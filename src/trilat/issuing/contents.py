"""What two people decide about warnings: the contents of proposals, exactly as their hash is over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from trilat.accounts.approvals import ProposalKind
from trilat.accounts.roles import OFFICERS
from trilat.picture.acts import RaiseWarning
from trilat.records.fields import Audience, Count, Name, Probability, ShortText, TimeNs, Trigraph
from trilat.records.label import Mode
from trilat.records.warning import Words

ISSUE, BY_HAND, PRE_AUTHORISE = "issue-warning", "raise-public", "pre-authorise-warning"
# Contents that the node prepares from what it knows: a page can not bring its own.
PREPARED = frozenset({ISSUE, BY_HAND})


class NamedArea(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One area of a variant: how it is touched and how likely, in whole per cent."""

    id: Name
    name: ShortText
    touch: Literal["landing", "overflight"]
    percent: Annotated[int, Meta(ge=0, le=100)]


class Variant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one audience will get: its areas and its words. `warning_id` is its own edition's, empty when it has none yet."""

    audience: Audience
    basis: Literal["own", "approved"]
    warning_id: ShortText = ""
    flight_class: ShortText
    confidence: Probability | None = None
    areas: tuple[NamedArea, ...] = ()
    words: tuple[Words, ...] = ()


class Relay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The partner's warning that a variant passes on."""

    originator: Trigraph
    warning_id: Name
    version: Count


class Issue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Issue a warning, or widen an issued one, to these audiences, each with its own areas, until `until_ns`."""

    mode: ShortText
    warning_id: Name
    version: Count
    until_ns: TimeNs
    widens: bool = False
    relay: Relay | None = None
    variants: Annotated[tuple[Variant, ...], Meta(min_length=1, max_length=12)]


class RaisePublic(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Raise a warning by hand to audiences with PUBLIC among them: exactly this."""

    mode: ShortText
    act: RaiseWarning


class PreAuthorise(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Standing leave to issue without asking for areas of the own nation, when a flight is assessed as surely as this.

    minutes: how long each warning may hold. until_ns: when the leave ends. `audiences` empty takes it away.
    """

    mode: ShortText
    audiences: Annotated[tuple[Audience, ...], Meta(max_length=12)]
    probability_min: Probability
    confidence_min: Probability
    minutes: Annotated[int, Meta(ge=1, le=180)]
    until_ns: TimeNs


KINDS: Mapping[str, ProposalKind] = {
    ISSUE: ProposalKind(Issue, OFFICERS, OFFICERS, 600),
    BY_HAND: ProposalKind(RaisePublic, OFFICERS, OFFICERS, 600),
    PRE_AUTHORISE: ProposalKind(PreAuthorise, OFFICERS, OFFICERS, 86_400),
}


def mode_word(mode: Mode) -> str:
    """Return the mode as contents name it: live, exercise:ID, replay:ID."""
    return mode.kind if mode.kind == "live" else f"{mode.kind}:{mode.id}"


def leave_fault(now_ns: int, mode: Mode, content: str) -> str:
    """Return why a standing leave that somebody proposes is none; empty when it is one."""
    try:
        asked = msgspec.json.decode(content, type=PreAuthorise)
    except msgspec.MsgspecError:
        return "proposal-kind"
    if asked.mode != mode_word(mode):
        return "act-mode"
    return "warning-stale" if asked.until_ns <= now_ns else ""
