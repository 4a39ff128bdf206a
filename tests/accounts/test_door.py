"""Attacks on the door, each over a real server: what gets in, what stays out, what is counted."""

from __future__ import annotations

import asyncio
import gc
import warnings
from pathlib import Path

import door_served as served
import httpx
import msgspec
import pytest
from websockets.exceptions import InvalidStatus

from trilat.picture import acts
from trilat.picture.client import PageClient

SECRET_CHARS = 64
HOST = "127.0.0.1"
CHOSEN, WEAK = "chosen by the owner", "password1234"


def cookie_of(http: httpx.AsyncClient) -> tuple[str, str]:
    """Return name and value of a browser's session cookie."""
    return next((name, value) for name, value in http.cookies.items() if "station" not in name)


async def refused(held: served.Served, http: httpx.AsyncClient) -> int:
    """Return the status with which the WebSocket is turned away."""
    with pytest.raises(InvalidStatus) as turned:
        async with served.socket_of(held, http):
            pass
    status = turned.value.response.status_code
    del turned
    # The client library leaves the socket of a refused handshake to the collector, which would complain in any later test.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    return status


async def test_a_login_gives_a_session_that_scripts_and_other_sites_cannot_use(tmp_path: Path) -> None:
    """The session's cookie is HttpOnly and SameSite=Strict, Secure over TLS, new at each login, and in the book only as a hash."""
    async with served.door_open(tmp_path) as held, held.browser() as http:
        told = await held.enter(http)
        assert told.status_code == 204
        for line in told.headers.get_list("set-cookie"):
            assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in line.split(";")}
        mine = (await http.get("/session")).json()
        assert (mine["user"], mine["roles"]) == ("watch-a", ["watch-officer"])
        _, first = cookie_of(http)
        assert len(first) == SECRET_CHARS
        assert first not in (tmp_path / "accounts.sqlite").read_bytes().hex()
        await held.enter(http)
        assert cookie_of(http)[1] != first


async def test_without_any_account_the_door_says_so_and_nothing_else(tmp_path: Path) -> None:
    """An empty book lets nobody in, and tells the page that the first account is to be made."""
    async with served.door_open(tmp_path, staffed=False) as held, held.browser() as http:
        told = (await http.get("/session")).json()
        assert (told["accounts"], told["nation"], told["reason"]) == (False, "JPN", "session-ended")
        assert (await held.enter(http, "admin", "admin")).status_code == 401
        assert await refused(held, http) == 403


async def test_session_fixation(tmp_path: Path) -> None:
    """A session id that somebody planted before the login is not the session after it, and gives nothing."""
    async with served.door_open(tmp_path) as held, held.browser() as victim, held.browser() as attacker:
        await held.enter(attacker, "auditor")
        name, planted = cookie_of(attacker)
        victim.cookies.set(name, planted, HOST, "/")
        await held.enter(victim, "watch-a")
        assert (await victim.get("/session")).json()["user"] == "watch-a"
        assert (await attacker.get("/session")).status_code == 401  # the planted session ended with the login over it
        invented = held.browser()
        invented.cookies.set(name, "ab" * 32, HOST, "/")
        await held.enter(invented, "watch-b")
        assert cookie_of(invented)[1] != "ab" * 32


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1"])
async def test_requests_from_other_pages_change_nothing(tmp_path: Path, origin: str) -> None:
    """A POST or WebSocket from another origin (also another port of this host) is refused with the victim's own cookies."""
    async with served.door_open(tmp_path) as held, held.browser() as http:
        await held.enter(http)
        for path, body in (("/logout", {}), ("/login", {"user": "auditor", "password": served.PASSWORD}), ("/password", {})):
            assert (await http.post(path, json=body, headers={"origin": origin})).status_code == 403
        with pytest.raises(InvalidStatus):
            async with served.socket_of(held, http, origin):
                pass
        assert (await http.get("/session")).json()["user"] == "watch-a"


async def test_a_form_is_no_request(tmp_path: Path) -> None:
    """What an HTML form can send (no JSON by name) is refused, with the right Origin; so is a POST without an Origin."""
    async with served.door_open(tmp_path) as held, held.browser() as http:
        body = msgspec.json.encode({"user": "watch-a", "password": served.PASSWORD})
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            assert (await http.post("/login", content=body, headers={"content-type": kind})).status_code == 415
        async with httpx.AsyncClient(base_url=held.url) as bare:
            assert (await bare.post("/login", json={"user": "watch-a", "password": served.PASSWORD})).status_code == 403


# The client library leaves the socket of a refused handshake to the garbage collector, which may come in any test's time.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_websocket_needs_a_session_and_a_role(tmp_path: Path) -> None:
    """Without a cookie, with an invented one, or for an account without a role the WebSocket does not open."""
    async with served.door_open(tmp_path) as held, held.browser() as http:
        assert await refused(held, http) == 403
        await held.enter(http, "nobody")
        assert await refused(held, http) == 403
        name, _ = cookie_of(http)
        for value in ("00" * 32, "zz", "", "0" * 4_000):
            http.cookies.set(name, value, HOST, "/")
            assert await refused(held, http) == 403


