"""A whole node that is stopped while a missile flies and started again goes on with that flight and its warning."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import launch_nodes as nodes
import node_worlds as worlds
import pytest

from trilat.lessons import three as lessons
from trilat.node import record
from trilat.node.config import mode_of
from trilat.node.inputs import AssessedInput, ReceivedInput
from trilat.node.pipeline import Output
from trilat.node.settings import NodeConfig
from trilat.picture import acts
from trilat.records import codec
from trilat.records.assessment import Assessment, Ellipse, LaunchEstimate
from trilat.records.label import Label
from trilat.records.report import Pedigree
from trilat.records.warning import FlightFacts, Retraction, Warning
from trilat.store.sqlite import Store, open_store

NS = 1_000_000_000
ANN, BEN = nodes.officer("ann"), nodes.officer("ben")
ASSESSED_S, LONG_S = 150.0, 180.0
DOWN_S, AFTER_S = 8.0, 25.0


class Recorded(nodes.Three):
    """The three, of which JPN keeps its journal on disk as a node does and can be stopped and started again."""

    def __init__(self, made: dict[str, NodeConfig], directory: Path) -> None:
        super().__init__(made)
        self.config, self._directory = made["JPN"], directory
        self.step_ns = NS // 2
        self.store = self._open()

    def _open(self) -> Store:
        store = open_store(self._directory, "JPN", mode_of(self.config))
        self.recorder = record.Recorder(store, self.config)
        return store

    def step(self) -> dict[str, Output]:
        """Step everybody; JPN's step is durable before the next."""
        outputs = super().step()
        if "JPN" in outputs:
            now_ns, inputs, out = self.journal["JPN"][-1]
            self.recorder.append(now_ns, self.recorder.entry(inputs, out))
            self.store.commit()
        return outputs

    def stop(self) -> None:
        """End JPN: what it had in memory is gone."""
        del self.pipelines["JPN"]
        self.store.close()

    def start(self) -> None:
        """Start JPN on its store, as trilat.node.live does."""
        self.store = self._open()
        fresh = lessons.pipeline_of(self.config, self.now_ns, worlds.SECRET)
        self.recorder.restore_warnings(fresh)
        self.pipelines["JPN"] = fresh

    def issue(self) -> None:
        """Let two officers issue JPN's warning to everybody."""
        mine = self.newest("JPN", "JPN")
        assert mine is not None
        everybody = ("KOR", "PUBLIC", "USA")
        self.act(
            "JPN", ANN, acts.IssueWarning(act_id="1", warning_id=mine.id, version=mine.version, audiences=everybody, minutes=30)
        )
        self.step()
        [pending] = self.pipelines["JPN"].approvals.pending()
        content = pending.proposal.content_sha256.hex()
        for act_id, who in (("2", ANN), ("3", BEN)):
            self.act("JPN", who, acts.Approve(act_id=act_id, proposal=pending.proposal.id, content_sha256=content))


class Restarted(NamedTuple):
    """The three after JPN's restart, and when it went down and came up."""

    three: Recorded
    down_ns: int
    up_ns: int

    def before(self, nation: str) -> list[Warning]:
        """Return what a nation showed of JPN's warnings before the stop."""
        return [one for at, one in self.three.shown(nation, "JPN") if at <= self.down_ns]

    def after(self, nation: str) -> list[Warning]:
        """Return what it showed since the start."""
        return [one for at, one in self.three.shown(nation, "JPN") if at > self.up_ns]

    def assessed(self, audience: str) -> tuple[list[Assessment], list[Assessment]]:
        """Return what JPN's desk took of flights for an audience, before the stop and since the start, from its journal."""
        told: tuple[list[Assessment], list[Assessment]] = [], []
        for step in record.steps(self.three.store.journal):
            for one in step.inputs:
                if isinstance(one, AssessedInput) and one.audience == audience:
                    told[step.now_ns > self.up_ns].append(one.assessment)
        return told


@pytest.fixture(scope="module")
def restarted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restarted]:
    """Fly the demo's launch, issue its warning, stop JPN in mid-flight, start it again, and let it go on for a while."""
    made = nodes.configs(tmp_path_factory.mktemp("restart"))
    three = Recorded(made, tmp_path_factory.mktemp("store"))
    assert three.until(
        lambda: (held := three.newest("JPN", "JPN")) is not None and held.state == "assessed" and held.touched, ASSESSED_S
    )
    three.issue()
    assert three.until(lambda: three.in_state("USA", "JPN", "issued", "updated"), LONG_S)
    down_ns = three.now_ns
    three.stop()
    three.until(lambda: False, three.second + DOWN_S)
    three.start()
    up_ns = three.now_ns
    three.until(lambda: False, three.second + AFTER_S)
    yield Restarted(three, down_ns, up_ns)
    three.store.close()


