"""The world of an exercise: steps through time and says which bytes each sensor's line carries. No clock, no socket."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trilat.exercise.links import SimulatedReceiver
from trilat.exercise.radar import SimulatedRadar
from trilat.exercise.scenario import Scenario, ScenarioSensor
from trilat.exercise.traffic import Movers, Traffic
from trilat.feeds.asterix_encode import encode_cat034_marks, encode_cat048
from trilat.flights.launches import Launched, SimulatedHighRadar

NS = 1_000_000_000
# The world moves in steps of this length at the most: targets move linearly within one.
STEP_MAX_NS = NS // 5
Simulated = SimulatedRadar | SimulatedReceiver | SimulatedHighRadar


class Line(NamedTuple):
    """Bytes that one sensor put on its line."""

    sensor: str
    data: bytes


class World:
    """A scenario from start_ns on. `step(now_ns)` gives what the sensors said since the last step."""

    def __init__(self, scenario: Scenario, start_ns: int) -> None:
        self.scenario = scenario
        self.start_ns = start_ns
        self.now_ns = start_ns
        self.traffic = Traffic(scenario)
        self.launched = tuple(Launched(launch) for launch in scenario.launch)
        n = len(self.traffic.sea)
        seeds = np.random.SeedSequence(scenario.seed).spawn(len(scenario.sensor))
        self._sensors: list[Simulated] = [
            _sensor(sensor, np.random.default_rng(seed), n) for sensor, seed in zip(scenario.sensor, seeds, strict=True)
        ]

    def prepare(self) -> None:
        """Work out the launches' flights now: it takes a second or so, which a clock that runs would be late by."""
        for one in self.launched:
            _ = one.flight

    def step(self, now_ns: int) -> list[Line]:
        """Return what every sensor put on its line in (last step, now_ns], in steps of at most STEP_MAX_NS."""
        lines: list[Line] = []
        while self.now_ns < now_ns:
            to_ns = min(now_ns, self.now_ns + STEP_MAX_NS)
            lines.extend(self._step(to_ns))
            self.now_ns = to_ns
        return lines

    def _step(self, to_ns: int) -> list[Line]:
        from_s, to_s = (self.now_ns - self.start_ns) / NS, (to_ns - self.start_ns) / NS
        movers = self.traffic.at(to_s)
        lines: list[Line] = []
        for sensor in self._sensors:
            if isinstance(sensor, SimulatedRadar):
                lines.extend(self._radar(sensor, from_s, to_s, movers))
            elif isinstance(sensor, SimulatedHighRadar):
                said = sensor.look(self.launched, from_s, to_s, self.start_ns)
                lines.extend([Line(sensor.sensor.id, said)] if said else [])
            else:
                lines.extend(Line(sensor.sensor.id, data) for data in sensor.hear(movers, from_s, to_s))
        return lines

    def _radar(self, radar: SimulatedRadar, from_s: float, to_s: float, movers: Movers) -> list[Line]:
        """Return the plots and sector marks of one radar, as CAT048 and CAT034 data blocks with the SIM bit set."""
        sensor = radar.sensor
        sac, sic = sensor.sac or 0, sensor.sic or 0
        plots = radar.sweep(movers, from_s, to_s, self.start_ns)
        blocks = encode_cat048(plots, sac, sic, simulated=True) if len(plots) else []
        times, azimuths = radar.marks(from_s, to_s)
        if times:
            t_ns = [self.start_ns + round(t * NS) for t in times]
            blocks += encode_cat034_marks(t_ns, azimuths, sac, sic, period_s=sensor.period_s)
        return [Line(sensor.id, block) for block in blocks]


def _sensor(sensor: ScenarioSensor, rng: np.random.Generator, n: int) -> Simulated:
    if sensor.link == "plots":
        return SimulatedHighRadar(sensor, rng)
    return SimulatedReceiver(sensor, rng, n) if sensor.link else SimulatedRadar(sensor, rng)
