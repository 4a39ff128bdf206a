"""The exchange's figures: durable signed append, verify and take, catch-up, flash latency; beside a plain pipe of SQLite.

Two nodes in one process, joined by the in-process transport, each with its own store and worker thread: both ends share this
process's interpreter lock, so rates of two real nodes on two cores are higher. Latency is from `offer` at one node to the
record being durably held at the other. The disk's own fsync time is printed beside, since p99 belongs to it.
"""

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import exchange_pipe
from exchange_nodes import EXERCISE, NATIONS, node_exchange, released_track, released_warning
from trilat.exchange.drive import Drive
from trilat.exchange.exchange import Exchange
from trilat.exchange.importer import Received
from trilat.node import clock
from trilat.transport import envelope as sealing
from trilat.transport.loopback import LoopbackHub, LoopbackTransport
from trilat.transport.messages import PullId

GROUP = 64
FULL_BATCH = 512


@contextmanager
def folder(parent: str | None) -> Iterator[Path]:
    """Give a folder on a disk, and remove it."""
    path = Path(tempfile.mkdtemp(prefix="trilat-bench-", dir=parent))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def fsync_ms(directory: Path, count: int = 200) -> tuple[float, float]:
    """Return p50 and p99 of writing and syncing 600 bytes, in milliseconds."""
    took = []
    handle = os.open(directory / "fsync", os.O_CREAT | os.O_WRONLY)
    for _ in range(count):
        os.write(handle, bytes(600))
        start = time.perf_counter()
        os.fsync(handle)
        took.append((time.perf_counter() - start) * 1e3)
    os.close(handle)
    return percentiles(took)


