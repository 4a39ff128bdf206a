"""A failing disk: the node says so, sends nothing that is not kept, keeps warnings going on the reserve, and recovers by itself."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from exchange_pair import SETTINGS, Joined, tracks
from exchange_records import EXERCISE, SECOND, released, ring_of, warning_of

from trilat.exchange.exchange import Exchange
from trilat.store.sqlite import RESERVE_NAME, StoreSettings, connect, open_database

RESERVE_BYTES = 65_536


class Disk:
    """A disk whose commits fail with a code of SQLite when told to; a full one takes commits once the reserve is given up."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.fails: int | None = None

    def open(self, path: Path) -> "Disk.On":
        """Open a connection on this disk."""
        return Disk.On(self, connect(path))

    class On:
        """A real connection on such a disk."""

        def __init__(self, disk: "Disk", inner: Any) -> None:
            self.disk, self.inner = disk, inner

        def execute(self, sql: str, parameters: Any = (), /) -> Any:
            """Run a statement; a commit may fail."""
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


@pytest.fixture
def troubled(tmp_path: Path) -> Iterator[tuple[Joined, Disk]]:
    """JPN and KOR, level, with JPN's store on a disk that can be made to fail."""
    pair = Joined(tmp_path)
    pair.stop("JPN")
    disk = Disk(tmp_path / "jpn")
    disk.directory.mkdir()
    settings = StoreSettings(reserve_bytes=RESERVE_BYTES)
    store = open_database(disk.directory / "trilat.sqlite", "JPN", EXERCISE, settings, opener=disk.open, directory=disk.directory)
    assert store.take_reserve()
    pair.exchanges["JPN"] = Exchange(SETTINGS, "JPN", EXERCISE, ring_of("JPN"), store, ["KOR"])
    pair.run(4)
    yield pair, disk
    pair.close()


def warn(pair: Joined, name: str) -> None:
    """Offer a warning to KOR."""
    pair.exchanges["JPN"].offer(pair.now_ns, [released(warning_of(name), "KOR", "flash")])


def test_on_a_full_disk_warnings_go_on_and_bulk_waits(troubled: tuple[Joined, Disk], monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full the reserve is given up, warnings still arrive, tracks are counted as shed; with room again all goes on."""
    pair, disk = troubled
    jpn = pair.exchanges["JPN"]
    disk.fails = sqlite3.SQLITE_FULL
    monkeypatch.setattr(jpn.station.store, "take_reserve", lambda: False)
    warn(pair, "w1")
    pair.run(2)
    jpn.offer(pair.now_ns, tracks(pair, 3))
    warn(pair, "w2")
    pair.run(30)
    assert "flash-only" == jpn.health
    assert "store-full" == getattr(jpn.trouble, "name", "")
    assert not (disk.directory / RESERVE_NAME).exists()
    assert ["w1", "w2"] == [item.record.id for item in pair.received["KOR"]]
    assert 3 == jpn.unsaved_shed
    monkeypatch.undo()
    disk.fails = None
    pair.run(60)
    jpn.offer(pair.now_ns, tracks(pair, 2, first=3))
    pair.run(60)
    assert ("ok", None, RESERVE_BYTES) == (jpn.health, jpn.trouble, (disk.directory / RESERVE_NAME).stat().st_size)
    assert 2 == len(pair.raws("KOR", "history"))


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY])
def test_nothing_leaves_that_is_not_on_disk(troubled: tuple[Joined, Disk], code: int) -> None:
    """While commits fail no batch leaves; warnings wait in memory and arrive, once and in order, after the disk works again."""
    pair, disk = troubled
    jpn = pair.exchanges["JPN"]
    disk.fails = code
    pair.replies.clear()
    for name in ("w1", "w2", "w3"):
        warn(pair, name)
        pair.run(4)
    assert "down" == jpn.health
    assert [] == [envelope for nation, _, envelope in pair.replies if nation == "KOR" and envelope.kind == "trilat.batch/1"]
    assert {state.lag_records for state in jpn.links(pair.now_ns)} == {0}
    disk.fails = None
    pair.run(100)
    assert ["w1", "w2", "w3"] == [item.record.id for item in pair.received["KOR"]]
    assert ("ok", None) == (jpn.health, jpn.trouble)
    recovered = list(jpn.station.store.journal.read(kinds=frozenset({"recovered"})))
    assert 1 == len(recovered)


def test_an_importer_receipts_nothing_that_it_could_not_keep(troubled: tuple[Joined, Disk]) -> None:
    """What arrives while the importer's disk fails is not receipted, not handed on, and comes again."""
    pair, disk = troubled
    kor = pair.exchanges["KOR"]
    disk.fails = sqlite3.SQLITE_IOERR
    kor.offer(pair.now_ns, [released(warning_of("w1", "KOR", ("JPN",)), "JPN", "flash")])
    pair.run(10)
    assert [] == pair.received["JPN"]
    assert 0 == pair.link("KOR", "JPN", "flash", "out").receipt.sequence
    disk.fails = None
    pair.now_ns += 2 * SECOND
    pair.run(60)
    assert ["w1"] == [item.record.id for item in pair.received["JPN"]]
    assert 1 == pair.link("KOR", "JPN", "flash", "out").receipt.sequence
