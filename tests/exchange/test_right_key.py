"""What a partner may say with its own right key: numbers that nobody can reach, epochs without end, pieces that make nothing.

It is refused by name and counted, or costs little; the node goes on, and its store opens again.
"""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from exchange_pair import Joined, tracks
from exchange_records import released, warning_of

from trilat.exchange.epochs import EpochPace
from trilat.exchange.importer import Importer
from trilat.exchange.intake import PARTIAL_MAX
from trilat.records import codec
from trilat.records.envelope import Envelope
from trilat.records.exchange import Cursor
from trilat.transport import envelope as sealing
from trilat.transport.messages import CHUNK_TYPE, MINOR, Chunk, Empty, Pull, PullId, Refusal, Resync, decode_message


@pytest.fixture(name="pair")
def _pair(tmp_path: Path) -> Iterator[Joined]:
    pair = Joined(tmp_path)
    yield pair
    pair.close()


def signed(pair: Joined, who: str, message: object) -> Envelope:
    """Seal a message by a nation's right key, whatever it says."""
    return sealing.seal(pair.exchanges[who].station.ring.current(pair.now_ns), message)  # type: ignore[arg-type]


def pull_of(pair: Joined, cursor: Cursor, number: int, kind: type[Pull] = Pull, **more: object) -> Envelope:
    """Return a pull of KOR's for JPN's history, by its right key."""
    ring = pair.exchanges["KOR"].station.ring
    head = {"sender": "KOR", "audience": "JPN", "lane": "history", "mode": pair.mode, "key_id": ring.current(pair.now_ns).key_id}
    ask = {"cursor": cursor, "session": number, "credit_bytes": 4_096, "wait_ms": 1_000}
    return signed(pair, "KOR", kind(minor=MINOR, number=number, **head, **ask, **more))  # type: ignore[arg-type]


def raw_pull(pair: Joined, cursor: list[object], number: int) -> Envelope:
    """Return a pull with a cursor that no code of ours would write."""
    good = pull_of(pair, Cursor(), number)
    body = msgspec.msgpack.encode({**msgspec.msgpack.decode(good.body), "cursor": cursor})
    key = pair.exchanges["KOR"].station.ring.current(pair.now_ns)
    return msgspec.structs.replace(good, body=body, signature=key.sign(good.kind, body))


@pytest.mark.parametrize(
    "cursor",
    [
        [2**63 - 1, 1, bytes(32)],
        [2**40, 1, bytes(32)],
        [2**40 - 1, 5, bytes(32)],
        [1_000_003, 2, bytes(32)],
        [1, 2**63 - 1, bytes(32)],
    ],
    ids=["2^63", "2^40", "below 2^40", "a million ahead", "sequence"],
)
def test_a_partners_impossible_cursor_is_refused_and_changes_nothing(pair: Joined, cursor: list[object]) -> None:
    """A cursor where nobody can be, signed by the right key, opens no epoch, is counted, and the store opens again."""
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 2))
    pair.run(20)
    jpn = pair.exchanges["JPN"]
    before = jpn._exporters["KOR", "history"].state.last
    jpn.handle(pair.now_ns, raw_pull(pair, cursor, 5_000_000), ticket=77)
    answers = [one for one in jpn.flush(pair.now_ns, force=True).answers if one.ticket == 77]
    assert before == jpn._exporters["KOR", "history"].state.last
    assert 1 == len(answers)
    assert sum(pair.link("JPN", "KOR", "history", "out").rejected.values()) > 0
    pair.stop("JPN")
    pair.start("JPN")


@pytest.mark.parametrize("number", [1, 2**31, 2**62])
def test_a_counter_far_behind_costs_nothing(pair: Joined, number: int) -> None:
    """A pull whose counter lies any distance behind the newest is refused without memory of that distance."""
    jpn = pair.exchanges["JPN"]
    jpn._exporters["KOR", "history"]._put(counter=2**63 - 1)
    tracemalloc.start()
    jpn.handle(pair.now_ns, pull_of(pair, Cursor(), number), ticket=78)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20
    assert pair.link("JPN", "KOR", "history", "out").rejected["replayed"] == 1


def test_a_partners_impossible_numbers_leave_books_that_open(pair: Joined) -> None:
    """Losses that add up beyond what a database holds, and a counter at its end, change nothing that could not be read again."""
    jpn, kor = pair.exchanges["JPN"], pair.exchanges["KOR"]
    importer: Importer = kor._importers["JPN", "history"]
    pair.run(1)
    head = {"sender": "JPN", "audience": "KOR", "lane": "history", "mode": pair.mode}
    key_id = jpn.station.ring.current(pair.now_ns).key_id
    for epoch in (7, 8, 9):
        kor.flush(pair.now_ns)
        counter = next(iter(importer._out))
        last = Cursor(epoch, 0, sealing.epoch_head("JPN", "KOR", "history", epoch, Cursor()))
        rest = {"last": last, "t_ns": pair.now_ns, "lost": 2**63 - 1}
        empty = Empty(minor=MINOR, key_id=key_id, number=counter, **head, **rest)  # type: ignore[arg-type]
        kor.handle(pair.now_ns, signed(pair, "JPN", empty), pull=PullId("JPN", "history", counter))
    kor.flush(pair.now_ns)
    counter = next(iter(importer._out))
    said = {"reason": "replayed", "counter": 2**63 - 1, "receipt": Cursor(), "speaks": MINOR, "t_ns": pair.now_ns}
    refusal = Refusal(minor=MINOR, key_id=key_id, number=counter, **head, **said)  # type: ignore[arg-type]
    kor.handle(pair.now_ns, signed(pair, "JPN", refusal), pull=PullId("JPN", "history", counter))
    kor.flush(pair.now_ns, force=True)
    assert (9, 2**63 - 1) == (importer.state.cursor.epoch, importer.state.lost)
    assert importer._counter < 2**62
    pair.stop("KOR")
    pair.start("KOR")


