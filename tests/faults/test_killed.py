"""Real processes killed and stopped under load: what was said arrives once and in order, and both stores are sound."""

import signal
from pathlib import Path
from random import Random

import pytest
from fault_nodes import FaultNodes, kill_at_random, running, total_said, wrong_in

PER_S = 300.0


def killed(nodes: FaultNodes, times: int, pause_s: float) -> None:
    """Kill at random under load, then stop one in its tracks; then everyone must have everything."""
    nodes.load(PER_S)
    kill_at_random(nodes, times, Random(3))
    nodes["KOR"].signal(signal.SIGSTOP)
    nodes.run_for(pause_s)
    nodes["KOR"].signal(signal.SIGCONT)
    nodes.run_for(1.0)
    nodes.until_level()
    assert total_said(nodes) > 100 * times
    nodes.stop()
    assert [] == wrong_in(nodes)


def test_killed_three_times_and_stopped_in_its_tracks(tmp_path: Path) -> None:
    """Three kills at random and a stop of two seconds under load lose, double and reorder nothing."""
    with running(tmp_path) as nodes:
        killed(nodes, 3, 2.0)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_killed_fifty_times_and_stopped_for_a_minute(tmp_path: Path) -> None:
    """Fifty kills at random and a stop of a minute under load lose, double and reorder nothing."""
    with running(tmp_path) as nodes:
        killed(nodes, 50, 60.0)
