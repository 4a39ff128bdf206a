"""A release officer's recall over HTTP: looked up, put into the node's step, and answered when it is on disk. Does I/O.

One recall at a time, so that no number is recalled twice; what is looked at is the store, by a connection of its own that only
reads. What leaves is decided in the node's step, by policy, as everything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from trilat.errors import PolicyError, TrilatError
from trilat.ledger import recalls
from trilat.ledger.recalls import Named, Place
from trilat.ledger.served import json_of, refused
from trilat.picture.inputs import ActAnswer
from trilat.records.approval import Role, Session
from trilat.store.sqlite import open_reader

BODY_BYTES_MAX = 4_096
# A recall is answered when it is on disk; what is not by then is said to be under way.
SETTLE_S = 10.0
POLL_S = 0.02


class Asked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a request holds. `numbers`: "EPOCH.N[,N|N-M...]"; `reason` goes to the partner with the recall."""

    partner: Annotated[str, Meta(max_length=32)]
    lane: Annotated[str, Meta(max_length=32)]
    numbers: Annotated[str, Meta(max_length=3_000)]
    reason: Annotated[str, Meta(min_length=1, max_length=200)]


# Puts a recall into the node's next step: who, under which id it will be answered, what, why.
Put = Callable[[Session, str, Place, str], None]


class RecallDesk:
    """Takes recalls for one node. streams: the partners' streams by the configuration."""

    def __init__(self, store: Path, streams: Sequence[str], put: Put, settle_s: float = SETTLE_S) -> None:
        self._store, self._streams, self._put = store, tuple(streams), put
        self._settle_s = settle_s
        self._waiting: dict[str, asyncio.Future[ActAnswer]] = {}
        self._one_at_a_time = asyncio.Lock()
        self._count = 0

    def answered(self, answers: Iterable[ActAnswer]) -> None:
        """Take the answers of a step; those that nobody waits for here are the pages'."""
        for one in answers:
            waiting = self._waiting.pop(one.act_id, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(one)

    def routes(self, door: Callable[[Any], Session | None], may: Callable[[Iterable[Role], str], bool]) -> Sequence[BaseRoute]:
        """Return `POST /api/recall`, behind the door and the role of `recall`."""

        async def answer(request: Request) -> Response:
            session = door(request)
            if session is None:
                return refused("session-ended")
            if not may(session.roles, recalls.ACT):
                return refused("act-role")
            try:
                return await self._recall(session, await _body(request))
            except _Bad as error:
                return refused("request-bad", str(error))
            except TrilatError as error:
                return refused(error.name, error.detail)

        return [Route("/api/recall", answer, methods=["POST"])]

    async def _recall(self, session: Session, asked: Asked) -> Response:
        place = Place(asked.partner, asked.lane, *recalls.parse_numbers(asked.numbers))
        async with self._one_at_a_time:
            found = await asyncio.to_thread(self._look, place)
            self._count += 1
            act_id = f"recall-{self._count}"
            waiting = self._waiting[act_id] = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(self._settle_s):
                    self._put(session, act_id, place, asked.reason)
                    done = await waiting
                    if not done.ok:
                        return refused(done.reason)
                    await self._settled(place)
            except TimeoutError:
                raise PolicyError("recall-unsettled", recalls.numbers_text(place.epoch, place.sequences) + ".") from None
            finally:
                self._waiting.pop(act_id, None)
        where = {"partner": place.partner, "lane": place.lane, "numbers": recalls.numbers_text(place.epoch, place.sequences)}
        return json_of({**where, **recalls.told(found)}, 200)

    def _look(self, place: Place) -> list[Named]:
        database = open_reader(self._store)
        try:
            return recalls.look(database, self._streams, place)
        finally:
            database.close()

    async def _settled(self, place: Place) -> None:
        """Wait until the marks are on disk: before that nothing is told as done."""
        while not await asyncio.to_thread(self._is_marked, place):  # noqa: ASYNC110 - another thread's commit sets no event
            await asyncio.sleep(POLL_S)

    def _is_marked(self, place: Place) -> bool:
        database = open_reader(self._store)
        try:
            return recalls.marked(database, place).issuperset(place.sequences)
        finally:
            database.close()


class _Bad(Exception):  # noqa: N818 - an answer, not a fault
    """A request that makes no sense."""


async def _body(request: Request) -> Asked:
    """Read the request: JSON by name, as what a foreign form can send is none, and no more than BODY_BYTES_MAX of it."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise _Bad("content-type is not application/json")
    raw = b""
    async for part in request.stream():
        raw += part
        if len(raw) > BODY_BYTES_MAX:
            raise _Bad(f"more than {BODY_BYTES_MAX} bytes")
    try:
        return msgspec.json.decode(raw, type=Asked)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _Bad(f"{error}"[:200]) from error
