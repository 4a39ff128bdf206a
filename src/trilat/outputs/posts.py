"""HTTP POST: each message to a URL, one request a form. Does I/O.

Options: `url` (http or https; certificates are checked), `timeout_s` (10; of a whole request, whatever comes meanwhile),
`authorization_file` (a file whose first line becomes the Authorization header). What answers 2xx has taken it; everything else,
a redirect too, is asked again later. `Idempotency-Key` is the message's identifier and form, so that a receiver knows a repeat.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from trilat.outputs.message import FORMS, Form, Message, OutputError

ANSWER_BYTES_MAX = 4_096
OPTIONS = frozenset({"url", "timeout_s", "authorization_file"})


class _Request:
    """One request, in a thread of its own; `hang_up` ends it from outside, wherever it is."""

    def __init__(self, connection: HTTPConnection) -> None:
        self._connection = connection
        self._socket: socket.socket | None = None
        self._ended = threading.Event()

    def send(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        """Post; return the status and the first words of the answer. Raises OSError, HTTPException."""
        try:
            self._connection.connect()
            self._socket = self._connection.sock
            if self._ended.is_set():
                raise TimeoutError("it took too long to connect")
            self._connection.request("POST", path, body, dict(headers))
            answer = self._connection.getresponse()
            return answer.status, answer.read(ANSWER_BYTES_MAX).decode("utf-8", "replace").strip()
        finally:
            self._connection.close()

    def hang_up(self) -> None:
        """End it: a receiver that sends a byte now and then would hold a socket's own time-out off for ever."""
        self._ended.set()
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


class HttpPost:
    """Posts to one address."""

    def __init__(self, url: str, timeout_s: float, authorization: str) -> None:
        self._parts = urlsplit(url)
        self._timeout_s, self._authorization = timeout_s, authorization

    async def send(self, message: Message, forms: Sequence[Form]) -> str:
        """Post every form; the receipt is what was answered to each. Each request ends within the time-out, whatever comes."""
        return ", ".join([await self._post(message, form) for form in forms])

    async def _post(self, message: Message, form: Form) -> str:
        parts = self._parts
        headers = {"content-type": FORMS[form][1], "idempotency-key": f"{message.identifier}.{form}"}
        if self._authorization:
            headers["authorization"] = self._authorization
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        request = _Request(kind(parts.hostname or "", parts.port, timeout=self._timeout_s))
        work = asyncio.ensure_future(asyncio.to_thread(request.send, path, message.bodies[form], headers))
        try:
            done, _ = await asyncio.wait({work}, timeout=self._timeout_s)
            if not done:
                raise OutputError("output-not-taken", f"{parts.netloc}: no whole answer in {self._timeout_s:g} s.")
            status, said = work.result()
        except (OSError, HTTPException) as error:
            raise OutputError("output-not-taken", f"{parts.netloc}: {type(error).__name__} {error}."[:300]) from error
        finally:
            request.hang_up()
            work.add_done_callback(lambda one: one.cancelled() or one.exception())  # what an ended one raises is nobody's
        if not 200 <= status < 300:
            raise OutputError("output-not-taken", f"{parts.netloc} answered {status}.")
        return f"{form} {status} {said[:100]}".strip()


def make(options: Mapping[str, str]) -> HttpPost:
    """Make a poster; raises OutputError (output-setting)."""
    unknown = sorted(set(options) - OPTIONS)
    parts = urlsplit(options.get("url", ""))
    if unknown or parts.scheme not in ("http", "https") or not parts.hostname:
        raise OutputError("output-setting", f"http-post wants `url` (http or https); {unknown or 'the rest'} is not known.")
    try:
        timeout_s = float(options.get("timeout_s", "10"))
        file = options.get("authorization_file")
        authorization = "" if file is None else Path(file).read_text("utf-8").splitlines()[0].strip()
    except (ValueError, OSError, IndexError) as error:
        raise OutputError("output-setting", f"http-post: {error}.") from error
    if not 0.1 <= timeout_s <= 120.0:
        raise OutputError("output-setting", f"http-post: timeout_s {timeout_s:g}, from 0.1 to 120.")
    return HttpPost(options["url"], timeout_s, authorization)
