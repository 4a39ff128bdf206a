"""The transport is tried on the event loop that a node runs on."""

import asyncio
from collections.abc import Callable

import uvloop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Give pytest-asyncio libuv's event loop, as `trilat.node.process.run` gives it to a node."""
    return {"uvloop": uvloop.new_event_loop}
