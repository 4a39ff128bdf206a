"""Real processes whose links are cut, cut one way, lossy and narrow: what was said arrives once and in order when they heal.

In network namespaces where root allows them; everywhere through a process between the two that holds every byte.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fault_nodes import PATIENCE_S, FaultNodes, running, total_said, wrong_in
from msgspec import structs
from namespaces import Namespaces, missing, namespaces

from trilat.identity import keyfiles

LINK = Path(__file__).parents[2] / "benchmarks" / "exchange_link.py"
NATIONS = ("JPN", "KOR")
PER_S = 200.0
# What a line of 256 kbit/s can carry beside flash.
NARROW_PER_S = 20.0


@pytest.fixture
def joined() -> Iterator[Namespaces]:
    """Two namespaces on a bridge; skipped with the reason where there can be none."""
    why = missing()
    if why:
        pytest.skip(why)
    try:
        with namespaces(NATIONS) as made:
            yield made
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr!r}")


def faults(nodes: FaultNodes, net: Namespaces, seconds: float) -> None:
    """Have each fault of a link for some time under load; after each heal everyone must come to have everything."""
    ways: tuple[tuple[str, float, Callable[[], None]], ...] = (
        ("cut", PER_S, lambda: net.cut("JPN", "KOR")),
        ("cut one way", PER_S, lambda: net.cut_one_way("JPN", "KOR")),
        ("cut the other way", PER_S, lambda: net.cut_one_way("KOR", "JPN")),
        ("20 % lost", PER_S, lambda: net.lose("KOR")),
        ("256 kbit/s", NARROW_PER_S, lambda: (net.narrow("JPN"), net.narrow("KOR"))),
    )
    for what, per_s, begin in ways:
        nodes.load(per_s)
        nodes.run_for(0.5)
        begin()
        nodes.run_for(seconds)
        if what.startswith("cut"):  # it really is cut
            assert 0 < sum(node.tell()["lag"] for node in nodes.nodes.values()), what
        net.heal()
        said = total_said(nodes)
        nodes.until_level(PATIENCE_S + seconds / 2)
        print(f"{what}: level after {said} records")  # noqa: T201 - for whoever looks at a failure
    nodes.stop()
    assert [] == wrong_in(nodes)


@pytest.mark.timeout(240)
def test_links_that_fail_for_seconds(tmp_path: Path, joined: Namespaces) -> None:
    """A cut, one-way cuts, a fifth lost and 256 kbit/s, for seconds each under load, lose, double and reorder nothing."""
    with running(tmp_path, NATIONS, joined.places, joined.hosts) as nodes:
        faults(nodes, joined, 2.5)


@pytest.mark.soak
@pytest.mark.timeout(7_200)
def test_links_that_fail_for_ten_minutes(tmp_path: Path, joined: Namespaces) -> None:
    """The same for ten minutes each."""
    with running(tmp_path, NATIONS, joined.places, joined.hosts) as nodes:
        faults(nodes, joined, 600.0)


def test_a_line_that_holds_every_byte(tmp_path: Path) -> None:
    """Where there are no namespaces: a process between the two holds every byte for seconds; then everyone has everything."""
    through = keyfiles.free_ports(1)[0]
    with running(tmp_path, NATIONS, wait=False) as nodes:
        target = nodes["JPN"].spec.port
        command = [sys.executable, str(LINK), str(through), str(target), "0.05", "0"]
        link = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert link.stdin is not None
        assert link.stdout is not None
        link.stdout.readline()
        nodes["KOR"].spec = structs.replace(nodes["KOR"].spec, partners={"JPN": f"127.0.0.1:{through}"})
        try:
            nodes.start()
            nodes.load(PER_S)
            nodes.run_for(1.0)
            for order, seconds in (("cut", 2.5), ("heal", 0.5)):
                link.stdin.write(order + "\n")
                link.stdin.flush()
                nodes.run_for(seconds)
            nodes.until_level()
            nodes.stop()
        finally:
            link.communicate("", timeout=20)
    assert [] == wrong_in(nodes)
