"""Fixed-interval smoothing of stored tracks, in numpy: for replay, history and scoring, never for the live picture.

Rauch, Tung and Striebel, AIAA Journal 3, 1965: over nearly constant velocity where the states are all that was stored (`smooth`),
and over the tracker's own modes where these were stored as well (`smooth_modes`). There every mode of a state is carried to every
mode of the next by that mode's own motion, the kernels' (thrust, gravity, Coriolis, drag, turn), and smoothed back from it; the
pairs are weighed by how well what came later fits them, and joined to one Gaussian a mode. This is Kim's smoother (Journal of
Econometrics 60, 1994) with the weights of Barber's expectation correction (Journal of Machine Learning Research 7, 2006).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trilat.kernels import bank as b

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Pairs = tuple[Integers, Integers, Integers]  # places of pairs of modes: which body, its mode, the next state's
# What a track was in each of its modes at one time: `Tracker.modes` gives it, after each step. The states are of `state_t_ns`,
# when the bank last moved them, and t_ns is the time of the picture. x and P as in kernels/bank.py.
MODES_DTYPE = np.dtype(
    [
        ("number", "i8"),
        ("t_ns", "i8"),
        ("updated_t_ns", "i8"),
        ("state_t_ns", "i8"),
        ("key", "i8"),  # the track's lasting name: another one under the same number is a new track that was given it back
        ("model_set", "i8"),
        ("mu", "f8", b.MODES),
        ("x", "f8", (b.MODES, b.STATES)),
        ("P", "f8", (b.MODES, b.PACKED)),
    ]
)
RIDGE = 1e-12  # of the largest variance, with all units taken out: below it there is none to working accuracy
LEAST = 1e-13  # of a variance against the foreseen one, and what it must be narrower by to tell anything
NEVER = 1e-12  # a mode less likely than this has no say in what came before
_N = b.STATES
_EYE = np.eye(_N)
_LOW = np.tril_indices(_N)
_STATES = np.array(b.STATES_OF_MODEL)
# By motion model: 1 for each of the states that it does not have.
_ABSENT = (np.arange(_N)[None] >= _STATES[:, None]).astype(np.float64)


def constant_velocity(dt_s: float, noise_m2_s3: float) -> tuple[Floats, Floats]:
    """Return transition matrix F and noise covariance Q (6, 6) of nearly constant velocity over dt_s; noise is its density."""
    f, q = np.eye(6), np.zeros((6, 6))
    f[:3, 3:] = np.eye(3) * dt_s
    q[:3, :3] = np.eye(3) * noise_m2_s3 * dt_s**3 / 3
    q[:3, 3:] = q[3:, :3] = np.eye(3) * noise_m2_s3 * dt_s**2 / 2
    q[3:, 3:] = np.eye(3) * noise_m2_s3 * dt_s
    return f, q


def smooth(t_ns: Integers, mean: Floats, covariance: Floats, noise_m2_s3: float) -> tuple[Floats, Floats]:
    """Return smoothed means (n, 6) and covariances (n, 6, 6) of one track's filtered states at times t_ns, oldest first.

    The states must be those after each update, as a filter with this noise left them; a stored track of the live tracker is
    nearly so, and its smoothed path is better than its live one wherever later plots speak of it.
    """
    out_mean, out_covariance = mean.copy(), covariance.copy()
    for k in range(len(t_ns) - 2, -1, -1):
        f, q = constant_velocity((int(t_ns[k + 1]) - int(t_ns[k])) * 1e-9, noise_m2_s3)
        foreseen = f @ covariance[k] @ f.T + q
        gain = _over(foreseen[None], (f @ covariance[k])[None])[0].T
        out_mean[k] = mean[k] + gain @ (out_mean[k + 1] - f @ mean[k])
        out_covariance[k] = _even(covariance[k] + gain @ (out_covariance[k + 1] - foreseen) @ gain.T)
    return out_mean, out_covariance


def stored(bank: Any, row: Integers, held: Any, shown: Any) -> Any:
    """Return MODES_DTYPE of a bank's rows (n,) under the numbers they are held under; shown: the same tracks as TRACK_DTYPE."""
    out = np.empty(len(row), MODES_DTYPE)
    for name in ("model_set", "mu", "x", "P"):
        out[name] = bank[name][row]
    out["number"], out["key"], out["state_t_ns"] = held["number"], held["key"], bank["t_ns"][row]
    out = out[np.argsort(out["number"], kind="stable")]
    for name in ("t_ns", "updated_t_ns"):
        out[name] = shown[name][: len(out)]
    return out


