"""The exporter's half of the pull protocol for one audience and lane: sans-IO, deterministic.

Pulls are parked until there is something to send; within a session the exporter goes on after the last number it sent. A
pull's cursor is the partner's signed receipt; a cursor that does not fit our own books opens a new epoch.
"""

from collections import deque
from typing import NamedTuple

from trilat.exchange.epochs import EPOCHS_AHEAD_MAX, EpochPace, place_of
from trilat.exchange.numbering import HEADER_BYTES, Numbering
from trilat.exchange.station import Station, health_of
from trilat.records.envelope import Envelope
from trilat.records.exchange import EPOCH_MAX, Cursor, Fork, LinkState
from trilat.records.fields import Lane
from trilat.transport import envelope as sealing
from trilat.transport.messages import BRANCH_MINOR, Empty, Pull, Refusal, Resync

# Pull counters may arrive out of order within this many (the window of RFC 4303's anti-replay, section 3.4.3).
REPLAY_WINDOW = 64
_WINDOW_MASK = (1 << REPLAY_WINDOW) - 1


class Answer(NamedTuple):
    """What a waiting request gets: an envelope, or None when it gets none (superseded by a newer session)."""

    ticket: int
    envelope: Envelope | None


class Parked(NamedTuple):
    """A pull that waits for something to send."""

    ticket: int
    counter: int
    credit_bytes: int
    deadline_ns: int
    minor: int


