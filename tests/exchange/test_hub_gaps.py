"""Letters in batches that come early or late: each is dealt with in the step that takes its batch, whatever follows it."""

from pathlib import Path

from exchange_pair import Joined
from exchange_records import track_of
from test_hub import FAST, NATIONS, ROUTE, got, offer

from trilat.records import codec
from trilat.records.envelope import Envelope
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
