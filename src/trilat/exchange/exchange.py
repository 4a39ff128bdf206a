"""The exchange of one node: every partner and lane, both ways. Sans-IO: inputs and the time go in, outputs come out of `flush`.

Whatever is offered, received or acknowledged is on disk before `flush` returns anything of it: the inputs of one step become
one transaction. When the disk fails, the step is forgotten whole, the books are read anew, and the link states say so.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from trilat.errors import ExchangeError, StoreError
from trilat.exchange import envelope as sealing
from trilat.exchange.exporter import Answer, Exporter
from trilat.exchange.importer import Importer, Received, Request
from trilat.exchange.messages import LANES, ExchangeSettings, Pull, PullId, Wake
from trilat.exchange.sign import KeyRing, Rejected
from trilat.exchange.station import Station, Store
from trilat.records import codec
from trilat.records.envelope import Envelope
from trilat.records.exchange import Cursor, Fork, Queued
from trilat.records.label import Mode
from trilat.records.released import Lane, Released
from trilat.records.warning import Recall

MS = 1_000_000
HOUSEKEEPING_NS = 1_000 * MS
# Records per round of expiring or shedding, so that a step stays short.
SWEEP_ROWS = 2_000
# Flash that could not be written is kept in memory up to this many records.
UNSAVED_MAX = 10_000
UNKNOWN = "unknown"
RECALL_TYPE = "trilat.recall/1"
_encode = msgspec.msgpack.Encoder().encode

Health = Literal["ok", "flash-only", "down"]
LinkHealth = Literal["up", "late", "down", "never", "refused"]


class Outgoing(NamedTuple):
    """What a step lets out: answers to partners' requests, our own requests, wakes; `cancelled` requests are not awaited."""

    answers: tuple[Answer, ...]
    requests: tuple[Request, ...]
    wakes: tuple[Envelope, ...]


class LinkState(Struct, frozen=True, kw_only=True):
    """One lane with one partner, one way. age_ns: since the last verified message; None = never heard.

    Outbound: lag_records wait or are not receipted, the oldest for lag_ns; receipt is the partner's last signed one.
    Inbound: lag_ns since the lane was last known to be level; cursor is what we hold. rejected: by reason, both lanes' sum.
    trouble: the reason why the importer refuses what comes next, until it is recalled or mended.
    """

    partner: str
    lane: Lane
    direction: Literal["out", "in"]
    health: LinkHealth
    age_ns: int | None
    lag_records: int
    lag_ns: int
    cursor: Cursor
    receipt: Cursor
    receipt_t_ns: int
    rejected: dict[str, int]
    forks: int
    lost: int
    superseded: int = 0
    expired: int = 0
    shed: int = 0
    withdrawn: int = 0
    recalled: int = 0
    duplicates: int = 0
    kept_aside: int = 0
    trouble: str = ""
    credit_bytes: int = 0
    window: int = 0


