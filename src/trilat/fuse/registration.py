"""Registration: what each sensor adds to what it measures - range, azimuth, elevation, time, its own place - and taking it off.

All sensors' biases are one linear least-squares problem in information form: a plot against a reference (self-reported positions)
speaks of its sensor alone, a plot against another sensor's position of the same target speaks of both. Old evidence fades, so
that drift is followed. Bar-Shalom, Li and Kirubarajan, Estimation with Applications to Tracking and Navigation, 2001, sec. 3.4.

A place is believed as surveyed until the plots contradict it: range and angles explain most of what a wrong place does, and two
places that are both free can move anything anywhere. See `judged`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from trilat.kernels import geodesy
from trilat.records.columns import KIND_RADAR
from trilat.records.sensor import Sensor

Floats = NDArray[np.float64]
# Order of a sensor's biases: range m, azimuth rad, elevation rad, time s (a stamp this much too late), then its place: how far
# east, north and above of where it is said to be it stands, m.
RANGE, AZIMUTH, ELEVATION, TIME, PLACE = 0, 1, 2, 3, 4
BIASES = 7
UNKNOWN_VARIANCE = 1e6  # of an angle that was not measured: as good as no measurement
CONSIDER = 4.0  # plots that a track remembers: so many times is the variance of what they share counted
DETERMINED = 0.1  # what is taken off is known so much better (in variance) than before anything was seen
_COS_MIN = 0.05  # azimuth says little straight overhead
_NEAREST_M = 1.0


class RegistrationSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What biases are thought possible before anything is seen (one sigma), how fast evidence fades, what is believed.

    place_sigma_m: of a surveyed place; place_wrong_sigma_m: of one that the plots contradict, which they do when a place that
    is free fits them better by place_gate (squared statistical distance, far beyond chance: plots share what no model has). gate:
    squared statistical distance beyond which a pair is no pair (three degrees of freedom, 1 in 100,000). sigmas_min: a bias is
    taken off when it is this many of its own sigmas.
    """

    range_sigma_m: Annotated[float, Meta(gt=0)] = 500.0
    azimuth_sigma_rad: Annotated[float, Meta(gt=0)] = 0.01
    elevation_sigma_rad: Annotated[float, Meta(gt=0)] = 0.01
    time_sigma_s: Annotated[float, Meta(gt=0)] = 1.5
    place_sigma_m: Annotated[float, Meta(gt=0)] = 1.0
    place_wrong_sigma_m: Annotated[float, Meta(gt=0)] = 500.0
    place_gate: Annotated[float, Meta(gt=0)] = 100.0
    fade_s: Annotated[float, Meta(gt=0)] = 1_800.0
    gate: Annotated[float, Meta(gt=0)] = 25.9
    sigmas_min: Annotated[float, Meta(ge=0)] = 3.0


class Bias(NamedTuple):
    """One sensor's biases (7,) in the order of this module, their covariance (7, 7), and how many plots speak of them.

    taken (7,): what of them is sure enough to be taken off; doubt (7, 7): covariance of what is left then; surveyed: its place is
    believed.
    """

    value: Floats
    covariance: Floats
    plots: int
    taken: Floats
    doubt: Floats
    surveyed: bool

    def sigma(self) -> Floats:
        """Return one sigma of each bias."""
        return np.sqrt(np.diag(self.covariance))


