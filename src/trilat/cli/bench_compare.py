"""`trilat bench compare FILE`: our tracker and Stone Soup's best effort on the same scans, in the same job.

Stone Soup (an extra: `pip install trilat[compare]`) is set up as well as its parts allow: nearly constant velocity, extended
Kalman filter, global nearest neighbour by its 2-D assignment, its hypothesiser fed only the plots near each track (a k-d
tree on our side, without which it is five to twenty times slower), initiation by three updates, deletion by time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from trilat.cli.frame import Between

NOISE_M2_S3 = 100.0  # best of 3, 10, 30, 100 by its own GOSPA on the air scenarios
GATE = 4.03  # the root of the 99.9 % chi-square bound for three dimensions
COARSE_M = 700.0  # plot noise that the k-d tree allows for
DELETE_S = 15.0
BETWEEN_S = 3.0  # of the peer's CPU time, after which ours has a turn
START_M, START_M_S = 1_000.0, 200.0
EPOCH = dt.datetime(2025, 1, 1)  # noqa: DTZ001 - Stone Soup compares naive times
AXES, SPEEDS = (0, 2, 4), (1, 3, 5)


def _detections(arrays: Any) -> Any:
    """Return a Stone Soup detector over a scenario file's scans."""
    import numpy as np
    from stonesoup.models.measurement.nonlinear import CartesianToElevationBearingRange  # noqa: TID251 - the peer itself
    from stonesoup.types.angle import Bearing, Elevation  # noqa: TID251 - the peer itself
    from stonesoup.types.array import StateVector  # noqa: TID251 - the peer itself
    from stonesoup.types.detection import Detection  # noqa: TID251 - the peer itself

    models = [
        CartesianToElevationBearingRange(ndim_state=6, mapping=AXES, noise_covar=np.diag(s**2), translation_offset=StateVector(p))
        for s, p in zip(arrays["sensor_sigma"], arrays["sensor_pos"], strict=True)
    ]
    for k, t_s in enumerate(arrays["scan_t"]):
        when, model = EPOCH + dt.timedelta(seconds=float(t_s)), models[arrays["scan_sensor"][k]]
        part = arrays["det"][arrays["scan_start"][k] : arrays["scan_start"][k + 1]]
        yield (
            when,
            {Detection(StateVector([Elevation(e), Bearing(a), r]), timestamp=when, measurement_model=model) for e, a, r in part},
        )


def _associator(predictor: Any, updater: Any) -> Any:
    """Return the peer's associator: its own, shown only the plots near each track."""
    import numpy as np
    from scipy.spatial import cKDTree
    from stonesoup.dataassociator.neighbour import GNNWith2DAssignment  # noqa: TID251 - the peer itself
    from stonesoup.hypothesiser.distance import DistanceHypothesiser  # noqa: TID251 - the peer itself
    from stonesoup.measures import Mahalanobis  # noqa: TID251 - the peer itself

    axes = list(AXES)

    class Near(GNNWith2DAssignment):  # type: ignore[misc]  # the peer carries no types
        """Global nearest neighbour over hypotheses for near plots alone."""

        def generate_hypotheses(self, tracks: Any, detections: Any, timestamp: Any, **_: Any) -> Any:
            """Return the hypotheses of every track."""
            found = list(detections)
            if not tracks or not found:
                return {track: self.hypothesiser.hypothesise(track, set(), timestamp) for track in tracks}
            tree = cKDTree(np.array([np.asarray(d.measurement_model.inverse_function(d), float).ravel()[axes] for d in found]))
            out = {}
            for track in tracks:
                ahead = predictor.predict(track, timestamp=timestamp)
                spread = np.sqrt(np.trace(np.asarray(ahead.covar, float)[np.ix_(axes, axes)]))
                near = tree.query_ball_point(np.asarray(ahead.mean, float).ravel()[axes], GATE * (spread + COARSE_M))
                out[track] = self.hypothesiser.hypothesise(track, {found[i] for i in near}, timestamp)
            return out

    return Near(DistanceHypothesiser(predictor, updater, Mahalanobis(), missed_distance=GATE))


def _soft(arrays: Any, predictor: Any, updater: Any) -> Any:
    """Return the peer's joint association by loopy belief propagation, told the detection probability and the clutter."""
    import numpy as np
    from stonesoup.dataassociator.probability import JPDAwithLBP  # noqa: TID251 - the peer itself
    from stonesoup.hypothesiser.probability import PDAHypothesiser  # noqa: TID251 - the peer itself

    # The peer wants one density in its own measurement space (elevation, azimuth, range): that at the middle of the plots.
    reach, elevation = np.median(arrays["det"][:, 2]), np.median(arrays["det"][:, 0])
    density = float(arrays["false_density_per_m3"]) * reach**2 * np.cos(elevation)
    found = float(arrays["sensor_pd"][0])
    return JPDAwithLBP(PDAHypothesiser(predictor, updater, clutter_spatial_density=density, prob_detect=found, prob_gate=0.999))


