"""Tables of fixes as feeds: CSV, and JSON as lines, as an array of objects, or as one object of columns."""

import codecs
import csv
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from trilat.feeds.fix_table import FixTable, columns_of
from trilat.feeds.framing import LineSplitter
from trilat.feeds.rows import FixRows
from trilat.feeds.source import NOT_KNOWN_T_NS, Decoded, Decoder, Refusals, Source, merge_refused, refuse_simulated

ROW_BYTES_MAX = 65_536
# An object of columns (pandas' default) must be whole before its first row is known; larger ones are refused. On a feed the
# bound is lower: all of it is read in one step of the node.
DOCUMENT_BYTES_MAX = 64 * 1024 * 1024
FEED_DOCUMENT_BYTES_MAX = 4 * 1024 * 1024
# An unfinished document is looked at again and again, but for no more than so many characters beside a few times its own.
LOOKED_AT_MAX = 1 << 20
LOOKS_MAX = 4
_BETWEEN = re.compile(r"[\s,\[\]]*")
_COLUMNAR = re.compile(r'\{\s*"[^"]{1,64}"\s*:\s*\{')
# Where the next row begins behind one that cannot be read.
_NEXT_ROW = re.compile(r"(?:\n\s*|\}\s*,\s*)(?=\{)")


class _FixesDecoder(Decoder):
    """What both share: the table, the rows, and the mode's rule on simulated reports."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._refusals = Refusals(source.name)
        self._rows = FixRows(source)
        self._table = FixTable(source)

    def decode(self, data: bytes, received_t_ns: int) -> Decoded:
        """Return the fixes in the bytes (contract `Decoder`)."""
        self._read(data)
        batches = refuse_simulated(self._source, self._rows.take(received_t_ns, self._refusals), self._refusals)
        return Decoded(batches, self._refusals.take(received_t_ns))

    def finish(self, t_ns: int) -> Decoded:
        """Say that no more bytes come: a row that lacks its end is counted as `truncated` (a last line needs no end)."""
        decoded = self.decode(b"\n", t_ns)
        if left := self._left():
            self._refusals.add("truncated", length=left, detail="the table ends in the middle of a row")
        return Decoded(decoded.batches, merge_refused((*decoded.refused, *self._refusals.take(t_ns))))

    def _read(self, data: bytes) -> None:
        raise NotImplementedError

    def _left(self) -> int:
        """Return how much is left of an unfinished row, and forget it."""
        return 0


class FixesCsvDecoder(_FixesDecoder):
    """CSV with a header line (or the header of the column map), one row a line."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._lines = LineSplitter(ROW_BYTES_MAX)
        self._header = list(columns_of(source).header)

    def _read(self, data: bytes) -> None:
        for offset, text in self._lines.feed(data, self._refusals):
            try:
                cells = next(csv.reader([text.decode("utf-8-sig", "replace")], strict=True), [])
            except csv.Error as error:
                self._refusals.add("syntax-bad", offset, len(text), str(error))
                continue
            if not self._header:
                self._header = [cell.strip() for cell in cells]
            elif cells != self._header:
                self._table.add(dict(zip(self._header, cells, strict=False)), offset, self._rows, self._refusals)


