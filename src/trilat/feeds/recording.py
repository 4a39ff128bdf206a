"""Recordings: a file's bytes into pieces with the time at which each was recorded, for decoding off line and for replay.

Where a file says when a piece came in (captures, timestamped lines, tag blocks, receivers' counters), that is taken; where it
does not, time begins at `start_t_ns` and follows what is inside: the UTC seconds of AIS reports, the time of day of ASTERIX.
"""

import re
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec.structs import replace

from trilat.feeds.asterix_layout import categories
from trilat.feeds.framing import LineSplitter, beast_frames, beast_ticks
from trilat.feeds.payloads import PayloadReader
from trilat.feeds.pcap import T_NS_MAX, CaptureReader, is_capture
from trilat.feeds.source import DAY_NS, NOT_KNOWN_T_NS, Format, Refusals, Source, whole_lines
from trilat.records.report import Refused

SECOND_NS = 1_000_000_000
# Lines whose times lie this close together travel as one piece.
GROUP_NS = SECOND_NS // 10
GROUP_BYTES_MAX = 32_768
LINE_BYTES_MAX = 60_000
INFLATED_BYTES_MAX = 1 << 20  # of one call of the decompressor, so that a small file cannot fill the memory at once
_TIMESTAMP = re.compile(rb'"timestamp"\s*:\s*(\d{1,12}(?:\.\d{1,9})?)')
_T_NS = re.compile(rb'"t_ns"\s*:\s*(\d{1,19})')
_TAG_TIME = re.compile(rb"^\\[^\\]{0,300}\bc:(\d{1,13})")
_AIS = re.compile(rb"![A-Z]{2}VD[MO],1,1,[^,]?,[^,]?,([0-W`-w]{28})")
_AVR_TICKS = re.compile(rb"@([0-9A-Fa-f]{12})")
# What stands in every line of a format of JSON lines; other JSON is a table of fixes.
_JSON_MARKS: dict[Format, tuple[bytes, ...]] = {
    "modes-jsonl": (b'"frame"', b'"timestamp"'),
    "sights-jsonl": (b'"observer_ecef_m"', b'"direction_ecef"'),
    "plots-json": (b'"t_ns"', b'"azimuth_deg"'),
}
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")  # what no text holds
GZIP = b"\x1f\x8b"
HEAD_BYTES = 4  # what tells a capture


class Piece(NamedTuple):
    """Bytes for a decoder, and when they were recorded (`NOT_KNOWN_T_NS` where only the reports inside tell)."""

    t_ns: int
    data: bytes


def guess_format(head: bytes) -> Format:
    """Return the format that a recording's first (inflated) bytes look like; what looks like no other is ASTERIX."""
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t")
    first = text.split(b"\n", 1)[0]
    if re.match(rb"(\\[^\\]*\\)?[!$][A-Z]{2,5}", text) or (first.startswith(b"#") and re.search(rb"\n!..VD[MO],", text)):
        return "ais"
    if first.startswith((b"{", b"[")):
        return next((name for name, marks in _JSON_MARKS.items() if all(mark in first for mark in marks)), "fixes-json")
    if re.match(rb"[*@][0-9A-Fa-f]{14,42};", text):
        return "avr"
    if re.match(rb"\x1a[1-4]", head):
        return "beast"
    if first.count(b",") >= 2 and all(32 <= byte < 127 or byte in b"\r\t" for byte in first):
        return "fixes-csv"
    return "asterix"


def looks_like_asterix(head: bytes) -> bool:
    """Tell whether first (inflated) bytes can be ASTERIX, in a capture or bare: binary, and a data block at their begin.

    That is a category of ours, or two blocks by their lengths (SPEC-0149, 5.2), or blocks to the very end.
    """
    if is_capture(head):
        return True
    size = int.from_bytes(head[1:3], "big")
    if size < 3 or not _CONTROL.search(head):
        return False
    blocks, rest = asterix_blocks(head)
    whole = [block for block in blocks if int.from_bytes(block[1:3], "big") == len(block)]
    return head[0] in categories() or (len(whole) == len(blocks) and (len(whole) > 1 or not rest))


