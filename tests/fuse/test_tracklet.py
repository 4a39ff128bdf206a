"""Tracklets: equivalent measurements that hold nothing twice, and what sharing each tier loses."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from fuse_world import START_NS, World

from trilat.cli.bench_fusion import Kalman, Network, begin, make_world, measure
from trilat.fuse.tracklet import TrackletFuser, TrackletMaker, TrackletSettings, plots_of_tracks
from trilat.kernels import fusion, geodesy
from trilat.records import codec
from trilat.records.columns import KIND_RADAR, empty_reports
from trilat.records.label import Label, Mode
from trilat.records.sensor import Sensor
from trilat.records.track import Tracklet

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


def seen(world: World, t_s: float, g: np.random.Generator, which: np.ndarray) -> np.ndarray:
    """Give a radar's plots of some of the targets."""
    rae = geodesy.ecef_to_rae(world.truth(t_s)[which, :3], 33.0, 129.0, 100.0)
    rows = empty_reports(len(which))
    rows["kind"], rows["t_ns"] = KIND_RADAR, START_NS + round(t_s * 1e9)
    rows["range_m"], rows["azimuth_rad"] = rae[:, 0] + g.normal(0, 50, len(which)), rae[:, 1] + g.normal(0, 0.001, len(which))
    rows["elevation_rad"] = rae[:, 2] + g.normal(0, 0.001, len(which))
    return rows


def test_plots_find_their_tracks_and_become_tracklets() -> None:
    """Plots of well parted tracks are all found and rightly, and the tracklets made of them say where the targets are."""
    world, g = World(40, 3, spread_m=250_000.0), np.random.default_rng(1)
    sensor = Sensor(
        id="R1",
        nation="KOR",
        label=LABEL,
        kind="radar3d",
        lat_deg=33.0,
        lon_deg=129.0,
        alt_m=100.0,
        sigma_range_m=50.0,
        sigma_azimuth_rad=0.001,
        sigma_elevation_rad=0.001,
    )
    maker, fuser, found = TrackletMaker("KOR", "KOR/shared"), TrackletFuser(), 0
    for t in range(0, 60, 4):
        tracks = world.tracks("KOR", t + 0.5).columns
        own = plots_of_tracks(tracks, seen(world, float(t), g, np.arange(40)), sensor)
        found += len(own.number)
        for k, number in enumerate(own.number.tolist()):
            maker.add(number, int(own.t_ns[k]), own.about_m[k], own.information[k], own.state[k], "R1")
        for made in maker.take(lambda _: LABEL):
            assert fuser.add(made.number, "KOR", made)
    assert found >= 0.9 * 15 * 40
    got = fuser.estimates(world.numbers["KOR"].tolist(), START_NS + 56 * S_NS)
    e = got.mean - world.truth(56.0)
    nees = np.einsum("ni,ni->n", e, np.linalg.solve(got.covariance, e[..., None])[..., 0]) / 6
    assert got.known.all()
    assert np.median(nees) < 1.5


def test_what_could_be_of_two_tracks_is_left_out() -> None:
    """A plot between two tracks a hundred metres apart is no track's."""
    world, g = World(2, 3), np.random.default_rng(1)
    world.position[1], world.velocity[1] = world.position[0] + 100.0, world.velocity[0]
    sensor = Sensor(id="R1", nation="KOR", label=LABEL, kind="radar3d", lat_deg=33.0, lon_deg=129.0, alt_m=100.0)
    tracks = world.tracks("KOR", 0.0).columns
    assert 0 == len(plots_of_tracks(tracks, seen(world, 0.0, g, np.array([0])), sensor).number)
    assert 0 == len(plots_of_tracks(tracks[:0], seen(world, 0.0, g, np.array([0])), sensor).number)
