"""Bugs to plant: each is one plausible mistake. A simulation that cannot find them proves nothing.

`python tests/simulation/planted.py [SEEDS]` plants each, runs seeds until an invariant breaks, and prints the table.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace
from planted_said import published_on, recall_one_beside, recall_twice, recall_untold, reply_taken_for_direct

from trilat.errors import StoreError
from trilat.exchange.carrying import Carrying
from trilat.exchange.exchange import Exchange
from trilat.exchange.exporter import Exporter
from trilat.exchange.importer import Importer
from trilat.exchange.intake import Intake, Received
from trilat.exchange.keeping import Keeping
from trilat.exchange.numbering import Numbering, Publisher
from trilat.records.exchange import Cursor
from trilat.simulation.disk import DiskConnection, DiskStore
from trilat.simulation.run import Simulation
from trilat.simulation.schedule import draw
from trilat.store.inbox import Inbox
from trilat.store.journal import Journal
from trilat.store.outbox import Outbox
from trilat.store.places import Places
from trilat.store.sqlite import Database
from trilat.transport import envelope as sealing

Plant = Callable[[pytest.MonkeyPatch], Any]


# --- in the SQLite code -----------------------------------------------------------------------------------------------------


def synchronous(word: str) -> Plant:
    """Set SQLite's synchronous to something weaker than FULL."""
    true = DiskConnection.execute

    def execute(self: DiskConnection, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        return true(self, sql.replace("synchronous=FULL", f"synchronous={word}"), parameters)

    return lambda patch: patch.setattr(DiskConnection, "execute", execute)


def cursor_before_data(patch: pytest.MonkeyPatch) -> None:
    """Commit the cursor at once, and the batch that it covers with the step."""
    true = Inbox.put_state

    def put_state(self: Inbox, exporter: str, lane: str, state: Any) -> None:
        true(self, exporter, lane, state)
        batches, self._late = getattr(self, "_late", []), []
        self._write()
        self._database.read("COMMIT") if self._database._writing else None
        self._database._writing = False
        for batch in batches:
            TRUE_PUT(self, batch)

    def put_batch(self: Inbox, batch: Any) -> int:
        self._late = [*getattr(self, "_late", []), batch]
        row = self._database.row("SELECT coalesce(max(row),0)+1 FROM received")
        return int(row[0]) if row else 0

    patch.setattr(Inbox, "put_state", put_state)
    patch.setattr(Inbox, "put_batch", put_batch)


TRUE_PUT = Inbox.put_batch


def answers_before_commit(patch: pytest.MonkeyPatch) -> None:
    """Say that the commit worked although it failed."""

    def commit(self: DiskStore) -> None:
        try:
            self.database.commit()
        except StoreError:
            self.database.rollback()

    patch.setattr(DiskStore, "commit", commit)


def no_reload(patch: pytest.MonkeyPatch) -> None:
    """After a failed commit keep the books in memory, although the disk has the old ones."""
    true = Exchange._load
    patch.setattr(Exchange, "_load", lambda self: None if self._exporters else true(self))


# --- in the protocol --------------------------------------------------------------------------------------------------------


def accept_gaps(patch: pytest.MonkeyPatch) -> None:
    """Take an early batch as if it were the next."""
    true = Importer._batch

    def batch(self: Importer, now_ns: int, header: Any, envelope: Any) -> None:
        if header.epoch == self.state.cursor.epoch and header.number > self.state.cursor.sequence + 1:
            self._put(cursor=Cursor(header.epoch, header.number - 1, header.prev_head))
        true(self, now_ns, header, envelope)

    patch.setattr(Importer, "_batch", batch)


def accept_replays(patch: pytest.MonkeyPatch) -> None:
    """Take a batch that is held already once more."""
    true = Importer._batch

    def batch(self: Importer, now_ns: int, header: Any, envelope: Any) -> None:
        cursor = self.state.cursor
        if header.epoch == cursor.epoch and header.number <= cursor.sequence:
            raws = [entry[sealing.SALT_BYTES :] for entry in sealing.split_payload(envelope.payload)]
            place = (self.exporter, self.lane, header.epoch)
            self.taken += [Received(*place, header.number + i, True, raw, 0) for i, raw in enumerate(raws)]  # noqa: FBT003
            return
        true(self, now_ns, header, envelope)

    patch.setattr(Importer, "_batch", batch)


def forget_epoch(patch: pytest.MonkeyPatch) -> None:
    """Take a cursor that is ahead of the own log as if it were level."""
    true = Exporter._begin

    def begin(self: Exporter, now_ns: int, pull: Any, evidence: Any) -> str:
        if self.place(pull.cursor) == "ahead" and self.state.last.epoch:
            self._sent = pull.cursor.sequence
            self._put(last=pull.cursor, receipt=pull.cursor)
            return ""
        return true(self, now_ns, pull, evidence)

    patch.setattr(Exporter, "_begin", begin)


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


def number_before_pull(patch: pytest.MonkeyPatch) -> None:
    """Give numbers when records are offered."""
    true = Keeping._offer

    def offer(self: Exchange, now_ns: int, released: Any) -> None:
        true(self, now_ns, released)
        for exporter in self._exporters.values():
            if exporter.state.last.epoch:
                exporter.number(now_ns, 2_048, 1)

    patch.setattr(Keeping, "_offer", offer)


def mixed_batch(patch: pytest.MonkeyPatch) -> None:
    """Put one audience's records into another's batch, and do not look when they come."""
    true = Outbox.queued

    def queued(self: Outbox, audience: str, lane: str, bytes_max: int, count_max: int) -> Any:
        others = sorted(name for name, of in self._streams if of == lane and self.queue_size(name, lane)[0])
        return true(self, others[0] if others else audience, lane, bytes_max, count_max)

    patch.setattr(Outbox, "queued", queued)
    patch.setattr(Intake, "_check", lambda *_: None)


def wrong_audience(patch: pytest.MonkeyPatch) -> None:
    """Do not look for whom an envelope is."""
    true = sealing.verify

    def verify(ring: Any, now_ns: int, nation: str, mode: Any, envelope: Any) -> Any:
        return true(ring, now_ns, envelope.audience or nation, mode, envelope)

    patch.setattr(sealing, "verify", verify)


def receipts_unchecked(patch: pytest.MonkeyPatch) -> None:
    """Take any cursor for a receipt: neither head nor number is compared with the own log."""
    patch.setattr(Exporter, "place", lambda *_: "level")

    def receipt(self: Exporter, now_ns: int, cursor: Any, _evidence: Any) -> bool:
        self._put(receipt=cursor, receipt_t_ns=now_ns)
        return True

    patch.setattr(Exporter, "_receipt", receipt)


def payload_unchecked(patch: pytest.MonkeyPatch) -> None:
    """Neither count, nor root, nor chain of a payload is compared with the header: a doubled or foreign leaf goes through."""

    def open_batch(header: Any, payload: bytes) -> Any:
        entries = sealing.split_payload(payload)
        return sealing.Opened(sealing.leaf_hashes(entries), [None if i in header.withheld else e for i, e in enumerate(entries)])

    patch.setattr(sealing, "open_batch", open_batch)


def supersede_everything(patch: pytest.MonkeyPatch) -> None:
    """Let newer records replace unsent older ones that are no states of tracks."""
    true = Exporter.offer

    def offer(self: Exporter, rows: Iterable[Any]) -> None:
        true(self, [replace(row, key=row.key or f"same/{len(row.record)}") for row in rows])

    patch.setattr(Exporter, "offer", offer)


def hand_on_early(patch: pytest.MonkeyPatch) -> None:
    """Count a batch as handed on when it is taken, before anyone was told."""
    true = Inbox.put_batch

    def put(self: Inbox, batch: Any) -> int:
        row = true(self, batch)
        self.handed(row)
        return row

    patch.setattr(Inbox, "put_batch", put)


def moved_behind(patch: pytest.MonkeyPatch) -> None:
    """Queue what is moved into a new epoch behind what waits."""
    true = Outbox.enqueue

    def enqueue(self: Outbox, audience: str, lane: str, rows: Sequence[Any]) -> int:
        return true(self, audience, lane, [replace(row, priority=max(row.priority, 0)) for row in rows])

    patch.setattr(Outbox, "enqueue", enqueue)


def forget_everything(patch: pytest.MonkeyPatch) -> None:
    """Let retention take for receipted all that was sent."""
    true = Outbox.forget

    def forget(self: Outbox, audience: str, lane: str, _receipt: Cursor, before_ns: int) -> int:
        return true(self, audience, lane, self.state(audience, lane).last, before_ns)

    patch.setattr(Outbox, "forget", forget)


def losses_untold(patch: pytest.MonkeyPatch) -> None:
    """Say that nothing is missing before a new epoch."""
    true = Numbering._after

    def after(self: Numbering, base: Cursor) -> Any:
        found = true(self, base)
        return None if found is None else (found[0], 0)

    patch.setattr(Numbering, "_after", after)


def common_unseen(patch: pytest.MonkeyPatch) -> None:
    """Go on from the last number given, and take an importer's word for none of its places."""
    patch.setattr(Exporter, "common", lambda self, *_, **__: self.state.last)
    patch.setattr(Intake, "holds", lambda *_: True)


def set_to(owner: type, name: str, value: Any) -> Plant:
    """Put something in the place of one method."""
    return lambda patch: patch.setattr(owner, name, value)


SQLITE: dict[str, Plant] = {
    "synchronous OFF: no fsync": synchronous("OFF"),
    "synchronous NORMAL: no fsync of the WAL": synchronous("NORMAL"),
    "cursor committed before its batch": cursor_before_data,
    "sent although the commit failed": answers_before_commit,
    "books kept in memory after a failed commit": no_reload,
    "failed commit that is on disk not noticed": set_to(Database, "count_commits", lambda _: 0),
    "commit without what the log holds": set_to(Journal, "_write", lambda self: self._pending.clear()),
    "replaced record not written": set_to(Outbox, "_replace", lambda *_: True),
    "retention takes what no partner has receipted": forget_everything,
    "what retention removes leaves no head": set_to(Places, "head_at", lambda *_: None),
    "hand-over never kept": set_to(Inbox, "handed", lambda *_: None),
    "restored store not marked": set_to(Outbox, "mark_restored", lambda _: 0),
    "what retention removed not counted as unchecked": set_to(Inbox, "newest_forgotten", lambda *_: (0, 0)),
    "marks of recalls not read by the exporter": set_to(Outbox, "recalled", lambda *_: ()),
    "marks of recalls not read by the importer": set_to(Inbox, "recalled", lambda *_: frozenset()),
}
PROTOCOL: dict[str, Plant] = {
    "epoch forgotten after a rollback": forget_epoch,
    "replay accepted": accept_replays,
    "gap taken for the next": accept_gaps,
    "number before pull": number_before_pull,
    "mixed batch accepted": mixed_batch,
    "wrong audience accepted": wrong_audience,
    "receipts not checked": receipts_unchecked,
    "payload not compared with its header": payload_unchecked,
    "plots superseded": supersede_everything,
    "session goes on after the last sent": session_goes_on,
    "what may come again not known by content": set_to(Intake, "_known", lambda *_: False),
    "nothing moved into a new epoch": set_to(Numbering, "_requeue", lambda *_: []),
    "moved behind what waits": moved_behind,
    "loss not told": losses_untold,
    "newest place taken for common unseen": common_unseen,
    "counted as handed on when taken": hand_on_early,
    "hub keeps letters for itself": set_to(Carrying, "_give_on", lambda *_: None),
    "reply by letter taken for a direct one": reply_taken_for_direct,
    "warning of the people waits for a pull": set_to(Publisher, "publish", lambda *_: 0),
    "warnings of the people go on after a restore": set_to(Publisher, "publish", published_on),
    "branch expected of the version before": lambda patch: patch.setattr("trilat.exchange.exporter.BRANCH_MINOR", 0),
    "loss expected of the version before": lambda patch: patch.setattr("trilat.exchange.importer.BRANCH_MINOR", 0),
    "recall marked and not told": recall_untold,
    "recall told twice": recall_twice,
    "recall of the number before": recall_one_beside,
    "recall not followed into later epochs": set_to(Numbering, "_recall_moved", lambda *_: None),
}
PLANTS = SQLITE | PROTOCOL


class Found(NamedTuple):
    """The seed that found a planted bug, how many it took, and what broke."""

    seed: int
    after: int
    what: str


def found(plant: str, seeds: Iterable[int]) -> Found | None:
    """Plant a bug and run seeds until an invariant breaks; None when none does. An exception counts: it stops a node."""
    for after, seed in enumerate(seeds, 1):
        with pytest.MonkeyPatch.context() as patch:
            PLANTS[plant](patch)
            problems = Simulation(draw(seed)).run().problems
        if problems:
            return Found(seed, after, problems[0])
    return None


def main() -> None:
    """Print the table."""
    seeds_max = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    missed = 0
    for plant in PLANTS:
        one = found(plant, range(seeds_max))
        missed += one is None
        told = f"not in {seeds_max}" if one is None else f"{one.after:>4} seeds: {one.what.splitlines()[0][:70]}"
        print(f"{'SQLite' if plant in SQLITE else 'protocol':<9} {plant:<45} {told}", flush=True)  # noqa: T201 - what it is for
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
