"""The door: who is let in to the pages. Login, logout, sessions, over HTTP. Does I/O.

`Door(connection) -> Session | None` is all that the pages know of it, so that another way in (single sign-on, passkeys) replaces
this module and nothing else. It is the same door in exercise and live.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from trilat.accounts import passwords
from trilat.accounts.book import Book
from trilat.accounts.kept import Account, Opened, public_id, secret_hash
from trilat.accounts.roles import acts_of, may
from trilat.accounts.throttle import ACCOUNT, ADDRESS, Throttle
from trilat.errors import AccountError, code_of, codes
from trilat.records.approval import Session

NS = 1_000_000_000
SECRET_BYTES = 32
BODY_BYTES_MAX = 4_096
# Passwords verified at once, and how many may wait for it: each takes 64 MiB and a processor.
VERIFIED_AT_ONCE = 1
VERIFY_WAITING_MAX = 16
STATION_S = 400 * 86_400
REASONS = {
    "session-ended": 401,
    "login-refused": 401,
    "login-rate": 429,
    "act-role": 403,
    "request-bad": 400,
    "password-temporary": 403,
}


class DoorSettings(Struct, frozen=True, kw_only=True):
    """How long sessions last, and what a station is: a browser (by a cookie of its own) or an address."""

    idle_ns: int = 30 * 60 * NS
    session_ns: int = 12 * 3_600 * NS
    address_is_station: bool = False


class NodeFace(NamedTuple):
    """What the door says of the node to those who are not in yet: what the login form shows."""

    nation: str
    node: str
    mode: dict[str, str]


class Outside(NamedTuple):
    """What the door needs of the world: the clock (UTC ns), the system's randomness, and two who want to be told."""

    now_ns: Callable[[], int]
    random_bytes: Callable[[int], bytes]
    note: Callable[[int, str, str], None]
    ended: Callable[[str], None]


