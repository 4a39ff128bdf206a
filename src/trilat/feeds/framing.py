r"""Framing of streams that are cut anywhere: lines, and Beast binary frames.

A line has a longest length: an endless one costs its bytes, never the memory. A Beast frame is 0x1A, a type, a 6-byte time, a
signal level and the message, every 0x1A inside doubled. Type '1' is Mode A/C (2 bytes), '2' a short Mode S frame (7), '3' a
long one (14), '4' a receiver's status (14). Format: Mode-S Beast receiver, data output formats (2014). Encoder:
`modes_encode.beast`. `ReceiverClock` makes UTC of the times inside.
"""

import re
from typing import Literal, NamedTuple

from trilat.feeds.source import DAY_NS, Refusals

ESCAPE = 0x1A
_SIZES = {b"1": 2, b"2": 7, b"3": 14, b"4": 14}
_HEAD_BYTES = 7  # time and signal
# The longest frame on the wire: escape, type, and every byte behind them doubled.
FRAME_BYTES_MAX = 2 + 2 * (_HEAD_BYTES + 14)
_FRAME = re.compile(
    b"|".join(rb"\x1a%s(?:[^\x1a]|\x1a\x1a){%d}" % (kind, _HEAD_BYTES + size) for kind, size in _SIZES.items()), re.DOTALL
)
_BEGIN = re.compile(rb"\x1a[1-4](?:[^\x1a]|\x1a\x1a)*\x1a?\Z|\x1a\Z", re.DOTALL)


class Line(NamedTuple):
    """One line without its end, and where in the source's bytes it began."""

    offset: int
    text: bytes


class LineSplitter:
    r"""Splits at `\n` (a `\r` before it is dropped). What has no end within `line_bytes_max` is refused as `line-too-long`.

    The rest of an endless line is thrown away up to its end, so that no half line is mistaken for a whole one.
    """

    def __init__(self, line_bytes_max: int) -> None:
        self._max = line_bytes_max
        self._rest = b""
        self._offset = 0  # of the first byte of `_rest`
        self._skipping = False

    def feed(self, data: bytes, refusals: Refusals) -> list[Line]:
        """Return the lines that became complete; empty lines are left out."""
        text = self._rest + data if self._rest else data
        pieces = text.split(b"\n")
        lines: list[Line] = []
        offset = self._offset
        for piece in pieces[:-1]:
            if self._skipping:
                self._skipping = False
                refusals.add("line-too-long", offset, len(piece), count=0)
            elif len(piece) > self._max:
                refusals.add("line-too-long", offset, len(piece))
            elif stripped := piece.rstrip(b"\r"):
                lines.append(Line(offset, stripped))
            offset += len(piece) + 1
        self._keep(pieces[-1], offset, refusals)
        return lines

    def _keep(self, rest: bytes, offset: int, refusals: Refusals) -> None:
        """Remember the unfinished line, or throw it away when it is too long already."""
        if len(rest) > self._max or (self._skipping and rest):
            refusals.add("line-too-long", offset, len(rest), count=0 if self._skipping else 1)
            self._skipping = True
            offset += len(rest)
            rest = b""
        self._rest, self._offset = rest, offset

    def finish(self) -> Line | None:
        """Return the last line of a recording, which may lack its end."""
        rest, self._rest = self._rest.rstrip(b"\r"), b""
        return Line(self._offset, rest) if rest else None


class BeastFrame(NamedTuple):
    """One frame: the receiver's counter, and the Mode S message."""

    ticks: int
    message: bytes


