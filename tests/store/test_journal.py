"""The log: append-only, chained, read back as written, pruned only behind a signed checkpoint."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trilat.errors import StoreError
from trilat.records.label import Mode
from trilat.store.journal import NO_HEAD, entry_head
from trilat.store.sqlite import Store, StoreSettings, open_database

MODE = Mode(kind="replay", id="R1")


def opened(path: Path | str = ":memory:") -> Store:
    """Open a store on a file, or in memory."""
    return open_database(Path(path), "JPN", MODE, StoreSettings(reserve_bytes=0))


ENTRIES = st.lists(
    st.tuples(
        st.sampled_from(["feed", "received", "act", "tick", "output"]),
        st.text(max_size=8),
        st.integers(0, 2**62),
        st.binary(max_size=50),
    ),
    max_size=30,
)


@given(ENTRIES)
def test_entries_come_back_as_written(entries: list[tuple[str, str, int, bytes]]) -> None:
    """Whatever was appended is read back in order, numbered from 1, with a chain that holds."""
    store = opened()
    numbers = [store.journal.append(*entry) for entry in entries]
    store.commit()
    read = list(store.journal.read())
    assert numbers == [entry.n for entry in read] == list(range(1, len(entries) + 1))
    assert entries == [(entry.kind, entry.source, entry.t_ns, entry.data) for entry in read]
    head = NO_HEAD
    for entry in read:
        head = entry_head(head, entry.n, entry.t_ns, entry.kind, entry.source, entry.data)
        assert entry.head == head
    assert store.journal.head == head
    store.close()


def test_the_chain_goes_on_after_reopening(tmp_path: Path) -> None:
    """Two runs of one journal give the same heads as one run with the same entries; only committed entries count."""
    path = tmp_path / "j.sqlite"
    store = opened(path)
    store.journal.append("tick", "clock", 1, b"1")
    store.commit()
    store.journal.append("tick", "clock", 2, b"lost")
    store.close()
    store = opened(path)
    store.journal.append("tick", "clock", 2, b"2")
    store.commit()
    whole = opened()
    whole.journal.append("tick", "clock", 1, b"1")
    whole.journal.append("tick", "clock", 2, b"2")
    assert whole.journal.head == store.journal.head
    for each in (store, whole):
        each.close()


def test_reading_from_a_number_and_of_kinds() -> None:
    """A reader can begin anywhere and choose kinds; what is not yet committed is included."""
    store = opened()
    for n in range(2_500):
        store.journal.append("feed" if n % 2 else "tick", "s", n, bytes([n % 256]))
    assert list(range(2_001, 2_501)) == [entry.n for entry in store.journal.read(2_001)]
    assert 1_250 == sum(1 for _ in store.journal.read(kinds=frozenset({"feed"})))
    store.close()


def test_pruning_leaves_a_checkpoint_and_a_chain_that_goes_on(tmp_path: Path) -> None:
    """Entries before a time go; numbers and heads go on from the checkpoint, also after reopening an emptied log."""
    path = tmp_path / "j.sqlite"
    store = opened(path)
    for n in range(1, 11):
        store.journal.append("tick", "s", n * 10, b"x")
    head = store.journal.head_at(6)
    assert (6, head) == store.log_before(65)
    assert 6 == store.prune_log(6, 100, b"signed", "k", b"sig")
    assert 7 == store.journal.oldest()
    assert head == store.journal.head_at(6)
    assert (0, bytes(32)) == store.log_before(65)
    last = store.journal.head
    assert 4 == store.prune_log(10, 101, b"signed", "k", b"sig")
    store.commit()
    store.close()
    store = opened(path)
    assert (10, last) == (store.journal.length, store.journal.head)
    assert 11 == store.journal.append("tick", "s", 200, b"y")
    store.commit()
    with pytest.raises(StoreError) as error:
        store.journal.head_at(3)
    assert "store-missing" == error.value.name
    store.close()
