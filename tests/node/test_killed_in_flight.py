"""A node's process that is killed while a missile flies and started again goes on with that flight's warning, live."""

from __future__ import annotations

from pathlib import Path

import live_nodes as live
import msgspec
import pytest

from trilat.exercise import demo
from trilat.flights.officers import newest
from trilat.lessons.three import early
from trilat.picture.client import PageClient

AT_S, FLIGHT_S = 5.0, 300.0


def version(page: PageClient) -> int:
    """Return which version of JPN's newest warning of a flight a page shows; 0 without one."""
    held = newest(page, "JPN")
    return 0 if held is None else int(held["version"])


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_a_killed_node_goes_on_with_the_flight(tmp_path: Path) -> None:
    """JPN is killed once it has assessed a launch: it and KOR show later versions of the same warning, and no second one."""
    file = tmp_path / "early.toml"
    file.write_bytes(msgspec.toml.encode(msgspec.to_builtins(early(AT_S))))
    async with demo.running(str(file), tmp_path / "nodes") as running, running.client("KOR") as partner:
        async with running.client("JPN") as page:
            await page.until(lambda page: version(page) > 0 and bool((newest(page, "JPN") or {})["touched"]), FLIGHT_S)
            await partner.until(lambda partner: version(partner) > 0, live.PATIENCE_S)
            before = newest(page, "JPN") or {}
        await running.restart("JPN")
        async with running.client("JPN") as page:
            await page.until(lambda page: version(page) >= before["version"] + 3, FLIGHT_S)
            reached = version(page)
            await partner.until(lambda partner: version(partner) >= reached, live.PATIENCE_S)
            for shown in (page, partner):
                mine = [one["id"] for one in shown.warnings.values() if one["originator"] == "JPN"]
                assert 1 == len(mine), mine
            assert before["id"] == (newest(page, "JPN") or {})["id"]
