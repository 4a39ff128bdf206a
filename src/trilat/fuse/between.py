"""Registration between nations: what parts the plots and tracklets of several nations of the same targets, and taking it off.

Where a partner's radar stands is not ours to know, and need not be: its plots come with the axis they were measured along, so a
bias of range moves them along it, one of azimuth by so many of the sigmas across, one of elevation by so many of those upwards.

Everything here is a function of the set of reports that came within SETTLE_S: they are learnt from that long after their time, in
the order of it, and a report is corrected by what was known at its own time.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trilat.fuse.earth_fixed import DOUBT_M, ROOT, can_stand_alone, ellipsoids
from trilat.fuse.pairing import EFFECTS, LINK_NS, SITE, Floats, Links, Points, fixes, linked, pairs_of, points, together
from trilat.fuse.registration import judged, solved, sure
from trilat.kernels import geodesy
from trilat.records.columns import KIND_FIX, KIND_MEASUREMENT, KIND_RADAR, KIND_TRACKLET, joined, picked
from trilat.records.sensor import Sensor

Came = tuple[Any, Floats | None]  # reports (REPORT_DTYPE), and the rows of those that are tracklets
CLOCK = SITE - 1
EFFECT_NAMES = ("range_m", "azimuth_sigmas", "elevation_sigmas", "time_s", "x_m", "y_m", "z_m")
# One sigma of what is thought possible. Own radars have their nation's watch: what may as well be the partner's is the partner's.
PARTNER_PRIOR = (500.0, 6.0, 6.0, 1.5)
OWN_PRIOR = (100.0, 2.0, 2.0, 0.3)
SURVEY_M, WRONG_M = 1.0, 500.0  # one sigma of a place as surveyed, and of a partner's that its reports contradict
SITE_GATES = (100.0, 25.9)  # by how much they must: see `registration.judged`
EVERY_NS, SETTLE_NS = 10_000_000_000, 30_000_000_000
TURN_M_S2 = 2.0
TWICE = 2.0  # a plot takes part in two links, and in pairs with every other source
GATE = 25.9  # three degrees of freedom, 1 in 100,000
FADE_S = 1_800.0
PAIRS_MIN, SIGMAS_MIN = 60, 3.0  # before a bias is taken off: what is no surer would add more than it takes
POINTS_MAX = 400  # of one source looked at at a time: those of some places on Earth, the same for all sources
CELL_M = 20_000.0
SIGMA_MAX_M, VAGUE_M = 5_000.0, 1e5  # wider, a place says nothing here
SOURCES_MAX = 64  # of one nation: names are what a partner says they are, and each costs a row of everything
AHEAD_MAX = 2  # stretches of EVERY_NS beyond the present one: what is of later than that is no report of now
AHEAD_NS = 5_000_000_000  # what is known takes effect so much later: a clock ahead of ours must not change what a report becomes
KIND_NONE = -1
IN_FORCE_MAX = 64
ROUND = 1.05  # axes less unlike than this are not told apart: lengths are computed, not sampled, and hardly turn in a span
_UPPER = np.triu_indices(6)


class Known(NamedTuple):
    """What is known of a source: its biases (EFFECTS,), one sigma of each, how many pairs speak of it, and what is taken off."""

    value: Floats
    sigma: Floats
    pairs: int
    taken: Floats


def points_of(columns: Any, rows: Floats | None, sensor: Sensor | None) -> Points:
    """Return the usable points of reports (REPORT_DTYPE, of one kind): rows of tracklets, sensor of own reports."""
    kind = int(columns["kind"][0]) if len(columns) else KIND_NONE
    if kind == KIND_TRACKLET and rows is not None:
        return _of_tracklets(columns, rows)
    if kind == KIND_FIX and sensor is not None:
        return fixes(columns, sensor)
    if kind == KIND_RADAR and sensor is not None:
        columns = columns[can_stand_alone(columns)]
        place, *sigma = ellipsoids(columns, sensor)
        place = np.asarray(place).reshape(-1, 3)
        basis = np.broadcast_to(geodesy.enu_basis(sensor.lat_deg, sensor.lon_deg), (len(columns), 3, 3))
        away = place - geodesy.geodetic_to_ecef(sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
        return _of_ellipsoids(columns, place, _axes(np.einsum("nij,nj->ni", basis, away), basis), sigma)
    if kind == KIND_MEASUREMENT:
        sigma = [columns[name] for name in ("sigma_range_m", "sigma_horizontal_m", "sigma_vertical_m")]
        place = geodesy.geodetic_to_ecef(columns["lat_deg"], columns["lon_deg"], columns["alt_m"]).reshape(-1, 3)
        basis = geodesy.enu_basis(columns["lat_deg"], columns["lon_deg"]).reshape(-1, 3, 3)
        azimuth, elevation = columns["azimuth_rad"], columns["elevation_rad"]
        level = np.cos(elevation)
        axis = np.stack([level * np.sin(azimuth), level * np.cos(azimuth), np.sin(elevation)], axis=1)
        made = _of_ellipsoids(columns, place, _axes(axis, basis), sigma)
        ball = (sigma[0] == sigma[1]) & (sigma[1] == sigma[2])  # its axis was taken from it
        made.effect[ball] = 0.0
        made.covariance[ball] = VAGUE_M**2 * np.eye(3)
        return made
    return together([])


def _axes(axis: Floats, basis: Floats) -> Floats:
    """Return the directions along, across (level, to the right) and above axes (n, 3) in local terms: columns (n, 3, 3), ECEF."""
    flat = np.maximum(np.hypot(axis[:, 0], axis[:, 1]), 1e-9)
    r = np.maximum(np.linalg.norm(axis, axis=1), 1e-9)
    east, north, up = axis[:, 0] / flat, axis[:, 1] / flat, axis[:, 2] / r
    level, zero = flat / r, np.zeros_like(r)
    local = np.stack(
        [
            np.stack([level * east, level * north, up], axis=1),
            np.stack([north, -east, zero], axis=1),
            np.stack([-up * east, -up * north, level], axis=1),
        ],
        axis=2,
    )
    return np.asarray(np.swapaxes(basis, 1, 2) @ local)


def _of_ellipsoids(columns: Any, place: Floats, axes: Floats, sigma: list[Floats]) -> Points:
    """Return points with error ellipsoids about axes: a bias of range is in metres, those of angles are in sigmas."""
    spread = axes * np.stack(sigma, axis=1)[:, None, :]
    effect = np.zeros((len(place), 3, EFFECTS))
    effect[:, :, 0] = axes[:, :, 0]
    effect[:, :, 1:3] = spread[:, :, 1:]
    effect[:, :, SITE:] = -np.eye(3)
    return points(columns, place, spread @ np.swapaxes(spread, 1, 2), effect=effect)


def _of_tracklets(columns: Any, rows: Floats) -> Points:
    """Return tracklets as what they mostly are: their last plot. Its ellipsoid's axes are those of the place's covariance.

    Across is level, and along is nearer to that than above is; it leads upwards, for radars look up. Where two of them are about
    equally long nobody can tell which is which, and nothing is made of it.
    """
    root = np.zeros((len(rows), 6, 6))
    root[:, _UPPER[0], _UPPER[1]] = rows[:, ROOT:]
    information = np.swapaxes(root, 1, 2) @ root + np.diag([DOUBT_M**-2.0] * 3 + [1e-8] * 3)
    covariance: Any = np.linalg.inv(information)[:, :3, :3]
    values, vectors = np.linalg.eigh(covariance)
    basis = geodesy.enu_basis(columns["lat_deg"], columns["lon_deg"]).reshape(-1, 3, 3)
    local = basis @ vectors  # columns: the axes in local terms
    order = np.argsort(np.abs(local[:, 2]), axis=1)  # across, along, above
    sigma = np.sqrt(np.maximum(np.take_along_axis(values, order, axis=1), 1e-6))
    along = np.take_along_axis(local, order[:, None, 1:2], axis=2)[..., 0]
    along *= np.where(along[:, 2] < 0.0, -1.0, 1.0)[:, None]
    made = _of_ellipsoids(columns, rows[:, :3].copy(), _axes(along, basis), [sigma[:, 1], sigma[:, 0], sigma[:, 2]])
    widths = np.sort(sigma, axis=1)
    round_ = (widths[:, 1:] < ROUND * widths[:, :-1]).any(axis=1)
    made.effect[round_] = 0.0
    made.covariance[round_] = VAGUE_M**2 * np.eye(3)
    return made


class Between:
    """What is known of every source of one combined picture. `refused` counts reports of sources beyond the bound of a nation's.

    Those are used as they came: nothing is learnt of their biases, and nothing taken off.
    """

    def __init__(self, refused: Counter[str] | None = None) -> None:
        self.refused: Counter[str] = Counter() if refused is None else refused
        self._place: dict[str, int] = {}
        # Variances before anything was seen, with places as surveyed, and where those of partners may be wrong.
        self._surveyed, self._moved = np.zeros(0), np.zeros(0)
        self._information, self._vector, self._pairs = np.zeros((0, 0)), np.zeros(0), np.zeros(0)
        self._sources: dict[str, Sensor | None] = {}
        # By source and by the stretch of EVERY_NS that their times are in, numbered since 1970: what came, as it came.
        self._waiting: dict[str, dict[int, list[Came]]] = {}
        self._held: dict[str, Points] = {}
        self._boundary_ns: int | None = None
        self._in_force: list[tuple[int, dict[str, Known]]] = []
        self._known: dict[str, Known] | None = None

    def take(
        self,
        source: str,
        columns: Any,
        rows: Floats | None,
        sensor: Sensor | None,
        prior: tuple[float, ...] | None,
        *,
        learn: bool = True,
    ) -> tuple[Any, Floats | None]:
        """Take a source's reports as they came (see `points_of`) and return them without what was known of its biases.

        prior: one sigma of its biases before anything is seen, None for a source that has none. Learning is by `learn`, before;
        not to learn: nothing is learnt of these, nor of what waits to be, for which other sources would pay.
        """
        if source not in self._sources:
            nation = source.partition(":")[0]
            if sum(name.partition(":")[0] == nation for name in self._sources) >= SOURCES_MAX:
                self.refused["sources-full"] += len(columns)
                return columns, rows
            self._sources[source] = sensor
            if prior is not None:
                own = sensor is not None  # of whose place its nation's own watch judges
                self._make_room(source, (*prior, *[SURVEY_M] * 3), (*prior, *[SURVEY_M if own else WRONG_M] * 3))
        if learn:
            self._keep(source, columns, rows)
        else:
            self._waiting.pop(source, None)
        values = self._values(source, columns["t_ns"])
        touched = np.flatnonzero(values.any(axis=1))
        if not len(touched):
            return columns, rows
        columns, rows, held = columns.copy(), None if rows is None else rows.copy(), columns[touched]
        made, moved = self._corrected(held, None if rows is None else rows[touched], sensor, values[touched])
        columns[touched] = made
        if rows is not None:
            rows[touched] = moved
        return columns, rows

    def _keep(self, source: str, columns: Any, rows: Floats | None) -> None:
        """Put reports to what waits, by the stretch of time that they are in; what is too late or far ahead is not learnt."""
        held = self._waiting.setdefault(source, {})
        stretch = (columns["t_ns"] - 1) // EVERY_NS
        now = 0 if self._boundary_ns is None else self._boundary_ns // EVERY_NS
        first, last = now - SETTLE_NS // EVERY_NS, now + AHEAD_MAX
        lowest, highest = (int(stretch.min()), int(stretch.max())) if len(stretch) else (0, -1)
        if lowest == highest and first <= lowest <= last:  # nearly always
            held.setdefault(lowest, []).append((columns, rows))
            return
        for k in range(max(lowest, first), min(highest, last) + 1):
            if (keep := stretch == k).any():
                held.setdefault(k, []).append((picked(columns, keep), None if rows is None else rows[keep]))

    def _make_room(self, source: str, surveyed: tuple[float, ...], moved: tuple[float, ...]) -> None:
        """Give a source its place, in the order of names: in whatever order sources come, the same sums are rounded alike."""
        before, self._known = sorted(self._place), None
        self._place = {name: k for k, name in enumerate(sorted([*before, source]))}
        at = np.concatenate([np.arange(EFFECTS) + self._place[name] * EFFECTS for name in before] or [np.zeros(0, np.int64)])
        n, old = len(self._place), (self._information, self._vector, self._surveyed, self._moved, self._pairs)
        self._information, self._vector, self._pairs = np.zeros((n * EFFECTS,) * 2), np.zeros(n * EFFECTS), np.zeros(n * EFFECTS)
        self._surveyed, self._moved = np.tile(np.square(surveyed), n), np.tile(np.square(moved), n)
        self._information[np.ix_(at, at)], self._vector[at], self._surveyed[at], self._moved[at] = old[:4]
        self._pairs[at[::EFFECTS]] = old[4][::EFFECTS]

    def learn(self, now_ns: int) -> None:
        """Learn from what is SETTLE_NS old, every EVERY_NS of time; call it with each step's time before `take`."""
        boundary = now_ns // EVERY_NS * EVERY_NS
        before = boundary if self._boundary_ns is None else max(self._boundary_ns, boundary - IN_FORCE_MAX * EVERY_NS)
        for at_ns in range(before + EVERY_NS, boundary + 1, EVERY_NS):
            self._learn(at_ns)
        self._boundary_ns = boundary

    def _learn(self, at_ns: int) -> None:
        """Learn from what is due at a multiple of EVERY_NS; from then on that is in force."""
        until_ns = at_ns - SETTLE_NS
        some = self._due(until_ns, until_ns - EVERY_NS)
        self._information *= np.exp(-EVERY_NS * 1e-9 / FADE_S)
        self._vector *= np.exp(-EVERY_NS * 1e-9 / FADE_S)
        self._known = None
        if not some:
            return
        links = {name: linked(seen) for name, seen in self._held.items()}
        before = solved(self._information, self._vector, self._moved)
        for a in sorted(links):
            for b in sorted(links):
                if a != b and (a in self._place or b in self._place):
                    self._compare(a, b, links, until_ns - EVERY_NS, before)
        self._in_force = [*self._in_force[1 - IN_FORCE_MAX :], (at_ns, self.known())]

    def _values(self, source: str, t_ns: NDArray[np.int64]) -> Floats:
        """Return the biases (n, EFFECTS) of a source that were in force at reports' times, zero when there were none."""
        times = [at_ns + AHEAD_NS for at_ns, _ in self._in_force]
        out, at = np.zeros((len(t_ns), EFFECTS)), np.searchsorted(times, t_ns, side="right") - 1
        for k in np.unique(at[at >= 0]).tolist():
            known = self._in_force[k][1].get(source)
            if known is not None and known.pairs >= PAIRS_MIN:
                out[at == k] = known.taken
        return out

    def _corrected(self, columns: Any, rows: Floats | None, sensor: Sensor | None, values: Floats) -> tuple[Any, Floats | None]:
        """Return reports (changed in place) and rows with biases taken off: each by its own."""
        kind = int(columns["kind"][0])
        columns["t_ns"] -= np.round(values[:, CLOCK] * 1e9).astype(np.int64)
        if kind == KIND_RADAR and sensor is not None:
            columns["range_m"] = np.maximum(columns["range_m"] - values[:, 0], 0.0)
            for k, name in ((1, "azimuth_rad"), (2, "elevation_rad")):
                sigma = np.where(columns[f"sigma_{name}"] > 0.0, columns[f"sigma_{name}"], getattr(sensor, f"sigma_{name}"))
                columns[name] -= values[:, k] * sigma
            columns["azimuth_rad"] %= 2.0 * np.pi
        else:
            seen = points_of(columns, rows, sensor)
            # Rounded: numpy's last bits depend on how many stand side by side, and what comes twice must be the same twice.
            moved = np.round(np.einsum("nij,nj->ni", seen.effect, values), 3)
            spot = geodesy.ecef_to_geodetic(seen.place_m - moved).reshape(-1, 3).T
            columns["lat_deg"], columns["lon_deg"], columns["alt_m"] = (
                np.round(spot[0], 7),
                np.round(spot[1], 7),
                np.round(spot[2], 2),
            )
            if rows is not None:
                rows[:, :3] -= moved
        return columns, rows

    def known(self) -> dict[str, Known]:
        """Return what is known of every source that has biases."""
        if self._known is None:
            places = [slice(k * EFFECTS + SITE, (k + 1) * EFFECTS) for k in range(len(self._place))]
            given = (self._information, self._vector, self._surveyed, self._moved, places)
            value, covariance, moved = judged(*given, np.array(SITE_GATES))
            self._known = {}
            for name, k in self._place.items():
                part = slice(k * EFFECTS, (k + 1) * EFFECTS)
                own, doubt = value[part], covariance[part, part]
                prior = np.sqrt((self._moved if moved[k] else self._surveyed)[part])
                taken, _ = sure(own, doubt, prior, SIGMAS_MIN, not moved[k])
                self._known[name] = Known(own, np.sqrt(np.diag(doubt)), int(self._pairs[part.start]), taken)
        return self._known

    def _due(self, until_ns: int, from_ns: int) -> bool:
        """Move what is due from what waits to what is held, in order of time, each point once; tell whether there was any."""
        some = False
        stretch = until_ns // EVERY_NS - 1
        for name in sorted(self._waiting):
            waits = self._waiting[name]
            seen = _due_of(waits.pop(stretch, []), from_ns, until_ns, self._sources[name])
            for late in [k for k in waits if k < stretch]:
                del waits[late]
            some |= bool(len(seen.t_ns))
            both = together([*([self._held[name]] if name in self._held else []), seen])
            self._held[name] = both.rows(np.lexsort([*both.place_m.T, both.t_ns]))
        for name, seen in self._held.items():
            self._held[name] = seen.rows(seen.t_ns > from_ns - LINK_NS)
        cells = {name: _cells(seen.place_m) for name, seen in self._held.items()}
        most = max((len(one) for one in cells.values()), default=0)
        if most > POINTS_MAX:
            self._held = {name: seen.rows(cells[name] * most < POINTS_MAX) for name, seen in self._held.items()}
        return some

    def _compare(self, a: str, b: str, links: dict[str, Links], from_ns: int, before: tuple[Floats, Floats]) -> None:
        """Weigh the points of one source against what goes on between those of another."""
        mine, theirs = self._held[a], self._held[b]
        point, link = pairs_of(mine, links[a], theirs, links[b], from_ns)
        if not len(point):
            return
        first, last, velocity = links[b].first[link], links[b].last[link], links[b].velocity[link]
        elapsed = (mine.t_ns[point] - theirs.t_ns[first]) * 1e-9
        whole = (theirs.t_ns[last] - theirs.t_ns[first]) * 1e-9
        w = (elapsed / whole)[:, None, None]
        place = theirs.place_m[first] + velocity * elapsed[:, None]
        turn = (0.5 * TURN_M_S2 * elapsed * (whole - elapsed)) ** 2
        noise = mine.covariance[point] + (1 - w) ** 2 * theirs.covariance[first] + w**2 * theirs.covariance[last]
        noise = TWICE * noise + turn[:, None, None] * np.eye(3)
        full = np.zeros((len(point), 3, len(self._vector)))
        for name, effect, sign in (
            (a, mine.effect[point], 1.0),
            (b, (1 - w) * theirs.effect[first] + w * theirs.effect[last], -1.0),
        ):
            if name in self._place:
                at = self._place[name] * EFFECTS
                full[:, :, at : at + EFFECTS] = sign * effect
                full[:, :, at + CLOCK] = -sign * velocity
        self._add((a, b), mine.place_m[point] - place, full, noise, before)

    def _add(self, names: tuple[str, str], residual: Floats, full: Floats, noise: Floats, before: tuple[Floats, Floats]) -> None:
        """Gate pairs against what was known before, and add those within."""
        value, doubt = before
        surprise = residual - full @ value
        spread = noise + full @ doubt @ np.swapaxes(full, 1, 2)
        squared = np.einsum("ni,ni->n", surprise, np.linalg.solve(spread, surprise[..., None])[..., 0])
        near = squared < GATE
        weighted = np.linalg.solve(noise[near], full[near])
        self._information += np.einsum("nki,nkj->ij", full[near], weighted)
        self._vector += np.einsum("nki,nk->i", weighted, residual[near])
        for name in names:
            if name in self._place:
                self._pairs[self._place[name] * EFFECTS] += int(near.sum())


