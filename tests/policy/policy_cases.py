"""Small worlds for the tests of policy: nations, keys, random labels and random agreements from a seeded generator."""

import random

import msgspec
from hypothesis import strategies as st

from trilat.marking.canonical import OPERATIONS, PURPOSE_NONE
from trilat.policy import signing
from trilat.policy.agreement import (
    Agreement,
    Agreements,
    Document,
    DutyToWarn,
    Flow,
    Party,
    Public,
    SensorTier,
    StandingConsent,
    parse,
)
from trilat.policy.labels import LevelEquivalence, make
from trilat.records.label import FieldOperation, Label, Mode

NATIONS = ("JPN", "KOR", "USA")
AUDIENCES = (*NATIONS, "PUBLIC")
POLICIES = ("TRILAT", "TRILAT-JPN", "TRILAT-KOR")
TOPICS = ("air", "missile", "sea")
COMMUNITIES = ("cell", "watch-floor")
CAVEATS = ("no-onward-release", "own-eyes")
PURPOSES = ("exercise", "warning")
TIERS = ("plot", "tracklet", "track", "area")
KINDS = ("radar3d", "fixes")
EXERCISE = Mode(kind="exercise", id="T1")
MODES = (EXERCISE, Mode(kind="exercise", id="T2"), Mode(kind="live"), Mode(kind="replay", id="T1"))
DAY_NS = 86_400 * 10**9
NOW_NS = 1_790_000_000 * 10**9

KEYS = {nation: signing.PolicyKey(nation=nation, seed=bytes([i + 1]) * 32) for i, nation in enumerate(NATIONS)}
PINNED = {nation: key.public for nation, key in KEYS.items()}
PLACES = {
    f"{nation}.{what}": value
    for nation, key in KEYS.items()
    for what, value in (("policy-key", key.public), ("exchange-key", key.public), ("ca-sha256", "0" * 64))
}


def signed(name: str, body: bytes, *, by: tuple[str, ...] | None = None) -> Document:
    """Return a document signed by its parties, or by those named."""
    signers = by if by is not None else tuple(party.nation for party in parse(name, body).party)
    return Document(name, body, signing.write_signatures({one: signing.sign(body, KEYS[one]) for one in signers}))


KNOWN = sorted((field, kind) for field, several in OPERATIONS.items() for kind in several)
EDGES = (None, NOW_NS - DAY_NS, NOW_NS, NOW_NS + DAY_NS)


def picked(names: tuple[str, ...], bits: int) -> tuple[str, ...]:
    return tuple(name for i, name in enumerate(names) if bits >> i & 1)


def numbers(count: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*(st.integers(0, 63) for _ in range(count)))


def labels(
    *, originator: str | None = None, mode: Mode | None = EXERCISE, policy: str | None = "TRILAT"
) -> st.SearchStrategy[Label]:
    """Canonical labels, each made of eighteen small numbers: a strategy of sets of samples is ten times slower."""

    def build(n: tuple[int, ...]) -> Label:
        whose = originator or NATIONS[n[0] % 3]
        rel_to = tuple(one for one in picked(AUDIENCES, n[1]) if one != whose)
        sources = picked(NATIONS, n[2])
        pairs = [(source, recipient) for source in sorted({*sources, whose}) for recipient in AUDIENCES]
        kinds = [KNOWN[n[i] % len(KNOWN)] for i in (3, 4, 5)][: n[6] % 4]
        return make(
            policy=policy or POLICIES[n[7] % 3],
            originator=whose,
            mode=mode or MODES[n[8] % 4],
            level=n[9] % 5,
            rel_to=rel_to,
            communities=picked(COMMUNITIES, n[10]),
            topics=picked(TOPICS, n[11]) or (("air",) if rel_to else ()),
            caveats=picked(CAVEATS, n[12]),
            purposes=(PURPOSE_NONE,) if n[13] > 60 else picked(PURPOSES, n[13]),
            not_before_ns=EDGES[n[14] % 4],
            expires_ns=EDGES[n[15] % 4],
            sources=sources,
            consents=[pairs[one % len(pairs)] for one in n[16:18]],
            operations=[
                FieldOperation(field=field, operation=kind, amount=0.0 if kind == "drop" else (1.0, 2.0, 500.0)[n[6] % 3])
                for field, kind in kinds
            ],
        )

    return numbers(18).map(build)


# --- the same with a plain seeded generator, for the hundred thousand cases of the oracle -------------------------------


def some(rng: random.Random, names: tuple[str, ...], share: float) -> tuple[str, ...]:
    return tuple(sorted(name for name in names if rng.random() < share))


