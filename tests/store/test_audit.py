"""`trilat audit verify`: a sound store passes; whatever was altered, cut out or put in is found and named first."""

import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "exchange"))
from exchange_pair import Joined
from exchange_records import SECOND, released, track_of, warning_of

from trilat.cli.audit import command


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stores of JPN and KOR after an exchange, closed."""
    directory = tmp_path_factory.mktemp("stores")
    pair = Joined(directory).run()
    for n in range(6):
        pair.exchanges["JPN"].offer(
            pair.now_ns, [released(track_of(10 * n + i, t_ns=pair.now_ns), "KOR", "history") for i in range(5)]
        )
        pair.exchanges["JPN"].offer(pair.now_ns, [released(warning_of(f"w{n}"), "KOR", "flash")])
        pair.run(10)
    pair.run(30)
    pair.close()
    return directory


def store_of(stores: Path, nation: str, tmp_path: Path) -> Path:
    """Return a directory with a copy of a nation's store."""
    directory = tmp_path / nation
    directory.mkdir()
    shutil.copy(stores / f"{nation}.sqlite", directory / "trilat.sqlite")
    return directory


def verify(directory: Path) -> tuple[int, str]:
    """Run the command; return its exit code and all it says."""
    result = CliRunner().invoke(command, ["verify", str(directory)])
    assert None is result.exception or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.mark.parametrize("nation", ["JPN", "KOR"])
def test_a_sound_store_passes(stores: Path, tmp_path: Path, nation: str) -> None:
    """The store of an honest run is sound, and the last line says how much was looked at."""
    code, says = verify(store_of(stores, nation, tmp_path))
    assert 0 == code, says
    assert says.startswith(f"sound: {nation} exercise:TEST-1")
    assert "36 records" in says


def flip(blob: bytes, at: int) -> bytes:
    """Return bytes with one bit flipped."""
    return blob[:at] + bytes([blob[at] ^ 4]) + blob[at + 1 :]


