"""A node's outlets: what goes to PUBLIC leaves through every configured output, once the step that told it is on disk."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
from nacl.signing import SigningKey as Ed25519

from trilat.identity.sign import KeyRing
from trilat.node.health import Health
from trilat.node.pipeline import public_of
from trilat.node.settings import NodeConfig
from trilat.outputs.message import Messages
from trilat.outputs.runner import Runner, wanted_of
from trilat.picture.inputs import Notice
from trilat.records.released import Released
from trilat.records.warning import Warning
from trilat.warn.areas import Layer

NOTICES_MAX = 100


class Outlets:
    """Made once per node. post(run): runs something in the store's worker, in a transaction. ring: the node's keys now."""

    def __init__(self, config: NodeConfig, layer: Layer, now_ns: Callable[[], int], ring: Callable[[], KeyRing]) -> None:
        """Make every output. Raises OutputError (output-setting)."""
        self._now_ns, self._ring = now_ns, ring
        self._notices: list[Notice] = []
        self.runners = [Runner(one, Path(config.directory), now_ns, self._tell) for one in wanted_of(config.output)]
        self._messages = Messages(layer, self._sign)
        self.post: Callable[[Callable[[int], None]], None] = lambda _: None

    def _sign(self, body: bytes) -> tuple[str, bytes]:
        key = self._ring().current(self._now_ns())
        return key.key_id, bytes(Ed25519(key.seed).sign(body).signature)

    def start(self, stack: contextlib.AsyncExitStack, restored: Iterable[Warning]) -> None:
        """Go to work; what an earlier run told and an output has no receipt for goes first, in its order."""
        for one in restored:
            self._send([one])
        for runner in self.runners:
            stack.push_async_callback(cancelled, asyncio.create_task(runner.run(), name=f"output {runner.wanted.name}"))

    def take(self, released: Iterable[Released]) -> None:
        """Take what a step released; what of it is for the public goes out in the transaction after the step's own."""
        told = public_of(released) if self.runners else []
        if told:
            loop = asyncio.get_running_loop()
            self.post(lambda _: _later(loop, self._written, told))

    def _written(self, told: list[Warning]) -> None:
        loop = asyncio.get_running_loop()
        self.post(lambda _: _later(loop, self._send, told))

    def _send(self, told: list[Warning]) -> None:
        for warning in told:
            message = self._messages.make(warning)
            for runner in self.runners:
                runner.put(message)

    def _tell(self, severity: str, text: str) -> None:
        if len(self._notices) < NOTICES_MAX:
            self._notices.append(msgspec.convert({"t_ns": self._now_ns(), "severity": severity, "text": text[:200]}, Notice))

    def notices(self) -> list[Notice]:
        """Return the lines for the watch log since the last call."""
        taken, self._notices = self._notices, []
        return taken

    def measure(self, health: Health) -> None:
        """Fill the outputs' metrics."""
        for one in self.runners:
            health.put("trilat_output_delivered_total", one.delivered, one.wanted.name)
            health.put("trilat_output_failed_total", one.failed, one.wanted.name)
            health.put("trilat_output_waiting", one.waiting, one.wanted.name)


def _later(loop: asyncio.AbstractEventLoop, run: Callable[[list[Warning]], None], told: list[Warning]) -> None:
    """Run something in the node's loop, from the worker's thread."""
    loop.call_soon_threadsafe(run, told)


async def cancelled(task: asyncio.Task[None]) -> None:
    """End a task, and wait until it has."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
