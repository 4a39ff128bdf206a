"""What a change of agreements means for what was released already: every record in every outbox is decided anew.

Decided on the label as the audience got it. That label names this audience alone, with what it may use the record for; consents
and operations are not in it, so where a record rests on a third nation's data the answer errs towards recall, never away from it.
A million records hold few distinct labels, so each distinct one is decided once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from trilat.marking.canonical import TIERS, Tier
from trilat.policy.agreement import Agreements
from trilat.policy.decide import Rulebook
from trilat.policy.rules import Context, SensorClass
from trilat.records.exchange import SealedBatch
from trilat.records.label import Label, Mode
from trilat.records.sensor import Sensor
from trilat.store.sqlite import Database
from trilat.transport import envelope as sealing
from trilat.transport.carried import CARRIED_TYPE, partner_of

_FORMS: dict[str, Tier] = {
    "trilat.plot/1": "plot",
    "trilat.fix/1": "plot",
    "trilat.tracklet/1": "tracklet",
    "trilat.track/1": "track",
    "trilat.area/1": "area",
}


class _Sensors(Struct, frozen=True):
    sensors: tuple[str, ...] = ()


class _Seen(Struct, frozen=True):
    """As much of a record as a decision needs; the rest is passed over."""

    type: str
    label: msgspec.Raw
    pedigree: msgspec.Raw = msgspec.Raw(b"\x80")


_seen = msgspec.msgpack.Decoder(_Seen)
_label = msgspec.msgpack.Decoder(Label)
_sensors = msgspec.msgpack.Decoder(_Sensors)


class Verdict(NamedTuple):
    """What the agreements say today of one kind of released record: reason "" = it could be released as it was."""

    reason: str
    rule: str


class Changed(NamedTuple):
    """Records of one stream and epoch that would not be released today: a recall would name these numbers."""

    audience: str
    lane: str
    epoch: int
    record_type: str
    reason: str
    rule: str
    sequences: tuple[int, ...]


class Redecision(NamedTuple):
    """How many records were looked at, how many distinct decisions that took, and what would not be released today."""

    records: int
    decisions: int
    changed: tuple[Changed, ...]
    looked_at: dict[str, int]

    def by_audience(self) -> dict[str, tuple[int, int]]:
        """Return for each audience how many records it was sent and how many of them would not be released today."""
        gone = Counter[str]()
        for one in self.changed:
            gone[partner_of(one.audience)] += len(one.sequences)
        return {audience: (records, gone[audience]) for audience, records in sorted(self.looked_at.items())}

    @property
    def records_changed(self) -> int:
        """How many records would not be released today."""
        return sum(len(one.sequences) for one in self.changed)


def redecide(
    batches: Iterator[SealedBatch],
    agreements: Agreements,
    nation: str,
    mode: Mode,
    now_ns: int,
    sensors: Sequence[Sensor] = (),
    recalled: frozenset[tuple[str, str, int, int]] = frozenset(),
) -> Redecision:
    """Decide every record of some sent batches anew under `agreements`, as of now_ns.

    recalled: (audience, lane, epoch, sequence) of what was taken back already, which is passed over; so are letters, whose
    contents were decided on in the stream of their addressee.
    """
    books: dict[str, Rulebook] = {}
    known: dict[tuple[str, str, bytes, bytes], Verdict] = {}
    kinds = {sensor.id: SensorClass(sensor.id, sensor.kind) for sensor in sensors}
    found: dict[tuple[str, str, int, str, Verdict], list[int]] = {}
    records: Counter[str] = Counter()
    for batch in batches:
        audience, _, via = batch.partner.partition("/")
        book = books.get(audience) or books.setdefault(audience, Rulebook(agreements, nation, audience))
        for sequence, entry in enumerate(sealing.split_payload(batch.payload), batch.first):
            place = (batch.partner, batch.lane, batch.epoch, sequence)
            if place in recalled or 0 < batch.moved_from <= sequence:
                continue
            seen = _seen.decode(memoryview(entry)[sealing.SALT_BYTES :])
            if seen.type == CARRIED_TYPE:
                continue
            records[audience] += 1
            key = (batch.partner, seen.type, bytes(seen.label), bytes(seen.pedigree))
            verdict = known.get(key)
            if verdict is None:
                context = Context(nation=nation, mode=mode, now_ns=now_ns, hubs=(via,) if via else ())
                verdict = known[key] = _verdict(book, seen, context, kinds)
            if verdict.reason:
                found.setdefault((batch.partner, batch.lane, batch.epoch, seen.type, verdict), []).append(sequence)
    changed = tuple(
        Changed(audience, lane, epoch, record_type, verdict.reason, verdict.rule, tuple(numbers))
        for (audience, lane, epoch, record_type, verdict), numbers in sorted(found.items())
    )
    return Redecision(records.total(), len(known), changed, dict(records))


def _verdict(book: Rulebook, seen: _Seen, context: Context, kinds: dict[str, SensorClass]) -> Verdict:
    label = _label.decode(seen.label)
    named = _sensors.decode(seen.pedigree).sensors
    classes = tuple(kinds.get(one) or SensorClass(one, None) for one in named)
    decision = book.decide(label, msgspec.structs.replace(context, sensors=classes))
    if not decision.permit:
        return Verdict(decision.reason, decision.rule)
    form = _FORMS.get(seen.type)
    if form is not None and TIERS.index(form) < TIERS.index(decision.tier):
        return Verdict("release-tier", f"{decision.rule}/tier")
    return Verdict("", decision.rule)


def sent(database: Database) -> Iterator[SealedBatch]:
    """Yield every batch of every outbox of a store."""
    from trilat.ledger.holdings import Ledger  # noqa: PLC0415 - one way of reading outboxes

    return Ledger(database).batches()


def recalled_in(database: Database) -> frozenset[tuple[str, str, int, int]]:
    """Return every number of a store that was recalled."""
    rows: list[Any] = database.rows(
        "SELECT partner, lane, epoch, sequence FROM recalled JOIN streams USING (stream) WHERE side='out'"
    )
    return frozenset(rows)
