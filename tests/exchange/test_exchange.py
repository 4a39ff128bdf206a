"""The pull protocol step by step: numbers, receipts, resync, epochs, superseding, expiry, recall, shedding, chunks."""

import shutil
from pathlib import Path

import msgspec
import pytest
from exchange_pair import SETTINGS, Joined, tracks
from exchange_records import MS, SECOND, recall_of, released, track_of, warning_of
from msgspec import structs

from trilat.records import codec
from trilat.records.exchange import Cursor
from trilat.transport import envelope as sealing
from trilat.transport.messages import BatchHeader, LaneSettings, Resync, decode_message


def test_what_is_offered_arrives_once_and_in_order(pair: Joined) -> None:
    """Records of each lane reach the partner with their verified origin, in order, and are receipted."""
    offered = tracks(pair, 30)
    warning = released(warning_of("w1", t_ns=pair.now_ns), "KOR", "flash", pair.now_ns)
    pair.exchanges["JPN"].offer(pair.now_ns, [*offered, warning])
    pair.run(60)
    assert [item.record for item in offered] == pair.raws("KOR", "history")
    assert [warning.record] == pair.raws("KOR", "flash")
    first = pair.received["KOR"][0]
    assert ("JPN", "flash", 1, 1) == (first.exporter, first.lane, first.epoch, first.sequence)
    assert codec.decode(warning.record) == first.record
    out, into = pair.link("JPN", "KOR", "history", "out"), pair.link("KOR", "JPN", "history", "in")
    assert (1, 30) == (out.receipt.epoch, out.receipt.sequence)
    assert out.receipt == out.cursor == into.cursor
    assert 0 == out.lag_records


def test_a_flash_record_is_a_batch_of_one_and_does_not_wait_for_the_tick(pair: Joined) -> None:
    """Three warnings leave as three batches of one record each, at once; a track waits for its lane's tick."""
    pair.replies.clear()
    warnings = [released(warning_of(f"w{n}", t_ns=pair.now_ns), "KOR", "flash", pair.now_ns) for n in range(3)]
    pair.exchanges["JPN"].offer(pair.now_ns, [*warnings, *tracks(pair, 1)])
    for _ in range(12):
        pair.flush("JPN")
        pair.flush("KOR")
    headers = [decode_message(envelope.body) for _, _, envelope in pair.replies]
    assert [("flash", 1)] * 3 == [(h.lane, h.count) for h in headers if isinstance(h, BatchHeader)]


def test_numbers_are_given_only_in_answer_to_a_pull(tmp_path: Path) -> None:
    """While no partner pulls, nothing has a number; what is superseded, expired or withdrawn meanwhile never gets one."""
    pair = Joined(tmp_path)
    pair.stop("KOR")
    pair.run()
    jpn = pair.exchanges["JPN"]
    old = released(track_of(1, t_ns=1), "KOR", "state", 1, supersede_key="track/1")
    new = released(track_of(1, t_ns=2), "KOR", "state", 2, supersede_key="track/1")
    late = released(track_of(2), "KOR", "state", expires_ns=pair.now_ns + SECOND)
    taken_back = released(track_of(3), "KOR", "state", supersede_key="track/3")
    jpn.offer(pair.now_ns, [old, new, late, taken_back])
    assert 1 == jpn.withdraw(pair.now_ns, "KOR", "state", "track/3")
    pair.run(40)
    assert Cursor() == pair.link("JPN", "KOR", "state", "out").cursor
    pair.start("KOR")
    pair.run(40)
    assert [new.record] == pair.raws("KOR", "state")
    state = pair.link("JPN", "KOR", "state", "out")
    assert (1, 1, 1, 1) == (state.cursor.sequence, state.superseded, state.expired, state.withdrawn)
    pair.close()