class BeastSplitter:
    """Finds frames in a stream that is cut anywhere, in the middle of an escape too. Garbage between frames is counted."""

    def __init__(self) -> None:
        self._rest = b""
        self._offset = 0  # of the first byte of `_rest`

    def feed(self, data: bytes, refusals: Refusals) -> list[BeastFrame]:
        """Return the Mode S frames that became complete; Mode A/C and status frames give none and are counted."""
        text = self._rest + data if self._rest else data
        frames: list[BeastFrame] = []
        end = 0
        for match in _FRAME.finditer(text):
            if match.start() > end:
                refusals.add("syntax-bad", self._offset + end, match.start() - end)
            end = match.end()
            if text[match.start() + 1] in b"14":
                refusals.add("type-unsupported", self._offset + match.start(), end - match.start(), "Beast Mode A/C or status")
                continue
            body = text[match.start() + 2 : end].replace(b"\x1a\x1a", b"\x1a")
            frames.append(BeastFrame(int.from_bytes(body[:6], "big"), body[_HEAD_BYTES:]))
        self._keep(text, end, refusals)
        return frames

    def finish(self, refusals: Refusals) -> None:
        """Say that no more bytes come: a frame that is cut is counted as `truncated`."""
        if self._rest:
            refusals.add("truncated", self._offset, len(self._rest), "the recording ends in the middle of a frame")
            self._rest = b""

    def _keep(self, text: bytes, end: int, refusals: Refusals) -> None:
        """Keep the beginning of a frame that is not complete, and count what can be none."""
        tail_begin = max(end, len(text) - FRAME_BYTES_MAX)
        begun = _BEGIN.search(text, tail_begin)
        keep_from = begun.start() if begun else len(text)
        if keep_from > end:
            refusals.add("syntax-bad", self._offset + end, keep_from - end)
        self._rest = text[keep_from:]
        self._offset += keep_from


_TICK_NS = 1_000 / 12
# The counter may drift against UTC by this much before the offset is learned anew (100 ppm, the worst cheap crystal).
DRIFT_PER_SECOND = 1e-4
# A counter that disagrees by more than this was restarted.
RESTART_NS = 5_000_000_000


class ReceiverClock:
    """Turns the counter of a frame into UTC nanoseconds. Memory: one offset."""

    def __init__(self, kind: Literal["receipt", "12mhz", "gps"]) -> None:
        self._kind = kind
        self._offset_ns: float | None = None
        self._last_ns = 0.0

    def t_ns(self, ticks: int, received_t_ns: int) -> int:
        """Return when a frame was heard. Never later than its receipt, except by the error of a GPS clock."""
        if self._kind == "receipt" or ticks == 0:
            return received_t_ns
        if self._kind == "gps":
            return _time_of_day(ticks, received_t_ns)
        counter_ns = ticks * _TICK_NS
        offset_ns = received_t_ns - counter_ns
        if self._offset_ns is None or abs(offset_ns - self._offset_ns) > RESTART_NS:
            self._offset_ns = offset_ns
        else:
            # The least delayed frame tells the offset best; it may age by the drift of the crystal.
            aged = self._offset_ns + max(counter_ns - self._last_ns, 0.0) * DRIFT_PER_SECOND
            self._offset_ns = min(aged, offset_ns)
        self._last_ns = counter_ns
        return round(counter_ns + self._offset_ns)


def _time_of_day(ticks: int, received_t_ns: int) -> int:
    """Return the instant nearest to the receipt with a GPS time of day: 18 bits of seconds, 30 bits of nanoseconds."""
    of_day_ns = (ticks >> 30) * 1_000_000_000 + (ticks & 0x3FFFFFFF)
    if of_day_ns >= DAY_NS:
        return received_t_ns
    days = (received_t_ns - of_day_ns + DAY_NS // 2) // DAY_NS
    return days * DAY_NS + of_day_ns


def beast_frames(data: bytes) -> tuple[list[bytes], bytes]:
    """Cut a recording into frames as they stand, escapes and what lies between frames included; return them and the rest."""
    frames: list[bytes] = []
    end = 0
    for match in _FRAME.finditer(data):
        frames.append(data[end : match.end()])
        end = match.end()
    if len(data) - end > 2 * FRAME_BYTES_MAX:
        frames.append(data[end:])
        end = len(data)
    return frames, data[end:]


def beast_ticks(frame: bytes) -> int:
    """Return the counter of a frame as it stands on the wire, 0 when it is none."""
    match = _FRAME.search(frame)
    return 0 if match is None else int.from_bytes(match[0][2:].replace(b"\x1a\x1a", b"\x1a")[:6], "big")
