"""The simulated network: carries envelopes between exchanges on simulated time, with faults drawn from a seeded generator.

Delay, loss, duplication, reordering, corruption, replays, misdirection, forgery and one-way partitions; the same seed and the
same inputs give the same deliveries. It moves packed bytes, as the wire does, so that a flipped bit meets the same checks.
"""

import heapq
from collections.abc import Iterator
from random import Random
from typing import Literal, NamedTuple

from msgspec import Struct, structs

from trilat.exchange.exchange import Exchange, Outgoing
from trilat.identity.sign import Rejected
from trilat.records.envelope import Envelope
from trilat.transport import envelope as sealing
from trilat.transport.messages import PullId

MS = 1_000_000
# Requests whose answer may still come are remembered up to this many.
TICKETS_MAX = 1_000_000
# A wire-tapper keeps this many messages of each line, and takes this share of later ones in the place of one of them.
RECORDED_MAX = 8
RECORDED_SHARE = 0.1


class Faults(Struct, frozen=True, kw_only=True):
    """How bad the network is: one-way delay range, and the probabilities of each fault per message and direction.

    reorder: a message is held back by up to reorder_ms. corrupt: one bit is flipped. replay: an older message of the same
    kind and line comes along with it. misdirect: a copy also goes to a nation it is not for, or back to its sender. forge: a
    copy with another message's payload, or a foreign signature, comes along. bytes_per_s: 0 = no limit; else each direction of a
    pair of nations is a queue of that rate per lane.
    """

    delay_ms: tuple[float, float] = (0.2, 2.0)
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_ms: float = 300.0
    corrupt: float = 0.0
    replay: float = 0.0
    misdirect: float = 0.0
    forge: float = 0.0
    bytes_per_s: float = 0.0


class Delivery(NamedTuple):
    """Bytes that arrive: at whom, as what, to which request they belong, and what was done to them that must be refused."""

    to: str
    kind: Literal["request", "reply", "wake"]
    raw: bytes
    ticket: int
    pull: PullId | None
    fault: str = ""


