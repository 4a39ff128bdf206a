"""Fill numba's cache, so that a node starts at once: `python -m trilat.kernels.warm [FAMILY...]` compiles what is called."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

TRACKER = "tracker"
# Families compile independently of one another: `make setup` gives each a process of its own.
FAMILIES = (TRACKER, "asterix_plots", "fusion", "information", "ballistic", "arc", "polygon")


def warm_tracker() -> None:
    """Run the tracking engine over a few plots, which compiles and caches all it uses."""
    from trilat.kernels import bank, engine, intake, show  # noqa: PLC0415 - numba loads here
    from trilat.kernels.frames import earth  # noqa: PLC0415 - same

    model, work = bank.record(bank.MODEL_DTYPE), bank.record(bank.WORK_DTYPE)
    model["earth"], model["gate"], model["modes"] = earth("wgs84"), 20.0, 1
    for name in ("noise", "stay_s", "share", "start", "birth", "life"):
        model[name] = 1.0
    tracks = bank.new_bank(4)
    models, heads, works = bank.box(model), bank.box(tracks.head), bank.box(work)
    sensors = np.ones((1, bank.SENSOR_COLUMNS))
    sensors[0, bank.S_POSITION] = 6_378_137.0
    reports = np.zeros(1, intake.REPORT_ROW)
    for name in intake.REPORT_FLOATS:
        reports[name] = 1.0
    z, plots, starts = _warm_intake(intake, intake.views(reports))
    engine.run_frames(models, heads, tracks.rows, sensors, np.zeros(1, np.int64), starts, z, plots, works)
    engine.look_empty(models, heads, tracks.rows, sensors, 0, 1)
    held, row = np.zeros((2, 4), show.HELD_ROW), np.zeros((3, 4), np.int64)
    n = show.number(models, heads, tracks.rows, 1, 1, held[0], 0, held[1], row[0], row[1], row[2])[0]
    shown = np.zeros(n, show.TRACK_ROW)
    show.show(models, tracks.rows, 1, row[0, :n], held[1], shown, row[1, :n], works)
    show.merged_into(shown, shown, row[1, :n])
    show.came_from(shown, shown, row[0, :0], row[1, :0], row[2, :0])


def _warm_intake(intake: Any, views: Any) -> Any:
    """Take one report in; returns its plots."""
    from trilat.kernels import bank  # noqa: PLC0415 - numba loads here

    one, limits = np.zeros((6, 4), np.int64), np.ones((2, intake.FLOATS))
    intake.sift(views.columns, views.values, 1, 0, 1, limits[0], limits[1], one[0], np.zeros(intake.REASONS, np.int64))
    intake.arrange(views.columns, views.values, views.raw, np.ones(1, np.int64), one[0, :1], one[1], one[2], np.ones(4), one[3])
    z, plots = np.ones((1, bank.PLOT_COLUMNS)), np.zeros((1, bank.PLOT_INTS), np.int64)
    given = (np.ones(intake.DEFAULTS), np.ones(5), np.ones(6), np.ones((1, bank.PLOT_COLUMNS)))
    intake.callsigns(views.raw)
    intake.plots_of(views.columns, views.values, views.words, views.raw, *given, z, plots, one[4, :2])
    return z, plots, one[4, :2]


def main(families: Sequence[str] = ()) -> None:
    """Warm the named families of kernels, all that are there without a name."""
    for name in families or FAMILIES:
        if name == TRACKER:
            warm_tracker()
        elif importlib.util.find_spec(f"trilat.kernels.{name}") is not None:
            importlib.import_module(f"trilat.kernels.{name}").warm()


if __name__ == "__main__":
    main(sys.argv[1:])
