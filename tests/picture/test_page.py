"""The page itself, in a real headless Chromium, on a real node's web side: what it draws, sends and never asks for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import feeder
import msgspec
import pytest
import pytest_asyncio
from mapless import without_map

from trilat.picture.inputs import AudienceView
from trilat.picture.web import STATIC, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from playwright.async_api import Browser, Page

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not (STATIC / "index.html").is_file(), reason="the page is not built: make page"),
]
SECONDS_MAX = 60.0
TRACKS = 60
LAT_DEG, LON_DEG = 34.25, 130.75  # where this node's map opens: not where a page would that was told nothing


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(request: pytest.FixtureRequest) -> AsyncIterator[Browser]:
    """Give one headless Chromium for all tests of this file, started the way the root's fixture does."""
    root = next(plugin for plugin in request.config.pluginmanager.get_plugins() if hasattr(plugin, "chromium_program"))
    program = root.chromium_program()
    if program is None:
        pytest.skip("no Chromium: as root, `make test` installs it with apt; elsewhere install a chromium package")
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=program, headless=True, args=list(root.CHROMIUM_FLAGS))
        yield started
        await started.close()


class Opened:
    """A page in the browser on a feeder that is stepped in the background, and every address it asked for."""

    def __init__(self, page: Page, given: feeder.Feeder, url: str) -> None:
        self.page, self.given, self.url = page, given, url
        self.asked: list[str] = []
        self.faults: list[str] = []
        self.ticking: asyncio.Task[None] | None = None
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda fault: self.faults.append(str(fault)))
        page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)

    async def told(self, name: str) -> Any:
        """Read one value of the page's own account of itself."""
        return await self.page.evaluate(f"window.trilat && window.trilat.{name}")

    async def until(self, name: str, good: Callable[[Any], bool]) -> Any:
        """Wait until the page's account of `name` is good; returns it. Playwright's own waiting is against the page's policy."""
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                value = await self.told(name)
                if value is not None and good(value):
                    return value
                await asyncio.sleep(0.1)

    async def text(self, test_id: str) -> str:
        """Read the text of one marked element."""
        return await self.page.get_by_test_id(test_id).first.inner_text()

    def go(self) -> None:
        """Step the feeder in the background."""

        async def tick() -> None:
            while True:
                self.given.step()
                await asyncio.sleep(0.4)  # software drawing on a busy machine keeps up with no more

        self.ticking = asyncio.ensure_future(tick())

    async def halt(self) -> None:
        """Stop stepping."""
        if self.ticking is not None:
            self.ticking.cancel()
            await asyncio.gather(self.ticking, return_exceptions=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(browser: Browser) -> AsyncIterator[Opened]:
    """Give one open page for all tests of this file: loading one is most of the cost. Each test leaves it as it found it."""
    given = feeder.Feeder(TRACKS)
    given.cop.identity = msgspec.structs.replace(given.cop.identity, lat_deg=LAT_DEG, lon_deg=LON_DEG)
    async with serving(given.app(), "127.0.0.1", 0) as port:
        url = f"http://127.0.0.1:{port}"
        context = await browser.new_context(viewport={"width": 900, "height": 600})
        page = Opened(await context.new_page(), given, url)
        page.go()
        try:
            await page.page.goto(url)
            await page.until("drawn", lambda drawn: drawn > 0)
            yield page
        finally:
            await page.halt()
            await context.close()


async def test_the_page_draws_every_track_and_asks_nobody_else(here: Opened) -> None:
    """It draws a symbol for every track of all three nations, keeps up with frames, and asks no address but its node's."""
    held = len(here.given.cop._shown["watch"].store.records)
    assert await here.until("drawn", lambda drawn: drawn == held) == held
    counts = await here.told("byNation")
    assert (set(counts), sum(counts.values())) == ({"JPN", "KOR", "USA"}, held)
    seen = await here.told("sequence")
    await here.until("sequence", lambda sequence: sequence > seen + 3)
    await here.page.locator("[data-ready]").wait_for(timeout=SECONDS_MAX * 1000)
    assert [url for url in here.asked if not url.startswith((here.url, "blob:", "data:"))] == []
    assert (await here.text("mode")).startswith("EXERCISE")
    assert (await here.text("banner-top")).startswith("EXERCISE // TRILAT-3 // JPN ONLY")
    assert await here.text("banner-top") == await here.text("banner-bottom")
    assert here.faults == []


async def test_a_warning_is_raised_acknowledged_and_retracted_by_hand(here: Opened) -> None:
    """An officer raises a warning by the form only after typing EXERCISE, acknowledges it, and takes it back."""
    page = here.page
    await page.get_by_test_id("raise").click()
    await page.fill("[name=headline]", "Unknown group closing")
    await page.fill("[name=area]", "Area B")
    assert await page.get_by_test_id("send").is_disabled()
    await page.get_by_test_id("phrase").fill("exercise")
    await page.get_by_test_id("send").click()
    await here.until("openWarnings", lambda keys: keys == ["JPN/w-1"])
    made = here.given.acts[0].act
    assert (made.headline, made.areas[0].name, made.rel_to) == ("EXERCISE Unknown group closing", "Area B", ("KOR", "USA"))
    assert "EXERCISE" in await here.text("warning")
    assert await page.locator("[role=alert]").get_attribute("aria-live") == "assertive"
    await page.get_by_test_id("ack").click()
    await page.locator("[data-nation=JPN].yes").wait_for(timeout=SECONDS_MAX * 1000)
    assert await page.get_by_test_id("ack").is_disabled()
    await page.get_by_test_id("retract").click()
    await page.get_by_test_id("send").click()
    # A retracted warning stays in sight for a while: whoever saw it must see that it was taken back.
    await page.get_by_test_id("log").get_by_text("issued-in-error").first.wait_for(timeout=SECONDS_MAX * 1000)
    assert await here.told("openWarnings") == ["JPN/w-1"]
    assert here.faults == []


async def test_every_lane_with_every_partner_has_its_figures(here: Opened) -> None:
    """Unfolded, each partner has three lanes with state, age, lag in records and seconds, receipt, epoch, head and what was rejected."""
    page = here.page
    for nation, lagging in (("KOR", "0"), ("USA", "340")):
        figures = page.get_by_test_id(f"figures-{nation}")
        await figures.locator("summary").click()
        lanes = figures.locator("dl")
        assert [await lanes.nth(at).get_attribute("data-lane") for at in range(await lanes.count())] == [
            "flash",
            "state",
            "history",
        ]
        assert await figures.locator("dd").count() == 3 * 6
        state, heard, lag, receipt, head, rejected = await lanes.nth(2).locator("dd").all_inner_texts()
        assert state == ("late" if nation == "USA" else "up")
        assert all(text and text != "—" for text in (heard, receipt))
        assert lag.split(" ")[0] == lagging
        assert (head, rejected) == ("1 · a1b2c3d4e5f60718", "signature-wrong 3")
        await figures.locator("summary").click()
    assert here.faults == []


async def test_filters_hide_tracks_and_say_so_but_never_a_warning(here: Opened) -> None:
    """Hiding a nation takes its symbols off map and table, says how many, and leaves its warning in the strip."""
    expires_ns = here.given.now_ns + 60 * feeder.NS
    here.given.waiting.append(feeder.warning("KOR", "w-7", here.given.now_ns, expires_ns=expires_ns))
    await here.until("openWarnings", lambda keys: "KOR/w-7" in keys)
    before = await here.told("byNation")
    await here.page.get_by_label("KOR").first.uncheck()
    await here.until("hidden", lambda hidden: hidden == before["KOR"])
    after = await here.until("byNation", lambda counts: "KOR" not in counts)
    assert after == {nation: n for nation, n in before.items() if nation != "KOR"}
    assert await here.until("drawn", lambda drawn: drawn == sum(after.values()))
    assert str(before["KOR"]) in await here.text("hidden")
    await here.page.keyboard.press("t")
    assert await here.page.get_by_test_id("tracks").get_attribute("data-count") == str(sum(after.values()))
    assert await here.page.get_by_test_id("warning").count() == len(await here.told("openWarnings"))
    await here.page.get_by_test_id("hidden").click()
    await here.until("hidden", lambda hidden: hidden == 0)
    await here.page.keyboard.press("l")
    here.given.now_ns = expires_ns
    await here.until("openWarnings", lambda keys: "KOR/w-7" not in keys)


@pytest.mark.parametrize("width", [1000, 1280, 1440, 1920])
async def test_a_light_of_the_top_bar_is_whole_or_not_there(here: Opened, width: int) -> None:
    """However wide the screen is, no light is cut in half; on a wide one every partner's is there."""
    await here.page.set_viewport_size({"width": width, "height": 800})
    await here.page.wait_for_selector(".summary .pill:nth-child(3)", state="attached")
    bar, *pills = await here.page.eval_on_selector_all(
        ".summary, .summary .pill",
        "all => all.map(one => one.getBoundingClientRect()).map(r => [r.left, r.right, r.top, r.bottom])",
    )
    await here.page.set_viewport_size({"width": 900, "height": 600})
    shown = [one for one in pills if one[2] < bar[3]]

    assert [] == [one for one in shown if one[0] < bar[0] - 1 or one[1] > bar[1] + 1 or one[3] > bar[3] + 1]
    assert width < 1920 or len(shown) == len(pills) >= 3


@pytest.mark.parametrize("width", [1280, 1920])
async def test_the_name_of_a_judged_source_is_whole_and_its_state_is_said(here: Opened, width: int) -> None:
    """However long a sensor's name is, it can be read; its biases with one sigma and why it is in quarantine are words below."""
    await here.page.set_viewport_size({"width": width, "height": 800})
    table = here.page.get_by_test_id("sensors")
    rows = await table.locator("th").evaluate_all("all => all.map(one => [one.innerText, one.scrollWidth - one.clientWidth])")
    inside = await table.evaluate("one => one.parentElement.scrollWidth - one.parentElement.clientWidth")
    await here.page.set_viewport_size({"width": 900, "height": 600})

    words = [" ".join(told.split()) for told, _ in rows]
    assert "JPN/ridge range \N{MINUS SIGN}98 ± 5 m azimuth +0.20 ± 0.01°" == words[0]
    assert "KOR/south-coast-long-range-radar quarantined: ghosts" == words[1]
    assert ["1.0", "\N{EN DASH}", "12.4", "\N{EN DASH}"] == await table.locator("td.num").all_inner_texts()
    assert [0] * len(rows) == [cut for _, cut in rows]
    assert 0 == inside


async def test_a_row_chosen_by_keyboard_shows_the_track(here: Opened) -> None:
    """Enter on a table row selects that track; the panel says its label in words, its sensors and who may see it."""
    await here.page.locator("#tab-table").click()
    row = here.page.get_by_test_id("tracks").locator("tbody tr[tabindex]").first
    name = await row.locator("th").inner_text()
    await row.focus()
    await here.page.keyboard.press("Enter")
    await here.page.get_by_test_id("details").wait_for(timeout=SECONDS_MAX * 1000)
    told = await here.text("details")
    assert name in told
    assert "EXERCISE // TRILAT-" in await here.text("label")
    assert "originator" in await here.text("audiences")
    await here.page.keyboard.press("Escape")
    assert await here.until("selected", lambda chosen: chosen == 0) == 0
    await here.page.locator("#tab-log").click()


WHOLE = """() => {
  const box = document.querySelector(".tablebox");
  const ends = [...box.querySelectorAll("thead th")].map((one) => one.getBoundingClientRect().right);
  return { wide: box.scrollWidth, room: box.clientWidth, end: Math.max(...ends), edge: box.getBoundingClientRect().right };
}"""


@pytest.mark.parametrize("width", [1280, 1440, 1920])
async def test_the_track_table_shows_every_column(here: Opened, width: int) -> None:
    """Beside both panels no column is cut and none needs scrolling to, in any language."""
    page = here.page
    await page.set_viewport_size({"width": width, "height": 800})
    await page.locator("#tab-table").click()
    for language in ("ja", "ko", "en"):
        await page.locator(".tools select").select_option(language)
        at = await page.evaluate(WHOLE)
        assert at["wide"] <= at["room"], (language, at)
        assert at["end"] <= at["edge"] + 0.5, (language, at)
    await page.locator("#tab-log").click()
    await page.set_viewport_size({"width": 900, "height": 600})


AUDIENCES = ("KOR", "USA", "PUBLIC")
TOUCHING = """() => {
  const bad = [];
  const text = (one) => { const range = document.createRange(); range.selectNodeContents(one); return range.getBoundingClientRect(); };
  for (const row of document.querySelectorAll(".audiences li")) {
    const parts = [...row.querySelectorAll("svg, b, span, button")];
    const at = parts.map((one) => (one.tagName === "svg" ? one.getBoundingClientRect() : text(one)));
    for (let k = 1; k < parts.length; k += 1) {
      if (at[k].left < at[k - 1].right + 2) bad.push(`${row.textContent}: ${at[k - 1].right} then ${at[k].left}`);
    }
  }
  return bad;
}"""


@pytest.mark.parametrize("width", [900, 1280, 1440])
async def test_who_may_see_a_track_is_told_without_names_and_marks_touching(
    here: Opened, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the selection panel marks, names (PUBLIC, the longest), words and buttons stand apart; the public has no nation's mark."""
    page = here.page
    told = [AudienceView(audience=name, permit=name == "USA", tier="track", reason="not-releasable") for name in AUDIENCES]
    monkeypatch.setattr(here.given.cop, "_audiences_of", lambda *_: told)
    await page.set_viewport_size({"width": width, "height": 800})
    await page.locator("#tab-table").click()
    await page.get_by_test_id("tracks").locator("tbody tr[tabindex]").first.click()
    await page.get_by_test_id("audiences").get_by_text("PUBLIC").wait_for(timeout=SECONDS_MAX * 1000)
    assert await page.evaluate(TOUCHING) == []
    marks = await page.locator(".audiences .badge").evaluate_all("all => all.map(one => one.innerHTML)")
    assert len(marks) == len(set(marks)) >= 3
    await page.keyboard.press("Escape")
    await page.locator("#tab-log").click()
    await page.set_viewport_size({"width": 900, "height": 600})


async def test_silence_is_shown_and_the_page_comes_back(here: Opened) -> None:
    """When the node falls silent the page says DISCONNECTED with the time of its data; when it speaks again that goes."""
    await here.halt()
    overlay = here.page.get_by_test_id("disconnected")
    await overlay.wait_for(timeout=SECONDS_MAX * 1000)
    assert "data as of" in await overlay.inner_text()
    here.go()
    await overlay.wait_for(state="detached", timeout=SECONDS_MAX * 1000)


async def test_a_browser_that_draws_no_map_shows_all_the_rest(here: Opened, browser: Browser) -> None:
    """Without WebGL the page says so where the map would be; tracks are listed and a warning can be raised all the same."""
    context = await without_map(await browser.new_context(viewport={"width": 900, "height": 600}))
    page = await context.new_page()
    await page.goto(here.url)
    said = await page.get_by_test_id("mapless").inner_text(timeout=SECONDS_MAX * 1000)
    assert "WebGL" in said
    await page.wait_for_function("window.trilat.held > 0", timeout=SECONDS_MAX * 1000)  # the words come before the first frame
    await page.get_by_test_id("raise").click(timeout=SECONDS_MAX * 1000)
    place = [await page.locator(f"[name={name}]").input_value() for name in ("lat", "lon")]
    assert [f"{LAT_DEG:.2f}", f"{LON_DEG:.2f}"] == place  # of the node, where its map would open
    await context.close()


async def test_the_page_speaks_japanese_and_korean(here: Opened) -> None:
    """Choosing a language changes the page's words; warnings' and labels' own words stay as they were sent."""
    for code, word in (("ja", "警報を出す"), ("ko", "경보 발령"), ("en", "Raise warning")):
        await here.page.locator(".tools select").select_option(code)
        assert await here.text("raise") == word
    assert (await here.text("banner-top")).startswith("EXERCISE //")
