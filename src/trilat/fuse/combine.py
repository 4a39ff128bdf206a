"""The combined picture: one nation's tracks and its partners' as one, a function of the set of items (DESIGN section 5).

Items are kept by epoch (a fixed grid of time). What comes late goes into its epoch and the epochs from there on are decided
again from the snapshot before, so that order, repetition and batching of what came change nothing inside the lag.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from trilat.fuse.checkpoint import FIELDS, pack, unpack
from trilat.fuse.correlate import (
    ITEM_DTYPE,
    Correlated,
    CorrelationSettings,
    Group,
    Key,
    Layout,
    correlate,
    describe,
    keep_newest,
    lay_out,
    newest,
    nothing,
    rows_of,
)
from trilat.records.columns import DOMAINS, STATUSES, TRACK_DTYPE, Tracks, as_bytes, empty_tracks, joined, picked
from trilat.records.label import Label
from trilat.records.track import Track

SLOTS_MAX_DEFAULT = 30_000
_DELETED = STATUSES.index("deleted")
# By domain (records.columns.DOMAINS): growth of a state not yet renewed (acceleration noise, m2/s3), age at which a member no
# longer counts. A ship at anchor speaks every three minutes (ITU-R M.1371-5).
NOISE_M2_S3 = np.array([10.0, 10.0, 0.02, 300.0, 0.1])
DROP_S = np.array([30.0, 30.0, 400.0, 15.0, 900.0])
_TRACK_FIRST = np.dtype({"names": ["track"], "formats": [f"V{TRACK_DTYPE.itemsize}"], "itemsize": ITEM_DTYPE.itemsize})
_FALLING = np.array([False, False, False, True, True])


class PartnerItem(NamedTuple):
    """A partner's track with its verified origin: exporter nation, and its place in the lane (0, 0 for what was made here)."""

    nation: str
    record: Track
    epoch: int = 0
    sequence: int = 0


class CombinerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How tracks of several nations become one picture.

    strangers: nations whose tracks may hold anything, ours too: always covariance intersection; rule: of the others. epoch_s: how
    often correlation is decided; settle_s: how long after, when what partners say of it is there. lag_s: how late an item may be
    and still count as in time; future_s: how far ahead of now. tracks_max: of all nations; the newest are refused beyond it.
    """

    rule: Literal["inverse", "ci"] = "inverse"
    strangers: tuple[str, ...] = ()
    epoch_s: Annotated[float, Meta(gt=0.0, le=10.0)] = 1.0
    settle_s: Annotated[float, Meta(ge=0.0, le=2.0)] = 0.25
    lag_s: Annotated[float, Meta(ge=5.0, le=600.0)] = 30.0
    future_s: Annotated[float, Meta(ge=0.0, le=60.0)] = 2.0
    tracks_max: Annotated[int, Meta(ge=1, le=1_000_000)] = SLOTS_MAX_DEFAULT
    correlation: CorrelationSettings = CorrelationSettings()


class Combined(NamedTuple):
    """The combined picture at one time.

    tracks: one row per target, ordered by combined number, all at now; `sensors` is the bit set of the *own* sensors behind it.
    nations (n,): bit set over `nation_names`. evidence (n,): index into `evidence_sets`; each set holds what the label has to be
    joined of: partners' labels, and bit sets (int) of own sensors. members: the keys (nation, stream, number) behind each row.
    """

    tracks: Tracks
    nation_names: tuple[str, ...]
    nations: NDArray[np.uint64]
    evidence: NDArray[np.int64]
    evidence_sets: tuple[tuple[Label | int, ...], ...]
    members: tuple[tuple[Key, ...], ...]


class Combiner:
    """One node's combined picture. `refused` counts partners' items that were not used, by reason."""

    def __init__(self, nation: str, partners: Sequence[str] = (), settings: CombinerSettings | None = None) -> None:
        from trilat.kernels import frames, fusion  # noqa: PLC0415 - numba loads here, when a combiner is made

        self.nation, self.settings = nation, settings or CombinerSettings()
        self.nation_names = tuple(sorted({nation, *partners}))
        self.refused: Counter[str] = Counter()
        self._fusion, self._earth = fusion, frames.earth("wgs84")
        self._epoch_ns, self._settle_ns = round(self.settings.epoch_s * 1e9), round(self.settings.settle_s * 1e9)
        self._lag = max(round(self.settings.lag_s / self.settings.epoch_s), 1)
        self._slots: dict[Key, int] = {}
        self._free: list[int] = []
        self._order: tuple[list[Key], Any, Any] | None = None
        self._latest = np.zeros(64, ITEM_DTYPE)
        self._base = np.zeros(64, ITEM_DTYPE)
        self._buckets: dict[int, Any] = {}
        self._current: dict[int, Any] = {}
        self._known: dict[int, Correlated] = {}
        self._done: int | None = None
        self._decided: int | None = None
        self._late: int | None = None  # the first decided epoch that items changed since
        self._own_stream_name = ""
        self._own: Any = np.zeros(0, ITEM_DTYPE)
        self._own_ns: dict[int, int] = {}
        self._labels: list[Label] = []
        self._label_index: dict[Label, int] = {}
        self._shown: frozenset[int] = frozenset()
        self._slots_of: tuple[tuple[Group, ...], Any] = ((), np.zeros(0, np.int64))
        self._layout: Layout | None = None
        self._told: tuple[Any, tuple[Any, tuple[tuple[Label | int, ...], ...]]] | None = None
        self._intersected = frozenset(self.nation_names if self.settings.rule == "ci" else self.settings.strangers)

    def step(self, now_ns: int, national: Tracks, partners: Sequence[PartnerItem] = ()) -> Combined:
        """Take the national tracks at now_ns and what partners sent since the last step; return the combined picture.

        Call it at every step with the same tracker's tracks, with or without new items. An item that was taken before, or is
        older than what came after it, changes nothing.
        """
        before, self._own = self._own, self._own_rows(national)
        dirty = self._take(now_ns, partners)
        last = now_ns // self._epoch_ns
        # With nothing known before, or too long ago, begin at the oldest epoch whose items could still be here.
        first = last - self._lag if self._done is None else max(self._done + 1, last - self._lag)
        for epoch in range(first, last + 1):
            current = epoch * self._epoch_ns >= now_ns or (self._done is None and epoch == last)
            rows = self._own if current else before
            self._own_ns[epoch] = int(rows["t_ns"][0]) if len(rows) else -1
            self._put(epoch, rows)
        self._done = last
        again = first if self._decided is None else self._decided + 1
        settled = last if self._decided is None else (now_ns - self._settle_ns) // self._epoch_ns
        self._late = min(e for e in (self._late, dirty, again) if e is not None)
        if settled >= again:  # once an epoch, and with it again what late items changed
            self._run(max(self._late, last - self._lag), settled)
            self._late = None
        self._forget(now_ns, last)
        return self._show(now_ns)

    def checkpoint(self) -> bytes:
        """Return what a combiner of the same nation and settings needs to go on as this one."""
        return pack({name: getattr(self, f"_{name}") for name in FIELDS}, self.nation)

    def restore(self, checkpoint: bytes) -> None:
        """Take over a checkpoint. Raises ValueError when it is another nation's or of another format."""
        for name, value in unpack(checkpoint, self.nation).items():
            setattr(self, f"_{name}", value)
        self._label_index = {label: k for k, label in enumerate(self._labels)}
        self._slots_of, self._current, self._order = ((), np.zeros(0, np.int64)), {}, None
        self._layout = self._told = None

    def _own_rows(self, national: Tracks) -> Any:
        """Return the confirmed and coasting national tracks as items."""
        columns = national.columns
        shown = picked(columns, (columns["status"] > 0) & (columns["status"] < _DELETED))
        rows = np.zeros(len(shown), ITEM_DTYPE)
        rows.view(_TRACK_FIRST)["track"] = as_bytes(shown)
        rows["label"] = -1
        if np.array_equal(shown["number"], self._own["number"]) and self._own_stream_name == national.stream:
            rows["slot"] = self._own["slot"]
            return rows
        self._own_stream_name = national.stream
        rows["slot"] = [self._slot((self.nation, national.stream, number)) for number in shown["number"].tolist()]
        return picked(rows, rows["slot"] >= 0)

    def _take(self, now_ns: int, partners: Sequence[PartnerItem]) -> int | None:
        """Put partners' items into their epochs; return the first epoch that changed, or None."""
        usable = []
        ahead_ns = now_ns + round(self.settings.future_s * 1e9)
        for item in partners:
            reason = self._refusal(item, now_ns, ahead_ns)
            if reason:
                self.refused[reason] += 1
            else:
                usable.append(item)
        if not usable:
            return None
        rows, bad = rows_of([item.record for item in usable])
        rows["epoch"] = [item.epoch for item in usable]
        rows["sequence"] = [item.sequence for item in usable]
        rows["label"] = [self._label(item.record.label) for item in usable]
        for k, item in enumerate(usable):
            rows["slot"][k] = -1 if bad[k] else self._slot((item.nation, item.record.stream, item.record.number))
        self.refused.update({"covariance-invalid": int(bad.sum()), "tracks-full": int((rows["slot"][~bad] < 0).sum())})
        rows = picked(rows, rows["slot"] >= 0)
        keep_newest(self._latest, rows)
        epochs = -(-rows["t_ns"] // self._epoch_ns)  # an item counts from the first epoch at or after its time
        changed = [epoch for epoch in np.unique(epochs).tolist() if self._put(epoch, picked(rows, epochs == epoch))]
        return min(changed, default=None)

    def _refusal(self, item: PartnerItem, now_ns: int, ahead_ns: int) -> str:
        """Return why an item is not used, empty when it is."""
        record = item.record
        if self.nation in (item.nation, record.pedigree.nation):
            return "own-data-returned"
        if item.nation not in self.nation_names or record.pedigree.nation != item.nation:
            return "origin-not-partner"
        if record.t_ns > ahead_ns:
            return "time-future"
        if now_ns - record.t_ns > DROP_S[DOMAINS.index(record.domain)] * 1e9 and record.status != "deleted":
            return "report-late"
        return ""

    def _slot(self, key: Key) -> int:
        """Return a track's lasting index, a new one when it is met first; -1 when there is no room."""
        slot = self._slots.get(key)
        if slot is None:
            if len(self._slots) >= self.settings.tracks_max:
                return -1
            slot = self._slots[key] = self._free.pop() if self._free else len(self._slots)
            self._order = None
            if slot >= len(self._latest):
                more = np.zeros(len(self._latest), ITEM_DTYPE)
                self._latest, self._base = np.concatenate([self._latest, more]), np.concatenate([self._base, more])
                self._current = {}
        return slot

    def _label(self, label: Label) -> int:
        """Return a label's index."""
        index = self._label_index.get(label)
        if index is None:
            index = self._label_index[label] = len(self._labels)
            self._labels.append(label)
        return index

    def _put(self, epoch: int, rows: Any) -> bool:
        """Add items to an epoch, the newest of each track; those before the lag go to the base. Tells whether it changed."""
        if not len(rows):
            return False
        if self._done is not None and epoch <= self._done - self._lag:
            return keep_newest(self._base, rows)
        held = self._buckets.get(epoch)
        both = newest(rows if held is None else joined([held, rows]))
        if held is not None and len(held) == len(both) and held.tobytes() == both.tobytes():
            return False
        self._buckets[epoch] = both
        return True

    def _run(self, first: int, last: int) -> None:
        """Decide the epochs from first to last."""
        for epoch in [e for e in self._current if e >= first]:
            del self._current[epoch]
        for epoch in range(first, last + 1):
            self._known[epoch] = self._decide(epoch, self._known.get(epoch - 1))
        self._decided = last

    def _at(self, epoch: int) -> Any:
        """Return the items that stand at an epoch, one per slot."""
        found = self._current.get(epoch)
        if found is None:
            earlier = max((e for e in self._current if e < epoch), default=None)
            found = self._base.copy() if earlier is None else self._current[earlier].copy()
            for e in sorted(self._buckets):
                if (earlier is None or e > earlier) and e <= epoch:
                    keep_newest(found, self._buckets[e])
            self._current[epoch] = found
        return found

    def _decide(self, epoch: int, before: Correlated | None) -> Correlated:
        """Correlate what stands at an epoch."""
        t_ns = epoch * self._epoch_ns
        found = self._at(epoch)
        keys, slots, stream = self._ordered()
        rows = picked(found, slots)
        own = stream == self._own_stream
        fresh = (t_ns - rows["t_ns"]) <= DROP_S[rows["domain"]] * 1e9
        here = np.where(own, rows["t_ns"] == self._own_ns.get(epoch, -1), fresh & (rows["status"] != _DELETED))
        here &= rows["t_ns"] > 0
        chosen = np.flatnonzero(here)
        rows = picked(rows, chosen)
        self._move(rows, t_ns)
        known = before or nothing(self.settings.correlation)
        return correlate(known, t_ns, rows, [keys[k] for k in chosen.tolist()], stream[chosen], self.settings.correlation)

    def _ordered(self) -> tuple[list[Key], Any, Any]:
        """Return every known key in order, their slots, and the rank of their streams."""
        if self._order is None:
            keys = sorted(self._slots)
            streams = {name: k for k, name in enumerate(sorted({key[:2] for key in keys}))}
            own = {streams[name] for name in streams if name[0] == self.nation}
            self._own_stream = min(own, default=-1)
            slots = np.array([self._slots[key] for key in keys], np.int64)
            self._order = (keys, slots, np.array([streams[key[:2]] for key in keys], np.int64))
        return self._order

    def _move(self, rows: Any, to_ns: int) -> None:
        """Move items to one time, in place."""
        mean = np.concatenate([rows["position_m"], rows["velocity_m_s"]], axis=1)
        covariance = np.ascontiguousarray(rows["covariance"])
        domain = rows["domain"]
        t_ns = np.ascontiguousarray(rows["t_ns"])
        self._fusion.predict_all(self._earth, _FALLING[domain], NOISE_M2_S3[domain], t_ns, to_ns, mean, covariance)
        rows["position_m"], rows["velocity_m_s"], rows["covariance"] = mean[:, :3], mean[:, 3:], covariance

    def _forget(self, now_ns: int, last: int) -> None:
        """Fold what is older than the lag into the base, and let go of tracks that ended long ago."""
        for epoch in sorted(e for e in self._buckets if e <= last - self._lag):
            keep_newest(self._base, self._buckets.pop(epoch))
        self._known = {e: known for e, known in self._known.items() if e >= last - self._lag - 1}
        self._own_ns = {e: t_ns for e, t_ns in self._own_ns.items() if e >= last - self._lag - 1}
        self._current = {e: found for e, found in self._current.items() if e >= last - 2}
        keep_newest(self._latest, self._own)
        if last % self._lag == 0:
            self._free_slots(now_ns)

    def _free_slots(self, now_ns: int) -> None:
        """Give back the slots of tracks without an item in the lag and too old to count."""
        latest = self._latest
        oldest_ns = now_ns - (DROP_S[latest["domain"]] * 1e9).astype(np.int64) - 2 * self._lag * self._epoch_ns
        gone = sorted(key for key, slot in self._slots.items() if latest["t_ns"][slot] < oldest_ns[slot])
        for key in gone:
            slot = self._slots.pop(key)
            self._free.append(slot)
            for rows in (self._latest, self._base, *self._current.values()):
                rows[slot : slot + 1] = np.zeros(1, ITEM_DTYPE)
        if gone:
            self._order = self._layout = None
        used = {int(k) for k in self._latest["label"]} | {int(k) for rows in self._buckets.values() for k in rows["label"]}
        if len(self._labels) > 2 * len(used) + 1024:
            self._labels_again()

    def _labels_again(self) -> None:
        """Number the labels in use anew."""
        tables = [self._latest, self._base, *self._buckets.values(), *self._current.values()]
        used = sorted({int(k) for rows in tables for k in np.unique(rows["label"]) if k >= 0})
        new = np.full(len(self._labels) + 1, -1, np.int64)
        new[used] = np.arange(len(used))
        self._labels = [self._labels[k] for k in used]
        self._label_index = {label: k for k, label in enumerate(self._labels)}
        for rows in tables:
            rows["label"] = new[rows["label"]]

    # The picture --------------------------------------------------------------------------------------------------------

    def _show(self, now_ns: int) -> Combined:
        """Return the groups of the last epoch with every member's newest state, fused at now_ns."""
        rows, layout = self._members(now_ns)
        index, sets = self._evidence(rows, layout)
        self._move(rows, now_ns)
        n = len(layout.numbers)
        out = empty_tracks(n)
        out["number"], out["born_t_ns"], out["t_ns"] = layout.numbers, layout.born_ns, now_ns
        mean = np.concatenate([rows["position_m"], rows["velocity_m_s"]], axis=1)
        fused, covariance = np.empty((n, 6)), np.empty((n, 6, 6))
        self._fusion.fuse_groups(
            layout.start,
            mean,
            np.ascontiguousarray(rows["covariance"]),
            np.where(layout.intersect, self._fusion.RULE_CI, self._fusion.RULE_INVERSE),
            fused,
            covariance,
        )
        out["position_m"], out["velocity_m_s"], out["covariance"] = fused[:, :3], fused[:, 3:], covariance
        describe(out, rows, layout.start)
        shown = frozenset(layout.numbers.tolist())
        deleted, self._shown = tuple(sorted(self._shown - shown)), shown
        tracks = Tracks(stream=f"{self.nation}/combined", t_ns=now_ns, columns=out, deleted=deleted)
        return Combined(tracks, self.nation_names, layout.nations, index, sets, layout.members)

    def _members(self, now_ns: int) -> tuple[Any, Layout]:
        """Return the live members of all groups, group by group, and how they lie."""
        groups = self._known[self._decided].groups if self._decided is not None else ()
        if self._slots_of[0] is not groups:
            self._slots_of = (groups, np.array([slot for group in groups for slot in group.members], np.int64))
        slots = self._slots_of[1]
        rows = picked(self._latest, slots)
        own_now = np.zeros(len(self._latest), bool)
        own_now[self._own["slot"]] = True
        fresh = (now_ns - rows["t_ns"]) * 1e-9 <= DROP_S[rows["domain"]]
        live = np.where(rows["label"] < 0, own_now[slots], fresh & (rows["status"] != _DELETED))
        if self._layout is None or self._layout.groups is not groups or not np.array_equal(live, self._layout.live):
            keys, known, _ = self._ordered()
            names = dict(zip(known.tolist(), keys, strict=True))
            members = [names[slot] for slot in slots[live].tolist()]
            self._layout = lay_out(groups, live, members, self.nation_names, self._intersected)
        return picked(rows, live) if not live.all() else rows, self._layout

    def _evidence(self, rows: Any, layout: Layout) -> tuple[Any, tuple[tuple[Label | int, ...], ...]]:
        """Return an index per row into the sets of what its label is joined of, and those sets."""
        told = (layout, rows["label"].tobytes(), np.where(rows["label"] < 0, rows["sensors"], 0).tobytes())
        if self._told is not None and self._told[0][0] is layout and self._told[0][1:] == told[1:]:
            return self._told[1]
        codes = [c if c >= 0 else -1 - bits for c, bits in zip(rows["label"].tolist(), rows["sensors"].tolist(), strict=True)]
        sets: dict[tuple[int, ...], int] = {}
        index = [sets.setdefault(tuple(dict.fromkeys(codes[a:b])), len(sets)) for a, b in pairwise(layout.start.tolist())]
        held = tuple(tuple(self._labels[c] if c >= 0 else -1 - c for c in one) for one in sets)
        answer = (np.array(index, np.int64), held)
        self._told = (told, answer)
        return answer
