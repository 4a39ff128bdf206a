"""`trilat bench fusion`: how much sharing tracklets or tracks loses against sharing every plot, and whether doubt stays honest.

Nodes with one radar each watch the same targets in straight flight with process noise; association is known, measurements are
converted to positions. What is compared is what reaches each node, through a network that may lose, delay, repeat and relay.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from trilat.cli.frame import Between

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trilat.fuse.tracklet import TrackletFuser

NOISE_M2_S3 = 4.0
PERIODS_S = (4, 5, 10)
PLACES_M = ((0.0, 0.0, 100.0), (-90e3, -80e3, 300.0), (100e3, -60e3, 50.0), (20e3, 110e3, 80.0), (-110e3, 60e3, 20.0))
# Sigma of elevation and azimuth (degrees) and range (m).
SIGMAS = ((0.15, 0.10, 60.0), (0.15, 0.12, 75.0), (0.10, 0.08, 50.0))
DETECTION = 0.9
WARM_S = 60
SETTLE_S = 30  # how long after its time an estimate is looked at again, once late items are there
REAL_TIERS = ("plot", "tracklet", "track", "local")
TIERS = ("plot", "tracklet", "track", "track-ci", "naive", "local")


class Network(NamedTuple):
    """What the network does to messages: shares lost and repeated, longest delay, how long node 0 is cut off, a relay loop."""

    loss: float = 0.0
    late_s: int = 0
    duplicates: float = 0.0
    partition_s: int = 0
    relay_loop: bool = False

    def words(self) -> str:
        """Return in words what differs from a network that does nothing to messages."""
        said = {
            f"{100 * self.loss:g} % of messages lost": self.loss,
            f"messages up to {self.late_s} s late": self.late_s,
            f"{100 * self.duplicates:g} % twice": self.duplicates,
            f"node 0 cut off for {self.partition_s} s": self.partition_s,
            "a relay loop": self.relay_loop,
        }
        return ", ".join(text for text, much in said.items() if much) or "a perfect network"


PERFECT = Network()


class World(NamedTuple):
    """Truth (T + 1, n, 6) and plots: per second a list of (node, position (n, 3), covariance (n, 3, 3), detected (n,))."""

    truth: Any
    plots: list[list[tuple[int, Any, Any, Any]]]


def make_world(nodes: int, targets: int, seconds: int, seed: int) -> World:
    """Draw the targets' flight and every radar's plots."""
    import numpy as np

    g = np.random.default_rng(seed)
    x = np.empty((seconds + 1, targets, 6))
    x[0, :, :2], x[0, :, 2] = g.uniform(-120e3, 120e3, (targets, 2)), g.uniform(5e3, 12e3, targets)
    x[0, :, 3:5], x[0, :, 5] = g.normal(0, 150, (targets, 2)), g.normal(0, 2, targets)
    root = np.linalg.cholesky(NOISE_M2_S3 * np.array([[1 / 3, 1 / 2], [1 / 2, 1.0]]))
    plots: list[list[tuple[int, Any, Any, Any]]] = [[]]
    for t in range(1, seconds + 1):
        w = np.einsum("ab,nbc->nac", root, g.normal(size=(targets, 2, 3)))
        x[t, :, :3] = x[t - 1, :, :3] + x[t - 1, :, 3:] + w[:, 0]
        x[t, :, 3:] = x[t - 1, :, 3:] + w[:, 1]
        due = [k for k in range(nodes) if t % PERIODS_S[k % 3] == k % PERIODS_S[k % 3]]
        plots.append([(k, *_look(g, k, x[t, :, :3]), g.random(targets) < DETECTION) for k in due])
    return World(x, plots)


def _look(g: Any, node: int, position: Any) -> tuple[Any, Any]:
    """Return one radar's measured positions and their covariances, linearised at the measurement."""
    import numpy as np

    s_el, s_az, s_r = np.radians(SIGMAS[node % 3][0]), np.radians(SIGMAS[node % 3][1]), SIGMAS[node % 3][2]
    d = position - np.array(PLACES_M[node])
    n, r = len(d), np.linalg.norm(d, axis=1)
    el = np.arcsin(d[:, 2] / r) + g.normal(0, s_el, n)
    az = np.arctan2(d[:, 1], d[:, 0]) + g.normal(0, s_az, n)
    r = r + g.normal(0, s_r, n)
    ce, se, ca, sa = np.cos(el), np.sin(el), np.cos(az), np.sin(az)
    out = np.stack([ce * ca, ce * sa, se], axis=1)
    side = np.stack([-sa, ca, 0 * sa], axis=1)
    up = np.stack([-se * ca, -se * sa, ce], axis=1)
    axes = np.stack([out * s_r, side * (r * ce * s_az)[:, None], up * (r * s_el)[:, None]], axis=2)
    return np.array(PLACES_M[node]) + out * r[:, None], axes @ np.swapaxes(axes, 1, 2)


