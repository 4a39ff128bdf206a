"""The release officer's page in a real browser: why, by every rule; proposals for a second person; the ledger, to take away."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from mapless import without_map
from release_pages import Office

from trilat.ledger.holdings import Ledger
from trilat.outward.events import DECLASSIFY, LIFE_SAFETY
from trilat.picture.web import STATIC
from trilat.policy.decide import verdict_words
from trilat.store.sqlite import open_reader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from playwright.async_api import Browser, Page, WebSocketRoute

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not (STATIC / "index.html").is_file(), reason="the page is not built: make page"),
]
MS_MAX = 60_000.0
WIDE, NARROW = (1440, 860), (960, 700)
# Where pictures of the panels go, for whoever works on them; none by default.
PICTURES = os.environ.get("TRILAT_TEST_PICTURES")


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return Office(tmp_path_factory.mktemp("office"))


@contextlib.asynccontextmanager
async def page_of(browser: Browser, address: str, language: str = "en") -> AsyncIterator[Page]:
    """Open one officer's page in a browser of its own, without a map."""
    context = await browser.new_context(viewport={"width": WIDE[0], "height": WIDE[1]}, accept_downloads=True)
    await context.add_init_script(f"localStorage.setItem('trilat-language', '{language}')")
    page = await (await without_map(context)).new_page()
    page.set_default_timeout(MS_MAX)
    await page.goto(address)
    await page.get_by_test_id("me").wait_for()
    yield page
    await context.close()


async def picture(page: Page, name: str) -> None:
    """Take a picture of the page, wide and narrow, when somebody wants to look at it."""
    if PICTURES is None:
        return
    for word, (width, height) in (("wide", WIDE), ("narrow", NARROW)):
        await page.set_viewport_size({"width": width, "height": height})
        await page.screenshot(path=Path(PICTURES) / f"{name}-{word}.png")
    await page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})


async def until(told: Any, what: Any) -> None:
    """Wait until a callable gives what is wanted."""
    async with asyncio.timeout(MS_MAX / 1000):
        while await told() != what:  # noqa: ASYNC110 - a browser's page has no event of ours
            await asyncio.sleep(0.1)


async def choose_track(page: Page) -> int:
    """Select the first track of the table; return its id."""
    await page.get_by_role("tab", name="Track table").click()
    await page.locator(".tracks tbody tr:not(.space)").first.click()
    await page.get_by_test_id("audiences").wait_for()
    return int(await page.evaluate("window.trilat.selected"))


async def test_the_page_shows_every_rule_for_each_audience(chromium: Browser, office: Office) -> None:
    """Why, for each audience by the keyboard: the verdict and as many rules as the decision has, and what each sensor gives."""
    held = office.held
    async with office.served() as at, page_of(chromium, at["rita"]) as page:
        track = await choose_track(page)
        subject = held.cop.subject("watch", track)
        assert subject is not None
        await page.get_by_test_id("why-KOR").click()
        for audience in ("KOR", "USA", "PUBLIC"):
            await page.locator(f"[data-testid=why][data-audience={audience}]").wait_for()
            path = held.explainer.policy(audience).explain(subject.label, held.cop.now_ns, subject.sensors)
            assert verdict_words(path.decision) in await page.get_by_test_id("verdict").inner_text()
            said = await page.get_by_test_id("steps").locator("tbody tr").all_inner_texts()
            assert len(path.steps) == len(said)
            assert all(step.rule in text and step.says in text for step, text in zip(path.steps, said, strict=True))
            assert len(subject.sensors) == await page.get_by_test_id("by-sensor").locator("li").count()
            await picture(page, f"why-{audience}")
            await page.get_by_test_id(f"tab-{audience}").focus()
            await page.keyboard.press("ArrowRight")
        await page.keyboard.press("Escape")
        await page.get_by_test_id("why").wait_for(state="detached")


