"""Missile warning, items 1 to 3 of its issue: figures against oracles, priors, bounds and public flights.

    .venv/bin/python benchmarks/warning.py [--tiny] [PART ...]

Parts: physics gravity ellipse areas flights class rockets, and those of benchmarks/warning_false.py: cue plume stages space
traffic; those of benchmarks/warning_curve.py and warning_told.py: curve told wolf

Times are CPU time of this process. Public flights: range and apogee as published (notes' table; `dprk-missiles-nagix`); vehicles
and radars are generic. `gravity` wants heyoka (MPL-2.0), an oracle that the product does not use.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

import warning_curve
import warning_false
import warning_physics
import warning_told
from trilat.errors import ExerciseError
from trilat.flights.flight import Flight, Wanted, generic_flight
from trilat.flights.history import ROUNDED
from trilat.flights.observe import EPOCH_NS, EXERCISE, SITES, Observation, sensor_of
from trilat.kernels import ballistic, geodesy
from trilat.kernels.frames import earth
from trilat.records.assessment import Assessment
from trilat.track import Tracker, TrackerSettings
from trilat.warn.areas import shipped_layer, touched
from trilat.warn.assess import Assessor, AssessorSettings
from trilat.warn.landing import T_MAX_S, energy_range_m, predict
from trilat.warn.state import Coefficient, check
from warning_false import say

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
WGS84 = earth("wgs84")
SENSORS = tuple(sensor_of(site) for site in SITES)
# Date, range km, apogee km: the notes' table of public flights.
PUBLIC = [
    ("2017-05-14", 700, 2111.5), ("2017-07-04", 930, 2800), ("2017-08-29", 2700, 550), ("2017-09-15", 3700, 800),
    ("2022-03-24", 1080, 6200), ("2022-10-04", 4600, 1000), ("2022-11-18", 1000, 6100), ("2023-02-18", 900, 5700),
    ("2023-07-12", 1000, 6000), ("2023-12-18", 1002, 6518),
]  # fmt: skip
DRAWS = 3  # of noise, a flight
# Generic pads and azimuths of recorded launches: latitude, longitude, azimuth, first seed. The rules were set with others.
PADS = ((34.4, 127.5, 100.0, 40), (35.5, 129.4, 80.0, 640), (38.2, 128.6, 120.0, 740))
BOUNDS_KM = ((1_000, "SRBM"), (3_000, "MRBM"), (5_500, "IRBM"), (1e9, "ICBM"))


def areas(*, tiny: bool) -> None:
    """Time of the list of areas."""
    mean = np.concatenate(
        [geodesy.geodetic_to_ecef(40.0, 128.0, 120e3), geodesy.enu_basis(40.0, 128.0).T @ [4_000.0, 1_000.0, 2_500.0]]
    )
    found = predict(check(mean, np.diag([300.0**2] * 3 + [20.0**2] * 3)), T_MAX_S)
    assert found is not None  # noqa: S101 - a benchmark says so by stopping
    layer, turns = shipped_layer(), 3 if tiny else 50
    touched(layer, found, 0)
    spent = []
    for _ in range(turns):
        t0 = time.process_time()
        under = touched(layer, found, 0)
        spent.append((time.process_time() - t0) * 1e3)
    say(
        f"areas: {len(layer.areas)} areas, {len(layer.points):,} vertices: list of {len(under)} in {np.median(spent):.1f} ms CPU (10 ms)"  # noqa: E501 - one printed line
    )


def assess(flight: Any, end_s: float, seed: int) -> list[Assessment]:
    """Return every assessment of a flight seen by three nations' generic radars."""
    seen = Observation(SENSORS, flight.at, end_s, np.random.default_rng(seed))
    tracker = Tracker(TrackerSettings(), SENSORS, "bench")
    assessor = Assessor(AssessorSettings("JPN", "JPN/national", EXERCISE, SENSORS, shipped_layer()))
    out: list[Assessment] = []
    for now_ns, batches in seen.steps():
        out += assessor.step(now_ns, tracker.step(now_ns, batches), batches)
    first = int(seen.columns["t_ns"][0]) if len(seen.columns) else EPOCH_NS
    return [one for one in out if one.t_ns >= first]


