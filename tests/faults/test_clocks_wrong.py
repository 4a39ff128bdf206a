"""Real processes whose clocks are wrong, and jump: the exchange neither stops, nor loses, nor doubles anything."""

import shutil
from pathlib import Path

import pytest
from fault_nodes import FaultNodes, running, wrong_in

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
PER_S = 60.0


def wrong_clock(nodes: FaultNodes, nation: str, directory: Path) -> Path:
    """Give a nation that is not started a clock whose offset stands in a file; return the file."""
    offset = directory / f"{nation}.clock"
    nodes[nation].environ |= {
        "LD_PRELOAD": str(LIBRARIES[0]),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_CACHE_DURATION": "1",  # reads the file once a second
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    offset.write_text("+0\n")
    return offset


def set_clock(offset: Path, jump_s: str) -> None:
    """Name an offset, at once: a file half written would be read as no offset at all."""
    beside = offset.with_suffix(".next")
    beside.write_text(jump_s + "\n")
    beside.replace(offset)


def jumped(nodes: FaultNodes, jump_s: float) -> None:
    """Let the load run until KOR's clock has jumped; it reads its file once a second, later where the machine is busy."""
    for _ in range(10):
        nodes.run_for(1.3)
        really_s = (nodes["KOR"].tell()["clock_ns"] - nodes["JPN"].tell()["clock_ns"]) / 1e9
        if abs(really_s - jump_s) < 20.0:
            return
    pytest.fail(f"KOR's clock stands {really_s:+.1f} s from JPN's, not {jump_s:+.0f} s")


def jumps(nodes: FaultNodes, offset: Path, seconds: float) -> None:
    """Let a clock jump to and fro under load."""
    nodes.load(PER_S)
    for jump_s in ("+3600", "-240", "+86400", "-30"):
        nodes.run_for(seconds)
        set_clock(offset, jump_s)
        jumped(nodes, float(jump_s))
    nodes.run_for(seconds)
    nodes.until_level()
    nodes.stop()
    assert [] == wrong_in(nodes)


def clocks(tmp_path: Path, seconds: float) -> None:
    """Run two nations, one with a clock that jumps."""
    if not LIBRARIES or shutil.which("faketime") is None:
        pytest.skip("needs libfaketime (apt install faketime)")
    with running(tmp_path, wait=False) as nodes:
        offset = wrong_clock(nodes, "KOR", tmp_path)
        nodes.start()
        jumps(nodes, offset, seconds)


def test_a_clock_that_jumps(tmp_path: Path) -> None:
    """An hour on, minutes back, a day on and back again, under load: everything arrives once and in order all the while."""
    clocks(tmp_path, 1.2)


@pytest.mark.soak
@pytest.mark.timeout(1_200)
def test_a_clock_that_jumps_for_minutes(tmp_path: Path) -> None:
    """The same, a minute each."""
    clocks(tmp_path, 60.0)
