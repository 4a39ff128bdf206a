"""What exporter and importer share: who we are, keys and settings, the store as they need it, refusals, states of links."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple, Protocol, TypeVar

import msgspec

from trilat.errors import StoreError
from trilat.identity.sign import KeyRing
from trilat.records.exchange import Begun, Cursor, Fork, InboxState, LinkHealth, OutboxState, Queued, SealedBatch
from trilat.records.label import Mode
from trilat.transport.messages import ExchangeSettings

_encode = msgspec.msgpack.Encoder().encode
OTHER_SOURCES = "others"
MS = 1_000_000
# What SQLite says of a page that it cannot read, or that is not what it should be.
PAGE_FAULTS = frozenset({"store-corrupt", "store-io"})
LANE_UNREADABLE = "lane-unreadable"
# A stopped lane is tried again so often: each time may cost a step.
STOPPED_RETRY_NS = 60_000 * MS
# What of a stream could not be read: what goes out, what comes in, or what retention was to remove.
Side = Literal["out", "in", "past"]
At = tuple[str, str, str]
T = TypeVar("T")


class OutboxStore(Protocol):
    """Outboxes on disk, named by audience and lane. Writes are on disk with the store's next commit."""

    def state(self, audience: str, lane: str) -> OutboxState:
        """Return a stream's books."""
        ...

    def put_state(self, audience: str, lane: str, state: OutboxState) -> None:
        """Keep a stream's books."""
        ...

    def enqueue(self, audience: str, lane: str, rows: Sequence[Queued]) -> int:
        """Queue records; return how many unsent ones were replaced."""
        ...

    def queued(self, audience: str, lane: str, bytes_max: int, count_max: int) -> list[Queued]:
        """Return what leaves next, at least one record if any waits."""
        ...

    def dequeue(self, audience: str, lane: str, rows: Sequence[Queued]) -> None:
        """Take records out of the queue."""
        ...

    def dequeue_next(self, audience: str, lane: str, rows: Sequence[Queued]) -> None:
        """Take out the first records of the queue, as `queued` gave them, because they got numbers."""
        ...

    def queue_size(self, audience: str, lane: str) -> tuple[int, int]:
        """Return records and bytes that wait."""
        ...

    def least(self, audience: str, lane: str, bytes_min: int, count_max: int) -> list[Queued]:
        """Return what is shed first, until bytes_min is reached."""
        ...

    def queue_oldest_ns(self, audience: str, lane: str) -> int | None:
        """Return the time of what leaves next."""
        ...

    def waiting_first(self, audience: str, lane: str, priority_max: int) -> list[Queued]:
        """Return what waits with a priority number up to a bound."""
        ...

    def find_queued(self, audience: str, lane: str, key: str) -> list[Queued]:
        """Return the waiting record of a key."""
        ...

    def put_batch(self, batch: SealedBatch) -> None:
        """Keep a batch."""
        ...

    def batch_with(self, audience: str, lane: str, epoch: int, sequence: int) -> SealedBatch | None:
        """Return the batch that holds a number."""
        ...

    def batches(self, audience: str, lane: str, after: Cursor) -> Iterator[SealedBatch]:
        """Yield the batches after a place."""
        ...

    def sent_ns(self, audience: str, lane: str, epoch: int, sequence: int) -> int | None:
        """Return when the batch that holds a number was sealed."""
        ...

    def move(self, batch: SealedBatch, moved_from: int) -> None:
        """Mark records as put into a later epoch."""
        ...

    def recall(self, audience: str, lane: str, epoch: int, sequences: Sequence[int]) -> None:
        """Keep that numbers were recalled."""
        ...

    def recalled(self, audience: str, lane: str, epoch: int, first: int, final: int) -> tuple[int, ...]:
        """Return the recalled numbers of a range."""
        ...

    def expired(self, audience: str, lane: str, now_ns: int, count_max: int) -> list[Queued]:
        """Return an outbox's waiting records whose time has passed."""
        ...

    def forget(self, audience: str, lane: str, receipt: Cursor, before_ns: int, most: int) -> int:
        """Remove what is settled and old."""
        ...

    def head_at(self, audience: str, lane: str, epoch: int, sequence: int) -> bytes | None:
        """Return the head after a batch that retention removed."""
        ...

    def put_epoch(self, audience: str, lane: str, epoch: int, begun: Begun) -> None:
        """Keep how an epoch began."""
        ...

    def epoch(self, audience: str, lane: str, epoch: int) -> Begun | None:
        """Return how an epoch began."""
        ...

    def put_fork(self, fork: Fork) -> None:
        """Keep a fork."""
        ...

    def fork_count(self, audience: str, lane: str) -> int:
        """Return how many forks are kept."""
        ...


