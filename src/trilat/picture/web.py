"""The pages of a node: HTTP and one WebSocket per page (docs/reference/page-protocol.md). The picture's only server I/O.

Track frames are latest-wins: a page that falls behind gets one delta over all it missed, so the server holds nothing for it.
Warnings, acknowledgements and answers are numbered events that are never dropped; a page that stops confirming is cut and
resumes when it is back.
"""

import asyncio
import contextlib
import socket
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from msgspec import Struct
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from trilat.errors import TrilatError, code_of, sentence
from trilat.picture import acts
from trilat.picture.cop import Cop
from trilat.picture.guard import CLOSE_POLICY, Gate, Guard
from trilat.records.approval import Session

STATIC = Path(__file__).with_name("static")
CLOSE_TOO_MANY, CLOSE_SLOW, CLOSE_BAD, CLOSE_SESSION = 1013, 4008, 4002, 4001
# After a page that does not keep up was told so, its connection is ended whether it listens or not.
LAST_WORD_S = 1.5

OnAct = Callable[[acts.OfficerAct], Awaitable[None]]
Health = Callable[[], tuple[bool, Mapping[str, Any]]]


class WebSettings(Struct, frozen=True, kw_only=True):
    """Bounds of the web side. hosts: names by which the page may be called beside loopback; origins: likewise, in full."""

    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    sessions_max: int = 64
    message_bytes_max: int = 65_536
    unconfirmed_max: int = 1_000
    send_timeout_s: float = 10.0
    # What the system may hold for one page: small, because what waits there is old when it arrives.
    send_buffer_bytes: int = 262_144
    status_ms: int = 1_000
    acts_per_minute_max: int = 60
    acts_kept_max: int = 1_000


class _Page:
    """One open page: what it has, what it wants, how often it acts."""

    def __init__(self, socket_: WebSocket, session: Session, number: int) -> None:
        self.socket = socket_
        self.session = session
        self.number = number
        self.wake = asyncio.Event()
        self.sequence: int | None = None
        self.event = -1
        self.confirmed = -1
        self.selected = 0
        self.selected_is_new = False
        self.greeted = False
        self.ended = False
        self.approvals = 0
        self.status_due_s = 0.0
        self.act_times_s: list[float] = []
        self.notes: list[dict[str, Any]] = []


