"""How batches and waiting records stand in rows of the database, and back. Pure."""

import zlib
from collections.abc import Sequence
from typing import Any

import msgspec

from trilat.errors import StoreError
from trilat.records.exchange import SealedBatch

BATCH_COLUMNS = (
    "stream, epoch, first, count, t_ns, moved_from, prev_head, head, kind, key_id, signature, body, about, skip, payload"
)
CRC_MASK = (1 << 63) - 1
# Which batches of a stream (?1) hold a number after a place (epoch ?2, number ?3): looked for from there on, not from the first.
AFTER = (
    "WHERE stream=?1 AND (epoch, first)>="
    "(?2, coalesce((SELECT max(first) FROM {table} WHERE stream=?1 AND epoch=?2 AND first<=?3), 0))"
    " AND (epoch>?2 OR first+count-1>?3) ORDER BY epoch, first"
)
QUEUE_COLUMNS = "priority, key, t_ns, expires_ns, record, about, crc, id"
_encode = msgspec.msgpack.Encoder().encode
_skip = msgspec.msgpack.Decoder(tuple[int, ...])


def batch_row(stream: int, batch: SealedBatch) -> tuple[Any, ...]:
    """Return a batch as a row of `sent` or `received`, in the order of BATCH_COLUMNS."""
    b = batch
    place = (stream, b.epoch, b.first, b.count, b.t_ns, b.moved_from, b.prev_head, b.head)
    return (*place, b.kind, b.key_id, b.signature, b.body, b.about, _encode(b.skip), b.payload)


def row_batch(partner: str, lane: str, row: Sequence[Any]) -> SealedBatch:
    """Return the batch in a row (its number first); raises StoreError "store-corrupt"."""
    try:
        at, _, epoch, first, count, t_ns, moved_from, prev_head, head, kind, key_id, signature, body, about, skip, payload = row
        return SealedBatch(
            partner=partner,
            lane=lane,  # type: ignore[arg-type]
            epoch=epoch,
            first=first,
            count=count,
            prev_head=prev_head,
            head=head,
            t_ns=t_ns,
            kind=kind,
            body=body,
            key_id=key_id,
            signature=signature,
            payload=payload,
            about=about,
            skip=_skip.decode(skip),
            moved_from=moved_from,
            row=at,
        )
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise StoreError("store-corrupt", f"a batch row of {partner} {lane}: {error}") from error


def queue_crc(priority: int, key: str | None, t_ns: int, expires_ns: int | None, record: bytes, about: bytes) -> int:
    """Return the checksum that is kept with a waiting record: what waits is in no chain yet, and its bits may rot meanwhile."""
    named = 0 if key is None else zlib.crc32(key.encode()) + 1
    times = t_ns ^ (0 if expires_ns is None else (expires_ns << 1) + 1) ^ priority
    return (zlib.crc32(about, zlib.crc32(record)) ^ named ^ times) & CRC_MASK


def is_sound(row: Sequence[Any]) -> bool:
    """Tell whether a waiting record (priority, key, t_ns, expires_ns, record, about, crc) is as it was queued."""
    try:
        return row[6] is None or row[6] == queue_crc(*row[:6])
    except (TypeError, UnicodeError):  # a bit of its type was flipped
        return False
