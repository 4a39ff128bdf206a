"""What the exchange keeps in order: its books, its store and its bounds; and what it does while the disk fails. Sans-IO."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Literal

import msgspec

from trilat.errors import StoreError
from trilat.exchange.exporter import Answer, Exporter
from trilat.exchange.importer import Importer, Received
from trilat.exchange.numbering import Numbering, Publisher
from trilat.exchange.station import Station, Store
from trilat.identity.sign import KeyRing
from trilat.records import codec
from trilat.records.carried import Route
from trilat.records.exchange import Queued
from trilat.records.label import Mode
from trilat.records.released import Released
from trilat.records.warning import Recall
from trilat.transport.carried import stream_name
from trilat.transport.messages import LANES, Checkpoint, ExchangeSettings

MS = 1_000_000
# Records per round of expiring or shedding, so that a step stays short.
SWEEP_ROWS = 2_000
# Flash that could not be written is kept in memory up to this many records.
UNSAVED_MAX = 10_000
# Entries of the log that are removed for each batch of a stream.
LOG_PER_STREAM = 10
RECALL_TYPE = "trilat.recall/1"
CHECKPOINT_TYPE = "trilat.checkpoint/1"
_encode = msgspec.msgpack.Encoder().encode


@lru_cache(maxsize=4_096)
def about(record_type: str, decision: str, reason: str) -> bytes:
    """Return why a record was released, as it is kept beside it: few kinds of answers, many records."""
    return _encode((record_type, decision, reason))


Health = Literal["ok", "flash-only", "down"]


def is_due(now_ns: int, at_ns: int, interval_ns: int) -> bool:
    """Tell whether a time that was set at most an interval ahead has come; it has, too, when the clock was set back since."""
    return now_ns >= at_ns or at_ns - now_ns > interval_ns


class Keeping:
    """The books of one node's exchange, and the store under them."""

    def __init__(
        self,
        settings: ExchangeSettings,
        nation: str,
        mode: Mode,
        ring: KeyRing,
        store: Store,
        partners: Sequence[str],
        published: Sequence[str] = (),
        routes: Sequence[Route] = (),
    ) -> None:
        self.station = Station(settings, nation, mode, ring, store)
        self.partners = tuple(sorted(set(partners) - {nation}))
        # Audiences that pull nothing (PUBLIC): what they may have is sealed and kept.
        self.published = tuple(sorted(set(published)))
        # Through which hubs letters may go, by the agreements.
        self.routes = tuple(sorted(routes))
        self.health: Health = "ok"
        self.trouble: StoreError | None = None
        self.unsaved_shed = 0
        self._answers: list[Answer] = []
        self._offered: list[Released] = []
        # What a failed step was offered, until it is known whether that step is on disk after all.
        self._doubtful: list[Released] = []
        self._unsaved: list[Released] = []
        self._received: list[Received] = []
        self._keys_due = True
        self._retry_ns = 0
        # How often the books were read: what was received before the last time and not handed on is given again.
        self.readings = 0
        self._exporters: dict[tuple[str, str], Exporter] = {}
        self._importers: dict[tuple[str, str], Importer] = {}
        self._publishers: dict[tuple[str, str], Publisher] = {}
        # Pulls that came by letter, by their (negative) tickets; the newest inbox rows of letters, given and handed over.
        self._by_letter: dict[int, Any] = {}
        self._letter_ticket = 0
        self._row_of_letters = 0
        self._row_given = 0
        self._row_handed = 0

    def _streams(self) -> list[tuple[str, str | None]]:
        """Return with whom we exchange: every partner directly, and through a hub where an agreement has such a route."""
        known, nation = frozenset(self.partners), self.station.nation
        through = {
            (other, route.via)
            for route in self.routes
            for here, other in ((route.origin, route.to), (route.to, route.origin))
            if here == nation and known.issuperset({other, route.via})
        }
        return [*((partner, None) for partner in self.partners), *sorted(through)]

    def _join_streams(self) -> None:
        """Make what is missing of exporters and importers, drop what is no longer with anybody; all else goes on as it was."""
        places = [(partner, lane, via) for partner, via in self._streams() for lane in LANES]
        named = {(stream_name(partner, via), lane): (partner, lane, via) for partner, lane, via in places}
        self._exporters = {at: self._exporters.get(at) or Exporter(self.station, *place) for at, place in named.items()}
        self._importers = {at: self._importers.get(at) or Importer(self.station, *place) for at, place in named.items()}

    def _load(self) -> None:
        """Read the books from disk, and take up what was received but not taken over by the node before a stop or failure."""
        self.readings += 1
        self._exporters, self._importers = {}, {}
        self._by_letter = {}
        self._row_of_letters, self._row_given, self._row_handed = 0, 0, 0
        self._join_streams()
        self._publishers = {(name, lane): Publisher(self.station, name, lane) for name in self.published for lane in LANES}
        self._received = []
        for batch in self.station.store.inbox.unhanded():
            importer = self._importers.get((batch.partner, batch.lane))
            if importer is not None:
                # Letters were dealt with in the very transaction in which they came.
                self._received += [item for item in importer.again(batch) if not item.is_letter]

    def _offer(self, now_ns: int, released: Sequence[Released]) -> None:
        by_place: dict[tuple[str, str], list[Queued]] = {}
        for item in released:
            row = Queued(
                record=item.record,
                t_ns=item.t_ns,
                priority=item.priority,
                key=item.supersede_key if item.lane == "state" else None,
                expires_ns=item.expires_ns,
                about=about(item.record_type, item.decision, item.reason),
            )
            by_place.setdefault((stream_name(item.audience, item.via), item.lane), []).append(row)
            if item.record_type == RECALL_TYPE:
                self._recall(now_ns, item)
        for place, rows in sorted(by_place.items()):
            self._outbox(place).offer(rows)
            exporter = self._exporters.get(place)
            if exporter is None:
                self._publishers[place].publish(now_ns)
            elif not self.station.settings.lane(place[1]).tick_budget_bytes:
                self._answers += exporter.serve(now_ns)
        for audience in sorted({audience for audience, _ in by_place}):
            self._shed(now_ns, audience)

    def _outbox(self, place: tuple[str, str]) -> Numbering:
        return self._exporters.get(place) or self._publishers[place]

    def _recall(self, now_ns: int, item: Released) -> None:
        recall = codec.decode(item.record)
        if isinstance(recall, Recall):
            self._outbox((stream_name(item.audience, item.via), recall.lane)).recall(recall.epoch, recall.sequences, now_ns)

    def _keep_house(self, now_ns: int) -> None:
        for place in (*self._exporters, *self._publishers):
            self._outbox(place).drop(self.station.store.outbox.expired(*place, now_ns, SWEEP_ROWS), "expired", now_ns)
        for source, data in self.station.tally.notes(now_ns):
            self.station.store.note("rejected", source, now_ns, data)
            self.station.soon(now_ns)

    def retain(self, now_ns: int, before_ns: int, most: int = 1 << 40) -> int:
        """Remove what is settled and older than a time: receipted and handed-on batches, and the log behind a signed checkpoint.

        What a partner has not receipted stays, and so does what was not handed on. most: of each stream, and of the log, so that
        a step stays short; then call it again. Returns how many entries and batches went.
        """
        removed = 0
        store, station = self.station.store, self.station
        with self._guarded(now_ns):
            for (partner, lane), exporter in self._exporters.items():
                if exporter.is_settled:
                    removed += store.outbox.forget(partner, lane, exporter.state.receipt, before_ns, most)
                removed += store.inbox.forget(partner, lane, self._importers[(partner, lane)].state.cursor, before_ns, most)
            for (audience, lane), publisher in self._publishers.items():
                if publisher.is_settled:
                    removed += store.outbox.forget(audience, lane, publisher.state.last, before_ns, most)
            n, head = store.log_before(before_ns, LOG_PER_STREAM * most)
            if n:
                key = station.ring.current(now_ns)
                mark = Checkpoint(nation=station.nation, mode=station.mode, n=n, head=head, t_ns=now_ns, key_id=key.key_id)
                body = codec.encode(mark)
                removed += store.prune_log(n, now_ns, body, key.key_id, key.sign(CHECKPOINT_TYPE, body))
                self._keys_due = True
            self._note_keys(now_ns)
            store.note("retained", station.nation, now_ns, _encode({"removed": removed, "log": n, "before_ns": before_ns}))
            station.must = True
        return removed

    def _note_keys(self, now_ns: int) -> None:
        """Keep the public keys in the log, so that an audit needs nothing but the store."""
        if self._keys_due:
            ring = self.station.ring
            keys = [*ring.own(), *ring.pinned()]
            self.station.store.note("keys", self.station.nation, now_ns, _encode([(k.nation, k.key_id, k.public) for k in keys]))
            self._keys_due = False
            self.station.must = True

    def _shed(self, now_ns: int, audience: str) -> None:
        """Keep an audience's queue within its bound: history goes first, then state, flash never."""
        outbox = self.station.store.outbox
        over = sum(outbox.queue_size(audience, lane)[1] for lane in LANES) - self.station.settings.outbox_bytes_max
        for lane in ("history", "state"):
            while over > 0 and (rows := outbox.least(audience, lane, over, SWEEP_ROWS)):
                self._outbox((audience, lane)).drop(rows, "shed", now_ns)
                over -= sum(len(row.record) for row in rows)

    # --- a failing disk -----------------------------------------------------------------------------------------------

    @contextmanager
    def _guarded(self, now_ns: int) -> Iterator[None]:
        try:
            yield
        except StoreError as error:
            self._fail(now_ns, error)

    def _fail(self, now_ns: int, error: StoreError) -> None:
        """Forget the step: its answers, what it received; flash that was offered is kept in memory and tried again."""
        self.trouble = error
        parked = [answer for exporter in self._exporters.values() for answer in exporter.release_all()]
        self._answers = [Answer(answer.ticket, None) for answer in (*self._answers, *parked)]
        self._doubtful += self._offered
        self._offered = []
        self.station.must, self.station.lazy_ns = False, None
        self._retry_ns = now_ns + self.station.settings.retry_ms_max * MS
        self.health = "flash-only" if error.name == "store-full" and self.station.store.give_reserve() else "down"
        try:
            self._reopen()
        except StoreError as again:
            self.trouble, self.health = again, "down"
        if self.health == "flash-only":
            self._wakes_due = True  # the parked pulls are gone; partners need not find out by their time-outs
            try:
                self._save(now_ns)
            except StoreError as again:
                self.trouble, self.health = again, "down"
                self._keep_unsaved(self._offered)
                self._offered = []

    def _reopen(self) -> None:
        """Open the file and read the books anew; keep what the failed step was offered, unless it is on disk after all."""
        there = self.station.store.rollback()
        doubtful, self._doubtful = self._doubtful, []
        if not there:
            later, self._unsaved = self._unsaved, []
            self._keep_unsaved(doubtful)
            self._unsaved += later
        self._load()

    def _keep_unsaved(self, released: Sequence[Released]) -> None:
        flash = [item for item in released if item.lane == "flash"]
        room = max(UNSAVED_MAX - len(self._unsaved), 0)
        self._unsaved += flash[:room]
        self.unsaved_shed += len(released) - len(flash[:room])

    def _save(self, now_ns: int) -> None:
        unsaved, self._unsaved = self._unsaved, []
        self._offered += unsaved
        self._offer(now_ns, unsaved)

    def _persist(self, now_ns: int) -> None:
        """Write every outbox's books into the step: due before each commit, for a number and its books go together."""
        for outbox in (*self._exporters.values(), *self._publishers.values()):
            outbox.persist(now_ns)

    def _recover(self, now_ns: int) -> None:
        """Try the disk again: open the file anew, write, sync; bulk lanes go on when the reserve is back too."""
        self._retry_ns = now_ns + self.station.settings.retry_ms_max * MS
        store = self.station.store
        try:
            if self.health == "down":
                self._reopen()
            facts = {
                "was": self.health,
                "trouble": "" if self.trouble is None else self.trouble.name,
                "dropped_since_start": self.unsaved_shed,
            }
            store.note("recovered", self.station.nation, now_ns, _encode(facts))
            # What this step has numbered is committed here, and its books with it: else a number would be given twice.
            self._persist(now_ns)
            store.commit()
            # On disk: were it kept for after a failure later in this step, it would be offered once more, under another number.
            self._offered = []
        except StoreError as error:
            # What this step was offered before it tried the disk goes with the step, too (found by seed 401).
            self._doubtful += self._offered
            self._offered = []
            self.trouble, self.health = error, "down"
            return
        self.health = "ok" if store.take_reserve() else "flash-only"
        if self.health == "ok":
            self.trouble = None
        self._wakes_due = True
        with self._guarded(now_ns):
            self._save(now_ns)
