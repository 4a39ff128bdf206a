"""A page of the store that cannot be read stops the lane whose rows stand on it, says so, and stops nothing else."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from exchange_pair import Joined, tracks
from exchange_records import SECOND, recall_of, released, track_of, warning_of

from trilat.errors import StoreError
from trilat.exchange.exchange import Exchange
from trilat.exchange.station import STOPPED_RETRY_NS
from trilat.records.exchange import Cursor, Queued, SealedBatch
from trilat.records.released import Released

PAGE_BYTES = 4_096
WAITING = 1_500


class Damaged:
    """JPN's store: pages of it are made unreadable, and mended."""

    def __init__(self, pair: Joined) -> None:
        self.path = pair.directory / "JPN.sqlite"
        self.pair = pair
        self.kept: list[tuple[int, bytes]] = []

    def forget_pages(self) -> None:
        """Have SQLite read from the file again what it has in memory."""
        self.pair.exchanges["JPN"].station.store.database.rows("PRAGMA shrink_memory")

    def damage(self, table: str, leaf: int) -> None:
        """Write over the head of one of a table's leaves, counted from its first (negative: from its last)."""
        self.pair.exchanges["JPN"].station.store.database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        with closing(sqlite3.connect(self.path)) as reader:
            leaves = reader.execute(
                "SELECT pageno FROM dbstat WHERE name=? AND pagetype='leaf' ORDER BY path", (table,)
            ).fetchall()
        at = (leaves[leaf][0] - 1) * PAGE_BYTES
        with self.path.open("r+b") as file:
            file.seek(at)
            self.kept.append((at, file.read(8)))
            file.seek(at)
            file.write(b"\xff" * 8)
        self.forget_pages()

    def mend(self) -> None:
        """Put back what stood there."""
        with self.path.open("r+b") as file:
            for at, stood in self.kept:
                file.seek(at)
                file.write(stood)
        self.kept = []
        self.forget_pages()


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Joined]:
    """JPN, KOR and USA, level; KOR is away."""
    pair = Joined(tmp_path, ("JPN", "KOR", "USA"))
    pair.run(3)
    pair.stop("KOR")
    yield pair
    pair.close()


def backlog(pair: Joined, count: int = WAITING, lane: str = "history") -> None:
    """Have records wait for KOR."""
    for first in range(0, count, 500):
        pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 500, first=first, lane=lane))
        pair.exchanges["JPN"].flush(pair.now_ns)


def for_usa(pair: Joined, n: int) -> Released:
    """Return a track of JPN's for USA."""
    return released(track_of(n, rel_to=("USA",), t_ns=pair.now_ns), "USA", "history", pair.now_ns)


def warn(pair: Joined, name: str, to: str = "KOR") -> None:
    """Have JPN warn a partner."""
    pair.exchanges["JPN"].offer(pair.now_ns, [released(warning_of(name, "JPN", (to,)), to, "flash", pair.now_ns)])


def warned(pair: Joined, nation: str) -> list[str]:
    """Return the ids of the warnings that a nation received."""
    return [item.record.id for item in pair.received[nation] if item.lane == "flash"]


def entries(exchange: Exchange, kind: str) -> list[str]:
    """Return whose entries of a kind stand in the log."""
    return [entry.source for entry in exchange.station.store.journal.read(kinds=frozenset({kind}))]


def test_a_damaged_page_among_what_waits_stops_that_lane_alone(three: Joined) -> None:
    """The lane is down and says why, what waits is still told; warnings, other lanes, other partners and what comes in go on."""
    backlog(three)
    Damaged(three).damage("queued", 20)
    three.start("KOR")
    three.run(40)
    jpn = three.exchanges["JPN"]
    assert ("ok", "lane-unreadable") == (jpn.health, getattr(jpn.trouble, "name", ""))
    assert "KOR history (out)" in str(jpn.trouble)
    link = three.link("JPN", "KOR", "history", "out")
    assert ("down", "lane-unreadable") == (link.health, link.trouble)
    assert 0 < len(three.raws("KOR", "history")) < WAITING
    assert WAITING - len(three.raws("KOR", "history")) == link.lag_records - (link.cursor.sequence - link.receipt.sequence)
    assert ["KOR/history"] == entries(jpn, "stopped")
    warn(three, "w1")
    warn(three, "w2", "USA")
    jpn.offer(three.now_ns, tracks(three, 3, first=9_000, lane="state"))
    jpn.offer(three.now_ns, [for_usa(three, n) for n in range(3)])
    three.exchanges["KOR"].offer(three.now_ns, [released(warning_of("k1", "KOR", ("JPN",)), "JPN", "flash", three.now_ns)])
    three.run(20)
    assert (["w1"], ["w2"], ["k1"]) == (warned(three, "KOR"), warned(three, "USA"), warned(three, "JPN"))
    assert (3, 3) == (len(three.raws("KOR", "state")), len(three.raws("USA", "history")))
    assert {"up"} == {
        state.health
        for state in jpn.links(three.now_ns)
        if (state.partner, state.lane, state.direction) != ("KOR", "history", "out")
    }


