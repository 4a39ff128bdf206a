"""`trilat bench track` on scenario files: what it prints and writes, and that bad files are named."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from trilat.cli.bench import command as bench
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


def lifted(height_m: float) -> dict[str, Any]:
    """The same flights, all at one height."""
    scenario = crossing()
    pos = scenario["truth_pos"] * [1.0, 1.0, 0.0] + [0.0, 0.0, height_m]
    q = pos.transpose(1, 0, 2).reshape(-1, 3)
    r = np.linalg.norm(q, axis=1)
    det = np.column_stack([np.arcsin(q[:, 2] / r), np.arctan2(q[:, 1], q[:, 0]), r])
    return scenario | {"truth_pos": pos, "det": det}


def flat(text: str) -> str:
    """What was printed, its line breaks taken out."""
    return " ".join(text.split())


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
    done = CliRunner().invoke(command, [str(tmp_path / "s.npz"), "--domain", "missile", "--air-modes", "turn"])
    assert (2, True) == (done.exit_code, "s.npz is of domain missile: leave it out" in " ".join(done.output.split()))


@pytest.mark.parametrize("given", [["--domain", "missile"], []], ids=["asked for", "of the file"])
def test_air_modes_of_missiles_are_refused_before_anything_is_tracked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str]
) -> None:
    """A minute's run that ends in a refusal is a minute lost: no scan is looked at."""
    np.savez(tmp_path / "s.npz", **crossing(**({} if given else {"domain": "missile"})))
    monkeypatch.setattr(Scenario, "scans", lambda _: pytest.fail("tracked"))
    done = CliRunner().invoke(command, [str(tmp_path / "s.npz"), "--air-modes", "turn", *given])
    assert (2, "s.npz is of domain missile: leave it out" in flat(done.stderr)) == (done.exit_code, True), done.output


@pytest.mark.parametrize(
    ("height_m", "more", "given", "hinted"),
    [
        (9e4, {}, [], True),
        (9e4, {}, ["--domain", "air"], False),
        (9e4, {}, ["--domain", "missile"], False),
        (9e4, {"domain": "air"}, [], False),
        (9e4, {"domain": "missile"}, [], False),
        (2.5e4, {}, [], False),
    ],
)
def test_what_flies_above_aircraft_without_a_domain_is_told(
    tmp_path: Path,
    height_m: float,
    more: dict[str, Any],
    given: list[str],
    hinted: bool,  # noqa: FBT001 - expected value
) -> None:
    """Plots above 30 km in a file that names no domain, with no --domain: one line on stderr, and stdout is JSON alone."""
    np.savez(tmp_path / "s.npz", **(lifted(height_m) | more))
    done = CliRunner().invoke(command, [str(tmp_path / "s.npz"), "--json", "--rounds", "1", *given])
    assert 0 == done.exit_code, done.output
    assert json.loads(done.stdout)["detections"] == SCANS * AIRCRAFT
    notes = [line for line in done.stderr.splitlines() if "--domain missile" in line]
    assert hinted == (len(notes) == 1), done.stderr
    assert hinted == (done.stderr != "")
    assert not hinted or notes[0].startswith("note: 100 % of the plots lie above 30 km")


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


def test_what_was_refused_and_shed_is_told(tmp_path: Path) -> None:
    """Plots that cannot be are counted by reason, in JSON and in print; a file without any says none."""
    det = crossing()["det"].copy()
    det[:3, 2] = np.nan, -5.0, 1e12
    for name, scenario in (("bad", crossing(det=det)), ("good", crossing())):
        np.savez(tmp_path / f"{name}.npz", **scenario)
    told = {
        name: CliRunner().invoke(command, [str(tmp_path / f"{name}.npz"), "--rounds", "1"]).output for name in ("bad", "good")
    }
    assert "plots refused: 1 not-finite, 2 out-of-range; tracks and pairs shed: none" in told["bad"]
    assert "plots refused: none; tracks and pairs shed: none" in told["good"]
    said = json.loads(CliRunner().invoke(command, [str(tmp_path / "bad.npz"), "--rounds", "1", "--json"]).output)
    assert ({"not-finite": 1, "out-of-range": 2}, {}) == (said["refused"], said["shed"])