async def test_a_stolen_cookie_is_worth_nothing_after_logout(tmp_path: Path) -> None:
    """Logout ends the session in the node: the copied cookie is refused, and pages opened with it are closed."""
    async with served.door_open(tmp_path) as held, held.browser() as http, held.browser() as thief:
        await held.enter(http)
        for name, value in http.cookies.items():
            thief.cookies.set(name, value, HOST, "/")
        async with served.socket_of(held, thief) as socket:
            await socket.send('{"type":"hello","protocol":1}')
            assert (await http.post("/logout", json={})).status_code == 204
            assert await served.closing_code(socket) == 4001
        assert (await thief.get("/session")).status_code == 401
        assert await refused(held, thief) == 403


async def test_brute_force_is_slowed_whoever_it_is_aimed_at(tmp_path: Path) -> None:
    """After five failures an account waits, twice as long each time; the right password waits too; nothing is verified then."""
    async with served.door_open(tmp_path) as held, held.browser() as http:
        told = [(await held.enter(http, "watch-a", f"guess {n}")).status_code for n in range(8)]
        assert told == [401] * 5 + [429] * 3
        before = held.hasher.verified
        late = await held.enter(http)
        assert (late.status_code, late.headers["retry-after"], held.hasher.verified) == (429, "1", before)
        waits = []
        for n in range(8):
            held.clock.forward_s(float((await held.enter(http)).headers["retry-after"]))
            assert (await held.enter(http, "watch-a", f"again {n}")).status_code == 401
            waits.append(int((await held.enter(http)).headers["retry-after"]))
        assert waits == [2, 4, 8, 16, 32, 60, 60, 60]
        held.clock.forward_s(60)
        assert (await held.enter(http)).status_code == 204
        assert (await held.enter(http, "watch-a", "one slip")).status_code == 401
        assert held.door.counts["rate"] >= 3


async def test_many_at_once_are_many_and_one_address_is_one(tmp_path: Path) -> None:
    """A hundred guesses in parallel are counted before they are verified; trying many names is slowed by the address."""
    async with served.door_open(tmp_path) as held, held.browser() as http:
        told = await asyncio.gather(*(held.enter(http, "watch-a", f"guess {n}") for n in range(40)))
        assert sorted({one.status_code for one in told}) == [401, 429]
        assert sum(one.status_code == 401 for one in told) <= 5
        held.clock.forward_s(1_000)
        told = [await held.enter(http, f"user{n}", "guess") for n in range(24)]
        assert [one.status_code for one in told] == [401] * 20 + [429] * 4


async def test_an_unknown_name_costs_the_same_work_and_gives_the_same_answer(tmp_path: Path) -> None:
    """For a name without account, a disabled one and a wrong password one argon2 verification is done, of the same parameters."""
    async with served.door_open(tmp_path) as held, held.browser() as http:
        held.book.set_disabled(held.clock(), "release", disabled=True)
        seen = []
        verified = held.hasher._argon2.verify

        class Watching:
            def verify(self, kept: str, password: str) -> bool:
                seen.append(kept.rsplit("$", 2)[0])
                return bool(verified(kept, password))

        held.hasher._argon2 = Watching()  # type: ignore[assignment]
        told = [await held.enter(http, user, "wrong") for user in ("watch-a", "ghost", "release", "x" * 64)]
        assert len({(one.status_code, one.content) for one in told}) == 1
        assert (len(seen), len(set(seen))) == (4, 1)
        assert (await held.enter(http, "release")).status_code == 401


async def test_bodies_are_bounded_and_strict(tmp_path: Path) -> None:
    """Too much, too deep, unknown fields, not JSON: refused by status, nothing verified, and the door goes on."""
    async with served.door_open(tmp_path) as held, held.browser() as http:
        as_json = {"content-type": "application/json"}
        bad = {b"x" * 5_000_000: 413, b'{"user":"' + b"a" * 5_000: 413, b"[" * 4_000: 400, b"": 400, b'{"user":"a"}': 400}
        bad |= {b'{"user":"a","password":"b","roles":["watch-officer"]}': 400, b'{"user":1,"password":"b"}': 400, b"\xff": 400}
        for body, status in bad.items():
            told = await http.post("/login", content=body, headers=as_json)
            assert (told.status_code, told.json()["reason"]) == (status, "request-bad")
        assert held.hasher.verified == 0
        assert (await held.enter(http)).status_code == 204


async def test_a_session_ends_by_age_and_by_idleness(tmp_path: Path) -> None:
    """Half an hour without use ends a session; use keeps it, but no longer than twelve hours."""
    async with served.door_open(tmp_path) as held, held.browser() as http:
        await held.enter(http)
        for _ in range(25):
            held.clock.forward_s(29 * 60)
            status = (await http.get("/session")).status_code
        assert status == 401  # 12 h 5 min after login
        await held.enter(http)
        held.clock.forward_s(30 * 60)
        assert (await http.get("/session")).status_code == 401


