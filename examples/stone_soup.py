"""Stone Soup users: run `Detection`s through Trilat's tracker, and get `Track`s of `GaussianState`s back.

Stone Soup is no dependency of Trilat: `pip install 'trilat[compare]'` brings it. States are Cartesian metres of one local frame,
whose place on the Earth is given here: x east, y north, z up at its zero. `mapping` and `velocity_mapping` say where a state
vector holds these axes; two of them make a level world, whose detections lie at `height_m`, give or take `sigma_height_m`.

    adapter = StoneSoupTracker(lat_deg=33.0, lon_deg=130.0, period_s=4.0)
    for time, detections in detector:
        tracks = adapter.step(time, detections)     # a set of stonesoup.types.track.Track

A detection is read by its own measurement model, with the model's offsets, rotation and noise: `READERS` in
stone_soup_detections.py names the models.
What cannot be read raises `DetectionRefused`, with the remedy, before the tracker sees anything of that step. Bearings alone
update tracks, they begin none. Metadata that names a target (icao24, mmsi, callsign, squawk) is evidence to the tracker, and
comes back in the metadata of the track.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from stone_soup_detections import DetectionRefused, LocalFrame, Site, ns_of, read
from stonesoup.types.detection import Detection, MissedDetection
from stonesoup.types.track import Track

from trilat.kernels import bank, geodesy
from trilat.records.columns import Tracks, empty_reports, joined
from trilat.track import Tracker, TrackerSettings, sensor_at
from trilat.track.intake import sensor_table
from trilat.track.library import batch

SHOWN = (1, 2)  # confirmed and coasting, of records.columns.STATUSES
BIRTH_M_S = 200.0  # sigma of a new aircraft's velocity (trilat.track.settings.MODELS)
SPAN_M = 20_000.0  # the tracker takes false plots as spread over this height
FORGET_NS = 180_000_000_000  # a track that ended is kept so long, for it may be found again
EPOCH = dt.datetime.fromtimestamp(0, dt.UTC)


class StoneSoupTracker:
    """Trilat's tracker with Stone Soup's types outside.

    fields: those of records.sensor.Sensor, for every sensor: above all period_s (time between looks), detection_probability,
    clutter_per_scan and range_max_m. A sensor is met with its first detection; one tracker has at most 64, so a model whose
    offset moves with each detection ends that soon. `tracker.refused` counts what was not believed (NaN, times in the future).
    """

    def __init__(
        self,
        lat_deg: float,
        lon_deg: float,
        settings: TrackerSettings | None = None,
        mapping: Sequence[int] = (0, 2, 4),
        velocity_mapping: Sequence[int] = (1, 3, 5),
        height_m: float | None = None,
        sigma_height_m: float | None = None,
        **fields: Any,
    ) -> None:
        self.frame = LocalFrame(lat_deg, lon_deg, mapping, velocity_mapping, height_m, sigma_height_m)
        self.tracks: dict[int, Track] = {}
        self._settings, self._fields = settings or TrackerSettings(domains=("air",)), fields
        self._sites: dict[Site, int] = {}
        self.tracker = self._with([Site("fixes", level=len(self.frame.mapping) == 2)])

    def step(self, time: dt.datetime, detections: Iterable[Detection]) -> set[Track]:
        """Take one time's detections; return every confirmed track, each grown by its state at that time.

        Raises DetectionRefused for the first detection that cannot be read; the tracker is then as it was.
        """
        now_ns = ns_of(time)
        plots = [read(self.frame, one, time) for one in detections if not isinstance(one, MissedDetection)]
        if fresh := [site for site in dict.fromkeys(plot.site for plot in plots) if site not in self._sites]:
            before, self.tracker = self.tracker, self._with(fresh)
            self.tracker.restore(before.checkpoint())
        for plot in plots:
            plot.report["sensor"] = self._sites[plot.site]
            if plot.wide is not None:
                self.tracker.wide.put(plot.report, plot.wide)
        columns = joined([plot.report for plot in plots]) if plots else empty_reports(0)
        shown = self.tracker.step(now_ns, [batch(columns)])
        alive = _grow(self.tracks, shown, self.frame, time)
        self.tracks = {number: one for number, one in self.tracks.items() if now_ns - ns_of(one.timestamp) < FORGET_NS}
        return alive

    def _with(self, fresh: Sequence[Site]) -> Tracker:
        """Return a tracker that knows these sites as well, at the end of its table."""
        if len(self._sites) + len(fresh) > bank.SENSORS:
            message = f"more than {bank.SENSORS} sensors (places, axes and kinds of model)"
            raise DetectionRefused("sensors", f"{message}: use a LinearGaussian model of converted places for one that moves")
        sites = self._sites | {site: len(self._sites) + k for k, site in enumerate(fresh)}
        sensors = [self._sensor(site, k) for site, k in sites.items()]
        table = sensor_table(sensors, self._settings)
        for row, site in zip(table, sites, strict=True):
            x, y, z = np.reshape(site.axes, (3, 3)) @ self.frame.basis
            row[bank.S_POSITION : bank.S_POSITION + 3] = self.frame.zero + np.array(site.place) @ self.frame.basis
            # Bearings go from x towards y: x takes the place of north, y that of east.
            row[bank.S_BASIS : bank.S_BASIS + 9] = np.concatenate([y, x, z])
        self._sites = sites
        return Tracker(self._settings, sensors, "stone-soup", table)

    def _sensor(self, site: Site, k: int) -> Any:
        """Return a site as a sensor of the tracker's."""
        fields = {"clutter_per_scan": 5.0, "births_per_scan": 1.0} | self._fields
        if site.level and site.kind != "bearing":
            # Its false plots lie in the plane as well, not in all the heights that the tracker spreads them over.
            fields.setdefault("elevation_min_rad", -np.pi / 2)
            # How many times as dense follows from how far a new track's second plot may lie off in height.
            second_m = np.hypot(np.sqrt(2.0) * self.frame.sigma_height_m, BIRTH_M_S * fields.get("period_s", 4.0))
            dense = max(SPAN_M / (np.sqrt(2.0 * np.pi) * second_m), 1.0)
            fields |= {name: min(fields[name] * dense, 1e6) for name in ("clutter_per_scan", "births_per_scan")}
        lat, lon, alt = geodesy.ecef_to_geodetic(self.frame.zero + np.array(site.place) @ self.frame.basis).tolist()
        return sensor_at(lat, lon, alt, f"site-{k}", **({"kind": site.kind} | fields))


def tracks_of(history: Iterable[Tracks], frame: LocalFrame) -> list[Track]:
    """Return what `Tracker.step` gave, step by step, as Stone Soup's tracks: confirmed and coasting states, times in UTC."""
    held: dict[int, Track] = {}
    for shown in history:
        time = EPOCH + dt.timedelta(microseconds=shown.t_ns // 1_000)
        _grow(held, shown, frame, time)
    return [held[number] for number in sorted(held)]


def _grow(held: dict[int, Track], shown: Tracks, frame: LocalFrame, time: dt.datetime) -> set[Track]:
    """Add the states of one time to the tracks that are held, by number; return those that have one."""
    alive = set()
    for row in shown.columns[np.isin(shown.columns["status"], SHOWN)]:
        track = held.setdefault(int(row["number"]), Track(id=str(int(row["number"]))))
        track.append(frame.state(row, time))
        for name, column, form in (("icao24", "address", "06x"), ("mmsi", "mmsi", "d"), ("squawk", "mode_3a", "04o")):
            if row[column] >= 0:
                track.metadata[name] = f"{row[column]:{form}}"
        if row["callsign"]:
            track.metadata["callsign"] = row["callsign"].decode("ascii")
        alive.add(track)
    return alive
