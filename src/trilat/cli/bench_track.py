"""`trilat bench track FILE`: the tracking engine on a scenario file; `trilat bench compare FILE`: Stone Soup beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trilat.cli.frame import Between

if TYPE_CHECKING:
    from trilat.exercise.score import Estimates
    from trilat.track.settings import Domain

CUT_OFF_M = {"air": 2_000.0, "sea": 2_000.0, "missile": 5_000.0}
HIGH_SHARE = 0.25  # of plots above aircraft: a false one may lie anywhere
WARM_SCANS = 3
SMOOTHED = ("gospa_m", "gospa_normalised_m", "localisation_rmse_m", "missed", "false", "siap")


def run_scenario(arrays: Any, domain: str | None, rounds: int = 1, **settings: Any) -> tuple[dict[str, Any], list[Estimates]]:
    """Track a scenario file's arrays and return its rates and the confirmed estimates of every scan, in the file's frame.

    The rate counts the CPU time of the tracker's steps alone, after warm-up, in the best of `rounds`.
    """
    from time import perf_counter, process_time

    import numpy as np

    from trilat.exercise.score import Estimates
    from trilat.track.scenario import Scenario

    scenario = Scenario(arrays, domain, **settings)  # type: ignore[arg-type]  # click has checked the word
    warm = scenario.tracker()
    scans = list(scenario.scans())
    for t_ns, _, plots in scans[:WARM_SCANS]:
        warm.step(t_ns, [plots])
    warm.look(scans[min(WARM_SCANS, len(scans) - 1)][0], 0)
    best, walls = np.inf, np.zeros(len(scans))
    for _ in range(rounds):
        tracker, found, took, cpu_s = scenario.tracker(), [], np.zeros(len(scans)), 0.0
        for k, (t_ns, sensor, plots) in enumerate(scans):
            wall, cpu = perf_counter(), process_time()
            if not len(plots.columns):
                tracker.look(t_ns, sensor)
            tracks = tracker.step(t_ns, [plots]).columns
            cpu_s += process_time() - cpu
            took[k] = perf_counter() - wall
            sure = tracks[tracks["status"] == 1]
            place, velocity = scenario.to_file_frame(sure["position_m"], sure["velocity_m_s"])
            found.append(Estimates(sure["number"].copy(), place, velocity))
        if cpu_s < best:
            best, walls = cpu_s, took
    n = int(arrays["scan_start"][-1])
    return {
        "domain": scenario.domain,
        "detections": n,
        "cpu_s": float(best),
        "detections_per_s": n / float(best),
        "scan_ms_p50": float(np.percentile(walls, 50) * 1e3),
        "scan_ms_p99": float(np.percentile(walls, 99) * 1e3),
        "tracks": len({int(i) for e in found for i in e.track_id}),
        "refused": dict(sorted(tracker.refused.items())),
        "shed": dict(sorted(tracker.shed.items())),
    }, found


def smooth_scenario(arrays: Any, domain: str | None, **settings: Any) -> list[Estimates]:
    """Track a scenario file's arrays and return the estimates of every scan, improved by the scans that came after it."""
    from trilat.exercise.score import Estimates
    from trilat.track import smoothed_columns
    from trilat.track.scenario import Scenario

    scenario = Scenario(arrays, domain, **settings)  # type: ignore[arg-type]  # click has checked the word
    found = []
    for tracks in smoothed_columns(*scenario.tracked(), scenario.settings):
        sure = tracks[tracks["status"] == 1]
        found.append(Estimates(sure["number"], *scenario.to_file_frame(sure["position_m"], sure["velocity_m_s"])))
    return found


def load_scenario(path: Path) -> dict[str, Any]:
    """Return the arrays of a scenario file; raises ExerciseError naming what is wrong with it."""
    from trilat.errors import ExerciseError
    from trilat.track.scenario import fault_of

    arrays = _arrays(path)
    fault = arrays if isinstance(arrays, str) else fault_of(arrays)
    if isinstance(arrays, str) or fault:
        raise ExerciseError("scenario-arrays", f"{path}: {fault}.")
    return arrays


def _arrays(path: Path) -> dict[str, Any] | str:
    """Return the arrays of a file, or what keeps them from being read."""
    import zipfile
    import zlib

    import numpy as np

    try:
        with path.open("rb") as raw:
            file = np.load(raw, allow_pickle=False)
            return "it is one array (.npy), not a file of several (.npz)" if isinstance(file, np.ndarray) else dict(file)
    except EOFError:
        return "there is nothing in it"
    except ValueError:  # numpy takes what it cannot read for pickled objects, and tells how to load them unsafely
        return "it is no file of plain numpy arrays (.npz)"
    except MemoryError as error:
        return f"it names more than the memory holds ({error})"
    except OSError as error:
        return str(error.strerror) if error.filename is not None else f"it is cut short or damaged ({error})"
    except (zipfile.BadZipFile, zlib.error, RuntimeError) as error:  # RuntimeError: marked as encrypted, or as of a later zip
        return f"it is cut short or damaged ({error})"


