"""Tracklets: equivalent measurements (DESIGN section 5), made of a track's plots, and fused by whoever receives them.

A tracklet is what an information filter, begun knowing nothing, makes of the plots since the last one on one declared model: it
holds no prior and so nothing twice. Its pedigree id (nation, stream, number, sequence) makes fusing it again harmless.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from trilat.fuse.registration import look
from trilat.kernels import geodesy
from trilat.records.columns import FLAG_BAROMETRIC, KIND_FIX, KIND_RADAR
from trilat.records.label import Label
from trilat.records.report import Pedigree
from trilat.records.sensor import Sensor
from trilat.records.track import Tracklet

Floats = NDArray[np.float64]
# The declared models: constant velocity with this acceleration noise (m2/s3).
MODELS: dict[str, float] = {"cv-slow": 0.02, "cv-4": 4.0, "cv-20": 20.0}
MODEL_OF_DOMAIN = {"sea": "cv-slow", "air": "cv-4", "unknown": "cv-4", "missile": "cv-20", "space": "cv-20"}
GATE = 16.27  # squared statistical distance that holds 99.9 % of true pairs, three degrees of freedom
RIVAL = 9.0  # a second choice this much worse (a likelihood of one in ninety) is no rival
GATE_REACH, NEAR_M = 5.0, 1_000.0
FIX_INFLATION = 1.5  # a self-report's error is not white: as the trackers take it
_UPPER = np.triu_indices(6)
_NEGATIVE_MAX = -1e-9  # of the largest eigenvalue: rounding on the wire


class TrackletSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How tracklets are made and fused.

    span_s: the longest time one tracklet speaks of; longer ones would tie together what the model's noise has parted. lag_s: how
    late one may be and still count in its place; later ones count at the edge and are counted. items_max: kept per track.
    """

    span_s: Annotated[float, Meta(ge=0.0, le=60.0)] = 5.0
    lag_s: Annotated[float, Meta(gt=0.0, le=600.0)] = 60.0
    items_max: Annotated[int, Meta(ge=4, le=100_000)] = 2_000


class _Open:
    """A tracklet in the making."""

    def __init__(self, origin_m: Floats, t_ns: int) -> None:
        self.origin_m, self.from_ns, self.t_ns = origin_m, t_ns, t_ns
        self.info, self.y = np.zeros((1, 6, 6)), np.zeros((1, 6))
        self.plots = 0
        self.model = "cv-4"
        self.sensors: set[str] = set()


class OwnPlots(NamedTuple):
    """Plots that belong to tracks: numbers, times (n,), places they are about (n, 3), information (n, 3, 3), state (n, 3).

    whitened (n, 3): how far each was from its track's prediction, in units of its sigma.
    """

    number: NDArray[np.int64]
    t_ns: NDArray[np.int64]
    about_m: Floats
    information: Floats
    state: Floats
    whitened: Floats


