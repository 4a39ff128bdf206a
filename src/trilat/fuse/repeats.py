"""What a source said lately, kept small: whether a report's values came before under another time.

A recording played again says the same values under new times. Fifteen minutes of every report have to be remembered for that,
so values are kept as 64-bit codes in sorted blocks, 24 bytes a report; a block is forgotten when its newest are too old.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint64]
Stamps = NDArray[np.int64]
# How many blocks the horizon is cut into: what is forgotten late is at most one block's worth.
BLOCKS = 15
TOGETHER_NS = 3_000_000_000  # what is played again comes as it comes: stamps may be those of receipt
ROUND_NS = 1_000_000_000  # less than between two looks of a radar
STILL_DEG_S = 1e-5  # a metre a second
# Steele, Lea, Flood, Fast splittable pseudorandom number generators (2014): the mixing of SplitMix64.
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_STEP = np.uint64(0x9E3779B97F4A7C15)


def codes_of(values: NDArray[np.float64]) -> Codes:
    """Return a 64-bit code for each row of values (n, columns): equal rows, equal codes; NaN equals NaN, zero minus zero."""
    clean = np.where(np.isnan(values), np.nan, values + 0.0)
    words = np.ascontiguousarray(clean).view(np.uint64)
    place = np.arange(1, values.shape[1] + 1, dtype=np.uint64) * _STEP  # the same value elsewhere is another word
    return _mixed(_mixed(words ^ place).sum(axis=1, dtype=np.uint64))


def _mixed(code: Codes) -> Codes:
    code = (code ^ (code >> np.uint64(30))) * _MIX[0]
    code = (code ^ (code >> np.uint64(27))) * _MIX[1]
    return code ^ (code >> np.uint64(31))


class Places:
    """Where each number of a source was last: what lies still, though its reports tell no speed, is told by that."""

    def __init__(self, kept_max: int) -> None:
        self._kept_max = kept_max
        self._number, self._stamp = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._place = np.zeros((0, 2))

    def moved(self, number: Stamps, t_ns: Stamps, place_deg: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which of reports (n,) at places (n, 2) are of numbers that have moved; of new ones that is not known: no."""
        out = np.zeros(len(number), np.bool_)
        if len(self._number):
            at = np.minimum(np.searchsorted(self._number, number), len(self._number) - 1)
            known = self._number[at] == number
            elapsed_s = np.maximum(np.abs(t_ns - self._stamp[at]) * 1e-9, 1.0)
            away = np.abs(place_deg - self._place[at]).max(axis=1)
            out = known & (away > STILL_DEG_S * elapsed_s)
        numbers, stamps = np.r_[self._number, number], np.r_[self._stamp, t_ns]
        places = np.concatenate([self._place, place_deg])
        order = np.lexsort([stamps, numbers])
        last = order[np.r_[numbers[order][1:] != numbers[order][:-1], True]] if len(order) else order
        if len(last) > self._kept_max:  # those that were heard last
            last = np.sort(last[np.argsort(stamps[last], kind="stable")[-self._kept_max :]])
            last = last[np.argsort(numbers[last], kind="stable")]
        self._number, self._stamp, self._place = numbers[last], stamps[last], places[last]
        return out


def together(later_ns: Stamps) -> int:
    """Return how many of what came again (2, n) did so by the same time: what is played again does; still echoes do not.

    By how much later than first, for a recording played once, or than last, for a short one played round and round. A radar that
    tells range and azimuth in steps says the same of an anchored ship again and again, rightly.
    """
    first, last = (np.sort(one) for one in later_ns)
    return max(_within(first, TOGETHER_NS), _within(last, ROUND_NS))


def _within(ordered_ns: Stamps, span_ns: int) -> int:
    """Return how many of ordered times lie within a span at most."""
    return int((np.searchsorted(ordered_ns, ordered_ns + span_ns, side="right") - np.arange(len(ordered_ns))).max(initial=0))


class Repeats:
    """The codes of one source over the last `horizon_ns`, at most `kept_max` of them, each with the time it first came under."""

    def __init__(self, horizon_ns: int, kept_max: int) -> None:
        self._block_ns, self._kept_max = max(1, horizon_ns // BLOCKS), kept_max
        self._horizon_ns = horizon_ns
        # Number of the block's span of time, sorted codes, and the times that each came under first and last.
        self._blocks: list[tuple[int, Codes, Stamps, Stamps]] = []

    def __len__(self) -> int:
        """Return how many codes are kept."""
        return sum(len(codes) for _, codes, _, _ in self._blocks)

    def take(self, now_ns: int, codes: Codes, stamps_ns: Stamps) -> Stamps:
        """Take codes (n,) and times (n,) in order of receipt at now_ns; return of those that came again (2, m) by how much later.

        Later than under the first time, and than under the last one before this call.
        """
        self.forget(now_ns)
        new, came, group = np.unique(codes, return_index=True, return_inverse=True)
        first, last = stamps_ns[came], stamps_ns[came]
        unknown = np.ones(len(new), np.bool_)
        for _, held, begun, ended in self._blocks:
            at = np.minimum(np.searchsorted(held, new), len(held) - 1)
            found = held[at] == new
            first[found], last[found], unknown[found] = begun[at[found]], ended[at[found]], False
            ended[at[found]] = stamps_ns[came][found]
        self._keep(now_ns, new[unknown], first[unknown])
        later = np.stack([stamps_ns - first[group], stamps_ns - last[group]])
        return np.asarray(later[:, later[0] != 0])

    def forget(self, now_ns: int) -> None:
        """Forget the blocks that lie whole before the horizon."""
        oldest = (now_ns - self._horizon_ns) // self._block_ns
        while self._blocks and self._blocks[0][0] < oldest:
            del self._blocks[0]

    def _keep(self, now_ns: int, codes: Codes, stamps_ns: Stamps) -> None:
        """Put new codes, sorted, into the block of now, as far as there is room."""
        room = max(0, self._kept_max - len(self))
        codes, stamps_ns = codes[:room], stamps_ns[:room]
        if not len(codes):
            return
        number = now_ns // self._block_ns
        if not self._blocks or self._blocks[-1][0] != number:
            self._blocks.append((number, codes.copy(), stamps_ns.copy(), stamps_ns.copy()))
            return
        _, held, begun, ended = self._blocks[-1]
        at: Any = np.searchsorted(held, codes)
        begun, ended = np.insert(begun, at, stamps_ns), np.insert(ended, at, stamps_ns)
        self._blocks[-1] = (number, np.insert(held, at, codes), begun, ended)
