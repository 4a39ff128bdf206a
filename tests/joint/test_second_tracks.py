"""The core tracker holds one track a target, also where radars of several nations disagree about its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trilat.cli.bench_fusion import Network
from trilat.cli.bench_fusion_world import T0_NS, Node, Real, RealWorld, Tally, make_real_world, measure_real
from trilat.kernels import geodesy
from trilat.records.columns import KIND_RADAR, empty_reports
from trilat.track import TrackerSettings


@pytest.mark.parametrize(("tier", "most", "nees_max"), [("plot", 1.0, 1.2), ("tracklet", 5.0, 1.5)])
def test_biased_radars_make_no_second_tracks(tier: str, most: float, nees_max: float) -> None:
    """Three radars apart by biases of up to half a degree, no reference, no radar's place told: hardly a track too many.

    What speaks against a second track is that partners' sensors show something else beside it, and then biases are taken off: so
    the error is far below the 310 m of plots fused as they came, and what is said of it is honest.
    """
    figures = measure_real(
        tier, nodes=3, exchange_s=5, targets=30, seconds=240, seed=5, network=Network(), real=Real(bias_deg=0.2, bias_m=100.0)
    )
    assert figures["false"] < most, figures
    assert figures["missed"] < 0.1, figures
    assert figures["nees"] < nees_max, figures
    assert figures["rmse_m"] < 180.0, figures


def test_tracks_that_biases_parted_are_one_again() -> None:
    """Once biases are taken off no target keeps two tracks, though each of them is fed by other partners' tracklets."""
    world = make_real_world(3, 100, 230, 14, Real(bias_deg=0.2, bias_m=100.0))
    nodes, told = [Node(k, world.radars, "tracklet", TrackerSettings(domains=("air",))) for k in range(3)], []
    early, late = Tally(), Tally()
    for t, plots in enumerate(world.plots[1:], 1):
        now_ns = T0_NS + t * 10**9
        mine = [node.look(now_ns, [c for who, c in plots if who == k]) for k, node in enumerate(nodes)]
        if t % 5 == 0:
            told = [(node.nation, node.message(now_ns)) for node in nodes]
        for k, node in enumerate(nodes):
            columns = node.step(now_ns, mine[k], [one for one in told if one[0] != node.nation] if t % 5 == 0 else [])
            if t % 10 == 0 and t in (*range(50, 90), *range(190, 230)):
                (early if t < 90 else late).add(world.truth[t], columns)
    assert early.figures()["false"] > 10.0, early.figures()
    assert late.figures()["false"] < 1.0, late.figures()
    assert late.figures()["missed"] < 0.1, late.figures()


def pair(gap_m: float, seconds: int, sees: tuple[float, float]) -> RealWorld:
    """Fly two aircraft side by side; the partner's radar (the second) sees each with its own probability."""
    g = np.random.default_rng(3)
    flat = make_real_world(2, 1, 2, 1, Real())
    basis = geodesy.enu_basis(33.0, 130.0)
    zero = geodesy.geodetic_to_ecef(33.0, 130.0, 9_000.0)
    truth = np.empty((seconds + 1, 2, 6))
    for t in range(seconds + 1):
        for k in range(2):
            truth[t, k, :3] = zero + np.array([200.0 * t - 20e3, 60e3 + gap_m * k, 0.0]) @ basis
            truth[t, k, 3:] = np.array([200.0, 0.0, 0.0]) @ basis
    plots: list[list[tuple[int, Any]]] = [[]]
    for t in range(1, seconds + 1):
        looked = []
        for k, radar in enumerate(flat.radars):
            if t % int(radar.period_s) == k:
                seen = truth[t, g.random(2) < (sees if k else (0.9, 0.9)), :3]
                rae = geodesy.ecef_to_rae(seen, radar.lat_deg, radar.lon_deg, radar.alt_m).reshape(-1, 3)
                rae += g.normal(size=rae.shape) * [radar.sigma_range_m, radar.sigma_azimuth_rad, radar.sigma_elevation_rad]
                out = empty_reports(len(rae))
                out["t_ns"], out["kind"], out["sensor"] = T0_NS + t * 10**9, KIND_RADAR, 0
                out["range_m"], out["azimuth_rad"], out["elevation_rad"] = rae.T
                looked.append((k, out))
        plots.append(looked)
    return RealWorld(truth, flat.radars, plots)


@pytest.mark.parametrize("sees", [(0.9, 0.9), (0.6, 0.6), (0.9, 0.0)])
@pytest.mark.parametrize("tier", ["plot", "tracklet"])
@pytest.mark.parametrize(("gap_m", "seconds"), [(2_000.0, 120), (300.0, 400)])
def test_a_pair_stays_a_pair(tier: str, sees: tuple[float, float], gap_m: float, seconds: int) -> None:
    """Two aircraft side by side are two tracks, also while a partner's radar sees them badly, or one of them never."""
    world = pair(gap_m, seconds, sees)
    nodes = [Node(k, world.radars, tier, TrackerSettings(domains=("air",))) for k in range(2)]
    held = []
    for t, plots in enumerate(world.plots[1:], 1):
        now_ns = T0_NS + t * 10**9
        mine = [node.look(now_ns, [c for who, c in plots if who == k]) for k, node in enumerate(nodes)]
        received = [(world.radars[1].nation, nodes[1].message(now_ns))] if t % 5 == 0 else []
        nodes[1].step(now_ns, mine[1], [])
        columns = nodes[0].step(now_ns, mine[0], received)
        held.append(int(((columns["status"] == 1) | (columns["status"] == 2)).sum()))
    assert {2} == set(held[40:]), held
