"""What a decision is made from and what it is: context, compiled labels and grants, and the tables of rules.

Each rule is one comparison with a name, a reason and a sentence. `decide` stops at the first that fails; `explain` shows
them all; a declassification event may set aside those in `OPENED_BY_EVENTS` and no others.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from msgspec import Struct

from trilat.marking.canonical import PURPOSE_NONE, TIERS, Tier
from trilat.marking.display import level_name
from trilat.policy.agreement import Agreement, Flow
from trilat.policy.labels import meet_purposes
from trilat.records.declassification import Declassification
from trilat.records.fields import Audience, Name, Trigraph
from trilat.records.label import FieldOperation, Label, Mode
from trilat.records.sensor import SensorKind

TIME_MAX_NS = 2**63 - 1
APPROVERS_MIN = 2  # different people behind an act that opens a door
OPENED_BY_EVENTS = frozenset({"rel-to", "ceiling", "communities", "caveats"})


class SensorClass(NamedTuple):
    """What an agreement's tiers may speak of: one sensor by id, or all of a kind. An unknown sensor has kind None."""

    id: str
    kind: SensorKind | None


class Context(Struct, frozen=True, kw_only=True):
    """Who decides, in which mode, when, and about whose data.

    nation: the node's own; only its own data is ever decided on. sensors: what the record rests on; none named = the
    coarsest tier of the flow. hubs: nations through which this node can send sealed envelopes on.
    declassification: a verified event that may apply; content_sha256: the hash of the record's canonical bytes, when one
    record (and not a batch's label) is decided on.
    """

    nation: Trigraph
    mode: Mode
    now_ns: int
    sensors: tuple[SensorClass, ...] = ()
    hubs: tuple[Trigraph, ...] = ()
    declassification: Declassification | None = None
    content_sha256: bytes | None = None


class Decision(Struct, frozen=True, kw_only=True, cache_hash=True):
    """Whether one label may go to one audience, how, and why.

    reason: a name of `errors.toml` for a denial, else "permitted", "own-nation" or "declassified".
    label_hash: of the label decided on, which `release` compares with the record's; empty when there was none.
    rule: which rule, of the label ("rel-to") or of an agreement ("usa-jpn/3/ceiling"); for a permit the first agreement
    that carries it ("usa-jpn/3"), with all of them in `agreements`.
    operations: the strictest of label and agreements, to be applied by `release`. tier: the finest form that may leave.
    purposes: what the recipient may use it for. via: the hub it must go through, None = direct.
    not_before_ns / expires_ns: this decision holds for now in [not_before_ns, expires_ns) and no longer.
    Neither reason nor rule is ever sent to anybody.
    """

    permit: bool
    audience: Audience
    reason: Name
    rule: Name
    label_hash: bytes = b""
    tier: Tier = "area"
    operations: tuple[FieldOperation, ...] = ()
    purposes: tuple[Name, ...] = ()
    agreements: tuple[Name, ...] = ()
    via: Trigraph | None = None
    not_before_ns: int = 0
    expires_ns: int = TIME_MAX_NS


class Facts(NamedTuple):
    """A label as the rules see it: its number in the table, and masks over the rulebook's names."""

    id: int
    label: Label
    topics: int
    communities: int
    caveats: int


class Grant(NamedTuple):
    """One flow of one agreement as the rules see it."""

    agreement: Agreement
    flow: Flow
    not_before_ns: int
    expires_ns: int
    suspended: bool
    topics: int
    communities: int
    caveats: int
    ceiling: int
    levels: dict[tuple[str, int], int]
    consents: frozenset[tuple[str, str]]
    duty: frozenset[str]
    sensor_ids: dict[str, Tier]
    sensor_kinds: dict[str, Tier]
    tier_unknown: Tier


class Case(NamedTuple):
    """What a rule judges: a label, who wants it, when, and the grants that govern it (`grant` is the one at hand)."""

    facts: Facts
    recipient: str
    context: Context
    grants: tuple[Grant, ...] = ()
    grant: Grant | None = None


