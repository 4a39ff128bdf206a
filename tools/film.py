"""Film the demo's launch: run it, take pictures of the three nations' pages, and make one short animation of them.

`python tools/film.py docs/images/launch.webp` takes as long as the flight (about nine minutes) and needs Chromium (`make test`
installs it) and Pillow. The officers act by script, through pages of their own, as in `trilat demo --headless`.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import shutil
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.async_api import Browser, Page, async_playwright

from trilat.exercise import demo
from trilat.flights.officers import Officers, Story

SIZE, SCALE = (820, 560), 0.58
EVERY_S = 2.0
FRAME_MS, LAST_MS = 200, 3_000
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
BYTES_MAX = 1_500_000


async def main() -> None:
    """Run the demo, film it, write the animation; exit 1 when the story was not told to its end."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("out", type=Path)
    asked.add_argument("--seconds", type=float, default=0.0, help="How long; without it as long as the flight takes.")
    asked.add_argument("--stills", type=Path, help="Keep every picture in this folder, too.")
    args = asked.parse_args()
    if args.stills is not None:
        args.stills.mkdir(parents=True, exist_ok=True)
    async with demo.running(say=print) as running, async_playwright() as playwright:
        program = next((found for name in NAMES if (found := shutil.which(name))), None)
        browser = await playwright.chromium.launch(executable_path=program, headless=True, args=list(FLAGS))
        launched = running.world.launched[0]
        seconds = args.seconds or launched.plan.at_s + launched.flight.landing_s + demo.STORY_AFTER_S
        frames, story = await _film(running, browser, seconds, launched.plan.at_s - 6.0, args.stills)
        await browser.close()
    _write(args.out, frames)
    print(story.line())
    print(f"{args.out}: {len(frames)} pictures, {args.out.stat().st_size:,} bytes")
    if story.missing or args.out.stat().st_size > BYTES_MAX:
        sys.exit(1)


async def _film(
    running: demo.Demo, browser: Browser, seconds: float, from_s: float, stills: Path | None
) -> tuple[list[Image.Image], Story]:
    loop = asyncio.get_running_loop()
    began_s, nations = loop.time(), sorted(running.nodes)
    async with AsyncExitStack() as stack:
        shown = [await _open(browser, running, nation) for nation in nations]
        clients = {nation: await stack.enter_async_context(running.client(nation)) for nation in nations}
        second = await stack.enter_async_context(running.client(demo.ISSUER, 1))
        officers = Officers(clients, second, demo.ISSUER, lambda: loop.time() - began_s, seconds, print)
        playing = asyncio.create_task(officers.play())
        frames: list[Image.Image] = []
        while loop.time() - began_s < seconds:
            await asyncio.sleep(EVERY_S)
            if loop.time() - began_s < from_s:
                continue
            frames.append(await _picture(shown))
            if stills is not None:
                frames[-1].save(stills / f"{len(frames):04d}.png")
            if playing.done() and officers.story.at_s.get("stood down", seconds) + 3.0 < loop.time() - began_s:
                break
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        return frames, officers.story


async def _open(browser: Browser, running: demo.Demo, nation: str) -> Page:
    login = running.nodes[nation].prepared.login("watch-officer")
    context = await browser.new_context(viewport={"width": SIZE[0], "height": SIZE[1]}, reduced_motion="reduce")
    page = await context.new_page()
    await page.goto(running.page(nation))
    await page.fill("[name=user]", login.user)
    await page.fill("[name=password]", login.password)
    await page.get_by_test_id("login").click()
    return page


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
    for step, quality in ((1, 55), (2, 55), (2, 40), (3, 35), (4, 30)):
        kept = [*frames[::step], frames[-1]]
        times: list[Any] = [FRAME_MS * step] * (len(kept) - 1) + [LAST_MS]
        kept[0].save(out, save_all=True, append_images=kept[1:], duration=times, loop=0, quality=quality, method=4)
        if out.stat().st_size <= BYTES_MAX:
            return


if __name__ == "__main__":
    asyncio.run(main())
