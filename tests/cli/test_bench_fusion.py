"""`trilat bench fusion` prints its figures."""

from __future__ import annotations

import msgspec
import pytest
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
    """For people it prints a table with one line a tier, under what was set (two lines of 80 columns) and the columns' names."""
    done = CliRunner().invoke(command, ["--tiny", "--tier", "track", "--late-s", "3", "--duplicates", "0.5", "--relay-loop"])
    assert (0, 4) == (done.exit_code, len(done.output.splitlines())), done.output


def flat(text: str) -> str:
    """What was printed, its line breaks taken out."""
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "3 nodes, exchange every 5 s, 10 targets, a perfect network"),
        (["--loss", "0.125"], "10 targets, 12.5 % of messages lost"),
        (
            ["--late-s", "3", "--duplicates", "0.5", "--relay-loop"],
            "10 targets, messages up to 3 s late, 50 % twice, a relay loop",
        ),
        (["--loss", "1e-3", "--partition-s", "20"], "10 targets, 0.1 % of messages lost, node 0 cut off for 20 s"),
        (["--real"], "10 targets, a perfect network; 30 % of targets turn, 5 false plots a scan"),
        (
            ["--real", "--turning", "0", "--clutter", "0", "--bias-deg", "0.2", "--bias-m", "100", "--loss", "0.1"],
            "10 % of messages lost; no target turns, no false plots, biases of 0.2 deg and 100 m (one sigma)",
        ),
        (["--real", "--bias-m", "100"], "5 false plots a scan, biases of 100 m (one sigma)"),
    ],
)
def test_its_head_says_the_world_in_words(given: list[str], said: str) -> None:
    """What differs from a perfect network, and what makes the world real, is said in words and fits into 80 columns."""
    done = CliRunner().invoke(command, ["--tiny", "--tier", "local", *given])
    assert 0 == done.exit_code, done.output
    assert said in flat(done.output)
    assert ("=" in done.output, "(loss" in done.output) == (False, False)
    assert 80 >= max(map(len, done.output.splitlines()))


@pytest.mark.parametrize("option", ["--turning", "--clutter", "--bias-deg", "--bias-m"])
def test_what_only_the_real_world_has_is_refused_without_it(option: str) -> None:
    """An option that the plain experiment would pass over is refused, also at its default value, and the remedy named."""
    for value in ("1", "0.0"):
        done = CliRunner().invoke(command, ["--tiny", "--tier", "local", option, value])
        assert (2, "") == (done.exit_code, done.stdout)
        assert f"{option} has no part in the plain experiment: add --real, or leave it out" in flat(done.stderr)


def test_a_tier_that_no_node_has_is_refused_before_anything_is_printed() -> None:
    """--real with naive is refused first, whatever other tier stands before it."""
    done = CliRunner().invoke(command, ["--tiny", "--real", "--tier", "local", "--tier", "naive"])
    assert (2, "") == (done.exit_code, done.stdout)
    assert "naive has no part in a node: one of plot, tracklet, track, local" in flat(done.stderr)
    assert "3 nodes" not in done.stderr


@pytest.mark.parametrize("real", [[], ["--real"]])
def test_json_is_alone_on_stdout(real: list[str]) -> None:
    """With --json stdout holds one object a tier and nothing else; the head is on stderr."""
    done = CliRunner().invoke(command, ["--tiny", "--tier", "local", "--tier", "plot", "--json", *real])
    assert 0 == done.exit_code, done.output
    assert ["local", "plot"] == [msgspec.json.decode(line)["tier"] for line in done.stdout.splitlines()]
    assert done.stderr.startswith("3 nodes, exchange every 5 s, 10 targets")