def hint_of(arrays: Any, domain: str | None, remedy: str = "as aircraft: try --domain missile") -> str:
    """Return what to say of a file that is tracked as air for want of a word, though much of it flies above; else nothing."""
    from trilat.track.scenario import HIGH_M, high_share

    share = 0.0 if domain is not None or "domain" in arrays else high_share(arrays)
    if share < HIGH_SHARE:
        return ""
    above = f"{100 * share:.0f} % of the plots lie above {HIGH_M / 1e3:.0f} km"
    return f"note: {above}, and nothing names the domain, so they are tracked {remedy}"


def score_scenario(arrays: Any, domain: str, found: list[Estimates], c_m: float | None) -> dict[str, Any]:
    """Return the scores of estimates against a scenario file's truth; c_m None takes the domain's own."""
    from trilat.exercise.score import score

    a = arrays
    return score(a["scan_t"], a["truth_pos"], a["truth_vel"], a["truth_alive"], found, c_m or CUT_OFF_M[domain])


def peak_memory_bytes() -> int:
    """Return the process's peak resident memory."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def save_estimates(path: Path, found: list[Estimates]) -> None:
    """Write EST.npz: scan (E,), track_id (E,), pos (E, 3), vel (E, 3)."""
    import numpy as np

    np.savez_compressed(
        path,
        scan=np.concatenate([np.full(len(e.track_id), k) for k, e in enumerate(found)]),
        track_id=np.concatenate([e.track_id for e in found]),
        pos=np.concatenate([e.position_m for e in found]),
        vel=np.concatenate([e.velocity_m_s for e in found]),
    )


@click.command()
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option("--domain", type=click.Choice(["air", "missile"]), help="Parameter set, where the file names none.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the estimates here (NPZ).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--c", "c_m", type=Between(0, 1e9, min_open=True), help="GOSPA cut-off in metres; 2,000 for air, 5,000 for missile."
)
@click.option("--rounds", type=click.IntRange(1, 1_000), default=3, show_default=True, help="Runs; the quickest counts.")
@click.option("--air-modes", metavar="A,B,C", help="What aircraft may do: 1 to 3 of cv-low, cv-high, climb, turn.")
@click.option("--smooth", is_flag=True, help="Score the tracks smoothed by later scans beside the live ones.")
def command(
    scenario: Path,
    domain: Domain | None,
    out: Path | None,
    as_json: bool,  # noqa: FBT001 - click passes flags so
    c_m: float | None,
    rounds: int,
    air_modes: str | None,
    smooth: bool,  # noqa: FBT001 - as above
) -> None:
    """Track a scenario file and print rate, GOSPA, SIAP, number changes, memory, time per scan, and what was refused or shed.

    With --smooth each state is also scored as an after-action review would have it: improved by all scans that came after it.
    """
    import msgspec

    from trilat.track.scenario import domain_of

    arrays = load_scenario(scenario)
    if air_modes is not None and (word := domain_of(arrays, domain)) != "air":
        msg = f"--air-modes says what aircraft may do, and {scenario.name} is of domain {word}: leave it out"
        raise click.UsageError(msg)
    if hint := hint_of(arrays, domain):
        click.echo(hint, err=True)
    settings = {} if air_modes is None else {"air_modes": tuple(air_modes.replace(" ", "").split(","))}
    try:
        result, found = run_scenario(arrays, domain, rounds, **settings)
    except ValueError as error:  # of the settings alone: the file's arrays have been looked through
        if air_modes is None:
            raise
        raise click.UsageError(f"--air-modes: {error}") from error
    result["peak_memory_bytes"] = peak_memory_bytes()
    result |= score_scenario(arrays, result["domain"], found, c_m)
    if smooth:
        late = score_scenario(arrays, result["domain"], smooth_scenario(arrays, domain, **settings), c_m)
        result["smoothed"] = {key: late[key] for key in SMOOTHED}
    if out is not None:
        save_estimates(out, found)
    if as_json:
        click.echo(msgspec.json.encode(result).decode())
    else:
        click.echo(_table(scenario.name, result))


def _table(name: str, r: dict[str, Any]) -> str:
    """Return a result as lines for people."""
    siap = "  ".join(f"{key} {value:.3f}" for key, value in r["siap"].items())
    lost = [f"{what}: " + (", ".join(f"{n:,} {why}" for why, n in r[what].items()) or "none") for what in ("refused", "shed")]
    late = ""
    if "smoothed" in r:
        s = r["smoothed"]
        late = (
            f"\n  smoothed by later scans: GOSPA {s['gospa_m']:.1f} m (live {r['gospa_m']:.1f}), PA {s['siap']['PA']:.1f} m "
            f"(live {r['siap']['PA']:.1f}), VA {s['siap']['VA']:.2f} m/s (live {r['siap']['VA']:.2f})"
        )
    return (
        f"{name} ({r['domain']}): {r['detections']} plots, {r['detections_per_s']:,.0f} plots/s/core ({r['cpu_s']:.3f} s CPU)\n"
        f"  GOSPA {r['gospa_m']:.1f} m (normalised {r['gospa_normalised_m']:.1f}), "
        f"missed {r['missed']:.2f}, false {r['false']:.2f}\n"
        f"  SIAP {siap}\n"
        f"  number changes {r['id_changes']}, tracks {r['tracks']}, peak memory {r['peak_memory_bytes'] / 1e6:.0f} MB, "
        f"scan p50 {r['scan_ms_p50']:.2f} ms, p99 {r['scan_ms_p99']:.2f} ms\n"
        f"  plots {lost[0]}; tracks and pairs {lost[1]}{late}"
    )