def test_a_step_lets_out_small_answers_together_and_large_ones_alone(tmp_path: Path) -> None:
    """On a tick served piece by piece, one call answers as many parked pulls as fit into its bound, and at least one."""
    for credit_bytes, most in ((4_096, 16), (1 << 20, 1)):
        lane = LaneSettings(window_pulls=6, window_pulls_max=6, batch_records_max=512, wait_ms=1_000, tick_budget_bytes=64 << 20)
        settings = structs.replace(SETTINGS, history=lane, credit_bytes_min=credit_bytes)
        pair = Joined(tmp_path / str(credit_bytes), settings=settings, memory=True)
        pair.run(2)
        exchange = pair.exchanges["JPN"]
        exchange.offer(pair.now_ns, tracks(pair, 1_000))
        pair.now_ns += 50 * MS
        exchange.tick(pair.now_ns, piecewise=True)
        before = exchange.has_more
        exchange.serve_more(pair.now_ns)
        answers = [one for one in exchange.flush(pair.now_ns).answers if one.envelope is not None]
        pair.close()
        assert (True, True) == (before, 1 <= len(answers) <= most), (credit_bytes, len(answers))
        assert (most > 1) == (len(answers) > 1), (credit_bytes, len(answers))


def test_only_state_is_superseded(pair: Joined) -> None:
    """A key on another lane than state replaces nothing: history and flash arrive whole."""
    offered = tracks(pair, 3, supersede_key="same")
    pair.exchanges["JPN"].offer(pair.now_ns, offered)
    pair.run(50)
    assert [item.record for item in offered] == pair.raws("KOR", "history")


def test_a_lost_reply_is_sent_again_unchanged(pair: Joined) -> None:
    """When a reply is lost, the pull's time-out begins a new session, and the very same bytes come again."""
    lost = []

    def lose_one(_nation: str, _pull: object, envelope: object) -> object:
        if envelope.kind == "trilat.batch/1" and not lost:
            lost.append(envelope)
            return None
        return envelope

    pair.tap = lose_one
    offered = tracks(pair, 3)
    pair.exchanges["JPN"].offer(pair.now_ns, offered)
    pair.run(120)
    again = [e for _, _, e in pair.replies if e.kind == "trilat.batch/1"]
    assert 2 == len(again)
    assert lost[0] == again[1]
    assert [item.record for item in offered] == pair.raws("KOR", "history")


def test_a_resend_is_cut_smaller_for_a_slower_link(tmp_path: Path) -> None:
    """What was sent as one batch fits a smaller credit later: same numbers, same records, same chain, other cut."""
    pair = Joined(tmp_path).run()
    lost: list = []

    def lose_first(_nation: str, _pull: object, envelope: object) -> object:
        if envelope.kind == "trilat.batch/1" and len(lost) < 2:
            lost.append(decode_message(envelope.body))
            return None
        return envelope

    pair.exchanges["KOR"]._importers[("JPN", "history")].pace.credit_bytes = 64 << 10
    pair.run(45)
    pair.tap = lose_first
    offered = tracks(pair, 60)
    pair.exchanges["JPN"].offer(pair.now_ns, offered)
    pair.run(300)
    headers = [decode_message(e.body) for _, _, e in pair.replies if e.kind == "trilat.batch/1"]
    assert 60 == headers[0].count
    assert headers[-1].count < 60
    assert headers[0].head == headers[-1].head
    assert [item.record for item in offered] == pair.raws("KOR", "history")
    pair.close()


def test_an_exporter_that_crashed_goes_on_where_it_was(pair: Joined) -> None:
    """After a restart of either side nothing is lost or doubled, and no new epoch is needed."""
    offered = tracks(pair, 5)
    pair.exchanges["JPN"].offer(pair.now_ns, offered)
    pair.exchanges["JPN"].flush(pair.now_ns)
    pair.stop("JPN")
    pair.run(20)
    pair.start("JPN")
    pair.run(30)
    pair.stop("KOR")
    pair.start("KOR")
    more = tracks(pair, 5, first=5)
    pair.exchanges["JPN"].offer(pair.now_ns, more)
    pair.run(80)
    assert [item.record for item in (*offered, *more)] == pair.raws("KOR", "history")
    assert (1, 10) == (
        pair.link("KOR", "JPN", "history", "in").cursor.epoch,
        pair.link("KOR", "JPN", "history", "in").cursor.sequence,
    )


