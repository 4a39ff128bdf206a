"""The exchange's figures: durable signed append, verify and take, audit, catch-up, flash latency; beside two yardsticks.

Latency and catch-up are of two processes over NATS with TLS on loopback, each with its own server and store; the long, the
narrow and the broken line are a process between them (`exchange_link.py`). Latency is from `offer` at one node to the record
being durably held at the other. The disk's own fsync time is printed beside, since p99 belongs to it.
"""

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner

import exchange_jetstream
import exchange_pipe
import exchange_processes as processes
from exchange_nodes import EXERCISE, exchange_of, node_exchange, released_track
from trilat.cli import audit
from trilat.node import clock
from trilat.store.sqlite import StoreSettings, open_store
from trilat.transport import envelope as sealing
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


def audit_s(directory: Path, count: int) -> float:
    """Return the seconds that `trilat audit verify` needs for a store of `count` records sent and `count` log entries."""
    store = open_store(directory / "audit", "JPN", EXERCISE, StoreSettings(reserve_bytes=0))
    sender = exchange_of("JPN", store)
    exporter = sender._exporters[("KOR", "history")]  # noqa: SLF001 - a benchmark of the inside
    exporter.open_epoch(clock.now_ns(), sealing.Cursor(), sealing.Cursor(), "first")
    items = [released_track(n, "KOR", "history") for n in range(FULL_BATCH)]
    for _ in range(count // FULL_BATCH):
        sender.offer(clock.now_ns(), items)
        exporter.number(clock.now_ns(), 1 << 20, 1)
        for n in range(FULL_BATCH):
            store.journal.append("tick", "node", n, bytes(200))
        sender.flush(clock.now_ns())
    store.close()
    start = time.perf_counter()
    result = CliRunner().invoke(audit.verify, [str(directory / "audit")])
    took = time.perf_counter() - start
    assert result.exit_code == 0, result.output  # noqa: S101 - a store that is not sound measured nothing
    return took


def pair_figures(name: str, parent: str | None, size: int, rates: dict[float, int]) -> None:
    """Print what two processes over loopback do: flash at rates, then a catch-up with flash in between."""
    with folder(parent) as directory, processes.running(directory) as pair:
        pair.flash(5, 10.0)
        for per_s, count in rates.items():
            half, most = percentiles(pair.flash(count, per_s))
            say(f"[{name}] flash at {per_s:g}/s, offer to durable", f"p50 {half:.1f} p99 {most:.1f} ms", "target 5 / 20")
    catch_up(name, parent, size, 0.0, "target 30,000; flash p99 100")


def catch_up(name: str, parent: str | None, size: int, one_way_ms: float, target: str) -> None:
    """Print how fast a backlog passes, and what flash does meanwhile."""
    with folder(parent) as directory, processes.running(directory, backlog=size, one_way_ms=one_way_ms) as pair:
        pair.begin(processes.EXPORTER, "flash", max(4, size // 2_000), 25.0)
        waits, bulk, first_s, last_s, _ = pair.ask(processes.IMPORTER, "await", 1, size)
        pair.end(processes.EXPORTER)
    say(
        f"[{name}] catch-up of {size:,}, round trip {2 * one_way_ms:g} ms",
        f"{bulk / max(last_s - first_s, 1e-9):,.0f} records/s",
        target,
    )
    half, most = percentiles(waits)
    say(f"[{name}] flash at 25/s meanwhile", f"p50 {half:.1f} p99 {most:.1f} ms")


def link_figures(name: str, parent: str | None, *, tiny: bool) -> None:
    """Print what a long, a narrow and a broken line do."""
    one_way_ms, few = 75.0, 4 if tiny else 50
    with folder(parent) as directory, processes.running(directory, one_way_ms=one_way_ms) as pair:
        pair.flash(5, 2.0)
        half, most = percentiles(pair.flash(few, 20.0))
        say(f"[{name}] flash, round trip 150 ms", f"p50 {half:.1f} p99 {most:.1f} ms", f"target p50 {1.5 * one_way_ms:g}")
    catch_up(name, parent, 2_048 if tiny else 100_000, one_way_ms, "target 15,000")
    with folder(parent) as directory, processes.running(directory, backlog=2_048 if tiny else 100_000, kbit_s=256.0) as pair:
        if not tiny:
            time.sleep(10.0)  # noqa: TID251 - real links take real time
        pair.ask(processes.EXPORTER, "flash", few, 2.0)
        waits, bulk, *_ = pair.ask(processes.IMPORTER, "await", few, 0)
        half, most = percentiles(waits)
        say(
            f"[{name}] flash at 256 kbit/s beside {bulk:,} records of bulk",
            f"p50 {half:.0f} max {max(waits):.0f} ms",
            "target 1,000",
        )
    cut_s = 2.0 if tiny else 12.0
    with folder(parent) as directory, processes.running(directory, one_way_ms=0.05) as pair:
        pair.flash(5, 10.0)
        pair.ask(processes.IMPORTER, "forget")
        pair.line("cut")
        pair.begin(processes.EXPORTER, "flash", int(cut_s * 10), 10.0)
        time.sleep(cut_s)  # noqa: TID251 - real links take real time
        healed_s = clock.now_ns() / 1e9
        pair.line("heal")
        pair.end(processes.EXPORTER)
        *_, arrivals = pair.ask(processes.IMPORTER, "await", int(cut_s * 10), 0)
        say(f"[{name}] first record after a cut of {cut_s:g} s", f"{min(arrivals) - healed_s:.2f} s", "target 1.5")


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
        many = size if tiny else 1_000_000
        say(f"[{name}] audit verify of {many:,} records and entries", f"{audit_s(directory, many):.2f} s", "a few seconds")
    rates: dict[float, int] = {50.0: 10} if tiny else {1.0: 10, 50.0: 400, 500.0: 3_000}
    pair_figures(name, parent, size, rates)
    with folder(parent) as directory:
        yardstick(name, "SQLite FULL, WebSocket, SQLite FULL", asyncio.run(exchange_pipe.measure(directory, size)))
    with folder(parent) as directory:
        yardstick(name, "JetStream file, sync always", asyncio.run(exchange_jetstream.measure(directory, size // 10)))


def yardstick(name: str, what: str, found: dict[str, Any]) -> None:
    """Print what something simpler does."""
    half, most = percentiles(found["latencies_ms"])
    say(f"[{name}] yardstick: {what}", f"{found['per_s']:,.0f} records/s", "unsigned, unchained")
    say(f"[{name}] yardstick: the same, one record", f"p50 {half:.1f} p99 {most:.1f} ms")


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
        link_figures("tmpfs", memory, tiny=chosen.tiny)
    if not chosen.tiny or not memory:
        run(chosen.disk, "disk", tiny=chosen.tiny)


if __name__ == "__main__":
    main()
