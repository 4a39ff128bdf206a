"""The judge: what must hold when everything has healed, from what stands in the stores and in the books outside of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from trilat.exchange.exchange import Exchange
from trilat.exchange.intake import Intake
from trilat.records import codec
from trilat.records.exchange import Cursor, InboxState, OutboxState
from trilat.records.track import Track
from trilat.simulation.nations import PUBLIC
from trilat.simulation.node import SimulatedNode
from trilat.simulation.schedule import Schedule
from trilat.store.audit import Audit
from trilat.store.sqlite import Store
from trilat.transport import envelope as sealing
from trilat.transport.carried import stream_name
from trilat.transport.messages import BRANCH_MINOR, LANES, MINOR

# These can only come of a store that is older than what it said: never without a rollback in the schedule.
OF_ROLLBACKS = ("rollback-seen", "fork-seen", "cursor-behind")
# What a node was seen to do, and must not.
NEVER = ("numbered before a pull", "recalled and sent again", "recalled and taken")
ROLLBACKS = frozenset({"rollback", "restore", "rebuild"})


class Way(NamedTuple):
    """One stream: from whom, to whom, in which lane, through which hub (None: directly)."""

    exporter: SimulatedNode
    importer: SimulatedNode
    lane: str
    via: str | None

    @property
    def where(self) -> str:
        """Return it as it is shown."""
        return f"{self.exporter.nation}->{stream_name(self.importer.nation, self.via)} {self.lane}"

    @property
    def out(self) -> OutboxState:
        """Return the exporter's books."""
        return running(self.exporter)[1].outbox.state(stream_name(self.importer.nation, self.via), self.lane)

    @property
    def into(self) -> InboxState:
        """Return the importer's books."""
        return running(self.importer)[1].inbox.state(stream_name(self.exporter.nation, self.via), self.lane)


def ways(nodes: Sequence[SimulatedNode]) -> Iterator[Way]:
    """Yield every stream."""
    for exporter in nodes:
        for importer in nodes:
            if exporter is not importer:
                hubs = [route.via for route in exporter.routes if {route.origin, route.to} == {exporter.nation, importer.nation}]
                yield from (Way(exporter, importer, lane, via) for via in (None, *hubs) for lane in LANES)


def running(node: SimulatedNode) -> tuple[Exchange, Store]:
    """Return a node's exchange and store; it must run."""
    if node.exchange is None or node.store is None:
        raise RuntimeError(f"{node.nation} does not run")
    return node.exchange, node.store


def level(nodes: Sequence[SimulatedNode], *, told: bool = True) -> bool:
    """Tell whether nothing waits anywhere, and every importer stands at its exporter's head.

    told: so much time has passed that every importer has had an answer; until then it may yet begin an epoch with it.
    """
    if any(node.exchange is None or node.exchange.health != "ok" for node in nodes):
        return False
    if any(node.pending or node.memory or node.waiting for node in nodes):
        return False
    for way in ways(nodes):
        state, outbox = way.out, running(way.exporter)[1].outbox
        if state.moves or state.epoch_due or outbox.queue_size(stream_name(way.importer.nation, way.via), way.lane)[0]:
            return False
        if state.last != way.into.cursor and not (told and _waits_to_begin(way)):
            return False
    return True


def _older(exporter: SimulatedNode, importer: SimulatedNode) -> bool:
    """Tell whether one of the two speaks an earlier minor version, so that both speak it with one another."""
    return min(exporter.minor, importer.minor) < BRANCH_MINOR


def _waits_to_begin(way: Way) -> bool:
    """Tell whether an importer is as level as an earlier version gets: it goes over to an epoch with its first batch alone."""
    state = way.out
    inbox = Intake(running(way.importer)[0].station, way.exporter.nation, way.lane, way.via)  # type: ignore[arg-type]
    begins = _older(way.exporter, way.importer) and state.last.epoch > inbox.state.cursor.epoch and not state.last.sequence
    return begins and inbox.holds(state.base)


