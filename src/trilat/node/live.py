"""A node at work: feeds in, step after step on a fixed tick, log and outboxes on disk, partners over NATS, pages served.

Does I/O. The pipeline it drives is pure; everything that goes into a step is journalled before what came of it is offered.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from trilat.errors import ConfigError, ExchangeError, TrilatError
from trilat.exchange.drive import Drive
from trilat.exchange.exchange import Exchange, LinkState
from trilat.exchange.importer import Received
from trilat.feeds.sockets import FeedSockets
from trilat.identity import keyfiles
from trilat.identity.keystore import Passphrase
from trilat.identity.sign import KeyRing
from trilat.kernels import warm
from trilat.node import clock, links, setup, show
from trilat.node.audience import Tick
from trilat.node.config import mode_of
from trilat.node.health import Health
from trilat.node.inputs import ActInput, Input, feed_input, received_input
from trilat.node.outlets import Outlets, cancelled
from trilat.node.people import People, open_book
from trilat.node.pipeline import Output, Pipeline
from trilat.node.record import Given, Recorder
from trilat.node.settings import NodeConfig
from trilat.picture.acts import OfficerAct
from trilat.picture.inputs import CopInput
from trilat.picture.web import Hub, WebSettings, make_app, serving
from trilat.policy.audience import DecisionLog, routes_of
from trilat.records.track import Area
from trilat.transport.nats import NatsTransport
from trilat.transport.server import NatsServer

MS = 1_000_000
ACTS_MAX = 1_000
PIN_WATCH_S = 0.5
WARM_S = 3.0
RETAIN_NS, RETAIN_AGAIN_NS, RETAIN_ROWS, DAY_NS = 3_600_000 * MS, 500 * MS, 500, 86_400_000 * MS
STATUS_NS = 1_000 * MS
# Partners' records wait this long for those right behind them, so that one picture shows them all.
GATHER_NS = 25 * MS
INPUTS_PER_STEP_MAX = 10_000
GROUP_SETTINGS = ("group_records_max", "group_wait_ms")
log = structlog.get_logger()


class LiveNode:
    """One running node. `run` works until `stop` is set or the process is told to end."""

    def __init__(self, config: NodeConfig, passphrase: Passphrase | None = None) -> None:
        self.config = config
        self.health = Health()
        self.ports: dict[str, Any] = {}
        self._passphrase = passphrase
        self._acts: deque[OfficerAct] = deque()
        self._received: deque[Received] = deque()
        self._received_ns, self._readings, self._steady = 0, 0, clock.Steady()
        self.links: list[links.LinkReport] = []
        self._link_watch = links.Watch()
        self._last_ns = 0
        self._wake = asyncio.Event()
        self._hurry = self._fed = False
        self._next_status_ns = 0
        self._next_retain_ns = clock.now_ns() + RETAIN_NS

    async def run(self, stop: asyncio.Event, started: Callable[[dict[str, Any]], None] | None = None) -> None:
        """Start every part, step until `stop` is set, end every part. Raises TrilatError when a part cannot start."""
        async with contextlib.AsyncExitStack() as stack:
            await self._start(stack)
            stack.callback(setup.forget_ports, Path(self.config.directory))
            setup.write_ports(Path(self.config.directory), self.ports)
            log.info("node started", nation=self.config.nation, mode=self.config.mode, **self.ports)
            if started is not None:
                started(self.ports)
            await self._loop(stop)
            log.info("node stopping", nation=self.config.nation)

    # Starting -------------------------------------------------------------------------------------------------------

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        config, now_ns = self.config, clock.now_ns()
        directory = Path(config.directory)
        setup.make_directory(directory)
        setup.forget_ports(directory)  # of a run that was ended from outside
        self.identity = setup.read_identity(config, now_ns, self._passphrase)
        keyfiles.check_certificates(self.identity.keys, now_ns)
        self.store = setup.open_node_store(config, now_ns)
        stack.callback(self.store.close)
        self.recorder = Recorder(self.store, config)
        before = self.recorder.agreements_before()
        self.agreements = self.recorder.read_agreements(now_ns, before.seen)
        self.decisions = DecisionLog()
        secret = setup.coarsening_secret(self.identity.ring, now_ns)
        policies = setup.policies(config, self.agreements, secret, self.decisions)
        self.pipeline = Pipeline(setup.pipeline_settings(config), policies, now_ns)
        self.pipeline.trust(setup.event_keys(self.identity.ring))
        changes = setup.change_events(config, self.store, self.identity.ring, self.agreements, before, now_ns)
        self.recorder.begin(now_ns, self.agreements)
        self.cop = show.make_cop(config, self.pipeline, now_ns)
        areas = setup.areas_layer(config.warning.areas)
        self.outlets = Outlets(config, areas, clock.now_ns, lambda: self.identity.ring)
        for warning in self.recorder.restore_warnings(self.pipeline):
            self.cop.step(now_ns, CopInput(warnings=(warning,)))
        await self._warm()
        await self._start_exchange(stack)
        await self._start_feeds(stack)
        await self._start_page(stack)
        self.people.key = self.identity.ring.current
        self.people.restored(now_ns, self.pipeline.approvals, self.pipeline.events_taken(), self.agreements, self.decisions)
        self.people.events += changes
        self.outlets.post = self.drive.post
        self.outlets.start(stack, self.pipeline.restored_public)

    async def _warm(self) -> None:
        """Load the compiled kernels before anything comes in: a compilation in the middle of a step would hold everything up."""
        began_ns = clock.monotonic_ns()
        warming = asyncio.create_task(asyncio.to_thread(warm.main))
        done, _ = await asyncio.wait({warming}, timeout=WARM_S)
        if not done:
            log.info("compiling kernels, once", remedy="`make setup` does it beforehand")
        await warming
        log.info("kernels ready", seconds=round((clock.monotonic_ns() - began_ns) / 1e9, 1))

    async def _start_exchange(self, stack: contextlib.AsyncExitStack) -> None:
        config, mode = self.config, mode_of(self.config)
        held, pins, ring = self.identity
        server = None
        if not config.exchange.nats_urls:
            directory = Path(config.directory) / "nats"
            server = NatsServer(held, mode, directory, config.exchange.listen_host, config.exchange.listen_port)
            await server.start(pins.values(), config.exchange.nats_server_path)
            stack.push_async_callback(server.stop)
            self.ports["nats"] = server.port
        self.transport = NatsTransport(held, mode, clock.now_ns, server, config.exchange.nats_urls)
        stack.push_async_callback(self.transport.close)
        settings = setup.exchange_settings(config)
        routes = routes_of(self.agreements, mode)
        self.exchange = Exchange(settings, config.nation, mode, ring, self.store, tuple(pins), self.pipeline.published, routes)
        # Steady: a clock that is set back must not hold up what leaves on a tick, nor the recovery of a disk.
        steady, bounds = clock.Steady().now_ns, {name: getattr(config.exchange, name) for name in GROUP_SETTINGS}
        self.drive = Drive(self.exchange, self.transport, steady, self._take_received, hands_on=False, **bounds)
        self.transport.on_served = lambda _: self.drive.post(lambda _: self.exchange.wake_partners(), flash=True)
        running = asyncio.create_task(self.drive.run(), name="exchange")
        stack.push_async_callback(cancelled, running)
        await self.transport.set_partners(pins.values())
        watching = asyncio.create_task(self._watch_pins(), name="pins")
        stack.push_async_callback(cancelled, watching)
        self._tasks = (running, watching)

    async def _start_feeds(self, stack: contextlib.AsyncExitStack) -> None:
        config = self.config
        jitter, step, store = random.Random(config.name), config.step, config.store
        self.feeds = FeedSockets(clock.now_ns, jitter, queue_max=step.queue_max, bytes_per_day_max=store.feed_bytes_per_day_max)
        stack.push_async_callback(self.feeds.close)
        opened = [(f.name, f.url, f.format, f.beyond_loopback, f.interface) for f in config.feed]
        ports = {n: await self.feeds.open(n, u, k, beyond_loopback=far, interface=at) for n, u, k, far, at in opened}
        self.ports["feeds"] = {name: port for name, port in ports.items() if port}

    async def _start_page(self, stack: contextlib.AsyncExitStack) -> None:
        page = self.config.page
        book = open_book(self.config)
        stack.callback(book.close)
        self.people = People(self.config, book, os.urandom, self._note_account)
        self.hub = Hub(self.cop, self._on_act, self.people.gate(), WebSettings(origins=page.origins))
        self.people.hub = self.hub
        if not book.accounts():
            log.warning("no account yet: nobody can use the page", remedy="trilat users add CONFIG NAME --role watch-officer")
        app = make_app(
            self.hub,
            live=lambda: self.health.live(clock.now_ns()),
            ready=lambda: self.health.readiness(clock.now_ns()),
            metrics=self.health.metrics,
            links=lambda: (True, {"links": self.links}),
            areas=show.outlines(setup.areas_layer(self.config.warning.areas)),
        )
        try:
            self.ports["page"] = await stack.enter_async_context(serving(app, page.host, page.port))
        except OSError as error:
            raise ConfigError("port-in-use", f"[page] {page.host}:{page.port}: {error.strerror or error}.") from error

    def _note_account(self, t_ns: int, data: bytes) -> None:
        self.drive.post(lambda _: self.store.note("account", self.config.nation, t_ns, data))

    # Working --------------------------------------------------------------------------------------------------------

    async def _on_act(self, act: OfficerAct) -> None:
        if len(self._acts) >= ACTS_MAX:
            raise ConfigError("acts-full", f"{ACTS_MAX} acts are waiting.")
        self._acts.append(act)
        self._wake.set()

    def _gather(self, until_ns: int | None) -> tuple[list[Input], int]:
        """Take what waits: acts first, then partners' records, then what feeds brought by until_ns, each in its order.

        A step for feeds leaves partners' records to the next, so that its own leave soon; unless there was no time for one since
        the last. The number is the inbox row up to which partners' records are among them; 0 when there are none.
        """
        inputs: list[Input] = [*(ActInput(act=act) for act in _drain(self._acts)), *_drain(self.people.events)]
        received: list[Received] = _drain(self._received) if until_ns is None or self._fed else []
        inputs += [received_input(one) for one in received]
        if until_ns is not None:
            inputs += [feed_input(one) for one in self.feeds.take(INPUTS_PER_STEP_MAX, until_ns)]
        return inputs, max((one.row for one in received), default=0)

    def _take_received(self, received: list[Received]) -> None:
        if self.exchange.readings != self._readings:  # after a failed commit: what waits here is given again
            self._received.clear()
            self._readings = self.exchange.readings
        if not self._received:
            self._received_ns = self._steady.now_ns()
        self._received.extend(received)
        self._hurry |= any(one.lane == "flash" for one in received)
        self._wake.set()

    async def _loop(self, stop: asyncio.Event) -> None:
        """Step on a fixed tick of the clock, with what the feeds brought by then; between ticks for people and partners.

        So when an audience is stepped, and what of its feeds goes in, depends on nothing but the clock: not on what partners
        or officers do, nor on how long another step took (unless the node has more to do than time).
        """
        steady, tick_ns = self._steady, self.config.step.tick_ms * MS
        tick = Tick(tick_ns)
        stopping = asyncio.create_task(_set_when(stop, self._wake))
        try:
            while not stop.is_set():
                for task in self._tasks:
                    if task.done():
                        task.result()
                now_ns = steady.now_ns()
                if on_tick := tick.passed(now_ns):
                    now_ns -= now_ns % tick_ns
                    self.drive.hold(now_ns + setup.leave_ms(self.config) * MS)
                if on_tick or self._is_due(now_ns):
                    self._timed_step(max(now_ns, self._last_ns + 1), feeds=on_tick)
                await self._sleep(tick_ns)
        finally:
            stopping.cancel()

    def _is_due(self, now_ns: int) -> bool:
        """Tell whether something waits that does not wait for the tick."""
        return bool(self._acts) or self._hurry or now_ns >= self._shown_ns()

    def _shown_ns(self) -> int:
        """Return when what waits is shown: all nations' ticks come at one time, so partners' records nearly do, with the own."""
        pictured_ns = self.pipeline.picture_ns() if self._received else self.pipeline.own_picture_ns() + GATHER_NS
        return max(pictured_ns, self._received_ns + GATHER_NS)

    async def _sleep(self, tick_ns: int) -> None:
        """Wait for the next tick, or until what waits can be shown, or for something that hurries."""
        now_ns = self._steady.now_ns()
        until_ns = min(now_ns - now_ns % tick_ns + tick_ns, self._shown_ns())
        self._wake.clear()
        if self._is_due(now_ns) or until_ns <= now_ns:
            await asyncio.sleep(0)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout((until_ns - now_ns) / 1e9):
                await self._wake.wait()

    def _timed_step(self, now_ns: int, *, feeds: bool) -> None:
        self._last_ns, self._hurry = now_ns, False
        began_ns = clock.monotonic_ns()
        self._step(now_ns, feeds=feeds)
        self.health.put("trilat_step_seconds", (clock.monotonic_ns() - began_ns) / 1e9)

    def _step(self, now_ns: int, *, feeds: bool) -> None:
        (inputs, row), self._fed = self._gather(now_ns if feeds else None), feeds
        out = self.pipeline.step(now_ns, inputs)
        entry = self.recorder.entry(inputs, out)
        given = Given(row, self._readings)
        self.drive.post(lambda at_ns: self.recorder.keep(self.exchange, now_ns, at_ns, entry, given))
        try:
            self.drive.offer(out.released)
        except ExchangeError as error:
            log.warning("not offered", code=error.code, detail=error.detail)
        self.outlets.take(out.released)
        self.people.take(now_ns, out.approvals, out.answers)
        show.count(self.health, inputs, out)
        self._show(now_ns, out)
        if now_ns >= self._next_retain_ns:
            self._next_retain_ns = now_ns + RETAIN_NS
            self.drive.post(self._retain)
        self.health.last_step_ns = now_ns
        self.health.add("trilat_steps_total", 1)

    def _retain(self, now_ns: int) -> None:
        """Remove what is older than `retention_days`, a little at a time, behind a checkpoint; runs in the exchange's worker.

        At the end what this run is made of is noted anew, so that the highest agreement versions seen are never forgotten.
        """
        if self.exchange.retain(now_ns, now_ns - self.config.store.retention_days * DAY_NS, RETAIN_ROWS) >= RETAIN_ROWS:
            self._next_retain_ns = now_ns + RETAIN_AGAIN_NS
        else:
            self.recorder.begin(now_ns, self.agreements)

    def _show(self, now_ns: int, out: Output) -> None:
        due = now_ns >= self._next_status_ns
        lights: dict[str, Any] = {}
        if due:
            self._next_status_ns = now_ns + STATUS_NS
            states = self.drive.links()
            lights = {
                "feeds": show.feed_lights(now_ns, self.config, self.feeds, self.health),
                "links": show.link_lights(now_ns, states),
                "sensors": show.sensors(self.health, self.pipeline),
                "counters": show.counters(self.pipeline, self.health),
            }
            show.measure(self.health, self.feeds, len(self.hub.pages), self.drive.waiting)
            self._tell_links(now_ns, states)
            self._check(states)
            self.outlets.measure(self.health)
            self.people.tick(now_ns, self.pipeline.approvals, self.health, sound=self.exchange.health == "ok")
        self.people.show(self.pipeline.desk)
        given = CopInput(
            combined=None if out.combined is None else show.confirmed_only(out.combined),
            partners=[one for one in out.partners if isinstance(one.record, Area)],
            warnings=out.warnings,
            answers=out.answers,
            notices=[*out.notices, *self.people.notices(), *self.outlets.notices()],
            **lights,
        )
        if self.cop.step(out.t_ns, given) or out.warnings or out.answers or due:
            self.hub.publish()

    def _tell_links(self, now_ns: int, states: list[LinkState]) -> None:
        """Set the links' figures, keep their report for whoever asks, and log what changed with what to do about it."""
        self.links = links.report(now_ns, states, self.transport.states(), self.transport.refused)
        links.measure(self.health, self.links)
        for link, before in self._link_watch.changes(self.links):
            say = log.info if link.state == "up" else log.warning
            facts = {"partner": link.partner, "lane": link.lane, "direction": link.direction, "before": before}
            told = {"why": link.why, "do": link.do} if link.why else {}
            say(f"link {link.state}", **facts, lag_records=link.lag_records, **told)

    def _check(self, states: list[LinkState]) -> None:
        """Say what keeps the node from doing its whole job."""
        trouble = self.exchange.trouble
        faults = {} if trouble is None else {"store": str(trouble)}
        if faults != self.health.faults:
            log.warning("faults changed", **(faults or {"store": "takes writes again"}))
        self.health.faults = faults
        self.health.put("trilat_store_degraded", float(trouble is not None))
        self.health.put("trilat_journal_entries_total", float(self.store.journal.length))
        self.health.ready = {"exchange": bool(states) or not self.config.partner}

    async def _watch_pins(self) -> None:
        """Take over what `trilat partner` and `trilat keys` change on disk while the node runs."""
        paths = {partner.nation: Path(partner.file) for partner in self.config.partner}
        watch = keyfiles.PinWatch(paths, Path(self.config.keys))
        while True:
            await asyncio.sleep(PIN_WATCH_S)
            pins = watch.changed()
            if pins is None:
                continue
            try:
                await self._take_over(pins, renewed=watch.renewed)
            except TrilatError as error:
                log.warning("pins not taken over", code=error.code, detail=error.detail)

    async def _take_over(self, pins: dict[str, Any], *, renewed: bool) -> None:
        valid = {nation: pin for nation, pin in pins.items() if pin.revoked_ns is None}
        for nation in sorted(set(self.identity.pins) - set(valid)):
            log.warning("partner revoked", partner=nation)
            self.drive.post(lambda _, nation=nation: self.exchange.stop_serving(nation), flash=True)  # type: ignore[misc]
        keys = self.identity.keys
        if renewed:
            keys = keyfiles.load(Path(self.config.keys), clock.now_ns(), mode_of(self.config), self._passphrase)
            await self.transport.renew(keys)
        ring = keys.key_ring(mode_of(self.config), valid.values())
        self.identity = setup.Identity(keys, valid, ring)
        self.pipeline.trust(setup.event_keys(ring))
        self.people.key = ring.current
        self.drive.post(lambda _: self._take_ring(ring), flash=True)
        await self.transport.set_partners(valid.values())

    def _take_ring(self, ring: KeyRing) -> None:
        self.exchange.take_ring(ring)


async def _set_when(stop: asyncio.Event, wake: asyncio.Event) -> None:
    await stop.wait()
    wake.set()


def _drain(queue: deque[Any] | list[Any]) -> list[Any]:
    taken = list(queue)
    queue.clear()
    return taken
