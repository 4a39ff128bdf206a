"""The decision: may this label go to this audience, how, and why. Deny by default; unknown anything withholds.

One table of rules serves both the decision, which stops at the first that fails, and the explanation, which shows them all,
so the two can not part. Labels and agreements are compiled to bit masks once; what remains per decision is a few
comparisons of integers.

Which agreements govern: for every topic of the label, all agreements in force that have a flow from the originator to the
recipient on it, except those that say they yield to another one that governs it too. All that govern must allow it: where
they differ, the stricter wins.
"""

from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from trilat.marking.canonical import coarsest, fault_of, is_audience, strictest
from trilat.policy import rules
from trilat.policy.agreement import Agreement, Agreements, Flow, strictest_of
from trilat.policy.labels import digest
from trilat.policy.rules import TIME_MAX_NS, Case, Context, Decision, Explanation, Facts, Grant, Rule, Step
from trilat.records.declassification import Declassification
from trilat.records.label import Label

labels_interned_max = 65_536
_UNLABELLED = ("unlabelled", "label")


class _Checked(NamedTuple):
    """A rule that was tried, with what is needed to say so in words only when somebody asks."""

    path: str
    rule: Rule
    outcome: str
    case: Case


class Rulebook:
    """The agreements of one nation with one audience, compiled. Holds the table of interned labels of that audience alone.

    The three tables of rules are attributes, so that a test can take a rule away and see that it is missed.
    """

    def __init__(self, agreements: Agreements, nation: str, recipient: str) -> None:
        self.nation = nation
        self.recipient = recipient
        self.label_rules = rules.LABEL_RULES
        self.grant_rules = rules.GRANT_RULES
        self.set_rules = rules.SET_RULES
        self._bits: dict[str, int] = {}
        self._interned: dict[Label, Facts] = {}
        self._governed: dict[tuple[tuple[str, ...], int], tuple[tuple[Grant, ...], Rule]] = {}
        self._known = is_audience(recipient)
        self.grants = tuple(
            self._compile(agreements, agreement, flow)
            for agreement in agreements.of_parties(nation, recipient)
            for flow in agreement.flow
            if (flow.origin, flow.to) == (nation, recipient)
        )
        self._edges = sorted({edge for grant in self.grants for edge in (grant.not_before_ns, grant.expires_ns)})

    def mask(self, names: tuple[str, ...]) -> int:
        """Return the bit mask of names; a new name gets a bit that no grant has."""
        found = 0
        for name in names:
            found |= self._bits.setdefault(name, 1 << len(self._bits))
        return found

    def intern(self, label: Label) -> Facts:
        """Return the compiled form of a canonical label; beyond `labels_interned_max` labels it is made anew each time."""
        facts = self._interned.get(label)
        if facts is None:
            room = len(self._interned) < labels_interned_max
            number = len(self._interned) if room else labels_interned_max
            masks = (self.mask(label.topics), self.mask(label.communities), self.mask(label.caveats))
            facts = Facts(number, label, *masks)
            if room:
                self._interned[label] = facts
        return facts

    def _compile(self, agreements: Agreements, agreement: Agreement, flow: Flow) -> Grant:
        ceiling = agreement.ceiling_of(flow.to)
        levels: dict[tuple[str, int], int] = {}
        for one in agreement.equivalence:
            if one.policy_here == agreement.policy:
                key = (one.policy, one.level)
                levels[key] = max(one.level_here, levels.get(key, 0))
        consents = {(c.source, topic) for c in agreement.consent if c.recipient == flow.to for topic in c.topics}
        return Grant(
            agreement=agreement,
            flow=flow,
            not_before_ns=agreement.not_before_ns,
            expires_ns=agreement.expires_ns,
            suspended=agreement.id in agreements.suspended,
            topics=self.mask(flow.topics),
            communities=self.mask(agreement.communities_of(flow.to)),
            caveats=self.mask(agreement.caveats),
            ceiling=-1 if ceiling is None else ceiling,
            levels=levels,
            consents=frozenset(consents),
            duty=frozenset(agreement.duty_to_warn.topics if agreement.duty_to_warn else ()),
            sensor_ids={one.id: one.tier for one in flow.sensor if one.id is not None},
            sensor_kinds={one.kind: one.tier for one in flow.sensor if one.kind is not None},
            tier_unknown=coarsest(flow.tier, *(one.tier for one in flow.sensor)),
        )

    def governing(self, facts: Facts, now_ns: int) -> tuple[tuple[Grant, ...], Rule]:
        """Return the grants that govern a label now, each once, and the rule that failed when they are none.

        Kept by topics and by the span between two agreements' dates: nothing else of the label or of the time is looked at.
        """
        place = (facts.label.topics, bisect_right(self._edges, now_ns))
        found = self._governed.get(place)
        if found is None:
            found = self._governing(facts, now_ns)
            if len(self._governed) < labels_interned_max:
                self._governed[place] = found
        return found

    def _governing(self, facts: Facts, now_ns: int) -> tuple[tuple[Grant, ...], Rule]:
        chosen: list[Grant] = []
        for topic in facts.label.topics:
            bit = self.mask((topic,))
            covering = [grant for grant in self.grants if grant.topics & bit]
            current = [grant for grant in covering if grant.not_before_ns <= now_ns < grant.expires_ns]
            ids = {grant.agreement.id for grant in current}
            left = [grant for grant in current if not ids.intersection(grant.agreement.yields_to)]
            if not left:
                return (), self._ungoverned(covering, current, now_ns)
            chosen += [grant for grant in left if grant not in chosen]
        return tuple(chosen), _GOVERNED if chosen else _no("topic-not-agreed")

    def _ungoverned(self, covering: list[Grant], current: list[Grant], now_ns: int) -> Rule:
        if not self.grants:
            return _no("no-agreement")
        if not covering or current:
            return _no("topic-not-agreed")
        return _no("not-yet" if any(now_ns < grant.not_before_ns for grant in covering) else "agreement-expired")

    def _walk(self, facts: Facts, context: Context) -> Iterator[_Checked]:
        case = Case(facts, self.recipient, context)
        grants, governed = self.governing(facts, context.now_ns)
        event = context.declassification
        door = event is not None and rules.opens(event, facts, self.recipient, context, grants)
        for rule in self.label_rules:
            yield _check(rule.name, rule, case, door)
        if not grants:
            yield _Checked("agreement", governed, "fails", case)
            return
        whole = case._replace(grants=grants)
        yield _Checked("agreement", governed, "holds", whole)
        for grant in grants:
            one = whole._replace(grant=grant)
            for rule in self.grant_rules:
                yield _check(f"{grant.agreement.name}/{rule.name}", rule, one, door)
        for rule in self.set_rules:
            yield _check(rule.name, rule, whole, door)

    def decide(self, label: Label | None, context: Context) -> Decision:  # noqa: PLR0911 - one way out per table
        """Return the decision on one label; never raises on any label."""
        if self.recipient == self.nation:
            return self._own(label, context)
        facts = self._facts(label)
        if not isinstance(facts, Facts):
            return self._deny(*facts, context.now_ns)
        event, now_ns = context.declassification, context.now_ns
        grants, governed = self.governing(facts, now_ns)
        door = event is not None and rules.opens(event, facts, self.recipient, context, grants)
        case = Case(facts, self.recipient, context, grants)
        # The tables that `_walk` goes through, in the same order, stopping at the first failure: a test holds the two together.
        failed, opened = _first_failure(self.label_rules, case, door)
        if failed is not None:
            return self._deny(failed.reason, failed.name, now_ns, facts)
        if not grants:
            return self._deny(governed.reason, "agreement", now_ns, facts)
        for grant in grants:
            failed, more = _first_failure(self.grant_rules, Case(facts, self.recipient, context, grants, grant), door)
            if failed is not None:
                return self._deny(failed.reason, f"{grant.agreement.name}/{failed.name}", now_ns, facts)
            opened = opened or more
        failed, more = _first_failure(self.set_rules, case, door)
        if failed is not None:
            return self._deny(failed.reason, failed.name, now_ns, facts)
        return self._permit(case, event if opened or more else None)

    def _facts(self, label: Label | None) -> Facts | tuple[str, str]:
        """Return the compiled form of a label, or reason and rule of a denial that needs no look at the rules."""
        if not self._known:
            return "recipient-unknown", "recipient"
        if label is None:
            return _UNLABELLED
        return ("label-not-canonical", "label") if fault_of(label) else self.intern(label)

    def _own(self, label: Label | None, context: Context) -> Decision:
        """The originator always reads; what has no label is for its own nation."""
        if label is not None and label.mode != context.mode:
            return self._deny("mode-differs", "mode", context.now_ns)
        if label is not None and label.originator != self.nation:
            return self._deny("foreign-originator", "originator", context.now_ns)
        hashed = b"" if label is None else digest(label)
        return Decision(
            permit=True, audience=self.recipient, reason="own-nation", rule="originator", label_hash=hashed, tier="plot"
        )

    def _deny(self, reason: str, rule: str, now_ns: int, facts: Facts | None = None) -> Decision:
        begins, ends = self.window(facts, now_ns)
        return Decision(
            permit=False,
            audience=self.recipient,
            reason=reason,
            rule=rule[:64],
            label_hash=b"" if facts is None else digest(facts.label),
            not_before_ns=begins,
            expires_ns=ends,
        )

    def _permit(self, whole: Case, event: Declassification | None) -> Decision:
        grants = whole.grants
        tier = coarsest(*(rules.tier_of(grant, whole.context.sensors) for grant in grants))
        if event is not None:
            duties = [g.agreement.duty_to_warn for g in grants if event.kind == "life-safety"]
            tier = coarsest(tier, event.tier, *(duty.tier for duty in duties if duty is not None))
        begins, ends = self.window(whole.facts, whole.context.now_ns)
        operations = [one for grant in grants for one in strictest_of(grant.flow)]
        return Decision(
            permit=True,
            audience=self.recipient,
            reason="permitted" if event is None else "declassified",
            rule=grants[0].agreement.name if event is None else event.id,
            label_hash=digest(whole.facts.label),
            tier=tier,
            operations=strictest([*whole.facts.label.operations, *operations]),
            purposes=rules.purposes(whole),
            agreements=tuple(grant.agreement.name for grant in grants),
            via=next(iter(rules.routes(whole)), None),
            not_before_ns=begins,
            expires_ns=ends,
        )

    def window(self, facts: Facts | None, now_ns: int) -> tuple[int, int]:
        """Return the span [from, until) around now in which no date of the label or of an agreement is crossed."""
        edges, at = self._edges, bisect_right(self._edges, now_ns)
        begins = edges[at - 1] if at else 0
        ends = edges[at] if at < len(edges) else TIME_MAX_NS
        for edge in () if facts is None else (facts.label.not_before_ns, facts.label.expires_ns):
            if edge is not None and edge <= now_ns:
                begins = max(begins, edge)
            elif edge is not None:
                ends = min(ends, edge)
        return begins, ends

    def explain(self, label: Label | None, context: Context) -> Explanation:
        """Return every rule on the way, not only the first that fails, each with what it looked at, and the decision."""
        decision = self.decide(label, context)
        if label is None or fault_of(label):
            says = "there is no label" if label is None else fault_of(label)
            step = Step(rule="label", outcome="fails", reason=decision.reason, says=says)
            return Explanation(steps=(step,), decision=decision)
        steps = tuple(
            Step(rule=path, outcome=outcome, reason=rule.reason, says=rule.says(case))
            for path, rule, outcome, case in self._walk(self.intern(label), context)
        )
        return Explanation(steps=steps, decision=decision)


