"""One flight's own filters: does it still burn, when did it burn out, and where is it since, from plots alone.

The national and audience trackers serve every kind of target and keep process noise for it; a landing area wants the arc since
burn-out without any. So each flight that may be a launch has filters of its own here, fed with the plots that lie in its gate:
an interacting three ("falls freely", "burns steadily", "burns unsteadily") that gates; two that only burn; and free arcs forked
off these every fraction of a second, each the hypothesis that it burnt out just then. What the plots since say of each is its
weight: the moment of burn-out, whether it has come, and the arc since are all read off the weights (one change, its time
unknown: Willsky and Jones, IEEE Transactions on Automatic Control 21, 1976, in its Bayesian form). An infrared observer's looks
weigh them too, also those at which it saw no plume. All run on the tracker's compiled kernels (kernels/arc.py).
"""

from __future__ import annotations

from math import exp, log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trilat.kernels import geodesy
from trilat.records.columns import KIND_BEARING, KIND_MEASUREMENT, KIND_RADAR
from trilat.records.sensor import Sensor
from trilat.warn.classes import log_above
from trilat.warn.launch import BLIND, NEXT_PAUSE_S, Look, Looks, Pauses, Plot, descends

Array = NDArray[np.float64]
GATE = np.array([0.0, 15.0, 18.0, 20.5, 22.5, 24.5, 26.5])  # chi-square bounds that hold 99.99 %
BURN_S = 40.0  # mean time of burning: how readily it is believed to have ended
PAUSE_S, RELIT_S, RELIT_LATE_S = 8.0, 20.0, 600.0  # so long after its end a next stage may come, once in so many seconds; later
HOLD_S = 2.5  # burnt out for longer than this, before burn-out is called: longer than most stages' pauses
# With this probability; by radars alone, whose evidence comes in small steps and so crosses a bound by chance more often, with
# that: by less more than one flight in a hundred is called in a pause between stages (benchmarks/warning.py curve).
CALL, CALL_ALONE, SIGHT_S = 0.94, 0.97, 15.0  # alone: no infrared observer has seen it for so long
SETTLE_S, PLOTS_CALL = 20.0, 8  # after its first plot, before a slow climb is known from a free one
PUSH_LEAST_M_S2 = 9.0  # a vehicle that burns pushes more than this, also at a stage's start
AGAIN, AGAIN_PLOTS = 0.3, 3  # taken back, when no likelier than this for so many plots
GLIDES_AFTER_NS = 30 * 10**9  # so long after burn-out, what pushes a body that comes down is the air: it glides or turns
ARCS, FORK_S, FORK_LEAST = 24, 0.3, 0.01  # arcs at most; one forked so often, while it burns with at least this probability
LOG_GONE = 20.0  # an arc this much less likely than the best is forgotten
PRIOR_WIDER = 1.2  # arcs start from the burning pair's covariance, so much wider: its thrust's noise is a guess
ANEW_WIDER = 4.0  # where no arc explains the plots any more, one begins from the three's state, so much wider
THIN_AIR_M, PLOTS_MAX = 110_000.0, 4_000  # below it arcs have noise: the air is not the standard's; of a flight, kept
MANOEUVRE, MANOEUVRE_PLOTS = 3.5, 12  # mean normalised innovation of so many plots that no free fall gives
PUSH_NOISE_M2_S5, EVEN_M2_S5 = 150.0, 12.0  # how the first half minute's thrust wanders, where plots are sought, and are known
STEADY_M2_S5, UNSTEADY_M2_S5, STEADY_STAY_S = 3.0, 400.0, 1_000.0  # how a burn wanders within a stage, between two; how long so
AGAIN_M2_S5, AGAIN_STAY_S = 6.0, 40.0  # the same two, once burn-out is called: anything may come
SIGMA_FIXED_M = 1_000.0  # of a plot in Earth-fixed terms that does not say
# That what ended was a stage and the next was lit: with this probability, after a pause of about so long; each such hypothesis
# stands for so many arcs. Of its push along the velocity and across no more is known than of any stage.
NEXT_SHARE, NEXT_EVERY = 0.4, 3
NEXT_PUSH_M_S2, NEXT_SIGMA_M_S2, NEXT_SIDE_M_S2, NEXT_M2_S5 = 30.0, 15.0, 3.0, 3.0
NEXTS, NEXT_KEPT_S, LOG_NEXT_GONE = 8, 20.0, 16.0  # at most; kept so long; forgotten when this much less likely than the best
LOW3, LOW6 = np.tril_indices(3), np.tril_indices(6)
ROWS = 2 + ARCS + NEXTS  # of the bank, for each flight


