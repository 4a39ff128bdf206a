"""What is left out of the picture is left out of all that rests on partners' data: no launch is seen where a misfit points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import node_worlds as worlds
import numpy as np

from trilat.node.inputs import ReceivedInput
from trilat.records import codec
from trilat.records.label import Label
from trilat.records.report import Measurement, Pedigree
from trilat.records.track import Track

S = 10**9
KOR = Label(policy="TRILAT", originator="KOR", mode=worlds.MODE, level=1, rel_to=("JPN",), topics=("missile",))


def missile(number: int, t_ns: int) -> Track:
    upper = np.diag([50.0**2] * 3 + [9.0] * 3)[np.triu_indices(6)]
    return Track(
        stream="KOR/track/0", number=number, t_ns=t_ns, updated_t_ns=t_ns, status="confirmed", label=KOR,
        pedigree=Pedigree(nation="KOR", sensors=("KOR/radar",)), domain="missile", lat_deg=39.0, lon_deg=127.0, alt_m=40_000.0,
        velocity_east_m_s=900.0, velocity_north_m_s=0.0, velocity_up_m_s=900.0, covariance=tuple(upper.tolist()),
    )  # fmt: skip


def plot(sensor: str, t_ns: int) -> Measurement:
    return Measurement(
        t_ns=t_ns, sensor=sensor, label=KOR, pedigree=Pedigree(nation="KOR", sensors=(sensor,)), lat_deg=39.0,
        lon_deg=127.0 + (t_ns - worlds.T0_NS) / S * 0.01,
        alt_m=40_000.0, sigma_along_m=50.0, sigma_across_m=50.0, sigma_up_m=50.0,
    )  # fmt: skip


def test_a_partner_in_quarantine_points_at_no_launch(tmp_path: Path) -> None:
    """Tracks and plots of a clock that stands are left out of the watch for launches as well; another sensor's plots are not."""
    pipeline, sequence = worlds.pipeline_of(worlds.config_of(worlds.prepare(tmp_path)["JPN"])), 0
    launches = pipeline.launches.combined
    assert launches.pointers is not None
    pointed, plots = [], []

    def take(records: list[Any], now_ns: int) -> None:
        nonlocal sequence
        given = []
        for record in records:
            sequence += 1
            given.append(ReceivedInput(exporter="KOR", lane="state", epoch=1, sequence=sequence, record=codec.encode(record)))
        pipeline.step(now_ns, given)

    for t in range(1, 60):
        now_ns = worlds.T0_NS + t * S
        stamp = min(now_ns, worlds.T0_NS + 5 * S)
        take([missile(1, stamp), plot("KOR/stuck", stamp), plot("KOR/good", now_ns)], now_ns)
        pointed.append(len(launches.pointers))
        plots.append(len(pipeline.core.usable({"KOR": [plot("KOR/stuck", now_ns)]})["KOR"]))
    assert 1 == max(pointed[:10])
    assert 1 == plots[0]
    now_ns = worlds.T0_NS + 60 * S
    take([missile(2, now_ns)], now_ns)
    assert "KOR:tracks" in pipeline.combined.judge.health.quarantined
    assert 0 == len(launches.pointers)
    assert "KOR:KOR/stuck" in pipeline.core.health.quarantined
    assert 0 == plots[-1]
    assert [plot("KOR/good", now_ns)] == pipeline.core.usable({"KOR": [plot("KOR/good", now_ns)]})["KOR"]
