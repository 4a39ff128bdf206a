"""The web side, on a real server and real sockets: what pages get, what they may do, who is refused."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import feeder
import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from trilat.errors import ExchangeError
from trilat.picture import acts
from trilat.picture.client import PageClient
from trilat.picture.web import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def served(given: feeder.Feeder, **app: Any) -> AsyncIterator[str]:
    """Serve a feeder's page; it is stepped in the background while the block runs."""

    async def tick() -> None:
        while True:
            given.step()
            await asyncio.sleep(0.01)

    async with serving(given.app(**app), "127.0.0.1", 0, given.hub.settings) as port:
        ticking = asyncio.ensure_future(tick())
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)


async def closing_code(page: ClientConnection) -> int | None:
    """Read until the node closes; returns the code it gave (or the one that this side gave it)."""
    try:
        while True:
            await page.recv()
    except ConnectionClosed as closed:
        given = closed.rcvd or closed.sent
        return given.code if given else None


async def test_a_page_gets_the_tracks_of_all_nations() -> None:
    """A page that connects holds the tracks of its nation and both partners and follows them as they move."""
    async with served(feeder.Feeder(90)) as url, PageClient(url) as page:
        await page.until(lambda p: p.frames_in > 4 and p.status)
        assert set(page.by_nation()) == {"JPN", "KOR", "USA"}
        assert len(page.names) == len(page.tracks) == page.status["counters"]["tracks"]
        assert page.hello["mode"]["words"] == "EXERCISE KEEN-PINE-26"
        before = {i: int(r["lat_e7"]) for i, r in page.tracks.items()}
        seen = page.sequence
        await page.until(lambda p: p.sequence > seen + 3)
        assert sum(before[i] != int(r["lat_e7"]) for i, r in page.tracks.items()) > len(before) // 2


async def test_an_act_comes_back_as_answer_and_event() -> None:
    """A warning raised on a page is answered, shown, acknowledged and retracted there, by the session's officer."""
    given = feeder.Feeder(9)
    async with served(given) as url, PageClient(url) as page:
        told = await page.act(lambda i: acts.RaiseWarning(act_id=i, kind="launch", headline="EXERCISE launch"))
        await page.until(lambda p: "JPN/w-1" in p.warnings)
        made = page.warnings["JPN/w-1"]
        assert (told["ok"], made["open"], made["mine"]) == (True, True, True)
        await page.act(lambda i: acts.AcknowledgeWarning(act_id=i, originator="JPN", warning_id="w-1", version=1))
        await page.until(lambda p: p.warnings["JPN/w-1"]["acknowledgements"])
        assert page.warnings["JPN/w-1"]["acknowledgements"][0]["by"] == "watch-officer"
        await page.act(lambda i: acts.RetractWarning(act_id=i, warning_id="w-1", version=1))
        await page.until(lambda p: not p.warnings["JPN/w-1"]["open"])
        assert [type(a.act).__name__ for a in given.acts] == ["RaiseWarning", "AcknowledgeWarning", "RetractWarning"]


async def test_a_page_that_was_away_misses_no_event() -> None:
    """Warnings raised while a page is away are there when it is back, by events alone, each once."""
    given = feeder.Feeder(9)
    async with served(given) as url:
        page = PageClient(url)
        await page.connect()
        await page.until(lambda p: p.frames_in > 1)
        await page.close()
        first, known = page.event, page.sequence
        given.waiting += [feeder.warning("KOR", f"w-{n}", feeder.START_NS) for n in range(40)]
        async with PageClient(url) as other:
            await other.until(lambda p: len(p.warnings) == 40)
        await page.connect()
        await page.until(lambda p: len(p.warnings) == 40 and p.sequence > known)
        assert page.hello["resumed"] is True
        assert (page.event, page.warnings.keys()) == (first + 80, {f"KOR/w-{n}" for n in range(40)})
        await page.close()


async def test_a_repeated_act_is_taken_once() -> None:
    """An act sent twice with the same id reaches the node once."""
    given = feeder.Feeder(9)
    async with served(given) as url, PageClient(url) as page:
        act = acts.RaiseWarning(act_id="same", kind="launch", headline="EXERCISE once")
        await page._say(acts.Perform(act=act))
        await page._say(acts.Perform(act=act))
        await page.until(lambda p: "same" in p.answers)
        await page.act(lambda i: acts.RaiseWarning(act_id=i, kind="launch", headline="EXERCISE twice"))
        assert [a.act.headline for a in given.acts] == ["EXERCISE once", "EXERCISE twice"]


async def test_a_refusing_node_tells_the_page_why() -> None:
    """When the node refuses an act by an error of ours, the page gets its name; too many acts a minute get one too."""

    class Refusing(feeder.Feeder):
        async def on_act(self, act: acts.OfficerAct) -> None:
            raise ExchangeError("page-frame", str(act.act.act_id))

    async with served(Refusing(9, acts_per_minute_max=2)) as url, PageClient(url) as page:
        told = [
            await page.act(lambda i: acts.AcknowledgeWarning(act_id=i, originator="JPN", warning_id="w", version=0))
            for _ in range(3)
        ]
    assert [answer["reason"] for answer in told] == ["page-frame", "page-frame", "act-rate"]


