"""NMEA 0183 sentences with AIS in them: checksums, tag blocks, messages of several parts in bounded memory.

IEC 61162-1 (sentences, VDM and VDO), IEC 61162-450 and NMEA 0183 v4 (tag blocks).
"""

import re
from typing import NamedTuple

from trilat.feeds.source import Refusals

# A sentence has 82 characters; a tag block and what real receivers exceed it by come on top.
LINE_BYTES_MAX = 1_024
# Parts of one message follow one another within a second; a receiver that stutters gets this long, by message time.
PARTS_NS_MAX = 30_000_000_000
PENDING_MAX = 256

_SENTENCE = re.compile(rb"!([A-Z]{2})(VD[MO]),([1-9]),([1-9]),([0-9]?),([A-Z0-9]?),([0-W`-w]{0,200}),([0-5])\*([0-9A-Fa-f]{2})")
_TAG_BLOCK = re.compile(rb"\\([^\\*]{0,400})\*([0-9A-Fa-f]{2})\\")
_SECONDS_MAX = 7_258_118_400  # the year 2200; a larger number is milliseconds


class Sentence(NamedTuple):
    """One checked sentence. `text` is without tag block; t_ns and station come from the tag block, if there was one."""

    talker: bytes
    total: int
    number: int
    group: bytes
    channel: bytes
    payload: bytes
    fill_bits: int
    text: bytes
    t_ns: int | None
    station: bytes


class Parts(NamedTuple):
    """A complete message: its sentences in order, and the time and station of the first tag block that named them."""

    sentences: tuple[Sentence, ...]
    t_ns: int | None

    @property
    def bits(self) -> int:
        """Return the length of the payload in bits."""
        return sum(6 * len(each.payload) for each in self.sentences) - self.sentences[-1].fill_bits


def checksum(text: bytes) -> int:
    """Return the exclusive or of all bytes (IEC 61162-1)."""
    folded, width = int.from_bytes(text, "big"), 1 << max(len(text) - 1, 0).bit_length()
    while width > 1:
        width //= 2
        folded = folded >> 8 * width ^ folded & (1 << 8 * width) - 1
    return folded


def read_tag_block(body: bytes) -> tuple[int | None, bytes]:
    """Return the time (UTC nanoseconds) and the source station of a tag block's `c:` and `s:`, as far as they are there."""
    t_ns, station = None, b""
    for field in body.split(b","):
        key, _, value = field.partition(b":")
        if key == b"c" and value.isdigit() and len(value) <= 13:
            number = int(value)
            t_ns = number * 1_000_000_000 if number <= _SECONDS_MAX else number * 1_000_000
        elif key == b"s":
            station = value[:20]
    return t_ns, station


def read_sentence(offset: int, text: bytes, refusals: Refusals) -> Sentence | None:
    """Return the AIS sentence of a line; None, counted, when it is none or its checksum is wrong. `#` lines are comments."""
    text = text.strip()
    if text.startswith(b"#") or not text:
        return None
    t_ns, station, sentence = None, b"", text
    tag = _TAG_BLOCK.match(text)
    if tag is not None:
        if checksum(tag[1]) != int(tag[2], 16):
            refusals.add("checksum-bad", offset, len(text), "tag block")
            return None
        t_ns, station = read_tag_block(tag[1])
        sentence = text[tag.end() :]
    match = _SENTENCE.fullmatch(sentence)
    if match is None:
        other = sentence[:1] in b"$!" and b"*" in sentence and b"VDM" not in sentence and b"VDO" not in sentence
        refusals.add("type-unsupported" if sentence and other else "syntax-bad", offset, len(text), "not an AIS sentence")
        return None
    if checksum(sentence[1:-3]) != int(match[9], 16):
        refusals.add("checksum-bad", offset, len(text), "sentence")
        return None
    talker, _, count, number, group, channel, payload, fill, _ = match.groups()
    if not payload or int(number) > int(count):
        refusals.add("syntax-bad", offset, len(text), "empty payload" if not payload else "part beyond the last one")
        return None
    return Sentence(talker, int(count), int(number), group, channel, payload, int(fill), sentence, t_ns, station)


class Assembler:
    """Joins the parts of messages. At most `PENDING_MAX` wait, none longer than `PARTS_NS_MAX` of message time."""

    def __init__(self) -> None:
        self._pending: dict[tuple[bytes, int, bytes, bytes], tuple[int, dict[int, Sentence]]] = {}

    def add(self, sentence: Sentence, now_ns: int, refusals: Refusals) -> Parts | None:
        """Take one sentence; return the message that it completes. `now_ns` is the message time (tag block, else receipt)."""
        if sentence.total == 1:
            return Parts((sentence,), sentence.t_ns)
        self._expire(now_ns, refusals)
        key = (sentence.talker, sentence.total, sentence.group, sentence.channel)
        begun, parts = self._pending.pop(key, (now_ns, {}))
        if sentence.number in parts:
            _drop(parts, refusals)
            begun, parts = now_ns, {}
        parts[sentence.number] = sentence
        if len(parts) == sentence.total:
            ordered = tuple(parts[number] for number in sorted(parts))
            return Parts(ordered, next((each.t_ns for each in ordered if each.t_ns is not None), None))
        if len(self._pending) >= PENDING_MAX:
            _drop(self._pending.pop(next(iter(self._pending)))[1], refusals)
        self._pending[key] = (begun, parts)
        return None

    def finish(self, refusals: Refusals) -> None:
        """Say that no more sentences come: messages that lack parts are counted."""
        for _, parts in self._pending.values():
            _drop(parts, refusals)
        self._pending.clear()

    def _expire(self, now_ns: int, refusals: Refusals) -> None:
        """Drop what waits for too long; the oldest stand first, so the look ends at the first that may stay."""
        while self._pending:
            key = next(iter(self._pending))
            begun, parts = self._pending[key]
            if abs(now_ns - begun) <= PARTS_NS_MAX:
                return
            del self._pending[key]
            _drop(parts, refusals)


def _drop(parts: dict[int, Sentence], refusals: Refusals) -> None:
    refusals.add("parts-missing", length=sum(len(each.text) for each in parts.values()))
