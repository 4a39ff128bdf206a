"""What a partner signed for beyond a restored store's books is shown, and put back from a copy that proves itself."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from exchange_pair import Joined, tracks
from exchange_records import T0_NS, recall_of, released, warning_of

from trilat.cli.audit import BatchChecks
from trilat.cli.audit import command as audit
from trilat.cli.ledger import command
from trilat.errors import StoreError
from trilat.ledger.beyond import RULE_UNKNOWN, Beyond, beyond, rebuild
from trilat.ledger.holdings import Ledger
from trilat.records.exchange import Cursor
from trilat.store.sqlite import FILE_NAME, open_reader

NOW_NS = T0_NS + 10**12


class Restored:
    """JPN after it was put back to a copy: what KOR had receipted by then is known, and a later copy of JPN's store is there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.pair = Joined(directory)
        self.offer(tracks(self.pair, 20), released(warning_of("w1"), "KOR", "flash"))
        self.copy("JPN", "backup")
        self.offer(tracks(self.pair, 30, first=100), released(warning_of("w2"), "KOR", "flash"))
        self.copy("JPN", "later")
        self.before = self.held()
        self.until = self.pair.link("JPN", "KOR", "history", "out").receipt
        self.put_back("backup")
        self.offer(tracks(self.pair, 5, first=500))

    def offer(self, items: list, *more: object, ticks: int = 60) -> None:
        """Let JPN release to KOR, and KOR take it over."""
        self.pair.exchanges["JPN"].offer(self.pair.now_ns, [*items, *more])  # type: ignore[list-item]
        self.pair.run(ticks)

    def copy(self, nation: str, name: str) -> Path:
        """Keep a copy of a nation's store, as a directory, between two runs of it."""
        self.pair.exchanges[nation].flush(self.pair.now_ns, force=True)
        self.pair.stop(nation)
        (self.directory / name).mkdir()
        shutil.copy(self.directory / f"{nation}.sqlite", self.directory / name / FILE_NAME)
        self.pair.start(nation)
        self.pair.run(4)
        return self.directory / name

    def put_back(self, name: str) -> None:
        """Put JPN's store back to a copy (None of the fields of a proper restore: the partner's cursor tells)."""
        self.pair.stop("JPN")
        for file in self.directory.glob("JPN.sqlite*"):
            file.unlink()
        shutil.copy(self.directory / name / FILE_NAME, self.directory / "JPN.sqlite")
        self.pair.start("JPN")
        self.pair.run(60)

    def held(self) -> set[str]:
        """Return the records that the ledger says KOR receipted, by their bytes' hashes."""
        found = Ledger(self.pair.exchanges["JPN"].station.store.database).held_by("KOR")
        return {one.record_sha256 for one in found if one.held == "receipted"}

    def missing(self) -> list[Beyond]:
        """Return what is signed for and not there."""
        return beyond(self.pair.exchanges["JPN"].station.store.database)

    def rebuild(self, source: Path) -> list[str]:
        """Put back from a source; return why not, range by range."""
        store = self.pair.exchanges["JPN"].station.store
        there = open_reader(source)
        try:
            return [one.why_not for one in rebuild(store, there, BatchChecks(store.database, "JPN").batch, NOW_NS)]
        finally:
            store.commit()
            there.close()

    def invoke(self, *arguments: str, by: object = command) -> Result:
        """Run a command on JPN's store, which is stopped for it."""
        directory = self.copy("JPN", f"asked-{len(list(self.directory.iterdir()))}")
        return CliRunner().invoke(by, [arguments[0], str(directory), *arguments[1:]])  # type: ignore[arg-type]


@pytest.fixture
def restored(tmp_path: Path) -> Iterator[Restored]:
    made = Restored(tmp_path)
    yield made
    made.pair.close()


def test_what_a_partner_signed_for_beyond_our_books_is_named(restored: Restored) -> None:
    """Per lane the range is exact: from behind the copy's last number to the number that KOR's last cursor signed."""
    flash, history = restored.missing()
    assert ("KOR", "flash", 2, True) == (flash.partner, flash.lane, flash.until.sequence, flash.signed)
    assert (Cursor(1, 20, history.after.head), restored.until, True) == (history.after, history.until, history.signed)
    assert "KOR history 1.21 to 1.50" == history.text
    assert not restored.before <= restored.held()


