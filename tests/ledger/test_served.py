"""The ledger over HTTP: who may ask, what is answered, and that it is what the ledger itself says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from exchange_pair import Joined, tracks
from exchange_records import released, warning_of
from starlette.applications import Starlette

from trilat.accounts.roles import may
from trilat.ledger import served
from trilat.ledger.holdings import Ledger
from trilat.records.approval import Session
from trilat.store.sqlite import FILE_NAME

QUESTIONS = ("held?by=KOR", "holders?subject=JPN-W1", "released")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Joined]:
    joined = Joined(tmp_path)
    joined.exchanges["JPN"].offer(joined.now_ns, [*tracks(joined, 30), released(warning_of("JPN-W1"), "KOR", "flash")])
    joined.run(60)
    joined.exchanges["JPN"].station.store.commit()
    (tmp_path / "JPN.sqlite").rename(tmp_path / FILE_NAME)
    for more in ("-wal", "-shm"):
        (tmp_path / f"JPN.sqlite{more}").rename(tmp_path / f"{FILE_NAME}{more}")
    yield joined
    joined.close()


async def asked(store: Path, question: str, role: str | None, method: str = "GET") -> httpx.Response:
    """Ask as somebody with a role; None is nobody."""
    session = None if role is None else Session(user="ann", person="Ann", roles=(role,), station="s", session="x")  # type: ignore[arg-type]
    app = Starlette(routes=served.routes(lambda _: session, may, store))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as http:
        return await http.request(method, f"/api/ledger/{question}")


def rows(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200
    return answer.json()["rows"]


@pytest.mark.parametrize("role", ["release-officer", "auditor"])
async def test_it_says_what_the_ledger_says(pair: Joined, tmp_path: Path, role: str) -> None:
    """The three answers are the ledger's own, row by row, for a release officer and an auditor."""
    ledger = Ledger(pair.exchanges["JPN"].station.store.database)
    held = rows(await asked(tmp_path, "held?by=KOR&limit=1000", role))
    assert sorted(one["record_sha256"] for one in held) == sorted(one.record_sha256 for one in ledger.held_by("KOR"))
    assert rows(await asked(tmp_path, "holders?subject=JPN-W1", role)) == [one._asdict() for one in ledger.holders("JPN-W1")]
    assert rows(await asked(tmp_path, "released", role)) == [one._asdict() for one in ledger.released()]
    assert rows(await asked(tmp_path, "released?until=0", role)) == []
    assert rows(await asked(tmp_path, "held?by=USA", role)) == []


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(("role", "status"), [(None, 401), ("watch-officer", 403), ("engineer", 403), ("exercise-director", 403)])
@pytest.mark.usefixtures("pair")
async def test_nobody_else_may_ask(tmp_path: Path, question: str, role: str | None, status: int) -> None:
    """Without a session the answer is 401, with any other role 403, and neither holds a row."""
    answer = await asked(tmp_path, question, role)
    assert (answer.status_code, "rows" in answer.json()) == (status, False)


@pytest.mark.parametrize(
    "question",
    [
        "held",
        "held?by=",
        "held?by=kor",
        "held?by=KOR'%20OR%20'1'='1",
        "released?to=%20KOR",
        "holders",
        "released?since=-1",
        "released?since=1e9",
        "released?until=9" + "9" * 30,
        "held?by=KOR&at=\u0663",
    ],
)
@pytest.mark.usefixtures("pair")
async def test_a_question_without_sense_is_refused_by_name(tmp_path: Path, question: str) -> None:
    """A missing name or a time that is none gives 400 and the reason `request-bad`."""
    answer = await asked(tmp_path, question, "auditor")
    assert (answer.status_code, answer.json()["reason"]) == (400, "request-bad")


@pytest.mark.usefixtures("pair")
async def test_answers_are_bounded_and_nothing_can_be_changed(tmp_path: Path) -> None:
    """Never more rows than asked for, the rest is said to exist; SQL in a subject finds nothing; other methods are refused."""
    few = (await asked(tmp_path, "held?by=KOR&limit=5", "auditor")).json()
    assert (len(few["rows"]), few["more"]) == (5, True)
    assert rows(await asked(tmp_path, "holders?subject=JPN-W1'%20OR%20'1'='1", "auditor")) == []
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert (await asked(tmp_path, "held?by=KOR", "auditor", method)).status_code == 405


@pytest.mark.usefixtures("pair")
async def test_questions_wait_for_one_another(tmp_path: Path) -> None:
    """Many at once are answered all, one after another, and without a store the answer is an error by name."""
    answers = await asyncio.gather(*(asked(tmp_path, "released", "auditor") for _ in range(10)))
    assert [200] * 10 == [one.status_code for one in answers]
    assert (await asked(tmp_path / "none", "released", "auditor")).json()["reason"] == "store-missing"
