"""Nations in network namespaces on one bridge, and what nftables and tc do to their links. Root's alone; else the reason to skip."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from typing import NamedTuple

NET = "10.78.0"
DEVICE = "tri0"
# A narrow link: rate, what may pass at once (more than a jumbo segment needs), and how much queues.
NARROW = ("tbf", "rate", "256kbit", "burst", "16kb", "latency", "400ms")


class Namespaces(NamedTuple):
    """Each nation's namespace and address."""

    names: dict[str, str]
    hosts: dict[str, str]

    @property
    def places(self) -> dict[str, list[str]]:
        """The command that puts a process into each nation's namespace."""
        return {nation: ["ip", "netns", "exec", name] for nation, name in self.names.items()}

    def rules(self, nation: str, *lines: str) -> None:
        """Put rules into a nation's namespace: lines "in RULE" and "out RULE"; whatever stood there goes."""
        body = {way: "\n".join(line.split(" ", 1)[1] for line in lines if line.startswith(f"{way} ")) for way in ("in", "out")}
        chains = "".join(
            f"chain {way} {{\ntype filter hook {hook} priority 0;\n{body[way]}\n}}\n"
            for way, hook in (("in", "input"), ("out", "output"))
        )
        table = f"table inet fault\ndelete table inet fault\ntable inet fault {{\n{chains}}}\n"
        run("ip", "netns", "exec", self.names[nation], "nft", "-f", "-", given=table)

    def cut(self, nation: str, other: str) -> None:
        """Let nothing pass between two, silently."""
        self.rules(nation, f"in ip saddr {self.hosts[other]} drop", f"out ip daddr {self.hosts[other]} drop")

    def cut_one_way(self, nation: str, other: str) -> None:
        """Let nothing pass from one to the other; the way back is open."""
        self.rules(nation, f"out ip daddr {self.hosts[other]} drop")

    def lose(self, nation: str, percent: int = 20) -> None:
        """Lose some of everything, both ways."""
        lost = f"numgen random mod 100 < {percent} drop"
        self.rules(nation, f"in iifname {DEVICE} {lost}", f"out oifname {DEVICE} {lost}")

    def narrow(self, nation: str) -> None:
        """Let through only a little at a time, as a slow line does."""
        run("ip", "netns", "exec", self.names[nation], "tc", "qdisc", "replace", "dev", DEVICE, "root", *NARROW)

    def heal(self) -> None:
        """Take every fault away."""
        for nation, name in self.names.items():
            self.rules(nation)
            with contextlib.suppress(subprocess.CalledProcessError):
                run("ip", "netns", "exec", name, "tc", "qdisc", "del", "dev", DEVICE, "root")


def run(*command: str, given: str = "") -> None:
    """Run a command of the machine's."""
    subprocess.run(command, input=given, text=True, check=True, capture_output=True)


def missing() -> str:
    """Return why there can be no namespaces here; "" when there can."""
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    tools = [tool for tool in ("ip", "nft", "tc") if shutil.which(tool) is None]
    return f"needs {', '.join(tools)} (apt install iproute2 nftables)" if tools else ""


@contextlib.contextmanager
def namespaces(nations: Sequence[str]) -> Iterator[Namespaces]:
    """Make a namespace for each nation, all on one bridge in one of its own; remove them afterwards.

    Raises subprocess.CalledProcessError where the kernel lets root make none.
    """
    bridge = f"trilat-{os.getpid()}-bridge"
    names = {nation: f"trilat-{os.getpid()}-{nation.lower()}" for nation in nations}
    hosts = {nation: f"{NET}.{at}" for at, nation in enumerate(nations, 1)}
    try:
        run("ip", "netns", "add", bridge)
        run("ip", "-n", bridge, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", bridge, "link", "set", "br0", "up")
        for at, nation in enumerate(nations):
            name = names[nation]
            run("ip", "netns", "add", name)
            run("ip", "link", "add", DEVICE, "netns", name, "type", "veth", "peer", "name", f"p{at}", "netns", bridge)
            run("ip", "-n", bridge, "link", "set", f"p{at}", "master", "br0", "up")
            run("ip", "-n", name, "addr", "add", f"{hosts[nation]}/24", "dev", DEVICE)
            run("ip", "-n", name, "link", "set", DEVICE, "up")
            run("ip", "-n", name, "link", "set", "lo", "up")
        made = Namespaces(names, hosts)
        made.heal()
        yield made
    finally:
        for name in (*names.values(), bridge):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
