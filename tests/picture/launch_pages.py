"""A launch on the pages of three nations: whole pipelines on a made-up clock, each with its picture and a page for each officer."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import feeder
from launch_nodes import Three, officer
from node_worlds import T0_NS

from trilat.node import approvals, show
from trilat.node.inputs import ActInput
from trilat.node.settings import NodeConfig
from trilat.picture.acts import OfficerAct
from trilat.picture.inputs import CopInput
from trilat.picture.web import Hub, WebSettings, make_app, serving
from trilat.records.track import Area
from trilat.warn.areas import shipped_layer

OFFICERS = {"JPN": ("ann", "ben"), "KOR": ("kim",), "USA": ("lee",)}


class Pages:
    """Three nations' pages on three pipelines; `step` moves everything by one step of the made-up clock."""

    def __init__(self, made: dict[str, NodeConfig], three: Three | None = None) -> None:
        self.three = three or Three(made)
        self.cops = {nation: show.make_cop(made[nation], pipe, T0_NS) for nation, pipe in self.three.pipelines.items()}
        self.hubs = {name: self._hub(nation, name) for nation, names in OFFICERS.items() for name in names if nation in self.cops}
        self._shown: dict[str, int] = {}

    def _hub(self, nation: str, name: str) -> Hub:
        who = officer(name)

        async def act(given: OfficerAct) -> None:
            self.three.acts[nation].append(ActInput(act=given))

        return Hub(self.cops[nation], act, feeder.open_gate(door=lambda _: who), WebSettings(status_ms=200))

    def step(self) -> None:
        """Step the world, every node and every picture once."""
        for nation, out in self.three.step().items():
            given = CopInput(
                combined=None if out.combined is None else show.confirmed_only(out.combined),
                partners=[one for one in out.partners if isinstance(one.record, Area)],
                warnings=out.warnings,
                answers=out.answers,
                notices=out.notices,
            )
            self.cops[nation].step(out.t_ns, given)
            desk = self.three.pipelines[nation].approvals
            for name in OFFICERS[nation]:
                if self._shown.get(name) != desk.version:
                    self._shown[name] = desk.version
                    self.hubs[name].show_approvals(approvals.told(desk, approvals.leave_told(self.three.pipelines[nation].desk)))
                self.hubs[name].publish()

    def publish(self) -> None:
        """Let every page hear of the node, when it is due."""
        for hub in self.hubs.values():
            hub.publish()

    def to(self, second: float) -> None:
        """Step to a second of the world."""
        while self.three.second < second:
            self.step()

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[dict[str, str]]:
        """Serve every officer's page; give the addresses."""
        areas = show.outlines(shipped_layer())
        async with contextlib.AsyncExitStack() as stack:
            addresses = {}
            for name, hub in self.hubs.items():
                app: Any = make_app(hub, live=lambda: (True, {}), ready=lambda: (True, {}), metrics=lambda: b"", areas=areas)
                port = await stack.enter_async_context(serving(app, "127.0.0.1", 0, hub.settings))
                addresses[name] = f"http://127.0.0.1:{port}"
            yield addresses
