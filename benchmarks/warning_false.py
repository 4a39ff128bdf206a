"""Missile warning: what is no missile, and how soon what is one is spoken of; parts of benchmarks/warning.py.

`traffic`: a day of aircraft, vessels, false plots and fires that infrared takes for launches, before three nations' radars;
`--tiny` ten minutes of it. `space`: satellites that pass, and one that comes down. `cue`: how soon a launch is detected with a
launch flash and without, seen by a satellite that stands and one that moves. `stages`: pauses between stages. `plume`: how soon
burn-out is called where infrared sees the plume go out, and how often falsely, also where its reports end while it burns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trilat.errors import ExerciseError
from trilat.flights.flight import Flight, Wanted, generic_flight
from trilat.flights.observe import EPOCH_NS, EXERCISE, SITES, Observation, flashes, sensor_of
from trilat.kernels import ballistic, geodesy
from trilat.kernels.frames import earth
from trilat.records.assessment import Assessment
from trilat.records.columns import KIND_BEARING, KIND_RADAR, Reports, empty_reports
from trilat.records.report import Pedigree
from trilat.records.sensor import Sensor
from trilat.track import Tracker, TrackerSettings
from trilat.warn.areas import shipped_layer
from trilat.warn.assess import Assessor, AssessorSettings, Pointing

Array = NDArray[np.float64]
NS = 1_000_000_000
RADARS = tuple(sensor_of(site) for site in SITES)
# Air surveillance beside the long-range radars, a coastal radar, and a satellite's infrared: generic, fictional.
AIR = tuple(
    Sensor(
        id=f"{nation}-AIR", nation=nation, kind="radar3d", label=EXERCISE, lat_deg=lat, lon_deg=lon, alt_m=300.0, period_s=10.0,
        range_max_m=450e3, alt_max_m=30e3, clutter_per_scan=20.0, sigma_range_m=75.0, sigma_azimuth_rad=1.5e-3,
        sigma_elevation_rad=2e-3,
    )
    for nation, lat, lon in (("JPN", 39.5, 139.8), ("KOR", 37.2, 127.5))
)  # fmt: skip
COAST = Sensor(
    id="JPN-SEA", nation="JPN", kind="radar2d", label=EXERCISE, lat_deg=40.8, lon_deg=139.9, alt_m=200.0, period_s=3.0,
    range_max_m=60e3, alt_max_m=400.0, clutter_per_scan=5.0, sigma_range_m=30.0, sigma_azimuth_rad=2e-3,
)  # fmt: skip
STANDING = Sensor(
    id="USA-IR", nation="USA", kind="bearing", label=EXERCISE, lat_deg=0.0, lon_deg=120.0, alt_m=35_786e3, period_s=5.0,
    range_max_m=5e7, alt_max_m=1e7, elevation_min_rad=-1.57, sigma_azimuth_rad=2e-5, sigma_elevation_rad=2e-5,
    detection_probability=0.95,
)  # fmt: skip
MOVING = Sensor(
    id="USA-LEO", nation="USA", kind="bearing", label=EXERCISE, period_s=2.0, range_max_m=5e7, alt_max_m=1e7,
    sigma_azimuth_rad=1e-4, sigma_elevation_rad=1e-4, detection_probability=0.95,
)  # fmt: skip
SENSORS = (*RADARS, *AIR, COAST, STANDING)
DAY_S, TINY_S, BLOCK_S, STEP_S = 86_400.0, 600.0, 600.0, 2.0
PAUSE_S, SURE = 2.5, 2.33  # longest pause between stages that is no burn-out; sigmas of 1 %
AIRCRAFT, VESSELS, FIRES_PER_HOUR = 60, 40, 2.0


def say(text: str) -> None:
    """Print one line at once."""
    print(text, flush=True)


class Watch:
    """Tracker and assessor over sensors, as a node runs them; keeps what was said."""

    def __init__(self, sensors: tuple[Sensor, ...], pointing: Pointing | None = None) -> None:
        self.tracker = Tracker(TrackerSettings(), sensors, "bench")
        self.assessor = Assessor(AssessorSettings("JPN", "JPN/combined", EXERCISE, sensors, shipped_layer()), pointing)
        self.told: list[Assessment] = []
        self.plots = 0

    def step(self, now_ns: int, batches: list[Reports]) -> None:
        """Take batches in."""
        self.plots += sum(len(one.columns) for one in batches)
        self.told += self.assessor.step(now_ns, self.tracker.step(now_ns, batches), batches)


class Movers:
    """Things that move over the ground for a while and are then replaced: place, course, speed, climb, turn."""

    def __init__(self, rng: np.random.Generator, count: int, draw: Callable[[np.random.Generator, int], Array]) -> None:
        self._rng, self._draw = rng, draw
        self._now = draw(rng, count)  # columns: lat, lon, height, course, speed, climb, turn, seconds left

    def places(self, t_s: Array) -> Array:
        """Return places (n, times, 3) ECEF over steady steps of time, and move on; courses turn, climbs end at their heights."""
        out = np.empty((len(self._now), len(t_s), 3))
        dt = float(t_s[1] - t_s[0])
        m = self._now
        for k in range(len(t_s)):
            out[:, k] = geodesy.geodetic_to_ecef(m[:, 0], m[:, 1], m[:, 2])
            m[:, 0] += np.degrees(m[:, 4] * np.cos(m[:, 3]) * dt / 6.371e6)
            m[:, 1] += np.degrees(m[:, 4] * np.sin(m[:, 3]) * dt / 6.371e6) / np.cos(np.radians(m[:, 0]))
            m[:, 2] = np.clip(m[:, 2] + m[:, 5] * dt, 0.0, 18_000.0)
            m[:, 3] += m[:, 6] * dt
            m[:, 7] -= dt
            change = self._rng.random(len(m)) < dt / 120.0
            m[change, 5:7] = self._draw(self._rng, int(change.sum()))[:, 5:7]
            over = m[:, 7] < 0.0
            m[over] = self._draw(self._rng, int(over.sum()))
        return out


def aircraft(rng: np.random.Generator, n: int) -> Array:
    """Return aircraft: airliners, and one in five a fighter that climbs up to 250 m/s and flies up to 600 m/s."""
    fighter = rng.random(n) < 0.2
    speed = np.where(fighter, rng.uniform(200, 600, n), rng.uniform(120, 260, n))
    climb = np.where(fighter, rng.uniform(-250, 250, n), rng.uniform(-12, 12, n)) * (rng.random(n) < 0.5)
    turn = np.where(rng.random(n) < 0.3, np.radians(rng.uniform(-3, 3, n)), 0.0)
    return np.column_stack([
        rng.uniform(35, 42, n), rng.uniform(126, 142, n), rng.uniform(300, 13_000, n), rng.uniform(0, 2 * np.pi, n), speed, climb,
        turn, rng.uniform(900, 5_400, n),
    ])  # fmt: skip


def vessels(rng: np.random.Generator, n: int) -> Array:
    """Return vessels off the coastal radar."""
    return np.column_stack([
        rng.uniform(40.4, 41.2, n), rng.uniform(139.0, 140.3, n), np.full(n, 15.0), rng.uniform(0, 2 * np.pi, n),
        rng.uniform(0, 20, n), np.zeros(n), rng.uniform(-0.002, 0.002, n), rng.uniform(1_800, 20_000, n),
    ])  # fmt: skip


def look(sensor: Sensor, k: int, places: Array, t_s: float, rng: np.random.Generator) -> NDArray[Any]:
    """Return one scan's plots of places (n, 3), with noise, misses and false plots uniform in the volume it covers."""
    rae = geodesy.ecef_to_rae(places, sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
    high = geodesy.ecef_to_geodetic(places)[:, 2]
    seen = (rae[:, 0] <= sensor.range_max_m) & (rae[:, 2] >= sensor.elevation_min_rad) & (high <= sensor.alt_max_m)
    seen &= rng.random(len(rae)) < sensor.detection_probability
    m = int(rng.poisson(sensor.clutter_per_scan))
    far = sensor.range_max_m * np.cbrt(rng.random(m))
    low = max(sensor.elevation_min_rad, 0.0)
    top = min(1.5, float(np.arcsin(min(1.0, sensor.alt_max_m / sensor.range_max_m)))) if sensor.alt_max_m < 1e6 else 1.2
    false = np.column_stack([far, rng.uniform(0, 2 * np.pi, m), np.arcsin(rng.uniform(np.sin(low), np.sin(top), m))])
    rae = np.concatenate([rae[seen], false])
    out, n = empty_reports(len(rae)), len(rae)
    out["t_ns"], out["sensor"], out["kind"] = EPOCH_NS + round(t_s * NS), k, KIND_RADAR
    out["range_m"] = np.maximum(rae[:, 0] + rng.standard_normal(n) * sensor.sigma_range_m, 1.0)
    out["azimuth_rad"] = np.mod(rae[:, 1] + rng.standard_normal(n) * sensor.sigma_azimuth_rad, 2 * np.pi)
    if sensor.kind == "radar3d":
        out["elevation_rad"] = rae[:, 2] + rng.standard_normal(n) * sensor.sigma_elevation_rad
    return out


def batch(sensor: Sensor, columns: NDArray[Any], now_ns: int) -> Reports:
    """Return columns as a sensor's batch."""
    pedigree = Pedigree(nation=sensor.nation, sensors=(sensor.id,))
    return Reports(source=sensor.id, label=EXERCISE, pedigree=pedigree, received_t_ns=now_ns, columns=columns)


def fire(rng: np.random.Generator, t_s: float) -> NDArray[Any]:
    """Return a line of sight of the standing satellite to a fire somewhere on the ground."""
    place = geodesy.geodetic_to_ecef(rng.uniform(35, 42), rng.uniform(126, 142), 500.0)
    rae = geodesy.ecef_to_rae(place, STANDING.lat_deg, STANDING.lon_deg, STANDING.alt_m)
    out = empty_reports(1)
    out["t_ns"], out["sensor"], out["kind"] = EPOCH_NS + round(t_s * NS), SENSORS.index(STANDING), KIND_BEARING
    out["azimuth_rad"], out["elevation_rad"] = rae[1] % (2 * np.pi), rae[2]
    return out


def day(end_s: float, seed: int) -> Iterator[tuple[int, list[Reports]]]:
    """Yield steps of a day's traffic: air, sea, false plots, fires."""
    rng = np.random.default_rng(seed)
    fly, sail = Movers(rng, AIRCRAFT, aircraft), Movers(rng, VESSELS, vessels)
    phase = [float(rng.uniform(0, s.period_s)) for s in SENSORS]
    for block_s in np.arange(0.0, end_s, BLOCK_S):
        t = block_s + np.arange(int(BLOCK_S))
        air, sea = fly.places(t), sail.places(t)
        both = np.concatenate([air, sea])
        for k in range(0, len(t), int(STEP_S)):
            now_s = float(t[k]) + STEP_S
            now_ns, out = EPOCH_NS + round(now_s * NS), []
            for s, sensor in enumerate(SENSORS[:-1]):
                scans = np.arange(np.ceil((t[k] - phase[s]) / sensor.period_s), np.ceil((now_s - phase[s]) / sensor.period_s))
                for scan in scans:
                    at_s = phase[s] + float(scan) * sensor.period_s
                    # Within a second nothing that flies here bends: the nearest second's place serves.
                    places = both[:, min(int(at_s - block_s), len(t) - 1)]
                    out.append(batch(sensor, look(sensor, s, places, at_s, rng), now_ns))
            if rng.random() < FIRES_PER_HOUR * STEP_S / 3_600.0:
                out.append(batch(STANDING, fire(rng, now_s - 0.5), now_ns))
            yield now_ns, out


def traffic(*, tiny: bool) -> None:
    """Detections and area lists in a day without a missile."""
    end_s, watch, t0 = TINY_S if tiny else DAY_S, Watch(SENSORS), time.process_time()
    for now_ns, batches in day(end_s, 61):
        watch.step(now_ns, batches)
    spoken = {one.flight for one in watch.told if one.state in ("detected", "assessed", "track-lost")}
    listed = {one.flight for one in watch.told if one.areas or one.landing}
    say(
        f"traffic: {end_s / 3_600:.1f} h, {AIRCRAFT} aircraft, {VESSELS} vessels, {watch.plots:,} plots, "
        f"{FIRES_PER_HOUR:.0f} fires an hour: {len(spoken)} false `detected` (1 in 24 h), {len(listed)} false area lists (0); "
        f"{len({one.flight for one in watch.told})} flights watched; {time.process_time() - t0:.0f} s CPU"
    )
    for number in sorted(spoken):
        of = [one for one in watch.told if one.flight == number]
        last = of[-1]
        states = sorted({one.state for one in of})
        say(f"traffic:   flight {number}: {states}, {last.alt_m / 1e3:.0f} km, {last.speed_m_s:.0f} m/s, {last.pedigree.sensors}")


def fall(height_m: float, speed_m_s: float, angle_deg: float, turn_deg: float, coefficient: float) -> tuple[Any, float]:
    """Return states by time of what falls freely from over the sea of Japan's west, and how long until it is down (or 900 s)."""
    lat, lon = 38.0, 126.0
    a, b = np.radians(angle_deg), np.radians(turn_deg)
    local = speed_m_s * np.array([np.cos(a) * np.sin(b), np.cos(a) * np.cos(b), np.sin(a)])
    state = np.concatenate([geodesy.geodetic_to_ecef(lat, lon, height_m), geodesy.enu_basis(lat, lon).T @ local])
    path, out = np.empty((9_000, 6)), np.empty(ballistic.RESULT_COLUMNS)
    rows = ballistic.fly_one(earth("wgs84"), state, 1.0 / coefficient, 0.0, 900.0, 0.1, 0.1, path, out)
    path = path[:rows]

    def at(t_s: Any) -> Array:
        x = np.clip(np.asarray(t_s) * 10.0, 0, len(path) - 2)
        k = x.astype(int)
        u = (x - k)[..., None]
        return np.asarray(path[k] * (1 - u) + path[k + 1] * u)

    return at, min(rows / 10.0, 900.0) - 0.5


def space(*, tiny: bool) -> None:
    """Satellites that pass overhead and satellites that come down: none may become a warning."""
    rng = np.random.default_rng(17)
    for label, count in (("satellites passing", 1 if tiny else 60), ("satellites coming down", 1 if tiny else 40)):
        listed, detected, unsure = 0, 0, 0
        for k in range(count):
            turn = float(rng.uniform(0, 360))
            spin = np.sin(np.radians(turn))  # the Earth turns eastwards under it
            if label == "satellites passing":
                height, angle, drag = float(rng.uniform(300e3, 1_200e3)), float(rng.uniform(-0.5, 0.5)), 1e6
                speed = float(np.sqrt(3.986e14 / (6.371e6 + height))) - 390.0 * spin
            else:
                height, angle, drag = float(rng.uniform(95e3, 130e3)), float(rng.uniform(-1.5, -0.3)), float(rng.uniform(50, 400))
                speed = 7_750.0 - 370.0 * spin
            at, end_s = fall(height, speed, angle, turn, drag)
            watch = Watch(RADARS)
            for now_ns, batches in Observation(RADARS, at, min(end_s, 300.0), np.random.default_rng(70 + k)).steps():
                watch.step(now_ns, batches)
            listed += any(one.areas for one in watch.told)
            detected += any(one.state in ("detected", "assessed") for one in watch.told)
            unsure += bool(watch.told) and watch.told[-1].state != "dropped"
        say(
            f"space: {count} {label}: {listed} with an area list (0), {detected} ever `detected`, {unsure} not dropped in the end"
        )


def drawn(rng: np.random.Generator, count: int, reach_m: tuple[float, float]) -> Iterator[Flight]:
    """Yield generic flights of drawn ranges, apogees, bearings and pauses between stages."""
    while count:
        reach = float(rng.uniform(*reach_m))
        wanted = Wanted(39.2, 125.7, float(rng.uniform(60, 100)), reach, reach * float(rng.uniform(0.25, 0.6)))
        try:
            yield generic_flight(wanted, gap_s=float(rng.uniform(0.0, 2.5)))
        except ExerciseError:
            continue
        count -= 1


def orbit(t_s: Any) -> Array:
    """Return places of a satellite on a circular orbit 1,500 km high that passes east of the sites (Earth-fixed, roughly)."""
    angle = np.asarray(t_s) * 9.04e-4 - 0.05
    lat, lon = 38.0 + np.degrees(angle), 150.0 - np.degrees(angle) * 0.4
    return geodesy.geodetic_to_ecef(lat, lon, np.full_like(lat, 1.5e6))


def cue(*, tiny: bool) -> None:
    """First radar plot to `detected`, by radars alone, with a standing and with a moving observer's launch flash."""
    setups: tuple[tuple[str, tuple[Sensor, ...]], ...] = (
        ("radars alone", RADARS), ("flash seen by a standing satellite", (*RADARS, STANDING)),
        ("flash seen by a moving satellite", (*RADARS, MOVING)),
    )  # fmt: skip
    waits: dict[str, list[float]] = {label: [] for label, _ in setups}
    for k, flight in enumerate(drawn(np.random.default_rng(303), 2 if tiny else 30, (200e3, 1_500e3))):
        for label, sensors in setups:
            watch, rng = Watch(sensors), np.random.default_rng(800 + k)
            seen = Observation(RADARS, flight.at, flight.burnout_s + 30.0, rng)
            flash = flashes(sensors[-1], flight, rng, orbit if sensors[-1] is MOVING else None) if len(sensors) > 3 else None
            for now_ns, batches in seen.steps():
                if flash is not None:
                    new = flash[(flash["t_ns"] <= now_ns) & (flash["t_ns"] > now_ns - NS // 2)].copy()
                    new["sensor"] = len(sensors) - 1
                    batches = [*batches, batch(sensors[-1], new, now_ns)] if len(new) else batches  # noqa: PLW2901 - more of it
                watch.step(now_ns, batches)
            at = next((one.t_ns for one in watch.told if one.state in ("detected", "assessed")), None)
            waits[label].append(float("nan") if at is None else (at - int(seen.columns["t_ns"][0])) / 1e9)
    for label, _ in setups:
        w, aim = np.array(waits[label]), 8 if label == "radars alone" else 3
        say(
            f"cue: {label}: first plot to `detected` {np.nanmedian(w):.1f} s median ({aim} s), {np.nanmax(w):.1f} s most, "
            f"{np.isnan(w).sum()} never, of {len(w)}"
        )


def stop_bound_s(flight: Flight, seed: int) -> float:
    """Return when a burn-out can be told from a pause, s after it: of 2.5 s, before a stage that pushes as this one began.

    By a test that knows the state and the moment exactly, so that the push alone is open, with 1 % false calls and half of the
    true ones (Neyman and Pearson: its signal is 2.33 sigmas). What does not know them needs longer.
    """
    seen = Observation(RADARS, flight.at, flight.burnout_s + 22.0, np.random.default_rng(seed)).columns
    told = 0.0
    for row in seen[seen["t_ns"] > EPOCH_NS + (flight.burnout_s + PAUSE_S) * 1e9]:
        sensor, t_s = RADARS[row["sensor"]], (int(row["t_ns"]) - EPOCH_NS) / 1e9
        state = flight.at(np.array([t_s]))[0]
        push_m = 0.5 * float(flight.stages[-1, 2]) * (t_s - flight.burnout_s - PAUSE_S) ** 2
        there = np.array([state[:3], state[:3] + push_m * state[3:] / np.linalg.norm(state[3:])])
        rae = geodesy.ecef_to_rae(there, sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
        sigma = np.array([sensor.sigma_range_m, sensor.sigma_azimuth_rad, sensor.sigma_elevation_rad])
        told += float((((rae[1] - rae[0]) / sigma) ** 2).sum())
        if told > SURE**2:
            return t_s - flight.burnout_s
    return float("nan")


def stages(*, tiny: bool) -> None:
    """Burn-outs called in pauses between stages of 0 to 2.5 s, by radars alone and where two satellites see the plume."""
    count = 1 if tiny else 120
    flown = list(drawn(np.random.default_rng(404), count, (1_800e3, 5_000e3)))
    pauses = sum(len(flight.stages) - 1 for flight in flown)
    for name, satellites in (("radars alone", ()), ("with two satellites", (STANDING, MOVING))):
        false, back, listed, late = 0, list[float](), 0, list[float]()
        for k, flight in enumerate(flown):
            told = seen_burning(flight, satellites, 900 + k)
            said = [((one.t_ns - EPOCH_NS) / NS, one) for one in told]
            calls = {one.burnout_called_t_ns for one in told if one.burnout_called_t_ns}
            after = sorted((one - EPOCH_NS) / NS - flight.burnout_s for one in calls)
            late += [one for one in after if one >= 0.0][:1]
            wrong = [t_s for t_s, one in said if one.burnout_called_t_ns and t_s < flight.burnout_s]
            listed += any(one.areas and t_s < flight.burnout_s for t_s, one in said)
            if wrong:
                false += 1
                back += [t_s - wrong[0] for t_s, one in said if t_s > wrong[0] and one.burnout_called_t_ns is None][:1]
        took = f", taken back after {np.median(back):.1f} s (median), {max(back):.1f} s (max) in {len(back)}" if back else ""
        say(
            f"stages: {count} flights with {pauses} pauses of 0-2.5 s, {name}: {false} called in a pause ({false / count:.1%} of "
            f"flights; aim 1 %){took}, {listed} with areas; called {np.median(late):.1f} s (median) after burn-out"
        )


def seen_burning(flight: Flight, satellites: tuple[Sensor, ...], seed: int, cease: float | None = None) -> list[Assessment]:
    """Return what is said of a flight till 14 s after burn-out; infrared's reports end after a share of the burn, if given."""
    sensors = (*RADARS, *satellites)
    seen, rng = (
        Observation(RADARS, flight.at, flight.burnout_s + 14.0, np.random.default_rng(seed)),
        np.random.default_rng(seed + 7),
    )
    parts = [seen.columns]
    for k, sensor in enumerate(satellites):
        one = flashes(sensor, flight, rng, orbit if sensor is MOVING else None)
        one["sensor"] = len(RADARS) + k
        parts.append(one if cease is None else one[one["t_ns"] < EPOCH_NS + cease * flight.burnout_s * NS])
    columns = np.concatenate(parts)
    seen.columns, seen.sensors = columns[np.argsort(columns["t_ns"], kind="stable")], sensors
    watch = Watch(sensors)
    for now_ns, batches in seen.steps():
        watch.step(now_ns, batches)
    return watch.told


def plume(*, tiny: bool) -> None:
    """Burn-out called with infrared beside the radars: how soon, and how often falsely."""
    count = 1 if tiny else 30
    for label, reach_m, seed in (("200-1,000 km", (200e3, 1_000e3), 606), ("in stages, 1,800-5,000 km", (1_800e3, 5_000e3), 707)):
        flown = list(drawn(np.random.default_rng(seed), count, reach_m))
        for name, satellites, cease in (
            ("radars alone", (), None), ("a satellite every 5 s", (STANDING,), None), ("one every 2 s", (MOVING,), None),
            ("both", (STANDING, MOVING), None), ("both, silent from 0.75 of the burn on", (STANDING, MOVING), 0.75),
        ):  # fmt: skip
            late, false = list[float](), 0
            for k, flight in enumerate(flown):
                told = seen_burning(flight, satellites, 1_200 + k, cease)
                calls = sorted({one.burnout_called_t_ns for one in told if one.burnout_called_t_ns})
                after = [(one - EPOCH_NS) / 1e9 - flight.burnout_s for one in calls]
                false += sum(1 for one in after if one < 0.0)
                late += [one for one in after if one >= 0.0][:1]
            median = f"{np.median(late):.1f} s (median), {max(late):.1f} s (max) after it" if late else "never"
            say(f"plume: {count} flights of {label}, {name}: burn-out called {median} (5 s); {false} falsely (1 %)")


PARTS: dict[str, Callable[..., None]] = {"cue": cue, "plume": plume, "stages": stages, "space": space, "traffic": traffic}
