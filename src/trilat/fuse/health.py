"""Health: whether what a sensor or partner sends fits, and its quarantine when it does not, per audience.

One `Health` belongs to one tracker or combined picture and learns from its data alone, so that nothing learnt from a withheld
sensor shows in another audience's tracks. A source in quarantine is still watched: it comes back when it has fitted for a while.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from statistics import median
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from trilat.fuse.repeats import Places, Repeats, Stamps, codes_of, together
from trilat.records.columns import KIND_FIX, KIND_TRACKLET

Floats = NDArray[np.float64]
State = Literal["unknown", "fit", "suspect", "quarantined"]
Reason = Literal["", "does-not-fit", "bias-drifts", "clock-stuck", "clock-off", "ghosts", "replayed"]
_MEASURED = ("range_m", "azimuth_rad", "elevation_rad", "lat_deg", "lon_deg", "alt_m", "address", "mmsi")
STILL_M_S = 1.0
OFFSETS_NS = 15_000_000_000  # so long what was told of a source's offsets holds
SOON_S = 6.0  # so long the stamps of what also drifts must have stood for its clock to be called stuck
PLACES_KEPT = 20_000  # of one source's tracks, to tell which have moved
FOUND = 4.0  # times bias_max: in quarantine a bias counts until it is this small, however steady
FAR = 4.0  # times nis_max: what came at once counts no more, or a few false plots in a minute of few would be a misfit
EVERYTHING = 0.98  # of a minute's reports: even echoes that stand still say something new now and then
STANDS = 0.2  # of the time that passed: a clock that advances less stands still


class HealthSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a source does not fit. Every judgement is over the last `window_s` and needs `evidence_min` reports.

    nis_max: mean normalised innovation squared per dimension, less what a constant bias makes of it (an honest source has 1; real
    ones some more). bias_max: mean of the innovations in units of their sigma, where it has changed by half of that. apart_max:
    how far off others' tracks it is beyond what biases may part, squared in units of its sigma; drift_max: the same of how much
    that has changed within two minutes (an honest source has about 1, however biased). clock_s_max: change of a source's clock
    against receipt; late_s_max: the same towards what is old, which for a partner is its link's fault and no clock's; usual_s:
    what that is measured from (None: what the source begins with). ghosts_max: share of what others should have seen and nobody
    else confirms. repeats_max: share of reports that are an earlier one's values under another time. suspect_s: how long it must
    not fit before quarantine; release_s: how long it must fit to come back.
    """

    window_s: Annotated[float, Meta(gt=0)] = 60.0
    evidence_min: Annotated[int, Meta(ge=1)] = 30
    nis_max: Annotated[float, Meta(gt=1)] = 4.0
    apart_max: Annotated[float, Meta(gt=0)] = 9.0
    bias_max: Annotated[float, Meta(gt=0)] = 1.0
    drift_max: Annotated[float, Meta(gt=0)] = 4.0
    clock_s_max: Annotated[float, Meta(gt=0)] = 3.0
    late_s_max: Annotated[float, Meta(gt=0)] = 3.0
    usual_s: float | None = None
    ghosts_max: Annotated[float, Meta(gt=0, le=1)] = 0.6
    repeats_max: Annotated[float, Meta(gt=0, le=1)] = 0.5
    repeats_s: Annotated[float, Meta(gt=0)] = 900.0
    repeats_kept: Annotated[int, Meta(ge=1)] = 200_000
    suspect_s: Annotated[float, Meta(ge=0)] = 10.0
    release_s: Annotated[float, Meta(ge=0)] = 60.0


class Verdict(NamedTuple):
    """What is thought of a source: state, the reason it does not fit, since when it is in that state, and the figures shown."""

    state: State
    reason: Reason
    since_ns: int
    nis_per_dimension: float
    bias: float
    clock_offset_s: float
    ghosts: float
    repeats: float
    reports: int
    drift: float = 0.0
    apart: float = 0.0


class _Figures(NamedTuple):
    """What the window of one source says; steady: what of the NIS is of the innovations' means alone; rise: of the bias."""

    nis: float
    steady: float
    bias: float
    rise: float
    offset_s: float
    ghosts: float
    repeats: float
    fits: int
    reports: int


