"""A simulated disk under SQLite's own code: forgets what was not synced, tears writes, fills up, fails, and rolls back.

SQLite reaches its files through a VFS (sqlite.org/vfs.html); this one keeps them in memory, remembers each write since the
last sync of its file, and takes them back when the power is cut: each is kept, dropped or torn as the seed says. So the store's
code, SQL and all, is the one a node runs. What the model leaves out stands in docs/explanation/simulation.md.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

import apsw

from trilat.records.label import Mode
from trilat.store.sqlite import Connection, Database, Store, StoreSettings, open_database

PATH = Path("/simulated/trilat.sqlite")
SECTOR_BYTES = 512
# Small pages make a short run go through many of them; the WAL is folded in often for the same reason.
PAGE_BYTES = 1_024
WAL_PAGES = 80
RESERVE_BYTES = 64 << 10
Failure = Literal["", "write", "sync", "readonly"]
_names = itertools.count()


class _Undo(NamedTuple):
    """A write or truncation that is not synced: where, what stood there, how long the file was, how much was written."""

    offset: int
    before: bytes | bytearray
    size_before: int
    length: int


class _File:
    """What one file holds, and how to take back what is not synced."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.undos: list[_Undo] = []


class SimulatedDisk(apsw.VFS):
    """One node's disk. Its faults are set from outside; `counts` tells which struck."""

    def __init__(self, seed: str) -> None:
        self.name = f"simulated-{next(_names)}"
        self.random = Random(seed)
        self.counts: Counter[str] = Counter()
        self.files: dict[str, _File] = {}
        self.generation = 0
        self.limit_bytes: int | None = None
        self.reserve_bytes = 0
        self.failure: Failure = ""
        # Writes and syncs until the power is cut in the middle of things; 0 = not armed. `lost_power` says that it was.
        self.countdown = 0
        self.lost_power = False
        super().__init__(self.name, "")

    # --- what SQLite calls --------------------------------------------------------------------------------------------

    def xOpen(self, name: Any, flags: list[int]) -> _Handle:  # type: ignore[override]  # noqa: N802 - SQLite's name
        """Open a file on this disk."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        flags[1] = flags[0]
        return _Handle(self, self.files.setdefault(path, _File()))

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001, N802 - SQLite's name
        """Remove a file."""
        del syncdir
        self.files.pop(filename, None)

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802 - SQLite's name
        """Tell whether a file is there."""
        del flags
        return pathname in self.files

    def xFullPathname(self, name: str) -> str:  # noqa: N802 - SQLite's name
        """Return a name as it is."""
        return name

    # --- what the simulation does to it -------------------------------------------------------------------------------

    def open(self, path: Path) -> Connection:
        """Open a database on this disk; to be given to the store as its opener."""
        return DiskConnection(self, path)

    @property
    def used_bytes(self) -> int:
        """How much is taken, with the reserve."""
        return sum(len(file.content) for file in self.files.values()) + self.reserve_bytes

    def kill(self) -> None:
        """End the process that has files open: what it wrote stays, its handles write no more."""
        self.generation += 1
        self.countdown = 0

    def cut_power(self) -> None:
        """Cut the power: each write that was not synced is kept, dropped or torn at a sector."""
        self.kill()
        for file in self.files.values():
            if file.undos:
                self.counts["unsynced at the cut"] += 1
                self._take_back(file, self.random.choice([0.0, 0.5, 1.0]))

    def _take_back(self, file: _File, keep: float) -> None:
        for undo in reversed(file.undos):
            if self.random.random() < keep:
                continue
            torn = self.random.choice([0, 0, SECTOR_BYTES]) if undo.length > SECTOR_BYTES else 0
            self.counts["torn write"] += torn > 0
            end = undo.offset + max(undo.length, len(undo.before))
            before = undo.before.ljust(end - undo.offset, b"\0")
            if len(file.content) < end:
                file.content.extend(bytes(end - len(file.content)))
            file.content[undo.offset + torn : end] = before[torn:]
            if undo.size_before < end == len(file.content) and not torn:
                del file.content[undo.size_before :]
        file.undos.clear()

    def step(self) -> None:
        """Count a write or sync down to an armed cut."""
        if self.countdown:
            self.countdown -= 1
            if not self.countdown:
                self.counts["power cut in a write"] += 1
                self.lost_power = True
                self.cut_power()

    def copy(self) -> dict[str, bytes]:
        """Return what every file holds now."""
        return {name: bytes(file.content) for name, file in self.files.items()}

    def restore(self, copy: dict[str, bytes]) -> None:
        """Put an older copy in the place of everything."""
        self.kill()
        self.files.clear()
        self.reserve_bytes = 0
        for name, content in copy.items():
            self.files[name] = _File()
            self.files[name].content[:] = content

    def close(self) -> None:
        """Take the disk out of SQLite's list."""
        self.kill()
        self.unregister()


