"""What a decision is, what it was made from, and the log that keeps every one of them."""

from collections import Counter, deque
from typing import Literal, NamedTuple

from msgspec import Struct

from trilat.records.declassification import Declassification
from trilat.records.fields import Audience, Name, TimeNs, Trigraph
from trilat.records.label import FieldOperation, Mode
from trilat.records.sensor import SensorKind

Tier = Literal["plot", "tracklet", "track", "area"]
TIERS: tuple[Tier, ...] = ("plot", "tracklet", "track", "area")  # finest first
TIME_MAX_NS = 2**63 - 1


def coarsest(*tiers: Tier) -> Tier:
    """Return the coarsest of some tiers: plot is the finest, area the coarsest."""
    return TIERS[max(TIERS.index(tier) for tier in tiers)]


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
    tier: Tier = "area"
    operations: tuple[FieldOperation, ...] = ()
    purposes: tuple[Name, ...] = ()
    agreements: tuple[Name, ...] = ()
    via: Trigraph | None = None
    not_before_ns: int = 0
    expires_ns: int = TIME_MAX_NS


class Kept(NamedTuple):
    """One kept decision: when it was asked for, the label's number in its audience's table, and the decision."""

    t_ns: int
    label_id: int
    decision: Decision


class Total(NamedTuple):
    """How often one rule decided one way for one audience."""

    audience: Audience
    permit: bool
    reason: str
    rule: str


class Alarm(Struct, frozen=True, kw_only=True):
    """The two judges disagreed, so the record was withheld: what each said."""

    t_ns: TimeNs
    audience: Audience
    label_hash: bytes
    first: Decision
    second: bool


class DecisionLog:
    """Every decision: the last `kept_max` one by one, all of them counted by audience, rule and reason.

    It belongs to the nation and is never shown to a partner. Nothing reads it back to decide.
    """

    alarms_max = 1_000
    distinct_max = 10_000

    def __init__(self, kept_max: int = 10_000) -> None:
        self._ring: deque[tuple[int, int, Decision]] = deque(maxlen=kept_max)
        self._counts: Counter[Decision] = Counter()
        self._folded: Counter[Total] = Counter()
        self.alarms: deque[Alarm] = deque(maxlen=self.alarms_max)
        self.alarms_total = 0

    def keep(self, t_ns: int, label_id: int, decision: Decision) -> None:
        """Keep one decision. On the hot path: an append and a count."""
        self._ring.append((t_ns, label_id, decision))
        self._counts[decision] += 1
        if len(self._counts) > self.distinct_max:
            self._fold()

    def alarm(self, alarm: Alarm) -> None:
        """Keep an alarm; the node shows `alarms_total` and the last of them until an officer has looked."""
        self.alarms.append(alarm)
        self.alarms_total += 1

    def last(self, n: int = 100) -> list[Kept]:
        """Return the last n decisions, newest first."""
        return [Kept(*self._ring[-1 - i]) for i in range(min(n, len(self._ring)))]

    def totals(self) -> dict[Total, int]:
        """Return how often each rule decided, for every audience, since the start."""
        self._fold()
        return dict(sorted(self._folded.items()))

    def _fold(self) -> None:
        for decision, n in self._counts.items():
            self._folded[Total(decision.audience, decision.permit, decision.reason, decision.rule)] += n
        self._counts.clear()