async def test_a_session_that_ends_in_the_middle_of_an_act_does_nothing(tmp_path: Path) -> None:
    """An act sent after the session's end is refused by name, does not reach the node, and the page is closed."""
    async with served.door_open(tmp_path) as held:
        async with PageClient(held.url, "watch-a", served.PASSWORD) as page:
            await page.until(lambda p: p.hello)
            held.book.end_session(held.book.sessions(held.clock())[0].id)
            await page._say(acts.Perform(act=acts.RaiseWarning(act_id="late", kind="launch", headline="EXERCISE late")))
            await page.until(lambda p: p.closed)
        assert held.given.acts == []


async def test_roles_change_under_an_open_page(tmp_path: Path) -> None:
    """An act is taken with the roles that its account has at that moment, not with those it had at login."""
    async with served.door_open(tmp_path) as held, PageClient(held.url, "watch-a", served.PASSWORD) as page:
        await page.until(lambda p: "raise" in p.hello.get("may", ()))
        held.book.set_roles(held.clock(), "watch-a", ("auditor",))
        await page.act(lambda i: acts.RaiseWarning(act_id=i, kind="launch", headline="EXERCISE x"))
        assert held.given.acts[0].session.roles == ("auditor",)
        await page.until(lambda p: "raise" not in p.status["me"]["may"])


async def test_a_page_cannot_say_who_it_is(tmp_path: Path) -> None:
    """A crafted act that carries a session or roles of its own closes the page and reaches nobody."""
    async with served.door_open(tmp_path) as held, held.browser() as http:
        await held.enter(http, "auditor")
        async with served.socket_of(held, http) as socket:
            crafted = {"act": "approve", "act_id": "x", "proposal": "P-1", "content_sha256": "0" * 64, "roles": ["watch-officer"]}
            await socket.send(msgspec.json.encode({"type": "act", "act": crafted}).decode())
            assert await served.closing_code(socket) == 4002
        assert held.given.acts == []


async def test_lists_are_for_those_who_may_see_them(tmp_path: Path) -> None:
    """Nobody outside sees accounts or sessions; an officer ends only own sessions, the engineer any, and pages close at once."""
    async with served.door_open(tmp_path) as held, held.browser() as a, held.browser() as b, held.browser() as e:
        assert [(await a.get(path)).status_code for path in ("/accounts", "/sessions")] == [401, 401]
        for http, user in ((a, "watch-a"), (b, "watch-b"), (e, "engineer")):
            await held.enter(http, user)
        told = (await a.get("/accounts")).text
        assert ("watch-b" in told, "argon2" in told) == (True, False)
        assert [one["user"] for one in (await a.get("/sessions")).json()["sessions"]] == ["watch-a"]
        target = (await b.get("/session")).json()["session"]
        assert (await a.post("/sessions/end", json={"session": target})).status_code == 403
        async with served.socket_of(held, b) as socket:
            await socket.send('{"type":"hello","protocol":1}')
            assert (await e.post("/sessions/end", json={"session": target})).status_code == 204
            assert await served.closing_code(socket) == 4001


async def test_a_password_set_by_another_lets_nobody_in_until_its_owner_chose_one(tmp_path: Path) -> None:
    """A temporary password gives no session without a new one, which is checked; then only the new one holds."""
    async with served.door_open(tmp_path) as held, held.browser() as http:
        kept = held.hasher.keep("set by another person", bytes(16))
        held.book.set_password(held.clock(), "auditor", kept, by_owner=False, temporary=True)
        first = await held.enter(http, "auditor", "set by another person")
        assert (first.status_code, first.json()["reason"]) == (403, "password-temporary")
        assert await refused(held, http) == 403
        weak = await held.enter(http, "auditor", "set by another person", new_password=WEAK)
        assert weak.json()["reason"] == "password-weak"
        assert (await held.enter(http, "auditor", "set by another person", new_password=CHOSEN)).status_code == 204
        assert (await held.enter(http, "auditor", "set by another person")).status_code == 401


async def test_two_in_one_browser_are_one_station(tmp_path: Path) -> None:
    """Logging out and in as another officer in the same browser keeps the station; another browser is another one."""
    async with served.door_open(tmp_path) as held, held.browser() as one, held.browser() as other:
        stations = []
        for http, user in ((one, "watch-a"), (one, "watch-b"), (other, "watch-b")):
            await held.enter(http, user)
            stations.append((await http.get("/session")).json()["station"])
        assert (stations[0] == stations[1], stations[1] == stations[2]) == (True, False)


async def test_an_address_may_be_the_station(tmp_path: Path) -> None:
    """With stations by address two browsers on one machine are one station."""
    async with served.door_open(tmp_path, address_is_station=True) as held, held.browser() as one, held.browser() as other:
        await held.enter(one, "watch-a")
        await held.enter(other, "watch-b")
        assert len({(await http.get("/session")).json()["station"] for http in (one, other)}) == 1