def test_the_commands_say_what_is_missing(restored: Restored) -> None:
    """`ledger missing` lists the ranges and ends with 1, `ledger held` and `audit verify` name them; the store is sound all the same."""
    listed = restored.invoke("missing")
    assert (1, 2) == (listed.exit_code, listed.stdout.count(" signed"))
    assert "KOR history 1.21 to 1.50" in listed.stdout
    assert "KOR history 1.21 to 1.50" in restored.invoke("held", "--by", "KOR").stderr
    verified = restored.invoke("verify", by=audit)
    assert (0, True) == (verified.exit_code, verified.stdout.startswith("sound"))
    assert "KOR history 1.21 to 1.50" in verified.stderr


@pytest.mark.parametrize("source", ["later", "theirs"])
def test_rows_are_put_back_from_a_copy_of_ours_or_the_partners(restored: Restored, source: str) -> None:
    """Afterwards the ledger names every record that it named before the store was put back, the audit holds, nothing is missing."""
    path = restored.copy("KOR", "theirs") if source == "theirs" else restored.directory / source
    done = restored.invoke("rebuild", "--from", str(path))
    assert (0, True) == (done.exit_code, "KOR history 1.21 to 1.50: 30 records" in done.stdout), done.output
    assert ["", ""] == restored.rebuild(path)
    assert [] == restored.missing()
    assert restored.before <= restored.held()
    verified = restored.invoke("verify", by=audit)
    assert (0, "") == (verified.exit_code, verified.stderr), verified.output
    restored.offer(tracks(restored.pair, 3, first=900))  # and the exchange goes on as if nothing had been
    numbers = [item.record.number for item in restored.pair.received["KOR"] if item.lane == "history"]
    assert [*range(20), *range(100, 130), *range(500, 505), *range(900, 903)] == numbers


def test_what_was_recalled_stays_recalled(restored: Restored, tmp_path: Path) -> None:
    """A record that the later copy knows as recalled is not named as held once its row is back."""
    del restored
    directory = tmp_path / "second"
    directory.mkdir()
    pair = Joined(directory)
    made = Restored.__new__(Restored)
    made.directory, made.pair = directory, pair
    made.offer(tracks(pair, 4))
    made.copy("JPN", "backup")
    made.offer(tracks(pair, 4, first=10))
    made.offer([], released(recall_of("history", 1, (6,)), "KOR", "flash", record_type="trilat.recall/1"))
    later = made.copy("JPN", "later")
    before = made.held()
    made.put_back("backup")
    assert {""} == set(made.rebuild(later))
    assert before == made.held()
    pair.close()


def test_rows_that_do_not_prove_themselves_are_not_put_back(restored: Restored) -> None:
    """A source with one altered row, and one that ends too early, give nothing of that range, say why, and change nothing."""
    later = restored.directory / "later"
    assert ["1.2 is not in this source", "1.50 is not in this source"] == restored.rebuild(restored.directory / "backup")
    with sqlite3.connect(later / FILE_NAME) as database:
        database.execute("UPDATE sent SET payload=CAST(replace(payload, x'ca', x'cb') AS BLOB) WHERE epoch=1 AND first>20")
        database.execute(
            "DELETE FROM sent WHERE epoch=1 AND stream=(SELECT stream FROM streams WHERE lane='flash' AND side='out')"
        )
    database.close()
    held = restored.held()
    said = restored.rebuild(later)
    assert "1.2 is not in this source" == said[0]
    assert said[1]
    assert (2, held) == (len(restored.missing()), restored.held())


SPOILT = {
    "header": ("body", b"\xc1"),
    "header of another type": ("body", "x"),
    "kind of another type": ("kind", b"\xff"),
    "records": ("payload", b"\xc1"),
    "count": ("count", 1 << 62),
    "count of another type": ("count", "x"),
    "offsets": ("skip", b"\xff"),
    "why": ("about", b"\xff"),
    "why of fewer": ("about", b"\x90"),
    "why without words": ("about", b"\xdc\x00\x1e" + b"\xc4\x00" * 30),
    "moved": ("moved_from", "x"),
    "moved from elsewhere": ("moved_from", 4),
}


def spoil(path: Path, column: str, value: object, lane: str = "history") -> None:
    """Write a value into a column of every row of a lane of a copy."""
    with sqlite3.connect(path / FILE_NAME) as database:
        for table in ("sent", "received"):
            query = f"UPDATE {table} SET {column}=? WHERE stream IN (SELECT stream FROM streams WHERE lane=?)"  # noqa: S608
            database.execute(query, (value, lane))
    database.close()


