"""The driver over the in-process transport: flash goes first, nothing is lost at a stop, cuts and refusals are waited out."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from exchange_records import EXERCISE, T0_NS, released, ring_of, track_of, warning_of

from trilat.errors import ExchangeError
from trilat.exchange.drive import Drive
from trilat.exchange.exchange import Exchange
from trilat.exchange.importer import Received
from trilat.identity.sign import Rejected
from trilat.records.envelope import Envelope
from trilat.store.sqlite import StoreSettings, open_database
from trilat.transport.loopback import LoopbackHub, LoopbackTransport
from trilat.transport.messages import ExchangeSettings


class Node:
    """One nation's exchange under a driver, with what it received."""

    def __init__(self, hub: LoopbackHub, nation: str, path: Path, **bounds: float) -> None:
        self.nation = nation
        self.store = open_database(path / f"{nation}.sqlite", nation, EXERCISE, StoreSettings(reserve_bytes=0))
        partners = [other for other in ("JPN", "KOR") if other != nation]
        exchange = Exchange(
            ExchangeSettings(slack_ms=200, retry_ms_max=200), nation, EXERCISE, ring_of(nation), self.store, partners
        )
        self.received: list[Received] = []
        loop = asyncio.get_running_loop()
        start = loop.time()
        clock = lambda: T0_NS + int((loop.time() - start) * 1e9)  # noqa: E731 - one line says it
        self.clock = clock
        self.drive = Drive(exchange, LoopbackTransport(hub, nation), clock, self.received.extend, **bounds)  # type: ignore[arg-type]
        self.task = asyncio.create_task(self.drive.run())

    async def stop(self) -> None:
        """Cancel the driver and close the store."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.store.close()


async def until(true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    while not true():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0.005)


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[tuple[LoopbackHub, Node, Node]]:
    """A hub with JPN and KOR running."""
    meeting = LoopbackHub()
    nodes = [Node(meeting, nation, tmp_path) for nation in ("JPN", "KOR")]
    yield meeting, nodes[0], nodes[1]
    for node in nodes:
        await node.stop()


async def test_records_travel_and_are_receipted(hub: tuple[LoopbackHub, Node, Node]) -> None:
    """What is offered arrives in order per lane, and the exporter sees the receipt."""
    _, jpn, kor = hub
    offered = [released(track_of(n), "KOR", "history") for n in range(700)] + [released(warning_of("w"), "KOR", "flash")]
    jpn.drive.offer(offered)
    await until(lambda: len(kor.received) == 701)
    assert [item.record for item in offered[:700]] == [item.raw for item in kor.received if item.lane == "history"]

    def receipted() -> bool:
        links = {(s.lane, s.direction): s for s in jpn.drive.links()}
        return ("history", "out") in links and 700 == links["history", "out"].receipt.sequence

    await until(receipted)


async def test_nothing_leaves_on_a_tick_before_what_it_was_held_to(hub: tuple[LoopbackHub, Node, Node]) -> None:
    """While what a step releases is being made, bulk waits for the named time whatever ticks come; flash goes at once."""
    _, jpn, kor = hub
    until_ns = jpn.clock() + 2_000_000_000
    jpn.drive.hold(until_ns)
    jpn.drive.offer([released(track_of(1), "KOR", "state"), released(warning_of("w"), "KOR", "flash")])
    await until(lambda: bool(kor.received))
    assert (["flash"], True) == ([one.lane for one in kor.received], jpn.clock() < until_ns)
    await until(lambda: len(kor.received) == 2)
    assert jpn.clock() >= until_ns


async def test_a_cut_link_is_waited_out(hub: tuple[LoopbackHub, Node, Node]) -> None:
    """While the link is cut nothing arrives; after it heals all does, once; the lane shows as down, and nothing as refused."""
    meeting, jpn, kor = hub
    await until(lambda: any(state.health == "up" for state in kor.drive.links()))
    meeting.cut |= {("JPN", "KOR"), ("KOR", "JPN")}
    await asyncio.sleep(0)
    jpn.drive.offer([released(warning_of(f"w{n}"), "KOR", "flash") for n in range(3)])
    await until(lambda: all(state.health != "up" for state in kor.drive.links()))
    meeting.cut.clear()
    await until(lambda: len(kor.received) == 3)
    assert ["w0", "w1", "w2"] == [item.record.id for item in kor.received]
    assert not any(state.rejected for state in kor.drive.links())


async def test_an_answer_that_is_no_envelope_is_counted_and_asked_for_again(
    hub: tuple[LoopbackHub, Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the transport cannot read of a partner's answer is counted by its reason; the lane goes on with the next answer."""
    _, jpn, kor = hub
    sound, bad = LoopbackTransport.request, 5

    async def garbled(self: LoopbackTransport, envelope: Envelope, timeout_s: float) -> Envelope:
        nonlocal bad
        reply = await sound(self, envelope, timeout_s)
        bad -= 1
        if bad >= 0:
            raise Rejected("envelope-malformed", "not an envelope.")
        return reply

    monkeypatch.setattr(LoopbackTransport, "request", garbled)
    jpn.drive.offer([released(warning_of("w"), "KOR", "flash")])
    await until(lambda: len(kor.received) == 1)
    counted = {name: n for state in (*kor.drive.links(), *jpn.drive.links()) for name, n in state.rejected.items()}
    assert {"envelope-malformed"} == set(counted)