class Kalman:
    """n Kalman filters in step: the yardstick, begun at a first look."""

    def __init__(self, mean: Any, covariance: Any) -> None:
        self.mean, self.covariance = mean, covariance

    def predict(self) -> None:
        """Move by one second."""
        import numpy as np

        F = np.eye(6) + np.eye(6, k=3)  # noqa: N806 - the field's letter
        Q = NOISE_M2_S3 * np.kron([[1 / 3, 1 / 2], [1 / 2, 1.0]], np.eye(3))  # noqa: N806 - same
        self.mean, self.covariance = self.mean @ F.T, F @ self.covariance @ F.T + Q

    def update(self, place: Any, covariance: Any, seen: Any) -> None:
        """Take one radar's plots of the targets it detected."""
        import numpy as np

        gain = self.covariance[seen][:, :, :3] @ np.linalg.inv(self.covariance[seen][:, :3, :3] + covariance[seen])
        self.mean[seen] += np.einsum("nij,nj->ni", gain, place[seen] - self.mean[seen][:, :3])
        self.covariance[seen] -= gain @ self.covariance[seen][:, :3]


def begin(world: World, seed: int) -> Kalman:
    """Return filters begun with one look of the second radar, and no idea of velocity."""
    import numpy as np

    place, covariance = _look(np.random.default_rng(seed + 1), 1, world.truth[0, :, :3])
    first = np.zeros((len(place), 6, 6))
    first[:, :3, :3], first[:, 3:, 3:] = covariance, np.eye(3) * 200.0**2
    return Kalman(np.concatenate([place, np.zeros_like(place)], axis=1), first)


class Score:
    """Adds up position errors and normalised squared errors."""

    def __init__(self) -> None:
        self.square, self.nees, self.count = 0.0, 0.0, 0

    def add(self, truth: Any, mean: Any, covariance: Any) -> None:
        """Take n estimates of one time."""
        import numpy as np

        e = mean - truth
        self.square += float((e[:, :3] ** 2).sum())
        self.nees += float(np.einsum("ni,ni->", e, np.linalg.solve(covariance, e[..., None])[..., 0])) / 6
        self.count += len(e)

    def rmse_m(self) -> float:
        """Return the root mean square position error."""
        return float((self.square / max(self.count, 1)) ** 0.5)


