"""One connection's own life: it is dialled again whatever ends it."""

import asyncio
import random
import ssl

from nats.aio.client import Client

from trilat.transport.line import Line


async def test_a_line_is_dialled_again_after_an_error_of_the_event_loop() -> None:
    """Libuv's loop raises RuntimeError for a handle that is gone: the line says that it is down, and dials again."""
    line = Line(("KOR", "flash", "import"), ["tls://127.0.0.1:1"], (ssl.create_default_context(), "kor"), [""], "_INBOX_JPN")
    dialled = asyncio.Event()

    async def up(_: Client) -> None:
        """Never reached: the dial fails."""

    def check() -> None:
        if line.dials >= 2:
            dialled.set()
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

    line.start(up, check, random.Random(1))
    async with asyncio.timeout(10.0):
        await dialled.wait()
    told = line.fault
    await line.stop()
    assert (True, "link-down") == (told is not None, told.name if told else "")