def test_a_wake_ends_the_pause_at_once(pair: Joined) -> None:
    """A restarted exporter's wake makes the importer pull at once instead of after its pause."""
    pair.stop("JPN")
    pair.run(100)
    pair.start("JPN")
    before = len(pair.requests)
    pair.flush("JPN")
    pair.flush("KOR")
    assert {"flash", "state", "history"} <= {request.lane for request in pair.requests[before:] if request.audience == "JPN"}


def test_an_importer_that_was_rolled_back_resyncs_in_the_same_epoch(pair: Joined, tmp_path: Path) -> None:
    """A lower cursor is refused as a plain pull and honoured as a signed resync; everything is held once, no new epoch."""
    first = tracks(pair, 4)
    pair.exchanges["JPN"].offer(pair.now_ns, first)
    pair.run(40)
    pair.stop("KOR")
    shutil.copy(tmp_path / "KOR.sqlite", tmp_path / "copy")
    pair.start("KOR")
    more = tracks(pair, 4, first=4)
    pair.exchanges["JPN"].offer(pair.now_ns, more)
    pair.run(60)
    pair.stop("KOR")
    shutil.copy(tmp_path / "copy", tmp_path / "KOR.sqlite")
    pair.received["KOR"].clear()
    pair.start("KOR")
    pair.run(80)
    assert [item.record for item in more] == pair.raws("KOR", "history")
    assert 1 == pair.link("JPN", "KOR", "history", "out").cursor.epoch
    assert any(isinstance(decode_message(request.body), Resync) for request in pair.requests)
    assert {"resync"} == {e.kind for e in pair.exchanges["JPN"].station.store.journal.read(kinds=frozenset({"resync"}))}


def test_an_exporter_that_was_rolled_back_opens_a_new_epoch(pair: Joined, tmp_path: Path) -> None:
    """A cursor ahead of the exporter's books opens a new epoch on the last common number; what is known is not taken twice."""
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 4))
    pair.run(40)
    pair.stop("JPN")
    shutil.copy(tmp_path / "JPN.sqlite", tmp_path / "copy")
    pair.start("JPN")
    forgotten = tracks(pair, 3, first=4)
    pair.exchanges["JPN"].offer(pair.now_ns, forgotten)
    pair.run(60)
    pair.stop("JPN")
    shutil.copy(tmp_path / "copy", tmp_path / "JPN.sqlite")
    pair.start("JPN")
    more = [forgotten[1], *tracks(pair, 2, first=7)]  # one of them is offered again
    pair.exchanges["JPN"].offer(pair.now_ns, more)
    pair.run(80)
    raws = pair.raws("KOR", "history")
    assert 9 == len(raws) == len(set(raws))
    assert [item.record for item in more[1:]] == raws[-2:]
    into = pair.link("KOR", "JPN", "history", "in")
    assert (2, 3, 1) == (into.cursor.epoch, into.cursor.sequence, into.duplicates)
    assert 1 == pair.link("JPN", "KOR", "history", "out").rejected["rollback-seen"]


@pytest.mark.parametrize("who", ["JPN", "KOR"])
def test_a_rebuilt_store_resyncs_from_nothing(pair: Joined, tmp_path: Path, who: str) -> None:
    """With the exporter's store gone, new records flow in a new epoch; with the importer's gone, all that is kept comes again."""
    first = tracks(pair, 4)
    pair.exchanges["JPN"].offer(pair.now_ns, first)
    pair.run(40)
    pair.stop(who)
    for path in tmp_path.glob(f"{who}.sqlite*"):
        path.unlink()
    pair.received["KOR"].clear()
    pair.start(who)
    more = tracks(pair, 2, first=4)
    pair.exchanges["JPN"].offer(pair.now_ns, more)
    pair.run(120)
    expected = more if who == "JPN" else [*first, *more]
    assert [item.record for item in expected] == pair.raws("KOR", "history")