def judge(schedule: Schedule, nodes: Sequence[SimulatedNode], counts: Counter[str]) -> list[str]:
    """Return what is wrong; each says where. `counts` is given the states that were reached."""
    problems: list[str] = []
    rolled = bool(ROLLBACKS & {event.what for event in schedule.event})
    for way in ways(nodes):
        exporter, importer, lane, via = way
        where, books = way.where, way.into
        offered = [one.record for one in exporter.offered if (one.audience, one.lane, one.via) == (importer.nation, lane, via)]
        must = [one.record for one in exporter.must if (one.audience, one.lane, one.via) == (importer.nation, lane, via)]
        held = _by(via, exporter, importer.held(exporter.nation, lane))
        void = exporter.recalls.void(importer.nation, lane)
        must, missing = _still_due(exporter, must, held, void, back=importer.went_back)
        # What the exporter no longer keeps can not come again to an importer that went back; but it must say so.
        counts["removed before a rollback wanted it"] += missing
        if _waits_to_begin(way):
            counts["loss not told yet to the version before"] += missing
        elif books.lost < missing:
            problems.append(f"{where}: {missing} are no longer kept, and only {books.lost} are said to be lost")
        if books.unchecked:
            # What waited in an older copy of the exporter's store leaves again, and an importer that has removed it meanwhile
            # can not know it; but it must say so. When it went back itself, so does what it got in an epoch unknown to the copy.
            again = exporter.waits_again | (exporter.sent_again if importer.went_back else set())
            # The version before does not say what it holds: then everything kept is said again.
            once = _once(held, None if _older(exporter, importer) else again)
            counts["came again unchecked"] += len(held) - len(once)
            held = once
        # What was removed, and said to be lost, may come after all when the exporter goes back, too: late, but not lost. So may
        # what it took back, in a copy that does not know it.
        late = exporter.forgotten | void if importer.went_back and exporter.went_back else void if exporter.went_back else set()
        problems += [f"{where}: {what}" for what in _compared(lane, offered, must, held, late, rolled=rolled)]
        problems += [f"{where}: {what}" for what in _restored(way, counts)]
        counts["records held"] += len(held)
        counts["records held through a hub"] += len(held) if via is not None else 0
        _count(way, counts)
    for node in nodes:
        problems += [f"{node.nation}: {what}" for what in (*_store(node), *_public(node, counts))]
        counts.update(node.counts)
        counts.update(node.recalls.counts)
        counts["spoke the version before"] += node.minor < MINOR
        counts.update({f"disk: {what}": times for what, times in node.disk.counts.items()})
        counts["withheld by policy"] += node.withheld
        counts["large"] += node.offers.large
    if counts["injected"] != counts["rejected"]:
        problems.append(f"{counts['injected']} injected, {counts['rejected']} rejected")
    problems += [f"{counts[what]} {what}" for what in NEVER if counts[what]]
    if not rolled:
        problems += [f"{counts[f'refused {why}']} {why} without a rollback" for why in OF_ROLLBACKS if counts[f"refused {why}"]]
    return problems


def _by(via: str | None, exporter: SimulatedNode, held: list[bytes]) -> list[bytes]:
    """Return what of all that is held of an exporter came in one of its streams: a node does not keep apart which."""
    through = {one.record: one.via for one in exporter.offered if one.via is not None}
    return [record for record in held if through.get(record) == via]


def _restored(way: Way, counts: Counter[str]) -> Iterator[str]:
    """Whoever restored a backup goes on in a new epoch: what its copy does not know may have been said in the old one."""
    epoch = way.exporter.epochs_restored.get((stream_name(way.importer.nation, way.via), way.lane))
    if epoch is None:
        return
    counts["both ends restored"] += bool(way.importer.epochs_restored)
    counts["restored to before what was removed"] += way.into.unchecked
    if way.out.last.epoch <= epoch:
        yield f"a restored store goes on in epoch {epoch}"


def _once(held: list[bytes], again: set[bytes] | None) -> list[bytes]:
    """Return what is held, of what may have come again only the first. again: hashes of such records; None: any."""
    seen: set[bytes] = set()
    once = []
    for record in held:
        if record not in seen or (again is not None and sealing.leaf_hash(record) not in again):
            once.append(record)
        seen.add(record)
    return once


def _still_due(
    exporter: SimulatedNode, must: list[bytes], held: list[bytes], void: frozenset[bytes], *, back: bool
) -> tuple[list[bytes], int]:
    """Return what must be held without what its exporter took back, nor what retention removed before its importer went `back`.

    Also how many of the latter are not held. void: hashes of what was taken back.
    An older state of a track goes with a newer one: it need not have been said on its own. Nor was it lost when its exporter went
    back to where it waited, and a newer one that came took its place.
    """
    if not void and not back:
        return must, 0
    there = set(held)
    newer = {_key(record): at for at, record in enumerate(must) if record in there} if exporter.went_back else {}
    newer.pop(None, None)
    must = [record for at, record in enumerate(must) if record in there or at > newer.get(_key(record), -1)]
    absent = {record: sealing.leaf_hash(record) for record in must if record not in there}
    removed = {record for record, digest in absent.items() if back and digest in exporter.forgotten and digest not in void}
    gone = {record for record, digest in absent.items() if digest in void or record in removed}
    newest = {_key(record): at for at, record in enumerate(must) if record in gone}
    kept = [
        record
        for at, record in enumerate(must)
        if record not in gone and not (at < newest.get(key := _key(record), -1) and key is not None)
    ]
    return kept, len(removed)