def test_the_peer_is_measured_beside_ours(tmp_path: Path) -> None:
    """`trilat bench compare` tracks the same scans with both: rates and their ratio, both GOSPA, ours as `bench track` has it."""
    pytest.importorskip("stonesoup", reason="the extra `compare` is not installed")
    scenario = crossing()
    scenario["det"] = scenario["det"] + np.random.default_rng(1).normal(0, 1, (SCANS * AIRCRAFT, 3)) * scenario["sensor_sigma"]
    np.savez(tmp_path / "s.npz", **scenario)
    done = CliRunner().invoke(bench, ["compare", str(tmp_path / "s.npz"), "--json"])
    assert (0, None) == (done.exit_code, done.exception), done.output
    said = json.loads(done.output)
    assert (SCANS, True) == (said["scans"], said["rounds"] >= 1)
    assert said["ratio"] == pytest.approx(said["detections_per_s"] / said["peer_detections_per_s"])
    assert said["ratio"] > 1.0
    own = json.loads(CliRunner().invoke(bench, ["track", str(tmp_path / "s.npz"), "--rounds", "1", "--json"]).output)
    assert (own["gospa_m"], own["id_changes"]) == (said["gospa_m"], said["id_changes"])
    # Both have a track an aircraft from 20 s on: a missed one alone would make GOSPA 1,414 m.
    assert [True, True] == [0.0 < said[key] < 600.0 for key in ("gospa_m", "peer_gospa_m")]
    assert said["gospa_m"] != said["peer_gospa_m"]
    told = CliRunner().invoke(bench, ["compare", str(tmp_path / "s.npz"), "--max-s", "1e-6"])
    assert 0 == told.exit_code, told.output
    assert "s.npz, 1 scans: Stone Soup" in told.output
    assert "number changes" in told.output


def test_compare_tells_what_is_no_air_scenario(tmp_path: Path) -> None:
    """Both trackers are set up for aircraft there: what flies above says so on stderr, with what tracks it, and JSON is alone."""
    pytest.importorskip("stonesoup", reason="the extra `compare` is not installed")
    for height_m, hinted in ((9e4, True), (9e3, False)):
        np.savez(tmp_path / "s.npz", **lifted(height_m))
        done = CliRunner().invoke(bench, ["compare", str(tmp_path / "s.npz"), "--json", "--max-s", "1e-6"])
        assert (0, 1) == (done.exit_code, json.loads(done.stdout)["scans"]), done.output
        assert hinted == ("both as for aircraft: `trilat bench track --domain missile`" in flat(done.stderr)), done.stderr


@pytest.mark.parametrize("what", [{"domain": "missile"}, {"earth": "wgs84", "origin": ORIGIN}])
def test_compare_refuses_what_the_peer_cannot_track(tmp_path: Path, what: dict[str, Any]) -> None:
    """The peer knows neither missiles nor a round Earth: a file of such is refused before anything runs, with what to do."""
    pytest.importorskip("stonesoup", reason="the extra `compare` is not installed")
    np.savez(tmp_path / "s.npz", **crossing(**what))
    done = CliRunner().invoke(bench, ["compare", str(tmp_path / "s.npz"), "--max-s", "1e-6"])
    assert 1 == done.exit_code, done.output
    assert "`trilat bench track` runs ours alone" in flat(done.output)


def test_without_the_peer_compare_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Stone Soup is not installed, compare says so, and how to install it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    np.savez(tmp_path / "s.npz", **crossing())
    done = CliRunner().invoke(bench, ["compare", str(tmp_path / "s.npz")])
    assert 1 == done.exit_code
    assert "Stone Soup is not installed: pip install 'trilat[compare]'" in done.output


NONSENSE = {
    "track": ("--c -5", "--c 0", "--c nan", "--rounds 0", "--rounds -1", "--rounds many"),
    "compare": ("--max-s 0", "--max-s -1", "--max-s nan"),
    "fusion": ("--nodes 1", "--exchange-s 0", "--targets 0", "--seconds 5", "--seed -1", "--loss 1.5", "--late-s -1", "--duplicates nan", "--clutter -1", "--bias-m -1"),
    "sharing": ("--seeds 0", "--seeds -3"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "option"), [(name, option) for name, options in NONSENSE.items() for option in options])
def test_numbers_that_make_no_sense_are_refused(tmp_path: Path, name: str, option: str) -> None:
    """An option's number out of its range is refused by the option's name, before anything is run."""
    np.savez(tmp_path / "s.npz", **crossing())
    file = [str(tmp_path / "s.npz")] if name in ("track", "compare") else []
    done = CliRunner().invoke(bench, [name, *file, *option.split()])
    assert 2 == done.exit_code, done.output
    assert f"Invalid value for '{option.split(maxsplit=1)[0]}'" in done.output


@pytest.mark.parametrize("content", [b"", b"no arrays", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_scenario_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    """What is no archive of arrays, and one without the keys, is refused with the error's code."""
    (tmp_path / "bad.npz").write_bytes(content)
    np.savez(tmp_path / "empty.npz", other=np.zeros(3))
    for path in (tmp_path / "bad.npz", tmp_path / "empty.npz"):
        with pytest.raises(TrilatError, match="TRI-0703") as refused:
            load_scenario(path)
        assert "unsafely" not in str(refused.value)  # numpy's advice for what it takes for pickled objects
