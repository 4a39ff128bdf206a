"""What the exchange refuses, bounds and shows: breaches, versions, shedding, replay, revocation, link states."""

from pathlib import Path

import msgspec
import pytest
from exchange_pair import SETTINGS, Joined, tracks
from exchange_records import EXERCISE, LIVE, MS, SECOND, recall_of, released, track_of, warning_of

from trilat.errors import ExchangeError
from trilat.records import codec
from trilat.records.warning import Receipt
from trilat.transport import envelope as sealing
from trilat.transport.messages import BatchHeader, Empty, Pull, decode_message


def test_shedding_takes_history_first_then_state_and_never_flash(tmp_path: Path) -> None:
    """Above its bound an outbox drops the oldest history, then state, counts it, and keeps every warning."""
    settings = msgspec.structs.replace(SETTINGS, outbox_bytes_max=65_536)
    pair = Joined(tmp_path, settings=settings)
    pair.stop("KOR")
    jpn = pair.exchanges["JPN"]
    warnings = [released(warning_of(f"w{n}", text="x" * 3_000), "KOR", "flash") for n in range(25)]
    jpn.offer(pair.now_ns, tracks(pair, 100) + tracks(pair, 40, lane="state", supersede_key=None) + warnings)
    pair.run(2)
    lanes = {lane: pair.link("JPN", "KOR", lane, "out") for lane in ("flash", "state", "history")}
    assert (0, 25) == (lanes["flash"].shed, lanes["flash"].lag_records)
    assert (100, 0) == (lanes["history"].shed, lanes["history"].lag_records)
    assert 0 < lanes["state"].shed
    assert {"shed"} == {e.kind for e in jpn.station.store.journal.read(kinds=frozenset({"shed"}))}
    pair.close()


def test_a_partner_away_for_a_week_costs_bounded_disk(tmp_path: Path) -> None:
    """Hour by hour for a week of silence the store stays within its bound, drops are in the log, and every warning comes in the end."""
    bound = 200_000
    pair = Joined(tmp_path, settings=msgspec.structs.replace(SETTINGS, outbox_bytes_max=bound))
    pair.run(2)
    pair.stop("KOR")
    jpn, sizes, warnings = pair.exchanges["JPN"], [], []
    for hour in range(7 * 24):
        pair.now_ns += 3_600 * SECOND
        if hour % 4 == 0:
            warnings.append(released(warning_of(f"w{hour}", t_ns=pair.now_ns), "KOR", "flash", pair.now_ns))
            jpn.offer(pair.now_ns, warnings[-1:])
        newer = [released(track_of(n, t_ns=pair.now_ns), "KOR", "state", pair.now_ns, supersede_key=f"air/{n}") for n in range(5)]
        jpn.offer(pair.now_ns, [*newer, *tracks(pair, 20, 100 * hour)])
        pair.run(1)
        jpn.retain(pair.now_ns, pair.now_ns - 24 * 3_600 * SECOND)
        pair.flush("JPN")
        # Beside it stands the write-ahead log, which is bounded by wal_pages.
        sizes.append(jpn.station.store.database.rows("PRAGMA page_count")[0][0])
    history, state = (pair.link("JPN", "KOR", lane, "out") for lane in ("history", "state"))
    # Of the tracks' states, five left for a pull that was parked, and five wait: the newest.
    assert (10, 5 * (7 * 24 - 2), True) == (state.lag_records, state.superseded, history.shed > 0)
    said = [msgspec.msgpack.decode(entry.data)["records"] for entry in jpn.station.store.journal.read(kinds=frozenset({"shed"}))]
    assert 0 < sum(said) <= history.shed
    assert max(sizes[48:]) < 1.2 * max(sizes[:48]), sizes
    pair.start("KOR")
    pair.run(200)
    assert [item.record for item in warnings] == pair.raws("KOR", "flash")
    assert 0 == pair.link("JPN", "KOR", "history", "out").lag_records
    pair.close()


def test_a_week_late_is_not_refused(pair: Joined) -> None:
    """What comes after a week is accepted: replay is refused by epoch and number, never by age."""
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 1))
    pair.exchanges["JPN"].flush(pair.now_ns)
    pair.now_ns += 7 * 86_400 * SECOND
    pair.run(60)
    assert 1 == len(pair.raws("KOR", "history"))