def _first_failure(table: tuple[Rule, ...], case: Case, door: bool) -> tuple[Rule | None, bool]:  # noqa: FBT001 - a plain fact
    """Return the first rule that fails, and whether any before it was opened by an event."""
    opened = False
    for rule in table:
        if not rule.holds(case):
            if not (door and rule.name in rules.OPENED_BY_EVENTS):
                return rule, opened
            opened = True
    return None, opened


def _check(path: str, rule: Rule, case: Case, door: bool) -> _Checked:  # noqa: FBT001 - a plain fact among facts
    outcome = "holds" if rule.holds(case) else "opened" if door and rule.name in rules.OPENED_BY_EVENTS else "fails"
    return _Checked(path, rule, outcome, case)


def _governors(case: Case) -> str:
    names = ", ".join(grant.agreement.name for grant in case.grants) or "none"
    return f"{case.context.nation} to {case.recipient} on {', '.join(case.facts.label.topics) or 'no topic'}: {names}"


def _no(reason: str) -> Rule:
    return Rule("agreement", reason, lambda _: False, _governors)


_GOVERNED = Rule("agreement", "no-agreement", lambda c: bool(c.grants), _governors)


def step_words(step: Step) -> str:
    """Return one step of an explanation as a line: outcome, rule, what it looked at, and the reason where it fails."""
    reason = f" [{step.reason}]" if step.outcome == "fails" else ""
    return f"{step.outcome:>7}  {step.rule}: {step.says}{reason}"


