"""Tracklets: equivalent measurements that hold nothing twice, and what sharing each tier loses."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from trilat.cli.bench_fusion import Kalman, Network, begin, make_world, measure
from trilat.kernels import fusion
from trilat.records import codec
from trilat.records.label import Label, Mode
from trilat.records.track import Tracklet
from trilat.track.tracklet import TrackletFuser, TrackletMaker, TrackletSettings

S_NS = 10**9
LABEL = Label(policy="TRILAT", originator="KOR", mode=Mode(kind="exercise", id="test"), level=0)
ZERO = np.zeros(3)
QUICK = {"targets": 30, "seconds": 240}


def plot(maker: TrackletMaker, t_s: int, place: np.ndarray, information: np.ndarray, number: int = 1) -> None:
    maker.add(number, t_s * S_NS, place, information, ZERO, "R1")


def flight(count: int, seed: int) -> list[tuple[int, np.ndarray]]:
    g = np.random.default_rng(seed)
    return [(t, np.array([1e6 + 200.0 * t, 2e6, 3e6]) + g.normal(0, 50, 3)) for t in range(0, 4 * count, 4)]


def full(tracklet: Tracklet) -> np.ndarray:
    upper = np.zeros((6, 6))
    upper[np.triu_indices(6)] = tracklet.information
    return np.triu(upper) + np.triu(upper, 1).T


def test_tracklets_lose_nothing_on_one_sensor() -> None:
    """A receiver of one-plot tracklets has the Kalman filter's own state, and of longer ones nearly so."""
    plots, info = flight(20, 1), np.eye(3) / 2500.0
    first = np.diag([2500.0] * 3 + [1e8] * 3)
    kalman = Kalman(np.concatenate([plots[0][1], ZERO])[None], first[None].copy())
    for t in range(1, 77):
        kalman.predict()
        if t % 4 == 0:
            kalman.update(plots[t // 4][1][None], np.eye(3)[None] * 2500.0, np.array([True]))
    for span_s, tolerance in ((0.0, 1e-4), (5.0, 0.2)):
        maker, fuser = (
            TrackletMaker("KOR", "KOR/x", TrackletSettings(span_s=span_s)),
            TrackletFuser(TrackletSettings(lag_s=100.0)),
        )
        for t, place in plots:
            plot(maker, t, place, info)
        for made in maker.take(lambda _: LABEL):
            assert fuser.add("a", "KOR", made)
        got = fuser.estimates(["a"], 76 * S_NS)
        sigma = np.sqrt(np.diag(kalman.covariance[0]))
        assert (np.abs(got.mean[0] - kalman.mean[0]) < tolerance * sigma).all()
        assert np.sqrt(np.diag(got.covariance[0])) == pytest.approx(sigma, rel=max(tolerance, 1e-3))


def test_a_tracklet_is_non_negative_and_may_be_rank_deficient() -> None:
    """A bearing-only tracklet says nothing along its bearing, and no tracklet claims negative information; the wire keeps both."""
    maker = TrackletMaker("KOR", "KOR/x")
    across = np.diag([0.0, 1e-4, 1e-4])
    for t in (0, 2, 4, 30, 31):
        plot(maker, t, np.array([1e6, 0.0, 0.0]), across)
    made = maker.take(lambda _: LABEL)
    assert [(1, 3), (2, 2)] == [(one.sequence, one.plots) for one in made]
    for one in made:
        again = codec.decode(codec.encode(one))
        assert one == again
        values = np.linalg.eigvalsh(full(one))
        assert values.min() >= -1e-12 * values.max()
        assert 0.0 == full(one)[0, 0]
    fuser = TrackletFuser()
    assert fuser.add("a", "KOR", made[0])
    assert [False] == fuser.estimates(["a"], 10 * S_NS).known.tolist()


def test_a_late_plot_makes_a_new_tracklet() -> None:
    """A plot older than what was sent makes a new tracklet with a new number; the one that was sent is not made again."""
    maker = TrackletMaker("KOR", "KOR/x")
    plot(maker, 10, ZERO, np.eye(3))
    first = maker.take(lambda _: LABEL)
    plot(maker, 8, ZERO, np.eye(3))
    second = maker.take(lambda _: LABEL)
    assert [(1, 10 * S_NS), (2, 8 * S_NS)] == [(one.sequence, one.t_ns) for one in first + second]
    assert [] == maker.take(lambda _: LABEL)


@pytest.mark.parametrize("seed", range(3))
def test_a_fuser_is_a_function_of_the_set(seed: int) -> None:
    """Order, repetition and folding of what is old change nothing in what the same tracklets say."""
    g = np.random.default_rng(seed)
    maker = TrackletMaker("KOR", "KOR/x")
    for t, place in flight(30, seed):
        plot(maker, t, place, np.eye(3) / 2500.0)
    made = maker.take(lambda _: LABEL)
    straight, shuffled = TrackletFuser(), TrackletFuser()
    for one in made:
        straight.add("a", "KOR", one)
    late = [made[k] for k in g.permutation(len(made))]
    assert [True] * len(made) == [shuffled.add("a", "KOR", one) for one in late]
    assert [False] * len(made) == [shuffled.add("a", "KOR", one) for one in late]
    before = [fuser.estimates(["a"], 120 * S_NS) for fuser in (straight, shuffled)]
    assert before[0].mean.tobytes() == before[1].mean.tobytes()
    straight.forget(120 * S_NS)
    after = straight.estimates(["a"], 120 * S_NS)
    assert np.allclose(after.mean, before[0].mean, rtol=0, atol=1e-3)
    assert not straight.add("a", "KOR", made[0])
    assert {"report-late": 1} == straight.refused


def test_what_no_filter_could_make_is_refused() -> None:
    """Negative information, an unknown model and another nation's pedigree are refused by name and leave nothing behind."""
    maker = TrackletMaker("KOR", "KOR/x")
    plot(maker, 0, ZERO, np.eye(3))
    (good,) = maker.take(lambda _: LABEL)
    fuser = TrackletFuser()
    assert not fuser.add("a", "KOR", msgspec.structs.replace(good, information=(-1.0, *good.information[1:])))
    assert not fuser.add("a", "KOR", msgspec.structs.replace(good, model="unheard-of"))
    assert not fuser.add("a", "USA", good)
    assert {"covariance-invalid": 1, "model-unknown": 1, "origin-not-partner": 1} == fuser.refused
    assert [False] == fuser.estimates(["a"], S_NS).known.tolist()


@pytest.mark.parametrize(
    ("tier", "network"),
    [
        ("plot", Network(late_s=20, duplicates=0.3)),
        ("tracklet", Network()),
        ("tracklet", Network(late_s=20, duplicates=0.3, relay_loop=True, partition_s=20)),
    ],
)
def test_plots_and_tracklets_lose_one_percent_at_most(tier: str, network: Network) -> None:
    """Shared plots and tracklets are within 1 % of one filter that has every plot, with honest doubt, whatever the network does."""
    got = measure(tier, exchange_s=10, network=network, **QUICK)
    assert got["settled_ratio"] <= 1.01, got
    assert 0.8 <= got["settled_nees"] <= 1.2, got


def test_tracks_lose_a_fifth_at_most_and_naive_fusion_fails() -> None:
    """Tracks fused by inverse intersection are within 20 % with honest doubt; the same without care is many times too sure."""
    track, naive = (measure(tier, exchange_s=5, **QUICK) for tier in ("track", "naive"))
    assert track["ratio"] <= 1.20, track
    assert 0.8 <= track["nees"] <= 1.2, track
    assert naive["ratio"] > 2.0, naive
    assert naive["nees"] > 5.0, naive


def test_mixed_tiers_stay_honest() -> None:
    """Own plots, one partner's tracklets and another's tracks together are better than without, and their doubt is honest."""
    world, n = make_world(3, 60, 240, 7), 60
    fuser, third = TrackletFuser(), begin(world, 7)
    makers = [TrackletMaker("A", "A/x", TrackletSettings(span_s=0.0)), TrackletMaker("B", "B/x")]
    squares, nees, without = [], [], []
    for t, plots in enumerate(world.plots[1:], 1):
        third.predict()
        for node, place, covariance, seen in plots:
            if node == 2:
                third.update(place, covariance, seen)
                continue
            for k in np.flatnonzero(seen).tolist():
                makers[node].add(k, t * S_NS, place[k], np.linalg.inv(covariance[k]), ZERO, "R")
        if t % 5 == 0:
            for name, maker in zip("AB", makers, strict=True):
                for made in maker.take(lambda _: LABEL):
                    fuser.add(made.number, name, made)
            fuser.forget(t * S_NS)
        if t > 60 and t % 5 == 0:
            two = fuser.estimates(range(n), t * S_NS)
            mean, covariance = np.empty((n, 6)), np.empty((n, 6, 6))
            fusion.fuse_pairs(two.mean, two.covariance, third.mean, third.covariance, fusion.RULE_INVERSE, mean, covariance)
            e = mean - world.truth[t]
            squares.append((e[:, :3] ** 2).sum(axis=1).mean())
            without.append(((two.mean - world.truth[t])[:, :3] ** 2).sum(axis=1).mean())
            nees.append(np.einsum("ni,ni->n", e, np.linalg.solve(covariance, e[..., None])[..., 0]).mean() / 6)
    assert np.mean(squares) < np.mean(without)
    assert 0.8 <= np.mean(nees) <= 1.2
