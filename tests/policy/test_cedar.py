"""The second judge: the same policy as Cedar text agrees with the compiled rules, and its text is worth having."""

import datetime as dt
import itertools
import random

import cedarpy
import pytest
from msgspec import structs
from policy_cases import AUDIENCES, EXERCISE, NOW_NS, random_agreements
from test_decide import pool, random_context

from trilat.marking.canonical import fault_of
from trilat.policy import cedar
from trilat.policy.agreement import Agreements
from trilat.policy.audience import AudiencePolicy
from trilat.policy.decide import Rulebook
from trilat.policy.labels import make

# So many requests of the first seed are held to the schema, which takes five times as long as judging them.
CHECKED = 2_000


def disagreements(seed: int, cases: int, *, stop: bool = False) -> tuple[int, int, int]:
    """Count disagreements and permits of the two judges, and the cases, over random cases of canonical labels."""
    rng, labels = random.Random(seed), pool(seed)
    wrong = permits = done = 0
    for i in itertools.count():
        to = rng.choice([one for one in AUDIENCES if one != "JPN"])
        agreements = random_agreements(rng, to)
        rulebook = Rulebook(agreements, "JPN", to)
        context = random_context(rng, to, agreements, eager=i % 4 == 0)
        some = [one for one in (rng.choice(labels) for _ in range(50)) if not fault_of(one)]
        first = [rulebook.decide(label, context).permit for label in some]
        asked = [cedar.Question(label, to, context, agreements) for label in some]
        second = cedar.judge_all(asked, check_requests=seed == 1 and done < CHECKED)
        wrong += sum(a != b for a, b in zip(first, second, strict=True))
        permits, done = permits + sum(first), done + len(some)
        if (wrong and stop) or done >= cases:
            return wrong, permits, done
    raise AssertionError


@pytest.mark.parametrize("seed", range(1, 6))
def test_the_two_judges_agree_over_fifty_thousand(seed: int) -> None:
    """Over 5*10^4 random cases (five seeds; the first requests held to the schema) rules and Cedar text never differ."""
    wrong, permits, done = disagreements(seed, 10_000)
    assert wrong == 0, f"seed {seed}: {wrong} of {done}"
    assert permits > 300


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(100, 200))
def test_the_two_judges_agree_over_a_million(seed: int) -> None:
    """Over 10^6 random cases (a hundred seeds of 10^4) the compiled rules and the Cedar text never differ."""
    assert disagreements(seed, 10_000)[0] == 0


RULES = [
    "originator",
    "mode",
    "label-dates",
    "agreement-in-use",
    "policy",
    "third-parties",
    "purposes",
    "route",
    "readers-or-event",
]


@pytest.mark.parametrize("name", RULES)
def test_every_rule_of_the_text_is_missed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text without one of its rules disagrees with the compiled rules: each of them says something."""
    start = cedar.POLICY.index(f'@id("{name}")')
    end = cedar.POLICY.find("\n@id", start)
    monkeypatch.setattr(cedar, "POLICY", cedar.POLICY[:start] + (cedar.POLICY[end:] if end > 0 else ""))
    cedar._parsed.cache_clear()
    try:
        assert disagreements(1, 20_000, stop=True)[0] > 0
    finally:
        cedar._parsed.cache_clear()


def test_the_text_fits_its_schema() -> None:
    """The Cedar text is valid against its schema, and an attribute that is misspelt is found."""
    assert cedarpy.validate_policies(cedar.POLICY, cedar.SCHEMA).validation_passed
    assert not cedarpy.validate_policies(cedar.POLICY.replace("ceiling", "celing"), cedar.SCHEMA).validation_passed


def test_both_judges_behind_one_audience(samples: Agreements) -> None:
    """With the second judge an audience's policy gives the same decisions, and raises no alarm."""
    one = AudiencePolicy("KOR", samples, EXERCISE, "JPN", judge=cedar.CedarJudge())
    for topic in ("air", "missile", "space"):
        for level in range(5):
            label = make(policy="TRILAT", originator="JPN", mode=EXERCISE, level=level, rel_to=("KOR",), topics=(topic,))
            assert one.batch_decision(label, NOW_NS).permit == (topic == "air" and level <= 2)
    assert one.log.alarms_total == 0


def test_an_agreement_that_cedar_cannot_hold_denies_what_it_governs_and_nothing_else(samples: Agreements) -> None:
    """An agreement whose end is beyond Cedar's numbers is a denial under it, and no reason to deny or to fail under another."""
    [one] = [a for a in samples.agreements if any((f.origin, f.to) == ("JPN", "KOR") for f in a.flow)]
    ends = structs.replace(one.validity, expires=dt.datetime(2300, 1, 1, tzinfo=dt.UTC))
    far = structs.replace(one, validity=ends)
    elsewhere = structs.replace(far, id="elsewhere", flow=tuple(structs.replace(f, to="USA") for f in far.flow))
    context = AudiencePolicy("KOR", samples, EXERCISE, "JPN").context(NOW_NS)
    label = make(policy="TRILAT", originator="JPN", mode=EXERCISE, level=1, rel_to=("KOR",), topics=("air",))
    for agreements, permitted in (((one,), True), ((far,), False), ((one, elsewhere), True)):
        held = structs.replace(samples, agreements=agreements)
        assert [permitted] == cedar.judge_all([cedar.Question(label, "KOR", context, held)]), permitted


def test_a_flow_that_two_agreements_share_is_judged_under_each(samples: Agreements) -> None:
    """Two agreements over one flow: the stricter's ceiling holds, whichever comes first."""
    [one] = [a for a in samples.agreements if any((f.origin, f.to) == ("JPN", "KOR") for f in a.flow)]
    low = structs.replace(one, id="low", party=tuple(structs.replace(p, ceiling=0) for p in one.party))
    context = AudiencePolicy("KOR", samples, EXERCISE, "JPN").context(NOW_NS)
    label = make(policy="TRILAT", originator="JPN", mode=EXERCISE, level=1, rel_to=("KOR",), topics=("air",))
    for agreements in ((one, low), (low, one)):
        held = structs.replace(samples, agreements=agreements)
        assert [False] == cedar.judge_all([cedar.Question(label, "KOR", context, held)])
