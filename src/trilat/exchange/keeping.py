"""What the exchange keeps in order: its books, its store and its bounds; and what it does while the disk fails. Sans-IO."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Literal

import msgspec

from trilat.errors import StoreError
from trilat.exchange.exporter import Answer, Exporter
from trilat.exchange.importer import Importer, Received
from trilat.exchange.numbering import Numbering, Publisher
from trilat.exchange.station import LANE_UNREADABLE, STOPPED_RETRY_NS, At, Station, Stopped, Store, is_due, rows_of
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
# Flash that could not be written is kept in memory up to this many records of each audience.
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
        # Streams whose rows cannot be read, and what stands in for them: it takes no part in any step.
        self._stopped: dict[At, Stopped] = {}
        self._standing: dict[At, Exporter | Importer | Publisher] = {}
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
        published = [(name, lane) for name in self.published for lane in LANES]
        self._publishers = {at: self._publishers.get(at) or Publisher(self.station, *at) for at in published}
        self._set_stopped_aside()

    def _set_stopped_aside(self) -> None:
        """Take the stopped streams out of those that take part in steps; forget those that are no longer with anybody."""
        earlier, self._standing = self._standing, {}
        for side, *place in list(self._stopped):
            name, lane = place
            ways: Sequence[dict[tuple[str, str], Any]] = {
                "out": (self._exporters, self._publishers),
                "in": (self._importers,),
                "past": (),
            }[side]
            found = [way for ways_of in ways if (way := ways_of.pop((name, lane), None)) is not None]
            if found:  # what stood in for it goes on: it may have counted what this step has not written yet
                self._standing[(side, name, lane)] = earlier.get((side, name, lane), found[0])
            elif ways:
                del self._stopped[(side, name, lane)]

    def _load(self) -> None:
        """Read the books from disk, and take up what was received but not taken over by the node before a stop or failure."""
        self.readings += 1
        self._exporters, self._importers, self._publishers, self._standing = {}, {}, {}, {}
        self._by_letter = {}
        self._row_of_letters, self._row_given, self._row_handed = 0, 0, 0
        self._join_streams()
        self._received = []
        for batch in self.station.store.inbox.unhanded():
            importer = self._importers.get((batch.partner, batch.lane)) or self._standing.get(("in", batch.partner, batch.lane))
            if isinstance(importer, Importer):
                # Letters were dealt with in the very transaction in which they came.
                self._received += [item for item in importer.again(batch) if not item.is_letter]

    def _offer(self, now_ns: int, released: Sequence[Released]) -> None:
        by_place: dict[tuple[str, str], list[Queued]] = {}
        aside: dict[At, list[Released]] = {}
        for item in released:
            row = Queued(
                record=item.record,
                t_ns=item.t_ns,
                priority=item.priority,
                key=item.supersede_key if item.lane == "state" else None,
                expires_ns=item.expires_ns,
                about=about(item.record_type, item.decision, item.reason),
            )
            if item.record_type == RECALL_TYPE:
                self._recall(now_ns, item)
            place = (stream_name(item.audience, item.via), item.lane)
            if ("out", *place) in self._stopped:
                aside.setdefault(("out", *place), []).append(item)
            else:
                by_place.setdefault(place, []).append(row)
        for (name, lane), rows in sorted(by_place.items()):
            with rows_of("out", name, lane):
                self._outbox((name, lane)).offer(rows)
                exporter = self._exporters.get((name, lane))
                if exporter is None:
                    self._publishers[(name, lane)].publish(now_ns)
                elif not self.station.settings.lane(lane).tick_budget_bytes:
                    self._answers += exporter.serve(now_ns)
        for audience in sorted({audience for audience, _ in by_place}):
            self._shed(now_ns, audience)
        for at, items in sorted(aside.items()):
            self._set_aside(now_ns, at, items)

    def _set_aside(self, now_ns: int, at: At, items: Sequence[Released]) -> None:
        """Deal with what is for a stopped lane: flash waits in memory until the lane goes on, all else is shed and counted."""
        gone = set(map(id, items))
        self._offered = [item for item in self._offered if id(item) not in gone]
        standing = self._standing[at]
        if at[2] == "flash":
            self._keep_unsaved(items)
        elif isinstance(standing, Numbering):
            standing.turn_away(now_ns, len(items))

    def _outbox(self, place: tuple[str, str]) -> Numbering:
        return self._exporters.get(place) or self._publishers[place]

    def _recall(self, now_ns: int, item: Released) -> None:
        recall = codec.decode(item.record)
        if not isinstance(recall, Recall):
            return
        name, lane = place = (stream_name(item.audience, item.via), recall.lane)
        standing = self._standing.get(("out", *place))
        if isinstance(standing, Numbering):
            standing.recall(recall.epoch, recall.sequences, now_ns, moved=False)
            return
        with rows_of("out", name, lane):
            self._outbox(place).recall(recall.epoch, recall.sequences, now_ns)

    def _renew_others(self, now_ns: int, exporter: Exporter) -> None:
        """Have a partner's other lanes begin new epochs when one has shown that our store went back: those may look level."""
        if exporter.saw_rollback:
            exporter.saw_rollback = False
            for other in [way for way in self._exporters.values() if way.name == exporter.name and way is not exporter]:
                self._answers += other.renew(now_ns)

    def _keep_house(self, now_ns: int) -> None:
        for place in (*self._exporters, *self._publishers):
            with rows_of("out", *place):
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
            ways: list[Exporter | Publisher | Importer] = [*self._exporters.values(), *self._publishers.values()]
            for way in [*ways, *self._importers.values()]:
                if ("past", way.name, way.lane) not in self._stopped:
                    with rows_of("past", way.name, way.lane):
                        removed += way.forget(before_ns, most)
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
        # What a stopped lane holds can not be shed, nor is it to push out the others': it takes no more.
        lanes = [lane for lane in LANES if ("out", audience, lane) not in self._stopped]
        over = sum(outbox.queue_size(audience, lane)[1] for lane in lanes) - self.station.settings.outbox_bytes_max
        for lane in [lane for lane in ("history", "state") if lane in lanes]:
            with rows_of("out", audience, lane):
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
        """Forget the step: its answers, what it received; flash that was offered is kept in memory and tried again.

        A page that cannot be read stops the stream whose rows stand on it, and no other: they go on with the next step.
        """
        self.trouble = error
        stops = error.stream is not None and self.health != "down"
        if error.stream is not None and stops:
            self._stopped[error.stream] = Stopped(error, now_ns + STOPPED_RETRY_NS)
        parked = [answer for exporter in self._exporters.values() for answer in exporter.release_all()]
        # Nobody waits for the answer to a letter (a negative ticket).
        self._answers = [Answer(answer.ticket, None) for answer in (*self._answers, *parked) if answer.ticket > 0]
        self._doubtful += self._offered
        self._offered = []
        self.station.must, self.station.lazy_ns = False, None
        self._retry_ns = now_ns + self.station.settings.retry_ms_max * MS
        if not stops:
            self.health = "flash-only" if error.name == "store-full" and self.station.store.give_reserve() else "down"
        try:
            self._reopen(bulk=stops and self.health == "ok")
            if error.stream is not None and stops:
                side, name, lane = error.stream
                facts = {"side": side, "trouble": error.name, "detail": error.detail[:200]}
                self.station.note("stopped", name, lane, now_ns, facts)
                self.trouble = self._unreadable()
        except StoreError as again:
            self.trouble, self.health = again, "down"
        if self.health != "down":
            self._wakes_due = True  # the parked pulls are gone; partners need not find out by their time-outs
            try:
                self._save(now_ns)
            except StoreError as again:
                self.trouble, self.health = again, "down"
                self._keep_unsaved(self._offered)
                self._offered = []

    def _unreadable(self) -> StoreError | None:
        """Return what is the matter with the streams that are stopped, None when none is."""
        said = [f"{name} {lane} ({side})" for side, name, lane in sorted(self._stopped)]
        return StoreError(LANE_UNREADABLE, ", ".join(said)) if said else None

    def _try_stopped(self, now_ns: int) -> None:
        """Have those stopped streams go on that can be read again."""
        for at, stopped in list(self._stopped.items()):
            if at[0] != "past" and is_due(now_ns, stopped.retry_ns, STOPPED_RETRY_NS):
                self._stopped[at] = stopped._replace(retry_ns=now_ns + STOPPED_RETRY_NS)
                try:
                    self._standing[at].probe()
                except StoreError:
                    continue
                self._go_on(now_ns, at)

    def _go_on(self, now_ns: int, at: At) -> None:
        side, name, lane = at
        standing = self._standing[at]
        if isinstance(standing, Numbering):
            standing.persist(now_ns)
        del self._stopped[at]
        self._join_streams()
        self.station.note("gone on", name, lane, now_ns, {"side": side})
        self.trouble, self._wakes_due = self._unreadable(), True
        self._save(now_ns)

    def _reopen(self, *, bulk: bool = False) -> None:
        """Open the file and read the books anew; keep what the failed step was offered, unless it is on disk after all.

        bulk: all of it; otherwise flash alone.
        """
        there = self.station.store.rollback()
        doubtful, self._doubtful = self._doubtful, []
        if not there:
            later, self._unsaved = self._unsaved, []
            self._keep_unsaved(doubtful, bulk=bulk)
            self._unsaved += later
        self._load()

    def _keep_unsaved(self, released: Sequence[Released], *, bulk: bool = False) -> None:
        held = Counter(item.audience for item in self._unsaved)
        for item in released:
            if (bulk or item.lane == "flash") and held[item.audience] < UNSAVED_MAX:
                held[item.audience] += 1
                self._unsaved.append(item)
            else:
                self.unsaved_shed += 1

    def _save(self, now_ns: int) -> None:
        unsaved, self._unsaved = self._unsaved, []
        self._offered += unsaved
        self._offer(now_ns, unsaved)

    def _persist(self, now_ns: int) -> None:
        """Write every outbox's books into the step: due before each commit, for a number and its books go together."""
        for outbox in (*self._exporters.values(), *self._publishers.values(), *self._standing.values()):
            if isinstance(outbox, Numbering):
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
            self.trouble = self._unreadable()
        self._wakes_due = True
        with self._guarded(now_ns):
            self._save(now_ns)