async def test_what_runs_with_the_store_is_in_one_transaction(hub: tuple[LoopbackHub, Node, Node]) -> None:
    """Posted journal entries are on disk together with their neighbours, before what was offered after them leaves."""
    _, jpn, kor = hub
    jpn.drive.post(lambda now_ns: jpn.store.journal.append("tick", "node", now_ns, b"inputs") and None)
    jpn.drive.offer([released(warning_of("w"), "KOR", "flash")])
    await until(lambda: len(kor.received) == 1)
    done = asyncio.Event()
    kinds: list[str] = []
    loop = asyncio.get_running_loop()

    def look(_now_ns: int) -> None:
        kinds.extend(entry.kind for entry in jpn.store.journal.read(kinds=frozenset({"tick", "sent"})))
        loop.call_soon_threadsafe(done.set)

    jpn.drive.post(look)
    await done.wait()
    assert {"tick", "sent"} == set(kinds)


async def test_wrong_offers_are_errors_at_once(hub: tuple[LoopbackHub, Node, Node]) -> None:
    """What may not be offered is refused by the call itself, not somewhere later."""
    _, jpn, _ = hub
    with pytest.raises(ExchangeError):
        jpn.drive.offer([released(track_of(1), "PRK", "state")])


async def test_a_wrong_offer_keeps_no_other_record_from_leaving(hub: tuple[LoopbackHub, Node, Node]) -> None:
    """A record that is too large, or for nobody, is refused by name; what was offered with it to others leaves as it would."""
    _, jpn, kor = hub
    good = [released(warning_of(name), "KOR", "flash") for name in ("w1", "w2")]
    large = msgspec.structs.replace(released(track_of(1), "KOR", "state"), record=bytes(5 << 20))
    with pytest.raises(ExchangeError) as refused:
        jpn.drive.offer([good[0], large, released(track_of(1), "PRK", "state"), good[1]])
    await until(lambda: len(kor.received) == 2)

    assert "record-size" == refused.value.name
    assert ["w1", "w2"] == [item.record.id for item in kor.received]


async def test_a_stop_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    """Nodes that are stopped and started again during a transfer end with everything, each record handed over at least once, in order."""
    meeting = LoopbackHub()
    offered = [released(track_of(n), "KOR", "history") for n in range(3_000)]
    jpn, kor = Node(meeting, "JPN", tmp_path), Node(meeting, "KOR", tmp_path)
    jpn.drive.offer(offered)
    await until(lambda: len(kor.received) > 200)
    first = kor.received
    await kor.stop()
    await until(lambda: jpn.drive.waiting == 0)
    await jpn.stop()
    jpn, kor = Node(meeting, "JPN", tmp_path), Node(meeting, "KOR", tmp_path)
    await until(lambda: bool(kor.received) and kor.received[-1].sequence == 3_000)
    numbers = [item.sequence for item in (*first, *kor.received)]
    assert sorted(set(numbers)) == list(range(1, 3_001))
    assert [item.record for item in offered][-1] == kor.received[-1].raw
    await jpn.stop()
    await kor.stop()


@pytest.mark.parametrize("ended_by", ["flash", "a full group", "its time"])
async def test_a_group_waits_for_more_but_not_for_flash_nor_when_it_is_full(tmp_path: Path, ended_by: str) -> None:
    """A group that waits is committed at once when flash comes or it is full; else after group_wait_ms; nothing of it is lost."""
    meeting = LoopbackHub()
    wait_ms = 300.0 if ended_by == "its time" else 3_600_000.0
    jpn = Node(meeting, "JPN", tmp_path, group_wait_ms=wait_ms, group_records_max=64)
    few = [released(track_of(n), "KOR", "history") for n in range(5)]
    jpn.drive.offer(few)
    if ended_by == "flash":
        jpn.drive.offer([released(warning_of("w"), "KOR", "flash")])
    elif ended_by == "a full group":
        jpn.drive.offer([released(track_of(10 + n), "KOR", "history") for n in range(60)])
    await until(lambda: jpn.store.outbox.queue_size("KOR", "history")[0] >= len(few))
    assert jpn.store.outbox.queue_size("KOR", "flash")[0] == (ended_by == "flash")
    jpn.task.cancel()
    await asyncio.gather(jpn.task, return_exceptions=True)
    jpn.store.close()
