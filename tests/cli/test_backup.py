"""`trilat backup` and `trilat restore`: a copy of a running store goes on in a new epoch, and nothing is held twice."""

import sys
from pathlib import Path

from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "exchange"))
from exchange_pair import Joined, tracks
from exchange_records import EXERCISE

from trilat.accounts.book import FILE_NAME as BOOK
from trilat.accounts.book import Book
from trilat.cli.audit import command as audit
from trilat.cli.backup import command as backup
from trilat.cli.restore import command as restore
from trilat.store.sqlite import FILE_NAME


def test_a_restored_store_goes_on_in_a_new_epoch(tmp_path: Path) -> None:
    """A backup made while the node ran, restored later, is sound, opens new epochs, and loses and doubles nothing at the partner."""
    pair = Joined(tmp_path).run()
    first = tracks(pair, 4)
    pair.exchanges["JPN"].offer(pair.now_ns, first)
    pair.run(60)
    running = tmp_path / "running"
    running.mkdir()
    (running / FILE_NAME).symlink_to(tmp_path / "JPN.sqlite")
    copied = CliRunner().invoke(backup, [str(running), str(tmp_path / "backup")])
    assert 0 == copied.exit_code, copied.output
    more = tracks(pair, 3, first=4)
    pair.exchanges["JPN"].offer(pair.now_ns, more)
    pair.run(60)
    pair.stop("JPN")
    restored = CliRunner().invoke(restore, [str(tmp_path / "backup"), str(tmp_path / "new")])
    assert 0 == restored.exit_code, restored.output
    assert 0 == CliRunner().invoke(audit, ["verify", str(tmp_path / "new")]).exit_code
    for path in tmp_path.glob("JPN.sqlite*"):
        path.unlink()
    (tmp_path / "new" / FILE_NAME).rename(tmp_path / "JPN.sqlite")
    pair.start("JPN")
    last = tracks(pair, 2, first=7)
    pair.exchanges["JPN"].offer(pair.now_ns, [*more[:1], *last])
    pair.run(120)
    assert [item.record for item in (*first, *more, *last)] == pair.raws("KOR", "history")
    assert 2 == pair.link("JPN", "KOR", "history", "out").cursor.epoch
    assert EXERCISE == pair.mode
    pair.close()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """Neither a backup nor a restore writes over a file that is there."""
    pair = Joined(tmp_path)
    pair.close()
    store = tmp_path / "store"
    store.mkdir()
    (tmp_path / "JPN.sqlite").rename(store / FILE_NAME)
    (tmp_path / "there").write_text("x")
    assert 2 == CliRunner().invoke(backup, [str(store), str(tmp_path / "there")]).exit_code
    assert 2 == CliRunner().invoke(restore, [str(tmp_path / "there"), str(store)]).exit_code


def store_with_book(tmp_path: Path) -> Path:
    """Return the store of a node that has an account with an open session."""
    pair = Joined(tmp_path)
    pair.close()
    store = tmp_path / "node" / "store"
    store.mkdir(parents=True)
    (tmp_path / "JPN.sqlite").rename(store / FILE_NAME)
    with Book(tmp_path / "node" / BOOK, "JPN", EXERCISE) as book:
        book.add(1, "sato", "Sato", "kept", ("watch-officer",))
        book.open_session(1, "sato", book.add_station(1, b"s" * 32), "here", b"k" * 32, 10**18)
        assert [one.user for one in book.sessions(2)] == ["sato"]
    return store


def test_the_account_book_is_kept_and_restored_without_its_sessions(tmp_path: Path) -> None:
    """A restored node knows its accounts; nobody is logged in, no station is known, and the log is told as an alarm."""
    store = store_with_book(tmp_path)
    copied = CliRunner().invoke(backup, [str(store), str(tmp_path / "kept")])
    assert 0 == copied.exit_code, copied.output
    assert 0o600 == (tmp_path / "kept.accounts").stat().st_mode & 0o777
    restored = CliRunner().invoke(restore, [str(tmp_path / "kept"), str(tmp_path / "new" / "store")])
    assert 0 == restored.exit_code, restored.output
    assert "1 accounts restored" in restored.output
    with Book(tmp_path / "new" / BOOK, "JPN", EXERCISE) as book:
        assert [(one.user, one.roles) for one in book.accounts()] == [("sato", ("watch-officer",))]
        assert book.sessions(2) == []
        assert book.station(b"s" * 32) is None
        assert [one.severity for one in book.changes()][-1] == "alarm"
    assert 0o600 == (tmp_path / "new" / BOOK).stat().st_mode & 0o777


def test_a_book_is_neither_overwritten_nor_carried_to_another_nation(tmp_path: Path) -> None:
    """Where there is an account book none is restored, and the book of another nation or mode is refused, with nothing left behind."""
    store = store_with_book(tmp_path)
    assert 0 == CliRunner().invoke(backup, [str(store), str(tmp_path / "kept")]).exit_code
    (store / FILE_NAME).unlink()
    refused = CliRunner().invoke(restore, [str(tmp_path / "kept"), str(store)])
    assert (2, True) == (refused.exit_code, "account book" in refused.output)
    (tmp_path / "kept.accounts").unlink()
    Book(tmp_path / "kept.accounts", "KOR", EXERCISE).close()
    other = CliRunner().invoke(restore, [str(tmp_path / "kept"), str(tmp_path / "new" / "store")])
    assert "accounts-of-another" in f"{getattr(other.exception, 'name', '')}"
    assert not (tmp_path / "new" / BOOK).exists()
