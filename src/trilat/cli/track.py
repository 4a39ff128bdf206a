"""`trilat track FILE... --out TRACKS`: recordings through decoder and tracker at full speed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trilat.cli.frame import Between
from trilat.cli.recordings import (
    FeedOptions,
    decode_file,
    feed_options,
    format_of,
    format_option,
    source_for,
    start_of,
    summary,
)

if TYPE_CHECKING:
    from rich.progress import Progress

    from trilat.feeds.source import Source
    from trilat.records.columns import Reports, Tracks
    from trilat.records.report import Refused
    from trilat.records.sensor import Sensor

OUT_SUFFIXES = (".npz", ".jsonl", ".csv")
# Gaps longer than this are stepped over at once: the tracker deletes by time, not by count of steps.
GAP_NS_MAX = 120_000_000_000


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@format_option
@click.option("--out", required=True, type=click.Path(path_type=Path), help="TRACKS.npz, .jsonl or .csv")
@click.option(
    "--tick", "tick_s", type=Between(0.01, 3600), default=1.0, show_default=True, help="Seconds of the recording between steps."
)
@click.option("--smooth", is_flag=True, help="Improve each state by the reports that came after it: for a review.")
@feed_options
def command(
    files: tuple[Path, ...],
    format_name: str,
    out: Path,
    tick_s: float,
    smooth: bool,  # noqa: FBT001 - click passes flags so
    **given: Any,
) -> None:
    """Track what FILEs hold and write every track state, tick by tick, to TRACKS.

    Each state is what was known at its tick, as a watch saw it. With --smooth it is what is known of that tick afterwards: the
    same tracks and times, nearer to where things were. All states are held in memory for it, 1.8 kB each.

    Without --sensor one sensor stands in for all: a radar at 0 N 0 E (its place is not in the recording, so give --sensor for
    true positions), or a receiver of fixes. Ends with 1 when the files gave no report.
    """
    if out.suffix not in OUT_SUFFIXES:
        raise click.UsageError(f"--out ends with one of {', '.join(OUT_SUFFIXES)}")
    if any(out.exists() and file.exists() and out.samefile(file) for file in files):
        raise click.UsageError(f"--out {out} is one of the recordings: it would be written over")
    if not out.absolute().parent.is_dir():
        raise click.UsageError(f"--out {out}: there is no folder {out.absolute().parent}")
    options = FeedOptions(**given)
    with _progress() as progress:
        sources = [source_for(file, format_of(file, format_name), options) for file in files]
        batches, refused = _read(files, sources, start_of(options.date), progress)
        states = _track(batches, sources, round(tick_s * 1e9), refused, progress, smooth=smooth)
        shown, numbers = write(out, states)
    count = sum(len(batch.columns) for batch in batches)
    if not options.sensors and options.node is None and any(source.format == "asterix" for source in sources):
        click.echo("note: no --sensor was given, so the radar stands at 0 N 0 E", err=True)
    click.echo(f"{count:,} reports, {numbers:,} tracks, {shown:,} states in {out}", err=True)
    for line in summary(refused):
        click.echo(line, err=True)
    if not count:
        sys.exit(1)


def _progress() -> Progress:
    """Return the progress bar, on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _read(
    files: tuple[Path, ...], sources: list[Source], start_t_ns: int, progress: Progress
) -> tuple[list[Reports], list[Refused]]:
    """Decode every file; return the batches and what was refused."""
    batches: list[Reports] = []
    refused: list[Refused] = []
    for file, source in zip(files, sources, strict=True):
        task = progress.add_task(f"decode {file.name}", total=file.stat().st_size if file.exists() else 1)
        for decoded in decode_file(file, source, start_t_ns, refused, partial(progress.advance, task)):
            batches.extend(decoded.batches)
    return batches, refused


def sensors_of(sources: list[Source]) -> list[Sensor]:
    """Return every sensor of the sources, each id once."""
    found: dict[str, Sensor] = {}
    for source in sources:
        for sensor in (*source.sensors, *((source.unknown_sensor,) if source.unknown_sensor else ())):
            found.setdefault(sensor.id, sensor)
    return list(found.values())


