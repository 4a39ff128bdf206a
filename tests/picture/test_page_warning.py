"""A whole warning on the pages of three nations, each fed by a real warning desk: detected to stood down."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import feeder
import pytest
from desk_world import Gate as Way
from desk_world import officer
from flight_records import MODE, NS, T0_NS, assessment, label
from mapless import without_map

from trilat.accounts.approvals import ApprovalDesk
from trilat.issuing.desk import DeskStep
from trilat.issuing.state import Desk
from trilat.node import approvals
from trilat.picture.acts import OfficerAct
from trilat.picture.inputs import CopInput, NodeIdentity, WarningRecord
from trilat.picture.web import STATIC, Hub, WebSettings, make_app, serving
from trilat.records.warning import Acknowledgement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.timeout(300),  # four pages on a busy machine
    pytest.mark.skipif(not (STATIC / "index.html").is_file(), reason="the page is not built: make page"),
]
MS_MAX = 60_000.0
ANN, BEN = officer("ann"), officer("ben")


class Way2(Way):
    """A way out that carries acknowledgements, too."""

    def acknowledge(self, now_ns: int, acknowledgement: Acknowledgement) -> list[Any]:  # noqa: ARG002 - the real one's signature
        """Send an answer to whose warning it is."""
        if acknowledgement.warning_originator == self.name:
            self.sent.append(acknowledgement)
        return []


class Nation:
    """One nation: a warning desk, a picture, and a page for each of its officers."""

    def __init__(self, name: str, officers: tuple[Any, ...]) -> None:
        self.name = name
        partners = tuple(one for one in feeder.NATIONS if one != name)
        self.gates = {one: Way2(one) for one in partners}
        self.approvals = ApprovalDesk(name, MODE, approvals.KINDS)
        self.desk = Desk(
            name, MODE, "TRILAT", self.gates, self.approvals, lambda *told: approvals.take(self.approvals, *told)  # type: ignore[arg-type]
        )  # fmt: skip
        self.desk.publish = lambda _, warning: [warning]  # type: ignore[list-item]  # a policy that lets everything go
        identity = NodeIdentity(nation=name, node=name.lower(), mode=MODE, started_ns=T0_NS, partners=partners)
        self.cop = feeder.make_cop(name, identity=identity)
        self.acts: list[OfficerAct] = []
        self.hubs = {
            one.user: Hub(self.cop, self._act, feeder.open_gate(door=lambda _, one=one: one), WebSettings(status_ms=200))
            for one in officers
        }

    async def _act(self, act: OfficerAct) -> None:
        self.acts.append(act)

    def step(self, now_ns: int, came: list[Any], assessed: list[Any]) -> None:
        """One step of the desk and the picture."""
        step = DeskStep(self.desk, now_ns)
        for record in came:
            step.receive(record)
        for one in assessed:
            step.assess(*one)
        given, self.acts = self.acts, []
        for act in given:
            step.act(act)
        self.cop.step(now_ns, CopInput(warnings=tuple(step.shown), answers=step.answers, notices=step.notices))
        told = approvals.told(self.approvals, approvals.leave_told(self.desk))
        for hub in self.hubs.values():
            if step.approvals or given:
                hub.show_approvals(told)
            hub.publish()


class World:
    """Three nations and the records between them; JPN alone has the flight, and so do KOR's and USA's pipelines at JPN."""

    def __init__(self) -> None:
        staff = {"JPN": (ANN, BEN), "KOR": (officer("kim"),), "USA": (officer("lee"),)}
        self.nations = {name: Nation(name, staff[name]) for name in feeder.NATIONS}
        self.second = 10.0
        self.state = "detected"

    def step(self) -> None:
        """Half a second for everyone."""
        self.second += 0.5
        now_ns = T0_NS + round(self.second * NS)
        mail: dict[str, list[Any]] = {name: [] for name in self.nations}
        for sender, nation in self.nations.items():
            for receiver, way in nation.gates.items():
                mail[receiver] += [WarningRecord(origin=sender, record=one) for one in way.sent]
                way.sent.clear()
        for name, nation in self.nations.items():
            assessed: list[Any] = []
            if name == "JPN":
                assessed = [("national", assessment(self.second, self.state))]
                for one in ("KOR", "USA"):
                    assessed.append((one, assessment(self.second, self.state, stream=f"JPN/{one}", label=label(rel_to=(one,)))))
            nation.step(now_ns, mail[name], assessed)


def app_of(hub: Hub) -> Any:
    """Return the page's application; health and metrics are not what is looked at."""
    return make_app(hub, live=lambda: (True, {}), ready=lambda: (True, {}), metrics=lambda: b"")


