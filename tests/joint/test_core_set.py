"""The core tracker's tracks are a function of the set of what partners sent within the lag."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trilat.cli.bench_fusion_world import T0_NS, Node, Real, make_real_world
from trilat.records.columns import TRACK_DTYPE
from trilat.track import TrackerSettings

AIR = TrackerSettings(domains=("air",))
FIRST_S, SECONDS, LATE_S = 10, 150, 20
# Numbers, and with them the order of tracks, are given as tracks are first seen.
SAME = [name for name in TRACK_DTYPE.names or () if name != "number"]


def rows_of(columns: Any) -> list[list[bytes]]:
    """Give tracks without their numbers, in an order that is their own."""
    return sorted([columns[name][k].tobytes() for name in SAME] for k in range(len(columns)))


def shown(tiers: tuple[str, str], late: bool, seed: int = 1) -> tuple[Any, Node]:  # noqa: FBT001 - one of two runs
    """Give the core's tracks at the end, and the node; late: items up to 20 s late, a third of them twice, in any order."""
    world = make_real_world(3, 12, SECONDS, 4, Real(bias_deg=0.1, bias_m=80.0))
    me = Node(0, world.radars, "plot", AIR)
    others = [Node(1, world.radars, tiers[0], AIR), Node(2, world.radars, tiers[1], AIR)]
    g, due, columns = np.random.default_rng(seed), {}, None
    for t, plots in enumerate(world.plots[1:], 1):
        now_ns = T0_NS + t * 10**9
        for k, reports in plots:
            if k:
                others[k - 1].look(now_ns, [reports])
        for one in others:
            for record in one.message(now_ns) if t % 5 == 0 and t <= SECONDS - LATE_S - 5 else []:
                for _ in range(1 + int(late and g.random() < 0.3)):
                    at = t + (int(g.integers(0, LATE_S + 1)) if late and t > FIRST_S else 0)
                    due.setdefault(at, []).append((one.nation, [record]))
        received = due.pop(t, [])
        if late and t > FIRST_S:
            received = [received[k] for k in g.permutation(len(received))]
        columns = me.step(now_ns, me.look(now_ns, [c for k, c in plots if k == 0]), received)
    return columns, me


@pytest.mark.parametrize("tiers", [("plot", "plot"), ("plot", "tracklet"), ("tracklet", "tracklet")])
def test_order_lateness_and_repeats_change_nothing(tiers: tuple[str, str]) -> None:
    """Plots and tracklets up to 20 s late, some twice, in any order, end in the same bytes, with biases found and taken off on the way.

    And lateness is no fault of a partner's clock: nobody is put in quarantine for it.
    """
    want, in_order = shown(tiers, late=False)
    got, out_of_order = shown(tiers, late=True)
    assert rows_of(want) == rows_of(got)
    taken_off = [k for k in in_order.core.between.known().values() if (np.abs(k.value) > 3.0 * k.sigma).any()]
    assert len(taken_off) > 0
    assert frozenset() == in_order.core.health.quarantined == out_of_order.core.health.quarantined
    assert {} == dict(out_of_order.core.refused)
