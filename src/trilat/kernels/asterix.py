"""Walk ASTERIX blocks and read bit fields out of them, driven by compiled layout arrays (`feeds/asterix_layout.py`).

Nothing here knows an item: `nodes` rows are kind, slot, size, flag, first child, number of children; row 0 is the record.
"""

from typing import Any

import numpy as np
from numba import njit

Array = np.ndarray[Any, Any]

FIXED, EXTENDED, REPEATED, REPEATED_FX, COMPOUND, EXPLICIT = range(6)

# What a walk can stumble over; negative, because a good position is never negative.
CUT = -1  # an item needs octets beyond the end of the block
FSPEC_LONG = -2  # FSPEC has more octets than the profile
SPARE = -3  # FSPEC names a spare bit
FX_SET = -4  # an extended item goes on after the last part of this edition
LEN_ZERO = -5  # an explicit item whose LEN does not even count itself
NOTHING = -6  # a record without any item
FULL = -7  # more records than the arrays hold: call again with larger ones

BLOCK_LENGTH = -1  # LEN below the header's own three octets, or beyond the end of the frame


@njit(cache=True, inline="always")
def _octet(data: Array, at: int) -> Any:
    """Return an octet as a signed number: an unsigned one added to a position would make numba go to floats."""
    return np.int64(data[at])


@njit(cache=True)
def split_blocks(data: Array, frames: Array, blocks: Array, errors: Array) -> tuple[int, int]:
    """Cut frames into data blocks (CAT, LEN over two octets, records).

    data uint8 (n,); frames int64 (f, 2) = begin, end: each a datagram or a whole file. Fills blocks int64 (b, 4) = category,
    first octet of the records, end, frame; and errors int64 (f, 3) = offset, octets left unread, frame. Returns both counts.
    """
    n_blocks = 0
    n_errors = 0
    for frame in range(len(frames)):
        at = frames[frame, 0]
        end = frames[frame, 1]
        while at < end:
            length = 0
            if end - at >= 3:
                length = (_octet(data, at + 1) << 8) | _octet(data, at + 2)
            if length < 3 or at + length > end:
                errors[n_errors, 0] = at
                errors[n_errors, 1] = end - at
                errors[n_errors, 2] = frame
                n_errors += 1
                break
            blocks[n_blocks, 0] = data[at]
            blocks[n_blocks, 1] = at + 3
            blocks[n_blocks, 2] = at + length
            blocks[n_blocks, 3] = frame
            n_blocks += 1
            at += length
    return n_blocks, n_errors


@njit(cache=True, inline="always")
def _read_fspec(data: Array, at: int, end: int, octets_max: int) -> int:
    """Return the position behind an FSPEC, or why there is none."""
    count = 0
    while True:
        if at >= end:
            return CUT
        count += 1
        if count > octets_max:
            return FSPEC_LONG
        at += 1
        if data[at - 1] & 1 == 0:
            return at


@njit(cache=True)
def _walk_extended(data: Array, at: int, end: int, node: Array, children: Array, row: Array) -> int:
    """Step over the parts of an extended item, as long as FX says that another one follows."""
    parts = node[5]
    for part in range(parts):
        row[node[1] + part] = at
        at += children[node[4] + part]
        if at > end:
            return CUT
        without_fx = part == parts - 1 and node[3] == 0
        if without_fx or data[at - 1] & 1 == 0:
            return at
    return FX_SET


@njit(cache=True)
def _walk_repeated_fx(data: Array, at: int, end: int, node: Array, row: Array) -> int:
    """Step over elements that each end with FX; their number goes to the second slot."""
    count = 0
    while True:
        at += node[2]
        count += 1
        if at > end:
            return CUT
        if data[at - 1] & 1 == 0:
            row[node[1] + 1] = count
            return at