class Hub:
    """The open pages of one picture. The node calls `publish` after each `Cop.step`, on the loop that serves the pages."""

    def __init__(self, cop: Cop, on_act: OnAct, gate: Gate, settings: WebSettings | None = None) -> None:
        self.cop = cop
        self.on_act = on_act
        self.gate = gate
        self.settings = settings or WebSettings()
        self.pages: set[_Page] = set()
        self.counts = {"sessions": 0, "refused": 0, "cut": 0, "acts": 0, "bytes_sent": 0}
        self._acts_seen: OrderedDict[tuple[str, str], dict[str, Any] | None] = (
            OrderedDict()
        )  # user, act id -> its refusal, if it was refused
        self._frames: dict[tuple[str, int | None], bytes] = {}
        self._approvals = (0, b"")

    def publish(self) -> None:
        """Tell every page that there may be something new. Frames are built when sent, once per view and starting point."""
        self._frames.clear()
        for page in self.pages:
            page.wake.set()

    def show_approvals(self, told: bytes) -> None:
        """Show every page what waits for a second person (and what became of the last): the newest list, whole."""
        self._approvals = (self._approvals[0] + 1, told)
        self.publish()

    def end(self, session: str) -> None:
        """Close the pages of a session that has ended, at once."""
        for page in self.pages:
            if page.session.session == session:
                page.ended = True
                page.wake.set()

    def _frame(self, view: str, since: int | None) -> bytes:
        key = (view, since)
        if key not in self._frames:
            self._frames[key] = self.cop.frames(view, since)
        return self._frames[key]

    async def open(self, websocket: WebSocket, session: Session) -> None:
        """Serve one page until it leaves or is cut."""
        if len(self.pages) >= self.settings.sessions_max:
            self.counts["refused"] += 1
            await websocket.close(CLOSE_TOO_MANY, "too many pages are open")
            return
        await websocket.accept()
        self.counts["sessions"] += 1
        page = _Page(websocket, session, self.counts["sessions"])
        self.pages.add(page)
        try:
            await self._serve(page)
        finally:
            self.pages.discard(page)

    async def _serve(self, page: _Page) -> None:
        tasks = [asyncio.ensure_future(self._receive(page)), asyncio.ensure_future(self._send(page))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        if any(isinstance(result, TimeoutError) for result in results):
            self.counts["cut"] += 1
            with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
                async with asyncio.timeout(LAST_WORD_S / 2):
                    await page.socket.close(CLOSE_SLOW, "the page does not keep up")
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, (TimeoutError, WebSocketDisconnect)):
                raise result

    async def _receive(self, page: _Page) -> None:
        while True:
            raw = await page.socket.receive()
            if raw["type"] == "websocket.disconnect":
                return
            try:
                message = msgspec.json.decode(raw.get("text") or raw.get("bytes") or b"", type=acts.Message)
            except (msgspec.DecodeError, RecursionError) as error:
                self.counts["refused"] += 1
                await page.socket.close(CLOSE_BAD, f"{code_of('page-frame')} {error}"[:100])
                return
            await self._take(page, message)
            page.wake.set()

    async def _take(self, page: _Page, message: acts.Message) -> None:
        match message:
            case acts.Hello():
                self._greet(page, message)
            case acts.Confirm():
                page.confirmed = max(page.confirmed, min(message.event, page.event))
            case acts.Select():
                page.selected, page.selected_is_new = message.id, True
            case acts.Resync():
                page.sequence = None
            case acts.Perform():
                await self._act(page, message.act)

    def _greet(self, page: _Page, hello: acts.Hello) -> None:
        same = hello.epoch == self.cop.hello(page.session.view)["epoch"]
        page.sequence = hello.last_sequence if same and hello.last_sequence else None
        page.event = hello.last_event if same and hello.last_event else -1
        page.confirmed = page.event
        page.greeted = True
        told = self.cop.hello(page.session.view)
        page.notes.append({**told, "session": f"{told['epoch']}-{page.number}", **self.gate.who(page.session), "resumed": same})

    def _is_in(self, page: _Page) -> bool:
        """Look at the page's session anew: it may have ended, or hold other roles."""
        fresh = None if page.ended else self.gate.renew(page.session)
        page.ended = fresh is None
        page.session = fresh or page.session
        return not page.ended

    async def _act(self, page: _Page, act: acts.Act) -> None:
        key = (page.session.user, act.act_id)
        if key in self._acts_seen:
            if (refusal := self._acts_seen[key]) is not None:
                page.notes.append(refusal)
            return
        if not self._is_in(page):
            page.notes.append(acts.refused(act, "session-ended", sentence("session-ended")))
            return
        now_s = asyncio.get_running_loop().time()
        page.act_times_s = [t for t in page.act_times_s if now_s - t < 60.0]
        if len(page.act_times_s) >= self.settings.acts_per_minute_max:
            page.notes.append(acts.refused(act, "act-rate", "Too many acts in one minute."))
            return
        page.act_times_s.append(now_s)
        self._acts_seen[key] = None
        while len(self._acts_seen) > self.settings.acts_kept_max:
            self._acts_seen.popitem(last=False)
        self.counts["acts"] += 1
        try:
            await self.on_act(acts.OfficerAct(session=page.session, act=act))
        except TrilatError as error:
            self._acts_seen[key] = acts.refused(act, error.name, str(error))
            page.notes.append(acts.refused(act, error.name, str(error)))

    async def _send(self, page: _Page) -> None:
        while True:
            await page.wake.wait()
            page.wake.clear()
            if page.greeted:
                await self._send_due(page)

    async def _send_due(self, page: _Page) -> None:
        while page.notes:
            await self._text(page, msgspec.json.encode(page.notes.pop(0)))
        if page.ended:
            await self._close_ended(page)
        await self._send_status(page)
        await self._send_events(page)
        view = page.session.view
        if page.sequence is None:
            page.sequence = self.cop.sequence(view)
            await self._bytes(page, self._frame(view, None))
            await self._bytes(page, self.cop.trails(view))
        elif page.sequence != (sequence := self.cop.sequence(view)):
            frame = self._frame(view, page.sequence)
            page.sequence = sequence
            await self._bytes(page, frame)

    async def _close_ended(self, page: _Page) -> None:
        await page.socket.close(CLOSE_SESSION, "the session has ended")
        raise WebSocketDisconnect(CLOSE_SESSION)

    async def _send_events(self, page: _Page) -> None:
        view = page.session.view
        if page.event == self.cop.event(view):
            return
        events = None if page.event < 0 else self.cop.events(view, page.event)
        if events is None:
            page.event = page.confirmed = self.cop.event(view)
            await self._text(page, self.cop.state(view))
            return
        for number, raw in events:
            if number - page.confirmed > self.settings.unconfirmed_max:
                raise TimeoutError
            page.event = number
            await self._text(page, raw)

    async def _send_status(self, page: _Page) -> None:
        now_s = asyncio.get_running_loop().time()
        due = now_s >= page.status_due_s
        if due:
            page.status_due_s = now_s + self.settings.status_ms / 1000
            if not self._is_in(page):
                await self._close_ended(page)
            here = self.gate.here(page.session, (one.session for one in self.pages if one.greeted))
            await self._text(page, msgspec.json.encode({**self.cop.status(page.session.view), **here}))
        if page.approvals != self._approvals[0]:
            page.approvals = self._approvals[0]
            await self._text(page, self._approvals[1])
        if page.selected and (due or page.selected_is_new):
            page.selected_is_new = False
            found = self.cop.details(page.session.view, page.selected)
            gone = {"type": "details", "id": page.selected, "gone": True}
            await self._text(page, msgspec.json.encode(found or gone))

    async def _text(self, page: _Page, raw: bytes) -> None:
        await self._deliver(page.socket.send_text(raw.decode()), len(raw))

    async def _bytes(self, page: _Page, raw: bytes) -> None:
        await self._deliver(page.socket.send_bytes(raw), len(raw))

    async def _deliver(self, sending: Awaitable[None], size: int) -> None:
        async with asyncio.timeout(self.settings.send_timeout_s):
            await sending
        self.counts["bytes_sent"] += size