def test_epochs_that_a_partner_brings_about_are_paced(pair: Joined) -> None:
    """Asked for another base hundreds of times, an exporter opens a few epochs, counts the rest, and goes on later."""
    jpn = pair.exchanges["JPN"]
    exporter = jpn._exporters["KOR", "history"]
    for number in range(300):
        more = {"reason": "base-unknown", "refused": exporter.state.base}
        jpn.handle(pair.now_ns, pull_of(pair, Cursor(), 6_000_000 + number, Resync, **more), ticket=1_000 + number)
        jpn.flush(pair.now_ns)
    assert EpochPace.AT_ONCE == exporter.state.last.epoch
    assert 300 - EpochPace.AT_ONCE == pair.link("JPN", "KOR", "history", "out").rejected["epoch-too-soon"]
    offered = tracks(pair, 2)
    jpn.offer(pair.now_ns, offered)
    pair.run(200)
    assert [item.record for item in offered] == pair.raws("KOR", "history")


def test_a_lost_answer_to_a_resync_takes_nobody_further_back(pair: Joined) -> None:
    """A resync that names a base which is no longer the present one begins a session, not an epoch on a place further back."""
    jpn = pair.exchanges["JPN"]
    jpn.offer(pair.now_ns, tracks(pair, 3))
    pair.run(20)
    exporter = jpn._exporters["KOR", "history"]
    refused = exporter.state.base
    cursor = pair.exchanges["KOR"]._importers["JPN", "history"].state.cursor
    for number in range(6):
        more = {"reason": "base-unknown", "refused": Cursor(9, 9, bytes(32)) if number else refused, "branch": (cursor,)}
        jpn.handle(pair.now_ns, pull_of(pair, cursor, 7_000_000 + number, Resync, **more), ticket=2_000 + number)
        jpn.flush(pair.now_ns)
    assert 2 == exporter.state.last.epoch


def test_an_importer_put_back_a_little_is_told_at_once(pair: Joined) -> None:
    """The first pull of a session that lies below the exporter's present one is answered with the counter to go on from."""
    jpn = pair.exchanges["JPN"]
    jpn.handle(pair.now_ns, pull_of(pair, Cursor(), 9_000_100), ticket=90)
    jpn.handle(pair.now_ns, pull_of(pair, Cursor(), 9_000_090), ticket=91)
    [answer] = [one for one in jpn.flush(pair.now_ns).answers if one.ticket == 91]
    assert answer.envelope is not None
    refusal = decode_message(answer.envelope.body)
    assert isinstance(refusal, Refusal)
    assert ("replayed", 9_000_100) == (refusal.reason, refusal.counter)


def test_pieces_without_a_beginning_are_bounded_and_one_record_has_one_total(pair: Joined) -> None:
    """Pieces of many records, none of them the first, and pieces of one record that disagree on how many there are."""
    jpn = pair.exchanges["JPN"]
    many = [Chunk(of=bytes([n]) * 32, index=1, total=3, data=b"x" * 100) for n in range(3 * PARTIAL_MAX)]
    many += [Chunk(of=b"t" * 32, index=1, total=total, data=b"y" * 100) for total in (4, 5, 6)]
    raws = [codec.encode(one) for one in many]
    like = tracks(pair, len(raws))
    items = [msgspec.structs.replace(item, record=raw, record_type=CHUNK_TYPE) for item, raw in zip(like, raws, strict=True)]
    jpn.offer(pair.now_ns, items)
    pair.run(60)
    inbox = pair.exchanges["KOR"].station.store.inbox
    assert len(raws) == pair.link("KOR", "JPN", "history", "in").cursor.sequence
    assert len(inbox.chunked("JPN", "history")) <= PARTIAL_MAX
    assert dict(inbox.chunked("JPN", "history"))[b"t" * 32] == 4
    assert 2 == pair.link("KOR", "JPN", "history", "in").kept_aside


def test_pieces_overwritten_before_a_stop_do_not_keep_a_node_from_starting(tmp_path: Path) -> None:
    """A record made whole and not taken over, whose first piece then comes again as rubbish: the node starts, and goes on."""
    pair = Joined(tmp_path)
    whole = warning_of("w", text="é" * 600)
    raw = codec.encode(whole)
    of = sealing.leaf_hash(raw)
    parts = [codec.encode(Chunk(of=of, index=at, total=2, data=raw[at * 700 : (at + 1) * 700])) for at in range(2)]
    parts.append(codec.encode(Chunk(of=of, index=0, total=2, data=b"rubbish")))
    pair.hand_over = lambda _exchange, _received: None  # type: ignore[method-assign]
    items = [msgspec.structs.replace(tracks(pair, 1)[0], record=part, record_type=CHUNK_TYPE, lane="flash") for part in parts]
    pair.exchanges["JPN"].offer(pair.now_ns, items)
    pair.run(20)
    assert 3 == pair.link("KOR", "JPN", "flash", "in").cursor.sequence
    pair.stop("KOR")
    pair.start("KOR")
    later = released(warning_of("later"), "KOR", "flash")
    pair.exchanges["JPN"].offer(pair.now_ns, [later])
    pair.run(20)
    assert later.record == pair.raws("KOR", "flash")[-1]
    pair.close()
