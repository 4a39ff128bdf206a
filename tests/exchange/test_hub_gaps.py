"""Letters in batches that come early or late: each is dealt with in the step that takes its batch, whatever follows it."""

from pathlib import Path

import pytest
from exchange_pair import Joined
from exchange_records import MS, track_of
from test_hub import FAST, NATIONS, ROUTE, got, offer

from trilat.errors import StoreError
from trilat.exchange.station import STOPPED_RETRY_NS
from trilat.records import codec
from trilat.records.envelope import Envelope
from trilat.records.exchange import Queued
from trilat.transport import envelope as sealing
from trilat.transport.messages import PullId, decode_message


def test_a_letter_is_dealt_with_although_what_follows_it_is_refused(tmp_path: Path) -> None:
    """A batch that fills a gap is taken, and the early one behind it refused: the letters in the first never come to the node."""
    three = Joined(tmp_path, NATIONS, FAST, routes=(ROUTE,), memory=True).run()
    usa, kor = three.exchanges["USA"], three.exchanges["KOR"]
    late: list = []

    def hold_back(nation: str, pull: PullId, envelope: Envelope) -> Envelope | None:
        is_late = nation == "KOR" and (pull.partner, pull.lane, envelope.kind) == ("USA", "state", "trilat.batch/1")
        late.extend([(pull, envelope)] * is_late)
        return None if is_late else envelope

    three.tap = hold_back
    offer(three, range(2))
    three.run(8)
    pull, first = late[0]
    header = decode_message(first.body)
    exporter, entry = usa._exporters["KOR", "state"], bytes(16) + codec.encode(track_of(99, originator="USA"))
    after = exporter._header(three.now_ns, header.number + header.count, bytes(32), [entry], 1, t_ns=three.now_ns)  # type: ignore[union-attr]
    wrong = sealing.seal(usa.station.ring.current(three.now_ns), after, sealing.join_payload([entry]))
    kor.handle(three.now_ns, wrong, pull=pull)
    kor.handle(three.now_ns, first, pull=pull)
    three.tap = lambda _nation, _pull, envelope: envelope
    three.run(60)
    assert "head-wrong" in kor.station.tally.by_reason("USA")
    assert [("JPN", 0), ("JPN", 1)] == got(three)
    three.close()


def test_a_revoked_addressee_gets_nothing_out_of_a_stopped_lane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters for KOR that wait in a lane to USA that is stopped do not leave when it goes on after KOR was revoked."""
    three = Joined(tmp_path, NATIONS, FAST, routes=(ROUTE,)).run(14)
    jpn = three.exchanges["JPN"]
    outbox = jpn.station.store.outbox
    offer(three, range(2))
    three.now_ns += 50 * MS
    jpn.tick(three.now_ns)
    jpn.flush(three.now_ns)
    assert outbox.queue_size("USA", "state")[0]
    true = outbox.queued

    def queued(audience: str, lane: str, bytes_max: int, count_max: int) -> list[Queued]:
        if (audience, lane) == ("USA", "state"):
            raise StoreError("store-corrupt", "a page")
        return true(audience, lane, bytes_max, count_max)

    with monkeypatch.context() as patched:
        patched.setattr(outbox, "queued", queued)
        three.run(2)
        assert ("out", "USA", "state") in jpn._stopped
        jpn.stop_serving("KOR")
    three.now_ns += STOPPED_RETRY_NS
    three.run(1)
    assert not jpn._stopped
    left = outbox.queued("USA", "state", 1 << 40, 1000)
    assert [row for row in left if codec.decode(row.record).addressee == "KOR"] == []
    three.run(40)
    assert got(three) == []
    three.close()
