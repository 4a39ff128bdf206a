"""`trilat exercise`: what can be played for training and proof, and what a recorded exercise looks like afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from trilat.cli.frame import Between, Group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trilat.flights.history import AreaSaid, Judged, Told
    from trilat.flights.lesson import Finding
    from trilat.flights.public import PublicFlight

NOTE = (
    "EXERCISE. Public are only date, site, direction, range and apogee. Thrust, stages and drag are generic, the radars and all\n"
    "that they see fictional (three nations, 30 m, 1 mrad, one plot a second): this is not what anyone saw or said that day."
)
AREAS_SHOWN = 6


@click.group(cls=Group)
def command() -> None:
    """Play what exercises need; nothing here changes a node."""


@command.command()
@click.option("--date", metavar="DATE", help="Only flights of this date, YYYY-MM-DD, as their source has it.")
@click.option("--all", "every", is_flag=True, help="Every shipped flight, not only the ten of public statements.")
@click.option("--list", "listed", is_flag=True, help="Print the facts and fly nothing.")
@click.option("--seed", type=click.IntRange(0, 2**31), default=0, show_default=True, help="Of the radars' noise.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def history(date: str | None, seed: int, *, every: bool, listed: bool, as_json: bool) -> None:
    """Fly public flights generically past three nations' fictional radars; tell what a node would have said, and when.

    Facts and their sources are in `trilat/flights/public.toml`. A flight's climb is found such that apogee and range are the
    published ones; its plots go through the tracker and the assessment that nodes run, with every nation's plots shared.
    """
    import msgspec

    from trilat.flights.history import tell
    from trilat.flights.public import as_facts
    from trilat.warn.areas import shipped_layer

    found = chosen(date, every=every)
    if not as_json:
        click.echo(NOTE)
    for public in found:
        told = None if listed else tell(public, shipped_layer(), seed)
        if as_json:
            told_json = {} if told is None else {"told": told, "right": told.judged.right if told.judged else None}
            click.echo(msgspec.json.encode({"public": as_facts(public), "generic": True, **told_json}).decode())
        else:
            for line in [heading(public), *(() if told is None else lines(told, public))]:
                click.echo(line)


def chosen(date: str | None, *, every: bool) -> list[PublicFlight]:
    """Return the flights of a date, all, or those of the statements; UsageError when a date has none."""
    from trilat.flights.public import public_flights

    shipped = public_flights()
    if date is None:
        return [one for one in shipped if every or one.source == "statements"]
    found = [one for one in shipped if one.date == date]
    if not found:
        raise click.UsageError(f"no shipped flight is of {date}; `trilat exercise history --all --list` prints them")
    return found


def heading(public: PublicFlight) -> str:
    """Return the line of a flight's facts."""
    when = f"{public.date} {public.time_utc}Z" if public.time_utc else public.date
    return f"{when} {public.site}: range {public.range_km:,.0f} km, apogee {public.apogee_km:,.0f} km ({public.source})"


def lines(told: Told, public: PublicFlight) -> list[str]:
    """Return what is told of one flight, for people."""
    if told.why_not:
        return [f"  not flown: {told.why_not}"]
    flown = f"flown in {told.flight_s / 60:.1f} min"
    out = [f"  {flown}{'' if public.minutes is None else f', published {public.minutes:g}'}; burn-out at {told.burnout_s:.0f} s"]
    said = [
        (told.first_plot_s, f"first plot, {told.first_sensor}"),
        (told.detected_s, "detected"),
        (told.burnout_called_s, "burn-out called"),
        (told.areas_s, f"first areas: {_areas(told.areas)}"),
        (told.taken_back_s, "it burns again: an earlier call of burn-out is taken back"),
    ]
    for at_s, text in sorted(((at_s, text) for at_s, text in said if at_s is not None), key=lambda one: one[0]):
        out.append(f"  T+{at_s:5.0f} s  {text}")
    if told.judged is None:
        return [*out, "  no class was given"]
    return out + _judged(told.judged)


def _area(area: AreaSaid) -> str:
    return f"{area.name} {area.probability:.0%}{'' if area.touch == 'landing' else ' (passes over)'}"


def _areas(areas: Sequence[AreaSaid]) -> str:
    more = f" and {len(areas) - AREAS_SHOWN} more" if len(areas) > AREAS_SHOWN else ""
    return ", ".join(_area(a) for a in areas[:AREAS_SHOWN]) + more