@contextlib.asynccontextmanager
async def pages(browser: Browser, world: World) -> AsyncIterator[dict[str, Page]]:
    """Open a page for each officer, and step the world meanwhile."""
    async with contextlib.AsyncExitStack() as stack:
        opened: dict[str, Page] = {}

        async def tick() -> None:
            while True:
                world.step()
                await asyncio.sleep(0.3)

        ticking = asyncio.ensure_future(tick())
        stack.callback(ticking.cancel)
        for nation in world.nations.values():
            for user, hub in nation.hubs.items():
                port = await stack.enter_async_context(serving(app_of(hub), "127.0.0.1", 0, hub.settings))
                context = await browser.new_context(viewport={"width": 1000, "height": 420})
                stack.push_async_callback(context.close)
                opened[user] = await (await without_map(context)).new_page()
                await opened[user].goto(f"http://127.0.0.1:{port}")
        yield opened


async def state(page: Page, words: str) -> None:
    """Wait until the one warning on a page is in this state; EXERCISE stands in its row."""
    row = page.get_by_test_id("warning")
    await row.get_by_test_id("state").filter(has_text=words).wait_for(timeout=MS_MAX)
    assert "EXERCISE" in await row.inner_text()


async def test_a_launch_from_detected_to_stood_down_on_the_pages_of_three_nations(chromium: Browser) -> None:
    """Detected, assessed, issued by two officers in two browsers, acknowledged by three nations, stood down on every page."""
    world = World()
    async with pages(chromium, world) as on:
        for page in on.values():
            await state(page, "detected")
        world.state = "assessed"
        for user in ("ann", "kim"):
            await state(on[user], "assessed")
        row = on["ann"].get_by_test_id("warning")
        assert "Aomori" in await row.inner_text()
        assert "MRBM" in await row.inner_text()
        await on["ann"].get_by_test_id("issue").click()
        await on["ben"].get_by_test_id("approvals").click()
        variants = on["ben"].get_by_test_id("variants")
        await variants.wait_for(timeout=MS_MAX)
        assert {"JPN", "KOR", "USA", "PUBLIC"} == set(
            await variants.locator("section").evaluate_all("all => all.map(one => one.dataset.audience)")
        )
        await on["ben"].get_by_test_id("approve").click(timeout=MS_MAX)
        for user in ("ann", "kim", "lee"):
            await (
                on[user]
                .locator('[data-testid="warning"] [data-testid="state"]', has_text="issued")
                .or_(on[user].locator('[data-testid="warning"] [data-testid="state"]', has_text="updated"))
                .first.wait_for(timeout=MS_MAX)
            )
            await on[user].get_by_test_id("ack").click()
        for nation in feeder.NATIONS:
            await row.locator(f'[data-nation="{nation}"].yes, [data-nation="{nation}"].older').wait_for(timeout=MS_MAX)
        said = await on["lee"].locator('.said[role="alert"]').get_attribute("aria-live")
        assert said == "assertive"
        await on["ann"].get_by_test_id("stand-down").click()
        for user in ("ann", "kim", "lee"):
            await on[user].get_by_test_id("warning").wait_for(state="detached", timeout=MS_MAX)


