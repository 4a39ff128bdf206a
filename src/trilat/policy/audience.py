"""One audience's policy, bound and cached for the hot path, and the log of every decision made for it."""

import hashlib
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
from msgspec import Struct

from trilat.errors import PolicyError
from trilat.marking.canonical import fault_of, is_audience
from trilat.policy.agreement import Agreements
from trilat.policy.coarsen import Coarsener
from trilat.policy.decide import Rulebook, labels_interned_max
from trilat.policy.labels import digest
from trilat.policy.release import delay_ns, release
from trilat.policy.rules import Context, Decision, Explanation, SensorClass
from trilat.records import codec
from trilat.records.carried import Route
from trilat.records.declassification import Declassification
from trilat.records.fields import Audience, TimeNs
from trilat.records.label import Label, Mode
from trilat.records.released import Lane, Released
from trilat.records.sensor import Sensor


class Judge(Protocol):
    """A second judge, written independently of the rules; it must agree with them or the record is withheld."""

    def permits(self, label: Label, recipient: str, context: Context, agreements: Agreements) -> bool:
        """Return whether the label may go to the recipient."""
        ...


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


class AudiencePolicy:
    """What one audience may have of this nation's data: decisions cached by label and sensors, and the release itself.

    Bound to an audience, the nation, its mode and one set of agreements: a change of agreements makes a new one. Nothing in it
    is shared with another audience, save the log, which is never read back.
    """

    def __init__(
        self,
        recipient: Audience,
        agreements: Agreements,
        mode: Mode,
        nation: str,
        *,
        sensors: Sequence[Sensor] = (),
        hubs: Iterable[str] = (),
        log: DecisionLog | None = None,
        judge: Judge | None = None,
        secret: bytes | None = None,
    ) -> None:
        if not is_audience(recipient) or recipient == nation:
            raise PolicyError("recipient-unknown", f"{recipient!r} of {nation}.")
        self.recipient = recipient
        self.public = recipient == "PUBLIC"
        self.nation = nation
        self.mode = mode
        self.agreements = agreements
        self.log = log if log is not None else DecisionLog()
        self.coarsener = None if secret is None else Coarsener(secret, recipient)
        self.rulebook = Rulebook(agreements, nation, recipient)
        self._judge = judge
        self._hubs = tuple(sorted(set(hubs)))
        self._kinds = {sensor.id: SensorClass(sensor.id, sensor.kind) for sensor in sensors}
        self._classes: dict[tuple[str, ...], tuple[SensorClass, ...]] = {}
        self._cache: dict[tuple[Label | None, tuple[str, ...]], tuple[int, int, int, Decision]] = {}

    def context(self, now_ns: int, sensors: tuple[str, ...] = ()) -> Context:
        """Return the context in which this audience's decisions are made now, for data of these sensors (ids)."""
        classes = self._classes.get(sensors)
        if classes is None:
            classes = tuple(self._kinds.get(one) or SensorClass(one, None) for one in sensors)
            if len(self._classes) < labels_interned_max:
                self._classes[sensors] = classes
        return Context(nation=self.nation, mode=self.mode, now_ns=now_ns, sensors=classes, hubs=self._hubs)

    def batch_decision(self, label: Label | None, now_ns: int, sensors: tuple[str, ...] = ()) -> Decision:
        """Return the decision on a label, for data of these sensors (ids, in the pedigree's order). The hot path.

        sensors: what the data rests on; none named = the coarsest tier of the flow.
        """
        try:
            held = self._cache.get((label, sensors))
        except TypeError:  # a label that holds a list: not canonical, never cached
            held = None
        if held is not None and held[0] <= now_ns < held[1]:
            self.log.keep(now_ns, held[2], held[3])
            return held[3]
        return self._decide_anew(label, now_ns, sensors)

    def sensor_decision(self, sensor: Sensor, now_ns: int) -> Decision:
        """Return the decision on everything that one sensor reports: whether this audience's trackers get it, and its tier."""
        return self.batch_decision(sensor.label, now_ns, (sensor.id,))

    def record_decision(self, record: Any, now_ns: int, event: Declassification | None = None) -> Decision:
        """Return the decision on one record, by its label and the sensors in its pedigree.

        event: a verified declassification event of this audience's pipeline that may apply to it.
        """
        pedigree = getattr(record, "pedigree", None)
        sensors: tuple[str, ...] = () if pedigree is None else pedigree.sensors
        decision = self.batch_decision(record.label, now_ns, sensors)
        if decision.permit or event is None:
            return decision
        context = msgspec.structs.replace(
            self.context(now_ns, sensors), declassification=event, content_sha256=content_hash(record)
        )
        return self._judged(record.label, context)[1]

    def _decide_anew(self, label: Label | None, now_ns: int, sensors: tuple[str, ...]) -> Decision:
        number, decision = self._judged(label, self.context(now_ns, sensors))
        if label is not None and fault_of(label):
            return decision
        if len(self._cache) < labels_interned_max and number < labels_interned_max:
            self._cache[(label, sensors)] = (decision.not_before_ns, decision.expires_ns, number, decision)
        return decision

    def _judged(self, label: Label | None, context: Context) -> tuple[int, Decision]:
        """Decide by the rules and, where there is one, by the second judge; keep it; they disagree = withheld, and an alarm."""
        decision = self.rulebook.decide(label, context)
        sound = label is not None and not fault_of(label)
        number = self.rulebook.intern(label).id if label is not None and sound else labels_interned_max
        if self._judge is not None and label is not None and sound:
            second = self._judge.permits(label, self.recipient, context, self.agreements)
            if second != decision.permit:
                self.log.alarm(
                    Alarm(
                        t_ns=context.now_ns,
                        audience=self.recipient,
                        label_hash=digest(label),
                        first=decision,
                        second=second,
                    )
                )
                decision = Decision(
                    permit=False,
                    audience=self.recipient,
                    reason="judges-disagree",
                    rule="second-judge",
                    label_hash=digest(label),
                    not_before_ns=decision.not_before_ns,
                    expires_ns=decision.expires_ns,
                )
        self.log.keep(context.now_ns, number, decision)
        return number, decision

    def release(
        self, record: Any, lane: Lane, now_ns: int, *, decision: Decision | None = None, priority: int = 0
    ) -> Released | None:
        """Return the record as this audience gets it, or None when it is withheld or not to leave now.

        decision: from `record_decision`, when it was made already; else it is made here. Raises what `release.release` does.
        """
        made = decision if decision is not None else self.record_decision(record, now_ns)
        if not made.permit:
            return None
        if (wait_ns := delay_ns(made)) > now_ns - record.t_ns:
            held = msgspec.structs.replace(made, permit=False, reason="delayed", expires_ns=record.t_ns + wait_ns)
            self.log.keep(now_ns, labels_interned_max, held)
            return None
        return release(record, lane, made, self.recipient, now_ns, priority=priority, coarsener=self.coarsener)

    def topics(self) -> tuple[str, ...]:
        """Return every topic of which any agreement has a flow to this audience, sorted."""
        return tuple(sorted({topic for grant in self.rulebook.grants for topic in grant.flow.topics}))

    def explain(self, label: Label | None, now_ns: int, sensors: tuple[str, ...] = ()) -> Explanation:
        """Return the path of the decision on a label, rule by rule, for this nation's officers."""
        return self.rulebook.explain(label, self.context(now_ns, sensors))


