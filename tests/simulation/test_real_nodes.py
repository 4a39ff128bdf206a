"""The main job on real input: recordings into three running nodes in mode Replay, and on each page what policy releases."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import live_nodes as live
import pytest
import real_nodes as real

from trilat.node import clock
from trilat.picture.client import PageClient

# As a whole the recordings are sent so many times faster than life; their beginnings at a pace that two busy cores keep up with.
SPEED, SPEED_SHORT = 20, 4
# Which part of each recording the short run sends (from and to which byte of the unpacked file; None = all of it). The receiver's
# begins where aircraft are dense: its first half hour is one aircraft on the ground.
PARTS = {"flight": (0, 60_000), "ships": (0, 30_000), "spoofed": None, "radar": None, "receiver": (1_374_867, 1_600_000)}
# A busy machine is slow, not wrong: what has to happen is waited for this long.
PATIENCE_S = 4 * live.PATIENCE_S
# The jets of the recordings: the flight that landed at Haneda, and one of those over Toulouse.
FLIGHT = "JAL516"
# What is refused in these recordings, and rightly: messages without a position, of types without one, sent twice.
EXPECTED = {"type-unsupported", "position-missing", "position-unresolved", "no-detection", "repeated", "syntax-bad"}


@contextlib.asynccontextmanager
async def replaying(recordings: Path, nodes: dict[str, live.Running], speed: int) -> AsyncIterator[None]:
    """Run one `trilat replay` for every nation, all from one moment on, while the block runs."""
    start = datetime.fromtimestamp(clock.now_ns() / live.NS, UTC) + timedelta(seconds=5)
    processes = []
    try:
        for nation, node in nodes.items():
            mine = [one for one in real.RECORDINGS if one.nation == nation]
            command = ["-c", "from trilat.cli import main; main()", "replay", "--to", str(node.process.prepared.config)]
            command += ["--speed", str(speed), "--start-at", start.isoformat(), "--date", "2018-09-04"]
            for one in mine:
                command += [f"{one.feed}={recordings / one.file}"]
                command += [f"--option={name}={value}" for name, value in one.settings.get("options", {}).items()]
                command += [f"--edition={category}={edition}" for category, edition in one.settings.get("editions", {}).items()]
            pipe = asyncio.subprocess.PIPE
            processes.append(await asyncio.create_subprocess_exec(sys.executable, *command, stderr=pipe, env=_environ()))
        yield
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()


def _environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("TRILAT_")}


def beginnings(recordings: Path, folder: Path) -> Path:
    """Return a folder with a part of every recording, whole lines only, under its own name."""
    for one in real.RECORDINGS:
        raw, part = (recordings / one.file).read_bytes(), PARTS[one.feed]
        if part is not None:
            packed = one.file.endswith(".gz")
            plain = gzip.decompress(raw) if packed else raw
            kept = plain[plain.rfind(b"\n", 0, part[0]) + 1 : plain.rfind(b"\n", 0, part[1]) + 1]
            raw = gzip.compress(kept) if packed else kept
        (folder / one.file).parent.mkdir(parents=True, exist_ok=True)
        (folder / one.file).write_bytes(raw)
    return folder


def feeds(page: PageClient) -> dict[str, dict[str, Any]]:
    """Return what a page says of its own feeds, by name."""
    return {feed["name"]: feed for feed in page.status.get("feeds", ())}


@pytest.mark.timeout(600)  # what it waits for has bounds of its own
@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["beginnings", "whole"])
async def test_recordings_at_once_reach_the_partners_that_may_have_them(recordings: Path, tmp_path: Path, *, whole: bool) -> None:
    """Five recordings into three nodes: every page shows what its partners release, and not the one flight withheld from JPN."""
    prepared = real.prepare(tmp_path / "nodes")
    sent, speed = (recordings, SPEED) if whole else (beginnings(recordings, tmp_path / "sent"), SPEED_SHORT)
    async with live.nodes_running(prepared.values()) as nodes, live.pages_of(nodes.values()) as pages:
        jpn, kor, usa = (pages[nation] for nation in real.ALL)
        async with replaying(sent, nodes, speed):
            await usa.until(lambda page: page.ever_seen["JPN"] and page.ever_seen["KOR"], PATIENCE_S)
            for page in (jpn, kor, usa):
                await page.until(lambda page: page.ever_seen["JPN"] and page.ever_seen["USA"], PATIENCE_S)
            for page in (kor, usa):
                await page.until(lambda page: any(FLIGHT in name for name in page.names.values()), PATIENCE_S)
            await jpn.until(lambda page: feeds(page)["ships"]["reports"] > (800 if whole else 50), PATIENCE_S)
            await kor.until(lambda page: feeds(page)["radar"]["reports"], PATIENCE_S)

        assert 0 == jpn.ever_seen["KOR"]
        assert {"replay"} == {page.hello["mode"]["kind"] for page in pages.values()}
        assert feeds(kor)["radar"]["reports"] > 50
        assert {reason for page in pages.values() for feed in feeds(page).values() for reason in feed["refused"]} <= EXPECTED
