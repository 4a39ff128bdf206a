"""The combined picture: what it is a function of, what it refuses, and how its tracks hold together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fuse_world import START_NS, World

from trilat.fuse import combine, correlate
from trilat.fuse.combine import Combined, Combiner, CombinerSettings, PartnerItem
from trilat.records.report import Pedigree

PARTNERS = ("KOR", "USA")


def ns(t_s: float) -> int:
    return START_NS + round(t_s * 1e9)


def run(
    world: World, arrivals: dict[int, list[PartnerItem]], steps: int, combiner: Combiner | None = None, step_s: float = 0.5
) -> list[Combined]:
    """Step a combiner every step_s with the national tracks and whatever arrives at that step."""
    combiner = combiner or Combiner("JPN", PARTNERS)
    return [combiner.step(ns(k * step_s), world.tracks("JPN", k * step_s), arrivals.get(k, ())) for k in range(steps)]


def every_second(world: World, seconds: int, delay_steps: int = 1) -> list[tuple[int, list[PartnerItem]]]:
    """Give both partners' items by the step they arrive at in good order."""
    return [(2 * t + delay_steps, world.items(nation, float(t), t)) for t in range(seconds) for nation in PARTNERS]


def in_order(sends: list[tuple[int, list[PartnerItem]]]) -> dict[int, list[PartnerItem]]:
    arrivals: dict[int, list[PartnerItem]] = {}
    for step, items in sends:
        arrivals.setdefault(step, []).extend(items)
    return arrivals


def same(a: Combined, b: Combined) -> bool:
    return a.tracks.columns.tobytes() == b.tracks.columns.tobytes() and (a.members, a.evidence_sets) == (
        b.members,
        b.evidence_sets,
    )


def test_one_target_one_track() -> None:
    """Targets that three nations track become one combined track each, better than any nation's own, under a number that lasts."""
    world = World(60, 1)
    shown = run(world, in_order(every_second(world, 20)), 40)
    last = shown[-1]
    truth = world.truth(19.5)[:, :3]
    distance = np.linalg.norm(last.tracks.columns["position_m"][:, None] - truth[None], axis=2)
    assert (60, {7}) == (len(last.members), set(last.nations.tolist()))
    own = np.linalg.norm(world.tracks("JPN", 19.5).columns["position_m"][:, None] - truth[None], axis=2).min(axis=1)
    assert (distance.min(axis=1) ** 2).mean() < (own**2).mean()
    assert [()] * 30 == [one.tracks.deleted for one in shown[10:]]
    assert set(shown[10].tracks.columns["number"]) == set(last.tracks.columns["number"])


@pytest.mark.parametrize("seed", range(6))
def test_order_and_repetition_change_nothing(seed: int) -> None:
    """Late, shuffled, split and repeated items give the same picture, byte for byte, once they are there."""
    world, g = World(12, 5), np.random.default_rng(seed)
    sends = every_second(world, 12)
    reference = run(world, in_order(sends), 36)[-1]
    moved = [(step + int(g.integers(0, 11)), [items[k]]) for step, items in sends for k in g.permutation(len(items))]
    moved += [(step + int(g.integers(0, 11)), [item]) for step, items in sends for item in items if g.random() < 0.2]
    again = run(world, in_order(moved), 36)[-1]
    assert same(reference, again), seed


