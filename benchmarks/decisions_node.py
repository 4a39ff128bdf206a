"""What a decision costs in a node: the whole release path onto disk, deciding anew on a million records, one more audience."""

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, process_time

import msgspec

from exchange_nodes import EXERCISE, exchange_of, released_track
from trilat.exercise import provision, scenario
from trilat.exercise.world import World
from trilat.ledger import served
from trilat.ledger.holdings import Ledger
from trilat.ledger.redecide import redecide
from trilat.node import setup
from trilat.node.config import load
from trilat.node.inputs import FeedInput
from trilat.node.pipeline import Pipeline
from trilat.policy.agreement import Agreements
from trilat.policy.audience import AudiencePolicy, DecisionLog
from trilat.records import codec
from trilat.records.exchange import NO_HEAD, SealedBatch
from trilat.records.label import Label, Mode
from trilat.records.track import Track
from trilat.store.sqlite import StoreSettings, open_database, open_reader, open_store
from trilat.transport import envelope as sealing

GROUP = 64
T0_NS = 1_790_000_000 * 10**9
STEP_NS = 200_000_000
MODE = Mode(kind="exercise", id="BENCH")
BATCH = 500
FULL_BATCH = 512


def release_path(policy: AudiencePolicy, models: Sequence[Track], count: int) -> None:
    """Print the cost of a record from the decision to its place in an outbox on a real disk, in groups as a step makes them."""
    with tempfile.TemporaryDirectory(prefix="trilat-bench-") as folder:
        store = open_database(Path(folder) / "store.sqlite", "JPN", EXERCISE, StoreSettings(reserve_bytes=0))
        exchange = exchange_of("JPN", store)
        begun_s, begun = perf_counter(), process_time()
        for first in range(0, count, GROUP):
            now_ns = T0_NS + first
            made = []
            for k in range(first, min(first + GROUP, count)):
                one = policy.release(msgspec.structs.replace(models[k % len(models)], number=k, t_ns=now_ns), "state", now_ns)
                if one is not None:
                    made.append(one)
            exchange.offer(now_ns, made)
            exchange.flush(now_ns, force=True)
        cpu, whole = process_time() - begun, perf_counter() - begun_s
        store.close()
    print(f"  whole release path (decide, operate, encode, durable; {GROUP} a commit): {cpu / count * 1e6:.0f} us of processor")
    print(f"    time a record, {count / whole:,.0f} records/s by the wall clock")


def redecisions(agreements: Agreements, model: Track, some: Sequence[Label], count: int) -> None:
    """Print how long deciding anew takes on so many released records, in batches as the outboxes hold them."""
    rng = random.Random(4)
    shown = [msgspec.structs.replace(one, rel_to=("KOR",), consents=(), operations=()) for one in some if "KOR" in one.rel_to]
    entries = [bytes(sealing.SALT_BYTES) + codec.encode(msgspec.structs.replace(model, label=one)) for one in shown]
    batches = [
        _batch(1 + k * BATCH, [rng.choice(entries) for _ in range(min(BATCH, count - k * BATCH))])
        for k in range((count + BATCH - 1) // BATCH)
    ]
    begun = process_time()
    found = redecide(iter(batches), agreements, "JPN", MODE, T0_NS)
    took = process_time() - begun
    print(f"  deciding anew on {found.records:,} released records ({found.decisions} distinct): {took:.2f} s of processor time,")
    print(f"    {found.records_changed:,} of them would not be released today")


def ledger(count: int) -> None:
    """Print how long the ledger's questions take, as the page asks them, on a store that sent so many different records."""
    with tempfile.TemporaryDirectory(prefix="trilat-bench-") as folder:
        store = open_store(Path(folder), "JPN", EXERCISE, StoreSettings(reserve_bytes=0))
        exchange = exchange_of("JPN", store)
        exporter = exchange._exporters[("KOR", "history")]  # noqa: SLF001 - a benchmark of the inside
        exporter.open_epoch(T0_NS, sealing.Cursor(), sealing.Cursor(), "first")
        for first in range(0, count, FULL_BATCH):
            now_ns = T0_NS + first
            exchange.offer(now_ns, [released_track(first + k, "KOR", "history") for k in range(min(FULL_BATCH, count - first))])
            exporter.number(now_ns, 1 << 20, 1)
            exchange.flush(now_ns)
        store.close()
        took = []
        for question, asked in ((served.held, {"by": "KOR"}), (served.holders, {"subject": "JPN/air/7"}), (served.released, {})):
            begun = process_time()
            database = open_reader(Path(folder))
            assert question(Ledger(database), asked)["rows"]  # noqa: S101 - an empty answer measured nothing
            database.close()
            took.append(process_time() - begun)
    print(f"  the ledger over {count:,} released records: what KOR holds (a page of it) {took[0]:.2f} s,")
    print(f"    who holds one of them {took[1]:.2f} s, what was released by rule {took[2]:.2f} s of processor time")


def _batch(first: int, entries: list[bytes]) -> SealedBatch:
    return SealedBatch(
        partner="KOR",
        lane="state",
        epoch=1,
        first=first,
        count=len(entries),
        prev_head=NO_HEAD,
        head=NO_HEAD,
        t_ns=T0_NS,
        kind="",
        body=b"",
        key_id="",
        signature=b"",
        payload=sealing.join_payload(entries),
    )


def one_more_audience(seconds: float) -> None:
    """Print what one more partner (USA, which gets most) costs, in percent of the step's processor time, journal aside.

    The worlds are the same; the two nodes take turns step by step, so that what else the machine does hits both alike.
    """
    plan = scenario.load("straits")
    mine = {sensor.id for sensor in plan.sensor if sensor.nation == "JPN"}
    with tempfile.TemporaryDirectory(prefix="trilat-bench-") as folder:
        home = provision.prepare(plan, Path(folder), MODE, T0_NS, random.Random(7).randbytes)["JPN"]
        config = load(home.config)
        secret, agreements = bytes(range(32)), setup.read_agreements(config)
        whole = setup.policies(config, agreements, secret, DecisionLog())
        fewer = [one for one in whole if one.recipient != "USA"]
        pipelines = [Pipeline(setup.pipeline_settings(config), several, T0_NS) for several in (fewer, whole)]
        spent = [0.0, 0.0]
        world = World(plan, T0_NS)
        warm = int(seconds * 1e9 / STEP_NS) // 4
        for k in range(int(seconds * 1e9 / STEP_NS)):
            now_ns = T0_NS + (k + 1) * STEP_NS
            said = [one for one in world.step(now_ns) if one.sensor in mine]
            given = [FeedInput(source=provision.feed_of(one.sensor), received_t_ns=now_ns, data=one.data) for one in said]
            for i in (0, 1) if k % 2 else (1, 0):
                begun = process_time()
                pipelines[i].step(now_ns, given)
                if k >= warm:
                    spent[i] += process_time() - begun
    more = (spent[1] / spent[0] - 1.0) * 100.0 if spent[0] else float("nan")
    print(f"  one more audience (USA: {len(whole)} instead of {len(fewer)}): {more:+.1f} % of a step's processor time")