def content_hash(record: Any) -> bytes:
    """Return the hash that approvers of one record approve: SHA-256 of its canonical bytes, as the nation holds it."""
    return hashlib.sha256(b"trilat.content/1\x00" + codec.encode(record)).digest()


# Hubs: which letters one may give on, and through which this nation can send. Read from the agreements, by nobody else.


def routes_of(agreements: Agreements, mode: Mode) -> tuple[Route, ...]:
    """Return every route that the agreements have for a mode, sorted; a suspended agreement has none."""
    found = {
        Route(
            origin=flow.origin,
            to=flow.to,
            via=flow.via,
            agreement=agreement.name,
            not_before_ns=agreement.not_before_ns,
            expires_ns=agreement.expires_ns,
        )
        for agreement in agreements.agreements
        if mode.kind in agreement.modes and agreement.id not in agreements.suspended
        for flow in agreement.flow
        if flow.via is not None
    }
    return tuple(sorted(found))


def hubs_to(routes: Iterable[Route], nation: str, recipient: str, partners: Iterable[str]) -> tuple[str, ...]:
    """Return the hubs through which a nation can send letters to a recipient: named by an agreement, and partners both.

    The recipient must be a partner, too: its pinned key seals what the hub can not open.
    """
    known = frozenset(partners)
    return tuple(
        sorted(
            {one.via for one in routes if (one.origin, one.to) == (nation, recipient) and known.issuperset({one.via, recipient})}
        )
    )
