"""The page's people in a real browser: log in, propose in one session, approve in another; what is not offered to whom."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import door_served as served
import pytest
from mapless import without_map

from trilat.picture.web import STATIC
from trilat.records.approval import Approved

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Browser, BrowserContext, Page

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(not (STATIC / "index.html").is_file(), reason="the page is not built: make page"),
]
MS_MAX = 60_000.0
TICK_S = 0.2


async def form(context: BrowserContext, held: served.Served) -> Page:
    """Open the page of somebody who is not in."""
    page = await (await without_map(context)).new_page()
    await page.goto(held.url)
    await page.get_by_test_id("gate").wait_for(timeout=MS_MAX)
    return page


async def enter(browser: Browser, held: served.Served, user: str) -> Page:
    """Log in by the form in a browser of its own; return the page when it is there."""
    context = await browser.new_context(viewport={"width": 1300, "height": 700})
    page = await form(context, held)
    await page.fill("[name=user]", user)
    await page.fill("[name=password]", served.PASSWORD)
    await page.get_by_test_id("login").click()
    await page.get_by_test_id("me").wait_for(timeout=MS_MAX)
    return page


async def until(told: Any, what: Any) -> None:
    """Wait until a callable gives what is wanted."""
    async with asyncio.timeout(MS_MAX / 1000):
        while await told() != what:  # noqa: ASYNC110 - a browser's page has no event of ours
            await asyncio.sleep(0.1)


async def test_two_officers_in_two_browsers_decide(chromium: Browser, tmp_path: Path) -> None:
    """One officer proposes the role that waits, sees no way to approve it; another reads content and hash, and approves."""
    async with served.door_open(tmp_path, tick_s=TICK_S) as held:
        kept = held.hasher.keep("somebody else's words", bytes(16))
        held.book.add(held.clock(), "third", "Third Person", kept, ("watch-officer",))
        one, two = await enter(chromium, held, "watch-a"), await enter(chromium, held, "watch-b")
        await one.get_by_test_id("me").click()
        await one.get_by_test_id("account-third").get_by_test_id("propose").click()
        await one.keyboard.press("Escape")
        await one.get_by_test_id("approvals").click()
        await one.get_by_test_id("proposal").wait_for(timeout=MS_MAX)
        assert await one.get_by_test_id("approve").count() == 0
        await two.get_by_test_id("approvals").click()
        await two.get_by_test_id("proposal").wait_for(timeout=MS_MAX)
        waiting = held.given.desk.pending()[0].proposal
        assert "Third Person" in await two.get_by_test_id("content").inner_text()
        await until(two.get_by_test_id("hash-here").inner_text, waiting.content_sha256.hex())
        await two.get_by_test_id("approve").click()
        await until(two.get_by_test_id("proposal").count, 0)
        assert "approved" in await two.get_by_test_id("settled").inner_text()
        done = held.given.decided[-1]
        assert isinstance(done, Approved)
        assert "decided by watch-a and watch-b" in held.book.apply(held.clock(), done)
        assert "watch-a, watch-b" in await two.get_by_test_id("on-duty").inner_text()


async def test_who_is_not_in_sees_the_form_and_nothing_else(chromium: Browser, tmp_path: Path) -> None:
    """Outside there is the mode and the form; a wrong password says so; logout brings the form back and clears the page."""
    async with served.door_open(tmp_path, tick_s=TICK_S) as held:
        context = await chromium.new_context()
        page = await form(context, held)
        assert await page.evaluate("window.trilat.held") == 0
        assert "EXERCISE" in await page.get_by_test_id("gate").inner_text()
        await page.fill("[name=user]", "auditor")
        await page.fill("[name=password]", "wrong")
        await page.get_by_test_id("login").click()
        await page.get_by_test_id("refusal").wait_for(timeout=MS_MAX)
        await page.fill("[name=password]", served.PASSWORD)
        await page.get_by_test_id("login").click()
        await page.get_by_test_id("me").wait_for(timeout=MS_MAX)
        assert await page.get_by_test_id("raise").count() == 0  # an auditor raises no warning
        await page.get_by_test_id("logout").click()
        await page.get_by_test_id("gate").wait_for(timeout=MS_MAX)
        assert await page.evaluate("window.trilat.held") == 0


async def test_the_first_account_is_asked_for(chromium: Browser, tmp_path: Path) -> None:
    """Without any account the page says which command makes the first, and has no form."""
    async with served.door_open(tmp_path, staffed=False, tick_s=TICK_S) as held:
        page = await form(await chromium.new_context(), held)
        assert "trilat users add" in await page.get_by_test_id("first").inner_text()
        assert await page.locator("form").count() == 0
