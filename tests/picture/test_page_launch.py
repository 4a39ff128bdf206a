"""A launch that radars saw, on the pages of three nations: detected, assessed, issued by two, acknowledged by three, stood down."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import launch_nodes as nodes
import pytest
from launch_pages import Pages
from mapless import without_map

from trilat.picture.web import STATIC

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Locator, Page

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.timeout(400),  # drawn by software on a busy machine
    pytest.mark.skipif(not (STATIC / "index.html").is_file(), reason="the page is not built: make page"),
]
MS_MAX = 120_000.0
CUT_OFF = """() => {
  const bad = [];
  const box = (one) => one.getBoundingClientRect();
  const told = (one) => `${one.className} ${one.textContent}`;
  for (const one of document.querySelectorAll(".topbar button, .clock, .warning .state, .warning .acks, .warning button")) {
    const at = box(one);
    if (at.left < 0 || at.right > innerWidth) bad.push(`out: ${told(one)}`);
  }
  for (const row of document.querySelectorAll(".warning")) {
    const parts = [...row.children];
    for (const a of parts) for (const b of parts) {
      const [p, q] = [box(a), box(b)];
      if (a !== b && p.left + 1 < q.right && q.left + 1 < p.right && p.top + 1 < q.bottom && q.top + 1 < p.bottom) {
        bad.push(`over: ${told(a)} / ${told(b)}`);
      }
    }
    if (row.scrollWidth > row.clientWidth + 1) bad.push(`wide: ${told(row)}`);
  }
  return bad;
}"""
# What a watch officer must see of each warning without scrolling, whole, and nothing of it on or under anything else.
SHOWN = ("state", "from", "since", "landing", "class", "confidence", "areas", "ack")
SEEN_WHOLE = """shown => {
  const bad = [];
  const list = document.querySelector(".strip ul");
  const whole = list.getBoundingClientRect();
  if (list.scrollHeight > list.clientHeight || list.scrollWidth > list.clientWidth) {
    bad.push(`scrolls: ${list.scrollWidth} x ${list.scrollHeight} in ${list.clientWidth} x ${list.clientHeight}`);
  }
  const text = (one) => { const range = document.createRange(); range.selectNodeContents(one); return range.getBoundingClientRect(); };
  const leaves = [];
  for (const row of document.querySelectorAll(".warning")) {
    for (const name of shown) {
      if (!row.querySelector(`[data-testid="${name}"]`)) bad.push(`${row.dataset.key} has no ${name}`);
    }
    if (!row.querySelector(".ack[data-nation]")) bad.push(`${row.dataset.key} has no acknowledgements`);
    for (const one of row.querySelectorAll("[data-testid], .ack, .what b, .what small, .ends")) leaves.push(one);
  }
  for (const one of leaves) {
    const at = text(one);
    const name = `${one.dataset.testid ?? one.className} ${one.textContent}`;
    if (at.left < Math.max(whole.left, 0) || at.right > Math.min(whole.right, innerWidth)) bad.push(`beside: ${name}`);
    if (at.top < whole.top || at.bottom > whole.bottom) bad.push(`below: ${name}`);
    if (one.clientWidth && (one.scrollWidth > one.clientWidth || one.scrollHeight > one.clientHeight)) bad.push(`cut: ${name}`);
    const on = document.elementFromPoint(at.left + at.width / 2, at.top + Math.min(at.height / 2, 6));
    if (!on || !(one.contains(on) || on.contains(one))) bad.push(`covered: ${name} by ${on && on.className}`);
    for (const other of leaves) {
      const to = text(other);
      if (one !== other && !one.contains(other) && !other.contains(one) && at.left + 1 < to.right && to.left + 1 < at.right
          && at.top + 2 < to.bottom && to.top + 2 < at.bottom) bad.push(`over: ${name} / ${other.textContent}`);
    }
  }
  const map = document.querySelector(".mapbox").getBoundingClientRect();
  if (map.height < 0.38 * innerHeight) bad.push(`a map of ${map.height} in ${innerHeight}`);
  return bad;
}"""
SEEN_S, DETECTED_S, ASSESSED_S = 66.0, 85.0, 124.0  # of the world: in nobody's sight before; called by all; with areas


class Clock:
    """Moves the world when the test says so, or somebody has acted; in between the pages hear that all is well."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        pages.three.step_ns = 500_000_000
        pages.three.skip(SEEN_S)

    async def to(self, second: float) -> None:
        """Step to a second of the world, and let the pages have their turn."""
        while self.pages.three.second < second:
            self.pages.step()
            await asyncio.sleep(0)

    async def tick(self) -> None:
        """Go on for ever."""
        while True:
            if any(self.pages.three.acts.values()):
                await self.to(self.pages.three.second + 1.0)
            self.pages.publish()
            await asyncio.sleep(0.3)


