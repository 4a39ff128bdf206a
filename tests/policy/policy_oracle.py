"""A second, naive reading of the rules, written from DESIGN section 4 and not from the code: what the tests believe.

It uses none of `trilat.policy`'s functions: no masks, no tables, no caches, no shared helpers.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

ORDER = ["plot", "tracklet", "track", "area"]


@lru_cache(maxsize=64)
def when(t_ns: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=t_ns // 1000)


@lru_cache(maxsize=10_000)
def believable(label: Any) -> bool:
    lists = [label.rel_to, label.communities, label.topics, label.caveats, label.purposes, label.sources]
    if any(list(one) != sorted(set(one)) for one in lists):
        return False
    if any(not nation.isupper() or not nation.isascii() for nation in (*label.rel_to, *label.sources, label.originator)):
        return False
    return not (label.rel_to and not label.topics)


def flow_for(agreement: Any, origin: str, to: str, topic: str) -> Any:
    for flow in agreement.flow:
        if flow.origin == origin and flow.to == to and topic in flow.topics:
            return flow
    return None


def in_force(agreement: Any, now_ns: int) -> bool:
    return agreement.validity.not_before <= when(now_ns) < agreement.validity.expires


def governing(label: Any, to: str, now_ns: int, agreements: Any) -> list[tuple[Any, Any]] | None:
    pairs: list[tuple[Any, Any]] = []
    for topic in label.topics:
        here = [one for one in agreements.agreements if in_force(one, now_ns) and flow_for(one, label.originator, to, topic)]
        strong = [one for one in here if not [other for other in here if other.id in one.yields_to]]
        if strong == []:
            return None
        for one in strong:
            pair = (one, flow_for(one, label.originator, to, topic))
            if not any(pair[0] is a and pair[1] is f for a, f in pairs):
                pairs.append(pair)
    return pairs or None


def ceiling(agreement: Any, to: str) -> int:
    return agreement.public.ceiling if to == "PUBLIC" else {party.nation: party.ceiling for party in agreement.party}[to]


def communities(agreement: Any, to: str) -> set[str]:
    return set() if to == "PUBLIC" else set({party.nation: party.communities for party in agreement.party}[to])


def level_in(agreement: Any, label: Any) -> int | None:
    if agreement.policy == label.policy:
        return int(label.level)
    said = [
        one.level_here
        for one in agreement.equivalence
        if one.policy == label.policy and one.level == label.level and one.policy_here == agreement.policy
    ]
    return max(said) if said else None


def third_parties_agree(agreement: Any, label: Any, to: str) -> bool:
    for source in label.sources:
        if source in {label.originator, to}:
            continue
        if [one for one in label.consents if one.source == source and one.recipient == to]:
            continue
        standing = {topic for one in agreement.consent if one.source == source and one.recipient == to for topic in one.topics}
        if not set(label.topics) <= standing:
            return False
    return True


def tier(flow: Any, sensors: Any) -> int:
    every = [ORDER.index(flow.tier), *(ORDER.index(one.tier) for one in flow.sensor)]
    if not sensors:
        return max(every)
    worst = 0
    for sensor in sensors:
        named = [ORDER.index(one.tier) for one in flow.sensor if one.id == sensor.id]
        kind = [ORDER.index(one.tier) for one in flow.sensor if sensor.kind is not None and one.kind == sensor.kind]
        other = max(every) if sensor.kind is None else ORDER.index(flow.tier)
        worst = max(worst, (named or kind or [other])[0])
    return worst


def may_have(label: Any, to: str, context: Any, agreements: Any) -> dict[str, Any] | None:  # noqa: PLR0911 - one question a line
    """None = withheld; else what must come with it: tier, purposes, hub, who governs."""
    if label is None or not believable(label):
        return None
    if label.originator != context.nation or label.mode != context.mode:
        return None
    if label.not_before_ns is not None and context.now_ns < label.not_before_ns:
        return None
    if label.expires_ns is not None and context.now_ns >= label.expires_ns:
        return None
    pairs = governing(label, to, context.now_ns, agreements)
    if pairs is None:
        return None
    door = opened(label, to, context, pairs)
    if to not in label.rel_to and not door:
        return None
    uses = None if label.purposes == () else set(label.purposes)
    hubs = set()
    for agreement, flow in pairs:
        level = level_in(agreement, label)
        if agreement.id in agreements.suspended or context.mode.kind not in agreement.modes or level is None:
            return None
        strict = level > ceiling(agreement, to)
        strict = strict or not set(label.communities) <= communities(agreement, to)
        strict = strict or not set(label.caveats) <= set(agreement.caveats)
        if (strict and not door) or not third_parties_agree(agreement, label, to):
            return None
        uses = set(agreement.purposes) if uses is None else uses & set(agreement.purposes)
        if flow.via is not None:
            hubs.add(flow.via)
    if not uses or len(hubs) > 1 or not hubs <= set(context.hubs):
        return None
    return {
        "tier": max(tier(flow, context.sensors) for _, flow in pairs),
        "purposes": tuple(sorted(uses)),
        "via": next(iter(hubs), None),
        "agreements": {f"{agreement.id}/{agreement.version}" for agreement, _ in pairs},
    }


def opened(label: Any, to: str, context: Any, pairs: Any) -> bool:  # noqa: PLR0911 - one question a line
    event = context.declassification
    if event is None or event.kind == "agreement-change":
        return False
    if event.nation != context.nation or event.audience != to or event.mode != context.mode:
        return False
    if not event.t_ns <= context.now_ns < event.expires_ns or label.level > event.level_max:
        return False
    if label.topics == () or not set(label.topics) <= set(event.topics):
        return False
    if event.kind == "life-safety":
        duties = [
            agreement.duty_to_warn is not None and set(label.topics) <= set(agreement.duty_to_warn.topics)
            for agreement, _ in pairs
        ]
        return all(duties) and any((a.id, a.version) == (event.agreement, event.agreement_version) for a, _ in pairs)
    if event.content_sha256 is None or event.content_sha256 != context.content_sha256:
        return False
    return len(set(event.approved_by)) > 1
