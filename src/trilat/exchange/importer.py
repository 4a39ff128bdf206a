"""The importer's half of the pull protocol for one exporter and lane: sans-IO, deterministic.

It keeps a window of pulls parked at the exporter, verifies each batch whole before it takes anything of it, keeps the batch and
the cursor over it in one transaction, and asks on from there; the cursor in the next pull is the signed receipt. Whatever does
not fit is refused, counted, and changes nothing; the next session begins at the cursor.
"""

from contextlib import suppress
from typing import Any, NamedTuple

from trilat.exchange.epochs import place_of
from trilat.exchange.intake import KNOWN_TYPES, Intake, Received, raw_of
from trilat.exchange.station import Station, health_of
from trilat.identity.sign import Rejected
from trilat.records.envelope import Envelope
from trilat.records.exchange import SEQUENCE_MAX, Begun, Cursor, Fork, LinkState, SealedBatch
from trilat.records.fields import Lane
from trilat.transport import envelope as sealing
from trilat.transport.messages import (
    BRANCH_MAX,
    BRANCH_MINOR,
    BatchHeader,
    Empty,
    Message,
    Pull,
    PullId,
    Refusal,
    Resync,
)
from trilat.transport.pace import Pace

# Counters are reserved on disk in blocks of this many, so that a pull needs no write.
COUNTER_BLOCK = 100_000
GIVEN_UP_MAX = 64  # pulls remembered whose late answer is no replay
# Hashes that are forgotten for each batch.
RECORDS_PER_BATCH = 50
# Before every epoch and number.
_NOWHERE = (0, 0)

__all__ = ["Importer", "Received", "Request"]


class Request(NamedTuple):
    """A pull to be carried to its exporter; without a reply in timeout_ns it is reported as lost."""

    pull: PullId
    envelope: Envelope
    timeout_ns: int


class _Out(NamedTuple):
    sent_ns: int
    give_up_ns: int
    credit_bytes: int
    cursor: Cursor