@pytest.mark.parametrize("audience", ["national", "own", "KOR", "USA"])
def test_every_watch_goes_on_with_its_flight(restarted: Restarted, audience: str) -> None:
    """Each audience's flight keeps its stream, number, launch point and time of detection over the stop; its count goes on."""
    before, after = restarted.assessed(audience)
    last = before[-1]
    assert last.launch is not None
    assert {(last.stream, last.flight, last.detected_t_ns, last.launch)} == {
        (one.stream, one.flight, one.detected_t_ns, one.launch) for one in after
    }
    assert all(one.sequence > last.sequence for one in after)


def test_the_warning_goes_on_as_the_same_one(restarted: Restarted) -> None:
    """JPN and the partners see updates of the very warning after the restart, with its launch point, and never another one."""
    for nation in ("JPN", "KOR", "USA"):
        before, after = restarted.before(nation), restarted.after(nation)
        assert after, nation
        assert {before[-1].id} == {one.id for one in after}, nation
        assert all(one.version > before[-1].version for one in after), nation
        # Until its radars have it again, the warning may say that the track is lost; never that there is none.
        assert {"updated"} <= {one.state for one in after} <= {"updated", "track-lost"}, nation
        assert after[-1].state == "updated", [
            ((one.t_ns - worlds.T0_NS) / NS, one.version, one.state, one.reason) for one in (*before, *after)
        ]
        assert before[-1].flight is not None
        assert {before[-1].flight.launch} == {one.flight.launch for one in after if one.flight is not None}, nation
        assert all(one.issued for one in after), nation
        # A partner's edition rests on JPN's own radar alone, which may not have enough for an area when the others have.
        assert nation != "JPN" or all(one.touched for one in after)


def test_the_public_is_told_of_one_warning(restarted: Restarted) -> None:
    """What PUBLIC gets after the restart is the issued warning's next version, inside what two people approved."""
    told = [(at, one) for at, _, out in restarted.three.journal["JPN"] for one in out.public if isinstance(one, Warning)]
    before = [one for at, one in told if at <= restarted.down_ns]
    after = [one for at, one in told if at > restarted.up_ns]
    assert {before[-1].id} == {one.id for one in (*before, *after)}
    assert [one.version for one in (*before, *after)] == sorted({one.version for one in (*before, *after)})
    areas = {area.id for area in before[-1].touched}
    assert all({area.id for area in one.touched} <= areas for one in after if one.state == "updated")


def test_a_start_knows_where_partners_warnings_point(tmp_path: Path) -> None:
    """What a partner warned of before the stop points at launches again at once, unless the partner took it back."""
    config = nodes.configs(tmp_path)["JPN"]
    label = Label(policy="TRILAT", originator="KOR", mode=mode_of(config), level=1, rel_to=("JPN",), topics=("missile-warning",))
    ellipse = Ellipse(semi_major_m=5e3, semi_minor_m=5e3, bearing_deg=0.0)
    launch = LaunchEstimate(lat_deg=39.2, lon_deg=125.7, t_ns=worlds.T0_NS, sigma_s=3.0, ellipse95=ellipse)
    warning = Warning(
        id="KOR-JPN-W1", version=1, state="detected", t_ns=worlds.T0_NS, expires_ns=worlds.T0_NS + 600 * NS, label=label,
        pedigree=Pedigree(nation="KOR"), kind="launch", headline="Launch", raised_by="node", flight=FlightFacts(launch=launch),
    )  # fmt: skip
    back = Retraction(
        warning_id=warning.id, warning_version=1, reason="issued-in-error", by="KOR", t_ns=worlds.T0_NS, label=label
    )
    for records, expected in (((warning,), 1), ((warning, back), 0)):
        fresh = nodes.pipeline_of(config)
        for k, one in enumerate(records, 1):
            flash = ReceivedInput(exporter="KOR", lane="flash", epoch=1, sequence=k, record=codec.encode(one))
            fresh.restore(worlds.T0_NS + k * NS, [flash])
        assert fresh.launches.combined.pointers is not None
        assert expected == len(fresh.launches.combined.pointers)
        fresh.step(worlds.T0_NS + 1_000 * NS, [])
        assert 0 == len(fresh.launches.combined.pointers)
