"""Bugs to plant: each is one plausible mistake. A simulation that cannot find them proves nothing.

`found_after` says how many seeds it took, from a list of seeds, until an invariant broke.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fault_simulation import Simulation

from trilat.exchange.exchange import Exchange
from trilat.exchange.exporter import Exporter
from trilat.exchange.importer import Importer
from trilat.exchange.intake import Intake
from trilat.exchange.numbering import Numbering
from trilat.records.exchange import Cursor
from trilat.store.inbox import Inbox
from trilat.store.journal import Journal
from trilat.store.outbox import Outbox
from trilat.store.sqlite import Database, Store

Plant = Callable[[pytest.MonkeyPatch], Any]


def accept_gaps(patch: pytest.MonkeyPatch) -> None:
    """Take an early batch as if it were the next."""
    true = Importer._batch

    def batch(self: Importer, now_ns: int, header: Any, envelope: Any) -> None:
        if header.epoch == self.state.cursor.epoch and header.number > self.state.cursor.sequence + 1:
            self.state = type(self.state)(
                cursor=Cursor(header.epoch, header.number - 1, header.prev_head), counter_ceiling=self.state.counter_ceiling
            )
        true(self, now_ns, header, envelope)

    patch.setattr(Importer, "_batch", batch)


def no_rollback_of_books(patch: pytest.MonkeyPatch) -> None:
    """After a failed commit keep the books in memory, although the disk has the old ones."""
    patch.setattr(Exchange, "_load", lambda self: None if self._exporters else TRUE_LOAD(self))


TRUE_LOAD = Exchange._load


def answers_before_commit(patch: pytest.MonkeyPatch) -> None:
    """Say that the commit worked although it failed."""
    true = Database.commit

    def commit(self: Database) -> None:
        from trilat.errors import StoreError

        try:
            true(self)
        except StoreError:
            self.rollback()

    patch.setattr(Store, "commit", lambda self: commit(self.database))


def forget_handing(patch: pytest.MonkeyPatch) -> None:
    """Never keep what was handed on."""
    patch.setattr(Inbox, "handed", lambda *_: None)


def hand_on_early(patch: pytest.MonkeyPatch) -> None:
    """Count a batch as handed on when it is taken, before anyone was told."""
    true = Inbox.put_batch

    def put(self: Inbox, batch: Any) -> int:
        row = true(self, batch)
        self.handed(row)
        return row

    patch.setattr(Inbox, "put_batch", put)


def supersede_everything(patch: pytest.MonkeyPatch) -> None:
    """Let newer bulk records replace unsent older ones on every lane."""
    true = Exporter.offer

    def offer(self: Exporter, rows: Sequence[Any]) -> None:
        from msgspec.structs import replace

        true(self, [replace(row, key=row.key or f"same/{len(row.record)}") for row in rows])

    patch.setattr(Exporter, "offer", offer)


def session_goes_on(patch: pytest.MonkeyPatch) -> None:
    """A new session goes on after the last number sent instead of at its cursor."""
    true = Exporter._begin

    def begin(self: Exporter, now_ns: int, pull: Any, evidence: Any) -> str:
        sent, epoch = self._sent, self.state.last.epoch
        reason = true(self, now_ns, pull, evidence)
        if self.state.last.epoch == epoch:
            self._sent = max(self._sent, sent)
        return reason

    patch.setattr(Exporter, "_begin", begin)


def no_counter_block(patch: pytest.MonkeyPatch) -> None:
    """Begin the pull counter at nothing after each start."""
    true = Importer.__init__

    def init(self: Importer, *args: Any) -> None:
        true(self, *args)
        self._counter = 0

    patch.setattr(Importer, "__init__", init)
    patch.setattr(Importer, "_refused", lambda *_: None)


def last_in_first_out(patch: pytest.MonkeyPatch) -> None:
    """Queue what is moved into a new epoch behind what waits."""
    true = Outbox.enqueue

    def enqueue(self: Outbox, audience: str, lane: str, rows: Sequence[Any]) -> int:
        from msgspec.structs import replace

        return true(self, audience, lane, [replace(row, priority=max(row.priority, 0)) for row in rows])

    patch.setattr(Outbox, "enqueue", enqueue)


PLANTS: dict[str, Plant] = {
    "forget what may come again in a new epoch": lambda p: p.setattr(Intake, "_known", lambda *_: False),
    "forget the epoch after a rollback": lambda p: p.setattr(Exporter, "_begin", forget_epoch(Exporter._begin)),
    "take a gap for the next batch": accept_gaps,
    "do not mark what was moved into a new epoch": lambda p: p.setattr(Outbox, "move", lambda *_: None),
    "move nothing into a new epoch": lambda p: p.setattr(Numbering, "_requeue", lambda *_: 0),
    "move it behind what waits": last_in_first_out,
    "keep the books of a failed step": no_rollback_of_books,
    "send although the commit failed": answers_before_commit,
    "never keep what was handed on": forget_handing,
    "count as handed on what was only taken": hand_on_early,
    "lose the queue's place of a replaced record": lambda p: p.setattr(Outbox, "_replace", lambda *_: True),
    "supersede on every lane": supersede_everything,
    "begin a session after the last number sent": session_goes_on,
    "begin counters anew after a start": no_counter_block,
    "commit without what the log holds": lambda p: p.setattr(Journal, "_write", lambda self: self._pending.clear()),
}


def forget_epoch(true: Callable[..., str]) -> Callable[..., str]:
    """Take a cursor that is ahead as if it were level."""

    def begin(self: Exporter, now_ns: int, pull: Any, evidence: Any) -> str:
        if self._place(pull.cursor) == "ahead" and self.state.last.epoch:
            self._sent = pull.cursor.sequence
            self._put(last=pull.cursor, receipt=pull.cursor)
            return ""
        return true(self, now_ns, pull, evidence)

    return begin


def found_after(plant: str, seeds: Sequence[int], directory: Path, seconds: float = 6.0) -> int | None:
    """Return how many seeds it took until a planted bug broke an invariant; None when none of them did.

    An exception counts: in a run, a bug may also show as a store that refuses to go on.
    """
    for count, seed in enumerate(seeds, 1):
        place = directory / f"{count}-{seed}"
        place.mkdir(parents=True)
        with pytest.MonkeyPatch.context() as patch:
            PLANTS[plant](patch)
            try:
                problems = (
                    Simulation(seed, place, seconds=seconds, nations=("JPN", "KOR") if seed % 5 else ("JPN", "KOR", "USA"))
                    .run()
                    .problems
                )
            except Exception as error:  # noqa: BLE001 - a planted bug may break anything
                problems = [repr(error)]
        if problems:
            return count
    return None