class InboxStore(Protocol):
    """Inboxes on disk, named by exporter and lane. A batch and the cursor over it commit together."""

    def state(self, exporter: str, lane: str) -> InboxState:
        """Return a stream's books."""
        ...

    def put_state(self, exporter: str, lane: str, state: InboxState) -> None:
        """Keep a stream's books."""
        ...

    def put_batch(self, batch: SealedBatch) -> int:
        """Keep a batch."""
        ...

    def batch_with(self, exporter: str, lane: str, epoch: int, sequence: int) -> SealedBatch | None:
        """Return the batch that holds a number."""
        ...

    def batches(self, exporter: str, lane: str, after: Cursor) -> Iterator[SealedBatch]:
        """Yield the batches after a place."""
        ...

    def unhanded(self) -> Iterator[SealedBatch]:
        """Yield what was not handed on yet."""
        ...

    def handed(self, row: int) -> None:
        """Keep up to which row batches were handed on."""
        ...

    def recall(self, exporter: str, lane: str, epoch: int, sequences: Sequence[int]) -> int:
        """Keep that numbers were recalled; return of how many that was not known."""
        ...

    def recalled(self, exporter: str, lane: str, epoch: int, first: int, final: int) -> frozenset[int]:
        """Return the recalled numbers of a range."""
        ...

    def put_orphans(self, exporter: str, lane: str, hashes: Sequence[bytes], t_ns: int) -> None:
        """Keep hashes of what may come again from a time on."""
        ...

    def drop_orphan(self, exporter: str, lane: str, digest: bytes) -> None:
        """Forget one of them."""
        ...

    def is_orphan(self, exporter: str, lane: str, digest: bytes) -> bool:
        """Tell whether a record may come again."""
        ...

    def has_orphans(self, exporter: str, lane: str) -> bool:
        """Tell whether any may."""
        ...

    def forget_orphans(self, exporter: str, lane: str, before_ns: int, most: int) -> int:
        """Forget those that were put before a time."""
        ...

    def put_chunk(self, exporter: str, lane: str, of: bytes, piece: int, total: int, data: bytes) -> None:
        """Keep a piece of a large record."""
        ...

    def chunks(self, exporter: str, lane: str, of: bytes) -> list[bytes]:
        """Return its pieces in order."""
        ...

    def chunked(self, exporter: str, lane: str) -> list[tuple[bytes, int]]:
        """Return hash and number of pieces of each record of which pieces are held."""
        ...

    def drop_chunks(self, exporter: str, lane: str, of: bytes) -> None:
        """Forget its pieces."""
        ...

    def forget(self, exporter: str, lane: str, cursor: Cursor, before_ns: int, most: int) -> int:
        """Remove what is settled and old."""
        ...

    def head_at(self, exporter: str, lane: str, epoch: int, sequence: int) -> bytes | None:
        """Return the head after a batch that retention removed."""
        ...

    def put_epoch(self, exporter: str, lane: str, epoch: int, begun: Begun) -> None:
        """Keep how an epoch began."""
        ...

    def epoch(self, exporter: str, lane: str, epoch: int) -> Begun | None:
        """Return how an epoch began."""
        ...

    def newest_forgotten(self, exporter: str, lane: str) -> tuple[int, int]:
        """Return epoch and last number of the newest batch that retention removed."""
        ...

    def put_fork(self, fork: Fork) -> None:
        """Keep a fork."""
        ...

    def fork_count(self, exporter: str, lane: str) -> int:
        """Return how many forks are kept."""
        ...


class Store(Protocol):
    """The durable store of one node; every method may raise StoreError."""

    @property
    def outbox(self) -> OutboxStore:
        """The outboxes."""
        ...

    @property
    def inbox(self) -> InboxStore:
        """The inboxes."""
        ...

    def note(self, kind: str, source: str, t_ns: int, data: bytes) -> None:
        """Append an entry to the log."""
        ...

    def log_before(self, t_ns: int, most: int) -> tuple[int, bytes]:
        """Return number and head of the log's last entry older than a time; 0 when there is none."""
        ...

    def prune_log(self, n: int, t_ns: int, body: bytes, key_id: str, signature: bytes) -> int:
        """Remove the log up to n behind a signed checkpoint."""
        ...

    def commit(self) -> None:
        """On return everything is on disk."""
        ...

    def rollback(self) -> bool:
        """Forget the step, read anew; tell whether it is on disk after all."""
        ...

    def give_reserve(self) -> bool:
        """Give up the space held back."""
        ...

    def take_reserve(self) -> bool:
        """Hold space back again."""
        ...