def forgotten_and_rebuilt(pair: Joined, directory: Path) -> None:
    """Let JPN forget what is settled and a month old, and KOR begin with an empty store."""
    pair.exchanges["JPN"].retain(pair.now_ns, pair.now_ns - 30 * 86_400 * SECOND)
    pair.run(3)
    pair.stop("KOR")
    for file in directory.glob("KOR*"):
        file.unlink()
    pair.received["KOR"] = []
    pair.start("KOR")
    pair.run(40)


def test_what_retention_removed_before_a_store_was_rebuilt_is_counted_as_lost(pair: Joined, tmp_path: Path) -> None:
    """An importer that begins with an empty store gets what is still kept, and both sides say how many numbers are not."""
    day_ns = 86_400 * SECOND
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 100))
    pair.run(20)
    pair.now_ns += 40 * day_ns
    pair.run(3)
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 10, first=1_000))
    pair.run(20)
    forgotten_and_rebuilt(pair, tmp_path)
    assert 10 == len(pair.raws("KOR", "history"))
    assert (100, 100) == (pair.link("JPN", "KOR", "history", "out").lost, pair.link("KOR", "JPN", "history", "in").lost)

    pair.now_ns += 40 * day_ns
    pair.run(3)
    forgotten_and_rebuilt(pair, tmp_path)
    assert [] == pair.raws("KOR", "history")
    assert 110 == pair.link("JPN", "KOR", "history", "out").lost, "nothing of either epoch is kept"


def test_a_fork_is_kept_and_shown(pair: Joined) -> None:
    """A partner whose signed head differs from ours for one number: both heads are kept, counted, and the lane goes on."""
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 3))
    pair.run(60)
    importer = pair.exchanges["KOR"]._importers[("JPN", "history")]
    importer._put(cursor=Cursor(1, 3, bytes([7]) * 32))
    importer._restart(pair.now_ns, failed=False)
    pair.run(10)
    out = pair.link("JPN", "KOR", "history", "out")
    assert (1, 1) == (out.forks, out.rejected["fork-seen"])
    fork = pair.exchanges["JPN"].station.store.outbox.forks("KOR", "history")[0]
    assert (bytes([7]) * 32, 1, 3) == (fork.theirs, fork.epoch, fork.sequence)
    assert 2 == out.cursor.epoch


def test_two_signed_batches_for_one_number_are_a_fork(pair: Joined) -> None:
    """A second, different batch for numbers that are held is refused, and its envelope kept as evidence."""
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 1))
    pair.run(40)
    jpn, kor = pair.exchanges["JPN"], pair.exchanges["KOR"]
    exporter = jpn._exporters[("KOR", "history")]
    entry = bytes(16) + codec.encode(track_of(99))
    start = exporter.start_head(1, Cursor())
    header = exporter._header(pair.now_ns, 1, start, [entry], 1, t_ns=pair.now_ns)
    forged = sealing.seal(jpn.station.ring.current(pair.now_ns), header, sealing.join_payload([entry]))
    pull = next(pull for nation, pull, _ in pair.replies if nation == "KOR")
    kor.handle(pair.now_ns, forged, pull=pull._replace(lane="history"))
    kor.flush(pair.now_ns)
    into = pair.link("KOR", "JPN", "history", "in")
    assert (1, 1) == (into.forks, into.cursor.sequence)
    assert 1 == into.rejected["fork-seen"]