class Exporter(Numbering):
    """One outbox as a partner pulls it."""

    def __init__(self, station: Station, audience: str, lane: Lane, via: str | None = None) -> None:
        super().__init__(station, audience, lane, via)
        # Counters up to the last durable one count as seen: a recorded pull is refused also after a restart.
        self._seen = _WINDOW_MASK
        self._session = 0
        self._sent = 0
        self._parked: deque[Parked] = deque()
        self.pace_epochs = EpochPace()
        self.heard_ns: int | None = None
        self.trouble = ""
        # Whether a pull just told that our store went back: then the partner's other lanes are to get new epochs, too.
        self.saw_rollback = False

    # --- pulls --------------------------------------------------------------------------------------------------------

    def pull(self, now_ns: int, ticket: int, pull: Pull, evidence: Envelope) -> list[Answer]:
        """Take a verified pull or resync; return the answers that are due now (of this and of older pulls)."""
        if not self._is_fresh(pull.number):
            self.station.tally.count(now_ns, self.name, "replayed", f"pull {pull.number}")
            return [self._refuse(now_ns, ticket, pull, "replayed")]
        self.heard_ns, self.trouble = now_ns, pull.trouble
        if pull.session < self._session:
            # The first pull of a session: its importer was put back to an older copy, and must be told how far we are.
            began = pull.number == pull.session
            return [self._refuse(now_ns, ticket, pull, "replayed") if began else Answer(ticket, None)]
        answers: list[Answer] = []
        if pull.session > self._session or self.state.epoch_due or not self._receipt(now_ns, pull.cursor, evidence):
            answers = [Answer(parked.ticket, None) for parked in self._parked]
            self._parked.clear()
            reason = self._begin(now_ns, pull, evidence)
            if reason:
                return [*answers, self._refuse(now_ns, ticket, pull, reason)]
            self._session = pull.session
        deadline_ns = now_ns + min(pull.wait_ms, 60_000) * 1_000_000
        credit = min(pull.credit_bytes, self.station.settings.credit_bytes_max)
        minor = min(pull.minor, self.station.settings.minor)
        self._parked.append(Parked(ticket, pull.number, credit, deadline_ns, minor))
        surplus = len(self._parked) - self._settings.window_pulls_max
        answers += [self._empty(now_ns, self._parked.popleft()) for _ in range(surplus)]
        if not self._settings.tick_budget_bytes:
            answers += self.serve(now_ns)
        return answers

    def serve(self, now_ns: int, budget_bytes: int | None = None, answers_max: int | None = None) -> list[Answer]:
        """Answer parked pulls with what there is to send, oldest pull first, within the bounds when they are given."""
        answers: list[Answer] = []
        if self.state.epoch_due:  # no more numbers in this one: the next pull brings the new epoch
            return answers
        left = budget_bytes
        while self._parked and (left is None or left > 0) and (answers_max is None or len(answers) < answers_max):
            credit = self._parked[0].credit_bytes if left is None else min(self._parked[0].credit_bytes, left)
            sealed = self._next(now_ns, credit, self._parked[0].minor)
            if sealed is None:
                break
            answers.append(Answer(self._parked.popleft().ticket, sealed))
            left = None if left is None else left - len(sealed.payload) - HEADER_BYTES
        return answers

    def expire(self, now_ns: int) -> list[Answer]:
        """Answer the pulls whose wait is over with our last number."""
        answers: list[Answer] = []
        while self._parked and self._parked[0].deadline_ns <= now_ns:
            answers.append(self._empty(now_ns, self._parked.popleft()))
        return answers

    def release_all(self) -> list[Answer]:
        """Let every parked pull go without an answer (stopping, or a partner that was revoked)."""
        answers = [Answer(parked.ticket, None) for parked in self._parked]
        self._parked.clear()
        self._session = 0
        return answers

    @property
    def parked(self) -> int:
        """How many pulls wait."""
        return len(self._parked)

    # --- cursors ------------------------------------------------------------------------------------------------------

    def _is_fresh(self, counter: int) -> bool:
        ahead = counter - self.state.counter
        if ahead > 0:
            self._seen = ((self._seen << ahead) | 1) & _WINDOW_MASK if ahead < REPLAY_WINDOW else 1
            self._put(counter=counter)
            return True
        if -ahead >= REPLAY_WINDOW or self._seen & (bit := 1 << -ahead):
            return False
        self._seen |= bit
        return True

    def _receipt(self, now_ns: int, cursor: Cursor, evidence: Envelope) -> bool:
        """Take the cursor of a pull within a session as receipt; False = it contradicts our books, so begin anew."""
        last, receipt = self.state.last, self.state.receipt
        if cursor.epoch != last.epoch:
            return cursor.epoch < last.epoch
        if cursor.sequence <= receipt.sequence:
            return True
        if cursor.sequence > last.sequence or self.head_at(cursor.epoch, cursor.sequence) != cursor.head:
            return False
        self._put(receipt=cursor, receipt_t_ns=now_ns)
        self._receipt_evidence = sealing.pack(evidence)
        self.station.soon(now_ns)
        return True

    def _begin(self, now_ns: int, pull: Pull, evidence: Envelope) -> str:
        """Begin a session at a pull's cursor, in a new epoch when it does not fit; return why not, or ""."""
        cursor, last, receipt = pull.cursor, self.state.last, self.state.receipt
        resync = pull if isinstance(pull, Resync) else None
        place = self.place(cursor)
        behind = place_of(cursor) < place_of(receipt) and receipt.sequence > 0
        if behind and resync is None and place != "fork":
            return "cursor-behind"
        found = self._new_base(now_ns, place, cursor, resync, evidence)
        if found is not None:
            far = cursor.epoch - last.epoch > EPOCHS_AHEAD_MAX or max(cursor.epoch, last.epoch) >= EPOCH_MAX
            if far or not self.pace_epochs.take(now_ns):
                reason = "epoch-wrong" if far else "epoch-too-soon"
                self.station.tally.count(now_ns, self.name, reason, f"{self.lane} {cursor.epoch}.{cursor.sequence}")
                return reason
            if place in {"ahead", "fork"} and cursor.epoch:
                # Signed for, and not in our books: the ledger names it, and its rows can be put back.
                self.station.note("beyond", self.name, self.lane, now_ns, (found[0], sealing.pack(evidence)))
            self.open_epoch(now_ns, cursor, *found)
        if behind and resync is not None and self.state.last.epoch == last.epoch:
            self.station.note("resync", self.name, self.lane, now_ns, {"from": receipt, "to": cursor})
            start = Cursor(last.epoch, 0, self.start_head(last.epoch, self.state.base))
            self._put(receipt=start if cursor.epoch < last.epoch else cursor, receipt_t_ns=now_ns)
        if cursor.epoch == self.state.last.epoch:
            self._sent = cursor.sequence
            self._receipt(now_ns, cursor, evidence)
        else:
            self._sent = 0
        return ""

    def _new_base(
        self, now_ns: int, place: str, cursor: Cursor, resync: Resync | None, evidence: Envelope
    ) -> tuple[Cursor, str] | None:
        """Return on which place a new epoch is to go on, and why; None when the present one can."""
        last, receipt, branch = self.state.last, self.state.receipt, resync.branch if resync else ()
        if resync and resync.reason == "base-unknown" and (resync.minor < BRANCH_MINOR or resync.refused == self.state.base):
            # An importer of an earlier version says nothing of its branch: then only nothing is common.
            told = resync.minor >= BRANCH_MINOR
            return self.common(cursor, branch, self.state.base) if told else Cursor(), resync.reason
        if place == "fork":
            self._keep_fork(now_ns, cursor, evidence)
            common = receipt.epoch == cursor.epoch and receipt.sequence < cursor.sequence
            return receipt if common else self.common(cursor, below=Cursor(cursor.epoch)), "fork-seen"
        if place == "ahead":
            if last.epoch > 0:
                self.station.tally.count(now_ns, self.name, "rollback-seen", f"{self.lane} {cursor.epoch}.{cursor.sequence}")
                self.saw_rollback = True
            return last if last.epoch else Cursor(), "rollback-seen" if last.epoch else "first"
        if self.state.epoch_due:
            return self.common(cursor, branch), "restored"
        if place == "elsewhere":
            base = self.common(cursor, branch)
            # The present epoch may begin just there: its first answer was lost.
            begins_there = base == self.state.base and cursor.epoch < last.epoch and self._holds(last.epoch, 1)
            return None if begins_there else (base, "resync")
        return None

    def _keep_fork(self, now_ns: int, cursor: Cursor, evidence: Envelope) -> None:
        ours = self.head_at(cursor.epoch, cursor.sequence) or bytes(32)
        self._outbox.put_fork(
            Fork(
                partner=self.name,
                lane=self.lane,
                epoch=cursor.epoch,
                sequence=cursor.sequence,
                t_ns=now_ns,
                ours=ours,
                theirs=cursor.head,
                evidence=sealing.pack(evidence),
            )
        )
        self.station.tally.count(now_ns, self.name, "fork-seen", f"{self.lane} {cursor.epoch}.{cursor.sequence}")

    # --- answers ------------------------------------------------------------------------------------------------------

    def _next(self, now_ns: int, credit_bytes: int, minor: int) -> Envelope | None:
        """Return the batch after the last one sent in this session: an old one as it was, or the next new one."""
        if self._sent < self.state.last.sequence:
            batch = self._outbox.batch_with(self.name, self.lane, self.state.last.epoch, self._sent + 1)
            if batch is None:
                return None
            sealed, final = self.again(now_ns, batch, self._sent + 1, credit_bytes, minor)
        else:
            new = self.number(now_ns, credit_bytes, minor)
            if new is None:
                return None
            sealed, final = new
        self._sent = final
        return sealed

    def _empty(self, now_ns: int, parked: Parked) -> Answer:
        key = self.station.ring.current(now_ns)
        header = Empty(
            minor=parked.minor,
            sender=self.station.nation,
            audience=self.audience,
            lane=self.lane,
            mode=self.station.mode,
            key_id=key.key_id,
            number=parked.counter,
            last=self.state.last,
            t_ns=now_ns,
            base=self.state.base,
            lost=self.state.lost,
        )
        return Answer(parked.ticket, sealing.seal(key, header))

    def _refuse(self, now_ns: int, ticket: int, pull: Pull, reason: str) -> Answer:
        key = self.station.ring.current(now_ns)
        header = Refusal(
            minor=min(pull.minor, self.station.settings.minor),
            sender=self.station.nation,
            audience=self.audience,
            lane=self.lane,
            mode=self.station.mode,
            key_id=key.key_id,
            number=pull.number,
            reason=reason,
            counter=self.state.counter,
            receipt=self.state.receipt,
            speaks=self.station.settings.minor,
            t_ns=now_ns,
        )
        return Answer(ticket, sealing.seal(key, header))

    # --- keeping ------------------------------------------------------------------------------------------------------

    def renew(self, now_ns: int) -> list[Answer]:
        """Give no more numbers in this epoch: our store went back, and those behind our last may have been given and recalled."""
        if not self.state.last.epoch:
            return []
        self._put(epoch_due=True)
        self.station.must = True
        answers = [self._empty(now_ns, parked) for parked in self._parked]  # answered, the partner asks again at once
        self._parked.clear()
        return answers

    def forget(self, before_ns: int, most: int) -> int:
        """Remove what is receipted and older than a time, so many batches at most; return how many went."""
        receipt = self.state.receipt
        return self._outbox.forget(self.name, self.lane, receipt, before_ns, most) if self.is_settled else 0

    # --- what is seen -------------------------------------------------------------------------------------------------

    def link(self, now_ns: int, *, readable: bool) -> LinkState:
        """Return the state of this outbound lane; without a readable store the counts of what waits are 0."""
        station, state, outbox = self.station, self.state, self.station.store.outbox
        waiting, _ = outbox.queue_size(self.name, self.lane) if readable else (0, 0)
        receipted = state.receipt.sequence if state.receipt.epoch == state.last.epoch else 0
        unreceipted = state.last.sequence - receipted
        oldest_ns = outbox.queue_oldest_ns(self.name, self.lane) if waiting else None
        if unreceipted and readable:
            oldest_ns = outbox.sent_ns(self.name, self.lane, state.last.epoch, receipted + 1)
        return LinkState(
            partner=self.name,
            lane=self.lane,
            direction="out",
            health=health_of(now_ns, station, self.heard_ns, self.trouble, self.via),
            age_ns=None if self.heard_ns is None else now_ns - self.heard_ns,
            lag_records=waiting + unreceipted + self.unmoved,
            lag_ns=max(now_ns - oldest_ns, 0) if oldest_ns is not None else 0,
            cursor=state.last,
            receipt=state.receipt,
            receipt_t_ns=state.receipt_t_ns,
            rejected=station.tally.by_reason(self.name),
            forks=outbox.fork_count(self.name, self.lane) if readable else 0,
            lost=state.lost,
            superseded=state.superseded,
            expired=state.expired,
            shed=state.shed,
            withdrawn=state.withdrawn,
            damaged=state.damaged,
            recalled=state.recalled,
            trouble=self.trouble,
        )
