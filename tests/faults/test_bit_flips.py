"""One flipped bit anywhere in a store's file: found, or without effect; never wrong data handed on as right."""

from pathlib import Path
from random import Random

import msgspec
import pytest
from exchange_pair import Joined, tracks
from exchange_records import EXERCISE, released, warning_of

from trilat.cli.audit import BatchChecks
from trilat.errors import StoreError
from trilat.node import setup
from trilat.node.settings import NodeConfig
from trilat.records.exchange import Cursor
from trilat.store.audit import Audit
from trilat.store.sqlite import FILE_NAME, StoreSettings, open_database, open_reader
from trilat.store.wal import lost_in
from trilat.transport import envelope as sealing

FOUND_MIN = 10
SETTINGS = StoreSettings(reserve_bytes=0)


def records(directory: Path) -> list[bytes]:
    """Return what KOR's store holds from JPN, in order."""
    store = open_database(directory / FILE_NAME, "KOR", EXERCISE, SETTINGS)
    try:
        return [
            entry[sealing.SALT_BYTES :]
            for lane in ("flash", "history")
            for batch in store.inbox.batches("JPN", lane, Cursor())
            for entry in sealing.split_payload(batch.payload)
        ]
    finally:
        store.close()


def sound(directory: Path) -> bool:
    """Tell whether the audit finds nothing in a store."""
    reader = open_reader(directory)
    try:
        audit, checks = Audit(reader), BatchChecks(reader, "KOR")
        audit.run(checks.batch, checks.checkpoint)
        return not audit.findings
    finally:
        reader.close()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of KOR that holds warnings and tracks of JPN, closed."""
    pair = Joined(tmp_path)
    pair.run(2)
    for n in range(6):
        pair.exchanges["JPN"].offer(pair.now_ns, [released(warning_of(f"w{n}"), "KOR", "flash"), *tracks(pair, 20, 100 * n)])
        pair.run(3)
    pair.close()
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "KOR.sqlite").rename(home / FILE_NAME)
    return home


def flip(store: Path, home: Path, dice: Random) -> None:
    """Copy a store and flip one bit of the copy."""
    home.mkdir()
    content = bytearray((store / FILE_NAME).read_bytes())
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    (home / FILE_NAME).write_bytes(content)


def flips(store: Path, tmp_path: Path, count: int) -> dict[str, int]:
    """Flip one bit `count` times; return how often it was found, and how often it had no effect. Fails for wrong data."""
    true, told = records(store), {"found": 0, "no effect": 0}
    assert sound(store)
    assert 126 == len(true)
    for seed in range(count):
        home = tmp_path / f"flip-{seed}"
        flip(store, home, Random(seed))
        try:
            found = not sound(home)
        except (StoreError, ValueError):  # what is damaged may also be unreadable
            found = True
        told["found" if found else "no effect"] += 1
        assert found or true == records(home), f"seed {seed}: wrong data, and the audit finds nothing"
    return told


def test_a_flipped_bit_is_found_or_has_no_effect(store: Path, tmp_path: Path) -> None:
    """Forty flips: each is found by the audit or leaves every record as it was (half of the file is free space); many are found."""
    told = flips(store, tmp_path, 40)
    assert told["found"] >= FOUND_MIN, told


# What a process that was killed leaves: the file as of the last checkpoint, and everything since in the write-ahead log.
LEFT = (FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm")


@pytest.fixture
def killed(tmp_path: Path) -> tuple[Path, list[list[bytes]]]:
    """A store of KOR as a kill leaves it, and what it held after each of its last commits, oldest first."""
    pair = Joined(tmp_path)
    pair.run(2)
    held: list[list[bytes]] = []
    for n in range(12):
        pair.exchanges["JPN"].offer(pair.now_ns, [released(warning_of(f"w{n}"), "KOR", "flash"), *tracks(pair, 20, 100 * n)])
        if n == 3:  # half of it in the file, half in the log
            pair.exchanges["KOR"].station.store.database.read("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        pair.run(3)
    home = tmp_path / "home"
    home.mkdir()
    for name in LEFT:
        (home / name).write_bytes((tmp_path / name.replace("trilat", "KOR")).read_bytes())
    pair.close()
    held.append(records(copied(home, tmp_path / "whole")))
    return home, held


def copied(home: Path, place: Path) -> Path:
    """Copy what is left of a store."""
    place.mkdir()
    for file in home.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    return place


def flips_in(killed: tuple[Path, list[list[bytes]]], name: str, tmp_path: Path, count: int) -> dict[str, int]:
    """Flip bits of one of the files. Each is found, or changes nothing, or undoes the very last commit, as a torn write would."""
    home, held = killed
    true, told = held[-1], {"found": 0, "no effect": 0, "as if the last commit had not been": 0}
    for seed in range(count):
        place = copied(home, tmp_path / f"{name}-{seed}")
        dice, file = Random(seed), place / name
        content = bytearray(file.read_bytes())
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        file.write_bytes(content)
        try:
            found = lost_in(place) > 0 or not sound(place)
            got = [] if found else records(place)
        except (StoreError, ValueError):
            found, got = True, []
        what = "found" if found else "no effect" if got == true else "as if the last commit had not been"
        told[what] += 1
        assert found or got == true[: len(got)], f"{name} seed {seed}: wrong data, and nothing finds it"
        assert found or len(true) - len(got) <= LAST_COMMIT_MAX, (
            f"{name} seed {seed}: {len(true) - len(got)} records gone in silence"
        )
    return told


# Records that one commit of this run may hold: a warning or a batch of tracks.
LAST_COMMIT_MAX = 21


@pytest.mark.parametrize("name", LEFT)
def test_a_flipped_bit_in_each_file_that_a_kill_leaves(killed: tuple[Path, list[list[bytes]]], name: str, tmp_path: Path) -> None:
    """Bits flipped in the file, its log and its index: found, or without effect; never is more than the last commit gone in silence."""
    told = flips_in(killed, name, tmp_path, 25)
    assert 25 == sum(told.values())
    if name.endswith("-wal"):
        assert told["found"] >= FOUND_MIN, told


def test_a_flipped_bit_in_a_record_that_waits_is_found_and_it_is_not_sent(tmp_path: Path) -> None:
    """A waiting warning whose bits rot is named by the audit, is not sent, and is counted; its neighbours arrive."""
    pair = Joined(tmp_path)
    pair.run(2)
    pair.stop("KOR")
    pair.exchanges["JPN"].offer(pair.now_ns, [released(warning_of(f"w{n}"), "KOR", "flash") for n in range(3)])
    pair.run(1)
    store = pair.exchanges["JPN"].station.store
    # w0 left for a pull that was parked; the next that waits is w1.
    at, record = store.database.rows("SELECT id, record FROM queued ORDER BY id LIMIT 1")[0]
    store.database.write("UPDATE queued SET record=? WHERE id=?", (record[:-1] + bytes([record[-1] ^ 4]), at))
    store.commit()
    audit = Audit(store.database)
    audit.run(lambda _batch, _ours: "", lambda *_: True)
    assert [("audit-queue", f"KOR/flash waiting {at}")] == [(one.name, one.where) for one in audit.findings]
    pair.start("KOR")
    pair.run(80)
    assert ["w0", "w2"] == [item.record.id for item in pair.received["KOR"]]
    link = pair.link("JPN", "KOR", "flash", "out")
    assert (1, 0, 1) == (link.damaged, link.lag_records, link.rejected["record-damaged"])
    pair.close()


def test_a_node_goes_on_after_damage_in_its_log(killed: tuple[Path, list[list[bytes]]]) -> None:
    """A node whose store's log is damaged in the middle starts, says how many commits are gone, and opens new epochs."""
    home, _ = killed
    store = home / "store"
    home.rename(home.with_name("store"))
    home.mkdir()
    home.with_name("store").rename(store)
    file = store / f"{FILE_NAME}-wal"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    lost = lost_in(store)
    assert lost > 1
    config = msgspec.convert(
        {"nation": "KOR", "mode": "exercise:TEST-1", "name": "kor", "directory": str(home), "keys": "/nowhere"}, NodeConfig
    )
    opened = setup.open_node_store(config, 1)
    noted = list(opened.journal.read(kinds=frozenset({"damaged"})))
    assert [lost] == [msgspec.msgpack.decode(entry.data)["commits"] for entry in noted]
    assert {True} == {opened.outbox.state(*place).epoch_due for place in opened.outbox.streams()} - {None}
    opened.close()
    assert 0 == lost_in(store)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_two_thousand_flipped_bits(store: Path, tmp_path: Path) -> None:
    """Two thousand flips: each is found or has no effect."""
    flips(store, tmp_path, 2_000)


@pytest.mark.soak
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("name", LEFT)
def test_a_thousand_flipped_bits_in_each_file(killed: tuple[Path, list[list[bytes]]], name: str, tmp_path: Path) -> None:
    """A thousand flips of each file that a kill leaves."""
    flips_in(killed, name, tmp_path, 1_000)