def test_a_replayed_reply_changes_nothing(pair: Joined) -> None:
    """A batch that is held already, or a pull recorded earlier, is refused as replayed and counted."""
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 2))
    pair.run(60)
    _, pull, old = next(item for item in pair.replies if item[2].kind == "trilat.batch/1")
    before = pair.link("KOR", "JPN", "history", "in")
    pair.exchanges["KOR"].handle(pair.now_ns, old, pull=pull)
    pair.exchanges["JPN"].handle(pair.now_ns, pair.requests[3], ticket=10_000)
    assert 2 == len(pair.raws("KOR", "history"))
    assert 1 == pair.link("KOR", "JPN", "history", "in").rejected["replayed"]
    assert 1 == pair.link("JPN", "KOR", "history", "out").rejected["replayed"]
    assert before.cursor == pair.link("KOR", "JPN", "history", "in").cursor


BREACHES = [
    ("not releasable to us", lambda: track_of(1, rel_to=("USA",)), "history", "audience-mixed"),
    (
        "no label",
        lambda: Receipt(nation="JPN", exporter="JPN", lane="flash", epoch=1, sequence=1, head=bytes(32), t_ns=1),
        "history",
        "audience-mixed",
    ),
    ("another lane's record", lambda: warning_of("w"), "history", "lane-mixed"),
    ("re-originated", lambda: track_of(1, originator="USA", rel_to=("JPN", "KOR")), "history", "originator-wrong"),
    ("live data", lambda: track_of(1, mode=LIVE), "history", "mode-wrong"),
]


@pytest.mark.parametrize(("what", "make", "lane", "reason"), BREACHES, ids=[row[0] for row in BREACHES])
def test_a_record_that_may_not_be_here_stops_its_lane_until_it_is_recalled(
    pair: Joined, what: str, make: object, lane: str, reason: str
) -> None:
    """A signed batch with a record that breaks a rule is refused whole, the exporter is told, and a recall mends it."""
    del what
    offered = [released(make(), "KOR", lane), *tracks(pair, 1, first=50)]
    pair.exchanges["JPN"].offer(pair.now_ns, offered)
    pair.run(100)
    assert [] == pair.raws("KOR", lane)
    into, out = pair.link("KOR", "JPN", lane, "in"), pair.link("JPN", "KOR", lane, "out")
    assert reason in into.rejected
    assert (reason, reason, 0) == (into.trouble, out.trouble, into.cursor.sequence)
    pair.exchanges["JPN"].offer(pair.now_ns, [released(recall_of(lane, 1, (1,)), "KOR", "flash", record_type="trilat.recall/1")])
    pair.run(120)
    assert [offered[1].record] == pair.raws("KOR", lane)
    assert "" == pair.link("KOR", "JPN", lane, "in").trouble


def test_a_recall_that_is_faster_than_what_it_names_holds(pair: Joined) -> None:
    """A batch that was under way when its recall came is taken with its chain, and the recalled record in it is not handed on."""
    late: list = []

    def hold_back(_nation: str, pull: object, envelope: object) -> object:
        is_late = envelope.kind == "trilat.batch/1" and envelope.lane == "history"  # type: ignore[attr-defined]
        late.extend([(pull, envelope)] * is_late)
        return None if is_late else envelope

    pair.run()
    pair.tap = hold_back
    offered = tracks(pair, 3)
    pair.exchanges["JPN"].offer(pair.now_ns, offered)
    pair.run(4)
    recall = released(recall_of("history", 1, (2,)), "KOR", "flash", record_type="trilat.recall/1")
    pair.exchanges["JPN"].offer(pair.now_ns, [recall])
    pair.run(4)
    assert ([recall.record], []) == (pair.raws("KOR", "flash"), pair.raws("KOR", "history"))
    pair.exchanges["KOR"].handle(pair.now_ns, late[0][1], pull=late[0][0])
    pair.tap = lambda _nation, _pull, envelope: envelope
    pair.run(4)
    assert [offered[0].record, offered[2].record] == pair.raws("KOR", "history")
    into = pair.link("KOR", "JPN", "history", "in")
    assert (3, 1, {}) == (into.cursor.sequence, into.recalled, into.rejected)


def test_an_invalid_record_is_kept_aside_and_the_lane_goes_on(pair: Joined) -> None:
    """A record out of its ranges is not handed on, is counted, and its neighbours arrive."""
    plain = msgspec.msgpack.decode(codec.encode(track_of(1)))
    bad = msgspec.structs.replace(tracks(pair, 1)[0], record=msgspec.msgpack.encode(plain | {"lat_deg": 200.0}))
    good = tracks(pair, 1, first=2)
    pair.exchanges["JPN"].offer(pair.now_ns, [bad, *good])
    pair.run(60)
    assert [good[0].record] == pair.raws("KOR", "history")
    into = pair.link("KOR", "JPN", "history", "in")
    assert (2, 1, 1) == (into.cursor.sequence, into.kept_aside, into.rejected["record-invalid"])