class _Bodies(NamedTuple):
    """Tracks at one time each, by mode: kind, weight (n, M), x (n, M, 9), p (n, M, 9, 9); kind is -1 where there is no mode."""

    at_ns: Integers
    which: Integers
    kind: Integers
    weight: Floats
    x: Floats
    p: Floats


def smooth_modes(rows: Any, model: Any) -> tuple[Floats, Floats]:
    """Return smoothed means (n, 6) and covariances (n, 6, 6) of n states (MODES_DTYPE) at their t_ns.

    rows: in order of key, then time; model: `build_model` of the tracker's settings. What is of one key is one path, smoothed
    back from its last row, which stays what it was. All paths go back at once, a row a step.
    """
    mean, covariance = np.empty((len(rows), 6)), np.empty((len(rows), 6, 6))
    if not len(rows):
        return mean, covariance
    starts = np.r_[0, np.flatnonzero(np.diff(rows["key"])) + 1]
    lengths = np.diff(np.r_[starts, len(rows)])
    last, by_length = starts + lengths - 1, np.argsort(-lengths, kind="stable")
    flow, after = _Flow(model), None
    for back in range(int(lengths.max())):
        paths = by_length[: int((lengths > back).sum())]
        at = last[paths] - back
        bodies = flow.bodies(rows[at])
        after = bodies if after is None else _back(flow, bodies, _first(after, len(paths)))
        mean[at], covariance[at] = _joined(after)
    return mean, covariance


class _Flow:
    """The kernels' motion, for arrays of single modes."""

    def __init__(self, model: Any) -> None:
        from trilat.kernels import arc  # noqa: PLC0415 - numba loads here
        from trilat.kernels.motion import LOG_COEFFICIENT  # noqa: PLC0415 - same

        self.model, self._ahead, self._models = model, arc.ahead, b.box(model)
        self._row, self._works = b.new_bank(0).rows, b.box(b.record(b.WORK_DTYPE))
        birth = model["birth"]
        # By model set and motion model: what is thought of the states beyond velocity while nothing is known of them.
        self.prior_mean, self.prior_variance = np.zeros((b.SETS, 5)), np.zeros((b.SETS, 5))
        self.prior_variance[:, b.BOOST], self.prior_variance[:, b.TURN] = birth[:, 1] ** 2, birth[:, 2] ** 2
        self.prior_variance[:, b.REENTRY], self.prior_mean[:, b.REENTRY] = birth[:, 3] ** 2, LOG_COEFFICIENT

    def move(self, which: Integers, mode: Integers, dt_s: Floats, x: Floats, p: Floats) -> tuple[Floats, Floats, Floats]:
        """Return states (n, 9), covariances (n, 9, 9) and Jacobians of single modes moved by seconds (n,)."""
        x, packed, f = x.copy(), np.ascontiguousarray(p[:, _LOW[0], _LOW[1]]), np.empty((len(x), _N, _N))
        self._ahead(self._models, which, mode, dt_s, x, packed, f, self._row, self._works)
        return x, _full(packed), f

    def bodies(self, rows: Any) -> _Bodies:
        """Return what was stored, moved to the time it was shown at, in the modes that its model set has."""
        which = rows["model_set"].astype(np.int64)
        there = np.arange(b.MODES)[None] < self.model["modes"][which][:, None]
        kind = np.where(there, self.model["kind"][which], -1)
        x, p = np.zeros((len(rows), b.MODES, _N)), np.zeros((len(rows), b.MODES, _N, _N))
        row, mode = np.nonzero(there)
        have = _ABSENT[kind[row, mode]] == 0.0
        dt = (rows["t_ns"] - rows["state_t_ns"])[row] * 1e-9
        own, wide = rows["x"][row, mode] * have, _full(rows["P"][row, mode]) * (have[:, :, None] & have[:, None, :])
        x[row, mode], p[row, mode], _ = self.move(which[row], mode, dt, own, wide)
        weight = np.where(there, rows["mu"], 0.0)
        return _Bodies(rows["t_ns"].astype(np.int64), which, kind, weight / weight.sum(axis=1, keepdims=True), x, p)

    def chance(self, before: _Bodies, after: _Bodies) -> Floats:
        """Return the probabilities (n, M, M) of going from each mode to each of the next state, as the filter takes them.

        Where the model set changed between them, the new one's modes begin as those of a new track.
        """
        m, k = self.model, before.which
        dt = (after.at_ns - before.at_ns)[:, None] * 1e-9
        stay = np.exp(-dt / m["stay_s"][k])
        same = stay[:, :, None] * np.eye(b.MODES) + (1.0 - stay)[:, :, None] * m["share"][k] * (1.0 - np.eye(b.MODES))
        alone = (m["modes"][k] == 1)[:, None, None]
        begun = np.repeat(m["start"][after.which][:, None], b.MODES, axis=1)
        return np.where((k == after.which)[:, None, None], np.where(alone, 1.0, same), begun)


