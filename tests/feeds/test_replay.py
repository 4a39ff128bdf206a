"""Replays: marked, shifted by a constant, original times kept; live and exercise sources take none of it."""

from __future__ import annotations

import pytest
from feedkit import NOON_NS, S_NS, columns, reasons, source
from hypothesis import given, settings
from hypothesis import strategies as st
from test_ais import ship

from trilat.feeds.registry import open_decoder
from trilat.feeds.replay import PIECE_BYTES_MAX, ReplayGate, frame
from trilat.feeds.source import Source

SHIFT_NS = 86_400 * S_NS * 365
NOW_NS = NOON_NS + SHIFT_NS


def gate(mode: str = "replay", **values: object) -> ReplayGate:
    opened = open_decoder(source("ais", mode, **values))
    assert isinstance(opened, ReplayGate)
    return opened


def frames(count: int = 3, replay_id: str = "R1") -> bytes:
    return b"".join(frame(replay_id, SHIFT_NS, NOON_NS + k * S_NS, ship(lat=30.0 + k)) for k in range(count))


def test_reports_are_shifted_and_keep_their_original_time() -> None:
    """A replayed piece is decoded as of when it was recorded, then moved by the shift; its own time stands in the pedigree."""
    feed = gate()

    decoded = feed.decode(frames(), NOW_NS)

    assert [NOW_NS, NOW_NS + S_NS, NOW_NS + 2 * S_NS] == columns(decoded)["t_ns"].tolist()
    assert [NOON_NS, NOON_NS + S_NS, NOON_NS + 2 * S_NS] == [batch.pedigree.original_t_ns for batch in decoded.batches]
    assert {NOW_NS} == {batch.received_t_ns for batch in decoded.batches}
    assert (NOW_NS + 2 * S_NS, {}) == (feed.replay_t_ns, reasons(decoded))


@settings(deadline=None, max_examples=40)
@given(places=st.lists(st.integers(0, 1_000), max_size=12))
def test_frames_cut_anywhere_are_the_same(places: list[int]) -> None:
    """A stream of frames in uneven pieces gives what it gives at once."""
    raw = frames()
    edges = [0, *sorted(place % len(raw) for place in places), len(raw)]
    feed = gate()

    pieces = [feed.decode(raw[a:b], NOW_NS) for a, b in zip(edges, edges[1:], strict=False)]  # noqa: RUF007 - edges may repeat

    assert columns(gate().decode(raw, NOW_NS)).tobytes() == columns(*pieces).tobytes()
    assert {} == reasons(*pieces)


@pytest.mark.parametrize("mode", ["live", "exercise"])
@pytest.mark.parametrize("step", [29, 64, 10_000])
def test_other_modes_take_no_replay(mode: str, step: int) -> None:
    """Frames of a replay are refused and counted by a live or exercise source, to their end, in pieces too; its own input is read."""
    feed, raw = gate(mode), frames()
    first = feed.decode(ship(), NOON_NS)

    results = [feed.decode(raw[:step], NOON_NS)]
    rest = raw[step:]
    whole = len(raw) // 3
    while rest:
        cut = whole - (len(raw) - len(rest)) % whole
        results.append(feed.decode(rest[:cut], NOON_NS))
        rest = rest[cut:]
    after = feed.decode(ship(), NOON_NS)

    assert [1, 0, 1] == [len(columns(first)), len(columns(*results)), len(columns(after))]
    assert {"replay-on-other-mode": 3} == reasons(*results)


def test_another_replay_is_refused() -> None:
    """Frames with another replay's id are refused by name; frames of this one between them are taken."""
    decoded = gate().decode(frames(1, "R2") + frames(1) + frames(1, "R2"), NOW_NS)

    assert ({"replay-on-other-mode": 2}, 1) == (reasons(decoded), len(columns(decoded)))


@pytest.mark.parametrize("garbage", [ship(), b"T", b"TRP", b"TRPL" + b"\xff" * 30, bytes(200), b"TRPL"])
def test_unmarked_input_is_refused_in_mode_replay(garbage: bytes) -> None:
    """Input without the mark never becomes a report in mode Replay, and marked input behind it is found again."""
    feed = gate()

    decoded = [feed.decode(garbage, NOW_NS), feed.decode(frames(2), NOW_NS), feed.decode(frames(2), NOW_NS)]

    assert 0 == len(columns(decoded[0]))
    assert len(columns(*decoded)) >= 3
    assert {"replay-unmarked"} == set(reasons(*decoded))


@settings(deadline=None)
@given(data=st.lists(st.binary(max_size=120), max_size=6))
def test_any_bytes_are_refused_quietly(data: list[bytes]) -> None:
    """Whatever comes, a gate never raises and never holds more than one frame."""
    for mode in ("replay", "live"):
        feed = gate(mode)
        for piece in data:
            feed.decode(b"TRPL" + piece, NOW_NS)
        assert len(feed._rest) <= PIECE_BYTES_MAX + 200


@pytest.mark.parametrize(("replay_id", "piece"), [("", b"x"), ("R" * 65, b"x"), ("R1", bytes(PIECE_BYTES_MAX + 1))])
def test_frames_have_bounds(replay_id: str, piece: bytes) -> None:
    """A piece or an id beyond its bound is no frame."""
    with pytest.raises(ValueError, match="a piece of"):
        frame(replay_id, 0, NOON_NS, piece)


def test_times_beyond_the_records_are_refused() -> None:
    """A frame whose shifted time is before 1970 or after 2200 is refused."""
    decoded = gate().decode(frame("R1", -NOON_NS - 1, NOON_NS, ship()), NOW_NS)

    assert ({"replay-unmarked"}, 0) == (set(reasons(decoded)), len(columns(decoded)))


def test_settings_survive_the_record() -> None:
    """A source is a plain record: it can be written into a journal's head and read again."""
    import msgspec

    made = source("beast", "replay", reference=(33.0, 130.0))

    assert made == msgspec.json.decode(msgspec.json.encode(made), type=Source)
