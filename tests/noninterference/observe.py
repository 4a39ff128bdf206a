"""Everything KOR can observe of a run of JPN's node: each byte that reaches it over the exchange, and when."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import probing
from exchange_pair import Joined
from exchange_records import released
from nacl.signing import SigningKey
from ni_events import KEY
from ni_world import Journal, pipeline_of
from node_worlds import MODE
from once import pure_answers_kept

from trilat.exchange.exchange import Outgoing
from trilat.node.inputs import Input, ReceivedInput
from trilat.node.pipeline import Output, public_of
from trilat.node.record import Recorder
from trilat.outputs.message import Messages
from trilat.records import codec
from trilat.transport.messages import ExchangeSettings
from trilat.warn.areas import shipped_layer

TICKS = 4  # of the exchange, in every step
OBSERVERS = ("KOR", "PUBLIC")


class Seen(NamedTuple):
    """One thing that reached an observer: the simulated time, to whom, what it was, its bytes."""

    t_ns: int
    observer: str
    what: str
    raw: bytes


class Run:
    """One run of JPN's node, KOR and USA pulling from it, on a simulated clock and a perfect network."""

    ticks = TICKS

    def __init__(self, journal: Journal) -> None:
        self.seen: list[Seen] = []
        self.counts: dict[str, int] = {}
        self._journal = journal
        with pure_answers_kept():
            self._pipeline = pipeline_of(journal.config)
            self._pipeline.trust({KEY.key_id: KEY.verify_key.public})
            self._messages = Messages(
                shipped_layer(), lambda body: (KEY.key_id, bytes(SigningKey(KEY.seed).sign(body).signature))
            )
        self._step_ns = journal.steps[1][0] - journal.steps[0][0]
        tick_ms = self._step_ns // (self.ticks * 1_000_000)
        # What KOR and USA tell one another is no part of it: their nodes make nothing, and JPN's hears none of it.
        settings = ExchangeSettings(tick_ms=tick_ms)
        self._net = Joined(Path(), ("JPN", "KOR", "USA"), settings, MODE, memory=True, hub="JPN", tick_ms=tick_ms)
        self._net.now_ns = journal.steps[0][0] - self._step_ns
        jpn = self._net.exchanges["JPN"]
        self._flush = jpn.flush
        jpn.flush = self._watched  # type: ignore[method-assign]
        self._recorder = Recorder(jpn.station.store, journal.config)
        self.ends: list[int] = []  # for each step that was taken, how much had been seen by its end

    def _watched(self, now_ns: int, *, force: bool = False) -> Outgoing:
        """End a step of JPN's exchange and keep everything of it that reaches KOR: answers, JPN's own pulls, wakes."""
        out = self._flush(now_ns, force=force)
        told = [("answer", one.envelope) for one in out.answers if self._net._tickets[one.ticket][0] == "KOR"]
        told += [("request", one.envelope) for one in out.requests if one.pull.partner == "KOR"]
        told += [("wake", one) for one in out.wakes if one.audience == "KOR"]
        for what, envelope in told:
            kind = "none" if envelope is None else envelope.kind
            self.seen.append(Seen(now_ns, "KOR", f"{what} {kind}", msgspec.msgpack.encode(envelope)))
        return out

    def run(self) -> list[Seen]:
        """Step the node through its journal; return what its observers saw."""
        with pure_answers_kept():
            for _ in range(self.steps):
                self.step()
            self.ending()
        self.close()
        return self.seen

    @property
    def steps(self) -> int:
        """How many steps the journal has."""
        return len(self._journal.steps)

    def step(self) -> None:
        """Take the journal's next step."""
        k, jpn = len(self.ends), self._net.exchanges["JPN"]
        now_ns, inputs = self._journal.steps[k]
        given = [*inputs, *(one for who in self._journal.people for one in who(k, self._pipeline))]
        out = self._pipeline.step(now_ns, given)
        self._recorder.append(now_ns, self._recorder.entry(given, out))
        self.taken_in(out)
        for one in out.released:
            self.counts[one.audience] = self.counts.get(one.audience, 0) + 1
        self._published(now_ns, out)
        self._from_usa(now_ns, given)
        jpn.offer(self._net.now_ns, [one for one in out.released if one.audience in ("KOR", "USA")])
        probing.probe(self._net, k, self.steps)
        self._journal.ally(self._net, k, self.steps)
        self._net.run(self.ticks)
        self.ends.append(len(self.seen))

    def close(self) -> None:
        """Close the nations' stores: no step after it."""
        self._net.close()

    def _from_usa(self, now_ns: int, inputs: Sequence[Input]) -> None:
        """Send what USA says in this step over the exchange as well: JPN pulls it, and answers nothing of it to KOR."""
        given = [one for one in inputs if isinstance(one, ReceivedInput) and one.exporter == "USA"]
        if given and "USA" in self._net.exchanges:
            told = [released(codec.decode(one.record), "JPN", one.lane, now_ns, MODE) for one in given]
            self._net.exchanges["USA"].offer(self._net.now_ns, told)

    def _published(self, now_ns: int, out: Output) -> None:
        """Keep what PUBLIC gets: records as released, and of its warnings each message in every form that an output sends."""
        for one in out.released:
            if one.audience == "PUBLIC":
                self.seen.append(Seen(now_ns, "PUBLIC", one.record_type, msgspec.msgpack.encode(one)))
        for warning in public_of(out.released):
            made = self._messages.make(warning)
            self.seen += [Seen(now_ns, "PUBLIC", f"{made.identifier}.{form}", raw) for form, raw in made.bodies.items()]

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


def apart(one: Run, other: Run) -> str:
    """Return what `difference` says of two runs, taken step by step and no further than to the first step that differs.

    What tells them apart is not undone by what follows. one: it may have been compared with others before, and go on from there.
    """
    assert one.steps == other.steps
    begun = 0
    with pure_answers_kept():
        for k in range(other.steps):
            if k == len(one.ends):
                one.step()
            other.step()
            if one.seen[begun : one.ends[k]] != other.seen[begun:]:
                break
            begun = one.ends[k]
    other.close()
    return difference(one.seen[: one.ends[k]], other.seen)


def _hash(seen: Seen) -> str:
    return hashlib.sha256(seen.raw).hexdigest()[:12]
