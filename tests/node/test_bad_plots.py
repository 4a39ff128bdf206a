"""Plots and tracks that cannot be, through a whole node: each refused by its name, counted and shown, and nothing else changed."""

from __future__ import annotations

from typing import Any

import msgspec
import node_worlds as worlds
import numpy as np
import pytest

from trilat.kernels import geodesy
from trilat.node import show
from trilat.node.health import Health
from trilat.node.inputs import FeedInput, Input, ReceivedInput
from trilat.node.pipeline import Pipeline
from trilat.node.settings import NodeConfig
from trilat.records import codec
from trilat.records.columns import STATUSES
from trilat.records.label import Label
from trilat.records.report import Pedigree
from trilat.records.track import Track

FEED, SENSOR, SECONDS = "bad", "JPN/bad", 4.0
S = 10**9
GOOD = {"sensor": SENSOR, "range_m": 80e3, "azimuth_deg": 40.0, "elevation_deg": 6.0, "simulated": True}
# What is wrong with a line, by whom it is refused (the feed's decoder, the tracker), and under what name.
BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "an azimuth that is no number": ({"azimuth_deg": "NaN"}, "feed", "syntax-bad"),
    "a sigma of nothing": ({"sigma_range_m": 0.0}, "feed", "value-implausible"),
    "a sigma below zero": ({"sigma_azimuth_deg": -1.0}, "feed", "value-implausible"),
    "a sigma beyond what it is of": ({"sigma_range_m": 1e200}, "feed", "value-implausible"),
    "a range below zero": ({"range_m": -5.0}, "feed", "value-implausible"),
    "a sensor that nobody has": ({"sensor": "JPN/none"}, "feed", "sensor-unknown"),
    "a quarter of an hour ahead": ({"ahead_s": 900}, "feed", "time-implausible"),
    "half a minute ahead": ({"ahead_s": 30}, "tracker", "time-future"),
}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> NodeConfig:
    return worlds.config_of(worlds.prepare(tmp_path_factory.mktemp("nodes"))["JPN"])


def line(now_ns: int, changed: dict[str, Any]) -> bytes:
    """Return one line of the feed. NaN stands bare, as many programs write it."""
    given = {**GOOD, **changed}
    row = {**given, "t_ns": now_ns + given.pop("ahead_s", 0) * S}
    row.pop("ahead_s", None)
    return msgspec.json.encode(row).replace(b'"NaN"', b"NaN") + b"\n"


def run(config: NodeConfig, more: Any = None) -> tuple[Pipeline, list[Any]]:
    """Step a node through ordinary traffic and, with `more`, what that gives for each step; returns its outputs as well."""
    pipeline = worlds.pipeline_with(config, FEED, worlds.radar_of(config, SENSOR))
    out = []
    for k, (now_ns, given) in enumerate(worlds.inputs_of("JPN", SECONDS)):
        out.append(pipeline.step(now_ns, [*given, *(more(k, now_ns) if more else ())]))
    return pipeline, out


@pytest.fixture(scope="module")
def usual(config: NodeConfig) -> list[Any]:
    return run(config)[1]


@pytest.mark.parametrize("what", BAD)
def test_a_plot_that_cannot_be_is_refused_by_its_name_and_changes_nothing(
    config: NodeConfig, usual: list[Any], what: str
) -> None:
    """Whatever is wrong with a plot, a node counts it by name; its tracks and all that leaves are those of a node without it."""
    changed, by, reason = BAD[what]

    def bad(k: int, now_ns: int) -> list[Input]:
        return [FeedInput(source=FEED, received_t_ns=now_ns, data=line(now_ns, changed))] if k == 10 else []

    pipeline, out = run(config, bad)
    refused = [one.reason for step in out for one in step.refused if one.source == FEED]
    told = show.counters(pipeline, Health())
    assert [reason] * (by == "feed") == refused
    assert (by == "tracker") == (told.get(f"tracker:{reason}") == 1)
    for mine, theirs in zip(out, usual, strict=True):
        assert mine.national.columns.tobytes() == theirs.national.columns.tobytes()
        assert mine.released == theirs.released


@pytest.mark.parametrize(("name", "value"), [("zero", 0.0), ("negative", -1.0)])
def test_a_partners_track_without_a_covariance_is_refused_by_name(
    config: NodeConfig, usual: list[Any], name: str, value: float
) -> None:
    """A singular covariance, and one that is none, are counted and shown; the combined picture is the one without that track."""
    label = Label(policy="TRILAT", originator="KOR", mode=worlds.MODE, level=1, rel_to=("JPN",), topics=("air",))

    def bad(k: int, now_ns: int) -> list[Input]:
        if k != 10:
            return []
        track = Track(
            stream="KOR/track/0", number=1, t_ns=now_ns, updated_t_ns=now_ns, status="confirmed", label=label,
            pedigree=Pedigree(nation="KOR", sensors=("KOR/radar",)), domain="air", lat_deg=36.0, lon_deg=127.0, alt_m=9_000.0,
            velocity_east_m_s=200.0, velocity_north_m_s=0.0, velocity_up_m_s=0.0, covariance=(value,) * 21,
        )  # fmt: skip
        return [ReceivedInput(exporter="KOR", lane="state", epoch=1, sequence=1, record=codec.encode(track))]

    pipeline, out = run(config, bad)
    assert show.counters(pipeline, Health())["combined:covariance-invalid"] == 1, name
    assert out[-1].national.columns.tobytes() == usual[-1].national.columns.tobytes()
    assert pipeline.combined.combiner.refused["covariance-invalid"] == 1
    shown = next(step.combined for step in reversed(out) if step.combined is not None)
    there = geodesy.geodetic_to_ecef(36.0, 127.0, 9_000.0)
    assert not (np.linalg.norm(shown.tracks.columns["position_m"] - there, axis=1) < 20e3).any()


@pytest.mark.parametrize(("lat", "lon"), [(90.0, 0.0), (-90.0, 0.0), (10.0, 180.0), (10.0, -180.0)])
def test_a_radar_at_the_pole_or_on_the_date_line_gives_a_node_its_tracks(config: NodeConfig, lat: float, lon: float) -> None:
    """What flies past a radar anywhere on Earth becomes one confirmed track in a node's picture, in finite numbers."""
    pipeline = worlds.pipeline_with(config, FEED, worlds.radar_of(config, SENSOR, lat_deg=lat, lon_deg=lon, period_s=4.0))
    for k in range(12):
        t_s, now_ns = 4.0 * k, worlds.T0_NS + (4 * k + 1) * S
        east, north, up = 20e3 + 200.0 * t_s, 30e3 - 50.0 * t_s, 9e3
        flat = float(np.hypot(east, north))
        told = {
            "range_m": float(np.hypot(flat, up)),
            "azimuth_deg": float(np.degrees(np.arctan2(east, north))),
            "elevation_deg": float(np.degrees(np.arctan2(up, flat))),
            "ahead_s": -1,
        }
        out = pipeline.step(now_ns, [FeedInput(source=FEED, received_t_ns=now_ns, data=line(now_ns, told))])
    sure = out.national.columns[out.national.columns["status"] == STATUSES.index("confirmed")]
    assert len(sure) == 1
    assert all(np.isfinite(sure[name]).all() for name in ("position_m", "velocity_m_s", "covariance"))
    assert not pipeline.national.refused
