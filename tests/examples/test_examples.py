"""The examples run: the notebook's cells as a script, the Stone Soup adapter against the installed Stone Soup."""

from __future__ import annotations

import datetime as dt
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def notebook() -> tuple[dict[str, Any], list[list[Any]]]:
    """Run the notebook's cells in order; give its names, and of each of its figures what was drawn, by axes."""
    matplotlib = pytest.importorskip("matplotlib", reason="the extra `compare` is not installed")
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    told: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(EXAMPLES)
        if "TEST_DATA" in os.environ:
            patched.setenv("TRILAT_DATA", os.environ["TEST_DATA"])
        for cell in json.loads((EXAMPLES / "tracker.ipynb").read_text("utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), "tracker.ipynb", "exec"), told)  # noqa: S102 - our own notebook
    drawn = [[[line.get_xydata() for line in axes.lines] for axes in plt.figure(k).axes] for k in plt.get_fignums()]
    plt.close("all")
    return told, drawn


def test_the_notebook_runs(notebook: tuple[dict[str, Any], list[list[Any]]]) -> None:
    """Every cell of the notebook runs in order; the salvo's missiles have one confirmed track each, drawn on their paths."""
    told, drawn = notebook
    confirmed = told["missiles"]["status"] == 1
    assert len(told["salvo"]) == len(np.unique(told["missiles"]["number"][confirmed]))
    assert 1 == len(np.unique(told["tracks"]["number"]))
    paths, plan = len(told["salvo"]), drawn[0][0]
    assert 2 * paths == len(plan)
    flown = np.concatenate(plan[:paths])
    assert [True] * paths == [bool(_off(states, flown) < 0.02) for states in plan[paths:]]


def test_the_notebook_draws_its_recording(recordings: Path, notebook: tuple[dict[str, Any], list[list[Any]]]) -> None:
    """Where the recording is there, the whole flight is drawn: no state lies off the positions told, height and doubt beside it."""
    _, drawn = notebook
    assert recordings.is_dir()
    assert [2, 5] == [len(axes) for axes in drawn]
    told, track, *_ = drawn[1][0]
    assert len(told) > 10_000
    assert len(track) > 390
    assert _off(track, told[::5]) < 0.02
    assert [3, 1, 1, 1] == [len(lines) for lines in drawn[1][1:]]


def _off(states: Any, path: Any) -> float:
    """Return how far the farthest state lies from the points of a path, in degrees."""
    return float(np.abs(states[:, None] - path[None]).max(axis=2).min(axis=1).max())


def test_the_library_stands_alone() -> None:
    """`import trilat.track` brings in no node, policy, exchange, store or page, and neither pandas nor numba."""
    code = (
        "import sys, trilat.track\n"
        "bad = [m for m in sys.modules if m.split('.')[0] in ('pandas', 'numba', 'nats', 'starlette')"
        " or m.split('.')[:2] in [['trilat', x] for x in ('node', 'policy', 'exchange', 'store', 'picture', 'fuse', 'joint')]]\n"
        "print(bad)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]" == done.stdout.strip()


def test_stone_soup_detections_become_its_tracks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Detections of two aircraft, with noise and a false one each second, become two Stone Soup tracks near the truth (seed 2)."""
    pytest.importorskip("stonesoup", reason="the extra `compare` is not installed")
    from stonesoup.models.measurement.linear import LinearGaussian  # noqa: TID251 - the peer this example is for
    from stonesoup.types.detection import Detection  # noqa: TID251 - same

    monkeypatch.syspath_prepend(EXAMPLES)
    example = importlib.import_module("stone_soup")
    g = np.random.default_rng(2)
    model = LinearGaussian(ndim_state=6, mapping=(0, 2, 4), noise_covar=np.diag([60.0**2, 90.0**2, 80.0**2]))
    adapter = example.StoneSoupTracker(33.0, 130.0)
    start = np.array([[0.0, 0.0, 8_000.0], [30_000.0, 10_000.0, 9_000.0]])
    velocity = np.array([[200.0, 50.0, 0.0], [-150.0, 120.0, 0.0]])
    tracks: set[Any] = set()
    for t in range(60):
        time = START + dt.timedelta(seconds=t)
        seen = [*(start + t * velocity + g.normal(0, [60.0, 90.0, 80.0], (2, 3))), g.uniform(-6e4, 6e4, 3) * [1, 1, 0.1]]
        detections = {Detection(place.reshape(3, 1), timestamp=time, measurement_model=model) for place in seen}
        tracks = adapter.step(time, detections)
    assert 2 == len(tracks)
    found = sorted(np.asarray(track.state_vector, float).ravel()[[0, 2, 4]].tolist() for track in tracks)
    assert np.abs(np.array(found) - np.array(sorted((start + 59 * velocity).tolist()))).max() < 150.0
    assert all(START + dt.timedelta(seconds=59) == track.timestamp for track in tracks)
