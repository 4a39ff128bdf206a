"""Worlds in which KOR gets areas and delayed tracks, a node that is started anew on the way, and audiences in another order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from ni_events import KEY
from ni_people import ANN, BEN, at, raised, retracted
from ni_world import Ground, Journal, agreements_of
from node_worlds import SECRET
from observe import Run
from planting import Patch, Plant

from trilat.accounts.approvals import ApprovalDesk
from trilat.node import audience as audience_module
from trilat.node import record, setup
from trilat.node.audience import AudiencePipeline
from trilat.node.pipeline import Output, Pipeline
from trilat.node.settings import NodeConfig
from trilat.outward.delayed import DelayQueue, MinuteHold
from trilat.policy.audience import DecisionLog
from trilat.records.label import FieldOperation

COARSE = FieldOperation(field="position", operation="coarsen", amount=20_000.0)
LATE = FieldOperation(field="record", operation="delay", amount=1.0)
# Visible and hidden sensors alike, so that what they share would show.
OPERATIONS = {"JPN/strait": COARSE, "JPN/isle": COARSE, "JPN/ridge": LATE, "JPN/adsb": LATE, "JPN/quiet": LATE}
SECONDS = 20.5  # three turns of the radars, by which their tracks are confirmed
MINUTE_NS = 10**9  # worlds last some seconds: their minutes are short
RESTARTED_AT = 14  # after warnings were raised, events taken


# What people do for KOR after the node was started anew.
LATER_WORDS = "EXERCISE later"
LATER = at({RESTARTED_AT + 1: raised(ANN, LATER_WORDS, ("KOR",)), RESTARTED_AT + 4: retracted(BEN, LATER_WORDS)})


def shorter_minutes(patch: Patch) -> None:
    """Let areas leave every second."""
    patch.put(audience_module, "TIME_STEP_NS", MINUTE_NS)


def in_other_forms(config: NodeConfig) -> NodeConfig:
    """Return a configuration in which some sensors' labels coarsen, and some delay."""

    def with_operation(sensor: Any) -> Any:
        one = OPERATIONS.get(sensor.id)
        label = sensor.label if one is None else msgspec.structs.replace(sensor.label, operations=(one,))
        return msgspec.structs.replace(sensor, label=label)

    return msgspec.structs.replace(config, sensor=tuple(with_operation(one) for one in config.sensor))


class FormsGround(Ground):
    """Worlds as ever, under labels by which tracks leave as areas, or late."""

    def __init__(self, directory: Path, seconds: float = SECONDS) -> None:
        super().__init__(directory, seconds)
        self.configs["JPN"] = in_other_forms(self.configs["JPN"])


class Formed(Run):
    """A run that counts what left for KOR, by type, and what of it had waited for its delay."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal._replace(people=(*journal.people, LATER)))
        self.types: dict[str, int] = {}
        self.late = 0

    def taken_in(self, out: Output) -> None:
        """Count."""
        for one in out.released:
            if one.audience == "KOR":
                self.types[one.record_type] = self.types.get(one.record_type, 0) + 1
                self.late += one.record_type == "trilat.track/1" and one.t_ns <= out.t_ns - 10**9


class Turned(Formed):
    """A run in which the audiences come in the opposite order: what one leaves behind for the next would show."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        audiences = self._pipeline.audiences
        self._pipeline.audiences = dict(reversed(audiences.items()))


class Restarted(Formed):
    """A run whose node is started anew on the way: it knows what its journal says."""

    def step(self) -> None:
        """Start anew when it is time."""
        if len(self.ends) == RESTARTED_AT:
            config = self._journal.config
            now_ns = self._journal.steps[RESTARTED_AT][0] - 1_000_000
            policies = setup.policies(config, agreements_of(config), SECRET, DecisionLog())
            self._pipeline = Pipeline(setup.pipeline_settings(config), policies, now_ns)
            self._pipeline.trust({KEY.key_id: KEY.verify_key.public})
            self._recorder.restore_warnings(self._pipeline)
        super().step()


# Leaks that show in these worlds and runs alone ----------------------------------------------------------------------------

FORM_PLANTS: dict[str, tuple[Plant, type[Run], str]] = {}


def planted(run: type[Run], change: str) -> Callable[[Plant], Plant]:
    """Put a plant into the table, with the runs and the change in which it shows."""

    def keep(plant: Plant) -> Plant:
        FORM_PLANTS[(plant.__doc__ or "").split(".")[0]] = (plant, run, change)
        return plant

    return keep


def in_each_node(patch: Patch, arrange: Callable[[Pipeline], None]) -> None:
    """Change every pipeline when it is made: both runs of a pair go side by side, and must not meet in the plant itself."""

    def around(init: Any) -> Any:
        def made(self: Pipeline, *args: Any) -> None:
            init(self, *args)
            arrange(self)

        return made

    patch.wrap(Pipeline, "__init__", around)


@planted(Turned, "sensors-gone")
def cells_of_all(patch: Patch) -> None:
    """In which cell a track was put is remembered for all audiences together."""

    def arrange(node: Pipeline) -> None:
        cells: dict[Any, Any] = {}
        for audience in node.audiences.values():
            if audience.policy.coarsener is not None:
                audience.policy.coarsener._cells = cells

    in_each_node(patch, arrange)


@planted(Formed, "flood")
def minute_of_all(patch: Patch) -> None:
    """The minute on which areas leave waits while the node has much to do."""
    busy = [0]

    def around(step: Any) -> Any:
        def stepped(self: AudiencePipeline, now_ns: int, batches: Any) -> Any:
            busy[0] = sum(len(batch.columns) for batch in batches)
            return step(self, now_ns, batches)

        return stepped

    patch.wrap(AudiencePipeline, "step", around)
    patch.wrap(MinuteHold, "due", lambda due: lambda self, now_ns: due(self, now_ns) if busy[0] < 14 else [])


@planted(Turned, "everything")
def room_for_late_records_of_all(patch: Patch) -> None:
    """What waits for its delay waits in one room for all audiences."""

    def arrange(node: Pipeline) -> None:
        queues = [audience.delayed for audience in node.audiences.values()]

        def sharing(put: Any, queue: DelayQueue) -> Any:
            def with_room(*args: Any) -> None:
                queue.held_max = max(1, 30 - sum(len(one) for one in queues if one is not queue))
                put(*args)

            return with_room

        for queue in queues:
            queue.put = sharing(queue.put, queue)  # type: ignore[method-assign]

    in_each_node(patch, arrange)


@planted(Restarted, "warnings")
def the_end_of_the_journal(patch: Patch) -> None:
    """A restart reads the last of what people did, and what one does not see pushes out what it does."""

    def around(steps: Any) -> Any:
        def some(journal: Any, start: int = 1, kinds: Any = (record.STEP, record.PEOPLE)) -> Any:
            found = list(steps(journal, start, kinds))
            return iter(found[-5:] if kinds == (record.PEOPLE,) else found)

        return some

    patch.wrap(record, "steps", around)


@planted(Restarted, "desk-and-ally")
def a_restart_counts_proposals(patch: Patch) -> None:
    """After a restart the warnings of every audience are numbered on from how many proposals there were."""

    def around(restore: Any) -> Any:
        def restored(self: Any, pipeline: Pipeline) -> Any:
            shown = restore(self, pipeline)
            desk: ApprovalDesk = pipeline.approvals
            for _ in range(len(desk.settled) + len(desk.pending())):
                pipeline.audiences["KOR"].new_warning_id()
            return shown

        return restored

    patch.wrap(record.Recorder, "restore_warnings", around)
