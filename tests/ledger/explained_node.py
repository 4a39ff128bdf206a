"""A node's pipeline that has tracked for some seconds, its picture, and what answers beside it why a track goes where."""

from __future__ import annotations

from pathlib import Path

import httpx
import node_worlds as worlds
from starlette.applications import Starlette

from trilat.accounts.roles import may
from trilat.ledger import explained
from trilat.node import show
from trilat.node.inputs import Input
from trilat.node.settings import NodeConfig
from trilat.picture.inputs import CopInput
from trilat.records.approval import Session

SECONDS = 6.0


class Held:
    """A node's pipeline that has tracked for some seconds, its picture, and what answers beside it."""

    def __init__(self, directory: Path, seconds: float = SECONDS) -> None:
        self.prepared = worlds.prepare(directory)["JPN"]
        self.config: NodeConfig = worlds.config_of(self.prepared)
        self.pipeline = worlds.pipeline_of(self.config)
        self.cop = show.make_cop(self.config, self.pipeline, worlds.T0_NS)
        for now_ns, inputs in worlds.inputs_of("JPN", seconds):
            out = self.pipeline.step(now_ns, inputs)
            self.cop.step(now_ns, CopInput(own=out.national, combined=out.combined))
        self.explainer = show.explainer_of(self.config, self.cop, lambda: self.cop.now_ns)
        self.ids = self.of_layer("own")

    def act(self, *inputs: Input) -> None:
        """Step the node once more, with some inputs."""
        now_ns = self.cop.now_ns + worlds.STEP_NS
        out = self.pipeline.step(now_ns, inputs)
        self.cop.step(now_ns, CopInput(own=out.national, combined=out.combined, warnings=out.warnings))

    def of_layer(self, layer: str) -> list[int]:
        """Return the ids of the picture's tracks of one layer."""
        return [n for n in range(1, 400) if (told := self.cop.details("watch", n)) and told["layer"] == layer]

    async def asked(self, role: str | None, *questions: str) -> list[httpx.Response]:
        """Ask as somebody with a role, one question after another; None is nobody."""
        session = None if role is None else Session(user="ann", person="Ann", roles=(role,), station="s", session="x")  # type: ignore[arg-type]
        app = Starlette(routes=explained.routes(lambda _: session, may, lambda: self.explainer))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as http:
            return [await http.get(f"/api/release/{question}") for question in questions]
