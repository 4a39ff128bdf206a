"""A node's pipeline that has tracked for some seconds, its picture, and what answers beside it why a track goes where."""

from __future__ import annotations

from pathlib import Path

import httpx
import node_worlds as worlds
from starlette.applications import Starlette

from trilat.accounts.roles import may
from trilat.identity.sign import SigningKey
from trilat.ledger import explained
from trilat.node import show
from trilat.node.inputs import Input
from trilat.node.people import signed
from trilat.node.settings import NodeConfig
from trilat.outward.events import Wanted
from trilat.picture.inputs import CopInput
from trilat.policy.audience import content_hash
from trilat.records import codec
from trilat.records.approval import Session
from trilat.records.declassification import Declassification

SECONDS = 6.0
KEY = SigningKey("JPN", "exercise", b"\x07" * 32)


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

    def let_go(self, warning_id: str, audience: str, reason: str, name: str = "JPN-A7") -> None:
        """Let a warning raised by hand go to an audience that its label withholds it from, by a signed event of two people."""
        record = self.pipeline.desk.hand.own(warning_id)
        assert record is not None
        self.pipeline.trust({KEY.key_id: KEY.verify_key.public})
        event = Declassification(
            id=name,
            nation="JPN",
            kind="approved-release",
            audience=audience,
            mode=record.label.mode,
            t_ns=self.cop.now_ns,
            expires_ns=self.cop.now_ns + 3_600 * 10**9,
            content_sha256=content_hash(record),
            approved_by=("ann", "otto"),
            level_max=4,
            reason=reason,
            topics=record.label.topics,
        )
        self.act(signed(Wanted(event, codec.encode(record)), KEY))

    def of_layer(self, layer: str) -> list[int]:
        """Return the ids of the picture's tracks of one layer."""
        return [n for n in range(1, 400) if (told := self.cop.details("watch", n)) and told["layer"] == layer]

    async def asked(self, role: str | None, *questions: str) -> list[httpx.Response]:
        """Ask as somebody with a role, one question after another; None is nobody."""
        session = None if role is None else Session(user="ann", person="Ann", roles=(role,), station="s", session="x")  # type: ignore[arg-type]
        app = Starlette(routes=explained.routes(lambda _: session, may, lambda: self.explainer))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as http:
            return [await http.get(f"/api/release/{question}") for question in questions]