class _Handle:
    """An open file, until its process is killed."""

    def __init__(self, disk: SimulatedDisk, file: _File) -> None:
        self._disk, self._file, self._generation = disk, file, disk.generation

    def _alive(self) -> None:
        if self._generation != self._disk.generation:
            raise apsw.IOError("the process is gone")

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - SQLite's name
        """Read; short at the end of the file."""
        return bytes(self._file.content[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        """Write, and remember what stood there."""
        disk, content = self._disk, self._file.content
        self._alive()
        if disk.countdown:
            disk.step()
            self._alive()
        if disk.failure == "readonly":
            raise apsw.ReadOnlyError("injected")
        if disk.failure == "write":
            raise apsw.IOError("injected")
        length, size = len(data), len(content)
        end = offset + length
        if end > size and disk.limit_bytes is not None and disk.used_bytes + end - size > disk.limit_bytes:
            disk.counts["disk full"] += 1
            raise apsw.FullError("injected")
        self._file.undos.append(_Undo(offset, content[offset:end], size, length))
        if size < offset:
            content.extend(bytes(offset - size))
        content[offset:end] = data

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        """Cut the file."""
        self._alive()
        content = self._file.content
        self._file.undos.append(_Undo(newsize, bytes(content[newsize:]), len(content), 0))
        del content[newsize:]

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        """Make everything written so far durable."""
        del flags
        self._alive()
        self._disk.step()
        self._alive()
        if self._disk.failure in {"sync", "write"}:
            self._disk.counts["sync failed"] += 1
            raise apsw.IOError("injected")
        self._file.undos.clear()

    def xFileSize(self) -> int:  # noqa: N802 - SQLite's name
        """Return the file's size."""
        return len(self._file.content)

    def xLock(self, level: int) -> None:  # noqa: N802 - SQLite's name
        """Allow every lock: one process has the file."""

    def xUnlock(self, level: int) -> None:  # noqa: N802 - SQLite's name
        """Release nothing."""

    def xCheckReservedLock(self) -> bool:  # noqa: N802 - SQLite's name
        """Nobody else has it."""
        return False

    def xClose(self) -> None:  # noqa: N802 - SQLite's name
        """Nothing to let go of."""

    def xFileControl(self, op: int, ptr: int) -> bool:  # noqa: N802 - SQLite's name
        """Know no controls."""
        del op, ptr
        return False

    def xSectorSize(self) -> int:  # noqa: N802 - SQLite's name
        """Return the sector's size."""
        return SECTOR_BYTES

    def xDeviceCharacteristics(self) -> int:  # noqa: N802 - SQLite's name
        """Promise nothing: no atomic write, no safe append."""
        return 0


class DiskConnection:
    """A connection on a simulated disk that speaks as the standard library's does, errors and all."""

    def __init__(self, disk: SimulatedDisk, path: Path) -> None:
        try:
            self._inner = apsw.Connection(str(path), vfs=disk.name)
            self._inner.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()  # a WAL without shared memory
            self._inner.execute(f"PRAGMA page_size={PAGE_BYTES}").fetchall()
        except apsw.Error as error:
            raise _as_sqlite3(error) from error

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        """Run one statement and return its rows."""
        try:
            return _Rows(self._inner.execute(sql, parameters))
        except apsw.Error as error:
            raise _as_sqlite3(error) from error

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Any:
        """Run one statement for many rows."""
        try:
            return self._inner.executemany(sql, rows)
        except apsw.Error as error:
            raise _as_sqlite3(error) from error

    def close(self) -> None:
        """Close the connection."""
        try:
            self._inner.close()
        except apsw.Error as error:
            raise _as_sqlite3(error) from error


class _Rows:
    """The rows of a statement."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def fetchall(self) -> list[Any]:
        """Return all of them."""
        try:
            found: list[Any] = self._cursor.fetchall()
        except apsw.Error as error:
            raise _as_sqlite3(error) from error
        return found

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._cursor
        except apsw.Error as error:
            raise _as_sqlite3(error) from error


def _as_sqlite3(error: apsw.Error) -> sqlite3.Error:
    """Return apsw's error as the standard library's, with SQLite's code."""
    made = sqlite3.OperationalError(str(error))
    # What a file of ours raised comes back as it was raised, without SQLite's code.
    ours = {apsw.FullError: apsw.SQLITE_FULL, apsw.ReadOnlyError: apsw.SQLITE_READONLY, apsw.IOError: apsw.SQLITE_IOERR}
    made.sqlite_errorcode = getattr(error, "extendedresult", 0) or ours.get(type(error), apsw.SQLITE_ERROR)
    made.sqlite_errorname = type(error).__name__
    return made


class DiskStore(Store):
    """A store whose reserve stands on a simulated disk."""

    disk: SimulatedDisk

    def rollback(self) -> bool:
        """Forget the step; count it when it is there after all."""
        there = super().rollback()
        self.disk.counts["commit found after all"] += there
        return there

    def has_reserve(self) -> bool:
        """Tell whether the reserve is held."""
        return self.disk.reserve_bytes > 0

    def give_reserve(self) -> bool:
        """Give the reserve up; tell whether there was any."""
        held, self.disk.reserve_bytes = self.disk.reserve_bytes, 0
        self.disk.counts["reserve given up"] += held > 0
        return held > 0

    def take_reserve(self) -> bool:
        """Take the reserve when there is room, and some to spare."""
        disk = self.disk
        if not disk.reserve_bytes:
            if disk.limit_bytes is not None and disk.limit_bytes - disk.used_bytes < 2 * RESERVE_BYTES:
                return False
            disk.reserve_bytes = RESERVE_BYTES
        return True


def open_on(disk: SimulatedDisk, nation: str, mode: Mode) -> Store:
    """Open, or make, a nation's store on a simulated disk; raises StoreError as `trilat.store.sqlite.open_database`."""

    def make(database: Database, directory: Path | None, settings: StoreSettings, lock: int | None) -> DiskStore:
        store = DiskStore(database, directory, settings, lock)
        store.disk = disk
        return store

    store = open_database(PATH, nation, mode, StoreSettings(wal_pages=WAL_PAGES), opener=disk.open, make=make)
    store.take_reserve()
    return store