class Registration:
    """The biases of the sensors of one tracker (one audience). `rejected` counts pairs beyond the gate, by sensor."""

    def __init__(self, sensors: Sequence[Sensor], settings: RegistrationSettings | None = None) -> None:
        s = self.settings = settings or RegistrationSettings()
        self.sensors = tuple(sensors)
        one = np.array([s.range_sigma_m, s.azimuth_sigma_rad, s.elevation_sigma_rad, s.time_sigma_s, *[s.place_sigma_m] * 3])
        self._surveyed, self._moved = (np.tile(np.square(sigma), len(sensors)) for sigma in (one, _wide(one, s)))
        self._info = np.zeros((len(self._surveyed),) * 2)
        self._vector = np.zeros(len(self._surveyed))
        self._plots = np.zeros(len(sensors), np.int64)
        self._t_ns: int | None = None
        # With every place free, which pairs are weighed by; and what is believed, with the sensors whose place is not.
        self._free: tuple[Floats, Floats] | None = None
        self._believed: tuple[Floats, Floats, Any] | None = None
        self.rejected: Counter[str] = Counter()
        self._site = [geodesy.geodetic_to_ecef(one.lat_deg, one.lon_deg, one.alt_m) for one in sensors]
        self._basis = [geodesy.enu_basis(one.lat_deg, one.lon_deg) for one in sensors]

    def against_reference(self, sensor: int, columns: Any, position_m: Floats, velocity_m_s: Floats, covariance: Floats) -> int:
        """Take plots of a sensor with where their targets truly were at the plots' stamped times; returns how many were believed.

        columns (n,): REPORT_DTYPE radar plots; position_m, velocity_m_s (n, 3) ECEF; covariance (n, 3, 3) of the positions.
        """
        return self._take(sensor, None, columns, position_m, velocity_m_s, covariance)

    def against_sensor(
        self, sensor: int, columns: Any, other: int, position_m: Floats, velocity_m_s: Floats, covariance: Floats
    ) -> int:
        """Take plots of a sensor with where another sensor (with a bias of its own) has the same targets; see above."""
        return self._take(sensor, other, columns, position_m, velocity_m_s, covariance)

    def bias(self, sensor: int) -> Bias:
        """Return what is known of a sensor's biases."""
        if self._believed is None:
            s = self.settings
            places = [slice(k * BIASES + PLACE, (k + 1) * BIASES) for k in range(len(self.sensors))]
            given = (self._info, self._vector, self._surveyed, self._moved, places)
            self._believed = judged(*given, np.array([s.place_gate, s.gate]))
        value, covariance, moved = self._believed
        part = slice(sensor * BIASES, (sensor + 1) * BIASES)
        surveyed, known = not moved[sensor], (value[part], covariance[part, part])
        prior = np.sqrt((self._surveyed if surveyed else self._moved)[part])
        taken = sure(*known, prior, self.settings.sigmas_min, surveyed)
        return Bias(*known, int(self._plots[sensor]), *taken, surveyed)

    def correct(self, sensor: int, columns: Any) -> Any:
        """Return a copy of a sensor's reports with what is sure enough of its biases taken off; of its place, too."""
        return self.corrected(sensor, columns, self.bias(sensor))

    def corrected(self, sensor: int, columns: Any, bias: Bias) -> Any:
        """Return what `correct` does, for a bias as it was known at some time.

        What is not known of the bias is considered: it goes into the plots' own sigmas, several times its variance, as all plots
        of the sensor share it and a filter that took it for noise would average it away (after Schmidt, 1966). Plots stay
        relative to where the sensor is said to stand, which is what everything else knows.
        """
        value, one = bias.taken, self.sensors[sensor]
        out = columns.copy()
        radar = out["kind"] == KIND_RADAR
        out["range_m"][radar] = np.maximum(out["range_m"][radar] - value[RANGE], 0.0)
        out["azimuth_rad"][radar] = (out["azimuth_rad"][radar] - value[AZIMUTH]) % (2.0 * math.pi)
        out["elevation_rad"][radar] -= value[ELEVATION]
        out["t_ns"][radar] -= round(value[TIME] * 1e9)
        doubt: Any = np.diag(bias.doubt)[:TIME]
        if not bias.surveyed:
            doubt = _from_elsewhere(out, radar, one, value[PLACE:], bias.doubt).T
        for k, name in enumerate(("sigma_range_m", "sigma_azimuth_rad", "sigma_elevation_rad")):
            own = np.where(out[name] > 0.0, out[name], getattr(one, name))
            out[name] = np.where(radar, np.sqrt(own**2 + CONSIDER * doubt[k]), out[name])
        return out

    def forget(self, sensor: int) -> None:
        """Forget a sensor's biases. What its plots told of the others stays, as far as it holds whatever those are."""
        part, rest = slice(sensor * BIASES, (sensor + 1) * BIASES), np.ones(len(self._vector), np.bool_)
        rest[part] = False
        gain = np.linalg.solve(self._info[part, part] + np.diag(1.0 / self._moved[part]), self._info[part]).T
        self._vector = np.where(rest, self._vector - gain @ self._vector[part], 0.0)
        self._info = np.where(np.outer(rest, rest), self._info - gain @ self._info[part], 0.0)
        self._plots[sensor] = 0
        self._free = self._believed = None

    def _take(self, sensor: int, other: int | None, columns: Any, position: Floats, velocity: Floats, covariance: Floats) -> int:
        """Add the evidence of pairs."""
        usable = (columns["kind"] == KIND_RADAR) & np.isfinite(columns["range_m"]) & np.isfinite(columns["azimuth_rad"])
        columns, position, velocity, covariance = columns[usable], position[usable], velocity[usable], covariance[usable]
        if not len(columns):
            return 0
        self._fade(int(columns["t_ns"].max()))
        value, jacobian, own = look(self._site[sensor], self._basis[sensor], position, velocity)
        residual = np.stack([columns["range_m"], columns["azimuth_rad"], columns["elevation_rad"]], axis=1) - value
        residual[:, AZIMUTH] = (residual[:, AZIMUTH] + math.pi) % (2.0 * math.pi) - math.pi
        variance = self._variance(sensor, columns)
        flat = np.isnan(residual[:, ELEVATION])
        residual[flat, ELEVATION], variance[flat, ELEVATION] = 0.0, UNKNOWN_VARIANCE
        noise = jacobian @ covariance @ np.swapaxes(jacobian, 1, 2)
        noise[:, range(3), range(3)] += variance
        full = np.zeros((len(columns), 3, len(self._vector)))
        full[:, :, sensor * BIASES : (sensor + 1) * BIASES] = own
        if other is not None:
            # The other's biases move the position it gives, which moves what this sensor should have measured the other way.
            _, theirs, biases = look(self._site[other], self._basis[other], position, velocity)
            moved = np.linalg.solve(theirs, biases)
            full[:, :, other * BIASES : (other + 1) * BIASES] -= jacobian @ moved
        return self._add(sensor, other, residual, full, noise)

    def _add(self, sensor: int, other: int | None, residual: Floats, full: Floats, noise: Floats) -> int:
        """Gate pairs against what is known, and add those within."""
        if self._free is None:
            self._free = solved(self._info, self._vector, self._moved)
        known, doubt = self._free
        surprise = residual - full @ known
        spread = noise + full @ doubt @ np.swapaxes(full, 1, 2)
        squared = np.einsum("ni,ni->n", surprise, np.linalg.solve(spread, surprise[..., None])[..., 0])
        near = squared < self.settings.gate
        self.rejected[self.sensors[sensor].id] += int((~near).sum())
        weighted = np.linalg.solve(noise[near], full[near])
        self._info += np.einsum("nki,nkj->ij", full[near], weighted)
        self._vector += np.einsum("nki,nk->i", weighted, residual[near])
        for one in (sensor, *(() if other is None else (other,))):
            self._plots[one] += int(near.sum())
        self._free = self._believed = None
        return int(near.sum())

    def _variance(self, sensor: int, columns: Any) -> Floats:
        """Return the variances of range, azimuth and elevation, the sensor's own where a plot gives none."""
        one = self.sensors[sensor]
        names = ("sigma_range_m", "sigma_azimuth_rad", "sigma_elevation_rad")
        sigma: Floats = np.stack([np.where(columns[n] > 0.0, columns[n], getattr(one, n)) for n in names], axis=1)
        return sigma * sigma

    def _fade(self, t_ns: int) -> None:
        """Let old evidence fade up to a time."""
        if self._t_ns is not None and t_ns > self._t_ns:
            kept = math.exp(-(t_ns - self._t_ns) * 1e-9 / self.settings.fade_s)
            self._info *= kept
            self._vector *= kept
            self._free = self._believed = None
        self._t_ns = t_ns if self._t_ns is None else max(self._t_ns, t_ns)


