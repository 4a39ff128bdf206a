"""Recalls: which numbers may be named, what is refused by name, and that one asked for over HTTP is on disk when it is answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from exchange_pair import Joined, tracks
from exchange_records import recall_of, released, warning_of
from starlette.applications import Starlette

from trilat.accounts.roles import may
from trilat.cli import recall as command
from trilat.errors import PolicyError
from trilat.ledger import recalling, recalls
from trilat.ledger.recalls import Place
from trilat.picture.inputs import ActAnswer
from trilat.records.approval import Session
from trilat.records.exchange import Cursor
from trilat.store.sqlite import FILE_NAME, open_reader

ASKED = {"partner": "KOR", "lane": "state", "numbers": "1.2,5-7", "reason": "a sensor was wrong"}


class Node:
    """JPN's exchange with KOR's, and what asks it for recalls as the node does: a put goes into the next step."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.pair = Joined(directory)
        self.exchange = self.pair.exchanges["JPN"]
        self.put: list[tuple[str, Place, str]] = []
        self.refuses = ""
        self.loses = False
        self.desk = recalling.RecallDesk(directory, ["KOR", "USA"], self._put, settle_s=0.5)

    def _put(self, session: Session, act_id: str, place: Place, reason: str) -> None:
        self.put.append((session.user, place, reason))
        if not self.refuses and not self.loses:
            recall = msgspec.structs.replace(recall_of(place.lane, place.epoch, place.sequences), reason=reason, by=session.user)
            item = released(recall, place.partner, "flash", record_type="trilat.recall/1")
            self.exchange.offer(self.pair.now_ns, [item])
            self.pair.run(4)
            self.exchange.station.store.commit()
        self.desk.answered(
            [ActAnswer(act_id="a page's", ok=True), ActAnswer(act_id=act_id, ok=not self.refuses, reason=self.refuses)]
        )

    async def asks(self, asked: object = None, role: str | None = "release-officer") -> httpx.Response:
        """Ask for a recall as somebody with a role; None is nobody."""
        session = None if role is None else Session(user="otto", person="Otto", roles=(role,), station="s", session="x")  # type: ignore[arg-type]
        app = Starlette(routes=self.desk.routes(lambda _: session, may))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as http:
            return await http.post("/api/recall", json=ASKED if asked is None else asked)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    made.exchange.offer(made.pair.now_ns, [*tracks(made.pair, 8, lane="state"), released(warning_of("JPN-W1"), "KOR", "flash")])
    made.pair.run(20)
    for nation in ("JPN", "KOR"):
        made.pair.exchanges[nation].station.store.commit()
    for more in ("", "-wal", "-shm"):
        (tmp_path / f"JPN.sqlite{more}").rename(tmp_path / f"{FILE_NAME}{more}")
    yield made
    made.pair.close()


@pytest.mark.parametrize(
    ("text", "epoch", "numbers"),
    [("1.5", 1, (5,)), ("2.7-9", 2, (7, 8, 9)), ("1.9,2,4-5,4", 1, (2, 4, 5, 9)), ("1.1-1000", 1, tuple(range(1, 1001)))],
)
def test_numbers_are_read_as_they_are_printed(text: str, epoch: int, numbers: tuple[int, ...]) -> None:
    """EPOCH.N, ranges and lists give the numbers, sorted and once; and what is printed of them reads as the same."""
    assert recalls.parse_numbers(text) == (epoch, numbers)
    assert recalls.parse_numbers(recalls.numbers_text(epoch, numbers)) == (epoch, numbers)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *((bad, "recall-numbers") for bad in ("", "5", "1.", "1.0", "1.9-7", "1.5,,6", "1.5 ", "a.5", "1.5;6", "1.-5", "१.५")),
        ("1.9223372036854775808", "recall-numbers"),
        ("9999999999999999999.1", "recall-epoch"),
        ("1.1-1001", "recall-many"),
        ("1.1-1000,1001", "recall-many"),
        ("1.1-9223372036854775807", "recall-many"),
    ],
)
def test_what_is_no_list_of_numbers_is_refused_by_name(text: str, name: str) -> None:
    """Malformed, out of range and too many are told apart, and a huge range costs nothing."""
    with pytest.raises(PolicyError) as refused:
        recalls.parse_numbers(text)
    assert refused.value.name == name


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (Place("XXX", "state", 1, (1,)), "recall-partner"),
        (Place("PUBLIC", "state", 1, (1,)), "recall-partner"),
        (Place("KOR/USA", "state", 1, (1,)), "recall-partner"),
        (Place("KOR", "bulk", 1, (1,)), "recall-lane"),
        (Place("KOR", "state", 0, (1,)), "recall-epoch"),
        (Place("KOR", "state", 2, (1,)), "recall-epoch"),
        (Place("USA", "state", 1, (1,)), "recall-epoch"),
        (Place("KOR", "history", 1, (1,)), "recall-number"),
        (Place("KOR", "state", 1, (8, 9)), "recall-number"),
    ],
)
def test_what_was_never_sent_can_not_be_recalled(node: Node, place: Place, name: str) -> None:
    """Each kind of wrong place is refused by its own name; nothing is marked."""
    database = open_reader(node.directory)
    try:
        with pytest.raises(PolicyError) as refused:
            recalls.look(database, ["KOR", "USA"], place)
    finally:
        database.close()
    assert (refused.value.name, recalls.recalled(node.exchange.station.store.database)) == (name, [])