def bound_m(flight: Flight, seconds: float, seed: int) -> float:
    """Return the 95 % long semi-axis m of the information bound: plots since burn-out alone, same prior and drag."""
    seen = Observation(SENSORS, flight.at, flight.burnout_s + seconds, np.random.default_rng(seed)).columns
    since = seen[seen["t_ns"] >= EPOCH_NS + flight.burnout_s * 1e9]
    per, begin = 1 / 5_000.0, flight.burnout_s
    base = flight.at(begin)
    step = np.array([50.0] * 3 + [0.5] * 3)
    starts = np.concatenate([base + np.diag(step), base - np.diag(step)])
    information = np.zeros((6, 6))
    for t_ns in np.unique(since["t_ns"]):
        dt = (int(t_ns) - EPOCH_NS) / 1e9 - begin
        moved = np.empty((12, 6))
        ballistic.move_many(WGS84, starts, np.full(12, per), dt, 0.1, moved)
        for row in since[since["t_ns"] == t_ns]:
            sensor = SENSORS[row["sensor"]]
            rae = geodesy.ecef_to_rae(moved[:, :3], sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
            slope = (rae[:6] - rae[6:]).T / (2 * step)
            sigma = np.array([sensor.sigma_range_m, sensor.sigma_azimuth_rad, sensor.sigma_elevation_rad])
            information += (slope / sigma[:, None]).T @ (slope / sigma[:, None])
    found = predict(check(base, np.asarray(np.linalg.inv(information), np.float64), beta=Coefficient()))
    return found.ellipse95.semi_m[0] if found is not None else float("nan")


def flights(*, tiny: bool) -> None:
    """Detection, burn-out, landing error and ellipse against its bound after burn-out, over fresh seeds."""
    detect, burnout, lists, false = list[float](), list[float](), list[float](), 0
    ratio, bounds = list[float](), list[float]()
    miss: dict[int, list[float]] = {10: [], 20: [], 60: []}
    rng = np.random.default_rng(101)
    runs, flight, held = 1 if tiny else 60, None, list[bool]()
    for seed in range(runs):
        if flight is None or seed % DRAWS == 0:  # each flight is seen with several draws of noise: a median of 20 is noisy
            reach = float(rng.uniform(200e3, 1_000e3))
            flight = generic_flight(
                Wanted(39.2, 125.7, float(rng.uniform(60, 100)), reach, reach * float(rng.uniform(0.25, 0.6)))
            )
        told = assess(flight, flight.burnout_s + 62.0, 500 + seed)
        bounds.append(warning_false.stop_bound_s(flight, 500 + seed))
        first = min((one.first_t_ns for one in told), default=0)
        seen = next((one.t_ns for one in told if one.state in ("detected", "assessed")), None)
        if seen is not None:
            detect.append((seen - first) / 1e9)
        calls = sorted({one.burnout_called_t_ns for one in told if one.burnout_called_t_ns})
        after = [(c - EPOCH_NS) / 1e9 - flight.burnout_s for c in calls]
        false += sum(1 for a in after if a < 0)
        burnout += [min(a for a in after if a >= 0)] if any(a >= 0 for a in after) else []
        listed = next((one.t_ns for one in told if one.areas and one.t_ns > EPOCH_NS + flight.burnout_s * 1e9), None)
        if listed is not None:
            lists.append((listed - EPOCH_NS) / 1e9 - flight.burnout_s)
        for seconds, kept in miss.items():
            at = [
                one.landing for one in told if one.landing and abs((one.t_ns - EPOCH_NS) / 1e9 - flight.burnout_s - seconds) < 0.6
            ]
            if at:
                place = geodesy.geodetic_to_ecef(at[0].lat_deg, at[0].lon_deg, 0.0)
                kept.append(float(np.linalg.norm(place - flight.landing_m)) / 1e3)
                held.append(kept[-1] * 1e3 < at[0].ellipse95.semi_major_m)
                if seconds == 60 and len(ratio) < 8:
                    ratio.append(at[0].ellipse95.semi_major_m / bound_m(flight, 60.0, 500 + seed))
    say(f"flights: {runs} of 200-1,000 km: detected {np.median(detect):.1f} s (median) after the first plot (8 s)")
    if burnout:
        say(
            f"flights: burn-out called {np.median(burnout):.1f} s (median), {max(burnout):.1f} s (max) after it (5 s); false {false}"  # noqa: E501 - one printed line
        )
    say(f"flights: bound of that: {np.median(bounds):.1f} s (median), from a pause of 2.5 s with 1 % false calls")
    if lists:
        say(f"flights: first area list {np.median(lists):.1f} s (median), {max(lists):.1f} s (max) after burn-out (10 s)")
    for seconds, kept in miss.items():
        median = f"{np.median(kept):.2f} km median" if kept else "none"
        say(f"flights: landing error at +{seconds} s: {median} of {len(kept)} with an ellipse (10 / 3 / 1 km)")
    say(f"flights: {np.mean(held):.0%} of {len(held)} landings nearer than the 95 % long axis")
    if ratio:
        say(
            f"flights: 95 % long axis at +60 s over the bound of the same run: {np.median(ratio):.2f} median, {max(ratio):.2f} max (1.3)"  # noqa: E501 - one printed line
        )


def of_km(km: float) -> str:
    """Return the class of a range."""
    return next(name for most, name in BOUNDS_KM if km < most)


def rows() -> list[tuple[str, float, float, float]]:
    """Return (name, range km, apogee km, bearing) of the recorded tests that hold both, launchers of satellites left out."""
    folder = DATA / "dprk-missiles-nagix"
    if not folder.is_dir():
        return []
    given = msgspec.json.decode((folder / "test.en.json").read_bytes())
    every = [row for part in given["timeBins"] for row in part["data"]]
    both = [r for r in every if isinstance(r["apogee"], int | float) and isinstance(r["distance"], int | float)]
    return [
        (f"{r['date']} {r['missile']}", float(r["distance"]), float(r["apogee"]), float(r["bearing"]))
        for r in both
        if not str(r["missile"]).startswith(("unha", "chollima"))
    ]


def judge(given: tuple[str, float, float, float], seed: int) -> tuple[bool, bool, bool, float, str, bool]:
    """Return for one public flight: class by range right, by energy right, loft named, Brier score, what was wrong.

    Last: class by range right where a range within ROUNDED of a bound may be either, as `trilat exercise history` has it.
    """
    name, range_km, apogee_km, bearing = given
    text = f"{name} {range_km:.0f}/{apogee_km:.0f}"
    try:
        flight = generic_flight(Wanted(39.2, 125.7, bearing, range_km * 1e3, apogee_km * 1e3))
    except ExerciseError:
        return False, False, False, 1.0, f"{text}: no generic flight found", False
    told = assess(flight, min(flight.burnout_s + 61.0, flight.landing_s - 1.0), seed)
    truth = of_km(flight.range_m / 1e3), of_km(energy_range_m(flight.at(flight.burnout_s + 1.0)) / 1e3)
    if not told or not told[-1].classes:
        return False, False, False, 1.0, f"{text}: nothing said", False
    last = told[-1]
    brier = sum((c.probability - (c.name == truth[1])) ** 2 for c in last.classes)
    found = last.classes_flown[0].name, last.classes[0].name
    steep = apogee_km > 0.6 * range_km
    wrong = "" if found == truth else f"{text}: {found} for {truth}"
    either = {of_km(flight.range_m / 1e3 * (1.0 + share)) for share in (-ROUNDED, ROUNDED)}
    named = not steep or last.shape == "lofted"
    return found[0] == truth[0], found[1] == truth[1], named, brier, wrong, found[0] in either


def klass(*, tiny: bool) -> None:
    """Class a minute after burn-out, from tracks alone, against the class of the published range and of its energy."""
    table = [(date, r, a, 75.0) for date, r, a in PUBLIC]
    for label, given in (("notes' table", table), ("recorded rows", rows())):
        judged = [judge(one, 900 + k) for k, one in enumerate(given[:2] if tiny else given)]
        if not judged:
            say(f"class: {label}: no recordings here")
            continue
        by_range, by_energy, named, brier, wrong, near = zip(*judged, strict=True)
        say(f"class: {label}: {len(judged)} rows; by range {sum(by_range)}, by energy {sum(by_energy)}, by loft {sum(named)}")
        say(f"class: {label}: by range {sum(near)} where what lies within 1 % of a bound may be either class")
        say(f"class: {label}: Brier {np.mean(brier):.3f}")
        for line in filter(None, wrong):
            say(f"class:   {line}")


class Rocket:
    """A recorded launch put on a generic pad: height and speed over time, along one azimuth, then free flight."""

    def __init__(self, folder: Path, azimuth_deg: float, lat_deg: float = 34.4, lon_deg: float = 127.5) -> None:
        given = msgspec.json.decode((folder / "analysed.json").read_bytes())
        t = np.array(given["time"], float)
        height, speed = np.array(given["altitude"], float) * 1e3, np.array(given["velocity"], float)
        fine = np.arange(t[0], t[-1], 0.1)
        height, speed = _smooth(np.interp(fine, t, height)), _smooth(np.interp(fine, t, speed))
        climb = np.gradient(height, 0.1)
        along = np.sqrt(np.maximum(speed**2 - climb**2, 0.0))
        angle = np.cumsum(along / (6_371e3 + height)) * 0.1
        start = geodesy.geodetic_to_ecef(lat_deg, lon_deg, 0.0)
        up = start / np.linalg.norm(start)
        basis, turn = geodesy.enu_basis(lat_deg, lon_deg), np.radians(azimuth_deg)
        side = basis[0] * np.sin(turn) + basis[1] * np.cos(turn)
        side -= up * (side @ up)
        side /= np.linalg.norm(side)
        radius = np.linalg.norm(start) + height
        place = radius[:, None] * (np.cos(angle)[:, None] * up + np.sin(angle)[:, None] * side)
        self.states = np.concatenate([place, np.gradient(place, 0.1, axis=0)], axis=1)
        self.end_s, self.top_m_s = float(fine[-1] - fine[0]), float(speed.max())
        free = np.empty((600, 6))
        ballistic.fly_one(WGS84, self.states[-20], 0.0, -1e5, 60.0, 0.1, 0.1, free, np.empty(ballistic.RESULT_COLUMNS))
        self.states = np.concatenate([self.states[:-20], free[np.isfinite(free[:, 0])]])

    def at(self, t_s: Any) -> np.ndarray:
        """Return states at times."""
        x = np.clip(np.asarray(t_s) * 10.0, 0, len(self.states) - 2)
        k = x.astype(int)
        u = (x - k)[..., None]
        return np.asarray(self.states[k] * (1 - u) + self.states[k + 1] * u)


def _smooth(values: np.ndarray) -> np.ndarray:
    kernel = np.hanning(61)
    padded = np.concatenate([2 * values[0] - values[30:0:-1], values, 2 * values[-1] - values[-2:-32:-1]])
    return np.convolve(padded, kernel / kernel.sum(), "valid")


def rockets(*, tiny: bool) -> None:
    """False warnings on recorded launches of satellites, from several pads; and when each is called a space launch."""
    folder = DATA / "rockets-shahar603"
    names = sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    for lat, lon, azimuth, seed in PADS[:1] if tiny else PADS:
        told = [
            lift(Rocket(folder / name, azimuth, lat, lon), name, seed + k) for k, name in enumerate(names[:1] if tiny else names)
        ]
        fast, space = sum(one.fast for one in told), sum(one.space for one in told)
        where = f"pad {lat} N {lon} E, azimuth {azimuth:.0f}"
        say(f"rockets: {where}: {len(told)} recorded launches: {sum(bool(one.listed) for one in told)} with an area list (0)")
        say(f"rockets: {fast} pass 7 km/s; space launch with p >= 0.9 within 20 s of the record's end: {space}")
        for line in (text for one in told for text in (one.listed, one.early) if text):
            say(f"rockets:   {line}")


class Lifted(NamedTuple):
    """What was said of one recorded launch: passes 7 km/s, called a space launch, when and as what areas were listed."""

    fast: bool
    space: bool
    listed: str
    early: str


def lift(rocket: Rocket, name: str, seed: int) -> Lifted:
    """Fly a recorded launch past the radars and return what was said of it."""
    told = assess(rocket, min(rocket.end_s + 20.0, len(rocket.states) / 10 - 1), seed)
    found = [one for one in told if one.areas]
    listed = f"{name} at {(found[0].t_ns - EPOCH_NS) / 1e9:.0f} s {found[0].classes[0].name}" if found else ""
    if rocket.top_m_s <= 7_000:
        return Lifted(fast=False, space=False, listed=listed, early="")
    at = [one for one in told if one.classes and one.classes[0].name == "space launch" and one.classes[0].probability >= 0.9]
    before = {one.classes[0].name for one in told if one.classes and (not at or one.t_ns < at[0].t_ns)}
    last = told[-1] if told else None
    early = f"{name}: before {sorted(before)}; last {last and last.classes and last.classes[0]}"
    wrong = not at or before - {"launch, unclassified"}
    return Lifted(fast=True, space=bool(at), listed=listed, early=early if wrong else "")


PARTS = {
    **warning_physics.PARTS, "areas": areas, "flights": flights, "class": klass, "rockets": rockets, **warning_false.PARTS,
    **warning_curve.PARTS, **warning_told.PARTS,
}  # fmt: skip


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(description="Missile warning measured.")
    parser.add_argument("part", nargs="*", help="only these, of " + ", ".join(PARTS))
    parser.add_argument("--tiny", action="store_true", help="the smallest run that still goes through everything")
    given = parser.parse_args()
    if unknown := sorted(set(given.part) - set(PARTS)):
        parser.error("unknown part: " + ", ".join(unknown))
    for name in given.part or PARTS:
        PARTS[name](tiny=given.tiny)


if __name__ == "__main__":
    main()