def test_what_is_seconds_late_is_decided_again_once_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many steps bring items three seconds late, past epochs are decided again once a second; the picture is the same."""
    decided: list[int] = []

    def counting(before: Any, t_ns: int, *rest: Any) -> Any:
        decided.append(t_ns)
        return correlate.correlate(before, t_ns, *rest)

    monkeypatch.setattr(combine, "correlate", counting)
    world, pictures, counts = World(20, 3), [], []
    for late_s in (0.0, 3.0):
        combiner = Combiner("JPN", ("KOR", "USA"))
        decided.clear()
        for k in range(100):
            items = world.items("KOR", k / 10 - late_s, sequence=k) if k / 10 >= late_s else []
            combined = combiner.step(START_NS + k * 10**8, world.tracks("JPN", k / 10), items)
        counts.append(len(decided))
        rest = [one for k in range(int(100 - late_s * 10), 100) for one in world.items("KOR", k / 10, sequence=k)]
        combined = combiner.step(START_NS + 10**10, world.tracks("JPN", 10.0), rest)
        pictures.append((combined.members, combined.tracks.columns.tobytes()))
    assert pictures[0] == pictures[1]
    in_time, late = counts
    assert late <= 4 * in_time + 10  # every step again would be thirty times


def test_a_late_joiner_equals_the_others() -> None:
    """A combiner begun in the middle shows the same targets, members and states as the others after one horizon."""
    world = World(20, 3)
    arrivals = in_order(every_second(world, 80))
    old, new = Combiner("JPN", PARTNERS), Combiner("JPN", PARTNERS)
    for k in range(160):
        a = old.step(ns(k / 2), world.tracks("JPN", k / 2), arrivals.get(k, ()))
        if k >= 80:
            b = new.step(ns(k / 2), world.tracks("JPN", k / 2), arrivals.get(k, ()))
    fields = ["position_m", "velocity_m_s", "covariance", "status", "domain", "updated_t_ns"]
    of = [
        sorted(zip(one.members, [[row[f].tobytes() for f in fields] for row in one.tracks.columns], strict=True))
        for one in (a, b)
    ]
    assert of[0] == of[1]


def test_close_targets_keep_their_partners() -> None:
    """Two aircraft 600 m apart in the same flight never swap partners: pairings do not flicker."""
    world = World(2, 11, sigma_m=60.0)
    world.position[1] = world.position[0] + np.array([0.0, 0.0, 600.0])
    world.velocity[1] = world.velocity[0]
    shown = run(world, in_order(every_second(world, 60)), 120)
    groups = {one.members for one in shown[12:]}
    truth = {
        tuple(
            sorted(
                (n, s, int(world.numbers[n][k])) for n, s in (("JPN", "JPN/national"), ("KOR", "KOR/track"), ("USA", "USA/track"))
            )
        )
        for k in range(2)
    }
    assert [truth] == [set(members) for members in {tuple(sorted(one)) for one in groups}]


def test_identity_is_evidence() -> None:
    """Ships side by side with different MMSIs stay two; a spoofed address brings no distant tracks together."""
    world = World(1, 2, sigma_m=40.0)
    arrivals = {2 * t + 1: world.items("KOR", float(t), t, domain="sea", mmsi=440_000_001) for t in range(10)}
    combiner = Combiner("JPN", PARTNERS)
    for k in range(20):
        national = world.tracks("JPN", k / 2)
        national.columns["domain"], national.columns["mmsi"] = 2, 431_000_001
        two = combiner.step(ns(k / 2), national, arrivals.get(k, ()))
    assert 2 == len(two.members)
    far = World(2, 4, spread_m=50_000.0)
    spoofed = {2 * t + 1: far.items("KOR", float(t), t, address=0x840001, seen=np.array([True, False])) for t in range(10)}
    combiner = Combiner("JPN", PARTNERS)
    for k in range(20):
        national = far.tracks("JPN", k / 2, np.array([False, True]))
        national.columns["address"] = 0x840001
        apart = combiner.step(ns(k / 2), national, spoofed.get(k, ()))
    assert 2 == len(apart.members)


def test_stale_partners_drop_out_and_doubt_grows() -> None:
    """When a partner falls silent its part grows in doubt, and is gone after its domain's time; the number stays."""
    world = World(5, 8)
    combiner = Combiner("JPN", PARTNERS)
    arrivals = in_order(every_second(world, 10))
    alone = np.zeros(5, bool)
    shown = [combiner.step(ns(k / 2), world.tracks("JPN", k / 2, alone), arrivals.get(k, ())) for k in range(100)]
    trace = [float(np.trace(one.tracks.columns["covariance"][0])) for one in shown[24:44]]
    assert trace == sorted(trace)
    assert trace[-1] > 2 * trace[0]
    assert (5, 0) == (len(shown[40].members), len(shown[-1].members))
    assert set(shown[20].tracks.columns["number"]) == {n for one in shown[21:] for n in one.tracks.deleted}


