"""How many release decisions a core makes: cached, compiled, with the second judge, and the whole release of a record.

The policy is that of the three sample agreements, signed with keys made here; the labels are drawn from a seed. Rates are per
second of processor time on one core, the best of several turns. The second judge alone (cedarpy) and casbin are measured in the
same run; what needs a disk or a whole node (`decisions_node.py`) follows.
"""

import argparse
import random
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import decisions_casbin
import decisions_node
import trilat
from trilat.policy import agreement, signing
from trilat.policy.agreement import Agreements, Document
from trilat.policy.audience import AudiencePolicy
from trilat.policy.cedar import CedarJudge
from trilat.policy.labels import make
from trilat.records.label import Label, Mode
from trilat.records.report import Pedigree
from trilat.records.sensor import Sensor
from trilat.records.track import Track

NATIONS = ("JPN", "KOR", "USA")
MODE = Mode(kind="exercise", id="BENCH")
NOW_NS = 1_790_000_000 * 10**9
SAMPLES = Path(trilat.__file__).parent / "policy" / "agreements"


def sample_agreements() -> Agreements:
    """Return the samples, filled and signed with keys that are no secret."""
    keys = {nation: signing.PolicyKey(nation=nation, seed=bytes([i + 1]) * 32) for i, nation in enumerate(NATIONS)}
    places = {
        f"{nation}.{what}": value
        for nation, key in keys.items()
        for what, value in (("policy-key", key.public), ("exchange-key", key.public), ("ca-sha256", "0" * 64))
    }
    documents = []
    for path in sorted(SAMPLES.glob("*.toml")):
        body = signing.fill(path.read_bytes(), places)
        parties = [party.nation for party in agreement.parse(path.name, body).party]
        signatures = signing.write_signatures({nation: signing.sign(body, keys[nation]) for nation in parties})
        documents.append(Document(path.name, body, signatures))
    return agreement.load(documents, {nation: key.public for nation, key in keys.items()})


def labels(count: int, seed: int) -> list[Label]:
    """Return distinct labels of JPN's data, mostly for somebody."""
    rng = random.Random(seed)
    found: dict[Label, None] = {}
    while len(found) < count:
        label = make(
            policy="TRILAT",
            originator="JPN",
            mode=MODE,
            level=rng.randrange(5),
            rel_to=[one for one in ("KOR", "PUBLIC", "USA") if rng.random() < 0.7],
            communities=[one for one in ("missile-defence", "watch-floor") if rng.random() < 0.3],
            topics=rng.sample(("air", "missile", "missile-warning", "sea", "space"), rng.randrange(1, 3)),
            caveats=[one for one in ("no-onward-release", "own-eyes") if rng.random() < 0.1],
            sources=[one for one in ("KOR", "USA") if rng.random() < 0.1],
            expires_ns=NOW_NS + rng.randrange(1, 10**15),
        )
        found[label] = None
    return list(found)


def rate(count: int, turn: Callable[[], Any], turns: int) -> float:
    """Return how many a second of processor time, best of some turns after one to warm up."""
    turn()
    best = float("inf")
    for _ in range(turns):
        begin = process_time()
        turn()
        best = min(best, process_time() - begin)
    return count / max(best, 1e-9)


def batch(policy: AudiencePolicy, some: list[Label]) -> None:
    """Decide on every label once, by the cached path."""
    for label in some:
        policy.batch_decision(label, NOW_NS)


def compiled(policy: AudiencePolicy, some: list[Label]) -> None:
    """Decide on every label once, past the cache."""
    context = policy.context(NOW_NS)
    for label in some:
        policy.rulebook.decide(label, context)


def second(policy: AudiencePolicy, judge: CedarJudge, some: list[Label]) -> None:
    """Ask the second judge alone."""
    context = policy.context(NOW_NS)
    for label in some:
        judge.permits(label, "KOR", context, policy.agreements)


