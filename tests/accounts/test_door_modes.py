"""A page of one mode can do nothing at a node of another, by cookie, request, WebSocket or approval; and each says which it is."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import door_served as served
import feeder
import httpx
import msgspec
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from trilat.accounts import approvals
from trilat.accounts.approvals import Refused
from trilat.records.approval import Proposal, Session
from trilat.records.label import Mode

LIVE = Mode(kind="live")
CROSSINGS = [(LIVE, feeder.MODE), (feeder.MODE, LIVE), (feeder.MODE, Mode(kind="exercise", id="OTHER-26"))]


@contextlib.asynccontextmanager
async def both(tmp_path: Path, here: Mode, there: Mode) -> AsyncIterator[tuple[served.Served, served.Served]]:
    """Serve two nodes of one nation and one name, with the same people and passwords, in two modes."""
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    async with (
        served.door_open(tmp_path / "here", mode=here) as one,
        served.door_open(tmp_path / "there", mode=there) as other,
    ):
        yield one, other


async def status_of(socket: Any) -> dict[str, Any]:
    """Greet, and return the hello with the first status laid over it."""
    await socket.send(msgspec.json.encode({"type": "hello", "protocol": 1}).decode())
    told: dict[str, Any] = {}
    while "banner" not in told:
        said = await socket.recv()
        if isinstance(said, str) and (message := msgspec.json.decode(said))["type"] in {"hello", "status"}:
            told |= message
    return told


@pytest.mark.parametrize(("here", "there"), CROSSINGS)
async def test_a_session_of_one_mode_is_none_in_another(tmp_path: Path, here: Mode, there: Mode) -> None:
    """Browsers send cookies to every port of a host: what is a session here is nobody at the other door, which takes no act."""
    async with both(tmp_path, here, there) as (one, other), one.browser() as http:
        assert (await one.enter(http)).status_code == 204
        assert (await http.get("/session")).status_code == 200
        carried = dict(http.cookies.items())
        async with httpx.AsyncClient(base_url=other.url, cookies=carried, headers={"origin": other.url}) as across:
            outside = await across.get("/session")
            assert (outside.status_code, outside.json()["mode"]["words"]) == (401, served.mode_words(there))
            assert (await across.get("/accounts")).status_code == 401
            assert (await across.post("/sessions/end", json={"session": "x"})).status_code == 401
            with pytest.raises((ConnectionClosed, InvalidStatus)):
                async with served.socket_of(other, across) as socket:
                    await socket.recv()
        assert other.given.acts == []


@pytest.mark.parametrize(("here", "there"), CROSSINGS)
async def test_a_page_of_one_mode_can_not_call_the_other_node(tmp_path: Path, here: Mode, there: Mode) -> None:
    """Even somebody who is in at both: a request or WebSocket that comes from the other node's page is refused by its Origin."""
    async with both(tmp_path, here, there) as (one, other), other.browser() as http:
        assert (await other.enter(http)).status_code == 204
        crossed = await http.post("/logout", json={}, headers={"origin": one.url})
        assert crossed.status_code == 403
        with pytest.raises((ConnectionClosed, InvalidStatus)):
            async with served.socket_of(other, http, origin=one.url) as socket:
                await socket.recv()
        assert (await http.get("/session")).status_code == 200
        assert other.given.acts == []


@pytest.mark.parametrize("mode", [LIVE, feeder.MODE, Mode(kind="replay", id="R-1")])
async def test_door_page_and_banner_say_the_same_mode(tmp_path: Path, mode: Mode) -> None:
    """Outside, in the greeting and in the banner stands the node's own mode; nothing that a page sends changes it."""
    async with served.door_open(tmp_path, mode=mode) as held, held.browser() as http:
        assert (await http.get("/session")).json()["mode"]["words"] == served.mode_words(mode)
        await held.enter(http)
        async with served.socket_of(held, http) as socket:
            told = await status_of(socket)
        assert told["mode"] == {"kind": mode.kind, "id": mode.id, "words": served.mode_words(mode)}
        drill = "" if mode.kind == "live" else f"{mode.kind.upper()} // "
        assert told["banner"].startswith(f"{drill}TRILAT-")


def test_an_approval_of_one_mode_approves_nothing_in_another() -> None:
    """The hash that an officer approves holds the mode: the same content, approved in an exercise, is another one live."""
    first = Session(user="a", person="A", station="1", session="1", roles=("watch-officer",))
    second = Session(user="b", person="B", station="2", session="2", roles=("watch-officer",))
    content = msgspec.json.encode({"user": "third", "person": "Third Person", "roles": ["watch-officer"], "version": 1}).decode()
    made = {}
    for mode in (LIVE, feeder.MODE):
        desk = approvals.ApprovalDesk("JPN", mode)
        proposal = desk.propose(feeder.START_NS, first, "account-roles", content)
        assert isinstance(proposal, Proposal)
        made[mode] = desk, proposal
    (live, proposed), (_, drilled) = made[LIVE], made[feeder.MODE]
    assert (proposed.content, proposed.content_sha256 == drilled.content_sha256) == (drilled.content, False)
    refused = live.approve(feeder.START_NS, second, proposed.id, drilled.content_sha256)
    assert isinstance(refused, Refused)
    assert refused.reason == "proposal-content"