def test_a_record_of_an_unknown_type_is_kept_as_bytes(pair: Joined) -> None:
    """A type of a later version is handed on without a record: neither shown nor used, its bytes verified."""
    plain = msgspec.msgpack.decode(codec.encode(track_of(1)))
    later = msgspec.structs.replace(tracks(pair, 1)[0], record=msgspec.msgpack.encode(plain | {"type": "trilat.later/3"}))
    pair.exchanges["JPN"].offer(pair.now_ns, [later])
    pair.run(60)
    assert [(None, later.record)] == [(item.record, item.raw) for item in pair.received["KOR"]]


@pytest.mark.parametrize("older", ["JPN", "KOR"])
def test_the_previous_minor_version_is_understood(tmp_path: Path, older: str) -> None:
    """A node that speaks the minor version before exchanges with this one, both ways, in the lower of both."""
    pair = Joined(tmp_path)
    pair.stop(older)
    pair.settings[older] = msgspec.structs.replace(SETTINGS, minor=0)
    pair.start(older)
    pair.run()
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 2))
    pair.run(60)
    assert 2 == len(pair.raws("KOR", "history"))
    headers = [decode_message(e.body) for _, _, e in pair.replies]
    assert {0} == {h.minor for h in headers if isinstance(h, BatchHeader | Empty)}
    pair.close()


def test_offers_of_the_wrong_mode_audience_or_size_are_errors(pair: Joined) -> None:
    """What may never leave this node is refused when it is offered, by name, and nothing of the offer is taken."""
    good = tracks(pair, 1)
    for bad, name in (
        (released(track_of(1), "PRK", "state"), "audience-unknown"),
        (released(track_of(1, mode=LIVE), "KOR", "state", mode=LIVE), "released-mode"),
        (msgspec.structs.replace(good[0], record=bytes(5 << 20)), "record-size"),
    ):
        with pytest.raises(ExchangeError) as refused:
            pair.exchanges["JPN"].offer(pair.now_ns, [*good, bad])
        assert name == refused.value.name
    pair.run(40)
    assert [] == pair.raws("KOR", "history")


def test_the_third_nation_sees_nothing_of_what_is_for_the_second(tmp_path: Path) -> None:
    """Of two runs that differ in what KOR gets, USA receives the very same bytes, numbers and signatures."""
    seen = []
    for extra in (0, 7):
        directory = tmp_path / str(extra)
        directory.mkdir()
        trio = Joined(directory, ("JPN", "KOR", "USA")).run()
        for n in range(4):
            trio.exchanges["JPN"].offer(trio.now_ns, tracks(trio, extra, first=100))
            trio.exchanges["JPN"].offer(trio.now_ns, [released(track_of(n, t_ns=trio.now_ns), "USA", "state", trio.now_ns)])
            trio.run(10)
        seen.append([envelope for nation, _, envelope in trio.replies if nation == "USA" and envelope.sender == "JPN"])
        trio.close()
    assert seen[0] == seen[1]


def test_refusals_do_not_fill_memory_or_audit(pair: Joined) -> None:
    """Ten thousand refused envelopes of made-up senders are one counter and a handful of audit entries."""
    kor = pair.exchanges["KOR"]
    forged = pair.requests[0]
    for n in range(10_000):
        sender = "".join(chr(65 + n // 26**k % 26) for k in range(3))
        kor.handle(pair.now_ns, msgspec.structs.replace(forged, sender=sender, audience="KOR"))
    pair.run(30)
    assert len(kor.station.tally.refused) <= SETTINGS.tally_pairs_max
    entries = list(kor.station.store.journal.read(kinds=frozenset({"rejected"})))
    assert len(entries) < 20
    assert 9_000 < sum(seen.times for (source, _), seen in kor.station.tally.refused.items() if source == "unknown")


def test_stop_serving_ends_everything_for_one_partner(tmp_path: Path) -> None:
    """After `stop_serving` nothing leaves for the partner and nothing of it is accepted; the other partner notices nothing."""
    trio = Joined(tmp_path, ("JPN", "KOR", "USA")).run()
    trio.exchanges["JPN"].stop_serving("KOR")
    offers = [released(track_of(n), audience, "history") for n in range(3) for audience in ("KOR", "USA")]
    trio.exchanges["JPN"].offer(trio.now_ns, offers)
    trio.replies.clear()
    trio.run(100)
    assert [] == trio.raws("KOR", "history")
    assert [] == [envelope for nation, _, envelope in trio.replies if nation == "KOR" and envelope.sender == "JPN"]
    assert 3 == len(trio.raws("USA", "history"))
    assert trio.link("JPN", "KOR", "flash", "out").rejected["sender-unknown"] > 0
    trio.close()


def test_a_minute_away_is_caught_up_without_loss_or_duplicate(pair: Joined) -> None:
    """A node that was stopped for a minute while its partner went on gets everything once, in order."""
    pair.stop("KOR")
    offered = []
    for n in range(60):
        batch = tracks(pair, 5, first=5 * n)
        offered += batch
        pair.exchanges["JPN"].offer(pair.now_ns, batch)
        pair.run(1)
        pair.now_ns += SECOND - 50 * MS
    pair.start("KOR")
    pair.run(100)
    assert [item.record for item in offered] == pair.raws("KOR", "history")


def test_links_tell_age_lag_and_state(pair: Joined) -> None:
    """A link is up while heard, late after some seconds of silence, down later; what waits is counted with its age."""
    assert "up" == pair.link("JPN", "KOR", "flash", "out").health
    pair.stop("KOR")
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 3))
    ages = []
    for seconds in (5, 6):
        pair.now_ns += seconds * SECOND
        pair.exchanges["JPN"].tick(pair.now_ns)
        ages.append(pair.link("JPN", "KOR", "history", "out").health)
    assert ["late", "down"] == ages
    out = pair.link("JPN", "KOR", "history", "out")
    assert 3 == out.lag_records
    assert 6 * SECOND == out.lag_ns  # since they were sealed, with the first tick


