"""The exchange of one node: every partner and lane, both ways. Sans-IO: inputs and the time go in, outputs come out of `flush`.

Whatever is offered, received or acknowledged is on disk before `flush` returns anything of it: the inputs of one step become
one transaction. When the disk fails, the step is forgotten whole, the books are read anew, and the link states say so.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

from msgspec import structs

from trilat.errors import ExchangeError
from trilat.exchange.carrying import Carrying
from trilat.exchange.exporter import Answer, Exporter
from trilat.exchange.importer import Importer, Received, Request
from trilat.exchange.keeping import CHECKPOINT_TYPE
from trilat.exchange.numbering import HEADER_BYTES, Publisher
from trilat.exchange.station import LANE_UNREADABLE, Side, Store, is_due, rows_of
from trilat.identity.sign import KeyRing, Rejected
from trilat.records.carried import Route
from trilat.records.envelope import Envelope
from trilat.records.exchange import LinkState
from trilat.records.label import Mode
from trilat.records.released import Lane, Released
from trilat.transport import envelope as sealing
from trilat.transport.carried import stream_name
from trilat.transport.messages import LANES, ExchangeSettings, Pull, PullId, Wake

MS = 1_000_000
HOUSEKEEPING_NS = 1_000 * MS
UNKNOWN = "unknown"
# What one step lets out on bulk lanes: some milliseconds of work that flash may have to wait for.
SERVE_BYTES = 64 << 10
_ROW = attrgetter("row")


__all__ = ["CHECKPOINT_TYPE", "Exchange", "LinkState", "Outgoing"]


class Outgoing(NamedTuple):
    """What a step lets out: answers to partners' requests, our own requests, wakes; `cancelled` requests are not awaited."""

    answers: tuple[Answer, ...]
    requests: tuple[Request, ...]
    wakes: tuple[Envelope, ...]


