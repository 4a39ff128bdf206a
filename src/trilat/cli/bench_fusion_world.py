"""`trilat bench fusion --real`: the nodes' own parts with manoeuvres, false plots, biases, and nothing told of who is who.

Each nation has one radar. What leaves it is made by a node's tier tracker, goes through the same network as the plain experiment,
and is taken in by a node's core tracker or combiner. The yardstick is one tracker that gets every plot at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from trilat.cli.bench_fusion import DETECTION, PERIODS_S, PLACES_M, REAL_TIERS, SIGMAS, WARM_S, Mail, Network, head

if TYPE_CHECKING:
    from trilat.records.sensor import Sensor

LAT_DEG, LON_DEG = 33.0, 130.0
T0_NS = 1_760_000_000_000_000_000
NATIONS = ("AAA", "BBB", "CCC", "DDD", "EEE")
SCORE_S = 5
NEAR_M = 2_000.0  # an estimate farther than this from every target is a false track


class Real(NamedTuple):
    """What makes the world real: share of targets that turn, false plots a scan, one sigma of each radar's bias."""

    turning: float = 0.3
    clutter: float = 5.0
    bias_deg: float = 0.0
    bias_m: float = 0.0

    def words(self) -> str:
        """Return the world in words, biases where there are any."""
        turning = f"{100 * self.turning:g} % of targets turn" if self.turning else "no target turns"
        clutter = f"{self.clutter:g} false plots a scan" if self.clutter else "no false plots"
        biases = " and ".join(f"{much:g} {unit}" for much, unit in ((self.bias_deg, "deg"), (self.bias_m, "m")) if much)
        return f"{turning}, {clutter}" + (f", biases of {biases} (one sigma)" if biases else "")


class RealWorld(NamedTuple):
    """Truth (T + 1, n, 6) ECEF, the nations' radars, and per second the REPORT_DTYPE plots of each radar that looked."""

    truth: Any
    radars: list[Sensor]
    plots: list[list[tuple[int, Any]]]


def label_of(nation: str) -> Any:
    """Return a label for the experiment's records."""
    from trilat.records.label import Label, Mode

    return Label(policy="BENCH", originator=nation, mode=Mode(kind="exercise", id="bench"), level=0)


def make_real_world(nodes: int, targets: int, seconds: int, seed: int, real: Real) -> RealWorld:
    """Draw flights (level, some with one turn of 1 to 3 degrees a second) and every radar's plots, biased and with false ones."""
    import numpy as np

    from trilat.kernels import geodesy
    from trilat.records.sensor import Sensor

    g = np.random.default_rng(seed)
    basis, zero = geodesy.enu_basis(LAT_DEG, LON_DEG), geodesy.geodetic_to_ecef(LAT_DEG, LON_DEG, 0.0)
    truth = _flights(g, targets, seconds, real.turning, basis, zero)
    radars, biases = [], []
    for k in range(nodes):
        lat, lon, _ = geodesy.ecef_to_geodetic(zero + np.array(PLACES_M[k]) @ basis)
        s_el, s_az, s_r = SIGMAS[k % 3]
        radars.append(
            Sensor(
                id=f"R{k}", nation=NATIONS[k], kind="radar3d", label=label_of(NATIONS[k]), lat_deg=lat, lon_deg=lon,
                alt_m=PLACES_M[k][2], period_s=PERIODS_S[k % 3], range_max_m=350e3, detection_probability=DETECTION,
                clutter_per_scan=max(real.clutter, 0.1), sigma_range_m=s_r, sigma_azimuth_rad=np.radians(s_az),
                sigma_elevation_rad=np.radians(s_el),
            )
        )  # fmt: skip
        biases.append((g.normal(0, 1) * real.bias_m, g.normal(0, 1) * np.radians(real.bias_deg)))
    plots: list[list[tuple[int, Any]]] = [[]]
    for t in range(1, seconds + 1):
        due = [k for k in range(nodes) if t % PERIODS_S[k % 3] == k % PERIODS_S[k % 3]]
        plots.append([(k, _scan(g, radars[k], truth[t, :, :3], t, biases[k], real.clutter)) for k in due])
    return RealWorld(truth, radars, plots)


