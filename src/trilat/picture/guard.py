"""Who may call: the guard before the page's application. Plain ASGI, without a web framework.

A page of somebody else's that a browser of ours has open must not reach the node, neither by a cross-site WebSocket (Origin) nor
by a name of its own that it points at our address (Host).
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from trilat.errors import code_of

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
CLOSE_POLICY = 1008
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
    """Refuses calls under a foreign host name or, for the WebSocket, from a foreign page; adds the security headers.

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
            await _misdirected(send)
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


async def _misdirected(send: Send) -> None:
    text = f"{code_of('page-host')} this host name is not the page's\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 421, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def _with_headers(send: Send) -> Send:
    async def wrapped(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            message = {**message, "headers": [*message.get("headers", ()), *extra]}
        await send(message)

    return wrapped
