"""The decision against an independently written oracle, and each rule's worth by taking it away."""

import random
from collections import Counter
from functools import lru_cache

import msgspec
import pytest
from policy_cases import (
    AUDIENCES,
    DAY_NS,
    EXERCISE,
    KINDS,
    MODES,
    NOW_NS,
    TOPICS,
    random_agreements,
    random_label,
    some,
)
from policy_oracle import ORDER, may_have

from trilat.marking.canonical import fault_of, strictest
from trilat.policy import decide as decide_module
from trilat.policy import rules as rules_module
from trilat.policy.agreement import Agreements
from trilat.policy.decide import Rulebook, decide, explain
from trilat.policy.labels import join, make
from trilat.policy.rules import Context, Decision, Rule, SensorClass
from trilat.records.declassification import Declassification
from trilat.records.label import Label

LABELS_PER_WORLD = 100
POOL = 4_000  # labels of one seed: as many as the product's own caches of labels hold, so that each is encoded once


def good_event(rng: random.Random, to: str) -> Declassification:
    """An officer's act that covers everything, for the record at hand."""
    return Declassification(
        id="E1",
        nation="JPN",
        kind=rng.choice(("officer-act", "approved-release")),
        audience=to,
        mode=EXERCISE,
        t_ns=0,
        expires_ns=NOW_NS + 2 * DAY_NS,
        topics=TOPICS,
        level_max=4,
        tier="plot",
        content_sha256=b"\x01" * 32,
        approved_by=("ann", "bob"),
    )


def random_event(rng: random.Random, to: str, agreements: Agreements) -> Declassification | None:
    if rng.random() < 0.6:
        return None
    one = rng.choice(agreements.agreements) if agreements.agreements else None
    return Declassification(
        id="E1",
        nation="JPN" if rng.random() < 0.9 else "USA",
        kind=rng.choice(("life-safety", "life-safety", "officer-act", "approved-release", "agreement-change")),
        audience=to if rng.random() < 0.9 else "USA",
        mode=EXERCISE if rng.random() < 0.9 else MODES[1],
        t_ns=NOW_NS if rng.random() < 0.9 else NOW_NS + 1,
        expires_ns=NOW_NS + 1 if rng.random() < 0.9 else NOW_NS,
        topics=TOPICS if rng.random() < 0.6 else some(rng, TOPICS, 0.5),
        level_max=rng.choice((2, 3, 4)),
        tier="plot",
        content_sha256=rng.choice((b"\x01" * 32, b"\x01" * 32, b"\x02" * 32, None)),
        agreement=one.id if one else None,
        agreement_version=(one.version if rng.random() < 0.8 else one.version + 1) if one else 0,
        approved_by=rng.choice((("ann", "bob"), ("ann", "bob"), ("ann", "ann"), ("ann",), ())),
    )


def random_context(rng: random.Random, to: str, agreements: Agreements, *, eager: bool = False) -> Context:
    sensors = [SensorClass(rng.choice(("R1", "R2", "F1")), rng.choice((*KINDS, None))) for _ in range(rng.randrange(3))]
    return Context(
        nation="JPN",
        mode=EXERCISE if rng.random() < 0.98 else rng.choice(MODES),
        now_ns=NOW_NS + rng.choice((0, 0, 0, -DAY_NS, DAY_NS, DAY_NS - 1)),
        sensors=tuple(sensors),
        hubs=some(rng, ("KOR", "USA"), 0.5),
        declassification=good_event(rng, to) if eager else random_event(rng, to, agreements),
        content_sha256=b"\x01" * 32 if eager else rng.choice((b"\x01" * 32, b"\x01" * 32, None)),
    )


def differs(decision: Decision, wanted: dict[str, object] | None) -> bool:
    if wanted is None or not decision.permit:
        return decision.permit != (wanted is not None)
    said = (decision.tier, decision.purposes, decision.via, set(decision.agreements))
    tier = ORDER[int(str(wanted["tier"]))]
    if decision.reason == "declassified":
        tier = decision.tier if ORDER.index(decision.tier) >= ORDER.index(tier) else tier
    return said != (tier, wanted["purposes"], wanted["via"], wanted["agreements"])


@lru_cache(maxsize=2)
def pool(seed: int) -> tuple[Label, ...]:
    """The labels of a seed: making them costs more than deciding on them, so that worlds draw from one pool."""
    rng = random.Random(seed)
    return tuple(random_label(rng) for _ in range(POOL))