def _flights(g: Any, targets: int, seconds: int, turning: float, basis: Any, zero: Any) -> Any:
    """Return the targets' states (T + 1, n, 6) in ECEF, second by second."""
    import numpy as np

    place = np.column_stack([g.uniform(-120e3, 120e3, (targets, 2)), g.uniform(5e3, 12e3, targets)])
    heading, speed = g.uniform(0, 2 * np.pi, targets), g.uniform(150, 280, targets)
    begin, length = g.uniform(0.2, 0.8, targets) * seconds, g.uniform(20, 60, targets)
    rate = np.where(g.random(targets) < turning, np.radians(g.uniform(1, 3, targets)) * g.choice([-1, 1], targets), 0.0)
    out = np.empty((seconds + 1, targets, 6))
    for t in range(seconds + 1):
        velocity = np.stack([speed * np.sin(heading), speed * np.cos(heading), 0 * speed], axis=1)
        out[t, :, :3], out[t, :, 3:] = place @ basis + zero, velocity @ basis
        heading = heading + np.where((t >= begin) & (t < begin + length), rate, 0.0)
        after = np.stack([speed * np.sin(heading), speed * np.cos(heading), 0 * speed], axis=1)
        place = place + 0.5 * (velocity + after)
    return out


def _scan(g: Any, radar: Sensor, position: Any, t: int, bias: tuple[float, float], clutter: float) -> Any:
    """Return one look of a radar as plots."""
    import numpy as np

    from trilat.kernels import geodesy
    from trilat.records.columns import KIND_RADAR, empty_reports

    seen = position[g.random(len(position)) < radar.detection_probability]
    rae = geodesy.ecef_to_rae(seen, radar.lat_deg, radar.lon_deg, radar.alt_m)
    rae = rae + g.normal(size=rae.shape) * [radar.sigma_range_m, radar.sigma_azimuth_rad, radar.sigma_elevation_rad]
    rae += [bias[0], bias[1], 0.0]
    wrong = int(g.poisson(clutter))
    r = 250e3 * np.sqrt(g.random(wrong))
    false = np.column_stack([r, g.uniform(0, 2 * np.pi, wrong), np.arctan2(g.uniform(0, 12e3, wrong), r)])
    rae = np.concatenate([rae, false])
    out = empty_reports(len(rae))
    out["t_ns"], out["kind"], out["sensor"] = T0_NS + t * 10**9, KIND_RADAR, 0
    out["range_m"], out["azimuth_rad"], out["elevation_rad"] = rae[:, 0], rae[:, 1] % (2 * np.pi), rae[:, 2]
    return out


