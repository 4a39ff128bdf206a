"""Film the demo's launch on three nations' pages and make one short animation of it.

`python tools/film.py docs/images/launch.webp` runs three whole pipelines on a made-up clock, so that what is filmed depends on no
machine's speed, and takes a picture of the pages every few seconds of that clock. The officers act by script. It needs Chromium
(`make test` installs it) and Pillow.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import io
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
from PIL import Image
from playwright.async_api import Browser, Page, async_playwright

from trilat.exercise import scenario
from trilat.picture import acts

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests" / one) for one in ("node", "picture")]
nodes: Any = importlib.import_module("launch_nodes")
Pages: Any = importlib.import_module("launch_pages").Pages

SIZE, SCALE = (1180, 880), 0.42
FROM_S = 74.0  # of the world: a little before the launch is detected
EVERY_S, SLOWER_S = 2.0, 8.0  # of the world; after the all clear is only waited for, pictures are farther apart
FRAME_MS, LAST_MS = 220, 3_000
TRAFFIC = 0.35  # of the scenario's: enough to look like a watch
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
BYTES_MAX = 1_500_000


def main() -> None:
    """Film, write the animation, and say what it shows; exit 1 when it came out too large."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("out", type=Path)
    asked.add_argument("--stills", type=Path, help="Keep every picture in this folder, too.")
    asked.add_argument("--until", type=float, default=460.0, help="Where the film ends at the latest, in seconds of the world.")
    args = asked.parse_args()
    if args.until <= FROM_S:
        asked.error(f"--until {args.until:g}: the film begins at {FROM_S:g} s of the world; name a later end.")
    with tempfile.TemporaryDirectory() as home:
        frames = asyncio.run(_film(Path(home), args.until))
    if args.stills is not None:
        args.stills.mkdir(parents=True, exist_ok=True)
        for k, frame in enumerate(frames):
            frame.save(args.stills / f"{k:04d}.png")
    _write(args.out, frames)
    print(f"{args.out}: {len(frames)} pictures, {args.out.stat().st_size:,} bytes")
    if args.out.stat().st_size > BYTES_MAX:
        sys.exit(1)


def _plan() -> scenario.Scenario:
    whole = scenario.load("straits")
    corridors = tuple(msgspec.structs.replace(one, count=max(1, round(one.count * TRAFFIC))) for one in whole.corridor)
    sensors = tuple(one for one in whole.sensor if one.link)
    launch = tuple(msgspec.structs.replace(one, at_s=20.0) for one in whole.launch)
    return msgspec.structs.replace(whole, corridor=corridors, sensor=sensors, launch=launch)


async def _film(home: Path, until_s: float) -> list[Image.Image]:
    made = nodes.configs(home, plan := _plan())
    pages = Pages(made, nodes.Three(made, plan=plan))
    acts = _script(pages)
    frames: list[Image.Image] = []
    async with AsyncExitStack() as stack:
        addresses = await stack.enter_async_context(pages.served())
        playwright = await stack.enter_async_context(async_playwright())
        program = next((found for name in NAMES if (found := shutil.which(name))), None)
        browser = await playwright.chromium.launch(executable_path=program, headless=True, args=list(FLAGS))
        stack.push_async_callback(browser.close)
        pages.to(FROM_S)
        shown = [await _open(browser, addresses[name]) for name in ("ann", "kim", "lee")]
        over, located = False, set[str]()
        while pages.three.second < until_s and not over:
            pages.to(pages.three.second + (EVERY_S if len(frames) < 60 else SLOWER_S))
            over = acts()
            await asyncio.sleep(0.6)  # until the pages have drawn it
            for what in {"state", "landing"} - located:  # when it is detected, and when the fan has become an ellipse
                if await _located(shown, what):
                    located.add(what)
            frames.append(await _picture(shown))
    return frames


def _script(pages: Any) -> Callable[[], bool]:
    """Return what the officers do, asked after every picture; it tells when the story is over."""
    three, done = pages.three, set[str]()

    def once(what: str, holds: Any) -> bool:
        if what in done or not holds:
            return False
        done.add(what)
        print(f"{three.second:6.1f} s  {what}")
        return True

    def ask() -> bool:
        mine = three.newest("JPN", "JPN")
        pending = three.pipelines["JPN"].approvals.pending()
        if mine is None:
            return False
        told = {"warning_id": mine.id, "version": mine.version}
        once("detected", mine)
        if once("proposed", mine.touched and three.second > 160.0):
            three.act("JPN", _who("ann"), acts.IssueWarning(act_id="i", audiences=("KOR", "PUBLIC", "USA"), minutes=30, **told))
        elif pending and once("approved", "proposed" in done):
            one = pending[-1].proposal
            three.act("JPN", _who("ben"), acts.Approve(act_id="a", proposal=one.id, content_sha256=one.content_sha256.hex()))
        elif mine.issued and once("acknowledged", mine):
            for nation, name in (("JPN", "ann"), ("KOR", "kim"), ("USA", "lee")):
                for origin in three.pipelines:
                    held = three.newest(nation, origin)
                    if held is not None:
                        act = acts.AcknowledgeWarning(act_id="k", originator=origin, warning_id=held.id, version=held.version)
                        three.act(nation, _who(name), act)
        elif once("all clear", mine.state in ("landed", "passed")):
            three.act("JPN", _who("ben"), acts.StandDown(act_id="s", **told))
        return bool(mine.state == "stood-down")

    return ask


def _who(name: str) -> Any:
    return nodes.officer(name)


async def _open(browser: Browser, address: str) -> Page:
    context = await browser.new_context(viewport={"width": SIZE[0], "height": SIZE[1]}, reduced_motion="reduce")
    page = await context.new_page()
    await page.goto(address)
    return page


async def _located(pages: list[Page], what: str) -> bool:
    """Bring the flight into view on every page, once each of them tells this of it; tell whether that was done."""
    rows = [page.locator('[data-testid="warning"]').filter(has=page.get_by_test_id(what)) for page in pages]
    buttons = [row.get_by_test_id("locate") for row in rows]
    if not all([await one.count() for one in buttons]):
        return False
    for one in buttons:
        await one.first.click()
    return True


async def _picture(pages: list[Page]) -> Image.Image:
    """Return the pages side by side, as small as the animation has them."""
    taken = [Image.open(io.BytesIO(await page.screenshot())).convert("RGB") for page in pages]
    size = (round(SIZE[0] * SCALE), round(SIZE[1] * SCALE))
    whole = Image.new("RGB", (size[0] * len(taken) + 4 * (len(taken) - 1), size[1]), (0, 0, 0))
    for k, one in enumerate(taken):
        whole.paste(one.resize(size, Image.Resampling.LANCZOS), (k * (size[0] + 4), 0))
    return whole


def _write(out: Path, frames: list[Image.Image]) -> None:
    """Write the animation, coarser until it is small enough."""
    out.parent.mkdir(parents=True, exist_ok=True)
    for step, quality in ((1, 55), (1, 40), (2, 40), (2, 30), (3, 30)):
        kept = [*frames[::step], frames[-1]]
        times: list[Any] = [FRAME_MS * step] * (len(kept) - 1) + [LAST_MS]
        kept[0].save(out, save_all=True, append_images=kept[1:], duration=times, loop=0, quality=quality, method=4)
        if out.stat().st_size <= BYTES_MAX:
            return


if __name__ == "__main__":
    main()
