"""One flight's own filter: does it still burn, when did it burn out, and where is it since, from plots alone.

The national and audience trackers serve every kind of target and keep process noise for it; a landing area wants the arc since
burn-out without any. So each flight that may be a launch has filters of its own here, fed with the plots that lie in its gate:
an interacting three ("falls freely", "burns steadily", "burns unsteadily": stages end and begin), one for the thrust alone, which
together call burn-out, and from burn-out on the free arc alone. All run on the tracker's compiled kernels (kernels/imm.py,
motion.py, measure.py).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trilat.kernels import geodesy
from trilat.records.columns import KIND_BEARING, KIND_MEASUREMENT, KIND_RADAR
from trilat.records.sensor import Sensor

Array = NDArray[np.float64]
GATE = np.array([0.0, 15.0, 18.0, 20.5, 22.5, 24.5, 26.5])  # chi-square bounds that hold 99.99 %
FALLS = 0.1  # burning is less likely than this while it falls freely
PUSH_LEAST_M_S2 = 9.0  # a vehicle that burns pushes more than this, also at a stage's start
HOLD_S, HOLD_PLOTS = 2.5, 3  # for so long and so many plots, before burn-out is called: longer than stages' pauses
SETTLE_S = 20.0  # after its first plot, before that filter knows the thrust of a slow climb from a free one
AGAIN = 0.9  # burning again, when this likely for AGAIN_PLOTS
AGAIN_PLOTS = 3
PRIOR_WIDER = 4.0  # the arc starts from the pair's covariance, so much wider: little of the boost's guesses stays
THIN_AIR_M = 110_000.0  # below it the arc has noise: the air is not the standard's
PLOTS_MAX = 4_000
MANOEUVRE, MANOEUVRE_PLOTS = 3.5, 12  # mean normalised innovation of so many plots that no free fall gives


PUSH_NOISE_M2_S5 = 150.0
ROWS = 3  # of the bank, for each flight
FAR = -1.0  # as kernels.arc: why a plot was not taken


class Plot(NamedTuple):
    """One plot as the kernels take it."""

    t_ns: int
    sensor: int
    kind: int
    z: Array


class Machinery:
    """What every flight's filters share: the sensors' table, models and a bank of rows."""

    def __init__(self, sensors: tuple[Sensor, ...], flights_max: int) -> None:
        from trilat.kernels import arc, bank  # noqa: PLC0415 - numba loads when it is made

        self.b, self.arc, self.sensors = bank, arc, sensors
        self.rows = bank.new_bank(ROWS * flights_max).rows
        self.work = bank.record(bank.WORK_DTYPE)
        self.model, self.back = _model(bank), _model(bank)
        self.back["modes"][0], self.back["kind"][0, 0], self.back["start"][0, 0] = 1, bank.BOOST, 1.0
        self.back["noise"][0, 0] = (PUSH_NOISE_M2_S5, 0.0, 0.0, 0.0)
        self.table = np.zeros((max(len(sensors), 1), bank.SENSOR_COLUMNS))
        for row, sensor in zip(self.table, sensors, strict=False):
            basis = geodesy.enu_basis(sensor.lat_deg, sensor.lon_deg)
            row[bank.S_POSITION : bank.S_POSITION + 3] = geodesy.geodetic_to_ecef(sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
            row[bank.S_BASIS : bank.S_BASIS + 9], row[bank.S_UP : bank.S_UP + 3] = basis.ravel(), basis[2]
            row[bank.S_PRIOR_ALT], row[bank.S_PRIOR_SIGMA] = 6_000.0, 4_000.0

    def plots(self, columns: Any) -> list[Plot]:
        """Return the plots among report columns that a flight may take: radars' and lines of sight, never self-reported."""
        known = (columns["sensor"] >= 0) & (columns["sensor"] < len(self.sensors))
        return [*self._polar(columns), *self._earth_fixed(columns[known & (columns["kind"] == KIND_MEASUREMENT)])]

    def _earth_fixed(self, c: Any) -> list[Plot]:
        """Return partners' plots, which come as a place with an ellipsoid, as the kernels lay them out (kernels/bank.py)."""
        b = self.b
        z = np.zeros((len(c), b.PLOT_COLUMNS))
        if len(c):
            z[:, b.Z_X : b.Z_X + 3] = geodesy.geodetic_to_ecef(c["lat_deg"], c["lon_deg"], c["alt_m"]).reshape(-1, 3)
        z[:, b.Z_LAT], z[:, b.Z_LON] = np.radians(c["lat_deg"]), np.radians(c["lon_deg"])
        z[:, b.Z_ALONG], z[:, b.Z_ACROSS], z[:, b.Z_UP] = c["sigma_range_m"], c["sigma_horizontal_m"], c["sigma_vertical_m"]
        z[:, b.Z_SIGMA_H] = np.maximum(np.maximum(z[:, b.Z_ALONG], z[:, b.Z_ACROSS]), z[:, b.Z_UP])
        z[:, b.Z_AXIS_AZIMUTH], z[:, b.Z_AXIS_ELEVATION] = c["azimuth_rad"], c["elevation_rad"]
        return [Plot(int(row["t_ns"]), int(row["sensor"]), KIND_MEASUREMENT, z[i]) for i, row in enumerate(c)]

    def _polar(self, columns: Any) -> list[Plot]:
        """Return radars' plots and lines of sight."""
        use = np.isin(columns["kind"], (KIND_RADAR, KIND_BEARING)) & (columns["sensor"] >= 0)
        use &= np.isfinite(columns["azimuth_rad"]) & (columns["sensor"] < len(self.sensors))
        c = columns[use]
        z = np.full((len(c), self.b.PLOT_COLUMNS), np.nan)
        for k, name in enumerate(("range", "azimuth", "elevation", "height", "doppler")):
            unit = {"range": "m", "height": "m", "doppler": "m_s"}.get(name, "rad")
            z[:, k] = c[f"{name}_{unit}"]
            given = c[f"sigma_{name}_{unit}"]
            own = np.array([getattr(self.sensors[s], f"sigma_{name}_{unit}") for s in c["sensor"].tolist()], np.float64)
            z[:, k + 5] = np.where(np.isfinite(given) & (given > 0.0), given, own if len(own) else 1.0)
        order = np.argsort(c["t_ns"], kind="stable")
        kinds = c["kind"].tolist()
        return [Plot(int(c["t_ns"][i]), int(c["sensor"][i]), int(kinds[i]), z[i]) for i in order.tolist()]

    def begin(self, i: int, model: Any, model_set: int, t_ns: int, mean: Array, covariance: Array) -> None:
        """Write row i anew: every mode at one state, what is beyond it unknown."""
        b, row = self.b, self.rows[i]
        kinds, modes = model["kind"][model_set], int(model["modes"][model_set])
        row["status"], row["model_set"], row["t_ns"] = b.CONFIRMED, model_set, t_ns
        row["x"], row["P"], row["mu"] = 0.0, 0.0, 0.0
        low = np.tril_indices(6)
        for m in range(modes):
            row["x"][m, :6], row["mu"][m] = mean, model["start"][model_set, m]
            row["P"][m, b.AT[low]] = covariance[low]
            boost = kinds[m] == b.BOOST
            for k in range(6, 9 if boost else 7):
                row["x"][m, k] = 0.0 if boost else np.log(5_000.0)
                row["P"][m, b.AT[k, k]] = model["birth"][model_set, 1 if boost else 3] ** 2
        self.arc.settle_row(model, self.rows, i)

    def feed(self, i: int, model: Any, plot: Plot, sign: float = 1.0) -> float:
        """Give row i a plot; see kernels.arc.feed."""
        if plot.kind == KIND_MEASUREMENT and self._far(self.rows[i], plot):
            return FAR
        args = (self.table[plot.sensor], plot.z, plot.kind, plot.t_ns, GATE, sign, self.work)
        return float(self.arc.feed(model, self.rows, i, *args))

    def _far(self, row: Any, plot: Plot) -> bool:
        """Tell whether a plot that came as a place is nowhere near a row: it must not move the row in time."""
        dt = (plot.t_ns - int(row["t_ns"])) * 1e-9
        place = row["mean"][:3] + dt * row["mean"][3:]
        reach = (
            5_000.0 + 4.0 * (plot.z[self.b.Z_SIGMA_H] + row["spread"][0]) + abs(dt) * (500.0 + row["spread"][1]) + 50.0 * dt * dt
        )
        return bool(np.linalg.norm(place - plot.z[self.b.Z_X : self.b.Z_X + 3]) > reach)

    def state(self, i: int, m: int) -> tuple[Array, Array]:
        """Return mean (6,) and covariance (6, 6) of one mode of a row."""
        row = self.rows[i]
        return row["x"][m, :6].copy(), row["P"][m][self.b.AT[:6, :6]]


