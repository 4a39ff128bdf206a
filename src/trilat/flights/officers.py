"""The watch officers of an exercise, by script: they issue a warning of a launch, acknowledge it, give the all clear.

What they do is what people do by hand, through the same pages and rules; the times at which each thing was seen are the story.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trilat.picture import acts
from trilat.picture.client import PageClient

ISSUED = ("issued", "updated", "track-lost", "landed", "passed")
ENDED = ("landed", "passed")
MINUTES = 30


class Story:
    """What the pages of several nations said of one launch, in seconds since the watching began; `missing`: what did not come.

    ellipse_m: the longer half axis of the 95 % landing ellipse on the issuing nation's page, first and last.
    """

    STEPS = ("detected", "assessed", "issued", "acknowledged", "ended", "stood down")

    def __init__(self) -> None:
        self.at_s: dict[str, float] = {}
        self.ellipse_m: list[float] = []
        self.areas: tuple[str, ...] = ()
        self.acknowledged: tuple[str, ...] = ()
        self.refused: list[str] = []

    @property
    def missing(self) -> tuple[str, ...]:
        """The steps that were not seen."""
        return tuple(one for one in self.STEPS if one not in self.at_s)

    def line(self) -> str:
        """Return the story in one line."""
        told = [f"{one} {self.at_s[one]:.0f} s" for one in self.STEPS if one in self.at_s]
        if len(self.ellipse_m) == 2:
            told.append(f"ellipse {self.ellipse_m[0] / 1e3:.0f} to {self.ellipse_m[1] / 1e3:.1f} km")
        if self.acknowledged:
            told.append(f"acknowledged by {' '.join(self.acknowledged)}")
        return "launch: " + (", ".join(told) or "not seen yet") + "".join(f"; refused: {one}" for one in self.refused)


class Officers:
    """The officers of the nations: `pages` by nation, and a second officer of the nation that issues, at a page of their own.

    now_s: seconds since the watching began. Each wait ends at `until_s`, with a TimeoutError that `play` takes for the end.
    """

    def __init__(
        self,
        pages: Mapping[str, PageClient],
        second: PageClient,
        issuer: str,
        now_s: Callable[[], float],
        until_s: float,
        say: Callable[[str], None],
    ) -> None:
        self._pages, self._second, self._issuer = dict(pages), second, issuer
        self._now_s, self._until_s, self._say = now_s, until_s, say
        self.story = Story()

    async def play(self) -> Story:
        """Do everything that officers do from the first sign of a launch to its all clear, as far as the time goes."""
        try:
            await self._watch()
            await self._issue()
            await self._acknowledge()
            await self._end()
        except TimeoutError:
            pass
        return self.story

    async def _until(self, page: PageClient, what: Callable[[PageClient], object]) -> None:
        await page.until(what, max(0.1, self._until_s - self._now_s()))

    def _came(self, step: str, words: str) -> None:
        self.story.at_s[step] = self._now_s()
        self._say(f"{self.story.at_s[step]:6.1f} s  {words}")

    def held(self, nation: str, *, of: str = "") -> dict[str, Any] | None:
        """Return the newest warning of a launch that a nation's page shows of an originator (its own unless said)."""
        return newest(self._pages[nation], of or nation)

    async def _watch(self) -> None:
        for nation, page in self._pages.items():
            await self._until(page, lambda page, nation=nation: newest(page, nation))  # type: ignore[misc]
        self._came("detected", f"launch detected on the pages of {' '.join(self._pages)}")
        page = self._pages[self._issuer]
        await self._until(page, lambda page: _located(newest(page, self._issuer)))
        held = self.held(self._issuer) or {}
        self.story.ellipse_m.append(held["flight"]["landing"]["major_m"])
        self._came(
            "assessed", f"assessed by {self._issuer}: {held['flight']['name']}, ellipse {self.story.ellipse_m[0] / 1e3:.0f} km"
        )

    async def _issue(self) -> None:
        """One officer proposes, another approves at another page the very content that was shown."""
        page = self._pages[self._issuer]
        partners = tuple(sorted(set(self._pages) - {self._issuer}))
        while True:
            held = self.held(self._issuer) or {}
            answer = await page.act(
                lambda act_id, held=held: acts.IssueWarning(  # type: ignore[misc]
                    act_id=act_id,
                    warning_id=held["id"],
                    version=held["version"],
                    audiences=(*partners, "PUBLIC"),
                    minutes=MINUTES,
                )
            )
            if answer["ok"]:
                break
            if answer["reason"] not in self.story.refused:
                self.story.refused.append(answer["reason"])
            await self._until(page, lambda page, held=held: (newest(page, self._issuer) or {}).get("version") != held["version"])  # type: ignore[misc]
        self._say(f"{self._now_s():6.1f} s  first officer of {self._issuer} proposed to issue")
        await self._until(self._second, _to_issue)
        asked = _to_issue(self._second) or {}
        await self._second.act(
            lambda act_id: acts.Approve(act_id=act_id, proposal=asked["id"], content_sha256=asked["content_sha256"])
        )
        for other in self._pages.values():
            await self._until(other, lambda page: (newest(page, self._issuer) or {}).get("state") in ISSUED)
        names = [one["names"]["en"] for one in (self.held(self._issuer) or {}).get("touched", ())]
        self.story.areas = tuple(dict.fromkeys(names))
        self._came("issued", f"issued by two officers of {self._issuer}, on every page: {', '.join(self.story.areas[:6])}")

    async def _acknowledge(self) -> None:
        for nation, page in self._pages.items():
            held = self.held(nation, of=self._issuer) or {}
            await page.act(
                lambda act_id, held=held: acts.AcknowledgeWarning(  # type: ignore[misc]
                    act_id=act_id, originator=self._issuer, warning_id=held["id"], version=held["version"]
                )
            )
        wanted = set(self._pages)
        await self._until(self._pages[self._issuer], lambda page: wanted <= _nations(newest(page, self._issuer)))
        self.story.acknowledged = tuple(sorted(wanted))
        self._came("acknowledged", f"acknowledged by {' '.join(self.story.acknowledged)}")

    async def _end(self) -> None:
        """Wait until it has come down, and give the all clear."""
        page = self._pages[self._issuer]
        size = [self.story.ellipse_m[0]]

        def ended(page: PageClient) -> bool:
            held = newest(page, self._issuer) or {}
            if _located(held):
                size[0] = held["flight"]["landing"]["major_m"]
            return held.get("state") in ENDED

        try:
            await self._until(page, ended)
        finally:
            self.story.ellipse_m.append(size[0])
        held = self.held(self._issuer) or {}
        self._came("ended", f"{held['state']}: the latest time of landing is over")
        await page.act(lambda act_id: acts.StandDown(act_id=act_id, warning_id=held["id"], version=held["version"]))
        for other in self._pages.values():
            await self._until(other, lambda page: (newest(page, self._issuer) or {}).get("state") == "stood-down")
        self._came("stood down", "all clear on every page")


def newest(page: PageClient, originator: str) -> dict[str, Any] | None:
    """Return a page's newest warning of a launch of one originator."""
    held = [one for one in page.warnings.values() if one["originator"] == originator and one["kind"] == "launch"]
    return max(held, key=lambda one: one["first_t_ms"], default=None)


def _located(held: dict[str, Any] | None) -> bool:
    return bool(held and held["touched"] and held["flight"] and held["flight"]["landing"])


def _to_issue(page: PageClient) -> dict[str, Any] | None:
    return next((one for one in page.approvals["pending"] if one["kind"] == "issue-warning"), None)


def _nations(held: dict[str, Any] | None) -> set[str]:
    return {one["nation"] for one in (held or {}).get("acknowledgements", ())}