def _judged(one: Judged) -> list[str]:
    """Return the lines of what was said at the end."""
    mark = (
        "right"
        if one.right
        else f"WRONG: it is {one.true_by_energy} by energy, {' or '.join(one.true_by_range)} by range, {one.true_shape}"
    )
    by_range = f"{one.class_by_range} {one.probability_by_range:.0%} by range, {one.shape}: {mark}"
    out = [f"  T+{one.at_s:5.0f} s  {one.class_by_energy} {one.probability_by_energy:.0%} by energy, {by_range}"]
    if one.landing_error_m is None or one.ellipse95_semi_axes_m is None or one.time_to_landing_s is None:
        return [*out, "             no landing area is stated"]
    long, short = one.ellipse95_semi_axes_m
    where = (
        f"landing within {long / 1e3:.1f} x {short / 1e3:.1f} km (95 %), {one.landing_error_m / 1e3:.1f} km from where it fell"
    )
    return [*out, f"             {where}, in {one.time_to_landing_s:,.0f} s (off by {one.landing_time_error_s:+.1f} s)"]


@command.command()
@click.argument("node", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="TRACKS.npz, .jsonl or .csv")
@click.option("--tick", "tick_s", default=1.0, show_default=True, type=Between(0.01, 3600), help="Seconds between two states.")
@click.option("--as-known", is_flag=True, help="Each state as it was known at its time, not smoothed.")
def review(node: Path, out: Path, tick_s: float, *, as_known: bool) -> None:
    """Write a recorded exercise's tracks as they are known afterwards, for its debrief. NODE is a node's TOML or folder.

    What the node's journal holds goes through its pipeline once more, for nobody else, and each state of its national tracks is
    improved by the reports that came after it: the tracks, numbers and times of the watch, nearer to where things were. A node
    that was started anew numbers anew. States are held in memory for it, 1.8 kB each. The file is the nation's own: it carries
    no label, and nothing in it was released.
    """
    from trilat.cli.replay import config_path
    from trilat.cli.track import OUT_SUFFIXES, write
    from trilat.lessons.review import review as reviewed
    from trilat.node import record
    from trilat.node.config import load
    from trilat.node.setup import pipeline_settings
    from trilat.store.journal import Journal
    from trilat.store.sqlite import open_reader

    if out.suffix not in OUT_SUFFIXES or not out.absolute().parent.is_dir():
        raise click.UsageError(f"--out {out}: a file in a folder that is there, ending with one of {', '.join(OUT_SUFFIXES)}")
    config = load(config_path(node))
    database = open_reader(Path(config.directory) / "store")
    try:
        entries = Journal(database).read(kinds=frozenset({record.START, record.STEP, record.PEOPLE}))
        states = reviewed(entries, pipeline_settings(config), round(tick_s * 1e9), smooth=not as_known)
        shown, numbers = write(out, states)
    finally:
        database.close()
    how = "as known at their times" if as_known else "smoothed"
    click.echo(f"{config.mode} {config.nation}: {numbers:,} tracks, {shown:,} states, {how}, in {out}", err=True)
    if not shown:
        why = "the journal holds no reports of feeds ([store] journal_inputs = false?), or less time than a tick"
        raise click.ClickException(f"no track in pictures {tick_s:g} s apart: {why}")


@command.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def lesson(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Play the lessons in FILES: what the public record of warnings teaches, each with assertions.

    `scenarios/warning/*.toml` is a flight, what sees it, and what must be said of it; `scenarios/watch/*.toml` is the demo's
    launch through three whole nodes' pipelines, what officers do about it, and what must hold for everybody. Flights and radars
    are generic and fictional. Ends with 1 when an assertion does not hold.
    """
    import msgspec

    from trilat.errors import ExerciseError

    failed = 0
    for file in files:
        try:
            title, findings = _played(file.read_bytes())
        except ExerciseError as error:  # of several files the reader must know which
            raise ExerciseError(error.name, f"{file}: {error.detail}") from error
        if not as_json:
            click.echo(f"EXERCISE. {title}")
        for one in findings:
            failed += not one.held
            if as_json:
                click.echo(msgspec.json.encode({"lesson": file.stem, **one._asdict()}).decode())
            else:
                click.echo(f"  {'held  ' if one.held else 'FAILED'}  {one.name}: {one.figure}")
    if failed:
        raise SystemExit(1)


def _played(data: bytes) -> tuple[str, list[Finding]]:
    """Play one lesson of either kind; return its title and what was found."""
    import os
    import tempfile

    from trilat.flights.lesson import decode_lesson, play
    from trilat.warn.areas import shipped_layer

    if b"[must]" not in data:
        flight = decode_lesson(data)
        return flight.title, play(flight, shipped_layer())
    from trilat.exercise import provision
    from trilat.lessons.rehearsal import decode_rehearsal, rehearse
    from trilat.lessons.three import early
    from trilat.node import clock
    from trilat.node.config import load
    from trilat.records.label import Mode

    given = decode_rehearsal(data)
    with tempfile.TemporaryDirectory(prefix="trilat-lesson-") as home:
        now_ns = clock.now_ns()
        made = provision.prepare(early(), Path(home), Mode(kind="exercise", id="lesson"), now_ns, os.urandom)
        configs = {nation: load(one.config) for nation, one in made.items()}
        return given.title, rehearse(given, configs, now_ns, os.urandom(32), shipped_layer())