def plots_of_tracks(tracks: Any, columns: Any, sensor: Sensor, gate: float = GATE) -> OwnPlots:
    """Say which reports of one sensor are whose, and what each says of position: what `TrackletMaker.add` takes.

    tracks: TRACK_DTYPE columns of the stream's tracker at about the reports' time; columns: REPORT_DTYPE, one look of the sensor.
    A report that could be of two tracks, and two that could be of one, are left out: a tracklet may know less, never wrongly.
    Self-reported positions are taken by their claimed identity where a track holds it too, and by nothing else.
    """
    if len(columns) and int(columns["kind"][0]) >= KIND_FIX:
        return _fixes_of_tracks(tracks, columns, sensor, gate)
    tracks = tracks[(tracks["status"] > 0) & (tracks["status"] < 3)]
    radar = (columns["kind"] == KIND_RADAR) & np.isfinite(columns["range_m"]) & np.isfinite(columns["azimuth_rad"])
    columns = columns[radar]
    near = _near(tracks, columns, sensor)
    dt = (columns["t_ns"][near[:, 0]] - tracks["t_ns"][near[:, 1]])[:, None] * 1e-9
    held = tracks[near[:, 1]]
    about = held["position_m"] + dt * held["velocity_m_s"]
    site = geodesy.geodetic_to_ecef(sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
    basis = geodesy.enu_basis(sensor.lat_deg, sensor.lon_deg)
    value, jacobian, _ = look(site, basis, about, held["velocity_m_s"])
    report = columns[near[:, 0]]
    residual = np.stack([report["range_m"], report["azimuth_rad"], report["elevation_rad"]], axis=1) - value
    residual[:, 1] = (residual[:, 1] + np.pi) % (2 * np.pi) - np.pi
    names = ("sigma_range_m", "sigma_azimuth_rad", "sigma_elevation_rad")
    sigma = np.stack([np.where(report[n] > 0.0, report[n], getattr(sensor, n)) for n in names], axis=1)
    weight = np.where(np.isnan(residual), 0.0, sigma**-2.0)
    residual = np.where(np.isnan(residual), 0.0, residual)
    spread = jacobian @ held["covariance"][:, :3, :3] @ np.swapaxes(jacobian, 1, 2)
    spread[:, range(3), range(3)] += np.where(weight > 0.0, sigma**2, 1e6)
    squared = np.einsum("ni,ni->n", residual, np.linalg.solve(spread, residual[..., None])[..., 0])
    sure = _sure(near, squared, gate)
    white: Any = np.linalg.solve(np.linalg.cholesky(spread), residual[..., None])[..., 0]
    weighted = np.swapaxes(jacobian, 1, 2) * weight[:, None, :]
    state = np.einsum("nij,nj->ni", weighted, residual)
    return OwnPlots(
        held["number"][sure], report["t_ns"][sure], about[sure], (weighted @ jacobian)[sure], state[sure], white[sure]
    )


def _fixes_of_tracks(tracks: Any, columns: Any, sensor: Sensor, gate: float) -> OwnPlots:
    """Return self-reported positions that belong to tracks with the same address or MMSI, within the gate."""
    tracks = tracks[(tracks["status"] > 0) & (tracks["status"] < 3)]
    pairs = np.concatenate([_same(columns[name], tracks[name]) for name in ("address", "mmsi")])
    report, held = columns[pairs[:, 0]], tracks[pairs[:, 1]]
    about = held["position_m"] + ((report["t_ns"] - held["t_ns"]) * 1e-9)[:, None] * held["velocity_m_s"]
    alt = np.where(np.isnan(report["alt_m"]), 0.0, report["alt_m"])
    place = geodesy.geodetic_to_ecef(report["lat_deg"], report["lon_deg"], alt)
    level = np.where(report["sigma_horizontal_m"] > 0.0, report["sigma_horizontal_m"], sensor.sigma_horizontal_m)
    steep = np.where(report["sigma_vertical_m"] > 0.0, report["sigma_vertical_m"], sensor.sigma_vertical_m)
    known = np.isfinite(report["alt_m"]) & ((report["flags"] & FLAG_BAROMETRIC) == 0)
    basis = geodesy.enu_basis(report["lat_deg"], report["lon_deg"])
    weight = np.stack([level**-2.0, level**-2.0, np.where(known, steep**-2.0, 1e-8)], axis=1) / FIX_INFLATION**2
    information = np.swapaxes(basis, 1, 2) @ (weight[:, :, None] * basis)
    residual = place - about
    spread = held["covariance"][:, :3, :3] + np.linalg.inv(information)
    white: Any = np.linalg.solve(np.linalg.cholesky(spread), residual[..., None])[..., 0]
    sure = (white**2).sum(axis=1) < gate
    state = np.einsum("nij,nj->ni", information, residual)
    return OwnPlots(held["number"][sure], report["t_ns"][sure], about[sure], information[sure], state[sure], white[sure])


def _same(claimed: Any, held: Any) -> NDArray[np.int64]:
    """Return pairs (report, track) of equal identities, where one track alone holds it."""
    names, first, count = np.unique(held, return_index=True, return_counts=True)
    at = np.minimum(np.searchsorted(names, claimed), max(len(names) - 1, 0))
    if not len(names):
        return np.zeros((0, 2), np.int64)
    hit = np.flatnonzero((claimed >= 0) & (names[at] == claimed) & (count[at] == 1))
    return np.stack([hit, first[at[hit]]], axis=1)


def _near(tracks: Any, columns: Any, sensor: Sensor) -> NDArray[np.int64]:
    """Return pairs (report, track) that are near in range and bearing, with room for what both do not know."""
    spot = geodesy.ecef_to_rae(tracks["position_m"], sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
    reach = GATE_REACH * np.sqrt(np.trace(tracks["covariance"][:, :3, :3], axis1=1, axis2=2)) + NEAR_M
    away = np.abs(columns["range_m"][:, None] - spot[None, :, 0])
    turn = (columns["azimuth_rad"][:, None] - spot[None, :, 1] + np.pi) % (2 * np.pi) - np.pi
    side = np.abs(turn) * columns["range_m"][:, None]
    return np.argwhere((away < reach) & (side < reach + GATE_REACH * sensor.sigma_azimuth_rad * columns["range_m"][:, None]))


def _sure(near: NDArray[np.int64], squared: Floats, gate: float) -> NDArray[np.int64]:
    """Return the pairs within the gate that have no rival for their report or their track."""
    kept = np.flatnonzero(squared < gate)
    for side in (0, 1):
        rival = np.full(int(near.max(initial=-1)) + 1, np.inf)
        best = rival.copy()
        for k in np.flatnonzero(squared < gate + RIVAL):
            at = near[k, side]
            best[at], rival[at] = min(best[at], squared[k]), min(rival[at], max(best[at], squared[k]))
        kept = kept[(squared[kept] <= best[near[kept, side]]) & (rival[near[kept, side]] > squared[kept] + RIVAL)]
    return kept


class TrackletMaker:
    """Makes the tracklets of one stream (one tracker of one nation for one audience) from plots that belong to its tracks."""

    def __init__(self, nation: str, stream: str, settings: TrackletSettings | None = None) -> None:
        from trilat.kernels import information  # noqa: PLC0415 - numba loads here

        self.nation, self.stream, self.settings = nation, stream, settings or TrackletSettings()
        self._kernels = information
        self._open: dict[int, list[_Open]] = {}
        self._sequence: dict[int, int] = {}

    def add(
        self, number: int, t_ns: int, about_m: Floats, information: Floats, state: Floats, sensor: str, model: str = "cv-4"
    ) -> None:
        """Take one plot of track `number`: information (3, 3) on position, and information @ (measured - about_m) as state (3,).

        Rank-deficient information (a bearing, a range without height) is welcome. A plot older than what the open tracklets
        hold makes one of its own.
        """
        held = self._open.setdefault(number, [])
        span_ns = round(self.settings.span_s * 1e9)
        one = next((o for o in held if o.t_ns <= t_ns <= o.from_ns + span_ns), None)
        if one is None:
            one = _Open(about_m.astype(np.float64), t_ns)
            one.model = model
            held.append(one)
        info, y = np.zeros((1, 6, 6)), np.zeros((1, 6))
        info[0, :3, :3] = information
        y[0, :3] = state + information @ (about_m - one.origin_m)
        out_info, out_y = np.empty_like(info), np.empty_like(y)
        base = np.array([one.t_ns])
        noise = np.array([MODELS[one.model]])
        self._kernels.run(np.array([0, 1]), base, one.info, one.y, np.array([t_ns]), info, y, noise, t_ns, out_info, out_y)
        one.info, one.y, one.t_ns = out_info, out_y, t_ns
        one.plots += 1
        one.sensors.add(sensor)

    def take(
        self, label_of: Callable[[tuple[str, ...]], Label], of_track: Callable[[int], Mapping[str, Any]] | None = None
    ) -> list[Tracklet]:
        """Close every open tracklet and return them, ordered by track and time; none is made twice.

        label_of gives the label of what rests on the sensors named; of_track what else is known of a track: its domain, identity.
        """
        made = []
        for number in sorted(self._open):
            for one in sorted(self._open[number], key=lambda o: (o.t_ns, o.from_ns)):
                sequence = self._sequence[number] = self._sequence.get(number, 0) + 1
                sensors = tuple(sorted(one.sensors))
                made.append(
                    Tracklet(
                        stream=self.stream,
                        number=number,
                        sequence=sequence,
                        t_from_ns=one.from_ns,
                        t_ns=one.t_ns,
                        label=label_of(sensors),
                        pedigree=Pedigree(nation=self.nation, sensors=sensors),
                        model=one.model,
                        origin_ecef_m=tuple(one.origin_m.tolist()),
                        information_state=tuple(one.y[0].tolist()),
                        information=tuple(one.info[0][_UPPER].tolist()),
                        plots=one.plots,
                        **(of_track(number) if of_track else {}),
                    )
                )
        self._open.clear()
        return made


class Estimates(NamedTuple):
    """States of several tracks at one time: known (n,) tells which are known at all; ECEF mean (n, 6), covariance (n, 6, 6)."""

    known: NDArray[np.bool_]
    mean: Floats
    covariance: Floats


class _Item(NamedTuple):
    """One tracklet in a line: about its own origin."""

    t_ns: int
    identity: tuple[str, str, int, int]
    origin_m: tuple[float, float, float]
    noise: float
    info: Floats
    vector: Floats


class _Line:
    """The tracklets of one track inside the lag, in order, and what was known at its edge (nothing, until something was folded).

    Origin and noise are those of the first tracklet in order, whichever came first.
    """

    def __init__(self) -> None:
        self.edge_ns, self.info, self.vector = -1, np.zeros((6, 6)), np.zeros(6)
        self.origin_m: tuple[float, float, float] | None = None
        self.noise = 1.0
        self.ids: set[tuple[str, str, int, int]] = set()
        self.items: list[_Item] = []

    def begin(self) -> tuple[tuple[float, float, float], float]:
        """Return the origin and the noise of the line."""
        if self.origin_m is not None:
            return self.origin_m, self.noise
        return (self.items[0].origin_m, self.items[0].noise) if self.items else ((0.0, 0.0, 0.0), 1.0)


def _columns(items: Sequence[_Item], origins_m: Floats) -> tuple[Any, Floats, Floats]:
    """Return items' times (n,), information (n, 6, 6) and vectors (n, 6), each about its line's origin (n, 3)."""
    t_ns = np.array([item.t_ns for item in items], np.int64)
    info = np.array([item.info for item in items]).reshape(-1, 6, 6)
    vector = np.array([item.vector for item in items]).reshape(-1, 6)
    shift = np.array([item.origin_m for item in items]).reshape(-1, 3) - origins_m
    return t_ns, info, vector + np.einsum("nij,nj->ni", info[:, :, :3], shift)


class TrackletFuser:
    """Fuses tracklets of any number of nations into tracks, a function of the set of tracklets inside the lag.

    Which tracklets are of one target is the caller's to say: `target` is any hashable name. `refused` counts what was not used.
    """

    def __init__(self, settings: TrackletSettings | None = None) -> None:
        from trilat.kernels import information  # noqa: PLC0415 - numba loads here

        self.settings = settings or TrackletSettings()
        self.refused: Counter[str] = Counter()
        self._kernels = information
        self._lines: dict[Any, _Line] = {}

    def add(self, target: Any, nation: str, tracklet: Tracklet) -> bool:
        """Take one tracklet of a target from its verified origin; tells whether it was new and usable."""
        if tracklet.pedigree.nation != nation:
            self.refused["origin-not-partner"] += 1
            return False
        identity = (nation, tracklet.stream, tracklet.number, tracklet.sequence)
        info = np.zeros((6, 6))
        info[_UPPER] = tracklet.information
        info = np.triu(info) + np.triu(info, 1).T
        line = self._lines.get(target)
        if line is not None and identity in line.ids:
            return False
        values = np.linalg.eigvalsh(info)
        if tracklet.model not in MODELS or values[0] < _NEGATIVE_MAX * max(values[-1], 1e-300):
            self.refused["covariance-invalid" if tracklet.model in MODELS else "model-unknown"] += 1
            return False
        line = line or self._lines.setdefault(target, _Line())
        if tracklet.t_ns <= line.edge_ns:
            self.refused["report-late"] += 1
            return False
        line.ids.add(identity)
        vector = np.array(tracklet.information_state)
        item = _Item(tracklet.t_ns, identity, tracklet.origin_ecef_m, MODELS[tracklet.model], info, vector)
        insort(line.items, item, key=lambda one: one[:2])
        return True

    def estimates(self, targets: Sequence[Any], now_ns: int) -> Estimates:
        """Return the states of targets at a time; what is later than it does not count."""
        n, nothing = len(targets), _Line()
        held = [self._lines.get(target, nothing) for target in targets]
        parts = [[item for item in line.items if item.t_ns <= now_ns] for line in held]
        begins = [line.begin() for line in held]
        counts = [len(part) for part in parts]
        start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        origins_m, noise = np.array([b[0] for b in begins]).reshape(-1, 3), np.array([b[1] for b in begins])
        t_ns, info, vector = _columns([item for part in parts for item in part], np.repeat(origins_m, counts, axis=0))
        base_ns = np.array([min(line.edge_ns, now_ns) for line in held], np.int64)
        base_info = np.array([line.info for line in held]).reshape(-1, 6, 6)
        base_vector = np.array([line.vector for line in held]).reshape(-1, 6)
        out_info, out_vector, mean, covariance = np.empty((n, 6, 6)), np.empty((n, 6)), np.empty((n, 6)), np.empty((n, 6, 6))
        self._kernels.run(start, base_ns, base_info, base_vector, t_ns, info, vector, noise, now_ns, out_info, out_vector)
        self._kernels.states(out_info, out_vector, mean, covariance)
        mean[:, :3] += origins_m
        return Estimates(~np.isnan(mean[:, 0]), mean, covariance)

    def forget(self, now_ns: int) -> None:
        """Fold tracklets older than the lag into what is known at its edge; a target silent for twice the lag is dropped."""
        lag_ns = round(self.settings.lag_s * 1e9)
        edge_ns = now_ns - lag_ns
        for target in [t for t, line in self._lines.items() if not line.items and line.edge_ns < edge_ns - lag_ns]:
            del self._lines[target]
        for line in self._lines.values():
            count = bisect_right(line.items, edge_ns, key=lambda one: one.t_ns)
            count = max(count, len(line.items) - self.settings.items_max)
            if count > 0:
                self._fold(line, count)

    def _fold(self, line: _Line, count: int) -> None:
        """Fold the first items of a line into what is known at its edge."""
        line.origin_m, line.noise = line.begin()
        old, line.items = line.items[:count], line.items[count:]
        t_ns, info, vector = _columns(old, np.array(line.origin_m)[None])
        out_info, out_vector = np.empty((1, 6, 6)), np.empty((1, 6))
        base, start, noise = np.array([line.edge_ns]), np.array([0, count]), np.array([line.noise])
        last = old[-1].t_ns
        self._kernels.run(start, base, line.info[None], line.vector[None], t_ns, info, vector, noise, last, out_info, out_vector)
        line.edge_ns, line.info, line.vector = last, out_info[0], out_vector[0]
        line.ids -= {item.identity for item in old}
