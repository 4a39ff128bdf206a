"""The store: one nation, one mode, one transaction a step; damage and other people's stores are refused by name."""

import sqlite3
from pathlib import Path

import pytest

from trilat.errors import StoreError
from trilat.records.exchange import Cursor, InboxState, OutboxState, Queued, SealedBatch
from trilat.records.label import Mode
from trilat.store.sqlite import FILE_NAME, RESERVE_NAME, Store, StoreSettings, open_database, open_reader, open_store

MODE = Mode(kind="exercise", id="TEST-1")
SETTINGS = StoreSettings(reserve_bytes=65_536)


def opened(path: Path, nation: str = "JPN", mode: Mode = MODE) -> Store:
    """Open a store in a directory."""
    return open_store(path, nation, mode, SETTINGS)


def refused(path: Path, nation: str = "JPN", mode: Mode = MODE) -> str:
    """Return the name with which a store is refused."""
    with pytest.raises(StoreError) as error:
        opened(path, nation, mode)
    return error.value.name


def batch(first: int, count: int = 2, epoch: int = 1) -> SealedBatch:
    """Return a batch of the store's view; its content is opaque here."""
    return SealedBatch(
        partner="KOR",
        lane="state",
        epoch=epoch,
        first=first,
        count=count,
        prev_head=bytes([first - 1]) * 32,
        head=bytes([first + count - 1]) * 32,
        t_ns=first,
        kind="trilat.batch/1",
        body=b"body",
        key_id="0" * 32,
        signature=bytes(64),
        payload=b"payload",
    )


def test_a_store_is_one_nations_and_one_modes(tmp_path: Path) -> None:
    """A store opens again for its nation and mode, and for no other nation, exercise or live."""
    opened(tmp_path).close()
    opened(tmp_path).close()
    assert "store-nation" == refused(tmp_path, "KOR")
    assert "store-mode" == refused(tmp_path, mode=Mode(kind="exercise", id="OTHER"))
    assert "store-mode" == refused(tmp_path, mode=Mode(kind="live"))


def test_two_processes_cannot_have_one_store(tmp_path: Path) -> None:
    """While a store is open, a second opening is refused; after closing it works again."""
    store = opened(tmp_path)
    assert "store-locked" == refused(tmp_path)
    store.close()
    opened(tmp_path).close()


def test_damage_is_named(tmp_path: Path) -> None:
    """A file that is no database, one of something else, one without an owner, one of a newer version: each by its name."""
    path = tmp_path / FILE_NAME
    path.write_bytes(b"not a database at all" * 100)
    assert "store-corrupt" == refused(tmp_path)
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE things (x)")
    other.close()
    assert "store-corrupt" == refused(tmp_path)
    path.unlink()
    opened(tmp_path).close()
    with sqlite3.connect(path) as newer:
        newer.execute("UPDATE meta SET value=x'63' WHERE name='schema'")
    newer.close()
    assert "store-newer" == refused(tmp_path)
    with sqlite3.connect(path) as bare:
        bare.execute("DELETE FROM meta")
    bare.close()
    assert "store-corrupt" == refused(tmp_path)


def test_a_broken_last_entry_is_seen_when_opening(tmp_path: Path) -> None:
    """A log whose end does not fit its chain is not gone on with."""
    store = opened(tmp_path)
    store.note("feed", "radar", 1, b"one")
    store.note("feed", "radar", 2, b"two")
    store.commit()
    store.close()
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        database.execute("UPDATE log SET data=x'00' WHERE n=2")
    database.close()
    assert "store-corrupt" == refused(tmp_path)


def test_an_unreadable_directory_is_named(tmp_path: Path) -> None:
    """A store cannot be made where a file stands; and there is nothing to audit where there is none."""
    (tmp_path / "file").write_text("x")
    assert "store-unreadable" == refused(tmp_path / "file" / "store")
    with pytest.raises(StoreError) as error:
        open_reader(tmp_path)
    assert "store-missing" == error.value.name


def test_a_file_that_is_no_store_is_not_taken_for_a_disk_that_fails(tmp_path: Path) -> None:
    """An empty file, which SQLite takes for an empty database, and another program's are damaged stores; the disk is well."""
    (tmp_path / FILE_NAME).write_bytes(b"")
    for _ in range(2):
        with pytest.raises(StoreError) as error:
            open_reader(tmp_path)
        assert "store-corrupt" == error.value.name
        with sqlite3.connect(tmp_path / FILE_NAME) as other:
            other.execute("CREATE TABLE IF NOT EXISTS theirs (x)")
        other.close()


def test_a_step_is_all_or_nothing(tmp_path: Path) -> None:
    """What was not committed is gone after a rollback and after a crash: log, queue, batches, books and hand-over together."""
    store = opened(tmp_path)
    store.outbox.enqueue("KOR", "state", [Queued(record=b"kept", t_ns=1)])
    store.commit()
    for end in (Store.rollback, Store.close):
        store.note("feed", "radar", 1, b"lost")
        store.outbox.enqueue("KOR", "state", [Queued(record=b"lost", t_ns=1)])
        store.outbox.put_state("KOR", "state", OutboxState(last=Cursor(1, 9, bytes(32))))
        store.inbox.put_batch(batch(1))
        store.inbox.put_state("KOR", "state", InboxState(cursor=Cursor(1, 2, bytes(32))))
        store.inbox.handed(1)
        end(store)
    store = opened(tmp_path)
    assert 0 == store.journal.length
    assert [b"kept"] == [row.record for row in store.outbox.queued("KOR", "state", 1_000, 10)]
    assert (1, 4) == store.outbox.queue_size("KOR", "state")
    assert OutboxState() == store.outbox.state("KOR", "state")
    assert InboxState() == store.inbox.state("KOR", "state")
    assert [] == list(store.inbox.unhanded())
    store.close()


