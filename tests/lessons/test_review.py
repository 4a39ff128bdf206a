"""A recorded exercise is reviewed from the node's own journal: the watch's tracks, nearer to where things were."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import msgspec
import node_worlds as worlds
import numpy as np
import pytest
from click.testing import CliRunner, Result

from trilat.cli import main
from trilat.node import record, setup
from trilat.node.config import mode_of
from trilat.node.settings import NodeConfig
from trilat.store.sqlite import open_store

SECONDS = 24.0


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A node that ran for a while and has ended: its TOML, and the national tracks that it showed, by time."""
    prepared = worlds.prepare(tmp_path_factory.mktemp("nodes"))["JPN"]
    config = worlds.config_of(prepared)
    return prepared.config, ran(config, worlds.inputs_of("JPN", SECONDS))


def ran(config: NodeConfig, steps: Any) -> Any:
    """Let a node's pipeline live through steps and record them as a run does; returns the pictures."""
    pictures = {}
    with contextlib.closing(open_store(Path(config.directory) / "store", "JPN", mode_of(config))) as store:
        recorder, pipeline = record.Recorder(store, config), worlds.pipeline_of(config)
        recorder.begin(worlds.T0_NS, setup.read_agreements(config))
        for now_ns, inputs in steps:
            out = pipeline.step(now_ns, inputs)
            recorder.append(now_ns, recorder.entry(inputs, out))
            pictures[out.national.t_ns] = out.national.columns
        store.commit()
    return pictures


def reviewed(config: Path, out: Path, *more: str) -> tuple[Result, list[dict[str, Any]]]:
    """Review into a JSON file; returns what was said and its rows."""
    done = CliRunner().invoke(main, ["exercise", "review", str(config), "--out", str(out), *more])
    return done, [json.loads(line) for line in out.read_text("utf-8").splitlines()] if out.exists() else []


def test_a_review_as_known_is_what_the_watch_saw(recorded: tuple[Path, Any], tmp_path: Path) -> None:
    """--as-known gives, at the times of the pictures, the numbers and places that the node itself showed."""
    config, pictures = recorded
    done, rows = reviewed(config, tmp_path / "known.jsonl", "--as-known")
    assert (0, True) == (done.exit_code, "exercise:t1 JPN" in done.stderr), done.output
    times = sorted({row["shown_t_ns"] for row in rows} & set(pictures))
    assert len(times) == len({row["shown_t_ns"] for row in rows}) > SECONDS * 0.9
    for t_ns in times:
        there = [(row["number"], row["existence"]) for row in rows if row["shown_t_ns"] == t_ns]
        was = pictures[t_ns]
        assert there == [(int(n), round(float(e), 4)) for n, e in zip(was["number"], was["existence"], strict=True)]


def test_a_review_is_nearer_than_the_watch(recorded: tuple[Path, Any], tmp_path: Path) -> None:
    """Smoothed, the same tracks at the same times are surer, and the aircraft of radar and fixes nearer to their true places."""
    config, _ = recorded
    _, known = reviewed(config, tmp_path / "known.jsonl", "--as-known")
    done, late = reviewed(config, tmp_path / "late.jsonl")
    assert (0, True) == (done.exit_code, "smoothed" in done.stderr), done.output
    keys = ("shown_t_ns", "number", "status", "mode_3a", "address", "callsign")
    assert [[row[key] for key in keys] for row in known] == [[row[key] for key in keys] for row in late]
    sure = [k for k, row in enumerate(known) if row["status"] == "confirmed"]
    assert len(sure) > 200
    narrower = [late[k]["sigma_m"] / known[k]["sigma_m"] for k in sure]
    assert (np.median(narrower) < 0.8, np.mean(np.array(narrower) <= 1.001) > 0.97) == (True, True)
    # Steady flight: from tick to tick a velocity changes by less than what plots made it jump by.
    assert jumps([late[k] for k in sure]) < 0.6 * jumps([known[k] for k in sure])


def jumps(rows: list[dict[str, Any]]) -> float:
    """Return the root mean square change of velocity, m/s, from one state of a track to its next."""
    last: dict[int, Any] = {}
    found = []
    for row in rows:
        now = np.array([row["velocity_east_m_s"], row["velocity_north_m_s"], row["velocity_up_m_s"]])
        if row["number"] in last and row["domain"] != "missile":
            found.append(float(((now - last[row["number"]]) ** 2).sum()))
        last[row["number"]] = now
    return float(np.sqrt(np.mean(found)))


def test_a_restart_is_a_run_of_its_own(tmp_path: Path) -> None:
    """A journal of two runs gives both, each smoothed by what came after it in its own run, with numbers from one."""
    prepared = worlds.prepare(tmp_path)["JPN"]
    config = worlds.config_of(prepared)
    steps = worlds.inputs_of("JPN", 12.0)
    ran(config, steps[:30])
    _, first = reviewed(prepared.config, tmp_path / "first.jsonl")
    ran(config, steps[30:])
    _, both = reviewed(prepared.config, tmp_path / "both.jsonl")
    assert first == both[: len(first)]
    assert (len(first) > 50, len(both) > len(first)) == (True, True)
    assert min(row["number"] for row in both[len(first) :]) == 1


def test_a_journal_without_feeds_is_said_to_be_one(tmp_path: Path) -> None:
    """Where the node kept no inputs, or there is no store, a sentence and exit code 1."""
    prepared = worlds.prepare(tmp_path)["JPN"]
    config = worlds.config_of(prepared)
    done, _ = reviewed(prepared.config, tmp_path / "x.jsonl")
    assert (1, True) == (done.exit_code, "TRI-" in done.output), done.output
    lean = msgspec.structs.replace(config, store=msgspec.structs.replace(config.store, journal_inputs=False))
    ran(lean, worlds.inputs_of("JPN", 3.0))
    done, _ = reviewed(prepared.config, tmp_path / "x.jsonl")
    assert (1, True) == (done.exit_code, "journal_inputs" in done.output), done.output
    done, _ = reviewed(prepared.config, tmp_path / "x.txt")
    assert (2, True) == (done.exit_code, "--out" in done.output)
