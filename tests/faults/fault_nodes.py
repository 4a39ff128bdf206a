"""Nations' exchanges as real processes, what is done to them, and the judge of what they hold afterwards."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from exchange_process import HELD, SAID, Count, Spec, counts
from exchange_records import EXERCISE

from trilat.cli.audit import BatchChecks
from trilat.identity import keyfiles
from trilat.node import clock
from trilat.store.audit import Audit
from trilat.store.sqlite import open_reader

PROGRAM = Path(__file__).with_name("exchange_process.py")
# A busy machine is slow, not wrong: what has to happen is waited for this long.
PATIENCE_S = 90.0
LANES = ("flash", "state", "history")
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class FaultNode:
    """One nation's process, which may be killed, stopped and started again."""

    def __init__(self, spec: Spec, prefix: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> None:
        self.spec, self.prefix = spec, list(prefix)
        self.environ = {**os.environ, **(environ or {})}
        self.process: subprocess.Popen[bytes] | None = None
        self.per_s = 0.0
        self.directory = Path(spec.directory)
        self._file = self.directory / "spec.json"
        self._errors = self.directory / "errors.txt"

    def start(self, *, wait: bool = True) -> None:
        """Start it (again), with the load it had."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._file.write_bytes(msgspec.json.encode(self.spec))
        with self._errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [*self.prefix, sys.executable, str(PROGRAM), str(self._file)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=self.environ,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one call, before any thread
            )
        if wait:
            self.ready()

    def ready(self) -> None:
        """Wait until it has started."""
        assert {"ready": True} == self._hear()
        if self.per_s:
            self.load(self.per_s)

    def _hear(self) -> Any:
        process = self.process
        assert process is not None
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"{self.spec.nation} has ended: {self._errors.read_text()[-2_000:]}"
        return msgspec.json.decode(line)

    def ask(self, **order: Any) -> Any:
        """Have it do something; return what it answers."""
        assert self.process is not None
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: whoever listens is told, with what it said last
            self.process.stdin.write(msgspec.json.encode(order) + b"\n")
            self.process.stdin.flush()
        return self._hear()

    def tell(self) -> dict[str, Any]:
        """Return how it stands."""
        told: dict[str, Any] = self.ask(tell=True)
        return told

    def load(self, per_s: float) -> None:
        """Have it say so many records a second."""
        self.per_s = per_s
        self.ask(load=per_s)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        self.signal(signal.SIGKILL)
        self._gone()

    def stop(self) -> None:
        """End it as one ends a node."""
        if self.process is None or self.process.stdin is None:
            return
        with contextlib.suppress(OSError):
            self.process.stdin.write(b'{"stop": true}\n')
            self.process.stdin.flush()
        self._gone()

    def _gone(self) -> None:
        process, self.process = self.process, None
        assert process is not None
        try:
            process.wait(PATIENCE_S)
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()


class FaultNodes:
    """Several nations, joined."""

    def __init__(self, nodes: dict[str, FaultNode]) -> None:
        self.nodes = nodes

    def __getitem__(self, nation: str) -> FaultNode:
        return self.nodes[nation]

    def start(self) -> None:
        """Start all, side by side."""
        for node in self.nodes.values():
            node.start(wait=False)
        for node in self.nodes.values():
            node.ready()

    def load(self, per_s: float) -> None:
        """Have each say so many records a second."""
        for node in self.nodes.values():
            node.load(per_s)

    def unlevel(self) -> list[str]:
        """Return where something still waits, or an importer stands elsewhere than its exporter."""
        told = {nation: node.tell() for nation, node in self.nodes.items()}
        found = [f"{nation}: {one['health']}" for nation, one in told.items() if one["health"] != "ok"]
        found += [f"{nation}: {one['waiting']} to take over" for nation, one in told.items() if one["waiting"]]
        for nation, one in told.items():
            for source, (*stands, receipt) in one["out"].items():
                partner, lane = source.split("/")
                there = told[partner]["in"][f"{nation}/{lane}"]
                if stands[1] and (stands != there or receipt != stands[1]):
                    found.append(f"{nation} to {source}: at {stands[:2]}, receipt {receipt}, partner at {there[:2]}")
        queued = [f"{nation}: {one['lag']} wait" for nation, one in told.items() if one["lag"]]
        return found + queued

    def until_level(self, patience_s: float = PATIENCE_S) -> None:
        """Say no more, and wait until everyone has everything."""
        self.load(0.0)
        end_ns = clock.monotonic_ns() + int(patience_s * 1e9)
        while found := self.unlevel():
            assert clock.monotonic_ns() < end_ns, f"not level: {found[:6]}"
            time.sleep(0.1)  # noqa: TID251 - real processes take real time

    def run_for(self, seconds: float) -> None:
        """Let real time pass."""
        time.sleep(seconds)  # noqa: TID251 - real processes take real time

    def stop(self) -> None:
        """End all."""
        for node in self.nodes.values():
            if node.process is not None:
                node.stop()

    def kill(self) -> None:
        """End whatever still runs."""
        for node in self.nodes.values():
            if node.process is not None:
                node.process.kill()
                node._gone()


def wrong_in(nodes: FaultNodes) -> list[str]:
    """Return what is wrong in the stores of nodes that have ended: lost, doubled, out of order, heads, and what an audit finds."""
    found: list[str] = []
    said, held = {}, {}
    for nation, node in nodes.nodes.items():
        found += [f"{nation}: {what}" for what in audit(node.directory / "store", nation)]
        reader = open_reader(node.directory / "store")
        try:
            said[nation], held[nation] = counts(reader, SAID), counts(reader, HELD)
        finally:
            reader.close()
    for nation, partner in ((a, b) for a in nodes.nodes for b in nodes.nodes if a != b):
        for lane in LANES:
            ours = said[nation].get(f"{partner}/{lane}", Count())
            theirs = held[partner].get(f"{nation}/{lane}", Count())
            if ours != theirs:
                what = f"{ours.count} said, {theirs.count} held, {theirs.lost} lost, {theirs.twice} twice"
                found.append(f"{nation} to {partner} {lane}: {what}{', others' if ours.count == theirs.count else ''}")
    return found


def audit(store: Path, nation: str) -> list[str]:
    """Return what `trilat audit verify` finds in a store."""
    reader = open_reader(store)
    try:
        checks, one = BatchChecks(reader, nation), Audit(reader)
        one.run(checks.batch, checks.checkpoint)
        return [f"{finding.name} {finding.where}: {finding.detail}" for finding in one.findings[:5]]
    finally:
        reader.close()


def total_said(nodes: FaultNodes) -> int:
    """Return how many records all of them have said."""
    return sum(sum(node.tell()["said"].values()) for node in nodes.nodes.values())


@contextlib.contextmanager
def running(
    directory: Path,
    nations: Sequence[str] = ("JPN", "KOR"),
    places: Mapping[str, Sequence[str]] | None = None,
    hosts: Mapping[str, str] | None = None,
    *,
    wait: bool = True,
    **spec: Any,
) -> Iterator[FaultNodes]:
    """Run nations' processes while the block runs, each calling each; places: a command that puts each in its namespace.

    wait: start them; else whoever asked does.
    """
    made = keyfiles.provision(directory, nations, EXERCISE, clock.now_ns())
    at = {nation: (hosts or {}).get(nation, "127.0.0.1") for nation in nations}
    nodes = {
        nation: FaultNode(
            Spec(
                nation=nation,
                keys=str(made[nation].keys),
                directory=str(directory / nation),
                host=at[nation],
                port=made[nation].port,
                partners={other: f"{at[other]}:{made[other].port}" for other in nations if other != nation},
                **spec,
            ),
            (places or {}).get(nation, ()),
        )
        for nation in nations
    }
    all_of_them = FaultNodes(nodes)
    try:
        if wait:
            all_of_them.start()
        yield all_of_them
    finally:
        all_of_them.kill()


def kill_at_random(nodes: FaultNodes, times: int, dice: Random, between_s: float = 1.0) -> None:
    """Kill one or the other in the middle of its load, and start it again."""
    for _ in range(times):
        nodes.run_for(dice.uniform(0.1, 1.0) * between_s)
        node = nodes[dice.choice(sorted(nodes.nodes))]
        node.kill()
        nodes.run_for(dice.choice([0.0, 0.3 * between_s]))
        node.start()
