"""Who may call: the guard before the page's application. Plain ASGI, without a web framework.

A page of somebody else's that a browser of ours has open must not reach the node, neither by a cross-site WebSocket (Origin) nor
by a name of its own that it points at our address (Host).
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from trilat.errors import code_of
from trilat.records.approval import Role, Session

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Gate(NamedTuple):
    """All that the pages know of accounts. There is no gate by default: whoever serves pages says who may see them.

    door: the session behind a request or WebSocket, or None. renew: that session as it is now, None when it has ended.
    may: the acts that roles allow. routes: what else the application serves (login and logout).
    """

    door: Callable[[Any], Session | None]
    renew: Callable[[Session], Session | None]
    may: Callable[[Iterable[Role]], Sequence[str]]
    routes: Sequence[Any] = ()

    def who(self, session: Session) -> dict[str, Any]:
        """Return what a page is told of the person at it, and which acts to offer."""
        mine = {"user": session.user, "person": session.person, "roles": session.roles, "station": session.station}
        return {**mine, "may": self.may(session.roles)}

    def here(self, session: Session, everyone: Iterable[Session]) -> dict[str, Any]:
        """Return what a page's status says of people: who sits at it, and who is on duty, each once, by name."""
        people = {one.user: one for one in everyone}
        duty = [{"user": one.user, "person": one.person, "roles": one.roles} for _, one in sorted(people.items())]
        return {"me": self.who(session), "on_duty": duty}


LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
CLOSE_POLICY = 1008
# What changes something must come from the page itself; a browser says where a request comes from with every POST.
SAFE_METHODS = ("GET", "HEAD")
# Everything the page needs comes from its node; MapLibre starts its worker from a file of its own; deck.gl draws to canvases.
POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "geolocation=(), camera=(), microphone=()",
}


class Guard:
    """Refuses calls under a foreign host name and WebSockets or changing requests from a foreign page; adds security headers.

    hosts: names by which the page may be called beside loopback; origins: whole origins ("https://cop.example") likewise.
    """

    def __init__(self, app: Application, hosts: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        self.app = app
        self.origins = {origin.lower().rstrip("/") for origin in origins}
        named = (urlsplit(origin).netloc for origin in self.origins)
        self.hosts = {bare(host) for host in (*LOOPBACK, *hosts, *named)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, or refuse it with 421 (host) or 403 (origin)."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["type"] == "websocket" and not (self._known(headers) and self._same_origin(headers)):
            await receive()
            await send({"type": "websocket.close", "code": CLOSE_POLICY, "reason": "origin or host is not allowed"})
        elif not self._known(headers):
            await _refuse(send, 421, "this host name is not the page's")
        elif scope["type"] == "http" and scope["method"] not in SAFE_METHODS and not self._same_origin(headers):
            await _refuse(send, 403, "this request does not come from the page")
        else:
            await self.app(scope, receive, _with_headers(send))

    def _known(self, headers: Mapping[str, str]) -> bool:
        return bare(headers.get("host", "")) in self.hosts

    def _same_origin(self, headers: Mapping[str, str]) -> bool:
        origin = headers.get("origin", "").lower()
        return origin in self.origins or urlsplit(origin).netloc == headers.get("host", "").lower() != ""


def bare(host: str) -> str:
    """Return a Host header in lower case and without its port."""
    name = host.lower()
    return name if name.endswith("]") or ":" not in name else name.rsplit(":", 1)[0]


async def _refuse(send: Send, status: int, says: str) -> None:
    text = f"{code_of('page-host')} {says}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def _with_headers(send: Send) -> Send:
    async def wrapped(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            message = {**message, "headers": [*message.get("headers", ()), *extra]}
        await send(message)

    return wrapped