def _peer(arrays: Any, *, soft: bool = False) -> Any:
    """Return the peer's tracker over a scenario file."""
    import numpy as np
    from stonesoup.deleter.time import UpdateTimeDeleter, UpdateTimeStepsDeleter  # noqa: TID251 - the peer itself
    from stonesoup.initiator.simple import MultiMeasurementInitiator  # noqa: TID251 - the peer itself
    from stonesoup.models.transition import linear  # noqa: TID251 - the peer itself
    from stonesoup.predictor.kalman import ExtendedKalmanPredictor  # noqa: TID251 - the peer itself
    from stonesoup.tracker.simple import MultiTargetMixtureTracker, MultiTargetTracker  # noqa: TID251 - the peer itself
    from stonesoup.types.state import GaussianState  # noqa: TID251 - the peer itself
    from stonesoup.updater.kalman import ExtendedKalmanUpdater  # noqa: TID251 - the peer itself

    predictor = ExtendedKalmanPredictor(linear.CombinedLinearGaussianTransitionModel([linear.ConstantVelocity(NOISE_M2_S3)] * 3))
    updater = ExtendedKalmanUpdater(None)
    start = np.zeros(6)
    start[list(AXES)], start[list(SPEEDS)] = START_M**2, START_M_S**2
    initiator = MultiMeasurementInitiator(
        GaussianState(np.zeros((6, 1)), np.diag(start), timestamp=EPOCH),
        deleter=UpdateTimeStepsDeleter(2),
        data_associator=_associator(predictor, updater),
        updater=updater,
        min_points=3,
    )
    deleter = UpdateTimeDeleter(dt.timedelta(seconds=DELETE_S))
    if soft:
        return MultiTargetMixtureTracker(initiator, deleter, _detections(arrays), _soft(arrays, predictor, updater), updater)
    return MultiTargetTracker(initiator, deleter, _detections(arrays), _associator(predictor, updater), updater)


def run_peer(
    arrays: Any, cpu_s_max: float, *, soft: bool = False, between: Callable[[], object] | None = None
) -> tuple[list[Any], float, int]:
    """Run the peer until the file or the CPU time ends; returns estimates per scan, CPU seconds, detections taken in.

    soft: by joint probabilistic data association, for files that hold false_density_per_m3. between: called every BETWEEN_S of
    the peer's time, which does not count what it takes.
    """
    from time import process_time

    import numpy as np

    from trilat.exercise.score import Estimates

    found: list[Any] = []
    numbers: dict[str, int] = {}
    begin = mark = process_time()
    spent_s = 0.0
    for _, tracks in _peer(arrays, soft=soft):
        states = np.array([np.asarray(t.state_vector, float).ravel() for t in tracks]).reshape(-1, 6)
        names = np.array([numbers.setdefault(t.id, len(numbers)) for t in tracks], np.int64)
        found.append(Estimates(names, states[:, list(AXES)], states[:, list(SPEEDS)]))
        if between is not None and process_time() - mark > BETWEEN_S:
            spent_s += process_time() - begin
            between()
            begin = mark = process_time()
        if spent_s + process_time() - begin > cpu_s_max:
            break
    return found, spent_s + process_time() - begin, int(arrays["scan_start"][len(found)])


@click.command()
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option(
    "--max-s", type=Between(0, 86_400, min_open=True), default=75.0, show_default=True, help="CPU seconds the peer may take."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(scenario: Path, max_s: float, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Run Stone Soup and our tracker on an air scenario and print both rates, their ratio and both GOSPA.

    Ours runs the whole file again and again while the peer does, a round every few seconds of it, so that both have the same
    machine; its rate is that of all rounds together, not of the best.
    """
    import importlib.util

    import msgspec

    from trilat.cli.bench_track import hint_of, load_scenario, run_scenario, score_scenario
    from trilat.track.scenario import domain_of

    if importlib.util.find_spec("stonesoup") is None:
        raise click.ClickException("Stone Soup is not installed: pip install 'trilat[compare]'")
    arrays = load_scenario(scenario)
    domain, earth = domain_of(arrays), str(arrays.get("earth", "flat"))
    if (domain, earth) != ("air", "flat"):
        msg = f"the peer is set up for aircraft over a flat Earth, and {scenario.name} is of domain {domain} over earth {earth}"
        raise click.ClickException(f"{msg}: `trilat bench track` runs ours alone")
    if hint := hint_of(arrays, None, "here by both as for aircraft: `trilat bench track --domain missile` is for missiles"):
        click.echo(hint, err=True)
    run_scenario(arrays, "air")  # to warm up
    first, found = run_scenario(arrays, "air")
    rounds = [first["cpu_s"]]
    peer, peer_s, taken = run_peer(arrays, max_s, between=lambda: rounds.append(run_scenario(arrays, "air")[0]["cpu_s"]))
    ours_per_s = len(rounds) * first["detections"] / sum(rounds)
    shared = {**arrays, "scan_t": arrays["scan_t"][: len(peer)]}
    theirs, own = (score_scenario(shared, "air", e[: len(peer)], None) for e in (peer, found))
    result = {
        "scans": len(peer),
        "peer_detections_per_s": taken / peer_s,
        "rounds": len(rounds),
        "detections_per_s": ours_per_s,
        "ratio": ours_per_s * peer_s / taken,
        "peer_gospa_m": theirs["gospa_m"],
        "gospa_m": own["gospa_m"],
        "peer_id_changes": theirs["id_changes"],
        "id_changes": own["id_changes"],
    }
    if as_json:
        click.echo(msgspec.json.encode(result).decode())
        return
    click.echo(
        f"{scenario.name}, {result['scans']} scans: Stone Soup {result['peer_detections_per_s']:,.0f} plots/s/core, "
        f"ours {result['detections_per_s']:,.0f}: {result['ratio']:,.0f} times\n"
        f"  GOSPA {result['peer_gospa_m']:.1f} m and {result['gospa_m']:.1f} m, "
        f"number changes {result['peer_id_changes']} and {result['id_changes']}"
    )