def make_app(
    hub: Hub,
    *,
    live: Health,
    ready: Health,
    metrics: Callable[[], bytes],
    links: Health = lambda: (True, {}),
    areas: Health = lambda: (True, {}),
    static: Path = STATIC,
) -> Starlette:
    """Return the ASGI application: the page, `/ws`, `/livez` and `/readyz`, `/links`, `/areas.json`, `/metrics`."""

    async def index(_: Request) -> Response:
        if not (static / "index.html").is_file():
            return PlainTextResponse(f"{code_of('page-not-built')} The page has not been built. Run `make setup`.\n", 503)
        return FileResponse(static / "index.html", headers={"cache-control": "no-store"})

    async def page(websocket: WebSocket) -> None:
        session = hub.gate.door(websocket)
        if session is None:
            await websocket.close(CLOSE_POLICY, "not signed in")
            return
        await hub.open(websocket, session)

    async def measured(_: Request) -> Response:
        return Response(metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    routes = [
        Route("/", index),
        WebSocketRoute("/ws", page),
        Route("/livez", _health(live)),
        Route("/readyz", _health(ready)),
        Route("/metrics", measured),
        Route("/links", _health(links)),
        Route("/areas.json", _health(areas)),
        *hub.gate.routes,
        *(Mount(f"/{name}", StaticFiles(directory=static / name, check_dir=False)) for name in ("assets", "map")),
    ]
    app = Starlette(routes=routes)
    app.add_middleware(Guard, hosts=hub.settings.hosts, origins=hub.settings.origins)
    return app


def _health(check: Health) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        good, told = check()
        return Response(msgspec.json.encode(told), 200 if good else 503, media_type="application/json")

    return answer


class _Connection(WebSocketsSansIOProtocol):
    """A WebSocket that is ended when the other side takes nothing for `stall_s`: what is buffered for it is freed."""

    stall_s = 10.0
    _ending: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._ending = self.loop.call_later(self.stall_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stay()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stay()

    def _stay(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: ending is the node's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, host: str, port: int, settings: WebSettings | None = None) -> AsyncIterator[int]:
    """Serve the application while the block runs; yields the bound port (port 0: any free one). OSError when it is taken."""
    settings = settings or WebSettings()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=128)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer_bytes)  # accepted ones inherit it
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws=type("Connection", (_Connection,), {"stall_s": settings.send_timeout_s + LAST_WORD_S}),
        ws_max_size=settings.message_bytes_max,
        ws_per_message_deflate=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    server = _Server(config)
    task = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        yield int(listener.getsockname()[1])
    finally:
        server.should_exit = True
        await task
