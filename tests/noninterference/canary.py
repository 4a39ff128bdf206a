"""Canaries: strings and numbers that only withheld data holds, and the scan of every byte that KOR or PUBLIC can come to see.

The strings are hidden sensors' and feeds' names and the words of hidden warnings. The numbers are every value that a hidden
sensor measured: a 64-bit float is as good as a name, since no other computation gives the same 52 bits.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from ni_world import HIDDEN, VISIBLE, Ground, Journal, warnings
from observe import OBSERVERS, Run

from trilat.exercise import provision
from trilat.feeds.registry import open_decoder
from trilat.node import setup
from trilat.node.inputs import FeedInput
from trilat.node.pipeline import Output

# Plain values (0, 1, a whole number, a sigma that every sensor of a kind has) are no canaries.
_PLAIN = 2.0**-20


class Canaries(NamedTuple):
    """What must be nowhere: strings, and numbers as the eight bytes that stand for them on the wire."""

    words: tuple[bytes, ...]
    numbers: frozenset[bytes]


class Place(NamedTuple):
    """Bytes that an observer can come to see, and where they stood."""

    where: str
    raw: bytes


class Watched(Run):
    """A run of which every byte that leaves is kept: before sealing, as sent, and what KOR's own store made of it."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self.places: list[Place] = []

    def taken_in(self, out: Output) -> None:
        """Keep what is released, before it is sealed, and what the public is told."""
        for one in out.released:
            if one.audience in OBSERVERS:
                self.places.append(Place(f"{one.record_type} for {one.audience}, before sealing", one.record))
        self.places += [Place("told to the public", repr(one).encode()) for one in out.public]

    def ending(self) -> None:
        """Keep every row of KOR's store (what it holds, its log, what it refused and why) and of JPN's outboxes for the observers."""
        kor, jpn = (self._net.exchanges[nation] for nation in ("KOR", "JPN"))
        for exchange in (kor, jpn):
            exchange.station.store.commit()
        for table in ("received", "log", "streams", "sent"):
            rows = kor.station.store.database.rows(f"SELECT * FROM {table}")  # noqa: S608 - constants
            self.places += [Place(f"KOR's store, {table}", b"\0".join(_bytes(row))) for row in rows]
        query = (
            "SELECT sent.payload, sent.body, partner FROM sent JOIN streams USING (stream) WHERE side='out' AND partner<>'USA'"
        )
        self.places += [Place(f"JPN's outbox for {to}", p + b"\0" + b) for p, b, to in jpn.station.store.database.rows(query)]
        told = [f"{pair} {refused}" for pair, refused in kor.station.tally.refused.items()]
        links = [repr(link) for link in jpn.links(self._net.now_ns) if link.partner == "KOR"]
        self.places += [Place("refusals and links", text.encode()) for text in (*told, *links)]

    def everything(self) -> list[Place]:
        """Return every byte that left, with where it stood."""
        return [*self.places, *(Place(f"{one.what} to {one.observer}, as sent", one.raw) for one in self.seen)]


def _bytes(row: Iterable[object]) -> Iterator[bytes]:
    for value in row:
        yield value if isinstance(value, bytes) else str(value).encode()


def measured(journal: Journal, sensors: tuple[str, ...]) -> set[float]:
    """Return every number that some sensors said in a run, as their decoders read it."""
    feeds = {provision.feed_of(one) for one in sensors}
    decoders = {source.name: open_decoder(source) for source in journal_sources(journal) if source.name in feeds}
    found: set[float] = set()
    for _, inputs in journal.steps:
        for one in inputs:
            if isinstance(one, FeedInput) and one.source in decoders:
                for batch in decoders[one.source].decode(one.data, one.received_t_ns).batches:
                    for name in batch.columns.dtype.names or ():
                        if batch.columns.dtype[name] == np.float64:
                            found.update(batch.columns[name].tolist())
    return {value for value in found if value == value and abs(value * 1024 - round(value * 1024)) > _PLAIN}  # noqa: PLR0124 - NaN


def journal_sources(journal: Journal):  # noqa: ANN201
    """Return the sources of the run's node."""
    return setup.pipeline_settings(journal.config).sources


def world(ground: Ground, seed: int) -> tuple[Journal, Canaries]:
    """Return a run with hidden sensors, hidden warnings and hidden partners' data, and the canaries in it."""
    rng = random.Random(f"{seed}/canary")
    journal = ground.joined(seed, warnings(ground, seed, rng), rng)
    names = [name.encode() for one in HIDDEN for name in (one, provision.feed_of(one))]
    only_hidden = measured(journal, HIDDEN) - measured(journal, VISIBLE)
    sites = {v for one in journal.config.sensor if one.id in HIDDEN for v in (one.lat_deg, one.lon_deg) if v is not None}
    visible = {v for one in journal.config.sensor if one.id in VISIBLE for v in (one.lat_deg, one.lon_deg) if v is not None}
    numbers = frozenset(struct.pack(">d", value) for value in only_hidden | (sites - visible))
    return journal, Canaries((*names, b"EXERCISE hidden"), numbers)


def sightings(places: Iterable[Place], canaries: Canaries) -> list[str]:
    """Return where a canary was seen: as its bytes, or a number in its MessagePack form or in digits."""
    digits = {repr(struct.unpack(">d", raw)[0]).encode() for raw in canaries.numbers}
    found = []
    for place in places:
        found += [f"{word.decode()!r} in {place.where}" for word in canaries.words if word in place.raw]
        parts = place.raw.split(b"\xcb")  # what MessagePack puts before a 64-bit float; overlaps are looked at, too
        heads = (b"\xcb".join(parts[i : i + 9])[:8] for i in range(1, len(parts)))
        found += [f"{struct.unpack('>d', head)[0]!r} in {place.where}" for head in heads if head in canaries.numbers]
        if place.where in ("refusals and links", "told to the public"):
            found += [f"{text.decode()} in {place.where}" for text in digits if text in place.raw]
    return found