class Inflater:
    """Takes the gzip layer off a stream, if it has one; other bytes pass."""

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals
        self._gzip: Any = None
        self._begun = False
        self._open = False  # in the middle of a gzip stream
        self._head = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the inflated bytes in pieces of at most `INFLATED_BYTES_MAX`; a damaged rest is counted as `syntax-bad`."""
        if not self._begun:
            data, self._head = self._head + data, b""
            if len(data) < len(GZIP) and GZIP.startswith(data):
                self._head = data
                return []
            self._begun = True
            self._gzip = zlib.decompressobj(wbits=31) if data[:2] == GZIP else None
        if self._gzip is None:
            return [data] if data else []
        pieces: list[bytes] = []
        while data:
            self._open = True
            try:
                pieces.append(self._gzip.decompress(data, INFLATED_BYTES_MAX))
            except zlib.error as error:
                self._refusals.add("syntax-bad", length=len(data), detail=f"gzip: {error}")
                self._open = False
                break
            data = self._gzip.unconsumed_tail
            if self._gzip.eof:
                data = self._gzip.unused_data
                self._gzip = zlib.decompressobj(wbits=31)
                self._open = False
        return [piece for piece in pieces if piece]

    def finish(self) -> None:
        """Say that the file is at its end: a stream that goes on there is counted as `truncated`."""
        if self._open:
            self._refusals.add("truncated", detail="gzip: the file ends before its stream does")


class LinePieces:
    """Groups the lines of a recording by time. `time_of(line, previous)` says when a line was recorded."""

    def __init__(self, start_t_ns: int, time_of: Callable[[bytes, int], int]) -> None:
        self._lines = LineSplitter(LINE_BYTES_MAX)
        self._time_of = time_of
        self._t_ns = start_t_ns
        self._begun_t_ns = start_t_ns
        self._group: list[bytes] = []
        self._group_bytes = 0

    def feed(self, data: bytes, refusals: Refusals) -> list[Piece]:
        """Return the groups that became complete."""
        pieces: list[Piece] = []
        for _, text in self._lines.feed(data, refusals):
            self._add(text, pieces)
        return pieces

    def finish(self) -> list[Piece]:
        """Return the last group, with the last line even if it lacks its end."""
        pieces: list[Piece] = []
        last = self._lines.finish()
        if last is not None:
            self._add(last.text, pieces)
        self._flush(pieces)
        return pieces

    def _add(self, text: bytes, pieces: list[Piece]) -> None:
        t_ns = min(self._time_of(text, self._t_ns), T_NS_MAX)  # a later one is none that can be sent on
        if self._group and (abs(t_ns - self._begun_t_ns) > GROUP_NS or self._group_bytes + len(text) > GROUP_BYTES_MAX):
            self._flush(pieces)
        if not self._group:
            self._begun_t_ns = t_ns
        self._group.append(text)
        self._group_bytes += len(text) + 1
        self._t_ns = t_ns

    def _flush(self, pieces: list[Piece]) -> None:
        if self._group:
            pieces.append(Piece(self._t_ns, b"\n".join(self._group) + b"\n"))
        self._group = []


def time_of_json_line(text: bytes, previous_t_ns: int) -> int:
    """Return the `timestamp` of a line, in nanoseconds."""
    match = _TIMESTAMP.search(text)
    return previous_t_ns if match is None else round(float(match[1]) * 1e9)


def time_of_nmea_line(text: bytes, previous_t_ns: int) -> int:
    """Return the time of a tag block; else time goes on to the UTC second inside a position report (types 1-3, 9, 18)."""
    tag = _TAG_TIME.match(text)
    if tag is not None:
        number = int(tag[1])
        return number * SECOND_NS if number < 10**11 else number * 1_000_000
    report = _AIS.search(text)
    if report is None:
        return previous_t_ns
    bits = 0
    for character in report[1]:
        bits = bits << 6 | (character - 48 if character < 88 else character - 56)
    kind = bits >> 162
    second = {1: bits >> 25, 2: bits >> 25, 3: bits >> 25, 9: bits >> 34, 18: bits >> 29}.get(kind, 63) & 63
    ahead = (second - previous_t_ns // SECOND_NS) % 60
    return previous_t_ns + ahead * SECOND_NS if second < 60 and ahead <= 10 else previous_t_ns


def time_of_plot_line(text: bytes, previous_t_ns: int) -> int:
    """Return the `t_ns` of a line."""
    match = _T_NS.search(text)
    return previous_t_ns if match is None else int(match[1])


# Formats whose lines tell when they were recorded.
LINE_TIMES: dict[str, Callable[[bytes, int], int]] = {
    "modes-jsonl": time_of_json_line,
    "sights-jsonl": time_of_json_line,
    "plots-json": time_of_plot_line,
    "ais": time_of_nmea_line,
}


class CounterTime:
    """Follows a receiver's 12 MHz counter from a start; a step back or of more than an hour keeps the time before."""

    def __init__(self, start_t_ns: int) -> None:
        self._t_ns = start_t_ns
        self._ticks: int | None = None

    def at(self, ticks: int) -> int:
        """Return the time of a counter value, in nanoseconds."""
        step = 0 if self._ticks is None else ticks - self._ticks
        self._ticks = ticks
        if 0 < step < 3_600 * 12_000_000:
            self._t_ns += step * 1_000 // 12
        return self._t_ns

    def at_line(self, text: bytes, previous_t_ns: int) -> int:
        """Return the time of an AVR line that begins with the counter."""
        match = _AVR_TICKS.match(text)
        return previous_t_ns if match is None else self.at(int(match[1], 16))