def random_label(rng: random.Random) -> Label:
    """A label that is mostly releasable, so that every rule gets its turn to be the one that decides."""
    whose = "JPN" if rng.random() < 0.97 else rng.choice(NATIONS)
    rel_to = tuple(one for one in some(rng, AUDIENCES, 0.9) if one != whose)
    sources = some(rng, NATIONS, 0.2)
    consents = [(s, r) for s in {*sources, whose} for r in AUDIENCES if rng.random() < 0.5]
    purposes = ("none",) if rng.random() < 0.03 else some(rng, PURPOSES, 0.4)
    edge = (None, None, None, None, NOW_NS - DAY_NS, NOW_NS, NOW_NS + DAY_NS)
    label = make(
        policy="TRILAT" if rng.random() < 0.85 else rng.choice(POLICIES),
        originator=whose,
        mode=EXERCISE if rng.random() < 0.97 else rng.choice(MODES),
        level=min(rng.randrange(5), rng.randrange(5)),
        rel_to=rel_to,
        communities=some(rng, COMMUNITIES, 0.15),
        topics=some(rng, TOPICS, 0.4) or ("air",),
        caveats=some(rng, CAVEATS, 0.15),
        purposes=purposes,
        not_before_ns=rng.choice((*edge[:4], NOW_NS - DAY_NS, NOW_NS - DAY_NS, NOW_NS, NOW_NS + DAY_NS)),
        expires_ns=rng.choice((*edge[:4], NOW_NS + DAY_NS, NOW_NS + DAY_NS, NOW_NS, NOW_NS - DAY_NS)),
        sources=sources,
        consents=consents,
        operations=[
            FieldOperation(field="covariance", operation="inflate", amount=rng.choice((1.5, 2.0)))
            for _ in range(rng.randrange(2))
        ],
    )
    if rng.random() < 0.01:  # not canonical: unsorted, lower case or without a topic
        bad = rng.choice(({"rel_to": ("USA", "KOR")}, {"rel_to": ("kor",)}, {"topics": ()}))
        return msgspec.structs.replace(label, **bad)
    return label


def random_flow(rng: random.Random, to: str, topics: tuple[str, ...], origin: str = "JPN") -> Flow:
    sensor = [SensorTier(kind=kind, tier=rng.choice(TIERS)) for kind in KINDS if rng.random() < 0.4]
    sensor += [SensorTier(id="R1", tier=rng.choice(TIERS))] if rng.random() < 0.3 else []
    via = None if rng.random() < 0.8 else rng.choice([one for one in ("KOR", "USA") if one != to])
    return Flow(origin=origin, to=to, topics=topics, tier=rng.choice(TIERS), via=via, sensor=tuple(sensor))


def random_agreement(rng: random.Random, number: int, ids: tuple[str, ...], to: str) -> Agreement:
    begins, ends = rng.choice((("2020", "2036"), ("2020", "2036"), ("2020", "2036"), ("2020", "2021"), ("2035", "2036")))
    topics = some(rng, TOPICS, 0.75) or ("air",)
    shuffled = list(topics)
    rng.shuffle(shuffled)
    cut = rng.randrange(len(shuffled) + 1)
    parts = [tuple(sorted(part)) for part in (shuffled[:cut], shuffled[cut:]) if part]
    return Agreement(
        format="trilat-agreement/1",
        id=ids[number],
        version=rng.randrange(1, 9),
        title="",
        policy="TRILAT" if rng.random() < 0.9 else "TRILAT-KOR",
        modes=("exercise", "replay") if rng.random() < 0.93 else ("live",),
        validity=msgspec.convert(
            {"not_before": f"{begins}-01-01T00:00:00Z", "expires": f"{ends}-01-01T00:00:00Z"},
            Agreement.__annotations__["validity"],
        ),
        topics=topics,
        purposes=some(rng, PURPOSES, 0.7) or ("warning",),
        caveats=some(rng, CAVEATS, 0.6),
        yields_to=tuple(one for one in ids if one != ids[number] and rng.random() < 0.2),
        party=tuple(
            Party(nation=one, policy_key=PINNED[one], ceiling=rng.choice((1, 2, 3, 4)), communities=some(rng, COMMUNITIES, 0.7))
            for one in NATIONS
        ),
        public=Public(ceiling=rng.choice((0, 1, 2))),
        flow=(
            *(random_flow(rng, to, part) for part in parts),
            # Another nation's flow to the same audience, which is none of this node's business.
            *(random_flow(rng, to, topics, one) for one in ("KOR", "USA") if one != to),
        ),
        equivalence=tuple(
            LevelEquivalence(policy=policy, level=level, policy_here="TRILAT", level_here=min(4, level + rng.randrange(2)))
            for policy in POLICIES[1:]
            for level in range(5)
            if rng.random() < 0.6
        ),
        consent=tuple(
            StandingConsent(source=source, recipient=recipient, topics=some(rng, TOPICS, 0.7) or ("air",))
            for source in NATIONS
            for recipient in AUDIENCES
            if rng.random() < 0.5
        ),
        duty_to_warn=DutyToWarn(topics=("missile",), tier="area") if rng.random() < 0.5 and "missile" in topics else None,
    )


def random_agreements(rng: random.Random, to: str) -> Agreements:
    ids = ("alpha", "bravo", "charlie")[: rng.choice((1, 1, 2, 2, 3, 0))]
    found = tuple(random_agreement(rng, i, ids, to) for i in range(len(ids)))
    return Agreements(agreements=found, suspended=frozenset(some(rng, ids, 0.08)))
