"""Drives an exchange over a transport: one worker thread owns exchange and store, an asyncio task feeds it. Does I/O.

Group commit comes by itself: while one step commits, inputs gather; the next step takes them together, flash first, up to
`group_records_max`, and waits up to `group_wait_ms` for more, unless there is flash or the group is full. What partners send on
bulk lanes is taken in steps of its own while there is flash, so that flash does not wait for it to be verified. The clock is
passed in, and must not go back.
"""

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from enum import IntEnum
from typing import Any, NamedTuple, TypeVar

from trilat.errors import ExchangeError
from trilat.exchange.exchange import Exchange, LinkState, Outgoing
from trilat.exchange.importer import Received, Request
from trilat.records.envelope import Envelope
from trilat.records.released import Released
from trilat.transport.base import LinkDown, Transport
from trilat.transport.messages import PullId

NS_PER_S = 1_000_000_000
# A partner may have this many requests waiting here; more are dropped unanswered.
REQUESTS_MAX = 512
STOP_TIMEOUT_S = 5.0
# Link states are read this often; they cost a few queries.
LINKS_NS = 250_000_000
# Partners' bulk waits for flash at most this many steps in a row.
FLASH_STEPS_MAX = 4


_T = TypeVar("_T")


class _Worker:
    """One thread that does what it is given, in order. An executor's futures and locks cost half as much as a small step."""

    def __init__(self, name: str) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def do(self, work: Callable[[], _T]) -> asyncio.Future[_T]:
        """Do something in the thread; the future, of the running event loop, gets what came of it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_T] = loop.create_future()

        def run() -> None:
            try:
                done = work()
            except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
                loop.call_soon_threadsafe(_fail, future, error)
            else:
                loop.call_soon_threadsafe(_settle, future, done)

        self._work.put(run)
        return future

    def end(self) -> None:
        """Wait until everything given is done; then the thread ends."""
        self._work.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (run := self._work.get()) is not None:
            run()


def _settle(future: asyncio.Future[_T], done: _T) -> None:
    if not future.done():
        future.set_result(done)


def _fail(future: asyncio.Future[_T], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


class _Rank(IntEnum):
    """Which inputs go first. What the node itself posts and offers stays in its order: a journal entry before what came of it."""

    FLASH = 0
    OWN = 1
    BULK = 2


class _Input(NamedTuple):
    """One input of a step, and how much of the group's bound it takes."""

    weight: int
    run: Callable[[int], None]


