"""Fill numba's cache: `python -m trilat.kernels.warm` compiles every kernel the product calls, so that a node starts at once."""

from __future__ import annotations

import importlib.util

import numpy as np


def warm_tracker() -> None:
    """Run the tracking engine over a few plots, which compiles and caches all it uses."""
    from trilat.kernels import bank, engine  # noqa: PLC0415 - numba loads here
    from trilat.kernels.frames import earth  # noqa: PLC0415 - same

    model, work = bank.record(bank.MODEL_DTYPE), bank.record(bank.WORK_DTYPE)
    model["earth"], model["gate"], model["modes"] = earth("wgs84"), 20.0, 1
    for name in ("noise", "stay_s", "share", "start", "birth", "life"):
        model[name] = 1.0
    tracks = bank.new_bank(4)
    sensors = np.ones((1, bank.SENSOR_COLUMNS))
    sensors[0, bank.S_POSITION] = 6_378_137.0
    z = np.ones((1, bank.PLOT_COLUMNS))
    plots = np.zeros((1, bank.PLOT_INTS), np.int64)
    engine.step_frame(model, *tracks, sensors, 0, z, plots, work)
    engine.look_empty(model, *tracks, sensors, 0, 1)
    engine.show(model, *tracks, 1, np.empty(4, np.int64), np.empty((4, 6)), np.empty((4, 6, 6)), work)


def main() -> None:
    """Warm every family of kernels that is there."""
    warm_tracker()
    for name in (
        "trilat.kernels.asterix_warm",
        "trilat.kernels.fusion",
        "trilat.kernels.information",
        "trilat.kernels.ballistic",
    ):
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name).warm()


if __name__ == "__main__":
    main()
