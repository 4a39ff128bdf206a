"""A node as a process: run until told, ended with its parent, its interpreter set for a long run. Changes the process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import uvloop

from trilat.identity.keystore import Passphrase
from trilat.node.live import LiveNode
from trilat.node.settings import NodeConfig

# A collection of the youngest after this many new containers: a full batch makes a few thousand, all gone a moment later.
NEW_CONTAINERS = 50_000
YOUNG_PER_OLDER = 20
# A thread that wants the interpreter waits for it at most this long (Python's default is 5 ms: a flash would wait that long
# for each hand-over between network and disk while bulk is at work).
SWITCH_S = 0.0005

_T = TypeVar("_T")


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Run a node's coroutine to its end on libuv's event loop.

    Most of what a flash record costs is the loop's own work and TLS: with asyncio's own loop, 500 a second fill two cores.
    """
    return uvloop.run(main)


def settle() -> None:
    """Set what stands after the start aside, and let collections and switches of threads suit a node.

    Cycles are still collected. Without this, a catch-up spends half of its processor time looking at objects that stay.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_CONTAINERS, YOUNG_PER_OLDER, YOUNG_PER_OLDER)
    sys.setswitchinterval(SWITCH_S)


@contextlib.asynccontextmanager
async def running(config: NodeConfig, passphrase: Passphrase | None = None) -> AsyncIterator[LiveNode]:
    """Run a node while the block runs (tests and the demo in one process)."""
    node, stop, ready = LiveNode(config, passphrase), asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(node.run(stop, lambda _: ready.set()))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        if task.done():
            task.result()
        yield node
    finally:
        stop.set()
        await task


async def run_until_told(node: LiveNode) -> None:
    """Run a node until SIGINT or SIGTERM; a second one ends it at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def told() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told)
    await node.run(stop, lambda _: settle())


def die_with_parent(parent: int) -> None:
    """Ask the kernel to end this process when its parent ends (Linux), so that a demo leaves nothing behind.

    parent: who started it. One that ended before the kernel was asked is told by another in its place.
    """
    if os.name == "posix":
        import ctypes  # noqa: PLC0415 - one call, at start only

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, 15)
    if os.getppid() != parent:
        os._exit(1)