class _Source:
    """The window of one source."""

    def __init__(self, now_ns: int, settings: HealthSettings) -> None:
        self.fits: deque[tuple[int, int, float, Floats, float]] = (
            deque()
        )  # time, n, sum of squares, sum of innovations, dimension
        self.earlier: deque[tuple[int, int, float, Floats, float]] = deque()  # those of the window before
        self.clock: deque[tuple[int, int, float]] = deque()  # time, newest stamp, offset s
        self.seen: deque[tuple[int, int, int]] = deque()  # time, expected, confirmed
        self.repeats: deque[tuple[int, int, Stamps]] = deque()  # time, n, by how much later those that came before did so
        self.known = Repeats(round(settings.repeats_s * 1e9), settings.repeats_kept)
        self.places = Places(PLACES_KEPT)
        self.offsets = (0, 0.0, 0.0)  # when that was told, how far off, how much it has changed
        self.usual_s = settings.usual_s
        self.state: State = "unknown"
        self.reason: Reason = ""
        self.since_ns = self.good_ns = now_ns
        self.bad_ns: int | None = None


class Health:
    """Monitors of the sources of one tracker or combined picture, fed in time order. `quarantined` is what to leave out."""

    def __init__(self, settings: HealthSettings | None = None) -> None:
        self.settings = settings or HealthSettings()
        self._sources: dict[str, _Source] = {}

    def innovations(self, source: str, now_ns: int, whitened: Floats) -> None:
        """Take innovations of a source in units of their sigma (n, d): L^-1 (z - Hx) with L L' = S, from before the update."""
        finite = whitened[np.isfinite(whitened).all(axis=1)]
        if len(finite):
            self._fitted(source, now_ns, len(finite), float((finite**2).sum()), finite.sum(axis=0), finite.shape[1])

    def sums(self, source: str, now_ns: int, plots: int, components: float, squares: float, total: Floats) -> None:
        """Take the growth of a tracker's sums (Tracker.fit) for a source: plots, components, squares, whitened sums (3,)."""
        if plots > 0:
            self._fitted(source, now_ns, plots, squares, total, components / plots)

    def _fitted(self, source: str, now_ns: int, n: int, squares: float, total: Floats, dimension: float) -> None:
        """Keep sums over what came at once, as of nothing farther off than FAR.

        Sums may have shrunk where something late changed what was counted before: that is taken off as it is.
        """
        if not (np.isfinite(squares) and np.isfinite(total).all() and np.isfinite(dimension)):
            return
        most = FAR * self.settings.nis_max * n * dimension
        less = most / squares if 0.0 < most < squares else 1.0
        kept = (now_ns, n, squares * less, total * less**0.5, dimension)
        self._source(source, now_ns).fits.append(kept)

    def reports(self, source: str, now_ns: int, columns: Any) -> None:
        """Take a source's reports (REPORT_DTYPE) as they came, for its clock and for replayed ones; receipt is now_ns."""
        if not len(columns):
            return
        held = self._source(source, now_ns)
        self.stamp(source, now_ns, int(columns["t_ns"].max()))
        # What lies still says the same again and again, rightly.
        moves = (columns["kind"] != KIND_FIX) | (columns["speed_m_s"] > STILL_M_S)
        named = np.flatnonzero(columns["kind"] == KIND_TRACKLET)
        if len(named):
            place = np.stack([columns[name][named] for name in ("lat_deg", "lon_deg")], axis=1)
            moves[named] = held.places.moved(columns["sensor_track"][named], columns["t_ns"][named], place)
        moving = np.flatnonzero(moves)
        values = np.empty((len(moving), len(_MEASURED)))
        for k, name in enumerate(_MEASURED):
            values[:, k] = columns[name][moving]
        self._repeated(held, now_ns, values, columns["t_ns"][moving])

    def stamp(self, source: str, now_ns: int, newest_ns: int) -> None:
        """Take the newest time that a source's reports or tracks are stamped with, of those that came by now."""
        self._source(source, now_ns).clock.append((now_ns, newest_ns, (now_ns - newest_ns) * 1e-9))

    def tracks(self, source: str, now_ns: int, number: Stamps, t_ns: Stamps, place_deg: Floats, values: Floats) -> None:
        """Take a source's tracks as they came: numbers and times (n,), latitudes and longitudes (n, 2), all they say (n, d)."""
        if len(t_ns):
            held = self._source(source, now_ns)
            moving = held.places.moved(number, t_ns, place_deg)
            self._repeated(held, now_ns, values[moving], t_ns[moving])

    def offsets(self, source: str, now_ns: int, apart: float, drift: float) -> None:
        """Take how a source stands beside others now: squares per dimension, beyond what biases may part, and of the change."""
        held = self._source(source, now_ns)
        held.offsets = (now_ns, apart, drift)

    def hold(self, source: str, now_ns: int, like: str) -> None:
        """Put a new source in quarantine from its beginning, for another's reason: it is used once it has fitted for long."""
        held = self._source(source, now_ns)
        held.state, held.reason, held.since_ns, held.good_ns = "quarantined", self._sources[like].reason, now_ns, now_ns

    def forget(self, source: str) -> None:
        """Forget a source that is no more."""
        self._sources.pop(source, None)

    def _repeated(self, held: _Source, now_ns: int, values: Floats, stamps_ns: Stamps) -> None:
        """Count what came before under another time."""
        again = held.known.take(now_ns, codes_of(values), stamps_ns)
        held.repeats.append((now_ns, len(stamps_ns), again))

    def confirmations(self, source: str, now_ns: int, expected: int, confirmed: int) -> None:
        """Take how many of a source's tracks others should see as well, and how many of these others do see."""
        if expected:
            self._source(source, now_ns).seen.append((now_ns, expected, confirmed))

    def step(self, now_ns: int) -> dict[str, Verdict]:
        """Judge every source at a time; call it at every step."""
        return {name: self._judge(held, now_ns) for name, held in sorted(self._sources.items())}

    @property
    def quarantined(self) -> frozenset[str]:
        """The sources whose data is to be left out (and still fed here), as judged at the last step."""
        return frozenset(name for name, held in self._sources.items() if held.state == "quarantined")

    def _source(self, name: str, now_ns: int) -> _Source:
        return self._sources.setdefault(name, _Source(now_ns, self.settings))

    def _judge(self, held: _Source, now_ns: int) -> Verdict:
        """Move one source's state on."""
        self._forget(held, now_ns)
        found = self._figures(held)
        reason = self._reason(held, now_ns, found)
        s = self.settings
        if reason:
            held.bad_ns = now_ns if held.bad_ns is None else held.bad_ns
            held.good_ns = now_ns
            ready = now_ns - held.bad_ns >= s.suspect_s * 1e9
            self._turn(held, "quarantined" if ready or held.state == "quarantined" else "suspect", reason, now_ns)
        elif held.state == "quarantined" and not (held.fits or held.clock or held.seen):
            held.good_ns = now_ns  # silence is no sign that it fits
        else:
            held.bad_ns = None
            if held.state != "quarantined" or now_ns - held.good_ns >= s.release_s * 1e9:
                self._turn(held, "fit" if max(found.fits, found.reports) >= s.evidence_min else "unknown", "", now_ns)
        shown = (found.nis, found.bias, found.offset_s, found.ghosts, found.repeats, max(found.fits, found.reports))
        return Verdict(held.state, held.reason, held.since_ns, *shown, held.offsets[2], held.offsets[1])

    def _turn(self, held: _Source, state: State, reason: Reason, now_ns: int) -> None:
        """Set a source's state, remembering since when."""
        if state != held.state:
            held.since_ns = now_ns
        held.state, held.reason = state, reason

    def _forget(self, held: _Source, now_ns: int) -> None:
        """Drop what is older than the window."""
        oldest = now_ns - round(self.settings.window_s * 1e9)
        while held.fits and held.fits[0][0] < oldest:
            held.earlier.append(held.fits.popleft())
        while held.earlier and held.earlier[0][0] < 2 * oldest - now_ns:
            held.earlier.popleft()
        windows: tuple[deque[Any], ...] = (held.clock, held.seen, held.repeats)
        for window in windows:
            while window and window[0][0] < oldest:
                window.popleft()
        held.known.forget(now_ns)
        if now_ns - held.offsets[0] > OFFSETS_NS:
            held.offsets = (0, 0.0, 0.0)

    def _figures(self, held: _Source) -> _Figures:
        """Return the figures of the window."""
        n = sum(one[1] for one in held.fits)
        scalars = sum(one[1] * one[4] for one in held.fits)
        nis = sum(one[2] for one in held.fits) / scalars if scalars else 0.0
        mean, before = _mean(held.fits), _mean(held.earlier)
        bias = float(np.abs(mean).max())
        steady = float((mean**2).sum()) * n / scalars if scalars else 0.0
        enough = sum(one[1] for one in held.earlier) >= self.settings.evidence_min
        rise = float(np.abs(mean - before).max()) if enough else 0.0
        offset = median([one[2] for one in held.clock]) if held.clock else 0.0
        expected = sum(one[1] for one in held.seen)
        ghosts = 1.0 - sum(one[2] for one in held.seen) / expected if expected >= self.settings.evidence_min else 0.0
        count = sum(one[1] for one in held.repeats)
        again = [one[2] for one in held.repeats if one[2].size]
        repeats = sum(one.shape[1] for one in again) / count if again and count >= self.settings.evidence_min else 0.0
        if 0.0 < repeats < EVERYTHING:
            repeats = together(np.concatenate(again, axis=1)) / count
        return _Figures(nis, steady, bias, rise, offset, ghosts, repeats, n, count)

    def _reason(self, held: _Source, now_ns: int, found: _Figures) -> Reason:
        """Return why a source does not fit, empty when it does or when there is too little to say."""
        s = self.settings
        enough = found.fits >= s.evidence_min
        if found.repeats > s.repeats_max:
            return "replayed"
        if clock := self._clock(held, now_ns, found.offset_s):
            return clock
        # A constant bias is for registration to find: it counts while it changes, and until it is small enough to be found.
        changed = found.rise > 0.5 * s.bias_max or (held.state == "quarantined" and found.bias > FOUND * s.bias_max)
        if held.offsets[2] > s.drift_max or (enough and changed and found.bias > s.bias_max):
            # What moves on under a time that stands leaves its place: a clock is known by that sooner than by itself.
            return "clock-stuck" if _stands(self._stamps(held), s.suspect_s, SOON_S) else "bias-drifts"
        if found.ghosts > s.ghosts_max:
            return "ghosts"
        noisy = enough and found.nis - found.steady > s.nis_max
        return "does-not-fit" if noisy or held.offsets[1] > s.apart_max else ""

    def _clock(self, held: _Source, now_ns: int, offset: float) -> Reason:
        """Return what is wrong with a source's clock: it stands still while reports come, or it has moved against receipt."""
        s = self.settings
        if len(held.clock) < 2:
            return ""
        elapsed_s = (held.clock[-1][0] - held.clock[0][0]) * 1e-9
        if _stands(self._stamps(held), s.suspect_s, 2 * s.suspect_s):
            return "clock-stuck"
        if held.usual_s is None and elapsed_s >= s.suspect_s and now_ns > held.clock[0][0]:
            held.usual_s = offset
        if held.usual_s is not None:
            newest = median([one[2] for one in list(held.clock)[-5:]])
            if not -s.clock_s_max <= newest - held.usual_s <= s.late_s_max:
                return "clock-off"
        return ""

    def _stamps(self, held: _Source) -> Sequence[tuple[int, int, float]]:
        """Return the times of receipt and stamps by which a clock is seen to advance: not a stray one of times to come."""
        now = [one for one in held.clock if one[2] >= -self.settings.clock_s_max]
        return now if 2 * len(now) > len(held.clock) else held.clock


