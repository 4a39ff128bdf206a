"""What one nation gave another never reaches a third one against its word, and what two share says nothing to the third."""

import itertools
import random

import msgspec
import pytest
from policy_cases import AUDIENCES, EXERCISE, NATIONS, NOW_NS, TOPICS, random_agreement, random_agreements, random_label, some
from policy_records import PEDIGREE, SECRET, track

from trilat.marking.canonical import fault_of
from trilat.policy.agreement import Agreements
from trilat.policy.audience import AudiencePolicy
from trilat.policy.decide import Rulebook
from trilat.policy.labels import make
from trilat.policy.rules import Context
from trilat.records import codec
from trilat.records.label import Label

PATHS = list(itertools.permutations(NATIONS, 2))


def every_way(rng: random.Random) -> Agreements:
    """Random agreements with flows from every nation to every other one and to PUBLIC."""
    ids = ("alpha", "bravo", "charlie")[: rng.choice((1, 2, 3))]
    found = []
    for i in range(len(ids)):
        pieces = [random_agreement(rng, i, ids, to) for to in AUDIENCES]
        flows = {}
        for piece, to in zip(pieces, AUDIENCES, strict=True):
            for origin in (one for one in NATIONS if one != to):
                model = rng.choice(piece.flow)
                topics = some(rng, TOPICS, 0.8) or ("air",)
                flows[origin, to] = msgspec.structs.replace(model, origin=origin, to=to, topics=topics, via=None)
        found.append(msgspec.structs.replace(pieces[0], flow=tuple(flows.values())))
    return Agreements(agreements=tuple(found))


def label_of(rng: random.Random, originator: str, sources: tuple[str, ...] = ()) -> Label:
    """A label of a nation, for everybody else."""
    return make(
        policy="TRILAT",
        originator=originator,
        mode=EXERCISE,
        level=rng.choice((0, 0, 1, 2)),
        rel_to=tuple(one for one in AUDIENCES if one != originator),
        topics=some(rng, TOPICS, 0.4) or ("air",),
        sources=sources,
    )


def context_of(nation: str) -> Context:
    return Context(nation=nation, mode=EXERCISE, now_ns=NOW_NS, hubs=NATIONS)


@pytest.mark.parametrize("seed", range(2))
def test_nothing_received_is_passed_on(seed: int) -> None:
    """Over random agreements, what A released to B is refused by B's node to C, to PUBLIC and back to A, whatever is agreed."""
    rng = random.Random(seed)
    passed = 0
    for _ in range(40):
        agreements = every_way(rng)
        for a, b in PATHS:
            policy = AudiencePolicy(b, agreements, EXERCISE, a, secret=SECRET)
            given = policy.release(track(label_of(rng, a), pedigree=msgspec.structs.replace(PEDIGREE, nation=a)), "state", NOW_NS)
            if given is None:
                continue
            passed += 1
            received = codec.decode(given.record).label
            widened = msgspec.structs.replace(received, rel_to=tuple(sorted(set(AUDIENCES) - {a})))
            for c in (one for one in AUDIENCES if one != b):
                for label in (received, widened):
                    decision = Rulebook(agreements, b, c).decide(label, context_of(b))
                    assert (decision.permit, decision.reason) == (False, "foreign-originator"), f"{a} to {b} to {c}, seed {seed}"
    assert passed > 40


def consents(agreements: Agreements, source: str, recipient: str, label: Label, governing: tuple[str, ...]) -> bool:
    """Whether a source has said yes, in every agreement that governs, to a recipient on every topic: read plainly."""
    for one in agreements.agreements:
        if f"{one.id}/{one.version}" in governing:
            said = {t for c in one.consent if (c.source, c.recipient) == (source, recipient) for t in c.topics}
            if not set(label.topics) <= said:
                return False
    return True


@pytest.mark.parametrize("seed", range(2))
def test_what_rests_on_a_third_nation_needs_its_word(seed: int) -> None:
    """Over random agreements, what B made of A's data goes to C only with A's signed consent; taken away, it is withheld."""
    rng = random.Random(100 + seed)
    permits = refused = 0
    for _ in range(80):
        agreements = every_way(rng)
        for a, b in PATHS:
            for c in (one for one in AUDIENCES if one not in (a, b)):
                label = label_of(rng, b, sources=(a,))
                decision = Rulebook(agreements, b, c).decide(label, context_of(b))
                if not decision.permit:
                    refused += decision.reason == "consent-missing"
                    continue
                permits += 1
                assert consents(agreements, a, c, label, decision.agreements), f"{a} to {b} to {c}, seed {seed}"
                silent = Agreements(
                    agreements=tuple(
                        msgspec.structs.replace(one, consent=tuple(said for said in one.consent if said.source != a))
                        for one in agreements.agreements
                    )
                )
                assert Rulebook(silent, b, c).decide(label, context_of(b)).reason == "consent-missing"
    assert permits > 10
    assert refused > 30


@pytest.mark.parametrize("seed", range(2))
def test_separate_calls_say_nothing_to_the_third(seed: int) -> None:
    """What two nations agree for themselves changes no decision, no reason, no window and no byte of what a third one gets."""
    rng = random.Random(200 + seed)
    compared = permits = 0
    for _ in range(100):
        agreements = random_agreements(rng, "KOR")
        call = random_agreement(rng, 0, ("bilateral",), "USA")
        call = msgspec.structs.replace(call, flow=tuple(one for one in call.flow if one.to == "USA"))
        both = Agreements(agreements=(*agreements.agreements, call), suspended=agreements.suspended)
        alone, together = (
            AudiencePolicy("KOR", one, EXERCISE, "JPN", secret=SECRET, hubs=("USA",)) for one in (agreements, both)
        )
        for _ in range(20):
            label = random_label(rng)
            if fault_of(label) or "KOR" not in label.rel_to:
                continue
            only = tuple(one for one in label.rel_to if one != "USA")
            narrow = msgspec.structs.replace(
                label, rel_to=only, consents=tuple(c for c in label.consents if c.recipient == "KOR")
            )
            first, second = (policy.batch_decision(narrow, NOW_NS) for policy in (alone, together))
            assert first == second
            compared += 1
            if first.permit and label.originator == "JPN":
                permits += 1
                wide = together.batch_decision(label, NOW_NS)
                sent = [policy.release(track(one), "state", NOW_NS) for policy, one in ((alone, narrow), (together, label))]
                assert wide.permit
                assert sent[0] is not None
                assert sent[1] is not None
                assert (sent[0].record, sent[0].decision, sent[0].reason) == (sent[1].record, sent[1].decision, sent[1].reason)
    assert compared > 500
    assert permits > 20