def _due_of(waiting: list[Came], from_ns: int, until_ns: int, sensor: Sensor | None) -> Points:
    """Return the points of what waits, of one stretch of time: each report once, in an order that is their own."""
    plain, wide = [c for c, r in waiting if r is None], [(c, r) for c, r in waiting if r is not None]
    every: list[Came] = [(joined(plain), None)] if plain else []
    every += [(joined([c for c, _ in wide]), np.concatenate([r for _, r in wide]))] if wide else []
    made = []
    for kind in sorted({int(k) for c, _ in every for k in np.unique(c["kind"])}):
        due = [(c, r, (c["kind"] == kind) & (c["t_ns"] > from_ns) & (c["t_ns"] <= until_ns)) for c, r in every]
        columns, rows = joined([picked(c, k) for c, _, k in due]), [r[k] for _, r, k in due if r is not None]
        _, first = np.unique(columns.view(f"V{columns.itemsize}"), return_index=True)
        made.append(points_of(picked(columns, first), np.concatenate(rows)[first] if kind == KIND_TRACKLET else None, sensor))
    seen = together(made)
    return seen.rows((np.einsum("nii->n", seen.covariance) < SIGMA_MAX_M**2) & np.isfinite(seen.place_m).all(axis=1))


def _cells(place: Floats) -> Floats:
    """Return a number from 0 to 1 for the cell that each place is in, the same for all sources: targets are kept whole."""
    cell = np.floor(place / CELL_M).astype(np.int64)
    mixed = (cell[:, 0] * 73_856_093) ^ (cell[:, 1] * 19_349_663) ^ (cell[:, 2] * 83_492_791)
    return np.asarray((mixed & 0xFFFF) / 65_536.0)