class Node:
    """One nation's fusion in small: its national tracker, what it shares at one tier, and its combined picture."""

    def __init__(self, k: int, radars: list[Sensor], tier: str, settings: Any) -> None:
        from trilat.fuse.combine import Combiner
        from trilat.joint.core import CoreTracker
        from trilat.joint.tier import TierTracker
        from trilat.joint.watch import SensorWatch
        from trilat.track import Tracker

        self.nation, self.radar, self._tier = radars[k].nation, radars[k], tier
        self.national = Tracker(settings, [self.radar], f"{self.nation}/national")
        self.watch = SensorWatch([self.radar])
        self.shares = TierTracker(self.nation, tier, [self.radar], settings) if tier in ("tracklet", "track") else None  # type: ignore[arg-type]  # just tested
        self.core = CoreTracker(self.nation, [self.radar], settings, self.national)
        self.combiner = Combiner(self.nation, [one.nation for one in radars])
        self.waiting: list[Any] = []
        self._sequence = 0

    def batch(self, columns: Any, now_ns: int) -> Any:
        """Return own plots as a batch."""
        from trilat.records.columns import Reports
        from trilat.records.report import Pedigree

        pedigree = Pedigree(nation=self.nation, sensors=(self.radar.id,))
        return Reports(source=self.radar.id, label=self.radar.label, pedigree=pedigree, received_t_ns=now_ns, columns=columns)

    def look(self, now_ns: int, columns: list[Any]) -> list[Any]:
        """Take own plots of one second for what is shared; return them as batches."""
        from trilat.fuse.earth_fixed import measurements

        mine = [self.batch(one, now_ns) for one in columns]
        if self.shares is not None:
            self.shares.waiting += mine
        elif self._tier == "plot":
            self.waiting += [record for one in mine for record in measurements(one, self.radar)]
        return mine

    def step(self, now_ns: int, mine: list[Any], received: list[tuple[str, Any]]) -> Any:
        """Take own batches and partners' messages of one second; return the combined tracks' columns."""
        from trilat.fuse.combine import PartnerItem

        own = self.watch.take(now_ns, mine)
        tracks = self.national.step(now_ns, own)
        self.watch.learn(now_ns, tracks, self.national.fit())
        if self._tier == "track":
            items = [PartnerItem(nation, record, 1, number) for nation, message in received for number, record in message]
            return self.combiner.step(now_ns, tracks, items).tracks.columns
        partners: dict[str, list[Any]] = {}
        for nation, message in received:
            partners.setdefault(nation, []).extend(record for _, record in message)
        return self.core.step(now_ns, tracks, own, partners).columns

    def message(self, now_ns: int) -> list[tuple[int, Any]]:
        """Return what is shared now, numbered."""
        made = list(self.shares.step(now_ns)) if self.shares is not None else self.waiting
        self.waiting = []
        out = [(self._sequence + k, record) for k, record in enumerate(made, 1)]
        self._sequence += len(made)
        return out


class Tally:
    """Adds up errors of pairs, normalised squares, and who was missed or imagined."""

    def __init__(self) -> None:
        self.square, self.nees, self.pairs, self.missed, self.false, self.looks = 0.0, 0.0, 0, 0, 0, 0

    def add(self, truth: Any, columns: Any) -> None:
        """Take one picture: confirmed tracks against the targets (n, 6)."""
        import numpy as np

        from trilat.kernels.assign import choose

        shown = columns[(columns["status"] == 1) | (columns["status"] == 2)]
        away = ((truth[:, None, :3] - shown["position_m"][None]) ** 2).sum(axis=2)
        near = away < NEAR_M**2
        start = np.concatenate([[0], np.cumsum(near.sum(axis=1))]).astype(np.int64)
        row, column = np.nonzero(near)
        chosen = choose(start, column.astype(np.int64), away[row, column] - NEAR_M**2, len(shown))
        pairs = chosen[chosen >= 0]
        held = shown[column[pairs]]
        e = np.concatenate([held["position_m"], held["velocity_m_s"]], axis=1) - truth[row[pairs]]
        self.square += float((e[:, :3] ** 2).sum())
        self.nees += float(np.einsum("ni,ni->", e, np.linalg.solve(held["covariance"], e[..., None])[..., 0])) / 6
        self.pairs += len(pairs)
        self.missed += len(truth) - len(pairs)
        self.false += len(shown) - len(pairs)
        self.looks += 1

    def figures(self) -> dict[str, float]:
        """Return RMSE over position, NEES per dimension, and mean numbers of targets missed and tracks too many."""
        n, looks = max(self.pairs, 1), max(self.looks, 1)
        return {
            "rmse_m": (self.square / n) ** 0.5,
            "nees": self.nees / n,
            "missed": self.missed / looks,
            "false": self.false / looks,
        }


def central_tally(world: RealWorld, settings: Any) -> Tally:
    """Return the score of one tracker with every radar's plots, and with the watch that finds biases, as a node's own has."""
    from trilat.joint.watch import SensorWatch
    from trilat.track import Tracker
    from trilat.track.library import batch

    tracker, watch, tally = Tracker(settings, world.radars, "central"), SensorWatch(world.radars), Tally()
    for t, plots in enumerate(world.plots[1:], 1):
        parts = []
        for k, columns in plots:
            mine = columns.copy()
            mine["sensor"] = k
            parts.append(batch(mine))
        now_ns = T0_NS + t * 10**9
        tracks = tracker.step(now_ns, watch.take(now_ns, parts))
        watch.learn(now_ns, tracks, tracker.fit())
        if t > WARM_S and t % SCORE_S == 0:
            tally.add(world.truth[t], tracks.columns)
    return tally


