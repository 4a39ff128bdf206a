"""Three live nodes over real NATS: what their pages show, what goes between them, what their journals hold."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import httpx
import live_nodes as live
import node_worlds as worlds
import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from trilat.cli import main
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


async def test_a_recall_takes_back_what_a_partner_got(trio: Trio) -> None:
    """`trilat recall` of two of JPN's records: counted by type, listed at both nodes, told on KOR's page, not held by KOR any more."""
    jpn, kor = trio.nodes["JPN"], trio.nodes["KOR"]
    await trio.pages["KOR"].until(lambda page: live.link(page, "JPN", "state").get("received", 0) > 12, live.PATIENCE_S)
    before = await cli("ledger", "held", store_of(jpn), "--by", "KOR", "--json")
    asked = ("recall", jpn.process.prepared.config, "KOR", "state", "1.4-5", "--reason", "a sensor was wrong")
    done = await cli(*asked, "--user", jpn.process.prepared.login("release-officer").user, typed=password(jpn))
    assert (done.exit_code, "Recalled from KOR: state 1.4-5: 2 records (" in done.output) == (0, True), done.output

    await trio.pages["KOR"].until(
        lambda page: any("JPN recalled 2 records" in line["text"] for line in page.log), live.PATIENCE_S
    )
    for node, way, partner in ((jpn, "out", "KOR"), (kor, "in", "JPN")):
        listed = await cli("ledger", "recalled", store_of(node))
        assert f"{way:<3} {partner} state 1.4-5" in listed.output
        assert "a sensor was wrong" in listed.output
    gone = await cli("ledger", "held", store_of(jpn), "--by", "KOR", "--json")
    places = [
        [(one["lane"], one["epoch"], one["sequence"]) for one in map(json.loads, told.stdout.splitlines())]
        for told in (before, gone)
    ]
    assert [[place for place in held if place in (("state", 1, 4), ("state", 1, 5))] for held in places] == [
        [("state", 1, 4), ("state", 1, 5)],
        [],
    ]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("XXX", "state", "1.1"), "TRI-0372"),
        (("KOR", "bulk", "1.1"), "TRI-0373"),
        (("KOR", "state", "9.1"), "TRI-0374"),
        (("KOR", "state", "1.99999999"), "TRI-0375"),
        (("KOR", "state", "one"), "TRI-0370"),
        (("KOR", "state", "1.1-1001"), "TRI-0371"),
    ],
)
async def test_a_recall_that_makes_no_sense_ends_with_its_code(trio: Trio, words: tuple[str, ...], code: str) -> None:
    """Each mistake is refused by the running node under its own code, and nothing is recalled."""
    jpn = trio.nodes["JPN"]
    before = (await cli("ledger", "recalled", store_of(jpn))).stdout
    asked = (
        "recall",
        jpn.process.prepared.config,
        *words,
        "--reason",
        "r",
        "--user",
        jpn.process.prepared.login("release-officer").user,
    )
    told = await cli(*asked, typed=password(jpn))
    assert (told.exit_code, code in told.output) == (1, True), told.output
    assert (await cli("ledger", "recalled", store_of(jpn))).stdout == before


async def test_a_recall_needs_the_release_officers_role_and_password(trio: Trio) -> None:
    """A watch officer is refused for the role, a wrong password at the door."""
    jpn = trio.nodes["JPN"]
    asked = ("recall", jpn.process.prepared.config, "KOR", "state", "1.7", "--reason", "r", "--user")
    watch, release = (jpn.process.prepared.login(role) for role in ("watch-officer", "release-officer"))
    for user, typed, code in ((watch.user, watch.password, "TRI-1014"), (release.user, "wrong", "TRI-1009")):
        told = await cli(*asked, user, typed=typed)
        assert (told.exit_code, code in told.output) == (1, True), told.output


async def test_decisions_are_printed_with_their_rules(trio: Trio) -> None:
    """`trilat release decisions` prints the running node's last decisions and how often each rule decided, to who may see them."""
    jpn = trio.nodes["JPN"].process.prepared
    asked = ("release", "decisions", jpn.config, "--user")
    release, director = (jpn.login(role) for role in ("release-officer", "exercise-director"))
    told = await cli(*asked, release.user, "--last", "3", "--to", "KOR", typed=release.password)
    assert told.exit_code == 0, told.output
    one_by_one, counted = told.output.splitlines()[:3], told.output.splitlines()[3:]
    assert all(" KOR " in line for line in (*one_by_one, *counted)), told.output
    assert any(" permit " in line and "trilateral/1" in line for line in counted), told.output
    assert any(" withhold " in line and "rel-to" in line for line in counted), told.output
    refused = await cli(*asked, director.user, typed=director.password)
    assert (1, True) == (refused.exit_code, "TRI-1014" in refused.output), refused.output


def store_of(node: live.Running) -> Path:
    return Path(node.config.directory) / "store"


def password(node: live.Running) -> str:
    return node.process.prepared.login("release-officer").password


async def cli(*words: str | Path, typed: str = "") -> Result:
    """Run a command beside the nodes; what it asks for comes on standard input."""
    return await asyncio.to_thread(CliRunner().invoke, main, [str(word) for word in words], input=f"{typed}\n")


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
