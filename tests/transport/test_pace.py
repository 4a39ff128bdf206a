"""How fast a lane pulls: what it takes for the link's measure, and what not."""

from __future__ import annotations

from trilat.transport.messages import ExchangeSettings
from trilat.transport.pace import Pace

MS = 1_000_000
SETTINGS = ExchangeSettings()
LANE = SETTINGS.state
RECORD_BYTES = 280


def ticks(pace: Pace, said_bytes: int, bytes_per_ms: float, count: int, tick_ms: int = 50) -> list[int]:
    """Let an exporter say so much on each tick over a link, in answers as large as their pulls let them be; return how many."""
    parked = [(0, pace.credit_bytes) for _ in range(pace.window)]
    answers, link_ns = [], 0
    for k in range(1, count + 1):
        left, n = said_bytes, 0
        link_ns = max(link_ns, k * tick_ms * MS)
        while left > 0 and parked:
            sent_ns, credit = parked.pop(0)
            size = min(left, credit - credit % RECORD_BYTES)
            left, n = left - size, n + 1
            link_ns += int(size / bytes_per_ms * MS)
            pace.replied(link_ns, sent_ns, size, credit)
            parked += [(link_ns, pace.credit_bytes) for _ in range(pace.window - len(parked))]
        answers.append(n)
    return answers


def test_a_lane_with_little_to_say_on_a_wide_link_says_it_in_few_answers() -> None:
    """Of 28 kB a tick over a link of 10 MB/s each tick comes to take one or two answers: waiting is no measure of a link."""
    answers = ticks(Pace(SETTINGS, LANE), 28_000, 10_000.0, 200)

    assert max(answers[:5]) > 4  # as it begins, with the smallest credit
    assert sum(answers[100:]) / 100 < 2.0, answers


def test_what_was_measured_is_forgotten_when_a_pull_is_lost() -> None:
    """A lost pull halves the credit, and no older measure brings it back at once."""
    pace = Pace(SETTINGS, LANE)
    ticks(pace, 1 << 20, 10_000.0, 40)
    before = pace.credit_bytes
    pace.failed(10**12)
    after = pace.credit_bytes
    for k in range(pace.window):
        pace.replied(10**12 + (k + 1) * 500 * MS, 10**12, after, after)

    assert after == before // 2
    assert pace.credit_bytes <= after
