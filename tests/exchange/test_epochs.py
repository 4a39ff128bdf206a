"""New epochs: the last place that both sides hold is found, what goes over goes a little at a time, and what is lost is said."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from exchange_pair import SETTINGS, Joined, tracks
from exchange_records import SECOND, recall_of, released, warning_of

from trilat.exchange.importer import Importer
from trilat.exchange.intake import PARTIAL_MAX
from trilat.records import codec
from trilat.records.exchange import Cursor
from trilat.transport import envelope as sealing
from trilat.transport.messages import CHUNK_TYPE, Chunk, decode_message

DAY_NS = 86_400 * SECOND
LARGE = 800


@pytest.fixture(name="pair")
def _pair(tmp_path: Path) -> Iterator[Joined]:
    pair = Joined(tmp_path)
    yield pair
    pair.close()


def later(pair: Joined, days: int) -> None:
    """Let days pass."""
    pair.now_ns += days * DAY_NS
    pair.run(3)


def forget(pair: Joined, nation: str, days: int) -> int:
    """Let a nation remove what is settled and older than so many days."""
    removed = pair.exchanges[nation].retain(pair.now_ns, pair.now_ns - days * DAY_NS)
    pair.run(2)
    return removed


def lose(pair: Joined, nation: str, directory: Path) -> None:
    """Let a nation begin with an empty store."""
    pair.stop(nation)
    for file in directory.glob(f"{nation}.sqlite*"):
        file.unlink()
    pair.received[nation] = []
    pair.start(nation)


def keep(pair: Joined, nation: str, directory: Path) -> Path:
    """Keep a copy of a nation's store as it is on disk between two runs of it."""
    pair.exchanges[nation].flush(pair.now_ns, force=True)
    pair.stop(nation)
    shutil.copy(directory / f"{nation}.sqlite", directory / f"{nation}.copy")
    pair.start(nation)
    return directory / f"{nation}.copy"


def put_back(pair: Joined, nation: str, copy: Path) -> None:
    """Put a copy in the place of a nation's store."""
    pair.stop(nation)
    for file in copy.parent.glob(f"{nation}.sqlite*"):
        file.unlink()
    shutil.copy(copy, copy.parent / f"{nation}.sqlite")
    pair.start(nation)


def grown_past(pair: Joined, directory: Path) -> list[bytes]:
    """Let JPN have a long past of which the first part is no longer kept, and KOR begin anew; return what JPN still keeps."""
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 5))
    pair.run(20)
    later(pair, 40)
    kept = tracks(pair, LARGE, first=10)
    for at in range(0, LARGE, 100):
        pair.exchanges["JPN"].offer(pair.now_ns, kept[at : at + 100])
        pair.run(12)
    forget(pair, "JPN", 30)
    lose(pair, "KOR", directory)
    return [item.record for item in kept]


def test_the_past_goes_into_a_new_epoch_a_little_at_a_time(pair: Joined, tmp_path: Path) -> None:
    """No step of the exporter queues more of its past than one answer may hold, all of it comes, and before what is new."""
    kept = grown_past(pair, tmp_path)
    jpn = pair.exchanges["JPN"]
    jpn.station.settings = msgspec.structs.replace(SETTINGS, credit_bytes_max=8_192)
    queued: list[int] = []
    true = jpn.station.store.outbox.enqueue

    def enqueue(audience: str, lane: str, rows: list) -> int:  # type: ignore[type-arg]
        queued[-1] += sum(len(row.record) for row in rows)
        return true(audience, lane, rows)

    jpn.station.store.outbox.enqueue = enqueue  # type: ignore[method-assign, assignment]
    new = tracks(pair, 3, first=5_000)
    for step in range(400):
        queued.append(0)
        if step == 12:
            jpn.offer(pair.now_ns, new)
        pair.run(1)
    assert [*kept, *(item.record for item in new)] == pair.raws("KOR", "history")
    # A tick answers several pulls; each of them may move as much as it may hold, and a batch of the past more.
    assert max(queued) < 0.5 * sum(queued)
    assert 5 == pair.link("KOR", "JPN", "history", "in").lost