async def test_the_page_shows_every_rule_for_a_warning(chromium: Browser, office: Office) -> None:
    """Why of the selected warning, for each audience: the verdict, every rule, and by which number and signed event it has it."""
    held = office.held
    async with office.served() as at, page_of(chromium, at["ann"]) as ann, page_of(chromium, at["rita"]) as page:
        await ann.get_by_test_id("raise").click()
        await ann.fill("[name=headline]", "EXERCISE for KOR alone")
        await ann.locator("[name=rel_to][value=USA]").uncheck()
        await ann.get_by_test_id("phrase").fill("exercise")
        await ann.get_by_test_id("send").click()
        await page.get_by_test_id("why-warning").click()
        for audience, has in (("KOR", "JPN-KOR-W1"), ("USA", None), ("PUBLIC", None)):
            await page.get_by_test_id(f"tab-{audience}").click()
            await page.locator(f"[data-testid=why][data-audience={audience}]").wait_for()
            record = held.pipeline.desk.hand.own("JPN-W1")
            assert record is not None
            path = held.explainer.policy(audience).explain(record.label, held.cop.now_ns, ())
            assert verdict_words(path.decision) in await page.get_by_test_id("verdict").inner_text()
            said = await page.get_by_test_id("steps").locator("tbody tr").all_inner_texts()
            assert [step.rule in text for step, text in zip(path.steps, said, strict=True)] == [True] * len(said)
            assert (has or "never") in await page.get_by_test_id("edition").inner_text()
            assert await page.get_by_test_id("to-release").count() == (0 if path.decision.permit else 1)
            assert await page.get_by_test_id("by-event").count() == 0
            await picture(page, f"why-warning-{audience}")
        held.let_go("JPN-W1", "USA", "fishermen are in the area")
        await page.get_by_test_id("tab-USA").click()
        told = await page.get_by_test_id("by-event").inner_text()
        assert [word for word in ("JPN-A7", "ann, otto", "fishermen are in the area") if word not in told] == []
        assert "JPN-USA-W1" in await page.get_by_test_id("edition").inner_text()
        await picture(page, "why-warning-by-event")
        await page.keyboard.press("Escape")
        await page.get_by_test_id("why").wait_for(state="detached")


async def test_one_record_is_proposed_and_another_person_approves_it(chromium: Browser, office: Office) -> None:
    """The watch officer proposes the selected track for PUBLIC; it waits, shown to both; the release officer's yes settles it."""
    done = len(office.approved)
    async with office.served() as at, page_of(chromium, at["ann"]) as ann, page_of(chromium, at["rita"]) as rita:
        track = await choose_track(ann)
        await ann.get_by_test_id("why-PUBLIC").click()
        await ann.get_by_test_id("to-release").click()
        await ann.fill("[name=reason]", "fishermen are in the area")
        await picture(ann, "release")
        await ann.get_by_test_id("send").click()
        await ann.get_by_test_id("proposal").wait_for()
        assert await ann.get_by_test_id("approve").count() == 0
        await rita.get_by_test_id("approvals").click()
        await rita.get_by_test_id("proposal").wait_for()
        assert "fishermen are in the area" in await rita.get_by_test_id("content").inner_text()
        await rita.locator("[data-testid=approve]:enabled").wait_for()
        await picture(rita, "approvals")
        await rita.get_by_test_id("approve").click()
        await until(rita.get_by_test_id("proposal").count, 0)
    [approved] = office.approved[done:]
    content = msgspec.json.decode(approved.proposal.content)
    answer = office.held.explainer.why("watch", track, "PUBLIC")
    assert (DECLASSIFY, "PUBLIC", answer["national"]) == (
        approved.proposal.kind,
        content["audience"],
        content["record"]["number"],
    )
    assert ("ann", ["rita"]) == (approved.proposal.by and approved.proposal.by.user, [one.by.user for one in approved.approvals])


async def test_no_button_moves_when_the_first_status_comes(chromium: Browser, office: Office) -> None:
    """What waits for a second person stands where it stood before the first status: a click that is under way hits it."""
    held_back: list[Callable[[], None]] = []

    def between(socket: WebSocketRoute) -> None:
        node = socket.connect_to_server()

        def on(message: str | bytes) -> None:
            if isinstance(message, str) and '"type":"status"' in message:
                held_back.append(lambda: socket.send(message))
            else:
                socket.send(message)

        node.on_message(on)

    async with office.served() as at:
        context = await chromium.new_context(viewport={"width": WIDE[0], "height": WIDE[1]})
        page = await (await without_map(context)).new_page()
        await page.route_web_socket("**/*", between)
        await page.goto(at["rita"])
        buttons = [page.get_by_test_id(name) for name in ("approvals", "ledger", "me", "logout")]
        before = [await one.bounding_box() for one in buttons]
        assert await page.locator(".summary").count() == 0
        while not held_back:  # noqa: ASYNC110 - a browser's page has no event of ours
            await asyncio.sleep(0.1)
        held_back[0]()
        await page.locator(".summary").wait_for()
        await page.locator(".clock .unset").wait_for(state="detached")
        assert before == [await one.bounding_box() for one in buttons]
        await context.close()


