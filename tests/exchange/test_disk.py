"""A failing disk: the node says so, sends nothing that is not kept, keeps warnings going on the reserve, and recovers by itself."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from exchange_pair import Joined, tracks
from exchange_records import SECOND, released, warning_of
from failing_disk import RESERVE_BYTES, Disk, troubled_pair

from trilat.exchange import keeping
from trilat.store.sqlite import RESERVE_NAME


@pytest.fixture
def troubled(tmp_path: Path) -> Iterator[tuple[Joined, Disk]]:
    """JPN and KOR, level, with JPN's store on a disk that can be made to fail."""
    pair, disk = troubled_pair(tmp_path)
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


def test_what_waits_for_a_broken_disk_is_bounded_by_audience(
    troubled: tuple[Joined, Disk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nothing can be written, warnings for one audience beyond its bound are shed and counted, and cost another none."""
    monkeypatch.setattr(keeping, "UNSAVED_MAX", 3)
    pair, disk = troubled
    jpn = pair.exchanges["JPN"]
    disk.fails = sqlite3.SQLITE_IOERR
    warn(pair, "w1")
    pair.run(4)
    assert "down" == jpn.health
    monkeypatch.setattr(jpn, "check", lambda _: None)  # a third nation, of which this pair has no exchange
    jpn.offer(pair.now_ns, [released(warning_of(f"u{n}"), "USA", "flash") for n in range(5)])
    warn(pair, "w2")

    assert ["KOR", "USA", "USA", "USA", "KOR"] == [item.audience for item in jpn._unsaved]
    assert 2 == jpn.unsaved_shed
    jpn._unsaved = [item for item in jpn._unsaved if item.audience == "KOR"]
    disk.fails = None
    pair.run(100)
    assert ["w1", "w2"] == [item.record.id for item in pair.received["KOR"]]


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


def test_a_clock_that_is_set_back_does_not_hold_up_recovery(troubled: tuple[Joined, Disk]) -> None:
    """While the disk fails the clock is set back by an hour: the disk is tried again within the usual time, and all lanes go on."""
    pair, disk = troubled
    jpn = pair.exchanges["JPN"]
    disk.fails = sqlite3.SQLITE_IOERR
    warn(pair, "w1")
    pair.run(2)
    assert "down" == jpn.health
    disk.fails = None
    pair.now_ns -= 3_600 * SECOND
    pair.run(60)
    assert "ok" == jpn.health
    jpn.offer(pair.now_ns, tracks(pair, 2))
    pair.run(60)
    assert ["w1"] == [item.record.id for item in pair.received["KOR"] if item.lane == "flash"]
    assert 2 == len(pair.raws("KOR", "history"))


def test_a_warning_that_a_recovery_committed_is_not_offered_again(
    troubled: tuple[Joined, Disk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit that marks a recovery holds the step's warning; when the same step fails after that, it still leaves once."""
    pair, disk = troubled
    jpn = pair.exchanges["JPN"]
    disk.fails = sqlite3.SQLITE_FULL
    monkeypatch.setattr(jpn.station.store, "take_reserve", lambda: False)
    warn(pair, "w1")
    pair.run(10)
    assert "flash-only" == jpn.health
    monkeypatch.undo()
    disk.fails = None
    pair.now_ns += 2 * SECOND
    warn(pair, "w2")
    jpn.tick(pair.now_ns)
    assert "ok" == jpn.health
    warn(pair, "w3")
    disk.fails = sqlite3.SQLITE_IOERR
    jpn.flush(pair.now_ns, force=True)
    assert "down" == jpn.health
    disk.fails = None
    pair.now_ns += 2 * SECOND
    pair.run(60)
    assert ["w1", "w2", "w3"] == [item.record.id for item in pair.received["KOR"] if item.lane == "flash"]


def test_link_states_on_a_disk_that_fails_are_told_without_it(troubled: tuple[Joined, Disk]) -> None:
    """Asked for while the disk refuses to be written, the states come without what stands on it, and the trouble is named."""
    pair, disk = troubled
    jpn = pair.exchanges["JPN"]
    jpn.offer(pair.now_ns, tracks(pair, 5, lane="state"))
    jpn.flush(pair.now_ns)
    jpn.offer(pair.now_ns, tracks(pair, 5, first=50, lane="state"))
    disk.refuses = True
    states = jpn.links(pair.now_ns)
    assert len(states) == 6
    assert "store-readonly" == getattr(jpn.trouble, "name", "ok")
    disk.refuses = False
    pair.now_ns += 2 * SECOND
    pair.run(60)
    assert "ok" == jpn.health
