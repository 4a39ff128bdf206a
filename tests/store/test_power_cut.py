"""Power cuts: SQLite's own code on a simulated disk that forgets, keeps or tears what was not synced."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "exchange"))
from exchange_pair import Joined
from exchange_records import EXERCISE, released, track_of, warning_of

from trilat.cli.audit import BatchChecks
from trilat.records.label import Mode
from trilat.store.audit import Audit
from trilat.store.sqlite import FILE_NAME, StoreSettings, open_database, open_reader
from trilat.transport.messages import BatchHeader, Pull, decode_message

MODE = Mode(kind="exercise", id="TEST-1")
SETTINGS = StoreSettings(reserve_bytes=0, wal_pages=60)


class Undo:
    """One write that is not synced: where it went, and what stood there before."""

    def __init__(self, offset: int, before: bytes, size_before: int, data: bytes) -> None:
        self.offset, self.before, self.size_before, self.data = offset, before, size_before, data


class Disk(apsw.VFS):
    """A disk that remembers every write since the last sync of its file. `honest` = False forgets to sync."""

    def __init__(self, name: str, *, honest: bool = True) -> None:
        self.own_name = name
        self.unsynced: dict[str, list[Undo]] = {}
        self.honest = honest
        super().__init__(name, "")

        self.countdown, self.when_due = 0, lambda: None

    def step(self) -> None:
        """Count down to the cut with each write or sync, so that it falls into the middle of a commit or a checkpoint."""
        self.countdown -= 1
        if self.countdown == 0:
            self.when_due()

    def xOpen(self, name: Any, flags: list[int]) -> "DiskFile":  # noqa: N802 - SQLite's name
        """Open a file on this disk."""
        return DiskFile(self, name, flags)

    def cut(self, directory: Path, random: Random) -> None:
        """Cut the power: leave in `directory` what a disk might hold, each unsynced write kept, dropped or torn."""
        for name, undos in self.unsynced.items():
            path = Path(name)
            content = bytearray(path.read_bytes()) if path.exists() else bytearray()
            keep = random.choice([0.0, 0.5, 1.0])
            for undo in reversed(undos):
                if random.random() < keep:
                    continue
                torn = random.choice([0, 0, len(undo.data) // 2])
                end = undo.offset + len(undo.data)
                restored = undo.before.ljust(len(undo.data), b"\0")
                content[undo.offset + torn : end] = restored[torn:]
                if undo.size_before < end == len(content) and not torn:
                    del content[undo.size_before :]
            (directory / path.name).write_bytes(content)


class DiskFile(apsw.VFSFile):
    """A real file whose writes are remembered until they are synced."""

    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self.disk = disk
        self.name = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self.undos = disk.unsynced.setdefault(self.name, [])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        """Write, and remember what stood there."""
        self.disk.step()
        size = self.xFileSize()
        before = self.xRead(min(len(data), size - offset), offset) if offset < size else b""
        self.undos.append(Undo(offset, before, size, bytes(data)))
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        """Make everything written so far durable, if the disk is honest."""
        self.disk.step()
        super().xSync(flags)
        if self.disk.honest:
            self.undos.clear()


class OnDisk:
    """A connection of the store's kind on a simulated disk."""

    def __init__(self, path: Path, disk: str) -> None:
        self.inner = apsw.Connection(str(path), vfs=disk)
        self.inner.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        """Run a statement."""
        return self.inner.execute(sql, parameters)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Any:
        """Run a statement for many rows."""
        return self.inner.executemany(sql, rows)

    def close(self) -> None:
        """Close it."""
        self.inner.close()


def told(pair: Joined, nation: str) -> dict[str, int]:
    """Return what a nation has told others so far: per lane the last number sent (JPN) or receipted (KOR)."""
    highest = {"flash": 0, "history": 0}
    if nation == "JPN":
        headers = [decode_message(envelope.body) for to, _, envelope in pair.replies if to == "KOR"]
        places = [(h.lane, h.number + h.count - 1) for h in headers if isinstance(h, BatchHeader)]
    else:
        pulls = [decode_message(request.body) for request in pair.requests if request.sender == "KOR"]
        places = [(pull.lane, pull.cursor.sequence) for pull in pulls if isinstance(pull, Pull)]
    for lane, number in places:
        highest[lane] = max(highest.get(lane, 0), number)
    return highest


def problems_after_cut(seed: int, tmp_path: Path, *, honest: bool = True) -> list[str]:
    """Run an exchange on simulated disks, cut one node's power at a seeded write; return what is lost or broken in what remains."""
    random = Random(seed)
    nation = random.choice(["JPN", "KOR"])
    disk = Disk(f"{tmp_path.name}-{seed}-{honest}", honest=honest)
    pair, place = Joined(tmp_path), tmp_path / "after"
    pair.stop(nation)
    (tmp_path / f"{nation}.sqlite").unlink()
    pair.start(nation, opener=lambda path: OnDisk(path, disk.own_name))
    expected: dict[str, int] = {}

    def cut() -> None:
        place.mkdir()
        disk.cut(place, random)
        expected.update(told(pair, nation))

    disk.when_due, disk.countdown = cut, random.randrange(1, 900)
    for n in range(60):
        size = random.choice([1, 1, 8, 60])
        pair.exchanges["JPN"].offer(pair.now_ns, [released(track_of(100 * n + i), "KOR", "history") for i in range(size)])
        pair.exchanges["JPN"].offer(pair.now_ns, [released(warning_of(f"w{n}"), "KOR", "flash")])
        pair.run(random.randrange(1, 10))
        if expected:
            break
    pair.close()
    for path in place.iterdir():
        path.rename(place / path.name.replace(f"{nation}.sqlite", FILE_NAME))
    return judged(place, nation, expected)


def judged(place: Path, nation: str, expected: dict[str, int]) -> list[str]:
    """Return what is wrong with a store after a cut: unreadable, unsound, or behind what it had told others."""
    try:
        store = open_database(place / FILE_NAME, nation, EXERCISE, SETTINGS)
        for lane, number in expected.items():
            held = store.outbox.state("KOR", lane).last if nation == "JPN" else store.inbox.state("JPN", lane).cursor
            if held.sequence < number:
                return [f"{nation} {lane}: told {number}, holds {held.sequence}"]
        store.close()
        reader = open_reader(place)
        audit, checks = Audit(reader), BatchChecks(reader, nation)
        audit.run(checks.batch, checks.checkpoint)
        reader.close()
    except Exception as error:  # noqa: BLE001 - a broken store may fail in any way; each is a finding
        return [f"{nation}: {error!r}"]
    return [str(finding) for finding in audit.findings]


@pytest.mark.parametrize("seed", range(12))
def test_nothing_told_is_lost_by_a_power_cut(tmp_path: Path, seed: int) -> None:
    """Wherever the cut falls, and whatever of the unsynced writes survives, what was sent or receipted is there, and the store sound."""
    assert [] == problems_after_cut(seed, tmp_path)


def test_a_disk_that_does_not_sync_is_found_out(tmp_path: Path) -> None:
    """The planted bug: without syncs some cut loses what was told. If it did not, the test above would prove nothing."""
    found = []
    for seed in range(20):
        (tmp_path / str(seed)).mkdir()
        found += problems_after_cut(seed, tmp_path / str(seed), honest=False)
        if found:
            break
    assert found