def test_a_pull_is_signed_receipt_and_kept_as_evidence(pair: Joined) -> None:
    """The partner's own signed pull stands in our log for what it says it holds: nobody can deny it later."""
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 2))
    pair.run(60)
    entries = list(pair.exchanges["JPN"].station.store.journal.read(kinds=frozenset({"receipt"})))
    envelope = sealing.unpack(entries[-1].data, 1 << 20)
    pull = sealing.verify(pair.exchanges["JPN"].station.ring, pair.now_ns, "JPN", EXERCISE, envelope)
    assert isinstance(pull, Pull)
    assert pair.link("JPN", "KOR", "history", "out").receipt == pull.cursor


def test_a_flash_batch_of_two_is_refused(tmp_path: Path) -> None:
    """A partner that puts two warnings into one batch is refused by name; nothing of it is taken."""
    two = msgspec.structs.replace(SETTINGS, flash=msgspec.structs.replace(SETTINGS.flash, batch_records_max=2))
    pair = Joined(tmp_path, settings=two)
    pair.run(3)
    pair.stop("KOR")
    pair.exchanges["JPN"].offer(pair.now_ns, [released(warning_of(name), "KOR", "flash") for name in ("w1", "w2")])
    pair.start("KOR")
    pair.run(10)
    assert [] == pair.received["KOR"]
    assert pair.link("KOR", "JPN", "flash", "in").rejected["count-max"] >= 1
    pair.close()


def test_an_envelope_above_the_receivers_bound_is_refused(pair: Joined) -> None:
    """What is larger than the receiver takes is refused by name before anything of it is verified; smaller ones go on."""
    kor = pair.exchanges["KOR"]
    kor.station.settings = msgspec.structs.replace(kor.station.settings, envelope_bytes_max=4_096)
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 60))
    pair.run(400)
    assert pair.link("KOR", "JPN", "history", "in").rejected["envelope-size"] >= 1
    assert 60 == len(pair.raws("KOR", "history"))


def test_each_recalled_record_is_counted_once_in_its_lane(tmp_path: Path) -> None:
    """What a recall names counts where it was sent, held already or not; twice named, or come as a hash later, it counts once."""
    pair = Joined(tmp_path).run()
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 3))
    pair.run(60)
    pair.tap = lambda _nation, pull, envelope: None if pull.lane == "history" else envelope
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 2, first=10))
    pair.run(4)
    for numbers in ((1, 3, 5), (3, 5)):
        recall = released(recall_of("history", 1, numbers), "KOR", "flash", record_type="trilat.recall/1")
        pair.exchanges["JPN"].offer(pair.now_ns, [recall])
        pair.run(4)
    assert 3 == pair.link("KOR", "JPN", "history", "in").recalled
    pair.tap = lambda _nation, _pull, envelope: envelope
    pair.run(120)
    pair.exchanges["KOR"].flush(pair.now_ns, force=True)
    pair.stop("KOR")
    pair.start("KOR")
    counted = {lane: pair.link("KOR", "JPN", lane, "in").recalled for lane in ("flash", "state", "history")}
    assert {"flash": 0, "state": 0, "history": 3} == counted
    assert 5 == pair.link("KOR", "JPN", "history", "in").cursor.sequence
    pair.close()
