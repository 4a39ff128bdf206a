"""`trilat demo`: three nodes judged by their own pages, ended whole by Ctrl-C, and nothing else ended with them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from trilat.errors import ExerciseError
from trilat.exercise import processes

ENDS_S_MAX = 110.0


@pytest.fixture
async def bystander() -> AsyncIterator[asyncio.subprocess.Process]:
    """Give a process of ours that has nothing to do with the demo."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import sys; sys.stdin.read()", stdin=asyncio.subprocess.PIPE
    )
    yield process
    process.terminate()
    await process.wait()


@pytest.fixture(autouse=True)
def ended(tmp_path: Path) -> Iterator[None]:
    """End what a test that fails leaves running: it would starve all that come after it."""
    yield
    for pid in processes_of(tmp_path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def demo(directory: Path, *options: str) -> asyncio.subprocess.Process:
    """Start `trilat demo` headless."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("TRILAT_")} | {"PYTHONUNBUFFERED": "1"}
    command = ("-c", "from trilat.cli import main; main()", "demo", "--headless", "--directory", str(directory), *options)
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, *command, stdout=pipe, stderr=pipe, env=given)


async def test_kernels_are_compiled_before_the_nodes_only_where_none_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an empty cache the demo says that it compiles, and a compiler that fails is named; with a filled one it does neither."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("sys.executable", "/bin/false")
    said: list[str] = []
    with pytest.raises(ExerciseError, match="trilat doctor"):
        await processes.compile_kernels(said.append)
    (tmp_path / "kernel.nbi").touch()
    await processes.compile_kernels(said.append)

    assert [True] == ["Compiling" in line for line in said]


async def test_headless_demo_shows_every_nation_on_every_page_and_says_so_in_one_line(tmp_path: Path) -> None:
    """`trilat demo --seconds 15 --headless` exits 0; its last line is the summary; nothing that it started runs on."""
    process = await demo(tmp_path / "demo", "--seconds", "15")
    said, wrong = await asyncio.wait_for(process.communicate(), ENDS_S_MAX)

    last = said.decode().splitlines()[-1]
    assert process.returncode == 0, said.decode() + wrong.decode()
    assert re.fullmatch(r"demo ok: (\w{3} page: (\w{3} \d+ ?){3};? ?){3}, all nations on all pages after [\d.]+ s", last), last
    assert processes_of(tmp_path) == {}


async def test_ctrl_c_ends_everything_the_demo_started_and_nothing_else(
    tmp_path: Path, bystander: asyncio.subprocess.Process
) -> None:
    """Ctrl-C while the demo runs ends the three nodes and their three servers; a bystander lives on."""
    process = await demo(tmp_path / "demo", "--seconds", "600")
    assert process.stdout is not None
    started: dict[int, str] = {}
    async with asyncio.timeout(ENDS_S_MAX):
        async for line in process.stdout:
            started = processes_of(tmp_path)
            if b"tracks of all 3 nations" in line:
                break
        process.send_signal(signal.SIGINT)
        await process.communicate()

    nodes = [line for line in started.values() if " node " in line]
    servers = [line for line in started.values() if "nats-server" in line]
    assert (3, 3) == (len(nodes), len(servers)), started
    assert processes_of(tmp_path) == {}
    assert bystander.returncode is None


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (signal.SIGINT, b"Making keys"),
        (signal.SIGINT, b"Starting 3"),
        (signal.SIGTERM, b"Starting 3"),
        (signal.SIGHUP, b"Starting 3"),
    ],
)
async def test_demo_that_is_told_to_end_while_it_starts_ends_at_once(tmp_path: Path, number: int, word: bytes) -> None:
    """Ctrl-C, a signal to end or a terminal that hangs up in the middle of the start ends it there: no page is shown any more."""
    process = await demo(tmp_path / "demo", "--seconds", "600")
    assert process.stdout is not None
    async with asyncio.timeout(ENDS_S_MAX):
        async for line in process.stdout:
            if word in line:
                break
        process.send_signal(number)
        said, wrong = await process.communicate()

    assert (1, b"") == (process.returncode, wrong)
    assert b"Ending before all had started" in said
    assert b"http://" not in said
    assert processes_of(tmp_path) == {}


async def test_demo_that_is_killed_leaves_no_node(tmp_path: Path) -> None:
    """When the demo's own process is killed outright, the kernel ends the nodes, and they end their servers."""
    process = await demo(tmp_path / "demo", "--seconds", "600")
    assert process.stdout is not None
    async with asyncio.timeout(ENDS_S_MAX):
        async for line in process.stdout:
            if b"Ctrl-C" in line:
                break
        process.kill()
        await process.wait()
        while processes_of(tmp_path):  # noqa: ASYNC110 - other processes' ends have no event here
            await asyncio.sleep(0.1)

    assert processes_of(tmp_path) == {}


def processes_of(directory: Path) -> dict[int, str]:
    """Return the processes other than this one's direct command that name a directory, by id."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if str(directory) in line and "--headless" not in line:
            found[int(path.parent.name)] = line
    return found
