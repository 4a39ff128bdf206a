"""What the exchange keeps in the store: cursors, the state of each outbox and inbox, sealed batches, queued records.

These are our own node's books, never sent; the wire's messages are in `trilat.transport.messages`.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from trilat.records.fields import Count, Lane, Name, Sha256, TimeNs

NO_HEAD = bytes(32)


# Far beyond what anybody reaches, and far enough from 2^63 that nothing made of them leaves what a database can hold.
EPOCH_MAX = 2**40
SEQUENCE_MAX = 2**62
Epoch = Annotated[int, Meta(ge=0, le=EPOCH_MAX)]


class Cursor(Struct, frozen=True, array_like=True):
    """A place in one stream: epoch, sequence number, and the chain's head after that number. Epoch 0 = nothing yet."""

    epoch: Epoch = 0
    sequence: Annotated[int, Meta(ge=0, le=SEQUENCE_MAX)] = 0
    head: Sha256 = NO_HEAD


class Begun(Struct, frozen=True, array_like=True):
    """How an epoch began: the place in an earlier epoch that it goes on from, and how many records are missing before it."""

    base: Cursor = Cursor()
    lost: Count = 0


class Move(Struct, frozen=True, array_like=True):
    """What is still to be put into a later epoch, in the order in which it was said first.

    epoch: which epoch it goes into. ranges: epoch, number after which it begins, last number.
    """

    epoch: Count
    ranges: tuple[tuple[Count, Count, Count], ...]


class OutboxState(Struct, frozen=True, kw_only=True):
    """One outbox's books: the last number given, where its epoch began, what the partner's last signed receipt says.

    base: the place in an earlier epoch on which this epoch goes on; lost: records known to be missing before it.
    counter: highest pull counter accepted. epoch_due: a restore or a rollback; the next pull opens a new epoch.
    """

    last: Cursor = Cursor()
    base: Cursor = Cursor()
    lost: Count = 0
    receipt: Cursor = Cursor()
    receipt_t_ns: TimeNs = 0
    counter: Count = 0
    epoch_due: bool = False
    expired: Count = 0
    shed: Count = 0
    superseded: Count = 0
    withdrawn: Count = 0
    recalled: Count = 0
    damaged: Count = 0
    # What is not moved yet, in the order in which it leaves: before what waits, but what an earlier move has queued.
    moves: tuple[Move, ...] = ()
    # Numbers that were recalled while the lane's rows could not be read: what became of them is recalled before anything leaves.
    recalls_due: tuple[tuple[Count, tuple[Count, ...]], ...] = ()


class InboxState(Struct, frozen=True, kw_only=True):
    """One inbox's books: what is held durably, and up to which number pull counters may have been used.

    unchecked: epochs that began before something that retention had removed; of that, what came again could not be known.
    """

    cursor: Cursor = Cursor()
    counter_ceiling: Count = 0
    received_t_ns: TimeNs = 0
    lost: Count = 0
    duplicates: Count = 0
    kept_aside: Count = 0
    recalled: Count = 0
    unchecked: Count = 0


class Queued(Struct, frozen=True, kw_only=True):
    """A record that waits for its number. id: 0 until the store gives one; about: type, decision, reason (MessagePack).

    damaged: it is not what was queued, and must not leave.
    """

    record: bytes
    t_ns: TimeNs
    priority: int = 0
    key: str | None = None
    expires_ns: TimeNs | None = None
    about: bytes = b""
    id: Count = 0
    damaged: bool = False


class SealedBatch(Struct, frozen=True, kw_only=True):
    """A sealed batch as it was sent or received: its envelope's parts, its place, and its chain.

    partner: the audience (outbox) or the exporter (inbox), with its hub when there is one ("KOR/USA").
    about: per record, why it was released (outbox only).
    skip: offsets of records that were not handed on: duplicates across an epoch change, kept aside, withheld (inbox only).
    moved_from: records from this number on were put into a later epoch (outbox only); 0 = none.
    """

    partner: Name
    lane: Lane
    epoch: Count
    first: Count
    count: Count
    prev_head: Sha256
    head: Sha256
    t_ns: TimeNs
    kind: str
    body: bytes
    key_id: str
    signature: bytes
    payload: bytes
    about: bytes = b""
    skip: tuple[Count, ...] = ()
    moved_from: Count = 0
    row: Count = 0

    @property
    def final(self) -> int:
        """The number of its last record."""
        return self.first + self.count - 1


class Fork(Struct, frozen=True, kw_only=True):
    """Two signed heads for one number, kept as evidence: whose stream, where, and both envelopes or heads."""

    partner: Name
    lane: Lane
    epoch: Count
    sequence: Count
    t_ns: TimeNs
    ours: Sha256
    theirs: Sha256
    evidence: bytes


LinkHealth = Literal["up", "late", "down", "never", "refused"]


class LinkState(Struct, frozen=True, kw_only=True):
    """One lane with one partner, one way. partner: "KOR", or "KOR/USA" for the stream with KOR through USA.

    age_ns: since the last verified message; None = never heard.

    Outbound: lag_records wait or are not receipted, the oldest for lag_ns; receipt is the partner's last signed one.
    Inbound: lag_ns since the lane was last known to be level; cursor is what we hold. rejected: by reason, both lanes' sum.
    trouble: the reason why the importer refuses what comes next, until it is recalled or mended.
    """

    partner: str
    lane: Lane
    direction: Literal["out", "in"]
    health: LinkHealth
    age_ns: int | None
    lag_records: int
    lag_ns: int
    cursor: Cursor
    receipt: Cursor
    receipt_t_ns: int
    rejected: dict[str, int]
    forks: int
    lost: int
    superseded: int = 0
    expired: int = 0
    shed: int = 0
    withdrawn: int = 0
    damaged: int = 0
    recalled: int = 0
    duplicates: int = 0
    unchecked: int = 0
    kept_aside: int = 0
    trouble: str = ""
    credit_bytes: int = 0
    window: int = 0
