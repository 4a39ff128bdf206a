"""The tracker as a library: arrays, DataFrames and benchmark scenarios in, arrays out, without a node or its records.

from trilat.track import track_table
tracks = track_table({"t_s": t, "range_m": r, "azimuth_rad": a, "elevation_rad": e}, lat_deg=33, lon_deg=130)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trilat.kernels import geodesy
from trilat.records.columns import KIND_BEARING, KIND_FIX, KIND_RADAR, Reports, empty_reports
from trilat.records.label import Label, Mode
from trilat.records.report import Pedigree
from trilat.records.sensor import Sensor
from trilat.track.settings import Domain, TrackerSettings
from trilat.track.tracker import Tracker

Floats = NDArray[np.float64]
# A library user has no policy and shares nothing: everything carries this label, releasable to nobody.
OWN = Label(policy="library", originator="ZZZ", mode=Mode(kind="exercise", id="library"), level=0)
EPOCH_NS = 1_700_000_000_000_000_000  # second zero of tables that count from zero
_TIMES = ("t_s", "t_ns")


def batch(columns: Any, source: str = "table") -> Reports:
    """Return report columns as a batch of one's own."""
    newest = int(columns["t_ns"].max()) if len(columns) else 0
    return Reports(source=source, label=OWN, pedigree=Pedigree(nation="ZZZ"), received_t_ns=newest, columns=columns)


def sensor_at(lat_deg: float, lon_deg: float, alt_m: float = 0.0, name: str = "sensor", **fields: Any) -> Sensor:
    """Return a sensor of one's own; fields are those of records.sensor.Sensor (kind defaults to radar3d)."""
    return Sensor(
        **{
            "id": name,
            "nation": "ZZZ",
            "kind": "radar3d",
            "label": OWN,
            "lat_deg": lat_deg,
            "lon_deg": lon_deg,
            "alt_m": alt_m,
            **fields,
        }
    )


def reports_of(table: Any, sensor: int = 0) -> Any:
    """Return REPORT_DTYPE columns of a table: a mapping of arrays, or anything with columns such as a DataFrame.

    Column names are those of records.columns.REPORT_DTYPE, plus `t_s` (seconds) for `t_ns`. The kind follows from what is
    there: lat_deg makes fixes, range_m radar plots, azimuth alone bearings. Raises KeyError for an unknown or missing column.
    """
    names = list(table.keys())
    time = next((name for name in _TIMES if name in names), None)
    if time is None:
        msg = f"no time column: one of {_TIMES} wanted, got {names}"
        raise KeyError(msg)
    out = empty_reports(len(np.asarray(table[time])))
    for name in names:
        if name == "t_s":
            out["t_ns"] = EPOCH_NS + np.round(np.asarray(table[name], np.float64) * 1e9).astype(np.int64)
        elif name in (out.dtype.names or ()):
            out[name] = np.asarray(table[name])
        else:
            msg = f"unknown column {name!r}: see REPORT_DTYPE in trilat.records.columns"
            raise KeyError(msg)
    if "kind" not in names:
        out["kind"] = KIND_FIX if "lat_deg" in names else (KIND_RADAR if "range_m" in names else KIND_BEARING)
    if "sensor" not in names:
        out["sensor"] = sensor
    return out


def track_table(
    table: Any, sensors: Sequence[Sensor] | Sensor | None = None, settings: TrackerSettings | None = None, every_s: float = 1.0
) -> dict[str, NDArray[Any]]:
    """Track a whole table of plots and return every track's states at a regular interval, as flat arrays.

    Returned arrays, one entry per track and time: number, t_ns, status (index into records.columns.STATUSES), lat_deg, lon_deg,
    alt_m, east_m_s, north_m_s, up_m_s, sigma_m (root of the position covariance's trace), existence.
    """
    columns = reports_of(table)
    if sensors is None:
        sensors = [sensor_at(0.0, 0.0, kind="fixes")]
    elif isinstance(sensors, Sensor):
        sensors = [sensors]
    tracker = Tracker(settings or TrackerSettings(), sensors, "library")
    columns = columns[np.argsort(columns["t_ns"], kind="stable")]
    shown = []
    step_ns = round(every_s * 1e9)
    now_ns = int(columns["t_ns"][0]) if len(columns) else 0
    at = 0
    while at < len(columns):
        now_ns += step_ns
        end = int(np.searchsorted(columns["t_ns"], now_ns))
        shown.append(tracker.step(now_ns, [batch(columns[at:end])]).columns)
        at = end
    return _flat(np.concatenate(shown) if shown else tracker.step(now_ns, []).columns)


