"""The messages of the exchange as they stand inside the signed bytes, and the exchange's settings.

Every message is a MessagePack map whose "type" names kind and major version. Fields that a later minor version adds are
ignored here but stay in the signed bytes, which are kept as received.
"""

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, Struct, structs

from trilat.records.exchange import EPOCH_MAX, Cursor
from trilat.records.fields import Audience, Count, Lane, Sha256, ShortText, TimeNs, Trigraph
from trilat.records.label import Mode

LANES: tuple[Lane, ...] = ("flash", "state", "history")
# The newest minor version spoken here; a pull says it, and the exporter answers in the lower of both.
MINOR = 2

# Since this minor version an importer tells of its branch: this many places at most.
BRANCH_MINOR = 2
BRANCH_MAX = 64

# Which lanes a record type may travel in; types that are not known here may travel in any.
_FLASH, _BULK = frozenset({"flash"}), frozenset({"state", "history"})
LANES_OF_TYPE: dict[str, frozenset[str]] = {
    "trilat.warning/1": _FLASH,
    "trilat.acknowledgement/1": _FLASH,
    "trilat.retraction/1": _FLASH,
    "trilat.recall/1": _FLASH,
    "trilat.plot/1": _BULK,
    "trilat.fix/1": _BULK,
    "trilat.measurement/1": _BULK,
    "trilat.track/1": _BULK,
    "trilat.tracklet/1": _BULK,
    "trilat.area/1": _BULK,
}
CHUNK_TYPE = "trilat.chunk/1"
# Stands in the first bytes of every piece, and of nothing else.
CHUNK_MARK = CHUNK_TYPE.encode()
KeyId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$(?!\n)")]
Minor = Annotated[int, Meta(ge=0, le=65_535)]