def solved(information: Floats, vector: Floats, prior: Floats) -> tuple[Floats, Floats]:
    """Return all biases (m,) and their covariance (m, m); prior (m,): their variances before anything was seen."""
    scale = np.sqrt(prior)  # as metres, radians and seconds are far apart
    covariance: Any = np.linalg.inv(np.eye(len(scale)) + information * scale[:, None] * scale) * scale[:, None] * scale
    return covariance @ vector, covariance


def judged(
    information: Floats, vector: Floats, surveyed: Floats, moved: Floats, places: Sequence[slice], gates: Floats
) -> tuple[Floats, Floats, Any]:
    """Return biases and covariance as `solved` does, and whose places the evidence contradicts: those alone are free.

    surveyed, moved (m,): variances before anything was seen, of places believed and free; places: where in them each source's is.
    gates: by how much the evidence must be fitted better by one more free place, and by how much better than by another's: where
    it cannot be told whose is wrong, each may be, and neither is sure.
    """
    wrong, prior = np.zeros(len(places), bool), surveyed.copy()
    while True:
        value, covariance = solved(information, vector, prior)
        gain = np.zeros(len(places))
        for k in np.flatnonzero(~wrong).tolist():
            part = places[k]
            if (moved[part] > surveyed[part]).all() and value[part].any():
                inverse = np.linalg.inv(covariance[part, part])
                pull = inverse @ value[part]
                gain[k] = pull @ np.linalg.solve(inverse - np.diag(1.0 / surveyed[part] - 1.0 / moved[part]), pull)
        more = (gain > gates[0]) & (gain > gain.max(initial=0.0) - gates[1])
        if not more.any():
            return value, covariance, wrong
        wrong |= more
        for k in np.flatnonzero(more).tolist():
            prior[places[k]] = moved[places[k]]


