"""A node that was away catches up: nothing lost, nothing twice, and what was superseded meanwhile is not sent at all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import live_nodes as live
import msgspec
import node_worlds as worlds
from test_live import pipeline_at_start

from trilat.exercise.world import World
from trilat.node import clock, record, setup
from trilat.node.inputs import ReceivedInput
from trilat.picture.acts import RaiseWarning
from trilat.picture.client import PageClient
from trilat.records.released import Released

NEAR_NS = 20 * live.NS
AWAY_NS = 60 * live.NS
WARNINGS = 3


async def feed(world: World, to_ns: int, nodes: Sequence[live.Running], page: PageClient) -> None:
    """Say at once what the radars of the world say until to_ns; return when the node has decoded all of it."""
    radars = [sensor.id for sensor in world.scenario.sensor if not sensor.link]
    async with live.lines_to(nodes, lambda sensor: sensor in radars) as lines:
        while world.now_ns < to_ns:
            for line in world.step(world.now_ns + live.NS):
                await lines.send(line)
            await asyncio.sleep(0.05)  # a socket's buffer holds no minute; this is the node's own tick
    t_ms = page.status["t_ms"]
    await page.until(lambda page: page.status["t_ms"] >= t_ms + 2_000, live.PATIENCE_S)


def believing_old_times(prepared: worlds.provision.Prepared) -> None:
    """Let a node's feeds take reports that are minutes old, so that a minute need not last one."""
    config = msgspec.toml.decode(prepared.config.read_bytes())
    for one in config["feed"]:
        one["options"] = {"clock_error_s_max": "600"}
    prepared.config.write_bytes(msgspec.toml.encode(config))


def caught_up(page: PageClient) -> bool:
    """Tell whether the partner has receipted everything that this page's node ever numbered for it."""
    lanes = [live.link(page, "KOR", lane) for lane in ("flash", "state")]
    return all(lane.get("state") == "up" and lane["lag"] == 0 for lane in lanes)


async def raise_warnings(page: PageClient, first: int) -> None:
    for k in range(first, first + WARNINGS):
        answer = await page.act(
            lambda act_id, k=k: RaiseWarning(act_id=act_id, kind="test", headline=f"EXERCISE {k}", rel_to=("KOR",)),
            live.PATIENCE_S,
        )
        assert answer["ok"]


async def test_node_that_was_away_for_a_minute_of_records_catches_up(tmp_path: Path) -> None:
    """KOR is stopped while JPN sees a minute of radar and raises warnings; back again, KOR's pipeline gets each number once."""
    prepared = worlds.prepare(tmp_path, now=True)
    jpn, kor = prepared["JPN"], prepared["KOR"]
    believing_old_times(jpn)
    async with live.nodes_running([jpn]) as nodes, live.pages_of(nodes.values()) as pages:
        page, sender, now_ns = pages["JPN"], list(nodes.values()), clock.now_ns()
        world = live.thin_world(now_ns - AWAY_NS - NEAR_NS)
        async with live.nodes_running([kor]):
            await raise_warnings(page, 0)
            await feed(world, now_ns - AWAY_NS, sender, page)
            await page.until(lambda page: caught_up(page) and live.link(page, "KOR", "state")["sent"] > 5, live.PATIENCE_S)
        sent_before = live.link(page, "KOR", "state")["sent"]
        await feed(world, now_ns, sender, page)
        await raise_warnings(page, WARNINGS)
        await page.until(lambda page: live.link(page, "KOR", "state")["lag"] > 5, live.PATIENCE_S)
        async with live.nodes_running([kor]):
            await page.until(
                lambda page: caught_up(page) and live.link(page, "KOR", "state")["sent"] > sent_before, live.PATIENCE_S
            )
            sent = {lane: live.link(page, "KOR", lane)["sent"] for lane in ("flash", "state")}

    released = [one for one in released_by(jpn) if one.audience == "KOR"]
    for lane in ("flash", "state"):
        got = [one for one in live.received_by(worlds.config_of(kor), "JPN") if one.lane == lane]
        assert list(range(1, len(got) + 1)) == [one.sequence for one in got]
        assert len(got) >= sent[lane]
        check_order(got, [one for one in released if one.lane == lane])
    assert 2 * WARNINGS == len([one for one in released if one.lane == "flash"]) == sent["flash"]


def released_by(prepared: worlds.provision.Prepared) -> list[Released]:
    """Return everything that a node's only run released: its journal says so, replayed."""
    config, now_ns = worlds.config_of(prepared), clock.now_ns()
    secret = setup.coarsening_secret(setup.read_identity(config, now_ns, None).ring, now_ns)
    outputs = record.replay(pipeline_at_start(config, secret), iter(live.steps(config)))
    return [one for _, out in outputs for one in out.released]


def check_order(got: Sequence[ReceivedInput], released: Sequence[Released]) -> None:
    """Assert that what came is what was released, in its order, and that what is missing was superseded by what came later."""
    places = {one.record: k for k, one in enumerate(released)}
    came = [places[one.record] for one in got]
    assert sorted(set(came)) == came if all(one.lane == "flash" for one in got) else len(set(came)) == len(came)
    latest = {released[k].supersede_key: k for k in sorted(came)}
    newest_ns = max((released[k].t_ns for k in came), default=0)
    for k in set(range(len(released))) - set(came):
        if released[k].t_ns < newest_ns:
            assert latest.get(released[k].supersede_key, -1) > k, released[k]
