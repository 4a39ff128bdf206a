"""The node's one database file: SQLite in WAL mode, synchronous FULL, one writer; the only place that opens it.

Everything a step changes (log entries, outbox, inbox and its cursor, what was handed on) is committed in one transaction, and
nothing is sent or shown as sent before that. A store belongs to one nation and one mode for ever; any other is refused.
After a failed write or sync nothing is retried on the same connection: the pages a kernel failed to write may look clean, so
the file is opened anew and its log's end is checked.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from trilat.errors import StoreError
from trilat.records.label import Mode
from trilat.store import migrate
from trilat.store.inbox import Inbox
from trilat.store.journal import Journal
from trilat.store.outbox import Outbox
from trilat.store.places import ALL

FILE_NAME = "trilat.sqlite"
LOCK_NAME = "lock"
RESERVE_NAME = "reserve"


class StoreSettings(Struct, frozen=True, kw_only=True):
    """Settings of the store; every bound has its name here.

    wal_pages: the WAL is folded into the file when it has grown to this many pages of 4 KiB. reserve_bytes: disk space held
    back for flash; given up when the disk is full, taken again when there is room. retention_days: how long what is settled
    (receipted, handed on, checkpointed) is kept.
    """

    wal_pages: int = 4_000
    reserve_bytes: int = 16 << 20
    retention_days: int = 30


class Connection(Protocol):
    """What the store needs of a SQLite connection: sqlite3's own, or one on a simulated disk."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Any:
        """Run one statement and return a cursor."""

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Any:
        """Run one statement for many rows."""
        ...

    def close(self) -> None:
        """Close the connection."""


def connect(path: Path) -> Connection:
    """Open a database file with the standard library's SQLite. May be used from one thread at a time, any thread."""
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)