class _Login(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: Annotated[str, Meta(max_length=64)]
    password: Annotated[str, Meta(max_length=passwords.CHARS_MAX)]
    new_password: Annotated[str, Meta(max_length=passwords.CHARS_MAX)] = ""


class _Password(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    old: Annotated[str, Meta(max_length=passwords.CHARS_MAX)]
    new: Annotated[str, Meta(max_length=passwords.CHARS_MAX)]


class _End(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    session: Annotated[str, Meta(max_length=64)]


class _Turned(Exception):  # noqa: N818 - an answer, not a fault
    """A request that is turned away, with its reason of errors.toml."""

    def __init__(self, reason: str, detail: str = "", wait_ns: int = 0, status: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.detail, self.wait_ns, self.status = reason, detail, wait_ns, status


class Door:
    """Lets people in by name and password. Made once per node; `counts` go to the metrics."""

    def __init__(
        self,
        book: Book,
        face: NodeFace,
        outside: Outside,
        settings: DoorSettings | None = None,
        hasher: passwords.Hasher | None = None,
    ) -> None:
        self.book = book
        self.settings = settings or DoorSettings()
        self.counts = {"in": 0, "refused": 0, "rate": 0, "busy": 0, "out": 0, "bad": 0}
        self._face = face
        self._outside = outside
        self._hasher = hasher or passwords.Argon2()
        self._by_account, self._by_address = Throttle(ACCOUNT), Throttle(ADDRESS)
        self._verifying = asyncio.Semaphore(VERIFIED_AT_ONCE)
        self._waiting = 0
        # Cookies know no ports: several nodes of one exercise on one machine must not take each other's.
        name = hashlib.sha256(f"{face.nation}/{face.node}".encode()).hexdigest()[:8]
        self._cookie, self._station_cookie = f"trilat-{name}", f"trilat-station-{name}"

    # Who is it --------------------------------------------------------------------------------------------------------

    def __call__(self, connection: HTTPConnection) -> Session | None:
        """Return the session behind a request or WebSocket; None for nobody, and for somebody without any role."""
        found = self._held(connection)
        return None if found is None or not found[1].roles else _session(*found)

    def renew(self, session: Session) -> Session | None:
        """Return a session as it is now, with the roles its account has now; None when it has ended."""
        found = self.book.session(self._outside.now_ns(), self.settings.idle_ns, name=session.session)
        return None if found is None or not found[1].roles else _session(*found)

    def _held(self, connection: HTTPConnection) -> tuple[Opened, Account] | None:
        secret = self._secret(connection, self._cookie)
        return (
            None if secret is None else self.book.session(self._outside.now_ns(), self.settings.idle_ns, kept=secret_hash(secret))
        )

    def _secret(self, connection: HTTPConnection, name: str) -> bytes | None:
        """Return a cookie's 32 bytes; the one that only this host's TLS can have set goes before the plain one."""
        text = connection.cookies.get(f"__Host-{name}") or connection.cookies.get(name) or ""
        try:
            secret = bytes.fromhex(text)
        except ValueError:
            return None
        return secret if len(secret) == SECRET_BYTES else None

    # Routes -----------------------------------------------------------------------------------------------------------

    def routes(self) -> Sequence[BaseRoute]:
        """Return what the pages' application serves beside the page itself. The guard has checked Host and Origin."""
        table: tuple[tuple[str, str, Callable[[Request], Any]], ...] = (
            ("GET", "/session", self._whose),
            ("POST", "/login", self._login),
            ("POST", "/logout", self._logout),
            ("POST", "/password", self._change),
            ("GET", "/accounts", self._accounts),
            ("GET", "/sessions", self._sessions),
            ("POST", "/sessions/end", self._end),
        )
        return [Route(path, self._answering(run), methods=[method]) for method, path, run in table]

    def _answering(self, run: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            try:
                response: Response = await run(request)
            except _Turned as turned:
                return self._turn_away(turned)
            except AccountError as error:
                return self._turn_away(_Turned(error.name, error.detail, status=400))
            return response

        return answer

    def _turn_away(self, turned: _Turned) -> Response:
        code = code_of(turned.reason)
        told: dict[str, Any] = {"code": code, "reason": turned.reason, "text": f"{codes()[code]['says']} {turned.detail}".strip()}
        status = turned.status or REASONS[turned.reason]
        if turned.reason == "session-ended":
            told |= {"nation": self._face.nation, "node": self._face.node, "mode": self._face.mode}
            told["accounts"] = bool(self.book.accounts())
        answer = _json(told, status)
        if turned.wait_ns:
            answer.headers["retry-after"] = str(-(-turned.wait_ns // NS))
        return answer

    def _inside(self, request: Request, act: str = "") -> tuple[Opened, Account]:
        found = self._held(request)
        if found is None:
            raise _Turned("session-ended")
        if act and not may(found[1].roles, act):
            raise _Turned("act-role")
        return found

    async def _body(self, request: Request, kind: type[Any]) -> Any:
        """Read a JSON body, at most BODY_BYTES_MAX of it. Only JSON by name: what a foreign form can send is none."""
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            self.counts["bad"] += 1
            raise _Turned("request-bad", "content-type is not application/json", status=415)
        raw = b""
        async for part in request.stream():
            raw += part
            if len(raw) > BODY_BYTES_MAX:
                self.counts["bad"] += 1
                raise _Turned("request-bad", f"more than {BODY_BYTES_MAX} bytes", status=413)
        try:
            return msgspec.json.decode(raw, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self.counts["bad"] += 1
            raise _Turned("request-bad") from error

    # In and out -------------------------------------------------------------------------------------------------------

    async def _whose(self, request: Request) -> Response:
        opened, account = self._inside(request)
        return _json(
            {
                "user": account.user,
                "person": account.person,
                "roles": account.roles,
                "may": acts_of(account.roles),
                "station": opened.station,
                "session": opened.id,
                "ends_ms": opened.ends_ns // 1_000_000,
            }
        )

    async def _login(self, request: Request) -> Response:
        given: _Login = await self._body(request, _Login)
        account = await self._verified(request, given.user, given.password)
        if account.temporary:
            account = await self._renewed(account, given)
        now_ns = self._outside.now_ns()
        before = self._held(request)
        if before is not None:
            self._leave(before[0].id)
        secure = request.headers.get("origin", "").lower().startswith("https://")
        answer = Response(status_code=204, headers={"cache-control": "no-store"})
        station = self._station(request, answer, now_ns, secure=secure)
        secret = self._outside.random_bytes(SECRET_BYTES)
        opened = self.book.open_session(
            now_ns, account.user, station, address_of(request), secret_hash(secret), now_ns + self.settings.session_ns
        )
        self._give(answer, self._cookie, secret, None, secure=secure)
        self.counts["in"] += 1
        self._outside.note(now_ns, "info", f"{account.user} logged in at {station}, session {opened.id}")
        return answer

    async def _verified(self, request: Request, user: str, password: str) -> Account:
        """Return the account of a name and password; the same answer, for the same work, whatever was wrong."""
        now_ns, address = self._outside.now_ns(), address_of(request)
        # The table is keyed by digest: a name may be a password typed into the wrong field.
        key = hashlib.sha256(user.encode()).hexdigest()
        wait_ns = max(self._by_account.wait_ns(now_ns, key), self._by_address.wait_ns(now_ns, address))
        if wait_ns:
            self.counts["rate"] += 1
            raise _Turned("login-rate", wait_ns=wait_ns)
        if self._waiting >= VERIFY_WAITING_MAX:
            self.counts["busy"] += 1
            raise _Turned("login-rate", wait_ns=NS)
        self._by_account.begin(now_ns, key)
        self._by_address.begin(now_ns, address)
        account = self.book.account(user)
        kept = None if account is None or account.disabled else account.password
        # For nobody's name some other account's hash is verified, and the outcome thrown away: the same work.
        stand_in = next((one.password for one in self.book.accounts()), None)
        self._waiting += 1
        try:
            async with self._verifying:
                good = await asyncio.to_thread(self._hasher.holds, password, kept, stand_in)
        finally:
            self._waiting -= 1
        account = self.book.account(user)  # it may have been disabled, or its password set, in the meantime
        if not good or account is None or account.disabled or account.password != kept:
            self.counts["refused"] += 1
            if account is not None:
                self._outside.note(self._outside.now_ns(), "caution", f"login as {user} refused, from {address}")
            raise _Turned("login-refused")
        self._by_account.good(self._outside.now_ns(), key, clear=True)
        self._by_address.good(self._outside.now_ns(), address, clear=False)
        return account

    async def _renewed(self, account: Account, given: _Login) -> Account:
        """Take the owner's own password in place of one that another set; without it nobody comes in."""
        if not given.new_password:
            raise _Turned("password-temporary")
        return await self._set(account, given.password, given.new_password)

    async def _set(self, account: Account, old: str, new: str) -> Account:
        passwords.check(new, account.user)
        if passwords.normal(new) == passwords.normal(old):
            raise AccountError("password-weak", "It is the old one.")
        async with self._verifying:
            kept = await asyncio.to_thread(self._hasher.keep, new, self._outside.random_bytes(passwords.SALT_BYTES))
        ended = [one.id for one in self.book.sessions(self._outside.now_ns()) if one.user == account.user]
        made = self.book.set_password(self._outside.now_ns(), account.user, kept, by_owner=True)
        for name in ended:
            self._outside.ended(name)
        return made

    def _station(self, request: Request, answer: Response, now_ns: int, *, secure: bool) -> str:
        if self.settings.address_is_station:
            return public_id("st", address_of(request).encode())
        secret = self._secret(request, self._station_cookie)
        known = None if secret is None else self.book.station(secret_hash(secret))
        if secret is None or known is None:
            secret = self._outside.random_bytes(SECRET_BYTES)
            known = self.book.add_station(now_ns, secret_hash(secret))
        self._give(answer, self._station_cookie, secret, STATION_S, secure=secure)
        return known

    def _give(self, answer: Response, name: str, secret: bytes, max_age_s: int | None, *, secure: bool) -> None:
        full = f"__Host-{name}" if secure else name
        answer.set_cookie(full, secret.hex(), max_age=max_age_s, path="/", secure=secure, httponly=True, samesite="strict")

    async def _logout(self, request: Request) -> Response:
        opened, account = self._inside(request)
        self._leave(opened.id)
        self._outside.note(self._outside.now_ns(), "info", f"{account.user} logged out, session {opened.id}")
        answer = Response(status_code=204, headers={"cache-control": "no-store"})
        for name in (self._cookie, f"__Host-{self._cookie}"):
            answer.delete_cookie(name, path="/", secure=name.startswith("__Host-"), httponly=True, samesite="strict")
        return answer

    def _leave(self, name: str) -> None:
        self.book.end_session(name)
        self.counts["out"] += 1
        self._outside.ended(name)

    async def _change(self, request: Request) -> Response:
        given: _Password = await self._body(request, _Password)
        _, account = self._inside(request)
        await self._verified(request, account.user, given.old)
        await self._set(account, given.old, given.new)
        return Response(status_code=204)

    # Lists ------------------------------------------------------------------------------------------------------------

    async def _accounts(self, request: Request) -> Response:
        self._inside(request, "see-accounts")
        shown = ("user", "person", "roles", "wanted", "disabled", "version")
        told = [{name: getattr(one, name) for name in shown} for one in self.book.accounts()]
        return _json({"accounts": told, "two_person": self.book.two_person()})

    async def _sessions(self, request: Request) -> Response:
        opened, account = self._inside(request)
        everyone = may(account.roles, "see-sessions")
        held = self.book.sessions(self._outside.now_ns())
        told = [{**one._asdict(), "mine": one.id == opened.id} for one in held if everyone or one.user == account.user]
        return _json({"sessions": told})

    async def _end(self, request: Request) -> Response:
        given: _End = await self._body(request, _End)
        _, account = self._inside(request)
        held = {one.id: one for one in self.book.sessions(self._outside.now_ns())}
        one = held.get(given.session)
        if one is None or not (one.user == account.user or may(account.roles, "end-sessions")):
            raise _Turned("act-role")
        self._leave(one.id)
        self._outside.note(self._outside.now_ns(), "caution", f"{account.user} ended the session {one.id} of {one.user}")
        return Response(status_code=204)


def address_of(connection: HTTPConnection) -> str:
    """Return the caller's address as the throttle counts it: IPv6 by its /64, which is what one subscriber has."""
    host = connection.client.host if connection.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host[:64]
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(address), 64), strict=False))
    return str(address)


def _session(opened: Opened, account: Account) -> Session:
    return Session(user=account.user, person=account.person, station=opened.station, session=opened.id, roles=account.roles)


def _json(told: object, status: int = 200) -> Response:
    headers = {"cache-control": "no-store"}
    return Response(msgspec.json.encode(told), status, headers=headers, media_type="application/json")