def test_what_is_offered_to_a_stopped_lane_is_counted(three: Joined) -> None:
    """Records for a stopped lane are not taken, and counted as shed on that lane, on disk, also over a restart of the node."""
    backlog(three)
    Damaged(three).damage("queued", 20)
    three.start("KOR")
    three.run(40)
    three.exchanges["JPN"].offer(three.now_ns, tracks(three, 5, first=9_000))
    three.run(2)
    assert 5 == three.link("JPN", "KOR", "history", "out").shed
    three.stop("JPN")
    three.start("JPN")
    three.run(40)
    assert ("down", 5) == (three.link("JPN", "KOR", "history", "out").health, three.link("JPN", "KOR", "history", "out").shed)
    warn(three, "w1")
    three.run(10)
    assert ["w1"] == warned(three, "KOR")


def test_a_lane_goes_on_by_itself_when_it_can_be_read(three: Joined) -> None:
    """After the page is readable again the lane goes on within the retry's time, and everything arrives once, in order."""
    backlog(three)
    damaged = Damaged(three)
    damaged.damage("queued", 20)
    three.start("KOR")
    three.run(40)
    assert len(three.raws("KOR", "history")) < WAITING
    damaged.mend()
    three.now_ns += STOPPED_RETRY_NS
    three.run(60)
    jpn = three.exchanges["JPN"]
    assert ("ok", None) == (jpn.health, jpn.trouble)
    assert list(range(WAITING)) == [item.record.number for item in three.received["KOR"] if item.lane == "history"]
    assert ["KOR/history"] == entries(jpn, "gone on")


def test_what_is_recalled_from_a_stopped_lane_never_leaves(three: Joined) -> None:
    """A recall of numbers of a stopped lane goes out by flash, and their records do not leave when the lane goes on."""
    jpn = three.exchanges["JPN"]
    three.start("KOR")
    three.tap = lambda nation, pull, envelope: None if (nation, pull.lane) == ("KOR", "history") else envelope
    jpn.offer(three.now_ns, tracks(three, 10))
    three.run(2)
    assert 4 < three.link("JPN", "KOR", "history", "out").cursor.sequence
    for n in range(20):  # others' batches fill the pages behind it
        jpn.offer(three.now_ns, [for_usa(three, n)])
        three.run(1)
    damaged = Damaged(three)
    damaged.damage("sent", 0)
    three.run(60)
    assert "lane-unreadable" == three.link("JPN", "KOR", "history", "out").trouble
    jpn.offer(
        three.now_ns, [released(recall_of("history", 1, (4,)), "KOR", "flash", three.now_ns, record_type="trilat.recall/1")]
    )
    three.run(4)
    assert 1 == len(three.raws("KOR", "flash"))
    three.tap = lambda _nation, _pull, envelope: envelope
    damaged.mend()
    three.now_ns += STOPPED_RETRY_NS
    three.run(60)
    numbers = [item.record.number for item in three.received["KOR"] if item.lane == "history"]
    assert [0, 1, 2, *range(4, 10)] == numbers