@njit(cache=True)
def _walk_plain(data: Array, at: int, end: int, node: Array, children: Array, row: Array) -> int:
    """Step over one item that is not compound; note its offsets in `row`. Returns the position behind it, or an error."""
    kind = node[0]
    slot = node[1]
    row[slot] = at
    if kind == EXTENDED:
        return _walk_extended(data, at, end, node, children, row)
    if kind == REPEATED_FX:
        return _walk_repeated_fx(data, at, end, node, row)
    if kind == FIXED:
        at += node[2]
    elif at >= end:
        return CUT
    elif kind == REPEATED:
        row[slot] = at + 1
        row[slot + 1] = _octet(data, at)
        at += 1 + _octet(data, at) * node[2]
    elif data[at] == 0:  # explicit
        return LEN_ZERO
    else:
        at += _octet(data, at)
    return at if at <= end else CUT


@njit(cache=True)
def _walk_compound(data: Array, at: int, end: int, number: int, nodes: Array, children: Array, row: Array) -> int:
    """Step over one compound item: its own FSPEC, then its subitems, none of which is compound itself."""
    node = nodes[number]
    row[node[1]] = at
    fspec = at
    at = _read_fspec(data, at, end, node[2])
    if at < 0:
        return at
    index = 0
    for octet in range(fspec, at):
        for bit in range(7, 0, -1):
            if data[octet] >> bit & 1:
                child = children[node[4] + index] if index < node[5] else -1
                if child < 0:
                    return SPARE
                at = _walk_plain(data, at, end, nodes[child], children, row)
                if at < 0:
                    return at
            index += 1
    return at


@njit(cache=True)
def _walk_record(data: Array, at: int, end: int, nodes: Array, children: Array, row: Array) -> int:
    """Step over one record; the offsets of what it holds go to `row`. Returns the position behind it, or an error."""
    record = nodes[0]
    fspec = at
    at = _read_fspec(data, at, end, record[2])
    if at < 0:
        return at
    index = 0
    items = 0
    for octet in range(fspec, at):
        for bit in range(7, 0, -1):
            if data[octet] >> bit & 1:
                child = children[record[4] + index] if index < record[5] else -1
                if child < 0:
                    return SPARE
                items += 1
                if nodes[child, 0] == COMPOUND:
                    at = _walk_compound(data, at, end, child, nodes, children, row)
                else:
                    at = _walk_plain(data, at, end, nodes[child], children, row)
                if at < 0:
                    return at
            index += 1
    return at if items else NOTHING


@njit(cache=True)
def walk_blocks(
    data: Array, blocks: Array, category: int, nodes: Array, children: Array, rows: Array, records: Array, errors: Array
) -> tuple[int, int]:
    """Find every record of one category and the offset of everything in it.

    data uint8; blocks int64 (b, 4) of `split_blocks`. Fills rows int32 (r, slots): offset of each slot, -1 where absent;
    records int64 (r, 4) = block, first octet, end, frame; errors int64 (b, 3) = block, error, octet of the bad record.
    A block with one record that does not fit gives none: its LEN says that records fill it exactly, so they were
    misread (wrong edition) or damaged. Returns the counts of records and errors; the first is FULL when `rows` is too short.
    """
    n = 0
    n_errors = 0
    for block in range(len(blocks)):
        if blocks[block, 0] != category:
            continue
        at = blocks[block, 1]
        end = blocks[block, 2]
        first = n
        error = 0 if at < end else NOTHING
        begin = at
        while at < end:
            if n == len(rows):
                return FULL, 0
            rows[n, :] = -1
            begin = at
            at = _walk_record(data, begin, end, nodes, children, rows[n])
            if at < 0:
                error = at
                break
            records[n, 0] = block
            records[n, 1] = begin
            records[n, 2] = at
            records[n, 3] = blocks[block, 3]
            n += 1
        if error < 0:
            n = first
            errors[n_errors, 0] = block
            errors[n_errors, 1] = error
            errors[n_errors, 2] = begin
            n_errors += 1
    return n, n_errors