class Machinery:
    """What every flight's filters share: the sensors' table, models and a bank of rows."""

    def __init__(self, sensors: tuple[Sensor, ...], flights_max: int) -> None:
        from trilat.kernels import arc, bank  # noqa: PLC0415 - numba loads when it is made

        self.b, self.arc, self.sensors = bank, arc, sensors
        self.rows = bank.new_bank(ROWS * flights_max).rows
        self.works = bank.box(bank.record(bank.WORK_DTYPE))
        self.model = arc.three()
        self.back, self.even, self.next = (arc.burning(noise) for noise in (PUSH_NOISE_M2_S5, EVEN_M2_S5, NEXT_M2_S5))
        self.burns = arc.burning_pair(STEADY_M2_S5, UNSTEADY_M2_S5, STEADY_STAY_S)
        self.again = arc.burning_pair(AGAIN_M2_S5, UNSTEADY_M2_S5, AGAIN_STAY_S)
        names = ("range_m", "azimuth_rad", "elevation_rad", "height_m", "doppler_m_s")
        self._sigmas = np.array([[getattr(s, f"sigma_{name}") for name in names] for s in sensors]).reshape(-1, len(names))
        self.table = np.zeros((max(len(sensors), 1), bank.SENSOR_COLUMNS))
        for row, sensor in zip(self.table, sensors, strict=False):
            basis = geodesy.enu_basis(sensor.lat_deg, sensor.lon_deg)
            row[bank.S_POSITION : bank.S_POSITION + 3] = geodesy.geodetic_to_ecef(sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
            row[bank.S_BASIS : bank.S_BASIS + 9], row[bank.S_UP : bank.S_UP + 3] = basis.ravel(), basis[2]
            row[bank.S_PRIOR_ALT], row[bank.S_PRIOR_SIGMA] = 6_000.0, 4_000.0

    def plots(self, columns: Any) -> list[Plot]:
        """Return the plots among report columns that a flight may take, in time order: never what reports itself.

        Radars' plots, in polar or (a partner's, an observer's that moves) in Earth-fixed terms, and lines of sight.
        """
        kind, sensor = columns["kind"], columns["sensor"]
        polar = np.isin(kind, (KIND_RADAR, KIND_BEARING)) & np.isfinite(columns["azimuth_rad"])
        fixed = (kind == KIND_MEASUREMENT) & np.isfinite(columns["lat_deg"]) & np.isfinite(columns["lon_deg"])
        c = columns[(polar | fixed) & (sensor >= 0) & (sensor < len(self.sensors))]
        if not len(c):
            return []
        c = c[np.argsort(c["t_ns"], kind="stable")]
        z = np.where((c["kind"] == KIND_MEASUREMENT)[:, None], self._fixed(c), self._polar(c))
        return [Plot(*one) for one in zip(c["t_ns"].tolist(), c["sensor"].tolist(), c["kind"].tolist(), z, strict=True)]

    def _polar(self, c: Any) -> Array:
        """Return the kernels' columns of polar plots; absent sigmas are the sensor's."""
        z = np.full((len(c), self.b.PLOT_COLUMNS), np.nan)
        for k, name in enumerate(("range_m", "azimuth_rad", "elevation_rad", "height_m", "doppler_m_s")):
            z[:, k] = c[name]
            given = c[f"sigma_{name}"]
            z[:, k + 5] = np.where(given > 0.0, given, self._sigmas[c["sensor"], k])
        z[c["kind"] == KIND_BEARING, 0] = np.nan
        return z

    def _fixed(self, c: Any) -> Array:
        """Return the kernels' columns of plots in Earth-fixed terms (kernels/bank.py Z_ names)."""
        b, z = self.b, np.zeros((len(c), self.b.PLOT_COLUMNS))
        lat, lon = np.nan_to_num(c["lat_deg"]), np.nan_to_num(c["lon_deg"])
        z[:, b.Z_X : b.Z_X + 3] = geodesy.geodetic_to_ecef(lat, lon, np.nan_to_num(c["alt_m"]))
        z[:, b.Z_LAT], z[:, b.Z_LON] = np.radians(lat), np.radians(lon)
        for k, name in ((b.Z_ALONG, "range_m"), (b.Z_ACROSS, "horizontal_m"), (b.Z_UP, "vertical_m")):
            given = c[f"sigma_{name}"]
            z[:, k] = np.where(given > 0.0, given, SIGMA_FIXED_M)
        z[:, b.Z_SIGMA_H] = z[:, [b.Z_ALONG, b.Z_ACROSS, b.Z_UP]].max(axis=1)
        z[:, b.Z_AXIS_AZIMUTH] = np.nan_to_num(c["azimuth_rad"])
        z[:, b.Z_AXIS_ELEVATION] = np.nan_to_num(c["elevation_rad"])
        return z

    def begin(self, i: int, model: Any, model_set: int, t_ns: int, mean: Array, covariance: Array) -> None:
        """Write row i anew: every mode at one state, what is beyond it unknown."""
        b, row = self.b, self.rows[i]
        kinds, modes = model["kind"][model_set], int(model["modes"][model_set])
        row["status"], row["model_set"], row["t_ns"] = b.CONFIRMED, model_set, t_ns
        row["x"], row["P"], row["mu"] = 0.0, 0.0, 0.0
        for m in range(modes):
            row["x"][m, :6], row["mu"][m] = mean, model["start"][model_set, m]
            row["P"][m, b.AT[LOW6]] = covariance[LOW6]
            boost = kinds[m] == b.BOOST
            for k in range(6, 9 if boost else 7):
                row["x"][m, k] = 0.0 if boost else np.log(5_000.0)
                row["P"][m, b.AT[k, k]] = model["birth"][model_set, 1 if boost else 3] ** 2
        self.arc.settle_row(self.b.box(model), self.rows, i)

    def light(self, i: int, j: int) -> None:
        """Write row j anew: the body of row i's free arc pushes from now on, along its velocity, as any stage may."""
        row = self.rows[j]
        mean, covariance = self.state(i, 0)
        self.begin(j, self.next, 1, int(self.rows[i]["t_ns"]), mean, covariance)
        along = mean[3:] / max(float(np.linalg.norm(mean[3:])), 1.0)
        spread = NEXT_SIDE_M_S2**2 * np.eye(3) + (NEXT_SIGMA_M_S2**2 - NEXT_SIDE_M_S2**2) * np.outer(along, along)
        row["x"][0, 6:9], row["P"][0, self.b.AT[6:9, 6:9][LOW3]] = NEXT_PUSH_M_S2 * along, spread[LOW3]

    def pushes_log(self, i: int) -> Array:
        """Return of each next stage, the first at row i, the log odds that it pushes as it must, against when lit."""
        rows, at = self.rows[i : i + NEXTS], self.b.AT[6:9, 6:9]
        x, spread = rows["x"][:, 0], rows["P"][:, 0][:, at]
        along = x[:, 3:6] / np.maximum(np.linalg.norm(x[:, 3:6], axis=1, keepdims=True), 1.0)
        push, sigma = np.einsum("ka,ka->k", along, x[:, 6:9]), np.sqrt(np.einsum("ka,kab,kb->k", along, spread, along) + 1e-6)
        now = [log_above(PUSH_LEAST_M_S2, *one) for one in zip(push.tolist(), sigma.tolist(), strict=True)]
        return np.array(now) - log_above(PUSH_LEAST_M_S2, NEXT_PUSH_M_S2, NEXT_SIGMA_M_S2)

    def hand_over(self, i: int, j: int) -> None:
        """Let the pair of row j, that only burns, go on from row i's state."""
        one, pair = self.rows[i], self.rows[j]
        pair["t_ns"], pair["x"][:2], pair["P"][:2] = one["t_ns"], one["x"][0], one["P"][0]
        self.arc.settle_row(self.b.box(self.burns), self.rows, j)

    def feed(self, i: int, model: Any, plot: Plot, sign: float = 1.0) -> float:
        """Give row i a plot; see kernels.arc.feed."""
        args = (self.table[plot.sensor], plot.z, plot.kind, plot.t_ns, GATE, sign, self.works)
        return float(self.arc.feed(self.b.box(model), self.rows, i, *args))

    def state(self, i: int, m: int) -> tuple[Array, Array]:
        """Return mean (6,) and covariance (6, 6) of one mode of a row."""
        row = self.rows[i]
        return row["x"][m, :6].copy(), row["P"][m][self.b.AT[:6, :6]]


class FlightFilter:
    """The filters of one flight, in ROWS rows of the machinery's bank."""

    def __init__(self, machinery: Machinery, slot: int, t_ns: int, mean: Array, covariance: Array) -> None:
        self._m, self._three, self._burn, self._first = machinery, ROWS * slot, ROWS * slot + 1, ROWS * slot + 2
        machinery.begin(self._three, machinery.model, 0, t_ns, mean, covariance)
        machinery.begin(self._burn, machinery.burns, 0, t_ns, mean, covariance)
        self.plots: list[Plot] = []
        self.burnout_ns: int | None = None
        self.called_ns: int | None = None
        self.relit = 0  # how often burn-out was called and then taken back
        self._burn_log = 0.0  # log weights, of burning still and of each arc
        self._pushes_log = 0.0  # of what burns pushing as much as it must; of each next stage, too
        self._arc_log = np.full(ARCS, machinery.arc.NEVER)
        self._since_ns = np.zeros(ARCS, np.int64)  # when each arc burnt out
        self._nis = np.zeros(ARCS)
        self._next = self._first + ARCS
        self._next_log = np.full(NEXTS, machinery.arc.NEVER)
        self._lit_ns, self._next_nis, self._next_pushes_log = np.zeros(NEXTS, np.int64), np.zeros(NEXTS), np.zeros(NEXTS)
        self._speaks = np.zeros(ARCS, np.int64)  # for how many arcs each asks whether a next stage was lit; -1: asked
        self._forks = 0
        self._forked_ns = t_ns - 10**9
        self._burns_count = 0
        self._fits: list[float] = []
        self._looks, self._pauses = dict[int, Looks](), Pauses(NEXTS)  # of each infrared observer that saw it
        self._sight_ns = t_ns - 10**12  # when an infrared observer saw it last
        self._blind, self._dark = BLIND, False  # how likely none of them would see it burn; whether one has missed it
        self.manoeuvring = False
        self.speed_m_s = 0.0  # at burn-out's call

    @property
    def boosting(self) -> float:
        """The probability that it burns."""
        return float(1.0 - self._shares().sum())

    def _shares(self) -> Array:
        """Return the probability of every arc."""
        burns = self._burn_log + self._pushes_log
        logs = np.concatenate([self._arc_log, self._next_log + self._next_pushes_log, [burns]])
        weights = np.exp(logs - logs.max())
        return np.asarray(weights[:ARCS] / weights.sum())

    @property
    def t_ns(self) -> int:
        """The time of the state."""
        return int(self._m.rows[self._burn]["t_ns"])

    def spread(self) -> list[float]:
        """Return the three's sigmas: of place m, of velocity m/s, of acceleration m/s2."""
        return list(self._m.rows[self._three]["spread"].tolist())

    def take(self, plot: Plot) -> bool:
        """Take a plot when it lies in the gate."""
        m = self._m
        if m.feed(self._three, m.model, plot) < 0.0:
            return False
        since_s = max(0.0, (plot.t_ns - self.plots[-1].t_ns) * 1e-9) if self.plots else 0.0
        self.plots.append(plot)
        if len(self.plots) > PLOTS_MAX:
            del self.plots[: PLOTS_MAX // 2]
        self._pass(plot.t_ns, since_s)
        args = (m.table[plot.sensor], plot.z, plot.kind, plot.t_ns)
        burns = m.b.box(m.burns if self.called_ns is None else m.again)
        self._burn_log += float(m.arc.burn(burns, m.rows, self._burn, *args, m.works))
        m.arc.follow(m.b.box(m.model), m.rows, self._first, self._arc_log, self._nis, *args, THIN_AIR_M, m.works)
        m.arc.follow(m.b.box(m.next), m.rows, self._next, self._next_log, self._next_nis, *args, THIN_AIR_M, m.works)
        self._pushes_log = log_above(PUSH_LEAST_M_S2, *self.push())
        self._next_pushes_log = m.pushes_log(self._next)
        if m.sensors[plot.sensor].kind == "bearing":
            looks = self._looks.setdefault(plot.sensor, Looks(m.sensors[plot.sensor], ARCS))
            self._weigh(looks.seen(plot.t_ns, self._since_ns))
            self._blind, self._dark, self._sight_ns = BLIND, False, plot.t_ns
        self._light(plot.t_ns)
        self._fork(plot.t_ns)
        self._watch(plot.t_ns)
        return True

    def look(self, now_ns: int) -> None:
        """Take in, once a step, at which looks infrared observers saw no plume: what burns is seen, what is out is not."""
        for looks in self._looks.values():
            while (one := looks.missed(now_ns, self._since_ns, self._blind, not self._dark)) is not None:
                self._weigh(one)
                self._dark = True
                self._blind = min(1.0, self._blind / exp(one.burning))
                if self.called_ns is None:
                    self._watch(max(one.t_ns, self.plots[-1].t_ns))

    def _weigh(self, look: Look) -> None:
        """Weigh every hypothesis by an infrared observer's look."""
        self._burn_log += look.burning
        self._arc_log += look.arcs
        self._next_log += self._pauses.weigh(look, self._lit_ns)

    def _pass(self, t_ns: int, since_s: float) -> None:
        """Let time pass over the weights: what burns may end, what has ended may burn again."""
        age_s = (t_ns - self._since_ns) * 1e-9
        rate = np.where(age_s < PAUSE_S, 1.0 / RELIT_S, 1.0 / RELIT_LATE_S)
        again = np.logaddexp.reduce(self._arc_log + np.log(np.maximum(rate * since_s, 1e-300)))
        self._burn_log = float(np.logaddexp(self._burn_log - since_s / BURN_S, again))
        lit = exp(min(again - self._burn_log, 0.0))  # the share of what burns that was lit just now: nobody has looked for it
        self._blind += lit * (BLIND - self._blind)
        for looks in self._looks.values():
            looks.relight(lit)

    def _light(self, t_ns: int) -> None:
        """Ask of each arc, once, whether a stage's end was its burn-out; let a next stage lit long ago be what burns."""
        m, never = self._m, self._m.arc.NEVER
        due = (self._arc_log > never) & (self._speaks >= 0) & (self._since_ns <= t_ns - round(NEXT_PAUSE_S * 1e9))
        for k in np.flatnonzero(due).tolist():
            j, weight = int(np.argmin(self._next_log)), self._arc_log[k] + log(NEXT_EVERY * NEXT_SHARE)
            if self._speaks[k] > 0 and weight > max(self._top() - LOG_NEXT_GONE, self._next_log[j]):
                m.light(self._first + k, self._next + j)
                self._next_log[j], self._next_pushes_log[j], self._lit_ns[j] = weight, 0.0, t_ns
                self._pauses.begin(j)
            self._arc_log[k] += log(1.0 - NEXT_SHARE)
            self._speaks[k] = -1
        for j in np.flatnonzero((self._next_log > never) & (self._lit_ns < t_ns - round(NEXT_KEPT_S * 1e9))).tolist():
            if self._next_log[j] > self._burn_log:
                m.hand_over(self._next + j, self._burn)
            self._burn_log, self._next_log[j] = float(np.logaddexp(self._burn_log, self._next_log[j])), never

    def _top(self) -> float:
        """Return the largest log weight."""
        return max(self._burn_log, float(self._arc_log.max()), float(self._next_log.max()))

    def _fork(self, t_ns: int) -> None:
        """Forget arcs that do not fit; fork one off the burning pair where burning is likely enough."""
        top = self._top()
        self._next_log = np.where(self._next_log < top - LOG_NEXT_GONE, self._m.arc.NEVER, self._next_log - top)
        self._burn_log -= top
        self._arc_log = np.where(self._arc_log < top - LOG_GONE, self._m.arc.NEVER, self._arc_log - top)
        since_s = (t_ns - self._forked_ns) * 1e-9
        if since_s < FORK_S or self.boosting < FORK_LEAST:
            return
        k, weight = int(np.argmin(self._arc_log)), self._burn_log + log(min(since_s, 1.0) / BURN_S)
        if self._arc_log[k] > weight:
            return
        (m := self._m).arc.fork(m.b.box(m.burns), m.rows, self._burn, self._first + k, min(since_s, 1.0), PRIOR_WIDER, m.works)
        self._arc_log[k], self._since_ns[k], self._forked_ns = weight, t_ns, t_ns
        self._forks += 1
        for looks in self._looks.values():
            looks.fork(k)
        self._speaks[k] = 0 if self._forks % NEXT_EVERY else NEXT_EVERY

    def _watch(self, t_ns: int) -> None:
        """Call burn-out, or take it back."""
        shares = self._shares()
        ended = float(shares[self._since_ns <= t_ns - round(HOLD_S * 1e9)].sum())
        if self.called_ns is None:
            settled = t_ns - self.plots[0].t_ns > SETTLE_S * 1e9 and len(self.plots) >= PLOTS_CALL
            if settled and ended > (CALL if t_ns - self._sight_ns < SIGHT_S * 1e9 else CALL_ALONE):
                self.called_ns = t_ns
                self.burnout_ns = round(float(shares @ (self._since_ns - t_ns)) / float(shares.sum())) + t_ns
                self.speed_m_s = float(np.linalg.norm(self._m.rows[self._three]["mean"][3:]))
                self._fits.clear()
            return
        self._burns_count = self._burns_count + 1 if ended < AGAIN and self.push()[0] > PUSH_LEAST_M_S2 else 0
        if self._burns_count < AGAIN_PLOTS:
            self._fit(t_ns)
        elif t_ns - (self.burnout_ns or t_ns) > GLIDES_AFTER_NS and descends(self._m.rows[self._three]["mean"]):
            self._turns(t_ns)
        else:
            self.burnout_ns, self.called_ns, self.relit = None, None, self.relit + 1

    def _turns(self, t_ns: int) -> None:
        """It manoeuvres: begin an arc anew."""
        self.manoeuvring, self._burns_count, self._fits = True, 0, []
        self._anew(t_ns)

    def _fit(self, t_ns: int) -> None:
        """Where the arcs do not explain plots any more, it manoeuvres."""
        held = self._arc_log.max() > self._m.arc.NEVER
        fit = float(self._nis[int(np.argmax(self._arc_log))]) if held else 3.0 * MANOEUVRE
        self._fits = [*self._fits, fit][-MANOEUVRE_PLOTS:]
        if len(self._fits) >= MANOEUVRE_PLOTS and float(np.mean(self._fits)) > MANOEUVRE:
            self._turns(t_ns)

    def _anew(self, since_ns: int) -> None:
        """Begin one arc, of a body that burnt out at a time, from the three's state."""
        m = self._m
        mean, covariance = m.state(self._three, 0)
        m.begin(self._first, m.model, 1, int(m.rows[self._three]["t_ns"]), mean, covariance * ANEW_WIDER**2)
        self._arc_log[:], self._next_log[:], self._speaks[:] = m.arc.NEVER, m.arc.NEVER, -1
        self._arc_log[0], self._since_ns[0], self._burn_log = 0.0, since_ns, np.log(FORK_LEAST)
        for looks in self._looks.values():
            looks.fork(0)

    def goes_on(self, burnout_ns: int, called_ns: int) -> None:
        """Take over from an earlier run that it burnt out, and when."""
        self.burnout_ns, self.called_ns = burnout_ns, called_ns
        self._anew(burnout_ns)

    def mean_state(self) -> tuple[int, Array, Array, float, float]:
        """Return time, mean (6,), covariance (6, 6), median of the ballistic coefficient kg/m2 and its log sigma."""
        m = self._m
        if self.called_ns is not None and self._arc_log.max() > m.arc.NEVER:
            mean, covariance = self._arcs()
            sigma = min(sqrt(max(float(covariance[6, 6]), 1e-6)), 1.0)
            return self.t_ns, mean[:6], covariance[:6, :6], float(np.exp(np.clip(mean[6], 4.0, 12.0))), sigma
        row = m.rows[self._three]
        mode = 0 if self.boosting < 0.5 else int(1 + np.argmax(row["mu"][1:]))
        return int(row["t_ns"]), *m.state(self._three, mode), 5_000.0, 0.5

    def _arcs(self) -> tuple[Array, Array]:
        """Return mean (7,) and covariance (7, 7) of the arcs by their weights."""
        live = self._arc_log > self._m.arc.NEVER
        shares = self._shares()[live]
        shares /= shares.sum()
        rows = self._m.rows[self._first : self._first + ARCS][live]
        x, spread = rows["x"][:, 0, :7], rows["P"][:, 0][:, self._m.b.AT[:7, :7]]
        mean = shares @ x
        off = x - mean
        return mean, np.einsum("k,kab->ab", shares, spread) + (off * shares[:, None]).T @ off

    def push(self) -> tuple[float, float]:
        """Return the thrust's acceleration along the velocity, m/s2, and its sigma, as the filters that only burn hold it."""
        row, at = self._m.rows[self._burn], self._m.b.AT[6:9, 6:9]
        along = row["mean"][3:] / max(float(np.linalg.norm(row["mean"][3:])), 1.0)
        share, each = row["mu"][:2], row["x"][:2, 6:9] @ along
        push = float(share @ each)
        variance = float(share @ (np.einsum("a,kab,b->k", along, row["P"][:2][:, at], along) + (each - push) ** 2))
        return push, sqrt(max(variance, 1e-6))