def asterix_blocks(data: bytes) -> tuple[list[bytes], bytes]:
    """Cut raw ASTERIX into data blocks by their lengths (EUROCONTROL SPEC-0149, 5.2); return them and the rest."""
    blocks: list[bytes] = []
    place = 0
    while len(data) - place >= 3:
        size = int.from_bytes(data[place + 1 : place + 3], "big")
        if size < 3:
            return [*blocks, data[place:]], b""
        if place + size > len(data):
            break
        blocks.append(data[place : place + size])
        place += size
    return blocks, data[place:]


class FramePieces:
    """Groups whole messages that follow one another without lines: `cut(bytes) -> (messages, rest)`, `time_of(message)`."""

    def __init__(
        self, cut: Callable[[bytes], tuple[list[bytes], bytes]], time_of: Callable[[bytes], int], *, alone: bool
    ) -> None:
        self._cut = cut
        self._time_of = time_of
        self._alone = alone
        self._rest = b""

    def feed(self, data: bytes, refusals: Refusals) -> list[Piece]:
        """Return the messages that became complete: each alone (a datagram), or joined while their times are close."""
        del refusals  # the decoder counts what it cannot read
        messages, self._rest = self._cut(self._rest + data)
        pieces: list[Piece] = []
        for message in messages:
            t_ns = self._time_of(message)
            last = pieces[-1] if pieces else None
            if last is not None and not self._alone and t_ns - last.t_ns <= GROUP_NS and len(last.data) < GROUP_BYTES_MAX:
                pieces[-1] = Piece(last.t_ns, last.data + message)
            else:
                pieces.append(Piece(t_ns, message))
        return pieces

    def finish(self) -> list[Piece]:
        """Return what is left: a message without its end, for the decoder to count."""
        rest, self._rest = self._rest, b""
        return [Piece(self._time_of(b""), rest)] if rest else []


class CapturePieces:
    """The payloads of a capture file, each at its capture time."""

    def __init__(self, format_name: str) -> None:
        self._format = format_name
        self._capture = CaptureReader()
        self._payloads = PayloadReader()

    def feed(self, data: bytes, refusals: Refusals) -> list[Piece]:
        """Return the payloads of the packets that became complete."""
        return [
            Piece(payload.t_ns, whole_lines(self._format, payload.data) if payload.datagram else payload.data)
            for packet in self._capture.feed(data, refusals)
            for payload in self._payloads.read(packet, refusals)
        ]

    def end(self, refusals: Refusals) -> None:
        """Count a packet that the end of the file cuts."""
        self._capture.finish(refusals)


class _Whole:
    """Bytes whose reports tell their own times: passed as they are (tables of fixes)."""

    def feed(self, data: bytes, refusals: Refusals) -> list[Piece]:
        """Return the bytes as one piece without a time."""
        del refusals
        return [Piece(NOT_KNOWN_T_NS, data)] if data else []

    def finish(self) -> list[Piece]:
        """Return a line end: the last line may lack it, and an empty one is nothing."""
        return [Piece(NOT_KNOWN_T_NS, b"\n")]


