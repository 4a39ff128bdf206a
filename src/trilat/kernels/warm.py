"""Fill numba's cache, so that a node starts at once: `python -m trilat.kernels.warm [FAMILY...]` compiles what is called."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

# Families compile independently of one another: `make setup` gives each a process of its own.
FAMILIES = ("engine", "tracks", "asterix_plots", "fusion", "information", "ballistic", "arc", "polygon")


def warm_engine() -> None:
    """Run the tracking engine over a plot, which compiles and caches all it uses: the longest by far."""
    from trilat.kernels import bank, engine  # noqa: PLC0415 - numba loads here

    rows, models, heads, works = _tracker(bank)
    z, plots = np.ones((1, bank.PLOT_COLUMNS)), np.zeros((1, bank.PLOT_INTS), np.int64)
    engine.run_frames(models, heads, rows, _sensors(bank), np.zeros(1, np.int64), np.array([0, 1]), z, plots, works)


def warm_tracks() -> None:
    """Do what a tracker does besides: take a report in, look and see nothing, show tracks."""
    from trilat.kernels import bank, engine, intake, measure, show  # noqa: PLC0415 - numba loads here

    rows, models, heads, works = _tracker(bank)
    reports = np.zeros(1, measure.REPORT_ROW)
    for name in measure.REPORT_FLOATS:
        reports[name] = 1.0
    _warm_intake(intake, intake.views(reports))
    engine.look_empty(models, heads, rows, _sensors(bank), 0, 1)
    held, row = np.zeros((2, 4), show.HELD_ROW), np.zeros((4, 4), np.int64)
    n = show.number(models, heads, rows, 1, 1, held[0], 0, held[1], row[0], 0, row[1], row[2], row[3])[0]
    shown = np.zeros(n, show.TRACK_ROW)
    show.show(models, heads, rows, 1, row[0, :n], held[1], shown, row[1, :n], works)
    show.merged_into(shown, shown, row[1, :n])
    show.came_from(shown, shown, row[0, :0], row[1, :0], row[2, :0])


def _tracker(bank: Any) -> tuple[Any, Any, Any, Any]:
    """Return a small bank's rows, and rules, head and scratch as the kernels take them."""
    from trilat.kernels.frames import earth  # noqa: PLC0415 - numba loads here

    model, tracks = bank.record(bank.MODEL_DTYPE), bank.new_bank(4)
    model["earth"], model["gate"], model["modes"] = earth("wgs84"), 20.0, 1
    for name in ("noise", "stay_s", "share", "start", "birth", "life"):
        model[name] = 1.0
    return tracks.rows, bank.box(model), bank.box(tracks.head), bank.box(bank.record(bank.WORK_DTYPE))


def _sensors(bank: Any) -> Any:
    sensors = np.ones((1, bank.SENSOR_COLUMNS))
    sensors[0, bank.S_POSITION] = 6_378_137.0
    return sensors


def _warm_intake(intake: Any, views: Any) -> None:
    """Take one report in."""
    from trilat.kernels import bank  # noqa: PLC0415 - numba loads here

    one, limits = np.zeros((6, 4), np.int64), np.ones((2, intake.FLOATS))
    intake.sift(views.columns, views.values, 1, 0, 1, limits[0], limits[1], one[0], np.zeros(intake.REASONS, np.int64))
    intake.arrange(views.columns, views.values, views.raw, np.ones(1, np.int64), one[0, :1], one[1], one[2], np.ones(4), one[3])
    z, plots = np.ones((1, bank.PLOT_COLUMNS)), np.zeros((1, bank.PLOT_INTS), np.int64)
    given = (np.ones(intake.DEFAULTS), np.ones(5), np.ones(6), np.ones((1, bank.PLOT_COLUMNS)))
    intake.callsigns(views.raw)
    intake.plots_of(views.columns, views.values, views.words, views.raw, *given, z, plots, one[4, :2])


OWN = {"engine": warm_engine, "tracks": warm_tracks}


def main(families: Sequence[str] = ()) -> None:
    """Warm the named families of kernels, all that are there without a name."""
    for name in families or FAMILIES:
        if name in OWN:
            OWN[name]()
        elif importlib.util.find_spec(f"trilat.kernels.{name}") is not None:
            importlib.import_module(f"trilat.kernels.{name}").warm()


if __name__ == "__main__":
    main(sys.argv[1:])
