"""The demo: three nodes as three processes, the world that feeds them, and a watcher that judges by the pages. Does I/O."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from trilat.errors import ExerciseError
from trilat.exercise import provision, scenario, simulate
from trilat.exercise.processes import NodeProcess, compile_kernels
from trilat.exercise.world import World
from trilat.flights.launches import Launched
from trilat.flights.officers import Officers, Story
from trilat.node import clock
from trilat.records.label import Mode

if TYPE_CHECKING:
    from trilat.picture.client import PageClient

SCENARIO = "straits"
ISSUER = "JPN"  # whose officers issue, by script, in a headless run
STORY_AFTER_S = 120.0
WATCH_S = 0.5


class Seen(NamedTuple):
    """What one page delivered: the most tracks of each nation at once, frames, and when every nation had been seen."""

    nation: str
    tracks: dict[str, int]
    frames: int
    complete_s: float | None


class Watched(NamedTuple):
    """What a headless demo saw: each page, and the story of the launch (None where the scenario has none).

    story_s: so long it takes, from the start, for the whole story; a shorter run is not blamed for its end.
    """

    pages: list[Seen]
    story: Story | None = None
    story_s: float = 0.0


class Demo:
    """A running demo: the nodes by nation, the world, and where the pages are."""

    def __init__(self, directory: Path, nodes: dict[str, NodeProcess], world: World, lines: simulate.Lines) -> None:
        self.directory = directory
        self.nodes = nodes
        self.world = world
        self.lines = lines

    def page(self, nation: str) -> str:
        """Return the address of a nation's page."""
        return f"http://127.0.0.1:{self.nodes[nation].ports['page']}/"

    async def restart(self, nation: str) -> None:
        """Kill a nation's node as a power cut would, start it on its store, lead its sensors' lines to where it listens now."""
        node = self.nodes[nation]
        await node.kill()
        await node.start()
        await node.ready()
        mine = {sensor.id for sensor in self.world.scenario.sensor if sensor.nation == nation}
        await self.lines.move({sensor: url for sensor, url in _urls(self.world.scenario, self.nodes).items() if sensor in mine})

    def client(self, nation: str, officer: int = 0) -> PageClient:
        """Return a page without a screen that logs in as a nation's first watch officer, or another by number."""
        from trilat.picture.client import PageClient  # noqa: PLC0415 - only the headless demo opens pages itself

        login = [one for one in self.nodes[nation].prepared.logins if one.role == "watch-officer"][officer]
        return PageClient(self.page(nation), login.user, login.password)


@contextlib.asynccontextmanager
async def running(
    scenario_name: str = SCENARIO,
    directory: Path | None = None,
    page_ports: tuple[int, ...] = (),
    say: Callable[[str], None] = lambda _: None,
    speed: float = 1.0,
) -> AsyncIterator[Demo]:
    """Prepare, start and feed three nodes while the block runs; then end all of them and remove what was made for them."""
    plan = scenario.load(scenario_name)
    home = Path(tempfile.mkdtemp(prefix="trilat-demo-")) if directory is None else directory
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    mode = Mode(kind="exercise", id="demo")
    try:
        await compile_kernels(say)
        say("Making keys, agreements and configurations ...")
        prepared = provision.prepare(plan, home, mode, clock.now_ns(), os.urandom, page_ports)
        async with contextlib.AsyncExitStack() as stack:
            nodes = {nation: NodeProcess(one) for nation, one in prepared.items()}
            say(f"Starting {len(nodes)} nodes ...")
            for node in nodes.values():
                stack.push_async_callback(node.stop)
                await node.start()
            for node in nodes.values():
                await node.ready()
            lines = simulate.Lines(_urls(plan, nodes))
            await lines.open()
            stack.push_async_callback(lines.close)
            world = World(plan, clock.now_ns())
            world.prepare()
            stop = asyncio.Event()
            feeding = asyncio.create_task(simulate.run(world, lines, clock.now_ns, stop, speed))
            try:
                yield Demo(home, nodes, world, lines)
            finally:
                stop.set()
                await feeding
    finally:
        if directory is None:
            shutil.rmtree(home, ignore_errors=True)


