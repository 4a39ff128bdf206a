"""The node's journal: one entry a step with everything that went in and the hash of everything that came out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from trilat.errors import PolicyError
from trilat.exchange.exchange import Exchange
from trilat.node import setup
from trilat.node.inputs import ActInput, AssessedInput, EventInput, Input, LapseInput, RecallInput, ReceivedInput
from trilat.node.pipeline import Output, Pipeline, hashed
from trilat.node.settings import NodeConfig
from trilat.outward.events import Before
from trilat.picture.inputs import WarningRecord
from trilat.policy.agreement import Agreements, Seen, contradictions
from trilat.records.columns import Tracks
from trilat.store.journal import Entry, Journal
from trilat.store.sqlite import Store

STEP, START = "step", "start"
# Why a start ended: agreements that do not hold.
REFUSED = "refused"
# Two agreements govern one flow on different terms.
CONTRADICTION = "contradiction"
# A step into which people or partners' flash went: what a restart reads to know the warnings again.
PEOPLE = "step-people"
# The last step stands among this many last entries of the log: the exchange's own notes lie between.
LAST_STEP_WITHIN = 2_000


class Step(NamedTuple):
    """One recorded step: when, what went in, and SHA-256 over what came out."""

    now_ns: int
    inputs: tuple[Input, ...]
    digest: bytes


class Given(NamedTuple):
    """What of partners went into a step: up to which inbox row (0 = nothing), and by which reading of the books it was given."""

    row: int
    reading: int


class _Recorded(msgspec.Struct, frozen=True, array_like=True):
    inputs: tuple[Input, ...]
    digest: bytes


_decoder = msgspec.msgpack.Decoder(_Recorded)


class Recorder:
    """Writes and reads the steps of one node. With `journal_inputs` off only people's acts and partners' flash are kept."""

    def __init__(self, store: Store, config: NodeConfig) -> None:
        self._store = store
        self._journal = store.journal
        self._config = config
        self._national: Tracks | None = None  # the tracks that _hashed is of
        self._hashed: Any = None

    def begin(self, now_ns: int, agreements: Agreements) -> None:
        """Note what this run is made of."""
        self._journal.append(START, self._config.nation, now_ns, setup.fingerprint(self._config, agreements))

    def agreements_seen(self) -> dict[str, Seen]:
        """Return the highest version of each agreement that any run of this store had in force."""
        seen: dict[str, Seen] = {}
        for entry in self._journal.read(kinds=frozenset({START})):
            held = msgspec.msgpack.decode(entry.data)["agreements"]
            for name, (version, sha256) in held.items():
                if name not in seen or version > seen[name].version:
                    seen[name] = Seen(version, sha256)
        return seen

    def agreements_before(self) -> Before:
        """Return the highest version of each agreement that any run of this store had, and which the last had stopped."""
        suspended: frozenset[str] = frozenset()
        for entry in self._journal.read(kinds=frozenset({START})):
            suspended = frozenset(msgspec.msgpack.decode(entry.data)["config"].get("suspended", ()))
        return Before(self.agreements_seen(), suspended)

    def read_agreements(self, now_ns: int, seen: Mapping[str, Seen]) -> Agreements:
        """Return the verified agreements; what is refused of them is in the log, too, before it is raised (PolicyError).

        So is where they contradict each other: the stricter term holds, and is not to be a surprise.
        """
        try:
            held = setup.read_agreements(self._config, seen)
        except PolicyError as error:
            facts = {"what": "agreements", "reason": error.name, "detail": error.detail[:200]}
            self._store.note(REFUSED, self._config.nation, now_ns, msgspec.msgpack.encode(facts))
            self._store.commit()
            raise
        for said in contradictions(held):
            self._store.note(CONTRADICTION, self._config.nation, now_ns, msgspec.msgpack.encode({"says": said[:500]}))
        return held

    def entry(self, inputs: Sequence[Input], out: Output) -> tuple[str, bytes]:
        """Return the kind and the bytes of one step's entry."""
        people = [one for one in inputs if by_people(one)]
        kept = [*(inputs if self._config.store.journal_inputs else people), *out.assessed]
        # Time alone moves warnings, too: a restart goes through those steps at their own times.
        told = out.assessed or out.warnings or out.public or any(one.lane == "flash" for one in out.released)
        return PEOPLE if people or told else STEP, msgspec.msgpack.encode(_Recorded(tuple(kept), self._digest(out)))

    def _digest(self, out: Output) -> bytes:
        if out.national is not self._national:
            self._national, self._hashed = out.national, hashed(out.national)
        return out.digest(self._hashed)

    def append(self, now_ns: int, entry: tuple[str, bytes]) -> None:
        """Append a step's entry; durable with the store's next commit."""
        kind, data = entry
        self._journal.append(kind, self._config.nation, now_ns, data)

    def keep(self, exchange: Exchange, now_ns: int, at_ns: int, entry: tuple[str, bytes], given: Given) -> None:
        """Append a step to the journal; runs in the exchange's worker, in the transaction of what is offered after it.

        That partners' records up to an inbox row were taken over stands in the same transaction: each goes in exactly once,
        however the node ends. What was given before a failed commit is given again, and so left out here. While nothing can be
        written the step is forgotten.
        """
        if exchange.health == "down":
            return
        void = given.row > 0 and given.reading != exchange.readings
        self.append(now_ns, _without_received(entry) if void else entry)
        if given.row and not void:
            exchange.handed(given.row)
        exchange.station.soon(at_ns)

    def restore_warnings(self, pipeline: Pipeline) -> list[WarningRecord]:
        """Bring a new pipeline to the warnings that were known before the stop; return what the page has to show."""
        shown: list[WarningRecord] = []
        for step in steps(self._journal, kinds=(PEOPLE,)):
            shown.extend(pipeline.restore(step.now_ns, [one for one in step.inputs if by_people(one)]))
        recent = self._journal.read(max(self._journal.length - LAST_STEP_WITHIN, 1), frozenset({STEP, PEOPLE}))
        pipeline.resumed(max((entry.t_ns for entry in recent), default=0))
        return shown


def _without_received(entry: tuple[str, bytes]) -> tuple[str, bytes]:
    recorded = _decoder.decode(entry[1])
    rest = tuple(one for one in recorded.inputs if not isinstance(one, ReceivedInput))
    return entry[0], msgspec.msgpack.encode(_Recorded(rest, recorded.digest))


def by_people(one: Input) -> bool:
    """Tell whether an input is of people: an act, recall, event or lapse, a partner's flash, or an assessment that was taken."""
    return isinstance(one, ActInput | AssessedInput | EventInput | RecallInput | LapseInput) or (
        isinstance(one, ReceivedInput) and one.lane == "flash"
    )


def steps(journal: Journal, start: int = 1, kinds: tuple[str, ...] = (STEP, PEOPLE)) -> Iterator[Step]:
    """Yield the recorded steps of a journal from entry `start` on."""
    for entry in journal.read(start, frozenset(kinds)):
        yield read_step(entry)


def read_step(entry: Entry) -> Step:
    """Return the step in an entry of kind STEP or PEOPLE."""
    recorded = _decoder.decode(entry.data)
    return Step(entry.t_ns, recorded.inputs, recorded.digest)


def replay(pipeline: Pipeline, recorded: Iterator[Step]) -> Iterator[tuple[Step, Output]]:
    """Run recorded steps through a pipeline made of the same configuration; whoever asks compares the digests."""
    for step in recorded:
        yield step, pipeline.step(step.now_ns, step.inputs)
