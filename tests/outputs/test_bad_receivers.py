"""Receivers, plug-ins and disks that fail, hang or talk nonsense: each is asked again, said aloud, and stops nothing for good."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from test_outputs import Siren, Works, drop, messages, version

from trilat.outputs import runner
from trilat.outputs.message import Form, Message

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def takes(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")


async def says_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def closes(*_: object) -> None:
    """It hangs up without a word."""


async def drips_its_answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n")
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.05)


async def drips_its_head(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nx: ")
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.05)


async def talks_nonsense(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\xff\xfeSSH-2.0-none\r\n\r\n" * 50)


async def breaks_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 500 No\r\ncontent-length: 900\r\n\r\nabc")


async def floods(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 503 No\r\n" + b"x: " + b"y" * 200_000 + b"\r\n\r\n")


@contextlib.asynccontextmanager
async def receiver(first: Answer) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Serve HTTP on loopback: the first request is answered by `first`, every later one is taken."""
    heads: list[bytes] = []
    busy: list[asyncio.Task[None] | None] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        busy.append(asyncio.current_task())
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            await (first if len(heads) == 1 else takes)(reader, writer)
            await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heads
    finally:
        server.close()
        async with asyncio.timeout(5):
            await asyncio.gather(*(one for one in busy if one is not None))


@pytest.mark.parametrize(
    "first",
    [says_nothing, closes, drips_its_answer, drips_its_head, talks_nonsense, breaks_off, floods],
    ids=lambda one: one.__name__,
)
async def test_a_receiver_that_does_not_take_it_is_asked_again_in_time(tmp_path: Path, first: Answer) -> None:
    """Whatever the first answer is, the whole request ends with its time-out, an alarm says so, and the second try is taken."""
    async with receiver(first) as (port, heads):
        options = {"url": f"http://127.0.0.1:{port}/cap", "timeout_s": "0.4"}
        works, maker = Works(tmp_path, runner.Wanted("relay", "http-post", ("cap",), options)), messages()
        begun = time.monotonic()  # noqa: TID251 - how long a hanging receiver holds it up
        works.runner.put(maker.make(version(1, "issued")))
        await works.until_empty()
        spent = time.monotonic() - begun  # noqa: TID251 - same
        [receipt] = runner.read_receipts(works.runner._path)
    assert (2, 2, "cap 200 ok") == (len(heads), receipt.tries, receipt.receipt)
    assert "alarm" == works.said[0][0]
    assert spent < 6.0


async def test_an_output_that_is_stopped_while_a_receiver_hangs_leaves_no_thread_behind(tmp_path: Path) -> None:
    """A node that ends does not wait for a receiver that drips its answer for ever."""
    async with receiver(drips_its_answer) as (port, heads):
        options = {"url": f"http://127.0.0.1:{port}/cap", "timeout_s": "60"}
        works, maker = Works(tmp_path, runner.Wanted("relay", "http-post", ("cap",), options)), messages()
        works.runner.put(maker.make(version(1, "issued")))
        task = asyncio.create_task(works.runner.run())
        while not heads:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.02)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            await asyncio.get_running_loop().shutdown_default_executor()


class Faulty(Siren):
    """A plug-in with a fault of its own: its first call raises what no output may raise."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    async def send(self, message: Message, forms: Sequence[Form]) -> str:
        """Fail once, then take."""
        self.calls += 1
        if self.calls == 1:
            raise KeyError("no such siren")
        return await super().send(message, forms)


async def test_a_plug_ins_own_fault_is_said_and_it_is_asked_again(tmp_path: Path) -> None:
    """An error that is none of an output's does not end the output: an alarm names it, and the next try is taken."""
    works, maker = Works(tmp_path, drop(tmp_path), siren := Faulty()), messages()
    works.runner.put(maker.make(version(1, "issued")))
    await works.until_empty()
    assert siren.got == [version(1).id + ".1.exercise.t1"]
    assert ("alarm", True) == (works.said[0][0], "KeyError" in works.said[0][1])


async def test_a_receipt_that_cannot_be_written_is_written_later_and_nothing_is_sent_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk of the receipts is full for a while: the watch is told, and the message is not sent again because of it."""
    works, maker = Works(tmp_path, drop(tmp_path), siren := Siren()), messages()
    real, failed = runner.append_receipt, []

    def full(path: Path, receipt: runner.Receipt) -> None:
        if not failed:
            failed.append(receipt)
            raise OSError(28, "No space left on device")
        real(path, receipt)

    monkeypatch.setattr(runner, "append_receipt", full)
    works.runner.put(maker.make(version(1, "issued")))
    works.runner.put(maker.make(version(2)))
    await works.until_empty()
    assert 2 == len(siren.got) == len(runner.read_receipts(works.runner._path))
    assert any(severity == "alarm" and "receipt" in text for severity, text in works.said)


async def test_a_file_drop_whose_folder_is_gone_is_asked_again(tmp_path: Path) -> None:
    """A file stands where the folder should be: an alarm; when it is taken away the message is dropped."""
    (tmp_path / "out").write_text("in the way")
    works, maker = Works(tmp_path, drop(tmp_path)), messages()
    works.runner.put(maker.make(version(1, "issued")))
    task = asyncio.create_task(works.runner.run())
    while not works.said:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.02)
    (tmp_path / "out").unlink()
    async with asyncio.timeout(20):
        while not works.runner.taken:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.02)
    task.cancel()
    assert 4 == len(list((tmp_path / "out").glob("JPN-*")))
