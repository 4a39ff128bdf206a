"""Judges of partners: whether what a partner says fits beside the own tracks, at every tier, and what is left out if not.

Clocks and minutes that come again are judged by what is said alone; offsets and ghosts by the own tracks, see `joint/beside.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from trilat.fuse.combine import PartnerItem
from trilat.fuse.correlate import ITEM_DTYPE, rows_of
from trilat.fuse.health import Health, HealthSettings, Verdict, whitened
from trilat.joint.aside import Aside
from trilat.joint.beside import (
    BIAS_M,
    SETTLE_NS,
    Figures,
    Offsets,
    OwnTracks,
    Votes,
    Witnesses,
    belonging,
    comparable,
    grown,
    moved_to,
    places_of,
    seen_by_others,
)
from trilat.records.columns import Reports, joined
from trilat.records.sensor import Sensor
from trilat.records.track import Track
from trilat.track import TrackerSettings

JUDGE_NS, TRACKS_NS = 1_000_000_000, 2_000_000_000  # how often sources are judged, and partners' tracks
NEVER = float("inf")
FRESH_NS = 15_000_000_000  # a partner's track without news for longer is not held against him
LATE_NS = 30_000_000_000  # an item older than this when it comes is history
AHEAD_NS = 3_000_000_000  # nor is one that comes before its time compared
TRACKS_MAX, JUDGED_MAX = 30_000, 2_000  # of one partner: held, and compared in one second
_UPPER = np.triu_indices(6)
VAGUE_M2 = 1e9  # who knows no better where a target is says nothing that could be wrong
FORGET_NS = 600_000_000_000
RENAMED_NS = 600_000_000_000  # so long after a source in quarantine was heard last, a new one of its nation may be the same
NEES_MAX = 100.0  # of tracks that nobody takes a bias off: only who is ten times as wrong as he says is left out for it
# Links may be late at will, and clocks stand on UTC: see the explanation page for where the figures are from.
PARTNERS = HealthSettings(late_s_max=NEVER, usual_s=0.0, ghosts_max=0.3, bias_max=NEVER)
TRACKS = HealthSettings(late_s_max=NEVER, usual_s=0.0, ghosts_max=0.3, bias_max=NEVER, nis_max=NEES_MAX)


class _Said(NamedTuple):
    """A batch as it came and as it is used, with rows where it is of tracklets."""

    now_ns: int
    came: tuple[Any, Any]
    used: tuple[Any, Any]


class SourceJudge:
    """Judges the sources of partners' plots, fixes and tracklets. `health.quarantined` names those to leave out."""

    def __init__(self, settings: TrackerSettings, own: Sequence[Sensor], table: Sequence[Sensor]) -> None:
        self.health = Health(PARTNERS)
        self.verdicts: dict[str, Verdict] = {}
        self.witnesses, self.votes = Witnesses(own), Votes(PARTNERS.apart_max, PARTNERS.drift_max)
        self._spare = table[-1]
        self._aside = Aside(settings, table)
        self._own = OwnTracks()
        self._waiting: dict[str, list[_Said]] = {}
        self._heard_ns: dict[str, int] = {}
        self._raw: dict[str, Offsets] = {}
        self._left: dict[str, Offsets] = {}

    def heard(self, now_ns: int, own: Sequence[Reports]) -> None:
        """Take note of which own sensors report."""
        for batch in own:
            if len(batch.columns):
                self.witnesses.heard(int(batch.columns["sensor"][0]), now_ns, batch.columns)

    def said(self, now_ns: int, batch: Reports, came: tuple[Any, Any], rows: Any) -> bool:
        """Take a partner's batch as it is to be used, with its rows, and as it came; tell whether it may be used."""
        used = (batch.columns, rows)
        if batch.source not in self._heard_ns:
            self._suspect(now_ns, batch.source)
        self._heard_ns[batch.source] = now_ns
        self._waiting.setdefault(batch.source, []).append(_Said(now_ns, came, used))
        if batch.source not in self.health.quarantined:
            return True
        self._aside.take(batch.source, batch, rows)
        return False

    def forget(self, name: str) -> None:
        """Forget a source that is no more."""
        self.health.forget(name)
        for held in (self._waiting, self._heard_ns, self._raw, self._left):
            held.pop(name, None)

    def _suspect(self, now_ns: int, name: str) -> None:
        """Let a new source of a nation that has one in quarantine begin there: a new name is no clean sheet."""
        for other in sorted(self.health.quarantined):
            lately = now_ns - self._heard_ns[other] <= RENAMED_NS
            if lately and name.partition(":")[0] == other.partition(":")[0]:
                self.health.hold(name, now_ns, other)
                return

    def step(
        self, now_ns: int, national: Any, tracks: Any, grew: Mapping[str, Any], bits: Mapping[str, tuple[int, int]], moved_ns: int
    ) -> None:
        """Judge, once a second: national and the core's tracks (TRACK_DTYPE), growth of the tracker's sums by source.

        bits: by source, its own and those of its whole nation; moved_ns: when what is taken off own radars last changed by much.
        """
        self._own.take(now_ns, national)
        waiting, self._waiting = self._waiting, {}
        for name, said in sorted(waiting.items()):
            self.health.reports(name, said[-1].now_ns, joined([one.came[0] for one in said]))
            self._compare(now_ns, name, said)
        figures: dict[str, Figures] = {}
        for name, sums in grew.items():
            plots, components, squares = sums[:3]
            self.health.sums(name, now_ns, round(plots), float(components), float(squares), sums[3:6])
            if name in self._raw:
                drift = self._raw[name].figures(now_ns, moved_ns + SETTLE_NS).drift
                figures[name] = self._left[name].figures(now_ns)._replace(drift=drift)
                self.votes.put(now_ns, name.partition(":")[0], name, figures[name])
        tell(self.health, now_ns, figures, self.votes)
        self._ghosts(now_ns, national, tracks, bits)
        self.verdicts = self.health.step(now_ns)

    def _compare(self, now_ns: int, name: str, said: Sequence[_Said]) -> None:
        """Hold what came against the own tracks: as it came, for what drifts, and as it is used, for what is far off."""
        forms: dict[int, list[_Said]] = {}
        for one in said:
            forms.setdefault(int(one.came[0]["kind"][0]), []).append(one)
        for _, some in sorted(forms.items()):
            came, used = _as_one([one.came for one in some]), _as_one([one.used for one in some])
            for held, (columns, rows) in ((self._raw, came), (self._left, used)):
                pairs = self._own.pairs(*places_of(columns, rows, self._spare))
                held.setdefault(name, Offsets()).take(now_ns, pairs)
                if held is self._left and name in self.health.quarantined and len(pairs.number):
                    root = np.linalg.cholesky(pairs.spread + BIAS_M**2 * np.eye(3))
                    self.health.innovations(name, now_ns, np.linalg.solve(root, pairs.offset_m[..., None])[..., 0])

    def _ghosts(self, now_ns: int, national: Any, tracks: Any, bits: Mapping[str, tuple[int, int]]) -> None:
        """Count what a source holds where own radars see, and what of it others hold; in quarantine, what it would hold."""
        aside = self._aside.step(now_ns, self.health.quarantined)
        stand, others = grown(now_ns, tracks), dict[int, Any]()
        for name, (bit, nation) in sorted(bits.items()):
            theirs = np.uint64(nation)
            if nation not in others:
                others[nation] = joined([tracks[(tracks["sensors"] & ~theirs) != 0], national])
            if name in aside:
                mine = grown(now_ns, aside[name])
                alone = np.ones(len(mine), np.bool_)
            else:
                mine = stand[(stand["sensors"] & np.uint64(bit)) != 0]
                alone = (mine["sensors"] & ~theirs) == 0
            expected = self.witnesses.expect(now_ns, mine)
            self.health.confirmations(name, now_ns, *seen_by_others(expected, alone, mine, [others[nation]]))


