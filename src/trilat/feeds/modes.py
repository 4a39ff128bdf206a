"""Mode S feeds: Beast binary, AVR text and timestamped JSON lines, each with ADS-B positions out of `adsb.AdsbReader`.

None of the three has a bit that marks simulated traffic: the mode of the source stands for all of it.
"""

import re

import msgspec
from msgspec import Struct

from trilat.feeds.adsb import AdsbReader
from trilat.feeds.framing import BeastSplitter, LineSplitter, ReceiverClock
from trilat.feeds.rows import FixRows
from trilat.feeds.source import Decoded, Refusals, Source

AVR_LINE_BYTES_MAX = 256
JSON_LINE_BYTES_MAX = 16_384
_AVR = re.compile(rb"(?:\*|@([0-9A-Fa-f]{12})(?:[0-9A-Fa-f]{2})??)((?:[0-9A-Fa-f]{14}){1,2});?")


class _ModesDecoder:
    """What the three share: the memory, and the way from timed frames to batches."""

    def __init__(self, source: Source) -> None:
        self._refusals = Refusals(source.name)
        self._rows = FixRows(source)
        self._reader = AdsbReader(source)
        self._clock = ReceiverClock(source.receiver_clock)

    def decode(self, data: bytes, received_t_ns: int) -> Decoded:
        """Return the fixes in the bytes (contract `Decoder`)."""
        self._reader.read(self._timed(data, received_t_ns), self._rows, self._refusals)
        return Decoded(self._rows.take(received_t_ns, self._refusals), self._refusals.take(received_t_ns))

    def _timed(self, data: bytes, received_t_ns: int) -> list[tuple[int, bytes]]:
        raise NotImplementedError


class BeastDecoder(_ModesDecoder):
    """Beast binary (`framing.BeastSplitter`)."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._splitter = BeastSplitter()

    def _timed(self, data: bytes, received_t_ns: int) -> list[tuple[int, bytes]]:
        frames = self._splitter.feed(data, self._refusals)
        return [(self._clock.t_ns(frame.ticks, received_t_ns), frame.message) for frame in frames]

    def finish(self, t_ns: int) -> Decoded:
        """Say that the recording is at its end; a frame that is cut there is counted."""
        self._splitter.finish(self._refusals)
        return Decoded((), self._refusals.take(t_ns))


class AvrDecoder(_ModesDecoder):
    """AVR text: `*HEX;` without and `@TICKS HEX;` with the receiver's counter, one frame a line."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._splitter = LineSplitter(AVR_LINE_BYTES_MAX)

    def _timed(self, data: bytes, received_t_ns: int) -> list[tuple[int, bytes]]:
        timed: list[tuple[int, bytes]] = []
        for offset, text in self._splitter.feed(data, self._refusals):
            match = _AVR.fullmatch(text.strip())
            if match is None:
                self._refusals.add("syntax-bad", offset, len(text))
                continue
            ticks, frame = match.groups()
            t_ns = received_t_ns if ticks is None else self._clock.t_ns(int(ticks, 16), received_t_ns)
            timed.append((t_ns, bytes.fromhex(frame.decode("ascii"))))
        return timed


class _FrameLine(Struct):
    """The two fields of a line that are used; whatever another decoder has added is left aside."""

    timestamp: float
    frame: str


class ModesJsonlDecoder(_ModesDecoder):
    """JSON lines with `timestamp` (seconds since 1970, UTC) and `frame` (hexadecimal)."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._splitter = LineSplitter(JSON_LINE_BYTES_MAX)
        self._json = msgspec.json.Decoder(_FrameLine)

    def _timed(self, data: bytes, received_t_ns: int) -> list[tuple[int, bytes]]:
        del received_t_ns  # the lines carry their own times; `rows` holds them against the receipt
        timed: list[tuple[int, bytes]] = []
        for offset, text in self._splitter.feed(data, self._refusals):
            try:
                line = self._json.decode(text)
                timed.append((round(line.timestamp * 1e9), bytes.fromhex(line.frame)))
            except (msgspec.DecodeError, ValueError, OverflowError):
                self._refusals.add("syntax-bad", offset, len(text))
        return timed