def sure(value: Floats, covariance: Floats, prior_sigma: Floats, sigmas_min: float, surveyed: Any) -> tuple[Floats, Floats]:
    """Return what of one sensor's biases (m,) is sure enough to be taken off, and the covariance (m, m) of what is left then.

    That is what is told much better than it was known before (in units of prior_sigma), and is beyond doubt; what may as well be
    zero stays. Where the place is free, biases cannot well be told apart: there the evidence's own directions are looked at.
    """
    scaled = covariance / np.outer(prior_sigma, prior_sigma)
    variance, axes = (np.diag(scaled), np.eye(len(value))) if surveyed else np.linalg.eigh(scaled)
    variance = np.maximum(variance, 0.0)
    along = (value / prior_sigma) @ axes
    take = (np.abs(along) >= sigmas_min * np.sqrt(variance)) & (variance <= DETERMINED)
    left = np.where(take, variance, np.minimum(np.square(np.abs(along) + np.sqrt(variance)), 1.0))
    axes = prior_sigma[:, None] * axes
    return axes @ np.where(take, along, 0.0), (axes * left) @ axes.T


def _wide(sigma: Floats, settings: RegistrationSettings) -> Floats:
    """Return the sigmas of a sensor's biases where its place may be wrong."""
    return np.concatenate([sigma[:PLACE], [max(settings.place_wrong_sigma_m, settings.place_sigma_m)] * 3])


