"""`trilat bench track` on scenario files: what it prints and writes, and that bad files are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from trilat.cli.bench_track import command, load_scenario
from trilat.errors import TrilatError
from trilat.track.scenario import Scenario, fault_of

SCANS, AIRCRAFT = 8, 4
ORIGIN = np.array([35.0, 129.0, 0.0])


def crossing(**more: Any) -> dict[str, Any]:
    """A radar that sees a few aircraft fly straight, one scan every four seconds, without error."""
    t = np.arange(SCANS) * 4.0
    start = np.column_stack([np.linspace(-3e4, 3e4, AIRCRAFT), np.full(AIRCRAFT, 4e4), np.full(AIRCRAFT, 8e3)])
    pos = start[:, None] + np.array([150.0, -80.0, 0.0]) * t[None, :, None]
    q = pos.transpose(1, 0, 2).reshape(-1, 3)
    r = np.linalg.norm(q, axis=1)
    return {
        "sensor_pos": np.zeros((1, 3)),
        "sensor_sigma": np.array([[1e-3, 1e-3, 50.0]]),
        "sensor_period": np.array([4.0]),
        "sensor_pd": np.array([0.9]),
        "sensor_clutter": np.array([5.0]),
        "scan_t": t,
        "scan_sensor": np.zeros(SCANS, np.int64),
        "scan_start": np.arange(SCANS + 1) * AIRCRAFT,
        "det": np.column_stack([np.arcsin(q[:, 2] / r), np.arctan2(q[:, 1], q[:, 0]), r]),
        "truth_pos": pos,
        "truth_vel": np.broadcast_to([150.0, -80.0, 0.0], pos.shape),
        "truth_alive": np.ones(pos.shape[:2], bool),
        **more,
    }


@pytest.mark.parametrize("more", [{}, {"domain": "air", "earth": "wgs84", "origin": ORIGIN}], ids=["flat", "wgs84"])
def test_a_file_is_tracked_and_its_estimates_are_written(tmp_path: Path, more: dict[str, Any]) -> None:
    """JSON holds the named keys; EST.npz holds confirmed estimates in the file's frame, near the truth at each scan's time."""
    scenario = crossing(**more)
    np.savez(tmp_path / "s.npz", **scenario)
    done = CliRunner().invoke(command, [str(tmp_path / "s.npz"), "--json", "--rounds", "1", "--out", str(tmp_path / "e.npz")])
    assert (0, None) == (done.exit_code, done.exception), done.output
    said = json.loads(done.output)
    wanted = "detections_per_s gospa_m gospa_normalised_m siap id_changes peak_memory_bytes scan_ms_p50 scan_ms_p99"
    assert [] == [key for key in wanted.split() if key not in said]
    assert said["gospa_normalised_m"] == pytest.approx(said["gospa_m"] / np.sqrt(AIRCRAFT))
    with np.load(tmp_path / "e.npz") as file:
        found = dict(file)
    last = found["scan"] == SCANS - 1
    assert (AIRCRAFT, (AIRCRAFT, 3)) == (len(set(found["track_id"][last].tolist())), found["vel"][last].shape)
    away = np.linalg.norm(found["pos"][last][:, None] - scenario["truth_pos"][None, :, -1], axis=2).min(axis=1)
    assert away.max() < 100.0


def test_smoothed_scores_stand_beside_the_live_ones(tmp_path: Path) -> None:
    """--smooth scores the same tracks with what came after: nearer where plots have errors, and the live scores stay as they are."""
    rng, t = np.random.default_rng(4), np.arange(30) * 4.0
    lines = crossing(scan_t=t, scan_sensor=np.zeros(30, np.int64), scan_start=np.arange(31) * AIRCRAFT)
    start = lines["truth_pos"][:, :1]
    pos = start + np.array([150.0, -80.0, 0.0]) * t[None, :, None]
    q = pos.transpose(1, 0, 2).reshape(-1, 3)
    r = np.linalg.norm(q, axis=1)
    det = np.column_stack([np.arcsin(q[:, 2] / r), np.arctan2(q[:, 1], q[:, 0]), r]) + rng.normal(0, 1, (len(q), 3)) * (
        1e-3,
        1e-3,
        50,
    )
    alive, velocity = np.ones(pos.shape[:2], bool), np.broadcast_to([150.0, -80.0, 0.0], pos.shape)
    np.savez(tmp_path / "s.npz", **(lines | {"det": det, "truth_pos": pos, "truth_vel": velocity, "truth_alive": alive}))
    plain, both = (
        json.loads(CliRunner().invoke(command, [str(tmp_path / "s.npz"), "--json", "--rounds", "1", *more]).output)
        for more in ([], ["--smooth"])
    )
    assert (plain["gospa_m"], "smoothed" in plain) == (both["gospa_m"], False)
    late = both["smoothed"]
    assert late["siap"]["C"] == both["siap"]["C"] == 1.0
    assert late["gospa_m"] < 0.8 * both["gospa_m"]
    assert (late["siap"]["PA"] < 0.8 * both["siap"]["PA"], late["siap"]["VA"] < 0.5 * both["siap"]["VA"]) == (True, True)
    said = CliRunner().invoke(command, [str(tmp_path / "s.npz"), "--rounds", "1", "--smooth"]).output
    assert f"smoothed by later scans: GOSPA {late['gospa_m']:.1f} m (live {both['gospa_m']:.1f})" in said


def test_other_motions_can_be_asked_for_and_unknown_ones_are_named(tmp_path: Path) -> None:
    """--air-modes takes a set by names; one that there is not is a sentence, not a traceback."""
    np.savez(tmp_path / "s.npz", **crossing())
    done = CliRunner().invoke(command, [str(tmp_path / "s.npz"), "--rounds", "1", "--json", "--air-modes", "cv-low, climb,turn"])
    assert (0, AIRCRAFT) == (done.exit_code, json.loads(done.output)["tracks"])
    done = CliRunner().invoke(command, [str(tmp_path / "s.npz"), "--air-modes", "glide"])
    assert (2, True) == (
        done.exit_code,
        "name one to 3, each once, of cv-low, cv-high, climb, turn" in " ".join(done.output.split()),
    )


BROKEN = {
    "det": ({"det": np.zeros((3, 2))}, "det has shape (3, 2), (3, 3) wanted"),
    "rows": ({"scan_start": np.arange(SCANS + 1)}, "scan_start must rise from 0 to the 32 rows of det"),
    "sensor": ({"scan_sensor": np.ones(SCANS, int)}, "scan_sensor must name sensors from 0 to 0, of at most 64"),
    "time": ({"scan_t": -np.arange(SCANS)}, "scan_t must not fall"),
    "finite": ({"sensor_pos": np.full((1, 3), np.nan)}, "sensor_pos holds numbers that are not finite"),
    "words": ({"scan_t": np.array(["noon"] * SCANS)}, "scan_t holds no numbers"),
    "sigma": ({"sensor_sigma": np.zeros((1, 3))}, "sensor_sigma must lie between 1e-09 and 1e+06"),
    "sure": ({"sensor_pd": np.array([2.0])}, "sensor_pd must lie between 0 and 1"),
    "still": ({"sensor_period": np.array([0.0])}, "sensor_period must lie between 0.001 and 3600"),
    "clutter": ({"sensor_clutter": np.array([-1.0])}, "sensor_clutter must lie between 0 and 1e+06"),
    "late": ({"scan_t": np.arange(SCANS) * 1e12}, "scan_t must lie between -7e+09 and 7e+09"),
    "domain": ({"domain": "swamp"}, "domain is 'swamp', one of air, sea, missile wanted"),
    "earth": ({"earth": "disc"}, "earth is 'disc', one of flat, sphere, wgs84 wanted"),
    "origin": ({"origin": np.zeros(2)}, "origin must be latitude and longitude in degrees and height in metres"),
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_what_is_wrong_with_a_file_is_named(name: str) -> None:
    """Every fault of a scenario's arrays is told with its key; a whole file has none."""
    more, fault = BROKEN[name]
    assert ("", fault) == (fault_of(crossing()), fault_of(crossing(**more)))


def test_plots_that_cannot_be_are_the_tracker_s_to_refuse() -> None:
    """A file whose plots are partly NaN, negative or too far makes its tracker all the same, and those plots are counted."""
    det = crossing()["det"].copy()
    det[:3, 2] = np.nan, -5.0, 1e12
    held = Scenario(crossing(det=det))
    made = held.tracker()
    for t_ns, _, plots in held.scans():
        made.step(t_ns, [plots])
    assert made.refused.total() == 3


@pytest.mark.parametrize("content", [b"", b"no arrays", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_scenario_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    """What is no archive of arrays, and one without the keys, is refused with the error's code."""
    (tmp_path / "bad.npz").write_bytes(content)
    np.savez(tmp_path / "empty.npz", other=np.zeros(3))
    for path in (tmp_path / "bad.npz", tmp_path / "empty.npz"):
        with pytest.raises(TrilatError, match="TRI-0703") as refused:
            load_scenario(path)
        assert "unsafely" not in str(refused.value)  # numpy's advice for what it takes for pickled objects