def percentiles(values: list[float]) -> tuple[float, float]:
    """Return p50 and p99."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


def append_rate(directory: Path, count: int) -> float:
    """Return records per second through offer, number, chain, Merkle, sign and commit, in groups of 64."""
    exchange = node_exchange("JPN", directory / "append.sqlite")
    exporter = exchange._exporters[("KOR", "history")]  # noqa: SLF001 - a benchmark of the inside
    exporter.state = exporter.state.__class__(last=sealing.Cursor(1, 0, bytes(32)))
    items = [released_track(n, "KOR", "history") for n in range(count)]
    start = time.perf_counter()
    for at in range(0, count, GROUP):
        now_ns = clock.now_ns()
        exchange.offer(now_ns, items[at : at + GROUP])
        exporter.number(now_ns, 1 << 20, 1)
        exchange.flush(now_ns)
    took = time.perf_counter() - start
    exchange.station.store.close()
    return count / took


def take_rate(directory: Path, count: int) -> float:
    """Return records per second through verify, parse, label check and durable inbox, in batches of 512."""
    sender = node_exchange("JPN", directory / "sender.sqlite")
    exporter = sender._exporters[("KOR", "history")]  # noqa: SLF001 - a benchmark of the inside
    exporter.open_epoch(clock.now_ns(), sealing.Cursor(), sealing.Cursor(), "first")
    sealed = []
    for at in range(0, count, FULL_BATCH):
        sender.offer(clock.now_ns(), [released_track(n, "KOR", "history") for n in range(at, min(at + FULL_BATCH, count))])
        made = exporter.number(clock.now_ns(), 1 << 20, 1)
        sealed += [] if made is None else [made[0]]
        sender.flush(clock.now_ns())
    receiver = node_exchange("KOR", directory / "receiver.sqlite")
    got = 0
    start = time.perf_counter()
    for envelope in sealed:
        now_ns = clock.now_ns()
        receiver.handle(now_ns, envelope, pull=PullId("JPN", "history", 0))
        receiver.flush(now_ns)
        got += len(receiver.take_received())
    took = time.perf_counter() - start
    assert got == count, f"{got} of {count}"  # noqa: S101 - a benchmark that lost records measured nothing
    for exchange in (sender, receiver):
        exchange.station.store.close()
    return count / took


class Pair:
    """JPN and KOR under drivers, on the in-process transport."""

    def __init__(self, directory: Path) -> None:
        hub = LoopbackHub()
        self.flashes: list[tuple[int, Received]] = []
        self.bulk = 0
        self.exchanges: dict[str, Exchange] = {n: node_exchange(n, directory / f"{n}.sqlite") for n in NATIONS[:2]}
        self.drives = {
            nation: Drive(exchange, LoopbackTransport(hub, nation), clock.now_ns, self._arrive)
            for nation, exchange in self.exchanges.items()
        }
        self.tasks = [asyncio.create_task(drive.run()) for drive in self.drives.values()]

    def _arrive(self, received: list[Received]) -> None:
        now_ns = clock.now_ns()
        flashes = [(now_ns, item) for item in received if item.lane == "flash"]
        self.flashes += flashes
        self.bulk += len(received) - len(flashes)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is true."""
        while not true():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.001)

    async def close(self) -> None:
        """Stop both."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for exchange in self.exchanges.values():
            exchange.station.store.close()

    async def level(self) -> None:
        """Wait until the first warning has passed."""
        self.drives["JPN"].offer([released_warning(0, "KOR")])
        await self.until(lambda: bool(self.flashes))

    async def flash(self, count: int, per_s: float) -> list[float]:
        """Return the latencies of warnings offered at a rate, in milliseconds."""
        seen = len(self.flashes)
        begin = time.perf_counter()
        for n in range(count):
            delay = begin + n / per_s - time.perf_counter()
            if delay > 0:
                await asyncio.sleep(delay)
            self.drives["JPN"].offer([released_warning(n, "KOR", t_ns=clock.now_ns())])

        await self.until(lambda: len(self.flashes) >= seen + count)
        return [(now_ns - getattr(item.record, "t_ns", now_ns)) / 1e6 for now_ns, item in self.flashes[seen:]]


async def latencies(directory: Path, rates: dict[float, int]) -> dict[float, tuple[float, float]]:
    """Return p50 and p99 of flash at several rates."""
    pair = Pair(directory)
    await pair.level()
    found = {per_s: percentiles(await pair.flash(count, per_s)) for per_s, count in rates.items()}
    await pair.close()
    return found


async def catch_up(directory: Path, count: int) -> tuple[float, tuple[float, float]]:
    """Return records per second of a backlog, and p50 and p99 of flash (50 a second) meanwhile."""
    backlog = [released_track(n, "KOR", "history") for n in range(count)]
    sender = node_exchange("JPN", directory / "JPN.sqlite")
    for at in range(0, count, 2_000):
        sender.offer(clock.now_ns(), backlog[at : at + 2_000])
        sender.flush(clock.now_ns())
    sender.station.store.close()
    pair = Pair(directory)
    start = time.perf_counter()
    flash = asyncio.create_task(pair.flash(max(10, count // 2_000), 50.0))
    await pair.until(lambda: pair.bulk >= count)
    took = time.perf_counter() - start
    waits = await flash
    await pair.close()
    return count / took, percentiles(waits)


def say(what: str, value: str, target: str = "") -> None:
    """Print one figure."""
    print(f"{what:<58} {value:>24}  {target}")


def shaky() -> str:
    """Return the load of the machine, for whoever reads the figures."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def run(parent: str | None, name: str, *, tiny: bool) -> None:
    """Measure everything on one disk."""
    size = 2_048 if tiny else 100_000
    with folder(parent) as directory:
        p50, p99 = fsync_ms(directory, 20 if tiny else 200)
        say(f"[{name}] fsync of 600 bytes", f"p50 {p50:.2f} p99 {p99:.2f} ms", shaky())
        say(
            f"[{name}] signed durable append, groups of {GROUP}",
            f"{append_rate(directory, size):,.0f} records/s",
            "target 40,000",
        )
        say(f"[{name}] verify, parse, label, durable inbox", f"{take_rate(directory, size):,.0f} records/s", "target 50,000")
    rates: dict[float, int] = {50.0: 10} if tiny else {1.0: 10, 50.0: 400, 500.0: 3_000}
    with folder(parent) as directory:
        for per_s, (half, most) in asyncio.run(latencies(directory, rates)).items():
            say(f"[{name}] flash at {per_s:g}/s, offer to durable", f"p50 {half:.1f} p99 {most:.1f} ms", "target 5 / 20")
    with folder(parent) as directory:
        rate, (half, most) = asyncio.run(catch_up(directory, size))
        say(f"[{name}] catch-up of {size:,}", f"{rate:,.0f} records/s", "target 30,000 (two processes)")
        say(f"[{name}] flash at 50/s meanwhile", f"p50 {half:.1f} p99 {most:.1f} ms", "target p99 100")
    with folder(parent) as directory:
        found: dict[str, Any] = asyncio.run(exchange_pipe.measure(directory, size))
        say(f"[{name}] yardstick: SQLite FULL, WebSocket, SQLite FULL", f"{found['per_s']:,.0f} records/s", "unsigned, unchained")
        half, most = percentiles(found["latencies_ms"])
        say(f"[{name}] yardstick: one record, commit to commit", f"p50 {half:.1f} p99 {most:.1f} ms")


def main() -> None:
    """Measure on tmpfs and on the disk."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="a few records, to see that it runs")
    parser.add_argument("--disk", help="a folder on the disk to be measured", default=None)
    chosen = parser.parse_args()
    print(f"mode {EXERCISE.kind}; {shaky()}")
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - tmpfs on purpose
    if memory:
        run(memory, "tmpfs", tiny=chosen.tiny)
    if not chosen.tiny or not memory:
        run(chosen.disk, "disk", tiny=chosen.tiny)


if __name__ == "__main__":
    main()