def moved_and_untaken(three: Joined, *others: Released) -> None:
    """Send KOR ten records and JPN's allies some; then have KOR come back with nothing, and the ten on their way in epoch 2."""
    jpn = three.exchanges["JPN"]
    three.start("KOR")
    jpn.offer(three.now_ns, [*tracks(three, 10), *others])
    three.run(40)
    assert list(range(10)) == [item.record.number for item in three.received["KOR"]]
    three.stop("KOR")
    for file in three.directory.glob("KOR.sqlite*"):
        file.unlink()
    three.received["KOR"] = []
    three.tap = lambda _nation, pull, envelope: None if (pull.lane, envelope.kind) == ("history", "trilat.batch/1") else envelope
    jpn._exporters[("KOR", "history")].open_epoch(three.now_ns, Cursor(), Cursor(), "restored")
    three.start("KOR")
    three.run(4)
    assert 2 == three.link("JPN", "KOR", "history", "out").cursor.epoch


@pytest.mark.parametrize("restarts", [False, True])
def test_what_became_of_a_recalled_record_never_leaves_either(
    three: Joined, monkeypatch: pytest.MonkeyPatch, *, restarts: bool
) -> None:
    """Recalled by its old number while its lane is stopped, a moved record leaves neither when that goes on nor after a restart."""
    jpn = three.exchanges["JPN"]
    moved_and_untaken(three)
    true = jpn.station.store.outbox.batch_with

    def unreadable(audience: str, lane: str, epoch: int, sequence: int) -> SealedBatch | None:
        if (audience, lane) == ("KOR", "history"):
            raise StoreError("store-corrupt", "a page")
        return true(audience, lane, epoch, sequence)

    monkeypatch.setattr(jpn.station.store.outbox, "batch_with", unreadable)
    three.run(60)
    assert "lane-unreadable" == three.link("JPN", "KOR", "history", "out").trouble
    jpn.offer(
        three.now_ns, [released(recall_of("history", 1, (4,)), "KOR", "flash", three.now_ns, record_type="trilat.recall/1")]
    )
    three.run(4)
    monkeypatch.undo()
    if restarts:
        jpn.flush(three.now_ns, force=True)
        three.stop("JPN")
        three.start("JPN")
    three.tap = lambda _nation, _pull, envelope: envelope
    three.now_ns += STOPPED_RETRY_NS
    three.run(60)
    numbers = [item.record.number for item in three.received["KOR"] if item.lane == "history"]
    assert [0, 1, 2, *range(4, 10)] == numbers


