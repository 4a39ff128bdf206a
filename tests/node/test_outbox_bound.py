"""A node whose configuration allows a partner little disk: what waits is dropped by policy, warnings never are, and it is said."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import live_nodes as live
import msgspec
import node_worlds as worlds
import pytest
from click.testing import CliRunner
from exchange_pair import Joined, tracks
from exchange_records import released, warning_of

from trilat.cli import main
from trilat.node import links, setup
from trilat.node.config import load
from trilat.picture.acts import RaiseWarning

BOUND_BYTES = 65_536


def bounded(config: Path) -> Path:
    """Write the bound into a prepared node's configuration, as an operator would."""
    text = config.read_text("utf-8")
    assert text.count("[exchange]\n") == 1
    config.write_text(text.replace("[exchange]\n", f"[exchange]\noutbox_bytes_max = {BOUND_BYTES}\n"), "utf-8")
    return config


def test_a_small_bound_sheds_history_then_state_and_never_flash(tmp_path: Path) -> None:
    """With the file's settings, history goes before any state, state only then, and 200 warnings stay although they fill the bound."""
    config = load(bounded(worlds.prepare(tmp_path)["JPN"].config))
    pair = Joined(tmp_path, ("JPN", "KOR"), setup.exchange_settings(config))
    jpn = pair.exchanges["JPN"]
    pair.exchanges.pop("KOR").station.store.close()

    def shed() -> dict[str, tuple[int, int]]:
        told = [one for one in jpn.links(pair.now_ns) if one.direction == "out"]
        return {one.lane: (one.shed, one.lag_records) for one in told}

    jpn.offer(pair.now_ns, tracks(pair, 200, lane="history"))
    jpn.offer(pair.now_ns, tracks(pair, 60, lane="state"))
    first = shed()
    assert (first["history"][0] > 0, first["state"]) == (True, (0, 60))
    for n in range(200):
        jpn.offer(pair.now_ns, [released(warning_of(f"JPN-W{n}", text="x" * 400), "KOR", "flash")])
    last = shed()
    assert (last["history"], last["state"], last["flash"]) == ((200, 0), (60, 0), (0, 200))
    reports = links.report(pair.now_ns, jpn.links(pair.now_ns))
    assert [] == [one for one in reports if one.dropped.get("shed") and "outbox-full" not in one.why]
    assert 2 == sum("outbox-full" in one.why for one in reports)
    pair.close()


@pytest.mark.asyncio
async def test_a_live_node_at_its_bound_says_so_and_keeps_its_warnings(tmp_path: Path) -> None:
    """JPN alone, its partners away: plots for USA wait up to the bound, the page's links say what was dropped, a warning waits."""
    prepared = worlds.prepare(tmp_path, now=True)["JPN"]
    bounded(prepared.config)
    async with (
        live.nodes_running([prepared]) as nodes,
        live.pages_of(nodes.values()) as pages,
        live.world_feeding(nodes.values()),
    ):
        act = lambda act_id: RaiseWarning(act_id=act_id, kind="test", headline="EXERCISE w", rel_to=("USA",))  # noqa: E731 - one use
        assert (await pages["JPN"].act(act, live.PATIENCE_S))["ok"]
        by_lane: dict[str, dict[str, Any]] = {}
        async with asyncio.timeout(live.PATIENCE_S):
            while not by_lane or not by_lane["state"]["dropped"].get("shed"):
                await asyncio.sleep(0.5)
                by_lane = await lanes_to(prepared.config, "USA")
    assert "shed" not in by_lane["flash"]["dropped"]
    assert by_lane["flash"]["lag_records"] >= 1
    assert "outbox-full" in by_lane["state"]["why"]
    assert "outbox_bytes_max" in by_lane["state"]["do"]


async def lanes_to(config: Path, partner: str) -> dict[str, dict[str, Any]]:
    """Return what `trilat links` says of what goes to a partner, by lane."""
    said = await asyncio.to_thread(CliRunner().invoke, main, ["links", str(config), "--json"])
    told = [msgspec.json.decode(line) for line in said.stdout.splitlines()]
    return {one["lane"]: one for one in told if (one["partner"], one["direction"]) == (partner, "out")}