@contextlib.asynccontextmanager
async def opened(browser: Browser, clock: Clock) -> AsyncIterator[dict[str, Page]]:
    """Open a page for each officer: ann's with its map, the others' without."""
    async with contextlib.AsyncExitStack() as stack:
        addresses = await stack.enter_async_context(clock.pages.served())
        on: dict[str, Page] = {}
        for name, address in addresses.items():
            context = await browser.new_context(viewport={"width": 1100, "height": 640}, reduced_motion="reduce")
            stack.push_async_callback(context.close)
            on[name] = await (context if name == "ann" else await without_map(context)).new_page()
            await on[name].goto(address)

        ticking = asyncio.ensure_future(clock.tick())
        stack.callback(ticking.cancel)
        yield on


def row(page: Page, origin: str) -> Locator:
    """Return the row of an origin's warning."""
    return page.locator(f'[data-testid="warning"][data-key^="{origin}/"]')


async def state(page: Page, origin: str, *words: str) -> None:
    """Wait until an origin's warning is in one of these states; EXERCISE stands in its row."""
    wanted = row(page, origin).locator('[data-testid="state"]').filter(has_text=words[0])
    for word in words[1:]:
        wanted = wanted.or_(row(page, origin).locator('[data-testid="state"]').filter(has_text=word))
    await wanted.first.wait_for(timeout=MS_MAX)
    assert "EXERCISE" in await row(page, origin).first.inner_text()


async def located(page: Page, mine: Locator) -> None:
    """**Locate** brings launch, way and landing area of a flight into view, whatever was looked at before."""
    await mine.get_by_test_id("locate").click()
    await page.wait_for_function(
        "at => { const [w, s, e, n] = window.trilat.view; return at.every(([x, y]) => w < x && x < e && s < y && y < n) }",
        arg=[[125.67, 39.2], [130.4, 34.5]],  # where the scenario's launch is from, and some km before where it lands
        timeout=MS_MAX,
    )


async def nothing_cut_off(page: Page) -> None:
    """On narrow and wide screens every button, state and the clock stand whole in the window, and no two of a row on one another."""
    for width in (900, 1100, 1366, 1920):
        await page.set_viewport_size({"width": width, "height": 640})
        bad = await page.evaluate(CUT_OFF)
        assert [] == bad, (width, bad)
    await page.set_viewport_size({"width": 1100, "height": 640})


async def seen_whole(page: Page) -> None:
    """On the screens of watch floors, in every language, all there is to know and to do of three nations' warnings is in sight."""
    for width, height in ((1280, 800), (1440, 900), (1920, 1080)):
        await page.set_viewport_size({"width": width, "height": height})
        for language in ("ja", "ko", "en"):
            await page.locator(".tools select").select_option(language)
            bad = await page.evaluate(SEEN_WHOLE, SHOWN)
            assert [] == bad, (width, height, language, bad)
    await page.set_viewport_size({"width": 1100, "height": 640})


async def test_a_flight_from_its_first_plots_to_the_all_clear(
    chromium: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Radars' bytes in, three pipelines, four browsers: every step is seen by everybody, done by people, and ends on all pages."""
    pages = Pages(nodes.configs(tmp_path_factory.mktemp("launch")))
    clock = Clock(pages)
    await clock.to(DETECTED_S)
    async with opened(chromium, clock) as on:
        for name, nation in (("ann", "JPN"), ("kim", "KOR"), ("lee", "USA")):
            await state(on[name], nation, "detected")
        await clock.to(ASSESSED_S)
        mine = row(on["ann"], "JPN")
        await mine.get_by_test_id("landing").wait_for(timeout=MS_MAX)
        told = await mine.inner_text()
        assert "SRBM" in told
        assert "Fukuoka" in told
        await on["ann"].wait_for_function(
            "() => globalThis.performance.getEntriesByType('resource').some((r) => r.name.endsWith('/areas.json'))"
        )
        await located(on["ann"], mine)
        await nothing_cut_off(on["ann"])
        await mine.get_by_test_id("issue").click()
        await on["ben"].get_by_test_id("approvals").click()
        await on["ben"].get_by_test_id("variants").wait_for(timeout=MS_MAX)
        await on["ben"].get_by_test_id("approve").click(timeout=MS_MAX)
        for name in ("ann", "kim", "lee"):
            await state(on[name], "JPN", "issued", "updated")
            await row(on[name], "JPN").get_by_test_id("ack").click()
        for nation in ("JPN", "KOR", "USA"):
            await mine.locator(f'[data-nation="{nation}"].yes, [data-nation="{nation}"].older').wait_for(timeout=MS_MAX)
        assert await on["ann"].get_by_test_id("warning").count() == 3
        buttons = await mine.locator("button").evaluate_all("all => all.map(one => one.dataset.testid)")
        assert {"locate", "issue", "stand-down", "retract", "ack"} <= set(buttons)
        await seen_whole(on["ann"])
        said = on["lee"].locator('.said[role="alert"]')
        assert await said.get_attribute("aria-live") == "assertive"
        await mine.get_by_test_id("stand-down").click()
        for name in ("ann", "kim", "lee"):
            await row(on[name], "JPN").wait_for(state="detached", timeout=MS_MAX)
    public = [one for _, _, out in pages.three.journal["JPN"] for one in out.public]
    assert (public[0].state, public[-1].state) == ("issued", "stood-down")