def test_what_a_stopped_lane_is_told_outlives_another_that_goes_on(three: Joined, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recalled and offered in the step in which another stopped lane goes on: it is recalled and counted all the same."""
    jpn = three.exchanges["JPN"]
    moved_and_untaken(three, for_usa(three, 1))
    true, outbox = jpn.station.store.outbox.batch_with, jpn.station.store.outbox

    def read(audience: str, lane: str, epoch: int, sequence: int) -> SealedBatch | None:
        if (audience, lane) == ("KOR", "history"):
            raise StoreError("store-corrupt", "a page")
        return true(audience, lane, epoch, sequence)

    def enqueue(audience: str, lane: str, rows: Sequence[Queued]) -> int:
        raise StoreError("store-corrupt", f"a page of {audience} {lane}, {len(rows)}")

    monkeypatch.setattr(outbox, "batch_with", read)
    three.run(60)
    three.now_ns += STOPPED_RETRY_NS // 2
    with monkeypatch.context() as patched:
        patched.setattr(outbox, "enqueue", enqueue)
        jpn.offer(three.now_ns, [for_usa(three, 2)])
    three.run(2)
    assert {("out", "KOR", "history"), ("out", "USA", "history")} == set(jpn._stopped)
    shed = three.link("JPN", "KOR", "history", "out").shed
    jpn._stopped[("out", "USA", "history")] = jpn._stopped[("out", "USA", "history")]._replace(retry_ns=three.now_ns)
    recall = released(recall_of("history", 1, (4,)), "KOR", "flash", three.now_ns, record_type="trilat.recall/1")
    jpn.offer(three.now_ns, [recall, *tracks(three, 3, first=700)])
    three.run(2)
    assert {("out", "KOR", "history")} == set(jpn._stopped)
    assert shed + 3 == three.link("JPN", "KOR", "history", "out").shed
    monkeypatch.undo()
    three.tap = lambda _nation, _pull, envelope: envelope
    three.now_ns += STOPPED_RETRY_NS
    three.run(60)
    numbers = [item.record.number for item in three.received["KOR"] if item.lane == "history"]
    assert [0, 1, 2, *range(4, 10)] == numbers


def test_a_damaged_page_among_waiting_warnings_stops_one_partner(three: Joined) -> None:
    """Warnings for the partner whose waiting ones cannot be read are kept in memory, others' go on; both leave once it can be."""
    for n in range(200):
        warn(three, f"w{n}")
    three.exchanges["JPN"].flush(three.now_ns)
    damaged = Damaged(three)
    damaged.damage("queued", 2)
    three.start("KOR")
    three.run(20)
    jpn = three.exchanges["JPN"]
    assert ("ok", "lane-unreadable") == (jpn.health, three.link("JPN", "KOR", "flash", "out").trouble)
    warn(three, "later")
    warn(three, "u1", "USA")
    three.run(10)
    assert ["u1"] == warned(three, "USA")
    damaged.mend()
    three.now_ns += STOPPED_RETRY_NS
    three.run(300)
    assert [*(f"w{n}" for n in range(200)), "later"] == warned(three, "KOR")


def test_where_nothing_can_be_queued_warnings_still_leave(three: Joined) -> None:
    """With the queue's last page unreadable no bulk can wait for anybody; those lanes stop, and warnings to who is there go on."""
    backlog(three)
    Damaged(three).damage("queued", -1)
    jpn = three.exchanges["JPN"]
    for n in range(3):
        jpn.offer(three.now_ns, tracks(three, 2, first=9_000 + n))
        three.run(3)
    assert ("ok", "lane-unreadable") == (jpn.health, getattr(jpn.trouble, "name", ""))
    warn(three, "u1", "USA")
    three.run(10)
    assert ["u1"] == warned(three, "USA")


@pytest.mark.parametrize("table", ["recalled", "orphans", "chunks"])
def test_what_stands_beside_a_lane_stops_no_other_and_no_start(three: Joined, table: str) -> None:
    """Pages of what a partner recalled, may send again, or has sent in part: the node starts with them damaged, all else goes on."""
    three.start("KOR")
    three.run(4)
    jpn = three.exchanges["JPN"]
    inbox = jpn.station.store.inbox
    inbox.put_state("KOR", "history", inbox.state("KOR", "history"))
    inbox.recall("KOR", "history", 9, range(5_000))
    inbox.put_orphans("KOR", "history", [n.to_bytes(32, "big") for n in range(1_000)], three.now_ns)
    for n in range(60):
        inbox.put_chunk("KOR", "history", n.to_bytes(32, "big"), 0, 2, bytes(500))
    jpn.flush(three.now_ns, force=True)
    for leaf in range(3):
        Damaged(three).damage(table, leaf)
    three.stop("JPN")
    three.start("JPN")
    three.run(40)
    warn(three, "w1")
    warn(three, "w2", "USA")
    for nation in ("KOR", "USA"):
        track = track_of(1, nation, rel_to=("JPN",), t_ns=three.now_ns)
        three.exchanges[nation].offer(three.now_ns, [released(track, "JPN", "history", three.now_ns)])
    three.run(40)
    assert (["w1"], ["w2"]) == (warned(three, "KOR"), warned(three, "USA"))
    assert "USA" in {item.exporter for item in three.received["JPN"] if item.lane == "history"}
    assert "ok" == three.exchanges["JPN"].health


def test_a_past_that_can_not_be_removed_stops_nothing(three: Joined) -> None:
    """Retention that meets an unreadable page leaves that stream's past alone, says so, and removes the others' at the next pass."""
    three.start("KOR")
    jpn = three.exchanges["JPN"]
    for n in range(40):
        jpn.offer(three.now_ns, [*tracks(three, 20, first=20 * n), for_usa(three, n)])
        three.run(1)
    three.run(4)
    Damaged(three).damage("sent", 1)
    three.now_ns += 100 * SECOND
    for _ in range(4):
        jpn.retain(three.now_ns, three.now_ns - 50 * SECOND)
        three.run(2)
    assert "ok" == jpn.health
    assert "(past)" in str(jpn.trouble)
    jpn.offer(three.now_ns, tracks(three, 1, first=9_999))
    warn(three, "w1")
    three.run(4)
    assert ["w1"] == warned(three, "KOR")
    assert 9_999 in {item.record.number for item in three.received["KOR"] if item.lane == "history"}
