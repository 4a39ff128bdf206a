"""A node whose commit fails while partners' records wait for their step: each goes into the log exactly once all the same."""

import sqlite3
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from exchange_records import SECOND, released, warning_of
from failing_disk import troubled_pair

from trilat.exchange.exchange import Exchange
from trilat.exchange.importer import Received
from trilat.node.inputs import FeedInput, Input, ReceivedInput
from trilat.node.live import LiveNode
from trilat.node.record import Given, Recorder, steps
from trilat.node.settings import NodeConfig
from trilat.records.columns import Tracks, empty_tracks

CONFIG = msgspec.convert(
    {"nation": "KOR", "mode": "exercise:TEST-1", "name": "kor", "directory": "/nowhere", "keys": "/nowhere"}, NodeConfig
)
FEED = FeedInput(source="radar", received_t_ns=1, data=b"plot")
# What came out of a step does not matter here; its digest does not either.
TRACKS = Tracks(stream="KOR/national/1", t_ns=1, columns=empty_tracks(0))
NOTHING = SimpleNamespace(assessed=(), warnings=(), public=(), released=(), national=TRACKS, digest=lambda _: bytes(32))


class Waiting:
    """A node between its loop and the exchange's worker: what it was given, and what it has posted but was not run yet."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.recorder = Recorder(exchange.station.store, CONFIG)
        self.node = LiveNode(CONFIG)
        self.node.exchange = exchange
        self.posted: list[tuple[tuple[str, bytes], Given]] = []

    def given(self) -> list[Received]:
        """Give the node what the exchange has for it."""
        received = self.exchange.take_received()
        if received:
            self.node._take_received(received)
        return received

    def step(self) -> None:
        """Step with everything that waits, and post it."""
        waiting = list(self.node._received)
        self.node._received.clear()
        inputs: list[Input] = [FEED]
        inputs += [
            ReceivedInput(exporter=one.exporter, lane=one.lane, epoch=one.epoch, sequence=one.sequence, record=one.raw)
            for one in waiting
        ]
        row = max((one.row for one in waiting), default=0)
        self.posted.append((self.recorder.entry(inputs, NOTHING), Given(row, self.node._readings)))  # type: ignore[arg-type]

    def work(self, now_ns: int) -> None:
        """Run what was posted, as the exchange's worker does, and commit."""
        for entry, given in self.posted:
            self.recorder.keep(self.exchange, now_ns, now_ns, entry, given)
        self.posted.clear()
        self.exchange.flush(now_ns, force=True)


@pytest.mark.parametrize("stepped", [False, True], ids=["waiting for its step", "stepped and posted"])
def test_a_record_goes_into_the_log_once_although_a_commit_failed_meanwhile(tmp_path: Path, stepped: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Three warnings wait, or are posted, when another step's commit fails: given again, they stand in the log once, in order."""
    pair, disk = troubled_pair(tmp_path, "KOR")
    kor = pair.exchanges["KOR"]
    waiting = Waiting(kor)
    pair.hand_over = lambda _exchange, received: waiting.node._take_received(received)  # type: ignore[method-assign]
    pair.exchanges["JPN"].offer(pair.now_ns, [released(warning_of(f"w{n}"), "KOR", "flash") for n in range(3)])
    pair.run(3)
    assert 3 == len(waiting.node._received)
    if stepped:
        waiting.step()
    disk.fails = sqlite3.SQLITE_IOERR
    kor.offer(pair.now_ns, [released(warning_of("k", "KOR", ("JPN",)), "JPN", "flash")])
    pair.run(1)
    assert "down" == kor.health
    disk.fails = None
    pair.now_ns += 3 * SECOND
    waiting.exchange.tick(pair.now_ns)
    assert "ok" == kor.health
    waiting.given()
    waiting.work(pair.now_ns)
    waiting.step()
    waiting.work(pair.now_ns)
    kept = [one for step in steps(kor.station.store.journal) for one in step.inputs]
    ids = [msgspec.msgpack.decode(one.record)["id"] for one in kept if isinstance(one, ReceivedInput)]
    assert ["w0", "w1", "w2"] == ids
    assert 1 + stepped == sum(isinstance(one, FeedInput) for one in kept)
    assert [] == list(kor.station.store.inbox.unhanded())
    pair.close()