class Refused(NamedTuple):
    """How often something of one source was refused for one reason, and when last."""

    times: int
    last_ns: int
    detail: str


class Tally:
    """Refusals by source and reason, audited as sums: an attacker can neither fill the audit nor our memory."""

    def __init__(self, pairs_max: int, note_ns: int) -> None:
        self._pairs_max = pairs_max
        self._note_ns = note_ns
        self.refused: dict[tuple[str, str], Refused] = {}
        self._unsaid: dict[tuple[str, str], int] = {}
        self._said_ns: dict[tuple[str, str], int] = {}

    def count(self, now_ns: int, source: str, reason: str, detail: str = "") -> None:
        """Count one refusal. Beyond the bound on pairs, it is counted under "others"."""
        pair = (source, reason)
        if pair not in self.refused and len(self.refused) >= self._pairs_max:
            pair = (OTHER_SOURCES, reason)
        before = self.refused.get(pair)
        self.refused[pair] = Refused(1 if before is None else before.times + 1, now_ns, detail[:200])
        self._unsaid[pair] = self._unsaid.get(pair, 0) + 1

    def notes(self, now_ns: int) -> list[tuple[str, bytes]]:
        """Return what the audit is due to be told: source, and reason with count since last told and one detail."""
        due: list[tuple[str, bytes]] = []
        for pair, count in sorted(self._unsaid.items()):
            if now_ns - self._said_ns.get(pair, -self._note_ns) >= self._note_ns:
                due.append((pair[0], _encode({"reason": pair[1], "count": count, "detail": self.refused[pair].detail})))
                self._said_ns[pair] = now_ns
                del self._unsaid[pair]
        return due

    def by_reason(self, source: str) -> dict[str, int]:
        """Return one source's refusals by reason."""
        return {pair[1]: seen.times for pair, seen in sorted(self.refused.items()) if pair[0] == source}


class Station:
    """One node as its exporters and importers see it. `must` / `lazy_ns` say whether a commit is due now or soon."""

    def __init__(self, settings: ExchangeSettings, nation: str, mode: Mode, ring: KeyRing, store: Store) -> None:
        self.settings = settings
        self.nation = nation
        self.mode = mode
        self.ring = ring
        self.store = store
        self.tally = Tally(settings.tally_pairs_max, settings.tally_note_ms * 1_000_000)
        self.must = False
        self.lazy_ns: int | None = None

    def soon(self, now_ns: int) -> None:
        """Something changed that may be on disk a little later."""
        if self.lazy_ns is None:
            self.lazy_ns = now_ns

    def note(self, kind: str, partner: str, lane: str, t_ns: int, facts: object) -> None:
        """Append an entry of the exchange's doings to the log; it is on disk before anything of this step is sent."""
        self.store.note(kind, f"{partner}/{lane}", t_ns, _encode(facts))
        self.must = True


def health_of(now_ns: int, station: Station, heard_ns: int | None, trouble: str, via: str | None) -> LinkHealth:
    """Return how a lane does, by when it was last heard, what its importer refuses, and whether it goes through a hub."""
    if heard_ns is None:
        return "never"
    settings, age_ms = station.settings, (now_ns - heard_ns) // MS
    if via is not None:  # heard as often as pulls through a hub end, and no oftener
        age_ms -= settings.hub_wait_ms
    if age_ms >= settings.down_ms:
        return "down"
    if trouble:
        return "refused"
    return "late" if age_ms >= settings.late_ms else "up"


class Stopped(NamedTuple):
    """A stream that is stopped because its rows could not be read: why, and when it is tried again."""

    error: StoreError
    retry_ns: int


@contextmanager
def rows_of(side: Side, name: str, lane: str) -> Iterator[None]:
    """Say of a page that cannot be read whose rows stand on it, so that no other stream has to stop."""
    try:
        yield
    except StoreError as error:
        if error.name in PAGE_FAULTS:
            error.stream = error.stream or (side, name, lane)
        raise


def unless_unreadable(read: Callable[[], T], otherwise: T) -> T:
    """Read something with which a lane begins: a page that cannot be read stops the lane when it is needed, not the node now."""
    try:
        return read()
    except StoreError as error:
        if error.name not in PAGE_FAULTS:
            raise
        return otherwise


def is_due(now_ns: int, at_ns: int, interval_ns: int) -> bool:
    """Tell whether a time that was set at most an interval ahead has come; it has, too, when the clock was set back since."""
    return now_ns >= at_ns or at_ns - now_ns > interval_ns