class Mail:
    """Messages on their way: each has an origin and a time; delivered in the seeded order of their arrival."""

    def __init__(self, nodes: int, network: Network, seconds: int, seed: int) -> None:
        import numpy as np

        self._g, self._nodes, self._net = np.random.default_rng(seed + 2), nodes, network
        self._cut = (seconds // 2, seconds // 2 + network.partition_s)
        self._due: dict[int, list[tuple[int, int, Any]]] = {}

    def send(self, t: int, sender: int, message: Any, receivers: tuple[int, ...] = ()) -> None:
        """Send a message of `sender` to the others (or to `receivers`), through whatever the network does to it."""
        for to in receivers or [k for k in range(self._nodes) if k != sender]:
            if self._g.random() < self._net.loss:
                continue
            for _ in range(1 + (self._g.random() < self._net.duplicates)):
                at = t + (int(self._g.integers(0, self._net.late_s + 1)) if self._net.late_s else 0)
                if 0 in (sender, to) and self._cut[0] <= at < self._cut[1]:
                    at = self._cut[1]  # it waits for the link
                self._due.setdefault(at, []).append((to, sender, message))

    def arrivals(self, t: int) -> Iterator[tuple[int, int, Any]]:
        """Yield (receiver, origin, message) of this second; with a relay loop each is sent on once, to the next node."""
        for to, origin, message in self._due.pop(t, []):
            yield to, origin, message
            following = (to + 1) % self._nodes
            if self._net.relay_loop and following != origin:
                self._due.setdefault(t + 1, []).append((following, origin, message))


def central(world: World, times: list[int], seed: int) -> Score:
    """Return the score of one filter that gets every plot at once."""
    score, filters = Score(), begin(world, seed)
    for t, plots in enumerate(world.plots[1:], 1):
        filters.predict()
        for _, place, covariance, seen in plots:
            filters.update(place, covariance, seen)
        if t in times:
            score.add(world.truth[t], filters.mean, filters.covariance)
    return score


def share_items(
    world: World, nodes: int, exchange_s: int, network: Network, times: list[int], seed: int, tier: str
) -> list[Score]:
    """Share plots or tracklets; return the scores at the exchange, and of the same times once late items are there."""
    import numpy as np

    from trilat.fuse.tracklet import TrackletFuser, TrackletMaker, TrackletSettings

    settings = TrackletSettings(span_s=0.0 if tier == "plot" else 5.0)
    names, mail = [f"N{k}" for k in range(nodes)], Mail(nodes, network, len(world.plots), seed)
    makers = [TrackletMaker(name, f"{name}/shared", settings) for name in names]
    fusers = [TrackletFuser(settings) for _ in names]
    now, settled = Score(), Score()
    zero = np.zeros(3)
    for t, plots in enumerate(world.plots[1:], 1):
        for node, place, covariance, seen in plots:
            for k in np.flatnonzero(seen).tolist():
                makers[node].add(k, t * 10**9, place[k], np.linalg.inv(covariance[k]), zero, "radar")
        if t % exchange_s == 0:
            for node, maker in enumerate(makers):
                made = maker.take(lambda _: _label(names[0]))
                mail.send(t, node, made)
                _fuse(fusers[node], names[node], made)
        for to, origin, made in mail.arrivals(t):
            _fuse(fusers[to], names[origin], made)
        for at, score in ((t, now), (t - SETTLE_S, settled)):
            if at in times:
                _score(score, fusers, world.truth[at], at * 10**9)
        for fuser in fusers:
            fuser.forget(t * 10**9)
    return [now, settled]


def _fuse(fuser: TrackletFuser, name: str, made: Any) -> None:
    for tracklet in made:
        fuser.add(tracklet.number, name, tracklet)


def _label(nation: str) -> Any:
    from trilat.records.label import Label, Mode

    return Label(policy="BENCH", originator=nation, mode=Mode(kind="exercise", id="bench"), level=0)


def _score(score: Score, fusers: list[TrackletFuser], truth: Any, t_ns: int) -> None:
    for fuser in fusers:
        found = fuser.estimates(range(len(truth)), t_ns)
        score.add(truth[found.known], found.mean[found.known], found.covariance[found.known])


def share_tracks(
    world: World, nodes: int, exchange_s: int, network: Network, times: list[int], seed: int, tier: str
) -> list[Score]:
    """Share tracks: each node fuses the newest of every other with its own; "naive" feeds back what it fused as independent."""
    from trilat.kernels import fusion

    rule = {"track": fusion.RULE_INVERSE, "track-ci": fusion.RULE_CI}.get(tier, fusion.RULE_NAIVE)
    n, score, mail = world.truth.shape[1], Score(), Mail(nodes, network, len(world.plots), seed)
    local = [begin(world, seed) for _ in range(nodes)]
    got: list[dict[int, tuple[int, Kalman]]] = [{} for _ in range(nodes)]
    for t, plots in enumerate(world.plots[1:], 1):
        for filters in [*local, *(held for box in got for _, held in box.values())]:
            filters.predict()
        for node, place, covariance, seen in plots:
            local[node].update(place, covariance, seen)
        if t % exchange_s == 0 and tier != "local":
            for node in range(nodes):
                mail.send(t, node, (t, local[node].mean.copy(), local[node].covariance.copy()))
        for to, origin, message in mail.arrivals(t):
            if to != origin:
                _receive(got[to], origin, message, t)
        if t % exchange_s:
            continue
        fused = [_together(local[k], got[k], rule, n) for k in range(nodes)]
        for filters, (mean, covariance) in zip(local, fused, strict=True):
            if tier == "naive":
                filters.mean, filters.covariance = mean.copy(), covariance.copy()
            if t in times:
                score.add(world.truth[t], mean, covariance)
    return [score]


def _receive(box: dict[int, tuple[int, Kalman]], origin: int, message: tuple[int, Any, Any], t: int) -> None:
    """Keep an origin's newest tracks, moved to now."""
    sent, mean, covariance = message
    if origin not in box or sent > box[origin][0]:
        box[origin] = (sent, Kalman(mean, covariance))
        for _ in range(t - sent):
            box[origin][1].predict()


def _together(own: Kalman, others: dict[int, tuple[int, Kalman]], rule: int, n: int) -> tuple[Any, Any]:
    """Return a node's own tracks fused with the newest of the others."""
    import numpy as np

    from trilat.kernels import fusion

    parts = [own, *(others[k][1] for k in sorted(others))]
    mean = np.stack([p.mean for p in parts], axis=1).reshape(-1, 6)
    covariance = np.stack([p.covariance for p in parts], axis=1).reshape(-1, 6, 6)
    start = np.arange(n + 1) * len(parts)
    fused, doubt = np.empty((n, 6)), np.empty((n, 6, 6))
    fusion.fuse_groups(start, mean, covariance, np.full(len(mean), rule), fused, doubt)
    return fused, doubt


def measure(
    tier: str,
    nodes: int = 3,
    exchange_s: int = 5,
    targets: int = 100,
    seconds: int = 360,
    seed: int = 5,
    network: Network = PERFECT,
) -> dict[str, Any]:
    """Run one tier through the experiment and return its figures beside those of sharing all plots at once."""
    world = make_world(nodes, targets, seconds, seed)
    times = [t for t in range(WARM_S + 1, seconds + 1 - SETTLE_S) if t % exchange_s == 0]
    best = central(world, times, seed)
    share = share_items if tier in ("plot", "tracklet") else share_tracks
    scores = share(world, nodes, exchange_s, network, times, seed, tier)
    return {
        "tier": tier,
        "nodes": nodes,
        "exchange_s": exchange_s,
        "targets": targets,
        "seed": seed,
        **network._asdict(),
        "central_rmse_m": best.rmse_m(),
        "central_nees": best.nees / best.count,
        "rmse_m": scores[0].rmse_m(),
        "ratio": scores[0].rmse_m() / best.rmse_m(),
        "nees": scores[0].nees / scores[0].count,
        "settled_ratio": scores[-1].rmse_m() / best.rmse_m(),
        "settled_nees": scores[-1].nees / scores[-1].count,
    }


@click.command()
@click.option("--nodes", type=click.IntRange(2, len(PLACES_M)), default=3, show_default=True, help="Nodes, one radar each.")
@click.option("--exchange-s", type=click.IntRange(1, 60), default=5, show_default=True, help="Seconds between exchanges.")
@click.option("--tier", "tiers", type=click.Choice(TIERS), multiple=True, help="What is shared; all of them without this option.")
@click.option("--targets", type=click.IntRange(1, 5_000), default=100, show_default=True, help="Targets.")
@click.option(
    "--seconds", type=click.IntRange(120, 7_200), default=360, show_default=True, help="Length; the first 60 s are not scored."
)
@click.option("--seed", type=click.IntRange(0, 2**31), default=5, show_default=True, help="Seed of everything drawn.")
@click.option("--loss", type=Between(0, 1), default=0.0, help="Share of messages lost for good.")
@click.option("--late-s", type=click.IntRange(0, 25), default=0, help="Longest delay of a message; each draws its own.")
@click.option("--duplicates", type=Between(0, 1), default=0.0, help="Share of messages that come twice.")
@click.option(
    "--partition-s", type=click.IntRange(0, 25), default=0, help="How long node 0 is cut off; what it missed comes after."
)
@click.option("--relay-loop", is_flag=True, help="Every node sends on what it gets, round and round.")
@click.option(
    "--real", is_flag=True, help="The nodes' own parts: real association, turns, false plots; tiers plot, tracklet, track, local."
)
@click.option("--turning", type=Between(0, 1), default=0.3, show_default=True, help="With --real: share of targets that turn.")
@click.option("--clutter", type=Between(0, 500), default=5.0, show_default=True, help="With --real: false plots a scan.")
@click.option("--bias-deg", type=Between(0, 2), default=0.0, help="With --real: one sigma of each radar's azimuth bias.")
@click.option("--bias-m", type=Between(0, 1_000), default=0.0, help="With --real: one sigma of each radar's range bias.")
@click.option("--tiny", is_flag=True, help="The smallest run, for tests.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a tier.")
def command(tiers: tuple[str, ...], real: bool, tiny: bool, as_json: bool, **given: Any) -> None:  # noqa: FBT001 - click passes flags so
    """Share plots, tracklets or tracks between nodes and print what it loses against sharing every plot.

    RMSE is over position, relative to one filter that gets every plot at once; NEES/dim of 1 is honest, more is over-confident.
    "Settled" looks at the same times again 30 s later, when late items have come.
    """
    import msgspec

    from trilat.cli.bench_fusion_world import Real, print_real, refuse_idle

    refuse_idle(tiers, real=real)
    network = Network(*(given.pop(name) for name in Network._fields))
    world = Real(*(given.pop(name) for name in Real._fields))
    if tiny:
        given |= {"targets": 10, "seconds": 120}
    if real:
        print_real(tiers or REAL_TIERS, given, network, world, as_json=as_json)
        return
    click.echo(head(given, network), err=as_json)
    columns = f"{'tier':10s} {'RMSE m':>9s} {'x central':>10s} {'NEES/dim':>9s} {'settled x':>10s} {'NEES/dim':>9s}"
    click.echo(columns, err=as_json)
    for tier in tiers or TIERS:
        r = measure(tier, **given, network=network)
        if as_json:
            click.echo(msgspec.json.encode(r).decode())
        else:
            values = f"{r['rmse_m']:9.1f} {r['ratio']:10.3f} {r['nees']:9.2f}"
            click.echo(f"{tier:10s} {values} {r['settled_ratio']:10.3f} {r['settled_nees']:9.2f}")


def head(given: dict[str, Any], network: Network, more: str = "") -> str:
    """Return what is run as lines that fit into 80 columns."""
    size = f"{given['nodes']} nodes, exchange every {given['exchange_s']} s, {given['targets']} targets"
    return textwrap.fill(f"{size}, {network.words()}{more}", 80, break_on_hyphens=False)
