"""A page without a screen: connects to a node's WebSocket as a browser would. For `trilat demo --headless` and tests."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPConnection, HTTPSConnection
from http.cookies import SimpleCookie
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from trilat.picture import acts, frames
from trilat.picture.frames import RECORD_DTYPE, Frame

# A loaded machine may take long over verifying a password, and over the first of a WebSocket.
REQUEST_S = 60.0
FRAME_BYTES_MAX = 16 * 1024 * 1024


class PageClient:
    """What one page knows: tracks by id, names, warnings by key, log, status, answers to its acts.

    Use as `async with PageClient(url, user, password) as page`; url is the page's ("http://127.0.0.1:8080"). Raises OSError when
    nothing answers there, PermissionError when the door turns it away. Without a user it does not log in.
    """

    def __init__(self, url: str, user: str = "", password: str = "") -> None:
        self.url = url.rstrip("/")
        self.cookies: dict[str, str] = {}
        self.approvals: dict[str, Any] = {"pending": [], "settled": []}
        self._user, self._password = user, password
        self.hello: dict[str, Any] = {}
        self.status: dict[str, Any] = {}
        self.details: dict[str, Any] = {}
        self.warnings: dict[str, dict[str, Any]] = {}
        self.log: list[dict[str, Any]] = []
        self.answers: dict[str, dict[str, Any]] = {}
        self.tracks: dict[int, Any] = {}
        self.names: dict[int, str] = {}
        self.trails: dict[int, Any] = {}
        self.ever_seen: Counter[str] = Counter()
        self.sequence = 0
        self.event = 0
        self.t_ms = 0.0
        self.origin_ms = 0.0
        self.frames_in = 0
        self.bytes_in = 0
        self.closed = ""
        self._nations: dict[int, int] = {}
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._news = asyncio.Condition()
        self._acts = itertools.count(1)

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def connect(self) -> None:
        """Connect (again): what was missed since the last event and frame comes first."""
        if self._user and not self.cookies:
            await self.login()
        address = "ws" + self.url.removeprefix("http") + "/ws"
        self._socket = await connect(
            address,
            origin=self.url,  # type: ignore[arg-type]
            max_size=FRAME_BYTES_MAX,
            open_timeout=REQUEST_S,
            compression=None,
            additional_headers={"cookie": self._cookie()} if self.cookies else None,
        )
        self.closed = ""
        epoch = int(self.hello.get("epoch", 0))
        await self._say(acts.Hello(protocol=1, epoch=epoch, last_sequence=self.sequence, last_event=self.event))
        self._reader = asyncio.ensure_future(self._read(self._socket))

    async def login(self) -> None:
        """Log in by name and password, as the form does; the session's cookies are kept for `connect`."""
        status, told = await self.post("/login", {"user": self._user, "password": self._password})
        if status != HTTPStatus.NO_CONTENT:
            raise PermissionError(f"{self.url}: login as {self._user}: {status} {told.decode('utf-8', 'replace')}")

    async def post(self, path: str, told: object) -> tuple[int, bytes]:
        """Post JSON to the door as the page does; return status and answer. Cookies are taken over."""
        return await asyncio.to_thread(self._post, path, msgspec.json.encode(told))

    def _post(self, path: str, body: bytes) -> tuple[int, bytes]:
        parts = urlsplit(self.url)
        make = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = make(parts.hostname or "", parts.port, timeout=REQUEST_S)
        try:
            headers = {"content-type": "application/json", "origin": self.url, "cookie": self._cookie()}
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            told = answer.read()
            for line in answer.headers.get_all("set-cookie", ()):
                for name, morsel in SimpleCookie(line).items():
                    self.cookies[name] = morsel.value
        finally:
            connection.close()
        return answer.status, told

    def _cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    async def close(self) -> None:
        """Leave. What is known stays."""
        if self._socket is not None:
            await self._socket.close()
        if self._reader is not None:
            await self._reader

    async def _say(self, message: acts.Message) -> None:
        if self._socket is None:
            raise ConnectionError("the page is not connected")
        try:
            await self._socket.send(msgspec.json.encode(message).decode())
        except ConnectionClosed as error:
            raise ConnectionError(f"the node closed the page: {error}") from None

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for raw in socket:
                self.bytes_in += len(raw)
                if isinstance(raw, bytes):
                    await self._take_frame(frames.decode(raw))
                else:
                    await self._take(msgspec.json.decode(raw))
                async with self._news:
                    self._news.notify_all()
        except (ConnectionClosed, ConnectionError) as error:
            self.closed = str(error)
        async with self._news:
            self.closed = self.closed or "closed"
            self._news.notify_all()

    async def _take_frame(self, frame: Frame) -> None:
        if frame.kind == frames.TRAILS:
            self.trails = frame.trails
            return
        self.frames_in += 1
        if frame.kind == frames.SNAPSHOT:
            self.tracks, self.names, self._nations = {}, {}, {}
        for track_id in frame.gone.tolist():
            for held in (self.tracks, self.names, self._nations):
                held.pop(track_id, None)
        ids = frame.records["id"].tolist()
        self.tracks.update(zip(ids, frame.records, strict=True))
        self._nations.update(zip(ids, frame.records["nations"].tolist(), strict=True))
        for name in frame.names:
            self.names[int(name["id"])] = name["name"].decode("ascii")
        self.sequence, self.t_ms, self.origin_ms = frame.sequence, frame.t_ms, frame.origin_ms
        self.ever_seen |= self.by_nation()
        if len(self.tracks) != frame.total or sum(self.tracks) & frames.SEQUENCE_MAX != frame.check:
            await self._say(acts.Resync())

    async def _take(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "hello":
                self.hello = message
            case "status":
                self.status = message
            case "details":
                self.details = message
            case "approvals":
                self.approvals = message
            case "answer":
                self.answers[message["answer"]["act_id"]] = message["answer"]
            case "state":
                self.warnings = {warning["key"]: warning for warning in message["warnings"]}
                self.log = list(message["log"])
                self.event = message["event"]
            case "event":
                self._take_event(message)
                await self._say(acts.Confirm(event=self.event))

    def _take_event(self, message: dict[str, Any]) -> None:
        self.event = message["event"]
        if message["kind"] == "warning":
            self.warnings[message["warning"]["key"]] = message["warning"]
        elif message["kind"] == "answer":
            self.answers[message["answer"]["act_id"]] = message["answer"]
        elif message["kind"] == "log":
            self.log.append(message["line"])

    def by_nation(self) -> Counter[str]:
        """Return how many tracks each nation contributes to (a combined track counts for each of its nations)."""
        nations = self.hello.get("nations", [])
        held: Counter[str] = Counter()
        for bits, count in Counter(self._nations.values()).items():
            held.update({name: count for bit, name in enumerate(nations) if bits >> bit & 1})
        return held

    def array(self) -> Any:
        """Return the tracks as one RECORD_DTYPE array, by id."""
        rows = [self.tracks[track_id] for track_id in sorted(self.tracks)]
        return np.array(rows, RECORD_DTYPE)

    async def until(self, what: Callable[["PageClient"], object], timeout_s: float = 10.0) -> None:
        """Wait until `what(self)` is true; TimeoutError when it is not in time, ConnectionError when the node hangs up."""
        async with asyncio.timeout(timeout_s), self._news:
            await self._news.wait_for(lambda: self.closed or what(self))
        if self.closed and not what(self):
            raise ConnectionError(f"the node closed the page: {self.closed}")

    async def select(self, track_id: int) -> None:
        """Ask for the details of a track; they come into `details`."""
        await self._say(acts.Select(id=track_id))

    async def act(self, make: Callable[[str], acts.Act], timeout_s: float = 10.0) -> dict[str, Any]:
        """Send the act that `make(act_id)` returns; waits for the node's answer and returns it."""
        await self.until(lambda page: page.hello, timeout_s)
        act_id = f"{self.hello['session']}-{next(self._acts)}"
        await self._say(acts.Perform(act=make(act_id)))
        await self.until(lambda page: act_id in page.answers, timeout_s)
        return self.answers[act_id]
