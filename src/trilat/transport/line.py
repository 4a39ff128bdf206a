"""One NATS connection of the exchange, dialled again for ever, every 0.2 to 0.4 s: questions and their answers."""

from __future__ import annotations

import asyncio
import itertools
import random
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from trilat.errors import ExchangeError
from trilat.transport.base import LinkDown
from trilat.transport.natsconf import explain, hang_up

PING_S, PINGS_MAX = 1, 2
CONNECT_S = 8
REDIAL_S = 0.2
CANCEL_S = 0.1
WATCH_S = 0.2
# What one connection may hold unsent before a publish waits.
UNSENT_BYTES_MAX = 2 << 20
# How a server says that nobody hears questions on a subject (NATS client protocol, status 503 in the answer's header).
STATUS, NO_RESPONDERS = "Status", "503"

_TOKENS = itertools.count(1)

Up = Callable[[Client], Awaitable[None]]


class Line:
    """One connection that is dialled again for ever: where to, who we are there, and what to do when it is up."""

    def __init__(
        self, name: tuple[str, str, str], urls: Sequence[str], tls: tuple[ssl.SSLContext, str], seeds: Sequence[str], inbox: str
    ) -> None:
        self.name, self.urls, self.tls, self.seeds, self.inbox = name, list(urls), tls, seeds, inbox
        self.up = asyncio.Event()
        self.down = asyncio.Event()
        self.fault: ExchangeError | None = None
        self.dials = 0
        self.client: Client | None = None
        # Questions asked on this connection whose answers have not come, by the last token of where these are to go.
        self._asked: dict[str, asyncio.Future[Msg]] = {}
        self._answers = ""
        self._task: asyncio.Task[None] | None = None
        self._halt = asyncio.Event()

    def start(self, on_up: Up, check: Callable[[], None], rng: random.Random) -> None:
        """Begin to dial. `check` raises when the own certificates are not valid now."""
        self._task = asyncio.create_task(self._run(on_up, check, rng))

    async def stop(self) -> None:
        """Hang up and never dial again."""
        self._halt.set()
        self.down.set()
        # By itself if it can; cancelled more than once, because nats-py swallows a cancellation that meets it while it flushes.
        while self._task is not None and not self._task.done():
            await asyncio.wait({self._task}, timeout=CANCEL_S)
            self._task.cancel()

    async def ask(self, subject: str, data: bytes) -> bytes:
        """Ask a question and return the answer's bytes; raise LinkDown as soon as the line goes down.

        nats-py's own requests make two tasks, a timer and a name for each: a quarter of what a flash record cost its importer.
        """
        client = self.client
        if client is None:
            raise self._fallen()
        token, answer = str(next(_TOKENS)), asyncio.get_running_loop().create_future()
        self._asked[token] = answer
        try:
            await client.publish(subject, data, reply=self._answers + token)
            message: Msg = await answer
        except (nats.errors.ConnectionClosedError, nats.errors.OutboundBufferLimitError, RuntimeError) as error:
            raise self._fallen(f": {error}") from None
        finally:
            self._asked.pop(token, None)
        if message.headers and message.headers.get(STATUS) == NO_RESPONDERS:
            raise nats.errors.NoRespondersError
        return message.data

    async def hear_answers(self, client: Client) -> None:
        """Have answers come here, in an inbox of this connection alone."""
        self._answers = client.new_inbox() + "."

        async def hear(message: Msg) -> None:
            answer = self._asked.get(message.subject.rpartition(".")[2])
            if answer is not None and not answer.done():
                answer.set_result(message)

        await client.subscribe(self._answers + "*", cb=hear)

    def _fallen(self, why: str = "") -> LinkDown:
        return LinkDown("link-down", f"{self.name[0]} {self.name[1]}{why}.")

    async def _run(self, on_up: Up, check: Callable[[], None], rng: random.Random) -> None:
        while not self._halt.is_set():
            client = Client()
            self.down.clear()
            try:
                check()
                await self._dial(client)
                await on_up(client)
                self.client, self.fault = client, None
                self.up.set()
                while client.is_connected and not self.down.is_set():
                    # Looked at as well as waited for: nats-py tells of a loss only after a TLS farewell of half a minute.
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self.down.wait(), WATCH_S)
                self.fault = ExchangeError("link-down", f"{self.name[0]} {self.name[1]}.")
            except ExchangeError as error:
                self.fault = error
            except (nats.errors.Error, OSError, TimeoutError, ValueError, RuntimeError) as error:  # libuv raises the last
                self.fault = explain(error, self.name[0], self.urls[self.dials % len(self.urls)])
            finally:
                self.up.clear()
                self.down.set()
                self.client = None
                for answer in self._asked.values():
                    if not answer.done():
                        answer.set_exception(self._fallen())
                await hang_up(client)
            self.dials += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._halt.wait(), REDIAL_S * (1 + rng.uniform(0, 1)))

    async def _dial(self, client: Client) -> None:
        last: list[Exception] = []

        async def note(error: Exception) -> None:
            last.append(error)

        async def closed() -> None:
            self.down.set()

        context, hostname = self.tls
        try:
            async with asyncio.timeout(CONNECT_S):
                await client.connect(
                    self.urls[self.dials % len(self.urls)],
                    name="/".join(self.name),
                    nkeys_seed_str=self.seeds[self.dials // len(self.urls) % len(self.seeds)],
                    tls=context,
                    tls_hostname=hostname,
                    tls_handshake_first=True,
                    inbox_prefix=self.inbox,
                    # Dialling again is our business: nats-py gives up for ever on the first refusal to sign in.
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=CONNECT_S,
                    ping_interval=PING_S,
                    max_outstanding_pings=PINGS_MAX,
                    pending_size=UNSENT_BYTES_MAX,
                    error_cb=note,
                    closed_cb=closed,
                    disconnected_cb=closed,
                )
        except nats.errors.NoServersError:
            raise (last[-1] if last else nats.errors.NoServersError()) from None