class Drive:
    """Runs one exchange. `offer` and `post` are called in the event loop's thread; `on_received` is called there too.

    clock_ns: the node's clock (UTC ns). on_received: told of records that are durably held. With hands_on, being told counts
    as taken over; without it the caller posts `exchange.handed(row)` together with its own journal entries: exactly once.
    """

    def __init__(
        self,
        exchange: Exchange,
        transport: Transport,
        clock_ns: Callable[[], int],
        on_received: Callable[[list[Received]], None],
        *,
        group_records_max: int = 512,
        group_wait_ms: float = 0.0,
        hands_on: bool = True,
    ) -> None:
        self._exchange = exchange
        self._transport = transport
        self._clock_ns = clock_ns
        self._on_received = on_received
        self._hands_on = hands_on
        self._group_records_max = group_records_max
        self._group_wait_s = group_wait_ms / 1000
        self._queues: dict[_Rank, deque[_Input]] = {rank: deque() for rank in _Rank}
        self._flash_steps = 0
        self._told_row = 0
        self._weight = 0
        self._more, self._hurry = asyncio.Event(), asyncio.Event()
        self._tickets: dict[int, asyncio.Future[Envelope | None]] = {}
        self._ticket = 0
        self._requests: set[asyncio.Task[None]] = set()
        self._worker = _Worker("trilat-exchange")
        self._tick_s = exchange.station.settings.tick_ms / 1000
        self._next_tick_ns = self._held_ns = 0
        self._next_links_ns = 0
        self._links: list[LinkState] = []
        self._failure: BaseException | None = None

    # --- inputs, from the event loop ----------------------------------------------------------------------------------

    def offer(self, released: Sequence[Released]) -> None:
        """Offer what policy released; asynchronous. Raises ExchangeError for what may not be offered, after all else was taken.

        What is wrong with one partner's record must not keep another partner from its own.
        """
        fault: ExchangeError | None = None
        sound: list[Released] = []
        for item in released:
            try:
                self._exchange.check(item)
            except ExchangeError as error:
                fault = fault or error
            else:
                sound.append(item)
        self._offer(sound)
        if fault is not None:
            raise fault

    def _offer(self, released: Sequence[Released]) -> None:
        for flash in (True, False):
            items = [item for item in released if (item.lane == "flash") == flash]
            for at in range(0, len(items), self._group_records_max):
                part = items[at : at + self._group_records_max]
                rank = _Rank.FLASH if flash else _Rank.OWN
                self._put(rank, len(part), lambda now_ns, part=part: self._exchange.offer(now_ns, part))  # type: ignore[misc]

    def post(self, run: Callable[[int], None], *, flash: bool = False, weight: int = 1) -> None:
        """Run something with exchange and store in the worker thread, in the same transaction as its neighbours.

        It is given the step's time. For the journal: post its appends before offering what came of them.
        """
        self._put(_Rank.FLASH if flash else _Rank.OWN, weight, run)

    def hold(self, until_ns: int) -> None:
        """Let nothing leave on a tick before a time: what is being made leaves on the next, and not as soon as it is made."""
        self._held_ns = until_ns

    def _due_ns(self) -> int:
        return max(self._next_tick_ns, self._held_ns)

    def links(self) -> list[LinkState]:
        """Return the link states as of at most LINKS_NS ago."""
        return self._links

    @property
    def waiting(self) -> int:
        """How many inputs wait for a step."""
        return sum(len(queue) for queue in self._queues.values())

    def _put(self, rank: _Rank, weight: int, run: Callable[[int], None]) -> None:
        self._queues[rank].append(_Input(weight, run))
        self._weight += weight
        self._more.set()
        if rank == _Rank.FLASH or self._weight >= self._group_records_max:
            self._hurry.set()

    # --- the transport's side -----------------------------------------------------------------------------------------

    async def _answer(self, envelope: Envelope) -> Envelope | None:
        if len(self._tickets) >= REQUESTS_MAX:
            return None
        self._ticket += 1
        ticket, future = self._ticket, asyncio.get_running_loop().create_future()
        self._tickets[ticket] = future
        self._put(_rank(envelope.lane), 1, lambda now_ns: self._exchange.handle(now_ns, envelope, ticket=ticket))
        try:
            reply: Envelope | None = await future
        finally:
            self._tickets.pop(ticket, None)
        return reply

    def _woken(self, envelope: Envelope) -> None:
        self._put(_Rank.FLASH, 1, lambda now_ns: self._exchange.handle(now_ns, envelope))

    async def _request(self, request: Request) -> None:
        pull, rank = request.pull, _rank(request.pull.lane)
        try:
            reply = await self._transport.request(request.envelope, request.timeout_ns / NS_PER_S)
        except LinkDown:  # nothing was refused: the link's state and the fault of its line say what is the matter
            self._put(rank, 1, lambda now_ns: self._exchange.lost(now_ns, pull))
            return
        except ExchangeError as refused:
            name, detail = refused.name, refused.detail
            self._put(rank, 1, lambda now_ns: self._refused(now_ns, pull, name, detail))
            return
        weight = 1 + len(reply.payload) // 512
        self._put(rank, weight, lambda now_ns: self._exchange.handle(now_ns, reply, pull=pull))

    def _refused(self, now_ns: int, pull: PullId, name: str, detail: str) -> None:
        self._exchange.refused(now_ns, pull.partner, name, detail)
        self._exchange.lost(now_ns, pull)

    # --- steps --------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve, pull and tick until cancelled; then commit once more and let go of every request."""
        await self._transport.serve(self._answer)
        await self._transport.listen(self._woken)
        try:
            while True:
                group = await self._gather()
                outgoing, received = await self._worker.do(lambda group=group: self._step(group))  # type: ignore[misc]
                self._let_out(outgoing)
                if received:
                    self._on_received(received)
                    self._told_row = received[-1].row if self._hands_on else 0
        finally:
            await self._stop()

    async def _gather(self) -> list[_Input]:
        """Wait for inputs or the next tick; return what goes into one step, flash first."""
        if not self.waiting and not self._exchange.has_more:
            self._more.clear()
            wait_s = max((self._due_ns() - self._clock_ns()) / NS_PER_S, 0.0)
            # Not wait_for: in Python 3.11 it may swallow a cancellation that comes together with the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(min(wait_s, self._tick_s)):
                    await self._more.wait()
        if self._group_wait_s and not self._queues[_Rank.FLASH] and self._weight < self._group_records_max:
            self._hurry.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._group_wait_s):
                    await self._hurry.wait()
        alone = bool(self._queues[_Rank.FLASH]) and self._flash_steps < FLASH_STEPS_MAX
        self._flash_steps = self._flash_steps + 1 if alone else 0
        group: list[_Input] = []
        weight = 0
        for rank in (_Rank.FLASH, _Rank.OWN) if alone else _Rank:
            queue = self._queues[rank]
            while queue and weight < self._group_records_max:
                group.append(queue.popleft())
                weight += group[-1].weight
        self._weight -= weight
        return group

    def _step(self, group: list[_Input]) -> tuple[Outgoing, list[Received]]:
        now_ns = self._clock_ns()
        self._note_told()
        for item in group:
            item.run(now_ns)
        if now_ns >= self._due_ns():
            self._next_tick_ns = self._exchange.station.settings.next_tick_ns(now_ns)
            self._exchange.tick(now_ns, piecewise=True)
            if now_ns >= self._next_links_ns:
                self._next_links_ns = now_ns + LINKS_NS
                self._links = self._exchange.links(now_ns)
        if self._exchange.has_more and not self._flash_steps:
            self._exchange.serve_more(now_ns)
        outgoing = self._exchange.flush(now_ns)
        return outgoing, self._exchange.take_received()

    def _note_told(self) -> None:
        """With hands_on: what was told before this step counts as taken over. Never sooner: a stop may come between."""
        if self._told_row:
            self._exchange.handed(self._told_row)
            self._told_row = 0

    def _let_out(self, outgoing: Outgoing) -> None:
        for ticket, envelope in outgoing.answers:
            future = self._tickets.get(ticket)
            if future is not None and not future.done():
                future.set_result(envelope)
        for request in outgoing.requests:
            self._spawn(self._request(request))
        for wake in outgoing.wakes:
            self._spawn(self._transport.wake(wake))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    async def _stop(self) -> None:
        for task in self._requests:
            task.cancel()
        for future in self._tickets.values():
            if not future.done():
                future.set_result(None)
        await asyncio.gather(*self._requests, return_exceptions=True)
        last = self._worker.do(self._end)
        with suppress(TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await asyncio.shield(last)
        self._worker.end()

    def _end(self) -> None:
        self._note_told()
        self._exchange.flush(self._clock_ns(), force=True)


def _rank(lane: str) -> _Rank:
    return _Rank.FLASH if lane == "flash" else _Rank.BULK