def verdict_words(made: Decision) -> str:
    """Return a decision as one line: to whom, how and under what, or by which rule not."""
    if not made.permit:
        return f"WITHHELD from {made.audience}: {made.reason}, by rule {made.rule}."
    done = ", ".join(f"{one.operation} {one.field} {one.amount:g}" for one in made.operations) or "nothing"
    way = f" through {made.via}" if made.via else ""
    return f"PERMITTED to {made.audience}{way} as {made.tier} under {', '.join(made.agreements)}; done to it: {done}."


@lru_cache(maxsize=256)
def rulebook(agreements: Agreements, nation: str, recipient: str) -> Rulebook:
    """Return the compiled rules from a nation to an audience; kept for the last 256 (agreements, nation, audience)."""
    return Rulebook(agreements, nation, recipient)


def decide(label: Label | None, recipient: str, context: Context, agreements: Agreements) -> Decision:
    """Return whether a label may go to a recipient, with operations, tier, reason and rule. Deny by default.

    Never raises on any label: what is malformed, unknown or absent withholds, by name. `AudiencePolicy` is the same thing
    with a cache, for the hot path.
    """
    return rulebook(agreements, context.nation, recipient).decide(label, context)


def explain(label: Label | None, recipient: str, context: Context, agreements: Agreements) -> Explanation:
    """Return the path of a decision, rule by rule, for the nation's own officers."""
    return rulebook(agreements, context.nation, recipient).explain(label, context)
