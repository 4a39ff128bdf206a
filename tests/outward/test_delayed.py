"""What waits for its delay: one audience's own queue, bounded, in an order that nothing else moves."""

import random

from outward_records import track

from trilat.outward.delayed import DelayQueue

SECOND_NS = 10**9


def test_nothing_is_due_before_its_time() -> None:
    """A record comes out at its due time and not a nanosecond before, once."""
    queue = DelayQueue()
    queue.put(5 * SECOND_NS, "plot", "state", 3)
    assert queue.due(5 * SECOND_NS - 1) == []
    assert [one.record for one in queue.due(5 * SECOND_NS)] == ["plot"]
    assert queue.due(99 * SECOND_NS) == []
    assert len(queue) == 0


def test_a_track_that_moves_still_leaves() -> None:
    """States of a track do not replace one another while they wait; of those due together the newest alone is offered."""
    queue = DelayQueue()
    for k in range(10):
        queue.put(k * SECOND_NS, track(number=1, t_ns=k), "state", 2)
    queue.put(3 * SECOND_NS, track(number=2, t_ns=7), "state", 2)
    first = queue.due(4 * SECOND_NS)
    assert [(one.record.number, one.record.t_ns) for one in first] == [(2, 7), (1, 4)]
    assert [one.record.t_ns for one in queue.due(9 * SECOND_NS)] == [9]
    assert dict(queue.counts) == {"held": 11, "superseded": 8, "offered": 3}


def test_full_queue_sheds_the_least_important_oldest_first() -> None:
    """Beyond the bound plots go before tracks and tracks before warnings, oldest first, and each is counted."""
    queue = DelayQueue(held_max=4)
    for k, (what, priority) in enumerate((("w", 0), ("t1", 2), ("p1", 3), ("p2", 3), ("t2", 2), ("t3", 2), ("t4", 2))):
        queue.put(k, what, "state", priority)
    assert [one.record for one in queue.due(99)] == ["w", "t2", "t3", "t4"]
    assert queue.counts["shed"] == 3


def test_order_depends_on_times_alone() -> None:
    """Two queues given the same records give them in the same order; a restart forgets what had left before it."""
    rng = random.Random(3)
    given = [(rng.randrange(50), f"r{k}", rng.choice((2, 3))) for k in range(500)]
    first, second = DelayQueue(), DelayQueue()
    for queue in (first, second):
        for due_ns, record, priority in given:
            queue.put(due_ns, record, "state", priority)
    second.forget_due(20)
    first.due(20)
    assert first.due(60) == second.due(60)
    assert second.counts["offered before"] == sum(due_ns <= 20 for due_ns, _, _ in given)