def smoothed(history: Sequence[Any], noise_m2_s3: float = 5.0) -> dict[int, tuple[NDArray[np.int64], Floats, Floats]]:
    """Return every stored track's smoothed path: number -> times ns (n,), means (n, 6), covariances (n, 6, 6).

    history: TRACK_DTYPE columns as `Tracker.step` gave them, in time order; a state of each step is what was known then. Later
    reports improve earlier states (see kernels/smooth.py); noise_m2_s3 is the acceleration noise of the path, 5 for aircraft. A
    path ends with the last report that touched its track: what was only predicted after it is left out. Raises ValueError
    when times do not rise.
    """
    from trilat.kernels.smooth import smooth  # noqa: PLC0415 - only who smooths needs it

    rows: dict[int, list[Any]] = {}
    for columns in history:
        for row in columns:
            rows.setdefault(int(row["number"]), []).append(row)
    out = {}
    for number, held in sorted(rows.items()):
        path = np.array(held)
        if (np.diff(path["t_ns"]) <= 0).any():
            msg = f"track {number}: times of the history must rise"
            raise ValueError(msg)
        path = path[: int(path["updated_t_ns"].argmax()) + 1]  # the first state that knows the last report ends it
        mean = np.concatenate([path["position_m"], path["velocity_m_s"]], axis=1)
        out[number] = (path["t_ns"].copy(), *smooth(path["t_ns"], mean, path["covariance"], noise_m2_s3))
    return out


def _flat(tracks: Any) -> dict[str, NDArray[Any]]:
    """Return track columns as plain arrays in geodetic and local axes."""
    place = geodesy.ecef_to_geodetic(tracks["position_m"])
    velocity = np.einsum("nij,nj->ni", geodesy.enu_basis(place[:, 0], place[:, 1]), tracks["velocity_m_s"])
    spread = np.sqrt(np.einsum("nii->n", tracks["covariance"][:, :3, :3]))
    names = ("number", "t_ns", "status", "existence")
    return {
        **{name: tracks[name].copy() for name in names},
        **{name: place[:, k] for k, name in enumerate(("lat_deg", "lon_deg", "alt_m"))},
        **{name: velocity[:, k] for k, name in enumerate(("east_m_s", "north_m_s", "up_m_s"))},
        "sigma_m": spread,
    }