class Rule(NamedTuple):
    """One rule: `holds`, or the record is withheld for `reason`; `says` is what it looked at."""

    name: str
    reason: str
    holds: Callable[[Case], bool]
    says: Callable[[Case], str]


class Step(Struct, frozen=True, kw_only=True):
    """One rule in the path of a decision. outcome: "holds", "fails" or "opened" by a declassification event."""

    rule: str
    outcome: str
    reason: str
    says: str


class Explanation(Struct, frozen=True, kw_only=True):
    """The path of a decision, every rule of it, and the decision itself. For the nation's own officers only."""

    steps: tuple[Step, ...]
    decision: Decision


def _granted(case: Case) -> Grant:
    if case.grant is None:
        raise AssertionError("a rule of agreements was asked without one")
    return case.grant


def _level_here(case: Case) -> int | None:
    grant, label = _granted(case), case.facts.label
    if label.policy == grant.agreement.policy:
        return label.level
    return grant.levels.get((label.policy, label.level))


def _below_ceiling(case: Case) -> bool:
    level = _level_here(case)
    return level is not None and level <= _granted(case).ceiling


def _consented(case: Case) -> bool:
    label, grant = case.facts.label, _granted(case)
    for source in label.sources:
        if source in {label.originator, case.recipient}:
            continue
        by_label = any((one.source, one.recipient) == (source, case.recipient) for one in label.consents)
        if not by_label and not all((source, topic) in grant.consents for topic in label.topics):
            return False
    return True


def routes(case: Case) -> set[str]:
    """Return the hubs that the governing flows demand."""
    return {grant.flow.via for grant in case.grants if grant.flow.via is not None}


def purposes(case: Case) -> tuple[str, ...]:
    """Return what label and governing agreements all allow it to be used for."""
    left: tuple[str, ...] = case.facts.label.purposes
    for grant in case.grants:
        left = meet_purposes(left, sorted(grant.agreement.purposes))
    return left


def _utc(t_ns: int | None) -> str:
    """Return a time in words, to the second; "any time" for none, and the number itself beyond the calendar's years."""
    if t_ns is None:
        return "any time"
    try:
        return f"{datetime.fromtimestamp(t_ns // 1_000_000_000, UTC):%Y-%m-%d %H:%M:%SZ}"
    except (OverflowError, OSError, ValueError):
        return f"{t_ns} ns"


def _after(case: Case) -> bool:
    begins = case.facts.label.not_before_ns
    return begins is None or begins <= case.context.now_ns


def _before(case: Case) -> bool:
    ends = case.facts.label.expires_ns
    return ends is None or case.context.now_ns < ends


LABEL_RULES: tuple[Rule, ...] = (
    Rule(
        "originator",
        "foreign-originator",
        lambda c: c.facts.label.originator == c.context.nation,
        lambda c: f"originated by {c.facts.label.originator}, decided by {c.context.nation}",
    ),
    Rule(
        "mode",
        "mode-differs",
        lambda c: c.facts.label.mode == c.context.mode,
        lambda c: f"label {c.facts.label.mode.kind} {c.facts.label.mode.id}, node {c.context.mode.kind} {c.context.mode.id}",
    ),
    Rule(
        "not-before", "not-yet", _after, lambda c: f"not before {_utc(c.facts.label.not_before_ns)}, now {_utc(c.context.now_ns)}"
    ),
    Rule("expires", "label-expired", _before, lambda c: f"until {_utc(c.facts.label.expires_ns)}, now {_utc(c.context.now_ns)}"),
    Rule(
        "rel-to",
        "not-releasable",
        lambda c: c.recipient in c.facts.label.rel_to,
        lambda c: f"{c.recipient} in {', '.join(c.facts.label.rel_to) or 'nobody'}",
    ),
)

