"""What partners bring to the desk: their warnings, answers to ours, retractions. Forged and stale ones are counted.

And what they are told when a flight's warning is acknowledged here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from trilat.issuing.books import Key
from trilat.issuing.state import Desk
from trilat.picture.acts import AcknowledgeWarning
from trilat.picture.inputs import WarningRecord
from trilat.records.approval import Session
from trilat.records.released import Released
from trilat.records.warning import Acknowledgement, Retraction, Warning


class Got(NamedTuple):
    """What to show, what the public is told because of it, lines for the watch log."""

    shown: tuple[WarningRecord, ...] = ()
    public: tuple[Warning, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()


def receive(d: Desk, now_ns: int, given: WarningRecord) -> Got:
    """Take one record of a partner."""
    match given.record:
        case Warning():
            return _warning(d, now_ns, given, given.record)
        case Retraction():
            return _retraction(d, now_ns, given, given.record)
        case Acknowledgement():
            return _acknowledgement(d, given.origin, given.record)


def _warning(d: Desk, now_ns: int, given: WarningRecord, record: Warning) -> Got:
    past = now_ns >= record.expires_ns
    d.rejected["warning-stale"] += past
    if not d.hand.receive(given.origin, record):
        return Got()
    d.escalation.shown(now_ns, given.origin, record)
    public = d.public.follow(now_ns, given.origin, record)
    said = f"Warning of {given.origin}{' (past its end)' if past else ''}: {record.headline}"
    return Got((given,), tuple(public), (("caution", said),))


def _retraction(d: Desk, now_ns: int, given: WarningRecord, record: Retraction) -> Got:
    if not d.hand.receive_retraction(given.origin, record):
        d.rejected["warning-unknown"] += 1
        return Got()
    public = d.public.follow_retraction(now_ns, given.origin, record)
    said = f"{given.origin} retracted {record.warning_id}: {record.reason}"
    return Got((given,), tuple(public), (("alarm", said),))


def _acknowledgement(d: Desk, origin: str, record: Acknowledgement) -> Got:
    if record.nation != origin:
        d.rejected["origin-mismatch"] += 1
        return Got()
    if record.warning_originator == d.nation:
        audience = d.audiences.get(origin)
        national = None if audience is None else audience.national_id(record.warning_id)
        if national is None:
            d.rejected["warning-unknown"] += 1
            return Got()
        record = msgspec.structs.replace(record, warning_id=national)
    return Got((WarningRecord(origin=origin, record=record),))


def acknowledged(d: Desk, now_ns: int, national: Key, kind: str, by: Session) -> Iterator[Released]:
    """Tell each partner that its own edition of a flight's warning was acknowledged here: by its id, version and label.

    The national warning's version and label come of all that the nation sees; nothing of them goes in, and whether they would let
    the acknowledgement go decides nothing.
    """
    for name, (_, standing) in d.books.editions(national).items():
        if (gate := d.audiences.get(name)) is not None:
            mine = standing.warning
            told = (d.nation, mine.id, mine.version, kind, by.user, by.station, mine.label)
            own_ns = d.books.own_ns(name, now_ns)
            yield from gate.flash(own_ns, d.hand.answer(own_ns, *told))


def acknowledge(d: Desk, now_ns: int, by: Session, act: AcknowledgeWarning) -> tuple[Acknowledgement | None, Iterable[Released]]:
    """Acknowledge what an officer has seen; return what to show and what leaves. None: there is no such warning or version."""
    own = act.originator == d.nation
    flight = d.books.national(act.warning_id) if own else None
    warning = flight[1].warning if flight is not None else d.hand.own(act.warning_id) if own else None
    label = warning.label if warning is not None else d.label((act.originator,), 0)
    told = (act.originator, act.warning_id, act.version, act.kind, by.user, by.station, label)
    if flight is not None:
        made = d.hand.answer(now_ns, *told) if act.version <= flight[1].warning.version else None
        return made, () if made is None else list(acknowledged(d, now_ns, flight[0], act.kind, by))
    made = d.hand.acknowledge(now_ns, *told)
    return made, () if made is None else [one for audience in d.audiences.values() for one in audience.acknowledge(now_ns, made)]