def altered(table: str, column: str, where: str) -> Callable[[sqlite3.Connection], None]:
    """Return a deed that flips a bit in the middle of one blob."""

    def deed(database: sqlite3.Connection) -> None:
        blob = database.execute(f"SELECT {column} FROM {table} WHERE {where}").fetchone()[0]  # noqa: S608 - a test's own words
        database.execute(f"UPDATE {table} SET {column}=? WHERE {where}", (flip(blob, len(blob) // 2),))  # noqa: S608 - same

    return deed


def done(statement: str) -> Callable[[sqlite3.Connection], None]:
    """Return a deed of one statement."""
    return lambda database: database.execute(statement) and None


def emptied(index_of: str) -> Callable[[sqlite3.Connection], None]:
    """Return a deed that empties a table's index, as one flipped bit in the number of its cells can."""

    def deed(database: sqlite3.Connection) -> None:
        file = Path(database.execute("PRAGMA database_list").fetchone()[2])
        page_bytes = database.execute("PRAGMA page_size").fetchone()[0]
        query = "SELECT rootpage FROM sqlite_master WHERE type='index' AND tbl_name=? ORDER BY rootpage"
        pages = [page for (page,) in database.execute(query, (index_of,))]
        content = bytearray(file.read_bytes())
        for page in pages:
            at = (page - 1) * page_bytes
            content[at + 3 : at + 5] = bytes(2)
        file.write_bytes(content)

    return deed


DEEDS = [
    ("a bit in a log entry", "JPN", altered("log", "data", "n=20"), "TRI-0510", "log entry 20"),
    ("a log entry's time", "JPN", done("UPDATE log SET t_ns=t_ns+1 WHERE n=9"), "TRI-0510", "log entry 9"),
    ("a log entry cut out", "JPN", done("DELETE FROM log WHERE n=12"), "TRI-0510", "log entry 12"),
    ("a bit in a sent record", "JPN", altered("sent", "payload", "row=3"), "TRI-0511", "KOR/"),
    ("a bit in a received record", "KOR", altered("received", "payload", "row=4"), "TRI-0511", "JPN/"),
    ("a bit in a header", "KOR", altered("received", "body", "row=4"), "TRI-0511", "JPN/"),
    ("a bit in a signature", "KOR", altered("received", "signature", "row=2"), "TRI-0511", "JPN/"),
    ("a sent batch cut out", "JPN", done("DELETE FROM sent WHERE epoch=1 AND first=3"), "TRI-0512", "KOR/flash"),
    ("a received batch cut out", "KOR", done("DELETE FROM received WHERE epoch=1 AND first=3"), "TRI-0513", "JPN/flash"),
    (
        "the last received batch cut out",
        "KOR",
        done("DELETE FROM received WHERE row=(SELECT max(row) FROM received)"),
        "TRI-0513",
        "JPN/",
    ),
    ("an index emptied", "KOR", emptied("received"), "TRI-0520", "database file"),
    (
        "all of a stream's received batches cut out",
        "KOR",
        done("DELETE FROM received WHERE stream=(SELECT stream FROM streams WHERE side='in' AND lane='history')"),
        "TRI-0513",
        "JPN/history",
    ),
    (
        "a stream cut out",
        "JPN",
        done("DELETE FROM streams WHERE side='out' AND lane='flash' AND partner='KOR'"),
        "TRI-0512",
        "KOR/flash",
    ),
    (
        "books rolled back",
        "KOR",
        done(
            "UPDATE streams SET state=(SELECT state FROM streams WHERE side='in' AND lane='state') WHERE side='in' AND lane='flash'"
        ),
        "TRI-0514",
        "JPN/flash",
    ),
]


@pytest.mark.parametrize(("what", "nation", "deed", "code", "where"), DEEDS, ids=[deed[0] for deed in DEEDS])
def test_what_was_altered_is_named(
    stores: Path, tmp_path: Path, what: str, nation: str, deed: Callable[[sqlite3.Connection], None], code: str, where: str
) -> None:
    """Each kind of tampering ends the audit with 1, its code, and the place of the first bad record."""
    del what
    directory = store_of(stores, nation, tmp_path)
    database = sqlite3.connect(directory / "trilat.sqlite")
    deed(database)
    database.commit()
    database.close()
    exit_code, says = verify(directory)
    assert 1 == exit_code
    first = says.splitlines()[0]
    assert first.startswith(f"{code} {where}"), says


def test_a_pruned_store_passes_and_a_forged_checkpoint_does_not(tmp_path: Path) -> None:
    """Behind a signed checkpoint the log may begin later; a checkpoint with another head is found."""
    pair = Joined(tmp_path).run()
    pair.exchanges["JPN"].offer(pair.now_ns, [released(track_of(1), "KOR", "history")])
    pair.run(60)
    pair.now_ns += 40 * 86_400 * SECOND
    assert 0 < pair.exchanges["JPN"].retain(pair.now_ns, pair.now_ns - 30 * 86_400 * SECOND)
    pair.exchanges["JPN"].offer(pair.now_ns, [released(track_of(2), "KOR", "history")])
    pair.run(60)
    assert 2 == len(pair.raws("KOR", "history"))
    pair.close()
    directory = store_of(tmp_path, "JPN", tmp_path)
    code, says = verify(directory)
    assert 0 == code, says
    database = sqlite3.connect(directory / "trilat.sqlite")
    database.execute("UPDATE checkpoints SET head=zeroblob(32)")
    database.commit()
    database.close()
    code, says = verify(directory)
    assert 1 == code
    assert says.startswith("TRI-0515")


def test_an_unreadable_store_is_an_error_not_a_finding(tmp_path: Path) -> None:
    """A directory without a store, or with rubbish in its place, is said by name."""
    from trilat.errors import StoreError

    for content, name in ((None, "store-missing"), (b"rubbish" * 500, "store-corrupt")):
        if content is not None:
            (tmp_path / "trilat.sqlite").write_bytes(content)
        result = CliRunner().invoke(command, ["verify", str(tmp_path)])
        assert isinstance(result.exception, StoreError)
        assert name == result.exception.name


def test_a_large_store_is_judged_by_two_processes(stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a second process judges is what one alone would say: a sound store passes, an altered payload is named the same."""
    directory = store_of(stores, "JPN", tmp_path)
    alone = verify(directory)
    monkeypatch.setattr("trilat.cli.audit.BESIDE_BYTES_MIN", 0)
    assert alone == verify(directory)
    with sqlite3.connect(directory / "trilat.sqlite") as connection:
        row, payload = connection.execute("SELECT row, payload FROM sent ORDER BY row LIMIT 1 OFFSET 2").fetchone()
        connection.execute("UPDATE sent SET payload=? WHERE row=?", (flip(payload, 40), row))
    connection.close()
    beside = verify(directory)
    monkeypatch.undo()
    assert beside == verify(directory)
    assert (1, True) == (beside[0], "TRI-0511" in beside[1])


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_a_chain_checked_in_two_parts_breaks_where_it_breaks(
    stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    """An altered log entry is named the same whichever of the two processes meets it, also at the seam between their parts."""
    directory = store_of(stores, "JPN", tmp_path)
    with sqlite3.connect(directory / "trilat.sqlite") as connection:
        (last,) = connection.execute("SELECT max(n) FROM log").fetchone()
        n = max(1, round(share * last))
        (data,) = connection.execute("SELECT data FROM log WHERE n=?", (n,)).fetchone()
        connection.execute("UPDATE log SET data=? WHERE n=?", (flip(data, len(data) // 2), n))
    connection.close()
    alone = verify(directory)
    monkeypatch.setattr("trilat.cli.audit.BESIDE_BYTES_MIN", 0)
    assert alone == verify(directory)
    assert (1, True) == (alone[0], f"log entry {n}" in alone[1])
