"""Three nations with a radar each, one of which goes wrong for a while: what the first makes of it, second by second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from trilat.cli.bench_fusion_world import T0_NS, Node, Real, Tally, _scan, label_of, make_real_world
from trilat.fuse.health import Verdict
from trilat.joint.watch import SensorWatch
from trilat.kernels import geodesy
from trilat.node.combined import CombinedPicture
from trilat.picture.inputs import PartnerRecord
from trilat.records.track import Track, Tracklet
from trilat.track import Tracker, TrackerSettings
from trilat.track.library import batch

AIR = TrackerSettings(domains=("air",))
S = 10**9
FAULTS = ("drifting bias", "stuck clock", "ghost tracks", "replayed minutes")
BAD, TICK_NS = "BBB", 250_000_000
AGAIN_S = 60  # how old what is replayed is
RENAMED = 100_000
DEG = np.pi / 180


class Case(NamedTuple):
    """One run: who shares how, what goes wrong from when to when, and what honest partners may differ by."""

    tier: str
    fault: str = ""
    begin_s: int = 90
    end_s: int = 200
    seconds: int = 200
    seed: int = 3
    targets: int = 9
    ghosts: int = 9
    silent: bool = False  # the second nation says nothing at all
    bias: tuple[float, float] = (0.0, 0.0)  # of its radar, m and degrees
    drift_m_s: float = 15.0
    late: Callable[[int, np.random.Generator], int] = lambda _t, _g: 0  # when what it says at t comes, s later
    turning: float = 0.0
    far: int = 0  # so many more targets that only the second nation's radar sees: 400 km away, where ours do not reach,
    low: int = 0  # and below our horizon
    every_s: int = 2
    own_drift_m_s: float = 0.0  # of our radar, from begin to end
    own_off: bool = False  # our radar is off from begin to end
    own_blind_deg: tuple[float, float] = (0.0, 0.0)  # our radar has no plots between these azimuths from begin on
    all_bias: tuple[float, float] = (0.0, 0.0)  # one sigma of what every radar is off by, m and degrees
    cut: bool = False  # nothing of it comes from begin to end; then all of it, as fast as three seconds in one


class Told(NamedTuple):
    """What came of it, by second: verdicts by source, and the tracks shown; and the truth of all seconds."""

    verdicts: list[dict[str, Verdict]]
    shown: list[Any]
    truth: Any

    def of(self, nation: str) -> list[Verdict | None]:
        """Give the verdicts on a nation's only source."""
        return [next((one for name, one in told.items() if name.startswith(nation)), None) for told in self.verdicts]

    def states(self, nation: str) -> list[str]:
        """Give the states of a nation's only source."""
        return ["" if one is None else one.state for one in self.of(nation)]

    def figures(self, begin: int, end: int) -> dict[str, float]:
        """Give the score of what was shown in a stretch of time."""
        tally = Tally()
        for t in range(begin, end):
            tally.add(self.truth[t], self.shown[t])
        return tally.figures()


def plots_of(case: Case) -> tuple[Any, list[Any], list[list[tuple[int, Any]]]]:
    """Make the world: the truth of what is there, the radars, and their plots second by second."""
    total = case.targets + case.ghosts
    world = make_real_world(3, total, case.seconds, case.seed, Real(turning=case.turning))
    g, plots = np.random.default_rng(case.seed), [[]]
    noise = [np.random.default_rng((case.seed, k)) for k in range(3)]  # what one radar sees changes no other's noise
    drawn = [(g.normal(0, case.all_bias[0]), g.normal(0, case.all_bias[1]) * DEG) for _ in world.radars]
    beyond = elsewhere(case, world.truth)
    for t, looks in enumerate(world.plots[1:], 1):
        wrong = case.begin_s <= t < case.end_s
        made = []
        for k, _ in looks:
            many = total if k == 1 and wrong and case.fault == "ghost tracks" else case.targets
            if k == 0 and wrong and case.own_off:
                continue
            bias = (drawn[k][0] + case.bias[0] * (k == 1), drawn[k][1] + case.bias[1] * DEG * (k == 1))
            there = world.truth[t, :many, :3]
            there = np.concatenate([there, beyond[t]]) if k == 1 else there
            columns = _scan(noise[k], world.radars[k], there, t, bias, 5.0)
            if k == 1 and wrong and case.fault == "drifting bias":
                columns["range_m"] += case.drift_m_s * (t - case.begin_s)
            if k == 0 and wrong:
                columns["range_m"] += case.own_drift_m_s * (t - case.begin_s)
            if k == 0 and t >= case.begin_s:
                low, high = np.radians(case.own_blind_deg)
                columns = columns[(columns["azimuth_rad"] < low) | (columns["azimuth_rad"] >= high)]
            made.append((k, columns))
        plots.append(made)
    return world.truth[:, : case.targets], world.radars, plots


def elsewhere(case: Case, truth: Any) -> Any:
    """Give the places, by second, of what only the second nation's radar sees."""
    zero = geodesy.geodetic_to_ecef(33.0, 130.0, 0.0)
    basis = geodesy.enu_basis(33.0, 130.0)
    far = truth[:, : case.far, :3] + np.array([0.0, 400e3, 0.0]) @ basis
    low = truth[:, : case.low, :3] + np.array([0.0, 30e3, 0.0]) @ basis
    spot = geodesy.ecef_to_geodetic(low.reshape(-1, 3))
    low = geodesy.geodetic_to_ecef(spot[:, 0], spot[:, 1], np.full(len(spot), 100.0)).reshape(low.shape)
    away = np.linalg.norm(low - zero, axis=2) > 60e3
    low[~away] += np.array([0.0, 400e3, 0.0]) @ basis  # where ours would see even those
    return np.concatenate([far, low], axis=1)