def both(agreements: Agreements, judge: CedarJudge, some: list[Label]) -> None:
    """Decide on every label for the first time, with both judges."""
    batch(AudiencePolicy("KOR", agreements, MODE, "JPN", judge=judge), some)


def track() -> Track:
    """Return one track for KOR and USA."""
    label = make(policy="TRILAT", originator="JPN", mode=MODE, level=2, rel_to=("KOR", "USA"), topics=("air",))
    return Track(
        stream="JPN/USA/track",
        number=1,
        t_ns=NOW_NS,
        status="confirmed",
        label=label,
        pedigree=Pedigree(nation="JPN", sensors=("JPN-R1", "JPN-R2")),
        domain="air",
        lat_deg=33.0,
        lon_deg=130.0,
        alt_m=10_000.0,
        velocity_east_m_s=200.0,
        velocity_north_m_s=10.0,
        velocity_up_m_s=0.0,
        covariance=(100.0,) * 21,
        updated_t_ns=NOW_NS,
        callsign="TEST1",
    )


def releases(policy: AudiencePolicy, count: int) -> None:
    """Decide, sanitise, encode and check one track so many times."""
    record = track()
    for _ in range(count):
        policy.release(record, "state", NOW_NS)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="a hundredth of the size, to see that it runs")
    small = parser.parse_args().tiny
    turns, distinct, calls = (1, 50, 1_000) if small else (5, 1_000, 300_000)
    agreements, judge = sample_agreements(), CedarJudge()
    some = labels(distinct, seed=1)
    rng = random.Random(2)
    policy = AudiencePolicy("KOR", agreements, MODE, "JPN")
    permits = sum(policy.batch_decision(label, NOW_NS).permit for label in some)
    print(f"{distinct} labels, {permits} permitted to KOR; per second of one core:")
    many = [rng.choice(some) for _ in range(calls)]
    print(f"  cached, with the log kept      {rate(calls, lambda: batch(policy, many), turns):12,.0f} decisions/s")
    print(f"  compiled, past the cache       {rate(distinct, lambda: compiled(policy, some), turns):12,.0f} decisions/s")
    alone = rate(distinct, lambda: second(policy, judge, some), turns)
    print(f"  second judge alone (cedarpy)   {alone:12,.0f} decisions/s")
    print(f"  both judges, on a miss         {rate(distinct, lambda: both(agreements, judge, some), turns):12,.0f} decisions/s")
    enforcer = decisions_casbin.enforcer(agreements, "JPN")
    other = rate(distinct, lambda: decisions_casbin.enforce(enforcer, some, "KOR"), 1)
    print(f"  casbin, the first rules only   {other:12,.0f} decisions/s")
    compiled_s = rate(distinct, lambda: compiled(policy, some), turns)
    cached_s = rate(calls, lambda: batch(policy, many), turns)
    print(f"  compiled is {compiled_s / alone:,.0f} times cedarpy alone and {compiled_s / other:,.0f} times casbin;")
    print(f"  cached is {cached_s / alone:,.0f} times cedarpy alone and {cached_s / other:,.0f} times casbin")
    sensors = [Sensor(id=one, nation="JPN", kind="radar3d", label=track().label) for one in ("JPN-R1", "JPN-R2")]
    outgoing = AudiencePolicy("USA", agreements, MODE, "JPN", sensors=sensors)
    count = max(10, calls // 30)
    print(
        f"  release of a track (decide, sanitise, encode, check): {rate(count, lambda: releases(outgoing, count), turns):,.0f} /s"
    )
    decisions_node.release_path(
        AudiencePolicy("KOR", agreements, MODE, "JPN", sensors=sensors), [track()], 200 if small else 20_000
    )
    decisions_node.redecisions(agreements, track(), labels(50 if small else 1_000, seed=3), 2_000 if small else 1_000_000)
    decisions_node.ledger(2_000 if small else 1_000_000)
    decisions_node.one_more_audience(2.0 if small else 24.0)


if __name__ == "__main__":
    main()
