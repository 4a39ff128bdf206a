"""The account book: accounts, sessions and stations in a SQLite file of their own, for its owner only. Does I/O.

It belongs to one nation and mode for ever. The node and `trilat users` may have it open at once. Secrets of sessions and stations
are never in it, only their hashes. Every change of an account is noted for the node's log.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import msgspec

from trilat.accounts.kept import Account, Change, Opened, account_of, in_order, public_id, same_person
from trilat.accounts.kept import told as words
from trilat.accounts.roles import OFFICERS
from trilat.errors import AccountError, sentence
from trilat.records.approval import AccountRoles, Approved, Role, Roles, Session, UserName
from trilat.records.fields import ShortText
from trilat.records.label import Mode

FILE_NAME = "accounts.sqlite"
SCHEMA = 1
PERSONS = 2
ACCOUNTS_MAX = 1_000
STATIONS_MAX = 1_000
SESSIONS_OF_ONE_MAX = 8
TOUCH_NS = 60 * 1_000_000_000
BUSY_S = 2.0

_SESSION = "SELECT id, user, station, address, begun_ns, used_ns, ends_ns FROM sessions WHERE "
_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE accounts (user TEXT PRIMARY KEY, person TEXT NOT NULL, password TEXT NOT NULL, roles TEXT NOT NULL,
  wanted TEXT NOT NULL, temporary INTEGER NOT NULL, disabled INTEGER NOT NULL, version INTEGER NOT NULL, made_ns INTEGER NOT NULL)
  WITHOUT ROWID;
CREATE TABLE sessions (hash BLOB PRIMARY KEY, id TEXT NOT NULL UNIQUE, user TEXT NOT NULL, station TEXT NOT NULL,
  address TEXT NOT NULL, begun_ns INTEGER NOT NULL, used_ns INTEGER NOT NULL, ends_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (user);
CREATE TABLE stations (hash BLOB PRIMARY KEY, id TEXT NOT NULL, made_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE applied (proposal TEXT PRIMARY KEY, t_ns INTEGER NOT NULL, outcome TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE changes (n INTEGER PRIMARY KEY AUTOINCREMENT, t_ns INTEGER NOT NULL, severity TEXT NOT NULL, text TEXT NOT NULL)
"""