def measure_real(
    tier: str, nodes: int, exchange_s: int, targets: int, seconds: int, seed: int, network: Network, real: Real
) -> dict[str, Any]:
    """Run one tier in the real world and return its figures beside those of one tracker with every plot."""
    from trilat.track import TrackerSettings

    settings = TrackerSettings(domains=("air",))
    world = make_real_world(nodes, targets, seconds, seed, real)
    best = central_tally(world, settings).figures()
    parts = [Node(k, world.radars, tier, settings) for k in range(nodes)]
    mail, tally = Mail(nodes, network, len(world.plots), seed), Tally()
    for t, plots in enumerate(world.plots[1:], 1):
        now_ns = T0_NS + t * 10**9
        received: list[list[tuple[str, Any]]] = [[] for _ in range(nodes)]
        mine = [node.look(now_ns, [c for who, c in plots if who == k]) for k, node in enumerate(parts)]
        if t % exchange_s == 0 and tier != "local":
            for k, node in enumerate(parts):
                mail.send(t, k, node.message(now_ns))
        for to, origin, message in mail.arrivals(t):
            if to != origin:
                received[to].append((world.radars[origin].nation, message))
        for k, node in enumerate(parts):
            columns = node.step(now_ns, mine[k], received[k])
            if t > WARM_S and t % SCORE_S == 0:
                tally.add(world.truth[t], columns)
    got = tally.figures()
    return {
        "tier": tier, "nodes": nodes, "exchange_s": exchange_s, "targets": targets, "seed": seed,
        **network._asdict(), **real._asdict(), **{f"central_{name}": value for name, value in best.items()}, **got,
        "ratio": got["rmse_m"] / best["rmse_m"],
    }  # fmt: skip


def refuse_idle(tiers: tuple[str, ...], *, real: bool) -> None:
    """Refuse options that the chosen experiment would pass over, and tiers it does not have."""
    given = click.get_current_context().get_parameter_source
    idle = next((name for name in Real._fields if given(name) is not click.core.ParameterSource.DEFAULT), None)
    if idle is not None and not real:
        raise click.UsageError(f"--{idle.replace('_', '-')} has no part in the plain experiment: add --real, or leave it out")
    wrong = next((tier for tier in tiers if tier not in REAL_TIERS), None)
    if wrong is not None and real:
        raise click.BadParameter(f"{wrong} has no part in a node: one of {', '.join(REAL_TIERS)}", param_hint="--tier")


def print_real(tiers: tuple[str, ...], given: dict[str, Any], network: Network, real: Real, *, as_json: bool) -> None:
    """Print the figures of the real world, tier by tier, below those of one tracker with every plot."""
    import msgspec

    click.echo(head(given, network, f"; {real.words()}"), err=as_json)
    if not as_json:
        click.echo(f"{'tier':10s} {'RMSE m':>9s} {'x central':>10s} {'NEES/dim':>9s} {'missed':>9s} {'false':>9s}")
    for k, tier in enumerate(tiers):
        r = measure_real(tier, **given, network=network, real=real)
        if as_json:
            click.echo(msgspec.json.encode(r).decode())
            continue
        if not k:
            click.echo(_row("central", 1.0, {name: r[f"central_{name}"] for name in ("rmse_m", "nees", "missed", "false")}))
        click.echo(_row(tier, r["ratio"], r))


def _row(name: str, ratio: float, r: dict[str, float]) -> str:
    """Return one line of the table."""
    return f"{name:10s} {r['rmse_m']:9.1f} {ratio:10.3f} {r['nees']:9.2f} {r['missed']:9.2f} {r['false']:9.2f}"
