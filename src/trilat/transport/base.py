"""The one interface to whatever carries envelopes: NATS, loopback or the simulated network.

A transport moves sealed envelopes and nothing else. It neither signs, verifies nor keeps anything: what it loses, doubles,
reorders or alters is found by the exchange. An importer *requests* (a pull travels to the exporter's server, one reply comes
back); an exporter *serves*; a wake is one small envelope from exporter to importer that may be lost.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from trilat.errors import ExchangeError
from trilat.records.envelope import Envelope

# Answers a partner's request; may wait (long poll). None = no answer is sent and the request times out at the other side.
Answerer = Callable[[Envelope], Awaitable[Envelope | None]]
# Told of each wake that arrives; must not wait.
WakeListener = Callable[[Envelope], None]


class LinkDown(ExchangeError):  # noqa: N818 - a state of the link that callers wait out, not a fault of theirs
    """A request got no reply: the name says why ("link-timeout", "link-refused", "link-closed")."""


class Transport(Protocol):
    """What carries envelopes between nations. One object per node, all partners and lanes; a connection per lane inside."""

    async def request(self, envelope: Envelope, timeout_s: float) -> Envelope:
        """Carry a request to the node of `envelope.audience`, on the connection of `envelope.lane`; return its reply.

        Raises LinkDown when none came in timeout_s or the link is down. The caller may cancel at any time.
        """
        ...

    async def serve(self, handler: Answerer) -> None:
        """Begin to answer partners' requests with `handler`, many at a time; returns when serving has begun.

        Where the transport knows who asks (an account, a certificate), it drops requests whose `sender` is another.
        """
        ...

    async def wake(self, envelope: Envelope) -> None:
        """Carry a wake to the node of `envelope.audience`, at most once and without waiting for it."""
        ...

    async def listen(self, listener: WakeListener) -> None:
        """Begin to tell `listener` of wakes from partners; returns when listening has begun."""
        ...

    async def close(self) -> None:
        """Stop serving and close every connection."""
        ...