def spoilt(case: Case, t: int, records: list[Any], said: dict[int, list[Any]]) -> list[Any]:
    """Give what the bad partner sends instead: times that stand, or what it said a minute ago under new names and times."""
    said[t] = records
    if not case.begin_s <= t < case.end_s:
        return records
    if case.fault == "stuck clock":
        return [_moved(one, T0_NS + case.begin_s * S - one.t_ns, 0) for one in records]
    if case.fault == "replayed minutes":
        return [_moved(one, AGAIN_S * S, RENAMED) for one in said.get(t - AGAIN_S, [])]
    return records


def _moved(one: Any, by_ns: int, renamed: int) -> Any:
    """Give a record at another time, under another number."""
    if isinstance(one, Track):
        times = {"t_ns": one.t_ns + by_ns, "updated_t_ns": one.updated_t_ns + by_ns, "number": one.number + renamed}
    elif isinstance(one, Tracklet):
        times = {"t_ns": one.t_ns + by_ns, "t_from_ns": one.t_from_ns + by_ns, "number": one.number + renamed}
    else:
        times = {"t_ns": one.t_ns + by_ns}
    return msgspec.structs.replace(one, **times)


def run(case: Case, watch: Callable[[int, Any, Any], None] | None = None) -> Told:
    """Let three nations live through a case."""
    truth, radars, plots = plots_of(case)
    me = Node(0, radars, "plot", AIR)
    others = [Node(k, radars, case.tier, AIR) for k in (1, 2)]
    picture = CombinedPicture(me.nation, [one.nation for one in radars], me.core, TICK_NS)
    g, said, due, sequence = np.random.default_rng(case.seed), {}, {}, 0
    told = Told([{}], [np.zeros(0, picture.combiner.step(T0_NS, me.national.step(T0_NS, [])).tracks.columns.dtype)], truth)
    for t, looks in enumerate(plots[1:], 1):
        now_ns = T0_NS + t * S
        for k, columns in looks:
            if k:
                others[k - 1].look(now_ns, [columns])
        for one in others if t % case.every_s == 0 else ():
            records = [record for _, record in one.message(now_ns)]
            bad = one.nation == BAD
            if bad:
                records = [] if case.silent else spoilt(case, t, records, said)
            at = t + (case.late(t, g) if bad else 0)
            if bad and case.cut and case.begin_s <= t:
                at = max(t, case.end_s + (t - case.begin_s) // 3)
            due.setdefault(at, []).append((one.nation, records))
        received = [(nation, records) for nation, records in due.pop(t, [])]
        reports: dict[str, list[Any]] = {}
        for nation, records in received:
            for record in records:
                sequence += 1
                if isinstance(record, Track):
                    picture.take(PartnerRecord(origin=nation, lane="state", record=record), 1, sequence)
                else:
                    reports.setdefault(nation, []).append(record)
        mine = me.look(now_ns, [columns for k, columns in looks if k == 0])
        own = me.watch.take(now_ns, mine)
        national = me.national.step(now_ns, own)
        me.watch.learn(now_ns, national, me.national.fit())
        me.core.own_moved_ns = me.watch.jumped_ns
        core = me.core.step(now_ns, national, own, reports)
        shown = picture.step(now_ns, core).tracks.columns if case.tier == "track" else core.columns
        told.verdicts.append({**me.core.verdicts, **picture.judge.verdicts})
        told.shown.append(shown.copy())
        if watch is not None:
            watch(t, me, picture)
    return told


def first(states: Sequence[str], state: str, begin: int = 0) -> int:
    """Give the second from which on a state stands, -1 for never."""
    return next((t for t in range(begin, len(states)) if states[t] == state), -1)


def run_own(case: Case) -> Told:
    """Let one nation with all three radars live through a case; what the second one says goes wrong as it comes in."""
    truth, radars, plots = plots_of(case)
    sensors = [msgspec.structs.replace(one, nation="AAA", label=label_of("AAA")) for one in radars]
    watch, tracker = SensorWatch(sensors), Tracker(AIR, sensors, "AAA/national")
    told, kept = Told([{}], [tracker.step(T0_NS, []).columns], truth), {}
    for t, looks in enumerate(plots[1:], 1):
        now_ns, parts = T0_NS + t * S, []
        for k, columns in looks:
            columns["sensor"] = k
            if k == 1:
                kept[t] = columns.copy()
                columns = kept.get(t - AGAIN_S, columns[:0]) if _now(case, t, "replayed minutes") else columns  # noqa: PLW2901
                if _now(case, t, "replayed minutes") or _now(case, t, "stuck clock"):
                    columns = columns.copy()  # noqa: PLW2901 - what is kept stays as it was
                    columns["t_ns"] = now_ns if case.fault == "replayed minutes" else T0_NS + case.begin_s * S
            if k != 1 or not case.silent:
                parts.append(batch(columns, sensors[k].id))
        tracks = tracker.step(now_ns, watch.take(now_ns, parts))
        watch.learn(now_ns, tracks, tracker.fit())
        told.verdicts.append(dict(watch.verdicts))
        told.shown.append(tracks.columns.copy())
    return told


def _now(case: Case, t: int, fault: str) -> bool:
    """Tell whether a fault is there."""
    return case.fault == fault and case.begin_s <= t < case.end_s
