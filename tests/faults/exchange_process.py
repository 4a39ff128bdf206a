"""One nation's exchange as a process: its own NATS server and store; it says records at a rate, and takes over what comes.

`fault_nodes.py` runs it as `python exchange_process.py SPEC` and tells it what to do by lines of JSON on standard input; it
answers in such lines. What it says stands in its log in the transaction that queues it, and what it takes over in the one that
marks it as taken: how many so far and a hash over all of them, per partner and lane, and how many were missing or came again.
So whoever reads the logs of both ends knows whether anything was lost, doubled or out of order, however often either was killed.
"""

import asyncio
import hashlib
import os
import select
import sqlite3
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct, structs

sys.path.insert(0, str(Path(__file__).parents[1] / "exchange"))
from exchange_records import EXERCISE, released, track_of, warning_of

from trilat.exchange.drive import Drive
from trilat.exchange.exchange import Exchange
from trilat.exchange.importer import Received
from trilat.identity import keyfiles
from trilat.node import clock, process
from trilat.records.track import Track
from trilat.store import sqlite
from trilat.store.sqlite import Database, StoreSettings, open_store
from trilat.transport.messages import ExchangeSettings
from trilat.transport.nats import NatsTransport
from trilat.transport.server import NatsServer

SAID, HELD = "said", "held"
# A tenth is flash; the rest is shared by the bulk lanes.
LANES = ("flash", *("state", "history", "history") * 3)
SAY_S = 0.02
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
encode = msgspec.json.encode


class Spec(Struct, frozen=True, kw_only=True):
    """What a process is told at its start. partners: where each is called. planted: a bug, to see that the test sees it."""

    nation: str
    keys: str
    directory: str
    host: str
    port: int
    partners: dict[str, str]
    reserve_bytes: int = 0
    planted: str = ""


class Count(NamedTuple):
    """How many records of one partner and lane so far, a hash over all of them, how many were missing, how many came again."""

    count: int = 0
    chain: bytes = bytes(32)
    lost: int = 0
    twice: int = 0

    def with_record(self, number: int, raw: bytes) -> "Count":
        """Return the count after one more record, which its originator gave a number."""
        chain = hashlib.sha256(self.chain + raw).digest()
        if number <= self.count:
            return self._replace(chain=chain, twice=self.twice + 1)
        return Count(number, chain, self.lost + number - self.count - 1, self.twice)


def counts(database: Database, kind: str) -> dict[str, Count]:
    """Return the newest counts of a kind in a log, by partner and lane."""
    newest = "SELECT source, data FROM log WHERE n IN (SELECT max(n) FROM log WHERE kind=? GROUP BY source)"
    return {source: Count(*msgspec.msgpack.decode(data)) for source, data in database.rows(newest, (kind,))}


