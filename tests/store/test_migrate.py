"""Stores of earlier versions open; those of later ones are refused and left as they are."""

import gzip
import hashlib
import shutil
from pathlib import Path

import msgspec
import pytest

from trilat.errors import StoreError
from trilat.records.label import Mode
from trilat.store import migrate
from trilat.store.sqlite import FILE_NAME, StoreSettings, open_reader, open_store, read_meta

FIXTURES = Path(__file__).parent / "fixtures"
MODE = Mode(kind="exercise", id="FIXTURE")
SETTINGS = StoreSettings(reserve_bytes=0)
# What every fixture holds, whatever its layout (made by tools/store_fixture.py).
BATCHES, QUEUED, ENTRIES = 3, 2, 5


def _unpacked(version: str, directory: Path) -> Path:
    path = directory / FILE_NAME
    with gzip.open(FIXTURES / f"{version}.sqlite.gz") as packed, path.open("wb") as file:
        shutil.copyfileobj(packed, file)
    return path


def _digest(directory: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(directory.glob(FILE_NAME + "*")))).hexdigest()


@pytest.mark.parametrize("version", sorted(path.name.removesuffix(".sqlite.gz") for path in FIXTURES.glob("*.gz")))
def test_stores_of_released_versions_open(version: str, tmp_path: Path) -> None:
    """What a released version wrote is all there: log and chain, queue, batches, books; and it is written on."""
    _unpacked(version, tmp_path)
    store = open_store(tmp_path, "JPN", MODE, SETTINGS)
    assert migrate.SCHEMA_VERSION == read_meta(store.database)["schema"]
    assert ENTRIES <= store.journal.length
    assert QUEUED == store.outbox.queue_size("KOR", "state")[0]
    state = store.outbox.state("KOR", "history")
    batches = list(store.outbox.batches("KOR", "history", state.base))
    assert BATCHES == len(batches)
    assert state.last.sequence == batches[-1].final
    store.journal.append("tick", "node", 1, b"more")
    store.commit()
    store.close()


def test_a_store_of_a_later_version_is_refused_and_not_touched(tmp_path: Path) -> None:
    """A layout that is not known is refused by name, for work and for reading, and every byte stays as it was."""
    store = open_store(tmp_path, "JPN", MODE, SETTINGS)
    store.database.write("UPDATE meta SET value=? WHERE name='schema'", (msgspec.msgpack.encode(99),))
    store.commit()
    store.close()
    before = _digest(tmp_path)
    with pytest.raises(StoreError) as raised:
        open_store(tmp_path, "JPN", MODE, SETTINGS)
    assert ("store-newer", before) == (raised.value.name, _digest(tmp_path))


def test_steps_run_once_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store two versions behind is brought on by both steps, keeps its data, and is then of the present version."""
    _unpacked("0.1", tmp_path)
    steps = {1: ("ALTER TABLE log ADD COLUMN one INTEGER",), 2: ("UPDATE log SET one=2", "CREATE TABLE later (n INTEGER)")}
    monkeypatch.setattr(migrate, "STEPS", steps)
    monkeypatch.setattr(migrate, "SCHEMA_VERSION", 3)
    store = open_store(tmp_path, "JPN", MODE, SETTINGS)
    assert 3 == read_meta(store.database)["schema"]
    assert {(2,)} == set(store.database.rows("SELECT DISTINCT one FROM log"))
    length = store.journal.length
    store.close()
    again = open_store(tmp_path, "JPN", MODE, SETTINGS)
    assert length == again.journal.length
    again.close()


def test_a_step_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a later statement fails, the store is as before, and the version before still opens it."""
    _unpacked("0.1", tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "STEPS", {1: ("CREATE TABLE later (n INTEGER)", "DROP TABLE never_there")})
        patch.setattr(migrate, "SCHEMA_VERSION", 2)
        with pytest.raises(StoreError):
            open_store(tmp_path, "JPN", MODE, SETTINGS)
    database = open_reader(tmp_path)
    assert 1 == read_meta(database)["schema"]
    assert None is database.row("SELECT 1 FROM sqlite_master WHERE name='later'")
    database.close()
    open_store(tmp_path, "JPN", MODE, SETTINGS).close()


def test_a_gap_between_versions_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store from before the first step is refused by name."""
    _unpacked("0.1", tmp_path)
    monkeypatch.setattr(migrate, "SCHEMA_VERSION", 99)
    with pytest.raises(StoreError) as raised:
        open_store(tmp_path, "JPN", MODE, SETTINGS)
    assert "store-old" == raised.value.name
