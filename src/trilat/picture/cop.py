"""The picture of one node: what it holds, stepped by the node each tick, read by the pages. No clock, no socket.

`step` takes what is new; `frames`, `trails`, `details`, `status`, `hello`, `state` and `events` give the messages of
docs/reference/page-protocol.md. Each view is fed only with what its sessions may see.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from trilat.picture import details, frames, layers
from trilat.picture.board import Board, mode_words
from trilat.picture.frames import Array, Block, FrameStore, Trails
from trilat.picture.inputs import (
    AudienceView,
    CombinedTracks,
    CopInput,
    CopSettings,
    FeedLight,
    LinkLight,
    NodeIdentity,
    PartnerRecord,
    View,
)
from trilat.records.columns import DOMAINS, STATUSES, Tracks, empty_tracks
from trilat.records.label import Label
from trilat.records.sensor import Sensor
from trilat.records.track import Area

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
# What records may look back before the node's start and still keep their own times.
LOOK_BACK_MS = 3_600_000
PROTOCOL = 1
# With nothing new, tracks still age and go: the picture is made anew this many times more seldom.
IDLE_FRAMES = 4
RATE_OVER_NS = 5 * NS_PER_S
# The kinds of sensor that stand at a place.
SITED = ("radar3d", "radar2d", "bearing")
WATCH = View()
NO_TRACKS = Tracks(stream="", t_ns=0, columns=empty_tracks(0))


class Subject(NamedTuple):
    """A track as a release decision sees it: label and sensors of what is one's own (of a partner's, all); its row."""

    label: Label
    sensors: tuple[str, ...]
    row: Any = None


class _Shown:
    """One view: its frames, trails and warnings."""

    def __init__(self, view: View, settings: CopSettings, origin_ms: int, board: Board) -> None:
        self.view = view
        self.board = board
        self.store = FrameStore(origin_ms, settings.gone_max)
        self.trails = Trails(settings.trail_period_ms, settings.trail_points_max)


class Cop:
    """The common operational picture of one node.

    sensors: the tracker's sensor table (bit i of a track's sensor set is sensors[i]). label_of: the label of a set of
    sensors. audiences_of: who may have what carries a label and rests on sensors; both come from policy through the node.
    """

    def __init__(
        self,
        identity: NodeIdentity,
        sensors: Sequence[Sensor],
        label_of: Callable[[int], Label],
        audiences_of: Callable[[Label, tuple[str, ...]], Sequence[AudienceView]],
        settings: CopSettings | None = None,
        views: Sequence[View] = (WATCH,),
    ) -> None:
        self.identity = identity
        self.sensors = tuple(sensors)
        self.settings = settings or CopSettings()
        self.now_ns = identity.started_ns
        self.refused: Counter[str] = Counter()
        self._label_of = label_of
        self._audiences_of = audiences_of
        self._labels: dict[int, Label] = {}
        self._origin_ms = max(identity.started_ns // NS_PER_MS - LOOK_BACK_MS, 0)
        self._shown = {view.name: _Shown(view, self.settings, self._origin_ms, self._new_board()) for view in views}
        self._own: Tracks | None = None
        self._combined: CombinedTracks | None = None
        self._names = {"own": layers.Names(identity.nation), "combined": layers.Names("COM")}
        self._partners: dict[tuple[str, str], layers.PartnerLayer] = {}
        self._feeds: tuple[FeedLight, ...] = ()
        self._links: tuple[LinkLight, ...] = ()
        self._counters: Mapping[str, int] = {}
        self._sensors: list[Any] = []
        self._rates: dict[str, tuple[int, int, float]] = {}
        self._last_frame_ns = 0
        self._is_new = False

    def _new_board(self) -> Board:
        return Board(self.identity, self.settings, lambda label: details.label_words(label, self.identity))

    # What goes in ---------------------------------------------------------------------------------------------------

    def step(self, now_ns: int, given: CopInput) -> bool:
        """Take one tick's input; returns True when a new frame was made.

        Frames are `frame_ms` apart at the least when there is something new, IDLE_FRAMES times that when there is nothing.
        """
        self.now_ns = now_ns
        self._own = given.own if given.own is not None else self._own
        self._combined = given.combined if given.combined is not None else self._combined
        for item in given.partners:
            self._take_partner(item)
        self._take_lights(now_ns, given)
        for shown in self._shown.values():
            seen = [item for item in given.warnings if item.record.label.level <= shown.view.level_max]
            shown.board.step(now_ns, seen, given.answers, given.notices)
        self._is_new |= given.combined is not None or given.own is not None or bool(given.partners)
        frame_ns = self.settings.frame_ms * NS_PER_MS
        if now_ns < self._last_frame_ns + (frame_ns if self._is_new else IDLE_FRAMES * frame_ns):
            return False
        self._last_frame_ns, self._is_new = now_ns, False
        self._render(now_ns)
        return True

    def _take_partner(self, item: PartnerRecord) -> None:
        label = item.record.label
        if item.origin not in self.identity.partners or label.originator != item.origin:
            self.refused["origin-mismatch"] += 1
        elif label.mode != self.identity.mode:
            self.refused["mode-mismatch"] += 1
        elif not self._partner_layer(item).take(item):
            self.refused["tracks-full"] += 1

    def _partner_layer(self, item: PartnerRecord) -> layers.PartnerLayer:
        key = (item.origin, f"{item.record.stream}:area" if isinstance(item.record, Area) else item.record.stream)
        layer = self._partners.get(key)
        if layer is None:
            bit = 1 << self.identity.nations.index(item.origin)
            layer = self._partners[key] = layers.PartnerLayer(item.origin, bit, self._origin_ms, self.settings.tracks_max)
        return layer

    def _take_lights(self, now_ns: int, given: CopInput) -> None:
        if given.feeds is not None:
            before = {light.name: light.state for light in self._feeds}
            for feed in given.feeds:
                self._note_light(now_ns, f"Feed {feed.name}", before.get(feed.name), feed.state)
            self._feeds = tuple(self._with_rate(now_ns, feed) for feed in given.feeds)
        if given.links is not None:
            was = {(light.nation, light.lane): light.state for light in self._links}
            for link in given.links:
                self._note_light(now_ns, f"Link {link.nation} {link.lane}", was.get((link.nation, link.lane)), link.state)
            self._links = tuple(given.links)
        if given.sensors is not None:
            self._sensors = msgspec.to_builtins(given.sensors)
        if given.counters is not None:
            self._counters = dict(given.counters)

    def _with_rate(self, now_ns: int, feed: FeedLight) -> FeedLight:
        """Give a feed without a rate the one of its count over the last seconds."""
        t_ns, reports, rate = self._rates.get(feed.name, (now_ns, feed.reports, 0.0))
        if feed.name not in self._rates or now_ns - t_ns >= RATE_OVER_NS:
            rate = max(feed.reports - reports, 0) * NS_PER_S / max(now_ns - t_ns, RATE_OVER_NS)
            self._rates[feed.name] = (now_ns, feed.reports, rate)
        return feed if feed.reports_per_s else msgspec.structs.replace(feed, reports_per_s=rate)

    def _note_light(self, now_ns: int, what: str, before: str | None, state: str) -> None:
        if before is not None and before != state:
            for shown in self._shown.values():
                shown.board.note(now_ns, "info" if state == "up" else "caution", f"{what}: {before} -> {state}")

    # What is shown --------------------------------------------------------------------------------------------------

    def _render(self, now_ns: int) -> None:
        for layer in self._partners.values():
            layer.expire(now_ns, self._drop_ns)
        blocks = [block for block in self._blocks() if len(block.numbers)]
        for shown in self._shown.values():
            shown.store.update(now_ns // NS_PER_MS, [_below(block, shown.view.level_max) for block in blocks])
            shown.trails.sample(now_ns // NS_PER_MS, shown.store.records)

    def _drop_ns(self, domain: str) -> int:
        return self.settings.stale_s[domain] * self.settings.drop_factor * NS_PER_S

    def _blocks(self) -> list[Block]:
        blocks = [layer.block(f"{origin}/{stream}") for (origin, stream), layer in self._partners.items()]
        if self._own is not None:
            blocks.append(self._own_block(self._own))
        if self._combined is not None:
            blocks.append(self._combined_block(self._combined))
        return blocks

    def _own_block(self, tracks: Tracks) -> Block:
        columns = self._bounded(tracks.columns)
        bit = 1 << self.identity.nations.index(self.identity.nation)
        block = layers.own_block("own", columns, self._names["own"], bit, layers.OWN, self._origin_ms)
        block.records["level"] = layers.levels_of(columns["sensors"], lambda bits: self._label(bits).level)
        return block

    def _combined_block(self, combined: CombinedTracks) -> Block:
        keep = combined.tracks.columns["status"] != STATUSES.index("deleted")
        columns = combined.tracks.columns[keep]
        names = self._names["combined"]
        block = layers.own_block("combined", columns, names, combined.nations[keep], layers.COMBINED, self._origin_ms)
        levels = np.array([label.level for label in combined.labels] or [0], np.uint8)
        block.records["level"] = levels[combined.label_index[keep]]
        return block

    def _bounded(self, columns: Array) -> Array:
        columns = _without_deleted(columns)
        if len(columns) > self.settings.tracks_max:
            self.refused["tracks-full"] += len(columns) - self.settings.tracks_max
        return columns[: self.settings.tracks_max]

    def _label(self, bits: int) -> Label:
        label = self._labels.get(bits)
        if label is None:
            label = self._labels[bits] = self._label_of(bits)
        return label

    # What the pages read --------------------------------------------------------------------------------------------

    def sequence(self, view: str) -> int:
        """Return the sequence number of the view's newest frame."""
        return self._shown[view].store.sequence

    def frames(self, view: str, since: int | None) -> bytes:
        """Return the binary frame that brings a page of this view from sequence `since` (None: from nothing) to now."""
        return self._shown[view].store.frame(since)

    def trails(self, view: str) -> bytes:
        """Return the binary frame with the past places of the view's tracks."""
        shown = self._shown[view]
        return shown.store.trails(shown.trails.ids, shown.trails.lat_e7, shown.trails.lon_e7, shown.trails.lengths)

    def hello(self, view: str) -> dict[str, Any]:
        """Return what a page has to know once: who, which tables the codes index, where to look, how old is stale."""
        me = self.identity
        return {
            "type": "hello",
            "protocol": PROTOCOL,
            "epoch": me.started_ns // NS_PER_MS,
            "nation": me.nation,
            "node": me.node,
            "mode": {"kind": me.mode.kind, "id": me.mode.id, "words": mode_words(me.mode)},
            "nations": me.nations,
            "partners": me.partners,
            "level_names": me.level_names,
            "center": {"lat_deg": me.lat_deg, "lon_deg": me.lon_deg, "zoom": me.zoom},
            "places": me.places,
            "sites": [_site(sensor) for sensor in self.sensors if sensor.kind in SITED],
            "stale_s": self.settings.stale_s,
            "frame_ms": self.settings.frame_ms,
            "domains": DOMAINS,
            "statuses": STATUSES,
            "affiliations": frames.AFFILIATIONS,
            "layers": frames.LAYERS,
            "view": view,
        }

    def status(self, view: str) -> dict[str, Any]:
        """Return what changes slowly: banner, lights with ages, counters. The newest replaces the older ones."""
        banner, level = details.banner_words(self._labels_shown(view), self.identity)
        refused = {**self.refused, **{f"warning:{reason}": n for reason, n in self._shown[view].board.refused.items()}}
        return {
            "type": "status",
            "t_ms": self.now_ns // NS_PER_MS,
            "banner": banner,
            "level": level,
            "feeds": [self._light(light) for light in self._feeds],
            "links": [self._light(light) for light in self._links],
            "sensors": self._sensors,
            "counters": {"tracks": len(self._shown[view].store.records), **self._counters},
            "refused": refused,
        }

    def _light(self, light: FeedLight | LinkLight) -> dict[str, Any]:
        shown: dict[str, Any] = msgspec.to_builtins(light)
        for name in [name for name in shown if name.endswith("_ns")]:
            t_ns = shown.pop(name)
            shown[name[:-3] + "_age_s"] = None if t_ns is None else max(0.0, round((self.now_ns - t_ns) / NS_PER_S, 1))
        return shown

    def _labels_shown(self, view: str) -> list[Label]:
        level_max = self._shown[view].view.level_max
        labels = self._shown[view].board.open_labels(self.now_ns)
        if self._own is not None:
            labels += [self._label(int(bits)) for bits in np.unique(self._own.columns["sensors"])]
        for layer in self._partners.values():
            labels += layer.labels()
        if self._combined is not None:
            labels += self._combined.labels
        return [label for label in labels if label.level <= level_max]

    def details(self, view: str, track_id: int) -> dict[str, Any] | None:
        """Return all that is known of one track of the view, or None when the view holds no such track."""
        found = self._shown[view].store.where(track_id)
        if found is None:
            return None
        told = self._details_of(*found)
        return None if told is None else {"type": "details", "id": track_id, **told}

    def _details_of(self, key: str, number: int) -> dict[str, Any] | None:
        if key in ("own", "combined"):
            return self._column_details(key, number)
        origin, stream = key.split("/", 1)
        held = self._partners[origin, stream].latest.get(number)
        if held is None:
            return None
        record, lane = held
        release = details.release_details(record.label, self.identity, self._audiences_of(record.label, record.pedigree.sensors))
        return {"layer": "partner", **details.partner_details(record, origin, lane), **release}

    def _column_details(self, key: str, number: int) -> dict[str, Any] | None:
        found = self._row(key, number)
        if found is None:
            return None
        row, label = found
        told = details.own_details(row, self.sensors)
        mine = self._subject(row, label)
        audiences = self._audiences_of(mine.label, mine.sensors) if mine.sensors else ()
        release = details.release_details(label, self.identity, audiences)
        return {"layer": key, "origin": self.identity.nation, "stream": self._columns(key).stream, **told, **release}

    def _columns(self, key: str) -> Tracks:
        tracks = self._own if key == "own" else None if self._combined is None else self._combined.tracks
        return NO_TRACKS if tracks is None else tracks

    def _row(self, key: str, number: int) -> tuple[Any, Label] | None:
        """Return one row of the own or the combined tracks and its label."""
        columns = self._columns(key).columns
        at = int(np.searchsorted(columns["number"], number))
        if at >= len(columns) or columns["number"][at] != number:
            return None
        return columns[at], self._label(int(columns[at]["sensors"])) if key == "own" else self._combined_label(at)

    def _combined_label(self, at: int) -> Label:
        if self._combined is None:
            raise ValueError("a combined track without combined tracks")
        return self._combined.labels[int(self._combined.label_index[at])]

    def level_max(self, view: str) -> int:
        """Return the highest level that a view shows."""
        return self._shown[view].view.level_max

    def subject(self, view: str, track_id: int) -> Subject | None:
        """Return what a decision on a track of the view is made from; None when the view holds no such track."""
        found = self._shown[view].store.where(track_id)
        if found is None:
            return None
        key, number = found
        if key not in ("own", "combined"):
            origin, stream = key.split("/", 1)
            held = self._partners[origin, stream].latest.get(number)
            return None if held is None else Subject(held[0].label, held[0].pedigree.sensors)
        at = self._row(key, number)
        return None if at is None else self._subject(*at)

    def _subject(self, row: Any, label: Label) -> Subject:
        """Return what may be released of a row: what the own sensors say of it, under their label; nothing else ever is."""
        bits = int(row["sensors"])
        mine = tuple(sensor.id for bit, sensor in enumerate(self.sensors[:64]) if bits >> bit & 1)
        return Subject(self._label(bits) if mine else label, mine, row)

    def state(self, view: str) -> bytes:
        """Return every warning and the end of the watch log as one JSON message, as of the newest event."""
        return self._shown[view].board.state(self.now_ns)

    def event(self, view: str) -> int:
        """Return the number of the view's newest event."""
        return self._shown[view].board.event

    def events(self, view: str, since: int) -> list[tuple[int, bytes]] | None:
        """Return the numbered JSON events after `since`; None when the page needs the whole state instead."""
        return self._shown[view].board.since(since)


def _site(sensor: Sensor) -> dict[str, Any]:
    """Return what the map shows of one of the own nation's sensors: where it stands and how far it reaches."""
    place = {"lat_deg": sensor.lat_deg, "lon_deg": sensor.lon_deg}
    return {"id": sensor.id, "kind": sensor.kind, "range_m": sensor.range_max_m, **place}


def _without_deleted(columns: Array) -> Array:
    keep = columns["status"] != STATUSES.index("deleted")
    return columns if keep.all() else columns[keep]


def _below(block: Block, level_max: int) -> Block:
    """Return the part of a block at or below a level."""
    keep = block.records["level"] <= level_max
    if keep.all():
        return block
    return Block(key=block.key, numbers=block.numbers[keep], records=block.records[keep], names=block.names[keep])
