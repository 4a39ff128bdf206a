"""What a feed's socket turns away is counted and shown by reason, like what a decoder refuses."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from random import Random

import node_worlds as worlds
import pytest
from msgspec.structs import replace

from trilat.errors import FeedError
from trilat.feeds.sockets import FeedSockets
from trilat.node import process, show
from trilat.node.config import load
from trilat.node.health import Health
from trilat.node.settings import FeedSettings

NOW_NS = 1_795_000_000_000_000_000
FEED = FeedSettings(name="ais", format="ais", url="tcp-listen://127.0.0.1:0", sensors=("JPN/ais",))


async def test_a_second_connection_and_a_full_day_are_counted_by_reason(tmp_path: Path) -> None:
    """A connection that is turned away and bytes beyond the day's share stand in /metrics and at the feed's light."""
    feeds, health = FeedSockets(lambda: NOW_NS, Random(1), bytes_per_day_max=1_000), Health()
    port = await feeds.open(FEED.name, FEED.url, FEED.format)
    with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)) as second:
        assert b"" == await asyncio.to_thread(second.recv, 1)
    feeds.put(FEED.name, b"x" * 2_000)

    show.measure(health, feeds, 0, 0)
    show.measure(health, feeds, 0, 0)
    config = replace(load(worlds.prepare(tmp_path, now=True)["JPN"].config), feed=(FEED,))
    (light,) = show.feed_lights(NOW_NS, config, feeds, health)
    await feeds.close()

    assert {"connection-refused": 1, "day-full": 1} == light.refused
    assert b'trilat_refused_total{reason="day-full",source="ais"} 1.0' in health.metrics()


async def test_a_feed_listens_for_other_machines_only_where_it_is_told_to(tmp_path: Path) -> None:
    """`beyond_loopback` in a feed is the leave that an address of the network needs; without it the node does not start."""
    prepared = load(worlds.prepare(tmp_path, now=True)["JPN"].config)
    far = replace(FEED, url="udp://0.0.0.0:0", sensors=(prepared.sensor[0].id,))
    config = replace(prepared, feed=(replace(far, beyond_loopback=True),), partner=(), agreements=())

    async with process.running(config) as node, asyncio.timeout(60):
        port = node.ports["feeds"][FEED.name]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"hello\n", ("127.0.0.1", port))
        while (FEED.name, "syntax-bad") not in node.health.values["trilat_refused_total"]:  # noqa: ASYNC110 - a counter has no event
            await asyncio.sleep(0.05)

    with pytest.raises(FeedError, match="beyond_loopback"):
        async with process.running(replace(config, feed=(far,))):
            pass