class Node:
    """The exchange, what it says and what it holds."""

    def __init__(self, spec: Spec) -> None:
        self.spec, self.directory = spec, Path(spec.directory)
        held = keyfiles.load(Path(spec.keys), clock.now_ns(), EXERCISE)
        pins = [keyfiles.load_partner(Path(spec.keys) / "partners" / f"{partner}.toml") for partner in spec.partners]
        self.pins = [structs.replace(pin, addresses=(spec.partners[pin.nation],)) for pin in pins]
        settings = StoreSettings(reserve_bytes=spec.reserve_bytes, wal_pages=500)
        self.store = open_store(self.directory / "store", spec.nation, EXERCISE, settings)
        ring = held.key_ring(EXERCISE, self.pins)
        self.exchange = Exchange(ExchangeSettings(), spec.nation, EXERCISE, ring, self.store, tuple(spec.partners))
        self.server = NatsServer(held, EXERCISE, self.directory / "nats", spec.host, spec.port)
        steady = clock.Steady().now_ns
        self.transport = NatsTransport(held, EXERCISE, clock.now_ns, self.server)
        self.drive = Drive(self.exchange, self.transport, steady, self.arrive, hands_on=False)
        self.said = counts(self.store.database, SAID)
        self.held = counts(self.store.database, HELD)
        self.reading = 0
        self.waiting = 0
        self.per_s = 0.0
        self._turn = 0

    # What it says and takes over; in the exchange's worker ------------------------------------------------------------

    def say(self, now_ns: int, partner: str, lane: str, number: int) -> None:
        """Say some records to one partner; while the disk is not sound, only flash, as a node would."""
        if lane != "flash" and self.exchange.health != "ok":
            return
        source, nation = f"{partner}/{lane}", self.spec.nation
        count, made = self.said.get(source, Count()), []
        for _ in range(number):
            n = count.count + 1
            if lane == "flash":
                record: Any = warning_of(str(n), nation, (partner,), now_ns)
            else:
                record = track_of(n, nation, (partner,), now_ns)
            made.append(released(record, partner, lane, now_ns))
            count = count.with_record(n, made[-1].record)
        self.said[source] = count
        self.store.journal.append(SAID, source, now_ns, msgspec.msgpack.encode(count))
        self.exchange.offer(now_ns, made)

    def take_over(self, now_ns: int, received: list[Received], reading: int) -> None:
        """Take over what came; what was given before a failed commit is void, for it is given again."""
        self.waiting -= len(received)
        if reading != self.exchange.readings or self.exchange.health == "down":
            return
        if self.reading != reading:
            self.held, self.reading = counts(self.store.database, HELD), reading
        changed = {}
        for one in received:
            source, record = f"{one.exporter}/{one.lane}", one.record
            number = record.number if isinstance(record, Track) else int(getattr(record, "id", "0"))
            changed[source] = self.held[source] = self.held.get(source, Count()).with_record(number, one.raw)
        for source, count in changed.items():
            self.store.journal.append(HELD, source, now_ns, msgspec.msgpack.encode(count))
        self.exchange.handed(received[-1].row)
        self.exchange.station.soon(now_ns)

    def retain(self, now_ns: int, keep_s: float) -> None:
        """Forget what is settled and older; what was said and held is noted anew, so that it is not forgotten."""
        self.exchange.retain(now_ns, now_ns - int(keep_s * 1e9))
        self.note(now_ns)

    def note(self, now_ns: int) -> None:
        """Note what was said and held so far."""
        for kind, known in ((SAID, self.said), (HELD, self.held)):
            for source, count in known.items():
                self.store.journal.append(kind, source, now_ns, msgspec.msgpack.encode(count))
        self.exchange.station.soon(now_ns)

    def tell(self, now_ns: int) -> dict[str, Any]:
        """Return how things stand."""
        links = self.exchange.links(now_ns)
        return {
            "said": {source: count.count for source, count in self.said.items()},
            "held": {source: [count.count, count.lost, count.twice] for source, count in self.held.items()},
            "waiting": self.waiting,
            "health": self.exchange.health,
            "shed": self.exchange.unsaved_shed,
            "out": {f"{one.partner}/{one.lane}": _place(one) for one in links if one.direction == "out"},
            "in": {f"{one.partner}/{one.lane}": _place(one)[:3] for one in links if one.direction == "in"},
            "lag": sum(one.lag_records for one in links if one.direction == "out"),
            "forks": sum(one.forks for one in links),
            "clock_ns": clock.now_ns(),
            "rss": _resident_bytes(),
            "disk": sum(path.stat().st_size for path in (self.directory / "store").iterdir()),
        }

    # In the loop ------------------------------------------------------------------------------------------------------

    def arrive(self, received: list[Received]) -> None:
        """Have what is durably held taken over."""
        reading = self.exchange.readings
        self.waiting += len(received)
        flash = any(one.lane == "flash" for one in received)
        self.drive.post(lambda now_ns: self.take_over(now_ns, received, reading), flash=flash, weight=len(received))

    async def talk(self) -> None:
        """Say records at the rate that was asked for."""
        last_ns, due = clock.monotonic_ns(), 0.0
        partners = sorted(self.spec.partners)
        while True:
            await asyncio.sleep(SAY_S)
            now_ns = clock.monotonic_ns()
            due = min(due + self.per_s * (now_ns - last_ns) / 1e9, max(self.per_s, 1.0))
            last_ns = now_ns
            shares: dict[tuple[str, str], int] = {}
            while due >= 1.0:
                due -= 1.0
                self._turn += 1
                place = (partners[self._turn % len(partners)], LANES[self._turn // len(partners) % len(LANES)])
                shares[place] = shares.get(place, 0) + 1
            for (partner, lane), number in shares.items():
                self.drive.post(
                    lambda now_ns, partner=partner, lane=lane, number=number: self.say(now_ns, partner, lane, number),  # type: ignore[misc]
                    flash=lane == "flash",
                    weight=number,
                )

    async def in_worker(self, run: Any) -> Any:
        """Run something beside exchange and store, and return what comes of it."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        result: list[Any] = []

        def work(now_ns: int) -> None:
            result.append(run(now_ns))
            loop.call_soon_threadsafe(done.set)

        self.drive.post(work)
        await done.wait()
        return result[0]

    async def obey(self, order: dict[str, Any]) -> Any:
        """Do one thing."""
        if "load" in order:
            self.per_s = float(order["load"])
        if "retain_s" in order:
            await self.in_worker(lambda now_ns: self.retain(now_ns, order["retain_s"]))
        if "note" in order:
            await self.in_worker(self.note)
        return await self.in_worker(self.tell) if "tell" in order else None

    async def run(self) -> None:
        """Start, obey, stop."""
        await self.server.start(self.pins)
        self.transport.on_served = lambda _: self.drive.post(lambda _: self.exchange.wake_partners(), flash=True)
        tasks = [asyncio.create_task(self.drive.run()), asyncio.create_task(self.talk())]
        await self.transport.set_partners(self.pins)
        answer({"ready": True})
        try:
            while line := await asyncio.to_thread(sys.stdin.readline):
                order = msgspec.json.decode(line)
                for task in tasks:
                    if task.done():
                        task.result()
                if "stop" in order:
                    break
                answer(await self.obey(order))
        finally:
            for task in reversed(tasks):
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            await self.transport.close()
            await self.server.stop()
            self.store.close()


def _place(link: Any) -> list[Any]:
    return [link.cursor.epoch, link.cursor.sequence, link.cursor.head.hex(), link.receipt.sequence]


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def answer(told: Any) -> None:
    """Say something to whoever runs this."""
    sys.stdout.buffer.write(encode(told) + b"\n")
    sys.stdout.buffer.flush()


class Careless:
    """A connection that never syncs: the planted bug."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def execute(self, sql: str, parameters: Iterable[Any] = (), /) -> Any:
        """Run a statement, but never with synchronous on."""
        return self._inner.execute(sql.replace("synchronous=FULL", "synchronous=OFF"), parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def sleep_by_select(seconds: float) -> None:
    """Wait, without clock_nanosleep."""
    select.select([], [], [], seconds)


def main() -> None:
    """Run one process."""
    spec = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Spec)
    if spec.planted == "no sync":
        sqlite.open_database.__kwdefaults__["opener"] = lambda path: Careless(
            sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        )
    if "FAKETIME_TIMESTAMP_FILE" in os.environ:
        # Under libfaketime that leaves the monotonic clock alone, clock_nanosleep says EINVAL each time. Ours is met where
        # `subprocess` waits for a program that has closed its output but not yet ended.
        time.sleep = sleep_by_select  # noqa: TID251 - replaced, not called
    process.run(Node(spec).run())


if __name__ == "__main__":
    main()
