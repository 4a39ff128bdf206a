"""HTTP POST: each message to a URL, one request a form. Does I/O.

Options: `url` (http or https; certificates are checked), `timeout_s` (10), `authorization_file` (a file whose first line becomes
the Authorization header). What answers 2xx has taken it; everything else, a redirect too, is asked again later.
`Idempotency-Key` is the message's identifier and form, so that a receiver knows a repeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from trilat.outputs.message import FORMS, Form, Message, OutputError

ANSWER_BYTES_MAX = 4_096
OPTIONS = frozenset({"url", "timeout_s", "authorization_file"})


class HttpPost:
    """Posts to one address."""

    def __init__(self, url: str, timeout_s: float, authorization: str) -> None:
        self._parts = urlsplit(url)
        self._timeout_s, self._authorization = timeout_s, authorization

    async def send(self, message: Message, forms: Sequence[Form]) -> str:
        """Post every form; the receipt is what was answered to each."""
        return ", ".join([await asyncio.to_thread(self._post, message, form) for form in forms])

    def _post(self, message: Message, form: Form) -> str:
        parts, host = self._parts, self._parts.hostname or ""
        connection = (HTTPSConnection if parts.scheme == "https" else HTTPConnection)(host, parts.port, timeout=self._timeout_s)
        headers = {"content-type": FORMS[form][1], "idempotency-key": f"{message.identifier}.{form}"}
        if self._authorization:
            headers["authorization"] = self._authorization
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection.request("POST", path, message.bodies[form], headers)
            answer = connection.getresponse()
            said = answer.read(ANSWER_BYTES_MAX).decode("utf-8", "replace").strip()
        except (OSError, HTTPException) as error:
            raise OutputError("output-not-taken", f"{parts.netloc}: {type(error).__name__} {error}.") from error
        finally:
            connection.close()
        if not 200 <= answer.status < 300:
            raise OutputError("output-not-taken", f"{parts.netloc} answered {answer.status}.")
        return f"{form} {answer.status} {said[:100]}".strip()


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
