"""Stores of earlier versions open; those of later ones are refused and left as they are."""

import gzip
import hashlib
import shutil
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from trilat.errors import StoreError
from trilat.exchange.exchange import Exchange
from trilat.exchange.numbering import HEADER_BYTES
from trilat.identity.sign import KeyRing, SigningKey
from trilat.records.exchange import Cursor
from trilat.records.label import Mode
from trilat.records.released import Released
from trilat.store import migrate
from trilat.store.sqlite import FILE_NAME, StoreSettings, open_reader, open_store, read_meta
from trilat.transport.envelope import SALT_BYTES, split_payload
from trilat.transport.messages import MINOR, ExchangeSettings, PullId

FIXTURES = Path(__file__).parent / "fixtures"
MODE = Mode(kind="exercise", id="FIXTURE")
SETTINGS = StoreSettings(reserve_bytes=0)
# What every fixture holds, whatever its layout (made by tools/store_fixture.py).
BATCHES, QUEUED, ENTRIES = 3, 2, 5
NOW_NS = 1_790_000_000 * 10**9
VERSIONS = sorted(path.name.removesuffix(".sqlite.gz") for path in FIXTURES.glob("*.gz"))
# The first two hold no epoch but the first.
RICH = [version for version in VERSIONS if version not in {"0.1", "0.1-schema2"}]


def _unpacked(version: str, directory: Path) -> Path:
    path = directory / FILE_NAME
    with gzip.open(FIXTURES / f"{version}.sqlite.gz") as packed, path.open("wb") as file:
        shutil.copyfileobj(packed, file)
    return path


def _digest(directory: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(directory.glob(FILE_NAME + "*")))).hexdigest()


@pytest.mark.parametrize("version", VERSIONS)
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


def _ring(nation: str, partner: str) -> KeyRing:
    keys = {one: SigningKey(one, "exercise", one.encode().ljust(32, b".")) for one in (nation, partner)}
    return KeyRing(nation, MODE, [keys[nation]], [keys[partner].verify_key])


def _exchange(version: str, directory: Path) -> Exchange:
    directory.mkdir(exist_ok=True)
    _unpacked(version, directory)
    store = open_store(directory, "JPN", MODE, SETTINGS)
    return Exchange(ExchangeSettings(), "JPN", MODE, _ring("JPN", "KOR"), store, ("KOR",))


def _numbers(entries: list[bytes]) -> list[int]:
    return [msgspec.msgpack.decode(entry[SALT_BYTES:])["number"] for entry in entries]


@pytest.mark.parametrize("version", RICH)
def test_epochs_and_what_is_still_to_be_moved_go_on(version: str, tmp_path: Path) -> None:
    """What an earlier version had begun to move into a new epoch leaves whole, in the old order, without what was recalled."""
    exchange = _exchange(version, tmp_path)
    store = exchange.station.store
    exporter = exchange._exporters[("KOR", "history")]
    assert (2, 1) == (exporter.state.last.epoch, exporter.state.last.sequence)
    assert {1, 2} == {epoch for epoch in range(4) if store.outbox.epoch("KOR", "history", epoch) is not None}
    assert (2,) == store.outbox.recalled("KOR", "history", 1, 1, 8)
    assert store.outbox.head_at("KOR", "flash", 1, 1) == store.outbox.state("KOR", "flash").last.head
    assert 0 < exporter.unmoved
    while exporter.number(NOW_NS, 1 << 16, MINOR) is not None:
        pass
    sent = list(store.outbox.batches("KOR", "history", Cursor(2)))
    assert [0, 2, 3, 4, 5, 6, 7] == [n for batch in sent for n in _numbers(split_payload(batch.payload))]
    store.close()


@pytest.mark.parametrize("version", RICH)
def test_what_came_before_an_epoch_is_known_again(version: str, tmp_path: Path) -> None:
    """Records that an earlier version knew may come again are dropped when they do, once, and what is new is taken."""
    exchange = _exchange(version, tmp_path / "JPN")
    importer = exchange._importers[("KOR", "history")]
    assert (Cursor(2, 1, importer.state.cursor.head), 1) == (importer.state.cursor, importer.state.duplicates)
    store = open_store(tmp_path / "KOR", "KOR", MODE, SETTINGS)
    theirs = Exchange(ExchangeSettings(), "KOR", MODE, _ring("KOR", "JPN"), store, ("JPN",))
    exporter = theirs._exporters[("JPN", "history")]
    exporter.open_epoch(NOW_NS, Cursor(1, 4), Cursor(), "first")
    assert importer.state.cursor.epoch == exporter.state.last.epoch
    held = [
        raw for batch in exchange.station.store.inbox.batches("KOR", "history", Cursor()) for raw in split_payload(batch.payload)
    ]
    records = [entry[SALT_BYTES:] for entry in held[:4]]
    records.append(records[3].replace(b"\xcc\xcb", b"\xcc\xfa"))
    theirs.offer(NOW_NS, [structs.replace(_released(raw), t_ns=n) for n, raw in enumerate(records)])
    for credit in (HEADER_BYTES + 100, 1 << 16):
        sealed = exporter.number(NOW_NS, credit, MINOR)
        assert sealed is not None
        exchange.handle(NOW_NS, sealed[0], pull=PullId("KOR", "history", 1))
    exchange.flush(NOW_NS, force=True)
    assert (5, 4) == (importer.state.cursor.sequence, importer.state.duplicates)
    assert [250] == [msgspec.msgpack.decode(item.raw)["number"] for item in exchange.take_received() if item.sequence > 1][-1:]
    store.close()
    exchange.station.store.close()


def _released(raw: bytes) -> Released:
    return Released(
        audience="JPN",
        lane="history",
        mode=MODE,
        t_ns=NOW_NS,
        record=raw,
        record_type="trilat.fixture/1",
        label_hash=bytes(32),
        decision="permit",
        reason="rel-to",
    )


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