class Exchange:
    """Everything one node exchanges. Not thread-safe: one caller at a time (see `drive`).

    partners: the nations that are pulled from and may pull, by the agreement; pinned keys stand in `ring`.
    """

    def __init__(
        self, settings: ExchangeSettings, nation: str, mode: Mode, ring: KeyRing, store: Store, partners: Sequence[str]
    ) -> None:
        self.station = Station(settings, nation, mode, ring, store)
        self.partners = tuple(sorted(set(partners) - {nation}))
        self.health: Health = "ok"
        self.trouble: StoreError | None = None
        self.unsaved_shed = 0
        self._answers: list[Answer] = []
        self._offered: list[Released] = []
        self._unsaved: list[Released] = []
        self._received: list[Received] = []
        self._wakes_due = True
        self._tick_ns: int | None = None
        self._housekeeping_ns = 0
        self._retry_ns = 0
        self._exporters: dict[tuple[str, str], Exporter] = {}
        self._importers: dict[tuple[str, str], Importer] = {}
        self._load()

    def _load(self) -> None:
        """Read the books from disk, and take up what was received but not taken over by the node before a stop or failure."""
        places = [(partner, lane) for partner in self.partners for lane in LANES]
        self._exporters = {place: Exporter(self.station, *place) for place in places}
        self._importers = {place: Importer(self.station, *place) for place in places}
        self._received = []
        for batch in self.station.store.inbox.unhanded():
            importer = self._importers.get((batch.partner, batch.lane))
            if importer is not None:
                self._received += importer.again(batch)

    # --- inputs -------------------------------------------------------------------------------------------------------

    def offer(self, now_ns: int, released: Sequence[Released]) -> None:
        """Take what policy released; it waits, unnumbered, for its audience's pulls.

        Raises ExchangeError "audience-unknown", "released-mode" or "record-size"; then nothing of it was taken.
        """
        for item in released:
            self.check(item)
        if self.health == "down":
            self._keep_unsaved(released)
            return
        wanted = [item for item in released if item.lane == "flash" or self.health == "ok"]
        self.unsaved_shed += len(released) - len(wanted)
        self._offered += wanted
        with self._guarded(now_ns):
            self._offer(now_ns, wanted)

    def check(self, item: Released) -> None:
        """Raise ExchangeError when something may not be offered: unknown audience, other mode, too large."""
        if item.audience not in self.partners:
            raise ExchangeError("audience-unknown", item.audience)
        if item.mode != self.station.mode:
            raise ExchangeError("released-mode", f"{item.mode.kind}:{item.mode.id}")
        if len(item.record) > self.station.settings.record_bytes_max:
            raise ExchangeError("record-size", f"{item.record_type}: {len(item.record)} bytes")

    def _offer(self, now_ns: int, released: Sequence[Released]) -> None:
        by_place: dict[tuple[str, str], list[Queued]] = {}
        for item in released:
            row = Queued(
                record=item.record,
                t_ns=item.t_ns,
                priority=item.priority,
                key=item.supersede_key if item.lane == "state" else None,
                expires_ns=item.expires_ns,
                about=_encode((item.record_type, item.decision, item.reason)),
            )
            by_place.setdefault((item.audience, item.lane), []).append(row)
            if item.record_type == RECALL_TYPE:
                self._recall(now_ns, item)
        for place, rows in sorted(by_place.items()):
            exporter = self._exporters[place]
            exporter.offer(rows)
            if not self.station.settings.lane(place[1]).tick_budget_bytes:
                self._answers += exporter.serve(now_ns)
        for audience in sorted({audience for audience, _ in by_place}):
            self._shed(now_ns, audience)

    def _recall(self, now_ns: int, item: Released) -> None:
        recall = codec.decode(item.record)
        if isinstance(recall, Recall):
            self._exporters[(item.audience, recall.lane)].recall(recall.epoch, recall.sequences, now_ns)

    def withdraw(self, now_ns: int, audience: str, lane: Lane, key: str) -> int:
        """Take back the unsent record of a key; return how many there were (0: none, or it was sent: recall it)."""
        rows: list[Queued] = []
        with self._guarded(now_ns):
            rows = self.station.store.outbox.find_queued(audience, lane, key)
            self._exporters[(audience, lane)].drop(rows, "withdrawn", now_ns)
        return len(rows)

    def handle(self, now_ns: int, envelope: Envelope, *, ticket: int = 0, pull: PullId | None = None) -> None:
        """Take an envelope from a partner: a request (with the ticket to answer it by), a reply to `pull`, or a wake.

        Never raises for what a partner may send: refusals are counted by source and reason, and change nothing.
        """
        before = len(self._answers)
        answered = False
        if self.health != "down":
            with self._guarded(now_ns):
                answered = self._handle(now_ns, envelope, ticket, pull)
        if ticket and not answered and len(self._answers) == before:
            self._answers.append(Answer(ticket, None))

    def _handle(self, now_ns: int, envelope: Envelope, ticket: int, pull: PullId | None) -> bool:
        source = envelope.sender if envelope.sender in self.partners else UNKNOWN
        try:
            return self._sort(now_ns, envelope, ticket, pull)
        except Rejected as rejected:
            self.station.tally.count(now_ns, source, rejected.name, rejected.detail)
            return False

    def _sort(self, now_ns: int, envelope: Envelope, ticket: int, pull: PullId | None) -> bool:
        """Verify an envelope and give it to whom it is for; tell whether it is a request that was (or will be) answered."""
        station = self.station
        message = sealing.verify(station.ring, now_ns, station.nation, station.mode, envelope)
        place = (message.sender, message.lane)
        if place not in self._importers:
            raise Rejected("sender-unknown", message.sender)
        if pull is not None:
            if place != (pull.partner, pull.lane):
                raise Rejected("envelope-mismatch", f"a reply of {place} to a pull of {pull}")
            self._importers[place].reply(now_ns, pull.counter, message, envelope)
        elif isinstance(message, Pull) and ticket:
            if message.lane == "flash" or self.health == "ok":
                self._answers += self._exporters[place].pull(now_ns, ticket, message, envelope)
                return True
        elif isinstance(message, Wake):
            for lane in LANES:
                self._importers[(message.sender, lane)].wake(now_ns)
        else:
            raise Rejected("request-unknown", envelope.kind)
        return False

    def lost(self, now_ns: int, pull: PullId) -> None:
        """Take notice that a request got no reply (time-out, link down, refused by the transport)."""
        importer = self._importers.get((pull.partner, pull.lane))
        if importer is not None and self.health != "down":
            importer.lost(now_ns, pull.counter)

    def refused(self, now_ns: int, source: str, reason: str, detail: str = "") -> None:
        """Count what the transport refused (a reason of errors.toml) beside our own refusals."""
        self.station.tally.count(now_ns, source if source in self.partners else UNKNOWN, reason, detail)

    def stop_serving(self, partner: str) -> None:
        """Answer a partner no more: its pins go, its parked pulls are let go. Nothing leaves for it after this returns."""
        self.station.ring.revoke(partner)
        for lane in LANES:
            self._answers = [answer for answer in self._answers if answer.envelope is None or answer.envelope.audience != partner]
            exporter = self._exporters.get((partner, lane))
            if exporter is not None:
                self._answers += exporter.release_all()

    def tick(self, now_ns: int) -> None:
        """Let time pass: bulk lanes leave on their tick, parked pulls end, lost pulls are given up, the disk is tried again.

        To be called at least every tick_ms.
        """
        if self.health != "ok" and now_ns >= self._retry_ns:
            self._recover(now_ns)
        if self.health == "down":
            return
        with self._guarded(now_ns):
            tick_ns = self.station.settings.tick_ms * MS
            due = self._tick_ns is None or now_ns >= self._tick_ns
            for (_, lane), exporter in self._exporters.items():
                budget = self.station.settings.lane(lane).tick_budget_bytes
                if due and budget and self.health == "ok":
                    self._answers += exporter.serve(now_ns, budget)
                self._answers += exporter.expire(now_ns)
            if due:
                self._tick_ns = (now_ns // tick_ns + 1) * tick_ns
            for importer in self._importers.values():
                importer.expire(now_ns)
            if now_ns >= self._housekeeping_ns:
                self._housekeeping_ns = now_ns + HOUSEKEEPING_NS
                self._keep_house(now_ns)

    def _keep_house(self, now_ns: int) -> None:
        for audience, lane, row in self.station.store.outbox.expired(now_ns, SWEEP_ROWS):
            if (audience, lane) in self._exporters:
                self._exporters[(audience, lane)].drop([row], "expired", now_ns)
        for source, data in self.station.tally.notes(now_ns):
            self.station.store.note("rejected", source, now_ns, data)
            self.station.soon(now_ns)

    def _shed(self, now_ns: int, audience: str) -> None:
        """Keep an audience's queue within its bound: history goes first, then state, flash never."""
        outbox = self.station.store.outbox
        over = sum(outbox.queue_size(audience, lane)[1] for lane in LANES) - self.station.settings.outbox_bytes_max
        for lane in ("history", "state"):
            while over > 0 and (rows := outbox.least(audience, lane, over, SWEEP_ROWS)):
                self._exporters[(audience, lane)].drop(rows, "shed", now_ns)
                over -= sum(len(row.record) for row in rows)

    # --- outputs ------------------------------------------------------------------------------------------------------

    def flush(self, now_ns: int, *, force: bool = False) -> Outgoing:
        """End a step: commit when something changed, then let out what waited for it. Nothing leaves when the commit fails."""
        requests: list[Request] = []
        wakes: list[Envelope] = []
        if self.health != "down":
            with self._guarded(now_ns):
                wakes = self._wakes(now_ns)
                for (_, lane), importer in self._importers.items():
                    if lane == "flash" or self.health == "ok":
                        requests += importer.poll(now_ns)
                self._commit(now_ns, force=force)
                self._offered = []
                answers, self._answers = tuple(self._answers), []
                return Outgoing(answers, tuple(requests), tuple(wakes))
        answers, self._answers = tuple(Answer(answer.ticket, None) for answer in self._answers), []
        return Outgoing(answers, (), ())

    def _commit(self, now_ns: int, *, force: bool) -> None:
        station = self.station
        lazy_due = station.lazy_ns is not None and now_ns - station.lazy_ns >= station.settings.receipt_lag_ms * MS
        if station.must or lazy_due or force:
            for exporter in self._exporters.values():
                exporter.persist(now_ns)
            station.store.commit()
            station.must, station.lazy_ns = False, None
        for importer in self._importers.values():
            self._received += importer.taken
            importer.taken.clear()

    def _wakes(self, now_ns: int) -> list[Envelope]:
        if not self._wakes_due:
            return []
        self._wakes_due = False
        key = self.station.ring.current(now_ns)
        return [
            sealing.seal(
                key,
                Wake(
                    minor=self.station.settings.minor,
                    sender=self.station.nation,
                    audience=partner,
                    lane="flash",
                    mode=self.station.mode,
                    key_id=key.key_id,
                    number=now_ns,
                ),
            )
            for partner in self.partners
        ]

    def wake_partners(self) -> None:
        """Send wakes with the next flush: after a start (by itself) and when the transport is connected again."""
        self._wakes_due = True

    def take_received(self) -> list[Received]:
        """Return the records that came since the last call, durably held, in order per exporter and lane.

        They are given again after a crash until `handed` was told and committed.
        """
        received, self._received = sorted(self._received, key=lambda item: item.row), []
        return received

    def handed(self, row: int) -> None:
        """Take note that every record up to this `Received.row` was taken over by the node.

        On disk with the next commit, in one transaction with whatever the caller journals before it: exactly once.
        """
        self.station.store.inbox.handed(row)
        for importer in self._importers.values():
            importer.drop_assembled(row)

    def take_ring(self, ring: KeyRing, partners: Sequence[str] | None = None) -> None:
        """Take other keys (a rotation, a new agreement) and, when given, other partners; nothing that is under way is lost."""
        self.station.ring = ring
        if partners is None:
            return
        kept = set(partners) - {self.station.nation}
        for partner in set(self.partners) - kept:
            self.stop_serving(partner)
        self.partners = tuple(sorted(kept))
        places = [(partner, lane) for partner in self.partners for lane in LANES]
        self._exporters = {place: self._exporters.get(place) or Exporter(self.station, *place) for place in places}
        self._importers = {place: self._importers.get(place) or Importer(self.station, *place) for place in places}
        self._wakes_due = True

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
        self._keep_unsaved(self._offered)
        self._offered = []
        self.station.must, self.station.lazy_ns = False, None
        self._retry_ns = now_ns + self.station.settings.retry_ms_max * MS
        self.health = "flash-only" if error.name == "store-full" and self.station.store.give_reserve() else "down"
        try:
            self.station.store.rollback()
            self._load()
        except StoreError as again:
            self.trouble, self.health = again, "down"
        if self.health == "flash-only":
            self._save(now_ns)

    def _keep_unsaved(self, released: Sequence[Released]) -> None:
        flash = [item for item in released if item.lane == "flash"]
        room = max(UNSAVED_MAX - len(self._unsaved), 0)
        self._unsaved += flash[:room]
        self.unsaved_shed += len(released) - len(flash[:room])

    def _save(self, now_ns: int) -> None:
        unsaved, self._unsaved = self._unsaved, []
        self._offered += unsaved
        self._offer(now_ns, unsaved)

    def _recover(self, now_ns: int) -> None:
        """Try the disk again: open the file anew, write, sync; bulk lanes go on when the reserve is back too."""
        self._retry_ns = now_ns + self.station.settings.retry_ms_max * MS
        store = self.station.store
        try:
            if self.health == "down":
                store.rollback()
                self._load()
            facts = {"was": self.health, "trouble": "" if self.trouble is None else self.trouble.name}
            store.note("recovered", self.station.nation, now_ns, _encode(facts))
            store.commit()
        except StoreError as error:
            self.trouble, self.health = error, "down"
            return
        self.health = "ok" if store.take_reserve() else "flash-only"
        if self.health == "ok":
            self.trouble = None
        self._wakes_due = True
        with self._guarded(now_ns):
            self._save(now_ns)

    # --- states -------------------------------------------------------------------------------------------------------

    def links(self, now_ns: int) -> list[LinkState]:
        """Return the state of every lane with every partner, both ways, sorted by partner, lane and direction."""
        states = [self._link_out(now_ns, exporter) for exporter in self._exporters.values()]
        states += [self._link_in(now_ns, importer) for importer in self._importers.values()]
        return sorted(states, key=lambda state: (state.partner, LANES.index(state.lane), state.direction))

    def _health(self, now_ns: int, heard_ns: int | None, trouble: str) -> LinkHealth:
        if heard_ns is None:
            return "never"
        settings, age_ms = self.station.settings, (now_ns - heard_ns) // MS
        if age_ms >= settings.down_ms:
            return "down"
        if trouble:
            return "refused"
        return "late" if age_ms >= settings.late_ms else "up"

    def _link_out(self, now_ns: int, exporter: Exporter) -> LinkState:
        state, outbox = exporter.state, self.station.store.outbox
        waiting, _ = outbox.queue_size(exporter.audience, exporter.lane) if self.health != "down" else (0, 0)
        oldest_ns = outbox.queue_oldest_ns(exporter.audience, exporter.lane) if waiting else None
        unreceipted = state.last.sequence - (state.receipt.sequence if state.receipt.epoch == state.last.epoch else 0)
        return LinkState(
            partner=exporter.audience,
            lane=exporter.lane,
            direction="out",
            health=self._health(now_ns, exporter.heard_ns, exporter.trouble),
            age_ns=None if exporter.heard_ns is None else now_ns - exporter.heard_ns,
            lag_records=waiting + unreceipted,
            lag_ns=max(now_ns - oldest_ns, 0) if oldest_ns is not None else 0,
            cursor=state.last,
            receipt=state.receipt,
            receipt_t_ns=state.receipt_t_ns,
            rejected=self.station.tally.by_reason(exporter.audience),
            forks=len(self._forks_out(exporter)),
            lost=state.lost,
            superseded=state.superseded,
            expired=state.expired,
            shed=state.shed,
            withdrawn=state.withdrawn,
            recalled=state.recalled,
            trouble=exporter.trouble,
        )

    def _link_in(self, now_ns: int, importer: Importer) -> LinkState:
        state = importer.state
        return LinkState(
            partner=importer.exporter,
            lane=importer.lane,
            direction="in",
            health=self._health(now_ns, importer.heard_ns, importer.trouble),
            age_ns=None if importer.heard_ns is None else now_ns - importer.heard_ns,
            lag_records=importer.early,
            lag_ns=0 if importer.level_ns is None else now_ns - importer.level_ns,
            cursor=state.cursor,
            receipt=state.cursor,
            receipt_t_ns=state.received_t_ns,
            rejected=self.station.tally.by_reason(importer.exporter),
            forks=len(self._forks_in(importer)),
            lost=state.lost,
            recalled=state.recalled,
            duplicates=state.duplicates,
            kept_aside=state.kept_aside,
            trouble=importer.trouble,
            credit_bytes=importer.pace.credit_bytes,
            window=importer.pace.window,
        )

    def _forks_out(self, exporter: Exporter) -> tuple[Fork, ...]:
        return () if self.health == "down" else self.station.store.outbox.forks(exporter.audience, exporter.lane)

    def _forks_in(self, importer: Importer) -> tuple[Fork, ...]:
        return () if self.health == "down" else self.station.store.inbox.forks(importer.exporter, importer.lane)
