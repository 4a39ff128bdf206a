"""The ledger over HTTP, for release officers and auditors of one's own nation: it only reads, by a connection of its own.

One question at a time, in a thread, so that a long one holds up no step; never more than ROWS_MAX rows in an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from trilat.errors import TrilatError, code_of, sentence
from trilat.ledger.holdings import Ledger
from trilat.marking.canonical import is_audience
from trilat.records.approval import Role, Session
from trilat.store.sqlite import open_reader

ROWS_MAX = 1_000
ROWS = 200
T_NS_MAX = 2**63 - 1
ACT = "see-ledger"
STATUS = {
    "session-ended": 401,
    "act-role": 403,
    "request-bad": 400,
    "track-unknown": 404,
    "warning-unknown": 404,
    "recipient-unknown": 404,
    "foreign-originator": 409,
    "request-rate": 429,
    "recall-numbers": 400,
    "recall-many": 400,
    "recall-partner": 404,
    "recall-lane": 404,
    "recall-epoch": 404,
    "recall-number": 404,
    "recall-again": 409,
    "recall-withheld": 409,
    "recall-unsettled": 503,
}

Answer = Mapping[str, Any]
Question = Callable[[Ledger, Mapping[str, str]], Answer]


class _Bad(Exception):  # noqa: N818 - an answer, not a fault
    """A question that makes no sense."""


def _time(asked: Mapping[str, str], name: str, default: int | None) -> int | None:
    text = asked.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= T_NS_MAX):
        raise _Bad(f"{name} is no time in nanoseconds since 1970")
    return int(text)


def _rows(found: Iterable[Any], asked: Mapping[str, str]) -> Answer:
    """Return the first rows and whether there are more."""
    limit = _time(asked, "limit", ROWS) or ROWS
    rows = list(islice(found, min(limit, ROWS_MAX) + 1))
    return {"rows": [one._asdict() for one in rows[: min(limit, ROWS_MAX)]], "more": len(rows) > min(limit, ROWS_MAX)}


def _named(asked: Mapping[str, str], name: str) -> str:
    text = asked.get(name, "")
    if not 0 < len(text) <= 200:
        raise _Bad(f"{name} is missing")
    return text


def _audience(asked: Mapping[str, str], name: str) -> str | None:
    """Return an audience's name, None where none is asked for: of a mistyped one it is not said that it holds nothing."""
    text = asked.get(name)
    if text is not None and not is_audience(text):
        raise _Bad(f"{name} is no audience: three upper-case letters, or PUBLIC")
    return text


def held(ledger: Ledger, asked: Mapping[str, str]) -> Answer:
    """Answer `by` (an audience) and `at` (as things stood then): what it holds of ours, each record once, newest first."""
    by = _audience(asked, "by")
    if by is None:
        raise _Bad("by is missing")
    return _rows(ledger.newest(by, _time(asked, "at", None)), asked)


def holders(ledger: Ledger, asked: Mapping[str, str]) -> Answer:
    """Answer `subject` (a track, a warning, a sensor, a record's SHA-256) and `at`: who holds it."""
    return _rows(ledger.holders(_named(asked, "subject"), _time(asked, "at", None)), asked)


def released(ledger: Ledger, asked: Mapping[str, str]) -> Answer:
    """Answer `since`, `until` and `to`: how much was released, by audience, type and rule."""
    since, until = _time(asked, "since", 0), _time(asked, "until", None)
    return _rows(ledger.released(since or 0, until, _audience(asked, "to")), asked)


QUESTIONS: Mapping[str, Question] = {"held": held, "holders": holders, "released": released}


def routes(door: Callable[[Any], Session | None], may: Callable[[Iterable[Role], str], bool], store: Path) -> Sequence[BaseRoute]:
    """Return `/api/ledger/held`, `/holders` and `/released` (GET, JSON), behind the door and the roles of `see-ledger`."""
    one_at_a_time = asyncio.Semaphore(1)

    def ask(question: Question, asked: Mapping[str, str]) -> Answer:
        database = open_reader(store)
        try:
            return question(Ledger(database), asked)
        finally:
            database.close()

    def answering(question: Question) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            session = door(request)
            if session is None:
                return refused("session-ended")
            if not may(session.roles, ACT):
                return refused("act-role")
            try:
                async with one_at_a_time:
                    told = await asyncio.to_thread(ask, question, dict(request.query_params))
            except _Bad as error:
                return refused("request-bad", str(error))
            except TrilatError as error:
                return refused(error.name)
            return json_of(told, 200)

        return answer

    return [Route(f"/api/ledger/{name}", answering(question), methods=["GET"]) for name, question in QUESTIONS.items()]


def refused(reason: str, detail: str = "") -> Response:
    """Return a question's refusal: a reason of errors.toml with its code and sentence."""
    told = {"code": code_of(reason), "reason": reason, "text": f"{sentence(reason)} {detail}".strip()}
    return json_of(told, STATUS.get(reason, 500))


def json_of(told: Answer, status: int) -> Response:
    """Return an answer that no cache keeps."""
    return Response(msgspec.json.encode(told), status, {"cache-control": "no-store"}, "application/json")