def _back(flow: _Flow, before: _Bodies, after: _Bodies) -> _Bodies:
    """Return states smoothed, given the smoothed ones that follow them."""
    n, i, j = np.nonzero((before.kind >= 0)[:, :, None] & (after.kind >= 0)[:, None, :])
    old, new, which = before.kind[n, i], after.kind[n, j], after.which[n]
    same, absent = old == new, _ABSENT[new]
    x, p = before.x[n, i], before.p[n, i]
    # What the next mode has and this one does not begins from its prior, and is bound to nothing.
    begin, doubt, bound = x.copy(), p.copy(), p.copy()
    other = ~same
    begin[other, 6:], doubt[other, 6:], doubt[other, :, 6:], bound[other, :, 6:] = 0.0, 0.0, 0.0, 0.0
    extra = (1.0 - absent[:, 6:]) * other[:, None]
    begin[:, 6:] += extra * flow.prior_mean[which, new][:, None]
    doubt[:, range(6, _N), range(6, _N)] += extra * flow.prior_variance[which, new][:, None]
    dt = np.asarray((after.at_ns - before.at_ns)[n] * 1e-9, np.float64)
    there, foreseen, f = flow.move(which, j, dt, begin, doubt)
    # Neither side has what is absent: one there keeps the matrices regular and has no effect.
    foreseen += absent[:, :, None] * _EYE
    chance = np.zeros((len(before.x), b.MODES, b.MODES))
    chance[n, i, j] = before.weight[n, i] * flow.chance(before, after)[n, i, j]
    later, narrower, fit = _told(after, (n, i, j), chance, there, foreseen)
    gain = _over(foreseen, f @ bound.transpose(0, 2, 1)).transpose(0, 2, 1)
    x = x + (gain @ later[:, :, None])[:, :, 0]
    p = _even(p + gain @ (narrower - foreseen) @ gain.transpose(0, 2, 1))
    return _gather(before, (n, i, j), _shares(chance, before, after, (n, i, j), fit), x, p)