async def test_leave_to_warn_is_proposed_by_the_agreements_words(chromium: Browser, office: Office) -> None:
    """The form offers only agreements with a duty to warn; what is sent is of the kind the desk takes, and waits for another."""
    async with office.served() as at, page_of(chromium, at["rita"]) as rita:
        await rita.get_by_test_id("approvals").click()
        await rita.get_by_test_id("to-leave").click()
        await rita.get_by_test_id("leave-form").wait_for()
        await rita.fill("[name=hours]", "12")
        await rita.fill("textarea[name=reason]", "launch notified")
        await picture(rita, "leave")
        await rita.get_by_test_id("send").click()
        await rita.get_by_test_id("proposal").wait_for()
        [waiting] = [one.proposal for one in office.held.pipeline.approvals.pending()]
        content = msgspec.json.decode(waiting.content)
        duty = {one["id"]: one for one in office.held.explainer.terms()["agreements"]}[content["agreement"]]
        assert LIFE_SAFETY == waiting.kind
        assert (list(duty["duty"]), 12, duty["version"]) == (content["topics"], content["hours"], content["agreement_version"])
        await rita.get_by_test_id("decline").click()
        await until(rita.get_by_test_id("proposal").count, 0)


@pytest.mark.parametrize("name", ["rita", "otto"])
async def test_the_ledger_answers_and_can_be_taken_away(chromium: Browser, office: Office, name: str, tmp_path: Path) -> None:
    """Three questions give the ledger's own rows; the file that is saved holds the same rows, each with the mode in it."""
    database = open_reader(office.store)
    ledger = Ledger(database)
    held, [warning] = ledger.held_by("KOR"), ledger.holders("JPN-W1")
    async with office.served() as at, page_of(chromium, at[name]) as page:
        await page.get_by_test_id("ledger").click()
        await page.fill("[name=subject]", "JPN-W1")
        await page.keyboard.press("Enter")
        rows = page.get_by_test_id("ledger-rows").locator("tbody tr")
        await until(rows.count, 1)
        assert warning.rule in await rows.first.inner_text()
        await page.get_by_test_id("tab-held").click()
        await page.get_by_test_id("ask").click()
        await until(rows.count, len(held))
        await picture(page, f"ledger-held-{name}")
        async with page.expect_download() as saving:
            await page.get_by_test_id("csv").click()
        saved = tmp_path / (await saving.value).suggested_filename
        await (await saving.value).save_as(saved)
        taken = list(csv.DictReader(io.StringIO(saved.read_text("utf-8"))))
        assert sorted(one.record_sha256 for one in held) == sorted(one["record_sha256"] for one in taken)
        assert {office.held.cop.hello("watch")["mode"]["words"]} == {one["mode"] for one in taken}
        assert "exercise" in saved.name
        await page.fill("[name=at]", "2000-01-01T00:00")
        await page.get_by_test_id("ask").click()
        await page.get_by_test_id("ledger-none").wait_for()
        await page.get_by_test_id("tab-released").click()
        await page.get_by_test_id("ask").click()
        await until(rows.count, len(ledger.released()))
        await picture(page, f"ledger-released-{name}")
    database.close()


async def test_a_watch_officer_is_offered_no_ledger_and_words_are_in_three_languages(chromium: Browser, office: Office) -> None:
    """What a role may not do is not offered; the dialog speaks Japanese and Korean where they are chosen."""
    async with office.served() as at:
        async with page_of(chromium, at["ann"]) as page:
            assert await page.get_by_test_id("ledger").count() == 0
        for language, word in (("ja", "開示台帳"), ("ko", "공개 대장")):
            async with page_of(chromium, at["rita"], language) as page:
                assert word == (await page.get_by_test_id("ledger").inner_text()).strip()
                await page.get_by_test_id("ledger").click()
                await picture(page, f"ledger-{language}")
