"""`trilat simulate`: nodes with their real stores on simulated disks, networks and clocks, by seed; judged after healing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trilat.cli.frame import Between

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Iterator

    from trilat.simulation.run import Outcome
    from trilat.simulation.schedule import Schedule

# A failed seed shows this many of its findings.
FINDINGS_SHOWN = 5
PROGRESS_NS = 5_000_000_000
SEED_MAX = 2**31


@click.command()
@click.option("--seed", type=click.IntRange(0, SEED_MAX), default=0, show_default=True, help="The first seed.")
@click.option("--seeds", type=click.IntRange(1, 10_000_000), default=1, show_default=True, help="How many seeds from there on.")
@click.option(
    "--schedule",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Run the schedule in this file; if there is none, write the seed's there, and run it.",
)
@click.option("--tier", type=click.Choice(["a", "b"]), default="a", show_default=True, help="a: exchange; b: whole nodes.")
@click.option("--seconds", type=Between(0.1, 86_400), help="Simulated seconds of faults. Default: 1.5 (a), 6 (b).")
@click.option("--jobs", type=click.IntRange(1, 256), help="Processes. Default: one a core.")
@click.option("--reach", is_flag=True, help="Fail also when a rare state was never reached.")
def command(seed: int, seeds: int, file: Path | None, tier: str, seconds: float | None, jobs: int | None, *, reach: bool) -> None:
    """Run seeded schedules of faults: bad networks and clocks, crashes, power cuts, rollbacks, full disks.

    Afterwards everything heals, and each node must hold exactly what policy entitles it to, once, in order. Ends with 0 only if
    every invariant held in every run. The last line is the summary.
    """
    import os

    if file is not None and seeds > 1:
        raise click.UsageError("--schedule is one run: leave out --seeds.")
    chosen = range(seed, seed + seeds)
    if file is not None:
        schedule = _read_or_write(file, seed, tier, seconds)
        tier, chosen = schedule.tier, range(schedule.seed, schedule.seed + 1)
        outcomes: Iterator[tuple[int, Outcome]] = iter([(schedule.seed, _run(schedule))])
    else:
        workers = min(jobs or os.cpu_count() or 1, seeds)
        outcomes = _all(((one, tier, seconds) for one in chosen), workers)
    _tell(chosen, tier, outcomes, reach=reach, file=file)


def _read_or_write(file: Path, seed: int, tier: Any, seconds: float | None) -> Schedule:
    from trilat.errors import ExerciseError
    from trilat.simulation import schedule

    try:
        if file.exists():
            return schedule.decode(file.read_bytes(), file.name)
        made = schedule.draw(seed, tier, seconds)
        file.write_bytes(schedule.encode(made))
    except OSError as error:
        raise ExerciseError("schedule-unreadable", f"{file}: {error.strerror}.") from error
    click.echo(f"wrote {file}: change it and run this again")
    return made


def _run(schedule: Schedule) -> Outcome:
    import gc

    from trilat.simulation.run import Simulation

    if schedule.tier == "b":
        from trilat.simulation.whole import WholeNode

        outcome = Simulation(schedule, WholeNode).run()
        # A run leaves few objects, but with whole trackers' arrays in them: by their number alone they would wait too long.
        gc.collect()
        return outcome
    return Simulation(schedule).run()


def run_seed(given: tuple[int, Any, float | None]) -> tuple[int, Outcome]:
    """Run one seed; for a worker process."""
    from trilat.simulation.schedule import draw

    return given[0], _run(draw(*given))


def _all(given: Iterable[tuple[int, Any, float | None]], workers: int) -> Iterator[tuple[int, Outcome]]:
    if workers == 1:
        yield from map(run_seed, given)
        return
    import multiprocessing

    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(run_seed, given, chunksize=4)


def _tell(chosen: range, tier: str, outcomes: Iterator[tuple[int, Outcome]], *, reach: bool, file: Path | None) -> None:
    from collections import Counter

    from trilat.node import clock
    from trilat.simulation.rare import reached

    counts: Counter[str] = Counter()
    failed: list[int] = []
    begun_ns = told_ns = clock.monotonic_ns()
    for done, (seed, outcome) in enumerate(outcomes, 1):
        counts += outcome.counts
        counts["simulated seconds"] += round(outcome.seconds)
        if outcome.problems:
            failed.append(seed)
            _tell_failed(seed, tier, outcome, file)
        if (now_ns := clock.monotonic_ns()) - told_ns > PROGRESS_NS and done < len(chosen):
            told_ns = now_ns
            pace = done / (now_ns - begun_ns) * 1e9
            click.echo(f"{done} of {len(chosen)} seeds, {pace:.1f} a second, {len(failed)} failed", err=True)
    rare = reached(counts, tier)
    for name, times in rare.items():
        click.echo(f"  {name:<42} {times:>9,}" + ("" if times else "  never"))
    never = [name for name, times in rare.items() if not times]
    short = len(never) if reach else 0
    word = "FAILED" if failed or short else "ok"
    pace = len(chosen) / (clock.monotonic_ns() - begun_ns) * 1e9
    last = f"simulate {word}: {_summary(chosen, tier, counts, failed)}, {pace:.1f} seeds/s"
    click.echo(last + (f"; {short} rare states never reached" if short else ""))
    if word != "ok":
        raise SystemExit(1)


def _tell_failed(seed: int, tier: str, outcome: Outcome, file: Path | None) -> None:
    for problem in outcome.problems[:FINDINGS_SHOWN]:
        click.echo(f"seed {seed}: {problem}")
    again = f"--schedule {file}" if file is not None else f"--seed {seed}" + (f" --tier {tier}" if tier != "a" else "")
    click.echo(f"seed {seed}: again with: trilat simulate {again}")


def _summary(chosen: range, tier: str, counts: Counter[str], failed: list[int]) -> str:
    seeds = f"seed {chosen[0]}" if len(chosen) == 1 else f"seeds {chosen[0]} to {chosen[-1]}"
    held = f"{len(chosen) - len(failed)} of {len(chosen)} runs held every invariant"
    what = f"{counts['records held']:,} records held, {counts['injected']:,} injected, {counts['rejected']:,} rejected"
    return f"{seeds}, tier {tier}: {held}; {what}"
