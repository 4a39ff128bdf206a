"""Three nations' exchanges at 200 records a second each, with a fault every minute: `python tests/faults/soak_exchange.py MINUTES`.

Prints a line a minute and the table at the end; ends with 0 only if nothing was lost or came twice, every store is sound, and
memory did not grow. In network namespaces where root allows them (links are then cut, cut one way, lossy, narrow); else nodes
are killed and stopped only.
"""

import argparse
import contextlib
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "exchange"))
sys.path.insert(0, str(Path(__file__).parent))
from fault_nodes import FaultNodes, running, wrong_in
from namespaces import Namespaces, missing, namespaces

NATIONS = ("JPN", "KOR", "USA")
PER_S = 200.0
MINUTE_S = 60.0
# A fault lasts this part of its minute, so that there is time to level before the next.
FAULT_S = 15.0
KEEP_S = 300.0
# Memory is flat when the greatest of the second half of the run is not above the greatest of the first by more than this.
GROWTH_MAX, GROWTH_BYTES_MAX = 0.10, 16 << 20


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Minute(NamedTuple):
    """How things stood at the end of a minute."""

    fault: str
    said: int
    held: int
    lost: int
    twice: int
    waiting: int
    resident: dict[str, int]
    disk_bytes: int


class Soak:
    """One run."""

    def __init__(self, nodes: FaultNodes, net: Namespaces | None, dice: Random) -> None:
        self.nodes, self.net, self.dice = nodes, net, dice
        self.minutes: list[Minute] = []

    def faults(self) -> list[tuple[str, Callable[[], None]]]:
        """Return what may happen, each with what does it and undoes it."""
        a, b = self.dice.sample(NATIONS, 2)
        ways: list[tuple[str, Callable[[], None]]] = [
            (f"{a} killed", lambda: self.kill(a, 0.0)),
            (f"{a} killed, away for {FAULT_S:g} s", lambda: self.kill(a, FAULT_S)),
            (f"{a} stopped in its tracks", lambda: self.pause(a)),
        ]
        net = self.net
        if net is not None:
            ways += [
                (f"{a} and {b} cut off", lambda: self.link(lambda: net.cut(a, b))),
                (f"{a} to {b} cut one way", lambda: self.link(lambda: net.cut_one_way(a, b))),
                (f"{a} loses 20 %", lambda: self.link(lambda: net.lose(a))),
                (f"{a} narrow", lambda: self.link(lambda: net.narrow(a))),
            ]
        return ways

    def kill(self, nation: str, away_s: float) -> None:
        """Kill one and start it again."""
        self.nodes[nation].kill()
        self.nodes.run_for(away_s)
        self.nodes[nation].start()

    def pause(self, nation: str) -> None:
        """Stop one in its tracks for a while."""
        self.nodes[nation].signal(signal.SIGSTOP)
        self.nodes.run_for(FAULT_S)
        self.nodes[nation].signal(signal.SIGCONT)

    def link(self, begin: Callable[[], None]) -> None:
        """Have a link's fault for a while."""
        begin()
        self.nodes.run_for(FAULT_S)
        if self.net is not None:
            self.net.heal()

    def minute(self) -> Minute:
        """Let a minute pass with its fault; return how things stand."""
        before_s = self.dice.uniform(1.0, MINUTE_S - 2 * FAULT_S)
        self.nodes.run_for(before_s)
        what, strike = self.dice.choice(self.faults())
        strike()
        self.nodes.run_for(max(MINUTE_S - before_s - FAULT_S, 0.0))
        told: dict[str, dict[str, Any]] = {nation: node.tell() for nation, node in self.nodes.nodes.items()}
        for node in self.nodes.nodes.values():
            node.ask(retain_s=KEEP_S)
        held = [each for one in told.values() for each in one["held"].values()]
        made = Minute(
            fault=what,
            said=sum(sum(one["said"].values()) for one in told.values()),
            held=sum(count for count, _, _ in held),
            lost=sum(lost for _, lost, _ in held),
            twice=sum(twice for _, _, twice in held),
            waiting=sum(one["lag"] for one in told.values()),
            resident={nation: one["rss"] for nation, one in told.items()},
            disk_bytes=sum(one["disk"] for one in told.values()),
        )
        self.minutes.append(made)
        return made

    def growing(self) -> list[str]:
        """Return whose memory grew."""
        half = len(self.minutes) // 2
        found = []
        for nation in NATIONS if half else ():
            first, second = (
                max(minute.resident[nation] for minute in part) for part in (self.minutes[:half], self.minutes[half:])
            )
            if second > first * (1 + GROWTH_MAX) + GROWTH_BYTES_MAX:
                found.append(f"{nation}: memory grew from {first >> 20} to {second >> 20} MiB")
        return found


@contextlib.contextmanager
def maybe_namespaces() -> Iterator[Namespaces | None]:
    """Give namespaces where there can be some."""
    why = missing()
    if why:
        say(f"links are left alone: {why}")
        yield None
    else:
        with namespaces(NATIONS) as net:
            yield net


def run(directory: Path, minutes: int, seed: int) -> list[str]:
    """Run it, print the table, return what is wrong."""
    with maybe_namespaces() as net:
        places, hosts = (None, None) if net is None else (net.places, net.hosts)
        with running(directory, NATIONS, places, hosts) as nodes:
            soak = Soak(nodes, net, Random(seed))
            nodes.load(PER_S)
            say(f"{'min':>4} {'fault':<34} {'said':>10} {'held':>10} {'lost':>5} {'twice':>5} {'wait':>7} {'MiB':>14} disk MiB")
            for at in range(1, minutes + 1):
                one = soak.minute()
                resident = "/".join(str(size >> 20) for size in one.resident.values())
                say(
                    f"{at:>4} {one.fault:<34} {one.said:>10,} {one.held:>10,} {one.lost:>5} {one.twice:>5} {one.waiting:>7,}"
                    f" {resident:>14} {one.disk_bytes >> 20:>8}"
                )
            nodes.until_level(300.0)
            told = [node.tell() for node in nodes.nodes.values()]
            nodes.stop()
        wrong = wrong_in(nodes) + soak.growing()
    held = [each for one in told for each in one["held"].values()]
    said = sum(sum(one["said"].values()) for one in told)
    lost, twice = said - sum(count for count, _, _ in held) + sum(each[1] for each in held), sum(each[2] for each in held)
    say(
        f"soak {'ok' if not wrong else 'FAILED'}: {minutes} minutes, {minutes} faults, {said:,} records: {lost} lost, {twice} twice"
    )
    for what in wrong:
        say(f"  {what}")
    return wrong


def main() -> None:
    """Run it as a command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("minutes", type=int, nargs="?", default=120)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trilat-soak-") as name:
        raise SystemExit(1 if run(Path(name), chosen.minutes, chosen.seed) else 0)


if __name__ == "__main__":
    main()