class Scenario:
    """A benchmark scenario file as the tracker sees it: its sensors, its scans, and the frame its positions are in.

    scenario: the arrays of the layout in benchmarks/scenarios.py (sensor_pos, sensor_sigma, scan_t, det, ...), with the optional
    keys sensor_births, domain, earth (flat | sphere | wgs84) and origin (lat deg, lon deg, height m of the frame's zero).
    """

    def __init__(self, scenario: Mapping[str, Any], domain: Domain | None = None, **settings: Any) -> None:
        self.arrays = scenario
        self.domain: Domain = str(scenario["domain"]) if "domain" in scenario else (domain or "air")  # type: ignore[assignment]  # checked by the settings
        earth = str(scenario["earth"]) if "earth" in scenario else ("sphere" if self.domain == "missile" else "flat")
        origin = np.asarray(scenario["origin"], float) if "origin" in scenario else np.array([38.0, 0.0, 0.0])
        self._turn, self._zero = np.eye(3), np.zeros(3)
        centre, spin, radius = (0.0, 0.0, 0.0), (0.0, 0.0, 7.292115e-5), 6_371_000.0
        if earth == "wgs84":
            self._turn, self._zero = geodesy.enu_basis(origin[0], origin[1]), geodesy.geodetic_to_ecef(*origin)
        elif earth == "sphere":
            lat = np.radians(origin[0])
            centre, spin = (0.0, 0.0, -radius), (0.0, float(7.2921159e-5 * np.cos(lat)), float(7.2921159e-5 * np.sin(lat)))
        base: dict[str, Any] = {"domains": (self.domain,), "earth": earth, "whole_scans": True, "frame_s": 0.01, "future_s": 0.1}
        base |= {"earth_centre_m": centre, "earth_spin_rad_s": spin, "earth_radius_m": radius, **settings}
        self.settings = TrackerSettings(**base)
        self.sensors = [self._sensor(k) for k in range(len(scenario["sensor_pos"]))]

    def _sensor(self, k: int) -> Sensor:
        """Return sensor k; where it stands goes into the table, the rest here."""
        s = self.arrays
        sigma = s["sensor_sigma"][k]
        missile = self.domain == "missile"
        reach = float(s["det"][:, 2].max()) * 1.05 if len(s["det"]) else 4e5
        return sensor_at(
            0.0,
            0.0,
            name=f"sensor{k}",
            period_s=float(s["sensor_period"][k]),
            range_max_m=reach,
            elevation_min_rad=0.035 if missile else -0.1,
            alt_max_m=1e7 if missile else 40_000.0,
            detection_probability=float(s["sensor_pd"][k]),
            clutter_per_scan=float(s["sensor_clutter"][k]),
            births_per_scan=float(s["sensor_births"][k]) if "sensor_births" in s else 1.0,
            sigma_elevation_rad=float(sigma[0]),
            sigma_azimuth_rad=float(sigma[1]),
            sigma_range_m=float(sigma[2]),
        )

    def tracker(self) -> Tracker:
        """Return a tracker for this file."""
        from trilat.kernels import bank as b  # noqa: PLC0415 - numba loads when a tracker is made
        from trilat.track.intake import sensor_table  # noqa: PLC0415 - same

        table = sensor_table(self.sensors, self.settings)
        # The file measures bearings from its x axis towards y: x takes the place of north, y that of east.
        axes = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]) @ self._turn
        place = np.asarray(self.arrays["sensor_pos"], float) @ self._turn + self._zero
        centre = np.array(self.settings.earth_centre_m)
        for k, row in enumerate(table):
            row[b.S_POSITION : b.S_POSITION + 3] = place[k]
            row[b.S_BASIS : b.S_BASIS + 9] = axes.ravel()
            out = place[k] - centre
            row[b.S_UP : b.S_UP + 3] = axes[2] if self.settings.earth == "flat" else out / np.linalg.norm(out)
        return Tracker(self.settings, self.sensors, "scenario", table)

    def scans(self) -> Iterator[tuple[int, int, Reports]]:
        """Yield (time ns, sensor, plots) of every scan, in time order."""
        s = self.arrays
        for k, t_s in enumerate(s["scan_t"]):
            part = s["det"][s["scan_start"][k] : s["scan_start"][k + 1]]
            t_ns, sensor = EPOCH_NS + round(float(t_s) * 1e9), int(s["scan_sensor"][k])
            columns = empty_reports(len(part))
            columns["t_ns"], columns["sensor"], columns["kind"] = t_ns, sensor, KIND_RADAR
            columns["elevation_rad"], columns["azimuth_rad"], columns["range_m"] = part.T if len(part) else (0.0, 0.0, 0.0)
            yield t_ns, sensor, batch(columns)

    def to_file_frame(self, position_m: Floats, velocity_m_s: Floats) -> tuple[Floats, Floats]:
        """Return positions and velocities (n, 3) of the engine's frame in the file's."""
        return (position_m - self._zero) @ self._turn.T, velocity_m_s @ self._turn.T