def test_a_recalled_record_is_never_sent_again(tmp_path: Path) -> None:
    """What was sent, not receipted and then recalled comes as a leaf hash only; its neighbours come whole, in the same chain."""
    pair = Joined(tmp_path).run()
    pair.tap = lambda _nation, _pull, envelope: (
        None if envelope.kind == "trilat.batch/1" and envelope.lane == "history" else envelope
    )
    offered = tracks(pair, 3)
    pair.exchanges["JPN"].offer(pair.now_ns, offered)
    pair.run(4)
    recall = released(recall_of("history", 1, (2,)), "KOR", "flash", record_type="trilat.recall/1")
    pair.exchanges["JPN"].offer(pair.now_ns, [recall])
    pair.tap = lambda _nation, _pull, envelope: envelope
    pair.run(120)
    assert [offered[0].record, offered[2].record] == pair.raws("KOR", "history")
    into = pair.link("KOR", "JPN", "history", "in")
    assert (3, 1) == (into.cursor.sequence, into.recalled)
    assert into.cursor == pair.link("JPN", "KOR", "history", "out").receipt
    assert [recall.record] == pair.raws("KOR", "flash")
    pair.close()


def test_a_large_record_comes_in_pieces_and_whole(pair: Joined) -> None:
    """A record above the credit is cut, survives a crash of the importer in between, and is handed over once and whole."""
    large = released(warning_of("w1", text="x" * 4_000), "KOR", "flash")
    big = msgspec.structs.replace(large, record=codec.encode(warning_of("w2", text="é" * 3_999)))
    pair.exchanges["JPN"].station.settings = msgspec.structs.replace(SETTINGS, chunk_bytes=512, credit_bytes_max=1_400)
    pair.run(45)
    pair.exchanges["JPN"].offer(pair.now_ns, [large, big])
    for _ in range(3):
        pair.flush("JPN")
        pair.flush("KOR")
    assert [] == pair.raws("KOR", "flash")
    pair.stop("KOR")
    pair.start("KOR")
    pair.run(60)
    assert [large.record, big.record] == pair.raws("KOR", "flash")
    assert pair.link("KOR", "JPN", "flash", "in").cursor.sequence > 4


def test_a_piece_is_never_cut_again(pair: Joined) -> None:
    """When the link grows narrow between two pieces of a record, the rest leave as they are, and the record arrives whole."""
    big = released(warning_of("w", text="é" * 3_999), "KOR", "flash")
    jpn = pair.exchanges["JPN"]
    jpn.station.settings = msgspec.structs.replace(SETTINGS, chunk_bytes=512, credit_bytes_max=6_000)
    kor = pair.exchanges["KOR"]._importers["JPN", "flash"]
    kor.pace.credit_bytes = 6_000
    pair.run(45)
    jpn.offer(pair.now_ns, [big])
    pair.flush("JPN")
    jpn.station.settings = msgspec.structs.replace(SETTINGS, chunk_bytes=512, credit_bytes_max=1_400)
    pair.run(60)
    assert [big.record] == pair.raws("KOR", "flash")


def test_a_record_that_is_cut_when_it_is_moved_keeps_its_place(tmp_path: Path) -> None:
    """What was sent whole and must be sent again in pieces, in a new epoch over a narrower link, comes in its place, once."""
    pair = Joined(tmp_path)
    pair.run(2)
    jpn = pair.exchanges["JPN"]
    offered = [
        released(warning_of("w1"), "KOR", "flash"),
        released(warning_of("w2", text="é" * 3_999), "KOR", "flash"),
        *(released(warning_of(f"w{n}"), "KOR", "flash") for n in range(3, 6)),
    ]
    pair.exchanges["KOR"]._importers["JPN", "flash"].pace.credit_bytes = 64_000
    pair.run(45)
    jpn.offer(pair.now_ns, offered)
    pair.run(20)
    assert [item.record for item in offered] == pair.raws("KOR", "flash")
    pair.stop("KOR")
    (tmp_path / "KOR.sqlite").unlink()
    jpn.station.store.outbox.mark_restored()
    jpn.station.store.commit()
    pair.stop("JPN")
    pair.settings["JPN"] = msgspec.structs.replace(SETTINGS, chunk_bytes=512, credit_bytes_max=1_400)
    pair.received["KOR"].clear()
    store = pair.start("JPN").station.store
    pair.start("KOR")
    pair.run(80)
    assert [item.record for item in offered] == pair.raws("KOR", "flash")
    assert 2 == store.outbox.state("KOR", "flash").last.epoch
    pair.close()