async def test_two_give_the_node_leave_to_issue_and_every_page_shows_it(chromium: Browser) -> None:
    """Proposed on one page, approved on another; both show till when; it issues by itself; two take it away again."""
    world = World()
    async with pages(chromium, world) as on:
        ann, ben = on["ann"], on["ben"]
        await state(ann, "detected")
        await ann.get_by_test_id("approvals").click()
        await ann.get_by_test_id("to-auto-leave").click()
        await ann.fill("[name=probability]", "20")
        await ann.fill("[name=reason]", "night watch of two")
        await ann.get_by_test_id("send").click()
        await ben.get_by_test_id("approvals").click()
        await ben.get_by_test_id("approve").click(timeout=MS_MAX)
        for page in (ann, ben):
            chip = page.get_by_test_id("auto-leave-chip")
            await chip.wait_for(state="attached", timeout=MS_MAX)
            assert "AUTO-ISSUE until" in await chip.inner_text()
        told = await ben.get_by_test_id("auto-leave").inner_text()
        assert all(word in told for word in ("PUBLIC", "20 %", "80 %", "30 min", "ann, ben")), told
        world.state = "assessed"
        row = ann.get_by_test_id("warning")
        await (
            row.get_by_test_id("state")
            .filter(has_text="issued")
            .or_(row.get_by_test_id("state").filter(has_text="updated"))
            .first.wait_for(timeout=MS_MAX)
        )
        await ann.get_by_test_id("take-leave-away").click()
        await ben.get_by_test_id("approve").click(timeout=MS_MAX)
        for page in (ann, ben):
            await page.get_by_test_id("auto-leave-chip").wait_for(state="detached", timeout=MS_MAX)


async def test_the_strip_names_every_area_once_and_says_exercise_once_in_its_headline(chromium: Browser) -> None:
    """All areas stand in the row, land that may be hit first, whole in its title; a page's filters take nothing from it."""
    world = World()
    async with pages(chromium, world) as on:
        world.state = "assessed"
        await state(on["ann"], "assessed")
        row = on["ann"].get_by_test_id("warning")
        areas = row.get_by_test_id("areas")
        assert await areas.get_attribute("title") == "Aomori 40 %, Hokkaido 20 %"
        headline = await row.locator(".what b").inner_text()
        assert headline.startswith("EXERCISE Missile launch assessed")


TONES = """() => {
  window.tones = [];
  const param = { set value(v) { window.tones.push(v) } };
  const node = { frequency: param, gain: param, connect: (next) => next, start() {}, stop() {} };
  window.AudioContext = class { currentTime = 0; destination = {}; createOscillator() { return node } createGain() { return node } };
}"""


async def test_a_warning_sounds_until_somebody_acknowledges_and_is_said_to_screen_readers(chromium: Browser) -> None:
    """With the sound on, tones come again and again while it waits; ACK ends them. The assertive region says state and words."""
    world = World()
    async with pages(chromium, world) as on:
        ann = on["ann"]
        await state(ann, "detected")
        said = ann.locator('.said[role="alert"]')
        assert await said.inner_text() == "EXERCISE t1. detected. EXERCISE: Launch detected (EXERCISE)"
        await ann.evaluate(TONES)
        await ann.get_by_role("button", name="Sound off").click()
        await ann.wait_for_function("() => window.tones.length >= 8", timeout=MS_MAX)  # a beep is two tones, and comes again
        await ann.get_by_test_id("ack").click()
        await ann.get_by_test_id("ack").filter(has_text="acknowledged").wait_for(timeout=MS_MAX)
        await ann.wait_for_function("() => document.querySelector('.said').textContent === ''", timeout=MS_MAX)
        await ann.evaluate("() => { window.tones.length = 0 }")
        # A version with nothing but newer figures comes, and calls nobody again; that it is assessed does.
        row = ann.get_by_test_id("warning")
        await row.locator('[data-nation="JPN"].older').wait_for(timeout=MS_MAX)
        await asyncio.sleep(2.0)
        assert await ann.evaluate("() => window.tones.length") == 0
        world.state = "assessed"
        await ann.wait_for_function("() => window.tones.length >= 4", timeout=MS_MAX)
        assert "assessed" in await said.inner_text()