def in_order(batches: list[Reports], sensors: list[Sensor], tick_ns: int) -> list[tuple[int, list[Reports]]]:
    """Return the reports by ticks of their own time: (end of the tick, one batch a sensor), short gaps filled.

    The column `sensor` becomes the index in `sensors`, which is what a tracker reads.
    """
    import numpy as np
    from msgspec.structs import replace

    index = {sensor.id: number for number, sensor in enumerate(sensors)}
    by_sensor: dict[tuple[str, str], list[Reports]] = {}
    for batch in batches:
        by_sensor.setdefault((batch.source, batch.pedigree.sensors[0]), []).append(batch)
    ticks: dict[int, list[Reports]] = {}
    for (_, name), same in by_sensor.items():
        columns = np.concatenate([batch.columns for batch in same])
        columns = columns[np.argsort(columns["t_ns"], kind="stable")]
        columns["sensor"] = index[name]
        tick = columns["t_ns"] // tick_ns
        for part in np.split(columns, np.flatnonzero(np.diff(tick)) + 1):
            end = (int(part["t_ns"][0]) // tick_ns + 1) * tick_ns
            ticks.setdefault(end, []).append(replace(same[0], columns=part, received_t_ns=end))
    ordered: list[tuple[int, list[Reports]]] = []
    for end in sorted(ticks):
        last = ordered[-1][0] if ordered else end
        ordered.extend((t, []) for t in range(last + tick_ns, min(end, last + GAP_NS_MAX), tick_ns))
        ordered.append((end, ticks[end]))
    return ordered


def _track(
    batches: list[Reports],
    sources: list[Source],
    tick_ns: int,
    refused: list[Refused],
    progress: Progress,
    *,
    smooth: bool,
) -> Iterator[Tracks]:
    """Step a tracker through the reports; give what it shows at each tick. What it refuses is added to `refused`."""
    if not batches:
        return
    from msgspec.structs import replace

    from trilat.records.report import Refused
    from trilat.track import Tracker, TrackerSettings, smoothed_columns  # numba loads here

    sensors = sensors_of(sources)
    tracker = Tracker(TrackerSettings(), sensors, "recording")
    steps = in_order(batches, sensors, tick_ns)
    kept: list[Tracks] = []
    modes: list[Any] = []
    for now_ns, given in progress.track(steps, description="track"):
        tracks = tracker.step(now_ns, given)
        if smooth:
            kept.append(tracks)
            modes.append(tracker.modes())
        else:
            yield tracks
    late = smoothed_columns([tracks.columns for tracks in kept], modes, tracker.settings)
    yield from (replace(tracks, columns=columns) for tracks, columns in zip(kept, late, strict=True))
    refused.extend(
        Refused(t_ns=steps[-1][0], source="tracker", reason=reason, count=count)
        for reason, count in sorted((tracker.refused + tracker.shed).items())
    )


def write(out: Path, states: Iterable[Tracks]) -> tuple[int, int]:
    """Write states in the form the suffix names as they come; return how many, and of how many tracks.

    .npz holds TRACK_DTYPE columns (`tracks`) and the time each was shown (`shown_t_ns`); it is gathered in memory first.
    """
    import msgspec
    import numpy as np

    from trilat.records.columns import empty_tracks

    shown, numbers, kept = 0, set[int](), list[Any]()
    with out.open("wb") as file:
        for state in states:
            shown += len(state.columns)
            numbers.update(state.columns["number"].tolist())
            if out.suffix == ".npz":
                kept.append((state.t_ns, state.columns))
                continue
            for row in table(state):
                if out.suffix == ".csv" and not kept:
                    kept.append(file.write(",".join(row).encode() + b"\n"))
                line = ",".join(map(str, row.values())).encode() if out.suffix == ".csv" else msgspec.json.encode(row)
                file.write(line + b"\n")
        if out.suffix == ".npz":
            times = np.repeat([t_ns for t_ns, _ in kept], [len(columns) for _, columns in kept]).astype(np.int64)
            columns = np.concatenate([empty_tracks(0), *(columns for _, columns in kept)])
            np.savez_compressed(file, tracks=columns, shown_t_ns=times)
    return shown, len(numbers)


def table(state: Tracks) -> list[dict[str, Any]]:
    """Return one shown state as rows in WGS-84 degrees, metres and m/s, east, north and up; sigma is horizontal, one sigma."""
    import numpy as np

    from trilat.kernels import geodesy
    from trilat.records.columns import DOMAINS, STATUSES

    columns = state.columns
    if not len(columns):
        return []
    place = geodesy.ecef_to_geodetic(columns["position_m"])
    basis = geodesy.enu_basis(place[:, 0], place[:, 1])
    velocity = np.einsum("nij,nj->ni", basis, columns["velocity_m_s"])
    spread = np.einsum("nij,njk,nlk->nil", basis, columns["covariance"][:, :3, :3], basis)
    sigma = np.sqrt(np.maximum(spread[:, 0, 0] + spread[:, 1, 1], 0) / 2)
    return [
        {
            "shown_t_ns": state.t_ns,
            "number": int(row["number"]),
            "t_ns": int(row["t_ns"]),
            "status": STATUSES[row["status"]],
            "domain": DOMAINS[row["domain"]],
            "lat_deg": round(float(place[k, 0]), 7),
            "lon_deg": round(float(place[k, 1]), 7),
            "alt_m": round(float(place[k, 2]), 1),
            "velocity_east_m_s": round(float(velocity[k, 0]), 2),
            "velocity_north_m_s": round(float(velocity[k, 1]), 2),
            "velocity_up_m_s": round(float(velocity[k, 2]), 2),
            "sigma_m": round(float(sigma[k]), 1),
            "existence": round(float(row["existence"]), 4),
            "flags": int(row["flags"]),
            "mode_3a": int(row["mode_3a"]),
            "address": int(row["address"]),
            "mmsi": int(row["mmsi"]),
            "callsign": row["callsign"].decode("ascii", "replace").strip().replace(",", " "),
        }
        for k, row in enumerate(columns)
    ]