def _urls(plan: scenario.Scenario, nodes: dict[str, NodeProcess]) -> dict[str, str]:
    urls = {}
    for sensor in plan.sensor:
        port = nodes[sensor.nation].ports["feeds"][provision.feed_of(sensor.id)]
        urls[sensor.id] = f"{'tcp' if sensor.link in ('adsb', 'plots') else 'udp'}://127.0.0.1:{port}"
    return urls


async def watch(demo: Demo, seconds: float, say: Callable[[str], None] = lambda _: None) -> Watched:
    """Watch every page as a browser would for `seconds`, the officers at them; ends early only when a node ends or hangs up."""
    nations = tuple(sorted(demo.nodes))
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        pages = {}
        for nation in nations:
            pages[nation] = await stack.enter_async_context(demo.client(nation))
        began_s = loop.time()
        complete: dict[str, float] = {}
        officers = None
        if demo.world.launched:
            second = await stack.enter_async_context(demo.client(ISSUER, 1))
            officers = Officers(pages, second, ISSUER, lambda: loop.time() - began_s, seconds, say)
            playing = asyncio.create_task(officers.play())
            stack.push_async_callback(_ended, playing)
        while loop.time() < began_s + seconds and all(node.alive for node in demo.nodes.values()):
            await asyncio.sleep(WATCH_S)
            for nation, page in pages.items():
                if nation not in complete and all(page.ever_seen[one] for one in nations):
                    complete[nation] = loop.time() - began_s
                    say(f"{nation}: tracks of all {len(nations)} nations after {complete[nation]:.1f} s")
        seen = [
            Seen(nation, dict(sorted(page.ever_seen.items())), page.frames_in, complete.get(nation))
            for nation, page in pages.items()
        ]
        return Watched(
            seen, None if officers is None else officers.story, max((_over_s(one) for one in demo.world.launched), default=0.0)
        )


def _over_s(launched: Launched) -> float:
    """Return by when the story of a launch is over: it has come down, its latest time and a minute are past, and all know."""
    return launched.plan.at_s + launched.flight.landing_s + STORY_AFTER_S


async def _ended(playing: asyncio.Task[Story]) -> None:
    # A page that hung up or did not answer ends the officers' part: what they had not done by then is missing from the story.
    playing.cancel()
    with contextlib.suppress(asyncio.CancelledError, ConnectionError, TimeoutError):
        await playing


async def run(
    scenario_name: str,
    directory: Path | None,
    page_ports: tuple[int, ...],
    seconds: float | None,
    *,
    headless: bool,
    say: Callable[[str], None],
    show: Callable[[Demo], None],
) -> Watched:
    """Run the demo until it is told to end or its time is up; headless returns what the pages delivered.

    Told to end while it starts, it ends at once. A terminal that hangs up tells it to end, too.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        starting = asyncio.create_task(stack.enter_async_context(running(scenario_name, directory, page_ports, say)))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not starting.done():
            say("Ending before all had started ...")
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await starting
            return Watched([])
        demo = starting.result()
        show(demo)
        if headless:
            watching = asyncio.create_task(watch(demo, seconds or 0.0, say))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not watching.done():
                watching.cancel()
                return Watched([])
            return watching.result()
        waiting = asyncio.create_task(stop.wait())
        dying = asyncio.create_task(_first_death(demo))
        await asyncio.wait({waiting, dying}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        dying.cancel()
        if dying.done() and not dying.cancelled():
            raise ExerciseError("node-not-started", dying.result())
        say("Ending ...")
    return Watched([])


async def _first_death(demo: Demo) -> str:
    while True:
        for nation, node in demo.nodes.items():
            if not node.alive:
                return f"{nation} ended: {node.tail()}"
        await asyncio.sleep(WATCH_S)