def test_a_deleted_track_is_gone_at_once() -> None:
    """A partner's last word on a track takes it out of the picture, whatever older items come after it."""
    world = World(3, 9)
    combiner = Combiner("JPN", PARTNERS)
    arrivals = {2 * t + 1: world.items("KOR", float(t), t) for t in range(6)}
    arrivals[13] = world.items("KOR", 6.0, 6, status="deleted")
    arrivals[15] = arrivals[11]
    nobody = np.zeros(3, bool)
    shown = [combiner.step(ns(k / 2), world.tracks("JPN", k / 2, nobody), arrivals.get(k, ())) for k in range(18)]
    assert [3, 0, 0] == [len(shown[k].members) for k in (12, 13, 17)]


def test_what_is_not_a_partners_own_is_refused() -> None:
    """Our own data sent back, a third nation's data, a stranger, the future, the past and a bad covariance are counted, not used."""
    world = World(1, 6)
    combiner = Combiner("JPN", PARTNERS)
    (good,) = world.items("KOR", 0.0)
    own = world.items("KOR", 0.0, pedigree=Pedigree(nation="JPN"))
    third = world.items("KOR", 0.0, pedigree=Pedigree(nation="USA"))
    stranger = [good._replace(nation="XYZ")]
    future, past = world.items("KOR", 10.0), world.items("KOR", -50.0)
    bad = world.items("KOR", 0.0, covariance=(-1.0, *good.record.covariance[1:]))
    got = combiner.step(ns(0), world.tracks("JPN", 0.0), [*own, *third, *stranger, *future, *past, *bad])
    expected = {"own-data-returned": 1, "origin-not-partner": 2, "time-future": 1, "report-late": 1, "covariance-invalid": 1}
    assert (expected, 1) == (+combiner.refused, len(got.members))


def test_what_a_label_is_joined_of() -> None:
    """Every row names the partners' labels and the bit set of own sensors that its label must be joined of."""
    world = World(4, 10)
    last = run(world, in_order(every_second(world, 5)), 10)[-1]
    kor, usa = world.items("KOR", 0.0)[0].record.label, world.items("USA", 0.0)[0].record.label
    assert {(1, kor, usa)} == {tuple(sorted(last.evidence_sets[k], key=str)) for k in last.evidence}


def test_strangers_are_intersected() -> None:
    """A nation called a stranger is fused by covariance intersection, which claims less than its inverse form."""
    world = World(8, 12)
    sends = in_order(every_second(world, 10))
    trusting = run(world, sends, 20)[-1]
    wary = run(world, sends, 20, Combiner("JPN", PARTNERS, CombinerSettings(strangers=PARTNERS)))[-1]
    volume = [np.linalg.slogdet(one.tracks.columns["covariance"])[1] for one in (trusting, wary)]
    assert (volume[0] < volume[1]).all()


def test_room_is_bounded() -> None:
    """Tracks beyond the bound are refused by name, and those already there go on."""
    world = World(10, 13)
    combiner = Combiner("JPN", PARTNERS, CombinerSettings(tracks_max=12))
    got = [combiner.step(ns(k / 2), world.tracks("JPN", k / 2), world.items("KOR", k / 2, k)) for k in range(6)]
    assert 10 <= len(got[-1].members) <= 12
    assert combiner.refused["tracks-full"] == 6 * 8


@pytest.mark.parametrize("count", [0, 1])
def test_few_tracks(count: int) -> None:
    """No track at all, or one, is no special case."""
    world = World(1, 14)
    seen = np.array([count > 0])
    combiner = Combiner("JPN", PARTNERS)
    assert [count] * 4 == [len(combiner.step(ns(k / 2), world.tracks("JPN", k / 2, seen)).members) for k in range(1, 5)]