async def test_a_page_that_does_not_read_is_cut_and_harms_nobody() -> None:
    """A page that stops reading is cut after the send time-out while another goes on getting frames."""
    given = feeder.Feeder(6000, alone=True, send_timeout_s=0.3, send_buffer_bytes=16_384)
    async with served(given) as url, PageClient(url) as healthy:
        address = url.replace("http", "ws") + "/ws"
        narrow = socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])))
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        stalled = await connect(address, origin=url, compression=None, max_queue=1, sock=narrow)
        try:
            await stalled.send('{"type":"hello","protocol":1}')
            stalled.transport.pause_reading()
            await healthy.until(lambda _: given.hub.counts["cut"] == 1 and len(given.hub.pages) == 1, timeout_s=60)
            seen = healthy.sequence
            await healthy.until(lambda p: p.sequence > seen + 2)
        finally:
            stalled.transport.abort()
            await stalled.wait_closed()


async def test_a_page_that_never_confirms_is_cut() -> None:
    """A page that leaves more events unconfirmed than allowed is cut, so that what it is owed stays bounded."""
    given = feeder.Feeder(3, unconfirmed_max=10)
    async with served(given) as url, connect(url.replace("http", "ws") + "/ws", origin=url) as mute:
        await mute.send('{"type":"hello","protocol":1}')
        while '"state"' not in str(await mute.recv()):
            pass
        given.waiting += [feeder.warning("KOR", f"w-{n}", feeder.START_NS) for n in range(20)]
        assert await closing_code(mute) == 4008


@pytest.mark.parametrize("origin", ["http://evil.example", "null", None])
async def test_foreign_pages_are_refused(origin: str | None) -> None:
    """A WebSocket from another page, or without an Origin at all, is refused before it opens."""
    async with served(feeder.Feeder(3)) as url:
        with pytest.raises(InvalidStatus) as refused:
            await connect(url.replace("http", "ws") + "/ws", origin=origin)
        assert refused.value.response.status_code == 403


async def test_a_foreign_host_name_is_refused() -> None:
    """A request under a name that is not the page's (DNS rebinding) gets 421; an allowed origin's name gets the page."""
    async with served(feeder.Feeder(3, origins=("https://cop.example",))) as url, httpx.AsyncClient() as http:
        assert (await http.get(f"{url}/livez", headers={"host": "evil.example"})).status_code == 421
        assert (await http.get(f"{url}/livez", headers={"host": "cop.example"})).status_code == 200


@pytest.mark.parametrize(
    "bad",
    [
        "not json",
        "{}",
        '{"type":"hello","protocol":2}',
        '{"type":"act","act":{"act":"fire"}}',
        '{"type":"act","act":{"act":"raise","act_id":"x","kind":"launch","headline":"","minutes":5}}',
        '{"type":"act","act":{"act":"acknowledge","act_id":"x","originator":"JPN","warning_id":"w","version":1,"by":"someone"}}',
        '{"type":"select","id":-1}',
        "[" * 20_000,
        b"\xff\xfe",
    ],
)
async def test_what_is_not_of_the_protocol_closes_the_page(bad: str | bytes) -> None:
    """Anything but a message of the protocol closes that connection with a reason and touches nothing else."""
    given = feeder.Feeder(3)
    async with served(given) as url:
        async with connect(url.replace("http", "ws") + "/ws", origin=url) as page:
            await page.send(bad)
            assert await closing_code(page) == 4002
        assert (given.hub.counts["refused"], given.acts) == (1, [])


async def test_messages_and_sessions_are_bounded() -> None:
    """A message above the size limit closes the page with 1009; one page too many is turned away before it opens."""
    async with served(feeder.Feeder(3, sessions_max=1)) as url:
        address = url.replace("http", "ws") + "/ws"
        async with connect(address, origin=url) as first:
            with pytest.raises(InvalidStatus):
                await connect(address, origin=url)
            await first.send("x" * 70_000)
            assert await closing_code(first) == 1009


async def test_nobody_gets_in_whom_the_door_does_not_know() -> None:
    """A door that knows nobody keeps every page out."""
    async with served(feeder.Feeder(3, gate=feeder.open_gate(door=lambda _: None))) as url:
        with pytest.raises(InvalidStatus):
            await connect(url.replace("http", "ws") + "/ws", origin=url)


async def test_health_metrics_and_headers() -> None:
    """livez, readyz and metrics say what the node passed in, and every answer carries the strict policy."""
    async with (
        served(feeder.Feeder(3), ready=lambda: (False, {"feeds": "silent"})) as url,
        httpx.AsyncClient(base_url=url) as http,
    ):
        live, ready, metrics = [await http.get(path) for path in ("/livez", "/readyz", "/metrics")]
        assert (live.status_code, ready.status_code, ready.json()) == (200, 503, {"feeds": "silent"})
        assert metrics.text == "up 1\n"
        policy = live.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


async def test_a_missing_page_says_how_to_build_it(tmp_path: Any) -> None:
    """Without a built page the address answers 503 with the error's code, and the rest works."""
    async with served(feeder.Feeder(3), static=tmp_path) as url, httpx.AsyncClient() as http:
        answer = await http.get(url)
        assert (answer.status_code, answer.text[:8]) == (503, "TRI-0601")


async def test_a_taken_port_is_an_error() -> None:
    """Serving on a port that is in use raises OSError at once."""
    given = feeder.Feeder(3)
    async with served(given) as url:
        with pytest.raises(OSError, match=r"in use"):
            async with serving(given.app(), "127.0.0.1", int(url.rsplit(":", 1)[1])):
                pass


def test_the_benchmark_still_runs() -> None:
    """The picture's benchmark runs at its tiny size and prints its three figures."""
    program = Path(__file__).parents[2] / "benchmarks" / "picture.py"
    done = subprocess.run([sys.executable, program, "--tiny"], capture_output=True, text=True, check=True)
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["step", "delta", "push"]
