"""One nation in a simulation: its disk, its clock, its exchange while it runs, and the books of what it said.

The books are the judge's: what was offered, what was on disk when the step that took it ended (must arrive), and what a fault
may have taken before that (may arrive). They are outside the node and survive what it does not.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from random import Random
from typing import Any, NamedTuple

import msgspec

from trilat.errors import StoreError
from trilat.exchange.exchange import Exchange, Outgoing
from trilat.exchange.importer import Received
from trilat.identity.sign import Rejected
from trilat.records.exchange import Cursor
from trilat.simulation import nations as world
from trilat.simulation.disk import SimulatedDisk, open_on
from trilat.simulation.nations import MODE, PUBLIC, Offers, as_previous, ring_of, routes_of
from trilat.simulation.network import Delivery, deliver
from trilat.simulation.recalls import STAGES, RecallBooks
from trilat.simulation.schedule import Clock, Schedule
from trilat.store.journal import Entry
from trilat.store.sqlite import Store
from trilat.transport import envelope as sealing
from trilat.transport.messages import (
    CHUNK_MARK,
    LANES,
    MINOR,
    BatchHeader,
    ExchangeSettings,
    LaneSettings,
    Resync,
    decode_chunk,
    decode_message,
)

MS = 1_000_000
BATCH_TYPE = "trilat.batch/1"
# Short waits and small windows: the same protocol, more of it in a second.
SETTINGS = ExchangeSettings(
    flash=LaneSettings(window_pulls=2, window_pulls_max=4, batch_records_max=1, wait_ms=400),
    state=LaneSettings(window_pulls=2, window_pulls_max=3, batch_records_max=8, wait_ms=500, tick_budget_bytes=64 << 10),
    history=LaneSettings(window_pulls=2, window_pulls_max=3, batch_records_max=16, wait_ms=500, tick_budget_bytes=64 << 10),
    slack_ms=300,
    retry_ms_max=400,
    chunk_bytes=1_024,
    credit_bytes_min=2_048,
    hub_wait_ms=2_000,
    hub_slack_ms=700,
)


def hashes_of(raws: Iterable[bytes]) -> set[bytes]:
    """Return the hashes of records, and of what pieces of records are of."""
    return {decode_chunk(raw).of if CHUNK_MARK in raw[:64] else sealing.leaf_hash(raw) for raw in raws}


class Kept(NamedTuple):
    """A copy of a store, and the judge's books as they were when it was made."""

    files: dict[str, bytes]
    must: list[Any]
    archive: dict[int, Entry]


