"""A release officer's and a watch officer's page on one node: a real pipeline with its desk, a real store behind the ledger."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from exchange_pair import Joined, tracks
from exchange_records import released, warning_of
from explained_node import Held
from node_worlds import STEP_NS
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from trilat.accounts.roles import acts_of, may
from trilat.ledger import explained, served
from trilat.node import approvals
from trilat.node.inputs import ActInput
from trilat.picture.acts import OfficerAct
from trilat.picture.guard import Gate
from trilat.picture.inputs import CopInput
from trilat.picture.web import Hub, WebSettings, make_app, serving
from trilat.records.approval import Approved, Role, Session
from trilat.store.sqlite import FILE_NAME

ROLES: dict[str, Role] = {"rita": "release-officer", "ann": "watch-officer", "otto": "auditor"}


def officer(name: str) -> Session:
    """Return the session of one of the three, each at a station of their own."""
    return Session(
        user=name, person=f"Officer {name.title()}", station=f"st-{name}", session=f"s-{name}", roles=(ROLES[name],), view="watch"
    )


def ledger_store(directory: Path) -> Path:
    """Make a store whose outbox KOR has receipted: 30 tracks and a warning; return its folder."""
    joined = Joined(directory)
    joined.exchanges["JPN"].offer(joined.now_ns, [*tracks(joined, 30), released(warning_of("JPN-W1"), "KOR", "flash")])
    joined.run(60)
    joined.exchanges["JPN"].station.store.commit()
    joined.close()
    (directory / "JPN.sqlite").rename(directory / FILE_NAME)
    for more in ("-wal", "-shm"):
        if (beside := directory / f"JPN.sqlite{more}").exists():
            beside.rename(directory / f"{FILE_NAME}{more}")
    return directory


class Office:
    """One node, stepped when somebody acts, and a page for each officer."""

    def __init__(self, directory: Path) -> None:
        self.held = Held(directory / "nodes")
        (directory / "ledger").mkdir()
        self.store = ledger_store(directory / "ledger")
        self.acts: list[ActInput] = []
        self.approved: list[Approved] = []
        self.hubs = {name: self._hub(name) for name in ROLES}

    def _hub(self, name: str) -> Hub:
        who = officer(name)

        async def act(given: OfficerAct) -> None:
            self.acts.append(ActInput(act=given))

        async def whose(_: Request) -> Response:
            return JSONResponse({"user": who.user, "person": who.person, "roles": who.roles, "ends_ms": 0})

        def door(_: Any) -> Session:
            return who

        behind = [*served.routes(door, may, self.store), *explained.routes(door, may, lambda: self.held.explainer)]
        gate = Gate(door, lambda session: session, acts_of, [Route("/session", whose), *behind])
        return Hub(self.held.cop, act, gate, WebSettings(status_ms=200))

    def step(self) -> None:
        """Step the node with what officers did, and let every page hear of it."""
        if self.acts:
            given, self.acts = self.acts, []
            now_ns = self.held.cop.now_ns + STEP_NS
            out = self.held.pipeline.step(now_ns, given)
            self.approved += [one for one in out.approvals if isinstance(one, Approved)]
            self.held.cop.step(now_ns, CopInput(answers=out.answers, notices=out.notices, warnings=out.warnings))
            told = approvals.told(self.held.pipeline.approvals)
            for hub in self.hubs.values():
                hub.show_approvals(told)
        for hub in self.hubs.values():
            hub.publish()

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[dict[str, str]]:
        """Serve every officer's page; give the addresses."""

        async def ticking() -> None:
            while True:
                self.step()
                await asyncio.sleep(0.2)

        async with contextlib.AsyncExitStack() as stack:
            addresses = {}
            for name, hub in self.hubs.items():
                app: Any = make_app(hub, live=lambda: (True, {}), ready=lambda: (True, {}), metrics=lambda: b"")
                port = await stack.enter_async_context(serving(app, "127.0.0.1", 0, hub.settings))
                addresses[name] = f"http://127.0.0.1:{port}"
            task = asyncio.ensure_future(ticking())
            try:
                yield addresses
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
