"""One flipped bit anywhere in a store's file: found, or without effect; never wrong data handed on as right."""

from pathlib import Path
from random import Random

import pytest
from exchange_pair import Joined, tracks
from exchange_records import EXERCISE, released, warning_of

from trilat.cli.audit import BatchChecks
from trilat.errors import StoreError
from trilat.records.exchange import Cursor
from trilat.store.audit import Audit
from trilat.store.sqlite import FILE_NAME, StoreSettings, open_database, open_reader
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


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_two_thousand_flipped_bits(store: Path, tmp_path: Path) -> None:
    """Two thousand flips: each is found or has no effect."""
    flips(store, tmp_path, 2_000)