def disagreements(
    seed: int, cases: int, book: type[Rulebook] = Rulebook, *, stop: bool = False, eager: bool = False
) -> tuple[int, Counter[str]]:
    """Count how often the rules and the oracle differ over random cases, and how often each reason was given."""
    rng, labels = random.Random(seed), pool(seed)
    wrong, reasons = 0, Counter[str]()
    for _ in range(cases // LABELS_PER_WORLD):
        to = rng.choice([one for one in AUDIENCES if one != "JPN"])
        agreements = random_agreements(rng, to)
        rulebook = book(agreements, "JPN", to)
        context = random_context(rng, to, agreements, eager=eager)
        for i in range(LABELS_PER_WORLD):
            if i % 10 == 0:
                context = random_context(rng, to, agreements, eager=eager)
            label = labels[int(rng.random() * POOL)]
            decision = rulebook.decide(label, context)
            reasons[decision.reason] += 1
            wrong += differs(decision, may_have(label, to, context, agreements))
            if wrong and stop:
                return wrong, reasons
    return wrong, reasons


# What withholds before any rule is asked, or cannot come up in a world of decisions from JPN to a known audience.
NOT_HERE = {"recipient-unknown", "unlabelled", "own-nation"}


WANTED = {rule.reason for table in (rules_module.LABEL_RULES, rules_module.GRANT_RULES, rules_module.SET_RULES) for rule in table}
WANTED |= {"permitted", "declassified", "no-agreement", "topic-not-agreed", "agreement-expired", "label-not-canonical"}


@pytest.mark.parametrize("seed", range(1, 11))
def test_decide_agrees_with_the_oracle_over_a_million(seed: int) -> None:
    """Over 10^6 random cases (ten seeds of 10^5) rules and naive oracle never differ; each seed meets every reason."""
    wrong, reasons = disagreements(seed, 100_000)
    assert wrong == 0, f"seed {seed}: {wrong} of {reasons.total()}"
    assert set(reasons) >= WANTED
    assert reasons["permitted"] > 3_000


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(100, 200))
def test_decide_agrees_with_the_oracle_over_ten_millions(seed: int) -> None:
    """Over 10^7 random cases (a hundred seeds of 10^5) the compiled rules and the naive oracle never differ."""
    assert disagreements(seed, 100_000)[0] == 0


# --- mutants: a policy with one rule changed must be found out ------------------------------------------------------------

TABLES = ("label_rules", "grant_rules", "set_rules")
RULES = {table: getattr(rules_module, table.upper()) for table in TABLES}


def without(table: str, name: str) -> type[Rulebook]:
    """A rulebook that lacks one rule."""

    class Mutant(Rulebook):
        def __init__(self, *args: object) -> None:
            super().__init__(*args)
            setattr(self, table, tuple(rule for rule in RULES[table] if rule.name != name))

    return Mutant


def inverted(table: str, name: str) -> type[Rulebook]:
    """A rulebook in which one rule says the opposite."""

    def turn(rule: Rule) -> Rule:
        return rule._replace(holds=lambda case: not rule.holds(case)) if rule.name == name else rule

    class Mutant(Rulebook):
        def __init__(self, *args: object) -> None:
            super().__init__(*args)
            setattr(self, table, tuple(turn(rule) for rule in RULES[table]))

    return Mutant


def refusing(table: str, name: str) -> type[Rulebook]:
    """A rulebook in which one rule never holds: over-withholding is a fault too."""

    class Mutant(Rulebook):
        def __init__(self, *args: object) -> None:
            super().__init__(*args)
            setattr(self, table, tuple(r._replace(holds=lambda _: False) if r.name == name else r for r in RULES[table]))

    return Mutant


def with_grants(**change: object) -> type[Rulebook]:
    """A rulebook whose grants were compiled wrongly: each named part is replaced by what the function makes of it."""

    class Mutant(Rulebook):
        def __init__(self, *args: object) -> None:
            super().__init__(*args)
            self.grants = tuple(g._replace(**{k: f(getattr(g, k)) for k, f in change.items()}) for g in self.grants)

    return Mutant


MUTANTS: dict[str, type[Rulebook]] = {}
for _table, _rules in RULES.items():
    for _rule in _rules:
        MUTANTS[f"without {_rule.name}"] = without(_table, _rule.name)
        MUTANTS[f"inverted {_rule.name}"] = inverted(_table, _rule.name)
        MUTANTS[f"refusing {_rule.name}"] = refusing(_table, _rule.name)
