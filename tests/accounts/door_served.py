"""A real door before a small picture, on a real server: for attacks on it, by HTTP and by WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import feeder
import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from trilat.accounts.approvals import ApprovalDesk
from trilat.accounts.book import Book
from trilat.accounts.door import Door, DoorSettings, NodeFace, Outside
from trilat.accounts.passwords import Argon2
from trilat.accounts.roles import acts_of
from trilat.node import approvals
from trilat.picture import acts
from trilat.picture.board import mode_words
from trilat.picture.guard import Gate
from trilat.picture.inputs import ActAnswer
from trilat.picture.web import serving
from trilat.records.label import Mode

PASSWORD = "correct horse battery staple"  # noqa: S105 - the accounts of these tests


def face_of(mode: Mode) -> NodeFace:
    """Return what a door says of its node to those outside."""
    return NodeFace("JPN", "jpn-1", {"kind": mode.kind, "id": mode.id, "words": mode_words(mode)})


STAFF = {
    "watch-a": ("watch-officer",),
    "watch-b": ("watch-officer",),
    "release": ("release-officer",),
    "engineer": ("engineer",),
    "auditor": ("auditor",),
    "nobody": (),
}


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now_ns = feeder.START_NS

    def __call__(self) -> int:
        """Return the time, UTC ns."""
        return self.now_ns

    def forward_s(self, seconds: float) -> None:
        """Let time pass."""
        self.now_ns += int(seconds * feeder.NS)


class Desk(feeder.Feeder):
    """A feeder that takes acts at the approvals' desk as the node's step does."""

    def __init__(self, clock: Clock, gate: Gate, mode: Mode, **other: Any) -> None:
        super().__init__(6, gate=gate, **other)
        self.clock = clock
        self.cop.identity = feeder.identity("JPN", mode)
        self.desk = ApprovalDesk("JPN", mode, approvals.KINDS)
        self.decided: list[Any] = []

    async def on_act(self, act: acts.OfficerAct) -> None:
        """Take an act: at the desk, or as a feeder does."""
        if not isinstance(act.act, acts.Propose | acts.Approve | acts.Decline):
            await super().on_act(act)
            return
        self.acts.append(act)
        done = approvals.take(self.desk, self.clock(), act.session, act.act)
        self.decided += done.events
        self.answers.append(ActAnswer(act_id=act.act.act_id, ok=not done.fault, reason=done.fault))
        self.hub.show_approvals(approvals.told(self.desk))


class Served:
    """What a test holds: the address, the book, the door, the clock, what was noted."""

    def __init__(self, directory: Path, mode: Mode = feeder.MODE, **settings: Any) -> None:
        self.clock, self.mode = Clock(), mode
        self.book = Book(directory / "accounts.sqlite", "JPN", mode)
        self.notes: list[str] = []
        self.hasher = Argon2(drawn=True)
        outside = Outside(self.clock, os.urandom, lambda _, severity, text: self.notes.append(f"{severity}: {text}"), self._ended)
        self.door = Door(self.book, face_of(mode), outside, DoorSettings(**settings), self.hasher)
        self.given = Desk(self.clock, Gate(self.door, self.door.renew, acts_of, self.door.routes()), mode, status_ms=100)
        self.url = ""

    def _ended(self, session: str) -> None:
        self.given.hub.end(session)

    def staff(self) -> None:
        """Make one account for each role, each with the same password."""
        kept = self.hasher.keep(PASSWORD, os.urandom(16))
        if self.mode.kind == "live":  # a live book is not filled at once: its first account alone
            self.book.add(self.clock(), "watch-a", "Person watch-a", kept, STAFF["watch-a"])
            return
        self.book.begin(self.clock(), [(user, f"Person {user}", kept, roles) for user, roles in STAFF.items()])

    def browser(self, **headers: str) -> httpx.AsyncClient:
        """Return a browser of its own, with the page's Origin unless said."""
        return httpx.AsyncClient(base_url=self.url, headers={"origin": self.url, **headers}, timeout=60)

    async def enter(
        self, http: httpx.AsyncClient, user: str = "watch-a", password: str = PASSWORD, **other: str
    ) -> httpx.Response:
        """Log in."""
        return await http.post("/login", json={"user": user, "password": password, **other})


@contextlib.asynccontextmanager
async def door_open(directory: Path, *, staffed: bool = True, tick_s: float = 0.02, **settings: Any) -> AsyncIterator[Served]:
    """Serve a door; the picture behind it is stepped in the background."""
    held = Served(directory, **settings)
    if staffed:
        held.staff()

    async def tick() -> None:
        while True:
            held.given.step()
            await asyncio.sleep(tick_s)

    async with serving(held.given.app(), "127.0.0.1", 0, held.given.hub.settings) as port:
        held.url = f"http://127.0.0.1:{port}"
        ticking = asyncio.ensure_future(tick())
        try:
            yield held
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
            held.book.close()


@contextlib.asynccontextmanager
async def socket_of(held: Served, http: httpx.AsyncClient, origin: str = "") -> AsyncIterator[Any]:
    """Open the page's WebSocket with a browser's cookies."""
    cookie = "; ".join(f"{name}={value}" for name, value in http.cookies.items())
    address = held.url.replace("http", "ws") + "/ws"
    async with connect(address, origin=origin or held.url, additional_headers={"cookie": cookie}) as socket:  # type: ignore[arg-type]
        yield socket


async def closing_code(socket: Any, until: Callable[[str], object] = lambda _: False) -> int | None:
    """Read until the node closes; return its code. None when a text came first for which `until` holds."""
    try:
        while True:
            said = await socket.recv()
            if isinstance(said, str) and until(said):
                return None
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None