class Importer(Intake):
    """One inbox as it is pulled from a partner."""

    def __init__(self, station: Station, exporter: str, lane: Lane, via: str | None = None) -> None:
        super().__init__(station, exporter, lane, via)
        self._settings = station.settings.lane(lane, through_hub=via is not None)
        self._counter = self.state.counter_ceiling
        self._session = 0
        self._out: dict[int, _Out] = {}
        # Pulls whose session ended before their answer came, each with the cursor at which that session began.
        self._given_up: dict[int, Cursor] = {}
        # The present session: the cursor at which it began, up to where batches came past it, and up to where they came again.
        self._began = Cursor()
        self._past_to = self._again_to = _NOWHERE
        self._ahead: dict[int, tuple[BatchHeader, Envelope]] = {}
        self.pace = Pace(
            station.settings, self._settings, station.settings.slack_ms if via is None else station.settings.hub_slack_ms
        )
        # Since when something is known to be missing: a reply to a pull may be lost although another came in its place.
        self._gap_ns: int | None = None
        # Where the exporter stood when it was last asked for another base.
        self._asked = Cursor()
        self.heard_ns: int | None = None
        self.level_ns: int | None = None

    # --- pulls --------------------------------------------------------------------------------------------------------

    def poll(self, now_ns: int) -> list[Request]:
        """Return the pulls that are to be sent now: as many as the window lacks, none in a pause or before an epoch is ready."""
        if now_ns < self.pace.resume_ns or self.prepares:
            return []
        if not self._session:
            self._session, self._began = self._counter + 1, self.state.cursor
        requests = []
        while len(self._out) < self.pace.window:
            requests.append(self._request(now_ns))
        return requests

    def _request(self, now_ns: int) -> Request:
        self._counter += 1
        if self._counter > self.state.counter_ceiling:
            self._put(counter_ceiling=self._counter + COUNTER_BLOCK)
            self.station.must = True
        key = self.station.ring.current(now_ns)
        fields: dict[str, Any] = {
            "minor": self.station.settings.minor,
            "sender": self.station.nation,
            "audience": self.exporter,
            "lane": self.lane,
            "mode": self.station.mode,
            "key_id": key.key_id,
            "number": self._counter,
            "cursor": self.state.cursor,
            "session": self._session,
            "credit_bytes": self.pace.credit_bytes,
            "wait_ms": self._settings.wait_ms,
            "trouble": self.trouble,
        }
        pull = (
            Resync(**fields, reason=self._resync, branch=self.branch(), refused=self._refused_base)
            if self._resync
            else Pull(**fields)
        )
        timeout_ns = self.pace.timeout_ns()
        self._out[self._counter] = _Out(now_ns, now_ns + timeout_ns, self.pace.credit_bytes, self.state.cursor)
        return Request(PullId(self.name, self.lane, self._counter), sealing.seal(key, pull), timeout_ns)

    def expire(self, now_ns: int) -> None:
        """Give up pulls whose time has passed, and a gap that nothing fills in that time; either ends the session.

        Does a piece of what is due before a new epoch begins.
        """
        if self.prepares:
            self.prepare(now_ns)
        stuck = self._gap_ns is not None and now_ns - self._gap_ns >= self.pace.timeout_ns()
        if stuck or any(out.give_up_ns <= now_ns for out in self._out.values()):
            self._restart(now_ns, failed=True)

    def lost(self, now_ns: int, counter: int) -> None:
        """Take notice that a pull got no reply."""
        if counter in self._out:
            self._restart(now_ns, failed=True)

    def wake(self, now_ns: int) -> None:
        """Begin a new session at once: the exporter says that it is there again."""
        self.heard_ns = now_ns
        self._restart(now_ns, failed=False)

    def _restart(self, now_ns: int, *, failed: bool) -> None:
        self._session = 0
        self._gap_ns = None
        self._past_to = self._again_to = _NOWHERE
        self._given_up |= dict.fromkeys(self._out, self._began)
        for counter in list(self._given_up)[:-GIVEN_UP_MAX]:
            del self._given_up[counter]
        self._out.clear()
        self._ahead.clear()
        if failed:
            self.pace.failed(now_ns)
        else:
            self.pace.resumed(now_ns)

    # --- what is held --------------------------------------------------------------------------------------------------

    def branch(self) -> tuple[Cursor, ...]:
        """Return the places on which the epochs that we hold went on, newest first."""
        places: list[Cursor] = []
        place = self.state.cursor
        while len(places) < BRANCH_MAX and (begun := self._inbox.epoch(self.name, self.lane, place.epoch)) is not None:
            if not 0 < begun.base.epoch < place.epoch:
                break
            place = begun.base
            places.append(place)
        return tuple(places)

    def drop_assembled(self, row: int) -> None:
        """Forget the pieces of records that were handed on whole, up to a row."""
        for _, of in (done := [item for item in self._assembled if item[0] <= row]):
            self._inbox.drop_chunks(self.name, self.lane, of)
            self._partial.pop(of, None)
        self._assembled = self._assembled[len(done) :]

    def again(self, batch: SealedBatch) -> list[Received]:
        """Return a held batch's records once more, because a stop came before they were known to be taken."""
        received: list[Received] = []
        for offset, entry in enumerate(sealing.split_payload(batch.payload)):
            if offset in batch.skip:
                continue
            with suppress(Rejected):  # pieces that a later batch has overwritten; it was counted when that came
                if (whole := self._made_of(self._look(entry[sealing.SALT_BYTES :]))) is not None:
                    known = isinstance(whole, bytes) or whole.kind in KNOWN_TYPES
                    place = (self.exporter, self.lane, batch.epoch, batch.first + offset)
                    received.append(Received(*place, known, raw_of(whole), batch.row))
        self._note_whole(batch.row)
        return received

    # --- replies ------------------------------------------------------------------------------------------------------

    def reply(self, now_ns: int, counter: int, message: Message, envelope: Envelope) -> None:
        """Take a verified reply to one of our pulls. Raises Rejected; then nothing has changed but the session."""
        out, began = self._out.get(counter), self._given_up.pop(counter, None)
        if began is not None and not isinstance(message, BatchHeader) and message.number == counter:
            return  # late, not replayed: it answers this pull, once; what it says is of a session that is over
        if not isinstance(message, BatchHeader) and (out is None or message.number != counter):
            raise Rejected("replayed", f"{envelope.kind} for pull {message.number}")
        self._out.pop(counter, None)
        self.heard_ns = now_ns
        if isinstance(message, BatchHeader):
            try:
                self._batch(now_ns, message, envelope)
            except Rejected as rejected:
                if rejected.name not in {"replayed", "epoch-wrong"}:
                    self.trouble = rejected.name
                    self._restart(now_ns, failed=True)
                if rejected.name != "replayed" or not self._came_twice(message, out, began):
                    raise
            else:
                if out is None:
                    self._past_to = max(self._past_to, (message.epoch, message.number + message.count - 1))
            if out is not None:
                self.pace.replied(now_ns, out.sent_ns, len(envelope.payload), out.credit_bytes)
        elif isinstance(message, Empty):
            self._empty(now_ns, message)
        elif isinstance(message, Refusal):
            self._refused(now_ns, message)
        else:
            raise Rejected("envelope-mismatch", f"{envelope.kind} is no reply")

    def _came_twice(self, header: BatchHeader, out: _Out | None, began: Cursor | None) -> bool:
        """Tell whether a batch that we hold is no replay: its exporter could not know that we do when it answered this pull.

        A session goes on from the cursor at which it began. What was under way when the one before it ended comes past it (an
        exporter that starts has just answered a pull when its wake ends the session), and then again in it, or the other way.
        """
        place = (header.epoch, header.number)
        if out is None:
            return began is not None and place > place_of(began)
        told = place > self._past_to and place <= place_of(out.cursor)
        if told or place <= max(self._again_to, place_of(self._began)):
            return False
        self._again_to = (header.epoch, header.number + header.count - 1)
        return True

    def _empty(self, now_ns: int, empty: Empty) -> None:
        """Take note of where the exporter stands; ask anew when its epoch goes on from a place that we do not hold."""
        self._resync, self.trouble = "", ""
        if empty.last.epoch > self.state.cursor.epoch and not self.holds(empty.base):
            # After a pause: who says so again and again would have us ask as fast as the link carries it.
            self._resync, self._refused_base = "base-unknown", empty.base
            self._restart(now_ns, failed=self._asked == empty.last)
            self._asked = empty.last
            return
        if empty.last.epoch > self.state.cursor.epoch and not empty.last.sequence and empty.minor >= BRANCH_MINOR:
            self._begin_silent(now_ns, empty)
        if empty.last == self.state.cursor:
            self.level_ns, self._gap_ns = now_ns, None
        elif empty.last.sequence and self._gap_ns is None:
            self._gap_ns = now_ns
        self.pace.idle(now_ns)

    def _begin_silent(self, now_ns: int, empty: Empty) -> None:
        """Go over to an epoch in which nothing was said yet, so that what is missing before it is known now. Raises Rejected."""
        epoch, base = empty.last.epoch, empty.base
        if empty.last.head != self._start_head(epoch, base):
            raise Rejected("head-wrong", f"epoch {epoch} does not begin at its base")
        if not self._is_ready(now_ns, epoch, base):
            self._restart(now_ns, failed=False)
            return
        self._begin_epoch(now_ns, epoch, Begun(base, empty.lost))
        self._put(cursor=empty.last)

    def _refused(self, now_ns: int, refusal: Refusal) -> None:
        if refusal.counter > SEQUENCE_MAX:
            raise Rejected("envelope-mismatch", f"a counter of {refusal.counter}")
        if refusal.reason == "replayed" and refusal.counter >= self._counter:
            self._counter = refusal.counter
            self._restart(now_ns, failed=False)
        elif refusal.reason == "cursor-behind":
            self._resync = "store-behind"
            self._restart(now_ns, failed=False)
        else:
            self._restart(now_ns, failed=True)
        self.station.tally.count(now_ns, self.name, refusal.reason, f"our pull {refusal.number} of {self.lane}")

    def _batch(self, now_ns: int, header: BatchHeader, envelope: Envelope) -> None:
        """Take a batch when it is the next, keep it when it is early, refuse it when it fits nowhere."""
        # A warning is a batch of its own: nothing else can have it refused, nor hold it up.
        if header.count > (1 if self.lane == "flash" else self._settings.batch_records_max * 128):
            raise Rejected("count-max", f"{header.count} records")
        cursor = self.state.cursor
        if header.epoch < cursor.epoch:
            raise Rejected("epoch-wrong", f"{header.epoch}, we are in {cursor.epoch}")
        expected = cursor.sequence + 1 if header.epoch == cursor.epoch else 1
        if header.number > expected:
            self._keep_ahead(header, envelope)
            self._gap_ns = now_ns if self._gap_ns is None else self._gap_ns
            return
        if header.number < expected:
            self._check_known(now_ns, header, envelope)
            raise Rejected("replayed", f"batch {header.epoch}.{header.number}")
        if not self._take(now_ns, header, envelope):
            self._restart(now_ns, failed=False)
            return
        while (following := self._ahead.pop(self.state.cursor.sequence + 1, None)) is not None:
            if following[0].epoch == self.state.cursor.epoch:
                self._take(now_ns, *following)
        self._gap_ns = now_ns if self._ahead else None

    def _check_known(self, now_ns: int, header: BatchHeader, envelope: Envelope) -> None:
        """Compare a batch that we hold already with what we hold; keep a fork as evidence."""
        final = min(header.number + header.count - 1, self.state.cursor.sequence)
        opened = sealing.open_batch(header, envelope.payload)
        theirs = sealing.chain(header.prev_head, opened.leaves[: final - header.number + 1])
        ours = self._head_at(header.epoch, final)
        if ours is None or ours == theirs:
            return
        fork = Fork(
            partner=self.name,
            lane=self.lane,
            epoch=header.epoch,
            sequence=final,
            t_ns=now_ns,
            ours=ours,
            theirs=theirs,
            evidence=sealing.pack(envelope),
        )
        self._inbox.put_fork(fork)
        self.station.note("fork", self.name, self.lane, now_ns, {"epoch": header.epoch, "sequence": final})
        self.station.tally.count(now_ns, self.name, "fork-seen", f"{self.lane} {header.epoch}.{final}")

    def _keep_ahead(self, header: BatchHeader, envelope: Envelope) -> None:
        if len(self._ahead) >= self.station.settings.ahead_max:
            raise Rejected("sequence-gap", f"{header.epoch}.{header.number}")
        sealing.open_batch(header, envelope.payload)  # a forged payload is refused now, and takes no true batch's place
        self._ahead[header.number] = (header, envelope)

    def count_recalled(self, records: int) -> None:
        """Count records of this lane that were recalled, and not known to be."""
        self._put(recalled=self.state.recalled + records)

    def probe(self) -> None:
        """Read what was taken last; raises StoreError while that cannot be read."""
        self._head_at(self.state.cursor.epoch, self.state.cursor.sequence - 1)

    def forget(self, before_ns: int, most: int) -> int:
        """Remove what was handed on and is older than a time, so many batches at most; return how many went.

        What may come again is forgotten when it could for that long, and we were level with the exporter since: by then it has
        sent what it moved into the epoch, for that leaves before everything else.
        """
        removed = self._inbox.forget(self.name, self.lane, self.state.cursor, before_ns, most)
        if self.may_repeat and self.level_ns is not None and not self.prepares:
            removed += self._inbox.forget_orphans(self.name, self.lane, min(before_ns, self.level_ns), RECORDS_PER_BATCH * most)
            self.may_repeat = self._inbox.has_orphans(self.name, self.lane)
        return removed

    @property
    def early(self) -> int:
        """How many records are here but wait for earlier ones."""
        return sum(header.count for header, _ in self._ahead.values())

    def link(self, now_ns: int, *, readable: bool) -> LinkState:
        """Return the state of this inbound lane; without a readable store it tells of no forks."""
        station, state = self.station, self.state
        return LinkState(
            partner=self.name,
            lane=self.lane,
            direction="in",
            health=health_of(now_ns, station, self.heard_ns, self.trouble, self.via),
            age_ns=None if self.heard_ns is None else now_ns - self.heard_ns,
            lag_records=self.early,
            lag_ns=0 if self.level_ns is None else now_ns - self.level_ns,
            cursor=state.cursor,
            receipt=state.cursor,
            receipt_t_ns=state.received_t_ns,
            rejected=station.tally.by_reason(self.name),
            forks=station.store.inbox.fork_count(self.name, self.lane) if readable else 0,
            lost=state.lost,
            recalled=state.recalled,
            duplicates=state.duplicates,
            unchecked=state.unchecked,
            kept_aside=state.kept_aside,
            trouble=self.trouble,
            credit_bytes=self.pace.credit_bytes,
            window=self.pace.window,
        )
