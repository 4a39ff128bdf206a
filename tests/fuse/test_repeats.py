"""What a source said lately: the compact memory says what a plain dictionary would."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trilat.fuse.repeats import BLOCKS, Repeats, codes_of

HORIZON_NS = BLOCKS * 1_000
VALUES = st.sampled_from([0.0, -0.0, 1.0, float("nan"), -7.25, 1e300])
STEPS = st.lists(
    st.tuples(st.integers(0, 4_000), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=12)), max_size=30
)


@given(STEPS, st.integers(1, 12))
def test_it_counts_what_a_dictionary_counts(steps: list[tuple[int, list[tuple[int, int]]]], kept_max: int) -> None:
    """For any reports at any times, within the bound of what is kept, the count of repeats is that of code -> first time."""
    kept, now_ns = Repeats(HORIZON_NS, 1_000), 0
    small = Repeats(HORIZON_NS, kept_max)
    plain: dict[int, tuple[int, int]] = {}
    for passed_ns, said in steps:
        now_ns += passed_ns
        oldest = now_ns // 1_000 - BLOCKS
        plain = {code: one for code, one in plain.items() if one[1] >= oldest}
        again = 0
        for code, stamp in said:
            first = plain.setdefault(code, (stamp, now_ns // 1_000))
            again += first[0] != stamp
        codes = np.array([code for code, _ in said], np.uint64)
        stamps = np.array([stamp for _, stamp in said], np.int64)

        assert again == kept.take(now_ns, codes, stamps).shape[1]
        assert len(plain) == len(kept)
        small.take(now_ns, codes, stamps)
        assert len(small) <= kept_max


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=20))
def test_equal_rows_have_equal_codes_and_others_do_not(rows: list[tuple[float, float]]) -> None:
    """Rows have one code exactly when their values are equal, where NaN is NaN and the two zeros are one."""
    codes = codes_of(np.array(rows))
    words = [tuple(repr(value + 0.0) for value in row) for row in rows]

    assert [[a == b for b in words] for a in words] == [[a == b for b in codes.tolist()] for a in codes.tolist()]
