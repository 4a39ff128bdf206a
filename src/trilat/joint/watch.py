"""Watch over the sensors of one tracker: their biases found and taken off, misfits named and left out.

One watch belongs to one tracker of one audience (or of the nation) and learns from that tracker's data alone: what a withheld
sensor would teach shows in nobody else's tracks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from trilat.fuse.health import Health, HealthSettings, Verdict
from trilat.fuse.pairing import FIX_AGE_S, PLOT_AGE_S, References, fixes, plots
from trilat.fuse.registration import PLACE, Bias, Registration, RegistrationSettings
from trilat.fuse.tracklet import plots_of_tracks
from trilat.joint.aside import Aside
from trilat.joint.beside import RADARS, Witnesses, grown, seen_by_others
from trilat.kernels import geodesy
from trilat.records.columns import KIND_RADAR, Reports, Tracks, joined
from trilat.records.sensor import Sensor
from trilat.track import TrackerSettings

LEARN_NS = 1_000_000_000
# Between two changes of what is taken off. A report is corrected by what was in force at its own time, so that the same report
# that comes twice is the same report twice.
APPLY_NS = 10_000_000_000
APPLIED_MAX = 64
PLOTS_MIN = 60  # pairs before a bias is taken off, and its doubt added to the plots
PLOTS_MAX = 300  # of one sensor looked at in one second
HEALTH_GATE = 400.0  # how far off a quarantined sensor's plot may be and still be compared
OWN = HealthSettings(ghosts_max=0.3)
JUMP_M, JUMP_RAD = 60.0, 0.0006  # of range or place, of angles
BIAS_NAMES = ("range_m", "azimuth_rad", "elevation_rad", "time_s", "east_m", "north_m", "up_m")  # as the registration's


def turn_of(name: str) -> int:
    """Return when in each second the watch for a nation learns (ns): its own turn, so that no step bears the work of all."""
    return sum(name.encode()) % 10 * (LEARN_NS // 10)


class SensorState(NamedTuple):
    """What is known of a sensor: the verdict on its data (None before the first), its biases, and whether they are taken off."""

    verdict: Verdict | None
    bias: Bias
    applied: bool


class SensorWatch:
    """The watch of one tracker's sensors. `left_out` counts reports of sensors in quarantine.

    turn_ns: when in each second it learns (`turn_of`). tracker: settings of the trackers that follow sensors in quarantine aside.
    """

    def __init__(
        self,
        sensors: Sequence[Sensor],
        registration: RegistrationSettings | None = None,
        health: HealthSettings | None = None,
        turn_ns: int = 0,
        tracker: TrackerSettings | None = None,
    ) -> None:
        self._turn_ns = turn_ns
        self.sensors = tuple(sensors)
        self.registration = Registration(self.sensors, registration)
        self.health = Health(health or OWN)
        self.verdicts: dict[str, Verdict] = {}
        self.left_out: Counter[str] = Counter()
        self._next_ns = 0
        self._next_apply_ns = 0
        self.jumped_ns = 0  # when what is taken off last changed by so much that tracks move with it
        self._waiting: list[tuple[int, int, Any]] = []  # sensor, when it came, reports
        self._applied: list[tuple[int, dict[int, Bias]]] = []
        self._fit = np.zeros((len(self.sensors), 6))
        self._reported = References(FIX_AGE_S)
        self._seen = [References(PLOT_AGE_S) for _ in self.sensors]
        self._witnesses, self._aside = Witnesses(self.sensors), Aside(tracker or TrackerSettings(), self.sensors)
        self._sites = geodesy.geodetic_to_ecef(
            [s.lat_deg for s in self.sensors], [s.lon_deg for s in self.sensors], [s.alt_m for s in self.sensors]
        ).reshape(-1, 3)

    def take(self, now_ns: int, batches: Sequence[Reports]) -> list[Reports]:
        """Return the batches as the tracker is to have them: biases taken off, and nothing of a sensor in quarantine.

        Each batch holds reports of one sensor, whose index stands in them.
        """
        out = []
        for batch in batches:
            if not len(batch.columns):
                continue
            k = int(batch.columns["sensor"][0])
            if not 0 <= k < len(self.sensors):
                out.append(batch)
                continue
            name = self.sensors[k].id
            self._waiting.append((k, now_ns, batch.columns))
            if name in self.health.quarantined:
                self.left_out[name] += len(batch.columns)
                if self.sensors[k].kind in RADARS:
                    self._aside.take(name, msgspec.structs.replace(batch, columns=self._corrected(k, batch.columns)))
            else:
                self._witnesses.heard(k, now_ns, batch.columns)
                out.append(msgspec.structs.replace(batch, columns=self._corrected(k, batch.columns)))
        return out

    def learn(self, now_ns: int, tracks: Tracks, fit: Any) -> None:
        """Learn from what came since the last time, once a second: fit is `Tracker.fit`, tracks the tracker's own."""
        if now_ns < self._next_ns:
            return
        self._next_ns = now_ns - (now_ns - self._turn_ns) % LEARN_NS + LEARN_NS
        waiting, self._waiting = self._waiting, []
        by_sensor: dict[int, list[Any]] = {}
        came_ns: dict[int, int] = {}
        for k, at_ns, columns in waiting:
            by_sensor.setdefault(k, []).append(columns)
            came_ns[k] = at_ns
        said = {k: joined(parts) for k, parts in sorted(by_sensor.items())}
        for k, columns in said.items():
            self.health.reports(self.sensors[k].id, came_ns[k], columns)
        newest = {k: columns[-PLOTS_MAX:] for k, columns in said.items()}
        self._register(newest, tracks.columns)
        self._judge(now_ns, newest, tracks.columns, fit)
        if now_ns >= self._next_apply_ns:
            self._next_apply_ns = now_ns + APPLY_NS
            believed = self._believed()
            if _jumped(self._applied[-1][1] if self._applied else {}, believed):
                self.jumped_ns = now_ns
            self._applied = [*self._applied[-APPLIED_MAX:], (now_ns, believed)]

    def states(self) -> dict[str, SensorState]:
        """Return what is known of every sensor."""
        applied = self._applied[-1][1] if self._applied else {}
        return {
            one.id: SensorState(self.verdicts.get(one.id), self.registration.bias(k), k in applied)
            for k, one in enumerate(self.sensors)
        }

    def moved_m(self) -> dict[str, float]:
        """Return how far beside where they are said to stand radars are held to: for people, to survey anew."""
        applied = self._applied[-1][1] if self._applied else {}
        return {
            self.sensors[k].id: float(np.linalg.norm(one.value[PLACE:])) for k, one in sorted(applied.items()) if not one.surveyed
        }

    # Biases -------------------------------------------------------------------------------------------------------------

    def _believed(self) -> dict[int, Bias]:
        """Return the biases of the radars about which enough is known."""
        known = {k: self.registration.bias(k) for k, one in enumerate(self.sensors) if one.kind in RADARS}
        return {k: bias for k, bias in known.items() if bias.plots >= PLOTS_MIN}

    def _corrected(self, k: int, columns: Any) -> Any:
        """Return a sensor's reports corrected by what was in force at each one's own time."""
        if not self._applied or not (columns["kind"] == KIND_RADAR).any():
            return columns
        times = [t_ns for t_ns, _ in self._applied]
        stamps = columns["t_ns"].tolist()
        first, last = (bisect_right(times, t_ns) - 1 for t_ns in (min(stamps), max(stamps)))
        if first == last:  # nearly always: a batch is of one moment
            bias = self._applied[first][1].get(k) if first >= 0 else None
            return columns if bias is None else self.registration.corrected(k, columns, bias)
        at = np.array([bisect_right(times, t_ns) - 1 for t_ns in stamps])
        out = columns.copy()
        for which in np.unique(at).tolist():
            bias = self._applied[which][1].get(k) if which >= 0 else None
            if bias is not None:
                out[at == which] = self.registration.corrected(k, columns[at == which], bias)
        return out

    def _register(self, newest: dict[int, Any], tracks: Any) -> None:
        """Compare every radar's plots with self-reported positions and with the other radars' plots.

        One in quarantine is compared with what has no bias of its own alone: what is wrong with it must not become the others'.
        """
        left_out = self.health.quarantined
        for k, columns in newest.items():
            if self.sensors[k].kind == "fixes" and self.sensors[k].id not in left_out:
                self._reported.take(fixes(columns, self.sensors[k]))
        radars = [k for k in newest if self.sensors[k].kind in RADARS]
        for k in radars:
            rows, points = self._reported.pair(newest[k], self.sensors[k])
            if len(rows):
                self.registration.against_reference(k, newest[k][rows], points.place_m, points.velocity_m_s, points.covariance)
            for other in range(len(self.sensors)):
                both_fit = not {self.sensors[k].id, self.sensors[other].id} & left_out
                if other != k and both_fit and self.sensors[other].kind == "radar3d":
                    rows, points = self._seen[other].pair(newest[k], self.sensors[k])
                    if len(rows):
                        self.registration.against_sensor(
                            k, newest[k][rows], other, points.place_m, points.velocity_m_s, points.covariance
                        )
        for k in radars:
            if self.sensors[k].kind == "radar3d" and self.sensors[k].id not in left_out:
                self._seen[k].take(plots(newest[k], self.sensors[k], tracks))

    # Health -------------------------------------------------------------------------------------------------------------

    def _judge(self, now_ns: int, newest: dict[int, Any], tracks: Any, fit: Any) -> None:
        """Hand the tracker's innovations, and who else sees a sensor's tracks, to health, and take its verdicts."""
        grown, self._fit = fit - self._fit, fit
        left_out = self.health.quarantined
        for k, one in enumerate(self.sensors):
            if one.id not in left_out:
                self.health.sums(one.id, now_ns, round(grown[k, 0]), float(grown[k, 1]), float(grown[k, 2]), grown[k, 3:6])
            elif k in newest:
                columns = self._corrected(k, newest[k])
                self.health.innovations(one.id, now_ns, plots_of_tracks(tracks, columns, one, HEALTH_GATE).whitened)
        self._ghosts(now_ns, tracks)
        self.verdicts = self.health.step(now_ns)
        for k, one in enumerate(self.sensors):
            if one.kind in RADARS and one.id in self.health.quarantined - left_out:
                self.registration.forget(k)

    def _ghosts(self, now_ns: int, tracks: Any) -> None:
        """Count, per radar, its tracks that another radar should see as well, and those that another sensor does see.

        A radar in quarantine is judged by what it would show alone.
        """
        aside = self._aside.step(now_ns, self.health.quarantined)
        stand = grown(now_ns, tracks)
        for k, one in enumerate(self.sensors):
            if one.kind in RADARS:
                mine = stand[(stand["sensors"] >> np.uint64(k) & np.uint64(1)).astype(bool)]
                alone = mine["sensors"] == np.uint64(1 << k)
                if one.id in aside:
                    mine = grown(now_ns, aside[one.id])
                    alone = np.ones(len(mine), np.bool_)
                others = tracks[tracks["sensors"] != np.uint64(1 << k)]
                expected = self._witnesses.expect(now_ns, mine, but=k)
                self.health.confirmations(one.id, now_ns, *seen_by_others(expected, alone, mine, [others]))


def _jumped(before: dict[int, Bias], after: dict[int, Bias]) -> bool:
    """Tell whether biases that are taken off differ by as much as tracks would show."""
    none = np.zeros(len(BIAS_NAMES))
    for k in before.keys() | after.keys():
        change = np.abs((after[k].value if k in after else none) - (before[k].value if k in before else none))
        if max(change[0], change[PLACE:].max()) > JUMP_M or change[1:3].max() > JUMP_RAD:
            return True
    return False
