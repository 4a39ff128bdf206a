"""Everything KOR can observe of a run of JPN's node: each byte that reaches it over the exchange, and when."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import msgspec
from exchange_pair import Joined
from ni_events import KEY
from ni_world import STEP_NS, Journal, pipeline_of
from node_worlds import MODE
from once import pure_answers_kept

from trilat.node.inputs import ReceivedInput
from trilat.node.pipeline import Output
from trilat.node.record import Recorder
from trilat.records.envelope import Envelope
from trilat.transport.messages import ExchangeSettings, PullId

TICK_MS = 125  # of the exchange; every step has several
TICKS = STEP_NS // (TICK_MS * 1_000_000)
OBSERVERS = ("KOR", "PUBLIC")


class Seen(NamedTuple):
    """One thing that reached an observer: the simulated time, to whom, what it was, its bytes."""

    t_ns: int
    observer: str
    what: str
    raw: bytes


class Run:
    """One run of JPN's node, KOR and USA pulling from it, on a simulated clock and a perfect network."""

    def __init__(self, journal: Journal) -> None:
        self.seen: list[Seen] = []
        self.counts: dict[str, int] = {}
        self._journal = journal
        with pure_answers_kept():
            self._pipeline = pipeline_of(journal.config)
            self._pipeline.trust({KEY.key_id: KEY.verify_key.public})
        settings = ExchangeSettings(tick_ms=TICK_MS)
        # What KOR and USA tell one another is no part of it: their nodes make nothing, and JPN's hears none of it.
        self._net = Joined(Path(), ("JPN", "KOR", "USA"), settings, MODE, memory=True, hub="JPN", tick_ms=TICK_MS)
        self._net.now_ns = journal.steps[0][0] - STEP_NS
        self._net.tap = self._tap
        self._recorder = Recorder(self._net.exchanges["JPN"].station.store, journal.config)

    def _tap(self, asker: str, pull: PullId, envelope: Envelope) -> Envelope:
        if asker == "KOR" and pull.partner == "JPN":
            self.seen.append(Seen(self._net.now_ns, "KOR", envelope.kind, msgspec.msgpack.encode(envelope)))
        return envelope

    def run(self) -> list[Seen]:
        """Step the node through its journal; return what its observers saw."""
        with pure_answers_kept():
            return self._run()

    def _run(self) -> list[Seen]:
        jpn = self._net.exchanges["JPN"]
        taken = 0
        for now_ns, inputs in self._journal.steps:
            # What KOR sends back (acknowledgements, receipts) comes in as it would; KOR here only pulls.
            arrived = self._net.received["JPN"][taken:]
            taken += len(arrived)
            back = [
                ReceivedInput(exporter=one.exporter, lane=one.lane, epoch=one.epoch, sequence=one.sequence, record=one.raw)
                for one in arrived
            ]
            given = [*inputs, *back]
            out = self._pipeline.step(now_ns, given)
            self._recorder.append(now_ns, self._recorder.entry(given, out))
            self.taken_in(out)
            for one in out.released:
                self.counts[one.audience] = self.counts.get(one.audience, 0) + 1
                if one.audience == "PUBLIC":
                    self.seen.append(Seen(now_ns, "PUBLIC", one.record_type, msgspec.msgpack.encode(one)))
            jpn.offer(self._net.now_ns, [one for one in out.released if one.audience in ("KOR", "USA")])
            self._net.run(TICKS)
        self.ending()
        self._net.close()
        return self.seen

    @property
    def quarantined(self) -> frozenset[str]:
        """The sensors that JPN's own tracker leaves out by now."""
        return self._pipeline.watch.health.quarantined

    def taken_in(self, out: Output) -> None:
        """Look at what a step gave, before it is sealed: for those who look more closely."""

    def ending(self) -> None:
        """Look at the nations' stores before they close: for those who look more closely."""


def difference(one: list[Seen], other: list[Seen]) -> str:
    """Return what the first difference between two observations is, "" when they are equal to the byte and the tick."""
    for k, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return f"observation {k}: {a.what} at {a.t_ns} ({_hash(a)}), other run {b.what} at {b.t_ns} ({_hash(b)})"
    if len(one) != len(other):
        return f"{len(one)} observations in one run, {len(other)} in the other"
    return ""


def _hash(seen: Seen) -> str:
    return hashlib.sha256(seen.raw).hexdigest()[:12]