def named(error: sqlite3.Error) -> StoreError:
    """Return our error for SQLite's: full, read-only, damaged, locked, or any other failure to read, write or sync."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = (code or 0) & 0xFF
    names = {
        sqlite3.SQLITE_FULL: "store-full",
        sqlite3.SQLITE_READONLY: "store-readonly",
        sqlite3.SQLITE_CORRUPT: "store-corrupt",
        sqlite3.SQLITE_NOTADB: "store-corrupt",
        sqlite3.SQLITE_BUSY: "store-locked",
        sqlite3.SQLITE_LOCKED: "store-locked",
        sqlite3.SQLITE_CANTOPEN: "store-unreadable",
        sqlite3.SQLITE_PERM: "store-unreadable",
    }
    return StoreError(names.get(primary, "store-io"), f"{error} ({getattr(error, 'sqlite_errorname', 'no code')})")


class Database:
    """One connection, its transaction, and who must write or reload when it ends."""

    def __init__(
        self, path: Path, opener: Callable[[Path], Connection], settings: StoreSettings, *, reads_only: bool = False
    ) -> None:
        self._path = path
        self._reads_only = reads_only
        self._opener = opener
        self._settings = settings
        self._writing = False
        self.before_commit: list[Callable[[], None]] = []
        self.after_rollback: list[Callable[[], None]] = []
        self._connection: Connection | None = None
        self._commits = 0  # on disk, as far as known: a failed commit may be there after all
        self.open()

    def open(self) -> None:
        """Open the file and set it to WAL and synchronous FULL; raises StoreError."""
        try:
            self._connection = self._opener(self._path)
            if self._reads_only:
                return
            for pragma in ("journal_mode=WAL", "synchronous=FULL", f"wal_autocheckpoint={self._settings.wal_pages}"):
                self._connection.execute(f"PRAGMA {pragma}").fetchall()
        except sqlite3.Error as error:
            self.close()
            raise named(error) from error

    def close(self) -> None:
        """Close the file without committing."""
        self._writing = False
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """Run a query and return its cursor; raises StoreError."""
        if self._connection is None:
            raise StoreError("store-io", "the file is not open")
        try:
            return self._connection.execute(sql, parameters)
        except sqlite3.Error as error:
            raise named(error) from error

    def each(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Run a query and yield its rows as they are read: a damaged page is found then. Raises StoreError."""
        try:
            yield from self.read(sql, parameters)
        except sqlite3.Error as error:
            raise named(error) from error

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query and return all its rows; raises StoreError."""
        try:
            return list(self.read(sql, parameters).fetchall())
        except sqlite3.Error as error:
            raise named(error) from error

    def row(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Run a query and return its first row, or None; raises StoreError."""
        return next(iter(self.rows(sql, parameters)), None)

    def write(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement that changes something, inside the step's transaction; raises StoreError."""
        self._begin()
        self.read(sql, parameters)

    def write_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for many rows, inside the step's transaction; raises StoreError."""
        self._begin()
        if self._connection is None:
            raise StoreError("store-io", "the file is not open")
        try:
            self._connection.executemany(sql, rows)
        except sqlite3.Error as error:
            raise named(error) from error

    def _begin(self) -> None:
        if not self._writing:
            self.read("BEGIN IMMEDIATE")
            self._writing = True

    def commit(self) -> None:
        """Write what is pending and commit; on return it is on disk. Raises StoreError, after which `rollback` is due."""
        for pending in self.before_commit:
            pending()
        if self._writing:
            self.read("INSERT OR REPLACE INTO meta VALUES ('commits',?)", (msgspec.msgpack.encode(self._commits + 1),))
            self.read("COMMIT")
            self._writing = False
            self._commits += 1

    def count_commits(self) -> int:
        """Read how many transactions stand on disk; return how many more than were known; raises StoreError."""
        row = self.row("SELECT value FROM meta WHERE name='commits'")
        known, self._commits = self._commits, 0 if row is None else msgspec.msgpack.decode(row[0], type=int)
        return self._commits - known

    def rollback(self) -> bool:
        """Forget the step, open anew, reload; tell whether its commit is there after all (only its sync failed)."""
        self.close()
        self.open()
        there = self.count_commits() > 0
        for reload in self.after_rollback:
            reload()
        return there


class Store:
    """The durable store of one node: `journal`, `outbox`, `inbox` over one database. Made by `open_store`."""

    def __init__(self, database: Database, directory: Path | None, settings: StoreSettings, lock: int | None) -> None:
        self.database = database
        self.directory = directory
        self.settings = settings
        self._lock = lock
        self.journal = Journal(database)
        self.outbox = Outbox(database)
        self.inbox = Inbox(database)

    def note(self, kind: str, source: str, t_ns: int, data: bytes) -> None:
        """Append an entry of the exchange's own doings to the log."""
        self.journal.append(kind, source, t_ns, data)

    def log_before(self, t_ns: int, most: int = ALL) -> tuple[int, bytes]:
        """Return number and head of the last of the log's entries older than a time, of so many at most; 0 when none is left."""
        oldest = self.journal.oldest()
        n = min(self.journal.number_before(t_ns), oldest + most - 1)
        return (n, self.journal.head_at(n)) if n >= oldest else (0, bytes(32))

    def prune_log(self, n: int, t_ns: int, body: bytes, key_id: str, signature: bytes) -> int:
        """Remove the log's entries up to n behind a signed checkpoint; return how many went."""
        return self.journal.prune(n, t_ns, body, key_id, signature)

    def commit(self) -> None:
        """Commit the step: on return everything is on disk. Raises StoreError; then call `rollback`."""
        self.database.commit()

    def rollback(self) -> bool:
        """Forget the step and read the books anew; tell whether it is on disk after all; raises StoreError as `Database`'s."""
        return self.database.rollback()

    def has_reserve(self) -> bool:
        """Tell whether the disk space held back for flash is still there."""
        return self.directory is None or (self.directory / RESERVE_NAME).exists()

    def give_reserve(self) -> bool:
        """Give up the space held back, so that flash still fits on a full disk; tell whether there was any."""
        if self.directory is None or not self.has_reserve():
            return False
        with suppress(OSError):
            (self.directory / RESERVE_NAME).unlink()
            return True
        return False

    def take_reserve(self) -> bool:
        """Hold space back again; tell whether there was room (and some to spare)."""
        if self.directory is None or self.has_reserve() or self.settings.reserve_bytes == 0:
            return True
        path = self.directory / RESERVE_NAME
        try:
            space = os.statvfs(self.directory)
            if space.f_bavail * space.f_frsize < 2 * self.settings.reserve_bytes:
                return False
            with path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self.settings.reserve_bytes)
        except OSError:
            with suppress(OSError):
                path.unlink()
            return False
        return True

    def close(self) -> None:
        """Commit nothing, close the file, let go of the lock."""
        self.database.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _lock(directory: Path) -> int:
    try:
        handle = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError("store-unreadable", str(error)) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise StoreError("store-locked", str(directory)) from error
    return handle


