"""What the picture costs: a frame of many moving tracks on one core, its size, and how long it takes to reach open pages.

Rates are of processor time, the best of several turns; the push is wall time over real sockets on the loopback, server and
readers in this one process. The tracks are made here; every one of them moves in every frame.
"""

import argparse
import asyncio
import sys
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "picture"))

import feeder

from trilat.picture.client import PageClient
from trilat.picture.inputs import CopInput, CopSettings
from trilat.picture.web import Hub, WebSettings, make_app, serving

EVERY_STEP = CopSettings(frame_ms=0)


def ticks(tracks: int, turns: int) -> list[CopInput]:
    """Return the inputs of successive ticks of one nation with that many tracks, all moving."""
    world = feeder.World(3 * tracks)
    return [CopInput(own=world.own("JPN", feeder.START_NS + turn * feeder.NS // 5)) for turn in range(turns)]


def frame_cost(tracks: int, turns: int) -> None:
    """Print what one step and one delta frame cost, and how large it is."""
    cop, steps, packs, size = feeder.make_cop("JPN", EVERY_STEP), [], [], 0
    for turn, given in enumerate(ticks(tracks, turns)):
        started = process_time()
        cop.step(feeder.START_NS + turn * feeder.NS // 5, given)
        stepped = process_time()
        size = len(cop.frames("watch", cop.sequence("watch") - 1 or None))
        steps.append(stepped - started)
        packs.append(process_time() - stepped)
    print(f"picture step        {tracks:>6} tracks   {min(steps[1:]) * 1e3:8.2f} ms (columns to records, compared with the last)")
    print(f"picture delta frame {tracks:>6} tracks   {min(packs[1:]) * 1e3:8.2f} ms, {size / tracks:.1f} bytes a track")


async def push(tracks: int, pages: int, turns: int) -> None:
    """Print how long a frame takes from the step's end until each of the pages has decoded and applied it."""
    cop = feeder.make_cop("JPN", EVERY_STEP)
    hub = Hub(cop, feeder.Feeder(3).on_act, feeder.open_gate(), WebSettings(sessions_max=pages + 1))
    good = (True, {})
    app = make_app(hub, live=lambda: good, ready=lambda: good, metrics=lambda: b"")
    waits: list[float] = []
    given = ticks(tracks, turns)
    cop.step(feeder.START_NS, given[0])
    async with serving(app, "127.0.0.1", 0, hub.settings) as port:
        readers = [PageClient(f"http://127.0.0.1:{port}") for _ in range(pages)]
        await asyncio.gather(*(reader.connect() for reader in readers))
        await asyncio.gather(*(reader.until(lambda page: page.frames_in) for reader in readers))
        for turn, tick in enumerate(given[1:], 1):
            cop.step(feeder.START_NS + turn * feeder.NS // 5, tick)
            hub.publish()
            started, goal = perf_counter(), cop.sequence("watch")

            async def reached(reader: PageClient, started: float = started, goal: int = goal) -> None:
                await reader.until(lambda page: page.sequence >= goal)
                waits.append(perf_counter() - started)

            await asyncio.gather(*(reached(reader) for reader in readers))
        await asyncio.gather(*(reader.close() for reader in readers))
    p50, p99 = np.percentile(np.array(waits) * 1e3, [50, 99])
    print(f"picture push        {tracks:>6} tracks   p50 {p50:.1f} ms, p99 {p99:.1f} ms to {pages} pages, until decoded by all")


def main() -> None:
    """Measure, at full size or tiny."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="a few tracks and turns, to see that it runs")
    given = parser.parse_args()
    frame_cost(200 if given.tiny else 10_000, 3 if given.tiny else 30)
    asyncio.run(push(100 if given.tiny else 1_000, 2 if given.tiny else 10, 3 if given.tiny else 25))


if __name__ == "__main__":
    main()
