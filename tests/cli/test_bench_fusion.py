"""`trilat bench fusion` prints its figures."""

from __future__ import annotations

import msgspec
from click.testing import CliRunner

from trilat.cli.bench_fusion import command


def test_it_prints_every_tier() -> None:
    """Without --tier every tier is measured; tracklets come near all plots and naive fusion does not."""
    done = CliRunner().invoke(command, ["--tiny", "--json"])
    assert 0 == done.exit_code, done.output
    rows = {r["tier"]: r for r in map(msgspec.json.decode, done.stdout.splitlines())}
    assert {"plot", "tracklet", "track", "track-ci", "naive", "local"} == set(rows)
    assert rows["tracklet"]["ratio"] < rows["track"]["ratio"] < rows["naive"]["ratio"]


def test_it_prints_a_table() -> None:
    """For people it prints a table with one line a tier."""
    done = CliRunner().invoke(command, ["--tiny", "--tier", "track", "--late-s", "3", "--duplicates", "0.5", "--relay-loop"])
    assert (0, 3) == (done.exit_code, len(done.output.splitlines())), done.output
