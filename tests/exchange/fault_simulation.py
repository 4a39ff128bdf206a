"""A seeded simulation of two or three exchanges with their real stores, a bad network, crashes, rollbacks and bad disks.

One seed makes one run: the network's faults, what is offered when, and a schedule of cuts, crashes, rollbacks to an older copy,
rebuilt stores and failing commits. Then everything heals, and the invariants are judged from what stands in the stores alone.
"""

import shutil
import sqlite3
from collections import Counter
from pathlib import Path
from random import Random

from exchange_records import EXERCISE, MS, SECOND, T0_NS, released, ring_of, track_of, warning_of

from trilat.errors import StoreError
from trilat.exchange.exchange import Exchange
from trilat.exchange.simulated import Faults, SimulatedNetwork, deliver
from trilat.records import codec
from trilat.records.released import Released
from trilat.store.sqlite import Store, StoreSettings, connect, open_database
from trilat.transport.messages import ExchangeSettings, LaneSettings

SETTINGS = ExchangeSettings(
    flash=LaneSettings(window_pulls=3, window_pulls_max=6, batch_records_max=1, wait_ms=400),
    state=LaneSettings(window_pulls=3, window_pulls_max=3, batch_records_max=8, wait_ms=500, tick_budget_bytes=64 << 10),
    history=LaneSettings(window_pulls=3, window_pulls_max=3, batch_records_max=16, wait_ms=500, tick_budget_bytes=64 << 10),
    slack_ms=300,
    retry_ms_max=500,
    chunk_bytes=1_024,
    credit_bytes_min=2_048,
)
STORE = StoreSettings(reserve_bytes=0)
STEP_NS = 25 * MS
ENVELOPE_BYTES_MAX = SETTINGS.envelope_bytes_max


class FlakyConnection:
    """A real connection whose commits can be made to fail: the transaction is then not on disk."""

    def __init__(self, path: Path) -> None:
        self.inner = connect(path)
        self.fail: int | None = None

    def execute(self, sql: str, parameters: tuple = (), /):  # noqa: ANN201
        """Run a statement; fail the commit when told to."""
        if self.fail is not None and sql == "COMMIT":
            error = sqlite3.OperationalError("injected")
            error.sqlite_errorcode = self.fail
            raise error
        return self.inner.execute(sql, parameters)

    def executemany(self, sql: str, rows, /):  # noqa: ANN001, ANN201
        """Run a statement for many rows."""
        return self.inner.executemany(sql, rows)

    def close(self) -> None:
        """Close it."""
        self.inner.close()


class SimNode:
    """One nation: its directory, its exchange when it runs, and what it was told to offer."""

    def __init__(self, nation: str, nations: tuple[str, ...], directory: Path, skew_ns: int) -> None:
        self.nation = nation
        self.nations = nations
        self.directory = directory
        self.skew_ns = skew_ns
        self.exchange: Exchange | None = None
        self.store: Store | None = None
        self.disk_fails: int | None = None
        self.pending: list[Released] = []
        # Offered and on disk (must arrive) and offered but perhaps lost with the disk (may arrive).
        self.must: list[Released] = []
        self.may: list[Released] = []
        self.offered: list[Released] = []
        self.connections: list[FlakyConnection] = []
        directory.mkdir()

    def start(self) -> None:
        """Open the store and the exchange."""

        def opener(path: Path) -> FlakyConnection:
            connection = FlakyConnection(path)
            connection.fail = self.disk_fails
            self.connections.append(connection)
            return connection

        self.store = open_database(self.directory / "trilat.sqlite", self.nation, EXERCISE, STORE, opener=opener)
        partners = [nation for nation in self.nations if nation != self.nation]
        self.exchange = Exchange(SETTINGS, self.nation, EXERCISE, ring_of(self.nation), self.store, partners)

    def crash(self) -> None:
        """Stop without a word: what is not committed is gone."""
        self.may += self.pending
        self.pending = []
        if self.store is not None:
            self.store.close()
        self.exchange = self.store = None
        self.connections = []

    def copy_to(self, target: Path) -> None:
        """Copy the store as it is on disk."""
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.directory, target)

    def fail_disk(self, code: int | None) -> None:
        """Make every commit fail with a code of SQLite, or none."""
        self.disk_fails = code
        for connection in self.connections:
            connection.fail = code