def _mean(fits: Sequence[tuple[int, int, float, Floats, float]]) -> Floats:
    """Return the mean of whitened innovations (6,), zero where there are none."""
    total = np.zeros(6)
    for one in fits:
        total[: len(one[3])] += one[3]
    return total / max(sum(one[1] for one in fits), 1)


def _stands(clock: Sequence[tuple[int, int, float]], pause_s: float, for_s: float) -> bool:
    """Tell whether stamps stood still in the last for_s in which reports came. A longer pause in what comes is none of theirs.

    clock: times of receipt and newest stamps, in order; the newest of all so far counts, as what is late comes after what is new.
    """
    if not clock:
        return False
    elapsed_s, last_ns, newest_ns = 0.0, clock[-1][0], max(one[1] for one in clock)
    for k in range(len(clock) - 2, -1, -1):
        elapsed_s += min((last_ns - clock[k][0]) * 1e-9, pause_s)
        last_ns = clock[k][0]
        if elapsed_s >= for_s:
            before_ns = max(one[1] for one in list(clock)[: k + 1])
            return (newest_ns - before_ns) * 1e-9 < STANDS * elapsed_s
    return False


def whitened(position_m: Floats, velocity_m_s: Floats, covariance: Floats, fused: Any) -> Floats:
    """Return a partner's tracks against the others' fused ones of the same targets, whitened (n, 6).

    position_m, velocity_m_s (n, 3), covariance (n, 6, 6): the partner's; fused (n,): TRACK_DTYPE columns of the others, then.
    """
    e = np.concatenate([position_m - fused["position_m"], velocity_m_s - fused["velocity_m_s"]], axis=1)
    root = np.linalg.cholesky(covariance + fused["covariance"])
    return np.asarray(np.linalg.solve(root, e[..., None])[..., 0])