class RecordingReader:
    """Reads one recording fed in pieces of a file: gzip and captures are found by their first bytes."""

    def __init__(self, source: Source, start_t_ns: int = 0) -> None:
        self._source = source
        self._start_t_ns = start_t_ns
        self._refusals = Refusals(source.name)
        self._inflater = Inflater(self._refusals)
        self._pieces: LinePieces | FramePieces | CapturePieces | _Whole | None = None
        self._head = b""

    def feed(self, data: bytes) -> list[Piece]:
        """Return the pieces that became complete, in the order of the file."""
        pieces: list[Piece] = []
        for each in self._inflater.feed(data):
            inflated = each
            if self._pieces is None:
                self._head += inflated
                if len(self._head) < HEAD_BYTES:
                    continue
                self._pieces, inflated = self._open(self._head), self._head
            pieces.extend(self._pieces.feed(inflated, self._refusals))
        return pieces

    def finish(self) -> list[Piece]:
        """Return what was left when the file ended."""
        pieces: list[Piece] = []
        self._inflater.finish()
        if self._pieces is None:
            self._pieces = self._open(self._head)
            pieces = self._pieces.feed(self._head, self._refusals)
        if isinstance(self._pieces, CapturePieces):
            self._pieces.end(self._refusals)
            return pieces
        return [*pieces, *self._pieces.finish()]

    def refused(self) -> tuple[Refused, ...]:
        """Return what could not be read of the file itself since the last call."""
        return self._refusals.take(self._start_t_ns)

    def _open(self, head: bytes) -> "LinePieces | FramePieces | CapturePieces | _Whole":
        """Return the way to cut this recording."""
        if is_capture(head):
            return CapturePieces(self._source.format)
        start, counter = self._start_t_ns, CounterTime(self._start_t_ns)
        lines = {"avr": counter.at_line, **LINE_TIMES}.get(self._source.format)
        if lines is not None:
            return LinePieces(start, lines)
        if self._source.format == "beast":
            return FramePieces(beast_frames, lambda raw: counter.at(beast_ticks(raw)), alone=False)
        if self._source.format == "asterix":
            return FramePieces(asterix_blocks, AsterixTime(self._source, start).at, alone=True)
        return _Whole()


class AsterixTime:
    """The time of raw ASTERIX blocks: the time of day inside, on the day the recording is said to begin."""

    def __init__(self, source: Source, start_t_ns: int) -> None:
        from trilat.feeds.registry import open_format  # noqa: PLC0415 - the registry opens formats, and this asks one of them

        self._decoder = open_format(replace(source, clock_error_s_max=DAY_NS / 2e9))
        self._t_ns = start_t_ns // DAY_NS * DAY_NS + DAY_NS // 2
        self._start_t_ns = start_t_ns
        self._known = False

    def at(self, block: bytes) -> int:
        """Return the latest time of a block's reports; a block without any came when the one before came."""
        batches = self._decoder.decode(block, self._t_ns).batches if block else ()
        times = [int(batch.columns["t_ns"].max()) for batch in batches if len(batch.columns)]
        if times:
            self._t_ns, self._known = max(times), True
        return self._t_ns if self._known else self._start_t_ns


def table_rows(source: Source, pieces: list[Piece]) -> list[Piece]:
    """Return the rows of a table of fixes, each a piece of its own at its own time, in order of time (for replay).

    JSON rows become JSON lines; CSV rows carry their header with them, so that any of them can be the first. Rows without a
    time that can be read are left out: they give no report either.
    """
    from trilat.feeds.fix_table import FixTable  # noqa: PLC0415 - only a replay of a table needs it
    from trilat.feeds.fixes import csv_rows, json_rows  # noqa: PLC0415 - as above

    table = FixTable(source)
    data = b"".join(piece.data for piece in pieces)
    rows = csv_rows(source, data) if source.format == "fixes-csv" else json_rows(source, data)
    timed = [Piece(t_ns, text) for row, text in rows if (t_ns := table.time_of(row)) is not None]
    return sorted(timed, key=lambda piece: piece.t_ns)