def test_what_is_not_moved_yet_is_told_as_lag_and_is_not_forgotten(pair: Joined, tmp_path: Path) -> None:
    """While the past is being moved, links count it, and retention removes none of it, however old it is."""
    kept = grown_past(pair, tmp_path)
    jpn = pair.exchanges["JPN"]
    jpn.station.settings = msgspec.structs.replace(SETTINGS, credit_bytes_max=4_096)
    exporter = jpn._exporters["KOR", "history"]
    while not exporter.unmoved:
        pair.run(1)
    assert pair.link("JPN", "KOR", "history", "out").lag_records >= exporter.unmoved > LARGE // 2
    pair.now_ns += 100 * DAY_NS
    before = len(list(jpn.station.store.outbox.batches("KOR", "history", exporter.state.base)))
    jpn.retain(pair.now_ns, pair.now_ns - DAY_NS)
    assert before <= len(list(jpn.station.store.outbox.batches("KOR", "history", exporter.state.base)))
    pair.run(600)
    assert kept == pair.raws("KOR", "history")


def test_a_partner_that_asks_for_a_new_epoch_again_and_again_gets_everything_once(pair: Joined, tmp_path: Path) -> None:
    """New epochs in the middle of moving, from the last common place or from nothing, lose nothing and bring nothing twice."""
    kept = grown_past(pair, tmp_path)
    jpn, kor = pair.exchanges["JPN"], pair.exchanges["KOR"]
    jpn.station.settings = msgspec.structs.replace(SETTINGS, credit_bytes_max=4_096)
    importer = kor._importers["JPN", "history"]
    for times in range(12):
        pair.run(2)
        if times % 3 == 2:
            jpn.station.store.outbox.mark_restored()
            jpn._exporters["KOR", "history"].state = jpn.station.store.outbox.state("KOR", "history")
        else:
            importer._resync, importer._refused_base = "base-unknown", jpn._exporters["KOR", "history"].state.base
        importer._restart(pair.now_ns, failed=False)
    pair.run(600)
    assert kept == pair.raws("KOR", "history")
    assert jpn._exporters["KOR", "history"].state.last.epoch > 5


def test_the_common_place_is_found_behind_what_the_importer_has_removed(pair: Joined, tmp_path: Path) -> None:
    """An exporter put back behind its partner's retention goes on from its own last number: nothing comes again."""
    jpn = pair.exchanges["JPN"]
    jpn.offer(pair.now_ns, tracks(pair, 5))
    pair.run(20)
    copy = keep(pair, "JPN", tmp_path)
    later(pair, 20)
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 5, first=10))
    pair.run(20)
    later(pair, 20)
    assert forget(pair, "KOR", 1) > 0
    put_back(pair, "JPN", copy)
    more = tracks(pair, 2, first=50)
    pair.exchanges["JPN"].offer(pair.now_ns, more)
    pair.run(60)
    assert [item.record for item in more] == pair.raws("KOR", "history")[10:]
    out, into = pair.link("JPN", "KOR", "history", "out"), pair.link("KOR", "JPN", "history", "in")
    base = pair.exchanges["JPN"]._exporters["KOR", "history"].state.base
    assert (2, 1, 5) == (out.cursor.epoch, base.epoch, base.sequence)
    assert (0, 0) == (into.lost, into.duplicates)


def test_an_importer_of_the_version_before_gets_everything_kept(tmp_path: Path) -> None:
    """Asked for another base by an importer that says nothing of its branch, the exporter goes on from nothing; all comes once."""
    pair = Joined(tmp_path)
    pair.settings["KOR"] = msgspec.structs.replace(SETTINGS, minor=1)
    pair.stop("KOR")
    pair.start("KOR")
    offered = tracks(pair, 5)
    pair.exchanges["JPN"].offer(pair.now_ns, offered)
    pair.run(40)
    importer = pair.exchanges["KOR"]._importers["JPN", "history"]
    importer._resync = "base-unknown"
    importer._restart(pair.now_ns, failed=False)
    pair.run(40)
    assert [item.record for item in offered] == pair.raws("KOR", "history")
    exporter = pair.exchanges["JPN"]._exporters["KOR", "history"]
    assert (2, 0) == (exporter.state.last.epoch, exporter.state.base.epoch)
    pair.close()