async def test_a_recall_is_answered_when_it_is_on_disk_and_the_partner_has_it(node: Node) -> None:
    """The answer says how many, receipted, of which types; both stores list it with its reason, and the ledger leaves it out."""
    answer = await node.asks()
    told = answer.json()
    assert (answer.status_code, told["records"], told["receipted"], told["sent"]) == (200, 4, 4, 0)
    assert (told["types"], told["numbers"], told["moved"], told["unreceipted"]) == ({"trilat.track/1": 4}, "1.2,5-7", [], [])
    assert node.put == [("otto", Place("KOR", "state", 1, (2, 5, 6, 7)), "a sensor was wrong")]
    node.pair.run(4)
    node.pair.exchanges["KOR"].station.store.commit()
    for nation, way, partner in (("JPN", "out", "KOR"), ("KOR", "in", "JPN")):
        [one] = recalls.recalled(node.pair.exchanges[nation].station.store.database)
        assert (one.way, one.partner, one.lane, one.epoch, one.sequences) == (way, partner, "state", 1, (2, 5, 6, 7))
        assert (one.by, one.reason) == ("otto", "a sensor was wrong")


async def test_a_number_is_recalled_once_and_a_recall_not_at_all(node: Node) -> None:
    """The same number again is refused and named; so is the recall itself, by its own number on the flash lane."""
    assert (await node.asks()).status_code == 200
    again = await node.asks({**ASKED, "numbers": "1.4-5"})
    assert (again.status_code, again.json()["reason"]) == (409, "recall-again")
    assert "1.5." in again.json()["text"]
    itself = await node.asks({**ASKED, "lane": "flash", "numbers": "1.2"})
    assert (itself.status_code, itself.json()["reason"]) == (404, "recall-number")
    assert len(node.put) == 1


async def test_what_the_step_refuses_or_the_disk_does_not_take_is_not_told_as_done(node: Node) -> None:
    """Policy's refusal comes back by name; a recall that is not on disk in time is said to be under way, never to be done."""
    node.refuses = "recall-withheld"
    answer = await node.asks()
    assert (answer.status_code, answer.json()["reason"]) == (409, "recall-withheld")
    node.refuses, node.loses = "", True
    answer = await node.asks()
    assert (answer.status_code, answer.json()["reason"]) == (503, "recall-unsettled")
    assert recalls.recalled(node.exchange.station.store.database) == []


@pytest.mark.parametrize(("role", "status"), [(None, 401), ("watch-officer", 403), ("auditor", 403), ("engineer", 403)])
async def test_only_a_release_officer_recalls(node: Node, role: str | None, status: int) -> None:
    """Nobody and every other role are refused before anything is looked at."""
    assert ((await node.asks(role=role)).status_code, node.put) == (status, [])


@pytest.mark.parametrize(
    "asked",
    [
        {},
        [],
        {**ASKED, "reason": ""},
        {**ASKED, "reason": "x" * 201},
        {**ASKED, "more": 1},
        {**ASKED, "numbers": 5},
        {**ASKED, "partner": "K" * 33},
        {**ASKED, "numbers": "1." + "1," * 3_000 + "1"},
    ],
)
async def test_a_request_without_sense_is_refused(node: Node, asked: object) -> None:
    """Missing, unknown, empty and oversized fields are refused; nothing is put."""
    answer = await node.asks(asked)
    assert (answer.status_code, answer.json()["reason"], node.put) == (400, "request-bad", [])


async def test_what_is_recalled_before_its_receipt_never_reaches_the_partner(node: Node) -> None:
    """Batches that were lost on the way, then recalled, come again as leaf hashes only: the partner never has those records."""
    pair = node.pair
    pair.tap = lambda _nation, _pull, envelope: None if envelope.lane == "history" else envelope
    offered = tracks(pair, 3, lane="history")
    node.exchange.offer(pair.now_ns, offered)
    pair.run(4)
    node.exchange.station.store.commit()
    told = (await node.asks({**ASKED, "lane": "history", "numbers": "1.2"})).json()
    assert (told["records"], told["receipted"], told["sent"]) == (1, 0, 1)
    pair.tap = lambda _nation, _pull, envelope: envelope
    pair.run(60)
    got = [one.raw for one in pair.received["KOR"] if one.lane == "history"]
    assert got == [offered[0].record, offered[2].record]


async def test_a_record_that_stands_in_a_later_epoch_too_is_named(node: Node) -> None:
    """What moved into a new epoch before its receipt is told as moved, as sent and not receipted, and the command says so in words."""
    pair = node.pair
    pair.tap = lambda _nation, _pull, envelope: None if envelope.lane == "history" else envelope
    node.exchange.offer(pair.now_ns, tracks(pair, 3, lane="history"))
    pair.run(4)
    exporter = node.exchange._exporters[("KOR", "history")]
    exporter.open_epoch(pair.now_ns, Cursor(), Cursor(), "test")
    exporter._move_next()
    node.exchange.flush(pair.now_ns, force=True)
    told = (await node.asks({**ASKED, "lane": "history", "numbers": "1.2"})).json()
    assert (told["records"], told["receipted"], told["sent"], told["moved"]) == (1, 0, 1, [2])
    first, second, third = command.lines(told)
    assert first == "Recalled from KOR: history 1.2: 1 records (1 trilat.track/1)."
    assert second == "0 of them it had receipted, 1 were sent and are not receipted: 2."
    assert "later epoch" in third
