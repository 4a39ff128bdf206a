"""Two or three exchanges joined by a perfect, immediate network that a test can tap: for what the protocol says, step by step."""

from collections.abc import Callable
from pathlib import Path

from exchange_records import EXERCISE, MS, T0_NS, released, ring_of, track_of

from trilat.exchange.exchange import Exchange
from trilat.exchange.importer import Received
from trilat.records.carried import Route
from trilat.records.envelope import Envelope
from trilat.records.label import Mode
from trilat.store.sqlite import StoreSettings, open_database
from trilat.transport.messages import ExchangeSettings, LaneSettings, PullId

SETTINGS = ExchangeSettings(
    flash=LaneSettings(window_pulls=1, window_pulls_max=1, batch_records_max=1, wait_ms=1_000),
    state=LaneSettings(window_pulls=1, window_pulls_max=1, wait_ms=1_000, tick_budget_bytes=4 << 20),
    history=LaneSettings(window_pulls=1, window_pulls_max=1, wait_ms=1_000, tick_budget_bytes=4 << 20),
)
STORE = StoreSettings(reserve_bytes=0)
# Sees each reply on its way (importer, pull, envelope); returns what arrives instead: None = lost.
Tap = Callable[[str, PullId, Envelope], Envelope | None]


class Joined:
    """Exchanges of some nations; `run` lets time pass in ticks and carries everything at once."""

    def __init__(
        self,
        directory: Path,
        nations: tuple[str, ...] = ("JPN", "KOR"),
        settings: ExchangeSettings = SETTINGS,
        mode: Mode = EXERCISE,
        *,
        memory: bool = False,
        published: tuple[str, ...] = (),
        routes: tuple[Route, ...] = (),
        hub: str | None = None,
        tick_ms: int = 50,
    ) -> None:
        """Open every nation's exchange: each partner of each, or all of `hub` alone."""
        self.hub = hub
        self.tick_ms = tick_ms
        self.published = published
        self.routes = dict.fromkeys(nations, routes)
        self.directory = directory
        self.memory = memory
        self.nations = nations
        self.settings = dict.fromkeys(nations, settings)
        self.mode = mode
        self.now_ns = T0_NS
        self.exchanges: dict[str, Exchange] = {}
        self.received: dict[str, list[Received]] = {nation: [] for nation in nations}
        self.replies: list[tuple[str, PullId, Envelope]] = []
        self.requests: list[Envelope] = []
        self.tap: Tap = lambda _nation, _pull, envelope: envelope
        self._tickets: dict[int, tuple[str, PullId]] = {}
        for nation in nations:
            self.start(nation)

    def start(self, nation: str, opener=None) -> Exchange:  # noqa: ANN001
        """Open a nation's store and exchange (again)."""
        extra = {} if opener is None else {"opener": opener}
        path = Path(":memory:") if self.memory else self.directory / f"{nation}.sqlite"
        store = open_database(path, nation, self.mode, STORE, **extra)
        partners = [other for other in self.nations if other != nation and self.hub in {None, nation, other}]
        ring = ring_of(nation, self.mode, self.nations)
        self.exchanges[nation] = Exchange(
            self.settings[nation], nation, self.mode, ring, store, partners, self.published, self.routes[nation]
        )
        return self.exchanges[nation]

    def stop(self, nation: str) -> None:
        """Stop a nation without a word."""
        self.exchanges.pop(nation).station.store.close()

    def close(self) -> None:
        """Close every store."""
        for nation in list(self.exchanges):
            self.stop(nation)

    def run(self, ticks: int = 4) -> "Joined":
        """Let some ticks pass; within a tick, messages go to and fro until none is left."""
        for _ in range(ticks):
            self.now_ns += self.tick_ms * MS
            for nation in list(self.exchanges):
                self.exchanges[nation].tick(self.now_ns)
            for _ in range(20):
                busy = [self.flush(nation) for nation in list(self.exchanges)]  # every nation, not the first busy one
                if not any(busy):
                    break
        return self

    def flush(self, nation: str) -> bool:
        """End a nation's step and deliver what it lets out; tell whether there was anything."""
        exchange = self.exchanges[nation]
        out = exchange.flush(self.now_ns)
        received = exchange.take_received()
        if received:
            self.received[nation] += received
            self.hand_over(exchange, received)
        for request in out.requests:
            self.requests.append(request.envelope)
            if request.pull.partner in self.exchanges:
                ticket = len(self._tickets) + 1
                self._tickets[ticket] = (nation, request.pull)
                self.exchanges[request.pull.partner].handle(self.now_ns, request.envelope, ticket=ticket)
        for answer in out.answers:
            asker, pull = self._tickets[answer.ticket]
            if answer.envelope is None or asker not in self.exchanges:
                continue
            self.replies.append((asker, pull, answer.envelope))
            arriving = self.tap(asker, pull, answer.envelope)
            if arriving is not None:
                self.exchanges[asker].handle(self.now_ns, arriving, pull=pull)
        for wake in out.wakes:
            if wake.audience in self.exchanges:
                self.exchanges[wake.audience].handle(self.now_ns, wake)
        return bool(out.requests or out.answers or out.wakes)

    def hand_over(self, exchange: Exchange, received: list[Received]) -> None:
        """Take over what came, at once."""
        exchange.handed(received[-1].row)

    def link(self, nation: str, partner: str, lane: str, direction: str):  # noqa: ANN201
        """Return one link state."""
        states = self.exchanges[nation].links(self.now_ns)
        return next(s for s in states if (s.partner, s.lane, s.direction) == (partner, lane, direction))

    def raws(self, nation: str, lane: str) -> list[bytes]:
        """Return the bytes a nation received on a lane, in order."""
        return [item.raw for item in self.received[nation] if item.lane == lane]


def tracks(pair: Joined, count: int, first: int = 0, lane: str = "history", **changes: object) -> list:
    """Return released tracks of JPN to KOR."""
    return [released(track_of(first + n, t_ns=pair.now_ns), "KOR", lane, pair.now_ns, **changes) for n in range(count)]
