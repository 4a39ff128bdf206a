"""An importer goes over to a new epoch in pieces, and forgets what may come again when it can no longer."""

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from exchange_pair import Joined, tracks
from exchange_records import SECOND, released, warning_of

from trilat.exchange import intake
from trilat.records.envelope import Envelope
from trilat.transport.messages import PullId

DAY_NS = 86_400 * SECOND
HELD = 1_200
PIECE = 100


class Again:
    """KOR holds what JPN, put back to a copy in which all of it waits, sends once more."""

    def __init__(self, directory: Path, held: int = HELD) -> None:
        self.pair = pair = Joined(directory)
        self.directory = directory
        pair.run(4)
        pair.stop("KOR")
        for first in range(0, held, 100):
            pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 100, first=first))
        pair.exchanges["JPN"].flush(pair.now_ns, force=True)
        pair.stop("JPN")
        shutil.copy(directory / "JPN.sqlite", directory / "JPN.copy")
        pair.start("JPN")
        pair.start("KOR")
        pair.run(80)
        # What was made known by its content, by the time of the step.
        self.steps: Counter[int] = Counter()

    def put_back(self, *, empty: bool = False) -> None:
        """Put JPN back to its copy, or to an empty store; from now on watch what KOR does in each step."""
        self.pair.exchanges["KOR"].flush(self.pair.now_ns, force=True)
        self.pair.stop("JPN")
        for file in self.directory.glob("JPN.sqlite*"):
            file.unlink()
        if not empty:
            shutil.copy(self.directory / "JPN.copy", self.directory / "JPN.sqlite")
        self.pair.start("JPN")
        self.watch()

    def watch(self) -> None:
        """Count what KOR makes known by its content."""
        inbox = self.pair.exchanges["KOR"].station.store.inbox
        true = inbox.put_orphans

        def counted(exporter: str, lane: str, hashes: list[bytes], t_ns: int) -> None:
            self.steps[self.pair.now_ns] += len(hashes)
            true(exporter, lane, hashes, t_ns)

        inbox.put_orphans = counted  # type: ignore[method-assign]

    @property
    def numbers(self) -> list[int]:
        """Return the numbers of the tracks that KOR was given, in order."""
        return [item.record.number for item in self.pair.received["KOR"] if item.lane == "history"]

    @property
    def known(self) -> int:
        """Return how many hashes of what may come again KOR keeps."""
        (row,) = self.pair.exchanges["KOR"].station.store.database.rows("SELECT count(*) FROM orphans")
        return int(row[0])

    def link(self):  # noqa: ANN201
        """Return KOR's state of the lane."""
        return self.pair.link("KOR", "JPN", "history", "in")

    def later(self, days: int) -> None:
        """Let days pass."""
        self.pair.now_ns += days * DAY_NS
        self.pair.run(4)

    def retain(self, days: int = 30) -> None:
        """Let KOR remove what is settled and older than so many days."""
        self.pair.exchanges["KOR"].retain(self.pair.now_ns, self.pair.now_ns - days * DAY_NS)
        self.pair.run(2)


@pytest.fixture
def again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Again]:
    monkeypatch.setattr(intake, "PIECE_RECORDS", PIECE)
    made = Again(tmp_path)
    yield made
    made.pair.close()


def test_no_step_makes_more_known_than_a_piece(again: Again) -> None:
    """However much is held beyond the base, a step does a piece of it; warnings come meanwhile; nothing comes twice or is lost."""
    again.put_back()
    again.pair.run(3)
    assert 0 < sum(again.steps.values()) < HELD
    again.pair.exchanges["JPN"].offer(again.pair.now_ns, [released(warning_of("w1"), "KOR", "flash", again.pair.now_ns)])
    again.pair.run(2)
    assert ["w1"] == [item.record.id for item in again.pair.received["KOR"] if item.lane == "flash"]
    assert 1 == again.link().cursor.epoch
    again.pair.run(120)
    assert PIECE == max(again.steps.values())
    assert HELD == sum(again.steps.values())
    again.pair.exchanges["JPN"].offer(again.pair.now_ns, tracks(again.pair, 2, first=9_000))
    again.pair.run(10)
    assert [*range(HELD), 9_000, 9_001] == again.numbers
    assert (2, HELD, 0) == (again.link().cursor.epoch, again.link().duplicates, again.link().unchecked)


