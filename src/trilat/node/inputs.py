"""What goes into a node's pipeline: bytes of feeds, partners' records, officers' acts, assessments, events. All journalled."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from trilat.exchange.importer import Received
from trilat.feeds import sockets
from trilat.picture.acts import OfficerAct
from trilat.records.approval import Session, UserName
from trilat.records.assessment import Assessment
from trilat.records.declassification import Declassification
from trilat.records.fields import Count, Lane, Name, ShortText, TimeNs, Trigraph


class FeedInput(Struct, frozen=True, kw_only=True, tag_field="type", tag="feed"):
    """Bytes that one source said, and when they came in."""

    source: Name
    received_t_ns: TimeNs
    data: bytes


class ReceivedInput(Struct, frozen=True, kw_only=True, tag_field="type", tag="received"):
    """A partner's record as the exchange verified it: from whom, in which lane, epoch and place."""

    exporter: Trigraph
    lane: Lane
    epoch: Count
    sequence: Count
    record: bytes


class ActInput(Struct, frozen=True, kw_only=True, tag_field="type", tag="act"):
    """An officer's act at this node's page."""

    act: OfficerAct


class AssessedInput(Struct, frozen=True, kw_only=True, tag_field="type", tag="assessed"):
    """What was made of one flight for one audience ("national" and "own" are the nation's): for the warning desk.

    derived: this node's own step made it of its feeds. A restart takes it from the journal; a replay makes it again.
    """

    audience: Name
    assessment: Assessment
    derived: bool = False


class EventInput(Struct, frozen=True, kw_only=True, tag_field="type", tag="event"):
    """A declassification event that this node signed, with the record that it lets go (empty where it names none)."""

    event: Declassification
    record: bytes = b""


class RecallInput(Struct, frozen=True, kw_only=True, tag_field="type", tag="recall"):
    """A release officer's recall: of which stream ("KOR", "KOR/USA" through a hub), which numbers, and why.

    What the store has of these numbers was looked up before; policy decides in the step whether the recall may go.
    """

    session: Session
    act_id: Name
    stream: Name
    lane: Lane
    epoch: Count
    sequences: Annotated[tuple[Count, ...], Meta(min_length=1, max_length=1_000)]
    reason: ShortText


class LapseInput(Struct, frozen=True, kw_only=True, tag_field="type", tag="lapse"):
    """An account may no longer decide (its role was taken away, or it was disabled): what it wanted and still waits is void."""

    user: UserName


Input = FeedInput | ReceivedInput | ActInput | AssessedInput | EventInput | RecallInput | LapseInput


def received_input(one: Received) -> ReceivedInput:
    """Return a record that the exchange durably holds as an input."""
    return ReceivedInput(exporter=one.exporter, lane=one.lane, epoch=one.epoch, sequence=one.sequence, record=one.raw)


def feed_input(one: sockets.Received) -> FeedInput:
    """Return what a socket brought as an input."""
    return FeedInput(source=one.source, received_t_ns=one.received_t_ns, data=one.data)


_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(Input)


def encode(given: Input) -> bytes:
    """Return an input's bytes for the journal."""
    return msgspec.msgpack.encode(given)


def decode(data: bytes) -> Input:
    """Return the input in a journal's bytes; raises msgspec.ValidationError when it is none."""
    given: Input = _decoder.decode(data)
    return given