def _check_owner(database: Database, nation: str, mode: Mode) -> None:
    """Write nation and mode into a new store; refuse a store of another. Raises StoreError."""
    if database.row("SELECT 1 FROM sqlite_master WHERE name='meta'") is None:
        if database.row("SELECT 1 FROM sqlite_master LIMIT 1") is not None:
            raise StoreError("store-corrupt", "a database of something else")
        database.read("BEGIN IMMEDIATE")
        for statement in filter(str.strip, migrate.SCHEMA.split(";\n")):
            database.read(statement)
        for name, value in {"schema": migrate.SCHEMA_VERSION, "nation": nation, "mode": mode}.items():
            database.read("INSERT INTO meta VALUES (?,?)", (name, msgspec.msgpack.encode(value)))
        database.read("COMMIT")
    meta = read_meta(database)
    if meta["schema"] > migrate.SCHEMA_VERSION:
        raise StoreError("store-newer", f"schema {meta['schema']}, this version knows {migrate.SCHEMA_VERSION}")
    if meta["nation"] != nation:
        raise StoreError("store-nation", f"{meta['nation']}, this node is {nation}")
    if msgspec.convert(meta["mode"], Mode) != mode:
        raise StoreError("store-mode", f"{meta['mode']}, this node is {mode.kind}:{mode.id}")
    if meta["schema"] < migrate.SCHEMA_VERSION:
        migrate.bring_on(database, meta["schema"])


def read_meta(database: Database) -> dict[str, Any]:
    """Return the store's schema, nation and mode; raises StoreError "store-corrupt" when it has none."""
    if not list(database.rows("SELECT 1 FROM sqlite_master WHERE name = 'meta'")):
        raise StoreError("store-corrupt", "no table says whose it is")
    try:
        meta = {name: msgspec.msgpack.decode(value) for name, value in database.rows("SELECT name, value FROM meta")}
        if not isinstance(meta["schema"], int) or not isinstance(meta["nation"], str):
            raise StoreError("store-corrupt", "unreadable owner")
        msgspec.convert(meta["mode"], Mode)
    except (KeyError, TypeError, msgspec.MsgspecError) as error:
        raise StoreError("store-corrupt", f"unreadable owner: {error}") from error
    return meta


def open_store(directory: Path, nation: str, mode: Mode, settings: StoreSettings | None = None) -> Store:
    """Open, or make, the store of a nation and mode in a directory.

    Raises StoreError: "store-nation", "store-mode", "store-corrupt", "store-newer", "store-locked", "store-unreadable",
    "store-readonly", "store-full", "store-io".
    """
    settings = settings or StoreSettings()
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError("store-unreadable", str(error)) from error
    lock = _lock(directory)
    try:
        store = open_database(directory / FILE_NAME, nation, mode, settings, directory=directory, lock=lock)
    except StoreError:
        with suppress(OSError):
            os.close(lock)
        raise
    store.take_reserve()
    return store


def open_reader(directory: Path) -> Database:
    """Open the store in a directory for reading alone (audit); raises StoreError as `open_store`, "store-missing" if none."""
    path = directory / FILE_NAME
    if not path.is_file():
        raise StoreError("store-missing", str(directory))

    def reader(path: Path) -> Connection:
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)

    database = Database(path, reader, StoreSettings(), reads_only=True)
    try:
        read_meta(database)
    except StoreError as error:
        database.close()
        raise StoreError(error.name, f"{directory}: {error.detail}") from error  # who reads two has to know which
    return database


def open_database(
    path: Path,
    nation: str,
    mode: Mode,
    settings: StoreSettings | None = None,
    *,
    opener: Callable[[Path], Connection] = connect,
    directory: Path | None = None,
    lock: int | None = None,
    make: Callable[[Database, Path | None, StoreSettings, int | None], Store] = Store,
) -> Store:
    """Open a store on one database file with a given opener (":memory:", a simulated disk); errors as `open_store`."""
    settings = settings or StoreSettings()
    database = Database(path, opener, settings)
    try:
        _check_owner(database, nation, mode)
        database.count_commits()
        return make(database, directory, settings, lock)
    except StoreError:
        database.close()
        raise