def _from_elsewhere(out: Any, radar: Any, sensor: Sensor, place: Floats, doubt: Floats) -> Floats:
    """Move a radar's plots, seen from `place` (east, north, up m) beside where it is said to stand, to where it is said to stand.

    Changes out in place where radar is true; returns the variances (n, 3) that the biases' doubt (7, 7) gives what was measured.
    """
    r, azimuth, elevation = out["range_m"], out["azimuth_rad"], out["elevation_rad"]
    rise = np.clip((out["alt_m"] - sensor.alt_m) / np.maximum(r, 1.0), -1.0, 1.0)  # a 2-D radar: by the height, if any is said
    up = np.nan_to_num(np.where(np.isfinite(elevation), elevation, np.arcsin(rise)))
    enu = r[:, None] * np.stack([np.cos(up) * np.sin(azimuth), np.cos(up) * np.cos(azimuth), np.sin(up)], axis=1)
    moved = np.nan_to_num(enu) + place
    made, _, effect = look(np.zeros(3), np.eye(3), moved, np.zeros_like(moved))
    for k, name in enumerate(("range_m", "azimuth_rad", "elevation_rad")):
        out[name] = np.where(radar & np.isfinite(out[name]), made[:, k], out[name])
    return np.asarray(np.einsum("nij,jk,nik->ni", effect, doubt, effect))


def look(site: Floats, basis: Floats, position: Floats, velocity: Floats) -> tuple[Floats, Floats, Floats]:
    """Return what a sensor should measure (n, 3), its derivatives by ECEF position (n, 3, 3) and by its biases (n, 3, 7)."""
    enu, speed = (position - site) @ basis.T, velocity @ basis.T
    flat = np.hypot(enu[:, 0], enu[:, 1])
    r = np.maximum(np.sqrt((enu**2).sum(axis=1)), _NEAREST_M)  # what is at the sensor's very place has no direction
    value = np.stack([r, np.arctan2(enu[:, 0], enu[:, 1]) % (2 * math.pi), np.arctan2(enu[:, 2], flat)], axis=1)
    flat = np.maximum(flat, _COS_MIN * r)
    zero = np.zeros_like(r)
    local = np.stack(
        [
            enu / r[:, None],
            np.stack([enu[:, 1] / flat**2, -enu[:, 0] / flat**2, zero], axis=1),
            np.stack([-enu[:, 0] * enu[:, 2] / (flat * r**2), -enu[:, 1] * enu[:, 2] / (flat * r**2), flat / r**2], axis=1),
        ],
        axis=1,
    )
    biases = np.zeros((len(r), 3, BIASES))
    biases[:, range(3), range(3)] = 1.0
    biases[:, :, TIME] = -np.einsum("nij,nj->ni", local, speed)
    biases[:, :, PLACE:] = -local
    return value, local @ basis, biases


def by_address(columns: Any, tracks: Any) -> tuple[NDArray[np.int64], Floats, Floats, Floats]:
    """Pair plots with reference tracks that claim the same ICAO address, moved to the plots' times.

    columns (n,): REPORT_DTYPE plots; tracks: TRACK_DTYPE columns of a tracker fed with self-reported positions alone. Returns
    the plots' rows (m,), and positions, velocities (m, 3) and position covariances (m, 3, 3) there. The registration's gate, not
    this, tells a false claim: a claimed address is evidence.
    """
    known = np.flatnonzero((tracks["address"] >= 0) & (tracks["status"] == 1))
    order = known[np.argsort(tracks["address"][known], kind="stable")]
    addresses = tracks["address"][order]
    at = np.searchsorted(addresses, columns["address"])
    hit = (at < len(addresses)) & (columns["address"] >= 0)
    hit[hit] = addresses[at[hit]] == columns["address"][hit]
    rows = np.flatnonzero(hit)
    held = tracks[order[at[rows]]]
    dt = ((columns["t_ns"][rows] - held["t_ns"]) * 1e-9)[:, None]
    P = held["covariance"]  # noqa: N806 - the field's letter
    cross = P[:, :3, 3:] + P[:, 3:, :3]
    covariance = P[:, :3, :3] + dt[..., None] * cross + dt[..., None] ** 2 * P[:, 3:, 3:]
    return rows, held["position_m"] + dt * held["velocity_m_s"], held["velocity_m_s"], covariance