def _compared(
    lane: str, offered: list[bytes], must: list[bytes], held: list[bytes], late: AbstractSet[bytes], *, rolled: bool
) -> Iterator[str]:
    """Compare what was offered to one importer in one lane with what it holds. late: hashes of what may be out of order."""
    place = {record: i for i, record in enumerate(offered)}
    if len(set(held)) != len(held):
        yield f"{len(held) - len(set(held))} held twice"
    if not set(held) <= set(place):
        yield f"{len(set(held) - set(place))} held that were never offered to it"
        return
    order = [place[record] for record in held if not late or sealing.leaf_hash(record) not in late]
    if lane != "state":
        if order != sorted(order):
            yield "out of order"
        if not set(must) <= set(held):
            yield f"{len(set(must) - set(held))} of {len(must)} lost"
        return
    yield from _state(must, held, place, rolled=rolled)


def _state(must: list[bytes], held: list[bytes], place: dict[bytes, int], *, rolled: bool) -> Iterator[str]:
    """A track's newest state must be there, no older one may follow a newer one, and plots are never replaced."""
    newest = {_key(record) or record: place[record] for record in must}
    there: dict[Any, int] = {}
    for record in held:
        name = _key(record) or record
        there[name] = max(there.get(name, -1), place[record])
    lost = [key for key, at in newest.items() if there.get(key, -1) < at]
    if lost:
        yield f"{len(lost)} of {len(newest)} newest states or plots lost"
    if rolled:  # a store that was rolled back knows nothing of the newer state that it once sent
        return
    last: dict[Any, int] = {}
    for record in held:
        key = _key(record)
        if key is None:
            continue
        if last.get(key, -1) > place[record]:
            yield f"an older state of {key[0]} {key[1]} came after a newer one"
            return
        last[key] = place[record]


def _key(record: bytes) -> tuple[str, int] | None:
    decoded = codec.decode(record)
    return (decoded.stream, decoded.number) if isinstance(decoded, Track) else None


def _public(node: SimulatedNode, counts: Counter[str]) -> Iterator[str]:
    """What the people may have is sealed at once and once, in order, though nobody asks for it."""
    outbox = running(node)[1].outbox
    state = outbox.state(PUBLIC, "flash")
    place = {one.record: at for at, one in enumerate(node.offered) if one.audience == PUBLIC}
    batches = list(outbox.batches(PUBLIC, "flash", Cursor()))
    sealed = [entry[sealing.SALT_BYTES :] for batch in batches for entry in sealing.split_payload(batch.payload)]
    must = {one.record for one in node.must if one.audience == PUBLIC and sealing.leaf_hash(one.record) not in node.forgotten}
    counts["sealed for the people"] += len(sealed)
    counts["sealed for the people in a later epoch"] += state.last.epoch > 1
    if len(set(sealed)) != len(sealed) or not set(sealed) <= set(place):
        yield f"public: {len(sealed)} sealed, {len(set(sealed) & set(place))} of them once and offered"
    elif [place[record] for record in sealed] != sorted(place[record] for record in sealed):
        yield "public: out of order"
    if must - set(sealed) or outbox.queue_size(PUBLIC, "flash")[0]:
        yield f"public: {len(must - set(sealed))} of {len(must)} are not sealed"
    if state.last.epoch and state.last.epoch <= node.epochs_restored.get((PUBLIC, "flash"), 0) and not state.epoch_due:
        yield f"public: a restored store goes on in epoch {state.last.epoch}"


def _store(node: SimulatedNode) -> Iterator[str]:
    """Audit a store: the log's chain, and outbox, inbox and cursors against it."""
    audit = Audit(running(node)[1].database)
    running(node)[0].flush(0, force=True)
    audit.run(lambda _batch, _ours: "", lambda *_: True)
    for finding in audit.findings[:3]:
        yield f"{finding.name}: {finding.where}: {finding.detail}"


def _count(way: Way, counts: Counter[str]) -> None:
    exporter, importer, lane, via = way
    out, into = way.out, way.into
    to, of = stream_name(importer.nation, via), stream_name(exporter.nation, via)
    counts["second epoch"] += out.last.epoch > 1
    counts["third epoch"] += out.last.epoch > 2
    counts["superseded"] += out.superseded
    counts["records lost and said so"] += into.lost
    counts["known by content"] += into.duplicates
    counts["recalled before it came"] += sum(1 for _ in importer.recalls.late(running(importer)[1], exporter.nation, lane))
    counts["fork kept"] += len(running(exporter)[1].outbox.forks(to, lane))
    counts["fork kept"] += len(running(importer)[1].inbox.forks(of, lane))