def _told(after: _Bodies, at: Pairs, chance: Floats, there: Floats, foreseen: Floats) -> tuple[Floats, Floats, Floats]:
    """Give each pair what the future tells of the later state: (n, 9) how far it moves, its covariance, and the log of its fit.

    What the future tells of a mode is what parts its smoothed state from what the filter, which mixed the modes, foresaw: an
    equivalent measurement. It is given to what each earlier mode alone foresees, so that no state is ever counted twice, and
    none is left wider than the filter had it. there (n, 9), foreseen (n, 9, 9): what is foreseen by the pairs `at`.
    """
    n, i, j = at
    share = chance / np.maximum(chance.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    one = _ABSENT[after.kind][:, :, :, None] * _EYE
    mean, wide = np.zeros_like(after.x), np.where((after.kind < 0)[:, :, None, None], _EYE, 0.0)
    np.add.at(mean, (n, j), share[n, i, j][:, None] * there)
    off = there - mean[n, j]
    np.add.at(wide, (n, j), share[n, i, j][:, None, None] * (foreseen + off[:, :, None] * off[:, None, :]))
    # In axes along which the foreseen has a unit variance and the smoothed `left`: what is narrower there was told.
    root, inverse, exact = _halves(wide)
    smoothed = np.where((after.kind < 0)[:, :, None, None], _EYE, after.p + one)
    left, axes = np.linalg.eigh(_even(inverse @ smoothed @ np.swapaxes(inverse, 2, 3)) + exact[..., None] * _EYE)
    left = np.maximum(left, LEAST)
    inward, outward = np.swapaxes(axes, 2, 3) @ inverse, (root @ axes)[n, j]
    told = np.where(left < 1.0 - LEAST, 1.0 / left - 1.0, 0.0)
    towards = np.where(told > 0.0, (inward @ (after.x - mean)[:, :, :, None])[:, :, :, 0] / left, 0.0)
    inward, told, towards = inward[n, j], told[n, j], towards[n, j]
    m = (inward @ off[:, :, None])[:, :, 0]
    own = _even(inward @ foreseen @ inward.transpose(0, 2, 1))
    grown = _EYE + own * told[:, None, :]
    left_over = _even(np.linalg.solve(grown, own))
    rest = towards - told * m
    step = (left_over @ rest[:, :, None])[:, :, 0]
    fit = (towards * m - 0.5 * told * m * m + 0.5 * rest * step).sum(axis=1) - 0.5 * np.linalg.slogdet(grown)[1]
    return (outward @ step[:, :, None])[:, :, 0], outward @ left_over @ outward.transpose(0, 2, 1), fit


def _shares(chance: Floats, before: _Bodies, after: _Bodies, at: Pairs, fit: Floats) -> Floats:
    """Return the probability (n, M, M) of each pair of modes: the later one's, times which it came from."""
    n, i, j = at
    log = np.full(chance.shape, -np.inf)
    with np.errstate(divide="ignore"):
        log[n, i, j] = np.log(chance[n, i, j]) + fit
    top = log.max(axis=1, keepdims=True)
    share = np.exp(log - np.where(np.isfinite(top), top, 0.0))
    total = share.sum(axis=1, keepdims=True)
    share = np.where(total > 0.0, share / np.where(total > 0.0, total, 1.0), before.weight[:, :, None])
    return np.asarray(share * after.weight[:, None, :])


def _gather(before: _Bodies, at: Pairs, share: Floats, x: Floats, p: Floats) -> _Bodies:
    """Join the pairs of each earlier mode: one Gaussian of the same mean and covariance; one without weight stays as it was."""
    n, i, j = at
    weight = share.sum(axis=2)
    heavy = weight > NEVER
    part = share[n, i, j] / np.where(heavy, weight, 1.0)[n, i]
    mean, wide = np.zeros_like(before.x), np.zeros_like(before.p)
    np.add.at(mean, (n, i), part[:, None] * x)
    off = x - mean[n, i]
    np.add.at(wide, (n, i), part[:, None, None] * (p + off[:, :, None] * off[:, None, :]))
    mean, wide = np.where(heavy[:, :, None], mean, before.x), np.where(heavy[:, :, None, None], wide, before.p)
    return before._replace(weight=weight / weight.sum(axis=1, keepdims=True), x=mean, p=wide)


def _joined(bodies: _Bodies) -> tuple[Floats, Floats]:
    """Return means (n, 6) and covariances (n, 6, 6) over the modes."""
    w, x = bodies.weight, bodies.x[:, :, :6]
    mean = (w[:, :, None] * x).sum(axis=1)
    off = x - mean[:, None]
    wide = bodies.p[:, :, :6, :6] + off[:, :, :, None] * off[:, :, None, :]
    return mean, (w[:, :, None, None] * wide).sum(axis=1)


def _first(bodies: _Bodies, n: int) -> _Bodies:
    """Return the first n."""
    one = bodies
    return _Bodies(one.at_ns[:n], one.which[:n], one.kind[:n], one.weight[:n], one.x[:n], one.p[:n])


def _full(packed: Floats) -> Floats:
    """Return symmetric matrices (n, 9, 9) of lower triangles (n, 45)."""
    return np.asarray(packed[:, b.AT])


def _even(p: Any) -> Floats:
    """Return covariances made symmetric."""
    return np.asarray(0.5 * (p + np.swapaxes(p, -1, -2)))


def _scaled(p: Floats) -> tuple[Floats, Floats]:
    """Return covariances (..., d, d) with a unit diagonal, and the sigmas (..., d) taken out: their units are far apart."""
    sigma = np.sqrt(np.einsum("...ii->...i", p))
    sigma = np.where(sigma > 0.0, sigma, 1.0)
    return p / (sigma[..., :, None] * sigma[..., None, :]), sigma


def _halves(p: Floats) -> tuple[Floats, Floats, Floats]:
    """Return, of covariances (..., d, d), roots W with W W' = p, their inverses, and 1 for each column that is none (..., d).

    What varies by less than RIDGE of its neighbours is taken for exact: nothing is ever told of it. Those columns and rows are 0.
    """
    unit, sigma = _scaled(p)
    values, axes = np.linalg.eigh(unit)
    some = values > RIDGE * values[..., -1:]
    size = np.sqrt(np.where(some, values, 1.0))
    root, inverse = axes * (some * size)[..., None, :], np.swapaxes(axes, -1, -2) * (some / size)[..., :, None]
    return sigma[..., :, None] * root, inverse / sigma[..., None, :], np.where(some, 0.0, 1.0)


def _over(p: Floats, right: Floats) -> Floats:
    """Return p^-1 right, of covariances (n, d, d)."""
    _, inverse, _ = _halves(p)
    return np.asarray(np.swapaxes(inverse, 1, 2) @ (inverse @ right))


def kept(group: Integers, columns: Any, step: Integers) -> Integers:
    """Return which rows of a history are of paths, in order of group, then time; ValueError where one cannot be.

    group (n,): what of the rows is one path; step (n,): which item of the history each came in. A path ends with the first state
    that knows the last report: what was only foreseen after it is left out. Of several states of one time the last one given
    counts, and of those given at once the one that knows most.
    """
    if not len(columns):
        return np.zeros(0, np.int64)
    wide = np.einsum("nkk->n", columns["covariance"]) if "covariance" in columns.dtype.names else columns["P"].sum(axis=(1, 2))
    order = np.lexsort((-wide, columns["updated_t_ns"], columns["t_ns"], step, group))
    group, t_ns, known = group[order], columns["t_ns"][order], columns["updated_t_ns"][order]
    same = group[1:] == group[:-1]
    if (same & (t_ns[1:] < t_ns[:-1])).any():
        back = int(order[np.flatnonzero(same & (t_ns[1:] < t_ns[:-1]))[0]])
        msg = f"track {columns['number'][back]}: times of the history must rise"
        raise ValueError(msg)
    again = np.r_[same & (t_ns[1:] == t_ns[:-1]), False]
    order, group, known = order[~again], group[~again], known[~again]
    starts = np.r_[0, np.flatnonzero(group[1:] != group[:-1]) + 1]
    most = np.repeat(np.maximum.reduceat(known, starts), np.diff(np.r_[starts, len(group)]))
    there = known == most  # the first of these ends the path
    before = np.cumsum(there) - there
    ended = before - np.repeat(before[starts], np.diff(np.r_[starts, len(group)]))
    return np.asarray(order[ended == 0], dtype=np.int64)