class Book:
    """An open account book. Use from one thread; every method that changes something is durable when it returns."""

    def __init__(self, path: Path, nation: str, mode: Mode) -> None:
        """Open, or make, the book of a nation and mode.

        Raises AccountError: accounts-exposed (others may read it), accounts-of-another (nation or mode), accounts-unreadable.
        """
        self._check_file(path)
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._own(nation, mode)
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            raise AccountError("accounts-unreadable", f"{path}: {error}.") from error

    @staticmethod
    def _check_file(path: Path) -> None:
        try:
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            told = path.stat()
        except OSError as error:
            raise AccountError("accounts-unreadable", f"{path}: {error.strerror}.") from error
        if not stat.S_ISREG(told.st_mode) or told.st_mode & 0o077:
            raise AccountError("accounts-exposed", f"{path} has mode {told.st_mode & 0o777:o}.")

    def _own(self, nation: str, mode: Mode) -> None:
        mine = {"schema": SCHEMA, "nation": nation, "mode": f"{mode.kind}:{mode.id}"}
        with self._writing():
            if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name='meta'").fetchall():
                for statement in _SCHEMA.split(";\n"):
                    self._db.execute(statement)
                for name, value in mine.items():
                    self._db.execute("INSERT INTO meta VALUES (?,?)", (name, msgspec.msgpack.encode(value)))
        for name, value in mine.items():
            if (held := self._meta(name)) != value:
                raise AccountError("accounts-of-another", f"{name}: {held}, this node has {value}.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise AccountError("accounts-unreadable", f"{error}.") from error

    def _rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise AccountError("accounts-unreadable", f"{error}.") from error

    def _meta(self, name: str) -> Any:
        found = self._rows("SELECT value FROM meta WHERE name=?", name)
        return msgspec.msgpack.decode(found[0][0]) if found else None

    def _set_meta(self, name: str, value: object) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (name, msgspec.msgpack.encode(value)))

    # Accounts ---------------------------------------------------------------------------------------------------------

    def account(self, user: str) -> Account | None:
        """Return one account, disabled or not."""
        found = self._rows("SELECT * FROM accounts WHERE user=?", user)
        return account_of(found[0]) if found else None

    def accounts(self) -> list[Account]:
        """Return all accounts by name."""
        return [account_of(row) for row in self._rows("SELECT * FROM accounts ORDER BY user")]

    def two_person(self) -> bool:
        """Tell whether there are, or ever were, two officers: from then on more are made by two people only."""
        return bool(self._meta("two-person"))

    def two_officers_left(self) -> bool:
        """Tell whether two different people hold an officer's role now."""
        officers = [one for one in self.accounts() if not one.disabled and not OFFICERS.isdisjoint(one.roles)]
        return len({same_person(one.person) for one in officers}) >= PERSONS

    def holds(self, session: Session, roles: frozenset[Role]) -> bool:
        """Tell whether the account behind a session, ended or not, is still that person's and holds one of these roles."""
        held = self.account(session.user)
        return held is not None and not held.disabled and held.person == session.person and not roles.isdisjoint(held.roles)

    def add(
        self, now_ns: int, user: str, person: str, kept: str, roles: Roles, *, temporary: bool = False, emergency: str = ""
    ) -> Account:
        """Make an account. Once two officers exist an officer's role only waits (`wanted`) for two to approve.

        Raises AccountError: account-name, account-exists, accounts-full.
        """
        try:
            msgspec.convert((user, person, roles), tuple[UserName, ShortText, Roles], strict=True)
        except msgspec.ValidationError as error:
            raise AccountError("account-name", f"{user!r}: {error}.") from error
        with self._writing():
            if self.account(user) is not None:
                raise AccountError("account-exists", f"{user}.")
            if self._rows("SELECT count(*) FROM accounts")[0][0] >= ACCOUNTS_MAX:
                raise AccountError("accounts-full", f"{ACCOUNTS_MAX}.")
            granted, wanted = self._grantable((), roles, emergency)
            made = Account(user, person or user, kept, granted, wanted, temporary, disabled=False, version=1, made_ns=now_ns)
            self._keep(made)
            self._note(now_ns, f"account {user} made: {words(granted, wanted)}", emergency)
        return made

    def begin(self, now_ns: int, accounts: Iterable[tuple[str, str, str, Roles]]) -> None:
        """Fill an empty book of an exercise or replay: (user, person, encoded hash, roles) each, all at once.

        Raises AccountError: two-person when the book is live's or not empty.
        """
        if str(self._meta("mode")).startswith("live") or self.accounts():
            raise AccountError("two-person", "Only an exercise's empty book is filled at once.")
        with self._writing():
            for user, person, kept, roles in accounts:
                self._keep(
                    Account(user, person, kept, in_order(roles), (), temporary=False, disabled=False, version=1, made_ns=now_ns)
                )
            self._note(now_ns, "accounts made for the exercise", "")

    def set_password(
        self, now_ns: int, user: str, kept: str, *, by_owner: bool, temporary: bool = False, emergency: str = ""
    ) -> Account:
        """Set a password and end the account's sessions. Set by another, an officer's roles wait for two again."""
        with self._writing():
            held = self._known(user)
            roles, wanted = (held.roles, held.wanted) if by_owner else self._grantable((), held.roles, emergency)
            made = held._replace(
                password=kept,
                temporary=temporary,
                roles=roles,
                wanted=in_order((*wanted, *held.wanted)),
                version=held.version + 1,
            )
            self._keep(made)
            self._db.execute("DELETE FROM sessions WHERE user=?", (user,))
            who = "its owner" if by_owner else "an administrator of the machine"
            self._note(now_ns, f"password of {user} set by {who}: {words(roles, made.wanted)}", emergency, alarm=not by_owner)
        return made

    def set_roles(self, now_ns: int, user: str, roles: Roles, *, emergency: str = "") -> Account:
        """Set roles: what is taken away goes at once, an officer's role that is new may have to wait for two."""
        with self._writing():
            held = self._known(user)
            granted, wanted = self._grantable(() if held.disabled else held.roles, roles, emergency)
            made = held._replace(roles=granted, wanted=wanted, version=held.version + 1)
            self._keep(made)
            self._note(now_ns, f"roles of {user}: {words(granted, wanted)}", emergency)
        return made

    def set_disabled(self, now_ns: int, user: str, *, disabled: bool, emergency: str = "") -> Account:
        """Disable an account, which ends its sessions, or enable it: an officer's roles may have to wait for two."""
        with self._writing():
            held = self._known(user)
            roles, wanted = (held.roles, held.wanted)
            if held.disabled and not disabled:
                roles, wanted = self._grantable((), in_order((*held.roles, *held.wanted)), emergency)
            made = held._replace(disabled=disabled, roles=roles, wanted=wanted, version=held.version + 1)
            self._keep(made)
            if disabled:
                self._db.execute("DELETE FROM sessions WHERE user=?", (user,))
            self._note(now_ns, f"account {user} {'disabled' if disabled else 'enabled: ' + words(roles, wanted)}", emergency)
        return made

    def apply(self, now_ns: int, approved: Approved) -> str:
        """Give an account the roles that two officers approved; once, whoever asks again. Return what came of it, in words."""
        proposal = approved.proposal
        content = msgspec.json.decode(proposal.content, type=AccountRoles)
        with self._writing():
            done = self._rows("SELECT outcome FROM applied WHERE proposal=?", proposal.id)
            if done:
                return ""
            held = self.account(content.user)
            by = [approval.by.user for approval in approved.approvals]
            who = " and ".join([*([proposal.by.user] if proposal.by else []), *by])
            if held is None or held.version != content.version or held.person != content.person or held.disabled:
                outcome = f"{sentence('account-changed')} {content.user} is not as it was when {who} decided; its roles stay"
            else:
                roles = in_order(content.roles)
                self._keep(held._replace(roles=roles, wanted=(), version=held.version + 1))
                outcome = f"roles of {content.user}: {', '.join(roles) or 'none'}, decided by {who}"
            self._db.execute("INSERT INTO applied VALUES (?,?,?)", (proposal.id, now_ns, outcome))
            self._note(now_ns, outcome, "")
        return outcome

    def drop(self, now_ns: int, proposal: str, why: str) -> None:
        """Remember that what was approved is not to be acted upon, now or after a restart."""
        with self._writing():
            self._db.execute("INSERT OR IGNORE INTO applied VALUES (?,?,?)", (proposal, now_ns, why))
            self._note(now_ns, why, "", alarm=True)

    def done(self, proposal: str) -> bool:
        """Tell whether what was approved was done here already, or dropped."""
        return bool(self._rows("SELECT 1 FROM applied WHERE proposal=?", proposal))

    def _known(self, user: str) -> Account:
        held = self.account(user)
        if held is None:
            raise AccountError("account-unknown", f"{user!r}.")
        return held

    def _keep(self, one: Account) -> None:
        values = {**one._asdict(), "roles": " ".join(in_order(one.roles)), "wanted": " ".join(in_order(one.wanted))}
        self._db.execute("INSERT OR REPLACE INTO accounts VALUES (?,?,?,?,?,?,?,?,?)", tuple(values.values()))
        if self.two_officers_left():
            self._set_meta("two-person", value=True)

    def _grantable(self, held: Roles, asked: Roles, emergency: str) -> tuple[Roles, Roles]:
        """Return which of the asked roles hold at once and which wait for two officers."""
        if emergency or not self.two_person():
            return in_order(asked), ()
        waits = {role for role in asked if role in OFFICERS and role not in held}
        return in_order(role for role in asked if role not in waits), in_order(waits)

    def _note(self, now_ns: int, text: str, emergency: str, *, alarm: bool = False) -> None:
        said = f"{text}. EMERGENCY, by one person: {emergency}" if emergency else text
        severity = "alarm" if alarm or emergency else "caution"
        self._db.execute("INSERT INTO changes (t_ns, severity, text) VALUES (?,?,?)", (now_ns, severity, said[:200]))

    # What the node's log has of it ------------------------------------------------------------------------------------

    def changes(self) -> list[Change]:
        """Return the changes that the node's log does not have yet."""
        told = self._meta("told") or 0
        return [Change(*row) for row in self._rows("SELECT n, t_ns, severity, text FROM changes WHERE n>? ORDER BY n", told)]

    def told(self, n: int) -> None:
        """Remember that the node's log has the changes up to n."""
        with self._writing():
            self._set_meta("told", n)

    # Sessions and stations --------------------------------------------------------------------------------------------

    def open_session(self, now_ns: int, user: str, station: str, address: str, kept: bytes, ends_ns: int) -> Opened:
        """Keep a new session by the hash of its secret; the oldest of one account goes when it has too many."""
        made = Opened(public_id("s", kept), user, station, address, now_ns, now_ns, ends_ns)
        with self._writing():
            self._db.execute("DELETE FROM sessions WHERE ends_ns<=?", (now_ns,))
            mine = self._rows("SELECT hash FROM sessions WHERE user=? ORDER BY used_ns DESC", user)
            for (old,) in mine[SESSIONS_OF_ONE_MAX - 1 :]:
                self._db.execute("DELETE FROM sessions WHERE hash=?", (old,))
            self._db.execute("INSERT INTO sessions VALUES (?,?,?,?,?,?,?,?)", (kept, *made))
        return made

    def session(self, now_ns: int, idle_ns: int, *, kept: bytes | None = None, name: str = "") -> tuple[Opened, Account] | None:
        """Return a session, by its secret's hash or its public name, with its account, if both are good; marks it used."""
        column, key = ("hash", kept) if kept is not None else ("id", name)
        found = self._rows(f"{_SESSION}{column}=?", key)
        if not found:
            return None
        one = Opened(*found[0])
        account = self.account(one.user)
        if account is None or account.disabled or now_ns >= one.ends_ns or now_ns - one.used_ns >= idle_ns:
            self.end_session(one.id)
            return None
        if now_ns - one.used_ns >= TOUCH_NS:
            with self._writing():
                self._db.execute("UPDATE sessions SET used_ns=? WHERE id=?", (now_ns, one.id))
        return one, account

    def sessions(self, now_ns: int) -> list[Opened]:
        """Return the sessions that have not ended, by user."""
        sql = (
            "SELECT id, user, station, address, begun_ns, used_ns, ends_ns FROM sessions WHERE ends_ns>? ORDER BY user, begun_ns"
        )
        return [Opened(*row) for row in self._rows(sql, now_ns)]

    def end_session(self, name: str) -> bool:
        """End a session by its public name; tell whether there was one."""
        with self._writing():
            return self._db.execute("DELETE FROM sessions WHERE id=?", (name,)).rowcount > 0

    def station(self, kept: bytes) -> str | None:
        """Return the public name of a station whose secret has this hash."""
        found = self._rows("SELECT id FROM stations WHERE hash=?", kept)
        return str(found[0][0]) if found else None

    def add_station(self, now_ns: int, kept: bytes) -> str:
        """Keep a new station; the oldest goes when there are too many."""
        name = public_id("st", kept)
        with self._writing():
            self._db.execute("INSERT INTO stations VALUES (?,?,?)", (kept, name, now_ns))
            self._db.execute(
                "DELETE FROM stations WHERE hash IN (SELECT hash FROM stations ORDER BY made_ns DESC LIMIT -1 OFFSET ?)",
                (STATIONS_MAX,),
            )
        return name


