"""Answers that come after their pull was given up."""

import pytest
from exchange_pair import Joined, tracks

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


def pull_under_way(pair: Joined) -> PullId:
    """Return the pull of KOR's that waits at JPN for what comes next."""
    return [pull for nation, pull in pair._tickets.values() if (nation, pull.lane) == ("KOR", "history")][-1]


def replays(pair: Joined) -> int:
    """Return how many of JPN's batches KOR counted as replayed, as `trilat links` tells them."""
    return pair.link("KOR", "JPN", "history", "in").rejected.get("replayed", 0)


def started_with_an_answer_under_way(pair: Joined, *, late_first: bool) -> list[tuple[PullId, Envelope]]:
    """Let KOR have a batch twice: JPN answered a pull, its wake ended the session before that came, and the next asked again."""
    came: list[tuple[PullId, Envelope]] = []

    def hold_first(nation: str, pull: PullId, envelope: Envelope) -> Envelope | None:
        if (nation, envelope.kind, envelope.lane) != ("KOR", "trilat.batch/1", "history"):
            return envelope
        came.append((pull, envelope))
        if len(came) == 1:
            return None
        if len(came) == 2 and late_first:
            pair.exchanges["KOR"].handle(pair.now_ns, came[0][1], pull=came[0][0])
        return envelope

    pair.run()
    pair.tap = hold_first
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 3))
    pair.run(4)
    pair.exchanges["JPN"].wake_partners()
    pair.run(4)
    if not late_first:
        pair.exchanges["KOR"].handle(pair.now_ns, came[0][1], pull=came[0][0])
    return came


@pytest.mark.parametrize("late_first", [True, False])
def test_what_a_start_sends_again_is_not_counted_as_replayed(pair: Joined, *, late_first: bool) -> None:
    """A batch under way when a wake ends its session comes twice, in either order: it is taken once, and nobody is told of a replay."""
    came = started_with_an_answer_under_way(pair, late_first=late_first)

    assert [first.payload for _, first in came] == [came[0][1].payload] * 2
    assert (len(pair.raws("KOR", "history")), replays(pair)) == (3, 0)
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 2, first=3))
    pair.run(4)
    assert (len(pair.raws("KOR", "history")), replays(pair)) == (5, 0)


@pytest.mark.parametrize("late_first", [True, False])
def test_a_batch_that_comes_a_third_time_is_counted_as_replayed(pair: Joined, *, late_first: bool) -> None:
    """After a start, too: put again into the answer to any pull, one under way, given up or long answered, it is a replay."""
    came = started_with_an_answer_under_way(pair, late_first=late_first)
    kor = pair.exchanges["KOR"]

    for n, (pull, envelope) in enumerate([*came, (pull_under_way(pair), came[0][1])], start=1):
        kor.handle(pair.now_ns, envelope, pull=pull)
        assert (len(pair.raws("KOR", "history")), replays(pair)) == (3, n)


def test_a_batch_of_the_present_session_is_counted_as_replayed(pair: Joined) -> None:
    """With nothing late, a batch played back as the answer to a pull that told of it is a replay, the first time already."""
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 3))
    pair.run(4)
    batch = next(envelope for _, _, envelope in pair.replies if envelope.kind == "trilat.batch/1")

    pair.exchanges["KOR"].handle(pair.now_ns, batch, pull=pull_under_way(pair))

    assert (len(pair.raws("KOR", "history")), replays(pair)) == (3, 1)