def _model(bank: Any) -> Any:
    """Return the kernels' model: set 0 falls, burns steadily, unsteadily; set 1 the free arc; set 2 the arc in the air."""
    from trilat.kernels.frames import earth  # noqa: PLC0415 - numba loads here

    model = bank.record(bank.MODEL_DTYPE)
    model["earth"] = earth("wgs84")
    model["modes"] = (3, 1, 1)
    model["kind"][0], model["kind"][1:, 0] = (bank.REENTRY, bank.BOOST, bank.BOOST), bank.REENTRY
    model["noise"][0, 0, :3], model["noise"][0, 1, :2], model["noise"][0, 2, :2] = (0.02, 0.0, 1e-5), (6.0, 0.0), (400.0, 0.0)
    model["noise"][2, 0, :3] = (0.3, 0.0, 1e-3)
    model["stay_s"] = 60.0
    model["stay_s"][0] = (300.0, 40.0, 4.0)
    model["share"][0] = ((0.0, 0.0, 1.0), (0.5, 0.0, 0.5), (0.4, 0.6, 0.0))
    model["start"][0], model["start"][1:, 0] = (0.3, 0.3, 0.4), 1.0
    model["birth"] = (2_000.0, 40.0, 0.0, 0.5)
    return model


class FlightFilter:
    """The filters of one flight, in ROWS rows of the machinery's bank."""

    def __init__(self, machinery: Machinery, slot: int, t_ns: int, mean: Array, covariance: Array) -> None:
        self._m, self._pair, self._arc, self._push = machinery, ROWS * slot, ROWS * slot + 1, ROWS * slot + 2
        machinery.begin(self._pair, machinery.model, 0, t_ns, mean, covariance)
        machinery.begin(self._push, machinery.back, 0, t_ns, mean, covariance)
        self.plots: list[Plot] = []
        self.burnout_ns: int | None = None
        self.called_ns: int | None = None
        self.relit = 0  # how often burn-out was called and then taken back
        self._falls_since: int | None = None
        self._falls_count = 0
        self._burns_count = 0
        self._nis: list[float] = []
        self.manoeuvring = False
        self.speed_m_s = 0.0  # at burn-out's call

    @property
    def boosting(self) -> float:
        """The probability that it burns."""
        return 1.0 - float(self._m.rows[self._pair]["mu"][0])

    @property
    def t_ns(self) -> int:
        """The time of the state."""
        return int(self._m.rows[self._arc if self.called_ns else self._pair]["t_ns"])

    def take(self, plot: Plot) -> bool:
        """Take a plot when it lies in the gate."""
        if self._m.feed(self._pair, self._m.model, plot) < 0.0:
            return False
        self._m.feed(self._push, self._m.back, plot)
        self.plots.append(plot)
        if len(self.plots) > PLOTS_MAX:
            del self.plots[: PLOTS_MAX // 2]
        if self.called_ns is not None:
            self._follow(plot)
        self._watch(plot.t_ns)
        return True

    def _follow(self, plot: Plot) -> None:
        """Give the arc a plot; where the arc does not explain plots any more, it manoeuvres: begin anew from the pair."""
        row = self._m.rows[self._arc]
        thin = geodesy.ecef_to_geodetic(row["x"][0, :3])[2] > THIN_AIR_M
        row["model_set"] = 1 if thin else 2
        nis = self._m.feed(self._arc, self._m.model, plot)
        self._nis.append(MANOEUVRE * 3 if nis < 0.0 else nis)
        del self._nis[:-MANOEUVRE_PLOTS]
        if len(self._nis) == MANOEUVRE_PLOTS and float(np.mean(self._nis)) > MANOEUVRE:
            self.manoeuvring = True
            self._start_arc(plot.t_ns)

    def _watch(self, t_ns: int) -> None:
        """Call burn-out, or take it back."""
        burns = self.boosting
        settled = t_ns - self.plots[0].t_ns > SETTLE_S * 1e9
        if burns < FALLS and settled and self.push() < PUSH_LEAST_M_S2:
            self._burns_count = 0
            if self._falls_since is None:
                self._falls_since, self._falls_count = t_ns, 0
            self._falls_count += 1
            if self.called_ns is None and self._falls_count >= HOLD_PLOTS and t_ns - self._falls_since >= HOLD_S * 1e9:
                self.burnout_ns, self.called_ns = self._falls_since, t_ns
                self.speed_m_s = float(np.linalg.norm(self._m.rows[self._pair]["mean"][3:]))
                self._start_arc(t_ns)
        elif burns > 0.5:
            self._falls_since = None
            self._burns_count = self._burns_count + 1 if burns > AGAIN else 0
            if self.called_ns is not None and self._burns_count >= AGAIN_PLOTS:
                self.burnout_ns, self.called_ns = None, None
                self.relit += 1

    def _start_arc(self, t_ns: int) -> None:
        """Begin the arc at the pair's state and give it the plots since the free fall was seen, from the first of them on."""
        m = self._m
        since = self._falls_since if self._falls_since is not None else t_ns
        again = [plot for plot in self.plots if since <= plot.t_ns <= t_ns]
        mean, covariance = m.state(self._pair, 0)
        m.begin(self._arc, m.model, 1, int(m.rows[self._pair]["t_ns"]), mean, covariance * PRIOR_WIDER**2)
        m.arc.move_row(m.model, m.rows, self._arc, again[0].t_ns if again else t_ns, m.work)
        for plot in again:
            m.feed(self._arc, m.model, plot)
        self._nis.clear()

    def mean_state(self) -> tuple[int, Array, Array, float, float]:
        """Return time, mean (6,), covariance (6, 6), median of the ballistic coefficient kg/m2 and its log sigma."""
        m, i = self._m, self._arc if self.called_ns is not None else self._pair
        mode = 0 if i == self._arc or self.boosting < 0.5 else int(1 + np.argmax(m.rows[i]["mu"][1:]))
        mean, covariance = m.state(i, mode)
        row = m.rows[i]
        if i == self._arc:
            sigma = float(np.sqrt(max(row["P"][0, m.b.AT[6, 6]], 1e-6)))
            return int(row["t_ns"]), mean, covariance, float(np.exp(np.clip(row["x"][0, 6], 4.0, 12.0))), min(sigma, 1.0)
        return int(row["t_ns"]), mean, covariance, 5_000.0, 0.5

    def push(self) -> float:
        """Return the thrust's acceleration along the velocity, m/s2, as a filter of its own for it holds it."""
        row = self._m.rows[self._push]
        along = row["x"][0, 3:6] / max(float(np.linalg.norm(row["x"][0, 3:6])), 1.0)
        return float(along @ row["x"][0, 6:9])
