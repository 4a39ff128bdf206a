"""What happens to tracks' numbers: confirmed, deleted, stitched after a gap, merged, split."""

from __future__ import annotations

from typing import NamedTuple


class Event(NamedTuple):
    """Something that happened to a track's number; `other` is -1 where none is meant.

    "confirmed": it was confirmed. "deleted": it is no more. "stitched": it came back, having been `other` till now. "merged":
    `other` is no more and was where this one is. "split": `other` was confirmed, having begun where this one was.
    """

    t_ns: int
    kind: str
    number: int
    other: int = -1
