"""What a damaged write-ahead log would take along in silence. SQLite ends a WAL at the first frame that does not check.

That is right for a torn end: what was being written when the power went was told to nobody. But a bit that rots in the middle
takes every later commit with it, and each of those was synced and told. The two can be told apart: a commit is begun only when
the one before is synced, so behind a torn frame stands at most the end of its own transaction. Layout: sqlite.org/walformat.html.
"""

import struct
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from trilat.store.sqlite import FILE_NAME

HEADER_BYTES, FRAME_HEADER_BYTES = 32, 24
MAGIC_LITTLE, MAGIC_BIG = 0x377F0682, 0x377F0683
PAGE_BYTES_MIN, PAGE_BYTES_MAX = 512, 65_536
_MASK = 0xFFFFFFFF


class _Frame(NamedTuple):
    page: int
    commit: int
    salt: bytes
    check: tuple[int, int]
    start: int


def lost_in(directory: Path) -> int:
    """Return how many commits of the store in a directory stand behind a damaged place; to be asked before it is opened."""
    file = directory / f"{FILE_NAME}-wal"
    return commits_lost(file.read_bytes()) if file.is_file() else 0


def commits_lost(wal: bytes) -> int:
    """Return how many whole commits stand behind the first frame that does not check, beside that frame's own; 0 = none."""
    if len(wal) < HEADER_BYTES:
        return 0
    magic, _, page_bytes = struct.unpack(">III", wal[:12])
    if not PAGE_BYTES_MIN <= page_bytes <= PAGE_BYTES_MAX or page_bytes & (page_bytes - 1):
        page_bytes = _page_bytes(wal)
    frames = _frames(wal, page_bytes)
    order = ">" if magic == MAGIC_BIG else "<"
    check, good = _checksum(wal[:24], (0, 0), order), 0
    salt = wal[16:24]
    if check != struct.unpack(">II", wal[24:32]):
        # The header itself is damaged (or was never whole): nothing of the file counts.
        salt = frames[0].salt if frames else b""
    else:
        for frame in frames:
            at = frame.start
            check = _checksum(wal[at : at + 8], check, order)
            check = _checksum(wal[at + FRAME_HEADER_BYTES : at + FRAME_HEADER_BYTES + page_bytes], check, order)
            if frame.salt != salt or check != frame.check:
                break
            good += 1
    behind = sum(1 for frame in frames[good:] if frame.salt == salt and frame.commit)
    return max(behind - 1, 0)


def _frames(wal: bytes, page_bytes: int) -> list[_Frame]:
    size = FRAME_HEADER_BYTES + page_bytes
    found = []
    for start in range(HEADER_BYTES, len(wal) - size + 1, size):
        page, commit, salt, one, two = struct.unpack(">II8sII", wal[start : start + FRAME_HEADER_BYTES])
        found.append(_Frame(page, commit, salt, (one, two), start))
    return found


def _page_bytes(wal: bytes) -> int:
    """Return the page size that makes frames with one salt follow one another, when the header does not tell it."""
    size = PAGE_BYTES_MIN
    while size < PAGE_BYTES_MAX:
        frames = _frames(wal, size)[:4]
        if len(frames) > 1 and all(a.salt == b.salt for a, b in pairwise(frames)):
            return size
        size *= 2
    return size


def _checksum(data: bytes, check: tuple[int, int], order: str) -> tuple[int, int]:
    one, two = check
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for first in words:
        one = (one + first + two) & _MASK
        two = (two + next(words) + one) & _MASK
    return one, two
