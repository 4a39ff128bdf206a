"""From tracks to assessments: a pure step. It sees launches in the tracks, follows each with its own filter, says what it is.

One `Assessor` per audience and layer, fed with exactly the tracks and reports that audience's tracker is fed with (DESIGN
principle 3). A self-reported fix never begins or feeds a flight: only radar plots and infrared lines of sight do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from trilat.records.assessment import Assessment
from trilat.records.columns import Reports, Tracks
from trilat.records.label import Label
from trilat.records.sensor import Sensor
from trilat.warn.areas import Layer
from trilat.warn.classes import CLIMB_HEIGHT_M, CLIMB_M_S, TOLD_HEIGHT_M, TOLD_SPEED_M_S, climbs, launch_like, level, speed_of
from trilat.warn.conclude import PLOTS_SURE, Candidate, Conclusion, conclude, doubt_of, goes_on, in_sight, launch_told
from trilat.warn.flight import GATE, ROWS, Array, FlightFilter, Machinery
from trilat.warn.launch import CUE_S, SMOOTH_S, Cues, Plot, cue_of, launch_of, moves, smooth, taken_back

FLIGHTS_MAX = 16
EARLIER_MAX = 64  # flights of an earlier run that may go on
# Plots, sights and flights tried against tracks in a step: the tracks left then come first at the next. A flood of false plots
# and sights costs a step no more, and a true launch among it is looked at in its turn.
WEIGHED_MAX = 4_000  # eight times what launches in clear air were seen to ask for
REMEMBER_S, REMEMBER_MAX = 45.0, 50_000  # plots kept for launches not yet seen as such
PLOTS_MIN = 4  # of its own, before a flight is spoken of
ONE_SENSOR_S = 3.0  # another sensor that ought to have seen it for so long, and did not
LOST_S = 8.0
GONE_S = 120.0
APART_S = 120.0  # a plot of a time so far from now is left aside: filters would follow it through years, step by step
EVERY_NS = 1_000_000_000
TAKEN_TWICE = 25.0
NEAR_M, NEAR_M_S = 12_000.0, 500.0
# Nearer than this to a flight that had a plot so short a time ago, a track is that flight, however its velocity is held: two
# bodies are not in one place, and a tracker's velocity is off while a stage turns about or air slows it.
SAME_M, SAME_S = 3_000.0, 2.0
SAME_SHARE = 0.5  # of the plots of a flight that begins: were so many another's, it is the same body and its launch is known
DOUBLE_S = 4.0  # a flight without a plot for so long, near an older one that has them, was the same
# From a launch to the first plot: what was seen later, and was not taken for a flight at once, has no launch point.
EARLY_S = 100.0
PLOTS_CUED = 2  # enough where a launch flash was seen
# A track of two plots that is hardly thought to exist is held for a third; it speaks of no launch meanwhile, nor where others do.
BELIEVED = 0.005
# So many sights of it within so short a time before, the last just now, say as plots do where it came from, at any such speed.
SIGHTS_MIN, SIGHTS_S, SIGHTS_NEW_S = 2, 20.0, 6.0
SIGHTS_M, SIGHTS_M_S = 10_000.0, 1_000.0
NS = 1_000_000_000
ANY_NS = 0, 2**62
OVER = ("landed", "passed", "dropped")


class AssessorSettings(NamedTuple):
    """What an assessor is made of: whose, on which stream, which sensors (in the reports' order), areas (None: no lists)."""

    nation: str
    stream: str
    label: Label
    sensors: tuple[Sensor, ...]
    layer: Layer | None


class Pointing(Protocol):
    """What partners say of where launches are, by keys: see joint.pointers. It lets fewer plots speak, and is none itself."""

    def __len__(self) -> int:
        """Return how many there are."""

    def at(self, t_ns: int, place_m: Array, doubt_m: float) -> frozenset[str]:
        """Return those that point at a place (ECEF) at a time."""

    def held(self, keys: frozenset[str]) -> frozenset[str]:
        """Return those of these that were not taken back, nor are over."""

    def backs(self, keys: frozenset[str], sensors: set[int]) -> bool:
        """Tell whether one of these rests on sensors of none of the nations whose sensors these are."""


class Assessor:
    """Flights of one picture. `step` takes tracks and reports and returns the assessments that are new, oldest flight first.

    `shed` counts flights that found no room (FLIGHTS_MAX), `put_off` looks at tracks left to the next step (WEIGHED_MAX).
    `out_of_time` counts plots that no flight of now can be of (APART_S). Deterministic: no clock, no chance.
    """

    def __init__(self, settings: AssessorSettings, pointing: Pointing | None = None) -> None:
        self.settings, self._pointing = settings, pointing
        self._machinery = Machinery(settings.sensors, FLIGHTS_MAX + 1)
        self._radar_bits = sum(1 << k for k, s in enumerate(settings.sensors[:64]) if s.kind in ("radar3d", "radar2d"))
        self._flights: dict[int, Candidate] = {}
        self._recent: deque[Plot] = deque(maxlen=REMEMBER_MAX)
        self._cues = Cues()
        self._earlier: dict[tuple[str, int], Assessment] = {}
        self._count = 0
        self._weighed, self._left = 0, 0  # plots and flights tried against tracks so far; the track to look at first
        self._states: dict[int, tuple[int, Array, Array, float, float]] = {}  # of the flights, while tracks are looked at
        self.shed, self.put_off, self.out_of_time = 0, 0, 0

    def resume(self, told: Assessment) -> None:
        """Take what an earlier run told of a flight: when a flight begins where that one must be, it goes on under its name."""
        key = told.stream, told.flight
        self._earlier.pop(key, None)
        if told.state not in OVER:
            self._earlier[key] = told
        while len(self._earlier) > EARLIER_MAX:
            del self._earlier[next(iter(self._earlier))]

    def earlier(self) -> set[tuple[str, int]]:
        """Return the flights (stream, number) of an earlier run that may go on."""
        return set(self._earlier)

    def step(self, now_ns: int, tracks: Tracks, batches: Sequence[Reports]) -> list[Assessment]:
        """Take the tracks at now_ns and the reports since the last step (column `sensor` as in the settings)."""
        every = sorted((p for batch in batches for p in self._machinery.plots(batch.columns)), key=lambda p: (p.t_ns, p.sensor))
        plots = [p for p in every if abs(p.t_ns - now_ns) <= APART_S * NS]
        self.out_of_time += len(every) - len(plots)
        for plot in plots:
            self._give(plot)
        for flight in self._flights.values():
            flight.filter.look(now_ns)
        self._look_at(now_ns, tracks.columns[self._fast(now_ns, tracks.columns)])
        out = [one for flight in list(self._flights.values()) if (one := self._tell(now_ns, flight)) is not None]
        for number in {*self._doubles(now_ns), *(k for k, one in self._flights.items() if one.absurd)}:
            del self._flights[number]
        for number in [k for k, one in self._flights.items() if now_ns - one.seen_ns > GONE_S * NS and _over(one, now_ns)]:
            del self._flights[number]
        return out

    def _give(self, plot: Plot) -> None:
        """Give a plot to the flight it belongs to; remember it otherwise."""
        if self.settings.sensors[plot.sensor].kind == "bearing":
            self._cues.add(cue_of(self.settings.sensors[plot.sensor], plot))
        else:
            self._recent.append(plot)
        for flight in self._flights.values():
            if flight.take(plot):
                return
        while self._recent and plot.t_ns - self._recent[0].t_ns > REMEMBER_S * NS:
            self._recent.popleft()

    def _fast(self, now_ns: int, columns: Any) -> NDArray[np.bool_]:
        """Tell of every track whether it is worth a look: seen by a radar, and faster than traffic or where a flash just was."""
        speed2 = np.einsum("ka,ka->k", columns["velocity_m_s"], columns["velocity_m_s"])
        worth, seen = speed2 > CLIMB_M_S**2, columns["sensors"] & np.uint64(self._radar_bits) != 0
        for cue in (one for one in self._cues if now_ns - one.t_ns < SIGHTS_NEW_S * NS):
            way = columns["position_m"] - cue.from_m
            worth |= np.linalg.norm(way - (way @ cue.along)[:, None] * cue.along, axis=1) < SIGHTS_M
        return np.asarray(seen & worth)

    def weighed(self) -> int:
        """Return how many plots, sights and flights were tried against tracks so far."""
        return self._weighed + self._cues.weighed

    def _look_at(self, now_ns: int, rows: Any) -> None:
        """Look at tracks in their order, till WEIGHED_MAX is spent; the rest comes first at the next step."""
        spent = self.weighed() + WEIGHED_MAX
        left, self._states = self._left, {}
        rows, self._left = rows[np.argsort(rows["number"] < left, kind="stable")], 0
        for k, row in enumerate(rows):
            if self.weighed() >= spent:
                self._left = int(row["number"])
                self.put_off += len(rows) - k
                return
            self._look(now_ns, row)

    def _look(self, now_ns: int, row: Any) -> None:
        """Begin a flight where a track climbs or flies as only a launch does, or seems to where a launch flash was seen."""
        believed = row["existence"] > BELIEVED
        if not (believed and (launch_like(row) or self._cued(row))) and not self._risen(row):
            return
        position, velocity = row["position_m"], row["velocity_m_s"]
        for flight in self._flights.values():
            if flight.number not in self._states:
                self._states[flight.number] = flight.filter.mean_state()
            t_ns, mean, covariance, *_ = self._states[flight.number]
            self._weighed += 1
            ahead = mean[:3] + mean[3:] * ((now_ns - t_ns) / NS)
            doubt = 4.0 * float(np.sqrt(np.trace(covariance[:3, :3]) + np.trace(row["covariance"][:3, :3])))
            apart = float(np.linalg.norm(ahead - position)) - doubt
            same = apart < SAME_M and now_ns - flight.seen_ns < SAME_S * NS
            if same or (apart < NEAR_M and np.linalg.norm(mean[3:] - velocity) < NEAR_M_S):
                flight.track, flight.found_ns = int(row["number"]), now_ns
                return
        slot = next((k for k in range(FLIGHTS_MAX) if all(one.slot != k for one in self._flights.values())), None)
        if slot is None:
            self.shed += 1
            return
        self._begin(slot, int(row["t_ns"]), row)

    def _risen(self, row: Any) -> bool:
        """Tell whether infrared saw a track rise to where it is: sights that move and plots are of one body, and it climbs.

        Renews the track's state by them: of the track nothing but its place is taken.
        """
        m, spare, since_ns = self._machinery, ROWS * FLIGHTS_MAX, int(row["t_ns"]) - round(SIGHTS_S * NS)
        sights = self._cues.through(row["position_m"], since_ns)
        if len(sights) < SIGHTS_MIN or not moves(sights, row["position_m"]):
            return False
        plots = sorted([*(one.plot for one in sights), *(p for p in self._recent if p.t_ns > since_ns)], key=lambda p: p.t_ns)
        covariance = np.diag([SIGHTS_M**2] * 3 + [SIGHTS_M_S**2] * 3)
        self._weighed += len(plots)
        m.begin(spare, m.back, 0, plots[0].t_ns, np.concatenate([row["position_m"], np.zeros(3)]), covariance)
        taken = [p for p in plots if m.feed(spare, m.back, p) >= 0.0]
        mine = {id(p) for p in taken}
        seen = sum(id(one.plot) in mine for one in sights)
        if seen < len(sights) or len(taken) - seen < PLOTS_CUED:
            return False
        mean, covariance = m.state(spare, 0)
        row["t_ns"], row["covariance"] = m.rows[spare]["t_ns"], covariance
        row["position_m"], row["velocity_m_s"] = mean[:3], mean[3:]
        return climbs(row, CLIMB_HEIGHT_M, CLIMB_M_S)

    def _cued(self, row: Any) -> bool:
        """Tell whether somebody else speaks of a launch where a track is that may be one."""
        return bool((self._cues and climbs(row) and self._flashed(row)) or self._pointed(row))

    def _flashed(self, row: Any) -> bool:
        """Tell whether a launch flash was seen where a track comes from."""
        t_ns = int(row["t_ns"])
        return self._cues.shows(t_ns, row["position_m"], row["velocity_m_s"], *ANY_NS)

    def _pointed(self, row: Any) -> frozenset[str]:
        """Return what partners say of a launch where a track is that may be one: no line that sees it, but a region, speaks."""
        if not self._pointing or not climbs(row, TOLD_HEIGHT_M, TOLD_SPEED_M_S):
            return frozenset()
        self._weighed += len(self._pointing)
        return self._pointing.at(int(row["t_ns"]), row["position_m"], doubt_of(row["covariance"]))

    def _begin(self, slot: int, t_ns: int, row: Any) -> None:
        """Begin a flight from a track: take its remembered plots backwards, then forwards from the first."""
        m, spare = self._machinery, ROWS * FLIGHTS_MAX
        mean = np.concatenate([row["position_m"], row["velocity_m_s"]])
        back = [p for p in self._recent if p.t_ns <= t_ns]
        self._weighed += len(back)
        m.begin(spare, m.back, 0, t_ns, mean, row["covariance"] * 9.0)
        taken = taken_back(m, spare, back, GATE)
        cued = len(taken) >= PLOTS_CUED and self._flashed(row)
        few = not cued and (len(taken) < PLOTS_MIN or not launch_like(row))
        fresh = len(taken) >= PLOTS_CUED and t_ns - taken[0].t_ns < SAME_S * NS
        pointed = self._pointed(row) if few and fresh else frozenset[str]()
        if len(taken) < PLOTS_MIN and not cued and not pointed:
            return
        first, covariance = m.state(spare, 0)
        # The same plots are taken again, forwards: what they told of the first state is let go.
        flight_filter = FlightFilter(m, slot, int(m.rows[spare]["t_ns"]), first, covariance * TAKEN_TWICE)
        self._count += 1
        flight = Candidate(self._count, slot, int(row["number"]), flight_filter)
        flight.first_ns, flight.steps_ns, flight.found_ns = taken[-1].t_ns, t_ns, t_ns
        flight.cued, flight.pointed, flight.leans = cued, pointed, bool(pointed)
        for plot in reversed(taken):
            flight.take(plot)
        flight.speed_first_m_s, flight.speed_first_sigma_m_s = speed_of(first, covariance)
        flight.level_first = level(first)
        self._inherit(flight)
        self._flights[flight.number] = flight

    def _go_on(self, flight: Candidate) -> None:
        """Go on with a flight of an earlier run, or one that strays, where it must be by now: its name, launch, burn-out."""
        t_ns, mean, covariance, *_ = flight.filter.mean_state()
        taken = {id(one.earlier) for one in self._flights.values()}
        lost = {k: one.last for k, one in self._flights.items() if one.last is not None and one.strays(t_ns)}
        may = [one for one in (*self._earlier.values(), *lost.values()) if one.state not in OVER and id(one) not in taken]
        told = next((one for one in may if goes_on(one, t_ns, mean, covariance)), None)
        if told is None:
            return
        for number in [number for number, one in lost.items() if one is told]:
            del self._flights[number]
        flight.earlier, flight.first_ns, flight.detected_ns = told, min(told.first_t_ns, flight.first_ns), told.detected_t_ns
        flight.sequence, flight.cued = told.sequence, flight.cued or "cue-infrared" in told.reasons
        flight.level_first = False
        if told.launch is not None:
            flight.launch, flight.launcher = launch_told(told.launch), float("burns-like-a-launcher" in told.reasons)
        if told.burnout_t_ns is not None and told.burnout_called_t_ns is not None:
            flight.filter.goes_on(told.burnout_t_ns, told.burnout_called_t_ns)

    def _inherit(self, flight: Candidate) -> None:
        """Give a flight that begins with the plots of another, that lost them, what is known of that one's launch."""
        taken = {id(plot) for plot in flight.filter.plots}
        for other in self._flights.values():
            if sum(id(plot) in taken for plot in other.filter.plots) > SAME_SHARE * len(taken):
                flight.launch, flight.first, flight.launcher = other.launch, other.first, other.launcher
                flight.cued = flight.cued or other.cued
                flight.speed_first_m_s, flight.speed_first_sigma_m_s = other.speed_first_m_s, other.speed_first_sigma_m_s

    def _tell(self, now_ns: int, flight: Candidate) -> Assessment | None:
        """Return the flight's new assessment, once a second, and at once when burn-out is called or taken back."""
        called_ns = flight.filter.called_ns
        waits = now_ns - flight.told_ns < EVERY_NS and called_ns == flight.told_called_ns
        if waits or len(flight.filter.plots) < (PLOTS_CUED if flight.cued or flight.pointed else PLOTS_MIN):
            return None
        if not flight.sequence:
            self._go_on(flight)
        self._unseen(now_ns, flight)
        flight.cued = flight.cued or self._cue(flight)
        self._point(flight)
        self._launch(flight)
        flight.told_ns, flight.told_called_ns = now_ns, called_ns
        flight.sequence += 1
        found = conclude(
            Conclusion(
                self.settings.stream, self.settings.nation, self.settings.label, self.settings.sensors, self.settings.layer
            ),
            flight,
            now_ns,
            self.alone(flight) and not flight.backed,
        )
        if flight.earlier is not None:
            found = msgspec.structs.replace(found, stream=flight.earlier.stream, flight=flight.earlier.flight)
        flight.last = found
        if found.detected_t_ns is not None:
            flight.detected_ns = found.detected_t_ns
        return found

    def _doubles(self, now_ns: int) -> list[int]:
        """Return the flights that lost their plots to an older flight beside them, or never had more than a few."""
        out = []
        for k, one in self._flights.items():
            if now_ns - one.seen_ns < DOUBLE_S * NS:
                continue
            _, mean, *_ = one.filter.mean_state()
            short = len(one.filter.plots) < 3 * PLOTS_MIN and now_ns - one.seen_ns > LOST_S * NS
            near = any(
                number < k and np.linalg.norm(other.filter.mean_state()[1][:3] - mean[:3]) < 100_000.0
                for number, other in self._flights.items()
            )
            if near or (short and one.detected_ns is None):
                out.append(k)
        return out

    def _launch(self, flight: Candidate) -> None:
        """Renew the launch estimate while the first seconds are coming in."""
        plots = flight.filter.plots
        known = flight.filter.called_ns is not None or plots[-1].t_ns - plots[0].t_ns > (SMOOTH_S + 5.0) * NS
        if flight.launch is not None and (known or flight.earlier is not None):
            return
        early = [p for p in plots if p.t_ns - plots[0].t_ns <= SMOOTH_S * NS]
        t_ns, mean, covariance, *_ = flight.filter.mean_state()
        late = t_ns - early[-1].t_ns > 5 * NS
        if late:
            if flight.launch is not None or flight.filter.called_ns is not None or flight.earlier is not None:
                return
            early = list(plots)  # what gains speed slowly is a track for long before it is taken for a flight
        first, spread = smooth(self._machinery, ROWS * FLIGHTS_MAX, early, t_ns, mean, covariance)
        flight.first = first, spread
        first_ns = int(self._machinery.rows[ROWS * FLIGHTS_MAX]["t_ns"])
        launch = launch_of(first_ns, first, spread)
        # What was high already when first seen was launched nobody knows when.
        flight.launch = None if late and launch is not None and first_ns - launch.t_ns > EARLY_S * NS else launch

    def _unseen(self, now_ns: int, flight: Candidate) -> None:
        """Count for how long each sensor that has the flight in its sight has not reported it."""
        dt = max(0.0, (now_ns - flight.steps_ns) / NS)
        flight.steps_ns = now_ns
        _, mean, *_ = flight.filter.mean_state()
        for k, sensor in enumerate(self.settings.sensors):
            if k not in flight.sensors and sensor.kind in ("radar3d", "radar2d") and in_sight(sensor, mean[:3]):
                flight.unseen_s[k] = flight.unseen_s.get(k, 0.0) + dt

    def alone(self, flight: Candidate) -> bool:
        """Tell whether one sensor alone speaks for a flight that another ought to have seen by now."""
        if len(flight.sensors) > 1 or flight.cued:
            return False
        return any(s > ONE_SENSOR_S + 2.0 * self.settings.sensors[k].period_s for k, s in flight.unseen_s.items())

    def _point(self, flight: Candidate) -> None:
        """Take what partners say of a flight, and keep it only while something rests on it; then all is said by plots alone."""
        if self._pointing is None:
            return
        t_ns, mean, covariance, *_ = flight.filter.mean_state()
        plots, row = len(flight.filter.plots), {"position_m": mean[:3], "velocity_m_s": mean[3:], "covariance": covariance}
        few = not flight.cued and (plots < PLOTS_MIN or not launch_like(row))
        unsure = self.alone(flight) or (len(flight.sensors) < 2 and not flight.cued and plots < PLOTS_SURE)
        flight.pointed, flight.leans = self._pointing.held(flight.pointed), flight.leans and few
        if unsure or flight.leans:
            flight.pointed |= self._pointing.at(t_ns, mean[:3], doubt_of(covariance))
        flight.backed = unsure and self._pointing.backs(flight.pointed, flight.sensors)
        if not few and not flight.backed:
            flight.pointed = frozenset()

    def _cue(self, flight: Candidate) -> bool:
        """Tell whether an infrared line of sight points at where the flight is, was, or was launched."""
        t_ns, mean, *_ = flight.filter.mean_state()
        within = flight.first_ns - round(CUE_S * NS), t_ns + 5 * NS
        if self._cues.shows(t_ns, mean[:3], mean[3:], *within):
            return True
        return flight.launch is not None and self._cues.passed(flight.launch.place_m, *within)


def _over(flight: Candidate, now_ns: int) -> bool:
    """Tell whether nothing more is to be said of a flight that is not seen any more."""
    return flight.landing_ns is None or now_ns > flight.landing_ns + GONE_S * NS