class FixesJsonDecoder(_FixesDecoder):
    """JSON objects in a row, on lines or in an array; or one object of columns. A row has at most `ROW_BYTES_MAX`."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._json = json.JSONDecoder()
        self._documents_max = DOCUMENT_BYTES_MAX if source.mode.kind == "replay" else FEED_DOCUMENT_BYTES_MAX
        self._parts: list[str] = []  # what came since the last look
        self._size = 0  # of all of them
        self._text = ""
        self._offset = 0  # characters before `_text`
        self._retry_at = 0  # with so many characters there is a look in any case
        self._looked_at = 0  # characters, in all looks at the document that is not finished yet
        self._columnar = False
        # Where rows go: into the table, unless a replay wants them as they are.
        self.take_row: Callable[[dict[str, Any], int], None] = self._add_row

    def _read(self, data: bytes) -> None:
        part = self._utf8.decode(data)
        self._parts.append(part)
        self._size += len(part)
        ends = part.rstrip().endswith(("}", "]")) if self._columnar else "}" in part
        if self._size >= self._retry_at or (ends and self._looked_at <= LOOKED_AT_MAX + LOOKS_MAX * self._size):
            self._look()

    def _look(self) -> None:
        """Read what is whole, and keep the rest."""
        self._text = "".join(self._parts)
        self._looked_at += self._size
        self._retry_at, self._columnar = 0, False
        place = self._documents()
        if place:
            self._looked_at = 0
        rest = self._text[place:]
        self._parts, self._size, self._offset, self._text = [rest], len(rest), self._offset + place, ""

    def _left(self) -> int:
        self._look()
        left, self._parts, self._size = len(self._parts[0].strip(" \t\r\n,[]")), [], 0
        return left

    def _documents(self) -> int:
        """Read every whole document; return where the first unfinished one begins."""
        text, place = self._text, 0
        while True:
            place = _between(text, place)
            if place == len(text):
                return place
            if text[place] != "{":
                place = self._skip(place, text.find("{", place))
                continue
            try:
                document, end = self._json.raw_decode(text, place)
            except (ValueError, RecursionError):  # a number of more than 4,300 digits is no JSONDecodeError
                further = self._unfinished(place)
                if further is None:
                    return place
                place = further
                continue
            self._take(document, self._offset + place)
            place = end

    def _unfinished(self, place: int) -> int | None:
        """Return where to go on behind a document that cannot be read; None when more bytes may still complete it."""
        columnar = _COLUMNAR.match(self._text, place) is not None
        bound = self._documents_max if columnar else ROW_BYTES_MAX
        following = _NEXT_ROW.search(self._text, place)
        if following is not None:
            return self._skip(place, following.end())
        left = len(self._text) - place
        if left < bound:
            self._retry_at, self._columnar = min(2 * left, bound), columnar
            return None
        return self._skip(place, len(self._text))

    def _skip(self, place: int, to: int) -> int:
        """Count what cannot be read and return where to go on; `to` is -1 when nothing follows."""
        to = len(self._text) if to < 0 else to
        self._refusals.add("syntax-bad", self._offset + place, to - place)
        return to

    def _add_row(self, row: dict[str, Any], offset: int) -> None:
        self._table.add(row, offset, self._rows, self._refusals)

    def _take(self, document: dict[str, Any], offset: int) -> None:
        """Take one object: a row, or columns of rows by the same keys."""
        if document and all(isinstance(column, dict) for column in document.values()):
            keys: dict[str, None] = {}
            for column in document.values():
                keys.update(dict.fromkeys(column))
            for key in keys:
                self.take_row({name: column.get(key) for name, column in document.items()}, offset)
            return
        self.take_row(document, offset)


def _between(text: str, place: int) -> int:
    """Return the place of the first character that is not white space or an array's punctuation."""
    match = _BETWEEN.match(text, place)
    return place if match is None else match.end()


def csv_rows(source: Source, data: bytes) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Give each row of a CSV table as a mapping and as bytes that stand alone: its header line and itself."""
    header = list(columns_of(source).header)
    first = b""
    for text in data.splitlines():
        try:
            cells = next(csv.reader([text.decode("utf-8-sig", "replace")], strict=True), [])
        except csv.Error:
            continue
        if not header:
            header, first = [cell.strip() for cell in cells], text + b"\n"
        elif cells and cells != header:
            yield dict(zip(header, cells, strict=False)), first + text + b"\n"


def json_rows(source: Source, data: bytes) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Give each row of a JSON table as a mapping and as a JSON line."""
    rows: list[dict[str, Any]] = []
    decoder = FixesJsonDecoder(source)
    decoder.take_row = lambda row, _offset: rows.append(row)
    decoder.decode(data, NOT_KNOWN_T_NS)
    for row in rows:
        yield row, msgspec.json.encode(row) + b"\n"