MUTANTS |= {
    "grant begins too early": with_grants(not_before_ns=lambda _: 0),
    "grant never ends": with_grants(expires_ns=lambda _: 2**63 - 1),
    "ceiling one too high": with_grants(ceiling=lambda n: n + 1),
    "ceiling one too low": with_grants(ceiling=lambda n: n - 1),
    "every topic covered": with_grants(topics=lambda _: -1),
    "one topic lost": with_grants(topics=lambda n: n & (n - 1)),
    "every community": with_grants(communities=lambda _: -1),
    "no communities": with_grants(communities=lambda _: 0),
    "every caveat": with_grants(caveats=lambda _: -1),
    "no caveats": with_grants(caveats=lambda _: 0),
    "no equivalences": with_grants(levels=lambda _: {}),
    "equivalences one lower": with_grants(levels=lambda d: {k: v - 1 for k, v in d.items()}),
    "no standing consents": with_grants(consents=lambda _: frozenset()),
    "duty on everything": with_grants(duty=lambda _: frozenset(TOPICS)),
    "no duty": with_grants(duty=lambda _: frozenset()),
    "sensor ids forgotten": with_grants(sensor_ids=lambda _: {}),
    "sensor kinds forgotten": with_grants(sensor_kinds=lambda _: {}),
    "unknown sensors finest": with_grants(tier_unknown=lambda _: "plot"),
}


def test_there_are_fifty_mutants() -> None:
    """At least fifty policies, each with one rule or one compiled part changed, are put before the oracle."""
    assert len(MUTANTS) >= 50


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_every_mutant_of_the_policy_is_killed(name: str) -> None:
    """A policy with one rule taken away, turned round, always refusing or compiled wrongly differs from the oracle."""
    assert disagreements(1, 60_000, MUTANTS[name], stop=True)[0] > 0


OPENED = sorted(rules_module.OPENED_BY_EVENTS)
EVERY = sorted(rule.name for rules in RULES.values() for rule in rules)


