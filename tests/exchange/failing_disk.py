"""A disk whose commits fail when told to, under a real SQLite file; and a pair of nations one of which stands on it."""

import sqlite3
from pathlib import Path
from typing import Any

from exchange_pair import SETTINGS, Joined
from exchange_records import EXERCISE, ring_of

from trilat.exchange.exchange import Exchange
from trilat.store.sqlite import RESERVE_NAME, StoreSettings, connect, open_database

RESERVE_BYTES = 65_536
WRITES = ("BEGIN", "INSERT", "UPDATE", "DELETE", "COMMIT")


class Disk:
    """A disk whose commits fail with a code of SQLite when told to; a full one takes commits once the reserve is given up."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.fails: int | None = None
        self.refuses = False  # every statement that writes, as when the system mounted it anew to be read only

    def open(self, path: Path) -> "Disk.On":
        """Open a connection on this disk."""
        return Disk.On(self, connect(path))

    class On:
        """A real connection on such a disk."""

        def __init__(self, disk: "Disk", inner: Any) -> None:
            self.disk, self.inner = disk, inner

        def execute(self, sql: str, parameters: Any = (), /) -> Any:
            """Run a statement; a commit may fail."""
            if self.disk.refuses and sql.startswith(WRITES):
                error = sqlite3.OperationalError("attempt to write a readonly database")
                error.sqlite_errorcode = sqlite3.SQLITE_READONLY
                raise error
            reserve = (self.disk.directory / RESERVE_NAME).exists()
            if sql == "COMMIT" and self.disk.fails is not None and (self.disk.fails != sqlite3.SQLITE_FULL or reserve):
                error = sqlite3.OperationalError("injected")
                error.sqlite_errorcode = self.disk.fails
                raise error
            return self.inner.execute(sql, parameters)

        def executemany(self, sql: str, rows: Any, /) -> Any:
            """Run a statement for many rows."""
            return self.inner.executemany(sql, rows)

        def close(self) -> None:
            """Close it."""
            self.inner.close()


def troubled_pair(directory: Path, nation: str = "JPN") -> tuple[Joined, Disk]:
    """Return JPN and KOR, level, with one's store on a disk that can be made to fail."""
    pair = Joined(directory)
    pair.stop(nation)
    disk = Disk(directory / nation.lower())
    disk.directory.mkdir()
    settings = StoreSettings(reserve_bytes=RESERVE_BYTES)
    store = open_database(
        disk.directory / "trilat.sqlite", nation, EXERCISE, settings, opener=disk.open, directory=disk.directory
    )
    assert store.take_reserve()
    others = [other for other in pair.nations if other != nation]
    pair.exchanges[nation] = Exchange(SETTINGS, nation, EXERCISE, ring_of(nation), store, others)
    pair.run(4)
    return pair, disk