def book_beside(store: Path) -> Path:
    """Return where the account book of the node with this store (`directory`/store) stands."""
    return store.absolute().parent / FILE_NAME


def copy_book(source: Path, target: Path) -> None:
    """Copy an account book, open or not, as of one moment, into a new file for its owner only; raises AccountError."""
    Book._check_file(source)  # noqa: SLF001 - the module's own
    try:
        with suppress(FileExistsError):
            os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        book = sqlite3.connect(source, isolation_level=None, timeout=BUSY_S)
        try:
            book.execute("VACUUM INTO ?", (str(target),))
        finally:
            book.close()
    except (OSError, sqlite3.Error) as error:
        raise AccountError("accounts-unreadable", f"{source}: {error}.") from error


def restore_book(copy: Path, target: Path, nation: str, mode: Mode, now_ns: int) -> int:
    """Make a node's account book of a copy; return how many accounts are in it. Sessions and stations end; the log is told.

    Raises AccountError: as opening a book does; then there is no new one.
    """
    copy_book(copy, target)
    try:
        with Book(target, nation, mode) as book:
            with book._writing():  # noqa: SLF001 - the module's own
                book._db.execute("DELETE FROM sessions")  # noqa: SLF001
                book._db.execute("DELETE FROM stations")  # noqa: SLF001
                text = "the account book was restored from a backup: whatever was changed since then is undone, look through it"
                book._note(now_ns, text, "", alarm=True)  # noqa: SLF001
            return len(book.accounts())
    except AccountError:
        target.unlink(missing_ok=True)
        raise
