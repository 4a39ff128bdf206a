"""Real processes on real disks that fill up or lose their power: flash goes on, nothing told is lost, and it ends by itself."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import disks
import pytest
from fault_nodes import FaultNodes, audit, running, wrong_in

from trilat.errors import StoreError
from trilat.node import clock

MEBIBYTE = 1 << 20
PER_S = 150.0


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Things to undo at the end."""
    with ExitStack() as made:
        yield made


def mount(stack: ExitStack, what: object) -> Path:
    """Mount something until the test ends; skipped with the reason where the kernel does not let us."""
    try:
        return stack.enter_context(what)  # type: ignore[arg-type]
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no mounts here: {error.stderr!r}")


@pytest.mark.parametrize("whose", ["JPN", "KOR"])
def test_a_disk_that_fills_up(tmp_path: Path, stack: ExitStack, whose: str) -> None:
    """A store's disk fills under load: flash still passes both ways; with room again everything goes on, nothing of flash is missing."""
    if why := disks.missing():
        pytest.skip(why)
    disk = mount(stack, disks.tmpfs(tmp_path / whose / "store", 24 * MEBIBYTE))
    ballast = disks.Ballast(disk)
    with running(tmp_path, reserve_bytes=4 * MEBIBYTE) as nodes:
        nodes.load(PER_S)
        nodes.run_for(1.0)
        ballast.fill()
        until(nodes, whose, lambda told: told["health"] == "flash-only")
        before = nodes["KOR"].tell()["held"]["JPN/flash"][0]
        until(nodes, "KOR", lambda told: told["held"]["JPN/flash"][0] > before + 5)
        ballast.drop()
        until(nodes, whose, lambda told: told["health"] == "ok")
        nodes.run_for(1.0)
        nodes.until_level()
        shed = nodes[whose].tell()["shed"]
        for node in nodes.nodes.values():
            node.ask(note=True)
        nodes.stop()
    # What bulk the step that found the disk full was offered is shed, and said so; of flash, nothing may be missing.
    wrong = wrong_in(nodes)
    assert [] == [what for what in wrong if "flash" in what or "twice" not in what]
    assert [] == [what for what in wrong if ", 0 twice" not in what or not 0 < shed]


def until(nodes: FaultNodes, nation: str, condition: object) -> None:
    """Wait until a nation stands as it should."""
    end_ns = clock.monotonic_ns() + 60 * 10**9
    while not condition(told := nodes[nation].tell()):  # type: ignore[operator]
        assert clock.monotonic_ns() < end_ns, told
        nodes.run_for(0.05)


def cut_power(nodes: FaultNodes, nation: str, image: Path, stack: ExitStack, place: Path) -> None:
    """Cut one nation's power: what its disk holds at that instant is all that is left; it starts again from that."""
    node, copy = nodes[nation], image.with_suffix(".copy")
    node.signal(signal.SIGSTOP)
    shutil.copyfile(image, copy)
    node.kill()
    stack.close()
    shutil.move(copy, image)
    mount(stack, disks.loop(image, place))
    assert [] == audit(place, nation)
    node.start()


def cuts(nodes: FaultNodes, image: Path, stack: ExitStack, times: int) -> list[str]:
    """Cut JPN's power some times under load, and return what is wrong when all is level again."""
    nodes.load(PER_S)
    for _ in range(times):
        nodes.run_for(0.9)
        cut_power(nodes, "JPN", image, stack, nodes["JPN"].directory / "store")
    nodes.run_for(0.5)
    nodes.until_level()
    epochs = {source: place[0] for node in nodes.nodes.values() for source, place in node.tell()["out"].items()}
    nodes.stop()
    # A second epoch would mean that something was sent, or receipted, before it was on disk.
    return wrong_in(nodes) + [f"{source}: epoch {epoch}" for source, epoch in epochs.items() if epoch != 1]


def powered(tmp_path: Path, stack: ExitStack, times: int, planted: str = "") -> list[str]:
    """Run two nations, JPN's store on an ext4 in a file, and cut its power."""
    if why := disks.missing("mkfs.ext4"):
        pytest.skip(why)
    image, place = tmp_path / "disk.ext4", tmp_path / "JPN" / "store"
    disks.make_ext4(image, 64 * MEBIBYTE)
    mount(stack, disks.loop(image, place))
    with running(tmp_path, planted=planted) as nodes:
        return cuts(nodes, image, stack, times)


def test_power_cuts(tmp_path: Path, stack: ExitStack) -> None:
    """After each power cut the store is sound; what was sent or receipted is in it, and nothing is lost or comes twice."""
    assert [] == powered(tmp_path, stack, 2)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_fifty_power_cuts(tmp_path: Path, stack: ExitStack) -> None:
    """The same fifty times."""
    assert [] == powered(tmp_path, stack, 50)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_store_that_never_syncs_is_found_out(tmp_path: Path, stack: ExitStack) -> None:
    """The planted bug: without syncs a power cut loses what was told. If it did not, the tests above would prove nothing."""
    try:
        found = powered(tmp_path, stack, 5, "no sync")
    except (AssertionError, StoreError) as error:  # a store that cannot be read any more tells, too
        found = [str(error)]
    assert found