def test_a_loss_is_told_before_anything_new_is_said(pair: Joined, tmp_path: Path) -> None:
    """An importer that begins anew learns from a silent exporter how much is missing."""
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 5))
    pair.run(20)
    later(pair, 40)
    forget(pair, "JPN", 30)
    lose(pair, "KOR", tmp_path)
    pair.run(60)
    into = pair.link("KOR", "JPN", "history", "in")
    assert (5, 2, 0) == (into.lost, into.cursor.epoch, into.cursor.sequence)
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 1, first=9))
    pair.run(60)
    assert (1, 5) == (len(pair.raws("KOR", "history")), pair.link("KOR", "JPN", "history", "in").lost)


def test_an_empty_that_does_not_begin_at_its_base_is_refused(pair: Joined) -> None:
    """A silent epoch whose head is not that of its beginning changes nothing at the importer, and is counted."""
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 2))
    pair.run(40)
    jpn, kor = pair.exchanges["JPN"], pair.exchanges["KOR"]
    pull, empty = next((pull, one) for who, pull, one in reversed(pair.replies) if one.kind == "trilat.empty/1" and who == "KOR")
    importer: Importer = kor._importers["JPN", pull.lane]
    counter = next(iter(importer._out))
    message = decode_message(empty.body)
    last = message.last.__class__(5, 0, bytes([3]) * 32)
    forged = msgspec.structs.replace(message, last=last, base=message.last.__class__(), number=counter)
    before = importer.state.cursor
    kor.handle(pair.now_ns, sealing.seal(jpn.station.ring.current(pair.now_ns), forged), pull=pull._replace(counter=counter))
    assert before == importer.state.cursor
    assert 1 == pair.link("KOR", "JPN", pull.lane, "in").rejected["head-wrong"]


def test_unfinished_pieces_are_bounded(pair: Joined) -> None:
    """An exporter that begins large records and never ends one leaves no more of them on the importer's disk than the bound."""
    jpn = pair.exchanges["JPN"]
    pieces = [codec.encode(Chunk(of=bytes([n]) * 32, index=0, total=3, data=b"x" * 100)) for n in range(3 * PARTIAL_MAX)]
    like = tracks(pair, len(pieces))
    items = [msgspec.structs.replace(item, record=raw, record_type=CHUNK_TYPE) for item, raw in zip(like, pieces, strict=True)]
    jpn.offer(pair.now_ns, items)
    pair.run(60)
    inbox = pair.exchanges["KOR"].station.store.inbox
    assert len(pieces) == pair.link("KOR", "JPN", "history", "in").cursor.sequence
    assert 1 <= len(inbox.chunked("JPN", "history")) <= PARTIAL_MAX


def test_a_large_record_survives_a_new_epoch_and_a_stop_before_it_is_taken_over(tmp_path: Path) -> None:
    """A record made whole of pieces, not taken over yet, is handed on once although its pieces come again and the node stops."""
    pair = Joined(tmp_path)
    jpn = pair.exchanges["JPN"]
    jpn.station.settings = msgspec.structs.replace(SETTINGS, chunk_bytes=512, credit_bytes_max=1_400)
    pair.run(45)
    pair.hand_over = lambda _exchange, _received: None  # type: ignore[method-assign]
    big = released(warning_of("w", text="é" * 3_999), "KOR", "flash")
    jpn.offer(pair.now_ns, [big])
    pair.run(20)
    assert [big.record] == pair.raws("KOR", "flash")
    importer = pair.exchanges["KOR"]._importers["JPN", "flash"]
    importer._resync = "base-unknown"
    importer._restart(pair.now_ns, failed=False)
    for _ in range(3):
        pair.flush("KOR")
        pair.flush("JPN")
    assert 2 == jpn._exporters["KOR", "flash"].state.last.epoch
    pair.stop("KOR")
    pair.received["KOR"] = []
    pair.start("KOR")
    pair.run(60)
    del pair.hand_over
    pair.stop("KOR")
    pair.received["KOR"] = []
    pair.start("KOR")
    pair.run(60)
    assert [big.record] == pair.raws("KOR", "flash")
    assert 0 == len(pair.exchanges["KOR"].station.store.inbox.chunked("JPN", "flash"))
    pair.close()


