"""Envelope: sealed, signed bytes for one audience and one lane. The transport's `send` takes nothing else."""

from msgspec import Struct

from trilat.records.fields import Audience, Count, Lane, Trigraph


class Envelope(Struct, frozen=True, kw_only=True):
    """A sealed message. `body` is what was signed and what the other side verifies, never a re-encoding.

    kind: the signed payload's type string ("trilat.pull/1", "trilat.batch/1", "trilat.wake/1", ...).
    sender / audience / lane / sequence / key_id repeat what stands inside the signed bytes, for routing only: the
    receiver believes the inside and refuses an envelope whose outside differs.
    payload: a batch's salted records, bound to `body` by the Merkle root that stands in it; empty otherwise.
    """

    kind: str
    sender: Trigraph
    audience: Audience
    lane: Lane
    sequence: Count
    body: bytes
    key_id: str
    signature: bytes
    payload: bytes = b""