GRANT_RULES: tuple[Rule, ...] = (
    Rule("suspended", "agreement-suspended", lambda c: not _granted(c).suspended, lambda _: "not suspended by this nation"),
    Rule(
        "modes",
        "agreement-mode",
        lambda c: c.context.mode.kind in _granted(c).agreement.modes,
        lambda c: f"{c.context.mode.kind} among {', '.join(_granted(c).agreement.modes)}",
    ),
    Rule(
        "policy",
        "policy-unknown",
        lambda c: _level_here(c) is not None,
        lambda c: f"{c.facts.label.policy}:{c.facts.label.level} in terms of {_granted(c).agreement.policy}",
    ),
    Rule(
        "ceiling",
        "level-above-ceiling",
        _below_ceiling,
        lambda c: f"{level_name(c.facts.label.level)} for {c.recipient}, ceiling {level_name(_granted(c).ceiling)}",
    ),
    Rule(
        "communities",
        "community-missing",
        lambda c: not c.facts.communities & ~_granted(c).communities,
        lambda c: f"needs {', '.join(c.facts.label.communities) or 'none'}",
    ),
    Rule(
        "caveats",
        "caveat-not-agreed",
        lambda c: not c.facts.caveats & ~_granted(c).caveats,
        lambda c: f"has {', '.join(c.facts.label.caveats) or 'none'}",
    ),
    Rule(
        "consents",
        "consent-missing",
        _consented,
        lambda c: f"rests on data of {', '.join(c.facts.label.sources) or 'nobody else'}",
    ),
)

SET_RULES: tuple[Rule, ...] = (
    Rule(
        "purposes",
        "purpose-not-agreed",
        lambda c: PURPOSE_NONE not in purposes(c),
        lambda c: f"to be used for {', '.join(purposes(c))}",
    ),
    Rule(
        "route",
        "route-unavailable",
        lambda c: not (hubs := routes(c)) or (len(hubs) == 1 and hubs <= set(c.context.hubs)),
        lambda c: f"through {', '.join(sorted(routes(c))) or 'nobody, directly'}",
    ),
)


def tier_of(grant: Grant, sensors: tuple[SensorClass, ...]) -> Tier:
    """Return the tier a flow gives to what rests on these sensors: the coarsest of theirs; none named = the flow's coarsest."""
    if not sensors:
        return grant.tier_unknown
    found: list[Tier] = []
    for sensor in sensors:
        fallback = grant.tier_unknown if sensor.kind is None else grant.sensor_kinds.get(sensor.kind, grant.flow.tier)
        found.append(grant.sensor_ids.get(sensor.id, fallback))
    return TIERS[max(TIERS.index(tier) for tier in found)]


def opens(event: Declassification, facts: Facts, recipient: str, context: Context, grants: tuple[Grant, ...]) -> bool:
    """Tell whether an event may set aside level, readers, communities and caveats for this record.

    Always: the same nation, audience and mode, within its time, every topic and the level covered. Life-safety: every
    agreement that governs has a standing duty to warn on every topic, and the event names one of them by its version. An
    approved release or officer's act: two different people, and exactly the record whose hash they approved. It never sets
    aside originator, mode, dates, agreements, purposes, consents of third nations or routes.
    """
    label = facts.label
    fits = (
        (event.nation, event.audience, event.mode) == (context.nation, recipient, context.mode)
        and event.t_ns <= context.now_ns < event.expires_ns
        and bool(label.topics)
        and set(label.topics) <= set(event.topics)
        and label.level <= event.level_max
    )
    if not fits or not grants:
        return False
    if event.kind == "life-safety":
        named = f"{event.agreement}/{event.agreement_version}"
        duty = all(grant.duty.issuperset(label.topics) for grant in grants)
        return duty and any(grant.agreement.name == named for grant in grants)
    if event.kind in {"approved-release", "officer-act"}:
        exact = event.content_sha256 is not None and event.content_sha256 == context.content_sha256
        return exact and len(set(event.approved_by)) >= APPROVERS_MIN
    return False
