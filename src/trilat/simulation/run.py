"""Run a schedule: nodes, network, clocks and faults on simulated time; then everything heals, levels, and is judged.

Simulated time goes in steps of STEP_NS; nothing here reads a clock, and chance comes from the schedule's seed alone.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from trilat.simulation import judge
from trilat.simulation.nations import SECOND_NS, T0_NS
from trilat.simulation.network import Faults, SimulatedNetwork
from trilat.simulation.node import SimulatedNode
from trilat.simulation.schedule import Event, Schedule

MS = 1_000_000
STEP_NS = 25 * MS
TICK_NS = 50 * MS
# After healing, everything has this much simulated time to become level.
HEAL_S_MAX = 60.0
LEVEL_STEPS = 10
# By then every pull has been answered, if only by an empty.
TOLD_STEPS = 60
# A flapping link is cut for half of this, then mended for the other half.
FLAP_S = 0.2


class Outcome(NamedTuple):
    """What came of one run: what was wrong (nothing, if all is well), what was reached how often, simulated seconds to level."""

    problems: list[str]
    counts: Counter[str]
    seconds: float


class Simulation:
    """One run of one schedule."""

    def __init__(
        self, schedule: Schedule, make: Callable[[str, Schedule], SimulatedNode] = SimulatedNode, heal_s_max: float = HEAL_S_MAX
    ) -> None:
        self.schedule = schedule
        self.now_ns = T0_NS
        self.dice = Random(f"{schedule.seed}/run")
        self.net = SimulatedNetwork(schedule.seed, schedule.network)
        self.nodes = {nation: make(nation, schedule) for nation in schedule.nations}
        self.counts: Counter[str] = Counter()
        self._events: list[tuple[int, int, str, Event]] = []
        self._order = 0
        self._heal_s_max = heal_s_max
        for event in schedule.event:
            self._later(event.at_s, event.what, event)

    def _later(self, at_s: float, what: str, event: Event) -> None:
        self._order += 1
        self._events.append((T0_NS + int(at_s * SECOND_NS), self._order, what, event))
        self._events.sort(key=lambda one: one[:2])

    def run(self) -> Outcome:
        """Run it all. An exception of the node's own code is a finding, too."""
        try:
            return self._run()
        except Exception as error:  # noqa: BLE001 - whatever a node raises in a run is what the run is for
            where = traceback.extract_tb(error.__traceback__)[-1]
            return Outcome([f"{type(error).__name__} in {where.name}: {error}"], self.counts, self._elapsed_s())
        finally:
            for node in self.nodes.values():
                node.kill()
                node.disk.close()

    def _run(self) -> Outcome:
        for node in self.nodes.values():
            node.start(self.now_ns)
        end_ns = T0_NS + int(self.schedule.seconds * SECOND_NS)
        while self.now_ns < end_ns:
            self._happen()
            self._step(offering=True)
        self._heal()
        steps = 0
        # Some steps at least: a node that has just started gives out what came before it ended with its first one (seed 4898).
        while not (steps and steps % LEVEL_STEPS == 0 and judge.level(list(self.nodes.values()), told=steps >= TOLD_STEPS)):
            if self._elapsed_s() > self.schedule.seconds + self._heal_s_max:
                return Outcome(["not level in time after healing"], self._counted(), self._elapsed_s())
            self._step(offering=False)
            steps += 1
        self._settle()
        problems = judge.judge(self.schedule, list(self.nodes.values()), counts := self._counted())
        return Outcome(problems, counts, self._elapsed_s())

    def _settle(self) -> None:
        """Let the last hand-over be committed."""
        for node in self.nodes.values():
            node.flush(self.now_ns)

    def _elapsed_s(self) -> float:
        return (self.now_ns - T0_NS) / 1e9

    def _counted(self) -> Counter[str]:
        self.counts.update({f"net: {what}": times for what, times in self.net.counts.items()})
        for node in self.nodes.values():
            self._count_refusals(node)
        return self.counts

    def _count_refusals(self, node: SimulatedNode) -> None:
        if node.exchange is not None:
            for (_, reason), refused in node.exchange.station.tally.refused.items():
                self.counts[f"refused {reason}"] += refused.times

    # --- a step -------------------------------------------------------------------------------------------------------

    def _step(self, *, offering: bool) -> None:
        self.now_ns += STEP_NS
        ticking = (self.now_ns - T0_NS) % TICK_NS == 0
        for delivery in self.net.arrivals(self.now_ns):
            if self.nodes[delivery.to].exchange is not None:
                self.nodes[delivery.to].arrived.append(delivery)
        for node in self.nodes.values():
            taken = node.take(self.now_ns, STEP_NS)
            if ticking:
                if offering:
                    node.offer(self.now_ns, self._burst())
                node.tick(self.now_ns)
            if taken or ticking:
                self._flush(node)

    def _burst(self) -> int:
        """Return how many records are said at this tick: nothing, one, or a burst."""
        mean = self.schedule.load * TICK_NS / 1e9
        return self.dice.choice([0, 0, 1, 1, 8]) if self.dice.random() < mean / 2 else 0

    def _flush(self, node: SimulatedNode) -> None:
        outgoing = node.flush(self.now_ns)
        if node.disk.lost_power:
            node.disk.lost_power = False
            self.counts["power cut in a step"] += 1
            self._down(node, node.down_s)
        elif outgoing is not None:
            self.net.carry(self.now_ns, node.nation, outgoing)

    # --- what happens -------------------------------------------------------------------------------------------------

    def _happen(self) -> None:
        while self._events and self._events[0][0] <= self.now_ns:
            _, _, what, event = self._events.pop(0)
            node = self.nodes[event.node]
            self.counts[f"event {what}"] += 1
            if what in {"crash", "power-cut", "rollback", "restore", "rebuild", "copy", "start"}:
                self._store_event(what, node, event)
            elif what.startswith("disk"):
                self._disk_event(what, node, event)
            else:
                self._other_event(what, node, event)

    def _down(self, node: SimulatedNode, for_s: float) -> None:
        self._count_refusals(node)
        node.kill()
        self._later(self._elapsed_s() + for_s, "start", Event(at_s=0.0, what="crash", node=node.nation, for_s=for_s))

    def _store_event(self, what: str, node: SimulatedNode, event: Event) -> None:
        if what == "start":
            if node.exchange is None and not node.start(self.now_ns):
                self._later(self._elapsed_s() + 0.2, "start", event)
        elif node.exchange is None:
            self.counts["event in a node that was down"] += 1
        elif what == "copy":
            node.keep_copy()
        elif what == "crash":
            self._down(node, event.for_s)
        elif what == "power-cut" and event.amount:
            node.disk.countdown, node.down_s = int(event.amount), event.for_s
        elif what == "power-cut":
            node.disk.cut_power()
            self._down(node, event.for_s)
        elif what == "rebuild":
            self._down(node, event.for_s)
            node.rebuild()
            self.counts["rebuilt"] += 1
        elif what == "rollback" and node.copies:
            self._down(node, event.for_s)
            node.roll_back()
            self.counts["rolled back"] += 1
        elif what == "restore" and node.copies:
            self._down(node, event.for_s)
            node.roll_back(int(event.amount), restored=True)
            self.counts["restored"] += 1

    def _disk_event(self, what: str, node: SimulatedNode, event: Event) -> None:
        disk = node.disk
        if what == "disk-mend":
            disk.limit_bytes, disk.failure = None, ""
            return
        if what == "disk-full":
            disk.limit_bytes = disk.used_bytes + int(event.amount)
        else:
            disk.failure = {"disk-write": "write", "disk-sync": "sync", "disk-readonly": "readonly"}[what]  # type: ignore[assignment]
        self._later(self._elapsed_s() + event.for_s, "disk-mend", event)

    def _other_event(self, what: str, node: SimulatedNode, event: Event) -> None:
        if what == "stall":
            node.stalled_until_ns = self.now_ns + int(event.for_s * SECOND_NS)
        elif what == "slow":
            node.pace_s, node.room = event.amount, 0.0
            self._later(self._elapsed_s() + event.for_s, "speed-up", event)
        elif what == "speed-up":
            node.pace_s = None
        elif what == "clock-jump":
            node.jump_ns += int(event.amount * SECOND_NS)
        elif what == "retain":
            node.retain(self.now_ns, event.amount)
        elif what == "recall":
            node.recall(self.now_ns, int(event.amount))
        elif what == "letter":
            node.write_letter(self.now_ns, int(event.amount))
        elif what == "warn-all":
            node.warn_all(self.now_ns, int(event.amount))
        elif what == "mend":
            self.net.cut -= self._lines(event)
        else:
            self.net.cut |= self._lines(event)
            if what == "flap":
                self._flap(event)
            self._later(self._elapsed_s() + (FLAP_S / 2 if what == "flap" else event.for_s), "mend", event)

    def _flap(self, event: Event) -> None:
        """Cut and mend in turn until for_s is over."""
        if event.for_s > FLAP_S:
            rest = Event(at_s=0.0, what="flap", node=event.node, for_s=event.for_s - FLAP_S, with_=event.with_)
            self._later(self._elapsed_s() + FLAP_S, "flap", rest)

    def _lines(self, event: Event) -> set[tuple[str, str]]:
        others = [event.with_] if event.with_ else [n for n in self.nodes if n != event.node]
        lines = {(event.node, other) for other in others}
        return lines if event.what == "cut-one-way" else lines | {(other, event.node) for other in others}

    def _heal(self) -> None:
        self.net.cut, self.net.faults = set(), Faults()
        for node in self.nodes.values():
            disk = node.disk
            disk.limit_bytes, disk.failure, disk.countdown = None, "", 0
            node.pace_s, node.stalled_until_ns = None, 0
            if node.exchange is None:
                node.start(self.now_ns)
