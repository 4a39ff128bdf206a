"""Two radars of one nation, one of them biased, and aircraft that report themselves: through a watch and a tracker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from trilat.cli.bench_fusion_world import T0_NS, Real, Tally, label_of, make_real_world
from trilat.fuse.registration import RegistrationSettings
from trilat.joint.watch import SensorWatch
from trilat.kernels import geodesy
from trilat.records.columns import KIND_FIX, empty_reports
from trilat.records.sensor import Sensor
from trilat.track import Tracker, TrackerSettings
from trilat.track.library import batch

DEG = np.pi / 180
HONEST = {"range": 0.0, "azimuth": 0.0, "elevation": 0.0, "time": 0.0}
TRUTH = {"range": 100.0, "azimuth": 0.2 * DEG, "elevation": 0.1 * DEG, "time": 0.5}


def fixes(truth: Any, t: int, g: np.random.Generator) -> Any:
    """Give what the aircraft say of themselves, 20 m off."""
    place = geodesy.ecef_to_geodetic(truth[:, :3] + g.normal(0, 20.0, (len(truth), 3)))
    local = np.einsum("nij,nj->ni", geodesy.enu_basis(place[:, 0], place[:, 1]), truth[:, 3:])
    out = empty_reports(len(truth))
    out["kind"], out["t_ns"], out["address"] = KIND_FIX, T0_NS + t * 10**9, np.arange(len(truth)) + 0x840000
    out["lat_deg"], out["lon_deg"], out["alt_m"] = place.T
    out["speed_m_s"], out["course_rad"] = np.hypot(local[:, 0], local[:, 1]), np.arctan2(local[:, 0], local[:, 1]) % (2 * np.pi)
    out["vertical_rate_m_s"], out["sigma_horizontal_m"], out["sigma_vertical_m"] = local[:, 2], 20.0, 20.0
    return out


class Watched(NamedTuple):
    """What came of it: the watch, the tracks (columns) at the end, and errors and tracks too many over the last minute."""

    watch: SensorWatch
    tracks: Any
    rmse_m: float
    false: float


def elsewhere(one: Sensor, place_m: tuple[float, float, float]) -> Sensor:
    """Return a radar as it is said to stand when it truly stands place_m (east, north, up) beside that."""
    here = geodesy.geodetic_to_ecef(one.lat_deg, one.lon_deg, one.alt_m)
    lat, lon, alt = geodesy.ecef_to_geodetic(here - np.array(place_m) @ geodesy.enu_basis(one.lat_deg, one.lon_deg))
    return msgspec.structs.replace(one, lat_deg=float(lat), lon_deg=float(lon), alt_m=float(alt))


def watched(
    targets: int,
    seconds: int,
    seed: int,
    truth: Mapping[str, float] = TRUTH,
    place_m: tuple[float, float, float] = (0.0, 0.0, 0.0),
    registration: RegistrationSettings | None = None,
    silent: int = 0,
) -> Watched:
    """Let the first radar add `truth` to its plots for so many seconds, and stand place_m beside where it is said to.

    silent: so many aircraft do not report themselves.
    """
    world = make_real_world(2, targets, seconds, seed, Real(turning=0.0))
    sensors = [msgspec.structs.replace(one, nation="AAA", label=label_of("AAA")) for one in world.radars]
    sensors[0] = elsewhere(sensors[0], place_m)
    sensors.append(Sensor(id="adsb", nation="AAA", kind="fixes", label=label_of("AAA"), period_s=1.0, sigma_horizontal_m=20.0))
    settings = TrackerSettings(domains=("air",))
    watch, tracker, g = SensorWatch(sensors, registration), Tracker(settings, sensors, "AAA/national"), np.random.default_rng(1)
    tracks, tally = tracker.step(T0_NS, []), Tally()
    for t, plots in enumerate(world.plots[1:], 1):
        now_ns = T0_NS + (t + 1) * 10**9
        parts = []
        for k, columns in plots:
            columns["sensor"] = k
            if k == 0:
                columns["range_m"] += truth["range"]
                columns["azimuth_rad"] = (columns["azimuth_rad"] + truth["azimuth"]) % (2 * np.pi)
                columns["elevation_rad"] += truth["elevation"]
                columns["t_ns"] += round(truth["time"] * 1e9)
            parts.append(batch(columns, sensors[k].id))
        said = fixes(world.truth[t, silent:], t, g)
        said["sensor"] = 2
        parts.append(batch(said, "adsb"))
        tracks = tracker.step(now_ns, watch.take(now_ns, parts))
        watch.learn(now_ns, tracks, tracker.fit())
        if t > seconds - 60:
            there = world.truth[t].copy()
            there[:, :3] += there[:, 3:]  # tracks are shown a second later
            tally.add(there, tracks.columns)
    figures = tally.figures()
    return Watched(watch, tracks.columns, figures["rmse_m"], figures["false"])
