"""Warnings between three live nodes: how long until every partner has them durably, and every recipient the retraction.

    .venv/bin/python benchmarks/warning_nodes.py [--tiny]

Three nodes as processes with their own servers and stores, fed by the demo's early-warning radars. By hand: an officer raises a
warning and takes it back, again and again; measured from the act to the partners' pages, which show a record only when the
exchange has verified it and the inbox has it on disk. By radar: each version of a launch's warning, from the node's step that
made it (an assessment is made once a second) to the partners' pages; all nodes share this machine's clock. Wall time.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from trilat.exercise import demo
from trilat.flights.officers import newest
from trilat.lessons.three import early
from trilat.node import clock
from trilat.picture import acts
from trilat.picture.client import PageClient

AT_S, FLIGHT_S = 5.0, 145.0
RAISED, PAUSE_S = 60, 2.2  # a page takes sixty acts a minute
P99_S_MAX, RETRACTED_P95_S_MAX = 1.0, 5.0


async def main(*, tiny: bool) -> int:
    """Run, measure, print; return 1 when a target is not reached."""
    with tempfile.TemporaryDirectory(prefix="trilat-warning-") as home:
        file = Path(home) / "early.toml"
        file.write_bytes(msgspec.toml.encode(msgspec.to_builtins(early(AT_S))))
        async with demo.running(str(file), Path(home) / "nodes") as running, AsyncExitStack() as stack:
            pages = {nation: await stack.enter_async_context(running.client(nation)) for nation in sorted(running.nodes)}
            flown = asyncio.create_task(_versions(pages, FLIGHT_S if not tiny else 5.0))
            raised, retracted = await _by_hand(pages, 3 if tiny else RAISED)
            versions = await flown
    good = [_print("act to warning on both partners' pages", raised, 99, P99_S_MAX)]
    good.append(_print("act to retraction on both partners' pages", retracted, 95, RETRACTED_P95_S_MAX))
    good.append(_print("a launch's version, step to partners' pages", versions, 99, P99_S_MAX))
    return 0 if tiny or all(good) else 1  # so little is no measurement


async def _by_hand(pages: dict[str, PageClient], count: int) -> tuple[list[float], list[float]]:
    """Raise and retract at JPN; return how long each took to be on both partners' pages."""
    raised, retracted = [], []
    mine, others = pages["JPN"], [pages["KOR"], pages["USA"]]
    for k in range(count):
        words = f"EXERCISE measured {k}"
        began_s = time.perf_counter()
        told = await mine.act(
            lambda act_id, words=words: acts.RaiseWarning(act_id=act_id, kind="test", headline=words, rel_to=("KOR", "USA"))
        )
        if not told["ok"]:
            raise SystemExit(f"refused: {told}")
        for page in others:
            await page.until(lambda page, words=words: _titled(page, words), 60.0)
        raised.append(time.perf_counter() - began_s)
        await mine.until(lambda page, words=words: _titled(page, words), 60.0)
        held = _titled(mine, words) or {}
        began_s = time.perf_counter()
        await mine.act(
            lambda act_id, held=held: acts.RetractWarning(act_id=act_id, warning_id=held["id"], version=held["version"])
        )
        for page in others:
            await page.until(lambda page, words=words: (_titled(page, words) or {}).get("retraction"), 60.0)
        retracted.append(time.perf_counter() - began_s)
        await asyncio.sleep(PAUSE_S if count > 3 else 0.3)
    return raised, retracted


def _titled(page: PageClient, words: str) -> dict[str, Any] | None:
    return next((one for one in page.warnings.values() if one["headline"] == words), None)


async def _versions(pages: dict[str, PageClient], seconds: float) -> list[float]:
    """Watch the pages; return for each version of a launch's warning how old it was when a partner's page showed it."""
    seen: dict[tuple[str, str, int], float] = {}
    end_s = time.perf_counter() + seconds
    while time.perf_counter() < end_s:
        await asyncio.sleep(0.005)
        for nation, page in pages.items():
            for origin in pages:
                held = None if origin == nation else newest(page, origin)
                if held is not None and held["version"] > 0:
                    key = (nation, held["key"], held["version"])
                    seen.setdefault(key, clock.now_ns() / 1e9 - held["t_ms"] / 1e3)
    return list(seen.values())


def _print(what: str, values: list[float], percent: int, most_s: float) -> bool:
    if not values:
        print(f"{what}: nothing was measured")
        return False
    p50, p95, p99 = (float(np.percentile(values, p)) for p in (50, 95, 99))
    reached = float(np.percentile(values, percent)) <= most_s
    word = "reached" if reached else "NOT reached"
    print(f"{what}: n {len(values)}, p50 {p50:.3f} s, p95 {p95:.3f} s, p99 {p99:.3f} s; p{percent} <= {most_s:g} s {word}")
    return reached


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Warnings between three live nodes.")
    parser.add_argument("--tiny", action="store_true", help="the smallest run that still goes through everything")
    sys.exit(asyncio.run(main(tiny=parser.parse_args().tiny)))