class SimulatedNode:
    """A nation at tier A: the exchange with its real store; what it offers is made by dice in the tracker's place."""

    def __init__(self, nation: str, schedule: Schedule) -> None:
        self.nation = nation
        self.nations = schedule.nations
        self.clock = schedule.clock.get(nation, Clock())
        self.jump_ns = 0
        # The newest minor version it speaks, and its settings with it.
        self.minor = schedule.minor.get(nation, MINOR)
        self.settings = msgspec.structs.replace(SETTINGS, minor=self.minor)
        self.disk = SimulatedDisk(f"{schedule.seed}/disk/{nation}")
        self.dice = Random(f"{schedule.seed}/load/{nation}")
        self.offers = Offers(nation, schedule.nations, self.dice, schedule.large)
        self.store: Store | None = None
        self.exchange: Exchange | None = None
        self.arrived: deque[Delivery] = deque()
        self.stalled_until_ns = 0
        # Messages taken per second while it is slow; None = as they come.
        self.pace_s: float | None = None
        self.room = 0.0
        self.down_s = 0.0
        self.routes = routes_of(schedule.nations, schedule.hub)
        self.recalls = RecallBooks(Random(f"{schedule.seed}/recall/{nation}"))
        self.copies: list[Kept] = []
        self.counts: Counter[str] = Counter()
        self.pending: list[Any] = []
        self.memory: list[Any] = []
        self.must: list[Any] = []
        self.offered: list[Any] = []
        # What retention removed: of the log by number (whoever goes back to an older copy has it again), and of what was sent.
        self.archive: dict[int, Entry] = {}
        self.forgotten: set[bytes] = set()
        # Whether its store was ever put back or lost; hashes of what waited, for a number or a receipt, in the copies put in its
        # place, and of all that was sent in them: that may leave again.
        self.went_back = False
        self.waits_again: set[bytes] = set()
        self.sent_again: set[bytes] = set()
        # Whether the store is a backup that is still to be marked as such; once it is, the epoch of each stream in it.
        self.mark_due = False
        self.epochs_restored: dict[tuple[str, str], int] = {}
        self._last: dict[tuple[str, str], Cursor] = {}

    def now_ns(self, true_ns: int) -> int:
        """Return what this node's clock shows."""
        drift = int((true_ns - world.T0_NS) * self.clock.drift_ppm / 1e6)
        return true_ns + drift + int(self.clock.skew_s * 1e9) + self.jump_ns

    # --- its life -----------------------------------------------------------------------------------------------------

    def start(self, true_ns: int) -> bool:
        """Open the store and start; tell whether the disk let it."""
        del true_ns
        try:
            store = self.store = open_on(self.disk, self.nation, MODE)
            if self.mark_due:
                self._mark_restored(store)
            partners = [other for other in self.nations if other != self.nation]
            ring = ring_of(self.nation, self.nations)
            self.exchange = Exchange(self.settings, self.nation, MODE, ring, store, partners, (PUBLIC,), self.routes)
            if self.went_back:
                rows = [row for place in store.outbox.streams() for row in store.outbox.queued(*place, 1 << 40, 1 << 20)]
                self.waits_again |= hashes_of(row.record for row in rows) | hashes_of(self._sent(store, receipted=False))
                self.sent_again |= hashes_of(self._sent(store))
        except StoreError as error:
            self.counts[f"no start: {error.name}"] += 1
            self.kill()
            return False
        return True

    def _mark_restored(self, store: Store) -> None:
        """Do what `trilat restore` does to a copy that it has put in place."""
        store.outbox.mark_restored()
        store.commit()
        self.mark_due = False
        self.epochs_restored = {place: store.outbox.state(*place).last.epoch for place in store.outbox.streams()}

    def kill(self) -> None:
        """End without a word: what was not committed is gone, with everything in memory."""
        self.disk.kill()
        if self.store is not None:
            self.store.close()
        self.exchange = self.store = None
        self.pending, self.memory = [], []
        self._last = {}
        self.arrived.clear()

    def keep_copy(self) -> None:
        """Keep a copy of the store, and what of all that was said is in it."""
        self.copies.append(Kept(self.disk.copy(), list(self.must), dict(self.archive)))

    def roll_back(self, back: int = 0, *, restored: bool = False) -> None:
        """Put a copy in the place of the store: the newest, or one that was made `back` copies before it.

        restored: by its operator, who marks it (`trilat restore`); else nobody says that it is an older one.
        """
        self.kill()
        self.went_back = True
        copy = self.copies[-1 - min(back, len(self.copies) - 1)]
        self.disk.restore(copy.files)
        self.must, self.archive = list(copy.must), dict(copy.archive)
        self.mark_due, self.epochs_restored = restored, {}
        self.recalls.went_back(self.must)

    def rebuild(self) -> None:
        """Lose the store."""
        self.kill()
        self.went_back = True
        self.disk.restore({})
        self.must, self.copies = [], []
        self.mark_due, self.epochs_restored = False, {}
        self.recalls.went_back(())

    def retain(self, true_ns: int, keep_s: float) -> None:
        """Remove what is settled and older than a time, as its retention period would."""
        if self.exchange is None or self.store is None or self.exchange.health != "ok":
            return
        now_ns = self.now_ns(true_ns)
        # Only what is older than the log: after a rollback the log's numbers mean other entries.
        oldest = self.store.journal.oldest()
        self.archive = {n: entry for n, entry in self.archive.items() if n < oldest}
        self.archive.update({entry.n: entry for entry in self.store.journal.read(kinds=frozenset({"received"}))})
        kept = self._sent(self.store)
        self.exchange.retain(now_ns, now_ns - int(keep_s * 1e9))
        self.forgotten |= hashes_of(kept - self._sent(self.store))
        self.counts["retained"] += 1

    @staticmethod
    def _sent(store: Store, *, receipted: bool = True) -> set[bytes]:
        """Return every record, and every piece of one, that stands in a batch sent; or those behind the last receipt alone."""
        outbox = store.outbox
        after = {place: Cursor() if receipted else outbox.state(*place).receipt for place in outbox.streams()}
        batches = [batch for place, cursor in after.items() for batch in outbox.batches(*place, cursor)]
        return {entry[sealing.SALT_BYTES :] for batch in batches for entry in sealing.split_payload(batch.payload)}

    # --- its steps ----------------------------------------------------------------------------------------------------

    def offer(self, true_ns: int, count: int) -> None:
        """Say something."""
        if self.exchange is not None and count:
            now_ns = self.now_ns(true_ns)
            self._offer(now_ns, self.offers.make(now_ns, count))

    def _offer(self, now_ns: int, made: list[Any]) -> None:
        if self.exchange is None:
            return
        sound = self.exchange.health == "ok"
        self.exchange.offer(now_ns, made)
        self.offered += made
        if sound:
            self.pending += made
        else:
            self.memory += [item for item in made if item.lane == "flash"]

    def warn_all(self, true_ns: int, count: int) -> None:
        """Warn the people, and every partner."""
        if self.exchange is not None and true_ns >= self.stalled_until_ns:
            self._offer(now_ns := self.now_ns(true_ns), self.offers.warn_all(now_ns, count))

    def write_letter(self, true_ns: int, count: int) -> None:
        """Say something to whom there is a hub for, through it; the hub itself has nobody."""
        if self.exchange is None or true_ns < self.stalled_until_ns:
            return
        now_ns = self.now_ns(true_ns)
        for route in self.routes:
            ends = {route.origin, route.to}
            if self.nation in ends:
                (to,) = ends - {self.nation}
                self._offer(now_ns, self.offers.make_through(now_ns, count, to, route.via))

    def recall(self, true_ns: int, stage: int) -> None:
        """Take back some numbers that are as far as a stage, as a release officer does; nothing when there are none."""
        if self.exchange is None or self.store is None or self.exchange.health == "down" or true_ns < self.stalled_until_ns:
            return
        now_ns = self.now_ns(true_ns)
        numbers = self.recalls.choose(self.store, self.exchange.partners, STAGES[stage])
        if numbers is not None and (made := self.offers.recall(now_ns, numbers)) is not None:
            self.recalls.make(made.record, numbers)
            self.counts[f"recalled {STAGES[stage]}"] += 1
            self._offer(now_ns, [made])

    def take(self, true_ns: int, dt_ns: int) -> bool:
        """Take what arrived, as fast as it may; tell whether anything was taken."""
        if self.exchange is None or true_ns < self.stalled_until_ns:
            return False
        if self.pace_s is not None:
            self.room = min(self.room + self.pace_s * dt_ns / 1e9, self.pace_s)
        taken = False
        while self.arrived and (self.pace_s is None or self.room >= 1.0):
            self.room -= self.pace_s is not None
            self._take(self.now_ns(true_ns), self.exchange, self.arrived.popleft())
            taken = True
        return taken

    def _take(self, now_ns: int, exchange: Exchange, one: Delivery) -> None:
        refused = exchange.station.tally.refused
        before = sum(each.times for each in refused.values())
        down = exchange.health == "down"
        if self.minor < MINOR:
            one = self._read_as_previous(one)
        deliver(now_ns, exchange, one, SETTINGS.envelope_bytes_max)
        if one.fault and not down:
            self.counts["injected"] += 1
            self.counts[f"injected {one.fault}"] += 1
            self.counts["rejected"] += sum(each.times for each in refused.values()) > before

    def _read_as_previous(self, one: Delivery) -> Delivery:
        """Take out of what arrives all that a node of the version before does not know."""
        try:
            envelope = sealing.unpack(one.raw, SETTINGS.envelope_bytes_max)
        except Rejected:
            return one
        return one._replace(raw=sealing.pack(read)) if (read := as_previous(envelope)) is not envelope else one

    def _say_as_previous(self, out: Outgoing) -> Outgoing:
        """Leave out of what goes out all that a node of the version before does not say."""
        requests = tuple(one._replace(envelope=as_previous(one.envelope)) for one in out.requests)
        asked = [decode_message(one.envelope.body) for one in requests]
        self.counts["asked as the version before"] += sum(
            isinstance(pull, Resync) and pull.reason == "base-unknown" for pull in asked
        )
        answers = tuple(one if one.envelope is None else one._replace(envelope=as_previous(one.envelope)) for one in out.answers)
        return out._replace(requests=requests, answers=answers)

    def tick(self, true_ns: int) -> None:
        """Let time pass."""
        if self.exchange is not None and true_ns >= self.stalled_until_ns:
            self.exchange.tick(self.now_ns(true_ns))

    def flush(self, true_ns: int) -> Outgoing | None:
        """End a step; return what goes out, or None when the power went meanwhile."""
        exchange, store = self.exchange, self.store
        if exchange is None or store is None or true_ns < self.stalled_until_ns:
            return None
        now_ns = self.now_ns(true_ns)
        out = exchange.flush(now_ns)
        if self.disk.lost_power:
            return None
        for answer in out.answers:
            if answer.envelope is not None and answer.envelope.kind == BATCH_TYPE:
                self.recalls.watch(answer.envelope)
        self._settle(exchange)
        self._watch_numbers(exchange, store, out)
        received = exchange.take_received()
        if received:
            self.recalls.take(received)
            self._hand_over(now_ns, exchange, store, received)
        return out if self.minor >= MINOR else self._say_as_previous(out)

    def _settle(self, exchange: Exchange) -> None:
        """Enter in the books what is on disk now."""
        if exchange.health == "ok":
            self.recalls.settle(self.memory + self.pending)
            self.must += self.memory + self.pending
            self.memory = []
        else:
            self.counts[f"health {exchange.health}"] += 1
            self.memory += [item for item in self.pending if item.lane == "flash"]
        self.pending = []

    def _watch_numbers(self, exchange: Exchange, store: Store, out: Outgoing) -> None:
        """A number is given only in answer to a pull: no outbox may be further than its last number and what leaves now."""
        if exchange.health != "ok":  # a failed commit may be on disk after all, and what it numbered leaves later
            self._last = {}
            return
        highest: dict[tuple[str, str], int] = {}
        for answer in out.answers:
            if answer.envelope is not None and answer.envelope.kind == BATCH_TYPE:
                header, place = decode_message(answer.envelope.body), (answer.envelope.audience, answer.envelope.lane)
                if isinstance(header, BatchHeader):
                    highest[place] = max(highest.get(place, 0), header.number + header.count - 1)
        for place in ((partner, lane) for partner in exchange.partners for lane in LANES):
            last = store.outbox.state(*place).last
            known = self._last.get(place, Cursor())
            if last.epoch == known.epoch and last.sequence > max(known.sequence, highest.get(place, 0)):
                self.counts["numbered before a pull"] += 1
            self._last[place] = last

    def _hand_over(self, now_ns: int, exchange: Exchange, store: Store, received: list[Received]) -> None:
        """Take over what came from partners: into the log, in one transaction with the word that it was taken over."""
        for item in received:
            store.journal.append("received", f"{item.exporter}/{item.lane}", now_ns, item.raw)
        exchange.handed(received[-1].row)
        exchange.station.soon(now_ns)

    # --- what it holds ------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many records came from partners and are not taken over yet."""
        return 0

    @property
    def withheld(self) -> int:
        """How often its policy said no."""
        return self.offers.withheld

    def held(self, exporter: str, lane: str) -> list[bytes]:
        """Return what was handed over of a partner's lane, by the node's own log, in order."""
        if self.store is None:
            return []
        source, oldest = f"{exporter}/{lane}", self.store.journal.oldest()
        removed = [self.archive[n] for n in sorted(self.archive) if n < oldest]
        entries = [*removed, *self.store.journal.read(kinds=frozenset({"received"}))]
        return [entry.data for entry in entries if entry.source == source]
