"""The exchange over core NATS: one connection per partner and lane on both sides, requests and replies, no stored messages.

An importer calls the partner's server, signs in with its NKey, asks on its pull subjects and hears answers in its own inbox.
An exporter hears questions on its own server, one account a partner. What is lost is asked for again by the exchange; here
nothing is kept. Connections are dialled again for ever (`line`).
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from trilat.identity import keys as k
from trilat.identity.keyfiles import NodeKeys, check_certificates, client_context
from trilat.identity.sign import Rejected
from trilat.records.envelope import Envelope
from trilat.records.label import Mode
from trilat.transport.base import Answerer, LinkDown, WakeListener
from trilat.transport.envelope import pack, unpack
from trilat.transport.line import Line
from trilat.transport.messages import LANES
from trilat.transport.natsconf import PAYLOAD_BYTES_MAX, Subjects, quiet_tls
from trilat.transport.server import NatsServer

NO_RESPONDERS_S = 0.05
# Requests of one partner and lane that may wait for their answer at once: twice the widest window of pulls.
PARKED_MAX = 64

Clock = Callable[[], int]


class LineState(NamedTuple):
    """How one connection does: `fault` is the name and sentence of what keeps it down, empty while it is up."""

    partner: str
    lane: str
    direction: str  # "import" (we call the partner) or "export" (we serve the partner on our own server)
    up: bool
    dials: int
    fault: str


class NatsTransport:
    """The exchange's `Transport` over NATS: imports from every pinned partner, serves each in its own account.

    With `server`, partners are served there; with `urls`, on an existing cluster whose operator holds `cluster_files`.
    Keep it on one event loop. `clock` gives UTC nanoseconds; `rng` spreads redials.
    """

    def __init__(
        self,
        held: NodeKeys,
        mode: Mode,
        clock: Clock,
        server: NatsServer | None = None,
        urls: Sequence[str] = (),
        rng: random.Random | None = None,
    ) -> None:
        self.held, self.mode, self.clock = held, mode, clock
        self.nation = held.identity.nation
        self.server, self.urls = server, tuple(urls)
        self.refused: Counter[tuple[str, str]] = Counter()
        self.on_served: Callable[[str], None] | None = None
        self._rng = rng or random.SystemRandom()
        self._lines: dict[tuple[str, str, str], Line] = {}
        self._pins: dict[str, k.PartnerFile] = {}
        self._parked: dict[tuple[str, str], set[asyncio.Task[None]]] = {}
        self._handler: Answerer | None = None
        self._listener: WakeListener | None = None
        quiet_tls()

    # --- partners ---------------------------------------------------------------------------------------------------

    async def set_partners(self, pins: Iterable[k.PartnerFile]) -> None:
        """Take over the partners' pins: new ones are called and served, changed ones anew, revoked and missing ones cut off.

        When this returns, a partner that was cut off has no connection to our server (it was looked at), and nothing more
        is sent to it or taken from it. Raises ExchangeError server-reload when the server could not be brought to that;
        our own side has stopped even then.
        """
        wanted = {pin.nation: pin for pin in pins if pin.revoked_ns is None}
        gone = [nation for nation, pin in self._pins.items() if wanted.get(nation) != pin]
        fresh = [nation for nation, pin in wanted.items() if self._pins.get(nation) != pin]
        await asyncio.gather(*(self._hang_up(nation) for nation in gone))
        self._pins = wanted
        try:
            if self.server is not None:
                await self.server.set_partners(wanted.values())
        finally:
            for nation in fresh:
                self._call(nation)

    async def revoke(self, nation: str) -> None:
        """Cut one partner off, at once; see `set_partners`."""
        await self.set_partners([pin for pin in self._pins.values() if pin.nation != nation])

    async def renew(self, held: NodeKeys) -> None:
        """Take over renewed keys (rotation): the server's certificate, then every connection anew, partner by partner."""
        self.held = held
        if self.server is not None:
            self.server.renew(held)
            await self.server.set_partners(self._pins.values())
        for nation in list(self._pins):
            await self._hang_up(nation)
            self._call(nation)

    def states(self) -> list[LineState]:
        """Return how every connection does, ordered by partner, lane and direction."""
        return [
            LineState(*name, line.up.is_set(), line.dials, str(line.fault) if line.fault else "")
            for name, line in sorted(self._lines.items())
        ]

    # --- Transport --------------------------------------------------------------------------------------------------

    async def request(self, envelope: Envelope, timeout_s: float) -> Envelope:
        """Carry a request to the node of `envelope.audience` and return its reply.

        Waits out a line that is down and a server without listener, within timeout_s; bulk lanes also while flash is down, so
        that a narrow line is free for it to come back. Raises LinkDown link-timeout,
        link-refused or link-down; Rejected when the reply is no envelope.
        """
        line = self._lines.get((envelope.audience, envelope.lane, "import"))
        if line is None:
            raise LinkDown("link-down", f"{envelope.audience} is not a partner.")
        first = self._lines.get((envelope.audience, "flash", "import"), line)
        subject = Subjects(self.mode, self.nation).pull_on(envelope.lane)
        data = pack(envelope)
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    await first.up.wait()
                    await line.up.wait()
                    with suppress(nats.errors.NoRespondersError):
                        return unpack(await line.ask(subject, data), PAYLOAD_BYTES_MAX)
                    await asyncio.sleep(NO_RESPONDERS_S)
        except TimeoutError:
            refused = line.fault is not None and line.fault.name == "link-refused"
            raise LinkDown("link-refused" if refused else "link-timeout", f"{envelope.audience} {envelope.lane}.") from None

    async def serve(self, handler: Answerer) -> None:
        """Begin to answer partners' requests with `handler`, up to PARKED_MAX of each partner and lane at a time."""
        self._handler = handler

    async def wake(self, envelope: Envelope) -> None:
        """Publish a wake to the node of `envelope.audience`; lost when our server or the partner is away."""
        line = self._lines.get((envelope.audience, "flash", "export"))
        if line is not None and line.client is not None:
            with suppress(nats.errors.Error, OSError):
                await line.client.publish(Subjects(self.mode, envelope.audience).wake, pack(envelope))

    async def listen(self, listener: WakeListener) -> None:
        """Begin to tell `listener` of wakes from partners."""
        self._listener = listener

    async def close(self) -> None:
        """Stop serving and close every connection; the server is its owner's to stop."""
        await asyncio.gather(*(self._hang_up(nation) for nation in {name[0] for name in self._lines}))
        self._pins = {}

    # --- inside -----------------------------------------------------------------------------------------------------

    def _call(self, nation: str) -> None:
        """Begin to dial a partner's server, and our own for it, with a connection per lane."""
        pin, own = self._pins[nation], self.held.identity
        own_urls = (self.server.url,) if self.server is not None else self.urls
        home = (client_context(self.held, own.ca_certificate), k.node_name(own.nation, own.use, "node"))
        away = (client_context(self.held, pin.ca_certificate), pin.server_name)
        for lane in LANES:
            if own_urls:
                seeds = [self.held.own_seed(f"export/{nation}")]
                self._open((nation, lane, "export"), own_urls, home, seeds, Subjects(self.mode, nation).inbox)
            if pin.addresses:
                urls = [f"tls://{address}" for address in pin.addresses]
                inbox = Subjects(self.mode, self.nation).inbox
                self._open((nation, lane, "import"), urls, away, self.held.import_seeds(nation), inbox)

    def _open(
        self, name: tuple[str, str, str], urls: Sequence[str], tls: tuple[ssl.SSLContext, str], seeds: Sequence[str], inbox: str
    ) -> None:
        line = self._lines[name] = Line(name, urls, tls, seeds, inbox)
        nation, lane, direction = name

        async def serve_here(client: Client) -> None:
            async def take(message: Msg) -> None:
                self._take(nation, lane, client, message)

            await client.subscribe(Subjects(self.mode, nation).pull_on(lane), cb=take)
            if lane == "flash" and self.on_served is not None:
                self.on_served(nation)

        async def hear_partner(client: Client) -> None:
            async def hear(message: Msg) -> None:
                self._hear(nation, message)

            await line.hear_answers(client)
            if lane == "flash":
                await client.subscribe(Subjects(self.mode, self.nation).wake, cb=hear)

        line.start(serve_here if direction == "export" else hear_partner, self._check, self._rng)

    async def _hang_up(self, nation: str) -> None:
        """Stop answering first, then close every connection to and for a partner."""
        for lane in LANES:
            for task in self._parked.pop((nation, lane), set()):
                task.cancel()
        mine = [name for name in self._lines if name[0] == nation]
        await asyncio.gather(*(self._lines.pop(name).stop() for name in mine))

    def _check(self) -> None:
        check_certificates(self.held, self.clock())

    def _take(self, nation: str, lane: str, client: Client, message: Msg) -> None:
        """Take one request from a partner's account: refuse what it may not ask, let the handler answer the rest."""
        if (nation, lane, "export") not in self._lines:
            return  # it was cut off a moment ago
        inbox = Subjects(self.mode, nation).inbox + "."
        if not message.reply.startswith(inbox):
            self.refused[nation, "nats-bad-reply"] += 1
            return
        try:
            envelope = unpack(message.data, PAYLOAD_BYTES_MAX)
        except Rejected as error:
            self.refused[nation, error.name] += 1
            return
        if (envelope.sender, envelope.audience, envelope.lane) != (nation, self.nation, lane):
            self.refused[nation, "envelope-mismatch"] += 1
            return
        parked = self._parked.setdefault((nation, lane), set())
        if len(parked) >= PARKED_MAX:
            self.refused[nation, "nats-too-many-pulls"] += 1
            return
        task = asyncio.create_task(self._answer(client, message.reply, envelope))
        parked.add(task)
        task.add_done_callback(parked.discard)

    async def _answer(self, client: Client, reply_to: str, envelope: Envelope) -> None:
        answer = await self._handler(envelope) if self._handler is not None else None
        if answer is not None:
            with suppress(nats.errors.Error, OSError):
                await client.publish(reply_to, pack(answer))

    def _hear(self, nation: str, message: Msg) -> None:
        """Tell the listener of a wake; refuse what does not come from whose server it is."""
        try:
            envelope = unpack(message.data, PAYLOAD_BYTES_MAX)
        except Rejected as error:
            self.refused[nation, error.name] += 1
            return
        if (envelope.sender, envelope.audience) != (nation, self.nation):
            self.refused[nation, "envelope-mismatch"] += 1
        elif self._listener is not None:
            self._listener(envelope)