@pytest.mark.parametrize("name", EVERY)
def test_the_doors_of_events_are_exactly_these(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taking a rule out of the four that an event may set aside, or adding another one, is found out by the oracle."""
    changed = rules_module.OPENED_BY_EVENTS ^ {name}
    monkeypatch.setattr(rules_module, "OPENED_BY_EVENTS", changed)
    assert disagreements(1, 60_000, stop=True, eager=True)[0] > 0


def test_yielding_is_found_out() -> None:
    """A policy that ignores who yields to whom differs from the oracle."""

    class Deaf(Rulebook):
        def __init__(self, *args: object) -> None:
            super().__init__(*args)
            self.grants = tuple(g._replace(agreement=msgspec.structs.replace(g.agreement, yields_to=())) for g in self.grants)

    assert disagreements(1, 20_000, Deaf, stop=True)[0] > 0


# --- laws ----------------------------------------------------------------------------------------------------------------


def own_label(rng: random.Random) -> Label:
    while True:
        label = random_label(rng)
        if fault_of(label) == "" and (label.originator, label.mode) == ("JPN", EXERCISE):
            return label


def test_what_is_joined_goes_nowhere_new() -> None:
    """Whoever may have what rests on two records may have each of them: joining never opens a door (3,000 random pairs).

    One refusal is allowed: of a level of another policy that no equivalence speaks of, while a higher level is spoken of.
    """
    rng = random.Random(6)
    permits = 0
    for _ in range(300):
        to = rng.choice([one for one in AUDIENCES if one != "JPN"])
        rulebook = Rulebook(random_agreements(rng, to), "JPN", to)
        context = Context(nation="JPN", mode=EXERCISE, now_ns=NOW_NS, hubs=("KOR", "USA"))
        for _ in range(10):
            a, b = own_label(rng), own_label(rng)
            b = msgspec.structs.replace(b, policy=a.policy)
            if rulebook.decide(join([a, b]), context).permit:
                permits += 1
                alone = [rulebook.decide(one, context) for one in (a, b)]
                assert all(one.permit or one.reason == "policy-unknown" for one in alone)
    assert permits > 30


def test_a_decision_holds_in_its_window() -> None:
    """A decision is the same at every moment of the window it names, and the window holds the moment it was made at."""
    rng = random.Random(7)
    for _ in range(1_000):
        to = rng.choice([one for one in AUDIENCES if one != "JPN"])
        rulebook = Rulebook(random_agreements(rng, to), "JPN", to)
        context = Context(nation="JPN", mode=EXERCISE, now_ns=NOW_NS)
        label = random_label(rng)
        made = rulebook.decide(label, context)
        assert made.not_before_ns <= NOW_NS < made.expires_ns
        for at in (made.not_before_ns, made.expires_ns - 1, rng.randrange(made.not_before_ns, made.expires_ns)):
            assert rulebook.decide(label, msgspec.structs.replace(context, now_ns=at)) == made


def test_the_explanation_is_the_decision() -> None:
    """The first rule that an explanation shows as failing is the rule and reason of the decision; with none it is a permit."""
    rng = random.Random(8)
    for _ in range(1_000):
        to = rng.choice([one for one in AUDIENCES if one != "JPN"])
        agreements = random_agreements(rng, to)
        context = random_context(rng, to, agreements)
        label = random_label(rng)
        path = explain(label, to, context, agreements)
        failed = [step for step in path.steps if step.outcome == "fails"]
        assert path.decision == decide(label, to, context, agreements)
        assert path.decision.permit == (not failed)
        if failed:
            assert (path.decision.rule, path.decision.reason) == (failed[0].rule, failed[0].reason)
        assert all(step.says for step in path.steps)


BASE = {"policy": "TRILAT", "originator": "JPN", "mode": EXERCISE, "level": 1, "rel_to": ("KOR",), "topics": ("air",)}


def test_no_agreement_means_nobody() -> None:
    """A node without agreements releases nothing, however wide the label."""
    label = make(**{**BASE, "rel_to": ("KOR", "PUBLIC", "USA"), "level": 0})
    context = Context(nation="JPN", mode=EXERCISE, now_ns=NOW_NS)
    for to in ("KOR", "USA", "PUBLIC", "FRA"):
        assert decide(label, to, context, Agreements()).permit is False


@pytest.mark.parametrize("to", ["kor", "KOR ", "", "ALL", "\uff2b\uff2f\uff32", "PUBLIC\n"])
def test_an_unknown_recipient_gets_nothing(to: str, samples: Agreements) -> None:
    """A recipient that is no audience is refused by name or at the label, whatever the label says."""
    context = Context(nation="JPN", mode=EXERCISE, now_ns=NOW_NS)
    assert not decide(make(**BASE), to, context, samples).permit


def test_own_nation_reads_what_is_unlabelled_and_nobody_else(samples: Agreements) -> None:
    """A record without a label is for its own nation only; the originator always reads its own, and not another's."""
    context = Context(nation="JPN", mode=EXERCISE, now_ns=NOW_NS)
    assert decide(None, "JPN", context, samples).reason == "own-nation"
    assert decide(None, "KOR", context, samples).reason == "unlabelled"
    assert decide(make(**{**BASE, "rel_to": ()}), "JPN", context, samples).permit
    assert decide(make(**{**BASE, "originator": "USA"}), "JPN", context, samples).reason == "foreign-originator"


def test_the_operations_of_label_and_flow_are_joined(samples: Agreements) -> None:
    """What is done to a field is the strictest of what the label and every agreement that governs ask for."""
    label = make(**{**BASE, "originator": "USA", "rel_to": ("JPN",)})
    context = Context(nation="USA", mode=EXERCISE, now_ns=NOW_NS)
    decision = decide(label, "JPN", context, samples)
    assert [(one.field, one.operation, one.amount) for one in decision.operations] == [("covariance", "inflate", 1.2)]
    assert decision.operations == strictest([*label.operations, *decision.operations])
    assert decision.agreements == ("usa-jpn/1",)


def test_separate_calls_and_hub(samples: Agreements) -> None:
    """Under the samples: missile data between JPN and KOR needs the hub; the bilateral ceiling holds between its two."""
    context = Context(nation="JPN", mode=EXERCISE, now_ns=NOW_NS)
    hubbed = make(**{**BASE, "topics": ("missile",)})
    assert decide(hubbed, "KOR", context, samples).reason == "route-unavailable"
    assert decide(hubbed, "KOR", msgspec.structs.replace(context, hubs=("USA",)), samples).via == "USA"
    high = make(**{**BASE, "rel_to": ("KOR", "USA"), "level": 3})
    assert decide(high, "USA", context, samples).permit
    assert decide(high, "KOR", context, samples).reason == "level-above-ceiling"


def test_the_table_of_interned_labels_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond its bound the table of labels no longer grows, and decisions stay the same."""
    monkeypatch.setattr(decide_module, "labels_interned_max", 3)
    rng = random.Random(5)
    agreements = random_agreements(rng, "KOR")
    small, large = Rulebook(agreements, "JPN", "KOR"), Rulebook(agreements, "JPN", "KOR")
    context = Context(nation="JPN", mode=EXERCISE, now_ns=NOW_NS)
    for _ in range(20):
        label = random_label(rng)
        assert small.decide(label, context) == large.decide(label, context)
    assert len(small._interned) == 3