class Header(Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every message says: who to whom, which lane and mode, with which key, and its number.

    `number` is the first sequence number of a batch, the counter of a pull, and the pull's counter in an answer.
    """

    minor: Minor
    sender: Trigraph
    audience: Audience
    lane: Lane
    mode: Mode
    key_id: KeyId
    number: Count


class BatchHeader(Header, frozen=True, kw_only=True, tag="trilat.batch/1"):
    """The signed head of a batch: `count` records from `number` on, under `root`, between two heads of the chain.

    base: where this epoch goes on from (a place in an earlier epoch; epoch 0 = from nothing). lost: records known to be
    missing between base and this epoch. withheld: offsets of recalled records, of which the payload holds only the leaf hash.
    """

    epoch: Annotated[int, Meta(ge=1, le=EPOCH_MAX)]
    base: Cursor
    lost: Count = 0
    count: Annotated[int, Meta(ge=1, le=65_536)]
    root: Sha256
    prev_head: Sha256
    head: Sha256
    t_ns: TimeNs
    withheld: tuple[Count, ...] = ()


class Pull(Header, frozen=True, kw_only=True, tag="trilat.pull/1"):
    """An importer's request for what follows its cursor. The cursor is the signed receipt for everything up to it.

    number: the rising counter. session: the counter with which this session began; within a session the exporter goes on
    after the last number it sent. trouble: the reason why the importer refused what came after the cursor, if it did.
    """

    cursor: Cursor
    session: Count
    credit_bytes: Count
    wait_ms: Count
    trouble: ShortText = ""


class Resync(Pull, frozen=True, kw_only=True, tag="trilat.resync/1"):
    """A pull that may go back behind an earlier receipt. reason: "store-behind" or "base-unknown".

    Since minor version 2: branch, the places on which the epochs that the importer holds went on, newest first; refused, the
    base that it does not hold.
    """

    reason: ShortText
    branch: Annotated[tuple[Cursor, ...], Meta(max_length=BRANCH_MAX)] = ()
    refused: Cursor = Cursor()


class Empty(Header, frozen=True, kw_only=True, tag="trilat.empty/1"):
    """The answer to a pull when nothing came in time: the exporter's last number, so that both ends know they are level.

    base: where its epoch goes on from, so that an importer that does not hold that place can say so before anything new comes.
    lost: records known to be missing between base and this epoch (since minor version 2).
    """

    last: Cursor
    t_ns: TimeNs
    base: Cursor = Cursor()
    lost: Count = 0


class Refusal(Header, frozen=True, kw_only=True, tag="trilat.refusal/1"):
    """The answer to a pull that is not honoured: a reason of errors.toml, and what the importer needs to go on.

    counter: the highest pull counter accepted; receipt: the last receipt; speaks: the newest minor version.
    """

    reason: ShortText
    counter: Count
    receipt: Cursor
    speaks: Minor
    t_ns: TimeNs


class Wake(Header, frozen=True, kw_only=True, tag="trilat.wake/1"):
    """The exporter is (again) there: begin a new session now instead of waiting for the time-out. number: its t_ns."""


Message = BatchHeader | Pull | Resync | Empty | Refusal | Wake
KINDS = frozenset({"trilat.batch/1", "trilat.pull/1", "trilat.resync/1", "trilat.empty/1", "trilat.refusal/1", "trilat.wake/1"})


class Chunk(Struct, frozen=True, kw_only=True, tag_field="type", tag=CHUNK_TYPE):
    """A piece of a record that is larger than a reply may be: piece `index` of `total` of the record with hash `of`."""

    of: Sha256
    index: Count
    total: Annotated[int, Meta(ge=2, le=65_536)]
    data: bytes


class Checkpoint(Struct, frozen=True, kw_only=True, tag_field="type", tag="trilat.checkpoint/1"):
    """Signed when the log's beginning is removed: the head after entry `n` of this nation's log. Never travels."""

    nation: Trigraph
    mode: Mode
    n: Count
    head: Sha256
    t_ns: TimeNs
    key_id: KeyId


class LaneSettings(Struct, frozen=True, kw_only=True):
    """How one lane is pulled. Waits are short because a lost pull costs wait + slack (notes: 1.2 s against 5.2 s)."""

    window_pulls: Annotated[int, Meta(ge=1, le=64)] = 4
    window_pulls_max: Annotated[int, Meta(ge=1, le=64)] = 4
    wait_ms: Annotated[int, Meta(ge=10, le=60_000)] = 1_000
    batch_records_max: Annotated[int, Meta(ge=1, le=65_536)] = 512
    # 0 = leaves at once; otherwise what is offered leaves on the tick, out of this much per tick and audience.
    tick_budget_bytes: Annotated[int, Meta(ge=0)] = 0


class ExchangeSettings(Struct, frozen=True, kw_only=True):
    """Settings of the exchange; every bound has its name here. Defaults are the figures of the pull spike."""

    flash: LaneSettings = LaneSettings(window_pulls=4, window_pulls_max=32, batch_records_max=1)
    state: LaneSettings = LaneSettings(window_pulls=8, window_pulls_max=8, wait_ms=2_000, tick_budget_bytes=4 << 20)
    history: LaneSettings = LaneSettings(window_pulls=8, window_pulls_max=16, wait_ms=2_000, tick_budget_bytes=4 << 20)
    # State and history leave on this tick, so that hidden load does not show in the timing.
    tick_ms: Annotated[int, Meta(ge=1, le=10_000)] = 50
    # By so much after whole multiples of the tick.
    phase_ms: Annotated[int, Meta(ge=0, le=10_000)] = 0
    # A request is given up this long after its wait has passed; a measured round trip is added.
    slack_ms: Annotated[int, Meta(ge=10, le=60_000)] = 750
    # After a failed request the lane pauses, doubling from the first to the second.
    retry_ms: Annotated[int, Meta(ge=1, le=60_000)] = 50
    retry_ms_max: Annotated[int, Meta(ge=1, le=600_000)] = 2_000
    # Credit: starts here, at most doubles, aims for this much link time over all parked pulls, halves on a time-out.
    credit_bytes_min: Annotated[int, Meta(ge=512)] = 4 << 10
    credit_bytes_max: Annotated[int, Meta(ge=512)] = 256 << 10
    credit_link_ms: Annotated[int, Meta(ge=1)] = 250
    # A record above this (or above the credit, if that is more) is sent in pieces of this size.
    chunk_bytes: Annotated[int, Meta(ge=512)] = 16 << 10
    record_bytes_max: Annotated[int, Meta(ge=1_024)] = 4 << 20
    envelope_bytes_max: Annotated[int, Meta(ge=4_096)] = 900 << 10
    # Replies that came before their turn are kept up to this many per lane.
    ahead_max: Annotated[int, Meta(ge=0)] = 64
    # One outbox audience may hold this much unsent; above it history is shed first, then state, never flash.
    outbox_bytes_max: Annotated[int, Meta(ge=65_536)] = 1 << 30
    # A receipt is on disk at the latest this long after it came (losing one only means holding sent data longer).
    receipt_lag_ms: Annotated[int, Meta(ge=0)] = 100
    # A link without a verified message for this long is shown as late, then as down.
    late_ms: Annotated[int, Meta(ge=100)] = 4_000
    down_ms: Annotated[int, Meta(ge=100)] = 10_000
    # Refusals are audited per source and reason: at most this many pairs, each written at most this often.
    tally_pairs_max: Annotated[int, Meta(ge=8)] = 256
    tally_note_ms: Annotated[int, Meta(ge=1)] = 60_000
    # Through a hub, which keeps every letter: few pulls, that wait long, and a partner is late and down so much later.
    hub_window_pulls: Annotated[int, Meta(ge=1, le=64)] = 2
    hub_window_pulls_max: Annotated[int, Meta(ge=1, le=64)] = 8
    hub_wait_ms: Annotated[int, Meta(ge=10, le=60_000)] = 10_000
    hub_slack_ms: Annotated[int, Meta(ge=10, le=60_000)] = 5_000
    # The newest minor version spoken: lowered only to talk as the previous version did (tests, staged upgrades).
    minor: Minor = MINOR

    def next_tick_ns(self, now_ns: int) -> int:
        """Return when the bulk lanes' next tick is, after now."""
        tick_ns, phase_ns = self.tick_ms * 1_000_000, self.phase_ms * 1_000_000
        return ((now_ns - phase_ns) // tick_ns + 1) * tick_ns + phase_ns

    def lane(self, lane: str, *, through_hub: bool = False) -> LaneSettings:
        """Return the settings of one lane, directly or through a hub."""
        chosen: LaneSettings = getattr(self, lane)
        if not through_hub:
            return chosen
        window, most = self.hub_window_pulls, self.hub_window_pulls_max
        return structs.replace(chosen, window_pulls=window, window_pulls_max=most, wait_ms=self.hub_wait_ms)


class PullId(NamedTuple):
    """Names one request of ours: to whom, which lane, its counter."""

    partner: str
    lane: str
    counter: int


_message = msgspec.msgpack.Decoder(Message)
_chunk = msgspec.msgpack.Decoder(Chunk)


def decode_message(body: bytes) -> Message:
    """Return the message in verified bytes; raises msgspec.ValidationError when it is none of this version's."""
    message: Message = _message.decode(body)
    return message


def decode_chunk(raw: bytes) -> Chunk:
    """Return a chunk; raises msgspec.ValidationError when it is none."""
    return _chunk.decode(raw)


def made_whole(raw: bytes) -> bytes | None:
    """Return the hash of the record that this last piece completed; None for anything else."""
    try:
        chunk = decode_chunk(raw)
    except msgspec.DecodeError:
        return None
    return chunk.of if chunk.index == chunk.total - 1 else None