def test_a_stop_between_two_pieces_changes_nothing(again: Again) -> None:
    """Stopped with a part made known and on disk, KOR begins anew with that, and nothing comes twice or is lost."""
    again.put_back()
    for _ in range(3):
        again.pair.run(3)
        again.pair.exchanges["KOR"].flush(again.pair.now_ns, force=True)
        assert 1 == again.link().cursor.epoch
        assert 0 < again.known < HELD
        again.pair.stop("KOR")
        again.pair.start("KOR")
    again.pair.run(150)
    assert list(range(HELD)) == again.numbers
    assert (2, HELD, 0) == (again.link().cursor.epoch, again.link().duplicates, again.known)


def test_an_epoch_in_which_nothing_is_said_begins_in_pieces_too(again: Again) -> None:
    """An exporter that lost everything and has nothing to say: KOR goes over a piece at a time, and is level at its end."""
    again.put_back(empty=True)
    for _ in range(60):  # an empty answer comes when the pull's wait is over
        again.pair.run(1)
        if again.steps:
            break
    assert 0 < sum(again.steps.values()) < HELD
    assert 1 == again.link().cursor.epoch
    again.pair.run(150)
    assert (2, 0, HELD) == (again.link().cursor.epoch, again.link().cursor.sequence, again.known)
    assert PIECE == max(again.steps.values())


def test_what_may_come_again_is_forgotten_after_the_retention(again: Again) -> None:
    """What an exporter never sent again is known until the retention has passed with both level, and then forgotten."""
    again.put_back(empty=True)
    again.pair.run(150)
    again.later(29)
    again.retain()
    assert HELD == again.known
    again.later(2)
    again.retain()
    assert 0 == again.known
    again.pair.exchanges["JPN"].offer(again.pair.now_ns, tracks(again.pair, 2, first=9_000))
    again.pair.run(10)
    assert [*range(HELD), 9_000, 9_001] == again.numbers


def test_retention_looks_once_at_what_is_not_due(again: Again) -> None:
    """While nothing of what may come again is old enough, the many steps of a retention do not each go through all of it."""
    again.put_back(empty=True)
    again.pair.run(150)
    again.later(20)
    database = again.pair.exchanges["KOR"].station.store.database
    true, looked = database.rows, Counter()

    def counted(sql: str, parameters: object = ()) -> list[tuple[object, ...]]:
        looked["orphans"] += "t_ns<" in sql and "FROM orphans" in sql
        return true(sql, parameters)

    database.rows = counted
    for _ in range(50):
        again.retain()
    assert (HELD, 1) == (again.known, looked["orphans"])
    again.later(11)
    again.retain()
    assert 0 == again.known


def test_what_an_exporter_has_not_sent_yet_is_known_however_late_it_comes(again: Again) -> None:
    """The line breaks with most of it still to come: after twice the retention it comes, is known, and is dropped."""
    again.put_back()

    def until_begun(nation: str, pull: PullId, envelope: Envelope) -> Envelope | None:
        cut = (nation, pull.lane) == ("KOR", "history") and importer.state.cursor.epoch == 2
        return None if cut else envelope

    importer = again.pair.exchanges["KOR"]._importers[("JPN", "history")]
    again.pair.tap = until_begun
    again.pair.run(60)
    before = again.known
    assert (2, True) == (again.link().cursor.epoch, 0 < before < HELD)
    for _ in range(2):
        again.later(30)
        again.retain()
    assert before == again.known
    again.pair.tap = lambda _nation, _pull, envelope: envelope
    again.later(1)
    again.pair.run(150)
    assert list(range(HELD)) == again.numbers
    assert 0 == again.known
