"""The NATS transport between real servers: what is carried, what happens when either end goes away."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from nats_nodes import question, running, until

from trilat.transport.base import LinkDown


async def test_request_gets_its_reply_on_every_lane(tmp_path: Path) -> None:
    """A request on each lane reaches the audience's handler and its reply comes back unchanged."""
    async with running(tmp_path) as nodes:
        for number, lane in enumerate(("flash", "state", "history")):
            sent = question("JPN", "USA", lane, number, payload=bytes(200_000))
            reply = await nodes["JPN"].ask(sent)
            assert reply == question("USA", "JPN", lane, number, payload=bytes(200_000))
        assert [each.lane for each in nodes["USA"].asked] == ["flash", "state", "history"]


async def test_wake_reaches_the_partner(tmp_path: Path) -> None:
    """A wake published by the exporter is heard by its audience, from its own server only."""
    async with running(tmp_path) as nodes:
        await nodes["JPN"].ask(question("JPN", "USA"))
        sent = question("USA", "JPN")

        async def woken() -> bool:
            await nodes["USA"].transport.wake(sent)
            await asyncio.sleep(0.01)
            return bool(nodes["JPN"].woken)

        await until(woken, "a wake is heard")
        assert nodes["JPN"].woken[0] == sent


async def test_killed_server_comes_back_on_its_port_and_serves(tmp_path: Path) -> None:
    """When the server process is killed it is started again on the same port and both ends go on by themselves."""
    async with running(tmp_path) as nodes:
        usa, jpn = nodes["USA"], nodes["JPN"]
        await jpn.ask(question("JPN", "USA"))
        port, killed = usa.server.port, usa.server.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        await until(lambda: usa.server.pid not in {None, killed}, "another server process")

        async def answered() -> bool:
            try:
                await jpn.transport.request(question("JPN", "USA", sequence=2), 5)
            except LinkDown:
                return False
            return True

        await until(answered, "an answer after the restart")
        assert (usa.server.port, usa.server.restarts) == (port, 1)


def has_stopped(pid: int) -> bool:
    """Tell whether every thread of a process stands still (state T in /proc, proc(5))."""
    states = [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in Path(f"/proc/{pid}/task").iterdir()]
    return all(state == "T" for state in states)


async def test_server_that_hangs_is_given_up_and_found_again(tmp_path: Path) -> None:
    """A partner's server that is stopped in its tracks is noticed by pings, not by the TLS farewell; when it goes on, so do we."""
    async with running(tmp_path) as nodes:
        usa, jpn = nodes["USA"], nodes["JPN"]
        await jpn.ask(question("JPN", "USA"))
        stuck = usa.server.pid
        assert stuck is not None
        os.kill(stuck, signal.SIGSTOP)
        try:
            async with asyncio.timeout(10):
                while not has_stopped(stuck):  # noqa: ASYNC110 - a busy thread stops a little later
                    await asyncio.sleep(0.01)
            with pytest.raises(LinkDown) as caught:
                await jpn.transport.request(question("JPN", "USA", sequence=2), 20)
        finally:
            os.kill(stuck, signal.SIGCONT)
        assert caught.value.name == "link-down"
        assert (await jpn.ask(question("JPN", "USA", sequence=3))).sequence == 3
        assert usa.server.restarts == 0


async def test_no_answer_in_time_is_link_timeout(tmp_path: Path) -> None:
    """A handler that answers nothing leaves the importer with LinkDown link-timeout, never with a hang."""
    async with running(tmp_path) as nodes:

        async def silent(_: object) -> None:
            return None

        await nodes["USA"].transport.serve(silent)
        with pytest.raises(LinkDown) as caught:
            await nodes["JPN"].transport.request(question("JPN", "USA"), 0.5)
        assert caught.value.name == "link-timeout"