@pytest.mark.parametrize("what", SPOILT)
def test_a_source_of_any_bytes_spoils_nothing_but_its_own_range(restored: Restored, what: str) -> None:
    """Our own copy with rows of anything at all: that range is not put back, why is said, the other is; the ledger can be asked."""
    spoil(restored.directory / "later", *SPOILT[what])
    flash, history = restored.rebuild(restored.directory / "later")
    assert ("", True) == (flash, bool(history))
    assert ["history"] == [one.lane for one in restored.missing()]
    assert restored.held()


@pytest.mark.parametrize("what", [what for what in SPOILT if what.startswith("why") or what == "moved from elsewhere"])
def test_what_only_we_can_know_is_not_taken_from_a_partner(restored: Restored, what: str) -> None:
    """In a partner's copy nothing stands beside the rows of why they left and where they moved; what it says there is left alone."""
    theirs = restored.copy("KOR", "theirs")
    spoil(theirs, *SPOILT[what])
    assert ["", ""] == restored.rebuild(theirs)
    assert restored.before <= restored.held()
    store = restored.pair.exchanges["JPN"].station.store.database
    rules = {one.rule for one in Ledger(store).held_by("KOR") if one.sequence > 20 and one.epoch == 1}
    assert {RULE_UNKNOWN} == rules


def test_a_source_with_a_damaged_page_gives_what_can_be_read(restored: Restored) -> None:
    """Rows of one lane on a page that cannot be read: that range is not put back, and why is said; the other lane's is."""
    later = restored.directory / "later"
    with closing(sqlite3.connect(later / FILE_NAME)) as reader:
        reader.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages = reader.execute("SELECT pageno FROM dbstat WHERE name='sent' AND pagetype='overflow'").fetchall()
    with (later / FILE_NAME).open("r+b") as file:
        for (page,) in pages:  # of the large rows: those of history
            file.seek((page - 1) * 4_096)
            file.write(b"\xff" * 4)
    said = restored.rebuild(later)
    assert 1 == said.count("")
    assert 1 == len(restored.missing())


def test_a_second_run_finds_nothing_to_do(restored: Restored) -> None:
    """Run again from the partner's copy, when all is there: nothing is missing, so nothing is wrong."""
    path = restored.copy("KOR", "theirs")
    directory = restored.copy("JPN", "asked")
    for said in (2, 0):
        done = CliRunner().invoke(command, ["rebuild", str(directory), "--from", str(path)])
        assert (0, said) == (done.exit_code, done.stdout.count("records")), done.output


def test_who_signed_for_nothing_here_can_give_nothing(restored: Restored) -> None:
    """A store of a nation that signed for none of what is missing is refused by name."""
    (restored.directory / "elsewhere").mkdir()
    Joined(restored.directory / "elsewhere", ("USA", "KOR")).run(2).close()
    (restored.directory / "usa").mkdir()
    shutil.copy(restored.directory / "elsewhere" / "USA.sqlite", restored.directory / "usa" / FILE_NAME)
    with pytest.raises(StoreError, match="USA"):
        restored.rebuild(restored.directory / "usa")


def test_a_lost_store_is_rebuilt_from_what_the_partner_holds(tmp_path: Path) -> None:
    """JPN begins with an empty store: KOR's cursor proves what it got, and KOR's copy gives every row of it back."""
    made = Restored.__new__(Restored)
    made.directory, made.pair = tmp_path, Joined(tmp_path)
    made.offer(tracks(made.pair, 20), released(warning_of("w1"), "KOR", "flash"))
    before = made.held()
    made.pair.stop("JPN")
    for file in tmp_path.glob("JPN.sqlite*"):
        file.unlink()
    made.pair.start("JPN")
    made.offer(tracks(made.pair, 2, first=50))
    assert ["KOR flash 1.1 to 1.1", "KOR history 1.1 to 1.20"] == [one.text for one in made.missing()]
    assert ["", ""] == made.rebuild(made.copy("KOR", "theirs"))
    assert ([], True) == (made.missing(), before <= made.held())
    made.pair.close()


def test_rows_of_a_later_epoch_are_put_back(restored: Restored) -> None:
    """Put back twice to the same copy: what KOR got in the epoch between is proven back to the place on which that epoch went on."""
    between = restored.copy("JPN", "between")
    before = restored.held()
    restored.put_back("backup")
    history = next(one for one in restored.missing() if one.lane == "history")
    assert "KOR history 1.21 to 2.5" == history.text
    assert {""} == set(restored.rebuild(between))
    assert ([], True) == (restored.missing(), before <= restored.held())
    verified = restored.invoke("verify", by=audit)
    assert (0, "") == (verified.exit_code, verified.stderr), verified.output