def _as_one(parts: Sequence[tuple[Any, Any]]) -> tuple[Any, Any]:
    """Return batches of one form as one: however many a partner makes of it, it is compared once a second."""
    rows = None if parts[0][1] is None else np.concatenate([one for _, one in parts])
    return joined([one for one, _ in parts]), rows


def tell(health: Health, now_ns: int, figures: Mapping[str, Figures], votes: Votes) -> None:
    """Tell health how sources stand beside the own tracks, unless it is these that are off: for that nobody else is to blame."""
    apart, drift = votes.outvoted(now_ns)
    for name, one in figures.items():
        health.offsets(name, now_ns, 0.0 if apart else one.apart, 0.0 if drift else one.drift)


class _Held(NamedTuple):
    """The newest of a partner's track, when it first came, and its place in the rows."""

    record: Track
    first_ns: int
    place: int


class Beside(NamedTuple):
    """Beside what partners' tracks are judged: the core's tracks and the national ones (TRACK_DTYPE), the set of own sensors.

    moved_ns: when what is taken off own radars last changed by much.
    """

    core: Any
    national: Any
    own_bits: int
    moved_ns: int


class TrackJudge:
    """Judges partners' tracks, and keeps those of a partner in quarantine out of the combined picture.

    A quarantine is the last word on all his tracks and then silence; after it they come again. So the picture stays a function of
    the set of what it is given, and the verdicts are a function of what came, when.
    """

    def __init__(self, witnesses: Witnesses, votes: Votes, nations_of: Callable[[int], set[str]]) -> None:
        self.health = Health(TRACKS)
        self.verdicts: dict[str, Verdict] = {}
        self._witnesses, self._votes, self._nations_of = witnesses, votes, nations_of
        self._judge_ns = 0
        self._held: dict[str, dict[tuple[str, int], _Held]] = {}
        self._rows: dict[str, Any] = {}  # of every partner's tracks of late, by place (ITEM_DTYPE)
        self._places = 0
        self._new: dict[str, dict[tuple[str, int], None]] = {}
        self._others: dict[str, OwnTracks] = {}
        self._offsets: dict[str, Offsets] = {}
        self._stamps: dict[str, int] = {}  # newest time of what came since the last judgement

    def step(self, now_ns: int, items: Sequence[PartnerItem], beside: Beside) -> list[PartnerItem]:
        """Take partners' items; return what the combined picture is to be given.

        Items without a place in a lane (0, 0) are the node's own last words: they go through unjudged.
        """
        for item in items:
            if (item.epoch, item.sequence) != (0, 0):
                self._take(now_ns, item)
        last = []
        if now_ns >= self._judge_ns:
            self._judge_ns = now_ns + TRACKS_NS
            last = self._judge(now_ns, beside)
        left_out = {nation for nation in self._held if source_of(nation) in self.health.quarantined}
        return [item for item in items if item.nation not in left_out] + last

    def _take(self, now_ns: int, item: PartnerItem) -> None:
        """Note a partner's newest word on a track."""
        record, key = item.record, (item.record.stream, item.record.number)
        held = self._held.setdefault(item.nation, {})
        self._stamps[item.nation] = max(record.t_ns, self._stamps.get(item.nation, record.t_ns))
        known = held.get(key)
        if not -AHEAD_NS <= now_ns - record.t_ns <= LATE_NS or (known is not None and record.t_ns < known.record.t_ns):
            return
        if known is None and len(held) >= TRACKS_MAX:
            return
        self._places += known is None
        held[key] = _Held(record, now_ns, self._places) if known is None else _Held(record, known.first_ns, known.place)
        self._new.setdefault(item.nation, {})[key] = None

    def _judge(self, now_ns: int, beside: Beside) -> list[PartnerItem]:
        """Judge every partner, and return the last word on the tracks of those that begin a quarantine."""
        before, figures = self.health.quarantined, dict[str, Figures]()
        for nation in sorted(self._held):
            figures[source_of(nation)] = self._of_nation(now_ns, nation, beside)
        tell(self.health, now_ns, figures, self._votes)
        self.verdicts = self.health.step(now_ns)
        begun = self.health.quarantined - before
        return [
            PartnerItem(nation, _last_word(now_ns, one.record))
            for nation, held in sorted(self._held.items())
            if source_of(nation) in begun
            for _, one in sorted(held.items())
        ]

    def _of_nation(self, now_ns: int, nation: str, beside: Beside) -> Figures:
        """Hold a partner's tracks against those of the core that hold nothing of his, and against the national ones."""
        name, held = source_of(nation), self._held[nation]
        if nation in self._stamps:
            self.health.stamp(name, now_ns, self._stamps.pop(nation))
        fresh = self._fresh(now_ns, nation)
        sets, which = np.unique(beside.core["sensors"], return_inverse=True)
        others = beside.core[np.array([nation not in self._nations_of(bits) for bits in sets.tolist()], np.bool_)[which]]
        sure = others[(others["sensors"] & np.uint64(beside.own_bits)) != 0]
        compared = self._others.setdefault(nation, OwnTracks())
        compared.take(now_ns, sure)
        offsets = self._offsets.setdefault(nation, Offsets())
        if len(fresh):
            pairs = compared.pairs(fresh["t_ns"], fresh["position_m"], fresh["covariance"][:, :3, :3])
            offsets.take(now_ns, pairs)
            self._fit(now_ns, name, fresh, comparable(sure))
        figures = offsets.figures(now_ns, beside.moved_ns + SETTLE_NS)
        self._votes.put(now_ns, nation, name, figures)
        for key in [key for key, one in held.items() if now_ns - one.record.t_ns > FORGET_NS or one.record.status == "deleted"]:
            del held[key]
        mine = grown(now_ns, self._stand(now_ns, nation))[:JUDGED_MAX]
        # What he sends as plots besides is in the core's tracks of the same targets, own as they may be.
        beside_him = [others, beside.national]
        rest = [one for one in sorted(self._rows) if one != nation and source_of(one) not in self.health.quarantined]
        beside_him += [self._stand(now_ns, one) for one in rest]
        expected = self._witnesses.expect(now_ns, mine)
        self.health.confirmations(name, now_ns, *seen_by_others(expected, np.ones(len(mine), np.bool_), mine, beside_him))
        return figures

    def _stand(self, now_ns: int, nation: str) -> Any:
        """Return a partner's tracks of late as rows (ITEM_DTYPE), where they are now."""
        rows = self._rows.get(nation, np.zeros(0, ITEM_DTYPE))
        return moved_to(now_ns, rows[now_ns - rows["t_ns"] < FRESH_NS])

    def _fresh(self, now_ns: int, nation: str) -> Any:
        """Return what is new of a partner since the last time as rows (ITEM_DTYPE), having told health what it says."""
        new, held = self._new.pop(nation, {}), self._held[nation]
        chosen = [held[key] for key in new if held[key].record.status != "deleted"]
        ended = [held[key].place for key in new if held[key].record.status == "deleted"]
        rows = self._rows.get(nation, np.zeros(0, ITEM_DTYPE))
        self._rows[nation] = rows = rows[(now_ns - rows["t_ns"] < FRESH_NS) & ~np.isin(rows["sequence"], ended)]
        if not chosen:
            return np.zeros(0, ITEM_DTYPE)
        made, bad = rows_of([one.record for one in chosen])
        made["born_t_ns"] = [one.first_ns for one in chosen]
        place = np.array([(one.record.lat_deg, one.record.lon_deg) for one in chosen])
        upper = made["covariance"][:, _UPPER[0], _UPPER[1]]
        values = np.concatenate([made["position_m"], made["velocity_m_s"], made["existence"][:, None], upper], axis=1)
        self.health.tracks(source_of(nation), now_ns, made["number"].copy(), made["t_ns"].copy(), place, values)
        bad |= np.trace(made["covariance"], axis1=1, axis2=2) > VAGUE_M2  # or not a number
        made["sequence"] = [one.place for one in chosen]
        both = np.concatenate([made[~bad][::-1], rows])  # of each place the first is the newest
        self._rows[nation] = both[np.unique(both["sequence"], return_index=True)[1]]
        return made[~bad & (made["status"] == 1)][-JUDGED_MAX:]

    def _fit(self, now_ns: int, name: str, fresh: Any, sure: Any) -> None:
        """Tell health how a partner's new tracks stand to the others' of the same targets."""
        if not len(sure):
            return
        elapsed = (fresh["t_ns"] - sure["t_ns"][0]) * 1e-9
        row, track, _ = belonging(elapsed, fresh["position_m"], sure["position_m"], sure["velocity_m_s"])
        mine, fused = fresh[row], sure[track]
        step = np.broadcast_to(np.eye(6), (len(mine), 6, 6)).copy()
        step[:, range(3), range(3, 6)] = -elapsed[row, None]
        covariance = step @ mine["covariance"] @ np.swapaxes(step, 1, 2)
        place = mine["position_m"] - elapsed[row, None] * mine["velocity_m_s"]
        self.health.innovations(name, now_ns, whitened(place, mine["velocity_m_s"], covariance, fused))


def source_of(nation: str) -> str:
    """Return the name under which a nation's tracks are judged."""
    return f"{nation}:tracks"


def _last_word(now_ns: int, record: Track) -> Track:
    """Return that a track is no more, said after all that is known of it."""
    return msgspec.structs.replace(record, t_ns=max(now_ns, record.t_ns + 1), status="deleted")