class SimulatedNetwork:
    """Carries what exchanges let out; `arrivals` says what arrives when. `counts` tells how often each fault struck."""

    def __init__(self, seed: int, faults: Faults | None = None) -> None:
        self._random = Random(seed)
        self.faults = faults or Faults()
        self.cut: set[tuple[str, str]] = set()
        self._lines: set[tuple[str, str]] = set()
        self._queue: list[tuple[int, int, Delivery]] = []
        self._order = 0
        self._tickets: dict[int, tuple[str, PullId]] = {}
        self._line_free_ns: dict[tuple[str, str, str], int] = {}
        self.counts: dict[str, int] = {}
        # What a wire-tapper has recorded: some messages of each line and kind.
        self._recorded: dict[tuple[str, str, str, str], list[bytes]] = {}

    def carry(self, now_ns: int, nation: str, outgoing: Outgoing) -> None:
        """Take what a node lets out."""
        for request in outgoing.requests:
            self._order += 1
            self._tickets[self._order] = (nation, request.pull)
            self._send(now_ns, nation, request.pull.partner, "request", request.envelope, self._order, None)
        for answer in outgoing.answers:
            asker = self._tickets.get(answer.ticket)
            if asker is not None and answer.envelope is not None:
                self._send(now_ns, nation, asker[0], "reply", answer.envelope, 0, asker[1])
        for wake in outgoing.wakes:
            self._send(now_ns, nation, wake.audience, "wake", wake, 0, None)

    def _send(
        self,
        now_ns: int,
        source: str,
        to: str,
        kind: Literal["request", "reply", "wake"],
        envelope: Envelope,
        ticket: int,
        pull: PullId | None,
    ) -> None:
        raw, faults = sealing.pack(envelope), self.faults
        self._lines.add((source, to))
        if (source, to) in self.cut:
            self._count("cut")
            self._overhear((source, to, kind, envelope.lane), raw)
            return
        if self._strikes("loss", faults.loss):
            self._overhear((source, to, kind, envelope.lane), raw)
            return
        copies = [Delivery(to, kind, raw, ticket, pull)] * (2 if self._strikes("duplicate", faults.duplicate) else 1)
        copies = [self._corrupted(one) if self._strikes("corrupt", faults.corrupt) else one for one in copies]
        if faults.replay or faults.misdirect or faults.forge:
            copies += self._attacks(source, copies[0]._replace(raw=raw, fault=""), envelope)
        for one in copies:
            arrive_ns = self._through_line(now_ns, (source, to, envelope.lane), len(raw))
            arrive_ns += int(self._random.uniform(*faults.delay_ms) * MS)
            if self._strikes("reorder", faults.reorder):
                arrive_ns += int(self._random.uniform(0, faults.reorder_ms) * MS)
            self._order += 1
            heapq.heappush(self._queue, (arrive_ns, self._order, one))

    def _overhear(self, line: tuple[str, str, str, str], raw: bytes) -> None:
        """Let the wire-tapper, beside the sender, have what never arrives: replayed later, it may contradict what did."""
        recorded = self._recorded.setdefault(line, [])
        if self.faults.replay and len(recorded) < RECORDED_MAX:
            recorded.append(raw)

    def _corrupted(self, one: Delivery) -> Delivery:
        at, raw = self._random.randrange(len(one.raw)), one.raw
        return one._replace(raw=raw[:at] + bytes([raw[at] ^ (1 << self._random.randrange(8))]) + raw[at + 1 :], fault="corrupt")

    def _attacks(self, source: str, one: Delivery, envelope: Envelope) -> list[Delivery]:
        """Return what a wire-tapper sends along: something recorded, a copy to the wrong nation, a forgery."""
        made: list[Delivery] = []
        recorded = self._recorded.setdefault((source, one.to, one.kind, envelope.lane), [])
        if recorded and self._strikes("replay", self.faults.replay):
            made.append(one._replace(raw=self._random.choice(recorded)))
        if self._strikes("misdirect", self.faults.misdirect):
            made.append(self._misdirected(source, one, envelope))
        if recorded and self._strikes("forge", self.faults.forge):
            other = sealing.unpack(self._random.choice(recorded), len(one.raw) + (1 << 20))
            if other.payload != envelope.payload:
                made.append(one._replace(raw=sealing.pack(structs.replace(envelope, payload=other.payload)), fault="forge"))
            elif other.signature != envelope.signature:
                made.append(one._replace(raw=sealing.pack(structs.replace(envelope, signature=other.signature)), fault="forge"))
        if len(recorded) < RECORDED_MAX:
            recorded.append(one.raw)
        elif self._random.random() < RECORDED_SHARE:
            recorded[self._random.randrange(RECORDED_MAX)] = one.raw
        return made

    def _misdirected(self, source: str, one: Delivery, envelope: Envelope) -> Delivery:
        """Return a copy that goes to a nation it is not for: a third one's, or back to whom it came from."""
        others = sorted({nation for pair in self._lines for nation in pair} - {one.to})
        to = self._random.choice(others) if others else source
        pull = None if one.pull is None else PullId(source if to != source else one.to, envelope.lane, one.pull.counter)
        return one._replace(to=to, pull=pull, fault="misdirect")

    def _through_line(self, now_ns: int, line: tuple[str, str, str], size: int) -> int:
        if not self.faults.bytes_per_s:
            return now_ns
        free_ns = max(now_ns, self._line_free_ns.get(line, 0)) + int(size / self.faults.bytes_per_s * 1e9)
        self._line_free_ns[line] = free_ns
        return free_ns

    def _strikes(self, fault: str, probability: float) -> bool:
        if probability and self._random.random() < probability:
            self._count(fault)
            return True
        return False

    def _count(self, fault: str) -> None:
        self.counts[fault] = self.counts.get(fault, 0) + 1

    def next_ns(self) -> int | None:
        """Return when the next delivery is due, or None."""
        return self._queue[0][0] if self._queue else None

    def arrivals(self, now_ns: int) -> Iterator[Delivery]:
        """Yield what has arrived by now, in order of time."""
        while self._queue and self._queue[0][0] <= now_ns:
            delivery = heapq.heappop(self._queue)[2]
            source = delivery.pull.partner if delivery.pull is not None else None
            # A cut also takes what is under way.
            if source is not None and (source, delivery.to) in self.cut:
                self._count("cut")
                continue
            yield delivery


def deliver(now_ns: int, exchange: Exchange, delivery: Delivery, bytes_max: int) -> None:
    """Hand arrived bytes to an exchange, as a transport would; what is no envelope is counted and dropped."""
    try:
        envelope = sealing.unpack(delivery.raw, bytes_max)
    except Rejected as rejected:
        exchange.refused(now_ns, "", rejected.name, rejected.detail)
        return
    exchange.handle(now_ns, envelope, ticket=delivery.ticket, pull=delivery.pull)
