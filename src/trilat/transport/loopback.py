"""The in-process transport: nodes of one process exchange envelopes without sockets. For tests and for one-machine set-ups."""

import asyncio

from trilat.records.envelope import Envelope
from trilat.transport.base import Answerer, LinkDown, WakeListener


class LoopbackHub:
    """Where loopback transports of one process meet. `cut` holds (from, to) pairs between which nothing passes."""

    def __init__(self) -> None:
        self.handlers: dict[str, Answerer] = {}
        self.listeners: dict[str, WakeListener] = {}
        self.cut: set[tuple[str, str]] = set()


class LoopbackTransport:
    """A Transport of one nation on a hub."""

    def __init__(self, hub: LoopbackHub, nation: str) -> None:
        self._hub = hub
        self._nation = nation

    async def request(self, envelope: Envelope, timeout_s: float) -> Envelope:
        """Hand a request to the partner's handler; raises LinkDown as `Transport.request` says."""
        handler = self._hub.handlers.get(envelope.audience)
        if handler is None or (self._nation, envelope.audience) in self._hub.cut:
            raise LinkDown("link-closed", envelope.audience)
        try:
            async with asyncio.timeout(timeout_s):
                reply = await handler(envelope)
        except TimeoutError:
            raise LinkDown("link-timeout", envelope.audience) from None
        if reply is None or (envelope.audience, self._nation) in self._hub.cut:
            raise LinkDown("link-timeout", envelope.audience)
        return reply

    async def serve(self, handler: Answerer) -> None:
        """Begin to answer partners' requests."""
        self._hub.handlers[self._nation] = handler

    async def wake(self, envelope: Envelope) -> None:
        """Tell a partner that we are there, if it listens."""
        listener = self._hub.listeners.get(envelope.audience)
        if listener is not None and (self._nation, envelope.audience) not in self._hub.cut:
            listener(envelope)

    async def listen(self, listener: WakeListener) -> None:
        """Begin to tell of wakes."""
        self._hub.listeners[self._nation] = listener

    async def close(self) -> None:
        """Stop serving."""
        self._hub.handlers.pop(self._nation, None)
        self._hub.listeners.pop(self._nation, None)
