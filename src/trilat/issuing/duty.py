"""What a partner is told of a flight by a standing duty to warn: what may land in its own territory, and nothing finer.

Only where nothing of its own tells it: no edition of its own sensors, none that two people approved. Whether it goes at all is
decided at that audience's door, by a signed life-safety event (outward.doors); here is only made what would go.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from trilat.issuing.books import NATIONAL, Key, Moved
from trilat.issuing.state import Desk
from trilat.products.texts import with_words
from trilat.records.assessment import TouchedArea
from trilat.records.released import Released
from trilat.records.report import Pedigree
from trilat.records.warning import FlightFacts, Retraction, Warning

# How coarse: nobody need have read it before it goes, so nothing of how well the nation sees is to be had from it.
TIME_STEP_NS = 30 * 10**9
SHARE_STEP = 0.1


def tell(now_ns: int, desk: Desk, moved: Iterable[Moved]) -> tuple[list[Released], list[str]]:
    """Return what leaves by duty because national warnings moved, and a line for the watch log on each."""
    released: list[Released] = []
    lines: list[str] = []
    for one in moved:
        national = one.after.warning
        if one.audience != NATIONAL or national.state == "retracted" or national.reason == "reinstated":
            continue  # those go as a retraction and its reverse
        for name in sorted(set(desk.audiences) - set(desk.books.editions(one.key))):
            sent = desk.audiences[name].warn_by_duty(now_ns, national, told_of(national, name))
            released += sent
            lines += [f"{national.id} goes to {name} by event {each.decision}: areas of its own only" for each in sent]
    return released, lines


def end(now_ns: int, desk: Desk, national: Key, made: Retraction) -> list[Released]:
    """Return a national retraction (or its reverse) for those who got the warning by duty."""
    others = sorted(set(desk.audiences) - set(desk.books.editions(national)))
    return [one for name in others for one in desk.audiences[name].retract(now_ns, made)]


def told_of(national: Warning, nation: str) -> Warning:
    """Return what a nation may be told of a flight by duty: its own areas in which it may come down, if any, and until when.

    No place, no class, no sensor; times and probabilities rounded, never towards safety.
    """
    theirs = tuple(_coarse(one) for one in national.touched if one.touch == "landing" and one.nation == nation)
    state = "assessed" if national.state in ("issued", "updated") else national.state
    return with_words(
        msgspec.structs.replace(
            national,
            state=state,
            issued=False,
            reason="duty-to-warn",
            raised_by=national.pedigree.nation,
            pedigree=Pedigree(nation=national.pedigree.nation),
            confidence=None,
            areas=(),
            event_t_ns=None,
            expires_ns=_up(national.expires_ns),
            flight=FlightFacts(),
            touched=theirs,
        )
    )


def _coarse(area: TouchedArea) -> TouchedArea:
    return msgspec.structs.replace(
        area,
        probability=min(1.0, -(-area.probability // SHARE_STEP) * SHARE_STEP),
        t_from_ns=area.t_from_ns // TIME_STEP_NS * TIME_STEP_NS,
        t_to_ns=_up(area.t_to_ns),
    )


def _up(t_ns: int) -> int:
    return -(-t_ns // TIME_STEP_NS) * TIME_STEP_NS
