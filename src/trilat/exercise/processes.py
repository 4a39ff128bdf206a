"""Start the nodes of an exercise as processes of their own, and end them, and nothing else. Does I/O."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from trilat import errors
from trilat.errors import ExerciseError
from trilat.exercise.provision import Prepared

START_S_MAX = 180.0
STOP_S_MAX = 10.0
LOG_TAIL_CHARS = 2_000


class KernelCache(NamedTuple):
    """Where numba keeps the compiled kernels, how many are there, and which modules were changed since theirs were compiled."""

    place: Path
    compiled: int
    stale: tuple[str, ...]


def kernel_cache() -> KernelCache:
    """Look into numba's cache. What is older than its source is compiled anew at the next call."""
    folder = os.environ.get("NUMBA_CACHE_DIR")
    source = Path(errors.__file__).parent / "kernels"
    place = Path(folder) if folder else source / "__pycache__"
    indexes = list(place.rglob("*.nbi"))
    newest: dict[str, float] = {}
    for path in indexes:
        module = path.name.partition(".")[0]
        newest[module] = max(newest.get(module, 0.0), path.stat().st_mtime)
    changed = {module: source / f"{module}.py" for module in newest}
    stale = [name for name, path in changed.items() if path.exists() and newest[name] < path.stat().st_mtime]
    return KernelCache(place, len(indexes), tuple(sorted(stale)))


async def compile_kernels(say: Callable[[str], None]) -> None:
    """Fill numba's cache where it is empty or older than the source, once.

    Three cold nodes side by side would each compile all of it, and take longer than START_S_MAX. Raises ExerciseError
    (node-not-started) when the kernels do not compile.
    """
    cache = kernel_cache()
    if cache.compiled and not cache.stale:
        return
    say("Compiling the kernels, once (one to three minutes) ...")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "trilat.kernels.warm",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # so that Ctrl-C reaches it through us only
    )
    try:
        if await process.wait():
            raise ExerciseError("node-not-started", "the kernels did not compile; `trilat doctor` looks at numba's cache")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


class NodeProcess:
    """One node's process. Its log goes to `node.log` in its directory."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self.ports: dict[str, Any] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._log = prepared.config.parent / "node.log"

    async def start(self) -> None:
        """Start the process; it is not ready yet. In a session of its own, so that Ctrl-C reaches it through us only."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("TRILAT_")}
        environ["TRILAT_DIE_WITH_PARENT"] = str(os.getpid())
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                "from trilat.cli import main; main()",
                "node",
                str(self.prepared.config),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environ,
                start_new_session=True,
            )

    async def ready(self, seconds: float = START_S_MAX) -> Mapping[str, Any]:
        """Wait until the node has written its ports; raises ExerciseError (node-not-started) with the end of its log."""
        path = self.prepared.directory / "ports.json"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not path.exists() and self.alive:  # noqa: ASYNC110 - another process's file has no event
                    await asyncio.sleep(0.05)
        if not self.alive or not path.exists():
            raise ExerciseError("node-not-started", f"{self.prepared.nation}: {self.tail()}")
        self.ports = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        return self.ports

    @property
    def alive(self) -> bool:
        """Tell whether the process runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The process id; 0 before the start."""
        return 0 if self._process is None else self._process.pid

    def signal(self, number: int) -> None:
        """Send a signal to the process, if it runs."""
        if self._process is not None and self.alive:
            self._process.send_signal(number)

    async def stop(self) -> int:
        """Ask the process to end, then make it; return its exit code."""
        if self._process is None:
            return 0
        self.signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self._process.wait(), STOP_S_MAX)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return await self._process.wait()

    async def kill(self) -> None:
        """End the process at once, without a word to it; the ports that it wrote are those of nobody any more."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            await self._process.wait()
        (self.prepared.directory / "ports.json").unlink(missing_ok=True)

    def tail(self) -> str:
        """Return the end of the node's log."""
        return _tail(self._log)


def _tail(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")[-LOG_TAIL_CHARS:].strip()
    except OSError:
        return "(no log)"