@pytest.mark.parametrize("where", ["not moved yet", "waiting", "numbered"])
def test_a_recall_by_an_old_number_reaches_what_was_moved(pair: Joined, tmp_path: Path, where: str) -> None:
    """A record recalled by its number of an earlier epoch does not leave in the new one, however far it got there."""
    offered = tracks(pair, 3)
    jpn = pair.exchanges["JPN"]
    jpn.offer(pair.now_ns, offered)
    pair.run(20)
    lose(pair, "KOR", tmp_path)
    pair.tap = lambda _nation, _pull, _envelope: None
    exporter = jpn._exporters["KOR", "history"]
    exporter.open_epoch(pair.now_ns, Cursor(), Cursor(), "restored")
    if where != "not moved yet":
        assert 3 == len(exporter._move_next())
    if where == "numbered":
        assert exporter.number(pair.now_ns, 8_192, 1) is not None
    recall = released(recall_of("history", 1, (2,)), "KOR", "flash", record_type="trilat.recall/1")
    jpn.offer(pair.now_ns, [recall])
    pair.tap = lambda _nation, _pull, envelope: envelope
    pair.run(120)
    assert [offered[0].record, offered[2].record] == pair.raws("KOR", "history")


def test_retention_removes_a_little_at_a_time_and_one_checkpoint_stays(pair: Joined) -> None:
    """Called with a bound, it removes that many batches of a stream and ten times that of the log; again and again, all; in order."""
    jpn = pair.exchanges["JPN"]
    for at in range(12):
        jpn.offer(pair.now_ns, tracks(pair, 1, first=at))
        pair.run(2)
    later(pair, 40)
    before_ns = pair.now_ns - 30 * DAY_NS
    outbox, database = jpn.station.store.outbox, jpn.station.store.database
    firsts = []
    for _ in range(40):
        jpn.retain(pair.now_ns, before_ns, 1)
        jpn.flush(pair.now_ns, force=True)
        firsts.append(min((batch.first for batch in outbox.batches("KOR", "history", Cursor())), default=99))
    assert firsts[:5] == [2, 3, 4, 5, 6]
    assert jpn.station.store.log_before(before_ns) == (0, bytes(32))
    assert [(1,)] == database.rows("SELECT count(*) FROM checkpoints")


def test_numbers_that_were_recalled_before_a_rollback_are_not_given_again(tmp_path: Path) -> None:
    """JPN gave numbers that were lost on the way, recalled one, and went back: what it says next under such numbers is not void."""
    pair = Joined(tmp_path).run(4)
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 3))
    pair.run(40)
    pair.exchanges["JPN"].flush(pair.now_ns, force=True)
    pair.stop("JPN")
    shutil.copy(tmp_path / "JPN.sqlite", tmp_path / "copy")
    pair.start("JPN")
    pair.run(4)
    pair.tap = lambda nation, pull, envelope: None if (nation, pull.lane) == ("KOR", "history") else envelope
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 5, first=100))
    pair.run(4)
    recall = released(recall_of("history", 1, (5,)), "KOR", "flash", pair.now_ns, record_type="trilat.recall/1")
    pair.exchanges["JPN"].offer(pair.now_ns, [recall])
    pair.run(4)
    assert 1 == len(pair.raws("KOR", "flash"))
    pair.stop("JPN")
    for file in tmp_path.glob("JPN.sqlite*"):
        file.unlink()
    shutil.copy(tmp_path / "copy", tmp_path / "JPN.sqlite")
    pair.start("JPN")
    pair.tap = lambda _nation, _pull, envelope: envelope
    pair.run(60)
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 5, first=200))
    pair.run(60)
    assert [0, 1, 2, *range(200, 205)] == [item.record.number for item in pair.received["KOR"] if item.lane == "history"]
    pair.close()
