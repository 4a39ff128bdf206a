"""Three live nodes over real NATS: what their pages show, what goes between them, what their journals hold."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import httpx
import live_nodes as live
import node_worlds as worlds
import pytest
import pytest_asyncio

from trilat.node import clock, record, setup
from trilat.node.pipeline import Pipeline
from trilat.node.process import running
from trilat.node.settings import NodeConfig
from trilat.picture.acts import AcknowledgeWarning, RaiseWarning
from trilat.picture.client import PageClient
from trilat.policy.audience import DecisionLog

pytestmark = pytest.mark.asyncio(loop_scope="module")
NATIONS = ("JPN", "KOR", "USA")


class Trio(NamedTuple):
    """Three running nodes with their pages, fed by the world."""

    nodes: dict[str, live.Running]
    pages: dict[str, PageClient]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Trio]:
    prepared = worlds.prepare(tmp_path_factory.mktemp("trio"), now=True)
    async with (
        live.nodes_running(prepared.values()) as nodes,
        live.pages_of(nodes.values()) as pages,
        live.world_feeding(nodes.values()),
    ):
        yield Trio(nodes, pages)


async def test_every_page_shows_tracks_of_all_three_nations(trio: Trio) -> None:
    """Each page comes to show tracks of its own nation and of both partners."""
    for page in trio.pages.values():
        await page.until(lambda page: all(page.ever_seen[nation] > 3 for nation in NATIONS), live.PATIENCE_S)

    assert {nation: set(page.ever_seen) for nation, page in trio.pages.items()} == {nation: set(NATIONS) for nation in NATIONS}


async def test_warning_goes_round_and_its_acknowledgements_come_back(trio: Trio) -> None:
    """A warning raised on JPN's page reaches KOR's and USA's, is acknowledged there, and JPN's page shows who did."""
    jpn = trio.pages["JPN"]
    raised = await jpn.act(
        lambda act_id: RaiseWarning(act_id=act_id, kind="test", headline="EXERCISE live", rel_to=("KOR", "USA")), live.PATIENCE_S
    )
    assert raised["ok"], raised

    for nation in ("KOR", "USA"):
        page = trio.pages[nation]
        await page.until(lambda page: _headed(page, "EXERCISE live"), live.PATIENCE_S)
        [held] = _headed(page, "EXERCISE live")
        answer = await page.act(
            lambda act_id, held=held: AcknowledgeWarning(
                act_id=act_id, originator="JPN", warning_id=held["id"], version=held["version"]
            ),
            live.PATIENCE_S,
        )
        assert answer["ok"], answer

    await jpn.until(lambda page: {"KOR", "USA"} <= _acknowledged(page, "EXERCISE live"), live.PATIENCE_S)
    assert {"KOR", "USA"} <= _acknowledged(jpn, "EXERCISE live")


def _headed(page: PageClient, headline: str) -> list[dict[str, object]]:
    return [warning for warning in page.warnings.values() if headline in str(warning["headline"])]


def _acknowledged(page: PageClient, headline: str) -> set[str]:
    return {one["nation"] for warning in _headed(page, headline) for one in warning["acknowledgements"]}  # type: ignore[attr-defined]


async def test_health_pages_answer(trio: Trio) -> None:
    """A working node is alive and ready, and its figures count steps, reports, tracks, releases and receipts."""
    await trio.pages["KOR"].until(lambda page: page.ever_seen["JPN"] and page.ever_seen["USA"], live.PATIENCE_S)
    await trio.pages["KOR"].until(lambda page: live.link(page, "JPN", "flash").get("state") == "up", live.PATIENCE_S)
    async with httpx.AsyncClient(base_url=trio.pages["KOR"].url, trust_env=False) as http:
        answers = {path: await http.get(path) for path in ("/livez", "/readyz", "/metrics", "/links")}

    assert dict.fromkeys(answers, 200) == {path: answer.status_code for path, answer in answers.items()}
    lanes = {(link["partner"], link["lane"], link["direction"]) for link in answers["/links"].json()["links"]}
    assert {("JPN", lane, way) for lane in ("flash", "state", "history") for way in ("in", "out")} <= lanes
    figures = answers["/metrics"].text
    for wanted in (
        "trilat_steps_total",
        'trilat_reports_total{source="kor-south"}',
        'trilat_released_total{audience="JPN",lane="state"}',
        'trilat_received_total{lane="state",partner="USA"}',
        'trilat_link_up{lane="flash",partner="JPN"}',
    ):
        assert wanted in figures, wanted


async def test_journal_of_a_live_run_replays_to_the_same_digests(tmp_path: Path) -> None:
    """What a live run kept, put through a new pipeline, gives step by step the hash of everything that came out."""
    jpn = worlds.prepare(tmp_path, now=True)["JPN"]
    config, at_ns = worlds.config_of(jpn), clock.now_ns()
    secret = setup.coarsening_secret(setup.read_identity(config, at_ns, None).ring, at_ns)
    async with live.nodes_running([jpn]) as nodes, live.pages_of(nodes.values()) as pages, live.world_feeding(nodes.values()):
        # A frame is a step's at most, so there are more steps than frames, however soon the first tracks are there.
        await pages["JPN"].until(lambda page: page.ever_seen["JPN"] > 3 and page.frames_in > 40, live.PATIENCE_S)
        act = lambda act_id: RaiseWarning(act_id=act_id, kind="test", headline="EXERCISE r", rel_to=("USA",))  # noqa: E731 - one use
        assert (await pages["JPN"].act(act, live.PATIENCE_S))["ok"]

    recorded = live.steps(config)
    again = record.replay(pipeline_at_start(config, secret), iter(recorded))
    assert len(recorded) > 40
    assert [step.digest for step in recorded] == [out.digest() for _, out in again]


def pipeline_at_start(config: NodeConfig, secret: bytes) -> Pipeline:
    """Make the pipeline that a node's (only) run began with."""
    [start] = live.entries(config, [record.START])
    policies = setup.policies(config, setup.read_agreements(config), secret, DecisionLog())
    return Pipeline(setup.pipeline_settings(config), policies, start.t_ns)


async def test_stopped_node_leaves_no_process(tmp_path: Path) -> None:
    """When a node has stopped, the server that it started for its partners is gone, and so are its ports."""
    before = children()
    async with running(worlds.config_of(worlds.prepare(tmp_path, now=True)["USA"])) as node:
        started, port = children() - before, node.ports["page"]
        assert len(started) == 1

    assert started & children() == set()
    with pytest.raises(OSError, match=r"."):
        await asyncio.open_connection("127.0.0.1", port)


def children() -> set[int]:
    """Return the ids of this process's children."""
    tasks = Path(f"/proc/{os.getpid()}/task").iterdir()
    return {int(pid) for task in tasks for pid in _read(task / "children").split()}


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except OSError:
        return ""
