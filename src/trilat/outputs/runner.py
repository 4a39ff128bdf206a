"""The runner: every output gets every message once, in order, with retries; what each took is kept on disk. Does I/O.

What is to be sent follows from the node's own log (a restart makes the same messages again); what was taken stands in the
output's receipts, a file of JSON lines that is synced before the next message goes. So a restart loses nothing, and repeats at
most the one message whose receipt was not yet on disk, under the same identifier. An output that was away gets the newest
version of each warning, not the stale ones before it: those have a receipt that says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from trilat.outputs import files, posts
from trilat.outputs.message import FORMS, Form, Make, Message, Output, OutputError

GROUP = "trilat.outputs"
SHIPPED: Mapping[str, Make] = {"file": files.make, "http-post": posts.make}
FIRST_RETRY_S, LAST_RETRY_S = 0.5, 60.0
WAITING_MAX = 10_000
OLD_NS = 60 * 10**9  # older than this, a version that a newer one follows is not sent any more


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an output's receipts: which message it took, when, in which try, and what it said."""

    identifier: str
    t_ns: int
    tries: int
    receipt: str


class Wanted(NamedTuple):
    """One configured output: its name, kind, forms and options."""

    name: str
    kind: str
    forms: tuple[Form, ...]
    options: Mapping[str, str]


def make(wanted: Wanted) -> Output:
    """Make an output of a kind that ships, or of a plug-in's (entry point group `trilat.outputs`); raises OutputError."""
    unknown = [form for form in wanted.forms if form not in FORMS]
    if unknown or not wanted.forms:
        raise OutputError("output-setting", f"{wanted.name}: forms {wanted.forms}; known are {', '.join(FORMS)}.")
    if (shipped := SHIPPED.get(wanted.kind)) is not None:
        return shipped(wanted.options)
    found = {one.name: one for one in metadata.entry_points(group=GROUP)}
    if wanted.kind not in found:
        known = ", ".join(sorted({*SHIPPED, *found}))
        raise OutputError("output-setting", f"{wanted.name}: kind {wanted.kind!r}; known are {known}.")
    made: Output = found[wanted.kind].load()(wanted.options)
    return made


class Runner:
    """One output at work. `taken` holds the identifiers that it has a receipt for; counts are for the metrics."""

    def __init__(self, wanted: Wanted, directory: Path, now_ns: Callable[[], int], tell: Callable[[str, str], None]) -> None:
        self.wanted = wanted
        self.delivered = self.failed = self.shed = 0
        self._output = make(wanted)
        self._now_ns, self._tell = now_ns, tell
        self._path = directory / "outputs" / f"{wanted.name}.receipts.jsonl"
        self.taken = {one.identifier for one in read_receipts(self._path)}
        self._waiting: asyncio.Queue[Message] = asyncio.Queue(WAITING_MAX)
        self._newest: dict[str, int] = {}
        self._behind = False  # it did not take something, and what gathered meanwhile is not through yet

    @property
    def waiting(self) -> int:
        """How many messages it has not taken yet."""
        return self._waiting.qsize()

    def put(self, message: Message) -> None:
        """Take a message that is to go; one that was taken before is left."""
        self._newest[message.warning.id] = message.warning.version
        if message.identifier in self.taken:
            return
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            self.shed += 1
            self._tell("alarm", f"output {self.wanted.name} is full: {message.identifier} is not sent to it")

    async def run(self) -> None:
        """Send what waits, one after the other, until cancelled."""
        while True:
            message = await self._waiting.get()
            await self._deliver(message)
            self._behind &= not self._waiting.empty()

    async def _deliver(self, message: Message) -> None:
        tries, pause_s = 0, FIRST_RETRY_S
        while message.identifier not in self.taken:
            tries += 1
            try:
                stale = self._is_stale(message, tries)
                told = stale or await self._output.send(message, self.wanted.forms)
            except Exception as error:  # noqa: BLE001 - a plug-in's own fault must not end the output
                self.failed, self._behind = self.failed + 1, True
                if tries == 1:
                    why = error.detail if isinstance(error, OutputError) else f"{type(error).__name__} {error}"
                    self._tell("alarm", f"output {self.wanted.name} did not take {message.identifier}: {why}"[:200])
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LAST_RETRY_S)
                continue
            receipt = Receipt(identifier=message.identifier, t_ns=self._now_ns(), tries=tries, receipt=told[:500])
            await self._keep(receipt)
            self.taken.add(message.identifier)
            self.delivered += not stale
            self._tell("info", f"output {self.wanted.name}: {message.identifier} {stale or f'taken (try {tries})'}"[:200])

    async def _keep(self, receipt: Receipt) -> None:
        """Write a receipt, however long the disk takes it not: what was taken is not sent again because of it."""
        pause_s = FIRST_RETRY_S
        while True:
            try:
                await asyncio.to_thread(append_receipt, self._path, receipt)
            except OSError as error:
                if pause_s == FIRST_RETRY_S:
                    told = f"output {self.wanted.name}: the receipt of {receipt.identifier} is not on disk: {error.strerror}"
                    self._tell("alarm", told[:200])
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LAST_RETRY_S)
            else:
                return

    def _is_stale(self, message: Message, tries: int) -> str:
        """Return why a message is not sent any more: a newer version follows, and this one is late; empty when it is to go."""
        warning = message.warning
        late = self._behind or tries > 1 or self._now_ns() - warning.t_ns > OLD_NS
        newest = self._newest.get(warning.id, warning.version)
        return f"not sent: version {newest} follows" if late and newest > warning.version else ""


def append_receipt(path: Path, receipt: Receipt) -> None:
    """Append a receipt, and return when it is on disk."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("ab") as file:
        file.write(msgspec.json.encode(receipt) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_receipts(path: Path) -> list[Receipt]:
    """Return the receipts of a file; a last line that a power cut left unfinished is none."""
    found: list[Receipt] = []
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_bytes().split(b"\n"):
            with contextlib.suppress(msgspec.DecodeError):
                found.append(msgspec.json.decode(line, type=Receipt))
    return found


def wanted_of(settings: Sequence[Any]) -> tuple[Wanted, ...]:
    """Return the outputs that a configuration names."""
    return tuple(Wanted(one.name, one.kind, tuple(one.forms), dict(one.options)) for one in settings)
