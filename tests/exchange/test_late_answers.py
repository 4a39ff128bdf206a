"""Answers that come after their pull was given up."""

from exchange_pair import Joined

from trilat.records.envelope import Envelope
from trilat.transport.messages import PullId


def test_an_answer_to_a_pull_that_was_given_up_is_late_once_and_replayed_after(pair: Joined) -> None:
    """What answers a pull of a session that ended is no replay when it comes, and counts as one when it comes again."""
    held = []

    def hold_one(_nation: str, pull: PullId, envelope: Envelope) -> Envelope | None:
        if envelope.kind == "trilat.empty/1" and _nation == "KOR" and not held:
            held.append((pull, envelope))
            return None
        return envelope

    pair.tap = hold_one
    pair.run(200)
    [(pull, envelope)] = held
    kor = pair.exchanges["KOR"]
    before = dict(kor.station.tally.refused)

    kor.handle(pair.now_ns, envelope, pull=pull)
    assert kor.station.tally.refused == before
    kor.handle(pair.now_ns, envelope, pull=pull)
    assert kor.station.tally.refused["JPN", "replayed"].times == 1
