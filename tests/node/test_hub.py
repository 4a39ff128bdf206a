"""Whole nodes, and a hub between two of them: JPN's missile radars reach KOR through USA alone, which learns nothing of what they see."""

from __future__ import annotations

import sys
from pathlib import Path

import live_nodes as live
import msgspec
import node_worlds as worlds
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "exchange"))
from exchange_pair import Joined

from trilat.ledger.holdings import Ledger
from trilat.node import setup
from trilat.node.inputs import Input, ReceivedInput
from trilat.node.settings import NodeConfig
from trilat.policy.audience import routes_of
from trilat.records.track import Track
from trilat.store.sqlite import open_reader
from trilat.transport.messages import ExchangeSettings

NATIONS = ("JPN", "KOR", "USA")
SECONDS = 7.0


def for_kor_by_usa(config: NodeConfig) -> NodeConfig:
    """Return JPN's configuration with all its sensors on the topic that the agreement sends through USA, for KOR alone."""
    labels = {one.id: msgspec.structs.replace(one.label, rel_to=("KOR",), topics=("missile",)) for one in config.sensor}
    return msgspec.structs.replace(
        config, sensor=tuple(msgspec.structs.replace(one, label=labels[one.id]) for one in config.sensor)
    )


def test_three_pipelines_and_a_hub_between_two(tmp_path: Path) -> None:
    """What JPN tracks stands in KOR's picture as JPN's; every release went through USA, whose store and pipeline hold nothing of it."""
    prepared = worlds.prepare(tmp_path)
    configs = {nation: worlds.config_of(one) for nation, one in prepared.items()}
    configs["JPN"] = for_kor_by_usa(configs["JPN"])
    pipelines = {nation: worlds.pipeline_of(config) for nation, config in configs.items()}
    routes = routes_of(setup.read_agreements(configs["JPN"]), worlds.MODE)
    net = Joined(tmp_path, NATIONS, ExchangeSettings(), worlds.MODE, memory=True, routes=routes)
    net.now_ns = worlds.T0_NS
    taken, shown, ways = dict.fromkeys(NATIONS, 0), [], set()
    for now_ns, said in worlds.inputs_of("JPN", SECONDS):
        for nation in NATIONS:
            new = net.received[nation][taken[nation] :]
            taken[nation] += len(new)
            inputs: list[Input] = [
                ReceivedInput(exporter=o.exporter, lane=o.lane, epoch=o.epoch, sequence=o.sequence, record=o.raw) for o in new
            ]
            out = pipelines[nation].step(now_ns, [*inputs, *(said if nation == "JPN" else [])])
            net.exchanges[nation].offer(net.now_ns, out.released)
            ways |= {(nation, one.audience, one.via) for one in out.released}
            shown += [one for one in out.partners if nation == "KOR"]
        net.run(worlds.STEP_NS // 50_000_000)
    assert ways == {("JPN", "KOR", "USA")}
    tracks = [one for one in shown if isinstance(one.record, Track)]
    assert len(tracks) > 20
    assert {one.origin for one in shown} == {"JPN"}
    assert net.received["USA"] == []
    at_usa = b"".join(repr(row).encode() for (row,) in _payloads(net, "USA"))
    assert b"trilat.carried/1" in at_usa
    assert tracks[0].record.stream.encode() not in at_usa
    assert tracks[0].record.stream.encode() in b"".join(repr(row).encode() for (row,) in _payloads(net, "KOR"))
    net.close()


def _payloads(net: Joined, nation: str) -> list[tuple[bytes]]:
    store = net.exchanges[nation].station.store
    store.commit()
    return [*store.database.rows("SELECT payload FROM sent"), *store.database.rows("SELECT payload FROM received")]


@pytest.mark.asyncio
async def test_live_nodes_with_a_hub_over_nats(tmp_path: Path) -> None:
    """Three running nodes: KOR's page shows JPN's tracks, come through USA and receipted; JPN's ledger says so, and USA's names no track."""
    prepared = worlds.prepare(tmp_path, now=True)
    path = prepared["JPN"].config
    config = msgspec.toml.decode(path.read_bytes())
    for sensor in config["sensor"]:
        sensor["label"] |= {"rel_to": ["KOR"], "topics": ["missile"]}
    path.write_bytes(msgspec.toml.encode(config))
    async with (
        live.nodes_running(prepared.values()) as nodes,
        live.pages_of(nodes.values()) as pages,
        live.world_feeding([nodes["JPN"]]),
    ):
        await pages["KOR"].until(lambda page: page.ever_seen["JPN"] > 3, live.PATIENCE_S)
        await pages["JPN"].until(lambda page: live.link(page, "KOR/USA", "state").get("sent", 0) > 10, live.PATIENCE_S)
        await pages["JPN"].until(
            lambda page: live.link(page, "KOR/USA", "state").get("last_receipt_age_s") is not None, live.PATIENCE_S
        )
        assert live.link(pages["JPN"], "KOR", "state")["sent"] == 0
    held = {nation: _held(prepared[nation].directory, by) for nation, by in (("JPN", "KOR"), ("USA", "KOR"))}
    states = [one for one in held["JPN"] if one.lane == "state"]
    assert len(states) > 10
    assert {one.via for one in states} == {"USA"}
    assert "receipted" in {one.held for one in states}
    assert {one.record_type for one in held["USA"]} == {"trilat.carried/1"}
    assert {one.subject for one in held["USA"]} <= {"JPN to KOR"}


def _held(directory: Path, by: str) -> list:
    database = open_reader(directory / "store")
    try:
        return Ledger(database).held_by(by)
    finally:
        database.close()
