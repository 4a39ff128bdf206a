"""Lines out of bytes that were cut anywhere, with a longest length: an endless line costs its bytes, never the memory."""

from typing import NamedTuple

from trilat.feeds.source import Refusals


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