class Simulation:
    """One seeded run. `counts` says which rare states were reached; `problems` what was wrong."""

    def __init__(self, seed: int, directory: Path, *, seconds: float = 15.0, nations: tuple[str, ...] = ("JPN", "KOR")) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.nations = nations
        self.directory = directory
        self.end_ns = T0_NS + int(seconds * SECOND)
        self.now_ns = T0_NS
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self.nodes = {n: SimNode(n, nations, directory / n, self.random.randrange(-5, 5) * SECOND) for n in nations}
        self.net = SimulatedNetwork(seed, self._faults())
        self.number = 0
        self.events: list[tuple[int, str, str]] = sorted(self._schedule())
        self.copies: dict[str, int] = {}

    def _faults(self) -> Faults:
        draw = self.random
        return Faults(
            delay_ms=(0.1, draw.choice([1.0, 20.0, 150.0])),
            loss=draw.choice([0.0, 0.0, 0.02, 0.2]),
            duplicate=draw.choice([0.0, 0.05, 0.2]),
            reorder=draw.choice([0.0, 0.05, 0.3]),
            corrupt=draw.choice([0.0, 0.0, 0.02]),
            bytes_per_s=draw.choice([0.0, 0.0, 32_000.0]),
        )

    def _schedule(self):  # noqa: ANN202
        draw = self.random
        for _ in range(draw.randrange(1, 7)):
            at = T0_NS + int(draw.random() * (self.end_ns - T0_NS))
            kind = draw.choice(["crash", "crash", "cut", "cut-one-way", "rollback", "rebuild", "disk-full", "disk-io", "flap"])
            node = draw.choice(self.nations)
            yield at, kind, node
            if kind == "rollback":
                yield T0_NS + int(draw.random() * (at - T0_NS)), "copy", node

    # --- running ------------------------------------------------------------------------------------------------------

    def run(self) -> "Simulation":
        """Run the schedule, heal everything, wait until level, judge."""
        for node in self.nodes.values():
            node.start()
        while self.now_ns < self.end_ns:
            self._events()
            self._offer()
            self._step()
        self._heal()
        for _ in range(4_000):
            self._step()
            if self._level():
                break
        else:
            self.problems.append("not level in time after healing")
        self._judge()
        for node in self.nodes.values():
            node.crash()
        return self

    def _step(self) -> None:
        self.now_ns += STEP_NS
        for delivery in list(self.net.arrivals(self.now_ns)):
            node = self.nodes[delivery.to]
            if node.exchange is not None:
                deliver(self.now_ns + node.skew_ns, node.exchange, delivery, ENVELOPE_BYTES_MAX)
                if self.random.random() < 0.3:
                    self._flush(node)
        for node in self.nodes.values():
            if node.exchange is not None:
                node.exchange.tick(self.now_ns + node.skew_ns)
                self._flush(node)

    def _flush(self, node: SimNode) -> None:
        now_ns = self.now_ns + node.skew_ns
        self.net.carry(self.now_ns, node.nation, node.exchange.flush(now_ns))
        if node.exchange.health == "ok":
            node.must += node.pending
        else:
            self.counts[f"health {node.exchange.health}"] += 1
            node.may += node.pending
        node.pending = []
        received = node.exchange.take_received()
        for item in received:
            node.store.journal.append("received", f"{item.exporter}/{item.lane}", now_ns, item.raw)
        if received:
            node.exchange.handed(received[-1].row)
            node.exchange.station.soon(now_ns)

    def _offer(self) -> None:
        for node in self.nodes.values():
            if node.exchange is None or self.random.random() < 0.5:
                continue
            offers = [self._make(node) for _ in range(self.random.choice([1, 1, 2, 12]))]
            sound = node.exchange.health == "ok"
            node.exchange.offer(self.now_ns + node.skew_ns, offers)
            node.offered += offers
            if sound:
                node.pending += offers
            else:
                node.may += offers

    def _make(self, node: SimNode) -> Released:
        self.number += 1
        audience = self.random.choice([n for n in self.nations if n != node.nation])
        lane = self.random.choice(["flash", "state", "state", "history", "history"])
        t_ns = self.now_ns + self.number
        if lane == "flash":
            text = "x" * self.random.choice([0, 0, 0, 3_900])
            self.counts["large"] += bool(text)
            return released(warning_of(f"w{self.number}", node.nation, (audience,), t_ns, text=text), audience, lane, t_ns)
        number = self.random.randrange(6) if lane == "state" else self.number
        key = f"track/{number}" if lane == "state" else None
        return released(track_of(number, node.nation, (audience,), t_ns), audience, lane, t_ns, supersede_key=key)

    # --- faults -------------------------------------------------------------------------------------------------------

    def _events(self) -> None:
        while self.events and self.events[0][0] <= self.now_ns:
            at, kind, name = self.events.pop(0)
            self.counts[kind] += 1
            getattr(self, f"_do_{kind.replace('-', '_')}")(self.nodes[name], at)

    def _later(self, kind: str, node: SimNode, seconds: float) -> None:
        self.events.append((self.now_ns + int(seconds * SECOND), kind, node.nation))
        self.events.sort()

    def _do_copy(self, node: SimNode, _at: int) -> None:
        if node.store is not None:
            node.copy_to(self.directory / f"{node.nation}-copy")
            self.copies[node.nation] = len(node.must)

    def _do_crash(self, node: SimNode, _at: int) -> None:
        if node.exchange is not None:
            node.crash()
            self._later("start", node, self.random.uniform(0.0, 3.0))

    def _do_start(self, node: SimNode, _at: int) -> None:
        if node.exchange is None:
            try:
                node.start()
            except StoreError:
                self.counts["no start on a bad disk"] += 1
                self._later("start", node, 0.5)

    def _do_rollback(self, node: SimNode, _at: int) -> None:
        if node.exchange is None or node.nation not in self.copies:
            return
        node.crash()
        shutil.rmtree(node.directory)
        shutil.copytree(self.directory / f"{node.nation}-copy", node.directory)
        kept = self.copies[node.nation]
        node.may += node.must[kept:]
        node.must = node.must[:kept]
        self.counts["rolled back"] += 1
        self._later("start", node, self.random.uniform(0.0, 2.0))

    def _do_rebuild(self, node: SimNode, _at: int) -> None:
        if node.exchange is None or self.random.random() < 0.5:
            return
        node.crash()
        shutil.rmtree(node.directory)
        node.directory.mkdir()
        node.may += node.must
        node.must = []
        self.copies.pop(node.nation, None)
        self.counts["rebuilt"] += 1
        self._later("start", node, self.random.uniform(0.0, 2.0))

    def _do_cut(self, node: SimNode, _at: int) -> None:
        for other in self.nations:
            self.net.cut |= {(node.nation, other), (other, node.nation)}
        self._later("mend", node, self.random.uniform(0.1, 5.0))

    def _do_cut_one_way(self, node: SimNode, _at: int) -> None:
        self.net.cut |= {(node.nation, other) for other in self.nations}
        self._later("mend", node, self.random.uniform(0.1, 5.0))

    def _do_flap(self, node: SimNode, at: int) -> None:
        self._do_cut(node, at)
        if self.random.random() < 0.7:
            self._later("flap", node, self.random.uniform(0.2, 1.0))

    def _do_mend(self, node: SimNode, _at: int) -> None:
        self.net.cut = {pair for pair in self.net.cut if node.nation not in pair}

    def _do_disk_full(self, node: SimNode, _at: int) -> None:
        node.fail_disk(sqlite3.SQLITE_FULL)
        self._later("disk-mend", node, self.random.uniform(0.1, 3.0))

    def _do_disk_io(self, node: SimNode, _at: int) -> None:
        node.fail_disk(sqlite3.SQLITE_IOERR)
        self._later("disk-mend", node, self.random.uniform(0.1, 3.0))

    def _do_disk_mend(self, node: SimNode, _at: int) -> None:
        node.fail_disk(None)

    def _heal(self) -> None:
        self.net.cut = set()
        self.net.faults = Faults()
        for node in self.nodes.values():
            node.fail_disk(None)
            if node.exchange is None:
                node.start()

    # --- judging ------------------------------------------------------------------------------------------------------

    def _pairs(self):  # noqa: ANN202
        for exporter in self.nodes.values():
            for importer in self.nodes.values():
                if exporter is not importer:
                    for lane in ("flash", "state", "history"):
                        yield exporter, importer, lane

    def _level(self) -> bool:
        for exporter, importer, lane in self._pairs():
            if exporter.exchange.health != "ok" or exporter.pending:
                return False
            if exporter.store.outbox.queue_size(importer.nation, lane)[0]:
                return False
            out = exporter.store.outbox.state(importer.nation, lane).last
            into = importer.store.inbox.state(exporter.nation, lane).cursor
            if out.sequence and out != into:
                return False
        return True

    def held(self, importer: SimNode, exporter: str, lane: str) -> list[bytes]:
        """Return what was handed over, by the importer's own journal, in order."""
        source = f"{exporter}/{lane}"
        return [entry.data for entry in importer.store.journal.read(kinds=frozenset({"received"})) if entry.source == source]

    def _judge(self) -> None:
        for exporter, importer, lane in self._pairs():
            where = f"seed {self.seed} {exporter.nation}->{importer.nation} {lane}"
            held = self.held(importer, exporter.nation, lane)
            offered = [i.record for i in exporter.offered if (i.audience, i.lane) == (importer.nation, lane)]
            place = {record: i for i, record in enumerate(offered)}
            if len(set(held)) != len(held):
                self.problems.append(f"{where}: {len(held) - len(set(held))} held twice")
            if not set(held) <= set(place):
                self.problems.append(f"{where}: something held that was never offered")
                continue
            order = [place[record] for record in held]
            if lane != "state" and order != sorted(order):
                self.problems.append(f"{where}: out of order")
            must = [i.record for i in exporter.must if (i.audience, i.lane) == (importer.nation, lane)]
            if lane == "state":
                self._judge_state(where, must, set(held))
            elif not set(must) <= set(held):
                self.problems.append(f"{where}: {len(set(must) - set(held))} of {len(must)} lost")
            self._count_states(exporter, importer, lane)
        for node in self.nodes.values():
            self._judge_log(node)

    def _judge_state(self, where: str, must: list[bytes], held: set[bytes]) -> None:
        newest: dict[int, bytes] = {}
        for record in must:
            newest[codec.decode(record).number] = record
        missing = [number for number, record in newest.items() if record not in held]
        if missing:
            self.problems.append(f"{where}: newest state of tracks {missing} lost")

    def _judge_log(self, node: SimNode) -> None:
        from trilat.store.journal import NO_HEAD, entry_head

        head = NO_HEAD
        for entry in node.store.journal.read():
            head = entry_head(head, entry.n, entry.t_ns, entry.kind, entry.source, entry.data)
            if head != entry.head:
                self.problems.append(f"seed {self.seed} {node.nation}: log broken at {entry.n}")
                return

    def _count_states(self, exporter: SimNode, importer: SimNode, lane: str) -> None:
        out = exporter.store.outbox.state(importer.nation, lane)
        into = importer.store.inbox.state(exporter.nation, lane)
        self.counts["second epoch"] += out.last.epoch > 1
        self.counts["superseded"] += out.superseded > 0
        self.counts["duplicates by content"] += into.duplicates
        self.counts["forks"] += len(exporter.store.outbox.forks(importer.nation, lane))
        for entry in exporter.store.journal.read(kinds=frozenset({"resync"})):
            self.counts["resync"] += entry.source == f"{importer.nation}/{lane}"
        for node in (exporter, importer):
            for (_, reason), refused in node.exchange.station.tally.refused.items():
                self.counts[f"refused {reason}"] += refused.times