def test_queue_order_is_priority_then_age(tmp_path: Path) -> None:
    """What leaves next goes by priority, then age, at least one record, within bytes and count; what is shed goes from the other end."""
    store = opened(tmp_path)
    rows = [Queued(record=bytes([n]) * 100, t_ns=n, priority=n % 2) for n in range(6)]
    store.outbox.enqueue("KOR", "history", rows)
    assert [0, 2, 4, 1, 3, 5] == [row.t_ns for row in store.outbox.queued("KOR", "history", 10_000, 10)]
    assert [0, 2] == [row.t_ns for row in store.outbox.queued("KOR", "history", 250, 10)]
    assert [0] == [row.t_ns for row in store.outbox.queued("KOR", "history", 1, 10)]
    assert [1, 3] == [row.t_ns for row in store.outbox.least("KOR", "history", 150, 10)]
    assert 0 == store.outbox.queue_oldest_ns("KOR", "history")
    store.close()


def test_superseding_keeps_the_place(tmp_path: Path) -> None:
    """A newer state takes the place of the unsent older one, with its bytes and times; sizes follow."""
    store = opened(tmp_path)
    store.outbox.enqueue("KOR", "state", [Queued(record=b"a1", t_ns=1, key="a"), Queued(record=b"b1", t_ns=2, key="b")])
    assert 1 == store.outbox.enqueue("KOR", "state", [Queued(record=b"a2-longer", t_ns=3, key="a")])
    assert [(b"a2-longer", 3), (b"b1", 2)] == [(r.record, r.t_ns) for r in store.outbox.queued("KOR", "state", 999, 9)]
    assert (2, 11) == store.outbox.queue_size("KOR", "state")
    store.close()


def test_batches_are_found_by_number(tmp_path: Path) -> None:
    """The batch that holds a number is found, in its epoch, as it was put; numbers that were never given are not."""
    store = opened(tmp_path)
    for first in (1, 3, 5):
        store.outbox.put_batch(batch(first))
    store.outbox.put_batch(batch(1, epoch=2))
    found = store.outbox.batch_with("KOR", "state", 1, 4)
    assert found is not None
    assert (3, b"payload", 4) == (found.first, found.payload, found.final)
    assert None is store.outbox.batch_with("KOR", "state", 1, 7)
    assert None is store.outbox.batch_with("KOR", "flash", 1, 1)
    assert [(1, 3), (1, 5), (2, 1)] == [(b.epoch, b.first) for b in store.outbox.batches("KOR", "state", Cursor(1, 2))]
    assert [(1, 1), (1, 3), (1, 5), (2, 1)] == [(b.epoch, b.first) for b in store.outbox.batches("KOR", "state", Cursor())]
    store.close()


def test_going_on_after_a_place_costs_the_same_however_much_stands_before_it(tmp_path: Path) -> None:
    """To find the batch after a place the database does the same work at the beginning of a long stream and at its end."""
    store, work = opened(tmp_path), []
    for first in range(1, 250, 2):
        store.outbox.put_batch(batch(first))
        store.inbox.put_batch(batch(first))
    connection = store.database._connection
    assert isinstance(connection, sqlite3.Connection)
    for side in (store.outbox, store.inbox):
        for sequence in (2, 240):
            done: list[None] = []
            connection.set_progress_handler(lambda done=done: done.append(None), 1)
            assert sequence + 1 == next(side.batches("KOR", "state", Cursor(1, sequence))).first
            work.append(len(done))
    connection.set_progress_handler(None, 0)
    assert 1 == len(set(work)), work
    store.close()


def test_forgetting_spares_what_is_not_settled(tmp_path: Path) -> None:
    """Old batches go when they are receipted (outbox) or handed on (inbox); what is not stays, however old."""
    store = opened(tmp_path)
    for first in (1, 3, 5):
        store.outbox.put_batch(batch(first))
        store.inbox.put_batch(batch(first))
    store.inbox.handed(2)
    assert 1 == store.outbox.forget("KOR", "state", Cursor(1, 2), 100)
    assert [3, 5] == [b.first for b in store.outbox.batches("KOR", "state", Cursor())]
    assert 2 == store.inbox.forget("KOR", "state", Cursor(1, 6), 100)
    assert [5] == [b.first for b in store.inbox.unhanded()]
    assert 0 == store.outbox.forget("KOR", "state", Cursor(1, 6), 3)
    store.close()


def test_the_reserve_is_given_and_taken_again(tmp_path: Path) -> None:
    """Room is held back on disk, given up once when asked, and taken again when there is space."""
    store = opened(tmp_path)
    assert 65_536 == (tmp_path / RESERVE_NAME).stat().st_size
    assert [True, False] == [store.give_reserve(), store.give_reserve()]
    assert not (tmp_path / RESERVE_NAME).exists()
    assert store.take_reserve()
    assert store.has_reserve()
    store.close()


def test_errors_of_sqlite_get_our_names(tmp_path: Path) -> None:
    """A read-only store and a full one are told apart, and both by name."""

    def full(path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA max_page_count=40")
        return connection

    store = open_database(tmp_path / "full.sqlite", "JPN", MODE, SETTINGS, opener=full)
    store.note("feed", "radar", 1, bytes(400_000))
    with pytest.raises(StoreError) as error:
        store.commit()
    assert "store-full" == error.value.name
    store.rollback()
    store.note("feed", "radar", 1, b"small")
    store.commit()
    assert 1 == store.journal.length
    store.close()
    opened(tmp_path / "ro").close()
    reader = open_reader(tmp_path / "ro")
    with pytest.raises(StoreError) as error:
        reader.write("DELETE FROM log")
    assert "store-readonly" == error.value.name
    reader.close()