class Exchange(Carrying):
    """Everything one node exchanges. Not thread-safe: one caller at a time (see `drive`).

    partners: the nations that are pulled from and may pull, by the agreement; pinned keys stand in `ring`. published: audiences
    that pull nothing (PUBLIC). routes: through which hubs letters may go.
    """

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
        super().__init__(settings, nation, mode, ring, store, partners, published, routes)
        self._wakes_due = True
        self._tick_ns: int | None = None
        # What each bulk lane may still send on the present tick.
        self._budgets: dict[tuple[str, str], int] = {}
        self._housekeeping_ns = 0
        self._flush_ns = 0
        self._load()

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
        name = stream_name(item.audience, item.via)
        named = (name, item.lane) in self._exporters or ("out", name, item.lane) in self._standing
        if not named and name not in self.published:
            raise ExchangeError("audience-unknown", name)
        if item.mode != self.station.mode:
            raise ExchangeError("released-mode", f"{item.mode.kind}:{item.mode.id}")
        if len(item.record) > self.station.settings.record_bytes_max:
            raise ExchangeError("record-size", f"{item.record_type}: {len(item.record)} bytes")

    def withdraw(self, now_ns: int, audience: str, lane: Lane, key: str) -> int:
        """Take back the unsent record of a key; return how many there were (0: none, or it was sent: recall it)."""
        found = 0
        with self._guarded(now_ns):
            for outbox in (*self._exporters.values(), *self._publishers.values()):
                if (outbox.audience, outbox.lane) == (audience, lane):
                    rows = self.station.store.outbox.find_queued(outbox.name, lane, key)
                    outbox.drop(rows, "withdrawn", now_ns)
                    found += len(rows)
        return found

    def handle(self, now_ns: int, envelope: Envelope, *, ticket: int = 0, pull: PullId | None = None) -> None:
        """Take an envelope from a partner: a request (with the ticket to answer it by), a reply to `pull`, or a wake.

        Never raises for what a partner may send: refusals are counted by source and reason, and change nothing.
        """
        answered = False
        if self.health != "down":
            with self._guarded(now_ns):
                answered = self._handle(now_ns, envelope, ticket, pull)
        if ticket and not answered and not any(answer.ticket == ticket for answer in self._answers):
            self._answers.append(Answer(ticket, None))

    def _handle(self, now_ns: int, envelope: Envelope, ticket: int, pull: PullId | None) -> bool:
        source = envelope.sender if envelope.sender in self.partners else UNKNOWN
        try:
            return self._sort(now_ns, envelope, ticket, pull)
        except Rejected as rejected:
            self.station.tally.count(now_ns, source, rejected.name, rejected.detail)
            return False

    def _sort(self, now_ns: int, envelope: Envelope, ticket: int, pull: PullId | None, via: str | None = None) -> bool:
        """Verify an envelope (via: the hub it came through as a letter) and give it on; tell whether it asks and is answered."""
        station = self.station
        if (size := len(envelope.body) + len(envelope.payload)) > station.settings.envelope_bytes_max:
            raise Rejected("envelope-size", f"{size} bytes, at most {station.settings.envelope_bytes_max}")
        message = sealing.verify(station.ring, now_ns, station.nation, station.mode, envelope)
        place = (stream_name(message.sender, via), message.lane)
        importer = self._importers.get(place)
        if importer is None and ("in", *place) not in self._standing:
            raise Rejected("sender-unknown", message.sender)
        if pull is not None:
            if place != (pull.partner, pull.lane):
                raise Rejected("envelope-mismatch", f"a reply of {place} to a pull of {pull}")
            if importer is not None:
                try:
                    with rows_of("in", *place):
                        importer.reply(now_ns, pull.counter, message, envelope)
                finally:  # a batch may have been taken, and one that waited for it refused
                    self._count_recalls(importer)
                    self._take_letters(now_ns, importer)
        elif isinstance(message, Pull) and ticket:
            exporter = self._exporters.get(place)  # none: its rows cannot be read
            if exporter is not None and (message.lane == "flash" or self.health == "ok"):
                with rows_of("out", *place):
                    self._answers += exporter.pull(now_ns, ticket, message, envelope)
                self._renew_others(now_ns, exporter)
                return True
        elif isinstance(message, Wake):
            for importer in self._importers.values():
                if message.sender in (importer.exporter, importer.via):
                    importer.wake(now_ns)
        else:
            raise Rejected("request-unknown", envelope.kind)
        return False

    def _count_recalls(self, importer: Importer) -> None:
        """Have each lane count what the flash lane said of it, or its own batches did."""
        recalls, importer.recalls = importer.recalls, []
        for lane, records in recalls:
            way = self._importers.get((importer.name, lane)) or self._standing.get(("in", importer.name, lane))
            if records and isinstance(way, Importer):
                way.count_recalled(records)

    def lost(self, now_ns: int, pull: PullId) -> None:
        """Take notice that a request got no reply (time-out, link down, refused by the transport)."""
        importer = self._importers.get((pull.partner, pull.lane))
        if importer is not None and self.health != "down":
            importer.lost(now_ns, pull.counter)

    def refused(self, now_ns: int, source: str, reason: str, detail: str = "") -> None:
        """Count what the transport refused (a reason of errors.toml) beside our own refusals."""
        self.station.tally.count(now_ns, source if source in self.partners else UNKNOWN, reason, detail)

    def stop_serving(self, partner: str) -> None:
        """Answer a partner no more: its pins go, its parked pulls are let go. Nothing leaves for it after this returns.

        Neither does a letter to it or, where it was the hub, through it.
        """
        self.station.ring.revoke(partner)
        self._answers = [answer for answer in self._answers if answer.envelope is None or answer.envelope.audience != partner]
        for exporter in self._exporters.values():
            if partner in (exporter.audience, exporter.via):
                self._answers += exporter.release_all()
        if self.health != "down" and self.routes:
            with self._guarded(self._flush_ns):
                self._drop_letters(self._flush_ns, partner, tuple(self._exporters.values()))

    def tick(self, now_ns: int, *, piecewise: bool = False) -> None:
        """Let time pass: bulk lanes leave on their tick, parked pulls end, lost pulls are given up, the disk is tried again.

        To be called at least every tick_ms. piecewise: of what leaves on this tick, `serve_more` lets out a part a call, so
        that flash never waits for all of it.
        """
        settings = self.station.settings
        if self.health != "ok" and is_due(now_ns, self._retry_ns, settings.retry_ms_max * MS):
            self._recover(now_ns)
        if self.health == "down":
            return
        with self._guarded(now_ns):
            self._try_stopped(now_ns)
            tick_ns = settings.tick_ms * MS
            if self._tick_ns is None or is_due(now_ns, self._tick_ns, tick_ns):
                self._tick_ns = settings.next_tick_ns(now_ns)
                self._budgets = {
                    place: budget
                    for place in self._exporters
                    if (budget := settings.lane(place[1]).tick_budget_bytes) and self.health == "ok"
                }
                while self._budgets and not piecewise:
                    self._serve_one(now_ns)
            for exporter in self._exporters.values():
                self._answers += exporter.expire(now_ns)
            for importer in self._importers.values():
                with rows_of("in", importer.name, importer.lane):
                    importer.expire(now_ns)
            if is_due(now_ns, self._housekeeping_ns, HOUSEKEEPING_NS):
                self._housekeeping_ns = now_ns + HOUSEKEEPING_NS
                self._keep_house(now_ns)

    @property
    def has_more(self) -> bool:
        """Tell whether more of what leaves on the present tick waits for `serve_more`."""
        return bool(self._budgets)

    def serve_more(self, now_ns: int) -> None:
        """Let out some more answers of what leaves on the present tick: SERVE_BYTES, and at least one.

        One large answer is enough for a step; of small ones several: a node short of processor time, which makes few steps,
        would send so little that its partners' pace takes the link for narrow, asks for less, and never comes level.
        """
        if self.health != "ok":
            self._budgets = {}
        left = SERVE_BYTES
        with self._guarded(now_ns):
            while self._budgets and left > 0:
                left -= self._serve_one(now_ns)

    def _serve_one(self, now_ns: int) -> int:
        """Answer one parked pull of a bulk lane, and put that lane behind the others; a lane with nothing to say is done.

        Returns the bytes of the answer, 0 when no lane has anything to say.
        """
        while self._budgets:
            place = next(iter(self._budgets))
            left = self._budgets.pop(place)
            exporter = self._exporters.get(place)
            with rows_of("out", *place):
                answers = exporter.serve(now_ns, left, 1) if exporter is not None else []
            self._answers += answers
            if answers and answers[0].envelope is not None:
                size = len(answers[0].envelope.payload) + HEADER_BYTES
                if left > size:
                    self._budgets[place] = left - size
                return size
        return 0

    # --- outputs ------------------------------------------------------------------------------------------------------

    def flush(self, now_ns: int, *, force: bool = False) -> Outgoing:
        """End a step: commit when something changed, then let out what waited for it. Nothing leaves when the commit fails."""
        self._flush_ns = now_ns
        requests: list[Request] = []
        wakes: list[Envelope] = []
        if self.health != "down":
            with self._guarded(now_ns):
                self._note_keys(now_ns)
                wakes = self._wakes(now_ns)
                for (name, lane), importer in self._importers.items():
                    if lane == "flash" or self.health == "ok":
                        with rows_of("in", name, lane):
                            requests += importer.poll(now_ns)
                requests = self._send_letters(now_ns, requests)
                self._note_letters()
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
            self._persist(now_ns)
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

        They are given again after a crash, and after a failed commit (`readings` has risen), until `handed` was told and
        committed: all of them, from the first that was not, so that those given before and not yet handed on are void.
        """
        received, self._received = sorted(self._received, key=_ROW), []
        self._row_given = received[-1].row if received else self._row_given
        return received

    def handed(self, row: int) -> None:
        """Take note that every record up to this `Received.row` was taken over by the node.

        On disk with the next commit, in one transaction with whatever the caller journals before it: exactly once.
        """
        if self.health == "down":  # the step is forgotten; everything not handed on by then is given again
            return
        with self._guarded(self._flush_ns):
            self.station.store.inbox.handed(row)
            self._row_handed = max(self._row_handed, row)
            self.station.soon(self._flush_ns)
            for importer in self._importers.values():
                with rows_of("in", importer.name, importer.lane):
                    importer.drop_assembled(row)

    def take_ring(self, ring: KeyRing, partners: Sequence[str] | None = None) -> None:
        """Take other keys (a rotation, a new agreement) and, when given, other partners; nothing that is under way is lost."""
        self.station.ring = ring
        self._keys_due = True
        if partners is None:
            return
        kept = set(partners) - {self.station.nation}
        for partner in set(self.partners) - kept:
            self.stop_serving(partner)
        self.partners = tuple(sorted(kept))
        self._join_streams()
        self._wakes_due = True

    def links(self, now_ns: int) -> list[LinkState]:
        """Return the state of every lane with every partner, both ways, sorted by partner, lane and direction."""
        states: list[LinkState] = []
        with self._guarded(now_ns):
            states = self._states(now_ns, readable=self.health != "down")
        states = states or self._states(now_ns, readable=False)
        return sorted(states, key=lambda state: (state.partner, LANES.index(state.lane), state.direction))

    def _states(self, now_ns: int, *, readable: bool) -> list[LinkState]:
        states = []
        ways: dict[Side, Sequence[Exporter | Importer]] = {
            "out": tuple(self._exporters.values()),
            "in": tuple(self._importers.values()),
        }
        for side, found in ways.items():
            for way in found:
                with rows_of(side, way.name, way.lane):
                    states.append(way.link(now_ns, readable=readable))
        return states + self._stopped_states(now_ns)

    def _stopped_states(self, now_ns: int) -> list[LinkState]:
        """Return the states of the stopped lanes, told without the rows that cannot be read."""
        states = []
        for way in self._standing.values():
            if not isinstance(way, Publisher):
                state = way.link(now_ns, readable=False)
                waiting = self.station.store.outbox.queue_size(way.name, way.lane)[0] if isinstance(way, Exporter) else 0
                lag = state.lag_records + waiting
                states.append(structs.replace(state, health="down", trouble=LANE_UNREADABLE, lag_records=lag))
        return states