@njit(cache=True, inline="always")
def _read_bits(data: Array, offset: int, bit: int, bits: int) -> np.uint64:
    """Return `bits` bits (at most 64, within eight octets) that begin `bit` bits behind an octet."""
    first = offset + (bit >> 3)
    lead = bit & 7
    octets = (lead + bits + 7) >> 3
    value = np.uint64(0)
    for k in range(octets):
        value = (value << np.uint64(8)) | np.uint64(data[first + k])
    value >>= np.uint64(octets * 8 - lead - bits)
    if bits < 64:
        value &= (np.uint64(1) << np.uint64(bits)) - np.uint64(1)
    return value


@njit(cache=True)
def gather_raw(data: Array, rows: Array, slot: int, bit: int, bits: int, out: Array) -> None:
    """Read one field of every record (its offset in `rows`, -1 = absent) into `out` uint64; 0 where absent."""
    for r in range(len(rows)):
        out[r] = _read_bits(data, rows[r, slot], bit, bits) if rows[r, slot] >= 0 else np.uint64(0)


@njit(cache=True)
def gather_values(
    data: Array, rows: Array, slots: Array, bit: Array, bits: Array, signed: Array, scale: Array, out: Array
) -> None:
    """Read many fields of every record, scaled to their units: out float64 (fields, records), NaN where absent.

    Unsigned fields above 53 bits lose their last bits (only opaque register contents are that long; use `gather_raw`).
    """
    for f in range(len(slots)):
        slot = slots[f]
        b = bit[f]
        size = bits[f]
        factor = scale[f]
        half = np.int64(1) << np.int64(min(size, 62) - 1)
        for r in range(len(rows)):
            offset = rows[r, slot]
            if offset < 0:
                out[f, r] = np.nan
                continue
            raw = _read_bits(data, offset, b, size)
            if signed[f]:
                number = np.int64(raw)
                if number >= half:
                    number -= 2 * half
                out[f, r] = number * factor
            else:
                out[f, r] = raw * factor


@njit(cache=True)
def expand_repeats(rows: Array, slot: int, size: int, offsets: Array, owner: Array) -> int:
    """List every element of a repetitive item: its offset, int32 (m, 1), and the record it belongs to, int64 (m,).

    Counts only when `offsets` is empty. Returns how many there are.
    """
    n = 0
    for r in range(len(rows)):
        first = rows[r, slot]
        if first < 0:
            continue
        for k in range(rows[r, slot + 1]):
            if len(offsets) > 0:
                offsets[n, 0] = first + k * size
                owner[n] = r
            n += 1
    return n


@njit(cache=True)
def gather_six_bit(data: Array, rows: Array, slot: int, bit: int, clean: bool, out: Array, good: Array) -> None:  # noqa: FBT001 - numba takes no keyword-only arguments
    """Read 6-bit characters (ICAO Annex 10 vol. IV, 3.1.2.9.1.2) of every record as ASCII: out uint8 (n, characters).

    Codes without a character become NUL and make `good` (bool) False; so do absent texts (offset -1). With `clean`, spaces at
    the end become NUL, and a text with a bad code is NUL throughout.
    """
    characters = out.shape[1]
    for r in range(len(rows)):
        out[r, :] = 0
        good[r] = rows[r, slot] >= 0
        if not good[r]:
            continue
        raw = _read_bits(data, rows[r, slot], bit, 6 * characters)
        ends = clean
        for c in range(characters - 1, -1, -1):
            code = np.int64(raw >> np.uint64(6 * (characters - 1 - c))) & 63
            if code == 32:
                out[r, c] = 0 if ends else 32
                continue
            ends = False
            if 1 <= code <= 26:
                out[r, c] = code + 64
            elif 48 <= code <= 57:
                out[r, c] = code
            else:
                good[r] = False
        if clean and not good[r]:
            out[r, :] = 0
