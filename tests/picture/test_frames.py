"""Frames: what a page holds after any mixture of snapshots and deltas is what the node shows."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trilat.picture import frames
from trilat.picture.frames import Block, FrameStore, Trails

ROOT = Path(__file__).parents[2]
ORIGIN_MS = 1_000_000


def block(key: str, numbers: list[int], values: list[int]) -> Block:
    records = np.zeros(len(numbers), frames.RECORD_DTYPE)
    records["lat_e7"] = values
    names = np.array([b"%s-%d" % (key.encode(), n) for n in numbers], "S12")
    return Block(key=key, numbers=np.array(numbers, np.int64), records=records, names=names)


class Page:
    """What a page does with frames, by the protocol's text."""

    def __init__(self) -> None:
        self.sequence: int | None = None
        self.tracks: dict[int, int] = {}
        self.names: dict[int, bytes] = {}

    def take(self, raw: bytes) -> None:
        """Apply one frame and check it against the node's own count."""
        frame = frames.decode(raw)
        if frame.kind == frames.SNAPSHOT:
            self.tracks, self.names = {}, {}
        for track_id in frame.gone.tolist():
            self.tracks.pop(track_id, None)
            self.names.pop(track_id, None)
        self.tracks |= {int(r["id"]): int(r["lat_e7"]) for r in frame.records}
        self.names |= {int(n["id"]): bytes(n["name"]) for n in frame.names}
        self.sequence = frame.sequence
        assert (len(self.tracks), sum(self.tracks) % 2**32) == (frame.total, frame.check)


def held(store: FrameStore) -> dict[int, int]:
    return {int(r["id"]): int(r["lat_e7"]) for r in store.records}


pictures = st.dictionaries(st.integers(0, 12), st.integers(-5, 5), max_size=8)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(pictures, pictures, st.sets(st.integers(0, 2))), min_size=1, max_size=8), st.integers(1, 20))
def test_pages_that_look_now_and_then_equal_the_node(ticks: list[tuple[dict, dict, set]], gone_max: int) -> None:
    """Three pages that each take a frame only at some ticks hold, after any of them, exactly what the node shows."""
    store = FrameStore(ORIGIN_MS, gone_max)
    pages = [Page(), Page(), Page()]
    for own, partner, looking in ticks:
        blocks = [block(key, sorted(p), [p[n] for n in sorted(p)]) for key, p in (("own", own), ("KOR/a", partner)) if p]
        store.update(0, blocks)
        for at in looking:
            pages[at].take(store.frame(pages[at].sequence))
            assert held(store) == pages[at].tracks
            assert sorted(store.names.tolist()) == sorted(pages[at].names.values())


def test_an_id_is_never_used_twice() -> None:
    """A track that comes back under its old number has a new id."""
    store = FrameStore(ORIGIN_MS)
    store.update(0, [block("own", [1, 2], [0, 0])])
    first = set(held(store))
    store.update(1, [block("own", [2], [0])])
    store.update(2, [block("own", [1, 2], [0, 0])])
    assert len(first | set(held(store))) == 3
    assert store.where(max(held(store))) == ("own", 1)


def test_nothing_changed_is_an_empty_delta() -> None:
    """A delta over ticks in which nothing moved is the header alone."""
    store = FrameStore(ORIGIN_MS)
    for t_ms in range(3):
        store.update(t_ms, [block("own", [1, 2, 3], [4, 5, 6])])
    assert len(store.frame(1)) == frames.HEADER_DTYPE.itemsize


def test_a_page_too_far_behind_gets_a_snapshot() -> None:
    """When more tracks are gone than are remembered, and for a sequence of another life, the frame is a snapshot."""
    store = FrameStore(ORIGIN_MS, gone_max=2)
    store.update(0, [block("own", [1, 2, 3, 4], [0] * 4)])
    store.update(1, [block("own", [4], [0])])
    store.update(2, [block("own", [4], [1])])
    assert frames.decode(store.frame(1)).kind == frames.SNAPSHOT
    assert frames.decode(store.frame(2)).kind == frames.DELTA
    assert frames.decode(store.frame(99)).kind == frames.SNAPSHOT


def test_cut_or_foreign_frames_are_refused() -> None:
    """Every shorter piece of a frame, one with a byte more and one with another magic raise ValueError, nothing else."""
    store = FrameStore(ORIGIN_MS)
    store.update(0, [block("own", [1, 2], [0, 0])])
    raw = store.frame(None)
    for bad in [raw[:n] for n in range(len(raw))] + [raw + b"\0", b"XXXX" + raw[4:]]:
        with pytest.raises(ValueError, match=r"frame"):
            frames.decode(bad)


def test_trails_carry_past_places_oldest_first() -> None:
    """A trails frame gives per track its sampled places, one per period, the oldest first, and only for tracks still held."""
    store, trails = FrameStore(ORIGIN_MS), Trails(period_ms=1000, points_max=3)
    for t_ms in range(0, 5000, 500):
        numbers = [1, 2] if t_ms < 2000 else [2]
        store.update(t_ms, [block("own", numbers, [t_ms] * len(numbers))])
        trails.sample(t_ms, store.records)
    frame = frames.decode(store.trails(trails.ids, trails.lat_e7, trails.lon_e7, trails.lengths))
    assert {key: points["lat_e7"].tolist() for key, points in frame.trails.items()} == {2: [2000, 3000, 4000]}


@pytest.mark.parametrize(("title", "dtype"), [("Header, 56", frames.HEADER_DTYPE), ("Record, 40", frames.RECORD_DTYPE)])
def test_the_protocol_page_says_what_the_code_does(title: str, dtype: np.dtype) -> None:
    """The tables of the protocol page list every field with its true offset, and the size in their heading is true."""
    text = (ROOT / "docs/reference/page-protocol.md").read_text("utf-8").split(title, 1)[1].split("\n\n", 2)[1]
    rows = re.findall(r"^\| (\d+) \| `(\w+)`", text, re.MULTILINE)
    assert [(int(offset), name) for offset, name in rows] == [(dtype.fields[n][1], n) for n in dtype.names]
    assert int(title.split()[1]) == dtype.itemsize


def test_the_page_reads_records_at_the_same_offsets() -> None:
    """The TypeScript decoder's offsets are those of the record that the node writes."""
    source = (ROOT / "src/trilat/picture/page/src/frames.ts").read_text("utf-8")
    table = re.findall(r"(\w+): (\d+),", source.split("export const FIELD = {", 1)[1].split("}", 1)[0])
    short = [name.split("_")[0] for name in frames.RECORD_DTYPE.names]
    assert [(name, int(at)) for name, at in table] == list(
        zip(short, [frames.RECORD_DTYPE.fields[n][1] for n in frames.RECORD_DTYPE.names], strict=True)
    )
    assert re.search(r"RECORD_BYTES = (\d+)", source)[1] == str(frames.RECORD_DTYPE.itemsize)
